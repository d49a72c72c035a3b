/* SPDX-License-Identifier: Apache-2.0
 * Disks of images come to a virtual machine that runs, and leave it: QEMU's monitor is played here,
 * and says yes to everything but what a test names. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "isolation/vm/run.h"

enum { WAIT_MS = 60 * 1000 };

struct world {
	struct isolation_run run;
	int monitor;
	struct buffer in;
	struct strv heard; /* "COMMAND" or "COMMAND DRIVER" */
	const char *refuses;
	int answers, code;
	char name[64];
};

static void on_done(int code, const char *name_or_why, void *data)
{
	struct world *w = data;
	w->answers++;
	w->code = code;
	snprintf(w->name, sizeof w->name, "%s", name_or_why);
}

static void say(struct world *w, const char *text)
{
	assert_int_equal(fd_write_full(w->monitor, text, strlen(text)), 0);
}

static void on_command(struct world *w, const char *line, size_t size)
{
	AUTO_JSON struct json_object *o = NULL;
	struct json_object *arguments = NULL;
	const char *command = NULL, *driver = NULL;
	int64_t id = 0;
	assert_int_equal(json_parse_bytes(line, size, "command", &o, NULL), 0);
	assert_int_equal(json_get_string(o, "execute", &command, NULL), 0);
	assert_int_equal(json_get_i64(o, "id", &id, NULL), 0);
	if (json_get_object(o, "arguments", &arguments, NULL) == 0)
		json_get_string(arguments, "driver", &driver, NULL);
	AUTOFREE char *whole = xasprintf("%s%s%s", command, driver ? " " : "", driver ? driver : "");
	int is_refused = w->refuses && streq(w->refuses, whole);
	AUTOFREE char *answer =
	    xasprintf(is_refused ? "{\"error\":{\"class\":\"GenericError\",\"desc\":\"no such thing\"},\"id\":%d}\r\n" :
				   "{\"return\":{},\"id\":%d}\r\n",
		(int)id);
	strv_add(&w->heard, whole);
	say(w, answer);
}

/* Plays QEMU until this many answers have come to whoever lent a disk, and until nothing is left to
 * hear. */
static void play(struct world *w, int answers)
{
	uint64_t deadline = clock_deadline(WAIT_MS);
	for (int quiet = 0; quiet < 3 && clock_now_ms() < deadline;) {
		int busy = loop_step(w->run.loop, clock_deadline(10)) > 0;
		while (buffer_read(&w->in, w->monitor, 4096) > 0)
			busy = 1;
		for (const char *end; (end = w->in.size ? memchr(w->in.data, '\n', w->in.size) : NULL); busy = 1) {
			size_t size = (size_t)(end - w->in.data);
			on_command(w, w->in.data, size);
			buffer_consume(&w->in, size + 1);
		}
		quiet = busy || w->answers < answers ? 0 : quiet + 1;
	}
	assert_int_equal(w->answers, answers);
}

static void forget(struct world *w)
{
	strv_done(&w->heard);
	w->answers = 0;
}

static void assert_heard(struct world *w, const char *wanted)
{
	AUTOFREE char *all = strv_join(&w->heard, ", ");
	assert_string_equal(all, wanted);
}

static void lend(struct world *w, const char *path)
{
	assert_int_equal(vm_lend_disk(&w->run, path, on_done, w, NULL), 0);
}

static int set_up(void **state)
{
	int pair[2];
	struct world *w = xnew(struct world);
	struct isolation_run *run = &w->run;
	assert_int_equal(loop_new(&run->loop), 0);
	assert_int_equal(fd_socketpair(SOCK_STREAM, pair), 0);
	w->monitor = pair[1];
	fd_set_nonblocking(w->monitor, 1);
	buffer_init(&w->in, 1 << 20);
	run->data = w;
	run->slots = 4;
	assert_int_equal(qmp_new(run->loop, pair[0],
			     &(struct qmp_events){ .event = run_qmp_events.event, .closed = run_qmp_events.closed },
			     run, &run->qmp),
	    0);
	say(w, "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n");
	play(w, 0);
	forget(w);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	image_disks_cancel(&w->run);
	qmp_free(w->run.qmp);
	fd_close(w->monitor);
	loop_free(w->run.loop);
	buffer_done(&w->in);
	strv_done(&w->heard);
	free(w);
	return 0;
}

