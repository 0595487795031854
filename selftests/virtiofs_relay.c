// SPDX-License-Identifier: GPL-2.0
/*
 * A virtiofs device with a DAX window for tests: the back-end of QEMU's
 * vhost-user-test-device.  It serves nothing itself: requests are passed on to
 * a server in the guest, which is the test, through a port of virtio-serial
 * (see virtiofs_port.h).
 *
 *	virtiofs_relay TAG WINDOW FD PORT QEMU ARGUMENT...
 *
 * becomes QEMU, after it has forked what then serves the sockets that QEMU is to
 * know as file descriptors FD (the chardev of the device) and PORT (that of the
 * port).  WINDOW, in bytes, may be 0.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <err.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/vhost_types.h>
#include <linux/virtio_config.h>
#include <linux/virtio_fs.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "fuse_fd.h"
#include "virtiofs_port.h"

#define QUEUES		3	/* that of FUSE_FORGET, and two for requests */
#define QUEUE_SIZE	128
#define REGIONS		64
#define MESSAGE		(1 << 20)
/* A server that does not answer any more is dead; longer than any test waits */
#define LIMIT_S		100

/* The vhost-user protocol */
enum {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	GET_VRING_BASE = 11,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	SET_VRING_ERR = 14,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	GET_QUEUE_NUM = 17,
	SET_VRING_ENABLE = 18,
	SET_BACKEND_REQ_FD = 21,
	GET_CONFIG = 24,
	GET_MAX_MEM_SLOTS = 36,
	ADD_MEM_REG = 37,
	REM_MEM_REG = 38,
	GET_SHMEM_CONFIG = 44,

	BACKEND_SHMEM_MAP = 9,
	BACKEND_SHMEM_UNMAP = 10,
};

#define VERSION		1
#define IS_REPLY	(1 << 2)
#define NEED_REPLY	(1 << 3)

#define FEATURES	(1ULL << VIRTIO_F_VERSION_1 | 1ULL << 30)
/*
 * MQ, REPLY_ACK, BACKEND_REQ, CONFIG, BACKEND_SEND_FD, CONFIGURE_MEM_SLOTS:
 * without that, 8 regions of memory are all
 */
#define PROTOCOL	(1ULL << 0 | 1ULL << 3 | 1ULL << 5 | 1ULL << 9 | \
			 1ULL << 10 | 1ULL << 15)
#define PROTOCOL_SHMEM	(1ULL << 22)

struct region {
	uint64_t gpa;
	uint64_t size;
	uint64_t uva;
	uint64_t offset;
};

struct mmap_args {
	uint8_t shmid;
	uint8_t padding[7];
	uint64_t fd_offset;
	uint64_t shm_offset;
	uint64_t len;
	uint64_t flags;
};

struct message {
	struct {
		uint32_t request;
		uint32_t flags;
		uint32_t size;
	} h;
	union {
		uint64_t u64;
		struct vhost_vring_state state;
		struct vhost_vring_addr addr;
		struct {
			uint64_t padding;
			struct region region;
		} memory;
		struct {
			uint32_t offset;
			uint32_t size;
			uint32_t flags;
			uint8_t data[256];
		} config;
		struct mmap_args mmap;
		struct {
			uint32_t regions;
			uint32_t padding;
			uint64_t sizes[256];
		} shmem;
	};
};

#define PAYLOAD	(sizeof(struct message) - offsetof(struct message, u64))

struct queue {
	unsigned int num;
	uint16_t last;			/* of the available ring */
	uint64_t desc, avail, used;	/* addresses in QEMU */
	int kick;
	int call;
	bool enabled;
	uint64_t unique[QUEUE_SIZE];	/* of the request that starts there */
	time_t since[QUEUE_SIZE];	/* when it came; 0: it is not there */
};

/* Of guest memory; stays mapped whatever else comes and goes */
static struct {
	struct region r;
	char *at;
} regions[REGIONS];

static struct queue queues[QUEUES];
static int front, back = -1, port;
static int memory;		/* memfd */
static uint64_t window;
static struct virtio_fs_config config, first_config;
static bool adopted;
static uint64_t *mapped;	/* by range: 1 + offset in the memory, or 0 */

static char *out;		/* not yet sent to the port */
static size_t out_len, out_room;

