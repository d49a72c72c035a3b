/* SPDX-License-Identifier: Apache-2.0
 * The room that the user has in a file system of the host: what is free, within the user's disk
 * quota and that of the user's group. */
#pragma once

#include <linux/quota.h>
#include <stdint.h>

/* Bytes that the user can write beside `path`. UINT64_MAX: unknown. Quotas count where the kernel
 * tells them to their owner (quotactl_fd(2), Linux 5.14); elsewhere the file system's free space
 * alone does. */
uint64_t room_left(const char *path);
/* Bytes that a quota leaves at this time (seconds since 1970). UINT64_MAX: it has no limit. */
uint64_t room_of_quota(const struct if_dqblk *quota, uint64_t now);
