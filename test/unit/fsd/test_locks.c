/* SPDX-License-Identifier: Apache-2.0
 * Locks that hold on the host too, through FUSE requests, against a program on the host: this
 * one. */
#include <sys/file.h>

#include "fake_guest.h"

static struct fake *start(int host_locks, int read_only)
{
	struct fake *f = fake_new();
	f->max_fds = 200;
	f->host_locks = host_locks;
	host_write(f, "f", "0123456789");
	fake_start(f, read_only);
	return f;
}

static int setup(void **state)
{
	*state = start(1, 0);
	return 0;
}

static int teardown(void **state)
{
	fake_free(*state);
	return 0;
}

static struct fuse_lk_in lock_of(uint64_t fh, uint64_t owner, uint32_t type, uint64_t start, uint64_t end)
{
	return (struct fuse_lk_in){
		.fh = fh,
		.owner = owner,
		.lk = { .start = start, .end = end, .type = type, .pid = (uint32_t)owner + 1000 },
	};
}

static int set(struct fake *f, uint64_t node, uint64_t fh, uint64_t owner, uint32_t type, uint64_t start, uint64_t end)
{
	struct fuse_lk_in in = lock_of(fh, owner, type, start, end);
	return fuse(f, FUSE_SETLK, node, PART(in));
}

static int set_flock(struct fake *f, uint64_t node, uint64_t fh, uint32_t type)
{
	struct fuse_lk_in in = lock_of(fh, 1, type, 0, INT64_MAX);
	in.lk_flags = FUSE_LK_FLOCK;
	return fuse(f, FUSE_SETLK, node, PART(in));
}

/* Whether the host could have the lock: 0 or an errno. */
static int host_try(struct fake *f, short type, off_t start, off_t length)
{
	AUTO_FD int fd = openat(f->directory, "f", O_RDWR | O_CLOEXEC);
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length };
	return fcntl(fd, F_OFD_SETLK, &l) < 0 ? errno : 0;
}

static int flush(struct fake *f, uint64_t node, uint64_t fh, uint64_t owner)
{
	struct fuse_flush_in in = { .fh = fh, .lock_owner = owner };
	return fuse(f, FUSE_FLUSH, node, PART(in));
}

static int release(struct fake *f, uint64_t node, uint64_t fh, uint32_t flags)
{
	struct fuse_release_in in = { .fh = fh, .release_flags = flags };
	return fuse(f, FUSE_RELEASE, node, PART(in));
}

static uint64_t opened(struct fake *f, uint64_t node, int flags)
{
	uint64_t fh = 0;
	assert_int_equal(open_file(f, node, flags, &fh), 0);
	return fh;
}

static struct fuse_attr_out told(struct fake *f, uint64_t node)
{
	struct fuse_getattr_in in = { 0 };
	assert_int_equal(fuse(f, FUSE_GETATTR, node, PART(in)), 0);
	return *REPLY(f, struct fuse_attr_out);
}

/* A guest that is told of another mtime throws away what it has of the file; it asks before each
 * read when nothing is believed. */
static void test_what_is_locked_is_read_anew(void **state)
{
	struct fake *f = *state;
	uint64_t node = lookup(f, 1, "f"), fh = opened(f, node, O_RDWR);
	struct fuse_attr_out first = told(f, node);
	assert_true(first.attr_valid == 0 && first.attr_valid_nsec == 0);
	assert_int_equal(set(f, node, fh, 1, F_WRLCK, 0, 1), 0);
	struct fuse_attr_out second = { 0 };
	for (int n = 0, fresh = 0; n < 100 && !fresh; n++) {
		host_write(f, "f", "9876543210");
		first = told(f, node);
		second = told(f, node);
		fresh = host_is_fresh(f, "f");
	}
	struct stat st = host_stat(f, "f");
	assert_int_equal(first.attr.mtime, st.st_mtim.tv_sec);
	assert_int_not_equal(first.attr.mtimensec, second.attr.mtimensec);
	assert_int_not_equal(first.attr.mtimensec, st.st_mtim.tv_nsec);
	assert_int_equal(first.attr.mtimensec / 1000, st.st_mtim.tv_nsec / 1000);
	/* Long ago: a further change would show. */
	struct timespec times[2] = { { .tv_sec = 1000, .tv_nsec = 7 }, { .tv_sec = 1000, .tv_nsec = 7 } };
	assert_int_equal(utimensat(f->directory, "f", times, 0), 0);
	assert_int_equal(told(f, node).attr.mtimensec, 7);
	assert_int_equal(fuse(f, FUSE_LOOKUP, 1, TEXT("f-journal")), 0);
	assert_true(REPLY(f, struct fuse_entry_out)->nodeid == 0 && REPLY(f, struct fuse_entry_out)->entry_valid == 0);
}

