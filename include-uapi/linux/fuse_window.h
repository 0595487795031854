/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-2-Clause) */
/*
 * FUSE window: memory that a server attaches to its connection, and into which
 * the kernel has it put ranges of files.
 *
 * FUSE_SETUPMAPPING asks for a range of a file at an offset of the window, and
 * FUSE_REMOVEMAPPING takes it out again: with the structures of fuse.h, as over
 * virtiofs.  While a range is in the window, read(2), write(2), mmap(2) and
 * splice(2) of it are served from there and need no request.  The protocol is
 * told in Documentation/filesystems/fuse/fuse-window.rst.
 *
 * Nothing here happens before the server asks for it by FUSE_DEV_IOC_ENABLE
 * with FUSE_FEATURE_WINDOW.
 */
#ifndef _LINUX_FUSE_WINDOW_H
#define _LINUX_FUSE_WINDOW_H

#include <linux/fuse_buffer.h>

/* For FUSE_DEV_IOC_ENABLE: FOPEN_WINDOW, FUSE_DEV_IOC_WINDOW */
#define FUSE_FEATURE_WINDOW	(1ULL << 8)

/*
 * In fuse_open_out.open_flags: this file uses the window, and so does every
 * other open of it as long as the kernel knows its inode: without the flag they
 * fail with EIO, as this one does while the file is open without it.  Not with
 * FOPEN_DIRECT_IO and FOPEN_PASSTHROUGH.
 *
 * As if it was set in every reply that has neither of those: FUSE_ATTR_DAX in
 * fuse_attr.flags of the reply by which the kernel learns of the inode.  That
 * takes no FUSE_OPEN.
 */
#define FOPEN_WINDOW		(1U << 24)

/*
 * For FUSE_DEV_IOC_WINDOW: all regular files use the window, but those that are
 * opened with FOPEN_DIRECT_IO or FOPEN_PASSTHROUGH.
 */
#define FUSE_WINDOW_ALL		(1U << 0)

#define FUSE_WINDOW_MIN_RANGE	(64U << 10)
#define FUSE_WINDOW_MAX_RANGE	(2U << 20)

/**
 * struct fuse_window_attach - argument of FUSE_DEV_IOC_WINDOW
 * @size:	size of the window in bytes, a multiple of @range_size
 * @range_size:	what is set up and removed as one; a power of two from
 *		%FUSE_WINDOW_MIN_RANGE to %FUSE_WINDOW_MAX_RANGE, and not less
 *		than a page
 * @flags:	O_CLOEXEC, FUSE_WINDOW_ALL
 *
 * Returns a file descriptor of the window, for mmap(2) with MAP_SHARED and for
 * FUSE_WINDOW_IOC_DIRTY.  It outlives the connection, which has one window at
 * the most.  @size is charged as the size of a buffer is.
 *
 * Errors: EOPNOTSUPP: FUSE_FEATURE_WINDOW is off; EINVAL: @size, @range_size or
 * @flags; EEXIST: there is a window; EFBIG, ENOSPC, ENOMEM, ENOTCONN, EMFILE,
 * ENFILE: as for FUSE_DEV_IOC_BUFFER_OPEN.
 */
struct fuse_window_attach {
	uint64_t	size;
	uint32_t	range_size;
	uint32_t	flags;
};

/**
 * struct fuse_window_dirty - argument of FUSE_WINDOW_IOC_DIRTY
 * @start:	in: start of a part of the window, aligned to pages; out: where
 *		the query ended: at its end, or earlier if @ranges was full
 * @len:	in: its length, aligned to pages; out: what is left of it
 * @ranges:	address of an array of &struct fuse_buffer_range
 * @count:	in: number of its elements, at least 1; out: how many are filled
 * @padding:	must be 0
 *
 * Which pages of the window have clients written to, that no query has
 * returned?  From then on the server answers for them: a page is returned again
 * only if it is written to again.
 *
 * Errors: EINVAL: @start, @len, @count or @padding; EFAULT.
 */
struct fuse_window_dirty {
	uint64_t	start;
	uint64_t	len;
	uint64_t	ranges;
	uint32_t	count;
	uint32_t	padding;
};

/* Ioctl of /dev/fuse */
#define FUSE_DEV_IOC_WINDOW	_IOW(FUSE_DEV_IOC_MAGIC, 72, \
				     struct fuse_window_attach)

/* Ioctl of a window fd */
#define FUSE_WINDOW_IOC_DIRTY	_IOWR(FUSE_DEV_IOC_MAGIC, 73, \
				      struct fuse_window_dirty)

#endif /* _LINUX_FUSE_WINDOW_H */
