// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_migrate.c - a guest moves to another daemon, or cannot
 *
 * Two daemons share one directory; the front end plays QEMU on both hosts (tests/frontend/fe_state.c). What a guest
 * had before, it must have after; and whatever goes wrong, the daemon that it came from goes on.
 */
#include "tests/wire/feed_rig.h"

#include <poll.h>
#include <signal.h>
#include <sys/file.h>

#include "abi/vhost_user.h"

#define A     0xaaaau /* lock owners of the guest */
#define B     0xbbbbu
#define LOCKS "-o", "posix_lock,flock"

/* Another daemon for the same directory. */
#define target(w, ...)                                                                             \
    wire_start(&(struct wire_options){.args = (const char *const[]){__VA_ARGS__, NULL},            \
                                      .daemon = {.share = (w)->d.share},                           \
                                      .no_connect = true})

struct state {
    uint8_t *bytes;
    size_t len;
};

static struct state save(struct wire *w)
{
    struct state s;

    assert_ok(fe_suspend(w->fe));
    assert_ok(fe_state_save(w->fe, &s.bytes, &s.len));
    return s;
}

/* The guest leaves @w for @to. Return: what loading says. */
static int arrive(struct wire *w, struct wire *to, struct state s)
{
    assert_ok(fe_move(w->fe, to->d.socket));
    to->fe = w->fe;
    to->c = w->c;
    w->fe = NULL;
    int err = fe_state_load(to->fe, s.bytes, s.len);
    free(s.bytes);
    return err;
}

static void move(struct wire *w, struct wire *to)
{
    assert_ok(arrive(w, to, save(w)));
    assert_ok(fe_resume(to->fe));
}

/* The migration is refused before the guest has left, for a reason that the log names. */
static void refused(struct wire *w, const char *reason)
{
    uint8_t *bytes;
    size_t len;

    assert_ok(fe_suspend(w->fe));
    assert_errno(fe_state_save(w->fe, &bytes, &len), EREMOTEIO);
    assert_true(daemon_log_has(&w->d, reason, PATIENCE_MS));
    assert_ok(fe_resume(w->fe));
    wire_alive(w);
}

/* ---- files ----------------------------------------------------------------------------------- */

static const char *const modes[] = {"--migration-mode=find-paths", "--migration-mode=file-handles"};

static void test_guest_keeps_its_nodes_and_open_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY(modes); i++) {
        struct wire *w = wire_up(modes[i]), *to = target(w, modes[i]);
        char text[16] = "";
        host_mkdir(w, "d");
        host_mkdir(w, "d/e");
        host_write(w, "d/e/f", "0123456789");
        uint64_t d = node(w, FC_ROOT, "d"), e = node(w, d, "e"), f = node(w, e, "f");
        uint64_t rw = opened(w, f, O_RDWR), ro = opened(w, f, O_RDONLY), dir = open_dir(w, e);
        assert_int_equal(fc_write(&w->c, f, rw, "ab", 2, 0), 2);

        move(w, to);
        assert_int_equal(fc_read(&to->c, f, ro, text, 10, 0), 10);
        assert_string_equal(text, "ab23456789");
        assert_int_equal(fc_write(&to->c, f, rw, "cd", 2, 4), 2);
        assert_string_equal(host_read(to, "d/e/f"), "ab23cd6789");
        assert_errno(fc_write(&to->c, f, ro, "x", 1, 0), EBADF);
        assert_true(fc_readdir_raw(&to->c, e, dir, 0, 4096, false) > 0);
        assert_int_equal(node(to, e, "f"), f); /* found by its identity, not made anew */
        assert_ok(fc_release(&to->c, f, rw));
        assert_errno(fc_release(&to->c, f, rw), EBADF);
        assert_ok(fc_forget(&to->c, f, 2));
        assert_ok(fc_release(&to->c, f, ro));
        struct fuse_attr a;
        assert_errno(fc_getattr(&to->c, f, &a), ESTALE); /* the count of lookups came along */
        assert_int_not_equal(node(to, e, "f"), f);
        assert_ok(fc_mkdir(&to->c, d, "new", 0755, &(struct fuse_entry_out){0}));
    }
}

static void test_file_that_was_opened_to_be_truncated_is_not_truncated_again(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL), *to = target(w, NULL);

    host_write(w, "f", "0123456789");
    uint64_t f = node(w, FC_ROOT, "f"), fh = opened(w, f, O_WRONLY | O_TRUNC);
    assert_int_equal(fc_write(&w->c, f, fh, "abc", 3, 0), 3);
    move(w, to);
    assert_int_equal(fc_write(&to->c, f, fh, "d", 1, 3), 1);
    assert_string_equal(host_read(to, "f"), "abcd");
}

