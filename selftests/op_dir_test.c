// SPDX-License-Identifier: GPL-2.0
/*
 * Reading directories: OPENDIR, READDIR, READDIRPLUS, RELEASEDIR, FSYNCDIR, and
 * the cache of what was read
 */
#define _GNU_SOURCE
#include "../../kselftest_harness.h"
#include <dirent.h>
#include <linux/stat.h>
#include <stddef.h>
#include <sys/stat.h>

#include "fuse_fixture.h"
#include "fuse_ops.h"

#define DIR_INO		3
#define DIR_FH		0x1020304050607080

static const struct server_node nodes[] = {
	{ FUSE_ROOT_ID, "dir", DIR_INO, S_IFDIR | 0755 },
	{ }
};

/* What getdents64(2) returns */
struct entry {
	uint64_t ino;
	int64_t off;
	unsigned short len;
	unsigned char type;
	char name[];
};

static const struct fuse_open_out open_out = { .fh = DIR_FH };

static int fd = -1;

static void start_opendir(struct client *c, struct server *s)
{
	sys_start(c, SYS_openat, AT_FDCWD, path(c, s, "dir"),
		  O_DIRECTORY | O_NONBLOCK);
}

static void check_opendir(const struct request *r)
{
	const struct fuse_open_in *in = BODY(r, struct fuse_open_in);

	check_len(r, sizeof(*in));
	CHECK(O_DIRECTORY | O_NONBLOCK, in->flags & (O_DIRECTORY | O_NONBLOCK |
						     O_ACCMODE));
	CHECK(0, in->open_flags);
}

static void start_readdir(struct client *c, struct server *s)
{
	uint32_t fail_nth = c->fail_nth;

	(void)s;
	c->fail_nth = 0;
	CHECK(0, sys(c, SYS_lseek, fd, 0, SEEK_SET));
	c->fail_nth = fail_nth;
	sys_start(c, SYS_getdents64, fd, ARG(0), 4096);
}

static void check_readdir(const struct request *r)
{
	const struct fuse_read_in *in = BODY(r, struct fuse_read_in);

	check_len(r, sizeof(*in));
	CHECK(DIR_FH, in->fh);
	CHECK(0, in->offset);
	CHECK(getpagesize(), in->size);
	CHECK(0, in->read_flags);
	CHECK(0, in->lock_owner);
	CHECK(O_DIRECTORY, in->flags & (O_DIRECTORY | O_ACCMODE));
	CHECK(0, in->padding);
}

static void start_fsyncdir(struct client *c, struct server *s)
{
	(void)s;
	sys_start(c, SYS_fsync, fd);
}

static void start_fdatasyncdir(struct client *c, struct server *s)
{
	(void)s;
	sys_start(c, SYS_fdatasync, fd);
}

static void check_sync(const struct request *r, uint32_t flags)
{
	const struct fuse_fsync_in *in = BODY(r, struct fuse_fsync_in);

	check_len(r, sizeof(*in));
	CHECK(DIR_FH, in->fh);
	CHECK(flags, in->fsync_flags);
	CHECK(0, in->padding);
}

static void check_fsyncdir(const struct request *r)
{
	check_sync(r, 0);
}

static void check_fdatasyncdir(const struct request *r)
{
	check_sync(r, FUSE_FSYNC_FDATASYNC);
}

static const struct {
	struct fuse_dirent d;
	char name[8];
} one_entry = { { .ino = 5, .off = 1, .namelen = 5, .type = DT_REG }, "entry" };

static const struct {
	struct fuse_direntplus d;
	char name[8];
} one_plus = {
	{
		.entry_out = ENTRY(5, S_IFREG | 0644),
		.dirent = { .ino = 5, .off = 1, .namelen = 5, .type = DT_REG },
	},
	"entry"
};

