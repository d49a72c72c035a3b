/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/agent/host_facts.h"

#include <arpa/inet.h>
#include <grp.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/path.h"

enum { RESOLV_MAX = 64 * 1024, WORDS_MAX = 32, ZONE_MAX = 64 };

static int is_address(const char *word)
{
	unsigned char address[16];
	AUTOFREE char *plain = xstrndup(word, strcspn(word, "%")); /* fe80::1%eth0: the scope means nothing inside */
	return inet_pton(AF_INET, word, address) == 1 ||
	       (inet_pton(AF_INET6, plain, address) == 1 && !strchr(word, '%'));
}

static int is_plain_word(const char *word)
{
	return strlen(word) < 256 &&
	       strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:") == strlen(word);
}

static void add_words(struct strv *to, const struct strv *words)
{
	for (size_t i = 1; i < words->count; i++)
		if (is_plain_word(words->items[i]) && to->count < WORDS_MAX)
			strv_add(to, words->items[i]);
}

struct json_object *host_parse_resolv(const char *text)
{
	AUTO_STRV struct strv lines = { 0 }, servers = { 0 }, search = { 0 }, options = { 0 };
	strv_split(&lines, text, "\n");
	for (size_t i = 0; i < lines.count; i++) {
		AUTO_STRV struct strv words = { 0 };
		lines.items[i][strcspn(lines.items[i], "#;")] = 0;
		strv_split(&words, lines.items[i], " \t\r");
		const char *key = words.count > 1 ? words.items[0] : "";
		if (streq(key, "nameserver") && servers.count < WORDS_MAX && is_address(words.items[1]))
			strv_add(&servers, words.items[1]);
		if (streq(key, "search") || streq(key, "domain")) {
			strv_done(&search); /* the last one counts */
			add_words(&search, &words);
		}
		if (streq(key, "options"))
			add_words(&options, &words);
	}
	struct json_object *o = json_object_new_object();
	json_add_strv(o, "nameservers", &servers);
	json_add_strv(o, "search", &search);
	json_add_strv(o, "options", &options);
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
