/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-2-Clause) */
/*
 * FUSE buffers: memory that the clients and the server of a FUSE or CUSE
 * connection share.
 *
 * A buffer is zero-filled, kernel-owned memory, named by a 64-bit nodeid that
 * the server picks.  Buffer nodeids have %FUSE_BUFFER_NODEID set, so they never
 * collide with inode nodeids.  A buffer lives as long as something refers to
 * it: a client's mapping, an open buffer fd, a binding.
 *
 * Nothing here happens before the server asks for it by FUSE_DEV_IOC_ENABLE.
 *
 * All sizes, offsets and lengths are in bytes; where "aligned" is said, they
 * are multiples of the page size.
 */
#ifndef _LINUX_FUSE_BUFFER_H
#define _LINUX_FUSE_BUFFER_H

#include <linux/fuse.h>
#ifndef __KERNEL__
#include <sys/ioctl.h>
#endif

/* Set in the nodeid of every buffer, clear in the nodeid of every inode */
#define FUSE_BUFFER_NODEID	(1ULL << 63)

/* Opcodes; those of fuse.h end at 53, 4096 is CUSE_INIT */
#define FUSE_MMAP		4128
#define FUSE_MUNMAP		4129

/**
 * struct fuse_mmap_in - FUSE_MMAP: a client calls mmap(2)
 * @fh:		file handle, as the server returned it from OPEN
 * @addr:	where the mapping will be in the client, a hint for debugging
 * @len:	length of the mapping, aligned
 * @offset:	file offset given to mmap(2), aligned
 * @prot:	PROT_READ, PROT_WRITE, PROT_EXEC as given to mmap(2)
 * @flags:	MAP_SHARED or MAP_PRIVATE
 *
 * The client waits for the reply under its mmap lock and can be killed while
 * it waits.  Error replies go to the client as they are, but ENOSYS: mmap(2) is
 * then never asked for again and works as without FUSE_FEATURE_BUFFERS.
 */
struct fuse_mmap_in {
	uint64_t	fh;
	uint64_t	addr;
	uint64_t	len;
	uint64_t	offset;
	uint32_t	prot;
	uint32_t	flags;
};

/**
 * struct fuse_mmap_out - the reply to FUSE_MMAP
 * @nodeid:	the buffer to map, made now if there is none of that nodeid;
 *		0 (and all else 0): map as without FUSE_FEATURE_BUFFERS, which
 *		is ENODEV on CUSE
 * @offset:	where in the buffer this mapping starts, aligned
 * @size:	size of the buffer, aligned; 0: the buffer must exist
 * @flags:	must be 0
 * @padding:	must be 0
 *
 * A malformed reply (no FUSE_BUFFER_NODEID, bad alignment, a mapping that does
 * not fit into the buffer, a size unlike that of the existing buffer, a limit
 * exceeded, unknown flags) is EIO to the client, and a FUSE_MUNMAP to the
 * server, which believes that it mapped.
 */
struct fuse_mmap_out {
	uint64_t	nodeid;
	uint64_t	offset;
	uint64_t	size;
	uint32_t	flags;
	uint32_t	padding;
};

/**
 * struct fuse_munmap_in - FUSE_MUNMAP: a mapping is gone
 * @fh:		file handle of the FUSE_MMAP
 * @nodeid:	buffer, as replied to FUSE_MMAP
 * @offset:	start of the mapping in the buffer, as replied to FUSE_MMAP
 * @len:	length of the mapping, as in FUSE_MMAP
 *
 * Sent once for each FUSE_MMAP that was answered with a nodeid, when the last
 * piece of that mapping is gone from the last process that has it (fork, mremap
 * and partial munmap included).  It is queued before munmap(2) returns, and
 * before the RELEASE of the file.  Has no reply.
 */
struct fuse_munmap_in {
	uint64_t	fh;
	uint64_t	nodeid;
	uint64_t	offset;
	uint64_t	len;
};

/*
 * Features for FUSE_DEV_IOC_ENABLE
 *
 * FUSE_FEATURE_BUFFERS: buffers, FUSE_MMAP and FUSE_MUNMAP
 * FUSE_FEATURE_NONBLOCK: FUSE_IOCTL and FUSE_POLL tell whether the file has
 *	O_NONBLOCK: FUSE_IOCTL_NONBLOCK in fuse_ioctl_in.flags,
 *	FUSE_POLL_NONBLOCK in fuse_poll_in.flags
 * FUSE_FEATURE_RESTART: an ioctl that a signal interrupted and that the server
 *	answers with EINTR is restarted where the signal's disposition says so
 *	(SA_RESTART, stop and continue), instead of failing with EINTR always.
 *	The server must not have acted on a request which it so answers.
 */
#define FUSE_FEATURE_BUFFERS	(1ULL << 0)
#define FUSE_FEATURE_NONBLOCK	(1ULL << 1)
#define FUSE_FEATURE_RESTART	(1ULL << 2)

