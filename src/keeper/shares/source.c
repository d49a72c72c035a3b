/* SPDX-License-Identifier: Apache-2.0
 * One component after the other, as path_resolution(7) has it: `at` is what has been resolved,
 * `rest` what is still to come; a link's text goes in front of the rest. Whoever opens the
 * result follows no link any more, so what changes after this look is an error there. */
#include "keeper/shares/source.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/path.h"

enum { LINKS_MAX = 40 }; /* as Linux */

static int is_writable(const char *directory, const struct strv *writable)
{
	for (size_t i = 0; i < writable->count; i++)
		if (path_is_below(directory, writable->items[i]))
			return 1;
	return 0;
}

/* Puts the link's text in front of *rest; `at` is the directory that the link is in, and becomes
 * "/" for an absolute text. */
static int follow(const char *link, char **at, char **rest)
{
	char text[PATH_MAX];
	ssize_t size = readlink(link, text, sizeof text - 1);
	if (size < 0)
		return -errno;
	text[size] = '\0';
	char *joined = xasprintf("%s/%s", text, *rest);
	free(*rest);
	*rest = joined;
	if (text[0] == '/') {
		free(*at);
		*at = xstrdup("/");
	}
	return 0;
}

/* Takes the first component off *rest, owned; NULL at the end. */
static char *next_name(char **rest)
{
	const char *begin = *rest + strspn(*rest, "/");
	size_t size = strcspn(begin, "/");
	char *name = size ? xstrndup(begin, size) : NULL;
	char *left = xstrdup(begin + size);
	free(*rest);
	*rest = left;
	return name;
}

static void replace(char **at, char *with)
{
	free(*at);
	*at = with;
}

int share_source_resolve(const char *path, const struct strv *writable, char **ret, struct error **err)
{
	AUTOFREE char *at = xstrdup("/"), *rest = xstrdup(path), *name = NULL;
	int links = 0;
	for (; (name = next_name(&rest)); free(TAKE_PTR(name))) {
		struct stat st;
		if (streq(name, "."))
			continue;
		if (streq(name, "..")) {
			replace(&at, path_parent(at));
			continue;
		}
		AUTOFREE char *here = path_join(at, name);
		if (lstat(here, &st) < 0)
			return error_set_errno(err, errno, "share \"%s\"", path);
		if (!S_ISLNK(st.st_mode)) {
			replace(&at, TAKE_PTR(here));
			continue;
		}
		if (is_writable(at, writable))
			return error_set(err, EACCES,
			    "share \"%s\": \"%s\" is a symbolic link in a folder that the machine can write to; share "
			    "the folder that it leads to instead",
			    path, here);
		int r = ++links > LINKS_MAX ? -ELOOP : follow(here, &at, &rest);
		if (r < 0)
			return error_set_errno(err, r, "share \"%s\"", path);
	}
	*ret = TAKE_PTR(at);
	return 0;
}
