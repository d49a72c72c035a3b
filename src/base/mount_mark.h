/* SPDX-License-Identifier: Apache-2.0
 * Marks of directories that holm has made for a mount: the ids of the machines that use it, in an
 * attribute. A directory goes with its last machine. Without a mark it stays: it is somebody's own.
 * A file system without such attributes keeps the directories. */
#pragma once

/* Adds the machine to the mark of a directory that was just made, or has one. */
void mount_mark_add(int directory, const char *id, int is_new);
/* Takes the machine out of the marks on the way from `base` to `relative`, and removes the
 * directories that are left without one, as far as they are empty. Follows no symlink. */
void mount_mark_remove(int base, const char *relative, const char *id);
