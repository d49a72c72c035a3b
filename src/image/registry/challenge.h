/* SPDX-License-Identifier: Apache-2.0
 * The WWW-Authenticate header of a 401 (RFC 9110, 11.6.1): which authentication a registry asks
 * for. */
#pragma once

#include <stddef.h>

#include "base/macros.h"

enum { CHALLENGE_MAX = 8192 };

enum challenge_scheme { CHALLENGE_NONE, CHALLENGE_BASIC, CHALLENGE_BEARER };

struct challenge {
	enum challenge_scheme scheme; /* Bearer is preferred where both are offered */
	char *realm;                  /* Bearer: the URL of the token service */
	char *service, *scope;        /* or NULL */
};

/* Reads one header value, which may hold several challenges, and keeps the best of them and what
 * ret held before: so it can be called for every header line. Unknown schemes and malformed rest
 * are skipped: NONE stays then. */
void challenge_parse(const char *value, size_t size, struct challenge *ret);
void challenge_done(struct challenge *c);
#define AUTO_CHALLENGE CLEANUP(challenge_done)
