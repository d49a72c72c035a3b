/* SPDX-License-Identifier: Apache-2.0
 * File data, directories, extended attributes and slow operations through FUSE requests. */
#include <sys/mman.h>
#include <time.h>

#include "fake_guest.h"

static int setup(void **state)
{
	struct fake *f = fake_new();
	f->max_fds = 200;
	fake_start(f, 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fake_free(*state);
	return 0;
}

static uint64_t create(struct fake *f, const char *name, int flags, uint64_t *ret_fh)
{
	struct fuse_create_in in = { .flags = (uint32_t)flags, .mode = S_IFREG | 0644 };
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} out;
	assert_int_equal(fuse3(f, FUSE_CREATE, 1, PART(in), TEXT(name), NONE), 0);
	assert_int_equal(f->reply_size, sizeof out);
	memcpy(&out, f->reply, sizeof out);
	*ret_fh = out.open.fh;
	return out.entry.nodeid;
}

static int write_at(struct fake *f, uint64_t node, uint64_t fh, uint64_t offset, const char *text, uint32_t flags)
{
	struct fuse_write_in in = { .fh = fh, .offset = offset, .size = (uint32_t)strlen(text), .flags = flags };
	int r = fuse3(f, FUSE_WRITE, node, PART(in), (struct part){ text, strlen(text) }, NONE);
	return r < 0 ? r : (int)REPLY(f, struct fuse_write_out)->size;
}

static int read_at(struct fake *f, uint64_t node, uint64_t fh, uint64_t offset, uint32_t size)
{
	struct fuse_read_in in = { .fh = fh, .offset = offset, .size = size };
	int r = fuse(f, FUSE_READ, node, PART(in));
	return r < 0 ? r : (int)f->reply_size;
}

static int release(struct fake *f, uint64_t node, uint64_t fh)
{
	struct fuse_release_in in = { .fh = fh };
	return fuse(f, FUSE_RELEASE, node, PART(in));
}

static void test_read_and_write(void **state)
{
	struct fake *f = *state;
	uint64_t fh = 0, other, node = create(f, "f", O_RDWR, &fh);
	assert_int_equal(write_at(f, node, fh, 0, "hello world", 0), 11);
	assert_int_equal(write_at(f, node, fh, 6, "there", 0), 5);
	assert_int_equal(read_at(f, node, fh, 0, 100), 11);
	assert_memory_equal(f->reply, "hello there", 11);
	assert_int_equal(read_at(f, node, fh, 6, 2), 2);
	assert_memory_equal(f->reply, "th", 2);
	assert_int_equal(read_at(f, node, fh, 11, 100), 0);
	assert_int_equal(read_at(f, node, fh, UINT64_MAX, 1), -EINVAL);
	assert_int_equal(read_at(f, node, fh, 0, UINT32_MAX), 11);
	/* Handles belong to their file, and are of no use when closed. */
	uint64_t node2 = create(f, "g", O_RDWR, &other);
	assert_int_equal(read_at(f, node, other, 0, 1), -EBADF);
	assert_int_equal(write_at(f, node2, fh, 0, "x", 0), -EBADF);
	assert_int_equal(release(f, node2, fh), -EBADF);
	assert_int_equal(release(f, node, fh), 0);
	assert_int_equal(release(f, node, fh), -EBADF);
	assert_int_equal(read_at(f, node, fh, 0, 1), -EBADF);
	assert_int_equal(open_file(f, node, O_RDONLY, &fh), 0);
	assert_int_equal(write_at(f, node, fh, 0, "x", 0), -EBADF);
	assert_int_equal(read_at(f, 1, fh, 0, 1), -EBADF);
}

static void test_write_sizes(void **state)
{
	struct fake *f = *state;
	uint64_t fh, node = create(f, "f", O_RDWR, &fh);
	struct fuse_write_in in = { .fh = fh, .size = 100 };
	assert_int_equal(fuse3(f, FUSE_WRITE, node, PART(in), TEXT("less than it says"), NONE), -EINVAL);
	in.size = UINT32_MAX;
	assert_int_equal(fuse3(f, FUSE_WRITE, node, PART(in), TEXT("x"), NONE), -EINVAL);
	in.size = 1;
	in.offset = UINT64_MAX - 1;
	assert_int_equal(fuse3(f, FUSE_WRITE, node, PART(in), TEXT("x"), NONE), -EINVAL);
	in = (struct fuse_write_in){ .fh = fh, .size = 2 };
	assert_int_equal(fuse3(f, FUSE_WRITE, node, PART(in), TEXT("longer than it says"), NONE), 0);
	assert_int_equal(host_stat(f, "f").st_size, 2);
}

