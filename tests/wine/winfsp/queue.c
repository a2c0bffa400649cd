// SPDX-License-Identifier: BSD-3-Clause
/*
 * queue.c - requests between the driver and the dispatcher threads
 *
 * Theory of operation
 *
 *   A request waits in the queue, is taken by a dispatcher thread, and is completed by a response with its
 *   hint: at once, or, when the callback said STATUS_PENDING, whenever FspFileSystemSendResponse() brings
 *   one. It may bring it before the callback has returned. A taken request is copied into the dispatcher's
 *   own buffer, which the next request overwrites; a file system that pends keeps no pointer into it.
 *
 *   As in WinFsp (src/sys/ioq.c, volume.c, src/dll/fs.c): a full queue refuses requests with
 *   STATUS_INSUFFICIENT_RESOURCES but for cleanup and close, a stopped queue with STATUS_VOLUME_DISMOUNTED;
 *   stopping cancels what the file system still has only after its dispatcher threads have ended.
 *
 * Ownership: an op belongs to who waits for it; without a waiter, to the queue.
 * Locks: queue.lock guards everything here.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/wine/winfsp/standin.h"

#define SLOW_MS 60000u /* a callback that takes this long is reported */

void queue_init(struct queue *q)
{
    *q = (struct queue){.next_hint = 0x1000};
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->work, NULL);
    pthread_cond_init(&q->idle, NULL);
    q->last = &q->first;
}

struct op *op_new(uint32_t kind, size_t extra)
{
    size_t size = sizeof(struct winfsp_request) + extra;
    if (size > REQUEST_MAX)
        return NULL;
    struct op *op = calloc(1, sizeof *op);
    op->req = calloc(1, (size + 7) & ~(size_t)7);
    op->rsp = calloc(1, WINFSP_MESSAGE_MAX);
    op->req->size = (uint16_t)size;
    op->req->kind = kind;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&op->changed, &attr);
    pthread_condattr_destroy(&attr);
    return op;
}

void op_path(struct op *op, struct name path)
{
    memcpy(op->req->buffer, path.at, path.len * sizeof(WCHAR));
    op->req->file_name = (struct winfsp_span){0, (uint16_t)((path.len + 1) * sizeof(WCHAR))};
}

void op_free(struct op *op)
{
    if (!op)
        return;
    pthread_cond_destroy(&op->changed);
    free(op->req);
    free(op->rsp);
    free(op);
}

static void finish(struct queue *q, struct op *op)
{
    q->in_progress--;
    if (op->req->kind == WINFSP_KIND_CLOSE && --q->closes == 0)
        pthread_cond_broadcast(&q->idle);
    op->done = true;
    if (op->waited)
        pthread_cond_signal(&op->changed);
    else
        op_free(op);
}

static void cancel(struct queue *q, struct op *op)
{
    op->rsp->status = (uint32_t)STATUS_CANCELLED;
    q->in_progress++;
    finish(q, op);
}

static NTSTATUS append(struct volume *v, struct op *op, bool best_effort)
{
    struct queue *q = &v->queue;
    if (q->stopped)
        return STATUS_VOLUME_DISMOUNTED;
    if (!best_effort && q->waiting >= v->params.irp_capacity)
        return STATUS_INSUFFICIENT_RESOURCES;
    op->hint = op->req->hint = q->next_hint;
    op->posted_ms = now_ms();
    q->next_hint += 8;
    q->waiting++;
    if (op->req->kind == WINFSP_KIND_CLOSE)
        q->closes++;
    op->next = NULL;
    *q->last = op;
    q->last = &op->next;
    pthread_cond_signal(&q->work);
    return STATUS_SUCCESS;
}

static bool overdue(struct volume *v, struct op *op, bool *told)
{
    uint64_t passed = now_ms() - op->posted_ms;
    if (passed >= SLOW_MS && !*told) {
        violation(v, "request kind %u was not answered for %u s", op->req->kind, SLOW_MS / 1000);
        *told = true;
    }
    return passed >= v->params.irp_timeout;
}

static void unlink_op(struct queue *q, struct op *op)
{
    struct op **at = op->taken ? &q->taken : &q->first;
    for (; *at; at = &(*at)->next)
        if (*at == op) {
            *at = op->next;
            break;
        }
    if (!op->taken) {
        q->waiting--;
        q->last = &q->first;
        while (*q->last)
            q->last = &(*q->last)->next;
    } else {
        q->in_progress--;
    }
}

