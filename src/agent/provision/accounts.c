/* SPDX-License-Identifier: Apache-2.0
 * Every file is split into lines, a line into fields at ':'. Edits replace single fields, so that
 * comments, NIS lines and fields that we know nothing of survive. A name that other files list as a
 * group member is renamed there too. */
#include "agent/provision/accounts.h"

#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/parse.h"

enum { NAME, PASSWORD, UID, GID, GECOS, HOME, SHELL, PASSWD_FIELDS };
enum { GROUP_GID = 2, GROUP_MEMBERS = 3, GROUP_FIELDS = 4 };
enum { SUBID_FIRST = 100000, SUBID_COUNT = 65536, LINGER_PATH_MAX = 4096 };

/* All fields of a line, empty ones too. */
static void split_fields(struct strv *fields, const char *line, size_t size)
{
	const char *end = line + size;
	for (const char *at = line;; at++) {
		const char *colon = memchr(at, ':', (size_t)(end - at));
		strv_take(fields, xstrndup(at, (size_t)((colon ? colon : end) - at)));
		if (!colon)
			return;
		at = colon;
	}
}

/* Calls for each line; *at goes on. 0 at the end. */
static int next_line(const char **at, const char **ret_line, size_t *ret_size)
{
	if (!**at)
		return 0;
	*ret_line = *at;
	*ret_size = strcspn(*at, "\n");
	*at += *ret_size;
	if (**at)
		(*at)++;
	return 1;
}

void passwd_entry_done(struct passwd_entry *p)
{
	free(p->name);
	free(p->home);
	free(p->shell);
	*p = (struct passwd_entry){ 0 };
}

int passwd_find(const char *text, const char *name, uint32_t uid, struct passwd_entry *ret)
{
	const char *line = NULL;
	size_t size = 0;
	while (next_line(&text, &line, &size)) {
		AUTO_STRV struct strv f = { 0 };
		uint32_t u, g;
		split_fields(&f, line, size);
		if (f.count < PASSWD_FIELDS || !*f.items[NAME] || parse_u32(f.items[UID], &u) < 0 ||
		    parse_u32(f.items[GID], &g) < 0)
			continue;
		if (name ? !streq(f.items[NAME], name) : u != uid)
			continue;
		*ret = (struct passwd_entry){
			.name = xstrdup(f.items[NAME]),
			.home = xstrdup(f.items[HOME]),
			.shell = xstrdup(f.items[SHELL]),
			.uid = u,
			.gid = g,
		};
		return 0;
	}
	return -ENOENT;
}

int group_find(const char *text, const char *name, uint32_t *ret)
{
	const char *line = NULL;
	size_t size = 0;
	while (next_line(&text, &line, &size)) {
		AUTO_STRV struct strv f = { 0 };
		split_fields(&f, line, size);
		if (f.count > GROUP_GID && streq(f.items[NAME], name) && parse_u32(f.items[GROUP_GID], ret) >= 0)
			return 0;
	}
	return -ENOENT;
}

/* Whether the comma-separated list has this word. */
static int list_has(const char *list, const char *word)
{
	size_t n = strlen(word);
	for (const char *at = list; *at; at += strcspn(at, ","), at += *at == ',')
		if (strcspn(at, ",") == n && memcmp(at, word, n) == 0)
			return 1;
	return 0;
}

size_t group_list(const char *text, const char *member, uint32_t first, gid_t *list, size_t max)
{
	const char *line = NULL;
	size_t size = 0, n = 0;
	if (max)
		list[n++] = first;
	while (n < max && next_line(&text, &line, &size)) {
		AUTO_STRV struct strv f = { 0 };
		uint32_t gid;
		split_fields(&f, line, size);
		if (f.count < GROUP_FIELDS || parse_u32(f.items[GROUP_GID], &gid) < 0 ||
		    !list_has(f.items[GROUP_MEMBERS], member))
			continue;
		size_t i = 0;
		while (i < n && list[i] != gid)
			i++;
		if (i == n)
			list[n++] = gid;
	}
	return n;
}

