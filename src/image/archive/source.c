/* SPDX-License-Identifier: Apache-2.0
 * Sources of images to load.
 *
 * An archive is unpacked flat: each file under the hash of its path, each link as a symlink to the
 * hash of its target's path. So no path of the archive is ever a path here, whatever it says, and
 * nothing can lead out of the folder. Blobs then become hard links of these files, without a copy.
 *
 * The index of an archive may come last, so the archive is unpacked before it is read. If that
 * would take far more room than the archive, which is unusual, the archive is read twice: first
 * for its documents, then for the members that a string in one of them names. The others take no
 * room. A pipe can be read once only; there the reserve of the file system is the bound. */
#include "image/archive/source.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "image/common/interrupt.h"
#include "image/library/blob.h"

enum { ENTRIES_MAX = 100000, PIECE = 1 << 18, NAMES_MAX = 1 << 20, LINKS_MAX = 8, GROWTH = 4 };
#define USUAL_MIN (UINT64_C(64) << 20)
#define FROM_ROOT ".root" /* behind the name of a symlink: the same, meant from the archive's root */

/* One reading of an archive. */
struct reading {
	struct source *source;
	struct archive *archive;
	const char *what;         /* the archive, in errors */
	uint64_t left;            /* bytes that large members may take */
	size_t skipped;           /* large members beyond that */
	const struct strv *named; /* second reading: flat names of the members to unpack, sorted */
};

/* The name of a file of the archive in the flat folder: the hash of its path in normal form.
 * Owned. */
static char *flat_name(const char *path)
{
	char digest[DIGEST_TEXT_SIZE + 1];
	AUTOFREE char *absolute = xasprintf("/%s", path), *normal = path_normalize(absolute);
	hash_memory(normal, strlen(normal), digest);
	return xstrdup(digest_hex(digest));
}

static int copy_data(struct source *s, struct archive *a, int fd, const char *what, struct error **err)
{
	const void *data;
	size_t size;
	la_int64_t offset, end = 0;
	for (;;) {
		int r = archive_read_data_block(a, &data, &size, &offset);
		/* Zeros at the end were left out. */
		if (r == ARCHIVE_EOF)
			return ftruncate(fd, end) < 0 ? error_set_errno(err, errno, "cannot unpack %s", what) : 0;
		if (r != ARCHIVE_OK)
			return error_set(err, EINVAL, "%s: %s", what, archive_error_string(a));
		r = interrupt_check(err);
		if (r < 0)
			return r;
		r = reserve_take(&s->reserve, fd, size, err);
		if (r < 0)
			return error_prefix(err, r, "cannot unpack %s", what);
		r = size ? fd_write_sparse(fd, data, size, (uint64_t)offset) : 0;
		if (r < 0)
			return error_set_errno(err, r, "cannot unpack %s", what);
		end = offset + (la_int64_t)size;
	}
}

static int make_link(struct source *s, const char *target, const char *name, const char *what, struct error **err)
{
	AUTOFREE char *target_name = flat_name(target);
	unlinkat(s->directory, name, 0);
	return symlinkat(target_name, s->directory, name) < 0 ? error_set_errno(err, errno, "cannot unpack %s", what) :
								0;
}

