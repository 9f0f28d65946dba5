#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Promise: `vminspect trace` tells each page that goes out and comes back, once, in order and in every
# form; its summary is what its lines come to and what the kernel counted; it ends when and as it
# should; and what is wrong it says in one sentence, with the status that leaves COMMAND's alone.
# machines: swap

# shellcheck disable=SC1091,SC2154	# what is not assigned here comes from tap.sh

cd "$(dirname "$(readlink -f "$0")")/.." || exit 1
. selftests/tap.sh

user=(setpriv --reuid=1000 --regid=1000 --clear-groups)
# root, but for what events take
weak=(setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin)
stats=/sys/kernel/debug/vminspect/stats
cgroup=/sys/fs/cgroup/selftest-trace
events=$scratch/events
report=$scratch/report

# Copies can be run by others too, wherever the tree lies.
copy_programs()
{
	mkdir "$scratch/bin"
	cp build/bin/vminspect build/selftests/storm "$scratch/bin"
	PATH=$scratch/bin:$PATH
}

make_cgroup()
{
	echo +memory >/sys/fs/cgroup/cgroup.subtree_control
	mkdir "$cgroup"
	at_end+=(remove_cgroup)
}

# shellcheck disable=SC2317	# called when the script ends
remove_cgroup()
{
	echo 1 >"$cgroup/cgroup.kill"
	rmdir "$cgroup"
} 2>/dev/null

# vmstat KEY: sets count.
vmstat()
{
	count=$(sed -n "s/^$1 //p" /proc/vmstat)
}

# fields KIND EXPRESSION [FILE]: of each event of a kind.
fields()
{
	jq -r "select(.event == \"$1\") | $2" "${3-$events}"
}

# summary EXPRESSION [FILE]
summary()
{
	jq -r "select(.summary) | .summary | $1" "${2-$events}"
}

# "PID VA" of each page of a storm, in the order in which each of its processes reads them.
list_pages()
{
	local child va pages i

	while read -r child va pages _; do
		for ((i = 0; i < pages; i++)); do
			printf '%d 0x%x\n' "$child" $((va + i * 7 % pages * 4096))
		done
	done <"$report" | sort -s -n -k1,1
}

# compare_pages KIND [FILE]: each page of the report once; as they come in also in that order.
compare_pages()
{
	list_pages >"$scratch/wanted"
	fields "$1" '"\(.pid) \(.va)"' "${2-$events}" | sort -s -n -k1,1 >"$scratch/got"
	if [ "$1" != swap_in ]; then
		sort -o "$scratch/wanted" "$scratch/wanted"
		sort -o "$scratch/got" "$scratch/got"
	fi
	[ -s "$scratch/wanted" ] || broken 'the storm has reported nothing'
	same "pages of $1" "$scratch/wanted" "$scratch/got"
}

# follow FILE ARGUMENT...: traces in the background, as JSON into that file, and is recording when
# this returns. Sets tracer.
follow()
{
	local file=$1 tries

	shift
	: >"$file"
	vminspect trace -J --to "$file" "$@" >"$out" 2>"$scratch/said" &
	tracer=$!
	started+=("$tracer")
	for ((tries = 0; tries < 300; tries++)); do
		[ ! -s "$file" ] || return
		sleep 0.02
	done
	broken "trace ${*@Q} does not begin: $(<"$scratch/said")"
}

# leave PID: waits for it. Sets status.
leave()
{
	local i

	wait "$1"
	status=$?
	for i in "${!started[@]}"; do
		[ "${started[i]}" != "$1" ] || unset "started[i]"
	done
}

# finish [SIGNAL]: ends what `follow` began; nothing is wrong.
finish()
{
	kill -s "${1-INT}" "$tracer"
	leave "$tracer"
	equal 'status of trace' 0 "$status"
	equal 'messages of trace' '' "$(<"$scratch/said")"
}

# hold ARGUMENT...: a storm that goes on as it is told to. Sets pid, and child to its first child.
hold()
{
	start storm -s -l "$report" "$@"
	read -r child _ <"$report"
}

# go WORD: it goes on, and is there then
go()
{
	ask go
	equal 'what the storm says' "$1" "$reply"
}

# It ends as well.
release()
{
	echo go >&"$to"
	leave "$pid"
	equal 'status of the storm' 0 "$status"
}

#
# A storm that is known, and everything that is said of it
#

record_storm()
{
	local read write

	vmstat pswpin
	read=$count
	vmstat pswpout
	write=$count
	run vminspect trace -a -J --to "$events" -- storm -g "$cgroup" -l "$report" 2 150
	vmstat pswpin
	read_pages=$((count - read))
	vmstat pswpout
	write_pages=$((count - write))
	storm_status=$status
	cp "$err" "$scratch/storm.err"
}

is_json()
{
	equal status 0 "$storm_status"
	equal messages '' "$(<"$scratch/storm.err")"
	equal 'lines that are objects' "$(wc -l <"$events")" "$(grep -c '^{.*}$' "$events")"
	jq -c . "$events" >"$scratch/got" || broken 'jq cannot read it'
	same 'an object a line' "$events" "$scratch/got"
	head -n 1 "$events" >"$scratch/first"
	tail -n 1 "$events" >"$scratch/last"
	judge 'the first line' "$scratch/first" '
		(select(keys_unsorted != ["schema", "event", "time_ns", "scope", "command",
			"page_size", "kinds", "missing"]) | "has \(keys_unsorted)"),
		(select(.schema != 1 or .event != "start" or .scope != "all" or .missing != [] or
			.page_size != 4096 or .kinds != ["swap_in", "swap_out", "read", "write"] or
			.command[0] != "storm") | tojson)'
	judge 'the last line' "$scratch/last" 'select(keys_unsorted != ["summary"]) | tojson'
	judge 'the lines between' "$events" \
		'.[1:-1][] | select(.schema or .summary or (.event | not)) | tojson' -s
	judge 'the order' "$events" '.[1:-1] | map(.time_ns) | select(. != sort) | "is not by time"' -s
	judge 'the start' "$events" \
		'.[0].time_ns as $t | .[1:-1][] | select(.time_ns < $t) | "is after \(.time_ns)"' -s
}
promise 'trace -J: an object a line, by time, from "start" to "summary"' is_json