char *account_linger_path(const char *name)
{
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, LINGER_PATH_MAX);
	buffer_append_string(&b, "/var/lib/systemd/linger/");
	for (const char *c = name; *c; c++) {
		int plain = (unsigned char)*c >= ' ' && (unsigned char)*c < 127;
		if (plain)
			buffer_appendf(&b, strchr("\\\"'", *c) ? "\\%c" : "%c", *c);
		else
			buffer_appendf(&b, "\\%03o", (unsigned char)*c);
	}
	return buffer_take_string(&b);
}

/* ---- editing ---- */

static void split_lines(struct strv *lines, const char *text)
{
	const char *line = NULL;
	size_t size = 0;
	while (next_line(&text, &line, &size))
		strv_take(lines, xstrndup(line, size));
}

static void join_lines(char **text, const struct strv *lines)
{
	AUTOFREE char *joined = strv_join(lines, "\n");
	free(*text);
	*text = *joined ? xasprintf("%s\n", joined) : xstrdup("");
}

static void set_field(char **line, size_t index, const char *value)
{
	AUTO_STRV struct strv f = { 0 };
	split_fields(&f, *line, strlen(*line));
	if (index >= f.count)
		return;
	free(f.items[index]);
	f.items[index] = xstrdup(value);
	free(*line);
	*line = strv_join(&f, ":");
}

/* Index of the first line whose field has this value, or -1. */
static ssize_t find_line(const struct strv *lines, size_t field, const char *value)
{
	for (size_t i = 0; i < lines->count; i++) {
		AUTO_STRV struct strv f = { 0 };
		split_fields(&f, lines->items[i], strlen(lines->items[i]));
		if (field < f.count && streq(f.items[field], value))
			return (ssize_t)i;
	}
	return -1;
}

static void drop_line(struct strv *lines, size_t index)
{
	free(lines->items[index]);
	memmove(lines->items + index, lines->items + index + 1, (lines->count - index) * sizeof *lines->items);
	lines->count--;
}

/* "a,old,b" -> "a,new,b". */
static char *rename_in_list(const char *list, const char *old, const char *new)
{
	AUTO_STRV struct strv words = { 0 };
	AUTO_STRV struct strv result = { 0 };
	strv_split(&words, list, ",");
	for (size_t i = 0; i < words.count; i++) {
		const char *word = streq(words.items[i], old) ? new : words.items[i];
		if (!strv_contains(&result, word))
			strv_add(&result, word);
	}
	return strv_join(&result, ",");
}

/* Renames in the fields `first` to `last` of every line, which are lists of members. */
static void rename_members(char **text, size_t first, size_t last, const char *old, const char *new)
{
	AUTO_STRV struct strv lines = { 0 };
	if (!*text)
		return;
	split_lines(&lines, *text);
	for (size_t i = 0; i < lines.count; i++) {
		AUTO_STRV struct strv f = { 0 };
		split_fields(&f, lines.items[i], strlen(lines.items[i]));
		for (size_t j = first; j <= last && j < f.count; j++) {
			if (!list_has(f.items[j], old))
				continue;
			AUTOFREE char *changed = rename_in_list(f.items[j], old, new);
			set_field(&lines.items[i], j, changed);
		}
	}
	join_lines(text, &lines);
}

/* Renames the line of `old`; an older line of the new name goes away, so that the name stays
 * unique. */
static void rename_line(char **text, const char *old, const char *new)
{
	AUTO_STRV struct strv lines = { 0 };
	if (!*text)
		return;
	split_lines(&lines, *text);
	ssize_t from = find_line(&lines, NAME, old);
	if (from < 0)
		return;
	ssize_t clash = find_line(&lines, NAME, new);
	set_field(&lines.items[from], NAME, new);
	if (clash >= 0)
		drop_line(&lines, (size_t)clash);
	join_lines(text, &lines);
}

