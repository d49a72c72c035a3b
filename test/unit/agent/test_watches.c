/* SPDX-License-Identifier: Apache-2.0
 * What fdinfo says is watched, lists of it, and the ring in which the kernel tells who began. */
#include <linux/perf_event.h>
#include <sys/inotify.h>

#include "agent/share/replay.h"
#include "agent/share/watch_list.h"
#include "agent/share/watch_probe.h"
#include "agent/share/watchers.h"
#include "tree.h"

#define HANDLE " fhandle-bytes:c fhandle-type:81 f_handle:020000000300000000000000"

static int parse(const char *line, struct watch *w)
{
	return watch_parse_line(line, strlen(line), w);
}

static void test_lines(void **state)
{
	struct watch w;
	assert_int_equal(parse("inotify wd:1 ino:a72096 sdev:17 mask:fff ignored_mask:0" HANDLE, &w), 1);
	assert_true(w.node == UINT64_C(0x200000003));
	assert_int_equal(w.device, 0x17);
	assert_int_equal(w.mask, IN_ALL_EVENTS);
	/* Linux 5.19 and before put a blank in front of the handle's fields; flags are no
	 * events. */
	assert_int_equal(parse("inotify wd:2 ino:1 sdev:800010 mask:84000002 ignored_mask:0  fhandle-bytes:c "
			       "fhandle-type:81 f_handle:000000001100000000000000",
			     &w),
	    1);
	assert_true(w.node == 0x11);
	assert_int_equal(w.device, 0x800010);
	assert_int_equal(w.mask, IN_MODIFY);
	static const char *const others[] = { "", "pos:\t0", "inotify wd:1",
		"inotify wd:1 ino:1 sdev:17 mask:fff ignored_mask:0 ",
		"inotify wd:1 ino:2 sdev:fd00000 mask:2 ignored_mask:0 fhandle-bytes:8 fhandle-type:1 "
		"f_handle:0200000000000000",
		"inotify wd:1 ino:1 sdev:17 mask:fff ignored_mask:0 fhandle-bytes:c fhandle-type:81 "
		"f_handle:02000000030000000000000",
		"inotify wd:1 ino:1 sdev:17 mask:fff ignored_mask:0 fhandle-bytes:c fhandle-type:81 "
		"f_handle:0200000003000000000000000",
		"inotify wd:1 ino:1 sdev:17 mask:fff ignored_mask:0 fhandle-bytes:c fhandle-type:81 "
		"f_handle:02000000030000000000000g",
		"inotify wd:1 ino:1 sdev:17 mask:fff ignored_mask:0 fhandle-bytes:c fhandle-type:82 "
		"f_handle:020000000300000000000000",
		"inotify wd:1 ino:1 sdev:117171717 mask:fff ignored_mask:0" HANDLE,
		"inotify wd:1 ino:1 sdev: mask:fff ignored_mask:0" HANDLE,
		"inotify wd:1 ino:1 sdev:17 ignored_mask:0" HANDLE,
		"inotify wd:1 ino:1 sdev:17 mask:80000000 ignored_mask:0" HANDLE,
		"fanotify ino:1 sdev:17 mflags:0 mask:fff ignored_mask:0" HANDLE };
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_int_equal(parse(others[i], &w), 0);
}

