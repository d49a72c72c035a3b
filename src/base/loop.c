/* SPDX-License-Identifier: Apache-2.0
 * epoll for descriptors, a list of timers (the nearest bounds epoll_wait), signalfd and pidfd as
 * ordinary descriptors. A source that is freed while events of the same turn are still to be handed
 * out is only marked dead and freed at the end of the turn, so callbacks may free anything. */
#include "base/loop.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"

enum { EVENTS_PER_TURN = 64 };

enum source_kind { SOURCE_IO, SOURCE_TIMER, SOURCE_SIGNAL, SOURCE_CHILD, SOURCE_DEFERRED };

struct source {
	struct loop *loop;
	enum source_kind kind;
	int dead;
	int fd; /* watched; owned for signals and children */
	uint32_t events;
	struct source *pause; /* a timer; NULL: events are watched */
	uint64_t at_ms;       /* timers: when; deferred: the turn */
	pid_t pid;
	int signal_number;
	union {
		loop_io_fn io;
		loop_fn plain;
		loop_signal_fn signal;
		loop_child_fn child;
	} fn;
	void *data;
	struct source *next, *previous; /* the list of its kind: all, or timers and deferred */
};

struct loop {
	int epoll;
	int exiting, exit_code;
	struct source *sources; /* io, signal, child */
	struct source *timers;  /* unsorted: there are few */
	struct source *deferred;
	struct source *graveyard;
	int depth;     /* inside a turn */
	uint64_t turn; /* deferred sources carry the turn that they were added in */
};

int loop_new(struct loop **ret)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret = xnew(struct loop);
	(*ret)->epoll = fd;
	return 0;
}

static struct source **list_of(struct source *s)
{
	if (s->kind == SOURCE_TIMER)
		return &s->loop->timers;
	return s->kind == SOURCE_DEFERRED ? &s->loop->deferred : &s->loop->sources;
}

static void list_add(struct source *s)
{
	struct source **head = list_of(s);
	s->next = *head;
	s->previous = NULL;
	if (*head)
		(*head)->previous = s;
	*head = s;
}

static void list_remove(struct source *s)
{
	if (s->previous)
		s->previous->next = s->next;
	else
		*list_of(s) = s->next;
	if (s->next)
		s->next->previous = s->previous;
}

static void release(struct source *s)
{
	if (s->kind == SOURCE_SIGNAL || s->kind == SOURCE_CHILD)
		fd_close(s->fd);
	free(s);
}

static void bury(struct loop *l)
{
	while (l->graveyard) {
		struct source *s = l->graveyard;
		l->graveyard = s->next;
		release(s);
	}
}

void source_free(struct source *s)
{
	if (!s || s->dead)
		return;
	struct loop *l = s->loop;
	s->dead = 1;
	list_remove(s);
	source_free(s->pause);
	if (s->fd >= 0)
		epoll_ctl(l->epoll, EPOLL_CTL_DEL, s->fd, NULL);
	s->next = l->graveyard;
	l->graveyard = s;
	if (!l->depth)
		bury(l);
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	while (l->sources)
		source_free(l->sources);
	while (l->timers)
		source_free(l->timers);
	while (l->deferred)
		source_free(l->deferred);
	bury(l);
	fd_close(l->epoll);
	free(l);
}

static struct source *source_new(struct loop *l, enum source_kind kind, int fd, void *data)
{
	struct source *s = xnew(struct source);
	s->loop = l;
	s->kind = kind;
	s->fd = fd;
	s->at_ms = UINT64_MAX;
	s->data = data;
	return s;
}

static int watch(struct source *s, uint32_t events, struct source **ret)
{
	struct epoll_event e = { .events = events, .data.ptr = s };
	s->events = events;
	if (epoll_ctl(s->loop->epoll, EPOLL_CTL_ADD, s->fd, &e) < 0) {
		int r = -errno;
		release(s);
		return r;
	}
	list_add(s);
	if (ret)
		*ret = s;
	return 0;
}

int loop_add_io(struct loop *l, int fd, uint32_t events, loop_io_fn fn, void *data, struct source **ret)
{
	struct source *s = source_new(l, SOURCE_IO, fd, data);
	s->fn.io = fn;
	return watch(s, events, ret);
}

static int change(struct source *s, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = s };
	return epoll_ctl(s->loop->epoll, EPOLL_CTL_MOD, s->fd, &e) < 0 ? -errno : 0;
}

int source_set_events(struct source *s, uint32_t events)
{
	s->events = events;
	return s->pause ? 0 : change(s, events);
}

static void on_pause_over(struct source *timer, void *data)
{
	struct source *s = data;
	source_free(TAKE_PTR(s->pause));
	(void)change(s, s->events);
}

void source_pause(struct source *s, uint64_t until_ms)
{
	if (s->pause)
		source_set_timer(s->pause, until_ms);
	else if (loop_add_timer(s->loop, until_ms, on_pause_over, s, &s->pause) == 0)
		(void)change(s, 0);
}

