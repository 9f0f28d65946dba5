#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Promise: `vminspect guest maps --virtual` lists what a guest's own tables map, all of it and
# nothing else, whatever the guest has written into them. The oracle is what the guest was made of
# (selftests/vm/guest.c), and what it has read with these tables.
# machines: kvm

# shellcheck disable=SC1091,SC2154	# what is not assigned here comes from tap.sh

cd "$(dirname "$(readlink -f "$0")")/.." || exit 1
. selftests/tap.sh
. selftests/vmm.sh

answer=$scratch/answer

# list [OPTION...]: the address space as JSON in $answer
list()
{
	works vminspect guest maps --virtual -J "$@" "$pid"
	cp "$out" "$answer"
}

# listed FILTER: of the answer
listed()
{
	jq -r "$1" "$answer"
}

# number functions for jq: its own numbers lose the low bits of addresses
# shellcheck disable=SC2016	# the dollars are jq's
addresses='
	def digit: if . > 57 then . - 87 else . - 48 end;
	def low: .[2:][-8:] | reduce explode[] as $c (0; . * 16 + ($c | digit));
	def high: .[2:][:-8] | reduce explode[] as $c (0; . * 16 + ($c | digit));
	def key: [high, low];
	def after($bytes): [high + ((low + $bytes) / 4294967296 | floor), (low + $bytes) % 4294967296];
'

# flags_of GVA BYTES: what a page should have, in the order of names
flags_of()
{
	local flags='present'

	[ "$1" != 0xffff888000000000 ] || flags="global $flags"
	if [ "$mode" = none ] || [ "$mode" = 32 ] || ! words user | grep -q "^$1 "; then
		flags="exec $flags"
	fi
	if (($2 > 4096)); then
		flags="${flags/present/huge present}"
	fi
	if words user | grep -q "^$1 "; then
		flags="$flags user"
	fi
	if has written "$1" || [ "$1" = 0x1000 ]; then
		flags="$flags write"
	fi
	echo "$flags" | tr ' ' '\n' | sort | xargs
}

# One line for each page: GVA GPA BYTES FLAGS.
pages_wanted()
{
	local gva gpa bytes

	while read -r gva gpa bytes _; do
		echo "$gva $gpa $((bytes)) $(flags_of "$gva" "$bytes")"
	done < <(words map) | sort
}

