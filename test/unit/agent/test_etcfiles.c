/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/provision/etcfiles.h"
#include "tree.h"

static void test_hosts(void **state)
{
	struct tree *t = *state;
	assert_int_equal(etc_write_hosts(t->root, "dev", NULL, NULL), 0);
	AUTOFREE char *text = NULL;
	assert_int_equal(rootfs_read(t->root, "/etc/hosts", &text), 0);
	assert_non_null(strstr(text, "127.0.0.1\tlocalhost\n"));
	assert_non_null(strstr(text, "127.0.1.1\tdev # holm\n"));
	tree_put(t, "/etc/hosts", 0, "127.0.0.1 localhost\n10.0.0.1 mine\n127.0.1.1\told # holm\n");
	assert_int_equal(etc_write_hosts(t->root, "new", "10.77.0.1", NULL), 0);
	tree_expect(t, "/etc/hosts",
	    "127.0.0.1 localhost\n10.0.0.1 mine\n127.0.1.1\tnew # holm\n10.77.0.1\thost.holm.internal # holm\n");
}

static void test_services(void **state)
{
	AUTO_STRV struct strv env = { 0 };
	assert_null(etc_services_text(&env));
	strv_add(&env, "http_proxy=http://me:a%40b@p:1");
	strv_add(&env, "no_proxy=\"\\x");
	AUTOFREE char *text = etc_services_text(&env);
	assert_non_null(strstr(text,
	    "\n[Manager]\nDefaultEnvironment=\"http_proxy=http://me:a%%40b@p:1\" \"no_proxy=\\\"\\\\x\"\n"));
}

static void test_resolv(void **state)
{
	struct tree *t = *state;
	AUTO_STRV struct strv servers = { 0 };
	strv_add(&servers, "10.77.0.3");
	struct resolv resolv = { .nameservers = servers };
	tree_put(t, "/etc/resolv.conf", 0, "nameserver 1.2.3.4\n");
	assert_int_equal(etc_write_resolv(t->root, &resolv, 0, NULL), 0);
	tree_expect(t, "/etc/resolv.conf", "nameserver 1.2.3.4\n"); /* somebody's own */
	assert_int_equal(etc_write_resolv(t->root, &resolv, 1, NULL), 0);
	AUTOFREE char *text = NULL;
	assert_int_equal(rootfs_read(t->root, "/etc/resolv.conf", &text), 0);
	assert_true(endswith(text, "\nnameserver 10.77.0.3\n"));
	strv_add(&servers, "10.77.0.4");
	resolv.nameservers = servers;
	assert_int_equal(etc_write_resolv(t->root, &resolv, 0, NULL), 0); /* ours: follows */
	AUTOFREE char *again = NULL;
	assert_int_equal(rootfs_read(t->root, "/etc/resolv.conf", &again), 0);
	assert_true(endswith(again, "\nnameserver 10.77.0.3\nnameserver 10.77.0.4\n"));
}

static void test_resolv_symlink(void **state)
{
	struct tree *t = *state;
	struct resolv resolv = { 0 };
	struct stat st;
	AUTOFREE char *path = path_join(t->path, "etc/resolv.conf");
	assert_int_equal(rootfs_symlink(t->root, "/etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf", NULL),
	    0);
	assert_int_equal(etc_write_resolv(t->root, &resolv, 0, NULL), 0);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(etc_write_resolv(t->root, &resolv, 1, NULL), 0);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
}

static void test_machine_id(void **state)
{
	static const char id[] = "0123456789abcdef0123456789abcdef";
	static const char *const replaced[] = { "", "uninitialized\n" };
	struct tree *t = *state;
	for (size_t i = 0; i < ARRAY_SIZE(replaced); i++) {
		tree_put(t, "/etc/machine-id", 0, replaced[i]);
		assert_int_equal(etc_write_machine_id(t->root, id, NULL), 0);
		tree_expect(t, "/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
	}
	assert_int_equal(etc_write_machine_id(t->root, "ffffffffffffffffffffffffffffffff", NULL), 0);
	tree_expect(t, "/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
}

/* holm's name follows the machine's until somebody inside sets another one. */
static void test_hostname(void **state)
{
	struct tree *t = *state;
	tree_put(t, "/etc/hostname", 0, "image\n");
	assert_int_equal(etc_write_hostname(t->root, "dev", NULL), 0);
	tree_expect(t, "/etc/hostname", "dev\n");
	assert_int_equal(etc_write_hostname(t->root, "renamed", NULL), 0);
	tree_expect(t, "/etc/hostname", "renamed\n");
	tree_put(t, "/etc/hostname", 0, "mine\n");
	assert_int_equal(etc_write_hostname(t->root, "dev", NULL), 0);
	tree_expect(t, "/etc/hostname", "mine\n");
	AUTOFREE char *kept = etc_hostname(t->root, "dev");
	assert_string_equal(kept, "mine");
	tree_put(t, "/etc/hostname", 0, "-no name\n");
	assert_int_equal(etc_write_hostname(t->root, "dev", NULL), 0);
	tree_expect(t, "/etc/hostname", "dev\n");
	tree_put(t, "/etc/hostname", 0, "mine\n");
	etc_forget(t->root); /* the disk of a clone */
	assert_int_equal(etc_write_hostname(t->root, "clone", NULL), 0);
	tree_expect(t, "/etc/hostname", "clone\n");
}

static void test_timezone(void **state)
{
	struct tree *t = *state;
	char target[256];
	AUTOFREE char *link = path_join(t->path, "etc/localtime");
	assert_int_equal(etc_write_timezone(t->root, "Europe/Oslo", NULL), 0);
	assert_false(path_exists(link)); /* the image has no zones */
	tree_put(t, "/usr/share/zoneinfo/Europe/Oslo", 0, "TZif");
	tree_put(t, "/etc/timezone", 0, "Etc/UTC\n");
	assert_int_equal(etc_write_timezone(t->root, "Europe/Oslo", NULL), 0);
	ssize_t n = readlink(link, target, sizeof target);
	assert_int_equal(n, (ssize_t)strlen("/usr/share/zoneinfo/Europe/Oslo"));
	tree_expect(t, "/etc/timezone", "Europe/Oslo\n");
	/* as timedatectl(1) sets another one */
	tree_put(t, "/usr/share/zoneinfo/Asia/Tokyo", 0, "TZif");
	assert_int_equal(rootfs_symlink(t->root, "/etc/localtime", "../usr/share/zoneinfo/Asia/Tokyo", NULL), 0);
	assert_int_equal(etc_write_timezone(t->root, "Europe/Oslo", NULL), 0);
	n = readlink(link, target, sizeof target);
	assert_int_equal(n, (ssize_t)strlen("../usr/share/zoneinfo/Asia/Tokyo"));
	assert_false(timezone_is_valid("../../etc/passwd"));
	assert_false(timezone_is_valid("/etc"));
}

int main(void)
{
	const struct CMUnitTest tests[] = { TREE_TEST(test_hosts), TREE_TEST(test_services), TREE_TEST(test_resolv),
		TREE_TEST(test_resolv_symlink), TREE_TEST(test_machine_id), TREE_TEST(test_timezone),
		TREE_TEST(test_hostname) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
