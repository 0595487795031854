/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A FUSE and CUSE server for tests, on the raw protocol.
 *
 * The test itself is the server.  Its clients are processes of their own
 * (fuse_client.c), which do one system call at a time for it:
 *
 *	call_start(c, CLIENT_MMAP, ...);	the client is now in mmap(2)
 *	r = take(s, FUSE_MMAP);			which sent this
 *	reply(s, r, &out, sizeof(out));
 *	addr = call_end(c);			mmap(2) returned this
 *
 * take() fails the test if another request comes first, or none within WAIT_MS.
 * call() starts, serves what a file system must have (LOOKUP, OPEN, FLUSH,
 * RELEASE, ...) and ends; any other request that wants a reply fails the test.
 * Those that want none (FUSE_MUNMAP, FUSE_INTERRUPT, ...) are kept for take();
 * what is left over at server_check() fails the test.
 *
 * In every test it is checked that each FUSE_MMAP that was answered with a
 * nodeid gets exactly one FUSE_MUNMAP with its fields, before the FUSE_RELEASE
 * of its file, and that each FUSE_OPEN gets exactly one FUSE_RELEASE.
 */
#ifndef FUSE_SERVER_H
#define FUSE_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <linux/capability.h>
#include <linux/fuse.h>
#include <linux/fuse_buffer.h>

#include "fuse_client.h"

/* Until an answer is given up; debugging kernels under emulation are slow */
#define WAIT_MS		60000
/* A client that was killed, and whatever else must not wait for the server */
#define PROMPT_MS	10000

#define FILE_INO	2
#define FILE_PAGES	64
#define BUF(n)		(FUSE_BUFFER_NODEID | (n))

enum server_type {
	SERVER_FUSE,
	SERVER_CUSE,
};

struct request {
	struct request *next;
	void *from;		/* of its transport */
	struct fuse_in_header h;
	union {
		struct fuse_mmap_in mmap;
		struct fuse_munmap_in munmap;
		struct fuse_open_in open;
		struct fuse_release_in release;
		struct fuse_read_in read;
		struct fuse_write_in write;
		struct fuse_ioctl_in ioctl;
		struct fuse_poll_in poll;
		struct fuse_interrupt_in interrupt;
		struct fuse_notify_retrieve_in retrieve;
		char body[8];
	};
};

/* The structure that starts the request, and what follows it */
#define BODY(r, type)	((const type *)(const void *)(r)->body)
#define AFTER(r, type)	((const char *)(r)->body + sizeof(type))
/* Length of all that, and what of the request is not a header */
#define BODY_LEN(r)	((r)->h.len - sizeof((r)->h))

struct server;

/* How messages travel */
struct transport {
	const char *name;
	uint64_t init_flags;	/* to be negotiated */
	bool no_interrupts;	/* the server is not told of signals */
	/* mount; a reason to skip, or NULL.  The default: fd=, of the device */
	const char *(*connect)(struct server *s);
	/* after FUSE_INIT: a reason to skip, or NULL */
	const char *(*start)(struct server *s);
	void (*stop)(struct server *s);
	/* one message, or -EAGAIN; @from is for the request */
	ssize_t (*receive)(struct server *s, void *buf, size_t size,
			   void **from);
	/* @r: what it replies to, or NULL; 0 or -errno */
	int (*send)(struct server *s, struct request *r,
		    const struct iovec *iov, int n);
};

/* read(2) and write(2), the default */
extern const struct transport dev_transport;
extern const struct transport splice_transport;
extern const struct transport uring_transport;
extern const struct transport uring_pool_transport;
extern const struct transport uring_zero_copy_transport;
/* Of the device of virtiofs_relay whose tag is server.source: see fuse_virtio.h */
extern const struct transport virtiofs_transport;

struct ring;

/* A file that is there beside the one that always is */
struct server_node {
	uint64_t parent;
	const char *name;
	uint64_t ino;
	uint32_t mode;
	uint32_t flags;		/* FUSE_ATTR_* */
};

/* What the server believes to be mapped, or open */
struct server_file {
	struct server_file *next;
	uint64_t fh;
};

struct server_map {
	struct server_map *next;
	struct fuse_munmap_in munmap;
};

