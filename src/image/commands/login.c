/* SPDX-License-Identifier: Apache-2.0
 * holm image login, holm image logout. A password comes from standard input or a terminal. From the
 * command line, where other users of the host can read it, one comes for docker's sake alone. */
#include "image/registry/login.h"

#include <errno.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "image/commands/command.h"
#include "image/registry/logins.h"
#include "oci/reference.h"

enum { SECRET_MAX = 24 << 10 };

/* "docker.io", "quay.io/me" of what a person writes. Owned; NULL with an error. */
static char *read_key(const struct strv *words, struct error **err)
{
	AUTO_REFERENCE struct reference *ref = NULL;
	AUTOFREE char *key = words->count ? credentials_key_name(words->items[0]) : xstrdup("docker.io");
	while (endswith(key, "/"))
		key[strlen(key) - 1] = '\0';
	size_t n = strcspn(key, "/");
	AUTOFREE char *text = xasprintf("%s/x", key);
	if (reference_parse(text, &ref, NULL) == 0 && !reference_is_local(ref) && !ref->digest &&
	    strlen(ref->registry) == n && startswith(key, ref->registry))
		return TAKE_PTR(key);
	error_set(err, EINVAL, "\"%.80s\" is no registry; write HOST[:PORT], for instance quay.io or localhost:5000",
	    key);
	return NULL;
}

/* Reads a line from the terminal that stdin is, without showing it if it is a secret. 0 or
 * -errno. */
static int ask(const char *question, int secret, char **ret, struct error **err)
{
	struct termios saved, quiet;
	char line[1024];
	if (tcgetattr(STDIN_FILENO, &saved) < 0)
		return error_set_errno(err, errno, "cannot use the terminal");
	quiet = saved;
	quiet.c_lflag &= secret ? ~(tcflag_t)ECHO : ~(tcflag_t)0;
	/* Before the question: an answer may follow at once. */
	tcsetattr(STDIN_FILENO, TCSADRAIN, &quiet);
	fprintf(stderr, "%s", question);
	ssize_t n = read(STDIN_FILENO, line, sizeof line - 1);
	tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
	if (secret)
		fprintf(stderr, "\n");
	if (n <= 0)
		return error_set(err, ECANCELED, "interrupted");
	line[n] = '\0';
	line[strcspn(line, "\r\n")] = '\0';
	*ret = xstrdup(line);
	explicit_bzero(line, sizeof line);
	return 0;
}

static int read_secret(char **ret, struct error **err)
{
	size_t size;
	int r = fd_read_all(STDIN_FILENO, SECRET_MAX, ret, &size);
	if (r < 0)
		return error_set_errno(err, r, "cannot read the password from standard input");
	while (size > 0 && ((*ret)[size - 1] == '\n' || (*ret)[size - 1] == '\r'))
		(*ret)[--size] = '\0';
	return strlen(*ret) == size ? 0 : error_set(err, EINVAL, "the password has a NUL byte");
}

static int get_credentials(const struct options *o, struct credentials *ret, struct error **err)
{
	const char *user = options_string(o, "username"), *password = options_string(o, "password");
	int from_stdin = options_given(o, "password-stdin"), r = 0;
	if (from_stdin && password)
		return error_set(err, EINVAL, "--password and --password-stdin exclude each other");
	if (!from_stdin && !(user && password) && !isatty(STDIN_FILENO))
		return error_set(err, EINVAL, "standard input is no terminal; give the password with --password-stdin");
	if (from_stdin && !user)
		return error_set(err, EINVAL, "--password-stdin needs --username USER");
	ret->user = xstrdup(user);
	ret->password = xstrdup(password);
	if (!user)
		r = ask("User: ", 0, &ret->user, err);
	if (r == 0 && !password)
		r = from_stdin ? read_secret(&ret->password, err) : ask("Password: ", 1, &ret->password, err);
	if (r < 0)
		return r;
	if (!*ret->user || strchr(ret->user, ':') || !*ret->password)
		return error_set(err, EINVAL, "a login needs a user without \":\", and a password");
	return 0;
}

int command_login(struct options *o, struct error **err)
{
	AUTO_CREDENTIALS struct credentials c = { 0 }, tried = { 0 };
	AUTO_PROGRESS struct progress *p = progress_new(PROGRESS_PLAIN);
	AUTOFREE char *key = read_key(options_words(o), err), *where = NULL;
	int insecure;
	if (!key)
		return -EINVAL;
	AUTOFREE char *registry = xstrndup(key, strcspn(key, "/"));
	int r = command_insecure(o, &insecure, err);
	if (r == 0)
		r = get_credentials(o, &c, err);
	if (r < 0)
		return r;
	if (options_given(o, "password"))
		progress_note(p, "note: other users of this host can read --password; write --password-stdin");
	credentials_copy(&c, &tried);
	r = login_try(registry, &tried, insecure, p, err);
	if (r < 0)
		return r;
	if (r == 0)
		progress_note(p, "note: registry %s asks for no login; it is kept all the same", registry);
	r = logins_store(key, &c, &where, err);
	if (r < 0)
		return r;
	AUTOFREE char *text = xasprintf("logged in to %s; the login is in %s", key, where);
	return command_print(text, err);
}

int command_logout(struct options *o, struct error **err)
{
	AUTOFREE char *key = read_key(options_words(o), err);
	if (!key)
		return -EINVAL;
	int r = logins_erase(key, err);
	if (r == 0)
		return error_set(err, ENOENT, "there is no login for %s", key);
	AUTOFREE char *text = xasprintf("logged out of %s", key);
	return r < 0 ? r : command_print(text, err);
}
