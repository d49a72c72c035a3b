/* SPDX-License-Identifier: Apache-2.0
 * See remote.h. */
#include "image/builder/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "image/builder/fetch_url.h"
#include "image/builder/git.h"

/* "github.com/a/b" is a repository, too, as Docker has it; owned. */
static char *whole_name(const char *text)
{
	if (!startswith(text, "github.com/"))
		return xstrdup(text);
	size_t n = strcspn(text, "#");
	return xasprintf("https://%.*s%s%s", (int)n, text, n > 4 && strncmp(text + n - 4, ".git", 4) == 0 ? "" : ".git",
	    text + n);
}

int build_remote_is_one(const char *text)
{
	AUTOFREE char *name = whole_name(text);
	AUTO_GIT_PLACE struct git_place place = { 0 };
	return url_is_one(name) || git_place_parse(name, &place);
}

/* The folder of the context inside of the repository, whose symlinks lead nowhere else. */
static int enter_subdir(struct build_upload *u, const char *subdir, struct error **err)
{
	char real[PATH_MAX];
	AUTO_FD int root = open(u->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD int inner = root < 0 ? -errno : path_open_in_root(root, subdir, O_PATH | O_DIRECTORY, 0);
	if (inner < 0)
		return error_set_errno(err, inner, "the repository has no directory \"%.200s\"", subdir + 1);
	AUTOFREE char *of = xasprintf("/proc/self/fd/%d", inner);
	ssize_t n = readlink(of, real, sizeof real - 1);
	if (n < 0)
		return error_set_errno(err, errno, "the directory \"%.200s\" of the repository", subdir + 1);
	free(u->folder);
	u->folder = xstrndup(real, (size_t)n);
	return 0;
}

static int read_git(struct library *l, const struct git_place *p, int keeps, struct build_upload *ret,
    struct error **err)
{
	struct build_upload u = { .library = l };
	AUTOFREE char *commit = NULL;
	int r = git_resolve(p, &commit, err);
	AUTO_FD int folder = r < 0 ? r : build_upload_make_folder(&u, err);
	if (r == 0 && folder < 0)
		r = folder;
	if (r == 0)
		r = git_checkout(p, commit, u.folder, keeps, err);
	if (r == 0 && p->subdir)
		r = enter_subdir(&u, p->subdir, err);
	if (r < 0)
		build_upload_done(&u);
	else
		*ret = u;
	return r;
}

static int read_url(struct library *l, const char *url, struct build_upload *ret, struct error **err)
{
	struct url_file file = URL_FILE_NONE;
	int r = url_fetch(l, url, &file, err);
	if (r == 0)
		r = build_upload_take(l, file.fd, ret, err);
	url_file_done(&file);
	return r < 0 ? error_prefix(err, r, "context \"%.200s\"", url) : 0;
}

int build_remote_read(struct library *l, const char *text, int keeps_git, struct build_upload *ret, struct error **err)
{
	AUTOFREE char *name = whole_name(text);
	AUTO_GIT_PLACE struct git_place place = { 0 };
	return git_place_parse(name, &place) ? read_git(l, &place, keeps_git, ret, err) : read_url(l, name, ret, err);
}
