/* SPDX-License-Identifier: Apache-2.0
 * An isolation without a machine: its "agent" is an HTTP server in the same process. */
#pragma once

#include "base/buffer.h"
#include "base/strv.h"
#include "http/http.h"
#include "isolation/isolation.h"

enum { FAKE_SESSIONS_MAX = 64 };

struct fake {
	struct loop *loop;
	/* how it behaves */
	uint64_t protocol;                   /* 0: never answers */
	const char *shortage;                /* of the host, or NULL */
	const char *boot_lines;              /* what is sent at once on boot, separated by newlines */
	const struct buffer *session_frames; /* sent by a session; NULL: a word that is no frame */
	/* of a socket inside: -EOPNOTSUPP, or 0: each kind comes at the second question */
	int open_socket_code;
	int start_fails, refuse_share, ignore_stop, takes_connections;
	/* what happened */
	int starts, boots, stops, listenings, kills, sessions, clocks, resolvs, given;
	uint64_t cpus, memory;
	uint64_t stop_timeout_ms;
	int session_fds[FAKE_SESSIONS_MAX];
	char *boot_request, *session_request, *share_request;
	char *dialled; /* the address of the last dial, or NULL: the machine itself */
	int asked_sockets[ISOLATION_SOCKETS];
	int share_events; /* of the share that came last; -1 none */
	/* inside */
	const struct isolation_events *events;
	void *data;
	struct http_server *agent;
	struct transport *transport;
	struct http_exchange *boot, *listening; /* open answers */
	struct source *deferred, *sockets_come;
	int ended;
};

extern const struct isolation_ops fake_isolation;
extern struct fake *fake; /* the one that start() takes */

struct fake *fake_new(struct loop *l);
void fake_free(struct fake *f);
void fake_boot_line(struct fake *f, const char *line);
void fake_listening_line(struct fake *f, const char *line);
void fake_lose_agent(struct fake *f);
void fake_return_agent(struct fake *f);
void fake_end(struct fake *f, int code, const char *why);
int fake_open_to_keeper(struct fake *f); /* a stream from the agent; the agent's end */
