/* SPDX-License-Identifier: Apache-2.0
 * Which directories a machine sees: the home as its setting says, and its mounts. In every share
 * holm's own folders are hidden: a machine must not reach the library, other machines' disks or
 * anybody's sockets through a directory. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"
#include "keeper/keeper_private.h"
#include "keeper/shares/events.h"
#include "keeper/shares/own_folders.h"
#include "keeper/shares/sockets.h"
#include "keeper/shares/source.h"

enum { SHARES_MAX = 64, AGENT_SHARE_MS = 30 * 1000 };

void share_free(struct keeper_share *s)
{
	if (!s)
		return;
	share_socket_take_back(s);
	free(s->tag);
	free(s->host);
	free(s->inside);
	strv_done(&s->hidden);
	strv_done(&s->hidden_ids);
	strv_done(&s->aliases);
	strv_done(&s->private);
	share_events_free(s->events);
	fd_close(s->events_server);
	free(s);
}
DEFINE_CLEANUP(struct keeper_share, share_free)

/* The path without symlinks, owned, as far as it is there. */
static char *real_path(const char *path)
{
	char real[PATH_MAX];
	if (realpath(path, real))
		return xstrdup(real);
	if (path[0] != '/' || streq(path, "/"))
		return xstrdup(path);
	AUTOFREE char *parent = path_parent(path), *above = real_path(parent);
	return path_join(above, path_base(path));
}

/* -EACCES when the share itself lies inside one of holm's folders. */
static int hide_own_folders(struct keeper_share *s, struct error **err)
{
	AUTO_STRV struct strv own = { 0 };
	/* also those of keepers that somebody started otherwise */
	path_data_dirs(&own);
	path_runtime_dirs(&own);
	for (size_t i = 0; i < own.count; i++) {
		AUTOFREE char *real = real_path(own.items[i]);
		if (path_is_below(s->host, real))
			return error_set(err, EACCES, "%s cannot be shared: it belongs to holm itself", s->host);
		if (path_is_below(real, s->host) && !strv_contains(&s->hidden, real)) {
			strv_add(&s->hidden, real);
			strv_take(&s->hidden_ids, path_identity(AT_FDCWD, real));
		}
	}
	return 0;
}

/* A machine that holds back its writes has its shares for itself. */
static int has_events(const struct keeper *k)
{
	const int *choices = k->machine->share_choices;
	return k->ops->tells_changes && streq(machine_share_events_words[choices[MACHINE_SHARE_EVENTS]], "on") &&
	       !streq(machine_share_cache_words[choices[MACHINE_SHARE_CACHE]], "writeback");
}

/* The home is left out: a machine that may write to it is
 * trusted with the account (holm-security(7)), and links in a home are the user's. */
void shares_list_writable(const struct keeper *k, struct strv *to)
{
	const struct machine *m = k->machine;
	for (size_t i = 0; i < m->mount_count; i++) {
		char *spelled = m->mounts[i].read_only ? NULL : path_normalize(m->mounts[i].host);
		if (!spelled)
			continue;
		strv_take(to, real_path(spelled));
		strv_take(to, spelled);
	}
	for (const struct keeper_share *s = k->shares; s; s = s->next)
		if (!s->read_only && !streq(s->tag, "home"))
			strv_add(to, s->host);
}

/* Lists the other spellings of the share's place, if the machine has the share where the host has
 * it. A shell's directory is always spelled without symbolic links, a home seldom. */
static void find_aliases(struct keeper_share *s, const char *host)
{
	AUTOFREE char *place = path_normalize(host), *home = path_home_dir(), *account = path_account_home();
	const char *spelled[] = { s->host, home, account };
	if (!streq(place, s->inside))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(spelled); i++) {
		AUTOFREE char *real = spelled[i] ? real_path(spelled[i]) : NULL;
		if (real && streq(real, s->host) && !streq(spelled[i], s->inside) &&
		    !strv_contains(&s->aliases, spelled[i]))
			strv_add(&s->aliases, spelled[i]);
	}
}

static int share_new(struct keeper *k, const char *tag, const char *host, const char *inside, int read_only,
    struct keeper_share **ret, struct error **err)
{
	struct stat st;
	AUTO_STRV struct strv writable = { 0 };
	CLEANUP(share_freep) struct keeper_share *s = xnew(struct keeper_share);
	s->events_server = -1;
	s->tag = xstrdup(tag);
	s->inside = path_normalize(inside);
	s->read_only = read_only;
	if (host[0] != '/' || !s->inside)
		return error_set(err, EINVAL, "share %s: both paths must be absolute", host);
	shares_list_writable(k, &writable);
	AUTO_FD int source = -1;
	int r = share_source_resolve(host, &writable, &s->host, &source, err);
	if (r < 0)
		return r;
	if (fstat(source, &st) < 0)
		return error_set_errno(err, errno, "share %s", host);
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode) && !S_ISSOCK(st.st_mode))
		return error_set(err, ENOTDIR, "share %s: not a directory, file or socket", host);
	s->is_file = S_ISREG(st.st_mode);
	if (S_ISSOCK(st.st_mode) && k->ops->relays_sockets)
		share_socket_lend(k, s, TAKE_FD(source), &st);
	find_aliases(s, host);
	r = hide_own_folders(s, err);
	if (r == 0 && has_events(k) && !share_socket_is_lent(s) &&
	    (r = share_events_new(k->loop, &s->events, &s->events_server)) < 0)
		return error_set_errno(err, r, "share %s", host);
	if (r == 0)
		*ret = TAKE_PTR(s);
	return r;
}

