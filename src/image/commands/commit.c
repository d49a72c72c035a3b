/* SPDX-License-Identifier: Apache-2.0
 * holm-image machine-diff and holm-image commit: what differs between a machine and its image.
 *
 * The machine's root file system comes as a tar stream on stdin. `commit` reads it a second
 * time, on descriptor 4: the first pass finds which paths differ, and the second one copies
 * their entries as they stand, byte for byte, into a layer. Deleted paths become whiteouts
 * (image-spec, layer.md). What holm and the machine made for themselves is left out
 * (archive/machine_tree.h). */
#include <errno.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "image/archive/compose.h"
#include "image/archive/machine_accounts.h"
#include "image/archive/machine_tree.h"
#include "image/commands/changes.h"
#include "image/commands/command.h"
#include "image/commands/sweep.h"
#include "image/common/interrupt.h"
#include "oci/tar_pass.h"
#include "oci/tar_write.h"

#define AUTHORITIES "/var/lib/holm/authorities.pem" /* the keeper's script makes it */

enum { SETTINGS_MAX = 4 << 20, PIECE = 1 << 18, SECOND_STREAM = 4, HEADERS_MAX = 16 << 20 };

struct commit {
	struct library *library;
	struct json_object *settings;
	struct machine_facts facts;
	struct image *image; /* NULL: there is none, which --squash allows */
	struct content_pool pool;
	struct contents base, now;
	struct changes changes;
};

static void commit_done(struct commit *c)
{
	changes_done(&c->changes);
	contents_done(&c->base);
	contents_done(&c->now);
	content_pool_done(&c->pool);
	image_free(c->image);
	machine_facts_done(&c->facts);
	json_object_put(c->settings);
}

/* ---- both trees ---- */

static ssize_t read_stream(void *stream, const void **ret, struct error **err)
{
	static char piece[PIECE];
	ssize_t n = fd_read_full(*(int *)stream, piece, sizeof piece);
	*ret = piece;
	if (n < 0)
		return error_set_errno(err, (int)n, "cannot read the machine's files");
	int r = interrupt_check(err);
	return r < 0 ? r : n;
}

/* The image that the machine was made from: by its digest, or if that is gone by its name. */
static int load_image(struct commit *c, struct error **err)
{
	const char *name = NULL, *digest = NULL;
	AUTOFREE char *found = NULL, *found_digest = NULL;
	if (json_get_string(c->settings, "image_digest", &digest, NULL) == 0 &&
	    image_load_whole(c->library, NULL, digest, &c->image, NULL) == 0)
		return 0;
	int r = json_get_string(c->settings, "image", &name, err);
	if (r == 0 && image_find(c->library, name, NULL, &found, &found_digest, NULL) == 0)
		return image_load_whole(c->library, found, found_digest, &c->image, err);
	return error_set(err, ENOENT,
	    "image \"%.200s\" of the machine is not in the library any more; holm image pull %.200s, or commit with "
	    "--squash",
	    name ? name : "?", name ? name : "?");
}

static int read_image(struct commit *c, struct error **err)
{
	int r = 0;
	for (size_t k = 0; r == 0 && k < c->image->manifest->layer_count; k++)
		r = contents_add_layer(c->library, c->image, k, &c->pool, &c->base, err);
	return r;
}

static int read_machine(struct commit *c, struct error **err)
{
	int stream = STDIN_FILENO;
	CLEANUP(tar_reader_freep) struct tar_reader *tar = tar_reader_new(read_stream, &stream, NULL);
	int r = contents_add_tar(tar, &c->pool, &c->now, err);
	if (r == 0 && c->now.count == 0)
		r = error_set(err, EINVAL, "there is no tar stream on standard input");
	return r;
}

/* A boot for an export takes them out of the disk; a machine that runs has them. */
static int refuse_authorities(const struct commit *c, struct error **err)
{
	const char *name = "NAME";
	if (!contents_find(&c->now, AUTHORITIES))
		return 0;
	(void)json_get_string(c->settings, "name", &name, NULL);
	return error_set(err, EBUSY,
	    "machine \"%s\" has this host's certificate authorities among its files while it runs; stop it first, so "
	    "that holm leaves them out: holm machine stop %s",
	    name, name);
}

