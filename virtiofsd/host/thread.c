// SPDX-License-Identifier: BSD-3-Clause
/*
 * thread.c - the daemon's threads
 *
 * Theory of operation
 *
 *   Signals are for the main thread: others start with them blocked. Faults stay deliverable, because
 *   the kernel kills a process that blocks its own.
 *
 *   A thread names itself: naming another one needs /proc, which a sandbox may not have.
 *
 * Ownership: the caller joins. Locks: none.
 *
 * syscalls: rt_sigprocmask clone clone3 mmap mprotect munmap madvise futex prctl
 * syscalls: set_robust_list rseq exit
 */
#include <signal.h>

#include "host/sanitize.h"
#include "host/thread.h"

#if SANITIZED
#define STACK_BYTES (2048u * 1024u) /* larger frames, and what the instrumentation itself needs */
#else
#define STACK_BYTES (256u * 1024u)
#endif

/** thread_start() - see thread.h */
int thread_start(pthread_t *id, void *(*main)(void *arg), void *arg)
{
    static const int synchronous[] = {SIGBUS, SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
    pthread_attr_t attr;
    sigset_t blocked;

    int err = pthread_attr_init(&attr);
    if (err != 0)
        return -err;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof(synchronous) / sizeof(synchronous[0]); i++)
        sigdelset(&blocked, synchronous[i]);
    err = pthread_attr_setstacksize(&attr, STACK_BYTES);
    if (err == 0)
        err = pthread_attr_setsigmask_np(&attr, &blocked);
    if (err == 0)
        err = pthread_create(id, &attr, main, arg);
    pthread_attr_destroy(&attr);
    return -err;
}

/** thread_name() - see thread.h */
void thread_name(const char *name)
{
    pthread_setname_np(pthread_self(), name);
}