static void test_guest_can_move_again_and_again(void **state)
{
    (void)state;
    struct wire *w = wire_up(LOCKS);
    struct fuse_entry_out e;
    uint64_t fh;

    assert_ok(fc_create(&w->c, FC_ROOT, "f", O_RDWR, 0644, &e, &fh));
    assert_ok(fc_setlk(&w->c, e.nodeid, fh, A, F_WRLCK, 0, 9, false));
    for (unsigned i = 0; i < 6; i++) {
        struct wire *to = target(w, LOCKS);
        char name[16];
        move(w, to);
        w = to;
        assert_int_equal(fc_write(&w->c, e.nodeid, fh, "0123456789", 10, i * 10), 10);
        assert_errno(fc_setlk(&w->c, e.nodeid, fh, B, F_WRLCK, 5, 5, false), EAGAIN);
        snprintf(name, sizeof(name), "made-%u", i);
        assert_ok(fc_mkdir(&w->c, FC_ROOT, name, 0755, &(struct fuse_entry_out){0}));
    }
    assert_int_equal(host_stat(w, "f").st_size, 60);
}

static void test_thousands_of_nodes_move(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL), *to = target(w, NULL);
    enum { N = 1500 };
    static uint64_t ids[N];
    char name[24];
    uint64_t dir = FC_ROOT;

    for (unsigned i = 0; i < N; i++) {
        struct fuse_entry_out e;
        snprintf(name, sizeof(name), "n-%u", i);
        if (i % 100 == 0)
            assert_ok(fc_mkdir(&w->c, dir, name, 0755, &e));
        else
            assert_ok(fc_mknod(&w->c, dir, name, S_IFREG | 0644, 0, &e));
        ids[i] = e.nodeid;
        if (i % 100 == 0)
            dir = e.nodeid;
    }
    for (unsigned i = 0; i < N; i += 200) /* the guest may forget a parent before its children */
        assert_ok(fc_forget(&w->c, ids[i], 1));
    move(w, to);
    for (unsigned i = 1; i < N; i++) {
        struct fuse_attr a;
        if (i % 200 != 0)
            assert_ok(fc_getattr(&to->c, ids[i], &a));
    }
}

static void test_file_that_the_host_has_moved_is_followed(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL), *to = target(w, NULL);
    char text[8] = "";

    host_write(w, "f", "text");
    host_mkdir(w, "deep");
    host_mkdir(w, "deep/er");
    uint64_t f = node(w, FC_ROOT, "f"), fh = opened(w, f, O_RDONLY);
    assert_ok(rename(host(w, "f"), host(w, "deep/er/g")));
    move(w, to);
    assert_int_equal(fc_read(&to->c, f, fh, text, 4, 0), 4);
    assert_string_equal(text, "text");
}

static void test_name_that_the_host_has_taken_away_is_stale_and_no_obstacle(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL), *to = target(w, NULL);
    struct fuse_attr a;

    host_write(w, "f", "text");
    host_write(w, "g", "text");
    uint64_t f = node(w, FC_ROOT, "f"), g = node(w, FC_ROOT, "g");
    assert_ok(unlink(host(w, "f")));
    move(w, to);
    assert_errno(fc_getattr(&to->c, f, &a), ESTALE);
    assert_ok(fc_getattr(&to->c, g, &a));
}

static void test_open_file_without_a_name_keeps_the_guest_here(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    char text[8] = "";

    host_write(w, "f", "text");
    uint64_t f = node(w, FC_ROOT, "f"), fh = opened(w, f, O_RDONLY);
    assert_ok(fc_unlink(&w->c, FC_ROOT, "f"));
    refused(w, "is open in the guest and another host cannot find it");
    assert_int_equal(fc_read(&w->c, f, fh, text, 4, 0), 4);
    assert_string_equal(text, "text");
    assert_ok(fc_release(&w->c, f, fh));
    struct wire *to = target(w, NULL);
    move(w, to); /* the reason has gone */
    wire_alive(to);
}

static void test_with_guest_error_a_file_without_a_name_is_eio(void **state)
{
    (void)state;
    struct wire *w = wire_up("--migration-on-error=guest-error"),
                *to = target(w, "--migration-on-error=guest-error");
    char text[8] = "";

    host_write(w, "f", "text");
    host_write(w, "g", "more");
    uint64_t f = node(w, FC_ROOT, "f"), fh = opened(w, f, O_RDONLY);
    uint64_t g = node(w, FC_ROOT, "g"), gh = opened(w, g, O_RDONLY);
    assert_ok(fc_unlink(&w->c, FC_ROOT, "f"));
    move(w, to);
    assert_errno(fc_read(&to->c, f, fh, text, 4, 0), EIO);
    assert_ok(fc_release(&to->c, f, fh));
    assert_int_equal(fc_read(&to->c, g, gh, text, 4, 0), 4);
    assert_string_equal(text, "more");
}

