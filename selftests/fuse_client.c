// SPDX-License-Identifier: GPL-2.0
/*
 * The client of a FUSE or CUSE server under test: does the system calls that
 * the test, which is the server, tells it to do.  A process of its own, with an
 * mm of its own, so that it can wait for the server, be killed, fork and exec.
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/io_uring.h>

#include "fuse_client.h"
#include "fuse_fd.h"
#include "fuse_layout.h"

static sigjmp_buf fault;
static volatile sig_atomic_t caught;
static struct client_cmd cmd;
static struct client_answer answer;
static int received_fd = -1;
static int fault_fd = -1;

static void on_fault(int sig)
{
	siglongjmp(fault, sig);
}

static void on_signal(int sig)
{
	(void)sig;
	caught++;
}

static void set_handler(int sig, void (*handler)(int), int flags)
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = flags };

	sigaction(sig, &sa, NULL);
}

static int64_t result(int64_t ret)
{
	return ret == -1 ? -errno : ret;
}

static int64_t result_ptr(void *p)
{
	return p == MAP_FAILED ? -errno : (int64_t)(uintptr_t)p;
}

static void *touch(void *addr)
{
	return (void *)(uintptr_t)*(volatile char *)addr;
}

static int64_t start_toucher(void *addr)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	return -pthread_create(&thread, &attr, touch, addr);
}

static int64_t first_other(const volatile unsigned char *p, uint64_t len,
			   unsigned char byte)
{
	uint64_t i;

	for (i = 0; i < len && p[i] == byte; i++)
		;
	return i;
}

/* Read @fd into a fixed buffer of io_uring */
static int64_t read_fixed(int fd, void *addr, size_t len)
{
	struct io_uring_params p = { };
	struct iovec iov = { addr, len };
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	int ring, err;
	char *rings;

	ring = syscall(SYS_io_uring_setup, 1, &p);
	if (ring < 0)
		return -errno;
	rings = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(*cqe) +
		     p.sq_entries * sizeof(int), PROT_READ | PROT_WRITE,
		     MAP_SHARED, ring, IORING_OFF_SQ_RING);
	sqe = mmap(NULL, sizeof(*sqe), PROT_READ | PROT_WRITE, MAP_SHARED, ring,
		   IORING_OFF_SQES);
	err = syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS,
		      &iov, 1) ? -errno : 0;
	if (!err) {
		*sqe = (struct io_uring_sqe){
			.opcode = IORING_OP_READ_FIXED,
			.fd = fd,
			.addr = (uintptr_t)addr,
			.len = len,
		};
		*(unsigned int *)(rings + p.sq_off.array) = 0;
		__atomic_store_n((unsigned int *)(rings + p.sq_off.tail), 1,
				 __ATOMIC_RELEASE);
		err = syscall(SYS_io_uring_enter, ring, 1, 1,
			      IORING_ENTER_GETEVENTS, NULL, 0) == 1 ? 0 : -EIO;
		cqe = (struct io_uring_cqe *)(rings + p.cq_off.cqes);
		err = err ?: cqe->res;
	}
	close(ring);
	return err;
}

static int64_t fork_client(int *sock, int index)
{
	pid_t pid = fork();

	if (!pid) {
		close(*sock);
		*sock = CLIENT_FD + index;
		return getpid();
	}
	return result(pid);
}

static void __attribute__((noreturn)) exec_client(int sock)
{
	char index[16];

	snprintf(index, sizeof(index), "%d", sock - CLIENT_FD);
	execl("/proc/self/exe", "fuse_client", index, NULL);
	_exit(127);
}

/* The countdown to a fault in a call of this thread; 0: none, or over */
static int set_fail_nth(int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", n);

	return pwrite(fault_fd, text, len, 0) == len ? 0 : -errno;
}

static int get_fail_nth(void)
{
	char text[16] = "";

	if (pread(fault_fd, text, sizeof(text) - 1, 0) < 0)
		return 0;
	return atoi(text);
}

static int64_t any_syscall(int64_t *a)
{
	long arg[6];
	int i;

	for (i = 0; i < 6; i++)
		arg[i] = IS_ARG(a[i]) ? (long)(cmd.data + ARG_OFFSET(a[i])) : a[i];
	return result(syscall(a[6], arg[0], arg[1], arg[2], arg[3], arg[4],
			      arg[5]));
}

