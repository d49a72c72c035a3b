/* SPDX-License-Identifier: Apache-2.0
 * Checks of a file system: each prints one line, "group.check: what was seen", without anything
 * that differs from run to run, so that the lines seen on two file systems can be compared. */
#pragma once

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, MIB = 1 << 20 };

/* One line. */
void note(const char *check, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A line with a result, or with the name of errno when it is -1; returns it. */
long see(const char *check, long result);
/* The same of a call whose result says nothing but whether it worked. */
int see_ok(const char *check, int works);
/* The same of a descriptor, whose number is not shown. */
int see_fd(const char *check, int fd);
void see_and_close(const char *check, int fd);
/* errno's name, or "ok" when the call worked. */
const char *outcome(int works);

/* Type, permissions, links and size of a name (not followed) or a descriptor. */
void see_file(const char *check, const char *path);
void see_stat(const char *check, int fd);
/* Size and checksum of what is in a file. */
void see_content(const char *check, const char *path);
uint32_t checksum(uint32_t before, const void *data, size_t size);

/* These end the program when they fail: what a check needs before it begins. */
int must(const char *what, int result);
int open_new(const char *path, int flags); /* O_CREAT | O_TRUNC are added; 0644 */
void make(const char *path, const char *text);
void fill(int fd, off_t offset, size_t size, unsigned seed);

/* Runs the function in a child: what it returns, -1 when it was killed. */
int in_child(int (*run)(void *data), void *data);

typedef void group_function(void);
group_function open_group, special_group, access_group, names_group, long_names_group, owners_group, permissions_group;
group_function data_group, append_group, truncate_group, large_group, direct_group, sync_group, mmap_group, exec_group;
group_function links_group, directories_group, rename_group, removed_group, reading_group, big_group, tmpfile_group;
group_function times_group, xattrs_group, statfs_group, fcntl_group, flock_group;
group_function fallocate_group, holes_group, copy_group, pipes_group;