static const struct op ops[] = {
	{
		.opcode = FUSE_OPENDIR,
		.nodeid = DIR_INO,
		.start = start_opendir,
		.check = check_opendir,
		REPLY(open_out),
		.opens = true,
		/* in a test of its own: the others need OPENDIR */
		.enosys = ENOSYS_OTHERWISE,
		ESTALE_TWICE,
	}, {
		.opcode = FUSE_READDIR,
		.nodeid = DIR_INO,
		.start = start_readdir,
		.check = check_readdir,
		REPLY(one_entry),
		.max = 4096,
		.ret = 32,
	}, {
		.name = "FUSE_FSYNCDIR by fdatasync(2)",
		.opcode = FUSE_FSYNCDIR,
		.nodeid = DIR_INO,
		.start = start_fdatasyncdir,
		.check = check_fdatasyncdir,
		.enosys = ENOSYS_OTHERWISE,
	}, {
		.opcode = FUSE_FSYNCDIR,
		.nodeid = DIR_INO,
		.start = start_fsyncdir,
		.check = check_fsyncdir,
		.enosys = ENOSYS_LATCHED,
	},
};

static const struct op plus_ops[] = {
	{
		.opcode = FUSE_READDIRPLUS,
		.nodeid = DIR_INO,
		.start = start_readdir,
		.check = check_readdir,
		REPLY(one_plus),
		.max = 4096,
		.ret = 32,
	},
};

/* A directory that the server opened with these FOPEN_* */
static int open_dir(struct client *c, struct server *s, uint32_t flags)
{
	struct fuse_open_out out = { .fh = DIR_FH, .open_flags = flags };
	struct request *r;

	sys_start(c, SYS_openat, AT_FDCWD, path(c, s, "dir"), O_DIRECTORY);
	r = take(s, FUSE_OPENDIR);
	CHECK(0, reply(s, r, &out, sizeof(out)));
	free(r);
	return call_end(c);
}

static void setup(struct client *c, struct server *s)
{
	fd = open_dir(c, s, 0);
}

FUSE_OP_FIXTURE(dir, .nodes = nodes);
VIRTIOFS_VARIANT(dir);

OP_TESTS(dir, ops, setup)

FUSE_DEV_FIXTURE(dir_faults, .nodes = nodes);

OP_FAULTS_TEST(dir_faults, ops, setup)

/* Nobody waits for RELEASEDIR */
FUSE_TEST(dir, releasedir)
{
	const struct fuse_release_in *in;
	struct request *r;
	int i;

	if (S->transport == &virtiofs_transport)
		SKIP(return, "virtiofs waits");
	S->manual = 1ULL << FUSE_RELEASEDIR;
	for (i = 0; i < 2; i++) {
		fd = open_dir(C, S, 0);
		ASSERT_EQ(0, call(C, CLIENT_CLOSE, fd));
		r = take(S, FUSE_RELEASEDIR);
		in = BODY(r, struct fuse_release_in);
		check_len(r, sizeof(*in));
		ASSERT_EQ(DIR_INO, r->h.nodeid);
		ASSERT_EQ(DIR_FH, in->fh);
		ASSERT_EQ(O_DIRECTORY, in->flags & (O_DIRECTORY | O_ACCMODE));
		ASSERT_EQ(0, in->release_flags);
		ASSERT_EQ(0, in->lock_owner);
		ASSERT_EQ(0, server_reply(S, r, i ? -EIO : 0, NULL, 0));
	}
}

FUSE_OP_FIXTURE(dirplus, .nodes = nodes, .init_flags = FUSE_DO_READDIRPLUS);
VIRTIOFS_VARIANT(dirplus);

OP_TESTS(dirplus, plus_ops, setup)

FUSE_DEV_FIXTURE(dirplus_faults, .nodes = nodes,
		 .init_flags = FUSE_DO_READDIRPLUS);

OP_FAULTS_TEST(dirplus_faults, plus_ops, setup)

FUSE_DEV_FIXTURE(readdir, .nodes = nodes);
VIRTIOFS_VARIANT(readdir);

/* No OPENDIR: no RELEASEDIR either, and what is read is cached */
FUSE_TEST(readdir, opendir_enosys)
{
	struct request *r;
	int i;

	start_opendir(C, S);
	reply_error(S, take(S, FUSE_OPENDIR), -ENOSYS);
	fd = call_end(C);
	ASSERT_LE(0, fd);
	S->manual = 1ULL << FUSE_OPENDIR | 1ULL << FUSE_RELEASEDIR;
	for (i = 0; i < 2; i++) {
		sys_start(C, SYS_getdents64, fd, ARG(0), 4096);
		if (!i) {
			r = take(S, FUSE_READDIR);
			ASSERT_EQ(0, BODY(r, struct fuse_read_in)->fh);
			ASSERT_EQ(0, reply(S, r, &one_entry, sizeof(one_entry)));
			ASSERT_EQ(32, call_end(C));
			sys_start(C, SYS_getdents64, fd, ARG(0), 4096);
			ASSERT_EQ(0, reply(S, take(S, FUSE_READDIR), NULL, 0));
			ASSERT_EQ(0, call_end(C));
		} else {
			ASSERT_EQ(32, call_end(C));
		}
		ASSERT_EQ(0, call(C, CLIENT_CLOSE, fd));
		start_opendir(C, S);
		fd = call_end(C);
		ASSERT_LE(0, fd);
	}
	quiet(S);
}

