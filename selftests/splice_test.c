// SPDX-License-Identifier: GPL-2.0
/*
 * Messages that are spliced to the device: every shape of them, what is moved
 * and what is copied, FUSE_FEATURE_UNSIZED; and requests that are spliced from
 * it.
 *
 * What was moved is told by the kernel (fdinfo of the device) and by the source,
 * which must have lost the page.
 */
#define _GNU_SOURCE
#include <linux/loop.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/param.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../../kselftest_harness.h"
#include "fuse_fixture.h"

#define PAGES	8
/* More than what is on its way to the LRU lists, and not to be had till then */
#define SOURCE_PAGES	64
#define P	(self->page)
#define SIZE	(PAGES * P)

#define MOVED()		fdinfo(S->fd, "splice_moved")
#define COPIED()	fdinfo(S->fd, "splice_copied")

struct store_message {
	struct fuse_out_header h;
	struct fuse_notify_store_out out;
};

enum target {
	TO_FILE,		/* page cache of a regular file */
	TO_BUFFER,
};

/* What is stored to, in the mapping of a client that has not touched it yet */
struct spliced {
	struct server s;
	struct client c;
	uint64_t page;
	uint64_t nodeid;
	int fd;			/* the client's */
	int64_t addr;
	int p[2];
	char *data;		/* page n of it is n + 1 */
};

static const char *spliced_start(struct __test_metadata *_metadata,
				 struct spliced *self, enum server_type type,
				 enum target target, uint64_t features)
{
	struct fuse_mmap_out out = {};
	const char *why;
	int i;

	self->page = getpagesize();
	self->s.type = type;
	/* The largest max_pages without privileges of a sysctl */
	self->s.max_write = 256 * P;
	self->s.init_flags = FUSE_MAX_PAGES | FUSE_BIG_WRITES;
	why = fixture_start(S, C, FUSE_FEATURE_BUFFERS | features, "fuse_client");
	if (why)
		return why;

	/* Writeback, that is; nothing is read but what a test replies to */
	self->s.io = true;
	self->s.manual = 1ULL << FUSE_READ;
	self->fd = client_open(C, S, O_RDWR);
	if (target == TO_FILE) {
		self->nodeid = S->ino;
	} else {
		self->nodeid = out.nodeid = BUF(1);
		out.size = SIZE;
	}
	self->addr = map(C, S, self->fd, .len = SIZE, .prot = RW,
			 .flags = MAP_SHARED, .out = out);
	if (self->fd < 0 || self->addr <= 0)
		fail("fd %d, mmap %lld", self->fd, (long long)self->addr);

	self->data = malloc(256 * P);
	for (i = 0; i < 256; i++)
		memset(self->data + i * P, i + 1, P);
	if (pipe(self->p))
		fail("pipe");
	return NULL;
}

static int send_pipe(struct spliced *self, size_t len, unsigned int flags)
{
	ssize_t n = splice(self->p[0], NULL, S->fd, NULL, len, flags);

	if (n >= 0 && (size_t)n != len)
		fail("splice of %zu bytes: %zd", len, n);
	return n < 0 ? -errno : 0;
}

static void put_header(struct spliced *self, uint64_t offset, size_t len)
{
	struct store_message m = {
		.h = { .len = sizeof(m) + len, .error = FUSE_NOTIFY_STORE },
		.out = { .nodeid = self->nodeid, .offset = offset, .size = len },
	};

	if (write(self->p[1], &m, sizeof(m)) != sizeof(m))
		fail("pipe: %s", strerror(errno));
}

static size_t in_pipe(struct spliced *self)
{
	int n;

	if (ioctl(self->p[0], FIONREAD, &n))
		fail("FIONREAD");
	return n;
}

/* Of the client's mapping, page by page; @first is the byte of the first page */
static bool has_pages(struct spliced *self, uint64_t offset, int n, int first)
{
	int i;

	for (i = 0; i < n; i++)
		if (call(C, CLIENT_DIFF, self->addr + offset + i * P, P,
			 first + i) != (int64_t)P)
			return false;
	return true;
}

/* Where pages come from */

enum source {
	FROM_BLOCK,		/* page cache of a block device */
	FROM_FUSE,		/* page cache of a regular file */
	FROM_TMPFS,
	FROM_SOCKET,
	FROM_WRITE,		/* write(2) to the pipe */
	FROM_VMSPLICE,
	FROM_GIFT,		/* vmsplice, and still mapped */
	FROM_GIFT_GONE,		/* vmsplice, and unmapped then */
	FROM_TEE,		/* page cache, and still in another pipe */
	FROM_DIRTY,		/* page cache, not written back */
	FROM_HELD,		/* page cache, mapped by somebody */
};

struct origin {
	enum source source;
	int fd;
	loff_t pos;		/* of what comes next, in a file */
	pid_t server;
	int other[2];		/* pipe of FROM_TEE */
	char *map;
};

static const char *open_block(struct spliced *self, struct origin *o)
{
	struct loop_config config = {};
	char path[32];
	int ctl, n, mem;

	ctl = open("/dev/loop-control", O_RDWR);
	if (ctl < 0)
		return "no loop devices";
	n = ioctl(ctl, LOOP_CTL_GET_FREE);
	close(ctl);
	snprintf(path, sizeof(path), "/dev/loop%d", n);
	o->fd = open(path, O_RDWR | O_CLOEXEC);
	mem = memfd_create("source", 0);
	if (n < 0 || o->fd < 0 ||
	    write(mem, self->data, SOURCE_PAGES * P) != (ssize_t)(SOURCE_PAGES * P))
		return "no free loop device";
	config.fd = mem;
	/* A crashed test must not leave it */
	config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
	if (ioctl(o->fd, LOOP_CONFIGURE, &config))
		return "loop device cannot be configured";
	close(mem);
	return NULL;
}

