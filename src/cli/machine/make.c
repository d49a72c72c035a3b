/* SPDX-License-Identifier: Apache-2.0
 * The order matters: everything that can be wrong is checked before anything is fetched, and the
 * machine appears under its name whole or not at all (machine_create). */
#include "cli/machine/make.h"

#include <errno.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/parse.h"
#include "base/path.h"
#include "cli/client.h"
#include "cli/output.h"
#include "cli/machine/ports.h"
#include "isolation/isolation.h"
#include "oci/manifest.h"

enum { ENV_ENTRY_MAX = 128 << 10, ENV_MAX = 1 << 20 };

int make_apply_settings(struct machine *m, const struct settings *s, struct error **err)
{
	static const enum settings_key keys[] = { SETTING_CPUS, SETTING_MEMORY, SETTING_DISK_SIZE, SETTING_HOME_MOUNT,
		SETTING_ISOLATION, SETTING_PROXY };
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *value = s->values[keys[i]];
		int r = value ? machine_set(m, settings_key_name(keys[i]), value, err) : 0;
		if (r < 0)
			return error_prefix(err, r, "[machine] in holm/config");
	}
	int warn;
	if (s->values[SETTING_WARN_LIMITS] && parse_bool(s->values[SETTING_WARN_LIMITS], &warn) < 0)
		return error_set(err, EINVAL, "[machine] in holm/config: warn-limits=%.40s: give true or false",
		    s->values[SETTING_WARN_LIMITS]);
	return 0;
}

int make_check_mount(const struct machine_mount *mount, struct error **err)
{
	struct stat st;
	if (stat(mount->host, &st) < 0)
		return error_set(err, errno, "mount \"%s\": %s%s", mount->host, strerror(errno),
		    errno == ENOENT ? "; make it first, or correct the path" : "");
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode) && !S_ISSOCK(st.st_mode))
		return error_set(err, ENOTDIR, "mount \"%s\": only directories, files and sockets can be mounted",
		    mount->host);
	return 0;
}

int make_apply_mounts(struct machine *m, const struct strv *mounts, struct error **err)
{
	for (size_t i = 0; i < mounts->count; i++) {
		struct machine_mount mount = { 0 };
		int r = machine_mount_parse(mounts->items[i], &mount, err);
		if (r == 0)
			r = make_check_mount(&mount, err);
		if (r == 0)
			r = machine_mount_add(m, &mount, err);
		machine_mount_done(&mount);
		if (r < 0)
			return r;
	}
	return 0;
}

static int apply_publish(struct machine *m, const struct strv *list, struct error **err)
{
	for (size_t i = 0; i < list->count; i++) {
		struct machine_publish publish = { 0 };
		int r = machine_publish_parse(list->items[i], &publish, err);
		if (r == 0)
			r = machine_publish_add(m, &publish, err);
		machine_publish_done(&publish);
		if (r < 0)
			return r;
	}
	return 0;
}

static int apply_env(struct machine *m, const struct strv *list, struct error **err)
{
	for (size_t i = 0; i < list->count; i++) {
		const char *text = list->items[i], *equals = strchr(text, '=');
		AUTOFREE char *name = xstrndup(text, strcspn(text, "=")), *key = xasprintf("env.%s", name);
		const char *value = equals ? equals + 1 : getenv(name);
		int r = machine_set(m, key, value ? value : "", err);
		if (r < 0)
			return r;
	}
	return 0;
}

int make_apply_options(struct machine *m, struct options *o, const char *const *names, struct error **err)
{
	for (; *names; names++) {
		int r = 0;
		if (streq(*names, "mount"))
			r = make_apply_mounts(m, options_list(o, *names), err);
		else if (streq(*names, "publish"))
			r = apply_publish(m, options_list(o, *names), err);
		else if (streq(*names, "env"))
			r = apply_env(m, options_list(o, *names), err);
		else if (streq(*names, "host-access") || streq(*names, "socketcall"))
			r = options_given(o, *names) ? machine_set(m, *names, "true", err) : 0;
		else if (options_given(o, *names))
			r = machine_set(m, *names, options_string(o, *names), err);
		if (r < 0)
			return r;
	}
	return 0;
}

int make_asked(struct options *o, struct machine **ret, struct error **err)
{
	static const char *const names[] = { "mount", "publish", NULL };
	AUTO_MACHINE struct machine *m = machine_new("asked");
	int r = make_apply_options(m, o, names, err);
	if (r == 0)
		r = ports_try(NULL, m, PORTS_NEEDED_LATER, err);
	if (r == 0)
		*ret = TAKE_PTR(m);
	return r;
}

int make_take(struct machine *m, struct machine *asked, struct error **err)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < asked->mount_count; i++) {
		machine_mount_remove(m, asked->mounts[i].inside, NULL);
		r = machine_mount_add(m, &asked->mounts[i], err);
	}
	for (size_t i = 0; r == 0 && i < asked->publish_count; i++) {
		machine_publish_remove(m, &asked->publish[i]);
		r = machine_publish_add(m, &asked->publish[i], err);
	}
	return r;
}

