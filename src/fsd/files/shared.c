/* SPDX-License-Identifier: Apache-2.0
 * Anonymous shared memory. */
#include "fsd/files/shared.h"

#include <stdint.h>
#include <sys/mman.h>

enum { PAGE = 4096 };

void *shared_new(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	(void)madvise(p, size, MADV_DONTDUMP);
	return p;
}

void shared_free(void *p, size_t size)
{
	if (p)
		munmap(p, size);
}

void shared_forget(void *from, size_t size)
{
	uintptr_t start = ((uintptr_t)from + PAGE - 1) & ~(uintptr_t)(PAGE - 1),
		  end = ((uintptr_t)from + size) & ~(uintptr_t)(PAGE - 1);
	if (end > start)
		/* without it, it is used again later */
		(void)madvise((char *)from + (start - (uintptr_t)from), end - start, MADV_REMOVE);
}
