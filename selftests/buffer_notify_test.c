// SPDX-License-Identifier: GPL-2.0
/*
 * FUSE_NOTIFY_STORE, FUSE_NOTIFY_RETRIEVE and FUSE_NOTIFY_INVAL_INODE on
 * buffers, and that on inodes they are what they were.
 */
#define _GNU_SOURCE
#include <sys/wait.h>

#include "../../kselftest_harness.h"
#include "fuse_fixture.h"

#define PAGES	8
#define P	(self->page)
#define SIZE	(PAGES * P)

/* A buffer of 8 pages that the server and a client have mapped */
FIXTURE(buffer_notify)
{
	struct server s;
	struct client c;
	uint64_t page;
	int fd;
	char *mem;		/* the server's mapping */
	int64_t addr;		/* the client's */
	char *data;
};

FIXTURE_VARIANT(buffer_notify)
{
	enum server_type type;
	const struct transport *transport;
};

FIXTURE_VARIANT_ADD(buffer_notify, fuse) { .type = SERVER_FUSE };
FIXTURE_VARIANT_ADD(buffer_notify, cuse) { .type = SERVER_CUSE };

FIXTURE_VARIANT_ADD(buffer_notify, fuse_splice) {
	.type = SERVER_FUSE,
	.transport = &splice_transport,
};

FIXTURE_VARIANT_ADD(buffer_notify, cuse_splice) {
	.type = SERVER_CUSE,
	.transport = &splice_transport,
};

FIXTURE_VARIANT_ADD(buffer_notify, fuse_uring) {
	.type = SERVER_FUSE,
	.transport = &uring_transport,
};

