/* SPDX-License-Identifier: Apache-2.0
 * The next step after one exchange of a fetch. */
#pragma once

#include "image/registry/fetch.h"

/* Whether a registry elsewhere leads to this host or its link: a request there may do more than
 * answer. */
int fetch_leads_near(struct fetch_context *c, struct fetch *f, const char *to);
/* Decides by how the exchange in f->request ended; changes f (redirect, endpoint, attempts,
 * not_before) for the next one. A negative errno: it failed for good. */
int fetch_judge(struct fetch_context *c, struct fetch *f, CURLcode code, struct error **err);
