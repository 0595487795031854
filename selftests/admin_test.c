// SPDX-License-Identifier: GPL-2.0
/*
 * What an administrator sees of FUSE buffers: the file "buffers" of a
 * connection in fusectl and in CUSE's class, and tracepoints.  (For the fdinfo
 * of a server's descriptor see buffer_test.)
 */
#define _GNU_SOURCE
#include <sys/mount.h>
#include <sys/stat.h>

#include "../../kselftest_harness.h"
#include "fuse_fixture.h"

FUSE_FIXTURE(buffer_admin, FUSE_FEATURE_BUFFERS);

#define P	(self->page)

static char *list(struct __test_metadata *_metadata, struct server *s)
{
	static char text[65536];

	EXPECT_LE(0, read_text(server_control(s, "buffers"), text,
			       sizeof(text)));
	return text;
}

/* Whether the list has the line, and the number of its lines */
static int has_line(struct __test_metadata *_metadata, struct server *s,
		    uint64_t nodeid, uint64_t size, unsigned int present,
		    unsigned int mappings)
{
	char line[80], *text = list(_metadata, s), *at;
	int lines = 0;

	snprintf(line, sizeof(line), "0x%016llx %llu %u %u\n",
		 (unsigned long long)nodeid, (unsigned long long)size, present,
		 mappings);
	at = strstr(text, line);
	if (!at || (at != text && at[-1] != '\n')) {
		TH_LOG("no line %s in %s", line, text);
		return 0;
	}
	for (at = text; *at; at++)
		lines += *at == '\n';
	return lines;
}

FUSE_TEST(buffer_admin, list)
{
	int fd = client_open(C, S, O_RDWR), a, b;
	struct stat st;
	int64_t p;

	EXPECT_STREQ("", list(_metadata, S));
	ASSERT_EQ(0, stat(server_control(S, "buffers"), &st));
	EXPECT_EQ(S_IFREG | 0400, st.st_mode);

	a = buffer_open(S, BUF(0xab), 4 * P);
	ASSERT_LE(0, a);
	EXPECT_EQ(1, has_line(_metadata, S, BUF(0xab), 4 * P, 0, 0));
	ASSERT_EQ(1, pwrite(a, "x", 1, 2 * P));
	b = buffer_open(S, -1ULL, P);
	ASSERT_LE(0, b);
	p = map(C, S, fd, .len = 2 * P, .prot = RW, .flags = MAP_SHARED,
		.out = { .nodeid = BUF(0xab) });
	ASSERT_LT(0, p);
	EXPECT_EQ(2, has_line(_metadata, S, BUF(0xab), 4 * P, 1, 1));
	EXPECT_EQ(2, has_line(_metadata, S, -1ULL, P, 0, 0));

	close(b);
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, 2 * P));
	take_munmap(S, S->fh, BUF(0xab), 0, 2 * P);
	EXPECT_EQ(1, has_line(_metadata, S, BUF(0xab), 4 * P, 1, 0));
	ASSERT_EQ(0, inval(S, BUF(0xab), 0, 0));
	EXPECT_EQ(1, has_line(_metadata, S, BUF(0xab), 4 * P, 0, 0));
	close(a);
	EXPECT_STREQ("", list(_metadata, S));
}

FUSE_TEST(buffer_admin, list_of_many)
{
	int i, lines, n = 300;
	char *text, *at;

	for (i = 0; i < n; i++)
		ASSERT_LE(0, buffer_open(S, BUF(i), (i + 1) * P));
	text = list(_metadata, S);
	for (lines = 0, at = text; *at; at++)
		lines += *at == '\n';
	if (variant->type == SERVER_CUSE) {
		/* what fits into the page that sysfs has */
		EXPECT_LT(50, lines);
		EXPECT_GE(P, strlen(text));
	} else {
		EXPECT_EQ(n, lines);
		EXPECT_EQ(n, has_line(_metadata, S, BUF(0), P, 0, 0));
		EXPECT_EQ(n, has_line(_metadata, S, BUF(n - 1), n * P, 0, 0));
	}
}

/* Each connection lists its own */
FUSE_TEST(buffer_admin, list_of_two_connections)
{
	struct server other = { .type = variant->type };

	ASSERT_EQ(NULL, server_start(&other));
	ASSERT_EQ(0, server_enable(&other, FUSE_FEATURE_BUFFERS));
	ASSERT_LE(0, buffer_open(S, BUF(1), P));
	ASSERT_LE(0, buffer_open(&other, BUF(2), P));
	EXPECT_EQ(1, has_line(_metadata, S, BUF(1), P, 0, 0));
	EXPECT_EQ(1, has_line(_metadata, &other, BUF(2), P, 0, 0));
	server_stop(&other);
}

