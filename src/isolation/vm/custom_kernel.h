/* SPDX-License-Identifier: Apache-2.0
 * Machines with a kernel of their own ("kernel", "kernel-modules"): the bundle's initramfs with
 * that kernel's modules instead of its own. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include "base/strv.h"

enum { MODULES_DEP_MAX = 16 * 1024 * 1024, MODULE_FILE_MAX = 32 * 1024 * 1024, OVERRIDE_MAX = 128 * 1024 * 1024 };

/* The files below the modules directory that a machine's boot needs, each after what it depends on,
 * out of modules.dep's text. What is not named there is taken to be built in. */
void custom_kernel_modules(const char *modules_dep, struct strv *files);
/* Appends one file to a cpio archive ("newc"); directories end in a slash and have no data. 0 or
 * -ENOBUFS. */
int cpio_append(struct buffer *b, const char *path, const void *data, size_t size);
int cpio_end(struct buffer *b);
/* A memfd with `initramfs` and over it the modules of `modules` (a directory with modules.dep;
 * NULL: all is built in). A descriptor or -errno. */
int custom_initramfs(const char *initramfs, const char *modules, struct error **err);
/* The modules directory as a read-only ext4 file at `path`, made where it is missing or older than
 * modules.dep. 0 or -errno. */
int custom_modules_disk(const char *modules, const char *path, struct error **err);
