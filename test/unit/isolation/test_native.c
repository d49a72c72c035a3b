/* SPDX-License-Identifier: Apache-2.0
 * A native run with a pretended agent: this program itself, started under the name
 * DIRECTORY/SCENARIO/holm-agent. It is an ordinary user without subordinate ids, so that no program
 * is needed for the mapping. And the pure parts. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../folder.h"
#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/path.h"
#include "isolation/native/cgroup_path.h"
#include "isolation/native/messages.h"
#include "isolation/native/run.h"
#include "isolation/network.h"

enum { CONTROL = 3, NOBODY = 65534, WAIT_MS = 60000 };

/* ---- the pretended agent ---- */

static void say(const char *text, int fd)
{
	AUTOFREE char *packet = xasprintf("M%s", text);
	if (fd_send_bytes(CONTROL, packet, strlen(packet), &fd, fd >= 0, 0) < 0)
		_exit(9);
}

static char *hear(void)
{
	static char text[70000];
	ssize_t n = recv(CONTROL, text, sizeof text - 1, 0);
	if (n <= 0)
		_exit(0); /* the keeper is gone */
	text[n] = '\0';
	return text;
}

static _Noreturn void process_one(const char *scenario)
{
	int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	say("{\"ready\":true}", self);
	if (strstr(hear(), "\"tag\":\"home\"") == NULL)
		_exit(3);
	say("{\"usage\":12345}", -1);
	if (strstr(scenario, "init")) {
		/* An init, two pid namespaces below the host. */
		if (unshare(CLONE_NEWPID) < 0)
			_exit(4);
		pid_t init = fork();
		if (init == 0) {
			pause();
			_exit(0);
		}
		say("{\"network\":true}", (int)syscall(SYS_pidfd_open, init, 0));
		say("{\"init\":true}", (int)syscall(SYS_pidfd_open, init, 0));
		hear(); /* the limits */
		say("{\"init\":false}", -1);
		hear();
	}
	_exit(strstr(scenario, "fails") ? 7 : 0);
}

static int agent_main(const char *scenario)
{
	if (strstr(scenario, "/says")) {
		fprintf(stderr, "no \033namespaces here\n");
		return 1;
	}
	if (unshare(CLONE_NEWUSER) < 0)
		return 2;
	if (strstr(scenario, "/lies")) {
		say("{\"user\":\"perhaps\"}", -1);
		pause();
	}
	say("{\"user\":true}", -1);
	if (!strstr(hear(), "\"single\":true"))
		return 3;
	if (strstr(scenario, "/stranger")) {
		say("{\"ready\":true}", (int)syscall(SYS_pidfd_open, getppid(), 0));
		pause();
	}
	if (unshare(CLONE_NEWPID) < 0)
		return 4;
	long pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0)
		process_one(scenario);
	return pid < 0;
}

/* ---- the run ---- */

struct watched {
	struct loop *loop;
	struct transport *transport;
	char warnings[4096], why[1024];
	int ended, code, lost;
};

static void on_stage(const char *text, void *data)
{
}

static void on_warning(const char *text, void *data)
{
	struct watched *w = data;
	strncat(w->warnings, text, sizeof w->warnings - strlen(w->warnings) - 1);
}

static void on_connected(struct transport *t, void *data)
{
	((struct watched *)data)->transport = t;
}

static void on_accepted(int fd, void *data)
{
	fd_close(fd);
}

static void on_lost(const char *why, void *data)
{
	((struct watched *)data)->lost = 1;
}

static void on_ended(int code, const char *why, void *data)
{
	struct watched *w = data;
	w->ended = 1;
	w->code = code;
	snprintf(w->why, sizeof w->why, "%s", why ? why : "");
}

static const struct isolation_events events = {
	.stage = on_stage,
	.warning = on_warning,
	.connected = on_connected,
	.accepted = on_accepted,
	.lost = on_lost,
	.ended = on_ended,
};

static char *base;

static char *below(const char *name)
{
	return path_join(base, name);
}

