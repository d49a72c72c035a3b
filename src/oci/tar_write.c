/* SPDX-License-Identifier: Apache-2.0
 * See tar_write.h. Each entry is a ustar header; what does not fit there goes into an extended
 * header in front of it. A sparse file is stored as pax 1.0 has it (GNU tar manual, "Storing Sparse
 * Files"). */
#include "oci/tar_write.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/fd.h"
#include "base/path.h"
#include "oci/tar_content.h"
#include "oci/tar_overlay.h"

enum {
	BLOCK = 512,
	NAME_SIZE = 100,
	DEPTH_MAX = 512,
	XATTR_NAMES_MAX = 64 * 1024,
	XATTR_VALUE_MAX = 64 * 1024,
	PAX_MAX = 4 * 1024 * 1024,
	LINKS_MAX = 1 << 20,
	LINK_BUCKETS = 4096,
};
#define OCTAL_MAX_7 2097151U     /* 7 digits: ids */
#define OCTAL_MAX_11 8589934591U /* 11 digits: sizes, times */

struct link {
	dev_t device;
	ino_t inode;
	char *name;
	struct link *next;
};

struct writer {
	tar_sink sink;
	void *data;
	dev_t device;
	const struct tar_tree *tree;
	struct stat also[TAR_ALSO_MAX]; /* mount points that are written, too; st_ino 0: none */
	struct link *links[LINK_BUCKETS];
	size_t link_count;
	int sink_failed;
	int is_layer;               /* overlayfs's marks become a layer's */
	const struct strv *mounted; /* of a layer: places of mounts; or NULL */
	int told;                   /* *err names the file that cannot be read */
	struct error **err;
};

/* The fields of one ustar header (POSIX.1-2017, pax, "ustar Interchange Format"). */
struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[6],
	    version[2], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is one block");

static int put(struct writer *w, const void *data, size_t size)
{
	int r = size ? w->sink(w->data, data, size) : 0;
	w->sink_failed |= r < 0;
	return r;
}

static int put_bytes(void *writer, const void *bytes, size_t size)
{
	return put(writer, bytes, size);
}

/* Keeps the first failure to read, with the name in the stream. r */
static int fail(struct writer *w, const char *name, int r, const char *why)
{
	if (r < 0 && r != -ENOENT && !w->sink_failed && !w->told) {
		error_set(w->err, -r, "cannot read %.400s: %s", name, why ? why : strerror(-r));
		w->told = 1;
	}
	return r;
}

static int put_padding(struct writer *w, uint64_t size)
{
	static const char zeros[BLOCK];
	return put(w, zeros, (BLOCK - size % BLOCK) % BLOCK);
}

static void octal(char *field, size_t size, uint64_t value)
{
	char digits[24];
	snprintf(digits, sizeof digits, "%0*llo", (int)size - 1, (unsigned long long)value);
	memcpy(field, digits, size - 1);
}

static void fill(char *field, size_t size, const char *text)
{
	size_t n = strnlen(text, size);
	memcpy(field, text, n);
}

static int put_header(struct writer *w, char type, const char *name, const char *link, const struct stat *st,
    uint64_t size)
{
	struct header h = { .type = type };
	unsigned sum = 0;
	fill(h.name, sizeof h.name, name);
	fill(h.link, sizeof h.link, link);
	octal(h.mode, sizeof h.mode, st->st_mode & 07777);
	octal(h.uid, sizeof h.uid, MIN(st->st_uid, OCTAL_MAX_7));
	octal(h.gid, sizeof h.gid, MIN(st->st_gid, OCTAL_MAX_7));
	octal(h.size, sizeof h.size, MIN(size, (uint64_t)OCTAL_MAX_11));
	octal(h.mtime, sizeof h.mtime,
	    st->st_mtim.tv_sec < 0 ? 0 : MIN((uint64_t)st->st_mtim.tv_sec, (uint64_t)OCTAL_MAX_11));
	octal(h.major, sizeof h.major, type == '3' || type == '4' ? major(st->st_rdev) : 0);
	octal(h.minor, sizeof h.minor, type == '3' || type == '4' ? minor(st->st_rdev) & OCTAL_MAX_7 : 0);
	memcpy(h.magic, "ustar", 6);
	memcpy(h.version, "00", 2);
	memset(h.checksum, ' ', sizeof h.checksum);
	for (size_t i = 0; i < sizeof h; i++)
		sum += ((const unsigned char *)&h)[i];
	snprintf(h.checksum, sizeof h.checksum, "%06o", sum);
	return put(w, &h, sizeof h);
}