static void append(struct keeper *k, struct keeper_share *s)
{
	struct keeper_share **at = &k->shares;
	while (*at)
		at = &(*at)->next;
	*at = s;
}

static size_t share_count(const struct keeper *k)
{
	size_t n = 0;
	for (const struct keeper_share *s = k->shares; s; s = s->next)
		n++;
	return n;
}

int shares_collect(struct keeper *k, struct error **err)
{
	const struct machine *m = k->machine;
	struct keeper_share *s;
	if (k->options.rescue)
		return 0;
	if (m->home_mount != MACHINE_HOME_NONE) {
		int r = share_new(k, "home", m->home, m->home, m->home_mount == MACHINE_HOME_RO, &s, err);
		if (r < 0)
			return r;
		append(k, s);
		own_folders_prepare(k, s);
	}
	for (size_t i = 0; i < m->mount_count; i++) {
		AUTOFREE char *tag = xasprintf("share%u", ++k->share_number);
		AUTO_ERROR struct error *why = NULL;
		int r = share_new(k, tag, m->mounts[i].host, m->mounts[i].inside, m->mounts[i].read_only, &s, &why);
		if (r < 0)
			return error_set(err, -r, "%s; holm machine mount rm -n %s %s takes it away",
			    error_text(why, r), m->name, m->mounts[i].inside);
		append(k, s);
	}
	return 0;
}

static void describe(const struct keeper *k, const struct keeper_share *s, struct isolation_share *ret)
{
	*ret = (struct isolation_share){
		.tag = s->tag,
		.host = s->host,
		.is_file = s->is_file,
		.read_only = s->read_only,
		.events = s->events_server,
		.hidden = (const char *const *)s->hidden.items,
		.hidden_ids = (const char *const *)s->hidden_ids.items,
		.inside_uid = k->machine->uid,
		.inside_gid = k->machine->gid,
		.choices = k->machine->share_choices,
	};
}

struct json_object *share_describe_inside(const struct keeper_share *s)
{
	struct json_object *o = json_object_new_object();
	json_add_string(o, "tag", s->tag);
	json_add_string(o, "inside", s->inside);
	json_add_bool(o, "file", s->is_file);
	json_add_bool(o, "read_only", s->read_only);
	json_add_bool(o, "events", s->events != NULL);
	json_add_strv(o, "aliases", &s->aliases);
	json_add_strv(o, "private", &s->private);
	share_socket_describe(s, o);
	return o;
}

struct isolation_share *shares_describe(const struct keeper *k, size_t *ret_count)
{
	size_t i = 0;
	struct isolation_share *array = xcalloc(share_count(k) + 1, sizeof *array);
	for (const struct keeper_share *s = k->shares; s; s = s->next)
		if (!share_socket_is_lent(s))
			describe(k, s, &array[i++]);
	*ret_count = i;
	return array;
}

void shares_free(struct keeper *k)
{
	for (struct keeper_share *s = k->shares, *next; s; s = next) {
		next = s->next;
		share_free(s);
	}
	own_folders_done(k->own_folders);
}

void shares_given(struct keeper *k)
{
	for (struct keeper_share *s = k->shares; s; s = s->next)
		fd_close(TAKE_FD(s->events_server));
}

struct keeper_share *share_find(struct keeper *k, const char *tag)
{
	struct keeper_share *s = k->shares;
	while (s && !streq(s->tag, tag))
		s = s->next;
	return s;
}

/* ---- live ---- */

struct share_change {
	struct keeper *keeper;
	struct keeper_share *share; /* to be added (owned), or borrowed for removal */
	char *tag;
	keeper_done_fn done;
	void *data;
};

static void change_done(struct share_change *c, int code, const char *text)
{
	c->done(code, text, c->data);
	free(c->tag);
	free(c);
}

static void on_undone(int code, const char *why, void *data)
{
	if (code < 0 && code != -ECANCELED)
		log_warning("a share that could not be mounted stays attached: %s", why ? why : strerror(-code));
}

/* The isolation has attached it and the agent could not mount it. */
static void undo(struct share_change *c)
{
	AUTO_ERROR struct error *err = NULL;
	int lent = share_socket_is_lent(c->share);
	int r = lent ? 0 : c->keeper->ops->remove_share(c->keeper->run, c->share->tag, on_undone, NULL, &err);
	if (r < 0)
		on_undone(r, error_text(err, r), NULL);
	share_free(c->share);
}