has_the_fixed_keys()
{
	local owner=time_ns,event,pid,comm,cgroup,va,mapping,pages,swap

	sort >"$scratch/wanted" <<-END
	swap_in $owner,source,major,retried,ip,latency_ns,actor type,offset,device
	swap_out $owner,actor type,offset,device
	read $owner,readahead,failed,latency_ns,actor type,offset,device,backing
	write $owner,failed,latency_ns,actor type,offset,device,backing
	END
	jq -r 'select(.event and .event != "start") | "\(.event) \(keys_unsorted | join(",")) \(
		.swap | keys_unsorted | join(","))"' "$events" | sort -u >"$scratch/got"
	same 'keys of each kind' "$scratch/wanted" "$scratch/got"
	judge 'values' "$events" '
		def text: type == "string" and length > 0;
		def number: type == "number" and . > 0;
		def hex: type == "string" and test("^0x[1-9a-f][0-9a-f]*$");
		select(.event and .event != "start") | select(
			(.pid == null or (.pid | number) | not) or
			((.comm == null) != (.pid == null)) or
			(.va == null or (.va | hex) | not) or
			(.cgroup == null or (.cgroup | startswith("/")) | not) or
			.pages != 1 or (.swap.device | text | not) or
			(.event == "swap_in" and ((.ip | hex | not) or (.latency_ns | number | not) or
				([.source] | inside(["device", "cache"]) | not))) or
			(.event == "write" and .swap.backing != "device") or
			(.actor | [.pid, .tid] | all(number) | not) or (.actor.comm | text | not) or
			([.actor.as] | inside(["fault", "madvise", "memcg", "kswapd", "direct",
				"other"]) | not)) | tojson'
	judge 'cgroup' "$events" 'select(.event == "swap_in" and .cgroup != "/selftest-trace") | tojson'
	judge 'owner and actor' "$events" 'select(.event == "swap_in" and
		(.actor.pid != .pid or .actor.comm != "storm" or .actor.as != "fault")) | tojson'
}
promise 'events have the keys that are fixed, and null for what is not known' has_the_fixed_keys

tells_each_swap_in()
{
	compare_pages swap_in
	awk '{ print $1, $4 }' "$report" | sort -n >"$scratch/wanted"
	fields swap_in '"\(.pid) \(.major)"' | awk '{ nr[$1] += $2 == "true" }
		END { for (pid in nr) print pid, nr[pid] }' | sort -n >"$scratch/got"
	same 'major faults' "$scratch/wanted" "$scratch/got"
	awk '$4 > 0 { found = 1 } END { exit !found }' "$report" ||
		broken 'there was no major fault, so this shows little'
}
promise 'swap_in: each page, in the order in which it was touched; major as the kernel counts' \
	tells_each_swap_in

tells_each_swap_out()
{
	compare_pages swap_out
	judge 'the actor' "$events" 'select(.event == "swap_out" and
		(.actor.as != "madvise" or .actor.pid != .pid)) | tojson'
}
promise 'swap_out: each page once, and who pushed it out' tells_each_swap_out

agrees_with_vmstat()
{
	equal 'pages read from the device' "$read_pages" \
		"$(fields read 'select(.swap.backing == "device") | .pages' | awk '{ n += $1 } END { print n }')"
	equal 'pages written to the device' "$write_pages" \
		"$(fields write 'select(.swap.backing == "device") | .pages' | awk '{ n += $1 } END { print n }')"
	[ "$read_pages" -gt 150 ] || broken "only $read_pages pages were read, so this shows little"
}
promise 'read and write are what pswpin and pswpout in /proc/vmstat grow by' agrees_with_vmstat

# What the lines come to, by other means than the tool's.
summary_of_lines='
	def of(kind): map(select(.event == kind));
	def complain(what; wanted; got): select(wanted != got) | "\(what): \(got), from the lines \(wanted)";
	(.[-1].summary) as $sum | .[1:-1] as $lines | $lines |
	(("swap_in", "swap_out", "read", "write") as $kind | of($kind) |
		complain($kind; map(.pages) | add; $sum[$kind]),
		complain("events of \($kind)"; length; $sum.kinds[$kind].events),
		complain("pages of \($kind)"; map(.pages) | add; $sum.kinds[$kind].pages),
		complain("bytes of \($kind)"; (map(.pages) | add) * 4096; $sum.kinds[$kind].bytes),
		complain("failed of \($kind)"; map(select(.failed)) | length; $sum.kinds[$kind].failed),
		(select(length * 1e9 / $sum.duration_ns / $sum.kinds[$kind].pages_per_second - 1 |
			fabs > 0.0001) | "rate of \($kind): \($sum.kinds[$kind].pages_per_second)")),
	complain("lost"; 0; $sum.lost), complain("missed"; 0; $sum.missed),
	complain("missing"; []; $sum.missing), complain("incomplete"; false; $sum.incomplete)'

sums_up()
{
	judge 'the summary' "$events" "$summary_of_lines" -s
	judge 'processes' "$events" '
		(.[-1].summary.processes | map([.pid, .comm, .in, .out]) | sort) as $got |
		(map(select(.event == "swap_in" or .event == "swap_out")) | group_by([.pid, .comm]) |
			map([.[0].pid, .[0].comm, ([.[] | select(.event == "swap_in")] | length),
				([.[] | select(.event == "swap_out")] | length)]) | sort) as $wanted |
		select($got != $wanted) | "\($got), from the lines \($wanted)"' -s
	judge 'mappings' "$events" '
		(.[-1].summary.mappings | map([.pid, .name, .in, .out]) | sort) as $got |
		(map(select((.event == "swap_in" or .event == "swap_out") and .mapping != null)) |
			group_by([.pid, .mapping]) |
			map([.[0].pid, .[0].mapping, ([.[] | select(.event == "swap_in")] | length),
				([.[] | select(.event == "swap_out")] | length)]) | sort) as $wanted |
		select($got != $wanted) | "\($got), from the lines \($wanted)"' -s
	judge 'the duration' "$events" '(.[1:-1] | map(.time_ns) | max - min) as $least |
		select(.[-1].summary.duration_ns < $least) | "less than \($least)"' -s
	works vminspect trace -J --summary --to "$events.order" -- \
		sh -c "storm -l $report.order 1 10; storm -o -l $report.order 1 50; storm -o -l $report.order 1 30"
	equal 'the order' '[[0,50],[0,30],[10,10]]' "$(summary '.processes | map([.in, .out]) | tojson' "$events.order")"
	equal 'the order of mappings' '[[0,50],[0,30],[10,10]]' \
		"$(summary '.mappings | map([.in, .out]) | tojson' "$events.order")"
}
promise 'the summary is what the lines come to: kinds, processes, mappings' sums_up

