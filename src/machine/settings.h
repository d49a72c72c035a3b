/* SPDX-License-Identifier: Apache-2.0
 * Defaults for new machines, and what holds for containers: the sections [machine] and [container]
 * of $XDG_CONFIG_HOME/holm/config; see holm-config(5). */
#pragma once

#include "base/error.h"

enum settings_key {
	SETTING_IMAGE, /* for `machine init` */
	SETTING_CPUS,
	SETTING_MEMORY,
	SETTING_DISK_SIZE,
	SETTING_HOME_MOUNT,
	SETTING_ISOLATION,
	SETTING_PROXY,
	SETTING_WARN_LIMITS,
	SETTING_PUBLISH_ADDRESS, /* of section [container] */
	SETTING_COUNT,
};

struct settings {
	char *values[SETTING_COUNT]; /* NULL: not set */
};

void settings_done(struct settings *s);
#define AUTO_SETTINGS CLEANUP(settings_done)
const char *settings_key_name(enum settings_key key); /* "home-mount" */
/* Reads the file; a missing one gives empty settings. An unknown key in one of the two is an error
 * that names file and line; values are checked where they are used. Other sections are not looked
 * at. */
int settings_load(struct settings *ret, struct error **err);
/* The reader itself, for tests: name is for errors. */
int settings_parse(const char *text, const char *name, struct settings *ret, struct error **err);
