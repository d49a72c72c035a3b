/* SPDX-License-Identifier: Apache-2.0
 * Running crun. A container's process inherits crun's standard streams, so crun's own words go to a
 * file. */
#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "agent/engine/engine.h"
#include "base/alloc.h"
#include "base/path.h"

enum { LOG_MAX = 64 * 1024, WORDS_MAX = 32 };

void crun_words(const struct engine *e, const char *log, const char *const *words, struct strv *ret)
{
	strv_add(ret, e->crun);
	strv_add(ret, "--root=" ENGINE_CRUN_STATE);
	strv_add(ret, e->limits & DOCKER_LIMIT_CGROUP ? "--cgroup-manager=cgroupfs" : "--cgroup-manager=disabled");
	strv_addf(ret, "--log=file:%s", log);
	for (; *words && ret->count < WORDS_MAX; words++)
		strv_add(ret, *words);
}

/* The last line with text in it, without what crun puts in front. */
static char *last_line(const char *text)
{
	AUTO_STRV struct strv lines = { 0 };
	strv_split(&lines, text, "\n");
	const char *line = lines.count ? lines.items[lines.count - 1] : "crun ended without a word";
	const char *level = strstr(line, ": ");
	return xstrdup(level && strchr(line, ' ') == level + 1 ? level + 2 : line);
}

char *crun_error(const char *log, const char *program, int *ret_code)
{
	AUTOFREE char *text = NULL;
	if (path_read_file(log, LOG_MAX, &text, NULL) < 0)
		text = xstrdup("");
	AUTOFREE char *line = last_line(text);
	*ret_code = EIO;
	if (!strstr(line, "exec"))
		return TAKE_PTR(line);
	if (strcasestr(line, "not found") || strcasestr(line, "no such file or directory")) {
		*ret_code = ENOENT;
		return xasprintf("exec: \"%.256s\": executable file not found in $PATH", program);
	}
	/* A directory is "not permitted". */
	if (strcasestr(line, "permission denied") || strcasestr(line, "open executable")) {
		*ret_code = EACCES;
		return xasprintf("exec: \"%.256s\": permission denied", program);
	}
	return xstrdup(line);
}
