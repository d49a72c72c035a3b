/* SPDX-License-Identifier: Apache-2.0
 * See engine.h. The engine closes a connection after its answer, so each request has its own. A
 * signal to this process ends the wait for an answer. */
#include "image/builder/engine.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/spawn.h"
#include "http/http.h"
#include "image/common/interrupt.h"

enum { ANSWER_MS = 10 * 60 * 1000, CLEAN_MS = 30 * 1000, BOOT_MS = 10 * 60 * 1000, HOST_MAX = 4096, PIECE = 1 << 16 };

struct build_engine {
	char *machine, *socket;
	int ignores_signals;
};

struct build_engine *build_engine_new(const char *machine, const char *socket)
{
	struct build_engine *e = xnew(struct build_engine);
	*e = (struct build_engine){ .machine = xstrdup(machine), .socket = xstrdup(socket) };
	return e;
}

void build_engine_free(struct build_engine *e)
{
	if (!e)
		return;
	free(e->machine);
	free(e->socket);
	free(e);
}

/* ---- the machine ---- */

/* `holm docker-host --start` makes and boots it, and prints its address. */
static int find_socket(struct build_engine *e, struct error **err)
{
	AUTOFREE char *program = path_program("holm"), *output = NULL;
	AUTO_STRV struct strv argv = { 0 };
	strv_add(&argv, program);
	strv_add(&argv, "docker-host");
	strv_add(&argv, "--start");
	if (e->machine)
		strv_addf(&argv, "--machine=%s", e->machine);
	int r = spawn_capture(strv_argv(&argv), HOST_MAX, clock_deadline(BOOT_MS), &output, err);
	if (r != 0)
		return r < 0 ? r : -EIO;
	const char *path = startswith(output, "unix://");
	if (!path)
		return error_set(err, EPROTO, "holm docker-host printed no address");
	e->socket = xstrndup(path, strcspn(path, "\n"));
	return 0;
}

int build_engine_find(struct build_engine *e, struct error **err)
{
	return e->socket ? 0 : find_socket(e, err);
}

static int connect_engine(struct build_engine *e, struct error **err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int r = build_engine_find(e, err);
	if (r < 0)
		return r;
	if (strlen(e->socket) >= sizeof address.sun_path)
		return error_set(err, ENAMETOOLONG, "docker.sock has too long a path");
	memcpy(address.sun_path, e->socket, strlen(e->socket) + 1);
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (void *)&address, sizeof address) < 0)
		return error_set_errno(err, errno, "cannot reach the machine's containers at %s", e->socket);
	return TAKE_FD(fd);
}

/* ---- answers ---- */

/* Waits for bytes, or for a signal to this process. */
static int wait_bytes(const struct build_engine *e, int fd, uint64_t deadline, struct error **err)
{
	struct pollfd fds[] = { { .fd = fd, .events = POLLIN }, { .fd = interrupt_fd(), .events = POLLIN } };
	for (;;) {
		int n = poll(fds, e->ignores_signals ? 1 : 2, clock_left_ms(deadline));
		if (n == 0)
			return error_set(err, ETIMEDOUT, "the machine's engine does not answer");
		if (n > 0 && fds[0].revents)
			return 0;
		if (n > 0 || (n < 0 && errno == EINTR)) {
			int r = e->ignores_signals ? 0 : interrupt_check(err);
			if (r < 0)
				return r;
		}
	}
}

static int read_answer(const struct build_engine *e, int fd, uint64_t deadline, struct json_object **ret,
    struct error **err)
{
	AUTO_HTTP_RESPONSE struct http_response response = { .fd = -1 };
	int r = wait_bytes(e, fd, deadline, err);
	if (r == 0)
		r = http_answer(fd, deadline, &response, err);
	if (r < 0 || !ret)
		return r;
	return http_response_json(&response, deadline, ret, err);
}

static int request(struct build_engine *e, const char *method, const char *target, struct json_object *body,
    uint64_t deadline, struct json_object **ret, struct error **err)
{
	AUTO_FD int fd = connect_engine(e, err);
	int r = fd < 0 ? fd : http_send_request(fd, method, target, NULL, body, clock_deadline(ANSWER_MS), err);
	return r < 0 ? r : read_answer(e, fd, deadline, ret, err);
}

int build_engine_call(struct build_engine *e, const char *method, const char *target, struct json_object *body,
    struct json_object **ret, struct error **err)
{
	return request(e, method, target, body, clock_deadline(ANSWER_MS), ret, err);
}

void build_engine_delete_all(struct build_engine *e, const struct strv *targets)
{
	uint64_t deadline = clock_deadline(CLEAN_MS);
	AUTOFREE int *fds = xcalloc(targets->count + 1, sizeof *fds);
	e->ignores_signals = 1;
	for (size_t i = 0; i < targets->count; i++)
		fds[i] = e->socket ? build_engine_hold(e, "DELETE", targets->items[i], NULL) : -1;
	for (size_t i = 0; i < targets->count; i++) {
		if (fds[i] >= 0)
			(void)read_answer(e, fds[i], deadline, NULL, NULL);
		fd_close(fds[i]);
	}
	e->ignores_signals = 0;
}

void build_engine_delete(struct build_engine *e, const char *target)
{
	AUTO_STRV struct strv one = { 0 };
	strv_add(&one, target);
	build_engine_delete_all(e, &one);
}

