/* SPDX-License-Identifier: Apache-2.0
 * A machine's proxy. Programs find proxies in variables whose names have no standard: most read
 * the small letters, some only the capitals, so each variable is set in both. */
#include "machine/machine.h"

#include <ctype.h>
#include <errno.h>

#include "base/alloc.h"

enum { URL_MAX = 2048 };

static const char *const names[] = { "http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy", "HTTP_PROXY",
	"HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY", NULL };

int machine_proxy_is_variable(const char *text)
{
	size_t n = strcspn(text, "=");
	for (const char *const *name = names; *name; name++)
		if (strlen(*name) == n && memcmp(*name, text, n) == 0)
			return 1;
	return 0;
}

/* The part behind "scheme://" and the user's name and password, or text itself. */
static const char *authority(const char *text)
{
	const char *scheme = strstr(text, "://");
	const char *start = scheme ? scheme + 3 : text;
	size_t n = strcspn(start, "/?#");
	for (size_t i = n; i > 0; i--)
		if (start[i - 1] == '@')
			return start + i;
	return start;
}

char *machine_proxy_place(const char *url)
{
	const char *start = authority(url);
	return xstrndup(start, strcspn(start, "/?#"));
}

char *machine_proxy_masked(const char *url)
{
	const char *scheme = strstr(url, "://"), *start = scheme ? scheme + 3 : url, *rest = authority(url);
	return rest == start ? xstrdup(url) : xasprintf("%.*s***@%s", (int)(start - url), url, rest);
}

int machine_proxy_is_loopback(const char *url)
{
	AUTOFREE char *place = machine_proxy_place(url);
	if (startswith(place, "["))
		return startswith(place, "[::1]") != NULL;
	place[strcspn(place, ":")] = 0;
	return streq(place, "localhost") || endswith(place, ".localhost") || startswith(place, "127.");
}

/* A URL goes into variables and into a file of systemd's, where quotes and backslashes mean
 * something. */
int machine_proxy_check(const char *value, struct error **err)
{
	static const char *const schemes[] = { "http://", "https://", "socks4://", "socks4a://", "socks5://",
		"socks5h://" };
	size_t n = strlen(value);
	int good = 0;
	if (streq(value, "host") || streq(value, "none"))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++)
		good |= startswith(value, schemes[i]) != NULL;
	for (size_t i = 0; good && i < n; i++)
		good = isgraph((unsigned char)value[i]) && !strchr("\"'`\\$<>", value[i]);
	AUTOFREE char *place = machine_proxy_place(value);
	if (good && n <= URL_MAX && *place && *place != ':')
		return 0;
	return error_set(err, EINVAL, "proxy=%.80s: give host, none or a URL such as http://proxy.example:3128", value);
}

/* Sets a variable in small letters and in capitals. */
static void set_both(struct strv *env, const char *name, const char *value)
{
	AUTOFREE char *capitals = xstrdup(name);
	for (char *c = capitals; *c; c++)
		*c = (char)toupper((unsigned char)*c);
	strv_setenv(env, name, value);
	strv_setenv(env, capitals, value);
}

void machine_proxy_variables(const struct machine *m, struct strv *env)
{
	if (!m->proxy || streq(m->proxy, "none"))
		return;
	const char *except = strv_getenv(&m->env, "no_proxy");
	except = except ? except : strv_getenv(&m->env, "NO_PROXY");
	if (startswith(m->proxy, "socks")) {
		set_both(env, "all_proxy", m->proxy);
	} else {
		set_both(env, "http_proxy", m->proxy);
		set_both(env, "https_proxy", m->proxy);
		set_both(env, "ftp_proxy", m->proxy);
	}
	set_both(env, "no_proxy", except ? except : "localhost,127.0.0.1,::1");
}
