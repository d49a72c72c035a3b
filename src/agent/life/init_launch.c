/* SPDX-License-Identifier: Apache-2.0
 * Order: the machine's /run (a new one for every start), the inittab where it needs help, sockets,
 * config.json, crun. crun makes the terminal in the machine's own devpts and passes its master over
 * the console socket; it is detached, so that the init becomes the agent's child (the agent is a
 * subreaper). */
#include "agent/life/init_launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/core/boot_id.h"
#include "agent/core/cgroup.h"
#include "agent/core/channel.h"
#include "agent/core/environment.h"
#include "agent/core/machine_run.h"
#include "agent/core/mount_units.h"
#include "agent/core/mounts.h"
#include "agent/core/rootfs.h"
#include "agent/life/inittab.h"
#include "agent/provision/etcfiles.h"
#include "agent/life/prepare.h"
#include "agent/provision/createuser.h"
#include "agent/provision/provision.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/spawn.h"
#include "oci/config.h"
#include "oci/runtime_spec.h"

#define CONSOLE_SOCKET AGENT_RUN "/console.sock"
#define INITTAB AGENT_BUNDLE "/inittab"
#define PID_FILE AGENT_RUN "/init.pid"

enum { CRUN_MS = 60 * 1000, PLATFORM_MOUNTS_MAX = 24, MOUNTS_MAX = PLATFORM_MOUNTS_MAX + 8 + BOOT_SHARES_MAX };

enum init_kind init_kind_of(const char *resolved)
{
	static const struct {
		const char *name;
		enum init_kind kind;
	} names[] = { { "systemd", INIT_SYSTEMD }, { "busybox", INIT_BUSYBOX }, { "holm-init", INIT_OWN } };
	const char *base = path_base(resolved);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (streq(base, names[i].name))
			return names[i].kind;
	return INIT_OTHER;
}

static const struct runtime_mount run_mount = { "/run", "bind", AGENT_MACHINE_RUN, "rbind,nosuid,nodev" };
static const struct runtime_mount systemd_mounts[] = {
	{ "/run/lock", "tmpfs", "tmpfs", "nosuid,nodev,noexec,mode=1777,size=5m" },
	{ "/tmp", "tmpfs", "tmpfs", "nosuid,nodev,mode=1777" },
};

static void init_environment(const struct boot_request *b, enum init_kind kind, struct strv *env)
{
	strv_add(env, "PATH=" ENVIRONMENT_PATH);
	for (size_t i = 0; i < b->image_env.count; i++) {
		AUTOFREE char *key = xstrndup(b->image_env.items[i], strcspn(b->image_env.items[i], "="));
		const char *value = strchr(b->image_env.items[i], '=');
		if (value)
			strv_setenv(env, key, value + 1);
	}
	environment_complete_path(env);
	strv_setenv(env, "container", "holm");
	strv_setenv(env, "container_uuid", b->id);
	strv_setenv(env, "TERM", "vt220");
	if (kind == INIT_SYSTEMD) {
		strv_setenv(env, "NOTIFY_SOCKET", "/run/holm/notify");
		return;
	}
	/* systemd's services have them from a drop-in, those of other inits by inheritance. */
	for (size_t i = 0; i < b->services_env.count; i++) {
		AUTOFREE char *key = xstrndup(b->services_env.items[i], strcspn(b->services_env.items[i], "="));
		strv_setenv(env, key, strv_getenv(&b->services_env, key));
	}
}

/* The share's own mount, read-only where it is: the attribute of the source mount is not inherited
 * by a bind mount made by crun. */
static size_t add_shares(const struct boot_request *b, struct runtime_mount *mounts, size_t n, struct strv *sources)
{
	for (size_t i = 0; i < b->share_count; i++)
		strv_addf(sources, "%s/%s", AGENT_SHARES, b->shares[i].tag);
	for (size_t i = 0; i < b->share_count && n < MOUNTS_MAX; i++)
		mounts[n++] = (struct runtime_mount){ b->shares[i].inside, "bind", sources->items[i],
			b->shares[i].read_only ? "rbind,nosuid,nodev,ro" : "rbind,nosuid,nodev" };
	return n;
}

