// SPDX-License-Identifier: BSD-3-Clause
/*
 * feed.c - what others change on the host reaches the caches, and whoever watches
 *
 * Theory of operation
 *
 *   Where the daemon has the feed (docs/protocol.md), one VIOFS_EVENTS request is out all the time. Its answer is a
 *   list of changes. Each ends the validity of what is cached of it, and is handed to opt.changed with its path
 *   from the root of the share. Then the next request is sent. Answers to questions that were asked
 *   before a change was heard of are not cached (stamps, client_int.h): they may be older than the change.
 *
 *   A name that came or went ends the validity of the name, of what it leads to and of the directory's times; the
 *   directory's other names stay, since their changes are told as well (node->own_change). After RESCAN nothing that
 *   was known holds. The same is true when the feed ends, for whatever reason: what is believed for an hour was
 *   believed because changes would be told.
 *
 *   Records come from the host and are checked like everything else from there. A node that we do not know is
 *   nothing we have cached.
 *
 *   A virtual machine that is paused, saved or moved gets the request back with EINTR, when its device stops; the session
 *   goes on, and the host keeps what changes meanwhile. The next tick sends the request again.
 *
 *   The request rests with the host, and so does a WATCH of a large tree: silence is no sign of a stall
 *   (gate.resting). A transport that serves one
 *   request after the other cannot have it (limits.side_by_side).
 *
 *   Watches for whole subtrees are counted by directory, and asked for anew in each session. The host is told since when
 *   changes are wanted, by its own clock: so long ago. If the request was under way for longer than the host
 *   allows for, changes may have been missed, and that is told as RESCAN.
 *
 * Locks: feed.telling while a page is told, before all others; feed.lock for the state and the watches; c->tree and
 *   node->lock for each change, not at the same time as feed.lock. opt.changed is called with feed.telling held,
 *   in the order of the changes.
 */
#include <stdlib.h>
#include <string.h>

#include "service/client/client_int.h"

enum {
    /* With a header, what viofs.sys copies: such a request can be let go at once when the host is dead. */
    PAGE_BYTES = 1008,
    WATCHES_MAX = 1024,
    STOP_MS = 10000
};

/* A directory below which somebody wants to hear of everything. */
struct cli_watch {
    struct cli_watch *next;
    struct cli_node *node; /* a reference */
    uint64_t number;       /* the host knows it by */
    uint32_t users;
    struct cli_async ask; /* WATCH */
    struct fuse_viofs_watch_out reply;
    uint64_t since_ms; /* changes from then on are wanted; 0: none from before */
    uint64_t asked_ms;
    bool asking;  /* `ask` is out */
    bool partial; /* the host does not cover all of it */
    bool again;   /* it came back with EINTR: the next tick asks anew */
    bool gone;    /* nobody wants it any more: freed when `ask` is back */
};

/* ---- one change ------------------------------------------------------------------------------------ */

/* The name's node, held, or NULL. Answers that are on their way say nothing of the name any more. */
static struct cli_node *name_doubted(struct cli *c, struct cli_node *dir, struct cli_name name,
                                     bool moved)
{
    struct cli_node *n = NULL;

    if (moved)
        cli_dir_changed(c, dir, name);
    cli_mutex_lock(&c->tree);
    if (!moved)
        cli_name_doubt(c, dir, name);
    struct cli_dentry *d = cli_name_find(c, dir, name);
    if (d && d->node) {
        n = d->node;
        cli_node_hold(c, n);
        if (moved)
            d->until = 0;
    } else if (d && moved) {
        cli_name_del(c, d);
    }
    cli_mutex_unlock(&c->tree);
    return n;
}

static void name_changed(struct cli *c, struct cli_node *dir, struct cli_name name, bool moved)
{
    struct cli_node *n = name_doubted(c, dir, name, moved);

    if (moved)
        cli_fold_doubt(c, dir);
    if (!n)
        return;
    cli_attr_changed(c, n);
    cli_node_put(c, n);
}

