// SPDX-License-Identifier: BSD-3-Clause
/*
 * lock_table.c - who holds record locks, each through a descriptor of its own
 *
 * Theory of operation
 *
 *   POSIX record locks belong to a process; all of the guest's processes are one process here. So each
 *   lock owner (a number that the guest makes up) gets, for each file that it locks, an open file
 *   description of its own, and locks through it with F_OFD_SETLK. The host's kernel then sees
 *   different owners as different, merges and splits ranges, and tells us from other programs and
 *   other daemons. Closing the descriptor releases what its owner holds, and nothing else.
 *
 *   Entries appear with an owner's first lock on a file and go when the guest says that the owner is
 *   done with it (FLUSH, or an unlock of the whole file). Each costs a descriptor, so there is a bound;
 *   past it the guest gets ENOLCK.
 *
 *   The host's kernel finds no deadlocks between such locks: EDEADLK never happens.
 *
 *   Over the end of this process the kernel keeps the locks, because each descriptor outlives it
 *   (KEEP_LOCK): it is put before the first lock is taken through it. Whose they are, and on which bytes, is kept beside
 *   (lock_kept.h), the file's number last.
 *
 * Ownership: an entry holds a reference on its file and owns its descriptor; it lives until the last
 * reference goes. The table itself holds one while the entry can be found.
 * Locks: one mutex for table, counts and references; no system call is made with it held, but by lock_table_each() and
 * what follows it, which run alone. Each entry has another one for what it locks, held across fcntl(), which does not
 * wait. Order: the table's first.
 * syscalls: fcntl fcntl64 close
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "host/log.h"
#include "server/lock_kept.h"
#include "server/lock_table.h"

enum { BUCKETS = 1024, FEW_RANGES = 64 };

struct lock_owner {
    void *file;
    uint64_t owner;
    int fd;
    uint32_t refs;           /* table lock */
    uint32_t slot;           /* of what is kept */
    _Atomic uint32_t *pid;   /* kept */
    struct lock_owner *next; /* table lock: hash chain */
    pthread_mutex_t setting; /* guards what follows, and that the kernel agrees with it */
    struct lock_ranges ranges;
    bool known;              /* ranges has all; not if another worker took more than can be kept */
    struct kept_locks *kept; /* NULL: nothing need outlive this process */
};

struct lock_table {
    pthread_mutex_t lock;
    const struct lock_files *files;
    void *ctx;
    uint32_t max, count;
    struct keep *keep;
    struct kept_locks *kept;
    bool taken[LOCK_OWNERS_MAX];        /* table lock: slots of what is kept */
    struct lock_owner *bucket[BUCKETS]; /* by file: all owners of a file are in one chain */
};

int lock_table_new(struct lock_table **table, const struct lock_files *files, void *ctx,
                   uint32_t max, struct keep *k)
{
    struct lock_table *t = calloc(1, sizeof(*t));

    if (!t)
        return -ENOMEM;
    t->keep = k;
    t->kept = lock_kept_map(k);
    if (!t->kept) {
        int r = -errno;
        free(t);
        return r;
    }
    pthread_mutex_init(&t->lock, NULL);
    t->files = files;
    t->ctx = ctx;
    t->max = max < LOCK_OWNERS_MAX ? max : LOCK_OWNERS_MAX;
    *table = t;
    return 0;
}

