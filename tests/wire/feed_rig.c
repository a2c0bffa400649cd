// SPDX-License-Identifier: BSD-3-Clause
/*
 * feed_rig.c - a guest that listens for changes, for the tests of the feed (see feed_rig.h)
 */
#include <sys/fanotify.h>

#include "tests/wire/feed_rig.h"

#define ROOM 65536u

uint32_t feed_probe(struct wire *w, uint32_t wanted)
{
    struct fuse_viofs_probe_in in = {.version = VIOFS_EXT_VERSION, .wanted = wanted};
    struct fuse_viofs_probe_out out;

    assert_int_equal(raw(w, VIOFS_PROBE, FC_ROOT, &in, sizeof(in), &out, sizeof(out)), sizeof(out));
    return out.features;
}

const char *feed_backend(void)
{
    const char *option = getenv("VIOFS_TEST_WATCH");

    return option ? option : "--watch=inotify";
}

/* May this process mark a file system, and can the kernel tell renames (Linux 5.17)? */
static bool fanotify_works(void)
{
    int fd = fanotify_init(FAN_CLOEXEC | FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME, O_RDONLY);
    bool works = fd >= 0 && fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
                                          0x10000000 /* FAN_RENAME */, AT_FDCWD, "/tmp") == 0;

    if (fd >= 0)
        close(fd);
    return works;
}

struct feed_rig *feed_start(const struct wire_options *o)
{
    static struct feed_rig rig;
    struct feed_rig *r = &rig;

    if (strcmp(feed_backend(), "--watch=fanotify") == 0 && !fanotify_works())
        skip();

    const char *args[16] = {feed_backend()};
    struct wire_options with = *o;

    for (unsigned n = 0; o->args && o->args[n]; n++)
        args[n + 1] = o->args[n];
    with.args = args;
    memset(r, 0, sizeof(*r));
    r->w = wire_start(&with);
    assert_true(feed_probe(r->w, VIOFS_FEATURE_FEED) & VIOFS_FEATURE_FEED);
    assert_ok(fe_req_init(r->w->fe, &r->events, 4096, ROOM + 16));
    assert_ok(fe_req_init(r->w->fe, &r->watch, 4096, 4096));
    feed_send(r, ROOM);
    r->name[r->n_names].node = FC_ROOT;
    r->name[r->n_names++].path = "";
    feed_lookup(r, FC_ROOT, "nothing");
    return r;
}

void feed_send(struct feed_rig *r, uint32_t room)
{
    struct fuse_viofs_events_in in = {0};
    struct fc_part p = {&in, sizeof(in)};

    assert_false(r->out);
    r->unique = fc_build(&r->w->c, &r->events, VIOFS_EVENTS, FC_ROOT, &p, 1, room);
    assert_ok(fe_submit(r->w->fe, FE_REQUESTS, &r->events, false));
    r->out = true;
}

bool feed_poll(struct feed_rig *r)
{
    int err;

    while (fe_reap(r->w->fe, FE_REQUESTS, false, &err))
        ;
    return r->events.done;
}

static ssize_t wait_for(struct feed_rig *r, struct fe_req *q, uint64_t unique)
{
    int err = 0;

    while (!q->done && err == 0)
        fe_reap(r->w->fe, FE_REQUESTS, true, &err);
    if (err)
        print_error("no answer; waiting for: %s\nlast told: %s\n",
                    r->waits_for ? r->waits_for : "-", r->text + (r->len > 500 ? r->len - 500 : 0));
    assert_ok(err);
    return fc_result(q, unique);
}

ssize_t feed_wait(struct feed_rig *r)
{
    r->out = false;
    return wait_for(r, &r->events, r->unique);
}

static const char *path_of(const struct feed_rig *r, uint64_t node)
{
    static char unknown[32];

    for (unsigned i = 0; i < r->n_names; i++)
        if (r->name[i].node == node)
            return r->name[i].path;
    snprintf(unknown, sizeof(unknown), "<%llu>", (unsigned long long)node);
    return unknown;
}

