/* SPDX-License-Identifier: Apache-2.0
 * Resolving hidden paths. Done once, at the start, before the process is confined: it looks at the
 * host's whole tree. */
#include "fsd/files/hide.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/path.h"

void hide_list_done(struct hide_list *l)
{
	for (size_t n = 0; n < l->count; n++)
		strv_done(&l->paths[n]);
	free(l->paths);
	*l = (struct hide_list){ 0 };
}

/* The real path of what exists of a path, with the rest behind it. Owned. */
static char *real_path(const char *path)
{
	AUTOFREE char *front = xstrdup(path);
	for (size_t length = strlen(front); length > 0; length--) {
		if (front[length] && front[length] != '/')
			continue;
		front[length] = 0;
		AUTOFREE char *real = realpath(length ? front : "/", NULL);
		if (real) {
			const char *rest = path + length;
			rest += *rest == '/';
			return *rest ? path_join(real, rest) : TAKE_PTR(real);
		}
	}
	return xstrdup(path);
}

static int strv_same(const struct strv *a, const struct strv *b)
{
	if (a->count != b->count)
		return 0;
	for (size_t n = 0; n < a->count; n++)
		if (!streq(a->items[n], b->items[n]))
			return 0;
	return 1;
}

/* Lists `path` if it is at or beneath `root`, or above it (both normalized). */
static void add(struct hide_list *l, const char *root, const char *path)
{
	struct strv names = { 0 };
	if (path_is_below(path, root))
		strv_split(&names, path + strlen(root), "/");
	else if (!path_is_below(root, path))
		return;
	for (size_t n = 0; n < l->count; n++)
		if (strv_same(&l->paths[n], &names)) {
			strv_done(&names);
			return;
		}
	l->paths = xrealloc(l->paths, l->count + 1, sizeof *l->paths);
	l->paths[l->count++] = names;
}

int hide_list_resolve(struct hide_list *l, const char *root, const struct strv *paths, struct error **err)
{
	AUTOFREE char *real_root = realpath(root, NULL);
	if (!real_root)
		return error_set_errno(err, errno, "the shared directory %s", root);
	AUTOFREE char *typed_root = path_normalize(root);
	for (size_t n = 0; n < paths->count; n++) {
		AUTOFREE char *typed = path_normalize(paths->items[n]);
		if (!typed)
			return error_set(err, EINVAL, "--hide %s is not an absolute path", paths->items[n]);
		AUTOFREE char *real = real_path(typed);
		add(l, real_root, real);
		add(l, real_root, typed);
		if (typed_root)
			add(l, typed_root, typed);
	}
	return 0;
}