static void on_mounted(int code, struct json_object *body, const struct error *err, void *data)
{
	struct share_change *c = data;
	if (code < 0)
		undo(c);
	else
		append(c->keeper, c->share);
	change_done(c, code, code < 0 ? error_text(err, code) : NULL);
}

static int call_shares(struct share_change *c, const char *method, const char *target, struct json_object *body,
    void (*done)(int, struct json_object *, const struct error *, void *), struct error **err)
{
	AUTO_JSON struct json_object *owned = body;
	const struct http_call_events events = { .done = done };
	int fd;
	int r = keeper_open_stream(c->keeper, &fd, err);
	return r < 0 ? r :
		       http_call(c->keeper->loop, fd, method, target, TAKE_PTR(owned), clock_deadline(AGENT_SHARE_MS),
			   &events, c, NULL);
}

static void on_attached(int code, const char *why, void *data)
{
	struct share_change *c = data;
	AUTO_ERROR struct error *err = NULL;
	if (code < 0) {
		error_set(&err, -code, "%s", why ? why : strerror(-code));
		share_free(c->share);
	} else {
		code = call_shares(c, "POST", "/v1/shares", share_describe_inside(c->share), on_mounted, &err);
		if (code < 0)
			undo(c);
	}
	if (code < 0)
		change_done(c, code, error_text(err, code));
}

static struct keeper_share *find_inside(struct keeper *k, const char *inside)
{
	struct keeper_share *s = k->shares;
	while (s && !streq(s->inside, inside))
		s = s->next;
	return s;
}

/* Whether the share can be added now. 0 or -errno. */
static int check_new(struct keeper *k, const struct keeper_share *s, struct error **err)
{
	if (!k->session_ready || k->options.rescue)
		return error_set(err, EOPNOTSUPP, "machine \"%s\" is not running yet", k->machine->name);
	if (find_inside(k, s->inside))
		return error_set(err, EEXIST, "%s is a share already", s->inside);
	return share_count(k) >= SHARES_MAX ? error_set(err, EBUSY, "more than %d shares", SHARES_MAX) : 0;
}

/* Hands the share to the isolation; on_attached() takes it, and tells `done`. 0 or -errno. */
static int attach(struct keeper *k, struct keeper_share *s, keeper_done_fn done, void *data, struct error **err)
{
	struct share_change *c = xnew(struct share_change);
	struct isolation_share described;
	*c = (struct share_change){ .keeper = k, .share = s, .done = done, .data = data };
	if (share_socket_is_lent(s)) {
		on_attached(0, NULL, c);
		return 0;
	}
	describe(k, s, &described);
	AUTO_FD int given = TAKE_FD(s->events_server);
	described.events = given;
	int r = k->ops->add_share(k->run, &described, on_attached, c, err);
	if (r < 0)
		free(c);
	return r;
}

void keeper_add_share(struct keeper *k, const char *host, const char *inside, int read_only, keeper_done_fn done,
    void *data)
{
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *tag = xasprintf("share%u", ++k->share_number);
	struct keeper_share *s = NULL;
	int r = share_new(k, tag, host, inside, read_only, &s, &err);
	if (r < 0 || (r = check_new(k, s, &err)) < 0 || (r = attach(k, s, done, data, &err)) < 0) {
		share_free(s);
		done(r, error_text(err, r), data);
	}
}

static void on_detached(int code, const char *why, void *data)
{
	struct share_change *c = data;
	for (struct keeper_share **at = &c->keeper->shares; *at; at = &(*at)->next)
		if (streq((*at)->tag, c->tag)) {
			struct keeper_share *gone = *at;
			*at = gone->next;
			share_free(gone);
			break;
		}
	change_done(c, code, why);
}

static void on_unmounted(int code, struct json_object *body, const struct error *err, void *data)
{
	struct share_change *c = data;
	AUTO_ERROR struct error *why = NULL;
	int r = code;
	const struct keeper_share *s = share_find(c->keeper, c->tag);
	if (code == 0 && s && share_socket_is_lent(s)) {
		on_detached(0, NULL, c);
		return;
	}
	if (code == 0)
		r = c->keeper->ops->remove_share(c->keeper->run, c->tag, on_detached, c, &why);
	if (r < 0)
		change_done(c, r, error_text(code < 0 ? err : why, r));
}

void keeper_remove_share(struct keeper *k, const char *inside, keeper_done_fn done, void *data)
{
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *normal = path_normalize(inside), *query = http_encode_query(normal ? normal : inside);
	AUTOFREE char *target = xasprintf("/v1/shares?inside=%s", query);
	struct keeper_share *s = normal ? find_inside(k, normal) : NULL;
	if (!s) {
		AUTOFREE char *text = xasprintf("no share at %s", inside);
		done(-ENOENT, text, data);
		return;
	}
	struct share_change *c = xnew(struct share_change);
	*c = (struct share_change){ .keeper = k, .tag = xstrdup(s->tag), .done = done, .data = data };
	int r = call_shares(c, "DELETE", target, NULL, on_unmounted, &err);
	if (r < 0)
		change_done(c, r, error_text(err, r));
}
