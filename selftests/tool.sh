#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Promise: what the tool says is what the kernel's own files say, and it says the same in every
# form: table, raw fields, JSON, on a terminal and in a pipe, to root and to others as far as they
# may know.
# machines: default

# shellcheck disable=SC1091,SC2154	# what is not assigned here comes from tap.sh

cd "$(dirname "$(readlink -f "$0")")/.." || exit 1
. selftests/tap.sh

#
# The oracles: what the kernel's own files say.
#

# "START END NAME" of each mapping, without the page of the kernel's that all processes see.
list_mappings()
{
	sed -nE '/\[vsyscall\]$/d
		s/^0*([0-9a-f]+)-0*([0-9a-f]+) [^ ]+ [^ ]+ [^ ]+ [^ ]+ *(.*)$/0x\1 0x\2 \3/p' \
		"/proc/$1/maps"
}

# "START SIZE PRESENT HUGE SWAPPED NAME" of each mapping, in bytes, as smaps has them. Its Rss
# counts neither hugetlb nor [vvar]; so we add the one and leave out the other.
sum_mappings()
{
	awk 'function finish() {
		if (start != "" && name !~ /^\[(vvar|vsyscall)/)
			printf "0x%s %.0f %.0f %.0f %.0f %s\n", start, size * 1024,
				(rss + hugetlb) * 1024, (huge + hugetlb) * 1024, swap * 1024, name
		rss = hugetlb = huge = swap = 0
	}
	/^[0-9a-f]+-[0-9a-f]+ / {
		finish()
		start = $1
		sub(/-.*/, "", start)
		sub(/^0+/, "", start)
		name = NF > 5 ? $0 : ""
		sub(/^[^ ]+ +[^ ]+ +[^ ]+ +[^ ]+ +[^ ]+ +/, "", name)
	}
	/^Size:/ { size = $2 }
	/^Rss:/ { rss = $2 }
	/^(AnonHugePages|ShmemPmdMapped|FilePmdMapped):/ { huge += $2 }
	/^(Shared|Private)_Hugetlb:/ { hugetlb += $2 }
	/^Swap:/ { swap = $2 }
	END { finish() }' "/proc/$1/smaps"
}

# What pagemap says of all mappings; see vm/pagemap.c.
list_pages()
{
	local start end ranges=()

	while read -r start end _; do
		ranges+=("$start" "$end")
	done < <(list_mappings "$1")
	pagemap "$1" "${ranges[@]}"
}

# kilobytes FILE KEY: sets bytes to what a file like /proc/meminfo has.
kilobytes()
{
	local key value

	bytes=
	while read -r key value _; do
		[ "$key" != "$2:" ] || bytes=$((value * 1024))
	done <"$1"
}

# For awk, which knows no hexadecimal numbers.
hexadecimal='
	function num(hex, i, n) {
		n = 0
		for (i = 3; i <= length(hex); i++)
			n = n * 16 + index("123456789abcdef", substr(hex, i, 1))
		return n
	}
	function hex(n, high) {
		high = int(n / 4294967296)
		return high ? sprintf("0x%x%08x", high, n % 4294967296) : sprintf("0x%x", n)
	}'

#
# The tool's raw fields in the form of the oracles. One space stands between fields, which may be
# empty.
#

# maps_fields COLUMNS ARGUMENT...: in the file $out
maps_fields()
{
	local columns=$1

	shift
	works vminspect maps -r -n -b -o "$columns" "$@"
	sed -i 's/\\x20/ /g' "$out"
}

# extents_as_pages ARGUMENT...: the pages that extents consist of, in the form of vm/pagemap.c, in
# the file $scratch/got. What of shared memory is out pagemap does not know.
extents_as_pages()
{
	works vminspect maps -r -n -o START,END,STATE,PFN,SWAP,FLAGS,MIXED "$@"
	awk -F'[ ]' "$hexadecimal"'
	function known_flags(flags, list, i) {
		list = ""
		for (i = 1; i <= nr_known; i++) {
			if (index("," flags ",", "," known[i] ",") &&
			    (known[i] != "mapped_once" || !index("," flags ",", ",file,")))
				list = list (list == "" ? "" : ",") known[i]
		}
		return list == "" ? "-" : list
	}
	BEGIN { nr_known = split("soft_dirty mapped_once file zero hugetlb", known, " ") }
	$3 == "none" || $3 == "unmapped" || $6 ~ /shmem/ { next }
	{
		va = num($1)
		nr = (num($2) - va) / 4096
		split($5, slot, ":")
		flags = known_flags($6 "," $7)
		for (i = 0; i < nr; i++)
			print hex(va + i * 4096), $3,
				$4 == "" ? "-" : hex(num($4) + (flags ~ /zero/ ? 0 : i)),
				$5 == "" ? "-" : slot[1] ":" (slot[2] + i), flags
	}' "$out" >"$scratch/got"
}

#
# The processes that are looked at. They stand still.
#

thp=/sys/kernel/mm/transparent_hugepage
hugepages=/proc/sys/vm/nr_hugepages

# Copies can be run by others too, wherever the tree lies, and start sooner.
copy_programs()
{
	mkdir "$scratch/bin"
	cp build/bin/vminspect build/selftests/{pages,pageout,pagemap,peak,specimen,forge} "$scratch/bin"
	PATH=$scratch/bin:$PATH
}

# khugepaged would move pages while we compare.
prepare_machine()
{
	read -r old_hugepages <$hugepages
	read -r old_sleep <$thp/khugepaged/scan_sleep_millisecs
	at_end+=(restore_machine)
	echo 4 >$hugepages
	echo 3600000 >$thp/khugepaged/scan_sleep_millisecs
}

restore_machine()
{
	echo "$old_sleep" >$thp/khugepaged/scan_sleep_millisecs
	echo "$old_hugepages" >$hugepages
}

# Of redis-server a part is swapped out, and it does not run any more.
start_redis()
{
	local tries socket=$scratch/socket

	ln -s "$(command -v redis-check-rdb)" "$scratch/redis-server"
	"$scratch/redis-server" --save '' --port 0 --unixsocket "$socket" --dir "$scratch" \
		--enable-debug-command yes --logfile "$scratch/redis.log" &
	redis=$!
	started+=("$redis")
	for ((tries = 0; tries < 300; tries++)); do
		[ ! -S "$socket" ] || break
		sleep 0.1
	done
	redis-cli -s "$socket" debug populate 20000 key 100 >"$out"
	kill -STOP "$redis"		# else it would have some of it back
	page_out_half "$redis"
}

# The lower half of its largest mapping.
page_out_half()
{
	local start size

	read -r start size _ < <(sum_mappings "$1" | sort -n -k2 | tail -n 1)
	pageout "$1" "$start" "$(printf '0x%x' $(((start + size / 2) & ~0xfff)))"
}

# start_pages [PREFIX...]: one page of each kind; see vm/pages.c. Its libraries and their loader are
# copies: whether a page of a library is mapped by others too changes with every command that is run.
start_pages()
{
	local own loader library

	own=$(mktemp -d "$scratch/libraries.XXXXXX")
	chmod 755 "$own"
	loader=$(ldd build/selftests/pages | awk '$1 ~ /ld-linux/ { print $1 }')
	cp "$loader" "$own/pages"
	for library in $(ldd build/selftests/pages | awk '$2 == "=>" { print $3 }'); do
		cp "$library" "$own"
	done
	start "$@" "$own/pages" --library-path "$own" "$scratch/bin/pages"
	kinds=$pid
	kind_lines=("${lines[@]}")
}

start_kinds()
{
	start_pages
	list_mappings "$kinds" >"$scratch/kinds.mappings"
	list_pages "$kinds" >"$scratch/kinds.pages"
}

start_dense()
{
	start specimen dense 4
	dense=$pid
	read -r dense_start dense_end <<<"${lines[0]}"
}

# kind WORDS: sets va to where the page is of which `pages` says these words.
kind()
{
	local line

	va=0x0
	for line in "${kind_lines[@]}"; do
		[[ $line != *"$1"* ]] || va=${line%% *}
	done
	[ "$va" != 0x0 ] || broken "there is no page '$1'"
}

# above VA BYTES: sets va.
above()
{
	printf -v va '0x%x' $(($1 + $2))
}

#
# maps
#

maps_lists_each_mapping()
{
	maps_fields START,END,NAME "$kinds"
	same 'start, end, name' "$scratch/kinds.mappings" "$out"

	cut -d' ' -f1 "$scratch/kinds.mappings" >"$scratch/wanted"
	works vminspect maps "$kinds"
	sed -n 's/^\(0x[0-9a-f]*\) .*/\1/p' "$out" >"$scratch/got"
	same 'the table' "$scratch/wanted" "$scratch/got"
	equal 'lines of the table beside them: heading and total' 2 \
		$(($(wc -l <"$out") - $(wc -l <"$scratch/wanted")))
}
promise 'maps lists each mapping of /proc/PID/maps once, in their order' maps_lists_each_mapping

compare_sums()
{
	sum_mappings "$2" >"$scratch/wanted"
	maps_fields START,SIZE,PRESENT,HUGE,SWAPPED,NAME "$2"
	sed '/ \[vvar/d' "$out" >"$scratch/got"
	same "start, size, present, huge, swapped, name in $1" "$scratch/wanted" "$scratch/got"
	awk '$5 > 0 { found = 1 } END { exit !found }' "$scratch/wanted" ||
		broken "$1 has nothing swapped, so this shows little"
}

