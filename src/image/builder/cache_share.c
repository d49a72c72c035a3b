/* SPDX-License-Identifier: Apache-2.0
 * See cache_share.h: the records, and the way out. */
#include "image/builder/cache_share.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/fd.h"
#include "base/path.h"
#include "image/archive/compose.h"
#include "image/builder/cache_records.h"
#include "image/common/interrupt.h"

enum { PIECE = 1 << 17 };

/* ---- words ---- */

void cache_target_done(struct cache_target *t)
{
	free(t->folder);
	*t = (struct cache_target){ 0 };
}

static int read_part(struct cache_target *t, const char **type, const char *part)
{
	const char *value;
	if ((value = startswith(part, "type=")))
		*type = value;
	else if ((value = startswith(part, "dest=")) && !t->folder)
		t->folder = xstrdup(value);
	else if (streq(part, "mode=max"))
		t->is_whole = 1;
	else if (!streq(part, "mode=min"))
		return -EINVAL;
	return 0;
}

int cache_target_parse(const char *text, struct cache_target *ret, struct error **err)
{
	AUTO_STRV struct strv parts = { 0 };
	CLEANUP(cache_target_done) struct cache_target t = { 0 };
	const char *type = "";
	int r = 0;
	strv_split(&parts, text, ",");
	for (size_t i = 0; r == 0 && i < parts.count; i++)
		r = read_part(&t, &type, parts.items[i]);
	t.is_inline = streq(type, "inline");
	if (r < 0 || (t.is_inline ? t.folder || t.is_whole : !streq(type, "local") || !t.folder || !*t.folder))
		return error_set(err, EINVAL,
		    "--cache-to %.200s: write type=inline, or type=local,dest=DIR with mode=min or mode=max", text);
	*ret = t;
	t.folder = NULL;
	return 0;
}

/* ---- records ---- */

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct cache_record *)a)->key, ((const struct cache_record *)b)->key);
}

void cache_records_add(struct cache_records *r, const char *key, const struct build_layer *layer)
{
	r->items = xrealloc(r->items, r->count + 1, sizeof *r->items);
	struct cache_record *at = &r->items[r->count++];
	*at = (struct cache_record){ .layer = *layer };
	at->layer.media_type = xstrdup(layer->media_type ? layer->media_type : "");
	memcpy(at->key, key, sizeof at->key);
}

void cache_records_sort(struct cache_records *r)
{
	if (r->count)
		qsort(r->items, r->count, sizeof *r->items, compare);
}

const struct cache_record *cache_records_find(const struct cache_records *r, const char *key)
{
	struct cache_record wanted = { 0 };
	memcpy(wanted.key, key, sizeof wanted.key);
	return r->count ? bsearch(&wanted, r->items, r->count, sizeof *r->items, compare) : NULL;
}

void cache_records_done(struct cache_records *r)
{
	for (size_t i = 0; i < r->count; i++) {
		free(r->items[i].layer.media_type);
		free(r->items[i].source);
	}
	free(r->items);
	*r = (struct cache_records){ 0 };
}

void build_cache_note(struct builder *b, const char *key, const struct build_layer *layer)
{
	if (b->options->cache_to && b->options->cache_to->count)
		cache_records_add(&b->shared.used, key, layer);
}

size_t build_cache_note_count(const struct builder *b)
{
	return b->shared.used.count;
}

struct json_object *cache_record_json(const struct cache_record *r)
{
	struct json_object *o = json_object_new_object();
	json_add_string(o, "key", r->key);
	if (*r->layer.digest) {
		json_add_string(o, "mediaType", r->layer.media_type);
		json_add_string(o, "digest", r->layer.digest);
		json_add_string(o, "diffId", r->layer.diff_id);
		json_add_u64(o, "size", r->layer.size);
	}
	return o;
}

char *build_cache_notes_text(const struct builder *b, size_t from)
{
	AUTO_JSON struct json_object *all = json_object_new_array();
	for (size_t i = from; i < b->shared.used.count; i++)
		json_object_array_add(all, cache_record_json(&b->shared.used.items[i]));
	return json_to_string(all, 0);
}

void build_cache_take_notes(struct builder *b, const char *text)
{
	AUTO_JSON struct json_object *all = NULL;
	if (json_parse_bytes(text, strlen(text), "records", &all, NULL) == 0)
		cache_records_parse(&b->shared.used, all, NULL);
}

void build_cache_shared_done(struct builder *b)
{
	cache_records_done(&b->shared.used);
	cache_records_done(&b->shared.imported);
}

/* ---- choosing ---- */

static int is_of_image(const struct builder *b, const struct build_layer *layer)
{
	const struct build_state *s = b->states[b->stages->target];
	for (size_t i = 0; i < s->layer_count; i++)
		if (streq(s->layers[i].digest, layer->digest))
			return 1;
	return !*layer->digest;
}

/* The records in the order of their keys, each once. is_whole: of all stages. */
static struct json_object *choose(struct builder *b, int is_whole, struct json_object *layers)
{
	struct json_object *records = json_object_new_array();
	AUTO_STRV struct strv there = { 0 };
	cache_records_sort(&b->shared.used);
	for (size_t i = 0; i < b->shared.used.count; i++) {
		const struct cache_record *at = &b->shared.used.items[i];
		if ((i && streq(at->key, at[-1].key)) || (!is_whole && !is_of_image(b, &at->layer)))
			continue;
		json_object_array_add(records, cache_record_json(at));
		if (!layers || !*at->layer.digest || strv_contains(&there, at->layer.digest))
			continue;
		strv_add(&there, at->layer.digest);
		json_object_array_add(layers,
		    compose_descriptor(at->layer.media_type, at->layer.digest, at->layer.size));
	}
	return records;
}

