/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * FUSE buffers: memory that the clients and the server of a connection share.
 */

#ifndef _FS_FUSE_BUFFER_H
#define _FS_FUSE_BUFFER_H

#include <linux/completion.h>
#include <linux/fuse_buffer.h>
#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/refcount.h>
#include <linux/rhashtable.h>
#include <linux/spinlock.h>
#include <linux/xarray.h>

#include "dev.h"
#include "fuse_i.h"

struct folio;
struct fuse_copy_state;
struct seq_buf;
struct user_struct;

/** Pages that all buffers of a connection may have together */
extern unsigned long fuse_max_buffer_pages;

/**
 * struct fuse_buffers - the buffers of a connection
 *
 * Lives as long as the connection or any of its buffers.
 */
struct fuse_buffers {
	/** @count: Refcount */
	refcount_t count;

	/** @dev: Number of the connection */
	dev_t dev;

	/** @create: Serialises the creation of buffers */
	struct mutex create;

	/** @lock: Protects all below, and the last put of a buffer */
	spinlock_t lock;

	/** @table: Buffers by nodeid, look-ups under RCU */
	struct rhashtable table;

	/** @pages: Sum of the sizes of all buffers */
	unsigned long pages;

	/** @bindings: Ranges of files that are bound to buffers */
	struct rb_root bindings;

	/** @nr_bindings: Number of @bindings */
	unsigned long nr_bindings;
};

/**
 * struct fuse_buffer - a buffer
 */
struct fuse_buffer {
	/** @node: In fuse_buffers->table */
	struct rhash_head node;

	/** @nodeid: Name that the server gave it */
	u64 nodeid;

	/** @size: Size in bytes, page aligned, never changes */
	loff_t size;

	/** @count: Refcount */
	refcount_t count;

	/** @mappings: Number of mmap(2) calls whose mappings live */
	atomic_t mappings;

	/** @file: Holds the inode, whose page cache is the memory */
	struct file *file;

	/** @buffers: The connection's buffers, this among them */
	struct fuse_buffers *buffers;

	/** @user: The server's user, charged for @size or for present pages */
	struct user_struct *user;

	/** @flags: FUSE_BUFFER_*, never change */
	u32 flags;

	/** @log: What clients write, with FUSE_BUFFER_LOG */
	struct fuse_dirty_log *log;

	/** @fills: Pages that the server has been asked to fill */
	struct xarray fills;

	/** @rcu: For look-ups */
	struct rcu_head rcu;
};

/*
 * What one mmap(2) of a client has mapped
 *
 * Lives from mmap(2) until the server has read the FUSE_MUNMAP, for which
 * nothing has to be allocated late.
 */
struct fuse_mapping {
	struct fuse_args args;
	union {
		struct fuse_mmap_in mmap_in;
		struct fuse_munmap_in munmap_in;
	};
	struct fuse_mmap_out out;
	struct completion done;
	atomic_t state;

	/* Outcome of FUSE_MMAP */
	int error;

	/* The server believes that it mapped: it has to get a FUSE_MUNMAP */
	bool answered;

	/* Keeps RELEASE from coming before FUSE_MUNMAP */
	struct fuse_file *ff;

	/* Keeps the file system mounted, as any mapped file does */
	struct file *file;

	struct fuse_buffer *buffer;
	u64 nodeid;
	u64 offset;
	u64 len;

	/* Readahead of fills: where the next touch is expected, how much */
	pgoff_t ra_next;
	unsigned int ra_window;
};

#ifdef CONFIG_FUSE_BUFFER
/* The connection's buffers, NULL if it never had one */
static inline struct fuse_buffers *fuse_conn_buffers(struct fuse_conn *fc)
{
	/* Pairs with try_cmpxchg() in fuse_conn_buffers_create() */
	return smp_load_acquire(&fc->buffers);
}
#endif

static inline bool fuse_is_buffer(u64 nodeid)
{
	return nodeid & FUSE_BUFFER_NODEID;
}

