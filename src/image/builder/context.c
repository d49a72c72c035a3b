/* SPDX-License-Identifier: Apache-2.0
 * See context.h. */
#include "image/builder/context.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/path.h"
#include "image/builder/message.h"
#include "image/common/hash.h"
#include "image/common/interrupt.h"
#include "oci/digest.h"

enum { DEPTH_MAX = 512, ENTRIES_MAX = 4 << 20, NOTES_MAX = 64 << 20, PIECE = 1 << 17, LINKS_MAX = 40 };
#define YOUNG_NS 2000000000LL
#define NS_PER_S 1000000000LL
#define NOTES_HEAD "holm build files 1\n"

/* A file's digest, and its stamp when it was read. */
struct note {
	char *path, *stamp;
	char digest[DIGEST_TEXT_SIZE + 1];
};

struct build_context {
	int root;
	char *path;
	struct ignore *ignore;
	struct note *notes; /* sorted by path: of the last build */
	size_t note_count;
	char *notes_text;
	struct buffer fresh; /* the notes of this one */
};

int build_context_open(const char *path, struct ignore *ignore, struct build_context **ret, struct error **err)
{
	AUTO_BUILD_CONTEXT struct build_context *c = xnew(struct build_context);
	char real[PATH_MAX];
	c->ignore = ignore;
	c->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	buffer_init(&c->fresh, NOTES_MAX);
	if (c->root < 0 || !realpath(path, real))
		return error_set_errno(err, errno, "context \"%s\"", path);
	c->path = xstrdup(real);
	*ret = TAKE_PTR(c);
	return 0;
}

void build_context_free(struct build_context *c)
{
	if (!c)
		return;
	fd_close(c->root);
	ignore_free(c->ignore);
	free(c->path);
	free(c->notes);
	free(c->notes_text);
	buffer_done(&c->fresh);
	free(c);
}

/* ---- the walk ---- */

struct walk {
	struct build_context *context;
	struct content_pool *pool;
	struct contents *to;
	struct error **err;
};

static const struct {
	mode_t format;
	enum tar_type type;
} types[] = { { S_IFREG, TAR_FILE }, { S_IFDIR, TAR_DIRECTORY }, { S_IFLNK, TAR_SYMLINK }, { S_IFIFO, TAR_FIFO } };

static int type_of(mode_t mode, enum tar_type *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if ((mode & S_IFMT) == types[i].format) {
			*ret = types[i].type;
			return 1;
		}
	return 0;
}

static char *stamp_of(const struct stat *st)
{
	return xasprintf("%llx.%llx.%llx.%llx.%llx", (unsigned long long)st->st_dev, (unsigned long long)st->st_ino,
	    (unsigned long long)st->st_size, (unsigned long long)(st->st_mtim.tv_sec * NS_PER_S + st->st_mtim.tv_nsec),
	    (unsigned long long)(st->st_ctim.tv_sec * NS_PER_S + st->st_ctim.tv_nsec));
}

static char *link_target(int directory, const char *name)
{
	char text[PATH_MAX];
	ssize_t n = readlinkat(directory, name, text, sizeof text);
	return n < 0 || n == sizeof text ? NULL : xstrndup(text, (size_t)n);
}

/* Adds an entry. Sockets and devices are left out. */
static int add(struct walk *w, int directory, const char *name, const char *path, const struct stat *st)
{
	enum tar_type type;
	if (!type_of(st->st_mode, &type))
		return 0;
	if (w->to->count == ENTRIES_MAX)
		return error_set(w->err, E2BIG, "%s: more than %d files; leave some out by .dockerignore",
		    w->context->path, ENTRIES_MAX);
	struct content *c = content_pool_new(w->pool);
	*c = (struct content){
		.path = xstrdup(path),
		.type = type,
		.mode = st->st_mode & 07777,
		.size = type == TAR_FILE ? (uint64_t)st->st_size : 0,
		.mtime = st->st_mtim.tv_sec,
		.note = type == TAR_FILE ? stamp_of(st) : NULL,
		.target = type == TAR_SYMLINK ? link_target(directory, name) : NULL,
	};
	if (type == TAR_SYMLINK && !c->target)
		return error_set_errno(w->err, errno, "cannot read \"%s\"", path);
	contents_append(w->to, c);
	return 0;
}

static int walk_entry(struct walk *w, int directory, const char *name, const char *path, int depth);

