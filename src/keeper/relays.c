/* SPDX-License-Identifier: Apache-2.0
 * The relays that the keeper runs between clients and the agent, so that they can be counted, capped and ended. */
#include <errno.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "keeper/keeper_private.h"

struct relay_entry {
	struct relay_entry *next, **link;
	struct keeper *keeper;
	struct relay *relay;
	uint32_t ssh_agent;
};

struct relays {
	struct relay_entry *first;
	size_t count;
};

static void entry_free(struct relay_entry *e)
{
	relay_free(e->relay);
	if (e->ssh_agent)
		keeper_remove_ssh_agent(e->keeper, e->ssh_agent);
	*e->link = e->next;
	if (e->next)
		e->next->link = e->link;
	e->keeper->relays->count--;
	free(e);
}

static void on_ended(struct relay *r, void *data)
{
	entry_free(data);
}

int keeper_relay(struct keeper *k, int a, int b, struct buffer *first_to_b, uint32_t ssh_agent)
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
		if (ssh_agent)
			keeper_remove_ssh_agent(k, ssh_agent);
		free(e);
		return r;
	}
	e->keeper = k;
	e->ssh_agent = ssh_agent;
	e->next = k->relays->first;
	e->link = &k->relays->first;
	if (e->next)
		e->next->link = &e->next;
	k->relays->first = e;
	k->relays->count++;
	return 0;
}

void relays_free(struct keeper *k)
{
	for (struct relay_entry *e = k->relays ? k->relays->first : NULL, *next; e; e = next) {
		next = e->next;
		entry_free(e);
	}
	free(TAKE_PTR(k->relays));
}
