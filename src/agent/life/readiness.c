/* SPDX-License-Identifier: Apache-2.0
 * systemd opens /run/systemd/private once it takes requests from root; all others reach it by the
 * message bus. Sessions may start when both are there, or without them if that takes long. READY=1
 * on $NOTIFY_SOCKET means that the boot is done. The machine's /run is a tmpfs that the agent has
 * mounted too, so inotify sees the sockets appear. Other inits report nothing; both marks are set
 * at once.
 * */
#include "agent/life/readiness.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/core/machine_run.h"
#include "agent/life/report.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

/* Below the machine's /run. */
#define PRIVATE_SOCKET "systemd/private"
#define BUS_DIRECTORY "dbus"
#define BUS_SOCKET BUS_DIRECTORY "/system_bus_socket"

enum { PRIVATE_WAIT_MS = 10 * 1000, BUS_WAIT_MS = 30 * 1000, DATAGRAM_MAX = 4096 };

struct readiness {
	struct agent *agent;
	int notify, watch;
	int control; /* the control socket was seen */
	struct source *notify_source, *watch_source, *timer;
};

void readiness_free(struct readiness *readiness)
{
	if (!readiness)
		return;
	source_free(readiness->notify_source);
	source_free(readiness->watch_source);
	source_free(readiness->timer);
	fd_close(readiness->notify);
	fd_close(readiness->watch);
	free(readiness);
}

static void stop_watching(struct readiness *readiness)
{
	source_free(TAKE_PTR(readiness->watch_source));
	source_free(TAKE_PTR(readiness->timer));
	fd_close(TAKE_FD(readiness->watch));
}

/* Looks at what is there; sessions may start when it is enough. */
static void look(struct readiness *readiness)
{
	if (!readiness->control && machine_run_exists(PRIVATE_SOCKET)) {
		readiness->control = 1;
		source_set_timer(readiness->timer, clock_deadline(BUS_WAIT_MS));
	}
	if (!readiness->control)
		return;
	if (readiness->agent->init_has_bus) {
		machine_run_watch(readiness->watch, BUS_DIRECTORY, IN_CREATE | IN_MOVED_TO);
		if (!machine_run_exists(BUS_SOCKET))
			return;
	}
	stop_watching(readiness);
	boot_mark_ready(readiness->agent, 0);
}

static void on_watch(struct source *s, int fd, uint32_t events, void *data)
{
	char buffer[4096];
	while (read(fd, buffer, sizeof buffer) > 0)
		;
	look(data);
}

static void on_timer(struct source *s, void *data)
{
	struct readiness *readiness = data;
	log_warning("systemd did not open its %s socket in time", readiness->control ? "bus" : "control");
	stop_watching(readiness);
	boot_mark_ready(readiness->agent, 0);
}

static void on_notify(struct source *s, int fd, uint32_t events, void *data)
{
	struct readiness *readiness = data;
	char text[DATAGRAM_MAX + 1];
	ssize_t n = recv(fd, text, DATAGRAM_MAX, MSG_DONTWAIT);
	if (n <= 0)
		return;
	text[n] = '\0';
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		if (strncmp(line, "READY=1", 7) == 0 && (line[7] == '\n' || line[7] == '\0')) {
			boot_mark_ready(readiness->agent, 0);
			boot_mark_ready(readiness->agent, 1);
			return;
		}
	}
}

void readiness_start(struct agent *a, int notify)
{
	readiness_free(TAKE_PTR(a->readiness));
	if (a->init_kind != INIT_SYSTEMD) {
		fd_close(notify);
		boot_mark_ready(a, 0);
		boot_mark_ready(a, 1);
		return;
	}
	struct readiness *readiness = a->readiness = xnew(struct readiness);
	*readiness =
	    (struct readiness){ .agent = a, .notify = notify, .watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK) };
	if (loop_add_io(a->loop, notify, EPOLLIN, on_notify, readiness, &readiness->notify_source) < 0 ||
	    readiness->watch < 0 || machine_run_watch(readiness->watch, ".", IN_CREATE | IN_MOVED_TO) < 0 ||
	    machine_run_watch(readiness->watch, "systemd", IN_CREATE | IN_MOVED_TO) < 0 ||
	    loop_add_io(a->loop, readiness->watch, EPOLLIN, on_watch, readiness, &readiness->watch_source) < 0)
		log_warning("cannot watch systemd's start: %s", strerror(errno));
	loop_add_timer(a->loop, clock_deadline(PRIVATE_WAIT_MS), on_timer, readiness, &readiness->timer);
	look(readiness);
}
