// SPDX-License-Identifier: GPL-2.0
/*
 * How much memory FUSE buffers may have, and that it is given back:
 * fs.fuse.max_buffer_pages, RLIMIT_MEMLOCK, memory cgroups.
 */
#define _GNU_SOURCE
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../../kselftest_harness.h"
#include "fuse_fixture.h"
#include "window_server.h"

FUSE_FIXTURE(buffer_limits, FUSE_FEATURE_BUFFERS);

#define P	(self->page)

#define CEILING	fuse_knob("max_buffer_pages")

FUSE_TEST(buffer_limits, ceiling_of_one)
{
	int fd;

	ASSERT_EQ(0, set_sysctl(CEILING, 16));
	EXPECT_EQ(-EFBIG, buffer_open(S, BUF(1), 17 * P));
	EXPECT_EQ(-EFBIG, buffer_open(S, BUF(1), 1ULL << 40));
	EXPECT_FALSE(buffer_exists(S, BUF(1)));
	fd = buffer_open(S, BUF(1), 16 * P);
	EXPECT_LE(0, fd);
}

FUSE_TEST(buffer_limits, ceiling_of_the_sum)
{
	int a, b;

	ASSERT_EQ(0, set_sysctl(CEILING, 16));
	a = buffer_open(S, BUF(1), 10 * P);
	ASSERT_LE(0, a);
	EXPECT_EQ(-ENOSPC, buffer_open(S, BUF(2), 7 * P));
	EXPECT_EQ(-ENOSPC, buffer_bind(S, 1, 0, P, BUF(2), 0, 7 * P));
	EXPECT_FALSE(buffer_exists(S, BUF(2)));
	b = buffer_open(S, BUF(2), 6 * P);
	ASSERT_LE(0, b);
	EXPECT_EQ(-ENOSPC, buffer_open(S, BUF(3), P));
	/* there are no new ones, the old ones can be had */
	EXPECT_LE(0, buffer_open(S, BUF(1), 10 * P));
	EXPECT_LE(0, buffer_open(S, BUF(2), 0));
}

FUSE_TEST(buffer_limits, ceiling_is_given_back)
{
	int i, fd;

	ASSERT_EQ(0, set_sysctl(CEILING, 16));
	for (i = 0; i < 50; i++) {
		fd = buffer_open(S, BUF(i), 16 * P);
		ASSERT_LE(0, fd);
		ASSERT_EQ(1, pwrite(fd, "x", 1, 0));
		EXPECT_EQ(-ENOSPC, buffer_open(S, BUF(i + 1), P));
		close(fd);
	}
}

FUSE_TEST(buffer_limits, ceiling_for_mmap)
{
	int fd = client_open(C, S, O_RDWR);
	int64_t p;

	ASSERT_EQ(0, set_sysctl(CEILING, 16));
	EXPECT_EQ(-EIO, map(C, S, fd, .len = P, .prot = RW, .flags = MAP_SHARED,
			    .out = { .nodeid = BUF(1), .size = 17 * P }));
	take_munmap(S, S->fh, BUF(1), 0, P);
	EXPECT_FALSE(buffer_exists(S, BUF(1)));
	p = map(C, S, fd, .len = P, .prot = RW, .flags = MAP_SHARED,
		.out = { .nodeid = BUF(1), .size = 16 * P });
	ASSERT_LT(0, p);
	EXPECT_EQ(-EIO, map(C, S, fd, .len = P, .prot = RW, .flags = MAP_SHARED,
			    .out = { .nodeid = BUF(2), .size = P }));
	take_munmap(S, S->fh, BUF(2), 0, P);
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
	take_munmap(S, S->fh, BUF(1), 0, P);
	EXPECT_LE(0, buffer_open(S, BUF(2), 16 * P));
}

