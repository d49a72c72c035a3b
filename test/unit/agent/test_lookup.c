/* SPDX-License-Identifier: Apache-2.0
 * Names and addresses that a client of ssh wants to reach from inside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>

#include "agent/service/lookup.h"
#include "base/buffer.h"

static struct lookup_address found[LOOKUP_ADDRESSES_MAX];

static void is(const struct lookup_address *a, const char *wanted)
{
	char text[INET6_ADDRSTRLEN];
	const void *bytes = a->address.ss_family == AF_INET ?
				(const void *)&((const struct sockaddr_in *)&a->address)->sin_addr :
				(const void *)&((const struct sockaddr_in6 *)&a->address)->sin6_addr;
	assert_string_equal(inet_ntop(a->address.ss_family, bytes, text, sizeof text), wanted);
}

static void literals(void **state)
{
	assert_int_equal(lookup_literal("10.1.2.3", found), 1);
	is(found, "10.1.2.3");
	assert_int_equal(lookup_literal("fe80::1", found), 1);
	is(found, "fe80::1");
	assert_int_equal(lookup_literal("LocalHost", found), 2);
	is(&found[0], "127.0.0.1");
	is(&found[1], "::1");
	assert_int_equal(lookup_literal("10.1.2", found), 0);
	assert_int_equal(lookup_literal("example.org", found), 0);
}

static void hosts(void **state)
{
	static const char text[] = "# 9.9.9.9 db\n127.0.0.1\tlocalhost\n\n10.0.0.1 web Web.test # db\n"
				   "10.0.0.2 db.test\n::2 web\nnonsense web\n10.0.0.3";
	assert_int_equal(lookup_hosts(text, "web", found), 2);
	is(&found[0], "10.0.0.1");
	is(&found[1], "::2");
	assert_int_equal(lookup_hosts(text, "WEB.TEST", found), 1);
	assert_int_equal(lookup_hosts(text, "db", found), 0);
	assert_int_equal(lookup_hosts(text, "10.0.0.3", found), 0);
	assert_int_equal(lookup_hosts("", "web", found), 0);
}

static void hosts_have_a_limit(void **state)
{
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, 4096);
	for (int i = 0; i < 100; i++)
		buffer_append_string(&b, "10.0.0.1 many\n");
	assert_int_equal(lookup_hosts(buffer_string(&b), "many", found), LOOKUP_ADDRESSES_MAX);
}

/* A question, an alias, and two addresses. */
static const unsigned char answer[] = "\0\1\201\200\0\1\0\3\0\0\0\0"
				      "\1a\4test\0\0\1\0\1"
				      "\300\14\0\5\0\1\0\0\0\1\0\4\1b\300\16"
				      "\1b\300\16\0\1\0\1\0\0\0\1\0\4\12\0\0\1"
				      "\1b\300\16\0\1\0\1\0\0\0\1\0\4\12\0\0\2";

static void answers(void **state)
{
	assert_int_equal(lookup_answer(answer, sizeof answer - 1, 1, found), 2);
	is(&found[0], "10.0.0.1");
	is(&found[1], "10.0.0.2");
	assert_int_equal(lookup_answer(answer, sizeof answer - 1, 28, found), 0);
	for (size_t cut = 0; cut < sizeof answer - 1; cut++)
		assert_true(lookup_answer(answer, cut, 1, found) < 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(literals), cmocka_unit_test(hosts),
		cmocka_unit_test(hosts_have_a_limit), cmocka_unit_test(answers) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
