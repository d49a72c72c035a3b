/* SPDX-License-Identifier: Apache-2.0
 * See prune.h. */
#include "image/builder/prune.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/stamp.h"

enum { CONFIG_MAX = 1 << 20, PART = 10, DAY_S = 24 * 3600, RECORDS_MAX = 10000 };
#define LEAST ((uint64_t)2 << 30)
#define NS_PER_S 1000000000LL

void build_pruned_done(struct build_pruned *p)
{
	strv_done(&p->ids);
}

/* ---- filters ---- */

static int fits_id(const struct usage_item *i, const char *value)
{
	return startswith(i->id, value) != NULL;
}

static int fits_type(const struct usage_item *i, const char *value)
{
	return streq(usage_type(i), value);
}

static int fits_unused(const struct usage_item *i, const char *value)
{
	int64_t ns;
	if (moment_parse(value, clock_realtime_ns(), &ns) < 0)
		return -EINVAL;
	return i->used_ns < ns;
}

static int fits_flag(int flag, const char *value)
{
	int wanted = 1;
	return *value && parse_bool(value, &wanted) < 0 ? -EINVAL : wanted == flag;
}

static int fits_shared(const struct usage_item *i, const char *value)
{
	return fits_flag(i->is_shared, value);
}

static int fits_private(const struct usage_item *i, const char *value)
{
	return fits_flag(!i->is_shared, value);
}

static int fits_busy(const struct usage_item *i, const char *value)
{
	return fits_flag(i->is_busy, value);
}

static const struct {
	const char *key;
	int (*fits)(const struct usage_item *i, const char *value); /* 1, 0, -EINVAL */
} filters[] = { { "id", fits_id }, { "type", fits_type }, { "until", fits_unused }, { "unused-for", fits_unused },
	{ "shared", fits_shared }, { "private", fits_private }, { "inuse", fits_busy } };

static int fits_one(const struct usage_item *i, const char *filter, struct error **err)
{
	AUTOFREE char *key = xstrndup(filter, strcspn(filter, "="));
	const char *value = strchr(filter, '=');
	for (size_t k = 0; k < ARRAY_SIZE(filters); k++) {
		int r = streq(filters[k].key, key) ? filters[k].fits(i, value ? value + 1 : "") : -ENOENT;
		if (r == -EINVAL)
			return error_set(err, EINVAL, "--filter \"%.80s\": the value is not right", filter);
		if (r >= 0)
			return r;
	}
	return error_set(err, EINVAL,
	    "--filter \"%.80s\": the cache of builds has id, inuse, private, shared, type, until and unused-for",
	    filter);
}

/* 1, 0 or -EINVAL. */
static int fits(const struct usage_item *i, const struct strv *all, struct error **err)
{
	int result = 1;
	for (size_t k = 0; all && k < all->count; k++) {
		int r = fits_one(i, all->items[k], err);
		if (r < 0)
			return r;
		result &= r;
	}
	return result;
}

/* ---- the prune ---- */

