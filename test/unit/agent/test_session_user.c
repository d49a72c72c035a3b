/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/session/kerberos.h"
#include "agent/session/locale.h"
#include "agent/session/user.h"
#include "tree.h"

static struct boot_user machine_user = {
	.name = (char *)"alice",
	.home = (char *)"/home/alice",
	.uid = 1000,
	.gid = 1000,
};

static struct session_request plain(void)
{
	return (struct session_request){ .uid = -1, .gid = -1, .relay = -1 };
}

static void fill(struct tree *t)
{
	tree_put(t, "/etc/passwd", 0, "root:x:0:0::/root:/bin/bash\nalice:x:1000:1000::/home/alice:/bin/bash\n");
	tree_put(t, "/etc/group", 0, "wheel:x:10:alice\nalice:x:1000:\n");
	tree_put(t, "/bin/bash", 0755, "");
	tree_put(t, "/var/lib/systemd/linger/alice", 0, "");
}

static void test_users(void **state)
{
	struct tree *t = *state;
	static const struct {
		const char *name;
		int64_t uid, gid;
		const char *expected, *home, *shell;
		uint32_t expected_uid, expected_gid;
	} cases[] = {
		{ NULL, -1, -1, "alice", "/home/alice", "/bin/bash", 1000, 1000 },
		{ "root", -1, -1, "root", "/root", "/bin/bash", 0, 0 },
		{ NULL, 1000, -1, "alice", "/home/alice", "/bin/bash", 1000, 1000 },
		{ NULL, 1000, 7, "alice", "/home/alice", "/bin/bash", 1000, 7 },
		{ NULL, 1234, 1234, "1234", "/", "/bin/sh", 1234, 1234 },
	};
	fill(t);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct session_request q = plain();
		CLEANUP(session_user_done) struct session_user u = { 0 };
		q.user = (char *)cases[i].name;
		q.uid = cases[i].uid;
		q.gid = cases[i].gid;
		assert_int_equal(session_user_resolve(t->root, &q, &machine_user, &u, NULL), 0);
		assert_string_equal(u.name, cases[i].expected);
		assert_string_equal(u.home, cases[i].home);
		assert_string_equal(u.shell, cases[i].shell);
		assert_int_equal(u.uid, cases[i].expected_uid);
		assert_int_equal(u.gid, cases[i].expected_gid);
		assert_int_equal(u.lingers, streq(u.name, "alice"));
	}
}

/* An archive of one name, as localedef(1) writes it: head, a table of three places, the name. */
static void put_archive(struct tree *t, const char *name, uint32_t hash)
{
	uint32_t words[64] = { 0xde020109, 0, 64, 1, 3 };
	uint32_t *entry = words + 16 + 3 * (hash % 3);
	entry[0] = hash;
	entry[1] = 128;
	entry[2] = 1;
	memcpy((char *)words + 128, name, MIN(strlen(name), (size_t)32));
	AUTOFREE char *path = path_join(t->path, "usr/lib/locale/locale-archive");
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(words, sizeof words, 1, f), 1);
	fclose(f);
}

/* name: of the entry that the caller has sent, or NULL. */
static void expect_terminal(struct tree *t, const char *name, const char *given, const char *expected)
{
	AUTO_STRV struct strv env = { 0 };
	unsigned char entry[] = "entry";
	const struct session_terminal terminal = { .name = (char *)name, .entry = entry, .size = strlen("entry") };
	strv_add(&env, given);
	session_fit_locale(t->root, &terminal, &env);
	AUTOFREE char *all = strv_join(&env, " ");
	assert_string_equal(all, expected);
}

static void expect_fit(struct tree *t, const char *given, const char *expected)
{
	expect_terminal(t, NULL, given, expected);
}

static void expect_tickets(struct tree *t, const char *given, const char *expected)
{
	AUTO_STRV struct strv env = { 0 };
	strv_add(&env, given);
	session_fit_kerberos(t->root, 1001, &env);
	AUTOFREE char *all = strv_join(&env, " ");
	assert_string_equal(all, expected);
}

