#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Promise: the test machine gives the command's output and exit status as they are, notices what
# the command does not, has what it is asked for, and leaves the host alone.
# machines: host

# shellcheck disable=SC1091,SC2154	# what is not assigned here comes from tap.sh

cd "$(dirname "$(readlink -f "$0")")/.." || exit 1
. selftests/tap.sh

machine=$PWD/selftests/vm/run
share=$scratch/share

# Some hosts do not let us see them.
list_modules()
{
	cut -d' ' -f1 /proc/modules 2>/dev/null | sort
}
modules=$(list_modules)

# What the machine leaves behind in its temporary directory is seen. Where we are it is, too.
mkdir "$scratch/tmp" "$scratch/here" "$share"
export TMPDIR=$scratch/tmp
cd "$scratch/here" || exit 1

# QEMU processes that have something to do with our directories
list_machines()
{
	local pid words

	grep -lF "$scratch" /proc/[0-9]*/cmdline | while IFS=/ read -r _ _ pid _; do
		words=$(tr '\0' ' ' <"/proc/$pid/cmdline")
		[[ ${words%% *} != *qemu-system* || $words != *-kernel* ]] || echo "$pid"
	done
} 2>/dev/null

left_nothing()
{
	equal 'left in the temporary directory' '' "$(ls -A "$TMPDIR")"
	equal 'machines that still run' '' "$(list_machines)"
}

# has_message WORDS
has_message()
{
	grep -qF -- "$1" "$err" || broken "'$1' is not in the messages:" "$(tail -n 20 "$err")"
}

# boot STATUS ARGUMENT...: output in $out, messages in $err
boot()
{
	local wanted=$1

	shift
	run env VMINSPECT_SHARE="$share" "$machine" "$@"
	[ "$status" -eq "$wanted" ] ||
		broken "run ${*@Q}: wanted status $wanted, got $status:" "$(tail -n 20 "$err")"
	left_nothing
}

#
# Without booting
#

# misuse WORDS ARGUMENT...
misuse()
{
	local words=$1

	shift
	run "$machine" "$@"
	equal "status of run ${*@Q}" 2 "$status"
	has_message "$words"
	[ ! -s "$out" ] || broken "run ${*@Q} printed $(<"$out")"
}

refuses_wrong_usage()
{
	misuse 'no command'
	misuse 'no command' -m 1G --
	misuse '-x' -x -- true
	misuse '-m' -m
	misuse '-c' -c 0 -- true
	misuse '-c' -c two -- true
	misuse '-m' -m 1T -- true
	misuse '-s' -s 0 -- true
	misuse '-z' -z 1G -- true
	misuse 'exclude' -s 64 -z 64 -- true
	misuse '-t' -t 1h -- true
	misuse '5.10' -k 5.10 -- true
	run env VMINSPECT_TIMEOUT=soon "$machine" true
	equal 'status with a bad time limit' 2 "$status"
	run env VMINSPECT_SCALE=slow "$machine" true
	equal 'status with a bad scale' 2 "$status"
	run "$machine" -h
	equal 'status of -h' 0 "$status"
	grep -q '^usage: run' "$out" || broken '-h does not explain'
	left_nothing
}
promise 'wrong usage is refused in words, and nothing is booted' refuses_wrong_usage

refuses_other_kernels()
{
	local kernel

	for kernel in 6.13 7 6.1.0; do
		misuse "$kernel" -k "$kernel" -- true
	done
}
promise 'a kernel that is not there is refused by name' refuses_other_kernels

refuses_a_module_that_is_not_there()
{
	run env VMINSPECT_KO="$scratch/nosuch.ko" "$machine" true
	equal status 98 "$status"
	has_message nosuch.ko
	left_nothing
}
promise 'a module file that is not there is refused' refuses_a_module_that_is_not_there

#
# Machines that do not come to their end
#

