/* SPDX-License-Identifier: Apache-2.0
 * list-tree DIR | list-tree --disk FILE: one line for each path below, with everything about it, in
 * the same words for a folder on the host and for the inside of an ext4 file, so that the two can
 * be compared with diff(1) after sort(1). A disk's own lost+found is left out.
 *
 * PATH TYPE MODE UID GID LINKS SIZE DEVICE MTIME TARGET SHA256 XATTR=HEX... (links of directories,
 * sizes of what has no content, and times of symlinks are as file systems like them: "-") */
#include <errno.h>
#include <ext2fs/ext2fs.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/fd.h"
#include "base/strv.h"

enum { PATH_SIZE = 65536, VALUE_SIZE = 65536 };

struct item {
	const char *path;
	struct stat st;
	const char *target;
	EVP_MD_CTX *hash; /* of files */
	struct strv xattrs;
};

static void print_text(const char *s)
{
	for (; *s; s++) {
		if (*s > ' ' && *s < 127 && *s != '%')
			putchar(*s);
		else
			printf("%%%02x", (unsigned char)*s);
	}
}

/* The ids of access control entries that have none are whatever the reader makes of them. */
static void add_xattr(struct item *i, const char *name, const unsigned char *value, size_t size)
{
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, 1 << 20);
	buffer_appendf(&b, "%s=", name);
	int acl = startswith(name, "system.posix_acl") != NULL;
	for (size_t n = 0; n < size; n++) {
		size_t entry = n < 4 ? 0 : 4 + (n - 4) / 8 * 8;
		int no_id = acl && n >= 8 && (n - 4) % 8 >= 4 && value[entry] != 2 && value[entry] != 8;
		buffer_appendf(&b, "%02x", no_id ? 0 : value[n]);
	}
	strv_add(&i->xattrs, buffer_string(&b));
}

static void print_hash(struct item *i)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned size = 0;
	EVP_DigestFinal_ex(i->hash, digest, &size);
	for (unsigned n = 0; n < 16; n++)
		printf("%02x", digest[n]);
}

static void print_item(struct item *i)
{
	static const char types[] = "?pc?d?b?-?l?s???";
	mode_t type = i->st.st_mode & S_IFMT;
	print_text(i->path[0] ? i->path : "/");
	printf(" %c %04o %u %u ", types[type >> 12], i->st.st_mode & 07777, i->st.st_uid, i->st.st_gid);
	if (type == S_IFDIR)
		printf("- ");
	else
		printf("%ju ", (uintmax_t)i->st.st_nlink);
	if (type == S_IFREG)
		printf("%jd ", (intmax_t)i->st.st_size);
	else
		printf("- ");
	if (type == S_IFCHR || type == S_IFBLK)
		printf("%u:%u ", major(i->st.st_rdev), minor(i->st.st_rdev));
	else
		printf("- ");
	if (type == S_IFLNK)
		printf("- ");
	else
		printf("%jd.%09ld ", (intmax_t)i->st.st_mtim.tv_sec, i->st.st_mtim.tv_nsec);
	print_text(i->target ? i->target : "-");
	putchar(' ');
	if (type == S_IFREG)
		print_hash(i);
	else
		putchar('-');
	strv_sort(&i->xattrs);
	for (size_t n = 0; n < i->xattrs.count; n++) {
		putchar(' ');
		print_text(i->xattrs.items[n]);
	}
	putchar('\n');
	strv_done(&i->xattrs);
}

static EVP_MD_CTX *hash;
static unsigned char data[1 << 20];

/* --- a folder --- */

static size_t root_length;

static void read_host_file(const char *path)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		perror(path);
		exit(1);
	}
	for (ssize_t n; (n = read(fd, data, sizeof data)) > 0;)
		EVP_DigestUpdate(hash, data, (size_t)n);
}

static void read_host_xattrs(struct item *i, const char *path)
{
	static char names[VALUE_SIZE], value[VALUE_SIZE];
	ssize_t size = llistxattr(path, names, sizeof names);
	for (char *name = names; size > 0 && name < names + size; name += strlen(name) + 1) {
		ssize_t n = lgetxattr(path, name, value, sizeof value);
		if (n >= 0)
			add_xattr(i, name, (unsigned char *)value, (size_t)n);
	}
}

static int visit(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	static char target[PATH_SIZE];
	struct item i = { .path = path + root_length, .st = *st, .hash = hash };
	EVP_DigestInit_ex(hash, EVP_sha256(), NULL);
	if (S_ISREG(st->st_mode))
		read_host_file(path);
	if (S_ISLNK(st->st_mode)) {
		ssize_t n = readlink(path, target, sizeof target - 1);
		target[n < 0 ? 0 : n] = 0;
		i.target = target;
	}
	read_host_xattrs(&i, path);
	print_item(&i);
	return 0;
}

/* --- a disk --- */

static ext2_filsys fs;

static void check(errcode_t code, const char *what)
{
	if (code) {
		fprintf(stderr, "%s: %s\n", what, error_message(code));
		exit(1);
	}
}

