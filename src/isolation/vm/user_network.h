/* SPDX-License-Identifier: Apache-2.0
 * The filter of a guest's frames on QEMU's user network. Pure, for the tests. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Whether this Ethernet frame of the guest may go on to QEMU's network. */
int user_network_allows(const uint8_t *frame, size_t size);
