/* SPDX-License-Identifier: Apache-2.0
 * What the host does comes to the guest as operations that change nothing on the host. */
#include "fake_agent.h"

static int setup(void **state)
{
	struct world *w = world_new(fake_new(), 0);
	assert_int_equal(mkdirat(w->f->directory, "unwatched", 0755), 0);
	agent_watch(w->a, w->d, EVERYTHING);
	agent_watch(w->a, w->e, EVERYTHING);
	*state = w;
	return 0;
}

static void host_rename(struct fake *f, const char *from, const char *to)
{
	assert_int_equal(renameat(f->directory, from, f->directory, to), 0);
}

/* A new file as most programs make it. */
static void see_new_file(struct world *w, uint64_t node, const char *name)
{
	agent_see(w->a, SHARE_CREATE, node, name);
	agent_see(w->a, SHARE_MODIFY, node, name);
	agent_see(w->a, SHARE_CLOSE_WRITE, node, name);
}

static void test_create(void **state)
{
	struct world *w = *state;
	struct fake *f = w->f;
	host_write(f, "d/file", "text");
	agent_expect(w->a, SHARE_CREATE, w->d, "file");
	assert_int_equal(w->a->event.mode, S_IFREG | 0644);
	/* Everybody else sees it. */
	uint64_t seen = lookup(f, w->d, "file");
	assert_true(seen > 1);
	assert_int_equal(agent_replay(w->a), 0);
	assert_int_equal(w->a->shown.nodeid, seen);
	assert_int_equal(w->a->shown.attr.size, 4);
	assert_int_equal(w->a->shown.attr.ino, host_stat(f, "d/file").st_ino);
	assert_int_equal(inode_find(&f->share.inodes, seen)->lookups, 2);
	agent_done(w->a, 0);
	agent_see(w->a, SHARE_MODIFY, w->d, "file");
	agent_see(w->a, SHARE_CLOSE_WRITE, w->d, "file");
	assert_int_equal(mkdirat(f->directory, "d/sub", 0711), 0);
	agent_see(w->a, SHARE_CREATE, w->d, "sub");
	assert_int_equal(w->a->event.mode, S_IFDIR | 0711);
	assert_int_equal(symlinkat("elsewhere", f->directory, "d/link"), 0);
	agent_see(w->a, SHARE_CREATE, w->d, "link");
	assert_true(S_ISLNK(w->a->event.mode));
	assert_int_equal(fuse(f, FUSE_READLINK, w->a->shown.nodeid, NONE), 0);
	assert_memory_equal(f->reply, "elsewhere", 9);
	assert_int_equal(mknodat(f->directory, "d/fifo", S_IFIFO | 0600, 0), 0);
	agent_see(w->a, SHARE_CREATE, w->d, "fifo");
	assert_int_equal(linkat(f->directory, "d/file", f->directory, "d/second", 0), 0);
	agent_see(w->a, SHARE_CREATE, w->d, "second");
	assert_int_equal(w->a->shown.nodeid, seen);
	agent_quiet(w->a);
}

