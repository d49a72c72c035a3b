/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/archive.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "cli/client.h"
#include "http/http.h"

enum {
	BLOCK = 64 * 1024,
	STALL_MS = 120 * 1000, /* no byte moved for so long: given up */
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

int archive_download(const char *machine, const char *path, const char *query, int output, struct error **err)
{
	AUTO_HTTP_RESPONSE struct http_response response = { .fd = -1 };
	AUTOFREE char *target = make_target(path, query);
	AUTO_FD int fd = connect_running(machine, err);
	char block[BLOCK];
	if (fd < 0)
		return fd;
	int r = http_request(fd, "GET", target, NULL, NULL, clock_deadline(STALL_MS), &response, err);
	while (r == 0) {
		ssize_t n = http_response_read(&response, block, sizeof block, clock_deadline(STALL_MS), err);
		if (n <= 0)
			return (int)n;
		r = fd_write_full(output, block, (size_t)n);
		if (r < 0)
			return error_set_errno(err, r, "writing the archive of %s", path);
	}
	return r;
}

/* The body goes out in chunks (RFC 9112 7.1), as its length is not known before. */
static int send_body(int fd, int input, struct error **err)
{
	char block[BLOCK], line[32];
	for (;;) {
		ssize_t n = read(input, block, sizeof block);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set_errno(err, errno, "reading the archive");
		int length = snprintf(line, sizeof line, "%zx\r\n", (size_t)n);
		int r = fd_write_full(fd, line, (size_t)length);
		if (r == 0 && n > 0)
			r = fd_write_full(fd, block, (size_t)n);
		if (r == 0)
			r = fd_write_full(fd, "\r\n", 2);
		/* Refused midway: the answer says why. */
		if (r < 0 || n == 0)
			return 0;
	}
}

int archive_upload(const char *machine, const char *path, const char *query, int input, struct error **err)
{
	AUTO_HTTP_RESPONSE struct http_response response = { .fd = -1 };
	AUTOFREE char *target = make_target(path, query);
	AUTO_FD int fd = connect_running(machine, err);
	if (fd < 0)
		return fd;
	AUTOFREE char *head = xasprintf("PUT %s HTTP/1.1\r\nHost: holm\r\nTransfer-Encoding: chunked\r\nContent-Type: application/x-tar\r\n\r\n", target);
	int r = fd_write_full(fd, head, strlen(head));
	if (r < 0)
		return error_set_errno(err, r, "machine \"%s\"", machine);
	r = send_body(fd, input, err);
	if (r < 0)
		return r;
	return http_answer(fd, clock_deadline(STALL_MS), &response, err);
}
