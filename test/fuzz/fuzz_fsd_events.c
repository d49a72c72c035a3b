/* SPDX-License-Identifier: Apache-2.0
 * The host's changes told to a guest that lies: the agent's payloads, the replayer's requests and a
 * host that changes files, in any order. Whatever the replayer asks for, the host's files stay as
 * they are. */
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../unit/folder.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "fsd/events/events.h"
#include "fsd/events/replayer.h"
#include "fsd/request/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { REPLAYER = 501, KNOWN = 8, OUT_MAX = 8192 };

static const char *const names[] = { "a", "b", "d", "d/a", "d/b", "d/h", "d/c", "l" };

struct world {
	struct share share;
	struct loop *loop;
	struct events *events;
	int directory, agent, served;
	uint64_t nodes[KNOWN], handle;
	unsigned node_count;
	struct share_event event; /* told last */
	char name[SHARE_NAME_MAX + 1], name2[SHARE_NAME_MAX + 1];
};

/* All that a change would show in. */
static uint64_t fingerprint(struct world *w)
{
	uint64_t sum = 0;
	for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
		struct stat st = { 0 };
		(void)fstatat(w->directory, names[n], &st, AT_SYMLINK_NOFOLLOW);
		uint64_t parts[] = { st.st_ino, st.st_mode, st.st_nlink, (uint64_t)st.st_size,
			(uint64_t)st.st_ctim.tv_nsec, (uint64_t)st.st_ctim.tv_sec };
		for (size_t p = 0; p < ARRAY_SIZE(parts); p++)
			sum = (sum ^ parts[p]) * 0x100000001b3ULL;
	}
	return sum;
}

static void start(struct world *w, int read_only, char *path)
{
	struct share_settings settings = {
		.read_only = read_only,
		.inside_uid = 1000,
		.inside_gid = 1000,
		.host_uid = geteuid(),
		.host_gid = getegid(),
		.max_inodes = 100,
		.max_fds = 32,
		.proc_prefix = "/proc/self/fd/",
	};
	int pair[2];
	w->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mkdirat(w->directory, "d", 0755) < 0 || mkdirat(w->directory, "d/h", 0755) < 0 ||
	    symlinkat("/etc", w->directory, "l") < 0 ||
	    share_init(&w->share, &settings, open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), NULL) < 0 ||
	    loop_new(&w->loop) < 0 || fd_socketpair(SOCK_SEQPACKET, pair) < 0 ||
	    events_new(w->loop, &w->share, pair[1], &w->events) < 0)
		abort();
	w->agent = pair[0];
	w->served = pair[1];
	AUTO_STRV struct strv hidden = { 0 };
	strv_add(&hidden, "d");
	strv_add(&hidden, "h");
	share_hide(&w->share, &hidden, NULL);
	w->share.state->started = 1;
	w->nodes[0] = FUSE_ROOT_ID;
	struct share_hello hello = { .type = SHARE_HELLO, .version = SHARE_EVENTS_VERSION, .pid = REPLAYER };
	struct share_watch watch = { .type = SHARE_WATCH, .mask = IN_ALL_EVENTS, .node = FUSE_ROOT_ID };
	events_receive(w->events, &hello, sizeof hello);
	events_receive(w->events, &watch, sizeof watch);
}

/* Whether something changed that must not. To a guest that starts over nobody is the replayer. */
static void check(struct world *w, uint64_t before)
{
	if ((replayer_is(w->share.state, REPLAYER, 0) || w->share.settings.read_only) && fingerprint(w) != before)
		abort();
}