static void test_append_and_truncate(void **state)
{
	struct fake *f = *state;
	char text[64];
	uint64_t fh, node = create(f, "f", O_WRONLY | O_APPEND, &fh);
	assert_int_equal(write_at(f, node, fh, 0, "one", O_APPEND), 3);
	host_write(f, "other", "");
	{
		AUTO_FD int fd = openat(f->directory, "f", O_WRONLY | O_APPEND | O_CLOEXEC);
		assert_int_equal(fd_write_full(fd, "HOST", 4), 0);
	}
	assert_int_equal(write_at(f, node, fh, 3, "two", O_APPEND), 3); /* behind what the host wrote meanwhile */
	assert_int_equal(write_at(f, node, fh, 0, "X", 0), 1);          /* fcntl took O_APPEND away */
	host_read(f, "f", text, sizeof text);
	assert_string_equal(text, "XneHOSTtwo");
	release(f, node, fh);
	assert_int_equal(open_file(f, node, O_WRONLY | O_TRUNC, &fh), 0);
	assert_int_equal(host_stat(f, "f").st_size, 0);
	write_at(f, node, fh, 0, "abcdef", 0);
	struct fuse_setattr_in in = { .valid = FATTR_SIZE | FATTR_FH, .fh = fh, .size = 3 };
	assert_int_equal(fuse(f, FUSE_SETATTR, node, PART(in)), 0);
	assert_int_equal(REPLY(f, struct fuse_attr_out)->attr.size, 3);
}

static void pause_ms(long ms)
{
	for (struct timespec pause = { .tv_nsec = ms * 1000000 }; nanosleep(&pause, &pause) < 0;)
		;
}

static uint32_t open_flags(struct fake *f, uint64_t node, uint64_t *fh)
{
	struct fuse_open_in in = { .flags = O_RDONLY };
	assert_int_equal(fuse(f, FUSE_OPEN, node, PART(in)), 0);
	*fh = REPLY(f, struct fuse_open_out)->fh;
	return REPLY(f, struct fuse_open_out)->open_flags;
}

static void test_keep_cache(void **state)
{
	struct fake *f = *state;
	uint64_t fh, node;
	int fresh = 0;
	for (int n = 0; n < 100 && !fresh; n++) {
		host_write(f, "f", "12345");
		node = lookup(f, 1, "f");
		assert_false(open_flags(f, node, &fh) & FOPEN_KEEP_CACHE); /* nothing is cached yet */
		fresh = host_is_fresh(f, "f");
		release(f, node, fh);
	}
	assert_false(open_flags(f, node, &fh) & FOPEN_KEEP_CACHE); /* it was too fresh to be sure */
	release(f, node, fh);
	/* Let the clock that stamps files move on: the state noted at the next open is then
	 * sure. */
	struct fuse_getattr_in in = { 0 };
	pause_ms(80);
	assert_int_equal(fuse(f, FUSE_GETATTR, node, PART(in)), 0);
	open_flags(f, node, &fh);
	release(f, node, fh);
	assert_true(open_flags(f, node, &fh) & FOPEN_KEEP_CACHE);
	release(f, node, fh);
	host_write(f, "f", "54321");
	assert_false(open_flags(f, node, &fh) & FOPEN_KEEP_CACHE);
}

/* What the host saved is there at the next open, although the guest may still believe old
 * attributes. */
