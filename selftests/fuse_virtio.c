// SPDX-License-Identifier: GPL-2.0
/*
 * Transport: virtiofs, through virtiofs_relay.  Requests that come while a
 * command waits for its answer are kept; an eventfd then makes s->wait_fd,
 * which is an epoll instance, readable.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_fs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuse_virtio.h"

/* Where a request came from: where its reply goes */
#define FROM(queue, id)	((void *)(uintptr_t)(1 | (queue) << 1 | (id) << 8))
#define FROM_QUEUE(f)	((uintptr_t)(f) >> 1 & 0x7f)
#define FROM_ID(f)	((uint32_t)((uintptr_t)(f) >> 8))

static struct virtiofs_message *kept, **kept_tail = &kept;
static int kept_event = -1;
static bool hold_forgets;
static void *held[256];
static unsigned int held_count;

static void keep(struct virtiofs_message *m)
{
	*kept_tail = m;
	kept_tail = &m->next;
	eventfd_write(kept_event, 1);
}

static int64_t command(struct server *s, struct virtiofs_frame f,
		       const void *in, size_t in_len, void *out, size_t out_len)
{
	return virtiofs_port_command(s->fd, f, in, in_len, out, out_len, keep);
}

static void must(struct server *s, struct virtiofs_frame f, const void *data,
		 size_t len)
{
	int64_t result = command(s, f, data, len, NULL, 0);

	if (result < 0)
		fail("command %u: %s", f.type, strerror(-result));
}

int virtiofs_map(struct server *s, uint64_t window, uint64_t offset,
		 uint64_t len)
{
	return command(s, (struct virtiofs_frame){
		.type = VIRTIOFS_MAP,
		.offset = window,
		.memory = offset,
		.length = len,
	}, NULL, 0, NULL, 0);
}

int virtiofs_unmap(struct server *s, uint64_t window, uint64_t len)
{
	return command(s, (struct virtiofs_frame){
		.type = VIRTIOFS_UNMAP,
		.offset = window,
		.length = len,
	}, NULL, 0, NULL, 0);
}

void virtiofs_peek(struct server *s, uint64_t offset, void *data, size_t len)
{
	struct virtiofs_frame f = {
		.type = VIRTIOFS_PEEK,
		.memory = offset,
		.length = len,
	};

	if (command(s, f, NULL, 0, data, len) != (int64_t)len)
		fail("cannot peek at %#llx", (unsigned long long)offset);
}

void virtiofs_poke(struct server *s, uint64_t offset, const void *data,
		   size_t len)
{
	struct virtiofs_frame f = {
		.type = VIRTIOFS_POKE,
		.memory = offset,
	};

	if (command(s, f, data, len, NULL, 0) != (int64_t)len)
		fail("cannot poke at %#llx", (unsigned long long)offset);
}

void virtiofs_zero(struct server *s, uint64_t offset, uint64_t len)
{
	must(s, (struct virtiofs_frame){
		.type = VIRTIOFS_ZERO,
		.memory = offset,
		.length = len,
	}, NULL, 0);
}

void virtiofs_config(struct server *s, const struct virtio_fs_config *config)
{
	must(s, (struct virtiofs_frame){ .type = VIRTIOFS_CONFIG }, config,
	     sizeof(*config));
}

void virtiofs_retire(struct server *s)
{
	must(s, (struct virtiofs_frame){ .type = VIRTIOFS_RETIRE }, NULL, 0);
}

static void reply_frame(struct server *s, void *from, uint32_t used,
			const struct iovec *iov, int n)
{
	virtiofs_port_send(s->fd, (struct virtiofs_frame){
		.type = VIRTIOFS_REPLY,
		.queue = FROM_QUEUE(from),
		.id = FROM_ID(from),
		.len = used,
	}, iov, n);
}

void virtiofs_reply_used(struct server *s, struct request *r, const void *data,
			 size_t len, uint32_t used)
{
	struct iovec iov = { (void *)data, len };

	reply_frame(s, r->from, used, &iov, 1);
}

void virtiofs_hold_forgets(struct server *s)
{
	(void)s;
	hold_forgets = true;
}

void virtiofs_release_forgets(struct server *s)
{
	while (held_count)
		reply_frame(s, held[--held_count], 0, NULL, 0);
	hold_forgets = false;
}

static const char *tag(struct server *s)
{
	return s->tag ?: VIRTIOFS_DAX;
}

const char *virtiofs_adopt(struct server *s)
{
	struct epoll_event event = { .events = EPOLLIN };

	s->fd = virtiofs_port_open(tag(s));
	if (s->fd < 0)
		return "no virtiofs device of virtiofs_relay";
	kept_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
	s->wait_fd = epoll_create1(EPOLL_CLOEXEC);
	if (kept_event < 0 || s->wait_fd < 0 ||
	    epoll_ctl(s->wait_fd, EPOLL_CTL_ADD, s->fd, &event) ||
	    epoll_ctl(s->wait_fd, EPOLL_CTL_ADD, kept_event, &event))
		fail("epoll: %s", strerror(errno));
	must(s, (struct virtiofs_frame){ .type = VIRTIOFS_ADOPT }, NULL, 0);
	return NULL;
}

static const char *virtiofs_connect(struct server *s)
{
	const char *why = virtiofs_adopt(s);

	if (!why && mount(tag(s), s->mnt, "virtiofs", MS_NOSUID | MS_NODEV,
			  s->options))
		fail("mount: %s", strerror(errno));
	return why;
}

static void virtiofs_stop(struct server *s)
{
	struct virtiofs_message *k;

	if (s->fd < 0)
		return;
	virtiofs_retire(s);
	while ((k = kept)) {
		kept = k->next;
		free(k);
	}
	kept_tail = &kept;
	held_count = 0;
	hold_forgets = false;
	close(kept_event);
	close(s->wait_fd);
}

static ssize_t virtiofs_receive(struct server *s, void *buf, size_t size,
				void **from)
{
	struct pollfd pfd = { .fd = s->fd, .events = POLLIN };
	struct virtiofs_message *k = kept;
	eventfd_t one;
	ssize_t len;

	if (k) {
		kept = k->next;
		if (!kept)
			kept_tail = &kept;
		eventfd_read(kept_event, &one);
	} else if (poll(&pfd, 1, 0) == 1) {
		k = virtiofs_port_receive(s->fd, WAIT_MS);
	} else {
		return -EAGAIN;
	}
	if (k->f.type != VIRTIOFS_REQUEST || k->f.size > size)
		fail("frame %u of %u bytes", k->f.type, k->f.size);
	*from = FROM(k->f.queue, k->f.id);
	len = k->f.size;
	memcpy(buf, k->data, len);
	free(k);
	/* that of FUSE_FORGET, to which there is no reply */
	if (FROM_QUEUE(*from) != 0)
		return len;
	if (!hold_forgets)
		reply_frame(s, *from, 0, NULL, 0);
	else if (held_count < sizeof(held) / sizeof(*held))
		held[held_count++] = *from;
	else
		fail("more requests than the queue has room for");
	return len;
}

static int virtiofs_send(struct server *s, struct request *r,
			 const struct iovec *iov, int n)
{
	uint32_t used = 0;
	int i;

	if (!r)
		skip("virtiofs has no notifications");
	for (i = 0; i < n; i++)
		used += iov[i].iov_len;
	reply_frame(s, r->from, used, iov, n);
	return 0;
}

const struct transport virtiofs_transport = {
	.name = "virtiofs",
	.no_interrupts = true,
	.connect = virtiofs_connect,
	.stop = virtiofs_stop,
	.receive = virtiofs_receive,
	.send = virtiofs_send,
};
