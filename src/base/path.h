/* SPDX-License-Identifier: Apache-2.0
 * Paths on the host and inside trees that come from outside. */
#pragma once

#include <dirent.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/strv.h"

char *path_join(const char *directory, const char *name); /* owned; one slash between; an absolute name replaces */
char *path_parent(const char *path);                      /* owned; "/" and "." as dirname(3) */
const char *path_base(const char *path);                  /* borrowed: behind the last slash */
/* Lexical clean-up of an absolute path: no "//", ".", ".."; owned. NULL when not absolute. */
char *path_normalize(const char *path);
/* Whether a machine can mount at a normalized path: it has no colon and no newline. */
int path_is_mount_place(const char *path);
/* The path as one file name: "/" becomes "%2F", "%" becomes "%25". Owned. */
char *path_flatten(const char *path);
int path_is_below(const char *path, const char *directory);            /* both normalized; equal counts */
int path_mkdir_all(const char *path, mode_t mode, struct error **err); /* mkdir -p; existing is fine */
int path_exists(const char *path);
/* Opens inside `root` as if root were "/" (openat2 RESOLVE_IN_ROOT, no magic links): symlinks
 * cannot leave it. fd or -errno. */
int path_open_in_root(int root, const char *path, int flags, mode_t mode);
/* Opens beneath `directory` following no symlink at all (RESOLVE_BENEATH|RESOLVE_NO_SYMLINKS). fd
 * or -errno. */
int path_open_beneath(int directory, const char *path, int flags, mode_t mode);
/* Opens a listing of its own of a directory that is open; for closedir(). NULL, and errno. */
DIR *path_list(int directory);
/* Deletes a tree below directory without following symlinks or crossing mounts; a missing name is
 * fine. 0 or -errno of the first failure. */
int path_remove_tree(int directory, const char *name);
/* Names the file behind a descriptor, or a path (directory AT_FDCWD; symlinks are not followed):
 * "DEVICE:INODE", or PATH_NOTHING if there is none. Owned. */
char *path_identity(int directory, const char *name);
#define PATH_NOTHING "0:0"
/* Reads a small file (at most max bytes) into an owned NUL-terminated string. */
int path_read_file(const char *path, size_t max, char **ret, size_t *ret_size);

/* holm's directories (owned strings; never NULL). path_mkdir_all() makes them, mode 0700. */
char *path_data_dir(void); /* $XDG_DATA_HOME/holm, else ~/.local/share/holm */
/* Adds the places that path_data_dir() has for any setting of the environment that is likely: this
 * process's, and those below both homes without XDG_DATA_HOME. */
void path_data_dirs(struct strv *to);
char *path_config_dir(void); /* $XDG_CONFIG_HOME/holm, else ~/.config/holm */
char *path_cache_dir(void);  /* $XDG_CACHE_HOME/holm, else ~/.cache/holm */
/* Finds a place for sockets: holm in $XDG_RUNTIME_DIR or else in /run/user/UID if that is a
 * directory of the user's, else /tmp/holm-UID. Makes it 0700. 0 or -errno. */
int path_runtime_dir(char **ret, struct error **err);
/* Adds each of these places that exists or can be made: a keeper may have its socket in any. */
void path_runtime_dirs(struct strv *to);
char *path_home_dir(void);     /* $HOME when absolute, else the password database's */
char *path_account_home(void); /* the password database's, owned; NULL without one */
/* libexec/holm and share/holm beside the running program, so that an uninstalled build and any
 * PREFIX work; HOLM_LIBEXEC and HOLM_SHARE override. Owned. See docs/on-disk.md. */
char *path_libexec(const char *program);
char *path_program(const char *name); /* of those that people type; the same way */
char *path_share(const char *name);
