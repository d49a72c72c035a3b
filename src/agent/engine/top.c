/* SPDX-License-Identifier: Apache-2.0
 * GET /containers/ * /top: what ps(1) would say about the processes of a container. No program is
 * run for it. Owners are shown as the container sees them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "agent/core/rootfs.h"
#include "agent/engine/events.h"
#include "agent/engine/namespaces.h"
#include "agent/engine/processes.h"
#include "agent/provision/accounts.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"

enum { ARGUMENTS_MAX = 128 * 1024, PTS_MAJOR = 136 };

/* ---- columns ---- */

static char *show_uid(const struct processes *all, const struct process *p)
{
	const struct idmap *ids = container_ids(all->container);
	struct stat st;
	uint32_t uid;
	AUTOFREE char *path = xasprintf("/proc/%d", p->pid);
	if (stat(path, &st) < 0)
		return xstrdup("?");
	uid = st.st_uid;
	idmap_inside(ids->uids, ids->uid_count, st.st_uid, &uid);
	return xasprintf("%u", uid);
}

static char *show_user(const struct processes *all, const struct process *p)
{
	struct passwd_entry entry = { 0 };
	char *number = show_uid(all, p);
	uint32_t uid;
	if (!all->passwd || parse_u32(number, &uid) < 0 || passwd_find(all->passwd, NULL, uid, &entry) < 0)
		return number;
	free(number);
	number = xstrdup(entry.name);
	passwd_entry_done(&entry);
	return number;
}

static char *show_pid(const struct processes *all, const struct process *p)
{
	return xasprintf("%d", p->pid);
}

static char *show_ppid(const struct processes *all, const struct process *p)
{
	return xasprintf("%d", p->ppid);
}

/* Seconds since its start. */
static long age(const struct processes *all, const struct process *p)
{
	return MAX(all->uptime - p->start / all->hertz, 0L);
}

static long per_mille(const struct processes *all, const struct process *p)
{
	return p->ticks * 1000 / all->hertz / MAX(age(all, p), 1L);
}

static char *show_c(const struct processes *all, const struct process *p)
{
	return xasprintf("%ld", MIN(per_mille(all, p) / 10, 99L));
}

static char *show_cpu(const struct processes *all, const struct process *p)
{
	return xasprintf("%ld.%ld", per_mille(all, p) / 10, per_mille(all, p) % 10);
}