static void test_not_asked_for(void **state)
{
	struct fake *f = start(0, 0);
	struct fuse_init_in in = { .major = 7, .minor = 36, .flags = UINT32_MAX };
	uint64_t node = lookup(f, 1, "f"), fh = opened(f, node, O_RDWR);
	assert_true(REPLY(f, struct fuse_open_out)->open_flags & FOPEN_NOFLUSH || f->share.flush_files);
	assert_int_equal(set(f, node, fh, 1, F_WRLCK, 0, 1), -ENOSYS);
	assert_int_equal(fuse(f, FUSE_INIT, 0, PART(in)), 0);
	assert_int_equal(REPLY(f, struct fuse_init_out)->flags & (FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS), 0);
	fake_free(f);
	f = start(1, 0);
	node = lookup(f, 1, "f");
	fh = opened(f, node, O_RDWR);
	assert_false(REPLY(f, struct fuse_open_out)->open_flags & FOPEN_NOFLUSH); /* closing ends locks */
	assert_int_equal(fuse(f, FUSE_INIT, 0, PART(in)), 0);
	assert_int_equal(REPLY(f, struct fuse_init_out)->flags & (FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS),
	    FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS);
	fake_free(f);
}

static void test_ranges(void **state)
{
	struct fake *f = *state;
	uint64_t node = lookup(f, 1, "f"), one = opened(f, node, O_RDWR), two = opened(f, node, O_RDWR);
	assert_int_equal(set(f, node, one, 1, F_WRLCK, 10, 19), 0);
	assert_int_equal(host_try(f, F_RDLCK, 15, 1), EAGAIN);
	assert_int_equal(host_try(f, F_WRLCK, 20, 0), 0);
	assert_int_equal(set(f, node, two, 2, F_WRLCK, 19, INT64_MAX), -EAGAIN);
	assert_int_equal(f->share.locks.records->items[1].handle, 0); /* nothing is left of who got none */
	assert_int_equal(set(f, node, two, 2, F_RDLCK, 20, INT64_MAX), 0);
	/* an owner is one through whatever descriptor */
	assert_int_equal(set(f, node, one, 2, F_RDLCK, 19, 20), -EAGAIN);
	assert_int_equal(set(f, node, two, 1, F_RDLCK, 10, 14), 0);
	assert_int_equal(host_try(f, F_RDLCK, 10, 5), 0);
	assert_int_equal(host_try(f, F_WRLCK, 10, 5), EAGAIN);
	assert_int_equal(set(f, node, one, 1, F_UNLCK, 0, 14), 0);
	assert_int_equal(host_try(f, F_WRLCK, 0, 15), 0);
	assert_int_equal(host_try(f, F_WRLCK, 0, 16), EAGAIN);
	/* The guest closes a descriptor for one owner, and another file's locks stay. */
	host_write(f, "g", "");
	uint64_t other = lookup(f, 1, "g"), other_fh = opened(f, other, O_RDWR);
	assert_int_equal(set(f, other, other_fh, 1, F_WRLCK, 0, 0), 0);
	assert_int_equal(flush(f, node, two, 1), 0);
	assert_int_equal(host_try(f, F_WRLCK, 0, 20), 0);
	assert_int_equal(host_try(f, F_WRLCK, 20, 1), EAGAIN);
	assert_int_equal(set(f, other, other_fh, 2, F_WRLCK, 0, 0), -EAGAIN);
	/* The last descriptor of an open file is closed, whose own locks end with it. */
	assert_int_equal(release(f, node, two, 0), 0);
	assert_int_equal(host_try(f, F_WRLCK, 0, 0), 0);
	/* All of it at once. */
	assert_int_equal(set(f, node, one, 7, F_WRLCK, 0, INT64_MAX), 0);
	assert_int_equal(set(f, node, one, 7, F_UNLCK, 0, INT64_MAX), 0);
	assert_int_equal(host_try(f, F_WRLCK, 0, 0), 0);
	assert_int_equal(set(f, node, one, 8, F_UNLCK, 0, 5), 0); /* who has none */
	assert_int_equal(set(f, node, one, 8, F_RDLCK, 0, 5), 0);
	share_reset(&f->share);
	assert_int_equal(host_try(f, F_WRLCK, 0, 0), 0);
}

