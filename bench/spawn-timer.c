/* SPDX-License-Identifier: Apache-2.0
 * Times whole processes: from before vfork to after wait, without a shell's noise; several commands
 * in turn, so that what disturbs one disturbs all.
 *
 *   spawn-timer [-n ROUNDS] [-t SECONDS] [-a] ::: [OPTION]... COMMAND... [::: …]
 *
 * In every round each command (a side) runs once, in the order given, stdin and stdout on
 * /dev/null. One line a side is printed: `COUNT MIN P50 P99 MAX`, microseconds. A side that fails
 * or takes longer than SECONDS (60) ends the run with status 1 and says which it was.
 *   -a          all rounds at once instead of one after the other (one side only); `{}` in an
 *               argument is the number of the round, from 1
 *   user=NAME   the side runs as this user (for root)
 *   every=K     the side takes part in each K-th round only: for slow ones beside quick ones
 *   ready       until the command says READY=1 to $NOTIFY_SOCKET (sd_notify(3)) instead of until it
 *               ends; then it is asked to end with SIGTERM and waited for */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SIDES_MAX = 16, ROUNDS_MAX = 100000 };

struct side {
	char **argv;
	const struct passwd *user;
	gid_t groups[64];
	int n_groups;
	long every;
	int ready;
	long *us;
	size_t count;
};

static struct side sides[SIDES_MAX];
static size_t n_sides;
static long rounds = 1, limit_s = 60;
static int at_once, devnull;

static void die(const char *what, const char *detail)
{
	fprintf(stderr, "spawn-timer: %s%s%s\n", what, detail ? ": " : "", detail ? detail : "");
	exit(2);
}

static long now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000L + t.tv_nsec / 1000;
}

/* The system calls themselves: between vfork and exec glibc's wrappers, which tell other threads,
 * have no business. */
static void become(const struct side *s)
{
	if (!s->user)
		return;
	if (syscall(SYS_setgroups, s->n_groups, s->groups) ||
	    syscall(SYS_setresgid, s->user->pw_gid, s->user->pw_gid, s->user->pw_gid) ||
	    syscall(SYS_setresuid, s->user->pw_uid, s->user->pw_uid, s->user->pw_uid))
		_exit(126);
}

static pid_t start(const struct side *s, char **argv)
{
	pid_t pid = vfork();
	if (pid < 0)
		die("vfork", strerror(errno));
	if (pid > 0)
		return pid;
	if (dup2(devnull, 0) < 0 || dup2(devnull, 1) < 0)
		_exit(126);
	become(s);
	execvp(argv[0], argv);
	_exit(127);
}

static volatile sig_atomic_t late;

static void on_alarm(int sig)
{
	late = 1;
}

/* Waits for the side's end; its time limit ends it. */
static int finish(pid_t pid)
{
	int status;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			die("waitpid", strerror(errno));
		if (late)
			kill(pid, SIGKILL);
	}
	return late ? -1 : status;
}

static void failed(const struct side *s, int status)
{
	fprintf(stderr, "spawn-timer: %s ", late ? "took too long:" : "failed:");
	for (char **a = s->argv; *a; a++)
		fprintf(stderr, "%s ", *a);
	if (!late && WIFEXITED(status))
		fprintf(stderr, "(exit status %d)", WEXITSTATUS(status));
	fputc('\n', stderr);
	exit(1);
}

/* The socket that sd_notify talks to, named by the environment. */
static int notify_socket(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const char *dir = getenv("TMPDIR");
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int n = snprintf(a.sun_path, sizeof(a.sun_path), "%s/notify.%d", dir ? dir : "/tmp", (int)getpid());
	if (fd < 0 || n < 0 || (size_t)n >= sizeof(a.sun_path) || bind(fd, (struct sockaddr *)&a, sizeof(a)))
		die("the socket for sd_notify", strerror(errno));
	setenv("NOTIFY_SOCKET", a.sun_path, 1);
	return fd;
}

static int says_ready(int fd)
{
	char text[4096];
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	return !strncmp(text, "READY=1", 7) || strstr(text, "\nREADY=1");
}

static long time_ready(const struct side *s)
{
	int fd = notify_socket(), ready = 0;
	long begin = now_us(), took = 0;
	pid_t pid = start(s, s->argv);
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		die("pidfd_open", strerror(errno));
	while (!ready) {
		struct pollfd p[] = { { .fd = fd, .events = POLLIN }, { .fd = pidfd, .events = POLLIN } };
		int n = poll(p, 2, (int)(limit_s * 1000 - (now_us() - begin) / 1000));
		if (n == 0)
			late = 1;
		if (n == 0 || (n > 0 && p[1].revents))
			break;
		ready = p[0].revents && says_ready(fd);
	}
	took = now_us() - begin;
	kill(pid, ready ? SIGTERM : SIGKILL);
	alarm((unsigned)limit_s);
	int status = finish(pid);
	alarm(0);
	close(pidfd);
	close(fd);
	unlink(getenv("NOTIFY_SOCKET"));
	unsetenv("NOTIFY_SOCKET");
	if (!ready || late)
		failed(s, status);
	return took;
}

static long time_end(const struct side *s)
{
	alarm((unsigned)limit_s);
	long begin = now_us();
	int status = finish(start(s, s->argv));
	long took = now_us() - begin;
	alarm(0);
	if (late || !WIFEXITED(status) || WEXITSTATUS(status))
		failed(s, status);
	return took;
}

