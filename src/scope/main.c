/* SPDX-License-Identifier: Apache-2.0
 * holm-scope PREFIX PID TASKS: asks systemd's user manager (root: the system's) to put the process
 * into a delegated scope of its own, PREFIX-RANDOM.scope, with at most TASKS processes, and waits
 * until it is there (org.freedesktop.systemd1(5), StartTransientUnit; systemd's CGROUP_DELEGATION
 * document). It is a program of its own so that nothing that lives longer links libsystemd, and so
 * that a bus that does not answer costs nobody anything: after five seconds it ends. Prints nothing
 * but errors; exit status 0: the process is in the scope. The scope goes when it is empty. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <systemd/sd-bus.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"

enum { DEADLINE_S = 5 };

#define MANAGER "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"

struct wish {
	uint32_t pid;
	uint64_t tasks; /* processes and threads in the scope at most */
};

struct job {
	char *path;
	char *removed, *result;
};

static int on_job_removed(sd_bus_message *m, void *data, sd_bus_error *error)
{
	struct job *j = data;
	const char *path, *unit, *result;
	uint32_t id;
	if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) < 0)
		return 0;
	if (j->path && !streq(path, j->path))
		return 0;
	free(j->removed);
	free(j->result);
	j->removed = xstrdup(path);
	j->result = xstrdup(result);
	return 0;
}

static int by_root(void)
{
	return geteuid() == 0;
}

static const char *manager(void)
{
	return by_root() ? "systemd" : "systemd's user manager";
}

/* Until 6.2 a process that moves to a group with a cpuset of its own forgets the processors that it
 * was bound to; sessions move, and crun hands down whatever there is. */
static int affinity_survives_cpuset(void)
{
	struct utsname u;
	unsigned major = 0, minor = 0;
	return uname(&u) == 0 && sscanf(u.release, "%u.%u", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 2));
}

static int append_delegation(sd_bus_message *m)
{
	if (affinity_survives_cpuset())
		return sd_bus_message_append(m, "(sv)", "Delegate", "b", 1);
	return sd_bus_message_append(m, "(sv)", "DelegateControllers", "as", 4, "cpu", "io", "memory", "pids");
}

/* TasksMax: without one the scope has systemd's DefaultTasksMax. */
static int append_properties(sd_bus_message *m, const struct wish *w)
{
	int r;
	if ((r = sd_bus_message_open_container(m, 'a', "(sv)")) < 0 ||
	    (by_root() && (r = sd_bus_message_append(m, "(sv)", "Slice", "s", "machine.slice")) < 0) ||
	    (r = append_delegation(m)) < 0 ||
	    (r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)", "Description", "s", "holm machine", "CollectMode", "s",
		 "inactive-or-failed", "TasksMax", "t", w->tasks, "PIDs", "au", 1, w->pid)) < 0)
		return r;
	return sd_bus_message_close_container(m);
}

/* Asks; *ret is the job's path, owned. */
static int start(sd_bus *bus, const char *unit, const struct wish *w, char **ret)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *m = NULL, *reply = NULL;
	const char *path = NULL;
	int r;
	if ((r = sd_bus_message_new_method_call(bus, &m, MANAGER, "StartTransientUnit")) < 0 ||
	    (r = sd_bus_message_append(m, "ss", unit, "fail")) < 0 || (r = append_properties(m, w)) < 0 ||
	    (r = sd_bus_message_append(m, "a(sa(sv))", 0)) < 0 ||
	    (r = sd_bus_call(bus, m, (uint64_t)DEADLINE_S * 1000000, &error, &reply)) < 0 ||
	    (r = sd_bus_message_read(reply, "o", &path)) < 0)
		log_error("%s makes no scope: %s", manager(), error.message ? error.message : strerror(-r));
	else
		*ret = xstrdup(path);
	sd_bus_error_free(&error);
	sd_bus_message_unref(m);
	sd_bus_message_unref(reply);
	return r;
}

/* The job may be done before its number is known: then its removal lies among the messages that
 * were queued meanwhile. */
static int wait_for(sd_bus *bus, struct job *j)
{
	while (!streq(j->removed, j->path)) {
		int r = sd_bus_process(bus, NULL);
		if (r == 0)
			r = sd_bus_wait(bus, UINT64_MAX); /* alarm(2) bounds it */
		if (r < 0 && r != -EINTR)
			return r;
	}
	return streq(j->result, "done") ? 0 : -EIO;
}

static int run(const char *prefix, const struct wish *w)
{
	uint64_t number = 0;
	struct job j = { 0 };
	sd_bus *bus = NULL;
	if (getrandom(&number, sizeof number, 0) != sizeof number)
		return -EIO;
	AUTOFREE char *unit = xasprintf("%s-%016llx.scope", prefix, (unsigned long long)number);
	int r = by_root() ? sd_bus_open_system(&bus) : sd_bus_open_user(&bus);
	if (r >= 0)
		r = sd_bus_match_signal(bus, NULL, MANAGER, "JobRemoved", on_job_removed, &j);
	if (r < 0)
		log_error("cannot reach %s: %s", manager(), strerror(-r));
	if (r >= 0)
		r = start(bus, unit, w, &j.path);
	if (r >= 0 && (r = wait_for(bus, &j)) < 0)
		log_error("%s did not start the scope: %s", manager(), j.result ? j.result : strerror(-r));
	sd_bus_flush_close_unref(bus);
	free(j.path);
	free(j.removed);
	free(j.result);
	return r;
}

/* Sets the bus's address to its usual place, if the environment has none (su, cron). */
static void find_bus(void)
{
	AUTOFREE char *usual = xasprintf("/run/user/%u", (unsigned)geteuid());
	AUTOFREE char *bus = xasprintf("%s/bus", usual);
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	AUTOFREE char *own = runtime ? xasprintf("%s/bus", runtime) : NULL;
	if (!getenv("DBUS_SESSION_BUS_ADDRESS") && (!own || access(own, F_OK) < 0) && access(bus, F_OK) == 0)
		setenv("XDG_RUNTIME_DIR", usual, 1);
}

int main(int argc, char **argv)
{
	struct wish w;
	log_set_program("holm-scope");
	fd_fix_standard();
	if (argc != 4 || parse_u32(argv[2], &w.pid) < 0 || parse_u64(argv[3], &w.tasks) < 0) {
		log_error("usage: holm-scope PREFIX PID TASKS");
		return 2;
	}
	alarm(DEADLINE_S);
	find_bus();
	return run(argv[1], &w) < 0;
}
