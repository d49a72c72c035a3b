/* SPDX-License-Identifier: Apache-2.0
 * Pieces: the scattered buffers of a request in the guest's memory. */
#pragma once

#include <sys/uio.h>

/* The sum of the pieces' sizes, bytes. */
size_t pieces_size(const struct iovec *pieces, unsigned count);
/* Fills ret (room for count) with the pieces of the bytes from `skip` on, `size` at most. Adjacent
 * pieces are joined. The number of pieces. */
unsigned pieces_slice(const struct iovec *pieces, unsigned count, size_t skip, size_t size, struct iovec *ret);
/* Copies the bytes from `skip` on, `size` at most, or as many as the pieces have. */
void pieces_copy_from(const struct iovec *pieces, unsigned count, size_t skip, void *to, size_t size);
void pieces_copy_to(const struct iovec *pieces, unsigned count, size_t skip, const void *from, size_t size);
