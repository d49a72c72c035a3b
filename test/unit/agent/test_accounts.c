/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/provision/accounts.h"
#include "agent/provision/subids.h"
#include "tree.h"

static struct boot_user alice = {
	.name = (char *)"alice",
	.group = (char *)"staff",
	.home = (char *)"/home/alice",
	.uid = 1000,
	.gid = 1000,
};

static struct account_files files(const char *passwd, const char *group)
{
	return (struct account_files){ .passwd = xstrdup(passwd), .group = xstrdup(group) };
}

static void test_new_user(void **state)
{
	CLEANUP(account_files_done) struct account_files f = files("root:x:0:0:root:/root:/bin/sh\n", "root:x:0:\n");
	f.shadow = xstrdup("root:*::0:::::");
	f.gshadow = xstrdup("root:*::\n");
	f.subuid = xstrdup("other:100000:65536\n");
	accounts_apply(&f, &alice, "/bin/bash");
	assert_string_equal(f.passwd, "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/bash\n");
	assert_string_equal(f.group, "root:x:0:\nstaff:x:1000:\n");
	assert_string_equal(f.shadow, "root:*::0:::::\nalice:!:19000:0:99999:7:::\n");
	assert_string_equal(f.gshadow, "root:*::\nstaff:!::\n");
	assert_string_equal(f.subuid, "other:100000:65536\nalice:165536:65536\n");
	assert_null(f.subgid);
}

static void test_idempotent(void **state)
{
	CLEANUP(account_files_done) struct account_files f = files("", "");
	f.shadow = xstrdup("");
	f.subuid = xstrdup("");
	accounts_apply(&f, &alice, "/bin/bash");
	CLEANUP(account_files_done)
	struct account_files again = {
		.passwd = xstrdup(f.passwd),
		.group = xstrdup(f.group),
		.shadow = xstrdup(f.shadow),
		.subuid = xstrdup(f.subuid),
	};
	accounts_apply(&again, &alice, "/bin/bash");
	assert_string_equal(again.passwd, f.passwd);
	assert_string_equal(again.group, f.group);
	assert_string_equal(again.shadow, f.shadow);
	assert_string_equal(again.subuid, f.subuid);
}

static void test_uid_is_taken(void **state)
{
	CLEANUP(account_files_done)
	struct account_files f = files("ubuntu:x:1000:1000:Ubuntu,,,:/home/ubuntu:/bin/zsh\n",
	    "adm:x:4:syslog,ubuntu\nubuntu:x:1000:\nsudo:x:27:ubuntu,xubuntu\n");
	f.shadow = xstrdup("ubuntu:!:19000:0:99999:7:::\n");
	f.gshadow = xstrdup("adm:*:ubuntu:syslog,ubuntu\n");
	f.subuid = xstrdup("ubuntu:100000:65536\n");
	accounts_apply(&f, &alice, "/bin/bash");
	assert_string_equal(f.passwd, "alice:x:1000:1000:Ubuntu,,,:/home/alice:/bin/zsh\n");
	assert_string_equal(f.group, "adm:x:4:syslog,alice\nubuntu:x:1000:\nsudo:x:27:alice,xubuntu\n");
	assert_string_equal(f.shadow, "alice:!:19000:0:99999:7:::\n");
	assert_string_equal(f.gshadow, "adm:*:alice:syslog,alice\n");
	assert_string_equal(f.subuid, "alice:100000:65536\n");
}

static void test_name_and_uid_are_taken(void **state)
{
	CLEANUP(account_files_done)
	struct account_files f =
	    files("ubuntu:x:1000:1000::/home/ubuntu:/bin/sh\nalice:x:1001:1001::/home/alice:/bin/sh\n",
		"staff:x:50:\n");
	accounts_apply(&f, &alice, "/bin/bash");
	assert_string_equal(f.passwd, "alice:x:1000:1000::/home/alice:/bin/sh\n");
	assert_string_equal(f.group, "staff:x:50:\nstaff-1000:x:1000:\n");
}

static void test_name_has_other_uid(void **state)
{
	CLEANUP(account_files_done) struct account_files f = files("alice:x:77:77::/old:/usr/sbin/nologin\n", "");
	accounts_apply(&f, &alice, "/bin/bash");
	assert_string_equal(f.passwd, "alice:x:1000:1000::/home/alice:/bin/bash\n");
}

static void test_strange_lines_stay(void **state)
{
	const char *strange = "# comment\n+::::::\nbroken\n::::\nx:y:-1:4294967296:::\n";
	CLEANUP(account_files_done) struct account_files f = files(strange, "");
	accounts_apply(&f, &alice, "/bin/sh");
	assert_true(startswith(f.passwd, strange) != NULL);
	assert_true(endswith(f.passwd, "alice:x:1000:1000::/home/alice:/bin/sh\n"));
}

