/* SPDX-License-Identifier: Apache-2.0
 * See lookup.h. The agent is static, so it has none of the C library's name services; it asks the
 * name servers of the machine's resolv.conf itself (resolver(3)). A worker does, because an answer
 * may take long, and because both /etc/hosts and the answers are the machine's or the network's. */
#include "agent/service/lookup.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdio.h>
#include <strings.h>

#include "agent/core/channel.h"
#include "agent/core/rootfs.h"
#include "agent/core/worker.h"
#include "base/alloc.h"
#include "base/fd.h"

enum { ANSWER_MAX = 16 * 1024, SECONDS = 5, TRIES = 2 };

struct lookup {
	const struct agent *agent;
	char *name;
	struct worker *worker;
	struct lookup_address found[LOOKUP_ADDRESSES_MAX];
	size_t count;
	void (*done)(const struct lookup_address *found, size_t count, void *data);
	void *data;
};

/* ---- addresses ---- */

static int add_bytes(struct lookup_address *to, int family, const void *bytes)
{
	struct sockaddr_in *four = (struct sockaddr_in *)&to->address;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&to->address;
	*to = (struct lookup_address){ .size = family == AF_INET ? sizeof *four : sizeof *six };
	to->address.ss_family = (sa_family_t)family;
	if (family == AF_INET)
		memcpy(&four->sin_addr, bytes, sizeof four->sin_addr);
	else
		memcpy(&six->sin6_addr, bytes, sizeof six->sin6_addr);
	return 1;
}

static int add_text(struct lookup_address *to, const char *text)
{
	struct in6_addr bytes;
	for (int family = AF_INET;; family = AF_INET6) {
		if (inet_pton(family, text, &bytes) == 1)
			return add_bytes(to, family, &bytes);
		if (family == AF_INET6)
			return 0;
	}
}

size_t lookup_literal(const char *text, struct lookup_address *ret)
{
	if (strcasecmp(text, "localhost") == 0)
		return (size_t)(add_text(&ret[0], "127.0.0.1") + add_text(&ret[1], "::1"));
	return (size_t)add_text(ret, text);
}

/* ---- hosts(5) ---- */

static int line_has(const struct strv *words, const char *name)
{
	for (size_t i = 1; i < words->count; i++)
		if (strcasecmp(words->items[i], name) == 0)
			return 1;
	return 0;
}

size_t lookup_hosts(const char *hosts, const char *name, struct lookup_address *ret)
{
	AUTO_STRV struct strv lines = { 0 };
	size_t n = 0;
	strv_split(&lines, hosts, "\n");
	for (size_t i = 0; i < lines.count && n < LOOKUP_ADDRESSES_MAX; i++) {
		AUTO_STRV struct strv words = { 0 };
		AUTOFREE char *line = xstrndup(lines.items[i], strcspn(lines.items[i], "#"));
		strv_split(&words, line, " \t\r");
		if (line_has(&words, name))
			n += (size_t)add_text(&ret[n], words.items[0]);
	}
	return n;
}

/* ---- name servers, in the worker ---- */

static size_t add_servers(const struct resolv *resolv, struct __res_state *s)
{
	int n = 0;
	for (size_t i = 0; i < resolv->nameservers.count && n < MAXNS; i++) {
		struct sockaddr_in *to = &s->nsaddr_list[n];
		*to = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(NAMESERVER_PORT) };
		n += inet_pton(AF_INET, resolv->nameservers.items[i], &to->sin_addr) == 1;
	}
	s->nscount = n;
	return (size_t)n;
}

