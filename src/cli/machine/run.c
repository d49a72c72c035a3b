/* SPDX-License-Identifier: Apache-2.0
 * `holm machine run`: from options to a session request. Exactly these words become the command's
 * argv; no shell is in between. */

#include "cli/machine/run.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/terminal.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/machine/session.h"
#include "cli/machine/session_start.h"
#include "cli/machine/terminfo.h"
#include "cli/output.h"

enum { ENV_FILE_MAX = 1 << 20, DEFAULT_ROWS = 24, DEFAULT_COLUMNS = 80, SSH_PATH_MAX = 107 };

static int run(const struct command_spec *c, struct options *o);

/* clang-format off */
#define SESSION_OPTIONS(tty_default) \
	{ "detach", 'd', OPTION_FLAG, NULL, "leave the command running inside and return at once" }, \
	{ "interactive", 'i', OPTION_FLAG, NULL, \
	  "pass stdin on; this is always so, the option is there for habit's sake" }, \
	{ "tty", 't', OPTION_FLAG, NULL, "give the command a terminal", .default_text = (tty_default) }, \
	{ "no-tty", 'T', OPTION_FLAG, NULL, "give the command no terminal" }, \
	{ "wait", 0, OPTION_FLAG, NULL, "wait until its init says that booting is done", \
	  .default_text = "as \"set wait=\" has it" }, \
	{ "no-stdin", 0, OPTION_FLAG, NULL, "give the command no input, for loops that read stdin" }, \
	{ "root", 0, OPTION_FLAG, NULL, "run as root" }, \
	{ "user", 'u', OPTION_STRING, "NAME|UID[:GID]", "run as this user", .default_text = "yourself" }, \
	{ "env", 'e', OPTION_LIST, "K=V|K", "set a variable; K alone takes its value from here" }, \
	{ "env-file", 0, OPTION_LIST, "FILE", "read variables from a file, one K=V or K a line", .complete = "file" }, \
	{ "workdir", 'w', OPTION_STRING, "DIR", "directory inside to run in", \
	  .default_text = "the current one where it is shared, else the home" }
/* clang-format on */

const struct option_spec run_options[] = {
	{ "name", 'n', OPTION_STRING, "NAME", "the machine", .default_text = "the default machine",
	    .complete = "machine" },
	SESSION_OPTIONS("when stdin, stdout and stderr are terminals"),
	{ 0 },
};
const struct option_spec ssh_options[] = {
	SESSION_OPTIONS("only for a shell on a terminal"),
	{ 0 },
};

const struct command_spec command_run = {
	.name = "run",
	.aliases = (const char *const[]){ "exec", NULL },
	.synopsis = "[CMD...]",
	.summary = "run a command, or a shell, in a machine; it is booted when it is stopped",
	.details = "Options of holm end at the first word of the command, or at \"--\". Without a command you get a "
		   "login shell. The words are the "
		   "command's own: no shell looks at them again. The exit status is the command's, 128+N when signal N "
		   "ended it, 125 when holm "
		   "itself failed, 126 and 127 when the command cannot be run or is not there.",
	.options = run_options,
	.max_arguments = -1,
	.stop_at_first = 1,
	.target = TARGET_NAMED_OR_DEFAULT,
	.complete = "command-inside",
	.run = run,
};

/* ---- environment ---- */

/* K=V as it is; K with the caller's value, or left out where the caller has none. */
static int add_variable(struct strv *env, const char *text, struct error **err)
{
	AUTOFREE char *key = xstrndup(text, strcspn(text, "="));
	if (!*key || strpbrk(key, " \t"))
		return error_set(err, EINVAL, "environment \"%.80s\": write K=V or K", text);
	const char *value = strchr(text, '=') ? strchr(text, '=') + 1 : getenv(key);
	if (value)
		strv_setenv(env, key, value);
	return 0;
}

static int add_env_file(struct strv *env, const char *file, struct error **err)
{
	AUTOFREE char *text = NULL;
	AUTO_STRV struct strv lines = { 0 };
	int r = path_read_file(file, ENV_FILE_MAX, &text, NULL);
	if (r < 0)
		return error_set_errno(err, r, "--env-file \"%s\"", file);
	strv_split(&lines, text, "\n");
	for (size_t i = 0; r == 0 && i < lines.count; i++) {
		const char *line = lines.items[i] + strspn(lines.items[i], " \t\r");
		if (*line && *line != '#')
			r = add_variable(env, line, err);
	}
	return r < 0 ? error_prefix(err, r, "--env-file \"%s\"", file) : 0;
}

static int collect_env(const struct machine *m, struct options *o, struct strv *env, struct error **err)
{
	int r = 0;
	session_caller_environment(m, env);
	const struct strv *files = options_list(o, "env-file"), *given = options_list(o, "env");
	for (size_t i = 0; r == 0 && i < files->count; i++)
		r = add_env_file(env, files->items[i], err);
	for (size_t i = 0; r == 0 && i < given->count; i++)
		r = add_variable(env, given->items[i], err);
	return r;
}

/* ---- the request ---- */

