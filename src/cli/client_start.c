/* SPDX-License-Identifier: Apache-2.0
 * Booting a machine: whoever needs it starts its keeper and then waits for the keeper's word, as
 * everybody else does.
 *
 * Several commands may want the same stopped machine at once. Each tries to connect; where nobody
 * listens it starts a keeper, and the machine's lock decides: one keeper says `ready`, the others
 * say `busy` and end, and their commands connect to the first one's socket as soon as it is there
 * (inotify). The lock may also be held for a moment by rm, clone and the like; so the whole is
 * tried again until the time is up.
 *
 * A stop wins over the starts that began before it (machine_stops()): the keeper refuses to boot,
 * and a command whose boot was stopped does not begin another.
 *
 * A signal during a boot that we began shuts the waiting connection down, which ends the wait; the
 * machine is stopped then. A signal at any other time of a start is found by the next look at
 * `cancelled`. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/spawn.h"
#include "cli/client.h"
#include "cli/output.h"
#include "http/http.h"

enum {
	KEEPER_LINE_MS = 15 * 1000,
	START_ATTEMPTS = 2,
	STOPPING_MS = 60 * 1000,
	CONNECT_MS = 20 * 1000,
	SOCKET_APPEARS_MS = 200,
	BOOT_MS = 15 * 60 * 1000, /* the keeper has limits of its own; this one is for a keeper that hangs */
	INIT_MS = 3 * 60 * 1000,  /* an init may wait for a service for ever */
	CANCEL_STOP_MS = 3000,
	CANCEL_LOOK_MS = 100,
	LINE_MAX_BYTES = 1024,
};

/* ---- signals ---- */

static volatile sig_atomic_t waiting_fd = -1, cancelled;

static void cancel(int signal_number)
{
	cancelled = signal_number;
	if (waiting_fd >= 0)
		shutdown(waiting_fd, SHUT_RDWR);
}

static const int cancelling[] = { SIGINT, SIGTERM, SIGHUP };

static void catch_signals(struct sigaction *old)
{
	struct sigaction ours = { .sa_handler = cancel };
	for (size_t i = 0; i < ARRAY_SIZE(cancelling); i++) {
		sigaction(cancelling[i], NULL, &old[i]);
		if (old[i].sa_handler != SIG_IGN)
			sigaction(cancelling[i], &ours, NULL);
	}
}

static void restore_signals(const struct sigaction *old)
{
	for (size_t i = 0; i < ARRAY_SIZE(cancelling); i++)
		sigaction(cancelling[i], &old[i], NULL);
}

/* ---- a keeper ---- */

enum keeper_word { KEEPER_READY, KEEPER_BUSY };

static int stopped_meanwhile(const char *name, struct error **err)
{
	return error_set(err, EBUSY,
	    "machine \"%s\" was stopped by another command while it was starting; start it again", name);
}

static int understand(const char *name, const char *said, enum keeper_word *ret, struct error **err)
{
	AUTOFREE char *line = xstrndup(said, strcspn(said, "\n"));
	if (streq(line, "ready") || streq(line, "busy")) {
		*ret = streq(line, "ready") ? KEEPER_READY : KEEPER_BUSY;
		return 0;
	}
	const char *text = startswith(line, "error ");
	int stopped = text && startswith(text, "ECANCELED ");
	text = text ? strchr(text, ' ') : NULL;
	if (stopped)
		return stopped_meanwhile(name, err);
	if (text)
		return error_set(err, EIO, "%s", text + 1);
	return error_set(err, EIO,
	    "the keeper of machine \"%s\" ended before it began; see holm machine logs --boot %s", name, name);
}

/* The read end of a pipe whose other end stays open here as long as this process lives. */
static int make_leash(void)
{
	int ends[2], r = fd_pipe(ends);
	return r < 0 ? r : ends[0];
}

/* Starts a keeper, which refuses if there were more stops since, and reads the one line it writes
 * to its descriptor 3. */
