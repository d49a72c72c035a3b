/* SPDX-License-Identifier: Apache-2.0
 * holm-keeper NAME [--stops=N] [--rescue]: the process of one running machine.
 *
 * It is started by whoever needs the machine, and reports on descriptor 3, in one line, whether it
 * can be talked to: see docs/keeper-api.md. It shares nothing with its starter after that: no
 * descriptors, own session. The lock on the machine is what "running" means; everything else is
 * done while holding it, the configuration is read under it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/path.h"
#include "http/http.h"
#include "keeper/api/api.h"
#include "keeper/api/listen.h"
#include "keeper/docker/docker.h"
#include "keeper/keeper.h"

enum { REPORT_FD = 3, LEASH_FD = 4, BOOT_TIMEOUT_MS = 180 * 1000, SIGNAL_STOP_MS = 30 * 1000, LOG_MAX = 1024 * 1024 };

struct program {
	const char *name;
	int rescue;
	int64_t stops_before; /* of the machine, when the command began that started us; -1: unknown */
	int report;           /* descriptor 3, or -1 */
	int leash;            /* descriptor 4 of a rescue: it ends when whoever wanted it is gone; or -1 */
	int lock;
	struct machine *machine;
	char *socket_path, *runtime_dir, *log_dir, *warning;
	const struct isolation_ops *isolation;
	struct loop *loop;
	struct http_server *server;
	struct docker_service *docker; /* NULL: the machine has no containers */
	struct keeper *keeper;
	struct source *leash_source;
	int stops; /* signals so far */
};

static void report(struct program *p, const char *line)
{
	if (p->report >= 0)
		(void)fd_write_full(p->report, line, strlen(line));
	fd_close(TAKE_FD(p->report));
}

static int report_error(struct program *p, int code, const struct error *err)
{
	const char *name = strerrorname_np(-code);
	AUTOFREE char *line = xasprintf("error %s %s\n", name ? name : "EIO", error_text(err, code));
	if (p->report < 0)
		log_error("%s", error_text(err, code));
	report(p, line);
	return EXIT_HOLM;
}

/* Away from the starter: nothing of its is kept open, its terminal and its folder are not ours. */
static void start_clean(struct program *p)
{
	int kept[2];
	size_t count = 0;
	fd_fix_standard();
	p->report = fcntl(REPORT_FD, F_GETFD) < 0 ? -1 : REPORT_FD;
	p->leash = !p->rescue || fcntl(LEASH_FD, F_GETFD) < 0 ? -1 : LEASH_FD;
	if (p->report >= 0)
		kept[count++] = p->report;
	if (p->leash >= 0)
		kept[count++] = p->leash;
	fd_close_from(REPORT_FD, kept, count);
	for (size_t i = 0; i < count; i++)
		fd_set_cloexec(kept[i], 1);
	setsid();
	umask(077);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR1, SIG_IGN); /* until there is a socket to open again */
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (chdir("/") < 0)
		log_debug("cannot change to /: %s", strerror(errno));
}

static int redirect_to_log(struct program *p, struct error **err)
{
	AUTOFREE char *path = path_join(p->log_dir, "boot.log");
	AUTO_FD int log = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	AUTO_FD int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (log < 0 || null < 0)
		return error_set_errno(err, errno, "cannot open %s", path);
	if (dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
		return error_set_errno(err, errno, "dup2");
	log_set_times(1);
	log_set_limit(LOG_MAX); /* the agent's reports are logged, and it may send any number */
	return 0;
}

static uint64_t boot_timeout(void)
{
	uint64_t ms;
	const char *text = getenv("HOLM_BOOT_TIMEOUT_MS");
	return text && parse_u64(text, &ms) == 0 && ms > 0 ? ms : BOOT_TIMEOUT_MS;
}

static void on_ended(int code, void *data)
{
	loop_exit(((struct program *)data)->loop, code < 0 ? 1 : 0);
}

static void on_signal(struct source *s, int number, void *data)
{
	struct program *p = data;
	log_info("signal %d: stopping", number);
	keeper_stop(p->keeper, p->stops++ ? 0 : SIGNAL_STOP_MS, NULL, NULL);
}

/* Nobody writes to it: it ends with the process that holds the other end. Else a rescue that was
 * given up would run for ever. */
static void on_leash(struct source *s, int fd, uint32_t events, void *data)
{
	struct program *p = data;
	source_set_events(s, 0);
	source_free(TAKE_PTR(p->leash_source));
	log_info("who started the rescue is gone: stopping");
	keeper_stop(p->keeper, SIGNAL_STOP_MS, NULL, NULL);
}

static int resolve_isolation(struct program *p, struct error **err)
{
	enum machine_isolation resolved;
	int r = isolation_resolve(p->machine, &resolved, &p->warning, err);
	if (r < 0)
		return r;
	p->isolation = isolation_table(resolved, err);
	return p->isolation ? 0 : -EOPNOTSUPP;
}

static int make_keeper(struct program *p, struct error **err)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
	int r = loop_new(&p->loop);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(signals); i++)
		r = loop_add_signal(p->loop, signals[i], on_signal, p, NULL);
	if (r == 0 && p->leash >= 0)
		r = loop_add_io(p->loop, p->leash, EPOLLIN, on_leash, p, &p->leash_source);
	if (r < 0)
		return error_set_errno(err, r, "event loop");
	const struct keeper_options options = {
		.machine = p->machine,
		.isolation = p->isolation,
		.runtime_dir = p->runtime_dir,
		.log_dir = p->log_dir,
		.warning = p->warning,
		.rescue = p->rescue,
		.boot_timeout_ms = boot_timeout(),
		.ended = on_ended,
		.data = p,
	};
	return keeper_new(p->loop, &options, &p->keeper, err);
}

