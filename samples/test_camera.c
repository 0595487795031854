// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of cuse_camera, as a V4L2 program sees it; prints KTAP.  To be built
 * for 32 bits as well.  Usage: test_camera [/dev/videoN [variant]]
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "camera_frame.h"

#define CAPTURE	V4L2_BUF_TYPE_VIDEO_CAPTURE

static const char *device = "/dev/video0";
static const char *failed;
static int failed_line, failed_errno;

/* Ends the test that runs; what it opened goes with its process */
#define CHECK(cond) do {						\
	if (!(cond)) {							\
		failed_errno = errno;					\
		failed = #cond;						\
		failed_line = __LINE__;					\
		return;							\
	}								\
} while (0)

#define CHECK_ERROR(call, error) CHECK((call) == -1 && errno == (error))

struct map {
	uint8_t *mem;
	size_t len;
	uint32_t offset;
};

static int start = CAPTURE;

static int reqbufs(int fd, unsigned int count)
{
	struct v4l2_requestbuffers req = {
		.count = count,
		.type = CAPTURE,
		.memory = V4L2_MEMORY_MMAP,
	};

	return ioctl(fd, VIDIOC_REQBUFS, &req) ? -1 : (int)req.count;
}

static int bufcall(int fd, unsigned long cmd, unsigned int index,
		   struct v4l2_buffer *b)
{
	memset(b, 0, sizeof(*b));
	b->index = index;
	b->type = CAPTURE;
	b->memory = V4L2_MEMORY_MMAP;
	return ioctl(fd, cmd, b);
}

static int qbuf(int fd, unsigned int index)
{
	struct v4l2_buffer b;

	return bufcall(fd, VIDIOC_QBUF, index, &b);
}

static int dqbuf(int fd, struct v4l2_buffer *b)
{
	return bufcall(fd, VIDIOC_DQBUF, 0, b);
}

static bool map_buffer(int fd, unsigned int index, struct map *m)
{
	struct v4l2_buffer b;

	if (bufcall(fd, VIDIOC_QUERYBUF, index, &b))
		return false;
	m->len = b.length;
	m->offset = b.m.offset;
	m->mem = mmap(NULL, m->len, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		      m->offset);
	return m->mem != MAP_FAILED;
}

static int set_format(int fd, uint32_t fourcc, unsigned int width,
		      unsigned int height)
{
	struct v4l2_format f = {
		.type = CAPTURE,
		.fmt.pix.width = width,
		.fmt.pix.height = height,
		.fmt.pix.pixelformat = fourcc,
	};

	return ioctl(fd, VIDIOC_S_FMT, &f);
}

static bool is_frame(const uint8_t *mem, const struct frame_format *f,
		     uint32_t *number)
{
	unsigned int block = f->width / FRAME_BLOCKS & ~1U;
	unsigned int bytes = f->rgb ? 3 : 2, strip = f->height / 16, i;
	size_t n, skip = (size_t)strip * frame_stride(f);
	uint8_t code[FRAME_BLOCKS / 8] = { 0 };
	uint32_t a = 1, b = 0;

	for (i = 0; i < FRAME_BLOCKS; i++)
		code[i / 8] |= (mem[(i * block + block / 2) * bytes] > 127) <<
			       (7 - i % 8);
	for (n = skip; n < frame_size(f); n++) {
		a = (a + mem[n]) % 65521;
		b = (b + a) % 65521;
	}
	*number = code[1] << 24 | code[2] << 16 | code[3] << 8 | code[4];
	return code[0] == FRAME_SYNC && code[5] == b >> 8 &&
	       code[6] == (b & 255) && code[7] == a >> 8 &&
	       code[8] == (a & 255);
}

