/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/provision/provision.h"
#include "agent/provision/sudo.h"
#include "tree.h"

/* Ids are the tester's own, so that files can be given to the user without being root. */
static struct boot_user user(int home_shared)
{
	return (struct boot_user){
		.name = (char *)"alice",
		.group = (char *)"alice",
		.home = (char *)"/home/alice",
		.uid = getuid() ? getuid() : 1000,
		.gid = getuid() ? getgid() : 1000,
		.home_shared = home_shared,
	};
}

static mode_t mode_of(struct tree *t, const char *path)
{
	struct stat st;
	AUTO_FD int fd = path_open_in_root(t->root, path, O_PATH, 0);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	return st.st_mode & 07777;
}

static void test_steps(void **state)
{
	struct tree *t = *state;
	struct boot_user u = user(0);
	tree_put(t, "/etc/passwd", 0644, "root:x:0:0::/root:/bin/sh\n");
	tree_put(t, "/etc/shadow", 0640, "root:*::0:::::\n");
	tree_put(t, "/bin/bash", 0755, "");
	tree_put(t, "/usr/bin/doas", 04755, "");
	tree_put(t, "/usr/lib/systemd/systemd-logind", 0755, "");
	tree_put(t, "/etc/skel/.profile", 0644, "skel\n");
	tree_put(t, "/etc/skel/.config/x", 0600, "deep\n");
	assert_false(provision_is_done(t->root, &u));
	assert_int_equal(provision_apply(t->root, &u, NULL), 0);
	assert_int_equal(provision_apply(t->root, &u, NULL), 0);
	assert_int_equal(provision_mark_done(t->root, &u, NULL), 0);
	assert_true(provision_is_done(t->root, &u));
	AUTOFREE char *passwd = NULL;
	assert_int_equal(rootfs_read(t->root, "/etc/passwd", &passwd), 0);
	assert_non_null(strstr(passwd, "::/home/alice:/bin/bash\n"));
	assert_int_equal(mode_of(t, "/etc/shadow"), 0640);
	assert_int_equal(mode_of(t, "/etc/sudoers.d/zz-holm"), 0440);
	AUTOFREE char *doas = NULL;
	assert_int_equal(rootfs_read(t->root, "/etc/doas.conf", &doas), 0);
	assert_non_null(strstr(doas, "permit nopass setenv { http_proxy "));
	AUTOFREE char *identity = xasprintf(" } %u\n", u.uid);
	assert_non_null(strstr(doas, identity));
	tree_expect(t, "/home/alice/.profile", "skel\n");
	tree_expect(t, "/home/alice/.config/x", "deep\n");
	assert_true(rootfs_exists(t->root, "/var/lib/systemd/linger/alice"));
	u.name = (char *)"bob";
	assert_false(provision_is_done(t->root, &u));
}

/* Names of directory services; the file of logind has them escaped. */
static void test_names(void **state)
{
	struct tree *t = *state;
	static const char *const names[][2] = {
		{ "CORP\\jdoe", "CORP\\\\jdoe" },
		{ "first.last@corp.example", "first.last@corp.example" },
		{ "jos\303\251", "jos\\303\\251" },
		{ "CORP\\domain user", "CORP\\\\domain user" },
	};
	tree_put(t, "/usr/lib/systemd/systemd-logind", 0755, "");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct boot_user u = user(1);
		AUTOFREE char *linger = xasprintf("/var/lib/systemd/linger/%s", names[i][1]);
		AUTOFREE char *line = xasprintf("%s:x:%u:%u::/home/alice:", names[i][0], u.uid, u.gid);
		AUTOFREE char *passwd = NULL;
		u.name = (char *)names[i][0];
		assert_true(account_name_is_valid(u.name));
		assert_int_equal(provision_apply(t->root, &u, NULL), 0);
		assert_int_equal(rootfs_read(t->root, "/etc/passwd", &passwd), 0);
		assert_non_null(startswith(passwd, line));
		assert_true(rootfs_exists(t->root, linger));
	}
	static const char *const bad[] = { "", "a:b", "a,b", "a/b", "a\nb", " a", "a ", "-a", "+a", "#a", "." };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(account_name_is_valid(bad[i]));
}

