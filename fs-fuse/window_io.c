// SPDX-License-Identifier: GPL-2.0-only
/*
 * FUSE window: clients read, write and map files that use it.
 *
 * Of a range nothing is held while user memory is accessed in a way that may
 * fault: that memory may be a mapping of any range, which has to be set up.
 */

#include "fuse_i.h"
#include "dev.h"
#include "window.h"

#include <linux/file.h>
#include <linux/highmem.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/task_io_accounting_ops.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

/* A FUSE_READ or FUSE_WRITE of what is not in the window */
struct fuse_window_io {
	struct fuse_args_pages ap;
	union {
		struct fuse_read_in read_in;
		struct fuse_write_in write_in;
	};
	struct fuse_write_out out;
	struct fuse_window_inode *wi;
	struct fuse_file *ff;
	struct completion done;
	int error;

	/* The pages are the client's own */
	bool direct;

	/* The request, and who waits for it */
	refcount_t count;
};

static void fuse_window_io_put(struct fuse_window_io *io)
{
	if (!refcount_dec_and_test(&io->count))
		return;

	if (io->direct)
		fuse_release_user_pages(&io->ap, 0,
					io->ap.args.opcode == FUSE_READ);
	else
		for (unsigned int i = 0; i < io->ap.num_folios; i++)
			folio_put(io->ap.folios[i]);
	kfree(io->ap.folios);
	fuse_file_put(io->ff, false);
	kfree(io);
}

/* Of a single range of user memory */
static unsigned long fuse_window_io_addr(const struct iov_iter *iter)
{
	return (unsigned long)iter->ubuf + iter->iov_offset;
}

/*
 * Can the request be about the client's own pages?  If they are anonymous: what
 * is pinned of a window is in the way of what else has to come into it.
 */
static bool fuse_window_io_direct(const struct iov_iter *iter, size_t len)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	unsigned long addr;
	bool ret;

	if (!iter_is_ubuf(iter) || len < PAGE_SIZE || mmap_read_lock_killable(mm))
		return false;
	addr = untagged_addr(fuse_window_io_addr(iter));
	vma = vma_lookup(mm, addr);
	ret = vma && vma_is_anonymous(vma) && len <= vma->vm_end - addr;
	mmap_read_unlock(mm);

	return ret;
}

/* With pages for *@len bytes of @iter, or for less: *@len says so then */
static struct fuse_window_io *fuse_window_io_alloc(struct file *file,
						   struct iov_iter *iter,
						   size_t *len, bool write)
{
	struct fuse_file *ff = file->private_data;
	struct fuse_conn *fc = ff->fm->fc;
	struct fuse_window_io *io = kzalloc_obj(*io, GFP_KERNEL_ACCOUNT);
	struct fuse_args_pages *ap;
	unsigned int offset = 0, nr;
	int err = -ENOMEM;

	if (!io)
		return ERR_PTR(err);

	refcount_set(&io->count, 1);
	init_completion(&io->done);
	io->ff = fuse_file_get(ff);
	io->wi = fuse_window_inode(file_inode(file));
	io->direct = fuse_window_io_direct(iter, *len);
	ap = &io->ap;
	if (io->direct)
		offset = offset_in_page(fuse_window_io_addr(iter));
	nr = min(DIV_ROUND_UP(offset + *len, PAGE_SIZE), fc->max_pages);
	ap->folios = fuse_folios_alloc(nr, GFP_KERNEL_ACCOUNT, &ap->descs);
	if (!ap->folios)
		goto out;

	if (io->direct) {
		err = fuse_get_user_pages(ap, iter, len, write, nr, true);
		if (*len)
			return io;
		goto out;
	}

	while (ap->num_folios < nr) {
		struct folio *folio = folio_alloc(GFP_HIGHUSER | __GFP_ACCOUNT, 0);

		if (!folio)
			break;
		ap->folios[ap->num_folios] = folio;
		ap->descs[ap->num_folios++].length = PAGE_SIZE;
	}
	if (!ap->num_folios)
		goto out;

	*len = min(*len, ap->num_folios * PAGE_SIZE);
	if (ap->num_folios * PAGE_SIZE > *len)
		ap->descs[ap->num_folios - 1].length =
			offset_in_page(*len - 1) + 1;
	return io;
out:
	fuse_window_io_put(io);
	return ERR_PTR(err);
}

