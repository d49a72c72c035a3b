/* SPDX-License-Identifier: Apache-2.0
 * Times and sizes in the words of Docker's clients. */
#pragma once

#include <stdint.h>

/* "About a minute", "3 hours", "Less than a second"; owned. */
char *docker_duration(int64_t ns);
/* "4.04MB": decimal units, three digits; owned. */
char *docker_size(uint64_t bytes);
/* "1.609MiB": binary units, four digits; owned. */
char *docker_binary_size(uint64_t bytes);
