/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/core/execute.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/path.h"

/* A directory of that name is no program that was refused. */
static int is_absent(const char *path, int code)
{
	struct stat st;
	return code == ENOENT || code == ENOTDIR || (code == EACCES && stat(path, &st) == 0 && S_ISDIR(st.st_mode));
}

int execute_program(const char *program, char *const *argv, struct strv *env)
{
	char **environment = strv_argv(env);
	AUTO_STRV struct strv directories = { 0 };
	const char *path = strv_getenv(env, "PATH");
	int result = -ENOENT;
	if (strchr(program, '/')) {
		execve(program, argv, environment);
		return -errno;
	}
	strv_split(&directories, path ? path : "/usr/bin:/bin", ":");
	for (size_t i = 0; i < directories.count; i++) {
		AUTOFREE char *candidate = path_join(directories.items[i], program);
		execve(candidate, argv, environment);
		int code = errno;
		if (is_absent(candidate, code))
			continue;
		result = -code;
		if (code != EACCES)
			break;
	}
	return result;
}
