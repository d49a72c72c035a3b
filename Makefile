# SPDX-License-Identifier: Apache-2.0
# The words people type. The build itself is Meson's (meson.build); nothing is decided here.
#
#   make            the programs and the guest bundle, in build/
#   make demo       what is missing from Debian, a build, an image, a machine, and what the commands print
#   make test       what is missing from Debian, then every test
#   make bench      the figures of bench/README.md
#   make install    PREFIX=/usr/local DESTDIR=
#   make deb        a Debian package of the build, in build/deb/
#   make lint       clang-format, clang-tidy, shellcheck, manual pages, layers, paths, words
#   make asan       unit tests and fuzz corpora under ASan and UBSan
#   make fuzz       libFuzzer on every target, FUZZ_SECONDS each
#   make deps       only installs what is missing
#   make clean
BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
FUZZ_SECONDS ?= 60
export BUILD FUZZ_SECONDS

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) $$(test -t 1 || echo --quiet)

$(BUILD)/build.ninja:
	@tools/deps --check build
	@mkdir -p $(BUILD) && echo "configuring ($(BUILD)/configure.log)"
	@meson setup $(BUILD) --prefix=$(PREFIX) $(MESON_ARGS) >$(BUILD)/configure.log 2>&1 || { cat $(BUILD)/configure.log; exit 1; }

# The programs find their files from where they are, so another prefix changes no program: only where `install` puts them.
install: all
	@meson configure $(BUILD) -Dprefix=$(PREFIX)
	@DESTDIR="$(DESTDIR)" meson install -C $(BUILD) --no-rebuild --quiet
	@echo "installed in $(DESTDIR)$(PREFIX)"

deb:
	@tools/deps build package
	@$(MAKE) --no-print-directory all
	@tools/deb $(BUILD)/deb

deps:
	@tools/deps build run test bench package

demo:
	@tools/deps build run
	@$(MAKE) --no-print-directory all
	@tools/demo

test:
	@tools/deps build run test package
	@tools/run-tests

bench:
	@tools/deps build run test bench
	@$(MAKE) --no-print-directory all
	@bench/run

lint:
	@tools/deps build run test
	@tools/run-tests lint

asan:
	@tools/deps build test
	@tools/run-tests asan

fuzz:
	@tools/deps build test
	@tools/fuzz

clean:
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-fuzz

.PHONY: all install deb deps demo test bench lint asan fuzz clean
