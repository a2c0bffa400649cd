// SPDX-License-Identifier: BSD-3-Clause
/*
 * resume.c - the control thread's part of the journal: session, memory, rings and the message being handled
 *
 * Theory of operation
 *
 *   The state is written as a whole into the older of two copies, and then that one is made the valid one. This is
 *   done before a queue runs and after each message, so that it never says less than what queues rely on.
 *
 *   A message stays in the socket until it has been handled and the state is saved; one that was interrupted is
 *   handled once more, which does no harm. Its answer is written down before the message is taken out of the
 *   socket and forgotten when it has been sent. Who ends in the few instructions between sending and forgetting
 *   leaves an answer of which the successor does not know whether it was sent: it was if the front end has
 *   gone on, otherwise it is sent (again). Another window is that between accept() and keeping what it
 *   returned: the front end is refused then, as it would be without a supervisor.
 *
 *   Files behind guest memory are kept under slots that are in use by neither copy, so that a table which replaces
 *   another never has its descriptors exchanged under it.
 *
 *   Resuming: memory is mapped, rings are opened where the counts say, chains that were answered are given back,
 *   those that were merely taken are deferred chains (queue.c), which the worker serves first. The driver is
 *   signalled once, for nobody knows whether it was.
 *
 * Ownership: struct vu's. Locks: control thread only.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/cleanup.h"
#include "host/log.h"
#include "vhost/resume.h"

/* ---- saving ---------------------------------------------------------------------------------- */

static void save_queue(struct journal_ring *to, const struct vq *q)
{
    *to = (struct journal_ring){
        .desc = q->desc_uva,
        .avail = q->avail_uva,
        .used = q->used_uva,
        .used_gpa = q->used_gpa,
        .size = q->size,
        .used_logged = q->used_logged,
        .started = q->started,
        .enabled = q->enabled,
    };
}

/** resume_save() - see resume.h */
void resume_save(struct vu *vu)
{
    struct journal *j = vu->journal;
    uint32_t spare = !j->current;
    struct journal_state *s = &j->state[spare];

    if (!keep_is_supervised(vu->keep))
        return;
    s->features = vu->features;
    s->proto_features = vu->proto_features;
    s->session = vu->conn_fd >= 0;
    s->log = vu->log;
    s->logs = vu->dirty.bits != NULL;
    s->n_mem = vu->mem ? vu->mem->n : 0;
    for (unsigned i = 0; i < s->n_mem; i++) {
        const struct mem_region *r = &vu->mem->region[i];
        s->mem[i] = (struct journal_mem){
            .gpa = r->gpa, .size = r->size, .uva = r->uva, .offset = r->offset, .slot = r->slot};
    }
    for (unsigned i = 0; i < VU_MAX_QUEUES; i++)
        save_queue(&s->ring[i], &vu->queue[i]);
    __atomic_store_n(&j->current, spare, __ATOMIC_RELEASE);
}

/** resume_keep() - see resume.h */
void resume_keep(struct vu *vu, enum keep_kind kind, uint32_t index, int fd)
{
    if (fd < 0) {
        keep_drop(vu->keep, kind, index);
        return;
    }
    int err = keep_put(vu->keep, kind, index, fd);
    if (err < 0)
        log_warn("a descriptor of the device cannot be kept, a crash would not be survived: %s",
                 strerror(-err));
}

static bool slot_in_use(const struct vu *vu, uint32_t slot)
{
    return (vu->slots[slot / 64] >> (slot % 64)) & 1;
}

/** resume_keep_memory() - see resume.h */
void resume_keep_memory(struct vu *vu, struct mem *mem, const struct vu_mem_region *r, int fd)
{
    int at = mem_find(mem, r);
    uint32_t slot = 0;

    if (!keep_is_supervised(vu->keep) || at < 0)
        return;
    while (slot < JOURNAL_SLOTS && slot_in_use(vu, slot))
        slot++;
    if (slot == JOURNAL_SLOTS)
        return; /* twice as many as regions: never */
    vu->slots[slot / 64] |= UINT64_C(1) << (slot % 64);
    mem->region[at].slot = slot;
    resume_keep(vu, KEEP_MEMORY, slot, fd);
}

/** resume_forget_memory() - see resume.h */
void resume_forget_memory(struct vu *vu)
{
    uint64_t used[JOURNAL_SLOTS / 64] = {0};

    for (unsigned i = 0; vu->mem && i < vu->mem->n; i++) {
        uint32_t slot = vu->mem->region[i].slot;
        if (slot < JOURNAL_SLOTS)
            used[slot / 64] |= UINT64_C(1) << (slot % 64);
    }
    for (uint32_t slot = 0; slot < JOURNAL_SLOTS; slot++) {
        if (slot_in_use(vu, slot) && ((used[slot / 64] >> (slot % 64)) & 1) == 0)
            keep_drop(vu->keep, KEEP_MEMORY, slot);
    }
    memcpy(vu->slots, used, sizeof(used));
}

/* ---- the message being handled ----------------------------------------------------------------- */

static void set_phase(struct journal *j, enum journal_phase phase)
{
    __atomic_store_n(&j->message.phase, (uint32_t)phase, __ATOMIC_RELEASE);
}

