// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_watch.c - the guest hears of what the host changes, and not of what it changes itself
 */
#include <sys/xattr.h>
#include <time.h>

#include "tests/wire/feed_rig.h"

#define LONG 3600u

static void host_append(const struct wire *w, const char *rel)
{
    int fd = open(host(w, rel), O_WRONLY | O_APPEND | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
}

static void host_rename(const struct wire *w, const char *from, const char *to)
{
    assert_ok(rename(host(w, from), host(w, to)));
}

/* ---- what the host does ------------------------------------------------------------------------ */

static void test_what_the_host_does_in_a_directory_that_was_looked_at_is_told(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up(NULL);
    struct wire *w = r->w;

    assert_string_equal(feed_changes(r), "");
    host_write(w, "f", "text");
    assert_string_equal(feed_changes(r), "ADDED f\nMODIFIED f\n");
    host_append(w, "f");
    assert_string_equal(feed_changes(r), "MODIFIED f\n");
    assert_ok(chmod(host(w, "f"), 0600));
    assert_string_equal(feed_changes(r), "ATTRIB f\n");
    assert_ok(truncate(host(w, "f"), 1));
    assert_string_equal(feed_changes(r), "MODIFIED f\n");
    host_rename(w, "f", "g");
    assert_string_equal(feed_changes(r), "RENAMED_FROM f\nRENAMED_TO g\n");
    assert_ok(link(host(w, "g"), host(w, "h")));
    assert_string_equal(feed_changes(r), "ADDED h\n");
    assert_ok(unlink(host(w, "g")));
    assert_string_equal(feed_changes(r), "REMOVED g\n");
    host_mkdir(w, "d");
    assert_string_equal(feed_changes(r), "ADDED d\n");
    assert_ok(rmdir(host(w, "d")));
    assert_string_equal(feed_changes(r), "REMOVED d\n");
}

static void test_records_of_directories_say_so(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up(NULL);

    host_mkdir(r->w, "d");
    feed_until(r, "ADDED d");
    assert_int_equal(r->last_flags, VIOFS_EVENT_DIR);
    host_write(r->w, "f", "");
    feed_until(r, "ADDED f");
    assert_int_equal(r->last_flags, 0);
}

static void test_directory_that_nobody_looked_in_is_not_watched(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up(NULL);
    struct wire *w = r->w;

    host_mkdir(w, "d");
    assert_string_equal(feed_changes(r), "ADDED d\n");
    host_write(w, "d/f", "");
    assert_string_equal(feed_changes(r), "");
    feed_enter(r, FC_ROOT, "d", "d");
    host_write(w, "d/g", "");
    assert_string_equal(feed_changes(r), "ADDED d/g\n");
}

static void test_listing_a_directory_covers_it(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up(NULL);
    struct wire *w = r->w;

    host_mkdir(w, "d");
    uint64_t d = feed_lookup(r, FC_ROOT, "d").nodeid;
    r->name[r->n_names].node = d;
    r->name[r->n_names++].path = "d";
    uint64_t fh = open_dir(w, d);
    assert_true(fc_readdir_raw(&w->c, d, fh, 0, 4096, true) > 0);
    feed_changes(r);
    assert_ok(mkdir(host(w, "d/e"), 0700));
    assert_string_equal(feed_changes(r), "ADDED d/e\n");
}

static void test_burst_of_writes_is_one_record(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up(NULL);
    struct wire *w = r->w;

    host_write(w, "f", "");
    host_write(w, "g", "");
    feed_changes(r);
    feed_poll(r);
    /* While EVENTS is not out, records wait: the guest takes the first one and does not ask again. */
    host_append(w, "f");
    assert_true(feed_wait(r) > 0);
    for (unsigned i = 0; i < 200; i++)
        host_append(w, i % 2 ? "f" : "g");
    feed_send(r, 65536);
    const char *told = feed_changes(r);
    unsigned n = 0;
    for (const char *at = told; (at = strstr(at, "MODIFIED")); at++)
        n++;
    assert_in_range(n, 2, 6); /* those that were told before the next one came */
}

static void test_names_are_any_bytes(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up(NULL);
    static const char odd[] = "\xff\xfe \n'\"\\\x01";

    assert_ok(mkdir(host(r->w, odd), 0700));
    char line[64];
    snprintf(line, sizeof(line), "ADDED %s\n", odd);
    assert_string_equal(feed_changes(r), line);
}

/* ---- what the guest does ----------------------------------------------------------------------- */

static void guest_setattr(struct feed_rig *r, uint64_t f, uint32_t valid)
{
    struct fuse_setattr_in in = {
        .valid = valid, .size = 2, .mode = 0750, .atime = 5, .mtime = 6, .uid = 0, .gid = 0};

    assert_ok(fc_setattr(&r->w->c, f, &in, NULL));
}

static void test_what_the_guest_does_is_not_told(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up("--xattr", NULL);
    struct fc *c = &r->w->c;
    struct fuse_entry_out e;
    uint64_t fh, fh2;

    assert_ok(fc_mkdir(c, FC_ROOT, "d", 0755, &e));
    assert_string_equal(feed_changes(r), "");
    uint64_t d = feed_enter(r, FC_ROOT, "d", "d");
    assert_ok(fc_create(c, FC_ROOT, "f", O_RDWR, 0644, &e, &fh));
    uint64_t f = e.nodeid;
    assert_string_equal(feed_changes(r), "");
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(fc_write(c, f, fh, "data", 4, 4 * i), 4);
    assert_string_equal(feed_changes(r), "");
    guest_setattr(r, f, FATTR_SIZE);
    guest_setattr(r, f, FATTR_MODE);
    guest_setattr(r, f, FATTR_ATIME | FATTR_MTIME);
    guest_setattr(r, f, FATTR_MTIME);
    guest_setattr(r, f, FATTR_SIZE | FATTR_MODE | FATTR_ATIME | FATTR_MTIME);
    assert_string_equal(feed_changes(r), "");
    guest_setattr(r, d, FATTR_MODE | FATTR_MTIME);
    assert_string_equal(feed_changes(r), "");
    assert_ok(fc_fallocate(c, f, fh, 0, 8192, 0));
    assert_string_equal(feed_changes(r), "");
    assert_ok(fc_release(c, f, fh));
    assert_ok(fc_open_file(c, f, O_RDWR | O_TRUNC, &fh2));
    assert_string_equal(feed_changes(r), "");
    assert_ok(fc_release(c, f, fh2));
    assert_ok(fc_link(c, f, d, "g", &e));
    assert_ok(fc_symlink(c, d, "s", "target", &e));
    assert_ok(fc_mknod(c, d, "fifo", S_IFIFO | 0600, 0, &e));
    assert_string_equal(feed_changes(r), "");
    assert_ok(fc_rename(c, d, "g", FC_ROOT, "h", 0));
    assert_ok(fc_rename(c, d, "s", d, "fifo", 2 /* RENAME_EXCHANGE */));
    assert_ok(fc_rename(c, FC_ROOT, "h", FC_ROOT, "f2", 0));
    assert_string_equal(feed_changes(r), "");
    assert_ok(fc_unlink(c, FC_ROOT, "f2"));
    assert_ok(fc_unlink(c, d, "s"));
    assert_ok(fc_unlink(c, d, "fifo"));
    assert_ok(fc_rmdir(c, FC_ROOT, "d"));
    assert_string_equal(feed_changes(r), "");
}

static void test_xattrs_that_the_guest_sets_are_not_told(void **state)
{
    (void)state;
    struct feed_rig *r = feed_start(&(struct wire_options){
        .args = (const char *const[]){"--xattr", NULL}, .daemon = {.parent = "/var/tmp"}});
    struct wire *w = r->w;

    host_write(w, "f", "");
    if (setxattr(host(w, "f"), "user.host", "x", 1, 0) < 0)
        skip();
    feed_changes(r);
    uint64_t f = node(w, FC_ROOT, "f");
    assert_ok(fc_setxattr(&w->c, f, "user.guest", "x", 1, 0));
    assert_ok(fc_removexattr(&w->c, f, "user.guest"));
    assert_string_equal(feed_changes(r), "");
    assert_ok(setxattr(host(w, "f"), "user.host", "y", 1, 0));
    assert_string_equal(feed_changes(r), "ATTRIB f\n");
}

static void test_what_both_do_in_turn_is_told_of_the_host_only(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up(NULL);
    struct wire *w = r->w;
    struct fc *c = &w->c;
    struct fuse_entry_out e;
    uint64_t fh;

    assert_ok(fc_create(c, FC_ROOT, "f", O_RDWR, 0644, &e, &fh));
    uint64_t f = e.nodeid;
    for (unsigned i = 0; i < 300; i++) {
        unsigned before = i % 2, after = i % 3 == 0;
        if (before)
            assert_int_equal(fc_write(c, f, fh, "guest", 5, 0), 5);
        host_append(w, "f");
        if (after)
            assert_int_equal(fc_write(c, f, fh, "guest", 5, 0), 5);
        assert_string_equal(feed_changes(r), "MODIFIED f\n");
        if (before || after)
            assert_int_equal(fc_write(c, f, fh, "guest", 5, 0), 5);
        assert_string_equal(feed_changes(r), "");
    }
}

static void test_name_that_the_host_makes_first_is_told(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up(NULL);
    struct fuse_entry_out e;
    uint64_t fh;

    for (unsigned i = 0; i < 100; i++) {
        char name[16], told[64];
        snprintf(name, sizeof(name), "n%u", i);
        snprintf(told, sizeof(told), "ADDED %s\n", name);
        assert_ok(mkdir(host(r->w, name), 0700));
        assert_errno(fc_mkdir(&r->w->c, FC_ROOT, name, 0755, &e), EEXIST);
        assert_string_equal(feed_changes(r), told);
        assert_ok(rmdir(host(r->w, name)));
        assert_errno(fc_rmdir(&r->w->c, FC_ROOT, name), ENOENT);
        snprintf(told, sizeof(told), "REMOVED %s\n", name);
        assert_string_equal(feed_changes(r), told);
        host_write(r->w, name, "");
        assert_ok(fc_create(&r->w->c, FC_ROOT, name, O_RDWR, 0644, &e, &fh));
        assert_non_null(strstr(feed_changes(r), "ADDED"));
        assert_ok(fc_release(&r->w->c, e.nodeid, fh));
    }
}

/* ---- subtrees ---------------------------------------------------------------------------------- */

static void make_tree(struct wire *w)
{
    host_mkdir(w, "t");
    host_mkdir(w, "t/a");
    host_mkdir(w, "t/a/b");
    host_mkdir(w, "t/c");
    host_write(w, "t/a/b/f", "");
}

static void test_watch_covers_what_the_guest_never_looked_at(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up(NULL);
    struct wire *w = r->w;

    make_tree(w);
    uint64_t t = feed_enter(r, FC_ROOT, "t", "t");
    assert_int_equal(feed_watch(r, t, 7, 0), VIOFS_WATCH_WHOLE);
    feed_changes(r);
    host_append(w, "t/a/b/f");
    assert_string_equal(feed_changes(r), "MODIFIED t/a/b/f\n");
    assert_ok(mkdir(host(w, "t/c/d"), 0700));
    assert_string_equal(feed_changes(r), "ADDED t/c/d\n");
    assert_ok(mkdir(host(w, "t/c/d/e"), 0700));
    feed_until(r, "ADDED t/c/d/e");
    feed_changes(r);
    assert_ok(mkdir(host(w, "t/c/d/e/f"), 0700));
    feed_until(r, "ADDED t/c/d/e/f");
    assert_ok(feed_unwatch(r, 7));
    feed_changes(r);
    host_append(w, "t/a/b/f");
    assert_string_equal(feed_changes(r), "");
    assert_errno(feed_unwatch(r, 7), ENOENT);
}

static void test_paths_follow_directories_that_the_host_moves(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up(NULL);
    struct wire *w = r->w;

    make_tree(w);
    uint64_t t = feed_enter(r, FC_ROOT, "t", "t");
    assert_int_equal(feed_watch(r, t, 7, 0), VIOFS_WATCH_WHOLE);
    feed_changes(r);
    host_rename(w, "t/a", "t/c/z");
    assert_string_equal(feed_changes(r), "RENAMED_FROM t/a\nRENAMED_TO t/c/z\n");
    host_append(w, "t/c/z/b/f");
    assert_string_equal(feed_changes(r), "MODIFIED t/c/z/b/f\n");
    host_rename(w, "t/c/z/b", "out");
    /* The root is covered too: the guest has looked there. */
    assert_string_equal(feed_changes(r), "RENAMED_FROM t/c/z/b\nRENAMED_TO out\n");
    feed_changes(r);
    host_append(w, "out/f");
    assert_string_equal(feed_changes(r), "");
    host_rename(w, "out", "t/c/in");
    if (strcmp(feed_backend(), "--watch=inotify") == 0)
        feed_until(r, "RESCAN t/c/in"); /* nobody knows what happened in it meanwhile */
    feed_changes(r);
    host_append(w, "t/c/in/f");
    assert_string_equal(feed_changes(r), "MODIFIED t/c/in/f\n");
}

static void test_files_in_new_directories_are_told_however_fast_they_come(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up(NULL);
    struct wire *w = r->w;

    assert_int_equal(feed_watch(r, FC_ROOT, 1, 0), VIOFS_WATCH_WHOLE);
    for (unsigned i = 0; i < 100; i++) {
        char path[64], line[80];
        snprintf(path, sizeof(path), "new%u", i);
        host_mkdir(w, path);
        snprintf(path, sizeof(path), "new%u/sub", i);
        host_mkdir(w, path);
        snprintf(path, sizeof(path), "new%u/sub/file", i);
        host_write(w, path, "");
        snprintf(line, sizeof(line), "ADDED %s", path);
        feed_until(r, line);
        r->len = 0;
        r->text[0] = '\0';
    }
}

static void test_directories_that_the_guest_makes_are_covered_without_an_echo(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up(NULL);
    struct fc *c = &r->w->c;
    struct fuse_entry_out d, e;
    uint64_t fh;

    assert_int_equal(feed_watch(r, FC_ROOT, 1, 0), VIOFS_WATCH_WHOLE);
    for (unsigned i = 0; i < 50; i++) {
        char name[16];
        snprintf(name, sizeof(name), "d%u", i);
        assert_ok(fc_mkdir(c, FC_ROOT, name, 0755, &d));
        assert_ok(fc_create(c, d.nodeid, "f", O_RDWR, 0644, &e, &fh));
        assert_int_equal(fc_write(c, e.nodeid, fh, "x", 1, 0), 1);
        assert_ok(fc_release(c, e.nodeid, fh));
    }
    assert_string_equal(feed_changes(r), "");
    r->name[r->n_names].node = d.nodeid;
    r->name[r->n_names++].path = "d49";
    host_append(r->w, "d49/f");
    assert_string_equal(feed_changes(r), "MODIFIED d49/f\n");
}

/* ---- validities -------------------------------------------------------------------------------- */

static void test_entries_are_valid_for_long_where_changes_are_told(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up(NULL);
    struct wire *w = r->w;

    host_write(w, "f", "");
    host_write(w, "two", "");
    assert_ok(link(host(w, "two"), host(w, "names")));
    host_mkdir(w, "d");
    struct fuse_entry_out e = feed_lookup(r, FC_ROOT, "f");
    assert_int_equal(e.entry_valid, LONG);
    assert_int_equal(e.attr_valid, LONG);
    e = feed_lookup(r, FC_ROOT, "two");
    assert_int_equal(e.entry_valid, LONG);
    assert_int_equal(e.attr_valid, 1); /* through its other name it changes unseen */
    e = feed_lookup(r, FC_ROOT, "d");
    assert_int_equal(e.entry_valid, LONG);
    assert_int_equal(e.attr_valid, 1); /* its time changes with what is in it */
    feed_lookup(r, e.nodeid, "x");
    assert_int_equal(feed_lookup(r, FC_ROOT, "d").attr_valid, LONG);
    e = feed_lookup(r, FC_ROOT, "absent");
    assert_int_equal(e.nodeid, 0);
    assert_int_equal(e.entry_valid, LONG);
    struct fuse_entry_out std;
    assert_ok(fc_lookup(&w->c, FC_ROOT, "f", &std));
    assert_int_equal(std.entry_valid, 1); /* the standard request is as it was */
}

static struct fuse_attr_out getattr(struct wire *w, uint64_t id)
{
    struct fuse_getattr_in in = {0};
    struct {
        struct fuse_attr_out a;
        struct fuse_viofs_ext ext;
    } out;

    assert_int_equal(raw(w, VIOFS_GETATTR, id, &in, sizeof(in), &out, sizeof(out)), sizeof(out));
    return out.a;
}

static void test_attributes_are_valid_for_long_while_the_file_is_where_it_was(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up(NULL);
    struct wire *w = r->w;

    host_write(w, "f", "");
    host_mkdir(w, "d");
    uint64_t f = feed_lookup(r, FC_ROOT, "f").nodeid, fh = opened(w, f, O_RDONLY);
    assert_int_equal(getattr(w, f).attr_valid, LONG);
    assert_int_equal(getattr(w, FC_ROOT).attr_valid, LONG);
    host_rename(w, "f", "d/f"); /* where nobody has looked */
    assert_int_equal(getattr(w, f).attr_valid, 1);
    assert_ok(fc_release(&w->c, f, fh));
}

static void test_open_brings_fresh_attributes(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up(NULL);
    struct wire *w = r->w;
    struct fuse_open_in in = {.flags = O_RDWR};
    struct {
        struct fuse_open_out open;
        struct fuse_attr_out attr;
        struct fuse_viofs_ext ext;
    } out;

    host_write(w, "f", "12345");
    uint64_t f = feed_lookup(r, FC_ROOT, "f").nodeid;
    assert_int_equal(raw(w, VIOFS_OPEN, f, &in, sizeof(in), &out, sizeof(out)), sizeof(out));
    assert_int_equal(out.attr.attr.size, 5);
    assert_int_equal(out.attr.attr_valid, LONG);
    assert_int_equal(fc_write(&w->c, f, out.open.fh, "x", 1, 5), 1);
    assert_ok(fc_release(&w->c, f, out.open.fh));
    in.flags |= O_TRUNC;
    assert_int_equal(raw(w, VIOFS_OPEN, f, &in, sizeof(in), &out, sizeof(out)), sizeof(out));
    assert_int_equal(out.attr.attr.size, 0);
    assert_errno(raw(w, VIOFS_OPEN, FC_ROOT, &in, sizeof(in), &out, sizeof(out)), EISDIR);
}

static void test_validity_is_short_until_the_guest_listens(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct {
        struct fuse_entry_out e;
        struct fuse_viofs_ext ext;
    } l;

    host_write(w, "f", "");
    for (unsigned wanted = 0; wanted < 2; wanted++) {
        feed_probe(w, wanted ? VIOFS_FEATURE_FEED : 0);
        assert_int_equal(raw(w, VIOFS_LOOKUP, FC_ROOT, "f", 2, &l, sizeof(l)), sizeof(l));
        assert_int_equal(l.e.entry_valid, 1);
        assert_int_equal(l.e.attr_valid, 1);
        assert_errno(raw(w, VIOFS_LOOKUP, FC_ROOT, "g", 2, &l, sizeof(l)), ENOENT);
    }
}

static void test_other_cache_modes_and_timeouts_stay_as_they_are(void **state)
{
    (void)state;
    static const struct {
        const char *option;
        uint64_t valid;
    } modes[] = {{"--cache=never", 0}, {"--cache=always", 86400}, {"--timeout=7", 7}};

    for (unsigned i = 0; i < ARRAY(modes); i++) {
        struct feed_rig *r = feed_up(modes[i].option);
        host_write(r->w, "f", "");
        struct fuse_entry_out e = feed_lookup(r, FC_ROOT, "f");
        assert_int_equal(e.entry_valid, modes[i].valid);
        assert_int_equal(e.attr_valid, modes[i].valid);
        assert_ok(wire_teardown(NULL));
    }
}

/* ---- the requests ------------------------------------------------------------------------------ */

static void test_second_events_is_busy_and_the_first_goes_on(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up(NULL);
    struct fuse_viofs_events_in in = {0};
    uint8_t reply[512];

    assert_errno(raw(r->w, VIOFS_EVENTS, FC_ROOT, &in, sizeof(in), reply, sizeof(reply)), EBUSY);
    host_write(r->w, "f", "");
    feed_until(r, "ADDED f");
}

static void test_events_ends_with_interrupt_destroy_and_init(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up(NULL);
    struct fuse_interrupt_in in = {.unique = r->unique};
    struct fc_part p = {&in, sizeof(in)};

    assert_ok(fc_send(&r->w->c, FE_HIPRIO, FUSE_INTERRUPT, 0, &p, 1));
    assert_errno(feed_wait(r), EINTR);
    feed_send(r, 4096);
    assert_ok(fc_init(&r->w->c));
    assert_errno(feed_wait(r), EINTR);
    assert_true(feed_probe(r->w, VIOFS_FEATURE_FEED) & VIOFS_FEATURE_FEED);
    feed_send(r, 4096);
    assert_ok(fc_destroy(&r->w->c));
    assert_errno(feed_wait(r), EINTR);
}

static void test_new_session_starts_with_nothing_watched(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up(NULL);
    struct wire *w = r->w;

    assert_int_equal(feed_watch(r, FC_ROOT, 1, 0), VIOFS_WATCH_WHOLE);
    assert_ok(fc_init(&w->c));
    assert_errno(feed_wait(r), EINTR);
    struct fuse_viofs_events_in in = {0};
    uint8_t reply[512];
    assert_errno(raw(w, VIOFS_EVENTS, FC_ROOT, &in, sizeof(in), reply, sizeof(reply)), ENOSYS);
    host_write(w, "unseen", "");
    feed_probe(w, VIOFS_FEATURE_FEED);
    feed_send(r, 65536);
    feed_lookup(r, FC_ROOT, "nothing");
    assert_string_equal(feed_changes(r), "");
    assert_errno(feed_unwatch(r, 1), ENOENT);
}

static void test_queue_that_stops_and_goes_on_still_waits_for_events(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up(NULL);

    uint32_t base;
    assert_ok(fe_queue_stop(r->w->fe, FE_REQUESTS, &base));
    assert_ok(fe_queue_resume(r->w->fe, FE_REQUESTS, base));
    host_write(r->w, "f", "");
    feed_until(r, "ADDED f");
}

static void test_without_the_feature_the_requests_are_enosys(void **state)
{
    (void)state;
    struct wire *w = wire_up("--watch=never", NULL);
    struct fuse_viofs_events_in in = {0};
    struct fuse_viofs_watch_in win = {.watch = 1};
    struct fuse_viofs_unwatch_in un = {.watch = 1};
    uint8_t reply[512];

    for (unsigned round = 0; round < 2; round++) {
        assert_errno(raw(w, VIOFS_EVENTS, FC_ROOT, &in, sizeof(in), reply, sizeof(reply)), ENOSYS);
        assert_errno(raw(w, VIOFS_WATCH, FC_ROOT, &win, sizeof(win), reply, 8), ENOSYS);
        assert_errno(raw(w, VIOFS_UNWATCH, 0, &un, sizeof(un), NULL, 0), ENOSYS);
        assert_int_equal(feed_probe(w, UINT32_MAX) & VIOFS_FEATURE_FEED, 0);
    }
}

static void test_bad_watches_are_refused(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up(NULL);

    host_write(r->w, "f", "");
    assert_errno(feed_watch(r, FC_ROOT, 0, 0), EINVAL);
    assert_errno(feed_watch(r, node(r->w, FC_ROOT, "f"), 1, 0), ENOTDIR);
    assert_errno(feed_watch(r, 9999, 1, 0), ESTALE);
    assert_int_equal(feed_watch(r, FC_ROOT, 1, 0), VIOFS_WATCH_WHOLE);
    assert_errno(feed_watch(r, FC_ROOT, 1, 0), EEXIST);
    assert_errno(feed_unwatch(r, 2), ENOENT);
    for (unsigned i = 2; i <= 1024; i++)
        assert_int_equal(feed_watch(r, FC_ROOT, i, 0), VIOFS_WATCH_WHOLE);
    assert_errno(feed_watch(r, FC_ROOT, 1025, 0), ENOSPC);
    assert_ok(feed_unwatch(r, 500));
    assert_int_equal(feed_watch(r, FC_ROOT, 1025, 0), VIOFS_WATCH_WHOLE);
}

/* ---- watches that want changes from before -------------------------------------------------------- */

static uint32_t ms_since(const struct timespec *t)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)((now.tv_sec - t->tv_sec) * 1000 + (now.tv_nsec - t->tv_nsec) / 1000000 + 1);
}

