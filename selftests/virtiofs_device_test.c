// SPDX-License-Identifier: GPL-2.0
/*
 * What is virtiofs' own beside DAX (fs/fuse/virtio_fs.c): queues, and what waits
 * when they are full; replies whose length the device tells otherwise; what the
 * device says of itself; devices and servers that go away; file systems within
 * the file system.
 *
 * A name that is a number is a file; "sub" is a directory that is a file system,
 * with the same files.
 */
#define _GNU_SOURCE
#include <linux/virtio_fs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../kselftest_harness.h"
#include "fuse_fixture.h"
#include "op_call.h"
#include "fuse_virtio.h"

#define DRIVER		"/sys/bus/virtio/drivers/virtiofs/"
#define QUEUE		128	/* entries */
#define INO(n)		(1000 + (n))
#define SUB		500
#define BIG		(1 << 20)
#define AHEAD		(128 << 10)

static const struct server_node nodes[] = {
	{ FUSE_ROOT_ID, "sub", SUB, S_IFDIR | 0755, FUSE_ATTR_SUBMOUNT },
	{ }
};

static uint64_t entry_valid = 3600;

static bool serve(struct server *s, struct request *r)
{
	struct fuse_entry_out out = {
		.entry_valid = entry_valid,
		.attr_valid = 3600,
	};
	int n;

	switch (r->h.opcode) {
	case FUSE_SYNCFS:
	case FUSE_DESTROY:
		reply(s, r, NULL, 0);
		return true;
	case FUSE_LOOKUP:
		break;
	default:
		return false;
	}
	n = atoi(r->body);
	if (!n)
		return false;
	out.nodeid = INO(n);
	op_attr(&out.attr, INO(n), S_IFREG | 0644, BIG);
	reply(s, r, &out, sizeof(out));
	return true;
}

static int64_t stat_of(struct client *c, struct server *s, const char *name)
{
	return sys(c, SYS_newfstatat, AT_FDCWD, path(c, s, name), ARG(0), 0);
}

static void unmount(struct client *c, struct server *s)
{
	CHECK(0, sys(c, SYS_umount2, path(c, s, ""), 0));
}

/* Again, after it was unmounted */
static void mount_tag(struct client *c, struct server *s, const char *tag)
{
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_write = 4096,
		.max_background = 16,
		.congestion_threshold = 12,
	};

	s->manual |= 1ULL << FUSE_INIT;
	CHECK(0, sys(c, SYS_mount, str(c, tag), path(c, s, ""),
		     str(c, "virtiofs"), 0, 0));
	server_answer(s, FUSE_INIT, &out, sizeof(out));
}

#define unmount(...)	HERE(unmount(__VA_ARGS__))
#define mount_tag(...)	HERE(mount_tag(__VA_ARGS__))

FIXTURE(device)
{
	struct server s;
	struct client c;
};

FIXTURE_SETUP(device)
{
	self->s = (struct server){
		.transport = &virtiofs_transport,
		.tag = VIRTIOFS_PLAIN,
		.serve = serve,
		.nodes = nodes,
		.max_readahead = AHEAD,
		.init_flags = FUSE_ASYNC_READ | FUSE_SUBMOUNTS,
	};
	SKIP_IF(fixture_start(S, C, NEEDS_NOTHING, FUSE_CLIENT));
}

FIXTURE_TEARDOWN(device)
{
	fixture_stop(S, C, _metadata->exit_code == KSFT_FAIL);
}

/* One at a time, in a queue of their own */
FUSE_TEST(device, forget)
{
	int fd;

	entry_valid = 0;
	S->manual = 1ULL << FUSE_FORGET;
	fd = sys(C, SYS_openat, AT_FDCWD, path(C, S, "7"), O_RDONLY, 0);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, stat_of(C, S, "7"));
	ASSERT_EQ(0, sys(C, SYS_close, fd));
	take_forget(S, INO(7), 2);
}

