/* SPDX-License-Identifier: Apache-2.0
 * One SSH connection (RFC 4251-4254) on standard streams, and its channels. */
#pragma once

#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h>
#include <stdint.h>

#include "base/error.h"
#include "base/loop.h"
#include "machine/machine.h"

enum {
	CHANNELS_MAX = 256,
	TURN_BYTES = 256 * 1024,    /* of one channel, given to libssh in one turn of the loop */
	HELD_MAX = 4 * 1024 * 1024, /* of one channel's input, in libssh; its window is smaller */
	WAITING_MAX = 1024,         /* global requests; ssh sends those of all its -R at once */
};

enum connection_phase { PHASE_KEY_EXCHANGE, PHASE_LOGIN, PHASE_OPEN };

struct forward;
struct remote;
struct session;
struct pump;

struct connection {
	const char *machine;
	const struct machine *settings; /* NULL: they could not be read */
	struct loop *loop;
	struct pump *pump;
	ssh_bind bind;
	ssh_session ssh;
	ssh_event event;
	int fd; /* libssh's socket; libssh closes it */
	struct source *io, *login_timer, *turn;
	enum connection_phase phase;
	char *user; /* the name that the client logs in with; NULL before */
	struct session *sessions;
	struct forward *forwards;
	size_t channels;                             /* of both, and those that the client has not closed yet */
	struct ssh_channel_callbacks_struct leaving; /* of the latter */
	struct remote *remotes;
	int answering;                    /* a global request has no answer yet, and those behind it wait */
	ssh_message waiting[WAITING_MAX]; /* they */
	size_t waiting_count;
	unsigned unsent_reads; /* how often libssh has read since it has something left to send */
	int delivered;         /* the pump has ended */
	struct error *failure;
};

/* Serves stdin and stdout until the client has gone. key: of the host, borrowed. 0 or -errno. */
int connection_run(const char *machine, const struct machine *settings, ssh_key key, struct error **err);
/* Ends the connection; text: what the client did. */
void connection_fail(struct connection *c, const char *text);
/* Closes and releases a channel, after which nothing of the caller's is called. is_closed: by the
 * client. */
void connection_leave_channel(struct connection *c, ssh_channel channel, int is_closed);
/* Has each channel looked at once more in this turn of the loop. */
void connection_wake(struct connection *c);
/* Whether libssh has sent what it was given, and takes more. */
int connection_takes_output(const struct connection *c);
