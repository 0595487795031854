/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests and fuse_client, the process that they drive, say to each
 * other.  The layout is the same for 32-bit and 64-bit clients.
 */
#ifndef FUSE_CLIENT_H
#define FUSE_CLIENT_H

#include <stdint.h>

#define CLIENT_FD	200	/* + index: the client's end of its socket */
#define CLIENT_MAX	4
#define CLIENT_DATA	16384

/* Arguments of CLIENT_SYSCALL that are addresses in the command's data */
#define CLIENT_OUT	8192	/* the first part of it is zeroed */
#define ARG(offset)	(0x7a3d000000000000 | (int64_t)(offset))
#define IS_ARG(a)	((uint64_t)(a) >> 16 == 0x7a3d00000000)
#define ARG_OFFSET(a)	((a) & 0xffff)

/* Returned instead of an errno when the memory access raised @sig */
#define CLIENT_FAULT(sig)	(-4096 - (sig))

enum client_op {
	CLIENT_HELLO,		/* pid */
	CLIENT_OPEN,		/* data: path; flags */
	CLIENT_CLOSE,		/* fd */
	CLIENT_MMAP,		/* addr, len, prot, flags, fd, offset */
	CLIENT_MUNMAP,		/* addr, len */
	CLIENT_MREMAP,		/* addr, len, new len, flags, new addr */
	CLIENT_MPROTECT,	/* addr, len, prot */
	CLIENT_MSYNC,		/* addr, len, flags */
	CLIENT_MADVISE,		/* addr, len, advice */
	CLIENT_PEEK,		/* addr, len: data out */
	CLIENT_POKE,		/* addr; data in */
	CLIENT_FILL,		/* addr, len, byte */
	CLIENT_DIFF,		/* addr, len, byte: first other byte, or len */
	CLIENT_READ,		/* fd, len: data out */
	CLIENT_WRITE,		/* fd; data in */
	CLIENT_READ_TO,		/* fd, addr, len */
	CLIENT_READ_FIXED,	/* fd, addr, len: addr is registered with io_uring */
	CLIENT_IOCTL,		/* fd, cmd; data in and out */
	CLIENT_POLL,		/* fd, events, timeout: revents */
	CLIENT_FCNTL,		/* fd, cmd, arg */
	CLIENT_SYSCALL,		/* arguments, number; data in and out */
	CLIENT_SIGACTION,	/* signal, sa_flags */
	CLIENT_SIGNALS,		/* number of signals caught */
	CLIENT_FAULTS,		/* prepare for fail_nth */
	CLIENT_RECVFD,		/* fd that came with the command */
	CLIENT_TOUCHER,		/* a second thread reads addr */
	CLIENT_FORK,		/* index of the child's socket: pid */
	CLIENT_EXEC,		/* no answer but the HELLO of the new image */
	CLIENT_EXIT,		/* status; no answer */
};

struct client_cmd {
	uint32_t op;
	uint32_t len;
	uint32_t fail_nth;	/* inject a fault where the kernel could fail */
	uint32_t padding;
	int64_t a[7];
	char data[CLIENT_DATA];
};

struct client_answer {
	int64_t ret;		/* as the system call, or -errno */
	uint32_t len;
	uint32_t wordsize;	/* of the client, in bits */
	uint32_t fail_nth;	/* 0: the fault was injected */
	uint32_t padding;
	char data[CLIENT_DATA];
};

#endif /* FUSE_CLIENT_H */
