/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"

void buffer_init(struct buffer *b, size_t max)
{
	*b = (struct buffer){ .max = max };
}

void buffer_done(struct buffer *b)
{
	free(b->base);
	buffer_init(b, b->max);
}

void *buffer_reserve(struct buffer *b, size_t size)
{
	if (size > b->max || b->size > b->max - size)
		return NULL;
	size_t front = b->base ? (size_t)(b->data - b->base) : 0;
	/* One byte more than asked for, so that buffer_string() always has room for its NUL. */
	size_t need = b->size + size + 1;
	if (front && front + need > b->capacity) {
		memmove(b->base, b->data, b->size);
		b->data = b->base;
		front = 0;
	}
	if (front + need > b->capacity) {
		size_t capacity = MAX(b->capacity * 2, (size_t)256);
		capacity = MAX(MIN(capacity, b->max + 1), need);
		b->base = xrealloc(b->base, capacity, 1);
		b->capacity = capacity;
		b->data = b->base;
	}
	return b->data + b->size;
}

void buffer_commit(struct buffer *b, size_t size)
{
	b->size += size;
}

void buffer_consume(struct buffer *b, size_t size)
{
	b->size -= size;
	b->data = b->size ? b->data + size : b->base;
}

int buffer_append(struct buffer *b, const void *data, size_t size)
{
	void *to = buffer_reserve(b, size);
	if (!to)
		return -ENOBUFS;
	if (size)
		memcpy(to, data, size);
	buffer_commit(b, size);
	return 0;
}

int buffer_append_string(struct buffer *b, const char *s)
{
	return buffer_append(b, s, strlen(s));
}

int buffer_appendf(struct buffer *b, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	AUTOFREE char *text = xvasprintf(format, arguments);
	va_end(arguments);
	return buffer_append_string(b, text);
}

const char *buffer_string(struct buffer *b)
{
	char *end = buffer_reserve(b, 0);
	*end = '\0';
	return b->data;
}

char *buffer_take_string(struct buffer *b)
{
	char *s = xstrndup("", 0);
	if (b->size) {
		s = xrealloc(s, b->size + 1, 1);
		memcpy(s, b->data, b->size);
		s[b->size] = '\0';
	}
	buffer_done(b);
	return s;
}

ssize_t buffer_read(struct buffer *b, int fd, size_t size)
{
	size = MIN(size, b->max - MIN(b->size, b->max));
	if (!size)
		return -ENOBUFS;
	void *to = buffer_reserve(b, size);
	ssize_t n;
	do
		n = read(fd, to, size);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	buffer_commit(b, (size_t)n);
	return n;
}

ssize_t buffer_write(struct buffer *b, int fd)
{
	ssize_t n;
	do
		n = write(fd, b->data, b->size);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	buffer_consume(b, (size_t)n);
	return n;
}

ssize_t buffer_send(struct buffer *b, int fd)
{
	if (b->size == 0)
		return 0;
	ssize_t n = send(fd, b->data, b->size, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && errno == ENOTSOCK)
		n = write(fd, b->data, b->size);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	buffer_consume(b, (size_t)n);
	return n;
}
