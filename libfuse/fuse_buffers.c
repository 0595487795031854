// SPDX-License-Identifier: GPL-2.0 OR LGPL-2.1-or-later
/*
 * FUSE buffers for servers on an unmodified libfuse3; see fuse_buffers.h.
 */
#define _GNU_SOURCE
#define FUSE_USE_VERSION 314

#include "fuse_buffers.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

/*
 * A FUSE_IOCTL that is a FUSE_MMAP, or a FUSE_READ of a buffer, in disguise; no
 * kernel sets these bits
 */
#define IOCTL_IS_MMAP	(1U << 31)
#define IOCTL_IS_FILL	(1U << 29)

/* Tells our retrieves from libfuse's, which counts up from 1 */
#define OUR_UNIQUE	(1ULL << 63)

/* What write(2) takes at most */
#define MAX_WRITE	0x7ffff000UL

/* How large a pipe anybody may have */
#define PIPE_MAX	(1U << 20)

/* What libfuse's CUSE would drop of a FUSE_READ */
struct fill {
	uint64_t nodeid;
	uint64_t offset;
	uint32_t size;
};

struct retrieve {
	struct retrieve *next;
	uint64_t unique;
	uint64_t nodeid;
	uint64_t offset;
	size_t len;
	bool dirty;
	fuse_buffers_retrieve_fn fn;
	void *cookie;
};

struct fuse_buffers {
	struct fuse_buffers *next;
	struct fuse_buffer_ops ops;
	void *userdata;

	/* the server's own operations; a server is one or the other */
	void (*init)(void *userdata, struct fuse_conn_info *conn);
	void (*init_done)(void *userdata);
	void (*destroy)(void *userdata);
	void (*ioctl)(fuse_req_t req, fuse_ino_t ino, unsigned int cmd,
		      void *arg, struct fuse_file_info *fi, unsigned int flags,
		      const void *in, size_t in_size, size_t out_size);
	void (*cuse_ioctl)(fuse_req_t req, int cmd, void *arg,
			   struct fuse_file_info *fi, unsigned int flags,
			   const void *in, size_t in_size, size_t out_size);

	struct fuse_session *se;
	int fd;
	uint64_t features;
	atomic_bool attached;
	pthread_rwlock_t use;		/* held while fd is used */
	pthread_mutex_t read_lock;	/* one reads the channel at a time */

	pthread_mutex_t lock;		/* protects what follows */
	uint64_t unique;
	struct retrieve *retrieves;

	/* fuse_buffers_cuse_main() */
	char *name;
	int parent;
	bool ready;
};

static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static struct fuse_buffers *all;

/* Set in threads that run a session's loop */
static __thread struct fuse_buffers *loop_of;

static struct fuse_buffers *find(void *userdata)
{
	struct fuse_buffers *fb;

	pthread_mutex_lock(&all_lock);
	for (fb = all; fb && fb->userdata != userdata; fb = fb->next)
		;
	pthread_mutex_unlock(&all_lock);

	return fb;
}

struct fuse_buffers *fuse_buffers_new(const struct fuse_buffer_ops *ops,
				      void *userdata)
{
	struct fuse_buffers *fb, *old;

	fb = calloc(1, sizeof(*fb));
	if (!fb)
		return NULL;

	fb->ops = *ops;
	fb->userdata = userdata;
	fb->fd = -1;
	fb->parent = -1;
	pthread_rwlock_init(&fb->use, NULL);
	pthread_mutex_init(&fb->read_lock, NULL);
	pthread_mutex_init(&fb->lock, NULL);

	pthread_mutex_lock(&all_lock);
	for (old = all; old && old->userdata != userdata; old = old->next)
		;
	if (!old) {
		fb->next = all;
		all = fb;
	}
	pthread_mutex_unlock(&all_lock);

	if (old) {
		free(fb);
		errno = EEXIST;
		return NULL;
	}
	return fb;
}

void fuse_buffers_free(struct fuse_buffers *fb)
{
	struct fuse_buffers **p;

	if (!fb)
		return;

	pthread_mutex_lock(&all_lock);
	for (p = &all; *p != fb; p = &(*p)->next)
		;
	*p = fb->next;
	pthread_mutex_unlock(&all_lock);

	pthread_mutex_destroy(&fb->lock);
	pthread_mutex_destroy(&fb->read_lock);
	pthread_rwlock_destroy(&fb->use);
	free(fb->name);
	free(fb);
}

/*
 * The server's operations
 */

static void wrap_init(void *userdata, struct fuse_conn_info *conn)
{
	struct fuse_buffers *fb = find(userdata);

	if (fb->init)
		fb->init(userdata, conn);
	/* would bypass read_request() */
	if (conn->want & FUSE_CAP_SPLICE_READ)
		conn->want &= ~FUSE_CAP_SPLICE_READ;
}