static int remove_item(struct library *l, struct build_engine *engine, const struct usage_item *i)
{
	if (i->kind == USAGE_MOUNT) {
		AUTOFREE char *target = xasprintf("/volumes/%s", i->id);
		return build_engine_call(engine, "DELETE", target, NULL, NULL, NULL);
	}
	AUTO_FD int directory = openat(l->root, "build", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return directory < 0 || unlinkat(directory, i->id, 0) < 0 ? -errno : 0;
}

/* Whether there is more than the caller wants to keep. */
static int is_too_much(const struct build_prune *o, uint64_t bytes, size_t items)
{
	return !o->keep || bytes > o->keep || (o->keep_items && items > o->keep_items);
}

/* The bytes that may stay of so many, as BuildKit counts them. */
static uint64_t keep_bytes(const struct library *l, const struct build_prune *o, uint64_t total)
{
	uint64_t keep = o->keep_most ? o->keep_most : UINT64_MAX;
	struct statvfs st;
	if (!o->keep_most && !o->min_free)
		return o->keep;
	if (o->min_free && fstatvfs(l->root, &st) == 0) {
		uint64_t left = (uint64_t)st.f_bavail * st.f_frsize, missing = o->min_free - MIN(o->min_free, left);
		keep = missing ? MIN(keep, total - MIN(total, missing)) : keep;
	}
	return MAX(keep, o->keep);
}

/* Goes through the list until no more than o->keep bytes and o->keep_items items are left. */
static int prune(struct library *l, struct build_engine *engine, const struct usage *u, const struct build_prune *o,
    struct build_pruned *ret, struct error **err)
{
	static const struct usage_item nothing = { .id = (char *)"" };
	uint64_t left = usage_total(u);
	size_t items = u->count;
	int r = fits(&nothing, o->filters, err); /* wrong ones are errors, also without a cache */
	for (size_t k = 0; r >= 0 && k < u->count && is_too_much(o, left, items); k++) {
		const struct usage_item *i = &u->items[k];
		uint64_t size = i->is_shared ? 0 : i->size;
		if (i->is_busy || (i->is_shared && !o->all) || (r = fits(i, o->filters, err)) <= 0 ||
		    remove_item(l, engine, i) < 0)
			continue;
		left -= size;
		items--;
		ret->bytes += size;
		strv_add(&ret->ids, i->id);
	}
	return MIN(r, 0);
}

int build_prune(struct library *l, struct build_engine *engine, const struct build_prune *o, struct build_pruned *ret,
    struct error **err)
{
	AUTO_USAGE struct usage u = { 0 };
	*ret = (struct build_pruned){ 0 };
	int r = usage_read(l, &u, err);
	if (r == 0)
		r = usage_find_shared(l, &u, err);
	if (r == 0 && engine)
		r = usage_add_mounts(engine, &u, err);
	struct build_prune sized = *o;
	sized.keep = r < 0 ? 0 : keep_bytes(l, o, usage_total(&u));
	return r < 0 ? r : prune(l, engine, &u, &sized, ret, err);
}

/* ---- the limit ---- */

struct reading {
	uint64_t *limit;
	const char *path;
	struct error **err;
	int result;
};

/* inih's callback: 1 is success. */
static int handle(void *data, const char *section, const char *name, const char *value)
{
	struct reading *r = data;
	if (!streq(section, "build") || r->result < 0)
		return 1;
	if (!streq(name, "cache-size"))
		r->result = error_set(r->err, EINVAL, "%s: unknown key \"%.40s\" in [build]; see holm-config(5)",
		    r->path, name);
	else if (parse_size(value, 1, r->limit) < 0 || !*r->limit)
		r->result = error_set(r->err, EINVAL, "%s: cache-size = %.40s in [build]: write a size such as 20G",
		    r->path, value);
	return 1;
}

int build_cache_limit_parse(const char *text, const char *path, uint64_t *ret, struct error **err)
{
	struct reading reading = { .limit = ret, .path = path, .err = err };
	/* A broken line elsewhere is told by whoever reads that section. */
	(void)ini_parse_string(text, handle, &reading);
	return reading.result;
}

int build_cache_limit(struct library *l, uint64_t *ret, struct error **err)
{
	AUTOFREE char *directory = path_config_dir(), *path = path_join(directory, "config"), *text = NULL;
	struct statvfs st;
	*ret = LEAST;
	if (fstatvfs(l->root, &st) == 0)
		*ret = MAX(LEAST, (uint64_t)st.f_blocks * st.f_frsize / PART);
	int r = path_read_file(path, CONFIG_MAX, &text, NULL);
	if (r == -ENOENT)
		return 0;
	return r < 0 ? error_set_errno(err, r, "cannot read %s", path) : build_cache_limit_parse(text, path, ret, err);
}

int build_prune_records(struct library *l, struct error **err)
{
	AUTO_USAGE struct usage u = { 0 };
	AUTO_BUILD_PRUNED struct build_pruned gone = { 0 };
	struct build_prune o = { .keep_items = RECORDS_MAX };
	int r = build_cache_limit(l, &o.keep, err);
	if (r == 0)
		r = usage_read(l, &u, err);
	if (r < 0 || !is_too_much(&o, usage_total(&u), u.count))
		return r;
	r = usage_find_shared(l, &u, err);
	if (r == 0)
		r = prune(l, NULL, &u, &o, &gone, err);
	return r < 0 ? r : gone.ids.count > 0;
}

/* Whether the last time was more than a day ago; notes this one. */
static int is_due(struct library *l)
{
	AUTO_FD int directory = openat(l->root, "build", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD int mark =
	    directory < 0 ? -1 : openat(directory, "mounts-pruned", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	struct stat st;
	if (mark < 0 || fstat(mark, &st) < 0)
		return 0;
	if (st.st_size && st.st_mtime > clock_realtime_ns() / NS_PER_S - DAY_S)
		return 0;
	return pwrite(mark, "1", 1, 0) == 1;
}

int build_prune_mounts(struct library *l, struct build_engine *engine, struct error **err)
{
	AUTO_USAGE struct usage u = { 0 };
	AUTO_BUILD_PRUNED struct build_pruned gone = { 0 };
	struct build_prune o = { 0 };
	int r = is_due(l) ? build_cache_limit(l, &o.keep, err) : -EAGAIN;
	if (r < 0)
		return r == -EAGAIN ? 0 : r;
	r = usage_add_mounts(engine, &u, err);
	return r < 0 ? r : prune(l, engine, &u, &o, &gone, err);
}
