/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "agent/engine/networks.h"
#include "base/alloc.h"

#define ID "1111111111111111111111111111111111111111111111111111111111111111"

static int parse(const char *text, struct network *ret)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_JSON struct json_object *o = NULL;
	assert_int_equal(json_parse(text, strlen(text), "test", &o, NULL), 0);
	int r = network_parse(o, ret, &err);
	assert_true(r == 0 || err);
	return r;
}

static void reads(void **state)
{
	AUTO_NETWORK struct network plain = { 0 }, full = { 0 };
	assert_int_equal(parse("{\"Name\":\"a\",\"Driver\":\"\",\"IPAM\":{\"Driver\":\"default\",\"Config\":[{}]},"
			       "\"CheckDuplicate\":true}",
			     &plain),
	    0);
	assert_string_equal(plain.name, "a");
	assert_int_equal(plain.kind, NETWORK_BRIDGE);
	assert_int_equal(plain.bridge.subnet.prefix, 0);
	assert_int_equal(
	    parse("{\"Name\":\"b.c-d_e\",\"Driver\":\"bridge\",\"Internal\":true,\"IPAM\":{\"Config\":[{\"Subnet\":"
		  "\"10.1.0.5/16\",\"Gateway\":\"10.1.0.9\",\"IPRange\":\"10.1.2.0/24\",\"AuxiliaryAddresses\":{"
		  "\"x\":\"10.1.0.7\"}}]},\"Options\":{\"com.docker.network.bridge.name\":\"mine0\","
		  "\"com.docker.network.bridge.enable_icc\":\"false\",\"com.docker.network.driver.mtu\":\"1400\","
		  "\"com.docker.network.bridge.enable_ip_masquerade\":\"false\"}}",
		&full),
	    0);
	assert_int_equal(full.bridge.subnet.base, 0x0a010000);
	assert_int_equal(full.bridge.gateway, 0x0a010009);
	assert_int_equal(full.range.base, 0x0a010200);
	assert_int_equal(full.range.prefix, 24);
	assert_string_equal(full.bridge.name, "mine0");
	assert_true(full.bridge.internal && full.bridge.apart && full.bridge.no_masquerade && full.has_own_subnet);
	assert_int_equal(full.bridge.mtu, 1400);
	full.id = xstrdup(ID);
	full.created = 7;
	AUTOFREE char *text = network_store(&full);
	AUTO_NETWORK struct network again = { 0 };
	assert_int_equal(network_load(text, strlen(text), &again, NULL), 0);
	AUTOFREE char *twice = network_store(&again);
	assert_string_equal(text, twice);
}

static void reads_ipv6(void **state)
{
	static const char six[] = "\"IPAM\":{\"Config\":[{\"Subnet\":\"10.1.0.0/24\"},{\"Subnet\":\"fd00:1::5/64\","
				  "\"Gateway\":\"fd00:1::9\",\"IPRange\":\"fd00:1:0:0:7::/80\"}]}}";
	AUTO_NETWORK struct network on = { 0 }, off = { 0 }, again = { 0 };
	AUTOFREE char *with = xasprintf("{\"Name\":\"a\",\"EnableIPv6\":true,%s", six);
	AUTOFREE char *without = xasprintf("{\"Name\":\"a\",%s", six);
	assert_int_equal(parse(with, &on), 0);
	assert_true(on.wants_ipv6 && on.has_own_subnet6);
	AUTOFREE char *subnet = subnet6_format(&on.bridge.six), *range = subnet6_format(&on.range6);
	assert_string_equal(subnet, "fd00:1::/64");
	assert_string_equal(range, "fd00:1:0:0:7::/80");
	assert_int_equal(on.bridge.gateway6.s6_addr[15], 9);
	/* Docker takes the subnet and leaves it. */
	assert_int_equal(parse(without, &off), 0);
	assert_int_equal(off.bridge.six.prefix, 0);
	assert_true(off.has_own_subnet6);
	assert_int_equal(off.bridge.subnet.prefix, 24);
	on.id = xstrdup(ID);
	AUTOFREE char *text = network_store(&on);
	assert_int_equal(network_load(text, strlen(text), &again, NULL), 0);
	AUTOFREE char *twice = network_store(&again);
	assert_string_equal(text, twice);
}

