/* SPDX-License-Identifier: Apache-2.0
 * The relayed ssh-agent: a socket inside, made by the session's child, that leads to the caller's
 * agent (core/lent.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/core/lent.h"
#include "agent/core/machine_run.h"
#include "agent/session/session.h"
#include "base/alloc.h"
#include "base/fd.h"

enum { CONNECTIONS_MAX = 16 };

struct session_agent {
	struct session *session;
	struct lent *lent;
};

/* The newest other session of the same user that relays an agent; the stable name goes to it. */
static const struct session *heir(const struct session *s)
{
	for (const struct session *at = s->agent->sessions; at; at = at->next)
		if (at != s && at->ssh && at->uid == s->uid)
			return at;
	return NULL;
}

static void remove_names(const struct session *s)
{
	AUTO_FD int directory = machine_run_open("holm", O_RDONLY | O_DIRECTORY);
	AUTOFREE char *name = xasprintf("ssh-agent-%llu", (unsigned long long)s->number);
	AUTOFREE char *inside = xasprintf("/run/holm/%s", name);
	AUTOFREE char *stable = xasprintf("ssh-agent.%u", s->uid);
	char target[256];
	if (directory < 0)
		return;
	unlinkat(directory, name, 0);
	ssize_t n = readlinkat(directory, stable, target, sizeof target - 1);
	target[MAX(n, 0)] = '\0';
	if (!streq(target, inside))
		return;
	const struct session *next = heir(s);
	AUTOFREE char *temporary = xasprintf("%s.new", name);
	AUTOFREE char *other = next ? xasprintf("/run/holm/ssh-agent-%llu", (unsigned long long)next->number) : NULL;
	if (!other)
		unlinkat(directory, stable, 0);
	else if (symlinkat(other, directory, temporary) == 0)
		renameat(directory, temporary, directory, stable);
}

void session_agent_start(struct session *s, int listening)
{
	/* A client that has gone already lends nothing. */
	if (s->stream < 0 && s->machine >= 0)
		remove_names(s);
	if (s->ssh || s->stream < 0 || s->request->relay < 0) {
		fd_close(listening);
		return;
	}
	struct lent *lent = lent_new(s->agent, listening, s->request->relay, CONNECTIONS_MAX);
	if (!lent)
		return;
	s->ssh = xnew(struct session_agent);
	*s->ssh = (struct session_agent){ .session = s, .lent = lent };
}

void session_agent_free(struct session_agent *o)
{
	if (!o)
		return;
	if (o->session->machine >= 0)
		remove_names(o->session);
	lent_free(o->lent);
	free(o);
}
