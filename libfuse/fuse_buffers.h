/* SPDX-License-Identifier: GPL-2.0 OR LGPL-2.1-or-later */
/*
 * FUSE buffers for servers on an unmodified libfuse3 (3.12 or later).
 *
 * The kernel side is described in <linux/fuse_buffer.h>.  This library lets a
 * fuse_lowlevel or cuse_lowlevel server answer mmap(2), fill buffers on demand,
 * ask what clients have written, and bind, open, store to and retrieve from
 * buffers, in single- and in multi-threaded loops:
 *
 *	fb = fuse_buffers_new(&buffer_ops, userdata);
 *	fuse_buffers_wrap_cuse(fb, &ops);	or: fuse_buffers_wrap(fb, &ops);
 *	se = cuse_lowlevel_setup(..., &ops, ..., userdata);
 *						or: fuse_session_new(), _mount()
 *	fuse_buffers_attach(fb, se, FUSE_FEATURE_BUFFERS, NULL);
 *	fuse_session_loop_mt(se, config);	or: fuse_session_loop(se)
 *	fuse_buffers_detach(fb);
 *	cuse_lowlevel_teardown(se);		or: fuse_session_destroy(se)
 *	fuse_buffers_free(fb);
 *
 * For CUSE, fuse_buffers_cuse_main() does all of this but the first and the
 * last line.
 *
 * Unless said otherwise, functions return 0 or a negative errno, may be called
 * from any thread between attach and detach, and take no reference to what is
 * passed to them.  Those of the kernel's errors that are listed at the structs
 * of <linux/fuse_buffer.h> come through as they are; -EOPNOTSUPP is what all
 * give when FUSE_FEATURE_BUFFERS is not on, -ENOTCONN before attach, when that
 * failed, and after detach.
 *
 * How it works: fuse_session_custom_io() shows the library each request before
 * libfuse sees it.  FUSE_MMAP and FUSE_READ of a buffer become a FUSE_IOCTL with
 * a private flag, so that libfuse makes a fuse_req_t and hands over all of it;
 * the wrapped ioctl operation tells them apart.
 * FUSE_MUNMAP and the replies to own retrieves end here.  Consequences:
 *
 * - FUSE_CAP_SPLICE_READ is never on (splice for replies is left alone), nor may
 *   the server use fuse_session_custom_io() itself.
 * - The channel is read by one thread at a time; requests are still handled by
 *   as many as the loop has.  That orders FUSE_MUNMAP: see @munmap below.
 * - A request that came over io_uring (libfuse >= 3.18, if switched on) is not
 *   seen here.
 */
#ifndef FUSE_BUFFERS_H
#define FUSE_BUFFERS_H

#ifndef FUSE_USE_VERSION
#define FUSE_USE_VERSION 314
#endif

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <cuse_lowlevel.h>
#include <fuse_lowlevel.h>
#include <linux/fuse_buffer.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The state of one session; opaque */
struct fuse_buffers;

/**
 * struct fuse_buffer_ops - what the kernel asks about buffers
 */
struct fuse_buffer_ops {
	/**
	 * @mmap: a client calls mmap(2)
	 *
	 * Answer by fuse_reply_mmap() or fuse_reply_err(), now or later, from
	 * any thread; fuse_req_interrupt_func(), fuse_req_ctx() and
	 * fuse_req_userdata() work as for any request.  @ino is 0 on CUSE, @in
	 * is valid until the function returns.  The client waits under its mmap
	 * lock: be quick, and never wait for that client.  NULL: ENOSYS, which
	 * switches FUSE_MMAP off for good.
	 */
	void (*mmap)(fuse_req_t req, fuse_ino_t ino,
		     const struct fuse_mmap_in *in);

	/**
	 * @munmap: a mapping that fuse_reply_mmap() made is gone
	 *
	 * Has no reply.  @userdata is that of the session, @ino is 0 on CUSE,
	 * @in is valid until the function returns.  No request that was sent
	 * after this one is delivered to any thread before the function returns
	 * (so munmap(2) and a later ioctl(2) of one client come in this order),
	 * hence it must not block.  It may run before fuse_reply_mmap() has
	 * returned: count mappings before replying.  May be NULL.
	 */
	void (*munmap)(void *userdata, fuse_ino_t ino,
		       const struct fuse_munmap_in *in);

	/**
	 * @fill: a client touches pages of a buffer with FUSE_BUFFER_DEMAND
	 *
	 * Answer with the data at @offset, @size bytes or less, by
	 * fuse_reply_buf(), fuse_reply_data() or fuse_reply_iov(), or by
	 * fuse_reply_err(), which is SIGBUS to the client; now or later, from
	 * any thread.  fuse_buffers_store() may bring the pages instead, but the
	 * request still has to be answered.  More than @size bytes are -EINVAL
	 * to the caller and SIGBUS to the client.  NULL: as if always answered
	 * with EIO.
	 */
	void (*fill)(fuse_req_t req, uint64_t nodeid, uint64_t offset,
		     size_t size);
};

