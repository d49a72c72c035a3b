/* SPDX-License-Identifier: Apache-2.0
 * The machine's cgroup: a directory that the user may write to, so that the agent can make more
 * below it, and whose limits only the keeper sets.
 *
 * Where its bus seems to be there, holm-scope asks systemd's user manager (root: the system's) for
 * a delegated scope around the agent. Else the directory is made in the keeper's own cgroup, where
 * that may be written. Else there is none, which is said and changes nothing but limits. The path
 * is kept in machines/NAME/native: what a killed keeper left is removed at the next start, or with
 * the machine. Names carry the machine's hash.
 *
 * That there are no limits is said once per machine: the text that was said last is kept beside it,
 * until there are limits again.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/spawn.h"
#include "isolation/native/cgroup_path.h"
#include "isolation/native/cgroup_tree.h"
#include "isolation/native/run.h"
#include "machine/settings.h"

enum {
	TEXT_MAX = 1024 * 1024,
	CPU_PERIOD_US = 100000,
	NAMES = 8,        /* tried, where one that is still in use has the first */
	REMOVE_MS = 2000, /* for processes that were killed to be gone */
	SYSTEMD_MS = 500, /* for systemd to remove an empty scope */
};

struct native_cgroup {
	int decided, is_scope;
	char *path; /* NULL: none */
	/* while it is being removed */
	int inotify;
	struct source *emptied, *deadline;
	int given_up, systemds_turn;
};

static char *path_of_process(const char *who)
{
	AUTOFREE char *file = xasprintf("/proc/%s/cgroup", who);
	AUTOFREE char *mounts = NULL, *cgroup = NULL;
	if (path_read_file("/proc/self/mountinfo", TEXT_MAX, &mounts, NULL) < 0 ||
	    path_read_file(file, TEXT_MAX, &cgroup, NULL) < 0)
		return NULL;
	return cgroup_path_of(mounts, cgroup);
}

/* ---- finding one ---- */

static void remember(struct isolation_run *run)
{
	AUTO_FD int fd = open(run->state, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || fd_write_full(fd, run->cgroup->path, strlen(run->cgroup->path)) < 0)
		log_warning("cannot write %s", run->state);
}

/* Its files belong to whoever made it. Root's agent is nobody in there, unless what is needed for
 * more below it is its own. */
static int hand_to_agent(struct isolation_run *run, const char *path)
{
	static const char *const files[] = { "", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads" };
	for (size_t i = 0; run->ids.by_root && i < ARRAY_SIZE(files); i++) {
		AUTOFREE char *file = path_join(path, files[i]);
		if (chown(file, run->ids.uids[0].outside, run->ids.gids[0].outside) < 0 && errno != ENOENT)
			return -errno;
	}
	return 0;
}

static int make_in(struct isolation_run *run, const char *parent)
{
	static const char *const controllers[] = { "+memory", "+cpu", "+pids", "+io" };
	AUTOFREE char *pid = xasprintf("%d", (int)run->first);
	int made = -EEXIST;
	AUTOFREE char *path = NULL;
	for (int i = 0; made == -EEXIST && i < NAMES; i++) {
		free(path);
		path =
		    i ? xasprintf("%s/holm-%s-%d", parent, run->hash, i) : xasprintf("%s/holm-%s", parent, run->hash);
		made = mkdir(path, 0755) < 0 ? -errno : 0;
		if (made != -EEXIST)
			break;
		cgroup_write(path, "cgroup.kill", "1");
		if (cgroup_tree_remove(&run->ids, path) == 0)
			made = mkdir(path, 0755) < 0 ? -errno : 0;
	}
	if (made < 0)
		return made;
	/* The umask of the keeper is strict; the agent's own ids may look at it. */
	int result = chmod(path, 0755) < 0 ? -errno : hand_to_agent(run, path);
	/* The kernel lets only the root cgroup have processes and pass its controllers down. There,
	 * limits become possible. */
	for (size_t i = 0; i < ARRAY_SIZE(controllers); i++)
		cgroup_write(parent, "cgroup.subtree_control", controllers[i]);
	if (result >= 0)
		result = cgroup_write(path, "cgroup.procs", pid);
	if (result < 0) {
		rmdir(path);
		return result;
	}
	run->cgroup->path = TAKE_PTR(path);
	return 0;
}

/* Whether people want to hear of limits that this host cannot set. */
static int is_silenced(void)
{
	AUTO_SETTINGS struct settings s = { 0 };
	int wanted = 1;
	if (settings_load(&s, NULL) == 0 && s.values[SETTING_WARN_LIMITS])
		parse_bool(s.values[SETTING_WARN_LIMITS], &wanted);
	return !wanted;
}

/* Says what is missing (NULL: nothing is) once for all machines, until the host's runtime folder
 * goes, as it does at the last logout. */
static void say_once(struct isolation_run *run, const char *text)
{
	AUTOFREE char *runtime = NULL, *said = NULL;
	if (path_runtime_dir(&runtime, NULL) < 0)
		runtime = xstrdup(run->folder);
	AUTOFREE char *path = path_join(runtime, "limits-probe");
	if (!text) {
		unlink(path);
		return;
	}
	if (path_read_file(path, TEXT_MAX, &said, NULL) >= 0 && streq(said, text))
		return;
	if (is_silenced()) {
		log_info("%s", text);
		return;
	}
	run->events.warning(text, run->data);
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || fd_write_full(fd, text, strlen(text)) < 0)
		log_warning("cannot write %s", path);
}

