/* SPDX-License-Identifier: Apache-2.0
 * holm-fsd as it is installed, with its processes being killed: the guest must get every answer
 * once, and find its files as if nothing had happened. */
#include <sys/inotify.h>

#include "base/share_events.h"
#include "fake_machine.h"
#include "fsd/process/broker.h"

enum { ROUNDS = 6, FILES = 96, PIECES = 4, PIECE = 1500 };

static int setup(void **state)
{
	struct machine *m = machine_new();
	machine_init_fuse(m);
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	machine_free(*state);
	return 0;
}

static void host_file(struct machine *m, const char *name, const char *text)
{
	AUTO_FD int fd = openat(m->directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_full(fd, text, strlen(text)), 0);
}

static uint64_t look(struct machine *m, const char *name)
{
	assert_int_equal(call(m, FUSE_LOOKUP, 1, TEXT(name), NONE, NONE), 0);
	return ((const struct fuse_entry_out *)data_of(m, 0, NULL))->nodeid;
}

static uint64_t open_node(struct machine *m, uint64_t node, uint32_t flags)
{
	struct fuse_open_in in = { .flags = flags };
	assert_int_equal(call(m, (flags & O_DIRECTORY) ? FUSE_OPENDIR : FUSE_OPEN, node, PART(in), NONE, NONE), 0);
	return ((const struct fuse_open_out *)data_of(m, 0, NULL))->fh;
}

static void check_read(struct machine *m, uint64_t node, uint64_t fh, const char *text)
{
	struct fuse_read_in in = { .fh = fh, .size = 1000 };
	size_t size = 0;
	assert_int_equal(call(m, FUSE_READ, node, PART(in), NONE, NONE), 0);
	const void *data = data_of(m, 0, &size);
	assert_int_equal(size, strlen(text));
	assert_memory_equal(data, text, size);
}

/* What is open stays open, also when it has no name any more; node ids mean what they meant. */
static void test_what_is_open(void **state)
{
	struct machine *m = *state;
	host_file(m, "f", "text");
	host_file(m, "gone", "removed by the host");
	uint64_t node = look(m, "f"), fh = open_node(m, node, O_RDWR), gone = look(m, "gone"),
		 gone_fh = open_node(m, gone, O_RDONLY);
	assert_int_equal(call(m, FUSE_UNLINK, 1, TEXT("f"), NONE, NONE), 0);
	assert_int_equal(unlinkat(m->directory, "gone", 0), 0);
	struct fuse_write_in in = { .fh = fh, .offset = 4, .size = 5 };
	for (int n = 0; n < 3; n++) {
		pid_t before = worker_of(m);
		kill(before, SIGKILL);
		wait_gone(before);
		in.offset = 4 + 5 * (uint64_t)n;
		assert_int_equal(call(m, FUSE_WRITE, node, PART(in), (struct part){ " more", 5 }, NONE), 0);
		assert_int_not_equal(worker_of(m), before);
		check_read(m, gone, gone_fh, "removed by the host");
	}
	check_read(m, node, fh, "text more more more");
	struct fuse_release_in release = { .fh = fh };
	assert_int_equal(call(m, FUSE_RELEASE, node, PART(release), NONE, NONE), 0);
	assert_int_equal(call(m, FUSE_RELEASE, node, PART(release), NONE, NONE), -EBADF);
}

/* --- many requests at once while workers die --- */

/* Files that go the way of a compiler's output: made, written piece by piece, renamed, read back,
 * and every third removed. */
struct task {
	int file, stage;
	uint64_t node, fh;
	char content[PIECES * PIECE];
};

enum {
	STAGE_CREATE,
	STAGE_WRITE,
	STAGE_RENAME = STAGE_WRITE + PIECES,
	STAGE_FSYNC,
	STAGE_READ,
	STAGE_RELEASE,
	STAGE_REMOVE,
	STAGE_DONE,
};