static void test_open_sees_changes(void **state)
{
	struct fake *f = *state;
	uint64_t fh = 0;
	host_write(f, "f", "short");
	uint64_t node = lookup(f, 1, "f");
	assert_int_equal(open_file(f, node, O_RDONLY, &fh), 0);
	host_write(f, "f", "much longer");
	pause_ms(30); /* told just now counts as new */
	assert_int_equal(open_file(f, node, O_RDONLY, &fh), -ESTALE);
	assert_int_equal(lookup(f, 1, "f"), node);
	assert_int_equal(REPLY(f, struct fuse_entry_out)->attr.size, 11);
	host_write(f, "f", "and changed again");
	assert_int_equal(open_file(f, node, O_RDONLY, &fh), 0); /* not for ever */
	/* The guest's own writes are no news. */
	assert_int_equal(lookup(f, 1, "f"), node);
	assert_int_equal(open_file(f, node, O_RDWR, &fh), 0);
	write_at(f, node, fh, 0, "mine", 0);
	pause_ms(30);
	assert_int_equal(open_file(f, node, O_RDONLY, &fh), 0);
}

static void test_unlinked_but_open(void **state)
{
	struct fake *f = *state;
	uint64_t fh, node = create(f, "f", O_RDWR, &fh);
	write_at(f, node, fh, 0, "data", 0);
	assert_int_equal(fuse(f, FUSE_UNLINK, 1, TEXT("f")), 0);
	assert_int_equal(write_at(f, node, fh, 4, "more", 0), 4);
	assert_int_equal(read_at(f, node, fh, 0, 10), 8);
	struct fuse_getattr_in in = { 0 };
	assert_int_equal(fuse(f, FUSE_GETATTR, node, PART(in)), 0);
	assert_int_equal(REPLY(f, struct fuse_attr_out)->attr.nlink, 0);
	assert_int_equal(REPLY(f, struct fuse_attr_out)->attr.size, 8);
	uint64_t second = 0; /* through /proc/self/fd inside */
	assert_int_equal(open_file(f, node, O_RDONLY, &second), 0);
	assert_int_equal(read_at(f, node, second, 4, 10), 4);
	/* The same name again is another file. */
	uint64_t fh2, again = create(f, "f", O_RDWR, &fh2);
	assert_true(again != node);
	struct fuse_forget_in forget = { .nlookup = 1 };
	release(f, node, fh);
	release(f, node, second);
	fuse(f, FUSE_FORGET, node, PART(forget));
	assert_int_equal(f->share.inodes.nameless_fds, 0);
	/* Removed on the host while open here. */
	unlinkat(f->directory, "f", 0);
	assert_int_equal(write_at(f, again, fh2, 0, "x", 0), 1);
	assert_int_equal(fuse(f, FUSE_GETATTR, again, PART(in)), 0);
}

static void test_tmpfile(void **state)
{
	struct fake *f = *state;
	struct fuse_create_in in = { .flags = O_RDWR, .mode = S_IFREG | 04600 };
	int r = fuse3(f, FUSE_TMPFILE, 1, PART(in), NONE, NONE);
	if (r == -EOPNOTSUPP || r == -EISDIR)
		skip(); /* the file system of /tmp has none */
	assert_int_equal(r, 0);
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	memcpy(&entry, f->reply, sizeof entry);
	memcpy(&open, f->reply + sizeof entry, sizeof open);
	assert_int_equal(entry.attr.nlink, 0);
	assert_int_equal(entry.attr.mode & 07777, 0600);
	assert_int_equal(write_at(f, entry.nodeid, open.fh, 0, "temporary", 0), 9);
	struct fuse_link_in link = { .oldnodeid = entry.nodeid };
	assert_int_equal(fuse3(f, FUSE_LINK, 1, PART(link), TEXT("named"), NONE), 0);
	assert_int_equal(REPLY(f, struct fuse_entry_out)->nodeid, entry.nodeid);
	assert_int_equal(host_stat(f, "named").st_size, 9);
	assert_int_equal(f->share.inodes.nameless_fds, 0);
}

