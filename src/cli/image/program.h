/* SPDX-License-Identifier: Apache-2.0
 * Work on images is done by libexec/holm/holm-image; this starts it. */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "base/strv.h"

/* Runs holm-image with these words (argv[0] left out) and waits; its stderr (progress, errors) is
 * ours, and SIGINT is left to it. input: descriptor for its stdin, or -1: none; extra: one that it
 * gets as descriptor 3, or -1. Returns 0 with the JSON object it printed in *ret (ret may be NULL),
 * a positive exit status when it failed (it has said why), or -errno. */
int image_program_run(const struct strv *words, int input, int extra, struct json_object **ret, struct error **err);
/* The same with our stdout for its own: 0, a positive exit status, or -errno. */
int image_program_wait(const struct strv *words, struct error **err);