static void find_changes(struct commit *c)
{
	AUTO_CHANGES struct changes all = { 0 };
	machine_tree_clean(&c->facts, &c->base, &c->now);
	changes_find(&c->base, &c->now, &all);
	for (size_t i = 0; i < all.count; i++) {
		const struct contents_change *at = &all.items[i];
		if (!machine_tree_leaves_out(&c->facts, at->now ? at->now->path : at->before->path))
			changes_add(&c->changes, at);
	}
}

static int begin(struct commit *c, struct options *o, int squash, struct error **err)
{
	AUTO_ERROR struct error *gone = NULL;
	const char *config = options_string(o, "config");
	if (!config)
		return error_set(err, EINVAL, "--config FILE is missing");
	c->pool.kept = machine_account_files;
	int r;
	if ((r = json_parse_file(config, SETTINGS_MAX, &c->settings, err)) < 0 ||
	    (r = machine_facts_read(c->settings, &c->facts, err)) < 0)
		return r;
	r = load_image(c, squash ? &gone : err);
	if (r < 0 && !squash)
		return r;
	if ((!squash && (r = read_image(c, err)) < 0) || (r = read_machine(c, err)) < 0 ||
	    (r = refuse_authorities(c, err)) < 0)
		return r;
	find_changes(c);
	return 0;
}

int command_machine_diff(struct options *o, struct error **err)
{
	AUTO_FORMAT struct format format = { 0 };
	CLEANUP(commit_done) struct commit c = { 0 };
	int r = format_parse(options_string(o, "format"), "lines", &format, err);
	if (r == 0)
		r = library_open(&c.library, err);
	if (r == 0)
		r = begin(&c, o, 0, err);
	if (r == 0)
		r = changes_print(&c.changes, &format, err);
	library_free(c.library);
	return r;
}

/* ---- the layer ---- */

struct copy {
	const struct commit *commit;
	char *wanted; /* a flag for each entry of commit->now */
	struct layer_writer *writer;
	int r; /* the first failure */
	struct error **err;
};

static int sink(void *copy, const void *bytes, size_t size)
{
	struct copy *p = copy;
	if (p->r == 0)
		p->r = layer_writer_write(p->writer, bytes, size, p->err);
	return p->r;
}

static void want(struct copy *p, const char *path)
{
	struct content **at = contents_find(&p->commit->now, path);
	if (at)
		p->wanted[at - p->commit->now.items] = 1;
}

/* A layer has the parents of its entries, and the files that its hard links name. */
static void want_all(struct copy *p)
{
	const struct commit *c = p->commit;
	for (size_t i = 0; i < c->changes.count; i++) {
		const struct contents_change *at = &c->changes.items[i];
		const char *path = at->now ? at->now->path : at->before->path;
		AUTOFREE char *part = xstrdup(path);
		if (at->now)
			want(p, path);
		for (char *slash; (slash = strrchr(part, '/')) && slash > part;) {
			*slash = '\0';
			want(p, part);
		}
		if (at->now && at->now->link)
			want(p, at->now->link);
	}
}

static int write_whiteouts(struct copy *p)
{
	const struct changes *all = &p->commit->changes;
	for (size_t i = 0; p->r == 0 && i < all->count; i++) {
		if (all->items[i].now)
			continue;
		const char *path = all->items[i].before->path;
		AUTOFREE char *parent = path_parent(path + 1),
			      *name = streq(parent, ".") ? xasprintf(".wh.%s", path + 1) :
							   xasprintf("%s/.wh.%s", parent, path_base(path));
		tar_write_text(&(struct tar_text){ .name = name, .text = "" }, sink, p);
	}
	return p->r;
}

/* An account's file that was changed: its text is ours. */
static int write_text(struct copy *p, const struct tar_entry *e, const struct content *c)
{
	const struct tar_text t = { c->path + 1, c->text, e->mode, e->uid, e->gid, e->mtime };
	return tar_write_text(&t, sink, p);
}

static int choose(void *copy, const struct tar_entry *e, struct error **err)
{
	struct copy *p = copy;
	AUTOFREE char *absolute = xasprintf("/%s", e->path), *path = path_normalize(absolute);
	const struct contents *now = &p->commit->now;
	struct content **at = path ? contents_find(now, path) : NULL;
	int wanted = at && p->wanted[at - now->items];
	if (!wanted || !(*at)->text)
		return wanted;
	return MIN(write_text(p, e, *at), 0);
}

