/* SPDX-License-Identifier: Apache-2.0
 * Kernel modules: those of the bundle at boot, and any that the kernel asks for later. */
#pragma once

/* Loads every file that the list names, one path a line, in that order: 0, -ENOENT without a list, or the first -errno. */
int modules_load_list(const char *list);
/* The kernel's modprobe (/proc/sys/kernel/modprobe): argv is { "modprobe", "-q", "--", NAME }. Names and aliases are looked up on the modules
 * disk. Exit status. */
int modprobe_main(int argc, char **argv);