static int start_keeper(const char *name, int64_t stops, unsigned flags, enum keeper_word *ret, struct error **err)
{
	AUTO_FD int reading = -1, writing = -1;
	AUTO_BUFFER struct buffer line = { 0 };
	int ends[2], r = fd_pipe(ends);
	if (r < 0)
		return error_set_errno(err, r, "pipe");
	reading = ends[0];
	writing = ends[1];
	AUTOFREE char *program = path_libexec("holm-keeper");
	AUTOFREE char *own_name = xstrdup(name);
	AUTOFREE char *stops_so_far = xasprintf("--stops=%lld", (long long)stops);
	char *argv[] = { program, own_name, stops_so_far, flags & CLIENT_RESCUE ? "--rescue" : NULL, NULL };
	AUTO_FD int leash = flags & CLIENT_RESCUE ? make_leash() : -1;
	struct spawn_fd fds[] = { { .from = writing, .to = 3 }, { .from = leash, .to = 4 } };
	struct spawn_options o = {
		.argv = argv,
		.fds = fds,
		.fd_count = leash < 0 ? 1 : 2,
		.directory = "/",
		.new_session = 1,
	};
	pid_t pid;
	r = spawn(&o, &pid, NULL);
	if (r < 0)
		return error_set(err, -r, "%s: %s; is holm installed completely?", program, strerror(-r));
	fd_close(TAKE_FD(writing));
	uint64_t deadline = clock_deadline(KEEPER_LINE_MS);
	buffer_init(&line, LINE_MAX_BYTES);
	while (line.size < LINE_MAX_BYTES && !memchr(line.data ? line.data : "", '\n', line.size)) {
		r = fd_wait(reading, POLLIN, deadline);
		if (r == 0)
			return error_set(err, ETIMEDOUT, "the keeper of machine \"%s\" does not answer (process %d)",
			    name, (int)pid);
		ssize_t n = r < 0 ? r : buffer_read(&line, reading, LINE_MAX_BYTES - line.size);
		if (n <= 0 && n != -EINTR)
			break;
	}
	AUTOFREE char *text = buffer_take_string(&line);
	r = understand(name, text ? text : "", ret, err);
	/* One that is ending: no zombie for as long as we live. */
	int status;
	if (r < 0 || *ret == KEEPER_BUSY)
		spawn_wait(pid, &status);
	return r;
}

/* A connection to the machine's keeper, which is started where there is none. */
static int connect_or_start(const char *name, int64_t stops, unsigned flags, int *ret_started, struct error **err)
{
	uint64_t deadline = clock_deadline(CONNECT_MS);
	do {
		enum keeper_word word = KEEPER_BUSY;
		int fd = client_connect(name, err);
		if (fd != -ESRCH)
			return fd;
		if (cancelled)
			return -ECANCELED;
		int r = start_keeper(name, stops, flags, &word, err);
		if (r < 0)
			return r;
		*ret_started = word == KEEPER_READY;
		AUTO_FD int watch = *ret_started ? -1 : client_watch_socket(name);
		fd = client_connect(name, err);
		if (fd != -ESRCH)
			return fd;
		if (machine_stops(name) != stops)
			return stopped_meanwhile(name, err);
		if (*ret_started)
			return error_set(err, EIO,
			    "the keeper of machine \"%s\" is gone again; see holm machine logs --boot %s", name, name);
		fd_wait(watch, POLLIN, clock_deadline(SOCKET_APPEARS_MS));
	} while (clock_left_ms(deadline) > 0);
	return error_set(err, EBUSY,
	    "machine \"%s\" is in use by another command, or its socket was deleted; see holm machine ls", name);
}

/* ---- waiting for the boot ---- */

static void show_log(struct json_object *line)
{
	AUTO_STRV struct strv log = { 0 };
	if (json_get_strv(line, "log", &log, NULL) < 0)
		return;
	for (size_t i = 0; i < log.count; i++)
		output_quote(log.items[i]);
}

/* One line of /v1/ready: 1 the machine is there, 0 go on, negative it failed: -ESTALE (no text)
 * when it is on its way down. */
static int handle_line(const char *name, struct json_object *line, int started, struct error **err)
{
	const char *text, *code;
	if (json_get_string(line, "stage", &text, NULL) == 0)
		output_progress("%s: %s ...", name, text);
	/* Said once, by the command that booted it: not again by each session. */
	if (started && json_get_string(line, "warning", &text, NULL) == 0)
		output_note("%s", text);
	if (json_get_string(line, "error", &text, NULL) == 0) {
		if (json_get_string(line, "code", &code, NULL) < 0)
			code = "";
		if (streq(code, "ECANCELED"))
			return -ESTALE; /* somebody stops it */
		show_log(line);
		int timeout = streq(code, "ETIMEDOUT");
		return error_set(err, timeout ? ETIMEDOUT : EIO, "machine \"%s\" did not start: %s", name, text);
	}
	return json_get_string(line, "state", &text, NULL) == 0 && streq(text, "running");
}

