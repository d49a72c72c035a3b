/* SPDX-License-Identifier: Apache-2.0
 * The line of a watch (fs/notify/fdinfo.c in Linux; numbers in hex), in one line:
 *
 *     inotify wd:1 ino:a72096 sdev:17 mask:fff ignored_mask:0 fhandle-bytes:c fhandle-type:81
 *     f_handle:020000000300000000000000
 *
 * The handle's bytes are the file system's own. FUSE's (fuse_encode_fh(), type 0x81) are three
 * words of the machine's byte order: the high half of the node id, the low half, the generation. */
#include "agent/share/watch_list.h"

#include <errno.h>
#include <sys/inotify.h>

#include "base/alloc.h"

enum { HANDLE_TYPE_FUSE = 0x81, HANDLE_BYTES = 12 };

void watch_list_done(struct watch_list *l)
{
	free(l->items);
	*l = (struct watch_list){ 0 };
}

int watch_list_add(struct watch_list *l, const struct watch *w, size_t max)
{
	if (l->count >= max)
		return -E2BIG;
	if (l->count == l->capacity) {
		l->capacity = MAX(l->capacity * 2, (size_t)16);
		l->items = xrealloc(l->items, l->capacity, sizeof *l->items);
	}
	l->items[l->count++] = *w;
	return 0;
}

static int compare(const struct watch *a, const struct watch *b)
{
	if (a->device != b->device)
		return a->device < b->device ? -1 : 1;
	return (a->node > b->node) - (a->node < b->node);
}

static int compare_items(const void *a, const void *b)
{
	return compare(a, b);
}

void watch_list_settle(struct watch_list *l)
{
	size_t kept = 0;
	if (l->count)
		qsort(l->items, l->count, sizeof *l->items, compare_items);
	for (size_t i = 0; i < l->count; i++) {
		if (kept && compare(&l->items[kept - 1], &l->items[i]) == 0)
			l->items[kept - 1].mask |= l->items[i].mask;
		else
			l->items[kept++] = l->items[i];
	}
	l->count = kept;
}

int watch_list_equal(const struct watch_list *a, const struct watch_list *b)
{
	if (a->count != b->count)
		return 0;
	for (size_t i = 0; i < a->count; i++)
		if (compare(&a->items[i], &b->items[i]) != 0 || a->items[i].mask != b->items[i].mask)
			return 0;
	return 1;
}

void watch_list_compare(const struct watch_list *from, const struct watch_list *to,
    void (*fn)(const struct watch *w, void *data), void *data)
{
	size_t i = 0, j = 0;
	while (i < from->count || j < to->count) {
		int order = i == from->count ? 1 : j == to->count ? -1 : compare(&from->items[i], &to->items[j]);
		if (order < 0) {
			struct watch gone = from->items[i++];
			gone.mask = 0;
			fn(&gone, data);
			continue;
		}
		if (order > 0 || from->items[i].mask != to->items[j].mask)
			fn(&to->items[j], data);
		j++;
		i += order == 0;
	}
}

/* ---- fdinfo ---- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The number behind " NAME:", at most eight digits: 1, or 0 when there is none. */
static int field(const char *line, size_t size, const char *name, uint32_t *ret)
{
	const char *at = memmem(line, size, name, strlen(name)), *end = line + size;
	uint32_t value = 0;
	int digits = 0, digit;
	if (!at)
		return 0;
	for (at += strlen(name); at < end && (digit = hex_digit(*at)) >= 0; at++, digits++)
		value = value << 4 | (uint32_t)digit;
	*ret = value;
	return digits > 0 && digits <= 8 && (at == end || *at == ' ');
}

/* The bytes of the handle at the line's end. */
static int handle(const char *line, size_t size, uint8_t bytes[HANDLE_BYTES])
{
	static const char name[] = " f_handle:";
	const char *at = memmem(line, size, name, sizeof name - 1);
	if (!at || line + size - (at + sizeof name - 1) != 2 * HANDLE_BYTES)
		return 0;
	at += sizeof name - 1;
	for (int i = 0; i < HANDLE_BYTES; i++) {
		int high = hex_digit(at[2 * i]), low = hex_digit(at[2 * i + 1]);
		if (high < 0 || low < 0)
			return 0;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	return 1;
}

int watch_parse_line(const char *line, size_t size, struct watch *ret)
{
	static const char begin[] = "inotify wd:";
	uint8_t bytes[HANDLE_BYTES];
	uint32_t device, mask, count, type, words[3];
	if (size < sizeof begin - 1 || memcmp(line, begin, sizeof begin - 1) != 0)
		return 0;
	if (!field(line, size, " sdev:", &device) || !field(line, size, " mask:", &mask) ||
	    !field(line, size, " fhandle-bytes:", &count) || !field(line, size, " fhandle-type:", &type))
		return 0;
	if (count != HANDLE_BYTES || type != HANDLE_TYPE_FUSE || !handle(line, size, bytes))
		return 0;
	memcpy(words, bytes, sizeof words);
	*ret = (struct watch){
		.node = (uint64_t)words[0] << 32 | words[1],
		.device = device,
		.mask = mask & IN_ALL_EVENTS,
	};
	return ret->mask != 0;
}

int watch_read(struct watch_reader *reader, const char *data, size_t size, struct watch_list *into, size_t max)
{
	while (size) {
		const char *end = memchr(data, '\n', size);
		size_t piece = end ? (size_t)(end - data) : size;
		reader->overlong |= piece > sizeof reader->line - reader->size;
		if (!reader->overlong) {
			memcpy(reader->line + reader->size, data, piece);
			reader->size += piece;
		}
		data += piece + (end != NULL);
		size -= piece + (end != NULL);
		if (!end)
			return 0;
		struct watch w;
		int found = !reader->overlong && watch_parse_line(reader->line, reader->size, &w);
		reader->size = 0;
		reader->overlong = 0;
		if (found && watch_list_add(into, &w, max) < 0)
			return -E2BIG;
	}
	return 0;
}
