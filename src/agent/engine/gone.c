/* SPDX-License-Identifier: Apache-2.0
 * See gone.h. */
#include "agent/engine/gone.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/path.h"

#define GONE ".gone-" /* in front of an id; no id and no name of a volume begins with a dot */

int gone_hide(int directory, const char *name, const char *id)
{
	AUTOFREE char *gone = xasprintf(GONE "%s", id);
	return renameat(directory, name, directory, gone) < 0 && errno != ENOENT ? -errno : 0;
}

int gone_remove(int directory, const char *id)
{
	AUTOFREE char *gone = xasprintf(GONE "%s", id);
	return path_remove_tree(directory, gone);
}

/* In a child, as a tree may be large. */
static _Noreturn void sweep(int directory)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	DIR *d = path_list(directory);
	for (struct dirent *entry; d && (entry = readdir(d));)
		if (startswith(entry->d_name, GONE))
			path_remove_tree(directory, entry->d_name);
	_exit(0);
}

static void on_swept(struct source *s, pid_t pid, int status, void *data)
{
	source_free(s);
}

static int has_gone(int directory)
{
	int found = 0;
	DIR *d = path_list(directory);
	for (struct dirent *entry; d && !found && (entry = readdir(d));)
		found = startswith(entry->d_name, GONE) != NULL;
	if (d)
		closedir(d);
	return found;
}

void gone_sweep(const struct engine *e, int directory)
{
	struct source *child;
	if (!has_gone(directory))
		return;
	pid_t pid = fork();
	if (pid == 0)
		sweep(directory);
	if (pid < 0 || loop_add_child(e->loop, pid, on_swept, NULL, &child) < 0)
		log_warning("containers or volumes that are gone still have their files: %s", strerror(errno));
}
