/* SPDX-License-Identifier: Apache-2.0
 * A line is "terminal:runlevels:action:command" (busybox's init/init.c, "inittab"). Alpine's stock
 * file calls openrc, which its base image lacks, and keeps a getty on six virtual terminals; init
 * would report each failure and restart them for ever. */
#include "agent/life/inittab.h"

#include <ctype.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/strv.h"

enum { TEXT_MAX = 1 << 20 };

/* "tty1" to "tty63": a virtual console. */
static int is_virtual_terminal(const char *id)
{
	const char *number = startswith(id, "tty");
	if (!number || !*number)
		return 0;
	while (isdigit((unsigned char)*number))
		number++;
	return *number == '\0';
}

/* The first word of the command, without the marks that mean "login shell" ('-'). Owned. */
static char *program_of(const char *command)
{
	while (*command == '-' || *command == ' ' || *command == '\t')
		command++;
	return xstrndup(command, strcspn(command, " \t"));
}

static int keep(const char *line, inittab_exists_fn exists, void *data)
{
	const char *start = line + strspn(line, " \t");
	if (*start == '#' || *start == '\0')
		return 1;
	AUTOFREE char *copy = xstrdup(start);
	char *fields[4] = { copy };
	for (int i = 1; i < 4; i++) {
		char *colon = strchr(fields[i - 1], ':');
		if (!colon)
			return 1; /* init says what it thinks of it */
		*colon = '\0';
		fields[i] = colon + 1;
	}
	if (is_virtual_terminal(fields[0]))
		return 0;
	AUTOFREE char *program = program_of(fields[3]);
	return *program != '/' || exists(program, data);
}

char *inittab_filter(const char *text, inittab_exists_fn exists, void *data)
{
	AUTO_BUFFER struct buffer b;
	int dropped = 0;
	buffer_init(&b, TEXT_MAX);
	for (const char *at = text; *at;) {
		size_t n = strcspn(at, "\n");
		AUTOFREE char *line = xstrndup(at, n);
		if (!keep(line, exists, data))
			dropped++;
		else if (buffer_append(&b, line, n) < 0 || buffer_append(&b, "\n", 1) < 0)
			return NULL;
		at += n + (at[n] == '\n');
	}
	return dropped ? buffer_take_string(&b) : NULL;
}
