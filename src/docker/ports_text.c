/* SPDX-License-Identifier: Apache-2.0
 * Ports of a list of containers, as items and as the column of `ps`. Docker's client joins ports
 * that are the same inside and outside into ranges, one for each address and protocol, and puts
 * all others behind them; so does this. */
#include "docker/ports.h"

#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"

/* ---- items ---- */

static int read_port(struct json_object *item, const char *key, uint16_t *ret, struct error **err)
{
	uint64_t n = 0;
	int r = json_get_u64(item, key, &n, err);
	if (r < 0)
		return r;
	if (n > UINT16_MAX)
		return error_set(err, EINVAL, "\"%s\" is not a port", key);
	*ret = (uint16_t)n;
	return 0;
}

static int read_protocol(struct json_object *item, enum port_protocol *ret, struct error **err)
{
	const char *type = "";
	int r = json_get_string(item, "Type", &type, err);
	if (r < 0 && r != -ENOENT)
		return r;
	for (unsigned i = 0; port_protocol_words[i]; i++)
		if (streq(type, port_protocol_words[i])) {
			*ret = (enum port_protocol)i;
			return 0;
		}
	return error_set(err, EINVAL, "\"%.16s\" is not a protocol of a port", type);
}

static int read_item(struct json_object *item, struct docker_ports *bound, struct docker_ports *exposed,
    struct error **err)
{
	struct docker_port p = { 0 };
	const char *ip = "";
	if (!json_object_is_type(item, json_type_object))
		return error_set(err, EINVAL, "a port is not an object");
	int r = json_get_string(item, "IP", &ip, err);
	if (r < 0 && r != -ENOENT)
		return r;
	r = read_port(item, "PublicPort", &p.host.first, err);
	if ((r < 0 && r != -ENOENT) || (r = read_port(item, "PrivatePort", &p.inside, err)) < 0 ||
	    (r = read_protocol(item, &p.protocol, err)) < 0)
		return r == -ENOENT ? error_set(err, EINVAL, "a port has no \"PrivatePort\"") : r;
	if (*ip && !port_address_is_valid(ip))
		return error_set(err, EINVAL, "\"%.64s\" is not an IP address", ip);
	p.host.last = p.host.first;
	AUTOFREE char *copy = *ip ? xstrdup(ip) : NULL;
	p.ip = p.host.first ? copy : NULL;
	return docker_ports_add(p.host.first ? bound : exposed, &p, "Ports", err);
}

int docker_ports_from_list(struct json_object *list, struct docker_ports *bound, struct docker_ports *exposed,
    struct error **err)
{
	if (list && !json_object_is_type(list, json_type_array))
		return error_set(err, EINVAL, "\"Ports\" must be an array");
	int r = 0;
	for (size_t i = 0; list && r == 0 && i < json_object_array_length(list); i++)
		r = read_item(json_object_array_get_idx(list, i), bound, exposed, err);
	return r;
}

/* ---- the column ---- */

static int compare(const void *a, const void *b)
{
	const struct docker_port *x = a, *y = b;
	if (x->inside != y->inside)
		return x->inside < y->inside ? -1 : 1;
	int by_address = strcmp(x->ip ? x->ip : "", y->ip ? y->ip : "");
	if (by_address)
		return by_address;
	if (x->host.first != y->host.first)
		return x->host.first < y->host.first ? -1 : 1;
	return (int)x->protocol - (int)y->protocol;
}

/* Ports one after the other, of one address and protocol. */
struct run {
	const struct docker_port *first;
	uint16_t last;
};

static char *format_range(uint16_t first, uint16_t last)
{
	return first == last ? xasprintf("%u", first) : xasprintf("%u-%u", first, last);
}

/* "127.0.0.1:", "[::1]:", or ":" where no address is known; owned. */
static char *format_address(const char *ip)
{
	if (!ip)
		return xstrdup(":");
	return xasprintf(strchr(ip, ':') ? "[%s]:" : "%s:", ip);
}

static void add_run(struct strv *to, const struct run *r)
{
	const struct docker_port *p = r->first;
	AUTOFREE char *range = format_range(p->inside, r->last), *address = format_address(p->ip);
	if (p->host.first)
		strv_addf(to, "%s%s->%s/%s", address, range, range, port_protocol_words[p->protocol]);
	else
		strv_addf(to, "%s/%s", range, port_protocol_words[p->protocol]);
}

static void add_mapping(struct strv *to, const struct docker_port *p)
{
	AUTOFREE char *address = format_address(p->ip);
	strv_addf(to, "%s%u->%u/%s", address, p->host.first, p->inside, port_protocol_words[p->protocol]);
}

static int same_kind(const struct docker_port *a, const struct docker_port *b)
{
	return a->protocol == b->protocol && streq(a->ip, b->ip) && !a->host.first == !b->host.first;
}

/* Adds p to the run of its kind. A run that it does not continue is written down, and begins
 * again. */
static void join(struct run *runs, size_t *count, struct strv *to, const struct docker_port *p)
{
	size_t i = 0;
	while (i < *count && !same_kind(runs[i].first, p))
		i++;
	if (i == *count)
		(*count)++;
	else if (p->inside == runs[i].last + 1) {
		runs[i].last = p->inside;
		return;
	} else
		add_run(to, &runs[i]);
	runs[i] = (struct run){ p, p->inside };
}

char *docker_ports_text(const struct docker_ports *bound, const struct docker_ports *exposed)
{
	AUTO_STRV struct strv all = { 0 }, mappings = { 0 };
	size_t count = 0, run_count = 0, total = bound->count + (exposed ? exposed->count : 0);
	AUTOFREE struct docker_port *sorted = xcalloc(total + 1, sizeof *sorted);
	AUTOFREE struct run *runs = xcalloc(total + 1, sizeof *runs);
	for (size_t i = 0; i < bound->count; i++)
		sorted[count++] = bound->items[i];
	for (size_t i = 0; exposed && i < exposed->count; i++)
		if (!docker_ports_find(bound, &exposed->items[i]))
			sorted[count++] = exposed->items[i];
	qsort(sorted, count, sizeof *sorted, compare);
	for (size_t i = 0; i < count; i++)
		if (sorted[i].host.first && sorted[i].host.first != sorted[i].inside)
			add_mapping(&mappings, &sorted[i]);
		else
			join(runs, &run_count, &all, &sorted[i]);
	for (size_t i = 0; i < run_count; i++)
		add_run(&all, &runs[i]);
	strv_add_all(&all, &mappings);
	return strv_join(&all, ", ");
}