/* Another process serves another file system, whose file is all data */
static const char *open_fuse(struct spliced *self, struct origin *o)
{
	char path[128] = {};
	int p[2];

	if (pipe(p))
		fail("pipe");
	o->server = fork();
	if (!o->server) {
		struct server source = {
			.io = true, .open_flags = FOPEN_KEEP_CACHE,
		};

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		S->deaf = true;
		if (server_start(&source))
			_exit(1);
		if (write(p[1], source.path, sizeof(path)) != sizeof(path))
			_exit(1);
		for (;;)
			serve_until(-1, 1000);
	}
	close(p[1]);
	if (read(p[0], path, sizeof(path)) <= 0)
		fail("no second server");
	close(p[0]);
	o->fd = open(path, O_RDONLY);
	if (o->fd < 0)
		fail("%s: %s", path, strerror(errno));
	return NULL;
}

/* A page at a time: large folios cannot be moved */
static void read_source(struct spliced *self, struct origin *o)
{
	cpu_set_t one, all;
	char buf[16];
	int i;

	sched_getaffinity(0, sizeof(all), &all);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
	posix_fadvise(o->fd, 0, 0, POSIX_FADV_DONTNEED);
	posix_fadvise(o->fd, 0, 0, POSIX_FADV_RANDOM);
	for (i = 0; i < SOURCE_PAGES; i++)
		if (pread(o->fd, buf, sizeof(buf), i * P) != sizeof(buf) ||
		    buf[0] != i + 1)
			fail("source: page %d is %d", i, buf[0]);
	sched_setaffinity(0, sizeof(all), &all);
}

static const char *origin_open(struct spliced *self, struct origin *o,
			       enum source source)
{
	const char *why = NULL;

	o->source = source;
	o->fd = -1;
	switch (source) {
	case FROM_BLOCK:
	case FROM_TEE:
	case FROM_DIRTY:
	case FROM_HELD:
		why = open_block(self, o);
		break;
	case FROM_FUSE:
		why = open_fuse(self, o);
		break;
	case FROM_TMPFS:
		o->fd = memfd_create("tmpfs", 0);
		if (write(o->fd, self->data, SOURCE_PAGES * P) < 0)
			fail("memfd");
		break;
	default:
		break;
	}
	if (why)
		return why;
	if (o->fd >= 0)
		read_source(self, o);
	if (source == FROM_DIRTY &&
	    pwrite(o->fd, self->data, SIZE, 0) != (ssize_t)SIZE)
		fail("loop device: %s", strerror(errno));
	if (source == FROM_HELD) {
		o->map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, o->fd, 0);
		if (o->map == MAP_FAILED || o->map[0] + o->map[P] +
		    o->map[2 * P] + o->map[3 * P] != 1 + 2 + 3 + 4)
			fail("mmap");
	}
	return NULL;
}

static void from_socket(struct spliced *self, size_t len)
{
	size_t done = 0;
	int sock[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sock))
		fail("socketpair");
	while (done < len) {
		ssize_t n = MIN(len - done, P);

		if (write(sock[0], self->data + done, n) != n ||
		    splice(sock[1], NULL, self->p[1], NULL, n, 0) != n)
			fail("socket: %s", strerror(errno));
		done += n;
	}
	close(sock[0]);
	close(sock[1]);
}

static void from_memory(struct spliced *self, struct origin *o, size_t len)
{
	struct iovec iov = { .iov_len = len };
	bool gift = o->source != FROM_VMSPLICE;

	iov.iov_base = mmap(NULL, len, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(iov.iov_base, self->data, len);
	if (vmsplice(self->p[1], &iov, 1, gift ? SPLICE_F_GIFT : 0) !=
	    (ssize_t)len)
		fail("vmsplice: %s", strerror(errno));
	if (o->source == FROM_GIFT_GONE)
		munmap(iov.iov_base, len);
	else
		o->map = iov.iov_base;
}

/* @len bytes of the source into the pipe */
static void fill_pipe(struct spliced *self, struct origin *o, size_t len)
{
	loff_t pos = o->pos;

	switch (o->source) {
	case FROM_SOCKET:
		from_socket(self, len);
		return;
	case FROM_WRITE:
		/* A page of its own: the header's has room, too */
		if (fcntl(self->p[1], F_SETFL, O_DIRECT) ||
		    write(self->p[1], self->data, len) != (ssize_t)len)
			fail("pipe: %s", strerror(errno));
		return;
	case FROM_VMSPLICE:
	case FROM_GIFT:
	case FROM_GIFT_GONE:
		from_memory(self, o, len);
		return;
	default:
		while ((size_t)pos < o->pos + len)
			if (splice(o->fd, &pos, self->p[1], NULL,
				   o->pos + len - pos, SPLICE_F_MOVE) <= 0)
				fail("splice: %s", strerror(errno));
	}
	if (o->source == FROM_TEE &&
	    (pipe(o->other) || tee(self->p[0], o->other[1], 1 << 16, 0) <= 0))
		fail("tee: %s", strerror(errno));
}

static void origin_close(struct origin *o)
{
	if (o->server) {
		kill(o->server, SIGKILL);
		waitpid(o->server, NULL, 0);
	}
	if (o->fd >= 0)
		close(o->fd);
}

/* How much of the source's page cache is there */
static int resident(struct spliced *self, struct origin *o)
{
	unsigned char vec[PAGES];
	int i, n = 0;
	char *map;

	map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, o->fd, 0);
	if (map == MAP_FAILED || mincore(map, SIZE, vec))
		fail("mincore: %s", strerror(errno));
	for (i = 0; i < PAGES; i++)
		n += vec[i] & 1;
	munmap(map, SIZE);
	return n;
}

