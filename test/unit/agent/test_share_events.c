/* SPDX-License-Identifier: Apache-2.0
 * The agent's side of the events of shares against a keeper that is played here: when the replayer
 * dies, the stream ends or the server says that it knows nothing, all that is watched is told anew.
 * Who watches, what is mounted, and what the replayer does is played, too. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "../folder.h"
#include "agent/core/agent.h"
#include "agent/core/mounts.h"
#include "agent/share/events.h"
#include "agent/share/replay.h"
#include "agent/share/watchers.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"

enum { WAIT_MS = 60 * 1000, WATCHED = 3 };

/* ---- what the agent finds in a machine ---- */

static struct {
	void (*changed)(void *data);
	void *data;
	int nobody;
} watching;

int watchers_new(struct loop *l, void (*changed)(void *data), void *data, struct watchers **ret)
{
	watching.changed = changed;
	watching.data = data;
	*ret = (struct watchers *)&watching;
	return 0;
}

void watchers_add_device(struct watchers *w, uint32_t device)
{
}

void watchers_remove_device(struct watchers *w, uint32_t device)
{
}

/* Nodes 10, 11 and 12 of the first share, 20, 21 and 22 of the second. */
void watchers_collect(const struct watchers *w, uint32_t device, struct watch_list *into)
{
	for (unsigned i = 0; i < WATCHED && !watching.nobody; i++) {
		const struct watch watch = { .node = 10 * device + i, .device = device, .mask = IN_CREATE | IN_DELETE };
		assert_int_equal(watch_list_add(into, &watch, WATCHED), 0);
	}
}

uint32_t mounts_share_device(const char *tag)
{
	return (uint32_t)(tag[strlen(tag) - 1] - '0');
}

/* Answers each event with its operation as the result. */
int share_replay_run(int channel, void *data, struct error **err)
{
	const struct share_replayer *replayer = data;
	const struct share_hello hello = {
		.type = SHARE_HELLO,
		.version = SHARE_EVENTS_VERSION,
		.pid = (uint32_t)getpid(),
	};
	struct share_event event;
	ssize_t n = send(replayer->socket, &hello, sizeof hello, MSG_NOSIGNAL);
	while (n > 0 && recv(replayer->socket, &event, sizeof event, 0) == sizeof event) {
		const struct share_done done = { .type = SHARE_DONE, .result = -event.operation, .token = event.token };
		n = send(replayer->socket, &done, sizeof done, MSG_NOSIGNAL);
	}
	return 0;
}

/* ---- the keeper ---- */

struct stream {
	int fd;
	struct buffer in;
	uint32_t replayer;
};

static struct world {
	struct agent agent; /* which has its share events as long as it lives */
	int listener;
	char *folder;
	struct boot_share shares[2];
	struct stream streams[2];
} world = { .listener = -1, .streams = { { .fd = -1 }, { .fd = -1 } } };

static void step(uint64_t deadline)
{
	assert_true(clock_now_ms() < deadline);
	loop_step(world.agent.loop, clock_deadline(10));
}

/* Reads more of what the agent writes; 0 at its end. */
static int read_more(struct stream *s, uint64_t deadline)
{
	ssize_t n;
	while ((n = buffer_read(&s->in, s->fd, 4096)) == -EAGAIN)
		step(deadline);
	return n > 0;
}

/* Takes the connection that the agent makes next, answers its request, and finds which share it is
 * for: its place in `streams`. */
