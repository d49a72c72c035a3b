#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The project's own tools.
load ../lib/holm

setup()
{
	TOOLS=$(cd "$BATS_TEST_DIRNAME/../../tools" && pwd)
	TREE=$(mktemp -d)
}

teardown()
{
	rm -rf "$TREE"
}

tree()
{
	mkdir -p "$TREE/src/low" "$TREE/src/high/part"
	printf '| folder | is | may include |\n|---|---|---|\n| `src/low` | x | low |\n| `src/high` | y | low, and `third/one.h` |\n' >"$TREE/ARCHITECTURE.md"
	echo '#include "low/a.h"' >"$TREE/src/high/a.c"
}

@test "check-layers accepts what the table allows" {
	tree
	printf '#include <stdio.h>\n#include "b.h"\n#include "low/b.h"\n' >"$TREE/src/low/a.c"
	printf '#include "third/one.h"\n' >"$TREE/src/high/part/b.c"
	run "$TOOLS/check-layers" "$TREE"
	equal 0 "$status"
	equal '' "$output"
}

@test "check-layers names each include that the table does not allow" {
	tree
	printf '\n  #  include "high/a.h"\n' >"$TREE/src/low/a.c"
	printf '#include "third/two.h"\n#include "../low/a.h"\n' >"$TREE/src/high/b.c"
	run "$TOOLS/check-layers" "$TREE"
	equal 1 "$status"
	contains "$output" 'src/low/a.c:2: src/low may not include "high/a.h"'
	contains "$output" 'src/high/b.c:1: src/high may not include "third/two.h"'
	contains "$output" 'src/high/b.c:2'
}

@test "check-layers wants every folder in the table" {
	tree
	mkdir "$TREE/src/new"
	echo '#include "low/a.h"' >"$TREE/src/new/a.c"
	run "$TOOLS/check-layers" "$TREE"
	equal 1 "$status"
	contains "$output" "src/new is not in the table"
}

@test "deps lists its groups and is silent when nothing is missing" {
	contains "$("$TOOLS/deps" --list build run)" passt
	run "$TOOLS/deps" no-such-group
	equal 2 "$status"
	mkdir "$TREE/bin"
	printf '#!/bin/sh\nshift 2\nfor p; do printf "%%s installed " "$p"; done\n' >"$TREE/bin/dpkg-query"
	chmod 755 "$TREE/bin/dpkg-query"
	PATH=$TREE/bin:$PATH run "$TOOLS/deps" build run test bench
	equal 0 "$status"
	equal '' "$output"
}

@test "deps --check names what is missing and how to get it" {
	mkdir "$TREE/bin"
	printf '#!/bin/sh\nexit 1\n' >"$TREE/bin/dpkg-query"
	chmod 755 "$TREE/bin/dpkg-query"
	PATH=$TREE/bin:$PATH run "$TOOLS/deps" --check run
	equal 1 "$status"
	contains "$output" passt
	contains "$output" "make deps"
}

@test "run-tests refuses a word that is no suite" {
	run "$TOOLS/run-tests" nonsense
	equal 2 "$status"
	contains "$output" nonsense
}
