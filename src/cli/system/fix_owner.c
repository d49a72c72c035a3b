/* SPDX-License-Identifier: Apache-2.0
 * `holm machine fix-owner [PATH]`: what root (or another user) inside a native machine made in a
 * share belongs to one of your subordinate ids; only as root of a user namespace with them can it
 * be given back.
 *
 * Any path will do, as nothing but files of ids that are yours is touched. Left alone are folders
 * in which such files belong: holm's own, and those of other programs that keep containers under
 * the same ids. Symbolic links are changed, not followed; other file systems are not entered. A
 * machine that runs may change the tree meanwhile: fts(3) goes down and up by directories that it
 * checks, and files are named within them. */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "idmap/idmap.h"

static int run(const struct command_spec *c, struct options *o);

const struct command_spec command_fix_owner = {
	.name = "fix-owner",
	.synopsis = "[PATH]",
	.summary = "give files that root inside made in a share back to you",
	.details =
	    "In native isolation what other users inside make in your home belongs to your subordinate ids, and you "
	    "cannot delete it. This gives all of it at PATH and below (the current directory when left out) back to "
	    "you and prints how many files that were. In virtual machines they are yours from the beginning.",
	.max_arguments = 1,
	.complete = "directory",
	.run = run,
};

enum { SKIPPED_MAX = 16, NOBODY = 65534 };

struct identity {
	dev_t device;
	ino_t inode;
};

struct walk {
	const struct idmap *map;
	char *path;
	struct identity skipped[SKIPPED_MAX];
	size_t skipped_count;
	uint64_t *fixed; /* shared memory */
};

static void skip(struct walk *w, const char *path)
{
	struct stat st;
	if (w->skipped_count < SKIPPED_MAX && stat(path, &st) == 0)
		w->skipped[w->skipped_count++] = (struct identity){ st.st_dev, st.st_ino };
}

static int is_skipped(const struct walk *w, const struct stat *st)
{
	for (size_t i = 0; i < w->skipped_count; i++)
		if (w->skipped[i].device == st->st_dev && w->skipped[i].inode == st->st_ino)
			return 1;
	return 0;
}

static void collect_skipped(struct walk *w)
{
	static const char *const others[] = { "containers", "docker", "lxc", "incus" };
	AUTOFREE char *data = path_data_dir(), *config = path_config_dir(), *cache = path_cache_dir(),
		      *parent = path_parent(data);
	skip(w, data);
	skip(w, config);
	skip(w, cache);
	AUTO_STRV struct strv runtime = { 0 };
	path_runtime_dirs(&runtime);
	for (size_t i = 0; i < runtime.count; i++)
		skip(w, runtime.items[i]);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		AUTOFREE char *path = path_join(parent, others[i]);
		skip(w, path);
	}
}

/* The path itself, or something above it, is to be left alone. */
static int is_below_skipped(const struct walk *w, const char *path)
{
	AUTOFREE char *at = xstrdup(path);
	for (;;) {
		struct stat st;
		if (stat(at, &st) == 0 && is_skipped(w, &st))
			return 1;
		if (streq(at, "/"))
			return 0;
		char *parent = path_parent(at);
		free(at);
		at = parent;
	}
}

/* Which id a file gets: yours where it is another of the mapping, else it keeps it (-1). Root's own
 * walk sees ids as they are outside. */
static uint32_t new_id(uint32_t id, uint32_t own, const struct idmap_extent *extents, size_t count, int outside)
{
	uint32_t other;
	int known = outside ? idmap_inside(extents, count, id, &other) : idmap_outside(extents, count, id, &other);
	return id != own && known ? own : UINT32_MAX;
}

static int fix(struct walk *w, const FTSENT *entry, struct error **err)
{
	struct stat now, *st = &now;
	/* fts asked a while ago; another name of the same file may have come before this one. */
	if (fstatat(AT_FDCWD, entry->fts_accpath, st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : error_set_errno(err, errno, "%s", entry->fts_path);
	uint32_t uid = new_id(st->st_uid, w->map->uid, w->map->uids, w->map->uid_count, w->map->by_root);
	uint32_t gid = new_id(st->st_gid, w->map->gid, w->map->gids, w->map->gid_count, w->map->by_root);
	if (uid == UINT32_MAX && gid == UINT32_MAX)
		return 0;
	if (fchownat(AT_FDCWD, entry->fts_accpath, uid, gid, AT_SYMLINK_NOFOLLOW) == 0) {
		++*w->fixed;
		return 0;
	}
	/* Inside, what is not mapped at all shows as nobody: other people's. And what is gone needs
	 * nothing. */
	int strange = errno == EPERM && !w->map->by_root && (st->st_uid == NOBODY || st->st_gid == NOBODY);
	return strange || errno == ENOENT ? 0 : error_set_errno(err, errno, "%s", entry->fts_path);
}

static int visit(struct walk *w, FTS *tree, FTSENT *entry, struct error **err)
{
	switch (entry->fts_info) {
	case FTS_D:
		if (is_skipped(w, entry->fts_statp)) {
			fts_set(tree, entry, FTS_SKIP);
			return 0;
		}
		return fix(w, entry, err);
	case FTS_DP:
		return 0;
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		/* Other people's, which cannot be entered; or gone meanwhile. */
		return entry->fts_errno == EACCES || entry->fts_errno == ENOENT ?
			   0 :
			   error_set_errno(err, entry->fts_errno, "%s", entry->fts_path);
	default:
		return fix(w, entry, err);
	}
}

static int walk_tree(void *data, struct error **err)
{
	struct walk *w = data;
	char *paths[] = { w->path, NULL };
	FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_XDEV, NULL);
	FTSENT *entry;
	int r = tree ? 0 : error_set_errno(err, errno, "%s", w->path);
	for (errno = 0; r == 0 && (entry = fts_read(tree)); errno = 0)
		r = visit(w, tree, entry, err);
	if (r == 0 && errno)
		r = error_set_errno(err, errno, "%s", w->path);
	if (tree)
		fts_close(tree);
	return r;
}

static int fix_owner(const char *given, uint64_t *ret, struct error **err)
{
	struct idmap map;
	struct walk w = { .map = &map };
	AUTOFREE char *path = realpath(given, NULL);
	if (!path)
		return error_set_errno(err, errno, "\"%s\"", given);
	collect_skipped(&w);
	if (is_below_skipped(&w, path))
		return error_set(err, EINVAL,
		    "\"%s\" belongs to holm or to another program's containers, whose files need the owners they have",
		    path);
	int r = idmap_of_user(&map, err);
	if (r == -ENOENT) { /* no ranges, no such files */
		error_clear(err);
		return 0;
	}
	if (r < 0)
		return r;
	w.path = path;
	w.fixed = mmap(NULL, sizeof *w.fixed, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (w.fixed == MAP_FAILED)
		return error_set_errno(err, errno, "memory");
	r = map.by_root ? walk_tree(&w, err) : idmap_run(&map, walk_tree, &w, err);
	*ret = *w.fixed;
	munmap(w.fixed, sizeof *w.fixed);
	return r;
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	const struct strv *words = options_words(o);
	uint64_t fixed = 0;
	int r = fix_owner(words->count ? words->items[0] : ".", &fixed, &err);
	if (r < 0)
		return output_failure(r, err);
	output_line("%llu", (unsigned long long)fixed);
	return 0;
}