/* More files than the queue of FUSE_FORGET has room for are forgotten at once */
static void forget_many(struct client *c, struct server *s, unsigned int n)
{
	char name[16];
	unsigned int i;

	virtiofs_hold_forgets(s);
	for (i = 1; i <= n; i++) {
		snprintf(name, sizeof(name), "%u", i);
		NEED(!stat_of(c, s, name));
	}
	NEED(eventually((write_text("/proc/sys/vm/drop_caches", "2"),
			 s->forgets == QUEUE)));
	/* no more, while those are there */
	serve_until(-1, 200);
	CHECK(QUEUE, s->forgets);
}

FUSE_TEST(device, forgets_wait)
{
	forget_many(C, S, QUEUE + 12);
	virtiofs_release_forgets(S);
	ASSERT_TRUE(eventually(S->forgets == QUEUE + 12));
	ASSERT_EQ(0, stat_of(C, S, "1"));
}

/* The end of the mount waits for what was sent, and drops what was not */
FUSE_TEST(device, forgets_at_the_end)
{
	forget_many(C, S, QUEUE + 12);
	sys_start(C, SYS_umount2, path(C, S, ""), 0);
	ASSERT_TRUE(stuck(C));
	ASSERT_FALSE(serve_until(C->sock, 100));
	virtiofs_release_forgets(S);
	ASSERT_EQ(0, call_end(C));
	ASSERT_EQ(QUEUE, S->forgets);
}

static uint64_t device_of(struct client *c, struct server *s, const char *name)
{
	NEED(!stat_of(c, s, name));
	return ((struct stat *)out(c, ARG(0)))->st_dev;
}

/* Who has been forgotten, once each; looked up once each */
static unsigned int forgotten(struct server *s, uint64_t ino)
{
	struct request *r;
	unsigned int n = 0;

	for (r = s->inbox; r; r = r->next) {
		CHECK(FUSE_FORGET, r->h.opcode);
		CHECK(1, BODY(r, struct fuse_forget_in)->nlookup);
		n += r->h.nodeid == ino;
	}
	return n;
}

/* A directory becomes a mount of its own when it is entered */
FUSE_TEST(device, submount)
{
	uint64_t outer = device_of(C, S, ""), inner;
	struct request *r;
	int fd;

	inner = device_of(C, S, "sub/.");
	ASSERT_NE(outer, inner);
	ASSERT_EQ(inner, device_of(C, S, "sub/7"));
	ASSERT_EQ(INO(7), ((struct stat *)out(C, ARG(0)))->st_ino);
	ASSERT_EQ(outer, device_of(C, S, "5"));

	/* each is synced alone */
	fd = sys(C, SYS_openat, AT_FDCWD, path(C, S, "sub"), O_RDONLY, 0);
	ASSERT_LE(0, fd);
	S->manual = 1ULL << FUSE_SYNCFS;
	sys_start(C, SYS_syncfs, fd);
	r = take(S, FUSE_SYNCFS);
	ASSERT_EQ(SUB, r->h.nodeid);
	ASSERT_EQ(0, reply(S, r, NULL, 0));
	ASSERT_EQ(0, call_end(C));
	ASSERT_EQ(0, sys(C, SYS_close, fd));

	/* what was looked up in it is forgotten when it ends; not the root yet */
	S->manual = 1ULL << FUSE_FORGET;
	S->forgets = 0;
	ASSERT_EQ(0, sys(C, SYS_umount2, path(C, S, "sub"), 0));
	ASSERT_TRUE(eventually(S->forgets));
	ASSERT_EQ(1, forgotten(S, INO(7)));
	ASSERT_EQ(0, forgotten(S, SUB));
	/* once, after the mount point has ended, too */
	ASSERT_TRUE(eventually((write_text("/proc/sys/vm/drop_caches", "2"),
				S->forgets == 3)));
	ASSERT_EQ(1, forgotten(S, SUB));
	ASSERT_EQ(1, forgotten(S, INO(5)));
	while (S->inbox)
		take(S, FUSE_FORGET);

	/* all at once */
	S->manual = 1ULL << FUSE_DESTROY;
	ASSERT_EQ(inner, device_of(C, S, "sub/7"));
	sys_start(C, SYS_umount2, path(C, S, ""), MNT_DETACH);
	ASSERT_EQ(0, reply(S, take(S, FUSE_DESTROY), NULL, 0));
	ASSERT_EQ(0, call_end(C));
}

