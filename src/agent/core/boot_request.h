/* SPDX-License-Identifier: Apache-2.0
 * The boot request (docs/agent-api.md) as a structure. Everything in it has been checked: names are
 * usable in passwd(5), paths are absolute and normalized. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/json.h"
#include "base/resolv.h"
#include "base/strv.h"

enum {
	BOOT_SHARES_MAX = 128,
	BOOT_ALIASES_MAX = 8,
	BOOT_PRIVATE_MAX = 32,
	BOOT_GROUPS_MAX = 256,
	BOOT_LAYERS_MAX = 500,
	BOOT_STRINGS_MAX = 4096,
	BOOT_STRING_MAX = 128 * 1024,
};

/* A socket of the host that the agent relays to. */
struct boot_socket {
	uint32_t id; /* the keeper's word for it; 0: the share is no such socket */
	uint32_t mode, uid, gid;
};

struct boot_share {
	char *tag, *inside;
	int is_file; /* of a share server: a directory whose one entry is to be mounted */
	int read_only;
	struct boot_socket socket;
	int events;          /* its server can say what the host changes */
	struct strv aliases; /* other paths of the host's that lead to `inside` there */
	int was_there;       /* its place, where no mount point has a mark: it is the machine's own */
	struct strv private; /* relative places in it on which the machine's own folders are mounted */
};

struct boot_network {
	/* device NULL: none, or set up from outside; host: its loopback, NULL without host access;
	 * outward: its own address towards others, or NULL */
	char *device, *address, *gateway, *address6, *gateway6, *host, *outward;
	uint32_t mtu;
};

/* A group that the user is in on the host, where its number means the same inside. */
struct boot_group {
	char *name;
	uint32_t gid;
};

struct boot_user {
	char *name, *group, *home; /* name NULL: none */
	uint32_t uid, gid;
	int home_shared;
	struct boot_group *groups;
	size_t group_count;
};

struct boot_request {
	char *name, *id, *hostname, *init, *stop_signal, *timezone; /* init NULL: holm's own */
	int rescue, host_access;
	int init_search, init_required; /* look for an init on the machine's own disk; do not do without one */
	struct strv image_env, env, services_env;
	struct boot_user user;
	struct resolv resolv;
	uint64_t realtime_ns;
	/* The root file system: a block device, or an overlay over these directories of the host,
	 * topmost first; root_machine is the one that is written to. One of the two is NULL. */
	char *root_device, *root_machine;
	struct strv root_lower;
	char *modules_device; /* may be NULL */
	uint64_t root_size;
	struct boot_network network;
	struct boot_share *shares;
	size_t share_count;
	struct json_object *source; /* the request itself, for the state file */
};

int boot_request_parse(struct json_object *o, struct boot_request **ret, struct error **err);
void boot_request_free(struct boot_request *b);
DEFINE_CLEANUP(struct boot_request, boot_request_free)
int boot_share_parse(struct json_object *o, struct boot_share *ret, struct error **err);
void boot_share_done(struct boot_share *s);
int resolv_parse(struct json_object *o, struct resolv *ret, struct error **err);
/* Whether s can stand in a field of passwd(5) and as a file name: no control characters, ':', ',',
 * '/', no blank at its ends; not "-x", "+x", "#x", ".", "..". */
int account_name_is_valid(const char *s);
/* Whether s is like "Europe/Oslo": letters, digits, "_+-", parts that are not dots; at most 64
 * bytes. */
int timezone_is_valid(const char *s);