/* A client that was killed, an answer that was malformed: nothing is kept */
FUSE_TEST(buffer_limits, ceiling_after_failures)
{
	struct fuse_mmap_out out = { .nodeid = BUF(1), .size = 16 * P };
	struct request *r;
	int fd;

	ASSERT_EQ(0, set_sysctl(CEILING, 16));
	S->open_flags = FOPEN_NOFLUSH;
	fd = client_open(C, S, O_RDWR);
	EXPECT_EQ(-EIO, map(C, S, fd, .len = 2 * P, .prot = RW,
			    .flags = MAP_SHARED,
			    .out = { .nodeid = BUF(1), .offset = 15 * P,
				     .size = 16 * P }));
	take_munmap(S, S->fh, BUF(1), 15 * P, 2 * P);
	call_start(C, CLIENT_MMAP, 0, P, RW, MAP_SHARED, fd, 0);
	r = take(S, FUSE_MMAP);
	client_kill(C, SIGKILL);
	client_gone(C);
	take(S, FUSE_INTERRUPT);
	EXPECT_EQ(0, reply(S, r, &out, sizeof(out)));
	take_munmap(S, S->fh, BUF(1), 0, P);
	EXPECT_LE(0, buffer_open(S, BUF(2), 16 * P));
}

FUSE_TEST(buffer_limits, ceiling_per_connection)
{
	struct server other = { .type = variant->type };

	ASSERT_EQ(NULL, server_start(&other));
	ASSERT_EQ(0, server_enable(&other, FUSE_FEATURE_BUFFERS));
	ASSERT_EQ(0, set_sysctl(CEILING, 16));
	EXPECT_LE(0, buffer_open(S, BUF(1), 16 * P));
	EXPECT_LE(0, buffer_open(&other, BUF(1), 16 * P));
	EXPECT_EQ(-ENOSPC, buffer_open(&other, BUF(2), P));
	server_stop(&other);
}

FUSE_TEST(buffer_limits, ceiling_is_lowered)
{
	int fd;

	ASSERT_EQ(0, set_sysctl(CEILING, 16));
	fd = buffer_open(S, BUF(1), 16 * P);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, set_sysctl(CEILING, 8));
	/* what is there stays and can be filled */
	ASSERT_EQ(1, pwrite(fd, "x", 1, 15 * P));
	EXPECT_EQ(-ENOSPC, buffer_open(S, BUF(2), P));
	EXPECT_EQ(-EFBIG, buffer_open(S, BUF(2), 9 * P));
	close(fd);
	EXPECT_LE(0, buffer_open(S, BUF(2), 8 * P));
	ASSERT_EQ(0, set_sysctl(CEILING, 0));
	EXPECT_EQ(-EFBIG, buffer_open(S, BUF(3), P));
	EXPECT_EQ(-EINVAL, write_text(CEILING, "many"));
	EXPECT_GT(0, write_text(CEILING, "-1"));
}

/* Bindings are memory of the kernel too */
FUSE_TEST(buffer_limits, ceiling_for_bindings)
{
	int i;

	ASSERT_EQ(0, set_sysctl(CEILING, 4));
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, buffer_bind(S, 1, i * P, P, BUF(1), 0, P));
	EXPECT_EQ(-ENOSPC, buffer_bind(S, 1, i * P, P, BUF(1), 0, P));
	ASSERT_EQ(0, buffer_unbind(S, 1, 0, P));
	EXPECT_EQ(0, buffer_bind(S, 1, i * P, P, BUF(1), 0, P));
}

