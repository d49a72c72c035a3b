/* SPDX-License-Identifier: Apache-2.0
 * See git.h. */
#include "image/builder/git.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/reserve.h"
#include "base/spawn.h"
#include "base/strv.h"
#include "docker/route.h"
#include "image/builder/ssh.h"
#include "image/common/interrupt.h"

enum {
	GIT_MS = 30 * 60 * 1000,
	ASK_MS = 2 * 60 * 1000,
	LOOK_MS = 250,
	STOP_MS = 2000,
	ROOM = 4096,
	OUTPUT_MAX = 1 << 20,
	TAIL = 4096,
	URL_MAX = 4096,
	SHA1 = 40,
	SHA256 = 64,
	COMMIT_MIN = 7
};

#define NOWHERE "/" /* the directory of a git that writes nothing */

extern char **environ;

static const struct strv *ssh_given; /* --ssh, for the whole process */

void git_use_ssh(const struct strv *given)
{
	ssh_given = given;
}

void git_place_done(struct git_place *p)
{
	free(p->url);
	free(p->ref);
	free(p->subdir);
	free(p->commit);
	free(p->problem);
}

/* ---- names ---- */

static int is_repository(const char *url, size_t size)
{
	static const char *const schemes[] = { "git://", "ssh://", "git@" };
	AUTOFREE char *text = xstrndup(url, size);
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++)
		if (startswith(text, schemes[i]))
			return 1;
	return (startswith(text, "http://") || startswith(text, "https://")) && endswith(text, ".git");
}

static int is_commit(const char *text)
{
	size_t n = text ? strlen(text) : 0;
	return (n == SHA1 || n == SHA256) && text[strspn(text, "0123456789abcdef")] == '\0';
}

static void complain(struct git_place *p, const char *problem, const char *what)
{
	if (!p->problem)
		p->problem = xasprintf("%s \"%.80s\"", problem, what);
}

static void set_ref(struct git_place *p, const char *prefix, const char *ref)
{
	if (p->ref)
		complain(p, "a second branch, tag or ref", ref);
	else
		p->ref = xasprintf("%s%s", prefix, ref);
}

static void set_subdir(struct git_place *p, const char *subdir)
{
	AUTOFREE char *absolute = xasprintf("/%s", subdir);
	if (p->subdir)
		complain(p, "a second directory", subdir);
	else
		p->subdir = path_normalize(absolute);
}

static void set_commit(struct git_place *p, const char *value)
{
	if (strlen(value) < COMMIT_MIN || value[strspn(value, "0123456789abcdef")] || p->commit)
		complain(p, "the checksum is no commit, or there are two:", value);
	else
		p->commit = xstrdup(value);
}

static void set_key(struct git_place *p, const char *key, const char *value)
{
	int on = 1;
	if (streq(key, "ref"))
		set_ref(p, "", value);
	else if (streq(key, "branch"))
		set_ref(p, "refs/heads/", value);
	else if (streq(key, "tag"))
		set_ref(p, "refs/tags/", value);
	else if (streq(key, "subdir"))
		set_subdir(p, value);
	else if (streq(key, "checksum") || streq(key, "commit"))
		set_commit(p, value);
	else if (!streq(key, "keep-git-dir") && !streq(key, "submodules"))
		complain(p, "there are ref, branch, tag, subdir, checksum, keep-git-dir and submodules, and no", key);
	else if (*value && parse_bool(value, &on) < 0)
		complain(p, "neither true nor false:", value);
	else if (*key == 'k')
		p->keeps = on;
	else
		p->is_bare = !on;
}

static void read_query(struct git_place *p, const char *query)
{
	AUTO_STRV struct strv parts = { 0 };
	strv_split(&parts, query, "&");
	for (size_t i = 0; i < parts.count; i++) {
		AUTOFREE char *key = xstrndup(parts.items[i], strcspn(parts.items[i], "=")),
			      *one = xasprintf("?%s", parts.items[i]), *value = docker_query(one, key);
		if (*key)
			set_key(p, key, value ? value : "");
	}
}

