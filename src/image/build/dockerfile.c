/* SPDX-License-Identifier: Apache-2.0
 * See dockerfile.h. Lines become instructions in three steps: directives at the top, then, again
 * and again, the lines of one instruction joined at their escapes, and the here-documents that
 * it names. */
#include "image/build/dockerfile.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "image/build/instruction.h"

enum { EXCERPT_AROUND = 3 };

/* The place of a line of the file in the text of an instruction. */
struct piece {
	size_t offset;
	unsigned line, column; /* column that the offset has in the line */
};

struct reader {
	struct dockerfile *d;
	const char *name;
	size_t at; /* the next line */
	struct piece *pieces;
	size_t piece_count;
};

void dockerfile_free(struct dockerfile *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->count; i++)
		instruction_done(&d->instructions[i]);
	free(d->instructions);
	strv_done(&d->lines);
	free(d->syntax);
	free(d->check);
	free(d);
}

static int fail_at(struct reader *r, unsigned line, unsigned column, int code, struct error **err)
{
	r->d->error_line = line;
	r->d->error_column = column;
	return error_prefix(err, code, "%s:%u:%u", r->name, line, column);
}

/* ---- lines ---- */

static int is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r';
}

static const char *skip_blanks(const char *s)
{
	while (is_blank(*s))
		s++;
	return s;
}

static int split_lines(struct reader *r, const char *data, size_t size, struct error **err)
{
	static const char mark[] = "\xef\xbb\xbf"; /* UTF-8's byte order mark */
	if (size > DOCKERFILE_MAX)
		return error_set(err, E2BIG, "%s: larger than %d MiB", r->name, DOCKERFILE_MAX >> 20);
	if (memchr(data, '\0', size))
		return error_set(err, EINVAL, "%s: has a NUL character; is it a text?", r->name);
	size_t at = size >= 3 && memcmp(data, mark, 3) == 0 ? 3 : 0;
	while (at < size) {
		const char *end = memchr(data + at, '\n', size - at);
		size_t n = end ? (size_t)(end - data) - at : size - at;
		size_t kept = n && data[at + n - 1] == '\r' ? n - 1 : n;
		strv_take(&r->d->lines, xstrndup(data + at, kept));
		at += n + 1;
	}
	return 0;
}

static int is_comment(const char *line)
{
	return *skip_blanks(line) == '#';
}

static int is_empty(const char *line)
{
	return !*skip_blanks(line);
}

/* The length of a line without the escape that continues it; *ret_continues says whether there is
 * one. Two escapes are none. */
static size_t line_length(const char *line, char escape, int *ret_continues)
{
	size_t whole = strlen(line), n = whole;
	while (n && (line[n - 1] == ' ' || line[n - 1] == '\t'))
		n--;
	*ret_continues = n && line[n - 1] == escape && (n == 1 || line[n - 2] != escape);
	return *ret_continues ? n - 1 : whole;
}

/* ---- directives ---- */

/* "# KEY = VALUE": the two, owned. 0: the line is none. */
static int read_directive(const char *line, char **ret_key, char **ret_value)
{
	const char *at = skip_blanks(line);
	if (*at != '#')
		return 0;
	at = skip_blanks(at + 1);
	size_t n = 0;
	while (isalnum((unsigned char)at[n]))
		n++;
	const char *value = skip_blanks(at + n);
	if (!n || *value != '=')
		return 0;
	value = skip_blanks(value + 1);
	size_t size = strlen(value);
	while (size && is_blank(value[size - 1]))
		size--;
	if (!size)
		return 0;
	*ret_key = xstrndup(at, n);
	*ret_value = xstrndup(value, size);
	return 1;
}

static int set_once(char **to, const char *key, char *value, struct error **err)
{
	if (*to) {
		free(value);
		return error_set(err, EINVAL, "the directive \"%s\" is there twice", key);
	}
	*to = value;
	return 0;
}

