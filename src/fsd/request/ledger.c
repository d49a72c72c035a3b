/* SPDX-License-Identifier: Apache-2.0 */
#include "fsd/request/ledger.h"

#include "fsd/files/shared.h"

struct ledger *ledger_new(void)
{
	return shared_new(sizeof(struct ledger));
}

void ledger_free(struct ledger *l)
{
	shared_free(l, sizeof *l);
}
