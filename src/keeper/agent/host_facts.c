/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/agent/host_facts.h"

#include <grp.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/path.h"
#include "base/resolv.h"

enum { RESOLV_MAX = 64 * 1024, ZONE_MAX = 64 };

struct json_object *host_parse_resolv(const char *text)
{
	AUTO_RESOLV struct resolv resolv;
	struct json_object *o = json_object_new_object();
	resolv_read(text, &resolv);
	json_add_strv(o, "nameservers", &resolv.nameservers);
	json_add_strv(o, "search", &resolv.search);
	json_add_strv(o, "options", &resolv.options);
	return o;
}

struct json_object *host_resolv(void)
{
	AUTOFREE char *text = NULL;
	path_read_file("/etc/resolv.conf", RESOLV_MAX, &text, NULL);
	return host_parse_resolv(text ? text : "");
}

/* The value without blanks and quotes around it. Owned; NULL if it has characters that a proxy does
 * not have. */
static char *plain_value(const char *text)
{
	const char *start = text + strspn(text, " \t");
	size_t n = strlen(start);
	while (n > 0 && strchr(" \t\r", start[n - 1]))
		n--;
	if (n > 1 && (*start == '"' || *start == '\'') && start[n - 1] == *start)
		start++, n -= 2;
	AUTOFREE char *value = xstrndup(start, n);
	for (const char *c = value; *c; c++)
		if ((unsigned char)*c <= ' ' || *c == 127 || strchr("\"'\\", *c))
			return NULL;
	return TAKE_PTR(value);
}

void host_parse_proxies(const char *text, struct strv *env)
{
	AUTO_STRV struct strv lines = { 0 };
	strv_split(&lines, text, "\n");
	for (size_t i = 0; i < lines.count; i++) {
		const char *line = lines.items[i] + strspn(lines.items[i], " \t");
		const char *exported = startswith(line, "export ");
		line = exported ? exported + strspn(exported, " \t") : line;
		if (!strchr(line, '=') || !machine_proxy_is_variable(line))
			continue;
		AUTOFREE char *key = xstrndup(line, strcspn(line, "="));
		AUTOFREE char *value = plain_value(strchr(line, '=') + 1);
		if (value && *value)
			strv_setenv(env, key, value);
	}
}

void host_proxies(const struct machine *m, struct strv *env)
{
	AUTOFREE char *text = NULL;
	if (!m->proxy && path_read_file("/etc/environment", RESOLV_MAX, &text, NULL) >= 0)
		host_parse_proxies(text, env);
	machine_proxy_variables(m, env);
}

/* The first of these variables that is a proxy on the loopback, or NULL. */
static const char *find_loopback(char *const *env)
{
	for (; env && *env; env++) {
		const char *equals = strchr(*env, '=');
		if (equals && machine_proxy_is_variable(*env) && !startswith(*env, "no_proxy=") &&
		    !startswith(*env, "NO_PROXY=") && machine_proxy_is_loopback(equals + 1))
			return equals + 1;
	}
	return NULL;
}

char *host_proxy_warning(const struct machine *m)
{
	AUTO_STRV struct strv env = { 0 };
	host_proxies(m, &env);
	const char *found = find_loopback(strv_argv(&env));
	/* This process has the variables of whoever started the machine. */
	if (!found && !m->proxy)
		found = find_loopback(environ);
	if (!found)
		return NULL;
	AUTOFREE char *place = machine_proxy_place(found);
	return xasprintf("the proxy %s is out of the machine's reach, because inside that is the machine's own "
			 "loopback; "
			 "let the proxy listen on another address, or take host.holm.internal with host-access=true "
			 "(holm machine set proxy=URL, or proxy=none)",
	    place);
}

const char *host_zone_of_path(const char *path)
{
	const char *zone = strstr(path, "zoneinfo/");
	if (!zone)
		return NULL;
	zone += strlen("zoneinfo/");
	if (startswith(zone, "posix/") || startswith(zone, "right/"))
		zone += 6;
	size_t n = strspn(zone, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/+-_");
	return *zone && *zone != '/' && zone[n] == 0 && n < ZONE_MAX ? zone : NULL;
}

char *host_timezone(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/etc/localtime", path, sizeof path - 1);
	AUTOFREE char *text = NULL;
	if (n > 0) {
		path[n] = 0;
		const char *zone = host_zone_of_path(path);
		if (zone)
			return xstrdup(zone);
	}
	if (path_read_file("/etc/timezone", 256, &text, NULL) < 0)
		return NULL;
	text[strcspn(text, " \t\r\n")] = 0;
	AUTOFREE char *as_path = xasprintf("zoneinfo/%s", text);
	return xstrdup(host_zone_of_path(as_path));
}

char *host_group_name(gid_t g)
{
	struct group *group = getgrgid(g);
	return group ? xstrdup(group->gr_name) : xasprintf("g%u", (unsigned)g);
}
