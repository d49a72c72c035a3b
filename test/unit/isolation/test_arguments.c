/* SPDX-License-Identifier: Apache-2.0
 * QEMU's command line against golden files, one argument a line. HOLM_GOLDEN_WRITE=1 writes them
 * anew. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/path.h"
#include "base/resolv.h"
#include "isolation/network.h"
#include "isolation/vm/network.h"
#include "isolation/vm/qemu_arguments.h"

static struct qemu_plan typical(void)
{
	return (struct qemu_plan){
		.program = "qemu-system-x86_64",
		.machine = "dev",
		.kvm = 1,
		.cpus = 2,
		.memory = 2ULL << 30,
		.kernel = "/share/guest/vmlinux",
		.initramfs = "/share/guest/initramfs.cpio",
		.disk = "/data/machines/dev/disk.qcow2",
		.modules = "/share/guest/modules.ext4",
		.qmp_fd = 4,
		.boot_log_fd = 3,
		.keeper_fd = 5,
		.agent_fd = 6,
		.network = VM_NETWORK_PASST,
		.network_fd = 7,
		.filter_fd = -1,
		.filter_back_fd = -1,
		.slots = 2,
		.vsock_secret_fd = -1,
	};
}

static void check(const char *name, struct strv *argv)
{
	AUTOFREE char *path = xasprintf(GOLDEN "/%s", name);
	AUTOFREE char *joined = strv_join(argv, "\n");
	AUTOFREE char *text = xasprintf("%s\n", joined);
	AUTOFREE char *golden = NULL;
	if (getenv("HOLM_GOLDEN_WRITE"))
		assert_int_equal(atomic_file_write(path, 0644, text, strlen(text), NULL), 0);
	assert_int_equal(path_read_file(path, 1 << 16, &golden, NULL), 0);
	assert_string_equal(text, golden);
	strv_done(argv);
}

static void test_kvm(void **state)
{
	struct qemu_plan p = typical();
	const struct qemu_share shares[] = { { "home", 8, -1 }, { "share1", 9, 0 } };
	struct strv argv = { 0 };
	p.shares = shares;
	p.share_count = 2;
	qemu_arguments(&p, &argv);
	check("kvm", &argv);
}

static void test_emulated(void **state)
{
	struct qemu_plan p = typical();
	struct strv argv = { 0 };
	p.kvm = 0;
	p.modules = NULL;
	p.slots = 0;
	p.disk = "/data/with, comma and \"quote\"/disk.qcow2";
	qemu_arguments(&p, &argv);
	check("emulated", &argv);
}

static void test_user_network(void **state)
{
	struct qemu_plan p = typical();
	struct strv argv = { 0 };
	p.network = VM_NETWORK_USER;
	p.network_fd = -1;
	p.filter_fd = 7;
	p.filter_back_fd = 8;
	qemu_arguments(&p, &argv);
	check("user-network", &argv);
}

static void test_vsock(void **state)
{
	struct qemu_plan p = typical();
	struct strv argv = { 0 };
	p.keeper_fd = p.agent_fd = -1;
	p.vsock_cid = 4242;
	p.vsock_port = 70000;
	p.vsock_secret_fd = 9;
	qemu_arguments(&p, &argv);
	check("vsock", &argv);
}

static void test_passt(void **state)
{
	struct strv argv = { 0 };
	passt_arguments(&argv, 3, NETWORK_IPV4, 0);
	check("passt", &argv);
	passt_arguments(&argv, 3, NETWORK_IPV4, 1);
	check("passt-host-access", &argv);
	passt_arguments(&argv, 3, NETWORK_IPV6, 0);
	check("passt-ipv6", &argv);
	passt_arguments(&argv, 3, NETWORK_IPV4 | NETWORK_IPV6, 0);
	check("passt-both", &argv);
}

static void test_resolvers(void **state)
{
	AUTOFREE char *first = network_first_nameserver(
	    "# x\nsearch a\nnameserver fe80::1%eth0\nnameserver 192.168.1.1\nnameserver 9.9.9.9\n");
	assert_string_equal(first, "192.168.1.1");
	assert_null(network_first_nameserver("options edns0\n"));
	assert_string_equal(network_server_inside("127.0.0.53", "127.0.0.53"), NETWORK_DNS);
	assert_string_equal(network_server_inside("127.0.0.53", first), RESOLV_RELAY);
	assert_string_equal(network_server_inside("::1", first), RESOLV_RELAY);
	assert_string_equal(network_server_inside("2001:db8::1", NULL), RESOLV_RELAY);
	assert_string_equal(network_server_inside("192.168.1.1", first), NETWORK_DNS);
	assert_string_equal(network_server_inside("192.168.1.1", NULL), "192.168.1.1");
	static const char text[] = "{\"nameservers\":[\"127.0.0.53\",\"9.9.9.9\",\"192.168.1.1\",\"9.9.9.9\"]}";
	AUTO_JSON struct json_object *resolv = NULL;
	AUTO_STRV struct strv servers = { 0 };
	assert_int_equal(json_parse(text, strlen(text), "a test", &resolv, NULL), 0);
	network_resolv(resolv, NETWORK_IPV4 | NETWORK_IPV6, first);
	assert_int_equal(json_get_strv(resolv, "nameservers", &servers, NULL), 0);
	AUTOFREE char *rewritten = strv_join(&servers, " ");
	assert_string_equal(rewritten, RESOLV_RELAY " 9.9.9.9 " NETWORK_DNS);
	/* Without IPv4 none of these addresses is in reach. */
	network_resolv(resolv, NETWORK_IPV6, NULL);
	strv_done(&servers);
	assert_int_equal(json_get_strv(resolv, "nameservers", &servers, NULL), 0);
	AUTOFREE char *relayed = strv_join(&servers, " ");
	assert_string_equal(relayed, RESOLV_RELAY);
	assert_null(network_find_dns(NETWORK_IPV6));
}

static void test_ipv6_route(void **state)
{
#define ZEROS "00000000000000000000000000000000"
	static const char *const with =
	    "fd000000000000000000000000000000 40 " ZEROS " 00 " ZEROS
	    " 00000100 00000001 00000000 00000001 eth0\n" ZEROS " 00 " ZEROS
	    " 00 fe800000000000000000000000000001 00000064 00000001 00000000 00000003 eth0\n";
	static const char *const without =
	    ZEROS " 00 " ZEROS " 00 " ZEROS " ffffffff 00000001 00000000 00200200 lo\n" ZEROS " 60 " ZEROS " 00 " ZEROS
		  " 0 0 0 1 eth0\n";
	assert_true(network_has_ipv6_route(with));
	assert_false(network_has_ipv6_route(without));
	assert_false(network_has_ipv6_route(""));
}

static void test_default_route(void **state)
{
	static const char head[] =
	    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
	AUTOFREE char *with = xasprintf("%seth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n", head);
	AUTOFREE char *without = xasprintf("%seth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n", head);
	assert_true(network_has_default_route(with));
	assert_false(network_has_default_route(without));
	assert_false(network_has_default_route(head));
	assert_false(network_has_default_route(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_kvm), cmocka_unit_test(test_emulated),
		cmocka_unit_test(test_user_network), cmocka_unit_test(test_vsock), cmocka_unit_test(test_passt),
		cmocka_unit_test(test_resolvers), cmocka_unit_test(test_ipv6_route),
		cmocka_unit_test(test_default_route) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
