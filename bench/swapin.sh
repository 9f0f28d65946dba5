#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What recording costs a page that comes back from swap, against bpftrace doing the same.
# Runs in the machine that `run` boots, with zram as swap.

pages=10000
swapin=build/bench/swapin

# Time of one swap-in while a program of bpftrace runs.
with_bpftrace()
{
	local log tracer

	log=$(mktemp)
	bpftrace -e "BEGIN { printf(\"ready\\n\"); } $1" >"$log" 2>&1 &
	tracer=$!
	until grep -q ready "$log" || ! kill -0 "$tracer" 2>/dev/null; do sleep 0.2; done
	"$swapin" "$pages"
	kill -INT "$tracer" 2>/dev/null
	wait "$tracer"
}

# Processor time of `vminspect trace` for each event that it writes, with some more options.
reader_ns()
{
	local out start=$SECONDS

	out=$(mktemp -d)
	TIMEFORMAT='%U %S'
	{ time vminspect trace -a --only swap_in "$@" --to "$out/events" 2>/dev/null; } 2>"$out/time" &
	until [ -s "$out/events" ] || [ $((SECONDS - start)) -gt 20 ]; do sleep 0.2; done
	"$swapin" "$pages" >/dev/null
	pkill -INT -x vminspect
	wait
	awk -v events="$(grep -c swap_in "$out/events")" '{
		printf "%d\n", ($1 + $2) * 1e9 / events }' "$out/time"
}

row()
{
	awk -v what="$1" -v plain="$plain" -v now="$2" -v ref="${3:-}" 'BEGIN {
		printf "%-44s %8d %8d %6.2f", what, now, now - plain, now / plain
		if (ref != "") printf " %9.2f", (now - plain) / (ref - plain)
		print ""
	}'
}

# The same instructions take the same time there; other work does not disturb it.
modprobe -r vminspect
plain=$("$swapin" "$pages")
modprobe vminspect
loaded=$("$swapin" "$pages")
read -r faults read_one <<<"$("$swapin" "$pages" 2)"
read -r all _ <<<"$("$swapin" "$pages" 30)"
after=$("$swapin" "$pages")
map=$(with_bpftrace '
	kprobe:do_swap_page { @start[tid] = nsecs; }
	kretprobe:do_swap_page /@start[tid]/ {
		@us[comm] = hist((nsecs - @start[tid]) / 1000); delete(@start[tid]); }')
line=$(with_bpftrace '
	kprobe:do_swap_page { @start[tid] = nsecs; }
	kretprobe:do_swap_page /@start[tid]/ {
		printf("%d %s %d\n", pid, comm, nsecs - @start[tid]); delete(@start[tid]); }')

printf '%-44s %8s %8s %6s %9s\n' 'a page comes back from zram' 'ns' 'cost' 'ratio' 'of bpf map'
row 'without the module' "$plain"
row 'module loaded, nobody reads' "$loaded"
row 'after the last reader has gone' "$after"
row 'swap_in recorded' "$faults" "$map"
row 'all kinds recorded (read as well: 2 records)' "$all" "$map"
row 'bpftrace: kprobe, kretprobe, histogram' "$map" "$map"
row 'bpftrace: kprobe, kretprobe, printf' "$line" "$map"
awk -v one="$read_one" -v text="$(reader_ns)" -v json="$(reader_ns -J)" 'BEGIN {
	printf "\nread(2): %d ns a record, %.1f million records a second\n", one, 1000 / one
	printf "vminspect trace: %d ns of processor time an event as text, %d as JSON\n", text, json }'
