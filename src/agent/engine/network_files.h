/* SPDX-License-Identifier: Apache-2.0
 * The texts of a container's /etc/hostname, /etc/hosts and /etc/resolv.conf. */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "base/resolv.h"

/* Whether a hostname can stand in these files: letters, digits, "-", "_" and ".", at most 63 bytes
 * (Docker's bound), not "-" or "." first. 0, or -EINVAL and a text. */
int container_hostname_check(const char *hostname, struct error **err);

/* The options of a container that concern names; all checked. */
struct container_names {
	struct resolv resolv; /* --dns, --dns-search, --dns-option; what is empty follows the machine */
	int no_search;        /* --dns-search . */
	struct strv hosts;    /* --add-host, as NAME:ADDRESS */
};
void container_names_done(struct container_names *n);
#define AUTO_CONTAINER_NAMES CLEANUP(container_names_done)
/* Add one value of an option, or of the member of HostConfig that stands for it: 0, -EINVAL, or
 * -E2BIG for too many, each with a text. --add-host: NAME:ADDRESS or NAME=ADDRESS; an IPv6 address
 * may have brackets; the address may be "host-gateway". */
int container_names_add_dns(struct container_names *n, const char *value, struct error **err);
int container_names_add_search(struct container_names *n, const char *value, struct error **err);
int container_names_add_option(struct container_names *n, const char *value, struct error **err);
int container_names_add_host(struct container_names *n, const char *value, struct error **err);
/* Adds the members Dns, DnsSearch, DnsOptions and ExtraHosts of a HostConfig (NULL: none); null is
 * an empty list. 0, or as above; -EINVAL also for another type. */
int container_names_read(struct container_names *n, struct json_object *host_config, struct error **err);

/* The text of resolv.conf: the options' words, and else the machine's. A network namespace of its
 * own puts the machine's servers on the loopback out of reach: they are left out, and if no other
 * is left, those of `outer` (the boot request's) are taken. Owned. */
char *container_resolv_text(const struct container_names *n, const struct resolv *machine, const struct resolv *outer,
    int own_namespace);

/* The same for a container with a resolver of its own (resolver.h), which knows the servers. */
char *container_resolv_own(const struct container_names *n, const struct resolv *machine);

/* The addresses in hosts, as text. Everything is borrowed. */
struct container_hosts {
	const char *hostname;     /* NULL: none */
	const char *address;      /* the container's on the bridge; NULL: its name is on the loopback */
	const char *host_gateway; /* the host's, for host-gateway; NULL: it is out of reach */
	const char *host_names;   /* the host's there, or NULL */
	const char *machine;      /* the machine's /etc/hosts, where the network is its own; else NULL */
	const struct strv *lines; /* more of them, for other networks; NULL: none */
};
/* The text of hosts: --add-host, then what each machine has, then the container itself, then
 * host.docker.internal, host.containers.internal and host.holm.internal if the host is in reach;
 * the resolver takes the first. 0 and an owned text; -EINVAL and a text for host-gateway without
 * one. */
int container_hosts_text(const struct container_names *n, const struct container_hosts *h, char **ret,
    struct error **err);
