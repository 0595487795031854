# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Sourced after lib.sh and debian.sh by what works in a Debian of another release
# than the host's: compilers of its kernels, its packages.

ROOTS=$BUILD/roots

# What a root has besides: a new list makes the root anew
ROOT_PACKAGES=make,kmod,xz-utils,binutils

# root_suites ROOT: the suites that the root takes packages from
root_suites()
{
	case $1 in
	trixie) echo trixie trixie-backports ;;
	sid) echo sid forky experimental ;;
	*) die "no root is called $1" ;;
	esac
}

# make_root ROOT: there is build/roots/ROOT, a small Debian
make_root()
{
	local root=$ROOTS/$1 uri suite lines=() options

	[ "$(cat "$root.made" 2>/dev/null)" != "$ROOT_PACKAGES" ] || return 0
	need_space 1500
	need_mirror
	for suite in $(root_suites "$1"); do
		lines+=("deb [signed-by=$KEYRING] $uri $suite main")
	done
	# How this host fetches: by a proxy, from a snapshot that has expired
	mapfile -t options < <(apt-config dump | sed -nE \
		's/^(Acquire::(https?::Proxy[^ ]*|Check-Valid-Until|Check-Date) ".+");$/--aptopt=\1/p')
	mkdir -p "$ROOTS"
	as_root rm -rf "$root"
	say "making a small Debian $1 in ${root#"$TOP/"}"
	logged "root-$1" '^I:' 0 as_root mmdebstrap --mode=root --variant=apt \
		--aptopt='Acquire::Languages "none"' --aptopt='APT::Sandbox::User "root"' \
		--aptopt='Acquire::Retries "3"' "${options[@]}" \
		--include="$ROOT_PACKAGES" --skip=cleanup/apt,cleanup/reproducible \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt=force-unsafe-io \
		"$1" "$root" "${lines[@]}"
	echo "$ROOT_PACKAGES" >"$root.made"
}

# in_root ROOT COMMAND...: there, with /proc, and without what was exported here
in_root()
{
	local root=$ROOTS/$1 unshare=(unshare --mount) own=''

	shift
	# In a chroot, / is no mount that could be made private. Then the root is one,
	# for so long
	as_root "${unshare[@]}" true 2>/dev/null || {
		unshare+=(--propagation unchanged)
		own=yes
	}
	# shellcheck disable=SC2016
	as_root "${unshare[@]}" sh -c '
		root=$1 own=$2; shift 2
		[ -z "$own" ] ||
			{ mount --bind "$root" "$root" && mount --make-private "$root"; } || exit
		mount -t proc proc "$root/proc" && mount --bind /dev "$root/dev" &&
			chroot "$root" env -i HOME=/root LC_ALL=C \
				PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"
		status=$?
		[ -z "$own" ] || umount -R -l "$root"
		exit "$status"' \
		sh "$root" "$own" "$@" 9>&-
}

# root_install ROOT PACKAGE...: those that are missing
root_install()
{
	local root=$1 package missing=()

	shift
	for package; do
		[ "$(dpkg-query --admindir="$ROOTS/$root/var/lib/dpkg" -W -f '${db:Status-Status}' \
			"$package" 2>/dev/null)" = installed ] || missing+=("$package")
	done
	[ ${#missing[@]} = 0 ] ||
		logged "install-$root" '^Setting up' 0 in_root "$root" apt-get -qy \
			install --no-install-recommends "${missing[@]}"
}
