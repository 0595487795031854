// SPDX-License-Identifier: GPL-2.0-only
/*
 * FUSE_NOTIFY_STORE, FUSE_NOTIFY_RETRIEVE and FUSE_NOTIFY_INVAL_INODE on
 * buffers: the server copies into a buffer, out of it, and drops its pages.
 */

#include "fuse_i.h"
#include "dev.h"
#include "buffer.h"
#include "buffer_trace.h"

#include <linux/folio_batch.h>
#include <linux/pagemap.h>
#include <linux/slab.h>

static ssize_t fuse_buffer_copy_message(struct folio *folio, size_t offset,
					size_t len, void *cs)
{
	return fuse_copy_folio(cs, &folio, offset, len, 0) ?: len;
}

/**
 * fuse_buffer_store - store data into a buffer
 * @fc: the connection
 * @arg: where, and how much
 * @cs: the data
 *
 * Unlike a file, a buffer does not grow: nothing is stored if it would have to.
 *
 * Return: 0 or -errno; after a failed copy the pages before it are stored.
 */
int fuse_buffer_store(struct fuse_conn *fc,
		      const struct fuse_notify_store_out *arg,
		      struct fuse_copy_state *cs)
{
	struct fuse_buffer *buffer = fuse_buffer_find(fc, arg->nodeid);
	u64 pos = arg->offset;
	u32 done = 0;
	ssize_t ret = 0;

	if (!buffer)
		return -ENOENT;

	if (pos > buffer->size || arg->size > buffer->size - pos) {
		fuse_buffer_put(buffer);
		return -EINVAL;
	}

	while (done < arg->size) {
		size_t offset = offset_in_page(pos);
		size_t n = min(PAGE_SIZE - offset, arg->size - done);

		ret = 0;
		if (n == PAGE_SIZE)
			ret = fuse_buffer_move(buffer, pos >> PAGE_SHIFT, cs);
		if (!ret)
			ret = fuse_buffer_fill(buffer, pos, n,
					       fuse_buffer_copy_message, cs);
		if (ret < 0)
			break;

		pos += n;
		done += n;
		if (fatal_signal_pending(current) && done < arg->size) {
			ret = -EINTR;
			break;
		}
		cond_resched();
	}
	if (done)
		trace_fuse_buffer_store(buffer, arg->offset, done);
	fuse_buffer_put(buffer);

	return min(ret, 0);
}

struct fuse_buffer_retrieve_args {
	struct fuse_args_pages ap;
	struct fuse_notify_retrieve_in in;
};

static void fuse_buffer_retrieve_end(struct fuse_args *args, int error)
{
	struct fuse_buffer_retrieve_args *ra =
		container_of(args, typeof(*ra), ap.args);

	release_pages(ra->ap.folios, ra->ap.num_folios);
	kvfree(ra);
}

/**
 * fuse_buffer_retrieve - send data of a buffer to the server
 * @fc: the connection
 * @arg: where, and how much
 *
 * The FUSE_NOTIFY_REPLY has what was asked for, up to the end of the buffer and
 * as much as fits into one message; pages that are not there are zeros.  Data is
 * not copied here: the server gets what the pages contain when it reads it.
 *
 * Return: 0 or -errno.
 */
