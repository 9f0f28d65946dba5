#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Promise: whatever is wrong, with the command line, the process, the module or the output, the tool
# ends with the right exit status and one sentence that names it; it prints nothing else, or what
# it knew until then, as valid JSON if that was asked for.
# machines: default

# shellcheck disable=SC1091,SC2154	# what is not assigned here comes from tap.sh

cd "$(dirname "$(readlink -f "$0")")/.." || exit 1
. selftests/tap.sh

user=(setpriv --reuid=1000 --regid=1000 --clear-groups)
commands=('maps self' 'maps --extents self' 'walk self [stack]' 'translate self 0x1000' ps info)

# each_refuses STATUS WORDS [WRAPPER...]: every command refuses, in text and in JSON.
each_refuses()
{
	local wanted=$1 words=$2 command

	shift 2
	for command in "${commands[@]}"; do
		# shellcheck disable=SC2086	# words
		refuses "$wanted" "$words" "$@" vminspect $command
		# shellcheck disable=SC2086
		refuses "$wanted" "$words" "$@" vminspect $command -J
	done
}

# Copies can be run by others too, wherever the tree lies.
copy_programs()
{
	mkdir "$scratch/bin"
	cp build/bin/vminspect build/selftests/{forge,specimen} "$scratch/bin"
	PATH=$scratch/bin:$PATH
}

# Its memory takes the tool more than one call, and a pipe full of output.
start_big()
{
	start specimen dense 40
	big=$pid
}

#
# The command line
#

refuses_unknown_options()
{
	local command

	for command in maps walk translate ps swap info; do
		refuses 2 '-x' vminspect "$command" -x
		refuses 2 '--bogus' vminspect "$command" --bogus
		refuses 2 '--json=yes' vminspect "$command" --json=yes
		refuses 2 '-o' vminspect "$command" -o
		refuses 2 '--output' vminspect "$command" --output
		refuses 2 'exclude' vminspect "$command" -J -r
	done
	refuses 2 '-x' vminspect maps -Jx self
	refuses 2 '--e' vminspect maps --e=1 self
	refuses 2 '--range' vminspect maps self --range
	refuses 2 '--o' vminspect maps --o self
	refuses 2 "'bogus'" vminspect bogus
	refuses 2 '-x' vminspect -x
	refuses 2 "''" vminspect ''
	refuses 2 'a command is needed' vminspect
	refuses 2 'no option -x' vminspect maps --json -xJ self
}
promise 'options that do not exist or lack an argument are wrong usage' refuses_unknown_options

refuses_missing_arguments()
{
	refuses 2 PID vminspect maps
	refuses 2 PID vminspect maps self 1
	refuses 2 PID vminspect swap self 1
	refuses 2 PID vminspect walk
	refuses 2 address vminspect walk self
	refuses 2 PID vminspect walk self 0x1000 0x2000
	refuses 2 PID vminspect translate
	refuses 2 address vminspect translate self
	refuses 2 PID vminspect translate -f /dev/null
	refuses 2 "'self'" vminspect ps self
	refuses 2 "'self'" vminspect info self
}
promise 'too few or too many arguments are wrong usage' refuses_missing_arguments

refuses_options_that_do_not_go_together()
{
	refuses 2 exclude vminspect maps --extents --pages self
	refuses 2 --all vminspect maps --all self
	refuses 2 --split vminspect maps --split dirty self
}
promise 'options that do not go together are wrong usage' refuses_options_that_do_not_go_together