/* Every source, to every target */

#undef P
#undef S
#undef C
#define T	(&self->t)
#define O	(&self->o)
#define P	(self->t.page)
#define S	(&self->t.s)
#define C	(&self->t.c)
#define HEAD	sizeof(struct store_message)

FIXTURE(splice_from)
{
	struct spliced t;
	struct origin o;
};

FIXTURE_VARIANT(splice_from)
{
	enum source source;
	bool moves;
	enum server_type type;
	enum target target;
};

#define SOURCE(name, from, does_move)					\
FIXTURE_VARIANT_ADD(splice_from, name##_to_file) {			\
	from, does_move, SERVER_FUSE, TO_FILE				\
};									\
FIXTURE_VARIANT_ADD(splice_from, name##_to_buffer) {			\
	from, does_move, SERVER_FUSE, TO_BUFFER				\
};									\
FIXTURE_VARIANT_ADD(splice_from, name##_to_cuse) {			\
	from, does_move, SERVER_CUSE, TO_BUFFER				\
}

SOURCE(block, FROM_BLOCK, true);
SOURCE(fuse, FROM_FUSE, true);
SOURCE(tmpfs, FROM_TMPFS, false);
SOURCE(socket, FROM_SOCKET, false);
SOURCE(write, FROM_WRITE, true);
SOURCE(vmsplice, FROM_VMSPLICE, false);
SOURCE(gift, FROM_GIFT, false);
SOURCE(gift_gone, FROM_GIFT_GONE, false);
SOURCE(tee, FROM_TEE, false);
SOURCE(dirty, FROM_DIRTY, false);
SOURCE(held, FROM_HELD, false);

FIXTURE_SETUP(splice_from)
{
	const char *why;

	self->o.fd = -1;
	why = spliced_start(_metadata, T, variant->type, variant->target, 0);
	if (!why)
		why = origin_open(T, O, variant->source);
	SKIP_IF(why);
}

FIXTURE_TEARDOWN(splice_from)
{
	origin_close(O);
	fixture_stop(&self->t.s, &self->t.c, _metadata->exit_code == KSFT_FAIL);
}

/* Four pages; who has them then, and who has not */
FUSE_TEST(splice_from, store)
{
	bool cached = O->fd >= 0;
	int had = cached ? resident(T, O) : 0;
	char other[HEAD + 16];
	int fd;

	put_header(T, 2 * P, 4 * P);
	fill_pipe(T, O, 4 * P);
	ASSERT_EQ(0, send_pipe(T, HEAD + 4 * P, SPLICE_F_MOVE));
	EXPECT_EQ(0, in_pipe(T));
	EXPECT_EQ(variant->moves ? 4 : 0, MOVED());
	EXPECT_EQ(variant->moves ? 0 : 4, COPIED());
	if (cached)
		EXPECT_EQ(variant->moves ? had - 4 : had, resident(T, O));
	/* not only by mappings */
	if (variant->target == TO_BUFFER) {
		fd = buffer_open(S, T->nodeid, 0);
		ASSERT_LE(0, fd);
		EXPECT_EQ(4, fdinfo(fd, "present"));
		ASSERT_EQ(sizeof(other), pread(fd, other, sizeof(other), 3 * P));
		EXPECT_EQ(2, other[0]);
		close(fd);
	}
	EXPECT_TRUE(has_pages(T, 2 * P, 4, 1));

	/* Neither sees what happens to the other */
	ASSERT_EQ(P, call(C, CLIENT_FILL, T->addr + 2 * P, P, 'c'));
	if (O->source == FROM_HELD)
		EXPECT_EQ(1, O->map[0]);
	if (O->map && O->source != FROM_HELD)
		memset(O->map, 's', 4 * P);
	if (cached) {
		ASSERT_EQ(16, pread(O->fd, other, 16, 0));
		EXPECT_EQ(1, other[0]);
		if (O->source != FROM_FUSE)
			ASSERT_EQ(16, pwrite(O->fd, "source sees this", 16, P));
	}
	if (O->source == FROM_TEE) {
		ASSERT_EQ(sizeof(other), read(O->other[0], other, sizeof(other)));
		EXPECT_EQ(1, other[HEAD]);
	}
	EXPECT_EQ(P, call(C, CLIENT_DIFF, T->addr + 2 * P, P, 'c'));
	EXPECT_TRUE(has_pages(T, 3 * P, 3, 2));
}

/*
 * Pages that read(2) asks for are new ones in the page cache.  Not so those of a
 * buffer that is filled on demand, which has none yet, nor those that a fault
 * asks for without readahead: the task that waits for them has them locked.
 */
