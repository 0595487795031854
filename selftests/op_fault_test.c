// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation of what a server does fails once: it is told so, or the
 * request ends with an error, and nothing is left behind.  Those of clients are
 * in the tests of each opcode.
 */
#include "../../kselftest_harness.h"
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "fuse_fixture.h"
#include "fuse_faults.h"

#define DIR_INO	3

static const struct server_node nodes[] = {
	{ FUSE_ROOT_ID, "dir", DIR_INO, S_IFDIR | 0755 },
	{ }
};

FUSE_DEV_FIXTURE(server, .nodes = nodes, .init_flags = FUSE_PASSTHROUGH,
		 .max_stack_depth = 1);

/* One of them: 0 or -errno */
typedef int act(struct server *s);

static int device(void)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

static int do_mount(struct server *s)
{
	char opts[100], dir[64];
	int fd = device(), err = 0;

	(void)s;
	if (fd < 0)
		return fd;
	snprintf(dir, sizeof(dir), "%s/other", test_dir());
	snprintf(opts, sizeof(opts), "fd=%d,rootmode=40000,user_id=0,group_id=0",
		 fd);
	if (mount("fuse", dir, "fuse", 0, opts))
		err = -errno;
	close(fd);
	if (!err)
		umount2(dir, MNT_DETACH);
	return err;
}

static int do_clone(struct server *s)
{
	uint32_t old = s->fd;
	int fd = device(), err;

	if (fd < 0)
		return fd;
	err = ioctl(fd, FUSE_DEV_IOC_CLONE, &old) ? -errno : 0;
	close(fd);
	return err;
}

static int do_backing(struct server *s)
{
	struct fuse_backing_map map = {
		.fd = open(test_dir(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600),
	};
	uint32_t id;
	int err = 0;

	if (map.fd < 0)
		return -errno;
	id = ioctl(s->fd, FUSE_DEV_IOC_BACKING_OPEN, &map);
	if ((int)id < 0)
		err = -errno;
	else
		ioctl(s->fd, FUSE_DEV_IOC_BACKING_CLOSE, &id);
	close(map.fd);
	return err;
}

/* The device that is not made is no error of the reply */
static int do_cuse(struct server *s)
{
	static struct {
		struct fuse_out_header h;
		struct cuse_init_out out;
		char info[32];
	} init = {
		.h.len = sizeof(init),
		.out = {
			.major = FUSE_KERNEL_VERSION,
			.minor = FUSE_KERNEL_MINOR_VERSION,
		},
		.info = "DEVNAME=fuse_fault_test",
	};
	static char buf[1 << 16];
	int fd = open("/dev/cuse", O_RDWR | O_CLOEXEC), err = 0;

	(void)s;
	if (fd < 0)
		return -errno;
	if (read(fd, buf, sizeof(buf)) < 0)
		err = -errno;
	init.h.unique = ((struct fuse_in_header *)buf)->unique;
	if (!err && write(fd, &init, sizeof(init)) < 0)
		err = -errno;
	close(fd);
	return err;
}

static int do_inval_entry(struct server *s)
{
	struct fuse_notify_inval_entry_out out = {
		.parent = FUSE_ROOT_ID,
		.namelen = 4,
	};
	int err = server_notify(s, FUSE_NOTIFY_INVAL_ENTRY, &out, sizeof(out),
				"none", 5);

	return err == -ENOENT ? 0 : err;
}

static int do_delete(struct server *s)
{
	struct fuse_notify_delete_out out = {
		.parent = FUSE_ROOT_ID,
		.child = DIR_INO,
		.namelen = 4,
	};
	int err = server_notify(s, FUSE_NOTIFY_DELETE, &out, sizeof(out), "none", 5);

	return err == -ENOENT ? 0 : err;
}

static int do_prune(struct server *s)
{
	struct fuse_notify_prune_out out = { .count = 1 };
	uint64_t unknown = 4711;

	return server_notify(s, FUSE_NOTIFY_PRUNE, &out, sizeof(out), &unknown,
			     sizeof(unknown));
}

/* Pages of the cache, which are gone again for the next time */
static int do_store(struct server *s)
{
	static char data[3 * 4096];
	int err = store(s, FILE_INO, 0, data, sizeof(data));

	inval(s, FILE_INO, 0, 0);
	return err;
}

static int do_retrieve(struct server *s)
{
	static uint64_t unique = 1;

	return retrieve(s, FILE_INO, 0, 4096, unique++);
}

static const struct {
	const char *name;
	act *act;
} acts[] = {
	{ "mount", do_mount },
	{ "clone", do_clone },
	{ "backing", do_backing },
	{ "cuse", do_cuse },
	{ "inval_entry", do_inval_entry },
	{ "delete", do_delete },
	{ "prune", do_prune },
	{ "store", do_store },
	{ "retrieve", do_retrieve },
};

FUSE_TEST(server, faults)
{
	char dir[64];
	size_t i;
	int err;

	SKIP_IF(faults_try(C));
	snprintf(dir, sizeof(dir), "%s/other", test_dir());
	ASSERT_EQ(0, mkdir(dir, 0700));
	ASSERT_LE(0, client_open(C, S, O_RDWR));
	for (i = 0; i < ARRAY_SIZE(acts); i++) {
		struct faults f = { };

		test_case = acts[i].name;
		/* what is allocated once, and what the test itself needs */
		err = acts[i].act(S);
		if (err == -ENOENT || err == -ENODEV)
			continue;
		ASSERT_EQ(0, err);
		while (next_fault(&f)) {
			arm(&f);
			err = acts[i].act(S);
			disarm(&f);
			/* an IDR that cannot grow is full; a mount that fails aborts */
			EXPECT_TRUE(!err || no_memory(err) || err == -ENOSPC ||
				    err == -ENOTCONN) {
				TH_LOG("%s: %s", test_case, strerror(-err));
			}
		}
		EXPECT_LT(0, f.hits);
		while (S->inbox || server_pending(S))
			take(S, FUSE_NOTIFY_REPLY);
		/* and it works again */
		EXPECT_EQ(0, acts[i].act(S));
		while (S->inbox || server_pending(S))
			take(S, FUSE_NOTIFY_REPLY);
	}
	test_case = NULL;
}

TEST_HARNESS_MAIN