# In the background, until QEMU runs. Sets pid and qemu.
start_machine()
{
	local tries

	"$machine" sleep 1000 >"$out" 2>"$err" &
	pid=$!
	started+=("$pid")
	for ((tries = 0; tries < 600; tries++)); do
		qemu=$(list_machines)
		[ -z "$qemu" ] || return
		sleep 0.1
	done
	broken 'no machine comes up:' "$(<"$err")"
}

uses_kvm_only_where_it_works()
{
	local words

	start_machine
	words=" $(tr '\0' ' ' <"/proc/$qemu/cmdline" 2>/dev/null) "
	kill -TERM "$pid"
	wait "$pid"
	status=$?
	if grep -qwE 'vmx|svm' /proc/cpuinfo; then
		skip 'this processor may have what KVM needs'
		return
	fi
	[[ $words == *' -accel tcg '* ]] || broken "QEMU was started as$words"
	[[ $words != *kvm* ]] || broken "QEMU was started as$words"
}
promise 'KVM is not used where the processor does not have it' uses_kvm_only_where_it_works

# By the test before.
ends_when_told_to()
{
	equal status 143 "$status"
	equal output '' "$(<"$out")"
	left_nothing
}
promise 'a signal to run ends the machine, and nothing is left' ends_when_told_to

# Another of that name is left alone.
ends_in_time()
{
	local other

	mkdir "$scratch/bin"
	cp "$(command -v sleep)" "$scratch/bin/qemu-system-x86_64"
	"$scratch/bin/qemu-system-x86_64" 1000 &
	other=$!
	started+=("$other")
	run env VMINSPECT_TIMEOUT=3 "$machine" -t 1000 sleep 1000
	equal status 124 "$status"
	has_message 'time limit of 3 seconds'
	equal output '' "$(<"$out")"
	left_nothing
	kill -0 "$other" || broken 'it ended the QEMU of somebody else'
	end "$other"
}
promise 'the time limit ends the machine, and no other' ends_in_time

#
# One machine that is looked at closely. What it tells of itself is in the file $share/facts.
#

write_inside()
{
	cat >inside <<-'EOF'
	fact()
	{
		printf '%s\t%s\n' "$1" "$2" >>"$VMINSPECT_SHARE/facts"
	}

	# What is in $1 and does not lead to where we are, to the tree or to the kernel.
	list_strangers()
	{
		tree=$(dirname "$(dirname "$(dirname "$(command -v vminspect)")")")
		ls -A "$1" | while read -r name; do
			case $PWD/:$tree/:$VMINSPECT_KERNEL in
			"$1/$name"/*|*:"$1/$name"/*) ;;
			*) echo "$name" ;;
			esac
		done
	}

	fact arguments "$(printf '<%s>' "$@")"
	fact directory "$PWD"
	fact input "$(wc -c)"
	fact user "$(id -u)"
	fact path "$(command -v vminspect)"
	fact secret "${SECRET-unset}"
	fact passed "${VMINSPECT_PASSED-unset}"
	fact kernel "$(uname -r)"
	fact image "$(grep -qaF "$(uname -r) " "$VMINSPECT_KERNEL" && uname -r)"
	fact qemu "$("$VMINSPECT_QEMU" --version | sed -n '1s/ .*//p')"
	fact processors "$(nproc)"
	fact memory "$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
	fact swaps "$(sed 1d /proc/swaps | awk '{ print $2, $3 }')"
	fact tmp "$(list_strangers /tmp)"
	fact run "$(list_strangers /run)"
	fact loopback "$(cat /sys/class/net/lo/flags)"
	fact module "$(cat /sys/module/vminspect/parameters/mode 2>/dev/null)"
	fact device "$(stat -c %a /dev/vminspect)"
	for type in debugfs tracefs cgroup2; do
		fact "$type" "$(awk -v type=$type '$3 == type { print $2 }' /proc/mounts)"
	done
	echo +memory >/sys/fs/cgroup/cgroup.subtree_control
	fact controllers "$(cat /sys/fs/cgroup/cgroup.subtree_control)"
	modprobe loop
	fact loop "$(ls -d /sys/module/loop)"
	modprobe -r vminspect
	fact unloaded "$(ls -d /sys/module/vminspect 2>&1)"
	modprobe vminspect mode=0666
	fact reloaded "$(stat -c %a /dev/vminspect)"
	fact physmem "$(physmem 0xffff0 1)"
	fact devmem "0x$(dd if=/dev/mem bs=8 skip=$((0xffff0 / 8)) count=1 2>/dev/null |
		od -A n -t x8 | tr -d ' ')"
	touch new /root/vminspect-was-here /etc/vminspect-was-here /tmp/vminspect-was-here
	rm -f old
	fact written "$(ls -d new /root/vminspect-was-here old 2>/dev/null | tr '\n' ' ')"
	EOF
}

