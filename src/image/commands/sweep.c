/* SPDX-License-Identifier: Apache-2.0
 * Deleting what nothing refers to. Runs with use.lock held exclusively: nobody else reads or writes
 * the library.
 *
 * Blobs are referred to by the manifests and indexes that index.json names; if one of those cannot
 * be read, all blobs stay. Disks and trees are referred to by those manifests, by "image_disk" and
 * "image_trees" of every machine.json, those of machines just being made included, and by the
 * images.json beside it, which names the trees of the machine's containers; if one of those cannot
 * be read, all of them stay. One that was handed out within the last minute stays too: its machine
 * may not be written yet.
 *
 * The layers that a build's cache names stay, too (builder/cache.h), until a prune of that cache
 * removes its records (builder/prune.h).
 *
 * A prune is the same with more to delete: disks and trees that no machine uses, even if their
 * image has a name; all partial downloads; on request the names of images that no machine uses. A
 * dry run counts and deletes nothing. */
#include "image/commands/sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/lock.h"
#include "base/path.h"
#include "image/library/bundle.h"
#include "image/library/image.h"
#include "image/trees/cache.h"
#include "oci/digest.h"

enum {
	DISK_GRACE_S = 60,
	PARTIAL_AGE_S = 7 * 24 * 3600,
	MACHINE_JSON_MAX = 4 << 20,
	PRUNE_WAIT_MS = 10000,
	BUILD_RECORD_MAX = 64 << 10
};
#define PARTIAL_TOTAL_MAX ((uint64_t)8 << 30)

struct references {
	struct strv blobs, disks; /* file names to keep */
	struct strv trees;        /* names without their end, of the images' */
	struct strv used_trees;   /* whole names, of the machines' */
	struct strv images;       /* digests, of the machines' */
	int keep_blobs, keep_disks, keep_trees, keep_images;
};

struct sweeping {
	struct library *library;
	struct references keep;
	struct prune_options options;
	struct prune_report *report; /* or NULL */
};

static void count(struct prune_amount *a, const struct stat *st)
{
	if (!a)
		return;
	a->count++;
	a->bytes += st->st_nlink > 1 ? 0 : (uint64_t)st->st_blocks * 512;
}

static void drop(struct sweeping *s, struct prune_amount *a, int directory, const char *name, const struct stat *st)
{
	count(a, st);
	if (!s->options.dry_run)
		unlinkat(directory, name, 0);
}

static void add_image(struct library *l, const struct oci_descriptor *d, int caches, struct references *keep)
{
	AUTO_IMAGE struct image *i = NULL;
	AUTOFREE char *disk = library_file_name(d->digest, "");
	strv_add(&keep->blobs, digest_hex(d->digest));
	if (caches)
		strv_add(&keep->disks, disk);
	if (image_load_any(l, NULL, d->digest, &i, NULL) < 0) {
		keep->keep_blobs = keep->keep_trees = 1;
		return;
	}
	strv_add(&keep->blobs, digest_hex(i->manifest->config.digest));
	for (size_t k = 0; k < i->manifest->layer_count; k++) {
		strv_add(&keep->blobs, digest_hex(i->manifest->layers[k].digest));
		if (!caches || i->artifact)
			continue;
		strv_take(&keep->trees, tree_cache_name(i, k));
		strv_take(&keep->trees, tree_cache_chained_name(i, k));
	}
}

/* The blobs of all platforms of an image. */
static void add_bundle(struct library *l, const struct library_entry *e, struct references *keep)
{
	AUTO_BUNDLE struct bundle *b = NULL;
	AUTO_STRV struct strv digests = { 0 };
	if (bundle_load(l, &e->descriptor, e->name, &b, NULL) < 0) {
		keep->keep_blobs = 1;
		return;
	}
	bundle_list_blobs(b, &digests);
	for (size_t k = 0; k < digests.count; k++)
		strv_add(&keep->blobs, digest_hex(digests.items[k]));
}

/* Whether any entry that stays has the name of the index. */
static int is_named(const struct sweeping *s, const struct library_index *index, const char *name)
{
	for (size_t k = 0; k < index->count; k++)
		if (streq(index->entries[k].name, name) &&
		    !(s->report && strv_contains(&s->report->images, index->entries[k].name)))
			return 1;
	return 0;
}

/* The part of a disk's file name that names the image. */
static void add_disk(const char *path, struct references *keep)
{
	const char *base = path_base(path);
	size_t n = strlen("sha256-") + DIGEST_HEX_SIZE;
	if (strlen(base) >= n)
		strv_take(&keep->disks, xstrndup(base, n));
	else
		keep->keep_disks = 1;
}

