/* SPDX-License-Identifier: Apache-2.0
 * See ssh.h. OpenSSH's ssh-agent is a set-group-id program, so no death signal reaches it. It runs
 * as the parent of a command, which ends when the builder's end of a pipe is closed, and ssh-agent
 * with it. Its socket is in a folder of the library, and gone before the command of RUN starts. */
#include "image/builder/ssh.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/spawn.h"
#include "image/builder/upload.h"

#define SOCKET "s" /* in the folder */

enum { PROGRAM_MS = 10 * 1000, OUTPUT_MAX = 64 * 1024, KEYS_MAX = 64 };

extern char **environ;

/* ---- the texts ---- */

/* Of "ID[=PATH[,PATH]]". */
struct source {
	char *id;
	struct strv paths; /* none: $SSH_AUTH_SOCK */
};

static void source_done(struct source *s)
{
	free(s->id);
	strv_done(&s->paths);
}
#define AUTO_SOURCE CLEANUP(source_done)

static void read_source(const char *text, struct source *ret)
{
	const char *equals = strchr(text, '=');
	ret->id = xstrndup(text, equals ? (size_t)(equals - text) : strlen(text));
	if (equals)
		strv_split(&ret->paths, equals + 1, ",");
}

static int find_source(const struct strv *given, const char *id, struct source *ret)
{
	for (size_t i = 0; given && i < given->count; i++) {
		AUTO_SOURCE struct source s = { 0 };
		read_source(given->items[i], &s);
		if (!streq(s.id, id))
			continue;
		*ret = s;
		s = (struct source){ 0 };
		return 1;
	}
	return 0;
}

int build_ssh_is_given(const struct strv *given, const char *id)
{
	AUTO_SOURCE struct source s = { 0 };
	return find_source(given, id, &s);
}

/* Whether the paths are one socket: 1; keys: 0; -errno. */
static int is_socket(const char *text, const struct source *s, struct error **err)
{
	int sockets = 0;
	for (size_t i = 0; i < s->paths.count; i++) {
		struct stat st;
		if (stat(s->paths.items[i], &st) < 0)
			return error_set_errno(err, errno, "--ssh \"%.200s\": \"%.200s\"", text, s->paths.items[i]);
		if (!S_ISSOCK(st.st_mode) && !S_ISREG(st.st_mode))
			return error_set(err, EINVAL, "--ssh \"%.200s\": \"%.200s\" is neither a socket nor a key",
			    text, s->paths.items[i]);
		sockets += S_ISSOCK(st.st_mode) != 0;
	}
	if (sockets && s->paths.count > 1)
		return error_set(err, EINVAL, "--ssh \"%.200s\": write one socket alone, or key files", text);
	return sockets;
}

static int check_one(const char *text, struct error **err)
{
	AUTO_SOURCE struct source s = { 0 };
	const char *own = getenv("SSH_AUTH_SOCK");
	read_source(text, &s);
	if (!*s.id || s.paths.count > KEYS_MAX)
		return error_set(err, EINVAL, "--ssh \"%.200s\": write default, ID, ID=SOCKET or ID=KEY[,KEY]", text);
	if (!s.paths.count && (!own || !*own))
		return error_set(err, ENOENT,
		    "--ssh \"%.200s\": SSH_AUTH_SOCK is not set; start an ssh agent, or write %.60s=KEY", text, s.id);
	return MIN(is_socket(text, &s, err), 0);
}

int build_ssh_check(const struct strv *given, struct error **err)
{
	int r = 0;
	for (size_t i = 0; given && r == 0 && i < given->count; i++)
		r = check_one(given->items[i], err);
	return r;
}

/* A word of a shell, for GIT_SSH_COMMAND. */
static void add_quoted(struct buffer *b, const char *text)
{
	buffer_append_string(b, "'");
	for (; *text; text++)
		(void)(*text == '\'' ? buffer_append_string(b, "'\\''") : buffer_append(b, text, 1));
	buffer_append_string(b, "'");
}

