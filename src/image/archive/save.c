/* SPDX-License-Identifier: Apache-2.0
 * Writing images out of the library.
 *
 * Both forms have the same files, so one walk writes them through a table of two functions: "text"
 * for the small documents, "blob" for what the library has. Blobs are sorted by digest and each is
 * written once. Owners and times are 0 and names come from the caller, so the same images give the
 * same bytes everywhere.
 *
 * A docker archive is an OCI archive with manifest.json, as docker itself writes since version 25:
 * tools that know either find what they know, and digests stay. */
#include "image/archive/save.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/json.h"
#include "image/archive/compose.h"
#include "image/common/hash.h"
#include "image/common/interrupt.h"

enum { PIECE = 1 << 18 };
#define CONTAINERD_NAME "io.containerd.image.name"
#define LAYOUT "{\"imageLayoutVersion\":\"1.0.0\"}"

struct target {
	const struct target_kind *kind;
	struct library *library;
	struct archive *archive; /* of the archive's kind */
	int directory;           /* of the directory's kind; borrowed */
	struct progress *progress;
	int bar;
	uint64_t done;
};

struct target_kind {
	int (*folder)(struct target *t, const char *path, struct error **err);
	int (*text)(struct target *t, const char *path, const char *text, struct error **err);
	int (*blob)(struct target *t, const char *path, const char *digest, int fd, uint64_t size, struct error **err);
};

void save_list_done(struct save_list *s)
{
	for (size_t k = 0; k < s->count; k++) {
		image_free(s->items[k].image);
		strv_done(&s->items[k].names);
	}
	for (size_t k = 0; k < s->bundle_count; k++) {
		bundle_free(s->bundles[k].bundle);
		free(s->bundles[k].name);
	}
	free(s->items);
	free(s->bundles);
	*s = (struct save_list){ 0 };
}

int save_list_add(struct save_list *s, struct library *l, struct image *i, const char *name, struct error **err)
{
	AUTO_IMAGE struct image *image = i;
	struct save_item *item = NULL;
	for (size_t k = 0; k < s->count && !item; k++)
		if (streq(s->items[k].image->digest, image->digest))
			item = &s->items[k];
	if (!item) {
		uint64_t size;
		AUTO_FD int fd = library_open_blob(l, image->digest, &size, err);
		if (fd < 0)
			return fd;
		s->items = xrealloc(s->items, s->count + 1, sizeof *s->items);
		item = &s->items[s->count++];
		*item = (struct save_item){ .image = TAKE_PTR(image), .manifest_size = size };
	}
	if (name && !strv_contains(&item->names, name))
		strv_add(&item->names, name);
	return 0;
}

int save_list_add_all(struct save_list *s, struct library *l, const char *name, struct error **err)
{
	struct bundle *b = NULL;
	int r = bundle_of_name(l, name, &b, err);
	if (r < 0)
		return r;
	s->bundles = xrealloc(s->bundles, s->bundle_count + 1, sizeof *s->bundles);
	s->bundles[s->bundle_count++] = (struct save_bundle){ .bundle = b, .name = xstrdup(name) };
	return 0;
}

static int archive_failed(struct target *t, struct error **err)
{
	int code = archive_errno(t->archive);
	return code > 0 ? error_set_errno(err, code, "cannot write the archive") :
			  error_set(err, EIO, "cannot write the archive: %s", archive_error_string(t->archive));
}

static int archive_entry(struct target *t, const char *path, int type, uint64_t size, struct error **err)
{
	struct archive_entry *e = archive_entry_new();
	archive_entry_set_pathname(e, path);
	archive_entry_set_filetype(e, (unsigned)type);
	archive_entry_set_perm(e, type == AE_IFDIR ? 0755 : 0644);
	archive_entry_set_size(e, (la_int64_t)size);
	archive_entry_set_mtime(e, 0, 0);
	int r = archive_write_header(t->archive, e) == ARCHIVE_OK ? 0 : archive_failed(t, err);
	archive_entry_free(e);
	return r;
}

static int archive_folder(struct target *t, const char *path, struct error **err)
{
	return archive_entry(t, path, AE_IFDIR, 0, err);
}

static int archive_text(struct target *t, const char *path, const char *text, struct error **err)
{
	int r = archive_entry(t, path, AE_IFREG, strlen(text), err);
	return r == 0 && archive_write_data(t->archive, text, strlen(text)) < 0 ? archive_failed(t, err) : r;
}