static void test_states(void **state)
{
	struct world *w = *state;
	struct fake *f = w->f;
	host_write(f, "d/file", "text");
	see_new_file(w, w->d, "file");
	uint64_t node = lookup(f, w->d, "file");
	uint64_t mtime = REPLY(f, struct fuse_entry_out)->attr.mtime;
	uint32_t mtime_ns = REPLY(f, struct fuse_entry_out)->attr.mtimensec;
	usleep(20000); /* the clock that stamps files moves on */
	host_write(f, "d/file", "longer text");
	agent_expect(w->a, SHARE_MODIFY, w->d, "file");
	/* The replay is told the new size, but not yet the new mtime, which makes the guest look
	 * again. */
	f->pid = REPLAYER;
	assert_int_equal(kernel_truncate(w->a, node, 3), 0);
	f->pid = 0;
	assert_int_equal(REPLY(f, struct fuse_attr_out)->attr.size, 11);
	assert_int_equal(REPLY(f, struct fuse_attr_out)->attr_valid, 0);
	assert_int_equal(REPLY(f, struct fuse_attr_out)->attr.mtime, mtime);
	assert_int_equal(REPLY(f, struct fuse_attr_out)->attr.mtimensec, mtime_ns);
	assert_int_equal(host_stat(f, "d/file").st_size, 11);
	agent_done(w->a, 0);
	agent_see(w->a, SHARE_CLOSE_WRITE, w->d, "file");
	assert_int_equal(fchmodat(f->directory, "d/file", 0600, 0), 0);
	agent_see(w->a, SHARE_ATTRIB, w->d, "file");
	assert_int_equal(host_stat(f, "d/file").st_mode & 07777, 0600);
	assert_int_equal(mkdirat(f->directory, "d/sub", 0711), 0);
	agent_see(w->a, SHARE_CREATE, w->d, "sub");
	assert_int_equal(fchmodat(f->directory, "d/sub", 0700, 0), 0);
	agent_see(w->a, SHARE_ATTRIB, w->d, "sub");
	/* What is wanted is what is told. */
	agent_watch(w->a, w->d, IN_CLOSE_WRITE);
	host_write(f, "d/file", "text");
	host_write(f, "d/other", "text");
	agent_see(w->a, SHARE_CLOSE_WRITE, w->d, "file");
	agent_see(w->a, SHARE_CLOSE_WRITE, w->d, "other");
	agent_watch(w->a, w->d, 0);
	host_write(f, "d/file", "text");
	agent_quiet(w->a);
}

static void test_remove(void **state)
{
	struct world *w = *state;
	struct fake *f = w->f;
	host_write(f, "unwatched/known", "text");
	host_write(f, "unwatched/unknown", "");
	host_rename(f, "unwatched/known", "d/known");
	agent_see(w->a, SHARE_CREATE, w->d, "known");
	agent_watch(w->a, w->d, 0);
	host_rename(f, "unwatched/unknown", "d/unknown");
	agent_watch(w->a, w->d, EVERYTHING);
	size_t before = f->share.inodes.count;
	assert_int_equal(unlinkat(f->directory, "d/unknown", 0), 0);
	agent_see(w->a, SHARE_REMOVE, w->d, "unknown");
	/* A record was made for it, of no file, and goes when the guest forgets. */
	assert_int_equal(f->share.inodes.count, before + 1);
	struct fuse_getattr_in get = { 0 };
	struct fuse_forget_in forget = { .nlookup = 1 };
	assert_int_equal(fuse(f, FUSE_GETATTR, w->a->shown.nodeid, PART(get)), -ESTALE);
	fuse(f, FUSE_FORGET, w->a->shown.nodeid, PART(forget));
	assert_int_equal(f->share.inodes.count, before);
	assert_int_equal(unlinkat(f->directory, "d/known", 0), 0);
	agent_see(w->a, SHARE_REMOVE, w->d, "known");
	assert_int_equal(mkdirat(f->directory, "d/sub", 0755), 0);
	agent_see(w->a, SHARE_CREATE, w->d, "sub");
	assert_int_equal(unlinkat(f->directory, "d/sub", AT_REMOVEDIR), 0);
	agent_see(w->a, SHARE_REMOVE, w->d, "sub");
	assert_true(S_ISDIR(w->a->event.mode));
	assert_int_equal(kernel_lookup(w->a, w->d, "sub", &w->a->shown), -ENOENT);
	agent_quiet(w->a);
}

/* What was watched itself and is removed is shown as what it was, so that its own watchers hear of
 * it. */
