/* SPDX-License-Identifier: Apache-2.0
 * holm image debootstrap: a bootable Debian from its package archive.
 *
 * mmdebstrap does the work and writes one tar stream to a pipe, which becomes the image's one layer while it comes. An ordinary user needs either a user
 * namespace with subordinate ids (newuidmap) or fakechroot; root needs neither. What mmdebstrap says goes to the progress; its
 * last complaint into the error. It is interrupted as a terminal would do it, so that it cleans up after itself. */
#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/spawn.h"
#include "image/command.h"
#include "image/compose.h"
#include "image/interrupt.h"
#include "image/mirror.h"
#include "image/pull.h"
#include "oci/reference.h"

enum { TIMEOUT_MS = 2 * 3600 * 1000, STOP_MS = 30000, PIECE = 1 << 18, LINE_MAX_SIZE = 8192, SUBID_MAX = 1 << 20 };

static const char packages[] = "systemd-sysv,libpam-systemd,dbus,dbus-user-session,sudo,iproute2,iputils-ping,netbase,ca-certificates,procps,tzdata,less";

struct debootstrap {
	struct progress *progress;
	int bar;
	pid_t pid;
	int output, messages; /* ends of pipes */
	struct buffer line;
	char *complaint;      /* first "E:" line: the later ones only say that what needed it failed too */
	struct layer_writer layer;
};

static int suite_is_valid(const char *s)
{
	return *s && strlen(s) <= 40 && s[0] != '-' && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789.-") == strlen(s);
}

static int is_in_path(const char *program)
{
	AUTO_STRV struct strv folders = { 0 };
	const char *path = getenv("PATH");
	strv_split(&folders, path ? path : "/usr/bin:/bin", ":");
	for (size_t i = 0; i < folders.count; i++) {
		AUTOFREE char *file = path_join(folders.items[i], program);
		if (access(file, X_OK) == 0)
			return 1;
	}
	return 0;
}

/* Whether a file like /etc/subuid has a range for us, by name or number. */
static int has_subordinate_ids(const char *path)
{
	AUTO_STRV struct strv lines = { 0 };
	AUTOFREE char *text = NULL, *number = xasprintf("%u:", (unsigned)getuid());
	const struct passwd *p = getpwuid(getuid());
	AUTOFREE char *name = p ? xasprintf("%s:", p->pw_name) : NULL;
	size_t size;
	if (path_read_file(path, SUBID_MAX, &text, &size) < 0)
		return 0;
	strv_split(&lines, text, "\n");
	for (size_t i = 0; i < lines.count; i++)
		if (startswith(lines.items[i], number) || (name && startswith(lines.items[i], name)))
			return 1;
	return 0;
}

static int choose_mode(const char **ret, struct error **err)
{
	if (!is_in_path("mmdebstrap"))
		return error_set(err, ENOENT, "mmdebstrap is not installed; install the package mmdebstrap");
	const struct passwd *p = getpwuid(getuid());
	const char *user = p ? p->pw_name : "USER";
	if (getuid() == 0)
		*ret = "--mode=root";
	else if (is_in_path("newuidmap") && has_subordinate_ids("/etc/subuid") && has_subordinate_ids("/etc/subgid"))
		*ret = "--mode=unshare";
	else if (is_in_path("fakechroot") && is_in_path("fakeroot"))
		*ret = "--mode=fakechroot";
	else if (!is_in_path("newuidmap"))
		return error_set(err, ENOENT, "newuidmap is not installed; install the package uidmap (or fakechroot and fakeroot)");
	else
		return error_set(err, EPERM, "%s has no subordinate ids; as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s", user, user);
	return 0;
}

/* mmdebstrap works there with other ids than ours, so every folder on the way must let others through. */
static int others_may_enter(const char *path)
{
	AUTOFREE char *at = realpath(path, NULL);
	struct stat st;
	while (at && stat(at, &st) == 0 && (st.st_mode & S_IXOTH)) {
		if (streq(at, "/"))
			return access(path, W_OK) == 0;
		char *up = path_parent(at);
		free(at);
		at = up;
	}
	return 0;
}

static const char *choose_tmpdir(void)
{
	const char *candidates[] = { getenv("TMPDIR"), "/var/tmp", "/tmp" };
	for (size_t i = 0; i < ARRAY_SIZE(candidates); i++)
		if (candidates[i] && *candidates[i] && others_may_enter(candidates[i]))
			return candidates[i];
	return "/tmp";
}