/* What can be said of a path that is known as far as its last directory. @dir: a reference, which is used up. */
static void path_changed(struct cli *c, struct cli_node *dir, const char *path, uint32_t len,
                         bool moved)
{
    while (dir) {
        const char *slash = memchr(path, '/', len);
        struct cli_name name = {path, slash ? (uint32_t)(slash - path) : len};
        struct cli_node *next = NULL;

        if (!slash) {
            name_changed(c, dir, name, moved);
        } else {
            cli_mutex_lock(&c->tree);
            struct cli_dentry *d = cli_name_find(c, dir, name);
            next = d && d->node && d->node->type == LX_S_IFDIR ? d->node : NULL;
            if (next)
                cli_node_hold(c, next);
            cli_mutex_unlock(&c->tree);
            path = slash + 1;
            len -= name.len + 1;
        }
        cli_node_put(c, dir);
        dir = next;
    }
}

/* Nothing that was heard of the names in a directory holds any more. */
static void dir_doubted(struct cli *c, struct cli_node *dir)
{
    /* An answer that is on its way may still say that it holds for long. */
    atomic_store(&c->doubted, atomic_fetch_add(&c->clock, 1) + 1);
    cli_attr_changed(c, dir);
    cli_fold_doubt(c, dir);
    cli_mutex_lock(&c->tree);
    cli_doubt_children(c, dir);
    cli_mutex_unlock(&c->tree);
}

/* feed.lock held. Is it time to say that not all is told? Once in a session. */
static bool says_partial(struct cli *c)
{
    bool say = !c->feed.said_partial;

    c->feed.said_partial = true;
    return say;
}

static void say_partial(struct cli *c)
{
    cli_log(c, 1,
            "changes are not told in all directories that programs here watch: the host watches as "
            "many as it may, or they lie on a file system of a network");
}

/* Changes in this directory are not told any more, so watches above it hear less. */
static void watches_torn(struct cli *c, const struct cli_node *dir)
{
    bool torn = false;

    cli_mutex_lock(&c->feed.lock);
    cli_mutex_lock(&c->tree);
    for (struct cli_watch *w = c->feed.watches; w; w = w->next) {
        if (cli_is_below(dir, w->node))
            torn = w->partial = true;
    }
    cli_mutex_unlock(&c->tree);
    torn = torn && says_partial(c);
    cli_mutex_unlock(&c->feed.lock);
    if (torn)
        say_partial(c);
}

/* ---- a page of changes ------------------------------------------------------------------------------ */

static bool is_path(const char *path, uint32_t len)
{
    while (len > 0) {
        const char *slash = memchr(path, '/', len);
        uint32_t n = slash ? (uint32_t)(slash - path) : len;

        if (name_check(path, n, NAME_CHANGES_DIRECTORY) != 0 || (slash && n + 1 == len))
            return false;
        path += n + (slash != NULL);
        len -= n + (slash != NULL);
    }
    return true;
}

/* The directory of a record, held, with its path in `text`; *len is negative if it has none. Return: NULL if unknown. */
static struct cli_node *dir_of(struct cli *c, uint64_t id, uint32_t session, char *text, int *len)
{
    struct cli_node *n = NULL;

    cli_mutex_lock(&c->tree);
    if (c->node_session == session)
        n = id == 0 || id == CLI_ROOT_ID ? c->root : cli_node_find(c, id);
    if (n && n->type != LX_S_IFDIR)
        n = NULL;
    if (n) {
        *len = cli_path_of(c, n, text, CLI_SPELLING_MAX);
        cli_node_hold(c, n);
    }
    cli_mutex_unlock(&c->tree);
    return n;
}

/* Somewhere. feed.telling is held. */
static void tell_lost(struct cli *c)
{
    struct cli_change everything = {.action = VIOFS_RESCAN, .is_dir = true, .path = ""};

    if (c->opt.changed)
        c->opt.changed(c->opt.log_user, &everything);
}

/* Somewhere in this directory, or below it. */
static void tell_lost_below(struct cli *c, struct cli_node *dir)
{
    char *text = malloc(CLI_SPELLING_MAX);
    struct cli_change change = {.action = VIOFS_RESCAN, .is_dir = true, .path = text};
    int len = -1;

    cli_mutex_lock(&c->tree);
    if (text)
        len = cli_path_of(c, dir, text, CLI_SPELLING_MAX);
    cli_mutex_unlock(&c->tree);
    cli_mutex_lock(&c->feed.telling);
    if (len < 0) {
        tell_lost(c);
    } else if (c->opt.changed) {
        change.path_len = (uint32_t)len;
        c->opt.changed(c->opt.log_user, &change);
    }
    cli_mutex_unlock(&c->feed.telling);
    free(text);
}

