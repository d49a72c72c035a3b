/* SPDX-License-Identifier: Apache-2.0
 * See named.h. */
#include "image/builder/named.h"

#include <errno.h>
#include <fcntl.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "image/archive/load.h"
#include "image/builder/remote.h"

struct build_named {
	struct build_named *next;
	char *name;
	struct build_upload upload; /* of one that is elsewhere */
	struct build_context *context;
};

void build_named_done(struct builder *b)
{
	while (b->named != b->named_before) {
		struct build_named *n = b->named;
		b->named = n->next;
		build_context_free(n->context);
		if (n->upload.library)
			build_upload_done(&n->upload);
		free(n->name);
		free(n);
	}
}

static const char *value_of(const struct builder *b, const char *name)
{
	return b->options->contexts ? strv_getenv(b->options->contexts, name) : NULL;
}

int build_named_is_one(const struct builder *b, const char *name)
{
	return value_of(b, name) != NULL;
}

/* ---- directories ---- */

/* No symlink leads out of a context that came from elsewhere. A FIFO is as an empty file. */
static int open_ignore(const struct build_named *n, const char *path)
{
	AUTO_FD int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	if (n->upload.folder)
		return path_open_in_root(root, "/.dockerignore", O_RDONLY | O_NONBLOCK, 0);
	int fd = openat(root, ".dockerignore", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int read_ignore(const struct build_named *n, const char *path, struct ignore **ret, struct error **err)
{
	AUTOFREE char *text = NULL;
	size_t size = 0;
	AUTO_FD int fd = open_ignore(n, path);
	if (fd == -ENOENT || fd == -ENOTDIR)
		return 0;
	int r = fd < 0 ? fd : fd_read_all(fd, IGNORE_MAX + 1, &text, &size);
	return r < 0 ? error_set_errno(err, r, "%s/.dockerignore", path) :
		       ignore_parse(text, size, ".dockerignore", ret, err);
}

static int open_directory(struct builder *b, struct build_named *n, const char *value, struct error **err)
{
	struct ignore *ignore = NULL;
	int r = build_remote_is_one(value) ? build_remote_read(b->library, value, 0, &n->upload, err) : 0;
	const char *path = n->upload.folder ? n->upload.folder : value;
	if (r == 0)
		r = read_ignore(n, path, &ignore, err);
	if (r == 0)
		r = build_context_open(path, ignore, &n->context, err);
	return r < 0 ? error_prefix(err, r, "--build-context %s", n->name) : 0;
}

int build_named_directory(struct builder *b, const char *name, struct build_context **ret, struct error **err)
{
	const char *value = value_of(b, name);
	if (!value || startswith(value, "docker-image://") || startswith(value, "oci-layout://"))
		return 0;
	struct build_named *n = b->named;
	while (n && !streq(n->name, name))
		n = n->next;
	if (!n) {
		n = xnew(struct build_named);
		*n = (struct build_named){ .next = b->named, .name = xstrdup(name) };
		b->named = n;
	}
	int r = n->context ? 0 : open_directory(b, n, value, err);
	*ret = n->context;
	return r < 0 ? r : 1;
}

/* ---- images ---- */

/* The digest of the layout's image: the one with the tag, or the only one. */
static int load_layout(struct builder *b, const char *value, char **ret_digest, struct error **err)
{
	const char *colon = strrchr(value, ':'), *slash = strrchr(value, '/');
	const char *tag = colon && (!slash || colon > slash) ? colon + 1 : NULL;
	AUTOFREE char *path = xstrndup(value, tag ? (size_t)(colon - value) : strlen(value));
	AUTOFREE char *end = tag ? xasprintf(":%s", tag) : xstrdup("");
	AUTO_STRV struct strv names = { 0 }, digests = { 0 };
	const struct load_options o = { .platform = &b->platform, .progress = b->progress, .unnamed = 1 };
	int r = load_images(b->library, path, &o, &names, &digests, err);
	for (size_t i = 0; r == 0 && i < digests.count; i++)
		if ((!tag && digests.count == 1) || (tag && i < names.count && endswith(names.items[i], end))) {
			*ret_digest = xstrdup(digests.items[i]);
			return 0;
		}
	return r < 0 ? r :
		       error_set(err, ENOENT,
			   tag ? "\"%s\" has no image with this tag" : "\"%s\" has not one image; name a tag", value);
}

int build_named_image(struct builder *b, const char *name, const char *platform, struct build_state **ret,
    struct error **err)
{
	const char *value = value_of(b, name), *image = startswith(value, "docker-image://"),
		   *layout = startswith(value, "oci-layout://");
	AUTOFREE char *digest = NULL;
	if (image)
		return build_load_plain_image(b, image, platform, ret, err);
	if (!layout)
		return error_set(err, EINVAL, "--build-context %s is a directory; FROM needs an image", name);
	int r = load_layout(b, layout, &digest, err);
	if (r == 0)
		r = build_state_load(b->library, digest, ret, err);
	return r < 0 ? error_prefix(err, r, "--build-context %s", name) : 0;
}
