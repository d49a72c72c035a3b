/* SPDX-License-Identifier: Apache-2.0
 * Shared by the commands of holm-image. */
#include "image/commands/command.h"

#include <errno.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/printable.h"

struct progress *command_progress(const struct options *o)
{
	enum progress_mode mode = PROGRESS_AUTO;
	if (options_has(o, "quiet") && options_given(o, "quiet"))
		return progress_new(PROGRESS_NONE);
	(void)progress_mode_parse(options_string(o, "progress"), &mode); /* options_parse has checked the choice */
	return progress_new(mode);
}

int command_insecure(const struct options *o, int *ret, struct error **err)
{
	const char *text = options_string(o, "tls-verify");
	int verify = 1;
	if (text && parse_bool(text, &verify) < 0)
		return error_set(err, EINVAL, "--tls-verify cannot be \"%.20s\"; write true or false", text);
	*ret = !verify;
	return 0;
}

int command_platform(const struct options *o, struct oci_platform *ret, int *ret_given, struct error **err)
{
	const char *text = options_string(o, "platform");
	*ret_given = text != NULL;
	int r = text ? oci_platform_parse(text, ret, err) : 0;
	return text && r == 0 ? oci_platform_check(ret, err) : r;
}

int command_print_text(const char *text, struct error **err)
{
	int r = fd_write_full(STDOUT_FILENO, text, strlen(text));
	return r < 0 ? error_set_errno(err, r, "cannot write to standard output") : 0;
}

static int print(const char *text, struct error **err)
{
	AUTOFREE char *line = xasprintf("%s\n", text);
	return command_print_text(line, err);
}

int command_print(const char *text, struct error **err)
{
	AUTOFREE char *shown = printable_copy(text, strlen(text), SIZE_MAX);
	return print(shown, err);
}

int command_print_json(struct json_object *o, int pretty, struct error **err)
{
	AUTOFREE char *text = json_to_string(o, pretty), *shown = printable_json(text);
	return print(shown, err);
}

int command_print_rows(const struct format *f, struct json_object *rows, struct error **err)
{
	AUTOFREE char *text = NULL;
	if (f->kind == FORMAT_JSON)
		return command_print_json(rows, 1, err);
	int r = format_rows(f, rows, &text, err);
	return r < 0 ? r : command_print_text(text, err);
}