maps_agrees_with_smaps()
{
	compare_sums 'a process with pages of all kinds' "$kinds"
	compare_sums redis-server "$redis"
}
promise 'maps says what smaps says is present, on huge pages, swapped' maps_agrees_with_smaps

# What stands in the last line of the table.
read_total()
{
	works vminspect maps -b "$1"
	read -r total_size total_present total_huge _ total_zero total_unpopulated _ \
		< <(tail -n 1 "$out")
}

# The kernel may count VmRSS in batches of 64 pages for each thread.
maps_agrees_with_status()
{
	local threads=("/proc/$redis/task"/*) difference

	read_total "$redis"
	kilobytes "/proc/$redis/status" VmSize
	equal 'the total size' "$bytes" "$total_size"
	kilobytes "/proc/$redis/status" VmRSS
	difference=$((bytes - total_present))
	[ ${difference#-} -le $((${#threads[@]} * 64 * 4096)) ] ||
		broken "VmRSS is $bytes, present is $total_present"
}
promise 'the total of maps for a stopped redis-server is its VmSize and VmRSS' \
	maps_agrees_with_status

maps_adds_up()
{
	local process

	for process in "$kinds" "$redis"; do
		maps_fields SIZE,PRESENT,SWAPPED,ZERO,UNPOPULATED,OTHER,HUGE,EXTENTS,START "$process"
		awk '$1 != $2 + $3 + $4 + $5 + $6 { print $9 }' "$out" >"$scratch/got"
		same 'mappings that are not what their parts are' /dev/null "$scratch/got"

		awk '{ for (i = 1; i <= 8; i++) sum[i] += $i }
		END { printf "%.0f %.0f %.0f %.0f %.0f %.0f %.0f total\n", sum[1], sum[2], sum[7],
			sum[3], sum[4], sum[5], sum[8] }' "$out" >"$scratch/wanted"
		works vminspect maps -b "$process"
		tail -n 1 "$out" | tr -s ' ' | sed 's/^ //' >"$scratch/got"
		same 'the total' "$scratch/wanted" "$scratch/got"
	done
}
promise 'the parts of a mapping are its size, and the total of maps is the sum' maps_adds_up

# "START RUNS" of each mapping: how many runs its frames are, without the page of zeroes.
count_runs()
{
	awk "$hexadecimal"'
	NR == FNR { start[NR] = $1; end[NR] = num($2); nr = NR; runs[NR] = 0; at = 1; next }
	$2 == "present" && $5 !~ /zero/ {
		va = num($1)
		while (va >= end[at])
			at++
		if (va != next_va || num($3) != frame + 1 || at != last)
			runs[at]++
		last = at
		next_va = va + 4096
		frame = num($3)
	}
	END { for (i = 1; i <= nr; i++) print start[i], runs[i] }' \
		"$scratch/kinds.mappings" "$scratch/kinds.pages"
}

maps_counts_runs()
{
	count_runs >"$scratch/wanted"
	maps_fields START,EXTENTS "$kinds"
	same 'extents of each mapping' "$scratch/wanted" "$out"
}
promise 'the extents that maps counts are the runs of frames in pagemap' maps_counts_runs

maps_counts_zero_pages()
{
	read_total "$kinds"
	equal 'the total of zero' $(($(grep -c zero "$scratch/kinds.pages") * 4096)) "$total_zero"
}
promise 'maps counts as zero what kpageflags calls the zero page' maps_counts_zero_pages

maps_pages_are_those_of_pagemap()
{
	extents_as_pages --pages "$kinds"
	same 'address, state, frame, slot, flags' "$scratch/kinds.pages" "$scratch/got"
}
promise 'maps --pages has the pages of pagemap, their frames, slots and flags' \
	maps_pages_are_those_of_pagemap

maps_extents_are_those_pages()
{
	extents_as_pages --extents "$kinds"
	same 'address, state, frame, slot, flags' "$scratch/kinds.pages" "$scratch/got"
}
promise 'maps --extents has the same pages' maps_extents_are_those_pages

maps_extents_are_as_long_as_can_be()
{
	works vminspect maps --extents -r -n -o START,END,PAGE,STATE,PFN,FLAGS,MIXED "$kinds"
	awk -F'[ ]' "$hexadecimal"'
	NR == FNR { begins[$1] = 1; next }
	$4 == "present" {
		nr++
		lasting = $3 "," $6 ","
		gsub(/(young|dirty|soft_dirty),/, "", lasting)
		if ($1 == end && lasting == last && $5 == frame && !($1 in begins))
			print $1
		end = $2
		last = lasting
		frame = lasting ~ /zero/ ? $5 : hex(num($5) + (num($2) - num($1)) / 4096)
	}
	END { if (nr < 20) print "only", nr }' "$scratch/kinds.mappings" "$out" >"$scratch/got"
	same 'extents that go on where another ends' /dev/null "$scratch/got"
}
promise 'extents that could be one are one' maps_extents_are_as_long_as_can_be

maps_extents_are_named()
{
	maps_fields START,END,MAPPING --extents "$kinds"
	awk -F'[ ]' "$hexadecimal"'
	{ name = substr($0, length($1 $2) + 3) }
	NR == FNR { end[NR] = num($2); start[NR] = num($1); names[NR] = name; at = 1; next }
	{
		while (num($1) >= end[at])
			at++
		if (num($1) < start[at] || num($2) > end[at] || name != names[at])
			print
	}' "$scratch/kinds.mappings" "$out" >"$scratch/got"
	same 'extents that do not lie in the mapping that they name' /dev/null "$scratch/got"
}
promise 'each extent lies in the one mapping that it names' maps_extents_are_named

maps_all_leaves_nothing_out()
{
	local end

	works vminspect info -r -n
	end=$(sed -n 's/^va_end //p' "$out")
	extents_as_pages --extents --all "$kinds"
	same 'the pages among them' "$scratch/kinds.pages" "$scratch/got"
	awk -F'[ ]' -v end="$end" 'BEGIN { at = "0x0" }
		$1 != at { print "not at", at, "but at", $1 }
		{ at = $2 }
		END { if (at != end) print "the end is", at, "not", end }' "$out" >"$scratch/got"
	same 'extents that do not begin where the one before ends' /dev/null "$scratch/got"
}
promise 'maps --extents --all covers all addresses once' maps_all_leaves_nothing_out

# compare_only LIST CONDITION: what --only selects is what a condition of awk does. $3 is the
# state, $4 has a comma on both sides of each flag.
compare_only()
{
	awk -F'[ ]' "$2" "$scratch/all" >"$scratch/wanted"
	works vminspect maps --pages -r -n -o START,END,STATE,FLAGS --only "$1" "$kinds"
	sed 's/[^ ]*$/,&,/' "$out" >"$scratch/got"
	[ -s "$scratch/wanted" ] || broken "there is nothing that is $1"
	same "--only $1" "$scratch/wanted" "$scratch/got"
}

maps_only_selects()
{
	works vminspect maps --pages --all -r -n -o START,END,STATE,FLAGS "$kinds"
	sed 's/[^ ]*$/,&,/' "$out" >"$scratch/all"
	compare_only swapped '$3 == "swapped"'
	compare_only huge,zero '$4 ~ /,(huge|zero),/'
	compare_only none '$3 == "none"'
	compare_only protnone,swapped '$3 == "swapped" || $4 ~ /,protnone,/'

	maps_fields PRESENT,ZERO,UNPOPULATED --only swapped "$kinds"
	sed '/^0 0 0$/d' "$out" >"$scratch/got"
	same 'what is not swapped in maps --only swapped' /dev/null "$scratch/got"
}
promise 'maps --only selects the pages that have any of the states and flags' maps_only_selects

# compare_range RANGE START END: what --range selects are the pages from START to END.
compare_range()
{
	awk -v start="$2" -v end="$3" '$1 >= start && $1 < end' "$scratch/kinds.pages" \
		>"$scratch/wanted"
	extents_as_pages --extents --range "$1" "$kinds"
	[ -s "$scratch/wanted" ] || broken "there is nothing in $1"
	same "--range $1" "$scratch/wanted" "$scratch/got"
}

maps_range_is_a_part()
{
	local low start end

	read -r start end _ < <(grep -F '[heap]' "$scratch/kinds.mappings")
	compare_range '[heap]' "$start" "$end"
	above "$start" 0x1000
	compare_range '[heap]-[heap]+0x1000' "$start" "$va"
	start=$(grep -m 1 '/libc\.so' "$scratch/kinds.mappings" | cut -d' ' -f1)
	end=$(grep '/libc\.so' "$scratch/kinds.mappings" | tail -n 1 | cut -d' ' -f2)
	compare_range libc.so.6 "$start" "$end"

	kind 'a transparent huge page'
	above "$va" 0x3000
	low=$va
	above "$low" 0x2000
	compare_range "$low-$va" "$low" "$va"
	maps_fields START,END,SIZE,PRESENT,HUGE --range "$low-$va" "$kinds"
	equal 'a part of a mapping' "$low $va 8192 8192 8192" "$(<"$out")"
}
promise 'maps --range is the part asked for, and cuts even a huge page' maps_range_is_a_part

maps_split_splits()
{
	local start end runs=17

	# mprotect() of 7.3 makes several pages of a large one that are alike soft-dirty if any is dirty
	# (modify_prot_start_ptes() in linux/pgtable.h): so those behind the last one written are.
	[ "$(uname -r | cut -d. -f1)" -ge 7 ] && runs=16
	start specimen runs
	read -r start end <<<"${lines[0]}"
	works vminspect maps --extents -r -n -o START,END,MIXED --range "$start-$end" "$pid"
	[[ $(<"$out") =~ ^$start\ $end\ (dirty,)?soft_dirty$ ]] ||
		broken "without --split: wanted one run with soft_dirty mixed, got $(<"$out")"

	pagemap "$pid" "$start" "$end" | awk '{ dirty = $5 ~ /soft_dirty/ }
		NR == 1 || dirty != last { print $1, dirty }
		{ last = dirty }' >"$scratch/wanted"
	equal 'runs that soft-dirty bits make' $runs "$(wc -l <"$scratch/wanted")"
	works vminspect maps --extents -r -n -o START,FLAGS,MIXED --range "$start-$end" \
		--split soft_dirty "$pid"
	awk -F'[ ]' '{ print $1, "," $2 "," ~ /,soft_dirty,/, $3 ~ /soft_dirty/ ? "mixed" : "" }' \
		"$out" | sed 's/ $//' >"$scratch/got"
	same 'with --split soft_dirty' "$scratch/wanted" "$scratch/got"

	works vminspect maps --extents -r -n --range "$start-$end" --split young "$pid"
	equal 'runs with --split young, which all pages are' 1 "$(wc -l <"$out")"
	end "$pid"
}
promise 'a fleeting flag is mixed in a run, and splits it with --split' maps_split_splits

#
# walk
#

level_names()
{
	works vminspect info -r -n
	nr_levels=$(sed -n 's/^levels //p' "$out")
	names=(PGD PUD PMD PTE)
	[ "$nr_levels" -eq 4 ] || names=(PGD P4D PUD PMD PTE)
}

# walk_rows VA NR: an array, of NR levels
walk_rows()
{
	works vminspect walk -r -n -o LEVEL,INDEX,LEAF,ENTRY_PA,RAW "$kinds" "$1"
	mapfile -t rows <"$out"
	equal "levels of $1" "$2" ${#rows[@]}
}

# Each level has the index that the address says, and leads to the next one.
check_walk()
{
	local i level index leaf entry_pa raw table='' shift

	walk_rows "$1" "$2"
	for i in "${!rows[@]}"; do
		read -r level index leaf entry_pa raw <<<"${rows[i]}"
		shift=$((12 + 9 * (nr_levels - 1 - i)))
		equal "level $i of $1" "${names[i]}" "$level"
		equal "index of $level of $1" $(($1 >> shift & 511)) "$index"
		equal "leaf at $level of $1" "$([ "$((i + 1))" -eq "$2" ] && echo yes || echo no)" "$leaf"
		equal "place of the entry at $level of $1" $((index * 8)) $((entry_pa & 0xfff))
		[ -z "$table" ] || equal "table of $level of $1" "$table" $((entry_pa & ~0xfff))
		table=$((raw & 0xffffffffff000))
	done
}

walk_goes_down_the_levels()
{
	level_names
	kind 'an ordinary page'
	check_walk "$va" "$nr_levels"
	kind 'only ever read'
	check_walk "$va" "$nr_levels"
	kind 'a transparent huge page'
	above "$va" 0x5678
	check_walk "$va" $((nr_levels - 1))
	kind 'a page of hugetlbfs'
	check_walk "$va" $((nr_levels - 1))
	kind 'taken apart'
	above "$va" $((511 * 4096))
	check_walk "$va" "$nr_levels"
	walk_rows 0x1000 0
}
promise 'walk has each level with the index from the address, down to the page' \
	walk_goes_down_the_levels

# What QEMU reads at an address of physical memory, from outside.
check_memory()
{
	local level entry_pa raw

	while read -r level _ _ entry_pa raw; do
		# as numbers: one has leading zeroes
		equal "$level at $entry_pa" $((raw)) $(($(physmem "$entry_pa" 1)))
	done
}

walk_reads_what_is_in_memory()
{
	local pa wanted

	if [ ! -c "${VMINSPECT_MONITOR-}" ]; then
		skip 'no monitor of a virtual machine here'
		return
	fi
	level_names
	kind 'a transparent huge page'
	walk_rows "$va" $((nr_levels - 1))
	printf '%s\n' "${rows[@]}" | check_memory
	kind 'taken apart'
	walk_rows "$va" "$nr_levels"
	printf '%s\n' "${rows[@]: -1}" | check_memory

	# something that is not zero
	works vminspect walk "$redis" libc.so.6
	pa=$(sed -n 's/^physical address \(0x[0-9a-f]*\),.*/\1/p' "$out")
	wanted=$(dd if="/proc/$redis/mem" bs=8 count=1 status=none \
		skip=$((0x$(grep -m 1 '/libc\.so' "/proc/$redis/maps" | cut -d- -f1) / 8)) |
		od -A n -t x8 | tr -d ' ')
	equal 'the first word of libc.so.6' "0x$wanted" "$(physmem "$pa" 1)"
}
promise 'the entries that walk shows, and the data, are in physical memory where it says' \
	walk_reads_what_is_in_memory

# The picture has what the raw fields have.
compare_picture()
{
	local i level index leaf entry_pa raw

	walk_rows "$1" "$2"
	works vminspect walk "$kinds" "$1"
	tr -s ' ' <"$out" >"$scratch/picture"
	for i in "${!rows[@]}"; do
		read -r level index leaf entry_pa raw <<<"${rows[i]}"
		printf '%s [%s] at %s = %s\n' "$level" "$index" "$entry_pa" "$raw"
	done | sed 's/\[\(..\)\]/[ \1]/; s/\[\(.\)\]/[ \1]/' >"$scratch/wanted"
	grep -oF -f "$scratch/wanted" "$scratch/picture" >"$scratch/got"
	same "levels in the picture of $1" "$scratch/wanted" "$scratch/got"
	shift 2
	for i; do
		grep -q "^$i" "$scratch/picture" ||
			broken "no line with '$i' in the picture:" "$(<"$scratch/picture")"
	done
}

walk_draws_a_picture()
{
	local frame

	level_names
	kind 'an ordinary page'
	frame=$(sed -n "s/^$va present \\(0x[0-9a-f]*\\) .*/\\1/p" "$scratch/kinds.pages")
	compare_picture "$va" "$nr_levels" \
		"physical address ${frame}000, frame $frame, page of 4096 bytes" \
		"$((nr_levels + 1)) memory accesses"
	kind 'never touched'
	compare_picture "$va" "$nr_levels" "no physical address: " \
		"$nr_levels memory accesses"
	compare_picture 0x1000 0 'no physical address: there is no mapping'
}
promise 'the picture of walk shows what its raw fields do, and what the translation costs' \
	walk_draws_a_picture

#
# translate
#

# Backwards, and some of them twice.
scramble()
{
	tac "$1"
	head -n 20 "$1"
	tail -n 20 "$1"
}

# "VA STATE PFN SWAP PA" of addresses in the middle of pages
translate_keeps_the_order()
{
	local addresses

	scramble "$scratch/kinds.pages" | awk '{
		offset = sprintf("%03x", NR * 37 % 4096)
		print substr($1, 1, length($1) - 3) offset, $2, $3, $4,
			$3 == "-" ? "-" : $3 offset
	}' >"$scratch/wanted"
	mapfile -t addresses < <(cut -d' ' -f1 "$scratch/wanted")
	works vminspect translate -r -n -o VA,STATE,PFN,SWAP,PA "$kinds" "${addresses[@]}"
	awk -F'[ ]' '{ for (i = 1; i <= 5; i++) if ($i == "") $i = "-"; print }' "$out" \
		>"$scratch/got"
	same 'address, state, frame, slot, physical address' "$scratch/wanted" "$scratch/got"
}
promise 'translate has the frames and slots of pagemap for many addresses, in the order asked' \
	translate_keeps_the_order