/* Is it a request in disguise? */
static bool unmask(struct fuse_buffers *fb, fuse_req_t req, fuse_ino_t ino,
		   unsigned int flags, const void *in)
{
	const struct fill *fill = in;

	if (flags & IOCTL_IS_MMAP)
		fb->ops.mmap(req, ino, in);
	else if (flags & IOCTL_IS_FILL && fb->ops.fill)
		fb->ops.fill(req, fill->nodeid, fill->offset, fill->size);
	else if (flags & IOCTL_IS_FILL)
		fuse_reply_err(req, EIO);
	else
		return false;
	return true;
}

static void wrap_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd,
		       void *arg, struct fuse_file_info *fi,
		       unsigned int flags, const void *in, size_t in_size,
		       size_t out_size)
{
	struct fuse_buffers *fb = find(fuse_req_userdata(req));

	if (unmask(fb, req, ino, flags, in))
		return;
	if (fb->ioctl)
		fb->ioctl(req, ino, cmd, arg, fi, flags, in, in_size, out_size);
	else
		fuse_reply_err(req, ENOSYS);
}

static void wrap_cuse_ioctl(fuse_req_t req, int cmd, void *arg,
			    struct fuse_file_info *fi, unsigned int flags,
			    const void *in, size_t in_size, size_t out_size)
{
	struct fuse_buffers *fb = find(fuse_req_userdata(req));

	if (unmask(fb, req, 0, flags, in))
		return;
	if (fb->cuse_ioctl)
		fb->cuse_ioctl(req, cmd, arg, fi, flags, in, in_size, out_size);
	else
		fuse_reply_err(req, ENOSYS);
}

void fuse_buffers_wrap(struct fuse_buffers *fb, struct fuse_lowlevel_ops *op)
{
	fb->init = op->init;
	op->init = wrap_init;
	fb->ioctl = op->ioctl;
	op->ioctl = wrap_ioctl;
}

void fuse_buffers_wrap_cuse(struct fuse_buffers *fb,
			    struct cuse_lowlevel_ops *op)
{
	fb->init = op->init;
	op->init = wrap_init;
	fb->cuse_ioctl = op->ioctl;
	op->ioctl = wrap_cuse_ioctl;
}

int fuse_reply_mmap(fuse_req_t req, uint64_t nodeid, uint64_t offset,
		    uint64_t size, uint32_t flags)
{
	struct fuse_mmap_out out = {
		.nodeid = nodeid,
		.offset = offset,
		.size = size,
		.flags = flags,
	};

	return fuse_reply_buf(req, (const char *)&out, sizeof(out));
}

/*
 * Use of the channel
 */

static int enter(struct fuse_buffers *fb, int *cancel)
{
	int err = 0;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, cancel);
	pthread_rwlock_rdlock(&fb->use);
	if (!fb->attached)
		err = -ENOTCONN;
	else if (!(fb->features & FUSE_FEATURE_BUFFERS))
		err = -EOPNOTSUPP;
	if (err) {
		pthread_rwlock_unlock(&fb->use);
		pthread_setcancelstate(*cancel, NULL);
	}
	return err;
}

static void leave(struct fuse_buffers *fb, int cancel)
{
	pthread_rwlock_unlock(&fb->use);
	pthread_setcancelstate(cancel, NULL);
}

static int device_ioctl(struct fuse_buffers *fb, unsigned long cmd,
			const void *arg)
{
	int cancel, res;

	res = enter(fb, &cancel);
	if (res)
		return res;

	res = ioctl(fb->fd, cmd, arg);
	if (res < 0)
		res = -errno;
	leave(fb, cancel);

	return res;
}

int fuse_buffers_open(struct fuse_buffers *fb, uint64_t nodeid, uint64_t size,
		      uint32_t flags)
{
	struct fuse_buffer_open open = {
		.nodeid = nodeid,
		.size = size,
		.flags = O_CLOEXEC | flags,
	};

	return device_ioctl(fb, FUSE_DEV_IOC_BUFFER_OPEN, &open);
}

int fuse_buffers_map(struct fuse_buffers *fb, uint64_t nodeid, uint64_t size,
		     uint32_t flags, void **addr)
{
	int err = 0;
	void *p;
	int fd;

	fd = fuse_buffers_open(fb, nodeid, size, flags);
	if (fd < 0)
		return fd;

	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		err = -errno;
	else
		*addr = p;
	close(fd);

	return err;
}

