/* SPDX-License-Identifier: Apache-2.0 */
#include "base/resolv.h"

#include <arpa/inet.h>

#include "base/alloc.h"
#include "base/buffer.h"

enum { WORD_MAX = 255, FORMATTED_MAX = 1 << 20 };

void resolv_done(struct resolv *resolv)
{
	strv_done(&resolv->nameservers);
	strv_done(&resolv->search);
	strv_done(&resolv->options);
}

int resolv_server_is_valid(const char *word)
{
	unsigned char address[16];
	/* A scope (fe80::1%eth0) means nothing in another namespace; inet_pton refuses it. */
	return inet_pton(AF_INET, word, address) == 1 || inet_pton(AF_INET6, word, address) == 1;
}

int resolv_server_is_loopback(const char *word)
{
	struct in6_addr six;
	if (inet_pton(AF_INET6, word, &six) != 1)
		return startswith(word, "127.") != NULL;
	return IN6_IS_ADDR_LOOPBACK(&six) || (IN6_IS_ADDR_V4MAPPED(&six) && six.s6_addr[12] == 127);
}

int resolv_word_is_valid(const char *word)
{
	size_t n = strlen(word);
	return n > 0 && n <= WORD_MAX &&
	       strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:") == n;
}

static void add_words(struct strv *to, const struct strv *words)
{
	for (size_t i = 1; i < words->count; i++)
		if (resolv_word_is_valid(words->items[i]) && to->count < RESOLV_WORDS_MAX)
			strv_add(to, words->items[i]);
}

static void read_line(struct resolv *r, const struct strv *words)
{
	const char *key = words->count > 1 ? words->items[0] : "";
	if (streq(key, "nameserver") && r->nameservers.count < RESOLV_WORDS_MAX &&
	    resolv_server_is_valid(words->items[1]))
		strv_add(&r->nameservers, words->items[1]);
	if (streq(key, "search") || streq(key, "domain")) {
		strv_done(&r->search); /* the last one counts */
		add_words(&r->search, words);
	}
	if (streq(key, "options"))
		add_words(&r->options, words);
}

void resolv_read(const char *text, struct resolv *ret)
{
	AUTO_STRV struct strv lines = { 0 };
	*ret = (struct resolv){ 0 };
	strv_split(&lines, text, "\n");
	for (size_t i = 0; i < lines.count; i++) {
		AUTO_STRV struct strv words = { 0 };
		lines.items[i][strcspn(lines.items[i], "#;")] = 0;
		strv_split(&words, lines.items[i], " \t\r");
		read_line(ret, &words);
	}
}

static void append_words(struct buffer *b, const char *key, const struct strv *words)
{
	AUTOFREE char *joined = strv_join(words, " ");
	if (words->count)
		buffer_appendf(b, "%s %s\n", key, joined);
}

char *resolv_format(const struct resolv *resolv)
{
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, FORMATTED_MAX);
	for (size_t i = 0; i < resolv->nameservers.count; i++)
		buffer_appendf(&b, "nameserver %s\n", resolv->nameservers.items[i]);
	append_words(&b, "search", &resolv->search);
	append_words(&b, "options", &resolv->options);
	return buffer_take_string(&b);
}
