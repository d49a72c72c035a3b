/* SPDX-License-Identifier: Apache-2.0
 * See builder.h. */
#include "image/builder/builder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/fd.h"
#include "base/path.h"
#include "image/build/expand.h"
#include "image/builder/cache_share.h"
#include "image/builder/check.h"
#include "image/builder/named.h"
#include "image/builder/parallel.h"
#include "image/builder/prune.h"
#include "image/builder/remote.h"
#include "image/registry/pull.h"
#include "oci/digest.h"

static void builder_done(struct builder *b)
{
	for (size_t i = 0; b->stages && b->states && i < b->stages->count; i++)
		build_state_free(b->states[i]);
	free(b->states);
	build_parallel_done(b);
	build_cache_shared_done(b);
	stages_free(b->stages);
	dockerfile_free(b->file);
	free(b->file_name);
	build_context_free(b->context);
	if (b->upload.folder)
		build_upload_done(&b->upload);
	build_engine_free(b->engine);
	report_free(b->report);
	progress_free(b->progress);
	oci_platform_done(&b->platform);
	strv_done(&b->platform_args);
	strv_done(&b->used_args);
	for (size_t i = 0; i < b->image_count; i++) {
		free(b->images[i].name);
		build_state_free(b->images[i].state);
	}
	free(b->images);
	free(b->token);
	build_named_done(b);
	fd_close(b->token_lock);
}

/* ---- the Dockerfile ---- */

/* Opens a file that the user names, or one of the context. No symlink leads out of a context that
 * came as an archive. A FIFO of the context is as an empty file: nobody may write to it. */
static int open_text(const struct builder *b, const char *path)
{
	int is_given = b->options->file && !b->upload.folder && streq(path, b->options->file);
	int flags = O_RDONLY | (is_given ? 0 : O_NONBLOCK);
	if (streq(path, "-"))
		return dup(STDIN_FILENO);
	if (!b->upload.folder) {
		int fd = open(path, flags | O_CLOEXEC);
		return fd < 0 ? -errno : fd;
	}
	AUTO_FD int root = open(b->upload.folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	const char *below = path_is_below(path, b->upload.folder) ? path + strlen(b->upload.folder) : path;
	return root < 0 ? -errno : path_open_in_root(root, below, flags, 0);
}

static int has_text(const struct builder *b, const char *path)
{
	AUTO_FD int fd = b->upload.folder ? open_text(b, path) : -1;
	return b->upload.folder ? fd >= 0 : path_exists(path);
}

/* The path of the file: --file, else the first of these names in the context. Owned; NULL: none. */
static char *find_file(const struct builder *b)
{
	static const char *const names[] = { "Containerfile", "Dockerfile", "dockerfile" };
	if (b->options->file)
		return b->upload.folder ? path_join(b->upload.folder, b->options->file) : xstrdup(b->options->file);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		AUTOFREE char *path = path_join(b->context_path, names[i]);
		if (has_text(b, path))
			return TAKE_PTR(path);
	}
	return NULL;
}

static int read_text(const struct builder *b, const char *path, size_t max, char **ret, size_t *ret_size,
    struct error **err)
{
	AUTO_FD int fd = open_text(b, path);
	int r = fd < 0 ? fd : fd_read_all(fd, max + 1, ret, ret_size);
	return r < 0 ? error_set_errno(err, r, "\"%s\"", path) : 0;
}

static int read_file(const struct builder *b, const char *path, char **ret, size_t *ret_size, struct error **err)
{
	if (!b->upload.file)
		return read_text(b, path, DOCKERFILE_MAX, ret, ret_size, err);
	*ret = xstrdup(b->upload.file);
	*ret_size = strlen(*ret);
	return 0;
}

static int parse_file(struct builder *b, struct error **err)
{
	AUTOFREE char *path = b->upload.file ? xstrdup("-") : find_file(b), *text = NULL;
	size_t size = 0;
	if (!path)
		return error_set(err, ENOENT,
		    "context \"%s\" has no Containerfile and no Dockerfile; name one with --file", b->options->context);
	int r = read_file(b, path, &text, &size, err);
	if (r < 0)
		return r;
	b->file_name = xstrdup(streq(path, "-") ? "Dockerfile" : path_base(path));
	r = dockerfile_parse(text, size, b->file_name, &b->file, err);
	const char *check = strv_getenv(b->options->args, "BUILDKIT_DOCKERFILE_CHECK");
	if (b->file && check) {
		free(b->file->check);
		b->file->check = xstrdup(check);
	}
	if (r < 0 && b->file && b->file->error_line) {
		AUTOFREE char *excerpt = dockerfile_excerpt(b->file, b->file->error_line);
		report_failure(report_lane(b->report, 0), excerpt);
	}
	return r;
}

