/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Messages of a socket that may bring a file descriptor, between a test, its
 * clients and the device of virtiofs.
 */
#ifndef FUSE_FD_H
#define FUSE_FD_H

#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

union fd_control {
	struct cmsghdr hdr;
	char space[CMSG_SPACE(sizeof(int))];
};

/* As sendmsg(2); without a descriptor if @fd is negative */
static inline ssize_t send_with_fd(int sock, struct iovec *iov, size_t n,
				   int fd)
{
	union fd_control control = {
		.hdr = {
			.cmsg_len = CMSG_LEN(sizeof(int)),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
		},
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = n };

	if (fd >= 0) {
		memcpy(CMSG_DATA(&control.hdr), &fd, sizeof(fd));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
	}
	return sendmsg(sock, &msg, MSG_NOSIGNAL);
}

/* As recv(2); *@fd stays as it is if no descriptor comes; @fd may be NULL */
static inline ssize_t receive_with_fd(int sock, void *data, size_t len,
				      int flags, int *fd)
{
	union fd_control control;
	struct iovec iov = { data, len };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(sock, &msg, flags);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;

	if (fd && c && c->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	return n;
}

#endif
