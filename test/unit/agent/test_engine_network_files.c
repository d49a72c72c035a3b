/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "agent/engine/network_files.h"
#include "base/alloc.h"

typedef int add_fn(struct container_names *n, const char *value, struct error **err);

static void add(struct container_names *n, add_fn *fn, const char *value)
{
	assert_int_equal(fn(n, value, NULL), 0);
}

static void refuse(add_fn *fn, const char *const *values, size_t count)
{
	AUTO_CONTAINER_NAMES struct container_names n = { 0 };
	for (size_t i = 0; i < count; i++) {
		AUTO_ERROR struct error *err = NULL;
		if (fn(&n, values[i], &err) != -EINVAL)
			print_message("accepted: %s\n", values[i]);
		assert_non_null(err);
	}
	assert_int_equal(n.hosts.count + n.resolv.nameservers.count + n.resolv.search.count + n.resolv.options.count,
	    0);
}
#define REFUSE(fn, values) refuse(fn, values, ARRAY_SIZE(values))

static void bad_options(void **state)
{
	static const char *const servers[] = { "", "dns.example.org", "1.2.3", "fe80::1%eth0", "8.8.8.8\nsearch x" };
	static const char *const words[] = { "", "a b", "a\nnameserver 1.1.1.1", "a#b", "\xc3\xa9" };
	static const char *const hosts[] = { "", "web", "web:", ":1.2.3.4", "web:gateway", "web=", "a b:1.2.3.4",
		"web:1.2.3.4:80", "web\n:1.2.3.4", "-web:1.2.3.4", "web:[1.2.3.4", "web:[]", "web:host-gateway2" };
	REFUSE(container_names_add_dns, servers);
	REFUSE(container_names_add_search, words);
	REFUSE(container_names_add_option, words);
	REFUSE(container_names_add_host, hosts);
}

static int read_names(const char *text, struct container_names *ret)
{
	AUTO_JSON struct json_object *o = NULL;
	assert_int_equal(json_parse(text, strlen(text), "test", &o, NULL), 0);
	return container_names_read(ret, o, NULL);
}

static void host_config(void **state)
{
	static const char *const bad[] = { "{\"Dns\":\"192.0.2.1\"}", "{\"Dns\":[\"x\"]}", "{\"Dns\":[5]}",
		"{\"DnsSearch\":[\"a b\"]}", "{\"DnsOptions\":{}}", "{\"ExtraHosts\":[\"web\"]}" };
	AUTO_CONTAINER_NAMES struct container_names n = { 0 };
	assert_int_equal(read_names("{\"Dns\":[\"192.0.2.1\",\"::1\"],\"DnsSearch\":[\".\"],\"DnsOptions\":[\"ndots:"
				    "1\"],"
				    "\"ExtraHosts\":[\"db:192.0.2.7\"]}",
			     &n),
	    0);
	assert_int_equal(n.resolv.nameservers.count, 2);
	assert_true(n.no_search);
	assert_string_equal(n.resolv.options.items[0], "ndots:1");
	assert_string_equal(n.hosts.items[0], "db:192.0.2.7");
	assert_int_equal(read_names("{\"Dns\":null,\"DnsSearch\":[],\"ExtraHosts\":null}", &n), 0);
	assert_int_equal(container_names_read(&n, NULL, NULL), 0);
	assert_int_equal(n.resolv.nameservers.count, 2);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		AUTO_CONTAINER_NAMES struct container_names broken = { 0 };
		assert_int_equal(read_names(bad[i], &broken), -EINVAL);
	}
}

static void too_many(void **state)
{
	AUTO_CONTAINER_NAMES struct container_names n = { 0 };
	for (int i = 0; i < RESOLV_WORDS_MAX; i++)
		add(&n, container_names_add_dns, "192.0.2.1");
	assert_int_equal(container_names_add_dns(&n, "192.0.2.1", NULL), -E2BIG);
	assert_int_equal(n.resolv.nameservers.count, RESOLV_WORDS_MAX);
}