/* ---- the context ---- */

/* NAME.dockerignore beside the Dockerfile, else .dockerignore of the context. */
int build_read_ignore(const struct builder *b, struct ignore **ret, struct error **err)
{
	AUTOFREE char *file = find_file(b), *own = file ? xasprintf("%s.dockerignore", file) : NULL;
	AUTOFREE char *podmans = path_join(b->context_path, ".containerignore"),
		      *common = path_join(b->context_path, ".dockerignore");
	const char *const paths[] = { own, podmans, common };
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		AUTOFREE char *text = NULL;
		size_t size;
		if (!paths[i] || !has_text(b, paths[i]))
			continue;
		int r = read_text(b, paths[i], IGNORE_MAX, &text, &size, err);
		return r < 0 ? r : ignore_parse(text, size, path_base(paths[i]), ret, err);
	}
	return 0;
}

static char *notes_folder(const struct builder *b)
{
	return path_join(b->library->path, "build");
}

int build_find_context(struct builder *b, struct build_context **ret, struct error **err)
{
	struct ignore *ignore = NULL;
	AUTOFREE char *folder = notes_folder(b);
	int r = b->context ? 0 : build_read_ignore(b, &ignore, err);
	if (r == 0 && !b->context)
		r = build_context_open(b->context_path, ignore, &b->context, err);
	if (r < 0)
		return r;
	if (!b->context_loaded && !b->upload.folder)
		build_context_load(b->context, folder);
	b->context_loaded = 1;
	*ret = b->context;
	return 0;
}

/* ---- images ---- */

/* Finds an image of the library, or pulls it. */
static int obtain(struct builder *b, const char *name, const struct oci_platform *platform, char **ret_digest,
    struct error **err)
{
	AUTOFREE char *found = NULL;
	const struct pull_options o = { .platform = platform, .progress = b->progress };
	int r = image_find(b->library, name, platform, &found, ret_digest, NULL);
	int is_local = r == 0 && found && startswith(found, "localhost/");
	if (r == 0 && (!b->options->pull || is_local || !found))
		return 0;
	free(TAKE_PTR(*ret_digest));
	free(TAKE_PTR(found));
	report_pause(b->report);
	return image_pull(b->library, name, &o, &found, ret_digest, err);
}

int build_load_plain_image(struct builder *b, const char *name, const char *platform, struct build_state **ret,
    struct error **err)
{
	AUTO_OCI_PLATFORM struct oci_platform wish = { 0 };
	AUTOFREE char *digest = NULL;
	int r = platform ? oci_platform_parse(platform, &wish, err) : 0;
	if (r == 0)
		r = obtain(b, name, platform ? &wish : &b->platform, &digest, err);
	return r < 0 ? r : build_state_load(b->library, digest, ret, err);
}

int build_load_image(struct builder *b, const char *name, const char *platform, struct build_state **ret,
    struct error **err)
{
	return build_named_is_one(b, name) ? build_named_image(b, name, platform, ret, err) :
					     build_load_plain_image(b, name, platform, ret, err);
}

static int find_image(struct builder *b, const char *name, struct build_state **ret, struct error **err)
{
	for (size_t i = 0; i < b->image_count; i++)
		if (streq(b->images[i].name, name)) {
			*ret = b->images[i].state;
			return 0;
		}
	struct build_state *state = NULL;
	int r = build_load_image(b, name, NULL, &state, err);
	if (r < 0)
		return r;
	b->images = xrealloc(b->images, b->image_count + 1, sizeof *b->images);
	b->images[b->image_count].name = xstrdup(name);
	b->images[b->image_count++].state = state;
	*ret = state;
	return 0;
}

int build_find_source(struct build_step *s, const char *from, struct build_state **ret, struct error **err)
{
	int stage = build_named_is_one(s->builder, from) ? STAGE_NONE : stages_find(s->builder->stages, from, s->stage);
	if (stage == STAGE_NONE)
		return find_image(s->builder, from, ret, err);
	*ret = s->builder->states[stage];
	return build_stage_has_ended(s->builder, (size_t)stage) ?
		   0 :
		   error_set(err, EINVAL, "--from=%.60s: a stage has to be named as it is", from);
}

/* ---- the image ---- */