/* By its handle a file without a name can be found, as long as it lives: the other daemon has it open still. */
static void test_file_handles_lead_to_a_file_without_a_name(void **state)
{
    (void)state;
    struct wire *w = wire_up(modes[1]);
    char text[8] = "";

    host_write(w, "f", "text");
    uint64_t f = node(w, FC_ROOT, "f"), fh = opened(w, f, O_RDWR);
    assert_ok(fc_unlink(&w->c, FC_ROOT, "f"));
    if (geteuid() != 0)
        skip(); /* opening by handle takes CAP_DAC_READ_SEARCH */
    struct wire *to = target(w, modes[1]);
    struct state s = save(w);
    /* The front end of the source stays until the target has it. */
    struct fe *fe = w->fe;
    int old = dup(fe_socket(fe));
    assert_ok(arrive(w, to, s));
    assert_ok(fe_resume(to->fe));
    close(old);
    assert_int_equal(fc_read(&to->c, f, fh, text, 4, 0), 4);
    assert_string_equal(text, "text");
    assert_int_equal(fc_write(&to->c, f, fh, "x", 1, 0), 1);
}

/* ---- a share that is another one ------------------------------------------------------------- */

static void test_what_the_other_share_lacks_is_named_and_nothing_is_left_there(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct wire *to = wire_start(&(struct wire_options){.no_connect = true});

    host_mkdir(w, "d");
    host_write(w, "d/f", "text");
    uint64_t f = node(w, node(w, FC_ROOT, "d"), "f");
    host_mkdir(to, "d");
    assert_errno(arrive(w, to, save(w)), EREMOTEIO);
    assert_true(daemon_log_has(&to->d, "d/f cannot be found in this share", PATIENCE_MS));
    assert_ok(fe_resume(to->fe));
    assert_ok(fc_init(&to->c)); /* it can still serve somebody else */
    struct fuse_attr a;
    assert_errno(fc_getattr(&to->c, f, &a), ESTALE);
}

static void test_copy_of_the_share_serves_as_well(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct wire *to = wire_start(&(struct wire_options){.no_connect = true});
    char text[8] = "";

    host_write(w, "f", "here");
    host_write(to, "f", "copy");
    uint64_t f = node(w, FC_ROOT, "f"), fh = opened(w, f, O_RDONLY);
    move(w, to);
    assert_int_equal(fc_read(&to->c, f, fh, text, 4, 0), 4);
    assert_string_equal(text, "copy");
}

static void test_something_else_under_the_name_is_not_taken_for_the_file(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL), *to = target(w, NULL);

    host_write(w, "f", "text");
    opened(w, node(w, FC_ROOT, "f"), O_RDONLY);
    struct state s = save(w);
    host_write(w, "g", "other");
    assert_ok(rename(host(w, "g"), host(w, "f")));
    assert_errno(arrive(w, to, s), EREMOTEIO);
    assert_true(daemon_log_has(&to->d, "something else has that name", PATIENCE_MS));
}

static void test_daemon_with_other_options_refuses_and_says_so(void **state)
{
    (void)state;
    struct wire *w = wire_up(LOCKS), *to = target(w, NULL);

    assert_errno(arrive(w, to, save(w)), EREMOTEIO);
    assert_true(daemon_log_has(&to->d, "start it with the options of the one", PATIENCE_MS));
}

static void test_daemon_that_serves_a_guest_takes_no_other(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL), *to = target(w, NULL);
    struct state s = save(w);

    wire_connect(to, NULL, true);
    assert_ok(fe_suspend(to->fe));
    assert_errno(fe_state_load(to->fe, s.bytes, s.len), EREMOTEIO);
    free(s.bytes);
    assert_ok(fe_resume(to->fe));
    wire_alive(to);
    assert_ok(fe_resume(w->fe));
    wire_alive(w);
}

/* ---- locks ----------------------------------------------------------------------------------- */