static int set_umask(void *data)
{
	umask(022);
	return 0;
}

static int start(struct debootstrap *d, struct options *o, const char *mode, struct error **err)
{
	AUTO_STRV struct strv argv = { 0 }, lines = { 0 }, environment = { 0 };
	const char *suite = options_words(o)->items[0], *mirror = options_string(o, "mirror");
	extern char **environ;
	int out[2], messages[2];
	strv_add(&argv, "mmdebstrap");
	strv_add(&argv, mode);
	strv_add(&argv, "--variant=minbase");
	strv_add(&argv, "--format=tar");
	strv_addf(&argv, "--include=%s", packages);
	const struct strv *more = options_list(o, "include");
	for (size_t i = 0; i < more->count; i++)
		strv_addf(&argv, "--include=%s", more->items[i]);
	strv_add(&argv, "--");
	strv_add(&argv, suite);
	strv_add(&argv, "-");
	if (mirror)
		strv_add(&argv, mirror);
	else
		mirror_find(suite, &lines);
	strv_add_all(&argv, &lines);
	for (char **e = environ; *e; e++)
		strv_add(&environment, *e);
	strv_setenv(&environment, "TMPDIR", choose_tmpdir());
	if (fd_pipe(out) < 0)
		return error_set_errno(err, errno, "cannot make a pipe");
	d->output = out[0];
	AUTO_FD int their_output = out[1];
	if (fd_pipe(messages) < 0)
		return error_set_errno(err, errno, "cannot make a pipe");
	d->messages = messages[0];
	AUTO_FD int their_messages = messages[1];
	struct spawn_fd fds[] = { { .from = their_output, .to = 1 }, { .from = their_messages, .to = 2 } };
	struct spawn_options s = { .argv = strv_argv(&argv), .environment = strv_argv(&environment), .fds = fds, .fd_count = 2, .directory = "/",
		.death_signal = SIGTERM, .new_group = 1, .in_child = set_umask };
	return spawn(&s, &d->pid, err);
}

static void handle_line(struct debootstrap *d, char *line)
{
	const char *text = startswith(line, "I: ");
	if (startswith(line, "E: ") && !d->complaint)
		d->complaint = xstrdup(line + 3);
	if (text && d->layer.size == 0) {
		progress_state(d->progress, d->bar, text);
		progress_note(d->progress, "mmdebstrap: %s", text);
	}
}

/* Takes the messages apart into lines. */
static ssize_t read_messages(struct debootstrap *d)
{
	ssize_t n = buffer_read(&d->line, d->messages, LINE_MAX_SIZE - d->line.size);
	char *end;
	while (d->line.size > 0 && ((end = memchr(d->line.data, '\n', d->line.size)) || d->line.size == LINE_MAX_SIZE)) {
		size_t length = end ? (size_t)(end - d->line.data) : d->line.size;
		AUTOFREE char *line = xstrndup(d->line.data, length);
		buffer_consume(&d->line, length + (end ? 1 : 0));
		handle_line(d, line);
	}
	return n;
}

static int read_output(struct debootstrap *d, char *piece, struct error **err)
{
	ssize_t n = read(d->output, piece, PIECE);
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 1 : error_set_errno(err, errno, "cannot read from mmdebstrap");
	if (n == 0)
		return 0;
	if (d->layer.size == 0)
		progress_state(d->progress, d->bar, NULL);
	int r = layer_writer_write(&d->layer, piece, n, err);
	progress_update(d->progress, d->bar, d->layer.size);
	return r < 0 ? r : 1;
}

/* Until both pipes have ended. */
static int pump(struct debootstrap *d, struct error **err)
{
	AUTOFREE char *piece = xmalloc(PIECE);
	uint64_t deadline = clock_deadline(TIMEOUT_MS);
	while (d->output >= 0 || d->messages >= 0) {
		struct pollfd fds[] = { { .fd = d->output, .events = POLLIN }, { .fd = d->messages, .events = POLLIN }, { .fd = interrupt_fd(), .events = POLLIN } };
		int n = poll(fds, ARRAY_SIZE(fds), clock_left_ms(deadline)), r = interrupt_check(err);
		if (r < 0)
			return r;
		if (n == 0)
			return error_set(err, ETIMEDOUT, "mmdebstrap has not finished after two hours; is the mirror reachable?");
		if (fds[1].revents && read_messages(d) <= 0)
			fd_close(TAKE_FD(d->messages));
		if (fds[0].revents) {
			r = read_output(d, piece, err);
			if (r < 0)
				return r;
			if (r == 0)
				fd_close(TAKE_FD(d->output));
		}
	}
	return 0;
}

