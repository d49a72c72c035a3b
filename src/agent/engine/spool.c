/* SPDX-License-Identifier: Apache-2.0
 * See spool.h. */
#include "agent/engine/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"

/* The data begins behind the page, in both memfds. */
enum { PAGE = 4096, SLOTS = 2 };

struct page {
	_Atomic uint32_t valid;
	struct spool_commit slots[SLOTS];
};

struct spool {
	int memory[2], relay[2]; /* relay[0] -1: no terminal */
	struct page *page;
	uint64_t moved[2], read[2], cut[2]; /* offsets in the memfds */
};

void spool_free(struct spool *s)
{
	if (!s)
		return;
	for (int i = 0; i < 2; i++) {
		fd_close(s->memory[i]);
		fd_close(s->relay[i]);
	}
	if (s->page)
		munmap(s->page, PAGE);
	free(s);
}

static int map(struct spool *s)
{
	void *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, s->memory[0], 0);
	if (p == MAP_FAILED)
		return -errno;
	s->page = p;
	return 0;
}

static struct spool *allocate(void)
{
	struct spool *s = xnew(struct spool);
	*s = (struct spool){ .memory = { -1, -1 }, .relay = { -1, -1 } };
	return s;
}

static int make_memory(struct spool *s, int stream)
{
	s->memory[stream] = memfd_create("output", MFD_CLOEXEC);
	return s->memory[stream] < 0 || ftruncate(s->memory[stream], PAGE) < 0 ? -errno : 0;
}

struct spool *spool_new(int terminal)
{
	struct spool *s = allocate();
	int r = make_memory(s, 0);
	if (r == 0)
		r = terminal ? fd_pipe(s->relay) : make_memory(s, 1);
	if (r == 0)
		r = map(s);
	if (r < 0) {
		spool_free(s);
		errno = -r;
		return NULL;
	}
	for (int i = 0; i < 2; i++)
		s->moved[i] = s->read[i] = s->cut[i] = PAGE;
	spool_commit(s, (const size_t[2]){ 0, 0 }, 0, 0);
	return s;
}

/* Offsets in the page that do not fit the memfd are not believed. */
static int find_offsets(struct spool *s, int stream)
{
	struct stat st;
	const struct spool_commit c = spool_committed(s);
	if (s->memory[stream] < 0) {
		s->moved[stream] = s->read[stream] = s->cut[stream] = PAGE;
		return 0;
	}
	if (fstat(s->memory[stream], &st) < 0 || st.st_size < PAGE)
		return -EBADMSG;
	s->moved[stream] = (uint64_t)st.st_size;
	s->read[stream] =
	    c.offsets[stream] >= PAGE && c.offsets[stream] <= s->moved[stream] ? c.offsets[stream] : s->moved[stream];
	s->cut[stream] = PAGE;
	return 0;
}

struct spool *spool_adopt(int fds[static HELD_COUNT])
{
	struct spool *s = allocate();
	struct stat st;
	s->memory[0] = TAKE_FD(fds[HELD_SPOOL_OUT]);
	s->memory[1] = TAKE_FD(fds[HELD_SPOOL_ERR]);
	s->relay[0] = TAKE_FD(fds[HELD_RELAY_READ]);
	s->relay[1] = TAKE_FD(fds[HELD_RELAY_WRITE]);
	int r = s->memory[0] < 0 || fstat(s->memory[0], &st) < 0 || st.st_size < PAGE ? -EBADMSG : map(s);
	for (int i = 0; r == 0 && i < 2; i++)
		r = find_offsets(s, i);
	if (r < 0) {
		spool_free(s);
		return NULL;
	}
	return s;
}

void spool_descriptors(const struct spool *s, int fds[static HELD_COUNT])
{
	fds[HELD_SPOOL_OUT] = s->memory[0];
	fds[HELD_SPOOL_ERR] = s->memory[1];
	fds[HELD_RELAY_READ] = s->relay[0];
	fds[HELD_RELAY_WRITE] = s->relay[1];
}

/* ---- moving ---- */

static ssize_t move(struct spool *s, int stream, int from)
{
	off_t at = (off_t)s->moved[stream];
	ssize_t n = splice(from, NULL, s->memory[stream], &at, SPOOL_STEP, SPLICE_F_NONBLOCK);
	if (n > 0)
		s->moved[stream] += (uint64_t)n;
	return n < 0 ? -errno : n;
}

/* First what a killed engine has left in the pipe between. */
static ssize_t move_terminal(struct spool *s, int from)
{
	ssize_t n = move(s, 0, s->relay[0]);
	if (n != -EAGAIN)
		return n;
	n = splice(from, NULL, s->relay[1], NULL, SPOOL_STEP, SPLICE_F_NONBLOCK);
	if (n <= 0)
		return n < 0 && errno != EIO ? -errno : 0; /* EIO: nobody has the terminal open */
	return move(s, 0, s->relay[0]);
}

ssize_t spool_read_rest(struct spool *s, int stream, char bytes[static SPOOL_STEP])
{
	uint64_t left = s->moved[stream] - s->read[stream];
	if (!left)
		return 0;
	ssize_t n = pread(s->memory[stream], bytes, (size_t)MIN(left, (uint64_t)SPOOL_STEP), (off_t)s->read[stream]);
	if (n <= 0)
		return n < 0 ? -errno : -EIO;
	s->read[stream] += (uint64_t)n;
	return n;
}

ssize_t spool_read(struct spool *s, int stream, int from, char bytes[static SPOOL_STEP])
{
	ssize_t n = s->moved[stream] > s->read[stream] ? 1 :
		    s->relay[0] >= 0                   ? move_terminal(s, from) :
							 move(s, stream, from);
	return n <= 0 ? n : spool_read_rest(s, stream, bytes);
}

/* ---- the commit ---- */

struct spool_commit spool_committed(const struct spool *s)
{
	return s->page->slots[atomic_load(&s->page->valid) % SLOTS];
}

static void cut(struct spool *s, int stream, uint64_t committed)
{
	uint64_t end = committed & ~(uint64_t)(PAGE - 1);
	if (end < s->cut[stream] + SPOOL_KEPT)
		return;
	if (fallocate(s->memory[stream], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)s->cut[stream],
		(off_t)(end - s->cut[stream])) == 0)
		s->cut[stream] = end;
}

void spool_commit(struct spool *s, const size_t pending[2], uint64_t inode, uint64_t size)
{
	uint32_t next = (atomic_load(&s->page->valid) + 1) % SLOTS;
	struct spool_commit c = { .inode = inode, .size = size };
	for (int i = 0; i < 2; i++)
		c.offsets[i] = s->read[i] - MIN((uint64_t)pending[i], s->read[i] - PAGE);
	s->page->slots[next] = c;
	atomic_store(&s->page->valid, next);
	for (int i = 0; i < 2; i++)
		if (s->memory[i] >= 0)
			cut(s, i, c.offsets[i]);
}
