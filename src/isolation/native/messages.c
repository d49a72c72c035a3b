/* SPDX-License-Identifier: Apache-2.0 */
#include "isolation/native/messages.h"

#include <errno.h>

#include "base/json.h"

static int parse_flag(struct json_object *o, const char *key, enum native_message_kind on, int off,
    struct native_message *ret)
{
	int value = 0;
	if (json_get_bool(o, key, &value, NULL) < 0 || (!value && off < 0))
		return -EPROTO;
	ret->kind = value ? on : (enum native_message_kind)off;
	return 0;
}

int native_message_parse(const char *text, struct native_message *ret)
{
	static const struct {
		const char *key;
		enum native_message_kind on;
		int off; /* message for false; -1: none */
	} flags[] = {
		{ "user", NATIVE_MESSAGE_USER, -1 },
		{ "ready", NATIVE_MESSAGE_READY, -1 },
		{ "network", NATIVE_MESSAGE_NETWORK, -1 },
		{ "init", NATIVE_MESSAGE_INIT, NATIVE_MESSAGE_INIT_ENDED },
	};
	AUTO_JSON struct json_object *o = NULL;
	*ret = (struct native_message){ 0 };
	if (json_parse(text, strlen(text), "message", &o, NULL) < 0 || !json_object_is_type(o, json_type_object) ||
	    json_object_object_length(o) != 1)
		return -EPROTO;
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		if (json_object_object_get_ex(o, flags[i].key, NULL))
			return parse_flag(o, flags[i].key, flags[i].on, flags[i].off, ret);
	}
	ret->kind = NATIVE_MESSAGE_USAGE;
	return json_get_u64(o, "usage", &ret->bytes, NULL) < 0 ? -EPROTO : 0;
}