/* The user's rule is the last one, and whatever else is in the file stays. */
static void test_sudoers(void **state)
{
	struct tree *t = *state;
	struct boot_user u = user(1);
	AUTOFREE char *rule = xasprintf("#%u ALL=(ALL:ALL) NOPASSWD: ALL", u.uid);
	static const struct {
		const char *text;
		int appended, terminal;
	} cases[] = {
		{ "root ALL=(ALL) ALL\n@includedir /etc/sudoers.d\n", 0, 0 },
		{ "root ALL=(ALL) ALL\n#includedir  /etc/sudoers.d/\n\n# the end\n", 0, 0 },
		{ "root ALL=(ALL) ALL\n", 1, 0 },
		{ "Defaults requiretty\n@includedir /etc/sudoers.d\n%wheel ALL=(ALL) ALL", 1, 1 },
		{ "#includedir /etc/sudoers.d\n@includedir /etc/sudoers.more\n", 1, 0 },
	};
	tree_put(t, "/etc/sudoers.d/holm", 0440, "old\n");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		tree_put(t, "/etc/sudoers", 0440, cases[i].text);
		assert_int_equal(sudo_allow(t->root, &u, NULL), 0);
		assert_int_equal(sudo_allow(t->root, &u, NULL), 0);
		AUTOFREE char *sudoers = NULL, *file = NULL;
		assert_int_equal(rootfs_read(t->root, "/etc/sudoers", &sudoers), 0);
		assert_int_equal(rootfs_read(t->root, "/etc/sudoers.d/zz-holm", &file), 0);
		assert_non_null(startswith(sudoers, cases[i].text));
		const char *found = strstr(sudoers, rule);
		assert_int_equal(found != NULL, cases[i].appended);
		assert_null(found ? strstr(found + 1, rule) : NULL);
		assert_non_null(strstr(file, rule));
		assert_non_null(strstr(file, " https_proxy "));
		assert_int_equal(strstr(file, "!requiretty") != NULL, cases[i].terminal);
		assert_int_equal(mode_of(t, "/etc/sudoers"), 0440);
		assert_false(rootfs_exists(t->root, "/etc/sudoers.d/holm"));
	}
	tree_put(t, "/etc/sudoers", 0440, "mine ALL=(ALL) ALL\n");
	AUTO_FD int folder = path_open_in_root(t->root, "/etc/sudoers.d", O_PATH | O_DIRECTORY, 0);
	assert_int_equal(unlinkat(folder, "zz-holm", 0), 0);
	assert_int_equal(sudo_renew(t->root, &u, NULL), 0);
	tree_expect(t, "/etc/sudoers", "mine ALL=(ALL) ALL\n");
}

/* Also those that the user joined after the machine was made. */
static void test_groups(void **state)
{
	struct tree *t = *state;
	struct boot_user u = user(1);
	struct boot_group groups[] = { { (char *)"shared", 54321 }, { (char *)"late", 54322 } };
	tree_put(t, "/etc/group", 0644, "root:x:0:\n");
	u.groups = groups;
	u.group_count = 1;
	assert_int_equal(provision_apply(t->root, &u, NULL), 0);
	AUTOFREE char *first = NULL;
	assert_int_equal(rootfs_read(t->root, "/etc/group", &first), 0);
	assert_non_null(strstr(first, "\nshared:x:54321:alice\n"));
	u.group_count = 2;
	assert_int_equal(provision_groups(t->root, &u, NULL), 0);
	AUTOFREE char *expected = xasprintf("%slate:x:54322:alice\n", first);
	tree_expect(t, "/etc/group", expected);
	assert_int_equal(provision_groups(t->root, &u, NULL), 0);
	tree_expect(t, "/etc/group", expected);
	assert_false(rootfs_exists(t->root, "/etc/gshadow"));
}