int git_place_parse(const char *text, struct git_place *ret)
{
	size_t size = strcspn(text, "#"), whole = strcspn(text, "?#");
	const char *ref = text[size] ? text + size + 1 : "", *subdir = strchr(ref, ':');
	if (size > URL_MAX || !is_repository(text, whole))
		return 0;
	*ret = (struct git_place){ .url = xstrndup(text, whole) };
	AUTOFREE char *query = xstrndup(text + whole, size - whole), *name = xstrndup(ref, strcspn(ref, ":"));
	if (*query)
		read_query(ret, query + 1);
	if (*name)
		set_ref(ret, "", name);
	if (subdir && subdir[1])
		set_subdir(ret, subdir + 1);
	if (!ret->ref && is_commit(ret->commit))
		ret->ref = xstrdup(ret->commit);
	return 1;
}

/* A ref that git would take for an option, or for more than one ref. */
static int check(const struct git_place *p, struct error **err)
{
	static const char odd[] = " \t\n~^:?*[\\";
	if (p->problem)
		return error_set(err, EINVAL, "the query has %s", p->problem);
	if (p->ref && (*p->ref == '-' || strpbrk(p->ref, odd) || strstr(p->ref, "..")))
		return error_set(err, EINVAL, "\"%.80s\" is no branch, tag or commit of a git repository", p->ref);
	return 0;
}

/* ---- the program ---- */

static int set_umask(void *data)
{
	umask(022); /* modes of the files are those of the repository */
	return 0;
}

static void make_environment(struct strv *to)
{
	static const char *const own[] = { "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_TERMINAL_PROMPT=0", "GIT_ALLOW_PROTOCOL=http:https:ssh:git", "GIT_LFS_SKIP_SMUDGE=1", "LC_ALL=C" };
	for (char **e = environ; *e; e++)
		if (!startswith(*e, "GIT_") && !startswith(*e, "SSH_ASKPASS=") && !startswith(*e, "LC_ALL="))
			strv_add(to, *e);
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		strv_add(to, own[i]);
	build_ssh_add_git(ssh_given, to);
}

static void make_words(const char *directory, const char *const *words, struct strv *to)
{
	static const char *const settings[] = { "core.hooksPath=/dev/null", "core.fsmonitor=false", "gc.auto=0",
		"http.lowSpeedLimit=1", "http.lowSpeedTime=60", "core.autocrlf=false", "advice.detachedHead=false" };
	strv_add(to, "git");
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		strv_add(to, "-c");
		strv_add(to, settings[i]);
	}
	strv_add(to, "-C");
	strv_add(to, directory);
	for (; *words; words++)
		strv_add(to, *words);
}

struct running {
	pid_t pid;
	int out, errors;
	struct buffer output, tail;
};

static int start(struct running *g, struct strv *argv, struct error **err)
{
	AUTO_STRV struct strv environment = { 0 };
	int out[2], errors[2];
	make_environment(&environment);
	if (fd_pipe(out) < 0)
		return error_set_errno(err, errno, "cannot start git");
	g->out = out[0];
	AUTO_FD int their_out = out[1];
	if (fd_pipe(errors) < 0)
		return error_set_errno(err, errno, "cannot start git");
	g->errors = errors[0];
	AUTO_FD int their_errors = errors[1];
	const struct spawn_fd fds[] = { { their_out, 1 }, { their_errors, 2 } };
	const struct spawn_options o = { .argv = strv_argv(argv),
		.environment = strv_argv(&environment),
		.fds = fds,
		.fd_count = 2,
		.new_group = 1,
		.death_signal = SIGTERM,
		.in_child = set_umask };
	int r = spawn(&o, &g->pid, err);
	if (r == -ENOENT) {
		error_clear(err);
		return error_set(err, ENOENT, "the program git is missing; install the package git");
	}
	return r;
}

/* Reads one of the pipes: of the errors the end is kept. */
static int read_pipe(struct running *g, int *fd)
{
	struct buffer *to = fd == &g->out ? &g->output : &g->tail;
	if (to == &g->tail && to->size > TAIL)
		buffer_consume(to, to->size - TAIL);
	ssize_t n = buffer_read(to, *fd, TAIL);
	if (n == -ENOBUFS)
		return -EFBIG;
	if (n <= 0 && n != -EINTR)
		fd_close(TAKE_FD(*fd));
	return 0;
}

/* Waits for output and reads it. room: a descriptor of the file system that git fills, or -1. 0 or
 * -errno. */