/**
 * fuse_buffers_new - make the state for one session
 * @ops:	copied
 * @userdata:	the one that the session is going to be made with.  It is how
 *		the session is found again, so two sessions of a process must
 *		have two userdata, and only one session may have NULL.
 *
 * Return: NULL and errno: ENOMEM, EEXIST: @userdata is in use.
 */
struct fuse_buffers *fuse_buffers_new(const struct fuse_buffer_ops *ops,
				      void *userdata);

/**
 * fuse_buffers_free - free it
 * @fb:		NULL is allowed; must be detached if it was attached, and the
 *		session must have ended
 */
void fuse_buffers_free(struct fuse_buffers *fb);

/**
 * fuse_buffers_wrap - prepare the operations of a fuse_lowlevel server
 * @fb:		state
 * @op:		changed: @ioctl and @init; to be passed to fuse_session_new().
 *		A server without an ioctl operation still answers ENOSYS.
 *
 * To be called before the session is made, once.  With FUSE_FEATURE_NONBLOCK,
 * the server's ioctl operation finds FUSE_IOCTL_NONBLOCK in its flags, and the
 * poll operation finds FUSE_POLL_NONBLOCK in fi->poll_events, both as the file
 * has O_NONBLOCK at that time.
 */
void fuse_buffers_wrap(struct fuse_buffers *fb, struct fuse_lowlevel_ops *op);

/** fuse_buffers_wrap_cuse - the same for a cuse_lowlevel server */
void fuse_buffers_wrap_cuse(struct fuse_buffers *fb,
			    struct cuse_lowlevel_ops *op);

/**
 * fuse_buffers_attach - switch features on and hook into the session
 * @fb:		state
 * @se:		session, after fuse_session_mount() or cuse_lowlevel_setup() and
 *		before the loop
 * @features:	FUSE_FEATURE_* that the server can use
 * @enabled:	if not NULL: those that are on now, which may be fewer
 *
 * Return: 0; -ENOTTY: this kernel has none of it: the session is as it was and
 * may run, without; -EBUSY: attached already; other errors are fatal.
 */
int fuse_buffers_attach(struct fuse_buffers *fb, struct fuse_session *se,
			uint64_t features, uint64_t *enabled);

/** fuse_buffers_features - FUSE_FEATURE_* that are on, 0 if not attached */
uint64_t fuse_buffers_features(struct fuse_buffers *fb);

/**
 * fuse_buffers_detach - end all use of the session
 * @fb:		state
 *
 * To be called when the loop has ended, before the session is destroyed and
 * before threads that may wait in fuse_buffers_retrieve() are joined.
 * Retrieves that wait fail with -ENOTCONN, as do all later calls.
 */
void fuse_buffers_detach(struct fuse_buffers *fb);

/**
 * fuse_reply_mmap - answer fuse_buffer_ops.mmap: map this buffer
 * @req:	request, freed
 * @nodeid:	see &struct fuse_mmap_out
 * @offset:	see &struct fuse_mmap_out
 * @size:	see &struct fuse_mmap_out
 * @flags:	see &struct fuse_mmap_out
 *
 * Return: 0, or what writing to the channel failed with; -ENOENT: the client is
 * gone.  If the kernel took the reply and the client is gone all the same, a
 * munmap follows; after -ENOENT none does.
 */
int fuse_reply_mmap(fuse_req_t req, uint64_t nodeid, uint64_t offset,
		    uint64_t size, uint32_t flags);

/**
 * fuse_buffers_open - open a buffer
 * @fb:		state
 * @nodeid:	see &struct fuse_buffer_open
 * @size:	see &struct fuse_buffer_open
 * @flags:	FUSE_BUFFER_*, see &struct fuse_buffer_open
 *
 * Return: file descriptor (close-on-exec) for mmap(2), pread(2), pwrite(2),
 * splice(2), fuse_buffers_dirty(), which the caller closes, or a negative errno.
 */
int fuse_buffers_open(struct fuse_buffers *fb, uint64_t nodeid, uint64_t size,
		      uint32_t flags);

/**
 * fuse_buffers_map - map a buffer into the server, shared, for read and write
 * @fb:		state
 * @nodeid:	see &struct fuse_buffer_open
 * @size:	see &struct fuse_buffer_open, not 0; how much is mapped
 * @flags:	FUSE_BUFFER_*, see &struct fuse_buffer_open
 * @addr:	where it is now; the caller calls munmap(2).  The mapping keeps
 *		the buffer, also beyond the session.
 */
int fuse_buffers_map(struct fuse_buffers *fb, uint64_t nodeid, uint64_t size,
		     uint32_t flags, void **addr);

