// SPDX-License-Identifier: GPL-2.0
/* CUSE_INIT: how a character device comes into being, or does not */
#include "../../kselftest_harness.h"
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "fuse_fixture.h"

CUSE_OP_FIXTURE(cuse_init, .manual_init = true);

struct answer {
	struct cuse_init_out out;
	char info[256];
};

static struct answer good(struct server *s, size_t *len)
{
	struct answer a = {
		.out = {
			.major = FUSE_KERNEL_VERSION,
			.minor = FUSE_KERNEL_MINOR_VERSION,
			.max_read = 8192,
			.max_write = 8192,
		},
	};

	*len = sizeof(a.out) + 1 +
	       snprintf(a.info, sizeof(a.info), "DEVNAME=%s", s->name);
	return a;
}

static bool there(struct server *s)
{
	struct stat st;

	return !stat(server_control(s, "dev"), &st);
}

/* It did not become a device, and its server is told so */
static void refused(struct __test_metadata *_metadata, struct server *s)
{
	char *buf = malloc(s->bufsize);

	EXPECT_FALSE(there(s));
	EXPECT_EQ(-1, read(s->fd, buf, s->bufsize));
	EXPECT_EQ(ENODEV, errno);
	free(buf);
	s->checked = false;
}

FUSE_TEST(cuse_init, request)
{
	struct request *r = take(S, CUSE_INIT);
	const struct cuse_init_in *in = BODY(r, struct cuse_init_in);
	struct stat st;
	size_t len;
	struct answer a = good(S, &len);

	EXPECT_EQ(sizeof(*in), BODY_LEN(r));
	EXPECT_EQ(FUSE_KERNEL_VERSION, in->major);
	EXPECT_EQ(FUSE_KERNEL_MINOR_VERSION, in->minor);
	EXPECT_EQ(0, in->unused);
	EXPECT_EQ(CUSE_UNRESTRICTED_IOCTL, in->flags);
	EXPECT_FALSE(there(S));
	EXPECT_EQ(0, reply(S, r, &a, len));
	EXPECT_TRUE(there(S));
	EXPECT_EQ(NULL, cuse_node(S));
	EXPECT_EQ(0, stat(S->path, &st));
	EXPECT_NE(0, major(st.st_rdev));
	EXPECT_LE(0, client_open(C, S, O_RDWR));
}

/* A number of the server's choice */
FUSE_TEST(cuse_init, number)
{
	struct request *r = take(S, CUSE_INIT);
	char text[32];
	size_t len;
	struct answer a = good(S, &len);

	a.out.dev_major = 240;
	a.out.dev_minor = 77;
	EXPECT_EQ(0, reply(S, r, &a, len));
	if (!there(S)) {
		S->checked = false;
		SKIP(return, "major number 240 is taken");
	}
	ASSERT_LT(0, read_text(server_control(S, "dev"), text, sizeof(text)));
	EXPECT_STREQ("240:77\n", text);
}

/* Which must be free: that of /dev/null is not */
FUSE_TEST(cuse_init, number_in_use)
{
	size_t len;
	struct answer a = good(S, &len);

	a.out.dev_major = 1;
	a.out.dev_minor = 3;
	EXPECT_EQ(0, reply(S, take(S, CUSE_INIT), &a, len));
	refused(_metadata, S);
}

FUSE_TEST(cuse_init, name_in_use)
{
	struct server other = { .type = SERVER_CUSE };
	size_t len;
	struct answer a = good(S, &len);

	ASSERT_EQ(NULL, server_start(&other));
	len = sizeof(a.out) + 1 +
	      snprintf(a.info, sizeof(a.info), "DEVNAME=%s", other.name);
	EXPECT_EQ(0, reply(S, take(S, CUSE_INIT), &a, len));
	refused(_metadata, S);
	EXPECT_TRUE(there(&other));
	server_stop(&other);
}

/* Spaces are not meant, other keys are not known */
FUSE_TEST(cuse_init, more_keys)
{
	size_t len;
	struct answer a = good(S, &len);

	len = sizeof(a.out) + 1 +
	      snprintf(a.info, sizeof(a.info), "OTHER=1%c%c DEVNAME = %s ", 0, 0,
		       S->name);
	EXPECT_EQ(0, reply(S, take(S, CUSE_INIT), &a, len));
	EXPECT_TRUE(there(S));
}

FUSE_TEST(cuse_init, error)
{
	EXPECT_EQ(0, reply_error(S, take(S, CUSE_INIT), -EIO));
	refused(_metadata, S);
}