static struct json_object *object_of_pairs(const struct strv *pairs)
{
	struct json_object *o = json_object_new_object();
	for (size_t i = 0; i < pairs->count; i++) {
		AUTOFREE char *name = xstrndup(pairs->items[i], strcspn(pairs->items[i], "="));
		const char *value = strchr(pairs->items[i], '=');
		json_object_object_del(o, name);
		json_add_string(o, name, value ? value + 1 : "");
	}
	return o;
}

static void add_labels(struct build_state *s, const struct strv *pairs)
{
	struct json_object *labels = NULL;
	AUTO_JSON struct json_object *wanted = object_of_pairs(pairs);
	if (!pairs->count)
		return;
	if (json_get_object(s->config, "Labels", &labels, NULL) < 0) {
		json_object_object_del(s->config, "Labels");
		labels = json_object_new_object();
		json_add(s->config, "Labels", labels);
	}
	json_object_object_foreach(wanted, name, value)
	{
		json_object_object_del(labels, name);
		json_add(labels, name, json_object_get(value));
	}
}

static int write_image(struct builder *b, char *ret_digest, struct error **err)
{
	const struct build_options *o = b->options;
	struct build_state *s = b->states[b->stages->target];
	AUTO_JSON struct json_object *notes =
	    o->annotations && o->annotations->count ? object_of_pairs(o->annotations) : NULL;
	if (o->labels)
		add_labels(s, o->labels);
	s->cache = build_cache_inline(b);
	return build_state_write(b->library, s, notes, o->epoch, ret_digest, err);
}

static void warn_unused(struct builder *b)
{
	const struct strv *args = b->options->args;
	for (size_t i = 0; args && i < args->count; i++) {
		AUTOFREE char *name = xstrndup(args->items[i], strcspn(args->items[i], "="));
		if (!startswith(name, "BUILDKIT_") && !streq(name, "SOURCE_DATE_EPOCH") && !build_is_proxy(name) &&
		    !strv_getenv(&b->platform_args, name) && !strv_contains(&b->used_args, name) &&
		    !pairs_get(&b->stages->args, name))
			report_note(b->report, "warning: no ARG asks for --build-arg %s", name);
	}
}

static int name_image(struct builder *b, const char *digest, struct error **err)
{
	const struct strv *tags = b->options->tags;
	int has_image = build_outputs_has_image(b->options->outputs);
	int r = tags->count || !has_image ? 0 : image_register_nameless(b->library, digest, err);
	for (size_t i = 0; r == 0 && has_image && i < tags->count; i++)
		r = image_register(b->library, tags->items[i], digest, NULL, err);
	return r;
}

static int write_files(struct builder *b, const char *digest, struct error **err)
{
	const struct build_options *o = b->options;
	int r = build_outputs_write(b, digest, err);
	if (r == 0 && o->iidfile)
		r = atomic_file_write(o->iidfile, 0644, digest, strlen(digest), err);
	if (r == 0 && o->metadata)
		r = build_metadata_write(b, digest, err);
	return r;
}

/* ---- the whole ---- */

/* Gets a context that is not a directory of the host. */
static int find_context(struct builder *b, struct error **err)
{
	const char *text = b->options->context;
	const char *keep = strv_getenv(b->options->args, "BUILDKIT_CONTEXT_KEEP_GIT_DIR");
	if (streq(text, "-"))
		return build_upload_read(b->library, STDIN_FILENO, &b->upload, err);
	if (!build_remote_is_one(text))
		return 0;
	return build_remote_read(b->library, text, keep && !streq(keep, "0") && !streq(keep, "false"), &b->upload, err);
}

static enum progress_mode pull_mode(enum report_style style)
{
	return style == REPORT_SCREEN ? PROGRESS_AUTO : style == REPORT_PLAIN ? PROGRESS_PLAIN : PROGRESS_NONE;
}

