/* SPDX-License-Identifier: Apache-2.0
 * The containers' network, in a user namespace and network namespaces that this program makes: it
 * plays the machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/core/network.h"
#include "agent/engine/network.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/spawn.h"

enum { WAIT_MS = 60 * 1000, EXIT_SKIP = 77, MANY = 200, LARGE = 60000 };

/* A container's mapping: every id of this user namespace onto itself. */
static struct idmap nested;

/* ---- subnets and addresses ---- */

static void test_subnet_text(void **state)
{
	static const char *const bad[] = { "", "172.17.0.0", "172.17.0.0/", "172.17.0.1/16", "172.17.0.0/31",
		"10.0.0.0/7", "10.0.0/8", "10.0.0.0/8x", "::/16", "10.0.0.0/-8" };
	struct subnet s;
	assert_int_equal(subnet_parse("172.17.0.0/16", &s), 0);
	assert_int_equal(s.base, 0xac110000);
	assert_int_equal(s.prefix, 16);
	AUTOFREE char *text = subnet_format(&s);
	assert_string_equal(text, "172.17.0.0/16");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(subnet_parse(bad[i], &s), -EINVAL);
}

static struct subnet subnet(const char *text)
{
	struct subnet s;
	assert_int_equal(subnet_parse(text, &s), 0);
	return s;
}

static uint32_t address(const char *text)
{
	uint32_t a;
	assert_int_equal(address_parse(text, &a), 0);
	return a;
}

static void expect_choice(const struct subnet *wish, const struct subnet *taken, size_t count, const char *wanted)
{
	struct subnet s;
	assert_int_equal(subnet_choose(wish, taken, count, &s), 0);
	AUTOFREE char *text = subnet_format(&s);
	assert_string_equal(text, wanted);
}

static void test_subnet_choice(void **state)
{
	const struct subnet wish = subnet("10.4.0.0/24");
	const struct subnet one[] = { subnet("172.17.200.0/24") };
	const struct subnet wide[] = { subnet("172.16.0.0/12"), subnet("192.168.1.0/24"), subnet("10.0.0.0/8") };
	const struct subnet all[] = { subnet("172.16.0.0/12"), subnet("192.168.0.0/16"), subnet("10.224.0.0/12") };
	struct subnet s;
	expect_choice(NULL, NULL, 0, "172.17.0.0/16");
	expect_choice(&wish, NULL, 0, "10.4.0.0/24");
	expect_choice(&wish, one, 1, "10.4.0.0/24");
	expect_choice(NULL, one, 1, "172.18.0.0/16");
	expect_choice(&wish, wide, 3, "192.168.16.0/20");
	expect_choice(NULL, all, 2, "10.224.0.0/24");
	assert_int_equal(subnet_choose(NULL, all, 3, &s), -EADDRNOTAVAIL);
}

static void test_pool(void **state)
{
	const struct subnet s = subnet("10.4.0.0/29");
	AUTO_ADDRESS_POOL struct address_pool *p = address_pool_new(&s);
	uint32_t a;
	assert_int_equal(address_pool_claim(p, address("10.4.0.1")), 0);
	assert_int_equal(address_pool_claim(p, address("10.4.0.3")), 0);
	assert_int_equal(address_pool_claim(p, address("10.4.0.3")), -EADDRINUSE);
	static const char *const outside[] = { "10.4.0.0", "10.4.0.7", "10.4.0.8", "10.3.255.255", "0.0.0.0",
		"255.255.255.255" };
	for (size_t i = 0; i < ARRAY_SIZE(outside); i++)
		assert_int_equal(address_pool_claim(p, address(outside[i])), -ERANGE);
	static const char *const order[] = { "10.4.0.2", "10.4.0.4", "10.4.0.5", "10.4.0.6" };
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		assert_int_equal(address_pool_take(p, &a), 0);
		assert_int_equal(a, address(order[i]));
	}
	assert_int_equal(address_pool_take(p, &a), -ENOSPC);
	assert_int_equal(address_pool_taken(p), 6);
	address_pool_release(p, address("10.4.0.4"));
	address_pool_release(p, address("10.4.0.4"));
	address_pool_release(p, address("10.9.0.4"));
	assert_int_equal(address_pool_taken(p), 5);
	assert_int_equal(address_pool_take(p, &a), 0);
	assert_int_equal(a, address("10.4.0.4"));
}

static void test_large_pool(void **state)
{
	const struct subnet s = subnet("172.17.0.0/16");
	AUTO_ADDRESS_POOL struct address_pool *p = address_pool_new(&s);
	uint32_t a;
	for (unsigned i = 1; i < 65535; i++) {
		assert_int_equal(address_pool_take(p, &a), 0);
		assert_int_equal(a, s.base + i);
	}
	assert_int_equal(address_pool_take(p, &a), -ENOSPC);
}

/* ---- the machine's side ---- */

/* A network namespace of the test's own, as fresh as that of a machine. */
static int setup_machine(void **state)
{
	return unshare(CLONE_NEWNET);
}

static int here(void)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void enter(int netns)
{
	assert_int_equal(setns(netns, CLONE_NEWNET), 0);
}

