#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Promise: the code is in the kernel's style, and no checker has anything to say of it.
# machines: host

cd "$(dirname "$(readlink -f "$0")")/.." || exit 1
linux=build/linux
kdir=${KDIR:-$(make -s print-KDIR)}
number=0
failed=0

# A check passes if it succeeds and says nothing.
check()
{
	local name=$1 said

	shift
	number=$((number + 1))
	if said=$("$@" 2>&1) && [ -z "$said" ]; then
		echo "ok $number $name"
		return
	fi
	failed=1
	# shellcheck disable=SC2001
	sed 's/^/# /' <<<"$said"
	echo "not ok $number $name"
}

# What is left out can't apply: kernel versions in the file that is there for them, macros and
# types that user space does not have.
checkpatch()
{
	local ignored=$1

	shift
	git ls-files -co --exclude-standard -- "$@" |
		xargs "$linux/scripts/checkpatch.pl" --no-tree --strict --terse --quiet --no-summary \
		--show-types --max-line-length=100 --ignore "$ignored" -f
}

user_types=BIT_MACRO,PREFER_KERNEL_TYPES,PREFER_DEFINED_ATTRIBUTE_MACRO,CAMELCASE
# Tests touch memory for its own sake, name kernel interfaces in strings, and have tables of members.
test_types=$user_types,VOLATILE,SPLIT_STRING,EMBEDDED_FUNCTION_NAME,PREFER_FALLTHROUGH
test_types+=,MACRO_ARG_REUSE

sparse_module()
{
	local tree=build/lint

	rm -rf "$tree"
	mkdir -p "$tree"
	cp -r Kbuild module uapi "$tree"
	make -s -C "$kdir" M="$PWD/$tree" C=2 CHECK=sparse W=0 modules |&
		grep -v 'Skipping BTF generation'
	[ -f "$tree/vminspect.ko" ]
}

kernel_doc()
{
	git ls-files -co --exclude-standard -- 'module/*.[ch]' uapi userspace/lib/vminspect.h |
		xargs "$linux/scripts/kernel-doc" -none -Werror
}

# Nothing outside compat may know a kernel version.
versions()
{
	! git grep -nE 'LINUX_VERSION_CODE|KERNEL_VERSION\(' -- 'module/*' ':!module/compat*'
}

documents()
{
	local file

	for file in Documentation/*.rst; do
		rst2html --report=warning --halt=warning "$file" >/dev/null || return 1
	done
}

scripts()
{
	git ls-files -co --exclude-standard | while read -r file; do
		head -n 1 "$file" | grep -qE '^#!/bin/(ba)?sh' && echo "$file"
	done | xargs shellcheck -e SC2016,SC2317
}

echo TAP version 13
echo 1..10
check 'checkpatch has nothing to say of the module' \
	checkpatch LINUX_VERSION_CODE,CONSTANT_COMPARISON 'module/*.[ch]' ':!module/trace.h'
# Tracepoints have a form of their own, which is no C that it knows.
check 'checkpatch has nothing to say of the tracepoints' \
	checkpatch COMPLEX_MACRO,OPEN_ENDED_LINE,PARENTHESIS_ALIGNMENT module/trace.h
check 'checkpatch has nothing to say of the contract' checkpatch BIT_MACRO 'uapi/*.h'
check 'checkpatch has nothing to say of library and tool' \
	checkpatch "$user_types" 'userspace/*.[ch]'
check 'checkpatch has nothing to say of tests and benchmarks' \
	checkpatch "$test_types" 'selftests/*.[ch]' 'bench/*.c'
check 'sparse has nothing to say, and the module builds without a warning' sparse_module
check 'kernel-doc can be read everywhere' kernel_doc
check 'kernel versions are known in compat alone' versions
check 'documents are well-formed' documents
check 'shellcheck has nothing to say of the scripts' scripts
exit $failed
