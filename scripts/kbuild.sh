# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Sourced after lib.sh by what configures and builds kernels.

export CCACHE_BASEDIR=$BUILD
export KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 1970'
export KBUILD_BUILD_USER=fuse KBUILD_BUILD_HOST=mmap

# kbuild TREE OUT ARGUMENT...: make there; the arguments may name another
# ARCH and CC
kbuild()
{
	local tree=$1 out=$2

	shift 2
	make -C "$tree" O="$out" ARCH=x86_64 CC='ccache gcc' -j"$JOBS" "$@"
}

# configure TREE OUT FRAGMENT... [-- ARGUMENT...]: tinyconfig with FRAGMENTs;
# they are kept in OUT/wanted.config
configure()
{
	local tree=$1 out=$2 fragments=()

	shift 2
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		fragments+=("$1")
		shift
	done
	shift || :
	kbuild "$tree" "$out" "$@" tinyconfig &&
		cat "${fragments[@]}" >"$out/wanted.config" &&
		(cd "$out" && "$tree/scripts/kconfig/merge_config.sh" -m -O "$out" \
			"$out/.config" "$out/wanted.config") &&
		kbuild "$tree" "$out" "$@" olddefconfig
}

# check_config OUT: Kconfig drops silently what it cannot have; of what is said
# twice the last counts
check_config()
{
	local out=$1 line name bad=0 seen=' '

	while read -r line; do
		case $line in
		CONFIG_*) name=${line%%=*} ;;
		'# CONFIG_'*' is not set') name=${line#\# } name=${name%% *} ;;
		*) continue ;;
		esac
		[[ $seen != *" $name "* ]] || continue
		seen+="$name "
		grep -qxF "$line" "$out/.config" && continue
		[ "$line" = "# $name is not set" ] &&
			! grep -q "^$name=" "$out/.config" && continue
		echo "error: $line is wanted, there is: $(grep -w "$name" "$out/.config" || echo nothing)"
		bad=1
	done < <(tac "$out/wanted.config")
	return "$bad"
}
