/* SPDX-License-Identifier: Apache-2.0
 * The ledger: the state of all requests that a dying worker leaves to the next one. It holds each
 * queue's position, the requests that were taken and not answered, and the progress of each. The
 * file tables (inode.c, handle.c) outlive a worker in the same way. */
#pragma once

#include <stdint.h>

#include "fsd/files/inode.h"

enum { LEDGER_QUEUES = 2, LEDGER_FLIGHTS = 1024 };

/* A request under way. */
struct flight {
	uint64_t order; /* number in the order of taking; 0: an unused record */
	uint32_t attempts;
	/* Its progress. request_undo() undoes handle and seen before the next attempt. */
	uint32_t begun;        /* its change may have been made */
	int64_t since_ns;      /* the host's time when it began */
	uint64_t handle;       /* id of the handle that it opened; 0: none */
	uint64_t seen;         /* node id of the lookup that it counted; 0: none */
	int64_t size;          /* of the file before an append, bytes */
	struct file_id ids[2]; /* the files under the names that it removes or moves */
	int32_t found[2];
};

struct ledger_queue {
	uint64_t count;                        /* requests taken; modulo 65536 the next index of the available ring */
	uint16_t used;                         /* the used ring's index, as the device wrote it */
	uint16_t pushing;                      /* the request whose reply is being pushed */
	uint32_t running;                      /* 1 while the queue is started: taken requests are to be answered */
	struct flight flights[LEDGER_FLIGHTS]; /* by the chain's first descriptor */
};

struct ledger {
	struct ledger_queue queues[LEDGER_QUEUES];
};

/* Maps an empty ledger; NULL when memory is short. For ledger_free(). */
struct ledger *ledger_new(void);
void ledger_free(struct ledger *l);