/** resume_reply() - see resume.h */
int resume_reply(struct vu *vu, struct vu_msg *m, uint32_t size)
{
    struct journal *j = vu->journal;

    if (!m->peeked)
        return vu_msg_reply(vu->conn_fd, vu->stop_fd, m, size);
    resume_save(vu);
    j->message.request = m->head;
    j->message.length = m->length;
    j->message.size = size;
    memcpy(j->message.bytes, m->bytes, size);
    set_phase(j, JOURNAL_OWED);
    int err = vu_msg_consume(vu->conn_fd, m);
    set_phase(j, JOURNAL_SENDING);
    if (err == 0)
        err = vu_msg_reply(vu->conn_fd, vu->stop_fd, m, size);
    set_phase(j, JOURNAL_NONE);
    return err;
}

/** resume_handled() - see resume.h */
int resume_handled(struct vu *vu, struct vu_msg *m)
{
    if (!keep_is_supervised(vu->keep))
        return 0;
    resume_save(vu);
    resume_forget_memory(vu);
    return vu_msg_consume(vu->conn_fd, m);
}

/** resume_finish_message() - see resume.h */
int resume_finish_message(struct vu *vu)
{
    struct journal_message *j = &vu->journal->message;
    uint32_t phase = j->phase, size = j->size;
    struct vu_msg m = {.length = j->length};

    if (phase == JOURNAL_NONE)
        return 0;
    if (size > sizeof(j->bytes) || m.length > sizeof(m.head) + sizeof(m.bytes))
        return -EPROTO; /* no worker of ours writes that */
    bool waiting = vu_msg_waiting(vu->conn_fd);
    if (phase == JOURNAL_SENDING && waiting) {
        set_phase(vu->journal, JOURNAL_NONE); /* it was sent: the front end has gone on */
        return 0;
    }
    /* Who waits for an answer sends nothing: what is there is the request itself. */
    m.peeked = waiting;
    int err = vu_msg_consume(vu->conn_fd, &m);
    if (err < 0)
        return err;
    m.head = j->request;
    memcpy(m.bytes, j->bytes, size);
    err = vu_msg_reply(vu->conn_fd, vu->stop_fd, &m, size);
    set_phase(vu->journal, JOURNAL_NONE);
    return err;
}

/* ---- resuming ---------------------------------------------------------------------------------- */

static int restore_memory(struct vu *vu, const struct journal_state *s)
{
    vu->mem = mem_new();
    if (!vu->mem)
        return -ENOMEM;
    for (unsigned i = 0; i < s->n_mem && i < MEM_MAX_REGIONS; i++) {
        const struct journal_mem *from = &s->mem[i];
        struct vu_mem_region r = {.guest_addr = from->gpa,
                                  .size = from->size,
                                  .user_addr = from->uva,
                                  .mmap_offset = from->offset};
        cleanup_close int fd = keep_take(vu->keep, KEEP_MEMORY, from->slot);
        int err = mem_add(vu->mem, &r, fd);
        if (err < 0)
            return err;
        vu->mem->region[mem_find(vu->mem, &r)].slot = from->slot;
        if (from->slot < JOURNAL_SLOTS)
            vu->slots[from->slot / 64] |= UINT64_C(1) << (from->slot % 64);
    }
    return 0;
}

static int restore_log(struct vu *vu, const struct journal_state *s)
{
    if (!s->logs)
        return 0;
    cleanup_close int fd = keep_take(vu->keep, KEEP_LOG, 0);
    vu->log = s->log;
    return dirty_open(&vu->dirty, &s->log, fd);
}

static int restore_queues(struct vu *vu, const struct journal_state *s)
{
    for (unsigned i = 0; i < VU_MAX_QUEUES; i++) {
        int err = queue_restore(&vu->queue[i], &s->ring[i]);
        if (err < 0)
            return err;
    }
    /* Only now, because running queues save the state of all. */
    for (unsigned i = 0; i < VU_MAX_QUEUES; i++) {
        queue_call(&vu->queue[i]);
        int err = queue_update(&vu->queue[i]);
        if (err < 0)
            return err;
    }
    return 0;
}

/* No front end is connected: whatever a session left is void. */
static void without_session(struct vu *vu)
{
    struct journal *j = vu->journal;

    for (unsigned i = 0; i < VU_MAX_QUEUES; i++) {
        for (unsigned head = 0; j->queue[i].used && head < RING_MAX_SIZE; head++)
            journal_given(&j->record[i][head]);
        j->queue[i] = (struct journal_queue){0};
    }
    set_phase(j, JOURNAL_NONE);
}

/** vu_resume() - see vhost.h */
int vu_resume(struct vu *vu)
{
    const struct journal_state *s = &vu->journal->state[vu->journal->current & 1];
    int err;

    vu->listen_fd = keep_take(vu->keep, KEEP_LISTEN, 0);
    if (!keep_resumes(vu->keep))
        return 0;
    vu->conn_fd = keep_take(vu->keep, KEEP_CONN, 0);
    if (vu->conn_fd < 0 || !s->session) {
        without_session(vu);
        vu->ops->session_reset(vu->ctx);
        return 0;
    }
    vu->features = s->features;
    vu->proto_features = s->proto_features;
    vu->backend_fd = keep_take(vu->keep, KEEP_BACKEND, 0);
    if ((err = restore_memory(vu, s)) < 0 || (err = restore_log(vu, s)) < 0 ||
        (err = restore_queues(vu, s)) < 0) {
        log_error("the device cannot be taken over: %s", strerror(-err));
        return err;
    }
    log_info("the front end's device goes on");
    return 0;
}
