// SPDX-License-Identifier: GPL-2.0-only
/*
 * FUSE window: the life of a range.
 *
 * All requests are asynchronous, and nobody holds anything while waiting for
 * the server, but what the system call has taken before.  Those who wait sleep
 * killably on the range, which changes its state when the reply comes, whether
 * they are still there or not.
 *
 * What clients may not have written to is dropped without a word, so that the
 * server sees a FUSE_REMOVEMAPPING only for what it has to write back.
 */

#include "fuse_i.h"
#include "dev.h"
#include "fuse_dev_i.h"
#include "window.h"

#include <linux/hash.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/slab.h>

/* Ranges that are kept free, as far as that is easy: one in so many */
#define FUSE_WINDOW_SPARE	8

/* What a request costs, in bytes that are copied instead */
#define FUSE_WINDOW_REQUEST	(16UL << 10)

static void fuse_range_setup_end(struct fuse_args *args, int error);
static void fuse_range_upgrade_end(struct fuse_args *args, int error);
static void fuse_range_remove_end(struct fuse_args *args, int error);

void fuse_range_init(struct fuse_window *win, struct fuse_range *range)
{
	range->win = win;
	INIT_LIST_HEAD(&range->waiters);
	init_rwsem(&range->sem);
	list_add_tail(&range->list, &win->free);
	win->nr_free++;
}

struct fuse_window_inode *fuse_window_inode_alloc(struct fuse_window *win,
						  struct inode *inode)
{
	struct fuse_window_inode *wi = kzalloc_obj(*wi, GFP_KERNEL_ACCOUNT);

	if (!wi)
		return NULL;

	refcount_set(&wi->count, 1);
	kref_get(&win->kref);
	wi->win = win;
	wi->nodeid = get_node_id(inode);
	wi->inode = inode;
	xa_init(&wi->ranges);
	xa_init(&wi->errors);
	INIT_LIST_HEAD(&wi->waiters);
	INIT_LIST_HEAD(&wi->node);

	return wi;
}

void fuse_window_inode_put(struct fuse_window_inode *wi)
{
	struct fuse_window *win = wi->win;

	if (!refcount_dec_and_lock(&wi->count, &win->lock))
		return;
	list_del(&wi->node);
	spin_unlock(&win->lock);

	if (wi->forget)
		fuse_chan_queue_forget(win->fc->chan, wi->forget, wi->nodeid,
				       wi->nlookup);
	xa_destroy(&wi->ranges);
	xa_destroy(&wi->errors);
	kfree(wi);
	fuse_window_put(win);
}

static void fuse_range_wake(struct list_head *waiters, int error)
{
	struct fuse_range_waiter *w, *next;

	list_for_each_entry_safe(w, next, waiters, node) {
		list_del_init(&w->node);
		if (w->hungry)
			w->win->nr_hungry--;
		w->error = error;
		complete(&w->done);
	}
}

static void fuse_range_queue(struct fuse_range_waiter *w,
			     struct list_head *waiters, bool hungry)
{
	list_add_tail(&w->node, waiters);
	w->hungry = hungry;
	if (hungry)
		w->win->nr_hungry++;
}

static void fuse_range_waiter_init(struct fuse_range_waiter *w,
				   struct fuse_window *win)
{
	INIT_LIST_HEAD(&w->node);
	init_completion(&w->done);
	w->win = win;
	w->hungry = false;
	w->error = 0;
}

/* Wait no longer: an error that comes later is nobody's */
void fuse_range_leave(struct fuse_range_waiter *w)
{
	spin_lock(&w->win->lock);
	if (!list_empty(&w->node)) {
		list_del_init(&w->node);
		if (w->hungry)
			w->win->nr_hungry--;
	}
	spin_unlock(&w->win->lock);
}

int fuse_range_wait(struct fuse_range_waiter *w)
{
	/* Nobody tells when a page is no longer pinned */
	long left = wait_for_completion_killable_timeout(&w->done, w->hungry ?
							 HZ / 10 : MAX_SCHEDULE_TIMEOUT);

	if (left > 0)
		return w->error;

	fuse_range_leave(w);
	return left ? -EINTR : 0;
}

/*
 * The range belongs to nobody, or is of no use any more.  What it held is gone,
 * unless it is @lost: then the server can still ask for it.
 */
