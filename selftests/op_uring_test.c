// SPDX-License-Identifier: GPL-2.0
/*
 * FUSE over io_uring: what the kernel refuses to register, and how rings end.
 * That it carries requests is for the other tests, of which it is a variant.
 */
#include "../../kselftest_harness.h"
#include <sys/mman.h>
#include <sys/stat.h>

#include "fuse_fixture.h"

#define REGISTER	FUSE_IO_URING_CMD_REGISTER
#define COMMIT		FUSE_IO_URING_CMD_COMMIT_AND_FETCH
#define ADD_QUEUE	FUSE_IO_URING_CMD_ADD_QUEUE
#define ADD_BUFPOOL	FUSE_IO_URING_CMD_ADD_BUFPOOL

/* Of the kernel: the most that a request of these servers carries */
#define PAYLOAD		(1 << 20)

FIXTURE(refused)
{
	struct server s;
	struct client c;
	char *memory;
};

FIXTURE_VARIANT(refused)
{
	uint32_t op;
	struct fuse_uring_cmd_req req;
	size_t head, payload;	/* lengths; 0: no vector at all */
	bool no_base;
	int n;			/* vectors, if not 2 */
	int queue;		/* 1: added before, 2: with zero copy, 3: with a pool */
	bool early;		/* FUSE_INIT is not answered */
	bool not_negotiated;
	bool aborted;
	bool unmounted;		/* the device of no connection */
	bool disabled;		/* by the parameter of the module */
	int want;
};

#define HEAD	sizeof(struct fuse_uring_req_header)
#define REFUSED(name, error, ...)					\
FIXTURE_VARIANT_ADD(refused, name) { .want = error, __VA_ARGS__ }

REFUSED(unknown_command, -EINVAL, .op = 77);
REFUSED(command_zero, -EINVAL, .op = FUSE_IO_URING_CMD_INVALID);
REFUSED(before_init, -EAGAIN, .op = REGISTER, .head = HEAD, .payload = PAYLOAD,
	.early = true);
REFUSED(not_negotiated, -EOPNOTSUPP, .op = REGISTER, .head = HEAD,
	.payload = PAYLOAD, .not_negotiated = true);
REFUSED(unmounted, -EPERM, .op = REGISTER, .head = HEAD, .payload = PAYLOAD,
	.unmounted = true);
REFUSED(disabled, -EOPNOTSUPP, .op = REGISTER, .head = HEAD,
	.payload = PAYLOAD, .not_negotiated = true, .disabled = true);
REFUSED(after_abort, -ENOTCONN, .op = REGISTER, .head = HEAD,
	.payload = PAYLOAD, .aborted = true);
REFUSED(register_queue, -EINVAL, .op = REGISTER, .head = HEAD,
	.payload = PAYLOAD, .req.qid = 65535);
REFUSED(register_no_vectors, -EINVAL, .op = REGISTER);
REFUSED(register_one_vector, -EINVAL, .op = REGISTER, .head = HEAD,
	.payload = PAYLOAD, .n = 1);
REFUSED(register_short_header, -EINVAL, .op = REGISTER, .head = HEAD - 1,
	.payload = PAYLOAD);
REFUSED(register_short_payload, -EINVAL, .op = REGISTER, .head = HEAD,
	.payload = 4096);
REFUSED(register_no_memory, -EFAULT, .op = REGISTER, .head = HEAD,
	.payload = -1ULL >> 1, .no_base = true);
REFUSED(register_zero_copy_index, -EINVAL, .op = REGISTER, .head = HEAD,
	.payload = PAYLOAD, .req.ent_zero_copy_buf_index = 5);
REFUSED(register_zero_copy_without_pool, -EINVAL, .op = REGISTER, .head = HEAD,
	.payload = PAYLOAD, .queue = 2);
REFUSED(register_payload_beside_pool, -EINVAL, .op = REGISTER, .head = HEAD,
	.payload = PAYLOAD, .queue = 3);
/* which is not refused, but no ring yet: other CPUs have no queue */
REFUSED(register_one, -EINPROGRESS, .op = REGISTER, .head = HEAD,
	.payload = PAYLOAD);
