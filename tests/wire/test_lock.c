// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_lock.c - GETLK, SETLK, SETLKW, flock and INTERRUPT of one that waits
 *
 * Two owners of the guest compete with each other and with a process of the host.
 */
#include "tests/wire/wire.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>

#define A         0xaaaau /* lock owners of the guest */
#define B         0xbbbbu
#define REQ_BYTES 4096u

struct rig {
    struct wire *w;
    uint64_t f, fh_a, fh_b;
    struct fe_req wait; /* a request that may stay away for long */
    uint64_t unique;
};

static struct rig rig_up(void)
{
    struct rig r = {.w = wire_up("-o", "posix_lock,flock")};

    assert_true(r.w->c.init_flags & FUSE_POSIX_LOCKS);
    assert_true(r.w->c.init_flags & FUSE_FLOCK_LOCKS);
    host_write(r.w, "f", "0123456789");
    r.f = node(r.w, FC_ROOT, "f");
    r.fh_a = opened(r.w, r.f, O_RDWR);
    r.fh_b = opened(r.w, r.f, O_RDWR);
    assert_ok(fe_req_init(r.w->fe, &r.wait, REQ_BYTES, REQ_BYTES));
    return r;
}

/* Send SETLKW, or a waiting flock, without waiting for its answer. */
static void send_wait(struct rig *r, uint64_t fh, uint64_t owner, uint32_t type, uint32_t lk_flags)
{
    struct fuse_lk_in in = {.fh = fh,
                            .owner = owner,
                            .lk = {.end = INT64_MAX, .type = type, .pid = 77},
                            .lk_flags = lk_flags};
    struct fc_part p = {&in, sizeof(in)};

    r->unique = fc_build(&r->w->c, &r->wait, FUSE_SETLKW, r->f, &p, 1, 0);
    assert_ok(fe_submit(r->w->fe, FE_REQUESTS, &r->wait, false));
}

/* Has it been answered by now, after some more traffic? */
static bool answered(struct rig *r)
{
    int err;

    while (fe_reap(r->w->fe, FE_REQUESTS, false, &err))
        ;
    return r->wait.done;
}

static ssize_t wait_for_answer(struct rig *r)
{
    int err = 0;

    while (!r->wait.done && err == 0)
        fe_reap(r->w->fe, FE_REQUESTS, true, &err);
    assert_ok(err);
    return fc_result(&r->wait, r->unique);
}

static int lock_all(struct rig *r, uint64_t fh, uint64_t owner, uint32_t type)
{
    return fc_setlk(&r->w->c, r->f, fh, owner, type, 0, INT64_MAX, false);
}

static void test_without_the_options_locks_are_enosys(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);

    assert_false(w->c.init_flags & (FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS));
    host_write(w, "f", "");
    uint64_t f = node(w, FC_ROOT, "f"), fh = opened(w, f, O_RDWR);
    assert_errno(fc_setlk(&w->c, f, fh, A, F_WRLCK, 0, 10, false), ENOSYS);
    assert_errno(fc_flock(&w->c, f, fh, A, LOCK_EX | LOCK_NB), ENOSYS);
}

static void test_locks_of_two_owners_exclude_each_other(void **state)
{
    (void)state;
    struct rig r = rig_up();

    assert_ok(lock_all(&r, r.fh_a, A, F_WRLCK));
    assert_errno(lock_all(&r, r.fh_b, B, F_WRLCK), EAGAIN);
    assert_errno(lock_all(&r, r.fh_b, B, F_RDLCK), EAGAIN);
    assert_ok(lock_all(&r, r.fh_a, A, F_RDLCK)); /* its own lock is converted */
    assert_ok(lock_all(&r, r.fh_b, B, F_RDLCK));
    assert_errno(lock_all(&r, r.fh_b, B, F_WRLCK), EAGAIN);
    assert_ok(lock_all(&r, r.fh_a, A, F_UNLCK));
    assert_ok(lock_all(&r, r.fh_b, B, F_WRLCK));
}

static void test_two_owners_on_one_handle_are_still_two(void **state)
{
    (void)state;
    struct rig r = rig_up(); /* as after fork() in the guest */

    assert_ok(lock_all(&r, r.fh_a, A, F_WRLCK));
    assert_errno(lock_all(&r, r.fh_a, B, F_WRLCK), EAGAIN);
}