static void test_slow_operations(void **state)
{
	struct fake *f = *state;
	uint64_t fh, to, node = create(f, "f", O_RDWR, &fh), node2 = create(f, "g", O_RDWR, &to);
	struct fuse_fsync_in sync = { .fh = fh, .fsync_flags = FUSE_FSYNC_FDATASYNC };
	assert_int_equal(fuse(f, FUSE_FSYNC, node, PART(sync)), 0);
	sync.fh = 99;
	assert_int_equal(fuse(f, FUSE_FSYNC, node, PART(sync)), -EBADF);
	struct fuse_flush_in flush = { .fh = fh };
	assert_int_equal(fuse(f, FUSE_FLUSH, node, PART(flush)), 0);
	struct fuse_syncfs_in syncfs_in = { 0 };
	assert_int_equal(fuse(f, FUSE_SYNCFS, 1, PART(syncfs_in)), 0);
	struct fuse_fallocate_in allocate = { .fh = fh, .offset = 0, .length = 100000 };
	assert_int_equal(fuse(f, FUSE_FALLOCATE, node, PART(allocate)), 0);
	assert_int_equal(host_stat(f, "f").st_size, 100000);
	allocate.mode = 0x40; /* FALLOC_FL_UNSHARE_RANGE and whatever comes */
	assert_int_equal(fuse(f, FUSE_FALLOCATE, node, PART(allocate)), -EOPNOTSUPP);
	allocate = (struct fuse_fallocate_in){ .fh = fh, .offset = UINT64_MAX, .length = 1 };
	assert_int_equal(fuse(f, FUSE_FALLOCATE, node, PART(allocate)), -EFBIG);
	write_at(f, node, fh, 50000, "copy me", 0);
	struct fuse_copy_file_range_in copy = {
		.fh_in = fh,
		.off_in = 50000,
		.nodeid_out = node2,
		.fh_out = to,
		.off_out = 10,
		.len = 7,
	};
	assert_int_equal(fuse(f, FUSE_COPY_FILE_RANGE, node, PART(copy)), 0);
	assert_int_equal(REPLY(f, struct fuse_write_out)->size, 7);
	assert_int_equal(read_at(f, node2, to, 10, 7), 7);
	assert_memory_equal(f->reply, "copy me", 7);
	/* A descriptor can have appended before. */
	uint64_t appending = 0;
	assert_int_equal(open_file(f, node2, O_WRONLY | O_APPEND, &appending), 0);
	assert_int_equal(write_at(f, node2, appending, 0, "end", O_APPEND), 3);
	copy.fh_out = appending;
	assert_int_equal(fuse(f, FUSE_COPY_FILE_RANGE, node, PART(copy)), 0);
	assert_int_equal(write_at(f, node2, to, 0, "end", O_APPEND), 3);
	copy.fh_out = to;
	assert_int_equal(fuse(f, FUSE_COPY_FILE_RANGE, node, PART(copy)), 0);
	assert_int_equal(write_at(f, node2, to, 0, "start", 0), 5);
	assert_int_equal(read_at(f, node2, to, 0, 100), 23);
	assert_memory_equal(f->reply, "start", 5);
	assert_memory_equal(f->reply + 10, "copy meendend", 13);
	copy.nodeid_out = node;
	assert_int_equal(fuse(f, FUSE_COPY_FILE_RANGE, node, PART(copy)), -EBADF);
	struct fuse_lseek_in seek = { .fh = fh, .offset = 0, .whence = SEEK_DATA };
	assert_int_equal(fuse(f, FUSE_LSEEK, node, PART(seek)), 0);
	seek.whence = SEEK_END;
	assert_int_equal(fuse(f, FUSE_LSEEK, node, PART(seek)), -EINVAL);
	seek = (struct fuse_lseek_in){ .fh = fh, .offset = 200000, .whence = SEEK_DATA };
	assert_int_equal(fuse(f, FUSE_LSEEK, node, PART(seek)), -ENXIO);
}

static unsigned deferred;

static void count_deferred(struct share *s, struct request *q)
{
	deferred++;
	q->job.result = q->job.run(&q->job);
	request_finish(q);
}

/* Tells whether the file system reports a page that it has to read from its disk. */
static int says_cold(int fd)
{
	char byte;
	struct iovec one = { &byte, 1 };
	return preadv2(fd, &one, 1, 0, RWF_NOWAIT) < 0 && errno == EAGAIN;
}

/* Takes the file out of the host's memory and reads nothing along with what is read next. Another
 * processor may still hold pages of a new file, so mincore() says which stayed: a read could bring
 * them back. Returns 1, or 0 when the kernel keeps some. */