FUSE_TEST(splice_from, reply_to_read)
{
	bool moves = variant->moves && variant->target == TO_FILE;
	struct fuse_out_header h = { .len = sizeof(h) + P };
	int64_t addr = T->addr;
	struct request *r;

	if (variant->target == TO_BUFFER)
		addr = map(C, S, T->fd, .len = SIZE, .prot = RW,
			   .flags = MAP_SHARED,
			   .out = { .nodeid = BUF(9), .size = SIZE,
				    .flags = FUSE_BUFFER_DEMAND });
	ASSERT_LT(0, addr);
	if (variant->target == TO_BUFFER)
		call_start(C, CLIENT_DIFF, addr, P, 1);
	else
		call_start(C, CLIENT_READ, T->fd, P);
	r = take(S, FUSE_READ);
	ASSERT_EQ(0, r->read.offset);
	ASSERT_EQ(P, r->read.size);
	h.unique = r->h.unique;
	ASSERT_EQ(sizeof(h), write(T->p[1], &h, sizeof(h)));
	fill_pipe(T, O, P);
	ASSERT_EQ(0, send_pipe(T, h.len, SPLICE_F_MOVE));
	EXPECT_EQ(P, call_end(C));
	EXPECT_EQ(moves ? 1 : 0, MOVED());
	EXPECT_EQ(moves ? 0 : 1, COPIED());
	EXPECT_EQ(P, call(C, CLIENT_DIFF, addr, P, 1));
}

/* Every shape, and every state of what is stored to */

FIXTURE(splice)
{
	struct spliced t;
	struct origin o;
};

FIXTURE_VARIANT(splice)
{
	enum server_type type;
	enum target target;
};

FIXTURE_VARIANT_ADD(splice, file) { SERVER_FUSE, TO_FILE };
FIXTURE_VARIANT_ADD(splice, buffer) { SERVER_FUSE, TO_BUFFER };
FIXTURE_VARIANT_ADD(splice, cuse) { SERVER_CUSE, TO_BUFFER };

FIXTURE_SETUP(splice)
{
	const char *why;

	self->o.fd = -1;
	why = spliced_start(_metadata, T, variant->type, variant->target, 0);
	if (!why)
		why = origin_open(T, O, FROM_BLOCK);
	SKIP_IF(why);
}

FIXTURE_TEARDOWN(splice)
{
	origin_close(O);
	fixture_stop(&self->t.s, &self->t.c, _metadata->exit_code == KSFT_FAIL);
}

static int store_pages(struct spliced *t, struct origin *o, uint64_t offset,
		       size_t len)
{
	put_header(t, offset, len);
	fill_pipe(t, o, len);
	return send_pipe(t, HEAD + len, SPLICE_F_MOVE);
}

/* What is there already is copied to, in whatever state it is */
FUSE_TEST(splice, present)
{
	struct fuse_mmap_out out = {};
	int64_t addr;

	if (variant->target == TO_BUFFER)
		out = (struct fuse_mmap_out){
			.nodeid = BUF(1), .offset = P, .size = SIZE,
		};
	ASSERT_EQ(0, store_pages(T, O, 0, 2 * P));
	EXPECT_EQ(2, MOVED());

	/* up to date, not mapped */
	ASSERT_EQ(0, store_pages(T, O, 0, 2 * P));
	EXPECT_EQ(2, MOVED());
	EXPECT_EQ(2, COPIED());

	/* mapped, and dirty */
	EXPECT_TRUE(has_pages(T, 0, 2, 1));
	ASSERT_EQ(2 * P, call(C, CLIENT_FILL, T->addr, 2 * P, 'x'));
	ASSERT_EQ(0, store_pages(T, O, 0, 2 * P));
	EXPECT_TRUE(has_pages(T, 0, 2, 1));
	EXPECT_EQ(2, MOVED());

	/* mlocked */
	addr = map(C, S, T->fd, .len = P, .offset = P, .prot = RW,
		   .flags = MAP_SHARED | MAP_LOCKED, .out = out);
	ASSERT_LT(0, addr);
	ASSERT_EQ(0, store_pages(T, O, P, P));
	EXPECT_TRUE(has_pages(T, P, 1, 1));
	EXPECT_EQ(2, MOVED());
	EXPECT_EQ(5, COPIED());
}

/* Nothing moves that was not asked to */
FUSE_TEST(splice, without_move)
{
	put_header(T, 0, 2 * P);
	fill_pipe(T, O, 2 * P);
	ASSERT_EQ(0, send_pipe(T, HEAD + 2 * P, 0));
	EXPECT_EQ(0, MOVED());
	EXPECT_EQ(2, COPIED());
	EXPECT_EQ(PAGES, resident(T, O));
	EXPECT_TRUE(has_pages(T, 0, 2, 1));
}

/* Some moves, the rest does not */
FUSE_TEST(splice, mixed)
{
	ASSERT_EQ(0, store_pages(T, O, P, P));
	ASSERT_EQ(0, store_pages(T, O, 0, 4 * P));
	EXPECT_EQ(1 + 3, MOVED());
	EXPECT_EQ(1, COPIED());
	EXPECT_TRUE(has_pages(T, 0, 4, 1));
}

