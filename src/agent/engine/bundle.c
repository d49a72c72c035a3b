/* SPDX-License-Identifier: Apache-2.0
 * crun's bundle: config.json, and the files of /etc that are mounted into the container. The
 * defaults are Docker's: its mounts, capabilities, masked paths and system calls.
 *
 * All that depends on the image is read in its root file system with openat2(2). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/core/rootfs.h"
#include "agent/engine/command.h"
#include "agent/engine/container_cgroup.h"
#include "agent/engine/endpoints.h"
#include "agent/engine/files.h"
#include "agent/engine/links.h"
#include "agent/engine/mounts.h"
#include "agent/engine/namespaces.h"
#include "agent/engine/rights.h"
#include "agent/engine/network_files.h"
#include "agent/engine/network_join.h"
#include "agent/provision/accounts.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/path.h"
#include "oci/runtime_spec.h"

enum { SHORT_ID = 12, TTY_GROUP = 5, MOUNTS_MAX = 16 + RIGHTS_MOUNTS_MAX + DOCKER_MOUNTS_MAX, PEERS_MAX = 8 };

static const char *const etc_files[] = { "resolv.conf", "hosts", "hostname" };

static const char default_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/* ---- the user ---- */

static int add_group(struct identity *who, const char *group, const char *name, struct error **err)
{
	uint32_t gid;
	if (parse_u32(name, &gid) < 0 && group_find(group ? group : "", name, &gid) < 0)
		return error_set(err, EINVAL, "unable to find group %.64s: no matching entries in group file", name);
	if (who->group_count < COMMAND_GROUPS_MAX)
		who->groups[who->group_count++] = gid;
	return 0;
}

/* "name", "uid", "name:group", "uid:gid". */
static int find_user(const char *passwd, const char *group, const char *user, struct identity *who, struct error **err)
{
	struct passwd_entry entry = { 0 };
	AUTOFREE char *name = xstrndup(user, strcspn(user, ":"));
	const char *colon = strchr(user, ':');
	int is_number = parse_u32(name, &who->uid) == 0;
	int r = passwd_find(passwd ? passwd : "", is_number ? NULL : name, who->uid, &entry);
	if (r < 0 && !is_number)
		return error_set(err, EINVAL, "unable to find user %.64s: no matching entries in passwd file", name);
	if (r == 0) {
		who->uid = entry.uid;
		who->gid = entry.gid;
		who->home = xstrdup(entry.home);
		if (!colon) {
			gid_t list[COMMAND_GROUPS_MAX];
			who->group_count =
			    group_list(group ? group : "", entry.name, entry.gid, list, COMMAND_GROUPS_MAX);
			for (size_t i = 0; i < who->group_count; i++)
				who->groups[i] = list[i];
		}
		passwd_entry_done(&entry);
	}
	if (!colon)
		return 0;
	who->group_count = 0;
	r = add_group(who, group, colon + 1, err);
	if (r == 0)
		who->gid = who->groups[0];
	return r;
}

/* setresuid(2) takes the highest number for "no change": root. */
static int check_id(const struct idmap_extent *extents, size_t count, const char *what, uint32_t id, struct error **err)
{
	uint32_t outside, last = 0;
	if (id > INT32_MAX)
		return error_set(err, EINVAL, "uids and gids must be in range 0-%d", INT32_MAX);
	if (idmap_outside(extents, count, id, &outside))
		return 0;
	for (size_t i = 0; i < count; i++)
		last = MAX(last, extents[i].inside + extents[i].count - 1);
	return error_set(err, EINVAL, "%s %u is not among those of containers; choose one from 0 to %u", what, id,
	    last);
}

static int check_ids(const struct idmap *ids, const struct identity *who, struct error **err)
{
	int r = check_id(ids->uids, ids->uid_count, "uid", who->uid, err);
	if (r == 0)
		r = check_id(ids->gids, ids->gid_count, "gid", who->gid, err);
	for (size_t i = 0; r == 0 && i < who->group_count; i++)
		r = check_id(ids->gids, ids->gid_count, "gid", who->groups[i], err);
	return r;
}