FUSE_TEST(cuse_init, versions)
{
	static const struct { uint32_t major, minor; bool fine; } tries[] = {
		{ FUSE_KERNEL_VERSION - 1, 11, false },
		{ FUSE_KERNEL_VERSION + 1, 11, false },
		{ FUSE_KERNEL_VERSION, 10, false },
		{ FUSE_KERNEL_VERSION, 11, true },
		{ FUSE_KERNEL_VERSION, FUSE_KERNEL_MINOR_VERSION + 9, true },
	};
	size_t i, len;
	struct answer a = good(S, &len);

	for (i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		struct server s = { .type = SERVER_CUSE, .manual_init = true,
				    .transport = variant->transport };

		ASSERT_EQ(NULL, server_start(&s));
		a = good(&s, &len);
		a.out.major = tries[i].major;
		a.out.minor = tries[i].minor;
		EXPECT_EQ(0, reply(&s, take(&s, CUSE_INIT), &a, len));
		EXPECT_EQ(tries[i].fine, there(&s));
		if (!tries[i].fine)
			refused(_metadata, &s);
		server_stop(&s);
	}
	a = good(S, &len);
	EXPECT_EQ(0, reply(S, take(S, CUSE_INIT), &a, len));
}

#define INFO(text)	{ text, sizeof(text) - 1 }

FUSE_TEST(cuse_init, bad_info)
{
	static const struct { const char *text; size_t len; } infos[] = {
		INFO(""), INFO("\0\0"), INFO("DEVNAME=x"), INFO("DEVNAME=\0"),
		INFO("DEVNAME\0"), INFO("=x\0"), INFO(" = \0"), INFO("OTHER=x\0"),
	};
	size_t i, len;
	struct answer a = good(S, &len);

	EXPECT_EQ(0, reply(S, take(S, CUSE_INIT), &a, len));
	for (i = 0; i < sizeof(infos) / sizeof(infos[0]); i++) {
		struct server s = { .type = SERVER_CUSE, .manual_init = true,
				    .transport = variant->transport };

		ASSERT_EQ(NULL, server_start(&s));
		a = good(&s, &len);
		memcpy(a.info, infos[i].text, infos[i].len);
		EXPECT_EQ(0, reply(&s, take(&s, CUSE_INIT), &a,
				   sizeof(a.out) + infos[i].len));
		refused(_metadata, &s);
		server_stop(&s);
	}
}

FUSE_TEST(cuse_init, short_reply)
{
	size_t len;
	struct answer a = good(S, &len);

	EXPECT_EQ(-EINVAL, reply(S, take(S, CUSE_INIT), &a, sizeof(a.out) - 1));
	refused(_metadata, S);
}

FUSE_TEST(cuse_init, too_long_reply)
{
	size_t len = sizeof(struct cuse_init_out) + CUSE_INIT_INFO_MAX + 1;
	char *a = calloc(1, len);

	EXPECT_EQ(-EINVAL, reply(S, take(S, CUSE_INIT), a, len));
	refused(_metadata, S);
	free(a);
}

FUSE_TEST(cuse_init, server_dies)
{
	take(S, CUSE_INIT);
	server_die(S);
	EXPECT_FALSE(there(S));
}

/* The sysfs attributes of a device */
CUSE_OP_FIXTURE(cuse_class);

FUSE_TEST(cuse_class, waiting_and_abort)
{
	struct request *r;
	char text[16];
	int fd;

	ASSERT_LT(0, read_text(server_control(S, "waiting"), text, sizeof(text)));
	EXPECT_STREQ("0\n", text);
	fd = client_open(C, S, O_RDWR);
	sys_start(C, SYS_read, fd, ARG(0), 10);
	r = take(S, FUSE_READ);
	ASSERT_LT(0, read_text(server_control(S, "waiting"), text, sizeof(text)));
	EXPECT_STREQ("1\n", text);
	server_abort(S);
	EXPECT_EQ(-ECONNABORTED, call_end(C));
	EXPECT_EQ(-ENOENT, reply_error(S, r, -EIO));
}

/* CUSE has no second device file */
FUSE_TEST(cuse_class, no_clone)
{
	uint32_t old = S->fd;
	int fd = open("/dev/cuse", O_RDWR | O_CLOEXEC);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-ENOTTY, counted_ioctl(fd, FUSE_DEV_IOC_CLONE, &old));
	EXPECT_EQ(-ENOTTY, counted_ioctl(S->fd, FUSE_DEV_IOC_SYNC_INIT, NULL));
	close(fd);
}

TEST_HARNESS_MAIN
