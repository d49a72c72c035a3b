/* SPDX-License-Identifier: Apache-2.0
 * holm-image pack, holm-image unpack: a machine as an OCI archive and back (docs/images.md).
 *
 * The layer passes through the library, because an archive's entry starts with its size; nothing
 * names it there, so it goes with the sweep. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "image/archive/compose.h"
#include "image/archive/load.h"
#include "image/commands/command.h"
#include "image/commands/prepare.h"
#include "image/commands/sweep.h"
#include "image/common/interrupt.h"
#include "image/library/image.h"

enum { PIECE = 1 << 18, SETTINGS_MAX = 4 << 20 };

struct settings {
	struct json_object *root, *config;
	struct json_object *annotations; /* owned */
	char *reference;                 /* owned; canonical, or NULL */
};

static int read_settings(const char *path, struct settings *ret, struct error **err)
{
	struct json_object *machine = NULL;
	const char *reference = NULL;
	AUTO_REFERENCE struct reference *parsed = NULL;
	int r = json_parse_file(path, SETTINGS_MAX, &ret->root, err);
	if (r == 0)
		r = json_get_object(ret->root, "config", &ret->config, err);
	if (r == 0 || r == -ENOENT)
		r = json_get_object(ret->root, "machine", &machine, err);
	if (r < 0 && r != -ENOENT)
		return r;
	ret->annotations = json_object_new_object();
	if (machine) {
		AUTOFREE char *text = json_to_string(machine, 0);
		json_add_string(ret->annotations, PREPARE_ANNOTATION, text);
	}
	if (json_get_string(ret->root, "reference", &reference, NULL) == 0 &&
	    reference_parse(reference, &parsed, NULL) == 0)
		ret->reference = reference_to_string(parsed);
	return 0;
}

static void settings_done(struct settings *s)
{
	json_object_put(s->root);
	json_object_put(s->annotations);
	free(s->reference);
}

static int read_layer(struct library *l, struct composed_layer *ret, struct error **err)
{
	AUTOFREE char *piece = xmalloc(PIECE);
	struct layer_writer w;
	int r = layer_writer_open(l, LAYER_GZIP, &w, err);
	while (r == 0) {
		ssize_t n = fd_read_full(STDIN_FILENO, piece, PIECE);
		r = n < 0 ? error_set_errno(err, (int)n, "cannot read the machine's files") : interrupt_check(err);
		if (r == 0 && n > 0)
			r = layer_writer_write(&w, piece, n, err);
		if (r < 0 || n == 0)
			break;
	}
	if (r == 0 && w.size == 0)
		r = error_set(err, EINVAL, "there is no tar stream on standard input");
	if (r == 0)
		return layer_writer_finish(&w, ret, err);
	layer_writer_abort(&w);
	return r;
}

/* Entries are the user's own and folders are told of: tools that unpack as an ordinary user give
 * each entry its owner. */
static int write_entry(struct archive *a, const char *path, uint64_t size, struct error **err)
{
	struct archive_entry *e = archive_entry_new();
	int is_folder = endswith(path, "/");
	archive_entry_set_pathname(e, path);
	archive_entry_set_filetype(e, is_folder ? AE_IFDIR : AE_IFREG);
	archive_entry_set_perm(e, is_folder ? 0755 : 0644);
	archive_entry_set_uid(e, getuid());
	archive_entry_set_gid(e, getgid());
	archive_entry_set_size(e, (la_int64_t)size);
	archive_entry_set_mtime(e, time(NULL), 0);
	int r = archive_write_header(a, e) == ARCHIVE_OK ?
		    0 :
		    error_set(err, EIO, "cannot write the archive: %s", archive_error_string(a));
	archive_entry_free(e);
	return r;
}

static int write_text(struct archive *a, const char *path, const char *text, struct error **err)
{
	int r = write_entry(a, path, strlen(text), err);
	if (r == 0 && archive_write_data(a, text, strlen(text)) < 0)
		r = error_set(err, EIO, "cannot write the archive: %s", archive_error_string(a));
	return r;
}

static int write_blob(struct archive *a, struct library *l, const char *digest, struct error **err)
{
	AUTOFREE char *path = xasprintf("blobs/sha256/%s", digest_hex(digest)), *piece = xmalloc(PIECE);
	uint64_t size;
	AUTO_FD int fd = library_open_blob(l, digest, &size, err);
	int r = fd < 0 ? fd : write_entry(a, path, size, err);
	ssize_t n;
	while (r == 0 && (n = fd_read_full(fd, piece, PIECE)) != 0) {
		r = n < 0 ? error_set_errno(err, (int)n, "cannot read blob %s", digest) : interrupt_check(err);
		if (r == 0 && archive_write_data(a, piece, n) < 0)
			r = error_set(err, EIO, "cannot write the archive: %s", archive_error_string(a));
	}
	return r;
}

