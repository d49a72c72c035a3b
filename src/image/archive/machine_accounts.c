/* SPDX-License-Identifier: Apache-2.0
 * See machine_accounts.h. Lines have fields between colons (passwd(5), group(5), shadow(5),
 * gshadow(5), subuid(5)). sudoers has whole lines that end with holm's mark. */
#include "image/archive/machine_accounts.h"

#include <stddef.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/parse.h"

enum { FIELDS_MAX = 10, FILE_MAX = 4 << 20, GROUP_GID = 2, MEMBERS = 3 };
#define SUDO_MARK " # holm"

const char *const machine_account_files[] = { "/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow", "/etc/subuid",
	"/etc/subgid", "/etc/sudoers", NULL };

/* The line of this name in a file of accounts; owned, or NULL. */
static char *find_line(const char *text, const char *name)
{
	size_t n = strlen(name);
	for (const char *at = text; at && *at; at += strcspn(at, "\n"), at += *at == '\n')
		if (strncmp(at, name, n) == 0 && at[n] == ':')
			return xstrndup(at, strcspn(at, "\n"));
	return NULL;
}

/* The field of a line, owned; NULL: it has fewer. */
static char *take_field(const char *line, int field)
{
	for (; field > 0 && line; field--)
		line = strchr(line, ':') ? strchr(line, ':') + 1 : NULL;
	return line ? xstrndup(line, strcspn(line, ":")) : NULL;
}

static int has_member(const char *line, const char *user)
{
	AUTOFREE char *members = line ? take_field(line, MEMBERS) : NULL;
	AUTO_STRV struct strv names = { 0 };
	if (members)
		strv_split(&names, members, ",");
	return strv_contains(&names, user);
}

/* The line without a user in its list of members; owned. */
static char *without_member(const char *line, const char *user)
{
	AUTOFREE char *members = take_field(line, MEMBERS);
	AUTO_STRV struct strv names = { 0 }, kept = { 0 };
	strv_split(&names, members, ",");
	for (size_t i = 0; i < names.count; i++)
		if (!streq(names.items[i], user))
			strv_add(&kept, names.items[i]);
	AUTOFREE char *list = strv_join(&kept, ",");
	return xasprintf("%.*s:%s", (int)(strlen(line) - strlen(members) - 1), line, list ? list : "");
}

static int is_owners_group(struct machine_owner *o, const char *path, const char *line, const char *name)
{
	AUTOFREE char *gid = take_field(line, GROUP_GID);
	uint32_t number;
	if (streq(path, "/etc/gshadow"))
		return strv_contains(&o->groups, name);
	int is_own = streq(name, o->user) || (gid && parse_u32(gid, &number) == 0 && number == o->gid);
	if (is_own)
		strv_add(&o->groups, name);
	return is_own;
}

/* The line as it stays, owned; NULL: it goes. */
static char *filter_line(const char *path, struct machine_owner *o, const char *base, const char *line)
{
	int is_group = streq(path, "/etc/group") || streq(path, "/etc/gshadow");
	if (streq(path, "/etc/sudoers"))
		return endswith(line, SUDO_MARK) ? NULL : xstrdup(line);
	AUTOFREE char *name = take_field(line, 0), *old = find_line(base, name);
	if (!old && (is_group ? is_owners_group(o, path, line, name) : streq(name, o->user)))
		return NULL;
	if (is_group && has_member(line, o->user) && !has_member(old, o->user))
		return without_member(line, o->user);
	return xstrdup(line);
}

char *machine_accounts_filter(const char *path, struct machine_owner *o, const char *base, const char *text)
{
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, FILE_MAX);
	while (*text) {
		size_t n = strcspn(text, "\n");
		AUTOFREE char *line = xstrndup(text, n), *kept = filter_line(path, o, base, line);
		if (kept)
			buffer_appendf(&b, "%s%s", kept, text[n] ? "\n" : "");
		text += n + (text[n] == '\n');
	}
	return buffer_take_string(&b);
}
