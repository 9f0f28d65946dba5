#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Promise: `vminspect guest` follows a guest's addresses through both page tables down to machine
# memory, or says which link is missing. The oracle stands outside the machine that runs the guest:
# QEMU's monitor reads that machine's memory at the addresses that are told. Besides it, what the
# guest was made of (selftests/vm/guest.c), smaps, and the swap device.
# machines: kvm

# shellcheck disable=SC1091,SC2154	# what is not assigned here comes from tap.sh

cd "$(dirname "$(readlink -f "$0")")/.." || exit 1
. selftests/tap.sh
. selftests/vmm.sh

# check_page GVA GPA SIZE MARKER: this is where it leads
check_page()
{
	local pa

	translate "$1"
	equal "gpa of $1" "$(printf '0x%x' "$2")" "$(translated .gpa)"
	[ "$mode" = none ] || equal "page of $1" $(($3)) "$(translated .guest_page)"
	memory_of "$2"
	if [ -z "$hva" ]; then
		equal "what is missing at $1" 'slot null null null' \
			"$(translated '"\(.missing) \(.hva) \(.pa) \(.state)"')"
		return
	fi
	equal "hva of $1" "$(printf '0x%x' "$hva")" "$(translated .hva)"
	equal "state of $1" 'present null' "$(translated '"\(.state) \(.missing)"')"
	pa=$(translated .pa)
	word_at "$pa"
	equal "what is at $pa, for $1" $(($4)) $((word))
}

check_pages()
{
	local gva gpa bytes marker nr=0

	while read -r gva gpa bytes marker; do
		check_page "$gva" "$gpa" "$bytes" "$marker"
		nr=$((nr + 1))
	done < <(words map)
	[ $nr -ge 9 ] || broken "only $nr pages"
}

# what is not there: see the report
check_holes()
{
	local gva

	for gva in $(words hole) $(words reserved); do
		translate "$gva"
		equal "$gva" 'guest null null null' \
			"$(translated '"\(.missing) \(.gpa) \(.pa) \(.guest_page)"')"
	done
	[ "$mode" != none ] || return
	works vminspect guest walk -J "$pid" "$(words hole)"
	equal 'why the hole' not_present "$(jq -r .fault "$out")"
	works vminspect guest walk -J "$pid" "$(words reserved)"
	equal 'why the reserved bit' reserved_bit "$(jq -r .fault "$out")"
	# an address of no mode
	works vminspect guest walk -J "$pid" 0x8000000000002000
	equal 'what is no address' 'guest not_canonical []' \
		"$(jq -r '"\(.missing) \(.fault) \(.guest_levels)"' "$out")"
}

