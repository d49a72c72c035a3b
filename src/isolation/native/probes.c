/* SPDX-License-Identifier: Apache-2.0
 * The probes of `holm system info` for machines in namespaces. One child with a deadline tries the
 * namespaces; the rest is read. The text of a probe says whether a machine needs the feature, or
 * only loses something without it (network, limits). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/strv.h"
#include "isolation/find.h"
#include "isolation/native/cgroup_path.h"
#include "isolation/native/inotify.h"
#include "isolation/native/probe.h"
#include "isolation/native/tun.h"
#include "isolation/probes.h"

enum { MOUNTS_MAX = 1 << 20, CGROUP_TEXT_MAX = 4096 };

static void add(struct json_object *probes, const char *name, int ok, const char *detail, const char *fix)
{
	probe_add(probes, "native", name, ok, detail, fix);
}

/* ---- ids ---- */

/* *ret: 1 where there is a mapping to go on with. */
static void probe_ids(struct json_object *probes, struct idmap *map, int *ret)
{
	AUTO_ERROR struct error *err = NULL;
	int r = idmap_of_user(map, &err);
	if (r >= 0) {
		AUTOFREE char *text = idmap_format(map->uids, map->uid_count, ' '),
			      *detail = xasprintf("inside, outside, count: %s", text);
		add(probes, "subordinate-ids", 1, detail, NULL);
		*ret = 1;
		return;
	}
	const char *text = error_text(err, r), *command = strstr(text, "; to add one: ");
	AUTOFREE char *detail = xstrndup(text, command ? (size_t)(command - text) : strlen(text));
	add(probes, "subordinate-ids", 0, detail,
	    command ? command + strlen("; to add one: ") : "correct /etc/subuid and /etc/subgid");
	*ret = idmap_of_user_or_single(map, NULL) >= 0;
}

/* They work with the setuid bit or with a file capability. */
static void probe_helper(struct json_object *probes, const char *name)
{
	AUTOFREE char *path = isolation_find_program(name);
	struct stat st;
	if (!path || stat(path, &st) < 0)
		return probe_add_program(probes, "native", name, "uidmap", "no subordinate ids for ordinary users");
	int able = (st.st_mode & S_ISUID && st.st_uid == 0) || getxattr(path, "security.capability", NULL, 0) > 0;
	AUTOFREE char *plain = xasprintf("%s has lost its setuid bit", path),
		      *fix = xasprintf("sudo chmod u+s %s", path);
	add(probes, name, able, able ? path : plain, fix);
}

/* ---- namespaces ---- */

static void probe_namespaces(struct json_object *probes, const struct idmap *map)
{
	struct native_facts facts;
	native_try(map, &facts);
	for (int i = 0; i < NATIVE_FACT_COUNT; i++) {
		AUTOFREE char *detail = NULL, *fix = NULL;
		native_explain(&facts, (enum native_fact)i, &detail, &fix);
		add(probes, native_fact_names[i], facts.codes[i] == 0, detail, fix);
	}
}

/* Root's files keep their owner inside by mounts that translate ids; a file system has to know how
 * (mount_setattr(2)). */
static void probe_idmapped_mounts(struct json_object *probes, const struct idmap *map)
{
	AUTOFREE char *home = path_home_dir();
	AUTO_ERROR struct error *err = NULL;
	AUTO_FD int ns = idmap_open_namespace(map, &err);
	AUTO_FD int tree = (int)syscall(SYS_open_tree, AT_FDCWD, home, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)(ns < 0 ? 0 : ns) };
	int code = ns < 0 ? -ns :
		   tree < 0 || syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0 ?
			    errno :
			    0;
	AUTOFREE char *detail =
	    code ? xasprintf("not on the file system of %s: %s", home, strerror(code)) : xasprintf("work on %s", home);
	add(probes, "idmapped-mounts", code == 0, detail,
	    "share directories of ext4, xfs, btrfs or tmpfs only, or be an ordinary user");
}

/* ---- network ---- */

static void probe_network(struct json_object *probes, int single)
{
	probe_add_program(probes, "native", "pasta", "passt", "machines have no network");
	int code = native_tun_check(single);
	AUTOFREE char *detail =
	    code < 0 ? xasprintf("/dev/net/tun cannot be opened (%s): machines have no network", strerror(-code)) :
		       xstrdup("/dev/net/tun can be opened");
	add(probes, "tun", code == 0, detail, native_tun_fix(code));
}

/* ---- limits ---- */

