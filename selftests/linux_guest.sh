#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Promise: `vminspect guest` follows the addresses of a program in a whole Linux, run by QEMU, down
# to machine memory. Each link has an oracle of its own: what that Linux says (pagemap, smaps,
# kallsyms, iomem; see selftests/vm/inner.c), what its QEMU says, pagemap of that process, and the
# memory as the QEMU around the machine reads it.
# machines: kvm

# shellcheck disable=SC1091,SC2034,SC2154	# what is assigned here or there is used there or here

cd "$(dirname "$(readlink -f "$0")")/.." || exit 1
. selftests/tap.sh
. selftests/vmm.sh

helpers=build/selftests
mode=linux
patience=$((300 * scale))	# seconds: a kernel boots in an emulated machine in an emulated machine
marker=0x$(od -An -N 7 -t x8 /dev/urandom | tr -d ' ')
log=$scratch/log
khugepaged=/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs

# The log of its kernel goes to the first serial port, the second one is for the program. Watchdogs
# would take it for a defect that all is slow.
boot()
{
	local root=$scratch/root

	mkdir "$root"
	cp $helpers/inner "$root/init"
	(cd "$root" && echo init | cpio --quiet -o -H newc) >"$scratch/initrd"
	mkfifo "$scratch/qmp.in" "$scratch/qmp.out"
	start "$VMINSPECT_QEMU" -nodefaults -no-user-config -display none -nic none -no-reboot \
		-machine q35 -accel kvm -cpu host -m 192M -smp 1 \
		-kernel "$VMINSPECT_KERNEL" -initrd "$scratch/initrd" \
		-append "console=ttyS0 quiet panic=-1 nowatchdog rcupdate.rcu_cpu_stall_suppress=1 -- $marker" \
		-serial "file:$log" -serial stdio \
		-chardev "pipe,id=qmp,path=$scratch/qmp" -mon chardev=qmp,mode=control
	if [ -e "$scratch/broken" ]; then
		broken "the program's last words: ${lines[*]: -1}"
		broken "and the kernel's: $(tail -n 5 "$log")"
		end "$pid"
		return
	fi
	exec {qmp_in}<>"$scratch/qmp.in" {qmp_out}<>"$scratch/qmp.out"
	echo '{"execute":"qmp_capabilities"}' >&"$qmp_in"

	equal 'pages of 4K' 9 "$(words page | grep -c '^0x1000 ')"
	equal 'places in a page of 2M' 5 "$(words page | grep -c '^0x200000 ')"
	equal 'the first marker' "$(printf '0x%x' "$marker")" "$(words page | awk 'NR == 1 { print $4 }')"
}
promise 'a Linux boots in QEMU, and its program has small and huge pages' boot

# Without it, each test would wait for answers.
is_up()
{
	kill -0 "$pid" 2>/dev/null || { broken 'it did not boot'; false; }
}

# qemu COMMAND: what the monitor of its QEMU answers. Of other lines, events and the like, none
# begins so.
qemu()
{
	local line

	printf '{"execute":"human-monitor-command","arguments":{"command-line":"%s"}}\n' "$1" \
		>&"$qmp_in"
	while read -r -t 60 -u "$qmp_out" line; do
		[[ $line != '{"return": "'* ]] || break
	done
	jq -r .return <<<"$line" | tr -d '\r'
}

# qemu_address COMMAND: the address at the end of what it says
qemu_address()
{
	qemu "$1" | grep -o '0x[0-9a-f]*$'
}

# pages_of START END STATE: how many the VMM has there, by pagemap; the page of zeroes is none
pages_of()
{
	$helpers/pagemap "$pid" "$1" "$2" | awk -v state="$3" '$2 == state && !/zero/ { nr++ }
		END { print nr + 0 }'
}

# push_out START END: of the VMM's memory. Pages that are new to the kernel's lists stay at first.
push_out()
{
	for _ in {1..50}; do
		works $helpers/pageout "$pid" "$1" "$2"
		[ "$(pages_of "$1" "$2" present)" != 0 ] || return
		sleep 0.2
	done
	broken "$(pages_of "$1" "$2" present) pages from $1 to $2 stay in memory"
}

# check_pages: all of them are where the guest, its QEMU and pagemap say, and the words are there
check_pages()
{
	local bytes gva gpa pa word wanted addresses

	mapfile -t addresses < <(words page | cut -d ' ' -f 2)
	translate "${addresses[@]}"
	jq -r '.translations[] |
		"\(.gva) \(.gpa) \(.hva) \(.pa) \(.state) \(.missing) \(.guest_page)"' \
		"$answer" >"$scratch/got"
	while read -r bytes gva gpa _; do
		echo "$gva $gpa $(qemu_address "gpa2hva $gpa") $(qemu_address "gpa2hpa $gpa")" \
			"present null $((bytes))"
	done < <(words page) >"$scratch/wanted"
	same 'translations' "$scratch/wanted" "$scratch/got"
	while read -r pa wanted; do
		word_at "$pa"
		equal "what is at $pa" $((wanted)) $((word))
	done < <(paste -d ' ' <(cut -d ' ' -f 4 "$scratch/got") <(words page | cut -d ' ' -f 4))
}