static void test_pieces(void **state)
{
	static const char text[] = "pos:\t0\nflags:\t02004000\ninotify wd:2 ino:1 sdev:17 mask:2 ignored_mask:0" HANDLE
				   "\ninotify wd:1 ino:1 sdev:18 mask:4 ignored_mask:0" HANDLE "\n";
	for (size_t piece = 1; piece < sizeof text; piece++) {
		AUTO_WATCH_LIST struct watch_list l = { 0 };
		struct watch_reader reader = { .size = 0 };
		for (size_t at = 0; at < sizeof text - 1; at += piece)
			assert_int_equal(watch_read(&reader, text + at, MIN(piece, sizeof text - 1 - at), &l, 8), 0);
		assert_int_equal(l.count, 2);
		assert_int_equal(l.items[0].device, 0x17);
		assert_int_equal(l.items[1].device, 0x18);
	}
	/* Too long a line is passed over, the next one is not. */
	char *big = xcalloc(1, 4096 + sizeof text);
	memset(big, 'x', 4096);
	big[4095] = '\n';
	memcpy(big + 4096, text, sizeof text - 1);
	AUTO_WATCH_LIST struct watch_list l = { 0 };
	struct watch_reader reader = { .size = 0 };
	assert_int_equal(watch_read(&reader, big, 4096 + sizeof text - 1, &l, 8), 0);
	assert_int_equal(l.count, 2);
	assert_int_equal(watch_read(&reader, text, sizeof text - 1, &l, 3), -E2BIG);
	assert_int_equal(l.count, 3);
	free(big);
}

static void add(struct watch_list *l, uint32_t device, uint64_t node, uint32_t mask)
{
	const struct watch w = { .node = node, .device = device, .mask = mask };
	assert_int_equal(watch_list_add(l, &w, 100), 0);
}

static void note(const struct watch *w, void *data)
{
	AUTOFREE char *text = xasprintf("%llu=%x ", (unsigned long long)w->node, w->mask);
	strcat(data, text);
}

static void test_lists(void **state)
{
	AUTO_WATCH_LIST struct watch_list a = { 0 };
	AUTO_WATCH_LIST struct watch_list b = { 0 };
	char said[128] = "";
	add(&a, 1, 5, 2);
	add(&a, 1, 3, 1);
	add(&a, 1, 5, 4);
	add(&a, 0, 9, 1);
	watch_list_settle(&a);
	assert_int_equal(a.count, 3);
	assert_int_equal(a.items[0].node, 9);
	assert_int_equal(a.items[1].node, 3);
	assert_int_equal(a.items[2].mask, 6);
	watch_list_compare(&b, &a, note, said);
	assert_string_equal(said, "9=1 3=1 5=6 ");
	add(&b, 1, 3, 1);
	add(&b, 1, 4, 1);
	add(&b, 1, 5, 2);
	assert_false(watch_list_equal(&a, &b));
	said[0] = '\0';
	watch_list_compare(&b, &a, note, said);
	assert_string_equal(said, "9=1 4=0 5=6 ");
	said[0] = '\0';
	watch_list_compare(&a, &a, note, said);
	assert_string_equal(said, "");
	assert_true(watch_list_equal(&a, &a));
}

/* A folder as /proc/PID is one. */
static void describe_process(struct tree *t, const char *fd, const char *target, const char *info)
{
	AUTOFREE char *link = xasprintf("%s/7/fd/%s", t->path, fd), *path = xasprintf("%s/7/fdinfo/%s", t->path, fd);
	AUTO_FD int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(file >= 0);
	assert_int_equal(fd_write_full(file, info, strlen(info)), 0);
	assert_int_equal(symlink(target, link), 0);
}