/* Other ways to sleep need CONFIG_COMPAT_32BIT_TIME in a 32-bit program */
static void nap(int ms)
{
	poll(NULL, 0, ms);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void stream(int fd, uint32_t fourcc, unsigned int width,
		   unsigned int height, unsigned int count)
{
	struct frame_format f = { fourcc == V4L2_PIX_FMT_RGB24, width, height };
	unsigned int i, buffers = 4, last = 0;
	struct v4l2_buffer b;
	struct map m[4];
	uint32_t number;

	CHECK(!set_format(fd, fourcc, width, height));
	CHECK(reqbufs(fd, buffers) == (int)buffers);
	for (i = 0; i < buffers; i++) {
		CHECK(map_buffer(fd, i, &m[i]));
		CHECK(m[i].len == frame_size(&f));
		CHECK(!qbuf(fd, i));
	}
	CHECK(!ioctl(fd, VIDIOC_STREAMON, &start));
	for (i = 0; i < count; i++) {
		CHECK(!dqbuf(fd, &b));
		CHECK(b.index < buffers);
		CHECK(b.bytesused == m[b.index].len);
		CHECK(b.field == V4L2_FIELD_NONE);
		CHECK(b.flags & V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC);
		CHECK(llabs(b.timestamp.tv_sec - (long long)now()) < 5);
		CHECK(is_frame(m[b.index].mem, &f, &number));
		CHECK(number == b.sequence);
		CHECK(!i || number > last);
		last = number;
		CHECK(!qbuf(fd, b.index));
	}
	CHECK(!ioctl(fd, VIDIOC_STREAMOFF, &start));
	for (i = 0; i < buffers; i++)
		CHECK(!munmap(m[i].mem, m[i].len));
	CHECK(!reqbufs(fd, 0));
}

static void test_stream_yuyv(int fd)
{
	stream(fd, V4L2_PIX_FMT_YUYV, 320, 240, 12);
}

static void test_stream_rgb(int fd)
{
	stream(fd, V4L2_PIX_FMT_RGB24, 160, 120, 12);
}

static void test_stream_again(int fd)
{
	int i;

	for (i = 0; i < 5 && !failed; i++)
		stream(fd, V4L2_PIX_FMT_YUYV, 160, 120, 3);
}

static bool begin(int fd, struct map m[2])
{
	int i;

	if (set_format(fd, V4L2_PIX_FMT_YUYV, 160, 120) || reqbufs(fd, 2) != 2)
		return false;
	for (i = 0; i < 2; i++)
		if (!map_buffer(fd, i, &m[i]) || qbuf(fd, i))
			return false;
	return !ioctl(fd, VIDIOC_STREAMON, &start);
}

/* Leaves no buffer queued, so that the next DQBUF waits */
static bool drain(int fd)
{
	struct v4l2_buffer b;

	return !dqbuf(fd, &b) && !dqbuf(fd, &b);
}

static void test_other_opener(int fd)
{
	int other = open(device, O_RDWR);
	struct v4l2_buffer b;
	struct map m[2];

	CHECK(other >= 0);
	CHECK(begin(fd, m));
	CHECK_ERROR(reqbufs(other, 2), EBUSY);
	CHECK_ERROR(reqbufs(other, 0), EBUSY);
	CHECK_ERROR(qbuf(other, 0), EBUSY);
	CHECK_ERROR(dqbuf(other, &b), EBUSY);
	CHECK_ERROR(ioctl(other, VIDIOC_STREAMON, &start), EBUSY);
	CHECK_ERROR(ioctl(other, VIDIOC_STREAMOFF, &start), EBUSY);
	CHECK_ERROR(set_format(other, V4L2_PIX_FMT_YUYV, 320, 240), EBUSY);
	CHECK(!bufcall(other, VIDIOC_QUERYBUF, 1, &b));
	CHECK_ERROR(reqbufs(fd, 2), EBUSY);
	/* buffers are free again when the owner is gone, mappings and all */
	CHECK(!ioctl(fd, VIDIOC_STREAMOFF, &start));
	CHECK(!munmap(m[0].mem, m[0].len) && !munmap(m[1].mem, m[1].len));
	CHECK(!reqbufs(fd, 0));
	CHECK(reqbufs(other, 3) == 3);
}

static void test_owner_closes(int fd)
{
	int other = open(device, O_RDWR), i, err = EBUSY;
	struct map m[2];

	CHECK(other >= 0);
	CHECK(begin(other, m));
	CHECK_ERROR(reqbufs(fd, 2), EBUSY);
	CHECK(!munmap(m[0].mem, m[0].len) && !munmap(m[1].mem, m[1].len));
	CHECK(!close(other));
	/* the server learns of it when it gets there */
	for (i = 0; i < 100 && err == EBUSY; i++) {
		nap(20);
		err = reqbufs(fd, 2) == 2 ? 0 : errno;
	}
	CHECK(!err);
}

static void test_priority(int fd)
{
	int other = open(device, O_RDWR);
	uint32_t prio = V4L2_PRIORITY_RECORD;
	struct v4l2_control c = { .id = V4L2_CID_HUE, .value = 0 };

	CHECK(other >= 0);
	CHECK(!ioctl(other, VIDIOC_S_PRIORITY, &prio));
	CHECK_ERROR(ioctl(fd, VIDIOC_S_CTRL, &c), EBUSY);
	CHECK_ERROR(reqbufs(fd, 2), EBUSY);
	CHECK(!ioctl(fd, VIDIOC_G_PRIORITY, &prio));
	CHECK(prio == V4L2_PRIORITY_RECORD);
	CHECK(!ioctl(other, VIDIOC_S_CTRL, &c));
}

static void test_nonblock_by_fcntl(int fd)
{
	struct v4l2_buffer b;
	struct map m[2];

	CHECK(begin(fd, m));
	CHECK(drain(fd));
	CHECK(!fcntl(fd, F_SETFL, O_NONBLOCK));
	CHECK_ERROR(dqbuf(fd, &b), EAGAIN);
	CHECK(!fcntl(fd, F_SETFL, 0));
	CHECK(!qbuf(fd, 0));
	CHECK(!dqbuf(fd, &b));
}

static void test_nonblock_by_open(int fd)
{
	int other = open(device, O_RDWR | O_NONBLOCK);
	struct v4l2_buffer b;
	struct map m[2];

	(void)fd;
	CHECK(other >= 0);
	CHECK(begin(other, m));
	CHECK(!fcntl(other, F_SETFL, 0));
	CHECK(drain(other));
	CHECK(!fcntl(other, F_SETFL, O_NONBLOCK));
	CHECK_ERROR(dqbuf(other, &b), EAGAIN);
}

static volatile sig_atomic_t signals;

static void count_signal(int sig)
{
	(void)sig;
	signals++;
}

static void interrupt(int fd, int flags, bool restarts)
{
	struct sigaction sa = { .sa_handler = count_signal, .sa_flags = flags };
	struct v4l2_buffer b;
	struct map m[2];
	int status;
	pid_t pid;

	CHECK(begin(fd, m));
	CHECK(drain(fd));
	CHECK(!sigaction(SIGUSR1, &sa, NULL));
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		nap(200);
		kill(getppid(), SIGUSR1);
		nap(400);
		_exit(qbuf(fd, 0) ? errno : 0);
	}
	if (restarts)
		CHECK(!dqbuf(fd, &b));
	else
		CHECK_ERROR(dqbuf(fd, &b), EINTR);
	CHECK(signals == 1);
	CHECK(waitpid(pid, &status, 0) == pid && !status);
}

