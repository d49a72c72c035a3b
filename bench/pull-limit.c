/* SPDX-License-Identifier: Apache-2.0
 * The limit of a pull: reads the blobs of an image, takes the digest of each as it is and
 * uncompressed, and writes the uncompressed bytes, on two cores.
 *
 *   pull-limit [--files] DIRECTORY BLOB...
 *
 * One thread reads, hashes and inflates (ISA-L, zstd); the other hashes what comes out and writes
 * it to DIRECTORY/N, which the caller syncs. With --files, DIRECTORY/N is a directory and gets the
 * files of the tar stream, with modes and times, without owners: what a tree cannot do without.
 * Then the first thread hashes both, as making files takes as long as hashing and inflating.
 *
 * The digests go to stdout, so that nothing can be left out. The blobs are local files: a registry
 * would add its own time. */
#include <fcntl.h>
#include <isa-l/igzip_lib.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

enum { SLOTS = 8, SLOT_SIZE = 1 << 20, INPUT_SIZE = 1 << 20, PATH_SIZE = 4096 };

struct slot {
	unsigned char *data;
	size_t size;
	int last; /* of its blob */
};

static struct slot slots[SLOTS];
static size_t filled, taken;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static struct slot *room(void)
{
	pthread_mutex_lock(&mutex);
	while (filled - taken == SLOTS)
		pthread_cond_wait(&changed, &mutex);
	pthread_mutex_unlock(&mutex);
	return &slots[filled % SLOTS];
}

static void step(size_t *count)
{
	pthread_mutex_lock(&mutex);
	++*count;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&mutex);
}

static struct slot *full(void)
{
	pthread_mutex_lock(&mutex);
	while (filled == taken)
		pthread_cond_wait(&changed, &mutex);
	pthread_mutex_unlock(&mutex);
	return &slots[taken % SLOTS];
}

static void print_digest(EVP_MD_CTX *hash)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned size;
	EVP_DigestFinal_ex(hash, digest, &size);
	for (unsigned i = 0; i < size; i++)
		printf("%02x", digest[i]);
	putchar('\n');
	EVP_DigestInit_ex(hash, EVP_sha256(), NULL);
}

/* ---- the reading side ---- */

struct source {
	int fd, kind; /* the first byte */
	unsigned char input[INPUT_SIZE];
	size_t size, at;
	struct inflate_state gzip;
	ZSTD_DStream *zstd;
	EVP_MD_CTX *hash, *inflated; /* the second: NULL, as the other side hashes what comes out */
};

static int more(struct source *s)
{
	ssize_t n = read(s->fd, s->input, INPUT_SIZE);
	if (n < 0)
		fail("read");
	EVP_DigestUpdate(s->hash, s->input, (size_t)n);
	s->size = (size_t)n;
	s->at = 0;
	return n > 0;
}

static size_t inflate_gzip(struct source *s, unsigned char *out, size_t size)
{
	s->gzip.next_in = s->input + s->at;
	s->gzip.avail_in = (uint32_t)(s->size - s->at);
	s->gzip.next_out = out;
	s->gzip.avail_out = (uint32_t)size;
	if (isal_inflate(&s->gzip) != ISAL_DECOMP_OK) {
		fputs("pull-limit: a damaged gzip stream\n", stderr);
		exit(1);
	}
	s->at = s->gzip.block_state == ISAL_BLOCK_FINISH ? s->size : s->size - s->gzip.avail_in;
	return size - s->gzip.avail_out;
}

static size_t inflate_zstd(struct source *s, unsigned char *out, size_t size)
{
	ZSTD_inBuffer from = { s->input, s->size, s->at };
	ZSTD_outBuffer to = { out, size, 0 };
	size_t r = ZSTD_decompressStream(s->zstd, &to, &from);
	if (ZSTD_isError(r)) {
		fprintf(stderr, "pull-limit: %s\n", ZSTD_getErrorName(r));
		exit(1);
	}
	s->at = from.pos;
	return to.pos;
}

static size_t decode(struct source *s, unsigned char *out, size_t size)
{
	if (s->kind == 0x1f)
		return inflate_gzip(s, out, size);
	if (s->kind == 0x28)
		return inflate_zstd(s, out, size);
	size_t n = s->size - s->at < size ? s->size - s->at : size;
	memcpy(out, s->input + s->at, n);
	s->at += n;
	return n;
}