static int walk_directory(struct walk *w, int directory, const char *name, const char *path, int depth)
{
	AUTO_FD int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : path_list(fd);
	int r = d ? interrupt_check(w->err) : error_set_errno(w->err, errno, "cannot read \"%s\"", path);
	if (depth > DEPTH_MAX)
		r = error_set(w->err, ELOOP, "\"%.200s...\": more than %d directories deep", path, DEPTH_MAX);
	for (struct dirent *e; r == 0 && d && (e = readdir(d));) {
		if (streq(e->d_name, ".") || streq(e->d_name, ".."))
			continue;
		AUTOFREE char *below = path_join(path, e->d_name);
		r = walk_entry(w, fd, e->d_name, below, depth + 1);
	}
	if (d)
		closedir(d);
	return r;
}

/* A directory that is left out comes back with the first thing in it that is not. */
static int walk_left_out(struct walk *w, int directory, const char *name, const char *path, const struct stat *st,
    int depth)
{
	size_t before = w->to->count;
	if (!S_ISDIR(st->st_mode) || !ignore_may_include_below(w->context->ignore, path + 1))
		return 0;
	int r = walk_directory(w, directory, name, path, depth);
	return r == 0 && w->to->count > before ? add(w, directory, name, path, st) : r;
}

static int walk_entry(struct walk *w, int directory, const char *name, const char *path, int depth)
{
	struct stat st;
	if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : error_set_errno(w->err, errno, "cannot read \"%s\"", path);
	if (w->context->ignore && ignore_excludes(w->context->ignore, path + 1))
		return walk_left_out(w, directory, name, path, &st, depth);
	int r = add(w, directory, name, path, &st);
	return r == 0 && S_ISDIR(st.st_mode) ? walk_directory(w, directory, name, path, depth) : r;
}

/* The path of an open directory as from the context's; owned. NULL: it is not in there any more. */
static char *real_path(const struct build_context *c, int directory)
{
	char root[PATH_MAX], real[PATH_MAX];
	AUTOFREE char *of_root = xasprintf("/proc/self/fd/%d", c->root),
		      *of_directory = xasprintf("/proc/self/fd/%d", directory);
	ssize_t n = readlink(of_root, root, sizeof root - 1), m = readlink(of_directory, real, sizeof real - 1);
	if (n < 0 || m < 0)
		return NULL;
	root[n] = real[m] = '\0';
	if (!path_is_below(real, root))
		return NULL;
	return streq(root, "/") || !real[n] ? xstrdup(streq(root, "/") ? real : "/") : xstrdup(real + n);
}

int build_context_list(struct build_context *c, const char *path, struct content_pool *pool, struct contents *ret,
    struct error **err)
{
	struct walk w = { .context = c, .pool = pool, .to = ret, .err = err };
	AUTOFREE char *parent = path_parent(path);
	AUTO_FD int directory = path_open_in_root(c->root, parent, O_RDONLY | O_DIRECTORY, 0);
	if (directory == -ENOENT || directory == -ENOTDIR || directory == -ELOOP)
		return 0;
	if (directory < 0)
		return error_set_errno(err, directory, "cannot read \"%s\"", parent);
	AUTOFREE char *real = real_path(c, directory);
	if (!real)
		return 0;
	AUTOFREE char *whole = path_join(real, path_base(path));
	int r = streq(path, "/") ? walk_directory(&w, c->root, ".", "/", 0) :
				   walk_entry(&w, directory, path_base(path), whole, 0);
	contents_sort(ret);
	return r;
}

int build_context_list_parents(struct build_context *c, const char *path, struct content_pool *pool,
    struct contents *ret, struct error **err)
{
	struct walk w = { .context = c, .pool = pool, .to = ret, .err = err };
	AUTOFREE char *part = path_parent(path);
	int r = 0;
	for (char *slash; r == 0 && *part && !streq(part, "/"); *slash = '\0') {
		struct stat st;
		AUTO_FD int directory = path_open_beneath(c->root, part + 1, O_PATH | O_DIRECTORY, 0);
		if (directory >= 0 && fstat(directory, &st) == 0)
			r = add(&w, directory, ".", part, &st);
		slash = strrchr(part, '/');
	}
	contents_sort(ret);
	return r;
}

int build_context_leaves_out(const struct build_context *c, const char *path)
{
	return c->ignore && ignore_excludes(c->ignore, path);
}

/* ---- digests ---- */

static int compare_notes(const void *a, const void *b)
{
	return strcmp(((const struct note *)a)->path, ((const struct note *)b)->path);
}

static const struct note *find_note(const struct build_context *c, const char *path)
{
	const struct note key = { .path = (char *)path };
	return c->note_count ? bsearch(&key, c->notes, c->note_count, sizeof *c->notes, compare_notes) : NULL;
}

