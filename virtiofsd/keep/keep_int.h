// SPDX-License-Identifier: BSD-3-Clause
/*
 * keep_int.h - the worker's side, as its parts see each other
 */
#ifndef VIOFS_KEEP_INT_H
#define VIOFS_KEEP_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "keep/channel.h"
#include "keep/held.h"
#include "keep/keep.h"

#define SEND_MS 5000 /* a worker waits so long for a supervisor that does not listen */

/* One kept descriptor that was handed to this worker. */
struct given {
    uint32_t index;
    uint8_t kind;
    int fd;
};

struct keep {
    struct keep_worker *worker;
    uint16_t share;
    uint64_t id;
    int region[KEEP_REGIONS]; /* until keep_settle() */
    struct given *given;      /* sorted, until keep_settle() */
    size_t n_given, room;
    uint8_t *kept[KEEP_KINDS]; /* a bit for each index; lock */
    uint32_t kept_bits[KEEP_KINDS];
    uint64_t n_kept; /* of what a guest decides about; hold_lock if those are held, else lock */
    uint64_t n_own, max_own; /* hold_lock: of those that are the table's to close */
};

struct keep_worker {
    int fd;
    pthread_t thread;
    bool listening;     /* the thread runs */
    atomic_bool ending; /* the thread is to end */
    bool resumes;
    bool lasted; /* the one before did not end at once */
    struct keep_events events;
    pthread_mutex_t lock; /* guards what has been sent, and its order */
    _Atomic bool lost;    /* nobody is there any more */
    _Atomic uint64_t n_kept;
    uint64_t max_kept;
    bool takes_back; /* the supervisor knows CHANNEL_HELD */
    bool holds;      /* hold.c: the table below is in force */
    int parent_fd;   /* the process that would send it, or -1 */
    int wake_fd;     /* for the thread: it is to end */
    struct held *held;
    pthread_mutex_t hold_lock; /* guards it */
    unsigned n_shares;
    struct keep share[];
};

/* Does a guest say how many there are? (Of the others its virtual machine does.) */
static inline bool keep_is_guests(unsigned kind)
{
    return kind == KEEP_INODE || kind == KEEP_HANDLE || kind == KEEP_LOCK;
}

/* Is it kept by the table, and not by a message? */
static inline bool keep_is_held(const struct keep_worker *w, unsigned kind)
{
    return w->holds && keep_is_guests(kind);
}

/** keep_is_full() - may @k have no more of this kind? */
bool keep_is_full(const struct keep *k, enum keep_kind kind);

/* ---- hold.c -------------------------------------------------------------------------------- */

/** hold_put() - keep @fd. @own: take it over, also on error. Return: 0 or -errno. */
int hold_put(struct keep *k, enum keep_kind kind, uint32_t index, int fd, bool own);
/** hold_drop() - as keep_drop() */
void hold_drop(struct keep *k, enum keep_kind kind, uint32_t index);
/** hold_close() - as keep_close() */
void hold_close(struct keep *k, int fd);
/** hold_given() - note what another worker left. Return: 0 or -ENFILE. */
int hold_given(struct keep *k, const struct given *g);
/** hold_not_taken() - nobody has asked for it: it goes */
void hold_not_taken(struct keep *k, const struct given *g);
/** hold_orphaned() - the parent has ended: do what it would have done, and end */
_Noreturn void hold_orphaned(struct keep_worker *w);

#endif
