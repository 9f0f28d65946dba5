#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Promise: "make load" loads the module, or says in words why the kernel refuses it and what to do:
# another kernel, other headers or another compiler, wrong type information, Secure Boot, lockdown.
# A kernel that is too new or too old is named by the first thing that the compiler says.
#
#   VMINSPECT_KERNELS   for these, as vm/kernel names them; default: the distribution's own
#
# machines: host

# shellcheck disable=SC1091,SC2154	# what is not assigned here comes from tap.sh

cd "$(dirname "$(readlink -f "$0")")/.." || exit 1
. selftests/tap.sh

read -ra kernels <<<"${VMINSPECT_KERNELS:-}"
[ ${#kernels[@]} -gt 0 ] || kernels=(own)
export VMINSPECT_SHARE=$scratch

# Sets kernel, kdir, release, other_release, ko.
use_kernel()
{
	local answer root

	kernel=$1
	answer=$(selftests/vm/kernel ${1:+"$1"}) || { broken "there is no kernel $1"; return 1; }
	{ read -r _; read -r kdir; read -r root; } <<<"$answer"
	release=$(sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' "$kdir/include/generated/utsrelease.h")
	other_release=9${release:1}
	ko=build/$release/vminspect.ko
	selftests/vm/build "$kdir" "$root" module || { broken "no module for $release"; return 1; }
}

# Other headers: another checksum of what a module consists of, or, where the kernel compares none,
# another size of it.
forge_headers()
{
	local section=.gnu.linkonce.this_module

	if grep -q CONFIG_MODVERSIONS=y "$kdir/.config"; then
		perl -0777 -pe 's/.{8}(module_layout\0)/ZZZZ\0\0\0\0$1/s' "$ko" >"$scratch/headers.ko"
	else
		objcopy --dump-section "$section=$scratch/section" "$ko" "$scratch/headers.ko" &&
		head -c 64 /dev/zero >>"$scratch/section" &&
		objcopy --update-section "$section=$scratch/section" "$scratch/headers.ko"
	fi
}

# Another release in the version magic; other headers; type information that is none.
make_forgeries()
{
	sed "s/vermagic=${release//./\\.}/vermagic=$other_release/" "$ko" >"$scratch/older.ko" &&
	forge_headers &&
	head -c 64 /dev/zero >"$scratch/section" &&
	objcopy --remove-section .BTF "$ko" "$scratch/btf.ko" &&
	objcopy --add-section ".BTF=$scratch/section" "$scratch/btf.ko" &&
	printf 'not a module' >"$scratch/text.ko"
}

# An insmod that is refused as other kernels refuse, and one while other modules are refused.
make_insmods()
{
	cat >"$scratch/insmod-btf" <<-'EOF'
		#!/bin/sh
		echo 'failed to validate module [vminspect] BTF: -22' >/dev/kmsg
		echo "insmod: ERROR: could not insert module $1: Invalid parameters" >&2
		exit 1
	EOF
	cat >"$scratch/insmod-beside" <<-'EOF'
		#!/bin/sh
		echo 'failed to validate module [another] BTF: -22' >/dev/kmsg
		echo 'another: Unknown symbol vminspect (err -2)' >/dev/kmsg
		PATH=/usr/sbin:/sbin
		case $1 in
		*headers.ko) exec insmod "$@" ;;
		esac
		echo "insmod: ERROR: could not insert module $1: Cannot allocate memory" >&2
		exit 1
	EOF
	chmod +x "$scratch"/insmod-*
}

# boot ARGUMENTS COMMAND: what the command says, and its status, in $out
boot()
{
	run env VMINSPECT_KO=none selftests/vm/run ${kernel:+-k "$kernel"} -m 1G -c 1 -a "$1" -- sh -c "exec 2>&1; $2"
}

# Between its mark and the next one
said_at()
{
	sed -n "/^@ $1\$/,/^@ /p" "$out"
}

# said MARK WORDS
said()
{
	said_at "$1" | grep -qF -- "$2" ||
		broken "'$2' is not in:" "$(said_at "$1")" "$(tail -n 3 "$err")"
}

try_all()
{
	make_forgeries || broken 'the modules could not be forged'
	make_insmods
	boot '' "
		for name in older headers btf text; do
			echo @ \$name; module/load \$VMINSPECT_SHARE/\$name.ko 0600; echo status \$?
			[ ! -d /sys/module/vminspect ] || rmmod vminspect
		done
		echo @ user; setpriv --reuid 1000 module/load $ko 0600; echo status \$?
		echo @ good; module/load $ko 0640; echo status \$?; stat -c 'mode %a' /dev/vminspect
		echo @ again; module/load $ko 0600; echo status \$?
		rmmod vminspect
		for mode in 440 0604; do
			echo @ mode=\$mode; module/load $ko \$mode; echo status \$?
			stat -c 'mode %a' /dev/vminspect; rmmod vminspect
		done
		for mode in '' 8 77 0888 00600 -600 600x rw; do
			echo @ mode=\$mode; module/load $ko \"\$mode\"; echo status \$?
		done
		mkdir /tmp/other; PATH=/tmp/other:\$PATH
		cp \$VMINSPECT_SHARE/insmod-btf /tmp/other/insmod
		cp \$VMINSPECT_SHARE/btf.ko /tmp/advised.ko
		echo @ advice; module/load /tmp/advised.ko 0600 >/tmp/advice 2>&1; echo status \$?
		cat /tmp/advice
		rm /tmp/other/insmod
		sed -n 's/.*without BTF: //p' /tmp/advice | sh -e
		echo @ advised; module/load /tmp/advised.ko 0600; echo status \$?
		readelf -SW /tmp/advised.ko | grep -o '[.]BTF[^ ]*'
		rmmod vminspect
		cp \$VMINSPECT_SHARE/insmod-beside /tmp/other/insmod
		echo @ beside; module/load $ko 0600; echo status \$?
		echo @ both; module/load \$VMINSPECT_SHARE/headers.ko 0600; echo status \$?
		rm /tmp/other/insmod
		echo @ path; PATH=/usr/bin:/bin module/load $ko 0600; echo status \$?
		rmmod vminspect
		modinfo=\$(command -v modinfo); mv \$modinfo /tmp/
		echo @ program; module/load $ko 0600; echo status \$?
		mv /tmp/modinfo \$modinfo
		chmod a-w /dev/kmsg
		echo @ unmarked; setpriv --bounding-set -dac_override \\
			module/load \$VMINSPECT_SHARE/headers.ko 0600; echo status \$?
		chmod u+w /dev/kmsg
		line=\$(printf %900s x) lines=0	# more than the log can hold
		while [ \$lines -lt 300 ]; do
			echo \"\$line\" >/dev/kmsg; lines=\$((lines + 1))
		done
		echo @ full; module/load \$VMINSPECT_SHARE/headers.ko 0600; echo status \$?
		echo @ disabled; echo 1 >/proc/sys/kernel/modules_disabled
		module/load $ko 0600; echo status \$?; echo @"
}

loads_it_with_the_mode_that_is_asked_for()
{
	use_kernel "$1" || return
	try_all
	said good 'status 0'
	said good 'mode 640'
}

takes_the_mode_for_an_octal_number()
{
	local mode

	said mode=440 'mode 440'
	said mode=0604 'mode 604'
	for mode in '' 8 77 0888 00600 -600 600x rw; do
		said "mode=$mode" "three octal digits, such as 0600, and not '$mode'"
		said "mode=$mode" 'status 2'
	done
}

names_the_kernel_that_it_was_built_for()
{
	said older "it was built for $other_release, and this kernel is $release"
	said older 'make deps && make load'
	said older 'status 1'
}

tells_other_headers()
{
	said headers 'from other headers, or by another compiler'
	said headers "($(grep -oE '^CONFIG_CC_VERSION_TEXT.*gcc-[0-9]+' "$kdir/.config" | cut -d'"' -f2))"
	said headers 'status 1'
}

says_so_when_the_log_is_full()
{
	said full 'from other headers, or by another compiler'
	said full 'status 1'
}

says_so_when_the_log_takes_no_mark()
{
	said unmarked 'from other headers, or by another compiler'
	said unmarked 'status 1'
}

tells_a_program_that_is_missing()
{
	said path 'status 0'
	said program 'modinfo is not found'
	said program 'status 1'
}

# Debian's kernels do without it then (CONFIG_MODULE_ALLOW_BTF_MISMATCH); others refuse the module.
tells_other_type_information()
{
	if grep -q CONFIG_MODULE_ALLOW_BTF_MISMATCH=y "$kdir/.config"; then
		said btf 'status 0'
		return
	fi
	said btf 'BTF'
	said btf 'objcopy -R .BTF'
	said btf 'status 1'
}

# Done as it is told, which has to leave a module.
advises_what_helps_against_type_information()
{
	said advice 'type information (BTF) is that of another build'
	said advice 'status 1'
	said advised 'status 0'
	! said_at advised | grep -q '^[.]BTF' || broken 'it is still there'
}

tells_no_reason_that_is_another_modules()
{
	said beside 'refuses the module: Cannot allocate memory'
	said beside 'status 1'
	! said_at beside | grep -E 'BTF\) is|other headers' || broken "$(said_at beside)"
	said both 'from other headers, or by another compiler'
	! said_at both | grep 'another: ' || broken "$(said_at both)"
}

tells_what_is_no_module()
{
	said text 'status 1'
	said text 'is no module'
}

tells_a_user()
{
	said user 'only root may load one'
	said user 'status 1'
}

tells_that_it_is_there()
{
	said again 'make unload'
	said again 'status 1'
}

tells_that_loading_is_switched_off()
{
	said disabled 'until the next boot'
	said disabled 'status 1'
}

says_how_to_sign()
{
	local arguments

	for arguments in module.sig_enforce=1 lockdown=integrity; do
		boot "$arguments" "echo @ signed; module/load $ko 0600; echo status \$?
			umount -a -t securityfs
			echo @ unmounted; module/load $ko 0600; echo status \$?
			ls /sys/kernel/security; echo @ end"
		said signed 'mokutil --import'
		said signed 'sign-file sha256'
		said signed 'status 1'
	done
	said signed 'locked down'
	said unmounted 'locked down'
	! said_at unmounted | grep -qx lockdown || broken 'securityfs is still there'
}

# headers_of VERSION: headers of the distribution's own kernel, but they say that they are of that version
headers_of()
{
	local dir=$scratch/headers version=$1

	rm -rf "$dir"
	cp -rs "$(readlink -f "$kdir")" "$dir" || return
	rm "$dir/include/generated/uapi/linux/version.h" "$dir/include/generated/utsrelease.h"
	echo "#define UTS_RELEASE \"$other\"" >"$dir/include/generated/utsrelease.h"
	sed "s/\(LINUX_VERSION_CODE\) .*/\1 $version/" "$kdir/include/generated/uapi/linux/version.h" \
		>"$dir/include/generated/uapi/linux/version.h"
}

remove_build()
{
	rm -rf "build/another-kernel"
}

# The build fails: of a newer kernel a header has moved, as headers do; an older one is refused.
names_the_versions_that_are_supported()
{
	local version other=another-kernel

	use_kernel '' || return
	at_end+=(remove_build)
	mkdir -p "$scratch/moved/linux"
	echo '#error it has moved' >"$scratch/moved/linux/swapops.h"
	for version in $((9 << 16)) $((5 << 16 | 10 << 8)); do
		headers_of "$version" || broken 'the headers could not be copied'
		run make module KDIR="$scratch/headers" NOSTDINC_FLAGS="-nostdinc -I$scratch/moved"
		[ "$status" -ne 0 ] || broken "it builds with headers of $version"
		[ "$version" -lt $((6 << 16)) ] || grep -q 'it has moved' "$err" ||
			broken 'the header has not moved:' "$(head -n 20 "$err")"
		grep -E ': (note|warning|error|fatal error): ' "$err" | head -n 1 |
			grep -q 'vminspect.*6\.1.*7\.3' || broken "$version:" "$(head -n 20 "$err")"
	done
}

# of_kernel WHAT FUNCTION: in this order, as the machine is booted by the first
of_kernel()
{
	eval "$2_${name//./_}() { $2 '${name#own}'; }"
	promise "$name: $1" "$2_${name//./_}"
}

for name in "${kernels[@]}"; do
	of_kernel 'loads it with the mode that is asked for' loads_it_with_the_mode_that_is_asked_for
	of_kernel 'takes the mode for an octal number' takes_the_mode_for_an_octal_number
	of_kernel 'names the kernel that it was built for' names_the_kernel_that_it_was_built_for
	of_kernel 'tells other headers or another compiler' tells_other_headers
	of_kernel 'tells them when the log of the kernel is full' says_so_when_the_log_is_full
	of_kernel 'tells them when the log of the kernel takes no mark' says_so_when_the_log_takes_no_mark
	of_kernel 'finds its programs, or tells which is missing' tells_a_program_that_is_missing
	of_kernel 'tells other type information, or does without' tells_other_type_information
	of_kernel 'advises what helps against it' advises_what_helps_against_type_information
	of_kernel 'tells no reason that is of another module' tells_no_reason_that_is_another_modules
	of_kernel 'tells what is no module' tells_what_is_no_module
	of_kernel 'tells a user that root is needed' tells_a_user
	of_kernel 'tells that it is loaded already' tells_that_it_is_there
	of_kernel 'tells that loading is switched off' tells_that_loading_is_switched_off
	of_kernel 'says how to sign it, under Secure Boot and lockdown' says_how_to_sign
done
promise 'the compiler names the versions first that are supported' names_the_versions_that_are_supported

keep_promises
