/* SPDX-License-Identifier: Apache-2.0
 * The WWW-Authenticate header.
 *
 * challenges = scheme [ param *( "," param ) ] *( "," challenge ). A comma separates both
 * parameters and challenges, so a token that is followed by "=" is a parameter of the current
 * challenge, and one that is not begins the next. token68 credentials do not occur here. */
#include "image/registry/challenge.h"

#include <strings.h>

#include "base/alloc.h"
#include "base/buffer.h"

struct cursor {
	const char *p, *end;
};

static int is_token(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-.^_`|~/", c));
}

static void skip(struct cursor *c, const char *set)
{
	while (c->p < c->end && *c->p && strchr(set, *c->p))
		c->p++;
}

static char *take_token(struct cursor *c)
{
	const char *start = c->p;
	while (c->p < c->end && is_token(*c->p))
		c->p++;
	return c->p > start ? xstrndup(start, c->p - start) : NULL;
}

/* A quoted string with its escapes resolved; NULL when it does not end or holds control
 * characters. */
static char *take_quoted(struct cursor *c)
{
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, CHALLENGE_MAX);
	for (c->p++; c->p < c->end; c->p++) {
		if (*c->p == '"') {
			c->p++;
			return b.size ? buffer_take_string(&b) : xstrdup("");
		}
		if (*c->p == '\\' && c->p + 1 < c->end)
			c->p++;
		if ((unsigned char)*c->p < ' ' || *c->p == 0x7f || buffer_append(&b, c->p, 1) < 0)
			return NULL;
	}
	return NULL;
}

void challenge_done(struct challenge *c)
{
	free(c->realm);
	free(c->service);
	free(c->scope);
	*c = (struct challenge){ 0 };
}

static enum challenge_scheme scheme_of(const char *name)
{
	return strcasecmp(name, "bearer") == 0 ? CHALLENGE_BEARER :
	       strcasecmp(name, "basic") == 0  ? CHALLENGE_BASIC :
						 CHALLENGE_NONE;
}

static void set_parameter(struct challenge *c, const char *name, char *value)
{
	char **slot = strcasecmp(name, "realm") == 0   ? &c->realm :
		      strcasecmp(name, "service") == 0 ? &c->service :
		      strcasecmp(name, "scope") == 0   ? &c->scope :
							 NULL;
	if (slot && !*slot)
		*slot = value;
	else
		free(value);
}

/* A Bearer challenge needs a realm to be of use. */
static void keep_better(struct challenge *best, struct challenge *c)
{
	int usable = c->scheme == CHALLENGE_BASIC || (c->scheme == CHALLENGE_BEARER && c->realm);
	if (usable && c->scheme > best->scheme) {
		challenge_done(best);
		*best = *c;
		*c = (struct challenge){ 0 };
	}
	challenge_done(c);
}

void challenge_parse(const char *value, size_t size, struct challenge *ret)
{
	struct cursor c = { .p = value, .end = value + MIN(size, (size_t)CHALLENGE_MAX) };
	struct challenge current = { 0 };
	for (;;) {
		skip(&c, " \t,");
		AUTOFREE char *name = take_token(&c);
		if (!name)
			break;
		struct cursor behind = c;
		skip(&behind, " \t");
		if (behind.p >= behind.end || *behind.p != '=') {
			keep_better(ret, &current);
			current.scheme = scheme_of(name);
			continue;
		}
		behind.p++;
		skip(&behind, " \t");
		c = behind;
		char *text = c.p < c.end && *c.p == '"' ? take_quoted(&c) : take_token(&c);
		if (!text)
			break;
		set_parameter(&current, name, text);
	}
	keep_better(ret, &current);
}