int fuse_buffers_bind(struct fuse_buffers *fb,
		      const struct fuse_buffer_bind *bind)
{
	return device_ioctl(fb, FUSE_DEV_IOC_BUFFER_BIND, bind);
}

int fuse_buffers_unbind(struct fuse_buffers *fb, uint64_t ino, uint64_t fh,
			uint64_t start, uint64_t len)
{
	struct fuse_buffer_unbind unbind = {
		.ino = ino,
		.fh = fh,
		.start = start,
		.len = len,
	};

	return device_ioctl(fb, FUSE_DEV_IOC_BUFFER_UNBIND, &unbind);
}

static int notify(struct fuse_buffers *fb, int code, void *arg, size_t arg_size,
		  const struct iovec *iov, int count)
{
	struct fuse_out_header out = { .error = code };
	struct iovec v[IOV_MAX];
	size_t len = sizeof(out) + arg_size;
	int cancel, err, i;

	v[0].iov_base = &out;
	v[0].iov_len = sizeof(out);
	v[1].iov_base = arg;
	v[1].iov_len = arg_size;
	for (i = 0; i < count; i++) {
		v[2 + i] = iov[i];
		len += iov[i].iov_len;
	}
	out.len = len;

	err = enter(fb, &cancel);
	if (err)
		return err;
	if (writev(fb->fd, v, 2 + count) < 0)
		err = -errno;
	leave(fb, cancel);

	return err;
}

int fuse_buffers_storev(struct fuse_buffers *fb, uint64_t nodeid,
			uint64_t offset, const struct iovec *iov, int count)
{
	struct fuse_notify_store_out out = {
		.nodeid = nodeid,
		.offset = offset,
	};
	size_t room = MAX_WRITE - sizeof(struct fuse_out_header) - sizeof(out);
	int i;

	if (count < 0 || count > IOV_MAX - 2)
		return -EINVAL;
	for (i = 0; i < count; i++) {
		if (iov[i].iov_len > room)
			return -EMSGSIZE;
		room -= iov[i].iov_len;
		out.size += iov[i].iov_len;
	}

	return notify(fb, FUSE_NOTIFY_STORE, &out, sizeof(out), iov, count);
}

int fuse_buffers_store(struct fuse_buffers *fb, uint64_t nodeid,
		       uint64_t offset, const void *data, size_t len)
{
	struct iovec iov = { .iov_base = (void *)data, .iov_len = len };

	return fuse_buffers_storev(fb, nodeid, offset, &iov, 1);
}

int fuse_buffers_inval(struct fuse_buffers *fb, uint64_t nodeid,
		       uint64_t offset, uint64_t len)
{
	struct fuse_notify_inval_inode_out out = {
		.ino = nodeid,
		.off = offset,
		.len = len,
	};

	return notify(fb, FUSE_NOTIFY_INVAL_INODE, &out, sizeof(out), NULL, 0);
}

/*
 * What clients have written
 */

int fuse_buffers_dirty(int fd, uint64_t *since,
		       struct fuse_buffer_range *ranges, unsigned int count)
{
	struct fuse_buffer_dirty dirty = {
		.since = *since,
		.ranges = (uintptr_t)ranges,
		.count = count,
	};

	if (ioctl(fd, FUSE_BUFFER_IOC_DIRTY, &dirty))
		return -errno;

	*since = dirty.since;
	return dirty.count;
}

int fuse_buffers_dirty_wait(int fd, int timeout)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int res = poll(&pfd, 1, timeout);

	return res < 0 ? -errno : res;
}

/*
 * Retrieve
 */

/*
 * Ask for the next piece of @r.  If that fails, @r is the caller's again, unless
 * fuse_buffers_detach() ends it, which counts as success.
 */
static int retrieve_send(struct fuse_buffers *fb, struct retrieve *r)
{
	struct fuse_notify_retrieve_out out = {
		.nodeid = r->nodeid,
		.offset = r->offset,
		.size = r->len > UINT32_MAX ? UINT32_MAX : r->len,
		.padding = r->dirty ? FUSE_RETRIEVE_DIRTY : 0,
	};
	struct retrieve **p;
	int err;

	pthread_mutex_lock(&fb->lock);
	r->unique = out.notify_unique = OUR_UNIQUE | fb->unique++;
	r->next = fb->retrieves;
	fb->retrieves = r;
	pthread_mutex_unlock(&fb->lock);

	err = notify(fb, FUSE_NOTIFY_RETRIEVE, &out, sizeof(out), NULL, 0);
	if (err) {
		pthread_mutex_lock(&fb->lock);
		for (p = &fb->retrieves; *p && *p != r; p = &(*p)->next)
			;
		if (*p)
			*p = r->next;
		else
			err = 0;
		pthread_mutex_unlock(&fb->lock);
	}
	return err;
}

