/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * FUSE window: ranges of files in memory that the server fills.
 */

#ifndef _FS_FUSE_WINDOW_H
#define _FS_FUSE_WINDOW_H

#include <linux/completion.h>
#include <linux/fuse_window.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/refcount.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/xarray.h>

#include "fuse_i.h"

struct fuse_forget_link;

/* Pages that are mapped around one that is touched */
#define FUSE_WINDOW_AROUND	16UL

enum fuse_range_state {
	/* In win->free */
	FUSE_RANGE_FREE,
	/* FUSE_SETUPMAPPING is under way */
	FUSE_RANGE_SETUP,
	/* Can be used */
	FUSE_RANGE_READY,
	/* Can be read; FUSE_SETUPMAPPING for writing is under way */
	FUSE_RANGE_UPGRADE,
	/* Waits for its users, or for the reply to FUSE_REMOVEMAPPING */
	FUSE_RANGE_REMOVE,
	/* The connection ended before the server could remove it */
	FUSE_RANGE_LOST,
};

/**
 * struct fuse_range_miss - what requests for a range that is not in the window
 * have cost
 */
struct fuse_range_miss {
	/** @nodeid: Of the file */
	u64 nodeid;

	/** @index: Of the range */
	pgoff_t index;

	/** @cost: In bytes; others that share the place take from it */
	unsigned long cost;
};

/**
 * struct fuse_range - a part of the window
 */
struct fuse_range {
	/**
	 * @users: Who copies from and to it, or maps it, and one more while it
	 * is ready.  Nobody who has one waits for the server, or for a user.
	 */
	refcount_t users;

	/** @state: Changes under win->lock, as all below do */
	enum fuse_range_state state;

	/** @writable: The server has agreed that it is written to */
	bool writable;

	/** @referenced: Used since reclaim last came by */
	bool referenced;

	/** @reclaim: Being removed to make room, and for nothing else */
	bool reclaim;

	/** @stale: To be removed as soon as the server has replied */
	bool stale;

	/** @index: Where in the file, in units of ranges */
	pgoff_t index;

	/** @win: The window, never changes */
	struct fuse_window *win;

	/** @wi: The file, with a reference; NULL if free or lost */
	struct fuse_window_inode *wi;

	/** @list: In win->free or win->busy */
	struct list_head list;

	/** @waiters: Those who wait for @state to change */
	struct list_head waiters;

	/**
	 * @sem: Keeps what takes page table entries away, or write-protects
	 * them, apart from what makes them.  Taken out of reclaim, so nobody
	 * enters reclaim under it.
	 */
	struct rw_semaphore sem;

	/** @miss: Of some range of some file, not of this one */
	struct fuse_range_miss miss;

	/**
	 * @removal: For FUSE_REMOVEMAPPING, if @writable: that may have to be
	 * sent when there is no memory
	 */
	struct fuse_req *removal;

	/** @args: The request that is under way, one at a time */
	struct fuse_args args;
	union {
		/** @setup: Of FUSE_SETUPMAPPING */
		struct fuse_setupmapping_in setup;
		struct {
			/** @remove: Of FUSE_REMOVEMAPPING, with @one */
			struct fuse_removemapping_in remove;

			/** @one: See @remove */
			struct fuse_removemapping_one one;
		};
	};
};

/**
 * struct fuse_window - memory that a server has attached to its connection
 */
struct fuse_window {
	/** @kref: Of the connection, the server's file, files, and requests */
	struct kref kref;

	/** @fc: The connection; valid as long as inodes or requests are */
	struct fuse_conn *fc;

	/** @buffers: What the memory is charged to, with @user */
	struct fuse_buffers *buffers;

	/** @user: See @buffers */
	struct user_struct *user;

	/** @inode: Of the server's file, whose mappings have to be found */
	struct inode *inode;

	/** @all: FUSE_WINDOW_ALL */
	bool all;

	/** @shift: log2 of the pages of a range */
	unsigned int shift;

	/** @nr_ranges: Number of @ranges */
	unsigned long nr_ranges;

	/** @lock: A leaf but for the locks of xarrays and fi->lock */
	spinlock_t lock;

