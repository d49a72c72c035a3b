/* SPDX-License-Identifier: Apache-2.0
 * index.json: which names there are. Read as a list, changed under index.lock, written whole. */
#include "image/library/library.h"

#include <errno.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/lock.h"
#include "base/path.h"
#include "image/library/bundle.h"
#include "image/library/holders.h"

enum { LOCK_WAIT_MS = 10000, INDEX_MAX = 16 << 20 };

static void entry_done(struct library_entry *e)
{
	free(e->name);
	oci_descriptor_done(&e->descriptor);
}

void library_index_done(struct library_index *i)
{
	for (size_t k = 0; k < i->count; k++)
		entry_done(&i->entries[k]);
	for (size_t k = 0; k < i->index_count; k++)
		entry_done(&i->indexes[k]);
	free(i->entries);
	free(i->indexes);
	*i = (struct library_index){ 0 };
}

static int compare(const void *a, const void *b)
{
	const struct library_entry *x = a, *y = b;
	int r = strcmp(x->name ? x->name : "", y->name ? y->name : "");
	if (r != 0)
		return r;
	AUTOFREE char *p = oci_platform_to_string(&x->descriptor.platform),
		      *q = oci_platform_to_string(&y->descriptor.platform);
	return strcmp(p, q);
}

static int parse(struct json_object *o, struct library_index *ret, struct error **err)
{
	struct json_object *array = NULL;
	int r = json_get_array(o, "manifests", &array, err);
	if (r < 0)
		return r == -ENOENT ? error_set(err, EINVAL, "no manifests") : r;
	size_t count = json_object_array_length(array);
	if (count > OCI_MANIFESTS_MAX)
		return error_set(err, EFBIG, "more than %d images", OCI_MANIFESTS_MAX);
	ret->entries = xcalloc(count + 1, sizeof *ret->entries);
	ret->indexes = xcalloc(count + 1, sizeof *ret->indexes);
	for (size_t k = 0; k < count; k++) {
		struct library_entry e = { 0 };
		AUTOFREE char *what = xasprintf("entry %zu", k + 1);
		r = oci_descriptor_parse(json_object_array_get_idx(array, k), what, &e.descriptor, err);
		if (r < 0)
			return r;
		e.name = xstrdup(e.descriptor.name);
		if (bundle_is_index(e.descriptor.media_type))
			ret->indexes[ret->index_count++] = e;
		else
			ret->entries[ret->count++] = e;
	}
	qsort(ret->entries, ret->count, sizeof *ret->entries, compare);
	return 0;
}

int library_read_index(struct library *l, struct library_index *ret, struct error **err)
{
	AUTOFREE char *path = path_join(l->path, "index.json");
	AUTO_JSON struct json_object *o = NULL;
	*ret = (struct library_index){ 0 };
	if (!path_exists(path))
		return 0;
	int r = json_parse_file(path, INDEX_MAX, &o, err);
	if (r == 0 && !json_object_is_type(o, json_type_object))
		r = error_set(err, EINVAL, "%s is not a JSON object", path);
	if (r == 0) {
		r = parse(o, ret, err);
		if (r < 0)
			error_prefix(err, r, "%s", path);
	}
	if (r < 0)
		library_index_done(ret);
	return r;
}

static struct json_object *entry_to_json(const struct library_entry *e)
{
	struct json_object *o = json_object_new_object(), *p = json_object_new_object(), *a = json_object_new_object();
	json_add_string(o, "mediaType", *e->descriptor.media_type ? e->descriptor.media_type : OCI_TYPE_MANIFEST);
	json_add_string(o, "digest", e->descriptor.digest);
	json_add_u64(o, "size", e->descriptor.size);
	if (bundle_is_index(e->descriptor.media_type)) {
		json_object_put(p);
		json_add_string(a, OCI_ANNOTATION_NAME, e->name);
		json_add(o, "annotations", a);
		return o;
	}
	json_add_string(p, "architecture", e->descriptor.platform.architecture);
	json_add_string(p, "os", e->descriptor.platform.os);
	json_add_string(p, "variant", e->descriptor.platform.variant);
	json_add(o, "platform", p);
	json_add_string(a, OCI_ANNOTATION_NAME, e->name);
	json_add(o, "annotations", a);
	return o;
}

static int write_index(struct library *l, const struct library_index *i, struct error **err)
{
	AUTOFREE char *path = path_join(l->path, "index.json");
	AUTO_JSON struct json_object *o = json_object_new_object();
	struct json_object *array = json_object_new_array();
	for (size_t k = 0; k < i->count; k++)
		json_object_array_add(array, entry_to_json(&i->entries[k]));
	for (size_t k = 0; k < i->index_count; k++)
		json_object_array_add(array, entry_to_json(&i->indexes[k]));
	json_add_u64(o, "schemaVersion", 2);
	json_add_string(o, "mediaType", OCI_TYPE_INDEX);
	json_add(o, "manifests", array);
	AUTOFREE char *text = json_to_string(o, 1);
	/* No command could read such a file, not even one that removes images. */
	if (i->count + i->index_count > OCI_MANIFESTS_MAX || strlen(text) > INDEX_MAX)
		return error_set(err, EFBIG, "the library would have more than %d images; see holm image prune",
		    OCI_MANIFESTS_MAX);
	return atomic_file_write(path, 0600, text, strlen(text), err);
}

static int lock_index(struct library *l, struct error **err)
{
	AUTOFREE char *path = path_join(l->path, "index.lock");
	return lock_file(path, LOCK_EXCLUSIVE, clock_deadline(LOCK_WAIT_MS), err);
}