# Slots as "AS GPA SIZE", by what QEMU has told KVM.
slots_of_qemu()
{
	local as range

	qemu 'info mtree -f' | awk '
	/^FlatView/ { as = "" }
	/ AS "memory"/ { as = 0 }
	/ AS "KVM-SMRAM"/ { as = 1 }
	/ KVM$/ && as != "" { print as, $1 }' | while read -r as range; do
		printf '%d 0x%x %d\n' "$as" "0x${range%-*}" $((0x${range#*-} + 1 - 0x${range%-*}))
	done
}

lists_it()
{
	local memory

	is_up || return
	memory=$(slots_of_qemu | awk '$1 == 0 { sum += $3 } END { print sum }')
	[ "$memory" -ge $((192 << 20)) ] || broken "QEMU's slots have $memory bytes"
	works vminspect guest list -J
	equal 'guests' "$pid $(<"/proc/$pid/comm") 1 $memory npt" \
		"$(jq -r '.guests[] | "\(.pid) \(.comm) \(.vcpus) \(.memory) \(.paging)"' "$out")"
}
promise 'list: the process, one vCPU, all of the memory' lists_it

# check_sums: each slot has as much in memory and in swap as pagemap has. It must not run.
check_sums()
{
	local gpa size hva resident swapped

	works vminspect guest maps -J "$pid"
	cp "$out" "$answer"
	while read -r gpa size hva resident swapped; do
		equal "in memory of the slot at $gpa" \
			$(($(pages_of "$hva" "$(printf '0x%x' $((hva + size)))" present) * 4096)) "$resident"
		equal "swapped of the slot at $gpa" \
			$(($(pages_of "$hva" "$(printf '0x%x' $((hva + size)))" swapped) * 4096)) "$swapped"
	done < <(jq -r '.slots[] | select(.as == 0) |
		"\(.gpa) \(.size) \(.hva) \(.resident) \(.swapped)"' "$answer")
}

lists_slots()
{
	local as gpa size

	is_up || return
	qemu stop >"$scratch/said"
	check_sums
	jq -r '.slots[] | "\(.as) \(.gpa) \(.size) \(.hva)"' "$answer" | sort >"$scratch/got"
	slots_of_qemu | while read -r as gpa size; do
		echo "$as $gpa $size $(qemu_address "gpa2hva $gpa")"
	done | sort >"$scratch/wanted"
	same 'slots' "$scratch/wanted" "$scratch/got"
	[ "$(wc -l <"$scratch/wanted")" -gt 4 ] || broken 'QEMU has hardly any slots'
	[ "$(jq '[.slots[].resident] | max' "$answer")" -gt $((32 << 20)) ] ||
		broken 'hardly anything of its memory is there'
	equal 'what it may only read' 0xfffc0000 "$(jq -r '
		[.slots[] | select(.flags | contains(["readonly"])) | .gpa] | unique | join(" ")' "$answer")"
	qemu cont >"$scratch/said"
}
promise 'maps: the slots are those that QEMU made, with as much in memory as pagemap has' lists_slots

finds_pages()
{
	is_up || return
	check_pages
}
promise 'translate: pages of its program, where that Linux, QEMU and pagemap have them' finds_pages

# The processor is in the program all the time, in its user half.
finds_pages_of_a_running_program()
{
	is_up || return
	tell spin
	for _ in {1..50}; do
		translate 0x1000
		[ "$(jq -r .registers "$answer")" != last_exit ] || break
	done
	equal 'registers of one that runs' last_exit "$(jq -r .registers "$answer")"
	check_pages
	tell touch
}
promise 'the same while the program does not leave the processor' finds_pages_of_a_running_program

# Where each entry is, in the guest, and what it is: each leads to the next one.
check_chain()
{
	local gpa raw table=$1

	while read -r gpa raw; do
		equal "table of the entry at $gpa" $((table)) $((gpa & -4096))
		table=$((raw & 0xffffffffff000))
	done < <(jq -r '.guest_levels[] | "\(.entry_gpa) \(.raw)"' "$answer")
	equal 'where the last entry leads' $(($2 & -$3)) $((table & -$3))
}

walks()
{
	local size gva gpa nr cr3 cr4

	is_up || return
	# processors set bits of entries
	qemu stop >"$scratch/said"
	cr3=$(qemu 'info registers' | sed -n 's/.*CR3=\([0-9a-f]*\).*/0x\1/p')
	cr4=$(qemu 'info registers' | sed -n 's/.*CR4=\([0-9a-f]*\).*/0x\1/p')
	while read -r size gva gpa _; do
		check_entries "$gva"
		judge "walk of $gva" "$answer" "
			(select(.registers != \"current\") | .registers),
			(select(.gpa != \"$gpa\") | \"gpa: \\(.gpa)\"),
			(select(.accesses != $nr + 1) | \"accesses: \\(.accesses), with $nr entries\"),
			(select(.missing != null or .paging != \"npt\") | \"\\(.missing) \\(.paging)\")"
		equal 'cr3' $((cr3)) $(($(jq -r .cr3 "$answer")))
		check_chain $((cr3 & 0xffffffffff000)) "$gpa" "$size"
		equal 'its mode' $((cr4 >> 12 & 1 ? 5 : 4))-level "$(jq -r .mode "$answer")"
	done < <(words page | awk '!seen[$1]++')
	qemu cont >"$scratch/said"
}
promise 'walk: each entry is in memory where it says, and leads to the next one' walks

finds_the_kernel()
{
	local gva gpa said pa

	is_up || return
	read -r gva gpa < <(words kernel)
	equal "gpa of $gva, by QEMU" "$gpa" "$(qemu_address "gva2gpa $gva")"
	translate "$gva"
	equal "gpa of $gva" "$gpa null" "$(translated '"\(.gpa) \(.missing)"')"
	pa=$(translated .pa)
	said=$(qemu_address "xp/1xg $gpa")
	word_at "$pa"
	equal "what is at $pa" "$said" "$word"
	translate --gpa "$gpa" 0xfec00000
	equal "pa of $gpa" "$pa" "$(translated .pa)"
	equal 'its interrupt controller' 'slot null null' \
		"$(jq -r '.translations[1] | "\(.missing) \(.hva) \(.pa)"' "$answer")"
}
promise 'an address of its kernel, a guest-physical one, and that of a device' finds_the_kernel

tells_what_it_has_not()
{
	local gva gpa

	is_up || return
	translate "$(words hole)"
	equal 'never touched' 'guest null null null' \
		"$(translated '"\(.missing) \(.gpa) \(.pa) \(.state)"')"
	read -r _ gva gpa _ < <(words page)
	translate "$gva"
	equal 'before' "null $gpa" "$(translated '"\(.missing) \(.gpa)"')"
	tell "free $gva"
	translate "$gva"
	equal 'given back' 'guest null null null' \
		"$(translated '"\(.missing) \(.gpa) \(.pa) \(.state)"')"
	mapfile -t lines < <(printf '%s\n' "${lines[@]}" | grep -v " $gva ")
	equal 'what QEMU says of it' Unmapped "$(qemu "gva2gpa $gva" | head -n 1)"
}
promise 'what its program never touched, or has given back: missing in the guest' \
	tells_what_it_has_not

follows_to_swap()
{
	local gva gpa word hva device offset

	is_up || return
	read -r _ gva gpa word < <(words page)
	hva=$(qemu_address "gpa2hva $gpa")
	push_out "$hva" "$(printf '0x%x' $((hva + 4096)))"
	translate "$gva"
	equal 'what is out' "host swapped $gpa $hva null null" \
		"$(translated '"\(.missing) \(.state) \(.gpa) \(.hva) \(.pa) \(.level)"')"
	read -r device offset < <(translated '"\(.swap.device) \(.swap.offset)"')
	check_on_device "$device" "$offset" "$word"
	tell touch
	check_pages
	works vminspect guest walk -J "$pid" "$gva"
	equal 'whether the nested table has it again' true \
		"$(jq '.nested[-1].flags | contains(["present"])' "$out")"
}
promise 'a page that the host has pushed out: on which device and where, until it is touched' \
	follows_to_swap

# Its tables, too, and all of its kernel. It must not run, or it would fetch them.
survives_being_pushed_out()
{
	local hva size

	is_up || return
	qemu stop >"$scratch/said"
	works vminspect guest maps -J "$pid"
	while read -r hva size; do
		push_out "$hva" "$(printf '0x%x' $((hva + size)))"
	done < <(jq -r '.slots[] | select(.as == 0) | "\(.hva) \(.size)"' "$out")
	check_sums
	equal 'in memory' 0 "$(jq '[.slots[].resident] | add' "$answer")"
	translate "$(words page | awk 'NR == 1 { print $2 }')"
	equal 'a table that is out' 'host swapped true null null' \
		"$(translated '"\(.missing) \(.state) \(.level | startswith("PML")) \(.gpa) \(.pa)"')"
	qemu cont >"$scratch/said"
	tell touch -t 300
	check_pages
}
promise 'all of its memory pushed out, tables and all, and fetched again' survives_being_pushed_out

lives_on()
{
	is_up || return
	tell touch
	equal 'its status' 'VM status: running' "$(qemu 'info status' | head -n 1)"
	equal 'complaints of its kernel' '' \
		"$(grep -aE 'BUG|WARNING|Oops|Call Trace|panic|segfault|corrupt' "$log")"
}
promise 'and it lives on: its program answers, its kernel complains of nothing' lives_on

# khugepaged brings back what is swapped to make huge pages of it, whenever it comes by.
restore_khugepaged()
{
	echo "$khugepaged_ms" >$khugepaged
}

modprobe kvm-amd || exit 1
khugepaged_ms=$(<$khugepaged)
at_end+=(restore_khugepaged)
echo 100000000 >$khugepaged
keep_promises
