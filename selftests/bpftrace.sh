#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Promise: bpftrace, perf and trace-cmd get from our tracepoints what the events descriptor gets,
# and the scripts for bpftrace that come with the tool say what really happened. The oracles are
# what a storm did, and `vminspect trace` in the same run.
# machines: swap

# shellcheck disable=SC1091,SC2154	# what is not assigned here comes from tap.sh

cd "$(dirname "$(readlink -f "$0")")/.." || exit 1
. selftests/tap.sh

scripts=userspace/bpftrace
cgroup=/sys/fs/cgroup/selftest-bpftrace
thrash=$PWD/build/selftests/thrash

prepare_machine()
{
	echo +memory >/sys/fs/cgroup/cgroup.subtree_control
	mkdir -p $cgroup
	echo +memory >$cgroup/cgroup.subtree_control
	mkdir -p $cgroup/{one,two}
	cluster=$(</proc/sys/vm/page-cluster)
	at_end+=(restore_machine)
}

# shellcheck disable=SC2317	# called at the end
restore_machine()
{
	echo "$cluster" >/proc/sys/vm/page-cluster
	rmdir $cgroup/{one,two} $cgroup
}

# Sets tracer. As soon as this returns our probes are attached; for a tracepoint that is enabled
# alone they are a moment later.
start_tracer()
{
	local tries

	vminspect trace -a -J >"$scratch/trace" &
	tracer=$!
	started+=("$tracer")
	for ((tries = 0; tries < 300; tries++)); do
		! grep -q '"event":"start"' "$scratch/trace" || return
		sleep 0.1
	done
	broken 'vminspect trace does not begin'
}

# Its events are in the file $scratch/events then, as an array in the order of time.
stop_tracer()
{
	kill -INT "$tracer"
	wait "$tracer"
	jq -c 'select(.event | IN("swap_in", "swap_out", "read", "write")) | {event, time_ns, pid,
		comm, cgroup, va, pages, source, readahead, latency_ns,
		slot: "\(.swap.type):\(.swap.offset)"}' "$scratch/trace" |
		jq -s -c . >"$scratch/events"
	jq -c 'select(.summary).summary | [.lost, .missed]' "$scratch/trace" >"$scratch/losses"
	equal 'what vminspect trace lost and missed' '[0,0]' "$(<"$scratch/losses")"
}

# during STORM SCRIPT ARGUMENT...: runs a script while a storm happens. What its maps are at the
# end is in the file $scratch/maps.
during()
{
	local command=$1

	shift
	start_tracer
	works "$@" -f json -o "$scratch/printed" -c "$command"
	stop_tracer
	jq -s 'map(select(.type | IN("map", "hist", "stats")).data | map_values(select(. != {}))) |
		add' "$scratch/printed" >"$scratch/maps"
}

# agrees WHAT MAPS EVENTS: two filters of jq, of the script's maps and of the tracer's events, have
# the same result.
agrees()
{
	local got wanted

	got=$(jq -S -c "$2" "$scratch/maps" 2>&1)
	wanted=$(jq -S -c "$sums $3" "$scratch/events" 2>&1)
	equal "$1" "$wanted" "$got"
}

# happened WANTED FILTER: an array of events says what the storm did.
happened()
{
	equal 'what vminspect trace says of the storm' "$1" "$(jq -c "$sums $2" "$scratch/events")"
}

# For jq: [{key, value}, ...] to an object in which values of the same key are added up.
sums='
	def sums: group_by(.key) | map({key: .[0].key, value: map(.value) | add}) | from_entries;
	def kind($kind): map(select(.event == $kind));
	def process: "\(.comm),\(.pid)";
	def pages: map(.pages) | add // 0;
	def log2_floor: if . < 2 then . else . as $n | [1] | until(.[0] * 2 > $n; [.[0] * 2]) | .[0] end;
	def number: ltrimstr("0x") | explode | reduce .[] as $digit (0;
		. * 16 + if $digit > 96 then $digit - 87 else $digit - 48 end);'

# Two processes, each in a cgroup of its own. bpftrace starts no scripts.
two="/bin/sh $scratch/two"
cat >"$scratch/two" <<-END
	$thrash -c $cgroup/one -n first 300
	$thrash -c $cgroup/two -n second 200
END

#
# Scripts
#