static void tell(struct cli *c, const struct fuse_viofs_event *e, char *text, uint32_t len,
                 const char *name)
{
    struct cli_change change = {
        .action = e->action,
        .is_dir = e->flags & VIOFS_EVENT_DIR || e->name_len == 0,
        .path = text,
    };
    uint32_t slash = len > 0 && e->name_len > 0;

    if (!c->opt.changed)
        return;
    if (e->name_len + slash > CLI_SPELLING_MAX - len) {
        change.action =
            VIOFS_RESCAN; /* too deep for a path of ours: of the directory that has one */
        change.is_dir = true;
    } else {
        if (slash)
            text[len++] = '/';
        memcpy(text + len, name, e->name_len);
        len += e->name_len;
    }
    change.path_len = len;
    c->opt.changed(c->opt.log_user, &change);
}

static void apply(struct cli *c, struct cli_node *dir, const struct fuse_viofs_event *e,
                  const char *name)
{
    switch (e->action) {
    case VIOFS_RESCAN:
        cli_doubt_below(c, dir == c->root ? NULL : dir);
        break;
    case VIOFS_UNCOVERED:
        watches_torn(c, dir);
        dir_doubted(c, dir);
        break;
    case VIOFS_MODIFIED:
    case VIOFS_ATTRIB:
        if (e->name_len == 0)
            cli_attr_changed(c, dir);
        else
            path_changed(c, cli_node_get(dir), name, e->name_len, false);
        break;
    default:
        if (e->name_len == 0)
            dir_doubted(c, dir);
        else
            path_changed(c, cli_node_get(dir), name, e->name_len, true);
    }
}

/* Return: 0, or -LE_EIO for what no honest host sends: then the rest of the page is not looked at. */
static int take_page(struct cli *c, const uint8_t *page, uint32_t len, uint32_t session)
{
    char *text = malloc(CLI_SPELLING_MAX);
    uint32_t pos = 0;
    int r = text ? 0 : -LE_ENOMEM;

    while (r == 0 && pos < len) {
        struct fuse_viofs_event e = {0};
        uint32_t left = len - pos;
        int dir_len;

        if (left < sizeof(e))
            r = -LE_EIO;
        else
            memcpy(&e, page + pos, sizeof(e));
        const char *name = (const char *)page + pos + sizeof(e);
        if (r || e.name_len > VIOFS_EVENT_PATH_MAX || e.name_len > left - sizeof(e) ||
            e.action < VIOFS_ADDED || e.action > VIOFS_UNCOVERED || !is_path(name, e.name_len)) {
            r = r ? r : -LE_EIO;
            break;
        }
        struct cli_node *dir = dir_of(c, e.nodeid, session, text, &dir_len);
        if (dir) {
            apply(c, dir, &e, name);
            if (dir_len < 0)
                tell_lost(c);
            else
                tell(c, &e, text, (uint32_t)dir_len, name);
            cli_node_put(c, dir);
        } else if (e.action == VIOFS_RESCAN) {
            cli_doubt_all(c);
        }
        uint32_t whole = (uint32_t)FUSE_REC_ALIGN(sizeof(e) + e.name_len);
        pos += whole < left ? whole : left;
    }
    free(text);
    return r;
}

/* ---- the request ------------------------------------------------------------------------------------ */

/* No more will be told: nothing may be believed for long, and whoever watches has to look for himself. */
static void over(struct cli *c, int error)
{
    cli_mutex_lock(&c->feed.lock);
    bool told_to = c->feed.stopping;
    cli_mutex_unlock(&c->feed.lock);
    atomic_store(&c->feed.live, false);
    cli_doubt_all(c);
    if (!told_to && error != -LE_ENOTCONN)
        cli_log(c, 1, "the host reports no changes any more (error %d)", -error);
    if (!told_to) {
        cli_mutex_lock(&c->feed.telling);
        tell_lost(c);
        cli_mutex_unlock(&c->feed.telling);
    }
    cli_mutex_lock(&c->feed.lock); /* after this the client may go */
    c->feed.over_ms = cli_clock_ms();
    c->feed.state = CLI_FEED_OFF;
    cli_cond_wake_all(&c->feed.idle);
    cli_mutex_unlock(&c->feed.lock);
}