static void test_kerberos(void **state)
{
	struct tree *t = *state;
	expect_tickets(t, "A=1", "A=1");
	tree_put(t, "/etc/krb5.conf", 0,
	    "[libdefaults]\n# default_ccache_name = KEYRING:x\ndefault_ccache_names = KEYRING:x\n");
	expect_tickets(t, "A=1", "A=1");
	tree_put(t, "/etc/krb5.conf", 0, "[libdefaults]\n\tdefault_ccache_name=KEYRING:persistent:%{uid}");
	expect_tickets(t, "A=1", "A=1 KRB5CCNAME=FILE:/tmp/krb5cc_1001");
	expect_tickets(t, "KRB5CCNAME=DIR:/x", "KRB5CCNAME=DIR:/x");
	/* The files of the folder come first. */
	tree_put(t, "/etc/krb5.conf.d/a", 0, "[libdefaults]\n default_ccache_name = KEYRING:session:a\n");
	expect_tickets(t, "A=1", "A=1 KRB5CCNAME=FILE:/tmp/krb5cc_1001");
	tree_put(t, "/etc/krb5.conf.d/kcm", 0, "[libdefaults]\n default_ccache_name = KCM:\n");
	expect_tickets(t, "A=1", "A=1");
	tree_put(t, "/etc/krb5.conf.d/.b", 0, "");
	tree_put(t, "/etc/krb5.conf", 0, "\n\n");
	expect_tickets(t, "A=1", "A=1");
}

static void test_locale(void **state)
{
	struct tree *t = *state;
	/* An image without glibc's C.UTF-8 takes any name. */
	expect_fit(t, "LANG=de_DE.UTF-8", "LANG=de_DE.UTF-8");
	expect_fit(t, "TERM=xterm-kitty", "TERM=xterm-kitty");
	tree_put(t, "/usr/lib/locale/C.utf8/LC_CTYPE", 0, "");
	tree_put(t, "/usr/lib/locale/fr_FR.utf8/LC_CTYPE", 0, "");
	put_archive(t, "de_DE.utf8", 0x63a1d44b);
	tree_put(t, "/lib/terminfo/x/xterm-256color", 0, "");
	tree_put(t, "/usr/share/terminfo/s/screen", 0, "");
	expect_fit(t, "LANG=de_DE.UTF-8", "LANG=de_DE.UTF-8");
	expect_fit(t, "LC_ALL=fr_FR.UTF-8", "LC_ALL=fr_FR.UTF-8");
	expect_fit(t, "LC_TIME=nb_NO.UTF-8", "LC_TIME=C.UTF-8");
	expect_fit(t, "LANG=../../etc", "LANG=C.UTF-8");
	expect_fit(t, "LANG=C", "LANG=C");
	expect_fit(t, "OTHER=nb_NO.UTF-8", "OTHER=nb_NO.UTF-8");
	expect_fit(t, "TERM=xterm-kitty", "TERM=xterm-256color");
	expect_fit(t, "TERM=screen", "TERM=screen");
	expect_fit(t, "TERM=../x", "TERM=../x");
	expect_terminal(t, "other", "TERM=xterm-kitty", "TERM=xterm-256color");
	expect_terminal(t, "xterm-kitty", "TERM=xterm-kitty", "TERM=xterm-kitty TERMINFO=" SESSION_TERMINFO);
	/* It stays for sessions that bring none. */
	expect_terminal(t, NULL, "TERM=xterm-kitty", "TERM=xterm-kitty TERMINFO=" SESSION_TERMINFO);
	expect_terminal(t, "screen", "TERM=screen", "TERM=screen");
	tree_expect(t, SESSION_TERMINFO "/x/xterm-kitty", "entry");
}

static void test_unknown_and_empty(void **state)
{
	struct tree *t = *state;
	struct session_request q = plain();
	CLEANUP(session_user_done) struct session_user u = { 0 };
	q.user = (char *)"nobody";
	assert_int_equal(session_user_resolve(t->root, &q, &machine_user, &u, NULL), -ENOENT);
	q.user = NULL;
	assert_int_equal(session_user_resolve(t->root, &q, &machine_user, &u, NULL), 0);
	assert_string_equal(u.name, "alice"); /* an image without any passwd */
	session_user_done(&u);
	q.uid = 0;
	assert_int_equal(session_user_resolve(t->root, &q, &machine_user, &u, NULL), 0);
	assert_string_equal(u.name, "root");
	assert_string_equal(u.home, "/root");
	session_user_done(&u);
	q.uid = -1;
	q.user = (char *)"root"; /* as run --root asks */
	assert_int_equal(session_user_resolve(t->root, &q, &machine_user, &u, NULL), 0);
	assert_string_equal(u.name, "root");
	assert_int_equal(u.uid, 0);
}

