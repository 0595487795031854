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

/*
 * Flags of a buffer, given where it is made
 *
 * FUSE_BUFFER_DEMAND: the server fills the pages.  A client that touches a page
 *	that is not there waits for the reply to a FUSE_READ with the buffer's
 *	nodeid (fh is 0), or for a STORE.  A short reply leaves the rest of its
 *	last page zeros; pages after that are asked for again when touched; an
 *	empty reply gives one page of zeros.  An error is SIGBUS to the client.
 *	INVAL_INODE drops pages, and replies to FUSE_READs that are under way.
 *	The server's own access to a page that is not there does not ask: SIGBUS,
 *	ENODATA, zeros in a RETRIEVE; a write or STORE makes the page, zeros
 *	around what is written.  Pages count against the limits while they are
 *	present, the size does not.
 */
#define FUSE_BUFFER_DEMAND	(1U << 0)

/*
 * FUSE_BUFFER_LOG: what clients write through their mappings is logged, for
 *	FUSE_BUFFER_IOC_DIRTY and FUSE_RETRIEVE_DIRTY.  Long-term pins of such
 *	mappings for writing fail, as those of a file system with writeback do.
 */
#define FUSE_BUFFER_LOG		(1U << 1)

#define FUSE_BUFFER_FLAGS	(FUSE_BUFFER_DEMAND | FUSE_BUFFER_LOG)

/*
 * In fuse_notify_retrieve_out.padding, for a buffer with FUSE_BUFFER_LOG:
 * retrieve the first pages in the range that clients have written to since they
 * were last retrieved like this.  The reply says where they are and how much it
 * is: whole pages, as many as follow each other and fit; size 0 if there are
 * none, then offset is that of the request.
 */
#define FUSE_RETRIEVE_DIRTY	(1U << 0)

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
 * @flags:	FUSE_BUFFER_*, those of the buffer; 0 if @size is 0
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
 * FUSE_FEATURE_UNSIZED: a message that is spliced to the device and whose
 *	fuse_out_header.len is 0 is as long as the splice; in any message,
 *	fuse_notify_store_out.size 0 is all that follows
 */
#define FUSE_FEATURE_BUFFERS	(1ULL << 0)
#define FUSE_FEATURE_NONBLOCK	(1ULL << 1)
#define FUSE_FEATURE_RESTART	(1ULL << 2)
#define FUSE_FEATURE_UNSIZED	(1ULL << 3)

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
 * @flags:	O_CLOEXEC; FUSE_BUFFER_*, those of the buffer, none if @size is 0
 * @padding:	must be 0
 *
 * Returns a file descriptor for the buffer, open for reading and writing: for
 * mmap(2), pread(2), pwrite(2), splice(2).  It outlives the connection.  Size
 * and memory are charged as said at the sysctl fs.fuse.max_buffer_pages.
 *
 * Errors: EINVAL: no FUSE_BUFFER_NODEID, bad alignment, unknown flags; ENOENT:
 * @size is 0 and there is no such buffer; EEXIST: the buffer has another size or
 * other flags;
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
 * @flags:	FUSE_BUFFER_*, those of the buffer; 0 if @size is 0
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

/**
 * struct fuse_buffer_range - a range of a buffer
 * @start:	where it starts, aligned
 * @len:	its length, aligned
 */
struct fuse_buffer_range {
	uint64_t	start;
	uint64_t	len;
};

/**
 * struct fuse_buffer_dirty - argument of FUSE_BUFFER_IOC_DIRTY
 * @since:	in: 0, or what an earlier query returned here; out: the next @since
 * @ranges:	address of an array of &struct fuse_buffer_range
 * @count:	in: number of elements of @ranges, 1 to 65536; out: how many of
 *		them are filled in; if all are, ask again for the rest
 * @padding:	must be 0
 *
 * An ioctl on a buffer fd: which pages have clients written to, through shared
 * mappings, since @since?  Neither reads nor what the server does are reported,
 * nor is anything lost, be it unmapped meanwhile.  The query and the start of
 * the next period are one atomic step, for each page.  Any number of watchers can
 * ask, each with its own @since.
 *
 * poll(2) of the fd says EPOLLIN as soon as something was written that no query
 * has covered.
 *
 * Errors: EOPNOTSUPP: the buffer does not have FUSE_BUFFER_LOG; EINVAL: @count or
 * @padding, or a @since that no query has returned; EFAULT; ENOMEM.
 */
struct fuse_buffer_dirty {
	uint64_t	since;
	uint64_t	ranges;
	uint32_t	count;
	uint32_t	padding;
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

/* Ioctl of a buffer fd */
#define FUSE_BUFFER_IOC_DIRTY	_IOWR(FUSE_DEV_IOC_MAGIC, 68, \
				      struct fuse_buffer_dirty)

#endif /* _LINUX_FUSE_BUFFER_H */