/* 0 or -errno; -EOPNOTSUPP if the person asked for a limit that nobody can set. */
static int limit_pids(struct isolation_run *run, struct error **err)
{
	AUTOFREE char *text = xasprintf("%llu", (unsigned long long)machine_pids(run->machine));
	int result = cgroup_write(run->cgroup->path, "pids.max", text);
	if (result < 0 && run->machine->pids)
		return error_set(err, EOPNOTSUPP,
		    "the pids controller of cgroups is not delegated to you: the machine's processes have no limit");
	if (result < 0)
		log_debug("pids.max: %s", strerror(-result));
	return 0;
}

static void decide(struct isolation_run *run)
{
	AUTO_ERROR struct error *err = NULL;
	struct native_cgroup *g = run->cgroup;
	g->decided = 1;
	if (g->path) {
		remember(run);
		int result = native_cgroup_limits(run, run->cpus, run->memory, &err);
		if (result >= 0)
			result = limit_pids(run, &err);
		say_once(run, result < 0 ? error_text(err, result) : NULL);
	} else {
		say_once(run,
		    "no cgroup is delegated to you: the machine runs without a limit of memory, and cpus only "
		    "bind it to processors; in a session of systemd (\"systemd-run --user --scope holm …\", or "
		    "a login) it has both");
	}
	native_go_if_ready(run);
}

static void make_own(struct isolation_run *run)
{
	AUTOFREE char *parent = path_of_process("self");
	AUTOFREE char *procs = parent ? path_join(parent, "cgroup.procs") : NULL;
	int result = !parent ? -ENOENT : access(procs, W_OK) < 0 ? -errno : make_in(run, parent);
	if (result < 0)
		log_info("no cgroup can be made in %s: %s", parent ? parent : "that of the keeper", strerror(-result));
	decide(run);
}

/* Root's machines are the system manager's: they outlive root's login, and sudo gives no user
 * manager. */
static int bus_seems_there(void)
{
	if (geteuid() == 0)
		return path_exists("/run/systemd/system") && path_exists("/run/dbus/system_bus_socket");
	const char *address = getenv("DBUS_SESSION_BUS_ADDRESS"), *runtime = getenv("XDG_RUNTIME_DIR");
	AUTOFREE char *usual = xasprintf("/run/user/%u/bus", (unsigned)geteuid());
	AUTOFREE char *own = runtime ? path_join(runtime, "bus") : NULL;
	return (address && *address) || (own && path_exists(own)) || path_exists(usual);
}

static int start_scope(struct isolation_run *run)
{
	AUTO_STRV struct strv argv = { 0 };
	AUTO_ERROR struct error *err = NULL;
	strv_take(&argv, path_libexec("holm-scope"));
	strv_addf(&argv, "holm-%s", run->machine->name);
	strv_addf(&argv, "%d", (int)run->first);
	strv_addf(&argv, "%llu", (unsigned long long)machine_pids(run->machine));
	const struct spawn_options o = { .argv = strv_argv(&argv) };
	int result = native_child_start(run, CHILD_SCOPE, &o, NULL, &err);
	if (result < 0)
		log_warning("%s", error_text(err, result));
	return result;
}

void native_cgroup_begin(struct isolation_run *run)
{
	run->cgroup = xnew(struct native_cgroup);
	run->cgroup->inotify = -1;
	cgroup_tree_forget(run->state);
	if (!bus_seems_there() || start_scope(run) < 0)
		make_own(run);
}

void native_cgroup_scope_gone(struct isolation_run *run, int status)
{
	AUTOFREE char *pid = xasprintf("%d", (int)run->first);
	AUTOFREE char *path = status == 0 ? path_of_process(pid) : NULL;
	if (!path || !endswith(path, ".scope") || access(path, W_OK) < 0 || hand_to_agent(run, path) < 0) {
		make_own(run);
		return;
	}
	run->cgroup->is_scope = 1;
	run->cgroup->path = TAKE_PTR(path);
	decide(run);
}