static unsigned get_u16(const unsigned char *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

/* The place behind a name, or NULL. */
static const unsigned char *skip_name(const unsigned char *p, const unsigned char *end)
{
	int n = dn_skipname(p, end);
	return n < 0 ? NULL : p + n;
}

size_t lookup_answer(const unsigned char *answer, size_t size, int type, struct lookup_address *ret)
{
	const unsigned char *p = answer + NS_HFIXEDSZ, *end = answer + size;
	const size_t bytes = type == ns_t_a ? sizeof(struct in_addr) : sizeof(struct in6_addr);
	size_t n = 0;
	if (size < NS_HFIXEDSZ)
		return 0;
	unsigned questions = get_u16(answer + 4), records = get_u16(answer + 6);
	for (unsigned i = 0; i < questions; i++) {
		p = skip_name(p, end);
		if (!p || end - p < NS_QFIXEDSZ)
			return 0;
		p += NS_QFIXEDSZ;
	}
	for (unsigned i = 0; i < records && n < LOOKUP_ADDRESSES_MAX; i++) {
		p = skip_name(p, end);
		if (!p || end - p < NS_RRFIXEDSZ)
			return n;
		unsigned found = get_u16(p), length = get_u16(p + NS_RRFIXEDSZ - 2);
		p += NS_RRFIXEDSZ;
		if ((size_t)(end - p) < length)
			return n;
		if (found == (unsigned)type && length == bytes)
			n += (size_t)add_bytes(&ret[n], type == ns_t_a ? AF_INET : AF_INET6, p);
		p += length;
	}
	return n;
}

/* domain: NULL for the name as it is. */
static size_t ask(struct __res_state *s, const char *name, const char *domain, struct lookup_address *ret)
{
	static const int types[] = { ns_t_a, ns_t_aaaa };
	unsigned char answer[ANSWER_MAX];
	AUTOFREE char *full = domain ? xasprintf("%s.%s", name, domain) : xstrdup(name);
	size_t n = 0;
	for (size_t i = 0; n == 0 && i < ARRAY_SIZE(types); i++) {
		int size = res_nquery(s, full, ns_c_in, types[i], answer, sizeof answer);
		n = size > 0 ? lookup_answer(answer, MIN((size_t)size, sizeof answer), types[i], ret) : 0;
	}
	return n;
}

static size_t ask_servers(const struct resolv *resolv, const char *name, struct lookup_address *ret)
{
	struct __res_state s = { 0 };
	size_t n = 0;
	if (res_ninit(&s) < 0)
		return 0;
	s.retrans = SECONDS;
	s.retry = TRIES;
	if (add_servers(resolv, &s) > 0) {
		for (size_t i = 0; n == 0 && !strchr(name, '.') && i < resolv->search.count; i++)
			n = ask(&s, name, resolv->search.items[i], ret);
		if (n == 0)
			n = ask(&s, name, NULL, ret);
	}
	res_nclose(&s);
	return n;
}

static int work(int channel, void *data, struct error **err)
{
	const struct lookup *l = data;
	struct lookup_address found[LOOKUP_ADDRESSES_MAX];
	AUTOFREE char *hosts = NULL;
	AUTO_FD int root = open(AGENT_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
	size_t n = root >= 0 && rootfs_read(root, "/etc/hosts", &hosts) == 0 ? lookup_hosts(hosts, l->name, found) : 0;
	if (n == 0)
		n = ask_servers(&l->agent->boot->resolv, l->name, found);
	for (size_t i = 0; i < n; i++) {
		char text[INET6_ADDRSTRLEN];
		const struct lookup_address *f = &found[i];
		const void *bytes = f->address.ss_family == AF_INET ?
					(const void *)&((const struct sockaddr_in *)&f->address)->sin_addr :
					(const void *)&((const struct sockaddr_in6 *)&f->address)->sin6_addr;
		int r =
		    channel_send_string(channel, "address", inet_ntop(f->address.ss_family, bytes, text, sizeof text));
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- the agent's side ---- */

static void lookup_free(struct lookup *l)
{
	free(l->name);
	free(l);
}

static void on_message(struct json_object *o, int fd, void *data)
{
	struct lookup *l = data;
	const char *text = NULL;
	fd_close(fd);
	if (l->count < LOOKUP_ADDRESSES_MAX && json_get_string(o, "address", &text, NULL) == 0)
		l->count += (size_t)add_text(&l->found[l->count], text);
}

static void on_done(int code, const char *text, void *data)
{
	struct lookup *l = data;
	l->done(l->found, l->count, l->data);
	lookup_free(l);
}

int lookup_start(struct agent *a, const char *name,
    void (*done)(const struct lookup_address *found, size_t count, void *data), void *data, struct lookup **ret)
{
	static const struct worker_events events = { .message = on_message, .done = on_done };
	struct lookup *l = xnew(struct lookup);
	*l = (struct lookup){ .agent = a, .name = xstrdup(name), .done = done, .data = data };
	int r = worker_start(a->loop, work, l, NULL, 0, &events, l, &l->worker);
	if (r < 0)
		lookup_free(l);
	else
		*ret = l;
	return r;
}

void lookup_cancel(struct lookup *l)
{
	if (!l)
		return;
	worker_cancel(l->worker);
	lookup_free(l);
}
