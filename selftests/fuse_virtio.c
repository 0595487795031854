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

struct kept {
	struct kept *next;
	struct virtiofs_frame f;
	char data[];
};

static struct kept *kept, **kept_tail = &kept;
static int kept_event = -1;
static bool hold_forgets;
static void *held[256];
static unsigned int held_count;

static void read_all(struct server *s, void *data, size_t len)
{
	struct pollfd pfd = { .fd = s->fd, .events = POLLIN };
	ssize_t n;

	while (len) {
		n = read(s->fd, data, len);
		if (n > 0) {
			data = (char *)data + n;
			len -= n;
		} else if (n == 0 || errno != EAGAIN ||
			   poll(&pfd, 1, WAIT_MS) != 1) {
			fail("the device does not answer");
		}
	}
}

static void write_all(struct server *s, const void *data, size_t len)
{
	struct pollfd pfd = { .fd = s->fd, .events = POLLOUT };
	ssize_t n;

	while (len) {
		n = write(s->fd, data, len);
		if (n > 0) {
			data = (const char *)data + n;
			len -= n;
		} else if (n == 0 || errno != EAGAIN ||
			   poll(&pfd, 1, WAIT_MS) != 1) {
			fail("the device does not listen");
		}
	}
}

static void send_frame(struct server *s, struct virtiofs_frame f,
		       const struct iovec *iov, int n)
{
	char *all, *end;
	int i;

	f.size = 0;
	for (i = 0; i < n; i++)
		f.size += iov[i].iov_len;
	all = malloc(sizeof(f) + f.size);
	end = mempcpy(all, &f, sizeof(f));
	for (i = 0; i < n; i++)
		end = mempcpy(end, iov[i].iov_base, iov[i].iov_len);
	write_all(s, all, end - all);
	free(all);
}

static struct kept *receive_frame(struct server *s)
{
	struct virtiofs_frame f;
	struct kept *k;

	read_all(s, &f, sizeof(f));
	k = malloc(sizeof(*k) + f.size);
	k->next = NULL;
	k->f = f;
	read_all(s, k->data, f.size);
	return k;
}

static int64_t command(struct server *s, struct virtiofs_frame f,
		       const void *in, size_t in_len, void *out, size_t out_len)
{
	struct iovec iov = { (void *)in, in_len };
	struct kept *k;
	int64_t result;

	send_frame(s, f, &iov, 1);
	for (;;) {
		k = receive_frame(s);
		if (k->f.type == VIRTIOFS_DONE)
			break;
		*kept_tail = k;
		kept_tail = &k->next;
		eventfd_write(kept_event, 1);
	}
	if (k->f.size > out_len)
		fail("answer of %u bytes", k->f.size);
	if (out)
		memcpy(out, k->data, k->f.size);
	result = k->f.result;
	free(k);
	return result;
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
	send_frame(s, (struct virtiofs_frame){
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

/* The port of that name, or NULL */
static const char *port_path(const char *tag)
{
	static char path[64];
	char name[64];
	int i, j;

	for (i = 0; i < 4; i++)
		for (j = 0; j < 16; j++) {
			snprintf(path, sizeof(path),
				 "/sys/class/virtio-ports/vport%dp%d/name", i, j);
			if (read_text(path, name, sizeof(name)) < 0 ||
			    strncmp(name, tag, strlen(tag)))
				continue;
			snprintf(path, sizeof(path), "/dev/vport%dp%d", i, j);
			return path;
		}
	return NULL;
}

static const char *tag(struct server *s)
{
	return s->tag ?: VIRTIOFS_DAX;
}

const char *virtiofs_adopt(struct server *s)
{
	const char *path = port_path(tag(s));
	struct epoll_event event = { .events = EPOLLIN };

	if (!path)
		return "no virtiofs device of virtiofs_relay";
	s->fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (s->fd < 0)
		fail("%s: %s", path, strerror(errno));
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
	struct kept *k;

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
	struct kept *k = kept;
	eventfd_t one;
	ssize_t len;

	if (k) {
		kept = k->next;
		if (!kept)
			kept_tail = &kept;
		eventfd_read(kept_event, &one);
	} else if (poll(&pfd, 1, 0) == 1) {
		k = receive_frame(s);
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