FUSE_TEST(splice, partial)
{
	/* source and target are out of step */
	put_header(T, 100, 2 * P);
	fill_pipe(T, O, 2 * P);
	ASSERT_EQ(0, send_pipe(T, HEAD + 2 * P, SPLICE_F_MOVE));
	EXPECT_EQ(0, MOVED());
	EXPECT_EQ(3, COPIED());
	if (variant->target == TO_BUFFER) {
		EXPECT_EQ(P - 100, call(C, CLIENT_DIFF, T->addr + 100, P - 100, 1));
		EXPECT_EQ(100, call(C, CLIENT_DIFF, T->addr + P, 100, 1));
		EXPECT_EQ(P, call(C, CLIENT_DIFF, T->addr + P + 100, P, 2));
	}

	/* the last page is not whole */
	put_header(T, 4 * P, P + 100);
	fill_pipe(T, O, P + 100);
	ASSERT_EQ(0, send_pipe(T, HEAD + P + 100, SPLICE_F_MOVE));
	EXPECT_EQ(1, MOVED());
	EXPECT_EQ(4, COPIED());
	EXPECT_TRUE(has_pages(T, 4 * P, 1, 1));
	if (variant->target == TO_BUFFER)
		EXPECT_EQ(100, call(C, CLIENT_DIFF, T->addr + 5 * P, 100, 2));
}

FUSE_TEST(splice, header_and_data_in_one)
{
	struct store_message m = {
		.h = { .len = HEAD + P, .error = FUSE_NOTIFY_STORE },
		.out = { .nodeid = T->nodeid, .offset = P, .size = P },
	};
	char buf[HEAD + P];

	memcpy(buf, &m, HEAD);
	memset(buf + HEAD, 7, P);
	ASSERT_EQ(HEAD + P, write(T->p[1], buf, HEAD + P));
	ASSERT_EQ(0, send_pipe(T, HEAD + P, SPLICE_F_MOVE));
	EXPECT_EQ(0, MOVED());
	EXPECT_EQ(1, COPIED());
	EXPECT_TRUE(has_pages(T, P, 1, 7));
}

FUSE_TEST(splice, header_split)
{
	struct store_message m = {
		.h = { .len = HEAD + P, .error = FUSE_NOTIFY_STORE },
		.out = { .nodeid = T->nodeid, .offset = P, .size = P },
	};
	const char *p = (char *)&m;

	/* every write is a pipe buffer of its own */
	ASSERT_EQ(0, fcntl(T->p[1], F_SETFL, O_DIRECT));
	ASSERT_EQ(3, write(T->p[1], p, 3));
	ASSERT_EQ(HEAD - 8, write(T->p[1], p + 3, HEAD - 8));
	ASSERT_EQ(5, write(T->p[1], p + HEAD - 5, 5));
	fill_pipe(T, O, P);
	ASSERT_EQ(0, send_pipe(T, HEAD + P, SPLICE_F_MOVE));
	EXPECT_EQ(1, MOVED());
	EXPECT_TRUE(has_pages(T, P, 1, 1));
}

FUSE_TEST(splice, data_in_small_pieces)
{
	size_t i;

	put_header(T, 0, P);
	ASSERT_EQ(0, fcntl(T->p[1], F_SETFL, O_DIRECT));
	for (i = 0; i < 8; i++)
		ASSERT_EQ(P / 8, write(T->p[1], T->data, P / 8));
	ASSERT_EQ(0, send_pipe(T, HEAD + P, SPLICE_F_MOVE));
	EXPECT_EQ(0, MOVED());
	EXPECT_EQ(1, COPIED());
	EXPECT_TRUE(has_pages(T, 0, 1, 1));
}

FUSE_TEST(splice, more_in_the_pipe)
{
	put_header(T, 0, P);
	fill_pipe(T, O, P);
	put_header(T, 3 * P, P);
	O->pos = P;
	fill_pipe(T, O, P);
	ASSERT_EQ(0, send_pipe(T, HEAD + P, SPLICE_F_MOVE));
	EXPECT_EQ(HEAD + P, in_pipe(T));
	ASSERT_EQ(0, send_pipe(T, HEAD + P, SPLICE_F_MOVE));
	EXPECT_EQ(0, in_pipe(T));
	EXPECT_TRUE(has_pages(T, 0, 1, 1));
	EXPECT_TRUE(has_pages(T, 3 * P, 1, 2));
	EXPECT_EQ(2, MOVED());
}

/* The message ends within a pipe buffer: the rest of that stays, too */
FUSE_TEST(splice, message_ends_in_a_pipe_buffer)
{
	char rest[16];

	put_header(T, 0, 100);
	fill_pipe(T, O, P);
	ASSERT_EQ(0, send_pipe(T, HEAD + 100, SPLICE_F_MOVE));
	EXPECT_EQ(P - 100, in_pipe(T));
	ASSERT_EQ(sizeof(rest), read(T->p[0], rest, sizeof(rest)));
	EXPECT_EQ(1, rest[0]);
	EXPECT_EQ(0, MOVED());
}

FUSE_TEST(splice, less_in_the_pipe)
{
	put_header(T, 0, 2 * P);
	fill_pipe(T, O, P);
	EXPECT_EQ(-EINVAL, send_pipe(T, HEAD + 2 * P, SPLICE_F_MOVE));
	/* nothing is lost: it can be completed */
	ASSERT_EQ(HEAD + P, in_pipe(T));
	O->pos = P;
	fill_pipe(T, O, P);
	ASSERT_EQ(0, send_pipe(T, HEAD + 2 * P, SPLICE_F_MOVE));
	EXPECT_EQ(2, MOVED());
	EXPECT_TRUE(has_pages(T, 0, 2, 1));
}

