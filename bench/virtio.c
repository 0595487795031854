// SPDX-License-Identifier: GPL-2.0
/*
 * The server with virtiofs: what a process on the host would be, behind the
 * device that the tests have.  Messages take a way that no user would choose, so
 * only what needs none says something about virtiofs.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <unistd.h>

#include <virtiofs_port.h>

#include "server.h"

static struct virtiofs_message *kept, **kept_tail = &kept;

void fail(const char *fmt, ...)
{
	char text[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	die("%s", text);
}

/* For who was the server before */
static void drop(struct virtiofs_message *m)
{
	free(m);
}

static void keep(struct virtiofs_message *m)
{
	*kept_tail = m;
	kept_tail = &m->next;
}

static int command(struct server *s, enum virtiofs_frame_type type,
		   uint64_t offset, uint64_t memory, uint64_t length)
{
	return virtiofs_port_command(s->fd, (struct virtiofs_frame){
		.type = type,
		.offset = offset,
		.memory = memory,
		.length = length,
	}, NULL, 0, NULL, 0, keep);
}

const char *virtio_mount(struct server *s)
{
	s->fd = virtiofs_port_open(VIRTIOFS_DAX);
	if (s->fd < 0)
		return "no virtiofs device";
	need(!virtiofs_port_command(s->fd,
				    (struct virtiofs_frame){ .type = VIRTIOFS_ADOPT },
				    NULL, 0, NULL, 0, drop));
	need(!mount(VIRTIOFS_DAX, s->dir, "virtiofs", 0, "dax=always"));
	return NULL;
}

int virtio_map(struct server *s, const struct fuse_setupmapping_in *in)
{
	/* what there is of memory is all there is of contents */
	return command(s, VIRTIOFS_MAP, in->moffset,
		       in->foffset % VIRTIOFS_MEMORY, in->len);
}

int virtio_unmap(struct server *s, const struct fuse_removemapping_in *in)
{
	const struct fuse_removemapping_one *one = (const void *)(in + 1);
	int error = 0;
	uint32_t i;

	for (i = 0; i < in->count && !error; i++)
		error = command(s, VIRTIOFS_UNMAP, one[i].moffset, 0, one[i].len);
	return error;
}

void virtio_reply(struct server *s, struct request *r, const struct iovec *iov, int n)
{
	struct virtiofs_frame f = {
		.type = VIRTIOFS_REPLY,
		.queue = r->queue,
		.id = r->id,
	};
	int i;

	for (i = 0; i < n; i++)
		f.len += iov[i].iov_len;
	virtiofs_port_send(s->fd, f, iov, n);
}

void virtio_receive(struct server *s, struct request *r)
{
	struct virtiofs_message *m = kept;

	if (m) {
		kept = m->next;
		if (!kept)
			kept_tail = &kept;
	} else {
		m = virtiofs_port_receive(s->fd, -1);
	}
	memcpy(s->buf, m->data, m->f.size);
	r->queue = m->f.queue;
	r->id = m->f.id;
	free(m);
	/* that of FUSE_FORGET, to which there is no other reply */
	if (!r->queue)
		virtio_reply(s, r, NULL, 0);
}
