// SPDX-License-Identifier: BSD-3-Clause
/*
 * guard.c - what brackets every operation
 *
 * Theory of operation
 *
 *   WinFsp calls enter and leave around each operation, on the thread that serves it. Its own pair takes
 *   one lock for the whole volume, exclusively for every create, delete and rename, so that a slow host
 *   serves them one at a time. Our tables have locks of their own; what is left to protect is that a create
 *   in two steps ("is it there?", "then make it") is one as far as this guest is concerned. For that a lock
 *   for the directory is enough: stripes of slim locks, chosen by a hash of the directory's path
 *   (guard_key.c). A rename takes two stripes, the lower one first. Plain opens, listings, reads, writes
 *   and information take none.
 *
 *   Between enter and leave the thread keeps what the operation found out about its path (struct svc_trail):
 *   WinFsp asks for the security of a file and then opens it, and the second question is answered from the
 *   first. Leave gives these references back.
 *
 *   Leave is also the last who sees the response. A create that met a file which somebody else made in
 *   between has opened that one instead, and the DLL, which cannot know, says that it was created; leave
 *   puts that right.
 *
 * Ownership: a struct svc_scratch belongs to the volume and is used by its thread only; a volume has as many
 * as it has dispatcher threads. Locks: scratch_lock for their list; stripes between enter and leave.
 */
#include "service/winfsp/svc.h"

#include <stdlib.h>

#include "service/winfsp/guard_key.h"

struct svc_scratch {
    struct svc_scratch *next;
    bool inside; /* of an operation */
    bool answer_instead;
    uint32_t information;
    unsigned held; /* stripes */
    uint32_t stripe[2];
    struct svc_trail trail;
};

/** svc_guard_init() - Return: 0 or -LE_ENOMEM */
int svc_guard_init(struct svc_volume *v)
{
    v->scratch_slot = TlsAlloc();
    return v->scratch_slot == TLS_OUT_OF_INDEXES ? -LE_ENOMEM : 0;
}

/** svc_guard_free() - after the dispatcher's threads are gone */
void svc_guard_free(struct svc_volume *v)
{
    while (v->scratches) {
        struct svc_scratch *s = v->scratches;

        v->scratches = s->next;
        svc_trail_end(v, &s->trail);
        free(s);
    }
    if (v->scratch_slot != TLS_OUT_OF_INDEXES)
        TlsFree(v->scratch_slot);
}

static struct svc_scratch *scratch_of_thread(struct svc_volume *v)
{
    struct svc_scratch *s = TlsGetValue(v->scratch_slot);

    if (s)
        return s;
    s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    if (!TlsSetValue(v->scratch_slot, s)) {
        free(s);
        return NULL;
    }
    AcquireSRWLockExclusive(&v->scratch_lock);
    s->next = v->scratches;
    v->scratches = s;
    ReleaseSRWLockExclusive(&v->scratch_lock);
    return s;
}

struct svc_trail *svc_trail(struct svc_volume *v)
{
    struct svc_scratch *s = TlsGetValue(v->scratch_slot);

    return s && s->inside ? &s->trail : NULL;
}

void svc_answer_instead(struct svc_volume *v, uint32_t information)
{
    struct svc_scratch *s = TlsGetValue(v->scratch_slot);

    if (!s || !s->inside)
        return;
    s->answer_instead = true;
    s->information = information;
}

/* The stripe of a path in the message. Return: false if the message has no such path. */
static bool stripe_of(struct svc_volume *v, const struct winfsp_request *r, struct winfsp_span path,
                      uint32_t *out)
{
    uint32_t room = r->size > sizeof(*r) ? r->size - (uint32_t)sizeof(*r) : 0;

    if (path.size == 0 || path.offset > room || path.size > room - path.offset ||
        path.offset % sizeof(uint16_t) != 0)
        return false;
    *out = svc_guard_key((const uint16_t *)(const void *)(r->buffer + path.offset), path.size / 2,
                         v->options.case_insensitive) %
           SVC_STRIPES;
    return true;
}

static bool is_rename(const struct winfsp_request *r)
{
    enum { FILE_RENAME_INFORMATION = 10, FILE_RENAME_INFORMATION_EX = 65 };

    return r->kind == WINFSP_KIND_SET_INFORMATION &&
           (r->file.set_information.information_class == FILE_RENAME_INFORMATION ||
            r->file.set_information.information_class == FILE_RENAME_INFORMATION_EX);
}

static bool changes_directory(const struct winfsp_request *r)
{
    return (r->kind == WINFSP_KIND_CREATE && r->create.create_options >> 24 != SVC_OPEN) ||
           (r->kind == WINFSP_KIND_CLEANUP && (r->file.cleanup.flags & WINFSP_CLEANUP_DELETE));
}

/* Which stripes an operation takes, lowest first. */
static void choose_stripes(struct svc_volume *v, const struct winfsp_request *r,
                           struct svc_scratch *s)
{
    uint32_t second;

    s->held = 0;
    if (!is_rename(r) && !changes_directory(r))
        return;
    if (stripe_of(v, r, r->file_name, &s->stripe[0]))
        s->held = 1;
    if (!is_rename(r) || !stripe_of(v, r, r->file.set_information.rename.new_name, &second))
        return;
    if (s->held == 0 || second != s->stripe[0])
        s->stripe[s->held++] = second;
    if (s->held == 2 && s->stripe[0] > s->stripe[1]) {
        s->stripe[1] = s->stripe[0];
        s->stripe[0] = second;
    }
}

/**
 * svc_guard_enter() - before an operation
 *
 * Return: STATUS_INSUFFICIENT_RESOURCES without memory, but never for what cannot fail: a cleanup or close
 * that is not served would leak its handle, so those go on without.
 */
NTSTATUS WINAPI svc_guard_enter(struct winfsp_file_system *fs, struct winfsp_request *request,
                                struct winfsp_response *response)
{
    struct svc_volume *v = svc_volume_of(fs);
    struct svc_scratch *s = scratch_of_thread(v);

    (void)response;
    if (!s)
        return request->kind == WINFSP_KIND_CLEANUP || request->kind == WINFSP_KIND_CLOSE
                   ? STATUS_SUCCESS
                   : STATUS_INSUFFICIENT_RESOURCES;
    s->inside = true;
    s->answer_instead = false;
    choose_stripes(v, request, s);
    for (unsigned i = 0; i < s->held; i++)
        AcquireSRWLockExclusive(&v->stripes[s->stripe[i]]);
    return STATUS_SUCCESS;
}

/** svc_guard_leave() - after it, on the same thread, before the response is sent */
NTSTATUS WINAPI svc_guard_leave(struct winfsp_file_system *fs, struct winfsp_request *request,
                                struct winfsp_response *response)
{
    struct svc_volume *v = svc_volume_of(fs);
    struct svc_scratch *s = TlsGetValue(v->scratch_slot);

    (void)request;
    if (!s || !s->inside)
        return STATUS_SUCCESS;
    if (s->answer_instead && response)
        response->information = s->information;
    for (unsigned i = s->held; i > 0; i--)
        ReleaseSRWLockExclusive(&v->stripes[s->stripe[i - 1]]);
    s->held = 0;
    svc_trail_end(v, &s->trail);
    s->inside = false;
    return STATUS_SUCCESS;
}