/* The hook's command (attach.h); nothing when there is nothing for it to do. */
static void hook_arguments(const struct platform_container *c, const struct boot_request *b,
    const struct init_program *init, struct strv *to)
{
	int boot_id = init->own_boot_id;
	if (!boot_id && !c->hook_attaches)
		return;
	strv_add(to, c->hook_program);
	strv_add(to, "--attach");
	if (boot_id)
		strv_add(to, "--boot-id");
	if (!c->hook_attaches)
		return;
	if (init->kind == INIT_SYSTEMD)
		strv_add(to, "--systemd");
	strv_add(to, AGENT_MACHINE_RUN);
	strv_add(to, "/run");
	for (size_t i = 0; i < b->share_count; i++) {
		strv_addf(to, "%s/%s", AGENT_SHARES, b->shares[i].tag);
		strv_add(to, b->shares[i].inside);
	}
}

struct json_object *init_launch_spec(const struct platform_container *c, const struct boot_request *b,
    const struct init_program *init, const char *kernel_release, int filter_inittab)
{
	enum init_kind kind = init->kind;
	struct runtime_mount mounts[MOUNTS_MAX];
	AUTO_STRV struct strv sources = { 0 };
	AUTO_STRV struct strv arguments = { 0 };
	AUTO_STRV struct strv hook = { 0 };
	AUTO_STRV struct strv environment = { 0 };
	AUTOFREE char *modules = xasprintf("/lib/modules/%s", kernel_release);
	size_t n = 0;
	for (size_t i = 0; i < c->mount_count && i < PLATFORM_MOUNTS_MAX; i++)
		mounts[n++] = c->mounts[i];
	if (!c->hook_attaches)
		mounts[n++] = run_mount;
	/* A /run that is attached later would cover mounts made on it now. */
	for (size_t i = c->hook_attaches ? 1 : 0; kind == INIT_SYSTEMD && i < ARRAY_SIZE(systemd_mounts); i++)
		mounts[n++] = systemd_mounts[i];
	if (b->modules_device)
		mounts[n++] = (struct runtime_mount){ modules, "bind", AGENT_MODULES, "rbind,ro,nosuid,nodev" };
	if (filter_inittab)
		mounts[n++] = (struct runtime_mount){ "/etc/inittab", "bind", INITTAB, "bind" };
	hook_arguments(c, b, init, &hook);
	if (!c->hook_attaches)
		n = add_shares(b, mounts, n, &sources);
	strv_add(&arguments, kind == INIT_OWN ? "/run/holm/holm-init" : init->path);
	init_environment(b, kind, &environment);
	struct runtime_spec spec = {
		.root = AGENT_ROOT,
		.hostname = init->hostname ? init->hostname : b->hostname,
		.arguments = &arguments,
		.environment = &environment,
		.working_directory = "/",
		.cgroups_path = c->cgroups_path,
		.terminal = 1,
		.mounts = mounts,
		.mount_count = n,
		.namespaces = c->namespaces,
		.user_namespace = c->user_namespace,
		.network_namespace = c->network_namespace,
		.capabilities = c->capabilities,
		.masked_paths = c->masked_paths,
		.readonly_paths = c->readonly_paths,
		.seccomp_filter = c->seccomp_filter,
		.create_hook = hook.count ? strv_argv(&hook) : NULL,
	};
	return runtime_spec_new(&spec);
}

static int program_exists(const char *program, void *root)
{
	return rootfs_is_program(*(int *)root, program);
}

static int write_text(const char *path, const char *text)
{
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : fd_write_full(fd, text, strlen(text));
}

/* Whether a changed inittab was put into the bundle. */
static int prepare_inittab(int root, enum init_kind kind)
{
	AUTOFREE char *text = NULL;
	if (kind != INIT_BUSYBOX || rootfs_read(root, "/etc/inittab", &text) < 0)
		return 0;
	AUTOFREE char *changed = inittab_filter(text, program_exists, &root);
	return changed && write_text(INITTAB, changed) >= 0;
}

/* Logins on terminals that nobody sits at. Masked for this boot only. */
static int mask_units(void)
{
	static const char *const units[] = { "console-getty.service", "getty@tty1.service" };
	AUTO_FD int directory = machine_run_mkdir("systemd/system", 0755, NULL);
	if (directory < 0)
		return directory;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (symlinkat("/dev/null", directory, units[i]) < 0 && errno != EEXIST)
			return -errno;
	return 0;
}

/* systemd fails to unmount a share that a process still uses; the agent does so at the end. Where
 * the hook attaches the shares, it tells systemd. */
