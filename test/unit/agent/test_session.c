/* SPDX-License-Identifier: Apache-2.0
 * Whole sessions on this host, without a machine: everything but the joining of namespaces. */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "agent/session/session.h"
#include "base/clock.h"
#include "http/session_frame.h"
#include "tree.h"

enum { WAIT_MS = 60000, OUTPUT_MAX = 8 * 1024 * 1024 };

struct run {
	struct agent agent;
	struct boot_request boot;
	int fd;                   /* the client's end */
	struct buffer in;         /* frames that came */
	struct buffer out, error; /* stdout, stderr */
	char *note, *text;
	int ended, signalled;
	int status; /* status -1: the command did not start, see error_status */
	int error_status;
	uint32_t window; /* bytes of stdin taken */
};

static struct session_request *request(const char *const *argv)
{
	struct session_request *q = xnew(struct session_request);
	q->uid = getuid();
	q->gid = getgid();
	q->relay = -1;
	q->rows = 24;
	q->columns = 80;
	for (size_t i = 0; argv && argv[i]; i++)
		strv_add(&q->argv, argv[i]);
	strv_add(&q->env, "LC_ALL=C");
	return q;
}

static struct session_request *shell(const char *script)
{
	const char *argv[] = { "sh", "-c", script, NULL };
	return request(argv);
}

static void run_start(struct run *the_run, struct session_request *q)
{
	int ends[2];
	*the_run = (struct run){ .status = -1 };
	the_run->agent.init_pidfd = -1;
	the_run->agent.boot = &the_run->boot;
	assert_int_equal(loop_new(&the_run->agent.loop), 0);
	assert_int_equal(fd_socketpair(SOCK_STREAM, ends), 0);
	the_run->fd = ends[0];
	fd_set_nonblocking(ends[0], 1);
	fd_set_nonblocking(ends[1], 1);
	buffer_init(&the_run->in, OUTPUT_MAX);
	buffer_init(&the_run->out, OUTPUT_MAX);
	buffer_init(&the_run->error, OUTPUT_MAX);
	assert_int_equal(session_start(&the_run->agent, q, -1, ends[1], NULL, NULL), 0);
}

static void run_done(struct run *run)
{
	/* The client goes away; a session that still runs is hung up and reaped. */
	fd_close(run->fd);
	uint64_t deadline = clock_deadline(WAIT_MS);
	while (run->agent.sessions)
		assert_true(loop_step(run->agent.loop, deadline) > 0);
	loop_free(run->agent.loop);
	buffer_done(&run->in);
	buffer_done(&run->out);
	buffer_done(&run->error);
	free(run->note);
	free(run->text);
}

static uint32_t big32(const char *p)
{
	const unsigned char *u = (const unsigned char *)p;
	return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

static void take_frame(struct run *run, const struct session_frame *f)
{
	switch (f->type) {
	case SESSION_STDOUT:
		buffer_append(&run->out, f->data, f->size);
		break;
	case SESSION_STDERR:
		buffer_append(&run->error, f->data, f->size);
		break;
	case SESSION_NOTE:
		run->note = xstrndup(f->data, f->size);
		break;
	case SESSION_WINDOW:
		run->window += big32(f->data);
		break;
	case SESSION_EXIT:
		run->ended = 1;
		run->status = (int)big32(f->data) & 0xff;
		run->signalled = (big32(f->data) & SESSION_EXIT_SIGNAL) != 0;
		break;
	case SESSION_ERROR:
		run->ended = 1;
		run->error_status = (int)big32(f->data);
		run->text = xstrndup(f->data + 4, f->size - 4);
		break;
	default:
		fail();
	}
}

static void pump(struct run *run)
{
	struct session_frame f;
	while (buffer_read(&run->in, run->fd, 65536) > 0)
		;
	while (session_frame_next(&run->in, &f) > 0) {
		take_frame(run, &f);
		buffer_consume(&run->in, SESSION_HEADER_SIZE + f.size);
	}
}

static void run_until_end(struct run *run)
{
	uint64_t deadline = clock_deadline(WAIT_MS);
	while (!run->ended) {
		assert_true(loop_step(run->agent.loop, deadline) >= 0);
		assert_true(clock_now_ms() < deadline);
		pump(run);
	}
}

static void run_until_output(struct run *run)
{
	uint64_t deadline = clock_deadline(WAIT_MS);
	while (!run->out.size && !run->ended) {
		assert_true(loop_step(run->agent.loop, deadline) >= 0);
		assert_true(clock_now_ms() < deadline);
		pump(run);
	}
}

static void send_frame(struct run *run, enum session_frame_type type, const void *data, size_t size)
{
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, 1 << 20);
	assert_int_equal(session_frame_append(&b, type, data, size), 0);
	fd_set_nonblocking(run->fd, 0);
	assert_int_equal(fd_write_full(run->fd, b.data, b.size), 0);
	fd_set_nonblocking(run->fd, 1);
}

