// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ranges of files that the server has bound to buffers ahead of mmap(2), which
 * then does not have to wait for the server.
 */

#include "fuse_i.h"
#include "dev.h"
#include "buffer.h"

#include <linux/slab.h>
#include <linux/uaccess.h>

struct fuse_binding {
	struct rb_node node;

	/* The file's inode and file handle; together the key, with start */
	u64 ino;
	u64 fh;

	/* Range of the file, in bytes, page aligned */
	u64 start;
	u64 len;

	/* Where it is in which buffer */
	struct fuse_buffer *buffer;
	u64 offset;
};

static int fuse_binding_cmp(u64 ino, u64 fh, u64 start,
			    const struct fuse_binding *b)
{
	if (ino != b->ino)
		return ino < b->ino ? -1 : 1;
	if (fh != b->fh)
		return fh < b->fh ? -1 : 1;
	if (start != b->start)
		return start < b->start ? -1 : 1;
	return 0;
}

/* The first binding that does not come before the key */
static struct fuse_binding *fuse_binding_ceil(struct fuse_buffers *buffers,
					      u64 ino, u64 fh, u64 start)
{
	struct rb_node *p = buffers->bindings.rb_node;
	struct fuse_binding *found = NULL;

	lockdep_assert_held(&buffers->lock);

	while (p) {
		struct fuse_binding *b = rb_entry(p, typeof(*b), node);

		if (fuse_binding_cmp(ino, fh, start, b) <= 0) {
			found = b;
			p = p->rb_left;
		} else {
			p = p->rb_right;
		}
	}

	return found;
}

/* The binding of the file that has the byte at @pos, or the one before it */
static struct fuse_binding *fuse_binding_floor(struct fuse_buffers *buffers,
					       u64 ino, u64 fh, u64 pos)
{
	struct rb_node *p = buffers->bindings.rb_node;
	struct fuse_binding *found = NULL;

	lockdep_assert_held(&buffers->lock);

	while (p) {
		struct fuse_binding *b = rb_entry(p, typeof(*b), node);

		if (fuse_binding_cmp(ino, fh, pos, b) >= 0) {
			found = b;
			p = p->rb_right;
		} else {
			p = p->rb_left;
		}
	}

	return found && found->ino == ino && found->fh == fh ? found : NULL;
}

static int fuse_binding_insert(struct fuse_buffers *buffers,
			       struct fuse_binding *new)
{
	struct rb_node **link = &buffers->bindings.rb_node, *parent = NULL;
	struct fuse_binding *b;

	/* The last one that starts before the new one ends */
	b = fuse_binding_floor(buffers, new->ino, new->fh,
			       new->start + new->len - 1);
	if (b && b->start + b->len > new->start)
		return -EEXIST;

	/* Each is at least a page of some file, so this is no real limit */
	if (buffers->nr_bindings >= READ_ONCE(fuse_max_buffer_pages))
		return -ENOSPC;

	while (*link) {
		parent = *link;
		b = rb_entry(parent, typeof(*b), node);
		if (fuse_binding_cmp(new->ino, new->fh, new->start, b) < 0)
			link = &parent->rb_left;
		else
			link = &parent->rb_right;
	}
	rb_link_node(&new->node, parent, link);
	rb_insert_color(&new->node, &buffers->bindings);
	buffers->nr_bindings++;

	return 0;
}

/* Drop the binding, and buffers->lock on the way */
static void fuse_binding_drop(struct fuse_buffers *buffers,
			      struct fuse_binding *b)
	__must_hold(&buffers->lock)
{
	rb_erase(&b->node, &buffers->bindings);
	buffers->nr_bindings--;

	spin_unlock(&buffers->lock);
	fuse_buffer_put(b->buffer);
	kfree(b);
	spin_lock(&buffers->lock);
}

/**
 * fuse_buffer_bound - look up the buffer that a range of a file is bound to
 * @ff: the file
 * @start: start of the range, in bytes
 * @len: its length
 * @buffer: out: the buffer, to be put by the caller
 * @offset: out: where the range starts in the buffer
 *
 * Return: whether the whole range is bound, by one binding.
 */
