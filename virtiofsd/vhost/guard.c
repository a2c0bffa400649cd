// SPDX-License-Identifier: BSD-3-Clause
/*
 * guard.c - the SIGBUS handler for guest memory
 *
 * Theory of operation
 *
 *   Guest memory is a file that the front end created and may truncate. A load or store beyond the new
 *   end raises SIGBUS on the thread that made it (a system call on such memory fails with EFAULT and
 *   needs no help). The handler looks the address up in a table of mappings; if it is guest memory, it
 *   maps zeros over the page and sets the device's flag: the access then goes on, and the queue finds
 *   the flag and stops. Any other SIGBUS gets what would have happened without us.
 *
 *   The table is the only state: fixed slots of atomics, written under a mutex, read by the handler
 *   without one. A slot is dropped only when no thread uses its mapping, so the handler never needs a
 *   slot that is changing; `len` is cleared first and set last so that it does not match one either.
 *
 * Source: signal(7), mmap(2). sigaction and mmap are plain system calls here, safe in a handler.
 * Ownership: borrows mappings and flags. Locks: slots_lock for writers.
 *
 * syscalls: rt_sigaction rt_sigreturn mmap
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>

#include "host/log.h"
#include "vhost/guard.h"

#define GUARD_SLOTS 1024u /* 509 regions and a log for one device, and room */

struct guard_slot {
    _Atomic uintptr_t start;
    _Atomic size_t len; /* 0: free */
    _Atomic size_t page;
    _Atomic(atomic_bool *) lost;
};

/* A signal handler has no argument of ours: the table is one for the process. */
static struct guard_slot slots[GUARD_SLOTS];
static pthread_mutex_t slots_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction earlier;

/* Replace the page under @addr if it is guarded. */
static bool replace_page(uintptr_t addr)
{
    for (unsigned i = 0; i < GUARD_SLOTS; i++) {
        size_t len = atomic_load_explicit(&slots[i].len, memory_order_acquire);
        uintptr_t start = atomic_load_explicit(&slots[i].start, memory_order_relaxed);
        if (addr - start >= len)
            continue;
        size_t page = atomic_load_explicit(&slots[i].page, memory_order_relaxed);
        size_t off = (addr - start) & ~(page - 1);
        size_t part = len - off < page ? len - off : page;
        void *p = mmap((void *)(start + off), part, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        if (p == MAP_FAILED)
            return false;
        atomic_store(atomic_load(&slots[i].lost), true);
        return true;
    }
    return false;
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
    int saved = errno;

    (void)context;
    if (!replace_page((uintptr_t)info->si_addr))
        sigaction(sig, &earlier, NULL); /* the access is repeated and meets the earlier handler */
    errno = saved;
}

/** guard_install() - see guard.h */
int guard_install(void)
{
    struct sigaction now, sa = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_RESTART};
    int err = 0;

    sigemptyset(&sa.sa_mask);
    pthread_mutex_lock(&slots_lock);
    if (sigaction(SIGBUS, NULL, &now) < 0) {
        err = -errno;
    } else if ((now.sa_flags & SA_SIGINFO) == 0 || now.sa_sigaction != on_sigbus) {
        earlier = now;
        if (sigaction(SIGBUS, &sa, NULL) < 0)
            err = -errno;
    }
    pthread_mutex_unlock(&slots_lock);
    return err;
}

/** guard_add() - see guard.h */
int guard_add(void *map, size_t len, size_t page, atomic_bool *lost, unsigned *slot)
{
    int err = -ENOSPC;

    pthread_mutex_lock(&slots_lock);
    for (unsigned i = 0; i < GUARD_SLOTS; i++) {
        struct guard_slot *s = &slots[i];
        if (atomic_load(&s->len) != 0)
            continue;
        atomic_store(&s->start, (uintptr_t)map);
        atomic_store(&s->page, page);
        atomic_store(&s->lost, lost);
        atomic_store_explicit(&s->len, len, memory_order_release);
        *slot = i;
        err = 0;
        break;
    }
    pthread_mutex_unlock(&slots_lock);
    return err;
}

/** guard_drop() - see guard.h */
void guard_drop(unsigned slot)
{
    pthread_mutex_lock(&slots_lock);
    atomic_store(&slots[slot].len, 0);
    pthread_mutex_unlock(&slots_lock);
}
