/* SPDX-License-Identifier: Apache-2.0 */
#include "base/suggest.h"

#include <string.h>

#include "base/macros.h"

enum { WORD_MAX = 24 };

/* How many letters must be put in, left out, changed or swapped with their neighbour to make b of a
 * (optimal string alignment). */
static unsigned distance(const char *a, const char *b)
{
	unsigned d[WORD_MAX + 1][WORD_MAX + 1];
	size_t n = strlen(a), m = strlen(b);
	if (n > WORD_MAX || m > WORD_MAX)
		return WORD_MAX;
	for (size_t i = 0; i <= n; i++)
		d[i][0] = (unsigned)i;
	for (size_t j = 0; j <= m; j++)
		d[0][j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++) {
		for (size_t j = 1; j <= m; j++) {
			unsigned changed = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
			d[i][j] = MIN(changed, MIN(d[i - 1][j], d[i][j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = MIN(d[i][j], d[i - 2][j - 2] + 1);
		}
	}
	return d[n][m];
}

void suggestion_offer(struct suggestion *s, const char *candidate)
{
	unsigned n = distance(s->word, candidate);
	/* Of a short word nearly everything is near. */
	if (n < s->distance && n < strlen(s->word)) {
		s->distance = n;
		s->near = candidate;
	}
}