static int parse_user(struct options *o, struct json_object **ret, struct error **err)
{
	const char *text = options_string(o, "user");
	AUTO_JSON struct json_object *user = json_object_new_object();
	uint32_t id;
	if (options_given(o, "root") && text)
		return error_set(err, EINVAL, "--root and --user exclude each other");
	if (options_given(o, "root"))
		text = "root";
	if (!text)
		return 0;
	AUTOFREE char *name = xstrndup(text, strcspn(text, ":"));
	const char *group = strchr(text, ':');
	if (group && (parse_u32(group + 1, &id) < 0 || id == UINT32_MAX))
		return error_set(err, EINVAL,
		    "user \"%.80s\": write NAME, UID or UID:GID with numbers below 4294967295", text);
	if (group)
		json_add_u64(user, "gid", id);
	if (parse_u32(name, &id) == 0 && id != UINT32_MAX)
		json_add_u64(user, "uid", id);
	else if (machine_user_check(name, err) < 0)
		return -EINVAL;
	else
		json_add_string(user, "name", name);
	*ret = TAKE_PTR(user);
	return 0;
}

/* A command in the background must not touch the terminal's modes: SIGTTOU would stop it. */
static int is_foreground(void)
{
	return tcgetpgrp(STDIN_FILENO) == getpgrp();
}

static int wants_terminal(struct options *o, enum run_manner manner)
{
	int terminals = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	if (options_given(o, "detach") || options_given(o, "no-tty") || options_given(o, "no-stdin"))
		return 0;
	if (options_given(o, "tty"))
		return 1;
	if (options_words(o)->count == 0)
		return terminals;
	return manner == RUN_WORDS && terminals && isatty(STDERR_FILENO) && is_foreground();
}

static int check_options(struct options *o, struct error **err)
{
	const char *workdir = options_string(o, "workdir");
	if (workdir && workdir[0] != '/')
		return error_set(err, EINVAL, "--workdir \"%s\" must be an absolute path inside the machine", workdir);
	if (options_given(o, "detach") && options_words(o)->count == 0)
		return error_set(err, EINVAL, "--detach needs a command");
	if (options_given(o, "tty") && options_given(o, "no-tty"))
		return error_set(err, EINVAL, "--tty and --no-tty exclude each other");
	return 0;
}

static int build_request(const struct machine *m, struct options *o, enum run_manner manner, struct json_object **ret,
    struct error **err)
{
	AUTO_JSON struct json_object *q = json_object_new_object();
	AUTO_STRV struct strv env = { 0 };
	const struct strv *words = options_words(o);
	struct json_object *user = NULL;
	unsigned rows = DEFAULT_ROWS, columns = DEFAULT_COLUMNS;
	AUTOFREE char *cwd = getcwd(NULL, 0);
	const char *workdir = options_string(o, "workdir");
	int r = check_options(o, err);
	if (r == 0)
		r = parse_user(o, &user, err);
	if (r < 0)
		return r;
	json_add(q, "user", user);
	r = collect_env(m, o, &env, err);
	if (r < 0)
		return r;
	if (words->count)
		json_add_strv(q, "argv", words);
	json_add_bool(q, "shell", manner == RUN_SSH && words->count > 0);
	int tty = wants_terminal(o, manner);
	if (tty && terminal_size(STDOUT_FILENO, &rows, &columns) < 0)
		terminal_size(STDIN_FILENO, &rows, &columns);
	json_add_bool(q, "tty", tty);
	if (tty)
		json_add(q, "terminfo", terminfo_find());
	json_add_u64(q, "rows", rows);
	json_add_u64(q, "columns", columns);
	json_add_u64(q, "umask", session_umask());
	json_add_bool(q, "stdin", !options_given(o, "detach") && !options_given(o, "no-stdin"));
	json_add_strv(q, "env", &env);
	json_add_string(q, "workdir", workdir);
	json_add_string(q, "cwd", workdir ? NULL : cwd);
	json_add_bool(q, "detach", options_given(o, "detach") > 0);
	const char *ssh = getenv("SSH_AUTH_SOCK");
	/* A value that cannot be a socket's path is ignored: the command can do without an
	 * agent. */
	if (!options_given(o, "detach") && ssh && *ssh == '/' && strlen(ssh) <= SSH_PATH_MAX)
		json_add_string(q, "ssh_auth_sock", ssh);
	*ret = TAKE_PTR(q);
	return 0;
}

/* `exec NAME cmd`, as other tools have it: the name was taken for the command. */
static void note_machine_name(struct options *o)
{
	AUTO_MACHINE struct machine *m = NULL;
	const struct strv *words = options_words(o);
	if (words->count && !options_given(o, "name") && machine_load(words->items[0], &m, NULL) == 0)
		output_note("\"%s\" is a machine; did you mean \"-n %s\"?", words->items[0], words->items[0]);
}

int run_in_machine(struct options *o, enum run_manner manner)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_JSON struct json_object *request = NULL;
	AUTO_MACHINE struct machine *m = NULL;
	const char *machine = options_target(o);
	machine_load(machine, &m, NULL); /* the start says what is wrong with it */
	int r = build_request(m, o, manner, &request, &err);
	if (r < 0)
		return output_failure(r, err);
	r = session_boot(machine, m, options_given(o, "wait"), &err);
	if (r < 0)
		return client_start_failure(r, err);
	r = session_run(machine, request, NULL, &err);
	if (r == EXIT_NOT_FOUND && manner == RUN_WORDS)
		note_machine_name(o);
	return r < 0 ? output_failure(r, err) : r;
}

static int run(const struct command_spec *c, struct options *o)
{
	return run_in_machine(o, RUN_WORDS);
}