static time_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/* Guest memory by the address that the guest, or QEMU, knows it by */
static void *guest(uint64_t addr, uint64_t len, bool qemu)
{
	int i;

	for (i = 0; i < REGIONS; i++) {
		uint64_t start = qemu ? regions[i].r.uva : regions[i].r.gpa;

		if (regions[i].at && addr >= start &&
		    addr - start < regions[i].r.size &&
		    len <= regions[i].r.size - (addr - start))
			return regions[i].at + (addr - start);
	}
	errx(1, "no memory at %#llx", (unsigned long long)addr);
}

/* To the port */

static void put(const void *data, size_t len)
{
	if (out_len + len > out_room) {
		out_room = 2 * (out_len + len);
		out = realloc(out, out_room);
		if (!out)
			err(1, "realloc");
	}
	memcpy(out + out_len, data, len);
	out_len += len;
}

static void put_frame(struct virtiofs_frame f, const void *data, size_t len)
{
	f.size = len;
	put(&f, sizeof(f));
	put(data, len);
}

static void flush(void)
{
	ssize_t n = send(port, out, out_len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n > 0) {
		out_len -= n;
		memmove(out, out + n, out_len);
	}
}

/* The rings */

/*
 * The parts of a chain of descriptors that the device may read, or write.  Its
 * memory is looked up anew each time.
 */
static int chain(struct queue *q, unsigned int id, bool write,
		 struct iovec iov[QUEUE_SIZE])
{
	struct vring_desc *table = guest(q->desc, q->num * sizeof(*table), true);
	int n = 0, steps;

	for (steps = 0; steps < QUEUE_SIZE; steps++) {
		struct vring_desc d = table[id % q->num];

		if (!(d.flags & VRING_DESC_F_WRITE) == !write) {
			iov[n].iov_base = guest(d.addr, d.len, false);
			iov[n++].iov_len = d.len;
		}
		if (!(d.flags & VRING_DESC_F_NEXT))
			break;
		id = d.next;
	}
	return n;
}

static void complete(struct queue *q, unsigned int id, const void *data,
		     size_t size, uint32_t len)
{
	struct vring_used *used = guest(q->used, sizeof(*used), true);
	struct vring_avail *avail = guest(q->avail, sizeof(*avail), true);
	struct iovec iov[QUEUE_SIZE];
	uint64_t one = 1;
	int i, n;

	if (id >= QUEUE_SIZE || !q->since[id])
		return;
	q->since[id] = 0;
	n = chain(q, id, true, iov);
	for (i = 0; i < n && size; i++) {
		size_t part = size < iov[i].iov_len ? size : iov[i].iov_len;

		memcpy(iov[i].iov_base, data, part);
		data = (const char *)data + part;
		size -= part;
	}
	used->ring[used->idx % q->num] = (struct vring_used_elem){ id, len };
	__atomic_store_n(&used->idx, used->idx + 1, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!(__atomic_load_n(&avail->flags, __ATOMIC_RELAXED) &
	      VRING_AVAIL_F_NO_INTERRUPT) && q->call >= 0 &&
	    write(q->call, &one, sizeof(one)) < 0)
		err(1, "eventfd");
}

static void refuse(struct queue *q, unsigned int id)
{
	struct fuse_out_header h = {
		.len = sizeof(h),
		.error = -ENOTCONN,
		.unique = q->unique[id],
	};

	/* FUSE_FORGET has no room for it */
	if (q == queues)
		complete(q, id, NULL, 0, 0);
	else
		complete(q, id, &h, sizeof(h), sizeof(h));
}

static void refuse_all(void)
{
	int i, id;

	for (i = 0; i < QUEUES; i++)
		for (id = 0; id < QUEUE_SIZE; id++)
			if (queues[i].since[id])
				refuse(&queues[i], id);
}

static void take(struct queue *q)
{
	static char request[MESSAGE];
	struct vring_avail *avail;
	struct iovec iov[QUEUE_SIZE];
	int i, n;

	if (!q->enabled || q->kick < 0 || !q->avail)
		return;
	avail = guest(q->avail, sizeof(*avail) + q->num * 2, true);
	while (q->last != __atomic_load_n(&avail->idx, __ATOMIC_ACQUIRE)) {
		unsigned int id = avail->ring[q->last++ % q->num] % QUEUE_SIZE;
		size_t len = 0;

		n = chain(q, id, false, iov);
		for (i = 0; i < n; i++) {
			if (iov[i].iov_len > sizeof(request) - len)
				errx(1, "request is too long");
			memcpy(request + len, iov[i].iov_base, iov[i].iov_len);
			len += iov[i].iov_len;
		}
		memcpy(&q->unique[id],
		       request + offsetof(struct fuse_in_header, unique),
		       sizeof(q->unique[id]));
		q->since[id] = now();
		if (adopted)
			put_frame((struct virtiofs_frame){
				.type = VIRTIOFS_REQUEST,
				.queue = q - queues,
				.id = id,
			}, request, len);
		else
			refuse(q, id);
	}
}

