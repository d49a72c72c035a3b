/* SPDX-License-Identifier: Apache-2.0
 * The caller's locale and terminal, as far as the image has them. */
#pragma once

#include "agent/session/request.h"
#include "base/strv.h"

/* Replaces in env each locale that the tree at `root` lacks by C.UTF-8, where it has that. A TERM
 * that the tree lacks: puts the caller's entry into SESSION_TERMINFO and names that folder in
 * TERMINFO, or replaces TERM by xterm-256color, where the tree has it. */
#define SESSION_TERMINFO "/run/holm/terminfo"
void session_fit_locale(int root, const struct session_terminal *terminal, struct strv *env);