static void test_signal_interrupts(int fd)
{
	interrupt(fd, 0, false);
}

static void test_signal_restarts(int fd)
{
	interrupt(fd, SA_RESTART, true);
}

static void test_kill_in_dqbuf(int fd)
{
	struct v4l2_buffer b;
	struct map m[2];
	double t;
	pid_t pid;

	CHECK(begin(fd, m));
	CHECK(drain(fd));
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		dqbuf(fd, &b);
		_exit(0);
	}
	nap(300);
	CHECK(!waitpid(pid, NULL, WNOHANG));
	t = now();
	CHECK(!kill(pid, SIGKILL));
	CHECK(waitpid(pid, NULL, 0) == pid);
	CHECK(now() - t < 2);
	/* the frame was not taken by the dead */
	CHECK(!qbuf(fd, 0));
	CHECK(!dqbuf(fd, &b));
}

static void test_streamoff_ends_dqbuf(int fd)
{
	struct v4l2_buffer b;
	struct map m[2];
	int status;
	pid_t pid;

	CHECK(begin(fd, m));
	CHECK(drain(fd));
	pid = fork();
	CHECK(pid >= 0);
	if (!pid)
		_exit(dqbuf(fd, &b) ? errno : 0);
	nap(300);
	CHECK(!ioctl(fd, VIDIOC_STREAMOFF, &start));
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == EINVAL);
}