/* vhost-user */

static void send_message(int sock, const struct message *m, int fd)
{
	/* there is no padding between them */
	struct iovec iov[2] = {
		{ (void *)&m->h, sizeof(m->h) },
		{ (void *)&m->u64, m->h.size },
	};

	if (send_with_fd(sock, iov, 2, fd) < 0)
		exit(0);
}

static void receive(int sock, void *data, size_t len, int *fd)
{
	/* QEMU has ended */
	if (len && receive_with_fd(sock, data, len,
				   MSG_WAITALL | MSG_CMSG_CLOEXEC, fd) !=
		   (ssize_t)len)
		exit(0);
}

static void receive_message(int sock, struct message *m, int *fd)
{
	receive(sock, &m->h, sizeof(m->h), fd);
	if (m->h.size > PAYLOAD)
		errx(1, "message of %u bytes", m->h.size);
	receive(sock, &m->u64, m->h.size, fd);
}

static void add_region(struct region r, int fd)
{
	int i;

	for (i = 0; i < REGIONS && regions[i].at; i++)
		;
	if (i == REGIONS)
		errx(1, "too many regions");
	regions[i].at = mmap(NULL, r.size, PROT_READ | PROT_WRITE, MAP_SHARED,
			     fd, r.offset);
	if (regions[i].at == MAP_FAILED)
		err(1, "mmap of a region");
	regions[i].r = r;
}

static void remove_region(struct region r)
{
	int i;

	for (i = 0; i < REGIONS; i++)
		if (regions[i].at && regions[i].r.gpa == r.gpa &&
		    regions[i].r.size == r.size) {
			munmap(regions[i].at, r.size);
			regions[i].at = NULL;
			return;
		}
}

static void set_fd(int *to, int fd)
{
	if (*to >= 0)
		close(*to);
	*to = fd;
}

static struct queue *get_queue(uint64_t index)
{
	if ((index & 0xff) >= QUEUES)
		errx(1, "no queue %u", (unsigned int)index);
	return &queues[index & 0xff];
}

/* One message of the front-end */
static void serve_front(void)
{
	struct message m;
	uint32_t size = 0;	/* of the reply */
	struct queue *q;
	int fd = -1;

	receive_message(front, &m, &fd);
	switch (m.h.request) {
	case GET_FEATURES:
		m.u64 = FEATURES;
		size = sizeof(m.u64);
		break;
	case GET_PROTOCOL_FEATURES:
		m.u64 = PROTOCOL | (window ? PROTOCOL_SHMEM : 0);
		size = sizeof(m.u64);
		break;
	case GET_QUEUE_NUM:
		m.u64 = QUEUES;
		size = sizeof(m.u64);
		break;
	case GET_MAX_MEM_SLOTS:
		m.u64 = REGIONS;
		size = sizeof(m.u64);
		break;
	case GET_SHMEM_CONFIG:
		memset(&m.shmem, 0, sizeof(m.shmem));
		m.shmem.regions = 1;
		m.shmem.sizes[0] = window;
		size = sizeof(m.shmem);
		break;
	case GET_CONFIG:
		if (m.config.offset > sizeof(config) ||
		    m.config.size > sizeof(config) - m.config.offset)
			errx(1, "config space is larger than the device");
		memcpy(m.config.data, (char *)&config + m.config.offset,
		       m.config.size);
		size = m.h.size;
		break;
	case ADD_MEM_REG:
		add_region(m.memory.region, fd);
		close(fd);
		break;
	case REM_MEM_REG:
		remove_region(m.memory.region);
		if (fd >= 0)
			close(fd);
		break;
	case SET_VRING_NUM:
		get_queue(m.state.index)->num = m.state.num;
		break;
	case SET_VRING_ADDR:
		q = get_queue(m.addr.index);
		q->desc = m.addr.desc_user_addr;
		q->avail = m.addr.avail_user_addr;
		q->used = m.addr.used_user_addr;
		break;
	case SET_VRING_BASE:
		get_queue(m.state.index)->last = m.state.num;
		break;
	case GET_VRING_BASE:
		q = get_queue(m.state.index);
		m.state.num = q->last;
		set_fd(&q->kick, -1);
		/* the guest has forgotten what was on its way */
		memset(q->since, 0, sizeof(q->since));
		size = sizeof(m.state);
		break;
	case SET_VRING_KICK:
		set_fd(&get_queue(m.u64)->kick, fd);
		break;
	case SET_VRING_CALL:
		set_fd(&get_queue(m.u64)->call, fd);
		break;
	case SET_VRING_ERR:
		close(fd);
		break;
	case SET_VRING_ENABLE:
		get_queue(m.state.index)->enabled = m.state.num;
		break;
	case SET_BACKEND_REQ_FD:
		set_fd(&back, fd);
		break;
	case SET_FEATURES:
	case SET_PROTOCOL_FEATURES:
	case SET_OWNER:
		break;
	default:
		errx(1, "unknown message %u", m.h.request);
	}
	if (!size && m.h.flags & NEED_REPLY) {
		m.u64 = 0;
		size = sizeof(m.u64);
	}
	if (!size)
		return;
	m.h.size = size;
	m.h.flags = VERSION | IS_REPLY;
	send_message(front, &m, -1);
}