static void submit_stage(struct machine *m, unsigned slot, struct task *t)
{
	char name[32], final[32];
	snprintf(name, sizeof name, "f%d.tmp", t->file);
	snprintf(final, sizeof final, "f%d", t->file);
	struct fuse_create_in create = { .flags = O_RDWR | O_EXCL, .mode = S_IFREG | 0444 };
	struct fuse_rename2_in rename = { .newdir = 1 };
	struct fuse_fsync_in sync = { .fh = t->fh };
	struct fuse_read_in read = { .fh = t->fh, .size = sizeof t->content };
	struct fuse_release_in release = { .fh = t->fh };
	switch (t->stage) {
	case STAGE_CREATE:
		submit(m, slot, FUSE_CREATE, 1, PART(create), TEXT(name), NONE);
		break;
	case STAGE_RENAME:
		submit(m, slot, FUSE_RENAME2, 1, PART(rename), TEXT(name), TEXT(final));
		break;
	case STAGE_FSYNC:
		submit(m, slot, FUSE_FSYNC, t->node, PART(sync), NONE, NONE);
		break;
	case STAGE_READ:
		submit(m, slot, FUSE_READ, t->node, PART(read), NONE, NONE);
		break;
	case STAGE_RELEASE:
		submit(m, slot, FUSE_RELEASE, t->node, PART(release), NONE, NONE);
		break;
	case STAGE_REMOVE:
		submit(m, slot, FUSE_UNLINK, 1, TEXT(final), NONE, NONE);
		break;
	default: {
		/* The last piece is appended. */
		unsigned piece = (unsigned)(t->stage - STAGE_WRITE);
		struct fuse_write_in in = {
			.fh = t->fh,
			.offset = piece * PIECE,
			.size = PIECE,
			.flags = piece == PIECES - 1 ? O_APPEND : 0,
		};
		submit(m, slot, FUSE_WRITE, t->node, PART(in), (struct part){ t->content + piece * PIECE, PIECE },
		    NONE);
	}
	}
}

static void task_start(struct machine *m, unsigned slot, struct task *t, int file)
{
	*t = (struct task){ .file = file };
	for (size_t n = 0; n < sizeof t->content; n++)
		t->content[n] = (char)(file * 31 + n * 7 + n / 256);
	submit_stage(m, slot, t);
}

/* Takes the answer to a stage and asks for the next: 0 when the file is done. */
static int task_go_on(struct machine *m, unsigned slot, struct task *t)
{
	size_t size = 0;
	const char *data = data_of(m, slot, &size);
	if (error_of(m, slot) != 0)
		fail_msg("file %d, stage %d: error %d", t->file, t->stage, error_of(m, slot));
	if (t->stage == STAGE_CREATE) {
		struct fuse_entry_out entry;
		struct fuse_open_out opened;
		memcpy(&entry, data, sizeof entry);
		memcpy(&opened, data + sizeof entry, sizeof opened);
		t->node = entry.nodeid;
		t->fh = opened.fh;
	} else if (t->stage == STAGE_READ) {
		assert_int_equal(size, sizeof t->content);
		assert_memory_equal(data, t->content, size);
	}
	t->stage++;
	if (t->stage == STAGE_REMOVE && t->file % 3)
		t->stage++;
	if (t->stage == STAGE_DONE)
		return 0;
	submit_stage(m, slot, t);
	return 1;
}

/* `deaths` is when to kill the worker, in answers seen. */
static void work_through(struct machine *m, struct task *tasks, const unsigned *deaths, unsigned death_count)
{
	unsigned answers = 0, killed = 0;
	int next = 0, busy = 0;
	for (unsigned slot = 1; slot < SLOTS; slot++, busy++)
		task_start(m, slot, &tasks[slot], next++);
	ring_kick(&m->ring);
	while (busy > 0) {
		if (killed < death_count && answers >= deaths[killed]) {
			kill_worker(m);
			killed++;
		}
		unsigned slot = reap(m);
		answers++;
		if (!task_go_on(m, slot, &tasks[slot])) {
			if (next == FILES) {
				busy--;
				continue;
			}
			task_start(m, slot, &tasks[slot], next++);
		}
		ring_kick(&m->ring);
	}
	assert_int_equal(killed, death_count);
}

