// SPDX-License-Identifier: GPL-2.0
/*
 * Notifications: what each code does, wrong sizes, nodeids that nobody knows,
 * before FUSE_INIT and after the end.  They are written to the device whatever
 * the transport of requests is.
 */
#include "../../kselftest_harness.h"
#include <poll.h>
#include <stddef.h>
#include <sys/stat.h>

#include "fuse_fixture.h"

#define DIR_INO		7
#define UNKNOWN		4711

FUSE_OP_FIXTURE(notify);

static const char page_of_a[4096] = { [0 ... 4095] = 'a' };

static int64_t stat_of(struct client *c, struct server *s, const char *name)
{
	return sys(c, SYS_newfstatat, AT_FDCWD, path(c, s, name), ARG(0), 0);
}

/* LOOKUP of @name in the root, which is then cached for long */
static void know(struct client *c, struct server *s, const char *name,
		 uint64_t nodeid, uint32_t mode)
{
	struct fuse_entry_out out = {
		.nodeid = nodeid,
		.entry_valid = 3600,
		.attr_valid = 3600,
		.attr = { .ino = nodeid, .mode = mode, .nlink = 2 },
	};

	s->manual = 1ULL << FUSE_LOOKUP;
	sys_start(c, SYS_newfstatat, AT_FDCWD, path(c, s, name), ARG(0), 0);
	reply(s, server_take(s, FUSE_LOOKUP), &out, sizeof(out));
	if (call_end(c))
		fail("stat");
}

/* Whether the client asks for @name again */
static bool asks(struct client *c, struct server *s, const char *name)
{
	struct fuse_entry_out gone = { .entry_valid = 0 };
	bool asked = false;

	s->manual = 1ULL << FUSE_LOOKUP;
	sys_start(c, SYS_newfstatat, AT_FDCWD, path(c, s, name), ARG(0), 0);
	/* once of the old entry, and once more since it was wrong */
	while (!serve_until(c->sock, 10))
		while (s->inbox) {
			asked = true;
			reply(s, server_take(s, FUSE_LOOKUP), &gone,
			      sizeof(gone));
		}
	call_end(c);
	return asked;
}

/* Sizes that are not @size; codes with data have more than one */
static void wrong_sizes(struct __test_metadata *_metadata, struct server *s,
			int code, const void *out, size_t size)
{
	char more[128] = "";

	memcpy(more, out, size);
	EXPECT_EQ(-EINVAL, server_notify(s, code, more, size - 1, NULL, 0));
	EXPECT_EQ(-EINVAL, server_notify(s, code, more, size + 1, NULL, 0));
	EXPECT_EQ(-EINVAL, server_notify(s, code, more, 0, NULL, 0));
}

FUSE_TEST(notify, unknown_codes)
{
	static const int codes[] = { 0, FUSE_NOTIFY_PRUNE + 50, -1 };
	char nothing[40] = "";
	size_t i;

	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		EXPECT_EQ(-EINVAL, server_notify(S, codes[i], nothing,
						 sizeof(nothing), NULL, 0));
	EXPECT_EQ(0, stat_of(C, S, ""));
}

/* One of each, well formed */
static int notify_one(struct server *s, int code, uint64_t nodeid)
{
	struct fuse_notify_poll_wakeup_out wakeup = { .kh = 1 };
	struct fuse_notify_inval_entry_out entry = {
		.parent = nodeid,
		.namelen = 4,
	};
	struct fuse_notify_delete_out delete = {
		.parent = nodeid,
		.child = FILE_INO,
		.namelen = 4,
	};
	struct fuse_notify_prune_out prune = { .count = 1 };

	switch (code) {
	case FUSE_NOTIFY_POLL:
		return server_notify(s, code, &wakeup, sizeof(wakeup), NULL, 0);
	case FUSE_NOTIFY_INVAL_INODE:
		return inval(s, nodeid, 0, 0);
	case FUSE_NOTIFY_INVAL_ENTRY:
		return server_notify(s, code, &entry, sizeof(entry), "file", 5);
	case FUSE_NOTIFY_STORE:
		return store(s, nodeid, 0, page_of_a, 1);
	case FUSE_NOTIFY_RETRIEVE:
		return retrieve(s, nodeid, 0, 1, 2);
	case FUSE_NOTIFY_DELETE:
		return server_notify(s, code, &delete, sizeof(delete), "file", 5);
	case FUSE_NOTIFY_RESEND:
	case FUSE_NOTIFY_INC_EPOCH:
		return server_notify(s, code, NULL, 0, NULL, 0);
	case FUSE_NOTIFY_PRUNE:
		return server_notify(s, code, &prune, sizeof(prune), &nodeid,
				     sizeof(nodeid));
	}
	fail("no such code");
}

