#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Tests of cuse_camera, with test_camera in its three builds, v4l2-ctl and
# v4l2-compliance; prints KTAP. Needs root, and the programs in PATH.

dev=video7
count=0
bad=0

result()	# STATUS NAME
{
	count=$((count + 1))
	if [ "$1" = 0 ]; then
		echo "ok $count camera.$2"
	else
		echo "not ok $count camera.$2"
		bad=$((bad + 1))
	fi
}

start()
{
	cuse_camera --name "$dev" "$@"
}

# It has to end when told to, and take its device along
stop()
{
	killall "$@" cuse_camera
	i=0
	while [ -e "/dev/$dev" ] || pidof cuse_camera >/dev/null; do
		i=$((i + 1))
		[ "$i" -lt 100 ] || return 1
		sleep 0.1
	done
}

# pass PROGRAM VARIANT: its lines, numbered on
pass()
{
	"$1" "/dev/$dev" "$2" >/tmp/test_camera.tap
	status=$?
	while read -r first rest; do
		case $first in
		ok) result 0 "${rest#*camera.}" ;;
		not) result 1 "${rest#*camera.}" ;;
		'#') echo "# $rest" ;;
		esac
	done </tmp/test_camera.tap
	# it may have died before it could say so
	n=$(grep -c '^\(not \)\?ok' /tmp/test_camera.tap)
	plan=$(sed -n 's/^1\.\.//p' /tmp/test_camera.tap)
	[ "$n" = "$plan" ] || result 1 "$2.ended_early_with_status_$status"
}

# stream COUNT FORMAT BYTES: what v4l2-ctl captures, without trust in its status
stream()
{
	rm -f /tmp/test_camera.raw
	v4l2-ctl -d "/dev/$dev" --stream-mmap --stream-count="$1" \
		-v "width=320,height=240,pixelformat=$2" \
		--stream-to=/tmp/test_camera.raw >/dev/null 2>&1
	[ "$(wc -c </tmp/test_camera.raw)" = $(($1 * 320 * 240 * $3)) ]
}

echo "TAP version 13"

start
result $? start
start 2>/dev/null
result $((! $?)) name_taken
[ -c "/dev/$dev" ]
result $? name_taken_harms_nobody
pass test_camera bound
pass test_camera32 bound32
pass test_camera32_time64 bound32_time64
stream 8 YUYV 2
result $? v4l2_ctl_yuyv
stream 8 RGB3 3
result $? v4l2_ctl_rgb
if command -v v4l2-compliance >/dev/null; then
	v4l2-compliance -d "/dev/$dev" -s5 >/tmp/test_camera.log 2>&1
	grep -q 'Succeeded: [0-9]*, Failed: 0,' /tmp/test_camera.log
	status=$?
	[ $status = 0 ] || sed -n 's/.*fail.*: /# /p' /tmp/test_camera.log
	result $status v4l2_compliance
else
	result 0 "v4l2_compliance # SKIP no v4l2-compliance"
fi
stop
result $? stop

start --no-bind --keep-all
pass test_camera asked
pass test_camera32 asked32
stop
result $? asked.stop

start --single --no-bind
pass test_camera single
stop
result $? single.stop

start --frames 5
stream 9 YUYV 2
[ "$(wc -c </tmp/test_camera.raw)" = $((5 * 320 * 240 * 2)) ]
result $? unplugged_after_frames
i=0
while pidof cuse_camera >/dev/null && [ $i -lt 50 ]; do
	i=$((i + 1))
	sleep 0.1
done
! pidof cuse_camera >/dev/null
result $? unplugged_ends

start
v4l2-ctl -d "/dev/$dev" --stream-mmap >/dev/null 2>&1 &
client=$!
sleep 2
kill -0 $client
result $? streams_on
stop -9
result $? killed
sleep 1
kill -9 $client 2>/dev/null
result $((! $?)) killed_client_ends

start
result $? starts_after_kill
stop
result $? stops_after_kill

echo "1..$count"
[ $bad = 0 ]
