/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What 7.3's fs/fuse uses of the kernel and older kernels lack, newest first.
 * By a version only where no macro tells: stable kernels take things back.
 */
#ifndef _FUSE_COMPAT_H
#define _FUSE_COMPAT_H

#include <linux/cleanup.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/io_uring/cmd.h>
#include <linux/iomap.h>
#include <linux/memcontrol.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/uio.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 3, 0)
#define iomap_folio_mark_uptodate(folio)	folio_mark_uptodate(folio)

/* ->create had an argument that fuse does not look at; it is never called by name */
#define fuse_create(idmap, dir, entry, mode)	fuse_create(idmap, dir, entry, mode, bool excl)

/* No zero copy over io_uring: servers that ask for it are told */
#define IO_BUF_DEST	1
#define IO_BUF_SOURCE	2
#define io_buffer_register_bvec(cmd, bvs, nr, release, priv, dir, index, flags) \
	((void)(bvs), (void)(release), (void)(priv), (void)(dir), -EOPNOTSUPP)
#define io_buffer_unregister(cmd, index, flags)	0
#endif

/* Typed allocation */
#ifndef kzalloc_obj
#define __compat_gfp(gfp, ...)	gfp
#define compat_gfp(...)		__compat_gfp(__VA_ARGS__ __VA_OPT__(,) GFP_KERNEL)
#define kmalloc_obj(obj, ...) \
	((typeof(obj) *)kmalloc(sizeof(obj), compat_gfp(__VA_ARGS__)))
#define kzalloc_obj(obj, ...) \
	((typeof(obj) *)kzalloc(sizeof(obj), compat_gfp(__VA_ARGS__)))
#define kmalloc_objs(obj, n, ...) \
	((typeof(obj) *)kmalloc_array(n, sizeof(obj), compat_gfp(__VA_ARGS__)))
#define kzalloc_objs(obj, n, ...) \
	((typeof(obj) *)kcalloc(n, sizeof(obj), compat_gfp(__VA_ARGS__)))
#endif

/* A file descriptor of a new file */
#ifndef FD_ADD
#define FD_ADD(fd_flags, expr) ({					\
	int __fd = get_unused_fd_flags(fd_flags);			\
									\
	if (__fd >= 0) {						\
		struct file *__file = (expr);				\
									\
		if (IS_ERR(__file)) {					\
			put_unused_fd(__fd);				\
			__fd = PTR_ERR(__file);				\
		} else {						\
			fd_install(__fd, __file);			\
		}							\
	}								\
	__fd;								\
})
#endif

#ifndef wait_event_state_exclusive
#define wait_event_state_exclusive(wq, condition, state)		\
({									\
	int __ret = 0;							\
									\
	might_sleep();							\
	if (!(condition))						\
		__ret = ___wait_event(wq, condition, state, 1, 0,	\
				      schedule());			\
	__ret;								\
})
#endif

/* With a memory policy */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 19, 0)
#undef filemap_alloc_folio
#define filemap_alloc_folio(gfp, order, policy) \
	alloc_hooks(filemap_alloc_folio_noprof(gfp, order))
#endif

/* Flags of folios had no type of their own; scripts/module-source puts this in */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 18, 0)
#define compat_folio_flags(folio)	((folio)->flags)
#else
#define compat_folio_flags(folio)	((folio)->flags.f)
#endif

/*
 * Anonymous inodes had no operations of their own, which refuse setattr: ftruncate(2)
 * of a buffer's file. scripts/module-source puts these in; see only_cuse.c.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 16, 0)
void compat_buffer_inode_begin(struct inode *inode);
void compat_buffer_inode_end(struct inode *inode);
#else
#define compat_buffer_inode_begin(inode)	do { } while (0)
#define compat_buffer_inode_end(inode)		do { } while (0)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
#define file_kattr fileattr
struct fileattr;
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 14, 0)
#include <linux/pipe_fs_i.h>
static inline unsigned int pipe_buf_usage(const struct pipe_inode_info *pipe)
{
	return pipe_occupancy(pipe->head, pipe->tail);
}

static inline bool folio_mark_dirty_lock(struct folio *folio)
{
	bool ret;

	folio_lock(folio);
	ret = folio_mark_dirty(folio);
	folio_unlock(folio);
	return ret;
}
#endif

#endif
