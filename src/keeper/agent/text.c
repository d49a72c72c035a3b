/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/agent/text.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/printable.h"
#include "base/stamp.h"

enum { TEXT_MAX = 400, LINES_MAX = 50, TAIL_BYTES = 8192 };

char *text_clean(const char *text)
{
	return printable_copy(text ? text : "", text ? strlen(text) : 0, TEXT_MAX);
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
	AUTO_STRV struct strv all = { 0 };
	for (ssize_t at = 0; at < n;) {
		const char *newline = memchr(data + at, '\n', (size_t)(n - at));
		size_t length = newline ? (size_t)(newline - (data + at)) : (size_t)(n - at);
		int64_t when;
		size_t skipped = stamp_read(data + at, length, &when) == 0 ? STAMP_SIZE : 0;
		if (length > skipped)
			strv_take(&all, printable_copy(data + at + skipped, length - skipped, TEXT_MAX));
		at += (ssize_t)length + 1;
	}
	for (size_t i = all.count > count ? all.count - count : 0; i < all.count; i++)
		strv_add(lines, all.items[i]);
}