translate_reads_a_file()
{
	printf '%s\n' '# comment' '' 0x1000 '  	' '   0x2fff' '#0x3000' $'0x4000\t ' $'0x5000\r' \
		'[heap]+0x10' 8192 >"$scratch/addresses"
	printf 0x6000 >>"$scratch/addresses"
	above "$(grep -F '[heap]' "$scratch/kinds.mappings" | cut -d' ' -f1)" 0x10
	printf '%s\n' 0x1000 0x2fff 0x4000 0x5000 "$va" 0x2000 0x6000 >"$scratch/wanted"

	works vminspect translate -r -n -o VA --file "$scratch/addresses" "$kinds"
	same 'from a file' "$scratch/wanted" "$out"
	works vminspect translate -r -n -o VA -f - "$kinds" <"$scratch/addresses"
	same 'from standard input' "$scratch/wanted" "$out"
	works vminspect translate -r -n -o VA -f /dev/null "$kinds"
	same 'from an empty file' /dev/null "$out"
	works vminspect translate -r -n -o VA -f "$scratch/addresses" "$kinds" 0x7000
	(echo 0x7000; cat "$scratch/wanted") >"$scratch/both"
	same 'from both, arguments first' "$scratch/both" "$out"
}
promise 'translate --file takes addresses line by line and passes over comments' \
	translate_reads_a_file

