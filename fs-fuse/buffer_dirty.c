// SPDX-License-Identifier: GPL-2.0-only
/*
 * What have clients written to a buffer, and when?
 *
 * The first write to a page through a client's mapping faults and makes the page
 * hot.  A query write-protects the hot pages again, so that they fault once
 * more, and gives each of them a new stamp.  So a page whose stamp is larger
 * than the last one that a watcher has seen was written since, and watchers do
 * not disturb each other.  Everything costs as much as there are pages that were
 * written, whatever the size of the buffer.
 *
 * Not done by mapping_dirty_helpers: they lose what was written before munmap(2),
 * report what was only read, and cannot tell clients from the server.
 */

#include "fuse_i.h"
#include "buffer.h"

#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/poll.h>
#include <linux/rmap.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

/* A page that a client has ever written */
struct fuse_dirty_page {
	/* In log->stamped by stamp, if it has one */
	struct list_head stamped;

	/* In log->hot while clients can write without a fault */
	struct list_head hot;

	pgoff_t index;
	u64 stamp;

	/* The stamp that it had when it was last retrieved */
	u64 retrieved;
};

/* How many ranges a query returns at the most */
#define FUSE_BUFFER_DIRTY_MAX	65536U

struct fuse_dirty_log {
	/* Serialises queries */
	struct mutex query;

	/* Protects all below, and the pages' members */
	spinlock_t lock;
	struct list_head hot;
	struct list_head stamped;
	u64 last_stamp;

	/* For poll(2): pages become hot */
	wait_queue_head_t wait;

	/* Pages by index */
	struct xarray pages;
};

int fuse_dirty_log_alloc(struct fuse_buffer *buffer)
{
	struct fuse_dirty_log *log = kzalloc_obj(*log, GFP_KERNEL_ACCOUNT);

	if (!log)
		return -ENOMEM;

	mutex_init(&log->query);
	spin_lock_init(&log->lock);
	INIT_LIST_HEAD(&log->hot);
	INIT_LIST_HEAD(&log->stamped);
	init_waitqueue_head(&log->wait);
	xa_init(&log->pages);
	buffer->log = log;

	return 0;
}

void fuse_dirty_log_free(struct fuse_buffer *buffer)
{
	struct fuse_dirty_log *log = buffer->log;
	struct fuse_dirty_page *page;
	unsigned long index;

	if (!log)
		return;

	xa_for_each(&log->pages, index, page)
		kfree(page);
	xa_destroy(&log->pages);
	kfree(log);
}

static struct fuse_dirty_page *fuse_dirty_page(struct fuse_dirty_log *log,
					       pgoff_t index)
{
	struct fuse_dirty_page *page = xa_load(&log->pages, index);
	int err;

	if (page)
		return page;

	page = kzalloc_obj(*page, GFP_KERNEL_ACCOUNT);
	if (!page)
		return NULL;

	INIT_LIST_HEAD(&page->stamped);
	INIT_LIST_HEAD(&page->hot);
	page->index = index;
	err = xa_insert(&log->pages, index, page, GFP_KERNEL_ACCOUNT);
	if (!err)
		return page;

	kfree(page);
	/* Pages stay until the log is freed */
	return err == -EBUSY ? xa_load(&log->pages, index) : NULL;
}

/* A client is about to write to a page for the first time since a query */
vm_fault_t fuse_dirty_mkwrite(struct vm_fault *vmf)
{
	struct file *file = vmf->vma->vm_file;
	struct fuse_mapping *m = file->private_data;
	struct fuse_dirty_log *log = m->buffer->log;
	struct folio *folio = page_folio(vmf->page);
	struct fuse_dirty_page *page;
	bool first;

	page = fuse_dirty_page(log, vmf->pgoff);
	if (!page)
		return VM_FAULT_OOM;

	folio_lock(folio);
	if (folio->mapping != file->f_mapping) {
		folio_unlock(folio);
		return VM_FAULT_NOPAGE;
	}

	/* With the folio locked: a query comes before, or after the write */
	spin_lock(&log->lock);
	first = list_empty(&log->hot);
	if (list_empty(&page->hot))
		list_add_tail(&page->hot, &log->hot);
	spin_unlock(&log->lock);
	if (first)
		wake_up_interruptible_poll(&log->wait, EPOLLIN);

	return VM_FAULT_LOCKED;
}

/* Stamp a page, and let the next write to it fault */
static void fuse_dirty_cool(struct fuse_buffer *buffer,
			    struct fuse_dirty_page *page)
{
	struct address_space *mapping = buffer->file->f_mapping;
	struct fuse_dirty_log *log = buffer->log;
	struct folio *folio;
	bool pinned;

