/* SPDX-License-Identifier: Apache-2.0
 * See starter.h.
 *
 * Problem. crun opens 57 libraries, and takes 8 ms of processor time for a start.
 *
 * Idea. This program is static, and is there already. It does what the engine's own config.json
 * asks for (bundle.c). For the rest there is crun: see make_spec() there.
 *
 * Steps:
 * 1. With the engine's rights: the specification, the files for its answer, the cgroup.
 * 2. The container's user namespace, then the others that have a path. It forks into new ones of
 *    the other kinds, and into the cgroup, writes the child's number, and ends when the child has
 *    executed the program: the monitor is the parent then.
 * 3. The child becomes root of the container before it looks at anything of the image. It mounts
 *    (starter_mounts.c) and makes the container's root its own. Then it becomes the user
 *    (become.c) and executes the program.
 *
 * Failures. Both are hidden as a command of exec is (command.c). The child's error comes by a pipe
 * that execve(2) closes. */
#include "agent/engine/starter.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/confine/confine.h"
#include "agent/core/execute.h"
#include "agent/core/oom_score.h"
#include "agent/core/pty.h"
#include "agent/engine/become.h"
#include "agent/engine/container_cgroup.h"
#include "agent/engine/starter_mounts.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/spawn.h"
#include "docker/rights.h"

enum {
	SPEC_MAX = 16 * 1024 * 1024, /* a request's body has a quarter of it */
	START_MS = 2 * 60 * 1000,
	GROUPS_MAX = 256,
	LIMITS_MAX = RLIM_NLIMITS,
	ERROR_MAX = 4096,
	/* The child makes these by itself: their owner is root of the container, and their root the
	 * cgroup that it is in. */
	OWN = CLONE_NEWIPC | CLONE_NEWCGROUP,
};

/* Names of the specification and what clone(2) calls them, in the order of joining: the user
 * namespace is the first, as it gives the rights for the others. */
static const struct {
	const char *name;
	int flag;
} kinds[] = { { "user", CLONE_NEWUSER }, { "network", CLONE_NEWNET }, { "ipc", CLONE_NEWIPC }, { "uts", CLONE_NEWUTS },
	{ "pid", CLONE_NEWPID }, { "mount", CLONE_NEWNS }, { "cgroup", CLONE_NEWCGROUP } };

struct start {
	struct json_object *spec, *process, *linux_part; /* borrowed from spec */
	struct strv words, env;
	struct become who;
	uint32_t groups[GROUPS_MAX];
	int joined[ARRAY_SIZE(kinds)]; /* descriptors; -1: no path */
	int created;                   /* CLONE_NEW* of those without a path */
	struct limit {
		int resource;
		struct rlimit value;
	} limits[LIMITS_MAX];
	size_t limit_count;
	int terminal;
	int console; /* connection for the terminal's master */
	int cgroup, pipe, log, pid_file;
};

/* ---- the specification ---- */

static uint64_t read_capabilities(struct json_object *process)
{
	struct json_object *all = NULL;
	AUTO_STRV struct strv names = { 0 };
	uint64_t bits = 0;
	if (json_get_object(process, "capabilities", &all, NULL) == 0)
		json_get_strv(all, "bounding", &names, NULL);
	for (unsigned i = 0; i < DOCKER_CAPABILITIES; i++)
		if (strv_contains(&names, docker_capabilities[i]))
			bits |= UINT64_C(1) << i;
	return bits;
}

/* The filter of an annotation is one of this program's own. -1: none; -EINVAL: another one. */
static int read_filter(struct json_object *spec)
{
	struct json_object *annotations = NULL;
	const char *text = NULL;
	if (json_get_object(spec, "annotations", &annotations, NULL) < 0 ||
	    json_get_string(annotations, "run.oci.seccomp_bpf_data", &text, NULL) < 0)
		return -1;
	for (int i = CONFINE_PLAIN; i <= CONFINE_ADMIN; i++)
		if (streq(text, confine_container_filter_base64((enum confine_container)i)))
			return i;
	return -EINVAL;
}

static int read_user(struct start *s, struct error **err)
{
	struct json_object *user = NULL, *groups = NULL;
	uint64_t uid = 0, gid = 0;
	int r = json_get_object(s->process, "user", &user, err);
	if (r == 0 && (r = json_get_u64(user, "uid", &uid, err)) == 0)
		r = json_get_u64(user, "gid", &gid, err);
	if (r < 0)
		return r;
	size_t count = json_get_array(user, "additionalGids", &groups, NULL) < 0 ? 0 : json_object_array_length(groups);
	if (count > GROUPS_MAX)
		return error_set(err, E2BIG, "the user has too many groups");
	for (size_t i = 0; i < count; i++)
		s->groups[i] = (uint32_t)json_object_get_int64(json_object_array_get_idx(groups, i));
	s->who = (struct become){
		.uid = (uint32_t)uid,
		.gid = (uint32_t)gid,
		.groups = s->groups,
		.group_count = count,
		.capabilities = read_capabilities(s->process),
		.filter = read_filter(s->spec),
	};
	json_get_bool(s->process, "noNewPrivileges", &s->who.no_new_privileges, NULL);
	return s->who.filter == -EINVAL ? error_set(err, EINVAL, "the filter is not one of the starter's") : 0;
}