/* The device was stopped for a moment. Return: false if it is the end after all. */
static bool pause(struct cli *c)
{
    cli_mutex_lock(&c->feed.lock);
    bool stopping = c->feed.stopping;
    if (!stopping) {
        c->feed.state = CLI_FEED_PAUSED;
        cli_cond_wake_all(&c->feed.idle);
    }
    cli_mutex_unlock(&c->feed.lock);
    return !stopping;
}

/* Return: may the next request be sent? */
static bool take_answer(struct cli *c)
{
    int r = c->feed.events.msg.result;

    if (r == -LE_EINTR && pause(c))
        return false;
    if (r >= 0) {
        cli_mutex_lock(&c->feed.telling);
        r = take_page(c, c->feed.page, (uint32_t)r, c->feed.events.session);
        cli_mutex_unlock(&c->feed.telling);
    }
    if (r < 0)
        over(c, r);
    return r >= 0;
}

static void send_events(struct cli *c);

static void events_done(struct cli_async *a)
{
    struct cli *c = a->c;

    cli_mutex_lock(&c->feed.lock);
    c->feed.answered = true;
    bool ours = c->feed.state == CLI_FEED_OUT;
    cli_mutex_unlock(&c->feed.lock);
    /* Else its sender has not returned yet, and sees to it. */
    if (ours && take_answer(c))
        send_events(c);
}

static int submit_events(struct cli *c)
{
    static const struct fuse_viofs_events_in in;
    struct cli_req r = {
        .opcode = VIOFS_EVENTS,
        .urgent = true,
        .node = c->root,
        .arg = {{&in, sizeof(in)}},
        .reply = c->feed.page,
        .reply_cap = PAGE_BYTES,
        .reply_min = sizeof(struct fuse_viofs_event), /* without a change there is no answer */
    };

    return cli_submit(c, &c->feed.events, &r);
}

/* Send the next one, and go on for as long as they are answered before they have been sent. */
static void send_events(struct cli *c)
{
    for (;;) {
        cli_mutex_lock(&c->feed.lock);
        bool stop = c->feed.stopping;
        c->feed.state = CLI_FEED_SENDING;
        c->feed.answered = false;
        cli_mutex_unlock(&c->feed.lock);
        int e = stop ? -LE_EINTR : submit_events(c);
        if (e < 0) {
            over(c, e);
            return;
        }
        cli_mutex_lock(&c->feed.lock);
        bool answered = c->feed.answered;
        if (!answered) {
            c->feed.state = CLI_FEED_OUT;
            cli_cond_wake_all(&c->feed.idle);
        }
        cli_mutex_unlock(&c->feed.lock);
        if (!answered || !take_answer(c))
            return;
    }
}

/* ---- watches ---------------------------------------------------------------------------------------- */

/* feed.lock held. */
static struct cli_watch **find_watch(struct cli *c, const struct cli_node *n)
{
    struct cli_watch **at = &c->feed.watches;

    while (*at && (*at)->node != n)
        at = &(*at)->next;
    return at;
}

static void watch_free(struct cli *c, struct cli_watch *w)
{
    cli_node_put(c, w->node);
    free(w);
}

/* WATCH is not out any more. */
static void watch_back(struct cli *c, struct cli_watch *w)
{
    cli_mutex_lock(&c->feed.lock);
    w->asking = false;
    w->again = w->ask.msg.result == -LE_EINTR;
    bool gone = w->gone;
    cli_mutex_unlock(&c->feed.lock);
    if (gone)
        watch_free(c, w);
}

/* Was the request under way for longer than the host has looked back? */
static bool came_late(const struct cli_watch *w)
{
    uint64_t took = cli_clock_ms() - w->asked_ms;

    return w->since_ms && took > VIOFS_WATCH_MARGIN_MS &&
           took - VIOFS_WATCH_MARGIN_MS > w->reply.took_ms;
}