static void test_statuses(void **state)
{
	static const struct {
		const char *script;
		int status, signalled;
	} cases[] = { { "exit 0", 0, 0 }, { "exit 143", 143, 0 }, { "kill -TERM $$", 143, 1 },
		{ "kill -KILL $$", 137, 1 } };
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct run run;
		run_start(&run, shell(cases[i].script));
		run_until_end(&run);
		assert_int_equal(run.status, cases[i].status);
		assert_int_equal(run.signalled, cases[i].signalled);
		run_done(&run);
	}
}

static void test_argv_is_argv(void **state)
{
	const char *argv[] = { "printf", "%s\n", "two  words", "$HOME", "", "*", NULL };
	struct run run;
	run_start(&run, request(argv));
	run_until_end(&run);
	assert_string_equal(buffer_string(&run.out), "two  words\n$HOME\n\n*\n");
	run_done(&run);
}

static void test_not_found(void **state)
{
	static const struct {
		const char *program;
		int status;
	} cases[] = { { "no-such-program", 127 }, { "/no/such/program", 127 }, { "/etc/passwd", 126 },
		{ "/etc", 126 } };
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *argv[] = { cases[i].program, NULL };
		struct run run;
		run_start(&run, request(argv));
		run_until_end(&run);
		assert_int_equal(run.error_status, cases[i].status);
		assert_non_null(strstr(run.text, cases[i].program));
		run_done(&run);
	}
}

static void test_streams_apart(void **state)
{
	struct run run;
	run_start(&run, shell("echo out; echo err >&2; cat; echo by-name > /dev/stdout"));
	run_until_end(&run); /* without stdin, cat ends at once */
	assert_string_equal(buffer_string(&run.out), "out\nby-name\n");
	assert_string_equal(buffer_string(&run.error), "err\n");
	run_done(&run);
}

static void test_stdin(void **state)
{
	struct run run;
	struct session_request *q = shell("cat; echo end");
	q->use_stdin = 1;
	run_start(&run, q);
	send_frame(&run, SESSION_STDIN, "a\0b\377", 4);
	send_frame(&run, SESSION_STDIN_END, NULL, 0);
	run_until_end(&run);
	assert_int_equal(run.out.size, 8);
	assert_memory_equal(run.out.data, "a\0b\377end\n", 8);
	assert_int_equal(run.window, 4);
	run_done(&run);
}

static void test_stdin_nobody_reads(void **state)
{
	struct run run;
	static char data[SESSION_FRAME_MAX];
	struct session_request *q = shell("exec <&-; echo closed; sleep 0.2; exit 5");
	q->use_stdin = 1;
	run_start(&run, q);
	run_until_output(&run);
	for (int i = 0; i < 3; i++)
		send_frame(&run, SESSION_STDIN, data, sizeof data);
	run_until_end(&run);
	assert_int_equal(run.status, 5);
	assert_int_equal(run.window, 3 * sizeof data);
	run_done(&run);
}