void build_ssh_add_git(const struct strv *given, struct strv *environment)
{
	AUTO_SOURCE struct source s = { 0 };
	AUTO_BUFFER struct buffer command;
	buffer_init(&command, OUTPUT_MAX);
	buffer_append_string(&command, "GIT_SSH_COMMAND=ssh -o BatchMode=yes -o ConnectTimeout=30");
	int sockets = find_source(given, BUILD_SSH_DEFAULT, &s) ? is_socket("", &s, NULL) : -ENOENT;
	if (sockets == 1)
		strv_setenv(environment, "SSH_AUTH_SOCK", s.paths.items[0]);
	for (size_t i = 0; sockets == 0 && i < s.paths.count; i++) {
		buffer_append_string(&command, i ? " -i " : " -o IdentitiesOnly=yes -i ");
		add_quoted(&command, s.paths.items[i]);
	}
	strv_add(environment, buffer_string(&command));
}

/* ---- the user's agent ---- */

static int connect_at(const char *path, struct error **err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof address.sun_path)
		return error_set(err, ENAMETOOLONG, "the ssh agent's socket has too long a path");
	memcpy(address.sun_path, path, strlen(path) + 1);
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* An agent that accepts nobody keeps connect(2) waiting. */
	const struct timeval patience = { .tv_sec = PROGRAM_MS / 1000 };
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0 ||
	    connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
		return error_set_errno(err, errno, "cannot reach the ssh agent at %s", path);
	return TAKE_FD(fd);
}

/* ---- an agent for keys ---- */

/* Starts a program in the folder. out: the write end of a pipe for its stdout and stderr. */
static int start(char *const *argv, const char *folder, int in, int out, pid_t *ret, struct error **err)
{
	AUTO_STRV struct strv environment = { 0 };
	for (char **e = environ; *e; e++)
		if (!startswith(*e, "SSH_") && !startswith(*e, "DISPLAY=") && !startswith(*e, "LC_ALL="))
			strv_add(&environment, *e);
	strv_add(&environment, "SSH_AUTH_SOCK=" SOCKET);
	strv_add(&environment, "SSH_ASKPASS_REQUIRE=never");
	strv_add(&environment, "LC_ALL=C");
	const struct spawn_fd fds[] = { { out, 1 }, { out, 2 }, { in, 0 } };
	const struct spawn_options o = { .argv = argv,
		.environment = strv_argv(&environment),
		.fds = fds,
		.fd_count = in < 0 ? 2 : 3,
		.directory = folder,
		.death_signal = SIGKILL,
		.new_session = 1 };
	int r = spawn(&o, ret, err);
	if (r == -ENOENT) {
		error_clear(err);
		return error_set(err, ENOENT,
		    "the program %s is missing, which --ssh with key files needs; install the package openssh-client",
		    argv[0]);
	}
	return r;
}

/* Reads to the end, or, with whole 0, the first line. 0 or -errno. */
static int read_output(int fd, int whole, struct buffer *to)
{
	uint64_t deadline = clock_deadline(PROGRAM_MS);
	while (whole || !to->size || !memchr(to->data, '\n', to->size)) {
		int r = fd_wait(fd, POLLIN, deadline);
		ssize_t n = r == 1 ? buffer_read(to, fd, OUTPUT_MAX) : r == 0 ? -ETIMEDOUT : r;
		if (n == 0)
			return whole ? 0 : -EPIPE;
		if (n < 0 && n != -EINTR)
			return (int)n;
	}
	return 0;
}