static const struct fuse_file_lock *ask(struct fake *f, uint64_t node, uint64_t fh, uint64_t owner, uint64_t start,
    uint64_t end)
{
	struct fuse_lk_in in = lock_of(fh, owner, F_WRLCK, start, end);
	assert_int_equal(fuse(f, FUSE_GETLK, node, PART(in)), 0);
	return &REPLY(f, struct fuse_lk_out)->lk;
}

static void test_asking(void **state)
{
	struct fake *f = *state;
	uint64_t node = lookup(f, 1, "f"), fh = opened(f, node, O_RDWR);
	assert_int_equal(ask(f, node, fh, 1, 0, INT64_MAX)->type, F_UNLCK);
	assert_int_equal(set(f, node, fh, 1, F_WRLCK, 10, 19), 0);
	assert_int_equal(ask(f, node, fh, 1, 0, INT64_MAX)->type, F_UNLCK); /* nobody is in the own way */
	const struct fuse_file_lock *l = ask(f, node, fh, 2, 0, INT64_MAX);
	assert_int_equal(l->type, F_WRLCK);
	assert_int_equal(l->start, 10);
	assert_int_equal(l->end, 19);
	assert_int_equal(l->pid, 1001);
	assert_int_equal(ask(f, node, fh, 2, 20, INT64_MAX)->type, F_UNLCK);
	AUTO_FD int fd = openat(f->directory, "f", O_RDWR | O_CLOEXEC);
	struct flock host = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 30 };
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &host), 0);
	l = ask(f, node, fh, 1, 0, INT64_MAX);
	assert_int_equal(l->type, F_RDLCK);
	assert_int_equal(l->start, 30);
	assert_int_equal(l->end, INT64_MAX);
	assert_int_equal(l->pid, 0); /* nobody inside */
	assert_int_equal(set(f, node, fh, 1, F_WRLCK, 25, 35), -EAGAIN);
	struct fuse_lk_in in = lock_of(fh, 1, F_WRLCK, 25, 35);
	assert_int_equal(fuse(f, FUSE_SETLKW, node, PART(in)), -EAGAIN); /* nobody here could wait */
	in.lk.type = F_UNLCK;
	assert_int_equal(fuse(f, FUSE_GETLK, node, PART(in)), -EINVAL);
}

static void test_whole_files(void **state)
{
	struct fake *f = *state;
	uint64_t node = lookup(f, 1, "f"), one = opened(f, node, O_RDONLY), two = opened(f, node, O_RDWR);
	AUTO_FD int host = openat(f->directory, "f", O_RDONLY | O_CLOEXEC);
	assert_int_equal(set_flock(f, node, one, F_WRLCK), 0);
	assert_int_equal(flock(host, LOCK_SH | LOCK_NB), -1);
	assert_int_equal(set_flock(f, node, two, F_RDLCK), -EAGAIN);
	assert_int_equal(set_flock(f, node, one, F_RDLCK), 0);
	assert_int_equal(flock(host, LOCK_SH | LOCK_NB), 0);
	assert_int_equal(set_flock(f, node, two, F_RDLCK), 0);
	assert_int_equal(set_flock(f, node, two, F_UNLCK), 0);
	assert_int_equal(set_flock(f, node, one, F_WRLCK), -EAGAIN);
	assert_int_equal(flock(host, LOCK_UN), 0);
	assert_int_equal(set_flock(f, node, one, F_WRLCK), 0);
	assert_int_equal(set(f, node, two, 1, F_WRLCK, 0, 0), 0); /* the two kinds know nothing of each other */
	assert_int_equal(release(f, node, one, FUSE_RELEASE_FLOCK_UNLOCK), 0);
	assert_int_equal(flock(host, LOCK_EX | LOCK_NB), 0);
}

