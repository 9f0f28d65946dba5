#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# How long the lock is held, and what a scan costs, against how many entries a batch may have: builds
# the module with one VMI_WALK_BUDGET (module/walk.h) after another, ours first, and measures with
# each of them in one machine. Prints lines for ./report, with what the commands in $WITH print there.

here=$(dirname "$(readlink -f "$0")")
cd "$here/.." || exit 1
set -o pipefail
out=build/bench/budgets
ours=$(sed -n 's/^#define VMI_WALK_BUDGET[^0-9]*\([0-9]*\)$/\1/p' module/walk.h)
budgets=("$ours" $((ours / 16)) $((ours / 4)) $((ours * 4)) $((ours * 16)))

{ read -r _; read -r kdir; } < <(selftests/vm/kernel)
for budget in "${budgets[@]}"; do
	rm -rf "${out:?}/$budget"
	mkdir -p "$out/$budget"
	cp -r Kbuild module uapi "$out/$budget"
	sed -i "s/^\(#define VMI_WALK_BUDGET[^0-9]*\)[0-9]*$/\1$budget/" "$out/$budget/module/walk.h"
	make -s -C "$kdir" "M=$PWD/$out/$budget" modules >&2 || exit
done

# shellcheck disable=SC2016	# for the shell in the machine
selftests/vm/run -m 2G -c 1 -z 256 -t 900 -q '-icount shift=0' -- sh -c "$WITH"'
	for budget; do
		rmmod vminspect || exit
		insmod "'"$out"'/$budget/vminspect.ko" || exit
		UNIT=instructions build/bench/holds "$budget" || exit
	done' sh "${budgets[@]}" | tr -d '\r' | sort -s -t "$(printf '\t')" -k 1,1
