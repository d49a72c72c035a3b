/* SPDX-License-Identifier: Apache-2.0
 * The parameters `filters`, `since` and `until` of the Docker API. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "base/port_spec.h"
#include "base/strv.h"

/* Parses {"KEY":{"VALUE":true}} or {"KEY":["VALUE"]}: 0 and *ret (NULL where the text is NULL or
 * empty), or -EINVAL and a text, also for a key that is not in `known` (NULL-terminated). */
int docker_filters_parse(const char *text, const char *const *known, struct json_object **ret, struct error **err);
/* Adds the values of one key; `filters` may be NULL. */
void docker_filters_get(struct json_object *filters, const char *key, struct strv *ret);
/* Whether all of the filters label ("KEY" or "KEY=VALUE") match these labels, and none of label!.
 * Both may be NULL. */
int docker_filters_match_labels(struct json_object *filters, struct json_object *labels);

/* Whether the text passes the filter of this key: it has no value, one that is the text, or a
 * regular expression that finds something in it. */
int docker_filters_match_text(struct json_object *filters, const char *key, const char *text);
/* The same without regular expressions. */
int docker_filters_match_word(struct json_object *filters, const char *key, const char *word);
/* The values of a filter of ports are "80", "80/udp" or "8000-8010". Checks them: 0, or -EINVAL and
 * a text. */
int docker_filters_check_ports(struct json_object *filters, const char *key, struct error **err);
/* Whether one of them has this port. */
int docker_filters_match_port(struct json_object *filters, const char *key, uint16_t port, enum port_protocol protocol);

/* Go's duration, "1h30m" or "10.5s", in ns; -1. */
int64_t docker_parse_duration(const char *text);
/* "1700000000.5" or RFC 3339, in ns; 0 where the text is NULL or neither. */
int64_t docker_parse_time(const char *text);
/* The same, or how long before now: "1h30m". */
int64_t docker_parse_until(const char *text, int64_t now_ns);