static int archive_blob(struct target *t, const char *path, const char *digest, int fd, uint64_t size,
    struct error **err)
{
	AUTOFREE char *piece = xmalloc(PIECE);
	char actual[DIGEST_TEXT_SIZE + 1];
	AUTO_HASH struct hash h;
	ssize_t n;
	hash_init(&h);
	int r = archive_entry(t, path, AE_IFREG, size, err);
	while (r == 0 && (n = fd_read_full(fd, piece, PIECE)) != 0) {
		r = n < 0 ? error_set_errno(err, (int)n, "cannot read blob %s", digest) : interrupt_check(err);
		if (r == 0 && archive_write_data(t->archive, piece, n) < 0)
			r = archive_failed(t, err);
		if (r < 0)
			return r;
		hash_update(&h, piece, n);
		progress_update(t->progress, t->bar, t->done += n);
	}
	hash_text(&h, actual);
	if (r == 0 && !streq(actual, digest))
		r = error_set(err, EBADMSG, "blob %s in %s is damaged; remove the image and pull it again", digest,
		    t->library->path);
	return r;
}

static const struct target_kind archive_kind = { archive_folder, archive_text, archive_blob };

static int directory_folder(struct target *t, const char *path, struct error **err)
{
	return mkdirat(t->directory, path, 0777) < 0 ? error_set_errno(err, errno, "cannot create %s", path) : 0;
}

static int directory_open(struct target *t, const char *path, struct error **err)
{
	int fd = openat(t->directory, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
	return fd < 0 ? error_set_errno(err, errno, "cannot create %s", path) : fd;
}

static int directory_text(struct target *t, const char *path, const char *text, struct error **err)
{
	AUTO_FD int fd = directory_open(t, path, err);
	if (fd < 0)
		return fd;
	int r = fd_write_full(fd, text, strlen(text));
	return r < 0 ? error_set_errno(err, r, "cannot write %s", path) : 0;
}

/* Shares the blocks with the library where the file system can. */
static int directory_blob(struct target *t, const char *path, const char *digest, int fd, uint64_t size,
    struct error **err)
{
	AUTO_FD int to = directory_open(t, path, err);
	if (to < 0)
		return to;
	int64_t n = fd_copy(fd, to, UINT64_MAX);
	if (n < 0 || (uint64_t)n != size)
		return error_set_errno(err, n < 0 ? (int)n : EIO, "cannot write %s", path);
	progress_update(t->progress, t->bar, t->done += size);
	return interrupt_check(err);
}

static const struct target_kind directory_kind = { directory_folder, directory_text, directory_blob };

static void add_name(struct json_object *descriptor, const char *name)
{
	struct json_object *annotations = json_object_new_object();
	json_add_string(annotations, CONTAINERD_NAME, name);
	json_add_string(annotations, OCI_ANNOTATION_NAME, name);
	json_add(descriptor, "annotations", annotations);
}

static struct json_object *index_entry(const struct save_item *item, const char *name)
{
	const struct image *i = item->image;
	const struct oci_platform *p = &i->config->platform;
	struct json_object *d =
	    compose_descriptor(i->manifest->media_type ? i->manifest->media_type : OCI_TYPE_MANIFEST, i->digest,
		item->manifest_size);
	if (p->os && p->architecture) {
		struct json_object *platform = json_object_new_object();
		json_add_string(platform, "architecture", p->architecture);
		json_add_string(platform, "os", p->os);
		json_add_string(platform, "variant", p->variant);
		json_add(d, "platform", platform);
	}
	if (name)
		add_name(d, name);
	return d;
}

static char *index_text(const struct save_list *s)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array();
	for (size_t k = 0; k < s->count; k++) {
		const struct save_item *item = &s->items[k];
		for (size_t n = 0; n < MAX(item->names.count, 1UL); n++)
			json_object_array_add(list, index_entry(item, item->names.count ? item->names.items[n] : NULL));
	}
	for (size_t k = 0; k < s->bundle_count; k++) {
		const struct bundle *b = s->bundles[k].bundle;
		struct json_object *d = compose_descriptor(b->media_type, b->digest, b->size);
		add_name(d, s->bundles[k].name);
		json_object_array_add(list, d);
	}
	json_add_u64(o, "schemaVersion", 2);
	json_add_string(o, "mediaType", OCI_TYPE_INDEX);
	json_add(o, "manifests", list);
	return json_to_string(o, 0);
}

static char *blob_path(const char *digest)
{
	return xasprintf("blobs/sha256/%s", digest_hex(digest));
}