FIXTURE_SETUP(buffer_notify)
{
	int fd;

	self->page = getpagesize();
	self->s.type = variant->type;
	self->s.transport = variant->transport;
	/* two messages for the buffer, and a bit */
	self->s.max_write = 3 * P;
	SKIP_IF(fixture_start(S, C, FUSE_FEATURE_BUFFERS, "fuse_client"));
	self->fd = buffer_open(S, BUF(1), SIZE);
	ASSERT_LE(0, self->fd);
	self->mem = mmap(NULL, SIZE, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	fd = client_open(C, S, O_RDWR);
	ASSERT_LE(0, fd);
	self->addr = map(C, S, fd, .len = SIZE, .prot = RW, .flags = MAP_SHARED,
			 .out = { .nodeid = BUF(1), .size = SIZE });
	ASSERT_LT(0, self->addr);
	self->data = malloc(4 * SIZE);
	ASSERT_NE(NULL, self->data);
	memset(self->data, 'd', 4 * SIZE);
}

FIXTURE_TEARDOWN(buffer_notify)
{
	fixture_stop(S, C, _metadata->exit_code == KSFT_FAIL);
}

static uint64_t present(int fd)
{
	return fdinfo(fd, "present");
}

/* The client's mapping has @len bytes @byte at @offset */
#define EXPECT_MEM(offset, len, byte) \
	EXPECT_EQ(len, call(C, CLIENT_DIFF, self->addr + (offset), len, byte))

FUSE_TEST(buffer_notify, store_page)
{
	ASSERT_EQ(0, store(S, BUF(1), P, self->data, P));
	EXPECT_EQ(1, present(self->fd));
	EXPECT_MEM(0, P, 0);
	EXPECT_MEM(P, P, 'd');
	EXPECT_MEM(2 * P, SIZE - 2 * P, 0);
	EXPECT_EQ('d', self->mem[2 * P - 1]);
}

FUSE_TEST(buffer_notify, store_page_parts)
{
	/* start, middle and end of pages that are not there */
	ASSERT_EQ(0, store(S, BUF(1), 0, self->data, 10));
	ASSERT_EQ(0, store(S, BUF(1), P + 100, self->data, 10));
	ASSERT_EQ(0, store(S, BUF(1), 3 * P - 10, self->data, 10));
	EXPECT_EQ(3, present(self->fd));
	EXPECT_MEM(0, 10, 'd');
	EXPECT_MEM(10, P + 90, 0);
	EXPECT_MEM(P + 100, 10, 'd');
	EXPECT_MEM(P + 110, 2 * P - 120, 0);
	EXPECT_MEM(3 * P - 10, 10, 'd');
	/* of pages that are there */
	ASSERT_EQ(0, store(S, BUF(1), P + 105, "0123456789", 10));
	EXPECT_MEM(P + 100, 5, 'd');
	EXPECT_EQ(0, memcmp(self->mem + P + 105, "0123456789", 10));
	EXPECT_MEM(P + 115, P - 115, 0);
}

FUSE_TEST(buffer_notify, store_over_page_borders)
{
	/* the second of three pages is there */
	self->mem[P] = 'x';
	ASSERT_EQ(0, store(S, BUF(1), P - 1, self->data, P + 2));
	EXPECT_EQ(3, present(self->fd));
	EXPECT_MEM(0, P - 1, 0);
	EXPECT_MEM(P - 1, P + 2, 'd');
	EXPECT_MEM(2 * P + 1, P - 1, 0);
}

FUSE_TEST(buffer_notify, store_more_than_max_write)
{
	ASSERT_LT(S->max_write, SIZE);
	ASSERT_EQ(0, store(S, BUF(1), 0, self->data, SIZE));
	EXPECT_EQ(PAGES, present(self->fd));
	EXPECT_MEM(0, SIZE, 'd');
}

FUSE_TEST(buffer_notify, store_past_the_end)
{
	static const uint64_t far[] = { 1ULL << 32, 1ULL << 62, 1ULL << 63, -1 };
	size_t i;

	EXPECT_EQ(-EINVAL, store(S, BUF(1), SIZE - P, self->data, P + 1));
	EXPECT_EQ(-EINVAL, store(S, BUF(1), 0, self->data, SIZE + 1));
	EXPECT_EQ(-EINVAL, store(S, BUF(1), SIZE, self->data, 1));
	EXPECT_EQ(-EINVAL, store(S, BUF(1), SIZE + P, self->data, 1));
	for (i = 0; i < ARRAY_SIZE(far); i++)
		EXPECT_EQ(-EINVAL, store(S, BUF(1), far[i], self->data, 10));
	EXPECT_EQ(-EINVAL, store(S, BUF(1), -5, self->data, 10));
	/* nothing of it was stored */
	EXPECT_EQ(0, present(self->fd));
	EXPECT_EQ(SIZE, fdinfo(self->fd, "size"));
	/* up to the end */
	EXPECT_EQ(0, store(S, BUF(1), SIZE - 1, self->data, 1));
	EXPECT_MEM(SIZE - 1, 1, 'd');
}

FUSE_TEST(buffer_notify, store_empty)
{
	EXPECT_EQ(0, store(S, BUF(1), 0, NULL, 0));
	EXPECT_EQ(0, store(S, BUF(1), P + 1, NULL, 0));
	EXPECT_EQ(0, store(S, BUF(1), SIZE, NULL, 0));
	EXPECT_EQ(-EINVAL, store(S, BUF(1), SIZE + 1, NULL, 0));
	EXPECT_EQ(-ENOENT, store(S, BUF(2), 0, NULL, 0));
	EXPECT_EQ(0, present(self->fd));
}

FUSE_TEST(buffer_notify, store_unknown)
{
	EXPECT_EQ(-ENOENT, store(S, BUF(2), 0, self->data, 10));
	EXPECT_EQ(-ENOENT, store(S, BUF(0), 0, self->data, 10));
	EXPECT_EQ(-ENOENT, store(S, -1ULL, 0, self->data, 10));
	EXPECT_EQ(0, present(self->fd));
}

FUSE_TEST(buffer_notify, store_malformed)
{
	struct fuse_notify_store_out out = { .nodeid = BUF(1), .size = 10 };

	EXPECT_EQ(-EINVAL, server_notify(S, FUSE_NOTIFY_STORE, &out,
					 sizeof(out), self->data, 9));
	EXPECT_EQ(-EINVAL, server_notify(S, FUSE_NOTIFY_STORE, &out,
					 sizeof(out), self->data, 11));
	EXPECT_EQ(-EINVAL, server_notify(S, FUSE_NOTIFY_STORE, &out,
					 sizeof(out) - 1, NULL, 0));
	EXPECT_EQ(-EINVAL, server_notify(S, FUSE_NOTIFY_STORE, &out, 0, NULL,
					 0));
	EXPECT_EQ(0, present(self->fd));
	EXPECT_EQ(0, store(S, BUF(1), 0, self->data, 10));
}

/*
 * The source is a mapping of the page that is stored to.  Mainline's way, to
 * copy with the folio locked, hangs here when the page has to be faulted in.
 */
FUSE_TEST(buffer_notify, store_from_itself)
{
	/* absent: a whole page, a part, several; then all of them present */
	ASSERT_EQ(0, store(S, BUF(1), 0, self->mem, P));
	ASSERT_EQ(0, store(S, BUF(1), P + 10, self->mem + P + 20, 100));
	ASSERT_EQ(0, store(S, BUF(1), 2 * P, self->mem + 2 * P, 3 * P));
	EXPECT_MEM(0, SIZE, 0);
	self->mem[0] = 'x';
	ASSERT_EQ(0, store(S, BUF(1), 0, self->mem, SIZE));
	EXPECT_MEM(0, 1, 'x');
	/* from one page into another one that is absent */
	ASSERT_EQ(0, inval(S, BUF(1), 5 * P, P));
	ASSERT_EQ(0, store(S, BUF(1), 5 * P, self->mem, P));
	EXPECT_MEM(5 * P, 1, 'x');
}

FUSE_TEST(buffer_notify, store_from_nowhere)
{
	char *p = mmap(NULL, 2 * P, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, p);
	memset(p, 'p', 2 * P);
	ASSERT_EQ(0, munmap(p + P, P));
	EXPECT_EQ(-EFAULT, store(S, BUF(1), 0, p + P, P));
	EXPECT_EQ(-EFAULT, store(S, BUF(1), 10, p + P, 10));
	EXPECT_EQ(0, present(self->fd));
	/* pages that are stored before the fault stay; splice is no such case */
	EXPECT_EQ(-EFAULT, store(S, BUF(1), 2 * P, p, 2 * P));
	EXPECT_MEM(2 * P, P, variant->transport == &splice_transport ? 0 : 'p');
	EXPECT_MEM(3 * P, P, 0);
	/* a present page, which is not locked for ever */
	EXPECT_EQ(-EFAULT, store(S, BUF(1), 2 * P, p + P, P));
	EXPECT_EQ(0, store(S, BUF(1), 2 * P, self->data, P));
	EXPECT_MEM(2 * P, P, 'd');
}

/* Without a mapping or a descriptor of its own: a pure message interface */
FUSE_TEST(buffer_notify, store_and_retrieve_alone)
{
	struct request *r;

	ASSERT_EQ(0, munmap(self->mem, SIZE));
	close(self->fd);
	ASSERT_EQ(0, store(S, BUF(1), 17, "hello", 5));
	EXPECT_MEM(17, 1, 'h');
	ASSERT_EQ(1, call_data(C, CLIENT_POKE, "j", 1, self->addr + 17));
	ASSERT_EQ(0, retrieve(S, BUF(1), 17, 5, 99));
	r = take(S, FUSE_NOTIFY_REPLY);
	ASSERT_EQ(5, r->retrieve.size);
	EXPECT_EQ(0, memcmp(&r->retrieve + 1, "jello", 5));
}

/* RETRIEVE; all fields of the reply are checked */
#define retrieved(offset, len, expected) \
	expect_retrieved(_metadata, S, offset, len, expected)

static const char *expect_retrieved(struct __test_metadata *_metadata,
				    struct server *s, uint64_t offset,
				    uint32_t len, uint32_t expected)
{
	static uint64_t unique = 0x4000000000000001;
	struct request *r;

	unique++;
	EXPECT_EQ(0, retrieve(s, BUF(1), offset, len, unique));
	r = take(s, FUSE_NOTIFY_REPLY);
	EXPECT_EQ(unique, r->h.unique);
	EXPECT_EQ(BUF(1), r->h.nodeid);
	EXPECT_EQ(sizeof(r->h) + sizeof(r->retrieve) + expected, r->h.len);
	EXPECT_EQ(offset, r->retrieve.offset);
	EXPECT_EQ(expected, r->retrieve.size);
	EXPECT_EQ(0, r->retrieve.dummy1 | r->retrieve.dummy2 |
		  r->retrieve.dummy3 | r->retrieve.dummy4);
	server_quiet(s);
	return (char *)(&r->retrieve + 1);
}

static bool all(const char *p, size_t len, char byte)
{
	while (len && *p == byte) {
		p++;
		len--;
	}
	return !len;
}

FUSE_TEST(buffer_notify, retrieve_page)
{
	const char *data;

	ASSERT_EQ(P, call(C, CLIENT_FILL, self->addr + P, P, 'c'));
	data = retrieved(P, P, P);
	EXPECT_TRUE(all(data, P, 'c'));
}

FUSE_TEST(buffer_notify, retrieve_page_parts)
{
	const char *data;

	ASSERT_EQ(2 * P, call(C, CLIENT_FILL, self->addr, 2 * P, 'a'));
	ASSERT_EQ(1, call(C, CLIENT_FILL, self->addr + P, 1, 'b'));
	EXPECT_TRUE(all(retrieved(0, 1, 1), 1, 'a'));
	EXPECT_TRUE(all(retrieved(P, 1, 1), 1, 'b'));
	EXPECT_TRUE(all(retrieved(P - 1, 1, 1), 1, 'a'));
	data = retrieved(P - 5, 10, 10);
	EXPECT_EQ(0, memcmp(data, "aaaaabaaaa", 10));
	/* an odd length over three pages */
	data = retrieved(P - 1, P + 3, P + 3);
	EXPECT_EQ(0, memcmp(data, "aba", 3));
	EXPECT_TRUE(all(data + 2, P - 1, 'a'));
	EXPECT_TRUE(all(data + 1 + P, 2, 0));
}

FUSE_TEST(buffer_notify, retrieve_holes)
{
	const char *data;

	self->mem[P] = 'x';
	ASSERT_EQ(1, present(self->fd));
	data = retrieved(0, 3 * P, 3 * P);
	EXPECT_TRUE(all(data, P, 0));
	EXPECT_EQ('x', data[P]);
	EXPECT_TRUE(all(data + P + 1, 2 * P - 1, 0));
	/* no pages are made for that */
	EXPECT_EQ(1, present(self->fd));
}

FUSE_TEST(buffer_notify, retrieve_past_the_end)
{
	self->mem[SIZE - 1] = 'e';
	EXPECT_TRUE(all(retrieved(SIZE - 1, P, 1), 1, 'e'));
	retrieved(SIZE - P, 2 * P, P);
	retrieved(SIZE, P, 0);
	retrieved(SIZE + 1, P, 0);
	retrieved(SIZE + P, P, 0);
	retrieved(1ULL << 40, P, 0);
	EXPECT_EQ(-EINVAL, retrieve(S, BUF(1), 1ULL << 63, 10, 1));
	EXPECT_EQ(-EINVAL, retrieve(S, BUF(1), -1ULL, 10, 1));
	quiet(S);
}

FUSE_TEST(buffer_notify, retrieve_empty)
{
	retrieved(0, 0, 0);
	retrieved(P, 0, 0);
	retrieved(SIZE, 0, 0);
}

/* As osspd does it: ask again for the rest until all is there */
static void retrieve_all(struct __test_metadata *_metadata, struct server *s,
			 uint64_t offset, uint64_t end, const char *expected)
{
	struct request *r;
	int n = 0;

	while (offset < end) {
		ASSERT_EQ(0, retrieve(s, BUF(1), offset, end - offset, ++n));
		r = take(s, FUSE_NOTIFY_REPLY);
		ASSERT_EQ(offset, r->retrieve.offset);
		ASSERT_LT(0, r->retrieve.size);
		ASSERT_GE(s->max_write, r->retrieve.size);
		EXPECT_EQ(0, memcmp(&r->retrieve + 1, expected + offset,
				    r->retrieve.size));
		offset += r->retrieve.size;
	}
	ASSERT_EQ(end, offset);
	/* SIZE in messages of 3 pages, and one more where they start oddly */
	EXPECT_GE(4, n);
}

FUSE_TEST(buffer_notify, retrieve_more_than_max_write)
{
	uint64_t i;

	for (i = 0; i < SIZE; i++)
		self->mem[i] = i * 7 + i / P;
	retrieved(0, SIZE, S->max_write);
	retrieve_all(_metadata, S, 0, SIZE, self->mem);
	retrieve_all(_metadata, S, 1, SIZE, self->mem);
	retrieve_all(_metadata, S, P - 1, SIZE - 3, self->mem);
	retrieved(0, UINT32_MAX, S->max_write);
}

FUSE_TEST(buffer_notify, retrieve_unknown)
{
	EXPECT_EQ(-ENOENT, retrieve(S, BUF(2), 0, 10, 1));
	EXPECT_EQ(-ENOENT, retrieve(S, BUF(0), 0, 10, 1));
	quiet(S);
}

FUSE_TEST(buffer_notify, retrieve_malformed)
{
	char out[sizeof(struct fuse_notify_retrieve_out) + 1] = { 0 };

	memcpy(out, &(struct fuse_notify_retrieve_out){ .nodeid = BUF(1),
							.size = 10 },
	       sizeof(struct fuse_notify_retrieve_out));
	EXPECT_EQ(-EINVAL, server_notify(S, FUSE_NOTIFY_RETRIEVE, out,
					 sizeof(out), NULL, 0));
	EXPECT_EQ(-EINVAL, server_notify(S, FUSE_NOTIFY_RETRIEVE, out,
					 sizeof(out) - 2, NULL, 0));
	quiet(S);
}

/* Many at once: in order, each with its own id, whatever happens meanwhile */
FUSE_TEST(buffer_notify, retrieve_many)
{
	struct request *r;
	int i;

	for (i = 0; i < PAGES; i++) {
		self->mem[i * P] = 'A' + i;
		ASSERT_EQ(0, retrieve(S, BUF(1), i * P, 1, 100 + i));
	}
	/* the pages that were asked for are not lost with the buffer's */
	ASSERT_EQ(0, inval(S, BUF(1), 0, 0));
	for (i = 0; i < PAGES; i++) {
		r = take(S, FUSE_NOTIFY_REPLY);
		EXPECT_EQ(100 + i, r->h.unique);
		ASSERT_EQ(1, r->retrieve.size);
		EXPECT_EQ('A' + i, *(char *)(&r->retrieve + 1));
	}
	quiet(S);
}

/* Replies that nobody reads */
FUSE_TEST(buffer_notify, retrieve_and_abort)
{
	int i;

	for (i = 0; i < 10; i++)
		ASSERT_EQ(0, retrieve(S, BUF(1), 0, P, i + 1));
	server_abort(S);
	EXPECT_GT(0, retrieve(S, BUF(1), 0, P, 99));
	EXPECT_GT(0, store(S, BUF(1), 0, self->data, P));
	EXPECT_GT(0, inval(S, BUF(1), 0, P));
	EXPECT_MEM(0, P, 0);
}

/* INVAL_INODE */

FUSE_TEST(buffer_notify, inval_pages)
{
	memset(self->mem, 'm', SIZE);
	EXPECT_MEM(0, SIZE, 'm');
	ASSERT_EQ(0, inval(S, BUF(1), P, 2 * P));
	EXPECT_EQ(PAGES - 2, present(self->fd));
	EXPECT_MEM(0, P, 'm');
	EXPECT_MEM(P, 2 * P, 0);
	EXPECT_MEM(3 * P, SIZE - 3 * P, 'm');
	EXPECT_TRUE(all(self->mem + P, 2 * P, 0));
	/* and the new pages are shared again */
	self->mem[P] = 's';
	EXPECT_MEM(P, 1, 's');
}

/* Every page that the range touches, and these as a whole */
FUSE_TEST(buffer_notify, inval_page_parts)
{
	memset(self->mem, 'm', SIZE);
	ASSERT_EQ(0, inval(S, BUF(1), P + 10, 1));
	EXPECT_EQ(PAGES - 1, present(self->fd));
	EXPECT_MEM(P, P, 0);
	memset(self->mem, 'm', SIZE);
	ASSERT_EQ(0, inval(S, BUF(1), 2 * P - 1, 2));
	EXPECT_EQ(PAGES - 2, present(self->fd));
	EXPECT_MEM(0, P, 'm');
	EXPECT_MEM(P, 2 * P, 0);
	EXPECT_MEM(3 * P, P, 'm');
}

FUSE_TEST(buffer_notify, inval_to_the_end)
{
	static const int64_t lengths[] = { 0, -1, INT64_MIN, INT64_MAX };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		memset(self->mem, 'm', SIZE);
		ASSERT_EQ(0, inval(S, BUF(1), 3 * P, lengths[i]));
		EXPECT_EQ(3, present(self->fd));
		EXPECT_MEM(0, 3 * P, 'm');
		EXPECT_MEM(3 * P, SIZE - 3 * P, 0);
	}
	memset(self->mem, 'm', SIZE);
	ASSERT_EQ(0, inval(S, BUF(1), SIZE - 1, 0));
	EXPECT_EQ(PAGES - 1, present(self->fd));
	ASSERT_EQ(0, inval(S, BUF(1), 0, 0));
	EXPECT_EQ(0, present(self->fd));
}