static int leave_shares(const struct platform_container *c, const struct boot_request *b)
{
	int r = 0;
	for (size_t i = 0; !c->hook_attaches && r >= 0 && i < b->share_count; i++)
		r = mount_units_leave_share(&b->shares[i]);
	return r;
}

static int prepare_systemd(const struct platform_container *c, const struct boot_request *b)
{
	int r = mask_units();
	return r < 0 ? r : leave_shares(c, b);
}

/* A listening unix socket at a path of ours. */
static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	strncpy(address.sun_path, path, sizeof address.sun_path - 1);
	unlink(path);
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 1) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static int send_fd(int channel, const char *name, int fd)
{
	struct json_object *o = json_object_new_object();
	json_add_string(o, "fd", name);
	return channel_send(channel, o, fd);
}

/* Hands over a descriptor that tells when the init has read its inittab (inittab_watch.c). */
static int watch_inittab(int channel)
{
	AUTO_FD int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (watch < 0 || inotify_add_watch(watch, INITTAB, IN_CLOSE_NOWRITE | IN_ONESHOT) < 0)
		return -errno;
	return send_fd(channel, "inittab", watch);
}

static int write_bundle(const struct init_launch *l, const struct platform_container *c,
    const struct init_program *init, int root, int channel, struct error **err)
{
	struct utsname u;
	uname(&u);
	int r = path_mkdir_all(AGENT_BUNDLE, 0700, err);
	if (r < 0)
		return r;
	if (init->own_boot_id && (r = boot_id_make(err)) < 0)
		return r;
	if (init->kind == INIT_SYSTEMD && (r = prepare_systemd(c, l->request)) < 0)
		return error_set_errno(err, r, "cannot fill the machine's /run");
	int inittab = prepare_inittab(root, init->kind);
	if (inittab && (r = watch_inittab(channel)) < 0)
		return error_set_errno(err, r, "cannot watch the inittab");
	AUTO_JSON struct json_object *spec = init_launch_spec(c, l->request, init, u.release, inittab);
	AUTOFREE char *text = json_to_string(spec, 0);
	r = write_text(AGENT_BUNDLE "/config.json", text);
	return r < 0 ? error_set_errno(err, r, "cannot write crun's configuration") : 0;
}

static int receive_console(int listening, uint64_t deadline, int channel, struct error **err)
{
	int master = -1;
	size_t count = 0;
	AUTO_FD int connection =
	    fd_wait(listening, POLLIN, deadline) > 0 ? accept4(listening, NULL, NULL, SOCK_CLOEXEC) : -1;
	if (connection < 0 || fd_wait(connection, POLLIN, deadline) <= 0 ||
	    fd_receive(connection, &master, 1, &count) < 0 || count != 1)
		return error_set(err, EIO, "crun gave no console");
	int r = send_fd(channel, "console", master);
	fd_close(master);
	return r;
}

/* Runs crun to its end. Its terminal arrives while it runs, and waits in the socket's queue. */
static int run_crun(const struct platform_container *c, unsigned start, struct error **err)
{
	AUTO_STRV struct strv argv = { 0 };
	static const char *const words[] = { "run", "--detach", "--bundle", AGENT_BUNDLE, "--console-socket",
		CONSOLE_SOCKET, "--pid-file", PID_FILE };
	strv_add(&argv, c->crun);
	for (const char *const *option = c->crun_options; *option; option++)
		strv_add(&argv, *option);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		strv_add(&argv, words[i]);
	strv_addf(&argv, "machine-%u", start);
	AUTOFREE char *output = NULL;
	int r = spawn_capture(strv_argv(&argv), 64 * 1024, clock_deadline(CRUN_MS), &output, err);
	if (r > 0)
		return error_set(err, EIO, "crun could not start the init (status %d)", r);
	return r;
}

static int read_pid(uint64_t *ret, struct error **err)
{
	AUTOFREE char *text = NULL;
	int r = path_read_file(PID_FILE, 64, &text, NULL);
	if (r >= 0) {
		text[strcspn(text, "\n")] = '\0';
		r = parse_u64(text, ret);
	}
	return r < 0 ? error_set_errno(err, r, "crun did not say which process the init is") : 0;
}

