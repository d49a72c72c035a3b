/* SPDX-License-Identifier: Apache-2.0
 * A timerfd for a time far away is cancelled by the kernel when the wall clock is set
 * (TFD_TIMER_CANCEL_ON_SET; resuming from sleep counts). Where the kernel does not say so,
 * CLOCK_BOOTTIME running ahead of CLOCK_MONOTONIC does: the time spent asleep. */
#include "keeper/agent/clock_watch.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "keeper/keeper_private.h"

enum { CHECK_MS = 30 * 1000, SLEPT_MS = 500 };

struct host_clock {
	struct keeper *keeper;
	int fd;
	struct source *source, *timer;
	int64_t asleep_ms;
};

static int64_t asleep_ms(void)
{
	struct timespec boot, monotonic;
	clock_gettime(CLOCK_BOOTTIME, &boot);
	clock_gettime(CLOCK_MONOTONIC, &monotonic);
	return (boot.tv_sec - monotonic.tv_sec) * 1000 + (boot.tv_nsec - monotonic.tv_nsec) / 1000000;
}

void clock_watch_push(struct host_clock *c, const char *why)
{
	if (!c)
		return;
	struct json_object *body = json_object_new_object();
	log_info("%s: setting the machine's clock", why);
	json_add_i64(body, "realtime_ns", clock_realtime_ns());
	agent_tell(c->keeper, "PUT", "/v1/clock", body);
}

static void arm(struct host_clock *c)
{
	struct itimerspec far = { .it_value.tv_sec = time(NULL) + 10L * 365 * 24 * 3600 };
	timerfd_settime(c->fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL);
}

static void on_timerfd(struct source *s, int fd, uint32_t events, void *data)
{
	struct host_clock *c = data;
	uint64_t ticks;
	if (read(fd, &ticks, sizeof ticks) < 0 && errno == ECANCELED) {
		c->asleep_ms = asleep_ms();
		clock_watch_push(c, "the host's clock was set");
	}
	arm(c);
}

static void on_check(struct source *s, void *data)
{
	struct host_clock *c = data;
	int64_t now = asleep_ms();
	if (now - c->asleep_ms > SLEPT_MS)
		clock_watch_push(c, "the host slept");
	c->asleep_ms = now;
	source_set_timer(s, clock_deadline(CHECK_MS));
}

int clock_watch_new(struct keeper *k, struct host_clock **ret)
{
	struct host_clock *c = xnew(struct host_clock);
	c->keeper = k;
	c->asleep_ms = asleep_ms();
	c->fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (c->fd < 0 || loop_add_io(k->loop, c->fd, EPOLLIN, on_timerfd, c, &c->source) < 0 ||
	    loop_add_timer(k->loop, clock_deadline(CHECK_MS), on_check, c, &c->timer) < 0) {
		clock_watch_free(c);
		return -EIO;
	}
	arm(c);
	*ret = c;
	return 0;
}

void clock_watch_free(struct host_clock *c)
{
	if (!c)
		return;
	source_free(c->source);
	source_free(c->timer);
	fd_close(c->fd);
	free(c);
}
