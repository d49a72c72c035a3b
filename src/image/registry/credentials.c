/* SPDX-License-Identifier: Apache-2.0
 * Credentials from docker's and podman's files and helpers.
 *
 * Keys of "auths" are hosts, hosts with a path (containers-auth.json(5): the longest that fits
 * wins), or old URLs ("https://index.docker.io/v1/" is docker.io). A helper is a program
 * docker-credential-NAME: "get" with the server's name on stdin prints JSON; it has some seconds,
 * and its output is capped. */
#include "image/registry/credentials.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/spawn.h"

enum { FILE_MAX = 1 << 20, HELPER_OUTPUT_MAX = 64 << 10, HELPER_TIMEOUT_MS = 30000, AUTH_MAX = 32 << 10 };

static void wipe(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

void credentials_done(struct credentials *c)
{
	wipe(c->user);
	wipe(c->password);
	wipe(c->identity_token);
	*c = (struct credentials){ 0 };
}

/* "user:password" in base64. */
static int decode_auth(const char *text, struct credentials *ret, struct error **err)
{
	size_t size = strlen(text);
	if (size == 0 || size % 4 != 0 || size > AUTH_MAX)
		return error_set(err, EINVAL, "\"auth\" is not base64");
	AUTOFREE unsigned char *plain = xcalloc(1, size);
	int n = EVP_DecodeBlock(plain, (const unsigned char *)text, (int)size);
	if (n <= 0)
		return error_set(err, EINVAL, "\"auth\" is not base64");
	plain[n - (size > 1 && text[size - 1] == '=') - (size > 1 && text[size - 2] == '=')] = '\0';
	char *colon = strchr((char *)plain, ':');
	if (!colon)
		return error_set(err, EINVAL, "\"auth\" is not USER:PASSWORD");
	ret->user = xstrndup((char *)plain, colon - (char *)plain);
	ret->password = xstrdup(colon + 1);
	explicit_bzero(plain, size);
	return 1;
}

/* An entry of "auths": 1 when it holds something. */
static int from_entry(struct json_object *o, struct credentials *ret, struct error **err)
{
	const char *auth = NULL, *token = NULL, *user = NULL, *password = NULL;
	if (!json_object_is_type(o, json_type_object))
		return error_set(err, EINVAL, "an entry of \"auths\" is not an object");
	if (json_get_string(o, "identitytoken", &token, NULL) == 0 && *token)
		ret->identity_token = xstrdup(token);
	if (json_get_string(o, "auth", &auth, NULL) == 0 && *auth)
		return decode_auth(auth, ret, err);
	if (json_get_string(o, "username", &user, NULL) == 0 && *user &&
	    json_get_string(o, "password", &password, NULL) == 0) {
		ret->user = xstrdup(user);
		ret->password = xstrdup(password);
	}
	return ret->user || ret->identity_token;
}

/* How many characters of "registry/repository" a key names; 0 when it names something else. */
static size_t key_match(const char *key, const char *full, const char *registry)
{
	const char *p = startswith(key, "https://") ?: startswith(key, "http://");
	AUTOFREE char *host = p ? xstrndup(p, strcspn(p, "/")) : xstrdup(key); /* of an old URL only the host counts */
	const char *name = streq(host, "index.docker.io") || streq(host, "registry-1.docker.io") ? "docker.io" : host;
	if (streq(name, registry))
		return strlen(registry);
	const char *rest = startswith(full, name);
	return rest && *rest == '/' && strlen(name) > strlen(registry) ? strlen(name) :
	       rest && *rest == '\0'                                   ? strlen(name) :
									 0;
}

static int from_auths(struct json_object *auths, const char *registry, const char *repository, struct credentials *ret,
    struct error **err)
{
	AUTOFREE char *full = xasprintf("%s/%s", registry, repository);
	struct json_object *best = NULL;
	size_t best_length = 0;
	json_object_object_foreach(auths, key, value)
	{
		size_t n = key_match(key, full, registry);
		if (n > best_length) {
			best_length = n;
			best = value;
		}
	}
	return best ? from_entry(best, ret, err) : 0;
}

/* A readable descriptor that holds text. */
static int text_fd(const char *text)
{
	AUTO_FD int fd = memfd_create("holm-input", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	int r = fd_write_full(fd, text, strlen(text));
	if (r < 0)
		return r;
	return lseek(fd, 0, SEEK_SET) < 0 ? -errno : TAKE_FD(fd);
}

static int run_helper(const char *program, const char *server, struct buffer *out, int *ret_status, struct error **err)
{
	const char *argv[] = { program, "get", NULL };
	int pipe_fds[2];
	AUTO_FD int input = text_fd(server);
	if (input < 0 || fd_pipe(pipe_fds) < 0)
		return error_set(err, EIO, "cannot run %s", program);
	AUTO_FD int output = pipe_fds[0];
	AUTO_FD int theirs = pipe_fds[1];
	struct spawn_fd fds[] = { { .from = input, .to = 0 }, { .from = theirs, .to = 1 } };
	struct spawn_options o = { .argv = (char *const *)argv, .fds = fds, .fd_count = 2, .death_signal = SIGTERM };
	pid_t pid;
	int r = spawn(&o, &pid, err);
	if (r < 0)
		return r;
	fd_close(TAKE_FD(theirs));
	uint64_t deadline = clock_deadline(HELPER_TIMEOUT_MS);
	ssize_t n;
	do {
		r = fd_wait(output, POLLIN, deadline);
		n = r == 1      ? buffer_read(out, output, HELPER_OUTPUT_MAX) :
		    r == 0      ? -ETIMEDOUT :
		    r == -EINTR ? -ECANCELED :
				  r;
	} while (n > 0);
	if (n < 0)
		kill(pid, SIGKILL);
	spawn_wait(pid, ret_status);
	return n < 0 ? error_set_errno(err, (int)n, "%s (for %s)", program, server) : 0;
}

static int parse_helper_output(struct buffer *out, const char *program, struct credentials *ret, struct error **err)
{
	AUTO_JSON struct json_object *o = NULL;
	const char *user = NULL, *secret = NULL;
	int r = json_parse(out->data, out->size, program, &o, NULL);
	if (r < 0 || json_get_string(o, "Username", &user, NULL) < 0 || json_get_string(o, "Secret", &secret, NULL) < 0)
		return error_set(err, EINVAL, "%s printed something other than credentials", program);
	if (streq(user, "<token>")) {
		ret->identity_token = xstrdup(secret);
	} else {
		ret->user = xstrdup(user);
		ret->password = xstrdup(secret);
	}
	return 1;
}

static int from_helper(const char *name, const char *registry, struct credentials *ret, struct error **err)
{
	if (strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != strlen(name) ||
	    !*name || strlen(name) > 100)
		return error_set(err, EINVAL, "\"%.40s\" is not the name of a credential helper", name);
	AUTOFREE char *program = xasprintf("docker-credential-%s", name);
	AUTO_BUFFER struct buffer out;
	int status = 0;
	buffer_init(&out, HELPER_OUTPUT_MAX);
	int r = run_helper(program, streq(registry, "docker.io") ? "https://index.docker.io/v1/" : registry, &out,
	    &status, err);
	if (r == -ENOENT) {
		/* A configuration from another machine names it: what needs no login still
		 * works. */
		error_clear(err);
		return 0;
	}
	if (r == 0 && status != 0) {
		/* The protocol has no code for this, only the words. */
		if (strstr(out.size ? buffer_string(&out) : "", "credentials not found"))
			return 0;
		return error_set(err, EIO, "%s failed with status %d for %s; log in again", program, status, registry);
	}
	if (r == 0)
		r = parse_helper_output(&out, program, ret, err);
	if (out.data)
		explicit_bzero(out.data, out.size);
	return r;
}

int credentials_from_json(struct json_object *o, const char *registry, const char *repository, struct credentials *ret,
    struct error **err)
{
	struct json_object *auths = NULL, *helpers = NULL;
	const char *helper = NULL;
	int r = 0;
	if (!json_object_is_type(o, json_type_object))
		return error_set(err, EINVAL, "not a JSON object");
	if (json_get_object(o, "credHelpers", &helpers, NULL) == 0 &&
	    json_get_string(helpers, registry, &helper, NULL) == 0)
		return from_helper(helper, registry, ret, err);
	if (json_get_object(o, "auths", &auths, NULL) == 0)
		r = from_auths(auths, registry, repository, ret, err);
	if (r == 0 && json_get_string(o, "credsStore", &helper, NULL) == 0 && *helper)
		r = from_helper(helper, registry, ret, err);
	return r;
}

static int from_file(const char *path, const char *registry, const char *repository, struct credentials *ret,
    struct error **err)
{
	AUTO_JSON struct json_object *o = NULL;
	if (!path_exists(path))
		return 0;
	int r = json_parse_file(path, FILE_MAX, &o, err);
	if (r == 0) {
		r = credentials_from_json(o, registry, repository, ret, err);
		if (r < 0)
			error_prefix(err, r, "%s", path);
	}
	if (r < 0)
		credentials_done(ret);
	return r;
}

/* $VARIABLE/rest, or the home's fallback/rest; NULL when there is neither. */
static char *file_below(const char *variable, const char *fallback, const char *rest)
{
	const char *value = getenv(variable);
	if (value && *value)
		return path_join(value, rest);
	if (!fallback)
		return NULL;
	AUTOFREE char *home = path_home_dir(), *directory = path_join(home, fallback);
	return path_join(directory, rest);
}

int credentials_find(const char *registry, const char *repository, struct credentials *ret, struct error **err)
{
	char *paths[] = { xstrdup(getenv("REGISTRY_AUTH_FILE")),
		file_below("XDG_RUNTIME_DIR", NULL, "containers/auth.json"),
		file_below("XDG_CONFIG_HOME", ".config", "containers/auth.json"),
		file_below("DOCKER_CONFIG", ".docker", "config.json") };
	int r = 0;
	*ret = (struct credentials){ 0 };
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		if (r == 0 && paths[i] && *paths[i])
			r = from_file(paths[i], registry, repository, ret, err);
		free(paths[i]);
	}
	return r;
}