int init_launch_settle(int channel, void *data, struct error **err)
{
	mkdir(AGENT_CGROUP "/init", 0755);
	for (int i = 0; i < 8; i++) {
		AUTOFREE char *text = NULL;
		AUTO_STRV struct strv pids = { 0 };
		if (path_read_file(AGENT_CGROUP "/cgroup.procs", 1 << 20, &text, NULL) < 0)
			return 0;
		strv_split(&pids, text, "\n");
		if (!pids.count)
			return 0;
		for (size_t j = 0; j < pids.count; j++) {
			AUTO_FD int fd = open(AGENT_CGROUP "/init/cgroup.procs", O_WRONLY | O_CLOEXEC);
			if (fd >= 0)
				(void)fd_write_full(fd, pids.items[j], strlen(pids.items[j]));
		}
	}
	return 0;
}

/* Finds the program on the machine's own disk: the one that the image had, or one that was
 * installed inside since. NULL: none, holm's own is wanted. */
static const char *find_program(const struct boot_request *b, int root)
{
	if (b->init && rootfs_is_program(root, b->init))
		return b->init;
	for (const char *const *path = oci_init_paths; b->init_search && *path; path++)
		if (rootfs_is_program(root, *path))
			return *path;
	return NULL;
}

static int find_init(const struct boot_request *b, int root, struct init_program *ret, struct error **err)
{
	AUTOFREE char *resolved = NULL;
	*ret = (struct init_program){ .kind = INIT_OWN, .path = find_program(b, root) };
	if (!ret->path && b->init_required)
		return error_set(err, ENOENT,
		    "machine \"%s\" has no init (looked for /sbin/init, /lib/systemd/systemd and others), and "
		    "init=image "
		    "insists on one; \"holm machine set init=\" does without",
		    b->name);
	if (!ret->path)
		return 0;
	int r = rootfs_resolve(root, ret->path, &resolved);
	if (r < 0)
		return error_set_errno(err, r, "cannot use the machine's init %s", ret->path);
	ret->kind = init_kind_of(resolved);
	return 0;
}

/* An init that is started again gets a new /run, and finds the shares as the first one did. It may
 * have been installed since then, with a logind. */
static int renew(const struct init_launch *l, int root, struct error **err)
{
	AUTO_ERROR struct error *linger = NULL;
	if (l->start > 0 && !rootfs_is_program(root, CREATE_USER_SCRIPT) &&
	    provision_linger(root, &l->request->user, &linger) < 0)
		log_warning("%s", linger->text);
	int r = l->start > 0 ? prepare_machine_run(l->platform, l->request, err) : 0;
	return r < 0 || !l->platform->check_shares ? r : l->platform->check_shares(l->request, err);
}

int init_launch_run(int channel, void *launch, struct error **err)
{
	const struct init_launch *l = launch;
	struct init_program init = { .kind = INIT_OWN };
	uint64_t pid = 0;
	AUTO_FD int root = open(AGENT_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = root < 0 ? error_set_errno(err, errno, "the machine's disk is not mounted") :
			   find_init(l->request, root, &init, err);
	struct platform_container container;
	if (r < 0 || (r = l->platform->container(init.kind, &container, err)) < 0 || (r = renew(l, root, err)) < 0)
		return r;
	AUTOFREE char *hostname = etc_hostname(root, l->request->hostname);
	init.hostname = hostname;
	init.own_boot_id = !container.has_boot_id || l->start > 0;
	if ((r = write_bundle(l, &container, &init, root, channel, err)) < 0)
		return r;
	if (l->start > 0)
		cgroup_remove();
	AUTO_FD int notify = machine_run_bind("holm", "notify");
	AUTO_FD int listening = listen_at(CONSOLE_SOCKET);
	if (notify < 0 || listening < 0)
		return error_set_errno(err, notify < 0 ? notify : listening, "cannot make the sockets of the init");
	if ((r = send_fd(channel, "notify", notify)) < 0 || (r = run_crun(&container, l->start, err)) < 0 ||
	    (r = read_pid(&pid, err)) < 0)
		return r;
	r = receive_console(listening, clock_deadline(CRUN_MS), channel, err);
	unlink(CONSOLE_SOCKET);
	if (r < 0)
		return r;
	struct json_object *o = json_object_new_object();
	json_add_u64(o, "pid", pid);
	json_add_u64(o, "kind", init.kind);
	json_add_string(o, "init", init.path ? init.path : "holm's own");
	json_add_bool(o, "bus",
	    rootfs_exists(root, "/usr/lib/systemd/system/dbus.socket") ||
		rootfs_exists(root, "/lib/systemd/system/dbus.socket"));
	return channel_send(channel, o, -1);
}