FUSE_TEST(buffer_notify, inval_nothing)
{
	memset(self->mem, 'm', SIZE);
	EXPECT_EQ(0, inval(S, BUF(1), -1, 0));
	EXPECT_EQ(0, inval(S, BUF(1), -(int64_t)P, 4 * P));
	EXPECT_EQ(0, inval(S, BUF(1), INT64_MIN, 0));
	EXPECT_EQ(0, inval(S, BUF(1), SIZE, 0));
	EXPECT_EQ(0, inval(S, BUF(1), SIZE + P, P));
	EXPECT_EQ(0, inval(S, BUF(1), INT64_MAX, INT64_MAX));
	EXPECT_EQ(PAGES, present(self->fd));
	EXPECT_MEM(0, SIZE, 'm');
	/* a range of holes */
	ASSERT_EQ(0, inval(S, BUF(1), 0, 0));
	EXPECT_EQ(0, inval(S, BUF(1), 0, 0));
	EXPECT_EQ(0, inval(S, BUF(1), P, P));
}

FUSE_TEST(buffer_notify, inval_unknown_and_malformed)
{
	char out[sizeof(struct fuse_notify_inval_inode_out) + 1] = { 0 };

	EXPECT_EQ(-ENOENT, inval(S, BUF(2), 0, 0));
	EXPECT_EQ(-ENOENT, inval(S, BUF(2), -1, 0));
	memset(self->mem, 'm', SIZE);
	memcpy(out, &(struct fuse_notify_inval_inode_out){ .ino = BUF(1) },
	       sizeof(struct fuse_notify_inval_inode_out));
	EXPECT_EQ(-EINVAL, server_notify(S, FUSE_NOTIFY_INVAL_INODE, out,
					 sizeof(out), NULL, 0));
	EXPECT_EQ(-EINVAL, server_notify(S, FUSE_NOTIFY_INVAL_INODE, out,
					 sizeof(out) - 2, NULL, 0));
	EXPECT_EQ(PAGES, present(self->fd));
}

