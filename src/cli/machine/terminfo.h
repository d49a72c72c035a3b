/* SPDX-License-Identifier: Apache-2.0
 * The caller's description of its terminal (terminfo(5)), for images that have none. */
#pragma once

#include "base/json.h"

/* {"name","entry"} of the terminal that TERM names, the entry in hexadecimal digits. Owned; NULL if
 * there is none. */
struct json_object *terminfo_find(void);
/* The same of a terminal by its name, which may be any text, or NULL. */
struct json_object *terminfo_find_name(const char *name);