/**
 * fuse_buffers_dirty - what have clients written to a buffer since when?
 * @fd:		of fuse_buffers_open(), for a buffer with FUSE_BUFFER_LOG
 * @since:	in: 0, or what an earlier call left here; out: the next @since.
 *		Each watcher has its own.
 * @ranges:	where to put ranges of whole pages
 * @count:	for how many there is room: 1 to 65536
 *
 * Return: how many there are, or a negative errno.  If it is @count, there may
 * be more:
 *
 *	do {
 *		n = fuse_buffers_dirty(fd, &since, ranges, 16);
 *		for (i = 0; i < n; i++)
 *			look_at(ranges[i].start, ranges[i].len);
 *	} while (n == 16);
 */
int fuse_buffers_dirty(int fd, uint64_t *since,
		       struct fuse_buffer_range *ranges, unsigned int count);

/**
 * fuse_buffers_dirty_wait - wait until clients write to a buffer
 * @fd:		as for fuse_buffers_dirty(); other descriptors can be waited for
 *		at the same time by poll(2), for POLLIN
 * @timeout:	in milliseconds, -1: none
 *
 * Return: 1: something was written that nobody's fuse_buffers_dirty() has seen,
 * 0: time is out, or a negative errno.
 */
int fuse_buffers_dirty_wait(int fd, int timeout);

/**
 * fuse_buffers_bind - mmap(2) in this range of a file needs no FUSE_MMAP
 * @fb:		state
 * @bind:	range and buffer
 */
int fuse_buffers_bind(struct fuse_buffers *fb,
		      const struct fuse_buffer_bind *bind);

/**
 * fuse_buffers_unbind - end bindings
 * @fb:		state
 * @ino:	see &struct fuse_buffer_unbind
 * @fh:		see &struct fuse_buffer_unbind
 * @start:	see &struct fuse_buffer_unbind
 * @len:	see &struct fuse_buffer_unbind
 */
int fuse_buffers_unbind(struct fuse_buffers *fb, uint64_t ino, uint64_t fh,
			uint64_t start, uint64_t len);

/**
 * fuse_buffers_store - copy into a buffer
 * @fb:		state
 * @nodeid:	buffer, which must exist
 * @offset:	where in the buffer
 * @data:	what to copy; must not be memory of which the server itself
 *		would have to supply the pages
 * @len:	how much; more than about 2 GiB is -EMSGSIZE
 *
 * One message, whatever the size: all or an error; on an error, the start may
 * have been copied.
 */
int fuse_buffers_store(struct fuse_buffers *fb, uint64_t nodeid,
		       uint64_t offset, const void *data, size_t len);

/** fuse_buffers_storev - the same from @count pieces, at most IOV_MAX - 2 */
int fuse_buffers_storev(struct fuse_buffers *fb, uint64_t nodeid,
			uint64_t offset, const struct iovec *iov, int count);

/**
 * fuse_buffers_store_fd - the same out of a file, a pipe or a socket
 * @fb:		state
 * @nodeid:	buffer, which must exist, or an inode that the kernel knows: its
 *		page cache
 * @offset:	where in it; whole pages can only be moved to whole pages
 * @fd:		where from; not a file of this very session
 * @pos:	where in @fd, advanced by what was read; NULL: the file's own
 *		position, or there is none
 * @len:	how much at most
 *
 * With FUSE_FEATURE_UNSIZED splices: pages that nobody else has, as those of a
 * file that were read and are neither mapped nor dirty, are moved, not copied.
 * Else, and if @fd knows no splice(2), reads and writes.  Takes what there is,
 * and waits only if there is nothing.  /proc/self/fdinfo of the device tells
 * what was moved.
 *
 * Return: how much was stored, less than @len at the end of the file; 0 if there
 * was nothing; or a negative errno.
 */
ssize_t fuse_buffers_store_fd(struct fuse_buffers *fb, uint64_t nodeid,
			      uint64_t offset, int fd, off_t *pos, size_t len);

/**
 * fuse_reply_fd - reply with data out of a file, a pipe or a socket
 * @req:	a FUSE_READ, FUSE_READLINK, ... ; gone then, as with every reply
 * @fd:		where from, as for fuse_buffers_store_fd()
 * @pos:	where in @fd
 * @len:	how much at most; the reply is as long as what there is
 *
 * Return: 0, or a negative errno from sending; an error from reading @fd is the
 * reply.
 */
int fuse_reply_fd(fuse_req_t req, int fd, off_t *pos, size_t len);

/**
 * fuse_buffers_retrieve - copy out of a buffer
 * @fb:		state
 * @nodeid:	buffer, which must exist
 * @offset:	where in the buffer
 * @data:	where to
 * @len:	how much
 *
 * Waits until all is there (the kernel sends it in pieces).  Needs the loop to
 * run meanwhile: operations and callbacks of this session, which run in threads
 * of the loop, get -EDEADLK and use fuse_buffers_retrieve_async().
 *
 * Return: 0: all was copied; -EIO: @offset + @len is beyond the end.
 */