#define DISK_COMMANDS "add-fd, blockdev-add raw, remove-fd, device_add scsi-hd"

static void test_the_controller_comes_once_and_a_disk_once(void **state)
{
	struct world *w = *state;
	lend(w, "/etc/passwd");
	lend(w, "/etc/passwd");
	play(w, 2);
	assert_int_equal(w->code, 0);
	assert_string_equal(w->name, "0:0:1");
	assert_heard(w, "device_add virtio-scsi-pci, " DISK_COMMANDS);
	forget(w);
	lend(w, "/etc/group");
	lend(w, "/etc/passwd"); /* at once */
	assert_string_equal(w->name, "0:0:1");
	play(w, 2);
	assert_string_equal(w->name, "0:0:2");
	assert_heard(w, DISK_COMMANDS);
}

static void test_disks_come_one_after_the_other(void **state)
{
	static const char *const paths[] = { "/etc/passwd", "/etc/group", "/etc/hostname", "/etc/hosts" };
	struct world *w = *state;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		lend(w, paths[i]);
	play(w, 4);
	assert_string_equal(w->name, "0:0:4");
	assert_heard(w,
	    "device_add virtio-scsi-pci, " DISK_COMMANDS ", " DISK_COMMANDS ", " DISK_COMMANDS ", " DISK_COMMANDS);
}

static void test_a_disk_that_qemu_refuses_leaves_nothing(void **state)
{
	struct world *w = *state;
	w->refuses = "device_add scsi-hd";
	lend(w, "/etc/passwd");
	play(w, 1);
	assert_int_equal(w->code, -EIO);
	assert_non_null(strstr(w->name, "no such thing"));
	assert_string_equal(w->heard.items[w->heard.count - 1], "blockdev-del");
	assert_null(w->run.image_disks);
	w->refuses = NULL;
	lend(w, "/etc/passwd");
	play(w, 2);
	assert_int_equal(w->code, 0);
	assert_int_equal(vm_lend_disk(&w->run, "/nothing/here", on_done, w, NULL), -ENOENT);
}

static void test_a_disk_that_goes_frees_its_number_when_qemu_says_so(void **state)
{
	struct world *w = *state;
	lend(w, "/etc/passwd");
	play(w, 1);
	forget(w);
	vm_return_disk(&w->run, "/etc/group"); /* never lent */
	vm_return_disk(&w->run, "/etc/passwd");
	lend(w, "/etc/passwd");
	play(w, 1);
	assert_string_equal(w->name, "0:0:2");
	assert_heard(w, "device_del, " DISK_COMMANDS);
	forget(w);
	say(w, "{\"event\": \"DEVICE_DELETED\", \"data\": {\"device\": \"image-1\"}}\r\n");
	say(w, "{\"event\": \"DEVICE_DELETED\", \"data\": {\"device\": \"image-2\"}}\r\n"); /* not asked for */
	play(w, 0);
	assert_heard(w, "blockdev-del");
	lend(w, "/etc/group");
	play(w, 1);
	assert_string_equal(w->name, "0:0:1");
}

static void test_the_end_answers_who_waits(void **state)
{
	struct world *w = *state;
	lend(w, "/etc/passwd");
	image_disks_cancel(&w->run);
	assert_int_equal(w->answers, 1);
	assert_int_equal(w->code, -ECANCELED);
	w->answers = 0;
	qmp_free(TAKE_PTR(w->run.qmp));
	assert_int_equal(vm_lend_disk(&w->run, "/etc/passwd", on_done, w, NULL), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_the_controller_comes_once_and_a_disk_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_disks_come_one_after_the_other, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_disk_that_qemu_refuses_leaves_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_disk_that_goes_frees_its_number_when_qemu_says_so, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(test_the_end_answers_who_waits, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("disks of images", tests, NULL, NULL);
}
