# SPDX-License-Identifier: GPL-2.0
# make help lists the targets

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
export LINUX ACCEL JOBS BASE TREE V BENCH PATCHES CONFIGS BOOT

F ?= lockdep
kernel = scripts/deps && scripts/build-kernel $(F)
user = scripts/deps && scripts/initramfs

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' Makefile | expand -t 20

demo: ## v4l2-ctl streams from a CUSE camera, a tone is played by mmap: build/demo
	@$(kernel) && $(user) && scripts/demo

test: ## all tests on both test kernels; T='*glob*', BASE_ONLY=1, LINT=0
	@scripts/deps && T='$(T)' scripts/test

kernel: ## build a test kernel; F=lockdep (default), kasan, base, gcov or bench
	@$(kernel)

shell: ## a prompt in the VM; F= as above, FILES='host files'
	@$(kernel) && $(user) && scripts/vm --flavour $(F) -- $(FILES)

run: ## run a command in the VM: CMD='...' FILES='host files' F=, OUT=dir is /out, VIRTIOFS=1
	@$(kernel) && $(user) && scripts/vm --flavour $(F) $(if $(VIRTIOFS),--virtiofs yes) $(if $(OUT),--out '$(OUT)') --cmd "$$COMMAND" -- $(FILES)

deb: ## Debian packages in build/deb: the module for dkms, the samples; lintian's verdict
	@scripts/deps && scripts/deb

test-deb: ## install them on a new Debian 13, boot it, stream from a camera, purge: KERNEL=
	@scripts/deps && scripts/deb && scripts/test-deb

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

.PHONY: help demo test kernel shell run deb test-deb apply refresh series bisect-check bench bench-check coverage lint clean