static int make_cold(int fd, size_t size)
{
	unsigned char resident[256];
	size_t page = sysconf(_SC_PAGESIZE), pages = size / page;
	assert_true(pages <= ARRAY_SIZE(resident));
	if (fsync(fd) < 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0 ||
	    posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM) != 0)
		return 0;
	void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_equal(mincore(map, size, resident), 0);
	assert_int_equal(munmap(map, size), 0);
	for (size_t i = 0; i < pages; i++)
		if (resident[i] & 1)
			return 0;
	return 1;
}

/* What the host has in memory is read at once; the rest by a thread. */
static void test_cold_reads(void **state)
{
	enum { SIZE = 1 << 20 };
	struct fake *f = *state;
	uint64_t fh = 0, node = create(f, "f", O_RDWR, &fh);
	AUTOFREE char *data = xmalloc(SIZE);
	memset(data, 'x', SIZE);
	AUTO_FD int fd = openat(f->directory, "f", O_RDWR | O_CLOEXEC);
	assert_int_equal(fd_write_full(fd, data, SIZE), 0);
	f->share.defer = count_deferred;
	deferred = 0;
	assert_int_equal(read_at(f, node, fh, SIZE - 10, 100), 10); /* the end of the file is no reason to wait */
	assert_int_equal(read_at(f, node, fh, SIZE, 100), 0);
	assert_int_equal(deferred, 0);
	if (!make_cold(fd, SIZE) || !says_cold(fd)) {
		f->share.defer = NULL;
		skip(); /* this file system has all in memory, or cannot say */
	}
	assert_int_equal(read_at(f, node, fh, SIZE / 2, 4096), 4096);
	assert_memory_equal(f->reply, data, 4096);
	assert_int_equal(deferred, 1);
	assert_int_equal(read_at(f, node, fh, SIZE / 2, 4096), 4096); /* now it is in memory */
	assert_int_equal(deferred, 1);
	f->share.defer = NULL;
}

/* Lists a directory in small pieces; calls back nothing: counts, and sums what must be seen once
 * each. */
static unsigned list(struct fake *f, uint64_t node, uint32_t size, int plus, int change)
{
	struct fuse_open_in open = { .flags = O_RDONLY | O_DIRECTORY };
	assert_int_equal(fuse(f, FUSE_OPENDIR, node, PART(open)), 0);
	struct fuse_read_in in = { .fh = REPLY(f, struct fuse_open_out)->fh, .size = size };
	unsigned count = 0;
	char name[300];
	for (int round = 0;; round++) {
		assert_int_equal(fuse(f, plus ? FUSE_READDIRPLUS : FUSE_READDIR, node, PART(in)), 0);
		if (f->reply_size == 0)
			break;
		size_t head = plus ? offsetof(struct fuse_direntplus, dirent) : 0, at = 0;
		for (struct fuse_dirent *d; at < f->reply_size;
		     at += FUSE_DIRENT_ALIGN(head + FUSE_NAME_OFFSET + d->namelen)) {
			d = (struct fuse_dirent *)(void *)(f->reply + at + head);
			in.offset = d->off;
			memcpy(name, d->name, d->namelen);
			name[d->namelen] = 0;
			count += startswith(name, "file") != NULL;
		}
		if (change) {
			snprintf(name, sizeof name, "new%d", round);
			host_write(f, name, "");
		}
	}
	struct fuse_release_in release_in = { .fh = in.fh };
	assert_int_equal(fuse(f, FUSE_RELEASEDIR, node, PART(release_in)), 0);
	return count;
}

