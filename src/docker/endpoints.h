/* SPDX-License-Identifier: Apache-2.0
 * The networks of a container: NetworkingConfig.EndpointsConfig, HostConfig.NetworkMode and Links
 * and Config.MacAddress of a create body as one list, and the form in which a record keeps it.
 * Pure; clients and records are hostile, so everything is capped here. */
#pragma once

#include <netinet/in.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "base/strv.h"

enum { DOCKER_ENDPOINTS_MAX = 32, DOCKER_ALIASES_MAX = 128, DOCKER_MAC_SIZE = 6, DOCKER_MAC_TEXT = 18 };

/* Of one container on one network. */
struct docker_endpoint {
	char *network;         /* as a client wrote it; of a record: the network's id */
	char *name;            /* the network's, of a record */
	struct strv aliases;   /* of the container on this network */
	struct strv links;     /* "CONTAINER:ALIAS" */
	uint32_t wish;         /* a fixed address, in host byte order; 0: any */
	struct in6_addr wish6; /* a fixed IPv6 address; ::, any */
	int has_mac;           /* a fixed one */
	unsigned char mac[DOCKER_MAC_SIZE];
	int64_t priority; /* the highest has the default route */
	/* of the run, while it lasts */
	int64_t run;              /* when that began, in ns; 0: none */
	uint32_t address;         /* 0: not connected */
	struct in6_addr address6; /* ::, none */
	unsigned interface;       /* N of ethN */
	char *id;                 /* NULL: none */
};

struct docker_endpoints {
	struct docker_endpoint *items;
	size_t count;
};
void docker_endpoint_done(struct docker_endpoint *p);
void docker_endpoints_done(struct docker_endpoints *list);
#define AUTO_DOCKER_ENDPOINT CLEANUP(docker_endpoint_done)
#define AUTO_DOCKER_ENDPOINTS CLEANUP(docker_endpoints_done)

/* Makes the list of a create body; the network of NetworkMode comes first. None of them for
 * the modes none, host and container:X. 0; -EINVAL, -EOPNOTSUPP or -E2BIG and a text. */
int docker_endpoints_of_body(struct docker_endpoints *list, struct json_object *body, struct error **err);
/* Reads one EndpointSettings (NULL: an empty one) of the network `name`. The same results. */
int docker_endpoint_parse(const char *name, struct json_object *o, struct docker_endpoint *ret, struct error **err);
/* Adds one (taken, also when it fails): 0 or -E2BIG. */
int docker_endpoints_add(struct docker_endpoints *list, struct docker_endpoint *p, struct error **err);
void docker_endpoints_remove(struct docker_endpoints *list, size_t at);

/* For a record: an array, owned; and the way back: 0 or -EBADMSG. NULL is an empty array. */
struct json_object *docker_endpoints_store(const struct docker_endpoints *list);
int docker_endpoints_load(struct docker_endpoints *list, struct json_object *array, struct error **err);

/* "02:42:ac:11:00:02": 0, or -EINVAL, also for an address of several (RFC 9542, 2.1). */
int docker_mac_parse(const char *text, unsigned char ret[static DOCKER_MAC_SIZE]);
void docker_mac_format(const unsigned char mac[static DOCKER_MAC_SIZE], char ret[static DOCKER_MAC_TEXT]);
int docker_is_alias(const char *text); /* a name for lookups and /etc/hosts */
