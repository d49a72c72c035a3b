/* SPDX-License-Identifier: Apache-2.0
 * ADD of what is elsewhere: files behind URLs, and git repositories. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "image/builder/copying.h"
#include "image/builder/git.h"
#include "image/common/hash.h"

enum { COMMIT_MIN = 7 };

static const char *checksum_of(const struct copying *c)
{
	return dockerfile_flag(c->step->instruction, "checksum");
}

/* ---- files behind URLs ---- */

void copying_remotes_done(struct copying *c)
{
	for (size_t i = 0; i < c->remote_count; i++) {
		free(c->remotes[i].url);
		url_file_done(&c->remotes[i].got);
	}
	free(c->remotes);
}

static int needs_name(const struct copying *c)
{
	return endswith(c->wish.to, "/") || c->wish.to_is_directory;
}

int copying_add_url(struct copying *c, const char *url, struct error **err)
{
	AUTOFREE char *name = url_name(url);
	if (!*name && needs_name(c))
		return error_set(err, EINVAL, "ADD \"%.200s\": the URL ends without a name; write that of the file",
		    url);
	struct content *file = content_pool_new(&c->pool);
	*file = (struct content){ .path = xasprintf(COPYING_REMOTE "%zu/%s", c->remote_count, *name ? name : "file"),
		.type = TAR_FILE,
		.mode = 0600 };
	contents_append(&c->own, file);
	strv_add(&c->wish.patterns, file->path);
	c->remotes = xrealloc(c->remotes, c->remote_count + 1, sizeof *c->remotes);
	c->remotes[c->remote_count++] =
	    (struct copying_remote){ .url = xstrdup(url), .file = file, .got = URL_FILE_NONE };
	return 0;
}

static int read_checksum(const struct copying *c, struct error **err)
{
	const char *sum = checksum_of(c);
	if (sum && c->remote_count != 1)
		return error_set(err, EINVAL, "ADD --checksum is for one URL, or for one git repository");
	if (sum && !digest_is_valid(sum))
		return error_set(err, EINVAL, "ADD --checksum=%.80s: write sha256: and 64 hexadecimal digits", sum);
	return 0;
}

static int fetch(struct copying *c, struct copying_remote *at, struct error **err)
{
	const char *sum = checksum_of(c);
	int r = at->got.fd >= 0 ? 0 : url_fetch(c->step->builder->library, at->url, &at->got, err);
	if (r < 0)
		return r;
	if (sum && !streq(sum, at->got.digest))
		return error_set(err, EBADMSG, "\"%.200s\" has the digest %s, and not that of --checksum", at->url,
		    at->got.digest);
	snprintf(at->file->digest, sizeof at->file->digest, "%s", at->got.digest);
	at->file->size = at->got.size;
	at->file->mtime = at->got.mtime;
	return 0;
}

int copying_fetch(struct copying *c, int is_late, struct error **err)
{
	const char *sum = checksum_of(c);
	if (!c->remote_count)
		return 0;
	int r = read_checksum(c, err);
	/* A file whose digest is known is fetched when no earlier build has it. One that is
	 * unpacked is looked into. */
	if (r == 0 && sum && !is_late && !c->unpacks) {
		snprintf(c->remotes[0].file->digest, sizeof c->remotes[0].file->digest, "%s", sum);
		return 0;
	}
	if (r == 0)
		r = build_step_work(c->step, err);
	for (size_t i = 0; r == 0 && i < c->remote_count; i++)
		r = fetch(c, &c->remotes[i], err);
	return r;
}

static const struct copying_remote *find(const struct copying *c, const struct content *file)
{
	for (size_t i = 0; i < c->remote_count; i++)
		if (c->remotes[i].file == file)
			return &c->remotes[i];
	return NULL;
}

int copying_is_remote(const struct copying *c, const struct content *file)
{
	return find(c, file) != NULL;
}

int copying_open_remote(const struct copying *c, const struct content *file, struct error **err)
{
	const struct copying_remote *at = find(c, file);
	AUTOFREE char *path = xasprintf("/proc/self/fd/%d", at->got.fd);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? error_set_errno(err, errno, "\"%.200s\"", at->url) : fd;
}

/* ---- repositories ---- */

/* The commit begins with what --checksum says. */
static int check_commit(const struct copying *c, const char *commit, struct error **err)
{
	const char *sum = checksum_of(c);
	if (!sum)
		return 0;
	if (strlen(sum) < COMMIT_MIN || sum[strspn(sum, "0123456789abcdef")])
		return error_set(err, EINVAL, "ADD --checksum=%.80s: of a repository it is a commit", sum);
	return startswith(commit, sum) ? 0 :
					 error_set(err, EBADMSG,
					     "the repository is at commit %s, and not at that of "
					     "--checksum",
					     commit);
}

static int checkout(struct copying *c, const struct git_place *p, const char *commit, struct error **err)
{
	struct library *l = c->step->builder->library;
	int keeps = 0, r = copying_flag(c, "keep-git-dir", &keeps, err);
	c->clone.library = l;
	AUTO_FD int folder = r < 0 ? r : build_upload_make_folder(&c->clone, err);
	if (r == 0 && folder < 0)
		r = folder;
	if (r == 0)
		r = git_checkout(p, commit, c->clone.folder, keeps, err);
	if (r == 0)
		r = build_context_open(c->clone.folder, NULL, &c->clone_context, err);
	c->context = c->clone_context;
	return r;
}

int copying_add_git(struct copying *c, struct error **err)
{
	AUTO_GIT_PLACE struct git_place p = { 0 };
	AUTOFREE char *commit = NULL, *facts = NULL;
	char key[DIGEST_TEXT_SIZE + 1];
	int keeps = 0, r = copying_flag(c, "keep-git-dir", &keeps, err);
	if (r < 0 || !git_place_parse(c->repository, &p))
		return r < 0 ? r : -EINVAL;
	r = git_resolve(&p, &commit, err);
	if (r == 0)
		r = check_commit(c, commit, err);
	if (r < 0)
		return r;
	strv_take(&c->wish.patterns, xstrdup(p.subdir ? p.subdir : "/"));
	facts = xasprintf("%s %d%s", commit, keeps || p.keeps, p.is_bare ? " bare" : "");
	copying_key_of_commit(c, facts, key);
	if (copying_find(c, key))
		return 0;
	r = build_step_work(c->step, err);
	if (r == 0)
		r = checkout(c, &p, commit, err);
	return r < 0 ? r : copying_run(c, key, err);
}
