/* SPDX-License-Identifier: Apache-2.0
 * Endpoints and logging in.
 *
 * A Bearer challenge names a token service (distribution specification, "token authentication"): it
 * is asked with basic credentials, or with none for public images; with an identity token by
 * OAuth2's refresh grant. The credentials go to the service that the registry names, but never over
 * plain HTTP unless the registry itself may be spoken to that way. They never go to this host or
 * its link (near.h) unless the registry itself is there: an https certificate is no proof of who
 * listens on loopback, and a POST there may do more than answer. */
#include "image/registry/endpoint.h"

#include <errno.h>
#include <openssl/evp.h>
#include <poll.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/path.h"
#include "image/common/interrupt.h"
#include "image/registry/near.h"
#include "image/registry/request.h"

enum {
	TOKEN_ANSWER_MAX = 256 << 10,
	TOKEN_TIMEOUT_S = 30,
	TOKEN_ATTEMPTS = 3,
	TOKEN_PAUSE_MS = 1000,
	CREDENTIAL_MAX = 16 << 10,
};

/* An own certificate authority for this registry, where podman and docker keep it. */
static char *find_ca_file(const char *registry)
{
	AUTOFREE char *home = path_home_dir(), *own = path_join(home, ".config/containers/certs.d");
	const char *folders[] = { own, "/etc/containers/certs.d", "/etc/docker/certs.d" };
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		AUTOFREE char *path = xasprintf("%s/%s/ca.crt", folders[i], registry);
		if (path_exists(path))
			return TAKE_PTR(path);
	}
	return NULL;
}

static void set_base(struct endpoint *e, const char *scheme)
{
	free(e->base);
	e->base =
	    xasprintf("%s://%s%s%s", scheme, streq(e->registry, "docker.io") ? "registry-1.docker.io" : e->registry,
		*e->repository ? "/v2/" : "", e->repository);
}

struct endpoint *endpoint_new(const char *name, const char *repository, int insecure)
{
	struct endpoint *e = xnew(struct endpoint);
	size_t n = strcspn(name, "/");
	e->registry = xstrndup(name, n);
	e->repository = name[n] ? xasprintf("%s/%s", name + n + 1, repository) : xstrdup(repository);
	e->insecure = insecure;
	e->near = reference_registry_is_loopback(e->registry);
	e->plain_allowed = insecure || e->near;
	e->ca_file = find_ca_file(e->registry);
	set_base(e, "https");
	return e;
}

void endpoint_free(struct endpoint *e)
{
	if (!e)
		return;
	free(e->registry);
	free(e->repository);
	free(e->base);
	free(e->ca_file);
	free(e->authorization);
	credentials_done(&e->credentials);
	free(e);
}

int endpoint_use_plain(struct endpoint *e)
{
	if (!e->plain_allowed || startswith(e->base, "http://"))
		return 0;
	set_base(e, "http");
	return 1;
}

static void set_authorization(struct endpoint *e, char *value)
{
	free(e->authorization);
	e->authorization = value;
	e->generation++;
}

/* "Basic ..." of the credentials; owned. */
static char *basic_value(const struct credentials *c)
{
	AUTOFREE char *plain = xasprintf("%s:%s", c->user, c->password);
	size_t size = strlen(plain);
	AUTOFREE char *encoded = xcalloc(1, (size + 2) / 3 * 4 + 1);
	EVP_EncodeBlock((unsigned char *)encoded, (const unsigned char *)plain, (int)size);
	explicit_bzero(plain, size);
	return xasprintf("Basic %s", encoded);
}

static int collect(struct request *q, const void *data, size_t size, struct error **err)
{
	return buffer_append(q->data, data, size) < 0 ?
		   error_set(err, EFBIG, "the token service's answer is too long") :
		   0;
}

static void append_query(struct buffer *b, const char *key, const char *value)
{
	char *escaped = value ? curl_easy_escape(NULL, value, 0) : NULL;
	if (escaped)
		buffer_appendf(b, "%s%s=%s", b->size ? "&" : "", key, escaped);
	curl_free(escaped);
}

static int parse_token(struct endpoint *e, struct buffer *answer, struct error **err)
{
	AUTO_JSON struct json_object *o = NULL;
	const char *token = NULL;
	int r = json_parse(answer->data, answer->size, "answer of the token service", &o, err);
	if (r < 0)
		return r;
	if (!json_object_is_type(o, json_type_object) ||
	    (json_get_string(o, "token", &token, NULL) < 0 && json_get_string(o, "access_token", &token, NULL) < 0) ||
	    !*token)
		return error_set(err, EPROTO, "the token service of registry %s gave no token", e->registry);
	for (const char *p = token; *p; p++)
		if (*p <= ' ' || *p >= 0x7f)
			return error_set(err, EPROTO, "the token service of registry %s gave a broken token",
			    e->registry);
	set_authorization(e, xasprintf("Bearer %s", token));
	return 0;
}

static int refuse_near(const struct endpoint *e, const char *host, struct error **err)
{
	return error_set(err, EACCES,
	    "registry %s names a token service on this machine or its link (%s), where no login is sent; ask who runs "
	    "the registry",
	    e->registry, host ? host : "");
}