bool fuse_buffer_bound(struct fuse_file *ff, u64 start, u64 len,
		       struct fuse_buffer **buffer, u64 *offset)
{
	struct fuse_buffers *buffers = fuse_conn_buffers(ff->fm->fc);
	struct fuse_binding *b;

	if (!buffers)
		return false;

	guard(spinlock)(&buffers->lock);
	b = fuse_binding_floor(buffers, ff->nodeid, ff->fh, start);
	if (!b || start - b->start > b->len || len > b->len - (start - b->start))
		return false;

	refcount_inc(&b->buffer->count);
	*buffer = b->buffer;
	*offset = b->offset + (start - b->start);

	return true;
}

int fuse_ioctl_buffer_bind(struct fuse_conn *fc, void __user *argp)
{
	struct fuse_buffer_bind arg;
	struct fuse_buffer *buffer;
	struct fuse_binding *b;
	int err;

	if (!fuse_has_feature(fc, FUSE_FEATURE_BUFFERS))
		return -EOPNOTSUPP;
	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if (arg.flags & ~FUSE_BUFFER_FLAGS || arg.padding || !arg.len ||
	    !PAGE_ALIGNED(arg.start | arg.len | arg.offset) ||
	    arg.start > MAX_LFS_FILESIZE || arg.len > MAX_LFS_FILESIZE)
		return -EINVAL;

	buffer = fuse_buffer_get(fc, arg.nodeid, arg.size, arg.flags);
	if (IS_ERR(buffer))
		return PTR_ERR(buffer);

	err = -EINVAL;
	if (arg.offset > buffer->size || arg.len > buffer->size - arg.offset)
		goto out_put;

	err = -ENOMEM;
	b = kzalloc_obj(*b, GFP_KERNEL_ACCOUNT);
	if (!b)
		goto out_put;

	b->ino = arg.ino;
	b->fh = arg.fh;
	b->start = arg.start;
	b->len = arg.len;
	b->buffer = buffer;
	b->offset = arg.offset;

	scoped_guard(spinlock, &buffer->buffers->lock)
		err = fuse_binding_insert(buffer->buffers, b);
	if (!err)
		return 0;

	kfree(b);
out_put:
	fuse_buffer_put(buffer);
	return err;
}

/* Drop the bindings of a file that lie inside the range; how many were there */
static unsigned long fuse_buffer_unbind_range(struct fuse_conn *fc, u64 ino,
					      u64 fh, u64 start, u64 last)
{
	struct fuse_buffers *buffers = fuse_conn_buffers(fc);
	struct fuse_binding *b;
	unsigned long n = 0;

	if (!buffers)
		return 0;

	guard(spinlock)(&buffers->lock);
	while ((b = fuse_binding_ceil(buffers, ino, fh, start)) &&
	       b->ino == ino && b->fh == fh &&
	       b->start + b->len - 1 <= last) {
		fuse_binding_drop(buffers, b);
		n++;
	}

	return n;
}

int fuse_ioctl_buffer_unbind(struct fuse_conn *fc, void __user *argp)
{
	struct fuse_buffer_unbind arg;

	if (!fuse_has_feature(fc, FUSE_FEATURE_BUFFERS))
		return -EOPNOTSUPP;
	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if (!arg.len || arg.start + arg.len - 1 < arg.start)
		return -EINVAL;

	return fuse_buffer_unbind_range(fc, arg.ino, arg.fh, arg.start,
					arg.start + arg.len - 1) ? 0 : -ENOENT;
}

/* The file is released: its handle may come to mean something else */
void fuse_buffer_unbind_file(struct fuse_file *ff)
{
	fuse_buffer_unbind_range(ff->fm->fc, ff->nodeid, ff->fh, 0, U64_MAX);
}

/* The connection ends */
void fuse_buffer_unbind_all(struct fuse_conn *fc)
{
	struct fuse_buffers *buffers = fuse_conn_buffers(fc);
	struct rb_node *p;

	if (!buffers)
		return;

	guard(spinlock)(&buffers->lock);
	while ((p = rb_first(&buffers->bindings)))
		fuse_binding_drop(buffers, rb_entry(p, struct fuse_binding, node));
}