static void retrieve_end(struct retrieve *r, int err)
{
	r->fn(r->cookie, err, r->offset, NULL, 0);
	free(r);
}

static void retrieve_reply(struct fuse_buffers *fb,
			   const struct fuse_in_header *in, size_t len)
{
	const struct fuse_notify_retrieve_in *arg = (const void *)(in + 1);
	struct retrieve **p, *r;
	int err;

	pthread_mutex_lock(&fb->lock);
	for (p = &fb->retrieves; *p && (*p)->unique != in->unique;
	     p = &(*p)->next)
		;
	r = *p;
	if (r)
		*p = r->next;
	pthread_mutex_unlock(&fb->lock);
	if (!r)
		return;

	if (len < sizeof(*in) + sizeof(*arg) ||
	    arg->size > len - sizeof(*in) - sizeof(*arg) ||
	    (!r->dirty && (!arg->size || arg->size > r->len ||
			   arg->offset != r->offset))) {
		retrieve_end(r, -EIO);
		return;
	}

	if (arg->size)
		r->fn(r->cookie, 0, arg->offset, arg + 1, arg->size);
	if (!r->dirty) {
		r->offset += arg->size;
		r->len -= arg->size;
	}

	if (!arg->size || !r->len) {
		retrieve_end(r, 0);
		return;
	}
	/* if that goes well, another thread may have ended it by now */
	err = retrieve_send(fb, r);
	if (err)
		retrieve_end(r, err);
}

static int retrieve_start(struct fuse_buffers *fb, uint64_t nodeid,
			  uint64_t offset, size_t len, bool dirty,
			  fuse_buffers_retrieve_fn fn, void *cookie)
{
	struct retrieve *r;
	int err;

	if (!len)
		return -EINVAL;

	r = malloc(sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->nodeid = nodeid;
	r->offset = offset;
	r->len = len;
	r->dirty = dirty;
	r->fn = fn;
	r->cookie = cookie;

	err = retrieve_send(fb, r);
	if (err)
		free(r);
	return err;
}

int fuse_buffers_retrieve_async(struct fuse_buffers *fb, uint64_t nodeid,
				uint64_t offset, size_t len,
				fuse_buffers_retrieve_fn fn, void *cookie)
{
	return retrieve_start(fb, nodeid, offset, len, false, fn, cookie);
}

int fuse_buffers_retrieve_dirty(struct fuse_buffers *fb, uint64_t nodeid,
				uint64_t offset, size_t len,
				fuse_buffers_retrieve_fn fn, void *cookie)
{
	return retrieve_start(fb, nodeid, offset, len, true, fn, cookie);
}

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	uint64_t start;
	char *data;
	bool done;
	int err;
};

