// SPDX-License-Identifier: BSD-3-Clause
/*
 * fold.c - names in any case, for shares whose case does not matter
 *
 * Theory of operation
 *
 *   A host compares names byte by byte. To find "Readme.TXT" as "README.txt" one has to read the directory;
 *   programs for Windows look for what is not there all the time, so reading it each time is out of the
 *   question. The first search reads it once (OPENDIR, READDIR, RELEASEDIR) into an index, a set of names by
 *   their folded hash, which stays with the directory's node.
 *
 *   The index holds while the directory's mtime and ctime are what they were when the reading began: before
 *   an answer that depends on it, one GETATTR compares them, and for as long as the attributes that it
 *   brings are valid nothing more is asked. Our own changes are put into the index at once, and do not end
 *   that time; the next new times are then taken for their consequence. The host's side may have
 *   changed the directory in the same moment, so an index that has been trusted in that way is read again
 *   after a few seconds.
 *
 *   A file system's clock ticks (milliseconds; two seconds on FAT). A change after the reading and in the same
 *   tick as one before it leaves no trace in the times. So an index of a directory that may just have been
 *   changed is read again as soon as that tick is surely over; unless it is known to be over already, because
 *   the directory's times are old news, or because something on the host has been changed much later.
 *
 *   While it is read, an index takes our own changes already, and they weigh more than what is read. Others
 *   that search meanwhile read for themselves. All indexes together have a bound; past it directories are
 *   read without one.
 *
 * Ownership: node->fold belongs to the node.   Locks: node->lock for all of it, never while asking.
 */
#include <stdlib.h>
#include <string.h>

#include "service/client/fold.h"

enum {
    TRUST_MS = 5000,         /* after times were taken for our doing */
    TICK_MS = 2500,          /* longer than a tick of any file system's clock */
    MOST_MEMORY = 64 << 20,  /* of all indexes */
    PAGE_MAX = 256 << 10,    /* bytes of one READDIR */
    MOST_ENTRIES = 16 << 20, /* in one directory, before the host counts as a liar */
    DEAD_MAX = 256           /* names that went, before an index is thrown away for growing */
};

static bool same_time(struct cli_time a, struct cli_time b)
{
    return a.sec == b.sec && a.nsec == b.nsec;
}

/* ---- the index of a node; node->lock held -------------------------------------------------------------- */

static void drop_locked(struct cli *c, struct cli_node *dir)
{
    if (!dir->fold)
        return;
    atomic_fetch_sub(&c->fold_bytes, cli_fold_size(dir->fold));
    cli_fold_free(dir->fold);
    dir->fold = NULL;
}

/* Put a name in and keep count of the memory. No room: no index. */
static void put_locked(struct cli *c, struct cli_node *dir, struct cli_name name, bool there,
                       bool listed)
{
    uint64_t before = cli_fold_size(dir->fold);
    int r = cli_fold_put(dir->fold, name, there, listed);
    uint64_t more = cli_fold_size(dir->fold) - before;

    atomic_fetch_add(&c->fold_bytes, more);
    if (r < 0 || atomic_load(&c->fold_bytes) > MOST_MEMORY ||
        dir->fold->dead > DEAD_MAX + dir->fold->live)
        drop_locked(c, dir);
}

static bool is_distrusted(const struct cli_fold *f)
{
    return f->distrust_ms && cli_clock_ms() >= f->distrust_ms;
}

/* Does the index hold, these being the directory's attributes now? */
static bool holds_locked(struct cli_fold *f, const struct cli_attr *now)
{
    if (is_distrusted(f))
        return false;
    if (same_time(f->mtime, now->mtime) && same_time(f->ctime, now->ctime))
        return true;
    if (!f->ours)
        return false;
    f->ours = false;
    f->mtime = now->mtime;
    f->ctime = now->ctime;
    if (!f->distrust_ms)
        f->distrust_ms = cli_clock_ms() + TRUST_MS;
    return true;
}

static bool is_there(struct cli_node *dir)
{
    return dir->fold && !dir->fold->building;
}

/* Does it hold without a look at the directory? */
static bool is_fresh(struct cli_node *dir)
{
    return is_there(dir) && cli_clock_ms() < dir->fold->valid_ms && !is_distrusted(dir->fold);
}

/* ---- changes of ours ------------------------------------------------------------------------------------ */

