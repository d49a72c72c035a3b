/* SPDX-License-Identifier: Apache-2.0
 * A container's names, in which each line is an option ("n 192.0.2.1", "h web:192.0.2.1"), and the
 * whole is the machine's resolv.conf too: no option adds a line of its own to a file, and what
 * resolv.conf has is read back the same. */
#include <stdint.h>
#include <stdlib.h>

#include "agent/engine/network_files.h"
#include "base/alloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add_option(struct container_names *n, const char *line)
{
	static const struct {
		char key;
		int (*add)(struct container_names *n, const char *value, struct error **err);
	} options[] = {
		{ 'n', container_names_add_dns },
		{ 's', container_names_add_search },
		{ 'o', container_names_add_option },
		{ 'h', container_names_add_host },
	};
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (line[0] == options[i].key && line[1] == ' ')
			(void)options[i].add(n, line + 2, NULL);
}

static size_t count_lines(const char *text)
{
	size_t count = 0;
	for (; *text; text++)
		count += *text == '\n';
	return count;
}

static void check_hosts(const struct container_names *n)
{
	static const struct container_names nothing;
	const struct container_hosts h = { "web", "172.17.0.2", "10.77.0.1", NULL };
	AUTOFREE char *plain = NULL, *text = NULL;
	if (container_hosts_text(&nothing, &h, &plain, NULL) < 0 || container_hosts_text(n, &h, &text, NULL) < 0 ||
	    count_lines(text) != count_lines(plain) + n->hosts.count)
		abort();
}

static void check_resolv(const struct container_names *n, const char *machine_text)
{
	AUTO_RESOLV struct resolv machine, outer, back;
	resolv_read(machine_text, &machine);
	resolv_read("nameserver 192.0.2.1", &outer);
	AUTOFREE char *text = container_resolv_text(n, &machine, &outer, 1);
	resolv_read(text, &back);
	AUTOFREE char *same = resolv_format(&back);
	if (!back.nameservers.count || !streq(text, same))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTOFREE char *text = xstrndup((const char *)data, size);
	AUTO_STRV struct strv lines = { 0 };
	AUTO_CONTAINER_NAMES struct container_names n = { 0 };
	strv_split(&lines, text, "\n");
	for (size_t i = 0; i < lines.count; i++)
		add_option(&n, lines.items[i]);
	check_hosts(&n);
	check_resolv(&n, text);
	return 0;
}