/* A tree in which nothing has happened for longer than a watch of now looks back. Return: t */
static uint64_t quiet_tree(struct feed_rig *r, struct timespec *now)
{
    make_tree(r->w);
    uint64_t t = feed_enter(r, FC_ROOT, "t", "t");
    usleep((VIOFS_WATCH_MARGIN_MS + 150) * 1000);
    feed_changes(r);
    clock_gettime(CLOCK_MONOTONIC, now);
    return t;
}

static void test_watch_that_begins_late_tells_nothing_where_nothing_happened(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up(NULL);
    struct timespec then;

    if (strcmp(feed_backend(), "--watch=inotify") != 0)
        skip(); /* whatever else is done on that file system counts */
    uint64_t t = quiet_tree(r, &then);
    assert_int_equal(feed_watch(r, t, 1, ms_since(&then)), VIOFS_WATCH_WHOLE);
    assert_string_equal(feed_changes(r), "");
}

static void test_watch_that_begins_late_tells_which_files_were_written(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up(NULL);
    struct timespec then;
    uint64_t t = quiet_tree(r, &then);

    host_append(r->w, "t/a/b/f");
    assert_string_equal(feed_changes(r), ""); /* nobody has looked there */
    assert_int_equal(feed_watch(r, t, 1, ms_since(&then)), VIOFS_WATCH_WHOLE);
    if (strcmp(feed_backend(), "--watch=inotify") == 0)
        assert_string_equal(feed_changes(r), "MODIFIED t/a/b/f\n");
    else
        feed_until(r, "RESCAN t");
}

