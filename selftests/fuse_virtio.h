/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a server over virtiofs can do beside answering requests: see
 * virtiofs_port.h.  All of these fail the test if the device refuses.
 */
#ifndef FUSE_VIRTIO_H
#define FUSE_VIRTIO_H

#include "fuse_server.h"
#include "virtiofs_port.h"

/*
 * Become the server of a device, instead of whoever was it, without mounting it;
 * a reason to skip, or NULL
 */
const char *virtiofs_adopt(struct server *s);
/* Of the window, as FUSE_SETUPMAPPING and FUSE_REMOVEMAPPING want it */
int virtiofs_map(struct server *s, uint64_t window, uint64_t offset,
		 uint64_t len);
int virtiofs_unmap(struct server *s, uint64_t window, uint64_t len);
/* The memory that stands for the contents of all files */
void virtiofs_peek(struct server *s, uint64_t offset, void *data, size_t len);
void virtiofs_poke(struct server *s, uint64_t offset, const void *data,
		   size_t len);
void virtiofs_zero(struct server *s, uint64_t offset, uint64_t len);
/* What the driver reads next when it is bound to the device */
struct virtio_fs_config;
void virtiofs_config(struct server *s, const struct virtio_fs_config *config);
/* All requests fail from now on, also those that were taken */
void virtiofs_retire(struct server *s);
/* Reply with @len bytes, but tell the driver that it were @used */
void virtiofs_reply_used(struct server *s, struct request *r, const void *data,
			 size_t len, uint32_t used);
/* FUSE_FORGET that was received remains in its queue until this */
void virtiofs_hold_forgets(struct server *s);
void virtiofs_release_forgets(struct server *s);

#endif /* FUSE_VIRTIO_H */
