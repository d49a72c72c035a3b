/* SPDX-License-Identifier: Apache-2.0
 * See request.h. */
#include "agent/session/request.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/hex.h"

enum { TERMINFO_MAX = 32 * 1024 };

static int read_list(struct json_object *o, const char *key, struct strv *to, struct error **err)
{
	size_t bytes = 0;
	int r = json_get_strv(o, key, to, err);
	if (r == -ENOENT)
		return 0;
	for (size_t i = 0; r >= 0 && i < to->count; i++)
		bytes += strlen(to->items[i]) + 1;
	if (r >= 0 && (to->count > SESSION_ARGS_MAX || bytes > SESSION_ARGS_BYTES_MAX))
		return error_set(err, E2BIG, "the command's arguments or environment are too long");
	return r;
}

static int read_path(struct json_object *o, const char *key, char **ret, struct error **err)
{
	const char *s = NULL;
	int r = json_get_string(o, key, &s, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (s[0] != '/' || strlen(s) > 4095)
		return error_set(err, EINVAL, "the working directory \"%.80s\" is not an absolute path", s);
	*ret = xstrdup(s);
	return 0;
}

static int read_id(struct json_object *o, const char *key, int64_t *ret, struct error **err)
{
	uint64_t v = 0;
	int r = json_get_u64(o, key, &v, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (v >= UINT32_MAX)
		return error_set(err, EINVAL, "\"%s\" is out of range", key);
	*ret = (int64_t)v;
	return 0;
}

static int read_user(struct session_request *q, struct json_object *o, struct error **err)
{
	struct json_object *u = NULL;
	const char *name = NULL;
	int r = json_get_object(o, "user", &u, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if ((r = read_id(u, "uid", &q->uid, err)) < 0 || (r = read_id(u, "gid", &q->gid, err)) < 0)
		return r;
	r = json_get_string(u, "name", &name, err);
	if (r < 0 && r != -ENOENT)
		return r;
	if (!name && q->uid < 0)
		return error_set(err, EINVAL, "the session's user has neither name nor uid");
	q->user = xstrdup(name);
	return 0;
}

static int read_terminal(struct session_request *q, struct json_object *o, struct error **err)
{
	static const uint64_t side_max = 10000;
	uint64_t rows = 24, columns = 80;
	int r;
	if (((r = json_get_bool(o, "tty", &q->tty, err)) < 0 && r != -ENOENT) ||
	    ((r = json_get_bool(o, "stdin", &q->use_stdin, err)) < 0 && r != -ENOENT) ||
	    ((r = json_get_bool(o, "detach", &q->detach, err)) < 0 && r != -ENOENT) ||
	    ((r = json_get_bool(o, "shell", &q->shell, err)) < 0 && r != -ENOENT) ||
	    ((r = json_get_u64(o, "rows", &rows, err)) < 0 && r != -ENOENT) ||
	    ((r = json_get_u64(o, "columns", &columns, err)) < 0 && r != -ENOENT))
		return r;
	q->rows = (uint16_t)MIN(rows, side_max);
	q->columns = (uint16_t)MIN(columns, side_max);
	return 0;
}

static int read_subsystem(struct session_request *q, struct json_object *o, struct error **err)
{
	const char *name = NULL;
	int r = json_get_string(o, "subsystem", &name, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (!streq(name, "sftp"))
		return error_set(err, EINVAL, "subsystem \"%.80s\": there is only sftp", name);
	if (q->argv.count || q->tty || q->detach)
		return error_set(err, EINVAL, "a subsystem has no command and no terminal");
	q->sftp = 1;
	return 0;
}

static int read_umask(struct session_request *q, struct json_object *o, struct error **err)
{
	uint64_t mask = SESSION_UMASK;
	int r = json_get_u64(o, "umask", &mask, err);
	if (r < 0 && r != -ENOENT)
		return r;
	if (mask > 0777)
		return error_set(err, EINVAL, "\"umask\" is out of range");
	q->umask = q->user || q->uid >= 0 ? SESSION_UMASK : (mode_t)mask;
	return 0;
}

static int read_terminfo(struct session_request *q, struct json_object *o, struct error **err)
{
	struct json_object *terminal = NULL;
	const char *name = NULL, *entry = NULL;
	int r = json_get_object(o, "terminfo", &terminal, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if ((r = json_get_string(terminal, "name", &name, err)) < 0 ||
	    (r = json_get_string(terminal, "entry", &entry, err)) < 0)
		return r == -ENOENT ? error_set(err, EINVAL, "\"terminfo\" has no name or no entry") : r;
	r = hex_decode(entry, TERMINFO_MAX, &q->terminal.entry, &q->terminal.size);
	if (r < 0)
		return error_set(err, EINVAL, "\"terminfo\" has an entry that cannot be one");
	q->terminal.name = xstrdup(name);
	return 0;
}

static int read_relay(struct session_request *q, struct json_object *o, struct error **err)
{
	struct json_object *relay = NULL;
	const char *refused = NULL;
	int r = json_get_object(o, "relay", &relay, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if ((r = read_id(relay, "id", &q->relay, err)) < 0)
		return r;
	r = json_get_string(relay, "refused", &refused, err);
	if (r < 0 && r != -ENOENT)
		return r;
	q->relay_refused = xstrdup(refused);
	return 0;
}

int session_request_parse(struct json_object *o, struct session_request **ret, struct error **err)
{
	if (!json_object_is_type(o, json_type_object))
		return error_set(err, EINVAL, "the session request is not an object");
	CLEANUP(session_request_freep) struct session_request *q = xnew(struct session_request);
	q->uid = q->gid = q->relay = -1;
	int r;
	if ((r = read_list(o, "argv", &q->argv, err)) < 0 || (r = read_list(o, "env", &q->env, err)) < 0 ||
	    (r = read_terminal(q, o, err)) < 0 || (r = read_user(q, o, err)) < 0 ||
	    (r = read_path(o, "workdir", &q->workdir, err)) < 0 || (r = read_path(o, "cwd", &q->cwd, err)) < 0)
		return r;
	if ((r = read_umask(q, o, err)) < 0 || (r = read_terminfo(q, o, err)) < 0 || (r = read_relay(q, o, err)) < 0 ||
	    (r = read_subsystem(q, o, err)) < 0)
		return r;
	if (q->argv.count && !*q->argv.items[0] && !q->shell)
		return error_set(err, EINVAL, "the command is an empty word");
	*ret = TAKE_PTR(q);
	return 0;
}

void session_request_free(struct session_request *q)
{
	if (!q)
		return;
	strv_done(&q->argv);
	strv_done(&q->env);
	free(q->user);
	free(q->workdir);
	free(q->cwd);
	free(q->relay_refused);
	free(q->terminal.name);
	free(q->terminal.entry);
	free(q);
}