/* Replies of any number of entries */
struct listing {
	size_t len;
	char data[4096];
};

static struct fuse_dirent *add(struct listing *l, const char *name, uint64_t ino,
			       uint64_t off)
{
	struct fuse_dirent *d = (void *)(l->data + l->len);

	d->ino = ino;
	d->off = off;
	d->namelen = strlen(name);
	d->type = DT_REG;
	memcpy(d->name, name, d->namelen);
	l->len += FUSE_DIRENT_SIZE(d);
	return d;
}

static struct fuse_direntplus *add_plus(struct listing *l, const char *name,
					uint64_t nodeid, uint64_t off)
{
	struct fuse_direntplus *p = (void *)(l->data + l->len);

	p->entry_out = (struct fuse_entry_out){
		.nodeid = nodeid,
		.entry_valid = 3600,
		.attr_valid = 3600,
		.attr = { .ino = nodeid, .mode = S_IFREG | 0644, .nlink = 1 },
	};
	l->len += FUSE_NAME_OFFSET_DIRENTPLUS - FUSE_NAME_OFFSET;
	add(l, name, nodeid, off);
	return p;
}

static void start_getdents(struct client *c)
{
	sys_start(c, SYS_getdents64, fd, ARG(0), 4096);
}

static int64_t list(struct client *c, struct server *s, uint32_t opcode,
		    uint64_t offset, const struct listing *l)
{
	struct request *r;

	start_getdents(c);
	r = take(s, opcode);
	CHECK(offset, BODY(r, struct fuse_read_in)->offset);
	CHECK(0, reply(s, r, l->data, l->len));
	free(r);
	return call_end(c);
}

/* The names in what getdents64(2) returned, one after the other */
static const char *names(struct client *c, int64_t len)
{
	static char text[4096];
	int64_t at = 0;

	text[0] = 0;
	while (at < len) {
		struct entry *e = out(c, ARG(at));

		strcat(strcat(text, e->name), " ");
		at += e->len;
	}
	return text;
}

/* What is in an entry reaches the caller; reading goes on where it says */
FUSE_TEST(readdir, entries)
{
	struct listing l = { 0 }, none = { 0 };
	struct entry *e;
	int64_t len;

	fd = open_dir(C, S, 0);
	add(&l, "one", 0x123456789a, 1000)->type = DT_LNK;
	add(&l, "second", 6, 0x7000000000000001)->type = DT_DIR;
	/* too short to hold what it says: not used, not wrong */
	add(&l, "incomplete", 7, 3);
	l.len -= 8;
	len = list(C, S, FUSE_READDIR, 0, &l);
	ASSERT_STREQ("one second ", names(C, len));
	e = out(C, ARG(0));
	ASSERT_EQ(0x123456789a, e->ino);
	ASSERT_EQ(1000, e->off);
	ASSERT_EQ(DT_LNK, e->type);
	e = out(C, ARG(e->len));
	ASSERT_EQ(0x7000000000000001, e->off);
	ASSERT_EQ(DT_DIR, e->type);
	ASSERT_EQ(0, list(C, S, FUSE_READDIR, 0x7000000000000001, &none));

	/* where a seek says, too */
	ASSERT_EQ(1000, sys(C, SYS_lseek, fd, 1000, SEEK_SET));
	memset(&l, 0, sizeof(l));
	add(&l, "again", 6, 7);
	ASSERT_STREQ("again ", names(C, list(C, S, FUSE_READDIR, 1000, &l)));
}

