/* SPDX-License-Identifier: Apache-2.0
 * Theory of operation: a thread reads the blob, decodes it into a ring of buffers and hashes what
 * is in them; the caller takes them out and gives them to the tar reader, which works in place.
 * Nothing is copied between the decoder's output and the page cache.
 *
 * Why a thread, where the rule is one loop per process: decoding and hashing take half of the time
 * of making a disk or a tree, and writing it the rest, so doing both at once nearly halves it.
 * A process in the thread's place would cost a copy of every byte through a pipe and the start of
 * a program for each layer. The thread has no part in anything but its decoder and the ring: all
 * that both sides touch is under `mutex`, and it ends before layer_reader_free() returns. It blocks
 * nowhere but on the ring and in poll(2) on the blob and `stop_fd`.
 *
 * A blob is a stranger's: what it expands to is capped, in bytes and against its own size.
 */
#include "oci/layer.h"

#include <errno.h>
#include <openssl/evp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "oci/layer_decode.h"

enum { RING = 4, SLOT_SIZE = 512 << 10, INPUT_SIZE = 128 << 10 };

const struct layer_limits layer_default_limits = {
	.max_bytes = 1ULL << 40,
	.max_ratio = 1100,
	.ratio_from = 64ULL << 30,
};

struct slot {
	unsigned char *data;
	size_t size;
};

struct layer_reader {
	/* Set before the thread starts, then only read. */
	int fd, stop_fd;
	struct layer_limits limits;

	/* The thread's own. */
	pthread_t thread;
	int started;
	const struct layer_codec *codec;
	struct layer_decoder *decoder;
	unsigned char *input;
	const unsigned char *input_at;
	size_t input_left;
	int input_ended;
	uint64_t made;
	EVP_MD_CTX *hash; /* of what was made; the caller's when the thread has finished */

	/* Both sides', under mutex. */
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct slot slots[RING];
	size_t filled, taken; /* counts of slots, ever */
	uint64_t position;    /* in the blob */
	int finished, stop, code;
	struct error *error;

	/* The caller's own. */
	int holding; /* the slot `taken` is in the caller's hands */
	char digest[7 + 64 + 1];
};

/* One read of the blob, waiting for it or for the order to stop: bytes, 0 at the end, -errno. */
static ssize_t read_blob(struct layer_reader *l, unsigned char *to, size_t size, struct error **err)
{
	struct pollfd polls[] = { { .fd = l->fd, .events = POLLIN }, { .fd = l->stop_fd, .events = POLLIN } };
	for (;;) {
		if (poll(polls, 2, -1) < 0 && errno != EINTR)
			return error_set_errno(err, errno, "cannot wait for the layer's data");
		if (polls[1].revents)
			return -ECANCELED;
		ssize_t n = read(l->fd, to, size);
		if (n >= 0) {
			pthread_mutex_lock(&l->mutex);
			l->position += (uint64_t)n;
			pthread_mutex_unlock(&l->mutex);
			return n;
		}
		if (errno != EINTR && errno != EAGAIN)
			return error_set_errno(err, errno, "cannot read the layer's data");
	}
}

/* Adds a read's worth to the input: at its start when it is empty. */
static int more_input(struct layer_reader *l, struct error **err)
{
	if (l->input_left == 0)
		l->input_at = l->input;
	size_t used = (size_t)(l->input_at - l->input) + l->input_left;
	ssize_t n = read_blob(l, l->input + used, INPUT_SIZE - used, err);
	if (n < 0)
		return (int)n;
	l->input_left += (size_t)n;
	l->input_ended = n == 0;
	return 0;
}

/* The first bytes decide about the codec; a pipe may give them one by one. */
static int choose_codec(struct layer_reader *l, struct error **err)
{
	while (l->input_left < LAYER_MAGIC_SIZE && !l->input_ended) {
		int r = more_input(l, err);
		if (r < 0)
			return r;
	}
	l->codec = layer_codec_find(l->input, l->input_left);
	l->decoder = l->codec->new ();
	return 0;
}

