// SPDX-License-Identifier: BSD-3-Clause
/*
 * report.c - telling WinFsp what has changed on the host
 *
 * Theory of operation
 *
 *   FspFileSystemNotify() takes a buffer of records; WinFsp drops what it cached of the names and completes watches.
 *   It takes them only between FspFileSystemNotifyBegin() and FspFileSystemNotifyEnd(), which keep renames away, and
 *   Begin fails with STATUS_CANT_WAIT while a rename is under way.
 *
 * Ownership: a report is its caller's.   Locks: none. Not for a dispatcher's thread: watchers may run on it.
 */
#include "service/winfsp/svc.h"

#include <string.h>

enum { ALIGN = 8 };

/** svc_report_begin() - Return: STATUS_CANT_WAIT: nothing can be told now; svc_report_end() only after success */
NTSTATUS svc_report_begin(struct svc_report *r, struct svc_volume *v, uint32_t wait_ms)
{
    r->v = v;
    r->used = 0;
    r->status = v->api->notify_begin(v->fs, wait_ms);
    return r->status;
}

static void send(struct svc_report *r)
{
    if (r->used > 0 && NT_SUCCESS(r->status))
        r->status =
            r->v->api->notify(r->v->fs, (struct winfsp_notify_info *)(void *)r->buf, r->used);
    r->used = 0;
}

/** svc_report_room() - the next so many records of paths this long go to WinFsp together */
void svc_report_room(struct svc_report *r, uint32_t records, uint32_t units)
{
    uint32_t one = (uint32_t)(sizeof(struct winfsp_notify_info) + units * sizeof(WCHAR) + ALIGN);

    if (records * one > sizeof(r->buf) - r->used)
        send(r);
}

/** svc_report_add() - @path: from the volume's root, at most SVC_PATH_UNITS */
void svc_report_add(struct svc_report *r, const WCHAR *path, uint32_t filter, uint32_t action)
{
    uint32_t bytes = (uint32_t)(wcslen(path) * sizeof(WCHAR));
    uint32_t size = (uint32_t)sizeof(struct winfsp_notify_info) + bytes;
    uint32_t step = (size + ALIGN - 1) & ~(uint32_t)(ALIGN - 1);
    struct winfsp_notify_info *info;

    if (step > sizeof(r->buf) - r->used)
        send(r);
    info = (struct winfsp_notify_info *)(void *)((uint8_t *)r->buf + r->used);
    memset(info, 0, step);
    info->size = (uint16_t)size;
    info->filter = filter;
    info->action = action;
    memcpy(info->name, path, bytes);
    r->used += step;
}

/** svc_report_end() - Return: the first failure */
NTSTATUS svc_report_end(struct svc_report *r)
{
    send(r);
    r->v->api->notify_end(r->v->fs);
    return r->status;
}