/* Does a notification mean a buffer, not an inode? */
static inline bool fuse_notify_is_buffer(struct fuse_conn *fc, u64 nodeid)
{
	return IS_ENABLED(CONFIG_FUSE_BUFFER) && fuse_is_buffer(nodeid) &&
		fuse_has_feature(fc, FUSE_FEATURE_BUFFERS);
}

/**
 * typedef fuse_buffer_copy_t - copy data into a page of a buffer
 * @folio: where to, not locked
 * @offset: offset in @folio
 * @len: number of bytes
 * @src: where from
 *
 * Return: number of bytes copied, or -errno if none was.
 */
typedef ssize_t (*fuse_buffer_copy_t)(struct folio *folio, size_t offset,
				      size_t len, void *src);

/* buffer.c */
struct fuse_buffers *fuse_conn_buffers_create(struct fuse_conn *fc);
void fuse_buffers_put(struct fuse_buffers *buffers);
int fuse_buffers_charge(struct fuse_buffers *buffers, struct user_struct *user,
			u64 pages);
void fuse_buffers_uncharge(struct fuse_buffers *buffers,
			   struct user_struct *user, unsigned long pages);
vm_fault_t fuse_buffer_fault(struct vm_fault *vmf);
struct fuse_buffer *fuse_buffer_find(struct fuse_conn *fc, u64 nodeid);
struct fuse_buffer *fuse_buffer_get(struct fuse_conn *fc, u64 nodeid, u64 size,
				    u32 flags);
void fuse_buffer_put(struct fuse_buffer *buffer);
struct file *fuse_buffer_file(struct fuse_buffer *buffer, int flags,
			      const struct file_operations *fops, void *data);
struct folio *fuse_buffer_get_folio(struct fuse_buffer *buffer, pgoff_t index);
int fuse_buffer_add_folio(struct fuse_buffer *buffer, struct folio *folio,
			  pgoff_t index);
void fuse_buffer_remove_folio(struct fuse_buffer *buffer, struct folio *folio);
ssize_t fuse_buffer_fill(struct fuse_buffer *buffer, loff_t pos, size_t len,
			 fuse_buffer_copy_t copy, void *src);
void fuse_buffers_show(struct fuse_conn *fc, struct seq_buf *s);

/* buffer_bind.c */
bool fuse_buffer_bound(struct fuse_file *ff, u64 start, u64 len,
		       struct fuse_buffer **buffer, u64 *offset);

/* buffer_demand.c */
vm_fault_t fuse_demand_fault(struct vm_fault *vmf);
void fuse_demand_forget(struct fuse_buffer *buffer, pgoff_t start, pgoff_t end);

/* buffer_dirty.c */
int fuse_dirty_log_alloc(struct fuse_buffer *buffer);
void fuse_dirty_log_free(struct fuse_buffer *buffer);
vm_fault_t fuse_dirty_mkwrite(struct vm_fault *vmf);
long fuse_dirty_query(struct fuse_buffer *buffer, void __user *argp);
bool fuse_dirty_take(struct fuse_buffer *buffer, u64 *pos, u64 *len,
		     unsigned int max);
__poll_t fuse_dirty_poll(struct fuse_buffer *buffer, struct file *file,
			 poll_table *wait);

/* buffer_notify.c */
int fuse_buffer_store(struct fuse_conn *fc,
		      const struct fuse_notify_store_out *arg,
		      struct fuse_copy_state *cs);
int fuse_buffer_retrieve(struct fuse_conn *fc,
			 const struct fuse_notify_retrieve_out *arg);
int fuse_buffer_inval(struct fuse_conn *fc,
		      const struct fuse_notify_inval_inode_out *arg);

/* buffer_splice.c */
ssize_t fuse_buffer_move(struct fuse_buffer *buffer, pgoff_t index,
			 struct fuse_copy_state *cs);

#endif /* _FS_FUSE_BUFFER_H */
