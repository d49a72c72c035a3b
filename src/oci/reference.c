/* SPDX-License-Identifier: Apache-2.0
 * Names of images.
 *
 * The text is taken apart from its ends: "@digest" from the right, then ":tag" (a colon behind the
 * last slash), then the registry, which is the first path part if it looks like a host: it has a
 * dot, a colon or a capital letter, is "localhost", or is an address in brackets. Each part is then
 * checked against its own grammar, so that what is left over can name the part that is wrong. */
#include "oci/reference.h"

#include <ctype.h>
#include <errno.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "oci/digest.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

enum { TAG_MAX = 128, NAME_MAX_SIZE = 255 };

void reference_free(struct reference *ref)
{
	if (!ref)
		return;
	free(ref->registry);
	free(ref->repository);
	free(ref->tag);
	free(ref->digest);
	free(ref->short_name);
	free(ref);
}

static int tag_is_valid(const char *s)
{
	size_t n = strspn(s, LOWER UPPER DIGITS "_.-");
	return n > 0 && n <= TAG_MAX && s[n] == '\0' && s[0] != '.' && s[0] != '-';
}

/* One part of a path: runs of [a-z0-9], separated by ".", "_", "__" or any number of "-". Returns
 * its length, 0 when invalid. */
static size_t component_length(const char *s)
{
	size_t n = 0;
	for (;;) {
		size_t run = strspn(s + n, LOWER DIGITS);
		if (run == 0)
			return 0;
		n += run;
		if (s[n] == '\0' || s[n] == '/')
			return n;
		size_t dashes = strspn(s + n, "-");
		if (dashes > 0)
			n += dashes;
		else if (s[n] == '.')
			n++;
		else if (s[n] == '_')
			n += s[n + 1] == '_' ? 2 : 1;
		else
			return 0;
	}
}

static int repository_is_valid(const char *s)
{
	for (;;) {
		size_t n = component_length(s);
		if (n == 0)
			return 0;
		if (s[n] == '\0')
			return 1;
		s += n + 1;
	}
}

static int port_is_valid(const char *s)
{
	uint32_t port;
	return strlen(s) <= 5 && parse_u32(s, &port) == 0 && port > 0 && port <= 65535;
}

static int host_is_valid(const char *s)
{
	size_t n;
	if (*s == '[') {
		n = 1 + strspn(s + 1, "0123456789abcdefABCDEF:.");
		if (n < 3 || s[n] != ']')
			return 0;
		n++;
	} else {
		n = strspn(s, LOWER UPPER DIGITS ".-");
		if (n == 0 || s[0] == '.' || s[0] == '-' || s[n - 1] == '.' || s[n - 1] == '-' || memmem(s, n, "..", 2))
			return 0;
	}
	return s[n] == '\0' || (s[n] == ':' && port_is_valid(s + n + 1));
}

static int looks_like_host(const char *s)
{
	return *s == '[' || strpbrk(s, ".:" UPPER) || streq(s, "localhost");
}

/* Splits name (changed) into registry and repository. */
static void split_registry(char *name, struct reference *ref)
{
	char *slash = strchr(name, '/');
	if (slash) {
		*slash = '\0';
		if (looks_like_host(name)) {
			ref->registry = xstrdup(
			    streq(name, "index.docker.io") || streq(name, "registry-1.docker.io") ? "docker.io" : name);
			name = slash + 1;
		} else {
			*slash = '/';
		}
	}
	if (!ref->registry) {
		ref->registry = xstrdup("docker.io");
		ref->short_name = xstrdup(name);
	}
	if (streq(ref->registry, "docker.io") && !strchr(name, '/'))
		ref->repository = xasprintf("library/%s", name);
	else
		ref->repository = xstrdup(name);
}

