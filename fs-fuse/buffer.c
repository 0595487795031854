// SPDX-License-Identifier: GPL-2.0-only
/*
 * FUSE buffers: memory that the clients and the server of a connection share.
 *
 * The memory of a buffer is the page cache of an anonymous inode.  It is not
 * shmem, because pages have to be moved into it and dropped from it.  All files
 * of the buffer, be it the server's or those behind the clients' mappings, are
 * files of that inode.
 *
 * No folio is ever locked while user memory is accessed: that memory may well
 * be a mapping of the very folio.
 */

#include "fuse_i.h"
#include "dev.h"
#include "fuse_dev_i.h"
#include "buffer.h"

#include <linux/anon_inodes.h>
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>
#include <linux/seq_buf.h>
#include <linux/seq_file.h>
#include <linux/splice.h>
#include <linux/uio.h>

#define CREATE_TRACE_POINTS
#include "buffer_trace.h"

unsigned long fuse_max_buffer_pages = SZ_1G >> PAGE_SHIFT;

static const struct rhashtable_params fuse_buffer_params = {
	.key_len		= sizeof_field(struct fuse_buffer, nodeid),
	.key_offset		= offsetof(struct fuse_buffer, nodeid),
	.head_offset		= offsetof(struct fuse_buffer, node),
	.automatic_shrinking	= true,
};

void fuse_buffers_put(struct fuse_buffers *buffers)
{
	if (refcount_dec_and_test(&buffers->count)) {
		rhashtable_destroy(&buffers->table);
		kfree(buffers);
	}
}

struct fuse_buffers *fuse_conn_buffers_create(struct fuse_conn *fc)
{
	struct fuse_buffers *buffers = fuse_conn_buffers(fc);
	struct fuse_buffers *old = NULL;
	int err;

	if (buffers)
		return buffers;

	buffers = kzalloc_obj(*buffers, GFP_KERNEL_ACCOUNT);
	if (!buffers)
		return ERR_PTR(-ENOMEM);

	err = rhashtable_init(&buffers->table, &fuse_buffer_params);
	if (err) {
		kfree(buffers);
		return ERR_PTR(err);
	}

	refcount_set(&buffers->count, 1);
	buffers->dev = fc->dev;
	mutex_init(&buffers->create);
	spin_lock_init(&buffers->lock);
	buffers->bindings = RB_ROOT;

	if (!try_cmpxchg(&fc->buffers, &old, buffers)) {
		fuse_buffers_put(buffers);
		return old;
	}

	return buffers;
}

/* The connection ends.  Its buffers stay for those who still use them. */
void fuse_buffers_free(struct fuse_conn *fc)
{
	if (fc->buffers)
		fuse_buffers_put(fc->buffers);
}

void fuse_buffers_uncharge(struct fuse_buffers *buffers,
			   struct user_struct *user, unsigned long pages)
{
	atomic_long_sub(pages, &user->locked_vm);
	spin_lock(&buffers->lock);
	buffers->pages -= pages;
	spin_unlock(&buffers->lock);
}

/*
 * The memory cannot be reclaimed, so the server's user is charged for it as if
 * it was locked: by size, that the server knows at once what it can have; but a
 * buffer that is filled on demand, which may be larger than memory as the server
 * can drop pages, by the pages that are present.
 */
int fuse_buffers_charge(struct fuse_buffers *buffers, struct user_struct *user,
			u64 pages)
{
	u64 limit = READ_ONCE(fuse_max_buffer_pages);
	unsigned long locked;

	if (pages > limit)
		return -EFBIG;

	spin_lock(&buffers->lock);
	if (buffers->pages + pages > limit) {
		spin_unlock(&buffers->lock);
		return -ENOSPC;
	}
	buffers->pages += pages;
	spin_unlock(&buffers->lock);

	locked = atomic_long_add_return(pages, &user->locked_vm);
	if (locked <= rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT ||
	    capable(CAP_IPC_LOCK))
		return 0;

	fuse_buffers_uncharge(buffers, user, pages);
	return -ENOMEM;
}

static int fuse_buffer_charge(struct fuse_buffer *buffer, u64 pages)
{
	return fuse_buffers_charge(buffer->buffers, buffer->user, pages);
}

