/* SPDX-License-Identifier: Apache-2.0
 * The relays that the keeper runs between clients and the agent, so that they can be counted,
 * capped and ended.
 *
 * A session may lend its caller's ssh-agent. What was connected to that agent ends when the
 * session's client or its stream is gone, not when the session's relay has delivered everything:
 * the inside may leave its bytes lying as long as it likes. */
#include <errno.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "keeper/keeper_private.h"

struct relay_entry {
	struct relay_entry *next, **link;
	struct keeper *keeper;
	struct relay *relay;
	uint32_t lends; /* a session: the id of the ssh-agent that is forgotten with it; 0: none */
	uint32_t lent;  /* a connection to the lent socket of this id; 0: it is none */
};

struct relays {
	struct relay_entry *first;
	size_t count;
};

static void entry_free(struct relay_entry *e)
{
	relay_free(e->relay);
	*e->link = e->next;
	if (e->next)
		e->next->link = e->link;
	e->keeper->relays->count--;
	if (e->lends)
		keeper_take_socket_back(e->keeper, e->lends);
	free(e);
}

static void on_parted(void *data)
{
	struct relay_entry *e = data;
	if (e->lends)
		keeper_take_socket_back(e->keeper, e->lends);
	e->lends = 0;
}

static void on_ended(struct relay *relay, void *data)
{
	entry_free(data);
}

static size_t count_lent(const struct keeper *k, uint32_t id)
{
	size_t n = 0;
	for (const struct relay_entry *e = k->relays ? k->relays->first : NULL; e; e = e->next)
		n += e->lent == id;
	return n;
}

int relays_may_lend(const struct keeper *k, uint32_t id, unsigned max)
{
	return count_lent(k, id) < max;
}

void relays_end_lent(struct keeper *k, uint32_t id)
{
	for (struct relay_entry *e = k->relays ? k->relays->first : NULL, *next; e; e = next) {
		next = e->next;
		if (e->lent == id)
			entry_free(e);
	}
}

static int add(struct keeper *k, int a, int b, struct buffer *first_to_b, struct relay_entry **ret)
{
	if (!k->relays)
		k->relays = xnew(struct relays);
	struct relay_entry *e = xnew(struct relay_entry);
	int r = -EBUSY;
	if (k->relays->count < KEEPER_RELAYS_MAX)
		r = relay_new(k->loop, a, b, first_to_b, on_ended, e, &e->relay);
	else {
		fd_close(a);
		fd_close(b);
	}
	if (r < 0) {
		free(e);
		return r;
	}
	e->keeper = k;
	e->next = k->relays->first;
	e->link = &k->relays->first;
	if (e->next)
		e->next->link = &e->next;
	k->relays->first = e;
	k->relays->count++;
	*ret = e;
	return 0;
}

int keeper_relay(struct keeper *k, int a, int b, struct buffer *first_to_b, uint32_t ssh_agent)
{
	struct relay_entry *e;
	int r = add(k, a, b, first_to_b, &e);
	if (r < 0) {
		if (ssh_agent)
			keeper_take_socket_back(k, ssh_agent);
		return r;
	}
	e->lends = ssh_agent;
	relay_on_parted(e->relay, on_parted);
	return 0;
}

int keeper_relay_upgrade(struct keeper *k, int a, int b, struct buffer *first_to_b)
{
	struct relay_entry *e;
	int r = add(k, a, b, first_to_b, &e);
	if (r == 0)
		relay_hold(e->relay);
	return r;
}

int relays_lend(struct keeper *k, uint32_t id, int a, int b, struct buffer *first_to_b)
{
	struct relay_entry *e;
	int r = add(k, a, b, first_to_b, &e);
	if (r == 0)
		e->lent = id;
	return r;
}

void relays_free(struct keeper *k)
{
	while (k->relays && k->relays->first)
		/* Freeing an entry takes it off the list by its link. */
		entry_free(k->relays->first); /* NOLINT(clang-analyzer-unix.Malloc) */
	free(TAKE_PTR(k->relays));
}