/* RLIMIT_MEMLOCK binds a server that lacks CAP_IPC_LOCK, root or not */
FUSE_TEST(buffer_limits, rlimit_memlock)
{
	struct rlimit limit = { 16 * P, 16 * P };
	int fd = client_open(C, S, O_RDWR), a, i;
	int64_t p;

	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	a = buffer_open(S, BUF(1), 32 * P);
	ASSERT_LE(0, a);
	close(a);
	ASSERT_EQ(0, set_caps(1U << CAP_IPC_LOCK, false));
	EXPECT_EQ(-ENOMEM, buffer_open(S, BUF(1), 17 * P));
	EXPECT_FALSE(buffer_exists(S, BUF(1)));
	for (i = 0; i < 20; i++) {
		a = buffer_open(S, BUF(1), 16 * P);
		ASSERT_LE(0, a);
		EXPECT_EQ(-ENOMEM, buffer_open(S, BUF(2), P));
		EXPECT_EQ(-EIO, map(C, S, fd, .len = P, .prot = RW,
				    .flags = MAP_SHARED,
				    .out = { .nodeid = BUF(2), .size = P }));
		take_munmap(S, S->fh, BUF(2), 0, P);
		close(a);
	}
	/* it is the server's limit that counts for clients' mappings */
	p = map(C, S, fd, .len = P, .prot = RW, .flags = MAP_SHARED,
		.out = { .nodeid = BUF(2), .size = 16 * P });
	ASSERT_LT(0, p);
	EXPECT_EQ(-ENOMEM, buffer_open(S, BUF(1), P));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, P));
	take_munmap(S, S->fh, BUF(2), 0, P);
	limit = (struct rlimit){ 0, 0 };
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	EXPECT_EQ(-ENOMEM, buffer_open(S, BUF(1), P));
}

/* The pages themselves */

static long meminfo_kb(const char *key)
{
	static char text[8192];
	char *line;

	if (read_text("/proc/meminfo", text, sizeof(text)) < 0)
		return -1;
	line = strstr(text, key);
	return line ? atol(line + strlen(key)) : -1;
}

#define MB	(1024L * 1024)

FUSE_TEST(buffer_limits, pages_are_given_back)
{
	long before, filled;
	int fd = client_open(C, S, O_RDWR);
	int64_t p;

	before = meminfo_kb("Cached:");
	p = map(C, S, fd, .len = 16 * MB, .prot = RW, .flags = MAP_SHARED,
		.out = { .nodeid = BUF(1), .size = 16 * MB });
	ASSERT_LT(0, p);
	/* nothing is allocated by the server's word alone */
	EXPECT_GT(before + 4096, meminfo_kb("Cached:"));
	ASSERT_EQ(16 * MB, call(C, CLIENT_FILL, p, 16 * MB, 'x'));
	filled = meminfo_kb("Cached:");
	EXPECT_LT(before + 12 * 1024, filled);
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, 16 * MB));
	take_munmap(S, S->fh, BUF(1), 0, 16 * MB);
	EXPECT_TRUE(eventually(meminfo_kb("Cached:") < filled - 12 * 1024));
}

FUSE_TEST(buffer_limits, dropped_pages_are_given_back)
{
	int fd = buffer_open(S, BUF(1), 16 * MB);
	char *mem = mmap(NULL, 16 * MB, RW, MAP_SHARED, fd, 0);
	long filled;

	ASSERT_NE(MAP_FAILED, mem);
	memset(mem, 'x', 16 * MB);
	filled = meminfo_kb("Cached:");
	ASSERT_EQ(0, inval(S, BUF(1), 0, 0));
	EXPECT_TRUE(eventually(meminfo_kb("Cached:") < filled - 12 * 1024));
}

/* Memory cgroups */

FIXTURE(buffer_memcg)
{
	struct server s;
	struct client c;
	uint64_t page;
	char group[96];
};

FIXTURE_VARIANT(buffer_memcg)
{
	enum server_type type;
};

FIXTURE_VARIANT_ADD(buffer_memcg, fuse) { .type = SERVER_FUSE };
FIXTURE_VARIANT_ADD(buffer_memcg, cuse) { .type = SERVER_CUSE };

#define GROUP_MB	8

static int group_write(const char *group, const char *file, const char *text)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", group, file);
	return write_text(path, text);
}

static long group_read(const char *group, const char *file, const char *key)
{
	char path[160], text[1024], *at;

	snprintf(path, sizeof(path), "%s/%s", group, file);
	if (read_text(path, text, sizeof(text)) < 0)
		return -1;
	at = strstr(text, key);
	return at ? atol(at + strlen(key)) : -1;
}

