#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Tests of cuse_dsp, with test_dsp in its two builds; prints KTAP. Needs root,
# and the programs in PATH.

count=0
bad=0

echo "TAP version 13"
cuse_dsp --name dsp7 || exit
for program in test_dsp test_dsp32; do
	$program /dev/dsp7 >/tmp/test_dsp.tap
	status=$?
	while read -r first rest; do
		case $first in
		ok) count=$((count + 1)) && echo "ok $count $program.${rest#*dsp.}" ;;
		not) count=$((count + 1)) bad=1 && echo "not ok $count $program.${rest#*dsp.}" ;;
		'#') echo "# $rest" ;;
		esac
	done </tmp/test_dsp.tap
	# it may have died before it could say so
	n=$(grep -c '^\(not \)\?ok' /tmp/test_dsp.tap)
	if [ "$n" != "$(sed -n 's/^1\.\.//p' /tmp/test_dsp.tap)" ]; then
		count=$((count + 1)) bad=1
		echo "not ok $count $program.ended_early_with_status_$status"
	fi
done
killall cuse_dsp

# It has to copy the page that was written to, and that once
cuse_dsp --name dsp8 --foreground 2>/tmp/test_dsp.log &
card=$!
i=0
while [ ! -e /dev/dsp8 ] && [ $i -lt 100 ]; do
	i=$((i + 1))
	sleep 0.1
done
test_dsp --silence /dev/dsp8 | sed 's/^/# /'
kill $card
wait $card
count=$((count + 1))
if grep -q ': 4096 bytes were copied' /tmp/test_dsp.log; then
	echo "ok $count test_dsp.copies_what_was_written"
else
	sed 's/^/# /' /tmp/test_dsp.log
	bad=1
	echo "not ok $count test_dsp.copies_what_was_written"
fi
echo "1..$count"
exit $bad
