/* SPDX-License-Identifier: Apache-2.0
 * Platforms: which of an index's manifests runs here (OCI image specification, image-index.md,
 * "platform"). */
#include "oci/manifest.h"

#include <errno.h>
#include <sys/utsname.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/strv.h"

enum { WORD_MAX = 64 };

static const struct {
	const char *alias, *architecture, *variant;
} aliases[] = {
	{ "x86_64", "amd64", NULL },
	{ "x86-64", "amd64", NULL },
	{ "aarch64", "arm64", NULL },
	{ "armv8l", "arm64", NULL },
	{ "armhf", "arm", "v7" },
	{ "armv7l", "arm", "v7" },
	{ "armv6l", "arm", "v6" },
	{ "armel", "arm", "v6" },
	{ "i386", "386", NULL },
	{ "i686", "386", NULL },
};

void oci_platform_done(struct oci_platform *p)
{
	free(p->os);
	free(p->architecture);
	free(p->variant);
	*p = (struct oci_platform){ 0 };
}

int oci_platform_word(const char *text)
{
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
	return n > 0 && n <= WORD_MAX && text[n] == '\0';
}

static void set_architecture(struct oci_platform *p, const char *name)
{
	const char *variant = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(aliases); i++)
		if (streq(name, aliases[i].alias)) {
			name = aliases[i].architecture;
			variant = aliases[i].variant;
			break;
		}
	p->architecture = xstrdup(name);
	p->variant = xstrdup(variant);
}

int oci_platform_parse(const char *text, struct oci_platform *ret, struct error **err)
{
	AUTO_STRV struct strv parts = { 0 };
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-./");
	strv_split(&parts, text, "/");
	if (text[n] != '\0' || n > 64 || parts.count == 0 || parts.count > 3)
		return error_set(err, EINVAL,
		    "platform \"%.64s\" is not OS/ARCHITECTURE[/VARIANT], for instance linux/amd64 or linux/arm64",
		    text);
	const char *architecture = parts.count == 1 ? parts.items[0] : parts.items[1];
	if (parts.count > 1 && !streq(parts.items[0], "linux"))
		return error_set(err, EINVAL, "platform \"%s\": machines run linux only; write linux/%s", text,
		    architecture);
	*ret = (struct oci_platform){ .os = xstrdup("linux") };
	set_architecture(ret, architecture);
	if (parts.count == 3) {
		free(ret->variant);
		ret->variant = xstrdup(parts.items[2]);
	}
	if (streq(ret->architecture, "arm64") && streq(ret->variant, "v8")) {
		free(ret->variant); /* the only one there is, and the same as nothing */
		ret->variant = NULL;
	}
	return 0;
}

int oci_platform_check(const struct oci_platform *p, struct error **err)
{
	/* GOARCH, as the image specification has it (config.md, "architecture"), where GOOS is
	 * linux. */
	static const char *const known[] = { "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le",
		"mipsle", "ppc64", "ppc64le", "riscv64", "s390x" };
	AUTO_STRV struct strv all = { 0 };
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (streq(p->architecture, known[i]))
			return 0;
		strv_add(&all, known[i]);
	}
	AUTOFREE char *list = strv_join(&all, ", "), *text = oci_platform_to_string(p);
	return error_set(err, EINVAL, "platform \"%s\": Linux has no such architecture; choose one of %s", text, list);
}

int oci_platform_runs(const struct oci_platform *host, const struct oci_platform *image)
{
	return streq(image->architecture, host->architecture) || streq(image->architecture, "unknown") ||
	       (streq(host->architecture, "amd64") && streq(image->architecture, "386"));
}

void oci_platform_host(struct oci_platform *ret)
{
	struct utsname u;
	uname(&u);
	*ret = (struct oci_platform){ .os = xstrdup("linux") };
	set_architecture(ret, u.machine);
}

char *oci_platform_to_string(const struct oci_platform *p)
{
	return xasprintf("%s/%s%s%s", p->os ? p->os : "unknown", p->architecture ? p->architecture : "unknown",
	    p->variant ? "/" : "", p->variant ? p->variant : "");
}

/* "v7" is 7; what an architecture starts with when nothing is said: arm v7, arm64 v8, amd64 v1. */
static int variant_number(const struct oci_platform *p)
{
	if (!p->variant || !*p->variant)
		return streq(p->architecture, "arm64") ? 8 : streq(p->architecture, "arm") ? 7 : 1;
	return p->variant[0] == 'v' && p->variant[1] >= '1' && p->variant[1] <= '9' &&
		       (p->variant[2] == '\0' || p->variant[2] == '.') ?
		   p->variant[1] - '0' :
		   0;
}

int oci_platform_match(const struct oci_platform *wanted, const struct oci_platform *offered)
{
	if (!offered->os || !offered->architecture || !streq(wanted->os, offered->os) ||
	    !streq(wanted->architecture, offered->architecture))
		return 0;
	int want = variant_number(wanted), have = variant_number(offered);
	if (streq(wanted->variant, offered->variant) || want == have)
		return 100;
	/* An older variant runs on a newer one, never the other way round. */
	return have > 0 && have < want ? have : 0;
}

static void list_platforms(const struct oci_index *i, struct buffer *b)
{
	for (size_t k = 0; k < i->count; k++) {
		const struct oci_platform *p = &i->manifests[k].platform;
		if (!p->architecture || streq(p->architecture, "unknown"))
			continue;
		AUTOFREE char *text = oci_platform_to_string(p);
		if (b->size + strlen(text) > 200) {
			buffer_append_string(b, ", ...");
			return;
		}
		buffer_appendf(b, "%s%s", b->size ? ", " : "", text);
	}
}

int oci_index_choose(const struct oci_index *i, const struct oci_platform *wanted, const char *name,
    const struct oci_descriptor **ret, struct error **err)
{
	const struct oci_descriptor *best = NULL;
	int best_score = 0;
	for (size_t k = 0; k < i->count; k++) {
		const struct oci_descriptor *d = &i->manifests[k];
		int score = oci_platform_match(wanted, &d->platform);
		/* A layout with one image that does not say its platform: its configuration
		 * will. */
		if (!d->platform.architecture && i->count == 1)
			score = 1;
		if (score > best_score) {
			best = d;
			best_score = score;
		}
	}
	if (best) {
		*ret = best;
		return 0;
	}
	AUTO_BUFFER struct buffer there;
	buffer_init(&there, 512);
	list_platforms(i, &there);
	AUTOFREE char *text = oci_platform_to_string(wanted);
	return error_set(err, ENOENT, "image \"%s\" is not made for %s (it is for %s); see --platform", name, text,
	    there.size ? buffer_string(&there) : "none that is named");
}