/* One request. */
static void serve(struct world *w, uint32_t opcode, uint64_t node, const void *body, size_t size, int by_replayer)
{
	struct fuse_in_header h = {
		.len = (uint32_t)(sizeof h + size),
		.opcode = opcode,
		.unique = 1,
		.nodeid = node,
		.pid = by_replayer ? REPLAYER : 0,
	};
	char *in = xmalloc(h.len), *out = xmalloc(OUT_MAX);
	memcpy(in, &h, sizeof h);
	if (size)
		memcpy(in + sizeof h, body, size);
	struct iovec ins = { in, h.len }, outs = { out, OUT_MAX };
	struct request q = { .share = &w->share, .in = &ins, .in_count = 1, .out = &outs, .out_count = 1 };
	request_serve(&q);
	size_t head = sizeof(struct fuse_out_header);
	if (q.written >= head + 8)
		memcpy((opcode == FUSE_OPEN || opcode == FUSE_OPENDIR) ? &w->handle :
									 &w->nodes[++w->node_count % KNOWN],
		    out + head, 8);
	free(in);
	free(out);
}

/* By somebody who cannot change anything anyhow, or by the replayer, who must not. */
static size_t ask(struct world *w, const uint8_t *data, size_t size)
{
	static const uint8_t harmless[] = { FUSE_LOOKUP, FUSE_FORGET, FUSE_GETATTR, FUSE_OPENDIR, FUSE_READDIRPLUS,
		FUSE_RELEASE, FUSE_BATCH_FORGET };
	int by_replayer = !(data[1] & 128);
	size_t body = MIN(size - 4, (size_t)data[3]);
	uint32_t opcode = by_replayer ? data[2] : harmless[data[2] % ARRAY_SIZE(harmless)];
	if (opcode == FUSE_SYNCFS || opcode == FUSE_FSYNC || opcode == FUSE_FSYNCDIR) /* the disk's business */
		return 4 + body;
	char *copy = xmemdup(data + 4, body);
	if ((data[1] & 64) && body >= 8)
		memcpy(copy, &w->handle, 8);
	if ((data[1] & 32) && body >= 8)
		memcpy(copy, &w->nodes[data[1] >> 3 & 3], 8); /* where RENAME has its second directory */
	uint64_t before = fingerprint(w);
	serve(w, opcode, w->nodes[data[1] % KNOWN], copy, body, by_replayer);
	check(w, before);
	free(copy);
	return 4 + body;
}

/* What the event asks for. */
static void replay(struct world *w)
{
	char body[1024] = { 0 };
	size_t head = 0, length = strlen(w->name) + 1, length2 = strlen(w->name2) + 1;
	uint32_t opcode = w->event.operation == SHARE_RENAME ? FUSE_RENAME :
			  w->event.operation == SHARE_REMOVE ? (S_ISDIR(w->event.mode) ? FUSE_RMDIR : FUSE_UNLINK) :
			  S_ISDIR(w->event.mode)             ? FUSE_MKDIR :
			  S_ISLNK(w->event.mode)             ? FUSE_SYMLINK :
							       FUSE_MKNOD;
	if (opcode == FUSE_RENAME)
		memcpy(body, &w->event.node2, head = sizeof(struct fuse_rename_in));
	else if (opcode == FUSE_MKDIR)
		head = sizeof(struct fuse_mkdir_in);
	else if (opcode == FUSE_MKNOD)
		memcpy(body, &w->event.mode, sizeof w->event.mode), head = sizeof(struct fuse_mknod_in);
	memcpy(body + head, w->name, length);
	memcpy(body + head + length, w->name2, length2);
	uint64_t before = fingerprint(w);
	serve(w, FUSE_LOOKUP, w->event.node, w->name, length, 1);
	struct fuse_setattr_in setattr = { .valid = w->event.operation == SHARE_MODIFY ? FATTR_SIZE : FATTR_MODE };
	struct fuse_open_in open_in = { .flags = O_WRONLY };
	uint64_t file = w->nodes[w->node_count % KNOWN];
	if (w->event.operation < SHARE_MODIFY)
		serve(w, opcode, w->event.node, body, head + length + length2, 1);
	else if (w->event.operation == SHARE_CLOSE_WRITE)
		serve(w, FUSE_OPEN, file, &open_in, sizeof open_in, 1);
	else
		serve(w, FUSE_SETATTR, file, &setattr, sizeof setattr, 1);
	check(w, before);
	struct share_done done = { .type = SHARE_DONE, .token = w->event.token };
	events_receive(w->events, &done, sizeof done);
}

