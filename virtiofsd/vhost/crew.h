// SPDX-License-Identifier: BSD-3-Clause
/*
 * crew.h - threads that serve the queues of several devices
 */
#ifndef VIOFS_VHOST_CREW_H
#define VIOFS_VHOST_CREW_H

#include "vhost/queue.h"

struct crew;

/**
 * crew_new() - start the first threads
 * @ops: whose thread_begin() and thread_end() the threads call, without a context
 * Return: 0 or -errno.
 */
int crew_new(struct crew **crew, const struct vu_ops *ops);
/** crew_free() - no queue has a seat any more; NULL is fine */
void crew_free(struct crew *crew);
/** crew_join() - the queues of @vu are the crew's */
void crew_join(struct crew *crew, struct vu *vu);
/** crew_is_crowded() - do queues wait that the thread which serves @q could serve? */
bool crew_is_crowded(const struct vq *q);

/* A queue's place in the crew; control thread but for the last. */

/** seat_new() - parked. Return: 0 or -ENOMEM. */
int seat_new(struct vq *q);
/** seat_end() - the order is VQ_QUIT; waits for a turn that has begun */
void seat_end(struct vq *q);
/** seat_watch() - the kick descriptor. Return: 0 or -errno. */
int seat_watch(struct vq *q, int kick_fd);
int seat_epoll_fd(const struct vq *q);
/** seat_call() - there may be work: give the queue a turn if its order is VQ_RUN; any thread, q->lock held */
void seat_call(struct vq *q);

#endif
