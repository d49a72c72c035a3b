/* SPDX-License-Identifier: Apache-2.0
 * Time: monotonic milliseconds for deadlines, wall clock for people. */
#pragma once

#include <stdint.h>

uint64_t clock_now_ms(void);                             /* CLOCK_MONOTONIC */
uint64_t clock_deadline(uint64_t in_ms);                 /* now + in_ms; UINT64_MAX stays "for ever" */
int clock_left_ms(uint64_t deadline_ms);                 /* for poll(2): -1 for ever, 0 when past, capped at INT_MAX */
int64_t clock_realtime_ns(void);                         /* since 1970, UTC */
char *clock_format_rfc3339(int64_t ns);                  /* "2026-11-22T07:33:57.123456789Z" (RFC 3339 5.6), owned */
int clock_parse_rfc3339(const char *s, int64_t *ret_ns); /* with zone and fraction; 0 or -EINVAL */
