/* SPDX-License-Identifier: Apache-2.0
 * No shell takes part: $BROWSER is a list with colons, its entries are words with blanks between
 * them. The browser gets a session of its own, so that a Ctrl-C in the terminal is not for it. */
#include "cli/machine/browser.h"

#include <errno.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/spawn.h"
#include "base/strv.h"

enum { FAILURE_MS = 2000 };

static char *fill_word(const char *word, const char *url, int *ret_filled)
{
	char *text = xstrdup("");
	for (const char *p = word; *p; p++) {
		int is_url = p[0] == '%' && p[1] == 's', is_percent = p[0] == '%' && p[1] == '%';
		char *longer = is_url ? xasprintf("%s%s", text, url) : xasprintf("%s%c", text, *p);
		free(text);
		text = longer;
		*ret_filled |= is_url;
		p += is_url || is_percent;
	}
	return text;
}

void browser_words(const char *entry, const char *url, struct strv *ret)
{
	AUTO_STRV struct strv words = { 0 };
	int filled = 0;
	strv_split(&words, entry, " \t");
	for (size_t i = 0; i < words.count; i++)
		strv_take(ret, fill_word(words.items[i], url, &filled));
	if (ret->count && !filled)
		strv_add(ret, url);
}

/* Waits a moment for a failure: a browser that is running by then works. 0 or -EIO. */
static int check_start(pid_t pid, const char *program, struct error **err)
{
	int status = 0;
	AUTO_FD int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0 || fd_wait(fd, POLLIN, clock_deadline(FAILURE_MS)) <= 0)
		return 0;
	if (spawn_wait(pid, &status) < 0 || status == 0)
		return 0;
	return error_set(err, EIO, "%s ended with status %d", program, status);
}

static int start(const char *entry, const char *url, struct error **err)
{
	AUTO_STRV struct strv words = { 0 };
	pid_t pid;
	browser_words(entry, url, &words);
	if (!words.count)
		return -ENOENT;
	const struct spawn_options o = { .argv = strv_argv(&words), .new_session = 1 };
	int r = spawn(&o, &pid, NULL);
	if (r < 0)
		return r == -ENOENT ? r : error_set_errno(err, r, "%s", words.items[0]);
	return check_start(pid, words.items[0], err);
}

int browser_open(const char *url, struct error **err)
{
	AUTO_STRV struct strv entries = { 0 };
	const char *list = getenv("BROWSER");
	int r = -ENOENT;
	strv_split(&entries, list ? list : "", ":");
	strv_add(&entries, "xdg-open");
	for (size_t i = 0; r == -ENOENT && i < entries.count; i++)
		r = start(entries.items[i], url, err);
	return r;
}