# check_walk GVA GPA: each entry is there, and each follows from the one before it
check_walk()
{
	local nr

	check_entries "$1"
	judge "walk of $1" "$answer" "
		def low(\$text): \$text[-3:];
		(select(.accesses != if $nr == 0 then null
				     else $nr + (if .missing then 0 else 1 end) end) |
			\"accesses: \\(.accesses), with $nr entries\"),
		(select(.gpa != \"$(printf '0x%x' "$2")\") | \"gpa: \\(.gpa)\"),
		(select(.pa != null and low(.pa) != low(.gpa)) | \"pa: \\(.pa), gpa: \\(.gpa)\"),
		(select(.paging != \"npt\") | .paging)"
}

check_walks()
{
	local gva gpa

	while read -r gva gpa _; do
		check_walk "$gva" "$gpa"
	done < <(words map)
}

# The last nested entry leads to the page that the host's tables lead to.
check_agreement()
{
	local gva raw pa size

	while read -r gva _; do
		works vminspect guest walk -J "$pid" "$gva"
		read -r raw pa size < <(jq -r '"\(.nested[-1].raw) \(.pa) \(.nested_page)"' "$out")
		[ "$pa" != null ] || continue
		equal "what the nested table has for $gva" $((pa & -size)) \
			$((raw & 0xffffffffff000 & -size))
	done < <(words map)
}

# check_mode MODE NAME NATIVE: what paging is called, and what it costs natively
check_mode()
{
	start_guest "$1"
	check_pages
	check_holes
	check_walks
	check_agreement
	works vminspect guest walk -J "$pid" 0x2000
	equal 'mode' "$2 $3" "$(jq -r '"\(.mode) \(.native_accesses)"' "$out")"
	equal 'cr3' $(($(words cr3))) $(($(jq -r .cr3 "$out")))
	equal 'registers of one that halted' current "$(jq -r .registers "$out")"
	stop_guest
}

real_mode()
{
	check_mode none none 1
}
promise 'without paging: markers where we say, each entry as the monitor reads it' real_mode

two_levels()
{
	check_mode 32 32-bit 3
}
promise '32-bit paging, 4K and 4M: the same' two_levels

three_levels()
{
	check_mode pae PAE 4
}
promise 'PAE, 4K and 2M: the same' three_levels

four_levels()
{
	check_mode 4 4-level 5
}
promise 'four levels, 4K, 2M and 1G: the same' four_levels

five_levels()
{
	check_mode 5 5-level 6
}
promise 'five levels: the same' five_levels

tells_sizes()
{
	start_guest 4
	works vminspect guest walk -J "$pid" 0x30400000
	equal 'huge in both' '2097152 2097152 2097152 2097152' \
		"$(jq -r '"\(.guest_page) \(.nested_page) \(.host_page) \(.effective_page)"' "$out")"
	works vminspect guest walk -J "$pid" 0x30000000
	equal 'huge in the guest' '2097152 4096 4096' \
		"$(jq -r '"\(.guest_page) \(.nested_page) \(.effective_page)"' "$out")"
	works vminspect guest walk -J "$pid" 0x10004000
	equal 'huge on the host' '4096 2097152 4096' \
		"$(jq -r '"\(.guest_page) \(.nested_page) \(.effective_page)"' "$out")"
	stop_guest
}
promise 'page sizes of both tables, and the smaller one as what the TLB can hold' tells_sizes

follows_to_swap()
{
	local device offset marker

	start_guest 4
	tell 'pageout 3'
	marker=$(words map | awk '$1 == "0x10005000" { print $4 }')
	translate 0x10005000
	equal 'what is missing' 'host swapped null' "$(translated '"\(.missing) \(.state) \(.pa)"')"
	equal 'gpa' 0x50003000 "$(translated .gpa)"
	read -r device offset < <(translated '"\(.swap.device) \(.swap.offset)"')
	check_on_device "$device" "$offset" "$marker"
	works vminspect guest maps -J "$pid"
	equal 'swapped of slot 3' $((2 << 20)) "$(jq '.slots[] | select(.slot == 3) | .swapped' "$out")"

	tell 'touch 3'
	check_page 0x10005000 0x50003000 0x1000 "$marker"
	works vminspect guest walk -J "$pid" 0x10005000
	equal 'nested entry of what the guest has not touched again' 'present []' \
		"$(jq -r '"\(.state) \(.nested[-1].flags)"' "$out")"
	tell run
	works vminspect guest walk -J "$pid" 0x10005000
	equal 'nested entry once it has' true "$(jq '.nested[-1].flags | contains(["present"])' "$out")"

	tell 'pageout 0'
	translate 0x10005000
	equal 'a table that is out' 'host swapped PML4 null null' \
		"$(translated '"\(.missing) \(.state) \(.level) \(.gpa) \(.pa)"')"
	tell run
	check_pages
	stop_guest
}
promise 'what the host has swapped out: on which device and where, data and tables' follows_to_swap

follows_changes()
{
	start_guest 4
	tell 'unmap 0x10000000'
	translate 0x10000000
	equal 'unmapped' 'guest null' "$(translated '"\(.missing) \(.gpa)"')"
	tell 'remap 0x10000000'
	translate 0x10000000
	equal 'mapped again' 'null 0x600000' "$(translated '"\(.missing) \(.gpa)"')"
	tell 'delete 2'
	translate 0x10004000
	equal 'without its slot' 'slot 0x40007000 null' "$(translated '"\(.missing) \(.gpa) \(.hva)"')"
	works vminspect guest maps -J "$pid"
	equal 'slots left' '[0,1,3]' "$(jq -c '[.slots[].slot]' "$out")"
	stop_guest
}
promise 'a page unmapped by the guest, a slot taken from it: the link that is missing' follows_changes

lists_slots()
{
	start_guest 4 -d -2
	works vminspect guest maps -J "$pid"
	jq -r '.slots[] | "\(.slot) \(.as) \(.gpa) \(.size) \(.hva)"' "$out" >"$scratch/got"
	words slot | while read -r id as gpa bytes address _; do
		printf '%d %d 0x%x %d 0x%x\n' "$id" "$as" "$gpa" "$bytes" "$address"
	done >"$scratch/wanted"
	same 'slots' "$scratch/wanted" "$scratch/got"
	equal 'flags' '[[],["readonly"],["log_dirty"],[]]' "$(jq -c '[.slots[].flags]' "$out")"
	equal 'huge' "[0,0,$((4 << 20)),0]" "$(jq -c '[.slots[].huge]' "$out")"
	equal 'resident' "[$((16 << 20)),$((2 << 20)),$((4 << 20)),$((2 << 20))]" \
		"$(jq -c '[.slots[].resident]' "$out")"
	works vminspect guest list -J
	equal 'the guest' "$pid guest 2 $((24 << 20)) $((24 << 20)) $((4 << 20)) 0 0 npt" \
		"$(jq -r '.guests[0] | "\(.pid) \(.comm) \(.vcpus) \(.memory) \(.resident) \(.huge) \(.swapped) \(.unpopulated) \(.paging)"' "$out")"
	equal 'its descriptor' "$(words vm)" "$(jq '.guests[0].vm_fd' "$out")"
	stop_guest
}
promise 'list and maps: slots, flags, what the host has of them' lists_slots

# The same as text, of two guests at once, in pieces of a few bytes.
shows_text()
{
	local other

	start_guest 4 -2
	mkfifo "$scratch/never"
	"$guest" none <>"$scratch/never" >"$scratch/other" 2>&1 &
	other=$!
	for _ in {1..100}; do
		! grep -q ready "$scratch/other" || break
		sleep 0.1
	done
	dd if=/sys/kernel/debug/vminspect/guests bs=7 status=none >"$scratch/got"
	{
		text_of "$pid" 2 < <(printf '%s\n' "${lines[@]}")
		text_of $other 1 <"$scratch/other"
	} >"$scratch/wanted"
	same 'text' "$scratch/wanted" "$scratch/got"
	kill $other
	wait $other 2>/dev/null
	stop_guest
	equal 'without guests' '' "$(</sys/kernel/debug/vminspect/guests)"
}
promise 'debugfs: the guests of the machine and their slots, as text' shows_text

# Every page of them is where translate has it.
lists_extents()
{
	local gpa pa nr=0

	start_guest 4
	tell 'pageout 3'
	works vminspect guest maps --extents -J "$pid"
	cp "$out" "$scratch/extents"
	judge 'what they cover' "$scratch/extents" '
		def number: .[2:] | explode | reduce .[] as $c (0; . * 16 + if $c > 57 then $c - 87 else $c - 48 end);
		[.extents[] | [.slot, (.end | number) - (.gpa | number)]] | group_by(.[0]) |
		map([.[0][0], (map(.[1]) | add)]) |
		select(. != [[0, 16777216], [1, 2097152], [2, 4194304], [3, 2097152]]) | tojson'
	equal 'states of slot 3' '["swapped"]' \
		"$(jq -c '[.extents[] | select(.slot == 3) | .state] | unique' "$scratch/extents")"
	while read -r gpa pa; do
		translate --gpa "$gpa"
		equal "where $gpa is" "$pa" "$(translated .pa)"
		word_at "$pa"
		((gpa >= 0x100000 && gpa < 0x200000 || gpa == 0x1000)) ||
			equal "what is at $pa" $(($(words base) + gpa / 4096)) $((word))
		nr=$((nr + 1))
	done < <(jq -r '.extents[] | select(.state == "present") | "\(.gpa) \(.pa)"' \
		"$scratch/extents" | head -n 40)
	[ $nr -gt 2 ] || broken "only $nr runs in memory"
	stop_guest
}
promise 'maps --extents: all of the slots, each run where it says' lists_extents

takes_other_tables()
{
	start_guest 4 -c
	translate --cr3 0xf0000000 0x2000
	equal 'CR3 in no slot' 'slot PML4 null' "$(translated '"\(.missing) \(.level) \(.gpa)"')"
	# the table of the top as data: it leads to itself or nowhere, in as many steps as ever
	translate --cr3 0x103000 0x1000
	[ "$(translated .missing)" != null ] || broken 'a table of entries of pages leads somewhere'
	translate --cr3 "$(words cr3)" 0x2000
	equal 'its own CR3, with flags' 0x2000 "$(translated .gpa)"
	translate --gpa 06291456
	equal 'leading zeroes' 0x600000 "$(translated .gpa)"
	translate --gpa 0x600000
	equal 'a guest-physical address' 'null 0x600000 null' \
		"$(translated '"\(.gva) \(.gpa) \(.missing)"')"
	equal 'no table of the guest' 'null null' "$(jq -r '"\(.cr3) \(.mode)"' "$answer")"
	word_at "$(translated .pa)"
	equal 'what is there' $(($(words base) + 0x600)) $((word))
	stop_guest
}
promise '--cr3 and --gpa: other tables, none at all, and tables that are nonsense' takes_other_tables

says_what_registers_are_worth()
{
	start_guest 4 -l -2
	works vminspect guest walk -J "$pid" 0x2000
	equal 'of one that runs' last_exit "$(jq -r .registers "$out")"
	run vminspect guest walk "$pid" 0x2000 --vcpu 1
	check_refusal 1 'has not run yet' vminspect guest walk --vcpu 1
	works vminspect guest walk -J --gpa "$pid" 0x2000 --vcpu 1
	equal 'accesses without a nested table' null "$(jq .accesses "$out")"
	run vminspect guest walk "$pid" 0x2000 --vcpu 7
	check_refusal 1 'no vCPU 7' vminspect guest walk --vcpu 7
	stop_guest
}
promise 'a vCPU that runs, one that never ran, one that there is not' says_what_registers_are_worth

# check_nesting MODE OPTION: while the vCPU runs a guest of the guest, its tables are that one's.
check_nesting()
{
	local why='runs a guest of its own'

	start_guest "$1" "$2"
	refuses 1 "$why" vminspect guest translate "$pid" 0x2000
	run vminspect guest translate -J "$pid" 0x2000 0x3000
	check_refusal 1 "$why" vminspect guest translate -J
	equal 'document' '[[],true]' "$(jq -c '[.translations, .truncated]' "$out")"
	refuses 1 "$why" vminspect guest walk "$pid" 0x2000
	refuses 1 "$why" vminspect guest walk -J --cr3 "$(words cr3)" "$pid" 0x2000
	# what is known without its tables
	translate --gpa 0x600000
	equal 'gpa' '0x600000 present' "$(translated '"\(.gpa) \(.state)"')"
	word_at "$(translated .pa)"
	equal 'what is there' $(($(words base) + 0x600)) $((word))
	works vminspect guest walk -J --gpa "$pid" 0x600000
	equal 'paging' npt "$(jq -r .paging "$out")"
	works vminspect guest maps -J "$pid"
	equal 'slots' '[0,1,2,3]' "$(jq -c '[.slots[].slot]' "$out")"
	works vminspect guest list -J
	equal 'the guest' "$pid 1 $((24 << 20)) npt" \
		"$(jq -r '.guests[0] | "\(.pid) \(.vcpus) \(.resident) \(.paging)"' "$out")"
	text_of "$pid" 1 < <(printf '%s\n' "${lines[@]}") >"$scratch/wanted"
	cat /sys/kernel/debug/vminspect/guests >"$scratch/got"
	same 'text' "$scratch/wanted" "$scratch/got"

	tell leave
	check_page 0x10000000 0x600000 0x1000 "$(words map | awk '$1 == "0x10000000" { print $4 }')"
	works vminspect guest walk -J "$pid" 0x2000
	equal 'cr3 once it has left' $(($(words cr3))) $(($(jq -r .cr3 "$out")))
	stop_guest
}

runs_a_guest_of_its_own()
{
	if [ "$(</sys/module/kvm_amd/parameters/nested)" != 1 ]; then
		skip 'KVM lets its guests have none here'
		return
	fi
	check_nesting 4 -n
	check_nesting 5 -n
	check_nesting 4 -N
}
promise 'a vCPU that runs a guest of its own: refused in a sentence; what needs no tables works' \
	runs_a_guest_of_its_own

# KVM notes where a device is, in entries that look present and are not.
tells_devices_from_memory()
{
	start_guest 4 -m
	# a slot that goes takes all of the nested table with it, one that comes nothing
	tell 'delete 1'
	tell run
	works vminspect guest walk -J "$pid" 0x10006000
	equal 'a device' slot "$(jq -r .missing "$out")"
	tell 'move 1'
	works vminspect guest walk -J "$pid" 0x10006000
	equal 'memory that the guest has not touched yet' 'null present 4096 null []' \
		"$(jq -r '"\(.missing) \(.state) \(.host_page) \(.nested_page) \(.nested[-1].flags)"' "$out")"
	[ "$(jq -r '.nested[-1].level' "$out")" = PT ] || broken 'KVM has noted nothing there'
	tell run
	check_walk 0x10006000 0xf0000000
	equal 'once it has' 4096 "$(jq .nested_page "$answer")"
	stop_guest
}
promise 'memory where a device was: what KVM has noted of the device is no entry' \
	tells_devices_from_memory

takes_no_word_for_encryption()
{
	start_guest 4 -e
	check_pages
	run vminspect guest translate "$pid" 0x2000 --cr3 0x800000100000
	check_refusal 1 encrypted vminspect guest translate, CR3 with the bit
	stop_guest
}
promise 'a guest that was told of SEV and has none; tables that are said to be encrypted' \
	takes_no_word_for_encryption

# A VM that is open twice in its VMM, and in a child that has another address space.
counts_each_once()
{
	start_guest 4
	python3 - "$pid" "$(words vm)" "$scratch/child" <<'EOF' &
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
pidfd = os.pidfd_open(int(sys.argv[1]))
fd = libc.syscall(438, pidfd, int(sys.argv[2]), 0)
os.dup(fd)
open(sys.argv[3], "w").write(str(fd))
time.sleep(1000)
EOF
	child=$!
	for _ in {1..100}; do
		[ ! -s "$scratch/child" ] || break
		sleep 0.1
	done
	works vminspect guest list -J
	equal 'guests' "[$pid] 0" "$(jq -c '[.guests[].pid]' "$out") $(jq .unreadable "$out")"
	run vminspect guest maps "$child"
	check_refusal 1 'is no VM of its own' vminspect guest maps, of a process that has another\'s
	kill $child
	wait $child 2>/dev/null
	stop_guest
}
promise 'a VM that another process has open too is listed once, with its VMM' counts_each_once

# Who may look into the VMM sees the guest, and nothing of the host's memory.
hides_frames()
{
	local user=(setpriv --reuid=1000 --regid=1000 --clear-groups)

	chmod 666 /dev/vminspect /dev/kvm
	# shellcheck disable=SC2034	# start_guest does
	guest_as=("${user[@]}")
	start_guest 4
	# shellcheck disable=SC2034
	guest_as=()
	works "${user[@]}" vminspect guest walk -J "$pid" 0x10000000
	judge 'what is hidden' "$out" '
		(select(.gpa != "0x600000" or .hva == null or .missing != null or .state != "present") |
			"the chain: \(.gpa) \(.hva) \(.missing) \(.state)"),
		(select([.pa, .nested, .swap, .accesses, .nested_page, .effective_page] |
			map(select(. != null)) != []) | "what is not null"),
		(.guest_levels[] | select(.entry_pa != null or .nested != null or .raw == null) | tojson),
		(select(.hidden.pa != "CAP_SYS_ADMIN" or .hidden.nested == null or
			.hidden.accesses == null or .hidden.entry_pa == null) | .hidden | tojson)'
	works "${user[@]}" vminspect guest translate -J "$pid" 0x10000000
	equal 'of translate' '0x600000 null null CAP_SYS_ADMIN' \
		"$(jq -r '"\(.translations[0].gpa) \(.translations[0].pa) \(.translations[0].accesses) \(.hidden.accesses)"' "$out")"
	works "${user[@]}" vminspect guest maps --extents -J "$pid"
	equal 'frames of extents' '[null]' "$(jq -c '[.extents[].pa, .extents[].pfn] | unique' "$out")"
	stop_guest
	chmod 600 /dev/vminspect /dev/kvm
}
promise 'who may look into the VMM alone sees the guest and no frame' hides_frames

refuses_nonsense()
{
	local user=(setpriv --reuid=1000 --regid=1000 --clear-groups)

	run vminspect guest maps $$
	check_refusal 1 'runs no guest' vminspect guest maps $$
	run vminspect guest maps 4194999
	check_refusal 1 'no process' vminspect guest maps 4194999
	start_guest 4
	run vminspect guest maps "$pid" --vm 1
	check_refusal 1 'is no VM' vminspect guest maps --vm 1
	run vminspect guest maps "$pid" --vm "$(words vcpu)"
	check_refusal 1 'is no VM' vminspect guest maps --vm "$(words vcpu)"
	run vminspect guest maps "$pid" --vm 999
	check_refusal 1 'is no VM' vminspect guest maps --vm 999
	chmod 666 /dev/vminspect
	run "${user[@]}" vminspect guest maps "$pid"
	check_refusal 1 'may not be read by you' vminspect guest maps, as another user
	chmod 600 /dev/vminspect
	stop_guest
	for option in '--vm x' '--vcpu -1' '--cr3 x' '--cr3 1 --gpa'; do
		# shellcheck disable=SC2086	# words
		run vminspect guest translate $$ 0 $option
		check_refusal 2 '' vminspect guest translate "$option"
	done
	for words in 'nonsense' 'maps' 'translate 1' 'walk 1' 'walk 1 x' 'walk 1 2 3' 'list 1' \
		'list --vm 4' 'list --gpa' 'translate 1 [heap]' 'translate 1 -5'; do
		# shellcheck disable=SC2086	# words
		run vminspect guest $words
		check_refusal 2 '' vminspect guest "$words"
	done
}
promise 'who runs no guest, what is no VM, who may not look, wrong usage: a sentence' refuses_nonsense

# Pages go out and come in at the addresses that the guest knows them by.
traces_a_guest()
{
	local tracer

	start_guest 4
	vminspect trace -J --to "$scratch/events" "$pid" >"$out" 2>"$err" &
	tracer=$!
	for _ in {1..100}; do
		[ ! -s "$scratch/events" ] || break
		sleep 0.1
	done
	tell 'pageout 3'
	tell 'touch 3'
	kill -INT $tracer
	wait $tracer
	equal 'status of trace' 0 $?
	for kind in swap_out swap_in; do
		jq -r "select(.event == \"$kind\" and .gpa != null) | .gpa" "$scratch/events" | sort \
			>"$scratch/got"
		seq $((0x50000000)) 4096 $((0x501ff000)) | xargs printf '0x%x\n' | sort \
			>"$scratch/wanted"
		same "pages of $kind" "$scratch/wanted" "$scratch/got"
	done
	judge 'gpa and va' "$scratch/events" '
		select(.event == "swap_out" and .gpa != null) |
		select(.gpa[-3:] != .va[-3:]) | tojson'
	stop_guest
}
promise 'trace of a VMM tells the guest-physical address of what goes out and comes back' traces_a_guest

# Translates all the time, until it does not work any more. Says so in $scratch/hunted.
hunt()
{
	local tries=0

	while vminspect guest translate "$1" 0x2000 0x10004000 0x10005000 >"$scratch/hunt" 2>&1; do
		tries=$((tries + 1))
	done
	echo $tries >"$scratch/hunted"
}

survives_changes()
{
	local hunter

	start_guest 4 -l
	hunt "$pid" &
	hunter=$!
	for _ in 1 2 3; do
		tell 'unmap 0x10000000'
		tell 'pageout 3'
		tell 'touch 3'
		tell 'remap 0x10000000'
		tell 'pageout 2'
		tell 'touch 2'
	done
	tell 'delete 2'
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null
	exec {to}>&- {from}<&-
	wait $hunter
	[ "$(<"$scratch/hunted")" -gt 0 ] || broken "it never worked: $(<"$scratch/hunt")"
	equal 'lines of the last message' 1 "$(grep -c '^vminspect' "$scratch/hunt")"
}
promise 'tables, slots and the VMM itself may go while they are walked' survives_changes

leaves_kvm_alone()
{
	start_guest 4
	works vminspect guest translate "$pid" 0x2000
	stop_guest
	rmmod kvm-amd || broken 'kvm-amd cannot be unloaded'
	rmmod kvm irqbypass 2>"$scratch/rmmod" || broken "kvm cannot be unloaded: $(<"$scratch/rmmod")"
	run vminspect guest list
	check_refusal 0 'KVM is not loaded' vminspect guest list
	run vminspect guest maps $$
	check_refusal 1 'KVM is not loaded' vminspect guest maps
	modprobe kvm-amd
}
promise 'afterwards kvm can be unloaded; without it a sentence says so' leaves_kvm_alone

shows_shadow_paging()
{
	rmmod kvm-amd
	modprobe kvm-amd npt=0 || broken 'no kvm-amd npt=0'
	start_guest 4
	works vminspect guest walk -J "$pid" 0x10004000
	equal 'with shadow paging' 'shadow null 0x40007000 []' \
		"$(jq -r '"\(.paging) \(.accesses) \(.gpa) \(.nested)"' "$out")"
	check_pages
	works vminspect guest list -J
	equal 'list' shadow "$(jq -r '.guests[0].paging' "$out")"
	stop_guest
	rmmod kvm-amd
	modprobe kvm-amd
}
promise 'shadow paging is called so, and the chain goes by the slots' shows_shadow_paging

modprobe kvm-amd || exit 1
keep_promises