static void fuse_window_io_end(struct fuse_args *args, int error)
{
	struct fuse_window_io *io = container_of(args, typeof(*io), ap.args);
	struct fuse_window_inode *wi = io->wi;

	if (args->opcode == FUSE_WRITE) {
		if (!error && io->out.size > io->write_in.size)
			error = -EIO;

		/* Before a range can be set up that ends in the new part */
		spin_lock(&wi->win->lock);
		if (!error && wi->inode)
			fuse_write_update_attr(wi->inode,
					       io->write_in.offset + io->out.size,
					       io->out.size);
		spin_unlock(&wi->win->lock);
		fuse_window_inode_thaw(wi);
		fuse_window_inode_put(wi);
	}
	io->error = error;
	complete(&io->done);
	fuse_window_io_put(io);
}

static int fuse_window_io_send(struct fuse_window_io *io)
{
	io->ap.args.nodeid = io->ff->nodeid;
	io->ap.args.end = fuse_window_io_end;
	refcount_inc(&io->count);

	return fuse_simple_killable(io->ff->fm, &io->ap.args, &io->done) ?:
		io->error;
}

static ssize_t fuse_window_read_plain(struct kiocb *iocb, struct iov_iter *to,
				      size_t len)
{
	struct file *file = iocb->ki_filp;
	struct fuse_file *ff = file->private_data;
	struct fuse_window_io *io;
	struct fuse_args *args;
	size_t done = 0;
	ssize_t err;

	len = min(len, ff->fm->fc->max_read);
	io = fuse_window_io_alloc(file, to, &len, false);
	if (IS_ERR(io))
		return PTR_ERR(io);

	io->read_in = (struct fuse_read_in) {
		.fh = ff->fh,
		.offset = iocb->ki_pos,
		.size = len,
		.flags = file->f_flags,
	};
	args = &io->ap.args;
	args->opcode = FUSE_READ;
	args->in_numargs = 1;
	args->in_args[0].size = sizeof(io->read_in);
	args->in_args[0].value = &io->read_in;
	args->out_numargs = 1;
	args->out_args[0].size = len;
	args->out_pages = true;
	args->out_argvar = true;

	err = fuse_window_io_send(io);
	if (io->direct) {
		done = err ? 0 : args->out_args[0].size;
		iov_iter_revert(to, len - done);
	} else if (!err) {
		len = args->out_args[0].size;
		for (unsigned int i = 0; done < len; i++) {
			size_t n = min(len - done, PAGE_SIZE);
			size_t copied = copy_folio_to_iter(io->ap.folios[i], 0,
							   n, to);

			done += copied;
			if (copied < n) {
				err = -EFAULT;
				break;
			}
		}
	}
	fuse_window_io_put(io);

	return done ?: err;
}