static void check_files(struct machine *m)
{
	char name[32];
	for (int file = 0; file < FILES; file++) {
		char content[PIECES * PIECE + 1];
		struct stat st;
		snprintf(name, sizeof name, "f%d.tmp", file);
		assert_int_equal(fstatat(m->directory, name, &st, 0), -1);
		snprintf(name, sizeof name, "f%d", file);
		AUTO_FD int fd = openat(m->directory, name, O_RDONLY | O_CLOEXEC);
		if (file % 3 == 0) {
			assert_int_equal(fd, -1);
			continue;
		}
		assert_int_equal(fd_read_full(fd, content, sizeof content), sizeof content - 1);
		for (size_t n = 0; n < sizeof content - 1; n++)
			assert_int_equal(content[n], (char)(file * 31 + n * 7 + n / 256));
	}
}

static void test_under_load(void **state)
{
	struct task *tasks = xcalloc(SLOTS, sizeof *tasks);
	unsigned seed = 1;
	for (int round = 0; round < ROUNDS; round++) {
		unsigned deaths[BROKER_RESTARTS_MAX];
		struct machine *m = machine_new();
		machine_init_fuse(m);
		for (unsigned n = 0; n < BROKER_RESTARTS_MAX; n++) {
			seed = seed * 1103515245 + 12345;
			deaths[n] = 20 + n * 180 + seed / 65536 % 150;
		}
		work_through(m, tasks, deaths, BROKER_RESTARTS_MAX);
		check_files(m);
		machine_free(m);
	}
	free(tasks);
}

/* A directory is read to its end, each name once, whoever reads it. */
static void test_directory(void **state)
{
	struct machine *m = *state;
	char name[32];
	for (int n = 0; n < 900; n++) {
		snprintf(name, sizeof name, "file%d", n);
		host_file(m, name, "");
	}
	struct fuse_read_in in = { .fh = open_node(m, 1, O_RDONLY | O_DIRECTORY), .size = 1000 };
	int seen = 0;
	for (int round = 0;; round++) {
		size_t size = 0;
		if (round % 8 == 3 && round < 32)
			kill_worker(m);
		assert_int_equal(call(m, FUSE_READDIR, 1, PART(in), NONE, NONE), 0);
		const char *data = data_of(m, 0, &size);
		if (size == 0)
			break;
		for (size_t at = 0; at < size;) {
			const struct fuse_dirent *d = (const void *)(data + at);
			in.offset = d->off;
			seen += memcmp(d->name, "file", 4) == 0;
			at += FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + d->namelen);
		}
	}
	assert_int_equal(seen, 900);
}

/* --- the host's changes --- */

enum { REPLAYER = 501 };

/* The next packet that the agent gets; what is not due is an error. */
static void agent_next(struct machine *m, uint8_t type, struct share_event *ret)
{
	char packet[SHARE_PAYLOAD_MAX] = { 0 };
	assert_int_equal(fd_wait(m->agent, POLLIN, clock_deadline(WAIT_MS)), 1);
	assert_true(recv(m->agent, packet, sizeof packet, 0) > 0);
	assert_int_equal(packet[0], type);
	memcpy(ret, packet, sizeof *ret);
}

static void agent_say(struct machine *m, const void *payload, size_t size)
{
	assert_int_equal(send(m->agent, payload, size, 0), size);
}

static int watches_something(pid_t pid)
{
	char text[1024];
	int found = 0;
	for (int fd = 3; fd < 64 && !found; fd++) {
		snprintf(text, sizeof text, "/proc/%d/fdinfo/%d", pid, fd);
		AUTO_FD int info = open(text, O_RDONLY | O_CLOEXEC);
		ssize_t size = info >= 0 ? fd_read_full(info, text, sizeof text - 1) : 0;
		text[size > 0 ? size : 0] = 0;
		found = strstr(text, "inotify wd:") != NULL;
	}
	return found;
}