# answers PATTERN OPTION...: three times; when one does not come no other will.
answers()
{
	local pattern=$1 i

	shift
	talk_to vminspect translate "$@" -f - "$kinds"
	for i in 1 2 3; do
		if ! ask "0x${i}000" -d "${pattern: -1}"; then
			broken "translate ${*@Q}: no answer $i, but '$reply'"
			break
		fi
		# shellcheck disable=SC2053	# a pattern
		[[ $reply == *"0x${i}000"${pattern%?} ]] || broken "translate ${*@Q}: answer $i: $reply"
	done
	end "$pid"
}

# In JSON a row is complete without the newline, which comes before the next one.
translate_answers_at_once()
{
	answers $' unmapped\n' -r -n -o VA,STATE
	answers '","state":"unmapped"}' -J -o VA,STATE
}
promise 'translate --file - answers each line before the next comes' translate_answers_at_once

# peak_memory COMMAND...: sets peak, in KiB.
peak_memory()
{
	works peak "$scratch/kilobytes" "$@"
	read -r peak <"$scratch/kilobytes"
}

# Of dense memory each address once, none after its neighbour.
stride_through()
{
	awk -v start="$(($1))" -v nr="$2" 'BEGIN {
		for (i = 0; i < nr; i++)
			printf "%.0f\n", start + (i * 7919 % 1024) * 4096 + int(i / 1024)
	}'
}

# In 1 MiB there is no room for even ten bytes an address.
translate_stays_small()
{
	local small_peak

	stride_through "$dense_start" 200000 >"$scratch/addresses"
	head -n 2000 "$scratch/addresses" >"$scratch/few"
	peak_memory vminspect translate -r -n -o VA,PFN -f "$scratch/few" "$dense"
	small_peak=$peak
	peak_memory vminspect translate -r -n -o VA,PFN -f "$scratch/addresses" "$dense"
	[ "$peak" -lt $((small_peak + 1024)) ] ||
		broken "200000 addresses take $peak KiB, 2000 take $small_peak KiB"

	pagemap "$dense" "$dense_start" "$dense_end" >"$scratch/pages"
	mapfile -t addresses <"$scratch/addresses"
	printf '0x%x\n' "${addresses[@]}" | awk '
		NR == FNR { frame[substr($1, 1, length($1) - 3)] = $3; next }
		{ print $1, frame[substr($1, 1, length($1) - 3)] }' "$scratch/pages" - \
		>"$scratch/wanted"
	same '200000 answers' "$scratch/wanted" "$out"
}
promise 'translate answers 200000 addresses with the memory of 2000' translate_stays_small

maps_stays_small()
{
	local small_peak

	peak_memory vminspect maps --pages -r -n -o START,PFN --range "$dense_start-$dense_end" \
		"$dense"
	small_peak=$peak
	start specimen dense 128
	peak_memory vminspect maps --pages -r -n -o START,PFN "$pid"
	[ "$(wc -l <"$out")" -ge $((128 * 256)) ] || broken 'there are not all pages'
	[ "$peak" -lt $((small_peak + 1024)) ] ||
		broken "128 MiB take $peak KiB, 4 MiB take $small_peak KiB"
	end "$pid"
}
promise 'maps --pages takes no more memory for 128 MiB than for 4' maps_stays_small

finds_named_places()
{
	local heap stack libc path

	heap=$(grep -F '[heap]' "$scratch/kinds.mappings" | cut -d' ' -f1)
	stack=$(grep -F '[stack]' "$scratch/kinds.mappings" | cut -d' ' -f1)
	read -r libc _ path < <(grep -m 1 '/libc\.so' "$scratch/kinds.mappings")
	printf '0x%x\n' "$heap" $((heap + 0x1234)) $((heap + 16)) "$stack" $((stack + 0x1000)) \
		"$libc" $((libc + 0x2345)) $((libc + 0x2345)) >"$scratch/wanted"
	works vminspect translate -r -n -o VA "$kinds" '[heap]' '[heap]+0x1234' '[heap]+16' \
		'[stack]' '[stack]+0x1000' libc.so.6 libc.so.6+0x2345 "$path+0x2345"
	same 'the places' "$scratch/wanted" "$out"

	works vminspect walk "$kinds" '[heap]+0x1234'
	above "$heap" 0x1234
	[[ $(<"$out") == "$va in [heap]:"* ]] || broken "walk: $(head -n 1 "$out")"
}

finds_offsets_in_a_file()
{
	local low

	dd if=/dev/zero of="$scratch/twice" bs=4096 count=16 status=none
	start specimen twice "$scratch/twice"
	read -r low _ <<<"${lines[0]}"
	printf '0x%x\n' $((low + 4096)) $((low + 4096 + 16)) "$low" $((low + 1)) >"$scratch/wanted"
	works vminspect translate -r -n -o VA "$pid" twice twice+0x10 twice+0x8000 twice+0x8001
	same 'addresses of offsets' "$scratch/wanted" "$out"
	refuses 1 'does not reach' vminspect translate "$pid" twice+0x1000
	end "$pid"
}

promise 'places in mappings are found: [heap], [stack], libc.so.6+0x2345' finds_named_places
promise 'an offset in a file is found in the mapping that has it' finds_offsets_in_a_file

#
# ps
#

# All that have an address space, and when it was listed.
list_processes()
{
	grep -l '^VmSize:' /proc/[0-9]*/status 2>/dev/null | sed 's/[^0-9]//g' | sort -n >"$1"
}

# Those that come and go meanwhile may be there or not; the tool itself is.
ps_lists_each_process()
{
	list_processes "$scratch/before"
	vminspect ps -r -n -o PID -s +PID >"$out" 2>"$err" &
	echo $! >"$scratch/own"
	wait $! || broken "status $?: $(<"$err")"
	list_processes "$scratch/after"

	sort -n "$scratch/before" "$scratch/after" | uniq -d | cat - "$scratch/own" | sort -n \
		>"$scratch/wanted"
	sort -n "$scratch/before" "$scratch/after" "$scratch/own" | uniq >"$scratch/allowed"
	sort -n "$out" | uniq -d >"$scratch/got"
	same 'processes that are listed twice' /dev/null "$scratch/got"
	grep -vxF -f "$scratch/allowed" "$out" >"$scratch/got"
	same 'processes that do not exist' /dev/null "$scratch/got"
	grep -vxF -f "$out" "$scratch/wanted" >"$scratch/got"
	same 'processes that are not listed' /dev/null "$scratch/got"
}
promise 'ps lists each process that has an address space, once' ps_lists_each_process

# ps_has PID: is it listed, with something resident?
ps_has()
{
	works vminspect ps -r -n -b -o PID,RESIDENT
	grep -q "^$1 [1-9]" "$out" || broken "process $1 is not listed"
}

ps_drops_nobody()
{
	start specimen groups 3000
	ps_has "$pid"
	end "$pid"

	start specimen headless
	ask go
	equal 'the step' 'done' "$reply"
	ps_has "$pid"
	refuses 1 "/proc/$pid/task" vminspect maps "$pid"
	works vminspect maps "${lines[0]}"
	end "$pid"
}
promise 'ps drops nobody: not who is in 3000 groups, nor whose first thread has exited' \
	ps_drops_nobody

# hidepid makes their status unreadable, not only their pagemap.
ps_counts_whom_it_cannot_read()
{
	local nr

	modprobe -r vminspect
	modprobe vminspect mode=0666
	nr=$(vminspect ps -r -n -o PID | wc -l)
	mount -o remount,hidepid=1 /proc
	run setpriv --reuid 1000 --regid 1000 --clear-groups vminspect ps -J
	mount -o remount,hidepid=0 /proc
	judge 'ps -J' "$out" "select(.unreadable < $nr - 3) | \"only \(.unreadable) of $nr\"" -r
	modprobe -r vminspect
	# shellcheck disable=SC2086	# parameters, a word each
	modprobe vminspect ${VMINSPECT_MODARGS-}
}
promise 'ps counts processes that are hidden by hidepid' ps_counts_whom_it_cannot_read

# "VIRTUAL RESIDENT SWAPPED TABLES RATIO" as /proc has them
describe_process()
{
	local virtual resident swapped

	kilobytes "/proc/$1/status" VmSize
	virtual=$bytes
	kilobytes "/proc/$1/smaps_rollup" Rss
	resident=$bytes
	kilobytes "/proc/$1/smaps_rollup" Swap
	swapped=$bytes
	kilobytes "/proc/$1/status" VmPTE
	echo "$1 $virtual $resident $swapped $bytes $(awk -v v="$virtual" -v r="$resident" \
		'BEGIN { printf "%.2f", v / r }')"
}

