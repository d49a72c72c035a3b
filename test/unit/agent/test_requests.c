/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/core/boot_request.h"
#include "agent/core/network.h"
#include "agent/session/request.h"
#include "tree.h"

#define BOOT(machine, user)                                                                                            \
	"{\"machine\":{\"name\":\"dev\",\"id\":\"0123456789abcdef0123456789abcdef\",\"hostname\":\"dev\"" machine      \
	"},\"user\":{\"name\":\"alice\","                                                                              \
	"\"uid\":1000,\"gid\":100,\"home\":\"/home/alice/\"" user                                                      \
	"},\"root\":{\"kind\":\"block\",\"device\":\"/dev/vda\",\"size\":1},"                                          \
	"\"shares\":[{\"tag\":\"home\",\"inside\":\"/home//alice\",\"read_only\":true}]}"

static int parse_boot(const char *text, struct boot_request **ret)
{
	AUTO_JSON struct json_object *o = NULL;
	assert_int_equal(json_parse(text, strlen(text), "test", &o, NULL), 0);
	return boot_request_parse(o, ret, NULL);
}

static void test_boot(void **state)
{
	CLEANUP(boot_request_freep) struct boot_request *b = NULL;
	assert_int_equal(parse_boot(BOOT(",\"init\":\"/sbin/init\",\"image_env\":[\"A=1\"]", ",\"home_shared\":true"),
			     &b),
	    0);
	assert_string_equal(b->user.home, "/home/alice");
	assert_string_equal(b->user.group, "alice");
	assert_int_equal(b->user.gid, 100);
	assert_true(b->user.home_shared);
	assert_string_equal(b->shares[0].inside, "/home/alice");
	assert_true(b->shares[0].read_only);
	assert_string_equal(b->init, "/sbin/init");
	assert_null(b->network.device);
	assert_int_equal(b->user.group_count, 0);
}

static void test_mounted_sockets(void **state)
{
	static const struct {
		const char *socket;
		int result;
	} cases[] = {
		{ "{\"id\":7,\"mode\":432,\"uid\":1000,\"gid\":100}", 0 },
		{ "{\"id\":0,\"mode\":432,\"uid\":1000,\"gid\":100}", -EINVAL },
		{ "{\"id\":7,\"mode\":2048,\"uid\":1000,\"gid\":100}", -EINVAL },
		{ "{\"id\":7,\"mode\":432,\"uid\":1000}", -EINVAL },
		{ "{\"id\":4294967296,\"mode\":432,\"uid\":1000,\"gid\":100}", -EINVAL },
		{ "7", -EINVAL },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTOFREE char *text =
		    xasprintf("{\"tag\":\"share1\",\"inside\":\"/s\",\"socket\":%s}", cases[i].socket);
		AUTO_JSON struct json_object *o = json_tokener_parse(text);
		CLEANUP(boot_share_done) struct boot_share s = { 0 };
		assert_int_equal(boot_share_parse(o, &s, NULL), cases[i].result);
		assert_int_equal(s.socket.id, i ? 0 : 7);
		assert_int_equal(s.socket.mode, i ? 0 : 0660);
	}
}

/* The places in a share that are the machine's own are relative, and lead nowhere else. */
static void test_private_places(void **state)
{
	static const struct {
		const char *places;
		int result;
	} cases[] = {
		{ "[\".config/systemd\",\"a\"]", 0 },
		{ "[]", 0 },
		{ "[\"/etc\"]", -EINVAL },
		{ "[\"../x\"]", -EINVAL },
		{ "[\"a/../../x\"]", -EINVAL },
		{ "[\"a//b\"]", -EINVAL },
		{ "[\".\"]", -EINVAL },
		{ "[\"\"]", -EINVAL },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTOFREE char *text =
		    xasprintf("{\"tag\":\"home\",\"inside\":\"/home/a\",\"private\":%s}", cases[i].places);
		AUTO_JSON struct json_object *o = json_tokener_parse(text);
		CLEANUP(boot_share_done) struct boot_share s = { 0 };
		assert_int_equal(boot_share_parse(o, &s, NULL), cases[i].result);
		assert_int_equal(s.private.count, i ? 0 : 2);
	}
}

static void test_terminfo(void **state)
{
	static const struct {
		const char *text;
		int result;
	} cases[] = {
		{ "{\"terminfo\":{\"name\":\"xterm-kitty\",\"entry\":\"1a01\"}}", 0 },
		{ "{\"terminfo\":null}", 0 },
		{ "{\"terminfo\":{\"name\":\"x\"}}", -EINVAL },
		{ "{\"terminfo\":{\"name\":\"x\",\"entry\":\"1\"}}", -EINVAL },
		{ "{\"terminfo\":{\"name\":\"x\",\"entry\":\"1G\"}}", -EINVAL },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_JSON struct json_object *o = json_tokener_parse(cases[i].text);
		CLEANUP(session_request_freep) struct session_request *q = NULL;
		assert_int_equal(session_request_parse(o, &q, NULL), cases[i].result);
		if (i > 0)
			continue;
		assert_string_equal(q->terminal.name, "xterm-kitty");
		assert_int_equal(q->terminal.size, 2);
		assert_memory_equal(q->terminal.entry, "\x1a\x01", 2);
	}
}

