// SPDX-License-Identifier: BSD-3-Clause
/*
 * lookout.h - how often to look for work before going to sleep
 *
 * Theory of operation
 *
 *   Going to sleep and being woken costs 3 to 20 us of CPU time, a kick by the driver, and latency.
 *   Looking again costs 0.2 to 0.5 us. Whether it pays depends on who is on the other side: a driver
 *   on our CPU has its next request ready when sched_yield() returns; one on another CPU needs some
 *   20 us if it sleeps between its requests, and an idle one needs for ever. So the number is learned:
 *
 *     found at the k-th look      the number moves to 4 k, up at once, down slowly
 *     not found twice in a row    none any more
 *     at none                     every 8th wait is a trial; while trials fail every 16th, 32nd, 64th
 *
 *   A driver that shares the CPU is given it by each yield. Found at the first or second look that saves a
 *   sleep; later than that the yields only interrupt whoever is at work there (a User-mode Linux, say), so
 *   looks that take long each and are many count as a failure.
 *
 *   An idle guest is looked for a few times after its last request and then not at all.
 *
 *   On a CPU that a stranger keeps busy, a yield gives away a whole time slice: the request is found at the
 *   first look, milliseconds late. Waits are therefore timed, all of them after a failure and every 16th
 *   once it is forgotten; a slow one counts as a failure, and trials become rarer still.
 *
 * Ownership: state of one worker. Locks: none.
 */
#ifndef VIOFS_VHOST_LOOKOUT_H
#define VIOFS_VHOST_LOOKOUT_H

#include <stdbool.h>
#include <stdint.h>

#define LOOKOUT_MAX          64u     /* looks: at most about 50 us */
#define LOOKOUT_TRIAL        32u     /* looks of a trial */
#define LOOKOUT_REST         8u      /* waits between trials that may succeed */
#define LOOKOUT_REST_IDLE    64u     /* and between those that do not */
#define LOOKOUT_REST_CROWDED 4096u   /* the same while the CPU is crowded */
#define LOOKOUT_TIMED        16u     /* every how many waits are timed */
#define LOOKOUT_SHARED       2u      /* looks that pay when each gives the CPU away */
#define LOOKOUT_SHARED_NS    1500u   /* a look that long did */
#define LOOKOUT_CROWDED_NS   500000u /* a wait that long had company */

/* All zeros is the start: a trial. */
struct lookout {
    unsigned looks; /* learned number; 0: none */
    unsigned rest;  /* waits until the next trial */
    unsigned pause; /* rest after the last failure, shrinking with success; 0: forgotten */
    unsigned turn;
    bool missed; /* the last wait found nothing */
};

/** lookout_begin() - a wait begins. @timed: lookout_end() needs the time. Return: how often to look. */
static inline unsigned lookout_begin(struct lookout *l, bool *timed)
{
    *timed = l->pause > 0 || l->looks == 0 || ++l->turn % LOOKOUT_TIMED == 0;
    if (l->looks > 0)
        return l->looks;
    if (l->rest > 0) {
        l->rest--;
        return 0;
    }
    return LOOKOUT_TRIAL;
}

/* No looks for a while, twice as long as the last time but not longer than @most waits. */
static inline void lookout_give_up(struct lookout *l, unsigned most)
{
    unsigned pause = l->pause < LOOKOUT_REST ? LOOKOUT_REST : l->pause * 2;

    if (pause > most)
        pause = l->pause > most ? l->pause : most;
    l->pause = l->rest = pause;
    l->looks = 0;
}

/**
 * lookout_end() - the wait is over
 * @found: at which look, from 1; 0: not found
 * @ns:    how long it took; 0 when it was not timed
 */
static inline void lookout_end(struct lookout *l, unsigned found, uint64_t ns)
{
    bool futile = found > 0 ? found > LOOKOUT_SHARED && ns > (uint64_t)found * LOOKOUT_SHARED_NS
                            : l->looks == 0 || l->missed;

    if (ns > LOOKOUT_CROWDED_NS) {
        lookout_give_up(l, LOOKOUT_REST_CROWDED);
    } else if (futile) {
        lookout_give_up(l, LOOKOUT_REST_IDLE);
    } else if (found > 0) {
        unsigned aim = found * 4 < LOOKOUT_MAX ? found * 4 : LOOKOUT_MAX;
        l->looks = aim >= l->looks ? aim : l->looks - (l->looks - aim + 7) / 8;
        l->missed = false;
        if (ns > 0)
            l->pause -= (l->pause + 15) / 16; /* on a crowded CPU some waits are short by luck */
    } else {
        l->missed = true;
    }
}

#endif