static void changed(struct cli *c, struct cli_node *dir, struct cli_name name, bool there)
{
    cli_mutex_lock(&dir->lock);
    if (dir->fold) {
        dir->fold->ours = true;
        put_locked(c, dir, name, there, false);
    }
    cli_mutex_unlock(&dir->lock);
}

void cli_fold_added(struct cli *c, struct cli_node *dir, struct cli_name name)
{
    changed(c, dir, name, true);
}

void cli_fold_removed(struct cli *c, struct cli_node *dir, struct cli_name name)
{
    changed(c, dir, name, false);
}

void cli_fold_doubt(struct cli *c, struct cli_node *dir)
{
    (void)c;
    cli_mutex_lock(&dir->lock);
    if (dir->fold)
        dir->fold->valid_ms = 0;
    cli_mutex_unlock(&dir->lock);
}

void cli_fold_drop(struct cli *c, struct cli_node *dir)
{
    cli_mutex_lock(&dir->lock);
    drop_locked(c, dir);
    cli_mutex_unlock(&dir->lock);
}

/** cli_fold_guess() - see client_int.h */
enum cli_guess cli_fold_guess(struct cli *c, struct cli_node *dir, struct cli_name name)
{
    enum cli_guess guess = CLI_GUESS_NONE;
    char actual[CLI_NAME_BYTES + 1];

    (void)c;
    cli_mutex_lock(&dir->lock);
    if (is_there(dir)) {
        int len = cli_fold_get(dir->fold, name, actual);
        guess = len == (int)name.len && memcmp(actual, name.bytes, name.len) == 0 ? CLI_GUESS_EXACT
                                                                                  : CLI_GUESS_OTHER;
    }
    cli_mutex_unlock(&dir->lock);
    return guess;
}

/* ---- reading a directory ------------------------------------------------------------------------------- */

struct pass {
    struct cli *c;
    struct cli_node *dir;
    struct cli_name name; /* that is looked for */
    uint64_t serial;      /* of the index that is built, 0 for none */
    int len;              /* of the best fit so far, or -LE_ENOENT */
    char *actual;
    uint64_t fh, cookie;
    uint32_t session, entries;
};

static void consider(struct pass *p, struct cli_name found)
{
    if (!cli_fold_equal(found, p->name))
        return;
    if (p->len >= 0 &&
        !cli_fold_better(p->name, found, (struct cli_name){p->actual, (uint32_t)p->len}))
        return;
    memcpy(p->actual, found.bytes, found.len);
    p->actual[found.len] = '\0';
    p->len = (int)found.len;
}

/* node->lock held. Is the index that this pass began still there? */
static bool still_ours(const struct pass *p)
{
    return p->serial && p->dir->fold && p->dir->fold->serial == p->serial;
}

static int take_page(struct pass *p, const void *page, uint32_t len)
{
    struct cli_rawent e;
    uint32_t pos = 0;
    int r;

    cli_mutex_lock(&p->dir->lock);
    while ((r = cli_dirent_next(page, len, &pos, CLI_PAGE_PLAIN, &e)) > 0) {
        struct cli_name found = {e.name, e.name_len};
        p->cookie = e.cookie;
        p->entries++;
        if (e.skip)
            continue;
        consider(p, found);
        if (still_ours(p))
            put_locked(p->c, p->dir, found, true, true);
    }
    cli_mutex_unlock(&p->dir->lock);
    return p->entries > MOST_ENTRIES ? -LE_EIO : r;
}

static int read_pages(struct pass *p, void *page, uint32_t size)
{
    for (;;) {
        uint64_t before = p->cookie;
        struct fuse_read_in in = {.fh = p->fh, .offset = p->cookie, .size = size};
        struct cli_req r = {
            .opcode = FUSE_READDIR,
            .node = p->dir,
            .session = p->session,
            .arg = {{&in, sizeof(in)}},
            .reply = page,
            .reply_cap = size,
        };
        int n = cli_call(p->c, &r);

        if (n <= 0)
            return n;
        n = take_page(p, page, (uint32_t)n);
        if (n < 0)
            return n;
        if (p->cookie == before)
            return -LE_EIO; /* an honest host gets on */
    }
}

