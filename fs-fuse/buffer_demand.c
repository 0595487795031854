// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffers that the server fills on demand: the first touch of an absent page
 * sends FUSE_READ with the buffer's nodeid.
 *
 * While the server has not replied there is no folio in the page cache, only
 * an entry in buffer->fills.  So nothing is ever locked for as long as a server
 * likes: STORE, INVAL_INODE and migration do not have to wait, and neither does
 * anybody in a way that SIGKILL would not end.
 */

#include "fuse_i.h"
#include "dev.h"
#include "buffer.h"

#include <linux/file.h>
#include <linux/pagemap.h>
#include <linux/slab.h>

/* A FUSE_READ that fills pages, and what waits for it */
struct fuse_fill {
	struct fuse_args_pages ap;
	struct fuse_read_in in;
	struct fuse_buffer *buffer;

	/* The request, the waiters, and the entry of a failed fill */
	refcount_t count;

	/* First page */
	pgoff_t index;

	/* For those who touch the pages */
	wait_queue_head_t wait;

	/* Outcome for the first page, and whether it is known */
	int error;
	bool done;

	/* The entry of the first page stays, and has a reference */
	bool failed;
};

static void fuse_fill_put(struct fuse_fill *fill)
{
	if (!refcount_dec_and_test(&fill->count))
		return;

	while (fill->ap.num_folios)
		folio_put(fill->ap.folios[--fill->ap.num_folios]);
	kfree(fill->ap.folios);
	kfree(fill);
}

/*
 * Take the entry of a page out of buffer->fills, if it is that of @fill or if
 * @fill is NULL.
 */
static void fuse_fill_erase(struct fuse_buffer *buffer, pgoff_t index,
			    struct fuse_fill *fill)
{
	struct fuse_fill *entry;
	bool failed = false;

	xa_lock(&buffer->fills);
	entry = xa_load(&buffer->fills, index);
	if (fill && entry != fill)
		entry = NULL;
	if (entry) {
		__xa_erase(&buffer->fills, index);
		/* The reference is that of the first page's entry alone */
		failed = entry->failed && index == entry->index;
		wake_up_all(&entry->wait);
	}
	xa_unlock(&buffer->fills);

	if (failed)
		fuse_fill_put(entry);
}

/* Leave the entry of the page that was touched, for the error to be found */
static void fuse_fill_fail(struct fuse_fill *fill, int error)
{
	struct xarray *fills = &fill->buffer->fills;

	fill->error = error;

	xa_lock(fills);
	if (xa_load(fills, fill->index) == fill) {
		fill->failed = true;
		refcount_inc(&fill->count);
	}
	xa_unlock(fills);
}

/*
 * Add a page to the buffer unless it has been invalidated since @fill asked for
 * it.  The lock keeps INVAL_INODE from coming between the question and the deed:
 * a page that was added in vain could not be taken back, as somebody may have
 * stored to it.
 */
static int fuse_fill_add(struct fuse_fill *fill, struct folio *folio,
			 pgoff_t index)
{
	struct fuse_buffer *buffer = fill->buffer;
	struct address_space *mapping = buffer->file->f_mapping;
	int err = -ESTALE;

	folio_mark_uptodate(folio);
	filemap_invalidate_lock_shared(mapping);
	if (fill == xa_load(&buffer->fills, index))
		err = fuse_buffer_add_folio(buffer, folio, index);
	filemap_invalidate_unlock_shared(mapping);

	if (!err)
		folio_unlock(folio);

	return err;
}

/*
 * Put the pages where they belong, but for those that were stored to or
 * invalidated meanwhile.  A page that the reply does not reach is asked for
 * again when it is touched; the first one is then zeros.
 */