static int read_limits(struct start *s, struct error **err)
{
	struct json_object *list = NULL;
	size_t count = json_get_array(s->process, "rlimits", &list, NULL) < 0 ? 0 : json_object_array_length(list);
	if (count > LIMITS_MAX)
		return error_set(err, E2BIG, "there are too many limits");
	for (size_t i = 0; i < count; i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		struct limit *limit = &s->limits[s->limit_count++];
		const char *name = "";
		uint64_t soft = 0, hard = 0;
		if (json_get_string(one, "type", &name, NULL) < 0 || json_get_u64(one, "soft", &soft, NULL) < 0 ||
		    json_get_u64(one, "hard", &hard, NULL) < 0 || (limit->resource = docker_limit_resource(name)) < 0)
			return error_set(err, EINVAL, "the limit %.32s is unknown", name);
		limit->value = (struct rlimit){ soft, hard };
	}
	return 0;
}

static int read_namespace(struct start *s, struct json_object *one, struct error **err)
{
	const char *type = "", *path = NULL;
	size_t i = 0;
	json_get_string(one, "type", &type, NULL);
	while (i < ARRAY_SIZE(kinds) && !streq(kinds[i].name, type))
		i++;
	if (i == ARRAY_SIZE(kinds))
		return error_set(err, EINVAL, "there is no namespace \"%.32s\"", type);
	if (json_get_string(one, "path", &path, NULL) < 0) {
		s->created |= kinds[i].flag;
		return 0;
	}
	s->joined[i] = open(path, O_RDONLY | O_CLOEXEC);
	return s->joined[i] < 0 ? error_set_errno(err, errno, "cannot open the %s namespace", type) : 0;
}

static int read_namespaces(struct start *s, struct error **err)
{
	struct json_object *list = NULL;
	int r = json_get_array(s->linux_part, "namespaces", &list, err);
	for (size_t i = 0; r == 0 && i < json_object_array_length(list); i++)
		r = read_namespace(s, json_object_array_get_idx(list, i), err);
	if (r == 0 && (s->joined[0] < 0 || !(s->created & CLONE_NEWNS)))
		r = error_set(err, EINVAL, "the starter makes no user namespace");
	return r;
}

static int read_spec(struct start *s, const char *bundle, struct error **err)
{
	AUTOFREE char *path = path_join(bundle, "config.json"), *text = NULL;
	size_t size = 0;
	int r = path_read_file(path, SPEC_MAX, &text, &size);
	if (r < 0 || (r = json_parse_bytes(text, size, "config.json", &s->spec, err)) < 0)
		return error_set_errno(err, r, "cannot read %s", path);
	if ((r = json_get_object(s->spec, "process", &s->process, err)) < 0 ||
	    (r = json_get_object(s->spec, "linux", &s->linux_part, err)) < 0 ||
	    (r = json_get_strv(s->process, "args", &s->words, err)) < 0 ||
	    (r = json_get_strv(s->process, "env", &s->env, err)) < 0)
		return r;
	if (!s->words.count)
		return error_set(err, EINVAL, "there is no program");
	json_get_bool(s->process, "terminal", &s->terminal, NULL);
	if ((r = read_user(s, err)) < 0 || (r = read_limits(s, err)) < 0)
		return r;
	return read_namespaces(s, err);
}

/* ---- with the engine's rights ---- */