static int resolve_user(const struct idmap *ids, int root, const char *user, const struct strv *more,
    struct identity *who, struct error **err)
{
	AUTOFREE char *passwd = NULL, *group = NULL;
	*who = (struct identity){ 0 };
	(void)rootfs_read(root, "/etc/passwd", &passwd);
	(void)rootfs_read(root, "/etc/group", &group);
	int r = find_user(passwd, group, user && *user ? user : "0", who, err);
	for (size_t i = 0; r == 0 && i < more->count; i++)
		r = add_group(who, group, more->items[i], err);
	if (r == 0)
		r = check_ids(ids, who, err);
	if (r < 0)
		free(TAKE_PTR(who->home));
	return r;
}

/* ---- the process ---- */

char *container_hostname(const struct container *c)
{
	const struct container *peer;
	struct utsname u;
	for (int hops = 0; hops < PEERS_MAX && (peer = container_network_peer(c)); hops++)
		c = peer;
	if (c->record.body.hostname)
		return xstrdup(c->record.body.hostname);
	if ((c->record.body.namespaces.host_uts || streq(container_network_mode(c), "host")) && uname(&u) == 0)
		return xstrdup(u.nodename);
	return xstrndup(c->record.id, SHORT_ID);
}

static void make_environment(const struct container *c, const struct identity *who, int terminal,
    const struct strv *more, struct strv *ret)
{
	AUTOFREE char *hostname = container_hostname(c);
	strv_setenv(ret, "PATH", default_path);
	strv_setenv(ret, "HOSTNAME", hostname);
	if (terminal)
		strv_setenv(ret, "TERM", "xterm");
	links_environment(c, ret);
	for (int own = 0; own < 2; own++) {
		const struct strv *list = own ? more : &c->record.body.env;
		for (size_t i = 0; list && i < list->count; i++) {
			const char *equals = strchr(list->items[i], '=');
			AUTOFREE char *key = xstrndup(list->items[i], strcspn(list->items[i], "="));
			strv_setenv(ret, key, equals ? equals + 1 : NULL);
		}
	}
	if (!strv_getenv(ret, "HOME"))
		strv_setenv(ret, "HOME", who->home ? who->home : "/");
}

static void fill_process(const struct docker_rights *rights, const struct identity *who, struct runtime_spec *s,
    struct rights_lists *lists)
{
	rights_fill_process(rights, lists, s);
	s->bounding_only = who->uid != 0;
	s->uid = who->uid;
	s->gid = who->gid;
	s->groups = who->groups;
	s->group_count = who->group_count;
}

int bundle_command(struct container *c, const struct bundle_command *wish, struct command *ret, struct error **err)
{
	static const struct strv none = { 0 };
	AUTOFREE char *run = path_join(ENGINE_RUN, c->record.id), *path = path_join(run, "root");
	AUTO_FD int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct docker_body *b = &c->record.body;
	const int own_user = wish->user && *wish->user;
	const char *directory =
	    wish->working_directory && *wish->working_directory ? wish->working_directory : b->working_dir;
	*ret = COMMAND_NONE;
	if (root < 0)
		return error_set_errno(err, errno, "cannot open the container's root");
	/* --group-add is for the container's own user. */
	int r = resolve_user(container_ids(c), root, own_user ? wish->user : b->user, own_user ? &none : &b->groups,
	    &ret->who, err);
	if (r < 0)
		return r;
	make_environment(c, &ret->who, wish->terminal, wish->env, &ret->env);
	ret->container = c;
	ret->words = wish->words;
	ret->directory = directory ? directory : "/";
	ret->capabilities = wish->privileged ? UINT64_MAX : b->rights.capabilities;
	ret->terminal = wish->terminal;
	ret->rows = wish->rows;
	ret->columns = wish->columns;
	return 0;
}

/* ---- files ---- */

static int write_text(const char *directory, const char *name, const char *text)
{
	AUTOFREE char *path = path_join(directory, name);
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : fd_write_full(fd, text, strlen(text));
}