refuses_unknown_names()
{
	refuses 2 "'bogus'" vminspect maps -o bogus self
	refuses 2 "'MAPPING'" vminspect maps -o MAPPING self
	refuses 2 "'PRESENT'" vminspect maps --extents -o START,PRESENT self
	refuses 2 "'bogus'" vminspect maps -J -o +bogus self
	refuses 2 "''" vminspect maps -o START, self
	refuses 2 "''" vminspect maps -o '' self
	refuses 2 "'VA'" vminspect walk -o VA self 0x1000
	refuses 2 "'LEVEL'" vminspect translate -o LEVEL self 0x1000
	refuses 2 "'VA'" vminspect ps -o VA
	refuses 2 "'VA'" vminspect info -o VA
	refuses 2 "'bogus'" vminspect ps --sort bogus
	refuses 2 "'bogus'" vminspect ps --sort -bogus
	refuses 2 "''" vminspect ps --sort ''
	refuses 2 "'bogus'" vminspect maps --only bogus self
	refuses 2 "'bogus'" vminspect maps --only swapped,bogus self
	refuses 2 "''" vminspect maps --only '' self
	refuses 2 "'write'" vminspect maps --extents --split write self
	refuses 2 "'swapped'" vminspect maps --extents --split swapped self
}
promise 'columns, states and flags that do not exist are wrong usage' refuses_unknown_names

refuses_garbage_for_a_pid()
{
	local word

	for word in abc 12x '' 0 01 0x10 1.5 ' 1' '1 ' /proc/1 '*' selfish 1/../2; do
		refuses 2 "'$word'" vminspect maps "$word"
	done
	for word in -1 -12; do
		refuses 2 "'-1" vminspect maps "$word"
		refuses 2 "'$word'" vminspect maps -- "$word"
	done
	refuses 2 "'abc'" vminspect walk abc 0x1000
	refuses 2 "'abc'" vminspect translate abc 0x1000
	refuses 2 "'abc'" vminspect translate -J -f /dev/null abc
}
promise 'what is no pid is wrong usage' refuses_garbage_for_a_pid

#
# Addresses
#

refuses_what_is_no_address()
{
	local word

	for word in 0xzz 0x 12ab 0x12g '' cafe 1e5 '[heap' '[heap]x+5' +5 0x1000,0x2000; do
		refuses 2 "'$word'" vminspect walk "$big" "$word"
	done
	refuses 2 "'0xzz'" vminspect walk -J "$big" 0xzz
	refuses 2 "'0xzz'" vminspect translate -J "$big" 0x1000 0xzz
	refuses 2 "'-1" vminspect walk "$big" -1
	refuses 2 "'-0x1000'" vminspect walk -- "$big" -0x1000
	refuses 2 "'-5'" vminspect translate -- "$big" 0x1000 -5
	for word in 0x10000000000000000 18446744073709551616; do
		refuses 2 '64 bits' vminspect walk "$big" "$word"
		refuses 2 "'$word'" vminspect translate -J "$big" "$word"
	done
}
promise 'what is no address, a negative or a too long one is wrong usage' refuses_what_is_no_address

# refuses_midway STATUS WORDS COMMAND...: as refuses, but for JSON with what came before
refuses_midway()
{
	local wanted=$1 words=$2

	shift 2
	run "$@"
	check_refusal "$wanted" "$words" "$@"
	judge "${*@Q}" "$out" 'select(.schema != 1 or .truncated != true or
			(has("resume") and (.resume | type) != "string"))
		| "\(tojson) does not say that it is not all"'
}

refuses_addresses_of_nobody()
{
	local levels end half address kernel

	works vminspect info -r -n
	levels=$(sed -n 's/^levels //p' "$out")
	end=$(sed -n 's/^va_end //p' "$out")
	half=$((1 << (levels == 5 ? 56 : 47)))
	for address in $((-half)) -4096 -1; do
		printf -v kernel '0x%x' "$address"
		refuses 1 "$kernel lies in the kernel" vminspect walk "$big" "$kernel"
	done
	for address in $half $((-half - 1)); do
		printf -v address '0x%x' "$address"
		refuses 1 "$address is not canonical" vminspect walk "$big" "$address"
	done
	refuses 1 "$end is beyond" vminspect walk "$big" "$end"
	refuses 1 "$end is beyond" vminspect translate -r -n "$big" "$end"
	refuses 1 "$end is beyond" vminspect walk -J "$big" "$end"
	refuses_midway 1 "$kernel lies in the kernel" vminspect translate -J "$big" 0x1000 "$kernel"
	works vminspect walk "$big" "$(printf '0x%x' $((end - 1)))"
}
promise 'addresses of the kernel, that are not canonical, beyond the end: refused, each for what it is' \
	refuses_addresses_of_nobody