static void test_locks_are_held_by_the_next_daemon(void **state)
{
    (void)state;
    struct wire *w = wire_up(LOCKS), *to = target(w, LOCKS);
    struct flock fl = {.l_type = F_WRLCK, .l_start = 5, .l_len = 1};

    host_write(w, "f", "0123456789");
    host_write(w, "g", "0123456789");
    uint64_t f = node(w, FC_ROOT, "f"), fh = opened(w, f, O_RDWR), fh2 = opened(w, f, O_RDWR);
    uint64_t g = node(w, FC_ROOT, "g"), gh = opened(w, g, O_RDWR), gh2 = opened(w, g, O_RDWR);
    assert_ok(fc_setlk(&w->c, f, fh, A, F_WRLCK, 0, 3, false));
    assert_ok(fc_setlk(&w->c, f, fh, A, F_RDLCK, 5, 9, false));
    assert_ok(fc_setlk(&w->c, f, fh, A, F_UNLCK, 7, 7, false));
    assert_ok(fc_flock(&w->c, g, gh, 0, LOCK_EX | LOCK_NB));
    move(w, to);
    int host_f = open(host(to, "f"), O_RDWR | O_CLOEXEC);
    int host_g = open(host(to, "g"), O_RDWR | O_CLOEXEC);
    assert_int_equal(fcntl(host_f, F_OFD_SETLK, &fl), -1);
    fl.l_start = 7;
    assert_ok(fcntl(host_f, F_OFD_SETLK, &fl));
    fl.l_start = 4;
    assert_ok(fcntl(host_f, F_OFD_SETLK, &fl));
    assert_int_equal(flock(host_g, LOCK_SH | LOCK_NB), -1);
    assert_errno(fc_setlk(&to->c, f, fh2, B, F_RDLCK, 2, 2, false), EAGAIN);
    assert_ok(fc_setlk(&to->c, f, fh2, B, F_RDLCK, 9, 9, false));
    assert_errno(fc_flock(&to->c, g, gh2, 0, LOCK_EX | LOCK_NB), EAGAIN);
    assert_ok(fc_release(&to->c, g, gh));
    assert_ok(fc_flock(&to->c, g, gh2, 0, LOCK_EX | LOCK_NB));
    close(host_f);
    close(host_g);
}

static void test_lock_that_cannot_be_had_there_is_had_here_again(void **state)
{
    (void)state;
    struct wire *w = wire_up(LOCKS);
    struct flock fl = {.l_type = F_WRLCK};

    host_write(w, "f", "0123456789");
    uint64_t f = node(w, FC_ROOT, "f"), fh = opened(w, f, O_RDWR);
    assert_ok(fc_setlk(&w->c, f, fh, A, F_WRLCK, 0, 3, false));
    assert_ok(fc_flock(&w->c, f, fh, 0, LOCK_EX | LOCK_NB));
    struct state s = save(w);
    int fd = open(host(w, "f"), O_RDWR | O_CLOEXEC);
    assert_ok(fcntl(fd, F_OFD_SETLK, &fl)); /* between the two */

    struct wire *to = wire_start(&(struct wire_options){.args = (const char *const[]){LOCKS, NULL},
                                                        .daemon = {.share = w->d.share},
                                                        .no_init = true});
    assert_ok(fe_suspend(to->fe));
    assert_errno(fe_state_load(to->fe, s.bytes, s.len), EREMOTEIO);
    assert_true(daemon_log_has(&to->d, "somebody else has a lock on it", PATIENCE_MS));
    free(s.bytes);
    close(fd);
    assert_ok(fe_resume(w->fe));
    fd = open(host(w, "f"), O_RDWR | O_CLOEXEC);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &fl), -1);
    assert_int_equal(flock(fd, LOCK_SH | LOCK_NB), -1);
    close(fd);
}

static void test_request_that_waits_for_a_lock_waits_on_over_there(void **state)
{
    (void)state;
    struct wire *w = wire_up(LOCKS), *to = target(w, LOCKS);
    struct fe_req wait;

    host_write(w, "f", "0123456789");
    uint64_t f = node(w, FC_ROOT, "f"), fh = opened(w, f, O_RDWR), fh2 = opened(w, f, O_RDWR);
    assert_ok(fc_setlk(&w->c, f, fh, A, F_WRLCK, 0, INT64_MAX, false));
    assert_ok(fe_req_init(w->fe, &wait, 4096, 4096));
    struct fuse_lk_in in = {
        .fh = fh2, .owner = B, .lk = {.end = INT64_MAX, .type = F_WRLCK, .pid = 77}};
    struct fc_part p = {&in, sizeof(in)};
    uint64_t unique = fc_build(&w->c, &wait, FUSE_SETLKW, f, &p, 1, 0);
    assert_ok(fe_submit(w->fe, FE_REQUESTS, &wait, false));
    wire_alive(w);

    move(w, to);
    wire_alive(to);
    assert_false(wait.done);
    assert_ok(fc_setlk(&to->c, f, fh, A, F_UNLCK, 0, INT64_MAX, false));
    int err = 0;
    while (!wait.done && err == 0)
        fe_reap(to->fe, FE_REQUESTS, true, &err);
    assert_ok(err);
    assert_int_equal(fc_result(&wait, unique), 0);
    assert_errno(fc_setlk(&to->c, f, fh, A, F_RDLCK, 0, 0, false), EAGAIN);
}

