#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Promise: the virtual machines that other tests look at are what they say. Their tables are walked
# and their memory is read here from outside, through /proc/PID/mem.
# machines: kvm

# shellcheck disable=SC1091,SC2154	# what is not assigned here comes from tap.sh

cd "$(dirname "$(readlink -f "$0")")/.." || exit 1
. selftests/tap.sh
. selftests/vmm.sh

declare -A levels=([32]='22 12' [pae]='30 21 12' [4]='39 30 21 12' [5]='48 39 30 21 12')

# read_memory HVA WORD_SIZE COUNT: words of the process, a line each, as 0x...
read_memory()
{
	dd if="/proc/$pid/mem" bs="$2" skip=$(($1 / $2)) count="$3" 2>/dev/null |
		od -An -v -w"$2" -t "x$2" | sed 's/^ */0x/'
}

# All tables at once: they follow each other.
read_tables()
{
	entry_size=8
	[ "$mode" != 32 ] || entry_size=4
	read -r _ root < <(words table)
	tables=$((root & -4096))
	memory_of $tables
	mapfile -t entries < <(read_memory "$hva" $entry_size \
		$(($(words table | wc -l) * 4096 / entry_size)))
}

# walk GVA: sets entry to the last one for an address, and size to what it stands for
walk()
{
	local table=$root shift

	for shift in ${levels[$mode]}; do
		entry=${entries[(table - tables) / entry_size + (($1 >> shift) & (4096 / entry_size - 1))]}
		size=$((1 << shift))
		# present, and no table
		(((entry & 1) && (shift == 12 || !(entry & 0x80)))) || return 0
		[ "$shift" != 12 ] || return 0
		table=$((entry & 0xffffffffff000))
	done
}

# check_bit WHAT BIT WANTED
check_bit()
{
	equal "$1" "$3" $(((entry & $2) != 0))
}

# check_entry GVA GPA SIZE
check_entry()
{
	local touched=1 written=0 user=0

	! has untouched "$1" || touched=0
	! has written "$1" || written=1
	! has user "$1 .*" || user=1
	walk "$1"
	equal "size at $1" $(($3)) "$size"
	equal "frame at $1" $(($2)) $((entry & 0xffffffffff000 & -size))
	check_bit "present at $1" 0x1 1
	check_bit "accessed at $1" 0x20 $touched
	check_bit "dirty at $1" 0x40 $written
	check_bit "user at $1" 0x4 $user
	[ "$mode" = 32 ] || check_bit "nx at $1" 0x8000000000000000 $user
}

check_tables()
{
	local gva gpa size_there reserved=0x2000

	[ "$mode" != 32 ] || reserved=0x200000
	read_tables
	equal 'where CR3 leads' $((root)) $(($(words cr3) & ~0x1f))
	while read -r gva gpa size_there _; do
		check_entry "$gva" "$gpa" "$size_there"
	done < <(words map)
	walk "$(words hole)"
	equal 'entry of the hole' 0 $((entry))
	walk "$(words reserved)"
	check_bit 'present where a bit is reserved' 0x1 1
	check_bit 'the reserved bit' $reserved 1
}

check_markers()
{
	local gva gpa marker nr=0

	while read -r gva gpa _ marker; do
		memory_of "$gpa"
		if [ -z "$hva" ]; then
			equal "what is at $gva" - "$marker"
			has mmio "$gva $gpa" || broken "no memory at $gva, and no line of mmio"
			continue
		fi
		equal "what is at $gva" $((marker)) $(($(read_memory "$hva" 8 1)))
		[ "$gva" = 0x1000 ] ||
			equal "the marker at $gva" $(($(words base) + gpa / 4096)) $((marker))
		nr=$((nr + 1))
	done < <(words map)
	[ $nr -ge 9 ] || broken "only $nr pages of memory"
}

# The guest has read its markers, else it would not be ready.
check_mode()
{
	start_guest "$1"
	check_markers
	[ "$1" = none ] || check_tables
	tell run
	stop_guest
}

real_mode()
{
	check_mode none
}
promise 'a guest in real mode reads what it should, and halts' real_mode