static void retrieve_wake(void *cookie, int err, uint64_t offset,
			  const void *data, size_t size)
{
	struct waiter *w = cookie;

	if (data) {
		memcpy(w->data + (offset - w->start), data, size);
		return;
	}

	pthread_mutex_lock(&w->lock);
	w->done = true;
	w->err = err;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

int fuse_buffers_retrieve(struct fuse_buffers *fb, uint64_t nodeid,
			  uint64_t offset, void *data, size_t len)
{
	struct waiter w = {
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.cond = PTHREAD_COND_INITIALIZER,
		.start = offset,
		.data = data,
	};
	int cancel, err;

	if (loop_of == fb)
		return -EDEADLK;
	if (!len)
		return 0;

	/* w lives on this stack */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	err = fuse_buffers_retrieve_async(fb, nodeid, offset, len,
					  retrieve_wake, &w);
	if (!err) {
		pthread_mutex_lock(&w.lock);
		while (!w.done)
			pthread_cond_wait(&w.cond, &w.lock);
		pthread_mutex_unlock(&w.lock);
		err = w.err;
	}
	pthread_setcancelstate(cancel, NULL);

	pthread_cond_destroy(&w.cond);
	pthread_mutex_destroy(&w.lock);
	return err;
}

/*
 * The session
 */

static ssize_t disguise(struct fuse_in_header *in, size_t room, uint32_t flag,
			uint64_t fh, const void *arg, size_t size)
{
	struct fuse_ioctl_in *io = (struct fuse_ioctl_in *)(in + 1);

	if (room < sizeof(*in) + sizeof(*io) + size) {
		errno = EIO;
		return -1;
	}

	memset(io, 0, sizeof(*io));
	io->fh = fh;
	io->flags = flag;
	io->in_size = size;
	memcpy(io + 1, arg, size);

	in->opcode = FUSE_IOCTL;
	in->len = sizeof(*in) + sizeof(*io) + size;
	return in->len;
}

static ssize_t disguise_mmap(struct fuse_in_header *in, size_t room)
{
	struct fuse_mmap_in mmap;

	memcpy(&mmap, in + 1, sizeof(mmap));
	return disguise(in, room, IOCTL_IS_MMAP, mmap.fh, &mmap, sizeof(mmap));
}

static ssize_t disguise_fill(struct fuse_in_header *in, size_t room)
{
	const struct fuse_read_in *read = (const void *)(in + 1);
	struct fill fill = {
		.nodeid = in->nodeid,
		.offset = read->offset,
		.size = read->size,
	};

	return disguise(in, room, IOCTL_IS_FILL, 0, &fill, sizeof(fill));
}

/* libfuse hides the flags of a poll from the server, but not the events */
static void show_nonblock(struct fuse_in_header *in)
{
	struct fuse_poll_in *poll = (struct fuse_poll_in *)(in + 1);

	poll->events &= ~FUSE_POLL_NONBLOCK;
	poll->events |= poll->flags & FUSE_POLL_NONBLOCK;
}

static void unlock(void *lock)
{
	pthread_mutex_unlock(lock);
}

/*
 * Libfuse makes threads cancellable around this, so that read(2) ends when the
 * loop does; what comes after it must not be cancelled.
 */
static ssize_t read_locked(struct fuse_buffers *fb, int fd, void *buf,
			   size_t size, int *cancel)
{
	struct fuse_in_header *in = buf;
	ssize_t len;

	pthread_mutex_lock(&fb->read_lock);
	pthread_cleanup_push(unlock, &fb->read_lock);
	len = read(fd, buf, size);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, cancel);
	/* under the lock: later requests are to come after it */
	if (len > 0 && in->opcode == FUSE_MUNMAP && fb->ops.munmap)
		fb->ops.munmap(fb->userdata, in->nodeid,
			       (const void *)(in + 1));
	pthread_cleanup_pop(1);

	return len;
}

static ssize_t read_request(int fd, void *buf, size_t size, void *userdata)
{
	struct fuse_buffers *fb = find(userdata);
	struct fuse_in_header *in = buf;
	bool ours;
	ssize_t len;
	int cancel;

	if (!fb) {
		fuse_log(FUSE_LOG_ERR,
			 "fuse_buffers: userdata is not the session's\n");
		errno = EINVAL;
		return -1;
	}

	loop_of = fb;
	do {
		len = read_locked(fb, fd, buf, size, &cancel);
		ours = false;
		if (len <= 0) {
			;
		} else if (in->opcode == FUSE_MUNMAP) {
			ours = true;
		} else if (in->opcode == FUSE_MMAP && fb->ops.mmap) {
			len = disguise_mmap(in, size);
		} else if (in->opcode == FUSE_READ &&
			   in->nodeid & FUSE_BUFFER_NODEID) {
			len = disguise_fill(in, size);
		} else if (in->opcode == FUSE_POLL &&
			   fb->features & FUSE_FEATURE_NONBLOCK) {
			show_nonblock(in);
		} else if (in->opcode == FUSE_NOTIFY_REPLY &&
			   in->unique & OUR_UNIQUE) {
			retrieve_reply(fb, in, len);
			ours = true;
		}
		pthread_setcancelstate(cancel, NULL);
	} while (ours);

	return len;
}

/*
 * Splice
 */

/* Each thread has a pipe; what is in it belongs to a message that is being made */
struct pipe {
	int fd[2];
	size_t room;		/* for data, with a header before it */
};

/* The data of a reply that libfuse is sending */
struct reply_fd {
	struct fuse_buffers *fb;
	int fd;
	off_t *pos;
	size_t len;
};

static pthread_once_t pipe_once = PTHREAD_ONCE_INIT;
static pthread_key_t pipe_key;
static __thread struct reply_fd *replying;

static void pipe_free(void *arg)
{
	struct pipe *p = arg;

	close(p->fd[0]);
	close(p->fd[1]);
	free(p);
}

static void pipe_key_create(void)
{
	if (pthread_key_create(&pipe_key, pipe_free))
		abort();
}

/* Make the next one start with an empty pipe */
static void pipe_drop(struct pipe *p)
{
	pthread_setspecific(pipe_key, NULL);
	pipe_free(p);
}

static struct pipe *pipe_get(void)
{
	size_t page = sysconf(_SC_PAGESIZE);
	struct pipe *p;

