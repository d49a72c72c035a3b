/* SPDX-License-Identifier: Apache-2.0
 * See summaries.h. The file's lines are
 *
 *   holm image summaries 3
 *   DIGEST CONFIG_DIGEST CONFIG_SIZE SIZE LAYERS PLATFORM CREATED PARENT LABELS
 *
 * sizes in bytes, LAYERS their number, CREATED, PARENT and LABELS "-" where the image has none.
 * LABELS is the rest of the line, a JSON object. */
#include "image/library/summaries.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/buffer.h"
#include "base/json.h"
#include "base/parse.h"
#include "base/path.h"
#include "image/library/image.h"
#include "oci/digest.h"

#define HEAD "holm image summaries 3\n"
enum {
	FILE_MAX = 64 << 20,
	NEW_MIN = 32, /* images read before the file is worth a write, which syncs */
	FIELDS = 8,   /* before the labels */
	LABELS_MAX = 64 << 10,
};

struct summaries {
	struct library *library;
	char *text;           /* the file; the texts of rows point into it */
	struct summary *rows; /* sorted by digest */
	size_t count;
	struct buffer next; /* the file that this listing would write */
	size_t missed;
	struct summary read; /* the image that was read last, with owned texts */
};

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct summary *)a)->digest, ((const struct summary *)b)->digest);
}

static int parse_line(char *line, struct summary *ret)
{
	char *field[FIELDS];
	for (int i = 0; i < FIELDS; i++) {
		field[i] = strsep(&line, " ");
		if (!field[i] || !*field[i])
			return -1;
	}
	if (!line || !*line || !digest_is_valid(field[0]) || !digest_is_valid(field[1]) ||
	    parse_u64(field[2], &ret->config_size) < 0 || parse_u64(field[3], &ret->size) < 0 ||
	    parse_u64(field[4], &ret->layers) < 0)
		return -1;
	snprintf(ret->digest, sizeof ret->digest, "%s", field[0]);
	snprintf(ret->config, sizeof ret->config, "%s", field[1]);
	ret->platform = field[5];
	ret->created = field[6] + streq(field[6], "-");
	ret->parent = field[7] + streq(field[7], "-");
	ret->labels = line + streq(line, "-");
	return 0;
}

static void parse(struct summaries *s, char *text)
{
	size_t lines = 0;
	for (const char *at = text; (at = strchr(at, '\n')); at++)
		lines++;
	s->rows = xcalloc(lines + 1, sizeof *s->rows);
	for (char *end; (end = strchr(text, '\n')); text = end + 1) {
		*end = '\0';
		if (parse_line(text, &s->rows[s->count]) == 0)
			s->count++;
	}
	if (s->count > 0)
		qsort(s->rows, s->count, sizeof *s->rows, compare);
}

void summaries_open(struct library *l, struct summaries **ret)
{
	struct summaries *s = *ret = xnew(struct summaries);
	AUTOFREE char *path = path_join(l->path, "summaries");
	size_t size;
	s->library = l;
	buffer_init(&s->next, FILE_MAX);
	if (path_read_file(path, FILE_MAX, &s->text, &size) == 0 && startswith(s->text, HEAD))
		parse(s, s->text + strlen(HEAD));
}

static void forget_read(struct summaries *s)
{
	free(s->read.platform);
	free(s->read.created);
	free(s->read.parent);
	free(s->read.labels);
	s->read = (struct summary){ 0 };
}

void summaries_close(struct summaries *s)
{
	if (!s)
		return;
	if (s->missed >= NEW_MIN && s->next.size > 0) {
		AUTOFREE char *path = path_join(s->library->path, "summaries");
		(void)atomic_file_write(path, 0600, s->next.data, s->next.size, NULL);
	}
	forget_read(s);
	buffer_done(&s->next);
	free(s->rows);
	free(s->text);
	free(s);
}

/* A field of a line: printable and without a blank. */
static int is_field(const char *text)
{
	for (const char *at = text; *at; at++)
		if (!isgraph((unsigned char)*at))
			return 0;
	return *text != '\0';
}

static void keep(struct summaries *s, const struct summary *one)
{
	const char *created = *one->created ? one->created : "-", *labels = *one->labels ? one->labels : "-",
		   *parent = *one->parent ? one->parent : "-";
	if (s->next.size == 0)
		buffer_append_string(&s->next, HEAD);
	if (is_field(one->platform) && is_field(created) && is_field(parent) && strlen(labels) <= LABELS_MAX &&
	    !strchr(labels, '\n'))
		buffer_appendf(&s->next, "%s %s %llu %llu %llu %s %s %s %s\n", one->digest, one->config,
		    (unsigned long long)one->config_size, (unsigned long long)one->size,
		    (unsigned long long)one->layers, one->platform, created, parent, labels);
}

static const struct summary *find(struct summaries *s, const struct library_entry *e)
{
	struct summary key;
	snprintf(key.digest, sizeof key.digest, "%s", e->descriptor.digest);
	struct summary *found = s->count > 0 ? bsearch(&key, s->rows, s->count, sizeof *s->rows, compare) : NULL;
	return found && library_has_blob(s->library, found->digest, e->descriptor.size) &&
		       library_has_blob(s->library, found->config, found->config_size) ?
		   found :
		   NULL;
}

static const struct summary *read_image(struct summaries *s, const struct library_entry *e)
{
	AUTO_IMAGE struct image *i = NULL;
	if (image_load_any(s->library, e->name, e->descriptor.digest, &i, NULL) < 0)
		return NULL;
	forget_read(s);
	snprintf(s->read.digest, sizeof s->read.digest, "%s", e->descriptor.digest);
	snprintf(s->read.config, sizeof s->read.config, "%s", i->manifest->config.digest);
	s->read.config_size = i->manifest->config.size;
	s->read.size = i->size;
	s->read.platform = i->artifact ? xstrdup("artifact") : oci_platform_to_string(&i->config->platform);
	s->read.layers = i->manifest->layer_count;
	s->read.created = xstrdup(i->config->created ? i->config->created : "");
	s->read.parent = xstrdup(image_parent(i));
	s->read.labels = i->config->labels ? json_to_string(i->config->labels, 0) : xstrdup("");
	s->missed++;
	return &s->read;
}

const struct summary *summaries_get(struct summaries *s, const struct library_entry *e)
{
	const struct summary *one = find(s, e);
	if (!one)
		one = read_image(s, e);
	if (one)
		keep(s, one);
	return one;
}