static int follow_once(struct running *g, int room, uint64_t deadline, struct error **err)
{
	struct reserve reserve = { 0 };
	struct pollfd fds[] = { { .fd = g->out, .events = POLLIN }, { .fd = g->errors, .events = POLLIN },
		{ .fd = interrupt_fd(), .events = POLLIN } };
	int n = poll(fds, ARRAY_SIZE(fds), MIN(clock_left_ms(deadline), LOOK_MS)), r = interrupt_check(err);
	if (r == 0 && clock_left_ms(deadline) == 0)
		r = error_set(err, ETIMEDOUT, "git did not end in time");
	if (r == 0 && room >= 0)
		r = reserve_take(&reserve, room, ROOM, err);
	if (r == 0 && n > 0 && fds[0].revents && (r = read_pipe(g, &g->out)) < 0)
		return error_set(err, -r, "git says too much");
	return r == 0 && n > 0 && fds[1].revents ? read_pipe(g, &g->errors) : r;
}

static int follow(struct running *g, int room, uint64_t deadline, struct error **err)
{
	int r = 0;
	while (r == 0 && (g->out >= 0 || g->errors >= 0))
		r = follow_once(g, room, deadline, err);
	return r;
}

/* Waits until no process of git has the pipes. */
static void wait_for_end(struct running *g)
{
	char piece[TAIL];
	uint64_t deadline = clock_deadline(STOP_MS);
	while ((g->out >= 0 || g->errors >= 0) && clock_left_ms(deadline) > 0) {
		struct pollfd fds[] = { { .fd = g->out, .events = POLLIN }, { .fd = g->errors, .events = POLLIN } };
		if (poll(fds, ARRAY_SIZE(fds), clock_left_ms(deadline)) <= 0)
			continue;
		if (fds[0].revents && read(g->out, piece, sizeof piece) <= 0)
			fd_close(TAKE_FD(g->out));
		if (fds[1].revents && read(g->errors, piece, sizeof piece) <= 0)
			fd_close(TAKE_FD(g->errors));
	}
}

/* Ends git and the programs that it has started, which write to the folder. */
static void stop(struct running *g)
{
	kill(-g->pid, SIGTERM);
	wait_for_end(g);
	kill(-g->pid, SIGKILL);
	wait_for_end(g);
}

/* The first fatal line, or the last of all; owned. */
static char *complaint(struct running *g)
{
	AUTO_STRV struct strv lines = { 0 };
	const char *found = "it failed without a word";
	strv_split(&lines, buffer_string(&g->tail), "\n");
	for (size_t i = 0; i < lines.count; i++)
		if (*lines.items[i] && !startswith(found, "fatal: "))
			found = lines.items[i];
	return xstrdup(found);
}

/* Runs git in a directory. ret (or NULL): its output, owned. 0 or -errno. */
static int run(const char *directory, const char *const *words, uint64_t within_ms, char **ret, struct error **err)
{
	struct running g = { .out = -1, .errors = -1 };
	AUTO_STRV struct strv argv = { 0 };
	int status = 0;
	buffer_init(&g.output, OUTPUT_MAX);
	buffer_init(&g.tail, 3 * (size_t)TAIL);
	make_words(directory, words, &argv);
	AUTO_FD int room = streq(directory, NOWHERE) ? -1 : open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = start(&g, &argv, err);
	if (r == 0) {
		r = follow(&g, room, clock_deadline(within_ms), err);
		if (r < 0)
			stop(&g);
		(void)spawn_wait(g.pid, &status);
	}
	AUTOFREE char *why = complaint(&g);
	if (r == 0 && status)
		r = error_set(err, EIO, "git %s: %.300s", words[0], why);
	if (r == 0 && ret)
		*ret = buffer_take_string(&g.output);
	fd_close(g.out);
	fd_close(g.errors);
	buffer_done(&g.output);
	buffer_done(&g.tail);
	return r;
}

/* ---- commits ---- */

/* The commit of the line of `git ls-remote` that fits best; owned, or NULL. A tag's own commit has
 * the line with "^{}". */
