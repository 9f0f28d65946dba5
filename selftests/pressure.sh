#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Promise: of a real program under real pressure, redis-server with half as much again as its cgroup
# may have, `vminspect trace` names the process and its mappings, and counts exactly what the kernel
# counts. How much the program loses by it is reported.
# machines: swap

# shellcheck disable=SC1091,SC2154	# what is not assigned here comes from tap.sh

cd "$(dirname "$(readlink -f "$0")")/.." || exit 1
. selftests/tap.sh

PATH=$PWD/build/bin:$PATH
cgroup=/sys/fs/cgroup/selftest-pressure
socket=$scratch/socket
events=$scratch/events
limit=$((24 << 20))
keys=30000
requests=12000

# The server stands still unless it is asked something, so that nothing swaps before and after.
start_redis()
{
	local tries

	echo +memory >/sys/fs/cgroup/cgroup.subtree_control
	mkdir "$cgroup"
	at_end+=(remove_cgroup)
	ln -s "$(command -v redis-check-rdb)" "$scratch/redis-server"
	"$scratch/redis-server" --save '' --port 0 --unixsocket "$socket" --dir "$scratch" \
		--logfile "$scratch/redis.log" &
	redis=$!
	started+=("$redis")
	for ((tries = 0; tries < 300; tries++)); do
		[ ! -S "$socket" ] || break
		sleep 0.1
	done
	echo "$redis" >"$cgroup/cgroup.procs"
	echo "$limit" >"$cgroup/memory.max"
	ask_redis -n $((keys * 4)) -r "$keys" -P 32 -d 1000 -t set >"$out" 2>&1
	kill -STOP "$redis"
}

# shellcheck disable=SC2317	# called when the script ends
remove_cgroup()
{
	echo 1 >"$cgroup/cgroup.kill"
	sleep 0.2
	rmdir "$cgroup"
} 2>/dev/null

ask_redis()
{
	redis-benchmark -s "$socket" -c 4 "$@"
}

# Its program and arguments, for a shell to execute.
printf -v benchmark 'kill -CONT %s; redis-benchmark -s %q -c 4 --csv -n %s -r %s GET key:__rand_int__
	kill -STOP %s' '"$1"' "$socket" "$requests" "$keys" '"$1"'

# Requests a second, of what that has printed.
throughput()
{
	sed -n '$s/^"[^"]*","\([0-9.]*\)".*/\1/p' "$1"
}

# counters FILE: "KEY VALUE" of all that we compare with
counters()
{
	sed -n 's/^\(pswp\|zswp\)\(in\|out\) /\1\2 /p' /proc/vmstat
	sed -n 's/^\(pswp\)\(in\|out\) /cgroup.\1\2 /p' "$cgroup/memory.stat"
}

# grown KEY: sets pages to how much a counter has grown; nothing if there is none.
grown()
{
	pages=$(awk -v key="$1" '$1 == key { n = $2 - n; found++ } END { if (found == 2) print n }' \
		"$scratch/before" "$scratch/after")
}

record()
{
	sh -c "$benchmark" sh "$redis" >"$scratch/off"
	counters >"$scratch/before"
	run vminspect trace -a -J --to "$events" -- sh -c "$benchmark" sh "$redis"
	counters >"$scratch/after"
	cp "$out" "$scratch/on"
	tail -n 1 "$events" >"$scratch/last"
}

is_under_pressure()
{
	local bytes

	equal 'status' 0 "$status"
	equal 'messages' '' "$(<"$err")"
	bytes=$(awk '/^(VmRSS|VmSwap):/ { sum += $2 } END { print sum * 1024 }' "/proc/$redis/status")
	[ "$bytes" -ge $((limit * 3 / 2)) ] || broken "redis-server has $bytes bytes"
	judge 'it swaps' "$scratch/last" '.summary | select(.swap_in < 1000 or .swap_out < 1000 or
		.read < 1000 or .write < 100) | "hardly: \([.swap_in, .swap_out, .read, .write])"'
	echo "# requests a second: $(throughput "$scratch/off") untraced," \
		"$(throughput "$scratch/on") traced with every event written to a file"
	echo "# $(jq -c '.summary | [.swap_in, .swap_out, .read, .write, .duration_ns]' "$scratch/last")" \
		'pages of swap_in, swap_out, read, write; nanoseconds'
}
promise 'redis-server swaps while it answers' is_under_pressure

