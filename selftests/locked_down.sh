#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Promise: while the kernel is locked down for confidentiality events are for nobody, and `trace` says
# so.
# machines: lockdown

# shellcheck disable=SC1091,SC2154	# what is not assigned here comes from tap.sh

cd "$(dirname "$(readlink -f "$0")")/.." || exit 1
. selftests/tap.sh

PATH=$PWD/build/bin:$PATH
lockdown=/sys/kernel/security/lockdown

# This machine has no swap area, which is worth a remark.
traces_without()
{
	[[ $(<$lockdown) != *'[confidentiality]'* ]] || { skip 'it is locked down already'; return; }
	run vminspect trace -a --for 0.1
	equal 'status' 0 "$status"
}
promise 'before, trace works' traces_without

refuses_events()
{
	[[ $(<$lockdown) == *'[confidentiality]'* ]] || echo confidentiality >$lockdown
	refuses 1 'locked down' vminspect trace -a
	refuses 1 'locked down' vminspect trace -J $$
	refuses 125 'locked down' vminspect trace -- touch "$scratch/started"
	[ ! -e "$scratch/started" ] || broken 'the program was executed'
}
promise 'locked down for confidentiality: a sentence, 1, or 125 with COMMAND' refuses_events

keep_promises
