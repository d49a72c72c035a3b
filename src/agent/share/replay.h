/* SPDX-License-Identifier: Apache-2.0
 * Does inside what the host has done to a share (base/share_events.h), so that whoever watches
 * hears of it. */
#pragma once

#include "base/error.h"
#include "base/share_events.h"

struct share_replay {
	struct share_event event;
	char name[SHARE_NAME_MAX + 1], name2[SHARE_NAME_MAX + 1];
};

/* A payload from the server's side: 0, or -EBADMSG: it is no event, or one with a name that is
 * none. */
int share_replay_parse(const void *payload, size_t size, struct share_replay *ret);
/* Carries it out beneath `root`, a descriptor of the share's own root (not O_PATH): 0 or -errno.
 * May block. */
int share_replay_do(int root, const struct share_replay *replay);

struct share_replayer {
	const char *path; /* the share's mount point */
	const char *tag;
	/* SOCK_SEQPACKET: gets events; gives a HELLO with its pid once it can serve, then a DONE
	 * for each event */
	int socket;
};
/* The replayer's process (worker_fn; data: struct share_replayer); ends when the socket does. */
int share_replay_run(int channel, void *data, struct error **err);