static void watch_asked(struct cli_async *a)
{
    struct cli_watch *w = a->user;
    struct cli *c = a->c;
    bool partial = a->msg.result < 0 || !(w->reply.flags & VIOFS_WATCH_WHOLE);

    cli_mutex_lock(&c->feed.lock);
    w->partial = partial;
    bool say = (a->msg.result >= 0 || a->msg.result == -LE_ENOSPC) && partial && says_partial(c);
    cli_mutex_unlock(&c->feed.lock);
    if (say)
        say_partial(c);
    if (a->msg.result >= 0 && came_late(w))
        tell_lost_below(c, w->node);
    watch_back(c, w);
}

/* How long ago that was, as a WATCH says it. */
static uint32_t age_of(uint64_t since_ms, uint64_t now)
{
    uint64_t age = since_ms && now > since_ms ? now - since_ms : since_ms != 0;

    return age > UINT32_MAX ? UINT32_MAX : (uint32_t)age;
}

/* w->asking is set. */
static void ask_watch(struct cli *c, struct cli_watch *w, uint64_t since_ms)
{
    w->asked_ms = cli_clock_ms();
    w->since_ms = since_ms;
    struct fuse_viofs_watch_in in = {.watch = w->number, .age_ms = age_of(since_ms, w->asked_ms)};
    struct cli_req r = {
        .opcode = VIOFS_WATCH,
        .node = w->node,
        .arg = {{&in, sizeof(in)}},
        .reply = &w->reply,
        .reply_cap = sizeof(w->reply),
        .reply_min = sizeof(w->reply),
    };

    w->ask.done = watch_asked;
    w->ask.user = w;
    w->ask.msg.result = 0;
    if (cli_submit(c, &w->ask, &r) < 0)
        watch_back(c, w); /* nothing is told below it, until another session */
}

/** cli_watch() - see client.h */
int cli_watch(struct cli *c, struct cli_node *n, uint32_t age_ms)
{
    struct cli_watch *w, *new = calloc(1, sizeof(*new));
    uint64_t since_ms = age_ms ? cli_clock_ms() - age_ms : 0;
    int r = 0;

    if (!new)
        return -LE_ENOMEM;
    int ready = cli_node_ready(c, n);
    cli_mutex_lock(&c->feed.lock);
    w = *find_watch(c, n);
    if (!atomic_load(&c->feed.live)) {
        r = -LE_EOPNOTSUPP;
    } else if (w) {
        w->users++;
    } else if (ready < 0 || c->feed.n_watches == WATCHES_MAX) {
        r = ready < 0 ? ready : -LE_ENOSPC;
    } else {
        *new = (struct cli_watch){.node = cli_node_get(n), .users = 1, .next = c->feed.watches};
        new->number = ++c->feed.last_watch;
        new->asking = true; /* so that nobody frees it meanwhile */
        c->feed.watches = new;
        c->feed.n_watches++;
        w = new;
        new = NULL;
    }
    cli_mutex_unlock(&c->feed.lock);
    if (r == 0 && !new)
        ask_watch(c, w, since_ms);
    free(new);
    return r;
}

static void unwatched(struct cli_async *a)
{
    free(a);
}

static void ask_unwatch(struct cli *c, struct cli_node *n, uint64_t number)
{
    struct fuse_viofs_unwatch_in in = {.watch = number};
    struct cli_req r = {.opcode = VIOFS_UNWATCH, .node = n, .arg = {{&in, sizeof(in)}}};
    struct cli_async *a = calloc(1, sizeof(*a));

    if (!a)
        return; /* it goes with the session */
    a->done = unwatched;
    if (cli_submit(c, a, &r) < 0)
        free(a);
}

/** cli_watched() - see client.h */
bool cli_watched(struct cli *c, const struct cli_node *n)
{
    cli_mutex_lock(&c->feed.lock);
    const struct cli_watch *w = *find_watch(c, n);
    bool all = atomic_load(&c->feed.live) && w && (w->asking || !w->partial);
    cli_mutex_unlock(&c->feed.lock);
    return all;
}

/** cli_unwatch() - see client.h */
void cli_unwatch(struct cli *c, struct cli_node *n)
{
    cli_mutex_lock(&c->feed.lock);
    struct cli_watch **at = find_watch(c, n), *w = *at;
    if (!w || --w->users > 0) {
        cli_mutex_unlock(&c->feed.lock);
        return;
    }
    *at = w->next;
    c->feed.n_watches--;
    w->gone = true;
    bool asking = w->asking;
    uint64_t number = w->number;
    cli_mutex_unlock(&c->feed.lock);
    if (atomic_load(&c->feed.live))
        ask_unwatch(c, n, number);
    if (!asking)
        watch_free(c, w);
}

