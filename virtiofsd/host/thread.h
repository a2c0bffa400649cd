// SPDX-License-Identifier: BSD-3-Clause
/*
 * thread.h - the daemon's threads: small stacks, no signals
 */
#ifndef VIOFS_THREAD_H
#define VIOFS_THREAD_H

#include <pthread.h>

/**
 * thread_start() - start a thread that is to be joined
 *
 * All signals but the synchronous ones (SIGBUS, SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGSYS) are blocked
 * in it, SIGPIPE too: a thread that wants one unblocks it. The stack is 256 KiB.
 * Return: 0 or -errno.
 */
int thread_start(pthread_t *id, void *(*main)(void *arg), void *arg);

/** thread_name() - name the calling thread, as top -H shows it; at most 15 bytes */
void thread_name(const char *name);

#endif