/* Those that name no inode, or may name one that has gone, are fine with it */
FUSE_TEST(notify, unknown_nodeid)
{
	int code;

	for (code = FUSE_NOTIFY_POLL; code <= FUSE_NOTIFY_PRUNE; code++) {
		bool fine = code == FUSE_NOTIFY_POLL ||
			    code >= FUSE_NOTIFY_RESEND;

		EXPECT_EQ(fine ? 0 : -ENOENT, notify_one(S, code, UNKNOWN)) {
			TH_LOG("code %d", code);
		}
	}
}

FUSE_TEST(notify, after_abort)
{
	int code;

	EXPECT_EQ(0, stat_of(C, S, ""));
	server_abort(S);
	for (code = FUSE_NOTIFY_POLL; code <= FUSE_NOTIFY_PRUNE; code++) {
		EXPECT_EQ(-EINVAL, notify_one(S, code, FUSE_ROOT_ID)) {
			TH_LOG("code %d", code);
		}
	}
}

FUSE_OP_FIXTURE_DEVICE(notify_early, SERVER_FUSE, .manual_init = true);

FUSE_TEST(notify_early, before_init)
{
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
	};
	struct request *r = take(S, FUSE_INIT);
	int code;

	for (code = FUSE_NOTIFY_POLL; code <= FUSE_NOTIFY_PRUNE; code++) {
		EXPECT_EQ(-EINVAL, notify_one(S, code, FUSE_ROOT_ID)) {
			TH_LOG("code %d", code);
		}
	}
	EXPECT_EQ(0, reply(S, r, &out, sizeof(out)));
}

/* POLL: whoever sleeps in poll(2) looks again */
FUSE_TEST(notify, poll)
{
	struct fuse_notify_poll_wakeup_out wakeup = {};
	struct fuse_poll_out out = {};
	struct request *r;
	int fd;

	fd = client_open(C, S, O_RDWR);
	call_start(C, CLIENT_POLL, fd, POLLIN, -1);
	r = take(S, FUSE_POLL);
	EXPECT_EQ(FUSE_POLL_SCHEDULE_NOTIFY,
		  r->poll.flags & FUSE_POLL_SCHEDULE_NOTIFY);
	wakeup.kh = r->poll.kh;
	EXPECT_EQ(0, reply(S, r, &out, sizeof(out)));
	client_sleeps(C);
	wrong_sizes(_metadata, S, FUSE_NOTIFY_POLL, &wakeup, sizeof(wakeup));
	quiet(S);
	EXPECT_EQ(0, server_notify(S, FUSE_NOTIFY_POLL, &wakeup, sizeof(wakeup),
				   NULL, 0));
	r = take(S, FUSE_POLL);
	EXPECT_EQ(wakeup.kh, r->poll.kh);
	out.revents = POLLIN;
	EXPECT_EQ(0, reply(S, r, &out, sizeof(out)));
	EXPECT_EQ(POLLIN, call_end(C));
}