/* Requests for which there is no room are sent when there is */
FUSE_TEST(device, requests_wait)
{
	cpu_set_t first = { };
	unsigned int i, n = 0, most = 6;
	struct request *r;
	int fd;

	/* to one queue */
	CPU_SET(0, &first);
	ASSERT_EQ(0, sys(C, SYS_sched_setaffinity, 0, sizeof(first),
			 in(C, &first, sizeof(first))));
	fd = sys(C, SYS_openat, AT_FDCWD, path(C, S, "1"), O_RDONLY, 0);
	ASSERT_LE(0, fd);
	S->manual = 1ULL << FUSE_READ;
	/* each takes a descriptor for each of its 32 pages */
	for (i = 0; i < most; i++)
		ASSERT_EQ(0, sys(C, SYS_fadvise64, fd, i * AHEAD, AHEAD,
				 POSIX_FADV_WILLNEED));
	serve_until(-1, 200);
	for (r = S->inbox; r; r = r->next)
		n++;
	ASSERT_EQ(QUEUE / (32 + 3), n);
	for (i = 0; i < most; i++) {
		r = take(S, FUSE_READ);
		ASSERT_EQ(AHEAD, r->read.size);
		reply_data(S, r, AHEAD);
		free(r);
	}
	for (i = 0; i < most; i++) {
		ASSERT_EQ(8, sys(C, SYS_pread64, fd, ARG(0), 8, i * AHEAD));
		ASSERT_TRUE(right_data(C, 8, i * AHEAD));
	}
}

/* What the device says is not what the reply says */
FUSE_TEST(device, used)
{
	struct {
		struct fuse_out_header h;
		struct fuse_attr_out attr;
	} all = { .attr = { .attr_valid = 3600 } };
	const struct {
		uint32_t used;
		uint32_t len;
		int error;
		int64_t ret;
	} cases[] = {
		{ 0, sizeof(all), 0, -EIO },
		{ sizeof(all.h) - 1, sizeof(all), 0, -EIO },
		{ sizeof(all.h), sizeof(all), 0, -EIO },
		{ sizeof(all.h), sizeof(all.h), 0, -EIO },
		{ sizeof(all) - 1, sizeof(all), 0, -EIO },
		{ sizeof(all) + 1, sizeof(all), 0, -EIO },
		{ sizeof(all), sizeof(all) - 1, 0, -EIO },
		{ sizeof(all), sizeof(all), -EACCES, -EIO },
		{ sizeof(all.h), sizeof(all.h), -EACCES, -EACCES },
		{ sizeof(all), sizeof(all), 0, 0 },
	};
	int fd = client_open(C, S, O_RDONLY);
	struct request *r;
	size_t i;

	op_attr(&all.attr.attr, S->ino, S_IFREG | 0666, 4096);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		sys_start(C, SYS_statx, fd, str(C, ""), AT_EMPTY_PATH |
			  AT_STATX_FORCE_SYNC, STATX_SIZE, ARG(0));
		r = take(S, FUSE_GETATTR);
		all.h = (struct fuse_out_header){
			.len = cases[i].len,
			.error = cases[i].error,
			.unique = r->h.unique,
		};
		virtiofs_reply_used(S, r, &all, sizeof(all), cases[i].used);
		ASSERT_EQ(cases[i].ret, call_end(C));
	}
}

FUSE_TEST(device, without_window)
{
	unmount(C, S);
	ASSERT_EQ(-EINVAL, sys(C, SYS_mount, str(C, VIRTIOFS_PLAIN),
			       path(C, S, ""), str(C, "virtiofs"), 0,
			       str(C, "dax=always")));
	mount_tag(C, S, VIRTIOFS_PLAIN);
	ASSERT_EQ(0, stat_of(C, S, "1"));
}

/* The server's process dies: whoever takes the device over ends its requests */
FIXTURE(orphan)
{
	struct server s;
	struct client c;
	int pipe[2];
	int pid;
};