/* ---- what the host changes ------------------------------------------------------------------- */

static void test_client_that_waits_for_changes_is_told_to_look_at_everything(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up(NULL);
    struct wire *w = r->w, *to = target(w, NULL);

    host_mkdir(w, "d");
    host_mkdir(w, "d/e");
    uint64_t d = feed_enter(r, FC_ROOT, "d", "d");
    assert_int_equal(feed_watch(r, d, 7, 0), VIOFS_WATCH_WHOLE);
    struct state s = save(w);
    host_write(w, "d/e/missed", "");
    assert_ok(arrive(w, to, s));
    r->w = to;
    assert_ok(fe_resume(to->fe)); /* the request that was out is served there */
    feed_until(r, "RESCAN *");
    host_write(to, "d/e/f", "");
    /* The subtree is watched there, though nobody has asked anew; until it is, a directory that has changed is told. */
    r->waits_for = "ADDED d/e/f, or RESCAN of what is above it";
    while (!strstr(r->text, "ADDED d/e/f\n") && !strstr(r->text, "RESCAN d"))
        feed_next(r);
    assert_ok(feed_unwatch(r, 7));
}

/* ---- with a supervisor ----------------------------------------------------------------------- */

static void test_guest_moves_between_supervised_daemons_and_their_workers_may_die(void **state)
{
    (void)state;
    struct wire *w = wire_up("--supervise", LOCKS), *to = target(w, "--supervise", LOCKS);

    host_write(w, "f", "0123456789");
    uint64_t f = node(w, FC_ROOT, "f"), fh = opened(w, f, O_RDWR);
    assert_int_equal(kill(daemon_worker_pid(&w->d), SIGKILL), 0);
    wire_alive(w);
    assert_ok(fc_setlk(&w->c, f, fh, A, F_WRLCK, 0, 3, false));
    move(w, to);
    assert_int_equal(fc_write(&to->c, f, fh, "a", 1, 0), 1);
    assert_int_equal(kill(daemon_worker_pid(&to->d), SIGKILL), 0);
    assert_int_equal(fc_write(&to->c, f, fh, "b", 1, 1), 1);
    assert_string_equal(host_read(to, "f"), "ab23456789");
    assert_errno(fc_setlk(&to->c, f, fh, B, F_WRLCK, 2, 2, false), EAGAIN);
}

/* Who is in the way of @owner's write lock of the whole file from @from on? */
static void in_the_way(struct wire *w, uint64_t f, uint64_t fh, uint64_t owner, uint64_t from,
                       struct fuse_file_lock is)
{
    struct fuse_file_lock lk = {.start = from, .end = INT64_MAX, .type = F_WRLCK};

    assert_ok(fc_getlk(&w->c, f, fh, owner, &lk));
    assert_int_equal(lk.type, is.type);
    assert_int_equal(lk.start, is.start);
    assert_int_equal(lk.end, is.end);
    assert_int_equal(lk.pid, is.pid);
}

static void lock_as(struct wire *w, uint64_t f, uint64_t fh, uint64_t owner,
                    struct fuse_file_lock lk)
{
    const struct fuse_lk_in in = {.fh = fh, .owner = owner, .lk = lk};
    struct fc_part p = {&in, sizeof(in)};

    assert_int_equal(fc_call(&w->c, FUSE_SETLK, f, &p, 1, NULL, 0), 0);
}

/* Of two owners, each has what it had, and is named with it. */
static void locks_are_as_made(struct wire *w, uint64_t f, uint64_t fh)
{
    enum { C = 0xcccc };
    int fd = open(host(w, "f"), O_RDWR | O_CLOEXEC);

    in_the_way(w, f, fh, B, 0, (struct fuse_file_lock){0, 3, F_WRLCK, 11});
    in_the_way(w, f, fh, B, 4, (struct fuse_file_lock){5, 6, F_RDLCK, 11});
    in_the_way(w, f, fh, B, 7, (struct fuse_file_lock){8, 9, F_RDLCK, 11});
    in_the_way(w, f, fh, A, 0, (struct fuse_file_lock){20, 29, F_WRLCK, 22});
    in_the_way(w, f, fh, C, 10, (struct fuse_file_lock){20, 29, F_WRLCK, 22});
    in_the_way(w, f, fh, C, 30, (struct fuse_file_lock){40, INT64_MAX, F_RDLCK, 22});
    assert_errno(fc_setlk(&w->c, f, fh, B, F_RDLCK, 3, 3, false), EAGAIN);
    assert_errno(fc_setlk(&w->c, f, fh, A, F_RDLCK, 25, 25, false), EAGAIN);
    for (off_t at = 0; at < 45; at++) { /* and the host sees the same bytes */
        struct flock fl = {.l_type = F_WRLCK, .l_start = at, .l_len = 1};
        bool locked =
            at <= 3 || (at >= 5 && at <= 9 && at != 7) || (at >= 20 && at <= 29) || at >= 40;
        assert_int_equal(fcntl(fd, F_OFD_SETLK, &fl), locked ? -1 : 0);
    }
    close(fd);
}

