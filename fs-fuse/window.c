// SPDX-License-Identifier: GPL-2.0-only
/*
 * FUSE window: memory that a server attaches to its connection, and what the
 * server does with it.
 *
 * The pages are neither in a page cache nor on an LRU list: clients map them
 * through their own files, where nobody else would find them.  A page never
 * belongs to a second range: when a range is removed its pages are given up,
 * and the next one begins with none.  So nothing of a file is ever to be seen
 * in another, whoever still holds the page; absent pages are zeros.
 */

#include "fuse_i.h"
#include "dev.h"
#include "fuse_dev_i.h"
#include "buffer.h"
#include "window.h"

#include <linux/anon_inodes.h>
#include <linux/bitmap.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/log2.h>
#include <linux/rmap.h>
#include <linux/sched/mm.h>
#include <linux/sched/user.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

/* How many ranges a query returns at the most */
#define FUSE_WINDOW_DIRTY_MAX	4096U

static void fuse_window_free(struct kref *kref)
{
	struct fuse_window *win = container_of(kref, typeof(*win), kref);
	unsigned long nr = win->nr_ranges << win->shift;

	for (unsigned long i = 0; win->pages && i < nr; i++) {
		if (win->pages[i])
			put_page(win->pages[i]);
		if (!(i % SZ_1K))
			cond_resched();
	}
	for (unsigned long i = 0; i < win->nr_ranges; i++)
		fuse_chan_unreserve(win->ranges[i].removal);
	if (win->inode) {
		iput(win->inode);
		fuse_buffers_uncharge(win->buffers, win->user, nr);
	}
	free_uid(win->user);
	fuse_buffers_put(win->buffers);
	kvfree(win->pages);
	kvfree(win->dirty);
	kvfree(win);
}

void fuse_window_put(struct fuse_window *win)
{
	kref_put(&win->kref, fuse_window_free);
}

/* The connection ends */
void fuse_window_detach(struct fuse_conn *fc)
{
	if (fc->window)
		fuse_window_put(fc->window);
}

#define FUSE_WINDOW_GFP	(GFP_HIGHUSER | __GFP_ZERO | __GFP_ACCOUNT)

/* Return: @page, or the one that somebody else has put there before */
static struct page *fuse_window_install(struct fuse_window *win,
					unsigned long nr, struct page *page)
{
	struct page *old = NULL;

	if (try_cmpxchg(&win->pages[nr], &old, page))
		return page;

	put_page(page);
	return old;
}

/**
 * fuse_window_page - a page of the window, made if it is not there
 * @win: the window
 * @nr: which one
 *
 * The caller keeps its range from being dropped.
 *
 * Return: the page, or NULL if there is no memory.
 */
struct page *fuse_window_page(struct fuse_window *win, unsigned long nr)
{
	struct page *page = READ_ONCE(win->pages[nr]);

	if (page)
		return page;

	page = alloc_page(FUSE_WINDOW_GFP);
	return page ? fuse_window_install(win, nr, page) : NULL;
}

/*
 * The server is going to fill pages: if none is there, make those that follow
 * each other in memory, as fuse_range_copy() wants them.
 */
static void fuse_window_make_run(struct fuse_window *win, unsigned long first)
{
	unsigned int order = ilog2(FUSE_WINDOW_AROUND);
	struct page *page;

	for (unsigned long i = 0; i < FUSE_WINDOW_AROUND; i++)
		if (READ_ONCE(win->pages[first + i]))
			return;

	page = alloc_pages(FUSE_WINDOW_GFP | __GFP_NORETRY | __GFP_NOWARN,
			   order);
	if (!page)
		return;

	split_page(page, order);
	for (unsigned long i = 0; i < FUSE_WINDOW_AROUND; i++)
		fuse_window_install(win, first + i, page + i);
}

