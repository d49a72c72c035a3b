/* SPDX-License-Identifier: Apache-2.0
 * qcow2 version 3, by the layout in QEMU's docs/interop/qcow2.txt.
 *
 * Theory of operation: an overlay that nobody wrote to yet is five things, each in clusters of its
 * own (64 KiB):
 *
 *   cluster 0        header, header extensions (backing format), the backing file's name
 *   cluster 1        refcount table, one entry: where the refcount block is
 *   cluster 2        refcount block: 16-bit counters, 1 for each of the clusters listed here
 *   cluster 3...     first-level table, all zeros: nothing is allocated, every read goes to the
 *                    backing file
 *
 * All but the header, one table entry and a few counters is zeros, so the file is made by two
 * writes and an ftruncate. The first-level table has room for QCOW2_GROW_MAX whatever the size (256
 * KiB of hole), so growing changes one number in the header.
 *
 * Files that are read may come from a stranger: every offset and length is checked against the
 * first cluster before use.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "disk/qcow2.h"

#define QCOW2_MAGIC 0x514649fbU /* "QFI\xfb" */
#define EXTENSION_BACKING_FORMAT 0xe2792acaU
#define CLUSTER_BITS 16
#define CLUSTER_SIZE (1U << CLUSTER_BITS)
#define BACKING_MAX 1023
#define FORMAT_MAX 15
/* One first-level entry maps a second-level table of CLUSTER_SIZE / 8 entries. */
#define L1_ENTRY_SPAN ((uint64_t)CLUSTER_SIZE * (CLUSTER_SIZE / 8))

/* Offsets in the header. */
enum {
	AT_MAGIC = 0,
	AT_VERSION = 4,
	AT_BACKING_OFFSET = 8,
	AT_BACKING_SIZE = 16,
	AT_CLUSTER_BITS = 20,
	AT_SIZE = 24,
	AT_CRYPT = 32,
	AT_L1_SIZE = 36,
	AT_L1_OFFSET = 40,
	AT_REFCOUNT_TABLE_OFFSET = 48,
	AT_REFCOUNT_TABLE_CLUSTERS = 56,
	AT_SNAPSHOTS = 60,
	AT_SNAPSHOTS_OFFSET = 64,
	HEADER_SIZE_V2 = 72,
	AT_INCOMPATIBLE = 72,
	AT_REFCOUNT_ORDER = 96,
	AT_HEADER_LENGTH = 100,
	HEADER_SIZE_V3 = 104,
	HEADER_SIZE = 112, /* with the compression type and its padding */
};

static void put32(unsigned char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (unsigned char)(v >> (24 - 8 * i));
}

static void put64(unsigned char *p, uint64_t v)
{
	put32(p, (uint32_t)(v >> 32));
	put32(p + 4, (uint32_t)v);
}

static uint32_t get32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint64_t get64(const unsigned char *p)
{
	return (uint64_t)get32(p) << 32 | get32(p + 4);
}

/* Writes the extension and the name of the backing file behind the header and points the header at
 * it. */
static int put_backing(unsigned char *cluster, const char *backing, const char *format, struct error **err)
{
	size_t at = HEADER_SIZE;
	memset(cluster + at, 0, CLUSTER_SIZE - at);
	put64(cluster + AT_BACKING_OFFSET, 0);
	put32(cluster + AT_BACKING_SIZE, 0);
	if (!backing)
		return 0;
	if (!format || (!streq(format, "raw") && !streq(format, "qcow2")))
		return error_set(err, EINVAL, "disk format \"%s\" is neither raw nor qcow2", format ? format : "");
	size_t name = strlen(backing);
	if (name == 0 || name > BACKING_MAX)
		return error_set(err, ENAMETOOLONG,
		    "the path of the disk below has %zu bytes; a qcow2 file holds 1 to %d", name, BACKING_MAX);
	put32(cluster + at, EXTENSION_BACKING_FORMAT);
	put32(cluster + at + 4, (uint32_t)strlen(format));
	memcpy(cluster + at + 8, format, strlen(format));
	at += 8 + 8; /* the text padded to 8: both formats are shorter */
	at += 8;     /* the end extension: type 0, length 0 */
	memcpy(cluster + at, backing, name);
	put64(cluster + AT_BACKING_OFFSET, at);
	put32(cluster + AT_BACKING_SIZE, (uint32_t)name);
	return 0;
}

static int check_size(uint64_t virtual_size, struct error **err)
{
	if (virtual_size == 0 || virtual_size > QCOW2_SIZE_MAX)
		return error_set(err, EINVAL, "a disk of %llu bytes cannot be made (1 byte to 64 TiB)",
		    (unsigned long long)virtual_size);
	return 0;
}

