/* SPDX-License-Identifier: Apache-2.0
 * The machine's own address on the host: one of 127.64.0.0/10, which Linux has on its loopback
 * interface without any setting. It is made of the machine's id, so that machines of other users,
 * whose settings cannot be read, have other ones, too. */
#include <arpa/inet.h>

#include "base/alloc.h"
#include "machine/machine.h"

enum { CHOICES = 4096 };

/* FNV-1a, 64 bits. */
static uint64_t hash_text(const char *text)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	return hash ^ hash >> 32;
}

char *machine_address_from(const char *text)
{
	uint64_t hash = hash_text(text);
	return xasprintf("127.%u.%u.%u", 64 + (unsigned)(hash % 64), (unsigned)(hash >> 8 & 255),
	    1 + (unsigned)((hash >> 16) % 254));
}

int machine_address_is_valid(const char *text)
{
	struct in_addr a;
	if (!text || inet_pton(AF_INET, text, &a) != 1)
		return 0;
	uint32_t number = ntohl(a.s_addr);
	return number >> 24 == 127 && (number >> 16 & 255) >= 64 && (number >> 16 & 255) < 128;
}

static int is_taken(const struct machine *m, const struct strv *names)
{
	for (size_t i = 0; i < names->count; i++) {
		AUTO_MACHINE struct machine *other = NULL;
		if (!streq(names->items[i], m->name) && machine_load(names->items[i], &other, NULL) == 0 &&
		    streq(other->address, m->address))
			return 1;
	}
	return 0;
}

void machine_address_settle(struct machine *m)
{
	AUTO_STRV struct strv names = { 0 };
	machine_list(&names, NULL);
	for (int i = 0; i < CHOICES && is_taken(m, &names); i++) {
		char *next = machine_address_from(m->address);
		free(m->address);
		m->address = next;
	}
}