int fuse_buffer_retrieve(struct fuse_conn *fc,
			 const struct fuse_notify_retrieve_out *arg)
{
	struct fuse_buffer *buffer = fuse_buffer_find(fc, arg->nodeid);
	struct fuse_buffer_retrieve_args *ra;
	struct fuse_args_pages *ap;
	unsigned int num_pages;
	u64 pos = arg->offset;
	u64 num;

	if (!buffer)
		return -ENOENT;

	if (arg->padding && (arg->padding != FUSE_RETRIEVE_DIRTY || !buffer->log)) {
		fuse_buffer_put(buffer);
		return -EINVAL;
	}

	num = pos < buffer->size ? buffer->size - pos : 0;
	num = min(num, arg->size);
	if (arg->padding) {
		num_pages = min(fc->max_pages, fc->max_write >> PAGE_SHIFT);
	} else {
		num = min(num, fc->max_write);
		num_pages = DIV_ROUND_UP(num + offset_in_page(pos), PAGE_SIZE);
		if (num_pages > fc->max_pages) {
			num_pages = fc->max_pages;
			num = num_pages * PAGE_SIZE - offset_in_page(pos);
		}
	}

	ra = kvzalloc(sizeof(*ra) + num_pages * (sizeof(ap->folios[0]) +
						 sizeof(ap->descs[0])),
		      GFP_KERNEL_ACCOUNT);
	if (!ra) {
		fuse_buffer_put(buffer);
		return -ENOMEM;
	}

	if (arg->padding && !fuse_dirty_take(buffer, &pos, &num, num_pages))
		num = 0;

	ap = &ra->ap;
	ap->folios = (void *)(ra + 1);
	ap->descs = (void *)(ap->folios + num_pages);
	ap->args.nodeid = arg->nodeid;
	ap->args.opcode = FUSE_NOTIFY_REPLY;
	ap->args.in_numargs = 3;
	ap->args.in_pages = true;
	ap->args.noreply = true;
	ap->args.end = fuse_buffer_retrieve_end;
	fuse_set_zero_arg0(&ap->args);
	ap->args.in_args[1].size = sizeof(ra->in);
	ap->args.in_args[1].value = &ra->in;
	ap->args.in_args[2].size = num;
	ra->in.offset = pos;
	ra->in.size = num;
	trace_fuse_buffer_retrieve(buffer, pos, num);

	while (num) {
		struct fuse_folio_desc *desc = &ap->descs[ap->num_folios];
		struct folio *folio;

		folio = fuse_buffer_get_folio(buffer, pos >> PAGE_SHIFT);
		if (!folio) {
			folio = page_folio(ZERO_PAGE(0));
			folio_get(folio);
		}

		desc->offset = offset_in_page(pos);
		desc->length = min(num, PAGE_SIZE - desc->offset);
		pos += desc->length;
		num -= desc->length;
		ap->folios[ap->num_folios++] = folio;
	}
	fuse_buffer_put(buffer);

	fuse_chan_send_async(fc->chan, &ap->args, arg->notify_unique);
	return 0;
}

/**
 * fuse_buffer_inval - drop pages of a buffer
 * @fc: the connection
 * @arg: the range: all pages that it touches are dropped, up to the end of the
 *	buffer if @len is not positive, none if @off is negative
 *
 * The pages vanish from all shared mappings and read as zeros from then on.
 * Private copies of clients stay.
 *
 * Return: 0 or -ENOENT.
 */
int fuse_buffer_inval(struct fuse_conn *fc,
		      const struct fuse_notify_inval_inode_out *arg)
{
	struct fuse_buffer *buffer = fuse_buffer_find(fc, arg->ino);
	struct address_space *mapping;
	struct folio_batch fbatch;
	pgoff_t start, end;

	if (!buffer)
		return -ENOENT;

	if (arg->off < 0 || arg->off >= buffer->size)
		goto out;

	mapping = buffer->file->f_mapping;
	start = arg->off >> PAGE_SHIFT;
	if (arg->len <= 0 || arg->len > buffer->size - arg->off)
		end = (buffer->size - 1) >> PAGE_SHIFT;
	else
		end = (arg->off + arg->len - 1) >> PAGE_SHIFT;

	trace_fuse_buffer_drop(buffer, (u64)start << PAGE_SHIFT,
			       (u64)(end - start + 1) << PAGE_SHIFT);
	filemap_invalidate_lock(mapping);
	fuse_demand_forget(buffer, start, end);
	filemap_invalidate_unlock(mapping);

	/* One pass: clients that touch the pages again must not keep us here */
	folio_batch_init(&fbatch);
	while (filemap_get_folios(mapping, &start, end, &fbatch)) {
		for (unsigned int i = 0; i < folio_batch_count(&fbatch); i++) {
			struct folio *folio = fbatch.folios[i];

			folio_lock(folio);
			fuse_buffer_remove_folio(buffer, folio);
			folio_unlock(folio);
		}
		folio_batch_release(&fbatch);
		cond_resched();
	}
out:
	fuse_buffer_put(buffer);
	return 0;
}