static int copy_text(struct json_object *o, const char *key, char **place, int required, struct error **err)
{
	const char *text;
	int r = json_get_string(o, key, &text, err);
	if (r == -ENOENT)
		return required ? error_set(err, EPROTO,
				      "holm-image does not say \"%s\"; is holm installed completely?", key) :
				  0;
	if (r < 0)
		return r;
	free(*place);
	*place = xstrdup(text);
	return 0;
}

/* A disk cannot be smaller than the image's file system it is laid over. Trees have no size of
 * their own. */
static int check_disk_size(const struct machine *m, struct error **err)
{
	struct stat st;
	if (!m->image_disk)
		return 0;
	if (stat(m->image_disk, &st) < 0)
		return error_set_errno(err, errno, "%s", m->image_disk);
	if ((uint64_t)st.st_size <= machine_disk_size(m))
		return 0;
	AUTOFREE char *needed = format_size((uint64_t)st.st_size), *wanted = format_size(machine_disk_size(m));
	return error_set(err, EINVAL, "disk-size=%s: image \"%s\" needs %s", wanted, m->image, needed);
}

/* Another processor's programs do not run here; better said now than by a boot that fails. A
 * platform that says nothing is not judged. */
static int check_platform(const struct machine *m, struct error **err)
{
	AUTO_OCI_PLATFORM struct oci_platform host = { 0 }, image = { 0 };
	oci_platform_host(&host);
	if (!m->platform || oci_platform_parse(m->platform, &image, NULL) < 0 || oci_platform_runs(&host, &image))
		return 0;
	return error_set(err, ENOTSUP,
	    "image \"%s\" is for %s, which machines on this host (%s) cannot run; choose another image or --platform",
	    m->image, m->platform, host.architecture);
}

int make_check_platform(const char *asked, struct error **err)
{
	AUTO_OCI_PLATFORM struct oci_platform host = { 0 }, wanted = { 0 };
	oci_platform_host(&host);
	int r = oci_platform_parse(asked, &wanted, err);
	if (r == 0)
		r = oci_platform_check(&wanted, err);
	if (r < 0 || oci_platform_runs(&host, &wanted))
		return r;
	return error_set(err, ENOTSUP,
	    "platform \"%s\": machines on this host run %s only; choose an image for it and leave --platform out",
	    asked, host.architecture);
}

/* Copies the form of the image, which the machine's disk will lie on. 0 or -errno. */
static int copy_form(struct machine *m, struct json_object *prepared, struct error **err)
{
	AUTO_STRV struct strv trees = { 0 };
	if (m->form != MACHINE_ISOLATION_NATIVE) {
		strv_done(&m->image_trees);
		m->image_trees = (struct strv){ 0 };
		return copy_text(prepared, "disk", &m->image_disk, 1, err);
	}
	int r = json_get_strv(prepared, "trees", &trees, err);
	if (r == -ENOENT || (r == 0 && trees.count == 0))
		return error_set(err, EPROTO, "holm-image does not say \"trees\"; is holm installed completely?");
	if (r < 0)
		return r;
	free(TAKE_PTR(m->image_disk));
	strv_done(&m->image_trees);
	m->image_trees = trees;
	trees = (struct strv){ 0 };
	return 0;
}

/* The kernel bounds a new program's environment (execve(2)); the caller's is added to it. */
static int check_environment(const struct machine *m, struct error **err)
{
	AUTO_STRV struct strv env = { 0 };
	size_t total = 0;
	if (!m->image_config || json_get_strv(m->image_config, "Env", &env, NULL) < 0)
		return 0;
	for (size_t i = 0; i < env.count; i++) {
		size_t size = strlen(env.items[i]) + 1;
		total += size + sizeof(char *);
		if (size > ENV_ENTRY_MAX)
			return error_set(err, E2BIG,
			    "image \"%s\": the environment entry \"%.40s...\" is longer than %d KiB, with which no "
			    "program "
			    "starts; choose another image",
			    m->image, env.items[i], ENV_ENTRY_MAX >> 10);
	}
	if (total <= ENV_MAX)
		return 0;
	return error_set(err, E2BIG,
	    "image \"%s\": its environment has %zu KiB, with which no program starts (at most %d); choose another "
	    "image",
	    m->image, total >> 10, ENV_MAX >> 10);
}

int make_apply_image(struct machine *m, struct json_object *prepared, struct error **err)
{
	struct json_object *config;
	int r;
	if ((r = copy_text(prepared, "reference", &m->image, 1, err)) < 0 ||
	    (r = copy_text(prepared, "digest", &m->image_digest, 1, err)) < 0 ||
	    (r = copy_form(m, prepared, err)) < 0 || (r = copy_text(prepared, "platform", &m->platform, 0, err)) < 0 ||
	    (r = copy_text(prepared, "init", &m->init_path, 0, err)) < 0 || (r = check_platform(m, err)) < 0)
		return r;
	if (json_get_object(prepared, "config", &config, NULL) == 0) {
		json_object_put(m->image_config);
		m->image_config = json_object_get(config);
	}
	if ((r = check_environment(m, err)) < 0)
		return r;
	if (m->init == MACHINE_INIT_IMAGE && !m->init_path)
		return error_set(err, ENOENT,
		    "image \"%s\" has no init (looked for /sbin/init, /lib/systemd/systemd and others); leave --init "
		    "image out, or see holm-images(7)",
		    m->image);
	return check_disk_size(m, err);
}

