/* SPDX-License-Identifier: Apache-2.0
 * See output.h. The files of an image are its layers copied into one, as COPY --from=STAGE / /
 * makes it; the cache has that layer, too. They become the caller's, without set-id bits and
 * devices. */
#include "image/builder/output.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/reserve.h"
#include "image/archive/save.h"
#include "image/builder/cache.h"
#include "image/builder/emit.h"
#include "image/builder/step.h"
#include "oci/tar_unpack.h"
#include "oci/tar_write.h"

static const char *const types[] = { [OUTPUT_IMAGE] = "image",
	[OUTPUT_LOCAL] = "local",
	[OUTPUT_TAR] = "tar",
	[OUTPUT_OCI] = "oci",
	[OUTPUT_DOCKER] = "docker" };

void build_outputs_done(struct build_outputs *o)
{
	for (size_t i = 0; i < o->count; i++) {
		free(o->items[i].path);
		free(o->items[i].name);
	}
	free(o->items);
	*o = (struct build_outputs){ 0 };
}

/* ---- the text ---- */

static int set_type(struct build_output *o, const char *value, struct error **err)
{
	if (streq(value, "registry")) {
		o->push = 1;
		value = "image";
	}
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (streq(types[i], value)) {
			o->type = (enum output_type)i;
			return 0;
		}
	return error_set(err, EINVAL, "--output type=%.40s: there are image, registry, local, tar, oci and docker",
	    value);
}

static int set_archive(struct build_output *o, const char *value, struct error **err)
{
	int is_archive;
	if (parse_bool(value, &is_archive) < 0)
		return error_set(err, EINVAL, "--output tar=%.40s: write true or false", value);
	o->is_directory = !is_archive;
	return 0;
}

static int set_push(struct build_output *o, const char *value, struct error **err)
{
	return parse_bool(value, &o->push) == 0 ?
		   0 :
		   error_set(err, EINVAL, "--output push=%.40s: write true or false", value);
}

/* A wish that holm follows in any case. */
static int accept_true(struct build_output *o, const char *value, struct error **err)
{
	int on = 0;
	return parse_bool(value, &on) == 0 && on ?
		   0 :
		   error_set(err, EOPNOTSUPP, "--output: \"%.40s\" is not supported; leave it out", value);
}

static int accept_gzip(struct build_output *o, const char *value, struct error **err)
{
	return streq(value, "gzip") ?
		   0 :
		   error_set(err, EOPNOTSUPP, "--output compression=%.40s: layers of a build are gzip", value);
}

static int set_path(struct build_output *o, const char *value, struct error **err)
{
	free(o->path);
	o->path = xstrdup(value);
	return *value ? 0 : error_set(err, EINVAL, "--output dest= has no path");
}

static int set_name(struct build_output *o, const char *value, struct error **err)
{
	free(o->name);
	o->name = xstrdup(value);
	return *value ? 0 : error_set(err, EINVAL, "--output name= has no name");
}

static const struct {
	const char *key;
	int (*set)(struct build_output *o, const char *value, struct error **err);
} keys[] = { { "type", set_type }, { "dest", set_path }, { "name", set_name }, { "tar", set_archive },
	{ "push", set_push }, { "oci-mediatypes", accept_true }, { "store", accept_true }, { "unpack", accept_true },
	{ "rewrite-timestamp", accept_true }, { "compression", accept_gzip } };

static int read_part(struct build_output *o, const char *part, struct error **err)
{
	const char *equals = strchr(part, '=');
	AUTOFREE char *key = xstrndup(part, strcspn(part, "="));
	for (size_t i = 0; equals && i < ARRAY_SIZE(keys); i++)
		if (streq(keys[i].key, key))
			return keys[i].set(o, equals + 1, err);
	return error_set(err, EINVAL, "--output has no \"%.60s\"; write type=TYPE,dest=PATH", part);
}

static int check(struct build_output *o, struct error **err)
{
	/* Docker's own library is this one. */
	if (o->type == OUTPUT_DOCKER && !o->path)
		o->type = OUTPUT_IMAGE;
	if (o->push && o->type != OUTPUT_IMAGE)
		return error_set(err, EINVAL, "--output push=true is for type=image");
	if (o->type == OUTPUT_IMAGE)
		return o->path ? error_set(err, EINVAL, "--output type=image has no dest; use type=oci or docker") : 0;
	if (!o->path && o->type != OUTPUT_LOCAL && !isatty(STDOUT_FILENO))
		o->path = xstrdup("-");
	if (!o->path)
		return error_set(err, EINVAL, "--output type=%s needs dest=PATH", types[o->type]);
	if (streq(o->path, "-") && (o->type == OUTPUT_LOCAL || o->is_directory))
		return error_set(err, EINVAL, "--output type=%s needs a directory for dest, not -", types[o->type]);
	if (streq(o->path, "-") && isatty(STDOUT_FILENO))
		return error_set(err, EINVAL, "--output: a terminal is no place for an archive; name a file");
	return 0;
}