static const char *group_start(char *group, size_t size)
{
	char text[32];

	mkdir("/tmp/cgroup", 0755);
	if (mount("none", "/tmp/cgroup", "cgroup2", 0, NULL))
		return "no cgroup2";
	if (write_text("/tmp/cgroup/cgroup.subtree_control", "+memory"))
		return "no memory controller";
	snprintf(group, size, "/tmp/cgroup/fuse_test_%d", getpid());
	if (mkdir(group, 0755))
		return "cannot make a cgroup";
	snprintf(text, sizeof(text), "%ld", GROUP_MB * MB);
	if (group_write(group, "memory.max", text))
		return "no memory.max";
	group_write(group, "memory.swap.max", "0");
	return NULL;
}

FIXTURE_SETUP(buffer_memcg)
{
	const char *why;

	P = getpagesize();
	S->type = variant->type;
	why = fixture_start(S, C, FUSE_FEATURE_BUFFERS, "fuse_client");
	if (!why)
		why = group_start(self->group, sizeof(self->group));
	SKIP_IF(why);
}

FIXTURE_TEARDOWN(buffer_memcg)
{
	fixture_stop(S, C, _metadata->exit_code == KSFT_FAIL);
	rmdir(self->group);
}

static bool ended(struct client *c)
{
	return serve_until(c->pidfd, 0) || serve_until(c->sock, 0);
}

/* A client that touches too much of what its server grants it */
FUSE_TEST(buffer_memcg, client)
{
	int fd = client_open(C, S, O_RDWR), ok;
	struct client other = { 0 };
	char text[32];
	int64_t p;

	client_start(&other, "fuse_client");
	snprintf(text, sizeof(text), "%d", C->pid);
	ASSERT_EQ(0, group_write(self->group, "cgroup.procs", text));
	p = map(C, S, fd, .len = 64 * MB, .prot = RW, .flags = MAP_SHARED,
		.out = { .nodeid = BUF(1), .size = 64 * MB });
	ASSERT_LT(0, p);

	/* as much as it may have */
	ASSERT_EQ(GROUP_MB / 4 * MB,
		  call(C, CLIENT_FILL, p, GROUP_MB / 4 * MB, 'x'));
	EXPECT_LE(GROUP_MB / 4 * MB - MB,
		  group_read(self->group, "memory.current", ""));
	/* and more: SIGBUS or the OOM killer, and neither for anybody else */
	call_start(C, CLIENT_FILL, p, 64 * MB, 'x');
	ok = eventually(ended(C));
	if (!ok)
		ok = eventually(ended(C));
	ASSERT_TRUE(ok);
	EXPECT_GE(GROUP_MB * MB, group_read(self->group, "memory.current", ""));
	EXPECT_LT(0, group_read(self->group, "memory.events", "max "));
	if (serve_until(C->sock, 0) && !serve_until(C->pidfd, 0)) {
		EXPECT_EQ(CLIENT_FAULT(SIGBUS), call_end(C));
		client_kill(C, SIGKILL);
	}
	client_gone(C);
	take_munmap(S, S->fh, BUF(1), 0, 64 * MB);
	EXPECT_FALSE(buffer_exists(S, BUF(1)));
	/* all of it comes back */
	EXPECT_TRUE(eventually(group_read(self->group, "memory.current", "") <
			       2 * MB));

	fd = client_open(&other, S, O_RDWR);
	p = map(&other, S, fd, .len = P, .prot = RW, .flags = MAP_SHARED,
		.out = { .nodeid = BUF(1), .size = P });
	ASSERT_LT(0, p);
	EXPECT_EQ(P, call(&other, CLIENT_FILL, p, P, 'x'));
	client_exit(&other);
	take_munmap(S, S->fh, BUF(1), 0, P);
}

