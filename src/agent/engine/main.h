/* SPDX-License-Identifier: Apache-2.0
 * The engine's process. */
#pragma once

/* holm-agent --engine GO: what engine_place() executes. Returns the exit status. */
int engine_main(const char *go);