static void add_line(char **text, char *line)
{
	AUTOFREE char *owned = line;
	const char *old = *text ? *text : "";
	size_t n = strlen(old);
	char *grown = xasprintf("%s%s%s\n", old, n && old[n - 1] != '\n' ? "\n" : "", owned);
	free(*text);
	*text = grown;
}

static int has_name(const char *text, const char *name)
{
	AUTO_STRV struct strv lines = { 0 };
	split_lines(&lines, text);
	return find_line(&lines, NAME, name) >= 0;
}

/* A name for a new group of this number; owned. */
static char *free_group_name(const struct strv *groups, const char *name, uint32_t gid)
{
	return find_line(groups, NAME, name) < 0 ? xstrdup(name) : xasprintf("%s-%u", name, gid);
}

static void apply_group(struct account_files *f, const struct boot_user *u)
{
	AUTO_STRV struct strv lines = { 0 };
	AUTOFREE char *gid = xasprintf("%u", u->gid);
	split_lines(&lines, f->group ? f->group : "");
	if (find_line(&lines, GROUP_GID, gid) >= 0)
		return;
	AUTOFREE char *name = free_group_name(&lines, u->group, u->gid);
	add_line(&f->group, xasprintf("%s:x:%u:", name, u->gid));
	if (f->gshadow && !has_name(f->gshadow, name))
		add_line(&f->gshadow, xasprintf("%s:!::", name));
}

static void rename_user(struct account_files *f, const char *old, const char *new)
{
	char **by_name[] = { &f->passwd, &f->shadow, &f->subuid, &f->subgid };
	for (size_t i = 0; i < ARRAY_SIZE(by_name); i++)
		rename_line(by_name[i], old, new);
	rename_members(&f->group, GROUP_MEMBERS, GROUP_MEMBERS, old, new);
	rename_members(&f->gshadow, 2, 3, old, new);
}

static size_t count_fields(const char *line)
{
	size_t n = 1;
	for (const char *c = line; *c; c++)
		n += *c == ':';
	return n;
}

static void apply_passwd(struct account_files *f, const struct boot_user *u, const char *shell)
{
	struct passwd_entry holder = { 0 };
	if (passwd_find(f->passwd ? f->passwd : "", NULL, u->uid, &holder) == 0 && !streq(holder.name, u->name))
		rename_user(f, holder.name, u->name);
	passwd_entry_done(&holder);
	AUTO_STRV struct strv lines = { 0 };
	split_lines(&lines, f->passwd ? f->passwd : "");
	ssize_t at;
	/* A line of this name that is no entry would hide the real one from some readers. */
	while ((at = find_line(&lines, NAME, u->name)) >= 0 && count_fields(lines.items[at]) < PASSWD_FIELDS)
		drop_line(&lines, (size_t)at);
	if (at < 0) {
		join_lines(&f->passwd, &lines);
		add_line(&f->passwd, xasprintf("%s:x:%u:%u::%s:%s", u->name, u->uid, u->gid, u->home, shell));
		return;
	}
	AUTOFREE char *uid = xasprintf("%u", u->uid);
	AUTOFREE char *gid = xasprintf("%u", u->gid);
	struct passwd_entry own = { 0 };
	set_field(&lines.items[at], UID, uid);
	set_field(&lines.items[at], GID, gid);
	set_field(&lines.items[at], HOME, u->home);
	if (passwd_find(lines.items[at], u->name, 0, &own) < 0 || !*own.shell || endswith(own.shell, "/nologin") ||
	    endswith(own.shell, "/false"))
		set_field(&lines.items[at], SHELL, shell);
	passwd_entry_done(&own);
	join_lines(&f->passwd, &lines);
}