/* One payload of the agent's, with a node id or a token that mean something where the input says
 * so. */
static size_t say(struct world *w, const uint8_t *data, size_t size)
{
	size_t length = MIN(size - 3, (size_t)data[2]);
	char *payload = xmemdup(data + 3, length);
	if ((data[1] & 16) && length >= 16)
		memcpy(payload + 8, (data[1] & 32) ? &w->event.token : &w->nodes[data[1] % KNOWN], 8);
	events_receive(w->events, payload, length);
	free(payload);
	return 3 + length;
}

static void change(struct world *w, const uint8_t *data)
{
	const char *name = names[data[1] % ARRAY_SIZE(names)], *other = names[data[2] % ARRAY_SIZE(names)];
	int fd = -1;
	if (streq(name, "d/h") || streq(other, "d/h") || streq(name, "d") || streq(other, "d"))
		return;
	switch (data[1] >> 4 & 7) {
	case 0:
	case 1:
		fd = openat(w->directory, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);
		(void)!write(fd, "text", 1 + data[2] % 4);
		fd_close(fd);
		break;
	case 2:
		(void)mkdirat(w->directory, name, 0755);
		break;
	case 3:
		(void)unlinkat(w->directory, name, 0);
		break;
	case 4:
		(void)unlinkat(w->directory, name, AT_REMOVEDIR);
		break;
	case 5:
		(void)renameat(w->directory, name, w->directory, other);
		break;
	case 6:
		(void)!linkat(w->directory, name, w->directory, other, 0);
		break;
	default:
		(void)mknodat(w->directory, name, S_IFIFO | 0600, 0);
	}
}

/* Takes what the server says, which must be well-formed. */
static void listen_to(struct world *w)
{
	char packet[SHARE_PAYLOAD_MAX];
	memset(w->events->past, 0, sizeof w->events->past); /* no input takes that long */
	while (loop_step(w->loop, 0) > 0)
		;
	for (ssize_t n; (n = recv(w->agent, packet, sizeof packet, MSG_DONTWAIT)) > 0;) {
		if (*packet == SHARE_RESET && n == sizeof(struct share_reset))
			continue;
		if (*packet != SHARE_EVENT || n < (ssize_t)sizeof w->event)
			abort();
		memcpy(&w->event, packet, sizeof w->event);
		if ((size_t)n != sizeof w->event + w->event.size + w->event.size2 || w->event.size > SHARE_NAME_MAX ||
		    w->event.size2 > SHARE_NAME_MAX)
			abort();
		snprintf(w->name, sizeof w->name, "%.*s", (int)w->event.size, packet + sizeof w->event);
		snprintf(w->name2, sizeof w->name2, "%.*s", (int)w->event.size2,
		    packet + sizeof w->event + w->event.size);
		if (streq(w->name, "h") || streq(w->name2, "h")) /* the hidden one */
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	struct world *w = xnew(struct world);
	char *path = folder_new();
	start(w, data[0] & 1, path);
	for (size_t at = 1; size - at >= 4;) {
		switch (data[at] & 3) {
		case 0:
			at += say(w, data + at, size - at);
			break;
		case 1:
			at += ask(w, data + at, size - at);
			break;
		case 2:
			change(w, data + at);
			at += 3;
			break;
		default:
			if (w->event.type)
				replay(w);
			at++;
		}
		listen_to(w);
	}
	if (w->events->watches.count > SHARE_WATCHES_MAX || w->events->queue.count > EVENT_QUEUE_MAX ||
	    w->share.inodes.count > 100)
		abort();
	events_free(w->events);
	loop_free(w->loop);
	share_done(&w->share);
	close(w->agent);
	close(w->served);
	close(w->directory);
	folder_remove(path);
	free(w);
	return 0;
}