static struct bridge start_default(void)
{
	AUTO_ERROR struct error *err = NULL;
	struct bridge b;
	assert_int_equal(bridge_choose(NULL, &b, NULL), 0);
	int r = bridge_start(&b, &err);
	if (r < 0)
		print_message("%s\n", error_text(err, r));
	assert_int_equal(r, 0);
	return b;
}

static void expect_file(const char *path, const char *wanted)
{
	AUTOFREE char *text = NULL;
	assert_int_equal(path_read_file(path, 4096, &text, NULL), 0);
	text[strcspn(text, "\n")] = '\0';
	assert_string_equal(text, wanted);
}

static int mtu_of(const char *interface)
{
	struct ifreq q = { 0 };
	AUTO_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	strncpy(q.ifr_name, interface, sizeof q.ifr_name - 1);
	assert_int_equal(ioctl(fd, SIOCGIFMTU, &q), 0);
	return q.ifr_mtu;
}

static size_t count_interfaces(void)
{
	struct if_nameindex *all = if_nameindex();
	size_t count = 0;
	assert_non_null(all);
	while (all[count].if_index)
		count++;
	if_freenameindex(all);
	return count;
}

static void give_loopback(const char *text, uint8_t prefix)
{
	struct netlink n;
	AUTO_FD int fd = netlink_socket(NETLINK_ROUTE);
	const struct boot_network none = { 0 };
	assert_int_equal(network_apply(&none, NULL), 0);
	netlink_init(&n);
	network_add_address(&n, (int)if_nametoindex("lo"), htonl(address(text)), prefix);
	assert_int_equal(netlink_do(fd, &n), 0);
}

static void test_choice_by_routes(void **state)
{
	struct bridge b;
	assert_int_equal(bridge_choose(NULL, &b, NULL), 0);
	assert_int_equal(b.subnet.base, address("172.17.0.0"));
	assert_int_equal(b.gateway, address("172.17.0.1"));
	assert_string_equal(b.name, "holm0");
	/* Routes as wide as those of some VPNs do not count. */
	give_loopback("128.0.0.1", 1);
	give_loopback("172.17.9.1", 24);
	assert_int_equal(bridge_choose(NULL, &b, NULL), 0);
	assert_int_equal(b.subnet.base, address("172.18.0.0"));
	/* Its own route does not count either: a restarted engine gets the same again. */
	const struct subnet wish = b.subnet;
	assert_int_equal(bridge_start(&b, NULL), 0);
	assert_int_equal(bridge_choose(&wish, &b, NULL), 0);
	assert_int_equal(b.subnet.base, address("172.18.0.0"));
	give_loopback("172.16.0.1", 12);
	give_loopback("192.168.0.1", 16);
	give_loopback("10.224.0.1", 12);
	AUTO_ERROR struct error *err = NULL;
	assert_int_equal(bridge_choose(&wish, &b, &err), -EADDRNOTAVAIL);
	assert_non_null(strstr(error_text(err, 0), "no subnet free"));
}

static void test_bridge(void **state)
{
	size_t before = count_interfaces();
	struct bridge b = start_default();
	assert_int_equal(bridge_start(&b, NULL), 0);
	assert_int_equal(mtu_of("holm0"), 65520);
	expect_file("/proc/sys/net/ipv4/ip_forward", "1");
	if (path_exists("/proc/sys/net/ipv6"))
		expect_file("/proc/sys/net/ipv6/conf/holm0/disable_ipv6", "1");
	if (path_exists("/proc/sys/net/bridge/bridge-nf-call-iptables"))
		expect_file("/proc/sys/net/bridge/bridge-nf-call-iptables", "0");
	assert_int_equal(count_interfaces(), before + 1);
	bridge_remove(&b);
	bridge_remove(&b);
	assert_int_equal(count_interfaces(), before);
}

static void test_many_bridges(void **state)
{
	enum { BRIDGES = 20 };
	size_t before = count_interfaces();
	struct bridge all[BRIDGES];
	const struct bridge *list[BRIDGES];
	for (unsigned i = 0; i < BRIDGES; i++) {
		all[i] = (struct bridge){ .subnet = { address("10.90.0.0") + (i << 8), 24 } };
		all[i].gateway = all[i].subnet.base + 1;
		snprintf(all[i].name, sizeof all[i].name, "br-%u", i);
		list[i] = &all[i];
		assert_int_equal(bridge_start(&all[i], NULL), 0);
	}
	assert_int_equal(count_interfaces(), before + BRIDGES);
	bridges_remove(list + 1, BRIDGES - 1);
	assert_int_equal(count_interfaces(), before + 1);
	assert_int_not_equal(if_nametoindex("br-0"), 0);
	bridges_remove(list, BRIDGES);
	assert_int_equal(count_interfaces(), before);
}

/* A process without capabilities stands for a kernel that gives a namespace no nftables. */
static _Noreturn void start_without_rights(const struct bridge *b)
{
	AUTO_ERROR struct error *err = NULL;
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };
	int r = syscall(SYS_capset, &header, none) < 0 ? -errno : bridge_start(b, &err);
	_exit(r == -EPERM && strstr(error_text(err, r), "containers use the machine's own network") ? 0 : 1);
}

