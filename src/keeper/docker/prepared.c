/* SPDX-License-Identifier: Apache-2.0
 * Answers of `holm-image prepare` that still hold, so that most creates start no program, and
 * requests for the same answer that come while it is made, which start one program in all.
 *
 * An answer depends on the library's index.json, which names digests and is replaced as a whole at
 * each change, and on trees or a disk, which nothing rewrites. So it holds as long as that file is
 * the same one and the others are there. The keeper looks at the file before it starts the program:
 * a change in the meantime makes the answer an old one. */
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/path.h"
#include "keeper/docker/private.h"
#include "keeper/keeper_private.h"

enum { KEPT_MAX = 32 };

/* The library's index.json, told from another version of it. inode 0: there is none. */
struct docker_index {
	dev_t device;
	ino_t inode;
	off_t size;
	int64_t changed_s, changed_ns;
};

static struct kept {
	char *reference, *output;
	int own_ids;
	struct docker_index index;
} kept[KEPT_MAX];
static size_t next_kept; /* the oldest one, which gives its place */

struct asker {
	struct asker *next;
	docker_program_fn done;
	void *data;
};

/* A program that runs. */
static struct asking {
	struct asking *next;
	char *reference;
	int own_ids;
	struct docker_index index; /* as it was before */
	struct asker *askers;
} * all_asking;

static struct docker_index index_now(void)
{
	AUTOFREE char *data = path_data_dir(), *path = path_join(data, "images/index.json");
	struct stat st;
	if (stat(path, &st) < 0)
		return (struct docker_index){ 0 };
	return (struct docker_index){ .device = st.st_dev,
		.inode = st.st_ino,
		.size = st.st_size,
		.changed_s = st.st_ctim.tv_sec,
		.changed_ns = st.st_ctim.tv_nsec };
}

static int is_same(const struct docker_index *a, const struct docker_index *b)
{
	return a->inode && a->inode == b->inode && a->device == b->device && a->size == b->size &&
	       a->changed_s == b->changed_s && a->changed_ns == b->changed_ns;
}

/* Whether all trees, or the disk, are there. */
static int has_files(const char *output)
{
	AUTO_JSON struct json_object *answer = NULL;
	AUTO_STRV struct strv files = { 0 };
	const char *disk = NULL;
	if (json_parse_bytes(output, strlen(output), "a kept answer", &answer, NULL) < 0)
		return 0;
	json_get_strv(answer, "trees", &files, NULL);
	if (json_get_string(answer, "disk", &disk, NULL) == 0)
		strv_add(&files, disk);
	for (size_t i = 0; i < files.count; i++)
		if (access(files.items[i], F_OK) < 0)
			return 0;
	return files.count > 0;
}

static int is_of(const struct kept *k, const char *reference, int own_ids)
{
	return streq(k->reference, reference) && k->own_ids == own_ids;
}

const char *docker_prepared_find(const char *reference, int own_ids)
{
	const struct docker_index now = index_now();
	for (size_t i = 0; i < KEPT_MAX; i++)
		if (is_of(&kept[i], reference, own_ids))
			return is_same(&kept[i].index, &now) && has_files(kept[i].output) ? kept[i].output : NULL;
	return NULL;
}

static void keep(const char *reference, int own_ids, const struct docker_index *index, const char *output)
{
	size_t i = 0;
	while (i < KEPT_MAX && !is_of(&kept[i], reference, own_ids))
		i++;
	if (i == KEPT_MAX) {
		i = next_kept;
		next_kept = (next_kept + 1) % KEPT_MAX;
	}
	free(kept[i].reference);
	free(kept[i].output);
	kept[i] = (struct kept){ .reference = xstrdup(reference),
		.own_ids = own_ids,
		.output = xstrdup(output),
		.index = *index };
}

/* ---- asking ---- */

static void on_answer(int status, const char *output, const char *errors, void *data)
{
	struct asking *a = data, **at = &all_asking;
	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	if (status == 0)
		keep(a->reference, a->own_ids, &a->index, output);
	while (a->askers) {
		struct asker *one = a->askers;
		a->askers = one->next;
		one->done(status, output, errors, one->data);
		free(one);
	}
	free(a->reference);
	free(a);
}

static int start(struct keeper *k, const char *reference, int own_ids, const struct docker_index *now,
    struct asking **ret, struct error **err)
{
	const struct isolation_ops *ops = k->ops;
	const char *const form = own_ids && ops->own_ids_form ? ops->own_ids_form : ops->container_form;
	const char *line = strchr(reference, '\n');
	AUTOFREE char *name = xstrndup(reference, strcspn(reference, "\n")),
		      *platform = line ? xasprintf("--platform=%s", line + 1) : NULL;
	const char *const words[] = { "prepare", "--form", form, "--pull", "never", "--progress", "none", name,
		platform, NULL };
	struct asking *a = xnew(struct asking);
	*a = (struct asking){ .next = all_asking, .reference = xstrdup(reference), .own_ids = own_ids, .index = *now };
	int r = docker_program(keeper_loop(k), words, on_answer, a, err);
	if (r < 0) {
		free(a->reference);
		free(a);
		return r;
	}
	*ret = all_asking = a;
	return 0;
}

int docker_prepare(struct keeper *k, const char *reference, int own_ids, docker_program_fn done, void *data,
    struct error **err)
{
	const struct docker_index now = index_now();
	struct asking *a = all_asking;
	while (a && (!streq(a->reference, reference) || a->own_ids != own_ids || !is_same(&a->index, &now)))
		a = a->next;
	int r = a ? 0 : start(k, reference, own_ids, &now, &a, err);
	if (r < 0)
		return r;
	struct asker *one = xnew(struct asker), **last = &a->askers;
	while (*last)
		last = &(*last)->next;
	*one = (struct asker){ .done = done, .data = data };
	*last = one;
	return 0;
}