/* INVAL_INODE: attributes always, pages of the range */
FUSE_TEST(notify, inval_inode)
{
	struct fuse_notify_inval_inode_out out = { .ino = FILE_INO };
	unsigned int before;
	int fd;

	S->io = true;
	fd = client_open(C, S, O_RDONLY);
	EXPECT_EQ(1, sys(C, SYS_pread64, fd, ARG(0), 1, 0));
	wrong_sizes(_metadata, S, FUSE_NOTIFY_INVAL_INODE, &out, sizeof(out));
	before = S->requests;
	EXPECT_EQ(1, sys(C, SYS_pread64, fd, ARG(0), 1, 0));
	EXPECT_EQ(before, S->requests);

	/* attributes only */
	EXPECT_EQ(0, inval(S, FILE_INO, -1, 0));
	EXPECT_EQ(1, sys(C, SYS_pread64, fd, ARG(0), 1, 0));
	EXPECT_EQ(before, S->requests);
	EXPECT_EQ(0, sys(C, SYS_newfstatat, fd, str(C, ""), ARG(0), AT_EMPTY_PATH));
	EXPECT_EQ(FUSE_GETATTR, S->log[(S->requests - 1) % 64]);
	before = S->requests;
	/* another page */
	EXPECT_EQ(0, inval(S, FILE_INO, getpagesize(), getpagesize()));
	EXPECT_EQ(1, sys(C, SYS_pread64, fd, ARG(0), 1, 0));
	EXPECT_EQ(before, S->requests);
	EXPECT_EQ(0, inval(S, FILE_INO, 0, 1));
	EXPECT_EQ(1, sys(C, SYS_pread64, fd, ARG(0), 1, 0));
	EXPECT_EQ(FUSE_READ, S->log[(S->requests - 1) % 64]);
	EXPECT_EQ(0, inval(S, FILE_INO, 0, 0));
	EXPECT_EQ(1, sys(C, SYS_pread64, fd, ARG(0), 1, 0));
	EXPECT_EQ(FUSE_READ, S->log[(S->requests - 1) % 64]);
}

FUSE_TEST(notify, inval_entry)
{
	struct fuse_notify_inval_entry_out out = {
		.parent = FUSE_ROOT_ID,
		.namelen = 4,
	};
	char *name = calloc(1, 5000);

	know(C, S, "name", DIR_INO, S_IFDIR | 0755);
	EXPECT_FALSE(asks(C, S, "name"));
	wrong_sizes(_metadata, S, FUSE_NOTIFY_INVAL_ENTRY, &out, sizeof(out));
	/* the name is not as long as is said, and has no end */
	EXPECT_EQ(-EINVAL, server_notify(S, FUSE_NOTIFY_INVAL_ENTRY, &out,
					 sizeof(out), "names", 6));
	EXPECT_EQ(-EINVAL, server_notify(S, FUSE_NOTIFY_INVAL_ENTRY, &out,
					 sizeof(out), "name", 4));
	EXPECT_EQ(-ENOENT, server_notify(S, FUSE_NOTIFY_INVAL_ENTRY, &out,
					 sizeof(out), "nome", 5));
	out.namelen = 4999;
	EXPECT_EQ(-ENAMETOOLONG, server_notify(S, FUSE_NOTIFY_INVAL_ENTRY, &out,
					       sizeof(out), name, 5000));
	free(name);
	EXPECT_FALSE(asks(C, S, "name"));

	out.namelen = 4;
	EXPECT_EQ(0, server_notify(S, FUSE_NOTIFY_INVAL_ENTRY, &out,
				   sizeof(out), "name", 5));
	EXPECT_TRUE(asks(C, S, "name"));
	know(C, S, "name", DIR_INO, S_IFDIR | 0755);
	out.flags = FUSE_EXPIRE_ONLY;
	EXPECT_EQ(0, server_notify(S, FUSE_NOTIFY_INVAL_ENTRY, &out,
				   sizeof(out), "name", 5));
	EXPECT_TRUE(asks(C, S, "name"));
}

