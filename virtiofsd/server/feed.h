// SPDX-License-Identifier: BSD-3-Clause
/*
 * feed.h - the change feed, as the handlers see it (docs/protocol.md, "Changes")
 *
 * For a client that does not want the feed, each of these is one test of a bit.
 */
#ifndef VIOFS_FEED_H
#define VIOFS_FEED_H

#include "server/request.h"
#include "watch/watch.h"

/** feed_new() - nothing is started before a client wants it. Return: 0 or -errno. */
int feed_new(struct server *srv);
void feed_free(struct server *srv);
/** feed_start() - PROBE: a client wants it. Return: can it be had? */
bool feed_start(struct srv_req *rq);
/**
 * feed_resume() - the client of another worker's goes on: its subtrees are covered again, and it is told to look at
 * everything, since changes have been missed. Return: false when there is no feed any more.
 */
bool feed_resume(struct server *srv);
/** feed_reset() - the session ends; before the tree is reset */
void feed_reset(struct server *srv);
int feed_gauges(struct server *srv);

static inline bool feed_on(struct server *srv)
{
    return atomic_load_explicit(&srv->session.features, memory_order_relaxed) & VIOFS_FEATURE_FEED;
}

void feed_watch(struct srv_req *rq, struct inode *dir);
/** feed_look() - the client looks in @dir: watch it before anything of it is read */
static inline void feed_look(struct srv_req *rq, struct inode *dir)
{
    if (__builtin_expect(feed_on(rq->srv), 0))
        feed_watch(rq, dir);
}
/** feed_made() - the client has made the directory @made under that name in rq->inode */
void feed_made(struct srv_req *rq, struct inode *made);

/**
 * feed_entry() - validities of an entry of @dir, after it has been read, if changes of it will be reported
 * @e: filled by entry_fill(), or of an entry that there is not (nodeid 0; @stx is not looked at)
 */
void feed_entry(struct srv_req *rq, struct inode *dir, const struct statx *stx, struct tree_met met,
                struct fuse_entry_out *e);
/** feed_attr() - likewise of attributes of @inode, wherever it is */
void feed_attr(struct srv_req *rq, struct inode *inode, const struct statx *stx,
               struct fuse_attr_out *a);

/** feed_serve() - run a handler whose request may change the share: the change is not reported back */
int64_t feed_serve(struct srv_req *rq, srv_handler *handler);

#endif