/* Names that are none: EIO, and the next call is served */
FUSE_TEST(readdir, bad_entries)
{
	struct listing bad[3] = { 0 }, good = { 0 };
	int i;

	fd = open_dir(C, S, 0);
	add(&bad[0], "name", 5, 1)->namelen = 0;
	add(&bad[1], "name", 5, 1)->namelen = 4096;
	add(&bad[2], "a/b", 5, 1);
	for (i = 0; i < 3; i++)
		ASSERT_EQ(-EIO, list(C, S, FUSE_READDIR, 0, &bad[i]));
	add(&good, "name", 5, 1);
	ASSERT_STREQ("name ", names(C, list(C, S, FUSE_READDIR, 0, &good)));
}

/* A buffer of the caller that holds less than the reply: the rest comes again */
FUSE_TEST(readdir, small_buffer)
{
	struct listing l = { 0 };

	fd = open_dir(C, S, 0);
	add(&l, "one", 5, 1);
	add(&l, "two", 6, 2);
	sys_start(C, SYS_getdents64, fd, ARG(0), 40);
	ASSERT_EQ(0, reply(S, take(S, FUSE_READDIR), l.data, l.len));
	ASSERT_STREQ("one ", names(C, call_end(C)));
	l.len = 0;
	add(&l, "two", 6, 2);
	ASSERT_STREQ("two ", names(C, list(C, S, FUSE_READDIR, 1, &l)));
}

FUSE_TEST(readdir, flags_of_open)
{
	fd = open_dir(C, S, FOPEN_NONSEEKABLE);
	ASSERT_EQ(-ESPIPE, sys(C, SYS_lseek, fd, 0, SEEK_SET));
	fd = open_dir(C, S, FOPEN_DIRECT_IO | FOPEN_KEEP_CACHE);
	ASSERT_EQ(0, sys(C, SYS_lseek, fd, 0, SEEK_SET));
	ASSERT_EQ(-EISDIR, sys(C, SYS_read, fd, ARG(0), 1));
}

/* A directory that has become another */
FUSE_TEST(readdir, bad_inode)
{
	struct fuse_attr_out file = { .attr.mode = S_IFREG | 0755 };

	fd = open_dir(C, S, 0);
	sys_start(C, SYS_statx, fd, str(C, ""),
		  AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_SIZE, ARG(0));
	ASSERT_EQ(0, reply(S, take(S, FUSE_GETATTR), &file, sizeof(file)));
	ASSERT_EQ(-EIO, call_end(C));
	ASSERT_EQ(-EIO, sys(C, SYS_getdents64, fd, ARG(0), 4096));
	ASSERT_EQ(-EIO, sys(C, SYS_fsync, fd));
	ASSERT_EQ(-EIO, sys(C, SYS_openat, fd, str(C, "."), O_DIRECTORY));
	ASSERT_EQ(-EIO, sys(C, SYS_openat, fd, str(C, "new"), O_CREAT | O_RDWR));
	ASSERT_EQ(-EIO, sys(C, SYS_mkdirat, fd, str(C, "new"), 0700));
	ASSERT_EQ(-EIO, sys(C, SYS_faccessat, fd, str(C, "."), R_OK));
	ASSERT_EQ(-EIO, sys(C, SYS_fchmod, fd, 0700));
}

/* READDIRPLUS */

FUSE_DEV_FIXTURE(plus, .nodes = nodes, .init_flags = FUSE_DO_READDIRPLUS);

static int64_t stat_in_dir(struct client *c, struct server *s, const char *name)
{
	char full[64];

	snprintf(full, sizeof(full), "dir/%s", name);
	return sys(c, SYS_statx, AT_FDCWD, path(c, s, full), 0,
		   STATX_BASIC_STATS, ARG(0));
}