static void test_second_mapping(int fd)
{
	struct frame_format f = { .width = 160, .height = 120 };
	int other = open(device, O_RDWR);
	struct v4l2_buffer b;
	struct map m[2], o[2];
	uint32_t number;
	int i;

	CHECK(other >= 0);
	CHECK(begin(fd, m));
	/* not the file that the buffers are bound to */
	for (i = 0; i < 2; i++)
		CHECK(map_buffer(other, i, &o[i]));
	CHECK(!dqbuf(fd, &b));
	CHECK(is_frame(o[b.index].mem, &f, &number) && number == b.sequence);
	CHECK(!memcmp(o[b.index].mem, m[b.index].mem, m[b.index].len));
	o[b.index].mem[m[0].len - 1] ^= 0xff;
	CHECK(!is_frame(m[b.index].mem, &f, &number));
	CHECK(memcmp(m[0].mem, m[1].mem, m[0].len));
}

static void test_mapped_flag(int fd)
{
	int other = open(device, O_RDWR);
	struct v4l2_buffer b;
	struct map m;

	CHECK(other >= 0);
	CHECK(!set_format(fd, V4L2_PIX_FMT_YUYV, 160, 120));
	CHECK(reqbufs(fd, 2) == 2);
	CHECK(!bufcall(fd, VIDIOC_QUERYBUF, 1, &b));
	CHECK(!(b.flags & V4L2_BUF_FLAG_MAPPED));
	CHECK(map_buffer(other, 1, &m));
	CHECK(!bufcall(fd, VIDIOC_QUERYBUF, 1, &b));
	CHECK(b.flags & V4L2_BUF_FLAG_MAPPED);
	/* the server sees the munmap before this file's next ioctl */
	CHECK(!munmap(m.mem, m.len));
	CHECK(!bufcall(other, VIDIOC_QUERYBUF, 1, &b));
	CHECK(!(b.flags & V4L2_BUF_FLAG_MAPPED));
}

static void test_munmap_order(int fd)
{
	int other = open(device, O_RDWR), i;
	struct v4l2_buffer b;
	struct map m;

	CHECK(other >= 0);
	CHECK(!set_format(fd, V4L2_PIX_FMT_YUYV, 160, 120));
	CHECK(reqbufs(fd, 2) == 2);
	for (i = 0; i < 200; i++) {
		CHECK(map_buffer(other, 1, &m));
		CHECK(!munmap(m.mem, m.len));
		CHECK(!bufcall(other, VIDIOC_QUERYBUF, 1, &b));
		CHECK(!(b.flags & V4L2_BUF_FLAG_MAPPED));
	}
}

static void test_bad_mappings(int fd)
{
	size_t page = sysconf(_SC_PAGESIZE);
	struct map m[2];

	CHECK_ERROR((long)mmap(NULL, page, PROT_READ, MAP_SHARED, fd, 0),
		    EINVAL);
	CHECK(begin(fd, m));
	CHECK(m[0].offset != m[1].offset);
	CHECK_ERROR((long)mmap(NULL, page, PROT_READ, MAP_SHARED, fd,
			       100 * 1024 * 1024), EINVAL);
	CHECK_ERROR((long)mmap(NULL, m[1].len + page, PROT_READ, MAP_SHARED,
			       fd, m[1].offset), EINVAL);
}

static void test_orphans(int fd)
{
	struct frame_format f = { .width = 160, .height = 120 };
	uint32_t number, sequence;
	struct v4l2_buffer b;
	struct map m[2], n[2];
	uint8_t *old;

	CHECK(begin(fd, m));
	CHECK(!dqbuf(fd, &b));
	old = m[b.index].mem;
	sequence = b.sequence;
	CHECK(!ioctl(fd, VIDIOC_STREAMOFF, &start));
	CHECK(!reqbufs(fd, 0));
	CHECK(is_frame(old, &f, &number) && number == sequence);
	/* new ones are other memory, at the same offsets */
	CHECK(begin(fd, n));
	CHECK(n[0].offset == m[0].offset);
	CHECK(drain(fd));
	CHECK(is_frame(n[0].mem, &f, &number));
	memset(n[0].mem, 1, n[0].len);
	memset(n[1].mem, 1, n[1].len);
	CHECK(is_frame(old, &f, &number) && number == sequence);
}

static void test_mapping_outlives_file(int fd)
{
	struct frame_format f = { .width = 160, .height = 120 };
	int other = open(device, O_RDWR);
	struct v4l2_buffer b;
	struct map m[2];
	uint32_t number;

	(void)fd;
	CHECK(other >= 0);
	CHECK(begin(other, m));
	CHECK(!dqbuf(other, &b));
	CHECK(!close(other));
	CHECK(is_frame(m[b.index].mem, &f, &number) && number == b.sequence);
	CHECK(!munmap(m[!b.index].mem, m[0].len));
	CHECK(is_frame(m[b.index].mem, &f, &number) && number == b.sequence);
}