static void fuse_buffer_uncharge(struct fuse_buffer *buffer,
				 unsigned long pages)
{
	fuse_buffers_uncharge(buffer->buffers, buffer->user, pages);
}

/* Pages that are charged with the buffer, and stay so as long as it lives */
static unsigned long fuse_buffer_fixed_pages(struct fuse_buffer *buffer)
{
	return buffer->flags & FUSE_BUFFER_DEMAND ? 0 : buffer->size >> PAGE_SHIFT;
}

static void fuse_buffer_free(struct fuse_buffer *buffer)
{
	fuse_dirty_log_free(buffer);
	free_uid(buffer->user);
	fuse_buffers_put(buffer->buffers);
	kfree_rcu(buffer, rcu);
}

/* The last user is gone: give all back, in a context that can sleep */
static int fuse_buffer_release(struct inode *inode, struct file *file)
{
	struct fuse_buffer *buffer = file->private_data;
	unsigned long pages = buffer->flags & FUSE_BUFFER_DEMAND ?
		inode->i_mapping->nrpages : buffer->size >> PAGE_SHIFT;

	trace_fuse_buffer_drop(buffer, 0, buffer->size);
	fuse_demand_forget(buffer, 0, ULONG_MAX);
	truncate_inode_pages(inode->i_mapping, 0);
	fuse_buffer_uncharge(buffer, pages);
	fuse_buffer_free(buffer);

	return 0;
}

static const struct file_operations fuse_buffer_fops = {
	.owner		= THIS_MODULE,
	.release	= fuse_buffer_release,
};

/* The memory has failed */
static int fuse_buffer_error_remove_folio(struct address_space *mapping,
					  struct folio *folio)
{
	fuse_buffer_remove_folio(mapping->host->i_private, folio);
	return 0;
}

static const struct address_space_operations fuse_buffer_aops = {
	.dirty_folio		= noop_dirty_folio,
	.migrate_folio		= filemap_migrate_folio,
	.error_remove_folio	= fuse_buffer_error_remove_folio,
};

static struct fuse_buffer *fuse_buffer_alloc(struct fuse_buffers *buffers,
					     u64 nodeid, u64 size, u32 flags)
{
	struct fuse_buffer *buffer;
	struct inode *inode;
	struct file *file;
	int err;

	buffer = kzalloc_obj(*buffer, GFP_KERNEL_ACCOUNT);
	if (!buffer)
		return ERR_PTR(-ENOMEM);

	buffer->nodeid = nodeid;
	buffer->size = size;
	buffer->flags = flags;
	xa_init(&buffer->fills);
	refcount_set(&buffer->count, 1);
	refcount_inc(&buffers->count);
	buffer->buffers = buffers;
	buffer->user = get_current_user();

	if (flags & FUSE_BUFFER_LOG) {
		err = fuse_dirty_log_alloc(buffer);
		if (err)
			goto out_free;
	}

	err = fuse_buffer_charge(buffer, fuse_buffer_fixed_pages(buffer));
	if (err)
		goto out_free;

	file = anon_inode_create_getfile("[fuse_buffer]", &fuse_buffer_fops,
					 buffer, O_RDWR, NULL);
	if (IS_ERR(file)) {
		err = PTR_ERR(file);
		goto out_uncharge;
	}

	inode = file_inode(file);
	inode->i_private = buffer;
	inode->i_mode |= S_IFREG;
	i_size_write(inode, size);
	inode->i_mapping->a_ops = &fuse_buffer_aops;
	mapping_set_unevictable(inode->i_mapping);
	buffer->file = file;

	return buffer;

out_uncharge:
	fuse_buffer_uncharge(buffer, fuse_buffer_fixed_pages(buffer));
out_free:
	fuse_buffer_free(buffer);
	return ERR_PTR(err);
}

/**
 * fuse_buffer_find - look up a buffer
 * @fc: the connection
 * @nodeid: name of the buffer
 *
 * Return: the buffer, to be put by the caller, or NULL.
 */
struct fuse_buffer *fuse_buffer_find(struct fuse_conn *fc, u64 nodeid)
{
	struct fuse_buffers *buffers = fuse_conn_buffers(fc);
	struct fuse_buffer *buffer;

