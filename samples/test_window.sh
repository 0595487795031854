#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Tests of window_passthrough: ordinary programs on files that go through a
# window; prints KTAP. Needs root, and the programs in PATH.

. "$(dirname "$0")/ktap.sh"

dir=/tmp/test_window
src=$dir/source
mnt=$dir/mount

# start OPTION...: with its counts in $dir/counts
start()
{
	window_passthrough -f "$@" $src $mnt >$dir/counts &
	server=$!
	i=0
	while ! grep -q " $mnt fuse" /proc/mounts && [ $i -lt 100 ]; do
		i=$((i + 1))
		sleep 0.1
	done
}

# stop: $setups, $upgrades, $removals, $reads, $writes are then known
stop()
{
	umount $mnt
	wait $server || return
	read -r _ setups _ upgrades _ removals _ reads _ writes <$dir/counts
}

# noise KIB: that many that do not repeat
noise()
{
	dd if=/dev/urandom bs=1024 count="$1" 2>/dev/null
}

# random_operations NAME MIB BYTES: on a file of up to so many, and a window
random_operations()
{
	start --size "$2" --range 64
	window_fsx $mnt/random $src/random $dir/plain "$3" 3
	result $? "random_operations.$1"
	rm $mnt/random
	stop
}

mkdir -p $src $mnt
noise 3000 >$src/big
cp $src/big $dir/copy

# as one would mount it
window_passthrough $src $mnt 2>$dir/error
started=$?
if grep -s 'without the window' $dir/error; then
	echo "1..0 # SKIP kernel without the window"
	exit 0
fi
[ $started = 0 ] && cmp $dir/copy $mnt/big && umount $mnt
result $? daemon

# a window that is larger than all
start --size 8 --range 64
cmp $dir/copy $mnt/big && cmp $dir/copy $mnt/big
result $? read
printf 'hello' | dd of=$mnt/big bs=1 seek=100000 conv=notrunc 2>/dev/null &&
	printf 'hello' | dd of=$dir/copy bs=1 seek=100000 conv=notrunc 2>/dev/null &&
	cmp $dir/copy $mnt/big
result $? write
cp $mnt/big $mnt/copied && cmp $dir/copy $mnt/copied
result $? copy
mkdir $mnt/d && echo one >$mnt/d/f && echo two >>$mnt/d/f &&
	mv $mnt/d/f $mnt/d/g && ln -s g $mnt/d/l && ln $mnt/d/g $mnt/d/h &&
	[ "$(cat $mnt/d/l)" = "one
two" ] && rm $mnt/d/h && [ "$(cd $src/d && echo ./*)" = "./g ./l" ]
result $? names
stop
[ "$setups" -ge 47 ] && [ "$upgrades" -ge 1 ] && [ "$reads" = 0 ] && [ "$writes" -ge 1 ]
result $? counts
cmp $dir/copy $src/big && cmp $dir/copy $src/copied
result $? written_back_at_umount

# one that is a tenth of it
start --size 1 --range 64
cmp $dir/copy $mnt/big
result $? read_by_a_small_window
i=0
while [ $i -lt 40 ]; do
	at=$((i * 75011 % 3000000))
	printf "%d" $i | dd of=$mnt/big bs=1 seek=$at conv=notrunc 2>/dev/null
	printf "%d" $i | dd of=$dir/copy bs=1 seek=$at conv=notrunc 2>/dev/null
	i=$((i + 1))
done
cmp $dir/copy $mnt/big
result $? write_by_a_small_window
truncate -s 1000001 $mnt/big && truncate -s 1000001 $dir/copy &&
	cmp $dir/copy $mnt/big &&
	truncate -s 2000000 $mnt/big && truncate -s 2000000 $dir/copy &&
	cmp $dir/copy $mnt/big
result $? truncate
# the time of a store is known as soon as somebody asks
touch -d @1000000000 $mnt/d/g && printf x | dd of=$mnt/d/g bs=1 conv=notrunc \
	2>/dev/null && [ "$(stat -c %Y $mnt/d/g)" -gt 1000000000 ]
result $? mtime
stop
[ "$removals" -ge 1 ] && cmp $dir/copy $src/big
result $? written_back

random_operations window_of_ten_times 10 1000000
random_operations window_of_once 10 10485760
random_operations window_of_a_tenth 1 10485760

umount $mnt 2>/dev/null
rm -r $dir
end