static void test_watched_itself(void **state)
{
	struct world *w = *state;
	struct fake *f = w->f;
	uint64_t fh = 0;
	host_write(f, "unwatched/f", "text");
	uint64_t u = lookup(f, 1, "unwatched"), file = lookup(f, u, "f");
	assert_int_equal(open_file(f, file, O_RDONLY, &fh), 0);
	agent_watch(w->a, file, EVERYTHING);
	host_write(f, "unwatched/other", "nobody watches this one");
	host_write(f, "unwatched/f", "new");
	agent_see(w->a, SHARE_MODIFY, u, "f");
	assert_int_equal(w->a->shown.nodeid, file);
	agent_see(w->a, SHARE_CLOSE_WRITE, u, "f");
	assert_int_equal(fchmodat(f->directory, "unwatched/f", 0600, 0), 0);
	agent_see(w->a, SHARE_ATTRIB, u, "f");
	/* Replaced, as an editor does. */
	host_write(f, "unwatched/f.new", "edited");
	host_rename(f, "unwatched/f.new", "unwatched/f");
	agent_expect(w->a, SHARE_RENAME, u, "f.new");
	struct fuse_entry_out replaced;
	f->pid = REPLAYER;
	assert_int_equal(kernel_lookup(w->a, u, "f", &replaced), 0);
	assert_int_equal(replaced.nodeid, file);
	assert_int_equal(replaced.attr.size, 3); /* it is open: its own attributes */
	f->pid = 0;
	assert_int_equal(agent_replay(w->a), 0);
	agent_done(w->a, 0);
	assert_true(lookup(f, u, "f") != file);
	struct fuse_read_in in = { .fh = fh, .size = 100 };
	assert_int_equal(fuse(f, FUSE_READ, file, PART(in)), 0);
	assert_int_equal(f->reply_size, 3);
	/* The same with one that nobody has open, so that the host has nothing of it any more. */
	uint64_t second = lookup(f, u, "f");
	agent_watch(w->a, second, EVERYTHING);
	host_write(f, "unwatched/f.new", "edited again");
	host_rename(f, "unwatched/f.new", "unwatched/f");
	agent_expect(w->a, SHARE_RENAME, u, "f.new");
	f->pid = REPLAYER;
	assert_int_equal(kernel_lookup(w->a, u, "f", &replaced), 0);
	assert_int_equal(replaced.nodeid, second);
	f->pid = 0;
	assert_int_equal(agent_replay(w->a), 0);
	agent_done(w->a, 0);
	/* The directory itself. */
	agent_watch(w->a, u, IN_DELETE_SELF);
	assert_int_equal(unlinkat(f->directory, "unwatched/other", 0), 0);
	assert_int_equal(unlinkat(f->directory, "unwatched/f", 0), 0);
	assert_int_equal(unlinkat(f->directory, "unwatched", AT_REMOVEDIR), 0);
	agent_see(w->a, SHARE_REMOVE, 1, "unwatched");
	assert_int_equal(w->a->shown.nodeid, u);
	agent_quiet(w->a);
}