ends_on_ctrl_c()
{
	local script tries

	for script in "$scripts"/*.bt; do
		"$script" -B none >"$out" 2>"$err" &
		pid=$!
		started+=("$pid")
		for ((tries = 0; tries < 300; tries++)); do
			! grep -q 'Ctrl-C ends this' "$out" || break
			sleep 0.1
		done
		# "Waiting" is said just before the probes are attached
		sleep 1
		kill -INT "$pid"
		wait "$pid"
		equal "$script: exit status" 0 $?
		equal "$script: what it says when nothing is swapped" 'Attaching Waiting heading' \
			"$(sed -nE 's/^(Attaching|Waiting) .*/\1/p; s/^(Pages|How long) .*:$/heading/p' \
				"$out" | paste -sd ' ')"
		equal "$script: lines besides" 3 "$(grep -c . "$out")"
		same "$script: its messages" /dev/null "$err"
	done
}
promise 'each script waits, and ends on Ctrl-C with a heading and no message' ends_on_ctrl_c

tells_waits()
{
	during "$two" $scripts/latency.bt
	happened 500 'kind("swap_in") | pages'
	agrees 'histogram of waiting times' \
		'.["@wait_us"] | map_values(map(select(.count > 0) | {key: "\(.min)", value: .count}) |
			from_entries)' \
		'kind("swap_in") | group_by(process) | map({key: .[0] | process, value:
			map({key: "\(.latency_ns / 1000 | floor | log2_floor)", value: 1}) | sums}) |
			from_entries'
	agrees 'number and time' \
		'.["@faults"] | map_values([.count, .total])' \
		'kind("swap_in") | group_by([process, .source]) | map({
			key: "\(.[0] | process),\(if .[0].source == "device" then 1 else 5 end)",
			value: [length, (map(.latency_ns / 1000 | floor) | add)]}) | from_entries'
}
promise 'latency.bt tells what each process waited, by where its pages came from' tells_waits

tells_waits_of_one()
{
	start_tracer
	start_waiting
	works $scripts/latency.bt -f json -o "$scratch/printed" -c "$two" "$waiting"
	stop_tracer
	equal 'lines with maps' '' "$(grep -F '@' "$scratch/printed" | grep -v '{}')"
	end "$waiting"
}

start_waiting()
{
	sleep 1000 &
	waiting=$!
	started+=("$waiting")
}
promise 'latency.bt PID tells of no other process' tells_waits_of_one

tells_others_together()
{
	sed 's/@nr_known < 150/@nr_known < 1/' $scripts/latency.bt >"$scratch/latency.bt"
	during "$two" bpftrace "$scratch/latency.bt"
	happened '[300,200]' '[(kind("swap_in") | map(select(.comm == ("first", "second"))) |
		group_by(.comm)[] | length)]'
	agrees 'those of the first process' '.["@wait_us"] | map_values(map(.count) | add)' \
		'kind("swap_in") | map(select(.comm == "first") | {key: process, value: 1}) | sums'
	agrees 'those of the others' \
		'[(.["@wait_us_others"]["0"] | map(.count) | add),
		  (.["@faults_others"] | map(.count) | add)]' '[200, 200]'
}
promise 'latency.bt tells processes for which there is no room together' tells_others_together

# Addresses as jq computes them are exact: they have less than 53 bits.
regions='kind("swap_in") | map(select(.va) | (.va | number) as $va | {
	key: "\(process),\($va - $va % ($kib * 1024))", value: .pages}) | sums'
printed_regions='.["@pages"] | with_entries(.key |= (split(",") |
	"\(.[0]),\(.[1]),\(.[2] | number)"))'

tells_regions()
{
	during "$thrash -c $cgroup/one 1200" $scripts/hot.bt
	happened '[512,512,176]' "2048 as \$kib | [$regions | .[]]"
	agrees 'pages by region of 2 MiB' "$sums $printed_regions" "2048 as \$kib | $regions"

	during "$thrash -c $cgroup/one 30" $scripts/hot.bt 0 4
	happened 30 "4 as \$kib | $regions | length"
	agrees 'pages by page' "$sums $printed_regions" "4 as \$kib | $regions"

	during "$thrash -c $cgroup/one 1200" env BPFTRACE_MAP_KEYS_MAX=2 $scripts/hot.bt
	agrees 'regions that there is room for, and all pages' \
		'[(.["@pages"] | length), (.["@pages"] | add) + .["@pages_elsewhere"]["0"]]' \
		'[2, (kind("swap_in") | pages)]'
}
promise 'hot.bt tells how many pages came back to each region, also beyond its room' tells_regions

# Of each event a line "TIME KIND SLOT COMM,PID SOURCE READAHEAD", for awk.
list_events()
{
	jq -r '.[] | "\(.time_ns) \(.event) \(.slot) \(.comm),\(.pid) \(.source) \(.readahead)"' \
		"$scratch/events"
}