/* A relative symlink gets a second name, for writers who mean the archive's root. */
static int unpack_link(struct source *s, const char *path, const char *hard, const char *soft, const char *what,
    struct error **err)
{
	AUTOFREE char *name = flat_name(path), *parent = path_parent(path),
		      *from_root = xasprintf("%s" FROM_ROOT, name);
	if (hard || soft[0] == '/')
		return make_link(s, hard ? hard : soft, name, what, err);
	AUTOFREE char *target = xasprintf("%s/%s", parent, soft);
	int r = make_link(s, target, name, what, err);
	return r == 0 ? make_link(s, soft, from_root, what, err) : r;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Whether this reading unpacks a member: documents in the first, and large members while there is
 * room; in the second the named ones that are not there yet. */
static int is_wanted(struct reading *r, const char *flat, uint64_t size)
{
	if (r->named)
		return r->named->count && faccessat(r->source->directory, flat, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
		       bsearch(&flat, r->named->items, r->named->count, sizeof *r->named->items, compare);
	if (size <= OCI_DOCUMENT_MAX)
		return 1;
	int fits = size <= r->left;
	r->left -= fits ? size : 0;
	r->skipped += !fits;
	return fits;
}

static int unpack_entry(struct reading *r, struct archive_entry *e, struct error **err)
{
	struct source *s = r->source;
	const char *what = r->what;
	const char *path = archive_entry_pathname(e), *hard = archive_entry_hardlink(e),
		   *soft = archive_entry_symlink(e);
	if (!path)
		return error_set(err, EINVAL, "%s has an entry whose name cannot be read", what);
	AUTOFREE char *name = flat_name(path);
	if (hard || (archive_entry_filetype(e) == AE_IFLNK && soft))
		return r->named ? 0 : unpack_link(s, path, hard, soft, what, err);
	if (archive_entry_filetype(e) != AE_IFREG || !is_wanted(r, name, (uint64_t)MAX(archive_entry_size(e), 0)))
		return 0;
	unlinkat(s->directory, name, 0);
	AUTO_FD int fd = openat(s->directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot unpack %s", what);
	return copy_data(s, r->archive, fd, what, err);
}

static int unpack_all(struct reading *reading, struct error **err)
{
	struct archive *a = reading->archive;
	const char *what = reading->what;
	struct archive_entry *e;
	for (int count = 0;; count++) {
		int r = archive_read_next_header(a, &e);
		if (r == ARCHIVE_EOF)
			return count > 0 ? 0 : error_set(err, EINVAL, "%s is empty", what);
		if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
			return error_set(err, EINVAL, "%s is not an image archive: %s", what, archive_error_string(a));
		if (count >= ENTRIES_MAX)
			return error_set(err, EFBIG, "%s has more than %d entries", what, ENTRIES_MAX);
		r = unpack_entry(reading, e, err);
		if (r < 0)
			return r;
	}
}

static int make_folder(struct source *s, struct error **err)
{
	uint64_t random = 0;
	ssize_t n UNUSED = getrandom(&random, sizeof random, 0);
	s->unpacked = xasprintf("unpacked-%016llx", (unsigned long long)random);
	if (mkdirat(s->library->root, s->unpacked, 0700) < 0)
		return error_set_errno(err, errno, "cannot create a folder in %s", s->library->path);
	s->directory = openat(s->library->root, s->unpacked, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return s->directory < 0 ? error_set_errno(err, errno, "cannot open a folder in %s", s->library->path) : 0;
}

static int read_archive(struct reading *reading, int fd, struct error **err)
{
	int r;
	reading->archive = archive_read_new();
	archive_read_support_filter_all(reading->archive);
	archive_read_support_format_tar(reading->archive);
	if (archive_read_open_fd(reading->archive, fd, PIECE) != ARCHIVE_OK)
		r = error_set(err, EINVAL, "%s is not an image archive: %s", reading->what,
		    archive_error_string(reading->archive));
	else
		r = unpack_all(reading, err);
	archive_read_free(reading->archive);
	return r;
}

/* Adds the flat name of a member and those that it is a link to. */
static void add_flat(const struct source *s, const char *flat, int depth, struct strv *to)
{
	static const char *const endings[] = { "", FROM_ROOT };
	strv_add(to, flat);
	for (size_t i = 0; i < ARRAY_SIZE(endings) && depth < LINKS_MAX; i++) {
		char target[NAME_MAX + 1];
		AUTOFREE char *link = xasprintf("%s%s", flat, endings[i]);
		ssize_t n = readlinkat(s->directory, link, target, sizeof target - 1);
		target[MAX(n, 0)] = '\0';
		if (n > 0)
			add_flat(s, target, depth + 1, to);
	}
}

/* Adds what a string of a document may name: a path, or by its digest a blob of an OCI layout. */
static void add_named(const struct source *s, const char *text, struct strv *to)
{
	const char *hex = startswith(text, "sha256:");
	AUTOFREE char *blob = hex ? xasprintf("blobs/sha256/%s", hex) : NULL, *flat = flat_name(blob ? blob : text);
	add_flat(s, flat, 0, to);
}

/* Adds what the strings of a document may name. A name has no escapes. 0 or -EFBIG. */
static int add_strings(const struct source *s, const char *text, struct strv *to)
{
	for (const char *at = strchr(text, '"'); at; at = strchr(at, '"')) {
		size_t n = strcspn(++at, "\"");
		AUTOFREE char *name = n > 0 && n < PATH_MAX ? xstrndup(at, n) : NULL;
		if (to->count >= NAMES_MAX)
			return -EFBIG;
		if (name)
			add_named(s, name, to);
		at += n + (at[n] == '"');
	}
	return 0;
}

/* Collects the flat names of all members that a document in the folder names. */
static int collect_named(const struct source *s, struct strv *to, struct error **err)
{
	int r = 0;
	DIR *d = path_list(s->directory);
	if (!d)
		return error_set_errno(err, errno, "cannot read a folder in %s", s->library->path);
	for (struct dirent *e; r >= 0 && (e = readdir(d));) {
		AUTOFREE char *text = NULL;
		AUTO_FD int fd = openat(s->directory, e->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0 && fd_read_all(fd, OCI_DOCUMENT_MAX, &text, NULL) >= 0 && (*text == '{' || *text == '['))
			r = add_strings(s, text, to);
	}
	closedir(d);
	if (r < 0)
		return error_set(err, EFBIG, "the documents of the archive have more than %d strings", NAMES_MAX);
	if (to->count)
		qsort(to->items, to->count, sizeof *to->items, compare);
	return 0;
}

/* The bytes that large members of an archive usually have, at most; no bound for what cannot be
 * read twice. */
static uint64_t usual_size(int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || lseek(fd, 0, SEEK_CUR) != 0)
		return UINT64_MAX;
	return (uint64_t)st.st_size * GROWTH + USUAL_MIN;
}

/* Whether the large members of an archive can be passed over without reading them: it is a file
 * that begins with a tar header (POSIX ustar: "ustar" at 257). */
static int is_plain_tar(int fd)
{
	enum { MAGIC_AT = 257 };
	char magic[5];
	return usual_size(fd) != UINT64_MAX && pread(fd, magic, sizeof magic, MAGIC_AT) == sizeof magic &&
	       memcmp(magic, "ustar", sizeof magic) == 0;
}

static int unpack(struct source *s, int fd, const char *what, source_look look, void *data, struct error **err)
{
	AUTO_STRV struct strv named = { 0 };
	struct reading first = {
		.source = s,
		.what = what,
		.left = look && is_plain_tar(fd) ? 0 : usual_size(fd),
	};
	struct reading second = { .source = s, .what = what, .named = &named };
	int r = make_folder(s, err);
	if (r == 0)
		r = read_archive(&first, fd, err);
	if (r == 0 && look)
		r = look(s, data, err);
	if (r < 0 || first.skipped == 0)
		return r;
	if ((r = collect_named(s, &named, err)) < 0)
		return r;
	return lseek(fd, 0, SEEK_SET) < 0 ? error_set_errno(err, errno, "cannot read %s again", what) :
					    read_archive(&second, fd, err);
}

int source_open(struct library *l, const char *path, source_look look, void *data, struct source *ret,
    struct error **err)
{
	struct stat st;
	int from_stdin = streq(path, "-");
	*ret = SOURCE_NONE;
	ret->library = l;
	AUTO_FD int fd = from_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set_errno(err, errno, "cannot open %s", path);
	if (from_stdin && isatty(fd))
		return error_set(err, EINVAL,
		    "standard input is a terminal; give it an archive: holm image load - < FILE");
	int r = 0;
	if (S_ISDIR(st.st_mode)) {
		ret->directory = TAKE_FD(fd);
		r = look ? look(ret, data, err) : 0;
	} else {
		r = unpack(ret, fd, from_stdin ? "standard input" : path, look, data, err);
	}
	if (r < 0)
		source_done(ret);
	return r;
}

void source_done(struct source *s)
{
	fd_close(TAKE_FD(s->directory));
	if (s->unpacked)
		path_remove_tree(s->library->root, s->unpacked);
	free(TAKE_PTR(s->unpacked));
}

/* The file that a symlink of a directory means from the root. Descriptor or -errno. */
static int open_from_root(const struct source *s, const char *path)
{
	char target[PATH_MAX];
	AUTO_FD int link = path_open_in_root(s->directory, path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
	ssize_t n = link < 0 ? -1 : readlinkat(link, "", target, sizeof target - 1);
	if (n < 0)
		return -ENOENT;
	target[n] = '\0';
	return path_open_in_root(s->directory, target, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
}

int source_open_file(const struct source *s, const char *path)
{
	if (!s->unpacked) {
		int fd = path_open_in_root(s->directory, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
		return fd == -ENOENT ? open_from_root(s, path) : fd;
	}
	AUTOFREE char *name = flat_name(path), *from_root = xasprintf("%s" FROM_ROOT, name);
	int fd = path_open_in_root(s->directory, name, O_RDONLY | O_CLOEXEC, 0);
	return fd == -ENOENT ? path_open_in_root(s->directory, from_root, O_RDONLY | O_CLOEXEC, 0) : fd;
}

int source_read_file(const struct source *s, const char *path, char **ret, size_t *ret_size, struct error **err)
{
	AUTO_FD int fd = source_open_file(s, path);
	if (fd == -ENOENT)
		return fd;
	int r = fd < 0 ? fd : fd_read_all(fd, OCI_DOCUMENT_MAX, ret, ret_size);
	return r < 0 ? error_set_errno(err, r, "cannot read %s", path) : 0;
}

/* Copies an open file into a blob. */
static int import_copy(const struct source *s, int fd, const char *digest, uint64_t size, char *ret_digest,
    struct error **err)
{
	AUTO_BLOB_WRITER struct blob_writer w = BLOB_WRITER_NONE;
	AUTOFREE char *piece = xmalloc(PIECE);
	int r =
	    digest ? blob_writer_open(s->library, digest, size, 0, &w, err) : blob_writer_open_new(s->library, &w, err);
	while (r == 0) {
		ssize_t n = fd_read_full(fd, piece, PIECE);
		r = n < 0 ? error_set_errno(err, (int)n, "cannot read it") : interrupt_check(err);
		if (r == 0 && n > 0)
			r = blob_writer_write(&w, piece, n, err);
		if (r < 0 || n == 0)
			break;
	}
	return r == 0 ? blob_writer_commit(&w, ret_digest, err) : r;
}

/* An unpacked file becomes the blob itself. */
static int import_link(const struct source *s, int fd, const char *path, const char *digest, char *ret_digest,
    struct error **err)
{
	AUTOFREE char *name = flat_name(path), *piece = xmalloc(PIECE);
	AUTO_HASH struct hash h;
	ssize_t n;
	int r = 0;
	hash_init(&h);
	while (r == 0 && (n = fd_read_full(fd, piece, PIECE)) != 0) {
		r = n < 0 ? error_set_errno(err, (int)n, "cannot read it") : interrupt_check(err);
		if (r == 0)
			hash_update(&h, piece, n);
	}
	if (r < 0)
		return r;
	hash_text(&h, ret_digest);
	if (digest && !streq(digest, ret_digest))
		return error_set(err, EBADMSG, "wrong digest: it should be %s and is %s", digest, ret_digest);
	if (library_has_blob(s->library, ret_digest, UINT64_MAX))
		return 0;
	if (fsync(fd) < 0 ||
	    (linkat(s->directory, name, s->library->blobs, digest_hex(ret_digest), 0) < 0 && errno != EEXIST) ||
	    fsync(s->library->blobs) < 0)
		return error_set_errno(err, errno, "cannot write to %s", s->library->path);
	return 0;
}

int source_import(const struct source *s, const char *path, const char *digest, uint64_t size, char *ret_digest,
    uint64_t *ret_size, struct error **err)
{
	struct stat st, own;
	if (digest && library_has_blob(s->library, digest, size)) {
		memcpy(ret_digest, digest, DIGEST_TEXT_SIZE + 1);
		*ret_size = size;
		return 0;
	}
	AUTO_FD int fd = source_open_file(s, path);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return error_set(err, EINVAL, "the image has no file %s, which it names", path);
	*ret_size = st.st_size;
	if (size != UINT64_MAX && *ret_size != size)
		return error_set(err, EBADMSG, "%s has %llu bytes, not %llu", path, (unsigned long long)st.st_size,
		    (unsigned long long)size);
	AUTOFREE char *name = flat_name(path);
	int plain = s->unpacked && fstatat(s->directory, name, &own, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(own.st_mode);
	int r = plain ? import_link(s, fd, path, digest, ret_digest, err) :
			import_copy(s, fd, digest, *ret_size, ret_digest, err);
	return r < 0 ? error_prefix(err, r, "%s", path) : 0;
}
