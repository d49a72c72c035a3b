/* SPDX-License-Identifier: Apache-2.0
 * Numbers that the same seed gives again. */
#pragma once

#include <stdint.h>

static uint64_t random_state; /* never 0 */

static inline void seed_random(unsigned long seed)
{
	random_state = 88172645463325252ULL ^ seed * 0x9e3779b97f4a7c15ULL;
}

/* One of 0 to below - 1. */
static inline uint32_t number(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 20) % below;
}
