/* SPDX-License-Identifier: Apache-2.0
 * The multiplexed transport fed by a hostile other side. The first byte says which role we have
 * (bit 0) and whether the preface and SETTINGS come for free (bit 1); what a server accepts is
 * closed at once or kept (bit 2). */
#include <stdint.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "http/transport.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	int keep;
	struct buffer kept;
};

static void on_accept(int fd, void *data)
{
	struct fuzz *f = data;
	fd_write_full(fd, "hello", 5);
	if (!f->keep || buffer_append(&f->kept, &fd, sizeof fd) < 0)
		fd_close(fd);
}

static void on_closed(int code, const char *why, void *data)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	static const char settings[] = "\0\0\0\4\0\0\0\0\0";
	struct fuzz f = { .keep = size && data[0] & 4 };
	struct loop *loop;
	struct transport *t;
	int pair[2], stream = -1;
	if (size == 0 || size > 65536 || loop_new(&loop) < 0 || fd_socketpair(SOCK_STREAM, pair) < 0)
		return 0;
	enum mux_role role = data[0] & 1 ? MUX_CLIENT : MUX_SERVER;
	buffer_init(&f.kept, 256 * sizeof(int));
	if (transport_mux_new(loop, pair[0], role, on_accept, on_closed, &f, &t) < 0)
		abort();
	if (role == MUX_CLIENT && transport_open(t, &stream, NULL) == 0)
		fd_write_full(stream, "hello", 5);
	if (data[0] & 2 && role == MUX_SERVER)
		fd_write_full(pair[1], preface, sizeof preface - 1);
	if (data[0] & 2)
		fd_write_full(pair[1], settings, sizeof settings - 1);
	fd_write_full(pair[1], data + 1, size - 1);
	for (int i = 0; i < 32 && loop_step(loop, 0) > 0; i++)
		;
	for (size_t i = 0; i < f.kept.size / sizeof(int); i++)
		fd_close(((int *)(void *)f.kept.data)[i]);
	for (int i = 0; i < 4; i++)
		loop_step(loop, 0);
	transport_free(t);
	loop_free(loop);
	fd_close(stream);
	fd_close(pair[1]);
	buffer_done(&f.kept);
	return 0;
}
