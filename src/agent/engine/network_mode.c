/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/engine/network_mode.h"

#include <errno.h>
#include <stddef.h>

#define PREFIX "container:"

/* The modes by name. `default` is Docker's word of a request without any. */
static const struct mode {
	const char *word;
	struct network_plan plan;
} modes[] = {
	{ "bridge", { .kind = NETWORK_BRIDGE,
			.mode = "bridge",
			.own_namespace = 1,
			.has_interface = 1,
			.own_files = 1,
			.ports = NETWORK_PORTS_CONTAINER } },
	{ "none", { .kind = NETWORK_NONE,
		      .mode = "none",
		      .own_namespace = 1,
		      .own_files = 1,
		      .ports = NETWORK_PORTS_NONE,
		      .warning = "Published ports are discarded when using no network" } },
	{ "host", { .kind = NETWORK_HOST,
		      .mode = "host",
		      .own_files = 1,
		      .ports = NETWORK_PORTS_NONE,
		      .warning = "Published ports are discarded when using host network mode" } },
};

/* Options that have no place where another container's network is used. */
static const struct conflict {
	size_t member;
	const char *what, *option;
} conflicts[] = {
	{ offsetof(struct network_wish, has_hostname), "hostname", "--hostname" },
	{ offsetof(struct network_wish, has_dns), "dns", "--dns, --dns-search and --dns-option" },
	{ offsetof(struct network_wish, has_hosts), "custom host-to-IP mapping", "--add-host" },
	{ offsetof(struct network_wish, publishes), "port publishing", "--publish" },
	{ offsetof(struct network_wish, exposes), "port exposing", "--expose" },
};

static int join_container(const struct network_wish *w, struct network_plan *ret, struct error **err)
{
	const char *container = w->mode + strlen(PREFIX);
	if (!*container)
		return error_set(err, EINVAL, "network \"%s\": write container:NAME", w->mode);
	for (size_t i = 0; i < ARRAY_SIZE(conflicts); i++) {
		const struct conflict *c = &conflicts[i];
		if (*(const int *)((const char *)w + c->member))
			return error_set(err, EINVAL,
			    "network \"%.80s\": conflicting options: %s and the network mode; leave out %s", w->mode,
			    c->what, c->option);
	}
	*ret = (struct network_plan){
		.kind = NETWORK_CONTAINER,
		.mode = w->mode,
		.container = container,
		.ports = NETWORK_PORTS_NONE,
	};
	return 0;
}

int network_decide(const struct network_wish *w, int has_bridge, struct network_plan *ret, struct error **err)
{
	const char *mode = w->mode && *w->mode && !streq(w->mode, "default") ? w->mode : "bridge";
	if (startswith(mode, PREFIX))
		return join_container(w, ret, err);
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		int is_own = w->is_network && modes[i].plan.kind == NETWORK_BRIDGE;
		if (!streq(modes[i].word, mode) && !is_own)
			continue;
		*ret = modes[i].plan;
		ret->mode = is_own ? mode : modes[i].word;
		if (!w->publishes)
			ret->warning = NULL;
		if (ret->kind == NETWORK_BRIDGE && !has_bridge) {
			ret->own_namespace = ret->has_interface = 0;
			ret->ports = NETWORK_PORTS_MACHINE;
		}
		return 0;
	}
	return error_set(err, ENOENT, "network %.80s not found", mode);
}
