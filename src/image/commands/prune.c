/* SPDX-License-Identifier: Apache-2.0
 * holm image prune: what goes, and what that frees. */
#include <errno.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/parse.h"
#include "base/stamp.h"
#include "image/commands/command.h"
#include "image/commands/sweep.h"
#include "image/commands/table.h"
#include "image/commands/users.h"

enum { COLUMNS = 4 };

static const char *const titles[COLUMNS] = { "KIND", "COUNT", "FREED", "KEPT" };

struct kind {
	const char *name;
	struct prune_amount amount;
};

static void add_row(struct table *t, const struct kind *k)
{
	char **cells = table_row(t);
	cells[0] = xstrdup(k->name);
	cells[1] = xasprintf("%llu", (unsigned long long)k->amount.count);
	cells[2] = format_size(k->amount.bytes);
	cells[3] = xasprintf("%llu", (unsigned long long)k->amount.young);
}

static int print_table(const struct prune_report *r, const struct kind *kinds, size_t count, int dry_run,
    struct error **err)
{
	AUTO_TABLE struct table t = { 0 };
	struct kind total = { .name = "total" };
	int result = 0;
	for (size_t k = 0; result == 0 && k < r->images.count; k++) {
		AUTOFREE char *line = xasprintf("%s %s", dry_run ? "would remove" : "removed", r->images.items[k]);
		result = command_print(line, err);
	}
	if (result < 0)
		return result;
	table_init(&t, titles, COLUMNS);
	for (size_t k = 0; k < count; k++) {
		add_row(&t, &kinds[k]);
		total.amount.count += kinds[k].amount.count;
		total.amount.bytes += kinds[k].amount.bytes;
		total.amount.young += kinds[k].amount.young;
	}
	add_row(&t, &total);
	result = table_print(&t, err);
	return result == 0 && total.amount.young ?
		   command_print("KEPT: made or used within the last minute, perhaps for a machine that is just being "
				 "made; prune again in a minute removes them",
		       err) :
		   result;
}

static int print_rows(const struct prune_report *r, const struct kind *kinds, size_t count, const struct format *f,
    struct error **err)
{
	AUTO_JSON struct json_object *rows = json_object_new_array();
	for (size_t k = 0; k < count; k++) {
		struct json_object *o = json_object_new_object();
		json_add_string(o, "kind", kinds[k].name);
		json_add_u64(o, "count", kinds[k].amount.count);
		json_add_u64(o, "bytes", kinds[k].amount.bytes);
		json_add_u64(o, "kept", kinds[k].amount.young);
		if (k == 0)
			json_add_strv(o, "names", &r->images);
		json_object_array_add(rows, o);
	}
	return command_print_rows(f, rows, err);
}

static int read_filters(const struct strv *filters, struct prune_options *p, struct strv *labels, struct strv *unlabels,
    struct error **err)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < filters->count; i++) {
		const char *until = startswith(filters->items[i], "until="),
			   *label = startswith(filters->items[i], "label="),
			   *unlabel = startswith(filters->items[i], "label!=");
		if (until && moment_parse(until, clock_realtime_ns(), &p->until_ns) < 0)
			r = error_set(err, EINVAL, "--filter \"until=%.80s\": write a time, or how long ago: 24h",
			    until);
		else if (until)
			continue;
		else if (label || unlabel)
			strv_add(label ? labels : unlabels, label ? label : unlabel);
		else
			r = error_set(err, EINVAL, "--filter \"%.80s\": a prune has until, label and label!",
			    filters->items[i]);
	}
	if (labels->count)
		p->labels = labels;
	if (unlabels->count)
		p->unlabels = unlabels;
	return r;
}

int command_prune(struct options *o, struct error **err)
{
	AUTO_STRV struct strv labels = { 0 }, unlabels = { 0 };
	AUTO_LIBRARY struct library *l = NULL;
	AUTO_PRUNE_REPORT struct prune_report report = { 0 };
	AUTO_FORMAT struct format format = { 0 };
	struct prune_options p = {
		.images = options_given(o, "all"),
		.dry_run = options_given(o, "dry-run"),
	};
	int r = format_parse(options_string(o, "format"), "table", &format, err);
	if (r == 0)
		r = read_filters(options_list(o, "filter"), &p, &labels, &unlabels, err);
	if (r == 0)
		r = library_open(&l, err);
	if (r == 0)
		image_users_refresh(l);
	if (r == 0)
		r = library_prune(l, &p, &report, err);
	if (r < 0)
		return r;
	const struct kind kinds[] = {
		{ "images", { .count = report.images.count } },
		{ "blobs", report.blobs },
		{ "disks", report.disks },
		{ "trees", report.trees },
		{ "downloads", report.downloads },
	};
	if (format.kind != FORMAT_OWN)
		return print_rows(&report, kinds, ARRAY_SIZE(kinds), &format, err);
	return print_table(&report, kinds, ARRAY_SIZE(kinds), p.dry_run, err);
}