FUSE_TEST(buffer_notify, inval_keeps_private_copies)
{
	int fd = client_open(C, S, O_RDONLY);
	uint64_t fh = S->fh;
	int64_t p;

	memset(self->mem, 'm', SIZE);
	p = map(C, S, fd, .len = 2 * P, .prot = RW, .flags = MAP_PRIVATE,
		.out = { .nodeid = BUF(1) });
	ASSERT_LT(0, p);
	ASSERT_EQ(1, call(C, CLIENT_FILL, p, 1, 'p'));
	ASSERT_EQ(P, call(C, CLIENT_DIFF, p + P, P, 'm'));
	ASSERT_EQ(0, inval(S, BUF(1), 0, 0));
	EXPECT_EQ(1, call(C, CLIENT_DIFF, p, P, 'p'));
	EXPECT_EQ(P, call(C, CLIENT_DIFF, p + P, P, 0));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, 2 * P));
	take_munmap(S, fh, BUF(1), 0, 2 * P);
}

/* All three against a client that keeps using the memory, and each other */
FUSE_TEST(buffer_notify, all_at_once)
{
	pid_t child[3];
	int i, n, status;

	for (i = 0; i < 3; i++) {
		child[i] = fork();
		ASSERT_LE(0, child[i]);
		if (child[i])
			continue;
		/* a pipe is not for several at once */
		S->pipe[0] = S->pipe[1] = 0;
		for (n = 0; n < 400; n++) {
			uint64_t at = n % PAGES * P;
			int err = i == 0 ? store(S, BUF(1), at, self->data, P) :
				  i == 1 ? inval(S, BUF(1), at, P) :
				  store(S, BUF(1), at, self->mem + at, P);

			if (err && err != -EAGAIN)
				_exit(1);
			self->mem[at]++;
		}
		_exit(0);
	}
	for (i = 0; i < 100; i++)
		ASSERT_EQ(SIZE, call(C, CLIENT_FILL, self->addr, SIZE, i));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(child[i], waitpid(child[i], &status, 0));
		EXPECT_EQ(0, status);
	}
	EXPECT_GE(PAGES, present(self->fd));
	ASSERT_EQ(0, store(S, BUF(1), 0, self->data, SIZE));
	EXPECT_MEM(0, SIZE, 'd');
}