static ssize_t fuse_window_write_plain(struct kiocb *iocb, struct iov_iter *from,
				       size_t len)
{
	struct file *file = iocb->ki_filp;
	struct inode *inode = file_inode(file);
	struct fuse_file *ff = file->private_data;
	struct fuse_conn *fc = ff->fm->fc;
	loff_t pos = iocb->ki_pos;
	struct fuse_window_io *io;
	struct fuse_args *args;
	size_t done = 0;
	ssize_t err;

	len = min(len, fc->max_write);
	io = fuse_window_io_alloc(file, from, &len, true);
	if (IS_ERR(io))
		return PTR_ERR(io);

	for (unsigned int i = 0; !io->direct && done < len; i++) {
		size_t n = min(len - done, PAGE_SIZE);
		size_t copied = copy_folio_from_iter(io->ap.folios[i], 0, n,
						     from);

		done += copied;
		if (copied < n) {
			iov_iter_revert(from, done);
			err = -EFAULT;
			goto out;
		}
	}

	/* With what is behind the old end: see fuse_range_zero_tail() */
	err = fuse_window_freeze(inode, min(pos, i_size_read(inode)),
				 pos + len - 1);
	if (err)
		goto out;
	refcount_inc(&io->wi->count);

	io->write_in = (struct fuse_write_in) {
		.fh = ff->fh,
		.offset = pos,
		.size = len,
		.flags = file->f_flags | (iocb_is_dsync(iocb) ? O_DSYNC : 0) |
			 (iocb->ki_flags & IOCB_SYNC ? O_SYNC : 0),
	};
	if (fc->handle_killpriv_v2 && !capable(CAP_FSETID))
		io->write_in.write_flags |= FUSE_WRITE_KILL_SUIDGID;
	args = &io->ap.args;
	args->opcode = FUSE_WRITE;
	args->in_numargs = 2;
	args->in_args[0].size = sizeof(io->write_in);
	args->in_args[0].value = &io->write_in;
	args->in_args[1].size = len;
	args->in_pages = true;
	args->out_numargs = 1;
	args->out_args[0].size = sizeof(io->out);
	args->out_args[0].value = &io->out;

	err = fuse_window_io_send(io);
	if (!err && io->out.size < len)
		iov_iter_revert(from, len - io->out.size);
	if (!err)
		err = io->out.size ?: -EIO;
out:
	fuse_window_io_put(io);
	return err;
}

/*
 * A range to use; NULL if it is not set up, and making room for it does not pay:
 * @len bytes are wanted.
 */
static struct fuse_range *fuse_window_use(struct kiocb *iocb, size_t len,
					  bool write)
{
	struct fuse_window_inode *wi = fuse_window_inode(file_inode(iocb->ki_filp));
	pgoff_t index = fuse_range_index(wi->win, iocb->ki_pos);
	bool sequential = iocb->ki_pos == iocb->ki_filp->f_ra.prev_pos;
	struct fuse_range_waiter w;
	struct fuse_range *range;
	int err;

	while (!(range = fuse_range_get(wi, index, write))) {
		if (!fuse_range_pays(wi, index, len, sequential))
			return NULL;

		err = fuse_range_ask(wi, index, write, &w) ?:
			fuse_range_wait(&w);
		if (err)
			return ERR_PTR(err);
	}

	return range;
}

/* Which page of the window has a position of the file */
static unsigned long fuse_range_nr(struct fuse_range *range, loff_t pos)
{
	unsigned long mask = (1UL << range->win->shift) - 1;

	return fuse_range_first(range) + ((pos >> PAGE_SHIFT) & mask);
}

static struct page *fuse_range_page(struct fuse_range *range, loff_t pos)
{
	return fuse_window_page(range->win, fuse_range_nr(range, pos));
}

/* Are pages that are next to each other mapped so, and their struct pages, too? */
#define FUSE_WINDOW_RUNS (!IS_ENABLED(CONFIG_HIGHMEM) && \
			  (IS_ENABLED(CONFIG_FLATMEM) || \
			   IS_ENABLED(CONFIG_SPARSEMEM_VMEMMAP)))

/*
 * Copy to or from the pages of a range, as far as they and the user's memory are
 * there.  Pages that follow each other are copied at once.
 */
static size_t fuse_range_copy(struct fuse_range *range, loff_t pos, size_t len,
			      struct iov_iter *iter)
{
	struct page **at = range->win->pages + fuse_range_nr(range, pos), *page;
	size_t size = fuse_range_size(range->win);
	size_t offset = offset_in_page(pos), done = 0;
	size_t left, run, copied;

	len = min_t(size_t, len, size - (pos & (size - 1)));
	pagefault_disable();
	while (done < len && (page = READ_ONCE(*at))) {
		void *addr = kmap_local_page(page) + offset;

		left = len - done;
		run = PAGE_SIZE - offset;
		at++;
		while (FUSE_WINDOW_RUNS && run < left &&
		       READ_ONCE(*at) == ++page) {
			run += PAGE_SIZE;
			at++;
		}
		run = min(run, left);
		if (iov_iter_rw(iter) == WRITE)
			copied = copy_from_iter(addr, run, iter);
		else
			copied = copy_to_iter(addr, run, iter);
		kunmap_local(addr);
		done += copied;
		if (copied < run)
			break;
		offset = 0;
	}
	pagefault_enable();