static void test_watch_that_begins_late_says_where_names_have_changed(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up(NULL);
    struct timespec then;

    if (strcmp(feed_backend(), "--watch=inotify") != 0)
        skip(); /* the mark on all of the file system may have heard of it: then it is told as it was */
    uint64_t t = quiet_tree(r, &then);
    host_rename(r->w, "t/a/b/f", "t/a/b/g");
    assert_int_equal(feed_watch(r, t, 1, ms_since(&then)), VIOFS_WATCH_WHOLE);
    assert_string_equal(feed_changes(r), "RESCAN t/a/b\n");
}

static void test_watch_that_begins_late_says_once_that_much_has_changed(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up(NULL);
    struct timespec then;
    uint64_t t = quiet_tree(r, &then);

    if (strcmp(feed_backend(), "--watch=inotify") != 0)
        skip(); /* it says so of the whole anyway */
    host_write(r->w, "t/a/1", "");
    host_write(r->w, "t/a/b/2", "");
    host_write(r->w, "t/c/3", "");
    assert_int_equal(feed_watch(r, t, 1, ms_since(&then)), VIOFS_WATCH_WHOLE);
    const char *told = feed_changes(r);
    assert_non_null(strstr(told, "\nRESCAN t\n")); /* after the first directory of the two */
    assert_int_equal(strlen(told), strlen("RESCAN t/?\nRESCAN t\n"));
}

