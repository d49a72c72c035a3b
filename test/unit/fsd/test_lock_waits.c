/* SPDX-License-Identifier: Apache-2.0
 * Waiting for locks in holm-fsd as it is installed: others are served meanwhile, whoever gives the
 * lock up, and also when the worker dies. */
#include <sys/file.h>

#include "fake_machine.h"

static int setup(void **state)
{
	fsd_option = "--share-locks=host";
	struct machine *m = machine_new();
	machine_init_fuse(m);
	AUTO_FD int fd = openat(m->directory, "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	machine_free(*state);
	return 0;
}

static uint64_t look(struct machine *m)
{
	assert_int_equal(call(m, FUSE_LOOKUP, 1, TEXT("f"), NONE, NONE), 0);
	return ((const struct fuse_entry_out *)data_of(m, 0, NULL))->nodeid;
}

static uint64_t open_node(struct machine *m, uint64_t node)
{
	struct fuse_open_in in = { .flags = O_RDWR };
	assert_int_equal(call(m, FUSE_OPEN, node, PART(in), NONE, NONE), 0);
	return ((const struct fuse_open_out *)data_of(m, 0, NULL))->fh;
}

static struct fuse_lk_in lock_of(uint64_t fh, uint64_t owner, uint32_t type, uint32_t flags)
{
	return (struct fuse_lk_in){
		.fh = fh,
		.owner = owner,
		.lk = { .start = 5, .end = 9, .type = type },
		.lk_flags = flags,
	};
}

static void wait_for(struct machine *m, unsigned slot, uint64_t node, uint64_t fh, uint64_t owner, uint32_t flags)
{
	struct fuse_lk_in in = lock_of(fh, owner, F_WRLCK, flags);
	submit(m, slot, FUSE_SETLKW, node, PART(in), NONE, NONE);
	ring_kick(&m->ring);
}

static int host_lock(struct machine *m)
{
	int fd = openat(m->directory, "f", O_RDWR | O_CLOEXEC);
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &l), 0);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	return fd;
}

static void test_for_the_host(void **state)
{
	struct machine *m = *state;
	uint64_t node = look(m), fh = open_node(m, node);
	for (uint32_t flags = 0; flags <= FUSE_LK_FLOCK; flags++) {
		int host = host_lock(m);
		wait_for(m, 1, node, fh, 1, flags);
		for (int n = 0; n < 20; n++) /* others have their answers meanwhile */
			assert_int_equal(look(m), node);
		close(host);
		assert_int_equal(reap(m), 1);
		assert_int_equal(error_of(m, 1), 0);
		host = openat(m->directory, "f", O_RDWR | O_CLOEXEC);
		struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
		assert_int_equal(flags ? flock(host, LOCK_EX | LOCK_NB) : fcntl(host, F_OFD_SETLK, &l), -1);
		close(host);
		struct fuse_lk_in in = lock_of(fh, 1, F_UNLCK, flags);
		assert_int_equal(call(m, FUSE_SETLK, node, PART(in), NONE, NONE), 0);
	}
}

/* In the order in which they came. */
static void test_for_each_other(void **state)
{
	struct machine *m = *state;
	uint64_t node = look(m), fh = open_node(m, node);
	struct fuse_lk_in in = lock_of(fh, 100, F_WRLCK, 0);
	assert_int_equal(call(m, FUSE_SETLK, node, PART(in), NONE, NONE), 0);
	for (unsigned n = 1; n <= 5; n++)
		wait_for(m, n, node, fh, n, 0);
	for (unsigned n = 1; n <= 5; n++) {
		struct fuse_flush_in flush = { .fh = fh, .lock_owner = n == 1 ? 100 : n - 1 };
		submit(m, 0, FUSE_FLUSH, node, PART(flush), NONE, NONE);
		ring_kick(&m->ring);
		assert_int_equal(reap(m), 0);
		assert_int_equal(reap(m), n);
		assert_int_equal(error_of(m, n), 0);
	}
}

static void test_worker_dies(void **state)
{
	struct machine *m = *state;
	uint64_t node = look(m), fh = open_node(m, node), other = open_node(m, node);
	int host = host_lock(m);
	wait_for(m, 1, node, fh, 1, 0);
	wait_for(m, 2, node, other, 2, FUSE_LK_FLOCK);
	assert_int_equal(look(m), node);
	for (int n = 0; n < 2; n++) {
		pid_t before = worker_of(m);
		kill(before, SIGKILL);
		wait_gone(before);
		assert_int_equal(look(m), node);
	}
	close(host);
	unsigned sum = reap(m);
	assert_int_equal(sum + reap(m), 3);
	assert_int_equal(error_of(m, 1), 0);
	assert_int_equal(error_of(m, 2), 0);
	kill_worker(m);
	/* What is locked stays so. */
	struct fuse_lk_in in = lock_of(other, 3, F_WRLCK, 0);
	assert_int_equal(call(m, FUSE_SETLK, node, PART(in), NONE, NONE), -EAGAIN);
	in = lock_of(fh, 1, F_UNLCK, 0);
	assert_int_equal(call(m, FUSE_SETLK, node, PART(in), NONE, NONE), 0);
	in = lock_of(other, 3, F_WRLCK, 0);
	assert_int_equal(call(m, FUSE_SETLK, node, PART(in), NONE, NONE), 0);
}

static void wait_in_all_slots(struct machine *m, uint64_t node, uint64_t fh)
{
	for (unsigned n = 1; n < SLOTS; n++)
		wait_for(m, n, node, fh, n, 0);
	assert_int_equal(look(m), node); /* by now all have been taken */
}

static void all_have_ended(struct machine *m)
{
	for (unsigned n = 1; n < SLOTS; n++)
		assert_int_equal(error_of(m, reap(m)), -ENOLCK);
}

/* The machine ends a queue: all is answered before. */
static void test_queue_ends(void **state)
{
	struct machine *m = *state;
	struct vhost_vring_state which = { .index = 1 };
	uint64_t node = look(m), fh = open_node(m, node), number = 0;
	int host = host_lock(m);
	wait_in_all_slots(m, node, fh);
	assert_int_equal(say(m, VHOST_GET_VRING_BASE, &which, sizeof which, -1, &number), 0);
	all_have_ended(m);
	close(host);
	machine_set_up_queue(m, (uint16_t)(number >> 32));
	assert_int_equal(look(m), node);
}

/* Nor is anything lost when the machine pauses, for which QEMU disables a queue before it asks
 * where it was. */
static void test_queue_is_disabled(void **state)
{
	struct machine *m = *state;
	struct vhost_vring_state which = { .index = 1 };
	uint64_t node = look(m), fh = open_node(m, node), number = 0;
	int host = host_lock(m);
	wait_in_all_slots(m, node, fh);
	say_number(m, VHOST_SET_VRING_ENABLE, 1, -1);
	assert_int_equal(say(m, VHOST_GET_VRING_BASE, &which, sizeof which, -1, &number), 0);
	machine_set_up_queue(m, (uint16_t)(number >> 32));
	all_have_ended(m);
	close(host);
	assert_int_equal(look(m), node);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_for_the_host, setup, teardown),
		cmocka_unit_test_setup_teardown(test_for_each_other, setup, teardown),
		cmocka_unit_test_setup_teardown(test_worker_dies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_queue_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_queue_is_disabled, setup, teardown) };
	if (argc != 2)
		return 2;
	fsd_program = argv[1];
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