/* The user reads the logs where the image has groups for that, also those that come later. */
static void test_log_groups(void **state)
{
	struct tree *t = *state;
	struct boot_user u = user(1);
	tree_put(t, "/etc/group", 0644, "root:x:0:\nadm:x:4:syslog\n");
	assert_int_equal(provision_apply(t->root, &u, NULL), 0);
	AUTOFREE char *first = NULL, *second = NULL;
	assert_int_equal(rootfs_read(t->root, "/etc/group", &first), 0);
	assert_non_null(strstr(first, "\nadm:x:4:syslog,alice\n"));
	assert_null(strstr(first, "systemd-journal"));
	AUTOFREE char *more = xasprintf("%ssystemd-journal:x:101:\n", first);
	tree_put(t, "/etc/group", 0644, more);
	assert_int_equal(provision_groups(t->root, &u, NULL), 0);
	assert_int_equal(provision_groups(t->root, &u, NULL), 0);
	assert_int_equal(rootfs_read(t->root, "/etc/group", &second), 0);
	assert_non_null(strstr(second, "\nsystemd-journal:x:101:alice\n"));
	assert_non_null(strstr(second, "\nadm:x:4:syslog,alice\n"));
}

/* "set home-mount=none" on a machine whose home was shared: the mount point becomes the home,
 * anything else stays as it is. */
static void test_home_after_a_shared_one(void **state)
{
	struct tree *t = *state;
	struct boot_user u = user(0);
	AUTO_ERROR struct error *err = NULL;
	tree_put(t, "/etc/skel/.profile", 0644, "skel\n");
	AUTO_FD int home = rootfs_mkdir(t->root, "/home/alice", 0755, &err);
	assert_true(home >= 0);
	assert_int_equal(provision_home(t->root, &u, &err), 0);
	tree_expect(t, "/home/alice/.profile", "skel\n");
	assert_int_equal(unlinkat(home, ".profile", 0), 0);
	tree_put(t, "/home/alice/own", 0644, "x\n");
	assert_int_equal(provision_home(t->root, &u, &err), 0);
	assert_false(rootfs_exists(t->root, "/home/alice/.profile"));
}

static void test_shared_home_is_not_touched(void **state)
{
	struct tree *t = *state;
	struct boot_user u = user(1);
	tree_put(t, "/etc/skel/.profile", 0644, "skel\n");
	assert_int_equal(provision_apply(t->root, &u, NULL), 0);
	assert_false(rootfs_exists(t->root, "/home"));
}

static void test_hostile_links_stay_inside(void **state)
{
	struct tree *t = *state;
	struct boot_user u = user(0);
	AUTOFREE char *outside = xasprintf("%s.outside", t->path);
	AUTOFREE char *etc = path_join(t->path, "etc");
	AUTOFREE char *victim = path_join(outside, "passwd");
	assert_int_equal(mkdir(outside, 0755), 0);
	assert_int_equal(symlink(outside, etc), 0);
	/* "/etc" points to a path that does not exist inside: it is made there, and nothing outside
	 * is written. */
	assert_int_equal(provision_apply(t->root, &u, NULL), 0);
	assert_false(path_exists(victim));
	assert_true(rootfs_exists(t->root, victim));
	assert_int_equal(rmdir(outside), 0);
}

