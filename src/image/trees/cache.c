/* SPDX-License-Identifier: Apache-2.0
 * The layer trees of an image: unpacked directories for native machines, one for each layer, made
 * once.
 *
 * Problem. overlayfs takes directories, and unpacking an image for each machine would make a
 * machine as expensive as its image. Their files belong to subordinate ids, so only a process
 * inside the user's mapping can make or delete them. A process can be killed at any time, and
 * other processes use the same layers.
 *
 * Idea. The library has a directory of trees beside its blobs. A tree's name says all on which its
 * content depends: the layer's digest, the layers below it if it needs them, the mapping, the
 * version of the writer (docs/images.md). A tree with a name is whole, on the disk, and never
 * changes.
 *
 * Steps:
 * 1. If the image's facts (image-sha256-HEX-TAG-v1.json) name trees that are all there, they are
 *    the answer.
 * 2. Else one lock for all trees of the library is taken: images share layers. Trees that are made
 *    during a pull (library/stream.h) go without.
 * 3. Each missing tree gets an empty directory of a temporary name (TREE_TEMPORARY) that root of
 *    the mapping may write to. We make and name directories, since only we may write to the folder
 *    that they lie in.
 * 4. Processes inside the mapping fill them (jobs.c) and find the image's init in the whole.
 * 5. Meanwhile another process has the disk begin with what they have written (flush_early()):
 *    thousands of small files take it long, and the processors would be idle in the end.
 * 6. Each tree's .json and the image's facts are written. One syncfs(2) for all; then each tree
 *    gets its name. Facts that name a tree which has none yet count for nothing.
 * 7. Handing trees out sets the time of their .json files: the
 *    sweep (sweep.c) spares them for a minute, until the machine that they are for has been
 *    written.
 *
 * Failures. A temporary name belongs to a process at work, or is garbage if nobody has the library
 * open; the sweep deletes it. After an error the trees that are whole keep their names, so the
 * next try has less to do. A layer that an image has twice is made twice at worst; the second tree
 * finds its name taken and goes. */
#include "image/trees/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/path.h"
#include "base/spawn.h"
#include "idmap/idmap.h"
#include "image/common/hash.h"
#include "image/library/disk_cache.h"
#include "image/trees/jobs.h"
#include "oci/digest.h"

#define LOCK_NAME "trees"

/* STREAMED_AT_ONCE: layers that are still being fetched wait most of the time. */
enum { FACTS_MAX = 1 << 20, STREAMED_AT_ONCE = 8, FLUSH_EVERY = 8 << 20 };

struct making {
	struct library *library;
	const struct image *image;
	struct idmap ids;
	char *tag; /* owned */
	struct progress *progress;
	int bar;
	struct tree_layer *layers;
	char **temporary; /* of each layer: owned, or NULL where the tree is there already */
	char **names;     /* of each layer: owned, once it is known */
	pid_t flusher;    /* 0: none */
	uint64_t flushed; /* bytes of blobs that were read when it began last */
};

char *tree_cache_name(const struct image *i, size_t k)
{
	return library_file_name(i->config->diff_ids.items[k], "");
}

/* The chain below is named as image-spec's config.md does (ChainID); nothing is below the first
 * layer. */
char *tree_cache_chained_name(const struct image *i, size_t k)
{
	char chain[DIGEST_TEXT_SIZE + 1] = "";
	for (size_t n = 0; n < k; n++) {
		AUTOFREE char *text = xasprintf("%s %s", chain, i->config->diff_ids.items[n]);
		if (n == 0)
			snprintf(chain, sizeof chain, "%s", i->config->diff_ids.items[0]);
		else
			hash_memory(text, strlen(text), chain);
	}
	AUTOFREE char *suffix = xasprintf("-on-%s", k > 0 ? digest_hex(chain) : "nothing");
	return library_file_name(i->config->diff_ids.items[k], suffix);
}

static char *whole_name(const struct making *m, char *name, const char *ending)
{
	AUTOFREE char *owned = name;
	return xasprintf("%s-%s-v1%s", owned, m->tag, ending);
}