/* Whether the entry names trees; "own_trees" are those with the machine's ids. */
static int add_container_trees(struct json_object *image, struct references *keep)
{
	static const char *const keys[] = { "trees", "own_trees" };
	AUTO_STRV struct strv trees = { 0 };
	int found = 0;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		found |= json_get_strv(image, keys[i], &trees, NULL) == 0;
	for (size_t i = 0; i < trees.count; i++)
		strv_add(&keep->used_trees, path_base(trees.items[i]));
	return found;
}

/* {"sha256:HEX":{"trees":[...]},...}: the images that containers of a machine are made of; in a VM
 * "disk" and a path. */
static void add_containers(const char *directory, struct references *keep)
{
	AUTOFREE char *path = path_join(directory, "images.json");
	AUTO_JSON struct json_object *o = NULL;
	if (!path_exists(path))
		return;
	if (json_parse_file(path, MACHINE_JSON_MAX, &o, NULL) < 0 || !json_object_is_type(o, json_type_object)) {
		keep->keep_trees = keep->keep_images = 1;
		return;
	}
	json_object_object_foreach(o, digest, image)
	{
		const char *disk = NULL;
		strv_add(&keep->images, digest);
		/* Of an imported machine, until the first start of such a container. */
		if (*digest && json_object_is_type(image, json_type_object) && json_object_object_length(image) == 0)
			continue;
		if (json_object_is_type(image, json_type_object) && json_get_string(image, "disk", &disk, NULL) == 0) {
			add_disk(disk, keep);
			continue;
		}
		if (!*digest || !add_container_trees(image, keep))
			keep->keep_trees = 1;
	}
}

static void add_machine(const char *machines, const char *name, struct references *keep)
{
	AUTOFREE char *directory = path_join(machines, name), *path = path_join(directory, "machine.json");
	AUTO_JSON struct json_object *o = NULL;
	AUTO_STRV struct strv trees = { 0 };
	const char *disk = NULL, *digest = NULL;
	if (!path_exists(path))
		return;
	add_containers(directory, keep);
	int r = json_parse_file(path, MACHINE_JSON_MAX, &o, NULL);
	if (r == 0)
		r = json_get_strv(o, "image_trees", &trees, NULL);
	if (r < 0 && r != -ENOENT) {
		keep->keep_disks = keep->keep_images = 1;
		return;
	}
	if (json_get_string(o, "image_digest", &digest, NULL) == 0)
		strv_add(&keep->images, digest);
	for (size_t k = 0; k < trees.count; k++)
		strv_add(&keep->used_trees, path_base(trees.items[k]));
	r = json_get_string(o, "image_disk", &disk, NULL);
	if (r < 0) {
		keep->keep_disks |= r != -ENOENT || trees.count == 0;
		return;
	}
	add_disk(disk, keep);
}

static void add_machines(struct library *l, struct references *keep)
{
	AUTOFREE char *data = path_parent(l->path), *machines = path_join(data, "machines");
	DIR *d = opendir(machines);
	if (!d) {
		keep->keep_disks |= errno != ENOENT;
		keep->keep_images |= errno != ENOENT;
		return;
	}
	for (struct dirent *e; (e = readdir(d));)
		if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
			add_machine(machines, e->d_name, keep);
	closedir(d);
}

/* Calls fn for every plain name in a directory. */
static void each_file(int directory, void (*fn)(int directory, const char *name, const struct stat *st, void *data),
    void *data)
{
	DIR *d = path_list(directory);
	if (!d)
		return;
	for (struct dirent *e; (e = readdir(d));) {
		struct stat st;
		if (e->d_name[0] != '.' && fstatat(directory, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode))
			fn(directory, e->d_name, &st, data);
	}
	closedir(d);
}

/* The layers of builds: each record of a step names one. */
static void add_build_layer(int directory, const char *name, const struct stat *st, void *data)
{
	struct references *keep = data;
	AUTO_JSON struct json_object *o = NULL;
	AUTO_FD int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	AUTOFREE char *text = NULL;
	const char *digest = NULL;
	size_t size;
	if (strlen(name) == DIGEST_HEX_SIZE && fd >= 0 && fd_read_all(fd, BUILD_RECORD_MAX, &text, &size) == 0 &&
	    json_parse(text, size, "a record", &o, NULL) == 0 && json_get_string(o, "digest", &digest, NULL) == 0 &&
	    digest_is_valid(digest))
		strv_add(&keep->blobs, digest_hex(digest));
}

