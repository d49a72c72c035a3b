/* SPDX-License-Identifier: Apache-2.0
 * See resolver.h: the answers, and queries by UDP. TCP is resolver_stream.c, name servers are
 * resolver_forward.c.
 *
 * A hostile container can only hurt its own lookups: each wake-up reads a few datagrams, and the
 * queries under way are counted for each container. */
#include "agent/engine/resolver.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "agent/core/rootfs.h"
#include "agent/engine/endpoints.h"
#include "agent/engine/names.h"
#include "agent/engine/network_files.h"
#include "agent/engine/resolver_private.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"

enum { DATAGRAMS_AT_ONCE = 32 };

/* ---- answers ---- */

static size_t answer_addresses(const struct dns_query *q, const struct docker_endpoint *const *list, size_t count,
    uint8_t *out, size_t max)
{
	uint32_t four[NAMES_MAX];
	struct in6_addr six[NAMES_MAX];
	size_t found = 0;
	for (size_t i = 0; i < count; i++)
		if (q->type == DNS_A)
			four[found++] = htonl(list[i]->address);
		else if (address6_is_set(&list[i]->address6))
			six[found++] = list[i]->address6;
	return q->type == DNS_A ? dns_answer_addresses(q, DNS_A, four, found, out, max) :
				  dns_answer_addresses(q, DNS_AAAA, six, found, out, max);
}

static size_t answer_name(const struct container *c, const struct dns_query *q, uint8_t *out, size_t max)
{
	const struct docker_endpoint *list[NAMES_MAX];
	struct in6_addr address6 = IN6ADDR_ANY_INIT;
	uint32_t address = 0;
	if (q->type == DNS_PTR &&
	    (dns_parse_reverse(q->name, &address) == 0 || dns_parse_reverse6(q->name, &address6) == 0)) {
		AUTOFREE char *name = names_reverse(c, address, &address6);
		return name ? dns_answer_name(q, name, out, max) : 0;
	}
	int count = q->is_plain ? names_find(c, q->name, list, NAMES_MAX) : -ENOENT;
	if (count < 0)
		return 0;
	/* The name is there, but has no MX and so on. */
	return q->type == DNS_A || q->type == DNS_AAAA ? answer_addresses(q, list, (size_t)count, out, max) :
							 dns_answer(q, DNS_NO_ERROR, out);
}

ssize_t resolver_answer(const struct resolver *r, const void *data, size_t size, struct dns_query *q, uint8_t *out,
    size_t max)
{
	int result = dns_parse(data, size, q);
	if (result == -EBADMSG)
		return -EBADMSG;
	if (result < 0)
		return (ssize_t)dns_answer(q, result == -EINVAL ? DNS_MALFORMED : DNS_NOT_IMPLEMENTED, out);
	size_t answer = answer_name(r->container, q, out, max);
	if (answer)
		return (ssize_t)answer;
	return endpoints_lead_out(r->container) ? 0 : (ssize_t)dns_answer(q, DNS_SERVER_FAILURE, out);
}

static char *read_resolv(void)
{
	char *text = NULL;
	AUTO_FD int machine = open(ENGINE_MACHINE, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (machine < 0 || rootfs_read(machine, "/etc/resolv.conf", &text) < 0)
		return xstrdup("");
	return text;
}

void resolver_servers(const struct resolver *r, struct strv *ret)
{
	AUTO_CONTAINER_NAMES struct container_names names = { 0 };
	AUTO_RESOLV struct resolv machine = { 0 };
	AUTOFREE char *text = read_resolv();
	struct json_object *host = NULL;
	if (json_get_object(r->container->record.data, "HostConfig", &host, NULL) == 0)
		(void)container_names_read(&names, host, NULL);
	resolv_read(text, &machine);
	strv_add_all(ret, names.resolv.nameservers.count ? &names.resolv.nameservers :
			  machine.nameservers.count      ? &machine.nameservers :
							   &r->container->engine->nameservers);
}

/* ---- UDP ---- */

void resolver_send(const struct resolver *r, const struct sockaddr_in *to, const void *data, size_t size)
{
	(void)!sendto(r->sockets.udp, data, size, MSG_DONTWAIT | MSG_NOSIGNAL, (const void *)to, sizeof *to);
}

static void on_datagram(struct source *s, int fd, uint32_t events, void *data)
{
	struct resolver *r = data;
	uint8_t query[DNS_QUERY_MAX], answer[DNS_QUERY_MAX + DNS_UDP_MAX];
	for (int i = 0; i < DATAGRAMS_AT_ONCE; i++) {
		struct sockaddr_in from;
		struct dns_query q;
		socklen_t length = sizeof from;
		ssize_t size = recvfrom(fd, query, sizeof query, MSG_DONTWAIT | MSG_TRUNC, (void *)&from, &length);
		if (size < 0)
			return;
		if ((size_t)size > sizeof query || length != sizeof from)
			continue;
		ssize_t answered = resolver_answer(r, query, (size_t)size, &q, answer, DNS_UDP_MAX);
		if (answered == 0 && resolver_forward(r, query, (size_t)size, &from, NULL) < 0)
			answered = (ssize_t)dns_answer(&q, DNS_SERVER_FAILURE, answer);
		if (answered > 0)
			resolver_send(r, &from, answer, (size_t)answered);
	}
}

/* ---- begin and end ---- */

void resolver_start(struct container *c, struct resolver_sockets *sockets)
{
	struct resolver *r = xnew(struct resolver);
	struct loop *l = c->engine->loop;
	resolver_stop(c);
	*r = (struct resolver){ .container = c, .sockets = *sockets };
	*sockets = (struct resolver_sockets){ -1, -1 };
	c->resolver = r;
	if (fd_set_nonblocking(r->sockets.udp, 1) < 0 || fd_set_nonblocking(r->sockets.tcp, 1) < 0 ||
	    loop_add_io(l, r->sockets.udp, EPOLLIN, on_datagram, r, &r->udp) < 0 ||
	    loop_add_io(l, r->sockets.tcp, EPOLLIN, resolver_accept, r, &r->tcp) < 0)
		log_warning("container %.12s: its lookups are not answered", c->record.id);
}

void resolver_stop(struct container *c)
{
	struct resolver *r = TAKE_PTR(c->resolver);
	if (!r)
		return;
	resolver_end_streams(r);
	resolver_end_forwards(r);
	source_free(r->udp);
	source_free(r->tcp);
	fd_close(r->sockets.udp);
	fd_close(r->sockets.tcp);
	free(r);
}