static void read_blob(struct source *s, const char *path)
{
	s->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (s->fd < 0 || !more(s))
		fail(path);
	s->kind = s->input[0];
	isal_inflate_init(&s->gzip);
	s->gzip.crc_flag = ISAL_GZIP;
	ZSTD_initDStream(s->zstd);
	for (int ended = 0; !ended;) {
		struct slot *slot = room();
		slot->size = 0;
		while (slot->size < SLOT_SIZE && !ended) {
			size_t n = decode(s, slot->data + slot->size, SLOT_SIZE - slot->size);
			slot->size += n;
			ended = n == 0 && s->at == s->size && !more(s);
		}
		if (s->inflated)
			EVP_DigestUpdate(s->inflated, slot->data, slot->size);
		slot->last = ended;
		step(&filled);
	}
	close(s->fd);
	print_digest(s->hash);
	if (s->inflated)
		print_digest(s->inflated);
}

/* ---- the writing side ---- */

struct job {
	const char *directory;
	int count, files;
};

static void write_whole(int fd, const unsigned char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, data, size);
		if (n < 0)
			fail("write");
		data += n;
		size -= (size_t)n;
	}
}

/* ---- the files of a tar stream, which is trusted ---- */

enum {
	BLOCK = 512,
	NAME_AT = 0,
	MODE_AT = 100,
	SIZE_AT = 124,
	TIME_AT = 136,
	TYPE_AT = 156,
	LINK_AT = 157,
	PREFIX_AT = 345,
	NUMBER_SIZE = 12
};

struct files {
	int root, fd; /* fd: of the file being written, or -1 */
	struct timespec times[2];
	char header[BLOCK];
	size_t have;            /* bytes of the header */
	uint64_t left, padding; /* of the content */
	char text[PATH_SIZE];   /* content that is kept: a long name, a pax header */
	size_t text_size;
	char name[PATH_SIZE], target[PATH_SIZE]; /* "": the header's */
	int keeps;                               /* the content goes to text */
};

static void take_pax(struct files *f)
{
	for (char *at = f->text; at < f->text + f->text_size;) {
		char *end = at + strtoul(at, &at, 10), *value;
		end = end > f->text + f->text_size ? f->text + f->text_size : end;
		if (end <= at || !(value = memchr(at, '=', (size_t)(end - at))))
			return;
		char *to = strncmp(at + 1, "path=", 5) == 0     ? f->name :
			   strncmp(at + 1, "linkpath=", 9) == 0 ? f->target :
								  NULL;
		if (to)
			snprintf(to, PATH_SIZE, "%.*s", (int)(end - value - 2), value + 1);
		at = end;
	}
}

static void end_entry(struct files *f)
{
	if (f->fd >= 0) {
		futimens(f->fd, f->times);
		close(f->fd);
		f->fd = -1;
	}
	if (f->keeps) {
		f->text[f->text_size] = '\0';
		if (f->header[TYPE_AT] == 'x')
			take_pax(f);
		else
			snprintf(f->header[TYPE_AT] == 'K' ? f->target : f->name, PATH_SIZE, "%s", f->text);
	} else {
		f->name[0] = f->target[0] = '\0';
	}
	f->have = f->text_size = 0;
	f->keeps = 0;
}