/* @all: a new session, whose host knows none of them; else those that came back */
static void watch_again(struct cli *c, bool all)
{
    struct cli_watch *w;
    uint64_t below = UINT64_MAX;

    do {
        struct cli_node *n = NULL;

        cli_mutex_lock(&c->feed.lock);
        for (w = c->feed.watches; w && (w->number >= below || w->asking || !(all || w->again));
             w = w->next)
            ;
        if (w) {
            w->asking = true;
            n = w->node;
            below = w->number;
        }
        cli_mutex_unlock(&c->feed.lock);
        if (w && cli_node_ready(c, n) == 0)
            ask_watch(c, w, c->feed.over_ms); /* what happened in between, nobody has told */
        else if (w)
            watch_back(c, w);
    } while (w);
}

/** cli_feed_describe() - see client_int.h */
void cli_feed_describe(struct cli *c, struct cli_session *out)
{
    out->told = atomic_load(&c->feed.live);
    out->watches = out->partial = 0;
    cli_mutex_lock(&c->feed.lock);
    for (const struct cli_watch *w = c->feed.watches; w; w = w->next) {
        out->watches++;
        out->partial += w->partial;
    }
    cli_mutex_unlock(&c->feed.lock);
}

/* ---- beginning and end ------------------------------------------------------------------------------ */

/** cli_feed_begin() - see client_int.h */
void cli_feed_begin(struct cli *c)
{
    if (!atomic_load(&c->feed.offered))
        return;
    if (!c->feed.page)
        c->feed.page = malloc(PAGE_BYTES);
    if (!c->feed.page) {
        cli_log(c, 1, "out of memory: changes on the host are not reported");
        return;
    }
    c->feed.events.done = events_done;
    c->feed.stopping = c->feed.said_partial = false;
    atomic_store(&c->feed.live, true);
    send_events(c);
    if (atomic_load(&c->feed.live))
        watch_again(c, true);
}

/** cli_feed_tick() - see client_int.h */
void cli_feed_tick(struct cli *c)
{
    cli_mutex_lock(&c->feed.lock);
    bool go_on = c->feed.state == CLI_FEED_PAUSED && !c->feed.stopping;
    if (go_on)
        c->feed.state = CLI_FEED_SENDING;
    cli_mutex_unlock(&c->feed.lock);
    if (go_on)
        send_events(c);
    if (atomic_load(&c->feed.live))
        watch_again(c, false);
}

/** cli_tell_lost() - see client_int.h */
void cli_tell_lost(struct cli *c)
{
    cli_mutex_lock(&c->feed.telling);
    tell_lost(c);
    cli_mutex_unlock(&c->feed.telling);
}

/** cli_feed_stop() - see client_int.h */
bool cli_feed_stop(struct cli *c)
{
    bool live = atomic_load(&c->feed.live);

    cli_mutex_lock(&c->feed.lock);
    c->feed.stopping = true;
    if (c->feed.state == CLI_FEED_PAUSED) {
        atomic_store(&c->feed.live, false);
        c->feed.state = CLI_FEED_OFF;
    }
    while (c->feed.state == CLI_FEED_SENDING)
        cli_cond_wait(&c->feed.idle, &c->feed.lock);
    bool out = c->feed.state == CLI_FEED_OUT && !c->feed.answered;
    cli_mutex_unlock(&c->feed.lock);
    if (out)
        c->transport->ops->cancel(c->transport, &c->feed.events.msg);
    uint64_t now = cli_clock_ms(), end = now + STOP_MS;
    cli_mutex_lock(&c->feed.lock);
    for (; c->feed.state != CLI_FEED_OFF && now < end; now = cli_clock_ms())
        cli_cond_wait_ms(&c->feed.idle, &c->feed.lock, (uint32_t)(end - now));
    cli_mutex_unlock(&c->feed.lock);
    return live;
}

/** cli_feed_free() - see client_int.h */
void cli_feed_free(struct cli *c)
{
    struct cli_watch *w;

    while ((w = c->feed.watches) != NULL) {
        c->feed.watches = w->next;
        watch_free(c, w);
    }
    free(c->feed.page);
}