	return done;
}

/* How much, from a position on, can be asked for past the window */
static size_t fuse_window_gap(struct fuse_window_inode *wi, loff_t pos, size_t len)
{
	size_t size = fuse_range_size(wi->win);
	size_t gap = size - (pos & (size - 1));

	while (gap < len &&
	       !xa_load(&wi->ranges, fuse_range_index(wi->win, pos + gap)))
		gap += size;

	return min(gap, len);
}

static ssize_t fuse_window_read_some(struct kiocb *iocb, struct iov_iter *to,
				     size_t len)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct fuse_window_inode *wi = fuse_window_inode(inode);
	size_t offset = offset_in_page(iocb->ki_pos), done;
	struct fuse_range *range;
	struct page *page;

	range = fuse_window_use(iocb, len, false);
	if (IS_ERR(range))
		return PTR_ERR(range);
	if (!range)
		return fuse_window_read_plain(iocb, to,
				fuse_window_gap(wi, iocb->ki_pos, len));

	page = fuse_range_page(range, iocb->ki_pos);
	if (!page) {
		fuse_range_put(range);
		return -ENOMEM;
	}
	done = fuse_range_copy(range, iocb->ki_pos, len, to);
	if (done) {
		fuse_range_put(range);
		return done;
	}

	/* Should the range be removed now, the page is not used otherwise */
	get_page(page);
	fuse_range_put(range);
	fault_in_iov_iter_writeable(to, min(len, FUSE_WINDOW_AROUND * PAGE_SIZE));
	done = copy_page_to_iter(page, offset, min(len, PAGE_SIZE - offset), to);
	put_page(page);

	return done ?: -EFAULT;
}

ssize_t fuse_window_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t done = 0, ret = 0;

	/* The file may have grown behind the kernel's back */
	if (iocb->ki_pos + iov_iter_count(to) > i_size_read(inode)) {
		ret = fuse_update_attributes(inode, iocb->ki_filp, STATX_SIZE);
		if (ret)
			return ret;
	}

	while (iov_iter_count(to)) {
		loff_t size = i_size_read(inode);

		if (iocb->ki_pos >= size)
			break;

		ret = fuse_window_read_some(iocb, to,
					    min_t(loff_t, iov_iter_count(to),
						  size - iocb->ki_pos));
		if (ret <= 0)
			break;
		iocb->ki_pos += ret;
		done += ret;
		cond_resched();
	}
	iocb->ki_filp->f_ra.prev_pos = iocb->ki_pos;
	fuse_invalidate_atime(inode);

	return done ?: ret;
}

/* Pages are stored to; after that, or a query could come in between */
static void fuse_range_set_dirty(struct fuse_range *range, loff_t pos, size_t len)
{
	unsigned long nr = fuse_range_nr(range, pos);
	unsigned long end = nr + PFN_UP(offset_in_page(pos) + len);

	while (nr < end)
		set_bit(nr++, range->win->dirty);
}

/*
 * Store to pages of a range.  If the user's memory has to be faulted in, use
 * @bounce.  @plain: the server must see it.
 */
static ssize_t fuse_window_write_some(struct kiocb *iocb, struct iov_iter *from,
				      struct page **bounce, bool plain)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct fuse_window_inode *wi = fuse_window_inode(inode);
	loff_t pos = iocb->ki_pos;
	size_t len = iov_iter_count(from);
	size_t offset = offset_in_page(pos);
	struct fuse_range *range;
	struct page *page;
	size_t bounced = 0;

	/* The server makes the file grow, so that size and data go together */
	if (plain || pos + len > i_size_read(inode))
		return fuse_window_write_plain(iocb, from, len);