static int check_limits(struct layer_reader *l, struct error **err)
{
	uint64_t in = l->position > 0 ? l->position : 1; /* only this thread changes it */
	if (l->made > l->limits.max_bytes)
		return error_set(err, E2BIG, "it expands to more than %llu bytes",
		    (unsigned long long)l->limits.max_bytes);
	if (l->made > l->limits.ratio_from && l->made / in > l->limits.max_ratio)
		return error_set(err, E2BIG, "%llu bytes expand to more than %llu: that is a compression bomb",
		    (unsigned long long)in, (unsigned long long)l->made);
	return 0;
}

/* Fills a slot as far as it goes: 0, or -errno. An empty slot is the end. */
static int fill_slot(struct layer_reader *l, struct slot *s, struct error **err)
{
	s->size = 0;
	while (s->size < SLOT_SIZE) {
		if (l->input_left == 0 && !l->input_ended) {
			int r = more_input(l, err);
			if (r < 0)
				return r;
		}
		size_t before = l->input_left;
		ssize_t n = l->codec->decode(l->decoder, &l->input_at, &l->input_left, s->data + s->size,
		    SLOT_SIZE - s->size, err);
		if (n < 0)
			return (int)n;
		s->size += (size_t)n;
		l->made += (uint64_t)n;
		if (n > 0 || l->input_left != before || (l->input_left == 0 && !l->input_ended))
			continue;
		/* No step was made though all that there is was offered. */
		if (l->input_left > 0 || !l->codec->complete(l->decoder))
			return error_set(err, EBADMSG, "the %s stream ends in the middle: the layer is cut off",
			    l->codec->name);
		break;
	}
	if (EVP_DigestUpdate(l->hash, s->data, s->size) != 1)
		return error_set(err, EIO, "libcrypto cannot hash");
	return check_limits(l, err);
}

/* The slot to fill next, or NULL when the reader is being freed. */
static struct slot *wait_for_room(struct layer_reader *l)
{
	pthread_mutex_lock(&l->mutex);
	while (!l->stop && l->filled - l->taken == RING)
		pthread_cond_wait(&l->changed, &l->mutex);
	struct slot *s = l->stop ? NULL : &l->slots[l->filled % RING];
	pthread_mutex_unlock(&l->mutex);
	return s;
}

static void *decode_thread(void *data)
{
	struct layer_reader *l = data;
	struct error *error = NULL;
	int r = choose_codec(l, &error);
	for (int ended = 0; !ended;) {
		struct slot *s = wait_for_room(l);
		if (!s)
			break;
		if (r == 0)
			r = fill_slot(l, s, &error);
		pthread_mutex_lock(&l->mutex);
		ended = r < 0 || s->size == 0;
		if (ended) {
			l->finished = 1;
			l->code = r;
			l->error = TAKE_PTR(error);
		} else {
			l->filled++;
		}
		pthread_cond_broadcast(&l->changed);
		pthread_mutex_unlock(&l->mutex);
	}
	error_free(error);
	return NULL;
}

/* Signals are for the thread that runs the loop. */
static int start_thread(struct layer_reader *l)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int r = -pthread_create(&l->thread, NULL, decode_thread, l);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	l->started = r == 0;
	return r;
}

static int known_media_type(const char *type)
{
	static const char *const ends[] = { ".tar", ".tar+gzip", ".tar+zstd", ".tar.gzip", ".tar.zstd", "tar+gzip",
		"/x-tar", "/gzip" };
	for (size_t i = 0; type && i < ARRAY_SIZE(ends); i++)
		if (endswith(type, ends[i]))
			return 1;
	return !type;
}