static char *choose(const char *output, const char *ref)
{
	AUTO_STRV struct strv lines = { 0 }, wishes = { 0 };
	strv_addf(&wishes, "refs/tags/%s^{}", ref);
	strv_addf(&wishes, "refs/tags/%s", ref);
	strv_addf(&wishes, "refs/heads/%s", ref);
	strv_addf(&wishes, "%s^{}", ref);
	strv_add(&wishes, ref);
	strv_split(&lines, output, "\n");
	for (size_t w = 0; w < wishes.count; w++)
		for (size_t i = 0; i < lines.count; i++) {
			const char *tab = strchr(lines.items[i], '\t');
			AUTOFREE char *commit = tab ? xstrndup(lines.items[i], (size_t)(tab - lines.items[i])) : NULL;
			if (is_commit(commit) && streq(tab + 1, wishes.items[w]))
				return TAKE_PTR(commit);
		}
	return NULL;
}

int git_resolve(const struct git_place *p, char **ret_commit, struct error **err)
{
	AUTOFREE char *output = NULL, *peeled = p->ref ? xasprintf("%s^{}", p->ref) : NULL;
	const char *ref = p->ref ? p->ref : "HEAD";
	const char *const words[] = { "ls-remote", "--", p->url, ref, peeled, NULL };
	AUTOFREE char *commit = is_commit(p->ref) ? xstrdup(p->ref) : NULL;
	int r = check(p, err);
	if (r == 0 && !commit)
		r = run(NOWHERE, words, ASK_MS, &output, err);
	if (r < 0)
		return error_prefix(err, r, "repository \"%.200s\"", p->url);
	if (!commit && !(commit = choose(output, ref)))
		return error_set(err, ENOENT, "repository \"%.200s\" has no branch, tag or commit \"%.80s\"", p->url,
		    ref);
	if (p->commit && !startswith(commit, p->commit))
		return error_set(err, EBADMSG, "repository \"%.200s\": \"%.80s\" is commit %s, and not %s", p->url, ref,
		    commit, p->commit);
	*ret_commit = TAKE_PTR(commit);
	return 0;
}

/* Not each server gives one commit alone; then all branches and tags come. */
static int fetch(const struct git_place *p, const char *commit, const char *directory, struct error **err)
{
	const char *const one[] = { "fetch", "--quiet", "--no-tags", "--depth=1", "--", p->url, commit, NULL },
			  *const all[] = { "fetch", "--quiet", "--no-tags", "--", p->url,
				  "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*", NULL };
	int r = run(directory, one, GIT_MS, NULL, NULL);
	if (r == -ECANCELED)
		return interrupt_check(err);
	return r < 0 ? run(directory, all, GIT_MS, NULL, err) : 0;
}

static int has_submodules(const char *directory)
{
	AUTOFREE char *path = path_join(directory, ".gitmodules");
	struct stat st;
	return lstat(path, &st) == 0;
}

/* Whether an http URL has a name or a password, which a .git that is kept would give away. */
static int has_login(const char *url)
{
	const char *host = startswith(url, "http://");
	if (!host)
		host = startswith(url, "https://");
	return host && memchr(host, '@', strcspn(host, "/"));
}

/* Relative URLs of submodules begin at the repository's own. */
static int get_submodules(const struct git_place *p, const char *directory, int keeps, struct error **err)
{
	static const char *const update[] = { "submodule", "--quiet", "update", "--init", "--recursive", "--depth=1",
		NULL };
	const char *const origin[] = { "config", "remote.origin.url", p->url, NULL };
	int r = keeps && has_login(p->url) ? 0 : run(directory, origin, ASK_MS, NULL, err);
	return r < 0 ? r : run(directory, update, GIT_MS, NULL, err);
}

int git_checkout(const struct git_place *p, const char *commit, const char *directory, int keeps, struct error **err)
{
	static const char *const init[] = { "init", "--quiet", "--template=", NULL };
	const char *const checkout[] = { "checkout", "--quiet", "--detach", commit, "--", NULL };
	int r = check(p, err);
	if (r == 0)
		r = run(directory, init, ASK_MS, NULL, err);
	if (r == 0)
		r = fetch(p, commit, directory, err);
	if (r == 0)
		r = run(directory, checkout, GIT_MS, NULL, err);
	if (r == 0 && !p->is_bare && has_submodules(directory))
		r = get_submodules(p, directory, keeps || p->keeps, err);
	if (r < 0)
		return error_prefix(err, r, "repository \"%.200s\"", p->url);
	AUTO_FD int fd = keeps || p->keeps ? -1 : open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		path_remove_tree(fd, ".git");
	return 0;
}