# How many pages were back within so many milliseconds, by the times of the tracer's events.
count_back()
{
	list_events | awk -v limit="$1" '
		$2 == "swap_out" { out[$3] = $1 }
		$2 == "swap_in" && $3 in out {
			nr += $1 - out[$3] <= limit * 1000000
			delete out[$3]
		}
		END { print nr + 0 }'
}

tells_thrashing()
{
	during "$thrash -c $cgroup/one -r 2 500" $scripts/back.bt 100000
	happened 1000 'kind("swap_in") | pages'
	equal 'pages that were back' 1000 "$(count_back 100000)"
	agrees 'pages that went out' '.["@out"]' 'kind("swap_out") |
		map({key: process, value: .pages}) | sums'
	agrees 'pages that came in' '.["@in"]' 'kind("swap_in") |
		map({key: process, value: .pages}) | sums'
	agrees 'pages that were back' '.["@back"]' 'kind("swap_in") |
		map({key: process, value: .pages}) | sums'
	agrees 'pages by how long they were away' '.["@away_ms"]["0"] | map(.count) | add' 1000

	# out for 1.5 seconds or more
	during "$thrash -c $cgroup/one -w 1500 500" $scripts/back.bt
	equal 'pages that were back too late' 0 "$(count_back 1000)"
	agrees 'pages that came in' '.["@in"] | add' 500
	agrees 'pages that were back too late' '.["@back"]' null

	during "$thrash -c $cgroup/one 500" \
		env BPFTRACE_MAP_KEYS_MAX=100 bpftrace $scripts/back.bt 100000
	agrees 'pages for which there is no room' '[.["@back"][], .["@forgotten"]["0"]]' \
		'[100, 400]'
}
promise 'back.bt tells pages that were back within the time, and those that it forgot' \
	tells_thrashing

by_cgroup='map({key: "\(.cgroup | sub(".*/"; "")),\({swap_in: "in", swap_out: "out", read: "read",
	write: "written"}[.event])", value: .pages}) | sums'

tells_cgroups()
{
	local one two_id

	one=$(stat -c %i $cgroup/one)
	two_id=$(stat -c %i $cgroup/two)
	during "$two" $scripts/cgroup.bt
	happened '{"one,in":300,"one,out":300,"two,in":200,"two,out":200}' \
		"$by_cgroup | with_entries(select(.key | test(\"in\$|out\$\")))"
	agrees 'pages by cgroup' ".[\"@pages\"] | with_entries(.key |= (sub(\"^$one,\"; \"one,\") |
		sub(\"^$two_id,\"; \"two,\")))" "$by_cgroup"
	agrees 'waiting time by cgroup' ".[\"@waited_us\"] | [.[\"$one\"], .[\"$two_id\"]]" \
		'kind("swap_in") | [group_by(.cgroup)[] | map(.latency_ns / 1000 | floor) | add]'
	equal 'the names' \
		"$one is unified:${cgroup#/sys/fs/cgroup}/one;$two_id is unified:${cgroup#/sys/fs/cgroup}/two" \
		"$(jq -r 'select(.type == "printf").data' "$scratch/printed" | grep ' is ' | paste -sd ';')"

	sed 's/@nr_known < 1000/@nr_known < 1/' $scripts/cgroup.bt >"$scratch/cgroup.bt"
	during "$two" bpftrace "$scratch/cgroup.bt"
	agrees 'pages of cgroups for which there is no room' '.["@pages_of_others"]' \
		"$by_cgroup | with_entries(select(.key | test(\"^two\")) | .key |= sub(\"two,\"; \"\"))"
}
promise 'cgroup.bt tells what each cgroup swaps and waits, and what it is called' tells_cgroups

# What became of each page that was read ahead, by the tracer's events.
count_fates()
{
	list_events | awk '
		$2 == "write" { next }
		$3 in ahead {
			nr[$2 == "swap_in" && $5 == "cache" ? "ahead, used" : "ahead, dropped"]++
			delete ahead[$3]
			nr["ahead, unused"]--
		}
		$2 != "read" { next }
		$6 == "true" { ahead[$3]; nr["ahead"]++; nr["ahead, unused"]++; next }
		{ nr["asked for"]++ }
		END {
			for (what in nr)
				if (nr[what])
					print what ": " nr[what]
		}' | sort
}

agrees_on_fates()
{
	equal "$1" "$(count_fates)" "$(jq -r '.["@pages"] | to_entries[] | select(.value != 0) |
		"\(.key): \(.value)"' "$scratch/maps" | sort)"
}

tells_readahead()
{
	echo 3 >/proc/sys/vm/page-cluster
	during "$thrash -c $cgroup/one 1200" $scripts/readahead.bt
	agrees_on_fates 'all pages, read in their order'
	agrees 'who used them' '.["@used_by"]' 'kind("swap_in") |
		map(select(.source == "cache") | {key: process, value: .pages}) | sums'
	equal 'most were read ahead and used' true \
		"$(jq '.["@pages"]["ahead, used"] > 600' "$scratch/maps")"

	during "$thrash -c $cgroup/one -s 5 -a 1200" $scripts/readahead.bt
	agrees_on_fates 'each fifth page, then all'
	equal 'some were dropped' true \
		"$(jq '.["@pages"]["ahead, dropped"] > 0' "$scratch/maps")"

	echo 0 >/proc/sys/vm/page-cluster
	during "$thrash -c $cgroup/one 300" $scripts/readahead.bt
	agrees_on_fates 'without reading ahead'
	agrees 'without reading ahead' '.["@pages"]' '{"asked for": 300}'
	echo "$cluster" >/proc/sys/vm/page-cluster
}
promise 'readahead.bt tells what became of each page that was read ahead' tells_readahead

installs_scripts()
{
	local script

	works make -s -C userspace O="$PWD/build" DESTDIR="$scratch/root" PREFIX=/usr install
	for script in "$scripts"/*.bt; do
		same "$script" "$script" "$scratch/root/usr/share/vminspect/bpftrace/${script##*/}"
		[ -x "$scratch/root/usr/share/vminspect/bpftrace/${script##*/}" ] ||
			broken "$script cannot be executed once installed"
	done
}
promise 'the scripts are installed as they are' installs_scripts

