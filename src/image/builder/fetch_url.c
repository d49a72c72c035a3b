/* SPDX-License-Identifier: Apache-2.0
 * See fetch_url.h. */
#include "image/builder/fetch_url.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/reserve.h"
#include "image/common/interrupt.h"
#include "image/registry/near.h"
#include "image/registry/request.h"

enum { REDIRECTS_MAX = 10, URL_MAX = 8192, OK = 200 };

struct fetching {
	struct hash hash;
	struct reserve reserve;
	struct url_file *to;
	int near; /* the URL itself is of this machine or its link, so a redirect may be, too */
};

int url_is_one(const char *text)
{
	return startswith(text, "http://") || startswith(text, "https://");
}

char *url_name(const char *url)
{
	AUTOFREE char *path = xstrndup(url, strcspn(url, "?#"));
	const char *rest = strstr(path, "://"), *slash = rest ? strrchr(rest + 3, '/') : NULL;
	int size = 0;
	char *decoded = slash ? curl_easy_unescape(NULL, slash + 1, 0, &size) : NULL;
	/* No part of a path: the file would go elsewhere. */
	int is_odd = !decoded || strlen(decoded) != (size_t)size || strchr(decoded, '/') || streq(decoded, ".") ||
		     streq(decoded, "..");
	char *name = xstrdup(is_odd ? "" : decoded);
	curl_free(decoded);
	return name;
}

void url_file_done(struct url_file *f)
{
	free(f->name);
	fd_close(f->fd);
	*f = URL_FILE_NONE;
}

static int on_body(struct request *q, const void *data, size_t size, struct error **err)
{
	struct fetching *f = q->data;
	int r = reserve_take(&f->reserve, f->to->fd, size, err);
	if (r < 0)
		return r;
	hash_update(&f->hash, data, size);
	f->to->size += size;
	r = fd_write_full(f->to->fd, data, size);
	return r < 0 ? error_set_errno(err, r, "cannot write what comes") : 0;
}

/* A server elsewhere does not choose what this machine or its link is asked for. */
static int refuse_near(const char *url, struct error **err)
{
	return error_set(err, EACCES,
	    "\"%.200s\" is on this machine or its link, where a server elsewhere redirects to; name this URL itself",
	    url);
}

static int judge_redirect(struct fetching *f, struct request *q, const char *url, char **ret_next, struct error **err)
{
	AUTOFREE char *next = request_resolve(url, q->location);
	AUTOFREE char *host = next ? request_url_part(next, CURLUPART_HOST) : NULL;
	if (!next)
		return error_set(err, EPROTO, "\"%.200s\" leads to what is no http address", url);
	f->near |= request_peer_is_near(q);
	if (!f->near && host && near_host(host))
		return refuse_near(next, err);
	*ret_next = TAKE_PTR(next);
	return 0;
}

static int judge(struct fetching *f, struct request *q, CURLcode code, const char *url, char **ret_next,
    struct error **err)
{
	int r = interrupt_check(err);
	if (r < 0)
		return r;
	if (q->error)
		return error_set(err, q->error->code, "\"%.200s\": %s", url, q->error->text);
	if (q->peer_refused)
		return refuse_near(url, err);
	if (code != CURLE_OK)
		return error_set(err, EIO, "\"%.200s\": %s", url,
		    *q->curl_error ? q->curl_error : curl_easy_strerror(code));
	if (q->status >= 300 && q->status < 400 && q->location)
		return judge_redirect(f, q, url, ret_next, err);
	if (q->status == OK && !q->headers_ended)
		return error_set(err, EIO, "\"%.200s\": the server ended the connection within its headers", url);
	return q->status == OK ? 0 : error_set(err, ENOENT, "\"%.200s\": the server answers %ld", url, q->status);
}

/* One exchange; *ret_next: where it is instead, owned. */
static int exchange(struct fetching *f, const char *url, int is_redirected, char **ret_next, struct error **err)
{
	const struct request_options o = { .url = url, .far_only = is_redirected && !f->near };
	AUTO_REQUEST struct request q = { .on_body = on_body, .data = f };
	curl_off_t when = 0;
	int r = request_init(&q, &o, err);
	if (r < 0)
		return r;
	curl_easy_setopt(q.easy, CURLOPT_FILETIME, 1L);
	r = judge(f, &q, request_perform(&q), url, ret_next, err);
	if (r == 0 && curl_easy_getinfo(q.easy, CURLINFO_FILETIME_T, &when) == CURLE_OK && when > 0)
		f->to->mtime = when;
	return r;
}

int url_fetch(struct library *l, const char *url, struct url_file *ret, struct error **err)
{
	struct url_file file = { .fd = openat(l->root, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) };
	struct fetching f = { .to = &file };
	AUTOFREE char *at = xstrdup(url), *host = request_url_part(url, CURLUPART_HOST);
	f.near = host && near_host(host);
	int r = file.fd < 0           ? error_set_errno(err, errno, "cannot make a file in %s", l->path) :
		strlen(url) > URL_MAX ? error_set(err, EINVAL, "the URL is too long") :
					0;
	hash_init(&f.hash);
	for (int i = 0; r == 0 && at; i++) {
		char *next = NULL;
		r = i > REDIRECTS_MAX ? error_set(err, ELOOP, "\"%.200s\": too many redirects", url) :
					exchange(&f, at, i > 0, &next, err);
		free(at);
		at = next;
	}
	hash_text(&f.hash, file.digest);
	hash_done(&f.hash);
	if (r == 0 && lseek(file.fd, 0, SEEK_SET) < 0)
		r = error_set_errno(err, errno, "lseek");
	file.name = url_name(url);
	if (r < 0)
		url_file_done(&file);
	else
		*ret = file;
	return r;
}