void make_open_ports(struct machine *m)
{
	m->auto_ports = m->home_mount == MACHINE_HOME_RW;
}

int make_choose_form(struct machine *m, struct error **err)
{
	AUTOFREE char *warning = NULL; /* shown when it boots */
	return isolation_resolve(m, &m->form, &warning, err);
}

int make_configure(struct machine *m, struct options *o, const char *const *names, struct error **err)
{
	AUTO_SETTINGS struct settings settings = { 0 };
	int r;
	if ((r = settings_load(&settings, err)) < 0 || (r = make_apply_settings(m, &settings, err)) < 0 ||
	    (r = make_apply_options(m, o, names, err)) < 0)
		return r;
	return make_choose_form(m, err);
}

char *make_form_option(const struct machine *m)
{
	const struct isolation_disk_ops *disk = isolation_disk_table(m->form, NULL);
	return xasprintf("--form=%s", disk->image_form);
}

struct filling {
	const struct isolation_disk_ops *disk;
	const char *script; /* or NULL */
};

static int fill(const struct machine *m, const char *directory, void *data, struct error **err)
{
	const struct filling *f = data;
	AUTOFREE char *path = path_join(directory, MACHINE_SCRIPT);
	int r = f->disk->create(m, directory, err);
	return r < 0 || !f->script ? r : atomic_file_write(path, 0600, f->script, strlen(f->script), err);
}

int make_store(struct machine *m, int set_default, struct error **err)
{
	return make_store_script(m, NULL, set_default, err);
}

int make_store_script(struct machine *m, const char *script, int set_default, struct error **err)
{
	AUTO_STRV struct strv others = { 0 };
	struct filling filling = { isolation_disk_table(m->form, err), script };
	if (!filling.disk)
		return -EOPNOTSUPP;
	machine_sweep(isolation_erase);
	machine_address_settle(m);
	int r;
	if ((r = machine_list(&others, err)) < 0 || (r = machine_create(m, fill, &filling, err)) < 0)
		return r;
	return (set_default || others.count == 0) ? machine_default_set(m->name, err) : 0;
}

int make_boot(const struct machine *m)
{
	AUTO_ERROR struct error *err = NULL;
	int r = client_start(m->name, CLIENT_SESSION, 0, NULL, &err);
	if (r == 0) {
		/* The first commands after this one are often about services: let the init finish.
		 * One that does not is no failure here. */
		r = client_start(m->name, CLIENT_INIT, 0, NULL, &err);
		if (r == -ETIMEDOUT)
			output_note("%s", error_text(err, r));
		if (r == 0 || r == -ETIMEDOUT)
			return 0;
	}
	int status = client_start_failure(r, err);
	output_note("machine \"%s\" is there but stopped; holm machine start %s tries again", m->name, m->name);
	return status;
}

void make_note_proxy(const struct machine *m)
{
	if (!m->proxy || !machine_proxy_is_loopback(m->proxy))
		return;
	AUTOFREE char *place = machine_proxy_place(m->proxy);
	output_note("the proxy %s is out of the machine's reach, because inside that is the machine's own loopback; "
		    "with host-access=true the host's is host.holm.internal",
	    place);
}

void make_note_user(const struct machine *m)
{
	AUTOFREE char *made_up = xasprintf("user%u", (unsigned)m->uid);
	const struct passwd *entry = getpwuid(getuid());
	if (!streq(m->user, made_up) || (entry && streq(entry->pw_name, made_up)))
		return;
	if (entry)
		output_note("your name \"%s\" cannot be a user's inside; there you are \"%s\", and --user chooses "
			    "another",
		    entry->pw_name, m->user);
	else
		output_note("this host's passwd has no entry for you (uid %u); inside you are \"%s\", and --user "
			    "chooses "
			    "another name",
		    (unsigned)getuid(), m->user);
}

void make_note_sockets(const struct machine *m)
{
	if (m->form == MACHINE_ISOLATION_NATIVE && !m->socketcall && streq(m->platform, "linux/386"))
		output_note("image \"%s\" has 32-bit programs, most of which cannot open sockets in a native machine; "
			    "see socketcall in holm-security(7)",
		    m->image);
}

void make_note_init(const struct machine *m)
{
	if (!m->init_path && m->init == MACHINE_INIT_AUTO)
		output_note("image \"%s\" has no init: holm's own runs no services; to have them, create it with "
			    "--init install, or install an init inside and restart the machine; see holm-images(7)",
		    m->image);
}
