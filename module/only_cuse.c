// SPDX-License-Identifier: GPL-2.0
/*
 * CUSE alone: what dev.c, notify.c and others want of the file system, for
 * connections that never have an inode; and the init in place of that of
 * inode.c.
 */
#include "fuse_i.h"
#include "dev.h"
#include "buffer.h"

#include <linux/sysctl.h>

unsigned int inval_wq;

void fuse_epoch_work(struct work_struct *work)
{
}

struct inode *fuse_ilookup(struct fuse_conn *fc, u64 nodeid,
			   struct fuse_mount **fm)
{
	return NULL;
}

int fuse_reverse_inval_inode(struct fuse_conn *fc, u64 nodeid,
			     loff_t offset, loff_t len)
{
	return -ENOENT;
}

int fuse_reverse_inval_entry(struct fuse_conn *fc, u64 parent_nodeid,
			     u64 child_nodeid, struct qstr *name, u32 flags)
{
	return -ENOENT;
}

void fuse_try_prune_one_inode(struct fuse_conn *fc, u64 nodeid)
{
}

bool fuse_write_update_attr(struct inode *inode, loff_t pos, ssize_t written)
{
	return false;
}

void fuse_file_io_release(struct fuse_file *ff, struct inode *inode)
{
}

void fuse_set_nowrite(struct inode *inode)
{
}

void fuse_release_nowrite(struct inode *inode)
{
}

void fuse_invalidate_attr_mask(struct inode *inode, u32 mask)
{
}

static const struct inode_operations *anon_inode_ops;

static int compat_buffer_setattr(struct mnt_idmap *idmap, struct dentry *dentry,
				 struct iattr *attr)
{
	return -EOPNOTSUPP;
}

static const struct inode_operations compat_buffer_iops = {
	.setattr = compat_buffer_setattr,
};

void compat_buffer_inode_begin(struct inode *inode)
{
	anon_inode_ops = inode->i_op;
	inode->i_op = &compat_buffer_iops;
}

/* A file that was opened by O_PATH has the inode, but no reference on us */
void compat_buffer_inode_end(struct inode *inode)
{
	inode->i_op = anon_inode_ops;
}

static struct ctl_table_header *header;

static const struct ctl_table table[] = {
	{
		.procname	= "max_buffer_pages",
		.data		= &fuse_max_buffer_pages,
		.maxlen		= sizeof(fuse_max_buffer_pages),
		.mode		= 0644,
		.proc_handler	= proc_doulongvec_minmax,
	},
};

static int __init fuse_init(void)
{
	int err = fuse_dev_init();

	if (err)
		return err;

	header = register_sysctl("fs/fuse", table);
	if (!header) {
		fuse_dev_cleanup();
		return -ENOMEM;
	}
	return 0;
}

static void __exit fuse_exit(void)
{
	unregister_sysctl_table(header);
	/* delayed_release() */
	rcu_barrier();
	fuse_dev_cleanup();
}

module_init(fuse_init);
module_exit(fuse_exit);
