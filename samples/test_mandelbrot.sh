#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Tests of cuse_mandelbrot: memory that is filled when it is touched, larger
# than what there is; prints KTAP. Needs root, and the programs in PATH.

device=/dev/mandelbrot7
. "$(dirname "$0")/ktap.sh"

# present: how many pages are in memory; size and mappings must be as expected
present()
{
	read -r _ size present mappings </sys/class/cuse/mandelbrot7/buffers
	[ "$size $mappings" = "68719476736 $1" ] && echo "$present"
}

cuse_mandelbrot --name mandelbrot7 --pages 40 || exit
[ "$(present 0)" = 0 ]
result $? begins_empty
# more than the 40 pages, so that some are dropped
mandelbrot_cut $device 131500 142500 600 400
result $? middle
mandelbrot_cut $device 261900 261900 244 244
result $? last_corner
n=$(present 0) && [ "$n" -gt 30 ] && [ "$n" -le 40 ]
result $? bounded
# what was dropped comes again
mandelbrot_cut $device 131500 142500 600 400
result $? again
mandelbrot_cut $device 0 100000 500 100 &
one=$!
mandelbrot_cut $device 200 100050 500 100 &
two=$!
mandelbrot_cut $device 3000 100050 300 300
three=$?
wait $one && wait $two && [ $three = 0 ]
result $? three_clients
n=$(present 0) && [ "$n" -gt 30 ] && [ "$n" -le 40 ]
result $? bounded_with_clients
# shellcheck disable=SC2188
! (: >$device) 2>/dev/null
result $? no_writing
killall cuse_mandelbrot
until_not [ -e $device ]
result $? server_ends
end