static void agent_watch_root(struct machine *m)
{
	struct share_hello hello = { .type = SHARE_HELLO, .version = SHARE_EVENTS_VERSION, .pid = REPLAYER };
	struct share_watch watch = { .type = SHARE_WATCH, .mask = IN_CREATE | IN_DELETE, .node = 1 };
	agent_say(m, &hello, sizeof hello);
	agent_say(m, &watch, sizeof watch);
	for (int n = 0; n < WAIT_MS && !watches_something(worker_of(m)); n++)
		usleep(1000);
	assert_true(watches_something(worker_of(m)));
}

static void test_events(void **state)
{
	struct machine *m = *state;
	struct share_event event;
	struct fuse_mknod_in in = { .mode = S_IFREG | 0644 };
	agent_next(m, SHARE_RESET, &event); /* the first worker knows nothing either */
	agent_watch_root(m);
	if (fd_wait(m->agent, POLLIN, 0) > 0)
		agent_next(m, SHARE_RESET, &event); /* and a guest that starts is told so, perhaps in one with that */
	for (int n = 0; n < 3; n++) {
		char name[32];
		snprintf(name, sizeof name, "file%d", n);
		host_file(m, name, "text");
		agent_next(m, SHARE_EVENT, &event);
		assert_int_equal(event.operation, SHARE_CREATE);
		m->pid = REPLAYER;
		if (n < 2)
			assert_int_equal(call(m, FUSE_MKNOD, 1, PART(in), TEXT(name), NONE), 0);
		pid_t before = worker_of(m);
		kill(before, SIGKILL);
		wait_gone(before);
		/* What the replayer asks for is still its own affair, before anybody tells the new
		 * worker who it is. */
		assert_int_equal(call(m, FUSE_UNLINK, 1, TEXT(name), NONE, NONE), -EPERM);
		assert_int_equal(call(m, FUSE_MKNOD, 1, PART(in), TEXT(name), NONE), -EPERM);
		struct fuse_setattr_in size = { .valid = FATTR_SIZE };
		uint64_t node = look(m, name);
		assert_int_equal(call(m, FUSE_SETATTR, node, PART(size), NONE, NONE), -EPERM);
		struct stat st;
		assert_int_equal(fstatat(m->directory, name, &st, 0), 0);
		assert_int_equal(st.st_size, 4);
		m->pid = 0;
		/* of an event that nobody knows any more */
		struct share_done done = { .type = SHARE_DONE, .token = event.token };
		agent_say(m, &done, sizeof done);
		agent_next(m, SHARE_RESET, &event);
		agent_watch_root(m);
	}
	assert_int_equal(call(m, FUSE_UNLINK, 1, TEXT("file0"), NONE, NONE), 0);
	assert_int_equal(unlinkat(m->directory, "file1", 0), 0);
	agent_next(m, SHARE_EVENT, &event);
	assert_int_equal(event.operation, SHARE_REMOVE); /* of the host's, not the guest's */
}

/* The keeper's end of the agent's connection goes: the share is served. */
static void test_events_end(void **state)
{
	struct machine *m = *state;
	agent_watch_root(m);
	close(m->agent);
	m->agent = open("/dev/null", O_RDONLY | O_CLOEXEC);
	host_file(m, "f", "text");
	assert_true(look(m, "f") > 1);
	kill_worker(m);
	assert_true(look(m, "f") > 1);
}

/* --- what QEMU sees --- */

static void test_queue_position(void **state)
{
	struct machine *m = *state;
	struct vhost_vring_state which = { .index = 1 };
	uint64_t number = 0;
	host_file(m, "f", "text");
	uint64_t node = look(m, "f");
	kill_worker(m);
	assert_int_equal(say(m, VHOST_GET_VRING_BASE, &which, sizeof which, -1, &number), 0);
	assert_int_equal(number >> 32, m->ring.avail->idx);
	kill_worker(m);
	machine_set_up_queue(m, (uint16_t)(number >> 32));
	kill_worker(m);
	assert_int_equal(look(m, "f"), node);
	/* The driver starts over, as after a reboot. */
	assert_int_equal(say(m, VHOST_GET_VRING_BASE, &which, sizeof which, -1, &number), 0);
	m->ring.avail->idx = m->ring.used->idx = m->seen = 0;
	machine_set_up_queue(m, 0);
	kill_worker(m);
	machine_init_fuse(m);
	assert_true(look(m, "f") > 1);
}

