/* SPDX-License-Identifier: Apache-2.0
 * The messages between the three kinds of processes that make trees: packets on SOCK_SEQPACKET
 * pairs. */
#pragma once

#include <sys/types.h>

#include "image/trees/jobs.h"

enum { TREE_TEXT_MAX = 1024 };

enum tree_word {
	/* To the server: */
	TREE_START,  /* value: the layer */
	TREE_STOP,   /* kill all that still work; answered */
	TREE_EMPTY,  /* value: the layer whose directory is to be emptied; answered */
	TREE_SEARCH, /* answered: value is the index of the program, or -1; extra the number of trees shown */
	/* From a worker: */
	TREE_READ,    /* value: bytes of the blob so far */
	TREE_WAITING, /* it needs those below */
	TREE_DONE,
	TREE_FAILED, /* value: -errno, and text */
	/* To a worker: */
	TREE_GO, /* those below are finished */
};

struct tree_message {
	int32_t word;
	uint32_t extra;
	int64_t value;
	char text[TREE_TEXT_MAX];
};

int tree_send(int socket, enum tree_word word, int64_t value);
/* 1, 0 when the other side is gone, -errno. Blocks. */
int tree_receive(int socket, struct tree_message *ret);

struct tree_server {
	struct tree_jobs *jobs;
	int control[2]; /* ours, the server's */
	int (*ends)[2]; /* of each layer: ours, the worker's; -1 where there is nothing to do */
	pid_t *workers; /* of each layer; the server's */
};

/* The server: root of the mapping; starts a worker for each layer when it is told to, and never
 * returns but at the end of the control socket. */
int tree_server_main(void *server, struct error **err);
/* The worker of one layer: 0 or -errno, after saying so. */
int tree_worker_run(const struct tree_jobs *j, size_t layer, int socket);