static void test_watch_that_begins_late_knows_what_was_told(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up(NULL);
    struct timespec then;

    if (strcmp(feed_backend(), "--watch=inotify") != 0)
        skip();
    uint64_t t = quiet_tree(r, &then);
    assert_int_equal(feed_watch(r, t, 1, 0), VIOFS_WATCH_WHOLE);
    usleep((VIOFS_WATCH_MARGIN_MS + 50) * 1000);
    clock_gettime(CLOCK_MONOTONIC, &then);
    host_rename(r->w, "t/a/b/f", "t/a/b/g");
    host_append(r->w, "t/a/b/g");
    assert_string_equal(feed_changes(r),
                        "RENAMED_FROM t/a/b/f\nRENAMED_TO t/a/b/g\nMODIFIED t/a/b/g\n");
    assert_int_equal(feed_watch(r, t, 2, ms_since(&then)), VIOFS_WATCH_WHOLE);
    assert_string_equal(feed_changes(r), "");
}

/* ---- limits ------------------------------------------------------------------------------------ */

static void test_directory_looked_at_least_recently_gives_way(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up("--watch-limit=16", NULL);
    char name[16];

    for (unsigned i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "d%u", i);
        host_mkdir(r->w, name);
    }
    feed_changes(r);
    feed_enter(r, FC_ROOT, "d0", "d0");
    for (unsigned i = 1; i < 40; i++) {
        snprintf(name, sizeof(name), "d%u", i);
        feed_lookup(r, feed_lookup(r, FC_ROOT, name).nodeid, "nothing");
    }
    feed_until(r, "UNCOVERED d0");
    assert_int_equal(feed_lookup(r, FC_ROOT, "d39").attr_valid, LONG);
    assert_int_equal(feed_lookup(r, FC_ROOT, "d0").attr_valid, 1);
    assert_int_equal(feed_lookup(r, FC_ROOT, "d0").entry_valid, LONG); /* the root is in use */
}