int build_engine_hold(struct build_engine *e, const char *method, const char *target, struct error **err)
{
	AUTO_FD int fd = connect_engine(e, err);
	int r = fd < 0 ? fd : http_send_request(fd, method, target, NULL, NULL, clock_deadline(ANSWER_MS), err);
	return r < 0 ? r : TAKE_FD(fd);
}

int build_engine_upgrade(struct build_engine *e, const char *target, struct error **err)
{
	AUTO_FD int fd = connect_engine(e, err);
	int r = fd < 0 ? fd : http_send_request(fd, "POST", target, "tcp", NULL, clock_deadline(ANSWER_MS), err);
	return r < 0 ? r : TAKE_FD(fd);
}

struct build_stream {
	const struct build_engine *engine;
	int fd, may_wait;
	struct http_response response;
	char piece[PIECE];
};

void build_stream_free(struct build_stream *s)
{
	if (!s)
		return;
	http_response_done(&s->response);
	fd_close(s->fd);
	free(s);
}

struct build_stream *build_engine_open(struct build_engine *e, const char *target, int may_wait, struct error **err)
{
	AUTO_BUILD_STREAM struct build_stream *s = xnew(struct build_stream);
	s->engine = e;
	s->may_wait = may_wait;
	s->response.fd = -1;
	s->fd = connect_engine(e, err);
	int r = s->fd < 0 ? s->fd : http_send_request(s->fd, "GET", target, NULL, NULL, clock_deadline(ANSWER_MS), err);
	if (r == 0)
		r = wait_bytes(e, s->fd, clock_deadline(ANSWER_MS), err);
	if (r == 0)
		r = http_answer(s->fd, clock_deadline(ANSWER_MS), &s->response, err);
	return r == 0 ? TAKE_PTR(s) : NULL;
}

ssize_t build_stream_read(void *stream, const void **ret, struct error **err)
{
	struct build_stream *s = stream;
	uint64_t deadline = s->may_wait ? UINT64_MAX : clock_deadline(ANSWER_MS);
	int r = s->response.early.size || s->response.ended ? interrupt_check(err) :
							      wait_bytes(s->engine, s->fd, deadline, err);
	if (r < 0)
		return r;
	*ret = s->piece;
	return http_response_read(&s->response, s->piece, sizeof s->piece, clock_deadline(ANSWER_MS), err);
}

/* An engine that does not read may not hold the build for ever. */
static int send_bytes(int fd, const char *data, size_t size, uint64_t deadline, struct error **err)
{
	struct pollfd fds[] = { { .fd = fd, .events = POLLOUT }, { .fd = interrupt_fd(), .events = POLLIN } };
	while (size) {
		ssize_t n = send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return error_set_errno(err, errno, "sending files");
		if (n > 0) {
			data += n;
			size -= (size_t)n;
			continue;
		}
		int ready = poll(fds, ARRAY_SIZE(fds), clock_left_ms(deadline)), r = interrupt_check(err);
		if (r < 0)
			return r;
		if (ready == 0)
			return error_set(err, ETIMEDOUT, "the machine's engine does not take files");
	}
	return 0;
}

int build_engine_put(struct build_engine *e, const char *target, const void *data, size_t size, struct error **err)
{
	AUTOFREE char *head = xasprintf("PUT %s HTTP/1.1\r\nHost: docker\r\nContent-Type: application/x-tar\r\n"
					"Content-Length: %zu\r\nConnection: close\r\n\r\n",
	    target, size);
	AUTO_FD int fd = connect_engine(e, err);
	if (fd < 0)
		return fd;
	uint64_t deadline = clock_deadline(ANSWER_MS);
	int r = send_bytes(fd, head, strlen(head), deadline, err);
	if (r == 0)
		r = send_bytes(fd, data, size, deadline, err);
	return r < 0 ? r : read_answer(e, fd, deadline, NULL, err);
}

static int send_chunk(int fd, const char *data, size_t size, struct error **err)
{
	uint64_t deadline = clock_deadline(ANSWER_MS);
	AUTOFREE char *head = xasprintf("%zx\r\n", size);
	int r = send_bytes(fd, head, strlen(head), deadline, err);
	if (r == 0 && size)
		r = send_bytes(fd, data, size, deadline, err);
	return r == 0 ? send_bytes(fd, "\r\n", 2, deadline, err) : r;
}

int build_engine_put_stream(struct build_engine *e, const char *target, tar_source *read, void *data,
    struct error **err)
{
	AUTOFREE char *head = xasprintf("PUT %s HTTP/1.1\r\nHost: docker\r\nContent-Type: application/x-tar\r\n"
					"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
	    target);
	AUTO_FD int fd = connect_engine(e, err);
	if (fd < 0)
		return fd;
	const void *bytes;
	ssize_t n = 0;
	int r = send_bytes(fd, head, strlen(head), clock_deadline(ANSWER_MS), err);
	while (r == 0 && (n = read(data, &bytes, err)) > 0)
		r = send_chunk(fd, bytes, (size_t)n, err);
	if (r == 0)
		r = n < 0 ? (int)n : send_chunk(fd, "", 0, err);
	return r < 0 ? r : read_answer(e, fd, clock_deadline(ANSWER_MS), NULL, err);
}
