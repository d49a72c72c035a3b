/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* holm's own init, pid 1 of a machine whose image has none: reaps, ends on request, runs no
 * services. Exit status. */
int minimal_init_main(void);