static void add_record(struct feed_rig *r, const struct fuse_viofs_event *e)
{
    static const char *const actions[] = {"?",          "ADDED",  "REMOVED",
                                          "MODIFIED",   "ATTRIB", "RENAMED_FROM",
                                          "RENAMED_TO", "RESCAN", "UNCOVERED"};
    const char *dir = e->nodeid ? path_of(r, e->nodeid) : "*";

    assert_in_range(e->action, 1, ARRAY(actions) - 1);
    r->records++;
    r->last_flags = e->flags;
    size_t room = sizeof(r->text) - r->len;
    int n = snprintf(r->text + r->len, room, "%s %s%s%.*s\n", actions[e->action], dir,
                     *dir && e->name_len ? "/" : "", (int)e->name_len, e->name);
    if (n > 0 && (size_t)n < room) /* a burst is counted, not kept */
        r->len += (size_t)n;
    else
        r->text[r->len] = '\0';
}

/* Take what EVENTS has brought and send it again. */
void feed_next(struct feed_rig *r)
{
    ssize_t n = feed_wait(r);
    const uint8_t *at = (const uint8_t *)r->events.in + sizeof(struct fuse_out_header);

    assert_true(n > 0);
    assert_int_equal(n % 8, 0);
    while (n > 0) {
        const struct fuse_viofs_event *e = (const struct fuse_viofs_event *)(const void *)at;
        size_t size = (sizeof(*e) + e->name_len + 7) & ~(size_t)7;
        assert_true((size_t)n >= size);
        add_record(r, e);
        at += size;
        n -= (ssize_t)size;
    }
    feed_send(r, ROOM);
}

void feed_until(struct feed_rig *r, const char *line)
{
    char wanted[300];

    snprintf(wanted, sizeof(wanted), "%s\n", line);
    while (!strstr(r->text, wanted)) {
        if (r->len > FEED_TEXT / 2)
            r->len = 0;
        r->waits_for = wanted;
        feed_next(r);
    }
}

const char *feed_changes(struct feed_rig *r)
{
    static char text[FEED_TEXT];
    char fence[32], line[64];

    snprintf(fence, sizeof(fence), "fence-%u", ++r->fences);
    snprintf(line, sizeof(line), "REMOVED %s", fence);
    assert_ok(mkdir(host(r->w, fence), 0700));
    assert_ok(rmdir(host(r->w, fence)));
    feed_until(r, line);
    snprintf(line, sizeof(line), "ADDED %s\n", fence);
    char *end = strstr(r->text, line);
    if (!end)
        end = r->text + r->len; /* a burst has pushed it out */
    *end = '\0';
    memcpy(text, r->text, (size_t)(end - r->text) + 1);
    r->len = 0;
    r->text[0] = '\0';
    return text;
}

struct fuse_entry_out feed_lookup(struct feed_rig *r, uint64_t parent, const char *name)
{
    struct {
        struct fuse_entry_out e;
        struct fuse_viofs_ext ext;
    } l = {0};
    ssize_t n = raw(r->w, VIOFS_LOOKUP, parent, name, strlen(name) + 1, &l, sizeof(l));

    if (n == -ENOENT)
        memset(&l, 0, sizeof(l));
    else
        assert_int_equal(n, sizeof(l));
    return l.e;
}

uint64_t feed_enter(struct feed_rig *r, uint64_t parent, const char *name, const char *path)
{
    uint64_t id = feed_lookup(r, parent, name).nodeid;

    assert_int_not_equal(id, 0);
    feed_lookup(r, id, "nothing");
    assert_true(r->n_names < ARRAY(r->name));
    r->name[r->n_names].node = id;
    r->name[r->n_names++].path = path;
    return id;
}

int feed_watch(struct feed_rig *r, uint64_t dir, uint64_t number, uint32_t age_ms)
{
    struct fuse_viofs_watch_in in = {.watch = number, .age_ms = age_ms};
    struct fuse_viofs_watch_out out;
    ssize_t n = raw(r->w, VIOFS_WATCH, dir, &in, sizeof(in), &out, sizeof(out));

    if (n < 0)
        return (int)n;
    assert_int_equal(n, sizeof(out));
    return (int)out.flags;
}

int feed_unwatch(struct feed_rig *r, uint64_t number)
{
    struct fuse_viofs_unwatch_in in = {.watch = number};

    return (int)raw(r->w, VIOFS_UNWATCH, 0, &in, sizeof(in), NULL, 0);
}
