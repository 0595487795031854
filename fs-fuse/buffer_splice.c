// SPDX-License-Identifier: GPL-2.0-only
/*
 * FUSE_NOTIFY_STORE by splice(2) with SPLICE_F_MOVE: pages of the pipe become
 * pages of the buffer.
 *
 * Replies to the FUSE_READs of buffers that are filled on demand are copied:
 * they have no pages in the page cache that could be replaced.  A server that
 * wants to move pages there stores them, which ends the wait as well.
 */

#include "fuse_i.h"
#include "dev.h"
#include "fuse_dev_i.h"
#include "buffer.h"

#include <linux/memcontrol.h>
#include <linux/pagemap.h>
#include <linux/pipe_fs_i.h>

/* Buffers are not reclaimed: somebody else's memory must not end in them */
static bool fuse_buffer_charged_to_us(struct folio *folio)
{
	bool ours = true;

#ifdef CONFIG_MEMCG
	rcu_read_lock();
	if (folio_memcg_charged(folio))
		ours = folio_memcg(folio) == mem_cgroup_from_task(current);
	rcu_read_unlock();
#endif
	return ours;
}

/* On no LRU list and not charged, as what was written to a pipe */
static bool fuse_buffer_is_new(struct folio *folio, struct pipe_buffer *buf)
{
#ifdef CONFIG_MEMCG
	if (folio_memcg_charged(folio))
		return false;
#endif
	return !(buf->flags & PIPE_BUF_FLAG_LRU);
}

/* Add a stolen page like any other */
static ssize_t fuse_buffer_add_stolen(struct fuse_buffer *buffer, pgoff_t index,
				      struct fuse_copy_state *cs,
				      struct folio *folio)
{
	int err;

	folio_unlock(folio);
	folio_mark_uptodate(folio);
	err = fuse_buffer_add_folio(buffer, folio, index);
	if (err)
		return err == -EEXIST ? 0 : err;

	pipe_buf_release(cs->pipe, cs->currbuf);
	cs->len = 0;
	cs->moved++;
	fuse_demand_forget(buffer, index, index);
	folio_unlock(folio);

	return PAGE_SIZE;
}

/**
 * fuse_buffer_move - move a page from a pipe into a buffer
 * @buffer: the buffer
 * @index: where to
 * @cs: a message, whose next data is the page
 *
 * The page is taken out of the pipe first, as that may wait.  One that is on an
 * LRU list or charged already cannot be added like others.  It replaces one that
 * is added for the purpose and that is locked and not up to date for as long, see
 * fuse_buffer_get_folio().
 *
 * Return: %PAGE_SIZE, 0 if the data has to be copied, or -errno.
 */
ssize_t fuse_buffer_move(struct fuse_buffer *buffer, pgoff_t index,
			 struct fuse_copy_state *cs)
{
	struct address_space *mapping = buffer->file->f_mapping;
	struct folio *new, *old;
	int err;

	old = fuse_buffer_get_folio(buffer, index);
	if (old) {
		folio_put(old);
		return 0;
	}

	new = fuse_steal_folio(cs, PAGE_SIZE);
	if (IS_ERR_OR_NULL(new))
		return PTR_ERR_OR_ZERO(new);
	if (fuse_buffer_is_new(new, cs->currbuf))
		return fuse_buffer_add_stolen(buffer, index, cs, new);

	err = -EEXIST;
	old = NULL;
	if (fuse_buffer_charged_to_us(new)) {
		old = filemap_alloc_folio(mapping_gfp_mask(mapping), 0, NULL);
		err = old ? fuse_buffer_add_folio(buffer, old, index) : -ENOMEM;
	}
	if (err) {
		folio_unlock(new);
		if (old)
			folio_put(old);
		return err == -EEXIST ? 0 : err;
	}

	fuse_replace_folio(cs, old, new);
	folio_put(old);
	folio_mark_uptodate(new);
	folio_mark_dirty(new);
	fuse_demand_forget(buffer, index, index);
	folio_unlock(new);
	folio_put(new);

	return PAGE_SIZE;
}
