// SPDX-License-Identifier: BSD-3-Clause
/*
 * hold.c - descriptors that outlive the worker without having been sent anywhere
 *
 * Theory of operation
 *
 *   The worker's parent, the process that only waits for it (sandbox/parent.c), shares its table of open files
 *   (clone(2), CLONE_FILES): what the worker has open when it ends, the parent has. So to keep a descriptor is to note it in
 *   a table (held.c) that the parent sees. When the worker has ended, in whatever way, the parent reads the table and sends
 *   what is in it to the supervisor, as CHANNEL_MANY, before it ends itself. The supervisor reads a channel to its end before
 *   it starts the next worker, and so has everything. While all goes well nothing is sent, nobody is woken, and
 *   no descriptor is opened that would not be open anyway.
 *
 *   So it is with what guests decide about: inodes, handles and locks. The few descriptors of a device are sent at once.
 *
 *   What another worker left: it is noted before CHANNEL_HELD is sent, whereupon the supervisor closes its copies, so that
 *   the space of a file without a name is free when the guest lets go of it. Nothing is dropped or put before. A
 *   worker that ends earlier leaves the supervisor's copies in force; what its parent sends then is the same files again.
 *
 *   A parent that is killed cannot send. The worker sees its end (a pidfd), sends the table itself and ends; the lock is never
 *   given back, so that nothing is answered that is not in what was sent. Both killed in the same instant leave the device
 *   to the next worker, but not files without a name, and not locks.
 *
 *   Descriptors stay their owners'. One that its owner closes (keep_close()) goes on as the table's own, up to a bound.
 *
 *   The parent does not trust the table: a guest may have taken the worker over. It reads each word once, and sends what
 *   that could have sent itself: no more than its own descriptors, under keys that the supervisor checks.
 *
 * Locks: keep_worker.hold_lock, a leaf.
 *
 * syscalls: fcntl fcntl64 close exit_group
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/log.h"
#include "keep/keep_int.h"

#define ROOM_FDS   8192 /* 64 KiB */
#define ROOM_SHARE 32   /* what a share's device has */

static struct held_key key_of(const struct keep *k, unsigned kind, uint32_t index)
{
    return (struct held_key){.kind = (uint8_t)kind, .share = k->share, .index = index};
}

/* ---- noting; under the lock ------------------------------------------------------------------ */

/* It is not kept any more; closed if it was the table's. */
static void strike(struct keep_worker *w, int fd, struct held_key key)
{
    struct keep *k = &w->share[key.share];

    if (held_strike(w->held, fd))
        k->n_own--;
    k->n_kept--;
    w->n_kept--;
}

/* Return: 0 or -errno: it is the caller's as before. */
static int note(struct keep *k, struct held_key key, int fd, bool own)
{
    struct keep_worker *w = k->worker;
    int old = held_find(w->held, key);

    if (old == fd)
        return 0;
    if ((old < 0 && keep_is_full(k, key.kind)) || (own && k->n_own >= k->max_own))
        return -ENFILE;
    int err = held_note(w->held, key, fd, own);
    if (err < 0)
        return err;
    k->n_own += own;
    k->n_kept++;
    w->n_kept++;
    if (old >= 0)
        strike(w, old, key);
    return 0;
}

/* One descriptor, one key: a second one gets a copy. */
static int note_copy(struct keep *k, struct held_key key, int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int err = copy < 0 ? -errno : note(k, key, copy, true);

    if (err < 0 && copy >= 0)
        close(copy);
    return err;
}

/* ---- the worker -------------------------------------------------------------------------------- */

/** hold_put() - see keep_int.h */
int hold_put(struct keep *k, enum keep_kind kind, uint32_t index, int fd, bool own)
{
    struct keep_worker *w = k->worker;
    const struct held_key key = key_of(k, kind, index);
    struct held_key had;
    int err;

    pthread_mutex_lock(&w->hold_lock);
    if (!own && held_key_of(w->held, fd, &had) && (had.kind != kind || had.index != index))
        err = note_copy(k, key, fd);
    else
        err = note(k, key, fd, own);
    pthread_mutex_unlock(&w->hold_lock);
    if (err < 0 && own)
        close(fd);
    return err;
}

/** hold_drop() - see keep_int.h */
void hold_drop(struct keep *k, enum keep_kind kind, uint32_t index)
{
    struct keep_worker *w = k->worker;
    const struct held_key key = key_of(k, kind, index);

    pthread_mutex_lock(&w->hold_lock);
    int fd = held_find(w->held, key);
    if (fd >= 0)
        strike(w, fd, key);
    pthread_mutex_unlock(&w->hold_lock);
}