/* A nodeid of a buffer means nothing before the feature is on */

FUSE_FIXTURE(notify_off, NEEDS_NOTHING);

FUSE_TEST(notify_off, buffers_are_unknown)
{
	char data[10] = { 0 };

	EXPECT_EQ(-ENOENT, store(S, BUF(1), 0, data, 10));
	EXPECT_EQ(-ENOENT, retrieve(S, BUF(1), 0, 10, 1));
	EXPECT_EQ(-ENOENT, inval(S, BUF(1), 0, 10));
	quiet(S);
}

/* Inodes, without the feature and with it */

FUSE_ONLY_FIXTURE(notify_inode, NEEDS_NOTHING);
FUSE_ONLY_FIXTURE(notify_inode_enabled, FUSE_FEATURE_BUFFERS);

static void notify_inode(struct __test_metadata *_metadata, struct server *s,
			 struct client *c, uint64_t page, bool asked)
{
	char *data = malloc(page);
	struct request *r;
	int64_t p;
	int fd;

	memset(data, 's', page);
	s->io = true;
	fd = client_open(c, s, O_RDWR);
	ASSERT_EQ(0, store(s, FILE_INO, page, data, page));
	ASSERT_EQ(1, call(c, CLIENT_READ, fd, 1));
	EXPECT_EQ(1, c->answer.data[0]);
	call_start(c, CLIENT_MMAP, 0, 2 * page, PROT_READ, MAP_SHARED, fd, 0);
	if (asked) {
		r = take(s, FUSE_MMAP);
		reply_error(s, r, -ENOSYS);
	}
	p = call_end(c);
	ASSERT_LT(0, p);
	EXPECT_EQ(page, call(c, CLIENT_DIFF, p + page, page, 's'));