	/** @free: Ranges that belong to nobody */
	struct list_head free;

	/** @busy: The others, but for those that are lost: reclaim's clock */
	struct list_head busy;

	/** @hungry: Those who wait for a range to become free */
	struct list_head hungry;

	/** @orphans: Files whose inodes are gone and that still have ranges */
	struct list_head orphans;

	/** @nr_free: Number of ranges in @free */
	unsigned long nr_free;

	/** @nr_hungry: Number of those in @hungry */
	unsigned long nr_hungry;

	/** @nr_removing: Number of ranges that are being removed */
	unsigned long nr_removing;

	/** @nr_lost: Number of ranges that are lost */
	unsigned long nr_lost;

	/** @pages: The memory; pages are made when they are touched */
	struct page **pages;

	/** @dirty: A bit for each page that no query has returned since */
	unsigned long *dirty;

	/** @ranges: All of it, in the order of @pages */
	struct fuse_range ranges[] __counted_by(nr_ranges);
};

/**
 * struct fuse_window_inode - a file that uses the window
 */
struct fuse_window_inode {
	/** @count: Of the inode, and of each range that belongs to it */
	refcount_t count;

	/** @win: The window, with a reference */
	struct fuse_window *win;

	/** @nodeid: Of the file */
	u64 nodeid;

	/** @ranges: By index */
	struct xarray ranges;

	/** @errors: Whose fault has dropped its lock to wait, and failed */
	struct xarray errors;

	/** @inode: NULL when it is gone; under win->lock */
	struct inode *inode;

	/** @node: In win->orphans */
	struct list_head node;

	/** @frozen: No set-up from @first to @last; under win->lock */
	bool frozen;

	/** @first: See @frozen; an index */
	pgoff_t first;

	/** @last: See @frozen; an index */
	pgoff_t last;

	/** @waiters: Those who wait for @frozen to end */
	struct list_head waiters;

	/** @forget: To be sent after the last REMOVEMAPPING */
	struct fuse_forget_link *forget;

	/** @nlookup: Of the FORGET */
	u64 nlookup;
};

/* Somebody who waits; on the stack */
struct fuse_range_waiter {
	struct list_head node;
	struct fuse_window *win;
	struct completion done;
	bool hungry;
	int error;
};

static inline unsigned long fuse_range_first(const struct fuse_range *range)
{
	return (range - range->win->ranges) << range->win->shift;
}

static inline size_t fuse_range_size(const struct fuse_window *win)
{
	return PAGE_SIZE << win->shift;
}

static inline pgoff_t fuse_range_index(const struct fuse_window *win, loff_t pos)
{
	return pos >> (PAGE_SHIFT + win->shift);
}

static inline struct fuse_window_inode *fuse_window_inode(struct inode *inode)
{
	/* Pairs with smp_store_release() in fuse_window_open() */
	return smp_load_acquire(&get_fuse_inode(inode)->window);
}

/* window.c */
void fuse_window_put(struct fuse_window *win);
struct page *fuse_window_page(struct fuse_window *win, unsigned long nr);
void fuse_window_drop(struct fuse_range *range);

/* window_range.c */
struct fuse_window_inode *fuse_window_inode_alloc(struct fuse_window *win,
						  struct inode *inode);
void fuse_window_inode_put(struct fuse_window_inode *wi);
void fuse_range_init(struct fuse_window *win, struct fuse_range *range);
struct fuse_range *fuse_range_get(struct fuse_window_inode *wi, pgoff_t index,
				  bool write);
void fuse_range_put(struct fuse_range *range);
int fuse_range_ask(struct fuse_window_inode *wi, pgoff_t index, bool write,
		   struct fuse_range_waiter *w);
int fuse_range_wait(struct fuse_range_waiter *w);
bool fuse_range_pays(struct fuse_window_inode *wi, pgoff_t index, size_t len,
		     bool sequential);
void fuse_range_leave(struct fuse_range_waiter *w);
void fuse_window_inode_thaw(struct fuse_window_inode *wi);

#endif /* _FS_FUSE_WINDOW_H */