#define FUSE_IOCTL_NONBLOCK	(1U << 30)
#define FUSE_POLL_NONBLOCK	(1U << 30)

/**
 * struct fuse_enable - argument of FUSE_DEV_IOC_ENABLE
 * @features:	in: FUSE_FEATURE_* to switch on, in addition to those that are
 *		on; out: those that are on now
 * @supported:	out: all that this kernel knows; in: must be 0
 *
 * Features stay on as long as the connection lives.
 *
 * Errors: EOPNOTSUPP: a feature that this kernel does not know (@supported is
 * filled in, nothing is switched on); EINVAL: @supported is not 0; EPERM: the
 * device is not connected yet (before mount(2)); ENOTTY: a kernel without any
 * of this.
 */
struct fuse_enable {
	uint64_t	features;
	uint64_t	supported;
};

/**
 * struct fuse_buffer_open - argument of FUSE_DEV_IOC_BUFFER_OPEN
 * @nodeid:	the buffer, made now if there is none of that nodeid
 * @size:	its size, aligned; 0: the buffer must exist
 * @flags:	O_CLOEXEC or 0
 * @padding:	must be 0
 *
 * Returns a file descriptor for the buffer, open for reading and writing: for
 * mmap(2), pread(2), pwrite(2), splice(2).  It outlives the connection.  Size
 * and memory are charged as said at the sysctl fs.fuse.max_buffer_pages.
 *
 * Errors: EINVAL: no FUSE_BUFFER_NODEID, bad alignment, unknown flags; ENOENT:
 * @size is 0 and there is no such buffer; EEXIST: the buffer has another size;
 * EFBIG: larger than any buffer may be; ENOSPC: over the connection's limit;
 * ENOMEM: over RLIMIT_MEMLOCK, or no memory; ENOTCONN: the connection is dead;
 * EOPNOTSUPP: FUSE_FEATURE_BUFFERS is off; EMFILE, ENFILE.
 */
struct fuse_buffer_open {
	uint64_t	nodeid;
	uint64_t	size;
	uint32_t	flags;
	uint32_t	padding;
};

/**
 * struct fuse_buffer_bind - argument of FUSE_DEV_IOC_BUFFER_BIND
 * @ino:	nodeid of the file's inode, 0 on CUSE
 * @fh:		file handle, as the server returns it from OPEN
 * @start:	start of a range of the file, aligned
 * @len:	its length, aligned, not 0
 * @nodeid:	the buffer, made now if there is none of that nodeid
 * @offset:	where in the buffer the range starts, aligned
 * @size:	size of the buffer, aligned; 0: the buffer must exist
 * @flags:	must be 0
 * @padding:	must be 0
 *
 * From then on an mmap(2) that lies inside the range sends no FUSE_MMAP, and no
 * FUSE_MUNMAP later, and does not wait for the server.  The binding keeps the
 * buffer until FUSE_DEV_IOC_BUFFER_UNBIND, until a file of that @ino and @fh is
 * released, or until the connection ends.  Mappings stay.
 *
 * Errors: as FUSE_DEV_IOC_BUFFER_OPEN; EEXIST also: the range overlaps one that
 * is bound; EINVAL also: the range does not fit into the buffer.
 */
struct fuse_buffer_bind {
	uint64_t	ino;
	uint64_t	fh;
	uint64_t	start;
	uint64_t	len;
	uint64_t	nodeid;
	uint64_t	offset;
	uint64_t	size;
	uint32_t	flags;
	uint32_t	padding;
};

/**
 * struct fuse_buffer_unbind - argument of FUSE_DEV_IOC_BUFFER_UNBIND
 * @ino:	as in &struct fuse_buffer_bind
 * @fh:		as in &struct fuse_buffer_bind
 * @start:	start of a range of the file
 * @len:	its length, not 0
 *
 * Ends all bindings that lie wholly inside the range.
 *
 * Errors: ENOENT: there is none; EINVAL: @len is 0 or the range wraps.
 */
struct fuse_buffer_unbind {
	uint64_t	ino;
	uint64_t	fh;
	uint64_t	start;
	uint64_t	len;
};

/* Ioctls of /dev/fuse and /dev/cuse; those of fuse.h end at 3 */
#define FUSE_DEV_IOC_ENABLE	_IOWR(FUSE_DEV_IOC_MAGIC, 64, \
				      struct fuse_enable)
#define FUSE_DEV_IOC_BUFFER_OPEN	_IOW(FUSE_DEV_IOC_MAGIC, 65, \
					     struct fuse_buffer_open)
#define FUSE_DEV_IOC_BUFFER_BIND	_IOW(FUSE_DEV_IOC_MAGIC, 66, \
					     struct fuse_buffer_bind)
#define FUSE_DEV_IOC_BUFFER_UNBIND	_IOW(FUSE_DEV_IOC_MAGIC, 67, \
					     struct fuse_buffer_unbind)

#endif /* _LINUX_FUSE_BUFFER_H */