static int read_directory(struct pass *p)
{
    struct fuse_open_in in = {.flags = LX_O_DIRECTORY};
    struct fuse_open_out out;
    struct cli_session s;
    struct cli_req r = {
        .opcode = FUSE_OPENDIR,
        .node = p->dir,
        .arg = {{&in, sizeof(in)}},
        .reply = &out,
        .reply_cap = sizeof(out),
        .reply_min = sizeof(out),
    };

    cli_session_get(p->c, &s);
    uint32_t size = s.max_read < PAGE_MAX ? s.max_read : PAGE_MAX;
    void *page = malloc(size);
    if (!page)
        return -LE_ENOMEM;
    int e = cli_call(p->c, &r);
    if (e >= 0) {
        p->fh = out.fh;
        p->session = r.session;
        e = read_pages(p, page, size);
        cli_release(p->c, p->dir, out.fh, r.session, true);
    }
    free(page);
    return e;
}

/* Is the tick over in which the directory was changed last? node->lock held. */
static bool is_settled(struct cli *c, const struct cli_node *dir, const struct cli_attr *now)
{
    if (atomic_load(&c->host_now) - now->ctime.sec > TICK_MS / 1000 + 1)
        return true;
    return same_time(dir->attr.mtime, now->mtime) && same_time(dir->attr.ctime, now->ctime) &&
           cli_clock_ms() - dir->times_ms > TICK_MS;
}

/* Begin an index, unless another thread is at it. */
static void begin_index(struct pass *p, const struct cli_attr *now)
{
    struct cli_fold *f = cli_fold_new();

    if (!f)
        return; /* read without one */
    f->building = true;
    f->mtime = now->mtime;
    f->ctime = now->ctime;
    f->serial = atomic_fetch_add(&p->c->clock, 1) + 1;
    cli_mutex_lock(&p->dir->lock);
    if (!p->dir->fold) {
        f->valid_ms = p->dir->attr_until;
        f->distrust_ms = is_settled(p->c, p->dir, now) ? 0 : cli_clock_ms() + TICK_MS;
        p->dir->fold = f;
        p->serial = f->serial;
        atomic_fetch_add(&p->c->fold_bytes, cli_fold_size(f));
        f = NULL;
    }
    cli_mutex_unlock(&p->dir->lock);
    cli_fold_free(f);
}

static void end_index(struct pass *p, bool complete)
{
    cli_mutex_lock(&p->dir->lock);
    if (still_ours(p)) {
        p->dir->fold->building = false;
        if (!complete)
            drop_locked(p->c, p->dir);
    }
    cli_mutex_unlock(&p->dir->lock);
}

static int find_by_reading(struct cli *c, struct cli_node *dir, struct cli_name name, char *actual)
{
    struct pass p = {.c = c, .dir = dir, .name = name, .actual = actual, .len = -LE_ENOENT};
    struct cli_attr now;
    int r = cli_getattr(c, dir, false, &now);

    if (r < 0)
        return r;
    begin_index(&p, &now);
    r = read_directory(&p);
    end_index(&p, r == 0);
    return r < 0 ? r : p.len;
}

/* Return: as cli_fold_find(); -LE_EAGAIN if there is no index that holds. */
static int find_in_index(struct cli *c, struct cli_node *dir, struct cli_name name, char *actual)
{
    struct cli_attr now;
    int r = -LE_EAGAIN;

    cli_mutex_lock(&dir->lock);
    bool there = is_there(dir), fresh = is_fresh(dir);
    if (fresh)
        r = cli_fold_get(dir->fold, name, actual);
    cli_mutex_unlock(&dir->lock);
    if (fresh || !there)
        return r;
    int e = cli_getattr(c, dir, false, &now);
    if (e < 0)
        return e == -LE_EAGAIN ? -LE_EIO : e;
    cli_mutex_lock(&dir->lock);
    if (is_there(dir) && holds_locked(dir->fold, &now)) {
        dir->fold->valid_ms = dir->attr_until;
        r = cli_fold_get(dir->fold, name, actual);
    } else if (is_there(dir)) {
        drop_locked(c, dir);
    }
    cli_mutex_unlock(&dir->lock);
    return r;
}

/** cli_fold_find() - see client_int.h */
int cli_fold_find(struct cli *c, struct cli_node *dir, struct cli_name name, char *actual)
{
    int r = find_in_index(c, dir, name, actual);

    return r == -LE_EAGAIN ? find_by_reading(c, dir, name, actual) : r;
}