void lock_table_free(struct lock_table *t)
{
    if (!t)
        return;
    if (!keep_is_supervised(t->keep)) /* else they are the next worker's */
        lock_table_clear(t);
    keep_unmap(t->keep, t->kept);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static struct lock_owner **bucket_of(struct lock_table *t, const void *file)
{
    uint64_t h = (uint64_t)(uintptr_t)file * 0x9e3779b97f4a7c15u;

    return &t->bucket[h >> 54];
}
_Static_assert(BUCKETS == 1u << (64 - 54), "bucket_of() shifts by this");

/* Where the entry hangs, or the end of its chain; lock held. */
static struct lock_owner **find(struct lock_table *t, const void *file, uint64_t owner)
{
    struct lock_owner **at = bucket_of(t, file);

    while (*at && ((*at)->file != file || (*at)->owner != owner))
        at = &(*at)->next;
    return at;
}

static struct lock_owner *find_and_ref(struct lock_table *t, const void *file, uint64_t owner)
{
    struct lock_owner *o = *find(t, file, owner);

    if (o)
        o->refs++;
    return o;
}

struct lock_owner *lock_owner_find(struct lock_table *t, const void *file, uint64_t owner)
{
    struct lock_owner *o;

    pthread_mutex_lock(&t->lock);
    o = find_and_ref(t, file, owner);
    pthread_mutex_unlock(&t->lock);
    return o;
}

static void destroy(struct lock_table *t, struct lock_owner *o)
{
    atomic_store(&t->kept->at[o->slot].file, 0);
    if (o->kept)
        lock_kept_clear(o->kept, o->slot, o->ranges.room > FEW_RANGES);
    keep_drop(t->keep, KEEP_LOCK, o->slot);
    pthread_mutex_lock(&t->lock);
    t->taken[o->slot] = false;
    pthread_mutex_unlock(&t->lock);
    if (o->fd >= 0)
        close(o->fd);
    t->files->unref(t->ctx, o->file);
    pthread_mutex_destroy(&o->setting);
    lock_ranges_free(&o->ranges);
    free(o);
}

void lock_owner_put(struct lock_table *t, struct lock_owner *o)
{
    bool last;

    pthread_mutex_lock(&t->lock);
    last = --o->refs == 0;
    pthread_mutex_unlock(&t->lock);
    if (last)
        destroy(t, o);
}

/* Return: a slot that nobody has; LOCK_OWNERS_MAX: there is none. */
static uint32_t take_slot(struct lock_table *t)
{
    uint32_t slot = 0;

    pthread_mutex_lock(&t->lock);
    while (slot < LOCK_OWNERS_MAX && t->taken[slot])
        slot++;
    if (slot < LOCK_OWNERS_MAX)
        t->taken[slot] = true;
    pthread_mutex_unlock(&t->lock);
    return slot;
}

static int make(struct lock_table *t, void *file, uint64_t owner, struct lock_owner **out)
{
    struct lock_owner *o = malloc(sizeof(*o));

    if (!o)
        return -ENOMEM;
    *o = (struct lock_owner){
        .file = file,
        .owner = owner,
        .slot = take_slot(t),
        .known = true,
        .kept = keep_is_supervised(t->keep) ? t->kept : NULL,
    };
    if (o->slot == LOCK_OWNERS_MAX) {
        free(o);
        return -ENOLCK;
    }
    pthread_mutex_init(&o->setting, NULL);
    o->fd = t->files->open(t->ctx, file);
    int err = o->fd < 0 ? o->fd : keep_put(t->keep, KEEP_LOCK, o->slot, o->fd);
    t->files->ref(t->ctx, file);
    if (err < 0) {
        destroy(t, o);
        return err == -EMFILE || err == -ENFILE ? -ENOLCK : err;
    }
    struct kept_lock *k = &t->kept->at[o->slot];
    k->owner = owner;
    o->pid = &k->pid;
    atomic_store(o->pid, 0);
    if (o->kept)
        lock_kept_store(o->kept, o->slot, &o->ranges);
    atomic_store_explicit(&k->file, t->files->number(t->ctx, file), memory_order_release);
    *out = o;
    return 0;
}

/* One that was left: into the table. Return: 0; -ENOENT: its lock is lost; -ENOMEM. */
static int revive(struct lock_table *t, uint32_t slot)
{
    struct kept_lock *k = &t->kept->at[slot];
    struct lock_owner *o = malloc(sizeof(*o));

    if (!o)
        return -ENOMEM;
    *o = (struct lock_owner){
        .owner = k->owner, .slot = slot, .refs = 1, .pid = &k->pid, .kept = t->kept};
    int err = lock_kept_load(t->kept, slot, &o->ranges);
    o->known = err == 0;
    if (err == -ENOMEM) {
        free(o);
        return err;
    }
    o->fd = keep_take(t->keep, KEEP_LOCK, slot);
    o->file = o->fd < 0 ? NULL : t->files->hold(t->ctx, k->file);
    if (!o->file) {
        if (o->fd >= 0)
            keep_close(t->keep, o->fd); /* the caller drops it */
        lock_ranges_free(&o->ranges);
        free(o);
        return -ENOENT;
    }
    pthread_mutex_init(&o->setting, NULL);
    t->taken[slot] = true;
    o->next = *bucket_of(t, o->file);
    *bucket_of(t, o->file) = o;
    t->count++;
    return 0;
}

int lock_table_resume(struct lock_table *t)
{
    for (uint32_t slot = 0; slot < LOCK_OWNERS_MAX; slot++) {
        if (atomic_load(&t->kept->at[slot].file) == 0)
            continue;
        int r = revive(t, slot);
        if (r == -ENOMEM)
            return r;
        if (r < 0) {
            log_warn_limited("a record lock was lost when the daemon was replaced");
            atomic_store(&t->kept->at[slot].file, 0);
            keep_drop(t->keep, KEEP_LOCK, slot);
        }
    }
    return 0;
}

int lock_owner_get(struct lock_table *t, void *file, uint64_t owner, struct lock_owner **out)
{
    struct lock_owner *fresh, *o;
    bool full;
    int err;

    pthread_mutex_lock(&t->lock);
    o = find_and_ref(t, file, owner);
    full = t->count >= t->max;
    pthread_mutex_unlock(&t->lock);
    *out = o;
    if (o)
        return 0;
    if (full)
        return -ENOLCK;
    err = make(t, file, owner, &fresh);
    if (err)
        return err;

    pthread_mutex_lock(&t->lock);
    o = find_and_ref(t, file, owner); /* another thread may have been first */
    full = t->count >= t->max;
    if (!o && !full) {
        o = fresh;
        o->refs = 2; /* the table's and the caller's */
        o->next = *bucket_of(t, file);
        *bucket_of(t, file) = o;
        t->count++;
    }
    pthread_mutex_unlock(&t->lock);
    if (o != fresh)
        destroy(t, fresh);
    *out = o;
    return o ? 0 : -ENOLCK;
}

/* Unlock now: another reference may keep the descriptor open for a while. */
static void release(struct lock_table *t, struct lock_owner *o)
{
    struct flock all = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

    fcntl(o->fd, F_OFD_SETLK, &all);
    lock_owner_put(t, o);
}

bool lock_owner_drop(struct lock_table *t, const void *file, uint64_t owner)
{
    struct lock_owner **at, *o;

    pthread_mutex_lock(&t->lock);
    at = find(t, file, owner);
    o = *at;
    if (o) {
        *at = o->next;
        t->count--;
    }
    pthread_mutex_unlock(&t->lock);
    if (o)
        release(t, o);
    return o;
}

static bool is_empty(struct lock_table *t)
{
    pthread_mutex_lock(&t->lock);
    bool empty = t->count == 0;
    pthread_mutex_unlock(&t->lock);
    return empty;
}

void lock_table_clear(struct lock_table *t)
{
    if (is_empty(t)) /* as at the end of nearly every session */
        return;
    for (uint32_t i = 0; i < BUCKETS; i++) {
        struct lock_owner *o;

        pthread_mutex_lock(&t->lock);
        o = t->bucket[i];
        t->bucket[i] = NULL;
        for (struct lock_owner *n = o; n; n = n->next)
            t->count--;
        pthread_mutex_unlock(&t->lock);
        while (o) {
            struct lock_owner *next = o->next;
            release(t, o);
            o = next;
        }
    }
}

static uint64_t last_byte(const struct flock *fl)
{
    return fl->l_len == 0 ? (uint64_t)INT64_MAX : (uint64_t)(fl->l_start + fl->l_len - 1);
}

int lock_owner_set(struct lock_owner *o, const struct flock *fl, uint32_t pid)
{
    struct flock copy = *fl;
    int err;

    copy.l_pid = 0; /* fcntl(2): must be, with F_OFD_ commands */
    pthread_mutex_lock(&o->setting);
    err = lock_ranges_reserve(&o->ranges);
    if (!err && fcntl(o->fd, F_OFD_SETLK, &copy) < 0)
        err = errno == EACCES ? -EAGAIN : -errno;
    if (!err)
        lock_ranges_set(&o->ranges, fl->l_type, (uint64_t)fl->l_start, last_byte(fl));
    if (!err && fl->l_type == F_UNLCK && fl->l_start == 0 && fl->l_len == 0)
        o->known = true;
    if (!err && o->kept && o->known)
        lock_kept_store(o->kept, o->slot, &o->ranges);
    pthread_mutex_unlock(&o->setting);
    if (!err && fl->l_type != F_UNLCK)
        atomic_store(o->pid, pid);
    return err;
}

/* ---- moving to another daemon; nothing else runs ------------------------------------------- */

int lock_table_each(struct lock_table *t, lock_each_fn *fn, void *ctx)
{
    int err = 0;

    pthread_mutex_lock(&t->lock);
    for (uint32_t i = 0; i < BUCKETS && !err; i++) {
        for (struct lock_owner *o = t->bucket[i]; o && !err; o = o->next)
            err = fn(ctx, o->file, o->owner, atomic_load(o->pid), o->known ? &o->ranges : NULL);
    }
    pthread_mutex_unlock(&t->lock);
    return err;
}

/* The kernel is told again what the entry has. Return: 0 or the first error. */
static int retake(struct lock_owner *o)
{
    int err = 0;

    for (uint32_t i = 0; i < o->ranges.n; i++) {
        const struct lock_range *r = &o->ranges.at[i];
        struct flock fl = {.l_type = r->type, .l_whence = SEEK_SET, .l_start = (off_t)r->start};
        fl.l_len = r->end == INT64_MAX ? 0 : (off_t)(r->end - r->start + 1);
        if (fcntl(o->fd, F_OFD_SETLK, &fl) < 0 && !err)
            err = -errno;
    }
    return err;
}

int lock_table_give_up(struct lock_table *t, bool give_up)
{
    struct flock all = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    int lost = 0;

    pthread_mutex_lock(&t->lock);
    for (uint32_t i = 0; i < BUCKETS; i++) {
        for (struct lock_owner *o = t->bucket[i]; o; o = o->next) {
            if (give_up)
                fcntl(o->fd, F_OFD_SETLK, &all);
            else
                lost += retake(o) < 0;
        }
    }
    pthread_mutex_unlock(&t->lock);
    return lost;
}

int lock_owner_fd(const struct lock_owner *o)
{
    return o->fd;
}

/* Does this owner hold just that? Return: also true when nobody knows. */
static bool may_hold(struct lock_owner *o, const struct flock *fl)
{
    pthread_mutex_lock(&o->setting);
    bool may = !o->known || lock_ranges_has(&o->ranges, fl->l_type, (uint64_t)fl->l_start);
    pthread_mutex_unlock(&o->setting);
    return may;
}

uint32_t lock_other_pid(struct lock_table *t, const void *file, uint64_t owner,
                        const struct flock *fl)
{
    uint32_t pid = 0, others = 0;

    pthread_mutex_lock(&t->lock);
    for (struct lock_owner *o = *bucket_of(t, file); o; o = o->next) {
        if (o->file == file && o->owner != owner && may_hold(o, fl)) {
            others++;
            pid = atomic_load(o->pid);
        }
    }
    pthread_mutex_unlock(&t->lock);
    return others == 1 ? pid : 0;
}