	if (!buffers)
		return NULL;

	guard(rcu)();
	buffer = rhashtable_lookup(&buffers->table, &nodeid,
				   fuse_buffer_params);
	if (buffer && !refcount_inc_not_zero(&buffer->count))
		buffer = NULL;

	return buffer;
}

/**
 * fuse_buffer_get - look up a buffer, or make it
 * @fc: the connection
 * @nodeid: name of the buffer
 * @size: its size in bytes, page aligned; 0 if it must exist
 * @flags: FUSE_BUFFER_*
 *
 * The current task is charged for a new buffer.
 *
 * Return: the buffer, to be put by the caller, or the errors that are
 * documented at &struct fuse_buffer_open.
 */
struct fuse_buffer *fuse_buffer_get(struct fuse_conn *fc, u64 nodeid, u64 size,
				    u32 flags)
{
	struct fuse_buffers *buffers;
	struct fuse_buffer *buffer;
	int err;

	if (!fuse_is_buffer(nodeid) || !PAGE_ALIGNED(size))
		return ERR_PTR(-EINVAL);
	if (size > MAX_LFS_FILESIZE)
		return ERR_PTR(-EFBIG);
	if (!READ_ONCE(fc->chan->connected))
		return ERR_PTR(-ENOTCONN);

	buffers = fuse_conn_buffers_create(fc);
	if (IS_ERR(buffers))
		return ERR_CAST(buffers);

	guard(mutex)(&buffers->create);

	buffer = fuse_buffer_find(fc, nodeid);
	if (buffer) {
		if (!size || (size == buffer->size && flags == buffer->flags))
			return buffer;
		fuse_buffer_put(buffer);
		return ERR_PTR(-EEXIST);
	}
	if (!size)
		return ERR_PTR(-ENOENT);

	buffer = fuse_buffer_alloc(buffers, nodeid, size, flags);
	if (IS_ERR(buffer))
		return buffer;

	trace_fuse_buffer_create(buffer, 0, size);

	spin_lock(&buffers->lock);
	err = rhashtable_insert_fast(&buffers->table, &buffer->node,
				     fuse_buffer_params);
	spin_unlock(&buffers->lock);
	if (err) {
		fput(buffer->file);
		return ERR_PTR(err);
	}

	return buffer;
}

/**
 * fuse_buffer_put - drop a reference, and the buffer with the last one
 * @buffer: the buffer
 *
 * Context: any but hard interrupts.
 */
void fuse_buffer_put(struct fuse_buffer *buffer)
{
	struct fuse_buffers *buffers = buffer->buffers;

	/* The nodeid is free at once, be the memory given back later */
	if (!refcount_dec_and_lock(&buffer->count, &buffers->lock))
		return;

	rhashtable_remove_fast(&buffers->table, &buffer->node,
			       fuse_buffer_params);
	spin_unlock(&buffers->lock);
	fput(buffer->file);
}

/**
 * fuse_buffer_file - make a file of a buffer's inode
 * @buffer: the buffer
 * @flags: O_RDONLY or O_RDWR
 * @fops: file operations
 * @data: private data
 *
 * The inode does not hold the buffer, which is up to @data and @fops.
 *
 * Return: the file or an ERR_PTR().
 */
struct file *fuse_buffer_file(struct fuse_buffer *buffer, int flags,
			      const struct file_operations *fops, void *data)
{
	struct inode *inode = file_inode(buffer->file);
	struct file *file;
	char name[32];

	snprintf(name, sizeof(name), "[fuse_buffer:%016llx]", buffer->nodeid);

	ihold(inode);
	file = alloc_file_pseudo(inode, buffer->file->f_path.mnt, name, flags,
				 fops);
	if (IS_ERR(file)) {
		iput(inode);
		return file;
	}

	__module_get(fops->owner);
	file->private_data = data;

	return file;
}

/**
 * fuse_buffer_get_folio - look up a page
 * @buffer: the buffer
 * @index: which
 *
 * Return: the page with a reference, %NULL if there is none.  One for which
 * another is being put in place is not there yet: see fuse_buffer_move().
 */
struct folio *fuse_buffer_get_folio(struct fuse_buffer *buffer, pgoff_t index)
{
	struct folio *folio;

