/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>

#include "agent/core/mount_units.h"
#include "agent/life/init_launch.h"
#include "agent/life/init_signal.h"
#include "agent/life/inittab.h"
#include "tree.h"

static int exists(const char *program, void *data)
{
	return streq(program, "/sbin/getty") || streq(program, "/sbin/reboot");
}

static void test_alpine(void **state)
{
	AUTOFREE char *result =
	    inittab_filter("# stock\n\n::sysinit:/sbin/openrc sysinit\n::wait:/sbin/openrc default\n"
			   "tty1::respawn:/sbin/getty 38400 tty1\nttyS0::respawn:/sbin/getty -L ttyS0\n"
			   "::ctrlaltdel:/sbin/reboot\n::shutdown:/sbin/openrc shutdown\n",
		exists, NULL);
	assert_string_equal(result, "# stock\n\nttyS0::respawn:/sbin/getty -L ttyS0\n::ctrlaltdel:/sbin/reboot\n");
}

static void test_nothing_to_do(void **state)
{
	assert_null(inittab_filter("::ctrlaltdel:/sbin/reboot\n::once:sh -c true\nnonsense\n::respawn:-/sbin/getty x",
	    exists, NULL));
	assert_null(inittab_filter("", exists, NULL));
}

static void test_kinds(void **state)
{
	assert_int_equal(init_kind_of("/usr/lib/systemd/systemd"), INIT_SYSTEMD);
	assert_int_equal(init_kind_of("/bin/busybox"), INIT_BUSYBOX);
	assert_int_equal(init_kind_of("/sbin/openrc-init"), INIT_OTHER);
}

static void test_stop_signals(void **state)
{
	struct boot_request b = { 0 };
	struct agent a = { .boot = &b };
	static const struct {
		enum init_kind kind;
		const char *wanted;
		int expected;
	} cases[] = {
		{ INIT_SYSTEMD, "SIGQUIT", 37 },
		{ INIT_BUSYBOX, "SIGTERM", SIGUSR2 },
		{ INIT_OWN, NULL, SIGTERM },
		{ INIT_OTHER, NULL, SIGTERM },
		{ INIT_OTHER, "SIGRTMIN+3", 37 },
		{ INIT_OTHER, "QUIT", SIGQUIT },
		{ INIT_OTHER, "15", 15 },
		{ INIT_OTHER, "nonsense", SIGTERM },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		a.init_kind = cases[i].kind;
		b.stop_signal = (char *)cases[i].wanted;
		assert_int_equal(init_stop_signal(&a), cases[i].expected);
	}
}

static struct json_object *find_mount(struct json_object *spec, const char *destination)
{
	struct json_object *list = NULL;
	assert_int_equal(json_get_array(spec, "mounts", &list, NULL), 0);
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		const char *s = NULL;
		struct json_object *m = json_object_array_get_idx(list, i);
		if (json_get_string(m, "destination", &s, NULL) == 0 && streq(s, destination))
			return m;
	}
	return NULL;
}

static void test_spec(void **state)
{
	struct boot_share share = { .tag = (char *)"home", .inside = (char *)"/home/alice", .read_only = 1 };
	struct boot_request b = {
		.hostname = (char *)"dev",
		.init = (char *)"/sbin/init",
		.id = (char *)"0",
		.modules_device = (char *)"/dev/vdb",
		.shares = &share,
		.share_count = 1,
	};
	struct platform_container container;
	assert_int_equal(platform_vm.container(INIT_SYSTEMD, &container, NULL), 0);
	AUTO_JSON struct json_object *o =
	    init_launch_spec(&container, &b, &(struct init_program){ b.init, INIT_SYSTEMD, 0, NULL }, "6.1.0", 0);
	AUTOFREE char *text = json_to_string(o, 0);
	assert_non_null(strstr(text, "\"args\":[\"/sbin/init\"]"));
	assert_non_null(strstr(text, "\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"mount\"},{\"type\":\"uts\"},{"
				     "\"type\":\"ipc\"},{\"type\":\"cgroup\"}]"));
	assert_non_null(strstr(text, "\"container=holm\""));
	assert_non_null(strstr(text, "\"NOTIFY_SOCKET=/run/holm/notify\""));
	assert_non_null(strstr(text, "\"bounding\":[\"CAP_CHOWN\""));
	assert_non_null(strstr(text, "\"devices\":[{\"allow\":true,\"access\":\"rwm\"}]"));
	assert_null(strstr(text, "seccomp"));
	assert_null(strstr(text, "hooks"));
	AUTOFREE char *home = json_to_string(find_mount(o, "/home/alice"), 0);
	assert_string_equal(home, "{\"destination\":\"/home/alice\",\"type\":\"bind\",\"source\":\"/run/holm/shares/"
				  "home\",\"options\":[\"rbind\",\"nosuid\",\"nodev\",\"ro\"]}");
	assert_non_null(find_mount(o, "/run/lock"));
	assert_non_null(find_mount(o, "/tmp"));
	assert_non_null(find_mount(o, "/lib/modules/6.1.0"));
	assert_null(find_mount(o, "/etc/inittab"));
	AUTO_JSON struct json_object *own =
	    init_launch_spec(&container, &b, &(struct init_program){ NULL, INIT_OWN, 1, NULL }, "6.1.0", 1);
	AUTOFREE char *own_text = json_to_string(own, 0);
	assert_non_null(strstr(own_text, "\"args\":[\"/run/holm/holm-init\"]"));
	assert_null(strstr(own_text, "NOTIFY_SOCKET"));
	assert_non_null(strstr(own_text, "\"args\":[\"/init\",\"--attach\",\"--boot-id\"]"));
	assert_null(find_mount(own, "/tmp"));
	assert_non_null(find_mount(own, "/etc/inittab"));
}

/* As systemd-escape --path --suffix=mount. */
static void test_mount_units(void **state)
{
	static const char *const names[][2] = { { "/home/alice", "home-alice.mount" },
		{ "/run/holm/holm-init", "run-holm-holm\\x2dinit.mount" },
		{ "/srv/my home/.x", "srv-my\\x20home-.x.mount" }, { "/.hidden", "\\x2ehidden.mount" } };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		AUTOFREE char *name = mount_units_name(names[i][0]);
		assert_string_equal(name, names[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_alpine), cmocka_unit_test(test_nothing_to_do),
		cmocka_unit_test(test_kinds), cmocka_unit_test(test_stop_signals), cmocka_unit_test(test_spec),
		cmocka_unit_test(test_mount_units) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