static void test_too_often(void **state)
{
	struct machine *m = *state;
	for (int n = 0; n < BROKER_RESTARTS_MAX; n++) {
		pid_t worker = worker_of(m);
		assert_true(worker > 0);
		kill(worker, SIGSEGV);
		wait_gone(worker);
		assert_int_not_equal(look(m, "nothing"), 1);
	}
	pid_t worker = worker_of(m), holder = holder_of(m);
	kill(worker, SIGKILL);
	int status = machine_wait_broker(m);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 0);
	wait_gone(holder);
}

static void test_broker_dies(void **state)
{
	struct machine *m = *state;
	pid_t holder = holder_of(m), worker = worker_of(m);
	assert_true(holder > 0 && worker > 0);
	kill(m->broker, SIGKILL);
	assert_true(WIFSIGNALED(machine_wait_broker(m)));
	wait_gone(holder);
	wait_gone(worker);
	char byte;
	assert_int_equal(read(m->socket, &byte, 1), 0);
}

static void test_holder_dies(void **state)
{
	struct machine *m = *state;
	pid_t worker = worker_of(m);
	kill(holder_of(m), SIGKILL);
	int status = machine_wait_broker(m);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 0);
	wait_gone(worker);
}

static void test_broken_protocol(void **state)
{
	struct machine *m = *state;
	uint64_t number = UINT64_MAX;
	assert_int_equal(say(m, VHOST_SET_FEATURES, &number, sizeof number, -1, NULL), -1);
	int status = machine_wait_broker(m);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 0);
}

/* --- what the broker can do --- */

static void read_proc(pid_t pid, const char *what, char *text, size_t size)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/%s", pid, what);
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	ssize_t n = fd_read_full(fd, text, size - 1);
	text[n > 0 ? n : 0] = 0;
}

static void test_confinement(void **state)
{
	struct machine *m = *state;
	pid_t all[] = { m->broker, holder_of(m), worker_of(m) };
	char text[65536];
	for (size_t n = 0; n < ARRAY_SIZE(all); n++) {
		read_proc(all[n], "status", text, sizeof text);
		assert_non_null(strstr(text, "NoNewPrivs:\t1"));
		assert_non_null(strstr(text, "Seccomp:\t2"));
		assert_null(strstr(text, "CapEff:\t000001ff"));
	}
	read_proc(m->broker, "status", text, sizeof text);
	assert_non_null(strstr(text, "CapPrm:\t0000000000000000"));
	/* It has neither the guest's memory nor the directory. */
	read_proc(m->broker, "maps", text, sizeof text);
	assert_null(strstr(text, "memfd:guest"));
	read_proc(worker_of(m), "maps", text, sizeof text);
	assert_non_null(strstr(text, "memfd:guest"));
	for (int fd = 0; fd < 64; fd++) {
		char path[64], target[128];
		snprintf(path, sizeof path, "/proc/%d/fd/%d", m->broker, fd);
		ssize_t n = readlink(path, target, sizeof target - 1);
		target[n > 0 ? n : 0] = 0;
		assert_null(startswith(target, m->path));
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_what_is_open, setup, teardown),
		cmocka_unit_test(test_under_load), cmocka_unit_test_setup_teardown(test_directory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_events, setup, teardown),
		cmocka_unit_test_setup_teardown(test_events_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_queue_position, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_often, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broker_dies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_holder_dies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken_protocol, setup, teardown),
		cmocka_unit_test_setup_teardown(test_confinement, setup, teardown) };
	if (argc != 2)
		return 2;
	fsd_program = argv[1];
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
