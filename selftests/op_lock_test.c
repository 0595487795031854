// SPDX-License-Identifier: GPL-2.0
/* GETLK, SETLK, SETLKW: POSIX locks, those of open files, and flock(2) */
#include <sys/file.h>
#include "../../kselftest_harness.h"
#include "fuse_fixture.h"
#include "op_call.h"

#define TO_END		INT64_MAX
#define LK_LEN		sizeof(struct fuse_lk_in)

FUSE_OP_FIXTURE(lock, .init_flags = FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS);

static void start_lock(struct client *c, int fd, int cmd, int type,
		       int64_t start, int64_t len)
{
	struct flock lock = {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = start,
		.l_len = len,
	};

	sys_start(c, SYS_fcntl, fd, cmd, in(c, &lock, sizeof(lock)));
}

/* Returns the owner */
static uint64_t check_lock(struct request *r, uint64_t fh, int type,
			   uint64_t start, uint64_t end, uint32_t pid,
			   uint32_t flags)
{
	const struct fuse_lk_in *in = BODY(r, struct fuse_lk_in);

	NEED(in->fh == fh);
	NEED(in->lk.start == start);
	NEED(in->lk.end == end);
	NEED(in->lk.type == (uint32_t)type);
	NEED(in->lk.pid == pid);
	NEED(in->lk_flags == flags);
	NEED(in->padding == 0);
	return in->owner;
}

static void start_get(struct server *s, struct client *c, int fd)
{
	start_lock(c, fd, F_GETLK, F_WRLCK, 10, 20);
}

FUSE_TEST(lock, getlk)
{
	static const struct fuse_lk_out unlocked = { .lk.type = F_UNLCK };
	static const struct op_call op = {
		.opcode = FUSE_GETLK,
		.start = start_get,
		.in_len = LK_LEN,
		.out = &unlocked,
		.len = sizeof(unlocked),
	};
	const struct {
		struct fuse_file_lock lk;
		int64_t ret;
	} answers[] = {
		{ { .type = F_RDLCK, .start = 5, .end = 14, .pid = C->pid }, 0 },
		{ { .type = F_WRLCK, .end = TO_END, .pid = C->pid }, 0 },
		{ { .type = F_WRLCK, .start = 15, .end = 14 }, -EIO },
		{ { .type = F_RDLCK, .start = 1ULL << 63, .end = -1 }, -EIO },
		{ { .type = F_RDLCK, .start = 1, .end = 1ULL << 63 }, -EIO },
		{ { .type = 77, .start = 1, .end = 2 }, -EIO },
	};
	int fd = client_open(C, S, O_RDWR);
	struct fuse_lk_out out = { };
	struct request *r;
	struct flock *l;
	size_t i;

	r = op_begin(S, C, fd, &op);
	check_lock(r, S->fh, F_WRLCK, 10, 29, 0, 0);
	ASSERT_EQ(0, reply(S, r, &unlocked, sizeof(unlocked)));
	ASSERT_EQ(0, call_end(C));
	/* fcntl() writes into what it got, the first argument in memory */
	l = out(C, ARG(CLIENT_OUT));
	ASSERT_EQ(F_UNLCK, l->l_type);

	for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		r = op_begin(S, C, fd, &op);
		out.lk = answers[i].lk;
		ASSERT_EQ(0, reply(S, r, &out, sizeof(out)));
		ASSERT_EQ(answers[i].ret, call_end(C));
		if (answers[i].ret)
			continue;
		l = out(C, ARG(CLIENT_OUT));
		ASSERT_EQ(out.lk.type, l->l_type);
		ASSERT_EQ(out.lk.start, l->l_start);
		ASSERT_EQ(out.lk.end == TO_END ? 0 :
			  out.lk.end - out.lk.start + 1, l->l_len);
		ASSERT_EQ(C->pid, l->l_pid);
	}
	all_replies(S, C, fd, &op);
	/* nothing is latched */
	answer_op(S, C, fd, &op, -ENOSYS, -ENOSYS);
	answer_op(S, C, fd, &op, 0, 0);
}

static void start_set(struct server *s, struct client *c, int fd)
{
	start_lock(c, fd, F_SETLK, F_RDLCK, 0, 0);
}

static void start_wait(struct server *s, struct client *c, int fd)
{
	start_lock(c, fd, F_SETLKW, F_WRLCK, 100, 1);
}

static const struct op_call set_op = {
	.opcode = FUSE_SETLK,
	.start = start_set,
	.in_len = LK_LEN,
};

static const struct op_call wait_op = {
	.opcode = FUSE_SETLKW,
	.start = start_wait,
	.in_len = LK_LEN,
};

