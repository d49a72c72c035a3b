/* SPDX-License-Identifier: Apache-2.0
 * See request.h. All sizes are the client's, so all have a limit. */
#include "ssh/request.h"

#include <errno.h>
#include <pwd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "cli/machine/session_start.h"
#include "cli/machine/terminfo.h"

enum {
	ENV_COUNT_MAX = 1024,
	ENV_BYTES_MAX = 256 * 1024,
	TERM_BYTES_MAX = 64,
	SIDE_MAX = 10000,
	ROWS = 24,
	COLUMNS = 80
};

void ssh_request_init(struct ssh_request *q)
{
	*q = (struct ssh_request){ .rows = ROWS, .columns = COLUMNS };
}

void ssh_request_done(struct ssh_request *q)
{
	free(q->command);
	free(q->term);
	strv_done(&q->env);
}

int ssh_request_set_env(struct ssh_request *q, const char *name, const char *value)
{
	size_t size = strlen(name) + strlen(value) + 2;
	if (!*name || strchr(name, '='))
		return -EINVAL;
	if (q->env.count >= ENV_COUNT_MAX || q->env_bytes + size > ENV_BYTES_MAX)
		return -E2BIG;
	q->env_bytes += size;
	strv_setenv(&q->env, name, value);
	return 0;
}

void ssh_request_set_size(struct ssh_request *q, int columns, int rows)
{
	q->rows = (uint16_t)MIN(MAX(rows, 0), SIDE_MAX);
	q->columns = (uint16_t)MIN(MAX(columns, 0), SIDE_MAX);
}

int ssh_request_set_terminal(struct ssh_request *q, const char *term, int columns, int rows)
{
	if (strlen(term) > TERM_BYTES_MAX)
		return -E2BIG;
	q->tty = 1;
	free(q->term);
	q->term = xstrdup(term);
	ssh_request_set_size(q, columns, rows);
	return 0;
}

/* The name of the user that the machine's own user is made after. */
static int is_own_name(const char *user)
{
	const struct passwd *p = getpwuid(geteuid());
	return p && streq(p->pw_name, user);
}

/* NULL: the machine's user. */
static struct json_object *user_json(const char *user)
{
	uint32_t uid;
	if (is_own_name(user))
		return NULL;
	struct json_object *o = json_object_new_object();
	if (parse_u32(user, &uid) == 0 && uid != UINT32_MAX)
		json_add_u64(o, "uid", uid);
	else
		json_add_string(o, "name", user);
	return o;
}

/* The caller's as of any session; then that there is ssh, for programs that ask; then what the
 * client sends. There are no addresses to tell. */
static void add_env(struct json_object *to, const struct ssh_request *q, const struct machine *m)
{
	AUTO_STRV struct strv env = { 0 };
	session_caller_environment(m, &env);
	strv_setenv(&env, "TERM", q->tty ? q->term : NULL);
	strv_setenv(&env, "SSH_CLIENT", "127.0.0.1 0 22");
	strv_setenv(&env, "SSH_CONNECTION", "127.0.0.1 0 127.0.0.1 22");
	for (size_t i = 0; i < q->env.count; i++) {
		const char *equals = strchr(q->env.items[i], '=');
		AUTOFREE char *name = xstrndup(q->env.items[i], (size_t)(equals - q->env.items[i]));
		strv_setenv(&env, name, equals + 1);
	}
	json_add_strv(to, "env", &env);
}

struct json_object *ssh_request_json(const struct ssh_request *q, const struct machine *m, const char *user,
    const char *agent)
{
	struct json_object *o = json_object_new_object();
	if (q->command) {
		AUTO_STRV struct strv argv = { 0 };
		strv_add(&argv, q->command);
		json_add_strv(o, "argv", &argv);
		json_add_bool(o, "shell", 1);
	}
	if (q->sftp)
		json_add_string(o, "subsystem", "sftp");
	json_add(o, "user", user_json(user));
	json_add_bool(o, "tty", q->tty);
	if (q->tty)
		json_add(o, "terminfo", terminfo_find_name(q->term));
	json_add_u64(o, "rows", q->rows);
	json_add_u64(o, "columns", q->columns);
	json_add_u64(o, "umask", session_umask());
	json_add_bool(o, "stdin", 1);
	json_add_bool(o, "detach", 0);
	json_add_string(o, "ssh_auth_sock", agent);
	add_env(o, q, m);
	return o;
}
