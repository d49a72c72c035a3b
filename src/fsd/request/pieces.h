/* SPDX-License-Identifier: Apache-2.0
 * Memory of the guest that lies in pieces. */
#pragma once

#include <sys/uio.h>

size_t pieces_size(const struct iovec *pieces, unsigned count);
/* The bytes from `skip` on, at most `size`, as pieces: how many, with neighbours joined. ret has
 * room for count. */
unsigned pieces_slice(const struct iovec *pieces, unsigned count, size_t skip, size_t size, struct iovec *ret);
/* Copies as many of the `size` bytes as there are from `skip` on. */
void pieces_copy_from(const struct iovec *pieces, unsigned count, size_t skip, void *to, size_t size);
void pieces_copy_to(const struct iovec *pieces, unsigned count, size_t skip, const void *from, size_t size);