static void test_signal_overtakes_stdin(void **state)
{
	struct run run;
	static char data[SESSION_FRAME_MAX];
	unsigned char term = SIGTERM;
	struct session_request *q = shell("echo up; exec sleep 100");
	q->use_stdin = 1;
	run_start(&run, q);
	run_until_output(&run);
	for (size_t n = 0; n + sizeof data <= SESSION_STDIN_WINDOW; n += sizeof data) {
		send_frame(&run, SESSION_STDIN, data, sizeof data);
		assert_true(loop_step(run.agent.loop, clock_deadline(1000)) >= 0);
	}
	send_frame(&run, SESSION_SIGNAL, &term, 1);
	run_until_end(&run);
	assert_int_equal(run.status, 128 + SIGTERM);
	run_done(&run);
}

static void test_hangup_reaches_the_group(void **state)
{
	struct run run;
	unsigned char number = SIGHUP; /* dash may lose a SIGINT while it forks */
	run_start(&run, shell("echo up; sleep 100; echo not here"));
	run_until_output(&run);
	send_frame(&run, SESSION_SIGNAL, &number, 1);
	run_until_end(&run);
	assert_int_equal(run.status, 129);
	run_done(&run);
}

static void test_background_does_not_hang(void **state)
{
	struct run run;
	uint64_t start = clock_now_ms();
	run_start(&run, shell("echo main; sleep 100 & exit 3"));
	run_until_end(&run);
	assert_int_equal(run.status, 3);
	assert_string_equal(buffer_string(&run.out), "main\n");
	assert_true(clock_now_ms() - start < 60000);
	run_done(&run);
}

/* The shell's output is whole, and a job that keeps the terminal delays nothing. */
static void test_job_behind_a_terminal(void **state)
{
	uint64_t best = UINT64_MAX;
	for (int i = 0; i < 3; i++) {
		struct run run;
		struct session_request *q = shell("trap '' HUP; sleep 5 & seq 2000; echo 01234567890123456789; exit 3");
		q->tty = 1;
		run_start(&run, q);
		run_until_output(&run);
		uint64_t start = clock_now_ms();
		run_until_end(&run);
		best = MIN(best, clock_now_ms() - start);
		assert_int_equal(run.status, 3);
		assert_true(endswith(buffer_string(&run.out), "\r\n1999\r\n2000\r\n01234567890123456789\r\n"));
		run_done(&run);
	}
	assert_true(best < SESSION_DRAIN_MS);
}

static void test_much_output(void **state)
{
	struct run run;
	run_start(&run, shell("dd if=/dev/zero bs=65536 count=64 2>/dev/null; exit 9"));
	run_until_end(&run);
	assert_int_equal(run.out.size, 64 * 65536);
	assert_int_equal(run.status, 9);
	run_done(&run);
}

static void test_terminal(void **state)
{
	struct run run;
	struct session_request *q = shell("tty >/dev/null && stty size; read line; stty size; echo got $line; exit 4");
	unsigned char size[4] = { 0, 50, 0, 132 };
	q->tty = q->use_stdin = 1;
	run_start(&run, q);
	run_until_output(&run);
	send_frame(&run, SESSION_RESIZE, size, sizeof size);
	send_frame(&run, SESSION_STDIN, "word\n", 5);
	run_until_end(&run);
	assert_int_equal(run.status, 4);
	assert_non_null(strstr(buffer_string(&run.out), "24 80\r\n"));
	assert_non_null(strstr(buffer_string(&run.out), "50 132\r\n"));
	assert_non_null(strstr(buffer_string(&run.out), "got word\r\n"));
	run_done(&run);
}