static int open_cgroup(struct start *s, struct error **err)
{
	const char *path = NULL;
	if (json_get_string(s->linux_part, "cgroupsPath", &path, NULL) < 0)
		return 0;
	AUTOFREE char *whole = xasprintf(ENGINE_CGROUPS "%s", path);
	s->cgroup = open(whole, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return s->cgroup < 0 ? error_set_errno(err, errno, "cannot open the cgroup %s", path) : 0;
}

static int set_score(const struct start *s, struct error **err)
{
	int64_t score = 0;
	if (json_get_i64(s->process, "oomScoreAdj", &score, NULL) < 0)
		return 0;
	int r = oom_score_set(score);
	return r < 0 ? error_set_errno(err, r, "cannot set the OOM score") : 0;
}

/* Only the engine may raise limits. They are lowered at the end. */
static int raise_limits(const struct start *s, struct error **err)
{
	for (size_t i = 0; i < s->limit_count; i++) {
		const struct limit *limit = &s->limits[i];
		struct rlimit now;
		if (getrlimit((__rlimit_resource_t)limit->resource, &now) < 0)
			return error_set_errno(err, errno, "cannot read a limit");
		if (limit->value.rlim_max <= now.rlim_max)
			continue;
		now.rlim_max = limit->value.rlim_max;
		if (setrlimit((__rlimit_resource_t)limit->resource, &now) < 0)
			return error_set_errno(err, errno, "cannot set the limits of the container");
	}
	return 0;
}

static int connect_console(struct start *s, const char *path, struct error **err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (!s->terminal)
		return 0;
	int size = snprintf(address.sun_path, sizeof address.sun_path, "%s", path ? path : "");
	s->console = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r = size >= (int)sizeof address.sun_path ? -ENAMETOOLONG :
		s->console < 0 || connect(s->console, (const struct sockaddr *)&address, sizeof address) < 0 ? -errno :
													       0;
	return r < 0 ? error_set_errno(err, r, "cannot connect to the socket for the terminal") : 0;
}

/* ---- the child ---- */

static int become_root(struct start *s)
{
	const struct idmap without_groups = { .single = 1 };
	s->who.single = setgroups(0, NULL) < 0;
	int r = s->who.single && errno != EPERM ? -errno : idmap_become_root(&without_groups);
	return r < 0 ? r : become_hidden();
}

static int set_sysctls(int root, struct json_object *linux_part, struct error **err)
{
	struct json_object *all = NULL;
	if (json_get_object(linux_part, "sysctl", &all, NULL) < 0)
		return 0;
	json_object_object_foreach(all, key, value)
	{
		AUTOFREE char *path = xasprintf("/proc/sys/%s", key);
		const char *text = json_object_get_string(value);
		for (char *c = path; (c = strchr(c, '.'));)
			*c = '/';
		AUTO_FD int fd = path_open_in_root(root, path, O_WRONLY | O_NONBLOCK, 0);
		int r = fd < 0 ? fd : fd_write_full(fd, text, strlen(text));
		if (r < 0)
			return error_set_errno(err, r, "cannot set the sysctl %s", key);
	}
	return 0;
}

static int change_root(int root, struct error **err)
{
	if (fchdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0)
		return error_set_errno(err, errno, "cannot make the container's root");
	return 0;
}

static int open_terminal(const struct start *s, int root, struct error **err)
{
	struct json_object *size = NULL;
	uint64_t rows = 0, columns = 0;
	if (!s->terminal)
		return 0;
	if (json_get_object(s->process, "consoleSize", &size, NULL) == 0) {
		json_get_u64(size, "height", &rows, NULL);
		json_get_u64(size, "width", &columns, NULL);
	}
	AUTO_FD int master = pty_open((unsigned)rows, (unsigned)columns, s->who.uid, 0);
	int r = master < 0 ? master : fd_send(s->console, &master, 1);
	return r < 0 ? error_set_errno(err, r, "cannot make the container's terminal") :
		       starter_mount_console(root, STDIN_FILENO, err);
}

static int lower_limits(const struct start *s, struct error **err)
{
	for (size_t i = 0; i < s->limit_count; i++)
		if (setrlimit((__rlimit_resource_t)s->limits[i].resource, &s->limits[i].value) < 0)
			return error_set_errno(err, errno, "cannot set the limits of the container");
	return 0;
}

/* Of its own UTS namespace. */
static int set_names(const struct start *s, struct error **err)
{
	const char *host = NULL, *domain = NULL;
	if (!(s->created & CLONE_NEWUTS))
		return 0;
	json_get_string(s->spec, "hostname", &host, NULL);
	json_get_string(s->spec, "domainname", &domain, NULL);
	if (host && sethostname(host, strlen(host)) < 0)
		return error_set_errno(err, errno, "cannot set the host name");
	return domain && setdomainname(domain, strlen(domain)) < 0 ?
		   error_set_errno(err, errno, "cannot set the domain name") :
		   0;
}

static int enter(struct start *s, struct error **err)
{
	const char *directory = "/";
	int r = become_root(s);
	if (r < 0 || setsid() < 0 || unshare(s->created & OWN) < 0)
		return error_set_errno(err, r < 0 ? r : errno, "cannot become root of the container");
	if ((r = set_names(s, err)) < 0)
		return r;
	AUTO_FD int root = starter_mount(s->spec, err);
	if (root < 0 || (r = set_sysctls(root, s->linux_part, err)) < 0 || (r = starter_hide(root, s->spec, err)) < 0 ||
	    (r = change_root(root, err)) < 0 || (r = open_terminal(s, root, err)) < 0)
		return root < 0 ? root : r;
	json_get_string(s->process, "cwd", &directory, NULL);
	if (chdir(directory) < 0)
		return error_set_errno(err, errno, "cannot enter the directory %s", directory);
	if ((r = lower_limits(s, err)) < 0)
		return r;
	r = become_user(&s->who);
	return r < 0 ? error_set_errno(err, r, "cannot become user %u of the container", s->who.uid) : 0;
}

static _Noreturn void child_main(struct start *s)
{
	struct error *err = NULL;
	spawn_reset_signals();
	int kept[] = { MIN(s->pipe, s->console), MAX(s->pipe, s->console) };
	fd_close_from(3, kept[0] < 0 ? kept + 1 : kept, kept[0] < 0 ? 1 : 2);
	int r = enter(s, &err);
	if (r == 0) {
		const char *program = s->words.items[0];
		r = execute_program(program, strv_argv(&s->words), &s->env);
		if (r == -ENOENT && !strchr(program, '/'))
			error_set(&err, ENOENT, "executable file not found in $PATH");
		else
			error_set_errno(&err, r, "exec");
	}
	const char *text = error_text(err, r);
	(void)fd_write_full(s->pipe, text, strlen(text));
	_exit(1);
}

/* ---- the parent ---- */

static int join(const struct start *s, struct error **err)
{
	int r = become_hidden();
	become_keyless();
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(kinds); i++)
		if (s->joined[i] >= 0 && setns(s->joined[i], kinds[i].flag) < 0)
			return error_set_errno(err, errno, "cannot join the %s namespace", kinds[i].name);
	r = become_hidden();
	return r < 0 ? error_set_errno(err, r, "cannot protect this process") : 0;
}