/* Takes the index of a name away. */
static void drop_index(struct library_index *i, const char *name)
{
	size_t kept = 0;
	for (size_t k = 0; k < i->index_count; k++)
		if (name && streq(i->indexes[k].name, name))
			entry_done(&i->indexes[k]);
		else
			i->indexes[kept++] = i->indexes[k];
	i->index_count = kept;
}

/* Drops the entries for which drop() says so, and the indexes of their names; returns how many. */
static size_t filter(struct library_index *i, int (*drop)(const struct library_entry *e, const void *data),
    const void *data)
{
	size_t kept = 0, count = i->count;
	for (size_t k = 0; k < count; k++) {
		struct library_entry *e = &i->entries[k];
		if (drop(e, data)) {
			drop_index(i, e->name);
			entry_done(e);
		} else {
			i->entries[kept++] = *e;
		}
	}
	i->count = kept;
	return count - kept;
}

static int is_same_slot(const struct library_entry *e, const void *data)
{
	const struct library_entry *other = data;
	const struct oci_platform *p = &e->descriptor.platform, *q = &other->descriptor.platform;
	if (!e->name) /* it has one now, or is nameless again */
		return streq(e->descriptor.digest, other->descriptor.digest);
	/* An entry without a platform, such as an artifact, has its name alone. */
	int alone = !p->architecture || !q->architecture;
	return streq(e->name, other->name) &&
	       (alone ||
		   (streq(p->os, q->os) && streq(p->architecture, q->architecture) && streq(p->variant, q->variant)));
}

static int has_name(const struct library_entry *e, const void *name)
{
	return streq(e->name, name);
}

static int has_digest(const struct library_entry *e, const void *digest)
{
	return streq(e->descriptor.digest, digest);
}

/* Without a wish for a name, any entry of the digest will do. */
static int has_entry(const struct library_index *i, const struct library_entry *e)
{
	for (size_t k = 0; k < i->count; k++)
		if (has_digest(&i->entries[k], e->descriptor.digest) &&
		    (!e->name || (i->entries[k].name && is_same_slot(&i->entries[k], e))))
			return 1;
	return 0;
}

/* The index for a change; the lock holds until `lock` is closed. */
static int read_for_change(struct library *l, struct library_index *ret, int *ret_lock, struct error **err)
{
	AUTO_FD int lock = lock_index(l, err);
	int r = lock < 0 ? lock : library_read_index(l, ret, err);
	if (r == 0)
		*ret_lock = TAKE_FD(lock);
	return r;
}

/* Writes the index with one more entry in a list of it. The entry borrows what it points to, so it
 * is taken out again before the list is freed. */
static int write_with(struct library *l, const struct library_index *i, struct library_entry **list, size_t *count,
    const struct library_entry *e, struct error **err)
{
	*list = xrealloc(*list, *count + 1, sizeof **list);
	(*list)[(*count)++] = *e;
	int r = write_index(l, i, err);
	(*count)--;
	return r;
}

/* The last name of an image goes to another one. If a machine's containers have the image, it stays
 * without a name, as with Docker. */
static void keep_held(struct library *l, struct library_index *i, const struct library_entry *next)
{
	for (size_t k = 0; k < i->count; k++) {
		struct library_entry *e = &i->entries[k];
		const char *digest = e->descriptor.digest;
		size_t others = 0;
		if (!e->name || !is_same_slot(e, next) || has_digest(next, digest))
			continue;
		for (size_t m = 0; m < i->count; m++)
			others += m != k && has_digest(&i->entries[m], digest);
		if (!others && library_is_held(l, digest))
			free(TAKE_PTR(e->name));
	}
}

int library_set_name(struct library *l, const char *name, const struct oci_descriptor *d, struct error **err)
{
	AUTO_LIBRARY_INDEX struct library_index i = { 0 };
	AUTO_FD int lock = -1;
	int r = read_for_change(l, &i, &lock, err);
	if (r < 0)
		return r;
	struct library_entry e = { .name = (char *)name, .descriptor = *d };
	if (has_entry(&i, &e))
		return 0;
	if (name)
		keep_held(l, &i, &e);
	filter(&i, is_same_slot, &e);
	drop_index(&i, name);
	return write_with(l, &i, &i.entries, &i.count, &e, err);
}

int library_set_index(struct library *l, const char *name, const struct oci_descriptor *d, struct error **err)
{
	AUTO_LIBRARY_INDEX struct library_index i = { 0 };
	AUTO_FD int lock = -1;
	int r = read_for_change(l, &i, &lock, err);
	if (r < 0)
		return r;
	for (size_t k = 0; k < i.index_count; k++)
		if (streq(i.indexes[k].name, name) && streq(i.indexes[k].descriptor.digest, d->digest))
			return 0;
	drop_index(&i, name);
	const struct library_entry e = { .name = (char *)name, .descriptor = *d };
	return write_with(l, &i, &i.indexes, &i.index_count, &e, err);
}

static int remove_entries(struct library *l, int (*drop)(const struct library_entry *e, const void *data),
    const char *data, struct error **err)
{
	AUTO_LIBRARY_INDEX struct library_index i = { 0 };
	AUTO_FD int lock = lock_index(l, err);
	if (lock < 0)
		return lock;
	int r = library_read_index(l, &i, err);
	if (r < 0)
		return r;
	return filter(&i, drop, data) == 0 ? -ENOENT : write_index(l, &i, err);
}

int library_remove_name(struct library *l, const char *name, struct error **err)
{
	return remove_entries(l, has_name, name, err);
}

int library_remove_digest(struct library *l, const char *digest, struct error **err)
{
	return remove_entries(l, has_digest, digest, err);
}
