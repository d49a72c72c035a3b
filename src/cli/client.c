/* SPDX-License-Identifier: Apache-2.0
 * Requests to a keeper, and the end of a machine. The truth about a machine is its lock and then
 * the keeper's own answer, never a word in a file. Starting one is in client_start.c. */
#include "cli/client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/path.h"
#include "http/http.h"

enum {
	STOP_EXTRA_MS = 30 * 1000,
	GONE_MS = 15 * 1000,
	CONFIG_LOCK_MS = 5 * 1000,
	STOPPING_MS = 1000,
	REVIVE_MS = 200,
	COMM_MAX = 64,
};

static int is_own(int fd)
{
	struct ucred who;
	socklen_t size = sizeof who;
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 && who.uid == geteuid();
}

static int connect_once(const char *path, struct error **err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	memcpy(address.sun_path, path, MIN(strlen(path) + 1, sizeof address.sun_path));
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set_errno(err, errno, "socket");
	if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
		return is_own(fd) ? TAKE_FD(fd) :
				    error_set(err, EPERM, "%s: the process there is another user's", path);
	if (errno == ENOENT || errno == ECONNREFUSED)
		return -ESRCH;
	return error_set_errno(err, errno, "%s", path);
}

int client_watch_socket(const char *name)
{
	AUTOFREE char *path = machine_file(name, "lock");
	AUTO_FD int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (fd < 0 || inotify_add_watch(fd, path, IN_MODIFY) < 0)
		return -1;
	return TAKE_FD(fd);
}

/* Connects to the socket that the keeper announced, or to the one of the name `beside` in its
 * folder. */
static int connect_announced(const char *name, const char *beside, struct error **err)
{
	AUTOFREE char *path = machine_socket_find(name), *folder = path && beside ? path_parent(path) : NULL;
	AUTOFREE char *other = folder ? path_join(folder, beside) : NULL;
	return path ? connect_once(other ? other : path, err) : -ESRCH;
}

/* The keeper that holds the machine's lock, or 0: whoever else holds it is none. */
static pid_t keeper_pid(const char *name)
{
	pid_t owner = machine_lock_owner(name);
	AUTOFREE char *comm_path = xasprintf("/proc/%d/comm", (int)owner), *comm = NULL;
	if (owner <= 0 || path_read_file(comm_path, COMM_MAX, &comm, NULL) < 0 || !streq(comm, "holm-keeper\n"))
		return 0;
	return owner;
}

int client_keeper_open(const char *name)
{
	pid_t pid = keeper_pid(name);
	AUTO_FD int fd = pid ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	/* Looked at again: the number may have become another's. */
	return fd >= 0 && keeper_pid(name) == pid ? TAKE_FD(fd) : -1;
}

/* The keeper lives (it holds the lock) and its socket is gone: the runtime folder was deleted, as
 * logind does at the last logout. Asks it to open the socket again and waits for that a moment: 1
 * when there is hope. Only a keeper understands that signal. */
static int revive_socket(const char *name)
{
	pid_t owner = keeper_pid(name);
	if (!owner)
		return 0;
	AUTO_FD int watch = client_watch_socket(name);
	return kill(owner, SIGUSR1) == 0 && fd_wait(watch, POLLIN, clock_deadline(REVIVE_MS)) == 1;
}

static int connect_or_revive(const char *name, const char *beside, struct error **err)
{
	int fd = connect_announced(name, beside, err);
	return fd == -ESRCH && revive_socket(name) ? connect_announced(name, beside, err) : fd;
}

int client_connect(const char *name, struct error **err)
{
	return connect_or_revive(name, NULL, err);
}

int client_connect_docker(const char *name, struct error **err)
{
	return connect_or_revive(name, "docker.sock", err);
}

int client_get(const char *name, const char *target, uint64_t deadline_ms, struct json_object **ret, struct error **err)
{
	AUTO_HTTP_RESPONSE struct http_response response = { .fd = -1 };
	AUTO_FD int fd = client_connect(name, err);
	if (fd < 0)
		return fd;
	int r = http_request(fd, "GET", target, NULL, NULL, deadline_ms, &response, err);
	return r < 0 ? r : http_response_json(&response, deadline_ms, ret, err);
}

int client_state(const char *name, uint64_t deadline_ms, struct json_object **ret, struct error **err)
{
	return client_get(name, "/v1/state", deadline_ms, ret, err);
}