/* A client found nobody at the socket's place while the lock was held: the runtime folder was
 * deleted (logind does that at the last logout). Connections that exist are not touched. */
static void on_socket_lost(struct source *s, int number, void *data)
{
	struct program *p = data;
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *path =
	    machine_socket_path(p->name, &err); /* makes the folder, in another place if the first is gone */
	int fd = path ? keeper_listen(path, &err) : -1;
	if (fd < 0 || http_server_listen(p->server, fd) < 0 || machine_lock_announce(p->lock, path, &err) < 0) {
		log_warning("cannot open the socket again: %s", error_text(err, EIO));
		return;
	}
	AUTOFREE char *folder = path_parent(path);
	if (p->docker && docker_service_reopen(p->docker, folder, &err) < 0)
		log_warning("%s", error_text(err, EIO));
	free(p->socket_path);
	free(p->runtime_dir);
	p->runtime_dir = path_parent(path);
	p->socket_path = TAKE_PTR(path);
	log_info("opened the socket again");
}

/* The socket is announced before this look. A stop either connects to it, or came early enough to
 * be seen here. */
static int check_stops(const struct program *p, struct error **err)
{
	if (p->stops_before < 0 || machine_stops(p->name) == p->stops_before)
		return 0;
	return error_set(err, ECANCELED, "machine \"%s\" was stopped while it was starting", p->name);
}

static int open_socket(struct program *p, struct error **err)
{
	AUTO_FD int fd = keeper_listen(p->socket_path, err);
	if (fd < 0)
		return fd;
	int r = http_server_new(p->loop, api_routes, p->keeper, &p->server);
	if (r == 0)
		r = http_server_listen(p->server, TAKE_FD(fd));
	if (r == 0 && p->isolation->container_form && !p->rescue)
		r = docker_service_new(p->keeper, p->runtime_dir, &p->docker, err);
	return r == 0 ? loop_add_signal(p->loop, SIGUSR1, on_socket_lost, p, NULL) : r;
}

/* Everything up to the point where clients can connect. */
static int prepare(struct program *p, struct error **err)
{
	p->lock = machine_lock(p->name, 0, err);
	if (p->lock < 0)
		return p->lock;
	int r = machine_load(p->name, &p->machine, err);
	if (r < 0)
		return r;
	p->log_dir = machine_dir(p->name);
	p->socket_path = machine_socket_path(p->name, err);
	if (!p->socket_path)
		return -EIO;
	p->runtime_dir = path_parent(p->socket_path);
	if ((r = redirect_to_log(p, err)) < 0 || (r = resolve_isolation(p, err)) < 0 || (r = make_keeper(p, err)) < 0)
		return r;
	if ((r = open_socket(p, err)) < 0 || (r = machine_lock_announce(p->lock, p->socket_path, err)) < 0)
		return r;
	return check_stops(p, err);
}

static void clean_up(struct program *p)
{
	http_server_free(p->server);
	docker_service_free(p->docker);
	keeper_free(p->keeper);
	source_free(p->leash_source);
	loop_free(p->loop);
	if (p->lock >= 0 && p->socket_path) {
		unlink(p->socket_path);
		rmdir(p->runtime_dir);
	}
	machine_free(p->machine);
	free(p->socket_path);
	free(p->runtime_dir);
	free(p->log_dir);
	free(p->warning);
	fd_close(p->lock); /* last: now somebody else may start */
	fd_close(p->report);
	fd_close(p->leash);
}

static int parse_arguments(struct program *p, int argc, char **argv)
{
	uint64_t stops;
	for (int i = 1; i < argc; i++) {
		if (streq(argv[i], "--rescue"))
			p->rescue = 1;
		else if (startswith(argv[i], "--stops=") && parse_u64(startswith(argv[i], "--stops="), &stops) == 0 &&
			 stops <= INT64_MAX)
			p->stops_before = (int64_t)stops;
		else if (!p->name && argv[i][0] != '-')
			p->name = argv[i];
		else
			return -EINVAL;
	}
	return p->name ? 0 : -EINVAL;
}

int main(int argc, char **argv)
{
	struct program p = { .report = -1, .leash = -1, .lock = -1, .stops_before = -1 };
	AUTO_ERROR struct error *err = NULL;
	log_set_program("holm-keeper");
	int understood = parse_arguments(&p, argc, argv);
	start_clean(&p);
	if (understood < 0) {
		error_set(&err, EINVAL, "usage: holm-keeper NAME [--stops=N] [--rescue]");
		return report_error(&p, -EINVAL, err);
	}
	int r = prepare(&p, &err);
	if (r == 0) {
		report(&p, "ready\n");
		keeper_start(p.keeper);
		r = loop_run(p.loop);
	} else if (r == -EWOULDBLOCK) {
		report(&p, "busy\n");
	} else {
		r = report_error(&p, r, err);
	}
	clean_up(&p);
	return r < 0 ? EXIT_HOLM : r;
}
