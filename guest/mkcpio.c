/* SPDX-License-Identifier: Apache-2.0
 * mkcpio: writes an initramfs (cpio "newc",
 * Documentation/driver-api/early-userspace/buffer-format.rst of the kernel) from a list on stdin to
 * stdout, without root: owners are 0:0, device nodes are only records. The same list gives the same
 * bytes.
 *
 *   dir  PATH MODE
 *   file PATH MODE SOURCE
 *   link PATH TARGET
 *   char PATH MODE MAJOR MINOR
 *
 * PATH has no leading slash; fields are separated by one blank; no blanks inside a field.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { LINE_MAX_BYTES = 4096, FIELDS_MAX = 6, FILE_MAX_BYTES = 256 * 1024 * 1024 };

struct entry {
	const char *path;
	unsigned mode, links, major, minor;
	const char *data;
	size_t size;
};

static unsigned next_inode = 1;

static int die(const char *what, const char *name)
{
	fprintf(stderr, "mkcpio: %s: %s\n", what, name);
	return -1;
}

static int pad(size_t written)
{
	static const char zeros[4];
	size_t n = (4 - written % 4) % 4;
	return fwrite(zeros, 1, n, stdout) == n ? 0 : -1;
}

static int write_entry(const struct entry *e)
{
	size_t name = strlen(e->path) + 1;
	int n = printf("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", next_inode++, e->mode, 0U, 0U,
	    e->links, 0U, (unsigned)e->size, 0U, 0U, e->major, e->minor, (unsigned)name, 0U);
	if (n != 110 || fwrite(e->path, 1, name, stdout) != name || pad(110 + name) < 0)
		return die("cannot write", e->path);
	if (e->size > 0 && fwrite(e->data, 1, e->size, stdout) != e->size)
		return die("cannot write", e->path);
	return pad(e->size);
}

static int number(const char *text, int base, unsigned *ret)
{
	char *end;
	errno = 0;
	unsigned long value = strtoul(text, &end, base);
	if (errno != 0 || end == text || *end != '\0' || value > 0xffff)
		return die("not a number", text);
	*ret = (unsigned)value;
	return 0;
}

static int write_file(struct entry *e, const char *source)
{
	FILE *f = fopen(source, "rbe");
	if (!f)
		return die(strerror(errno), source);
	int r = -1;
	char *data = NULL;
	struct stat st;
	if (fstat(fileno(f), &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX_BYTES) {
		die("not a file of at most 256 MiB", source);
		goto out;
	}
	data = malloc((size_t)st.st_size + 1);
	if (!data || fread(data, 1, (size_t)st.st_size, f) != (size_t)st.st_size) {
		die("cannot read", source);
		goto out;
	}
	e->data = data;
	e->size = (size_t)st.st_size;
	r = write_entry(e);
out:
	free(data);
	fclose(f);
	return r;
}

static int handle_line(char **field, int count)
{
	struct entry e = { .links = 1 };
	if (count >= 2)
		e.path = field[1];
	if (count == 3 && strcmp(field[0], "dir") == 0) {
		if (number(field[2], 8, &e.mode) < 0)
			return -1;
		e.mode |= S_IFDIR;
		e.links = 2;
		return write_entry(&e);
	}
	if (count == 4 && strcmp(field[0], "file") == 0) {
		if (number(field[2], 8, &e.mode) < 0)
			return -1;
		e.mode |= S_IFREG;
		return write_file(&e, field[3]);
	}
	if (count == 3 && strcmp(field[0], "link") == 0) {
		e.mode = S_IFLNK | 0777;
		e.data = field[2];
		e.size = strlen(field[2]);
		return write_entry(&e);
	}
	if (count == 5 && strcmp(field[0], "char") == 0) {
		if (number(field[2], 8, &e.mode) < 0 || number(field[3], 10, &e.major) < 0 ||
		    number(field[4], 10, &e.minor) < 0)
			return -1;
		e.mode |= S_IFCHR;
		return write_entry(&e);
	}
	return die("line not understood", count > 0 ? field[0] : "");
}

int main(void)
{
	char line[LINE_MAX_BYTES];
	while (fgets(line, sizeof(line), stdin)) {
		char *field[FIELDS_MAX], *save = NULL;
		int count = 0;
		for (char *t = strtok_r(line, " \n", &save); t && count < FIELDS_MAX; t = strtok_r(NULL, " \n", &save))
			field[count++] = t;
		if (count > 0 && handle_line(field, count) < 0)
			return 1;
	}
	next_inode = 0;
	const struct entry trailer = { .path = "TRAILER!!!", .links = 1 };
	return write_entry(&trailer) < 0 || fflush(stdout) != 0 ? 1 : 0;
}