# A class of the histogram is an eighth of its power of two wide, and its middle is told.
tells_how_long_it_took()
{
	judge 'quantiles' "$events" '
		def quantile(share): sort | .[([(share * length) | ceil, 1] | max) - 1];
		def far(wanted; got): ((wanted - got) | fabs) > wanted / 16;
		(.[-1].summary.kinds) as $kinds | .[1:-1] | . as $lines |
		(("swap_in", "read", "write") as $kind | ($kinds[$kind].latency_ns) as $got |
			[$lines[] | select(.event == $kind and .latency_ns != null) | .latency_ns] as $ns |
			(select($got.count != ($ns | length)) | "\($kind): count \($got.count)"),
			(select($got.min != ($ns | min)) | "\($kind): min \($got.min)"),
			(select($got.max != ($ns | max)) | "\($kind): max \($got.max)"),
			([["median", 0.5], ["p90", 0.9], ["p99", 0.99]][] as $q |
				($ns | quantile($q[1])) as $exact |
				select(far($exact; $got[$q[0]])) |
				"\($kind): \($q[0]) is \($got[$q[0]]), from the lines \($exact)"),
			($got.histogram[] as $class |
				([$ns[] | select(. >= $class.from_ns and . < $class.to_ns)] | length) as $nr |
				select($nr != $class.count) | "\($kind): class \($class), from the lines \($nr)"),
			(select(([$got.histogram[].count] | add) != $got.count) |
				"\($kind): the classes are not all")),
		(select($kinds.swap_out.latency_ns != null) | "swap_out takes no time")' -s
}
promise 'latencies: extremes exact, quantiles within a sixteenth, the histogram exact' \
	tells_how_long_it_took

counts_thrashing()
{
	judge 'pages that came back within a second' "$events" '
		(.[-1].summary.thrashing) as $got |
		(reduce .[1:-1][] as $e ({out: {}, nr: 0}; "\($e.pid) \($e.va)" as $page |
			if $e.event == "swap_out" then .out[$page] = $e.time_ns
			elif $e.event == "swap_in" and .out[$page] then
				(if $e.time_ns - .out[$page] <= 1e9 then .nr += 1 else . end) |
				del(.out[$page])
			else . end) | .nr) as $wanted |
		(select($got.pages != $wanted) | "\($got.pages), from the lines \($wanted)"),
		(select($got.at_least or $got.within_ns != 1000000000) | tojson)' -s
	run vminspect trace -J --to "$events" -- storm -l "$report" -r 3 1 100
	equal 'after three rounds of 100 pages' 300 "$(summary .thrashing.pages)"
	hold -g "$cgroup" 1 100
	follow "$events" "$child"
	go out
	sleep 1.1
	go in
	finish
	release
	equal 'after 100 pages that stayed out for longer' 0 "$(summary .thrashing.pages)"
	equal 'those that came in' 100 "$(summary .swap_in)"
}
promise 'pages that come back within a second are counted, those that come later are not' \
	counts_thrashing

#
# A program
#

follows_children()
{
	run vminspect trace -J --to "$events" -- sh -c 'sh -c "$*; exit" sh "$@" & wait' sh \
		storm -g "$cgroup" -l "$report" 3 100
	equal status 0 "$status"
	compare_pages swap_out
	compare_pages swap_in
	equal scope tasks "$(jq -r 'select(.event == "start") | .scope' "$events")"
	equal 'lost and missed' '0 0' "$(summary '"\(.lost) \(.missed)"')"
}
promise '-- COMMAND: its children and theirs from their first page on, and nobody else' \
	follows_children

# Its neighbour swaps as much.
leaves_out_others()
{
	hold -g "$cgroup" 1 50
	run vminspect trace -J --to "$events" -- bash -c "echo go >&$to; read -r _ <&$from; storm -l $report.own 1 60"
	equal 'pages without the neighbour' 60 "$(summary .swap_out)"
	release_neighbour
	hold -g "$cgroup" 1 50
	run vminspect trace -a -J --to "$events" -- bash -c "echo go >&$to; read -r _ <&$from; storm -l $report.own 1 60"
	equal 'pages of -a with the neighbour' 110 "$(summary .swap_out)"
	release_neighbour
	hold -g "$cgroup" 1 50
	run vminspect trace -J --to "$events" "$child" -- bash -c "echo go >&$to; read -r _ <&$from; storm -l $report.own 1 60"
	equal 'pages of the neighbour while COMMAND runs' 50 "$(summary .swap_out)"
	release_neighbour
}
promise 'with -a or PID before -- it is the machine or that process that is traced' leaves_out_others

release_neighbour()
{
	go in
	release
}

# ends_with STATUS ARGUMENT...: and nothing is said.
ends_with()
{
	local wanted=$1

	shift
	run vminspect trace --to "$events" "$@"
	equal "status of ${*@Q}" "$wanted" "$status"
	equal "messages of ${*@Q}" '' "$(<"$err")"
	grep -q 'Records lost: 0' "$events" || broken "${*@Q} has no summary"
}

has_the_status_of_the_program()
{
	ends_with 0 -- true
	ends_with 3 -- sh -c 'exit 3'
	ends_with 255 -a -- sh -c 'exit 255'
	ends_with 143 -- sh -c 'kill -TERM $$'
	ends_with 137 -a -- sh -c 'kill -KILL $$'
	ends_with 139 --cgroup "$cgroup" -- sh -c 'ulimit -c 0; kill -SEGV $$'
	ends_with 4 --for 0.1 -- sh -c 'sleep 0.5; exit 4'
	ends_with 2 --summary -- sh -c 'exit 2'
	works vminspect trace --to "$events" -- printf '%s,' 'two words' '' -a --
	equal 'the output of the program' 'two words,,-a,--,' "$(<"$out")"
}
promise '-- COMMAND: its exit status, 128 + n if signal n ended it; its words and output as they are' \
	has_the_status_of_the_program

has_statuses_of_its_own()
{
	local busy=$scratch/busy

	: >"$scratch/plain"
	refuses 126 "$scratch/plain" vminspect trace -- "$scratch/plain"
	refuses 126 "$scratch" vminspect trace -a -- "$scratch"
	refuses 127 'no program' vminspect trace -- nosuchprogram
	refuses 127 "$busy" vminspect trace -J -a -- "$busy"
	refuses 127 "''" vminspect trace -- ''
	refuses 125 'needed after --' vminspect trace --
	refuses 125 --bogus vminspect trace --bogus -- true
	refuses 125 "'bogus'" vminspect trace --only bogus -- true
	refuses 125 "'bogus'" vminspect trace -o bogus -- true
	refuses 125 "'abc'" vminspect trace abc -- true
	refuses 125 99999999 vminspect trace 99999999 -- true
	refuses 125 nosuch vminspect trace --cgroup nosuch -- true
	refuses 125 "$scratch" vminspect trace --to "$scratch" -- true
	refuses 125 /dev/null env VMINSPECT_DEVICE=/dev/null vminspect trace -- true
	refuses 125 'for root' "${weak[@]}" vminspect trace -- touch "$scratch/started"
	[ ! -e "$scratch/started" ] || broken 'it was executed though nothing can be traced'
}
promise 'what goes wrong before COMMAND runs is 125, 126 if it cannot run, 127 if it is not there' \
	has_statuses_of_its_own

