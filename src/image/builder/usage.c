/* SPDX-License-Identifier: Apache-2.0
 * See usage.h. The time of a record's last use is its file's; that of a volume its folder's, which
 * the engine tells. */
#include "image/builder/usage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/path.h"
#include "image/builder/mounts.h"
#include "image/library/image.h"

enum { RECORD_MAX = 64 << 10, ITEMS_MAX = 1 << 17, BLOCK = 512 };
#define NS_PER_S 1000000000LL

void usage_done(struct usage *u)
{
	for (size_t i = 0; i < u->count; i++) {
		free(u->items[i].id);
		free(u->items[i].text);
	}
	free(u->items);
	*u = (struct usage){ 0 };
}

static struct usage_item *add_item(struct usage *u)
{
	u->items = xrealloc(u->items, u->count + 1, sizeof *u->items);
	u->items[u->count] = (struct usage_item){ 0 };
	return &u->items[u->count++];
}

/* ---- order ---- */

static int compare_use(const void *a, const void *b)
{
	const struct usage_item *x = a, *y = b;
	return x->used_ns != y->used_ns ? (x->used_ns > y->used_ns) - (x->used_ns < y->used_ns) : strcmp(x->id, y->id);
}

static int compare_layers(const void *a, const void *b)
{
	const struct usage_item *const *x = a, *const *y = b;
	int order = strcmp((*x)->digest, (*y)->digest);
	return order ? order : compare_use(*x, *y);
}

/* A layer that several records name counts once, for the last used one. */
static void settle(struct usage *u)
{
	if (u->count)
		qsort(u->items, u->count, sizeof *u->items, compare_use);
	AUTOFREE struct usage_item **steps = xcalloc(u->count + 1, sizeof(void *));
	size_t count = 0;
	for (size_t i = 0; i < u->count; i++)
		if (u->items[i].kind == USAGE_STEP && *u->items[i].digest)
			steps[count++] = &u->items[i];
	if (count)
		qsort(steps, count, sizeof(void *), compare_layers);
	for (size_t i = 0; i + 1 < count; i++)
		if (streq(steps[i]->digest, steps[i + 1]->digest))
			steps[i]->size = 0;
}

/* ---- records ---- */

static int64_t ns_of(int64_t seconds, uint32_t ns)
{
	return seconds * NS_PER_S + ns;
}

static void read_record(struct library *l, int fd, struct usage_item *i)
{
	AUTO_JSON struct json_object *o = NULL;
	AUTOFREE char *text = NULL;
	const char *digest = NULL;
	size_t size = 0;
	if (fd_read_all(fd, RECORD_MAX, &text, &size) < 0 || json_parse(text, size, "a record", &o, NULL) < 0 ||
	    !json_object_is_type(o, json_type_object))
		return;
	if (json_get_string(o, "image", &digest, NULL) == 0)
		i->kind = USAGE_IMAGE;
	else if (json_get_string(o, "digest", &digest, NULL) < 0)
		return;
	if (!digest_is_valid(digest))
		return;
	memcpy(i->digest, digest, sizeof i->digest);
	if (i->kind == USAGE_STEP && json_get_u64(o, "size", &i->size, NULL) == 0 &&
	    !library_has_blob(l, i->digest, i->size))
		i->size = 0;
}

static void read_entry(struct library *l, int directory, const char *name, struct usage *u)
{
	struct statx st;
	int is_files = startswith(name, "files-") != NULL;
	AUTO_FD int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || (!is_files && strlen(name) != DIGEST_HEX_SIZE) ||
	    statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &st) < 0 || !S_ISREG(st.stx_mode))
		return;
	struct usage_item *i = add_item(u);
	i->id = xstrdup(name);
	i->kind = is_files ? USAGE_FILES : USAGE_STEP;
	i->used_ns = ns_of(st.stx_mtime.tv_sec, st.stx_mtime.tv_nsec);
	i->created_ns = st.stx_mask & STATX_BTIME ? ns_of(st.stx_btime.tv_sec, st.stx_btime.tv_nsec) : i->used_ns;
	if (is_files)
		i->size = st.stx_blocks * BLOCK;
	else
		read_record(l, fd, i);
}