/* A subnet that was chosen is in the record alone. */
static void keeps_chosen_ipv6(void **state)
{
	AUTO_NETWORK struct network n = { 0 }, again = { 0 };
	assert_int_equal(parse("{\"Name\":\"a\",\"EnableIPv6\":true}", &n), 0);
	assert_int_equal(n.bridge.six.prefix, 0);
	subnet6_make(&n.bridge.six);
	n.id = xstrdup(ID);
	AUTOFREE char *text = network_store(&n);
	assert_int_equal(network_load(text, strlen(text), &again, NULL), 0);
	assert_memory_equal(&again.bridge.six, &n.bridge.six, sizeof n.bridge.six);
}

static void subnets6(void **state)
{
	struct subnet6 wide, narrow, odd;
	struct in6_addr a;
	char text[ADDRESS6_TEXT_MAX];
	assert_int_equal(subnet6_parse("fd00:1::/64", &wide), 0);
	assert_int_equal(subnet6_parse("fd00:1::ff00/120", &narrow), 0);
	assert_int_equal(subnet6_parse("fd00:1:ffff::/45", &odd), 0);
	assert_true(subnet6_overlaps(&wide, &narrow) && subnet6_overlaps(&narrow, &wide));
	assert_false(subnet6_overlaps(&wide, &odd));
	assert_int_equal(subnet6_at(&wide, 0x10002, &a), 0);
	address6_format(&a, text);
	assert_string_equal(text, "fd00:1::1:2");
	assert_int_equal(subnet6_at(&narrow, 0xff, &a), 0);
	assert_int_equal(subnet6_at(&narrow, 0x100, &a), -ERANGE);
	a = subnet6_behind(&narrow);
	address6_format(&a, text);
	assert_string_equal(text, "fd00:1::1:0");
	a = subnet6_behind(&odd);
	address6_format(&a, text);
	assert_string_equal(text, "fd00:2::");
	a = subnet6_behind(&wide);
	address6_format(&a, text);
	assert_string_equal(text, "fd00:1:0:1::");
}