static void fuse_fill_end(struct fuse_args *args, int error)
{
	struct fuse_fill *fill = container_of(args, typeof(*fill), ap.args);
	struct fuse_buffer *buffer = fill->buffer;
	unsigned int len = args->out_args[0].size;
	int err;

	for (unsigned int i = 0; i < fill->ap.num_folios; i++) {
		struct folio *folio = fill->ap.folios[i];
		pgoff_t index = fill->index + i;

		err = error;
		if (!err && i && i >= DIV_ROUND_UP(len, PAGE_SIZE))
			err = -ENODATA;
		if (!err)
			err = fuse_fill_add(fill, folio, index);

		if (err && err != -EEXIST && !i)
			fuse_fill_fail(fill, err);
		else
			fuse_fill_erase(buffer, index, fill);
		folio_put(folio);
	}
	fill->ap.num_folios = 0;

	/* Pairs with smp_load_acquire() in fuse_fill_over() */
	smp_store_release(&fill->done, true);
	wake_up_all(&fill->wait);
	fuse_fill_put(fill);
	fuse_buffer_put(buffer);
}

/* Pages to ask for: more with each touch that follows the last one */
static unsigned int fuse_fill_window(struct fuse_mapping *m, pgoff_t index)
{
	struct fuse_conn *fc = m->ff->fm->fc;
	unsigned int max = min(fc->max_pages, fc->max_read >> PAGE_SHIFT);
	unsigned int window = 1;

	if (index && index == READ_ONCE(m->ra_next))
		window = min(2 * READ_ONCE(m->ra_window), max);
	WRITE_ONCE(m->ra_window, max(window, 1));

	return min_t(u64, m->ra_window,
		     (m->buffer->size >> PAGE_SHIFT) - index);
}

static struct fuse_fill *fuse_fill_alloc(struct fuse_mapping *m, pgoff_t index,
					 unsigned int nr)
{
	struct address_space *mapping = m->buffer->file->f_mapping;
	struct fuse_args_pages *ap;
	struct fuse_fill *fill;

	fill = kzalloc_obj(*fill, GFP_KERNEL_ACCOUNT);
	if (!fill)
		return NULL;

	refcount_set(&fill->count, 1);
	init_waitqueue_head(&fill->wait);
	fill->index = index;
	ap = &fill->ap;
	ap->folios = fuse_folios_alloc(nr, GFP_KERNEL_ACCOUNT, &ap->descs);
	if (!ap->folios)
		goto out;

	while (ap->num_folios < nr) {
		struct folio *folio;

		folio = filemap_alloc_folio(mapping_gfp_mask(mapping), 0, NULL);
		if (!folio)
			break;
		ap->folios[ap->num_folios] = folio;
		ap->descs[ap->num_folios++].length = PAGE_SIZE;
	}
	if (ap->num_folios)
		return fill;
out:
	fuse_fill_put(fill);
	return NULL;
}

/*
 * Ask the server for a page, and for some after it, unless somebody has asked
 * already.  The error that somebody got is only for those who have @waited, not
 * for who comes later.  The caller gets a reference, or NULL if the page is there.
 */
static struct fuse_fill *fuse_fill_start(struct fuse_mapping *m, pgoff_t index,
					 bool waited)
{
	struct fuse_buffer *buffer = m->buffer;
	struct address_space *mapping = buffer->file->f_mapping;
	struct fuse_args_pages *ap;
	struct fuse_fill *fill;
	bool failed;
	unsigned int i;
	int err = 0;

again:
	xa_lock(&buffer->fills);
	fill = xa_load(&buffer->fills, index);
	if (fill)
		refcount_inc(&fill->count);
	failed = fill && fill->failed;
	xa_unlock(&buffer->fills);
	if (fill && (!failed || waited))
		return fill;
	if (fill) {
		fuse_fill_erase(buffer, index, fill);
		fuse_fill_put(fill);
	}

	fill = fuse_fill_alloc(m, index, fuse_fill_window(m, index));
	if (!fill)
		return ERR_PTR(-ENOMEM);

	fill->buffer = buffer;
	ap = &fill->ap;
	for (i = 0; i < ap->num_folios; i++) {
		/* Not what is there, or on its way */
		if (i && xa_load(&mapping->i_pages, index + i))
			break;
		err = xa_insert(&buffer->fills, index + i, fill,
				GFP_KERNEL_ACCOUNT);
		if (err)
			break;
	}
	if (!i) {
		fuse_fill_put(fill);
		if (err == -EBUSY)
			goto again;
		return ERR_PTR(err);
	}
	while (ap->num_folios > i)
		folio_put(ap->folios[--ap->num_folios]);

	/* It may have come meanwhile: fuse_fill_end() adds before it erases */
	if (xa_load(&mapping->i_pages, index)) {
		while (i--)
			fuse_fill_erase(buffer, index + i, fill);
		fuse_fill_put(fill);
		return NULL;
	}
	WRITE_ONCE(m->ra_next, index + i);

	fill->in.offset = (u64)index << PAGE_SHIFT;
	fill->in.size = i << PAGE_SHIFT;
	ap->args.opcode = FUSE_READ;
	ap->args.nodeid = buffer->nodeid;
	ap->args.pid = pid_nr_ns(task_pid(current), m->ff->fm->fc->pid_ns);
	ap->args.in_numargs = 1;
	ap->args.in_args[0].size = sizeof(fill->in);
	ap->args.in_args[0].value = &fill->in;
	ap->args.out_numargs = 1;
	ap->args.out_args[0].size = fill->in.size;
	ap->args.out_pages = true;
	ap->args.out_argvar = true;
	ap->args.page_zeroing = true;
	ap->args.end = fuse_fill_end;

	refcount_inc(&buffer->count);
	refcount_inc(&fill->count);
	fuse_chan_send_async(m->ff->fm->fc->chan, &ap->args, 0);

	return fill;
}