/* Entries come with what LOOKUP would have said */
FUSE_TEST(plus, links)
{
	struct listing l = { 0 };

	fd = open_dir(C, S, 0);
	add_plus(&l, ".", 0, 1);
	add_plus(&l, "..", 99, 2);
	add_plus(&l, ".hidden", 5, 3)->entry_out.attr.size = 4711;
	add_plus(&l, "none", 0, 4);
	ASSERT_STREQ(". .. .hidden none ",
		     names(C, list(C, S, FUSE_READDIRPLUS, 0, &l)));
	S->manual = 1ULL << FUSE_LOOKUP | 1ULL << FUSE_GETATTR;
	ASSERT_EQ(0, stat_in_dir(C, S, ".hidden"));
	ASSERT_EQ(5, ((struct statx *)out(C, ARG(0)))->stx_ino);
	ASSERT_EQ(4711, ((struct statx *)out(C, ARG(0)))->stx_size);
	quiet(S);
	S->manual = 0;
	ASSERT_EQ(-ENOENT, stat_in_dir(C, S, "none"));

	/* anew, for a name that is known */
	l.len = 0;
	memset(l.data, 0, sizeof(l.data));
	add_plus(&l, ".hidden", 5, 5)->entry_out.attr.size = 4712;
	list(C, S, FUSE_READDIRPLUS, 4, &l);
	ASSERT_EQ(0, stat_in_dir(C, S, ".hidden"));
	ASSERT_EQ(4712, ((struct statx *)out(C, ARG(0)))->stx_size);
	/* which is another file now */
	l.len = 0;
	add_plus(&l, ".hidden", 6, 6);
	list(C, S, FUSE_READDIRPLUS, 5, &l);
	ASSERT_EQ(0, stat_in_dir(C, S, ".hidden"));
	ASSERT_EQ(6, ((struct statx *)out(C, ARG(0)))->stx_ino);
	/* of the same number, but another generation */
	l.len = 0;
	add_plus(&l, ".hidden", 6, 7)->entry_out.generation = 1;
	quiet(S);
	S->manual = 1ULL << FUSE_FORGET | 1ULL << FUSE_BATCH_FORGET;
	list(C, S, FUSE_READDIRPLUS, 6, &l);
	take_forget(S, 6, 1);
}

/* What cannot be linked is forgotten at once; the names are there all the same */
FUSE_TEST(plus, bad_entries)
{
	struct listing l = { 0 };

	fd = open_dir(C, S, 0);
	S->manual = 1ULL << FUSE_FORGET | 1ULL << FUSE_BATCH_FORGET;
	add_plus(&l, "root", FUSE_ROOT_ID, 1);
	add_plus(&l, "odd", 5, 2)->entry_out.attr.mode = 0644;
	ASSERT_STREQ("root odd ", names(C, list(C, S, FUSE_READDIRPLUS, 0, &l)));
	take_forget(S, FUSE_ROOT_ID, 1);
	take_forget(S, 5, 1);

	S->manual = 0;
	l.len = 0;
	add_plus(&l, "name", 5, 3)->dirent.namelen = 0;
	ASSERT_EQ(-EIO, list(C, S, FUSE_READDIRPLUS, 2, &l));
	l.len = 0;
	add_plus(&l, "a/b", 5, 3);
	ASSERT_EQ(-EIO, list(C, S, FUSE_READDIRPLUS, 2, &l));
	/* too short to hold what it says */
	l.len = 0;
	add_plus(&l, "good", 0, 3);
	add_plus(&l, "incomplete", 7, 4);
	l.len -= 8;
	ASSERT_STREQ("good ", names(C, list(C, S, FUSE_READDIRPLUS, 2, &l)));
}

/* Entries that do not fit into the caller's buffer are linked, too */
FUSE_TEST(plus, small_buffer)
{
	struct listing l = { 0 };

	fd = open_dir(C, S, 0);
	add_plus(&l, "one", 5, 1);
	add_plus(&l, "two", 6, 2);
	sys_start(C, SYS_getdents64, fd, ARG(0), 40);
	ASSERT_EQ(0, reply(S, take(S, FUSE_READDIRPLUS), l.data, l.len));
	ASSERT_STREQ("one ", names(C, call_end(C)));
	S->manual = 1ULL << FUSE_LOOKUP;
	ASSERT_EQ(0, stat_in_dir(C, S, "two"));
	ASSERT_EQ(6, ((struct statx *)out(C, ARG(0)))->stx_ino);
}

/* A directory must not be its own parent */
FUSE_TEST(plus, loop)
{
	struct listing l = { 0 };

	fd = open_dir(C, S, 0);
	S->manual = 1ULL << FUSE_FORGET | 1ULL << FUSE_BATCH_FORGET;
	add_plus(&l, "self", DIR_INO, 1)->entry_out.attr.mode = S_IFDIR | 0755;
	ASSERT_STREQ("self ", names(C, list(C, S, FUSE_READDIRPLUS, 0, &l)));
	take_forget(S, DIR_INO, 1);
}

FUSE_DEV_FIXTURE(automatic, .nodes = nodes,
		 .init_flags = FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO);