static int read_output(const char *text, struct build_output *o, struct error **err)
{
	AUTO_STRV struct strv parts = { 0 };
	int r = 0;
	if (!strchr(text, '=')) {
		o->type = streq(text, "-") ? OUTPUT_TAR : OUTPUT_LOCAL;
		r = set_path(o, text, err);
		return r < 0 ? r : check(o, err);
	}
	strv_split(&parts, text, ",");
	for (size_t i = 0; r == 0 && i < parts.count; i++)
		r = read_part(o, parts.items[i], err);
	return r < 0 ? r : check(o, err);
}

int build_outputs_parse(const struct strv *texts, struct build_outputs *ret, struct error **err)
{
	AUTO_BUILD_OUTPUTS struct build_outputs all = { 0 };
	int outs = 0;
	for (size_t i = 0; i < texts->count; i++) {
		all.items = xrealloc(all.items, all.count + 1, sizeof *all.items);
		all.items[all.count] = (struct build_output){ 0 };
		struct build_output *o = &all.items[all.count++];
		int r = read_output(texts->items[i], o, err);
		if (r < 0)
			return r;
		outs += streq(o->path, "-");
	}
	if (outs > 1)
		return error_set(err, EINVAL, "--output: standard output takes one archive");
	*ret = all;
	all = (struct build_outputs){ 0 };
	return 0;
}

int build_outputs_has_image(const struct build_outputs *o)
{
	int has = !o || !o->count;
	for (size_t i = 0; o && i < o->count; i++)
		has |= o->items[i].type == OUTPUT_IMAGE;
	return has;
}

int build_outputs_uses_stdout(const struct build_outputs *o)
{
	for (size_t i = 0; o && i < o->count; i++)
		if (streq(o->items[i].path, "-"))
			return 1;
	return 0;
}

/* ---- files ---- */

/* One layer with all files of the image. Its media type is owned. */
static int flatten(struct builder *b, struct build_layer *ret, struct error **err)
{
	const struct build_stage *stage = &b->stages->stages[b->stages->target];
	AUTO_BUILD_STATE struct build_state *nothing = build_state_new(&b->platform);
	AUTOFREE char *from = xasprintf("%zu", b->stages->target);
	struct build_step s = { .builder = b,
		.stage = b->stages->count,
		.state = nothing,
		.instruction = &b->file->instructions[stage->from] };
	char key[DIGEST_TEXT_SIZE + 1];
	int r = build_bind(&s, from, NULL, "/", key, NULL, err);
	if (r < 0 || build_cache_find(b->library, key, ret))
		return r;
	r = build_bind(&s, from, NULL, "/", key, ret, err);
	if (r == 0)
		build_cache_store(b->library, key, ret);
	return r;
}

/* Bytes of the layer on their way to a file system, which keeps its reserve. */
struct writing {
	struct emit_archive *archive;
	struct reserve reserve;
	int to;
};

static ssize_t read_archive(void *data, const void **ret, struct error **err)
{
	struct writing *w = data;
	ssize_t n = emit_archive_read(w->archive, ret, err);
	int r = n > 0 ? reserve_take(&w->reserve, w->to, (uint64_t)n, err) : 0;
	return r < 0 ? r : n;
}