int native_cgroup_decided(const struct isolation_run *run)
{
	return run->cgroup && run->cgroup->decided;
}

int native_cgroup_exists(const struct isolation_run *run)
{
	return run->cgroup && run->cgroup->path;
}

const char *native_cgroup_path(const struct isolation_run *run)
{
	return run->cgroup ? run->cgroup->path : NULL;
}

/* ---- limits ---- */

int native_cgroup_limits(struct isolation_run *run, uint64_t cpus, uint64_t memory, struct error **err)
{
	const char *path = native_cgroup_path(run);
	AUTOFREE char *quota = xasprintf("%llu %d", (unsigned long long)cpus * CPU_PERIOD_US, CPU_PERIOD_US);
	AUTOFREE char *bytes = xasprintf("%llu", (unsigned long long)memory);
	int result = memory ? path ? cgroup_write(path, "memory.max", bytes) : -ENOENT : 0;
	if (result == -ENOENT || result == -EACCES || result == -EPERM)
		return error_set(err, EOPNOTSUPP,
		    "the memory controller of cgroups is not delegated to you: the machine's memory has no limit");
	if (result < 0)
		return error_set_errno(err, result, "cannot limit the machine's memory");
	/* The processors that the inside is bound to are a limit as well: nothing is lost without
	 * the controller. */
	result = path ? cgroup_write(path, "cpu.max", quota) : -ENOENT;
	if (result < 0)
		log_debug("cpu.max: %s", strerror(-result));
	return 0;
}

/* ---- removing it ---- */

/* The scope itself is left to systemd for a moment: a scope whose cgroup went away before systemd
 * saw it empty stays "running" for good. Where it looked before we had removed what it may not
 * remove, it does not look again, and it is ours after all. */
static int remove_scope(struct isolation_run *run)
{
	struct native_cgroup *g = run->cgroup;
	int result = cgroup_tree_empty(&run->ids, g->path);
	if (!path_exists(g->path) || result < 0)
		return result;
	if (!g->systemds_turn++)
		source_set_timer(g->deadline, clock_deadline(SYSTEMD_MS));
	return -EBUSY;
}

static void try_remove(struct isolation_run *run)
{
	struct native_cgroup *g = run->cgroup;
	if (!g->path)
		return;
	int result = g->is_scope && !g->given_up ? remove_scope(run) : cgroup_tree_remove(&run->ids, g->path);
	if (result < 0 && !g->given_up)
		return;
	if (result < 0)
		log_warning("cannot remove the cgroup %s: %s", g->path, strerror(-result));
	else
		unlink(run->state);
	free(TAKE_PTR(g->path));
}

static void on_emptied(struct source *s, int fd, uint32_t events, void *data)
{
	struct isolation_run *run = data;
	char bytes[4096];
	if (read(fd, bytes, sizeof bytes) < 0 && errno == EAGAIN)
		return;
	try_remove(run);
	native_finish_if_alone(run);
}

static void on_deadline(struct source *s, void *data)
{
	struct isolation_run *run = data;
	run->cgroup->given_up = 1;
	try_remove(run);
	native_finish_if_alone(run);
}

static int watch_for_empty(struct isolation_run *run)
{
	struct native_cgroup *g = run->cgroup;
	AUTOFREE char *events = path_join(g->path, "cgroup.events"), *parent = path_parent(g->path);
	g->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (g->inotify < 0 || inotify_add_watch(g->inotify, events, IN_MODIFY) < 0 ||
	    inotify_add_watch(g->inotify, parent, IN_DELETE) < 0)
		return -errno;
	int result = loop_add_io(run->loop, g->inotify, EPOLLIN, on_emptied, run, &g->emptied);
	return result < 0 ? result :
			    loop_add_timer(run->loop, clock_deadline(REMOVE_MS), on_deadline, run, &g->deadline);
}

int native_cgroup_remove(struct isolation_run *run)
{
	struct native_cgroup *g = run->cgroup;
	if (!g || !g->path)
		return 1;
	if (g->deadline)
		return 0;
	cgroup_write(g->path, "cgroup.kill", "1");
	/* Watched first: what empties it in between is not missed. */
	if (watch_for_empty(run) < 0)
		g->given_up = 1;
	try_remove(run);
	return !g->path;
}

void native_cgroup_done(struct isolation_run *run)
{
	struct native_cgroup *g = run->cgroup;
	if (!g)
		return;
	source_free(g->emptied);
	source_free(g->deadline);
	fd_close(g->inotify);
	free(g->path);
	free(g);
}
