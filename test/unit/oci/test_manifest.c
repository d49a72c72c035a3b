/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "oci/config.h"
#include "oci/history.h"
#include "oci/manifest.h"

#define D(c) "sha256:" #c #c #c #c #c #c #c #c
#define A D(aaaaaaaa)
#define B D(bbbbbbbb)
#define DESCRIPTOR(digest, size) "{\"mediaType\":\"x\",\"digest\":\"" digest "\",\"size\":" #size "}"

static int manifest(const char *text, struct oci_manifest **ret, struct error **err)
{
	return oci_manifest_parse(text, strlen(text), "test", ret, err);
}

static void manifests(void **state)
{
	AUTO_OCI_MANIFEST struct oci_manifest *m = NULL;
	assert_int_equal(manifest("{\"schemaVersion\":2,\"mediaType\":\"t\",\"config\":" DESCRIPTOR(A,
				      10) ",\"layers\":[" DESCRIPTOR(B, 20) "],\"annotations\":{\"k\":\"v\"}}",
			     &m, NULL),
	    0);
	assert_string_equal(m->media_type, "t");
	assert_string_equal(m->config.digest, A);
	assert_int_equal(m->layer_count, 1);
	assert_int_equal(m->layers[0].size, 20);
	assert_non_null(m->annotations);
}

static void bad_manifests(void **state)
{
	static const char *const bad[] = { "", "[]", "{}", "nonsense", "{\"config\":" DESCRIPTOR(A, 10) "}",
		"{\"layers\":[]}", "{\"config\":{},\"layers\":[]}", "{\"config\":[],\"layers\":[]}",
		"{\"config\":" DESCRIPTOR(A, -1) ",\"layers\":[]}",
		"{\"config\":" DESCRIPTOR(A, 1e300) ",\"layers\":[]}",
		"{\"config\":" DESCRIPTOR("sha256:../../x", 1) ",\"layers\":[]}",
		"{\"config\":" DESCRIPTOR(A, 1) ",\"layers\":[1]}", "{\"config\":" DESCRIPTOR(A, 1) ",\"layers\":{}}",
		"{\"config\":" DESCRIPTOR(A, 1) ",\"layers\":[{\"digest\":\"" B "\"}]}",
		"{\"config\":" DESCRIPTOR(A, 1) ",\"layers\":[" DESCRIPTOR(B, 1) ",null]}" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		AUTO_ERROR struct error *err = NULL;
		struct oci_manifest *m = NULL;
		assert_true(manifest(bad[i], &m, &err) < 0);
		assert_non_null(err);
		assert_null(m);
	}
	static const char *const too_big[] = { "{\"config\":" DESCRIPTOR(A, 5000000) ",\"layers\":[]}",
		"{\"config\":" DESCRIPTOR(A, 1) ",\"layers\":[" DESCRIPTOR(B, 2199023255552) "]}" };
	for (size_t i = 0; i < ARRAY_SIZE(too_big); i++) {
		struct oci_manifest *m = NULL;
		assert_int_equal(manifest(too_big[i], &m, NULL), -EFBIG);
	}
}