static void test_links_to_nothing(void **state)
{
	struct tree *t = *state;
	AUTOFREE char *home = path_join(t->path, "home"), *loop = path_join(t->path, "loop"),
		      *up = path_join(t->path, "up"), *outside = xasprintf("%s/../holm-up", t->path);
	AUTO_ERROR struct error *err = NULL;
	assert_int_equal(symlink("sysroot/home", home), 0);
	AUTO_FD int made = rootfs_mkdir(t->root, "/home/alice", 0755, NULL);
	assert_true(made >= 0);
	assert_true(rootfs_exists(t->root, "/sysroot/home/alice"));
	assert_int_equal(symlink("loop", loop), 0);
	assert_true(rootfs_mkdir(t->root, "/loop/x", 0755, &err) < 0);
	assert_non_null(err);
	assert_int_equal(symlink("../../holm-up", up), 0);
	AUTO_FD int inside = rootfs_mkdir(t->root, "/up/x", 0755, NULL);
	assert_true(inside >= 0);
	assert_true(rootfs_exists(t->root, "/holm-up/x"));
	assert_false(path_exists(outside));
}

static void test_files_behind_links(void **state)
{
	struct tree *t = *state;
	AUTOFREE char *etc = path_join(t->path, "etc"), *below = path_join(etc, "resolv.conf"),
		      *absolute = path_join(etc, "hosts"), *loop = path_join(etc, "loop"), *out = path_join(etc, "out"),
		      *outside = xasprintf("%s/../holm-file", t->path);
	AUTO_ERROR struct error *err = NULL;
	if (!path_exists(etc))
		assert_int_equal(mkdir(etc, 0755), 0);
	assert_int_equal(symlink("../run/resolve/stub.conf", below), 0);
	assert_int_equal(symlink("/tmp/hosts", absolute), 0);
	assert_int_equal(symlink("loop", loop), 0);
	assert_int_equal(symlink("../../../holm-file", out), 0);
	AUTO_FD int first = rootfs_open_file(t->root, "/etc/resolv.conf", NULL);
	AUTO_FD int second = rootfs_open_file(t->root, "/etc/hosts", NULL);
	AUTO_FD int third = rootfs_open_file(t->root, "/new/hostname", NULL);
	AUTO_FD int fourth = rootfs_open_file(t->root, "/etc/out", NULL);
	AUTO_FD int again = rootfs_open_file(t->root, "/etc/resolv.conf", NULL);
	assert_true(first >= 0 && second >= 0 && third >= 0 && fourth >= 0 && again >= 0);
	assert_true(rootfs_exists(t->root, "/run/resolve/stub.conf") && rootfs_exists(t->root, "/tmp/hosts"));
	assert_true(rootfs_exists(t->root, "/new/hostname") && rootfs_exists(t->root, "/holm-file"));
	assert_false(path_exists(outside));
	assert_true(rootfs_open_file(t->root, "/etc/loop", &err) < 0);
	assert_non_null(err);
}

static void test_shell(void **state)
{
	struct tree *t = *state;
	static const struct {
		const char *file, *text, *program, *expected;
	} cases[] = {
		{ "/etc/none", "", "/bin/sh", "/bin/sh" },
		{ "/etc/adduser.conf", "# DSHELL=/bin/no\nDSHELL=/bin/zsh\n", "/bin/zsh", "/bin/zsh" },
		{ "/etc/adduser.conf", "DSHELL=/bin/missing\n", "/bin/bash", "/bin/bash" },
		{ "/etc/default/useradd", "SHELL=\"/bin/fish\"\n", "/bin/fish", "/bin/fish" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		tree_put(t, cases[i].file, 0644, cases[i].text);
		tree_put(t, cases[i].program, 0755, "");
		AUTOFREE char *shell = provision_shell(t->root);
		assert_string_equal(shell, cases[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { TREE_TEST(test_steps), TREE_TEST(test_sudoers), TREE_TEST(test_names),
		TREE_TEST(test_groups), TREE_TEST(test_log_groups), TREE_TEST(test_home_after_a_shared_one),
		TREE_TEST(test_shared_home_is_not_touched), TREE_TEST(test_hostile_links_stay_inside),
		TREE_TEST(test_links_to_nothing), TREE_TEST(test_files_behind_links), TREE_TEST(test_shell) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