ps_agrees_with_proc()
{
	local process

	works vminspect ps -r -n -b -o PID,VIRTUAL,RESIDENT,SWAPPED,TABLES,RATIO
	cp "$out" "$scratch/ps"
	for process in "$kinds" "$redis" "$dense"; do
		describe_process "$process" >"$scratch/wanted"
		grep "^$process " "$scratch/ps" >"$scratch/got"
		same 'pid, virtual, resident, swapped, tables, ratio' "$scratch/wanted" \
			"$scratch/got"
	done

	read_total "$kinds"
	works vminspect ps -r -n -b -o PID,HUGE,UNPOPULATED,ZERO
	grep "^$kinds " "$out" >"$scratch/got"
	echo "$kinds $total_huge $total_unpopulated $total_zero" >"$scratch/wanted"
	same 'huge, unpopulated, zero as in maps' "$scratch/wanted" "$scratch/got"
}
promise 'ps says of stopped processes what status and smaps_rollup say' ps_agrees_with_proc

# sorted_by COLUMN ORDER SORT_OPTION...: column of ps that sort(1) has nothing to do with
sorted_by()
{
	local column=$1 order=$2

	shift 2
	works vminspect ps -r -n -b -o "$column" --sort "$order"
	sort -c "$@" "$out" || broken "--sort $order: $column is not sorted so:" "$(<"$out")"
	[ "$(sort -u "$out" | wc -l)" -gt 2 ] || broken "--sort $order: too little to sort"
}

ps_sorts()
{
	sorted_by PID +PID -n
	sorted_by PID -pid -n -r
	sorted_by RESIDENT resident -n
	sorted_by RESIDENT -RESIDENT -n -r
	sorted_by COMM +COMM
	sorted_by RATIO -RATIO -n -r
	works vminspect ps -r -n -b -o RESIDENT
	sort -c -n -r "$out" || broken 'usually the largest resident should come first'
} 2>/dev/null
promise 'ps sorts by any column, both ways; usually by resident' ps_sorts

# between WHAT LOW VALUE HIGH
between()
{
	if [ "$2" -gt "$3" ] || [ "$3" -gt "$4" ]; then
		broken "$1: $3 is not between $2 and $4"
	fi
}

# What changes all the time may differ by this much.
slack=$((64 << 20))

ps_knows_the_machine()
{
	local numbers memory swap swap_free

	works vminspect ps -b
	mapfile -t numbers < <(tail -n 2 "$out" | grep -oE '[0-9]+')
	equal 'numbers in the last two lines' 8 ${#numbers[@]}
	[ ${#numbers[@]} -eq 8 ] || return
	kilobytes /proc/meminfo MemTotal
	memory=$bytes
	kilobytes /proc/meminfo SwapTotal
	swap=$bytes
	kilobytes /proc/meminfo SwapFree
	swap_free=$bytes
	equal memory "$memory" "${numbers[0]}"
	equal swap "$swap" "${numbers[3]}"
	equal exists $((memory + swap)) "${numbers[6]}"
	kilobytes /proc/meminfo CommitLimit
	equal 'commit limit' "$bytes" "${numbers[7]}"

	kilobytes /proc/meminfo MemFree
	between free $((bytes - slack)) "${numbers[1]}" $((bytes + slack))
	kilobytes /proc/meminfo MemAvailable
	between available $((bytes - slack)) "${numbers[2]}" $((bytes + slack))
	between 'used swap' $((swap - swap_free - slack)) "${numbers[4]}" \
		$((swap - swap_free + slack))
	kilobytes /proc/meminfo Committed_AS
	between promised $((bytes - slack)) "${numbers[5]}" $((bytes + slack))
}
promise 'ps ends with what /proc/meminfo says of the machine' ps_knows_the_machine

#
# swap
#

swap_lists_the_areas()
{
	works vminspect swap -r -n -b -o PATH,KIND,SIZE,USED,PRIORITY
	awk 'NR > 1 { print $1, $2, $3 * 1024, $4 * 1024, $5 }' /proc/swaps >"$scratch/wanted"
	same 'the areas' "$scratch/wanted" "$out"
	works vminspect swap -J
	judge 'swap -J' "$out" "$forms"' document({areas: [{type: "count", path: "string",
			kind: "string", size: "count", used: "count", priority: "number",
			zswap: "boolean", "cached?": "count", "free_runs?": "count",
			"longest_free?": "count"}]}; "swap"),
		(.areas[] | select(.longest_free > .size - .used or .cached > .used) | tojson)'
}
promise 'swap lists the areas of /proc/swaps' swap_lists_the_areas

# smaps counts shared memory that is out, VmSwap does not.
compare_swapped()
{
	local pages shmem

	works vminspect swap -J "$1"
	judge 'swap -J PID' "$out" "$forms"'
		def sums: {pages: "count", bytes: "count", extents: "count", mean_run: "number|null",
			shmem: "count", "cached?": "count"};
		document(process + {mappings: [{start: "address", end: "address", name: "string",
			device: "string"} + sums], total: sums}; "swap PID"),
		(select((.mappings | map(.pages) | add) != .total.pages or
			(.mappings | map(.extents) | add) != .total.extents or
			any(.mappings[]; .bytes != .pages * 4096 or .extents > .pages or
				.cached > .pages)) | tojson)'
	pages=$(jq .total.pages "$out")
	shmem=$(jq .total.shmem "$out")
	equal "Swap of smaps of $1" "$(awk '/^Swap:/ { kb += $2 } END { print kb / 4 }' \
		"/proc/$1/smaps")" "$pages"
	kilobytes "/proc/$1/status" VmSwap
	equal "VmSwap of $1" $((bytes / 4096)) $((pages - shmem))
}

swap_of_a_process_agrees_with_smaps()
{
	compare_swapped "$kinds"
	compare_swapped "$redis"
	jq -e '.total.pages > 100' "$out" >/dev/null || broken 'redis has nothing swapped'
	works vminspect swap "$kinds"
	grep -q "^ .* 36 .* total$" "$out" || broken "the total: $(tail -n 1 "$out")"
}
promise 'swap PID adds up to what smaps and VmSwap say' swap_of_a_process_agrees_with_smaps

# In extents, translations and walks, by the path of /proc/swaps.
names_the_device()
{
	local device

	read -r device _ < <(sed 1d /proc/swaps)
	kind 'written, then swapped out'
	works vminspect maps -J -e --only swapped "$kinds"
	judge 'maps' "$out" ".extents[] | select(.swap.device != \"$device\") | tojson"
	works vminspect translate -J "$kinds" "$va"
	judge 'translate' "$out" ".translations[] | select(.swap.device != \"$device\") | tojson"
	works vminspect walk -J "$kinds" "$va"
	judge 'walk' "$out" "select(.swap.device != \"$device\") | tojson"
	works vminspect translate -r -n -o DEVICE "$kinds" "$va"
	equal 'the column' "$device" "$(<"$out")"
	works vminspect walk "$kinds" "$va"
	grep -q "swapped out to $device (number 0), offset [0-9]" "$out" ||
		broken "the picture: $(tail -n 2 "$out")"
}
promise 'swapped pages name their device' names_the_device

says_that_there_is_no_swap()
{
	swapoff -a
	run vminspect swap
	equal 'status' 0 "$status"
	[[ $(<"$err") == *'has no swap area'* ]] || broken "said: $(<"$err")"
	works vminspect swap -J
	judge 'swap -J' "$out" 'select(.areas != []) | tojson'
}

#
# Forms
#

# fits(FORM; WHERE) says how a value differs from a form, which is: an object with a form for each
# key (? at the end of one: it may be missing); an array with the form of its members; or the name
# of a form, with |null behind it if null will do.
forms='
def states: ["none", "present", "swapped", "migrating", "poisoned", "device", "marker",
	"unknown", "unmapped"];
def flags: ["present", "write", "exec", "user", "global", "young", "dirty", "soft_dirty",
	"uffd_wp", "protnone", "special", "zero", "anon", "file", "shared", "ksm", "huge",
	"hugetlb", "exclusive", "mapped_once", "swapcache", "shmem", "numa_hint", "poison", "guard"];