/* which has no entries */
FUSE_TEST(notify, parent_is_a_file)
{
	struct fuse_notify_inval_entry_out out = {
		.parent = FILE_INO,
		.namelen = 4,
	};

	EXPECT_EQ(0, stat_of(C, S, "file"));
	EXPECT_EQ(-ENOTDIR, server_notify(S, FUSE_NOTIFY_INVAL_ENTRY, &out,
					  sizeof(out), "name", 5));
}

/* DELETE: as INVAL_ENTRY, and the inode is gone for those who have it */
FUSE_TEST(notify, delete)
{
	struct fuse_notify_delete_out out = {
		.parent = FUSE_ROOT_ID,
		.child = DIR_INO,
		.namelen = 4,
	};
	char *name = calloc(1, 5000);
	struct stat *st;
	int fd;

	know(C, S, "name", DIR_INO, S_IFDIR | 0755);
	fd = sys(C, SYS_openat, AT_FDCWD, path(C, S, "name"), O_PATH);
	ASSERT_LE(0, fd);
	wrong_sizes(_metadata, S, FUSE_NOTIFY_DELETE, &out, sizeof(out));
	EXPECT_EQ(-EINVAL, server_notify(S, FUSE_NOTIFY_DELETE, &out,
					 sizeof(out), "names", 6));
	EXPECT_EQ(-ENOENT, server_notify(S, FUSE_NOTIFY_DELETE, &out,
					 sizeof(out), "nome", 5));
	out.namelen = 4999;
	EXPECT_EQ(-ENAMETOOLONG, server_notify(S, FUSE_NOTIFY_DELETE, &out,
					       sizeof(out), name, 5000));
	free(name);
	out.namelen = 4;
	out.child = UNKNOWN;
	EXPECT_EQ(-ENOENT, server_notify(S, FUSE_NOTIFY_DELETE, &out,
					 sizeof(out), "name", 5));
	know(C, S, "name", DIR_INO, S_IFDIR | 0755);
	out.child = DIR_INO;
	EXPECT_EQ(0, server_notify(S, FUSE_NOTIFY_DELETE, &out, sizeof(out),
				   "name", 5));
	EXPECT_TRUE(asks(C, S, "name"));
	EXPECT_EQ(0, sys(C, SYS_newfstatat, fd, str(C, ""), ARG(0), AT_EMPTY_PATH));
	st = out(C, ARG(0));
	EXPECT_EQ(0, st->st_nlink);
}

FUSE_TEST(notify, delete_mountpoint)
{
	struct fuse_notify_delete_out out = {
		.parent = FUSE_ROOT_ID,
		.child = DIR_INO,
		.namelen = 4,
	};

	know(C, S, "name", DIR_INO, S_IFDIR | 0755);
	ASSERT_EQ(0, sys(C, SYS_mount, str(C, "none"), path(C, S, "name"),
			 str(C, "tmpfs"), 0, 0));
	/* invalidating it takes what is mounted there away */
	EXPECT_EQ(0, server_notify(S, FUSE_NOTIFY_DELETE, &out, sizeof(out),
				   "name", 5));
	EXPECT_TRUE(asks(C, S, "name"));
}

FUSE_TEST(notify, delete_of_what_is_not_empty)
{
	struct fuse_notify_delete_out out = {
		.parent = FUSE_ROOT_ID,
		.child = DIR_INO,
		.namelen = 4,
	};
	struct fuse_entry_out inner = {
		.nodeid = DIR_INO + 1,
		.entry_valid = 3600,
		.attr_valid = 3600,
		.attr = { .ino = DIR_INO + 1, .mode = S_IFDIR | 0755,
			  .nlink = 2 },
	};

	know(C, S, "name", DIR_INO, S_IFDIR | 0755);
	sys_start(C, SYS_openat, AT_FDCWD, path(C, S, "name/inner"), O_PATH);
	EXPECT_EQ(0, reply(S, take(S, FUSE_LOOKUP), &inner, sizeof(inner)));
	EXPECT_LE(0, call_end(C));
	EXPECT_EQ(-ENOTEMPTY, server_notify(S, FUSE_NOTIFY_DELETE, &out,
					    sizeof(out), "name", 5));
}

