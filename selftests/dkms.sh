#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Promise: DKMS, of the distribution that a kernel comes from, builds the module from what "make dkms"
# installs, puts it where modprobe finds it, and takes it away again; and such a module works.
#
#   VMINSPECT_KERNELS   for these, as vm/kernel names them; default: the distribution's own
#
# machines: host

# shellcheck disable=SC1091,SC2154	# what is not assigned here comes from tap.sh

cd "$(dirname "$(readlink -f "$0")")/.." || exit 1
. selftests/tap.sh

version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)
read -ra kernels <<<"${VMINSPECT_KERNELS:-}"
[ ${#kernels[@]} -gt 0 ] || kernels=(own)

has_the_version_of_the_module()
{
	equal 'version' "$(sed -n 's/^#define VMI_VERSION\t"\(.*\)"/\1/p' module/chardev.h)" "$version"
}

# DKMS keeps a key below /var/lib: that is no business of this machine's.
dkms_of()
{
	local root=$1

	shift
	set -- dkms "$@" --sourcetree "$work/usr/src" --dkmstree "$work/tree" \
		--installtree "$work/modules"
	if [ -n "$root" ]; then
		selftests/vm/inside -d "$work" "$root" "$@"
	else
		unshare --mount sh -c 'mount --bind "$0" /var/lib/dkms && exec "$@"' "$work/var" "$@"
	fi
}

# Sets root, release, work.
prepare()
{
	local answer kdir

	answer=$(selftests/vm/kernel "${kernel#own}") || { broken "there is no kernel $kernel"; return 1; }
	{ read -r _; read -r kdir; read -r root; } <<<"$answer"
	release=$(sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' "$kdir/include/generated/utsrelease.h")
	work=$scratch/$release
	mkdir -p "$work"/{tree,var,"modules/$release"}
	make -s dkms DESTDIR="$work" >"$out" 2>"$err" || broken "make dkms failed:" "$(<"$err")"
}

list_installed()
{
	find "$work/modules" -name 'vminspect.ko*'
}

builds_and_installs()
{
	prepare || return
	dkms_of "$root" add "vminspect/$version" >"$out" 2>&1 || broken 'add:' "$(tail -n 20 "$out")"
	dkms_of "$root" build "vminspect/$version" -k "$release" >"$out" 2>&1 ||
		broken 'build:' "$(tail -n 20 "$out")" "$(cat "$work"/tree/vminspect/*/build/make.log)"
	dkms_of "$root" install "vminspect/$version" -k "$release" >"$out" 2>&1 ||
		broken 'install:' "$(tail -n 20 "$out")"
	[[ $(list_installed) == "$work/modules/$release/updates/dkms/vminspect.ko"* ]] ||
		broken "installed is '$(list_installed)'"
}

# Headers of this kernel serve: DKMS does not look into them before.
passes_over_an_older_kernel()
{
	dkms_of "$root" build "vminspect/$version" -k 5.10.0-32-amd64 \
		--kernelsourcedir "/lib/modules/$release/build" >"$out" 2>&1
	grep -q 'BUILD_EXCLUSIVE' "$out" || broken 'build:' "$(tail -n 20 "$out")"
	equal 'logs of a build' '' "$(find "$work/tree" -path '*5.10*' -name make.log)"
}

# As modprobe finds it where DKMS put it, compressed or not, once depmod has looked there.
works_when_loaded()
{
	local modules=/lib/modules/$release

	if [ "$kernel" != own ]; then
		set -- -k "$kernel"
	fi
	run env VMINSPECT_KO=none VMINSPECT_SHARE="$work/modules/$release" \
		selftests/vm/run "$@" -m 1G -- sh -ec "
		cp -r \$VMINSPECT_SHARE/updates $modules/
		depmod $release
		modprobe vminspect
		modinfo -F filename vminspect
		vminspect info -J
		rmmod vminspect"
	[ "$status" -eq 0 ] || broken "status $status:" "$(tail -n 20 "$err")"
	[[ $(head -n 1 "$out") == $modules/updates/dkms/vminspect.ko* ]] ||
		broken "loaded is '$(head -n 1 "$out")'"
	sed -i 1d "$out"
	equal 'module' "$version" "$(jq -r .module "$out")"
	equal 'kernel' "$release" "$(jq -r .kernel "$out")"
}

removes_all_of_it()
{
	dkms_of "$root" remove "vminspect/$version" --all >"$out" 2>&1 ||
		broken 'remove:' "$(tail -n 20 "$out")"
	equal 'left of the module' '' "$(list_installed)"
	equal 'left in the tree' '' "$(find "$work/tree" -name 'vminspect*')"
}

# Releases that DKMS is to build for, and others.
is_for_the_kernels_that_are_known()
{
	local BUILD_EXCLUSIVE_KERNEL='' release

	eval "$(grep '^BUILD_EXCLUSIVE_KERNEL=' dkms.conf)"
	[ -n "$BUILD_EXCLUSIVE_KERNEL" ] || { broken 'dkms.conf is for any kernel'; return; }
	for release in 6.1.0-57-amd64 6.1.192 6.9.7 6.12.118+deb13-amd64 7.3.4+deb13-amd64 10.0.1; do
		[[ $release =~ $BUILD_EXCLUSIVE_KERNEL ]] || broken "not for $release"
	done
	for release in 4.19.0-27-amd64 5.10.0-32-amd64 5.6.1 6.0.12-1-amd64; do
		[[ ! $release =~ $BUILD_EXCLUSIVE_KERNEL ]] || broken "for $release"
	done
}

is_no_package()
{
	skip 'no package has it: DKMS looks for its headers in /lib/modules, where nothing is of it'
}

promise 'dkms.conf has the version of the module' has_the_version_of_the_module
promise 'dkms.conf is for 6.1 and newer' is_for_the_kernels_that_are_known
for name in "${kernels[@]}"; do
	if [ "$name" = debug ]; then
		promise "DKMS, $name" is_no_package
		continue
	fi
	for part in builds_and_installs passes_over_an_older_kernel works_when_loaded removes_all_of_it; do
		eval "${part}_${name//./_}() { kernel=$name; $part; }"
		promise "DKMS, $name: ${part//_/ }" "${part}_${name//./_}"
	done
done

keep_promises
