/* SPDX-License-Identifier: Apache-2.0
 * See place.h.
 *
 * Problem. The engine needs what the image of a machine may not have (crun), and must not have what
 * root in the machine has not: the agent's files, its mounts, its processes.
 *
 * Idea. It leaves the agent as create-user.sh does (platform->leave): into the machine's user and
 * network namespaces and new ones of every other kind. Its mount namespace begins as a copy of the
 * agent's, in which everything is locked. It makes a tmpfs with clones of what it needs and goes
 * there; the rest stays behind.
 *
 * Steps:
 * 1. With the agent's rights: the containers' folder of the host as a detached mount, the program
 *    as a descriptor, and a cgroup.
 * 2. leave(): from here on it has the rights of the machine's root. It is process 1 of a pid
 *    namespace, so the engine and the containers end with it (monitor.h).
 * 3. The tmpfs: the programs of the host (read-only already), /dev, /proc and /sys, the machine's
 *    root at /machine, the folder at /containers. pivot_root(2).
 * 4. The confinement of a session, then execveat(2) of the monitor, which starts the engine: none
 *    of the agent's memory is left.
 *
 * Failures. The worker reports them, and nothing stays: all of it belongs to the process. */
#include "agent/engine/place.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/confine/confine.h"
#include "agent/core/cgroup.h"
#include "agent/core/mounts.h"
#include "agent/core/oom_score.h"
#include "agent/core/platform.h"
#include "agent/engine/engine.h"
#include "agent/engine/place_cgroup.h"
#include "base/alloc.h"
#include "base/fd.h"

#define PLACE "/tmp" /* of the new root, in the engine's own mount namespace */

/* The programs of the host, on any distribution. */
static const char *const taken[] = { "usr", "lib", "lib32", "lib64", "libx32", "bin", "sbin", "nix", "gnu", "etc",
	"dev" };

/* crun makes a copy of itself at each start unless it lies in a read-only place. */
static int make_read_only(int tree)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_RDONLY };
	return syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) < 0 ?
		   -errno :
		   0;
}

static int take_entry(const char *name)
{
	char target[256];
	AUTOFREE char *from = xasprintf("/%s", name);
	ssize_t size = readlink(from, target, sizeof target - 1);
	if (size > 0) {
		target[size] = '\0';
		return symlink(target, name) < 0 ? -errno : 0;
	}
	AUTO_FD int tree =
	    (int)syscall(SYS_open_tree, AT_FDCWD, from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (tree < 0)
		return errno == ENOENT ? 0 : -errno;
	int r = streq(name, "dev") ? 0 : make_read_only(tree);
	if (r < 0)
		return r;
	return mkdir(name, 0755) < 0 || syscall(SYS_move_mount, tree, "", AT_FDCWD, name, MOVE_MOUNT_F_EMPTY_PATH) < 0 ?
		   -errno :
		   0;
}

static int put(int tree, const char *name)
{
	return mkdir(name, 0700) < 0 || syscall(SYS_move_mount, tree, "", AT_FDCWD, name, MOVE_MOUNT_F_EMPTY_PATH) < 0 ?
		   -errno :
		   0;
}

/* A VM's own leave() leaves this to whoever needs it. */
static int mount_kernel(const struct platform *p)
{
	enum { FLAGS = MS_NOSUID | MS_NODEV | MS_NOEXEC };
	AUTO_FD int root = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root >= 0 && p->mount_kernel)
		return p->mount_kernel(root);
	return root < 0 || mount("proc", "proc", "proc", FLAGS, NULL) < 0 ||
		       mount("sysfs", "sys", "sysfs", FLAGS, NULL) < 0 ?
		   -errno :
		   0;
}

/* crun mounts a container's /sys writable first, and then read-only. The kernel lets it have one
 * only beside one like it (mount_namespaces(7)). Its files are the host's root's in any case. */
static int open_sysfs(void)
{
	struct mount_attr attributes = { .attr_clr = MOUNT_ATTR_RDONLY };
	return syscall(SYS_mount_setattr, AT_FDCWD, "sys", 0, &attributes, sizeof attributes) < 0 ? -errno : 0;
}

/* crun looks for a cgroup file system, also where it is told to leave cgroups alone. Where none can
 * be mounted, the agent's serves. */
