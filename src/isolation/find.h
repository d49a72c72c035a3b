/* SPDX-License-Identifier: Apache-2.0
 * Programs of the host. */
#pragma once

/* The program's path as execvp(3) would find it, owned; NULL: not installed. */
char *isolation_find_program(const char *name);