static int write_new(int fd, const char *backing, const char *format, uint64_t size, struct error **err)
{
	AUTOFREE unsigned char *head = xcalloc(3, CLUSTER_SIZE);
	uint64_t entries = (MAX(size, QCOW2_GROW_MAX) + L1_ENTRY_SPAN - 1) / L1_ENTRY_SPAN;
	uint64_t l1_clusters = (entries * 8 + CLUSTER_SIZE - 1) / CLUSTER_SIZE;
	put32(head + AT_MAGIC, QCOW2_MAGIC);
	put32(head + AT_VERSION, 3);
	put32(head + AT_CLUSTER_BITS, CLUSTER_BITS);
	put64(head + AT_SIZE, size);
	put32(head + AT_L1_SIZE, (uint32_t)entries);
	put64(head + AT_L1_OFFSET, 3 * CLUSTER_SIZE);
	put64(head + AT_REFCOUNT_TABLE_OFFSET, CLUSTER_SIZE);
	put32(head + AT_REFCOUNT_TABLE_CLUSTERS, 1);
	put32(head + AT_REFCOUNT_ORDER, 4);
	put32(head + AT_HEADER_LENGTH, HEADER_SIZE);
	int r = put_backing(head, backing, format, err);
	if (r < 0)
		return r;
	unsigned char *tables = head + CLUSTER_SIZE;
	put64(tables, 2 * CLUSTER_SIZE);
	for (uint64_t i = 0; i < 3 + l1_clusters; i++)
		tables[CLUSTER_SIZE + 2 * i + 1] = 1;
	/* Pieces rather than three whole clusters: the rest stays a hole. */
	if (ftruncate(fd, (off_t)((3 + l1_clusters) * CLUSTER_SIZE)) < 0 || pwrite(fd, head, 4096, 0) != 4096 ||
	    pwrite(fd, tables, 512, CLUSTER_SIZE) != 512 ||
	    pwrite(fd, tables + CLUSTER_SIZE, 512, 2 * CLUSTER_SIZE) != 512 || fsync(fd) < 0)
		return -(errno ? errno : EIO);
	return 0;
}

int qcow2_create(const char *path, const char *backing, const char *backing_format, uint64_t virtual_size,
    struct error **err)
{
	int r = check_size(virtual_size, err);
	if (r < 0)
		return r;
	AUTO_FD int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot create the disk \"%s\"", path);
	errno = 0;
	r = write_new(fd, backing, backing_format, (virtual_size + 511) & ~511ULL, err);
	if (r < 0) {
		unlink(path);
		return error_set_errno(err, r, "cannot write the disk \"%s\"", path);
	}
	return 0;
}

void qcow2_info_done(struct qcow2_info *i)
{
	free(i->backing);
	free(i->backing_format);
	*i = (struct qcow2_info){ 0 };
}

/* Finds the backing format among the header extensions: `size` bytes of the file are in head. */
static int read_format(const unsigned char *head, size_t size, size_t at, size_t end, char **ret)
{
	for (end = MIN(end, size); at + 8 <= end;) {
		uint32_t type = get32(head + at), length = get32(head + at + 4);
		if (type == 0)
			return 0;
		if (length > end - at - 8)
			return -EINVAL;
		if (type == EXTENSION_BACKING_FORMAT) {
			if (length > FORMAT_MAX || memchr(head + at + 8, 0, length))
				return -EINVAL;
			free(*ret);
			*ret = xstrndup((const char *)head + at + 8, length);
		}
		at += 8 + (((size_t)length + 7) & ~(size_t)7);
	}
	return 0;
}

/* Checks what the first cluster says; the fields of *ret are set as they are found. */
static int parse_header(const unsigned char *head, size_t size, struct qcow2_info *ret)
{
	if (size < HEADER_SIZE_V2 || get32(head) != QCOW2_MAGIC)
		return -EINVAL;
	uint32_t version = get32(head + AT_VERSION), bits = get32(head + AT_CLUSTER_BITS);
	size_t length = HEADER_SIZE_V2;
	if (version == 3 && size >= HEADER_SIZE_V3)
		length = get32(head + AT_HEADER_LENGTH);
	else if (version != 2)
		return -EINVAL;
	if (bits < 9 || bits > 21 || length < (version == 3 ? HEADER_SIZE_V3 : HEADER_SIZE_V2) || length % 8 != 0)
		return -EINVAL;
	size_t cluster = (size_t)1 << bits;
	if (length > MIN(size, cluster))
		return -EINVAL;
	ret->virtual_size = get64(head + AT_SIZE);
	if (ret->virtual_size > QCOW2_SIZE_MAX)
		return -EINVAL;
	uint64_t name = get64(head + AT_BACKING_OFFSET);
	uint32_t name_size = get32(head + AT_BACKING_SIZE);
	size_t end = MIN(size, cluster);
	if (name == 0)
		return read_format(head, size, length, end, &ret->backing_format);
	if (name < length || name_size == 0 || name_size > BACKING_MAX || name > end || name_size > end - name)
		return -EINVAL;
	if (memchr(head + name, 0, name_size))
		return -EINVAL;
	ret->backing = xstrndup((const char *)head + name, name_size);
	return read_format(head, size, length, (size_t)name, &ret->backing_format);
}

