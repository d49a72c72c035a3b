/* SPDX-License-Identifier: Apache-2.0
 * Layers to disk, the outline: each layer's stream (oci/layer.h) goes through the tar reader
 * (oci/tar.h) into the tree (apply.c), content being written as it comes (content.c, space.c); its
 * digest is compared; at the end the file system is put around it (ext4_make.c).
 */
#include "disk/ext4.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "disk/apply.h"
#include "disk/ext4_make.h"
#include "oci/layer.h"

#define BYTES_MAX (1ULL << 40)

struct writer {
	const struct disk_options *options;
	struct disk_tree tree;
	struct disk_space space;
	struct disk_apply apply;
	struct layer_reader *layer; /* the one being read */
	uint64_t bytes;             /* uncompressed, of all layers so far */
	uint64_t done, total;       /* blob bytes: of the layers before, of all */
	EVP_MD_CTX *digests;        /* of all layers' digests: the identifier where none was given */
};

static void release_blocks(struct disk_inode *inode, void *data)
{
	for (uint32_t i = 0; i < inode->extent_count; i++)
		disk_space_give(data, inode->extents[i].physical, inode->extents[i].count);
}

static void writer_done(struct writer *w)
{
	w->tree.release = NULL;
	disk_tree_done(&w->tree);
	disk_space_done(&w->space);
	EVP_MD_CTX_free(w->digests);
}

static int writer_init(struct writer *w, int fd, const struct disk_options *o, struct error **err)
{
	*w = (struct writer){ .options = o, .digests = EVP_MD_CTX_new() };
	disk_space_init(&w->space, fd, (uint64_t)(DISK_DESCRIPTORS - 1) * 64 * DISK_GROUP_BLOCKS);
	disk_tree_init(&w->tree);
	w->tree.release = release_blocks;
	w->tree.data = &w->space;
	w->tree.root->mtime = w->tree.root->atime = w->tree.root->ctime = DISK_TIME;
	w->apply = (struct disk_apply){ .tree = &w->tree, .space = &w->space };
	if (!w->digests || EVP_DigestInit_ex(w->digests, EVP_sha256(), NULL) != 1)
		return error_set(err, ENOTSUP, "libcrypto has no SHA-256");
	return 0;
}

/* The tar reader's source: a layer's bytes, counted. */
static ssize_t read_layer(void *data, const void **ret, struct error **err)
{
	struct writer *w = data;
	const struct disk_options *o = w->options;
	ssize_t n = layer_reader_read(w->layer, ret, err);
	if (n <= 0)
		return n;
	w->bytes += (uint64_t)n;
	if (w->bytes > (o->max_bytes ? o->max_bytes : BYTES_MAX))
		return error_set(err, E2BIG, "the layers expand to more than %llu bytes",
		    (unsigned long long)(o->max_bytes ? o->max_bytes : BYTES_MAX));
	int r = o->progress ? o->progress(w->done + layer_reader_position(w->layer), w->total, o->data) : 0;
	return r < 0 ? r : n;
}

static int check_digest(struct writer *w, const struct disk_layer *l, struct error **err)
{
	const char *digest = layer_reader_digest(w->layer);
	if (EVP_DigestUpdate(w->digests, digest, strlen(digest)) != 1)
		return error_set(err, EIO, "libcrypto cannot hash");
	if (l->diff_id && !streq(l->diff_id, digest))
		return error_set(err, EBADMSG,
		    "its content is not what the image says it is (%s instead of %s); remove the image and pull it "
		    "again",
		    digest, l->diff_id);
	return 0;
}

static int apply_open_layer(struct writer *w, const struct disk_layer *l, struct error **err)
{
	CLEANUP(tar_reader_freep) struct tar_reader *tar = tar_reader_new(read_layer, w, NULL);
	tar_reader_set_own(tar, w->options->own, w->options->own_data);
	int r = disk_apply_layer(&w->apply, tar, err);
	return r < 0 ? r : check_digest(w, l, err);
}

static int write_layer(struct writer *w, const struct disk_layer *l, struct error **err)
{
	struct layer_limits limits = layer_default_limits;
	if (w->options->max_bytes)
		limits.max_bytes = w->options->max_bytes;
	w->apply.layer++;
	int r = layer_reader_open(l->fd, l->media_type, &limits, &w->layer, err);
	if (r == 0)
		r = apply_open_layer(w, l, err);
	layer_reader_free(w->layer);
	w->layer = NULL;
	w->done += l->size;
	if (r < 0 && l->name)
		return error_prefix(err, r, "%s", l->name);
	return r < 0 ? error_prefix(err, r, "layer %u", w->apply.layer) : 0;
}

static int choose_uuid(struct writer *w, unsigned char uuid[16], struct error **err)
{
	static const unsigned char none[16];
	unsigned char digest[EVP_MAX_MD_SIZE];
	memcpy(uuid, w->options->uuid, 16);
	if (memcmp(uuid, none, 16) != 0)
		return 0;
	if (EVP_DigestFinal_ex(w->digests, digest, NULL) != 1)
		return error_set(err, EIO, "libcrypto cannot hash");
	memcpy(uuid, digest, 16);
	uuid[6] = (unsigned char)((uuid[6] & 0x0f) | 0x80); /* RFC 9562: version 8, of its maker's own making */
	uuid[8] = (unsigned char)((uuid[8] & 0x3f) | 0x80);
	return 0;
}

static int write_all(struct writer *w, const struct disk_layer *layers, size_t count, struct error **err)
{
	unsigned char uuid[16];
	int r = 0;
	for (size_t i = 0; i < count; i++)
		w->total += layers[i].size;
	for (size_t i = 0; r == 0 && i < count; i++)
		r = write_layer(w, &layers[i], err);
	if (r == 0)
		r = choose_uuid(w, uuid, err);
	return r < 0 ? r : disk_make(&w->tree, &w->space, uuid, err);
}

int disk_write(int out_fd, const struct disk_layer *layers, size_t count, const struct disk_options *o,
    struct error **err)
{
	static const struct disk_options defaults;
	struct writer w;
	struct stat st;
	if (fstat(out_fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size != 0)
		return error_set(err, EINVAL, "a disk can only be written to an empty file");
	int r = writer_init(&w, out_fd, o ? o : &defaults, err);
	if (r == 0)
		r = write_all(&w, layers, count, err);
	writer_done(&w);
	return r;
}

int disk_write_tar(int tar_fd, int out_fd, const struct disk_options *o, struct error **err)
{
	struct disk_layer layer = { .fd = tar_fd, .name = "the tar archive" };
	return disk_write(out_fd, &layer, 1, o, err);
}
