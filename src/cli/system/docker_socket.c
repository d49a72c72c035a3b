/* SPDX-License-Identifier: Apache-2.0
 * `holm system docker-socket`: the service behind holm-docker.socket. systemd listens at one path
 * that never changes; this program accepts, boots the default machine of that moment, and passes
 * the connection itself to the machine's keeper (src/keeper/docker/given.c). So none of its bytes
 * come by here, and the next connection may go to another machine.
 *
 * The connections wait for a boot one after the other: all want the same machine. One that no
 * machine takes gets an answer in Docker's form.
 *
 * What a service starts belongs to it: at its end it stops the machines that it has booted. One
 * that was stopped or started by somebody else since is not its any more. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/accept.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/parse.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/container/api.h"
#include "cli/output.h"
#include "docker/route.h"
#include "http/http.h"

enum {
	FIRST_FD = 3, /* sd_listen_fds(3) */
	FDS_MAX = 16,
	ATTEMPTS = 3,
	BOOTED_MAX = 64,
	GIVE_MS = 10 * 1000,
	REQUEST_MS = 5 * 1000,
	STOP_MS = 30 * 1000,
	PAUSE_MS = 500,
};

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = { API_MACHINE_OPTION, { 0 } };

const struct command_spec command_system_docker_socket = {
	.name = "docker-socket",
	.synopsis = "",
	.summary = "give the connections of systemd's holm-docker.socket to a machine",
	.details = "holm-docker.service runs it. It boots the machine if need be, and makes one where there is none. "
		   "The default machine is the one of the moment of a connection. At its end it stops the machines "
		   "that it has booted.",
	.options = options,
	.run = run,
};

/* ---- signals ---- */

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
	ended = number;
}

/* Blocks them outside of the waits (*ret_open: the mask there), so that none gets lost between. */
static void catch_signals(sigset_t *blocked, sigset_t *ret_open)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };
	const struct sigaction ours = { .sa_handler = on_signal };
	sigemptyset(blocked);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		sigaddset(blocked, numbers[i]);
		sigaction(numbers[i], &ours, NULL);
	}
	sigprocmask(SIG_BLOCK, blocked, ret_open);
	signal(SIGPIPE, SIG_IGN);
}

/* ---- machines that this service has booted ---- */

struct service {
	const struct command_spec *command;
	const struct options *options;
	sigset_t blocked, open; /* the latter while it waits */
	struct {
		char *name;
		int keeper; /* a pidfd */
	} booted[BOOTED_MAX];
	size_t count;
};

static int is_gone(int keeper)
{
	return fd_wait(keeper, POLLIN, 0) != 0;
}

/* Forgets those that ended since. */
static void forget_gone(struct service *s)
{
	size_t kept = 0;
	for (size_t i = 0; i < s->count; i++) {
		if (!is_gone(s->booted[i].keeper)) {
			s->booted[kept++] = s->booted[i];
			continue;
		}
		fd_close(s->booted[i].keeper);
		free(s->booted[i].name);
	}
	s->count = kept;
}

static void note_booted(struct service *s, const char *name)
{
	forget_gone(s);
	int keeper = s->count < BOOTED_MAX ? client_keeper_open(name) : -1;
	if (keeper < 0)
		return;
	s->booted[s->count].name = xstrdup(name);
	s->booted[s->count++].keeper = keeper;
}

static void stop_booted(struct service *s)
{
	forget_gone(s);
	for (size_t i = 0; i < s->count; i++) {
		AUTO_ERROR struct error *err = NULL;
		int r = client_end(s->booted[i].name, STOP_MS, &err);
		if (r < 0)
			output_failure(r, err);
		fd_close(s->booted[i].keeper);
		free(s->booted[i].name);
	}
	s->count = 0;
}

/* ---- one connection ---- */

/* Boots the machine if need be. A signal ends the boot. Keepers are children of this process, and
 * those that have ended are reaped: no other child runs between two boots. */
static int start(struct service *s, const char *name, struct error **err)
{
	int started = 0;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	sigprocmask(SIG_UNBLOCK, &s->blocked, NULL);
	int r = client_start(name, CLIENT_SESSION, 0, &started, err);
	sigprocmask(SIG_BLOCK, &s->blocked, NULL);
	if (r == 0 && started)
		note_booted(s, name);
	return r;
}

/* Passes the connection to the machine's keeper. 0, -EAGAIN: it was not taken, and nothing of it
 * was read; or another -errno and a text. */
static int pass(const char *name, int connection, struct error **err)
{
	AUTO_HTTP_RESPONSE struct http_response response = { .fd = -1 };
	uint64_t deadline = clock_deadline(GIVE_MS);
	char byte;
	AUTO_FD int keeper = client_connect_docker(name, err);
	if (keeper == -ESRCH && machine_is_running(name) == 1)
		return error_set(err, EOPNOTSUPP, "machine \"%s\" runs without containers", name);
	if (keeper < 0)
		return keeper == -ESRCH ? -EAGAIN : keeper;
	int r = http_request(keeper, "POST", "/holm/connections", "holm-connections", NULL, deadline, &response, err);
	if (r == -ENOTCONN || r == -ECONNRESET || r == -EPIPE) { /* it stops, or has stopped */
		error_clear(err);
		return -EAGAIN;
	}
	if (r < 0)
		return r;
	if (fd_send(keeper, &connection, 1) < 0 || fd_wait(keeper, POLLIN, deadline) <= 0 ||
	    read(keeper, &byte, 1) != 1)
		return -EAGAIN;
	return 0;
}