struct server {
	/* to be set before server_start(); 0: the default */
	enum server_type type;
	const struct transport *transport;
	const char *device;	/* instead of /dev/fuse */
	uint32_t max_write;
	uint32_t max_readahead;
	uint64_t init_flags;
	uint16_t request_timeout;	/* of FUSE_REQUEST_TIMEOUT, in seconds */
	uint32_t max_stack_depth;	/* of FUSE_PASSTHROUGH */
	bool unrestricted;	/* CUSE_UNRESTRICTED_IOCTL */
	bool manual_init;	/* the test takes FUSE_INIT or CUSE_INIT */
	const char *options;	/* of the mount, beside those it must have */
	bool block;		/* fuseblk, on a loop device of 1 MiB */
	const char *tag;	/* of the device of virtiofs, if not the first */
	const struct server_node *nodes;	/* to one without a name */
	unsigned int ring_depth;	/* requests of a CPU that a ring has room for */

	/* to be changed at any time */
	uint32_t open_flags;	/* FOPEN_* of the next FUSE_OPEN */
	uint64_t manual;	/* opcodes (1 << nr) that the test takes */
	uint32_t keep;		/* one more of them, of any number */
	bool io;		/* serve FUSE_READ and FUSE_WRITE */
	/* serve what the test does not take; false: it is not of that kind */
	bool (*serve)(struct server *s, struct request *r);
	bool deaf;		/* receive nothing outside of take() */

	/* results */
	int fd;
	int wait_fd;		/* to poll for requests */
	bool gone;		/* the connection ended */
	bool checked;		/* bookkeeping holds; not after a server's death */
	char path[128];		/* of the file, or of the device */
	char mnt[96];		/* FUSE */
	char name[32];		/* CUSE */
	unsigned int dev;	/* FUSE: number of the connection */
	uint64_t ino;		/* nodeid of the file */
	uint64_t fh;		/* of the latest FUSE_OPEN */
	unsigned int forgets;
	unsigned int zero_copied;	/* requests without their pages */
	unsigned int requests;	/* all that were received */
	uint32_t log[64];	/* the latest opcodes, a ring */

	struct server *next;
	struct request *inbox;
	struct server_file *files;
	struct server_map *maps;
	size_t bufsize;
	char *buf;
	int pipe[2];		/* of splice_transport */
	struct ring *ring;	/* of uring_transport and its kind */
};

struct client {
	int sock;
	int pid;
	int pidfd;
	int wordsize;
	uint32_t fail_nth;	/* for the next command: see fail-nth in proc */
	struct client_answer answer;
	size_t in_len;
	char area[CLIENT_DATA];
};

extern int test_line;
extern const char *test_file;
extern const char *test_case;	/* where a test has many, the one being tested */
#define HERE(...)	(test_line = __LINE__, test_file = __FILE__, __VA_ARGS__)