static struct isolation_run *start(struct watched *w, struct machine *m, const char *scenario)
{
	AUTOFREE char *libexec = below(scenario), *agent = path_join(libexec, "holm-agent"),
		      *runtime = below("runtime/0123456789abcdef");
	AUTOFREE char *native = machine_file("dev", "native");
	AUTO_ERROR struct error *err = NULL;
	const struct isolation_share home = { .tag = "home", .host = base };
	struct isolation_run *run = NULL;
	*w = (struct watched){ 0 };
	assert_int_equal(path_mkdir_all(libexec, 0700, NULL), 0);
	assert_int_equal(path_mkdir_all(native, 0700, NULL), 0);
	assert_int_equal(path_mkdir_all(runtime, 0700, NULL), 0);
	char self[4096] = "";
	assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
	assert_int_equal(symlink(self, agent), 0);
	setenv("HOLM_LIBEXEC", libexec, 1);
	assert_int_equal(loop_new(&w->loop), 0);
	assert_int_equal(isolation_native.start(w->loop, m, runtime, &home, 1, &events, w, &run, &err), 0);
	return run;
}

static void until(struct watched *w, int *what)
{
	uint64_t deadline = clock_deadline(WAIT_MS);
	while (!*what && clock_now_ms() < deadline)
		loop_step(w->loop, deadline);
	assert_true(*what);
}

static void finish(struct watched *w, struct isolation_run *run)
{
	until(w, &w->ended);
	isolation_native.free(run);
	loop_free(w->loop);
}

static struct machine *machine(void)
{
	struct machine *m = machine_new("dev");
	m->cpus = 1;
	return m;
}

static void an_agent_that_stops_by_itself(void **state)
{
	AUTO_MACHINE struct machine *m = machine();
	struct watched w;
	struct isolation_run *run = start(&w, m, "good");
	finish(&w, run);
	assert_int_equal(w.code, 0);
	assert_non_null(w.transport);
	AUTOFREE char *path = machine_file("dev", "native/usage"), *text = NULL;
	assert_int_equal(path_read_file(path, 100, &text, NULL), 0);
	assert_string_equal(text, "12345\n");
}

/* Whether a start with this configuration warns that there are no limits. */
static int warns_of_limits(const char *scenario, const char *config)
{
	AUTO_MACHINE struct machine *m = machine();
	AUTOFREE char *runtime = NULL, *home = below("config"), *directory = path_join(home, "holm"),
		      *file = path_join(directory, "config");
	struct watched w;
	assert_int_equal(path_runtime_dir(&runtime, NULL), 0);
	AUTOFREE char *warned = path_join(runtime, "limits-probe");
	unlink(warned);
	setenv("XDG_CONFIG_HOME", home, 1);
	assert_int_equal(path_mkdir_all(directory, 0700, NULL), 0);
	assert_int_equal(atomic_file_write(file, 0600, config, strlen(config), NULL), 0);
	finish(&w, start(&w, m, scenario));
	assert_int_equal(w.code, 0);
	assert_int_equal(unlink(file), 0);
	return strstr(w.warnings, "limit") != NULL;
}

static void a_missing_limit_is_a_warning_unless_silenced(void **state)
{
	int warns = warns_of_limits("good-default", "[machine]\n");
	assert_int_equal(warns_of_limits("good-wanted", "[machine]\nwarn-limits = true\n"), warns);
	assert_false(warns_of_limits("good-silenced", "[machine]\nwarn-limits = false\n"));
	if (!warns)
		skip(); /* this host can set all limits */
}

static void an_agent_that_fails(void **state)
{
	AUTO_MACHINE struct machine *m = machine();
	struct watched w;
	finish(&w, start(&w, m, "fails"));
	assert_int_equal(w.code, -EIO);
	assert_non_null(strstr(w.why, "logs --boot dev"));
}

static void what_it_said_is_the_reason(void **state)
{
	AUTO_MACHINE struct machine *m = machine();
	struct watched w;
	finish(&w, start(&w, m, "says"));
	assert_true(w.code < 0);
	assert_non_null(strstr(w.why, "no  namespaces here"));
}

static void an_agent_that_lies_is_ended(void **state)
{
	AUTO_MACHINE struct machine *m = machine();
	struct watched w;
	finish(&w, start(&w, m, "lies"));
	assert_int_equal(w.code, -EPROTO);
}

static void a_process_that_is_no_child_is_not_the_agent(void **state)
{
	AUTO_MACHINE struct machine *m = machine();
	struct watched w;
	finish(&w, start(&w, m, "stranger"));
	assert_int_equal(w.code, -EPROTO);
}