	pthread_once(&pipe_once, pipe_key_create);
	p = pthread_getspecific(pipe_key);
	if (p)
		return p;

	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	if (pipe2(p->fd, O_CLOEXEC)) {
		free(p);
		return NULL;
	}
	/* the header has a page, and so has what is not aligned at the end */
	fcntl(p->fd[1], F_SETPIPE_SZ, PIPE_MAX);
	p->room = fcntl(p->fd[1], F_GETPIPE_SZ) - 2 * page;
	if (pthread_setspecific(pipe_key, p)) {
		pipe_free(p);
		return NULL;
	}
	return p;
}

/*
 * Data of @fd into the pipe, all that comes without waiting after the first of
 * it.  Return how much, or a negative errno.
 */
static ssize_t pipe_fill(struct pipe *p, int fd, off_t *pos, size_t len)
{
	unsigned int flags = SPLICE_F_MOVE;
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = splice(fd, pos, p->fd[1], NULL, len - done, flags);
		if (n < 0 && !done)
			return -errno;
		if (n <= 0)
			break;
		done += n;
		flags |= SPLICE_F_NONBLOCK;
	}
	return done;
}

/*
 * A message with a header of @count pieces, the first of which is a
 * fuse_out_header, and data of @fd.  Return how much data, or a negative errno.
 * If the data could not be had (and @sent is false), nothing was sent.
 */
static ssize_t send_spliced(int device, struct pipe *p, struct iovec *head,
			    int count, int fd, off_t *pos, size_t len,
			    bool *sent)
{
	struct fuse_out_header *out = head[0].iov_base;
	ssize_t n, size;

	*sent = false;
	out->len = 0;
	size = writev(p->fd[1], head, count);
	n = size < 0 ? -errno : pipe_fill(p, fd, pos, len);
	if (n < 0) {
		pipe_drop(p);
		return n;
	}

	*sent = true;
	if (splice(p->fd[0], NULL, device, NULL, size + n, SPLICE_F_MOVE) < 0) {
		n = -errno;
		pipe_drop(p);
	}
	return n;
}

/* The same without a pipe */
static ssize_t send_copied(int device, struct iovec *head, int count, int fd,
			   off_t *pos, size_t len, bool *sent)
{
	struct fuse_out_header *out = head[0].iov_base;
	struct iovec v[3] = { head[0], head[count - 1] };
	char *data = malloc(len);
	ssize_t n;

	*sent = false;
	if (!data)
		return -ENOMEM;

	n = pos ? pread(fd, data, len, *pos) : read(fd, data, len);
	if (n < 0) {
		n = -errno;
	} else {
		if (pos)
			*pos += n;
		v[count].iov_base = data;
		v[count].iov_len = n;
		out->len = head[0].iov_len + n;
		if (count > 1)
			out->len += head[1].iov_len;
		if (count > 1 && out->error == FUSE_NOTIFY_STORE)
			((struct fuse_notify_store_out *)head[1].iov_base)->size = n;
		*sent = true;
		if (writev(device, v, count + 1) < 0)
			n = -errno;
	}
	free(data);
	return n;
}

static ssize_t send_fd(struct fuse_buffers *fb, int device, struct iovec *head,
		       int count, int fd, off_t *pos, size_t len, bool *sent)
{
	struct pipe *p = NULL;
	ssize_t n = -EINVAL;

	*sent = false;
	if (fb->features & FUSE_FEATURE_UNSIZED)
		p = pipe_get();
	if (p && len <= p->room)
		n = send_spliced(device, p, head, count, fd, pos, len, sent);
	/* that is also what a file which knows no splice(2) says */
	if (n == -EINVAL && !*sent)
		n = send_copied(device, head, count, fd, pos, len, sent);
	return n;
}

ssize_t fuse_buffers_store_fd(struct fuse_buffers *fb, uint64_t nodeid,
			      uint64_t offset, int fd, off_t *pos, size_t len)
{
	size_t page = sysconf(_SC_PAGESIZE);
	size_t done = 0, most = PIPE_MAX - 2 * page;
	int cancel, err;
	ssize_t n = 0;
	bool sent;

	err = enter(fb, &cancel);
	if (err)
		return err;

	while (done < len) {
		struct fuse_out_header out = { .error = FUSE_NOTIFY_STORE };
		struct fuse_notify_store_out store = {
			.nodeid = nodeid,
			.offset = offset + done,
		};
		struct iovec head[2] = {
			{ &out, sizeof(out) }, { &store, sizeof(store) },
		};
		size_t chunk = len - done < most ? len - done : most;

		n = send_fd(fb, fb->fd, head, 2, fd, pos, chunk, &sent);
		if (n <= 0)
			break;
		done += n;
		if ((size_t)n < chunk)
			break;
	}
	leave(fb, cancel);

	return done ? (ssize_t)done : n;
}