/* End the test */
void fail(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* End it as skipped */
void skip(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/*
 * A fault of mainline that this series mends: without the series the test ends
 * here as skipped; with FUSE_FAULTS in the environment it goes on, and fails.
 */
void needs_mended(struct server *s, const char *fault);
/* Where the harness looks for why a test was skipped; fixtures set it */
extern char (*skip_reason)[1024];

/* A field of a message, or what else is one of many to be checked */
void check_value(const char *what, uint64_t expected, uint64_t seen);
#define CHECK(expected, seen) check_value(#seen, expected, seen)

/*
 * Go to a mount namespace with a /tmp of our own.  These and
 * server_start() return a reason to skip, or NULL.
 */
const char *test_begin(void);
const char *test_dir(void);
void test_end(void);

/* An overlay file system in the new directory @path; -1 if there is none */
int mount_overlay(const char *path);

const char *server_start(struct server *s);
/* Nothing was received that the test did not take; before the clients end */
void server_check(struct server *s);
/* All that clients had has come back; after their end */
void server_stop(struct server *s);
/* The server dies: the device is closed, without a word */
void server_die(struct server *s);
/* Path of a file of the connection in fusectl or in CUSE's class */
const char *server_control(struct server *s, const char *name);
/* Somebody else ends the connection */
void server_abort(struct server *s);

/* The next that is the test's to take; @opcode 0: any of S->manual */
struct request *server_take(struct server *s, uint32_t opcode);
void server_quiet(struct server *s);
/* Something can be received; without doing it */
bool server_pending(struct server *s);
void server_wait_pending(struct server *s);
int server_reply(struct server *s, struct request *r, int error,
		 const void *data, size_t len);

/*
 * Replies that are wrong on purpose, and counted as such; they return what the
 * kernel said to the server.
 */
int reply_header(struct server *s, struct request *r,
		 const struct fuse_out_header *h, const void *data, size_t len);
int reply_raw(struct server *s, struct request *r, uint32_t len_in_header,
	      int error, const void *data, size_t len);

enum bad_reply {
	BAD_SHORT,		/* a byte less; not for replies of any length */
	BAD_LONG,		/* 8 bytes more */
	BAD_ERROR_POSITIVE,
	BAD_ERROR_RANGE,	/* what no system call may return */
	BAD_UNIQUE,
	BAD_REPLIES
};

/*
 * Make the good reply @data bad, check what the kernel says to it, and see that
 * the request ends; returns the errno of the client's system call, -EIO by the
 * device.
 */
int server_reply_bad(struct server *s, struct request *r, enum bad_reply how,
		     const void *data, size_t len);
#define reply_bad(s, r, how, data, len) \
	HERE(server_reply_bad(s, r, how, data, len))

/* The next node that is forgotten, alone or with others */
void server_take_forget(struct server *s, uint64_t nodeid, uint64_t nlookup);

#define take(s, opcode)		HERE(server_take(s, opcode))
#define take_forget(s, ...)	HERE(server_take_forget(s, __VA_ARGS__))
#define quiet(s)		HERE(server_quiet(s))
#define reply(s, r, data, len)	server_reply(s, r, 0, data, len)
#define reply_error(s, r, err)	server_reply(s, r, err, NULL, 0)

/* take() and reply(), without a look at the request */
void server_answer(struct server *s, uint32_t opcode, const void *data,
		   size_t len);
#define answer(s, opcode, data, len) \
	HERE(server_answer(s, opcode, data, len))

int server_notify(struct server *s, int code, const void *out, size_t size,
		  const void *data, size_t len);
int store(struct server *s, uint64_t nodeid, uint64_t offset, const void *data,
	  uint32_t len);
int retrieve(struct server *s, uint64_t nodeid, uint64_t offset, uint32_t len,
	     uint64_t unique);
int inval(struct server *s, uint64_t nodeid, int64_t offset, int64_t len);

/* The node of a CUSE device, after CUSE_INIT; for manual_init */
const char *cuse_node(struct server *s);

/* 0 or -errno, or a file descriptor */
int counted_ioctl(int fd, unsigned long cmd, const void *arg);
int server_enable(struct server *s, uint64_t features);
int buffer_open(struct server *s, uint64_t nodeid, uint64_t size);
int buffer_open_flags(struct server *s, uint64_t nodeid, uint64_t size,
		      uint32_t flags);
int buffer_bind(struct server *s, uint64_t fh, uint64_t start, uint64_t len,
		uint64_t nodeid, uint64_t offset, uint64_t size);
int buffer_unbind(struct server *s, uint64_t fh, uint64_t start, uint64_t len);
bool buffer_exists(struct server *s, uint64_t nodeid);
/* A number of /proc/self/fdinfo/@fd */
uint64_t fdinfo(int fd, const char *key);

/*
 * @program is fuse_client or fuse_client32, beside the test's program.
 * client_try() returns a reason to skip, or NULL.
 */
const char *client_try(struct client *c, const char *program);
void client_start(struct client *c, const char *program);
/* Another process, which @c forks and which has its memory and its files */
void client_fork(struct client *c, struct client *child);
void client_exec(struct client *c);
/* Capabilities of the first 32: our own, effective or not; one of a client */
int set_caps(uint32_t caps, bool on);
void client_drop_cap(struct client *c, int cap);
void client_exit(struct client *c);
void client_kill(struct client *c, int sig);
/*
 * All, at the end of a test that has not ended them: a mount of a virtiofs device
 * that somebody still holds would also be that of the next test
 */
void clients_kill(void);
void client_send(struct client *c, uint32_t op, const int64_t *a,
		 const void *data, size_t len, int fd);
int64_t client_wait(struct client *c);
/* It is dead, and the kernel has given back all that it had; how long it took */
int client_gone(struct client *c);
/* a client that was killed, and the interrupts of what it does before it dies */
void server_gone(struct server *s, struct client *c);
/* It is still in its system call, and has slept in it */
void client_sleeps(struct client *c);

#define call_start(c, op, ...) \
	HERE(client_send(c, op, (int64_t[7]){ __VA_ARGS__ }, NULL, 0, -1))
#define call_end(c)	HERE(client_wait(c))
#define call(c, op, ...) \
	(call_start(c, op, __VA_ARGS__), client_wait(c))
#define call_data(c, op, data, len, ...) \
	(HERE(client_send(c, op, (int64_t[7]){ __VA_ARGS__ }, data, len, -1)), \
	 client_wait(c))

/*
 * Any system call of @c.  An argument that is an address is one of the client's
 * memory, or str() or in(), copies for this call, or ARG(offset) below
 * CLIENT_OUT, which is zeroed.  After the call, out() is what it left there:
 *
 *	sys(c, SYS_mkdirat, AT_FDCWD, path(c, s, "dir"), 0755);
 *	sys(c, SYS_statx, fd, str(c, ""), AT_EMPTY_PATH, STATX_ALL, ARG(0));
 *	stx = out(c, ARG(0));
 */
#define sys_start(c, nr, ...) \
	HERE(client_sys(c, (int64_t[7]){ [6] = (nr), [0] = __VA_ARGS__ }))
#define sys(c, nr, ...)	(sys_start(c, nr, __VA_ARGS__), client_wait(c))
#define in(c, data, len) client_in(c, data, len)
#define str(c, text)	client_in(c, text, strlen(text) + 1)
#define path(c, s, name) str(c, server_path(s, name))
#define out(c, arg)	((void *)((c)->answer.data + ARG_OFFSET(arg)))
int64_t client_in(struct client *c, const void *data, size_t len);
void client_sys(struct client *c, const int64_t *a);
/* A name in the file system of @s; "": its root */
const char *server_path(struct server *s, const char *name);

/* Open the file of @s in @c; its fh is then s->fh */
#define client_open(c, s, flags) \
	((int)call_data(c, CLIENT_OPEN, (s)->path, strlen((s)->path) + 1, flags))

/*
 * mmap(2) in @c, for which @s expects one FUSE_MMAP, checks all of its fields
 * and replies with @out.
 */
struct map_args {
	int fd;
	uint64_t fh;
	uint64_t addr;
	uint64_t len;
	uint64_t offset;
	int prot;
	int flags;
	struct fuse_mmap_out out;
	size_t out_size;	/* 0: all of it */
	int error;
};

int64_t client_map(struct client *c, struct server *s, const struct map_args *m);
#define map(c, s, ...) \
	HERE(client_map(c, s, &(struct map_args){ __VA_ARGS__ }))
struct request *take_mmap(struct client *c, struct server *s,
			  const struct map_args *m);
void check_munmap(struct server *s, uint64_t fh, uint64_t nodeid,
		  uint64_t offset, uint64_t len);
#define take_munmap(s, ...)	HERE(check_munmap(s, __VA_ARGS__))

/*
 * For tests of io_uring itself: a ring, without entries; and one command of
 * fuse.h, whose payload is what @iov has.  Returns its result, or -EINPROGRESS
 * if the kernel keeps it.
 */
const char *ring_open(struct server *s);
int ring_cmd(struct server *s, uint32_t op, const struct fuse_uring_cmd_req *req,
	     const struct iovec *iov, int n);
void ring_close(struct server *s);
/* The request @unique is there to be received */
bool ring_has(struct server *s, uint64_t unique);
/* mprotect(2) of the headers of all entries, or of their payloads */
void ring_protect(struct server *s, bool payloads, int prot);

/* Write a file of proc or sysfs: 0 or -errno */
int write_text(const char *path, const char *text);
/* Read one, NUL-terminated: its length or -errno */
int read_text(const char *path, char *buf, size_t size);
/*
 * The file of a parameter or sysctl of fs/fuse: of the module cuse.ko, where
 * that has the device beside a fuse that is built in. Good for some more calls.
 */
const char *fuse_knob(const char *name);
/* Undone at the end of the test, however it ends */
int set_sysctl(const char *path, unsigned long value);
int64_t now_ms(void);
/* Sleep until @fd can be read, serving all servers: false if it took too long */
bool serve_until(int fd, int ms);
/* Poll a condition that raises no event, serving meanwhile */
#define eventually(cond) ({						\
	int64_t __end = now_ms() + PROMPT_MS;				\
	bool __ok;							\
	while (!(__ok = (cond)) && now_ms() < __end)			\
		serve_until(-1, 10);					\
	__ok;								\
})

#endif /* FUSE_SERVER_H */