# SIGINT comes from the terminal to both, so it is not passed on.
passes_signals_on()
{
	local signal

	for signal in TERM HUP; do
		follow "$events" -- sh -c "trap 'echo $signal >$scratch/got; exit 7' $signal
			echo ready >$scratch/ready; while :; do sleep 0.05; done"
		await "$scratch/ready"
		kill -s $signal "$tracer"
		leave "$tracer"
		equal "status after $signal" 7 "$status"
		equal "what the program got" $signal "$(cat "$scratch/got")"
		equal "the last line after $signal" 0 "$(summary .lost)"
		rm "$scratch/ready"
	done
	follow "$events" -- sh -c "trap 'exit 8' INT; echo ready >$scratch/ready
		until [ -e $scratch/enough ]; do sleep 0.05; done; exit 9"
	await "$scratch/ready"
	kill -INT "$tracer"
	sleep 0.2
	touch "$scratch/enough"
	leave "$tracer"
	equal 'status after INT to the tracer alone' 9 "$status"
	run timeout --foreground -k 20 20 vminspect trace --to "$events" -- sh -c 'kill -INT $$'
	equal 'status if INT ends the program' 130 "$status"
}
promise 'while COMMAND runs, TERM and HUP are passed on to it, and INT is its own matter' \
	passes_signals_on

await()
{
	local tries

	for ((tries = 0; tries < 300; tries++)); do
		[ ! -s "$1" ] || return
		sleep 0.02
	done
	broken "$1 does not come"
}

#
# A process
#

# Also one that has been executing something else since.
follows_a_process()
{
	hold -g "$cgroup" 2 100
	follow "$events" "$child"
	go out
	go in
	# it exits now
	release
	leave "$tracer"
	equal 'status when the process has exited' 0 "$status"
	equal 'messages' '' "$(<"$scratch/said")"
	sed -i 1q "$report"
	compare_pages swap_in
	compare_pages swap_out
	equal pids "$child" "$(fields swap_in .pid | sort -u)"
	judge 'the first line' "$events" \
		"select(.event == \"start\" and (.scope != \"target\" or .pid != $child)) | tojson"
}
promise 'PID: its events alone, until it exits; then the summary and status 0' follows_a_process

ends_with_the_address_space()
{
	start sh -c 'echo ready; read -r _; exec sleep 1000'
	follow "$events" "$pid"
	echo go >&"$to"
	leave "$tracer"
	equal 'status when the process executes another program' 0 "$status"
	equal 'its summary' 0 "$(summary .lost)"
	end "$pid"
	refuses 1 2 vminspect trace 2
	refuses 1 "$pid" vminspect trace "$pid"
}
promise 'PID: it ends with the address space, when the process becomes another program' \
	ends_with_the_address_space

ends_in_time()
{
	local signal

	works vminspect trace -a --for 0.2 --to "$events"
	equal 'its last line' 1 "$(tail -n 1 "$events" | grep -c 'Records lost: 0')"
	for signal in INT TERM HUP; do
		follow "$events" -a
		finish $signal
		equal "lines after $signal" 2 "$(wc -l <"$events")"
		equal "summary after $signal" 0 "$(summary .swap_in)"
	done
}
promise '--for, INT, TERM and HUP end it with the summary and status 0' ends_in_time

# What was out before anybody looked has no owner until somebody asks for it.
knows_what_it_does_not_know()
{
	hold -g "$cgroup" -d 1 1 500
	go out
	follow "$events" -a
	go in
	finish
	release
	equal 'pages that came in' 500 "$(summary .swap_in)"
	judge 'reads' "$events" '
		map(select(.event == "read")) |
		(map(select(.pid == null)) as $nobody | select($nobody == []) | "there are none of nobody"),
		(.[] | select(.readahead and .pid != null) | "read ahead for \(.pid)"),
		(.[] | select(.pid == null and ([.comm, .va, .mapping] != [null, null, null] or
			.readahead != true)) | tojson)' -s
	equal 'pages that went out' 0 "$(summary .swap_out)"
}
promise 'the owner of what was swapped out before is null where nobody asked for it' \
	knows_what_it_does_not_know

#
# What is asked for
#

selects_kinds()
{
	local kind

	for kind in swap_in swap_out read write; do
		works vminspect trace -J --only $kind --to "$events" -- \
			storm -g "$cgroup" -l "$report" 1 100
		equal "kinds of --only $kind" "$kind" \
			"$(jq -r 'select(.event and .event != "start") | .event' "$events" | sort -u)"
		judge "the others of --only $kind" "$events" "select(.summary) | .summary |
			[.swap_in, .swap_out, .read, .write] | map(select(. != null)) |
			select(length != 1 or .[0] < 1) | tojson"
	done
	works vminspect trace -J --only swap_out,swap_in --to "$events" -- storm -l "$report" 1 100
	equal 'two kinds' '100 100 null null' \
		"$(summary '"\(.swap_in) \(.swap_out) \(.read) \(.write)"')"
	equal 'who swapped' '100 100' "$(summary '.processes[0] | "\(.in) \(.out)"')"
}
promise '--only: these kinds, and null for the others in the summary' selects_kinds

