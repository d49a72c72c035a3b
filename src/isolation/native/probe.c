/* SPDX-License-Identifier: Apache-2.0
 * Trying costs some ten milliseconds and a few processes, so that it worked is kept in the runtime
 * folder, with a key of what it depends on: this boot, the kernel's settings, the mapping, the
 * programs, the data folder's file system. That it did not work is not kept: whoever follows the
 * advice sees it at once. */
#include "isolation/native/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/spawn.h"
#include "base/strv.h"
#include "isolation/find.h"
#include "isolation/native/probe_inside.h"
#include "isolation/native/tree.h"

enum { SETTING_MAX = 128, CACHE_MAX = 2048 };

const char *const native_fact_names[NATIVE_FACT_COUNT] = {
	[NATIVE_USERNS] = "user-namespaces",
	[NATIVE_NESTED] = "nested-user-namespaces",
	[NATIVE_OVERLAY] = "overlayfs",
	[NATIVE_PROC] = "new-proc",
	[NATIVE_SYSFS] = "new-sysfs",
};

/* ---- trying ---- */

/* The nearest folder on the way to the data folder that is there: what is tried there counts for
 * the data folder. */
static char *existing_data_dir(void)
{
	char *path = path_data_dir();
	while (!path_exists(path) && !streq(path, "/")) {
		char *parent = path_parent(path);
		free(path);
		path = parent;
	}
	return path;
}

static _Noreturn void supervise(const struct idmap *map, struct probe_inside *inside, struct native_facts *facts)
{
	AUTO_ERROR struct error *err = NULL;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int r = idmap_run(map, probe_inside, inside, &err);
	facts->codes[NATIVE_USERNS] = -r;
	if (r < 0)
		snprintf(facts->text, sizeof facts->text, "%s", error_text(err, r));
	_exit(0);
}

static void wait_until(pid_t pid, uint64_t deadline_ms)
{
	int status;
	AUTO_FD int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0 || fd_wait(pidfd, POLLIN, deadline_ms) <= 0)
		kill(pid, SIGKILL);
	spawn_wait(pid, &status);
}

static void try_in(const struct idmap *map, const char *folder, struct native_facts *shared)
{
	struct probe_inside inside = { .facts = shared };
	AUTO_FD int directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	inside.folder = directory;
	pid_t pid = directory < 0 ? -1 : fork();
	if (pid == 0)
		supervise(map, &inside, shared);
	if (pid > 0)
		wait_until(pid, clock_deadline(NATIVE_PROBE_DEADLINE_MS));
}

void native_try(const struct idmap *map, struct native_facts *ret)
{
	*ret = (struct native_facts){ 0 };
	for (size_t i = 0; i < NATIVE_FACT_COUNT; i++)
		ret->codes[i] = i == NATIVE_USERNS ? ETIMEDOUT : ECANCELED;
	struct native_facts *shared =
	    mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return;
	*shared = *ret;
	AUTOFREE char *data = existing_data_dir(), *folder = path_join(data, ".holm-probe-XXXXXX");
	int made = mkdtemp(folder) != NULL;
	if (!made) {
		shared->codes[NATIVE_USERNS] = errno;
		snprintf(shared->text, sizeof shared->text, "cannot write to %s: %s", data, strerror(errno));
	} else if (native_tree_hand_over(folder, NULL) == 0) {
		try_in(map, folder, shared);
	}
	if (made && rmdir(folder) < 0)
		native_tree_remove(folder, NULL);
	*ret = *shared;
	ret->text[sizeof ret->text - 1] = '\0';
	munmap(shared, sizeof *shared);
}

/* ---- explaining ---- */

static char *read_setting(const char *name)
{
	AUTOFREE char *path = xasprintf("/proc/sys/%s", name);
	char *text = NULL;
	if (path_read_file(path, SETTING_MAX, &text, NULL) < 0)
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	return text;
}

/* The kernel's switches against user namespaces: Debian's, everybody's, Ubuntu's. */
static const struct {
	const char *name, *bad, *fix;
} switches[] = {
	{ "kernel/unprivileged_userns_clone", "0", "sudo sysctl -w kernel.unprivileged_userns_clone=1" },
	{ "user/max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=15000" },
	{ "kernel/apparmor_restrict_unprivileged_userns", "1",
	    "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0" },
};

static char *userns_fix(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(switches); i++) {
		AUTOFREE char *value = read_setting(switches[i].name);
		/* root is not asked by the first and the last */
		if (streq(value, switches[i].bad) && (geteuid() != 0 || i == 1))
			return xasprintf("%s (a file in /etc/sysctl.d keeps it over a reboot)", switches[i].fix);
	}
	return xstrdup("in a container, let it make user namespaces (a seccomp profile that allows them); else a "
		       "kernel with CONFIG_USER_NS");
}

