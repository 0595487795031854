#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Tests of cuse_dsp, with test_dsp in its two builds; prints KTAP. Needs root,
# and the programs in PATH.

. "$(dirname "$0")/ktap.sh"

cuse_dsp --name dsp7 || exit
for program in test_dsp test_dsp32; do
	pass "$program." "$program" /dev/dsp7
done
killall cuse_dsp

# It has to copy the page that was written to, and that once
cuse_dsp --name dsp8 --foreground 2>/tmp/test_dsp.log &
card=$!
until_not [ ! -e /dev/dsp8 ]
test_dsp --silence /dev/dsp8 | sed 's/^/# /'
kill $card
wait $card
grep -q ': 4096 bytes were copied' /tmp/test_dsp.log
status=$?
[ $status = 0 ] || sed 's/^/# /' /tmp/test_dsp.log
result $status copies_what_was_written
end
