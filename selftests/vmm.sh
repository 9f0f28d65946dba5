# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034,SC2154	# what is assigned here is used there, and so on
#
# What tests of guests share, after tap.sh: a guest whose memory is known (selftests/vm/guest.c).
# `lines` is its report, `pid` the process, which is its VMM. And what is asked of any guest, and
# read of the machine's memory from outside.

guest=build/selftests/guest
guest_as=()	# what it is started by
answer=$scratch/answer
PATH=$PATH:$PWD/selftests/vm

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

# tell LINE [OPTION...]: a command, which is obeyed; options as of ask
tell()
{
	ask "$@"
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

# translate ADDRESS...: the answer as JSON in $answer
translate()
{
	works vminspect guest translate -J "$pid" "$@"
	cp "$out" "$answer"
}

# translated EXPRESSION: of the first one
translated()
{
	jq -r ".translations[0] | $1" "$answer"
}

# word_at PA: what the monitor reads there, sets word
word_at()
{
	word=$(physmem "$1" 1)
}

# All entries of a walk, guest's and nested, as "PA RAW" lines.
entries_of()
{
	jq -r '.guest_levels[] | "\(.entry_pa) \(.raw) guest", (.nested[] | "\(.entry_pa) \(.raw) nested")' "$1"
	jq -r '.nested[] | "\(.entry_pa) \(.raw) nested"' "$1"
}

# check_entries GVA: walks, into $answer; each entry is there. Sets nr to how many there are.
check_entries()
{
	local pa raw what

	nr=0
	works vminspect guest walk -J "$pid" "$1"
	cp "$out" "$answer"
	while read -r pa raw what; do
		# an entry of 32 bits is half of a word
		word_at $((pa & -8))
		if [ "$mode" = 32 ] && [ "$what" = guest ]; then
			word=$((word >> (pa % 8 * 8) & 0xffffffff))
		fi
		equal "entry at $pa, for $1" $((raw)) $((word))
		nr=$((nr + 1))
	done < <(entries_of "$answer")
}

# check_on_device DEVICE OFFSET MARKER: does the page that is there begin with it? Its entry is in
# the page table before the page is on the device, and sync(1) does not wait for swap.
check_on_device()
{
	local there

	for _ in {1..50}; do
		there=$(dd if="$1" bs=4096 skip="$2" count=1 iflag=direct status=none |
			od -An -t x8 -N 8)
		(((0x${there# }) != $3)) || return 0
		sleep 0.1
	done
	equal "what is on $1 at page $2" $(($3)) $((0x${there# }))
}