static void test_boot_groups(void **state)
{
	CLEANUP(boot_request_freep) struct boot_request *b = NULL;
	assert_int_equal(parse_boot(BOOT("", ",\"groups\":[{\"name\":\"shared\",\"gid\":2000},{\"name\":\"domain:"
					     "users\",\"gid\":3000}]"),
			     &b),
	    0);
	assert_int_equal(b->user.group_count, 2);
	assert_string_equal(b->user.groups[0].name, "shared");
	assert_int_equal(b->user.groups[0].gid, 2000);
	assert_string_equal(b->user.groups[1].name, "g3000");
	AUTOFREE char *list = xstrdup("");
	for (int i = 0; i <= BOOT_GROUPS_MAX; i++) {
		char *longer = xasprintf("%s%s{\"name\":\"g\",\"gid\":%d}", list, i ? "," : "", i);
		free(list);
		list = longer;
	}
	AUTOFREE char *text = xasprintf(BOOT("", ",\"groups\":[%s]"), list);
	CLEANUP(boot_request_freep) struct boot_request *many = NULL;
	assert_true(parse_boot(text, &many) < 0);
}

static void test_boot_refused(void **state)
{
	static const char *const bad[] = { "{}",
		"{\"machine\":{\"name\":\"a\",\"id\":\"x\",\"hostname\":\"a\"},\"root\":{\"device\":\"/dev/vda\"}}",
		BOOT(",\"timezone\":\"../x\"", ""), BOOT(",\"init\":\"sbin/init\"", ""),
		BOOT("", ",\"uid\":4294967295"), BOOT("", ",\"name\":\"a:b\""), BOOT("", ",\"home\":\"home\""),
		BOOT("", ",\"groups\":[1]"), BOOT("", ",\"groups\":[{\"name\":\"a\"}]"),
		BOOT("", ",\"groups\":[{\"gid\":1}]"), BOOT("", ",\"groups\":[{\"name\":\"a\",\"gid\":4294967295}]") };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CLEANUP(boot_request_freep) struct boot_request *b = NULL;
		assert_true(parse_boot(bad[i], &b) < 0);
		assert_null(b);
	}
}

static int parse_session(const char *text, struct session_request **ret)
{
	AUTO_JSON struct json_object *o = NULL;
	assert_int_equal(json_parse(text, strlen(text), "test", &o, NULL), 0);
	return session_request_parse(o, ret, NULL);
}

static void test_subsystem(void **state)
{
	CLEANUP(session_request_freep) struct session_request *q = NULL;
	struct session_request *none = NULL;
	assert_int_equal(parse_session("{\"subsystem\":\"sftp\",\"stdin\":true}", &q), 0);
	assert_true(q->sftp);
	assert_int_equal(parse_session("{\"subsystem\":\"netconf\"}", &none), -EINVAL);
	assert_int_equal(parse_session("{\"subsystem\":\"sftp\",\"argv\":[\"a\"]}", &none), -EINVAL);
	assert_int_equal(parse_session("{\"subsystem\":\"sftp\",\"tty\":true}", &none), -EINVAL);
}

static void test_session(void **state)
{
	CLEANUP(session_request_freep) struct session_request *q = NULL;
	assert_int_equal(parse_session("{\"argv\":[\"echo\",\"a "
				       "b\"],\"tty\":true,\"rows\":30,\"columns\":99999,\"stdin\":true,\"user\":{"
				       "\"uid\":1234,\"gid\":5},\"env\":[\"A=1\"],\"workdir\":\"/"
				       "x\",\"cwd\":null,\"relay\":{\"id\":7,\"refused\":\"no\"}}",
			     &q),
	    0);
	assert_string_equal(q->argv.items[1], "a b");
	assert_int_equal(q->rows, 30);
	assert_int_equal(q->columns, 10000);
	assert_int_equal(q->uid, 1234);
	assert_int_equal(q->gid, 5);
	assert_int_equal(q->relay, 7);
	assert_string_equal(q->relay_refused, "no");
	assert_string_equal(q->workdir, "/x");
	assert_null(q->cwd);
}

static void test_session_refused(void **state)
{
	static const char *const bad[] = { "[]", "{\"argv\":[\"\"]}", "{\"argv\":[1]}", "{\"workdir\":\"x\"}",
		"{\"user\":{}}", "{\"user\":{\"uid\":4294967295}}", "{\"tty\":1}", "{\"relay\":{\"id\":-1}}",
		"{\"relay\":{\"refused\":1}}" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CLEANUP(session_request_freep) struct session_request *q = NULL;
		assert_true(parse_session(bad[i], &q) < 0);
	}
}

static void test_cidr(void **state)
{
	uint32_t address = 0;
	uint8_t prefix = 0;
	assert_int_equal(network_parse_cidr("10.77.0.2/24", &address, &prefix), 0);
	assert_int_equal(prefix, 24);
	assert_int_equal(((unsigned char *)&address)[0], 10);
	assert_true(network_parse_cidr("10.77.0.2", &address, &prefix) < 0);
	assert_true(network_parse_cidr("10.77.0.2/33", &address, &prefix) < 0);
	assert_true(network_parse_cidr("x/8", &address, &prefix) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_boot), cmocka_unit_test(test_private_places),
		cmocka_unit_test(test_mounted_sockets), cmocka_unit_test(test_terminfo),
		cmocka_unit_test(test_boot_groups), cmocka_unit_test(test_boot_refused), cmocka_unit_test(test_session),
		cmocka_unit_test(test_subsystem), cmocka_unit_test(test_session_refused), cmocka_unit_test(test_cidr) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