static void test_ranges_are_locked_byte_by_byte(void **state)
{
    (void)state;
    struct rig r = rig_up();
    struct fc *c = &r.w->c;

    assert_ok(fc_setlk(c, r.f, r.fh_a, A, F_WRLCK, 10, 19, false));
    assert_ok(fc_setlk(c, r.f, r.fh_b, B, F_WRLCK, 0, 9, false));
    assert_ok(fc_setlk(c, r.f, r.fh_b, B, F_WRLCK, 20, INT64_MAX, false));
    assert_errno(fc_setlk(c, r.f, r.fh_b, B, F_WRLCK, 19, 19, false), EAGAIN);
    assert_ok(fc_setlk(c, r.f, r.fh_a, A, F_UNLCK, 15, 19, false));
    assert_ok(fc_setlk(c, r.f, r.fh_b, B, F_WRLCK, 19, 19, false));
}

static void test_getlk_names_what_is_in_the_way(void **state)
{
    (void)state;
    struct rig r = rig_up();
    struct fuse_file_lock lk = {.start = 0, .end = INT64_MAX, .type = F_WRLCK};

    assert_ok(fc_getlk(&r.w->c, r.f, r.fh_b, B, &lk));
    assert_int_equal(lk.type, F_UNLCK);
    assert_ok(fc_setlk(&r.w->c, r.f, r.fh_a, A, F_RDLCK, 5, 9, false));
    lk = (struct fuse_file_lock){.start = 0, .end = INT64_MAX, .type = F_WRLCK};
    assert_ok(fc_getlk(&r.w->c, r.f, r.fh_b, B, &lk));
    assert_int_equal(lk.type, F_RDLCK);
    assert_int_equal(lk.start, 5);
    assert_int_equal(lk.end, 9);
    lk = (struct fuse_file_lock){.start = 0, .end = INT64_MAX, .type = F_RDLCK};
    assert_ok(fc_getlk(&r.w->c, r.f, r.fh_b, B, &lk));
    assert_int_equal(lk.type, F_UNLCK);
}

static void test_host_sees_the_guests_locks_and_the_guest_the_hosts(void **state)
{
    (void)state;
    struct rig r = rig_up();
    struct flock fl = {.l_type = F_WRLCK};
    int fd = open(host(r.w, "f"), O_RDWR | O_CLOEXEC);

    assert_ok(lock_all(&r, r.fh_a, A, F_WRLCK));
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &fl), -1);
    assert_ok(lock_all(&r, r.fh_a, A, F_UNLCK));
    assert_ok(fcntl(fd, F_OFD_SETLK, &fl));
    assert_errno(lock_all(&r, r.fh_a, A, F_WRLCK), EAGAIN);
    close(fd);
    assert_ok(lock_all(&r, r.fh_a, A, F_WRLCK));
}

static void test_flush_drops_its_owners_locks_only(void **state)
{
    (void)state;
    struct rig r = rig_up();
    struct fc *c = &r.w->c;

    assert_ok(fc_setlk(c, r.f, r.fh_a, A, F_WRLCK, 0, 4, false));
    assert_ok(fc_setlk(c, r.f, r.fh_b, B, F_WRLCK, 5, 9, false));
    assert_ok(fc_flush(c, r.f, r.fh_a, A));
    assert_ok(fc_setlk(c, r.f, r.fh_b, B, F_WRLCK, 0, 4, false));
    assert_errno(fc_setlk(c, r.f, r.fh_a, A, F_WRLCK, 5, 9, false), EAGAIN);
}

static void test_bad_lock_arguments_are_refused(void **state)
{
    (void)state;
    struct rig r = rig_up();
    struct fc *c = &r.w->c;

    assert_errno(fc_setlk(c, r.f, r.fh_a, A, 99, 0, 9, false), EINVAL);
    assert_errno(fc_setlk(c, r.f, r.fh_a, A, F_WRLCK, 9, 0, false), EINVAL);
    assert_errno(fc_setlk(c, r.f, r.fh_a, A, F_WRLCK, UINT64_MAX, UINT64_MAX, false), EINVAL);
    assert_errno(fc_setlk(c, r.f, r.fh_a + 1000, A, F_WRLCK, 0, 9, false), EBADF);
    assert_errno(fc_setlk(c, FC_ROOT, r.fh_a, A, F_WRLCK, 0, 9, false), EBADF);
    assert_errno(fc_setlk(c, r.f, open_dir(r.w, FC_ROOT), A, F_WRLCK, 0, 9, false), EBADF);
}

static void test_waiting_lock_does_not_stop_its_queue(void **state)
{
    (void)state;
    struct rig r = rig_up();

    assert_ok(lock_all(&r, r.fh_a, A, F_WRLCK));
    send_wait(&r, r.fh_b, B, F_WRLCK, 0);
    for (unsigned i = 0; i < 50; i++)
        wire_alive(r.w);
    assert_false(answered(&r));
    assert_ok(lock_all(&r, r.fh_a, A, F_UNLCK));
    assert_int_equal(wait_for_answer(&r), 0);
    assert_errno(lock_all(&r, r.fh_a, A, F_WRLCK), EAGAIN); /* B has it now */
}