static size_t accept_stream(void)
{
	static const char answer[] =
	    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: holm-stream\r\n\r\n";
	struct stream s = { .fd = -1 };
	char *end = NULL;
	uint64_t deadline = clock_deadline(WAIT_MS);
	while ((s.fd = accept4(world.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0)
		step(deadline);
	buffer_init(&s.in, 64 * 1024);
	while (!(end = strstr(buffer_string(&s.in), "\r\n\r\n")))
		assert_true(read_more(&s, deadline));
	size_t which = strstr(s.in.data, "POST /v1/share-events?tag=share1 ") ? 0 : 1;
	assert_true(which == 0 || strstr(s.in.data, "POST /v1/share-events?tag=share2 "));
	buffer_consume(&s.in, (size_t)(end + 4 - s.in.data));
	assert_int_equal(fd_write_full(s.fd, answer, strlen(answer)), 0);
	assert_int_equal(world.streams[which].fd, -1);
	world.streams[which] = s;
	return which;
}

static void wait_for_end(uint32_t pid)
{
	for (uint64_t deadline = clock_deadline(WAIT_MS); kill((pid_t)pid, 0) == 0;)
		step(deadline);
	assert_int_equal(errno, ESRCH);
}

/* The agent's next payload, of this type and size. */
static void expect(struct stream *s, uint8_t type, void *ret, size_t size)
{
	const void *payload;
	ssize_t n;
	uint64_t deadline = clock_deadline(WAIT_MS);
	while ((n = share_frame_next(&s->in, &payload)) == 0)
		assert_true(read_more(s, deadline));
	assert_int_equal(n, size);
	memcpy(ret, payload, size);
	assert_int_equal(*(uint8_t *)ret, type);
	share_frame_drop(&s->in, size);
}

/* The start of a connection: who replays, and all that is watched. */
static void expect_all(size_t which)
{
	struct stream *s = &world.streams[which];
	struct share_hello hello;
	struct share_watch watch;
	expect(s, SHARE_HELLO, &hello, sizeof hello);
	s->replayer = hello.pid;
	assert_int_equal(kill((pid_t)hello.pid, 0), 0);
	for (unsigned i = 0; i < WATCHED; i++) {
		expect(s, SHARE_WATCH, &watch, sizeof watch);
		assert_int_equal(watch.node, 10 * (which + 1) + i);
		assert_int_equal(watch.mask, IN_CREATE | IN_DELETE);
	}
}

static void say(struct stream *s, const void *payload, size_t size)
{
	struct buffer out;
	buffer_init(&out, SHARE_PAYLOAD_MAX + 4);
	assert_int_equal(share_frame_append(&out, payload, size), 0);
	assert_int_equal(fd_write_full(s->fd, out.data, out.size), 0);
	buffer_done(&out);
}

static void is_replayed(struct stream *s)
{
	const struct share_event event = { .type = SHARE_EVENT, .operation = SHARE_MODIFY, .token = 77 };
	struct share_done done;
	say(s, &event, sizeof event);
	expect(s, SHARE_DONE, &done, sizeof done);
	assert_int_equal(done.token, 77);
	assert_int_equal(done.result, -SHARE_MODIFY);
}

static void end_stream(struct stream *s)
{
	close(s->fd);
	buffer_done(&s->in);
	s->fd = -1;
}

static int set_up(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	world.folder = folder_new_below("/tmp");
	snprintf(address.sun_path, sizeof address.sun_path, "%s/keeper", world.folder);
	world.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(world.listener, (void *)&address, sizeof address), 0);
	assert_int_equal(listen(world.listener, 4), 0);
	assert_int_equal(loop_new(&world.agent.loop), 0);
	assert_int_equal(transport_unix_new(address.sun_path, &world.agent.to_keeper), 0);
	world.shares[0] = (struct boot_share){ .tag = "share1", .events = 1 };
	world.shares[1] = (struct boot_share){ .tag = "share2", .events = 1 };
	watching.nobody = 1;
	for (size_t i = 0; i < 2; i++)
		share_events_add(&world.agent, &world.shares[i]);
	for (uint64_t deadline = clock_deadline(WAIT_MS); !watching.changed;)
		step(deadline);
	return 0;
}

static int tear_down(void **state)
{
	for (size_t i = 0; i < 2; i++) {
		share_events_remove(&world.agent, world.shares[i].tag);
		wait_for_end(world.streams[i].replayer);
		end_stream(&world.streams[i]);
	}
	while (loop_step(world.agent.loop, 0) > 0) /* a replayer has gone when its channel has ended, too */
		;
	transport_free(world.agent.to_keeper);
	loop_free(world.agent.loop);
	close(world.listener);
	folder_remove(world.folder);
	return 0;
}

/* Both at once, as it takes the agent some seconds to try again. */
static void test_what_was_lost_is_told_again(void **state)
{
	struct stream *first = &world.streams[0], *second = &world.streams[1];
	/* Nothing is told while nothing is watched. */
	watching.changed(watching.data);
	assert_int_equal(accept(world.listener, NULL, NULL), -1);
	watching.nobody = 0;
	watching.changed(watching.data);
	for (size_t i = 0; i < 2; i++)
		expect_all(accept_stream());
	is_replayed(first);
	is_replayed(second);
	/* A new server: the same replayer. */
	const struct share_reset reset = { .type = SHARE_RESET };
	uint32_t before = first->replayer, before_second = second->replayer;
	say(first, &reset, sizeof reset);
	expect_all(0);
	assert_int_equal(first->replayer, before);
	/* A replayer that dies takes its stream along, a stream that ends its replayer. */
	assert_int_equal(kill((pid_t)before, SIGKILL), 0);
	assert_false(read_more(first, clock_deadline(WAIT_MS)));
	end_stream(first);
	end_stream(second);
	for (size_t i = 0; i < 2; i++)
		expect_all(accept_stream());
	assert_int_not_equal(first->replayer, before);
	assert_int_not_equal(second->replayer, before_second);
	wait_for_end(before_second);
	is_replayed(first);
	is_replayed(second);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_what_was_lost_is_told_again) };
	return cmocka_run_group_tests_name("share events", tests, set_up, tear_down);
}