/* "LENGTH key=value\n": the length counts itself. */
static int pax_add(struct buffer *b, const char *key, const void *value, size_t size)
{
	size_t body = strlen(key) + size + 3, length = body + 1;
	for (size_t digits = 1, limit = 10; length >= limit; limit *= 10)
		length = body + ++digits;
	int r = buffer_appendf(b, "%zu %s=", length, key);
	if (r >= 0)
		r = buffer_append(b, value, size);
	return r < 0 ? r : buffer_append(b, "\n", 1);
}

static int pax_add_number(struct buffer *b, const char *key, uint64_t value)
{
	char text[24];
	int n = snprintf(text, sizeof text, "%llu", (unsigned long long)value);
	return pax_add(b, key, text, (size_t)n);
}

static int pax_add_time(struct buffer *b, const struct timespec *t)
{
	char text[48];
	int n = t->tv_sec >= 0 || t->tv_nsec == 0 ?
		    snprintf(text, sizeof text, "%lld.%09ld", (long long)t->tv_sec, t->tv_nsec) :
		    snprintf(text, sizeof text, "-%lld.%09ld", (long long)-(t->tv_sec + 1), 1000000000L - t->tv_nsec);
	return pax_add(b, "mtime", text, (size_t)n);
}

/* overlayfs keeps its own notes in attributes; they mean nothing elsewhere. */
static int is_overlays(const char *xattr)
{
	return startswith(xattr, "user.overlay.") || startswith(xattr, "trusted.overlay.");
}

/* All extended attributes of an open file. */
static int pax_add_xattrs(struct buffer *b, int fd, const struct writer *w)
{
	AUTOFREE char *names = xmalloc(XATTR_NAMES_MAX);
	AUTOFREE char *value = xmalloc(XATTR_VALUE_MAX);
	ssize_t size = flistxattr(fd, names, XATTR_NAMES_MAX);
	int r = 0;
	for (const char *at = names; r >= 0 && size > 0 && at < names + size; at += strlen(at) + 1) {
		ssize_t n = fgetxattr(fd, at, value, XATTR_VALUE_MAX);
		AUTOFREE char *name = w->tree->restore               ? overlay_restore(fd, at) :
				      w->is_layer && is_overlays(at) ? NULL :
								       xstrdup(at);
		AUTOFREE char *key = name ? xasprintf("SCHILY.xattr.%s", name) : NULL;
		if (n >= 0 && key && !strchr(at, '='))
			r = pax_add(b, key, value, (size_t)n);
	}
	return r;
}

/* Adds the records that do not fit into the entry's header. 0 or -errno. */
static int pax_add_all(struct buffer *b, const char *name, const char *link, const struct stat *st, uint64_t size)
{
	int r = 0;
	if ((strlen(name) > NAME_SIZE && (r = pax_add(b, "path", name, strlen(name))) < 0) ||
	    (strlen(link) > NAME_SIZE && (r = pax_add(b, "linkpath", link, strlen(link))) < 0) ||
	    (size > OCTAL_MAX_11 && (r = pax_add_number(b, "size", size)) < 0) ||
	    (st->st_uid > OCTAL_MAX_7 && (r = pax_add_number(b, "uid", st->st_uid)) < 0) ||
	    (st->st_gid > OCTAL_MAX_7 && (r = pax_add_number(b, "gid", st->st_gid)) < 0) ||
	    ((st->st_mtim.tv_nsec || st->st_mtim.tv_sec < 0) && (r = pax_add_time(b, &st->st_mtim)) < 0))
		return r;
	return 0;
}

static int put_pax(struct writer *w, const struct buffer *b)
{
	static const struct stat plain = { .st_mode = 0644 };
	int r = put_header(w, 'x', "././@PaxHeader", "", &plain, b->size);
	if (r < 0)
		return r;
	r = put(w, b->data, b->size);
	return r < 0 ? r : put_padding(w, b->size);
}

static int pax_add_sparse(struct buffer *b, const char *name, uint64_t size)
{
	int r;
	if ((r = pax_add(b, "GNU.sparse.major", "1", 1)) < 0 || (r = pax_add(b, "GNU.sparse.minor", "0", 1)) < 0 ||
	    (r = pax_add(b, "GNU.sparse.name", name, strlen(name))) < 0)
		return r;
	return pax_add_number(b, "GNU.sparse.realsize", size);
}