names_the_process()
{
	judge 'processes' "$scratch/last" ".summary.processes[0] |
		select(.pid != $redis or .comm != \"redis-server\") | tojson"
	# How many mappings its memory has is the allocator's affair, and the kernel's.
	judge 'mappings' "$scratch/last" ".summary as \$sum | \$sum.mappings |
		select(.[0].pid != $redis or
			(map(select(.pid == $redis).in) | add) * 2 < \$sum.swap_in) | tojson"
	jq -r ".summary.mappings[] | select(.pid == $redis) | .start" "$scratch/last" | sort >"$scratch/got"
	sed -nE 's/^0*([0-9a-f]+)-.*/0x\1/p' "/proc/$redis/maps" | sort >"$scratch/maps"
	comm -13 "$scratch/maps" "$scratch/got" >"$scratch/wrong"
	[ -s "$scratch/got" ] || broken 'it names no mapping'
	same 'mappings that the process does not have' /dev/null "$scratch/wrong"
}
promise 'the summary names redis-server first, and its mappings' names_the_process

# compare_counter COUNTER KIND BACKING [CONDITION]: what it has grown by, and the events
compare_counter()
{
	local got

	grown "$1"
	[ -n "$pages" ] || return
	got=$(jq -r "select(.event == \"$2\" and .swap.backing == \"$3\"${4-}) | .pages" "$events" |
		awk '{ n += $1 } END { print n + 0 }')
	equal "$1" "$pages" "$got"
}

agrees_with_the_kernel()
{
	compare_counter pswpin read device
	compare_counter pswpout write device
	compare_counter zswpin read zswap
	compare_counter zswpout write zswap
	judge 'losses' "$scratch/last" '.summary | select(.lost != 0 or .missed != 0) |
		"\(.lost) lost, \(.missed) missed"'
	judge 'the summary' "$events" '
		(map(select(.event)) | group_by(.event) | map({(.[0].event): (map(.pages) | add)}) | add)
			as $lines | .[-1].summary |
		("swap_in", "swap_out", "read", "write") as $kind |
		select(.[$kind] != $lines[$kind]) | "\($kind): \(.[$kind]), lines \($lines[$kind])"' -s
	grown cgroup.pswpin
	if [ -z "$pages" ]; then
		echo '# this kernel has no pswpin in memory.stat of a cgroup'
		return
	fi
	compare_counter cgroup.pswpin read device ' and .cgroup == "/selftest-pressure"'
	compare_counter cgroup.pswpout write device ' and .cgroup == "/selftest-pressure"'
}
promise 'pages read and written are those of /proc/vmstat and memory.stat; nothing is lost or missed' \
	agrees_with_the_kernel

knows_who_did_it()
{
	judge 'who did it' "$events" "
		(map(select(.event == \"swap_in\" and .pid == $redis)) | length) as \$in |
		map(select(.event == \"swap_out\" and .pid == $redis)) as \$out |
		(select(\$out == []) | \"nothing went out\"),
		(\$out | map(select(.actor.as == \"memcg\")) | length as \$nr |
			select(\$nr * 10 < (\$out | length) * 9) | \"memcg has \\(\$nr) of \\(\$out | length)\"),
		(map(select(.event == \"swap_in\" and .cgroup == \"/selftest-pressure\")) | length as \$nr |
			select(\$nr < \$in) | \"the cgroup has \\(\$nr) of \\(\$in)\")" -s
}
promise 'it is the limit of the cgroup that pushes pages out, and events say so' knows_who_did_it

selects_the_cgroup()
{
	works vminspect trace --cgroup "$cgroup" -J --summary --to "$events" -- \
		sh -c "$benchmark" sh "$redis"
	judge 'the summary' "$events" "select(.summary) | .summary |
		select(.processes[0].pid != $redis or .mappings[0].pid != $redis or .lost != 0 or
			.missed != 0 or .swap_in < 1000 or .swap_out < 1000) | tojson"
	echo "# requests a second: $(throughput "$out") with --summary"
}
promise '--cgroup with --summary names it as well' selects_the_cgroup

start_redis
record
keep_promises
