# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# Sourced by test_SUITE.sh: KTAP of a script, and of programs that it runs,
# numbered on.

suite=${0##*/test_}
suite=${suite%.sh}
count=0
bad=0
echo "TAP version 13"

result()	# STATUS NAME
{
	count=$((count + 1))
	if [ "$1" = 0 ]; then
		echo "ok $count $suite.$2"
	else
		echo "not ok $count $suite.$2"
		bad=1
	fi
}

# pass PREFIX PROGRAM ARGUMENT...: its lines, the names after "suite." behind PREFIX
pass()
{
	prefix=$1
	shift
	"$@" >/tmp/ktap
	status=$?
	while read -r first rest; do
		case $first in
		ok) result 0 "$prefix${rest#*"$suite".}" ;;
		not) result 1 "$prefix${rest#*"$suite".}" ;;
		'#') echo "# $rest" ;;
		esac
	done </tmp/ktap
	# it may have died before it could say so
	n=$(grep -c '^\(not \)\?ok' /tmp/ktap)
	[ "$n" = "$(sed -n 's/^1\.\.//p' /tmp/ktap)" ] ||
		result 1 "$prefix$1.ended_early_with_status_$status"
}

# until_not COMMAND...: wait ten seconds for it to fail
until_not()
{
	i=0
	while "$@" >/dev/null; do
		i=$((i + 1))
		[ "$i" -lt 100 ] || return 1
		sleep 0.1
	done
}

end()
{
	echo "1..$count"
	exit "$bad"
}
