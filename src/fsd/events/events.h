/* SPDX-License-Identifier: Apache-2.0
 * Telling the guest what happens on the host to files that somebody inside watches: a connection to
 * the agent inside, in the words of base/share_events.h. The agent says what is watched; it is told
 * of one event at a time, which is "armed" then: a process inside, the replayer, does the same once
 * more, and that one operation is answered without touching the host (replay.h), so that the
 * guest's own kernel tells whoever watches. */
#pragma once

#include "base/loop.h"
#include "fsd/events/watch.h"

enum {
	EVENT_TIMEOUT_MS = 2000, /* for the replay of one event */
	EVENT_REPEAT_MS = 50,    /* between two of the same state of the same file */
	EVENT_PAST = 64,         /* events that this is known of */
};

/* The event that is being replayed. */
struct armed {
	struct event *event; /* NULL: none */
	uint64_t token, until_ms;
	int used;          /* the operation has come */
	int shown;         /* the replayer was shown what is not there any more */
	uint32_t type;     /* S_IFMT bits: SHARE_CREATE, SHARE_REMOVE */
	struct file_id id; /* SHARE_MODIFY, _ATTRIB, _CLOSE_WRITE: the file */
	uint64_t file;     /* SHARE_REMOVE, _RENAME: the node id of what had the name; 0: not known to the guest */
	uint64_t replaced; /* SHARE_RENAME: of what had the new name */
};

struct events {
	struct loop *loop;
	struct share *share;
	struct share_observer observer;
	int socket; /* borrowed */
	struct source *socket_source, *watch_source, *timer;
	int blocked;   /* the socket is full; what is to be said waits until it is writable */
	int resetting; /* that nothing is known has still to be said */
	struct watch_table watches;
	struct event_queue queue;
	struct armed armed;
	/* token of what the replayer was told last and did not say that it has done; 0: nothing.
	 * Anything else: perhaps something */
	uint64_t owed;
	struct {
		uint64_t what, at_ms;
	} past[EVENT_PAST];
	int said_full;
};

/* socket (borrowed; SOCK_SEQPACKET) leads to the agent. Becomes s->observer while a replayer
 * exists. 0 or -errno. */
int events_new(struct loop *l, struct share *s, int socket, struct events **ret);
void events_free(struct events *e);
DEFINE_CLEANUP(struct events, events_free)
/* One payload from the agent, of any content. */
void events_receive(struct events *e, const void *payload, size_t size);
/* Something has changed: goes on in the loop's turn. */
void events_wake(struct events *e);
/* Another event; taken. */
void events_add(struct events *e, struct event *event);