static int keeper_gone(const char *name, struct error **err)
{
	return error_set(err, ECONNRESET, "machine \"%s\" ended while it was starting; see holm machine logs --boot %s",
	    name, name);
}

static int wait_ready(const char *name, int fd, enum client_level level, int started, struct error **err)
{
	AUTO_HTTP_RESPONSE struct http_response response = { .fd = -1 };
	AUTO_ERROR struct error *why = NULL;
	uint64_t deadline = clock_deadline(level == CLIENT_INIT ? INIT_MS : BOOT_MS);
	const char *target = level == CLIENT_INIT ? "/v1/ready?level=init" : "/v1/ready?level=session";
	int r = http_request(fd, "GET", target, NULL, NULL, deadline, &response, &why);
	while (r == 0) {
		AUTO_JSON struct json_object *line = NULL;
		r = http_response_line(&response, deadline, &line, &why);
		if (r == 0)
			return keeper_gone(name, err);
		if (r > 0)
			r = handle_line(name, line, started, &why);
	}
	if (r == -ECONNRESET)
		return keeper_gone(name, err);
	if (r == -ETIMEDOUT && level == CLIENT_INIT)
		return error_set(err, ETIMEDOUT,
		    "machine \"%s\" takes commands, but its init has not finished booting after %d s; see holm machine "
		    "logs %s",
		    name, INIT_MS / 1000, name);
	if (why)
		error_set(err, -r, "%s", why->text);
	return r < 0 ? r : 0;
}

/* Waits until nobody holds the machine's lock, a signal comes or STOPPING_MS are over. */
static void wait_stopped(const char *name)
{
	uint64_t deadline = clock_deadline(STOPPING_MS);
	int lock = -EWOULDBLOCK;
	output_progress("%s: waiting until it has stopped ...", name);
	while (lock == -EWOULDBLOCK && !cancelled && clock_left_ms(deadline) > 0)
		lock = machine_lock(name, clock_deadline(CANCEL_LOOK_MS), NULL);
	fd_close(lock);
}

/* A connection to a machine that is there. One that is being stopped, by somebody else or by
 * itself, is waited for and started again, unless somebody stopped it since this command began. */
static int start_and_wait(const char *name, enum client_level level, unsigned flags, int *ret_started,
    struct error **err)
{
	int64_t stops = machine_stops(name);
	for (int i = 0;; i++) {
		AUTO_ERROR struct error *why = NULL;
		AUTO_FD int fd = connect_or_start(name, stops, flags, ret_started, &why);
		int r = fd < 0 ? fd : 0;
		if (r == 0) {
			waiting_fd = fd;
			r = cancelled ? -ECANCELED : wait_ready(name, fd, level, *ret_started, &why);
			waiting_fd = -1;
		}
		if (cancelled)
			return -ECANCELED;
		if (r < 0 && machine_stops(name) != stops)
			return stopped_meanwhile(name, err);
		int again = r == -ESTALE || (r == -ECONNRESET && !*ret_started);
		if (!again || i == START_ATTEMPTS)
			return r < 0 ?
				   error_set(err, -r, "%s",
				       r == -ESTALE ? "the machine is being stopped; try again" : error_text(why, r)) :
				   r;
		wait_stopped(name);
	}
}

int client_start(const char *name, enum client_level level, unsigned flags, int *ret_started, struct error **err)
{
	struct sigaction old[ARRAY_SIZE(cancelling)];
	AUTO_ERROR struct error *why = NULL;
	int started = 0;
	cancelled = 0;
	catch_signals(old);
	int r = start_and_wait(name, level, flags, &started, &why);
	if (cancelled)
		r = -ECANCELED; /* also in the moment after the machine was ready */
	output_progress_clear();
	if (cancelled && started && r < 0) {
		output_progress("%s: stopping ...", name);
		client_end(name, CANCEL_STOP_MS, NULL); /* other commands may want the machine all the same */
		output_progress_clear();
	} else if (started && r < 0) {
		client_wait_gone(name, NULL); /* it ends by itself: then what comes next finds it stopped */
	}
	restore_signals(old);
	if (ret_started)
		*ret_started = started;
	if (r < 0 && cancelled)
		return -ECANCELED;
	return r < 0 ? error_set(err, -r, "%s", error_text(why, r)) : 0;
}

int client_start_failure(int code, const struct error *err)
{
	if (code == -ECANCELED)
		return 128 + (cancelled ? cancelled : SIGINT);
	return output_failure(code, err);
}
