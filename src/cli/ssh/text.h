/* SPDX-License-Identifier: Apache-2.0
 * The words of ssh_config(5) that holm writes, and its one line in the user's own file. Nothing
 * here touches a file. */
#pragma once

#include "base/error.h"
#include "base/strv.h"

/* All paths are absolute. */
struct ssh_text {
	const char *program; /* the ProxyCommand */
	const char *known_hosts;
	const char *sshd_known_hosts, *client_key; /* for the machines' own sshd */
	const char *data;                          /* the value of XDG_DATA_HOME; or NULL */
	int sshd;                                  /* machines have their own sshd answer ... */
	const struct strv *machines;               /* ... these; all, if there is none */
};

/* The text of holm's configuration of ssh. Owned. */
char *ssh_text_config(const struct ssh_text *t);
/* The line that includes the file, without a newline; owned. */
char *ssh_text_include(const char *path);
/* 0, or -EINVAL for a path that no line can have. */
int ssh_text_check_path(const char *path, struct error **err);

/* The user's text with the line first and in no other place; owned. */
char *ssh_text_add(const char *text, const char *line);
/* The user's text without the line, whichever folder it names; owned. */
char *ssh_text_remove(const char *text);