int loop_add_timer(struct loop *l, uint64_t at_ms, loop_fn fn, void *data, struct source **ret)
{
	struct source *s = source_new(l, SOURCE_TIMER, -1, data);
	s->fn.plain = fn;
	s->at_ms = at_ms;
	list_add(s);
	if (ret)
		*ret = s;
	return 0;
}

int source_set_timer(struct source *s, uint64_t at_ms)
{
	s->at_ms = at_ms;
	return 0;
}

int loop_add_deferred(struct loop *l, loop_fn fn, void *data, struct source **ret)
{
	struct source *s = source_new(l, SOURCE_DEFERRED, -1, data);
	s->fn.plain = fn;
	s->at_ms = l->turn;
	list_add(s);
	if (ret)
		*ret = s;
	return 0;
}

int loop_add_signal(struct loop *l, int signal_number, loop_signal_fn fn, void *data, struct source **ret)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, signal_number);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	struct source *s = source_new(l, SOURCE_SIGNAL, fd, data);
	s->signal_number = signal_number;
	s->fn.signal = fn;
	return watch(s, EPOLLIN, ret);
}

int loop_watches_child(const struct loop *l, pid_t pid)
{
	for (const struct source *s = l->sources; s; s = s->next)
		if (s->kind == SOURCE_CHILD && s->pid == pid)
			return 1;
	return 0;
}

int loop_add_child(struct loop *l, pid_t pid, loop_child_fn fn, void *data, struct source **ret)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return -errno;
	fd_set_cloexec(fd, 1);
	struct source *s = source_new(l, SOURCE_CHILD, fd, data);
	s->pid = pid;
	s->fn.child = fn;
	return watch(s, EPOLLIN, ret);
}

static void dispatch_signal(struct source *s)
{
	struct signalfd_siginfo info;
	while (!s->dead && read(s->fd, &info, sizeof info) == sizeof info)
		s->fn.signal(s, (int)info.ssi_signo, s->data);
}

static void dispatch_child(struct source *s)
{
	int status = 0;
	pid_t r = waitpid(s->pid, &status, WNOHANG);
	if (r == 0)
		return;
	loop_child_fn fn = s->fn.child;
	void *data = s->data;
	pid_t pid = s->pid;
	/* Stops watching first: the callback often starts the next child. */
	epoll_ctl(s->loop->epoll, EPOLL_CTL_DEL, s->fd, NULL);
	fn(s, pid, r < 0 ? 0 : status, data);
}

static void dispatch(struct source *s, uint32_t events)
{
	if (s->dead)
		return;
	if (s->kind == SOURCE_IO)
		s->fn.io(s, s->fd, events, s->data);
	else if (s->kind == SOURCE_SIGNAL)
		dispatch_signal(s);
	else
		dispatch_child(s);
}

static uint64_t nearest_timer(struct loop *l)
{
	uint64_t at = UINT64_MAX;
	for (struct source *s = l->timers; s; s = s->next)
		at = MIN(at, s->at_ms);
	return at;
}

static int run_timers(struct loop *l)
{
	uint64_t now = clock_now_ms();
	int ran = 0;
	/* A callback may change the list, so the search begins again after each. A timer that its
	 * callback arms for a time already past is moved to the next millisecond and so waits for
	 * the next turn. */
	for (struct source *s = l->timers; s;) {
		if (s->at_ms > now) {
			s = s->next;
			continue;
		}
		s->at_ms = UINT64_MAX;
		s->fn.plain(s, s->data);
		if (!s->dead && s->at_ms <= now)
			s->at_ms = now + 1;
		ran = 1;
		s = l->timers;
	}
	return ran;
}

/* Oldest first (new ones go to the front of the list), and only those that were there when the turn
 * began. */
static int run_deferred(struct loop *l)
{
	int ran = 0;
	uint64_t turn = l->turn++;
	for (;;) {
		struct source *oldest = NULL;
		for (struct source *s = l->deferred; s; s = s->next)
			if (s->at_ms <= turn)
				oldest = s;
		if (!oldest)
			return ran;
		oldest->fn.plain(oldest, oldest->data);
		source_free(oldest);
		ran = 1;
	}
}

int loop_step(struct loop *l, uint64_t deadline_ms)
{
	struct epoll_event events[EVENTS_PER_TURN];
	uint64_t until = l->deferred ? 0 : MIN(deadline_ms, nearest_timer(l));
	int n = epoll_wait(l->epoll, events, EVENTS_PER_TURN, clock_left_ms(until));
	if (n < 0 && errno != EINTR)
		return -errno;
	l->depth++;
	for (int i = 0; i < n; i++)
		dispatch(events[i].data.ptr, events[i].events);
	int ran = n > 0;
	ran |= run_timers(l);
	ran |= run_deferred(l);
	if (--l->depth == 0)
		bury(l);
	return ran;
}

int loop_run(struct loop *l)
{
	l->exiting = 0;
	while (!l->exiting) {
		int r = loop_step(l, UINT64_MAX);
		if (r < 0)
			return r;
	}
	return l->exit_code;
}

void loop_exit(struct loop *l, int code)
{
	l->exiting = 1;
	l->exit_code = code;
}