/* 1: it is a directive. 0: it is a comment like others. */
static int apply_directive(struct dockerfile *d, char **escape, const char *key, char *value, struct error **err)
{
	int r = 0;
	if (strcasecmp(key, "syntax") == 0)
		r = set_once(&d->syntax, key, value, err);
	else if (strcasecmp(key, "check") == 0)
		r = set_once(&d->check, key, value, err);
	else if (strcasecmp(key, "escape") == 0)
		r = set_once(escape, key, value, err);
	else {
		free(value);
		return 0;
	}
	if (r == 0 && *escape && !streq(*escape, "\\") && !streq(*escape, "`"))
		return error_set(err, EINVAL, "the escape \"%.20s\" is neither \\ nor `", *escape);
	return r < 0 ? r : 1;
}

/* Directives stand in the first lines; the first other line ends them. */
static int read_directives(struct reader *r, struct error **err)
{
	AUTOFREE char *escape = NULL;
	size_t at = r->d->lines.count && startswith(r->d->lines.items[0], "#!") ? 1 : 0;
	int more = 1;
	for (; more && at < r->d->lines.count; at++) {
		AUTOFREE char *key = NULL;
		char *value = NULL;
		more = read_directive(r->d->lines.items[at], &key, &value);
		if (more)
			more = apply_directive(r->d, &escape, key, value, err);
		if (more < 0)
			return fail_at(r, (unsigned)at + 1, 1, more, err);
	}
	r->d->escape = escape && *escape == '`' ? '`' : '\\';
	return 0;
}

/* ---- instructions ---- */

static void add_piece(struct reader *r, size_t offset, unsigned line, unsigned column)
{
	r->pieces = xgrow(r->pieces, r->piece_count, sizeof *r->pieces);
	r->pieces[r->piece_count++] = (struct piece){ offset, line, column };
}

/* Joins the lines of the next instruction. 0: none is left. 1: there it is. */
static int join_lines(struct reader *r, struct dockerfile_instruction *i)
{
	AUTO_BUFFER struct buffer text;
	const struct strv *lines = &r->d->lines;
	int continues = 0;
	buffer_init(&text, DOCKERFILE_MAX);
	while (r->at < lines->count && (is_empty(lines->items[r->at]) || is_comment(lines->items[r->at])))
		r->at++;
	if (r->at == lines->count)
		return 0;
	i->line = (unsigned)r->at + 1;
	r->piece_count = 0;
	do {
		const char *line = lines->items[r->at++];
		if (text.size && is_empty(line))
			i->empty_line = i->empty_line ? i->empty_line : (unsigned)r->at;
		if (r->piece_count && (is_empty(line) || is_comment(line)))
			continue;
		const char *from = r->piece_count ? line : skip_blanks(line);
		size_t n = line_length(from, r->d->escape, &continues);
		add_piece(r, text.size, (unsigned)r->at, (unsigned)(from - line) + 1);
		buffer_append(&text, from, n);
		i->last_line = (unsigned)r->at;
	} while (continues && r->at < lines->count);
	i->text = buffer_take_string(&text);
	return 1;
}

static int fail_in(struct reader *r, size_t offset, int code, struct error **err)
{
	struct piece at = r->pieces[0];
	for (size_t i = 1; i < r->piece_count && r->pieces[i].offset <= offset; i++)
		at = r->pieces[i];
	return fail_at(r, at.line, at.column + (unsigned)(offset - at.offset), code, err);
}

static int read_content(struct reader *r, struct dockerfile_heredoc *h)
{
	AUTO_BUFFER struct buffer content;
	buffer_init(&content, DOCKERFILE_MAX);
	while (r->at < r->d->lines.count) {
		const char *line = r->d->lines.items[r->at++];
		while (h->chomp && *line == '\t')
			line++;
		if (streq(line, h->name)) {
			h->content = buffer_take_string(&content);
			return 0;
		}
		buffer_appendf(&content, "%s\n", line);
	}
	return -EINVAL;
}

static int read_contents(struct reader *r, struct dockerfile_instruction *i, struct error **err)
{
	for (size_t k = 0; k < i->heredoc_count; k++) {
		if (read_content(r, &i->heredocs[k]) < 0) {
			error_set(err, EINVAL,
			    "the here-document \"%.60s\" has no end; write a line with that word alone",
			    i->heredocs[k].name);
			return fail_at(r, i->line, 1, -EINVAL, err);
		}
		i->last_line = (unsigned)r->at;
	}
	return 0;
}