static struct json_object *docker_entry(const struct save_item *item)
{
	struct json_object *o = json_object_new_object();
	AUTO_STRV struct strv tags = { 0 }, layers = { 0 };
	AUTOFREE char *config = blob_path(item->image->manifest->config.digest);
	for (size_t n = 0; n < item->names.count; n++)
		if (!strchr(item->names.items[n], '@')) /* a tag has no digest */
			strv_add(&tags, item->names.items[n]);
	for (size_t k = 0; k < item->image->manifest->layer_count; k++)
		strv_take(&layers, blob_path(item->image->manifest->layers[k].digest));
	json_add_string(o, "Config", config);
	json_add_strv(o, "RepoTags", &tags);
	json_add_strv(o, "Layers", &layers);
	return o;
}

static char *docker_text(const struct save_list *s)
{
	AUTO_JSON struct json_object *list = json_object_new_array();
	for (size_t k = 0; k < s->count; k++)
		json_object_array_add(list, docker_entry(&s->items[k]));
	return json_to_string(list, 0);
}

/* All digests once, in order. */
static void list_blobs(const struct save_list *s, struct strv *ret)
{
	AUTO_STRV struct strv all = { 0 };
	for (size_t k = 0; k < s->count; k++) {
		const struct image *i = s->items[k].image;
		strv_add(&all, i->digest);
		strv_add(&all, i->manifest->config.digest);
		for (size_t n = 0; n < i->manifest->layer_count; n++)
			strv_add(&all, i->manifest->layers[n].digest);
	}
	for (size_t k = 0; k < s->bundle_count; k++)
		bundle_list_blobs(s->bundles[k].bundle, &all);
	strv_sort(&all);
	for (size_t k = 0; k < all.count; k++)
		if (k == 0 || !streq(all.items[k], all.items[k - 1]))
			strv_add(ret, all.items[k]);
}

static int write_blob(struct target *t, const char *digest, struct error **err)
{
	AUTOFREE char *path = blob_path(digest);
	uint64_t size;
	AUTO_FD int fd = library_open_blob(t->library, digest, &size, err);
	return fd < 0 ? fd : t->kind->blob(t, path, digest, fd, size, err);
}

static int write_all(struct target *t, const struct save_list *s, int docker, struct error **err)
{
	AUTO_STRV struct strv blobs = { 0 };
	AUTOFREE char *index = index_text(s), *manifest = docker ? docker_text(s) : NULL;
	uint64_t total = 0;
	int r;
	list_blobs(s, &blobs);
	for (size_t k = 0; k < s->count; k++)
		total += s->items[k].image->size;
	t->bar = t->progress ? progress_add(t->progress, "saving", total) : -1;
	if ((r = t->kind->text(t, "oci-layout", LAYOUT, err)) < 0 ||
	    (r = t->kind->text(t, "index.json", index, err)) < 0 ||
	    (manifest && (r = t->kind->text(t, "manifest.json", manifest, err)) < 0) ||
	    (r = t->kind->folder(t, "blobs", err)) < 0 || (r = t->kind->folder(t, "blobs/sha256", err)) < 0)
		return r;
	for (size_t k = 0; r == 0 && k < blobs.count; k++)
		r = write_blob(t, blobs.items[k], err);
	if (r == 0)
		progress_finish(t->progress, t->bar, "saved");
	return r;
}

int save_archive(struct library *l, const struct save_list *s, int docker, int fd, struct progress *p,
    struct error **err)
{
	struct target t = { .kind = &archive_kind, .library = l, .archive = archive_write_new(), .progress = p };
	archive_write_set_format_pax_restricted(t.archive);
	archive_write_set_bytes_in_last_block(t.archive, 1); /* the same end in a file and in a pipe */
	int r = archive_write_open_fd(t.archive, fd) == ARCHIVE_OK ? 0 : archive_failed(&t, err);
	if (r == 0)
		r = write_all(&t, s, docker, err);
	if (r < 0)
		archive_write_fail(t.archive);
	else if (archive_write_close(t.archive) != ARCHIVE_OK)
		r = archive_failed(&t, err);
	archive_write_free(t.archive);
	return r;
}

int save_directory(struct library *l, const struct save_list *s, int directory, struct progress *p, struct error **err)
{
	struct target t = { .kind = &directory_kind, .library = l, .directory = directory, .progress = p };
	int r = write_all(&t, s, 0, err);
	return r == 0 && syncfs(directory) < 0 ? error_set_errno(err, errno, "cannot write the directory") : r;
}
