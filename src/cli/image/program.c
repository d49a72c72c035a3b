/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/image/program.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/path.h"
#include "base/spawn.h"

enum { ANSWER_MAX = 8 << 20 };

static int spawn_image(const struct strv *words, int input, int extra, int output, pid_t *ret, struct error **err)
{
	AUTOFREE char *program = path_libexec("holm-image");
	AUTO_STRV struct strv argv = { 0 };
	struct spawn_fd fds[3];
	size_t count = 0;
	strv_add(&argv, program);
	strv_add_all(&argv, words);
	fds[count++] = (struct spawn_fd){ .from = output, .to = STDOUT_FILENO };
	if (input >= 0)
		fds[count++] = (struct spawn_fd){ .from = input, .to = STDIN_FILENO };
	if (extra >= 0)
		fds[count++] = (struct spawn_fd){ .from = extra, .to = 3 };
	struct spawn_options o = {
		.argv = (void *)strv_argv(&argv),
		.fds = fds,
		.fd_count = count,
		.death_signal = SIGTERM,
		.inherit_standard = 1,
	};
	return spawn(&o, ret, err);
}

static int read_answer(int fd, struct json_object **ret, struct error **err)
{
	AUTOFREE char *text = NULL;
	size_t size;
	int r = fd_read_all(fd, ANSWER_MAX, &text, &size);
	if (r < 0)
		return error_set_errno(err, r, "reading what holm-image says");
	while (size && text[size - 1] == '\n')
		size--;
	return size && ret ? json_parse(text, size, "the answer of holm-image", ret, err) : 0;
}

int image_program_run(const struct strv *words, int input, int extra, struct json_object **ret, struct error **err)
{
	AUTO_FD int reading = -1, writing = -1;
	AUTO_JSON struct json_object *answer = NULL;
	AUTO_ERROR struct error *why = NULL;
	struct sigaction ignore = { .sa_handler = SIG_IGN }, old;
	int ends[2], status = 0;
	pid_t pid;
	int r = fd_pipe(ends);
	if (r < 0)
		return error_set_errno(err, r, "pipe");
	reading = ends[0];
	writing = ends[1];
	r = spawn_image(words, input, extra, writing, &pid, err);
	if (r < 0)
		return r;
	fd_close(TAKE_FD(writing));
	/* Ctrl-C reaches both; it tidies up and ends, then we do. */
	sigaction(SIGINT, &ignore, &old);
	int answered = read_answer(reading, ret ? &answer : NULL, &why);
	r = spawn_wait(pid, &status);
	sigaction(SIGINT, &old, NULL);
	if (r < 0)
		return error_set_errno(err, r, "waiting for holm-image");
	if (status)
		return status;
	if (answered < 0)
		return error_set(err, -answered, "%s", error_text(why, answered));
	if (ret && !answer)
		return error_set(err, EPROTO, "holm-image said nothing; is holm installed completely?");
	if (ret)
		*ret = TAKE_PTR(answer);
	return 0;
}

int image_program_wait(const struct strv *words, struct error **err)
{
	int status = 0;
	pid_t pid;
	fflush(stdout);
	int r = spawn_image(words, -1, -1, STDOUT_FILENO, &pid, err);
	if (r == 0 && (r = spawn_wait(pid, &status)) < 0)
		return error_set_errno(err, r, "waiting for holm-image");
	return r < 0 ? r : status;
}