int layer_reader_open(int fd, const char *media_type, const struct layer_limits *limits, struct layer_reader **ret,
    struct error **err)
{
	if (!known_media_type(media_type))
		return error_set(err, EOPNOTSUPP, "layers of the type \"%s\" cannot be read", media_type);
	CLEANUP(layer_reader_freep) struct layer_reader *l = xnew(struct layer_reader);
	l->fd = fd;
	l->limits = limits ? *limits : layer_default_limits;
	pthread_mutex_init(&l->mutex, NULL);
	pthread_cond_init(&l->changed, NULL);
	l->stop_fd = eventfd(0, EFD_CLOEXEC);
	l->input = xmalloc(INPUT_SIZE);
	for (size_t i = 0; i < RING; i++)
		l->slots[i].data = xmalloc(SLOT_SIZE);
	l->hash = EVP_MD_CTX_new();
	if (!l->hash || EVP_DigestInit_ex(l->hash, EVP_sha256(), NULL) != 1)
		return error_set(err, ENOTSUP, "libcrypto has no SHA-256");
	if (l->stop_fd < 0)
		return error_set_errno(err, errno, "cannot read the layer");
	int r = start_thread(l);
	if (r < 0)
		return error_set_errno(err, r, "cannot start a thread to decode the layer");
	*ret = TAKE_PTR(l);
	return 0;
}

static void stop_thread(struct layer_reader *l)
{
	uint64_t one = 1;
	pthread_mutex_lock(&l->mutex);
	l->stop = 1;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->mutex);
	if (write(l->stop_fd, &one, sizeof one) < 0)
		abort(); /* a fresh eventfd takes a 1 */
	pthread_join(l->thread, NULL);
}

void layer_reader_free(struct layer_reader *l)
{
	if (!l)
		return;
	if (l->started)
		stop_thread(l);
	if (l->decoder)
		l->codec->free(l->decoder);
	for (size_t i = 0; i < RING; i++)
		free(l->slots[i].data);
	free(l->input);
	fd_close(l->stop_fd);
	EVP_MD_CTX_free(l->hash);
	error_free(l->error);
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->mutex);
	free(l);
}

/* Gives the slot in hand back and waits for the next: NULL at the end (l->code says how it
 * ended). */
static struct slot *take_slot(struct layer_reader *l)
{
	pthread_mutex_lock(&l->mutex);
	if (l->holding) {
		l->taken++;
		pthread_cond_broadcast(&l->changed);
	}
	while (l->filled == l->taken && !l->finished)
		pthread_cond_wait(&l->changed, &l->mutex);
	l->holding = l->filled != l->taken;
	struct slot *s = l->holding ? &l->slots[l->taken % RING] : NULL;
	pthread_mutex_unlock(&l->mutex);
	return s;
}

ssize_t layer_reader_read(void *reader, const void **ret, struct error **err)
{
	struct layer_reader *l = reader;
	struct slot *s = take_slot(l);
	if (!s)
		return l->code < 0 ? error_set(err, -l->code, "%s", error_text(l->error, l->code)) : 0;
	*ret = s->data;
	return (ssize_t)s->size;
}

uint64_t layer_reader_position(struct layer_reader *l)
{
	pthread_mutex_lock(&l->mutex);
	uint64_t position = l->position;
	pthread_mutex_unlock(&l->mutex);
	return position;
}

const char *layer_reader_digest(struct layer_reader *l)
{
	unsigned char bytes[EVP_MAX_MD_SIZE];
	unsigned size = 0;
	pthread_mutex_lock(&l->mutex);
	int finished = l->finished;
	pthread_mutex_unlock(&l->mutex);
	if (finished && !l->digest[0] && EVP_DigestFinal_ex(l->hash, bytes, &size) == 1) {
		memcpy(l->digest, "sha256:", 7);
		for (unsigned i = 0; i < size && i < 32; i++)
			snprintf(l->digest + 7 + 2 * i, 3, "%02x", bytes[i]);
	}
	return l->digest;
}