/* Ends it as Ctrl-C on a terminal does, and by force when it does not listen. Its messages are read on, or it would block on them. */
static void stop(struct debootstrap *d)
{
	uint64_t deadline = clock_deadline(STOP_MS);
	fd_close(TAKE_FD(d->output));
	kill(-d->pid, SIGINT);
	while (d->messages >= 0 && fd_wait(d->messages, POLLIN, deadline) == 1)
		if (read_messages(d) <= 0)
			break;
	if (clock_left_ms(deadline) == 0)
		kill(-d->pid, SIGKILL);
}

static int run(struct debootstrap *d, struct options *o, const char *mode, struct error **err)
{
	int status = 0, r = start(d, o, mode, err);
	if (r < 0)
		return r;
	r = pump(d, err);
	if (r < 0)
		stop(d);
	spawn_wait(d->pid, &status);
	if (r == 0 && status != 0)
		r = error_set(err, EIO, "cannot make %s: mmdebstrap: %.400s", options_words(o)->items[0], d->complaint ? d->complaint : "failed");
	return r;
}

static struct json_object *make_config(const char *suite)
{
	struct json_object *o = json_object_new_object(), *labels = json_object_new_object();
	AUTO_STRV struct strv env = { 0 }, cmd = { 0 };
	strv_add(&env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	strv_add(&env, "LANG=C.UTF-8");
	strv_add(&cmd, "/sbin/init");
	json_add_string(labels, "org.opencontainers.image.title", "Debian");
	json_add_string(labels, "org.opencontainers.image.version", suite);
	json_add_strv(o, "Env", &env);
	json_add_strv(o, "Cmd", &cmd);
	json_add_string(o, "StopSignal", "SIGRTMIN+3");
	json_add(o, "Labels", labels);
	return o;
}

static int make_image(struct library *l, struct debootstrap *d, struct options *o, const char *name, struct error **err)
{
	struct composed_layer layer;
	char digest[DIGEST_TEXT_SIZE + 1];
	const char *mode = NULL;
	int r = choose_mode(&mode, err);
	if (r == 0)
		r = layer_writer_open(l, LAYER_ZSTD, &d->layer, err);
	if (r < 0)
		return r;
	progress_note(d->progress, "making %s with mmdebstrap; this takes a minute or more", name);
	d->bar = progress_add(d->progress, options_words(o)->items[0], 0);
	r = run(d, o, mode, err);
	if (r < 0) {
		layer_writer_abort(&d->layer);
		return r;
	}
	r = layer_writer_finish(&d->layer, &layer, err);
	if (r < 0)
		return r;
	progress_finish(d->progress, d->bar, "made");
	AUTO_JSON struct json_object *config = make_config(options_words(o)->items[0]);
	r = compose_image(l, &layer, config, NULL, digest, err);
	return r == 0 ? image_register(l, name, digest, NULL, err) : r;
}

static int debootstrap(struct library *l, struct options *o, const char *name, struct error **err)
{
	AUTO_PROGRESS struct progress *p = command_progress(o);
	struct debootstrap d = { .progress = p, .output = -1, .messages = -1 };
	buffer_init(&d.line, LINE_MAX_SIZE);
	int r = make_image(l, &d, o, name, err);
	fd_close(d.output);
	fd_close(d.messages);
	buffer_done(&d.line);
	free(d.complaint);
	if (r < 0)
		return r;
	progress_free(TAKE_PTR(p));
	return command_print(name, err);
}

int command_debootstrap(struct options *o, struct error **err)
{
	const char *suite = options_words(o)->items[0], *tag = options_string(o, "tag");
	AUTOFREE char *text = tag ? xstrdup(tag) : xasprintf("debian:%s", suite);
	AUTO_REFERENCE struct reference *reference = NULL;
	struct library *l = NULL;
	if (!suite_is_valid(suite))
		return error_set(err, EINVAL, "\"%.40s\" is not the name of a Debian suite; write bookworm or trixie", suite);
	int r = reference_parse(text, &reference, err);
	if (r == 0)
		r = library_open(&l, err);
	if (r == 0) {
		AUTOFREE char *name = reference_to_string(reference);
		r = debootstrap(l, o, name, err);
	}
	library_free_and_sweep(l);
	return r;
}
