#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Tests of cuse_camera, with test_camera in its three builds, v4l2-ctl and
# v4l2-compliance; prints KTAP. Needs root, and the programs in PATH.

dev=video7
. "$(dirname "$0")/ktap.sh"

start()
{
	cuse_camera --name "$dev" --fps 200 "$@"
}

# It has to end when told to, and take its device along
stop()
{
	killall "$@" cuse_camera
	until_not [ -e "/dev/$dev" ] && until_not pidof cuse_camera
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

start
result $? start
start 2>/dev/null
result $((! $?)) name_taken
[ -c "/dev/$dev" ]
result $? name_taken_harms_nobody
pass "" test_camera "/dev/$dev" bound
pass "" test_camera32 "/dev/$dev" bound32
pass "" test_camera32_time64 "/dev/$dev" bound32_time64
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
pass "" test_camera "/dev/$dev" asked
pass "" test_camera32 "/dev/$dev" asked32
stop
result $? asked.stop

start --single --no-bind
pass "" test_camera "/dev/$dev" single
stop
result $? single.stop

start --frames 5
stream 9 YUYV 2
[ "$(wc -c </tmp/test_camera.raw)" = $((5 * 320 * 240 * 2)) ]
result $? unplugged_after_frames
until_not pidof cuse_camera
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

end