# Every byte, also those that a terminal would act on, and enough of them to be relayed in pieces.
# What comes last is not a newline.
write_blob()
{
	local i

	for ((i = 0; i < 256; i++)); do
		printf '%b' "\\0$(printf %o "$i")"
	done >bytes
	for ((i = 0; i < 1024; i++)); do
		cat bytes
	done >blob
	printf '\nno newline' >>blob
}

output_is_exact()
{
	write_inside
	write_blob
	touch old
	SECRET=1 VMINSPECT_PASSED="it's \$here" VMINSPECT_MODARGS=mode=0640 boot 0 -m 1G -c 2 -s 64 -- \
		sh -c '. ./inside; cat blob; printf error >&2' sh 'two words' "it's" '$HOME' '' $'a\nb'
	(cat blob; printf error) >wanted
	cmp wanted "$out" >"$scratch/difference" || broken "$(<"$scratch/difference")"
}
promise 'what the command prints comes out byte by byte, and nothing else' output_is_exact

# fact NAME WANTED
fact()
{
	equal "$1" "$2" "$(sed -n "s/^$1\t//p" "$share/facts")"
}

command_is_run_as_given()
{
	equal arguments '<two words><it'\''s><$HOME><><a' "$(sed -n 's/^arguments\t//p' "$share/facts")"
	fact directory "$(pwd -P)"
	fact input 0
	fact user 0
	fact path "${machine%/selftests/*}/build/bin/vminspect"
	fact secret unset
	fact passed "it's \$here"
}
promise 'the command has its words, its directory, our tool, and of the environment ours alone' \
	command_is_run_as_given

machine_is_as_asked()
{
	local kilobytes

	fact processors 2
	kilobytes=$(sed -n 's/^memory\t//p' "$share/facts")
	if [ "${kilobytes:-0}" -lt $((900 * 1024)) ] || [ "$kilobytes" -gt $((1024 * 1024)) ]; then
		broken "it has $kilobytes kB of memory for -m 1G"
	fi
	fact swaps 'partition 65532'
	fact tmp ''
	fact run ''
	fact loopback 0x9
	fact debugfs /sys/kernel/debug
	fact tracefs /sys/kernel/tracing
	fact cgroup2 /sys/fs/cgroup
	fact controllers memory
}
promise 'processors, memory, swap, file systems and network are there as asked' machine_is_as_asked

module_is_loaded()
{
	fact device 640
	fact loop /sys/module/loop
	grep -q '^unloaded.*No such file' "$share/facts" || broken 'modprobe -r does not unload'
	fact reloaded 666
}
promise 'our module is loaded as asked, and modprobe finds it and others' module_is_loaded

monitor_reads_memory()
{
	local word

	word=$(sed -n 's/^devmem\t//p' "$share/facts")
	[[ $word =~ ^0x[0-9a-f]{16}$ && $word != 0x0000000000000000 ]] ||
		broken "nothing to compare: $word"
	fact physmem "$word"
}
promise 'physmem reads physical memory' monitor_reads_memory

another_may_run_inside()
{
	fact image "$(sed -n 's/^kernel\t//p' "$share/facts")"
	fact qemu QEMU
}
promise 'the image of its kernel and a QEMU are at hand' another_may_run_inside