static int is_there(const struct library *l, const char *name)
{
	struct stat st;
	return fstatat(l->trees, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static char *facts_name(const struct making *m)
{
	AUTOFREE char *image = library_file_name(m->image->digest, "");
	return xasprintf("image-%s-%s-v1.json", image, m->tag);
}

/* 1 when the image's facts are there and all trees that they name. */
static int read_facts(struct making *m, struct strv *ret_names, char **ret_init)
{
	AUTO_STRV struct strv names = { 0 };
	AUTOFREE char *name = facts_name(m), *text = NULL;
	AUTO_JSON struct json_object *o = NULL;
	const char *init = NULL;
	size_t size;
	AUTO_FD int fd = openat(m->library->trees, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fd_read_all(fd, FACTS_MAX, &text, &size) < 0 || json_parse(text, size, name, &o, NULL) < 0 ||
	    json_get_strv(o, "trees", &names, NULL) < 0)
		return 0;
	for (size_t k = 0; k < names.count; k++)
		if (strchr(names.items[k], '/') || !is_there(m->library, names.items[k]))
			return 0;
	if (ret_init && json_get_string(o, "init", &init, NULL) == 0)
		*ret_init = xstrdup(init);
	if (ret_names)
		strv_add_all(ret_names, &names);
	return 1;
}

/* The caller syncs it. */
static int write_text(struct making *m, const char *name, const char *text, struct error **err)
{
	int r = atomic_file_write_at(m->library->trees, name, 0600, text, strlen(text), 0, err);
	return r < 0 ? error_prefix(err, r, "cannot write to %s", m->library->path) : 0;
}

static int write_facts(struct making *m, const struct strv *names, const char *init, struct error **err)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	AUTOFREE char *name = facts_name(m);
	json_object_object_add(o, "init", init ? json_object_new_string(init) : NULL);
	json_add_strv(o, "trees", names);
	AUTOFREE char *text = json_to_string(o, 0);
	return write_text(m, name, text, err);
}

/* An empty directory that root inside may write to. */
static int make_temporary(struct making *m, size_t k, struct error **err)
{
	uint64_t number;
	uint32_t owner = 0, group = 0;
	if (getrandom(&number, sizeof number, 0) != sizeof number)
		return error_set_errno(err, errno, "cannot make a name");
	AUTOFREE char *name = xasprintf(TREE_TEMPORARY "%016llx", (unsigned long long)number);
	if (mkdirat(m->library->trees, name, 0700) < 0)
		return error_set_errno(err, errno, "cannot make a folder in %s/trees", m->library->path);
	m->temporary[k] = TAKE_PTR(name);
	if (m->ids.by_root && idmap_outside(m->ids.uids, m->ids.uid_count, 0, &owner) &&
	    idmap_outside(m->ids.gids, m->ids.gid_count, 0, &group) &&
	    fchownat(m->library->trees, m->temporary[k], owner, group, AT_SYMLINK_NOFOLLOW) < 0)
		return error_set_errno(err, errno, "cannot give a folder in %s/trees to the machines' root",
		    m->library->path);
	return 0;
}

static int plan_new(struct making *m, size_t k, struct error **err)
{
	const struct oci_descriptor *d = &m->image->manifest->layers[k];
	struct tree_layer *l = &m->layers[k];
	l->blob = library_open_blob(m->library, d->digest, NULL, err);
	if (l->blob < 0)
		return l->blob;
	l->facts = memfd_create("facts", MFD_CLOEXEC);
	if (l->facts < 0)
		return error_set_errno(err, errno, "cannot make a file in memory");
	l->size = d->size;
	return make_temporary(m, k, err);
}

static int plan(struct making *m, struct error **err)
{
	size_t count = m->image->manifest->layer_count;
	for (size_t k = 0; k < count; k++)
		m->layers[k] = (struct tree_layer){
			.tree = -1,
			.blob = -1,
			.facts = -1,
			.diff_id = m->image->config->diff_ids.items[k],
		};
	for (size_t k = 0; k < count; k++) {
		struct tree_layer *l = &m->layers[k];
		char *alone = whole_name(m, tree_cache_name(m->image, k), ""),
		     *chained = whole_name(m, tree_cache_chained_name(m->image, k), "");
		l->name = xasprintf("layer %zu (%.19s)", k + 1, m->image->manifest->layers[k].digest);
		if (is_there(m->library, alone))
			m->names[k] = TAKE_PTR(alone);
		else if (is_there(m->library, chained))
			m->names[k] = TAKE_PTR(chained);
		free(alone);
		free(chained);
		int r = m->names[k] ? 0 : plan_new(m, k, err);
		if (r < 0)
			return r;
		l->tree = openat(m->library->trees, m->names[k] ? m->names[k] : m->temporary[k],
		    O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (l->tree < 0)
			return error_set_errno(err, errno, "cannot open a tree in %s/trees", m->library->path);
	}
	return 0;
}

static int is_new(const struct making *m, size_t k)
{
	return m->temporary[k] && m->layers[k].done;
}

/* Finds the name of a tree that is whole, and writes the file beside it. */
static int describe_one(struct making *m, size_t k, struct error **err)
{
	AUTOFREE char *text = NULL;
	AUTO_JSON struct json_object *o = NULL;
	int alone = 0;
	size_t size;
	int r = lseek(m->layers[k].facts, 0, SEEK_SET) < 0 ? -errno :
							     fd_read_all(m->layers[k].facts, FACTS_MAX, &text, &size);
	/* Names of devices are any bytes. */
	if (r == 0)
		r = json_parse_bytes(text, size, "facts", &o, NULL);
	if (r == 0)
		r = json_get_bool(o, "alone", &alone, NULL);
	if (r < 0)
		return error_set_errno(err, r, "cannot tell what became of %s", m->layers[k].name);
	m->names[k] = whole_name(m, alone ? tree_cache_name(m->image, k) : tree_cache_chained_name(m->image, k), "");
	AUTOFREE char *json = xasprintf("%s.json", m->names[k]);
	return write_text(m, json, text, err);
}

static int name_one(struct making *m, size_t k, struct error **err)
{
	if (renameat2(m->library->trees, m->temporary[k], m->library->trees, m->names[k], RENAME_NOREPLACE) < 0)
		return errno == EEXIST ?
			   0 :
			   error_set_errno(err, errno, "cannot name a tree in %s/trees", m->library->path);
	free(TAKE_PTR(m->temporary[k]));
	return 0;
}

static int describe_all(struct making *m, struct error **err)
{
	int r = 0;
	for (size_t k = 0; r == 0 && k < m->image->manifest->layer_count; k++)
		if (is_new(m, k))
			r = describe_one(m, k, err);
	return r;
}

/* Gives the trees that are whole their names. */
static int name_all(struct making *m, struct error **err)
{
	int any = 0, r = 0;
	for (size_t k = 0; k < m->image->manifest->layer_count; k++)
		any |= is_new(m, k);
	if (any && syncfs(m->library->trees) < 0)
		return error_set_errno(err, errno, "cannot write %s/trees", m->library->path);
	for (size_t k = 0; r == 0 && k < m->image->manifest->layer_count; k++)
		if (is_new(m, k))
			r = name_one(m, k, err);
	if (any && fsync(m->library->trees) < 0 && r == 0)
		r = error_set_errno(err, errno, "cannot write %s/trees", m->library->path);
	return r;
}

/* Removes the remains under a temporary name: an unfinished tree, or one that existed already (a
 * layer that an image has twice). */
static void making_done(struct making *m)
{
	AUTOFREE int *full = xcalloc(m->image->manifest->layer_count + 1, sizeof *full);
	size_t count = 0;
	for (size_t k = 0; k < m->image->manifest->layer_count; k++)
		if (m->temporary[k] && m->layers[k].done && m->layers[k].tree >= 0)
			full[count++] = m->layers[k].tree;
	if (count > 0)
		(void)tree_jobs_empty(&m->ids, full, count, NULL);
	for (size_t k = 0; k < m->image->manifest->layer_count; k++) {
		if (m->temporary[k])
			unlinkat(m->library->trees, m->temporary[k], AT_REMOVEDIR);
		free(m->temporary[k]);
		free(m->names[k]);
		free((char *)m->layers[k].name);
		fd_close(m->layers[k].tree);
		fd_close(m->layers[k].blob);
		fd_close(m->layers[k].facts);
	}
	free(m->temporary);
	free(m->names);
	free(m->layers);
}

static void flusher_end(struct making *m)
{
	int status;
	if (m->flusher > 0)
		spawn_wait(m->flusher, &status);
	m->flusher = 0;
}

/* Syncs in a process of its own, one at a time. The last sync waits for what is left; so this one
 * may fail. The process keeps no other descriptor: the server of the jobs ends with the last copy
 * of its socket, and a lock with the last copy of its file. */
static void flush_early(struct making *m, uint64_t done)
{
	if (done < m->flushed + FLUSH_EVERY || (m->flusher > 0 && waitpid(m->flusher, NULL, WNOHANG) == 0))
		return;
	m->flushed = done;
	m->flusher = fork();
	if (m->flusher == 0) {
		fd_close_from(0, &m->library->trees, 1);
		_exit(syncfs(m->library->trees) < 0);
	}
}

static void on_progress(uint64_t done, void *data)
{
	struct making *m = data;
	progress_update(m->progress, m->bar, done);
	flush_early(m, done);
}

/* overlayfs does not take a directory twice, and its upper place says all: what it has hides what
 * it would show in the lower one. */
static void collect(struct making *m, size_t shown, struct strv *ret)
{
	size_t count = m->image->manifest->layer_count;
	for (size_t k = count - shown; k < count; k++) {
		int again = 0;
		for (size_t n = k + 1; n < count && !again; n++)
			again = streq(m->names[k], m->names[n]);
		if (!again)
			strv_add(ret, m->names[k]);
	}
}

static int make_trees(struct making *m, struct strv *ret_names, char **ret_init, struct error **err)
{
	uint64_t total = 0;
	int r = plan(m, err), missing = 0;
	for (size_t k = 0; k < m->image->manifest->layer_count; k++) {
		total += m->layers[k].size;
		missing |= m->temporary[k] != NULL;
	}
	m->bar = missing ? progress_add(m->progress, "layers", total) : -1;
	struct tree_jobs jobs = {
		.ids = &m->ids,
		.layers = m->layers,
		.count = m->image->manifest->layer_count,
		.progress = on_progress,
		.data = m,
		.programs = oci_init_paths,
		.at_once = m->library->streams ? STREAMED_AT_ONCE : 0,
	};
	if (r == 0)
		r = tree_jobs_run(&jobs, err);
	flusher_end(m);
	int described = describe_all(m, r < 0 ? NULL : err);
	r = r < 0 ? r : described;
	if (r == 0) {
		*ret_init = xstrdup(jobs.program);
		collect(m, jobs.shown, ret_names);
		r = write_facts(m, ret_names, *ret_init, err);
	}
	int named = described < 0 ? described : name_all(m, r < 0 ? NULL : err);
	r = r < 0 ? r : named;
	if (r < 0)
		return r == -ECANCELED ? r :
					 error_prefix(err, r, "cannot unpack image \"%s\"",
					     m->image->name ? m->image->name : m->image->digest);
	progress_finish(m->progress, m->bar, "unpacked");
	return 0;
}

static int make(struct making *m, struct strv *ret_names, char **ret_init, struct error **err)
{
	size_t count = m->image->manifest->layer_count;
	m->layers = xcalloc(count + 1, sizeof *m->layers);
	m->temporary = xcalloc(count + 1, sizeof *m->temporary);
	m->names = xcalloc(count + 1, sizeof *m->names);
	for (size_t k = 0; k < count; k++)
		m->layers[k] = (struct tree_layer){ .tree = -1, .blob = -1, .facts = -1 };
	int r = make_trees(m, ret_names, ret_init, err);
	making_done(m);
	return r;
}

static void tell_waiting(void *data)
{
	progress_note(data, "another process is unpacking an image; waiting for it");
}

static void hand_out(struct making *m, const struct strv *names, struct strv *ret)
{
	AUTOFREE char *directory = path_join(m->library->path, "trees"), *facts = facts_name(m);
	(void)utimensat(m->library->trees, facts, NULL, 0);
	for (size_t k = 0; k < names->count; k++) {
		AUTOFREE char *json = xasprintf("%s.json", names->items[k]);
		(void)utimensat(m->library->trees, json, NULL, 0);
		strv_take(ret, path_join(directory, names->items[k]));
	}
}

static int find_ids(enum tree_ids ids, struct idmap *ret, struct error **err)
{
	struct idmap machine;
	int r = idmap_of_user_or_single(&machine, err);
	if (r < 0)
		return r;
	if (ids == TREE_OF_CONTAINERS)
		idmap_for_containers(&machine, machine.uid, machine.gid, ret);
	else
		*ret = machine;
	return 0;
}

int tree_cache_prepare(struct library *l, const struct image *i, enum tree_ids ids, struct progress *p,
    struct strv *ret_trees, char **ret_init, struct error **err)
{
	AUTO_STRV struct strv names = { 0 };
	struct making m = { .library = l, .image = i, .progress = p };
	*ret_init = NULL;
	int r = find_ids(ids, &m.ids, err);
	if (r < 0)
		return r;
	AUTOFREE char *tag = idmap_tag(&m.ids);
	m.tag = tag;
	if (!read_facts(&m, &names, ret_init)) {
		/* Beside a download: others do not wait for it; the pull has the image's lock. */
		AUTO_FD int lock = l->streams ? -1 : library_lock(l, LOCK_NAME, tell_waiting, p, err);
		if (lock < 0 && !l->streams)
			return lock;
		if (!read_facts(&m, &names, ret_init))
			r = make(&m, &names, ret_init, err);
	}
	if (r == 0)
		hand_out(&m, &names, ret_trees);
	return r;
}

/* Reads the facts of an image for these ids: 1 when they are there, with all trees. */
static int look_up(struct library *l, const struct image *i, enum tree_ids ids, struct strv *ret_names)
{
	struct making m = { .library = l, .image = i };
	if (find_ids(ids, &m.ids, NULL) < 0)
		return 0;
	AUTOFREE char *tag = idmap_tag(&m.ids);
	m.tag = tag;
	return read_facts(&m, ret_names, NULL);
}

int tree_cache_is_whole(struct library *l, const struct image *i, enum tree_ids ids)
{
	return look_up(l, i, ids, NULL);
}

void tree_cache_list(struct library *l, const struct image *i, struct strv *ret)
{
	AUTOFREE char *directory = path_join(l->path, "trees");
	AUTO_STRV struct strv names = { 0 };
	look_up(l, i, TREE_OF_MACHINE, &names);
	for (size_t k = 0; k < names.count; k++)
		strv_take(ret, path_join(directory, names.items[k]));
}