static int check_parts(const char *text, const struct reference *ref, struct error **err)
{
	if (ref->digest && !digest_is_valid(ref->digest))
		return error_set(err, EINVAL, "image name \"%.80s\": what follows \"@\" is not a sha256 digest", text);
	if (ref->tag && !tag_is_valid(ref->tag))
		return error_set(err, EINVAL,
		    "image name \"%.80s\": the tag has letters, digits, \"_\", \".\" and \"-\" only, at most %d", text,
		    TAG_MAX);
	if (!host_is_valid(ref->registry))
		return error_set(err, EINVAL, "image name \"%.80s\": \"%.80s\" is not a registry's HOST or HOST:PORT",
		    text, ref->registry);
	if (strlen(ref->repository) > NAME_MAX_SIZE)
		return error_set(err, EINVAL, "image name \"%.80s...\" is longer than %d", text, NAME_MAX_SIZE);
	if (strpbrk(ref->repository, UPPER))
		return error_set(err, EINVAL, "image name \"%.80s\" has capital letters; use lower case", text);
	if (!repository_is_valid(ref->repository))
		return error_set(err, EINVAL, "\"%.80s\" is not an image name; write NAME[:TAG] or REGISTRY/NAME[:TAG]",
		    text);
	return 0;
}

int reference_parse(const char *text, struct reference **ret, struct error **err)
{
	if (!text || !*text)
		return error_set(err, EINVAL, "an image name is empty; write NAME[:TAG] or REGISTRY/NAME[:TAG]");
	if (strlen(text) > REFERENCE_MAX)
		return error_set(err, EINVAL, "image name \"%.40s...\" is longer than %d", text, REFERENCE_MAX);
	for (const char *p = text; *p; p++)
		if (*p <= ' ' || *p >= 0x7f)
			return error_set(err, EINVAL,
			    "an image name has blanks or characters that are not ASCII; write NAME[:TAG] or "
			    "REGISTRY/NAME[:TAG]");

	const char *plain = startswith(text, "docker://");
	AUTOFREE char *name = xstrdup(plain ? plain : text);
	AUTO_REFERENCE struct reference *ref = xnew(struct reference);
	char *at = strchr(name, '@');
	if (at) {
		*at = '\0';
		ref->digest = xstrdup(at + 1);
	}
	char *colon = strrchr(name, ':'), *slash = strrchr(name, '/');
	if (colon && (!slash || colon > slash)) {
		*colon = '\0';
		ref->tag = xstrdup(colon + 1);
	} else if (!ref->digest) {
		ref->tag = xstrdup("latest");
	}
	split_registry(name, ref);
	int result = check_parts(text, ref, err);
	if (result < 0)
		return result;
	*ret = TAKE_PTR(ref);
	return 0;
}

static char *join_parts(const char *registry, const char *repository, const struct reference *ref)
{
	return xasprintf("%s/%s%s%s%s%s", registry, repository, ref->tag ? ":" : "", ref->tag ? ref->tag : "",
	    ref->digest ? "@" : "", ref->digest ? ref->digest : "");
}

char *reference_to_string(const struct reference *ref)
{
	return join_parts(ref->registry, ref->repository, ref);
}

static int hub_names;

void reference_use_hub_names(void)
{
	hub_names = 1;
}

int reference_uses_hub_names(void)
{
	return hub_names;
}

char *reference_to_localhost(const struct reference *ref)
{
	return ref->short_name ? join_parts(REFERENCE_LOCAL, ref->short_name, ref) : NULL;
}

char *reference_to_local_string(const struct reference *ref)
{
	return ref->short_name && !hub_names ? reference_to_localhost(ref) : reference_to_string(ref);
}

int reference_is_local(const struct reference *ref)
{
	return streq(ref->registry, REFERENCE_LOCAL);
}

int reference_registry_is_loopback(const char *registry)
{
	AUTOFREE char *host = xstrdup(registry);
	if (*host == '[') {
		char *end = strchr(host, ']');
		if (end)
			end[1] = '\0';
		return streq(host, "[::1]");
	}
	host[strcspn(host, ":")] = '\0';
	if (streq(host, "localhost"))
		return 1;
	/* Only a whole IPv4 address: "127.evil.example" is a name like any other. */
	unsigned parts = 0;
	const char *p = startswith(host, "127.");
	for (; p; parts++) {
		size_t n = strspn(p, DIGITS);
		if (n == 0 || n > 3)
			return 0;
		p = p[n] == '.' ? p + n + 1 : p[n] == '\0' ? NULL : "";
	}
	return parts == 3;
}