static void test_directories(void **state)
{
	struct fake *f = *state;
	char name[300];
	for (int n = 0; n < 900; n++) {
		snprintf(name, sizeof name, "file%0*d", n % 3 ? 3 : 200, n);
		host_write(f, name, "");
	}
	assert_int_equal(list(f, 1, 4096, 0, 0), 900);
	assert_int_equal(list(f, 1, 512, 1, 0), 900);
	assert_int_equal(f->share.inodes.count, 901);
	assert_int_equal(list(f, 1, 65536, 0, 0), 900);
	assert_int_equal(list(f, 1, 4096, 0, 1), 900); /* while it grows */
	uint64_t node = lookup(f, 1, "file001");
	struct fuse_open_in open = { .flags = O_RDONLY };
	assert_int_equal(fuse(f, FUSE_OPENDIR, node, PART(open)), -ENOTDIR);
	/* More directories being read than there are buffers. */
	uint64_t handles[DIRECTORY_BUFFERS + 8];
	uint64_t offsets[DIRECTORY_BUFFERS + 8] = { 0 };
	unsigned seen[DIRECTORY_BUFFERS + 8] = { 0 };
	for (size_t n = 0; n < ARRAY_SIZE(handles); n++) {
		assert_int_equal(fuse(f, FUSE_OPENDIR, 1, PART(open)), 0);
		handles[n] = REPLY(f, struct fuse_open_out)->fh;
	}
	for (int more = 1; more;) {
		more = 0;
		for (size_t n = 0; n < ARRAY_SIZE(handles); n++) {
			struct fuse_read_in in = { .fh = handles[n], .offset = offsets[n], .size = 8000 };
			assert_int_equal(fuse(f, FUSE_READDIR, 1, PART(in)), 0);
			size_t at = 0;
			for (struct fuse_dirent *d; at < f->reply_size;
			     at += FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + d->namelen)) {
				d = (struct fuse_dirent *)(void *)(f->reply + at);
				offsets[n] = d->off;
				seen[n] += memcmp(d->name, "file", 4) == 0;
				more = 1;
			}
		}
	}
	for (size_t n = 0; n < ARRAY_SIZE(handles); n++)
		assert_int_equal(seen[n], 900);
}

/* The number of an entry, 0 when there is none. */
static uint64_t entry_number(struct fake *f, uint64_t node, const char *name)
{
	struct fuse_open_in open = { .flags = O_RDONLY | O_DIRECTORY };
	assert_int_equal(fuse(f, FUSE_OPENDIR, node, PART(open)), 0);
	struct fuse_read_in in = { .fh = REPLY(f, struct fuse_open_out)->fh, .size = 4096 };
	assert_int_equal(fuse(f, FUSE_READDIR, node, PART(in)), 0);
	for (size_t at = 0; at < f->reply_size;) {
		const struct fuse_dirent *d = (const void *)(f->reply + at);
		if (d->namelen == strlen(name) && memcmp(d->name, name, d->namelen) == 0)
			return d->ino;
		at += FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + d->namelen);
	}
	return 0;
}

static void test_dots(void **state)
{
	struct fake *f = *state;
	assert_int_equal(mkdirat(f->directory, "d", 0755), 0);
	uint64_t top = host_stat(f, ".").st_ino, node = lookup(f, 1, "d");
	assert_int_equal(entry_number(f, node, "."), host_stat(f, "d").st_ino);
	assert_int_equal(entry_number(f, node, ".."), top);
	assert_int_equal(entry_number(f, 1, "."), top);
	assert_int_equal(entry_number(f, 1, ".."), top); /* what is above is not told */
	/* In another file system, mounted in the share, the numbers are those that stat gives. */
	host_write(f, "d/f", "");
	f->share.root_dev++;
	lookup(f, node, "f");
	uint64_t number = REPLY(f, struct fuse_entry_out)->attr.ino;
	assert_int_not_equal(number, host_stat(f, "d/f").st_ino);
	assert_int_equal(entry_number(f, node, "f"), number);
	lookup(f, 1, "d");
	number = REPLY(f, struct fuse_entry_out)->attr.ino;
	assert_int_equal(entry_number(f, node, "."), number);
}

static int set_attribute(struct fake *f, uint64_t node, const char *name, const char *value)
{
	uint32_t in[2] = { (uint32_t)strlen(value), 0 };
	return fuse3(f, FUSE_SETXATTR, node, PART(in), TEXT(name), (struct part){ value, strlen(value) });
}

static int get_attribute(struct fake *f, uint64_t node, const char *name, uint32_t size)
{
	struct fuse_getxattr_in in = { .size = size };
	return fuse3(f, FUSE_GETXATTR, node, PART(in), TEXT(name), NONE);
}