# A direction is counted by the kind that is a process's own where that is recorded, else by the other.
counts_by_direction()
{
	local kinds

	for kinds in swap_in,write swap_out,read write,read swap_in,read swap_out,write; do
		works vminspect trace -J --only $kinds --to "$events" -- \
			storm -g "$cgroup" -l "$report" 1 100
		judge "figures of --only $kinds" "$events" "select(.summary) |
			(\"$kinds\" | split(\",\") | map({swap_in: \"in\", read: \"in\",
				swap_out: \"out\", write: \"out\"}[.])) as \$seen |
			([\"in\", \"out\"] | map(if [.] | inside(\$seen) then 100 else 0 end)) as \$wanted |
			.summary.processes[0] | select([.in, .out] != \$wanted) |
			\"in \(.in), out \(.out), not \(\$wanted)\""
	done
}
promise '--only: what went in and out of a process is told by each kind that shows it, once' \
	counts_by_direction

# pages_of NAME NR: of three hundred
pages_of()
{
	hold -m anon -m heap -m "$scratch/a \"file\" ü" 1 100
	follow "$events" --pages-of "$1" "$child"
	go out
	go in
	finish
	release
	equal "pages of $1 that went out" "$2" "$(summary .swap_out)"
	equal "pages of $1 that came in" "$2" "$(summary .swap_in)"
	equal "lines of $1" "$2" "$(fields swap_in .va | wc -l)"
	equal "mappings of $1" "$3" "$(jq -r 'select(.event and .event != "start") | .mapping' "$events" |
		sort -u)"
}

selects_pages()
{
	local va

	pages_of "$scratch/a \"file\" ü" 100 "$scratch/a \"file\" ü"
	pages_of 'a "file" ü' 100 "$scratch/a \"file\" ü"
	pages_of '[heap]' 100 '[heap]'
	hold -m heap -m "$scratch/file" 1 100
	read -r _ va _ < <(tail -n 1 "$report")
	follow "$events" --pages-of "$va" "$child"
	go out
	go in
	finish
	release
	equal 'mappings of an address' "100 $scratch/file" \
		"$(fields swap_in .mapping | sort | uniq -c | sed 's/^ *//')"
	run vminspect trace --to "$events" --pages-of '[nosuch]' -- storm -l "$report" 1 20
	equal 'status if there is no such mapping' 0 "$status"
	[[ $(<"$err") == *"'[nosuch]'"* ]] || broken "if there is no such mapping it says: $(<"$err")"
	refuses 2 '[heap]+0x10' vminspect trace --pages-of '[heap]+0x10' -a
	refuses 2 '0xzz' vminspect trace --pages-of 0xzz -a
}
promise '--pages-of: a path, its last part, [heap], or an address; the summary is of them, too' \
	selects_pages

# cgroup_sees PATH NR: of 100 pages inside and 70 outside
cgroup_sees()
{
	works vminspect trace -J --cgroup "$1" --to "$events" -- \
		sh -c "storm -g $cgroup -l $report 1 100; storm -l $report.out 1 71"
	equal "pages that go out in $1" "$2" "$(summary .swap_out)"
	equal "pages that come in in $1" "$2" "$(summary .swap_in)"
}

selects_a_cgroup()
{
	cgroup_sees "$cgroup" 100
	cgroup_sees "$cgroup/" 100
	cgroup_sees selftest-trace 100
	cgroup_sees /selftest-trace 100
	equal 'the cgroups' /selftest-trace "$(fields swap_in .cgroup | sort -u)"
	equal 'the first line' '"cgroup" "/selftest-trace"' \
		"$(jq -r 'select(.event == "start") | "\(.scope | tojson) \(.cgroup | tojson)"' "$events")"
	cgroup_sees / 171
	cgroup_sees /sys/fs/cgroup 171
	mkdir "$cgroup/below"
	works vminspect trace -J --cgroup "$cgroup" --to "$events" -- \
		storm -g "$cgroup/below" -l "$report" 1 100
	equal 'pages of a cgroup below' 100 "$(summary .swap_out)"
	rmdir "$cgroup/below"
}
promise '--cgroup: it and those below it, by directory or by path from the root on' selects_a_cgroup

refuses_cgroups_that_are_none()
{
	refuses 1 '/no/such' vminspect trace --cgroup /no/such
	refuses 1 'write its path' vminspect trace -J --cgroup nosuch
	refuses 2 "''" vminspect trace --cgroup ''
	refuses 1 'not a directory' vminspect trace --cgroup "$cgroup/cgroup.procs"
	refuses 1 'is no cgroup' vminspect trace --cgroup "$scratch"
	refuses 1 'is no cgroup' vminspect trace --cgroup /proc
	mkdir "$scratch/v1"
	mount -t cgroup -o none,name=selftest none "$scratch/v1" ||
		{ skip 'this kernel mounts no cgroup v1'; return; }
	refuses 1 'is a cgroup v1' vminspect trace --cgroup "$scratch/v1"
	umount "$scratch/v1"
}
promise 'a cgroup that is not there, a file, another directory, a v1: refused, each for what it is' \
	refuses_cgroups_that_are_none

keeps_readers_apart()
{
	local first second first_child first_to first_from first_pid

	hold 1 100
	first_child=$child
	first_pid=$pid
	first_to=$to
	first_from=$from
	cp "$report" "$report.first"
	hold 1 200
	follow "$events.1" --only swap_in "$first_child"
	first=$tracer
	follow "$events.2" -a --only swap_out
	second=$tracer
	grep -qx 'readers 2' "$stats" || broken "the module has not two readers: $(<"$stats")"
	go out
	go in
	to=$first_to from=$first_from
	go out
	go in
	tracer=$first
	finish
	tracer=$second
	finish
	equal 'the first: lines and pages' '102 100' "$(wc -l <"$events.1") $(summary .swap_in "$events.1")"
	equal 'the first: pids' "$first_child" "$(fields swap_in .pid "$events.1" | sort -u)"
	equal 'the second: lines and pages' '302 300' \
		"$(wc -l <"$events.2") $(summary .swap_out "$events.2")"
	grep -qx 'readers 0' "$stats" || broken "the module has readers still: $(<"$stats")"
	end "$pid"
	end "$first_pid"
}
promise 'two at a time get each what they asked for' keeps_readers_apart

refuses_wrong_usage()
{
	refuses 2 whom vminspect trace
	refuses 2 exclude vminspect trace -a 1
	refuses 2 exclude vminspect trace --cgroup / 1
	refuses 2 exclude vminspect trace -a --cgroup /
	refuses 2 "'2'" vminspect trace 1 2
	refuses 2 "'abc'" vminspect trace abc
	refuses 2 "'0'" vminspect trace 0
	refuses 2 --for vminspect trace -a --for
	for word in 0 -1 abc 1s '' nan inf 1e10; do
		refuses 2 "--for: '$word'" vminspect trace -a --for="$word"
	done
	refuses 2 "''" vminspect trace -a --only ''
	refuses 2 "'lost'" vminspect trace -a --only lost
	refuses 2 "''" vminspect trace -a --only swap_in,
	refuses 2 'there are swap_in, swap_out, read, write' vminspect trace -a --only bogus
	refuses 2 --summary vminspect trace -a --summary --all
	refuses 2 --summary vminspect trace -a --summary -o VA
	refuses 2 --json vminspect trace -a -J -o VA
	refuses 2 exclude vminspect trace -a -J -r
	refuses 2 "'bogus'" vminspect trace -a -o bogus
	refuses 2 -x vminspect trace -ax
}
promise 'wrong usage: status 2 and a sentence' refuses_wrong_usage

#
# Forms
#

# The table has no JSON's beside it in the same run, but the storm is as large.
prints_a_table()
{
	works vminspect trace --to "$events" -- storm -g "$cgroup" -l "$report" 1 300
	equal 'lines of swap_in' 300 "$(grep -c '^ *[0-9.]* swap_in ' "$events")"
	equal 'lines of swap_out' 300 "$(grep -c '^ *[0-9.]* swap_out ' "$events")"
	equal 'headings' 1 "$(grep -c 'TIME EVENT' "$events")"
	# where a column begins, its heading does
	awk '/TIME EVENT/ { event = index($0, "EVENT"); swap = index($0, "SWAP"); as = index($0, "AS ") }
		/^ *[0-9.]+ (swap_in|swap_out|read|write) / && (index($0, $2) != event ||
			substr($0, swap - 1) !~ /^ [0-9]+:[0-9]/ ||
			substr($0, as - 1) !~ /^ (fault|madvise|memcg|kswapd|direct|other) /)' "$events" \
		>"$scratch/got"
	same 'lines that are not aligned' /dev/null "$scratch/got"
	equal 'the table of the summary' '300 300 1.2M' \
		"$(awk '$1 == "swap_out" { print $2, $3, $4 }' "$events")"
	grep -q '^How long a swap_in took:' "$events" || broken 'there is no histogram'
	equal 'what swapped most' 'storm 1.2M 1.2M' "$(sed -n '/^Processes that/,/^$/p' "$events" |
		awk 'NR == 3 { print $2, $3, $4 }')"

	works vminspect trace --summary --to "$events" -- storm -g "$cgroup" -l "$report" 1 300
	equal 'lines of events with --summary' 0 "$(grep -c '^ *[0-9.]* swap_in ' "$events")"
	equal 'the summary alone' '300 300 1.2M' \
		"$(awk '$1 == "swap_out" { print $2, $3, $4 }' "$events")"
	works vminspect trace -J --summary --to "$events" -- storm -l "$report" 1 300
	equal 'lines of -J --summary' 2 "$(wc -l <"$events")"
	equal 'its pages' 300 "$(summary .swap_out)"
}
promise 'as a table: a line an event, aligned, then the summary; --summary prints that alone' \
	prints_a_table

prints_raw_fields()
{
	works vminspect trace -r -n -o EVENT,PID,VA,MAPPING --to "$events" -- \
		storm -g "$cgroup" -l "$report" 1 300
	list_pages >"$scratch/wanted"
	sed -n 's/^swap_in \([0-9]* 0x[0-9a-f]*\) .*/\1/p' "$events" >"$scratch/got"
	same 'raw fields' "$scratch/wanted" "$scratch/got"
	grep -vE '^(swap_in|swap_out|read|write) ' "$events" >"$scratch/got"
	same 'lines that are no rows' /dev/null "$scratch/got"
	works vminspect trace -r -n --summary --to "$events" -- storm -l "$report" 1 300
	equal 'raw summary' '4 300' "$(wc -l <"$events") $(awk '$1 == "swap_out" { print $3 }' "$events")"
}
promise '-r: rows alone' prints_raw_fields

keeps_odd_names()
{
	local name

	for name in 'two words' 'quo"te\s' $'new\nline' $'tab\ttab' 'größe' '日本語日本'; do
		works vminspect trace -J --to "$events" -- storm -c "$name" -l "$report" 1 5
		equal "lines of ${name@Q}" "$(wc -l <"$events")" "$(grep -c '^{.*}$' "$events")"
		judge "comm of ${name@Q}" "$events" '(select(.event == "swap_in" and
			(.comm != $name or .actor.comm != $name)) | tojson),
			(select(.summary) | .summary.processes | select(map(.comm) != [$name]) | tojson)' \
			--arg name "$name"
		works vminspect trace -r -n -o EVENT,COMM,PID --to "$events" -- \
			storm -c "$name" -l "$report" 1 5
		awk 'NF != 3' "$events" >"$scratch/got"
		same "raw rows of ${name@Q}" /dev/null "$scratch/got"
	done
	# not UTF-8, and cut off within a character
	for name in $'\xff\xfe' 'ääääääääää'; do
		works vminspect trace -J --to "$events" -- storm -c "$name" -l "$report" 1 5
		iconv -f UTF-8 -t UTF-8 "$events" >"$scratch/got" 2>&1 || broken "${name@Q} is no UTF-8"
		grep -q $'"comm":"[^"]*\xef\xbf\xbd"' "$events" || broken "${name@Q} is not repaired"
	done
	works vminspect trace -J --to "$events" -- sh -c 'exit 0' $'o"d\nd' $'\xff'
	judge 'the command' "$events" 'select(.event == "start" and
		.command != ["sh", "-c", "exit 0", "o\"d\nd", "\ufffd"]) | tojson'
}
promise 'names with spaces, quotes, newlines, UTF-8 and what is none stand in JSON as they are' \
	keeps_odd_names