/* READDIRPLUS_AUTO: at the beginning, and as long as names are looked at */
FUSE_TEST(automatic, plus)
{
	struct listing l = { 0 }, more = { 0 };

	fd = open_dir(C, S, 0);
	add_plus(&l, "one", 5, 1);
	add(&more, "two", 6, 2);
	list(C, S, FUSE_READDIRPLUS, 0, &l);
	list(C, S, FUSE_READDIR, 1, &more);
	ASSERT_EQ(0, stat_in_dir(C, S, "one"));
	l.len = 0;
	add_plus(&l, "three", 7, 3);
	list(C, S, FUSE_READDIRPLUS, 2, &l);
	more.len = 0;
	add(&more, "four", 8, 4);
	list(C, S, FUSE_READDIR, 3, &more);
	/* a look-up of what was only listed says the same */
	ASSERT_EQ(-ENOENT, stat_in_dir(C, S, "four"));
	sys_start(C, SYS_statx, AT_FDCWD, path(C, S, "dir/four"), 0, STATX_INO,
		  ARG(0));
	ASSERT_EQ(0, reply(S, take(S, FUSE_LOOKUP), &one_plus.d.entry_out,
			   sizeof(one_plus.d.entry_out)));
	ASSERT_EQ(0, call_end(C));
	l.len = 0;
	add_plus(&l, "five", 9, 5);
	list(C, S, FUSE_READDIRPLUS, 4, &l);
}

/* FOPEN_CACHE_DIR: what was read to its end is not read again */

#define CACHE	(FOPEN_CACHE_DIR | FOPEN_KEEP_CACHE)

/* Pages of names, so that the cache has several */
static void fill(struct listing *l, char first, unsigned int offset)
{
	char name[201];
	int i;

	memset(l, 0, sizeof(*l));
	memset(name, first, 200);
	name[200] = 0;
	for (i = 0; i < 15; i++)
		add(l, name, 5 + i, offset + i + 1);
}

static void read_all(struct client *c, struct server *s)
{
	struct listing l;

	fill(&l, 'a', 0);
	CHECK(15 * 224, list(c, s, FUSE_READDIR, 0, &l));
	fill(&l, 'b', 15);
	CHECK(15 * 224, list(c, s, FUSE_READDIR, 15, &l));
	l.len = 0;
	CHECK(0, list(c, s, FUSE_READDIR, 30, &l));
}

/* All of it, in calls of @size, without a request */
static void read_cached(struct client *c, struct server *s, size_t size)
{
	int64_t len, n = 0;
	struct entry *e;

	CHECK(0, sys(c, SYS_lseek, fd, 0, SEEK_SET));
	while ((len = sys(c, SYS_getdents64, fd, ARG(0), size)) > 0) {
		int64_t at = 0;

		while (at < len) {
			e = out(c, ARG(at));
			CHECK(++n, e->off);
			CHECK(n > 15 ? 'b' : 'a', e->name[199]);
			at += e->len;
		}
	}
	CHECK(0, len);
	CHECK(30, n);
	quiet(s);
}

FUSE_TEST(readdir, cached)
{
	int other;

	fd = open_dir(C, S, CACHE);
	read_all(C, S);
	read_cached(C, S, 4096);
	read_cached(C, S, 500);
	other = fd;
	fd = open_dir(C, S, CACHE);
	read_cached(C, S, 8000);
	/* in the middle: the cache finds the place */
	ASSERT_EQ(17, sys(C, SYS_lseek, other, 17, SEEK_SET));
	ASSERT_EQ(13 * 224, sys(C, SYS_getdents64, other, ARG(0), 4096));
	ASSERT_EQ(18, ((struct entry *)out(C, ARG(0)))->off);
	/* a place that it has not */
	ASSERT_EQ(99, sys(C, SYS_lseek, other, 99, SEEK_SET));
	sys_start(C, SYS_getdents64, other, ARG(0), 4096);
	ASSERT_EQ(0, reply(S, take(S, FUSE_READDIR), NULL, 0));
	ASSERT_EQ(0, call_end(C));
}

