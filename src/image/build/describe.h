/* SPDX-License-Identifier: Apache-2.0
 * The stages of a Dockerfile, for `--call targets`; the arguments, secrets and ssh agents of a
 * target, for `--call outline`. A comment "# NAME text" directly above a FROM or ARG is its
 * description. The members of the JSON are those of BuildKit's requests of these names. */
#pragma once

#include "base/json.h"
#include "image/build/stages.h"

/* The first line of the comment directly above an instruction, without "#" and blanks; *ret_line:
 * its number. Borrowed; NULL: there is none. Directives are no comments. */
const char *describe_above(const struct dockerfile *d, const struct dockerfile_instruction *i, unsigned *ret_line);
/* The text of the comment above an instruction that defines a name; owned, or NULL. */
char *describe_comment(const struct dockerfile *d, const struct dockerfile_instruction *i, const char *name);

/* {"targets":[{"name","default","description","base","platform"}]}; owned. */
struct json_object *describe_targets(const struct dockerfile *d, const struct stages *s);
/* {"name","description","args":[{"name","value","description"}],"secrets":[{"name","required"}],
 * "ssh":[...],"cache":[{"ID"}]} of all that the target needs; given: build arguments. Owned. */
struct json_object *describe_outline(const struct dockerfile *d, const struct stages *s, const struct strv *given);
/* Either of them as text; owned. */
char *describe_text(struct json_object *described);