/* As large as a request can be with what a server may have for max_pages */
FUSE_TEST(splice, larger_than_the_pipe)
{
	const int pages = 256;
	struct iovec iov = { T->data, pages * P };
	char text[8];
	int i = -1;

	ASSERT_LT(0, fcntl(T->p[1], F_SETPIPE_SZ, 2 * pages * P));
	if (variant->target == TO_BUFFER) {
		T->nodeid = BUF(2);
		i = buffer_open(S, BUF(2), pages * P);
		ASSERT_LE(0, i);
	}
	put_header(T, 0, pages * P);
	ASSERT_EQ(pages * P, vmsplice(T->p[1], &iov, 1, 0));
	ASSERT_EQ(0, send_pipe(T, HEAD + pages * P, SPLICE_F_MOVE));
	EXPECT_EQ(pages, COPIED() + MOVED());
	if (variant->target == TO_BUFFER) {
		ASSERT_EQ(1, pread(i, text, 1, 200 * P));
		EXPECT_EQ((char)201, text[0]);
		close(i);
	} else {
		EXPECT_TRUE(has_pages(T, 0, PAGES, 1));
	}
}

FUSE_TEST(splice, bad_messages)
{
	struct store_message m = {
		.h = { .len = HEAD + P, .error = FUSE_NOTIFY_STORE },
		.out = { .nodeid = BUF(77), .offset = P, .size = P },
	};

	/* no such buffer, and the data is gone as with write(2) */
	ASSERT_EQ(HEAD, write(T->p[1], &m, HEAD));
	fill_pipe(T, O, P);
	EXPECT_EQ(-ENOENT, send_pipe(T, HEAD + P, SPLICE_F_MOVE));
	EXPECT_EQ(0, in_pipe(T));

	/* a length that is not that of the splice */
	put_header(T, 0, 2 * P);
	fill_pipe(T, O, P);
	EXPECT_EQ(-EINVAL, send_pipe(T, HEAD + P, SPLICE_F_MOVE));
	EXPECT_EQ(0, in_pipe(T));

	/* no header */
	fill_pipe(T, O, P);
	EXPECT_EQ(-EINVAL, send_pipe(T, 8, SPLICE_F_MOVE));
	EXPECT_EQ(P - 8, in_pipe(T));
	EXPECT_EQ(0, MOVED());
	EXPECT_EQ(0, COPIED());
}

/* Not without the opt-in */
FUSE_TEST(splice, len_0_is_refused)
{
	struct store_message m = {
		.h = { .error = FUSE_NOTIFY_STORE },
		.out = { .nodeid = T->nodeid, .size = P },
	};

	ASSERT_EQ(HEAD, write(T->p[1], &m, HEAD));
	fill_pipe(T, O, P);
	EXPECT_EQ(-EINVAL, send_pipe(T, HEAD + P, SPLICE_F_MOVE));

	m.h.len = HEAD + P;
	m.out.size = 0;
	ASSERT_EQ(HEAD, write(T->p[1], &m, HEAD));
	fill_pipe(T, O, P);
	EXPECT_EQ(-EINVAL, send_pipe(T, HEAD + P, SPLICE_F_MOVE));
	EXPECT_EQ(0, MOVED());
}

FUSE_TEST(splice, unsized)
{
	struct store_message m = {
		.h = { .error = FUSE_NOTIFY_STORE },
		.out = { .nodeid = T->nodeid, .offset = P },
	};
	struct iovec iov[2] = { { &m, HEAD }, { T->data, P } };

	ASSERT_EQ(0, server_enable(S, FUSE_FEATURE_UNSIZED));
	ASSERT_EQ(HEAD, write(T->p[1], &m, HEAD));
	fill_pipe(T, O, 3 * P);
	ASSERT_EQ(0, send_pipe(T, HEAD + 3 * P, SPLICE_F_MOVE));
	EXPECT_EQ(3, MOVED());
	EXPECT_TRUE(has_pages(T, P, 3, 1));

	/* a size, but no length */
	m.out.offset = 5 * P;
	m.out.size = P;
	ASSERT_EQ(HEAD, write(T->p[1], &m, HEAD));
	fill_pipe(T, O, P);
	ASSERT_EQ(0, send_pipe(T, HEAD + P, SPLICE_F_MOVE));
	EXPECT_TRUE(has_pages(T, 5 * P, 1, 1));

	/* one that is wrong */
	m.out.size = 2 * P;
	ASSERT_EQ(HEAD, write(T->p[1], &m, HEAD));
	fill_pipe(T, O, P);
	EXPECT_EQ(-EINVAL, send_pipe(T, HEAD + P, SPLICE_F_MOVE));

	/* write(2) has its length; what is wrong in a splice is still wrong */
	m.out.size = P;
	EXPECT_EQ(-1, writev(S->fd, iov, 2));
	EXPECT_EQ(EINVAL, errno);
	m.h.len = HEAD + P - 1;
	ASSERT_EQ(HEAD, write(T->p[1], &m, HEAD));
	fill_pipe(T, O, P);
	EXPECT_EQ(-EINVAL, send_pipe(T, HEAD + P, SPLICE_F_MOVE));

	/* nothing at all */
	m.h.len = 0;
	m.out.size = 0;
	ASSERT_EQ(HEAD, write(T->p[1], &m, HEAD));
	EXPECT_EQ(0, send_pipe(T, HEAD, SPLICE_F_MOVE));
	EXPECT_EQ(4, MOVED());
}