static void test_directories(void **state)
{
	struct run run;
	struct session_request *q = shell("pwd");
	q->workdir = xstrdup("/usr/bin");
	run_start(&run, q);
	run_until_end(&run);
	assert_string_equal(buffer_string(&run.out), "/usr/bin\n");
	assert_null(run.note);
	run_done(&run);

	q = shell("pwd");
	q->cwd = xstrdup("/usr/bin");
	run_start(&run, q);
	run_until_end(&run);
	assert_non_null(strstr(run.note, "/usr/bin is not shared"));
	run_done(&run);

	q = shell("pwd");
	q->workdir = xstrdup("/no/such");
	run_start(&run, q);
	run_until_end(&run);
	assert_int_equal(run.error_status, 125);
	assert_non_null(strstr(run.text, "/no/such"));
	run_done(&run);
}

/* The keeper's reason for an ssh-agent that is not there reaches the user. */
static void test_refused_ssh_agent(void **state)
{
	struct session_request *q = shell("echo \"<$SSH_AUTH_SOCK>\"");
	struct run run;
	q->relay_refused = xstrdup("ssh agent \"/a\": no");
	run_start(&run, q);
	run_until_end(&run);
	assert_string_equal(run.note, "ssh agent \"/a\": no");
	assert_string_equal(buffer_string(&run.out), "<>\n");
	run_done(&run);
}

static void test_bad_client(void **state)
{
	struct run run;
	run_start(&run, shell("echo up; sleep 100"));
	run_until_output(&run);
	send_frame(&run, SESSION_STDOUT, "x", 1); /* not for this direction */
	uint64_t deadline = clock_deadline(WAIT_MS);
	while (run.agent.sessions)
		assert_true(loop_step(run.agent.loop, deadline) > 0);
	run_done(&run);
}

static void test_client_goes_away(void **state)
{
	struct run run;
	run_start(&run, shell("echo up; sleep 100"));
	run_until_output(&run);
	run_done(&run); /* waits for the session to end */
}

/* Right after the start, when the process is not there yet. */
static void test_early_end_and_signal(void **state)
{
	struct run run;
	unsigned char number = SIGTERM;
	run_start(&run, shell("sleep 100"));
	run_done(&run);

	run_start(&run, shell("sleep 100"));
	send_frame(&run, SESSION_SIGNAL, &number, 1);
	run_until_end(&run);
	assert_int_equal(run.status, 128 + SIGTERM);
	run_done(&run);
}

/* The command is gone, the client reads nothing: what is left waits, and the processor rests. */
static void test_slow_client(void **state)
{
	struct run run;
	int steps = 0;
	run_start(&run, shell("(sleep 0.2; kill $$) >/dev/null 2>&1 & exec yes"));
	uint64_t deadline = clock_deadline(WAIT_MS);
	while (!run.agent.sessions->exited) {
		assert_true(loop_step(run.agent.loop, deadline) >= 0);
		assert_true(clock_now_ms() < deadline);
	}
	deadline = clock_deadline(300);
	for (; clock_now_ms() < deadline && steps < 1000; steps++)
		assert_true(loop_step(run.agent.loop, deadline) >= 0);
	assert_true(steps < 100);
	pump(&run);
	run_until_end(&run);
	assert_int_equal(run.status, 143);
	assert_true(run.out.size > SESSION_OUT_FULL);
	run_done(&run);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_statuses), cmocka_unit_test(test_argv_is_argv),
		cmocka_unit_test(test_not_found), cmocka_unit_test(test_streams_apart), cmocka_unit_test(test_stdin),
		cmocka_unit_test(test_stdin_nobody_reads), cmocka_unit_test(test_signal_overtakes_stdin),
		cmocka_unit_test(test_hangup_reaches_the_group), cmocka_unit_test(test_background_does_not_hang),
		cmocka_unit_test(test_much_output), cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_job_behind_a_terminal), cmocka_unit_test(test_directories),
		cmocka_unit_test(test_refused_ssh_agent), cmocka_unit_test(test_bad_client),
		cmocka_unit_test(test_client_goes_away), cmocka_unit_test(test_early_end_and_signal),
		cmocka_unit_test(test_slow_client) };
	signal(SIGPIPE, SIG_IGN);
	/* What a test leaves in the background is reaped when this process ends. */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
