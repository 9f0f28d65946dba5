# SPDX-License-Identifier: GPL-2.0
# "make help" lists the targets.

SHELL := /bin/bash

# The running kernel's headers if they are there, else the newest of Debian's.
KDIR ?= $(firstword $(wildcard /lib/modules/$(shell uname -r)/build) \
	$(shell ls -d /lib/modules/*-amd64/build 2>/dev/null | sort -rV))
# Of the caller's directory, wherever it is used.
override DESTDIR := $(if $(DESTDIR),$(abspath $(DESTDIR)))
PREFIX ?= /usr/local
MODE ?= 0600

O := $(CURDIR)/build
KREL = $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' \
	$(KDIR)/include/generated/utsrelease.h 2>/dev/null)
MODULE_DIR = $(O)/$(KREL)
MODULE = $(MODULE_DIR)/vminspect.ko
USERSPACE = $(MAKE) -s -C userspace O=$(O) DESTDIR=$(DESTDIR) PREFIX=$(PREFIX)

# Headers for the running kernel if Debian has them, else for its newest.
HEADERS := $(if $(wildcard /lib/modules/$(shell uname -r)/build),,$(shell \
	apt-cache show linux-headers-$$(uname -r) >/dev/null 2>&1 && \
	echo linux-headers-$$(uname -r) || echo linux-headers-amd64))
BUILD_PACKAGES := gcc libc6-dev libjansson-dev libsmartcols-dev pkg-config \
	python3-docutils $(HEADERS)
# redis-tools has the server's program as well, without a service that starts.
TEST_PACKAGES := bpftrace busybox-static cpio dkms iproute2 jq kmod linux-perf linux-source perl \
	procps qemu-system-x86 redis-tools shellcheck sparse trace-cmd util-linux xz-utils
# What ours is compared with, and what draws.
BENCH_PACKAGES := gnuplot-nox mmdebstrap procps python3-minimal smem
# For a kernel of one's own.
KERNEL_PACKAGES := bc bison dwarves flex libelf-dev libssl-dev lz4

# What is missing of the packages $(1) is installed, by root only.
need = @missing=$$(for package in $(1); do \
		dpkg-query -W -f '$${Status}' $$package 2>/dev/null | \
		grep -q 'ok installed' || echo $$package; done); \
	[ -z "$$missing" ] || { \
		[ "$$(id -u)" = 0 ] || { \
			echo "To be installed first, by root:" $$missing >&2; exit 1; }; \
		echo "Installing" $$missing; \
		apt-get -qq update && DEBIAN_FRONTEND=noninteractive \
		apt-get -qq -y --no-install-recommends install $$missing >/dev/null; }

.PHONY: all
all: module tool	## module and tool (default); KDIR= names the kernel's headers

# Each kernel has a build tree of its own: the sources, linked.
.PHONY: module
module:	## the module alone
	@test -n "$(KREL)" || { echo 'No kernel headers found: run "make deps" first, or name them with KDIR=.' >&2; exit 1; }
	@mkdir -p $(MODULE_DIR)
	@cp -rsf $(CURDIR)/Kbuild $(CURDIR)/module $(CURDIR)/uapi $(MODULE_DIR)/
	@set -o pipefail; { $(MAKE) -s -C $(KDIR) M=$(MODULE_DIR) modules 2>&1 >&3 | \
		sed '/Skipping BTF generation/d' >&2; } 3>&1

.PHONY: tool
tool:	## library and tool alone
	@$(USERSPACE) all

.PHONY: deps
deps:	## install what is needed to build
	@apt-get -qq update
	$(call need,$(BUILD_PACKAGES))

.PHONY: load
load: module	## load the module into this machine's kernel; MODE=0666 opens the device to all
	@module/load $(MODULE) $(MODE)

# "NAME (PID)" of each process that has a file of the module's open.
list-users = find /proc/[0-9]*/fd \( -lname /dev/vminspect -o -lname '*\[vminspect-events\]' \
	-o -lname '*\[vminspect-guest\]' -o -lname '*/debug/vminspect/*' \) \
	-printf '%h\n' 2>/dev/null | sort -u | \
	while IFS=/ read -r _ _ pid _; do echo "$$(cat /proc/$$pid/comm) ($$pid)"; done

.PHONY: unload
unload:	## take it out again
	@rmmod vminspect || { [ ! -d /sys/module/vminspect ] || echo "It is in use: close what has" \
		"its device, events, guests or debugfs files open, such as 'vminspect trace':" \
		$$($(list-users)) >&2; exit 1; }

.PHONY: install
install: all $(O)/man/vminspect.1 $(O)/man/vminspect.4	## install everything; DESTDIR=, PREFIX=
	install -Dm644 $(MODULE) $(DESTDIR)/lib/modules/$(KREL)/updates/vminspect.ko
	$(USERSPACE) install
	install -Dm644 -t $(DESTDIR)$(PREFIX)/share/man/man1 $(O)/man/vminspect.1
	install -Dm644 -t $(DESTDIR)$(PREFIX)/share/man/man4 $(O)/man/vminspect.4
	[ -n "$(DESTDIR)" ] || { depmod $(KREL); ldconfig; }

VERSION := $(shell sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)
DKMS_DIR := $(DESTDIR)/usr/src/vminspect-$(VERSION)

.PHONY: dkms
dkms:	## the sources for DKMS alone; then: dkms install vminspect/$(VERSION)
	rm -rf $(DKMS_DIR)
	install -d $(DKMS_DIR)
	cp -r dkms.conf Kbuild LICENSE module uapi $(DKMS_DIR)/

.PHONY: demo
demo: packages	## show on a virtual machine what this is for
	@$(MAKE) -s all helpers
	@selftests/vm/demo

# What takes long has a machine, and a target, of its own.
MACHINES ?= host default la57 numa lockdown
KERNEL ?=

.PHONY: check
check: packages	## run the tests; TESTS= names some, MACHINES= some machines, KERNEL=6.12|7.3|debug another kernel
	$(if $(filter 6.12 7.3,$(KERNEL)),$(call need,mmdebstrap))
	$(if $(filter debug,$(KERNEL)),$(call need,$(KERNEL_PACKAGES)))
	@$(MAKE) -s all selftests man
	@selftests/check $(KERNEL:%=-k %) $(MACHINES:%=-m %) $(TESTS)

# Where all is run, less of what can be done any number of times.
fewer = VMINSPECT_CALLS=$${VMINSPECT_CALLS:-100000} VMINSPECT_ROUNDS=$${VMINSPECT_ROUNDS:-100}

.PHONY: check-kernels
check-kernels:	## all tests on all machines, on each kernel there is, in one table; takes hours
	@$(fewer) $(MAKE) check KERNEL='6.1 6.12 7.3' \
		MACHINES='host default la57 numa cpu1 cpu4 lockdown swap kvm kvm-lockdown attack fuzz'

.PHONY: check-debug
check-debug:	## all tests on a kernel that finds errors of memory, locks and lifetimes; takes hours
	@$(fewer) $(MAKE) check KERNEL=debug \
		MACHINES='default la57 numa cpu1 cpu4 lockdown swap kvm kvm-lockdown attack fuzz'

.PHONY: check-swap
check-swap:	## the longer ones: programs that swap, watched by our tracer and by others
	@$(MAKE) check MACHINES=swap

.PHONY: check-guests
check-guests:	## guests of KVM, looked at from three machines: theirs, ours, and the one around it
	@$(MAKE) check MACHINES='kvm kvm-lockdown'

# What they print says how to repeat a failure: VMINSPECT_SEED=.
.PHONY: fuzz
fuzz:	## calls at random; VMINSPECT_CALLS= how many, KERNEL= as for check
	@$(MAKE) check MACHINES=fuzz

.PHONY: attack
attack:	## races, failing allocations, loading and unloading, hostile openers; VMINSPECT_SECONDS=, _ROUNDS=
	@$(MAKE) check MACHINES=attack

.PHONY: lint
lint: $(O)/linux/.done	## checkpatch, sparse, compiler warnings, shellcheck
	@selftests/lint.sh

.PHONY: bench
bench: packages	## measure side by side with what others offer
	$(call need,$(BENCH_PACKAGES))
	@$(MAKE) -s all benchmarks
	@bench/run

.PHONY: man
man: $(O)/man/vminspect.1 $(O)/man/vminspect.4 $(O)/uapi.rst	## man pages and the reference of the ABI

.PHONY: clean
clean:	## remove what was built
	rm -rf $(O)

.PHONY: help
help:	## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

# For scripts: the value of a variable.
print-%:
	@echo '$($*)'

.PHONY: packages
packages:
	$(call need,$(BUILD_PACKAGES) $(TEST_PACKAGES))
	@selftests/vm/qemu || echo 'Virtual machines will be slow: see selftests/vm/qemu.' >&2

# The kernel's own test harness, style checker and documentation extractor, from
# the sources that Debian ships.
LINUX_PARTS := tools/testing/selftests/kselftest.h \
	tools/testing/selftests/kselftest_harness.h scripts/checkpatch.pl \
	scripts/spelling.txt scripts/const_structs.checkpatch scripts/kernel-doc

# Unpack $(1) of them.
unpack = @mkdir -p $(O)/linux; \
	archive=$$(ls /usr/src/linux-source-*.tar.xz 2>/dev/null | sort -V | tail -n 1); \
	[ -n "$$archive" ] || { echo "Install linux-source first: the kernel's own tools are in it." >&2; exit 1; }; \
	top=$$(basename $$archive .tar.xz); \
	tar -xJf $$archive -C $(O)/linux --strip-components=1 $(1:%=$$top/%)

$(O)/linux/.done:
	$(call unpack,$(LINUX_PARTS))
	@touch $@

TEST_SOURCES := $(shell grep -l 'machines: ' selftests/*.c 2>/dev/null)
TEST_PROGRAMS := $(TEST_SOURCES:selftests/%.c=$(O)/selftests/%)

# Programs that tests and demo start: no tests themselves.
HELPERS := $(patsubst selftests/vm/%.c,$(O)/selftests/%,$(wildcard selftests/vm/*.c))

.PHONY: helpers
helpers: $(HELPERS)

.PHONY: selftests
selftests: $(TEST_PROGRAMS) helpers
	@$(MAKE) -s -C selftests/constructed KDIR=$(KDIR) O=$(O)

TEST_CFLAGS := -std=gnu11 -O2 -g -Wall -Wextra -Werror -isystem \
	$(O)/linux/tools/testing/selftests -Dalarm=scaled_alarm

# All there is in its machine: no libraries.
$(O)/selftests/inner: private LDFLAGS := -static

$(HELPERS): $(O)/selftests/%: selftests/vm/%.c selftests/common.c selftests/common.h
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O2 -g -Wall -Wextra -Werror $(LDFLAGS) -o $@ $< selftests/common.c \
		-lpthread

TEST_COMMON := selftests/common.c selftests/kvm.c selftests/recorder.c

$(TEST_PROGRAMS): $(O)/selftests/%: selftests/%.c $(TEST_COMMON) $(TEST_COMMON:.c=.h) \
		uapi/vminspect.h $(O)/linux/.done
	@mkdir -p $(@D)
	$(CC) $(TEST_CFLAGS) -o $@ $< $(TEST_COMMON) -lpthread

.PHONY: benchmarks
benchmarks: $(patsubst bench/%.c,$(O)/bench/%,$(wildcard bench/*.c)) $(O)/bench/page-types

# One of those that ours are compared with: no package of Debian's has it.
$(O)/bench/page-types:
	$(call unpack,tools/vm/page-types.c tools/lib/api tools/include \
		include/uapi/linux/magic.h include/uapi/linux/kernel-page-flags.h)
	@mkdir -p $(@D)
	cd $(O)/linux/tools && $(CC) -O2 -w -Ilib -Ilib/api -Iinclude -o $@ vm/page-types.c \
		lib/api/fs/fs.c lib/api/debug.c

$(O)/bench/%: bench/%.c bench/measure.h selftests/common.c selftests/common.h uapi/vminspect.h
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O2 -g -Wall -Wextra -Werror -o $@ $< \
		selftests/common.c -lm

$(O)/man/%: Documentation/%.rst
	@mkdir -p $(@D)
	@rst2man --report=warning --halt=warning $< $@

$(O)/uapi.rst: uapi/vminspect.h $(O)/linux/.done
	@$(O)/linux/scripts/kernel-doc -rst -Werror $< >$@.new
	@mv $@.new $@
