/* SPDX-License-Identifier: Apache-2.0
 * The networks of one container, while it runs and before. */
#pragma once

#include "agent/engine/networks.h"

/* Makes the record's list of what a create body asks for. The body gets the list, too
 * ("HolmNetworks"). 0 or -errno and a text in Docker's words. */
int endpoints_choose(struct engine *e, struct json_object *body, struct record *r, struct error **err);
/* Checks one that a client asks for and names its network by the id: 0 or -errno. */
int endpoint_settle(struct engine *e, struct docker_endpoint *p, struct error **err);

/* A container without any gets that of its network mode. */
int endpoints_restore(struct container *c, struct error **err);
/* The first half of a start: an address on each network. `list` has room for ATTACHMENTS_MAX. 0 and
 * *ret_count, or -errno and a text. */
int endpoints_join(struct container *c, struct attachment *list, size_t *ret_count, struct error **err);
/* One more, of a container that runs. */
int endpoint_join(struct container *c, struct docker_endpoint *p, struct attachment *ret, struct error **err);
void endpoint_leave(struct container *c, struct docker_endpoint *p);
void endpoints_leave(struct container *c); /* all of them; tells the events */
void endpoints_tell(struct container *c);  /* the events of a start */
/* Takes in what the record says of a run that an earlier engine began. */
void endpoints_adopt(struct container *c, uint32_t default_address);
/* Of a container that does not run: what an earlier engine left in its record goes. */
void endpoints_forget(struct container *c);
/* The one with the default route, or NULL; it sets the container's address. */
struct docker_endpoint *endpoints_primary(struct container *c);
struct docker_endpoint *endpoints_primary6(struct container *c); /* that of IPv6, or NULL */
struct attachment endpoint_attachment(const struct docker_endpoint *p, const struct network *n);

/* Lines of /etc/hosts: its addresses on other networks than the first, and the containers that it
 * is linked with on the default bridge. */
void endpoints_hosts(const struct container *c, const char *hostname, struct strv *lines);

/* Whether one of its networks has names, and whether one leads out. */
int endpoints_have_names(const struct container *c);
int endpoints_lead_out(const struct container *c);
void endpoints_save(struct container *c); /* in the record */

int endpoints_match(const struct container *c, const char *wish); /* the filter network=: a name or id */
/* NetworkSettings.Networks, owned. */
struct json_object *endpoints_describe(const struct container *c);
/* The names that a container has on a network: owned by the caller's list. */
void endpoint_names(const struct container *c, const struct docker_endpoint *p, struct strv *to);
