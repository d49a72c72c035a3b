/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ssh/place.h"

#include "base/alloc.h"
#include "base/path.h"

char *ssh_place(const char *name)
{
	AUTOFREE char *data = path_data_dir(), *folder = path_join(data, "ssh");
	return name ? path_join(folder, name) : TAKE_PTR(folder);
}