	folio = filemap_get_folio(buffer->file->f_mapping, index);
	if (IS_ERR(folio))
		return NULL;

	if (!folio_test_uptodate(folio)) {
		folio_put(folio);
		return NULL;
	}

	return folio;
}

/**
 * fuse_buffer_add_folio - add a page to a buffer
 * @buffer: the buffer
 * @folio: the page; unless it is up to date, another has to be put in its place
 * @index: where
 *
 * Return: 0, with @folio locked, or -errno.
 */
int fuse_buffer_add_folio(struct fuse_buffer *buffer, struct folio *folio,
			  pgoff_t index)
{
	struct address_space *mapping = buffer->file->f_mapping;
	bool demand = buffer->flags & FUSE_BUFFER_DEMAND;
	int err;

	if (demand) {
		err = fuse_buffer_charge(buffer, 1);
		if (err)
			return err;
	}

	err = filemap_add_folio(mapping, folio, index,
				mapping_gfp_mask(mapping));
	if (err) {
		if (demand)
			fuse_buffer_uncharge(buffer, 1);
		return err;
	}

	/* Else it would be dropped, as can be had again */
	if (folio_test_uptodate(folio))
		folio_mark_dirty(folio);

	return 0;
}

/**
 * fuse_buffer_remove_folio - drop a page from a buffer and from all mappings
 * @buffer: the buffer
 * @folio: the page, locked; nothing happens if it is no longer the buffer's
 */
void fuse_buffer_remove_folio(struct fuse_buffer *buffer, struct folio *folio)
{
	if (!generic_error_remove_folio(buffer->file->f_mapping, folio) &&
	    buffer->flags & FUSE_BUFFER_DEMAND)
		fuse_buffer_uncharge(buffer, 1);
}

vm_fault_t fuse_buffer_fault(struct vm_fault *vmf)
{
	struct address_space *mapping = vmf->vma->vm_file->f_mapping;
	struct fuse_buffer *buffer = mapping->host->i_private;
	struct folio *folio;
	int err;

	if (vmf->pgoff >= buffer->size >> PAGE_SHIFT)
		return VM_FAULT_SIGBUS;

retry:
	folio = filemap_lock_folio(mapping, vmf->pgoff);
	if (IS_ERR(folio)) {
		/* The server's own access: it must not ask itself */
		if (buffer->flags & FUSE_BUFFER_DEMAND)
			return VM_FAULT_SIGBUS;

		folio = filemap_alloc_folio(mapping_gfp_mask(mapping) |
					    __GFP_ZERO, 0, NULL);
		if (!folio)
			return VM_FAULT_OOM;

		folio_mark_uptodate(folio);
		err = fuse_buffer_add_folio(buffer, folio, vmf->pgoff);
		if (err) {
			folio_put(folio);
			if (err == -EEXIST)
				goto retry;
			return vmf_error(err);
		}
	}

	vmf->page = folio_file_page(folio, vmf->pgoff);
	return VM_FAULT_LOCKED;
}

/* Of the server */
static const struct vm_operations_struct fuse_buffer_vm_ops = {
	.fault		= fuse_buffer_fault,
	.map_pages	= filemap_map_pages,
};

static ssize_t fuse_buffer_fill_folio(struct fuse_buffer *buffer, pgoff_t index,
				      size_t offset, size_t len,
				      fuse_buffer_copy_t copy, void *src)
{
	struct address_space *mapping = buffer->file->f_mapping;
	struct folio *folio, *old;
	gfp_t gfp = mapping_gfp_mask(mapping);
	ssize_t ret;
	int err;

	folio = fuse_buffer_get_folio(buffer, index);
	if (folio) {
		ret = copy(folio, offset, len, src);
		folio_put(folio);
		return ret;
	}

	if (len < PAGE_SIZE)
		gfp |= __GFP_ZERO;
	folio = filemap_alloc_folio(gfp, 0, NULL);
	if (!folio)
		return -ENOMEM;

	ret = copy(folio, offset, len, src);
	if (ret <= 0)
		goto out;
	if (len == PAGE_SIZE)
		folio_zero_segment(folio, ret, PAGE_SIZE);

	/* Somebody may be faster to add the page, or to drop it again */
	folio_mark_uptodate(folio);
	while ((err = fuse_buffer_add_folio(buffer, folio, index)) == -EEXIST) {
		old = filemap_lock_folio(mapping, index);
		if (IS_ERR(old))
			continue;
		memcpy_page(folio_page(old, 0), offset, folio_page(folio, 0),
			    offset, ret);
		folio_unlock(old);
		folio_put(old);
		goto out;
	}
	if (err) {
		ret = err;
	} else {
		fuse_demand_forget(buffer, index, index);
		folio_unlock(folio);
	}
out:
	folio_put(folio);
	return ret;
}