static void fuse_range_finish(struct fuse_range *range, int error, bool lost)
{
	struct fuse_window_inode *wi = range->wi;
	struct fuse_window *win = range->win;

	down_write(&range->sem);
	if (!lost)
		fuse_window_drop(range);
	spin_lock(&win->lock);
	xa_erase(&wi->ranges, range->index);
	if (range->state == FUSE_RANGE_REMOVE)
		win->nr_removing--;
	range->wi = NULL;
	if (lost) {
		range->state = FUSE_RANGE_LOST;
		list_del_init(&range->list);
		win->nr_lost++;
	} else {
		range->state = FUSE_RANGE_FREE;
		list_move(&range->list, &win->free);
		win->nr_free++;
	}
	fuse_range_wake(&range->waiters, error);
	fuse_range_wake(&win->hungry, 0);
	spin_unlock(&win->lock);
	up_write(&range->sem);

	fuse_window_inode_put(wi);
}

/* The range's only request: until the reply nobody else touches its arguments */
static void fuse_range_send(struct fuse_range *range, struct fuse_req *req)
{
	struct fuse_window *win = range->win;

	range->args.nodeid = range->wi->nodeid;
	fuse_conn_get(win->fc);
	kref_get(&win->kref);
	fuse_chan_send_reserved(win->fc->chan, req, &range->args, 0);
}

static void fuse_range_sent(struct fuse_window *win)
{
	struct fuse_conn *fc = win->fc;

	fuse_window_put(win);
	fuse_conn_put(fc);
}

static void fuse_range_send_setup(struct fuse_range *range, bool write)
{
	bool upgrade = range->state == FUSE_RANGE_UPGRADE;
	struct fuse_window *win = range->win;
	struct fuse_chan *fch = win->fc->chan;

	if (write && !range->removal)
		range->removal = fuse_chan_reserve(fch);

	range->setup = (struct fuse_setupmapping_in) {
		/* As over virtiofs: it is not for one open file */
		.fh = -1,
		.foffset = (u64)range->index << (PAGE_SHIFT + win->shift),
		.len = fuse_range_size(win),
		/* An upgrade is alone in not saying that it is to be filled */
		.flags = (upgrade ? 0 : FUSE_SETUPMAPPING_FLAG_READ) |
			 (write ? FUSE_SETUPMAPPING_FLAG_WRITE : 0),
		.moffset = (u64)fuse_range_first(range) << PAGE_SHIFT,
	};
	range->args = (struct fuse_args) {
		.opcode = FUSE_SETUPMAPPING,
		.pid = pid_nr_ns(task_pid(current), win->fc->pid_ns),
		.in_numargs = 1,
		.in_args[0].size = sizeof(range->setup),
		.in_args[0].value = &range->setup,
		.end = upgrade ? fuse_range_upgrade_end : fuse_range_setup_end,
	};
	fuse_range_send(range, fuse_chan_reserve(fch));
}

static void fuse_range_send_remove(struct fuse_range *range)
{
	struct fuse_req *req = range->removal;

	range->removal = NULL;
	range->remove.count = 1;
	range->one.moffset = (u64)fuse_range_first(range) << PAGE_SHIFT;
	range->one.len = fuse_range_size(range->win);
	range->args = (struct fuse_args) {
		.opcode = FUSE_REMOVEMAPPING,
		.in_numargs = 3,
		.in_args[1].size = sizeof(range->remove),
		.in_args[1].value = &range->remove,
		.in_args[2].size = sizeof(range->one),
		.in_args[2].value = &range->one,
		.end = fuse_range_remove_end,
	};
	fuse_set_zero_arg0(&range->args);
	fuse_range_send(range, req);
}

/* Is a page that was written to about to be written to by a device? */
static bool fuse_range_pinned(struct fuse_range *range)
{
	struct fuse_window *win = range->win;
	unsigned long nr = fuse_range_first(range);
	unsigned long end = nr + (1UL << win->shift);

	for_each_set_bit_from(nr, win->dirty, end)
		if (folio_maybe_dma_pinned(page_folio(win->pages[nr])))
			return true;

	return false;
}

/*
 * Stores behind the end of the file are not part of it: a file that grows gets
 * zeros.
 */
static void fuse_range_zero_tail(struct fuse_range *range, loff_t size)
{
	struct fuse_window *win = range->win;
	loff_t pos = (loff_t)range->index << (PAGE_SHIFT + win->shift);
	unsigned int offset = offset_in_page(size);
	struct page *page;

	if (!offset || size < pos || size - pos >= fuse_range_size(win))
		return;

	page = win->pages[fuse_range_first(range) + ((size - pos) >> PAGE_SHIFT)];
	if (page)
		memzero_page(page, offset, PAGE_SIZE - offset);
}