static void test_no_nftables(void **state)
{
	struct bridge b;
	int status = -1;
	assert_int_equal(bridge_choose(NULL, &b, NULL), 0);
	pid_t pid = fork();
	if (pid == 0)
		start_without_rights(&b);
	assert_int_equal(spawn_wait(pid, &status), 0);
	assert_int_equal(status, 0);
	assert_int_equal(if_nametoindex("holm0"), 0);
}

/* ---- containers ---- */

static int make_container(const struct idmap *ids, const struct bridge *b, uint32_t a, struct container_namespaces *ret,
    struct error **err)
{
	struct attachment one = { .bridge = b, .address = a, .is_default = 1 };
	network_mac(a, one.mac);
	return container_namespaces_make(ids, &one, b != NULL, ret, NULL, err);
}

static struct container_namespaces connect_container(const struct bridge *b, uint32_t a)
{
	AUTO_ERROR struct error *err = NULL;
	struct container_namespaces n = { -1, -1 };
	int r = make_container(&nested, b, a, &n, &err);
	if (r < 0)
		print_message("%s\n", error_text(err, r));
	assert_int_equal(r, 0);
	return n;
}

/* A socket of another network namespace. */
static int socket_in(int netns, int type, int protocol)
{
	AUTO_FD int back = here();
	struct timeval limit = { .tv_sec = WAIT_MS / 1000 };
	enter(netns);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, protocol);
	enter(back);
	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	return fd;
}

static struct sockaddr_in endpoint(uint32_t a, uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(a) };
}

