/* SPDX-License-Identifier: Apache-2.0
 * Shared by the commands of holm-image. Each command is one function: 0, or -errno with an error,
 * which main() prints. */
#pragma once

#include "base/format.h"
#include "base/options.h"
#include "image/common/progress.h"
#include "image/library/library.h"
#include "image/registry/credentials.h"

int command_build(struct options *o, struct error **err);
int command_build_stream(struct options *o, struct error **err);
int command_pull(struct options *o, struct error **err);
int command_push(struct options *o, struct error **err);
int command_pull_as(struct options *o, struct error **err);
int command_push_as(struct options *o, struct error **err);
int command_distribution(struct options *o, struct error **err);
int command_try_login(struct options *o, struct error **err);
int command_search(struct options *o, struct error **err);
int command_login(struct options *o, struct error **err);
int command_logout(struct options *o, struct error **err);
int command_load(struct options *o, struct error **err);
int command_save(struct options *o, struct error **err);
int command_import(struct options *o, struct error **err);
int command_ls(struct options *o, struct error **err);
int command_inspect(struct options *o, struct error **err);
int command_history(struct options *o, struct error **err);
int command_diff(struct options *o, struct error **err);
int command_rm(struct options *o, struct error **err);
int command_prune(struct options *o, struct error **err);
int command_build_du(struct options *o, struct error **err);
int command_build_prune(struct options *o, struct error **err);
int command_tag(struct options *o, struct error **err);
int command_debootstrap(struct options *o, struct error **err);
int command_prepare(struct options *o, struct error **err);
int command_commit(struct options *o, struct error **err);
int command_commit_layer(struct options *o, struct error **err);
int command_machine_diff(struct options *o, struct error **err);
int command_pack(struct options *o, struct error **err);
int command_unpack(struct options *o, struct error **err);

/* The caller's file mode mask, for what is written for him; the library is nobody else's
 * business. */
extern mode_t command_umask;
/* --progress, --tls-verify and --platform as they were given. */
struct progress *command_progress(const struct options *o);
int command_insecure(const struct options *o, int *ret, struct error **err);
int command_platform(const struct options *o, struct oci_platform *ret, int *ret_given, struct error **err);
/* Reads an AuthConfig of the Docker API from stdin. 1: it has a login, 0: it is empty, -errno.
 * *ret_server (may be NULL): its registry, owned, or NULL. */
int command_read_login(struct credentials *ret, char **ret_server, struct error **err);
/* Write a line, or a document, to stdout, made printable; a closed or full stdout is an error. */
int command_print(const char *text, struct error **err);
/* Writes text to stdout as it is; it is printable already. */
int command_print_text(const char *text, struct error **err);
/* Rows by --format json or a template. */
int command_print_rows(const struct format *f, struct json_object *rows, struct error **err);
int command_print_json(struct json_object *o, int pretty, struct error **err);
