/* SPDX-License-Identifier: Apache-2.0
 * Text from inside on its way to a person: printable (base/printable.h) and bounded. */
#pragma once

#include "base/json.h"

char *text_clean(const char *text); /* one line of printable UTF-8 or ASCII, cut; owned; NULL gives "" */
void text_clean_lines(struct json_object *array, struct strv *lines); /* the last lines of an array of strings */
void text_tail_of_file(const char *path, size_t count, struct strv *lines);