/* The server dies, and somebody ends the connection, in the middle of it */
static void *store_for_ever(void *arg)
{
	struct spliced *t = arg;
	struct origin o = { .source = FROM_WRITE, .fd = -1 };
	uint64_t i;

	for (i = 0; ; i++) {
		put_header(t, i % 2 * 4 * t->page, 4 * t->page);
		fill_pipe(t, &o, 4 * t->page);
		if (splice(t->p[0], NULL, t->s.fd, NULL,
			   HEAD + 4 * t->page, SPLICE_F_MOVE) < 0)
			break;
		inval(&t->s, t->nodeid, 0, 0);
	}
	return NULL;
}

FUSE_TEST(splice, killed_while_moving)
{
	int i, status;
	pid_t pid;

	for (i = 0; i < 5; i++) {
		uint64_t before = MOVED();

		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (pipe(T->p))
				_exit(1);
			store_for_ever(T);
			_exit(2);
		}
		ASSERT_TRUE(eventually(MOVED() - before >= 20));
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
	}
	/* and it all goes on */
	inval(S, T->nodeid, 0, 0);
	ASSERT_EQ(0, store_pages(T, O, 0, 2 * P));
	EXPECT_TRUE(has_pages(T, 0, 2, 1));
}

FUSE_TEST(splice, aborted_while_moving)
{
	pthread_t thread;
	char before[8];

	ASSERT_EQ(0, store_pages(T, O, 6 * P, P));
	EXPECT_TRUE(has_pages(T, 6 * P, 1, 1));
	ASSERT_EQ(0, pthread_create(&thread, NULL, store_for_ever, T));
	ASSERT_TRUE(eventually(MOVED() >= 20));
	server_abort(S);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	S->checked = false;
	/* the pipe has not lost its own */
	while (in_pipe(T))
		ASSERT_LT(0, read(T->p[0], before, sizeof(before)));
}

/* A page that is refused on the way ends it; those before it are there */
FUSE_TEST(splice, error_in_the_middle)
{
	int fd;

	if (variant->target == TO_FILE)
		SKIP(return, "a file has no ceiling");
	ASSERT_EQ(0, set_sysctl(fuse_knob("max_buffer_pages"),
				PAGES + 2));
	fd = buffer_open_flags(S, BUF(2), 64 * P, FUSE_BUFFER_DEMAND);
	ASSERT_LE(0, fd);
	T->nodeid = BUF(2);
	put_header(T, 0, 4 * P);
	fill_pipe(T, O, 4 * P);
	EXPECT_GT(0, send_pipe(T, HEAD + 4 * P, SPLICE_F_MOVE));
	EXPECT_EQ(0, in_pipe(T));
	EXPECT_EQ(2, fdinfo(fd, "present"));
	EXPECT_EQ(2, MOVED());
	close(fd);
	/* what it had is given back */
	fd = buffer_open_flags(S, BUF(2), 64 * P, FUSE_BUFFER_DEMAND);
	ASSERT_EQ(0, store_pages(T, O, 0, 2 * P));
	close(fd);
}

/* A client that waits for a page gets one that was moved */
FUSE_TEST(splice, move_ends_a_wait)
{
	struct client c;
	int64_t addr;
	int fd;

	if (variant->target == TO_FILE)
		SKIP(return, "only a buffer is filled on demand");
	client_fork(C, &c);
	fd = client_open(&c, S, O_RDWR);
	addr = map(&c, S, fd, .len = SIZE, .prot = RW, .flags = MAP_SHARED,
		   .out = { .nodeid = BUF(3), .size = SIZE,
			    .flags = FUSE_BUFFER_DEMAND });
	ASSERT_LT(0, addr);
	call_start(&c, CLIENT_DIFF, addr, P, 1);
	take(S, FUSE_READ);
	T->nodeid = BUF(3);
	ASSERT_EQ(0, store_pages(T, O, 0, P));
	EXPECT_EQ(P, call_end(&c));
	EXPECT_EQ(1, MOVED());
	S->checked = false;
	client_exit(&c);
}

/* Buffers are not reclaimed: they do not take memory of another cgroup */
FUSE_TEST(splice, memory_of_another_cgroup)
{
	char text[16], dir[64], procs[80];
	int i;

	mkdir("/tmp/cgroup", 0755);
	if (mount("none", "/tmp/cgroup", "cgroup2", 0, NULL))
		SKIP(return, "no cgroup2");
	write_text("/tmp/cgroup/cgroup.subtree_control", "+memory");
	snprintf(text, sizeof(text), "%d", getpid());
	/* of the source, then of the server */
	for (i = 0; i < 2; i++) {
		snprintf(dir, sizeof(dir), "/tmp/cgroup/splice%d_%s", i, text);
		ASSERT_EQ(0, mkdir(dir, 0755));
		snprintf(procs, sizeof(procs), "%s/memory.max", dir);
		if (access(procs, F_OK))
			SKIP(return, "no memory controller");
		snprintf(procs, sizeof(procs), "%s/cgroup.procs", dir);
		ASSERT_EQ(0, write_text(procs, text));
		if (!i)
			read_source(T, O);
	}
	ASSERT_EQ(0, store_pages(T, O, 0, 2 * P));
	EXPECT_TRUE(has_pages(T, 0, 2, 1));
	EXPECT_EQ(variant->target == TO_FILE ? 2 : 0, MOVED());

	read_source(T, O);
	ASSERT_EQ(0, store_pages(T, O, 4 * P, 2 * P));
	EXPECT_EQ(variant->target == TO_FILE ? 4 : 2, MOVED());
}

