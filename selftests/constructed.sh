#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Kinds of entries that no stock kernel makes, and all others, as the kernel's own constructors
# make them, are decoded rightly. The tests are modules: constructed/entry_test.c has the memory
# of devices configured in, entry_test_stock.c is the same with the kernel's own configuration,
# paging_test.c has tables of guests and nested ones, in modes that no guest here is in.
#
# machines: default la57

tree=$(dirname "$0")/..
status=0
nr=0

echo "TAP version 13"
for module in entry_test entry_test_stock paging_test; do
	file=$tree/build/$(uname -r)/$module.ko
	results=/sys/kernel/debug/$module
	if ! insmod "$file"; then
		nr=$((nr + 1))
		echo "not ok $nr $module.ko is not there or does not load"
		status=1
		continue
	fi
	# One plan for all, at the end.
	while read -r line; do
		case $line in
		ok*|"not ok"*)
			nr=$((nr + 1))
			verdict=${line%%ok *}ok
			words=${line#*ok * }
			echo "$verdict $nr $module: $words"
			[ "$verdict" = ok ] || status=1 ;;
		"#"*)	echo "$line" ;;
		esac
	done <$results
	rmmod "$module"
done
echo "1..$nr"
exit $status