static void test_xattrs(void **state)
{
	struct fake *f = *state;
	host_write(f, "f", "");
	uint64_t node = lookup(f, 1, "f");
	int r = set_attribute(f, node, "user.color", "blue");
	if (r == -EOPNOTSUPP)
		skip(); /* the file system of /tmp has none */
	assert_int_equal(r, 0);
	assert_int_equal(get_attribute(f, node, "user.color", 0), 0);
	assert_int_equal(REPLY(f, struct fuse_getxattr_out)->size, 4);
	assert_int_equal(get_attribute(f, node, "user.color", 3), -ERANGE);
	assert_int_equal(get_attribute(f, node, "user.color", 100), 0);
	assert_int_equal(f->reply_size, 4);
	assert_memory_equal(f->reply, "blue", 4);
	assert_int_equal(get_attribute(f, node, "user.none", 100), -ENODATA);
	struct fuse_getxattr_in in = { .size = 100 };
	assert_int_equal(fuse(f, FUSE_LISTXATTR, node, PART(in)), 0);
	assert_int_equal(f->reply_size, 11);
	assert_memory_equal(f->reply, "user.color", 11);
	static const char *const others[] = { "security.capability", "security.selinux", "trusted.overlay.opaque",
		"system.posix_acl_access", "", "user" };
	for (size_t n = 0; n < ARRAY_SIZE(others); n++) {
		assert_int_equal(set_attribute(f, node, others[n], "x"), -EOPNOTSUPP);
		assert_true(get_attribute(f, node, others[n], 100) < 0);
		assert_true(fuse(f, FUSE_REMOVEXATTR, node, TEXT(others[n])) < 0);
	}
	assert_int_equal(get_attribute(f, node, "security.capability", 0), -ENODATA);
	uint32_t lie[2] = { 1000, 0 };
	assert_int_equal(fuse3(f, FUSE_SETXATTR, node, PART(lie), TEXT("user.x"), TEXT("short")), -EINVAL);
	assert_int_equal(fuse(f, FUSE_REMOVEXATTR, node, TEXT("user.color")), 0);
	assert_int_equal(fuse(f, FUSE_REMOVEXATTR, node, TEXT("user.color")), -ENODATA);
}

static void test_small_things(void **state)
{
	struct fake *f = *state;
	host_write(f, "f", "");
	uint64_t node = lookup(f, 1, "f");
	assert_int_equal(fuse(f, FUSE_STATFS, 1, NONE), 0);
	assert_true(REPLY(f, struct fuse_statfs_out)->st.blocks > 0);
	struct fuse_access_in in = { .mask = R_OK };
	assert_int_equal(fuse(f, FUSE_ACCESS, node, PART(in)), 0);
	in.mask = 64;
	assert_int_equal(fuse(f, FUSE_ACCESS, node, PART(in)), -EINVAL);
	assert_int_equal(fuse(f, FUSE_IOCTL, node, NONE), -ENOTTY);
	assert_int_equal(fuse(f, FUSE_INTERRUPT, 0, NONE), -1000);
	static const uint32_t unknown[] = { 0, 7, 19, FUSE_GETLK, FUSE_SETLK, FUSE_SETLKW, FUSE_BMAP, FUSE_POLL,
		FUSE_NOTIFY_REPLY, FUSE_SETUPMAPPING, FUSE_REMOVEMAPPING, 52, 1000, CUSE_INIT, UINT32_MAX };
	for (size_t n = 0; n < ARRAY_SIZE(unknown); n++)
		assert_int_equal(fuse(f, unknown[n], node, NONE), -ENOSYS);
	assert_int_equal(fuse(f, FUSE_DESTROY, 0, NONE), 0);
	assert_int_equal(fuse(f, FUSE_LOOKUP, 1, TEXT("f")), -EIO); /* not before INIT */
	assert_int_equal(f->share.inodes.count, 1);
}