static void test_waiting_lock_gets_it_from_a_process_of_the_host(void **state)
{
    (void)state;
    struct rig r = rig_up();
    struct flock fl = {.l_type = F_WRLCK};
    int fd = open(host(r.w, "f"), O_RDWR | O_CLOEXEC);

    assert_ok(fcntl(fd, F_OFD_SETLK, &fl));
    send_wait(&r, r.fh_b, B, F_WRLCK, 0);
    wire_alive(r.w);
    assert_false(answered(&r));
    close(fd);
    assert_int_equal(wait_for_answer(&r), 0);
}

static void test_interrupt_ends_the_wait_with_eintr(void **state)
{
    (void)state;
    struct rig r = rig_up();

    assert_ok(lock_all(&r, r.fh_a, A, F_WRLCK));
    send_wait(&r, r.fh_b, B, F_WRLCK, 0);
    wire_alive(r.w);
    struct fuse_interrupt_in in = {.unique = r.unique};
    struct fc_part p = {&in, sizeof(in)};
    assert_ok(fc_send(&r.w->c, FE_HIPRIO, FUSE_INTERRUPT, 0, &p, 1));
    assert_errno(wait_for_answer(&r), EINTR);
    assert_ok(lock_all(&r, r.fh_a, A, F_UNLCK));
    assert_ok(lock_all(&r, r.fh_a, A, F_WRLCK)); /* nobody took it meanwhile */
}

static void test_waiting_lock_outlasts_a_pause_of_its_queue(void **state)
{
    (void)state;
    struct rig r = rig_up();
    uint32_t base;

    assert_ok(lock_all(&r, r.fh_a, A, F_WRLCK));
    send_wait(&r, r.fh_b, B, F_WRLCK, 0);
    wire_alive(r.w);
    assert_ok(fe_queue_stop(r.w->fe, FE_REQUESTS, &base));
    assert_false(answered(&r)); /* EINTR would reach the program: nothing has interrupted it */
    assert_ok(fe_queue_resume(r.w->fe, FE_REQUESTS, base));
    assert_ok(lock_all(&r, r.fh_a, A, F_UNLCK));
    assert_int_equal(wait_for_answer(&r), 0);
}

static void test_session_that_ends_answers_those_who_wait(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 2; how++) {
        struct rig r = rig_up();
        assert_ok(lock_all(&r, r.fh_a, A, F_WRLCK));
        send_wait(&r, r.fh_b, B, F_WRLCK, 0);
        wire_alive(r.w);
        assert_ok(how ? fc_init(&r.w->c) : fc_destroy(&r.w->c));
        assert_true(wait_for_answer(&r) < 0);
        int fd = open(host(r.w, "f"), O_RDWR | O_CLOEXEC);
        struct flock fl = {.l_type = F_WRLCK};
        assert_ok(fcntl(fd, F_OFD_SETLK, &fl)); /* the session's locks went with it */
        close(fd);
    }
}

static void test_guest_that_is_killed_while_it_waits_leaves_no_lock(void **state)
{
    (void)state;
    struct wire *w = wire_start(&(struct wire_options){
        .args = (const char *const[]){"-o", "posix_lock", "--keep-listening", NULL}});
    struct rig r = {.w = w};

    host_write(w, "f", "");
    r.f = node(w, FC_ROOT, "f");
    r.fh_a = opened(w, r.f, O_RDWR);
    assert_ok(fe_req_init(w->fe, &r.wait, REQ_BYTES, REQ_BYTES));
    assert_ok(lock_all(&r, r.fh_a, A, F_WRLCK));
    send_wait(&r, r.fh_a, B, F_WRLCK, 0);
    wire_alive(w);
    wire_disconnect(w);
    wire_connect(w, NULL, true);
    r.f = node(w, FC_ROOT, "f");
    r.fh_b = opened(w, r.f, O_RDWR);
    assert_ok(lock_all(&r, r.fh_b, B, F_WRLCK));
}

static void test_flock_excludes_between_open_files(void **state)
{
    (void)state;
    struct rig r = rig_up();
    struct fc *c = &r.w->c;

    assert_ok(fc_flock(c, r.f, r.fh_a, A, LOCK_EX | LOCK_NB));
    assert_errno(fc_flock(c, r.f, r.fh_b, B, LOCK_SH | LOCK_NB), EAGAIN);
    assert_ok(fc_flock(c, r.f, r.fh_a, A, LOCK_SH | LOCK_NB));
    assert_ok(fc_flock(c, r.f, r.fh_b, B, LOCK_SH | LOCK_NB));
    assert_ok(fc_flock(c, r.f, r.fh_a, A, LOCK_UN));
    assert_ok(fc_flock(c, r.f, r.fh_b, B, LOCK_EX | LOCK_NB));
    int fd = open(host(r.w, "f"), O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), -1);
    assert_ok(fc_release(c, r.f, r.fh_b)); /* closing drops it */
    assert_ok(flock(fd, LOCK_EX | LOCK_NB));
    close(fd);
}

