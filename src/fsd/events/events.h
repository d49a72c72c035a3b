/* SPDX-License-Identifier: Apache-2.0
 * Events: reports the host's changes to files that a program inside watches. The connection leads
 * to the agent inside and speaks base/share_events.h. The agent sends the watches. The server sends
 * one event at a time, which is "armed" then: the replayer, a process inside, makes the same change
 * again, and the server answers that one operation without touching the host (replay.h). So the
 * guest's own kernel raises the event. */
#pragma once

#include "base/loop.h"
#include "fsd/events/watch.h"

enum {
	EVENT_TIMEOUT_MS = 2000, /* the longest replay of one event */
	EVENT_REPEAT_MS = 50,    /* the least time between two reports of the same state of the same file */
	EVENT_PAST = 64,         /* files and states whose last report is remembered */
};

/* The event that is being replayed. */
struct armed {
	struct event *event; /* NULL: none */
	uint64_t token, until_ms;
	int used;          /* the replayer's operation has been answered */
	int shown;         /* a LOOKUP has shown the replayer the file that is gone */
	uint32_t type;     /* S_IFMT bits: SHARE_CREATE, SHARE_REMOVE */
	struct file_id id; /* SHARE_MODIFY, _ATTRIB, _CLOSE_WRITE: the file */
	uint64_t file; /* SHARE_REMOVE, _RENAME: node id of the file that had the name; 0: the guest does not know it */
	uint64_t replaced; /* SHARE_RENAME: node id of the file that had the new name */
};

struct events {
	struct loop *loop;
	struct share *share;
	struct share_observer observer;
	int socket; /* borrowed */
	struct source *socket_source, *watch_source, *timer;
	int blocked;   /* the socket is full: payloads wait until it is writable */
	int resetting; /* SHARE_RESET is still to be sent */
	struct watch_table watches;
	struct event_queue queue;
	struct armed armed;
	/* token of the last event that was sent without a DONE; 0: none. After a takeover the token
	 * is not known, and any other value stands for "perhaps one" */
	uint64_t owed;
	struct {
		uint64_t what, at_ms;
	} past[EVENT_PAST];
	int said_full;
};

/* socket (borrowed; SOCK_SEQPACKET) leads to the agent. The events observe s while a replayer
 * exists. 0 or -errno. */
int events_new(struct loop *l, struct share *s, int socket, struct events **ret);
void events_free(struct events *e);
DEFINE_CLEANUP(struct events, events_free)
/* Handles one payload from the agent. The content is untrusted. */
void events_receive(struct events *e, const void *payload, size_t size);
/* Makes the loop do what is due in its next turn. */
void events_wake(struct events *e);
/* Queues an event and takes it. */
void events_add(struct events *e, struct event *event);