static long resident_kib(const struct process *p)
{
	return p->pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static char *show_mem(const struct processes *all, const struct process *p)
{
	long parts = resident_kib(p) * 1000 / MAX(all->memory_kib, 1L);
	return xasprintf("%ld.%ld", parts / 10, parts % 10);
}

static char *show_vsz(const struct processes *all, const struct process *p)
{
	return xasprintf("%lu", p->size / 1024);
}

static char *show_rss(const struct processes *all, const struct process *p)
{
	return xasprintf("%ld", resident_kib(p));
}

static char *show_tty(const struct processes *all, const struct process *p)
{
	return p->terminal && major((dev_t)p->terminal) >= PTS_MAJOR ? xasprintf("pts/%u", minor((dev_t)p->terminal)) :
								       xstrdup("?");
}

static char *show_state(const struct processes *all, const struct process *p)
{
	return xasprintf("%c", p->state);
}

/* The time of today, or the day. */
static char *show_start(const struct processes *all, const struct process *p)
{
	struct tm started, today;
	time_t at = all->now - age(all, p);
	char text[16];
	localtime_r(&at, &started);
	localtime_r(&all->now, &today);
	int same = started.tm_year == today.tm_year && started.tm_yday == today.tm_yday;
	strftime(text, sizeof text, same ? "%H:%M" : "%b%d", &started);
	return xstrdup(text);
}

static char *show_time(const struct processes *all, const struct process *p)
{
	long s = p->ticks / all->hertz;
	return xasprintf("%02ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
}

static char *show_short_time(const struct processes *all, const struct process *p)
{
	long s = p->ticks / all->hertz;
	return xasprintf("%ld:%02ld", s / 60, s % 60);
}

static char *show_age(const struct processes *all, const struct process *p)
{
	long s = age(all, p);
	return s < 3600 ? xasprintf("%02ld:%02ld", s / 60, s % 60) :
			  xasprintf("%02ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
}

static char *show_name(const struct processes *all, const struct process *p)
{
	return xstrdup(p->name);
}

static char *show_arguments(const struct processes *all, const struct process *p)
{
	size_t size = 0;
	char *text = process_read(p->pid, "cmdline", ARGUMENTS_MAX, &size);
	while (size && !text[size - 1])
		size--;
	for (size_t i = 0; i < size; i++)
		text[i] = text[i] ? text[i] : ' ';
	if (size)
		return text;
	free(text);
	return xasprintf("[%s]", p->name);
}

struct column {
	const char *word, *title;
	char *(*show)(const struct processes *all, const struct process *p);
};

static const struct column columns[] = {
	{ "uid", "UID", show_uid },
	{ "euid", "EUID", show_uid },
	{ "user", "USER", show_user },
	{ "euser", "EUSER", show_user },
	{ "pid", "PID", show_pid },
	{ "ppid", "PPID", show_ppid },
	{ "c", "C", show_c },
	{ "pcpu", "%CPU", show_cpu },
	{ "%cpu", "%CPU", show_cpu },
	{ "pmem", "%MEM", show_mem },
	{ "%mem", "%MEM", show_mem },
	{ "vsz", "VSZ", show_vsz },
	{ "rss", "RSS", show_rss },
	{ "tty", "TT", show_tty },
	{ "stat", "STAT", show_state },
	{ "state", "S", show_state },
	{ "s", "S", show_state },
	{ "stime", "STIME", show_start },
	{ "time", "TIME", show_time },
	{ "bsdtime", "TIME", show_short_time },
	{ "etime", "ELAPSED", show_age },
	{ "comm", "COMMAND", show_name },
	{ "args", "COMMAND", show_arguments },
	{ "cmd", "CMD", show_arguments },
	{ "command", "COMMAND", show_arguments },
};

/* ---- the words of ps ---- */

#define PLAIN_FORMAT "pid,tty=TTY,time,comm=CMD"
#define FULL_FORMAT "user=UID,pid,ppid,c,stime,tty=TTY,time,cmd"
#define USER_FORMAT "user,pid,pcpu,pmem,vsz,rss,tty=TTY,stat,stime=START,bsdtime,args"

/* Reads "-ef", "aux", "-eo pid,user" or "-o pid -o cmd": 0 and the columns as -o takes them. */
static int read_words(const char *text, struct strv *format, struct error **err)
{
	AUTO_STRV struct strv words = { 0 };
	const char *named = PLAIN_FORMAT;
	strv_split(&words, text, " ");
	for (size_t i = 0; i < words.count; i++) {
		const char *word = words.items[i], *o = strchr(word, 'o');
		AUTOFREE char *flags = xstrndup(word, o ? (size_t)(o - word) : strlen(word));
		if (strspn(flags, "-AaewxfFu") != strlen(flags))
			return error_set(err, EINVAL,
			    "ps_args \"%.64s\" is not supported by holm's engine; choose -ef, aux or -eo COLUMNS",
			    text);
		if (strchr(flags, 'f') || strchr(flags, 'F'))
			named = FULL_FORMAT;
		if (strchr(flags, 'u'))
			named = USER_FORMAT;
		const char *list = !o ? "" : o[1] ? o + 1 : i + 1 < words.count ? words.items[++i] : "";
		strv_split(format, list, ",");
	}
	if (!format->count)
		strv_split(format, named, ",");
	return 0;
}

static const struct column *find_column(const char *text)
{
	size_t size = strcspn(text, "=");
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		if (strlen(columns[i].word) == size && strncmp(columns[i].word, text, size) == 0)
			return &columns[i];
	return NULL;
}

static int make_titles(const struct strv *format, struct json_object *titles, struct error **err)
{
	for (size_t i = 0; i < format->count; i++) {
		const struct column *column = find_column(format->items[i]);
		const char *own = strchr(format->items[i], '=');
		if (!column)
			return error_set(err, EINVAL, "ps: unknown column \"%.64s\"", format->items[i]);
		json_object_array_add(titles, json_object_new_string(own ? own + 1 : column->title));
	}
	return 0;
}

static struct json_object *make_rows(const struct processes *all, const struct strv *format)
{
	struct json_object *rows = json_object_new_array();
	for (size_t i = 0; i < all->count; i++) {
		struct json_object *row = json_object_new_array();
		for (size_t k = 0; all->items[i].in && k < format->count; k++) {
			AUTOFREE char *text = find_column(format->items[k])->show(all, &all->items[i]);
			json_object_array_add(row, json_object_new_string(text));
		}
		if (all->items[i].in)
			json_object_array_add(rows, row);
		else
			json_object_put(row);
	}
	return rows;
}

static void read_all(const struct container *c, struct processes *all)
{
	struct timespec boot = { 0 };
	AUTOFREE char *path = xasprintf(ENGINE_RUN "/%s/root", c->record.id);
	AUTO_FD int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	*all = (struct processes){ .container = c,
		.now = time(NULL),
		.uptime = boot.tv_sec,
		.hertz = sysconf(_SC_CLK_TCK),
		.memory_kib = sysconf(_SC_PHYS_PAGES) * (sysconf(_SC_PAGESIZE) / 1024) };
	if (root >= 0)
		(void)rootfs_read(root, "/etc/passwd", &all->passwd);
	processes_read(all);
}

void engine_top(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_STRV struct strv format = { 0 };
	AUTO_JSON struct json_object *titles = json_object_new_array();
	AUTOFREE char *words = engine_query(x, "ps_args");
	struct container *c = engine_find(e, x, name);
	if (!c)
		return;
	int r = c->pid ? read_words(words && *words ? words : "-ef", &format, &err) :
			 error_set(&err, EBUSY, "container %s is not running", c->record.id);
	if (r == 0)
		r = make_titles(&format, titles, &err);
	if (r < 0) {
		engine_error(x, r, err);
		return;
	}
	struct processes all;
	struct json_object *o = json_object_new_object();
	read_all(c, &all);
	json_add(o, "Titles", json_object_get(titles));
	json_add(o, "Processes", make_rows(&all, &format));
	processes_done(&all);
	event_container(c, "top", NULL, NULL);
	http_respond_json(x, 200, o);
}
