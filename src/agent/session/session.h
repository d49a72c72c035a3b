/* SPDX-License-Identifier: Apache-2.0
 * Sessions: the part of them that lives in the agent. session.c has their life, io.c moves the
 * bytes, child.c is the process inside. */
#pragma once

#include "agent/core/agent.h"
#include "agent/session/request.h"
#include "base/buffer.h"

enum { SESSION_OUT_FULL = 256 * 1024, SESSION_READ = 32 * 1024, SESSION_DRAIN_MS = 1000, SESSION_MARK = 16 };

struct session_output {
	int fd;                /* -1: ended */
	struct source *source; /* NULL when nobody writes any more: then it is read whenever there is room */
	int64_t left;          /* after the process has ended: what was in the pipe then; -1 before */
};

void session_handle(struct http_exchange *x, void *agent);

/* The end of a terminal's output: digits that the agent writes behind it when the process has
 * ended. */
struct session_mark {
	char digits[SESSION_MARK], held[SESSION_MARK]; /* held: the last bytes, which may be their beginning */
	size_t size, held_size;                        /* size 0: none */
};

struct session_agent; /* the relayed ssh-agent (ssh_agent.c) */

struct session {
	struct agent *agent;
	struct session *next;
	uint64_t number;
	struct session_request *request;
	struct http_exchange *exchange; /* of a detached session, until it is answered */
	int machine;                    /* pidfd to join, -1 in tests */

	struct session_mark mark;
	int stream; /* the client's frames; -1: gone */
	struct source *stream_source;
	struct buffer in, out;
	int stream_ended; /* the last frame is in out */

	int channel; /* messages of the child until it runs the command */
	struct source *channel_source;
	pid_t helper, pid; /* pid 0: not known yet, or reaped */
	struct source *helper_source, *child_source;
	uint32_t uid;
	int64_t inside_pid;     /* 0: not there yet */
	uint64_t early_signals; /* bits of those that came before the command was there */
	int running;            /* the command was executed */
	char *error;            /* why it was not */
	int error_status;

	int input; /* stdin pipe or the terminal's master; -1: closed */
	struct source *input_source;
	struct buffer input_buffer;
	int input_ended;          /* the client sends no more */
	struct source *eof_timer; /* sends the end of input to a terminal again */
	uint64_t eof_wait_ms;
	struct session_output outputs[2]; /* stdout, stderr; with a terminal only [0], which is `input` too */
	int child_ends[3];
	int exited, status;
	struct source *drain_timer;
	struct session_agent *ssh;
};

/* Starts a session on a connected, upgraded stream (taken, -1 for a detached one). machine: pidfd
 * (borrowed) or -1. early: moved. */
int session_start(struct agent *a, struct session_request *q /* taken */, int machine, int stream, struct buffer *early,
    struct http_exchange *x);
void session_free(struct session *s);
void session_finish_if_done(struct session *s); /* may free s */
void session_signal(struct session *s, int number);

/* io.c; all may free s by way of session_finish_if_done */
int session_io_start(struct session *s);   /* the command runs: watch its descriptors */
void session_io_frames(struct session *s); /* handles what is in `in` */
void session_io_drain(struct session *s);  /* the process has ended: what it left in the pipes, no more */
void session_io_update(struct session *s); /* writes what can be written; sets what is watched */
void session_io_close_input(struct session *s);
void session_io_stream_lost(struct session *s); /* the client is gone */

/* ssh_agent.c */
void session_agent_start(struct session *s, int listening); /* taken */
void session_agent_free(struct session_agent *o);