/* Give up the pages of a range that no client uses any more */
void fuse_window_drop(struct fuse_range *range)
{
	struct fuse_window *win = range->win;
	unsigned long first = fuse_range_first(range);
	unsigned long nr = 1UL << win->shift;

	lockdep_assert_held_write(&range->sem);

	unmap_mapping_pages(win->inode->i_mapping, first, nr, true);
	for (unsigned long i = first; i < first + nr; i++) {
		if (!win->pages[i])
			continue;
		put_page(win->pages[i]);
		WRITE_ONCE(win->pages[i], NULL);
		clear_bit(i, win->dirty);
	}
}

/* The server touches the window */
static vm_fault_t fuse_window_server_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct fuse_window *win = vma->vm_file->private_data;
	struct page *pages[FUSE_WINDOW_AROUND];
	unsigned long nr = 0, left, addr = vmf->address;
	pgoff_t pgoff = vmf->pgoff, end;
	struct fuse_range *range;
	unsigned int nofs;

	if (pgoff >= win->nr_ranges << win->shift)
		return VM_FAULT_SIGBUS;

	range = &win->ranges[pgoff >> win->shift];
	end = min3(round_down(pgoff, FUSE_WINDOW_AROUND) + FUSE_WINDOW_AROUND,
		   fuse_range_first(range) + (1UL << win->shift),
		   pgoff + ((vma->vm_end - addr) >> PAGE_SHIFT));

	nofs = memalloc_nofs_save();
	down_read(&range->sem);
	if (end - pgoff == FUSE_WINDOW_AROUND)
		fuse_window_make_run(win, pgoff);
	while (pgoff + nr < end) {
		pages[nr] = fuse_window_page(win, pgoff + nr);
		if (!pages[nr])
			break;
		nr++;
	}
	left = nr;
	if (nr)
		vm_insert_pages(vma, addr, pages, &left);
	up_read(&range->sem);
	memalloc_nofs_restore(nofs);

	/* If the first one was there somebody else has mapped it */
	return nr ? VM_FAULT_NOPAGE : VM_FAULT_OOM;
}

static const struct vm_operations_struct fuse_window_server_vm_ops = {
	.fault		= fuse_window_server_fault,
};

static int fuse_window_server_mmap(struct file *file,
				   struct vm_area_struct *vma)
{
	/* A private copy would be neither what clients see nor what they get */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;

	vm_flags_set(vma, VM_MIXEDMAP);
	vma->vm_ops = &fuse_window_server_vm_ops;
	return 0;
}

/* Take the dirty bit of a page, and let the next write to it fault */
static void fuse_window_clean(struct fuse_window *win, struct fuse_range *range,
			      unsigned long nr)
{
	struct page *page = win->pages[nr];
	struct inode *inode = NULL;
	pgoff_t pgoff;

	lockdep_assert_held_write(&range->sem);

	clear_bit(nr, win->dirty);

	/* range->sem keeps fuse_window_evict() from finishing */
	spin_lock(&win->lock);
	if (range->wi)
		inode = range->wi->inode;
	pgoff = (range->index << win->shift) + nr - fuse_range_first(range);
	spin_unlock(&win->lock);

	if (inode)
		mapping_wrprotect_range(inode->i_mapping, pgoff,
					page_to_pfn(page), 1);

	/* Still written to, by no fault that we would see */
	if (folio_maybe_dma_pinned(page_folio(page)))
		set_bit(nr, win->dirty);
}

static unsigned int fuse_window_fetch(struct fuse_window *win,
				      unsigned long *pos, unsigned long end,
				      struct fuse_buffer_range *ranges,
				      unsigned int max)
{
	unsigned int n = 0;

	while ((*pos = find_next_bit(win->dirty, end, *pos)) < end) {
		struct fuse_range *range = &win->ranges[*pos >> win->shift];
		unsigned long last = min(end, fuse_range_first(range) +
					      (1UL << win->shift));

		down_write(&range->sem);
		for (; *pos < last; ++*pos) {
			u64 start = (u64)*pos << PAGE_SHIFT;

			if (!test_bit(*pos, win->dirty))
				continue;
			if (n && ranges[n - 1].start + ranges[n - 1].len == start) {
				ranges[n - 1].len += PAGE_SIZE;
			} else if (n < max) {
				ranges[n++] = (struct fuse_buffer_range) {
					.start = start,
					.len = PAGE_SIZE,
				};
			} else {
				up_write(&range->sem);
				return n;
			}
			fuse_window_clean(win, range, *pos);
		}
		up_write(&range->sem);
		cond_resched();
	}

	return n;
}

