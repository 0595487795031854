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
			git -C "$TOP" apply --numstat "$work/$n.diff" | cut -f3 ||
			die "$(patch_name "$n") is not a patch that git can read"
	done | sort -u >"$work/touched"
}

# targets: of files of the kernel, the names in standard input, what make is asked to
# compile: single files, but all of fs/fuse, whose headers the series changes
targets()
{
	sed -n '/^tools\//d; s|^fs/fuse/.*|fs/fuse/|; s|\.c$|.o|; /[o/]$/p' | sort -u
}

patch_count()
{
	wc -l <"$work/names"
}

patch_name()
{
	sed -n "${1}p" "$work/names"
}

# linux_version TREE: as its Makefile has it
linux_version()
{
	sed -nE '1,9s/^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION) = *//p' "$1/Makefile" 2>/dev/null |
		paste -sd. | sed 's/\.0\.-/-/; s/\.-/-/; s/\.$//; s/^$/of an unknown version/'
}

# git_apply N DIR [git apply options]: the hunks. They may be at other lines, but
# their context must be there: else $reason says where not, on $onto.
git_apply()
{
	local n=$1 dir=$2 why

	shift 2
	grep -q '^diff ' "$work/$n.diff" || return 0
	why=$(GIT_CEILING_DIRECTORIES=${dir%/*} git -C "$dir" apply "$@" "$work/$n.diff" 2>&1) || {
		why=${why%%$'\n'*}
		reason="$(patch_name "$n") does not apply to $onto: ${why#error: }"
		return 1
	}
}

# apply_patch N DIR: hunks, then whole files
apply_patch()
{
	local n=$1 dir=$2 file dest

	git_apply "$n" "$dir" || return
	while IFS=$'\t' read -r file dest; do
		mkdir -p "$dir/${dest%/*}"
		cp "$TOP/$file" "$dir/$dest"
	done <"$work/$n.brings"
}

# put FROM TO: replace TO by FROM at once, but only where they differ
put()
{
	cmp -s "$1" "$2" && return
	mkdir -p "${2%/*}"
	cp "$1" "$2.compose"
	mv "$2.compose" "$2"
}

# stage_series STAGE N [BASE]: those files of the base that the series touches,
# with the first N patches
stage_series()
{
	local stage=$1 base=${3:-$BUILD/linux-base} file n onto

	rm -rf "$stage"
	mkdir -p "$stage"
	while read -r file; do
		[ -f "$base/$file" ] || continue
		mkdir -p "$(dirname "$stage/$file")"
		cp "$base/$file" "$stage/$file"
	done <"$work/touched"
	onto="Linux $(linux_version "$base")"
	for ((n = 1; n <= $2; n++)); do
		apply_patch "$n" "$stage" ||
			die "$reason; LINUX= takes another 7.3.x (scripts/fetch-linux)"
	done
}

# put_series STAGE TREE TOUCHED: TREE, a copy of the base, gets the files of
# STAGE; the file TOUCHED has the names of those that were put there before
put_series()
{
	local stage=$1 tree=$2 touched=$3 base=$BUILD/linux-base file

	# An interruption from here on must not forget what was touched
	sort -u "$work/touched" "$touched" -o "$touched"
	while read -r file; do
		if [ -f "$stage/$file" ]; then
			put "$stage/$file" "$tree/$file"
		elif [ -f "$base/$file" ] && ! grep -qxF "$file" "$work/touched"; then
			put "$base/$file" "$tree/$file"
		else
			rm -f "$tree/$file"
		fi
	done <"$touched"
	cp "$work/touched" "$touched"
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
	# Makefile: which Linux it is
	{ cat "$work/touched"; printf '%s\n' Makefile "$@"; } | sort -u | while read -r file; do
		[ ! -f "$BUILD/linux-base/$file" ] || echo "$file"
	done | rsync -a --files-from=- "$BUILD/linux-base/" "$dir/"
	git -C "$dir" init -q
	git -C "$dir" config user.name fuse-mmap
	git -C "$dir" config user.email fuse-mmap@localhost
	git -C "$dir" add -Af
	git -C "$dir" commit -q --allow-empty -m "$(<"$BUILD/linux-base.id")"
}
