/* SPDX-License-Identifier: Apache-2.0
 * See keys.h. */
#include "docker/keys.h"

#include <errno.h>

#include "base/strv.h"

/* The byte of "a" or "ctrl-x"; -1: neither. */
static int key_of(const char *word)
{
	const char *control = startswith(word, "ctrl-");
	char c = control && control[0] && !control[1] ? control[0] : 0;
	if (!control)
		return word[0] && !word[1] ? (unsigned char)word[0] : -1;
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 1;
	return c == '@' ? 0 : c >= '[' && c <= '_' ? c - '[' + 27 : -1;
}

int docker_keys_parse(const char *text, unsigned char ret[DOCKER_KEYS_MAX], size_t *ret_count, struct error **err)
{
	AUTO_STRV struct strv words = { 0 };
	strv_split(&words, text, ",");
	int wrong = words.count > DOCKER_KEYS_MAX;
	for (size_t i = 0; !wrong && i < words.count; i++) {
		int key = key_of(words.items[i]);
		wrong = key < 0;
		ret[i] = (unsigned char)key;
	}
	if (wrong)
		return error_set(err, EINVAL,
		    "--detach-keys \"%.80s\": write keys such as ctrl-p,ctrl-q or a, with commas between them", text);
	*ret_count = words.count;
	return 0;
}
