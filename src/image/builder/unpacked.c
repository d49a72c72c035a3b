/* SPDX-License-Identifier: Apache-2.0
 * See unpacked.h. */
#include "image/builder/unpacked.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>

#include "base/alloc.h"

struct node {
	enum tar_type type;
	char path[];
};

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct node *)a)->path, ((const struct node *)b)->path);
}

void unpacked_done(struct unpacked *u)
{
	tdestroy(u->tree, free);
}

static struct node *node_new(const char *path, size_t size)
{
	struct node *n = xcalloc(1, sizeof *n + size + 1);
	memcpy(n->path, path, size);
	return n;
}

/* The entry at the first `size` bytes of a path; NULL: there is none. */
static const struct node *find(const struct unpacked *u, const char *path, size_t size)
{
	AUTOFREE struct node *key = node_new(path, size);
	struct node *const *at = tfind(key, &u->tree, compare);
	return at ? *at : NULL;
}

static int check_parents(const struct unpacked *u, const char *path, struct error **err)
{
	for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		const struct node *n = find(u, path, (size_t)(slash - path));
		if (n && n->type != TAR_DIRECTORY)
			return error_set(err, EINVAL, "\"%.200s\" lies below \"%.200s\", which is no directory", path,
			    n->path);
	}
	return 0;
}

static int check_link(const struct unpacked *u, const char *path, const char *link, const struct contents *base,
    struct error **err)
{
	const struct node *n = find(u, link, strlen(link));
	struct content **below = n ? NULL : contents_find(base, link);
	if (n ? n->type != TAR_DIRECTORY : below && (*below)->type != TAR_DIRECTORY)
		return 0;
	return error_set(err, EINVAL, "\"%.200s\" is a hard link to \"%.200s\", which is no file", path, link);
}

int unpacked_add(struct unpacked *u, const char *path, enum tar_type type, const char *link,
    const struct contents *base, struct error **err)
{
	int r = check_parents(u, path, err);
	if (r == 0 && link)
		r = check_link(u, path, link, base, err);
	if (r < 0)
		return r;
	struct node *n = node_new(path, strlen(path)), **at = tsearch(n, &u->tree, compare);
	if (!at)
		abort();
	if (*at != n)
		free(n);
	(*at)->type = type;
	return 0;
}
