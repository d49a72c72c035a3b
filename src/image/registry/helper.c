/* SPDX-License-Identifier: Apache-2.0
 * Credential helpers.
 *
 * The protocol (docker/docker-credential-helpers): "get" and "erase" have the server's name on
 * stdin, "store" a JSON object; "get" prints one. docker.io goes by an old URL. */
#include "image/registry/helper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/spawn.h"

enum { OUTPUT_MAX = 64 << 10, TIMEOUT_MS = 30000, NAME_MAX_LENGTH = 100 };

static const char *server_name(const char *registry)
{
	return streq(registry, "docker.io") ? "https://index.docker.io/v1/" : registry;
}

/* "docker-credential-NAME"; owned, NULL with an error. */
static char *program_name(const char *name, struct error **err)
{
	if (strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == strlen(name) &&
	    *name && strlen(name) <= NAME_MAX_LENGTH)
		return xasprintf("docker-credential-%s", name);
	error_set(err, EINVAL, "\"%.40s\" is not the name of a credential helper", name);
	return NULL;
}

/* A readable descriptor that holds text. */
static int text_fd(const char *text)
{
	AUTO_FD int fd = memfd_create("holm-input", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	int r = fd_write_full(fd, text, strlen(text));
	if (r < 0)
		return r;
	return lseek(fd, 0, SEEK_SET) < 0 ? -errno : TAKE_FD(fd);
}

/* Runs the program until its output ends. 0 and its status, or -errno; -ENOENT: there is none. */
static int run(const char *program, const char *action, const char *input_text, struct buffer *out, int *ret_status,
    struct error **err)
{
	const char *argv[] = { program, action, NULL };
	int pipe_fds[2];
	AUTO_FD int input = text_fd(input_text);
	if (input < 0 || fd_pipe(pipe_fds) < 0)
		return error_set(err, EIO, "cannot run %s", program);
	AUTO_FD int output = pipe_fds[0];
	AUTO_FD int theirs = pipe_fds[1];
	struct spawn_fd fds[] = { { .from = input, .to = 0 }, { .from = theirs, .to = 1 } };
	struct spawn_options o = { .argv = (char *const *)argv, .fds = fds, .fd_count = 2, .death_signal = SIGTERM };
	pid_t pid;
	int r = spawn(&o, &pid, err);
	if (r < 0)
		return r;
	fd_close(TAKE_FD(theirs));
	uint64_t deadline = clock_deadline(TIMEOUT_MS);
	ssize_t n;
	do {
		r = fd_wait(output, POLLIN, deadline);
		n = r == 1 ? buffer_read(out, output, OUTPUT_MAX) : r == 0 ? -ETIMEDOUT : r == -EINTR ? -ECANCELED : r;
	} while (n > 0);
	if (n < 0)
		kill(pid, SIGKILL);
	spawn_wait(pid, ret_status);
	return n < 0 ? error_set_errno(err, (int)n, "%s %s", program, action) : 0;
}

static int parse_output(struct buffer *out, const char *program, struct credentials *ret, struct error **err)
{
	AUTO_JSON struct json_object *o = NULL;
	const char *user = NULL, *secret = NULL;
	int r = json_parse(out->data, out->size, program, &o, NULL);
	if (r < 0 || json_get_string(o, "Username", &user, NULL) < 0 || json_get_string(o, "Secret", &secret, NULL) < 0)
		return error_set(err, EINVAL, "%s printed something other than credentials", program);
	if (streq(user, "<token>")) {
		ret->identity_token = xstrdup(secret);
	} else {
		ret->user = xstrdup(user);
		ret->password = xstrdup(secret);
	}
	return 1;
}

/* The protocol has no code for this, only the words. */
static int is_not_found(struct buffer *out)
{
	return strstr(out->size ? buffer_string(out) : "", "credentials not found") != NULL;
}

int helper_get(const char *name, const char *registry, struct credentials *ret, struct error **err)
{
	AUTOFREE char *program = program_name(name, err);
	AUTO_BUFFER struct buffer out;
	int status = 0;
	buffer_init(&out, OUTPUT_MAX);
	if (!program)
		return -EINVAL;
	int r = run(program, "get", server_name(registry), &out, &status, err);
	if (r == -ENOENT) {
		/* A configuration from another machine names it: what needs no login still
		 * works. */
		error_clear(err);
		return 0;
	}
	if (r == 0 && status != 0)
		return is_not_found(&out) ? 0 :
					    error_set(err, EIO, "%s failed with status %d for %s; log in again",
						program, status, registry);
	if (r == 0)
		r = parse_output(&out, program, ret, err);
	if (out.data)
		explicit_bzero(out.data, out.size);
	return r;
}

/* Runs an action that prints nothing of use. 0, 1 if it found no credentials, or -errno. */
static int act(const char *name, const char *action, const char *input, const char *registry, struct error **err)
{
	AUTOFREE char *program = program_name(name, err);
	AUTO_BUFFER struct buffer out;
	int status = 0;
	buffer_init(&out, OUTPUT_MAX);
	if (!program)
		return -EINVAL;
	int r = run(program, action, input, &out, &status, err);
	if (r == 0 && status != 0 && is_not_found(&out))
		return 1;
	if (r == 0 && status != 0)
		r = error_set(err, EIO, "%s failed with status %d for %s: %.200s", program, status, registry,
		    out.size ? buffer_string(&out) : "it says nothing");
	return r;
}

int helper_store(const char *name, const char *registry, const struct credentials *c, struct error **err)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	json_add_string(o, "ServerURL", server_name(registry));
	json_add_string(o, "Username", c->user);
	json_add_string(o, "Secret", c->password);
	AUTOFREE char *text = json_to_string(o, 0);
	int r = act(name, "store", text, registry, err);
	explicit_bzero(text, strlen(text));
	return r > 0 ? 0 : r;
}

int helper_erase(const char *name, const char *registry, struct error **err)
{
	int r = act(name, "erase", server_name(registry), registry, err);
	return r < 0 ? r : !r;
}