/* Says how many machines with systemd still fit. */
static void probe_inotify(struct json_object *probes)
{
	int room = native_inotify_room(NATIVE_INOTIFY_MOST), machines = room / NATIVE_INOTIFY_MACHINE;
	AUTOFREE char *detail =
	    xasprintf("%d instances are left to you: enough for %d more machines with systemd at once", room, machines);
	add(probes, "inotify", machines > 0, detail, native_inotify_fix);
}

static char *own_cgroup(void)
{
	AUTOFREE char *mounts = NULL, *cgroup = NULL;
	if (path_read_file("/proc/self/mountinfo", MOUNTS_MAX, &mounts, NULL) < 0 ||
	    path_read_file("/proc/self/cgroup", CGROUP_TEXT_MAX, &cgroup, NULL) < 0)
		return NULL;
	return cgroup_path_of(mounts, cgroup);
}

static char *controllers_of(const char *directory)
{
	AUTOFREE char *path = path_join(directory, "cgroup.controllers");
	char *text = NULL;
	if (path_read_file(path, CGROUP_TEXT_MAX, &text, NULL) < 0)
		return xstrdup("");
	text[strcspn(text, "\n")] = '\0';
	return text;
}

static int has_word(const char *words, const char *word)
{
	AUTO_STRV struct strv list = { 0 };
	strv_split(&list, words, " ");
	return strv_contains(&list, word);
}

/* The cgroup of the manager whose bus is there to be asked: the user's own, for root the system's.
 * Owned, or NULL. */
static char *manager_cgroup(void)
{
	if (geteuid() == 0)
		return path_exists("/run/systemd/system") && path_exists("/run/dbus/system_bus_socket") ?
			   xstrdup("/sys/fs/cgroup") :
			   NULL;
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	AUTOFREE char *bus =
	    runtime && *runtime ? path_join(runtime, "bus") : xasprintf("/run/user/%u/bus", (unsigned)geteuid());
	AUTOFREE char *path = xasprintf("/sys/fs/cgroup/user.slice/user-%u.slice/user@%u.service", (unsigned)geteuid(),
	    (unsigned)geteuid());
	return path_exists(bus) && path_exists(path) ? TAKE_PTR(path) : NULL;
}

static void probe_delegation(struct json_object *probes, const char *own)
{
	AUTOFREE char *manager = manager_cgroup();
	int writable = own && access(own, W_OK) == 0;
	if (!manager && !writable) {
		add(probes, "cgroup-delegation", 0,
		    "no cgroup that you may write to: machines run without limits for processors and memory",
		    "log in through systemd, or: loginctl enable-linger $USER");
		return;
	}
	AUTOFREE char *controllers = controllers_of(manager ? manager : own);
	int enough = has_word(controllers, "memory") && has_word(controllers, "cpu");
	const char *whose = !manager ? own : geteuid() == 0 ? "systemd" : "systemd's user manager";
	AUTOFREE char *detail = xasprintf("%s: %s%s", whose, *controllers ? controllers : "no controllers",
	    enough ? "" : "; limits for processors and memory need cpu and memory");
	add(probes, "cgroup-delegation", enough, detail,
	    manager && geteuid() != 0 ?
		"sudo systemctl edit user@.service, with [Service] Delegate=cpu cpuset io memory pids" :
		"boot with systemd.unified_cgroup_hierarchy=1");
}

static void probe_cgroups(struct json_object *probes)
{
	AUTOFREE char *own = own_cgroup(), *controllers = own ? controllers_of("/sys/fs/cgroup") : NULL;
	int pure = controllers && *controllers;
	const char *impure = own ? "in the hybrid layout, beside version 1: machines run without limits" :
				   "not mounted: machines run without limits";
	add(probes, "cgroup-v2", pure, pure ? controllers : impure, "boot with systemd.unified_cgroup_hierarchy=1");
	probe_delegation(probes, own);
}

void native_probes_add(struct json_object *probes)
{
	struct idmap map;
	int mapped;
	probe_ids(probes, &map, &mapped);
	if (geteuid() != 0) {
		probe_helper(probes, "newuidmap");
		probe_helper(probes, "newgidmap");
	}
	if (mapped)
		probe_namespaces(probes, &map);
	else
		add(probes, native_fact_names[NATIVE_USERNS], 0, "not tried without subordinate ids", NULL);
	probe_add_program(probes, "native", "crun", "crun", "no machines in namespaces");
	probe_network(probes, mapped && map.single);
	probe_cgroups(probes);
	probe_inotify(probes);
	if (geteuid() == 0 && mapped)
		probe_idmapped_mounts(probes, &map);
}