/* Ask QEMU, which may first ask in its turn */
static int ask(uint32_t request, uint64_t offset, uint64_t fd_offset,
	       uint64_t len)
{
	struct message m = {
		.h = { request, VERSION | NEED_REPLY, sizeof(m.mmap) },
		.mmap = {
			.shm_offset = offset,
			.fd_offset = fd_offset,
			.len = len,
			.flags = 1,	/* writable */
		},
	};
	struct pollfd pfd[2] = {
		{ .fd = back, .events = POLLIN },
		{ .fd = front, .events = POLLIN },
	};

	if (back < 0)
		return -ENOTCONN;
	send_message(back, &m, request == BACKEND_SHMEM_MAP ? memory : -1);
	for (;;) {
		if (poll(pfd, 2, -1) < 0)
			err(1, "poll");
		if (pfd[1].revents)
			serve_front();
		if (pfd[0].revents)
			break;
	}
	receive_message(back, &m, NULL);
	return m.u64 ? -EIO : 0;
}

/* Commands */

static int unmap(uint64_t offset, uint64_t len)
{
	uint64_t i, end = (offset + len) / VIRTIOFS_RANGE;
	int error = 0;

	if (offset > window || len > window - offset)
		return -EINVAL;
	for (i = offset / VIRTIOFS_RANGE; i < end && !error; i++) {
		if (!mapped[i])
			continue;
		error = ask(BACKEND_SHMEM_UNMAP, i * VIRTIOFS_RANGE, 0,
			    VIRTIOFS_RANGE);
		mapped[i] = 0;
	}
	return error;
}

static int map(uint64_t offset, uint64_t from, uint64_t len)
{
	uint64_t i = offset / VIRTIOFS_RANGE;
	int error;

	if (offset % VIRTIOFS_RANGE || len != VIRTIOFS_RANGE ||
	    offset >= window || from > VIRTIOFS_MEMORY - len)
		return -EINVAL;
	/* from read-only to writable, which it is from the beginning */
	if (mapped[i] == from + 1)
		return 0;
	error = unmap(offset, len);
	if (!error)
		error = ask(BACKEND_SHMEM_MAP, offset, from, len);
	if (!error)
		mapped[i] = from + 1;
	return error;
}

static int adopt(void)
{
	int error = unmap(0, window);

	refuse_all();
	config = first_config;
	if (ftruncate(memory, 0) || ftruncate(memory, VIRTIOFS_MEMORY))
		return -errno;
	adopted = true;
	return error;
}