/* The entry's headers. fd: of a file or directory, for its attributes; -1: none. content: of a
 * file, else NULL. */
static int put_entry(struct writer *w, char type, const char *name, const char *link, const struct stat *found, int fd,
    const struct tar_content *content)
{
	AUTO_BUFFER struct buffer b;
	struct stat own = *found, *st = &own;
	uint64_t size = content ? tar_content_stored(content) : 0;
	buffer_init(&b, PAX_MAX);
	if (w->tree->own)
		w->tree->own(w->tree->own_data, name, &own.st_uid, &own.st_gid);
	int r = pax_add_all(&b, name, link, st, size);
	if (r >= 0 && fd >= 0)
		r = pax_add_xattrs(&b, fd, w);
	if (r >= 0 && content && content->map.size)
		r = pax_add_sparse(&b, name, content->size);
	if (r >= 0 && b.size)
		r = put_pax(w, &b);
	return r < 0 ? r : put_header(w, type, name, link, st, size);
}

/* The name under which this file was written before, or NULL; then it is remembered under this
 * one. */
static const char *link_lookup(struct writer *w, const struct stat *st, const char *name)
{
	struct link **bucket = &w->links[st->st_ino % LINK_BUCKETS];
	for (struct link *l = *bucket; l; l = l->next)
		if (l->inode == st->st_ino && l->device == st->st_dev)
			return l->name;
	if (w->link_count < LINKS_MAX) {
		struct link *l = xnew(struct link);
		*l = (struct link){ st->st_dev, st->st_ino, xstrdup(name), *bucket };
		*bucket = l;
		w->link_count++;
	}
	return NULL;
}

static int write_node(struct writer *w, int directory, const char *file, const char *name, int depth);

static int write_children(struct writer *w, int fd, const char *name, int depth)
{
	int r = 0;
	DIR *d = path_list(fd);
	if (!d)
		return -errno;
	for (struct dirent *e; r >= 0 && (e = readdir(d));) {
		if (streq(e->d_name, ".") || streq(e->d_name, ".."))
			continue;
		/* The file system's own, not part of what lies on it. */
		if (!*name && streq(e->d_name, "lost+found"))
			continue;
		AUTOFREE char *child = *name ? xasprintf("%s/%s", name, e->d_name) : xstrdup(e->d_name);
		r = fail(w, child, write_node(w, fd, e->d_name, child, depth + 1), NULL);
		/* It was deleted since its name was read. */
		if (r == -ENOENT)
			r = 0;
	}
	closedir(d);
	return r;
}

/* ---- layers ---- */

static int is_opaque(int directory)
{
	static const char *const names[] = { "user.overlay.opaque", "trusted.overlay.opaque" };
	char value;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (fgetxattr(directory, names[i], &value, 1) == 1 && value == 'y')
			return 1;
	return 0;
}

static int put_mark(struct writer *w, const char *name)
{
	static const struct stat plain = { .st_mode = S_IFREG };
	return put_entry(w, '0', name, "", &plain, -1, NULL);
}

/* overlayfs deletes a name of the layers below by a device 0:0. */
static int write_whiteout(struct writer *w, const char *name)
{
	AUTOFREE char *parent = path_parent(name);
	AUTOFREE char *mark =
	    streq(parent, ".") ? xasprintf(".wh.%s", name) : xasprintf("%s/.wh.%s", parent, path_base(name));
	return put_mark(w, mark);
}

static int write_opaque(struct writer *w, int directory, const char *name)
{
	AUTOFREE char *mark = xasprintf("%s%s.wh..wh..opq", name, *name ? "/" : "");
	return w->is_layer && is_opaque(directory) ? put_mark(w, mark) : 0;
}

static int is_empty(int directory)
{
	struct dirent *e;
	DIR *d = path_list(directory);
	while (d && (e = readdir(d)) && (streq(e->d_name, ".") || streq(e->d_name, "..")))
		;
	if (d)
		closedir(d);
	return d && !e;
}