int usage_read(struct library *l, struct usage *ret, struct error **err)
{
	AUTO_FD int directory = openat(l->root, "build", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = directory < 0 ? NULL : path_list(directory);
	*ret = (struct usage){ 0 };
	if (!d && errno != ENOENT)
		return error_set_errno(err, errno, "cannot read the cache of builds");
	for (struct dirent *e; d && ret->count < ITEMS_MAX && (e = readdir(d));)
		if (e->d_name[0] != '.')
			read_entry(l, directory, e->d_name, ret);
	if (d)
		closedir(d);
	settle(ret);
	return 0;
}

/* ---- images ---- */

static void add_image(struct library *l, const char *digest, struct strv *to)
{
	AUTO_IMAGE struct image *i = NULL;
	strv_add(to, digest);
	if (image_load(l, NULL, digest, &i, NULL) < 0)
		return;
	for (size_t k = 0; k < i->manifest->layer_count; k++)
		strv_add(to, i->manifest->layers[k].digest);
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int usage_find_shared(struct library *l, struct usage *u, struct error **err)
{
	AUTO_LIBRARY_INDEX struct library_index index = { 0 };
	AUTO_STRV struct strv digests = { 0 };
	int r = library_read_index(l, &index, err);
	if (r < 0)
		return r;
	for (size_t k = 0; k < index.count; k++)
		add_image(l, index.entries[k].descriptor.digest, &digests);
	strv_sort(&digests);
	for (size_t i = 0; i < u->count; i++) {
		const char *digest = u->items[i].digest;
		u->items[i].is_shared = *digest && digests.count &&
					bsearch(&digest, digests.items, digests.count, sizeof(char *), compare_texts);
	}
	return 0;
}

/* ---- volumes ---- */

static int64_t time_of(struct json_object *o, const char *key)
{
	const char *text = NULL;
	int64_t ns = 0;
	if (!o || json_get_string(o, key, &text, NULL) < 0 || clock_parse_rfc3339(text, &ns) < 0)
		return 0;
	return ns;
}

static void add_volume(struct json_object *volume, struct usage *u)
{
	struct json_object *labels = NULL, *status = NULL, *room = NULL;
	const char *name = NULL, *id = NULL;
	int64_t users = 0;
	if (!json_object_is_type(volume, json_type_object) || json_get_string(volume, "Name", &name, NULL) < 0 ||
	    !startswith(name, BUILD_CACHE_PREFIX) || json_get_object(volume, "Labels", &labels, NULL) < 0 ||
	    json_get_string(labels, BUILD_CACHE_LABEL, &id, NULL) < 0)
		return;
	struct usage_item *i = add_item(u);
	i->kind = USAGE_MOUNT;
	i->id = xstrdup(name);
	i->text = xstrdup(id);
	i->created_ns = time_of(volume, "CreatedAt");
	json_get_object(volume, "Status", &status, NULL);
	i->used_ns = time_of(status, "LastUsedAt");
	if (!i->used_ns)
		i->used_ns = i->created_ns;
	if (json_get_object(volume, "UsageData", &room, NULL) < 0)
		return;
	json_get_u64(room, "Size", &i->size, NULL);
	json_get_i64(room, "RefCount", &users, NULL);
	i->is_busy = users > 0;
}

int usage_add_mounts(struct build_engine *e, struct usage *u, struct error **err)
{
	AUTO_JSON struct json_object *answer = NULL;
	struct json_object *volumes = NULL;
	int r = build_engine_call(e, "GET", "/system/df?type=volume", NULL, &answer, err);
	if (r < 0)
		return r;
	if (!json_object_is_type(answer, json_type_object) || json_get_array(answer, "Volumes", &volumes, NULL) < 0)
		return error_set(err, EPROTO, "the engine's list of volumes is none");
	for (size_t i = 0; i < json_object_array_length(volumes) && u->count < ITEMS_MAX; i++)
		add_volume(json_object_array_get_idx(volumes, i), u);
	settle(u);
	return 0;
}

/* ---- answers ---- */

uint64_t usage_total(const struct usage *u)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < u->count; i++)
		sum += u->items[i].is_shared ? 0 : u->items[i].size;
	return sum;
}

const char *usage_type(const struct usage_item *i)
{
	static const char *const types[] = { [USAGE_STEP] = "regular",
		[USAGE_IMAGE] = "internal",
		[USAGE_FILES] = "source.local",
		[USAGE_MOUNT] = "exec.cachemount" };
	return types[i->kind];
}

struct json_object *usage_describe(const struct usage_item *i)
{
	struct json_object *o = json_object_new_object();
	AUTOFREE char *created = clock_format_rfc3339(i->created_ns), *used = clock_format_rfc3339(i->used_ns),
		      *text = i->kind == USAGE_MOUNT ? xasprintf("cache mount \"%s\"", i->text) :
			      i->kind == USAGE_FILES ? xstrdup("digests of a context's files") :
			      *i->digest ? xasprintf("%s %s", i->kind == USAGE_IMAGE ? "image" : "layer", i->digest) :
					   xstrdup("a step without changes");
	json_add_string(o, "ID", i->id);
	json_add(o, "Parents", NULL);
	json_add_string(o, "Type", usage_type(i));
	json_add_string(o, "Description", text);
	json_add_bool(o, "InUse", i->is_busy);
	json_add_bool(o, "Shared", i->is_shared);
	json_add_u64(o, "Size", i->size);
	json_add_string(o, "CreatedAt", created);
	json_add_string(o, "LastUsedAt", used);
	json_add_u64(o, "UsageCount", 0);
	return o;
}
