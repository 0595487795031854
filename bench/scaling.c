// SPDX-License-Identifier: GPL-2.0
/*
 * Clients at the same time, and as many processes that serve them.  By the clock
 * only, and of as many CPUs as there are.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server.h"

#define SIZE		MIB
#define MAX_CLIENTS	4
#define DOORBELL	_IO('b', 0)

struct scaling {
	struct server s;
	unsigned int clients;
	void (*work)(struct scaling *t, unsigned int client);
	pid_t pids[MAX_CLIENTS];
	int go[2], done[2];
	/* a client's */
	int fd;
	char *map;
	/* the server's */
	char *mem;
};

static void handle(struct server *s, struct request *r)
{
	struct scaling *t = s->data;
	const struct fuse_ioctl_in *ioctl_in = r->in;
	const struct fuse_write_in *write_in = r->in;
	const struct fuse_read_in *read_in = r->in;
	struct fuse_ioctl_out out = {};

	switch (r->h->opcode) {
	case FUSE_IOCTL:
		produce(t->mem + ioctl_in->arg * SIZE, SIZE,
			consume(t->mem + ioctl_in->arg * SIZE, SIZE));
		reply(s, r, 0, &out, sizeof(out));
		return;
	case FUSE_WRITE:
		consume(r->data, write_in->size);
		break;
	case FUSE_READ:
		produce(r->room, read_in->size, 1);
		break;
	}
	serve(s, r);
}

static void ready(struct server *s)
{
	struct scaling *t = s->data;
	int fd;

	if (!s->features)
		return;
	fd = buffer_open(s, BUF(1), t->clients * SIZE, 0);
	buffer_bind(s, 0, t->clients * SIZE, BUF(1), 0, 0);
	t->mem = map_shared(fd, t->clients * SIZE);
}

static void move_shared(struct scaling *t, unsigned int client)
{
	produce(t->map, SIZE, client);
	need(!ioctl(t->fd, DOORBELL, client));
	consume(t->map, SIZE);
}

static void move_messages(struct scaling *t, unsigned int client)
{
	produce(t->map, SIZE, client);
	need(pwrite(t->fd, t->map, SIZE, 0) == (ssize_t)SIZE);
	need(pread(t->fd, t->map, SIZE, 0) == (ssize_t)SIZE);
	consume(t->map, SIZE);
}

static void map_and_unmap(struct scaling *t, unsigned int client)
{
	int i;

	for (i = 0; i < 100; i++) {
		char *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
				 t->fd, client * SIZE);

		need(map != MAP_FAILED && !munmap(map, SIZE));
	}
}

static __attribute__((noreturn)) void be_client(struct scaling *t, unsigned int client)
{
	unsigned int times;

	if (t->s.features)
		t->map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			      t->fd, client * SIZE);
	else
		t->map = malloc(SIZE);
	while (read(t->go[0], &times, sizeof(times)) == sizeof(times)) {
		while (times--)
			t->work(t, client);
		need(write(t->done[1], "", 1) == 1);
	}
	exit(1);
}

static const char *start(struct contender *c)
{
	const struct scaling *template = c->options;
	struct scaling *t = malloc(sizeof(*t));
	const char *why;
	unsigned int i;

	*t = *template;
	c->data = t;
	t->clients = c->arg;
	t->s.workers = t->clients;
	t->s.valid = 3600;
	t->s.file_size = MAX_CLIENTS * SIZE;
	t->s.data = t;
	t->s.ready = ready;
	t->s.handle = handle;
	why = server_start(&t->s, &t->fd);
	if (why)
		return why;
	need(!pipe(t->go) && !pipe(t->done));
	for (i = 0; i < t->clients; i++) {
		t->pids[i] = fork();
		need(t->pids[i] >= 0);
		if (!t->pids[i])
			be_client(t, i);
	}
	return NULL;
}

/* For one client, if the others had done nothing */
static uint64_t run(struct contender *c, unsigned int times)
{
	struct scaling *t = c->data;
	uint64_t begin = now();
	unsigned int i;
	char byte;

	for (i = 0; i < t->clients; i++)
		need(write(t->go[1], &times, sizeof(times)) == sizeof(times));
	for (i = 0; i < t->clients; i++)
		need(read(t->done[0], &byte, 1) == 1);
	return (now() - begin) / t->clients;
}

static void stop(struct contender *c)
{
	struct scaling *t = c->data;
	unsigned int i;

	for (i = 0; i < t->clients; i++) {
		kill(t->pids[i], SIGKILL);
		waitpid(t->pids[i], NULL, 0);
	}
	close(t->go[0]);
	close(t->go[1]);
	close(t->done[0]);
	close(t->done[1]);
	close(t->fd);
	server_stop(&t->s);
}

static void compare_clients(const char *name, const struct scaling *template,
			    unsigned int times, uint64_t bytes)
{
	struct contender contenders[] = {
		{ "1 client", NULL, start, run, stop, 1, template },
		{ "2 clients", NULL, start, run, stop, 2, template },
		{ "4 clients", NULL, start, run, stop, 4, template },
	};

	compare(&(struct bench_case){
		.name = name,
		.times = times,
		.bytes = bytes,
		CONTENDERS(contenders),
	});
}

void scaling(void)
{
	const struct scaling shared = {
		.s.features = FUSE_FEATURE_BUFFERS,
		.work = move_shared,
	};
	const struct scaling messages = {
		.s.open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES,
		.work = move_messages,
	};
	const struct scaling mappings = {
		.s.features = FUSE_FEATURE_BUFFERS,
		.work = map_and_unmap,
	};

	compare_clients("clients at a time, mmap, 1 MiB there and back", &shared,
			20, 2 * SIZE);
	compare_clients("clients at a time, WRITE and READ of 1 MiB", &messages, 20,
			2 * SIZE);
	compare_clients("clients at a time, 100 mmap and munmap", &mappings, 5, 0);
}
