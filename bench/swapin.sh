#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What recording costs a page that comes back from swap, against bpftrace doing the same: lines for
# ./report. Runs in the machine that `run` boots, with zram as swap, and one processor: what a reader
# does while pages come back is in the figures.

pages=10000
swapin=build/bench/swapin
lines=$(mktemp)

# with_bpftrace METHOD PROGRAM
with_bpftrace()
{
	local log tracer

	log=$(mktemp)
	bpftrace -e "BEGIN { printf(\"ready\\n\"); } $2" >"$log" 2>&1 &
	tracer=$!
	until grep -q ready "$log" || ! kill -0 "$tracer" 2>/dev/null; do sleep 0.2; done
	grep -q ready "$log" || { cat "$log" >&2; return 1; }
	"$swapin" "$1" "$pages" || return
	kill -INT "$tracer"
	wait "$tracer"
	awk -v method="$1" '/^Lost [0-9]* events/ { lost += $2 }
		END { printf "# lost by %s=%d\n", method, lost }' "$log"
}

# reader_ns METHOD [OPTION]...: processor time of `vminspect trace` for each event that it writes
reader_ns()
{
	local method=$1 out start=$SECONDS

	shift
	out=$(mktemp -d)
	TIMEFORMAT='%U %S'
	{ time vminspect trace -a --only swap_in "$@" --to "$out/events" 2>/dev/null; } 2>"$out/time" &
	until [ -s "$out/events" ] || [ $((SECONDS - start)) -gt 20 ]; do sleep 0.2; done
	"$swapin" "$method" "$pages" >/dev/null
	pkill -INT -x vminspect
	wait
	awk -v events="$(grep -c swap_in "$out/events")" -v method="$method" -v unit="$UNIT" '{
		ns = ($1 + $2) * 1e9 / events
		printf "an event is written\t%s\t%s\t%.4g\t%.4g\t%.4g\n", method, unit, ns, ns, ns }' \
		"$out/time"
}

# By ENTRY and RETURN: return probes, or what the kernel's type information allows of, which is cheaper.
bpftraces()
{
	with_bpftrace "bpftrace $1: entries counted" "$1:do_swap_page { @ = count(); }" &&
	with_bpftrace "bpftrace $1: histogram of latencies" "
		$1:do_swap_page { @start[tid] = nsecs; }
		$2:do_swap_page /@start[tid]/ {
			@us = hist((nsecs - @start[tid]) / 1000); delete(@start[tid]); }" &&
	with_bpftrace "bpftrace $1: a line each" "
		$1:do_swap_page { @start[tid] = nsecs; }
		$2:do_swap_page /@start[tid]/ {
			printf(\"%d %s %d\\n\", pid, comm, nsecs - @start[tid]); delete(@start[tid]); }"
}

measure()
{
	modprobe -r vminspect &&
	"$swapin" 'without the module' "$pages" &&
	modprobe vminspect &&
	"$swapin" 'module loaded, nobody reads' "$pages" &&
	"$swapin" 'swap_in recorded' "$pages" 2 &&
	"$swapin" 'all kinds recorded' "$pages" 30 &&
	"$swapin" 'after the last reader has gone' "$pages" &&
	"$swapin" 'swap_in recorded, a reader waits' "$pages" 2 wait &&
	bpftraces kfunc kretfunc &&
	bpftraces kprobe kretprobe &&
	reader_ns 'vminspect trace' &&
	reader_ns 'vminspect trace -J' -J
}

# What each adds to a page that comes back, and ours with the reading; ours first.
added()
{
	awk -F '\t' -v OFS='\t' '
	/^a page comes back/ && $2 == "without the module" { plain = $4 }
	$1 == "both" && $2 == "swap_in recorded" {
		ours = "added to it\t" $2 ", and read\t" $3 OFS $4 - plain OFS $5 - plain OFS $6 - plain
	}
	/^a page comes back/ && $2 != "without the module" {
		line[++nr] = "added to it\t" $2 OFS $3 OFS $4 - plain OFS $5 - plain OFS $6 - plain
	}
	END {
		print ours
		while (++i <= nr)
			print line[i]
	}' "$lines"
}

measure >"$lines" || exit
sort -s -t "$(printf '\t')" -k 1,1 "$lines"
added