/* Nobody uses the range any more: take it from the clients */
static void fuse_range_retire(struct fuse_range *range)
{
	struct fuse_window *win = range->win;
	struct inode *inode;
	bool back = false;

	down_write(&range->sem);
	spin_lock(&win->lock);
	/* range->sem keeps fuse_window_evict() from finishing */
	inode = range->wi->inode;
	spin_unlock(&win->lock);
	if (inode) {
		unmap_mapping_pages(inode->i_mapping,
				    range->index << win->shift,
				    1UL << win->shift, false);
		if (range->writable)
			fuse_range_zero_tail(range, i_size_read(inode));
		/* From here on nobody can pin pages */
		back = range->reclaim && fuse_range_pinned(range);
	}
	if (back) {
		spin_lock(&win->lock);
		back = range->reclaim && range->wi->inode;
		if (back) {
			win->nr_removing--;
			range->state = FUSE_RANGE_READY;
			refcount_set_release(&range->users, 1);
			fuse_range_wake(&range->waiters, 0);
		}
		spin_unlock(&win->lock);
	}
	up_write(&range->sem);

	if (back)
		return;
	if (range->writable)
		fuse_range_send_remove(range);
	else
		fuse_range_finish(range, 0, false);
}

/* Called with win->lock held; the caller then drops the reference it gets */
static bool fuse_range_remove(struct fuse_range *range)
{
	range->reclaim = false;
	if (range->state != FUSE_RANGE_READY)
		return false;

	range->state = FUSE_RANGE_REMOVE;
	range->win->nr_removing++;
	return true;
}

static void fuse_range_remove_end(struct fuse_args *args, int error)
{
	struct fuse_range *range = container_of(args, typeof(*range), args);
	struct fuse_window *win = range->win;
	/* Nobody has told the server, or knows what it did */
	bool lost = error == -ENOTCONN || error == -ECONNABORTED;

	if (error) {
		spin_lock(&win->lock);
		if (range->wi->inode)
			mapping_set_error(range->wi->inode->i_mapping, -EIO);
		spin_unlock(&win->lock);
	}
	fuse_range_finish(range, 0, lost);
	fuse_range_sent(win);
}

/* The server has done its part, so the range can be used */
static void fuse_range_ready(struct fuse_range *range, bool write, int error)
{
	struct fuse_window *win = range->win;
	bool upgrade, remove;

	spin_lock(&win->lock);
	if (write)
		WRITE_ONCE(range->writable, true);
	upgrade = range->state == FUSE_RANGE_UPGRADE;
	range->state = FUSE_RANGE_READY;
	range->referenced = true;
	fuse_range_wake(&range->waiters, error);
	fuse_range_wake(&win->hungry, 0);
	remove = (!range->wi->inode || range->stale) && fuse_range_remove(range);
	if (!upgrade && !remove)
		refcount_set_release(&range->users, 1);
	spin_unlock(&win->lock);

	if (remove && upgrade)
		fuse_range_put(range);
	else if (remove)
		fuse_range_retire(range);
}

static void fuse_range_setup_end(struct fuse_args *args, int error)
{
	struct fuse_range *range = container_of(args, typeof(*range), args);
	struct fuse_window *win = range->win;
	bool write = range->setup.flags & FUSE_SETUPMAPPING_FLAG_WRITE;

	if (error)
		fuse_range_finish(range, error, false);
	else
		fuse_range_ready(range, write, 0);
	fuse_range_sent(win);
}

static void fuse_range_upgrade_end(struct fuse_args *args, int error)
{
	struct fuse_range *range = container_of(args, typeof(*range), args);
	struct fuse_window *win = range->win;

	fuse_range_ready(range, !error, error);
	fuse_range_sent(win);
}

/**
 * fuse_range_get - use a range
 * @wi: the file
 * @index: where in the file
 * @write: whether it is to be written to
 *
 * Return: the range, to be put soon, or NULL: see fuse_range_ask().
 */
struct fuse_range *fuse_range_get(struct fuse_window_inode *wi, pgoff_t index,
				  bool write)
{
	struct fuse_range *range = xa_load(&wi->ranges, index);

	/* Ranges stay where they are, but may come to belong to others */
	if (!range || !refcount_inc_not_zero_acquire(&range->users))
		return NULL;

	if (range->wi != wi || range->index != index ||
	    (write && !READ_ONCE(range->writable))) {
		fuse_range_put(range);
		return NULL;
	}

	if (!READ_ONCE(range->referenced))
		WRITE_ONCE(range->referenced, true);
	return range;
}

