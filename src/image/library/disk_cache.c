/* SPDX-License-Identifier: Apache-2.0
 * The read-only disk of an image.
 *
 * The file is written under a temporary name and gets its own when it is whole, under the image's
 * lock. What was looked up inside is kept in a small file beside it, because opening a file system
 * takes longer than reading a line. Handing a disk out sets its time: the sweep leaves it alone for
 * a minute, until the machine that it is for has been written. */
#include "image/library/disk_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/path.h"
#include "disk/ext4.h"
#include "idmap/storage.h"
#include "image/common/interrupt.h"

#define DISK_SUFFIX "-v1.ext4"
#define FACTS_SUFFIX "-v1.json"

enum { FACTS_MAX = 4096 };

char *disk_cache_path(struct library *l, const char *digest)
{
	AUTOFREE char *directory = path_join(l->path, "disks"), *name = library_file_name(digest, DISK_SUFFIX);
	return path_join(directory, name);
}

struct making {
	struct progress *progress;
	int bar;
};

static int on_progress(uint64_t done, uint64_t total, void *data)
{
	struct making *m = data;
	progress_update(m->progress, m->bar, done);
	return interrupt_check(NULL);
}

static void close_layers(struct disk_layer *layers, size_t count)
{
	for (size_t k = 0; k < count; k++) {
		fd_close(layers[k].fd);
		free((char *)layers[k].name);
	}
	free(layers);
}

static int open_layers(struct library *l, const struct image *i, struct disk_layer **ret, uint64_t *ret_total,
    struct error **err)
{
	size_t count = i->manifest->layer_count;
	struct disk_layer *layers = xcalloc(count + 1, sizeof *layers);
	*ret_total = 0;
	for (size_t k = 0; k < count; k++) {
		const struct oci_descriptor *d = &i->manifest->layers[k];
		/* Docker's "tar.gzip" and whatever else is said: the first bytes tell better than
		 * the many names there are. */
		layers[k] = (struct disk_layer){ .diff_id = i->config->diff_ids.items[k], .size = d->size };
		layers[k].name = xasprintf("layer %zu (%.19s)", k + 1, d->digest);
		layers[k].fd = library_open_blob(l, d->digest, NULL, err);
		if (layers[k].fd < 0) {
			int r = layers[k].fd;
			close_layers(layers, k + 1);
			return r;
		}
		*ret_total += d->size;
	}
	*ret = layers;
	return 0;
}

static int make_disk(struct library *l, const struct image *i, struct progress *p, struct error **err)
{
	AUTO_ATOMIC_FILE struct atomic_file f = ATOMIC_FILE_NONE;
	AUTOFREE char *name = library_file_name(i->digest, DISK_SUFFIX);
	struct disk_layer *layers;
	uint64_t total;
	int r = open_layers(l, i, &layers, &total, err);
	if (r < 0)
		return r;
	struct making m = { .progress = p, .bar = progress_add(p, "disk", total) };
	struct idmap storage;
	storage_ids_of_vm(getuid(), getgid(), &storage);
	struct disk_options o = {
		.progress = on_progress,
		.data = &m,
		.own = storage_ids_from_archive,
		.own_data = &storage,
	};
	r = atomic_file_open(&f, l->disks, 0600, err);
	if (r == 0)
		r = disk_write(f.fd, layers, i->manifest->layer_count, &o, err);
	close_layers(layers, i->manifest->layer_count);
	if (r == -ECANCELED) {
		if (err)
			error_clear(err);
		return interrupt_check(err);
	}
	if (r < 0)
		return error_prefix(err, r, "cannot make the disk of image \"%s\"", i->name ? i->name : i->digest);
	if (fchmod(f.fd, 0400) < 0)
		return error_set_errno(err, errno, "cannot protect the disk of image \"%s\"",
		    i->name ? i->name : i->digest);
	r = atomic_file_commit(&f, name, err);
	if (r == 0)
		progress_finish(p, m.bar, "made");
	return r;
}

/* The file beside the disk: {"init":"/sbin/init"|null}. 1 read, 0 not there or not readable. */
static int read_facts(struct library *l, const struct image *i, char **ret_init)
{
	AUTOFREE char *name = library_file_name(i->digest, FACTS_SUFFIX), *text = NULL;
	AUTO_JSON struct json_object *o = NULL;
	const char *init = NULL;
	size_t size;
	AUTO_FD int fd = openat(l->disks, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fd_read_all(fd, FACTS_MAX, &text, &size) < 0 || json_parse(text, size, name, &o, NULL) < 0 ||
	    !json_object_is_type(o, json_type_object))
		return 0;
	if (json_get_string(o, "init", &init, NULL) == 0)
		*ret_init = xstrdup(init);
	return 1;
}

static int find_init(struct library *l, const struct image *i, const char *disk, char **ret_init, struct error **err)
{
	AUTO_ATOMIC_FILE struct atomic_file f = ATOMIC_FILE_NONE;
	AUTOFREE char *name = library_file_name(i->digest, FACTS_SUFFIX);
	AUTO_JSON struct json_object *o = json_object_new_object();
	const char *init = NULL;
	if (read_facts(l, i, ret_init))
		return 0;
	int r = disk_find_first(disk, oci_init_paths, &init, err);
	if (r < 0 && r != -ENOENT)
		return error_prefix(err, r, "cannot look into the disk of image \"%s\"", i->name ? i->name : i->digest);
	json_add_string(o, "init", init);
	AUTOFREE char *text = json_to_string(o, 0);
	r = atomic_file_open(&f, l->disks, 0600, err);
	if (r == 0 && (r = fd_write_full(f.fd, text, strlen(text))) < 0)
		error_set_errno(err, r, "cannot write to %s", l->path);
	if (r == 0)
		r = atomic_file_commit(&f, name, err);
	*ret_init = xstrdup(init);
	return r;
}

static void tell_waiting(void *data)
{
	progress_note(data, "another process is making the image's disk; waiting for it");
}

int disk_cache_prepare(struct library *l, const struct image *i, struct progress *p, char **ret_path, char **ret_init,
    struct error **err)
{
	AUTOFREE char *path = disk_cache_path(l, i->digest);
	*ret_init = NULL;
	int there = path_exists(path);
	if (!there || !read_facts(l, i, ret_init)) {
		/* Beside a download, the pull has it. */
		AUTO_FD int lock = l->streams ? -1 : library_lock_image(l, i->digest, tell_waiting, p, err);
		if (lock < 0 && !l->streams)
			return lock;
		int r = path_exists(path) ? 0 : make_disk(l, i, p, err);
		if (r == 0)
			r = find_init(l, i, path, ret_init, err);
		if (r < 0)
			return r;
	}
	(void)utimensat(AT_FDCWD, path, NULL, 0);
	*ret_path = TAKE_PTR(path);
	return 0;
}