FIXTURE_SETUP(orphan)
{
	char why[96] = "";

	skip_reason = &_metadata->results->reason;
	self->s = (struct server){
		.transport = &virtiofs_transport,
		.tag = VIRTIOFS_PLAIN,
		.serve = serve,
		.fd = -1,
	};
	ASSERT_EQ(NULL, test_begin());
	ASSERT_EQ(0, pipe(self->pipe));
	self->pid = fork();
	ASSERT_LE(0, self->pid);
	if (!self->pid) {
		const char *reason = server_start(S);

		snprintf(why, sizeof(why), "%s", reason ?: S->mnt);
		NEED(write(self->pipe[1], why, sizeof(why)) > 0);
		while (!reason) {
			server_take(S, FUSE_STATFS);
			NEED(write(self->pipe[1], why, 1) > 0);
		}
		_exit(0);
	}
	ASSERT_EQ(sizeof(why), read(self->pipe[0], why, sizeof(why)));
	SKIP_IF(*why == '/' ? NULL : why);
	strcpy(S->mnt, why);
	ASSERT_EQ(NULL, client_try(C, FUSE_CLIENT));
}

FIXTURE_TEARDOWN(orphan)
{
	fixture_stop(S, C, _metadata->exit_code == KSFT_FAIL);
}

FUSE_TEST(orphan, killed)
{
	char byte;

	ASSERT_EQ(0, stat_of(C, S, ""));
	sys_start(C, SYS_statfs, path(C, S, ""), ARG(0));
	ASSERT_EQ(1, read(self->pipe[0], &byte, 1));
	ASSERT_EQ(0, kill(self->pid, SIGKILL));
	ASSERT_EQ(self->pid, waitpid(self->pid, NULL, 0));

	ASSERT_EQ(NULL, virtiofs_adopt(S));
	ASSERT_EQ(-ENOTCONN, call_end(C));
	virtiofs_retire(S);
	ASSERT_EQ(-ENOTCONN, sys(C, SYS_statfs, path(C, S, ""), ARG(0)));
	unmount(C, S);
	virtiofs_transport.stop(S);
	close(S->fd);

	ASSERT_EQ(NULL, server_start(S));
	ASSERT_EQ(0, stat_of(C, S, "1"));
}

/* The driver is bound to the device anew */
FIXTURE(driver)
{
	struct server s;
	struct client c;
	struct virtio_fs_config config;
	int number;
	char device[24];
};

static void sysfs(char *text, size_t size, int device, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/fs/virtiofs/%d/%s", device, name);
	if (read_text(path, text, size) < 0)
		*text = 0;
}

FIXTURE_SETUP(driver)
{
	char tag[64];

	self->s = (struct server){
		.transport = &virtiofs_transport,
		.tag = VIRTIOFS_PLAIN,
		.serve = serve,
	};
	SKIP_IF(fixture_start(S, C, NEEDS_NOTHING, FUSE_CLIENT));
	memcpy(self->config.tag, VIRTIOFS_PLAIN, sizeof(VIRTIOFS_PLAIN));
	self->config.num_request_queues = 2;
	for (self->number = 0; self->number < 32; self->number++) {
		sysfs(tag, sizeof(tag), self->number, "tag");
		if (!strcmp(tag, VIRTIOFS_PLAIN "\n"))
			break;
	}
	ASSERT_LT(self->number, 32);
	snprintf(self->device, sizeof(self->device), "virtio%d", self->number);
}

FIXTURE_TEARDOWN(driver)
{
	fixture_stop(S, C, _metadata->exit_code == KSFT_FAIL);
}

#define bind_to(config)							\
	(virtiofs_config(S, config), write_text(DRIVER "bind", self->device))
#define unbind()							\
	ASSERT_EQ(0, write_text(DRIVER "unbind", self->device))

