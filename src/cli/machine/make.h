/* SPDX-License-Identifier: Apache-2.0
 * Making a machine: what `create`, `init`, `import` and `clone` share. */
#pragma once

#include "base/options.h"
#include "machine/machine.h"
#include "machine/settings.h"

/* Sets what the configuration file's [machine] section says. */
int make_apply_settings(struct machine *m, const struct settings *s, struct error **err);
/* Sets what the options say: --cpus --memory ... as far as `names` (NULL-terminated; keys of
 * machine_set) lists them, and -v, -p, -e where the command has them. */
int make_apply_options(struct machine *m, struct options *o, const char *const *names, struct error **err);
/* All that a new machine's settings come from: the configuration file, then the options; and
 * make_choose_form(). */
int make_configure(struct machine *m, struct options *o, const char *const *names, struct error **err);
/* Sets auto-ports as it is for new machines: on where the home is the host's. */
void make_open_ports(struct machine *m);
int make_apply_mounts(struct machine *m, const struct strv *mounts, struct error **err);
/* Checks the options --mount and --publish; *ret has their mounts and ports for make_take(). 0
 * or -errno. */
int make_asked(struct options *o, struct machine **ret, struct error **err);
/* Checks that programs of the platform that an option names run here. 0, -EINVAL or -ENOTSUP. */
int make_check_platform(const char *asked, struct error **err);
/* Moves mounts and ports to m; each replaces the one of the same place or port. 0 or -errno. */
int make_take(struct machine *m, struct machine *asked, struct error **err);
/* The host side of a mount must be a directory, file or socket now. */
int make_check_mount(const struct machine_mount *mount, struct error **err);
/* Takes over what `holm-image prepare` (or unpack) printed for the form m->form, and checks the
 * settings against it. */
int make_apply_image(struct machine *m, struct json_object *prepared, struct error **err);
/* Puts the machine on disk and makes it the default when it is the first, or when asked. */
int make_store(struct machine *m, int set_default, struct error **err);
/* The same with a script for the first boot; NULL: none. */
int make_store_script(struct machine *m, const char *script, int set_default, struct error **err);
/* Boots it up to where commands run. The exit status; failures are shown. */
int make_boot(const struct machine *m);
/* One line about a proxy that the machine cannot reach. */
void make_note_proxy(const struct machine *m);
/* One line about a user whose name inside is not the host's. */
void make_note_user(const struct machine *m);
/* One line about an image without an init, where that matters. */
void make_note_init(const struct machine *m);
/* One line about 32-bit programs, where that matters. */
void make_note_sockets(const struct machine *m);
/* Decides what the isolation that a new machine asks for means on this host, and with it m->form;
 * to be asked before anything is fetched. */
int make_choose_form(struct machine *m, struct error **err);
/* The argument --form=... for holm-image: what it has to make of the image for m->form. Owned. */
char *make_form_option(const struct machine *m);
