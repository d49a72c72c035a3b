/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/text.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"

enum { TEXT_MAX = 400, LINES_MAX = 50, TAIL_BYTES = 8192 };

static char *clean(const char *text, size_t size)
{
	size_t n = MIN(size, (size_t)TEXT_MAX);
	/* Not in the middle of a UTF-8 sequence. */
	while (n < size && n && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--;
	char *line = xstrndup(text, n);
	for (char *c = line; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = ' ';
		else if ((unsigned char)*c == 0xc2 && (unsigned char)c[1] < 0xa0) /* C1 controls, which some terminals obey */
			c[0] = c[1] ? ' ' : '?', c[1] = c[1] ? ' ' : 0;
	return line;
}

char *text_clean(const char *text)
{
	return clean(text ? text : "", text ? strlen(text) : 0);
}

void text_clean_lines(struct json_object *array, struct strv *lines)
{
	if (!json_object_is_type(array, json_type_array))
		return;
	size_t count = json_object_array_length(array), first = count > LINES_MAX ? count - LINES_MAX : 0;
	for (size_t i = first; i < count; i++) {
		struct json_object *line = json_object_array_get_idx(array, i);
		if (json_object_is_type(line, json_type_string))
			strv_take(lines, text_clean(json_object_get_string(line)));
	}
}

void text_tail_of_file(const char *path, size_t count, struct strv *lines)
{
	char data[TAIL_BYTES];
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	off_t size = lseek(fd, 0, SEEK_END);
	ssize_t n = pread(fd, data, sizeof data, size > (off_t)sizeof data ? size - (off_t)sizeof data : 0);
	AUTO_STRV struct strv all = {0};
	for (ssize_t at = 0; at < n;) {
		const char *newline = memchr(data + at, '\n', (size_t)(n - at));
		size_t length = newline ? (size_t)(newline - (data + at)) : (size_t)(n - at);
		if (length)
			strv_take(&all, clean(data + at, length));
		at += (ssize_t)length + 1;
	}
	for (size_t i = all.count > count ? all.count - count : 0; i < all.count; i++)
		strv_add(lines, all.items[i]);
}
