/* SPDX-License-Identifier: Apache-2.0
 * The standard streams of a container's or a command's process, and the clients that are attached
 * to them. The process's output goes to `output` (the log) and to each client that wants it, mostly
 * as frames; a slow client holds the process back. The clients' bytes go to its stdin. */
#pragma once

#include "agent/engine/spool.h"
#include "base/loop.h"
#include "docker/frame.h"
#include "docker/keys.h"

struct stdio;

struct stdio_events {
	void (*output)(enum docker_stream stream, const void *data, size_t size, void *data_of_owner); /* may be NULL */
	/* Once: stdout and stderr have ended. */
	void (*ended)(void *data_of_owner);
	void (*input_closed)(void *data_of_owner); /* may be NULL */
};

/* once: the first client's end of input ends the process's. */
struct stdio *stdio_new(struct loop *l, int once, const struct stdio_events *events, void *data);
void stdio_free(struct stdio *s); /* clients are closed once they have what was written for them */
/* Makes the pipes; standard: the process's ends, for the caller to close. 0 or -errno. */
int stdio_open(struct stdio *s, int with_input, int standard[3]);
/* The streams are a terminal's from now on: master is taken. */
void stdio_set_terminal(struct stdio *s, int master);
/* Resizes the terminal, now or when it is there. */
void stdio_resize(struct stdio *s, unsigned rows, unsigned columns);
/* The output goes through this spool (taken), and so outlives the engine. */
void stdio_set_spool(struct stdio *s, struct spool *spool);
struct spool *stdio_spool(const struct stdio *s); /* borrowed, or NULL */
/* The descriptors for process 1 to hold; borrowed, others stay. */
void stdio_descriptors(const struct stdio *s, int fds[static HELD_COUNT]);
/* Takes what an earlier engine had. 0, or -EBADMSG without a spool. */
int stdio_adopt(struct stdio *s, int fds[static HELD_COUNT]);
/* The process runs: bytes move from now on. */
int stdio_run(struct stdio *s);
int stdio_is_over(const struct stdio *s); /* stdout and stderr have ended */
/* Something for the clients from the engine itself. */
void stdio_say(struct stdio *s, enum docker_stream stream, const void *data, size_t size);
/* No process: clients get an end of stream. */
void stdio_give_up(struct stdio *s);

struct stdio_client {
	int fd;           /* taken */
	int in, out, err; /* which streams */
	int raw;          /* its output comes without frames */
	/* of a terminal: keys that take it off, and their number */
	unsigned char keys[DOCKER_KEYS_MAX];
	size_t key_count;
	const struct buffer *first; /* bytes for it in front of the output; borrowed, or NULL */
};
/* early: bytes of stdin that came already. */
int stdio_attach(struct stdio *s, const struct stdio_client *client, const struct buffer *early);