static void test_locks_of_a_killed_worker_are_as_before_and_move_to_the_next_daemon(void **state)
{
    (void)state;
    struct wire *w = wire_up("--supervise", LOCKS), *to = target(w, "--supervise", LOCKS);

    host_write(w, "f", "0123456789");
    uint64_t f = node(w, FC_ROOT, "f"), fh = opened(w, f, O_RDWR);
    lock_as(w, f, fh, A, (struct fuse_file_lock){0, 3, F_WRLCK, 11});
    lock_as(w, f, fh, A, (struct fuse_file_lock){5, 9, F_RDLCK, 11});
    lock_as(w, f, fh, A, (struct fuse_file_lock){7, 7, F_UNLCK, 11});
    lock_as(w, f, fh, B, (struct fuse_file_lock){20, 29, F_WRLCK, 22});
    lock_as(w, f, fh, B, (struct fuse_file_lock){40, INT64_MAX, F_RDLCK, 22});
    locks_are_as_made(w, f, fh);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(kill(daemon_worker_pid(&w->d), SIGKILL), 0);
        locks_are_as_made(w, f, fh);
    }
    move(w, to);
    locks_are_as_made(to, f, fh);
    assert_int_equal(kill(daemon_worker_pid(&to->d), SIGKILL), 0);
    locks_are_as_made(to, f, fh);
    lock_as(to, f, fh, A, (struct fuse_file_lock){0, INT64_MAX, F_UNLCK, 11});
    lock_as(to, f, fh, B, (struct fuse_file_lock){0, INT64_MAX, F_UNLCK, 22});
    int fd = open(host(to, "f"), O_RDWR | O_CLOEXEC);
    assert_ok(fcntl(fd, F_OFD_SETLK, &(struct flock){.l_type = F_WRLCK}));
    close(fd);
}

/* A request that waits for a lock goes on waiting behind a killed worker, and behind a move. */
static void test_wait_for_a_lock_goes_on_behind_a_killed_worker_and_a_move(void **state)
{
    (void)state;
    for (unsigned moves = 0; moves < 2; moves++) {
        struct wire *w = wire_up("--supervise", LOCKS), *to = target(w, "--supervise", LOCKS);
        struct fe_req wait;

        host_write(w, "f", "0123456789");
        uint64_t f = node(w, FC_ROOT, "f"), fh = opened(w, f, O_RDWR), fh2 = opened(w, f, O_RDWR);
        assert_ok(fc_setlk(&w->c, f, fh, A, F_WRLCK, 0, 9, false));
        assert_ok(fe_req_init(w->fe, &wait, 4096, 4096));
        const struct fuse_lk_in in = {
            .fh = fh2, .owner = B, .lk = {.start = 5, .end = 14, .type = F_WRLCK, .pid = 77}};
        struct fc_part p = {&in, sizeof(in)};
        uint64_t unique = fc_build(&w->c, &wait, FUSE_SETLKW, f, &p, 1, 0);
        assert_ok(fe_submit(w->fe, FE_REQUESTS, &wait, false));
        wire_alive(w);
        assert_int_equal(kill(daemon_worker_pid(&w->d), SIGKILL), 0);
        wire_alive(w);
        assert_false(wait.done);
        if (moves)
            move(w, to);
        struct wire *at = moves ? to : w;
        assert_ok(fc_setlk(&at->c, f, fh, A, F_UNLCK, 0, INT64_MAX, false));
        int err = 0;
        while (!wait.done && err == 0)
            fe_reap(at->fe, FE_REQUESTS, true, &err);
        assert_ok(err);
        assert_int_equal(fc_result(&wait, unique), 0);
        in_the_way(at, f, fh, A, 0, (struct fuse_file_lock){5, 14, F_WRLCK, 77});
        assert_int_equal(kill(daemon_worker_pid(&at->d), SIGKILL), 0);
        in_the_way(at, f, fh, A, 0, (struct fuse_file_lock){5, 14, F_WRLCK, 77});
    }
}

/* ---- the transfer itself --------------------------------------------------------------------- */

static void test_guest_that_has_not_begun_moves_too(void **state)
{
    (void)state;
    struct wire *w = wire_start(&(struct wire_options){.no_init = true}), *to = target(w, NULL);

    move(w, to);
    assert_ok(fc_init(&to->c));
    wire_alive(to);
}

