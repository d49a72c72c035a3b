/* SPDX-License-Identifier: Apache-2.0
 * Running mmdebstrap.
 *
 * An ordinary user needs either a user namespace with subordinate ids (newuidmap) or fakechroot;
 * root needs neither. It is interrupted as a terminal would do it, by SIGINT to its process group,
 * because then it cleans up after itself. A parent-death signal reaches only its first process,
 * which waits for the others; so a small watcher holds the end of a pipe that closes when we are
 * gone, and interrupts the group then. */
#include "image/debian/mmdebstrap.h"

#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/spawn.h"
#include "image/common/interrupt.h"
#include "image/debian/mirror.h"

enum { TIMEOUT_MS = 2 * 3600 * 1000, STOP_MS = 30000, PIECE = 1 << 18, LINE_MAX_SIZE = 8192, SUBID_MAX = 1 << 20 };

static const char packages[] = "systemd-sysv,libpam-systemd,dbus,dbus-user-session,sudo,iproute2,iputils-ping,kmod,"
			       "netbase,ca-certificates,procps,tzdata,less";

/* Host keys of the image would be those of all its machines. Each machine makes its own when its
 * sshd starts. */
static const char host_keys_hook[] =
    "rm -f \"$1\"/etc/ssh/ssh_host_*_key \"$1\"/etc/ssh/ssh_host_*_key.pub; "
    "test ! -x \"$1/usr/sbin/sshd\" || { d=\"$1/etc/systemd/system/ssh.service.d\"; mkdir -p \"$d\"; "
    "printf '[Service]\\nExecStartPre=\\nExecStartPre=/usr/bin/ssh-keygen -A\\nExecStartPre=/usr/sbin/sshd -t\\n' "
    ">\"$d/holm-host-keys.conf\"; }";

struct run {
	const struct mmdebstrap *m;
	pid_t pid, watcher;
	int output, messages; /* ends of pipes */
	int alive;            /* end of the watcher's pipe: closes with us */
	struct buffer line;
	uint64_t received;
	char *complaint; /* first "E:" line: the later ones only say that what needed it failed too */
};

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
		return error_set(err, ENOENT,
		    "newuidmap is not installed; install the package uidmap (or fakechroot and fakeroot)");
	else
		return error_set(err, EPERM,
		    "%s has no subordinate ids; as root: usermod --add-subuids 100000-165535 --add-subgids "
		    "100000-165535 %s",
		    user, user);
	return 0;
}

/* mmdebstrap works there with other ids than ours, so every folder on the way must let others
 * through. */
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

static void make_argv(const struct mmdebstrap *m, const char *mode, struct strv *argv)
{
	AUTO_STRV struct strv lines = { 0 };
	strv_add(argv, "mmdebstrap");
	strv_add(argv, mode);
	strv_add(argv, "--variant=minbase");
	strv_add(argv, "--format=tar");
	strv_addf(argv, "--include=%s", packages);
	for (size_t i = 0; i < m->include->count; i++)
		strv_addf(argv, "--include=%s", m->include->items[i]);
	strv_add(argv, "--customize-hook=rm -f \"$1/etc/hostname\" \"$1/etc/resolv.conf\""); /* copies of this host's */
	strv_addf(argv, "--customize-hook=%s", host_keys_hook);
	if (m->takes_expired)
		strv_add(argv, "--aptopt=Acquire::Check-Valid-Until \"false\"");
	if (m->keyring)
		strv_addf(argv, "--keyring=%s", m->keyring);
	strv_add(argv, "--");
	strv_add(argv, m->suite);
	strv_add(argv, "-");
	if (m->mirror)
		strv_add(argv, m->mirror);
	else
		mirror_find(m->suite, &lines);
	strv_add_all(argv, &lines);
}

/* Interrupts the group once the pipe on its stdin ends. */
static int start_watcher(struct run *d, struct error **err)
{
	AUTOFREE char *group = xasprintf("-%d", (int)d->pid);
	const char *argv[] = { "/bin/sh", "-c", "read -r nothing; kill -INT -- \"$1\"", "holm-watcher", group, NULL };
	int ends[2];
	int r = fd_pipe(ends);
	if (r < 0)
		return error_set_errno(err, r, "cannot make a pipe");
	d->alive = ends[1];
	AUTO_FD int theirs = ends[0];
	struct spawn_fd fds[] = { { .from = theirs, .to = 0 } };
	/* In a group of its own: what interrupts us must not reach it. */
	struct spawn_options s = {
		.argv = (char *const *)argv,
		.fds = fds,
		.fd_count = 1,
		.directory = "/",
		.new_group = 1,
	};
	return spawn(&s, &d->watcher, err);
}

static void stop_watcher(struct run *d)
{
	int status;
	if (d->watcher > 0) {
		kill(d->watcher, SIGKILL);
		spawn_wait(d->watcher, &status);
	}
	fd_close(TAKE_FD(d->alive));
}

