/* SPDX-License-Identifier: Apache-2.0
 * Go's text/template, as far as people use it in `--format`, over JSON values.
 *
 *     {{.name}} {{.a.b}} {{$x := .a}}{{$x}}    fields, variables, $ (the whole)
 *     {{if P}} {{else if P}} {{else}} {{end}}  with, range likewise; range $i, $x := P
 *     {{f a b | g}} ({{f (g a) b}})            functions: the table in template_functions.c
 *     {{.a "key"}}                             the value of an object's key, or ""
 *     {{- P -}} {{/ * comment * /}} "a" `a` 1 true nil
 *
 * A field is found by its exact name, else without regard to case, `_` and `-`: .HomeMount is
 * home_mount. A null and a member that an object below the outermost does not have print as
 * <no value>; any other fault is an error. define, template, block, break and continue are unknown.
 *
 * Template and values come from outside. Length, depth, steps and the size of each string are
 * capped. */
#pragma once

#include "base/buffer.h"
#include "base/json.h"

struct template;

/* Reads a template. 0 or -EINVAL, -E2BIG; the error quotes the place. */
int template_parse(const char *text, struct template **ret, struct error **err);
void template_free(struct template *t);
DEFINE_CLEANUP(struct template, template_free)

/* Appends the result for data to out. 0, -EINVAL, or -E2BIG past a cap; out has a part then. */
int template_run(const struct template *t, struct json_object *data, struct buffer *out, struct error **err);
/* The same with a heading for each field instead of its value, for the first line of a table:
 * what `headings` (borrowed, or NULL) has for the field, else its name: .disk_used and .DiskUsed
 * are "DISK USED". */
int template_run_headings(const struct template *t, struct json_object *headings, struct buffer *out,
    struct error **err);
