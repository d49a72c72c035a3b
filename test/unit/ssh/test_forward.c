/* SPDX-License-Identifier: Apache-2.0
 * A forwarded connection: bytes that libssh holds back. The functions of libssh are the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <libssh/callbacks.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/macros.h"
#include "ssh/forward.h"

enum { SENT = 300 * 1024, STEPS = 100, SECONDS = 60 };

/* Of the one channel. */
static struct {
	ssh_channel_callbacks callbacks;
	uint32_t held; /* bytes that libssh gives; 0: reading fails */
	int closed, failed;
} ssh;

static int a_channel;

ssh_channel ssh_channel_new(ssh_session session)
{
	return (ssh_channel)&a_channel;
}

void ssh_channel_free(ssh_channel channel)
{
}

int ssh_set_channel_callbacks(ssh_channel channel, ssh_channel_callbacks cb)
{
	ssh.callbacks = cb;
	return SSH_OK;
}

int ssh_remove_channel_callbacks(ssh_channel channel, ssh_channel_callbacks cb)
{
	return SSH_OK;
}

int ssh_channel_open_auth_agent(ssh_channel channel)
{
	return SSH_OK;
}

int ssh_channel_read_nonblocking(ssh_channel channel, void *dest, uint32_t count, int is_stderr)
{
	uint32_t n = MIN(count, ssh.held);
	memset(dest, 'x', n);
	ssh.held -= n;
	/* libssh opens its whole window now, whatever it still holds. */
	assert_int_equal(ssh.held, 0);
	return n ? (int)n : SSH_ERROR;
}

int ssh_channel_close(ssh_channel channel)
{
	ssh.closed = 1;
	return SSH_OK;
}

void connection_wake(struct connection *c)
{
}

void connection_fail(struct connection *c, const char *text)
{
	ssh.failed = 1;
}

void connection_leave_channel(struct connection *c, ssh_channel channel, int is_closed)
{
	c->channels--;
}

int connection_takes_output(const struct connection *c)
{
	return 1;
}

/* Reads what is there; how much it was. */
static size_t drain(int fd)
{
	static char data[SENT];
	ssize_t n = recv(fd, data, sizeof data, MSG_DONTWAIT);
	return n > 0 ? (size_t)n : 0;
}

/* Begins a forward whose client has sent SENT bytes. Returns the other end of its socket. */
static int begin(struct connection *c)
{
	static char data[SENT];
	int ends[2];
	*c = (struct connection){ 0 };
	assert_int_equal(loop_new(&c->loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	ssh.closed = ssh.failed = 0;
	forward_to_agent(c, ends[0]);
	assert_non_null(c->forwards);
	forward_step(c->forwards);
	int taken =
	    ssh.callbacks->channel_data_function(NULL, (ssh_channel)&a_channel, data, SENT, 0, ssh.callbacks->userdata);
	assert_in_range(taken, 1, SENT - 1);
	ssh.held = SENT - (uint32_t)taken;
	return ends[1];
}

static void bytes_that_are_held_back_follow(void **state)
{
	struct connection c;
	size_t got = 0;
	int fd = begin(&c);
	for (int i = 0; i < STEPS && got < SENT; i++) {
		forward_step(c.forwards);
		got += drain(fd);
	}
	assert_int_equal(got, SENT);
	assert_false(ssh.closed);
	assert_false(ssh.failed);
	forward_free(c.forwards);
	loop_free(c.loop);
	close(fd);
}

/* libssh gives none of them once the connection has ended. */
static void the_end_of_the_connection_ends_it(void **state)
{
	struct connection c;
	int fd = begin(&c);
	ssh.held = 0;
	alarm(SECONDS); /* it went round and round */
	for (int i = 0; i < STEPS && c.forwards; i++) {
		forward_step(c.forwards);
		drain(fd);
	}
	alarm(0);
	assert_null(c.forwards);
	assert_int_equal(c.channels, 0);
	assert_true(ssh.closed);
	loop_free(c.loop);
	close(fd);
}

/* A client that does not keep to the window, of which libssh takes all. */
static void too_much_is_refused(void **state)
{
	struct connection c;
	int fd = begin(&c);
	char *data = calloc(1, HELD_MAX + SENT);
	assert_non_null(data);
	assert_true(forward_has_channel(&c, (ssh_channel)&a_channel));
	assert_false(forward_has_channel(&c, (ssh_channel)&c));
	ssh.callbacks->channel_data_function(NULL, (ssh_channel)&a_channel, data, HELD_MAX + SENT, 0,
	    ssh.callbacks->userdata);
	assert_true(ssh.failed);
	forward_free(c.forwards);
	loop_free(c.loop);
	close(fd);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_that_are_held_back_follow),
		cmocka_unit_test(the_end_of_the_connection_ends_it),
		cmocka_unit_test(too_much_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