static void test_find(void **state)
{
	const char *text = "root:x:0:0:root:/root:/bin/sh\nbad:x:zero:0:::\nbob:x:7:8::/b:\n";
	CLEANUP(passwd_entry_done) struct passwd_entry p = { 0 };
	assert_int_equal(passwd_find(text, "bob", 0, &p), 0);
	assert_int_equal(p.uid, 7);
	assert_int_equal(p.gid, 8);
	assert_string_equal(p.shell, "");
	passwd_entry_done(&p);
	assert_int_equal(passwd_find(text, NULL, 0, &p), 0);
	assert_string_equal(p.name, "root");
	passwd_entry_done(&p);
	assert_int_equal(passwd_find(text, "bad", 0, &p), -ENOENT);
	assert_int_equal(passwd_find(text, NULL, 99, &p), -ENOENT);
}

static void test_groups(void **state)
{
	gid_t list[3];
	uint32_t gid = 0;
	const char *text = "a:x:1:bob\nb:x:2:al,bob\nc:x:3:bobby\nd:x:4:bob,x\n";
	assert_int_equal(group_list(text, "bob", 1, list, 3), 3);
	assert_int_equal(list[0], 1);
	assert_int_equal(list[1], 2);
	assert_int_equal(list[2], 4);
	assert_int_equal(group_find(text, "c", &gid), 0);
	assert_int_equal(gid, 3);
	assert_int_equal(group_find(text, "z", &gid), -ENOENT);
}

/* The groups that the user is in on the host. */
static void test_join_groups(void **state)
{
	struct boot_group groups[] = { { (char *)"video", 44 }, { (char *)"shared", 2000 }, { (char *)"audio", 2001 },
		{ (char *)"own", 1000 }, { (char *)"odd", 7 } };
	struct boot_user u = alice;
	u.groups = groups;
	u.group_count = ARRAY_SIZE(groups);
	CLEANUP(account_files_done)
	struct account_files f = files("", "grafik:x:44:bob\naudio:x:29:\nstaff:x:1000:\nshort:x:7\n");
	f.gshadow = xstrdup("grafik:!::bob\nstaff:!::\n");
	for (int n = 0; n < 2; n++) {
		accounts_join_groups(&f, &u);
		assert_string_equal(f.group, "grafik:x:44:bob,alice\naudio:x:29:\nstaff:x:1000:\nshort:x:7:"
					     "alice\nshared:x:2000:alice\naudio-2001:x:2001:alice\n");
		assert_string_equal(f.gshadow,
		    "grafik:!::bob,alice\nstaff:!::\nshared:!::alice\naudio-2001:!::alice\n");
	}
	accounts_apply(&f, &u, "/bin/sh");
	assert_non_null(strstr(f.group, "shared:x:2000:alice\n"));
	/* An image without any. */
	CLEANUP(account_files_done) struct account_files none = { 0 };
	accounts_join_groups(&none, &u);
	assert_string_equal(none.group, "video:x:44:alice\nshared:x:2000:alice\naudio:x:2001:alice\nodd:x:7:alice\n");
	assert_null(none.gshadow);
}

static void expect_fit(const char *before, uint32_t own, const char *map, const char *after)
{
	AUTOFREE char *text = xstrdup(before);
	assert_int_equal(subids_fit(&text, "alice", own, map), !streq(before, after));
	assert_string_equal(text, after);
	assert_int_equal(subids_fit(&text, "alice", own, map), 0);
}

static void test_subordinate_ids_exist(void **state)
{
	const char *usual = "bob:165536:65536\nalice:100000:65536\n";
	/* A VM has all ids. */
	expect_fit(usual, 1000, "         0          0 4294967295\n", usual);
	/* One range of 65536 on the host: all of it but root and alice herself, no line across two
	 * of the map. */
	expect_fit(usual, 1000, "0 0 1000\n1000 1000 1\n1001 1001 64536\n",
	    "bob:165536:65536\nalice:1:999\nalice:1001:64536\n");
	expect_fit(usual, 1000, "0 0 65536\n", "bob:165536:65536\nalice:1:999\nalice:1001:64535\n");
	/* As many again behind them. */
	expect_fit(usual, 1000, "0 0 1000\n1000 1000 1\n1001 1001 64536\n65537 65537 65536\n",
	    "bob:165536:65536\nalice:65537:65536\n");
	expect_fit(usual, 1000, "0 0 200000\n", usual);
	expect_fit("alice:300000:65536\n", 70000, "0 0 140000\n", "alice:1:65536\n");
	/* Only what does not exist is touched; nothing is given to who has nothing. */
	expect_fit("alice:2000:10\n", 1000, "0 0 65536\n", "alice:2000:10\n");
	expect_fit("alice\nalice:x:y\n#alice:1:1\nalice2:1000000:1\n", 1000, "0 0 3\n",
	    "alice\n#alice:1:1\nalice2:1000000:1\nalice:1:2\n");
	expect_fit("bob:100000:65536\n", 1000, "0 0 65536\n", "bob:100000:65536\n");
	expect_fit(usual, 1000, "", usual);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_new_user), cmocka_unit_test(test_idempotent),
		cmocka_unit_test(test_uid_is_taken), cmocka_unit_test(test_name_and_uid_are_taken),
		cmocka_unit_test(test_name_has_other_uid), cmocka_unit_test(test_strange_lines_stay),
		cmocka_unit_test(test_find), cmocka_unit_test(test_groups), cmocka_unit_test(test_join_groups),
		cmocka_unit_test(test_subordinate_ids_exist) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