/* Nobody was told that these are dirty */
static void fuse_window_unfetch(struct fuse_window *win,
				const struct fuse_buffer_range *fetched)
{
	unsigned long nr = fetched->start >> PAGE_SHIFT;
	unsigned long end = nr + (fetched->len >> PAGE_SHIFT);

	for (; nr < end; nr++) {
		struct fuse_range *range = &win->ranges[nr >> win->shift];

		down_write(&range->sem);
		if (win->pages[nr])
			set_bit(nr, win->dirty);
		up_write(&range->sem);
	}
}

static long fuse_window_dirty(struct fuse_window *win, void __user *argp)
{
	u64 size = (u64)win->nr_ranges << (win->shift + PAGE_SHIFT);
	struct fuse_buffer_range *ranges;
	struct fuse_window_dirty arg;
	unsigned long pos, end;
	long err = 0;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if (arg.padding || !arg.count || !PAGE_ALIGNED(arg.start | arg.len) ||
	    arg.start > size || arg.len > size - arg.start)
		return -EINVAL;

	arg.count = min(arg.count, FUSE_WINDOW_DIRTY_MAX);
	ranges = kvmalloc_array(arg.count, sizeof(*ranges), GFP_KERNEL_ACCOUNT);
	if (!ranges)
		return -ENOMEM;

	pos = arg.start >> PAGE_SHIFT;
	end = pos + (arg.len >> PAGE_SHIFT);
	arg.count = fuse_window_fetch(win, &pos, end, ranges, arg.count);
	arg.start = (u64)pos << PAGE_SHIFT;
	arg.len = (u64)(end - pos) << PAGE_SHIFT;

	if (copy_to_user(u64_to_user_ptr(arg.ranges), ranges,
			 array_size(arg.count, sizeof(*ranges))) ||
	    copy_to_user(argp, &arg, sizeof(arg)))
		err = -EFAULT;
	if (err)
		for (unsigned int i = 0; i < arg.count; i++)
			fuse_window_unfetch(win, &ranges[i]);
	kvfree(ranges);

	return err;
}

static long fuse_window_ioctl(struct file *file, unsigned int cmd,
			      unsigned long arg)
{
	if (cmd != FUSE_WINDOW_IOC_DIRTY)
		return -ENOTTY;

	return fuse_window_dirty(file->private_data, (void __user *)arg);
}

static int fuse_window_release(struct inode *inode, struct file *file)
{
	fuse_window_put(file->private_data);
	return 0;
}

#ifdef CONFIG_PROC_FS
static void fuse_window_show_fdinfo(struct seq_file *seq, struct file *file)
{
	struct fuse_window *win = file->private_data;

	seq_printf(seq, "fuse_connection:\t%u\n", win->buffers->dev);
	seq_printf(seq, "range_size:\t%zu\n", fuse_range_size(win));
	seq_printf(seq, "ranges:\t%lu\n", win->nr_ranges);
	seq_printf(seq, "free:\t%lu\n", READ_ONCE(win->nr_free));
	seq_printf(seq, "lost:\t%lu\n", READ_ONCE(win->nr_lost));
}
#endif

static const struct file_operations fuse_window_fops = {
	.owner		= THIS_MODULE,
	.llseek		= noop_llseek,
	.mmap		= fuse_window_server_mmap,
	.unlocked_ioctl	= fuse_window_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.release	= fuse_window_release,
#ifdef CONFIG_PROC_FS
	.show_fdinfo	= fuse_window_show_fdinfo,
#endif
};