int fuse_buffers_retrieve(struct fuse_buffers *fb, uint64_t nodeid,
			  uint64_t offset, void *data, size_t len);

/**
 * typedef fuse_buffers_retrieve_fn - what fuse_buffers_retrieve_async() calls
 * @cookie:	as passed
 * @err:	0 or, in the last call only, a negative errno
 * @offset:	where in the buffer the piece comes from
 * @data:	the piece, valid until the function returns; NULL in the last
 *		call, which says that all pieces came (@err is 0), or no more
 * @size:	size of the piece, not 0 but in the last call
 *
 * Called in a thread of the loop (or, last, in that of fuse_buffers_detach()),
 * for one piece after the other.
 */
typedef void (*fuse_buffers_retrieve_fn)(void *cookie, int err, uint64_t offset,
					 const void *data, size_t size);

/**
 * fuse_buffers_retrieve_async - copy out of a buffer, without waiting
 * @fb:		state
 * @nodeid:	buffer, which must exist
 * @offset:	where in the buffer
 * @len:	how much, not 0
 * @fn:		called for each piece and then once more, possibly before this
 *		function returns
 * @cookie:	passed to @fn
 *
 * Return: 0; on an error, @fn is never called.
 */
int fuse_buffers_retrieve_async(struct fuse_buffers *fb, uint64_t nodeid,
				uint64_t offset, size_t len,
				fuse_buffers_retrieve_fn fn, void *cookie);

/**
 * fuse_buffers_retrieve_dirty - the same of pages that clients have written
 * @fb:		state
 * @nodeid:	buffer with FUSE_BUFFER_LOG
 * @offset:	where in the buffer
 * @len:	how much, not 0
 * @fn:		called for pieces, each of whole pages, and then once more
 * @cookie:	passed to @fn
 *
 * Brings what was written since it was last brought by this function, until
 * there is none left: pages that are written to meanwhile come again.  See
 * fuse_buffers_dirty() for what does not copy.
 *
 * Return: 0; on an error, @fn is never called.
 */
int fuse_buffers_retrieve_dirty(struct fuse_buffers *fb, uint64_t nodeid,
				uint64_t offset, size_t len,
				fuse_buffers_retrieve_fn fn, void *cookie);

/**
 * fuse_buffers_inval - drop pages of a buffer
 * @fb:		state
 * @nodeid:	buffer, which must exist
 * @offset:	where in the buffer
 * @len:	how much; 0: all from @offset on
 */
int fuse_buffers_inval(struct fuse_buffers *fb, uint64_t nodeid,
		       uint64_t offset, uint64_t len);

/* Flags for fuse_buffers_cuse_main() */
#define FUSE_BUFFERS_FOREGROUND	(1U << 0) /* do not become a daemon */
#define FUSE_BUFFERS_SINGLE	(1U << 1) /* single-threaded loop */
#define FUSE_BUFFERS_DEBUG	(1U << 2) /* libfuse logs each request */
#define FUSE_BUFFERS_OPTIONAL	(1U << 3) /* run also on a kernel without */

/**
 * fuse_buffers_cuse_main - run a CUSE server with buffers
 * @fb:		state; detached at the end, not freed
 * @ci:		as for cuse_lowlevel_main(), with a DEVNAME= in dev_info_argv
 * @op:		as for cuse_lowlevel_main(), not to be wrapped
 * @features:	FUSE_FEATURE_*; without FUSE_BUFFERS_OPTIONAL, all are required
 * @flags:	FUSE_BUFFERS_*
 * @userdata:	that of fuse_buffers_new()
 *
 * Makes sure that /dev/DEVNAME is this server's own: another device of that
 * name makes it fail.  In the background, the caller's process exits with 0
 * when the node is there, or with 1 when that failed; the function goes on in
 * the child, with stdin, stdout and stderr on /dev/null from then on.  As
 * always with libfuse, the current directory becomes / either way.  So open
 * files before; start threads in @op->init_done, which runs when the node is
 * there and buffers can be used, not before.  Stop them in @op->destroy, the
 * last moment at which requests can be replied to; it runs only if init_done
 * did.
 *
 * Return: 0: ended by a signal or fuse_session_exit(); 1: an error, which was
 * printed on stderr.
 */
int fuse_buffers_cuse_main(struct fuse_buffers *fb, const struct cuse_info *ci,
			   const struct cuse_lowlevel_ops *op,
			   uint64_t features, unsigned int flags,
			   void *userdata);

#ifdef __cplusplus
}
#endif

#endif /* FUSE_BUFFERS_H */
