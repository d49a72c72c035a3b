/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/engine/network_files.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/buffer.h"

enum { HOSTNAME_MAX = 63, HOSTS_MAX = 1024, MACHINE_TEXT_MAX = 1 << 20, TEXT_MAX = 2 << 20 };

#define GATEWAY "host-gateway"
#define RESOLVER "127.0.0.11" /* RESOLVER_ADDRESS of network.h */

/* ---- options ---- */

static int is_name(const char *s, size_t max)
{
	size_t n = strlen(s);
	return n > 0 && n <= max && *s != '-' && *s != '.' &&
	       strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_") == n;
}

int container_hostname_check(const char *hostname, struct error **err)
{
	if (is_name(hostname, HOSTNAME_MAX))
		return 0;
	return error_set(err, EINVAL, "hostname \"%.80s\": use letters, digits, \"-\", \"_\" and \".\", at most %d",
	    hostname, HOSTNAME_MAX);
}

void container_names_done(struct container_names *n)
{
	resolv_done(&n->resolv);
	strv_done(&n->hosts);
}

static int add_word(struct strv *to, size_t max, const char *option, char *value, struct error **err)
{
	AUTOFREE char *owned = value;
	if (to->count >= max)
		return error_set(err, E2BIG, "%s \"%.80s\": a container can have %zu at most", option, value, max);
	strv_take(to, TAKE_PTR(owned));
	return 0;
}

int container_names_add_dns(struct container_names *n, const char *value, struct error **err)
{
	if (!resolv_server_is_valid(value))
		return error_set(err, EINVAL, "--dns \"%.80s\" is not an IP address", value);
	return add_word(&n->resolv.nameservers, RESOLV_WORDS_MAX, "--dns", xstrdup(value), err);
}

int container_names_add_search(struct container_names *n, const char *value, struct error **err)
{
	if (streq(value, ".")) {
		n->no_search = 1;
		return 0;
	}
	if (!resolv_word_is_valid(value))
		return error_set(err, EINVAL, "--dns-search \"%.80s\" is not a domain; \".\" means none", value);
	return add_word(&n->resolv.search, RESOLV_WORDS_MAX, "--dns-search", xstrdup(value), err);
}

int container_names_add_option(struct container_names *n, const char *value, struct error **err)
{
	if (!resolv_word_is_valid(value))
		return error_set(err, EINVAL, "--dns-option \"%.80s\" is not an option of resolv.conf", value);
	return add_word(&n->resolv.options, RESOLV_WORDS_MAX, "--dns-option", xstrdup(value), err);
}

int container_names_add_host(struct container_names *n, const char *value, struct error **err)
{
	AUTOFREE char *name = xstrdup(value);
	char *address = strpbrk(name, strchr(name, '=') ? "=" : ":");
	if (address)
		*address++ = '\0';
	size_t size = address ? strlen(address) : 0;
	if (size > 2 && address[0] == '[' && address[size - 1] == ']') {
		address[size - 1] = '\0';
		address++;
	}
	if (!address || !is_name(name, UINT8_MAX) || (!streq(address, GATEWAY) && !resolv_server_is_valid(address)))
		return error_set(err, EINVAL,
		    "--add-host \"%.80s\": write NAME:ADDRESS with an IP address or host-gateway", value);
	return add_word(&n->hosts, HOSTS_MAX, "--add-host", xasprintf("%s:%s", name, address), err);
}

static const struct member {
	const char *key;
	int (*add)(struct container_names *n, const char *value, struct error **err);
} members[] = {
	{ "Dns", container_names_add_dns },
	{ "DnsSearch", container_names_add_search },
	{ "DnsOptions", container_names_add_option },
	{ "ExtraHosts", container_names_add_host },
};

