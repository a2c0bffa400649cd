// SPDX-License-Identifier: BSD-3-Clause
/*
 * dispatch.h - what server.c and kept.c need of dispatch.c
 */
#ifndef VIOFS_DISPATCH_H
#define VIOFS_DISPATCH_H

#include "server/request.h"

/** dispatch_init() - fill the server's handler table */
void dispatch_init(struct server *srv);
/** dispatch_serve() - vu_ops.serve */
int64_t dispatch_serve(void *ctx, void *thread, struct vq *vq, struct ring_chain *chain,
                       struct vu_record *record);
/** run_handler() - a decoded request, on any thread that holds the gate for reading */
int64_t run_handler(struct srv_req *rq);

/** thread_for() - this thread serves @srv now */
void thread_for(struct srv_thread *t, struct server *srv);

#endif