static void make_entry(struct files *f)
{
	char name[PATH_SIZE], target[PATH_SIZE];
	const char *prefix = memcmp(f->header + 257, "ustar", 6) == 0 ? f->header + PREFIX_AT : "";
	snprintf(name, sizeof name, "%.155s%s%.100s", prefix, *prefix ? "/" : "", f->header + NAME_AT);
	snprintf(target, sizeof target, "%.100s", f->header + LINK_AT);
	const char *path = f->name[0] ? f->name : name, *link = f->target[0] ? f->target : target;
	mode_t mode = (mode_t)strtoul(f->header + MODE_AT, NULL, 8);
	path += strspn(path, "./");
	f->times[0].tv_sec = f->times[1].tv_sec = (time_t)strtoull(f->header + TIME_AT, NULL, 8);
	int r = 0;
	switch (f->header[TYPE_AT]) {
	case '5':
		r = *path ? mkdirat(f->root, path, mode | S_IRWXU) : 0;
		break;
	case '2':
		r = symlinkat(link, f->root, path);
		if (r == 0)
			utimensat(f->root, path, f->times, AT_SYMLINK_NOFOLLOW);
		break;
	case '1':
		r = linkat(f->root, link + strspn(link, "./"), f->root, path, 0);
		break;
	case '0':
	case '\0':
		f->fd = r = openat(f->root, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
		break;
	default:
		break;
	}
	if (r < 0)
		fail(path);
}

static void begin_entry(struct files *f)
{
	char number[NUMBER_SIZE + 1] = "";
	if (f->header[0] == '\0') { /* the end */
		f->have = 0;
		return;
	}
	memcpy(number, f->header + SIZE_AT, NUMBER_SIZE);
	f->left = strtoull(number, NULL, 8);
	f->padding = (BLOCK - f->left % BLOCK) % BLOCK;
	f->keeps = strchr("LKx", f->header[TYPE_AT]) != NULL && f->header[TYPE_AT] != '\0';
	if (!f->keeps && f->header[TYPE_AT] != 'g')
		make_entry(f);
	if (f->left == 0)
		end_entry(f);
}

static size_t add_content(struct files *f, const unsigned char *data, size_t size)
{
	size_t n = f->left < size ? (size_t)f->left : size;
	if (f->fd >= 0)
		write_whole(f->fd, data, n);
	else if (f->keeps && f->text_size + n < PATH_SIZE) {
		memcpy(f->text + f->text_size, data, n);
		f->text_size += n;
	}
	f->left -= n;
	if (f->left == 0 && f->padding == 0)
		end_entry(f);
	return n;
}

static void add_tar(struct files *f, const unsigned char *data, size_t size)
{
	for (size_t n; size > 0; data += n, size -= n) {
		if (f->left > 0) {
			n = add_content(f, data, size);
		} else if (f->padding > 0) {
			n = f->padding < size ? (size_t)f->padding : size;
			f->padding -= n;
			if (f->padding == 0)
				end_entry(f);
		} else {
			n = BLOCK - f->have < size ? BLOCK - f->have : size;
			memcpy(f->header + f->have, data, n);
			f->have += n;
			if (f->have == BLOCK)
				begin_entry(f);
		}
	}
}

static int open_output(const struct job *job, const char *path)
{
	if (job->files && mkdir(path, S_IRWXU) < 0)
		return -1;
	return job->files ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) :
			    open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

static void *write_blobs(void *data)
{
	static struct files files;
	const struct job *job = data;
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	EVP_DigestInit_ex(hash, EVP_sha256(), NULL);
	for (int i = 0; i < job->count; i++) {
		char path[PATH_SIZE];
		snprintf(path, sizeof path, "%s/%d", job->directory, i);
		int fd = open_output(job, path);
		if (fd < 0)
			fail(path);
		files = (struct files){ .root = fd, .fd = -1 };
		for (int last = 0; !last;) {
			const struct slot *slot = full();
			if (job->files) {
				add_tar(&files, slot->data, slot->size);
			} else {
				EVP_DigestUpdate(hash, slot->data, slot->size);
				write_whole(fd, slot->data, slot->size);
			}
			last = slot->last;
			step(&taken);
		}
		close(fd);
		if (!job->files)
			print_digest(hash);
	}
	EVP_MD_CTX_free(hash);
	return NULL;
}

int main(int argc, char **argv)
{
	int files = argc > 1 && strcmp(argv[1], "--files") == 0;
	argc -= files;
	argv += files;
	if (argc < 3) {
		fputs("usage: pull-limit [--files] DIRECTORY BLOB...\n", stderr);
		return 2;
	}
	static struct source s;
	struct job job = { argv[1], argc - 2, files };
	umask(0);
	pthread_t writer;
	s.zstd = ZSTD_createDStream();
	s.hash = EVP_MD_CTX_new();
	EVP_DigestInit_ex(s.hash, EVP_sha256(), NULL);
	if (files) {
		s.inflated = EVP_MD_CTX_new();
		EVP_DigestInit_ex(s.inflated, EVP_sha256(), NULL);
	}
	for (int i = 0; i < SLOTS; i++)
		slots[i].data = malloc(SLOT_SIZE);
	if (pthread_create(&writer, NULL, write_blobs, &job) != 0)
		fail("pthread_create");
	for (int i = 2; i < argc; i++)
		read_blob(&s, argv[i]);
	pthread_join(writer, NULL);
	return 0;
}