# on_terminal ARGUMENT...: in the file $out
on_terminal()
{
	TERM=xterm script -q -e -c "stty cols 200; vminspect trace ${*@Q}" /dev/null </dev/null \
		>"$scratch/typed" || broken 'on a terminal it fails'
	tr -d '\r' <"$scratch/typed" >"$out"
}

spares_the_terminal()
{
	local storm="storm -l $report 1 400; sleep 1.5; storm -l $report 1 3"
	local nr

	on_terminal -a -- sh -c "$storm"
	nr=$(grep -cE '^ *[0-9.]+ (swap_in|swap_out|read|write) +[0-9]+ storm' "$out")
	[[ $nr -ge 20 && $nr -le 100 ]] || broken "$nr lines are shown"
	equal 'remarks' 1 "$(grep -c 'more events than can be read' "$out")"
	[ "$(grep -cE '^ *[0-9.]+ .*(swap_out|write) [0-9]+.* pages$' "$out")" -ge 1 ] ||
		broken "there is no line for a second: $(grep pages "$out")"
	equal 'the summary' 403 "$(awk '$1 == "swap_out" { print $2 }' "$out")"

	on_terminal -a --all -- sh -c "$storm"
	equal 'lines with --all' 403 "$(grep -cE '^ *[0-9.]+ swap_out ' "$out")"
	on_terminal -J -- sh -c "$storm"
	equal 'lines of JSON' 403 "$(grep -c '"event":"swap_out"' "$out")"
	on_terminal --to "$events" -- sh -c "$storm"
	equal 'lines to a file' 403 "$(grep -cE '^ *[0-9.]+ swap_out ' "$events")"
	on_terminal -- storm -l "$report" 1 3
	[ "$(grep -cE '^ *[0-9.]+ swap_(in|out) ' "$out")" -eq 6 ] || broken 'a few events are not all shown'
}
promise 'on a terminal a line each second above what can be read; --all, JSON and files are complete' \
	spares_the_terminal

