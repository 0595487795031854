# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2034
# Sourced by the other scripts: paths, messages, long steps with progress.

set -euo pipefail
export LC_ALL=C
umask 022

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=$TOP/build
SERIES=$TOP/patches/7.3
LINUX_PACKAGE=linux-source-7.3
JOBS=${JOBS:-$(nproc)}

say()
{
	echo "== $*" >&2
}

die()
{
	echo "error: $*" >&2
	exit 1
}

# need_space MIB: there must be room for what comes next
need_space()
{
	local free

	mkdir -p "$BUILD"
	free=$(df -Pm "$BUILD" | awk 'NR == 2 { print $4 }')
	[ "$free" -ge "$1" ] ||
		die "$BUILD has $free MiB free and $1 MiB are needed: make room there, or put a link to a larger disk in its place"
}

# as_root COMMAND...
as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "this needs root, and there is no sudo: $*"
	fi
}

# lock WHAT: only one at a time makes WHAT; held until this script and what it
# started end
lock()
{
	mkdir -p "$BUILD/locks"
	exec 9>>"$BUILD/locks/$1"
	flock -n 9 && return
	say "$1 is being made already; waiting for that"
	flock 9
}

# file_hash PATH...: one hash over names and contents of all files below
file_hash()
{
	{ find "$@" -type f -print0 2>/dev/null || :; } | sort -z |
		xargs -0r sha256sum | sed "s|$TOP/||" | sha256sum | cut -d' ' -f1
}

# watch_log LOG WHAT PATTERN TOTAL: tell how many lines match, until killed
watch_log()
{
	local start=$SECONDS pause=30 last='' n text

	[ ! -t 2 ] || pause=1
	while sleep "$pause" && kill -0 $$ 2>/dev/null; do
		n=$(grep -c -- "$3" "$1" || :)
		text="$2: $n"
		[ "$4" = 0 ] || text+=" of about $4"
		text+=", $(((SECONDS - start) / 60)) min $(((SECONDS - start) % 60)) s"
		if [ -t 2 ]; then
			printf '\r   %s\033[K' "$text" >&2
		elif [ "$n" != "$last" ]; then
			echo "   $text" >&2
		fi
		last=$n
	done
}

# attempt NAME PATTERN TOTAL CMD...: run CMD with its output in
# build/log/NAME.log, and return its status; progress is the number of lines
# that match PATTERN
attempt()
{
	local name=$1 pattern=$2 total=$3 log=$BUILD/log/$1.log status=0 watcher

	shift 3
	mkdir -p "$BUILD/log"
	: >"$log"
	watch_log "$log" "$name" "$pattern" "$total" 9>&- &
	watcher=$!
	("$@") >"$log" 2>&1 </dev/null || status=$?
	kill "$watcher" 2>/dev/null || :
	wait "$watcher" 2>/dev/null || :
	[ ! -t 2 ] || printf '\r\033[K' >&2
	return "$status"
}

# logged NAME PATTERN TOTAL CMD...: the same, and end here if CMD fails
logged()
{
	local name=$1 log=$BUILD/log/$1.log

	attempt "$@" && return
	grep -E -B2 -A8 'error|Error|\*\*\*|undefined reference|No space' "$log" |
		tail -n 40 >&2 || tail -n 20 "$log" >&2
	die "$name failed; the whole log is $log"
}

# begin_steps N: this script has N steps; each begins with: step WHAT. If it ends
# before end_steps, the last line says in which. Steps of scripts that a step runs
# are only said: number and times are those of the outermost script.
begin_steps()
{
	[ -z "${STEPS:-}" ] || return 0
	export STEPS=$BASHPID
	step_count=$1 step=0 step_start=$SECONDS step_what='' step_times=''
	trap 'step_failed $?' EXIT
}

minutes()
{
	echo "$(($1 / 60)) min $(($1 % 60)) s"
}

step_ended()
{
	[ "$step" = 0 ] || step_times+=$(printf '%6d s  %s' $((SECONDS - step_start)) "$step_what")$'\n'
	step_start=$SECONDS
}

step()
{
	[ "${STEPS:-}" = "$BASHPID" ] || { say "$*"; return; }
	step_ended
	step=$((step + 1)) step_what=$*
	say "step $step of $step_count: $step_what (so far $(minutes "$SECONDS"))"
}

step_failed()
{
	[ "$step" = 0 ] ||
		echo "error: failed with status $1 at step $step of $step_count: $step_what (after $(minutes $((SECONDS - step_start))) of $(minutes "$SECONDS"))" >&2
}

# end_steps: where the time went
end_steps()
{
	[ "${STEPS:-}" = "$BASHPID" ] || return 0
	trap - EXIT
	step_ended
	say "where the time went"
	printf '%s%6d s  all of it\n' "$step_times" "$SECONDS" >&2
}