host_is_left_alone()
{
	local i

	fact written '/root/vminspect-was-here new '
	equal 'our directory' 'blob bytes inside old wanted' "$(echo *)"
	for i in /root /etc /tmp; do
		[ ! -e "$i/vminspect-was-here" ] || broken "there is a new file in $i"
	done
	equal 'modules of this kernel' "$modules" "$(list_modules)"
}
promise 'what was written inside is not on the host, nor is our module in its kernel' \
	host_is_left_alone

#
# How it ends
#

statuses_are_those_of_the_command()
{
	rm "$share/facts"
	boot 3 -m 512M -c 1 -z 64 -q '-cpu Nehalem -smp 3' -- sh -c 'sed 1d /proc/swaps; nproc
		grep -m 1 "^model name" /proc/cpuinfo; exit 3'
	mapfile -t lines <"$out"
	[[ ${lines[0]-} == /dev/zram0* ]] || broken "no swap on zram: ${lines[0]-}"
	equal 'processors for -smp 3' 3 "${lines[1]-}"
	[[ ${lines[2]-} == *Nehalem* ]] || broken "not the processor asked for: ${lines[2]-}"

	boot 127 -- nosuchcommand
	[[ $(<"$out") == *nosuchcommand*'not found'* ]] || broken "it printed: $(<"$out")"

	VMINSPECT_KO=none boot 137 -- sh -c 'ls /dev/vminspect; kill -KILL $$'
	[[ $(<"$out") == *'No such file'* ]] || broken "with no module: $(<"$out")"
}
promise 'the exit status is the command'\''s: a number, 127 if there is none, 128 and a signal' \
	statuses_are_those_of_the_command

kernel_log_is_read()
{
	boot 99 -- sh -c 'echo "------------[ cut here ]------------" >/dev/kmsg; echo done'
	equal output 'done' "$(<"$out")"
	has_message 'cut here'
}
promise 'a warning in the kernel log is a failure though the command succeeds' kernel_log_is_read

# A loop device holds a file when all processes are gone.
module_must_go()
{
	boot 98 -m 1G -- sh -c 'modprobe loop; losetup -rf /sys/kernel/debug/vminspect/info'
	has_message 'vminspect is still in use'
}
promise 'a module that is still in use at the end is a failure though the command succeeds' module_must_go

# What checkers of the kernel say first, and what is said where nothing is wrong.
reports()
{
	cat <<-'EOF'
	BUG: KASAN: slab-out-of-bounds in lkdtm_SLAB_LINEAR_OVERFLOW+0x8d/0xf0 [lkdtm]
	BUG: sleeping function called from invalid context at include/linux/sched/mm.h:274
	BUG: using smp_processor_id() in preemptible [00000000] code: vminspect/512
	BUG: MAX_LOCKDEP_ENTRIES too low!
	WARNING: possible circular locking dependency detected
	WARNING: inconsistent lock state
	WARNING: suspicious RCU usage
	INFO: trying to register non-static key.
	turning off the locking correctness validator.
	UBSAN: shift-out-of-bounds in module/entry.c:12:3
	ODEBUG: free active (active state 0) object type: timer_list hint: 0x0
	unreferenced object 0xffff888008abcd00 (size 64):
	kmemleak: Kernel memory leak detector disabled
	kmemleak: Memory pool empty, consider increasing CONFIG_DEBUG_KMEMLEAK_MEM_POOL_SIZE
	kernel BUG at mm/page_table_check.c:122!
	INFO: task vminspect:512 blocked for more than 300 seconds.
	watchdog: BUG: soft lockup - CPU#1 stuck for 52s! [vminspect:512]
	rcu: INFO: rcu_preempt self-detected stall on CPU
	mm/pgtable-generic.c:50: bad pmd ffff888008abcd00(8000000012345067)
	mm/pgtable-generic.c:36: bad p4d 00000000c01dcafe(0000000000000bad)
	get_swap_device: Bad swap file entry 5800000000001234
	swap_info_get: Bad swap offset entry 0fffffff
	_swap_info_get: Unused swap offset entry 00001234
	swap_free: Unused swap file entry 5800000000001234
	list_del corruption, ffff888008abcd00->next is LIST_POISON1
	EOF
}