int fuse_reply_fd(fuse_req_t req, int fd, off_t *pos, size_t len)
{
	struct reply_fd r = { find(fuse_req_userdata(req)), fd, pos, len };
	int err;

	if (!r.fb || !r.fb->attached)
		return fuse_reply_err(req, ENOTCONN);

	/* libfuse makes the header; see write_reply() */
	replying = &r;
	err = fuse_reply_buf(req, NULL, 0);
	replying = NULL;

	return err;
}

static ssize_t write_reply(int fd, struct iovec *iov, int count, void *userdata)
{
	struct fuse_out_header *out = iov[0].iov_base;
	struct reply_fd *r = replying;
	ssize_t n;
	bool sent;

	(void)userdata;
	if (!r)
		return writev(fd, iov, count);

	replying = NULL;
	n = send_fd(r->fb, fd, iov, 1, r->fd, r->pos, r->len, &sent);
	if (n >= 0)
		return sizeof(*out) + n;
	if (sent) {
		errno = -n;
		return -1;
	}

	/* the client has to hear of it */
	out->error = n;
	out->len = sizeof(*out);
	return writev(fd, iov, 1);
}

static ssize_t splice_reply(int fd_in, off_t *off_in, int fd_out,
			    off_t *off_out, size_t len, unsigned int flags,
			    void *userdata)
{
	(void)userdata;
	return splice(fd_in, off_in, fd_out, off_out, len, flags);
}

int fuse_buffers_attach(struct fuse_buffers *fb, struct fuse_session *se,
			uint64_t features, uint64_t *enabled)
{
	static const struct fuse_custom_io io = {
		.read = read_request,
		.writev = write_reply,
		.splice_send = splice_reply,
	};
	struct fuse_enable enable = { .features = features };
	int fd = fuse_session_fd(se);
	int err;

	if (enabled)
		*enabled = 0;
	if (fb->se)
		return -EBUSY;

	err = ioctl(fd, FUSE_DEV_IOC_ENABLE, &enable) ? -errno : 0;
	if (err == -EOPNOTSUPP) {
		enable.features = features & enable.supported;
		enable.supported = 0;
		err = ioctl(fd, FUSE_DEV_IOC_ENABLE, &enable) ? -errno : 0;
	}
	if (err)
		return err;

	err = fuse_session_custom_io(se, &io, fd);
	if (err)
		return err;

	fb->se = se;
	fb->fd = fd;
	fb->features = enable.features;
	fb->attached = true;
	if (enabled)
		*enabled = enable.features;
	return 0;
}

uint64_t fuse_buffers_features(struct fuse_buffers *fb)
{
	return fb->attached ? fb->features : 0;
}

void fuse_buffers_detach(struct fuse_buffers *fb)
{
	struct retrieve *r, *next;

	fb->attached = false;
	/* waits for those that still use the channel */
	pthread_rwlock_wrlock(&fb->use);
	pthread_rwlock_unlock(&fb->use);

	pthread_mutex_lock(&fb->lock);
	r = fb->retrieves;
	fb->retrieves = NULL;
	pthread_mutex_unlock(&fb->lock);

	for (; r; r = next) {
		next = r->next;
		retrieve_end(r, -ENOTCONN);
	}
}

/*
 * A whole CUSE server
 */

static void complain(struct fuse_buffers *fb, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "/dev/%s: ", fb->name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

/*
 * The kernel refuses the name of another CUSE device by dropping the
 * connection, but it does not look at other classes' nodes.
 */
static bool node_is_ours(struct fuse_buffers *fb)
{
	struct pollfd pfd = { .fd = fb->fd };
	unsigned int major, minor;
	char path[PATH_MAX];
	struct stat st;
	char *p;
	FILE *f;
	int n;

	poll(&pfd, 1, 0);
	if (pfd.revents & (POLLERR | POLLHUP)) {
		complain(fb, "the kernel refused it: another CUSE server has that name");
		return false;
	}

	n = snprintf(path, sizeof(path), "/sys/class/cuse/");
	snprintf(path + n, sizeof(path) - n, "%s/dev", fb->name);
	for (p = path + n; p < path + n + strlen(fb->name); p++)
		if (*p == '/')
			*p = '!';
	f = fopen(path, "re");
	n = f ? fscanf(f, "%u:%u", &major, &minor) : 0;
	if (f)
		fclose(f);
	if (n != 2) {
		complain(fb, "cannot read its number from %s", path);
		return false;
	}

	snprintf(path, sizeof(path), "/dev/%s", fb->name);
	if (stat(path, &st)) {
		complain(fb, "no node: %s (is devtmpfs mounted on /dev?)",
			 strerror(errno));
		return false;
	}
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(major, minor)) {
		complain(fb, "is another device; choose another name");
		return false;
	}
	return true;
}