def is($name):
	if $name | endswith("|null") then
		. == null or is($name | rtrimstr("|null"))
	elif $name == "count" then
		type == "number" and . >= 0 and . == floor
	elif $name == "address" then
		type == "string" and test("^0x(0|[1-9a-f][0-9a-f]*)$")
	elif $name == "swap" then
		type == "object" and (.type | is("count")) and (.offset | is("count")) and
			(.device | type == "string" or . == null) and
			(.backing // "device" | IN("device", "cache")) and
			keys - ["type", "offset", "device", "backing"] == []
	elif $name == "flags" then
		type == "array" and . - flags == []
	elif $name == "state" then
		[.] - states == []
	else
		type == $name
	end;
def fits($form; $where):
	if $form | type == "string" then
		if is($form) then empty else "\($where) is no \($form): \(tojson)" end
	elif type != ($form | type) then
		"\($where) is no \($form | type): \(tojson)"
	elif type == "array" then
		range(length) as $i | .[$i] | fits($form[0]; "\($where)[\($i)]")
	else
		. as $object
		| ($form | keys_unsorted[] | select(endswith("?") | not)
			| select(. as $key | $object | has($key) | not) | "\($where) lacks \(.)"),
		(keys_unsorted[] | . as $key | ($form[$key] // $form["\($key)?"]) as $form
			| if $form == null then "\($where) has \($key)"
			else $object[$key] | fits($form; "\($where).\($key)") end)
	end;
def document($form; $where):
	fits({schema: "count"} + $form; $where),
	(select(keys_unsorted[0] != "schema" or .schema != 1)
		| "\($where) does not begin with schema 1");
def sizes: {size: "count", present: "count", huge: "count", swapped: "count", zero: "count",
	unpopulated: "count", other: "count", extents: "count|null"};
def process: {pid: "count", comm: "string"};
def maps_form: process + {page_size: "count", levels: "count", "changed?": "boolean",
	mappings: [{start: "address", end: "address", name: "string"} + sizes], total: sizes};
def extents_form: process + {page_size: "count", levels: "count", "changed?": "boolean",
	extents: [{start: "address", end: "address", page: "count|null", state: "state",
		pfn: "count|null", swap: "swap|null", "raw?": "address", flags: "flags",
		mixed: "flags", mapping: "string|null"}]};
def walk_form: process + {va: "address", root: "address|null", levels: [{level: "string",
		index: "count", entry_pa: "address|null", raw: "address|null", flags: "flags",
		leaf: "boolean"}],
	state: "state", page: "count|null", pa: "address|null", pfn: "count|null",
	swap: "swap|null", flags: "flags", mapping: "string|null", accesses: "count"};
def translate_form: process + {translations: [{va: "address", state: "state", page: "count|null",
	pa: "address|null", pfn: "count|null", swap: "swap|null", "raw?": "address",
	flags: "flags"}]};
def ps_form: {processes: [process + {virtual: "count", resident: "count", huge: "count",
		swapped: "count", unpopulated: "count", tables: "count|null",
		ratio: "number|null"}],
	unreadable: "count", machine: {memory: "count", free: "count", available: "count",
		swap: "count", swap_used: "count", committed: "count", commit_limit: "count"}};
def info_form: {module: "string", abi: "count", kernel: "string", levels: "count",
	page_size: "count", pa_bits: "count", va_end: "address", features: "object"};
'

# print_documents FILE [WRAPPER...]: of process $kinds, one of each command, one after the other
print_documents()
{
	local file=$1 arguments huge swapped places=()

	shift

	kind 'a transparent huge page'
	huge=$va
	kind 'written, then swapped out'
	swapped=$va
	places=("$huge" "$swapped" '[stack]' 0x1000)
	for arguments in "maps $kinds" "maps --extents --all $kinds" "maps --pages $kinds" \
		"walk $kinds $huge" "walk $kinds $swapped" "walk $kinds 0x1000" \
		"translate $kinds ${places[*]}" ps info; do
		# shellcheck disable=SC2086	# words
		works "$@" vminspect $arguments -J
		cat "$out" >&3
	done 3>"$file"
}

json_has_the_fixed_keys()
{
	print_documents "$scratch/documents"
	judge 'a document' "$scratch/documents" "$forms"' [inputs] as [$maps, $all, $pages, $huge,
			$swapped, $none, $translate, $ps, $info]
		| ($maps | document(maps_form; "maps")),
		($all | document(extents_form; "maps --extents --all")),
		($pages | document(extents_form; "maps --pages")),
		($huge, $swapped, $none | document(walk_form; "walk")),
		($translate | document(translate_form; "translate")),
		($ps | document(ps_form; "ps")),
		($info | document(info_form; "info")),
		($huge | select(.pfn == null or .root == null or .page != 2097152
			or .accesses != (.levels | length) + 1) | "walk: \(tojson)"),
		($swapped | select(.swap == null or .pa != null or .state != "swapped"
			or .accesses != (.levels | length)) | "walk: \(tojson)"),
		($none | select(.levels != [] or .state != "unmapped" or .page != null
			or .root != null or .accesses != 0) | "walk: \(tojson)"),
		($ps | select(.unreadable != 0) | "ps: \(.unreadable) unreadable"),
		($info.features | to_entries[] | select(.value != true and (.value | type) != "string")
			| "info: feature \(.key) is \(.value)")' -n
}
promise 'JSON begins with schema 1 and has exactly the documented keys, with values of their types' \
	json_has_the_fixed_keys

# The same values in the documents of the test before: frames are numbers in JSON; where it has null a
# field is empty.
json_has_the_values_of_raw_fields()
{
	jq -n -r "$forms"'
	def hex: if . == null then null else
		def digits: if . < 16 then [.] else (. / 16 | floor | digits) + [. % 16] end;
		"0x" + (digits | map(. + if . < 10 then 48 else 87 end) | implode) end;
	def slot: if . == null then null else "\(.type):\(.offset)" end;
	[inputs] as [$maps, $all, $pages, $huge, $swapped, $none, $translate]
	| ($maps.mappings[] | [.start, .end, .size, .present, .huge, .swapped, .zero, .unpopulated,
		.other, .extents, .name]),
	($all.extents[] | [.start, .end, .page, .state, (.pfn | hex), (.swap | slot),
		(.flags | join(",")), (.mixed | join(",")), .mapping]),
	($huge.levels[] | [.level, .index, .entry_pa, .raw, (.flags | join(",")),
		if .leaf then "yes" else "no" end]),
	($translate.translations[] | [.va, .state, .page, .pa, (.pfn | hex), (.swap | slot),
		(.flags | join(","))])
	| map(. // "" | tostring) | join(" ")' "$scratch/documents" >"$scratch/got"

	print_raw_fields >"$scratch/wanted"
	same 'raw fields and JSON' "$scratch/wanted" "$scratch/got"
}
promise 'JSON and raw fields say the same' json_has_the_values_of_raw_fields

# Of the documents that the test before has made
print_raw_fields()
{
	local huge

	maps_fields START,END,SIZE,PRESENT,HUGE,SWAPPED,ZERO,UNPOPULATED,OTHER,EXTENTS,NAME "$kinds"
	cat "$out"
	maps_fields START,END,PAGE,STATE,PFN,SWAP,FLAGS,MIXED,MAPPING --extents --all "$kinds"
	cat "$out"
	kind 'a transparent huge page'
	huge=$va
	works vminspect walk -r -n -b "$kinds" "$huge"
	cat "$out"
	kind 'written, then swapped out'
	works vminspect translate -r -n -b -o VA,STATE,PAGE,PA,PFN,SWAP,FLAGS \
		"$kinds" "$huge" "$va" '[stack]' 0x1000
	cat "$out"
}

# compare_table COLUMNS COMMAND...: raw fields and the table differ in nothing but space.
compare_table()
{
	local columns=$1

	shift
	works vminspect "$1" -r -b -o "$columns" "${@:2}"
	sed 's/\\x20/ /g' "$out" | tr -s ' ' | sed 's/ $//' >"$scratch/wanted"
	works vminspect "$1" -b -o "$columns" "${@:2}"
	# the total, and what ps says of the machine
	sed '/ total$/d; /^$/,$d' "$out" | tr -s ' ' | sed 's/^ //; s/ $//' >"$scratch/got"
	same "$1" "$scratch/wanted" "$scratch/got"
}

tables_have_the_values_of_raw_fields()
{
	kind 'a transparent huge page'
	compare_table START,END,SIZE,PRESENT,HUGE,ZERO,OTHER,EXTENTS,NAME maps "$kinds"
	compare_table START,END,SIZE,PAGE,STATE,PFN,SWAP,FLAGS,MIXED,MAPPING maps --extents "$kinds"
	compare_table LEVEL,INDEX,ENTRY_PA,RAW,FLAGS,LEAF walk "$kinds" "$va"
	compare_table VA,STATE,PAGE,PA,PFN,SWAP,FLAGS translate "$kinds" "$va" '[stack]' 0x1000
	compare_table NAME,VALUE info
}
promise 'tables and raw fields say the same' tables_have_the_values_of_raw_fields

# Read back, a size differs from the one in bytes by half of its last digit at most.
sizes_are_for_people()
{
	works vminspect maps -r -n -o SIZE,PRESENT,HUGE,SWAPPED,UNPOPULATED "$redis"
	cp "$out" "$scratch/sizes"
	maps_fields SIZE,PRESENT,HUGE,SWAPPED,UNPOPULATED "$redis"
	paste -d' ' "$scratch/sizes" "$out" | awk '
	{
		for (i = 1; i <= NF / 2; i++) {
			unit = 1024 ^ index("KMGTPE", substr($i, length($i)))
			if (unit == 1 && $i != 0)
				print $i, "has no unit"
			difference = $i * unit - $(i + NF / 2)
			if (difference > unit * 0.051 || difference < -unit * 0.051 || $i + 0 >= 1024)
				print $i, $(i + NF / 2)
		}
	}' >"$scratch/got"
	same 'sizes that differ from those in bytes' /dev/null "$scratch/got"
	kind 'a transparent huge page'
	works vminspect translate -r -n -o PAGE "$kinds" "$va" '[heap]'
	equal 'pages' $'2M\n4K' "$(<"$out")"
}
promise 'sizes have a unit and one decimal, and with --bytes they are exact' sizes_are_for_people

# On a terminal lines end in a return, too. The windows of some are narrow.
says_the_same_on_a_terminal()
{
	local commands

	kind 'a transparent huge page'
	printf -v commands 'vminspect %s; ' "maps -J $kinds" "maps -e -J $kinds" \
		"walk -J $kinds $va" "translate -J $kinds $va 0x1000" 'info -J' "maps $kinds" \
		"maps -p $kinds" "walk $kinds $va" "translate $kinds $va" info
	sh -c "$commands" >"$scratch/wanted" 2>&1
	TERM=xterm-256color script -q -e -c "stty cols 40; { $commands } 2>&1" /dev/null \
		</dev/null >"$scratch/typed" || broken 'on a terminal it fails'
	tr -d '\r' <"$scratch/typed" >"$scratch/got"
	same 'in a pipe and on a terminal' "$scratch/wanted" "$scratch/got"
}
promise 'on a terminal the output is what it is in a pipe, JSON and text' says_the_same_on_a_terminal

# It takes long enough for a remark on how far it is; but rows stand there unfinished.
leaves_json_alone_on_a_terminal()
{
	local pages=$((480 * 256))

	start specimen dense 480
	TERM=xterm script -q -e -c "vminspect maps -J --pages $pid" /dev/null </dev/null \
		>"$scratch/typed" || broken 'on a terminal it fails'
	tr -d '\r' <"$scratch/typed" >"$scratch/got"
	! grep -q $'\033' "$scratch/got" || broken 'something else was written between'
	judge 'the document' "$scratch/got" \
		".extents | length | select(. < $pages) | \"\(.) pages\"" -r
	end "$pid"
}
promise 'nothing is written into JSON on a terminal, however long it takes' \
	leaves_json_alone_on_a_terminal

# choose_columns COLUMN... -- COMMAND...: -o shows just these
choose_columns()
{
	local columns=()

	while [ "$1" != -- ]; do
		columns+=("$1")
		shift
	done
	shift
	[ ${#columns[@]} -gt 1 ] || broken "${*@Q} has but ${#columns[@]} columns"
	works "$@" -r -o "$(IFS=,; echo "${columns[*],,}")"
	equal "headings of ${*@Q}" "${columns[*]}" "$(head -n 1 "$out")"
}

# maps has two lists of columns, with a line between them.
every_column_can_be_chosen()
{
	local column='s/^ \([A-Z_]*\) .*/\1/p'

	works vminspect maps --list-columns
	# shellcheck disable=SC2046	# a column a word
	choose_columns $(sed -n "/^\$/q; $column" "$out") -- vminspect maps "$kinds"
	works vminspect maps --list-columns
	# shellcheck disable=SC2046
	choose_columns $(sed -n "1,/^\$/d; $column" "$out") -- vminspect maps -e "$kinds"
	works vminspect walk -H
	# shellcheck disable=SC2046
	choose_columns $(sed -n "$column" "$out") -- vminspect walk "$kinds" '[heap]'
	works vminspect translate -H
	# shellcheck disable=SC2046
	choose_columns $(sed -n "$column" "$out") -- vminspect translate "$kinds" '[heap]'
	works vminspect ps -H
	# shellcheck disable=SC2046
	choose_columns $(sed -n "$column" "$out") -- vminspect ps
	works vminspect info -H
	# shellcheck disable=SC2046
	choose_columns $(sed -n "$column" "$out") -- vminspect info

	works vminspect translate -r -o +node "$kinds" 0x1000
	equal 'headings of -o +node' 'VA STATE PAGE PA PFN SWAP DEVICE FLAGS NODE' "$(head -n 1 "$out")"
	works vminspect translate -r -n -o node "$kinds" '[heap]'
	equal 'the node, of which there is one' 0 "$(<"$out")"
	works vminspect translate -r -n -o state "$kinds" 0x1000
	equal 'without headings' unmapped "$(<"$out")"
	works vminspect translate -J -o va,state "$kinds" 0x1000
	[[ $(<"$out") == *$'[\n{"va":"0x1000","state":"unmapped"}\n]'* ]] ||
		broken "JSON with two columns: $(<"$out")"
}
promise 'every column that --list-columns names can be chosen' \
	every_column_can_be_chosen

explains_itself()
{
	local command version

	works vminspect --help
	cp "$out" "$scratch/help"
	for command in maps walk translate ps swap info; do
		grep -q "^ $command " "$scratch/help" || broken "--help does not list $command"
		works vminspect "$command" --help
		[[ $(<"$out") == "Usage: vminspect $command "* ]] || broken "$command --help"
		works vminspect "$command" -h
		[[ $(<"$out") == "Usage: vminspect $command "* ]] || broken "$command -h"
	done
	works vminspect --version
	version=$(<"$out")
	works vminspect info -r -n
	[[ $version == "vminspect "*"(ABI $(sed -n 's/^abi //p' "$out"))" ]] ||
		broken "--version: $version"
	works vminspect -V
	equal '-V' "$version" "$(<"$out")"
	works vminspect maps -V
	equal 'maps -V' "$version" "$(<"$out")"
}
promise 'help and version are there on request' explains_itself

#
# What others may see
#

user=(setpriv --reuid=1000 --regid=1000 --clear-groups)

# The module open to all, and $kinds a process of a user with no capabilities.
open_to_all()
{
	[[ " ${at_end[*]} " != *' close_to_all '* ]] || return
	at_end+=(close_to_all)
	modprobe -r vminspect
	modprobe vminspect mode=0666
	start_pages "${user[@]}"
}

# shellcheck disable=SC2317	# called when the script ends
close_to_all()
{
	modprobe -r vminspect
	# shellcheck disable=SC2086	# parameters, a word each
	modprobe vminspect ${VMINSPECT_MODARGS-}
}

# tells_user COMMAND...: with a remark that something is hidden, and whom it is for
tells_user()
{
	run "${user[@]}" "$@"
	[ "$status" -eq 0 ] || broken "${*@Q}: status $status"
	[[ $(<"$err") == *hidden*CAP_SYS_ADMIN* ]] || broken "${*@Q}: said $(<"$err")"
}

users_see_all_but_frames()
{
	open_to_all
	works vminspect maps --pages -r -n -o START,END,PAGE,STATE,FLAGS,MIXED,MAPPING "$kinds"
	cp "$out" "$scratch/wanted"
	tells_user vminspect maps --pages -r -n -o START,END,PAGE,STATE,FLAGS,MIXED,MAPPING "$kinds"
	same 'pages without frames' "$scratch/wanted" "$out"

	works vminspect maps -r -n -o START,SIZE,PRESENT,HUGE,SWAPPED,ZERO,UNPOPULATED,NAME "$kinds"
	cp "$out" "$scratch/wanted"
	tells_user vminspect maps -r -n \
		-o START,SIZE,PRESENT,HUGE,SWAPPED,ZERO,UNPOPULATED,NAME "$kinds"
	same 'mappings without runs of frames' "$scratch/wanted" "$out"

	kind 'an ordinary page'
	works vminspect walk -r -n -o LEVEL,INDEX,FLAGS,LEAF "$kinds" "$va"
	cp "$out" "$scratch/wanted"
	tells_user vminspect walk -r -n -o LEVEL,INDEX,FLAGS,LEAF "$kinds" "$va"
	same 'levels without entries' "$scratch/wanted" "$out"
}
promise 'a user without capabilities sees all of a process of his own but frames' \
	users_see_all_but_frames

hides_frames_in_json()
{
	open_to_all
	print_documents "$scratch/hidden" "${user[@]}"
	judge 'a document' "$scratch/hidden" "$forms"'
		def hidden($names; $where): (.hidden // {})
			| select(keys != ($names | sort) or any(.[]; . != "CAP_SYS_ADMIN"))
			| "\($where).hidden is \(tojson)";
		def nulls($where): to_entries[] | select(.value != null) | "\($where).\(.key) is \(.value)";
		def told($form; $names; $where):
			document($form + {hidden: "object"}; $where), hidden($names; $where);
		[inputs] as [$maps, $all, $pages, $huge, $swapped, $none, $translate, $ps, $info]
		| ($maps | told(maps_form; ["pfn", "extents"]; "maps")),
		($all, $pages | told(extents_form; ["pfn", "swap", "raw"]; "extents")),
		($huge, $swapped, $none
			| told(walk_form; ["pfn", "pa", "swap", "root", "entry_pa", "raw"]; "walk")),
		($translate | told(translate_form; ["pfn", "pa", "swap", "raw"]; "translate")),
		($ps | document(ps_form; "ps")),
		($info | told(info_form; ["pfn"]; "info")),
		($maps.total, $maps.mappings[] | {extents} | nulls("maps")),
		($all.extents[], $pages.extents[] | {pfn, swap} | nulls("extents")),
		($huge, $swapped | {root, pa, pfn, swap} | nulls("walk")),
		($huge.levels[], $swapped.levels[] | {entry_pa, raw} | nulls("walk")),
		($translate.translations[] | {pa, pfn, swap} | nulls("translate")),
		($huge | select(.state != "present" or .accesses != (.levels | length) + 1)
			| "walk: \(tojson)"),
		($swapped | select(.state != "swapped") | "walk: \(tojson)")' -n
}
promise 'in JSON for such a user what is hidden is null, named, and the capability with it' \
	hides_frames_in_json

hides_frames_in_text()
{
	local columns frames

	open_to_all
	kind 'a transparent huge page'
	tells_user vminspect walk "$kinds" "$va"
	frames=$(sed 's/^0x[0-9a-f]* in .*paging, root hidden$//' "$out" | grep -o '0x[0-9a-f]*')
	equal 'numbers in the picture of walk' '' "$frames"
	tells_user vminspect maps -r -n -o EXTENTS "$kinds"
	equal 'EXTENTS of maps' '' "$(tr -d '\n' <"$out")"
	for columns in PFN SWAP; do
		tells_user vminspect maps -p -r -n -o "$columns" "$kinds"
		equal "$columns of maps --pages" '' "$(tr -d '\n' <"$out")"
	done
	for columns in PA PFN SWAP; do
		tells_user vminspect translate -r -n -o "$columns" "$kinds" "$va"
		equal "$columns of translate" '' "$(<"$out")"
	done
}
promise 'in text for such a user frames are left out, and a remark says so' hides_frames_in_text

# Of the processes of others nothing is shown but their number.
ps_counts_unreadable()
{
	local file others=0 words

	open_to_all
	for file in /proc/[0-9]*/status; do
		words=$(<"$file")
		[[ $words != *VmSize:* || $words == *$'\nUid:\t1000\t'* ]] || others=$((others + 1))
	done 2>/dev/null
	run "${user[@]}" vminspect ps -r -n -o PID
	equal 'status of ps' 0 "$status"
	[[ $(<"$err") == *" $others more processes "* ]] ||
		broken "$others processes are not the user's: $(<"$err")"
	grep -qx "$kinds" "$out" || broken "his process $kinds is not listed"
	equal 'processes listed, with ps itself' 2 "$(wc -l <"$out")"
}
promise 'ps counts the processes that a user may not read' ps_counts_unreadable

#
# Processes that are not like others
#

# A page in each 64 GiB of 1 TiB
shows_a_sparse_terabyte()
{
	local start end i small_peak

	peak_memory vminspect maps "$dense"
	small_peak=$peak
	start specimen sparse
	read -r start end <<<"${lines[0]}"
	peak_memory vminspect maps -r -n -b -o START,SIZE,PRESENT,UNPOPULATED "$pid"
	grep "^$start " "$out" >"$scratch/got"
	echo "$start $((1 << 40)) $((16 * 4096)) $(((1 << 40) - 16 * 4096))" >"$scratch/wanted"
	same 'the mapping' "$scratch/wanted" "$scratch/got"
	[ "$peak" -lt $((small_peak + 1024)) ] || broken "it takes $peak KiB in place of $small_peak"

	for ((i = 0; i < 16; i++)); do
		printf '0x%x 0x%x\n' $((start + (i << 36))) $((start + (i << 36) + 4096))
	done >"$scratch/wanted"
	works vminspect maps --extents -r -n -o START,END --range "$start-$end" "$pid"
	same 'its extents' "$scratch/wanted" "$out"
	works vminspect maps --pages --all -r -n -o START --range "$start-$end" "$pid"
	equal 'pages, and runs of none between them' 32 "$(wc -l <"$out")"
	end "$pid"
}
promise 'a terabyte of addresses with hardly a page is no trouble' shows_a_sparse_terabyte

looks_at_itself()
{
	works vminspect maps -r -n -o NAME self
	grep -q '/vminspect$' "$out" || broken "maps self does not show the tool"
	works vminspect walk self '[stack]'
	[[ $(<"$out") == *' in [stack]: '* ]] || broken "walk self: $(head -n 1 "$out")"
	works vminspect translate -r -n -o STATE self 0x1000
	equal 'translate self 0x1000' unmapped "$(<"$out")"
}
promise 'self is the tool, which does not change meanwhile' looks_at_itself

takes_threads()
{
	start specimen thread
	maps_fields START,END,PRESENT,NAME "$pid"
	cp "$out" "$scratch/wanted"
	[ "${lines[0]}" != "$pid" ] || broken 'there is no second thread'
	maps_fields START,END,PRESENT,NAME "${lines[0]}"
	same 'process and thread' "$scratch/wanted" "$out"
	end "$pid"
}
promise 'a thread has the address space of its process' takes_threads

# What is no UTF-8 becomes U+FFFD in JSON; in text a line stays a line.
keeps_odd_names_apart()
{
	local path=$scratch/$'two  words\n"new\\\xff\x1b[31m\xc3\xa9' name=$'b\n"\xfe}\x1b x'
	local repaired=$'\xef\xbf\xbd'

	head -c 4096 /dev/zero >"$path"
	start specimen file "$path" "$name"
	works vminspect maps -J "$pid"
	iconv -f UTF-8 -t UTF-16 "$out" >/dev/null || broken 'JSON is no UTF-8'
	cp "$out" "$scratch/documents"
	works vminspect ps -J
	iconv -f UTF-8 -t UTF-16 "$out" >/dev/null || broken 'JSON of ps is no UTF-8'
	cat "$out" >>"$scratch/documents"
	works vminspect walk -J "$pid" "$path"
	cat "$out" >>"$scratch/documents"
	judge 'names' "$scratch/documents" '[inputs] as [$maps, $ps, $walk]
		| ([$maps.comm, $walk.comm, ($ps.processes[] | select(.pid == $maps.pid).comm)]
			| select(. != [$comm, $comm, $comm]) | "comm: \(tojson)"),
		(select($maps.mappings | any(.name == $path) | not) | "maps: \($maps | tojson)"),
		($walk.mapping | select(. != $path) | "walk: \(.)")' \
		-n --arg path "${path//$'\xff'/$repaired}" --arg comm "${name//$'\xfe'/$repaired}"

	works vminspect maps "$pid"
	equal 'lines of maps' $(($(list_mappings "$pid" | wc -l) + 2)) "$(wc -l <"$out")"
	if grep -q $'\x1b' "$out"; then
		broken 'maps lets a name through to the terminal as it is'
	fi
	works vminspect ps
	if grep -q $'\x1b' "$out"; then
		broken 'ps lets a name through to the terminal as it is'
	fi
	works vminspect walk "$pid" "$path"
	equal 'lines of the picture' $((4 + 3)) "$(wc -l <"$out")"
	if grep -q $'\x1b' "$out"; then
		broken 'walk lets a name through to the terminal as it is'
	fi
	end "$pid"
}
promise 'odd names of files and processes spoil neither JSON nor tables' keeps_odd_names_apart

# compare_shortened N COMMAND...: the same output if the module does at most N pages or addresses a call
compare_shortened()
{
	local nr=$1

	shift
	works "$@"
	cp "$out" "$scratch/wanted"
	works forge short "$nr" "$@"
	[ -s "$out" ] || broken "${*@Q} prints nothing"
	same "${*@Q} in portions of $nr" "$scratch/wanted" "$out"
}

goes_on_where_a_call_ended()
{
	local start end addresses

	start specimen runs
	read -r start end <<<"${lines[0]}"
	compare_shortened 100 vminspect maps --extents -J --range "$start-$end" "$pid"
	compare_shortened 100 vminspect maps -r -n -b --range "$start-$end" "$pid"
	# two clean pages and a soft-dirty one: neither has the last word
	compare_shortened 3 vminspect maps --extents -r --split young \
		--range "$start-$(printf '0x%x' $((start + 30 * 4096)))" "$pid"
	compare_shortened 100 vminspect maps --pages --all -r --range "$start-$end" "$pid"
	end "$pid"

	kind 'a transparent huge page'
	start=$va
	above "$start" $((2 << 20))
	compare_shortened 100 vminspect maps --extents -r --range "$start-$va" "$kinds"
	mapfile -t addresses < <(cut -d' ' -f1 "$scratch/kinds.pages" | head -n 50)
	compare_shortened 7 vminspect translate -r "$kinds" "${addresses[@]}"
}
promise 'what the module does in several calls the tool puts together' goes_on_where_a_call_ended

# show_changing KIND COMMAND...: the tool waits for its reader in the middle of the lower mapping while
# what is above it changes.
show_changing()
{
	local reader first

	start specimen "$1" 40
	mkfifo "$scratch/slow"
	"${@:2}" "$pid" >"$scratch/slow" 2>"$err" &
	exec {reader}<"$scratch/slow"
	IFS= read -r -u "$reader" first
	sleep 0.5
	ask go
	equal "the $1 process" 'done' "$reply"
	(echo "$first"; cat <&"$reader") >"$out"
	exec {reader}<&-
	wait $!
	status=$?
	rm "$scratch/slow"
	end "$pid"
}

says_that_mappings_changed()
{
	local kind

	for kind in growing shrinking; do
		show_changing "$kind" vminspect maps --pages --all -J
		equal "status, $kind" 0 "$status"
		equal "messages, $kind" '' "$(<"$err")"
		[[ $(tail -n 1 "$out") == *'"changed":true'* ]] ||
			broken "$kind: it ends with $(tail -n 1 "$out")"
	done
	judge 'JSON' "$out" '.extents | range(1; length) as $i
		| select(.[$i].start != .[$i - 1].end) | "a gap before \(.[$i].start)"'
	show_changing growing vminspect maps --pages --all -r -n
	equal 'status in text' 0 "$status"
	[[ $(<"$err") == *"$pid changed"* ]] || broken "said: $(<"$err")"
}
promise 'that mappings changed meanwhile is said' says_that_mappings_changed

copy_programs
prepare_machine
start_kinds
start_dense
start_redis
promise 'a machine without swap says so, and nothing has failed' says_that_there_is_no_swap

keep_promises