/* STORE: read(2) finds it; and RETRIEVE what was read */
FUSE_TEST(notify, store)
{
	struct fuse_notify_store_out out = { .nodeid = FILE_INO };
	size_t page = getpagesize(), i;
	char *data;
	int fd;

	fd = client_open(C, S, O_RDWR);
	wrong_sizes(_metadata, S, FUSE_NOTIFY_STORE, &out, sizeof(out));
	/* not as many bytes as is said */
	out.size = 3;
	EXPECT_EQ(-EINVAL, server_notify(S, FUSE_NOTIFY_STORE, &out,
					 sizeof(out), "ab", 2));
	EXPECT_EQ(-EINVAL, store(S, FILE_INO, 1ULL << 63, "a", 1));
	EXPECT_EQ(-EINVAL, store(S, FUSE_ROOT_ID, 0, "a", 1));
	EXPECT_EQ(0, store(S, FILE_INO, 0, "", 0));

	data = malloc(2 * page);
	for (i = 0; i < 2 * page; i++)
		data[i] = i * 3 + i / 256;
	EXPECT_EQ(0, store(S, FILE_INO, 0, data, 2 * page));
	/* into a page that is there */
	memset(data + page - 2, 'x', 4);
	EXPECT_EQ(0, store(S, FILE_INO, page - 2, "xxxx", 4));
	EXPECT_EQ(2 * page, sys(C, SYS_pread64, fd, ARG(0), 2 * page, 0));
	EXPECT_EQ(0, memcmp(data, out(C, ARG(0)), 2 * page));
	quiet(S);

	/* past the end: the file grows */
	EXPECT_EQ(0, store(S, FILE_INO, FILE_PAGES * page, "end", 3));
	EXPECT_EQ(3, sys(C, SYS_pread64, fd, ARG(0), 3, FILE_PAGES * page));
	EXPECT_EQ(0, memcmp("end", out(C, ARG(0)), 3));
	quiet(S);
	free(data);
}

/* A part of a page that is not there is not enough */
FUSE_TEST(notify, store_of_a_part)
{
	struct request *r;
	char *data;
	int fd;

	fd = client_open(C, S, O_RDWR);
	EXPECT_EQ(0, store(S, FILE_INO, 10, "part", 4));
	sys_start(C, SYS_pread64, fd, ARG(0), 4, 10);
	r = take(S, FUSE_READ);
	data = calloc(1, r->read.size);
	memcpy(data + 10, "read", 4);
	EXPECT_EQ(0, reply(S, r, data, r->read.size));
	EXPECT_EQ(4, call_end(C));
	EXPECT_EQ(0, memcmp("read", out(C, ARG(0)), 4));
	free(data);
}

/* Take what was retrieved; over io_uring it has an entry to be given back */
static struct request *retrieved(struct server *s)
{
	struct request *r = server_take(s, FUSE_NOTIFY_REPLY);

	if (r->from && reply(s, r, NULL, 0))
		fail("reply to FUSE_NOTIFY_REPLY");
	return r;
}

