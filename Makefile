# SPDX-License-Identifier: GPL-2.0
# "make help" lists the targets.

# The running kernel's headers if they are there, else the newest of Debian's.
KDIR ?= $(firstword $(wildcard /lib/modules/$(shell uname -r)/build) \
	$(shell ls -d /lib/modules/*-amd64/build 2>/dev/null | sort -rV))
O := $(CURDIR)/build
KREL = $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' \
	$(KDIR)/include/generated/utsrelease.h 2>/dev/null)
MODULE = $(O)/$(KREL)/vminspect.ko

.PHONY: all module tool
all: module tool

# Each kernel has a build tree of its own: the sources, linked.
module:
	@test -n "$(KREL)" || { echo "No kernel headers: run \"make deps\", or say KDIR=." >&2; exit 1; }
	@mkdir -p $(O)/$(KREL)
	@cp -rsf $(CURDIR)/Kbuild $(CURDIR)/module $(CURDIR)/uapi $(O)/$(KREL)/
	@$(MAKE) -s -C $(KDIR) M=$(O)/$(KREL) modules

tool:
	@$(MAKE) -s -C userspace O=$(O) all
