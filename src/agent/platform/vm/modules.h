/* SPDX-License-Identifier: Apache-2.0
 * Kernel modules: those of the bundle at boot, and any that the kernel asks for later. */
#pragma once

/* Loads every file that the list names, one path a line, in that order: 0, -ENOENT without a list,
 * or the first -errno. */
int modules_load_list(const char *list);
/* Makes the device nodes whose first use loads a module (/dev/fuse, /dev/net/tun, ...), as the list
 * (depmod's modules.devname, "MODULE NAME cMAJOR:MINOR" a line) has them: in a machine no other
 * program would. 0, -ENOENT without a list, or the first -errno. */
int modules_make_nodes(const char *list);
/* Loads a module of the modules disk, by its name or an alias, and first what it needs. 0, if it is
 * loaded already, too; -ENOENT: no such module, or no disk. */
int modules_load(const char *wanted);
/* The kernel's modprobe (/proc/sys/kernel/modprobe): argv is { "modprobe", "-q", "--", NAME }.
 * Names and aliases are looked up on the modules disk. Exit status. */
int modprobe_main(int argc, char **argv);