two_levels()
{
	check_mode 32
	words map | grep -q ' 0x400000 ' || broken 'no page of 4M'
}
promise 'a guest with two levels does, and its tables are what it says' two_levels

three_levels()
{
	check_mode pae
	words map | grep -q ' 0x200000 ' || broken 'no page of 2M'
	((root & 0xfff)) || broken 'the first table is at the start of a page'
}
promise 'a guest with three levels does, and its tables are what it says' three_levels

four_levels()
{
	check_mode 4
	words map | grep -q ' 0x40000000 0x' || broken 'no page of 1G'
}
promise 'a guest with four levels does, and its tables are what it says' four_levels

five_levels()
{
	check_mode 5
	equal 'levels' 5 "$(words table | cut -d ' ' -f 1 | sort -u | wc -l)"
}
promise 'a guest with five levels does, and its tables are what it says' five_levels

options_do()
{
	start_guest 4 -2 -c -d -u 10000000 -u 30000000
	equal 'virtual processors' 2 "$(words vcpu | wc -l)"
	equal 'low bits of CR3' 24 $(($(words cr3) & 0xfff))
	equal 'flags of slot 2' 0x1 "$(words slot | sed -n 's/^2 .* //p')"
	has untouched 0x30000000 || broken '0x30000000 was touched'
	check_tables
	stop_guest
}
promise 'a second processor, bits of CR3, a log of dirty pages, untouched pages are to be had' options_do

with_pcids()
{
	if ! grep -qw pcid /proc/cpuinfo; then
		run "$guest" -p 4
		equal 'status' 1 "$status"
		equal 'messages' 'guest: KVM has no PCIDs for its guests here.' "$(<"$err")"
		skip 'the processor has no PCIDs'
		return
	fi
	start_guest 4 -p
	equal 'PCID' $((0x123)) $(($(words cr3) & 0xfff))
	stop_guest
}
promise 'so are PCIDs' with_pcids

# check_swapped SLOT KB: so much of its memory is swapped out
check_swapped()
{
	local address

	address=$(words slot | awk -v id="$1" '$1 == id { sub("0x", "", $5); print $5 }')
	equal "KB of slot $1 in swap" "$2" "$(awk -v start="$address-" '
		/^[0-9a-f]+-/ { found = index($1, start) == 1 }
		found && $1 == "Swap:" { print $2 }' "/proc/$pid/smaps")"
}

swaps()
{
	start_guest 4 -s
	check_swapped 3 2048
	tell 'touch 3'
	check_swapped 3 0
	tell 'pageout 3'
	check_swapped 3 2048
	check_swapped 2 0
	tell 'pageout 2'
	check_swapped 2 4096
	tell 'pageout 1'
	check_swapped 1 2048
	tell 'pageout 0'
	check_swapped 0 16384
	tell run
	check_markers
	stop_guest
}
promise 'memory goes out and comes in again, and the guest runs with what is out' swaps

unmaps()
{
	start_guest 4
	tell 'unmap 0x10000000'
	read_tables
	walk 0x10000000
	equal 'entry of what was unmapped' 0 $((entry))
	tell run
	tell 'remap 0x10000000'
	check_tables
	tell 'delete 2'
	tell run
	stop_guest
}
promise 'pages are unmapped and mapped again, slots are deleted, and the guest runs with the rest' unmaps

# Clock ticks that the process has spent in guests
guest_time()
{
	awk '{ print $43 }' "/proc/$pid/stat"
}

loops()
{
	local before

	start_guest 4 -l
	before=$(guest_time)
	check_markers
	check_tables
	sleep 1
	[ "$(guest_time)" -gt "$before" ] || broken "it does not run: $before, then $(guest_time)"
	stop_guest
}
promise 'a guest that loops is running' loops

refuses_nonsense()
{
	run "$guest" 4 <<<'delete 7'
	equal 'status' 1 "$status"
	equal 'messages' "guest: There is no slot '7'." "$(<"$err")"
	run "$guest" 6
	equal 'status' 2 "$status"
}
promise 'it refuses what makes no sense' refuses_nonsense

modprobe kvm-amd || exit 1
keep_promises