again:
	range = fuse_window_use(iocb, len, true);
	if (IS_ERR(range) || !range) {
		iov_iter_revert(from, bounced);
		if (range)
			return PTR_ERR(range);
		len = iov_iter_count(from);
		return fuse_window_write_plain(iocb, from,
					       fuse_window_gap(wi, pos, len));
	}

	page = fuse_range_page(range, pos);
	if (!page) {
		fuse_range_put(range);
		iov_iter_revert(from, bounced);
		return -ENOMEM;
	}
	if (bounced) {
		memcpy_page(page, offset, *bounce, 0, bounced);
		len = bounced;
	} else {
		len = fuse_range_copy(range, pos, len, from);
	}
	if (len)
		fuse_range_set_dirty(range, pos, len);
	fuse_range_put(range);
	if (len)
		return len;

	if (!*bounce)
		*bounce = alloc_page(GFP_HIGHUSER);
	if (!*bounce)
		return -ENOMEM;
	len = iov_iter_count(from);
	bounced = copy_page_from_iter(*bounce, 0, min(len, PAGE_SIZE - offset),
				      from);
	if (!bounced)
		return -EFAULT;
	goto again;
}

ssize_t fuse_window_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct file *file = iocb->ki_filp;
	struct inode *inode = file_inode(file);
	struct fuse_conn *fc = get_fuse_conn(inode);
	struct page *bounce = NULL;
	ssize_t done = 0, ret;
	bool plain;

	/* Whoever has it may wait for the server */
	ret = inode_lock_killable(inode);
	if (ret)
		return ret;

	ret = generic_write_checks(iocb, from);
	if (ret <= 0)
		goto out;
	task_io_account_write(ret);
	ret = kiocb_modified(iocb);
	if (ret)
		goto out;

	/* The server drops privileges when it is asked to write */
	plain = (fc->handle_killpriv || fc->handle_killpriv_v2) &&
		setattr_should_drop_suidgid(file_mnt_idmap(file), inode);

	while (iov_iter_count(from)) {
		ret = fuse_window_write_some(iocb, from, &bounce, plain);
		if (ret <= 0)
			break;
		iocb->ki_pos += ret;
		done += ret;
		cond_resched();
	}
	file->f_ra.prev_pos = iocb->ki_pos;
	if (done)
		fuse_write_update_attr(inode, iocb->ki_pos, done);
out:
	inode_unlock(inode);
	if (bounce)
		put_page(bounce);
	if (done)
		return generic_write_sync(iocb, done);
	return ret;
}

/* Wait in a fault; 0: try again */
static vm_fault_t fuse_window_fault_wait(struct vm_fault *vmf,
					 struct fuse_window_inode *wi,
					 pgoff_t index, bool store)
{
	void *failed = xa_mk_value(task_pid_nr(current));
	struct file *file = vmf->vma->vm_file;
	struct fuse_range_waiter w;
	int err;

	/* Was it for this that a fault of this task has waited before? */
	if (vmf->flags & FAULT_FLAG_TRIED && xa_load(&wi->errors, index) &&
	    xa_cmpxchg(&wi->errors, index, failed, NULL, 0) == failed)
		return VM_FAULT_SIGBUS;

	err = fuse_range_ask(wi, index, store, &w);
	if (err)
		return vmf_error(err);

	if (completion_done(&w.done) || !(vmf->flags & FAULT_FLAG_ALLOW_RETRY))
		return fuse_range_wait(&w) ? VM_FAULT_SIGBUS : 0;

	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT) {
		fuse_range_leave(&w);
		return VM_FAULT_RETRY;
	}

	get_file(file);
	release_fault_lock(vmf);
	/* If it is killed the retry will notice */
	err = fuse_range_wait(&w);
	if (err && !fatal_signal_pending(current))
		xa_store(&wi->errors, index, failed, GFP_KERNEL);
	fput(file);

	/* Only after a major fault it is known who has waited */
	return VM_FAULT_RETRY | VM_FAULT_MAJOR;
}