static int read_instruction(struct reader *r, struct dockerfile_instruction *i, struct error **err)
{
	size_t offset = 0;
	int code = instruction_parse(i, r->d->escape, &offset, err);
	return code < 0 ? fail_in(r, offset, code, err) : read_contents(r, i, err);
}

static int read_instructions(struct reader *r, struct error **err)
{
	struct dockerfile *d = r->d;
	for (;;) {
		struct dockerfile_instruction next = { 0 };
		if (!join_lines(r, &next))
			return 0;
		if (d->count == DOCKERFILE_INSTRUCTIONS_MAX) {
			instruction_done(&next);
			error_set(err, E2BIG, "more than %d instructions", DOCKERFILE_INSTRUCTIONS_MAX);
			return fail_at(r, (unsigned)r->at, 1, -E2BIG, err);
		}
		d->instructions = xgrow(d->instructions, d->count, sizeof *d->instructions);
		d->instructions[d->count] = next;
		int code = read_instruction(r, &d->instructions[d->count++], err);
		if (code < 0)
			return code;
	}
}

/* Only ARG may stand before the first FROM. */
static int check_order(struct reader *r, struct error **err)
{
	const struct dockerfile *d = r->d;
	for (size_t i = 0; i < d->count; i++) {
		const struct dockerfile_instruction *at = &d->instructions[i];
		if (at->kind->id == DOCKERFILE_FROM)
			return 0;
		if (at->kind->id == DOCKERFILE_ARG)
			continue;
		error_set(err, EINVAL, "%s stands before the first FROM; begin with FROM IMAGE", at->kind->name);
		return fail_at(r, at->line, 1, -EINVAL, err);
	}
	return error_set(err, EINVAL, "%s: has no FROM; begin with FROM IMAGE", r->name);
}

/* Stages are looked for by name, one after the other. */
static int check_stages(struct reader *r, struct error **err)
{
	size_t count = 0;
	for (size_t i = 0; i < r->d->count; i++) {
		count += r->d->instructions[i].kind->id == DOCKERFILE_FROM;
		if (count <= DOCKERFILE_STAGES_MAX)
			continue;
		error_set(err, E2BIG, "more than %d stages", DOCKERFILE_STAGES_MAX);
		return fail_at(r, r->d->instructions[i].line, 1, -E2BIG, err);
	}
	return 0;
}

int dockerfile_parse(const char *data, size_t size, const char *name, struct dockerfile **ret, struct error **err)
{
	struct reader r = { .d = xnew(struct dockerfile), .name = name };
	*ret = r.d;
	int code = split_lines(&r, data, size, err);
	if (code == 0)
		code = read_directives(&r, err);
	if (code == 0)
		code = read_instructions(&r, err);
	if (code == 0)
		code = check_order(&r, err);
	if (code == 0)
		code = check_stages(&r, err);
	free(r.pieces);
	return code;
}

int dockerfile_parse_trigger(const char *text, char escape, struct dockerfile_instruction *ret, struct error **err)
{
	AUTO_DOCKERFILE struct dockerfile *d = xnew(struct dockerfile);
	struct reader r = { .d = d, .name = "ONBUILD" };
	d->escape = escape;
	int code = split_lines(&r, text, strlen(text), err);
	if (code == 0 && !join_lines(&r, ret))
		code = error_set(err, EINVAL, "ONBUILD: the instruction is empty");
	if (code == 0)
		code = read_instruction(&r, ret, err);
	if (code == 0 && r.at < d->lines.count)
		code = error_set(err, EINVAL, "ONBUILD: there is a second instruction in \"%.80s\"", text);
	free(r.pieces);
	return code;
}

char *dockerfile_excerpt(const struct dockerfile *d, unsigned line)
{
	AUTO_BUFFER struct buffer b;
	size_t from = line > EXCERPT_AROUND ? line - EXCERPT_AROUND : 1;
	size_t to = line + EXCERPT_AROUND < d->lines.count ? line + EXCERPT_AROUND : d->lines.count;
	buffer_init(&b, DOCKERFILE_MAX + 1024);
	for (size_t i = from; i <= to; i++)
		buffer_appendf(&b, "%4zu | %s %s\n", i, i == line ? ">>>" : "   ", d->lines.items[i - 1]);
	return buffer_take_string(&b);
}