void fuse_range_put(struct fuse_range *range)
{
	struct fuse_window *win = range->win;

	if (refcount_dec_and_test(&range->users)) {
		fuse_range_retire(range);
		return;
	}

	/* Pairs with smp_mb() in fuse_window_reclaim(): it can be removed now */
	smp_mb__after_atomic();
	if (likely(list_empty_careful(&win->hungry)))
		return;

	spin_lock(&win->lock);
	fuse_range_wake(&win->hungry, 0);
	spin_unlock(&win->lock);
}

/*
 * Find a range that has not been used for longest.  Called with win->lock held;
 * the caller retires it.
 */
static struct fuse_range *fuse_window_victim(struct fuse_window *win,
					     bool writable)
{
	unsigned long n = 2 * (win->nr_ranges - win->nr_free - win->nr_lost);
	struct fuse_range *range;

	while (n-- && !list_empty(&win->busy)) {
		range = list_first_entry(&win->busy, typeof(*range), list);
		list_move_tail(&range->list, &win->busy);

		if (range->state != FUSE_RANGE_READY ||
		    (writable && !range->writable))
			continue;
		if (range->referenced) {
			range->referenced = false;
			continue;
		}
		if (fuse_range_pinned(range) ||
		    !refcount_dec_if_one(&range->users))
			continue;

		range->state = FUSE_RANGE_REMOVE;
		range->reclaim = true;
		win->nr_removing++;
		return range;
	}

	return NULL;
}

/*
 * There is no free range: have one removed, unless as many are as somebody
 * waits for.
 */
static struct fuse_range *fuse_window_reclaim(struct fuse_window *win)
{
	/* Pairs with smp_mb__after_atomic() in fuse_range_put() */
	smp_mb();
	if (win->nr_removing >= win->nr_hungry)
		return NULL;

	return fuse_window_victim(win, false);
}

/*
 * What has to be written back takes a while to become free: have some removed
 * while others are being filled.
 */
static struct fuse_range *fuse_window_ahead(struct fuse_window *win)
{
	if (win->nr_free + win->nr_removing >= win->nr_ranges / FUSE_WINDOW_SPARE)
		return NULL;

	return fuse_window_victim(win, true);
}

/**
 * fuse_range_pays - is it worth while to have a range set up?
 * @wi: the file
 * @index: where in the file
 * @len: how much of it is wanted now
 * @sequential: whether what comes after it is likely to be wanted, too
 *
 * Return: not before requests for it have cost as much, unless there is room, or
 * it is going to be read or written in small pieces.
 */
bool fuse_range_pays(struct fuse_window_inode *wi, pgoff_t index, size_t len,
		     bool sequential)
{
	struct fuse_window *win = wi->win;
	size_t size = fuse_range_size(win);
	struct fuse_range_miss *miss;
	unsigned long cost;
	bool pays;

	miss = &win->ranges[hash_64(wi->nodeid ^ hash_long(index, BITS_PER_LONG),
				    32) % win->nr_ranges].miss;

	spin_lock(&win->lock);
	if (xa_load(&wi->ranges, index) ||
	    win->nr_free > win->nr_ranges / FUSE_WINDOW_SPARE) {
		pays = true;
	} else if (sequential) {
		pays = len < size / 4;
	} else {
		cost = FUSE_WINDOW_REQUEST + min(len, size);
		pays = miss->nodeid == wi->nodeid && miss->index == index;
		if (pays) {
			pays = miss->cost >= FUSE_WINDOW_REQUEST + size;
			miss->cost += cost;
		} else if (miss->cost > cost) {
			miss->cost -= cost;
		} else {
			miss->nodeid = wi->nodeid;
			miss->index = index;
			miss->cost = cost;
		}
	}
	spin_unlock(&win->lock);

	return pays;
}

/**
 * fuse_range_ask - have a range set up
 * @wi: the file
 * @index: where in the file
 * @write: whether it is to be written to
 * @w: to wait for what has to happen first
 *
 * Does not wait.  The caller does with fuse_range_wait(), and tries again.
 *
 * Return: 0 or -errno; then there is nothing to wait for.
 */
int fuse_range_ask(struct fuse_window_inode *wi, pgoff_t index, bool write,
		   struct fuse_range_waiter *w)
{
	struct fuse_window *win = wi->win;
	struct fuse_range *range, *victim = NULL;
	bool send = false;
	int err;