FUSE_TEST(notify, retrieve)
{
	struct fuse_notify_retrieve_out out = { .nodeid = FILE_INO, .size = 1 };
	size_t page = getpagesize();
	struct request *r;
	int fd;

	fd = client_open(C, S, O_RDWR);
	ASSERT_LE(0, fd);
	wrong_sizes(_metadata, S, FUSE_NOTIFY_RETRIEVE, &out, sizeof(out));
	EXPECT_EQ(-EINVAL, retrieve(S, FILE_INO, 1ULL << 63, 1, 2));
	EXPECT_EQ(-EINVAL, retrieve(S, FUSE_ROOT_ID, 0, 1, 2));

	EXPECT_EQ(0, store(S, FILE_INO, 0, page_of_a, sizeof(page_of_a)));
	EXPECT_EQ(0, store(S, FILE_INO, page, "second", 6));
	EXPECT_EQ(0, retrieve(S, FILE_INO, 4, 8, 0x1234568));
	r = retrieved(S);
	EXPECT_EQ(0x1234568, r->h.unique);
	EXPECT_EQ(FILE_INO, r->h.nodeid);
	EXPECT_EQ(sizeof(r->retrieve) + 8, BODY_LEN(r));
	EXPECT_EQ(4, r->retrieve.offset);
	EXPECT_EQ(8, r->retrieve.size);
	EXPECT_EQ(0, memcmp("aaaaaaaa", AFTER(r, struct fuse_notify_retrieve_in), 8));
	free(r);

	/* up to a page that is not there, or the end of the file */
	EXPECT_EQ(0, retrieve(S, FILE_INO, page - 2, 4 * page, 2));
	r = retrieved(S);
	EXPECT_EQ(2, r->retrieve.size);
	free(r);
	EXPECT_EQ(0, retrieve(S, FILE_INO, FILE_PAGES * page - 1, 10, 4));
	r = retrieved(S);
	EXPECT_EQ(0, r->retrieve.size);
	free(r);
	EXPECT_EQ(0, retrieve(S, FILE_INO, FILE_PAGES * page + 1, 10, 6));
	r = retrieved(S);
	EXPECT_EQ(0, r->retrieve.size);
	EXPECT_EQ(sizeof(r->retrieve), BODY_LEN(r));
	free(r);
}

/* RESEND: what the server has and did not answer comes again, marked so */
FUSE_TEST(notify, resend)
{
	struct fuse_attr_out out = {
		.attr = { .ino = FUSE_ROOT_ID, .mode = S_IFDIR | 0755 },
	};
	bool ring = variant->transport == &uring_transport;
	struct request *first, *again;
	uint64_t unique;

	S->manual = 1ULL << FUSE_GETATTR;
	sys_start(C, SYS_newfstatat, AT_FDCWD, path(C, S, ""), ARG(0), 0);
	first = take(S, FUSE_GETATTR);
	unique = first->h.unique;
	EXPECT_EQ(0, server_notify(S, FUSE_NOTIFY_RESEND, NULL, 0, NULL, 0));
	if (ring) {
		/* what is with the ring's entries stays there */
		quiet(S);
		EXPECT_EQ(0, reply(S, first, &out, sizeof(out)));
		EXPECT_EQ(0, call_end(C));
		return;
	}
	again = take(S, FUSE_GETATTR);
	EXPECT_EQ(unique | FUSE_UNIQUE_RESEND, again->h.unique);
	EXPECT_EQ(BODY_LEN(first), BODY_LEN(again));
	EXPECT_EQ(0, memcmp(first->body, again->body, BODY_LEN(first)));
	/* the old one is nobody's now */
	EXPECT_EQ(-ENOENT, reply(S, first, &out, sizeof(out)));
	EXPECT_EQ(0, reply(S, again, &out, sizeof(out)));
	EXPECT_EQ(0, call_end(C));
}

FUSE_TEST(notify, resend_of_what_was_interrupted)
{
	struct fuse_attr_out out = {
		.attr = { .ino = FUSE_ROOT_ID, .mode = S_IFDIR | 0755 },
	};
	struct request *r;

	if (variant->transport == &uring_transport)
		SKIP(return, "RESEND leaves the requests of a ring alone");
	call(C, CLIENT_SIGACTION, SIGUSR1, 0);
	S->manual = 1ULL << FUSE_GETATTR;
	sys_start(C, SYS_newfstatat, AT_FDCWD, path(C, S, ""), ARG(0), 0);
	free(take(S, FUSE_GETATTR));
	client_kill(C, SIGUSR1);
	server_wait_pending(S);
	EXPECT_EQ(0, server_notify(S, FUSE_NOTIFY_RESEND, NULL, 0, NULL, 0));
	r = take(S, FUSE_GETATTR);
	EXPECT_NE(0, r->h.unique & FUSE_UNIQUE_RESEND);
	/* and its interrupt follows it */
	free(take(S, FUSE_INTERRUPT));
	EXPECT_EQ(0, reply(S, r, &out, sizeof(out)));
	EXPECT_EQ(0, call_end(C));
}

