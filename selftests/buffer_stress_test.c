// SPDX-License-Identifier: GPL-2.0
/*
 * Clients with several threads touch, write, unmap, move and inherit a buffer
 * that is filled on demand and logged, while the server answers late, wrongly or
 * never, drops and stores pages, and two watchers ask for what was written.
 *
 * All of it is accounted for.  A page that the server once made new is never seen
 * as it was before.  Each write is reported to each watcher, by the first query
 * that begins after it if not before; nothing else is.  What was written to pages
 * that were never dropped is there in the end.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../kselftest_harness.h"
#include "fuse_fixture.h"

FUSE_FIXTURE(stress, FUSE_FEATURE_BUFFERS);
FIXTURE_VARIANT_ADD(stress, fuse_uring) {
	.type = SERVER_FUSE,
	.transport = &uring_transport,
};

#define PAGES		64
#define NEVER		(PAGES - 1)	/* is not answered for */
#define CLIENTS		4
#define THREADS		(2 * CLIENTS)
#define WRITERS		(2 * THREADS)	/* each thread has a child at a time */
/* How long clients run, and what they do at least on slow machines */
#define RUN_MS		1500
#define MIN_WRITES	200

/* What happens to a page; clients write to those of the first two */
enum kind { KEEP, WRITE_AND_DROP, DROP, STORE_AND_DROP, KINDS };

#define KIND(page)	((enum kind)((page) % KINDS))
#define WRITABLE(page)	(KIND(page) <= WRITE_AND_DROP)

/* The first bytes of a page tell its generation and number, then: */
#define SLOT(writer)	(64 + 8 * (writer))

struct page {
	/* Generations: of the next fill, the newest, the oldest to be seen */
	_Atomic uint8_t base, newest, oldest;
	/* Writes that began, and that ended */
	atomic_uint begun, done;
	/* When the latest of those that ended had begun */
	_Atomic uint64_t written;
	/* Of KEEP: what each writer wrote last */
	_Atomic uint64_t slots[WRITERS];
};

/* Shared by all processes */
static struct stress {
	struct page pages[PAGES];
	_Atomic uint64_t clock;
	atomic_int violations;
	char violation[256];
	atomic_uint reads, writes, faults;
	int64_t end;
	uint64_t page;
} *st;

static void __attribute__((format(printf, 1, 2))) violation(const char *fmt, ...)
{
	va_list ap;

	if (atomic_fetch_add(&st->violations, 1))
		return;
	va_start(ap, fmt);
	vsnprintf(st->violation, sizeof(st->violation), fmt, ap);
	va_end(ap);
}

/* Clients */

static __thread sigjmp_buf fault;

static void on_fault(int sig)
{
	siglongjmp(fault, sig);
}