static void wrap_init_done(void *userdata)
{
	struct fuse_buffers *fb = find(userdata);
	int null;

	if (!node_is_ours(fb)) {
		fuse_session_exit(fb->se);
		return;
	}

	fb->ready = true;
	if (fb->init_done)
		fb->init_done(userdata);

	if (fb->parent >= 0) {
		null = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (null >= 0) {
			dup2(null, STDIN_FILENO);
			dup2(null, STDOUT_FILENO);
			dup2(null, STDERR_FILENO);
			if (null > STDERR_FILENO)
				close(null);
		}
		if (write(fb->parent, "", 1) != 1)
			fuse_session_exit(fb->se);
		close(fb->parent);
		fb->parent = -1;
	}
}

/* Without it, libfuse would end what was never begun */
static void wrap_destroy(void *userdata)
{
	struct fuse_buffers *fb = find(userdata);

	if (fb->ready && fb->destroy)
		fb->destroy(userdata);
}

/* Returns in the child only; the parent tells whether that one got ready */
static int into_background(struct fuse_buffers *fb)
{
	int fds[2];
	pid_t pid;
	char c;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;

	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		close(fds[0]);
		close(fds[1]);
		return -errno;
	}
	if (pid) {
		close(fds[1]);
		_exit(read(fds[0], &c, 1) == 1 ? 0 : 1);
	}

	close(fds[0]);
	fb->parent = fds[1];
	setsid();
	return chdir("/") ? -errno : 0;
}

static char *device_name(const struct cuse_info *ci)
{
	unsigned int i;

	for (i = 0; i < ci->dev_info_argc; i++)
		if (!strncmp(ci->dev_info_argv[i], "DEVNAME=", 8))
			return strdup(ci->dev_info_argv[i] + 8);
	return NULL;
}

int fuse_buffers_cuse_main(struct fuse_buffers *fb, const struct cuse_info *ci,
			   const struct cuse_lowlevel_ops *op,
			   uint64_t features, unsigned int flags,
			   void *userdata)
{
	char *argv[5] = { "cuse", "-f" };
	struct cuse_lowlevel_ops wrapped = *op;
	struct fuse_loop_config *config;
	struct fuse_session *se;
	int argc = 2, mt, res;
	char path[PATH_MAX];
	uint64_t enabled;
	struct stat st;

	free(fb->name);
	fb->name = device_name(ci);
	if (!fb->name) {
		fprintf(stderr, "cuse: no DEVNAME=\n");
		return 1;
	}

	/* the likeliest mistake: said before the fork */
	snprintf(path, sizeof(path), "/dev/%s", fb->name);
	if (!lstat(path, &st)) {
		complain(fb, "is there already; choose another name");
		return 1;
	}

	if (!(flags & FUSE_BUFFERS_FOREGROUND)) {
		res = into_background(fb);
		if (res) {
			complain(fb, "cannot go into the background: %s",
				 strerror(-res));
			return 1;
		}
	}

	fuse_buffers_wrap_cuse(fb, &wrapped);
	fb->init_done = wrapped.init_done;
	wrapped.init_done = wrap_init_done;
	fb->destroy = wrapped.destroy;
	wrapped.destroy = wrap_destroy;

	if (flags & FUSE_BUFFERS_SINGLE)
		argv[argc++] = "-s";
	if (flags & FUSE_BUFFERS_DEBUG)
		argv[argc++] = "-d";
	se = cuse_lowlevel_setup(argc, argv, ci, &wrapped, &mt, userdata);
	if (!se)
		return 1;

	res = fuse_buffers_attach(fb, se, features, &enabled);
	if (res && res != -ENOTTY) {
		complain(fb, "FUSE_DEV_IOC_ENABLE: %s", strerror(-res));
		goto out;
	}
	if (enabled != features && !(flags & FUSE_BUFFERS_OPTIONAL)) {
		complain(fb, "this kernel lacks FUSE buffers (features %#llx of %#llx)",
			 (unsigned long long)enabled,
			 (unsigned long long)features);
		res = -ENOTTY;
		goto out;
	}
	fb->se = se;
	fb->fd = fuse_session_fd(se);

	if (mt) {
		config = fuse_loop_cfg_create();
		res = fuse_session_loop_mt(se, config);
		fuse_loop_cfg_destroy(config);
	} else {
		res = fuse_session_loop(se);
	}
	/* a signal's number is not a failure */
	if (res > 0)
		res = 0;
	if (!fb->ready)
		res = -EIO;
	fuse_buffers_detach(fb);
out:
	cuse_lowlevel_teardown(se);
	return res ? 1 : 0;
}