/* What makes it read again */
FUSE_TEST(readdir, cache_ends)
{
	struct fuse_attr_out changed = {
		.attr_valid = 3600,
		.attr = {
			.ino = DIR_INO,
			.mode = S_IFDIR | 0755,
			.mtime = 1234567890,
			.nlink = 2,
		},
	};
	struct fuse_entry_out new_dir = ENTRY(77, S_IFDIR | 0700);

	fd = open_dir(C, S, CACHE);
	read_all(C, S);
	/* another mtime */
	sys_start(C, SYS_statx, fd, str(C, ""),
		  AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_MTIME, ARG(0));
	ASSERT_EQ(0, reply(S, take(S, FUSE_GETATTR), &changed, sizeof(changed)));
	ASSERT_EQ(0, call_end(C));
	CHECK(0, sys(C, SYS_lseek, fd, 0, SEEK_SET));
	read_all(C, S);
	read_cached(C, S, 4096);
	/* pages that are gone */
	ASSERT_EQ(0, inval(S, DIR_INO, 0, 0));
	CHECK(0, sys(C, SYS_lseek, fd, 0, SEEK_SET));
	read_all(C, S);
	read_cached(C, S, 4096);
	/* a name that was added */
	sys_start(C, SYS_mkdirat, AT_FDCWD, path(C, S, "dir/new"), 0700);
	ASSERT_EQ(0, reply(S, take(S, FUSE_MKDIR), &new_dir, sizeof(new_dir)));
	ASSERT_EQ(0, call_end(C));
	CHECK(0, sys(C, SYS_lseek, fd, 0, SEEK_SET));
	read_all(C, S);
	/* an epoch */
	ASSERT_EQ(0, server_notify(S, FUSE_NOTIFY_INC_EPOCH, NULL, 0, NULL, 0));
	CHECK(0, sys(C, SYS_lseek, fd, 0, SEEK_SET));
	read_all(C, S);
	/* an open without FOPEN_KEEP_CACHE */
	call(C, CLIENT_CLOSE, fd);
	fd = open_dir(C, S, FOPEN_CACHE_DIR);
	read_all(C, S);
	read_cached(C, S, 4096);
}

/* What goes on reading the old listing does not see the new one's pages */
FUSE_TEST(readdir, cache_version)
{
	struct listing l;
	int other;

	fd = open_dir(C, S, CACHE);
	read_all(C, S);
	other = fd;
	CHECK(0, sys(C, SYS_lseek, other, 0, SEEK_SET));
	ASSERT_EQ(15 * 224, sys(C, SYS_getdents64, other, ARG(0), 15 * 224));
	ASSERT_EQ(0, inval(S, DIR_INO, 0, 0));
	fd = open_dir(C, S, CACHE);
	read_all(C, S);
	ASSERT_EQ(15 * 224, sys(C, SYS_getdents64, other, ARG(0), 15 * 224));
	ASSERT_EQ(16, ((struct entry *)out(C, ARG(0)))->off);
	/* what was not read to its end is no listing */
	fd = open_dir(C, S, FOPEN_CACHE_DIR);
	fill(&l, 'c', 0);
	list(C, S, FUSE_READDIR, 0, &l);
	CHECK(0, sys(C, SYS_lseek, fd, 0, SEEK_SET));
	list(C, S, FUSE_READDIR, 0, &l);
}

FUSE_DEV_FIXTURE(auto_inval, .nodes = nodes, .init_flags = FUSE_AUTO_INVAL_DATA);

/* FUSE_AUTO_INVAL_DATA: who begins to read asks for the mtime */
FUSE_TEST(auto_inval, cached)
{
	struct fuse_attr_out same = {
		.attr = { .ino = DIR_INO, .mode = S_IFDIR | 0755, .nlink = 1 },
	};
	struct listing none = { 0 };

	fd = open_dir(C, S, CACHE);
	list(C, S, FUSE_READDIR, 0, &none);
	sys_start(C, SYS_statx, fd, str(C, ""),
		  AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_MTIME, ARG(0));
	ASSERT_EQ(0, reply(S, take(S, FUSE_GETATTR), &same, sizeof(same)));
	ASSERT_EQ(0, call_end(C));
	start_getdents(C);
	ASSERT_EQ(0, reply(S, take(S, FUSE_GETATTR), &same, sizeof(same)));
	ASSERT_EQ(0, call_end(C));
	start_getdents(C);
	ASSERT_EQ(0, reply_error(S, take(S, FUSE_GETATTR), -EIO));
	ASSERT_EQ(-EIO, call_end(C));
}

TEST_HARNESS_MAIN
