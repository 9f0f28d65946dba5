# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What test scripts share. They are read by bash, at the top of the tree:
#
#	. selftests/tap.sh
#
#	lists_each_mapping_once()
#	{
#		works vminspect maps "$pid"
#		...
#	}
#	promise 'maps lists each mapping once' lists_each_mapping_once
#
#	keep_promises
#
# A test is a function. What it promises has been kept unless it says `broken WHY`, or is left
# open by `skip WHY`. It can say so in a subshell, too. Processes that it started with `start` are
# ended when the script ends.

set -u
export LC_ALL=C

scratch=$(mktemp -d "${TMPDIR:-/tmp}/vmi-test.XXXXXX") || exit 1
chmod 755 "$scratch"	# other users' processes have to get at what lies there
out=$scratch/out
err=$scratch/err
status=0

promises=()
tests=()
started=()
nr_started=0
scale=${VMINSPECT_SCALE:-1}	# what takes a second on the distribution's kernel
patience=$((60 * scale))
at_end=()

# shellcheck disable=SC2317	# called by the trap
tidy_up()
{
	local command

	trap '' INT TERM HUP
	for command in "${at_end[@]}"; do
		"$command"
	done
	if [ ${#started[@]} -gt 0 ]; then
		kill -KILL "${started[@]}"
		wait "${started[@]}"
	fi 2>/dev/null
	rm -rf "$scratch"
}
trap tidy_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

promise()
{
	promises+=("$1")
	tests+=("$2")
}

broken()
{
	printf '%s\n' "$*" >>"$scratch/broken"
}

skip()
{
	printf '%s' "$*" >"$scratch/skipped"
}

# Runs the tests in the order of their promises. The exit status is the script's.
keep_promises()
{
	local test_nr failed=0

	echo 'TAP version 13'
	echo "1..${#promises[@]}"
	for test_nr in "${!promises[@]}"; do
		rm -f "$scratch/broken" "$scratch/skipped"
		"${tests[test_nr]}"
		if [ -s "$scratch/broken" ]; then
			failed=1
			# the reader of a report wants its beginning
			head -n 40 "$scratch/broken" | sed 's/^/#   /' | cat -v
			echo "not ok $((test_nr + 1)) ${promises[test_nr]}"
		elif [ -e "$scratch/skipped" ]; then
			echo "ok $((test_nr + 1)) ${promises[test_nr]} # SKIP $(<"$scratch/skipped")"
		else
			echo "ok $((test_nr + 1)) ${promises[test_nr]}"
		fi
	done
	return $failed
}

# run COMMAND...: sets status; the output is in the file $out, the messages are in $err.
run()
{
	"$@" >"$out" 2>"$err"
	status=$?
}

# The command succeeds and has no messages.
works()
{
	local messages

	run "$@"
	mapfile -t messages <"$err"
	[ $status -eq 0 ] || broken "${*@Q}: status $status"
	[ ${#messages[@]} -eq 0 ] || broken "${*@Q}: said on stderr:" "${messages[@]}"
}

# equal WHAT WANTED GOT
equal()
{
	[ "$2" = "$3" ] || broken "$1: wanted '$2', got '$3'"
}

# same WHAT WANTED_FILE GOT_FILE
same()
{
	local difference

	[ -e "$2" ] || broken "$1: there is no $2"
	difference=$(diff "$2" "$3" | head -n 40)
	[ -z "$difference" ] || broken "$1: < wanted, > got"$'\n'"$difference"
}

# judge WHAT FILE FILTER [ARGUMENT...]: a filter of jq says what is wrong with a JSON document, a line
# each; nothing if all is well.
judge()
{
	local what=$1 file=$2 filter=$3 complaints

	shift 3
	if ! complaints=$(jq -r "$@" "$filter" "$file" 2>&1); then
		broken "$what: jq cannot judge it: $complaints" $'\n'"$(head -c 400 "$file")"
	elif [ ! -s "$file" ]; then
		broken "$what: nothing was printed"
	elif [ -n "$complaints" ]; then
		broken "$what: $complaints"
	fi
}

# check_refusal STATUS WORDS COMMAND...: what `run COMMAND` has left is a refusal: the exit status,
# and one sentence that has those words.
check_refusal()
{
	local wanted=$1 words=$2 messages

	shift 2
	mapfile -t messages <"$err"
	[ $status -eq "$wanted" ] || broken "${*@Q}: wanted status $wanted, got $status"
	[ ${#messages[@]} -eq 1 ] ||
		broken "${*@Q}: wanted one sentence, got ${#messages[@]}:" "${messages[@]}"
	[[ ${messages[0]-} == 'vminspect'*': '?* ]] ||
		broken "${*@Q}: the sentence does not begin with our name: ${messages[0]-}"
	[[ ${messages[0]-} == *"$words"* ]] ||
		broken "${*@Q}: '$words' is not in the sentence: ${messages[0]-}"
}

# refuses STATUS WORDS COMMAND...: a refusal, and no output.
refuses()
{
	local wanted=$1 words=$2

	shift 2
	run "$@"
	check_refusal "$wanted" "$words" "$@"
	[ ! -s "$out" ] || broken "${*@Q}: refused, but printed $(head -c 200 "$out")"
}

# talk_to COMMAND...: in the background. Sets pid; it reads what is written to descriptor $to, and
# what it prints is read from $from.
talk_to()
{
	local fifo

	nr_started=$((nr_started + 1))
	fifo=$scratch/process.$nr_started
	mkfifo "$fifo.in" "$fifo.out" || return
	"$@" <"$fifo.in" >"$fifo.out" &
	pid=$!
	started+=("$pid")
	# each waits for the other side, so in the same order
	exec {to}>"$fifo.in" {from}<"$fifo.out"
}

# start COMMAND...: as talk_to, and wait until it prints "ready", $patience seconds for each line.
# Sets lines to what it printed before that.
start()
{
	local line=

	talk_to "$@"
	lines=()
	while read -r -t "$patience" -u "$from" line && [ "$line" != ready ]; do
		lines+=("$line")
	done
	[ "$line" = ready ] || broken "${*@Q}: did not get ready"
}

# ask LINE [OPTION...]: writes a line to $to, and reads the reply from $from, with options of read.
# shellcheck disable=SC2034	# reply is for the caller
ask()
{
	echo "$1" >&"$to"
	shift
	reply=nothing
	read -r -t $((30 * scale)) -u "$from" "$@" reply
}

end()
{
	local i

	kill -KILL "$1"
	wait "$1"
	# its number may soon be another's
	for i in "${!started[@]}"; do
		[ "${started[i]}" != "$1" ] || unset "started[i]"
	done
} 2>/dev/null