static void test_migration_that_is_called_off_changes_nothing(void **state)
{
    (void)state;
    struct wire *w = wire_up(LOCKS);
    int fd;

    host_write(w, "f", "text");
    uint64_t f = node(w, FC_ROOT, "f"), fh = opened(w, f, O_RDWR);
    assert_ok(fc_setlk(&w->c, f, fh, A, F_WRLCK, 0, 9, false));
    assert_ok(fe_suspend(w->fe));
    assert_ok(fe_state_begin(w->fe, VU_STATE_SAVE, &fd));
    assert_ok(fe_resume(w->fe)); /* nobody has read, nobody has asked */
    close(fd);
    assert_int_equal(fc_write(&w->c, f, fh, "x", 1, 0), 1);
    assert_errno(fc_setlk(&w->c, f, fh, B, F_WRLCK, 0, 0, false), EAGAIN);
    struct wire *to = target(w, LOCKS);
    move(w, to);
    assert_int_equal(fc_write(&to->c, f, fh, "y", 1, 1), 1);
}

static void test_front_end_that_leaves_in_the_middle_is_not_waited_for(void **state)
{
    (void)state;
    struct wire *w = wire_up("--keep-listening");
    static const uint32_t directions[] = {VU_STATE_SAVE, VU_STATE_LOAD};
    char name[16];

    for (unsigned i = 0; i < 2000; i++) { /* more than a pipe holds */
        snprintf(name, sizeof(name), "file-%u", i);
        assert_ok(fc_mknod(&w->c, FC_ROOT, name, S_IFREG | 0644, 0, &(struct fuse_entry_out){0}));
    }
    for (size_t i = 0; i < ARRAY(directions); i++) {
        int fd;
        assert_ok(fe_suspend(w->fe));
        assert_ok(fe_state_begin(w->fe, directions[i], &fd));
        wire_disconnect(w);
        wire_connect(w, NULL, true);
        close(fd);
        wire_alive(w);
    }
}

static void test_transfers_at_the_wrong_time_are_refused(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct vu_state_transfer t = {.direction = 2};
    uint64_t answer;
    int fd;

    assert_errno(fe_state_begin(w->fe, VU_STATE_SAVE, &fd), EREMOTEIO); /* the queues run */
    assert_errno(fe_state_check(w->fe), EREMOTEIO);
    assert_ok(fe_suspend(w->fe));
    assert_errno(fe_state_begin(w->fe, 2, &fd), EREMOTEIO);
    t = (struct vu_state_transfer){.phase = 1};
    assert_ok(fe_vu_get(w->fe, VU_SET_DEVICE_STATE_FD, &t, sizeof(t), &answer, sizeof(answer)));
    assert_true(answer & VU_STATE_ERROR_MASK);
    assert_ok(fe_resume(w->fe));
    wire_alive(w);
}

/* A stream that is cut, or has one byte wrong, ends in a refusal, and the daemon is as before. */
static void test_garbled_streams_are_refused(void **state)
{
    (void)state;
    struct wire *w = wire_up(LOCKS);
    struct wire *to = wire_start(&(struct wire_options){.args = (const char *const[]){LOCKS, NULL},
                                                        .daemon = {.share = w->d.share},
                                                        .no_init = true});

    host_mkdir(w, "d");
    host_write(w, "d/f", "text");
    uint64_t f = node(w, node(w, FC_ROOT, "d"), "f"), fh = opened(w, f, O_RDWR);
    assert_ok(fc_setlk(&w->c, f, fh, A, F_WRLCK, 0, 9, false));
    struct state s = save(w);
    assert_ok(fe_suspend(to->fe));
    for (size_t i = 0; i < s.len; i += getenv("VIOFS_SOAK") ? 1 : 17) {
        assert_errno(fe_state_load(to->fe, s.bytes, i), EREMOTEIO);
        s.bytes[i] ^= (uint8_t)(1u << i % 8);
        assert_errno(fe_state_load(to->fe, s.bytes, s.len), EREMOTEIO);
        s.bytes[i] ^= (uint8_t)(1u << i % 8);
    }
    assert_ok(fe_state_load(to->fe, s.bytes, s.len));
    free(s.bytes);
}

/* The checksum at the end, as state/stream.c makes it: what follows it is END's last field. */
static void seal(struct state s)
{
    enum { END = 2 + 4 + 16 };
    uint64_t x = 0xcbf29ce484222325u;

    for (size_t i = 0; i < s.len - END; i++)
        x = (x ^ s.bytes[i]) * 0x100000001b3u;
    for (unsigned i = 0; i < 8; i++)
        s.bytes[s.len - 8 + i] = (uint8_t)(x >> (8 * i));
}