void native_explain(const struct native_facts *facts, enum native_fact f, char **ret_detail, char **ret_fix)
{
	static const char *const works[] = { "can be made, with the mapping of your ids", "can be made",
		"works in the data folder", "can be mounted", "can be mounted" };
	int code = facts->codes[f];
	AUTOFREE char *data = f == NATIVE_OVERLAY ? path_data_dir() : NULL;
	*ret_fix = NULL;
	*ret_detail = NULL;
	if (code == 0) {
		*ret_detail = xstrdup(works[f]);
	} else if (code == ECANCELED) {
		*ret_detail = xstrdup("not tried, as what it stands on does not work");
	} else if (f == NATIVE_USERNS || f == NATIVE_NESTED) {
		*ret_detail =
		    xasprintf("cannot be made: %s", f == NATIVE_USERNS && *facts->text ? facts->text : strerror(code));
		*ret_fix = userns_fix();
	} else if (f == NATIVE_OVERLAY && code == EXDEV) {
		*ret_detail = xasprintf("the data folder %s is on overlayfs itself, which cannot carry another", data);
		*ret_fix =
		    xstrdup("set XDG_DATA_HOME to a folder on another file system (in a container: on a volume)");
	} else if (f == NATIVE_OVERLAY && code == EOPNOTSUPP) {
		*ret_detail = xasprintf("the file system of the data folder %s has no user.* attributes", data);
		*ret_fix = xstrdup("set XDG_DATA_HOME to a folder on ext4, xfs or btrfs");
	} else if (f == NATIVE_OVERLAY) {
		*ret_detail = xasprintf("cannot be mounted in a user namespace, with the data folder %s: %s", data,
		    strerror(code));
		*ret_fix = xstrdup("a kernel of 5.11 or newer with overlayfs, and a data folder on ext4, xfs or btrfs");
	} else {
		*ret_detail =
		    xasprintf("cannot be mounted: %s, as in containers that hide parts of it", strerror(code));
		*ret_fix = xstrdup("start the container around holm with an unmasked /proc and /sys (podman: "
				   "--security-opt unmask=ALL), or use the host");
	}
}

/* ---- the cache ---- */

char *native_find_program(const char *name, const char *package, struct error **err)
{
	char *path = isolation_find_program(name);
	if (!path)
		error_set(err, ENOENT, "%s is missing; install the package %s", name, package);
	return path;
}

static void add_file(struct strv *parts, const char *path)
{
	struct stat st = { 0 };
	if (stat(path, &st) == 0)
		strv_addf(parts, "%llx.%llx", (unsigned long long)st.st_mtim.tv_sec, (unsigned long long)st.st_size);
}

static char *cache_key(const struct idmap *map, const char *crun)
{
	AUTO_STRV struct strv parts = { 0 };
	AUTOFREE char *boot = read_setting("kernel/random/boot_id"), *tag = idmap_tag(map), *data = existing_data_dir();
	struct stat st = { 0 };
	if (!boot || stat(data, &st) < 0)
		return NULL;
	strv_addf(&parts, "v1 %s %s %llx", boot, tag, (unsigned long long)st.st_dev);
	for (size_t i = 0; i < ARRAY_SIZE(switches); i++) {
		AUTOFREE char *value = read_setting(switches[i].name);
		strv_add(&parts, value ? value : "-");
	}
	add_file(&parts, crun);
	return strv_join(&parts, " ");
}

static char *cache_path(void)
{
	AUTOFREE char *directory = NULL;
	return path_runtime_dir(&directory, NULL) < 0 ? NULL : path_join(directory, "native-probe");
}

static int judge(const struct native_facts *facts, struct error **err)
{
	for (int i = 0; i < NATIVE_FACT_COUNT; i++) {
		AUTOFREE char *detail = NULL, *fix = NULL;
		if (facts->codes[i] == 0)
			continue;
		native_explain(facts, (enum native_fact)i, &detail, &fix);
		return error_set(err, EOPNOTSUPP, "%s: %s%s%s", native_fact_names[i], detail,
		    fix ? "; to have it: " : "", fix ? fix : "");
	}
	return 0;
}

static int has_helpers(const struct idmap *map, struct error **err)
{
	static const char *const names[] = { "newuidmap", "newgidmap" };
	for (size_t i = 0; i < ARRAY_SIZE(names) && !map->single && !map->by_root; i++) {
		AUTOFREE char *path = native_find_program(names[i], "uidmap", err);
		if (!path)
			return -ENOENT;
	}
	return 0;
}

int native_works(struct idmap *ret_map, struct error **err)
{
	struct idmap map;
	struct native_facts facts;
	if (streq(getenv("HOLM_NATIVE"), "0"))
		return error_set(err, EOPNOTSUPP, "HOLM_NATIVE=0 in the environment rules it out");
	int r = idmap_of_user_or_single(&map, err);
	if (r >= 0)
		r = has_helpers(&map, err);
	if (r < 0)
		return r;
	if (ret_map)
		*ret_map = map;
	AUTOFREE char *crun = native_find_program("crun", "crun", err);
	if (!crun)
		return -ENOENT;
	AUTOFREE char *key = cache_key(&map, crun), *path = cache_path(), *known = NULL;
	if (key && path && path_read_file(path, CACHE_MAX, &known, NULL) == 0 && streq(known, key))
		return 0;
	native_try(&map, &facts);
	r = judge(&facts, err);
	if (r >= 0 && key && path)
		atomic_file_write(path, 0600, key, strlen(key), NULL);
	return r;
}