static int pasta_runs(struct isolation_run *run)
{
	AUTO_JSON struct json_object *parts = json_object_new_object();
	const char *network = "";
	isolation_native.statistics(run, parts);
	json_get_string(parts, "network", &network, NULL);
	return streq(network, "pasta");
}

static void each_init_has_its_pasta(void **state)
{
	AUTO_MACHINE struct machine *m = machine();
	struct watched w;
	AUTO_ERROR struct error *err = NULL;
	struct isolation_run *run = start(&w, m, "init");
	uint64_t deadline = clock_deadline(WAIT_MS);
	while (!run->init && !w.ended && clock_now_ms() < deadline)
		loop_step(w.loop, deadline);
	assert_true(run->init > 0);
	if (run->pasta)
		assert_true(pasta_runs(run));
	isolation_native.set_limits(run, 1, 0, &err); /* lets the init end */
	while (run->init && !w.ended && clock_now_ms() < deadline)
		loop_step(w.loop, deadline);
	assert_int_equal(run->init, 0);
	while (pasta_runs(run) && clock_now_ms() < deadline)
		loop_step(w.loop, deadline);
	assert_false(pasta_runs(run));
	isolation_native.kill(run);
	finish(&w, run);
	assert_int_equal(w.code, -ECANCELED);
}

/* ---- pure ---- */

static void messages(void **state)
{
	static const char *const bad[] = { "", "{}", "[]", "{\"user\":1}", "{\"user\":false}", "{\"usage\":-1}",
		"{\"usage\":1.5}", "{\"usage\":\"1\"}", "{\"go\":{}}", "{\"user\":true,\"init\":true}",
		"{\"init\":null}", "{\"ready\":true" };
	struct native_message m;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(native_message_parse(bad[i], &m), -EPROTO);
	assert_int_equal(native_message_parse("{\"init\":false}", &m), 0);
	assert_int_equal(m.kind, NATIVE_MESSAGE_INIT_ENDED);
	assert_int_equal(native_message_parse("{\"usage\":18446744073709551615}", &m), 0);
	assert_true(m.bytes == UINT64_MAX);
}

static void cgroup_paths(void **state)
{
	static const char unified[] = "24 29 0:22 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";
	static const char hybrid[] = "37 31 0:34 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n41 31 0:38 / "
				     "/sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
	static const char part[] = "24 29 0:22 /user.slice /a\\040b rw - cgroup2 cgroup2 rw\n";
	static const struct {
		const char *mounts, *cgroup, *path;
	} cases[] = {
		{ unified, "0::/user.slice/a.scope\n", "/sys/fs/cgroup/user.slice/a.scope" },
		{ unified, "0::/\n", "/sys/fs/cgroup" },
		{ hybrid, "8:pids:/x\n1:cpu:/y\n0::/z\n", "/sys/fs/cgroup/unified/z" },
		{ hybrid, "8:pids:/x\n", NULL },
		{ part, "0::/user.slice/a.scope\n", "/a b/a.scope" },
		{ part, "0::/user.slice\n", "/a b" },
		{ part, "0::/user.sliced\n", NULL },
		{ part, "0::/system.slice\n", NULL },
		{ unified, "0::/../x\n", NULL },
		{ "", "0::/\n", NULL },
		{ "1 2 3 - cgroup2\n-\n", "0::/\n", NULL },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTOFREE char *path = cgroup_path_of(cases[i].mounts, cases[i].cgroup);
		if (cases[i].path)
			assert_string_equal(path, cases[i].path);
		else
			assert_null(path);
	}
}

static void pasta_is_told_everything(void **state)
{
	AUTO_STRV struct strv argv = { 0 }, open = { 0 };
	pasta_arguments(&argv, "/run/user", NETWORK_IPV4, 0);
	AUTOFREE char *text = strv_join(&argv, " ");
	assert_string_equal(text,
	    "pasta --foreground --stderr --quiet --no-dhcp --no-dhcpv6 --no-ndp --no-ra --ipv4-only --tcp-ports none "
	    "--udp-ports none --mtu 65520 --address 10.77.0.2 --netmask 24 --gateway 10.77.0.1 --dns-forward 10.77.0.3 "
	    "--no-map-gw --config-net --netns-only --tcp-ns none --udp-ns none --ns-ifname eth0 --no-netns-quit "
	    "--netns=/run/user/0/netns/net");
	pasta_arguments(&open, "/tmp", NETWORK_IPV4 | NETWORK_IPV6, 1);
	assert_false(strv_contains(&open, "--no-map-gw") || strv_contains(&open, "--ipv4-only"));
	assert_true(strv_contains(&open, NETWORK_ADDRESS) && strv_contains(&open, NETWORK_ADDRESS6));
}

