/* SPDX-License-Identifier: Apache-2.0
 * Which Debian archive this host uses. */
#pragma once

#include "base/error.h"
#include "base/strv.h"

/* The lines of a sources.list for `suite`, as far as apt's configuration here tells: this suite's
 * own lines where the host has them, else the host's archive with the suite's name. Empty where apt
 * is not there or does not use Debian: then mmdebstrap's default holds. */
void mirror_find(const char *suite, struct strv *ret_lines);
/* The same from apt's list of index targets: lines "URI|RELEASE|COMPONENT|ORIGIN". */
void mirror_from_targets(const char *targets, const char *suite, struct strv *ret_lines);
