/* SPDX-License-Identifier: Apache-2.0
 * The inner end of a published port: addresses that the keeper connects to by sockets in the
 * machine's network; without such sockets a stream to the agent, which connects there. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "isolation/network.h"
#include "keeper/keeper_private.h"
#include "keeper/ports/publish.h"

/* Longer than the agent's kernel tries to connect. */
enum { DIAL_TIMEOUT_MS = 150 * 1000 };

int publish_inside_address(const struct published *p, unsigned n, struct inside_address *ret)
{
	/* A service of the machine may listen on one family or address only. */
	static const char *const machine[] = { "127.0.0.1", "::1", NETWORK_ADDRESS };
	if (n >= (p->target ? 1 : ARRAY_SIZE(machine)))
		return 0;
	const char *text = p->target ? p->target : machine[n];
	struct sockaddr_in *four = (struct sockaddr_in *)&ret->address;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&ret->address;
	*ret = (struct inside_address){ 0 };
	if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons(p->spec.inside);
		ret->size = sizeof *four;
		ret->kind = p->spec.udp ? ISOLATION_UDP4 : ISOLATION_TCP4;
		return 1;
	}
	if (inet_pton(AF_INET6, text, &six->sin6_addr) != 1)
		return 0;
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(p->spec.inside);
	ret->size = sizeof *six;
	ret->kind = p->spec.udp ? ISOLATION_UDP6 : ISOLATION_TCP6;
	return 1;
}

int publish_dial(struct published *p, void (*upgraded)(int fd, struct buffer *early, void *data),
    void (*done)(int code, struct json_object *body, const struct error *err, void *data), void *data,
    struct http_call **ret)
{
	const struct http_call_events events = { .done = done, .upgrade = "holm-stream", .upgraded = upgraded };
	int fd;
	int r = keeper_open_stream(p->keeper, &fd, NULL);
	if (r < 0)
		return r;
	struct json_object *body = json_object_new_object();
	json_add_string(body, "protocol", p->spec.udp ? "udp" : "tcp");
	json_add_u64(body, "port", p->spec.inside);
	json_add_string(body, "address", p->target);
	return http_call(p->keeper->loop, fd, "POST", "/v1/dial", body, clock_deadline(DIAL_TIMEOUT_MS), &events, data,
	    ret);
}