refuses_unknown_places()
{
	local word

	for word in '[nosuch]' nosuch.so '/nosuch/file' '[heap]+0x7ffffffff000' libc.so.6+0x7f00000000; do
		refuses 1 "${word%+*}" vminspect walk "$big" "$word"
	done
	refuses 1 '[nosuch]' vminspect walk -J "$big" '[nosuch]'
	refuses_midway 1 '[nosuch]' vminspect translate -J "$big" 0x1000 '[nosuch]'
}
promise 'a place in a mapping that the process does not have is refused' refuses_unknown_places

refuses_ranges_that_are_none()
{
	local word

	for word in 0x1000-0x1000 0x2000-0x1000 0x1000-0x2001 0x1001-0x2000 0x1000-0x10000000000000000 \
		0x10000000000000000-0x1000 0x1000 0x1000- -0x1000 '' - 0x1000-0xzz 0xzz-0x1000 \
		0x1000-0x2000-0x3000; do
		refuses 2 '' vminspect maps --range="$word" "$big"
	done
	refuses 2 'not a range' vminspect maps -J --extents --range=0x1000 "$big"
	refuses 2 'empty' vminspect maps --range 0x1000-0x1000 "$big"
	refuses 2 'reversed' vminspect maps --range 0x2000-0x1000 "$big"
	refuses 2 'aligned' vminspect maps --range 0x1000-0x2001 "$big"
	refuses 2 'reversed' vminspect maps --range '[stack]-[heap]' "$big"
}
promise 'ranges that are empty, reversed, not aligned or no ranges are wrong usage' \
	refuses_ranges_that_are_none

refuses_ranges_elsewhere()
{
	refuses 1 '[nosuch]' vminspect maps --range '[nosuch]' "$big"
	refuses 1 'nosuch.so' vminspect maps -J --range nosuch.so "$big"
	refuses 1 '[nosuch]' vminspect maps -J --range '[nosuch]-[heap]' "$big"
	refuses 1 'kernel' vminspect maps --range 0x1000-0xffff888000001000 "$big"
	refuses 1 '0xffff888000000000' vminspect maps --range 0xffff888000000000-0xffff888000001000 \
		"$big"
	works vminspect maps --range 0x1000-0x2000 -r -n "$big"
	[ ! -s "$out" ] || broken "a range without mappings: $(<"$out")"
}
promise 'a range of a mapping that is not there, or of the kernel, is refused' \
	refuses_ranges_elsewhere

# What was asked for before the bad line is answered.
refuses_bad_lines()
{
	local file=$scratch/lines

	printf '%s\n' 0x1000 '# comment' bogus/ 0xzz 0x2000 >"$file"
	refuses_midway 1 "$file:3" vminspect translate -J -f "$file" "$big"
	printf '%s\n' 0x1000 '# comment' 0xzz 0x2000 >"$file"
	refuses_midway 2 "$file:3" vminspect translate -J -f "$file" "$big"
	judge 'what came before' "$out" '.translations | map(.va) | select(. != ["0x1000"]) | tojson'
	run vminspect translate -r -n -o VA -f "$file" "$big"
	check_refusal 2 "$file:3" vminspect translate -f "$file"
	equal 'what came before in text' 0x1000 "$(<"$out")"
	run vminspect translate -r -n -f - "$big" <"$file"
	check_refusal 2 'standard input:3' vminspect translate -f -

	printf '0x1000\0 0x2000\n' >"$file"
	run vminspect translate -r -n -f "$file" "$big"
	check_refusal 2 "$file:1" vminspect translate -f 'a file with a zero byte'
	head -c 100000 /dev/zero | tr '\0' 1 >"$file"
	run vminspect translate -r -n -f "$file" "$big"
	check_refusal 2 "$file:1" vminspect translate -f 'a file of one long line'
	[ "$(wc -c <"$err")" -lt 1000 ] || broken 'the sentence repeats the whole line'
	# no part of it may be taken for a line
	{ echo 0x1000; head -c 65532 /dev/zero | tr '\0' ' '; echo 0x2000; } >"$file"
	run vminspect translate -r -n -o VA -f "$file" "$big"
	check_refusal 2 "$file:2" vminspect translate -f 'a file with a long line of spaces'
	equal 'what came before the long line' 0x1000 "$(<"$out")"
	refuses 1 'No such file' vminspect translate "$big" -f "/tmp/$(printf '%0200d/%0200d' 1 2)"
	head -c 1000 /dev/urandom >"$file"
	echo >>"$file"
	run vminspect translate -r -n -f "$file" "$big"
	[[ $status -eq 1 || $status -eq 2 ]] || broken "a file of random bytes: status $status"
}
promise 'a bad line of a file of addresses is named by its number' refuses_bad_lines