/* A server that stores more than it may have */
FUSE_TEST(buffer_memcg, server_stores)
{
	int fd = buffer_open(S, BUF(1), 64 * MB), status, err = 0;
	char *data = calloc(1, MB), text[32];
	long current;
	pid_t pid;
	int i;

	ASSERT_LE(0, fd);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		snprintf(text, sizeof(text), "%d", getpid());
		if (group_write(self->group, "cgroup.procs", text))
			_exit(1);
		for (i = 0; i < 64 && !err; i++)
			err = store(S, BUF(1), i * MB, data, MB);
		_exit(err == -ENOMEM || err == -EINTR ? 2 : 1);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL :
		    WEXITSTATUS(status) == 2)
		TH_LOG("status %#x", status);
	current = group_read(self->group, "memory.current", "");
	EXPECT_GE(GROUP_MB * MB, current);
	EXPECT_LT(GROUP_MB / 2 * MB, current);
	/* the buffer is as good as before, for us who may have more */
	EXPECT_EQ(0, store(S, BUF(1), 63 * MB, data, MB));
	close(fd);
	EXPECT_TRUE(eventually(group_read(self->group, "memory.current", "") <
			       2 * MB));
}

/* A window, whose pages are charged to whoever touches them first: who fills them */
FIXTURE(window_memcg)
{
	struct window_server s;
	char group[96];
};

FIXTURE_SETUP(window_memcg)
{
	const char *why = test_begin();
	char text[32];
	int i;

	self->s.range = FILE_MAX;
	self->s.size = FILES * FILE_MAX;
	if (!why)
		why = window_start(&self->s);
	if (!why)
		why = group_start(self->group, sizeof(self->group));
	SKIP_IF(why);
	/* what is not the window's has pages before the server touches it */
	for (i = 0; i < FILES; i++) {
		memset(self->s.ctl->file[i].data, 'x', FILE_MAX);
		self->s.ctl->file[i].size = FILE_MAX;
	}
	snprintf(text, sizeof(text), "%d", self->s.pid);
	ASSERT_EQ(0, group_write(self->group, "cgroup.procs", text));
}

FIXTURE_TEARDOWN(window_memcg)
{
	if (self->s.ctl)
		window_stop(&self->s);
	rmdir(self->group);
	test_end();
}

/* So many files can be read */
static int read_files(struct window_server *s)
{
	char *buf = malloc(FILE_MAX);
	int i, fd;

	for (i = 0; i < FILES; i++) {
		fd = open(s->path[i], O_RDONLY);
		if (fd < 0 || pread(fd, buf, FILE_MAX, 0) != FILE_MAX)
			break;
		close(fd);
	}
	free(buf);
	return i;
}

TEST_F(window_memcg, charged)
{
	long before = group_read(self->group, "memory.stat", "kernel ");
	long all = FILES * FILE_MAX;

	ASSERT_EQ(0, group_write(self->group, "memory.max", "max"));
	ASSERT_EQ(FILES, read_files(S));
	EXPECT_LE(before + all, group_read(self->group, "memory.stat", "kernel "));
	EXPECT_LE(all, group_read(self->group, "memory.current", ""));
	/* with the window they go */
	window_stop(S);
	ASSERT_EQ(0, munmap(S->win, S->size));
	self->s.ctl = NULL;
	EXPECT_TRUE(eventually(group_read(self->group, "memory.stat", "kernel ") <
			       before + MB / 2));
}

/* A server that fills more than it may have */
TEST_F(window_memcg, limit)
{
	char text[32];
	int n;

	snprintf(text, sizeof(text), "%ld",
		 group_read(self->group, "memory.current", "") + FILE_MAX * 5L / 2);
	ASSERT_EQ(0, group_write(self->group, "memory.max", text));
	n = read_files(S);
	EXPECT_LE(1, n);
	EXPECT_GT(FILES, n);
	EXPECT_GE(atol(text), group_read(self->group, "memory.current", ""));
	EXPECT_LT(0, group_read(self->group, "memory.events", "max "));
}

TEST_HARNESS_MAIN
