/* SPDX-License-Identifier: Apache-2.0
 * resolv.conf(5). */
#pragma once

#include "base/strv.h"

enum { RESOLV_WORDS_MAX = 32 };
/* An address of the machine's own, whose lookups go through agent and keeper to the host's name
 * server (agent/service/names.c). */
#define RESOLV_RELAY "10.77.0.4"

struct resolv {
	struct strv nameservers, search, options;
};
void resolv_done(struct resolv *resolv);
#define AUTO_RESOLV CLEANUP(resolv_done)

/* Reads a file's text; lines and words that make no sense are left out, and each list keeps
 * RESOLV_WORDS_MAX words. */
void resolv_read(const char *text, struct resolv *ret);
/* The lines of a file; owned. */
char *resolv_format(const struct resolv *resolv);
int resolv_server_is_valid(const char *word);    /* IPv4 or IPv6, without a scope */
int resolv_server_is_loopback(const char *word); /* reaches only the network namespace it is asked from */
/* Whether the word can stand behind search and options: letters, digits and ".-_:", at most 255. */
int resolv_word_is_valid(const char *word);
