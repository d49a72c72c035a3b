/* SPDX-License-Identifier: Apache-2.0
 * Records of a cache that travels. Private to cache_share.c and cache_import.c, which have the
 * functions. */
#pragma once

#include "image/builder/step.h"

#define CACHE_RECORDS_TYPE "application/vnd.holm.build.cache.v1+json"
#define CACHE_RECORDS_MEMBER "org.holm.build.cache" /* of an image's configuration */
enum { CACHE_RECORDS_MAX = 1 << 16 };

struct cache_record {
	char key[DIGEST_TEXT_SIZE + 1];
	struct build_layer layer; /* its media type is owned */
	char *source;             /* folder that has the layer; owned; NULL: the library has it */
};

void cache_records_add(struct cache_records *r, const char *key, const struct build_layer *layer);
void cache_records_sort(struct cache_records *r);
const struct cache_record *cache_records_find(const struct cache_records *r, const char *key);
void cache_records_done(struct cache_records *r);
struct json_object *cache_record_json(const struct cache_record *r); /* owned */
/* Adds the records of an array that came from outside. source: as above, or NULL. 0 or -EBADMSG. */
int cache_records_parse(struct cache_records *to, struct json_object *array, const char *source);