static void test_poll(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct v4l2_buffer b;
	struct map m[2];
	int i;

	CHECK(poll(&p, 1, 0) == 1 && p.revents & POLLERR);
	CHECK(begin(fd, m));
	for (i = 0; i < 5; i++) {
		CHECK(poll(&p, 1, 5000) == 1);
		CHECK((p.revents & (POLLIN | POLLERR)) == POLLIN);
		CHECK(!fcntl(fd, F_SETFL, O_NONBLOCK));
		CHECK(!dqbuf(fd, &b));
		CHECK(!fcntl(fd, F_SETFL, 0));
		CHECK(!qbuf(fd, b.index));
	}
	CHECK(drain(fd));
	CHECK(!poll(&p, 1, 200));
	CHECK(!ioctl(fd, VIDIOC_STREAMOFF, &start));
	CHECK(poll(&p, 1, 5000) == 1 && p.revents & POLLERR);
}

static void test_events(int fd)
{
	struct v4l2_event_subscription s = {
		.type = V4L2_EVENT_CTRL,
		.id = V4L2_CID_BRIGHTNESS,
	};
	struct v4l2_control c = { .id = V4L2_CID_BRIGHTNESS, .value = 99 };
	int other = open(device, O_RDWR);
	struct pollfd p = { .fd = fd, .events = POLLPRI };
	struct v4l2_event e;

	CHECK(other >= 0);
	c.value = 50;
	CHECK(!ioctl(other, VIDIOC_S_CTRL, &c));
	CHECK(!ioctl(fd, VIDIOC_SUBSCRIBE_EVENT, &s));
	CHECK(!fcntl(fd, F_SETFL, O_NONBLOCK));
	CHECK_ERROR(ioctl(fd, VIDIOC_DQEVENT, &e), ENOENT);
	CHECK(!poll(&p, 1, 0));
	c.value = 99;
	CHECK(!ioctl(other, VIDIOC_S_CTRL, &c));
	CHECK(poll(&p, 1, 5000) == 1 && p.revents & POLLPRI);
	CHECK(!ioctl(fd, VIDIOC_DQEVENT, &e));
	CHECK(e.type == V4L2_EVENT_CTRL && e.id == V4L2_CID_BRIGHTNESS);
	CHECK(e.u.ctrl.changes == V4L2_EVENT_CTRL_CH_VALUE);
	CHECK(e.u.ctrl.value == 99 && e.u.ctrl.maximum == 255);
	CHECK(e.pending == 0 && e.sequence == 0);
	CHECK(llabs(e.timestamp.tv_sec - (long long)now()) < 5);
	/* own changes are not told */
	c.value = 128;
	CHECK(!ioctl(fd, VIDIOC_S_CTRL, &c));
	CHECK_ERROR(ioctl(fd, VIDIOC_DQEVENT, &e), ENOENT);
}

static void test_controls(int fd)
{
	struct v4l2_ext_control list[2] = {
		{ .id = V4L2_CID_HUE, .value = 1000 },
		{ .id = V4L2_CID_TEST_PATTERN, .value = 2 },
	};
	struct v4l2_ext_controls cs = { .count = 2, .controls = list };
	struct v4l2_queryctrl q = { .id = V4L2_CTRL_FLAG_NEXT_CTRL };
	int n = 0;

	CHECK(!ioctl(fd, VIDIOC_S_EXT_CTRLS, &cs));
	CHECK(list[0].value == 127);
	list[0].value = list[1].value = -1;
	CHECK(!ioctl(fd, VIDIOC_G_EXT_CTRLS, &cs));
	CHECK(list[0].value == 127 && list[1].value == 2);
	CHECK(cs.controls == list);
	list[1].value = 77;
	CHECK_ERROR(ioctl(fd, VIDIOC_TRY_EXT_CTRLS, &cs), ERANGE);
	CHECK(cs.error_idx == 1);
	list[1].id = 12345;
	CHECK_ERROR(ioctl(fd, VIDIOC_S_EXT_CTRLS, &cs), EINVAL);
	CHECK(cs.error_idx == 2);
	cs.count = 3000;
	CHECK_ERROR(ioctl(fd, VIDIOC_G_EXT_CTRLS, &cs), EINVAL);
	list[0].value = list[1].value = 0;
	list[1].id = V4L2_CID_TEST_PATTERN;
	cs.count = 2;
	CHECK(!ioctl(fd, VIDIOC_S_EXT_CTRLS, &cs));
	while (!ioctl(fd, VIDIOC_QUERYCTRL, &q)) {
		q.id |= V4L2_CTRL_FLAG_NEXT_CTRL;
		n++;
	}
	CHECK(n == 6);
}

