// SPDX-License-Identifier: BSD-3-Clause
/*
 * vhost_turns.h - the back end's workers as coroutines, its socket as memory, for fuzz_vhost.c
 *
 * A thread costs a hundred times more than what an input makes a worker do, and runs differently each
 * time. With turns on, a worker is a coroutine of the only thread: it goes on where the back end waits,
 * and gives its turn back where it waits itself. A message costs six system calls on a socket and none in
 * memory. The linker puts this between the back end and thread_start(), pthread_join(),
 * pthread_cond_wait(), pthread_cond_timedwait(), epoll_wait(), sched_yield(), poll(), recvmsg(), recv()
 * and send().
 */
#ifndef VIOFS_TESTS_FUZZ_VHOST_TURNS_H
#define VIOFS_TESTS_FUZZ_VHOST_TURNS_H

#include <stdbool.h>
#include <sys/uio.h>

#define TURNS_MAX_FDS 8u

/**
 * turns_begin() - before the back end serves an input
 * @threads: workers are real threads for this one, and the socket is real
 * @idle:    called each time that the back end waits for its front end and nothing is there; it sends
 *           something (or only changes guest memory), or hangs up
 */
void turns_begin(bool threads, void (*idle)(void *ctx), void *ctx);

/** turns_end() - after it; abort if a worker is left */
void turns_end(void);

/**
 * turns_send() - what the front end sends next, as sendmsg() does; all before it was received
 * @fds: at most TURNS_MAX_FDS, which the back end gets copies of
 */
void turns_send(const struct iovec *iov, int n_iov, const int *fds, unsigned n_fds);

/** turns_hang_up() - nothing more is to come */
void turns_hang_up(void);

/** turns_pause() - called by a worker at work, so that no worker is at work for ever */
void turns_pause(void);

#endif