static void read_disk_file(ext2_ino_t number, char *target)
{
	ext2_file_t file;
	unsigned n = 0;
	check(ext2fs_file_open(fs, number, 0, &file), "open");
	for (;;) {
		check(ext2fs_file_read(file, data, sizeof data, &n), "read");
		if (n == 0)
			break;
		if (target)
			memcpy(target, data, MIN(n, (unsigned)PATH_SIZE - 1));
		else
			EVP_DigestUpdate(hash, data, n);
	}
	ext2fs_file_close(file);
}

struct attributes {
	struct item *item;
	struct ext2_xattr_handle *handle;
};

/* What iterating gives is as it lies on the disk; what getting gives is what the kernel would. */
static int each_xattr(char *name, char *raw, size_t raw_size, void *attributes)
{
	struct attributes *a = attributes;
	void *value = NULL;
	size_t size = 0;
	check(ext2fs_xattr_get(a->handle, name, &value, &size), name);
	add_xattr(a->item, name, value, size);
	ext2fs_free_mem(&value);
	return 0;
}

static void read_disk_xattrs(struct item *i, ext2_ino_t number)
{
	struct attributes a = { .item = i };
	check(ext2fs_xattrs_open(fs, number, &a.handle), "xattrs");
	check(ext2fs_xattrs_read(a.handle), "xattrs");
	check(ext2fs_xattrs_iterate(a.handle, each_xattr, &a), "xattrs");
	ext2fs_xattrs_close(&a.handle);
}

/* target: PATH_SIZE zeroed bytes, filled when the inode itself holds a link's text. */
static void stat_disk(ext2_ino_t number, struct item *i, char *target)
{
	union {
		struct ext2_inode_large inode;
		unsigned char bytes[256];
	} b;
	check(ext2fs_read_inode_full(fs, number, (struct ext2_inode *)&b, sizeof b), "inode");
	const struct ext2_inode_large *n = &b.inode;
	i->st.st_mode = n->i_mode;
	i->st.st_uid = inode_uid(*n);
	i->st.st_gid = inode_gid(*n);
	i->st.st_nlink = n->i_links_count;
	i->st.st_size = (off_t)EXT2_I_SIZE(n);
	i->st.st_mtim.tv_sec = (int32_t)n->i_mtime + ((int64_t)(n->i_mtime_extra & 3) << 32);
	i->st.st_mtim.tv_nsec = n->i_mtime_extra >> 2;
	uint32_t old = n->i_block[0], wide = n->i_block[1];
	i->st.st_rdev = old ? makedev(old >> 8 & 0xff, old & 0xff) :
			      makedev(wide >> 8 & 0xfff, (wide & 0xff) | (wide >> 12 & 0xfff00));
	if (LINUX_S_ISLNK(n->i_mode) && i->st.st_size < 60)
		memcpy(target, n->i_block, (size_t)i->st.st_size);
}

static void list_disk(ext2_ino_t number, const char *path);

struct where {
	const char *path;
	struct strv names;
	ext2_ino_t *numbers;
};

static int each_name(ext2_ino_t directory, int entry, struct ext2_dir_entry *e, int offset, int size, char *buffer,
    void *where)
{
	struct where *w = where;
	if (entry != DIRENT_OTHER_FILE)
		return 0;
	w->numbers = xrealloc(w->numbers, w->names.count + 1, sizeof *w->numbers);
	w->numbers[w->names.count] = e->inode;
	strv_addf(&w->names, "%s/%.*s", w->path, ext2fs_dirent_name_len(e), e->name);
	return 0;
}

static void list_disk(ext2_ino_t number, const char *path)
{
	static char target[PATH_SIZE];
	struct item i = { .path = path, .hash = hash };
	if (streq(path, "/lost+found"))
		return;
	memset(target, 0, sizeof target);
	stat_disk(number, &i, target);
	EVP_DigestInit_ex(hash, EVP_sha256(), NULL);
	if (S_ISREG(i.st.st_mode))
		read_disk_file(number, NULL);
	if (S_ISLNK(i.st.st_mode)) {
		if (!*target)
			read_disk_file(number, target);
		i.target = target;
	}
	read_disk_xattrs(&i, number);
	print_item(&i);
	if (!S_ISDIR(i.st.st_mode))
		return;
	struct where w = { .path = path };
	check(ext2fs_dir_iterate2(fs, number, 0, NULL, each_name, &w), "directory");
	for (size_t n = 0; n < w.names.count; n++)
		list_disk(w.numbers[n], w.names.items[n]);
	strv_done(&w.names);
	free(w.numbers);
}

int main(int argc, char **argv)
{
	hash = EVP_MD_CTX_new();
	if (argc == 3 && streq(argv[1], "--disk")) {
		check(ext2fs_open(argv[2], EXT2_FLAG_64BITS, 0, 0, unix_io_manager, &fs), argv[2]);
		list_disk(EXT2_ROOT_INO, "");
		return 0;
	}
	if (argc != 2)
		return 2;
	root_length = strlen(argv[1]);
	return nftw(argv[1], visit, 64, FTW_PHYS) == 0 ? 0 : 1;
}
