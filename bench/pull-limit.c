/* SPDX-License-Identifier: Apache-2.0
 * The limit of a pull: reads the blobs of an image, takes the digest of each as it is and
 * uncompressed, and writes the uncompressed bytes, on two cores.
 *
 *   pull-limit DIRECTORY BLOB...
 *
 * One thread reads, hashes and inflates (ISA-L, zstd); the other hashes what comes out and writes
 * it to DIRECTORY/N, which the caller syncs. The digests go to stdout, so that nothing can be left
 * out. The blobs are local files: a registry would add its own time. */
#include <fcntl.h>
#include <isa-l/igzip_lib.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
	EVP_MD_CTX *hash;
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
		slot->last = ended;
		step(&filled);
	}
	close(s->fd);
	print_digest(s->hash);
}

/* ---- the writing side ---- */

struct job {
	const char *directory;
	int count;
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

static void *write_blobs(void *data)
{
	const struct job *job = data;
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	EVP_DigestInit_ex(hash, EVP_sha256(), NULL);
	for (int i = 0; i < job->count; i++) {
		char path[PATH_SIZE];
		snprintf(path, sizeof path, "%s/%d", job->directory, i);
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (fd < 0)
			fail(path);
		for (int last = 0; !last;) {
			const struct slot *slot = full();
			EVP_DigestUpdate(hash, slot->data, slot->size);
			write_whole(fd, slot->data, slot->size);
			last = slot->last;
			step(&taken);
		}
		close(fd);
		print_digest(hash);
	}
	EVP_MD_CTX_free(hash);
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fputs("usage: pull-limit DIRECTORY BLOB...\n", stderr);
		return 2;
	}
	static struct source s;
	struct job job = { argv[1], argc - 2 };
	pthread_t writer;
	s.zstd = ZSTD_createDStream();
	s.hash = EVP_MD_CTX_new();
	EVP_DigestInit_ex(s.hash, EVP_sha256(), NULL);
	for (int i = 0; i < SLOTS; i++)
		slots[i].data = malloc(SLOT_SIZE);
	if (pthread_create(&writer, NULL, write_blobs, &job) != 0)
		fail("pthread_create");
	for (int i = 2; i < argc; i++)
		read_blob(&s, argv[i]);
	pthread_join(writer, NULL);
	return 0;
}
