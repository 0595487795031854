#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Tests of cuse.ko beside a kernel with a fuse of its own, which is built in:
# what it takes over, gives back and refuses. Prints KTAP. Needs root, and in the
# directory of this file ktap.sh, cuse.ko, other.ko (cuse.ko for another kernel)
# and holder.ko. On a kernel that was booted with initcall_blacklist=fuse_init, the
# names are free: what then holds.
# shellcheck disable=SC2317

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=samples/ktap.sh
. "$here/ktap.sh"
dir=/tmp/module
mkdir -p $dir

# try NAME COMMAND...
try()
{
	name=$1
	shift
	"$@"
	result $? "$name"
}

not()
{
	! "$@" 2>/dev/null
}

refcount()
{
	cat /sys/module/cuse/refcnt
}

# owns DEVICE: while it is open, cuse.ko cannot go
owns()
{
	before=$(refcount)
	(
		exec 9<>"$1" || exit 1
		[ "$(refcount)" -gt "$before" ]
	)
}

loaded()
{
	[ -d /sys/module/cuse ]
}

# said TEXT: the kernel, since the last mark
mark()
{
	dmesg -c >/dev/null
}

said()
{
	dmesg | grep -q "$1"
}

# mounts: fuse can be mounted; needs a server, a process of which answers nothing
mounts()
{
	# The shell would make a file
	[ -c /dev/fuse ] || return 1
	(
		exec 9<>/dev/fuse || exit 1
		mount -i -t fuse -o fd=9,rootmode=40000,user_id=0,group_id=0 test "$dir" || exit 1
		umount -l "$dir"
	)
}

# as_before: /dev/fuse and mount -t fuse are of the kernel's own fuse
as_before()
{
	! loaded && [ -c /dev/fuse ] && [ -d /sys/fs/fuse/connections ] &&
		[ ! -e /sys/fs/fuse_mmap ] && [ ! -e /proc/sys/fs/fuse_mmap ] && mounts &&
		[ "$(grep -c 'fuse' /proc/filesystems)" = 3 ]
}

# refused TEXT MODULE OPTION...: and the kernel says why
refused()
{
	text=$1
	shift
	mark
	not insmod "$@" || return 1
	said "$text" || { dmesg | tail -n 3; return 1; }
}

without_builtin()
{
	try names_are_free not mounts
	try load_alone insmod "$here/cuse.ko"
	try load_alone_has_no_fuse not mounts
	try unload rmmod cuse
	try load insmod "$here/cuse.ko" fuse=1
	try has_fuse mounts
	try owns_fuse owns /dev/fuse
	try sysctls_of_fuse [ -e /proc/sys/fs/fuse/max_pages_limit ]
	try connections_of_fuse [ -d /sys/fs/fuse/connections ]
	try no_second_names [ ! -e /sys/fs/fuse_mmap ]
	try unload_again rmmod cuse
	try gone not mounts
	try sysctls_are_gone [ ! -e /proc/sys/fs/fuse/max_pages_limit ]
}

beside_builtin()
{
	try before as_before

	# As it is: /dev/cuse, and nothing else
	try load_alone insmod "$here/cuse.ko"
	try alone_has_cuse owns /dev/cuse
	try alone_leaves_fuse not owns /dev/fuse
	try alone_mounts mounts
	try load_twice not insmod "$here/cuse.ko"
	try load_twice_with_fuse not insmod "$here/cuse.ko" fuse=1
	try twice_changed_nothing not owns /dev/fuse
	exec 8<>/dev/cuse
	try unload_in_use not rmmod cuse
	exec 8<&-
	try unload rmmod cuse
	try as_before_alone as_before

	# With fuse=1
	exec 7<>/dev/fuse
	mkdir -p $dir/old
	mount -i -t fuse -o fd=7,rootmode=40000,user_id=0,group_id=0 old $dir/old
	try load insmod "$here/cuse.ko" fuse=1
	try has_fuse owns /dev/fuse
	try has_cuse owns /dev/cuse
	try sysctls_beside [ -e /proc/sys/fs/fuse_mmap/max_pages_limit ]
	try connections_beside [ -d /sys/fs/fuse_mmap/connections ]
	try old_mount_stays grep -q "$dir/old fuse" /proc/mounts
	n=$(refcount)
	umount -l $dir/old
	exec 7<&-
	try old_mount_was_not_ours [ "$(refcount)" = "$n" ]
	exec 7<>/dev/fuse
	mount -i -t fuse -o fd=7,rootmode=40000,user_id=0,group_id=0 new $dir/old
	try unload_while_mounted not rmmod cuse
	umount $dir/old
	try unload_while_open not rmmod cuse
	exec 7<&-
	try unload_fuse rmmod cuse
	try as_before_fuse as_before
	i=0
	while [ $i -lt 20 ] && insmod "$here/cuse.ko" fuse=1 && rmmod cuse; do
		i=$((i + 1))
	done
	try again_and_again [ $i = 20 ]
	try as_before_again as_before

	# Refused
	try wrong_kernel refused 'version magic' "$here/other.ko"
	try wrong_parameter not insmod "$here/cuse.ko" fuse=maybe
	try as_before_wrong as_before
	insmod "$here/holder.ko" minor=203
	try cuse_held refused '/dev/cuse is somebody else' "$here/cuse.ko"
	try cuse_held_fuse refused '/dev/cuse is somebody else' "$here/cuse.ko" fuse=1
	rmmod holder
	try as_before_held as_before
	# While it is loaded, a name cannot be taken from it
	insmod "$here/cuse.ko" fuse=1
	try name_is_ours not insmod "$here/holder.ko" fs=fuse
	try minor_is_ours not insmod "$here/holder.ko" minor=229
	rmmod cuse
	try as_before_ours as_before
}

