/* SPDX-License-Identifier: Apache-2.0
 * Templates of --format: what Go's text/template prints for the same, and what is refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/format.h"

static const char document[] =
    "{\"name\":\"dev\",\"home_mount\":\"rw\",\"cpus\":2,\"load\":0.5,\"memory\":1610612736,\"default\":true,"
    "\"none\":null,\"empty\":[],\"ports\":[{\"host\":80,\"inside\":8080},{\"host\":53,\"inside\":53}],"
    "\"tags\":[\"a\",\"b\"],\"env\":{\"B\":\"2\",\"A\":\"1\"},\"image\":\"docker.io/library/alpine:3\"}";

struct row {
	const char *template, *result; /* result: the text, or a part of the error */
};

static struct json_object *parse(const char *text)
{
	struct json_object *o = NULL;
	assert_int_equal(json_parse(text, strlen(text), "test", &o, NULL), 0);
	return o;
}

/* Runs the template over the document: 0 and *ret, or -errno and the error's text. */
static int run(const char *text, char **ret)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_JSON struct json_object *o = parse(document);
	CLEANUP(template_freep) struct template *t = NULL;
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, 4 << 20);
	int r = template_parse(text, &t, &err);
	if (r == 0)
		r = template_run(t, o, &b, &err);
	*ret = r < 0 ? xstrdup(error_text(err, r)) : buffer_take_string(&b);
	return r;
}

