/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "../folder.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "keeper/agent/authorities.h"
#include "keeper/agent/host_facts.h"
#include "keeper/agent/names.h"
#include "keeper/agent/text.h"

static void test_resolv(void **state)
{
	AUTO_JSON struct json_object *o = host_parse_resolv(
	    "# comment\nnameserver 10.0.0.1 # here\n nameserver\t2001:db8::1\nnameserver fe80::1%eth0\n"
	    "nameserver nonsense\ndomain a.example\nsearch b.example c.example bad/name\n"
	    "options ndots:2 edns0\nunknown x\nnameserver");
	AUTOFREE char *text = json_to_string(o, 0), *empty_text = NULL;
	assert_string_equal(text, "{\"nameservers\":[\"10.0.0.1\",\"2001:db8::1\"],\"search\":[\"b.example\",\"c."
				  "example\"],\"options\":[\"ndots:2\",\"edns0\"]}");
	AUTO_JSON struct json_object *empty = host_parse_resolv("");
	empty_text = json_to_string(empty, 0);
	assert_string_equal(empty_text, "{\"nameservers\":[],\"search\":[],\"options\":[]}");
}

/* The first three that are addresses, at port 53. */
static void test_name_servers(void **state)
{
	struct udp_targets servers;
	names_servers("# nameserver 9.9.9.9\nnameserver nonsense\nnameserver\tfe80::1%lo\nnameserver ::1 x\n"
		      "nameserver 127.0.0.53\nnameserver 8.8.8.8",
	    &servers);
	assert_int_equal(servers.count, 3);
	const struct sockaddr_in6 *scoped = (const struct sockaddr_in6 *)&servers.items[0].address;
	assert_int_equal(scoped->sin6_scope_id, if_nametoindex("lo"));
	assert_int_equal(scoped->sin6_port, htons(53));
	assert_int_equal(servers.items[1].address.ss_family, AF_INET6);
	assert_int_equal(servers.items[2].address.ss_family, AF_INET);
	assert_int_equal(servers.items[2].size, sizeof(struct sockaddr_in));
	names_servers("search a\n", &servers);
	assert_int_equal(servers.count, 0);
}

static void put(const char *folder, const char *name, const char *text)
{
	AUTOFREE char *path = path_join(folder, name);
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_full(fd, text, strlen(text)), 0);
}

/* The certificates alone, in the order of the files' names. */
static void test_authorities(void **state)
{
	char *folder = folder_new();
	AUTOFREE char *below = path_join(folder, "below");
	assert_int_equal(mkdir(below, 0755), 0);
	put(folder, "b.crt",
	    "Subject: B\r\n-----BEGIN CERTIFICATE-----\r\nQkI=\r\n-----END CERTIFICATE-----\r\nmore\n"
	    "-----BEGIN CERTIFICATE-----\nQ\033[2JC\n-----END CERTIFICATE-----");
	put(below, "a.pem", "-----BEGIN CERTIFICATE-----\nQUE=\n-----END CERTIFICATE-----\n");
	put(folder, "c.crt", "-----BEGIN CERTIFICATE-----\nQ");
	put(folder, "key.pem", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n");
	AUTOFREE char *set = authorities_read(folder);
	assert_string_equal(set, "-----BEGIN CERTIFICATE-----\nQkI=\n-----END CERTIFICATE-----\n"
				 "-----BEGIN CERTIFICATE-----\nQ\n2JC\n-----END CERTIFICATE-----\n"
				 "-----BEGIN CERTIFICATE-----\nQUE=\n-----END CERTIFICATE-----\n");
	folder_remove(folder);
	AUTOFREE char *nothing = authorities_read("/nonexistent");
	assert_string_equal(nothing, "");
}

static void test_proxies(void **state)
{
	AUTO_STRV struct strv env = { 0 };
	host_parse_proxies("# c\nPATH=/bin\nhttp_proxy=http://a:1\n export https_proxy = x\nexport "
			   "HTTPS_PROXY=\"http://b:2\" \n"
			   "no_proxy='localhost,.corp'\nftp_proxy=a b\nall_proxy=\nFTP_PROXY=\"x\nALL_PROXY",
	    &env);
	AUTOFREE char *all = strv_join(&env, " ");
	assert_string_equal(all, "http_proxy=http://a:1 HTTPS_PROXY=http://b:2 no_proxy=localhost,.corp");
	AUTO_MACHINE struct machine *m = machine_new("m");
	assert_int_equal(machine_set(m, "proxy", "http://u:p@127.0.0.1:3128", NULL), 0);
	AUTOFREE char *warning = host_proxy_warning(m);
	assert_non_null(startswith(warning, "the proxy 127.0.0.1:3128 is out of the machine's reach"));
	assert_int_equal(machine_set(m, "proxy", "none", NULL), 0);
	assert_int_equal(setenv("http_proxy", "http://localhost:1", 1), 0);
	assert_null(host_proxy_warning(m));
	assert_int_equal(machine_set(m, "proxy", "host", NULL), 0);
	AUTOFREE char *own = host_proxy_warning(m);
	assert_non_null(strstr(own, "localhost:1"));
	assert_int_equal(unsetenv("http_proxy"), 0);
}

static void test_zone(void **state)
{
	assert_string_equal(host_zone_of_path("/usr/share/zoneinfo/Europe/Oslo"), "Europe/Oslo");
	assert_string_equal(host_zone_of_path("../usr/share/zoneinfo/posix/UTC"), "UTC");
	assert_null(host_zone_of_path("/etc/other"));
	assert_null(host_zone_of_path("/usr/share/zoneinfo/"));
	assert_null(host_zone_of_path("/usr/share/zoneinfo//etc/passwd"));
	assert_null(host_zone_of_path("/usr/share/zoneinfo/../../../etc/passwd"));
}

static void test_text(void **state)
{
	AUTOFREE char *a = text_clean("a\x1b[31m\tb\n"), *b = text_clean(NULL),
		      *c = text_clean("x\xc2\x9b"
				      "31m"),
		      *d = text_clean("bl\xc3\xa5");
	assert_string_equal(a, "a [31m b ");
	assert_string_equal(b, "");
	assert_string_equal(c, "x 31m");
	assert_string_equal(d, "bl\xc3\xa5");
	char *large = xmalloc(100001);
	memset(large, 'x', 100000);
	large[100000] = 0;
	AUTOFREE char *cut = text_clean(large);
	assert_true(strlen(cut) <= 400);
	free(large);
}

static void test_tail(void **state)
{
	char *folder = folder_new();
	AUTOFREE char *path = path_join(folder, "log");
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	AUTO_STRV struct strv lines = { 0 };
	assert_int_equal(fd_write_full(fd, "one\ntwo\n\nthree\nfour", 19), 0);
	text_tail_of_file(path, 2, &lines);
	folder_remove(folder);
	assert_int_equal(lines.count, 2);
	assert_string_equal(lines.items[0], "three");
	assert_string_equal(lines.items[1], "four");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resolv),
		cmocka_unit_test(test_name_servers),
		cmocka_unit_test(test_authorities),
		cmocka_unit_test(test_proxies),
		cmocka_unit_test(test_zone),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_tail),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
