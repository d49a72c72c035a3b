/* SPDX-License-Identifier: Apache-2.0
 * What a worker that dies leaves to the next one about requests: where each queue stands, which
 * requests were taken and not given back, and how far each got. The file tables (inode.c, handle.c)
 * are left in the same way. */
#pragma once

#include <stdint.h>

#include "fsd/files/inode.h"

enum { LEDGER_QUEUES = 2, LEDGER_FLIGHTS = 1024 };

/* A request under way. */
struct flight {
	uint64_t order; /* the number that it was taken as; 0: none */
	uint32_t attempts;
	/* How far it got. What it gave to the guest is taken back before it is carried out
	 * again. */
	uint32_t begun;        /* the change that it asks for may have been made */
	int64_t since_ns;      /* the host's time before that */
	uint64_t handle;       /* an open file that it made, 0 none */
	uint64_t seen;         /* node id of which it counted a lookup, 0 none */
	int64_t size;          /* of the file before an append */
	struct file_id ids[2]; /* what was found under the names that it removes or moves */
	int32_t found[2];
};

struct ledger_queue {
	uint64_t count;   /* its low half is the next index of the available ring; goes up with each request taken */
	uint16_t used;    /* the used ring's index as this side wrote it */
	uint16_t pushing; /* the request that was about to be given back */
	uint32_t running; /* it was not stopped, so what was taken is still to be answered */
	struct flight flights[LEDGER_FLIGHTS]; /* by the chain's first descriptor */
};

struct ledger {
	struct ledger_queue queues[LEDGER_QUEUES];
};

struct ledger *ledger_new(void); /* NULL when there is no memory */
void ledger_free(struct ledger *l);
