/* SPDX-License-Identifier: Apache-2.0
 * The names of signals in SSH (RFC 4254, 6.10): "TERM". */
#pragma once

int signal_number(const char *name); /* 0: SSH does not know it */
const char *signal_name(int number); /* NULL: SSH does not know it */