FUSE_TEST(lock, setlk)
{
	int fd = client_open(C, S, O_RDWR);
	uint64_t owner, other;
	struct request *r;

	r = op_begin(S, C, fd, &set_op);
	owner = check_lock(r, S->fh, F_RDLCK, 0, TO_END, C->pid, 0);
	ASSERT_EQ(0, reply_error(S, r, -EAGAIN));
	ASSERT_EQ(-EAGAIN, call_end(C));
	all_replies(S, C, fd, &set_op);
	answer_op(S, C, fd, &set_op, -ENOSYS, -ENOSYS);
	needs_mended(S, "locks fail with errno 512");
	/* of the server's own will: there is nothing to restart */
	answer_op(S, C, fd, &set_op, -EINTR, -EINTR);

	/* unlocking: no pid */
	start_lock(C, fd, F_SETLK, F_UNLCK, 4096, 4096);
	r = op_take(S, C, FUSE_SETLK, 0, LK_LEN);
	ASSERT_EQ(owner, check_lock(r, S->fh, F_UNLCK, 4096, 8191, 0, 0));
	ASSERT_EQ(0, reply(S, r, NULL, 0));
	ASSERT_EQ(0, call_end(C));

	/* the lock of an open file is another owner's */
	start_lock(C, fd, F_OFD_SETLK, F_WRLCK, 0, 1);
	r = op_take(S, C, FUSE_SETLK, 0, LK_LEN);
	other = check_lock(r, S->fh, F_WRLCK, 0, 0, C->pid, 0);
	ASSERT_NE(owner, other);
	ASSERT_EQ(0, reply(S, r, NULL, 0));
	ASSERT_EQ(0, call_end(C));

	/* close(2) ends the process's locks, says FUSE_FLUSH */
	sys_start(C, SYS_close, fd);
	r = op_take(S, C, FUSE_FLUSH, 0, sizeof(struct fuse_flush_in));
	ASSERT_EQ(owner, BODY(r, struct fuse_flush_in)->lock_owner);
	ASSERT_EQ(0, reply(S, r, NULL, 0));
	ASSERT_EQ(0, call_end(C));
}

FUSE_TEST(lock, setlkw)
{
	int fd = client_open(C, S, O_RDWR);
	struct client other;
	struct request *r, *w;
	uint64_t owner;

	all_replies(S, C, fd, &wait_op);

	/* one waits, until the server hears of the other's unlocking */
	client_fork(C, &other);
	w = op_begin(S, C, fd, &wait_op);
	owner = check_lock(w, S->fh, F_WRLCK, 100, 100, C->pid, 0);
	start_lock(&other, fd, F_SETLK, F_UNLCK, 100, 1);
	r = op_take(S, &other, FUSE_SETLK, 0, LK_LEN);
	ASSERT_NE(owner, check_lock(r, S->fh, F_UNLCK, 100, 100, 0, 0));
	client_sleeps(C);
	ASSERT_EQ(0, reply(S, r, NULL, 0));
	ASSERT_EQ(0, client_wait(&other));
	ASSERT_EQ(0, reply(S, w, NULL, 0));
	ASSERT_EQ(0, call_end(C));
	client_exit(&other);

	/* a handler with SA_RESTART: the server is asked again */
	ASSERT_EQ(0, call(C, CLIENT_SIGACTION, SIGUSR1, SA_RESTART));
	w = op_begin(S, C, fd, &wait_op);
	client_kill(C, SIGUSR1);
	r = take(S, FUSE_INTERRUPT);
	ASSERT_EQ(w->h.unique, r->interrupt.unique);
	ASSERT_EQ(0, reply_error(S, w, -EINTR));
	w = op_take(S, C, FUSE_SETLKW, 0, LK_LEN);
	ASSERT_EQ(owner, check_lock(w, S->fh, F_WRLCK, 100, 100, C->pid, 0));
	ASSERT_EQ(0, reply(S, w, NULL, 0));
	ASSERT_EQ(0, call_end(C));
}

/*
 * A signal before the server has read the request: it gets both.  One that is
 * killed by then takes its request along, unless the ring has it already.
 */
FUSE_TEST(lock, setlkw_unread)
{
	struct client child;
	struct request *r;
	int fd, sig;

	/* a death is to send nothing else */
	S->open_flags = FOPEN_NOFLUSH;
	fd = client_open(C, S, O_RDWR);
	ASSERT_EQ(0, call(C, CLIENT_SIGACTION, SIGUSR1, 0));
	client_fork(C, &child);
	for (sig = SIGUSR1; sig; sig = sig == SIGUSR1 ? SIGKILL : 0) {
		S->deaf = true;
		start_wait(S, &child, fd);
		HERE(server_wait_pending(S));
		client_kill(&child, sig);
		if (sig == SIGKILL && !S->ring) {
			ASSERT_TRUE(eventually(!server_pending(S)));
		} else {
			r = take(S, FUSE_SETLKW);
			ASSERT_EQ(r->h.unique,
				  take(S, FUSE_INTERRUPT)->interrupt.unique);
			ASSERT_EQ(0, reply_error(S, r, -EINTR));
		}
		S->deaf = false;
		if (sig == SIGUSR1)
			ASSERT_EQ(-EINTR, client_wait(&child));
	}
	HERE(client_gone(&child));
}

