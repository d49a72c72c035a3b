/* SPDX-License-Identifier: Apache-2.0
 * Writing of messages, shared by the files of this folder. */
#pragma once

#include "http/http.h"

const char *http_status_text(int status);
/* "ENOENT" for 2, and back: 0 for a name that is none. */
const char *http_code_name(int code);
int http_code_from_name(const char *name);
/* Turns a failed answer's body ({"error","code"}, Docker's {"message"}, or anything) into an error;
 * returns its negative code. Texts are cut at 4096 bytes. */
int http_error_from_answer(int status, const char *body, size_t size, struct error **err);
/* Whether an answer with this head to a request has a body, and how it ends. */
int http_answer_has_body(const struct http_head *h);