static int hash_file(int fd, char *ret, struct error **err)
{
	static char piece[PIECE];
	AUTO_HASH struct hash h = { 0 };
	ssize_t n;
	hash_init(&h);
	while ((n = fd_read_full(fd, piece, sizeof piece)) > 0) {
		hash_update(&h, piece, (size_t)n);
		int r = interrupt_check(err);
		if (r < 0)
			return r;
	}
	hash_text(&h, ret);
	return n < 0 ? (int)n : 0;
}

static void keep(struct build_context *c, const struct content *file, const struct stat *st)
{
	int64_t now = clock_realtime_ns(), changed = st->st_ctim.tv_sec * NS_PER_S + st->st_ctim.tv_nsec;
	if (changed <= now - YOUNG_NS && !strchr(file->path, '\n'))
		(void)buffer_appendf(&c->fresh, "%s %s %s\n", file->note, file->digest, file->path);
}

int build_context_hash(struct build_context *c, struct content *file, struct error **err)
{
	const struct note *known = find_note(c, file->path);
	struct stat st;
	if (known && streq(known->stamp, file->note)) {
		memcpy(file->digest, known->digest, sizeof known->digest);
		(void)buffer_appendf(&c->fresh, "%s %s %s\n", file->note, file->digest, file->path);
		return 0;
	}
	AUTO_FD int fd = build_context_read(c, file, err);
	int r = fd < 0 ? fd : hash_file(fd, file->digest, err);
	if (r == 0 && fstat(fd, &st) == 0) {
		AUTOFREE char *stamp = stamp_of(&st);
		if (streq(stamp, file->note))
			keep(c, file, &st);
	}
	return r < 0 ? error_set_errno(err, r, "cannot read \"%s\"", file->path) : 0;
}

int build_context_read(struct build_context *c, const struct content *file, struct error **err)
{
	struct stat st;
	AUTO_FD int fd = path_open_beneath(c->root, file->path + 1, O_RDONLY | O_NONBLOCK, 0);
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set_errno(err, fd < 0 ? fd : -errno, "cannot read \"%s\"", file->path);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != file->size)
		return error_set(err, ESTALE, "\"%s\" changed during the build; try again", file->path);
	return TAKE_FD(fd);
}

/* ---- the file of notes ---- */

static char *notes_path(const struct build_context *c, const char *folder)
{
	char key[DIGEST_TEXT_SIZE + 1];
	hash_memory(c->path, strlen(c->path), key);
	return xasprintf("%s/files-%s", folder, digest_hex(key));
}

/* Takes "STAMP DIGEST PATH", in place. */
static int parse_note(char *line, struct note *ret)
{
	char *digest = strchr(line, ' '), *path = digest ? strchr(digest + 1, ' ') : NULL;
	if (!path)
		return 0;
	*digest++ = *path++ = '\0';
	if (!digest_is_valid(digest))
		return 0;
	*ret = (struct note){ .path = path, .stamp = line };
	memcpy(ret->digest, digest, sizeof ret->digest);
	return 1;
}

void build_context_load(struct build_context *c, const char *folder)
{
	AUTOFREE char *path = notes_path(c, folder);
	size_t size, room = 0;
	if (path_read_file(path, NOTES_MAX + sizeof NOTES_HEAD, &c->notes_text, &size) < 0 ||
	    !startswith(c->notes_text, NOTES_HEAD))
		return;
	for (char *line = c->notes_text + strlen(NOTES_HEAD), *end; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		if (c->note_count == room) {
			room = room ? 2 * room : 1024;
			c->notes = xrealloc(c->notes, room, sizeof *c->notes);
		}
		c->note_count += (size_t)parse_note(line, &c->notes[c->note_count]);
	}
	qsort(c->notes, c->note_count, sizeof *c->notes, compare_notes);
}

void build_context_save(struct build_context *c, const char *folder)
{
	AUTOFREE char *path = notes_path(c, folder), *text = NULL;
	if (!c->fresh.size)
		return;
	text = xasprintf(NOTES_HEAD "%s", buffer_string(&c->fresh));
	if (path_mkdir_all(folder, 0700, NULL) == 0)
		(void)atomic_file_write_cache(path, 0600, text, strlen(text), NULL);
}

size_t build_context_note_size(const struct build_context *c)
{
	return c->fresh.size;
}

void build_context_send_notes(struct build_context *c, size_t from, int fd)
{
	if (c->fresh.size > from)
		message_send(fd, MESSAGE_NOTES, c->fresh.data + from, c->fresh.size - from);
}

void build_context_take_notes(struct build_context *c, const void *notes, size_t size)
{
	(void)buffer_append(&c->fresh, notes, size);
}
