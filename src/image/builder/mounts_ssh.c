/* SPDX-License-Identifier: Apache-2.0
 * See mounts.h: RUN --mount=type=ssh. */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "image/builder/mounts.h"

char *run_mounts_ssh_name(const struct run_mount *m)
{
	return xasprintf("ssh%u", m->number);
}

void run_mounts_add_env(const struct run_mounts *m, struct strv *env)
{
	for (size_t i = 0; i < m->count; i++) {
		if (m->items[i].type != MOUNT_SSH)
			continue;
		if (!strv_getenv(env, "SSH_AUTH_SOCK"))
			strv_setenv(env, "SSH_AUTH_SOCK", m->items[i].target);
		return;
	}
}

static int open_one(struct build_step *s, struct run_mounts *all, struct run_mount *m, struct error **err)
{
	const struct strv *given = s->builder->options->ssh;
	m->is_given = build_ssh_is_given(given, m->id);
	if (!m->is_given && m->required)
		return error_set(err, ENOENT, "the ssh agent \"%.60s\" is missing; give it with --ssh %.60s", m->id,
		    m->id);
	if (!m->is_given)
		return 0;
	struct ssh_lane *lane = &all->lanes[all->lane_count++];
	lane->name = run_mounts_ssh_name(m);
	return ssh_agent_open(s->builder->library, given, m->id, &lane->agent, err);
}

int run_mounts_open_ssh(struct build_step *s, struct run_mounts *m, struct error **err)
{
	int r = 0;
	m->lanes = xcalloc(m->count + 1, sizeof *m->lanes);
	for (size_t i = 0; r == 0 && i < m->count; i++)
		if (m->items[i].type == MOUNT_SSH)
			r = open_one(s, m, &m->items[i], err);
	return r;
}

int run_mounts_serve_ssh(struct build_step *s, struct run_mounts *m, const char *container, struct error **err)
{
	if (!m->lane_count)
		return 0;
	pid_t pid = ssh_relay_start(s->builder->engine, container, m->lanes, m->lane_count, err);
	m->relay = MAX(pid, 0);
	return MIN(pid, 0);
}

void run_mounts_close_ssh(struct run_mounts *m)
{
	ssh_relay_stop(m->relay);
	for (size_t i = 0; i < m->lane_count; i++) {
		ssh_agent_close(&m->lanes[i].agent);
		free(m->lanes[i].name);
	}
	free(TAKE_PTR(m->lanes));
	m->lane_count = 0;
	m->relay = 0;
}