static void start_flock(struct server *s, struct client *c, int fd)
{
	sys_start(c, SYS_flock, fd, LOCK_EX);
}

FUSE_TEST(lock, flock)
{
	static const struct op_call op = {
		.opcode = FUSE_SETLKW,
		.start = start_flock,
		.in_len = LK_LEN,
	};
	static const struct {
		int how;
		uint32_t opcode;
		int type;
	} how[] = {
		{ LOCK_SH, FUSE_SETLKW, F_RDLCK },
		{ LOCK_EX, FUSE_SETLKW, F_WRLCK },
		{ LOCK_SH | LOCK_NB, FUSE_SETLK, F_RDLCK },
		{ LOCK_EX | LOCK_NB, FUSE_SETLK, F_WRLCK },
		{ LOCK_UN, FUSE_SETLKW, F_UNLCK },
	};
	const struct fuse_release_in *in;
	uint64_t owner = 0, o;
	struct request *r;
	size_t i;
	int fd;

	fd = client_open(C, S, O_RDWR);
	for (i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		sys_start(C, SYS_flock, fd, how[i].how);
		r = op_take(S, C, how[i].opcode, 0, LK_LEN);
		o = check_lock(r, S->fh, how[i].type, 0, TO_END,
			       how[i].type == F_UNLCK ? 0 : C->pid,
			       FUSE_LK_FLOCK);
		ASSERT_EQ(true, !owner || o == owner);
		owner = o;
		ASSERT_EQ(0, reply(S, r, NULL, 0));
		ASSERT_EQ(0, call_end(C));
	}
	all_replies(S, C, fd, &op);
	answer_op(S, C, fd, &op, -EWOULDBLOCK, -EWOULDBLOCK);

	/* the lock goes with the open file, which the server learns by that */
	S->manual = 1ULL << FUSE_RELEASE;
	ASSERT_EQ(0, sys(C, SYS_close, fd));
	r = op_take(S, NULL, FUSE_RELEASE, 0, 0);
	in = BODY(r, struct fuse_release_in);
	ASSERT_EQ(sizeof(*in), BODY_LEN(r));
	ASSERT_EQ(S->fh, in->fh);
	ASSERT_EQ(FUSE_RELEASE_FLOCK_UNLOCK, in->release_flags);
	ASSERT_EQ(owner, in->lock_owner);
	ASSERT_EQ(0, reply(S, r, NULL, 0));
}

/* A server that did not ask for them is not asked: locks are local */
FUSE_OP_FIXTURE(local_lock);
VIRTIOFS_VARIANT(local_lock);

FUSE_TEST(local_lock, all)
{
	struct client other;
	int fd, fd2;

	fd = client_open(C, S, O_RDWR);
	fd2 = client_open(C, S, O_RDWR);
	client_fork(C, &other);
	start_lock(C, fd, F_SETLK, F_WRLCK, 0, 10);
	ASSERT_EQ(0, call_end(C));
	start_lock(&other, fd, F_SETLK, F_WRLCK, 5, 10);
	ASSERT_EQ(-EAGAIN, client_wait(&other));
	start_lock(&other, fd, F_GETLK, F_WRLCK, 5, 10);
	ASSERT_EQ(0, client_wait(&other));
	ASSERT_EQ(C->pid, ((struct flock *)out(&other, ARG(CLIENT_OUT)))->l_pid);

	/* one that waits, and gives up */
	ASSERT_EQ(0, call(&other, CLIENT_SIGACTION, SIGUSR1, 0));
	start_lock(&other, fd, F_SETLKW, F_WRLCK, 5, 10);
	client_sleeps(&other);
	client_kill(&other, SIGUSR1);
	ASSERT_EQ(-EINTR, client_wait(&other));
	start_lock(C, fd, F_SETLK, F_UNLCK, 0, 10);
	ASSERT_EQ(0, call_end(C));
	start_lock(&other, fd, F_SETLKW, F_WRLCK, 5, 10);
	ASSERT_EQ(0, client_wait(&other));
	client_exit(&other);

	ASSERT_EQ(0, sys(C, SYS_flock, fd, LOCK_EX | LOCK_NB));
	ASSERT_EQ(-EWOULDBLOCK, sys(C, SYS_flock, fd2, LOCK_EX | LOCK_NB));
	ASSERT_EQ(0, sys(C, SYS_flock, fd, LOCK_UN));
	ASSERT_EQ(0, sys(C, SYS_flock, fd2, LOCK_EX | LOCK_NB));
}

TEST_HARNESS_MAIN