/* One question to the token service: 0, -EAGAIN to ask again later, or an error. */
static int ask_once(struct endpoint *e, const struct request_options *o, int last, struct error **err)
{
	AUTO_REQUEST struct request q = { .on_body = collect };
	AUTO_BUFFER struct buffer answer;
	buffer_init(&answer, TOKEN_ANSWER_MAX);
	q.data = &answer;
	int r = request_init(&q, o, err);
	if (r < 0)
		return r;
	CURLcode code = request_perform(&q);
	r = interrupt_check(err);
	if (r < 0)
		return r;
	if (q.status == 200 && code == CURLE_OK && q.headers_ended)
		return parse_token(e, &answer, err);
	AUTOFREE char *host = request_url_part(o->url, CURLUPART_HOST), *message = request_error_message(&q);
	if (q.peer_refused)
		return refuse_near(e, host, err);
	if (q.status == 401 || q.status == 403)
		return error_set(err, EACCES,
		    "registry %s refuses the login%s%s%s; log in with \"holm image login %s\"", e->registry,
		    *e->repository ? " for " : "", e->repository, message, e->registry);
	if (!last)
		return -EAGAIN;
	return error_set(err, EIO, "the token service %s of registry %s: %s%s", host ? host : "", e->registry,
	    code != CURLE_OK ? curl_easy_strerror(code) : "does not answer properly", message);
}

/* Lists the rights that a token is asked for. The registry says how it calls the repository. A push
 * asks for all rights at once, so that one token does. */
static void list_scopes(const struct endpoint *e, const struct challenge *c, struct strv *ret)
{
	if (c->scope)
		strv_split(ret, c->scope, " ");
	if (ret->count == 0 && *e->repository)
		strv_addf(ret, "repository:%s:pull", e->repository);
	if (!e->pushes)
		return;
	char *actions = strrchr(ret->items[0], ':');
	if (startswith(ret->items[0], "repository:") && actions && !strstr(actions, "push")) {
		AUTOFREE char *old = ret->items[0];
		ret->items[0] = xasprintf("%.*s:pull,push", (int)(actions - old), old);
	}
	for (size_t k = 0; e->mounts && k < e->mounts->count; k++) {
		AUTOFREE char *scope = xasprintf("repository:%s:pull", e->mounts->items[k]);
		if (!strv_contains(ret, scope))
			strv_add(ret, scope);
	}
}

/* A form has them in one field (RFC 6749, 3.3), a query in one each. */
static void append_scopes(struct buffer *query, const struct strv *scopes, int in_one)
{
	AUTOFREE char *joined = in_one ? strv_join(scopes, " ") : NULL;
	if (joined)
		append_query(query, "scope", joined);
	for (size_t k = 0; !joined && k < scopes->count; k++)
		append_query(query, "scope", scopes->items[k]);
}

/* Asks for a token for this repository. */
static int get_token(struct endpoint *e, const struct challenge *c, struct error **err)
{
	AUTO_BUFFER struct buffer query;
	buffer_init(&query, CREDENTIAL_MAX * 4);
	AUTO_STRV struct strv scopes = { 0 };
	list_scopes(e, c, &scopes);
	append_query(&query, "service", c->service);
	append_scopes(&query, &scopes, e->credentials.identity_token != NULL);
	int refresh = e->credentials.identity_token != NULL;
	if (refresh) {
		append_query(&query, "grant_type", "refresh_token");
		append_query(&query, "client_id", "holm");
		append_query(&query, "refresh_token", e->credentials.identity_token);
	}
	AUTOFREE char *url =
	    refresh ? xstrdup(c->realm) :
		      xasprintf("%s%s%s", c->realm, strchr(c->realm, '?') ? "&" : "?", buffer_string(&query));
	AUTOFREE char *basic = !refresh && e->credentials.user ? basic_value(&e->credentials) : NULL;
	struct request_options o = {
		.url = url,
		.authorization = basic,
		.post = refresh ? buffer_string(&query) : NULL,
		.timeout_s = TOKEN_TIMEOUT_S,
		.insecure = e->insecure,
		.ca_file = request_same_origin(url, e->base) ? e->ca_file : NULL,
		.far_only = !e->near,
	};
	int r = -EAGAIN;
	for (int i = 1; r == -EAGAIN; i++) {
		if (i > 1)
			fd_wait(interrupt_fd(), POLLIN, clock_deadline(TOKEN_PAUSE_MS * i));
		r = ask_once(e, &o, i == TOKEN_ATTEMPTS, err);
	}
	return r;
}

static int check_realm(const struct endpoint *e, const char *realm, struct error **err)
{
	AUTOFREE char *scheme = request_url_part(realm, CURLUPART_SCHEME),
		      *host = request_url_part(realm, CURLUPART_HOST);
	if (!scheme || !host || (!streq(scheme, "https") && !streq(scheme, "http")))
		return error_set(err, EPROTO, "registry %s names a token service that is no URL", e->registry);
	if (!e->near && near_host(host))
		return refuse_near(e, host, err);
	if (streq(scheme, "http") && !e->insecure && !reference_registry_is_loopback(host))
		return error_set(err, EACCES,
		    "registry %s wants the login sent to http://%s without encryption; allow it with "
		    "--tls-verify=false",
		    e->registry, host);
	return 0;
}

int endpoint_authenticate(struct endpoint *e, const struct challenge *c, struct error **err)
{
	int r = 0;
	if (!e->looked_up) {
		r = credentials_find(e->registry, e->repository, &e->credentials, err);
		e->looked_up = 1;
	}
	if (r < 0)
		return r;
	if (c->scheme == CHALLENGE_BEARER) {
		r = check_realm(e, c->realm, err);
		return r < 0 ? r : get_token(e, c, err);
	}
	if (c->scheme == CHALLENGE_BASIC && e->credentials.user) {
		set_authorization(e, basic_value(&e->credentials));
		return 0;
	}
	return error_set(err, EACCES, "registry %s wants a login for %s; log in with \"holm image login %s\"",
	    e->registry, e->repository, e->registry);
}