/* Whether the entry was made for a mount alone. */
static int is_stub(const struct writer *w, int directory, const char *file, const char *name, const struct stat *st)
{
	AUTOFREE char *path = xasprintf("/%s", name);
	if (!w->mounted || !strv_contains(w->mounted, path))
		return 0;
	if (S_ISREG(st->st_mode))
		return st->st_size == 0;
	AUTO_FD int fd = openat(directory, file, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 && is_empty(fd);
}

/* ---- a tree ---- */

static int write_directory(struct writer *w, int directory, const char *file, const char *name, int depth)
{
	struct stat st;
	AUTO_FD int fd = openat(directory, file, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	AUTOFREE char *slashed = *name ? xasprintf("%s/", name) : xstrdup("./");
	int r = put_entry(w, '5', slashed, "", &st, fd, NULL);
	if (r >= 0)
		r = write_opaque(w, fd, name);
	dev_t device = w->device;
	for (int i = 0; i < TAR_ALSO_MAX; i++)
		if (w->also[i].st_ino && st.st_ino == w->also[i].st_ino && st.st_dev == w->also[i].st_dev)
			device = st.st_dev;
	if (r < 0 || depth >= DEPTH_MAX || st.st_dev != device)
		return r;
	dev_t above = w->device;
	w->device = device;
	r = write_children(w, fd, name, depth);
	w->device = above;
	return r;
}

static int write_file(struct writer *w, int directory, const char *file, const char *name)
{
	struct stat st;
	AUTO_FD int fd = openat(directory, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOENT;
	if (w->tree->restore && overlay_stands_for_whiteout(fd))
		return put_entry(w, '3', name, "", &st, -1, NULL);
	const char *first = st.st_nlink > 1 ? link_lookup(w, &st, name) : NULL;
	if (first)
		return put_entry(w, '1', name, first, &st, -1, NULL);
	CLEANUP(tar_content_done) struct tar_content content = { 0 };
	int r = tar_content_open(&content, fd, (uint64_t)st.st_size);
	if (r == -EFBIG)
		return fail(w, name, r, "it has no size, and does not end within 64 MiB");
	if (r < 0)
		return r;
	r = put_entry(w, '0', name, "", &st, fd, &content);
	if (r >= 0)
		r = tar_content_write(&content, put_bytes, w);
	if (r == -ESTALE)
		return fail(w, name, r, "its size changed meanwhile; try again");
	return r < 0 ? r : put_padding(w, tar_content_stored(&content));
}

static int write_symlink(struct writer *w, int directory, const char *file, const char *name, const struct stat *st)
{
	char target[4096];
	ssize_t n = readlinkat(directory, file, target, sizeof target - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	return put_entry(w, '2', name, target, st, -1, NULL);
}

static int write_node(struct writer *w, int directory, const char *file, const char *name, int depth)
{
	struct stat st;
	if (fstatat(directory, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (is_stub(w, directory, file, name, &st))
		return 0;
	if (w->is_layer && S_ISCHR(st.st_mode) && st.st_rdev == 0)
		return write_whiteout(w, name);
	switch (st.st_mode & S_IFMT) {
	case S_IFDIR:
		return write_directory(w, directory, file, name, depth);
	case S_IFREG:
		return write_file(w, directory, file, name);
	case S_IFLNK:
		return write_symlink(w, directory, file, name, &st);
	case S_IFCHR:
		return put_entry(w, '3', name, "", &st, -1, NULL);
	case S_IFBLK:
		return put_entry(w, '4', name, "", &st, -1, NULL);
	case S_IFIFO:
		return put_entry(w, '6', name, "", &st, -1, NULL);
	default: /* a socket means nothing without its process */
		return depth ? 0 : fail(w, name, -EOPNOTSUPP, "it is a socket");
	}
}

static void free_links(struct writer *w)
{
	for (size_t i = 0; i < LINK_BUCKETS; i++) {
		for (struct link *l = w->links[i], *next; l; l = next) {
			next = l->next;
			free(l->name);
			free(l);
		}
	}
	free(w);
}

int tar_write(const struct tar_tree *t, tar_sink sink, void *data, struct error **err)
{
	struct stat st;
	AUTOFREE char *clean = path_normalize(t->path);
	if (!clean)
		return error_set(err, EINVAL, "\"%s\" is not an absolute path", t->path);
	AUTOFREE char *parent = path_parent(clean);
	const char *file = streq(clean, "/") ? "." : path_base(clean);
	AUTO_FD int directory = path_open_in_root(t->root, parent, O_RDONLY | O_DIRECTORY, 0);
	if (directory < 0 || fstatat(directory, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_set_errno(err, directory < 0 ? directory : errno, "cannot read %s", clean);
	struct writer *w = xnew(struct writer);
	*w = (struct writer){ .sink = sink, .data = data, .device = st.st_dev, .err = err, .tree = t };
	for (int i = 0; i < TAR_ALSO_MAX; i++)
		if (t->also[i] >= 0 && fstat(t->also[i], &w->also[i]) < 0)
			w->also[i] = (struct stat){ 0 };
	int r = write_node(w, directory, file, t->name, 0);
	if (r >= 0)
		r = tar_write_end(sink, data);
	int told = w->told;
	free_links(w);
	return r < 0 && !told ? error_set_errno(err, r, "cannot read %s", clean) : r;
}

int tar_write_tree(int root, const char *path, const char *name, tar_sink sink, void *data, struct error **err)
{
	const struct tar_tree t = { .root = root, .path = path, .name = name, .also = { -1, -1 } };
	return tar_write(&t, sink, data, err);
}

static const struct tar_tree plain_tree = { .root = -1, .also = { -1, -1 } };

int tar_write_layer(int upper, const struct strv *mounted, tar_sink sink, void *data, struct error **err)
{
	struct stat st;
	if (fstat(upper, &st) < 0)
		return error_set_errno(err, errno, "cannot read the layer");
	struct writer *w = xnew(struct writer);
	*w = (struct writer){
		.sink = sink,
		.data = data,
		.device = st.st_dev,
		.tree = &plain_tree,
		.is_layer = 1,
		.mounted = mounted,
		.err = err,
	};
	int r = write_node(w, upper, ".", "", 0);
	if (r >= 0)
		r = tar_write_end(sink, data);
	int told = w->told;
	free_links(w);
	return r < 0 && !told ? error_set_errno(err, r, "cannot read the layer") : r;
}

/* ---- single entries ---- */

static int pax_add_given_xattrs(struct buffer *b, const struct tar_entry *e)
{
	int r = 0;
	for (size_t i = 0; r >= 0 && i < e->xattr_count; i++) {
		AUTOFREE char *key = xasprintf("SCHILY.xattr.%s", e->xattrs[i].name);
		if (!strchr(e->xattrs[i].name, '='))
			r = pax_add(b, key, e->xattrs[i].value, e->xattrs[i].size);
	}
	return r;
}

int tar_write_entry(const struct tar_entry *e, tar_sink sink, void *data)
{
	static const char types[] = { [TAR_FILE] = '0',
		[TAR_LINK] = '1',
		[TAR_SYMLINK] = '2',
		[TAR_CHAR] = '3',
		[TAR_BLOCK] = '4',
		[TAR_DIRECTORY] = '5',
		[TAR_FIFO] = '6' };
	struct writer w = { .sink = sink, .data = data, .tree = &plain_tree };
	const struct stat st = { .st_mode = e->mode,
		.st_uid = e->uid,
		.st_gid = e->gid,
		.st_rdev = makedev(e->major, e->minor),
		.st_mtim = { .tv_sec = e->mtime, .tv_nsec = e->mtime_ns } };
	const char *link = e->target ? e->target : "";
	uint64_t size = e->type == TAR_FILE ? e->size : 0;
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, PAX_MAX);
	int r = pax_add_all(&b, e->path, link, &st, size);
	if (r >= 0)
		r = pax_add_given_xattrs(&b, e);
	if (r >= 0 && b.size)
		r = put_pax(&w, &b);
	return r < 0 ? r : put_header(&w, types[e->type], e->path, link, &st, size);
}

int tar_write_padding(uint64_t size, tar_sink sink, void *data)
{
	struct writer w = { .sink = sink, .data = data, .tree = &plain_tree };
	return put_padding(&w, size);
}

int tar_write_end(tar_sink sink, void *data)
{
	static const char end[2 * BLOCK];
	return sink(data, end, sizeof end);
}

int tar_write_text(const struct tar_text *t, tar_sink sink, void *data)
{
	struct writer w = { .sink = sink, .data = data, .tree = &plain_tree };
	const struct stat st = { .st_mode = S_IFREG | t->mode,
		.st_uid = t->uid,
		.st_gid = t->gid,
		.st_mtim = { .tv_sec = t->mtime } };
	AUTO_BUFFER struct buffer b;
	size_t size = t->size ? t->size : strlen(t->text);
	buffer_init(&b, PAX_MAX);
	int r = pax_add_all(&b, t->name, "", &st, size);
	if (r >= 0 && b.size)
		r = put_pax(&w, &b);
	if (r >= 0)
		r = put_header(&w, '0', t->name, "", &st, size);
	if (r >= 0)
		r = put(&w, t->text, size);
	return r < 0 ? r : put_padding(&w, size);
}