static void refuses(void **state)
{
	static const struct {
		const char *body;
		int code;
	} bad[] = {
		{ "[]", -EINVAL },
		{ "{}", -EINVAL },
		{ "{\"Name\":\"-a\"}", -EINVAL },
		{ "{\"Name\":\"a/b\"}", -EINVAL },
		{ "{\"Name\":\"a\",\"Driver\":\"macvlan\"}", -ENOENT },
		{ "{\"Name\":\"a\",\"Driver\":7}", -EINVAL },
		{ "{\"Name\":\"a\",\"EnableIPv4\":false}", -EOPNOTSUPP },
		{ "{\"Name\":\"a\",\"Ingress\":true}", -EOPNOTSUPP },
		{ "{\"Name\":\"a\",\"Scope\":\"swarm\"}", -EOPNOTSUPP },
		{ "{\"Name\":\"a\",\"IPAM\":{\"Driver\":\"dhcp\"}}", -EOPNOTSUPP },
		{ "{\"Name\":\"a\",\"IPAM\":{\"Config\":[{\"Subnet\":\"fd00::/4\"}]}}", -EINVAL },
		{ "{\"Name\":\"a\",\"IPAM\":{\"Config\":[{\"Subnet\":\"fd00::/127\"}]}}", -EINVAL },
		{ "{\"Name\":\"a\",\"IPAM\":{\"Config\":[{\"Subnet\":\"fe80::/64\"}]}}", -EINVAL },
		{ "{\"Name\":\"a\",\"IPAM\":{\"Config\":[{\"Subnet\":\"::/64\"}]}}", -EINVAL },
		{ "{\"Name\":\"a\",\"IPAM\":{\"Config\":[{\"Subnet\":\"fd00::/64\",\"Gateway\":\"fd01::1\"}]}}",
		    -EINVAL },
		{ "{\"Name\":\"a\",\"IPAM\":{\"Config\":[{\"Subnet\":\"fd00::/64\",\"Gateway\":\"fd00::\"}]}}",
		    -EINVAL },
		{ "{\"Name\":\"a\",\"IPAM\":{\"Config\":[{\"Subnet\":\"fd00::/64\",\"IPRange\":\"fd01::/80\"}]}}",
		    -EINVAL },
		{ "{\"Name\":\"a\",\"IPAM\":{\"Config\":[{\"Subnet\":\"fd00::/64\"},{\"Subnet\":\"fd01::/64\"}]}}",
		    -EINVAL },
		{ "{\"Name\":\"a\",\"IPAM\":{\"Config\":[{\"Subnet\":\"10.0.0.0/31\"}]}}", -EINVAL },
		{ "{\"Name\":\"a\",\"IPAM\":{\"Config\":[{\"Subnet\":\"0.0.0.0/0\"}]}}", -EINVAL },
		{ "{\"Name\":\"a\",\"IPAM\":{\"Config\":[{\"Gateway\":\"10.0.0.1\"}]}}", -EINVAL },
		{ "{\"Name\":\"a\",\"IPAM\":{\"Config\":[{\"Subnet\":\"10.0.0.0/24\",\"Gateway\":\"10.0.0.255\"}]}}",
		    -EINVAL },
		{ "{\"Name\":\"a\",\"IPAM\":{\"Config\":[{\"Subnet\":\"10.0.0.0/24\"},{\"Subnet\":\"10.1.0.0/24\"}]}}",
		    -EINVAL },
		{ "{\"Name\":\"a\",\"IPAM\":{\"Config\":[{\"Subnet\":\"10.0.0.0/"
		  "24\",\"AuxiliaryAddresses\":{\"x\":\"11.0.0.1\"}}]}}",
		    -EINVAL },
		{ "{\"Name\":\"a\",\"Options\":{\"com.docker.network.driver.mtu\":\"7\"}}", -EINVAL },
		{ "{\"Name\":\"a\",\"Options\":{\"com.docker.network.bridge.name\":\"longer-than-it-can-be\"}}",
		    -EINVAL },
		{ "{\"Name\":\"a\",\"Options\":{\"com.docker.network.bridge.host_binding_ipv4\":\"::1\"}}", -EINVAL },
		{ "{\"Name\":\"a\",\"Options\":{\"x\":{}}}", -EINVAL },
		{ "{\"Name\":\"a\",\"Labels\":[]}", -EINVAL },
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		AUTO_NETWORK struct network n = { 0 };
		assert_int_equal(parse(bad[i].body, &n), bad[i].code);
	}
}

static void bad_records(void **state)
{
	static const char *const bad[] = { "", "{}", "[]", "{\"Id\":\"../x\",\"Created\":1,\"Data\":{\"Name\":\"a\"}}",
		"{\"Id\":\"" ID "\",\"Created\":-1,\"Data\":{\"Name\":\"a\"}}",
		"{\"Id\":\"" ID "\",\"Created\":1,\"Data\":{\"Name\":\"a\"},\"Subnet\":\"10.0.0.1/24\"}",
		"{\"Id\":\"" ID "\",\"Created\":1,\"Data\":{\"Name\":\"a\"},\"Bridge\":\"../x\"}",
		"{\"Id\":\"" ID "\",\"Created\":1,\"Data\":{}}" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		AUTO_ERROR struct error *err = NULL;
		struct network n = { 0 };
		assert_int_equal(network_load(bad[i], strlen(bad[i]), &n, &err), -EBADMSG);
		assert_non_null(err);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads),
		cmocka_unit_test(reads_ipv6),
		cmocka_unit_test(keeps_chosen_ipv6),
		cmocka_unit_test(subnets6),
		cmocka_unit_test(refuses),
		cmocka_unit_test(bad_records),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