static int start(struct run *d, const char *mode, struct error **err)
{
	AUTO_STRV struct strv argv = { 0 }, environment = { 0 };
	extern char **environ;
	int out[2], messages[2];
	make_argv(d->m, mode, &argv);
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
	struct spawn_options s = {
		.argv = strv_argv(&argv),
		.environment = strv_argv(&environment),
		.fds = fds,
		.fd_count = 2,
		.directory = "/",
		.new_group = 1,
		.in_child = set_umask,
	};
	return spawn(&s, &d->pid, err);
}

static void handle_line(struct run *d, char *line)
{
	const char *text = startswith(line, "I: ");
	if (startswith(line, "E: ") && !d->complaint)
		d->complaint = xstrdup(line + 3);
	/* Stages end in dots; how it cleans up after a failure is of no use to anybody. */
	if (text && d->received == 0 && !d->complaint && endswith(text, "...") && interrupt_check(NULL) == 0) {
		progress_state(d->m->progress, d->m->bar, text);
		progress_note(d->m->progress, "mmdebstrap: %s", text);
	}
}

/* Takes the messages apart into lines. */
static ssize_t read_messages(struct run *d)
{
	ssize_t n = buffer_read(&d->line, d->messages, LINE_MAX_SIZE - d->line.size);
	char *end;
	while (
	    d->line.size > 0 && ((end = memchr(d->line.data, '\n', d->line.size)) || d->line.size == LINE_MAX_SIZE)) {
		size_t length = end ? (size_t)(end - d->line.data) : d->line.size;
		AUTOFREE char *line = xstrndup(d->line.data, length);
		buffer_consume(&d->line, length + (end ? 1 : 0));
		handle_line(d, line);
	}
	return n;
}

static int read_output(struct run *d, char *piece, struct error **err)
{
	ssize_t n = read(d->output, piece, PIECE);
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 1 :
							   error_set_errno(err, errno, "cannot read from mmdebstrap");
	if (n == 0)
		return 0;
	if (d->received == 0)
		progress_state(d->m->progress, d->m->bar, NULL);
	int r = d->m->on_output(piece, n, d->m->data, err);
	d->received += n;
	progress_update(d->m->progress, d->m->bar, d->received);
	return r < 0 ? r : 1;
}

/* Until both pipes have ended. */
static int pump(struct run *d, struct error **err)
{
	AUTOFREE char *piece = xmalloc(PIECE);
	uint64_t deadline = clock_deadline(TIMEOUT_MS);
	while (d->output >= 0 || d->messages >= 0) {
		struct pollfd fds[] = { { .fd = d->output, .events = POLLIN }, { .fd = d->messages, .events = POLLIN },
			{ .fd = interrupt_fd(), .events = POLLIN } };
		int n = poll(fds, ARRAY_SIZE(fds), clock_left_ms(deadline)), r = interrupt_check(err);
		if (r < 0)
			return r;
		if (n == 0)
			return error_set(err, ETIMEDOUT,
			    "mmdebstrap has not finished after two hours; is the mirror reachable?");
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

/* Ends it as Ctrl-C on a terminal does, and by force when it does not listen. Its messages are read
 * on, or it would block on them. */
static void stop(struct run *d)
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

/* The remedy for a known complaint, or "". */
static const char *remedy(const struct run *d)
{
	static const struct {
		const char *part, *remedy;
	} known[] = {
		{ " is expired", "; --no-check-valid-until takes it all the same" },
		{ "NO_PUBKEY", "; --keyring names a file with its key" },
		{ "EXPKEYSIG", "; --keyring names a file with a newer key" },
	};
	for (size_t i = 0; d->complaint && i < ARRAY_SIZE(known); i++)
		if (strstr(d->complaint, known[i].part))
			return known[i].remedy;
	return "";
}

static int run(struct run *d, const char *mode, struct error **err)
{
	int status = 0, r = start(d, mode, err);
	if (r < 0)
		return r;
	r = start_watcher(d, err);
	if (r == 0)
		r = pump(d, err);
	if (r < 0)
		stop(d);
	spawn_wait(d->pid, &status);
	stop_watcher(d);
	if (r == 0 && status != 0)
		r = error_set(err, EIO, "cannot make %s: mmdebstrap: %.400s%s", d->m->suite,
		    d->complaint ? d->complaint : "failed", remedy(d));
	return r;
}

int mmdebstrap_run(const struct mmdebstrap *m, struct error **err)
{
	struct run d = { .m = m, .output = -1, .messages = -1, .alive = -1 };
	const char *mode = NULL;
	int r = choose_mode(&mode, err);
	if (r < 0)
		return r;
	buffer_init(&d.line, LINE_MAX_SIZE);
	r = run(&d, mode, err);
	fd_close(d.output);
	fd_close(d.messages);
	buffer_done(&d.line);
	free(d.complaint);
	return r;
}