pages_listed()
{
	local gva gpa bytes page flags at

	while read -r gva gpa bytes page flags; do
		for ((at = 0; at < bytes; at += page)); do
			# of one that is larger than its slot the rest is another row
			if ((!((gva + at) & (page - 1)))); then
				printf '0x%x 0x%x %d %s\n' $((gva + at)) $((gpa + at)) "$page" "$flags"
			fi
		done
	done < <(listed '.extents[] | select(.gpa and .page) |
			 "\(.gva) \(.gpa) \(.size) \(.page) \(.flags | sort | join(" "))"') | sort
}

# They come in order, and what could be one run is one.
check_runs()
{
	equal 'runs that belong together' '' "$(jq -c "$addresses"'
		.extents as $e | range(1; $e | length) | [$e[. - 1], $e[.]] |
		select((.[0].gva | after(0)) >= (.[1].gva | key) or
		       ((.[0].size as $s | .[0].gva | after($s)) == (.[1].gva | key) and
			.[0].gpa and .[1].gpa and
			(.[0].size as $s | .[0].gpa | after($s)) == (.[1].gpa | key) and
			.[0].slot == .[1].slot and .[0].page == .[1].page and
			.[0].flags == .[1].flags))' "$answer")"
}

# check_mode MODE NAME
check_mode()
{
	start_guest "$1"
	list
	equal 'mode, cr3' "$2 $(($(words cr3)))" "$(listed .mode) $(($(listed .cr3)))"
	pages_wanted >"$scratch/wanted"
	pages_listed >"$scratch/got"
	same 'pages' "$scratch/wanted" "$scratch/got"
	equal 'reserved bits' "$(words reserved)" \
		"$(listed '.extents[] | select(.fault == "reserved_bit" and .missing == "guest") | .gva')"
	equal 'runs without memory' "$(words mmio | sed 's/.* //')" \
		"$(listed '.extents[] | select(.missing == "slot" and .page == 4096) | .gpa')"
	equal 'others that are missing' '' \
		"$(listed '.extents[] | select(.missing == "host" or .level)')"
	check_runs
	stop_guest
}

two_levels()
{
	check_mode 32 32-bit
}
promise '32-bit paging: every page with its address, size and flags, and no other' two_levels

three_levels()
{
	check_mode pae PAE
}
promise 'PAE: the same' three_levels

four_levels()
{
	check_mode 4 4-level
}
promise 'four levels: the same' four_levels

five_levels()
{
	check_mode 5 5-level
}
promise 'five levels: the same' five_levels

# Everything is mapped, to itself: rows are slots, and what lies between them.
real_mode()
{
	start_guest none
	list
	equal 'rows' '0x0 16777216 0 null
0x1000000 16777216 null slot
0x2000000 2097152 1 null
0x2200000 1038090240 null slot
0x40000000 4194304 2 null
0x40400000 264241152 null slot
0x50000000 2097152 3 null
0x50200000 2950692864 null slot' "$(listed '.extents[] | "\(.gva) \(.size) \(.slot) \(.missing)"')"
	equal 'addresses' '' "$(listed '.extents[] | select(.gva != .gpa or .page)')"
	stop_guest
}
promise 'without paging: the slots, and the gaps between them' real_mode

# The sums are those of the VMM.
adds_up()
{
	start_guest 4 -s
	list
	equal 'small page that is out' '0 4096 3' \
		"$(listed '.extents[] | select(.gva == "0x10005000") | "\(.resident) \(.swapped) \(.slot)"')"
	equal 'large page that is out' "0 $((2 << 20)) 3" \
		"$(listed '.extents[] | select(.gva == "0x30c00000") | "\(.resident) \(.swapped) \(.slot)"')"
	equal 'large page on huge ones' "$((2 << 20)) $((2 << 20)) 0 2" \
		"$(listed '.extents[] | select(.gva == "0x30400000") |
			   "\(.resident) \(.huge) \(.swapped) \(.slot)"')"
	equal '1G on 4M' "$((4 << 20)) 2 slot" \
		"$(listed '[.extents[] | select(.page == 1073741824)] |
			   "\(.[0].size) \(.[0].slot) \(.[1].missing)"')"
	equal 'where the VMM has it' "$(words slot | awk '$1 == 3 { print $5 }')" \
		"$(listed '.extents[] | select(.gva == "0x30c00000") | .hva')"
	stop_guest
}
promise 'what of each run the host has: resident, huge, swapped out, in no slot' adds_up

follows_changes()
{
	start_guest 4
	list
	pages_listed >"$scratch/before"
	tell 'unmap 0x10000000'
	list
	pages_listed >"$scratch/got"
	grep -v '^0x10000000 ' "$scratch/before" >"$scratch/wanted"
	same 'one page less' "$scratch/wanted" "$scratch/got"
	tell 'pageout 0'
	list
	equal 'tables that are out' '["0x0","host","PML4",140737488355328,null]
["0xffff800000000000","host","PML4",140737488355328,null]' \
		"$(listed '.extents[] | [.gva, .missing, .level, .size, .gpa] | tojson')"
	list --cr3 0xffff0000
	equal 'tables in no slot' '["0x0","slot","PML4"]' \
		"$(listed '.extents[0] | [.gva, .missing, .level] | tojson')"
	stop_guest
}
promise 'a page that is unmapped, tables that the host has swapped out, tables in no slot' \
	follows_changes

repeats()
{
	local root

	start_guest 4 -r
	root=$(words 'root loop')
	list --cr3 "$root"
	equal 'a table that leads to itself' "0x0 4096 $root 4096 null
0x1000 2093056 $root 4096 4096
0x200000 1071644672 null null 2097152
0x40000000 548682072064 null null 1073741824
0x8000000000 140187732541440 null null 549755813888
0xffff800000000000 4096 $root 4096 null
0xffff800000001000 2093056 $root 4096 4096
0xffff800000200000 1071644672 null null 2097152
0xffff800040000000 548682072064 null null 1073741824
0xffff808000000000 140187732541440 null null 549755813888" \
		"$(listed '.extents[] | "\(.gva) \(.size) \(.gpa) \(.page) \(.repeats)"')"
	list --cr3 "$(words 'root shared')"
	equal 'tables that are used again and again' "0x0 4096 0x2000 4096 null
0x1000 2093056 0x2000 4096 4096
0x200000 1071644672 null null 2097152
0x40000000 548682072064 null null 1073741824
0x8000000000 140187732541440 null null 549755813888" \
		"$(listed '.extents[] | "\(.gva) \(.size) \(.gpa) \(.page) \(.repeats)"')"
	stop_guest
}
promise 'tables that are mapped many times: once, and that the rest is the same' repeats

endless()
{
	start_guest 4 -r
	run vminspect guest maps --virtual -J --cr3 "$(words 'root crossed')" "$pid"
	check_refusal 1 'tables that lead to each other' 'maps --virtual'
	equal 'what was found' 'true true' \
		"$(jq -r '"\(.truncated) \(.extents | length > 1000)"' "$out")"
	run vminspect guest maps --virtual -J --cr3 "$(words 'root hollow')" "$pid"
	check_refusal 1 'tables that lead to each other' 'maps --virtual'
	equal 'without pages' 'true 0' "$(jq -r '"\(.truncated) \(.extents | length)"' "$out")"
	stop_guest
}
promise 'tables that lead to each other without end: an end, and the word that it is not all' endless

# More tables than one call reads, and all of it one run.
goes_on()
{
	start_guest 4 -r
	list --cr3 "$(words 'root nowhere')"
	equal 'tables in no slot' '["0x0",8589934592,"slot","PT"]' \
		"$(listed '.extents[] | [.gva, .size, .missing, .level] | tojson')"
	stop_guest
}
promise 'what several calls find is one run' goes_on

# By the bit that its processor is said to have for it: guest.c, -e
encrypted()
{
	start_guest 4 -e
	list
	run vminspect guest maps --virtual --cr3 "$(($(words cr3) | 1 << 47))" "$pid"
	check_refusal 1 'is encrypted' 'maps --virtual'
	stop_guest
}
promise 'tables that are said to be encrypted are not read' encrypted

runs_a_guest()
{
	start_guest 4 -n
	refuses 1 'runs a guest of its own' vminspect guest maps --virtual "$pid"
	tell leave
	list
	pages_wanted >"$scratch/wanted"
	pages_listed >"$scratch/got"
	same 'pages' "$scratch/wanted" "$scratch/got"
	stop_guest
}
promise 'a vCPU that runs a guest of its own is refused, and shown when it does no longer' runs_a_guest

says_what_is_wrong()
{
	local user=(setpriv --reuid=1000 --regid=1000 --clear-groups)
	local bits option

	start_guest 4 -2
	refuses 2 'exclude each other' vminspect guest maps --virtual --extents "$pid"
	refuses 2 'for translate and walk' vminspect guest maps --virtual --gpa "$pid"
	refuses 2 'with --virtual' vminspect guest maps --cr3 0x1000 "$pid"
	refuses 1 'has not run yet' vminspect guest maps --virtual --vcpu 1 "$pid"
	refuses 1 'no vCPU 7' vminspect guest maps --virtual --vcpu 7 "$pid"
	for bits in 0x10000000001000 0x1000000000000000; do
		refuses 1 'is no CR3' vminspect guest maps --virtual --cr3 "$bits" "$pid"
		refuses 1 'is no CR3' vminspect guest translate --cr3 "$bits" "$pid" 0
		refuses 1 'is no CR3' vminspect guest walk --cr3 "$bits" "$pid" 0
	done
	for option in --virtual --extents; do
		refuses 2 'are for maps' vminspect guest translate "$option" "$pid" 0
		refuses 2 'are for maps' vminspect guest walk "$option" "$pid" 0
		refuses 2 'are for maps' vminspect guest list "$option"
		run vminspect guest "$option"
		check_refusal 2 '' vminspect guest "$option"
	done
	chmod 666 /dev/vminspect
	refuses 1 'may not be read by you' "${user[@]}" vminspect guest maps --virtual "$pid"
	chmod 600 /dev/vminspect
	stop_guest
}
promise 'what makes no sense is refused' says_what_is_wrong

shows_a_table()
{
	start_guest 4 -s
	works vminspect guest maps --virtual -n -o GVA,SIZE,GPA,PAGE,MISSING,SWAPPED "$pid"
	equal 'a row' '0x10005000 4K 0x50003000 4K 4K' "$(grep 0x10005000 "$out" | xargs)"
	works vminspect guest maps --virtual "$pid"
	equal 'heading' 'GVA SIZE GPA PAGE FLAGS REPEATS MISSING RESIDENT SWAPPED' \
		"$(head -n 1 "$out" | xargs)"
	stop_guest
}
promise 'a table' shows_a_table

modprobe kvm-amd || exit 1
keep_promises