static long fork_child(const struct start *s)
{
	struct clone_args arguments = { .exit_signal = SIGCHLD, .flags = (uint64_t)(s->created & ~OWN) };
	if (s->cgroup >= 0) {
		arguments.flags |= CLONE_INTO_CGROUP;
		arguments.cgroup = (uint64_t)s->cgroup;
	}
	long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
	return pid < 0 ? -errno : pid;
}

/* The monitor kills this process if the start fails. */
static int write_number(const struct start *s, long pid, struct error **err)
{
	char number[32];
	int size = snprintf(number, sizeof number, "%ld", pid);
	int r = fd_write_full(s->pid_file, number, (size_t)size);
	return r < 0 ? error_set_errno(err, r, "cannot write the process's number") : 0;
}

/* Waits until the program runs: a file of a share may never open. */
static int watch(struct start *s, int from_child, struct error **err)
{
	char text[ERROR_MAX];
	fd_close(TAKE_FD(s->pipe));
	int r = fd_wait(from_child, POLLIN, clock_deadline(START_MS));
	if (r <= 0)
		return error_set_errno(err, r < 0 ? r : -ETIMEDOUT, "the container's program does not start");
	ssize_t n = fd_read_full(from_child, text, sizeof text - 1);
	text[MAX(n, 0)] = '\0';
	return n == 0 ? 0 : error_set(err, EIO, "%s", n < 0 ? "the container's process does not answer" : text);
}

static int start(struct start *s, const char *bundle, const char *console, struct error **err)
{
	int ends[2];
	int r = read_spec(s, bundle, err);
	if (r == 0)
		r = open_cgroup(s, err);
	if (r == 0)
		r = set_score(s, err);
	if (r == 0)
		r = raise_limits(s, err);
	if (r == 0)
		r = connect_console(s, console, err);
	if (r == 0)
		r = join(s, err);
	if (r < 0 || (r = fd_pipe(ends)) < 0)
		return r < 0 ? error_set_errno(err, r, "cannot make a pipe") : r;
	s->pipe = ends[1];
	long pid = fork_child(s);
	if (pid == 0)
		child_main(s);
	if (pid < 0)
		return error_set_errno(err, (int)pid, "cannot make the container's process");
	r = write_number(s, pid, err);
	return r < 0 ? r : watch(s, ends[0], err);
}

int starter_main(const char *bundle, const char *pid_file, const char *log, const char *console)
{
	static struct start s = { .cgroup = -1, .pipe = -1, .console = -1 };
	AUTO_ERROR struct error *err = NULL;
	memset(s.joined, 0xff, sizeof s.joined);
	umask(022);
	s.log = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	s.pid_file = open(pid_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int r = s.log < 0 || s.pid_file < 0 ? error_set_errno(&err, errno, "cannot write into the bundle") :
					      start(&s, bundle, console, &err);
	if (r == 0)
		return 0;
	AUTOFREE char *line = xasprintf("error: %s\n", error_text(err, r));
	if (s.log >= 0)
		(void)fd_write_full(s.log, line, strlen(line));
	return 1;
}