static void test_a_process(void **state)
{
	static const uint32_t devices[] = { 0x17, 0x20 };
	struct tree *t = *state;
	AUTOFREE char *process = xasprintf("%s/7", t->path), *fds = xasprintf("%s/7/fd", t->path),
		      *infos = xasprintf("%s/7/fdinfo", t->path);
	AUTO_WATCH_LIST struct watch_list l = { 0 };
	assert_int_equal(watchers_look(process, devices, 2, &l), -ESRCH);
	assert_int_equal(path_mkdir_all(fds, 0700, NULL), 0);
	assert_int_equal(path_mkdir_all(infos, 0700, NULL), 0);
	describe_process(t, "0", "/dev/null", "inotify wd:1 ino:1 sdev:17 mask:1 ignored_mask:0" HANDLE "\n");
	describe_process(t, "3", "anon_inode:inotify",
	    "inotify wd:1 ino:1 sdev:17 mask:2 ignored_mask:0" HANDLE
	    "\ninotify wd:2 ino:1 sdev:99 mask:2 ignored_mask:0" HANDLE "\n");
	describe_process(t, "4", "anon_inode:inotify", "inotify wd:1 ino:1 sdev:20 mask:8 ignored_mask:0" HANDLE "\n");
	describe_process(t, "5", "anon_inode:inotify2", "inotify wd:1 ino:1 sdev:20 mask:1 ignored_mask:0" HANDLE "\n");
	describe_process(t, "6", "anon_inode:inotify", "inotify wd:1 ino:1 sdev:17 mask:4 ignored_mask:0" HANDLE "\n");
	assert_int_equal(watchers_look(process, devices, 2, &l), 0);
	assert_int_equal(l.count, 2);
	assert_int_equal(l.items[0].device, 0x17);
	assert_int_equal(l.items[0].mask, 6);
	assert_int_equal(l.items[1].device, 0x20);
	assert_int_equal(l.items[1].mask, 8);
}

/* Whoever has one inotify descriptor with many watches a thousand times keeps the agent busy for no
 * longer than anybody else. */
static void test_a_process_with_much(void **state)
{
	static const uint32_t devices[] = { 0x17 };
	enum { DESCRIPTORS = 64, SIZE = 1 << 20 };
	struct tree *t = *state;
	AUTOFREE char *process = xasprintf("%s/7", t->path), *fds = xasprintf("%s/7/fd", t->path),
		      *infos = xasprintf("%s/7/fdinfo", t->path);
	AUTO_WATCH_LIST struct watch_list l = { 0 };
	assert_int_equal(path_mkdir_all(fds, 0700, NULL), 0);
	assert_int_equal(path_mkdir_all(infos, 0700, NULL), 0);
	for (unsigned n = 0; n < DESCRIPTORS; n++) {
		AUTOFREE char *name = xasprintf("%u", n), *path = xasprintf("%s/%u", infos, n);
		AUTOFREE char *line = xasprintf("\ninotify wd:1 ino:1 sdev:17 mask:2 ignored_mask:0 fhandle-bytes:c "
						"fhandle-type:81 f_handle:00000000%02x00000000000000\n",
		    n);
		describe_process(t, name, "anon_inode:inotify", "");
		AUTO_FD int file = open(path, O_WRONLY | O_CLOEXEC);
		assert_int_equal(pwrite(file, line, strlen(line), SIZE), strlen(line));
	}
	assert_int_equal(watchers_look(process, devices, 1, &l), 0);
	assert_in_range(l.count, 1, 8);
}

/* ---- the ring ---- */

struct record {
	struct perf_event_header header;
	uint32_t pid, tid;
};

static void note_pid(pid_t pid, void *data)
{
	AUTOFREE char *text = xasprintf("%d ", (int)pid);
	strcat(data, text);
}

static void test_the_ring(void **state)
{
	struct record ring[4] = { 0 };
	char said[128] = "";
	for (uint32_t i = 0; i < 4; i++)
		ring[i] = (struct record){ { PERF_RECORD_SAMPLE, 0, sizeof(struct record) }, 10 + i, 10 + i };
	assert_int_equal(watch_ring_read(ring, sizeof ring, 0, 0, note_pid, said), 0);
	assert_string_equal(said, "");
	/* Around the end, and where a record is cut by it. */
	assert_int_equal(watch_ring_read(ring, sizeof ring, 48, 48 + 32, note_pid, said), 0);
	assert_string_equal(said, "13 10 ");
	struct record cut = ring[0];
	memcpy((char *)ring + 56, &cut, 8);
	memcpy(ring, (char *)&cut + 8, 8);
	said[0] = '\0';
	assert_int_equal(watch_ring_read(ring, sizeof ring, 56, 72, note_pid, said), 0);
	assert_string_equal(said, "10 ");
	/* Lost, and what cannot be. */
	ring[1].header.type = PERF_RECORD_LOST;
	assert_int_equal(watch_ring_read(ring, sizeof ring, 16, 32, note_pid, said), 1);
	ring[1] = (struct record){ { PERF_RECORD_SAMPLE, 0, 0 }, 1, 1 };
	assert_int_equal(watch_ring_read(ring, sizeof ring, 16, 32, note_pid, said), 1);
	ring[1].header.size = 4096;
	assert_int_equal(watch_ring_read(ring, sizeof ring, 16, 32, note_pid, said), 1);
	assert_int_equal(watch_ring_read(ring, sizeof ring, 0, 4096, note_pid, said), 1);
	assert_int_equal(watch_ring_read(ring, sizeof ring, 3, 19, note_pid, said), 1);
	assert_string_equal(said, "10 ");
}