static void test_errors(int fd)
{
	struct v4l2_requestbuffers user = {
		.count = 2,
		.type = CAPTURE,
		.memory = V4L2_MEMORY_USERPTR,
	};
	struct v4l2_exportbuffer export = { .type = CAPTURE };
	struct v4l2_buffer b;
	char c;

	CHECK_ERROR(ioctl(fd, VIDIOC_EXPBUF, &export), ENOTTY);
	CHECK_ERROR(ioctl(fd, 0x1234), ENOTTY);
	CHECK_ERROR(ioctl(fd, VIDIOC_REQBUFS, &user), EINVAL);
	CHECK_ERROR(ioctl(fd, VIDIOC_REQBUFS, NULL), EFAULT);
	CHECK_ERROR(ioctl(fd, VIDIOC_STREAMON, &start), EINVAL);
	CHECK_ERROR(dqbuf(fd, &b), EINVAL);
	CHECK_ERROR(qbuf(fd, 0), EINVAL);
	CHECK_ERROR(read(fd, &c, 1), EINVAL);
	CHECK(reqbufs(fd, 1) == 2);
	CHECK(reqbufs(fd, 1000) == 32);
	CHECK(!qbuf(fd, 31));
	CHECK_ERROR(qbuf(fd, 31), EINVAL);
	CHECK_ERROR(qbuf(fd, 32), EINVAL);
}

static const struct test {
	const char *name;
	void (*run)(int fd);
} tests[] = {
#define TEST(name) { #name, test_##name }
	TEST(errors),
	TEST(controls),
	TEST(events),
	TEST(priority),
	TEST(stream_yuyv),
	TEST(stream_rgb),
	TEST(stream_again),
	TEST(other_opener),
	TEST(owner_closes),
	TEST(nonblock_by_fcntl),
	TEST(nonblock_by_open),
	TEST(poll),
	TEST(signal_interrupts),
	TEST(signal_restarts),
	TEST(streamoff_ends_dqbuf),
	TEST(kill_in_dqbuf),
	TEST(second_mapping),
	TEST(mapped_flag),
	TEST(munmap_order),
	TEST(bad_mappings),
	TEST(orphans),
	TEST(mapping_outlives_file),
};

/* A release reaches the server some time after its process is gone */
static int open_unused(void)
{
	int fd, i;

	for (i = 0; i < 100; i++) {
		fd = open(device, O_RDWR);
		if (fd < 0 || !reqbufs(fd, 0))
			return fd;
		close(fd);
		nap(20);
	}
	return -1;
}

static int run(const struct test *t)
{
	int fd = open_unused();

	if (fd < 0) {
		printf("# %s: %s\n", device, strerror(errno));
		return 1;
	}
	alarm(30);
	t->run(fd);
	if (failed)
		printf("# line %d: %s (errno %d: %s)\n", failed_line, failed,
		       failed_errno, strerror(failed_errno));
	return failed ? 1 : 0;
}

int main(int argc, char **argv)
{
	unsigned int i, n = sizeof(tests) / sizeof(tests[0]), bad = 0;
	const char *variant = "default";
	int status;
	pid_t pid;

	if (argc > 1)
		device = argv[1];
	if (argc > 2)
		variant = argv[2];
	printf("TAP version 13\n1..%u\n", n);
	for (i = 0; i < n; i++) {
		fflush(stdout);
		pid = fork();
		if (!pid)
			exit(run(&tests[i]));
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
			bad++;
		else
			printf("ok %u camera.%s.%s\n", i + 1, variant,
			       tests[i].name);
		if (pid < 0 || status)
			printf("not ok %u camera.%s.%s # status %#x\n", i + 1,
			       variant, tests[i].name, status);
	}
	return bad ? 1 : 0;
}