/* A source that lies and signs for it: whatever is loaded, the daemon stays well and inside its share. */
static void test_lies_with_a_good_checksum_do_no_harm(void **state)
{
    (void)state;
    struct wire *w = wire_up(LOCKS, modes[1]);
    struct wire *to = wire_start(
        &(struct wire_options){.args = (const char *const[]){LOCKS, "--keep-listening", NULL},
                               .daemon = {.share = w->d.share},
                               .no_init = true});
    unsigned turns = getenv("VIOFS_SOAK") ? 20000 : 100, loaded = 0;

    host_mkdir(w, "d");
    host_write(w, "d/f", "text");
    uint64_t f = node(w, node(w, FC_ROOT, "d"), "f"), fh = opened(w, f, O_RDWR);
    opened(w, f, O_RDONLY);
    open_dir(w, FC_ROOT);
    assert_ok(fc_setlk(&w->c, f, fh, A, F_WRLCK, 0, 9, false));
    struct state s = save(w);
    uint8_t *good = malloc(s.len);
    assert_non_null(good);
    memcpy(good, s.bytes, s.len);
    srandom(7);
    for (unsigned i = 0; i < turns; i++) {
        memcpy(s.bytes, good, s.len);
        for (long n = random() % 3; n >= 0; n--) {
            static const uint8_t telling[] = {0, 1, 2, 0x7f, 0x80, 0xff, '/', '.'};
            uint8_t *at = &s.bytes[12 + (size_t)random() % (s.len - 12 - 16)];
            *at = random() % 2 ? telling[random() % 8] : (uint8_t)random();
        }
        seal(s);
        assert_ok(fe_suspend(to->fe));
        int err = fe_state_load(to->fe, s.bytes, s.len);
        if (err == 0) {
            loaded++;
            assert_ok(fe_resume(to->fe));
            struct fuse_attr a;
            (void)fc_getattr(&to->c, f, &a);
            (void)fc_write(&to->c, f, fh, "x", 1, 0);
        }
        wire_disconnect(to);
        wire_connect(to, NULL, false);
    }
    assert_true(loaded > 0 && loaded < turns);
    free(good);
    free(s.bytes);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        WIRE_TEST(test_guest_keeps_its_nodes_and_open_files),
        WIRE_TEST(test_file_that_was_opened_to_be_truncated_is_not_truncated_again),
        WIRE_TEST(test_guest_can_move_again_and_again),
        WIRE_TEST(test_thousands_of_nodes_move),
        WIRE_TEST(test_file_that_the_host_has_moved_is_followed),
        WIRE_TEST(test_name_that_the_host_has_taken_away_is_stale_and_no_obstacle),
        WIRE_TEST(test_open_file_without_a_name_keeps_the_guest_here),
        WIRE_TEST(test_with_guest_error_a_file_without_a_name_is_eio),
        WIRE_TEST(test_file_handles_lead_to_a_file_without_a_name),
        WIRE_TEST(test_what_the_other_share_lacks_is_named_and_nothing_is_left_there),
        WIRE_TEST(test_copy_of_the_share_serves_as_well),
        WIRE_TEST(test_something_else_under_the_name_is_not_taken_for_the_file),
        WIRE_TEST(test_daemon_with_other_options_refuses_and_says_so),
        WIRE_TEST(test_daemon_that_serves_a_guest_takes_no_other),
        WIRE_TEST(test_locks_are_held_by_the_next_daemon),
        WIRE_TEST(test_lock_that_cannot_be_had_there_is_had_here_again),
        WIRE_TEST(test_request_that_waits_for_a_lock_waits_on_over_there),
        WIRE_TEST(test_client_that_waits_for_changes_is_told_to_look_at_everything),
        WIRE_TEST(test_guest_moves_between_supervised_daemons_and_their_workers_may_die),
        WIRE_TEST(test_locks_of_a_killed_worker_are_as_before_and_move_to_the_next_daemon),
        WIRE_TEST(test_wait_for_a_lock_goes_on_behind_a_killed_worker_and_a_move),
        WIRE_TEST(test_guest_that_has_not_begun_moves_too),
        WIRE_TEST(test_migration_that_is_called_off_changes_nothing),
        WIRE_TEST(test_front_end_that_leaves_in_the_middle_is_not_waited_for),
        WIRE_TEST(test_transfers_at_the_wrong_time_are_refused),
        WIRE_TEST(test_garbled_streams_are_refused),
        WIRE_TEST(test_lies_with_a_good_checksum_do_no_harm),
    };

    signal(SIGPIPE, SIG_IGN); /* a daemon may refuse a stream before it has read all of it */
    return wire_main("migrate", argc, argv, tests, ARRAY(tests));
}