/* ---- events ---- */

static size_t event(char *into, uint8_t operation, const char *name, const char *name2)
{
	const struct share_event e = {
		.type = SHARE_EVENT,
		.operation = operation,
		.token = 7,
		.node = 1,
		.node2 = 2,
		.size = (uint16_t)strlen(name),
		.size2 = (uint16_t)strlen(name2),
	};
	memcpy(into, &e, sizeof e);
	memcpy(into + sizeof e, name, strlen(name));
	memcpy(into + sizeof e + strlen(name), name2, strlen(name2));
	return sizeof e + strlen(name) + strlen(name2);
}

static int parse_event(uint8_t operation, const char *name, const char *name2)
{
	char bytes[2048];
	struct share_replay replay;
	size_t size = event(bytes, operation, name, name2);
	assert_int_equal(share_replay_parse(bytes, size - 1, &replay), -EBADMSG);
	assert_int_equal(share_replay_parse(bytes, size + 1, &replay), -EBADMSG);
	return share_replay_parse(bytes, size, &replay);
}

static void test_events(void **state)
{
	char bytes[2048], long_name[SHARE_NAME_MAX + 2];
	struct share_replay replay;
	size_t size = event(bytes, SHARE_RENAME, "old", "new name");
	assert_int_equal(share_replay_parse(bytes, size, &replay), 0);
	assert_string_equal(replay.name, "old");
	assert_string_equal(replay.name2, "new name");
	assert_int_equal(replay.event.node2, 2);
	memset(long_name, 'n', sizeof long_name);
	long_name[sizeof long_name - 1] = '\0';
	assert_int_equal(parse_event(SHARE_MODIFY, "f", ""), 0);
	assert_int_equal(parse_event(SHARE_CREATE, long_name + 1, ""), 0);
	static const char *const bad[] = { "", ".", "..", "a/b", "/" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse_event(SHARE_REMOVE, bad[i], ""), -EBADMSG);
		assert_int_equal(parse_event(SHARE_RENAME, "a", bad[i]), -EBADMSG);
	}
	assert_int_equal(parse_event(SHARE_CREATE, long_name, ""), -EBADMSG);
	assert_int_equal(parse_event(SHARE_MODIFY, "a", "b"), -EBADMSG);
	assert_int_equal(parse_event(0, "a", ""), -EBADMSG);
	assert_int_equal(parse_event(SHARE_CLOSE_WRITE + 1, "a", ""), -EBADMSG);
	size = event(bytes, SHARE_CREATE, "nul", "");
	bytes[size - 1] = '\0';
	assert_int_equal(share_replay_parse(bytes, size, &replay), -EBADMSG);
	bytes[0] = SHARE_RESET;
	assert_int_equal(share_replay_parse(bytes, size, &replay), -EBADMSG);
	assert_int_equal(share_replay_parse(bytes, 0, &replay), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_lines), cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_lists),
		cmocka_unit_test_setup_teardown(test_a_process, tree_setup, tree_teardown),
		cmocka_unit_test_setup_teardown(test_a_process_with_much, tree_setup, tree_teardown),
		cmocka_unit_test(test_the_ring), cmocka_unit_test(test_events) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
