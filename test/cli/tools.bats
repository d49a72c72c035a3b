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

# low below high, which has the folders near, far and deep/down.
tree()
{
	mkdir -p "$TREE/src/low" "$TREE/src/third" "$TREE/src/high/near" "$TREE/src/high/far" "$TREE/src/high/deep/down"
	cat >"$TREE/ARCHITECTURE.md" <<-'END'
		| folder | is | may include |
		|---|---|---|
		| `src/low` | x | |
		| `src/third` | x | |
		| `src/high` | `main high` | low, and `third/one.h` |
		| `src/high/near` | y | `deep/down/x.h` high |
		| `src/high/far` | `not a file` | near |
		| `src/high/deep/down` | y | near |
	END
	touch "$TREE/src/low/a.h" "$TREE/src/third/one.h" "$TREE/src/high/main.c" "$TREE/src/high/high.h" "$TREE/src/high/deep/down/x.h"
}

# source_file FILE HEADER...: a file of the tree that includes them.
source_file()
{
	local file=$1
	shift
	printf '#include "%s"\n' "$@" >"$TREE/src/$file"
}

# refused TEXT...: check-layers fails, and says nothing but these.
refused()
{
	run "$TOOLS/check-layers" "$TREE"
	equal 1 "$status"
	equal $# ${#lines[@]}
	for text in "$@"; do
		contains "$output" "$text"
	done
}

@test "check-layers accepts what the table allows" {
	tree
	printf '#include <stdio.h>\n#include "low/b.h"\n' >"$TREE/src/low/a.c"
	source_file high/main.c low/a.h third/one.h high/near/a.h high/deep/down/x.h high/high.h
	source_file high/near/a.c high/near/a.h high/high.h low/a.h third/one.h high/deep/down/x.h
	source_file high/far/b.c high/near/a.h high/far/b.h
	run "$TOOLS/check-layers" "$TREE"
	equal '' "$output"
	equal 0 "$status"
}

@test "check-layers names each include that the table does not allow" {
	tree
	printf '\n  #  include "high/high.h"\n' >"$TREE/src/low/a.c"
	source_file high/near/b.c low/a.h third/two.h high/far/b.h
	source_file high/far/b.c high/deep/down/x.h high/high.h
	refused 'src/low/a.c:2: src/low may not include "high/high.h"' \
		'src/high/near/b.c:2: src/high may not include "third/two.h"' \
		'src/high/near/b.c:3: src/high/near may not include "high/far/b.h"' \
		'src/high/far/b.c:1: src/high/far may not include "high/deep/down/x.h"' \
		'src/high/far/b.c:2: src/high/far may not include "high/high.h"'
}

@test "check-layers wants headers with their folder" {
	tree
	source_file low/a.c a.h ../low/a.h low/a.h
	refused 'src/low/a.c:1: "a.h" is not named from src/ on' 'src/low/a.c:2: "../low/a.h" is not named from src/ on'
}

@test "check-layers keeps private headers in their folder" {
	tree
	source_file low/a.c low/internal.h
	source_file high/near/a.c high/high_private.h high/near/a_internal.h
	source_file high/main.c low/internal.h high/near/private.h high/near/not_so_private_at_all.h
	source_file high/far/b.c high/near/a_internal.h
	refused 'src/high/main.c:1: "low/internal.h" is private to src/low' \
		'src/high/main.c:2: "high/near/private.h" is private to src/high/near' \
		'src/high/far/b.c:1: "high/near/a_internal.h" is private to src/high/near'
}

@test "check-layers wants every folder in the table, and every file in a folder" {
	tree
	mkdir "$TREE/src/new" "$TREE/src/high/new"
	touch "$TREE/src/new/a.c" "$TREE/src/high/new/a.c" "$TREE/src/high/more.c" "$TREE/src/main.c"
	refused "src/new/a.c: src/new is not in the table" "src/high/new/a.c: src/high/new is not in the table" \
		"src/high/more.c: lies in no folder of src/high" "src/main.c: src/ is not in the table"
}

@test "check-layers wants a table that is true, and leads down" {
	tree
	rm "$TREE/src/high/main.c"
	sed -i -e 's/^| `src.third` | x | |/| `src\/third` | x | low |/' -e 's/^| `src.low` | x | |/| `src\/low` | x | third gone |/' "$TREE/ARCHITECTURE.md"
	echo '| `src/away` | z | |' >>"$TREE/ARCHITECTURE.md"
	refused "there is no file src/high/main.[ch]" "src/low may include src/gone, which is not there" "there is no folder src/away" \
		"these may include each other: src/low src/third"
}