static int read_member(struct container_names *n, struct json_object *host_config, const struct member *m,
    struct error **err)
{
	AUTO_STRV struct strv values = { 0 };
	int r = json_get_strv(host_config, m->key, &values, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	for (size_t i = 0; r == 0 && i < values.count; i++)
		r = m->add(n, values.items[i], err);
	return r;
}

int container_names_read(struct container_names *n, struct json_object *host_config, struct error **err)
{
	int r = 0;
	for (size_t i = 0; host_config && r == 0 && i < ARRAY_SIZE(members); i++)
		r = read_member(n, host_config, &members[i], err);
	return r;
}

/* ---- resolv.conf ---- */

static int is_reachable(const char *server, int own_namespace)
{
	return !own_namespace || !resolv_server_is_loopback(server);
}

static void add_reachable(struct strv *to, const struct strv *servers, int own_namespace)
{
	for (size_t i = 0; i < servers->count; i++)
		if (is_reachable(servers->items[i], own_namespace))
			strv_add(to, servers->items[i]);
}

char *container_resolv_text(const struct container_names *n, const struct resolv *machine, const struct resolv *outer,
    int own_namespace)
{
	AUTO_RESOLV struct resolv r = { 0 };
	if (n->resolv.nameservers.count)
		strv_add_all(&r.nameservers, &n->resolv.nameservers);
	else
		add_reachable(&r.nameservers, &machine->nameservers, own_namespace);
	if (!r.nameservers.count)
		add_reachable(&r.nameservers, &outer->nameservers, own_namespace);
	if (!n->no_search)
		strv_add_all(&r.search, n->resolv.search.count ? &n->resolv.search : &machine->search);
	strv_add_all(&r.options, n->resolv.options.count ? &n->resolv.options : &machine->options);
	return resolv_format(&r);
}

char *container_resolv_own(const struct container_names *n, const struct resolv *machine)
{
	AUTO_RESOLV struct resolv r = { 0 };
	int has_dots = 0;
	strv_add(&r.nameservers, RESOLVER);
	if (!n->no_search)
		strv_add_all(&r.search, n->resolv.search.count ? &n->resolv.search : &machine->search);
	strv_add_all(&r.options, n->resolv.options.count ? &n->resolv.options : &machine->options);
	for (size_t i = 0; i < r.options.count; i++)
		has_dots |= startswith(r.options.items[i], "ndots:") != NULL;
	if (!has_dots)
		strv_add(&r.options, "ndots:0");
	return resolv_format(&r);
}

/* ---- hosts ---- */

static const char hosts_default[] = "127.0.0.1\tlocalhost\n"
				    "::1\tlocalhost ip6-localhost ip6-loopback\n"
				    "fe00::\tip6-localnet\n"
				    "ff00::\tip6-mcastprefix\n"
				    "ff02::1\tip6-allnodes\n"
				    "ff02::2\tip6-allrouters\n";

static int append_extra(struct buffer *b, const struct strv *hosts, const char *gateway, struct error **err)
{
	for (size_t i = 0; i < hosts->count; i++) {
		const char *name = hosts->items[i], *address = strchr(name, ':') + 1;
		if (streq(address, GATEWAY))
			address = gateway;
		if (!address)
			return error_set(err, EINVAL,
			    "--add-host \"%.80s\": the machine cannot reach the host; see host-access in "
			    "holm-machine(1)",
			    name);
		buffer_appendf(b, "%s\t%.*s\n", address, (int)strcspn(name, ":"), name);
	}
	return 0;
}

/* A name with a domain is followed by the short one. */
static void append_self(struct buffer *b, const char *address, const char *hostname)
{
	int length = (int)strcspn(hostname, ".");
	if (hostname[length])
		buffer_appendf(b, "%s\t%s %.*s\n", address, hostname, length, hostname);
	else
		buffer_appendf(b, "%s\t%s\n", address, hostname);
}

int container_hosts_text(const struct container_names *n, const struct container_hosts *h, char **ret,
    struct error **err)
{
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, TEXT_MAX);
	int r = append_extra(&b, &n->hosts, h->host_gateway, err);
	if (r < 0)
		return r;
	if (h->machine && strlen(h->machine) > MACHINE_TEXT_MAX)
		return error_set(err, EFBIG, "/etc/hosts of the machine is too large");
	buffer_append_string(&b, h->machine ? h->machine : hosts_default);
	if (b.size && b.data[b.size - 1] != '\n')
		buffer_append_string(&b, "\n");
	if (h->hostname && !h->machine)
		append_self(&b, h->address ? h->address : "127.0.0.1", h->hostname);
	for (size_t i = 0; h->lines && i < h->lines->count; i++)
		buffer_appendf(&b, "%s\n", h->lines->items[i]);
	if (h->host_gateway && h->host_names)
		buffer_appendf(&b, "%s\t%s\n", h->host_gateway, h->host_names);
	*ret = buffer_take_string(&b);
	return 0;
}
