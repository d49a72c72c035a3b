/* SPDX-License-Identifier: Apache-2.0
 * The line in ~/.ssh/config, and what it includes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "cli/ssh/text.h"

#define LINE "Include \"/d/holm/ssh/config\""

static void same(char *text, const char *wanted)
{
	assert_string_equal(text, wanted);
	free(text);
}

static void adds(void **state)
{
	same(ssh_text_add("", LINE), LINE "\n");
	same(ssh_text_add("Host a\n\tUser b", LINE), LINE "\nHost a\n\tUser b");
	same(ssh_text_add("\n\r\n# c\r\n", LINE), LINE "\n\n\r\n# c\r\n");
	/* Once and first, however often, and whatever folder it named before. */
	same(ssh_text_add(LINE "\nHost a\n", LINE), LINE "\nHost a\n");
	same(ssh_text_add("Host a\n" LINE "\n", LINE), LINE "\nHost a\n");
	same(ssh_text_add("Include \"/other/holm/ssh/config\"\nHost a\n", LINE), LINE "\nHost a\n");
}

static void removes(void **state)
{
	same(ssh_text_remove(""), "");
	same(ssh_text_remove(LINE), "");
	same(ssh_text_remove(LINE "\n"), "");
	same(ssh_text_remove(LINE "\nHost a\n\n  User b"), "Host a\n\n  User b");
	same(ssh_text_remove("Include /d/holm/ssh/config\nHost a\n"), "Host a\n");
	/* The user's own lines are not touched. */
	same(ssh_text_remove("Include holm\n# " LINE "\n\tInclude \"/d/holm/ssh/config\"\n"),
	    "Include holm\n# " LINE "\n\tInclude \"/d/holm/ssh/config\"\n");
}

static void includes(void **state)
{
	same(ssh_text_include("/d/holm/ssh/config"), LINE);
	same(ssh_text_include("/a b/holm/ssh/config"), "Include \"/a b/holm/ssh/config\"");
	same(ssh_text_include("/a*[b]/c"), "Include \"/a\\*\\[b\\]/c\"");
	same(ssh_text_include("/a\"b/c"), "Include \"/a\\\"b/c\"");
}

static void config(void **state)
{
	const struct strv none = { 0 };
	AUTOFREE char *plain = ssh_text_config(
	    &(struct ssh_text){ .program = "/l/holm-ssh", .known_hosts = "/d/known_hosts", .machines = &none });
	assert_non_null(strstr(plain, "\nHost *.holm\n    ProxyCommand '/l/holm-ssh' '%n'\n"));
	assert_non_null(strstr(plain, "\n    UserKnownHostsFile \"/d/known_hosts\"\n"));
	assert_null(strstr(plain, "sshd"));
	AUTOFREE char *odd = ssh_text_config(&(struct ssh_text){ .program = "/it's 5%/holm-ssh",
	    .known_hosts = "/a \"b\" 5%/k",
	    .data = "/d d",
	    .machines = &none });
	assert_non_null(strstr(odd, "    ProxyCommand env XDG_DATA_HOME='/d d' '/it'\\''s 5%%/holm-ssh' '%n'\n"));
	assert_non_null(strstr(odd, "    UserKnownHostsFile \"/a \\\"b\\\" 5%%/k\"\n"));
}

/* The part of the machines with an sshd stands first, and names all that differs. */
static void config_with_sshd(void **state)
{
	AUTO_STRV struct strv names = { 0 };
	struct ssh_text t = { .program = "/l/holm-ssh",
		.known_hosts = "/d/known_hosts",
		.sshd_known_hosts = "/d/sshd hosts",
		.client_key = "/d/5%",
		.data = "/d",
		.sshd = 1,
		.machines = &names };
	AUTOFREE char *all = ssh_text_config(&t);
	const char *part = strstr(all, "\nHost *.holm\n");
	assert_non_null(part);
	assert_non_null(
	    strstr(part + 1, "\nHost *.holm\n    ProxyCommand env XDG_DATA_HOME='/d' '/l/holm-ssh' '%n'\n"));
	strv_add(&names, "a");
	strv_add(&names, "b-2");
	AUTOFREE char *two = ssh_text_config(&t);
	part = strstr(two, "\nHost a.holm b-2.holm\n"
			   "    ProxyCommand env XDG_DATA_HOME='/d' '/l/holm-ssh' --server sshd '%n'\n"
			   "    HostKeyAlias holm-sshd\n"
			   "    UserKnownHostsFile \"/d/sshd hosts\"\n"
			   "    IdentityFile \"/d/5%%\"\n");
	assert_non_null(part);
	assert_non_null(strstr(part, "\nHost *.holm\n"));
}

static void paths(void **state)
{
	assert_int_equal(ssh_text_check_path("/a b/c", NULL), 0);
	assert_int_not_equal(ssh_text_check_path("/a\nHost *", NULL), 0);
	assert_int_not_equal(ssh_text_check_path("/a/${HOME}", NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adds),
		cmocka_unit_test(removes),
		cmocka_unit_test(includes),
		cmocka_unit_test(config),
		cmocka_unit_test(config_with_sshd),
		cmocka_unit_test(paths),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