notices_bad_output()
{
	local option

	for option in '' -J --summary -r; do
		# shellcheck disable=SC2086	# none or one
		vminspect trace $option -a --for 0.1 >/dev/full 2>"$err"
		status=$?
		[[ $option == -r && $status -eq 0 ]] ||
			check_refusal 1 'No space left' vminspect trace "$option" -a '>/dev/full'
		# shellcheck disable=SC2086
		vminspect trace $option -- storm -l "$report" 1 100 >/dev/full 2>"$err"
		status=$?
		check_refusal 125 'No space left' vminspect trace "$option" -- '>/dev/full'
		# shellcheck disable=SC2086
		vminspect trace $option -- true >&- 2>"$err"
		status=$?
		[ $status -ne 0 ] || broken "$option: standard output is closed, but the status is 0"
	done
	refuses 1 '/dev/full' vminspect trace -a --for 0.1 --to /dev/full
}
promise 'a full or closed output is a failure: 1, or 125 with COMMAND' notices_bad_output

ends_with_its_reader()
{
	local option first disturber

	storm -l "$report" -r 1000 1 2000 &
	disturber=$!
	for option in -r -J; do
		first=$(vminspect trace $option -a 2>"$err" | head -n 1
			exit "${PIPESTATUS[0]}")
		equal "status of $option | head -n 1" 141 $?
		equal "messages of $option | head -n 1" '' "$(<"$err")"
		[ -n "$first" ] || broken "$option: there is no first line"
	done
	kill "$disturber"
	wait "$disturber" 2>/dev/null
}
promise 'when nobody reads any more it ends by SIGPIPE' ends_with_its_reader

waits_without_its_reader()
{
	local option

	for option in -r -J; do
		rm -f "$out"
		# shellcheck disable=SC2016	# sh expands it
		(vminspect trace $option -a -- sh -c 'storm -l "$0" 1 2000; sleep 1; echo end >"$1"' \
			"$report" "$out" 2>"$err"; exit $?) | head -n 1 >/dev/null
		status=${PIPESTATUS[0]}
		check_refusal 125 'Broken pipe' vminspect trace $option -- '| head -n 1'
		equal "what the program did after $option | head -n 1" end "$(cat "$out")"
	done
}
promise 'when nobody reads any more and there is COMMAND, its end is waited for: 125' \
	waits_without_its_reader

# The reader holds the pipe open, and reads nothing at first.
ends_though_nobody_reads()
{
	local pipe=$scratch/pipe tracer reader

	mkfifo "$pipe"
	exec 8<>"$pipe"
	timeout --foreground -s KILL 30 vminspect trace -J -a >"$pipe" 2>"$err" 8<&- &
	tracer=$!
	sleep 0.5
	storm -l "$report" 1 2000 || broken 'the storm fails'
	kill "$tracer"
	sleep 0.5
	[ -d "/proc/$tracer" ] || broken 'after the first signal it does not wait for a reader'
	kill "$tracer"
	wait "$tracer"
	equal 'status after the second signal' 143 $?

	# shellcheck disable=SC2016	# sh expands it
	timeout --foreground -s KILL 30 vminspect trace -J -a -- \
		sh -c 'storm -l "$0" 1 2000; exec sleep 100' "$report" >"$pipe" 2>"$err" 8<&- &
	tracer=$!
	sleep 3
	kill "$tracer"
	sleep 0.5
	cat <"$pipe" >"$events" 8<&- &
	reader=$!
	sleep 0.1
	exec 8<&-
	wait "$tracer"
	equal 'status of the program that got the signal' 143 $?
	wait "$reader"
	[[ $(tail -n 1 "$events") == '{"summary":'* ]] || broken 'the last line is no summary'
}
promise 'signals are heard though nobody reads: the first ends recording or goes to COMMAND, the next all' \
	ends_though_nobody_reads

#
# Bad times
#

# A tracer that is stopped reads nothing: more comes than there is room for.
counts_what_is_lost()
{
	follow "$events" -a --only swap_out
	kill -STOP "$tracer"
	storm -o -l "$report" 1 40000 || broken 'the storm fails'
	kill -CONT "$tracer"
	finish
	equal 'pages that were told and lost' 40000 "$(jq -s '.[1:-1] | map(.pages // .records) | add' "$events")"
	judge 'what was lost' "$events" '(.[-1].summary) as $sum | .[1:-1] |
		(map(select(.event == "lost")) as $lost |
			(select($lost == []) | "nothing was, so this shows little"),
			($lost[] | select(keys_unsorted != ["event", "records", "time_ns"]) | tojson),
			(($lost | map(.records) | add) as $nr | select($nr != $sum.lost) |
				"the summary has \($sum.lost), the lines \($nr)")),
		(select(map(.time_ns) | . != sort) | "it is not told in its place")' -s
}
promise 'what is lost to a tracer that is stopped is told in its place and counted exactly' \
	counts_what_is_lost

keeps_its_memory()
{
	follow "$events" -a
	# The kernel's own pages in it, [vdso] and such, never go out.
	awk '/^[0-9a-f]+-/ { name = $1 " " $6 }
		/^VmFlags:/ && !/ lo( |$)/ && name !~ /\[v/ { print name }' \
		"/proc/$tracer/smaps" >"$scratch/unlocked"
	same 'mappings that it has not locked' /dev/null "$scratch/unlocked"
	equal 'what of it is out' 0 "$(sed -n 's/^VmSwap:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$tracer/status")"
	finish
	works vminspect trace --to "$events" -- sh -c 'cat /proc/self/status'
	equal 'what the program has locked' 0 "$(sed -n 's/^VmLck:[^0-9]*\([0-9]*\).*/\1/p' "$out")"
	equal 'its nice value' 0 "$(vminspect trace --to "$events" -- nice)"
	works vminspect trace --to "$events" -- sh -c 'grep -E "^Sig(Blk|Ign)" /proc/self/status'
	grep -E '^Sig(Blk|Ign)' /proc/self/status >"$scratch/wanted"
	same 'its signals' "$scratch/wanted" "$out"
	works vminspect trace --to "$events" -- sh -c 'ls -l /proc/$$/fd | grep -c vminspect || :'
	equal 'descriptors of ours that it has' 0 "$(<"$out")"
}
promise 'its own memory is locked; the program has nothing of that, nor its priority or descriptors' \
	keeps_its_memory

refuses_who_may_not()
{
	local sentence='are for root, and for nobody while the kernel is locked down'

	refuses 1 'mode=' "${user[@]}" vminspect trace -a
	refuses 125 'mode=' "${user[@]}" vminspect trace -a -- true
	refuses 1 "$sentence" "${weak[@]}" vminspect trace -a
	refuses 1 "$sentence" "${weak[@]}" vminspect trace -J --cgroup "$cgroup"
	refuses 1 "$sentence" "${weak[@]}" vminspect trace $$
	refuses 125 "$sentence" "${weak[@]}" vminspect trace -- true
	reload mode=0666
	refuses 1 "$sentence" "${user[@]}" vminspect trace -a
	refuses 125 "$sentence" "${user[@]}" vminspect trace -J -- true
	reload
}
promise 'who may not see events is told so: 1, or 125 with COMMAND' refuses_who_may_not