	ASSERT_EQ(0, retrieve(s, FILE_INO, page + 1, 5, 77));
	r = take(s, FUSE_NOTIFY_REPLY);
	EXPECT_EQ(77, r->h.unique);
	EXPECT_EQ(FILE_INO, r->h.nodeid);
	ASSERT_EQ(5, r->retrieve.size);
	EXPECT_EQ(0, memcmp(&r->retrieve + 1, "sssss", 5));

	/* dropped, and read again from the server: page 1 is full of 2 */
	ASSERT_EQ(0, inval(s, FILE_INO, page, page));
	EXPECT_EQ(page, call(c, CLIENT_DIFF, p + page, page, 2));
	EXPECT_EQ(-ENOENT, store(s, 12345, 0, data, 1));
	EXPECT_EQ(-ENOENT, retrieve(s, 12345, 0, 1, 1));
	EXPECT_EQ(-ENOENT, inval(s, 12345, 0, 1));
	ASSERT_EQ(0, call(c, CLIENT_MUNMAP, p, 2 * page));
	free(data);
}

FUSE_TEST(notify_inode, store_retrieve_inval)
{
	notify_inode(_metadata, S, C, P, false);
}

FUSE_TEST(notify_inode_enabled, store_retrieve_inval)
{
	notify_inode(_metadata, S, C, P, true);
}

CUSE_ONLY_FIXTURE(notify_cuse, NEEDS_NOTHING);

FUSE_TEST(notify_cuse, no_inodes)
{
	uint64_t nodeid;

	for (nodeid = 0; nodeid < 3; nodeid++) {
		EXPECT_EQ(-ENOENT, store(S, nodeid, 0, "x", 1));
		EXPECT_EQ(-ENOENT, retrieve(S, nodeid, 0, 1, 1));
		EXPECT_EQ(-ENOENT, inval(S, nodeid, 0, 0));
	}
	quiet(S);
}

TEST_HARNESS_MAIN