static void add_builds(struct library *l, struct references *keep)
{
	AUTO_FD int builds = openat(l->root, "build", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (builds >= 0)
		each_file(builds, add_build_layer, keep);
}

static void sweep_blob(int directory, const char *name, const struct stat *st, void *data)
{
	struct sweeping *s = data;
	if (!strv_contains(&s->keep.blobs, name))
		drop(s, s->report ? &s->report->blobs : NULL, directory, name, st);
}

/* The outline and the digests of a layer that is gone (builder/outline.h). */
static void sweep_outline(int directory, const char *name, const struct stat *st, void *data)
{
	const struct library *l = data;
	const char *outline = startswith(name, "outline-"), *layer = outline ? outline : startswith(name, "digests-");
	if (layer && faccessat(l->blobs, layer, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		unlinkat(directory, name, 0);
}

static void sweep_disk(int directory, const char *name, const struct stat *st, void *data)
{
	struct sweeping *s = data;
	AUTOFREE char *image = xstrndup(name, strlen("sha256-") + DIGEST_HEX_SIZE);
	struct prune_amount *amount = s->report && endswith(name, ".ext4") ? &s->report->disks : NULL;
	if (strv_contains(&s->keep.disks, image))
		return;
	if (st->st_mtime <= time(NULL) - DISK_GRACE_S)
		drop(s, amount, directory, name, st);
	else if (amount)
		amount->young++;
}

static void sweep_lock(int directory, const char *name, const struct stat *st, void *data)
{
	unlinkat(directory, name, 0);
}

struct partial_total {
	uint64_t bytes;
	time_t oldest;
	char *oldest_name;
};

static void sweep_partial(int directory, const char *name, const struct stat *st, void *data)
{
	struct partial_total *total = data;
	if (st->st_mtime < time(NULL) - PARTIAL_AGE_S) {
		unlinkat(directory, name, 0);
		return;
	}
	total->bytes += (uint64_t)st->st_blocks * 512;
	if (!total->oldest_name || st->st_mtime < total->oldest) {
		free(total->oldest_name);
		total->oldest_name = xstrdup(name);
		total->oldest = st->st_mtime;
	}
}

static void sweep_every_partial(int directory, const char *name, const struct stat *st, void *data)
{
	struct sweeping *s = data;
	drop(s, s->report ? &s->report->downloads : NULL, directory, name, st);
}

/* Too old ones, then the oldest until the rest is within bounds. */
static void sweep_partials(struct library *l)
{
	for (int i = 0; i < OCI_LAYERS_MAX; i++) {
		struct partial_total total = { 0 };
		each_file(l->partial, sweep_partial, &total);
		AUTOFREE char *oldest = total.oldest_name;
		if (total.bytes <= PARTIAL_TOTAL_MAX || !oldest)
			return;
		unlinkat(l->partial, oldest, 0);
	}
}

/* Folders that a load was unpacked into by a process that is gone: nobody else is here. */
static void sweep_folders(struct library *l)
{
	DIR *d = path_list(l->root);
	if (!d)
		return;
	for (struct dirent *e; (e = readdir(d));)
		if (startswith(e->d_name, "unpacked-"))
			path_remove_tree(l->root, e->d_name);
	closedir(d);
}

static void references_done(struct references *keep)
{
	strv_done(&keep->blobs);
	strv_done(&keep->disks);
	strv_done(&keep->trees);
	strv_done(&keep->used_trees);
	strv_done(&keep->images);
}

static int has_label(const struct oci_config *c, const char *wish)
{
	AUTOFREE char *key = xstrndup(wish, strcspn(wish, "="));
	const char *equals = strchr(wish, '='), *value = NULL;
	return json_get_string(c->labels, key, &value, NULL) == 0 && (!equals || streq(value, equals + 1));
}

/* Whether a prune's filters are for this image. */
static int passes(struct sweeping *s, const struct library_entry *e)
{
	const struct prune_options *o = &s->options;
	AUTO_IMAGE struct image *i = NULL;
	int64_t created = 0;
	int pass = 1;
	if (!o->until_ns && !o->labels && !o->unlabels)
		return 1;
	if (image_load_any(s->library, e->name, e->descriptor.digest, &i, NULL) < 0)
		return 0;
	if (o->until_ns)
		pass = i->config->created && clock_parse_rfc3339(i->config->created, &created) == 0 &&
		       created < o->until_ns;
	for (size_t k = 0; o->labels && k < o->labels->count; k++)
		pass &= has_label(i->config, o->labels->items[k]);
	for (size_t k = 0; o->unlabels && k < o->unlabels->count; k++)
		pass &= !has_label(i->config, o->unlabels->items[k]);
	return pass;
}

/* Takes the names of an image away that no machine uses, and drops one without a name. 1 if the
 * image goes, 0. */
static int drop_image(struct sweeping *s, const struct library_entry *e)
{
	if (!s->report || (e->name && !s->options.images) || !passes(s, e))
		return 0;
	if (s->keep.keep_images || strv_contains(&s->keep.images, e->descriptor.digest))
		return 0;
	/* -ENOENT: another name of the image came before. */
	int r = s->options.dry_run ? 0 : library_remove_digest(s->library, e->descriptor.digest, NULL);
	if (r < 0 && r != -ENOENT)
		return 0;
	strv_add(&s->report->images, e->name ? e->name : e->descriptor.digest);
	return 1;
}

static void sweep_trees(struct sweeping *s)
{
	struct references *keep = &s->keep;
	struct tree_sweep t = {
		.names = &keep->trees,
		.whole_names = &keep->used_trees,
		.images = &keep->disks,
		.dry_run = s->options.dry_run,
		.measure = s->report != NULL,
	};
	tree_cache_sweep(s->library, &t);
	if (s->report)
		s->report->trees = (struct prune_amount){ .count = t.count, .bytes = t.bytes, .young = t.young };
}

static void sweep_leftovers(struct library *l)
{
	sweep_folders(l);
	AUTO_FD int builds = openat(l->root, "build", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (builds >= 0)
		each_file(builds, sweep_outline, l);
	AUTO_FD int locks = openat(l->root, "locks", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (locks >= 0)
		each_file(locks, sweep_lock, NULL);
	atomic_file_sweep(l->root);
	atomic_file_sweep(l->blobs);
	atomic_file_sweep(l->disks);
	if (builds >= 0)
		atomic_file_sweep(builds);
}

static void sweep(struct sweeping *s)
{
	AUTO_LIBRARY_INDEX struct library_index index = { 0 };
	struct library *l = s->library;
	struct references *keep = &s->keep;
	keep->keep_blobs = keep->keep_disks = keep->keep_trees = library_read_index(l, &index, NULL) < 0;
	add_machines(l, keep);
	add_builds(l, keep);
	for (size_t k = 0; k < index.count; k++)
		if (!drop_image(s, &index.entries[k]))
			add_image(l, &index.entries[k].descriptor, !s->report, keep);
	for (size_t k = 0; k < index.index_count; k++)
		if (is_named(s, &index, index.indexes[k].name))
			add_bundle(l, &index.indexes[k], keep);
	if (!keep->keep_blobs)
		each_file(l->blobs, sweep_blob, s);
	if (!keep->keep_disks)
		each_file(l->disks, sweep_disk, s);
	if (!keep->keep_disks && !keep->keep_trees)
		sweep_trees(s);
	if (s->report)
		each_file(l->partial, sweep_every_partial, s);
	else
		sweep_partials(l);
	if (!s->options.dry_run)
		sweep_leftovers(l);
	references_done(keep);
}

static int lock_alone(struct library *l, unsigned wait_ms, struct error **err)
{
	AUTOFREE char *lock = path_join(l->path, "use.lock");
	fd_close(TAKE_FD(l->use_lock));
	l->use_lock = lock_file(lock, LOCK_EXCLUSIVE, wait_ms > 0 ? clock_deadline(wait_ms) : 0, err);
	return l->use_lock;
}

void library_free_and_sweep(struct library *l, unsigned wait_ms)
{
	if (!l)
		return;
	struct sweeping s = { .library = l };
	if (lock_alone(l, wait_ms, NULL) >= 0)
		sweep(&s);
	library_free(l);
}

void prune_report_done(struct prune_report *r)
{
	strv_done(&r->images);
}

int library_prune(struct library *l, const struct prune_options *o, struct prune_report *ret, struct error **err)
{
	AUTO_LIBRARY_INDEX struct library_index index = { 0 };
	struct sweeping s = { .library = l, .options = *o, .report = ret };
	*ret = (struct prune_report){ 0 };
	int r = lock_alone(l, PRUNE_WAIT_MS, NULL);
	if (r < 0)
		return error_set(err, EBUSY, "another process uses the image library; try again when it has ended");
	r = library_read_index(l, &index, err);
	if (r < 0)
		return r;
	sweep(&s);
	return 0;
}