const char *client_state_word(const char *name, uint64_t deadline_ms, struct json_object **ret_state)
{
	static const char *const words[] = { "starting", "running", "stopping" };
	AUTO_JSON struct json_object *state = NULL;
	const char *word;
	if (machine_is_running(name) != 1)
		return "stopped";
	int r = client_state(name, deadline_ms, &state, NULL);
	/* Locked without a socket: the keeper is between the two, at one end or the other; or rm,
	 * clone and the like hold a stopped machine. */
	if (r == -ESRCH)
		return machine_is_running(name) == 1 ? "starting" : "stopped";
	if (r < 0 || json_get_string(state, "state", &word, NULL) < 0)
		return "running";
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (!streq(words[i], word))
			continue;
		int paused = streq(word, "running") && json_get_string(state, "paused", &word, NULL) == 0;
		if (ret_state)
			*ret_state = TAKE_PTR(state);
		return paused ? "paused" : words[i];
	}
	return "running";
}

int client_call(const char *name, const char *method, const char *target, struct json_object *body,
    uint64_t deadline_ms, struct error **err)
{
	AUTO_HTTP_RESPONSE struct http_response response = { .fd = -1 };
	AUTO_JSON struct json_object *answer = NULL;
	AUTO_FD int fd = client_connect(name, err);
	if (fd < 0)
		return fd;
	int r = http_request(fd, method, target, NULL, body, deadline_ms, &response, err);
	return r < 0 ? r : http_response_json(&response, deadline_ms, &answer, err);
}

int client_wait_gone(const char *name, struct error **err)
{
	AUTO_ERROR struct error *why = NULL;
	AUTO_FD int lock = machine_lock(name, clock_deadline(GONE_MS), &why);
	if (lock == -EWOULDBLOCK)
		return error_set(err, ETIMEDOUT, "machine \"%s\" does not stop; see holm machine logs --boot %s", name,
		    name);
	if (lock < 0 && lock != -ENOENT)
		return error_set(err, -lock, "%s", error_text(why, lock));
	return 0;
}

int client_end(const char *name, uint64_t timeout_ms, struct error **err)
{
	AUTO_JSON struct json_object *body = json_object_new_object();
	AUTO_ERROR struct error *why = NULL;
	if (machine_is_running(name) != 1)
		return 0;
	json_add_u64(body, "timeout_ms", timeout_ms);
	int r = client_call(name, "POST", "/v1/stop", body, clock_deadline(timeout_ms + STOP_EXTRA_MS), &why);
	/* The socket may simply end with the machine; the lock tells. */
	if (r < 0 && r != -ESRCH && r != -ECONNRESET && machine_is_running(name) == 1 && r != -EPIPE)
		return error_set(err, -r, "machine \"%s\" cannot be stopped: %s", name, error_text(why, r));
	return client_wait_gone(name, err);
}

int client_stop(const char *name, uint64_t timeout_ms, struct error **err)
{
	/* First: a keeper that takes the lock after the look at it in client_end() sees this stop.
	 * A disk that is full is no reason to let the machine run. */
	machine_stops_add(name, NULL);
	return client_end(name, timeout_ms, err);
}

int client_lock_stopped(const char *name, struct client_locks *ret, struct error **err)
{
	AUTO_LOCKS struct client_locks l = CLIENT_LOCKS_NONE;
	AUTO_ERROR struct error *why = NULL;
	l.config = machine_config_lock(name, clock_deadline(CONFIG_LOCK_MS), err);
	if (l.config < 0)
		return l.config;
	/* A keeper that has just said goodbye may need a moment to exit. */
	int stopping = streq(client_state_word(name, clock_deadline(STOPPING_MS), NULL), "stopping");
	l.machine = machine_lock(name, stopping ? clock_deadline(GONE_MS) : clock_deadline(STOPPING_MS / 10), &why);
	if (l.machine == -EWOULDBLOCK)
		return error_set(err, EBUSY, "machine \"%s\" is running; stop it first: holm machine stop %s", name,
		    name);
	if (l.machine < 0)
		return error_set(err, -l.machine, "%s", error_text(why, l.machine));
	*ret = l;
	l = CLIENT_LOCKS_NONE;
	return 0;
}

void client_locks_done(struct client_locks *l)
{
	fd_close(l->machine);
	fd_close(l->config);
	*l = CLIENT_LOCKS_NONE;
}