FUSE_TEST(driver, tag)
{
	static const struct {
		char tag[37];
		int ret;
	} tags[] = {
		{ "x", 0 },
		{ "", -EINVAL },
		{ "with space", 0 },
		{ "with\nnewline", -EINVAL },
		/* that of another device */
		{ VIRTIOFS_DAX, -EEXIST },
		/* without a NUL */
		{ "123456789012345678901234567890123456", 0 },
	};
	struct virtio_fs_config config = self->config;
	char text[64], tag[64];
	size_t i;

	unmount(C, S);
	for (i = 0; i < ARRAY_SIZE(tags); i++) {
		if (!i || !tags[i - 1].ret)
			unbind();
		memcpy(config.tag, tags[i].tag, sizeof(config.tag));
		ASSERT_EQ(tags[i].ret, bind_to(&config));
		sysfs(text, sizeof(text), self->number, "tag");
		snprintf(tag, sizeof(tag), tags[i].ret ? "" : "%s\n",
			 tags[i].tag);
		ASSERT_STREQ(tag, text);
		if (tags[i].ret)
			continue;
		mount_tag(C, S, tags[i].tag);
		ASSERT_EQ(0, stat_of(C, S, "1"));
		unmount(C, S);
	}
	unbind();
	ASSERT_EQ(0, bind_to(&self->config));
}

FUSE_TEST(driver, queues)
{
	static const struct {
		uint32_t queues;
		int ret;
		/* requests.1 is there */
		bool second;
	} counts[] = {
		{ 1, 0, false }, { 0, -EINVAL, false }, { 2, 0, true },
		/* no more than there are CPUs */
		{ 1000, 0, true },
	};
	struct virtio_fs_config config = self->config;
	char text[64], other[64];
	size_t i;

	unmount(C, S);
	unbind();
	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		config.num_request_queues = counts[i].queues;
		ASSERT_EQ(counts[i].ret, bind_to(&config));
		if (counts[i].ret)
			continue;
		sysfs(text, sizeof(text), self->number, "mqs/0/name");
		ASSERT_STREQ("hiprio\n", text);
		sysfs(text, sizeof(text), self->number, "mqs/0/cpu_list");
		ASSERT_STREQ("0, 1\n", text);
		sysfs(text, sizeof(text), self->number, "mqs/1/name");
		ASSERT_STREQ("requests.0\n", text);
		sysfs(text, sizeof(text), self->number, "mqs/2/name");
		ASSERT_STREQ(counts[i].second ? "requests.1\n" : "", text);
		/* each CPU has one */
		sysfs(text, sizeof(text), self->number, "mqs/1/cpu_list");
		sysfs(other, sizeof(other), self->number, "mqs/2/cpu_list");
		NEED(counts[i].second ? text[0] + other[0] == '0' + '1' :
					!strcmp(text, "0, 1\n"));
		mount_tag(C, S, VIRTIOFS_PLAIN);
		ASSERT_EQ(0, stat_of(C, S, "1"));
		unmount(C, S);
		unbind();
	}
	ASSERT_EQ(0, bind_to(&self->config));
}

/* The device goes away while it is mounted */
FUSE_TEST(driver, removed)
{
	struct client child;
	struct request *r;
	int fd, file = client_open(C, S, O_RDONLY);

	client_fork(C, &child);
	S->manual = 1ULL << FUSE_STATFS;
	sys_start(&child, SYS_statfs, path(&child, S, ""), ARG(0));
	r = take(S, FUSE_STATFS);
	fd = sys(C, SYS_openat, AT_FDCWD, str(C, DRIVER "unbind"), O_WRONLY, 0);
	ASSERT_LE(0, fd);
	/* that waits for what was sent */
	sys_start(C, SYS_write, fd, str(C, self->device), strlen(self->device));
	ASSERT_TRUE(stuck(C));
	ASSERT_FALSE(serve_until(C->sock, 100));
	reply_error(S, r, -EACCES);
	ASSERT_EQ(-EACCES, call_end(&child));
	client_exit(&child);
	ASSERT_EQ(strlen(self->device), call_end(C));

	ASSERT_EQ(-ENOTCONN, stat_of(C, S, "1"));
	ASSERT_EQ(-ENOTCONN, sys(C, SYS_statfs, path(C, S, ""), ARG(0)));
	S->checked = false;
	sys(C, SYS_close, file);
	unmount(C, S);
	ASSERT_EQ(-EINVAL, sys(C, SYS_mount, str(C, VIRTIOFS_PLAIN),
			       path(C, S, ""), str(C, "virtiofs"), 0, 0));
	ASSERT_EQ(0, bind_to(&self->config));
	mount_tag(C, S, VIRTIOFS_PLAIN);
	ASSERT_EQ(0, stat_of(C, S, "1"));
}

TEST_HARNESS_MAIN