/* A connection from one namespace to `a` in another; the peer's address as it is seen there. */
static uint32_t connects(int from, int to, uint32_t a)
{
	struct sockaddr_in there = endpoint(a, 80), seen = { 0 };
	socklen_t size = sizeof seen;
	char text[4];
	AUTO_FD int listener = socket_in(to, SOCK_STREAM, 0), client = socket_in(from, SOCK_STREAM, 0);
	int one = 1;
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	assert_int_equal(bind(listener, (void *)&there, sizeof there), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(connect(client, (void *)&there, sizeof there), 0);
	AUTO_FD int accepted = accept4(listener, (void *)&seen, &size, SOCK_CLOEXEC);
	assert_true(accepted >= 0);
	assert_int_equal(write(client, "ping", 4), 4);
	assert_int_equal(fd_read_full(accepted, text, 4), 4);
	assert_memory_equal(text, "ping", 4);
	return ntohl(seen.sin_addr.s_addr);
}

/* A datagram that passes only where no link on the way is narrower. */
static void sends_large(int from, int to, uint32_t a)
{
	struct sockaddr_in there = endpoint(a, 53);
	static char bytes[LARGE];
	int whole = IP_PMTUDISC_DO;
	AUTO_FD int server = socket_in(to, SOCK_DGRAM, 0), client = socket_in(from, SOCK_DGRAM, 0);
	assert_int_equal(bind(server, (void *)&there, sizeof there), 0);
	setsockopt(client, IPPROTO_IP, IP_MTU_DISCOVER, &whole, sizeof whole);
	assert_int_equal(sendto(client, bytes, sizeof bytes, 0, (void *)&there, sizeof there), LARGE);
	assert_int_equal(recv(server, bytes, sizeof bytes, 0), LARGE);
}

static void test_reach(void **state)
{
	AUTO_FD int machine = here();
	struct bridge b = start_default();
	const uint32_t one = b.gateway + 1, two = b.gateway + 2;
	AUTO_CONTAINER_NAMESPACES struct container_namespaces first = connect_container(&b, one);
	AUTO_CONTAINER_NAMESPACES struct container_namespaces second = connect_container(&b, two);
	assert_int_equal(connects(first.network, second.network, two), one);
	assert_int_equal(connects(second.network, first.network, one), two);
	assert_int_equal(connects(first.network, machine, b.gateway), one);
	assert_int_equal(connects(machine, second.network, two), b.gateway);
	sends_large(first.network, second.network, two);
	sends_large(machine, first.network, one);
	enter(first.network);
	assert_int_equal(mtu_of("eth0"), 65520);
	assert_int_equal(mtu_of("lo"), 65536);
	expect_file("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
	if (path_exists("/proc/sys/net/ipv6/conf/eth0"))
		expect_file("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "1");
	enter(machine);
}

static void test_nat(void **state)
{
	AUTO_FD int machine = here();
	struct bridge b = start_default();
	struct bridge uplink = { .name = "up0", .subnet = subnet("10.99.0.0/24"), .gateway = address("10.99.0.1") };
	const uint32_t inside = b.gateway + 1, outside = uplink.gateway + 1;
	assert_int_equal(bridge_start(&uplink, NULL), 0);
	bridge_nat_remove(&uplink); /* it stands for the world, not for a network of containers */
	AUTO_CONTAINER_NAMESPACES struct container_namespaces container = connect_container(&b, inside);
	AUTO_CONTAINER_NAMESPACES struct container_namespaces world = connect_container(&uplink, outside);
	assert_int_equal(connects(container.network, world.network, outside), uplink.gateway);
	/* Without the rule the address is the container's, so the line above shows the rule. */
	bridge_nat_remove(&b);
	assert_int_equal(connects(container.network, world.network, outside), inside);
	assert_int_equal(bridge_nat(&b), 0);
	assert_int_equal(bridge_nat(&b), 0);
	assert_int_equal(connects(container.network, world.network, outside), uplink.gateway);
	/* The machine's own traffic and that within the bridge keep their addresses. */
	assert_int_equal(connects(container.network, machine, b.gateway), inside);
}

/* Whether a connection to `a` in the other namespace comes about. */
static int connects_within(int from, int to, uint32_t a, uint64_t ms)
{
	struct sockaddr_in there = endpoint(a, 80);
	AUTO_FD int listener = socket_in(to, SOCK_STREAM, 0), client = socket_in(from, SOCK_STREAM, 0);
	int one = 1;
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	assert_int_equal(bind(listener, (void *)&there, sizeof there), 0);
	assert_int_equal(listen(listener, 1), 0);
	fd_set_nonblocking(client, 1);
	if (connect(client, (void *)&there, sizeof there) == 0)
		return 1;
	if (errno != EINPROGRESS)
		return 0;
	return fd_wait(client, POLLOUT, clock_deadline(ms)) == 1;
}

static int reaches(int from, int to, uint32_t a)
{
	return connects_within(from, to, a, WAIT_MS);
}

/* Links that work already have a moment for it. */
static int is_kept_out(int from, int to, uint32_t a)
{
	enum { MOMENT_MS = 300 };
	return !connects_within(from, to, a, MOMENT_MS);
}

static void test_isolation(void **state)
{
	AUTO_FD int machine = here();
	struct bridge a = start_default();
	struct bridge b = { .name = "br-other", .subnet = subnet("10.99.0.0/24"), .gateway = address("10.99.0.1") };
	assert_int_equal(bridge_start(&b, NULL), 0);
	AUTO_CONTAINER_NAMESPACES struct container_namespaces in_a = connect_container(&a, a.gateway + 1);
	AUTO_CONTAINER_NAMESPACES struct container_namespaces in_b = connect_container(&b, b.gateway + 1);
	/* Its own gateway, and what the machine begins. */
	assert_true(reaches(in_a.network, machine, a.gateway));
	assert_true(reaches(in_b.network, machine, b.gateway));
	assert_true(reaches(machine, in_a.network, a.gateway + 1));
	give_loopback("10.97.0.1", 24);
	assert_true(reaches(machine, machine, b.gateway));
	/* Another network: neither its containers nor its gateway. */
	assert_true(is_kept_out(in_a.network, in_b.network, b.gateway + 1));
	assert_true(is_kept_out(in_b.network, in_a.network, a.gateway + 1));
	assert_true(is_kept_out(in_a.network, machine, b.gateway));
	/* The rules do it. */
	bridge_nat_remove(&b);
	assert_true(reaches(in_a.network, machine, b.gateway));
	assert_true(reaches(in_a.network, in_b.network, b.gateway + 1));
}

static uint16_t ip_checksum(const void *header)
{
	const uint16_t *words = header;
	uint32_t sum = 0;
	for (size_t i = 0; i < sizeof(struct iphdr) / 2; i++)
		sum += words[i];
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t) ~(sum + (sum >> 16));
}

/* Sends a datagram for port 53 of `a` in a frame that a bridge does not forward (IEEE 802.1D), as a
 * container with CAP_NET_RAW can. */
static void send_to_port(int netns, int machine, uint32_t from, uint32_t a)
{
	struct {
		struct ethhdr ethernet;
		struct iphdr ip;
		struct udphdr udp;
		char text[4];
	} __attribute__((packed)) frame = {
		.ethernet = { .h_dest = { 0x01, 0x80, 0xc2, 0, 0, 0x0e },
		    .h_source = { 2 },
		    .h_proto = htons(ETH_P_IP) },
		.ip = { .version = 4,
		    .ihl = 5,
		    .ttl = 64,
		    .protocol = IPPROTO_UDP,
		    .saddr = htonl(from),
		    .daddr = htonl(a),
		    .tot_len = htons(sizeof frame.ip + sizeof frame.udp + sizeof frame.text) },
		.udp = { .source = htons(53), .dest = htons(53), .len = htons(sizeof frame.udp + sizeof frame.text) },
		.text = "past",
	};
	struct iphdr ip = frame.ip;
	frame.ip.check = ip_checksum(&ip);
	enter(netns);
	struct sockaddr_ll there = { .sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex("eth0") };
	AUTO_FD int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	ssize_t n = sendto(fd, &frame, sizeof frame, 0, (void *)&there, sizeof there);
	enter(machine);
	assert_int_equal(n, sizeof frame);
}

/* The machine's other addresses are out of reach past the bridge, too. */
static void expect_closed_port(int netns, int machine, uint32_t from, uint32_t a)
{
	enum { MOMENT_MS = 300 };
	struct sockaddr_in there = endpoint(a, 53);
	AUTO_FD int server = socket_in(machine, SOCK_DGRAM, 0);
	assert_int_equal(bind(server, (void *)&there, sizeof there), 0);
	send_to_port(netns, machine, from, a);
	assert_int_equal(fd_wait(server, POLLIN, clock_deadline(MOMENT_MS)), 0);
}

static void test_internal(void **state)
{
	AUTO_FD int machine = here();
	struct bridge world = { .name = "up0", .subnet = subnet("10.98.0.0/24"), .gateway = address("10.98.0.1") };
	struct bridge b = { .name = "br-in",
		.subnet = subnet("10.99.0.0/24"),
		.gateway = address("10.99.0.1"),
		.internal = 1 };
	assert_int_equal(bridge_start(&world, NULL), 0);
	assert_int_equal(bridge_start(&b, NULL), 0);
	bridge_nat_remove(&world);
	AUTO_CONTAINER_NAMESPACES struct container_namespaces one = connect_container(&b, b.gateway + 1);
	AUTO_CONTAINER_NAMESPACES struct container_namespaces two = connect_container(&b, b.gateway + 2);
	AUTO_CONTAINER_NAMESPACES struct container_namespaces outside = connect_container(&world, world.gateway + 1);
	assert_true(reaches(one.network, two.network, b.gateway + 2));
	assert_true(reaches(one.network, machine, b.gateway));
	assert_true(reaches(machine, one.network, b.gateway + 1));
	assert_true(is_kept_out(one.network, outside.network, world.gateway + 1));
	/* A route of its own leads it no further. */
	struct netlink n;
	enter(one.network);
	netlink_init(&n);
	network_add_default_route(&n, (int)if_nametoindex("eth0"), htonl(b.gateway));
	AUTO_FD int fd = netlink_socket(NETLINK_ROUTE);
	int r = netlink_do(fd, &n);
	enter(machine);
	assert_int_equal(r, 0);
	assert_true(is_kept_out(one.network, outside.network, world.gateway + 1));
	assert_true(is_kept_out(one.network, machine, world.gateway));
	expect_closed_port(one.network, machine, b.gateway + 1, world.gateway);
	assert_true(is_kept_out(outside.network, one.network, b.gateway + 1));
}

/* A route to one address by way of the gateway, as a container with CAP_NET_ADMIN makes one. */
static void lead_by(int netns, int machine, uint32_t to, uint32_t gateway)
{
	struct netlink n;
	const struct rtmsg m = { .rtm_family = AF_INET,
		.rtm_dst_len = 32,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = RTPROT_STATIC,
		.rtm_type = RTN_UNICAST };
	enter(netns);
	AUTO_FD int fd = netlink_socket(NETLINK_ROUTE);
	netlink_init(&n);
	netlink_message(&n, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE, &m, sizeof m);
	netlink_add_u32(&n, RTA_DST, htonl(to));
	netlink_add_u32(&n, RTA_GATEWAY, htonl(gateway));
	int r = netlink_do(fd, &n);
	enter(machine);
	assert_int_equal(r, 0);
}

static void test_apart(void **state)
{
	AUTO_FD int machine = here();
	struct bridge b = { .name = "br-apart",
		.subnet = subnet("10.99.0.0/24"),
		.gateway = address("10.99.0.1"),
		.apart = 1 };
	assert_int_equal(bridge_start(&b, NULL), 0);
	AUTO_CONTAINER_NAMESPACES struct container_namespaces one = connect_container(&b, b.gateway + 1);
	AUTO_CONTAINER_NAMESPACES struct container_namespaces two = connect_container(&b, b.gateway + 2);
	assert_true(reaches(one.network, machine, b.gateway));
	assert_true(is_kept_out(one.network, two.network, b.gateway + 2));
	lead_by(one.network, machine, b.gateway + 2, b.gateway);
	lead_by(two.network, machine, b.gateway + 1, b.gateway);
	assert_true(is_kept_out(one.network, two.network, b.gateway + 2));
}

/* Two interfaces, one more, and one less. */
static void test_several(void **state)
{
	AUTO_FD int machine = here();
	struct bridge a = start_default();
	struct bridge b = { .name = "br-b",
		.subnet = subnet("10.99.0.0/24"),
		.gateway = address("10.99.0.1"),
		.mtu = 1400 };
	AUTO_CONTAINER_NAMESPACES struct container_namespaces n = { -1, -1 };
	struct attachment list[] = { { .bridge = &a, .address = a.gateway + 1, .mac = { 2, 1 } },
		{ .bridge = &b, .address = b.gateway + 1, .mac = { 2, 2 }, .interface = 1, .is_default = 1 },
		{ .bridge = &b, .address = b.gateway + 2, .mac = { 2, 3 }, .interface = 2 } };
	assert_int_equal(bridge_start(&b, NULL), 0);
	assert_int_equal(container_namespaces_make(&nested, list, 2, &n, NULL, NULL), 0);
	assert_true(reaches(machine, n.network, a.gateway + 1));
	assert_true(reaches(machine, n.network, b.gateway + 1));
	const struct namespaces_change more = { .add = &list[2], .count = 1, .remove = -1 };
	assert_int_equal(container_namespaces_change(&n, &more, NULL), 0);
	assert_true(reaches(machine, n.network, b.gateway + 2));
	const struct namespaces_change less = { .remove = 1, .route = &list[0] };
	assert_int_equal(container_namespaces_change(&n, &less, NULL), 0);
	enter(n.network);
	unsigned one = if_nametoindex("eth1"), two = if_nametoindex("eth2");
	int mtu = mtu_of("eth2");
	enter(machine);
	assert_int_equal(one, 0);
	assert_int_not_equal(two, 0);
	assert_int_equal(mtu, 1400);
	assert_true(reaches(n.network, machine, a.gateway));
}

/* Port 53 of 127.0.0.11 leads to the sockets, and a name server of the container's own has the
 * other addresses. */
static void test_resolver_sockets(void **state)
{
	struct bridge b = start_default();
	AUTO_CONTAINER_NAMESPACES struct container_namespaces n = { -1, -1 };
	struct attachment one = { .bridge = &b, .address = b.gateway + 1, .mac = { 2, 1 }, .is_default = 1 };
	struct resolver_sockets sockets = { -1, -1 }, again = { -1, -1 };
	struct sockaddr_in there = endpoint(address(RESOLVER_ADDRESS), 53), own = endpoint(INADDR_ANY, 53), from;
	socklen_t size = sizeof from;
	char text[4];
	assert_int_equal(container_namespaces_make(&nested, &one, 1, &n, &sockets, NULL), 0);
	AUTO_FD int client = socket_in(n.network, SOCK_DGRAM, 0), server = socket_in(n.network, SOCK_DGRAM, 0);
	assert_int_equal(bind(server, (void *)&own, sizeof own), 0);
	assert_int_equal(connect(client, (void *)&there, sizeof there), 0);
	assert_int_equal(send(client, "ping", 4, 0), 4);
	assert_int_equal(fd_wait(sockets.udp, POLLIN, clock_deadline(WAIT_MS)), 1);
	assert_int_equal(recvfrom(sockets.udp, text, 4, 0, (void *)&from, &size), 4);
	assert_int_equal(sendto(sockets.udp, "pong", 4, 0, (void *)&from, size), 4);
	assert_int_equal(recv(client, text, 4, 0), 4);
	assert_memory_equal(text, "pong", 4);
	AUTO_FD int stream = socket_in(n.network, SOCK_STREAM, 0);
	assert_int_equal(connect(stream, (void *)&there, sizeof there), 0);
	assert_int_equal(fd_wait(sockets.tcp, POLLIN, clock_deadline(WAIT_MS)), 1);
	/* Another engine opens them once more. */
	const struct namespaces_change change = { .remove = -1, .resolver = &again };
	assert_int_equal(container_namespaces_change(&n, &change, NULL), 0);
	AUTO_FD int later = socket_in(n.network, SOCK_DGRAM, 0);
	assert_int_equal(connect(later, (void *)&there, sizeof there), 0);
	assert_int_equal(send(later, "ping", 4, 0), 4);
	assert_int_equal(fd_wait(again.udp, POLLIN, clock_deadline(WAIT_MS)), 1);
	const int all[] = { sockets.udp, sockets.tcp, again.udp, again.tcp };
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		close(all[i]);
}

static void test_ping(void **state)
{
	struct bridge b = start_default();
	AUTO_CONTAINER_NAMESPACES struct container_namespaces n = connect_container(&b, b.gateway + 1);
	struct icmphdr echo = { .type = ICMP_ECHO };
	struct sockaddr_in gateway = endpoint(b.gateway, 0);
	AUTO_FD int fd = socket_in(n.network, SOCK_DGRAM, IPPROTO_ICMP);
	assert_int_equal(sendto(fd, &echo, sizeof echo, 0, (void *)&gateway, sizeof gateway), sizeof echo);
	assert_int_equal(recv(fd, &echo, sizeof echo, 0), sizeof echo);
	assert_int_equal(echo.type, ICMP_ECHOREPLY);
}

/* ---- IPv6 ---- */

static struct in6_addr address6(const char *text)
{
	struct in6_addr a;
	assert_int_equal(address6_parse(text, &a), 0);
	return a;
}

static struct bridge bridge6(const char *name, const char *four, const char *six)
{
	struct bridge b = { .subnet = subnet(four) };
	snprintf(b.name, sizeof b.name, "%s", name);
	b.gateway = b.subnet.base + 1;
	assert_int_equal(subnet6_parse(six, &b.six), 0);
	assert_int_equal(subnet6_at(&b.six, 1, &b.gateway6), 0);
	return b;
}

static struct container_namespaces connect6(const struct bridge *b, uint32_t place)
{
	struct attachment one = { .bridge = b, .address = b->subnet.base + place, .is_default = 1, .is_default6 = 1 };
	struct container_namespaces n = { -1, -1 };
	assert_int_equal(subnet6_at(&b->six, place, &one.address6), 0);
	network_mac(one.address, one.mac);
	assert_int_equal(container_namespaces_make(&nested, &one, 1, &n, NULL, NULL), 0);
	return n;
}

/* Whether a connection of IPv6 comes about within the time; *seen is the client's address then. */
static int connects6(int from, int to, const char *text, uint64_t ms, struct in6_addr *seen)
{
	struct sockaddr_in6 there = { .sin6_family = AF_INET6, .sin6_port = htons(80), .sin6_addr = address6(text) };
	struct sockaddr_in6 peer;
	socklen_t size = sizeof peer;
	int one = 1;
	AUTO_FD int back = here();
	enter(to);
	AUTO_FD int listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	enter(from);
	AUTO_FD int client = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	enter(back);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	assert_int_equal(bind(listener, (void *)&there, sizeof there), 0);
	assert_int_equal(listen(listener, 1), 0);
	if (connect(client, (void *)&there, sizeof there) < 0 &&
	    (errno != EINPROGRESS || fd_wait(client, POLLOUT, clock_deadline(ms)) != 1))
		return 0;
	AUTO_FD int accepted = accept4(listener, (void *)&peer, &size, SOCK_CLOEXEC);
	if (accepted >= 0 && seen)
		*seen = peer.sin6_addr;
	return accepted >= 0;
}

static void test_ipv6(void **state)
{
	enum { MOMENT_MS = 300 };
	if (!path_exists("/proc/sys/net/ipv6"))
		skip();
	AUTO_FD int machine = here();
	struct bridge world = bridge6("up0", "10.99.0.0/24", "fd00:99::/64");
	struct bridge a = bridge6("br-a", "10.98.0.0/24", "fd00:98::/64"),
		      b = bridge6("br-b", "10.97.0.0/24", "fd00:97::/64");
	struct in6_addr seen = IN6ADDR_ANY_INIT;
	b.internal = 1;
	assert_true(bridge_has_ipv6());
	assert_int_equal(bridge_start(&world, NULL), 0);
	assert_int_equal(bridge_start(&a, NULL), 0);
	assert_int_equal(bridge_start(&b, NULL), 0);
	bridge_nat_remove(&world);
	AUTO_CONTAINER_NAMESPACES struct container_namespaces a2 = connect6(&a, 2), a3 = connect6(&a, 3);
	AUTO_CONTAINER_NAMESPACES struct container_namespaces b2 = connect6(&b, 2), w2 = connect6(&world, 2);
	assert_true(connects6(a2.network, a3.network, "fd00:98::3", WAIT_MS, &seen));
	struct in6_addr wanted = address6("fd00:98::2"), gateway = address6("fd00:99::1");
	assert_true(address6_equal(&seen, &wanted));
	assert_true(connects6(a2.network, machine, "fd00:98::1", WAIT_MS, NULL));
	assert_true(connects6(machine, a2.network, "fd00:98::2", WAIT_MS, NULL));
	assert_true(connects6(b2.network, machine, "fd00:97::1", WAIT_MS, NULL));
	/* The world sees the machine's address. */
	assert_true(connects6(a2.network, w2.network, "fd00:99::2", WAIT_MS, &seen));
	assert_true(address6_equal(&seen, &gateway));
	/* Nothing begins from outside, and an internal network leads nowhere. */
	assert_false(connects6(w2.network, a2.network, "fd00:98::2", MOMENT_MS, NULL));
	assert_false(connects6(a2.network, machine, "fd00:97::1", MOMENT_MS, NULL));
	assert_false(connects6(a2.network, b2.network, "fd00:97::2", MOMENT_MS, NULL));
	assert_false(connects6(b2.network, w2.network, "fd00:99::2", MOMENT_MS, NULL));
	bridge_nat_remove(&a);
	assert_true(connects6(w2.network, a2.network, "fd00:98::2", WAIT_MS, NULL));
}

static void test_loopback_alone(void **state)
{
	AUTO_FD int machine = here();
	size_t here_before = count_interfaces();
	AUTO_CONTAINER_NAMESPACES struct container_namespaces n = connect_container(NULL, 0);
	assert_int_equal(connects(n.network, n.network, INADDR_LOOPBACK), INADDR_LOOPBACK);
	assert_int_equal(count_interfaces(), here_before);
	enter(n.network);
	assert_int_equal(if_nametoindex("eth0"), 0);
	enter(machine);
}

static void test_without_user_namespace(void **state)
{
	AUTO_FD int machine = here();
	struct bridge b = start_default();
	AUTO_CONTAINER_NAMESPACES struct container_namespaces n = { -1, -1 };
	assert_int_equal(make_container(NULL, &b, b.gateway + 1, &n, NULL), 0);
	assert_int_equal(n.user, -1);
	assert_int_equal(connects(machine, n.network, b.gateway + 1), b.gateway);
}

static void test_no_bridge(void **state)
{
	AUTO_ERROR struct error *err = NULL;
	struct container_namespaces n = { -1, -1 };
	struct bridge b;
	assert_int_equal(bridge_choose(NULL, &b, NULL), 0);
	assert_int_equal(make_container(&nested, &b, b.gateway + 1, &n, &err), -ENODEV);
	assert_non_null(strstr(error_text(err, 0), "holm0"));
	assert_int_equal(n.network, -1);
}

/* ---- nothing is left ---- */

static size_t count_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t count = 0;
	assert_non_null(d);
	while (readdir(d))
		count++;
	closedir(d);
	return count;
}

static int watch_links(void)
{
	struct sockaddr_nl group = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	int size = 8 << 20;
	int fd = netlink_socket(NETLINK_ROUTE);
	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	assert_int_equal(bind(fd, (void *)&group, sizeof group), 0);
	return fd;
}

/* Waits until the kernel has removed interfaces so that only `wanted` are left. */
static void await_interfaces(int watch, size_t wanted)
{
	static char bytes[1 << 16];
	uint64_t deadline = clock_deadline(WAIT_MS);
	while (count_interfaces() > wanted) {
		assert_int_equal(fd_wait(watch, POLLIN, deadline), 1);
		(void)!recv(watch, bytes, sizeof bytes, MSG_DONTWAIT);
	}
	assert_int_equal(count_interfaces(), wanted);
}

static void test_many(void **state)
{
	struct bridge b = start_default();
	AUTO_FD int watch = watch_links();
	AUTO_ADDRESS_POOL struct address_pool *pool = address_pool_new(&b.subnet);
	size_t interfaces = count_interfaces(), descriptors = count_descriptors();
	assert_int_equal(address_pool_claim(pool, b.gateway), 0);
	for (unsigned i = 0; i < MANY; i++) {
		uint32_t a;
		assert_int_equal(address_pool_take(pool, &a), 0);
		assert_int_equal(a, b.gateway + 1);
		struct container_namespaces n = connect_container(&b, a);
		container_namespaces_done(&n);
		address_pool_release(pool, a);
	}
	assert_int_equal(count_descriptors(), descriptors);
	assert_int_equal(address_pool_taken(pool), 1);
	await_interfaces(watch, interfaces);
	/* Nor do they leave anything that keeps the next one from its address. */
	AUTO_FD int machine = here();
	AUTO_CONTAINER_NAMESPACES struct container_namespaces n = connect_container(&b, b.gateway + 1);
	assert_int_equal(connects(machine, n.network, b.gateway + 1), b.gateway);
}

static void test_many_at_once(void **state)
{
	struct container_namespaces all[MANY];
	struct bridge b = start_default();
	AUTO_FD int watch = watch_links(), machine = here();
	size_t interfaces = count_interfaces();
	for (unsigned i = 0; i < MANY; i++)
		all[i] = connect_container(&b, b.gateway + 1 + i);
	assert_int_equal(count_interfaces(), interfaces + MANY);
	assert_int_equal(connects(all[0].network, all[MANY - 1].network, b.gateway + MANY), b.gateway + 1);
	assert_int_equal(connects(machine, all[MANY / 2].network, b.gateway + 1 + MANY / 2), b.gateway);
	for (unsigned i = 0; i < MANY; i++)
		container_namespaces_done(&all[i]);
	await_interfaces(watch, interfaces);
}

/* ---- messages ---- */

static void test_too_large_batch(void **state)
{
	struct netlink n;
	const struct rtmsg m = { .rtm_family = AF_INET };
	AUTO_FD int fd = netlink_socket(NETLINK_ROUTE);
	netlink_init(&n);
	for (int i = 0; i < NETLINK_BATCH_MAX / NLMSG_HDRLEN; i++)
		netlink_message(&n, RTM_GETROUTE, NLM_F_ACK, &m, sizeof m);
	netlink_close(&n, netlink_open(&n, 1));
	assert_true(n.size <= NETLINK_BATCH_MAX);
	assert_int_equal(netlink_do(fd, &n), -EMSGSIZE);
}

#define MACHINE_TEST(name) cmocka_unit_test_setup(name, setup_machine)

static int run_all(void *data, struct error **err)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_subnet_text),
		cmocka_unit_test(test_subnet_choice),
		cmocka_unit_test(test_pool),
		cmocka_unit_test(test_large_pool),
		MACHINE_TEST(test_choice_by_routes),
		MACHINE_TEST(test_bridge),
		MACHINE_TEST(test_no_nftables),
		MACHINE_TEST(test_reach),
		MACHINE_TEST(test_nat),
		MACHINE_TEST(test_isolation),
		MACHINE_TEST(test_many_bridges),
		MACHINE_TEST(test_internal),
		MACHINE_TEST(test_ipv6),
		MACHINE_TEST(test_apart),
		MACHINE_TEST(test_several),
		MACHINE_TEST(test_resolver_sockets),
		MACHINE_TEST(test_ping),
		MACHINE_TEST(test_loopback_alone),
		MACHINE_TEST(test_without_user_namespace),
		MACHINE_TEST(test_no_bridge),
		MACHINE_TEST(test_many),
		MACHINE_TEST(test_many_at_once),
		MACHINE_TEST(test_too_large_batch),
	};
	/* The change of ids made this process's files in /proc those of the host's root. */
	prctl(PR_SET_DUMPABLE, 1);
	idmap_onto_itself(data, &nested);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	fflush(NULL);
	return failed ? error_set(err, EPROTO, "%d tests failed", failed) : 0;
}

static int has_namespaces(void *data, struct error **err)
{
	return unshare(CLONE_NEWNET) < 0 ? error_set_errno(err, errno, "no network namespaces") : 0;
}

int main(void)
{
	AUTO_ERROR struct error *err = NULL;
	/* root maps a range, as a machine's root has one; an ordinary user itself alone. */
	struct idmap m = {
		.uids = { { 0, geteuid() ? geteuid() : 100000, geteuid() ? 1 : 65536 } },
		.gids = { { 0, geteuid() ? getegid() : 100000, geteuid() ? 1 : 65536 } },
		.uid_count = 1,
		.gid_count = 1,
		.uid = geteuid(),
		.gid = getegid(),
		.single = geteuid() != 0,
		.by_root = geteuid() == 0,
	};
	if (idmap_run(&m, has_namespaces, NULL, &err) < 0) {
		fprintf(stderr, "skipped: %s\n", error_text(err, 0));
		return EXIT_SKIP;
	}
	return idmap_run(&m, run_all, &m, NULL) < 0;
}
