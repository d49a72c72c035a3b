/* SPDX-License-Identifier: Apache-2.0
 * See build.h. An option is honoured, has no effect because holm does the same without it, or is an
 * error. */
#include "image/commands/build.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "image/registry/push.h"
#include "oci/reference.h"

/* ---- options that are errors ---- */

static int is_default(const char *value)
{
	return streq(value, "default");
}

static int is_false(const char *value)
{
	int on = 1;
	return parse_bool(value, &on) == 0 && !on;
}

static int is_harmless_right(const char *value)
{
	return streq(value, "network.host");
}

static int is_unwanted(const char *value)
{
	AUTO_STRV struct strv parts = { 0 };
	strv_split(&parts, value, ",");
	return strv_contains(&parts, "disabled=true");
}

static int is_none(const char *value)
{
	return 0;
}

static const struct {
	const char *option;
	int (*is_fine)(const char *value);
	const char *problem;
} refused[] = {
	{ "builder", is_default, "there is one builder, default" },
	{ "isolation", is_default, "there is default alone; a machine's isolation is holm machine's" },
	{ "provenance", is_false, "holm makes no attestations" },
	{ "sbom", is_false, "holm makes no attestations" },
	{ "attest", is_unwanted, "holm makes no attestations" },
	{ "allow", is_harmless_right, "there is no such right for the commands of RUN" },
	{ "security-opt", is_none, "the commands of RUN have the confinement of each container" },
};

int build_check_docker(const struct options *o, struct error **err)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		const struct strv *values = options_list(o, refused[i].option);
		for (size_t k = 0; k < values->count; k++)
			if (!refused[i].is_fine(values->items[k]))
				return error_set(err, EOPNOTSUPP, "--%s=%.60s: %s; leave it out", refused[i].option,
				    values->items[k], refused[i].problem);
	}
	return options_switch(o, "squash", 0) ?
		   error_set(err, EOPNOTSUPP, "--squash: layers stay as they are; use stages to leave files behind") :
		   0;
}

/* ---- limits ---- */

enum limit_kind { BYTES, NUMBER, TEXT };

static const struct {
	const char *option, *member;
	enum limit_kind kind;
} limits[] = {
	{ "memory", "Memory", BYTES },
	{ "memory-swap", "MemorySwap", BYTES },
	{ "cpu-shares", "CpuShares", NUMBER },
	{ "cpu-period", "CpuPeriod", NUMBER },
	{ "cpu-quota", "CpuQuota", NUMBER },
	{ "cpuset-cpus", "CpusetCpus", TEXT },
	{ "cpuset-mems", "CpusetMems", TEXT },
	{ "cgroup-parent", "CgroupParent", TEXT },
};

static int add_number(struct json_object *o, size_t i, const char *text)
{
	uint64_t number = 0;
	int is_any = streq(text, "-1");
	if (!is_any && (limits[i].kind == BYTES ? parse_size(text, 1, &number) : parse_u64(text, &number)) < 0)
		return -EINVAL;
	if (number > INT64_MAX)
		return -EINVAL;
	json_add_i64(o, limits[i].member, is_any ? -1 : (int64_t)number);
	return 0;
}

int build_read_limits(const struct options *o, struct json_object **ret, struct error **err)
{
	AUTO_JSON struct json_object *all = json_object_new_object();
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		const char *text = options_string(o, limits[i].option);
		if (text && limits[i].kind == TEXT)
			json_add_string(all, limits[i].member, text);
		else if (text && add_number(all, i, text) < 0)
			return error_set(err, EINVAL, "--%s=%.40s: write a %s", limits[i].option, text,
			    limits[i].kind == BYTES ? "size such as 512M" : "number");
	}
	if (json_object_object_length(all))
		*ret = TAKE_PTR(all);
	return 0;
}

/* ---- the push ---- */

int build_check_push(const struct strv *tags, const struct build_outputs *outputs, struct error **err)
{
	if (!build_outputs_has_image(outputs))
		return error_set(err, EINVAL, "--push: --output asks for no image; add --output type=image");
	for (size_t i = 0; i < tags->count; i++) {
		AUTO_REFERENCE struct reference *to = NULL;
		int r = reference_parse(tags->items[i], &to, err);
		if (r < 0)
			return r;
		if (reference_is_local(to))
			return error_set(err, EINVAL,
			    "--push: \"%s\" has no registry in its name; write --tag REGISTRY/NAME", tags->items[i]);
	}
	return tags->count ? 0 : error_set(err, EINVAL, "--push: the image has no name; write --tag REGISTRY/NAME");
}

static int push(struct library *l, const char *tag, const char *digest, const struct push_options *p,
    struct error **err)
{
	AUTO_IMAGE struct image *image = NULL;
	AUTO_REFERENCE struct reference *to = NULL;
	int r = image_load_whole(l, tag, digest, &image, err);
	if (r == 0)
		r = reference_parse(tag, &to, err);
	if (r < 0)
		return r;
	progress_note(p->progress, "pushing %s", tag);
	return image_push(l, image, to, p, err);
}

int build_push(struct library *l, const struct strv *tags, const char *digest, enum progress_mode mode,
    struct error **err)
{
	AUTO_PROGRESS struct progress *progress = progress_new(mode);
	const struct push_options p = { .progress = progress };
	int r = 0;
	for (size_t i = 0; r == 0 && i < tags->count; i++)
		r = push(l, tags->items[i], digest, &p, err);
	return r;
}