REFUSED(commit_queue, -EINVAL, .op = COMMIT, .req.qid = 65535);
REFUSED(commit_no_queue, -ENOTCONN, .op = COMMIT);
REFUSED(commit_unknown, -ENOENT, .op = COMMIT, .req.commit_id = 4711,
	.queue = 1);
REFUSED(queue_number, -EINVAL, .op = ADD_QUEUE, .req.qid = 65535);
REFUSED(queue_flags, -EINVAL, .op = ADD_QUEUE, .req.flags = 1ULL << 40);
REFUSED(queue_twice, -EEXIST, .op = ADD_QUEUE, .queue = 1);
REFUSED(pool_number, -EINVAL, .op = ADD_BUFPOOL, .req.qid = 65535);
REFUSED(pool_flags, -EINVAL, .op = ADD_BUFPOOL, .queue = 1, .req.flags = 1,
	.req.bufpool.len = PAYLOAD);
REFUSED(pool_reserved, -EINVAL, .op = ADD_BUFPOOL, .queue = 1,
	.req.bufpool = { .len = PAYLOAD, .reserved = 1 });
REFUSED(pool_no_queue, -EINVAL, .op = ADD_BUFPOOL, .req.bufpool.len = PAYLOAD);
REFUSED(pool_too_small, -EINVAL, .op = ADD_BUFPOOL, .queue = 1,
	.req.bufpool.len = 4096);
REFUSED(pool_twice, -EINVAL, .op = ADD_BUFPOOL, .queue = 3,
	.req.bufpool.len = PAYLOAD);