	fuse_range_waiter_init(w, win);
again:
	err = xa_reserve(&wi->ranges, index, GFP_KERNEL_ACCOUNT);
	if (err)
		return err;

	spin_lock(&win->lock);
	range = xa_load(&wi->ranges, index);
	if (range) {
		if (range->state == FUSE_RANGE_READY &&
		    (!write || range->writable)) {
			complete(&w->done);
		} else {
			fuse_range_queue(w, &range->waiters, false);
			if (range->state == FUSE_RANGE_READY) {
				range->state = FUSE_RANGE_UPGRADE;
				send = true;
			}
		}
	} else if (!READ_ONCE(win->fc->chan->connected)) {
		err = -ENOTCONN;
	} else if (wi->frozen && index >= wi->first && index <= wi->last) {
		fuse_range_queue(w, &wi->waiters, false);
	} else if (list_empty(&win->free)) {
		fuse_range_queue(w, &win->hungry, true);
		victim = fuse_window_reclaim(win);
	} else {
		range = list_first_entry(&win->free, typeof(*range), list);
		/* What was reserved may have been erased meanwhile */
		if (xa_err(xa_store(&wi->ranges, index, range, GFP_NOWAIT))) {
			spin_unlock(&win->lock);
			goto again;
		}
		list_move_tail(&range->list, &win->busy);
		win->nr_free--;
		range->state = FUSE_RANGE_SETUP;
		range->index = index;
		range->writable = false;
		range->stale = false;
		range->wi = wi;
		refcount_inc(&wi->count);
		fuse_range_queue(w, &range->waiters, false);
		send = true;
		victim = fuse_window_ahead(win);
	}
	spin_unlock(&win->lock);

	if (send)
		fuse_range_send_setup(range, write);
	if (victim)
		fuse_range_retire(victim);

	return err;
}

/**
 * fuse_window_freeze - keep a part of a file out of the window
 * @inode: the file
 * @start: first byte
 * @end: last byte
 *
 * What is there is removed, and nothing is set up until fuse_window_thaw(): the
 * server is going to change the file itself.
 *
 * Return: 0, or -EINTR if the caller was killed.
 */
int fuse_window_freeze(struct inode *inode, loff_t start, loff_t end)
{
	struct fuse_window_inode *wi = fuse_window_inode(inode);
	struct fuse_window *win = wi->win;
	struct fuse_range_waiter w;
	struct fuse_range *range;
	unsigned long index;
	bool remove;
	int err;

	spin_lock(&win->lock);
	while (wi->frozen) {
		fuse_range_waiter_init(&w, win);
		fuse_range_queue(&w, &wi->waiters, false);
		spin_unlock(&win->lock);
		err = fuse_range_wait(&w);
		if (err)
			return err;
		spin_lock(&win->lock);
	}
	wi->frozen = true;
	wi->first = fuse_range_index(win, start);
	wi->last = fuse_range_index(win, end);
	spin_unlock(&win->lock);

	/* Have all of them removed, then wait for each */
	for (int pass = 0; pass < 2; pass++) {
		xa_for_each_range(&wi->ranges, index, range, wi->first, wi->last) {
again:
			spin_lock(&win->lock);
			if (range->wi != wi || range->index != index) {
				spin_unlock(&win->lock);
				continue;
			}
			remove = fuse_range_remove(range);
			if (pass) {
				fuse_range_waiter_init(&w, win);
				fuse_range_queue(&w, &range->waiters, false);
			}
			spin_unlock(&win->lock);

			if (remove)
				fuse_range_put(range);
			if (!pass)
				continue;

			/* A set-up may fail: it is gone then, too */
			err = fuse_range_wait(&w);
			if (err == -EINTR && fatal_signal_pending(current)) {
				fuse_window_inode_thaw(wi);
				return err;
			}
			goto again;
		}
	}

	return 0;
}

void fuse_window_inode_thaw(struct fuse_window_inode *wi)
{
	spin_lock(&wi->win->lock);
	wi->frozen = false;
	fuse_range_wake(&wi->waiters, 0);
	spin_unlock(&wi->win->lock);
}

void fuse_window_thaw(struct inode *inode)
{
	fuse_window_inode_thaw(fuse_window_inode(inode));
}

/**
 * fuse_window_settle - wait for what is being removed of a file
 * @inode: the file
 *
 * A server with several threads could otherwise be asked for FUSE_FSYNC while it
 * is writing that back, and fail to when it has replied.
 *
 * Return: 0, or -EINTR if the caller was killed.
 */
