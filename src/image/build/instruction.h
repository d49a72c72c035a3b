/* SPDX-License-Identifier: Apache-2.0
 * One instruction's text: keyword, flags, arguments. */
#pragma once

#include "image/build/dockerfile.h"

/* Fills an instruction from its `text`: all but lines and the contents of here-documents, whose
 * names it notes. 0, or -EINVAL with the offset of the fault in *ret_at. */
int instruction_parse(struct dockerfile_instruction *i, char escape, size_t *ret_at, struct error **err);
/* Reads a JSON array of strings, whose words are added to `to`. 1; 0: the text is no JSON array;
 * -EINVAL: a word is no string. name: the instruction's, for the error. */
int instruction_json(const char *name, const char *text, struct strv *to, struct error **err);
void instruction_done(struct dockerfile_instruction *i);