static void test_read_only(void **state)
{
	struct fake *f = start(1, 1);
	uint64_t node = lookup(f, 1, "f"), fh = opened(f, node, O_RDONLY);
	assert_int_equal(set(f, node, fh, 2, F_WRLCK, 0, 5), -ENOLCK);
	assert_int_equal(set(f, node, fh, 2, F_WRLCK, 0, 5), -ENOLCK);
	assert_int_equal(set(f, node, fh, 1, F_RDLCK, 0, 5), 0);
	assert_int_equal(host_try(f, F_WRLCK, 0, 1), EAGAIN);
	/* which the guest's kernel does not let anybody ask for */
	assert_int_equal(set(f, node, fh, 1, F_WRLCK, 0, 5), -ENOLCK);
	assert_int_equal(host_try(f, F_RDLCK, 0, 1), 0);
	assert_int_equal(set_flock(f, node, fh, F_WRLCK), 0);
	fake_free(f);
}

static void test_bounds_and_nonsense(void **state)
{
	struct fake *f = *state;
	uint64_t node = lookup(f, 1, "f"), fh = opened(f, node, O_RDWR), owner = 0;
	while (set(f, node, fh, owner, F_RDLCK, owner, owner) == 0)
		owner++;
	assert_int_equal(owner, f->max_fds / 8);
	assert_int_equal(set(f, node, fh, owner, F_RDLCK, 0, 0), -ENOLCK);
	assert_int_equal(flush(f, node, fh, 3), 0);
	assert_int_equal(set(f, node, fh, owner, F_RDLCK, 0, 0), 0);
	assert_int_equal(release(f, node, fh, 0), 0);
	assert_int_equal(host_try(f, F_WRLCK, 0, 0), 0);
	assert_int_equal(set(f, node, fh, 1, F_RDLCK, 0, 0), -EBADF);
	fh = opened(f, node, O_RDWR);
	assert_int_equal(set(f, node, fh, 1, 17, 0, 0), -EINVAL);
	assert_int_equal(set(f, node, fh, 1, F_RDLCK, 2, 1), -EINVAL);
	assert_int_equal(set(f, node, fh, 1, F_RDLCK, 0, UINT64_MAX), -EINVAL);
	assert_int_equal(set(f, node, fh + 1, 1, F_RDLCK, 0, 0), -EBADF);
	assert_int_equal(set(f, 1, fh, 1, F_RDLCK, 0, 0), -EBADF);
	uint64_t half = 1;
	assert_int_equal(fuse(f, FUSE_SETLK, node, PART(half)), -EINVAL);
}

/* What the next worker finds. */
static void test_taken_over(void **state)
{
	struct fake *f = *state;
	struct lock_table *t = &f->share.locks;
	uint64_t node = lookup(f, 1, "f"), one = opened(f, node, O_RDWR), two = opened(f, node, O_RDWR);
	assert_int_equal(set(f, node, one, 1, F_WRLCK, 0, 9), 0);
	assert_int_equal(set(f, node, two, 2, F_WRLCK, 10, 19), 0);
	int fd = t->records->items[1].fd;
	t->records->items[1].handle = two + 100; /* of an open file that is gone */
	lock_table_rebuild(t, &f->share.handles);
	assert_int_equal(set(f, node, one, 1, F_WRLCK, 0, 9), 0); /* once more, by whom it was given to */
	assert_int_equal(set(f, node, two, 3, F_WRLCK, 0, 9), -EAGAIN);
	assert_null(lock_owner_find(t, node, 2));
	close(fd); /* as takeover does with what nobody knows */
	assert_int_equal(host_try(f, F_WRLCK, 10, 10), 0);
	assert_int_equal(host_try(f, F_WRLCK, 9, 1), EAGAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_not_asked_for),
		cmocka_unit_test_setup_teardown(test_what_is_locked_is_read_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ranges, setup, teardown),
		cmocka_unit_test_setup_teardown(test_asking, setup, teardown),
		cmocka_unit_test_setup_teardown(test_whole_files, setup, teardown), cmocka_unit_test(test_read_only),
		cmocka_unit_test_setup_teardown(test_bounds_and_nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(test_taken_over, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