refuses_bad_files()
{
	refuses 1 "$scratch/nosuch" vminspect translate -f "$scratch/nosuch" "$big"
	refuses 1 "$scratch/nosuch" vminspect translate -J -f "$scratch/nosuch" "$big"
	run vminspect translate -r -n -f "$scratch" "$big"
	check_refusal 1 "$scratch" vminspect translate -f DIRECTORY
	run vminspect translate -r -n -f - "$big" <&-
	check_refusal 1 'standard input' vminspect translate -f - '<&-'
}
promise 'a file of addresses that cannot be read is named' refuses_bad_files

#
# Processes
#

refuses_processes_that_are_none()
{
	local gone

	true &
	gone=$!
	wait $gone
	refuses 1 "$gone" vminspect maps "$gone"
	refuses 1 "$gone" vminspect maps -J --extents "$gone"
	refuses 1 "$gone" vminspect walk "$gone" 0x1000
	refuses 1 "$gone" vminspect translate -J "$gone" 0x1000
	refuses 1 "$gone" vminspect translate -J -f /dev/null "$gone"
	refuses 1 99999999999999999999 vminspect maps 99999999999999999999
}
promise 'a process that does not exist is named' refuses_processes_that_are_none

# A shell that becomes sleep will not wait for its child. The child's pid is on its output.
start_zombie()
{
	local state=

	exec {pipe}< <(exec sh -c 'sleep 0 & echo $!; exec sleep 1000')
	started+=($!)
	read -r -u "$pipe" zombie
	until [ "$state" = Z ]; do
		read -r _ _ state _ <"/proc/$zombie/stat"
	done
}

refuses_processes_without_memory()
{
	start_zombie
	refuses 1 "$zombie" vminspect maps "$zombie"
	refuses 1 'zombie' vminspect maps "$zombie"
	refuses 1 'zombie' vminspect walk -J "$zombie" 0x1000
	refuses 1 'zombie' vminspect translate -J "$zombie" 0x1000
	# kthreadd
	refuses 1 'kernel thread' vminspect maps 2
	refuses 1 'kernel thread' vminspect walk -J 2 0x1000
	refuses 1 'kernel thread' vminspect translate -J 2 0x1000
}
promise 'a zombie and a kernel thread are called what they are' refuses_processes_without_memory

# The tool has more to print than a pipe holds; while it waits its process ends.
show_ending()
{
	local first reader

	start specimen dense 40
	mkfifo "$scratch/slow"
	"$@" "$pid" >"$scratch/slow" 2>"$err" &
	exec {reader}<"$scratch/slow"
	IFS= read -r -u "$reader" first
	sleep 0.5
	end "$pid"
	(echo "$first"; cat <&"$reader") >"$out"
	exec {reader}<&-
	wait $!
	status=$?
	rm "$scratch/slow"
}

notices_that_a_process_ends()
{
	show_ending vminspect maps --pages -J
	check_refusal 1 "$pid" vminspect maps --pages -J
	judge 'what came before' "$out" '
		(select(.truncated != true) | "it does not say that it is not all"),
		(select(.extents[-1].end > .resume) | "it ends at \(.extents[-1].end), but goes on at \(.resume)"),
		(select(.extents | length < 1000) | "there is hardly anything")'
	show_ending vminspect maps --pages -r -n
	check_refusal 1 "$pid" vminspect maps --pages -r -n
	[ -s "$out" ] || broken 'what came before is not there'
}
promise 'a process that ends meanwhile is named, and JSON says where it stopped' \
	notices_that_a_process_ends

