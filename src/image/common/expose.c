/* SPDX-License-Identifier: Apache-2.0 */
#include "image/common/expose.h"

#include <ctype.h>
#include <errno.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/parse.h"

enum { PORTS_MAX = 65535 };

int expose_add(struct json_object *ports, const char *what, const char *word, struct error **err)
{
	const char *slash = strchr(word, '/'), *protocol = slash ? slash + 1 : "tcp";
	AUTOFREE char *range = xstrndup(word, slash ? (size_t)(slash - word) : strlen(word));
	char *dash = strchr(range, '-');
	uint32_t first, last;
	if (dash)
		*dash = '\0';
	if (parse_u32(range, &first) < 0 || parse_u32(dash ? dash + 1 : range, &last) < 0 || !first || last < first ||
	    last > PORTS_MAX ||
	    (strcasecmp(protocol, "tcp") != 0 && strcasecmp(protocol, "udp") != 0 && strcasecmp(protocol, "sctp") != 0))
		return error_set(err, EINVAL, "%s: \"%.40s\" is no port; write 80, 53/udp or 8000-8010", what, word);
	for (uint32_t port = first; port <= last; port++) {
		AUTOFREE char *key = xasprintf("%u/%s", port, protocol);
		for (char *c = key; *c; c++)
			*c = (char)tolower((unsigned char)*c);
		json_object_object_del(ports, key);
		json_add(ports, key, json_object_new_object());
	}
	return 0;
}