/* A range of subordinate ids behind all others, for rootless containers inside. */
static void apply_subids(char **text, const struct boot_user *u)
{
	if (!*text || has_name(*text, u->name))
		return;
	uint64_t start = SUBID_FIRST;
	const char *at = *text, *line = NULL;
	size_t size = 0;
	while (next_line(&at, &line, &size)) {
		AUTO_STRV struct strv f = { 0 };
		uint32_t first, count;
		split_fields(&f, line, size);
		if (f.count == 3 && parse_u32(f.items[1], &first) >= 0 && parse_u32(f.items[2], &count) >= 0)
			start = MAX(start, (uint64_t)first + count);
	}
	if (u->uid >= start && u->uid < start + SUBID_COUNT)
		start = (uint64_t)u->uid + 1;
	if (start + SUBID_COUNT < UINT32_MAX)
		add_line(text, xasprintf("%s:%llu:%d", u->name, (unsigned long long)start, SUBID_COUNT));
}

/* Adds a member to the list in this field of a line, which gets the fields that it lacks. 0 when it
 * was there. */
static int add_member(char **line, size_t field, const char *member)
{
	AUTO_STRV struct strv f = { 0 };
	split_fields(&f, *line, strlen(*line));
	while (f.count <= field)
		strv_add(&f, "");
	if (list_has(f.items[field], member))
		return 0;
	char *list = *f.items[field] ? xasprintf("%s,%s", f.items[field], member) : xstrdup(member);
	free(f.items[field]);
	f.items[field] = list;
	free(*line);
	*line = strv_join(&f, ":");
	return 1;
}

/* gshadow(5) lists members too, in its last field; a file that lacks the group stays without it. */
static void join_shadow_group(char **text, const char *group, const char *member)
{
	AUTO_STRV struct strv lines = { 0 };
	split_lines(&lines, *text);
	ssize_t at = find_line(&lines, NAME, group);
	if (at >= 0 && add_member(&lines.items[at], GROUP_MEMBERS, member))
		join_lines(text, &lines);
}

static void join_group(struct account_files *f, const struct boot_group *g, const char *member)
{
	AUTO_STRV struct strv lines = { 0 };
	AUTOFREE char *gid = xasprintf("%u", g->gid);
	split_lines(&lines, f->group ? f->group : "");
	ssize_t at = find_line(&lines, GROUP_GID, gid);
	if (at < 0) {
		AUTOFREE char *name = free_group_name(&lines, g->name, g->gid);
		add_line(&f->group, xasprintf("%s:x:%u:%s", name, g->gid, member));
		if (f->gshadow && !has_name(f->gshadow, name))
			add_line(&f->gshadow, xasprintf("%s:!::%s", name, member));
		return;
	}
	AUTOFREE char *name = xstrndup(lines.items[at], strcspn(lines.items[at], ":"));
	if (add_member(&lines.items[at], GROUP_MEMBERS, member))
		join_lines(&f->group, &lines);
	if (f->gshadow)
		join_shadow_group(&f->gshadow, name, member);
}

/* The groups of those who read the system's logs. */
static void join_log_groups(struct account_files *f, const struct boot_user *u)
{
	static const char *const names[] = { "systemd-journal", "adm" };
	for (size_t i = 0; f->group && i < ARRAY_SIZE(names); i++) {
		struct boot_group g = { .name = (char *)names[i] };
		if (group_find(f->group, names[i], &g.gid) == 0 && g.gid != u->gid)
			join_group(f, &g, u->name);
	}
}

void accounts_join_groups(struct account_files *f, const struct boot_user *u)
{
	join_log_groups(f, u);
	for (size_t i = 0; i < u->group_count; i++)
		if (u->groups[i].gid != u->gid)
			join_group(f, &u->groups[i], u->name);
}

void accounts_apply(struct account_files *f, const struct boot_user *u, const char *shell)
{
	apply_group(f, u);
	accounts_join_groups(f, u);
	apply_passwd(f, u, shell);
	if (f->shadow && !has_name(f->shadow, u->name))
		add_line(&f->shadow, xasprintf("%s:!:19000:0:99999:7:::", u->name));
	apply_subids(&f->subuid, u);
	apply_subids(&f->subgid, u);
}

void account_files_done(struct account_files *f)
{
	char *all[] = { f->passwd, f->group, f->shadow, f->gshadow, f->subuid, f->subgid };
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		free(all[i]);
	*f = (struct account_files){ 0 };
}
