/* SPDX-License-Identifier: Apache-2.0
 * See emit.h. Directories, symlinks and the files that can be opened come in the order of their
 * paths. Files out of layers follow, in the order in which the layers have them. */
#include "image/builder/emit.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "image/builder/owner.h"
#include "image/builder/unpacked.h"
#include "image/common/interrupt.h"
#include "oci/layer.h"
#include "oci/tar_write.h"

enum { PIECE = 1 << 17, BIG = 4096 };

struct emitting {
	const struct copy_plan *plan;
	const struct copy_wish *wish;
	const struct contents *base;
	const struct emit_bytes *bytes;
	struct layer_writer writer;
	uint64_t room; /* bytes that the archive's files may still have */
	struct error **err;
};

static int sink(void *emitting, const void *bytes, size_t size)
{
	struct emitting *e = emitting;
	int r = size < BIG ? 0 : interrupt_check(e->err);
	return r < 0 ? r : layer_writer_write(&e->writer, bytes, size, e->err);
}

static int put_zeros(struct emitting *e, uint64_t size)
{
	static const char zeros[PIECE];
	int r = 0;
	for (; r == 0 && size; size -= MIN(size, (uint64_t)PIECE))
		r = sink(e, zeros, (size_t)MIN(size, (uint64_t)PIECE));
	return r;
}

/* ---- places ---- */

static const struct content *find(const struct contents *c, const char *path)
{
	struct content **at = contents_find(c, path);
	return at ? *at : NULL;
}

/* Follows the symlinks of the base: what goes to /lib/x goes to /usr/lib/x where they are one. */
static int place_items(struct copy_plan *p, const struct copy_wish *w, const struct contents *base, struct error **err)
{
	for (size_t i = 0; i < p->count; i++) {
		struct copy_item *item = &p->items[i];
		char *place = contents_resolve(base, item->to, item->from->type == TAR_DIRECTORY || item->unpack);
		if (!place)
			return error_set(err, ELOOP, "%s: \"%s\": too many symlinks", w->word, item->to);
		free(item->to);
		item->to = place;
	}
	return copy_plan_finish(p, w, err);
}

static int compare_texts(const void *a, const void *b)
{
	return contents_compare_paths(*(char *const *)a, *(char *const *)b);
}