/* The variables that are there without an ARG before the first FROM; --build-arg changes them. */
static void set_platform_args(struct builder *b, const struct oci_platform *host)
{
	const struct build_options *o = b->options;
	const struct {
		const char *prefix;
		const struct oci_platform *platform;
	} both[] = { { "TARGET", &b->platform }, { "BUILD", host } };
	for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
		const struct oci_platform *p = both[i].platform;
		AUTOFREE char *whole = oci_platform_to_string(p);
		strv_addf(&b->platform_args, "%sPLATFORM=%s", both[i].prefix, whole);
		strv_addf(&b->platform_args, "%sOS=linux", both[i].prefix);
		strv_addf(&b->platform_args, "%sOSVERSION=", both[i].prefix);
		strv_addf(&b->platform_args, "%sARCH=%s", both[i].prefix, p->architecture);
		strv_addf(&b->platform_args, "%sVARIANT=%s", both[i].prefix, p->variant ? p->variant : "");
	}
	strv_addf(&b->platform_args, "TARGETSTAGE=%s", o->target && *o->target ? o->target : "default");
	for (size_t i = 0; o->args && i < o->args->count; i++) {
		AUTOFREE char *name = xstrndup(o->args->items[i], strcspn(o->args->items[i], "="));
		if (strv_getenv(&b->platform_args, name))
			strv_setenv(&b->platform_args, name, strchr(o->args->items[i], '=') + 1);
	}
}

static int begin(struct builder *b, struct error **err)
{
	const struct build_options *o = b->options;
	AUTO_OCI_PLATFORM struct oci_platform host = { 0 };
	oci_platform_host(&host);
	const struct oci_platform *target = o->platform ? o->platform : &host;
	b->platform =
	    (struct oci_platform){ xstrdup("linux"), xstrdup(target->architecture), xstrdup(target->variant) };
	set_platform_args(b, &host);
	b->context_path = o->context;
	int r = build_cache_check(o, err);
	if (r == 0)
		r = find_context(b, err);
	if (r < 0)
		return r;
	if (b->upload.folder)
		b->context_path = b->upload.folder;
	b->engine = build_engine_new(o->machine, o->socket);
	b->progress = progress_new(pull_mode(o->style));
	return parse_file(b, err);
}

/* The stages of --no-cache-filter are there. */
static int check_again(const struct builder *b, struct error **err)
{
	const struct strv *names = b->options->again;
	for (size_t i = 0; names && i < names->count; i++)
		if (stages_find(b->stages, names->items[i], b->stages->count) == STAGE_NONE)
			return error_set(err, ENOENT, "--no-cache-filter: %s has no stage \"%.60s\"", b->file_name,
			    names->items[i]);
	return 0;
}

/* Without it the cache would grow for ever. A failure makes no image worse. */
static void limit_cache(struct builder *b)
{
	AUTO_ERROR struct error *err = NULL;
	int r = b->made ? build_prune_records(b->library, &err) : 0;
	*b->options->pruned = r > 0;
	if (r < 0)
		report_note(b->report, "warning: the cache of builds was not pruned: %s", error_text(err, r));
}

static int build(struct builder *b, char *ret_digest, struct error **err)
{
	static const struct strv none = { 0 };
	const struct build_options *o = b->options;
	AUTOFREE char *folder = notes_folder(b);
	int r = begin(b, err);
	if (r == 0 && o->call == BUILD_CALL_CHECK)
		return build_check_show(b, err);
	if (r == 0 && o->call == BUILD_CALL_BUILD)
		r = build_check_begin(b, err);
	if (r == 0)
		r = stages_resolve(b->file, b->file_name, o->args ? o->args : &none, &b->platform_args, o->target,
		    &b->stages, err);
	if (r == 0 && o->call != BUILD_CALL_BUILD) {
		build_call_show(b);
		return 0;
	}
	if (r == 0)
		r = check_again(b, err);
	if (r == 0)
		r = build_cache_import(b, err);
	if (r == 0)
		r = build_stages_run(b, err);
	if (r == 0)
		r = write_image(b, ret_digest, err);
	if (r == 0)
		r = build_cache_export(b, err);
	if (r == 0)
		r = write_files(b, ret_digest, err);
	if (r == 0)
		r = name_image(b, ret_digest, err);
	if (r < 0)
		return r;
	if (b->context && !b->upload.folder)
		build_context_save(b->context, folder);
	warn_unused(b);
	build_check_end(b);
	limit_cache(b);
	return 0;
}

int build_image(struct library *l, const struct build_options *o, char *ret_digest, struct error **err)
{
	CLEANUP(builder_done)
	struct builder b = { .options = o,
		.library = l,
		.report = report_new(o->style, o->quiet),
		.worker_fd = -1,
		.expand_left = EXPAND_ALL_MAX,
		.token_lock = -1 };
	int r = build(&b, ret_digest, err);
	/* A digest has no place among files that were asked for. */
	if (r == 0 && o->call == BUILD_CALL_BUILD && build_outputs_has_image(o->outputs) &&
	    !build_outputs_uses_stdout(o->outputs))
		report_image(b.report, ret_digest, o->tags);
	return r;
}
