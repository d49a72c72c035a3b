/* SPDX-License-Identifier: Apache-2.0
 * An entry is the file x/xterm in one of a few folders (term(5), "Storage Location"). */
#include "cli/machine/terminfo.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/hex.h"
#include "base/path.h"
#include "base/strv.h"

enum { ENTRY_MAX = 32 * 1024, NAME_BYTES_MAX = 64 };

static void list_folders(struct strv *folders)
{
	const char *own = getenv("TERMINFO"), *more = getenv("TERMINFO_DIRS");
	AUTOFREE char *home = path_home_dir();
	if (own)
		strv_add(folders, own);
	strv_addf(folders, "%s/.terminfo", home);
	strv_split(folders, more ? more : "", ":");
	strv_split(folders, "/etc/terminfo /lib/terminfo /usr/share/terminfo /usr/local/share/terminfo", " ");
}

/* The file's bytes in hexadecimal digits, owned; NULL if it is no entry. */
static char *read_entry(const char *path)
{
	unsigned char bytes[ENTRY_MAX];
	struct stat st;
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > ENTRY_MAX)
		return NULL;
	ssize_t n = read(fd, bytes, sizeof bytes);
	return n > 0 ? hex_encode(bytes, (size_t)n) : NULL;
}

struct json_object *terminfo_find(void)
{
	return terminfo_find_name(getenv("TERM"));
}

struct json_object *terminfo_find_name(const char *name)
{
	AUTO_STRV struct strv folders = { 0 };
	if (!name || !*name || strchr(name, '/') || *name == '.' || strlen(name) > NAME_BYTES_MAX)
		return NULL;
	list_folders(&folders);
	for (size_t i = 0; i < folders.count; i++) {
		AUTOFREE char *path = xasprintf("%s/%c/%s", folders.items[i], *name, name);
		AUTOFREE char *entry = *path == '/' ? read_entry(path) : NULL;
		if (!entry)
			continue;
		struct json_object *o = json_object_new_object();
		json_add_string(o, "name", name);
		json_add_string(o, "entry", entry);
		return o;
	}
	return NULL;
}