FIXTURE_SETUP(refused)
{
	const char *why;

	self->s = (struct server){
		.init_flags = variant->not_negotiated ? 0 : FUSE_OVER_IO_URING,
		.manual_init = variant->early,
	};
	why = fixture_start(S, C, NEEDS_NOTHING, FUSE_CLIENT);
	if (!why)
		why = ring_open(S);
	SKIP_IF(why);
	self->memory = mmap(NULL, 2 * PAYLOAD, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

FIXTURE_TEARDOWN(refused)
{
	ring_close(S);
	fixture_stop(S, C, _metadata->exit_code == KSFT_FAIL);
}

FUSE_TEST(refused, command)
{
	struct fuse_uring_cmd_req req = variant->req, queue = {
		.flags = variant->queue == 2 ? FUSE_URING_ZERO_COPY : 0,
	};
	struct iovec iov[2] = {
		{ self->memory, variant->head },
		{ variant->no_base ? (void *)-4096UL : self->memory + 4096,
		  variant->payload },
	};
	int ret;

	if (variant->aborted)
		server_abort(S);
	if (variant->disabled)
		ASSERT_EQ(0, set_sysctl(fuse_knob("enable_uring"), 0));
	if (variant->queue) {
		ret = ring_cmd(S, ADD_QUEUE, &queue, NULL, 0);
		if (ret == -EINVAL)
			SKIP(return, "kernel without ADD_QUEUE");
		ASSERT_EQ(0, ret);
	}
	if (variant->op == ADD_BUFPOOL)
		req.bufpool.uaddr = (uintptr_t)self->memory;
	queue = (struct fuse_uring_cmd_req){
		.bufpool = { (uintptr_t)self->memory, PAYLOAD },
	};
	if (variant->queue == 3)
		ASSERT_EQ(0, ring_cmd(S, ADD_BUFPOOL, &queue, NULL, 0));
	ret = S->fd;
	if (variant->unmounted)
		S->fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	EXPECT_EQ(variant->want, ring_cmd(S, variant->op, &req, iov,
					  variant->n ?: variant->head ? 2 : 0));
	if (variant->unmounted)
		close(S->fd);
	S->fd = ret;
	if (variant->early) {
		struct fuse_init_out out = {
			.major = FUSE_KERNEL_VERSION,
			.minor = FUSE_KERNEL_MINOR_VERSION,
		};

		EXPECT_EQ(0, reply(S, take(S, FUSE_INIT), &out, sizeof(out)));
	}
}

/* Rings that carry requests */

FUSE_OP_FIXTURE_SETUP(ring, SERVER_FUSE);
FIXTURE_VARIANT_ADD(ring, entries) { .transport = &uring_transport };
FIXTURE_VARIANT_ADD(ring, pool) { .transport = &uring_pool_transport };
FIXTURE_VARIANT_ADD(ring, zero_copy) {
	.transport = &uring_zero_copy_transport
};

static void mkdir_start(struct client *c, struct server *s)
{
	sys_start(c, SYS_mkdirat, AT_FDCWD, path(c, s, "dir"), 0700);
}

/* Closed with requests and with entries that wait for one */
FUSE_TEST(ring, closed_with_a_request)
{
	mkdir_start(C, S);
	take(S, FUSE_MKDIR);
	server_die(S);
	EXPECT_EQ(-ECONNABORTED, call_end(C));
}

FUSE_TEST(ring, aborted_with_a_request)
{
	struct request *r;

	mkdir_start(C, S);
	r = take(S, FUSE_MKDIR);
	server_abort(S);
	EXPECT_EQ(-ECONNABORTED, call_end(C));
	EXPECT_NE(0, reply_error(S, r, -EIO));
}

/* What is no reply at all */
FUSE_TEST(ring, notification)
{
	struct fuse_out_header h = { .len = sizeof(h) };
	struct request *r;

	mkdir_start(C, S);
	r = take(S, FUSE_MKDIR);
	needs_mended(S, "malformed replies over io_uring are not EIO");
	EXPECT_EQ(0, reply_header(S, r, &h, NULL, 0));
	EXPECT_EQ(-EIO, call_end(C));
}

/*
 * Memory that the kernel cannot write to: the entry is good for another request.
 * With zero copy, the ring has the memory of payloads already.
 */
static void no_memory(struct server *s, struct client *c, bool payloads)
{
	ring_protect(s, payloads, PROT_READ);
	mkdir_start(c, s);
	CHECK(-EFAULT, call_end(c));
	ring_protect(s, payloads, RW);
	mkdir_start(c, s);
	CHECK(0, reply_error(s, take(s, FUSE_MKDIR), -EPERM));
	CHECK(-EPERM, call_end(c));
}

FUSE_TEST(ring, no_memory_for_a_request)
{
	no_memory(S, C, false);
	if (variant->transport != &uring_zero_copy_transport)
		no_memory(S, C, true);
}

/* Nor read a reply from */
FUSE_TEST(ring, no_memory_of_a_reply)
{
	struct fuse_uring_cmd_req req = {};
	unsigned long cpu = 1;

	/* in the first queue */
	EXPECT_EQ(0, sys(C, SYS_sched_setaffinity, 0, sizeof(cpu),
			 in(C, &cpu, sizeof(cpu))));
	mkdir_start(C, S);
	req.commit_id = take(S, FUSE_MKDIR)->h.unique;
	needs_mended(S, "malformed replies over io_uring are not EIO");
	ring_protect(S, false, PROT_NONE);
	EXPECT_EQ(-EINPROGRESS, ring_cmd(S, COMMIT, &req, NULL, 0));
	EXPECT_EQ(-EIO, call_end(C));
	server_die(S);
}

/*
 * More requests than entries: the others wait for one to be given back. With a
 * pool, it has a buffer for those that need one.
 */
FUSE_OP_FIXTURE_SETUP(one, SERVER_FUSE, .ring_depth = 1);
FIXTURE_VARIANT_ADD(one, entries) { .transport = &uring_transport };
FIXTURE_VARIANT_ADD(one, pool) { .transport = &uring_pool_transport };
FIXTURE_VARIANT_ADD(one, zero_copy) {
	.transport = &uring_zero_copy_transport
};

FUSE_TEST(one, more_requests_than_entries)
{
	struct fuse_attr_out out = {
		.attr = { .ino = FUSE_ROOT_ID, .mode = S_IFDIR | 0755 },
	};
	int fd = client_open(C, S, O_RDWR), i;
	struct client other[2] = {};
	unsigned long cpu = 1;
	struct request *r;

	/* all of them are those of one queue */
	EXPECT_EQ(0, sys(C, SYS_sched_setaffinity, 0, sizeof(cpu),
			 in(C, &cpu, sizeof(cpu))));
	for (i = 0; i < 2; i++)
		client_fork(C, &other[i]);
	S->manual = 1ULL << FUSE_GETATTR | 1ULL << FUSE_FSYNC;
	sys_start(C, SYS_newfstatat, AT_FDCWD, path(C, S, ""), ARG(0), 0);
	r = take(S, FUSE_GETATTR);
	sys_start(&other[0], SYS_fsync, fd);
	client_sleeps(&other[0]);
	sys_start(&other[1], SYS_newfstatat, AT_FDCWD, path(&other[1], S, ""),
		  ARG(0), 0);
	client_sleeps(&other[1]);
	quiet(S);
	EXPECT_EQ(0, reply(S, r, &out, sizeof(out)));
	EXPECT_EQ(0, call_end(C));
	/* which has no payload, either way */
	EXPECT_EQ(0, reply(S, take(S, FUSE_FSYNC), NULL, 0));
	EXPECT_EQ(0, call_end(&other[0]));
	EXPECT_EQ(0, reply(S, take(S, FUSE_GETATTR), &out, sizeof(out)));
	EXPECT_EQ(0, call_end(&other[1]));
	for (i = 0; i < 2; i++)
		client_exit(&other[i]);
}

/* One for which there is no memory does not keep the entry from the next */
FUSE_TEST(one, no_memory_for_the_next)
{
	struct client other = { };
	unsigned long cpu = 1;
	struct request *r;

	if (variant->transport == &uring_zero_copy_transport)
		SKIP(return, "the ring has the memory of payloads already");
	EXPECT_EQ(0, sys(C, SYS_sched_setaffinity, 0, sizeof(cpu),
			 in(C, &cpu, sizeof(cpu))));
	client_fork(C, &other);
	mkdir_start(C, S);
	r = take(S, FUSE_MKDIR);
	mkdir_start(&other, S);
	client_sleeps(&other);
	ring_protect(S, true, PROT_READ);
	EXPECT_EQ(0, reply_error(S, r, -EPERM));
	EXPECT_EQ(-EPERM, call_end(C));
	EXPECT_EQ(-EFAULT, call_end(&other));
	ring_protect(S, true, RW);
	mkdir_start(&other, S);
	EXPECT_EQ(0, reply_error(S, take(S, FUSE_MKDIR), -EPERM));
	EXPECT_EQ(-EPERM, call_end(&other));
	client_exit(&other);
}

/* Those that wait for an entry end with the connection */
FUSE_TEST(one, aborted_with_requests)
{
	struct client other = { };
	unsigned long cpu = 1;

	EXPECT_EQ(0, sys(C, SYS_sched_setaffinity, 0, sizeof(cpu),
			 in(C, &cpu, sizeof(cpu))));
	client_fork(C, &other);
	mkdir_start(C, S);
	take(S, FUSE_MKDIR);
	mkdir_start(&other, S);
	client_sleeps(&other);
	server_abort(S);
	EXPECT_EQ(-ECONNABORTED, call_end(C));
	/* never sent */
	EXPECT_EQ(-ENOTCONN, call_end(&other));
	client_exit(&other);
}

/* A second reply to the same request finds nothing */
FUSE_TEST(ring, replied_twice)
{
	struct fuse_uring_cmd_req req = {};
	struct request *r;

	mkdir_start(C, S);
	r = take(S, FUSE_MKDIR);
	EXPECT_EQ(0, reply_error(S, r, -EPERM));
	EXPECT_EQ(-EPERM, call_end(C));
	EXPECT_EQ(-ENOENT, reply_error(S, r, -EPERM));
	req.commit_id = r->h.unique;
	EXPECT_EQ(-ENOENT, ring_cmd(S, COMMIT, &req, NULL, 0));
}

/* Nor does one by the device find what came by the ring */
FUSE_TEST(ring, replied_by_the_device)
{
	struct request *r, other;

	mkdir_start(C, S);
	r = take(S, FUSE_MKDIR);
	other = *r;
	other.from = NULL;
	EXPECT_EQ(-ENOENT, reply_error(S, &other, -EPERM));
	EXPECT_EQ(0, reply_error(S, r, -EPERM));
	EXPECT_EQ(-EPERM, call_end(C));
}

TEST_HARNESS_MAIN