/* Gives the connection to the machine that is meant now. 0, or -errno and a text. */
static int give(struct service *s, int connection, struct error **err)
{
	AUTO_API struct api a = { 0 };
	int r = api_init_or_make(&a, s->command, s->options, err);
	for (int i = 0; r == 0 && i < ATTEMPTS; i++) {
		r = start(s, a.machine, err);
		if (r == 0)
			r = pass(a.machine, connection, err);
		if (r != -EAGAIN)
			return r;
		r = 0; /* it ended in between */
	}
	return r < 0 ? r : error_set(err, EAGAIN, "machine \"%s\" takes no connections; try again", a.machine);
}

/* Reads the request's head, so that the client gets the answer and no reset. Whether it is one that
 * wants no body. */
static int read_head(int connection)
{
	AUTO_BUFFER struct buffer in;
	uint64_t deadline = clock_deadline(REQUEST_MS);
	buffer_init(&in, HTTP_HEAD_MAX);
	while (in.size < HTTP_HEAD_MAX && !memmem(in.data ? in.data : "", in.size, "\r\n\r\n", 4)) {
		if (fd_wait(connection, POLLIN, deadline) <= 0 ||
		    buffer_read(&in, connection, HTTP_HEAD_MAX - in.size) <= 0)
			break;
	}
	return in.size >= 5 && memcmp(in.data, "HEAD ", 5) == 0;
}

static void refuse(int connection, int code, const struct error *why)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	json_add_string(o, "message", error_text(why, code));
	AUTOFREE char *body = json_to_string(o, 0);
	int bare = read_head(connection);
	AUTOFREE char *answer =
	    xasprintf("HTTP/1.1 %d holm\r\n" DOCKER_HEADERS "Connection: close\r\nContent-Type: application/json\r\n"
		      "Content-Length: %zu\r\n\r\n%s",
		error_http_status(-code), strlen(body), bare ? "" : body);
	(void)fd_write_full(connection, answer, strlen(answer));
}

/* Without a descriptor for it the client stays in the backlog for a moment, unless a signal ends
 * that. */
static int accept_client(const sigset_t *open_mask, int listening)
{
	const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000 };
	int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0 && accept_must_wait(errno))
		ppoll(NULL, 0, &pause, open_mask);
	return fd;
}

static void serve(struct service *s, int listening)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_FD int connection = accept_client(&s->open, listening);
	if (connection < 0)
		return; /* its client has gone already, or waits */
	int r = give(s, connection, &err);
	if (r == 0)
		return;
	if (r == -ECANCELED) /* a signal to this program ended the boot */
		ended = SIGTERM;
	else
		output_failure(r, err);
	refuse(connection, r, err);
}

/* ---- systemd ---- */

/* The sockets that systemd passes (sd_listen_fds(3)): how many, or -errno. */
static int take_sockets(struct pollfd *ret, struct error **err)
{
	const char *count_text = getenv("LISTEN_FDS"), *pid_text = getenv("LISTEN_PID");
	uint64_t count = 0, pid = 0;
	if (!count_text || !pid_text || parse_u64(count_text, &count) < 0 || parse_u64(pid_text, &pid) < 0 ||
	    pid != (uint64_t)getpid() || count == 0)
		return error_set(err, EINVAL,
		    "systemd passes no socket; start it with: systemctl --user enable --now holm-docker.socket");
	if (count > FDS_MAX)
		return error_set(err, E2BIG, "systemd passes more than %d sockets", FDS_MAX);
	for (size_t i = 0; i < count; i++) {
		int fd = FIRST_FD + (int)i, type = 0, domain = 0, listens = 0;
		socklen_t size = sizeof(int);
		if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 ||
		    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
		    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0 || domain != AF_UNIX ||
		    type != SOCK_STREAM || !listens)
			return error_set(err, EINVAL,
			    "descriptor %d is no listening Unix stream socket; see "
			    "ListenStream= in systemd.socket(5)",
			    fd);
		fd_set_cloexec(fd, 1);
		fd_set_nonblocking(fd, 1);
		ret[i] = (struct pollfd){ .fd = fd, .events = POLLIN };
	}
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDNAMES");
	return (int)count;
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	struct pollfd sockets[FDS_MAX];
	struct service s = { .command = c, .options = o };
	int count = take_sockets(sockets, &err);
	if (count < 0)
		return output_failure(count, err);
	catch_signals(&s.blocked, &s.open);
	while (!ended) {
		int ready = ppoll(sockets, (nfds_t)count, NULL, &s.open);
		for (int i = 0; ready > 0 && i < count && !ended; i++)
			if (sockets[i].revents)
				serve(&s, sockets[i].fd);
	}
	stop_booted(&s);
	return 0;
}