/* Map a page for writing: it is dirty at once, for a query would miss it */
static vm_fault_t fuse_window_map_store(struct vm_fault *vmf,
					struct fuse_range *range,
					struct page *page)
{
	unsigned int nofs;
	vm_fault_t ret;

	file_update_time(vmf->vma->vm_file);

	nofs = memalloc_nofs_save();
	down_read(&range->sem);
	ret = vmf_insert_page_mkwrite(vmf, page, true);
	if (ret == VM_FAULT_NOPAGE)
		fuse_range_set_dirty(range, (loff_t)vmf->pgoff << PAGE_SHIFT,
				     PAGE_SIZE);
	up_read(&range->sem);
	memalloc_nofs_restore(nofs);

	return ret;
}

/* Map a page for reading, and those around it that are there */
static vm_fault_t fuse_window_map_load(struct vm_fault *vmf,
				       struct fuse_range *range,
				       struct page *page, pgoff_t end)
{
	struct fuse_window *win = range->win;
	struct vm_area_struct *vma = vmf->vma;
	unsigned long mask = (1UL << win->shift) - 1;
	unsigned long around = min(FUSE_WINDOW_AROUND, mask + 1);
	pgoff_t pgoff = vmf->pgoff, first = round_down(pgoff, around);
	struct page *pages[FUSE_WINDOW_AROUND], **from = pages + pgoff - first;
	struct page **at = win->pages + fuse_range_first(range) + (pgoff & mask);
	unsigned long nr = 1, behind, left;

	end = min3(first + around, end, vma->vm_pgoff + vma_pages(vma));
	first = max(first, vma->vm_pgoff);

	*from = page;
	while (pgoff + nr < end && (from[nr] = READ_ONCE(at[nr])))
		nr++;
	behind = nr;
	while (pgoff > first && (page = READ_ONCE(*--at))) {
		*--from = page;
		pgoff--;
		nr++;
	}

	left = nr;
	vm_insert_pages(vma, vma->vm_start + ((pgoff - vma->vm_pgoff) << PAGE_SHIFT),
			from, &left);
	if (left < behind)
		return VM_FAULT_NOPAGE;

	/* It has stopped at one that is mapped already, or for want of memory */
	return vmf_insert_page_mkwrite(vmf, from[nr - behind], false);
}

static vm_fault_t fuse_window_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct inode *inode = file_inode(vma->vm_file);
	struct fuse_window_inode *wi = fuse_window_inode(inode);
	bool store = vmf->flags & FAULT_FLAG_WRITE && vma->vm_flags & VM_SHARED;
	loff_t pos = (loff_t)vmf->pgoff << PAGE_SHIFT;
	pgoff_t index = fuse_range_index(wi->win, pos);
	struct fuse_range *range;
	struct page *page;
	vm_fault_t ret;
	pgoff_t end;

	for (;;) {
		end = DIV_ROUND_UP(i_size_read(inode), PAGE_SIZE);
		if (vmf->pgoff >= end)
			return VM_FAULT_SIGBUS;

		range = fuse_range_get(wi, index, store);
		if (range)
			break;

		ret = fuse_window_fault_wait(vmf, wi, index, store);
		if (ret)
			return ret;
	}

	page = fuse_range_page(range, pos);
	if (!page) {
		ret = VM_FAULT_OOM;
	} else if (vmf->cow_page) {
		/* It is copied from, and it is not used for anything else */
		get_page(page);
		vmf->page = page;
		ret = 0;
	} else if (store) {
		ret = fuse_window_map_store(vmf, range, page);
	} else {
		ret = fuse_window_map_load(vmf, range, page, end);
	}
	fuse_range_put(range);

	/* Has the server cut the file, and others' mappings, meanwhile? */
	if (ret == VM_FAULT_NOPAGE &&
	    DIV_ROUND_UP(i_size_read(inode), PAGE_SIZE) < end)
		unmap_mapping_pages(inode->i_mapping,
				    round_down(vmf->pgoff, FUSE_WINDOW_AROUND),
				    FUSE_WINDOW_AROUND, false);

	return ret;
}