static int64_t run(int *sock)
{
	int64_t *a = cmd.a;
	void *addr = (void *)(uintptr_t)a[0];
	struct pollfd pfd;
	int64_t ret;
	int sig;

	sig = sigsetjmp(fault, 1);
	if (sig)
		return CLIENT_FAULT(sig);

	switch (cmd.op) {
	case CLIENT_HELLO:
		return getpid();
	case CLIENT_OPEN:
		return result(open(cmd.data, a[0], 0600));
	case CLIENT_CLOSE:
		return result(close(a[0]));
	case CLIENT_MMAP:
		return result_ptr(mmap(addr, a[1], a[2], a[3], a[4], a[5]));
	case CLIENT_MUNMAP:
		return result(munmap(addr, a[1]));
	case CLIENT_MREMAP:
		return result_ptr(mremap(addr, a[1], a[2], a[3],
					 (void *)(uintptr_t)a[4]));
	case CLIENT_MPROTECT:
		return result(mprotect(addr, a[1], a[2]));
	case CLIENT_MSYNC:
		return result(msync(addr, a[1], a[2]));
	case CLIENT_MADVISE:
		return result(madvise(addr, a[1], a[2]));
	case CLIENT_PEEK:
		memcpy(answer.data, addr, a[1]);
		answer.len = a[1];
		return a[1];
	case CLIENT_POKE:
		memcpy(addr, cmd.data, cmd.len);
		return cmd.len;
	case CLIENT_FILL:
		memset(addr, a[2], a[1]);
		return a[1];
	case CLIENT_DIFF:
		return first_other(addr, a[1], a[2]);
	case CLIENT_READ:
		ret = result(read(a[0], answer.data, a[1]));
		answer.len = ret > 0 ? ret : 0;
		return ret;
	case CLIENT_WRITE:
		return result(write(a[0], cmd.data, cmd.len));
	case CLIENT_READ_TO:
		return result(read(a[0], (void *)(uintptr_t)a[1], a[2]));
	case CLIENT_READ_FIXED:
		return read_fixed(a[0], (void *)(uintptr_t)a[1], a[2]);
	case CLIENT_IOCTL:
		ret = result(ioctl(a[0], a[1], cmd.data));
		memcpy(answer.data, cmd.data, cmd.len);
		answer.len = cmd.len;
		return ret;
	case CLIENT_POLL:
		pfd = (struct pollfd){ .fd = a[0], .events = a[1] };
		ret = result(poll(&pfd, 1, a[2]));
		return ret < 0 ? ret : pfd.revents;
	case CLIENT_FCNTL:
		return result(fcntl(a[0], a[1], a[2]));
	case CLIENT_SYSCALL:
		ret = any_syscall(a);
		memcpy(answer.data, cmd.data, cmd.len);
		answer.len = cmd.len;
		return ret;
	case CLIENT_SIGACTION:
		set_handler(a[0], on_signal, a[1]);
		return 0;
	case CLIENT_SIGNALS:
		return caught;
	case CLIENT_FAULTS:
		fault_fd = open("/proc/thread-self/fail-nth", O_RDWR);
		return result(fault_fd);
	case CLIENT_RECVFD:
		return received_fd;
	case CLIENT_TOUCHER:
		return start_toucher(addr);
	case CLIENT_FORK:
		return fork_client(sock, a[0]);
	case CLIENT_EXEC:
		exec_client(*sock);
	case CLIENT_EXIT:
		_exit(a[0]);
	}
	return -ENOSYS;
}

static ssize_t receive(int sock)
{
	ssize_t n;

	do {
		n = receive_with_fd(sock, &cmd, sizeof(cmd), 0, &received_fd);
	} while (n < 0 && errno == EINTR);
	return n;
}

static void send_answer(int sock)
{
	size_t len = offsetof(struct client_answer, data) + answer.len;

	answer.wordsize = 8 * sizeof(long);
	while (send(sock, &answer, len, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			_exit(1);
}

int main(int argc, char **argv)
{
	int sock = CLIENT_FD + (argc > 1 ? atoi(argv[1]) : 0);
	int fail_nth;

	set_handler(SIGSEGV, on_fault, 0);
	set_handler(SIGBUS, on_fault, 0);
	/* children are the test's, which reaps them */
	signal(SIGCHLD, SIG_IGN);

	cmd.op = CLIENT_HELLO;
	do {
		fail_nth = fault_fd < 0 ? 0 : cmd.fail_nth;
		if (fail_nth)
			set_fail_nth(fail_nth);
		answer.len = 0;
		answer.ret = run(&sock);
		if (fail_nth) {
			answer.fail_nth = get_fail_nth();
			set_fail_nth(0);
		}
		send_answer(sock);
	} while (receive(sock) > 0);
	return 0;
}
