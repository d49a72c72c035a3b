/* SPDX-License-Identifier: Apache-2.0
 * Name lookups of a machine that go to the host's name servers from here, because passt does not
 * reach these (isolation/network.h). The file is read for each: it may have changed. A guest
 * chooses neither address nor port. */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/udp_relay.h"
#include "keeper/agent/names.h"
#include "keeper/keeper_private.h"

enum { DNS_PORT = 53, TEXT_MAX = 64 * 1024 };

/* Reads an address, IPv6 ones with a scope too. Its size, or 0. */
static socklen_t parse_server(const char *text, struct sockaddr_storage *ret)
{
	struct sockaddr_in *four = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;
	AUTOFREE char *address = xstrndup(text, strcspn(text, "%"));
	*ret = (struct sockaddr_storage){ 0 };
	if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons(DNS_PORT);
		return sizeof *four;
	}
	if (inet_pton(AF_INET6, address, &six->sin6_addr) != 1)
		return 0;
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(DNS_PORT);
	six->sin6_scope_id = strchr(text, '%') ? if_nametoindex(strchr(text, '%') + 1) : 0;
	return sizeof *six;
}

void names_servers(const char *resolv_conf, struct udp_targets *ret)
{
	AUTO_STRV struct strv lines = { 0 };
	*ret = (struct udp_targets){ .count = 0 };
	strv_split(&lines, resolv_conf, "\n");
	for (size_t i = 0; i < lines.count && ret->count < UDP_TARGETS_MAX; i++) {
		AUTO_STRV struct strv words = { 0 };
		strv_split(&words, lines.items[i], " \t\r");
		if (words.count < 2 || !streq(words.items[0], "nameserver"))
			continue;
		socklen_t size = parse_server(words.items[1], &ret->items[ret->count].address);
		ret->items[ret->count].size = size;
		ret->count += size > 0;
	}
}

/* A socket that is being connected to the first server. A descriptor or -errno. */
static int connect_first(const struct udp_targets *servers)
{
	const struct sockaddr *address = (const struct sockaddr *)&servers->items[0].address;
	AUTO_FD int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || (connect(fd, address, servers->items[0].size) < 0 && errno != EINPROGRESS))
		return -errno;
	return TAKE_FD(fd);
}

void names_handle(struct http_exchange *x, void *data)
{
	struct keeper *k = data;
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *text = NULL, *protocol = http_target_query(http_exchange_head(x)->target, "protocol");
	struct udp_targets servers;
	struct buffer early;
	int tcp = protocol && streq(protocol, "tcp"), stream;
	path_read_file("/etc/resolv.conf", TEXT_MAX, &text, NULL);
	names_servers(text ? text : "", &servers);
	AUTO_FD int fd = tcp && servers.count ? connect_first(&servers) : -1;
	if (!servers.count || (tcp && fd < 0)) {
		int r = error_set(&err, ENOENT, "the host's /etc/resolv.conf has no name server that answers");
		http_respond_error(x, r, err);
		return;
	}
	if (http_upgrade(x, "holm-stream", &stream, &early) < 0)
		return;
	if (tcp)
		keeper_relay(k, stream, TAKE_FD(fd), &early, 0);
	else
		udp_relay_start(k->loop, stream, &servers, &early);
	buffer_done(&early);
}