static int has_item(const struct copy_plan *p, const char *path)
{
	size_t low = 0, high = p->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int r = contents_compare_paths(p->items[middle].to, path);
		if (r == 0)
			return !p->items[middle].unpack;
		if (r < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return 0;
}

/* The directories above the items that are no items: sorted, each once. */
static void find_parents(const struct copy_plan *p, struct strv *to)
{
	AUTOFREE char *last = NULL;
	AUTO_STRV struct strv all = { 0 };
	for (size_t i = 0; i < p->count; i++) {
		AUTOFREE char *parent = path_parent(p->items[i].to);
		if (p->items[i].unpack)
			strv_add(&all, p->items[i].to);
		if (streq(parent, last))
			continue;
		free(last);
		last = xstrdup(parent);
		for (char *slash; *parent && !streq(parent, "/"); *slash = '\0') {
			strv_add(&all, parent);
			slash = strrchr(parent, '/');
		}
	}
	if (all.count)
		qsort(all.items, all.count, sizeof(char *), compare_texts);
	for (size_t i = 0; i < all.count; i++)
		if ((i == 0 || !streq(all.items[i], all.items[i - 1])) && !has_item(p, all.items[i]) &&
		    !streq(all.items[i], "/"))
			strv_add(to, all.items[i]);
}

/* ---- entries ---- */

static int put_directory(struct emitting *e, const char *path, const struct content *as, uint32_t uid, uint32_t gid,
    uint32_t mode)
{
	AUTOFREE char *name = xasprintf("%s/", path + 1);
	const struct tar_entry entry = { .type = TAR_DIRECTORY,
		.path = name,
		.mode = as ? as->mode : mode,
		.uid = as ? as->uid : uid,
		.gid = as ? as->gid : gid,
		.mtime = as ? as->mtime : 0 };
	return tar_write_entry(&entry, sink, e);
}

/* A layer would replace a file by a directory, or a directory with all that it has by a file. */
static int check_below(const struct emitting *e, const char *path, enum tar_type type)
{
	const struct content *below = find(e->base, path);
	int is_directory = type == TAR_DIRECTORY;
	if (!below || is_directory == (below->type == TAR_DIRECTORY))
		return 0;
	return error_set(e->err, ENOTDIR,
	    is_directory ? "%s: \"%s\" is a file of the image, and cannot become a directory" :
			   "%s: \"%s\" is a directory of the image, and cannot become a file",
	    e->wish->word, path);
}

/* A directory that nobody described: as the base has it, or a new one. */
static int put_parent(struct emitting *e, const char *path)
{
	const struct content *below = find(e->base, path);
	uint32_t uid = 0, gid = 0;
	int r = check_below(e, path, TAR_DIRECTORY);
	if (r < 0)
		return r;
	copy_owner(e->wish, NULL, &uid, &gid);
	return put_directory(e, path, below && below->type == TAR_DIRECTORY ? below : NULL, uid, gid, 0755);
}

static void describe(const struct emitting *e, const struct copy_item *item, struct tar_entry *ret)
{
	const struct content *c = item->from;
	ret->type = c->type;
	ret->path = item->to + 1;
	ret->target = c->type == TAR_SYMLINK ? c->target : NULL;
	ret->mode = c->type == TAR_SYMLINK ? 0777 : copy_mode(e->wish, c);
	ret->size = c->type == TAR_FILE ? c->size : 0;
	ret->major = c->major;
	ret->minor = c->minor;
	copy_owner(e->wish, c, &ret->uid, &ret->gid);
}

static int put_content(struct emitting *e, int fd, const struct content *c)
{
	static char piece[PIECE];
	char digest[DIGEST_TEXT_SIZE + 1];
	AUTO_HASH struct hash h = { 0 };
	uint64_t left = c->size;
	int r = 0;
	hash_init(&h);
	while (r == 0 && left) {
		ssize_t n = fd_read_full(fd, piece, (size_t)MIN(left, (uint64_t)PIECE));
		if (n <= 0)
			return error_set(e->err, ESTALE, "\"%s\" changed during the build; try again", c->path);
		hash_update(&h, piece, (size_t)n);
		r = sink(e, piece, (size_t)n);
		left -= (uint64_t)n;
	}
	/* The cache's record says that these bytes are in the layer. */
	hash_text(&h, digest);
	if (r == 0 && *c->digest && !streq(digest, c->digest))
		return error_set(e->err, ESTALE, "\"%s\" changed during the build; try again", c->path);
	return r == 0 ? tar_write_padding(c->size, sink, e) : r;
}

static int put_file(struct emitting *e, const struct copy_item *item, const struct tar_entry *entry)
{
	const struct content *c = item->from;
	if (c->text) {
		int r = tar_write_entry(entry, sink, e);
		if (r == 0)
			r = sink(e, c->text, c->size);
		return r == 0 ? tar_write_padding(c->size, sink, e) : r;
	}
	AUTO_FD int fd = e->bytes->open_file(e->bytes->data, c, e->err);
	int r = fd < 0 ? fd : tar_write_entry(entry, sink, e);
	return r == 0 ? put_content(e, fd, c) : r;
}

static int unpack(struct emitting *e, const struct copy_item *item);

static int put_item(struct emitting *e, const struct copy_item *item)
{
	struct tar_entry entry = { .mtime = item->from->mtime };
	describe(e, item, &entry);
	if (item->unpack)
		return unpack(e, item);
	if (check_below(e, item->to, entry.type) < 0)
		return -ENOTDIR;
	if (entry.type == TAR_DIRECTORY)
		return put_directory(e, item->to, NULL, entry.uid, entry.gid, entry.mode);
	if (entry.type != TAR_FILE)
		return tar_write_entry(&entry, sink, e);
	/* Files of layers come later. */
	return e->bytes->open_layer && !e->bytes->open_file ? 0 : put_file(e, item, &entry);
}

static int put_all(struct emitting *e)
{
	AUTO_STRV struct strv parents = { 0 };
	size_t next = 0;
	int r = 0;
	find_parents(e->plan, &parents);
	for (size_t i = 0; r == 0 && i < e->plan->count; i++) {
		const struct copy_item *item = &e->plan->items[i];
		for (; r == 0 && next < parents.count && contents_compare_paths(parents.items[next], item->to) <= 0;
		     next++)
			r = put_parent(e, parents.items[next]);
		if (r == 0)
			r = put_item(e, item);
		if (r == 0)
			r = interrupt_check(e->err);
	}
	return r;
}

/* ---- files out of layers ---- */

/* An item by the place of its bytes. */
struct wanted {
	size_t layer, number;
	const struct copy_item *item;
};

static int compare_wanted(const void *a, const void *b)
{
	const struct wanted *x = a, *y = b;
	if (x->layer != y->layer)
		return x->layer < y->layer ? -1 : 1;
	return (x->number > y->number) - (x->number < y->number);
}

/* Copies the entry that the reader is at. */
static int copy_entry(struct emitting *e, struct tar_reader *tar, const struct tar_entry *from,
    const struct copy_item *item)
{
	struct tar_entry entry = { .mtime = from->mtime,
		.mtime_ns = from->mtime_ns,
		.xattrs = from->xattrs,
		.xattr_count = from->xattr_count };
	const void *data;
	size_t n;
	uint64_t offset, at = 0;
	describe(e, item, &entry);
	entry.size = from->size;
	int r = tar_write_entry(&entry, sink, e), more = 1;
	while (r == 0 && (more = tar_reader_read(tar, &data, &n, &offset, e->err)) == 1) {
		r = put_zeros(e, offset - at);
		if (r == 0)
			r = sink(e, data, n);
		at = offset + n;
	}
	if (r == 0 && more == 0)
		r = put_zeros(e, entry.size - at);
	return r < 0 ? r : more < 0 ? more : tar_write_padding(entry.size, sink, e);
}

/* Another name of a file that has just been written. */
static int put_link(struct emitting *e, const struct copy_item *item, const struct copy_item *first)
{
	struct tar_entry entry = { .mtime = item->from->mtime };
	describe(e, item, &entry);
	entry.type = TAR_LINK;
	entry.size = 0;
	entry.target = first->to + 1;
	return tar_write_entry(&entry, sink, e);
}

static int copy_entries(struct emitting *e, struct tar_reader *tar, size_t number, const struct wanted *w, size_t count)
{
	const struct tar_entry *entry;
	size_t next = 0;
	int r = 0;
	while (next < count && (r = tar_reader_next(tar, &entry, e->err)) == 1) {
		AUTOFREE char *absolute = xasprintf("/%s", entry->path), *path = path_normalize(absolute);
		if (contents_is_whiteout(path) || ++number != w[next].number)
			continue;
		const struct copy_item *first = w[next].item;
		r = copy_entry(e, tar, entry, first);
		for (next++; r == 0 && next < count && w[next].number == number; next++)
			r = put_link(e, w[next].item, first);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : next < count ? error_set(e->err, EBADMSG, "a layer lacks files that it had") : 0;
}

static int copy_layer(struct emitting *e, const struct wanted *w, size_t count)
{
	size_t first = 0;
	CLEANUP(layer_reader_freep) struct layer_reader *reader = NULL;
	AUTO_FD int fd = e->bytes->open_layer(e->bytes->data, w->layer, &first, e->err);
	int r = fd < 0 ? fd : layer_reader_open(fd, NULL, NULL, &reader, e->err);
	if (r < 0)
		return r;
	CLEANUP(tar_reader_freep) struct tar_reader *tar = tar_reader_new(layer_reader_read, reader, NULL);
	return copy_entries(e, tar, first, w, count);
}

static int copy_layers(struct emitting *e)
{
	AUTOFREE struct wanted *all = xcalloc(e->plan->count + 1, sizeof *all);
	size_t count = 0, next = 0;
	int r = 0;
	for (size_t i = 0; i < e->plan->count; i++) {
		const struct content *c = e->plan->items[i].from;
		if (c->type == TAR_FILE)
			all[count++] = (struct wanted){ c->layer, c->number, &e->plan->items[i] };
	}
	if (count)
		qsort(all, count, sizeof *all, compare_wanted);
	for (size_t i = 0; r == 0 && i < count; i = next) {
		while (next < count && all[next].layer == all[i].layer)
			next++;
		r = copy_layer(e, &all[i], next - i);
	}
	return r;
}

/* ---- archives ---- */

struct emit_archive {
	struct archive *archive;
};

struct emit_archive *emit_archive_open(int fd)
{
	struct archive *a = archive_read_new();
	struct archive_entry *entry;
	archive_read_support_filter_gzip(a);
	archive_read_support_filter_bzip2(a);
	archive_read_support_filter_xz(a);
	archive_read_support_filter_zstd(a);
	archive_read_support_format_raw(a);
	if (archive_read_open_fd(a, fd, PIECE) != ARCHIVE_OK || archive_read_next_header(a, &entry) != ARCHIVE_OK) {
		archive_read_free(a);
		return NULL;
	}
	struct emit_archive *ret = xnew(struct emit_archive);
	ret->archive = a;
	return ret;
}

void emit_archive_close(struct emit_archive *a)
{
	if (!a)
		return;
	archive_read_free(a->archive);
	free(a);
}
DEFINE_CLEANUP(struct emit_archive, emit_archive_close)

ssize_t emit_archive_read(void *archive, const void **ret, struct error **err)
{
	struct archive *a = ((struct emit_archive *)archive)->archive;
	la_int64_t offset;
	size_t size = 0;
	int r = archive_read_data_block(a, ret, &size, &offset);
	if (r == ARCHIVE_EOF)
		return 0;
	if (r != ARCHIVE_OK)
		return error_set(err, EBADMSG, "%s", archive_error_string(a));
	return interrupt_check(err) < 0 ? -ECANCELED : (ssize_t)size;
}

int emit_is_archive(int fd)
{
	CLEANUP(emit_archive_closep) struct emit_archive *a = emit_archive_open(fd);
	const struct tar_entry *entry;
	if (!a)
		return 0;
	CLEANUP(tar_reader_freep) struct tar_reader *tar = tar_reader_new(emit_archive_read, a, NULL);
	int r = tar_reader_next(tar, &entry, NULL);
	return r == 1 || r == -ENAMETOOLONG;
}

/* The place of an archive's path below `to`, through the symlinks of the base; owned, or NULL. */
static char *place_below(const struct emitting *e, const char *to, const char *path)
{
	AUTOFREE char *absolute = xasprintf("/%s", path), *clean = path_normalize(absolute),
		      *joined = path_join(to, clean + 1);
	return contents_resolve(e->base, joined, 0);
}

static int unpack_entry(struct emitting *e, struct tar_reader *tar, const struct tar_entry *from, const char *to,
    struct unpacked *all)
{
	AUTOFREE char *place = place_below(e, to, from->path), *target = NULL, *slashed = NULL;
	struct tar_entry entry = *from;
	if (!place || streq(place, "/") || streq(place, to))
		return 0;
	if (contents_is_whiteout(place))
		return error_set(e->err, EINVAL,
		    "ADD: \"%s\": no file of an image can have a name that begins with .wh.", place);
	if (from->type == TAR_LINK && !(target = place_below(e, to, from->target)))
		return 0;
	int r = unpacked_add(all, place, from->type, target, e->base, e->err);
	if (r < 0)
		return r;
	if (e->wish->has_owner)
		copy_owner(e->wish, NULL, &entry.uid, &entry.gid);
	slashed = xasprintf("%s/", place + 1);
	entry.path = from->type == TAR_DIRECTORY ? slashed : place + 1;
	entry.target = target ? target + 1 : from->target;
	r = tar_write_entry(&entry, sink, e);
	int more = 1;
	const void *data;
	uint64_t offset, at = 0;
	size_t n;
	while (r == 0 && (more = tar_reader_read(tar, &data, &n, &offset, e->err)) == 1) {
		r = put_zeros(e, offset - at);
		if (r == 0)
			r = sink(e, data, n);
		at = offset + n;
	}
	if (r == 0 && more == 0 && entry.type == TAR_FILE)
		r = put_zeros(e, entry.size - at);
	return r < 0 ? r : more < 0 ? more : tar_write_padding(entry.type == TAR_FILE ? entry.size : 0, sink, e);
}

/* Some kilobytes may be an archive of petabytes. What has no room in the library's file system has
 * none in a machine. */
static int take_room(struct emitting *e, const struct tar_entry *entry)
{
	uint64_t size = entry->type == TAR_FILE ? entry->size : 0;
	if (size > e->room)
		return error_set(e->err, ENOSPC, "its files have more bytes than the library's file system has left");
	e->room -= size;
	return 0;
}

/* Whether an archive still is what the cache's record says. */
static int check_archive(const struct emitting *e, int fd, const struct content *c)
{
	static char piece[PIECE];
	char digest[DIGEST_TEXT_SIZE + 1];
	AUTO_HASH struct hash h = { 0 };
	ssize_t n = lseek(fd, 0, SEEK_SET) < 0 ? -errno : 1;
	int r = 0;
	hash_init(&h);
	while (r == 0 && n > 0 && (n = fd_read_full(fd, piece, sizeof piece)) > 0) {
		hash_update(&h, piece, (size_t)n);
		r = interrupt_check(e->err);
	}
	hash_text(&h, digest);
	if (r == 0 && (n < 0 || (*c->digest && !streq(digest, c->digest))))
		return error_set(e->err, ESTALE, "\"%s\" changed during the build; try again", c->path);
	return r;
}

static int unpack(struct emitting *e, const struct copy_item *item)
{
	AUTO_FD int fd = e->bytes->open_file(e->bytes->data, item->from, e->err);
	CLEANUP(emit_archive_closep) struct emit_archive *a = fd < 0 ? NULL : emit_archive_open(fd);
	CLEANUP(unpacked_done) struct unpacked all = { 0 };
	const struct tar_entry *entry;
	int r;
	if (!a)
		return fd < 0 ? fd : error_set(e->err, ESTALE, "\"%s\" changed during the build", item->from->path);
	CLEANUP(tar_reader_freep) struct tar_reader *tar = tar_reader_new(emit_archive_read, a, NULL);
	while ((r = tar_reader_next(tar, &entry, e->err)) == 1)
		if ((r = take_room(e, entry)) < 0 || (r = unpack_entry(e, tar, entry, item->to, &all)) < 0)
			break;
	return r < 0 ? error_prefix(e->err, r, "archive \"%s\"", item->from->path) : check_archive(e, fd, item->from);
}

/* ---- the whole ---- */

void emit_take_layer(const struct composed_layer *from, struct build_layer *to)
{
	*to = (struct build_layer){ .media_type = xstrdup(from->media_type), .size = from->size };
	memcpy(to->digest, from->digest, sizeof to->digest);
	memcpy(to->diff_id, from->diff_id, sizeof to->diff_id);
}

static int finish(struct emitting *e, int r, struct build_layer *ret)
{
	struct composed_layer made;
	if (r == 0)
		r = tar_write_end(sink, e);
	if (r < 0) {
		layer_writer_abort(&e->writer);
		return r;
	}
	r = layer_writer_finish(&e->writer, &made, e->err);
	if (r == 0)
		emit_take_layer(&made, ret);
	return r;
}

int emit_layer(struct library *l, struct copy_plan *plan, const struct copy_wish *w, const struct contents *base,
    const struct emit_bytes *bytes, struct build_layer *ret, struct error **err)
{
	struct emitting e = { .plan = plan, .wish = w, .base = base, .bytes = bytes, .err = err };
	*ret = (struct build_layer){ 0 };
	int r = place_items(plan, w, base, err);
	if (r < 0 || !plan->count)
		return r;
	struct statvfs fs;
	e.room = statvfs(l->path, &fs) == 0 ? (uint64_t)fs.f_bavail * fs.f_frsize : 0;
	if ((r = layer_writer_open(l, LAYER_GZIP, &e.writer, err)) < 0)
		return r;
	r = put_all(&e);
	if (r == 0 && bytes->open_layer && !bytes->open_file)
		r = copy_layers(&e);
	return finish(&e, r, ret);
}

int emit_directory(struct library *l, const char *path, const char *user, const struct contents *base,
    struct build_layer *ret, struct error **err)
{
	const struct content directory = { .path = (char *)path, .type = TAR_DIRECTORY, .mode = 0755 };
	struct copy_wish w = { .word = "WORKDIR" };
	const struct emit_bytes none = { 0 };
	AUTO_COPY_PLAN struct copy_plan plan = { 0 };
	AUTOFREE char *place = contents_resolve(base, path, 1);
	const struct content *there = place ? find(base, place) : NULL;
	*ret = (struct build_layer){ 0 };
	if (streq(place, "/") || (there && there->type == TAR_DIRECTORY))
		return 0;
	if (!place || there)
		return error_set(err, ENOTDIR, "\"%s\" is no directory", path);
	w.has_owner = user && build_find_owner(base, user, &w.uid, &w.gid, NULL) == 0;
	plan.items = xcalloc(1, sizeof *plan.items);
	plan.items[plan.count++] = (struct copy_item){ .from = &directory, .to = TAKE_PTR(place) };
	return emit_layer(l, &plan, &w, base, &none, ret, err);
}