/* INC_EPOCH: all names are to be asked for again */
FUSE_TEST(notify, inc_epoch)
{
	know(C, S, "name", DIR_INO, S_IFDIR | 0755);
	EXPECT_FALSE(asks(C, S, "name"));
	EXPECT_EQ(0, server_notify(S, FUSE_NOTIFY_INC_EPOCH, NULL, 0, NULL, 0));
	EXPECT_TRUE(asks(C, S, "name"));
}

/* And what nobody uses is dropped, by a worker, if it is switched on */
FUSE_TEST(notify, epoch_worker)
{
	const char *knob = fuse_knob("inval_wq");

	if (set_sysctl(knob, 5))
		SKIP(return, "kernel without %s", knob);
	know(C, S, "name", DIR_INO, S_IFDIR | 0755);
	EXPECT_EQ(0, S->forgets);
	EXPECT_EQ(0, server_notify(S, FUSE_NOTIFY_INC_EPOCH, NULL, 0, NULL, 0));
	EXPECT_TRUE(eventually(S->forgets == 1));
	EXPECT_EQ(-EINVAL, write_text(knob, "4"));
}

/* PRUNE: inodes that nobody uses go, with one FUSE_FORGET each */
FUSE_TEST(notify, prune)
{
	struct fuse_notify_prune_out out = { .count = 2 };
	uint64_t nodeids[2] = { UNKNOWN, DIR_INO };

	know(C, S, "name", DIR_INO, S_IFDIR | 0755);
	EXPECT_EQ(-EINVAL, server_notify(S, FUSE_NOTIFY_PRUNE, &out, 7, NULL, 0));
	EXPECT_EQ(-EINVAL, server_notify(S, FUSE_NOTIFY_PRUNE, &out,
					 sizeof(out), nodeids, 8));
	EXPECT_EQ(-EINVAL, server_notify(S, FUSE_NOTIFY_PRUNE, &out,
					 sizeof(out), NULL, 0));
	out.count = 0x20000001;
	EXPECT_EQ(-EINVAL, server_notify(S, FUSE_NOTIFY_PRUNE, &out,
					 sizeof(out), nodeids, 8));
	EXPECT_FALSE(asks(C, S, "name"));

	out.count = 2;
	S->manual = 1ULL << FUSE_FORGET;
	EXPECT_EQ(0, server_notify(S, FUSE_NOTIFY_PRUNE, &out, sizeof(out),
				   nodeids, sizeof(nodeids)));
	EXPECT_EQ(DIR_INO, take(S, FUSE_FORGET)->h.nodeid);
	EXPECT_TRUE(asks(C, S, "name"));
	out.count = 0;
	EXPECT_EQ(0, server_notify(S, FUSE_NOTIFY_PRUNE, &out, sizeof(out),
				   NULL, 0));
}

/* More than the kernel takes at a time */
FUSE_TEST(notify, prune_many)
{
	struct fuse_notify_prune_out out = { .count = 513 };
	uint64_t *nodeids = calloc(out.count, sizeof(*nodeids));

	know(C, S, "name", DIR_INO, S_IFDIR | 0755);
	nodeids[512] = DIR_INO;
	S->manual = 1ULL << FUSE_FORGET;
	EXPECT_EQ(0, server_notify(S, FUSE_NOTIFY_PRUNE, &out, sizeof(out),
				   nodeids, out.count * sizeof(*nodeids)));
	EXPECT_EQ(DIR_INO, take(S, FUSE_FORGET)->h.nodeid);
	free(nodeids);
}

TEST_HARNESS_MAIN