static int copy_entries(struct copy *p)
{
	int stream = SECOND_STREAM;
	const struct tar_pass pass = { .choose = choose, .sink = sink, .data = p, .headers_max = HEADERS_MAX };
	return tar_pass(read_stream, &stream, &pass, p->err);
}

static int write_layer(const struct commit *c, struct composed_layer *ret, struct error **err)
{
	struct layer_writer w;
	struct copy p = { .commit = c, .writer = &w, .err = err };
	int r = layer_writer_open(c->library, LAYER_GZIP, &w, err);
	if (r < 0)
		return r;
	p.wanted = xcalloc(c->now.count + 1, 1);
	want_all(&p);
	if ((r = write_whiteouts(&p)) == 0 && (r = copy_entries(&p)) == 0)
		r = tar_write_end(sink, &p);
	free(p.wanted);
	if (r == 0)
		return layer_writer_finish(&w, ret, err);
	layer_writer_abort(&w);
	return r;
}

/* ---- the image ---- */

/* The configuration of the image below; without one, of the machine. Owned by the caller. */
static int read_config(const struct commit *c, struct json_object **ret, struct error **err)
{
	AUTOFREE char *text = NULL;
	size_t size;
	int r = library_read_blob(c->library, c->image->manifest->config.digest, &text, &size, err);
	return r < 0 ? r : json_parse(text, size, "the image's configuration", ret, err);
}

static int compose(const struct commit *c, const struct composed_layer *layer, int squash,
    const struct compose_step *step, char *ret_digest, struct error **err)
{
	AUTO_JSON struct json_object *config = NULL;
	struct json_object *inner = NULL, *machine = NULL;
	int r = c->image ? read_config(c, &config, err) : 0;
	if (r < 0)
		return r;
	if (!squash)
		return compose_on(c->library, config, c->image->manifest, layer, step, ret_digest, err);
	(void)json_get_object(config, "config", &inner, NULL);
	(void)json_get_object(c->settings, "image_config", &machine, NULL);
	AUTO_JSON struct json_object *empty = json_object_new_object();
	const struct compose_facts facts = {
		.config = inner   ? inner :
			  machine ? machine :
				    empty,
		.platform = c->image ? &c->image->config->platform : NULL,
		.comment = step->comment ? step->comment : step->created_by,
	};
	return compose_image(c->library, layer, &facts, ret_digest, err);
}

static char *image_name(const char *text, struct error **err)
{
	AUTO_REFERENCE struct reference *reference = NULL;
	if (reference_parse(text, &reference, err) < 0)
		return NULL;
	if (reference->digest) {
		error_set(err, EINVAL, "\"%s\" has a digest; a new name is NAME[:TAG]", text);
		return NULL;
	}
	return reference_to_local_string(reference);
}

static int commit(struct commit *c, struct options *o, const char *name, struct error **err)
{
	struct composed_layer layer;
	char digest[DIGEST_TEXT_SIZE + 1];
	const char *machine = "a machine";
	const int squash = options_given(o, "squash");
	int r = begin(c, o, squash, err);
	(void)json_get_string(c->settings, "name", &machine, NULL);
	AUTOFREE char *created_by = xasprintf("holm machine commit %s", machine);
	const struct compose_step step = { options_string(o, "message"), options_string(o, "author"), created_by,
		c->image ? c->image->digest : NULL };
	if (r < 0 || (r = write_layer(c, &layer, err)) < 0 ||
	    (r = compose(c, &layer, squash, &step, digest, err)) < 0 ||
	    (r = image_register(c->library, name, digest, c->image ? &c->image->config->platform : NULL, err)) < 0)
		return r;
	return command_print(name, err);
}

int command_commit(struct options *o, struct error **err)
{
	CLEANUP(commit_done) struct commit c = { 0 };
	AUTOFREE char *name = image_name(options_words(o)->items[0], err);
	if (!name)
		return -EINVAL;
	int r = library_open(&c.library, err);
	if (r == 0)
		r = commit(&c, o, name, err);
	library_free_and_sweep(c.library, 0);
	return r;
}