# while_in_use TIMES COMMAND...: so often, while others open and mount
while_in_use()
{
	"$here/use" open &
	user=$!
	n=$1
	shift
	while [ "$n" -gt 0 ]; do
		n=$((n - 1))
		"$@" 2>/dev/null
	done
	kill "$user"
	wait "$user"
}

load_and_unload()
{
	insmod "$here/cuse.ko" fuse=1 && unloaded
}

# unloaded: in the end, whoever uses it now
unloaded()
{
	tries=0
	until rmmod cuse 2>/dev/null; do
		loaded || break
		tries=$((tries + 1))
		[ "$tries" -lt 1000 ] || return 1
	done
}

rounds()
{
	round=0
	while [ "$round" -lt "$1" ]; do
		round=$((round + 1))
		"$2" || return 1
	done
}

ring()
{
	insmod "$here/cuse.ko" fuse=1 enable_uring=1 && "$here/use" ring && unloaded &&
		sleep 0.2
}

# What refers to the module only for a moment, or only seems not to
references()
{
	insmod "$here/cuse.ko"
	mkfifo $dir/wait
	"$here/use" opath <$dir/wait &
	user=$!
	exec 6>$dir/wait
	sleep 1
	try unload_beside_inode rmmod cuse
	exec 6>&-
	try inode_outlives_module wait $user
	try load_again insmod "$here/cuse.ko"
	rmmod cuse

	# A load that fails late, and users who are quick
	insmod "$here/holder.ko" minor=203
	try in_use_and_refused while_in_use 12 insmod "$here/cuse.ko" fuse=1
	rmmod holder
	try as_before_in_use as_before
	try in_use_and_loaded while_in_use 1 insmod "$here/cuse.ko" fuse=1
	try in_use_unload unloaded
	try as_before_loaded as_before

	try parameter_at_load insmod "$here/cuse.ko" fuse=1 inval_wq=5
	try parameter_is_set [ "$(cat /sys/module/cuse/parameters/inval_wq)" = 5 ]
	rmmod cuse
	"$here/use" write /sys/module/cuse/parameters/inval_wq 5 5 &
	user=$!
	try parameter_while_loading rounds 20 load_and_unload
	try parameter_writer wait $user
	# works that outlive a connection
	[ "$(grep -c processor /proc/cpuinfo)" != 1 ] || try ring_at_the_end rounds 10 ring
	# timers of a module that has gone would have run by now
	sleep 6
	try as_before_references as_before
}

held_by_a_module()
{
	insmod "$here/holder.ko" fs=fuse
	try fs_held refused 'of the module holder' "$here/cuse.ko" fuse=1
	try fs_held_alone insmod "$here/cuse.ko"
	rmmod cuse
	rmmod holder
	insmod "$here/holder.ko" fs=fusectl
	try last_fs_held refused 'of the module holder' "$here/cuse.ko" fuse=1
	# It may have to stay, for whoever was quick
	try last_fs_held_in_use while_in_use 12 insmod "$here/cuse.ko" fuse=1
	try last_fs_held_leaves_nothing not [ -e /dev/fuse -o -e /dev/cuse ]
	rmmod holder
	try last_fs_held_unload unloaded
	insmod "$here/holder.ko" minor=229
	try fuse_minor_held refused 'is not of a built-in fuse' "$here/cuse.ko" fuse=1
	rmmod holder
	try load_after_all insmod "$here/cuse.ko" fuse=1
	try has_fuse_after_all owns /dev/fuse
	rmmod cuse
}

rmmod cuse 2>/dev/null
# It is of the fuse that is there before
umount /sys/fs/fuse/connections 2>/dev/null && mounted=1
if grep -q initcall_blacklist /proc/cmdline; then
	suite=module_without_fuse
	without_builtin
	held_by_a_module
else
	# shellcheck disable=SC2034
	suite=module_beside_fuse
	beside_builtin
	references
fi
[ -z "$mounted" ] || mount -t fusectl fusectl /sys/fs/fuse/connections
end