@test "check-guest-paths names each path into a tree of the guest, and each way into its namespaces" {
	mkdir -p "$TREE/src/agent/core"
	{
		echo '	AUTO_FD int root = open(AGENT_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);'
		echo '	AUTOFREE char *own = path_join(AGENT_SHARES, tag);'
		echo '	return fchmodat(fd, ".", 01777, 0) < 0 || fchmodat(fd, name, 0700, AT_SYMLINK_NOFOLLOW) < 0;'
	} >"$TREE/src/agent/fine.c"
	printf '\tumount2(AGENT_MACHINE_RUN, MNT_DETACH | UMOUNT_NOFOLLOW);\n' >"$TREE/src/agent/core/machine_run.c"
	run "$TOOLS/check-guest-paths" "$TREE"
	equal 0 "$status"
	equal '' "$output"
	printf '\n\tunlink(AGENT_MACHINE_RUN "/systemd/private");\n' >"$TREE/src/agent/core/machine_run.c"
	printf '\tint fd = open(AGENT_MACHINE_RUN, O_PATH);\n\tpath_join(AGENT_ROOT, name);\n' >"$TREE/src/agent/core/other.c"
	printf '\tif (setns(c->machine, CLONE_NEWNS) < 0)\n' >"$TREE/src/agent/core/share.c"
	printf '\t(void)!fchmodat(root, "tmp", 01777, 0);\n' >"$TREE/src/other.c"
	run "$TOOLS/check-guest-paths" "$TREE"
	equal 1 "$status"
	contains "$output" 'src/agent/core/machine_run.c:2: a name below a tree of the guest'
	contains "$output" "src/agent/core/other.c:1: the machine's /run is opened by machine_run_*() only"
	contains "$output" 'src/agent/core/other.c:2: a name below a tree of the guest'
	contains "$output" 'src/agent/core/share.c:1: a worker enters a machine by platform->enter()'
	contains "$output" 'src/other.c:1: it follows a symlink'
	equal 5 "${#lines[@]}"
}

@test "check-output names what writes to people elsewhere" {
	mkdir -p "$TREE/src/cli/machine" "$TREE/src/image" "$TREE/src/base"
	printf 'void a(void)\n{\n\tputs(buffer);\n\tfprintf(stderr, "x");\n\twrite(STDOUT_FILENO, x, 1);\n}\n' >"$TREE/src/cli/output.c"
	printf 'snprintf(a, b);\nAUTOFREE char *x = xasprintf("x");\ninputs(x);\nfprintf(stderr, "%%s", error_text(err, r));\n' >"$TREE/src/cli/machine/ls.c"
	run "$TOOLS/check-output" "$TREE"
	equal 0 "$status"
	equal '' "$output"
	printf 'puts(name);\n\t\tfprintf(stderr, "%%s", text);\nfd_write_full(STDOUT_FILENO, text, size);\n' >"$TREE/src/cli/machine/ls.c"
	run "$TOOLS/check-output" "$TREE"
	equal 1 "$status"
	equal 3 "$(wc -l <<<"$output")"
	contains "$output" 'src/cli/machine/ls.c:1:puts(name);'
}

@test "check-format names what clang-format would change, and what is too wide" {
	command -v clang-format >/dev/null || skip "clang-format is missing"
	mkdir "$TREE/src"
	printf 'BasedOnStyle: LLVM\nUseTab: Always\nIndentWidth: 8\nColumnLimit: 120\nReflowComments: false\n' >"$TREE/.clang-format"
	printf 'int a(void) {\n\t/* %076d\n\t * %076d */\n\treturn 1; /* %090d */\n}\n' 1 2 3 >"$TREE/src/good.c"
	run "$TOOLS/check-format" "$TREE"
	equal '' "$output"
	equal 0 "$status"
	printf 'int  a;\n' >"$TREE/src/a.h"
	printf '/* %s\n * %0100d\n */\nint b; /* %0120d */\n' short 1 2 >"$TREE/src/b.c"
	run "$TOOLS/check-format" "$TREE"
	equal 1 "$status"
	contains "$output" "src/a.h:1:4: not in the layout"
	contains "$output" "src/b.c:2: 103 columns, more than 100"
	contains "$output" "src/b.c:4: 133 columns, more than 120"
	"$TOOLS/check-format" --fix "$TREE"
	equal 'int a;' "$(cat "$TREE/src/a.h")"
}