static void results_are_those_of_go(void **state)
{
	static const struct row rows[] = {
		{ "", "" },
		{ "plain }} text", "plain }} text" },
		{ "{{.name}}", "dev" },
		{ "{{ .name }}-{{.cpus}}-{{.load}}-{{.default}}", "dev-2-0.5-true" },
		{ "{{.Name}} {{.HomeMount}} {{.home_mount}}", "dev rw rw" },
		{ "{{.env \"B\"}}|{{.env \"C\"}}|{{.none \"C\"}}", "2||" },
		{ "{{.none}}|{{.env.C}}|{{.none.deeper}}", "<no value>|<no value>|<no value>" },
		{ "{{.tags}} {{.env}} {{.empty}}", "[a b] map[A:1 B:2] []" },
		{ "a\\tb\\n", "a\tb\n" },
		{ "a {{- .name -}} b", "adevb" },
		{ "a {{- \" \" -}} b", "a b" },
		{ "{{/* nothing */}}a {{- /* nor */ -}} b", "ab" },
		{ "{{-1}}", "-1" },
		{ "{{$}}", "map[cpus:2 default:true" },
		{ "{{json .ports}}", "[{\"host\":80,\"inside\":8080},{\"host\":53,\"inside\":53}]" },
		{ "{{json .}}", "{\"name\":\"dev\"" },
		{ "{{json .none}} {{.name | json}}", "null \"dev\"" },
		{ "{{len .ports}} {{len .name}} {{len .env}} {{len .none}}", "2 3 2 0" },
		{ "{{index .tags 1}} {{index .env \"A\"}} {{index . \"home-mount\"}}", "b 1 rw" },
		{ "{{index .env \"C\"}}|{{index .none \"C\"}}|{{index . \"none\"}}", "|<no value>|<no value>" },
		{ "{{eq (index .env \"C\") \"x\"}}", "false" },
		{ "{{(index .ports 0).inside}} {{index .ports 1 \"host\"}}", "8080 53" },
		{ "{{join .tags \", \"}} {{.image | split \"x\"}}", "a, b [x]" },
		{ "{{join (split .image \"/\") \"+\"}} {{split \"ab\" \"\"}}", "docker.io+library+alpine:3 [a b]" },
		{ "{{upper .name}} {{lower \"ABC\"}} {{title \"a bc\"}}", "DEV abc A Bc" },
		{ "{{slice .image 0 6}} {{slice .tags 1}} {{truncate .image 3}}", "docker [b] doc" },
		{ "{{size .memory}} {{size .none}}", "1.5G -" },
		{ "{{print 1 2 \"a\" 3}} {{println .cpus \"x\"}}", "1 2a3 2 x\n" },
		{ "{{if .default}}yes{{else}}no{{end}} {{if .none}}yes{{else}}no{{end}}", "yes no" },
		{ "{{if .empty}}a{{else if eq .cpus 2}}b{{else}}c{{end}}", "b" },
		{ "{{with .none}}a{{else with .name}}{{.}}{{end}}", "dev" },
		{ "{{with .env}}{{.A}}{{$.name}}{{end}}", "1dev" },
		{ "{{with $x := .name}}{{$x}}{{end}}", "dev" },
		{ "{{range .ports}}{{.host}} {{end}}{{range .empty}}x{{else}}none{{end}}", "80 53 none" },
		{ "{{range $i, $p := .ports}}{{if $i}}, {{end}}{{$i}}={{$p.host}}{{end}}", "0=80, 1=53" },
		{ "{{range $x := .tags}}{{$x}}{{end}}{{range $k, $v := .env}} {{$k}}{{$v}}{{end}}", "ab A1 B2" },
		{ "{{$n := 0}}{{range .tags}}{{$n = .}}{{end}}{{$n}}", "b" },
		{ "{{eq .name \"dev\"}} {{eq .cpus 1 2}} {{ne .cpus 2}} {{eq .none nil}}", "true true false true" },
		{ "{{lt 1 2}} {{le 2 2}} {{gt 1 2}} {{ge 2.5 2}} {{lt \"a\" \"b\"}}", "true true false true true" },
		{ "{{and .name .none}} {{or .none .name}} {{not .none}}", "<no value> dev true" },
		{ "{{and .none (index .empty 0)}} {{or .name (index .empty 0)}}", "<no value> dev" },
		{ "{{printf \"%s has %d, %5.2f %q %v %x %%\" .name .cpus .load .name .tags 255}}",
		    "dev has 2,  0.50 \"dev\" [a b] ff %" },
		{ "{{printf \"%-5s|%5s|%05d|%.2s\" .name .name .cpus .name}}", "dev  |  dev|00002|de" },
		{ "{{printf \"a\\tb\\\"\\n\"}}{{`raw\\n`}}", "a\tb\"\nraw\\n" },
		{ "{{.name | printf \"%s-%s\" \"a\" | upper}}", "A-DEV" },
		{ "{{(((.name)))}}", "dev" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTOFREE char *result = NULL;
		int r = run(rows[i].template, &result);
		/* Two rows name the beginning of a long result. */
		int begins = strstr(rows[i].template, "{{$}}") || strstr(rows[i].template, "{{json .}}");
		if (r < 0 || (begins ? !startswith(result, rows[i].result) : !streq(result, rows[i].result)))
			fail_msg("%s: %d %s", rows[i].template, r, result);
	}
}

static void errors_say_where(void **state)
{
	static const struct row rows[] = {
		{ "{{.name", "it has no }}" },
		{ "{{", "it has no }}" },
		{ "{{}}", "it has no value" },
		{ "{{.nam}}", "there is no field \"nam\"; there are: name home_mount" },
		{ "{{.name.x}}", "a string has no field \"x\"" },
		{ "{{name}}", "there is no function \"name\"; a field is .name" },
		{ "{{if .name}}", "it has no {{end}}" },
		{ "{{if .name}}{{else}}", "it has no {{end}}" },
		{ "{{if .name}}{{else}}{{else}}{{end}}", "it is a second else" },
		{ "{{if}}x{{end}}", "it has no value" },
		{ "{{end}}", "there is no block" },
		{ "{{else}}", "there is no block" },
		{ "{{.name .cpus}}", "no function" },
		{ "{{.name \"a\" \"b\"}}", "no function" },
		{ "{{.name \"a\"}}", "a string has no keys" },
		{ "{{.cpus | .name}}", "a | without a function" },
		{ "{{.cpus |}}", "no value" },
		{ "{{(.cpus}}", "( without its )" },
		{ "{{\"abc}}", "\" without its second" },
		{ "{{\"\\d\"}}", "escape" },
		{ "{{`abc}}", "` without its second" },
		{ "{{/* abc }}", "comment without its end" },
		{ "{{.name#}}", "without a blank between" },
		{ "{{if .name)}}", "expected" },
		{ "{{\"a\"\"b\"}}", "without a blank between" },
		{ "{{99999999999999999999}}", "too large" },
		{ "{{$x}}", "no variable \"$x\"" },
		{ "{{if true}}{{$x := 1}}{{end}}{{$x}}", "no variable \"$x\"" },
		{ "{{template \"x\"}}", "no function \"template\"" },
		{ "{{index .tags 2}}", "index 2 of a list of 2" },
		{ "{{index .tags -1}}", "index -1" },
		{ "{{index .name 0}}", "index takes a list or an object, not a string" },
		{ "{{slice .name 2 9}}", "slice 2 to 9 of 3" },
		{ "{{upper .cpus}}", "upper takes a string, not a number" },
		{ "{{join .cpus \",\"}}", "join takes a list, not a number" },
		{ "{{join .tags 1}}", "join takes a string" },
		{ "{{printf 1}}", "printf takes a format first" },
		{ "{{eq .name .cpus}}", "compares a string with a number" },
		{ "{{eq .name}}", "takes 2 at least" },
		{ "{{upper}}", "takes 1 at least" },
		{ "{{not 1 2}}", "takes 1 at most" },
		{ "{{and}}", "no arguments" },
		{ "{{range .cpus}}{{end}}", "range goes over a list or an object, not over a number" },
		{ "{{printf \"%d\" .name}}", "%d for a string" },
		{ "{{printf \"%d\"}}", "more % than values" },
		{ "{{printf \"x\" 1}}", "more values than %" },
		{ "{{printf \"%99999d\" 1}}", "bad %" },
		{ "{{printf \"%n\" 1}}", "%n for a number" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTOFREE char *text = NULL;
		int r = run(rows[i].template, &text);
		if (r != -EINVAL || !strstr(text, rows[i].result))
			fail_msg("%s: %d %s", rows[i].template, r, text);
	}
}

static void sizes_are_bounded(void **state)
{
	AUTO_BUFFER struct buffer deep, twice, loops;
	AUTOFREE char *a = NULL, *b = NULL, *c = NULL;
	buffer_init(&deep, 1 << 16);
	buffer_init(&twice, 1 << 16);
	buffer_init(&loops, 1 << 16);
	for (int i = 0; i < 40; i++)
		buffer_append_string(&deep, "{{if .name}}");
	assert_int_equal(run(buffer_string(&deep), &a), -E2BIG);
	buffer_append_string(&twice, "{{$x := \"0123456789\"}}");
	for (int i = 0; i < 30; i++)
		buffer_append_string(&twice, "{{$x = printf \"%s%s\" $x $x}}");
	assert_int_equal(run(buffer_string(&twice), &b), -E2BIG);
	for (int i = 0; i < 20; i++)
		buffer_append_string(&loops, "{{range $.tags}}");
	for (int i = 0; i < 20; i++)
		buffer_append_string(&loops, "{{end}}");
	assert_int_equal(run(buffer_string(&loops), &c), -E2BIG);
}

/* ---- format ---- */

static char *format(const char *text, const char *json)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_FORMAT struct format f = { 0 };
	AUTO_JSON struct json_object *rows = parse(json);
	char *result = NULL;
	int r = format_parse(text, "table", &f, &err);
	if (r == 0 && f.kind == FORMAT_TEMPLATE)
		r = format_rows(&f, rows, &result, &err);
	return r < 0 ? xstrdup(error_text(err, r)) : result ? result : xstrdup(f.kind == FORMAT_JSON ? "JSON" : "OWN");
}

static void formats(void **state)
{
	static const char two[] = "[{\"names\":\"a\",\"disk_used\":1,\"ports\":[1,2]},"
				  "{\"names\":\"bl\xc3\xa5 b\xc3\xa6r\",\"disk_used\":22,\"ports\":[]}]";
	static const struct row rows[] = {
		{ "table", "OWN" },
		{ "json", "JSON" },
		{ "jsn", "--format cannot be \"jsn\"; it is table, json, or a template such as '{{.name}}'" },
		{ "{{.names}}", "a\nbl\xc3\xa5 b\xc3\xa6r\n" },
		{ "table {{.Names}}\\t{{.DiskUsed}}", "NAMES    DISK USED\na        1\nbl\xc3\xa5 b\xc3\xa6r  22\n" },
		{ "table {{.names | upper}}\\t{{json .disk_used}}\\t{{range .ports}}{{.}},{{end}}",
		    "NAMES    DISK USED  PORTS,\nA        1          1,2,\nBL\xc3\xa5 B\xc3\xa6R  22         \n" },
		{ "table {{if eq .names \"a\"}}{{.names}}{{end}}\\t{{printf \"%5d/%s\" .disk_used .names}}",
		    "NAMES  DISK USED/NAMES\na          1/a\n          22/bl\xc3\xa5 b\xc3\xa6r\n" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTOFREE char *result = format(rows[i].template, two);
		assert_string_equal(result, rows[i].result);
	}
	AUTOFREE char *none = format("table {{.a.b}}\\t{{.c}}", "[]"), *empty = format("{{.a}}", "[]"),
		      *shown = format("{{.a}}\\t{{json .a}}", "[{\"a\":\"x\\u001b[31m\\ny\\u202e\"}]");
	assert_string_equal(none, "B  C\n");
	assert_string_equal(empty, "");
	assert_string_equal(shown, "x [31m\ny?\t\"x\\u001b[31m\\ny\\u202e\"\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(results_are_those_of_go),
		cmocka_unit_test(errors_say_where),
		cmocka_unit_test(sizes_are_bounded),
		cmocka_unit_test(formats),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