# What the tool prints until it ends, and how it does.
hear_the_rest()
{
	cat <&"$from" >"$out"
	wait "$pid"
	status=$?
}

notices_that_a_process_has_gone()
{
	local target

	start specimen dense 1
	target=$pid
	talk_to vminspect translate -r -n -o VA,STATE -f - "$target" 2>"$err"
	ask 0x1000
	equal 'before it ends' '0x1000 unmapped' "$reply"
	end "$target"
	echo 0x2000 >&"$to"
	hear_the_rest
	check_refusal 1 "$target" vminspect translate -f -
	equal 'after it has ended' '' "$(<"$out")"
}
promise 'a process that has ended is told from one that takes its number' \
	notices_that_a_process_has_gone

notices_that_a_process_executes_another_program()
{
	local target target_to

	# a shell that becomes another program when it reads a line
	start sh -c 'echo ready; read -r line; exec sleep 1000'
	target=$pid
	target_to=$to
	talk_to vminspect translate -J -f - "$target" 2>"$err"
	ask 0x1000 -d '}'
	[[ $reply == *'"state":"unmapped"'* ]] || broken "before: $reply"
	echo go >&"$target_to"
	wait_for_name "$target" sleep
	echo 0x2000 >&"$to"
	hear_the_rest
	check_refusal 1 "$target" vminspect translate -J -f -
	equal 'the end of the document' $'\n],"truncated":true,"resume":"0x2000"}' "$(<"$out")"
	end "$target"
}
promise 'a process that has executed another program is not taken for the same' \
	notices_that_a_process_executes_another_program

# wait_for_name PID NAME
wait_for_name()
{
	local name tries

	for ((tries = 0; tries < 300; tries++)); do
		read -r name <"/proc/$1/comm"
		[ "$name" != "$2" ] || return
		sleep 0.05
	done
	broken "process $1 does not become $2"
}

#
# Output
#

# With each, the sentence goes to standard error; only -J and not -J may differ.
notices_bad_output()
{
	local command option

	for command in "${commands[@]}" "maps --pages $big" --help --version 'maps --help' \
		'maps --list-columns' 'maps --version'; do
		for option in '' -J; do
			[[ $command != *-[hlv]* || -z $option ]] || continue
			# shellcheck disable=SC2086	# words
			vminspect $command $option >/dev/full 2>"$err"
			status=$?
			check_refusal 1 'No space left' vminspect "$command" $option '>/dev/full'
			# shellcheck disable=SC2086
			vminspect $command $option >&- 2>"$err"
			status=$?
			check_refusal 1 'standard output' vminspect "$command" $option '>&-'
		done
	done
}
promise 'a full or closed standard output is a failure, of every command' notices_bad_output

survives_closed_descriptors()
{
	vminspect maps -J self >"$out" 2>&-
	equal 'status without standard error' 0 $?
	judge 'its output' "$out" empty
	vminspect maps bogus >"$out" 2>&-
	equal 'status of wrong usage without standard error' 2 $?
	[ ! -s "$out" ] || broken "its output: $(<"$out")"
	vminspect maps -J self >"$out" <&- 2>"$err"
	equal 'status without standard input' 0 $?
	judge 'its output' "$out" empty
	vminspect translate -r -n self 0x1000 <&- >&- 2>&-
	equal 'status without all three' 1 $?
}
promise 'closed descriptors are not taken for others' survives_closed_descriptors