/* Does the table go on with a descriptor that its owner closes? It is not in it any more otherwise. */
static bool goes_on(struct keep *k, int fd)
{
    struct keep_worker *w = k->worker;
    struct held_key key;

    if (!held_key_of(w->held, fd, &key))
        return false;
    if (k->n_own < k->max_own) {
        held_own(w->held, fd);
        k->n_own++;
        return true;
    }
    strike(w, fd, key);
    log_warn_limited("a file without a name will be lost if the daemon is replaced: %s",
                     strerror(ENFILE));
    return false;
}

/** hold_close() - see keep_int.h */
void hold_close(struct keep *k, int fd)
{
    struct keep_worker *w = k->worker;

    /* Nobody else puts what is this caller's; who drops it meanwhile is waited for. */
    if (held_is(w->held, fd)) {
        pthread_mutex_lock(&w->hold_lock);
        bool kept = goes_on(k, fd);
        pthread_mutex_unlock(&w->hold_lock);
        if (kept)
            return;
    }
    close(fd);
}

/** hold_given() - see keep_int.h */
int hold_given(struct keep *k, const struct given *g)
{
    int err = held_note(k->worker->held, key_of(k, g->kind, g->index), g->fd, false);

    k->n_kept += err == 0;
    k->worker->n_kept += err == 0;
    return err;
}

/** hold_not_taken() - see keep_int.h */
void hold_not_taken(struct keep *k, const struct given *g)
{
    struct keep_worker *w = k->worker;
    struct held_key key;

    pthread_mutex_lock(&w->hold_lock);
    if (held_key_of(w->held, g->fd, &key))
        strike(w, g->fd, key);
    pthread_mutex_unlock(&w->hold_lock);
    close(g->fd);
}

/* ---- at the end of the worker ------------------------------------------------------------------ */

/* Those of them that are open: a worker that was taken over may have noted others. Return: 0 or -errno. */
static int send_some(const struct keep_worker *w, const struct channel_key *key, const int *fd,
                     unsigned n)
{
    int err = n > 0 ? channel_send_many(w->fd, key, fd, n, SEND_MS) : 0;

    if (err != -EBADF)
        return err;
    err = 0;
    for (unsigned i = 0; i < n && n > 1 && err == 0; i++)
        err = send_some(w, &key[i], &fd[i], 1);
    return err;
}

/* All that is in the table. */
static void send_all(const struct keep_worker *w)
{
    struct channel_key key[CHANNEL_KEYS];
    int fd[CHANNEL_KEYS], err = 0;
    struct held_key k;
    unsigned n = 0;

    for (int at = held_next(w->held, 0, &k); at >= 0 && err == 0;
         at = held_next(w->held, at + 1, &k)) {
        if (!keep_is_guests(k.kind) || k.share >= w->n_shares)
            continue;
        key[n] = (struct channel_key){.kind = k.kind, .share = k.share, .index = k.index};
        fd[n++] = at;
        if (n == CHANNEL_KEYS) {
            err = send_some(w, key, fd, n);
            n = 0;
        }
    }
    if (err == 0)
        send_some(w, key, fd, n);
}

/** hold_orphaned() - see keep_int.h */
void hold_orphaned(struct keep_worker *w)
{
    pthread_mutex_lock(&w->hold_lock);
    send_all(w);
    _exit(EXIT_FAILURE);
}

/*
 * Make the kernel's table of open files large now, while it is nobody else's: later it waits for all processors each time
 * that the table grows (milliseconds), and a reload's pause is when many descriptors come.
 */
static void make_room(const struct keep_worker *w, uint64_t max_fds)
{
    uint64_t room = ROOM_FDS + (uint64_t)w->n_shares * ROOM_SHARE;
    int fd = fcntl(w->fd, F_DUPFD_CLOEXEC, (int)(max_fds < room ? max_fds : room) - 1);

    if (fd >= 0)
        close(fd);
}

/** keep_prepare() - see keep.h */
bool keep_prepare(struct keep_worker *w, uint64_t max_fds)
{
    if (!w->takes_back || held_new(&w->held, max_fds) < 0)
        return false;
    make_room(w, max_fds);
    return true;
}

/** keep_hold() - see keep.h */
void keep_hold(struct keep_worker *w, int parent_fd)
{
    w->parent_fd = parent_fd;
    w->holds = true;
}

/** keep_parent_of() - see keep.h */
void keep_parent_of(void *worker, int process_fd)
{
    const struct channel_msg m = {.op = CHANNEL_PROCESS};

    channel_send(((struct keep_worker *)worker)->fd, &m, process_fd, SEND_MS);
}

/** keep_bequeath() - see keep.h */
void keep_bequeath(void *worker)
{
    send_all(worker);
}

/** keep_allow() - see keep.h */
void keep_allow(struct keep *k, uint64_t n)
{
    if (k)
        k->max_own = n;
}
