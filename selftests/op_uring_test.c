// SPDX-License-Identifier: GPL-2.0
/*
 * FUSE over io_uring: what the kernel refuses to register, and how rings end.
 * That it carries requests is for the other tests, of which it is a variant.
 */
#include "../../kselftest_harness.h"
#include <sched.h>
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
	if (why) {
		test_end();
		SKIP(return, "%s", why);
	}
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
	EXPECT_EQ(variant->want, ring_cmd(S, variant->op, &req, iov,
					  variant->n ?: variant->head ? 2 : 0));
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

/* More requests than entries: the others wait for one to be given back */
FUSE_TEST(ring, more_requests_than_entries)
{
	struct fuse_attr_out out = {
		.attr = { .ino = FUSE_ROOT_ID, .mode = S_IFDIR | 0755 },
	};
	struct client other[2] = {};
	struct request *r[3];
	cpu_set_t one;
	int i;

	/* with one CPU there is one queue; the client's own is full */
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	EXPECT_EQ(0, sys(C, SYS_sched_setaffinity, 0, sizeof(one),
			 in(C, &one, sizeof(one))) < 0);
	for (i = 0; i < 2; i++)
		client_fork(C, &other[i]);
	S->manual = 1ULL << FUSE_GETATTR;
	for (i = 0; i < 3; i++) {
		struct client *c = i ? &other[i - 1] : C;

		sys_start(c, SYS_newfstatat, AT_FDCWD, path(c, S, ""), ARG(0), 0);
	}
	for (i = 0; i < 3; i++)
		r[i] = take(S, FUSE_GETATTR);
	/* in another order than they came */
	for (i = 2; i >= 0; i--)
		EXPECT_EQ(0, reply(S, r[i], &out, sizeof(out)));
	EXPECT_EQ(0, call_end(C));
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(0, call_end(&other[i]));
		client_exit(&other[i]);
	}
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
