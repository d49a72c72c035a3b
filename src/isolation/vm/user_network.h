/* SPDX-License-Identifier: Apache-2.0
 * What a guest on QEMU's user network may send: pure, for the tests. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Whether this Ethernet frame of the guest may go on to QEMU's network. */
int user_network_allows(const uint8_t *frame, size_t size);