/* ssh-agent, whose command says its number and ends with the pipe `alive`. */
static int start_agent(const char *folder, struct ssh_agent *a, struct error **err)
{
	static char *const argv[] = { (char *)"ssh-agent", (char *)"-a", (char *)SOCKET, (char *)"sh", (char *)"-c",
		(char *)"echo $SSH_AGENT_PID; exec cat >/dev/null", NULL };
	AUTO_BUFFER struct buffer output;
	int in[2], out[2];
	uint32_t pid = 0;
	buffer_init(&output, OUTPUT_MAX);
	if (fd_pipe(in) < 0)
		return error_set_errno(err, errno, "cannot start ssh-agent");
	AUTO_FD int theirs = in[0];
	a->alive = in[1];
	if (fd_pipe(out) < 0)
		return error_set_errno(err, errno, "cannot start ssh-agent");
	AUTO_FD int reading = out[0];
	int r = start(argv, folder, theirs, out[1], &a->command, err);
	fd_close(out[1]);
	if (r < 0)
		return r;
	r = read_output(reading, 0, &output);
	AUTOFREE char *line = xstrndup(buffer_string(&output), strcspn(buffer_string(&output), "\n"));
	if (r < 0 || parse_u32(line, &pid) < 0 || pid < 2 || pid > INT_MAX)
		return error_set(err, EIO, "ssh-agent does not start: %.200s", *line ? line : "it says nothing");
	a->pid = (pid_t)pid;
	return 0;
}

static int add_key(const char *folder, const char *key, struct error **err)
{
	AUTOFREE char *path = realpath(key, NULL);
	AUTO_BUFFER struct buffer output;
	int out[2], status = 0;
	pid_t pid = 0;
	buffer_init(&output, OUTPUT_MAX);
	if (!path || fd_pipe(out) < 0)
		return error_set_errno(err, errno, "--ssh: \"%.200s\"", key);
	AUTO_FD int reading = out[0];
	char *const argv[] = { (char *)"ssh-add", (char *)"-q", (char *)"--", path, NULL };
	int r = start(argv, folder, -1, out[1], &pid, err);
	fd_close(out[1]);
	if (r < 0)
		return r;
	r = read_output(reading, 1, &output);
	if (r < 0)
		kill(pid, SIGKILL);
	(void)spawn_wait(pid, &status);
	if (r == 0 && status == 0)
		return 0;
	AUTOFREE char *said = xstrndup(buffer_string(&output), output.size);
	said[strcspn(said, "\n")] = '\0';
	return error_set(err, EINVAL,
	    "--ssh: ssh-add does not take the key \"%.200s\": %.200s; a key with a passphrase needs an agent of yours",
	    key, *said && *said != '@' ? said : "it has a passphrase, or others may read it, or it is none");
}

static int open_keys(struct library *l, const struct source *s, struct ssh_agent *a, struct error **err)
{
	CLEANUP(build_upload_done) struct build_upload folder = { .library = l };
	AUTO_FD int directory = build_upload_make_folder(&folder, err);
	int r = directory < 0 ? directory : start_agent(folder.folder, a, err);
	for (size_t i = 0; r == 0 && i < s->paths.count; i++)
		r = add_key(folder.folder, s->paths.items[i], err);
	AUTOFREE char *path = xasprintf("/proc/self/fd/%d/" SOCKET, directory);
	a->fd = r < 0 ? r : connect_at(path, err);
	return MIN(a->fd, 0);
}

int ssh_agent_open(struct library *l, const struct strv *given, const char *id, struct ssh_agent *ret,
    struct error **err)
{
	AUTO_SOURCE struct source s = { 0 };
	const char *own = getenv("SSH_AUTH_SOCK");
	*ret = (struct ssh_agent){ .fd = -1, .alive = -1 };
	if (!find_source(given, id, &s))
		return error_set(err, ENOENT, "there is no --ssh %.60s", id);
	int r = is_socket(id, &s, err);
	if (r < 0)
		return r;
	if (s.paths.count && r == 0)
		return open_keys(l, &s, ret, err);
	ret->fd = connect_at(s.paths.count ? s.paths.items[0] : own ? own : "", err);
	return MIN(ret->fd, 0);
}

void ssh_agent_close(struct ssh_agent *a)
{
	int status;
	fd_close(a->fd);
	/* The number is good as long as the command runs, which this pipe holds. */
	if (a->pid)
		kill(a->pid, SIGTERM);
	fd_close(a->alive);
	/* An ssh-agent that did not start reads no pipe. */
	if (a->command) {
		kill(a->command, SIGKILL);
		(void)spawn_wait(a->command, &status);
	}
	*a = (struct ssh_agent){ .fd = -1, .alive = -1 };
}