static char *index_text(const struct image *i, uint64_t manifest_size)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array(),
			   *d = compose_descriptor(OCI_TYPE_MANIFEST, i->digest, manifest_size);
	struct json_object *annotations = json_object_new_object();
	json_add_string(annotations, OCI_ANNOTATION_NAME, i->name);
	if (i->name)
		json_add(d, "annotations", annotations);
	else
		json_object_put(annotations);
	json_object_array_add(list, d);
	json_add_u64(o, "schemaVersion", 2);
	json_add(o, "manifests", list);
	return json_to_string(o, 0);
}

static int write_image(struct archive *a, struct library *l, const struct image *i, struct error **err)
{
	uint64_t manifest_size = 0;
	AUTO_FD int fd = library_open_blob(l, i->digest, &manifest_size, err);
	if (fd < 0)
		return fd;
	AUTOFREE char *index = index_text(i, manifest_size);
	int r;
	if ((r = write_text(a, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}", err)) < 0 ||
	    (r = write_text(a, "index.json", index, err)) < 0 || (r = write_entry(a, "blobs/", 0, err)) < 0 ||
	    (r = write_entry(a, "blobs/sha256/", 0, err)) < 0 || (r = write_blob(a, l, i->digest, err)) < 0 ||
	    (r = write_blob(a, l, i->manifest->config.digest, err)) < 0)
		return r;
	for (size_t k = 0; r == 0 && k < i->manifest->layer_count; k++)
		r = write_blob(a, l, i->manifest->layers[k].digest, err);
	return r;
}

static int write_archive(struct library *l, const struct image *i, int fd, struct error **err)
{
	struct archive *a = archive_write_new();
	archive_write_set_format_pax_restricted(a);
	int r = archive_write_open_fd(a, fd) == ARCHIVE_OK ?
		    0 :
		    error_set(err, EIO, "cannot write the archive: %s", archive_error_string(a));
	if (r == 0)
		r = write_image(a, l, i, err);
	if (archive_write_close(a) != ARCHIVE_OK && r == 0)
		r = error_set(err, EIO, "cannot write the archive: %s", archive_error_string(a));
	archive_write_free(a);
	return r;
}

static int pack(struct library *l, const struct settings *s, const char *output, struct error **err)
{
	AUTO_IMAGE struct image *i = NULL;
	AUTO_ATOMIC_FILE struct atomic_file f = ATOMIC_FILE_NONE;
	AUTO_JSON struct json_object *empty = json_object_new_object();
	AUTOFREE char *parent = path_parent(output);
	struct composed_layer layer;
	char digest[DIGEST_TEXT_SIZE + 1];
	AUTO_FD int directory = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return error_set_errno(err, errno, "cannot open %s", parent);
	int r;
	if ((r = read_layer(l, &layer, err)) < 0 ||
	    (r = compose_image(l, &layer, s->config ? s->config : empty, s->annotations, digest, err)) < 0 ||
	    (r = image_load(l, s->reference, digest, &i, err)) < 0 ||
	    (r = atomic_file_open(&f, directory, 0600, err)) < 0)
		return r;
	if (fchmod(f.fd, 0666 & ~command_umask) < 0)
		return error_set_errno(err, errno, "cannot write %s", output);
	r = write_archive(l, i, f.fd, err);
	return r < 0 ? r : atomic_file_commit(&f, path_base(output), err);
}

int command_pack(struct options *o, struct error **err)
{
	const char *config = options_string(o, "config"), *output = options_string(o, "output");
	struct settings s = { 0 };
	struct library *l = NULL;
	if (!config || !output)
		return error_set(err, EINVAL, "pack needs --config FILE and --output FILE");
	int r = read_settings(config, &s, err);
	if (r == 0)
		r = library_open(&l, err);
	if (r == 0)
		r = pack(l, &s, output, err);
	settings_done(&s);
	library_free_and_sweep(l, 0);
	return r;
}

static int unpack(struct library *l, const char *path, const struct prepare_wish *wish, struct progress *p,
    struct json_object **ret, struct error **err)
{
	AUTO_STRV struct strv names = { 0 }, digests = { 0 };
	/* The name inside is the one that the machine was made from: it must not go over to what
	 * became of it. */
	struct load_options options = { .progress = p, .unnamed = 1 };
	int r = load_images(l, path, &options, &names, &digests, err);
	if (r == 0 && names.count != 1)
		r = error_set(err, EINVAL, "%s holds %zu images; a machine is made from one", path, names.count);
	return r == 0 ? prepare_image(l, names.items[0], digests.items[0], wish, p, ret, err) : r;
}

int command_unpack(struct options *o, struct error **err)
{
	AUTO_PROGRESS struct progress *p = command_progress(o);
	AUTO_JSON struct json_object *answer = NULL;
	const struct prepare_wish wish = {
		.form = prepare_form(o),
		.with_machine = 1,
		.taken = options_list(o, "taken"),
	};
	struct library *l = NULL;
	int r = library_open(&l, err);
	if (r == 0)
		r = unpack(l, options_words(o)->items[0], &wish, p, &answer, err);
	if (r == 0) {
		progress_free(TAKE_PTR(p));
		r = command_print_json(answer, 0, err);
	}
	library_free_and_sweep(l, 0);
	return r;
}