	do {
		folio = filemap_lock_folio(mapping, page->index);
		pinned = false;
		if (!IS_ERR(folio)) {
			folio_mkclean(folio);
			/* Still written to, by no fault that we would see */
			pinned = folio_maybe_dma_pinned(folio);
		}

		spin_lock(&log->lock);
		page->stamp = ++log->last_stamp;
		list_move_tail(&page->stamped, &log->stamped);
		list_del_init(&page->hot);
		if (pinned)
			list_add_tail(&page->hot, &log->hot);
		spin_unlock(&log->lock);

		if (!IS_ERR(folio)) {
			folio_unlock(folio);
			folio_put(folio);
			return;
		}
		/* If it was not there to be locked, is it now, and written? */
	} while (filemap_range_has_page(mapping,
					(loff_t)page->index << PAGE_SHIFT,
					(loff_t)page->index << PAGE_SHIFT));
}

static void fuse_dirty_cool_all(struct fuse_buffer *buffer)
{
	struct fuse_dirty_log *log = buffer->log;
	LIST_HEAD(hot);

	spin_lock(&log->lock);
	list_splice_init(&log->hot, &hot);
	while (!list_empty(&hot)) {
		struct fuse_dirty_page *page =
			list_first_entry(&hot, typeof(*page), hot);

		spin_unlock(&log->lock);
		fuse_dirty_cool(buffer, page);
		cond_resched();
		spin_lock(&log->lock);
	}
	spin_unlock(&log->lock);
}

/* Ranges of what has a stamp after *since, in the order of stamps */
static unsigned int fuse_dirty_ranges(struct fuse_dirty_log *log, u64 *since,
				      struct fuse_buffer_range *ranges,
				      unsigned int max)
{
	struct fuse_buffer_range *range = NULL;
	struct fuse_dirty_page *page;
	unsigned int n = 0;

	guard(spinlock)(&log->lock);

	list_for_each_entry_reverse(page, &log->stamped, stamped)
		if (page->stamp <= *since)
			break;

	list_for_each_entry_continue(page, &log->stamped, stamped) {
		u64 start = (u64)page->index << PAGE_SHIFT;

		if (range && range->start + range->len == start) {
			range->len += PAGE_SIZE;
		} else {
			if (n == max)
				break;
			range = &ranges[n++];
			range->start = start;
			range->len = PAGE_SIZE;
		}
		*since = page->stamp;
	}

	return n;
}

long fuse_dirty_query(struct fuse_buffer *buffer, void __user *argp)
{
	struct fuse_buffer_dirty arg;
	struct fuse_buffer_range *ranges;
	struct fuse_dirty_log *log = buffer->log;

	if (!log)
		return -EOPNOTSUPP;
	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if (arg.padding || !arg.count || arg.count > FUSE_BUFFER_DIRTY_MAX)
		return -EINVAL;

	ranges = kvmalloc_array(arg.count, sizeof(*ranges), GFP_KERNEL_ACCOUNT);
	if (!ranges)
		return -ENOMEM;

	scoped_guard(mutex, &log->query) {
		if (arg.since > log->last_stamp) {
			kvfree(ranges);
			return -EINVAL;
		}
		fuse_dirty_cool_all(buffer);
		arg.count = fuse_dirty_ranges(log, &arg.since, ranges,
					      arg.count);
	}

	if (copy_to_user(u64_to_user_ptr(arg.ranges), ranges,
			 array_size(arg.count, sizeof(*ranges))) ||
	    copy_to_user(argp, &arg, sizeof(arg)))
		arg.count = -EFAULT;
	kvfree(ranges);

	return (int)arg.count < 0 ? -EFAULT : 0;
}

/**
 * fuse_dirty_take - what to retrieve of a range
 * @buffer: the buffer
 * @pos: in: start of the range; out: start of the first pages in it that were
 *	written to since they were last taken
 * @len: in: length of the range; out: that of those pages
 * @max: how many pages at the most
 *
 * Return: whether there are any.
 */
bool fuse_dirty_take(struct fuse_buffer *buffer, u64 *pos, u64 *len,
		     unsigned int max)
{
	struct fuse_dirty_log *log = buffer->log;
	pgoff_t last = (*pos + *len - 1) >> PAGE_SHIFT;
	struct fuse_dirty_page *page;
	pgoff_t first, next = 0;
	unsigned long index;

	if (!*len)
		return false;

	guard(mutex)(&log->query);
	fuse_dirty_cool_all(buffer);

	xa_for_each_range(&log->pages, index, page, *pos >> PAGE_SHIFT, last) {
		if (page->stamp > page->retrieved) {
			if (!next)
				first = index;
			else if (index != next || index - first == max)
				break;
			page->retrieved = page->stamp;
			next = index + 1;
		} else if (next) {
			break;
		}
	}
	if (!next)
		return false;

	*pos = (u64)first << PAGE_SHIFT;
	*len = (u64)(next - first) << PAGE_SHIFT;
	return true;
}

__poll_t fuse_dirty_poll(struct fuse_buffer *buffer, struct file *file,
			 poll_table *wait)
{
	struct fuse_dirty_log *log = buffer->log;

	if (!log)
		return DEFAULT_POLLMASK;

	poll_wait(file, &log->wait, wait);

	guard(spinlock)(&log->lock);
	return EPOLLOUT | EPOLLWRNORM |
		(list_empty(&log->hot) ? 0 : EPOLLIN | EPOLLRDNORM);
}