static void test_waiting_flock_does_not_stop_its_queue(void **state)
{
    (void)state;
    struct rig r = rig_up();

    assert_ok(fc_flock(&r.w->c, r.f, r.fh_a, A, LOCK_EX | LOCK_NB));
    send_wait(&r, r.fh_b, B, F_WRLCK, FUSE_LK_FLOCK);
    for (unsigned i = 0; i < 50; i++)
        wire_alive(r.w);
    assert_false(answered(&r));
    assert_ok(fc_flock(&r.w->c, r.f, r.fh_a, A, LOCK_UN));
    assert_int_equal(wait_for_answer(&r), 0);
}

static void test_release_of_a_handle_that_waits_ends_well(void **state)
{
    (void)state;
    struct rig r = rig_up();

    assert_ok(fc_flock(&r.w->c, r.f, r.fh_a, A, LOCK_EX | LOCK_NB));
    send_wait(&r, r.fh_b, B, F_WRLCK, FUSE_LK_FLOCK);
    wire_alive(r.w);
    assert_ok(fc_release(&r.w->c, r.f, r.fh_b));
    assert_ok(fc_flock(&r.w->c, r.f, r.fh_a, A, LOCK_UN));
    wait_for_answer(&r);
    assert_ok(fc_flock(&r.w->c, r.f, r.fh_a, A, LOCK_EX | LOCK_NB)); /* nothing is left of it */
}

/* As many waiters as the queue holds: they end when told to, and the daemon with them. */
static void test_hundred_waiters_are_all_interrupted_by_destroy(void **state)
{
    (void)state;
    enum { N = 100 };
    struct rig r = rig_up();
    struct fe_req many[N];
    uint64_t unique[N];
    int err = 0;

    assert_ok(lock_all(&r, r.fh_a, A, F_WRLCK));
    for (unsigned i = 0; i < N; i++) {
        struct fuse_lk_in in = {.fh = r.fh_b, .owner = 1000 + i, .lk = {.end = 9, .type = F_WRLCK}};
        struct fc_part p = {&in, sizeof(in)};
        assert_ok(fe_req_init(r.w->fe, &many[i], REQ_BYTES, REQ_BYTES));
        unique[i] = fc_build(&r.w->c, &many[i], FUSE_SETLKW, r.f, &p, 1, 0);
        assert_ok(fe_submit(r.w->fe, FE_REQUESTS, &many[i], false));
    }
    wire_alive(r.w);
    assert_ok(fc_destroy(&r.w->c));
    for (unsigned i = 0; i < N; i++) {
        while (!many[i].done && err == 0)
            fe_reap(r.w->fe, FE_REQUESTS, true, &err);
        assert_ok(err);
        assert_true(fc_result(&many[i], unique[i]) < 0);
    }
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(test_without_the_options_locks_are_enosys),
    WIRE_TEST(test_locks_of_two_owners_exclude_each_other),
    WIRE_TEST(test_two_owners_on_one_handle_are_still_two),
    WIRE_TEST(test_ranges_are_locked_byte_by_byte),
    WIRE_TEST(test_getlk_names_what_is_in_the_way),
    WIRE_TEST(test_host_sees_the_guests_locks_and_the_guest_the_hosts),
    WIRE_TEST(test_flush_drops_its_owners_locks_only),
    WIRE_TEST(test_bad_lock_arguments_are_refused),
    WIRE_TEST(test_waiting_lock_does_not_stop_its_queue),
    WIRE_TEST(test_waiting_lock_gets_it_from_a_process_of_the_host),
    WIRE_TEST(test_interrupt_ends_the_wait_with_eintr),
    WIRE_TEST(test_waiting_lock_outlasts_a_pause_of_its_queue),
    WIRE_TEST(test_session_that_ends_answers_those_who_wait),
    WIRE_TEST(test_guest_that_is_killed_while_it_waits_leaves_no_lock),
    WIRE_TEST(test_flock_excludes_between_open_files),
    WIRE_TEST(test_waiting_flock_does_not_stop_its_queue),
    WIRE_TEST(test_release_of_a_handle_that_waits_ends_well),
    WIRE_TEST(test_hundred_waiters_are_all_interrupted_by_destroy),
};
WIRE_MAIN("lock", tests)
