# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034,SC2154	# what is assigned here is used there, and so on
#
# What tests of guests share, after tap.sh: a guest whose memory is known (selftests/vm/guest.c).
# `lines` is its report, `pid` the process, which is its VMM.

guest=build/selftests/guest
guest_as=()	# what it is started by

# words COMMAND: "ARGUMENTS" of each such line of the report
words()
{
	printf '%s\n' "${lines[@]}" | sed -n "s/^$1 //p"
}

# has COMMAND ARGUMENTS: is this line in the report?
has()
{
	words "$1" | grep -qx -- "$2"
}

# start_guest MODE [OPTION...]
start_guest()
{
	mode=$1
	shift
	start "${guest_as[@]}" "$guest" "$@" "$mode" 2>"$scratch/guest.err"
	equal 'messages' '' "$(<"$scratch/guest.err")"
}

# Its input ends, and it ends.
stop_guest()
{
	exec {to}>&-
	wait "$pid"
	equal 'status' 0 $?
	equal 'messages' '' "$(<"$scratch/guest.err")"
	exec {from}<&-
}

# tell LINE: a command, which is obeyed
tell()
{
	ask "$1"
	equal "reply to '$1'" 'done' "$reply"
}

# memory_of GPA: sets hva; empty if there is no memory
memory_of()
{
	local start size address

	hva=
	while read -r _ _ start size address _; do
		if (($1 >= start && $1 < start + size)); then
			hva=$((address + $1 - start))
		fi
	done < <(words slot)
}

# text_of PID VCPUS: what the text view has of a guest whose report is on standard input
text_of()
{
	local word id as gpa bytes address flags name

	while read -r word id as gpa bytes address flags; do
		case $word in
		vm)	echo "pid $1 vm_fd $id vcpus $2" ;;
		slot)	name=
			[ "$flags" != 0x2 ] || name=' readonly'
			printf '  slot %d as %d gpa 0x%x-0x%x hva 0x%x%s\n' "$id" "$as" "$gpa" \
				$((gpa + bytes)) "$address" "$name" ;;
		esac
	done
}
