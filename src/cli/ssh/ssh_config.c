/* SPDX-License-Identifier: Apache-2.0
 * `holm ssh-config`: ssh(1) learns to reach machines as NAME.holm. What ssh needs to know is a file
 * of holm's own; the user's ~/.ssh/config gets one line that includes it, as its first, because
 * ssh takes the first value that it finds. */
#include <errno.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/clock.h"
#include "base/path.h"
#include "base/spawn.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/ssh/place.h"
#include "cli/ssh/text.h"
#include "cli/ssh/user_file.h"
#include "machine/machine.h"

enum { CHECK_MS = 30 * 1000, CHECK_BYTES_MAX = 256 * 1024 };

static int run(const struct command_spec *c, struct options *o);

static const char *const servers[] = { "holm", "sshd", NULL };

static const struct option_spec options[] = {
	{ "install", 0, OPTION_FLAG, NULL, "write holm's file and the line that includes it" },
	{ "remove", 0, OPTION_FLAG, NULL, "delete both" },
	{ "server", 0, OPTION_STRING, "SERVER",
	    "what answers in the machines NAME, or in all: holm, or the sshd of their image", .default_text = "holm",
	    .choices = servers },
	{ 0 },
};

const struct command_spec command_ssh_config = {
	.name = "ssh-config",
	.synopsis = "[NAME...]",
	.summary = "let ssh reach each machine as NAME.holm, without an sshd",
	.details = "Without an option it prints what --install would write. --install puts one line first into "
		   "~/.ssh/config and leaves the rest as it is. With --server sshd the sshd of these machines answers; "
		   "the last --install counts for all machines. See holm-ssh-config(1).",
	.options = options,
	.max_arguments = -1,
	.complete = "machine",
	.run = run,
};

/* The texts and their places. */
struct plan {
	char *own, *own_text;
	char *line;
	struct user_file user;
};

static void plan_done(struct plan *p)
{
	free(p->own);
	free(p->own_text);
	free(p->line);
	user_file_done(&p->user);
}

/* ssh(1) looks below the home of the account, whatever HOME says. Owned. */
static char *user_path(void)
{
	AUTOFREE char *account = path_account_home(), *home = account ? NULL : path_home_dir();
	return xasprintf("%s/.ssh/config", account ? account : home);
}

/* The names behind --server sshd, with .holm or without. */
static int collect_names(const struct options *o, int sshd, struct strv *names, struct error **err)
{
	const struct strv *words = options_words(o);
	if (words->count && !sshd)
		return error_set(err, EINVAL, "\"%s\": names go with --server sshd; without it holm answers for all",
		    words->items[0]);
	for (size_t i = 0; i < words->count; i++) {
		const char *word = words->items[i];
		size_t suffix = endswith(word, SSH_SUFFIX) ? strlen(SSH_SUFFIX) : 0;
		AUTOFREE char *name = xstrndup(word, strlen(word) - suffix);
		int r = machine_name_check(name, err);
		if (r < 0)
			return r;
		strv_add(names, name);
	}
	return 0;
}

static int make_plan(struct plan *p, struct options *o, struct error **err)
{
	AUTOFREE char *user = user_path();
	AUTOFREE char *program = path_libexec("holm-ssh"), *known_hosts = ssh_place("known_hosts");
	AUTOFREE char *sshd_known = ssh_place(SSH_SSHD_KNOWN_HOSTS), *client_key = ssh_place(SSH_CLIENT_KEY);
	AUTO_STRV struct strv names = { 0 };
	const char *data = getenv("XDG_DATA_HOME"), *server = options_string(o, "server");
	const struct ssh_text text = {
		.program = program,
		.known_hosts = known_hosts,
		.sshd_known_hosts = sshd_known,
		.client_key = client_key,
		.data = data && *data == '/' ? data : NULL,
		.sshd = server && streq(server, "sshd"),
		.machines = &names,
	};
	p->own = ssh_place("config");
	int r = collect_names(o, text.sshd, &names, err);
	if (r == 0)
		r = ssh_text_check_path(p->own, err);
	if (r == 0)
		r = ssh_text_check_path(program, err);
	if (r < 0)
		return r;
	p->own_text = ssh_text_config(&text);
	p->line = ssh_text_include(p->own);
	return user_file_read(&p->user, user, err);
}

static int write_own(const struct plan *p, struct error **err)
{
	AUTOFREE char *folder = ssh_place(NULL);
	int r = path_mkdir_all(folder, 0700, err);
	return r < 0 ? r : atomic_file_write(p->own, 0600, p->own_text, strlen(p->own_text), err);
}

/* Has ssh read the file. 0, also where there is no ssh; -errno if it does not take the name to
 * holm. */
static int check(const struct plan *p, struct error **err)
{
	AUTOFREE char *output = NULL;
	AUTO_ERROR struct error *why = NULL;
	char *const argv[] = { "ssh", "-F", p->user.path, "-G", "name.holm", NULL };
	int r = spawn_capture(argv, CHECK_BYTES_MAX, clock_deadline(CHECK_MS), &output, &why);
	if (r == -ENOENT) {
		output_note("there is no ssh here, so nothing is checked; install the package openssh-client");
		return 0;
	}
	if (r != 0)
		return error_set(err, EINVAL, "ssh does not take %s: %s", p->user.path,
		    why ? why->text : "it fails without a word");
	const char *command = strstr(output, "\nproxycommand ");
	AUTOFREE char *value = command ? xstrndup(command + 1, strcspn(command + 1, "\n")) : xstrdup("");
	return strstr(value, "holm-ssh") ?
		   0 :
		   error_set(err, EINVAL, "ssh finds no ProxyCommand of holm's for names that end in " SSH_SUFFIX);
}

static int install(const struct plan *p, struct error **err)
{
	AUTOFREE char *text = ssh_text_add(p->user.text, p->line);
	int changes = !streq(text, p->user.text);
	int r = write_own(p, err);
	if (r == 0 && changes)
		r = user_file_write(&p->user, text, err);
	if (r < 0)
		return r;
	r = check(p, err);
	if (r < 0) {
		if (changes)
			user_file_write(&p->user, p->user.text, NULL);
		return error_prefix(err, r, "nothing is changed");
	}
	output_line("ssh reaches machines as NAME" SSH_SUFFIX " now; %s includes %s", p->user.path, p->own);
	return 0;
}

static int take_out(const struct plan *p, struct error **err)
{
	AUTOFREE char *text = ssh_text_remove(p->user.text);
	int r = streq(text, p->user.text) ? 0 : user_file_write(&p->user, text, err);
	if (r < 0)
		return r;
	return unlink(p->own) < 0 && errno != ENOENT ? error_set_errno(err, errno, "cannot delete %s", p->own) : 0;
}

static void show(const struct plan *p)
{
	AUTO_STRV struct strv lines = { 0 };
	output_line("# first line of %s", p->user.path);
	output_line("%s", p->line);
	output_line("%s", "");
	output_line("# %s", p->own);
	strv_split(&lines, p->own_text, "\n");
	for (size_t i = 0; i < lines.count; i++)
		output_line("%s", lines.items[i]);
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	CLEANUP(plan_done) struct plan p = { 0 };
	int r = options_given(o, "install") && options_given(o, "remove") ?
		    error_set(&err, EINVAL, "--install and --remove exclude each other") :
		    make_plan(&p, o, &err);
	if (r == 0 && options_given(o, "install"))
		r = install(&p, &err);
	else if (r == 0 && options_given(o, "remove"))
		r = take_out(&p, &err);
	else if (r == 0)
		show(&p);
	return r < 0 ? output_failure(r, err) : 0;
}