static void test_fifo_is_not_read(void **state)
{
	struct tree *t = *state;
	struct session_request q = plain();
	CLEANUP(session_user_done) struct session_user u = { 0 };
	AUTOFREE char *etc = path_join(t->path, "etc");
	AUTOFREE char *fifo = path_join(t->path, "etc/passwd");
	assert_int_equal(mkdir(etc, 0755), 0);
	assert_int_equal(mkfifo(fifo, 0644), 0);
	assert_int_equal(session_user_resolve(t->root, &q, &machine_user, &u, NULL), 0);
}

static void test_environment(void **state)
{
	struct tree *t = *state;
	struct boot_request b = { 0 };
	struct session_request q = plain();
	CLEANUP(session_user_done) struct session_user u = { 0 };
	AUTO_STRV struct strv env = { 0 };
	fill(t);
	strv_add(&b.image_env, "PATH=/opt/bin:/bin");
	strv_add(&b.image_env, "HOME=/app");
	strv_add(&b.image_env, "LANG=C");
	strv_add(&b.image_env, "XDG_RUNTIME_DIR=/nowhere");
	strv_add(&b.image_env, "DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere");
	strv_add(&b.env, "EDITOR=vi");
	strv_add(&q.env, "LANG=nb_NO.UTF-8");
	strv_add(&q.env, "broken");
	q.tty = 1;
	assert_int_equal(session_user_resolve(t->root, &q, &machine_user, &u, NULL), 0);
	assert_true(u.lingers);
	assert_false(u.has_bus); /* its manager starts none */
	session_user_done(&u);
	tree_put(t, "/usr/lib/systemd/user/dbus.socket", 0, "");
	assert_int_equal(session_user_resolve(t->root, &q, &machine_user, &u, NULL), 0);
	session_environment(&q, &b, &u, "/run/holm/ssh-agent.1000", &env);
	static const char *const expected[][2] = {
		{ "HOME", "/home/alice" },
		{ "USER", "alice" },
		{ "LOGNAME", "alice" },
		{ "SHELL", "/bin/bash" },
		{ "PATH", "/opt/bin:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin" },
		{ "LANG", "nb_NO.UTF-8" },
		{ "EDITOR", "vi" },
		{ "TERM", "xterm" },
		{ "XDG_RUNTIME_DIR", "/run/user/1000" },
		{ "DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/1000/bus" },
		{ "SSH_AUTH_SOCK", "/run/holm/ssh-agent.1000" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		assert_string_equal(strv_getenv(&env, expected[i][0]), expected[i][1]);
	strv_done(&b.image_env);
	strv_done(&b.env);
	strv_done(&q.env);
}

static void test_shared_paths(void **state)
{
	struct boot_share shares[] = { { .tag = (char *)"home", .inside = (char *)"/home/alice" } };
	struct boot_request b = { .shares = shares, .share_count = 1 };
	static const struct {
		const char *path, *inside;
	} cases[] = {
		{ "/home/alice", "/home/alice" },
		{ "/home/alice/x/", "/home/alice/x" },
		{ "/home/alice2", NULL },
		{ "/home/alice/../bob", NULL },
		{ "relative", NULL },
		{ NULL, NULL },
		{ "/var/home/alice", "/home/alice" },
		{ "/var/home/alice/a/b", "/home/alice/a/b" },
		{ "/var/home/alice2", NULL },
	};
	strv_add(&b.shares[0].aliases, "/var/home/alice");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTOFREE char *inside = session_shared_path(&b, cases[i].path);
		assert_true(streq(inside, cases[i].inside) || (!inside && !cases[i].inside));
	}
	strv_done(&b.shares[0].aliases);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TREE_TEST(test_users), TREE_TEST(test_locale), TREE_TEST(test_kerberos),
		TREE_TEST(test_unknown_and_empty), TREE_TEST(test_fifo_is_not_read), TREE_TEST(test_environment),
		cmocka_unit_test(test_shared_paths) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