static void test_init(void **state)
{
	struct fake *f = *state;
	struct fuse_init_in in = { .major = 7, .minor = 36, .flags = UINT32_MAX, .max_readahead = 1 << 20 };
	uint64_t fh;
	create(f, "f", O_RDWR, &fh);
	assert_int_equal(fuse(f, FUSE_INIT, 0, PART(in)), 0); /* the guest booted anew: it knows nothing */
	const struct fuse_init_out *out = REPLY(f, struct fuse_init_out);
	assert_int_equal(out->max_write, 1 << 20);
	assert_int_equal(out->max_pages, 256);
	assert_true(out->flags & FUSE_DO_READDIRPLUS && out->flags & FUSE_PARALLEL_DIROPS &&
		    out->flags & FUSE_HANDLE_KILLPRIV_V2);
	assert_false(out->flags & (FUSE_WRITEBACK_CACHE | FUSE_POSIX_ACL | FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS));
	assert_true(out->flags & FUSE_EXPORT_SUPPORT);
	assert_int_equal(f->share.inodes.count, 1);
	assert_int_equal(f->share.handles.count, 0);
	in.minor = 8;
	assert_int_equal(fuse(f, FUSE_INIT, 0, PART(in)), -EPROTO);
}

/* share-cache: how long what the guest is told holds, and what holding back writes takes. */
static void test_cache_choices(void **state)
{
	struct fake *f = *state;
	struct fuse_init_in in = { .major = 7, .minor = 36, .flags = UINT32_MAX, .max_readahead = 1 << 20 };
	struct fuse_getattr_in get = { 0 };
	assert_int_equal(fuse(f, FUSE_GETATTR, 1, PART(get)), 0);
	assert_int_equal(REPLY(f, struct fuse_attr_out)->attr_valid, 1);
	assert_int_equal(REPLY(f, struct fuse_attr_out)->attr_valid_nsec, 0);
	f->share.settings.cache = SHARE_CACHE_STRICT;
	assert_int_equal(fuse(f, FUSE_GETATTR, 1, PART(get)), 0);
	assert_int_equal(REPLY(f, struct fuse_attr_out)->attr_valid, 0);
	assert_int_equal(REPLY(f, struct fuse_attr_out)->attr_valid_nsec, 50000000);
	host_write(f, "f", "abc");
	assert_int_equal(fuse(f, FUSE_LOOKUP, 1, TEXT("f")), 0);
	assert_int_equal(REPLY(f, struct fuse_entry_out)->entry_valid, 0);
	assert_int_equal(REPLY(f, struct fuse_entry_out)->entry_valid_nsec, 50000000);
	f->share.settings.cache = SHARE_CACHE_WRITEBACK;
	assert_int_equal(fuse(f, FUSE_INIT, 0, PART(in)), 0);
	assert_true(REPLY(f, struct fuse_init_out)->flags & FUSE_WRITEBACK_CACHE);
	/* To write a part of a page the guest reads the rest through the same descriptor. */
	uint64_t fh = 0, node = create(f, "new", O_WRONLY, &fh);
	assert_int_equal(write_at(f, node, fh, 0, "hello", O_WRONLY), 5);
	assert_int_equal(read_at(f, node, fh, 0, 10), 5);
	assert_int_equal(release(f, node, fh), 0);
	struct fuse_open_in o = { .flags = O_WRONLY };
	assert_int_equal(fuse(f, FUSE_OPEN, node, PART(o)), 0);
	fh = REPLY(f, struct fuse_open_out)->fh;
	assert_int_equal(read_at(f, node, fh, 0, 10), 5);
	assert_int_equal(release(f, node, fh), 0);
	if (geteuid() == 0)
		return; /* may read whatever its mode */
	assert_int_equal(fchmodat(f->directory, "new", 0200, 0), 0);
	assert_int_equal(fuse(f, FUSE_LOOKUP, 1, TEXT("new")), 0);
	assert_int_equal(fuse(f, FUSE_OPEN, node, PART(o)), 0); /* but a file that may only be written can be */
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_read_and_write, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_append_and_truncate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keep_cache, setup, teardown),
		cmocka_unit_test_setup_teardown(test_open_sees_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unlinked_but_open, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tmpfile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_operations, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cold_reads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_directories, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dots, setup, teardown),
		cmocka_unit_test_setup_teardown(test_xattrs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_small_things, setup, teardown),
		cmocka_unit_test_setup_teardown(test_init, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cache_choices, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