static int unpack(const struct build_output *o, struct emit_archive *a, struct error **err)
{
	int r = path_mkdir_all(o->path, 0755, err);
	AUTO_FD int directory = r < 0 ? r : open(o->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return r < 0 ? r : error_set_errno(err, errno, "--output \"%s\"", o->path);
	const struct tar_unpack to = { .directory = directory, .uid = getuid(), .gid = getgid(), .foreign = 1 };
	struct writing w = { .archive = a, .to = directory };
	r = a ? tar_unpack_run(&to, read_archive, &w, NULL, err) : 0;
	return r < 0 ? error_prefix(err, r, "--output \"%s\"", o->path) : 0;
}

static int write_fd(void *fd, const void *bytes, size_t size)
{
	return fd_write_full(*(int *)fd, bytes, size);
}

static int copy_archive(struct emit_archive *a, int to, struct error **err)
{
	struct writing w = { .archive = a, .to = to };
	const void *bytes;
	ssize_t n = 0;
	int r = a ? 0 : tar_write_end(write_fd, &to);
	while (r == 0 && a && (n = read_archive(&w, &bytes, err)) > 0)
		r = fd_write_full(to, bytes, (size_t)n);
	return r < 0 ? error_set_errno(err, r, "writing the archive") : (int)n;
}

/* A descriptor of the file, or of standard output. */
static int open_output(const struct build_output *o, struct error **err)
{
	int fd = streq(o->path, "-") ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0) :
				       open(o->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	return fd < 0 ? error_set_errno(err, errno, "--output \"%s\"", o->path) : fd;
}

static int write_files(struct builder *b, const struct build_output *o, struct error **err)
{
	struct build_layer layer = { 0 };
	int r = flatten(b, &layer, err);
	free(layer.media_type);
	if (r < 0)
		return r;
	AUTO_FD int blob = *layer.digest ? library_open_blob(b->library, layer.digest, NULL, err) : -1;
	if (*layer.digest && blob < 0)
		return blob;
	struct emit_archive *a = blob < 0 ? NULL : emit_archive_open(blob);
	if (blob >= 0 && !a)
		return error_set(err, EBADMSG, "the layer %s cannot be read", layer.digest);
	AUTO_FD int to = o->type == OUTPUT_TAR ? open_output(o, err) : -1;
	r = o->type == OUTPUT_LOCAL ? unpack(o, a, err) : to < 0 ? to : copy_archive(a, to, err);
	emit_archive_close(a);
	return r;
}

/* ---- images as archives ---- */

static int list_image(struct builder *b, const char *digest, struct save_list *list, struct error **err)
{
	const struct strv *tags = b->options->tags;
	int r = 0;
	for (size_t i = 0; r == 0 && i < MAX(tags->count, (size_t)1); i++) {
		struct image *image = NULL;
		r = image_load_whole(b->library, NULL, digest, &image, err);
		if (r == 0)
			r = save_list_add(list, b->library, image, i < tags->count ? tags->items[i] : NULL, err);
	}
	return r;
}

static int write_directory(struct builder *b, const struct build_output *o, const struct save_list *list,
    struct error **err)
{
	int r = path_mkdir_all(o->path, 0755, err);
	AUTO_FD int directory = r < 0 ? r : open(o->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return r < 0 ? r : error_set_errno(err, errno, "--output \"%s\"", o->path);
	return save_directory(b->library, list, directory, NULL, err);
}

static int write_image(struct builder *b, const struct build_output *o, const char *digest, struct error **err)
{
	AUTO_SAVE_LIST struct save_list list = { 0 };
	int r = list_image(b, digest, &list, err);
	if (r < 0 || o->is_directory)
		return r < 0 ? r : write_directory(b, o, &list, err);
	AUTO_FD int to = open_output(o, err);
	return to < 0 ? to : save_archive(b->library, &list, o->type == OUTPUT_DOCKER, to, NULL, err);
}

int build_outputs_write(struct builder *b, const char *digest, struct error **err)
{
	const struct build_outputs *all = b->options->outputs;
	int r = 0;
	for (size_t i = 0; r == 0 && all && i < all->count; i++) {
		const struct build_output *o = &all->items[i];
		if (o->type == OUTPUT_LOCAL || o->type == OUTPUT_TAR)
			r = write_files(b, o, err);
		else if (o->type != OUTPUT_IMAGE)
			r = write_image(b, o, digest, err);
	}
	return r;
}

/* ---- metadata ---- */

int build_metadata_write(struct builder *b, const char *digest, struct error **err)
{
	AUTO_IMAGE struct image *image = NULL;
	AUTO_JSON struct json_object *o = json_object_new_object();
	AUTOFREE char *manifest = NULL, *names = strv_join(b->options->tags, ",");
	struct json_object *descriptor = json_object_new_object();
	size_t size = 0;
	json_add(o, "containerimage.descriptor", descriptor);
	int r = image_load_whole(b->library, NULL, digest, &image, err);
	if (r == 0)
		r = library_read_blob(b->library, digest, &manifest, &size, err);
	if (r < 0)
		return r;
	json_add_string(descriptor, "mediaType", "application/vnd.oci.image.manifest.v1+json");
	json_add_string(descriptor, "digest", digest);
	json_add_u64(descriptor, "size", size);
	json_add_string(o, "containerimage.config.digest", image->manifest->config.digest);
	json_add_string(o, "containerimage.digest", digest);
	if (b->options->tags->count)
		json_add_string(o, "image.name", names);
	AUTOFREE char *text = json_to_string(o, 1);
	return atomic_file_write(b->options->metadata, 0644, text, strlen(text), err);
}