static ssize_t read_head(int fd, unsigned char **ret)
{
	unsigned char *head = xcalloc(1, CLUSTER_SIZE);
	size_t have = 0;
	while (have < CLUSTER_SIZE) {
		ssize_t n = pread(fd, head + have, CLUSTER_SIZE - have, (off_t)have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int code = errno;
			free(head);
			return -code;
		}
		if (n == 0)
			break;
		have += (size_t)n;
	}
	*ret = head;
	return (ssize_t)have;
}

int qcow2_read_fd(int fd, const char *name, struct qcow2_info *ret, struct error **err)
{
	AUTOFREE unsigned char *head = NULL;
	ssize_t n = read_head(fd, &head);
	if (n < 0)
		return error_set_errno(err, (int)n, "cannot read the disk \"%s\"", name);
	AUTO_QCOW2_INFO struct qcow2_info info = { 0 };
	int r = parse_header(head, (size_t)n, &info);
	if (r < 0)
		return error_set(err, -r, "\"%s\" is not a qcow2 disk, or it is damaged", name);
	*ret = info;
	info = (struct qcow2_info){ 0 };
	return 0;
}

int qcow2_read(const char *path, struct qcow2_info *ret, struct error **err)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot open the disk \"%s\"", path);
	return qcow2_read_fd(fd, path, ret, err);
}

/* Opens an image for a change of its header: the first cluster, checked to be of the shape that
 * qcow2_create makes. */
static int open_own(const char *path, unsigned char **ret_head, int *ret_fd, struct qcow2_info *info,
    struct error **err)
{
	AUTO_FD int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot open the disk \"%s\"", path);
	AUTOFREE unsigned char *head = NULL;
	ssize_t n = read_head(fd, &head);
	if (n < 0)
		return error_set_errno(err, (int)n, "cannot read the disk \"%s\"", path);
	int r = parse_header(head, (size_t)n, info);
	if (r < 0 || n < CLUSTER_SIZE || get32(head + AT_VERSION) != 3 ||
	    get32(head + AT_CLUSTER_BITS) != CLUSTER_BITS || get32(head + AT_HEADER_LENGTH) != HEADER_SIZE ||
	    get32(head + AT_SNAPSHOTS) != 0)
		return error_set(err, EINVAL, "\"%s\" is not a disk that was made here, or it is damaged", path);
	*ret_head = TAKE_PTR(head);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* One write within one block of the host's file system, so that a crash leaves the old or the new
 * header. */
static int write_own(int fd, const unsigned char *head, size_t size, const char *path, struct error **err)
{
	errno = 0;
	if (pwrite(fd, head, size, 0) != (ssize_t)size || fsync(fd) < 0)
		return error_set_errno(err, errno ? errno : EIO, "cannot write the disk \"%s\"", path);
	return 0;
}

int qcow2_grow(const char *path, uint64_t virtual_size, struct error **err)
{
	AUTO_QCOW2_INFO struct qcow2_info info = { 0 };
	AUTOFREE unsigned char *head = NULL;
	AUTO_FD int fd = -1;
	int r = check_size(virtual_size, err);
	if (r < 0 || (r = open_own(path, &head, &fd, &info, err)) < 0)
		return r;
	virtual_size = (virtual_size + 511) & ~511ULL;
	if (virtual_size < info.virtual_size)
		return error_set(err, EINVAL, "the disk \"%s\" has %llu bytes and cannot shrink", path,
		    (unsigned long long)info.virtual_size);
	if (virtual_size > get32(head + AT_L1_SIZE) * L1_ENTRY_SPAN)
		return error_set(err, EFBIG, "the disk \"%s\" can grow to %llu bytes, not more", path,
		    (unsigned long long)(get32(head + AT_L1_SIZE) * L1_ENTRY_SPAN));
	put64(head + AT_SIZE, virtual_size);
	return write_own(fd, head, 512, path, err);
}

int qcow2_set_backing(const char *path, const char *backing, const char *backing_format, struct error **err)
{
	AUTO_QCOW2_INFO struct qcow2_info info = { 0 };
	AUTOFREE unsigned char *head = NULL;
	AUTO_FD int fd = -1;
	int r = open_own(path, &head, &fd, &info, err);
	if (r < 0 || (r = put_backing(head, backing, backing_format, err)) < 0)
		return r;
	return write_own(fd, head, 4096, path, err);
}

int qcow2_walk_chain(const char *path, int (*each)(const char *backing, const char *format, void *data), void *data,
    struct error **err)
{
	AUTOFREE char *at = xstrdup(path);
	for (int depth = 0; depth < QCOW2_CHAIN_MAX; depth++) {
		AUTO_QCOW2_INFO struct qcow2_info info = { 0 };
		int r = qcow2_read(at, &info, err);
		if (r < 0)
			return r;
		if (!info.backing)
			return 0;
		AUTOFREE char *folder = path_parent(at);
		char *below = path_join(folder, info.backing);
		free(at);
		at = below;
		r = each(at, info.backing_format, data);
		if (r != 0 || !streq(info.backing_format, "qcow2"))
			return r;
	}
	return error_set(err, ELOOP, "the disk \"%s\" has more than %d disks below it", path, QCOW2_CHAIN_MAX);
}
