/* SPDX-License-Identifier: Apache-2.0
 * See places.h. The directories that make up a place lie over each other: the trees of a native
 * machine's image, or the one directory of the host that a mount above it shows. A symlink is the
 * machine's to follow, so the walk ends there without a result. */
#include "cli/machine/places.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/alloc.h"
#include "base/path.h"

enum found { FOUND_NOTHING, FOUND_DIRECTORY, FOUND_FILE, FOUND_UNKNOWN };

/* Whether a directory of a layer hides those of the layers below it (overlayfs). */
static int is_opaque(const char *layer, const char *relative)
{
	static const char *const names[] = { "user.overlay.opaque", "trusted.overlay.opaque" };
	AUTOFREE char *path = path_join(layer, relative);
	char value[8];
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (lgetxattr(path, names[i], value, sizeof value) > 0)
			return 1;
	return 0;
}

static enum found look_in(const char *layer, const char *relative)
{
	AUTOFREE char *path = path_join(layer, relative);
	struct stat st;
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? FOUND_NOTHING : FOUND_UNKNOWN;
	if (S_ISDIR(st.st_mode))
		return FOUND_DIRECTORY;
	int whiteout = S_ISREG(st.st_mode) && lgetxattr(path, "user.overlay.whiteout", NULL, 0) >= 0;
	return (S_ISREG(st.st_mode) && !whiteout) || S_ISSOCK(st.st_mode) || S_ISFIFO(st.st_mode) ? FOUND_FILE :
												    FOUND_UNKNOWN;
}

/* Looks in the layers, lowest first in the list, for a relative path. */
static enum found look(const struct strv *layers, const char *relative)
{
	AUTOFREE char *parent = path_parent(relative);
	for (size_t i = layers->count; i-- > 0;) {
		enum found found = look_in(layers->items[i], relative);
		if (found != FOUND_NOTHING)
			return found;
		if (is_opaque(layers->items[i], parent))
			return FOUND_NOTHING;
	}
	return FOUND_NOTHING;
}

/* Checks each directory on the way, and the place itself. 0 or -ENOTDIR. */
static int check_way(const struct machine_mount *mount, const struct strv *layers, const char *relative, int is_file,
    struct error **err)
{
	size_t above = strlen(mount->inside) - strlen(relative);
	for (size_t end = 0; relative[end];) {
		end += strspn(relative + end, "/");
		end += strcspn(relative + end, "/");
		AUTOFREE char *part = xstrndup(relative, end);
		enum found found = look(layers, part);
		int last = !relative[end];
		if (found == FOUND_NOTHING || found == FOUND_UNKNOWN)
			return 0;
		if (found == FOUND_FILE && !(last && is_file))
			return error_set(err, ENOTDIR,
			    "mount \"%s\": \"%.*s\" inside is a file, which a directory cannot cover; choose another "
			    "place",
			    mount->host, (int)(above + end), mount->inside);
		if (last && found == FOUND_DIRECTORY && is_file)
			return error_set(err, ENOTDIR,
			    "mount \"%s\": \"%s\" inside is a directory, which a file cannot cover; choose another "
			    "place",
			    mount->host, mount->inside);
	}
	return 0;
}

/* Finds what the place lies in: another mount, the home or the image's trees. Returns the length of
 * the path above it. */
static size_t find_layers(const struct machine *m, const struct machine_mount *mount, struct strv *layers)
{
	const char *host = NULL, *inside = "";
	if (m->home_mount != MACHINE_HOME_NONE && !streq(mount->inside, m->home) &&
	    path_is_below(mount->inside, m->home))
		host = inside = m->home;
	for (size_t i = 0; i < m->mount_count; i++) {
		const struct machine_mount *other = &m->mounts[i];
		if (!streq(other->inside, mount->inside) && path_is_below(mount->inside, other->inside) &&
		    strlen(other->inside) > strlen(inside)) {
			host = other->host;
			inside = other->inside;
		}
	}
	if (host)
		strv_add(layers, host);
	else
		strv_add_all(layers, &m->image_trees);
	return strlen(inside) + 1;
}

int places_check(const struct machine *m, struct error **err)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < m->mount_count; i++) {
		AUTO_STRV struct strv layers = { 0 };
		struct stat st;
		size_t above = find_layers(m, &m->mounts[i], &layers);
		if (stat(m->mounts[i].host, &st) == 0 && strlen(m->mounts[i].inside) > above)
			r = check_way(&m->mounts[i], &layers, m->mounts[i].inside + above, !S_ISDIR(st.st_mode), err);
	}
	return r;
}
