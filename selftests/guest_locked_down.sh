#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Promise: while the kernel is locked down for confidentiality a guest can be looked at, but nobody
# sees a frame, a nested entry or a swap slot of the host, not even by a descriptor from before. What
# the guest's own tables say is shown: it is memory of a process, which may be read.
# machines: kvm-lockdown

# shellcheck disable=SC1091,SC2154	# what is not assigned here comes from tap.sh

cd "$(dirname "$(readlink -f "$0")")/.." || exit 1
. selftests/tap.sh
. selftests/vmm.sh

lockdown=/sys/kernel/security/lockdown
view=/sys/kernel/debug/vminspect/guests

# locked_down: is it already?
locked_down()
{
	[[ $(<$lockdown) == *'[confidentiality]'* ]]
}

# start_keeper: as start, of what keeps a descriptor of the guest that was started last. Sets keeper_to
# and keeper_from; the guest's to and from stay what they are.
start_keeper()
{
	local guest_pid=$pid guest_to=$to guest_from=$from guest_lines=("${lines[@]}")

	start build/selftests/keeper "$pid" "$(words vm)" 0x10000000
	keeper_to=$to keeper_from=$from
	pid=$guest_pid to=$guest_to from=$guest_from lines=("${guest_lines[@]}")
}

# ask_keeper WHAT WANTED
ask_keeper()
{
	local to=$keeper_to from=$keeper_from

	ask "$1"
	equal "by a descriptor from before, $1" "$2" "$reply"
}

# Only this is still before it: lockdown lasts until the machine is off.
hides_from_who_was_there()
{
	if locked_down; then
		skip 'it is locked down already'
		return
	fi
	start_guest 4
	start_keeper
	works vminspect guest walk -J "$pid" 0x10000000
	equal 'hidden before' false "$(jq '.pa == null or has("hidden")' "$out")"
	# four entries, the data and the root; five nested entries for each but the root
	ask_keeper 'without lockdown' 'hidden=0 levels=4 frames=6 nested=25'
	exec {before}<$view
	echo integrity >$lockdown
	ask_keeper 'locked down for integrity' 'hidden=0 levels=4 frames=6 nested=25'
	echo confidentiality >$lockdown
	ask_keeper 'locked down for confidentiality' 'hidden=2 levels=4 frames=0 nested=0'
	exec {keeper_to}>&- {keeper_from}<&-
	# the text has no frames
	text_of "$pid" 1 < <(printf '%s\n' "${lines[@]}") >"$scratch/wanted"
	cat <&"$before" >"$scratch/got"
	same 'text, opened before' "$scratch/wanted" "$scratch/got"
	exec {before}<&-
	stop_guest
}
promise 'a descriptor from before shows frames and nested entries until then' hides_from_who_was_there

# works_but_hides COMMAND...: as works, but that something is hidden is worth a remark
works_but_hides()
{
	run "$@"
	check_refusal 0 'the kernel is locked down' "$@"
}

start_locked_down()
{
	locked_down || echo confidentiality >$lockdown
	start_guest 4
}

hides_from_the_tool()
{
	start_locked_down
	tell 'pageout 3'
	works vminspect guest walk -J "$pid" 0x10000000
	judge 'walk' "$out" '
		(select(.gpa != "0x600000" or .hva == null or .missing != null or .state != "present") |
			"the chain: \(.gpa) \(.hva) \(.missing) \(.state)"),
		(select([.pa, .nested, .swap, .accesses, .nested_page, .effective_page] |
			map(select(. != null)) != []) | "what is not null"),
		(.guest_levels[] | select(.entry_pa != null or .nested != null or .raw == null) | tojson),
		(select(.hidden.pa != "lockdown" or .hidden.nested != "lockdown" or
			.hidden.entry_pa != "lockdown" or .hidden.accesses != "lockdown") | .hidden | tojson)'
	works vminspect guest translate -J "$pid" 0x10000000 0x10005000
	equal 'translate, of what is in memory and of what is swapped' \
		'[["0x600000","present",null,null,null],["0x50003000","swapped",null,null,null]]' \
		"$(jq -c '[.translations[] | [.gpa, .state, .pa, .swap, .accesses]]' "$out")"
	equal 'why' '["lockdown"]' "$(jq -c '.hidden | [.[]] | unique' "$out")"
	works vminspect guest translate -J --gpa "$pid" 0x600000
	equal 'translate --gpa' '["0x600000","present",null]' \
		"$(jq -c '.translations[0] | [.gpa, .state, .pa]' "$out")"
	works vminspect guest maps --extents -J "$pid"
	equal 'extents' '[null] ["present","swapped"]' \
		"$(jq -c '[.extents[] | .pa, .pfn, .swap] | unique' "$out") $(jq -c '[.extents[].state] | unique' "$out")"
	stop_guest
}
promise 'walk, translate and maps --extents tell the chain, and why it has no frames' hides_from_the_tool

# The same as tables for people, with one remark.
hides_in_text()
{
	start_locked_down
	works_but_hides vminspect guest walk "$pid" 0x10000000
	! grep -E 'nested [A-Z]|physical address|, at 0x' "$out" >"$scratch/shown" ||
		broken "walk shows $(<"$scratch/shown")"
	works_but_hides vminspect guest translate "$pid" 0x10000000
	works_but_hides vminspect guest translate --gpa "$pid" 0x600000
	works_but_hides vminspect guest maps --extents "$pid"
	stop_guest
}
promise 'as text they do with a remark' hides_in_text

# Sums have no frames.
sums_up()
{
	start_locked_down
	works vminspect guest list -J
	equal 'the guest' "$pid 1 $((24 << 20)) npt" \
		"$(jq -r '.guests[0] | "\(.pid) \(.vcpus) \(.resident) \(.paging)"' "$out")"
	works vminspect guest maps -J "$pid"
	equal 'slots' '[0,1,2,3]' "$(jq -c '[.slots[].slot]' "$out")"
	stop_guest
}
promise 'list and maps show what they always do' sums_up

# The kernel's own doing: no file of debugfs that others may not read is opened.
closes_the_text_view()
{
	start_locked_down
	run cat $view
	equal 'status' 1 "$status"
	[[ $(<"$err") == *'not permitted'* ]] || broken "it says $(<"$err")"
	equal 'output' '' "$(<"$out")"
	stop_guest
}
promise 'the text view is not opened any more' closes_the_text_view

modprobe kvm-amd || exit 1
keep_promises
