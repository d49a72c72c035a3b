/* SPDX-License-Identifier: Apache-2.0
 * Do namespaces really work here? Distributions and containers forbid them in half a dozen ways, so
 * it is tried: a user namespace with the user's mapping, one in it, an overlay in the data folder,
 * new /proc and /sys. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "idmap/idmap.h"

enum { NATIVE_PROBE_DEADLINE_MS = 5000, NATIVE_TEXT_MAX = 400 };

enum native_fact { NATIVE_USERNS, NATIVE_NESTED, NATIVE_OVERLAY, NATIVE_PROC, NATIVE_SYSFS, NATIVE_FACT_COUNT };

struct native_facts {
	int32_t codes[NATIVE_FACT_COUNT]; /* 0: works; a positive errno; ECANCELED: something before it failed */
	char text[NATIVE_TEXT_MAX];       /* the error of the user namespace, if it failed */
};

extern const char *const native_fact_names[NATIVE_FACT_COUNT]; /* as `holm system info` calls them */

/* Tries everything, in a child; never longer than NATIVE_PROBE_DEADLINE_MS and a little. */
void native_try(const struct idmap *map, struct native_facts *ret);
/* Explains a failed fact and its remedy; both owned, *ret_fix may be NULL. */
void native_explain(const struct native_facts *facts, enum native_fact f, char **ret_detail, char **ret_fix);
/* Whether machines can run natively here: 0, or an error that names what is missing and the fix.
 * Once it worked it is believed until the host reboots or one of its parts changes. *ret_map (may
 * be NULL): the user's mapping, single where the user has no ranges. HOLM_NATIVE=0 in the
 * environment says no without looking. */
int native_works(struct idmap *ret_map, struct error **err);
/* The program as a path, owned; NULL and an error with the package's name. */
char *native_find_program(const char *name, const char *package, struct error **err);