static void test_subtree_beyond_the_limit_is_covered_near_its_top(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up("--watch-limit=16", NULL);
    char name[32];

    if (strcmp(feed_backend(), "--watch=inotify") != 0)
        return; /* a whole file system has no such limit */
    for (unsigned i = 0; i < 8; i++) {
        snprintf(name, sizeof(name), "d%u", i);
        host_mkdir(r->w, name);
        for (unsigned k = 0; k < 8; k++) {
            snprintf(name, sizeof(name), "d%u/e%u", i, k);
            host_mkdir(r->w, name);
        }
    }
    assert_int_equal(feed_watch(r, FC_ROOT, 1, 0), 0);
    feed_changes(r);
    for (unsigned i = 0; i < 8; i++) {
        char line[64];
        snprintf(name, sizeof(name), "d%u/f", i);
        assert_ok(mkdir(host(r->w, name), 0700));
        snprintf(line, sizeof(line), "ADDED %s", name);
        feed_until(r, line);
    }
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(test_what_the_host_does_in_a_directory_that_was_looked_at_is_told),
    WIRE_TEST(test_records_of_directories_say_so),
    WIRE_TEST(test_directory_that_nobody_looked_in_is_not_watched),
    WIRE_TEST(test_listing_a_directory_covers_it),
    WIRE_TEST(test_burst_of_writes_is_one_record),
    WIRE_TEST(test_names_are_any_bytes),
    WIRE_TEST(test_what_the_guest_does_is_not_told),
    WIRE_TEST(test_xattrs_that_the_guest_sets_are_not_told),
    WIRE_TEST(test_what_both_do_in_turn_is_told_of_the_host_only),
    WIRE_TEST(test_name_that_the_host_makes_first_is_told),
    WIRE_TEST(test_watch_covers_what_the_guest_never_looked_at),
    WIRE_TEST(test_paths_follow_directories_that_the_host_moves),
    WIRE_TEST(test_files_in_new_directories_are_told_however_fast_they_come),
    WIRE_TEST(test_directories_that_the_guest_makes_are_covered_without_an_echo),
    WIRE_TEST(test_entries_are_valid_for_long_where_changes_are_told),
    WIRE_TEST(test_attributes_are_valid_for_long_while_the_file_is_where_it_was),
    WIRE_TEST(test_open_brings_fresh_attributes),
    WIRE_TEST(test_validity_is_short_until_the_guest_listens),
    WIRE_TEST(test_other_cache_modes_and_timeouts_stay_as_they_are),
    WIRE_TEST(test_second_events_is_busy_and_the_first_goes_on),
    WIRE_TEST(test_events_ends_with_interrupt_destroy_and_init),
    WIRE_TEST(test_new_session_starts_with_nothing_watched),
    WIRE_TEST(test_queue_that_stops_and_goes_on_still_waits_for_events),
    WIRE_TEST(test_without_the_feature_the_requests_are_enosys),
    WIRE_TEST(test_bad_watches_are_refused),
    WIRE_TEST(test_watch_that_begins_late_tells_nothing_where_nothing_happened),
    WIRE_TEST(test_watch_that_begins_late_tells_which_files_were_written),
    WIRE_TEST(test_watch_that_begins_late_says_where_names_have_changed),
    WIRE_TEST(test_watch_that_begins_late_says_once_that_much_has_changed),
    WIRE_TEST(test_watch_that_begins_late_knows_what_was_told),
    WIRE_TEST(test_directory_looked_at_least_recently_gives_way),
    WIRE_TEST(test_subtree_beyond_the_limit_is_covered_near_its_top),
};

WIRE_MAIN("watch", tests)