static void lower_directories(void **state)
{
	AUTO_MACHINE struct machine *m = machine();
	AUTO_STRV struct strv lower = { 0 };
	AUTOFREE char *folder = machine_file("dev", "native"), *bases = path_join(folder, "bases");
	path_mkdir_all(folder, 0700, NULL);
	int fd = open(bases, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(fd_write_full(fd, "/b/two\n/b/one\n", 14), 0);
	close(fd);
	strv_add(&m->image_trees, "/t/1");
	strv_add(&m->image_trees, "/t/2");
	assert_int_equal(native_lower(m, &lower, NULL), 0);
	AUTOFREE char *text = strv_join(&lower, " ");
	assert_string_equal(text, "/b/two /b/one /t/2 /t/1");
	unlink(bases);
}

/* A user without any ranges, in a folder of its own, with programs of its own. */
static int become_nobody(void)
{
	static const char script[] = "#!/bin/sh\nexec sleep 100\n";
	base = geteuid() == 0 ? folder_new_below("/tmp") : folder_new(); /* nobody may not get to root's TMPDIR */
	AUTOFREE char *bin = below("bin"), *crun = below("bin/crun"), *pasta = below("bin/pasta"),
		      *path = xasprintf("%s:/usr/bin:/bin", bin);
	if (geteuid() == 0 && (chown(base, NOBODY, NOBODY) < 0 || setgroups(0, NULL) < 0 ||
				  setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0))
		return -1;
	setenv("XDG_DATA_HOME", base, 1);
	setenv("HOME", base, 1);
	setenv("PATH", path, 1);
	unsetenv("DBUS_SESSION_BUS_ADDRESS");
	unsetenv("XDG_RUNTIME_DIR");
	mkdir(bin, 0700);
	for (int i = 0; i < 2; i++) {
		int fd = open(i ? pasta : crun, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
		if (fd < 0 || fd_write_full(fd, script, sizeof script - 1) < 0)
			return -1;
		close(fd);
	}
	return access("/proc/self/exe", X_OK);
}

static int can_run(void)
{
	int status;
	struct idmap ids;
	if (idmap_of_user_or_single(&ids, NULL) < 0 || !ids.single)
		return 0;
	pid_t pid = fork();
	if (pid == 0)
		_exit(unshare(CLONE_NEWUSER) < 0);
	return waitpid(pid, &status, 0) == pid && status == 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest pure[] = {
		cmocka_unit_test(messages),
		cmocka_unit_test(cgroup_paths),
		cmocka_unit_test(pasta_is_told_everything),
		cmocka_unit_test(lower_directories),
	};
	const struct CMUnitTest runs[] = {
		cmocka_unit_test(an_agent_that_stops_by_itself),
		cmocka_unit_test(a_missing_limit_is_a_warning_unless_silenced),
		cmocka_unit_test(an_agent_that_fails),
		cmocka_unit_test(what_it_said_is_the_reason),
		cmocka_unit_test(an_agent_that_lies_is_ended),
		cmocka_unit_test(a_process_that_is_no_child_is_not_the_agent),
		cmocka_unit_test(each_init_has_its_pasta),
	};
	if (argc > 1 && streq(argv[1], "--native"))
		/* no checks at exit of a sanitizer: it could not start its helper behind a new pid
		 * namespace */
		_exit(agent_main(argv[0]));
	int able = become_nobody() == 0 && can_run();
	int failed = cmocka_run_group_tests(pure, NULL, NULL);
	if (able)
		failed += cmocka_run_group_tests(runs, NULL, NULL);
	else
		printf("skip: the runs need an ordinary user without subordinate ids who can make user namespaces and "
		       "read this program\n");
	folder_remove(base);
	return failed;
}