/**
 * fuse_buffer_fill - copy data into a buffer
 * @buffer: the buffer
 * @pos: where to, in bytes
 * @len: number of bytes, not beyond the end
 * @copy: copies into one page
 * @src: for @copy
 *
 * A new page is seen by others only when it is filled.
 *
 * Return: number of bytes copied, or -errno if none was.
 */
ssize_t fuse_buffer_fill(struct fuse_buffer *buffer, loff_t pos, size_t len,
			 fuse_buffer_copy_t copy, void *src)
{
	size_t done = 0;

	while (done < len) {
		size_t offset = offset_in_page(pos);
		size_t n = min(PAGE_SIZE - offset, len - done);
		ssize_t ret;

		ret = fuse_buffer_fill_folio(buffer, pos >> PAGE_SHIFT, offset,
					     n, copy, src);
		if (ret < 0)
			return done ?: ret;

		done += ret;
		pos += ret;
		if (ret < n)
			break;

		if (fatal_signal_pending(current))
			return done ?: -EINTR;
		cond_resched();
	}

	return done;
}

static ssize_t fuse_buffer_copy_iter(struct folio *folio, size_t offset,
				     size_t len, void *from)
{
	return copy_folio_from_iter(folio, offset, len, from) ?: -EFAULT;
}

static ssize_t fuse_buffer_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct fuse_buffer *buffer = iocb->ki_filp->private_data;
	loff_t pos = iocb->ki_pos;
	ssize_t ret;

	if (!iov_iter_count(from))
		return 0;
	if (pos >= buffer->size)
		return -ENOSPC;

	iov_iter_truncate(from, buffer->size - pos);
	ret = fuse_buffer_fill(buffer, pos, iov_iter_count(from),
			       fuse_buffer_copy_iter, from);
	if (ret > 0)
		iocb->ki_pos += ret;

	return ret;
}

static ssize_t fuse_buffer_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct fuse_buffer *buffer = iocb->ki_filp->private_data;
	loff_t pos = iocb->ki_pos;
	size_t done = 0;
	int err = 0;

	while (pos < buffer->size && iov_iter_count(to)) {
		size_t offset = offset_in_page(pos);
		size_t n = min(PAGE_SIZE - offset, iov_iter_count(to));
		struct folio *folio;
		size_t ret;

		folio = fuse_buffer_get_folio(buffer, pos >> PAGE_SHIFT);
		if (!folio) {
			/* What is in a page that was never filled? */
			if (buffer->flags & FUSE_BUFFER_DEMAND) {
				err = -ENODATA;
				break;
			}
			ret = iov_iter_zero(n, to);
		} else {
			ret = copy_folio_to_iter(folio, offset, n, to);
			folio_put(folio);
		}

		done += ret;
		pos += ret;
		if (ret < n) {
			err = -EFAULT;
			break;
		}

		if (fatal_signal_pending(current))
			break;
		cond_resched();
	}

	iocb->ki_pos = pos;
	return done ?: err;
}

static int fuse_buffer_file_mmap(struct file *file, struct vm_area_struct *vma)
{
	/* Where the file system of anonymous inodes does not see to it */
	if (vma->vm_flags & VM_EXEC)
		return -EPERM;

	vm_flags_clear(vma, VM_MAYEXEC);
	vma->vm_ops = &fuse_buffer_vm_ops;
	return 0;
}

static int fuse_buffer_file_release(struct inode *inode, struct file *file)
{
	fuse_buffer_put(file->private_data);
	return 0;
}