@test "deps lists its groups and is silent when nothing is missing" {
	contains "$("$TOOLS/deps" --list build run)" passt
	run "$TOOLS/deps" no-such-group
	equal 2 "$status"
	mkdir "$TREE/bin"
	printf '#!/bin/sh\nshift 2\nfor p; do printf "%%s installed " "$p"; done\n' >"$TREE/bin/dpkg-query"
	chmod 755 "$TREE/bin/dpkg-query"
	PATH=$TREE/bin:$PATH run "$TOOLS/deps" build run test bench package
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

# repository: one commit, the base of check-words; its subject, comments and words are old.
repository()
{
	export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@example.org
	export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
	git -C "$TREE" init -q -b main
	mkdir "$TREE/src" "$TREE/test"
	old >"$TREE/test/old.c"
	commit 'whatever: the subject of the base is not looked at'
	HOLM_WORDS_BASE=$(git -C "$TREE" rev-parse HEAD)
	export HOLM_WORDS_BASE
}

# check-words: off
old()
{
	printf '/* What is old stays, lest history be rewritten anew by whoever comes by and finds that it is much too long */\n'
}
# check-words: on

commit()
{
	git -C "$TREE" add -A && git -C "$TREE" commit -q --allow-empty -m "$1"
}

words()
{
	run "$TOOLS/check-words" "$TREE"
}

@test "check-words accepts a subject that says area, verb and object" {
	repository
	commit 'fsd: keep a watch until the guest forgets the inode'
	commit 'cli, man: add --pull to create'
	words
	equal '' "$output"
	equal 0 "$status"
}

@test "check-words refuses a subject that is too long, has no area, or opens with a clause" {
	repository
	commit "fsd: keep $(printf 'x%.0s' {1..63})"
	commit 'Keep a watch'
	commit 'fsd: what is watched stays watched'
	commit 'fsd: Whoever looks gets ESTALE'
	commit 'test: the wait for a folder is short'
	words
	equal 1 "$status"
	equal 5 "${#lines[@]}"
	contains "$output" 'a subject of 73 characters, more than 72'
	contains "$output" 'not "area: verb object": Keep a watch'
	contains "$output" '"what" is no verb'
	contains "$output" '"Whoever" is no verb'
	contains "$output" '"the" is no verb'
}

# check-words: off
@test "check-words refuses a new comment that opens with a clause, in C and in scripts" {
	repository
	printf '/* SPDX-License-Identifier: Apache-2.0\n * What the guest asks for. */\nint fd; // who has it\n' >"$TREE/src/new.c"
	printf '#!/bin/bash\n# Where it lies.\necho "# What is no comment"\n' >"$TREE/tool"
	words
	equal 1 "$status"
	equal 3 "${#lines[@]}"
	contains "$output" 'src/new.c:2: the comment opens with a clause: "What the guest asks for."'
	contains "$output" 'src/new.c:3: the comment opens with a clause: "who has it"'
	contains "$output" 'tool:2: the comment opens with a clause: "Where it lies."'
}

@test "check-words refuses private words in comments, strings, tests and pages" {
	repository
	printf '/* The worker reads\n * it anew. */\nconst char *s = "the share leans on it";\nint shut, is_so;\n' >"$TREE/src/new.c"
	printf 'The guest is told\nof a change. In the host it is so.\n' >"$TREE/page.md"
	printf '@test "a watch is kept, lest it end" {\n' >"$TREE/a.bats"
	words
	equal 1 "$status"
	equal 5 "${#lines[@]}"
	contains "$output" 'src/new.c:2: "anew"'
	contains "$output" 'src/new.c:3: "leans on"'
	contains "$output" 'page.md:1: "told of"'
	contains "$output" 'page.md:2: "is so"'
	contains "$output" 'a.bats:1: "lest"'
}

@test "check-words has no finding in words that only look like private ones" {
	repository
	printf '/* Shut down and shutdown(2), so small that it is so easy; unless it is retold often. */\n' >"$TREE/src/new.c"
	words
	equal '' "$output"
	equal 0 "$status"
}
# check-words: on

@test "check-words refuses a new comment of more than 100 columns in a script, not code or a long name" {
	repository
	local long
	long=$(printf 'word %.0s' {1..20})
	printf '#!/bin/sh\n\t# %s\n\tcall "%s %s"\n# %s\n' "$long" "$long" "$long" "https://$(printf 'x%.0s' {1..120})" >"$TREE/tool"
	words
	equal 'tool:2: a comment of more than 100 columns' "$output"
	equal 1 "$status"
}

@test "check-words takes text that has only moved, or was wrapped at another column, for old" {
	repository
	mkdir "$TREE/test/room"
	old | fold -s -w 40 | sed '2,$s/^/ * /' >"$TREE/test/room/renamed.c"
	rm "$TREE/test/old.c"
	commit 'project: move a file'
	words
	equal '' "$output"
	equal 0 "$status"
}

@test "check-words checks all of src/, whatever its age" {
	repository
	git -C "$TREE" mv test/old.c src/old.c
	commit 'project: move a file'
	words
	equal 1 "$status"
	contains "$output" 'src/old.c:1: the comment opens with a clause'
}

# check-words: off
@test "check-words looks at what is not committed yet, and between its marks at nothing" {
	repository
	printf '<!-- check-words: %s -->\nanew\n' off on >"$TREE/page.md"
	words
	equal 'page.md:4: "anew": rather again' "$output"
	equal 1 "$status"
}

# check-words: on

@test "check-words is skipped, with the reason, where there is no history or no base" {
	words
	equal 77 "$status"
	contains "$output" 'skipped: this folder'
	repository
	HOLM_WORDS_BASE=0123456789012345678901234567890123456789 words
	equal 77 "$status"
	contains "$output" 'skipped: the history lacks the base 0123456789'
}

@test "check-words takes the merge base with origin/main, then the last tag, when its own base is not in the history" {
	repository
	unset HOLM_WORDS_BASE
	git -C "$TREE" tag v1
	commit 'fsd: what is after the tag'
	words
	equal 1 "$status"
	contains "$output" '"what" is no verb'
	git -C "$TREE" update-ref refs/remotes/origin/main HEAD
	words
	equal '' "$output"
	equal 0 "$status"
}

@test "check-paths names what a document names and nobody has" {
	mkdir -p "$TREE/src/room/sub" "$TREE/man" "$TREE/build/docs"
	touch "$TREE/src/room/sub/here.c"
	echo 'See `src/room/sub/gone.c`.' >"$TREE/build/docs/a.md"
	printf 'There: `src/room/sub/here.c`, src/room/, `here.c`, `src/room/sub/h*.c`, `src/{room,room/sub}`, src/room/NAME/here.c, /usr/src/x.\n' >"$TREE/a.md"
	run "$TOOLS/check-paths" "$TREE"
	equal '' "$output"
	equal 0 "$status"
	printf 'One line.\nIt is in src/room/gone.c.\n`src/{room,cellar}` and `gone.h`\n' >"$TREE/man/b.7.scd"
	run "$TOOLS/check-paths" "$TREE"
	equal 1 "$status"
	equal 3 "${#lines[@]}"
	contains "$output" 'man/b.7.scd:2: src/room/gone.c: there is no such file'
	contains "$output" 'man/b.7.scd:3: src/{room,cellar}: '
	contains "$output" 'man/b.7.scd:3: gone.h: '
}

@test "screenshot draws a terminal's text with its colours and columns" {
	requires python3
	printf '%s\n' '$ holm machine ls' $'a \e[01;32m<green>&\e[0m   z' '$ ' >"$TREE/text"
	"$TOOLS/screenshot" --render "$TREE/picture.svg" "$TREE/text"
	python3 -c 'import sys, xml.dom.minidom as dom; dom.parse(sys.argv[1])' "$TREE/picture.svg"
	grep -qF '<text x="18.0" y="48" textLength="142.8" font-weight="bold">$ holm machine ls</text>' "$TREE/picture.svg"
	grep -qF '<text x="34.8" y="67" textLength="67.2" fill="#7ee787" font-weight="bold">&lt;green&gt;&amp;</text>' "$TREE/picture.svg"
	grep -qF '<text x="127.2" y="67" textLength="8.4">z</text>' "$TREE/picture.svg"
	equal 4 "$(grep -c '<text' "$TREE/picture.svg")"
}

@test "check-paths names what a comment names and nobody has" {
	mkdir -p "$TREE/src/room" "$TREE/docs"
	touch "$TREE/src/room/here.c" "$TREE/docs/room.md"
	printf '/* As here.c, src/room/here.c and docs/room.md have it; limits.h and /usr/src/x.c are not ours. */\n#include <gone.h>\n' >"$TREE/src/room/a.h"
	run "$TOOLS/check-paths" "$TREE"
	equal '' "$output"
	equal 0 "$status"
	printf '/* As gone.c says, or src/cellar/a.h,\n * and docs/cellar.md. */\n' >"$TREE/src/room/b.c"
	run "$TOOLS/check-paths" "$TREE"
	equal 1 "$status"
	equal 3 "${#lines[@]}"
	contains "$output" 'src/room/b.c:1: gone.c: '
	contains "$output" 'src/room/b.c:1: src/cellar/a.h: '
	contains "$output" 'src/room/b.c:2: docs/cellar.md: '
}