struct json_object *build_cache_inline(struct builder *b)
{
	const struct strv *targets = b->options->cache_to;
	int wanted = 0;
	for (size_t i = 0; targets && i < targets->count; i++) {
		struct cache_target t = { 0 };
		if (cache_target_parse(targets->items[i], &t, NULL) == 0)
			wanted |= t.is_inline;
		cache_target_done(&t);
	}
	return wanted ? choose(b, 0, NULL) : NULL;
}

/* ---- a folder ---- */

static int copy_blob(struct library *l, int blobs, const char *digest, struct error **err)
{
	static char piece[PIECE];
	AUTO_ATOMIC_FILE struct atomic_file file = ATOMIC_FILE_NONE;
	struct stat st;
	uint64_t size = 0;
	AUTO_FD int fd = library_open_blob(l, digest, &size, err);
	if (fd < 0)
		return fd;
	if (fstatat(blobs, digest_hex(digest), &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	    (uint64_t)st.st_size == size)
		return 0;
	int r = atomic_file_open(&file, blobs, 0644, err);
	ssize_t n = 1;
	while (r == 0 && (n = fd_read_full(fd, piece, sizeof piece)) > 0) {
		r = fd_write_full(file.fd, piece, (size_t)n);
		if (r == 0)
			r = interrupt_check(err);
	}
	if (r < 0 || n < 0)
		return error_set_errno(err, r < 0 ? r : (int)n, "cannot write the cache");
	return atomic_file_commit(&file, digest_hex(digest), err);
}

static int write_text(int directory, const char *name, const char *text, struct error **err)
{
	AUTO_ATOMIC_FILE struct atomic_file file = ATOMIC_FILE_NONE;
	int r = atomic_file_open(&file, directory, 0644, err);
	if (r == 0 && (r = fd_write_full(file.fd, text, strlen(text))) < 0)
		return error_set_errno(err, r, "cannot write the cache");
	return r < 0 ? r : atomic_file_commit(&file, name, err);
}

/* Writes a document as a blob. Returns its descriptor, owned, or NULL. */
static struct json_object *write_document(int blobs, const char *type, struct json_object *o, struct error **err)
{
	AUTOFREE char *text = json_to_string(o, 0);
	char digest[DIGEST_TEXT_SIZE + 1];
	hash_memory(text, strlen(text), digest);
	return write_text(blobs, digest_hex(digest), text, err) < 0 ? NULL :
								      compose_descriptor(type, digest, strlen(text));
}

static int write_index(int root, int blobs, struct json_object *config, struct json_object *layers, struct error **err)
{
	AUTO_JSON struct json_object *manifest = json_object_new_object(), *index = json_object_new_object();
	struct json_object *list = json_object_new_array();
	json_add_u64(manifest, "schemaVersion", 2);
	json_add_string(manifest, "mediaType", OCI_TYPE_MANIFEST);
	json_add(manifest, "config", config);
	json_add(manifest, "layers", json_object_get(layers));
	struct json_object *one = write_document(blobs, OCI_TYPE_MANIFEST, manifest, err);
	json_add_u64(index, "schemaVersion", 2);
	json_add_string(index, "mediaType", OCI_TYPE_INDEX);
	if (one)
		json_object_array_add(list, one);
	json_add(index, "manifests", list);
	AUTOFREE char *text = json_to_string(index, 0);
	int r = one ? write_text(root, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}", err) : -EIO;
	return r < 0 ? r : write_text(root, "index.json", text, err);
}

static int write_folder(struct builder *b, const struct cache_target *t, struct error **err)
{
	AUTOFREE char *path = path_join(t->folder, "blobs/sha256");
	int r = path_mkdir_all(path, 0755, err);
	AUTO_FD int root = open(t->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		    blobs = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_JSON struct json_object *o = json_object_new_object(), *layers = json_object_new_array();
	if (r == 0 && (root < 0 || blobs < 0))
		r = error_set_errno(err, errno, "\"%s\"", t->folder);
	json_add(o, "records", choose(b, t->is_whole, layers));
	for (size_t i = 0; r == 0 && i < json_object_array_length(layers); i++) {
		const char *digest = NULL;
		json_get_string(json_object_array_get_idx(layers, i), "digest", &digest, NULL);
		r = copy_blob(b->library, blobs, digest, err);
	}
	struct json_object *config = r == 0 ? write_document(blobs, CACHE_RECORDS_TYPE, o, err) : NULL;
	if (r == 0)
		r = config ? write_index(root, blobs, config, layers, err) : -EIO;
	return r < 0 ? error_prefix(err, r, "--cache-to") : 0;
}

int build_cache_export(struct builder *b, struct error **err)
{
	const struct strv *targets = b->options->cache_to;
	int r = 0;
	for (size_t i = 0; r == 0 && targets && i < targets->count; i++) {
		CLEANUP(cache_target_done) struct cache_target t = { 0 };
		r = cache_target_parse(targets->items[i], &t, err);
		if (r == 0 && t.folder)
			r = write_folder(b, &t, err);
	}
	return r;
}
