/* SPDX-License-Identifier: Apache-2.0
 * The setting home-private: places in the shared home that are each machine's own. Programs keep
 * state there that is true for one host only: databases of containers, services of systemd's user
 * manager, servers of editors. */
#include "machine/machine.h"

#include <ctype.h>
#include <errno.h>

#include "base/alloc.h"
#include "base/path.h"

enum { PRIVATE_NAME_MAX = 255 };

static const char *const defaults[] = { ".local/share/containers", ".local/share/docker", ".config/systemd",
	".vscode-server", ".cursor-server", ".cache/JetBrains/RemoteDev" };

void machine_home_private(const struct machine *m, struct strv *ret)
{
	if (m->home_private_set) {
		strv_add_all(ret, &m->home_private);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++)
		strv_add(ret, defaults[i]);
}

/* Whether one of the parts is "..", which path_normalize() would follow. */
static int leads_up(const char *text)
{
	AUTO_STRV struct strv parts = { 0 };
	strv_split(&parts, text, "/");
	return strv_contains(&parts, "..");
}

static int has_control(const char *text)
{
	for (const char *p = text; *p; p++)
		if (iscntrl((unsigned char)*p))
			return 1;
	return 0;
}

/* Parses one place: below the home, as ~/PATH, or absolute below it. 0 and the relative path
 * (owned) or -EINVAL. */
static int parse_place(const struct machine *m, const char *text, char **ret, struct error **err)
{
	const char *below = startswith(text, "~/");
	if (streq(text, "none"))
		return error_set(err, EINVAL,
		    "home-private: \"none\" stands alone; for a folder of this name write ~/none");
	AUTOFREE char *joined = path_join(m->home, below ? below : text), *clean = path_normalize(joined);
	AUTOFREE char *home = path_normalize(m->home);
	if (!clean || !home || (!below && *text == '~') || leads_up(text) || has_control(text) ||
	    !path_is_below(clean, home) || streq(clean, home))
		return error_set(err, EINVAL,
		    "home-private \"%.80s\": write a path below the home, such as .config/app", text);
	const char *relative = clean + strlen(home) + !streq(home, "/");
	AUTOFREE char *name = path_flatten(relative);
	if (strlen(name) > PRIVATE_NAME_MAX)
		return error_set(err, EINVAL, "home-private \"%.80s...\": the path is too long", text);
	*ret = xstrdup(relative);
	return 0;
}

int machine_home_private_add(struct machine *m, const char *text, struct error **err)
{
	AUTOFREE char *place = NULL;
	int r = parse_place(m, text, &place, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < m->home_private.count; i++) {
		const char *other = m->home_private.items[i];
		if (path_is_below(place, other) || path_is_below(other, place))
			return error_set(err, EINVAL, "home-private \"%.80s\" and \"%.80s\": one holds the other",
			    other, place);
	}
	if (m->home_private.count >= MACHINE_PRIVATE_MAX)
		return error_set(err, E2BIG, "home-private: more than %d paths", MACHINE_PRIVATE_MAX);
	strv_take(&m->home_private, TAKE_PTR(place));
	m->home_private_set = 1;
	return 0;
}

int machine_home_private_set(struct machine *m, const char *value, struct error **err)
{
	AUTO_STRV struct strv places = { 0 };
	struct strv before = m->home_private;
	int was_set = m->home_private_set, r = 0;
	m->home_private = (struct strv){ 0 };
	m->home_private_set = *value != '\0';
	strv_split(&places, streq(value, "none") ? "" : value, ",");
	for (size_t i = 0; r == 0 && i < places.count; i++)
		r = machine_home_private_add(m, places.items[i], err);
	if (r == 0) {
		strv_done(&before);
		return 0;
	}
	strv_done(&m->home_private);
	m->home_private = before;
	m->home_private_set = was_set;
	return r;
}
