/* SPDX-License-Identifier: Apache-2.0
 * json-c made strict and short. Objects are json-c's, reference counted; "borrowed" results live as
 * long as their parent. */
#pragma once

#include <json-c/json.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strv.h"

static inline void json_putp(struct json_object **o)
{
	json_object_put(*o);
}
#define AUTO_JSON CLEANUP(json_putp)

/* Strict RFC 8259: UTF-8 checked, nothing behind the value, depth at most 32 (json-c's one liberty
 * stays: single-quoted strings). name is for the error ("machine.json"). */
int json_parse(const char *data, size_t size, const char *name, struct json_object **ret, struct error **err);
/* The same, but strings may hold any bytes: for what programs of ours say to each other, as
 * arguments, paths and environment have no encoding. */
int json_parse_bytes(const char *data, size_t size, const char *name, struct json_object **ret, struct error **err);
int json_parse_file(const char *path, size_t max, struct json_object **ret, struct error **err);

/* Members of an object: a missing or null member is -ENOENT with *ret untouched and no error text,
 * so `if (r < 0 && r != -ENOENT)` is the test for an optional one; a wrong type is -EINVAL with a
 * text that names the key. Strings are borrowed. */
int json_get_string(struct json_object *o, const char *key, const char **ret, struct error **err);
/* no negatives, no fractions */
int json_get_u64(struct json_object *o, const char *key, uint64_t *ret, struct error **err);
int json_get_i64(struct json_object *o, const char *key, int64_t *ret, struct error **err);
int json_get_bool(struct json_object *o, const char *key, int *ret, struct error **err);
int json_get_object(struct json_object *o, const char *key, struct json_object **ret, struct error **err);
int json_get_array(struct json_object *o, const char *key, struct json_object **ret, struct error **err);
/* array of strings, appended */
int json_get_strv(struct json_object *o, const char *key, struct strv *ret, struct error **err);

/* Builders; value NULL leaves the key out. */
void json_add_string(struct json_object *o, const char *key, const char *value);
void json_add_string_or_null(struct json_object *o, const char *key, const char *value); /* NULL is null */
void json_add_u64(struct json_object *o, const char *key, uint64_t value);
void json_add_i64(struct json_object *o, const char *key, int64_t value);
void json_add_bool(struct json_object *o, const char *key, int value);
void json_add(struct json_object *o, const char *key, struct json_object *value); /* takes value */
void json_add_strv(struct json_object *o, const char *key, const struct strv *v);
char *json_to_string(struct json_object *o, int pretty); /* owned */
