/* SPDX-License-Identifier: Apache-2.0
 * The caller's locale and terminal, as far as the image has them. */
#pragma once

#include "base/strv.h"

/* Replaces in env each locale that the tree at `root` lacks by C.UTF-8, and a TERM that it lacks by
 * xterm-256color; only where the tree has the replacement. */
void session_fit_locale(int root, struct strv *env);