/* A copy of an argument with every {} replaced. */
static char *with_number(const char *word, long number)
{
	char *copy = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&copy, &size);
	if (!f)
		die("memory", NULL);
	for (const char *at = word; *at;) {
		if (!strncmp(at, "{}", 2)) {
			fprintf(f, "%ld", number);
			at += 2;
		} else {
			fputc(*at++, f);
		}
	}
	fclose(f);
	return copy;
}

static char **numbered(char **argv, long number)
{
	size_t n = 0;
	while (argv[n])
		n++;
	char **copy = calloc(n + 1, sizeof(*copy));
	if (!copy)
		die("memory", NULL);
	for (size_t i = 0; i < n; i++)
		copy[i] = with_number(argv[i], number);
	return copy;
}

/* Every round at once; the times of each, from its own start. */
static void run_at_once(struct side *s)
{
	pid_t *pids = calloc((size_t)rounds, sizeof(*pids));
	long *begins = calloc((size_t)rounds, sizeof(*begins));
	int status;
	if (!pids || !begins)
		die("memory", NULL);
	alarm((unsigned)limit_s);
	for (long i = 0; i < rounds; i++) {
		begins[i] = now_us();
		pids[i] = start(s, numbered(s->argv, i + 1));
	}
	while (s->count < (size_t)rounds) {
		pid_t pid = waitpid(-1, &status, 0);
		for (long i = 0; i < rounds && pid < 0 && late; i++)
			if (pids[i] > 0)
				kill(pids[i], SIGKILL);
		if (late || !WIFEXITED(status) || WEXITSTATUS(status))
			failed(s, status);
		for (long i = 0; i < rounds; i++)
			if (pids[i] == pid) {
				s->us[s->count++] = now_us() - begins[i];
				pids[i] = 0;
			}
	}
	alarm(0);
	free(pids);
	free(begins);
}

static int smaller(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;
	return (x > y) - (x < y);
}

static void print_side(struct side *s)
{
	qsort(s->us, s->count, sizeof(*s->us), smaller);
	size_t last = s->count - 1;
	printf("%zu %ld %ld %ld %ld\n", s->count, s->us[0], s->us[(last + 1) / 2], s->us[(last * 99 + 50) / 100],
	    s->us[last]);
}

/* Options of a side stand before its command. */
static void parse_side(char **words)
{
	if (n_sides == SIDES_MAX)
		die("too many sides", NULL);
	struct side *s = &sides[n_sides++];
	s->every = 1;
	for (; *words; words++) {
		if (!strncmp(*words, "user=", 5)) {
			s->user = getpwnam(*words + 5);
			if (!s->user)
				die("no such user", *words + 5);
			struct passwd *copy = malloc(sizeof(*copy));
			if (!copy)
				die("memory", NULL);
			/* its numbers stay when getpwnam is used again; nobody looks at its texts
			 * later */
			*copy = *s->user;
			s->user = copy;
			s->n_groups = (int)(sizeof(s->groups) / sizeof(*s->groups));
			if (getgrouplist(*words + 5, copy->pw_gid, s->groups, &s->n_groups) < 0)
				die("too many groups", *words + 5);
		} else if (!strncmp(*words, "every=", 6)) {
			s->every = strtol(*words + 6, NULL, 10);
		} else if (!strcmp(*words, "ready")) {
			s->ready = 1;
		} else {
			break;
		}
	}
	if (!*words || s->every < 1)
		die("a side without a command, or every=0", NULL);
	s->argv = words;
	s->us = calloc((size_t)rounds, sizeof(*s->us));
	if (!s->us)
		die("memory", NULL);
}

static void parse(int argc, char **argv)
{
	int option;
	while ((option = getopt(argc, argv, "+n:t:a")) != -1) {
		switch (option) {
		case 'n':
			rounds = strtol(optarg, NULL, 10);
			break;
		case 't':
			limit_s = strtol(optarg, NULL, 10);
			break;
		case 'a':
			at_once = 1;
			break;
		default:
			exit(2);
		}
	}
	if (rounds < 1 || rounds > ROUNDS_MAX || limit_s < 1)
		die("-n and -t take a number above 0", NULL);
	for (char **word = argv + optind; *word;) {
		if (strcmp(*word, ":::"))
			die("a side begins with :::, not with", *word);
		*word++ = NULL;
		char **begin = word;
		while (*word && strcmp(*word, ":::"))
			word++;
		char *separator = *word;
		*word = NULL;
		parse_side(begin);
		*word = separator;
	}
	if (!n_sides || (at_once && n_sides > 1))
		die("no side, or more than one with -a", NULL);
}

int main(int argc, char **argv)
{
	struct sigaction on = { .sa_handler = on_alarm };
	devnull = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (devnull < 0 || sigaction(SIGALRM, &on, NULL))
		die("/dev/null", strerror(errno));
	parse(argc, argv);
	if (at_once)
		run_at_once(&sides[0]);
	for (long round = 0; round < rounds && !at_once; round++)
		for (struct side *s = sides; s < sides + n_sides; s++)
			if (round % s->every == 0)
				s->us[s->count++] = s->ready ? time_ready(s) : time_end(s);
	for (size_t i = 0; i < n_sides; i++)
		print_side(&sides[i]);
	return 0;
}