/* The list is read at the very end of the connection, and after it */
FUSE_TEST(buffer_admin, list_after_the_end)
{
	char path[192], text[256] = "";
	int list_fd, fd;

	strcpy(path, server_control(S, "buffers"));
	list_fd = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, list_fd);
	fd = buffer_open(S, BUF(1), P);
	ASSERT_LE(0, fd);
	server_abort(S);
	EXPECT_EQ(1, has_line(_metadata, S, BUF(1), P, 0, 0));
	client_exit(C);
	server_die(S);
	umount2(S->mnt, MNT_DETACH);
	EXPECT_TRUE(eventually(access(path, F_OK) < 0));
	EXPECT_GE(0, read(list_fd, text, sizeof(text)))
		TH_LOG("%s", text);
}

/* Mainline's files are what they were */
FUSE_FIXTURE(fuse_admin, NEEDS_NOTHING);

FUSE_TEST(fuse_admin, waiting)
{
	char text[32];
	int64_t fd;

	S->manual = 1 << FUSE_OPEN;
	client_send(C, CLIENT_OPEN, (int64_t[7]){ O_RDWR }, S->path,
		    strlen(S->path) + 1, -1);
	take(S, FUSE_OPEN);
	ASSERT_LT(0, read_text(server_control(S, "waiting"), text,
			       sizeof(text)));
	EXPECT_STREQ("1\n", text);
	server_abort(S);
	fd = call_end(C);
	EXPECT_GT(0, fd);
}

/* Tracepoints */

static const char * const events[] = {
	"fuse_buffer_create", "fuse_buffer_map", "fuse_buffer_unmap",
	"fuse_buffer_store", "fuse_buffer_retrieve", "fuse_buffer_drop",
};

/* An instance of our own, so that nobody else's tracing is disturbed */
static const char *tracing_start(char *instance, size_t size)
{
	mkdir("/tmp/tracing", 0755);
	if (mount("none", "/tmp/tracing", "tracefs", 0, NULL))
		return "no tracefs";
	if (access("/tmp/tracing/events/fuse", F_OK))
		return "no tracepoints of fuse";
	snprintf(instance, size, "/tmp/tracing/instances/fuse_test_%d",
		 getpid());
	if (mkdir(instance, 0755))
		return "no instances in tracefs";
	return NULL;
}

static int tracing_set(const char *instance, const char *event,
		       const char *value)
{
	char path[192];

	snprintf(path, sizeof(path), "%s/events/fuse/%s/enable", instance,
		 event);
	return write_text(path, value);
}

static int count(const char *text, const char *word)
{
	int n = 0;

	while ((text = strstr(text, word))) {
		text += strlen(word);
		n++;
	}
	return n;
}

FUSE_TEST(buffer_admin, tracepoints)
{
	int fd = client_open(C, S, O_RDWR), buf;
	static char text[65536];
	char instance[96], path[128], expected[128];
	int64_t p;
	size_t i;

	SKIP_IF(tracing_start(instance, sizeof(instance)));
	for (i = 0; i < ARRAY_SIZE(events); i++)
		EXPECT_EQ(0, tracing_set(instance, events[i], "1"))
			TH_LOG("event %zu", i);

	buf = buffer_open(S, BUF(0x77), 8 * P);
	ASSERT_LE(0, buf);
	p = map(C, S, fd, .len = 2 * P, .prot = RW, .flags = MAP_SHARED,
		.out = { .nodeid = BUF(0x77), .offset = P });
	ASSERT_LT(0, p);
	ASSERT_EQ(0, store(S, BUF(0x77), 10, "x", 1));
	ASSERT_EQ(0, retrieve(S, BUF(0x77), 20, 30, 1));
	take(S, FUSE_NOTIFY_REPLY);
	ASSERT_EQ(0, inval(S, BUF(0x77), P + 1, P));
	ASSERT_EQ(0, call(C, CLIENT_MUNMAP, p, 2 * P));
	take_munmap(S, S->fh, BUF(0x77), P, 2 * P);
	close(buf);

	for (i = 0; i < ARRAY_SIZE(events); i++)
		tracing_set(instance, events[i], "0");
	snprintf(path, sizeof(path), "%s/trace", instance);
	EXPECT_LT(0, read_text(path, text, sizeof(text)));
	EXPECT_EQ(0, rmdir(instance));

#define EXPECT_TRACE(n, event, offset, len) do {			\
	snprintf(expected, sizeof(expected),				\
		 "%s: connection %u buffer 0x8000000000000077 offset %llu len %llu\n", \
		 event, S->dev, (unsigned long long)(offset),		\
		 (unsigned long long)(len));				\
	EXPECT_EQ(n, count(text, expected))				\
		TH_LOG("%s", expected);					\
} while (0)
	EXPECT_TRACE(1, "fuse_buffer_create", 0, 8 * P);
	EXPECT_TRACE(1, "fuse_buffer_map", P, 2 * P);
	EXPECT_TRACE(1, "fuse_buffer_store", 10, 1);
	EXPECT_TRACE(1, "fuse_buffer_retrieve", 20, 30);
	EXPECT_TRACE(1, "fuse_buffer_drop", P, 2 * P);
	EXPECT_TRACE(1, "fuse_buffer_unmap", P, 2 * P);
	EXPECT_TRACE(1, "fuse_buffer_drop", 0, 8 * P);
	EXPECT_EQ(7, count(text, "connection"));
}

TEST_HARNESS_MAIN