#
# Other programs
#

count_everything()
{
	cat >"$scratch/count.bt" <<-'END'
		tracepoint:vminspect:swap_in { @pages["swap_in"] = sum(args->pages); }
		tracepoint:vminspect:swap_out { @pages["swap_out"] = sum(args->pages); }
		tracepoint:vminspect:swap_read { @pages["read"] = sum(args->pages); }
		tracepoint:vminspect:swap_write { @pages["write"] = sum(args->pages); }
	END
	start_tracer
	run perf stat -a -x , -o "$scratch/perf" -e 'vminspect:*' -- \
		trace-cmd record -q -b 8192 -o "$scratch/trace.dat" -e vminspect \
		bpftrace -f json -o "$scratch/printed" -c "$thrash -c $cgroup/one -r 2 500" \
			"$scratch/count.bt"
	equal 'exit status of perf, trace-cmd, bpftrace' 0 "$status"
	stop_tracer

	jq -r 'map({key: .event, value: .pages}) | group_by(.key) |
		.[] | "\(.[0].key) \(map(.value) | add)"' "$scratch/events" >"$scratch/wanted"
	sed -nE 's/^([0-9]+),,vminspect:(swap_(in|out)|swap_(read|write)),.*/\2 \1/p' \
		"$scratch/perf" | sed 's/^swap_\(read\|write\)/\1/' | sort >"$scratch/perf.counts"
	trace-cmd report "$scratch/trace.dat" 2>"$err" |
		sed -nE 's/.*: swap_(in|out|read|write): .* pages=([0-9]+) .*/swap_\1 \2/p' |
		sed 's/^swap_\(read\|write\)/\1/' |
		awk '{ pages[$1] += $2 } END { for (kind in pages) print kind, pages[kind] }' |
		sort >"$scratch/trace-cmd.counts"
	jq -r 'select(.type == "map").data["@pages"] // {} | to_entries[] | "\(.key) \(.value)"' \
		"$scratch/printed" | sort >"$scratch/bpftrace.counts"
}

count_on_disk()
{
	count_everything
	happened '[1000,1000,1000,1000]' \
		'[kind("swap_in", "swap_out", "read", "write") | pages]'
	same 'perf' "$scratch/wanted" "$scratch/perf.counts"
	same 'trace-cmd' "$scratch/wanted" "$scratch/trace-cmd.counts"
	same 'bpftrace' "$scratch/wanted" "$scratch/bpftrace.counts"
}
promise 'perf, trace-cmd and bpftrace count what the descriptor counts, on a disk' count_on_disk

count_on_zram()
{
	local disk zram

	disk=$(swapon --show=NAME --noheadings)
	modprobe zram num_devices=1
	echo 64M >/sys/block/zram0/disksize
	zram=/dev/zram0
	mkswap $zram >"$out" 2>&1
	swapoff "$disk"
	swapon $zram
	count_on_disk
	agrees_on_zram
	swapoff $zram
	swapon "$disk"
	rmmod zram
}

agrees_on_zram()
{
	happened '["zram"]' 'kind("swap_in") | map(.source) | unique'
}
promise 'perf, trace-cmd and bpftrace count what the descriptor counts, on zram' count_on_zram

prepare_machine
keep_promises