remarks()
{
	cat <<-'EOF'
	kmemleak: Kernel memory leak detector initialized (mem pool available: 34567)
	kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)
	kmemleak: none of ours: kmalloc_trace+0x2a/0x90 acpi_init+0x12/0x40
	kasan: KernelAddressSanitizer initialized
	Lock dependency validator: Copyright (c) 2006 Red Hat, Inc., Ingo Molnar
	ODEBUG selftest passed
	traps: kinds[512] general protection fault ip:55d sp:7ff error:0 in kinds[55d+1000]
	storm invoked oom-killer: gfp_mask=0x140cca, order=0, oom_score_adj=0
	Call Trace:
	EOF
}

# What the kernel has wrong itself: see the script. $1 is what stands in its middle.
kernels_own()
{
	cat <<-EOF
	------------[ cut here ]------------
	WARNING: CPU: 1 PID: 110 at include/linux/fs.h:509 hugetlb_split+0x1d7/0x270
	Modules linked in:
	Call Trace:
	 __vma_adjust+0x1031/0x1c70
	$1
	---[ end trace 0000000000000000 ]---
	EOF
}

reports_are_told_from_remarks()
{
	local complaint=${machine%/run}/complaint line

	reports | while read -r line; do
		printf '[    1.5] before\n[    2.5] %s\r\n[    3.5] after\n' "$line" >log
		"$complaint" log | grep -qF -- "$line" || broken "nobody complains of: $line"
	done
	{ remarks; kernels_own mprotect_fixup+0x59e/0x760; } | sed 's/^/[    2.5] /' >log
	equal 'complaint of what is none' '' "$("$complaint" log)"
	reports | while read -r line; do
		[[ $line == BUG:* || $line == WARNING:* ]] || continue
		kernels_own "$line" | sed 's/^/[    2.5] /' >log
		"$complaint" log | grep -qF -- "$line" || broken "nobody complains, in another warning, of: $line"
	done
	{ kernels_own ''; kernels_own '' | sed 's/hugetlb_split/vmi_walk_range/'; } | sed 's/^/[    2.5] /' >log
	"$complaint" log | grep -q 'vmi_walk_range' || broken 'nobody complains of the second warning'
	rm log
}
promise 'what each checker of the kernel reports is noticed, and no remark is taken for a report' \
	reports_are_told_from_remarks

panic_is_noticed()
{
	boot 99 -- sh -c 'echo before; echo c >/proc/sysrq-trigger; sleep 100'
	equal output 'before' "$(<"$out")"
	has_message 'sysrq'
}
promise 'a panic is a failure, and shown' panic_is_noticed

reader_may_go_away()
{
	"$machine" yes 2>"$err" | head -n 1 >"$out"
	equal status 141 "${PIPESTATUS[0]}"
	equal output y "$(<"$out")"
	left_nothing
}
promise 'when nobody reads the output any more the machine ends' reader_may_go_away

#
# The kernel that finds errors, if it has been built.
#

# found WORDS COMMAND
found()
{
	boot 99 -k debug -m 1G -- sh -c "$2"
	has_message "$1"
}

finds_errors()
{
	local trigger='modprobe lkdtm; cat >/sys/kernel/debug/provoke-crash/DIRECT'

	"${machine%/run}/debug-kernel" -q || { skip 'it has not been built; make check-debug does'; return; }
	boot 0 -k debug -- sh -c 'uname -r; echo "$VMINSPECT_SCALE"; vminspect info >/dev/null'
	equal output $'vminspect-debug\n6' "$(sed 's/^[0-9.]*-//' "$out")"
	found 'KASAN: slab-out-of-bounds' "echo SLAB_LINEAR_OVERFLOW | { $trigger; }"
	found 'unreferenced object' 'modprobe kmemleak-test; rmmod kmemleak-test'
}
promise 'the kernel that finds errors finds writes beyond an object and memory that is lost' finds_errors

keep_promises