static char *map_all(int fd)
{
	char *p = mmap(NULL, PAGES * st->page, RW, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		violation("mmap: %s", strerror(errno));
	return p;
}

static bool move_to(char *to, char *from, size_t len)
{
	return mremap(from, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to;
}

static char *reserve(size_t len)
{
	return mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static char *move(char *p)
{
	size_t len = PAGES * st->page, i;
	char *q = reserve(len);

	if (move_to(q, p, len))
		return q;
	/*
	 * Before Linux 6.17, not several mappings at once; and the place is
	 * gone, another thread may have it.
	 */
	q = reserve(len);
	for (i = 0; i < len; i += st->page)
		if (!move_to(q + i, p + i, st->page))
			violation("mremap: %s", strerror(errno));
	return q;
}

static void read_page(volatile char *p, int number)
{
	struct page *page = &st->pages[number];
	uint8_t oldest = page->oldest, newest, seen, is;

	if (sigsetjmp(fault, 0)) {
		st->faults++;
		return;
	}
	seen = p[number * st->page];
	is = p[number * st->page + 1];
	newest = page->newest;
	st->reads++;
	if (is != number)
		violation("page %d has what is of page %d", number, is);
	if ((uint8_t)(seen - oldest) > (uint8_t)(newest - oldest))
		violation("page %d, of kind %d, is of generation %d, not of %d to %d",
			  number, KIND(number), seen, oldest, newest);
}

static void write_page(char *p, int number, int writer, uint64_t value)
{
	struct page *page = &st->pages[number];
	uint64_t start = ++st->clock, old;

	page->begun++;
	if (sigsetjmp(fault, 0)) {
		st->faults++;
		return;
	}
	*(volatile uint64_t *)(p + number * st->page + SLOT(writer)) = value;
	page->slots[writer] = value;
	page->done++;
	old = page->written;
	while (old < start &&
	       !atomic_compare_exchange_weak(&page->written, &old, start))
		;
	st->writes++;
}

/* A child that has the mapping of its parent, and dies of this or that */
static void run_child(char *p, int writer, unsigned int *seed, uint64_t *value)
{
	int number = rand_r(seed) % NEVER / KINDS * KINDS, i;
	pid_t pid = fork();

	if (!pid) {
		for (i = 0; i < 3; i++)
			write_page(p, number, writer, *value + i);
		if (*value % 2)
			raise(SIGKILL);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	*value += 3;
}

static bool running(void)
{
	return !st->violations &&
		(now_ms() < st->end || st->writes < MIN_WRITES);
}

struct thread {
	pthread_t thread;
	int fd;
	int number;
};

static void *run_thread(void *arg)
{
	struct thread *t = arg;
	unsigned int seed = t->number + 1;
	uint64_t value = 1, child_value = 1;
	char *p = map_all(t->fd);

	while (p != MAP_FAILED && running()) {
		int number = rand_r(&seed) % NEVER, ahead = rand_r(&seed) % 4;

		switch (rand_r(&seed) % 256) {
		case 0:
			munmap(p, PAGES * st->page);
			p = map_all(t->fd);
			break;
		case 1:
			p = move(p);
			break;
		case 2:
			run_child(p, THREADS + t->number, &seed, &child_value);
			break;
		case 3:
			mprotect(p, number * st->page + st->page, PROT_READ);
			mprotect(p, number * st->page + st->page, RW);
			break;
		case 4:
			madvise(p, PAGES * st->page, MADV_DONTNEED);
			break;
		default:
			if (rand_r(&seed) % 2 && WRITABLE(number))
				write_page(p, number, t->number, value++);
			else
				for (; ahead >= 0 && number < NEVER; ahead--)
					read_page(p, number++);
		}
	}
	return NULL;
}

static void set_on_fault(void)
{
	struct sigaction sa = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };

	sigaction(SIGBUS, &sa, NULL);
}

/* Start a process that is a client and no server */
static pid_t start_process(struct server *s)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(s->fd);
	set_on_fault();
	return 0;
}

static pid_t start_client(struct server *s, int number)
{
	pid_t pid = start_process(s);
	struct thread threads[2];
	int i, fd;

	if (pid)
		return pid;
	fd = open(s->path, O_RDWR);
	for (i = 0; i < 2; i++) {
		threads[i].fd = fd;
		threads[i].number = 2 * number + i;
		pthread_create(&threads[i].thread, NULL, run_thread, &threads[i]);
	}
	for (i = 0; i < 2; i++)
		pthread_join(threads[i].thread, NULL);
	_exit(0);
}

/* One that waits for what is never answered */
static pid_t start_victim(struct server *s)
{
	pid_t pid = start_process(s);
	char *p;

	if (pid)
		return pid;
	p = map_all(open(s->path, O_RDWR));
	(void)*(volatile char *)(p + NEVER * st->page);
	violation("what was not answered could be read");
	_exit(1);
}

/* The server's threads */

struct watcher {
	pthread_t thread;
	int fd;
	unsigned int count;	/* ranges in one answer */
	uint64_t since;
	/* Of each page: as of the last query that reported it */
	uint64_t reported[PAGES];
	unsigned int done[PAGES];
	unsigned int reports;
};

static atomic_bool stop;

static void query(struct watcher *w)
{
	struct fuse_buffer_range ranges[PAGES];
	struct fuse_buffer_dirty arg = {
		.since = w->since,
		.ranges = (uintptr_t)ranges,
	};
	unsigned int done[PAGES], i;
	uint64_t written[PAGES], end;
	bool reported[PAGES] = { };

	for (i = 0; i < PAGES; i++) {
		done[i] = st->pages[i].done;
		written[i] = st->pages[i].written;
	}
	do {
		arg.count = w->count;
		if (ioctl(w->fd, FUSE_BUFFER_IOC_DIRTY, &arg)) {
			violation("query: %s", strerror(errno));
			return;
		}
		for (i = 0; i < arg.count; i++)
			for (end = ranges[i].start + ranges[i].len;
			     ranges[i].start < end; ranges[i].start += st->page)
				reported[ranges[i].start / st->page] = true;
	} while (arg.count == w->count);
	w->since = arg.since;
	end = ++st->clock;
	for (i = 0; i < PAGES; i++) {
		if (!reported[i]) {
			if (written[i] > w->reported[i])
				violation("watcher of %u: a write to page %u is lost",
					  w->count, i);
			continue;
		}
		if (!WRITABLE(i) || st->pages[i].begun <= w->done[i])
			violation("watcher of %u: page %u is reported but was not written to",
				  w->count, i);
		w->done[i] = done[i];
		w->reported[i] = end;
		w->reports++;
	}
}

static void *watch(void *arg)
{
	struct watcher *w = arg;
	struct pollfd pfd = { .fd = w->fd, .events = POLLIN };

	while (!stop) {
		poll(&pfd, 1, 20);
		query(w);
	}
	return NULL;
}

static void make_page(char *data, int number, uint8_t generation)
{
	memset(data, 0, st->page);
	data[0] = generation;
	data[1] = number;
}

/* Drop pages, and store some, which then are new */
static void *renew(void *arg)
{
	struct server *s = arg;
	unsigned int seed = 99;
	char data[st->page];

	while (!stop) {
		int number = rand_r(&seed) % NEVER;
		struct page *page = &st->pages[number];
		uint8_t generation = page->newest + 1;

		poll(NULL, 0, 1);
		if (KIND(number) == KEEP)
			continue;
		page->newest = generation;
		if (KIND(number) != STORE_AND_DROP || rand_r(&seed) % 2) {
			page->base = generation;
			if (inval(s, BUF(1), number * st->page, st->page))
				violation("inval fails");
			page->oldest = generation;
			generation++;
		}
		if (KIND(number) == STORE_AND_DROP) {
			page->newest = generation;
			make_page(data, number, generation);
			if (store(s, BUF(1), number * st->page, data, st->page))
				violation("store fails");
			page->oldest = generation;
		}
	}
	return NULL;
}

/* The server's replies */

struct late {
	struct late *next;
	struct request *r;
	int64_t when;
	size_t len;
	char data[];
};

static struct late *lates;
static struct request *never;

static void send_lates(struct server *s, bool all)
{
	struct late **p = &lates, *late;

	while ((late = *p)) {
		if (!all && late->when > now_ms()) {
			p = &late->next;
			continue;
		}
		*p = late->next;
		if (reply(s, late->r, late->data, late->len))
			violation("a late reply fails");
		free(late->r);
		free(late);
	}
}

static void reply_late(struct request *r, const char *data, size_t len, int ms)
{
	struct late *late = malloc(sizeof(*late) + len);

	late->r = r;
	late->when = now_ms() + ms;
	late->len = len;
	memcpy(late->data, data, len);
	late->next = lates;
	lates = late;
}

static void answer_read(struct server *s, struct request *r, unsigned int *seed)
{
	int first = r->read.offset / st->page, i;
	size_t len = r->read.size;
	char *data;

	if (first == NEVER) {
		r->next = never;
		never = r;
		return;
	}
	if (first + len / st->page > NEVER)
		len = (NEVER - first) * st->page;
	data = calloc(1, r->read.size + 1);
	for (i = 0; i < (int)(len / st->page); i++)
		make_page(data + i * st->page, first + i,
			  st->pages[first + i].base);
	switch (rand_r(seed) % 16) {
	case 0:
	case 1:
	case 2:
		reply_late(r, data, len, 1 + rand_r(seed) % 10);
		r = NULL;
		break;
	case 3:
		/* ends in a page, of which the first bytes are there */
		if (reply(s, r, data, rand_r(seed) % len / st->page * st->page +
			  SLOT(0)))
			violation("a short reply fails");
		break;
	case 4:
		/* by a ring, only the client is told */
		if (reply(s, r, data, r->read.size + 1) !=
		    (r->from ? 0 : -EINVAL))
			violation("too long a reply is taken");
		break;
	case 5:
		reply_error(s, r, -EIO);
		break;
	case 6:
		r->h.unique ^= 1ULL << 40;
		if (reply(s, r, data, len) != -ENOENT)
			violation("a reply to nobody is taken");
		r->h.unique ^= 1ULL << 40;
		/* fall through */
	default:
		if (reply(s, r, data, len))
			violation("a reply fails");
	}
	free(data);
	free(r);
}

static void serve(struct server *s, unsigned int *seed)
{
	struct fuse_mmap_out out = {
		.nodeid = BUF(1),
		.size = PAGES * st->page,
		.flags = FUSE_BUFFER_DEMAND | FUSE_BUFFER_LOG,
	};
	struct request *r;

	serve_until(-1, 1);
	send_lates(s, false);
	while ((r = s->inbox)) {
		s->inbox = r->next;
		if (r->h.opcode == FUSE_READ) {
			answer_read(s, r, seed);
			continue;
		}
		if (r->h.opcode == FUSE_MMAP)
			reply(s, r, &out, sizeof(out));
		else if (r->h.opcode != FUSE_MUNMAP &&
			 r->h.opcode != FUSE_INTERRUPT)
			violation("opcode %u", r->h.opcode);
		free(r);
	}
}

FUSE_TEST(stress, all_is_accounted_for)
{
	struct fuse_buffer_open open = {
		.nodeid = BUF(1),
		.size = PAGES * self->page,
		.flags = FUSE_BUFFER_DEMAND | FUSE_BUFFER_LOG | O_CLOEXEC,
	};
	struct watcher watchers[2] = { { .count = PAGES }, { .count = 3 } };
	unsigned int seed = 1, kept = 0, w;
	pid_t clients[CLIENTS], victim;
	struct request *r;
	pthread_t renewer;
	int64_t killed;
	uint64_t slot;
	int fd, i, status;

	st = mmap(NULL, sizeof(*st), RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, st);
	st->page = self->page;
	st->end = now_ms() + RUN_MS;
	fd = ioctl(S->fd, FUSE_DEV_IOC_BUFFER_OPEN, &open);
	ASSERT_LE(0, fd);
	S->manual = 1ULL << FUSE_READ;
	S->keep = FUSE_MMAP;

	for (i = 0; i < CLIENTS; i++)
		clients[i] = start_client(S, i);
	victim = start_victim(S);
	for (i = 0; i < 2; i++) {
		watchers[i].fd = fd;
		ASSERT_EQ(0, pthread_create(&watchers[i].thread, NULL, watch,
					    &watchers[i]));
	}
	ASSERT_EQ(0, pthread_create(&renewer, NULL, renew, S));

	while (now_ms() < st->end - RUN_MS / 2 || !never)
		serve(S, &seed);
	kill(victim, SIGKILL);
	killed = now_ms();
	while (!waitpid(victim, NULL, WNOHANG)) {
		serve(S, &seed);
		if (now_ms() > killed + PROMPT_MS)
			fail("who waits for a page cannot be killed");
	}
	for (i = 0; i < CLIENTS; i++) {
		while (!waitpid(clients[i], &status, WNOHANG))
			serve(S, &seed);
		EXPECT_EQ(0, status);
	}
	while (S->maps)
		serve(S, &seed);
	stop = true;
	for (i = 0; i < 2; i++)
		pthread_join(watchers[i].thread, NULL);
	pthread_join(renewer, NULL);
	send_lates(S, true);
	while ((r = never)) {
		never = r->next;
		reply_error(S, r, -EIO);
		free(r);
	}

	/* All is quiet: what is left is reported, and then nothing is */
	for (i = 0; i < 2; i++) {
		query(&watchers[i]);
		w = watchers[i].reports;
		query(&watchers[i]);
		EXPECT_EQ(w, watchers[i].reports);
		EXPECT_LT(0, w);
	}
	for (i = 0; i < PAGES; i += KINDS)
		for (w = 0; w < WRITERS; w++) {
			if (!st->pages[i].slots[w])
				continue;
			kept++;
			ASSERT_EQ(8, pread(fd, &slot, 8,
					   i * self->page + SLOT(w)));
			EXPECT_EQ(st->pages[i].slots[w], slot);
		}
	TH_LOG("%u reads, %u writes, %u faults, %u and %u pages reported, %u slots kept",
	       st->reads, st->writes, st->faults, watchers[0].reports,
	       watchers[1].reports, kept);
	EXPECT_LT(0, kept);
	if (st->violations)
		TH_LOG("%d violations: %s", st->violations, st->violation);
	EXPECT_EQ(0, st->violations);
	S->manual = S->keep = 0;
}

TEST_HARNESS_MAIN
