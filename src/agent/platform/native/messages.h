/* SPDX-License-Identifier: Apache-2.0
 * The keeper's messages to the agent on the control socket (docs/native.md), as structures. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "base/strv.h"
#include "idmap/idmap.h"

enum { NATIVE_HIDDEN_MAX = 256, NATIVE_SHARES_MAX = 256 };

struct native_go {
	struct idmap ids; /* of the outer user namespace; without the user's own */
	int delegated;
	int socketcall; /* 32-bit programs may open sockets by socketcall(2) */
	char *crun;
	char *address, *gateway; /* of the machine: "10.77.0.2/24", "10.77.0.1"; NULL: none */
	char *address6, *gateway6;
	uint64_t cpus; /* 0: all */
};

struct native_share {
	char *tag, *host; /* host: absolute and normalized */
	int read_only;
	struct strv hidden; /* normalized paths below host */
	/* path_identity() of each when the keeper looked */
	struct strv hidden_ids;
};

/* The value of "go". */
int native_go_parse(struct json_object *o, struct native_go *ret, struct error **err);
void native_go_done(struct native_go *g);
/* The value of "share". */
int native_share_parse(struct json_object *o, struct native_share *ret, struct error **err);
void native_share_done(struct native_share *s);