NTSTATUS op_call(struct volume *v, struct op *op, bool best_effort)
{
    struct queue *q = &v->queue;
    bool told = false;
    op->waited = true;
    pthread_mutex_lock(&q->lock);
    NTSTATUS status = append(v, op, best_effort);
    while (status == STATUS_SUCCESS && !op->done) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += 5;
        if (pthread_cond_timedwait(&op->changed, &q->lock, &until) == ETIMEDOUT && !op->done &&
            overdue(v, op, &told)) {
            unlink_op(q, op);
            status = STATUS_CANCELLED;
        }
    }
    pthread_mutex_unlock(&q->lock);
    return status ? status : (NTSTATUS)op->rsp->status;
}

void op_post(struct volume *v, struct op *op)
{
    pthread_mutex_lock(&v->queue.lock);
    bool crowded = v->queue.waiting > v->params.irp_capacity / 2;
    NTSTATUS status = crowded ? STATUS_SUCCESS : append(v, op, true);
    pthread_mutex_unlock(&v->queue.lock);
    if (crowded)
        op_call(v, op, true);
    if (status || crowded)
        op_free(op);
}

static void count_in_progress(struct volume *v)
{
    unsigned now = v->queue.in_progress;
    if (now > atomic_load(&v->most_at_once))
        atomic_store(&v->most_at_once, now);
}

bool queue_take(struct volume *v, struct winfsp_request *req)
{
    struct queue *q = &v->queue;
    pthread_mutex_lock(&q->lock);
    while (!q->stopped && !q->first)
        pthread_cond_wait(&q->work, &q->lock);
    struct op *op = q->stopped ? NULL : q->first;
    if (op) {
        q->first = op->next;
        if (!q->first)
            q->last = &q->first;
        q->waiting--;
        op->taken = true;
        op->next = q->taken;
        q->taken = op;
        q->in_progress++;
        count_in_progress(v);
        memcpy(req, op->req, op->req->size);
    }
    pthread_mutex_unlock(&q->lock);
    return op != NULL;
}

void queue_complete(struct volume *v, const struct winfsp_response *rsp)
{
    struct queue *q = &v->queue;
    pthread_mutex_lock(&q->lock);
    struct op **at = &q->taken;
    while (*at && (*at)->hint != rsp->hint)
        at = &(*at)->next;
    struct op *op = *at;
    if (!op && !q->cancelled)
        violation(v, "a response for hint %llx, which nobody waits for (answered twice?)",
                  (unsigned long long)rsp->hint);
    if (op && op->req->kind != rsp->kind)
        violation(v, "request kind %u was answered with kind %u", op->req->kind, rsp->kind);
    if (op) {
        *at = op->next;
        size_t size = rsp->size;
        if (size < sizeof *rsp || size > WINFSP_MESSAGE_MAX) {
            violation(v, "a response of %zu bytes", size);
            size = sizeof *rsp;
        }
        memcpy(op->rsp, rsp, size);
        finish(q, op);
    }
    pthread_mutex_unlock(&q->lock);
}

void queue_stop(struct volume *v, bool normally, bool cancel_all)
{
    struct queue *q = &v->queue;
    pthread_mutex_lock(&q->lock);
    if (!q->stopped)
        q->normally = normally;
    q->stopped = true;
    pthread_cond_broadcast(&q->work);
    if (cancel_all) {
        q->cancelled = true;
        struct op *op;
        while ((op = q->first)) {
            q->first = op->next;
            q->waiting--;
            cancel(q, op);
        }
        q->last = &q->first;
        while ((op = q->taken)) {
            q->taken = op->next;
            op->rsp->status = (uint32_t)STATUS_CANCELLED;
            finish(q, op);
        }
    }
    pthread_mutex_unlock(&q->lock);
}

void queue_settle(struct volume *v)
{
    pthread_mutex_lock(&v->queue.lock);
    while (v->queue.closes && !v->queue.stopped)
        pthread_cond_wait(&v->queue.idle, &v->queue.lock);
    pthread_mutex_unlock(&v->queue.lock);
}