static void artifacts(void **state)
{
	static const char image[] = "application/vnd.oci.image.config.v1+json",
			  empty[] = "application/vnd.oci.empty.v1+json",
			  tar[] = "application/vnd.oci.image.layer.v1.tar";
	static const struct {
		const char *type, *config, *layer, *artifact;
	} cases[] = {
		{ "", image, tar, NULL },
		{ "", "", "", NULL },
		{ "", "application/octet-stream", tar, NULL },
		{ "", "application/vnd.docker.container.image.v1+json", tar, NULL },
		{ "application/x", image, tar, NULL },
		{ "application/x", empty, tar, "application/x" },
		{ "", "application/vnd.cncf.helm.config.v1+json", tar, "application/vnd.cncf.helm.config.v1+json" },
		{ "", image, "application/vnd.in-toto+json", "application/vnd.in-toto+json" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_OCI_MANIFEST struct oci_manifest *m = NULL;
		AUTOFREE char *text =
		    xasprintf("{\"artifactType\":\"%s\",\"config\":{\"mediaType\":\"%s\",\"digest\":\"" A
			      "\",\"size\":1},\"layers\":[{\"mediaType\":\"%s\",\"digest\":\"" B "\",\"size\":1}]}",
			cases[i].type, cases[i].config, cases[i].layer);
		assert_int_equal(manifest(text, &m, NULL), 0);
		assert_true(streq(oci_manifest_artifact(m), cases[i].artifact));
	}
}

static void layer_counts(void **state)
{
	AUTO_BUFFER struct buffer b;
	struct oci_manifest *m = NULL;
	buffer_init(&b, 1 << 20);
	buffer_append_string(&b, "{\"config\":" DESCRIPTOR(A, 1) ",\"layers\":[");
	for (int i = 0; i <= OCI_LAYERS_MAX; i++)
		buffer_appendf(&b, "%s" DESCRIPTOR(B, 1), i ? "," : "");
	buffer_append_string(&b, "]}");
	assert_int_equal(manifest(buffer_string(&b), &m, NULL), -EFBIG);
}

/* Encrypted layers are refused; those that need not be distributed may be at the registry. */
static void refused_layers(void **state)
{
	static const struct {
		const char *type;
		int result, distributable;
	} rows[] = {
		{ "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", 0, 0 },
		{ "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", 0, 0 },
		{ "application/vnd.oci.image.layer.v1.tar+gzip", 0, 1 },
		{ "application/vnd.oci.image.layer.v1.tar+gzip+encrypted", -ENOTSUP, 0 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_ERROR struct error *err = NULL;
		AUTO_OCI_MANIFEST struct oci_manifest *m = NULL;
		AUTOFREE char *text = xasprintf("{\"config\":" DESCRIPTOR(A, 1) ",\"layers\":[{\"mediaType\":\"%s\","
										"\"digest\":\"" B "\",\"size\":1}]}",
		    rows[i].type);
		assert_int_equal(manifest(text, &m, &err), rows[i].result);
		if (m)
			assert_int_equal(oci_layer_is_distributable(&m->layers[0]), rows[i].distributable);
		else
			assert_non_null(strstr(err->text, "layer 1"));
	}
}

static void kinds(void **state)
{
	static const struct {
		const char *text;
		int result;
		enum oci_document kind;
	} cases[] = {
		{ "{\"manifests\":[]}", 0, OCI_DOCUMENT_INDEX },
		{ "{\"layers\":[],\"config\":{}}", 0, OCI_DOCUMENT_MANIFEST },
		{ "{\"layers\":[],\"manifests\":[]}", -EINVAL, 0 },
		{ "{\"schemaVersion\":1,\"fsLayers\":[]}", -EINVAL, 0 },
		{ "{}", -EINVAL, 0 },
		{ "7", -EINVAL, 0 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		enum oci_document kind = 99;
		assert_int_equal(oci_document_kind(cases[i].text, strlen(cases[i].text), NULL, "test", &kind, NULL),
		    cases[i].result);
		if (cases[i].result == 0)
			assert_int_equal(kind, cases[i].kind);
	}
}

/* clang-format off */
#define ON(digits, os, architecture, more) \
	"{\"digest\":\"" D(digits) "\",\"size\":1,\"platform\":{" \
	"\"os\":\"" os "\",\"architecture\":\"" architecture "\"" more "}}"
#define VARIANT(name) ",\"variant\":\"" name "\""
static const char index_text[] = "{\"manifests\":["
	ON(11111111, "linux", "arm", VARIANT("v6")) ","
	ON(22222222, "linux", "arm", VARIANT("v7")) ","
	ON(33333333, "linux", "arm64", VARIANT("v8")) ","
	ON(44444444, "linux", "amd64", "") ","
	ON(55555555, "linux", "amd64", VARIANT("v3")) ","
	ON(66666666, "windows", "amd64", "") ","
	ON(77777777, "unknown", "unknown", "") "]}";
/* clang-format on */

static void choices(void **state)
{
	static const struct {
		const char *platform;
		char digit; /* 0: none */
	} cases[] = {
		{ "linux/amd64", '4' },
		{ "x86_64", '4' },
		{ "linux/amd64/v3", '5' },
		{ "linux/amd64/v2", '4' },
		{ "linux/arm64", '3' },
		{ "linux/arm64/v8", '3' },
		{ "aarch64", '3' },
		{ "linux/arm", '2' },
		{ "linux/arm/v7", '2' },
		{ "linux/arm/v6", '1' },
		{ "armhf", '2' },
		{ "linux/arm/v5", 0 },
		{ "linux/s390x", 0 },
	};
	AUTO_OCI_INDEX struct oci_index *index = NULL;
	assert_int_equal(oci_index_parse(index_text, strlen(index_text), "test", &index, NULL), 0);
	assert_int_equal(index->count, 7);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_OCI_PLATFORM struct oci_platform p = { 0 };
		AUTO_ERROR struct error *err = NULL;
		const struct oci_descriptor *d = NULL;
		assert_int_equal(oci_platform_parse(cases[i].platform, &p, NULL), 0);
		assert_int_equal(oci_index_choose(index, &p, "test", &d, &err), cases[i].digit ? 0 : -ENOENT);
		if (cases[i].digit)
			assert_int_equal(d->digest[7], cases[i].digit);
		else
			assert_non_null(strstr(err->text, "linux/arm64/v8"));
	}
}

static void platforms(void **state)
{
	static const char *const bad[] = { "", "/", "windows/amd64", "linux/a/b/c", "linux/AMD64", "linux/amd64 ",
		"linux/0123456789012345678901234567890123456789012345678901234567890123456789" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		AUTO_OCI_PLATFORM struct oci_platform p = { 0 };
		assert_int_equal(oci_platform_parse(bad[i], &p, NULL), -EINVAL);
	}
	AUTO_OCI_PLATFORM struct oci_platform host = { 0 };
	oci_platform_host(&host);
	assert_true(oci_platform_match(&host, &host) > 0);
}

static int config(const char *text, struct oci_config **ret)
{
	return oci_config_parse(text, strlen(text), "test", ret, NULL);
}

static void configs(void **state)
{
	AUTO_OCI_CONFIG struct oci_config *c = NULL;
	assert_int_equal(config("{\"os\":\"linux\",\"architecture\":\"amd64\",\"created\":\"2024-01-01T00:00:00Z\","
				"\"config\":{\"Env\":[\"A=1\",\"noequals\",\"=x\",\"B=\"],\"Cmd\":[\"x\"],"
				"\"Entrypoint\":null,"
				"\"WorkingDir\":\"\",\"User\":\"u\",\"StopSignal\":\"SIGTERM\",\"Labels\":{\"l\":\"v\","
				"\"n\":7}},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" A "\"]}}",
			     &c),
	    0);
	assert_int_equal(c->env.count, 2);
	assert_int_equal(c->odd_env.count, 2);
	assert_string_equal(c->odd_env.items[0], "noequals");
	assert_null(c->working_dir);
	assert_string_equal(c->user, "u");
	assert_int_equal(c->diff_ids.count, 1);
	AUTO_JSON struct json_object *o = oci_config_to_machine_json(c);
	AUTOFREE char *text = json_to_string(o, 0);
	assert_string_equal(text,
	    "{\"Env\":[\"A=1\",\"B=\"],\"User\":\"u\",\"StopSignal\":\"SIGTERM\",\"Labels\":{\"l\":\"v\"}}");

	static const char *const bad[] = {
		"[]",
		"{}",
		"{\"rootfs\":{}}",
		"{\"rootfs\":{\"diff_ids\":[\"x\"]}}",
		"{\"rootfs\":{\"diff_ids\":[1]}}",
		"{\"config\":{\"Env\":\"A=1\"},\"rootfs\":{\"diff_ids\":[]}}",
		"{\"config\":[],\"rootfs\":{\"diff_ids\":[]}}",
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct oci_config *other = NULL;
		assert_int_equal(config(bad[i], &other), -EINVAL);
	}
}

/* Fields of a configuration that people see have a grammar. */
static void config_words(void **state)
{
	static const struct {
		const char *members;
		int result;
	} rows[] = {
		{ "\"os\":\"linux\",\"architecture\":\"x86_64\",\"variant\":\"v8.1-a\"", 0 },
		{ "\"os\":\"\",\"architecture\":\"\",\"variant\":\"\",\"created\":\"\"", 0 },
		{ "\"created\":\"0001-01-01T00:00:00Z\"", 0 },
		{ "\"created\":\"2024-02-03t04:05:06.123456789+02:00\"", 0 },
		{ "\"os\":\"lin\\u001b[2Jux\"", -EINVAL },
		{ "\"architecture\":\"amd64\\u009b2J\"", -EINVAL },
		{ "\"architecture\":\"amd 64\"", -EINVAL },
		{ "\"variant\":\"\\u202ev8\"", -EINVAL },
		{ "\"os\":\"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggggg\"", -EINVAL },
		{ "\"created\":\"yesterday\"", -EINVAL },
		{ "\"created\":\"2024-02-03\"", -EINVAL },
		{ "\"created\":\"2024-02-03T04:05:06\"", -EINVAL },
		{ "\"created\":\"2024-02-03T04:05:06.Z\"", -EINVAL },
		{ "\"created\":\"2024-02-03T04:05:06+02\"", -EINVAL },
		{ "\"created\":\"2024-02-03T04:05:06Z\\u001b[2J\"", -EINVAL },
		{ "\"created\":\"\\u001b[2J2024-02-03T04:05:06Z\"", -EINVAL },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_OCI_CONFIG struct oci_config *c = NULL;
		AUTOFREE char *text = xasprintf("{%s,\"rootfs\":{\"diff_ids\":[]}}", rows[i].members);
		assert_int_equal(config(text, &c), rows[i].result);
	}
}

/* A descriptor with a bad platform counts as one without, and its index stays usable. */
static void index_words(void **state)
{
	static const char text[] =
	    "{\"manifests\":["
	    "{\"digest\":\"" A
	    "\",\"size\":1,\"platform\":{\"os\":\"linux\",\"architecture\":\"\\u001b]0;x\\u0007\"}},{\"digest\":\"" B
	    "\",\"size\":1,\"platform\":{\"os\":\"linux\",\"architecture\":\"amd64\"}}]}";
	AUTO_OCI_INDEX struct oci_index *i = NULL;
	assert_int_equal(oci_index_parse(text, strlen(text), "test", &i, NULL), 0);
	assert_int_equal(i->count, 2);
	assert_null(i->manifests[0].platform.os);
	assert_null(i->manifests[0].platform.architecture);
	assert_string_equal(i->manifests[1].platform.architecture, "amd64");
}

/* A history that is missing has no steps; one of other things is refused. */
static void histories(void **state)
{
	static const struct {
		const char *text;
		int result;
		size_t count;
	} rows[] = {
		{ "{}", 0, 0 },
		{ "{\"history\":[]}", 0, 0 },
		{ "{\"history\":null}", 0, 0 },
		{ "{\"history\":[{\"created_by\":\"x\"},{\"empty_layer\":true}]}", 0, 2 },
		{ "{\"history\":{}}", -EINVAL, 0 },
		{ "{\"history\":[1]}", -EINVAL, 0 },
		{ "{\"history\":[{\"created_by\":1}]}", -EINVAL, 0 },
		{ "{\"history\":[{\"empty_layer\":\"yes\"}]}", -EINVAL, 0 },
		{ "[]", -EINVAL, 0 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_OCI_HISTORY struct oci_history h = { 0 };
		assert_int_equal(oci_history_parse(rows[i].text, strlen(rows[i].text), "test", &h, NULL),
		    rows[i].result);
		assert_int_equal(h.count, rows[i].count);
		if (h.count == 2) {
			assert_string_equal(h.steps[0].created_by, "x");
			assert_false(h.steps[0].empty_layer);
			assert_true(h.steps[1].empty_layer);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(manifests),
		cmocka_unit_test(bad_manifests),
		cmocka_unit_test(artifacts),
		cmocka_unit_test(layer_counts),
		cmocka_unit_test(refused_layers),
		cmocka_unit_test(kinds),
		cmocka_unit_test(choices),
		cmocka_unit_test(platforms),
		cmocka_unit_test(configs),
		cmocka_unit_test(config_words),
		cmocka_unit_test(index_words),
		cmocka_unit_test(histories),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
