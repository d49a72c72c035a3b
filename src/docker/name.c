/* SPDX-License-Identifier: Apache-2.0
 * See name.h. */
#include "docker/name.h"

#include <stdint.h>
#include <stdio.h>
#include <sys/random.h>

#include "base/alloc.h"

enum { SHORT_ID = 12, PLAIN_ATTEMPTS = 6 };

static const char *const first_words[] = { "amber", "ample", "blue", "brave", "brisk", "calm", "clear", "clever",
	"coral", "crisp", "dapper", "eager", "early", "fair", "fond", "gentle", "glad", "golden", "grand", "happy",
	"hardy", "honest", "jolly", "keen", "kind", "lively", "loyal", "lucid", "mellow", "merry", "mild", "neat",
	"nimble", "noble", "patient", "placid", "polite", "proud", "quick", "quiet", "rapid", "ready", "serene",
	"sharp", "silver", "sleek", "smooth", "snug", "solid", "steady", "stout", "sunny", "swift", "tidy", "vivid",
	"warm", "wise", "witty", "zesty" };
static const char *const second_words[] = { "anchor", "bay", "beach", "beacon", "boat", "breeze", "bridge", "buoy",
	"canal", "cape", "cliff", "coast", "cove", "creek", "current", "delta", "dune", "ferry", "fjord", "gull",
	"harbor", "haven", "heron", "holm", "inlet", "island", "jetty", "kelp", "lagoon", "lake", "lantern",
	"lighthouse", "marina", "marsh", "meadow", "mooring", "ocean", "otter", "pebble", "pelican", "pier", "pond",
	"quay", "reef", "ripple", "river", "rudder", "sail", "sand", "seal", "shell", "shore", "skerry", "sound",
	"spray", "stream", "surf", "tern", "tide", "wave", "wharf" };

static uint64_t random_number(void)
{
	uint64_t number;
	if (getrandom(&number, sizeof number, 0) != sizeof number)
		abort();
	return number;
}

/* A short id of digits only would be taken for a number by some clients. */
static int has_letter(const char *id)
{
	return strspn(id, "0123456789") < SHORT_ID;
}

char *docker_new_id(void)
{
	char id[DOCKER_ID_SIZE + 1];
	do {
		for (size_t i = 0; i < DOCKER_ID_SIZE; i += 16)
			snprintf(id + i, 17, "%016llx", (unsigned long long)random_number());
	} while (!has_letter(id));
	return xstrdup(id);
}

char *docker_new_name(unsigned attempt)
{
	uint64_t number = random_number();
	const char *first = first_words[number % ARRAY_SIZE(first_words)],
		   *second = second_words[(number >> 16) % ARRAY_SIZE(second_words)];
	if (attempt < PLAIN_ATTEMPTS)
		return xasprintf("%s_%s", first, second);
	return xasprintf("%s_%s%u", first, second, (unsigned)(number >> 32) % 1000000);
}

int docker_is_id(const char *s)
{
	return strspn(s, "0123456789abcdef") == DOCKER_ID_SIZE && !s[DOCKER_ID_SIZE];
}

int docker_is_name(const char *s)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
			  all[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	size_t size = strlen(s);
	return size >= 2 && size <= DOCKER_NAME_MAX && strchr(plain, s[0]) && strspn(s, all) == size;
}

static const char *without(const char *name, const char *const *beginnings)
{
	for (; *beginnings; beginnings++) {
		const char *rest = startswith(name, *beginnings);
		if (rest)
			return rest;
	}
	return name;
}

const char *docker_familiar_name(const char *name)
{
	static const char *const hub[] = { "docker.io/library/", "docker.io/", NULL };
	return without(name, hub);
}

const char *docker_typed_name(const char *name)
{
	static const char *const all[] = { "docker.io/library/", "docker.io/", "localhost/", NULL };
	return without(name, all);
}