/* A file of the machine's /etc; an empty text where there is none. */
static char *read_machine(const char *name)
{
	char *text = NULL;
	AUTO_FD int machine = open(ENGINE_MACHINE, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (machine < 0 || rootfs_read(machine, name, &text) < 0)
		return xstrdup("");
	return text;
}

/* Without namespaces of its own it is in the machine's network. */
static int shares_network(const struct container *c)
{
	return c->namespaces.network < 0;
}

static int write_resolv(const struct container *c, const struct container_names *names, const char *directory)
{
	AUTOFREE char *text = read_machine("/etc/resolv.conf");
	AUTO_RESOLV struct resolv machine = { 0 };
	const struct resolv outer = { .nameservers = c->engine->nameservers };
	resolv_read(text, &machine);
	AUTOFREE char *own = c->resolver ? container_resolv_own(names, &machine) :
					   container_resolv_text(names, &machine, &outer, !shares_network(c));
	return write_text(directory, "resolv.conf", own);
}

/* The host's address that a container reaches, and its names there: host.holm.internal is the
 * loopback alone. */
static void add_host(const struct container *c, struct container_hosts *h)
{
	const struct engine *e = c->engine;
	if (!shares_network(c) && !c->address)
		return;
	h->host_gateway = e->host ? e->host : e->outward;
	if (e->host)
		h->host_names = "host.docker.internal host.containers.internal host.holm.internal";
	else if (!shares_network(c))
		h->host_names = "host.docker.internal host.containers.internal";
}

static int write_hosts(const struct container *c, const struct container_names *names, const char *hostname,
    const char *directory, struct error **err)
{
	char address[ADDRESS_TEXT_MAX];
	AUTOFREE char *machine = shares_network(c) ? read_machine("/etc/hosts") : NULL, *text = NULL;
	AUTO_STRV struct strv lines = { 0 };
	address_format(c->address, address);
	endpoints_hosts(c, hostname, &lines);
	struct container_hosts h = {
		.lines = &lines,
		.hostname = hostname,
		.address = c->address ? address : NULL,
		.machine = machine,
	};
	add_host(c, &h);
	int r = container_hosts_text(names, &h, &text, err);
	return r < 0 ? r : write_text(directory, "hosts", text);
}

/* A container in another one's network has the same files. */
static int link_etc(const struct container *peer, const char *directory, struct error **err)
{
	AUTOFREE char *other = path_join(ENGINE_RUN, peer->record.id);
	for (size_t i = 0; i < ARRAY_SIZE(etc_files); i++) {
		AUTOFREE char *from = path_join(other, etc_files[i]), *to = path_join(directory, etc_files[i]);
		unlink(to);
		if (link(from, to) < 0)
			return error_set_errno(err, errno, "cannot share the other container's %s", etc_files[i]);
	}
	return 0;
}

/* With the domain, as Docker's /etc/hosts has it. */
static char *whole_hostname(const struct container *c, const char *hostname)
{
	const char *domain = c->record.body.domainname;
	return domain ? xasprintf("%s.%s", hostname, domain) : xstrdup(hostname);
}

static int write_etc(const struct container *c, const char *directory, struct error **err)
{
	AUTO_CONTAINER_NAMES struct container_names names = { 0 };
	AUTOFREE char *hostname = container_hostname(c), *line = xasprintf("%s\n", hostname),
		      *whole = whole_hostname(c, hostname);
	struct json_object *host = NULL;
	const struct container *peer = container_network_peer(c);
	if (peer)
		return link_etc(peer, directory, err);
	int r = json_get_object(c->record.data, "HostConfig", &host, err);
	if ((r < 0 && r != -ENOENT) || (r = container_names_read(&names, host, err)) < 0 ||
	    (r = write_hosts(c, &names, whole, directory, err)) < 0)
		return r;
	if ((r = write_resolv(c, &names, directory)) < 0 || (r = write_text(directory, "hostname", line)) < 0)
		return error_set_errno(err, r, "cannot write the container's files of /etc");
	return 0;
}

void bundle_refresh_names(const struct container *c)
{
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *directory = path_join(ENGINE_RUN, c->record.id);
	int r = write_etc(c, directory, &err);
	if (r < 0)
		log_warning("container %.12s: its hosts and resolv.conf are as before: %s", c->record.id,
		    error_text(err, r));
}

/* The working directory is made where the image has none, as root's of the container. */
static int make_working_directory(const struct container *c, int root, struct error **err)
{
	const char *path = c->record.body.working_dir;
	if (!path || rootfs_exists(root, path))
		return 0;
	AUTO_FD int made = rootfs_mkdir(root, path, 0755, err);
	if (made < 0)
		return made;
	const struct idmap *ids = container_ids(c);
	return fchownat(made, "", ids->uids[0].outside, ids->gids[0].outside, AT_EMPTY_PATH) < 0 ?
		   error_set_errno(err, errno, "cannot make the working directory") :
		   0;
}

/* ---- config.json ---- */

/* /dev/shm, which other containers may share. */
static size_t add_shm(const struct container *c, struct runtime_mount *to, struct strv *texts)
{
	uint64_t wish = c->record.body.rights.shm_size;
	AUTOFREE char *shared = container_shm_path(c);
	if (c->record.body.namespaces.ipc == DOCKER_IPC_NONE)
		return 0;
	if (shared) {
		strv_add(texts, shared);
		*to = (struct runtime_mount){ "/dev/shm", "bind", texts->items[texts->count - 1],
			"bind,rprivate,nosuid,nodev,noexec" };
		return 1;
	}
	strv_addf(texts, "nosuid,nodev,noexec,mode=1777,size=%llu",
	    (unsigned long long)(wish ? wish : ENGINE_SHM_SIZE));
	*to = (struct runtime_mount){ "/dev/shm", "tmpfs", "shm", texts->items[texts->count - 1] };
	return 1;
}

/* Docker's own mounts, those that the container's take the place of left out, and then these. */
static size_t add_mounts(const struct container *c, const char *const etc[3], struct runtime_mount *to,
    struct strv *texts)
{
	const struct idmap *ids = container_ids(c);
	const struct docker_rights *rights = &c->record.body.rights;
	const struct runtime_mount base[] = {
		{ "/proc", "proc", "proc", "nosuid,noexec,nodev" },
		{ "/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=0755,size=65536k" },
		{ "/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev" },
	};
	static const char *const etc_names[] = { "/etc/resolv.conf", "/etc/hosts", "/etc/hostname" };
	uint32_t tty;
	size_t n = 0;
	for (size_t i = 0; i < ARRAY_SIZE(base); i++)
		to[n++] = base[i];
	n += add_shm(c, to + n, texts);
	to[n++] = (struct runtime_mount){ "/dev/pts", "devpts", "devpts",
		idmap_outside(ids->gids, ids->gid_count, TTY_GROUP, &tty) ?
		    "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5" :
		    "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620" };
	/* A new sysfs shows the network of the container; the machine's is bound as it is. */
	to[n++] = !shares_network(c) ? (struct runtime_mount){ "/sys", "sysfs", "sysfs",
		rights->privileged ? "nosuid,noexec,nodev" : "nosuid,noexec,nodev,ro" } :
				       (struct runtime_mount){ "/sys", "bind", "/sys", "rbind,nosuid,noexec,nodev,ro" };
	if (c->engine->limits & DOCKER_LIMIT_CGROUP)
		to[n++] = (struct runtime_mount){ "/sys/fs/cgroup", "cgroup", "cgroup",
			rights->privileged ? "nosuid,noexec,nodev" : "nosuid,noexec,nodev,ro" };
	for (size_t i = 0; i < ARRAY_SIZE(etc_names); i++)
		to[n++] = (struct runtime_mount){ etc_names[i], "bind", etc[i], "bind,rprivate" };
	n += rights_mounts(rights, to + n);
	size_t kept = 0;
	for (size_t i = 0; i < n; i++)
		if (!mounts_replace(c, to[i].destination))
			to[kept++] = to[i];
	return kept + mounts_add(c, to + kept, texts);
}

static void copy_ids(const struct idmap_extent *from, size_t count, struct runtime_ids *to)
{
	for (size_t i = 0; i < count; i++)
		to[i] = (struct runtime_ids){ from[i].inside, from[i].outside, from[i].count };
}

/* The path by which crun finds a descriptor of this process; owned, NULL for none. */
static char *descriptor_path(int fd)
{
	return fd < 0 ? NULL : xasprintf("/proc/%d/fd/%d", getpid(), fd);
}

/* more: variables of this start alone. */
static struct json_object *make_spec(struct container *c, const struct identity *who, const struct strv *more,
    const char *directory)
{
	const struct docker_body *b = &c->record.body;
	const struct docker_namespaces *shared = &b->namespaces;
	const struct idmap *ids = container_ids(c);
	AUTOFREE char *hostname = container_hostname(c), *root = path_join(directory, "root"),
		      *etc_resolv = path_join(directory, "resolv.conf"), *etc_hosts = path_join(directory, "hosts"),
		      *etc_hostname = path_join(directory, "hostname");
	const char *const etc[] = { etc_resolv, etc_hosts, etc_hostname };
	struct rights_lists lists;
	struct runtime_mount mounts[MOUNTS_MAX];
	struct runtime_ids uids[IDMAP_EXTENTS_MAX], gids[IDMAP_EXTENTS_MAX];
	AUTO_STRV struct strv arguments = { 0 }, environment = { 0 }, texts = { 0 };
	AUTOFREE char *user = descriptor_path(c->namespaces.user), *network = descriptor_path(c->namespaces.network),
		      *ipc = descriptor_path(c->ipc), *pids = descriptor_path(c->pids);
	AUTOFREE char *cgroup = c->engine->limits & DOCKER_LIMIT_CGROUP ? container_cgroup_path(c) : NULL;
	if (b->rights.init) {
		strv_add(&arguments, RIGHTS_INIT);
		strv_add(&arguments, "--");
	}
	strv_add_all(&arguments, &b->entrypoint);
	strv_add_all(&arguments, &b->command);
	make_environment(c, who, b->tty, more, &environment);
	copy_ids(ids->uids, ids->uid_count, uids);
	copy_ids(ids->gids, ids->gid_count, gids);
	struct runtime_spec s = {
		.root = root,
		.terminal = b->tty,
		.rows = b->rows,
		.columns = b->columns,
		.read_only_root = b->read_only,
		.hostname = shared->host_uts ? NULL : hostname,
		.domainname = shared->host_uts ? NULL : b->domainname,
		.annotations = b->annotations,
		.arguments = &arguments,
		.environment = &environment,
		.working_directory = b->working_dir ? b->working_dir : "/",
		.cgroups_path = cgroup,
		.namespaces = RUNTIME_PID | RUNTIME_MOUNT | RUNTIME_IPC | RUNTIME_USER |
			      (shared->host_uts ? 0 : RUNTIME_UTS) | (b->limits.host_cgroupns ? 0 : RUNTIME_CGROUP) |
			      (shares_network(c) ? 0 : RUNTIME_NETWORK),
		.user_namespace = user,
		.network_namespace = network,
		.ipc_namespace = ipc,
		.pid_namespace = pids,
		.propagation = "rprivate",
		.mounts = mounts,
		.mount_count = add_mounts(c, etc, mounts, &texts),
		.uids = uids,
		.uid_count = user ? 0 : ids->uid_count,
		.gids = gids,
		.gid_count = user ? 0 : ids->gid_count,
	};
	s.oom_score = b->limits.oom_score_adj;
	rights_fill_container(&b->rights, &s);
	fill_process(&b->rights, who, &s, &lists);
	/* crun shows itself to the processes of the PID namespace that it joins, and one that may
	 * trace would get the engine's mounts. The starter hides. */
	int plain = shared->userns == DOCKER_USERNS_CONTAINERS && shared->ipc == DOCKER_IPC_PRIVATE &&
		    !shared->pid_container && !shared->host_uts;
	c->by_starter = pids || (plain && s.user_namespace);
	return runtime_spec_new(&s);
}

int bundle_write(struct container *c, struct error **err)
{
	AUTOFREE char *directory = path_join(ENGINE_RUN, c->record.id), *path = path_join(directory, "root");
	AUTO_STRV struct strv more = { 0 };
	struct identity who;
	AUTO_FD int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return error_set_errno(err, errno, "cannot open the container's root");
	int r = resolve_user(container_ids(c), root, c->record.body.user, &c->record.body.groups, &who, err);
	if (r < 0)
		return r;
	AUTOFREE char *home UNUSED = who.home;
	const struct idmap *ids = container_ids(c);
	(void)idmap_outside(ids->uids, ids->uid_count, who.uid, &c->user);
	(void)idmap_outside(ids->gids, ids->gid_count, who.gid, &c->group);
	if ((r = rights_prepare(&c->record.body.rights, err)) < 0 || (r = make_working_directory(c, root, err)) < 0 ||
	    (r = files_env(c, &more, err)) < 0)
		return r;
	AUTO_JSON struct json_object *spec = make_spec(c, &who, &more, directory);
	AUTOFREE char *text = json_to_string(spec, 0);
	r = write_text(directory, "config.json", text);
	if (r < 0)
		return error_set_errno(err, r, "cannot write the container's bundle");
	return write_etc(c, directory, err);
}
