/* SPDX-License-Identifier: Apache-2.0
 * Values of single options of `run`, as members of a create request. Each function reads one text;
 * 0, or -EINVAL with an error that names the option. */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "base/options.h"

int value_cpus(const char *text, int64_t *ret_nano, struct error **err);                  /* "1.5" */
int value_number(const char *option, const char *text, int64_t *ret, struct error **err); /* also negative */
/* "512m"; -1 means no limit */
int value_size(const char *option, const char *text, int64_t *ret, struct error **err);
int value_ulimit(const char *text, struct json_object **ret, struct error **err); /* "nofile=1024:2048"; owned */
int value_device(const char *text, struct json_object **ret, struct error **err); /* "/dev/x:/dev/y:rwm"; owned */
/* "/dev/sda:1mb", or with a plain number of operations; owned */
int value_disk(const char *option, const char *text, int is_size, struct json_object **ret, struct error **err);
int value_restart(const char *text, struct json_object **ret, struct error **err); /* "on-failure:3"; owned */
/* --health-* and --no-healthcheck, as a member of `config`. */
int value_health(struct options *o, struct json_object *config, struct error **err);
/* KEY=VALUE, or KEY alone with an empty value, into an object. */
int value_pair(const char *option, const char *text, struct json_object *pairs, struct error **err);
/* The same for all texts of a list, as the member `key` of `to`; an empty list adds none. */
int value_pairs(const char *option, const struct strv *texts, struct json_object *to, const char *key,
    struct error **err);
