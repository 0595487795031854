# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Sourced after lib.sh by what works on the patches.
#
# A patch is a mail as git format-patch writes it, with hunks for files that
# the kernel has. Its trailer "Brings: NAME..." names the whole files of this
# repository that it adds; they are copied to their place in the kernel, and
# the trailer is left out of the commit. A name may be a pattern, which stands
# for all files that no other patch names, by their name or by a longer pattern.

homes=(fs-fuse include-uapi selftests Documentation)

# Where a whole file of this repository goes in the kernel
destination()
{
	case $1 in
	fs-fuse/*) echo "fs/fuse/${1#*/}" ;;
	include-uapi/*) echo "include/uapi/${1#*/}" ;;
	selftests/*) echo "tools/testing/selftests/filesystems/fuse/${1#*/}" ;;
	Documentation/*) echo "Documentation/filesystems/fuse/${1#*/}" ;;
	*) return 1 ;;
	esac
}

# The other way round
home()
{
	case $1 in
	fs/fuse/*) echo "fs-fuse/${1#fs/fuse/}" ;;
	include/uapi/*) echo "include-uapi/${1#include/uapi/}" ;;
	tools/testing/selftests/filesystems/fuse/*) echo "selftests/${1#tools/testing/selftests/filesystems/fuse/}" ;;
	Documentation/filesystems/fuse/*) echo "Documentation/${1#Documentation/filesystems/fuse/}" ;;
	*) return 1 ;;
	esac
}

whole_files()
{
	(cd "$TOP" && find "${homes[@]}" -type f 2>/dev/null) | sort
}

# longest_pattern FILE PATTERN...: the longest that matches FILE
longest_pattern()
{
	local file=$1 pattern best=''

	shift
	for pattern; do
		# shellcheck disable=SC2053
		if [[ $file == $pattern && ${#pattern} -gt ${#best} ]]; then
			best=$pattern
		fi
	done
	echo "$best"
}

is_pattern()
{
	[[ $1 == *[*?[]* ]]
}

# read_series DIR: split each mail into DIR/N.msg, N.diff, N.info, N.brings
# (source TAB destination), and collect the kernel files that all of them touch
# in touched, the mails' names in names, what they bring in brings (name in
# Brings TAB N). DIR is $work from then on.
read_series()
{
	local mail n=0 file name word
	local -A owner=() used=()
	local patterns=()

	work=$1
	rm -rf "$work"
	mkdir -p "$work"
	: >"$work/names"
	: >"$work/brings"
	for mail in "$SERIES"/[0-9]*.patch; do
		[ -f "$mail" ] || continue
		n=$((n + 1))
		basename "$mail" >>"$work/names"
		(cd "$work" && git mailinfo --encoding=UTF-8 "$n.msg.all" "$n.diff") \
			<"$mail" >"$work/$n.info" ||
			die "${mail##*/} is not a mail as git format-patch writes it"
		sed -i '/^-- $/,$d' "$work/$n.msg.all"
		grep -v '^Brings:' "$work/$n.msg.all" >"$work/$n.msg" || :
		: >"$work/$n.brings"
		while read -r word; do
			[ -n "$word" ] || continue
			destination "$word" >/dev/null ||
				die "${mail##*/} brings $word, which has no place in the kernel"
			[ -z "${owner[$word]:-}" ] ||
				die "${mail##*/} brings $word, as $(patch_name "${owner[$word]}") does"
			owner[$word]=$n
			printf '%s\t%s\n' "$word" "$n" >>"$work/brings"
			if is_pattern "$word"; then
				patterns+=("$word")
			elif [ ! -f "$TOP/$word" ]; then
				die "${mail##*/} brings $word, which is not there"
			fi
		done < <(sed -n 's/^Brings://p' "$work/$n.msg.all" | tr -s ' ' '\n')
	done

	while read -r file; do
		name=$file
		[ -n "${owner[$file]:-}" ] || name=$(longest_pattern "$file" "${patterns[@]}")
		if [ -z "$name" ]; then
			echo "warning: no patch brings $file" >&2
			continue
		fi
		used[$name]=1
		printf '%s\t%s\n' "$file" "$(destination "$file")" >>"$work/${owner[$name]}.brings"
	done < <(whole_files)
	for word in "${patterns[@]}"; do
		[ -n "${used[$word]:-}" ] ||
			die "$(patch_name "${owner[$word]}") brings $word, and no file is left for that"
	done

	for ((n = 1; n <= $(patch_count); n++)); do
		cut -f2 "$work/$n.brings"
		! grep -q '^diff ' "$work/$n.diff" ||
			git apply --numstat "$work/$n.diff" | cut -f3 ||
			die "$(patch_name "$n") is not a patch that git can read"
	done | sort -u >"$work/touched"
}

patch_count()
{
	wc -l <"$work/names"
}

patch_name()
{
	sed -n "${1}p" "$work/names"
}

# git_tree DIR: the top of the git tree DIR, if commits can be made there
git_tree()
{
	local dir=$1

	[ -n "$dir" ] || die "name the git tree of a kernel: TREE=dir"
	dir=$(git -C "$dir" rev-parse --show-toplevel 2>/dev/null) ||
		die "$1 is not a git tree: name one with TREE=dir"
	[ -d "$dir/fs/fuse" ] || die "$dir is not a kernel tree: name one with TREE=dir"
	[ -z "$(git -C "$dir" status --porcelain --untracked-files=no)" ] ||
		die "$dir has changes that are not committed: commit or stash them first"
	echo "$dir"
}

# base_git DIR [FILE...]: a git tree of just those files of build/linux-base
# that the series touches, after read_series, and FILEs
base_git()
{
	local dir=$1 file

	shift
	rm -rf "$dir"
	# What compose --git takes for a kernel tree
	mkdir -p "$dir/fs/fuse"
	{ cat "$work/touched"; printf '%s\n' "$@"; } | sort -u | while read -r file; do
		[ ! -f "$BUILD/linux-base/$file" ] || echo "$file"
	done | rsync -a --files-from=- "$BUILD/linux-base/" "$dir/"
	git -C "$dir" init -q
	git -C "$dir" config user.name fuse-mmap
	git -C "$dir" config user.email fuse-mmap@localhost
	git -C "$dir" add -Af
	git -C "$dir" commit -q --allow-empty -m "$(<"$BUILD/linux-base.id")"
}
