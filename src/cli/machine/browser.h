/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

/* Starts the user's browser with a URL: the first program of $BROWSER that there is, else
 * xdg-open. It goes on by itself. 0; -ENOENT: there is none; another -errno with a text: it ended
 * at once with a failure. */
int browser_open(const char *url, struct error **err);
/* The words of one entry of $BROWSER, with the URL at each %s (%%: a percent sign), else behind
 * them. */
struct strv;
void browser_words(const char *entry, const char *url, struct strv *ret);