static struct fuse_window *fuse_window_alloc(struct fuse_conn *fc, u64 nr_ranges,
					     unsigned int shift)
{
	struct fuse_buffers *buffers = fuse_conn_buffers_create(fc);
	unsigned long nr = nr_ranges << shift;
	struct fuse_window *win;

	if (IS_ERR(buffers))
		return ERR_CAST(buffers);

	/* The limit may be so high that this is more than can be */
	win = kvzalloc_flex(*win, ranges, nr_ranges,
			    GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!win)
		return ERR_PTR(-ENOMEM);

	kref_init(&win->kref);
	refcount_inc(&buffers->count);
	win->buffers = buffers;
	win->user = get_current_user();
	win->fc = fc;
	win->shift = shift;
	win->nr_ranges = nr_ranges;
	spin_lock_init(&win->lock);
	INIT_LIST_HEAD(&win->free);
	INIT_LIST_HEAD(&win->busy);
	INIT_LIST_HEAD(&win->hungry);
	INIT_LIST_HEAD(&win->orphans);
	for (unsigned long i = 0; i < nr_ranges; i++)
		fuse_range_init(win, &win->ranges[i]);

	win->pages = kvcalloc(nr, sizeof(*win->pages), GFP_KERNEL_ACCOUNT);
	win->dirty = kvcalloc(BITS_TO_LONGS(nr), sizeof(long),
			      GFP_KERNEL_ACCOUNT);
	if (!win->pages || !win->dirty) {
		fuse_window_put(win);
		return ERR_PTR(-ENOMEM);
	}

	return win;
}

static struct file *fuse_window_attach(struct fuse_conn *fc,
				       const struct fuse_window_attach *arg)
{
	struct fuse_window *win, *old = NULL;
	u64 pages = arg->size >> PAGE_SHIFT;
	struct file *file;
	int err;

	/* Before anything of that size is allocated */
	if (pages > READ_ONCE(fuse_max_buffer_pages))
		return ERR_PTR(-EFBIG);
	if (!READ_ONCE(fc->chan->connected))
		return ERR_PTR(-ENOTCONN);
	if (READ_ONCE(fc->window))
		return ERR_PTR(-EEXIST);

	win = fuse_window_alloc(fc, div_u64(arg->size, arg->range_size),
				ilog2(arg->range_size) - PAGE_SHIFT);
	if (IS_ERR(win))
		return ERR_CAST(win);
	win->all = arg->flags & FUSE_WINDOW_ALL;

	err = fuse_buffers_charge(win->buffers, win->user, pages);
	if (err)
		goto out;

	file = anon_inode_create_getfile("[fuse_window]", &fuse_window_fops,
					 win, O_RDWR, NULL);
	if (IS_ERR(file)) {
		fuse_buffers_uncharge(win->buffers, win->user, pages);
		err = PTR_ERR(file);
		goto out;
	}
	/* The file has the first reference now */
	win->inode = file_inode(file);
	ihold(win->inode);
	i_size_write(win->inode, arg->size);

	kref_get(&win->kref);
	if (!try_cmpxchg(&fc->window, &old, win)) {
		fuse_window_put(win);
		fput(file);
		return ERR_PTR(-EEXIST);
	}

	return file;
out:
	fuse_window_put(win);
	return ERR_PTR(err);
}

int fuse_ioctl_window(struct fuse_conn *fc, void __user *argp)
{
	struct fuse_window_attach arg;

	if (!fuse_has_feature(fc, FUSE_FEATURE_WINDOW))
		return -EOPNOTSUPP;
	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if (arg.flags & ~(O_CLOEXEC | FUSE_WINDOW_ALL) ||
	    !is_power_of_2(arg.range_size) || arg.range_size < PAGE_SIZE ||
	    arg.range_size < FUSE_WINDOW_MIN_RANGE ||
	    arg.range_size > FUSE_WINDOW_MAX_RANGE ||
	    !arg.size || !IS_ALIGNED(arg.size, arg.range_size))
		return -EINVAL;

	return FD_ADD(arg.flags & O_CLOEXEC, fuse_window_attach(fc, &arg));
}