static int put_cgroup(void)
{
	if (mount("cgroup2", "sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0)
		return 0;
	AUTO_FD int tree =
	    (int)syscall(SYS_open_tree, AT_FDCWD, "/sys/fs/cgroup", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	return tree < 0 || syscall(SYS_move_mount, tree, "", AT_FDCWD, "sys/fs/cgroup", MOVE_MOUNT_F_EMPTY_PATH) < 0 ?
		   -errno :
		   0;
}

static int make_root(const struct platform *p, int containers, struct error **err)
{
	AUTO_FD int machine = mounts_clone(AGENT_ROOT, err);
	if (machine < 0)
		return machine;
	if (mount("tmpfs", PLACE, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") < 0 || chdir(PLACE) < 0)
		return error_set_errno(err, errno, "cannot mount the engine's root");
	int r = 0;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(taken); i++)
		r = take_entry(taken[i]);
	if (r == 0)
		r = put(machine, "machine");
	if (r == 0)
		r = put(containers, "containers");
	if (r == 0 &&
	    (mkdir("proc", 0555) < 0 || mkdir("sys", 0555) < 0 || mkdir("run", 0755) < 0 || mkdir("tmp", 0700) < 0))
		r = -errno;
	if (r == 0)
		r = mount_kernel(p);
	if (r == 0)
		r = open_sysfs();
	if (r == 0)
		r = put_cgroup();
	if (r == 0 && (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0))
		r = -errno;
	return r < 0 ? error_set_errno(err, r, "cannot make the engine's root") : 0;
}

/* ---- the argument ---- */

static void add_ids(struct json_object *o, const char *key, const struct idmap_extent *extents, size_t count)
{
	struct json_object *list = json_object_new_array();
	for (size_t i = 0; i < count; i++) {
		const uint32_t numbers[] = { extents[i].inside, extents[i].outside, extents[i].count };
		struct json_object *one = json_object_new_array();
		for (size_t k = 0; k < ARRAY_SIZE(numbers); k++)
			json_object_array_add(one, json_object_new_int64(numbers[k]));
		json_object_array_add(list, one);
	}
	json_add(o, key, list);
}

static char *make_go(const struct engine_place *p, int has_cgroup)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	struct idmap ids, own;
	p->agent->platform->container_ids(&p->agent->boot->user, &ids);
	const struct boot_user *user = &p->agent->boot->user;
	json_add_string(o, "crun", p->crun);
	json_add_u64(o, "uid", user->name ? user->uid : 0);
	json_add_u64(o, "gid", user->name ? user->gid : 0);
	json_add_bool(o, "cgroup", has_cgroup);
	const struct boot_network *network = &p->agent->boot->network;
	if (network->host)
		json_add_string(o, "host", network->host);
	if (network->outward)
		json_add_string(o, "outward", network->outward);
	json_add_strv(o, "nameservers", &p->agent->boot->resolv.nameservers);
	add_ids(o, "uids", ids.uids, ids.uid_count);
	add_ids(o, "gids", ids.gids, ids.gid_count);
	p->agent->platform->own_ids(&own);
	add_ids(o, "own_uids", own.uids, own.uid_count);
	add_ids(o, "own_gids", own.gids, own.gid_count);
	return json_to_string(o, 0);
}

static int parse_extents(struct json_object *o, const char *key, struct idmap_extent *ret, size_t *ret_count)
{
	struct json_object *list = NULL;
	size_t count = json_get_array(o, key, &list, NULL) < 0 ? 0 : json_object_array_length(list);
	if (count == 0 || count > IDMAP_EXTENTS_MAX)
		return -EPROTO;
	for (size_t i = 0; i < count; i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		if (!json_object_is_type(one, json_type_array) || json_object_array_length(one) != 3)
			return -EPROTO;
		uint32_t numbers[3];
		for (size_t k = 0; k < 3; k++)
			numbers[k] = (uint32_t)json_object_get_int64(json_object_array_get_idx(one, k));
		ret[i] = (struct idmap_extent){ numbers[0], numbers[1], numbers[2] };
	}
	*ret_count = count;
	return 0;
}

int engine_place_parse_ids(struct json_object *go, int own, struct idmap *ret, struct error **err)
{
	struct idmap m = { 0 };
	int r = parse_extents(go, own ? "own_uids" : "uids", m.uids, &m.uid_count);
	if (r == 0)
		r = parse_extents(go, own ? "own_gids" : "gids", m.gids, &m.gid_count);
	if (r < 0)
		return error_set_errno(err, r, "the agent named no ids");
	m.single = m.uid_count == 1 && m.uids[0].count == 1;
	*ret = m;
	return 0;
}

/* ---- the way ---- */

/* The channel and the connections get their numbers; nothing else is left open. */
static int execute(int program, int channel, int connections, char *go, struct error **err)
{
	char *const argv[] = { (char *)"holm-monitor", (char *)"--monitor", go, NULL };
	char *const environment[] = { (char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	AUTO_FD int a = fcntl(channel, F_DUPFD_CLOEXEC, 10);
	AUTO_FD int b = fcntl(connections, F_DUPFD_CLOEXEC, 10);
	AUTO_FD int c = fcntl(program, F_DUPFD_CLOEXEC, 10);
	if (a < 0 || b < 0 || c < 0 || dup2(a, ENGINE_CHANNEL) < 0 || dup2(b, ENGINE_CONNECTIONS) < 0)
		return error_set_errno(err, errno, "cannot place the engine's descriptors");
	fd_close_from(ENGINE_CONNECTIONS + 1, &c, 1);
	syscall(SYS_execveat, c, "", argv, environment, AT_EMPTY_PATH);
	return error_set_errno(err, errno, "cannot execute the engine");
}

int engine_place(int channel, void *place, struct error **err)
{
	const struct engine_place *p = place;
	const struct platform *platform = p->agent->platform;
	AUTO_FD int program = open(platform->own_program, O_RDONLY | O_CLOEXEC);
	AUTO_FD int containers = platform->open_containers(p->agent->boot, err);
	AUTO_PLACE_CGROUP struct place_cgroup group = PLACE_CGROUP_NONE;
	if (containers < 0)
		return containers;
	if (program < 0)
		return error_set_errno(err, errno, "cannot open %s", platform->own_program);
	place_cgroup_make(&group);
	(void)oom_score_set(OOM_SCORE_ENGINE);
	int r = platform->leave();
	if (r == 0 && platform->contain)
		r = platform->contain();
	if (r < 0)
		return error_set_errno(err, r, "cannot enter the machine");
	/* Its own UTS namespace begins with the agent's name: the host's, or in a VM none. */
	if (p->agent->boot->hostname && sethostname(p->agent->boot->hostname, strlen(p->agent->boot->hostname)) < 0)
		return error_set_errno(err, errno, "cannot set the engine's host name");
	int has_cgroup = place_cgroup_enter(&group);
	AUTOFREE char *go = make_go(p, has_cgroup);
	r = make_root(platform, containers, err);
	if (r == 0 && has_cgroup)
		cgroup_enable_controllers();
	if (r == 0 && platform->joined & CLONE_NEWUSER)
		r = confine_apply(err);
	return r < 0 ? r : execute(program, channel, p->connections, go, err);
}
