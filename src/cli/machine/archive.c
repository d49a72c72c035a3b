/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/machine/archive.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "cli/client.h"

enum {
	STALL_S = 120, /* no byte moved for so long: given up */
	READ_SIZE = 64 * 1024,
};

static int connect_running(const char *machine, struct error **err)
{
	int fd = client_connect(machine, err);
	if (fd == -ESRCH)
		return error_set(err, ESRCH, "machine \"%s\" stopped just now; try again", machine);
	return fd;
}

static char *make_target(const char *path, const char *query)
{
	AUTOFREE char *encoded = http_encode_query(path);
	return xasprintf("/v1/archive?path=%s%s", encoded, query);
}

int archive_download_begin(struct archive_download *d, const char *machine, const char *path, const char *query,
    struct error **err)
{
	AUTOFREE char *target = make_target(path, query);
	d->fd = connect_running(machine, err);
	if (d->fd < 0)
		return d->fd;
	int r = http_request(d->fd, "GET", target, NULL, NULL, clock_deadline(STALL_S * 1000), &d->response, err);
	return r < 0 ? error_prefix(err, r, "machine \"%s\"", machine) : r;
}

ssize_t archive_download_read(void *download, const void **ret, struct error **err)
{
	struct archive_download *d = download;
	*ret = d->block;
	return http_response_read(&d->response, d->block, sizeof d->block, clock_deadline(STALL_S * 1000), err);
}

void archive_download_done(struct archive_download *d)
{
	http_response_done(&d->response);
	fd_close(d->fd);
	d->fd = -1;
}

int archive_upload_begin_on(struct archive_upload *u, int fd, const char *target, struct error **err)
{
	static const struct timeval limit = { .tv_sec = STALL_S };
	u->fd = fd;
	setsockopt(u->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	/* The body goes out in chunks (RFC 9112 7.1), as its length is not known before. */
	AUTOFREE char *head = xasprintf("PUT %s HTTP/1.1\r\nHost: holm\r\nTransfer-Encoding: chunked\r\nContent-Type: "
					"application/x-tar\r\n\r\n",
	    target);
	int r = fd_write_full(u->fd, head, strlen(head));
	return r < 0 ? error_set_errno(err, r, "sending the archive") : 0;
}

int archive_upload_begin(struct archive_upload *u, const char *machine, const char *path, const char *query,
    struct error **err)
{
	AUTOFREE char *target = make_target(path, query);
	int fd = connect_running(machine, err);
	if (fd < 0)
		return fd;
	int r = archive_upload_begin_on(u, fd, target, err);
	return r < 0 ? error_prefix(err, r, "machine \"%s\"", machine) : 0;
}

int archive_upload_write(void *upload, const void *data, size_t size)
{
	struct archive_upload *u = upload;
	char line[32];
	int length = snprintf(line, sizeof line, "%zx\r\n", size);
	int r = u->broken ? -EPIPE : fd_write_full(u->fd, line, (size_t)length);
	if (r == 0)
		r = fd_write_full(u->fd, data, size);
	if (r == 0)
		r = fd_write_full(u->fd, "\r\n", 2);
	u->broken |= r < 0;
	return r;
}

int archive_upload_stdin(struct archive_upload *u, struct error **err)
{
	AUTOFREE char *block = xmalloc(READ_SIZE);
	while (!u->broken) {
		ssize_t n = read(STDIN_FILENO, block, READ_SIZE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set_errno(err, errno, "stdin");
		if (n == 0)
			break;
		(void)archive_upload_write(u, block, (size_t)n);
	}
	return 0;
}

static uint64_t read_left_out(struct http_response *response, uint64_t deadline_ms)
{
	char text[256];
	AUTO_JSON struct json_object *o = NULL;
	uint64_t count = 0;
	ssize_t n = http_response_read(response, text, sizeof text, deadline_ms, NULL);
	if (n > 0 && json_parse_bytes(text, (size_t)n, "the answer", &o, NULL) >= 0 &&
	    json_object_is_type(o, json_type_object))
		json_get_u64(o, "left_out", &count, NULL);
	return count;
}

int archive_upload_end(struct archive_upload *u, size_t *left_out, struct error **err)
{
	AUTO_HTTP_RESPONSE struct http_response response = { .fd = -1 };
	uint64_t deadline = clock_deadline(STALL_S * 1000);
	if (!u->broken)
		fd_write_full(u->fd, "0\r\n\r\n", 5);
	int r = http_answer(u->fd, deadline, &response, err);
	if (r >= 0)
		*left_out = read_left_out(&response, deadline);
	return r;
}

void archive_upload_done(struct archive_upload *u)
{
	fd_close(u->fd);
	u->fd = -1;
}