/* The first store to a page that is mapped for reading */
static vm_fault_t fuse_window_page_mkwrite(struct vm_fault *vmf)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	struct fuse_window_inode *wi = fuse_window_inode(inode);
	loff_t pos = (loff_t)vmf->pgoff << PAGE_SHIFT;
	struct page *page = NULL;
	struct fuse_range *range;
	vm_fault_t ret;

	range = fuse_range_get(wi, fuse_range_index(wi->win, pos), true);
	if (range) {
		page = fuse_range_page(range, pos);
		ret = page ? fuse_window_map_store(vmf, range, page) :
			     VM_FAULT_OOM;
		fuse_range_put(range);
		return ret;
	}

	/* No way to wait here without the lock: come back as another fault */
	unmap_mapping_pages(inode->i_mapping, vmf->pgoff, 1, false);
	return VM_FAULT_NOPAGE;
}

/* readahead(2), posix_fadvise(2), madvise(2): set up what there is room for */
int fuse_window_willneed(struct inode *inode, loff_t start, loff_t len)
{
	struct fuse_window_inode *wi = fuse_window_inode(inode);
	struct fuse_range_waiter w;
	loff_t end = i_size_read(inode);
	pgoff_t index;
	int err = 0;

	if (start < 0 || len < 0)
		return -EINVAL;
	if (len && len < end - start)
		end = start + len;
	if (start >= end)
		return 0;

	for (index = fuse_range_index(wi->win, start);
	     index <= fuse_range_index(wi->win, end - 1); index++) {
		if (!fuse_range_pays(wi, index, SIZE_MAX, true))
			break;
		err = fuse_range_ask(wi, index, false, &w);
		if (err)
			break;
		fuse_range_leave(&w);
	}

	return err;
}

static const struct vm_operations_struct fuse_window_vm_ops = {
	.fault		= fuse_window_fault,
	.page_mkwrite	= fuse_window_page_mkwrite,
};

int fuse_window_mmap(struct file *file, struct vm_area_struct *vma)
{
	file_accessed(file);
	vm_flags_set(vma, VM_MIXEDMAP);
	vma->vm_ops = &fuse_window_vm_ops;
	return 0;
}

/**
 * fuse_window_open - does an open file use the window?
 * @inode: the file
 * @ff: it has been opened
 *
 * Return: 1 if it does, 0 if not, -errno if it is not open in the same way as
 * those before it.
 */
int fuse_window_open(struct inode *inode, struct fuse_file *ff)
{
	const unsigned int other = FOPEN_DIRECT_IO | FOPEN_PASSTHROUGH;
	struct fuse_inode *fi = get_fuse_inode(inode);
	/* Pairs with try_cmpxchg() in fuse_window_attach() */
	struct fuse_window *win = smp_load_acquire(&ff->fm->fc->window);
	struct fuse_window_inode *wi = fuse_window_inode(inode);
	bool always = test_bit(FUSE_I_WINDOW, &fi->state) || (win && win->all);
	bool wanted = ff->open_flags & FOPEN_WINDOW ||
		(always && !(ff->open_flags & other));
	int err;

	if (!fuse_has_feature(ff->fm->fc, FUSE_FEATURE_WINDOW))
		return 0;
	if (!wanted)
		return wi ? -EBUSY : 0;
	if (!win || ff->open_flags & other)
		return -EINVAL;
	if (wi)
		return 1;

	/* What is left in the page cache of those who have closed it */
	err = filemap_write_and_wait(inode->i_mapping) ?:
		invalidate_inode_pages2(inode->i_mapping);
	if (err)
		return err;

	wi = fuse_window_inode_alloc(win, inode);
	if (!wi)
		return -ENOMEM;

	spin_lock(&fi->lock);
	if (fi->iocachectr) {
		err = -ETXTBSY;
	} else if (!fi->window) {
		/* Pairs with smp_load_acquire() in fuse_window_inode() */
		smp_store_release(&fi->window, wi);
		wi = NULL;
	}
	spin_unlock(&fi->lock);
	if (wi)
		fuse_window_inode_put(wi);

	return err ?: 1;
}