static void hostnames(void **state)
{
	static const char *const bad[] = { "", "a b", "-a", ".a", "a/b", "a\n", "\xc3\xa9",
		"0123456789012345678901234567890123456789012345678901234567890123" };
	assert_int_equal(container_hostname_check("web-1.example_x.org", NULL), 0);
	assert_int_equal(container_hostname_check("012345678901234567890123456789012345678901234567890123456789012",
			     NULL),
	    0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(container_hostname_check(bad[i], NULL), -EINVAL);
}

/* ---- resolv.conf ---- */

static const char machine_resolv[] = "# comment\nnameserver 127.0.0.53\nnameserver 10.77.0.3\nnameserver ::1\n"
				     "search corp.example.org\noptions edns0 trust-ad\n";

static void expect_resolv(const struct container_names *n, const char *machine, int own_namespace, const char *wanted)
{
	AUTO_RESOLV struct resolv inside, outer;
	resolv_read(machine, &inside);
	resolv_read("nameserver 10.77.0.9\nsearch unused\n", &outer);
	AUTOFREE char *text = container_resolv_text(n, &inside, &outer, own_namespace);
	assert_string_equal(text, wanted);
}

static void resolver(void **state)
{
	AUTO_CONTAINER_NAMES struct container_names none = { 0 }, dns = { 0 }, all = { 0 };
	expect_resolv(&none, machine_resolv, 1,
	    "nameserver 10.77.0.3\nsearch corp.example.org\noptions edns0 trust-ad\n");
	expect_resolv(&none, machine_resolv, 0,
	    "nameserver 127.0.0.53\nnameserver 10.77.0.3\nnameserver ::1\nsearch corp.example.org\n"
	    "options edns0 trust-ad\n");
	expect_resolv(&none, "nameserver 127.0.0.53\noptions ndots:2\n", 1, "nameserver 10.77.0.9\noptions ndots:2\n");
	expect_resolv(&none, "", 1, "nameserver 10.77.0.9\n");
	add(&dns, container_names_add_dns, "127.0.0.1");
	add(&dns, container_names_add_dns, "2001:db8::1");
	expect_resolv(&dns, machine_resolv, 1,
	    "nameserver 127.0.0.1\nnameserver 2001:db8::1\nsearch corp.example.org\noptions edns0 trust-ad\n");
	add(&all, container_names_add_search, "a.example");
	add(&all, container_names_add_search, "b.example");
	add(&all, container_names_add_option, "ndots:1");
	expect_resolv(&all, machine_resolv, 1, "nameserver 10.77.0.3\nsearch a.example b.example\noptions ndots:1\n");
	add(&all, container_names_add_search, ".");
	expect_resolv(&all, machine_resolv, 1, "nameserver 10.77.0.3\noptions ndots:1\n");
}

static void loopback(void **state)
{
	assert_true(resolv_server_is_loopback("127.0.0.53"));
	assert_true(resolv_server_is_loopback("::1"));
	assert_true(resolv_server_is_loopback("0:0:0:0:0:0:0:1"));
	assert_true(resolv_server_is_loopback("::ffff:127.0.0.1"));
	assert_false(resolv_server_is_loopback("::ffff:10.0.0.1"));
	assert_false(resolv_server_is_loopback("12.7.0.1"));
	assert_false(resolv_server_is_loopback("2001:db8::1"));
}

/* ---- hosts ---- */

#define LOCAL                                                                                                          \
	"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n"                      \
	"ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"

static void expect_hosts(const struct container_names *n, const struct container_hosts *h, const char *wanted)
{
	AUTOFREE char *text = NULL;
	assert_int_equal(container_hosts_text(n, h, &text, NULL), 0);
	assert_string_equal(text, wanted);
}

static void hosts(void **state)
{
	AUTO_CONTAINER_NAMES struct container_names none = { 0 }, some = { 0 };
	const struct container_hosts plain = { .hostname = "web", .address = "172.17.0.2" };
	const struct container_hosts domain = { .hostname = "web.example.org", .address = "172.17.0.2" };
	const struct container_hosts alone = { .hostname = "web" };
	const struct container_hosts gateway = { .hostname = "web",
		.address = "172.17.0.2",
		.host_gateway = "10.77.0.1",
		.host_names = "host.docker.internal host.holm.internal" };
	const struct container_hosts machine = { .hostname = "web",
		.host_gateway = "192.0.2.1",
		.machine = "127.0.0.1\tlocalhost\n127.0.1.1\tdev" };
	expect_hosts(&none, &plain, LOCAL "172.17.0.2\tweb\n");
	expect_hosts(&none, &domain, LOCAL "172.17.0.2\tweb.example.org web\n");
	expect_hosts(&none, &alone, LOCAL "127.0.0.1\tweb\n");
	expect_hosts(&none, &machine, "127.0.0.1\tlocalhost\n127.0.1.1\tdev\n");
	add(&some, container_names_add_host, "db:192.0.2.7");
	add(&some, container_names_add_host, "six=[2001:db8::7]");
	add(&some, container_names_add_host, "bare:2001:db8::8");
	expect_hosts(&some, &plain, "192.0.2.7\tdb\n2001:db8::7\tsix\n2001:db8::8\tbare\n" LOCAL "172.17.0.2\tweb\n");
	expect_hosts(&some, &machine,
	    "192.0.2.7\tdb\n2001:db8::7\tsix\n2001:db8::8\tbare\n127.0.0.1\tlocalhost\n127.0.1.1\tdev\n");
	add(&some, container_names_add_host, "host.docker.internal:host-gateway");
	expect_hosts(&some, &gateway,
	    "192.0.2.7\tdb\n2001:db8::7\tsix\n2001:db8::8\tbare\n10.77.0.1\thost.docker.internal\n" LOCAL
	    "172.17.0.2\tweb\n10.77.0.1\thost.docker.internal host.holm.internal\n");
	AUTO_ERROR struct error *err = NULL;
	char *text = NULL;
	assert_int_equal(container_hosts_text(&some, &plain, &text, &err), -EINVAL);
	assert_non_null(strstr(error_text(err, 0), "host.docker.internal:host-gateway"));
	assert_null(text);
}

static void large_hosts(void **state)
{
	AUTO_CONTAINER_NAMES struct container_names none = { 0 };
	AUTO_ERROR struct error *err = NULL;
	enum { LARGE = 2 << 20 };
	AUTOFREE char *machine = xmalloc(LARGE + 1);
	memset(machine, '#', LARGE);
	machine[LARGE] = '\0';
	const struct container_hosts h = { .machine = machine };
	char *text = NULL;
	assert_int_equal(container_hosts_text(&none, &h, &text, &err), -EFBIG);
	assert_non_null(err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_options),
		cmocka_unit_test(host_config),
		cmocka_unit_test(too_many),
		cmocka_unit_test(hostnames),
		cmocka_unit_test(resolver),
		cmocka_unit_test(loopback),
		cmocka_unit_test(hosts),
		cmocka_unit_test(large_hosts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
