/* SPDX-License-Identifier: Apache-2.0
 * Distributions have a folder for authorities of one's own, and a tool that makes what programs
 * read of it and of the authorities of the distribution (update-ca-certificates(8),
 * update-ca-trust(8)). The tool takes most of a second, so it runs after the start, in a job, and
 * only if the set has changed. The machine's folder on the host keeps the set that was installed
 * last. The script below compares again: a clone has the set on its disk, but no such file. */
#include "keeper/agent/authorities.h"

#include <errno.h>
#include <fts.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/log.h"
#include "base/path.h"
#include "keeper/agent/job.h"
#include "keeper/keeper_private.h"

enum {
	SET_MAX = JOB_INPUT_MAX,
	FILE_MAX = 256 * 1024,
	FILES_MAX = 1000,
	DEPTH_MAX = 4,
	SCRIPT_MS = 5 * 60 * 1000,
	STATUS_NO_TOOL = 3,
};

#define RECORD "authorities"
#define BEGIN "-----BEGIN CERTIFICATE-----"
#define END "-----END CERTIFICATE-----"

/* stdin: the certificates. Each gets a file of its own, as update-ca-certificates wants it. */
static const char script[] =
    "set=/var/lib/holm/authorities.pem\n"
    "new=$(cat)\n"
    "[ \"$(cat $set 2>/dev/null)\" != \"$new\" ] || exit 0\n"
    "if command -v update-ca-certificates >/dev/null; then\n"
    "	tool=update-ca-certificates folder=/usr/local/share/ca-certificates\n"
    "	[ ! -e $set ] || tool=\"$tool --fresh\"\n" /* only that takes old ones away, and it takes longer */
    "	[ ! -d /etc/pki/trust/anchors ] || folder=/etc/pki/trust/anchors\n"
    "elif command -v update-ca-trust >/dev/null; then\n"
    "	tool=update-ca-trust folder=/etc/pki/ca-trust/source/anchors\n"
    "	[ -d $folder ] || folder=/etc/ca-certificates/trust-source/anchors\n"
    "else\n"
    "	exit 3\n"
    "fi\n"
    "mkdir -p $folder /var/lib/holm && rm -f $folder/holm-host-*.crt $set || exit 1\n"
    "n=0\n"
    "printf '%s' \"$new\" | while IFS= read -r line || [ -n \"$line\" ]; do\n"
    "	case $line in *BEGIN*) n=$((n + 1)) ;; esac\n"
    "	printf '%s\\n' \"$line\" >>$folder/holm-host-$n.crt || exit 1\n"
    "done || exit 1\n"
    "$tool || exit 1\n"
    "[ -z \"$new\" ] || { printf '%s\\n' \"$new\" >$set.new && mv $set.new $set; }\n";

/* The host's folders: Debian's, Fedora's, Arch's, SUSE's. */
static const char *const folders[] = { "/usr/local/share/ca-certificates", "/etc/pki/ca-trust/source/anchors",
	"/etc/ca-certificates/trust-source/anchors", "/etc/pki/trust/anchors" };

/* Appends the certificates of a text; what is around them is comment. Of their lines only base64
 * stays. */
static void add_certificates(struct buffer *b, const char *text)
{
	static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
	for (const char *at = text, *end; (at = strstr(at, BEGIN)) && (end = strstr(at, END)); at = end) {
		const char *body = at + strlen(BEGIN);
		if (b->size + (size_t)(end - at) + strlen(END) + 2 > SET_MAX)
			return;
		buffer_append_string(b, BEGIN "\n");
		while (body < end) {
			size_t n = strspn(body, base64);
			if (n > 0) {
				buffer_append(b, body, n);
				buffer_append(b, "\n", 1);
			}
			body += n + (n == 0 || body + n < end);
		}
		buffer_append_string(b, END "\n");
	}
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

char *authorities_read(const char *folder)
{
	AUTOFREE char *start = xstrdup(folder);
	char *const paths[] = { start, NULL };
	AUTO_BUFFER struct buffer b;
	FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
	size_t files = 0;
	buffer_init(&b, 2 * SET_MAX);
	for (FTSENT *e; tree && files < FILES_MAX && (e = fts_read(tree));) {
		AUTOFREE char *text = NULL;
		struct stat st;
		if (e->fts_info == FTS_D && e->fts_level > DEPTH_MAX)
			fts_set(tree, e, FTS_SKIP);
		/* A link to a file elsewhere is the administrator's choice too. */
		if ((e->fts_info != FTS_F && e->fts_info != FTS_SL) || stat(e->fts_path, &st) < 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		files++;
		if (path_read_file(e->fts_path, FILE_MAX, &text, NULL) >= 0)
			add_certificates(&b, text);
	}
	if (tree)
		fts_close(tree);
	return buffer_take_string(&b);
}

/* The set that the machine is to have; owned. */
static char *wanted_set(const struct machine *m)
{
	const char *own = getenv("HOLM_AUTHORITIES");
	if (m->ca == MACHINE_CA_NONE)
		return xstrdup("");
	for (size_t i = 0; !own && i < ARRAY_SIZE(folders); i++) {
		AUTOFREE char *set = authorities_read(folders[i]);
		if (*set)
			return TAKE_PTR(set);
	}
	return own ? authorities_read(own) : xstrdup("");
}

static char *record_path(const struct keeper *k)
{
	return path_join(k->options.log_dir, RECORD);
}

static void on_done(struct keeper *k, int status, const char *text)
{
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *record = record_path(k), *set = TAKE_PTR(k->authorities);
	k->job = NULL;
	if (status == STATUS_NO_TOOL) {
		log_info("the image has no tool for certificate authorities, so it does not trust the host's");
	} else if (status != 0) {
		AUTOFREE char *warning =
		    xasprintf("the host's certificate authorities could not be installed (%s); see holm "
			      "machine logs --boot %s, or set ca=none",
			text, k->machine->name);
		keeper_tell_warning(k, warning);
	} else if (atomic_file_write(record, 0600, set, strlen(set), &err) < 0) {
		log_warning("%s", err->text);
	}
}

void authorities_follow(struct keeper *k)
{
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *record = record_path(k), *set = wanted_set(k->machine), *installed = NULL;
	const struct job_plan plan = { .name = "authorities",
		.script = script,
		.input = set,
		.timeout_ms = SCRIPT_MS,
		.done = on_done };
	int recorded = path_read_file(record, 2 * SET_MAX, &installed, NULL) >= 0;
	/* An export leaves them out of the disk. */
	if (k->options.rescue)
		unlink(record);
	/* A machine that never had any needs none taken away. */
	if (k->job || k->options.rescue ||
	    (recorded ? streq(installed, set) : !*set && k->machine->ca == MACHINE_CA_HOST))
		return;
	free(k->authorities);
	k->authorities = xstrdup(set);
	if (job_start(k, &plan, &k->job, &err) < 0)
		log_warning("%s", err->text);
}