/* Requests that are spliced from the device */

/* A write of the client, and the message in the pipe: its size */
static ssize_t take_write(struct spliced *t, size_t len, size_t room)
{
	call_data(&t->c, CLIENT_POKE, t->data, len, t->addr);
	call_start(&t->c, CLIENT_MSYNC, t->addr, len, MS_SYNC);
	server_wait_pending(&t->s);
	return splice(t->s.fd, NULL, t->p[1], NULL, room, 0);
}

FIXTURE(splice_read)
{
	struct spliced t;
};

FIXTURE_SETUP(splice_read)
{
	SKIP_IF(spliced_start(_metadata, T, SERVER_FUSE, TO_FILE, 0));
	/* No FUSE_READ before the client's stores */
	put_header(T, 0, PAGES * P);
	if (write(T->p[1], T->data, PAGES * P) != (ssize_t)(PAGES * P) ||
	    send_pipe(T, HEAD + PAGES * P, 0))
		fail("STORE");
	if (fcntl(T->p[1], F_SETPIPE_SZ, 2 << 20) < 0)
		fail("F_SETPIPE_SZ");
	S->deaf = true;
}

FIXTURE_TEARDOWN(splice_read)
{
	fixture_stop(S, C, _metadata->exit_code == KSFT_FAIL);
}

static void reply_written(struct spliced *t, uint64_t unique, uint32_t len)
{
	struct {
		struct fuse_out_header h;
		struct fuse_write_out out;
	} m = {
		.h = { .len = sizeof(m), .unique = unique },
		.out = { .size = len },
	};

	if (write(t->s.fd, &m, sizeof(m)) != sizeof(m))
		fail("reply: %s", strerror(errno));
}

/* The header and the pages of the page cache, which cannot be taken away */
FUSE_TEST(splice_read, pages_are_not_given_away)
{
	struct {
		struct fuse_in_header h;
		struct fuse_write_in in;
	} m;
	int read_end, p[2];

	ASSERT_EQ(sizeof(m) + 2 * P, take_write(T, 2 * P, 2 << 20));
	ASSERT_EQ(sizeof(m), read(T->p[0], &m, sizeof(m)));
	EXPECT_EQ(FUSE_WRITE, m.h.opcode);
	EXPECT_EQ(sizeof(m) + 2 * P, m.h.len);
	EXPECT_EQ(2 * P, m.in.size);
	ASSERT_EQ(2 * P, in_pipe(T));
	reply_written(T, m.h.unique, m.in.size);
	S->deaf = false;
	ASSERT_EQ(0, call_end(C));

	/* on to a buffer: copied, though it is to be moved */
	T->nodeid = BUF(5);
	ASSERT_LE(0, buffer_open(S, BUF(5), PAGES * P));
	ASSERT_EQ(0, pipe(p));
	read_end = T->p[0];
	T->p[0] = p[0];
	T->p[1] = p[1];
	put_header(T, 0, 2 * P);
	ASSERT_EQ(2 * P, splice(read_end, NULL, p[1], NULL, 2 * P,
				SPLICE_F_MOVE));
	ASSERT_EQ(0, send_pipe(T, HEAD + 2 * P, SPLICE_F_MOVE));
	EXPECT_EQ(0, MOVED());
	EXPECT_EQ(PAGES + 2, COPIED());
	EXPECT_TRUE(has_pages(T, 0, 2, 1));
}

/* Less room than the largest request may need: EINVAL, and it stays */
FUSE_TEST(splice_read, too_little_asked_for)
{
	struct {
		struct fuse_in_header h;
		struct fuse_write_in in;
	} m;

	EXPECT_EQ(-1, take_write(T, P, 4096));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, in_pipe(T));
	ASSERT_EQ(sizeof(m) + P, splice(S->fd, NULL, T->p[1], NULL, 2 << 20, 0));
	ASSERT_EQ(sizeof(m), read(T->p[0], &m, sizeof(m)));
	reply_written(T, m.h.unique, m.in.size);
	S->deaf = false;
	EXPECT_EQ(0, call_end(C));
}

/* A pipe that is too small for that: the same */
FUSE_TEST(splice_read, pipe_too_small)
{
	ASSERT_LT(0, fcntl(T->p[1], F_SETPIPE_SZ, 16 * P));
	EXPECT_EQ(-1, take_write(T, 4 * P, 2 << 20));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, in_pipe(T));
	S->deaf = false;
	EXPECT_EQ(0, call_end(C));
	EXPECT_TRUE(has_pages(T, 0, 4, 1));
}

/* A pipe that is full: nothing is taken from the device for it */
FUSE_TEST(splice_read, pipe_full)
{
	char c[4096] = "";

	ASSERT_LT(0, fcntl(T->p[1], F_SETPIPE_SZ, P));
	ASSERT_EQ(P, write(T->p[1], c, P));
	ASSERT_EQ(0, fcntl(T->p[1], F_SETFL, O_NONBLOCK));
	EXPECT_EQ(-1, take_write(T, P, 2 << 20));
	EXPECT_EQ(EAGAIN, errno);
	ASSERT_EQ(P, read(T->p[0], c, P));
	S->deaf = false;
	EXPECT_EQ(0, call_end(C));
}

TEST_HARNESS_MAIN
