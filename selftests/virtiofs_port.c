// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuse_server.h"
#include "virtiofs_port.h"

int virtiofs_port_open(const char *tag)
{
	char path[64], name[64];
	bool found;
	FILE *file;
	int i, fd;

	for (i = 0; i < 64; i++) {
		snprintf(path, sizeof(path),
			 "/sys/class/virtio-ports/vport%dp%d/name", i / 16, i % 16);
		file = fopen(path, "r");
		if (!file)
			continue;
		found = fgets(name, sizeof(name), file) &&
			!strncmp(name, tag, strlen(tag));
		fclose(file);
		if (!found)
			continue;
		snprintf(path, sizeof(path), "/dev/vport%dp%d", i / 16, i % 16);
		fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
		if (fd < 0)
			fail("%s: %s", path, strerror(errno));
		return fd;
	}
	return -1;
}

static void read_all(int fd, void *data, size_t len, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	ssize_t n;

	while (len) {
		n = read(fd, data, len);
		if (n > 0) {
			data = (char *)data + n;
			len -= n;
		} else if (n == 0 || errno != EAGAIN || poll(&pfd, 1, ms) != 1) {
			fail("the device does not answer");
		}
	}
}

static void write_all(int fd, const void *data, size_t len)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };
	ssize_t n;

	while (len) {
		n = write(fd, data, len);
		if (n > 0) {
			data = (const char *)data + n;
			len -= n;
		} else if (n == 0 || errno != EAGAIN ||
			   poll(&pfd, 1, WAIT_MS) != 1) {
			fail("the device does not listen");
		}
	}
}

void virtiofs_port_send(int fd, struct virtiofs_frame f, const struct iovec *iov,
			int n)
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
	write_all(fd, all, end - all);
	free(all);
}

struct virtiofs_message *virtiofs_port_receive(int fd, int ms)
{
	struct virtiofs_message *m;
	struct virtiofs_frame f;

	read_all(fd, &f, sizeof(f), ms);
	m = malloc(sizeof(*m) + f.size);
	m->next = NULL;
	m->f = f;
	read_all(fd, m->data, f.size, WAIT_MS);
	return m;
}

int64_t virtiofs_port_command(int fd, struct virtiofs_frame f,
			      const void *in, size_t in_len,
			      void *out, size_t out_len,
			      void (*keep)(struct virtiofs_message *m))
{
	struct iovec iov = { (void *)in, in_len };
	struct virtiofs_message *m;
	int64_t result;

	virtiofs_port_send(fd, f, &iov, 1);
	for (;;) {
		m = virtiofs_port_receive(fd, WAIT_MS);
		if (m->f.type == VIRTIOFS_DONE)
			break;
		keep(m);
	}
	if (m->f.size > out_len)
		fail("answer of %u bytes", m->f.size);
	if (out)
		memcpy(out, m->data, m->f.size);
	result = m->f.result;
	free(m);
	return result;
}