/* Has the reply come, or the page been stored to or invalidated? */
static bool fuse_fill_over(struct fuse_fill *fill, pgoff_t index)
{
	/* Pairs with smp_store_release() in fuse_fill_end() */
	return smp_load_acquire(&fill->done) ||
		xa_load(&fill->buffer->fills, index) != fill;
}

vm_fault_t fuse_demand_fault(struct vm_fault *vmf)
{
	struct file *file = vmf->vma->vm_file;
	struct fuse_mapping *m = file->private_data;
	pgoff_t pgoff = vmf->pgoff;
	struct fuse_fill *fill;
	struct folio *folio;
	int err;

	if (pgoff >= m->buffer->size >> PAGE_SHIFT)
		return VM_FAULT_SIGBUS;

retry:
	folio = filemap_lock_folio(file->f_mapping, pgoff);
	if (!IS_ERR(folio)) {
		vmf->page = folio_file_page(folio, pgoff);
		return VM_FAULT_LOCKED;
	}

	fill = fuse_fill_start(m, pgoff, vmf->flags & FAULT_FLAG_TRIED);
	if (IS_ERR(fill))
		return vmf_error(PTR_ERR(fill));
	if (!fill)
		goto retry;

	/* Pairs with smp_store_release() in fuse_fill_end() */
	if (smp_load_acquire(&fill->done) && fill->failed) {
		fuse_fill_put(fill);
		return VM_FAULT_SIGBUS;
	}

	if (vmf->flags & FAULT_FLAG_ALLOW_RETRY) {
		if (!(vmf->flags & FAULT_FLAG_RETRY_NOWAIT)) {
			get_file(file);
			release_fault_lock(vmf);
			/* If it is killed the retry will notice */
			wait_event_killable(fill->wait,
					    fuse_fill_over(fill, pgoff));
			fput(file);
		}
		fuse_fill_put(fill);
		/* Only after a major fault it is known who has waited */
		return VM_FAULT_RETRY | VM_FAULT_MAJOR;
	}

	err = wait_event_killable(fill->wait, fuse_fill_over(fill, pgoff));
	if (!err && fill->failed && fill->index == pgoff)
		err = fill->error;
	fuse_fill_put(fill);
	if (err)
		return VM_FAULT_SIGBUS;
	goto retry;
}

/*
 * Pages have been stored to, or are about to be dropped, with the invalidate_lock
 * held: what is under way for them is of no use, and nobody shall wait for it.
 */
void fuse_demand_forget(struct fuse_buffer *buffer, pgoff_t start, pgoff_t end)
{
	struct fuse_fill *fill;
	unsigned long index;

	xa_for_each_range(&buffer->fills, index, fill, start, end)
		fuse_fill_erase(buffer, index, NULL);
}