static long fuse_buffer_ioctl(struct file *file, unsigned int cmd,
			      unsigned long arg)
{
	if (cmd != FUSE_BUFFER_IOC_DIRTY)
		return -ENOTTY;

	return fuse_dirty_query(file->private_data, (void __user *)arg);
}

static __poll_t fuse_buffer_poll(struct file *file, poll_table *wait)
{
	return fuse_dirty_poll(file->private_data, file, wait);
}

#ifdef CONFIG_PROC_FS
static void fuse_buffer_show_fdinfo(struct seq_file *seq, struct file *file)
{
	struct fuse_buffer *buffer = file->private_data;

	seq_printf(seq, "fuse_connection:\t%u\n", buffer->buffers->dev);
	seq_printf(seq, "nodeid:\t0x%016llx\n", buffer->nodeid);
	seq_printf(seq, "size:\t%lld\n", buffer->size);
	seq_printf(seq, "present:\t%lu\n", READ_ONCE(file->f_mapping->nrpages));
	seq_printf(seq, "mappings:\t%d\n", atomic_read(&buffer->mappings));
}
#endif

/* The server's view */
static const struct file_operations fuse_buffer_file_fops = {
	.owner		= THIS_MODULE,
	.llseek		= generic_file_llseek,
	.read_iter	= fuse_buffer_read_iter,
	.write_iter	= fuse_buffer_write_iter,
	.splice_read	= copy_splice_read,
	.splice_write	= iter_file_splice_write,
	.mmap		= fuse_buffer_file_mmap,
	.unlocked_ioctl	= fuse_buffer_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.poll		= fuse_buffer_poll,
	.fsync		= noop_fsync,
	.release	= fuse_buffer_file_release,
#ifdef CONFIG_PROC_FS
	.show_fdinfo	= fuse_buffer_show_fdinfo,
#endif
};

static struct file *fuse_buffer_open(struct fuse_conn *fc,
				     const struct fuse_buffer_open *arg)
{
	struct fuse_buffer *buffer;
	struct file *file;

	buffer = fuse_buffer_get(fc, arg->nodeid, arg->size,
				 arg->flags & FUSE_BUFFER_FLAGS);
	if (IS_ERR(buffer))
		return ERR_CAST(buffer);

	file = fuse_buffer_file(buffer, O_RDWR, &fuse_buffer_file_fops, buffer);
	if (IS_ERR(file))
		fuse_buffer_put(buffer);
	else
		file->f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE;

	return file;
}

int fuse_ioctl_buffer_open(struct fuse_conn *fc, void __user *argp)
{
	struct fuse_buffer_open arg;

	if (!fuse_has_feature(fc, FUSE_FEATURE_BUFFERS))
		return -EOPNOTSUPP;
	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if (arg.flags & ~(O_CLOEXEC | FUSE_BUFFER_FLAGS) || arg.padding)
		return -EINVAL;

	return FD_ADD(arg.flags & O_CLOEXEC, fuse_buffer_open(fc, &arg));
}

/**
 * fuse_buffers_show - list the buffers of a connection
 * @fc: the connection
 * @s: where to, a line for each buffer: nodeid, size in bytes, number of pages
 *	present, number of mappings
 */
void fuse_buffers_show(struct fuse_conn *fc, struct seq_buf *s)
{
	struct fuse_buffers *buffers = fuse_conn_buffers(fc);
	struct rhashtable_iter iter;
	struct fuse_buffer *buffer;

	if (!buffers)
		return;

	rhashtable_walk_enter(&buffers->table, &iter);
	rhashtable_walk_start(&iter);
	while ((buffer = rhashtable_walk_next(&iter))) {
		/* The table is being resized: the walk starts again */
		if (IS_ERR(buffer))
			continue;
		if (!refcount_inc_not_zero(&buffer->count))
			continue;
		seq_buf_printf(s, "0x%016llx %lld %lu %d\n", buffer->nodeid,
			       buffer->size,
			       READ_ONCE(buffer->file->f_mapping->nrpages),
			       atomic_read(&buffer->mappings));
		fuse_buffer_put(buffer);
	}
	rhashtable_walk_stop(&iter);
	rhashtable_walk_exit(&iter);
}
EXPORT_SYMBOL_GPL(fuse_buffers_show);
