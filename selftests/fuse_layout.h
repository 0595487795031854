/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the protocol's structures look like, for programs of 64 and of 32 bit
 * alike: fuse_client is built as both.
 */
#ifndef FUSE_LAYOUT_H
#define FUSE_LAYOUT_H

#include <stddef.h>
#include <linux/fuse_window.h>

/* A field in the middle and the last one fix all that have no holes */
#define LAYOUT(type, size, field, field_at, last, last_at)		\
	_Static_assert(sizeof(struct type) == (size) &&			\
		       offsetof(struct type, field) == (field_at) &&	\
		       offsetof(struct type, last) == (last_at) &&	\
		       (last_at) + sizeof(((struct type *)0)->last) == (size), \
		       "layout of struct " #type)

LAYOUT(fuse_mmap_in, 40, offset, 24, flags, 36);
LAYOUT(fuse_mmap_out, 32, size, 16, padding, 28);
LAYOUT(fuse_munmap_in, 32, offset, 16, len, 24);
LAYOUT(fuse_enable, 16, features, 0, supported, 8);
LAYOUT(fuse_buffer_open, 24, size, 8, padding, 20);
LAYOUT(fuse_buffer_bind, 64, nodeid, 32, padding, 60);
LAYOUT(fuse_buffer_unbind, 32, start, 16, len, 24);
LAYOUT(fuse_buffer_range, 16, start, 0, len, 8);
LAYOUT(fuse_buffer_dirty, 24, ranges, 8, padding, 20);
LAYOUT(fuse_window_attach, 16, size, 0, flags, 12);
LAYOUT(fuse_window_dirty, 32, ranges, 16, padding, 28);

#endif /* FUSE_LAYOUT_H */
