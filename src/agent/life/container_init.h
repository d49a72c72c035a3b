/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* docker-init -- PROGRAM ARGUMENT...: process 1 of a container with --init. Returns the exit
 * status. */
int container_init_main(int argc, char **argv);