# reload [PARAMETER...]
reload()
{
	modprobe -r vminspect || broken 'the module does not unload'
	modprobe vminspect "$@" || broken "the module does not load with $*"
}

# shellcheck disable=SC2317	# called when the script ends
restore_module()
{
	modprobe -r vminspect
	# shellcheck disable=SC2086	# parameters, a word each
	modprobe vminspect ${VMINSPECT_MODARGS-}
}

names_missing_kinds()
{
	at_end+=(restore_module)
	reload avoid=__swap_writepage
	run vminspect trace --to "$events" -- storm -g "$cgroup" -l "$report" 1 100
	check_refusal 0 'does not show write; the others go on' vminspect trace
	equal 'the others' '100 100' "$(awk '$1 ~ /^swap_(in|out)$/ { print $2 }' "$events" | xargs)"
	[ "$(awk '$1 == "read" { print $2 }' "$events")" -gt 0 ] || broken 'read does not go on'
	grep -qx 'This kernel does not show: write' "$events" || broken 'the summary does not say so'
	works vminspect trace -J --to "$events" -- storm -l "$report" 1 100
	judge '-J' "$events" '
		(select(.event == "start" and (.missing != ["write"] or
			.kinds != ["swap_in", "swap_out", "read"])) | tojson),
		(select(.summary) | .summary |
			select(.missing != ["write"] or .write != null or .swap_in != 100) | tojson)'
	works vminspect info -J
	judge info "$out" '.features | select((.write | type) != "string" or .read != true or
		.swap_in != true or .swap_out != true) | tojson'
	refuses 1 'does not show write' vminspect trace -a --only write
	works vminspect trace --only swap_out --to "$events" -- true
}
promise 'a kind that the kernel does not show is named by info and trace; the others go on' \
	names_missing_kinds

names_missing_probes()
{
	local all='do_swap_page,shmem_swapin_folio,unuse_pte_range,shmem_unuse,try_to_unmap_one,__swap_writepage'

	reload "avoid=$all"
	refuses 1 'does not show swap_in, swap_out, read, write' vminspect trace -a
	refuses 125 'does not show swap_in' vminspect trace --only swap_in -- true
	works vminspect info -J
	judge info "$out" '.features | [.swap_in, .swap_out, .read, .write] |
		select(all(type == "string") | not) | tojson'
	reload
	# A kernel may not let it be switched off: 7.3 did not. dash would not say why.
	if printf 0 | dd of=/proc/sys/kernel/ftrace_enabled 2>"$scratch/said"; then
		refuses 1 ftrace_enabled vminspect trace -a
		refuses 125 ftrace_enabled vminspect trace -- true
		echo 1 >/proc/sys/kernel/ftrace_enabled
	else
		echo '# ftrace can not be switched off here'
		grep -q 'not supported' "$scratch/said" || broken "$(<"$scratch/said")"
	fi
	echo 0 >/sys/kernel/debug/kprobes/enabled
	refuses 1 kprobes/enabled vminspect trace -a
	echo 1 >/sys/kernel/debug/kprobes/enabled
	works vminspect trace -J --to "$events" -- storm -l "$report" 1 100
	equal 'pages once all is well again' 100 "$(summary .swap_in)"
}
promise 'if no kind can be seen, or probes are switched off, a sentence says which' \
	names_missing_probes

holds_the_module()
{
	follow "$events" -a
	run make -s unload
	[ "$status" -ne 0 ] || broken 'the module was unloaded'
	for word in 'It is in use: close' 'vminspect trace' "vminspect ($tracer)"; do
		[[ $(<"$err") == *"$word"* ]] || broken "make unload: '$word' is not in $(<"$err")"
	done
	[ -d /sys/module/vminspect ] || broken 'the module is gone'
	finish
	run make -s unload
	equal 'status of unload afterwards' 0 "$status"
	refuses 1 'load the module' vminspect trace -a
	refuses 125 'load the module' vminspect trace -- true
	run make -s unload
	[ "$status" -ne 0 ] || broken 'unloading what is not loaded succeeds'
	modprobe vminspect
}
promise 'while it traces, unloading is refused, and make unload says who has it; without it: a sentence' \
	holds_the_module

is_there_at_swapoff()
{
	local areas

	mapfile -t areas < <(sed 1d /proc/swaps | cut -d' ' -f1)
	hold -g "$cgroup" 1 300
	go out
	follow "$events" -a
	swapoff -a
	finish
	go in
	release
	list_pages | sort >"$scratch/wanted"
	fields swap_in "select(.pid == $child) | \"\\(.pid) \\(.va)\"" | sort >"$scratch/got"
	same 'pages that swapoff brings in' "$scratch/wanted" "$scratch/got"
	judge 'who does it' "$events" "select(.event == \"swap_in\" and .pid == $child and
		(.actor.as != \"swapoff\" or .actor.comm != \"swapoff\" or .ip != null)) | tojson"

	run vminspect trace --to "$events" -- true
	check_refusal 0 'no swap area' vminspect trace
	run vminspect trace -J -a --for 0.1
	equal 'status without swap' 0 "$status"
	equal 'output without swap' '2 0' "$(wc -l <"$out") $(summary .swap_in "$out")"
	swapon "${areas[@]}"
}
promise 'swapoff brings pages in; without any swap area it says so, goes on, and ends with 0' \
	is_there_at_swapoff

names_areas_by_their_time()
{
	local areas disk zram=/dev/zram0

	mapfile -t areas < <(sed 1d /proc/swaps | cut -d' ' -f1)
	disk=${areas[0]}
	modprobe zram num_devices=1
	echo 64M >/sys/block/zram0/disksize
	mkswap $zram >"$scratch/mkswap" 2>&1
	swapoff -a
	swapon "$disk"
	follow "$events" -a
	storm -l "$report.disk" 1 100 || broken 'the first storm fails'
	swapoff "$disk"
	swapon $zram
	storm -l "$report.zram" 1 100 || broken 'the second storm fails'
	swapoff $zram
	swapon "$disk"
	storm -l "$report.again" 1 100 || broken 'the third storm fails'
	finish
	judge 'devices' "$events" "
		[.[] | select(.event == \"swap_out\") | [.swap.type, .swap.device]] |
		[.[0:100], .[100:200], .[200:300], .[300:]] | map(unique) |
		select(. != [[[0, \"$disk\"]], [[0, \"$zram\"]], [[0, \"$disk\"]], []]) | tojson" -s
	for disk in "${areas[@]:1}"; do
		swapon "$disk"
	done
	rmmod zram
}
promise 'an area has the name of the device that had its number then' names_areas_by_their_time

copy_programs
make_cgroup
record_storm
keep_promises
