/* SPDX-License-Identifier: Apache-2.0
 * `holm machine url NAME [PORT]` and `open`: where a TCP port of a running machine is reached on
 * the host, as a URL. */
#include <errno.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/parse.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/machine/browser.h"
#include "cli/output.h"

enum { ANSWER_MS = 5000 };

static int run_url(const struct command_spec *c, struct options *o);
static int run_open(const struct command_spec *c, struct options *o);

const struct command_spec command_url = {
	.name = "url",
	.synopsis = "NAME [PORT]",
	.summary = "print the URL at which the host reaches a port of a machine",
	.details =
	    "PORT is the port inside, or the host's of a published one. It may be left out if the machine has one "
	    "alone. Ports 443 and 8443 inside give https.",
	.min_arguments = 1,
	.max_arguments = 2,
	.target = TARGET_MACHINE,
	.complete = "machine",
	.run = run_url,
};
const struct command_spec command_open = {
	.name = "open",
	.synopsis = "NAME [PORT]",
	.summary = "open that URL in the browser ($BROWSER, else xdg-open)",
	.details = "Without a browser it prints the URL, as url does, and says so.",
	.min_arguments = 1,
	.max_arguments = 2,
	.target = TARGET_MACHINE,
	.complete = "machine",
	.run = run_open,
};

/* A port of the machine, and an address of the host that leads to it. */
struct way {
	uint64_t inside, host;
	const char *ip; /* borrowed */
	int is_own;     /* the machine's own address */
};

struct ways {
	struct way *items;
	size_t count;
};

static void ways_done(struct ways *w)
{
	free(w->items);
}

static void add_way(struct ways *all, const struct way *w)
{
	all->items = xrealloc(all->items, all->count + 1, sizeof *all->items);
	all->items[all->count++] = *w;
}

/* The machine's own address is before all others, and ::1 behind them. */
static int rank(const struct way *w)
{
	return w->is_own ? 2 : !streq(w->ip, machine_publish_loopback[1]);
}

/* The best way to a port inside, or (inside 0) from a port of the host; NULL: none. */
static const struct way *best(const struct ways *all, uint64_t inside, uint64_t host)
{
	const struct way *found = NULL;
	for (size_t i = 0; i < all->count; i++) {
		const struct way *w = &all->items[i];
		if ((inside ? w->inside == inside : w->host == host) && (!found || rank(w) > rank(found)))
			found = w;
	}
	return found;
}

/* The ports inside, each once. */
static void list_inside(const struct ways *all, struct strv *ret)
{
	for (size_t i = 0; i < all->count; i++) {
		AUTOFREE char *text = xasprintf("%llu", (unsigned long long)all->items[i].inside);
		if (!strv_contains(ret, text))
			strv_take(ret, TAKE_PTR(text));
	}
}

/* Reads the sockets of the keeper's state, which the ways borrow from. */
static void find_ways(struct json_object *state, const char *address, struct ways *ret)
{
	struct json_object *ports = NULL;
	json_get_array(state, "ports", &ports, NULL);
	for (size_t i = 0; ports && i < json_object_array_length(ports); i++) {
		struct json_object *port = json_object_array_get_idx(ports, i);
		struct way w = { .ip = "" };
		const char *protocol = "";
		json_get_string(port, "protocol", &protocol, NULL);
		json_get_string(port, "ip", &w.ip, NULL);
		json_get_u64(port, "host", &w.host, NULL);
		json_get_u64(port, "inside", &w.inside, NULL);
		w.is_own = streq(w.ip, address);
		if (streq(protocol, "tcp"))
			add_way(ret, &w);
	}
}

static char *format_way(const struct way *w)
{
	static const char *const local[] = { "127.0.0.1", "::1", "0.0.0.0", "::" };
	const char *host = w->ip;
	for (size_t i = 0; i < ARRAY_SIZE(local); i++)
		host = streq(w->ip, local[i]) ? "localhost" : host;
	const int is_safe = w->inside == 443 || w->inside == 8443, is_six = strchr(host, ':') != NULL;
	return xasprintf("%s://%s%s%s:%llu/", is_safe ? "https" : "http", is_six ? "[" : "", host, is_six ? "]" : "",
	    (unsigned long long)w->host);
}

static int say_none(const char *name, const struct strv *inside, const char *port, struct error **err)
{
	AUTOFREE char *list = strv_join(inside, ", ");
	if (!inside->count)
		return error_set(err, ENOENT,
		    "machine \"%s\" has no TCP port that the host reaches; start a service inside with auto-ports=on, "
		    "or publish one: holm machine port add -n %s 8080:80",
		    name, name);
	if (port)
		return error_set(err, ENOENT, "machine \"%s\" has no port %s that the host reaches; it has %s", name,
		    port, list);
	return error_set(err, EINVAL, "machine \"%s\" has the ports %s; name one, such as holm machine url %s %s", name,
	    list, name, inside->items[0]);
}

/* The way to the port that is named, by its number inside, then by the host's; or the only one. */
static int choose_way(const char *name, const struct ways *all, const char *port, const struct way **ret,
    struct error **err)
{
	AUTO_STRV struct strv inside = { 0 };
	uint32_t number = 0;
	if (port && (parse_u32(port, &number) < 0 || number < 1 || number > 65535))
		return error_set(err, EINVAL, "port \"%.40s\": give a number from 1 to 65535, such as 8080", port);
	list_inside(all, &inside);
	if (!port && inside.count == 1)
		number = (uint32_t)all->items[0].inside;
	*ret = number ? best(all, number, 0) : NULL;
	if (!*ret && port)
		*ret = best(all, 0, number);
	return *ret ? 0 : say_none(name, &inside, port, err);
}

/* The URL, owned. 0 or -errno. */
static int find_url(struct options *o, char **ret, struct error **err)
{
	AUTO_MACHINE struct machine *m = NULL;
	AUTO_JSON struct json_object *state = NULL;
	CLEANUP(ways_done) struct ways all = { 0 };
	const struct way *way;
	const struct strv *words = options_words(o);
	int r = machine_load(options_target(o), &m, err);
	if (r < 0)
		return r;
	const char *word = client_state_word(m->name, clock_deadline(ANSWER_MS), &state);
	if (!state)
		return error_set(err, ESRCH, "machine \"%s\" is %s; holm machine start %s boots it", m->name, word,
		    m->name);
	find_ways(state, m->address, &all);
	r = choose_way(m->name, &all, words->count ? words->items[0] : NULL, &way, err);
	if (r == 0)
		*ret = format_way(way);
	return r;
}

static int run_url(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *url = NULL;
	int r = find_url(o, &url, &err);
	if (r < 0)
		return output_failure(r, err);
	output_line("%s", url);
	return 0;
}

static int run_open(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *url = NULL;
	int r = find_url(o, &url, &err);
	if (r < 0)
		return output_failure(r, err);
	r = browser_open(url, &err);
	if (r == 0)
		return 0;
	output_line("%s", url);
	if (r == -ENOENT)
		output_note("there is no browser to open this in: set BROWSER, or install xdg-utils");
	return r == -ENOENT ? 0 : output_failure(r, err);
}