static void serve_command(const struct virtiofs_frame *f, const char *data)
{
	struct virtiofs_frame done = { .type = VIRTIOFS_DONE };
	static char answer[MESSAGE];
	ssize_t n = 0;

	switch (f->type) {
	case VIRTIOFS_REPLY:
		complete(&queues[f->queue % QUEUES], f->id, data, f->size,
			 f->len);
		return;
	case VIRTIOFS_ADOPT:
		done.result = adopt();
		break;
	case VIRTIOFS_RETIRE:
		adopted = false;
		refuse_all();
		break;
	case VIRTIOFS_MAP:
		done.result = map(f->offset, f->memory, f->length);
		break;
	case VIRTIOFS_UNMAP:
		done.result = unmap(f->offset, f->length);
		break;
	case VIRTIOFS_PEEK:
		n = f->length < sizeof(answer) ? f->length : sizeof(answer);
		n = pread(memory, answer, n, f->memory);
		done.result = n < 0 ? -errno : n;
		break;
	case VIRTIOFS_POKE:
		done.result = pwrite(memory, data, f->size, f->memory);
		break;
	case VIRTIOFS_ZERO:
		if (fallocate(memory, FALLOC_FL_PUNCH_HOLE |
			      FALLOC_FL_KEEP_SIZE, f->memory, f->length))
			done.result = -errno;
		break;
	case VIRTIOFS_CONFIG:
		memcpy(&config, data, f->size < sizeof(config) ? f->size :
							sizeof(config));
		break;
	default:
		errx(1, "unknown command %u", f->type);
	}
	put_frame(done, answer, n > 0 ? n : 0);
}

static void serve_port(void)
{
	static char in[sizeof(struct virtiofs_frame) + MESSAGE];
	static size_t len;
	struct virtiofs_frame f;
	size_t begin = 0;
	ssize_t n;

	n = recv(port, in + len, sizeof(in) - len, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		exit(0);
	len += n;
	while (len - begin >= sizeof(f)) {
		memcpy(&f, in + begin, sizeof(f));
		if (f.size > MESSAGE)
			errx(1, "frame of %u bytes", f.size);
		if (len - begin - sizeof(f) < f.size)
			break;
		begin += sizeof(f);
		serve_command(&f, in + begin);
		begin += f.size;
	}
	len -= begin;
	memmove(in, in + begin, len);
}

/* Requests that a dead server has not answered */
static void check_limit(void)
{
	time_t end = now() - LIMIT_S;
	int i, id;

	for (i = 0; i < QUEUES; i++)
		for (id = 0; id < QUEUE_SIZE; id++)
			if (queues[i].since[id] && queues[i].since[id] < end)
				adopted = false;
	if (!adopted)
		refuse_all();
}

static void serve(void)
{
	uint64_t kicks;
	int i;

	for (;;) {
		struct pollfd pfd[2 + QUEUES] = {
			{ .fd = front, .events = POLLIN },
			{ .fd = port, .events = POLLIN |
						(out_len ? POLLOUT : 0) },
		};

		for (i = 0; i < QUEUES; i++)
			pfd[2 + i] = (struct pollfd){
				.fd = queues[i].kick,
				.events = POLLIN,
			};
		if (poll(pfd, 2 + QUEUES, 1000) < 0)
			err(1, "poll");
		if (pfd[0].revents) {
			/* may change what the rest is about */
			serve_front();
			continue;
		}
		for (i = 0; i < QUEUES; i++)
			if (pfd[2 + i].revents && queues[i].kick >= 0 &&
			    read(queues[i].kick, &kicks, sizeof(kicks)) > 0)
				take(&queues[i]);
		if (pfd[1].revents & (POLLIN | POLLHUP))
			serve_port();
		if (out_len)
			flush();
		check_limit();
	}
}

int main(int argc, char **argv)
{
	int device[2], serial[2], fd[2], i;

	if (argc < 6)
		errx(1, "usage: %s TAG WINDOW FD PORT QEMU ARGUMENT...", *argv);
	memcpy(first_config.tag, argv[1],
	       strnlen(argv[1], sizeof(first_config.tag)));
	first_config.num_request_queues = htole32(QUEUES - 1);
	window = strtoull(argv[2], NULL, 0);
	for (i = 0; i < 2; i++)
		fd[i] = atoi(argv[3 + i]);

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, device) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, serial))
		err(1, "socketpair");
	switch (fork()) {
	case -1:
		err(1, "fork");
	case 0:
		break;
	default:
		if (dup2(device[1], fd[0]) < 0 || dup2(serial[1], fd[1]) < 0)
			err(1, "dup2");
		execvp(argv[5], argv + 5);
		err(1, "%s", argv[5]);
	}
	close(device[1]);
	close(serial[1]);
	front = device[0];
	port = serial[0];
	for (i = 0; i < QUEUES; i++)
		queues[i] = (struct queue){ .kick = -1, .call = -1 };
	config = first_config;
	mapped = calloc(window / VIRTIOFS_RANGE + 1, sizeof(*mapped));
	memory = memfd_create("virtiofs", MFD_CLOEXEC);
	if (memory < 0 || !mapped || ftruncate(memory, VIRTIOFS_MEMORY))
		err(1, "memory");
	serve();
}
