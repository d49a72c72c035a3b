/* SPDX-License-Identifier: Apache-2.0
 * Memory in pieces: any part of it, across their borders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fsd/request/pieces.h"

static char memory[] = "abcdefghij";
/* "abc", "", "def", "hij": the first and the third lie side by side. */
static const struct iovec pieces[] = { { memory, 3 }, { memory + 9, 0 }, { memory + 3, 3 }, { memory + 7, 3 } };
enum { COUNT = 4, SIZE = 9 };

static void every_part_is_copied(void **state)
{
	for (size_t skip = 0; skip <= SIZE + 1; skip++)
		for (size_t size = 0; size <= SIZE + 1; size++) {
			char want[] = "abcdefhij", got[SIZE + 2] = { 0 };
			size_t there = skip < SIZE ? SIZE - skip : 0, copied = size < there ? size : there;
			pieces_copy_from(pieces, COUNT, skip, got, size);
			assert_memory_equal(got, want + (skip < SIZE ? skip : SIZE), copied);
			assert_int_equal(got[copied], 0);
		}
	assert_int_equal(pieces_size(pieces, COUNT), SIZE);
}

static void what_is_written_lands_in_the_pieces(void **state)
{
	pieces_copy_to(pieces, COUNT, 2, "CDEFHIJ!", 8);
	assert_string_equal(memory, "abCDEFgHIJ");
	pieces_copy_to(pieces, COUNT, 2, "cdefhij", 7);
	assert_string_equal(memory, "abcdefghij");
}

static void neighbours_are_joined(void **state)
{
	struct iovec made[COUNT];
	assert_int_equal(pieces_slice(pieces, COUNT, 1, 7, made), 2);
	assert_ptr_equal(made[0].iov_base, memory + 1);
	assert_int_equal(made[0].iov_len, 5);
	assert_ptr_equal(made[1].iov_base, memory + 7);
	assert_int_equal(made[1].iov_len, 2);
	assert_int_equal(pieces_slice(pieces, COUNT, SIZE, 1, made), 0);
	assert_int_equal(pieces_slice(pieces, COUNT, 0, 0, made), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_part_is_copied),
		cmocka_unit_test(what_is_written_lands_in_the_pieces),
		cmocka_unit_test(neighbours_are_joined),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