/* A tree that is watched goes while it is still being told of: every part of it is. */
static void test_tree_removed(void **state)
{
	struct world *w = *state;
	struct fake *f = w->f;
	struct fuse_getattr_in get = { 0 };
	f->share.inodes.max_fds = 0; /* nothing keeps a directory that has gone */
	assert_int_equal(mkdirat(f->directory, "d/sub", 0755), 0);
	agent_see(w->a, SHARE_CREATE, w->d, "sub");
	uint64_t sub = lookup(f, w->d, "sub");
	agent_watch(w->a, sub, EVERYTHING);
	assert_int_equal(mkdirat(f->directory, "d/sub/deep", 0755), 0);
	agent_see(w->a, SHARE_CREATE, sub, "deep");
	agent_watch(w->a, lookup(f, sub, "deep"), EVERYTHING);
	assert_int_equal(unlinkat(f->directory, "d/sub/deep", AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(f->directory, "d/sub", AT_REMOVEDIR), 0);
	agent_expect(w->a, SHARE_REMOVE, sub, "deep");
	assert_int_equal(fuse(f, FUSE_GETATTR, sub, PART(get)), -ESTALE);
	f->pid = REPLAYER;
	assert_int_equal(fuse(f, FUSE_GETATTR, sub, PART(get)), 0);
	assert_true(S_ISDIR(REPLY(f, struct fuse_attr_out)->attr.mode));
	assert_int_equal(REPLY(f, struct fuse_attr_out)->attr_valid, 0);
	f->pid = 0;
	assert_int_equal(agent_replay(w->a), 0);
	agent_done(w->a, 0);
	agent_see(w->a, SHARE_REMOVE, w->d, "sub");
	assert_int_equal(w->a->shown.nodeid, sub);
	agent_quiet(w->a);
}

/* For a while the guest believes what it has seen of a name. Who watches it then, though the host
 * has another file there, is told that it is gone. */
static void test_replaced_before_watched(void **state)
{
	struct world *w = *state;
	struct fake *f = w->f;
	uint64_t u = lookup(f, 1, "unwatched");
	for (int replaced = 0; replaced <= 1; replaced++) {
		assert_int_equal(mkdirat(f->directory, "unwatched/sub", 0755), 0);
		uint64_t sub = lookup(f, u, "sub");
		host_write(f, "unwatched/file", "old");
		uint64_t file = lookup(f, u, "file");
		assert_int_equal(unlinkat(f->directory, "unwatched/sub", AT_REMOVEDIR), 0);
		assert_int_equal(unlinkat(f->directory, "unwatched/file", 0), 0);
		if (replaced) {
			assert_int_equal(mkdirat(f->directory, "unwatched/sub", 0755), 0);
			host_write(f, "unwatched/file", "new");
		}
		agent_watch(w->a, sub, EVERYTHING);
		agent_watch(w->a, sub, EVERYTHING & ~(uint32_t)IN_ATTRIB); /* said once */
		agent_see(w->a, SHARE_REMOVE, u, "sub");
		assert_int_equal(w->a->shown.nodeid, sub);
		agent_watch(w->a, file, IN_MODIFY | IN_DELETE_SELF);
		agent_see(w->a, SHARE_REMOVE, u, "file");
		assert_int_equal(w->a->shown.nodeid, file);
		agent_watch(w->a, sub, EVERYTHING);
		agent_quiet(w->a);
		for (int n = 0; replaced && n < 2; n++)
			assert_int_equal(unlinkat(f->directory, n ? "unwatched/file" : "unwatched/sub",
					     n ? 0 : AT_REMOVEDIR),
			    0);
	}
	/* Who watches the directory as well is told what is there instead. */
	assert_int_equal(mkdirat(f->directory, "unwatched/sub", 0755), 0);
	uint64_t sub = lookup(f, u, "sub");
	assert_int_equal(unlinkat(f->directory, "unwatched/sub", AT_REMOVEDIR), 0);
	assert_int_equal(mkdirat(f->directory, "unwatched/sub", 0755), 0);
	agent_watch(w->a, u, EVERYTHING);
	agent_watch(w->a, sub, EVERYTHING);
	agent_see(w->a, SHARE_REMOVE, u, "sub");
	agent_see(w->a, SHARE_CREATE, u, "sub");
	assert_true(w->a->shown.nodeid != sub);
	agent_quiet(w->a);
}

/* What is still to be told is not to be kept: neither that a name is not there any more, nor that
 * it is. */
static void test_not_kept(void **state)
{
	struct world *w = *state;
	struct fake *f = w->f;
	assert_int_equal(mkdirat(f->directory, "d/sub", 0755), 0);
	assert_true(lookup(f, w->d, "sub") > 1); /* before the loop has seen anything */
	assert_int_equal(REPLY(f, struct fuse_entry_out)->entry_valid, 0);
	agent_see(w->a, SHARE_CREATE, w->d, "sub");
	assert_true(lookup(f, w->d, "sub") > 1);
	assert_int_equal(REPLY(f, struct fuse_entry_out)->entry_valid, 1);
	assert_int_equal(unlinkat(f->directory, "d/sub", AT_REMOVEDIR), 0);
	assert_int_equal(lookup(f, w->d, "sub"), 0);
	assert_int_equal(REPLY(f, struct fuse_entry_out)->entry_valid, 0);
	agent_see(w->a, SHARE_REMOVE, w->d, "sub");
	assert_int_equal(lookup(f, w->d, "sub"), 0);
	assert_int_equal(REPLY(f, struct fuse_entry_out)->entry_valid, 1);
	host_write(f, "unwatched/x", "");
	host_rename(f, "unwatched/x", "d/x");
	agent_see(w->a, SHARE_CREATE, w->d, "x");
	host_rename(f, "d/x", "unwatched/x");
	assert_int_equal(lookup(f, w->d, "x"), 0); /* one half of a rename, so far */
	assert_int_equal(REPLY(f, struct fuse_entry_out)->entry_valid, 0);
	agent_see(w->a, SHARE_REMOVE, w->d, "x");
	agent_quiet(w->a);
}

static void test_rename(void **state)
{
	struct world *w = *state;
	struct fake *f = w->f;
	host_write(f, "d/a", "text");
	see_new_file(w, w->d, "a");
	uint64_t node = lookup(f, w->d, "a");
	host_rename(f, "d/a", "d/b");
	agent_see_rename(w->a, w->d, "a", w->d, "b");
	assert_int_equal(w->a->shown.nodeid, node);
	assert_true(inode_is_named(inode_find(&f->share.inodes, node), inode_find(&f->share.inodes, w->d), "b"));
	host_rename(f, "d/b", "e/c");
	agent_see_rename(w->a, w->d, "b", w->e, "c");
	assert_int_equal(lookup(f, w->e, "c"), node);
	/* Out of what is watched, and back. */
	host_rename(f, "e/c", "unwatched/c");
	agent_see(w->a, SHARE_REMOVE, w->e, "c");
	host_rename(f, "unwatched/c", "d/c");
	agent_see(w->a, SHARE_CREATE, w->d, "c");
	assert_int_equal(w->a->shown.nodeid, node);
	/* Over another one. */
	host_write(f, "d/new", "other text");
	see_new_file(w, w->d, "new");
	host_rename(f, "d/new", "d/c");
	agent_see_rename(w->a, w->d, "new", w->d, "c");
	assert_true(lookup(f, w->d, "c") != node);
	assert_int_equal(REPLY(f, struct fuse_entry_out)->attr.size, 10);
	/* A directory, with what the guest knows beneath it. */
	assert_int_equal(mkdirat(f->directory, "d/sub", 0755), 0);
	agent_see(w->a, SHARE_CREATE, w->d, "sub");
	uint64_t sub = lookup(f, w->d, "sub");
	host_write(f, "d/sub/deep", "text");
	uint64_t deep = lookup(f, sub, "deep");
	host_rename(f, "d/sub", "e/moved");
	agent_see_rename(w->a, w->d, "sub", w->e, "moved");
	struct fuse_getattr_in get = { 0 };
	assert_int_equal(fuse(f, FUSE_GETATTR, deep, PART(get)), 0);
	/* One that the guest does not know, and one that is moved on before the first move is
	 * told. */
	agent_watch(w->a, w->d, 0);
	host_write(f, "d/x", "text");
	agent_watch(w->a, w->d, EVERYTHING);
	host_rename(f, "d/x", "d/y");
	host_rename(f, "d/y", "d/z");
	agent_see_rename(w->a, w->d, "x", w->d, "y");
	agent_see_rename(w->a, w->d, "y", w->d, "z");
	assert_true(lookup(f, w->d, "z") > 1);
	assert_int_equal(REPLY(f, struct fuse_entry_out)->attr.size, 4);
	agent_quiet(w->a);
}

/* Somebody inside was quicker: the watcher wakes up at least. */
static void test_races(void **state)
{
	struct world *w = *state;
	struct fake *f = w->f;
	host_write(f, "d/x", "text");
	agent_expect(w->a, SHARE_CREATE, w->d, "x");
	agent_done(w->a, -EEXIST);
	agent_see(w->a, SHARE_MODIFY, w->d, "x");
	agent_see(w->a, SHARE_CLOSE_WRITE, w->d, "x");
	agent_see(w->a, SHARE_ATTRIB, w->d, "x");
	/* It has gone again before the replay. */
	assert_int_equal(mkdirat(f->directory, "d/sub", 0755), 0);
	agent_expect(w->a, SHARE_CREATE, w->d, "sub");
	assert_int_equal(unlinkat(f->directory, "d/sub", AT_REMOVEDIR), 0);
	assert_int_equal(agent_replay(w->a), -ENOENT);
	agent_done(w->a, -ENOENT);
	agent_see(w->a, SHARE_REMOVE, w->d, "sub");
	/* Removed, made again, and the guest has looked at the new one: that one is not removed
	 * inside. */
	assert_int_equal(unlinkat(f->directory, "d/x", 0), 0);
	agent_expect(w->a, SHARE_REMOVE, w->d, "x");
	host_write(f, "d/x", "again");
	uint64_t node = lookup(f, w->d, "x");
	f->pid = REPLAYER;
	assert_int_equal(fuse(f, FUSE_UNLINK, w->d, TEXT("x")), -EBUSY);
	f->pid = 0;
	agent_done(w->a, -EBUSY);
	agent_see(w->a, SHARE_CREATE, w->d, "x");
	assert_int_equal(w->a->shown.nodeid, node);
	agent_see(w->a, SHARE_MODIFY, w->d, "x");
	agent_see(w->a, SHARE_CLOSE_WRITE, w->d, "x");
	/* Renamed, and inside both names were the same file already. */
	host_rename(f, "d/x", "d/y");
	agent_expect(w->a, SHARE_RENAME, w->d, "x");
	agent_done(w->a, 0);
	agent_see(w->a, SHARE_REMOVE, w->d, "x");
	agent_see(w->a, SHARE_ATTRIB, w->d, "y");
	/* Came and went: nothing to tell. */
	agent_watch(w->a, w->d, EVERYTHING);
	host_write(f, "d/brief", "text");
	assert_int_equal(unlinkat(f->directory, "d/brief", 0), 0);
	agent_quiet(w->a);
}

static void test_hidden(void **state)
{
	struct world *w = *state;
	struct fake *f = w->f;
	AUTO_STRV struct strv by_name = { 0 }, by_id = { 0 };
	strv_add(&by_name, "d");
	strv_add(&by_name, "secret");
	strv_add(&by_id, "unwatched");
	assert_int_equal(share_hide(&f->share, &by_name, NULL), 0);
	assert_int_equal(share_hide(&f->share, &by_id, NULL), 0);
	assert_int_equal(mkdirat(f->directory, "d/secret", 0755), 0);
	assert_int_equal(fchmodat(f->directory, "d/secret", 0700, 0), 0);
	agent_quiet(w->a);
	host_rename(f, "d/secret", "d/open"); /* it was hidden by its name alone */
	agent_see(w->a, SHARE_CREATE, w->d, "open");
	host_rename(f, "d/open", "d/secret");
	agent_see(w->a, SHARE_REMOVE, w->d, "open");
	assert_int_equal(unlinkat(f->directory, "d/secret", AT_REMOVEDIR), 0);
	host_rename(f, "unwatched", "d/moved"); /* it is hidden wherever it is */
	assert_int_equal(fchmodat(f->directory, "d/moved", 0700, 0), 0);
	agent_quiet(w->a);
}

static void test_queue(void **state)
{
	struct event_queue q = { 0 };
	char name[16];
	assert_int_equal(event_queue_add(&q, event_new(SHARE_MODIFY, 1, "x", 0, NULL)), 0);
	assert_int_equal(event_queue_add(&q, event_new(SHARE_ATTRIB, 1, "x", 0, NULL)), 0);
	assert_int_equal(event_queue_add(&q, event_new(SHARE_MODIFY, 1, "x", 0, NULL)), 0);
	assert_int_equal(event_queue_add(&q, event_new(SHARE_MODIFY, 2, "x", 0, NULL)), 0);
	assert_int_equal(q.count, 3);
	/* The name means another file then. */
	assert_int_equal(event_queue_add(&q, event_new(SHARE_RENAME, 1, "y", 1, "x")), 0);
	assert_int_equal(event_queue_add(&q, event_new(SHARE_MODIFY, 1, "x", 0, NULL)), 0);
	assert_int_equal(q.count, 5);
	/* Came and went. */
	assert_int_equal(event_queue_add(&q, event_new(SHARE_CREATE, 1, "n", 0, NULL)), 0);
	assert_int_equal(event_queue_add(&q, event_new(SHARE_MODIFY, 1, "n", 0, NULL)), 0);
	assert_int_equal(event_queue_add(&q, event_new(SHARE_MODIFY, 1, "x", 0, NULL)), 0);
	assert_int_equal(event_queue_add(&q, event_new(SHARE_REMOVE, 1, "n", 0, NULL)), 0);
	assert_int_equal(q.count, 5);
	assert_int_equal(event_queue_add(&q, event_new(SHARE_REMOVE, 1, "n", 0, NULL)), 0);
	assert_int_equal(event_queue_add(&q, event_new(SHARE_REMOVE, 1, "n", 0, NULL)), 0);
	assert_int_equal(q.count, 6);
	struct event *e = event_queue_take(&q);
	assert_int_equal(e->operation, SHARE_MODIFY);
	event_queue_put_back(&q, e);
	assert_ptr_equal(q.first, e);
	for (int n = 0; q.count < EVENT_QUEUE_MAX; n++) {
		snprintf(name, sizeof name, "file%d", n);
		assert_int_equal(event_queue_add(&q, event_new(SHARE_CREATE, 1, name, 0, NULL)), 0);
	}
	assert_int_equal(event_queue_add(&q, event_new(SHARE_CREATE, 1, "more", 0, NULL)), -ENOBUFS);
	assert_int_equal(event_queue_add(&q, event_new(SHARE_REMOVE, 1, "file7", 0, NULL)), 0);
	assert_int_equal(q.count, EVENT_QUEUE_MAX - 1);
	event_queue_clear(&q);
	assert_null(q.first);
	assert_null(q.last);
	assert_int_equal(q.count, 0);
}

/* More than the host's queue and ours hold: some is lost, the rest and what comes later is told. */
static void test_overflow(void **state)
{
	struct world *w = *state;
	struct fake *f = w->f;
	char name[32];
	for (int n = 0; n < 17000; n++) {
		snprintf(name, sizeof name, "d/f%d", n);
		int fd = openat(f->directory, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		assert_true(fd >= 0);
		close(fd);
	}
	agent_take(w->a);
	assert_true(w->a->events->watches.said_overflow);
	assert_true(w->a->events->said_full);
	assert_true(w->a->events->queue.count <= EVENT_QUEUE_MAX);
	agent_watch(w->a, w->d, 0);
	unsigned seen = 1;
	agent_done(w->a, -EIO);
	for (char packet[SHARE_PAYLOAD_MAX]; agent_receive(w->a, packet, QUIET_MS) > 0; seen++) {
		memcpy(&w->a->event, packet, sizeof w->a->event);
		agent_done(w->a, -EIO);
	}
	assert_true(seen <= EVENT_QUEUE_MAX + 1);
	host_write(f, "e/later", "");
	agent_see(w->a, SHARE_CREATE, w->e, "later");
}

/* A replayer that waits inside for a lock, while the connection ends and others come and go. */
static void test_late(void **state)
{
	struct world *w = *state;
	struct fake *f = w->f;
	host_write(f, "d/x", "");
	agent_expect(w->a, SHARE_CREATE, w->d, "x");
	for (uint32_t pid = REPLAYER; pid < REPLAYER + 3; pid++) {
		agent_hello(w->a, pid + 1);
		agent_hello(w->a, 0);
		agent_turn(w->a);
	}
	uint64_t until = 0;
	for (unsigned n = 0; n < SHARE_REPLAYERS_BEFORE; n++)
		if (f->share.state->before[n].pid == REPLAYER)
			until = f->share.state->before[n].until_ms;
	assert_true(until >= clock_now_ms() + 300 * 1000);
	f->pid = REPLAYER;
	assert_int_equal(fuse(f, FUSE_UNLINK, w->d, TEXT("x")), -EPERM);
	f->uid = 1000; /* somebody else who has the number by now */
	assert_int_equal(fuse(f, FUSE_UNLINK, w->d, TEXT("x")), 0);
	f->pid = f->uid = 0;
}

/* One event as the kernel writes it, of a file system whose names are longer than most. */
static void say_long_name(struct watch_table *t, int fd, int wd, uint32_t mask, uint32_t cookie)
{
	char bytes[sizeof(struct inotify_event) + 1024] = { 0 };
	struct inotify_event e = { .wd = wd, .mask = mask, .cookie = cookie, .len = 1024 };
	memcpy(bytes, &e, sizeof e);
	memset(bytes + sizeof e, 'x', 765);
	assert_int_equal(write(fd, bytes, sizeof bytes), sizeof bytes);
	watch_read(t);
}

/* Names that are too long to be told of are not: some file systems have names of more than
 * SHARE_NAME_MAX bytes. */
static void test_long_names(void **state)
{
	static const uint32_t masks[] = { IN_CREATE, IN_DELETE, IN_MOVED_FROM, IN_MOVED_TO, IN_MODIFY, IN_ATTRIB,
		IN_CLOSE_WRITE };
	struct world *w = *state;
	struct watch_table *t = &w->a->events->watches;
	int pair[2], wd = inode_find(&w->f->share.inodes, w->d)->watch->wd;
	assert_int_equal(pipe2(pair, O_NONBLOCK | O_CLOEXEC), 0);
	assert_true(dup3(pair[0], t->inotify, O_CLOEXEC) >= 0);
	for (size_t n = 0; n < ARRAY_SIZE(masks); n++) {
		say_long_name(t, pair[1], wd, masks[n], (masks[n] & (IN_MOVED_FROM | IN_MOVED_TO)) ? 7 : 0);
		assert_int_equal(w->a->events->queue.count, 0);
		assert_int_equal(t->moved.cookie, 0);
	}
	close(pair[0]);
	close(pair[1]);
}

/* A file that is written all the time is not told of all the time. */
static void test_pace(void **state)
{
	struct world *w = *state;
	unsigned told = 0;
	agent_watch(w->a, w->d, IN_MODIFY);
	AUTO_FD int fd = openat(w->f->directory, "d/log", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	uint64_t begin = clock_now_ms(), deadline = clock_deadline(EVENT_WAIT_MS);
	char packet[SHARE_PAYLOAD_MAX];
	while (clock_now_ms() < begin + 500 || (told < 2 && clock_now_ms() < deadline)) {
		assert_int_equal(write(fd, "x", 1), 1);
		if (agent_receive(w->a, packet, 1) == 0)
			continue;
		memcpy(&w->a->event, packet, sizeof w->a->event);
		told++;
		agent_done(w->a, 0);
	}
	assert_in_range(told, 2, (clock_now_ms() - begin) / EVENT_REPEAT_MS + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_create, setup, world_free),
		cmocka_unit_test_setup_teardown(test_states, setup, world_free),
		cmocka_unit_test_setup_teardown(test_remove, setup, world_free),
		cmocka_unit_test_setup_teardown(test_watched_itself, setup, world_free),
		cmocka_unit_test_setup_teardown(test_tree_removed, setup, world_free),
		cmocka_unit_test_setup_teardown(test_replaced_before_watched, setup, world_free),
		cmocka_unit_test_setup_teardown(test_not_kept, setup, world_free),
		cmocka_unit_test_setup_teardown(test_rename, setup, world_free),
		cmocka_unit_test_setup_teardown(test_races, setup, world_free),
		cmocka_unit_test_setup_teardown(test_hidden, setup, world_free), cmocka_unit_test(test_queue),
		cmocka_unit_test_setup_teardown(test_overflow, setup, world_free),
		cmocka_unit_test_setup_teardown(test_late, setup, world_free),
		cmocka_unit_test_setup_teardown(test_long_names, setup, world_free),
		cmocka_unit_test_setup_teardown(test_pace, setup, world_free) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