int fuse_window_settle(struct inode *inode)
{
	struct fuse_window_inode *wi = fuse_window_inode(inode);
	struct fuse_window *win = wi->win;
	struct fuse_range_waiter w;
	struct fuse_range *range;
	unsigned long index;
	int err = 0;
	bool wait;

	xa_for_each(&wi->ranges, index, range) {
		fuse_range_waiter_init(&w, win);
		spin_lock(&win->lock);
		wait = range->wi == wi && range->index == index &&
		       range->state == FUSE_RANGE_REMOVE;
		if (wait)
			fuse_range_queue(&w, &range->waiters, false);
		spin_unlock(&win->lock);

		if (wait)
			err = fuse_range_wait(&w);
		if (err)
			break;
	}

	return err;
}

/**
 * fuse_window_invalidate - the server wants ranges of a file back
 * @inode: the file
 * @start: first byte
 * @end: last byte
 *
 * Does not wait: it is the server that calls.
 */
void fuse_window_invalidate(struct inode *inode, loff_t start, loff_t end)
{
	struct fuse_window_inode *wi = fuse_window_inode(inode);
	struct fuse_window *win = wi->win;
	struct fuse_range *range;
	unsigned long index;
	bool remove;

	xa_for_each_range(&wi->ranges, index, range, fuse_range_index(win, start),
			  fuse_range_index(win, end)) {
		remove = false;
		spin_lock(&win->lock);
		if (range->wi == wi && range->index == index) {
			remove = fuse_range_remove(range);
			range->stale = true;
		}
		spin_unlock(&win->lock);
		if (remove)
			fuse_range_put(range);
	}
}

/*
 * The inode goes.  Its ranges are removed without waiting for it, as this may be
 * in reclaim; the FORGET is sent after the last of them.
 */
void fuse_window_evict(struct inode *inode)
{
	struct fuse_inode *fi = get_fuse_inode(inode);
	struct fuse_window_inode *wi = fi->window;
	struct fuse_window *win = wi->win;
	struct fuse_range *range;
	unsigned long index;
	bool remove;

	spin_lock(&win->lock);
	wi->inode = NULL;
	spin_unlock(&win->lock);

	xa_for_each(&wi->ranges, index, range) {
		/* Those who have seen the inode are done with it */
		down_write(&range->sem);
		up_write(&range->sem);

		spin_lock(&win->lock);
		remove = range->wi == wi && fuse_range_remove(range);
		spin_unlock(&win->lock);
		if (remove)
			fuse_range_put(range);
	}

	spin_lock(&win->lock);
	if (inode->i_sb->s_flags & SB_ACTIVE && fi->nlookup) {
		wi->forget = fi->forget;
		wi->nlookup = fi->nlookup;
		fi->forget = NULL;
		fi->nlookup = 0;
	}
	list_add(&wi->node, &win->orphans);
	spin_unlock(&win->lock);

	fi->window = NULL;
	fuse_window_inode_put(wi);
}

/**
 * fuse_window_inode_init - a new inode may be that of a file that uses the window
 * @inode: the inode, that nobody else has seen
 * @flags: of its attributes
 *
 * If the file still has ranges they are being removed, and whatever is done to it
 * has to wait for that.
 */
void fuse_window_inode_init(struct inode *inode, unsigned int flags)
{
	struct fuse_conn *fc = get_fuse_conn(inode);
	/* Pairs with try_cmpxchg() in fuse_window_attach() */
	struct fuse_window *win = smp_load_acquire(&fc->window);
	struct fuse_forget_link *forget = NULL;
	struct fuse_window_inode *wi;
	u64 nlookup = 0;

	if (!win || !S_ISREG(inode->i_mode))
		return;

	if (flags & FUSE_ATTR_DAX)
		set_bit(FUSE_I_WINDOW, &get_fuse_inode(inode)->state);
	if (list_empty_careful(&win->orphans))
		return;

	spin_lock(&win->lock);
	list_for_each_entry(wi, &win->orphans, node) {
		if (wi->nodeid != get_node_id(inode))
			continue;
		list_del_init(&wi->node);
		refcount_inc(&wi->count);
		wi->inode = inode;
		swap(wi->forget, forget);
		swap(wi->nlookup, nlookup);
		get_fuse_inode(inode)->window = wi;
		break;
	}
	spin_unlock(&win->lock);

	/* Not the last one: the server has just been asked for the inode */
	if (forget)
		fuse_chan_queue_forget(fc->chan, forget, get_node_id(inode),
				       nlookup);
}