# As any filter: without a word if the signal may end it, with one if not.
ends_with_its_reader()
{
	local option first

	for option in -r -J; do
		first=$(vminspect maps --pages $option "$big" 2>"$err" | head -n 1
			exit "${PIPESTATUS[0]}")
		equal "status of $option | head -n 1" 141 $?
		equal "messages of $option | head -n 1" '' "$(<"$err")"
		[ -n "$first" ] || broken "$option: there is no first line"
	done
	(
		trap '' PIPE
		vminspect maps --pages -J "$big" 2>"$err"
		echo $? >"$scratch/status"
	) | head -n 1 >"$out"
	read -r status <"$scratch/status"
	check_refusal 1 'standard output' vminspect maps --pages -J '| head -n 1'
}
promise 'when nobody reads any more it ends by SIGPIPE, or with a sentence if that is ignored' \
	ends_with_its_reader

#
# The module. These come last: they take it away.
#

# shellcheck disable=SC2317	# called when the script ends
restore_module()
{
	modprobe -r vminspect
	# shellcheck disable=SC2086	# parameters, a word each
	modprobe vminspect ${VMINSPECT_MODARGS-}
}
at_end+=(restore_module)

refuses_another_abi()
{
	local command

	for command in "${commands[@]}" 'info -J'; do
		# shellcheck disable=SC2086	# words
		refuses 1 'ABI 7' forge abi 7 vminspect $command
	done
	works forge abi 1 vminspect info
}
promise 'a module with another ABI is refused, and its number named' refuses_another_abi

refuses_what_is_not_the_device()
{
	local path

	: >"$scratch/file"
	for path in /dev/null "$scratch/file" /dev/tty0 "$scratch" "$scratch/nosuch"; do
		refuses 1 "$path" env VMINSPECT_DEVICE="$path" vminspect maps self
		refuses 1 "$path" env VMINSPECT_DEVICE="$path" vminspect info -J
	done
	each_refuses 1 '/dev/null is not' env VMINSPECT_DEVICE=/dev/null
}
promise 'what VMINSPECT_DEVICE names must be the device' refuses_what_is_not_the_device

refuses_users_in_words()
{
	each_refuses 1 'mode=' "${user[@]}"
}
promise 'who may not open the device is told of mode=' refuses_users_in_words

refuses_processes_of_others()
{
	modprobe -r vminspect
	modprobe vminspect mode=0666
	refuses 1 "$big" "${user[@]}" vminspect maps "$big"
	refuses 1 'may not' "${user[@]}" vminspect maps -J "$big"
	refuses 1 'may not' "${user[@]}" vminspect walk -J "$big" 0x1000
	refuses 1 'may not' "${user[@]}" vminspect translate -J "$big" 0x1000
	refuses 1 'zombie' "${user[@]}" vminspect maps "$zombie"
	refuses 1 'kernel thread' "${user[@]}" vminspect maps 2
}
promise 'who may open the device may not look at the processes of others' \
	refuses_processes_of_others

misses_kvm()
{
	local command

	if [ -e /sys/module/kvm ]; then
		skip 'KVM is loaded'
		return
	fi
	run vminspect guest list
	check_refusal 0 'KVM is not loaded' vminspect guest list
	works vminspect guest list -J
	equal 'guests' '[]' "$(jq -c .guests "$out")"
	for command in 'maps' 'maps --extents' 'maps -J'; do
		# shellcheck disable=SC2086	# words
		refuses 1 'KVM is not loaded' vminspect guest $command "$big"
	done
	for command in translate 'translate -J' 'translate --gpa' walk 'walk -J'; do
		# shellcheck disable=SC2086
		refuses 1 'KVM is not loaded' vminspect guest $command "$big" 0
	done
	refuses 1 'no process' vminspect guest maps 4194999
	refuses 1 'is no VM' vminspect guest maps --vm 0 "$big"
	equal 'text' '' "$(</sys/kernel/debug/vminspect/guests)"
}
promise 'where KVM is not loaded guest says so, and the text view has nothing' misses_kvm

misses_the_module()
{
	modprobe -r vminspect
	each_refuses 1 'load'
	refuses 2 '--bogus' vminspect maps --bogus self
	refuses 2 "'abc'" vminspect maps abc
	refuses 2 'reversed' vminspect maps --range 0x2000-0x1000 self
	works vminspect --help
}
promise 'without the module every command says that it has to be loaded, if that is all that is wrong' \
	misses_the_module

copy_programs
start_big
keep_promises
