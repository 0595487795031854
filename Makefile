# SPDX-License-Identifier: GPL-2.0
# make help lists the targets

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
export KERNEL LINUX MIRROR DEPS ACCEL JOBS BASE TREE V BENCH PATCHES CONFIGS BOOT

# What was given, for those who have another default
given := $(F)
F ?= debian
ifneq ($(filter debian stock,$(F)),)
kernel = scripts/debian-kernel $(KERNEL) >/dev/null
else
kernel = scripts/deps run kernel && scripts/build-kernel $(F)
endif
# What takes seconds is built before what takes minutes
user = scripts/deps run && scripts/initramfs

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' Makefile | expand -t 20

demo: ## v4l2-ctl streams from a CUSE camera, a tone is played by mmap: build/demo
	@F='$(given)' scripts/demo

test: ## all tests; T='*glob*', F=kernel, BASE_ONLY=1, LINT=0: see scripts/test
	@T='$(T)' F='$(given)' scripts/test

test-all: ## the same, on more kernels, and what takes longer
	@T='$(T)' F='$(given)' ALL=1 scripts/test

modules: ## cuse.ko for one of Debian's kernels: KERNEL=7.3 (default), 6.12, ..., running
	@scripts/deps run && scripts/modules $(KERNEL)

kernel: ## a kernel: F=debian (default) or stock with KERNEL=, debug, lockdep, kasan, base, gcov, bench
	@scripts/deps run && $(kernel)

shell: ## a prompt in the VM; F= as above, FILES='host files'
	@$(user) && $(kernel) && scripts/vm --flavour $(F) -- $(FILES)

run: ## run a command in the VM: CMD='...' FILES='host files' F=, OUT=dir is /out, VIRTIOFS=1
	@$(user) && $(kernel) && scripts/vm --flavour $(F) $(if $(VIRTIOFS),--virtiofs yes) $(if $(OUT),--out '$(OUT)') --cmd "$$COMMAND" -- $(FILES)

deb: ## Debian packages in build/deb: the module for dkms, the samples; lintian's verdict
	@scripts/deps run && scripts/deb

test-deb: ## install them on a new Debian 13, boot it, stream from a camera, purge: KERNEL=
	@scripts/deps run && scripts/deb && scripts/test-deb

apply: ## the series as commits on the kernel git tree TREE=dir
	@scripts/compose --git "$$TREE"

refresh: ## the way back: commits of TREE=dir to patches/ and whole files; BASE=rev
	@scripts/refresh "$$TREE"

series: ## mails in build/series: V=version, TREE=git tree of 7.3, BENCH=no
	@scripts/deps && scripts/series

bisect-check: ## every patch compiles alone; PATCHES=glob CONFIGS=glob; BOOT=1: boots and passes
	@scripts/deps && scripts/bisect-check

bench: ## measure, beside what one would use instead: build/results/bench.tsv, bench.svg
	@scripts/deps && scripts/bench

bench-check: ## fails where it takes 1% more instructions than in bench/reference.tsv
	@scripts/deps && scripts/bench check

coverage: ## which lines of fs/fuse the tests run: build/results/coverage.txt
	@scripts/deps && T='$(T)' scripts/coverage

lint: ## checkpatch, sparse, W=1, analyzer, cocci, kernel-doc, docs, layout, spelling
	@scripts/deps && scripts/lint

clean: ## remove all that was built, but keep the kernel source that was fetched
	rm -rf $(filter-out build/linux-base%,$(wildcard build/*))

# As it was typed: a $ in it is for the guest's shell
export COMMAND := $(value CMD)
export BASE_ONLY LINT
# make itself has one, a program's name
ifeq ($(origin LINT),default)
LINT :=
endif

.PHONY: help demo test test-all modules kernel shell run deb test-deb apply refresh series bisect-check bench bench-check coverage lint clean
