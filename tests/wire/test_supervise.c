// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_supervise.c - workers that are killed and replaced while a guest is at work
 *
 * A second process kills the worker at times that are its own; the test is the guest, which must not notice.
 */
#include "tests/wire/feed_rig.h"
#include "tests/wire/wire.h"
#include "virtiofsd/host/sanitize.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

/* A loaded machine takes a while to start a worker, and longer with sanitizers; five that serve nobody are enough. */
#define KILL_US (SANITIZED ? 500000u : 200000u)

static struct wire *supervised(const char *more)
{
    return wire_up("--supervise", "--posix-lock", more);
}

static void nap_us(unsigned us)
{
    struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = (long)(us % 1000000) * 1000};

    nanosleep(&t, NULL);
}

/* The process that serves has another id than @old. Return: it. */
static pid_t await_other(const struct wire *w, pid_t old)
{
    for (unsigned i = 0; i < PATIENCE_MS; i++) {
        pid_t pid = daemon_worker_pid(&w->d);
        if (pid > 0 && pid != old && pid != w->d.pid)
            return pid;
        nap_us(1000);
    }
    fail_msg("no other worker has been started");
    return -1;
}

static void kill_worker(const struct wire *w)
{
    pid_t pid = daemon_worker_pid(&w->d);

    assert_true(pid > 0 && pid != w->d.pid);
    assert_ok(kill(pid, SIGKILL));
}

/* Kills a worker every @us or so, until it is killed itself. */
static pid_t start_killer(const struct wire *w, unsigned us, int sig)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails does not end it */
    close_range(3, ~0U, 0);           /* a connection ends when the test closes it */
    for (unsigned seed = 1;; seed = seed * 1103515245u + 12345u) {
        nap_us(us / 2 + seed / 65536 % us);
        pid_t victim = sig == SIGUSR2 ? w->d.pid : daemon_worker_pid(&w->d);
        if (victim > 0 && (victim != w->d.pid || sig == SIGUSR2))
            kill(victim, sig);
    }
}

static void end_killer(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void test_what_the_guest_has_open_survives_the_worker(void **state)
{
    (void)state;
    struct wire *w = supervised(NULL);
    struct fuse_entry_out e;
    uint64_t fh;
    char text[16] = "";

    assert_ok(fc_create(&w->c, FC_ROOT, "f", O_RDWR, 0644, &e, &fh));
    assert_int_equal(fc_write(&w->c, e.nodeid, fh, "before", 6, 0), 6);
    for (unsigned i = 0; i < 3; i++) {
        kill_worker(w);
        assert_int_equal(fc_write(&w->c, e.nodeid, fh, "after!", 6, 6), 6);
    }
    assert_int_equal(fc_read(&w->c, e.nodeid, fh, text, sizeof(text), 0), 12);
    assert_string_equal(text, "beforeafter!");
    assert_int_equal(node(w, FC_ROOT, "f"), e.nodeid);
}

/* What a guest does all day; each call must succeed, and nothing may happen twice. */
static void work_for(struct wire *w, unsigned ms)
{
    struct timespec now, end;
    char name[32], other[32], back[64];
    struct fuse_entry_out e;
    struct fuse_attr a;
    uint64_t fh;

    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += ms / 1000;
    for (unsigned i = 0;; i++) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec > end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec > end.tv_nsec))
            break;
        snprintf(name, sizeof(name), "file-%u", i);
        snprintf(other, sizeof(other), "moved-%u", i);
        assert_ok(fc_create(&w->c, FC_ROOT, name, O_RDWR | O_EXCL, 0644, &e, &fh));
        assert_int_equal(fc_write(&w->c, e.nodeid, fh, name, strlen(name), 0), strlen(name));
        assert_ok(fc_rename(&w->c, FC_ROOT, name, FC_ROOT, other, 0));
        assert_int_equal(fc_read(&w->c, e.nodeid, fh, back, sizeof(back), 0), strlen(name));
        assert_memory_equal(back, name, strlen(name));
        assert_ok(fc_getattr(&w->c, e.nodeid, &a));
        assert_int_equal(a.size, strlen(name));
        assert_ok(fc_release(&w->c, e.nodeid, fh));
        snprintf(name, sizeof(name), "dir-%u", i);
        struct fuse_entry_out d;
        assert_ok(fc_mkdir(&w->c, FC_ROOT, name, 0755, &d));
        assert_ok(fc_rmdir(&w->c, FC_ROOT, name));
        assert_ok(fc_unlink(&w->c, FC_ROOT, other));
        assert_ok(fc_forget(&w->c, e.nodeid, 1));
        assert_ok(fc_forget(&w->c, d.nodeid, 1));
    }
}

static void test_guest_at_work_does_not_notice_that_workers_are_killed(void **state)
{
    (void)state;
    struct wire *w = supervised(NULL);
    pid_t killer = start_killer(w, KILL_US, SIGKILL);

    work_for(w, 3000);
    end_killer(killer);
    wire_alive(w);
    assert_true(daemon_log_has(&w->d, "ended with", 0));
}

static void test_guest_at_work_does_not_notice_reloads(void **state)
{
    (void)state;
    struct wire *w = supervised(NULL);
    pid_t killer = start_killer(w, KILL_US, SIGUSR2);

    work_for(w, 3000);
    end_killer(killer);
    wire_alive(w);
    assert_true(daemon_log_has(&w->d, "the new worker", PATIENCE_MS));
    assert_false(daemon_log_has(&w->d, "cannot take over", 0));
}

/* Many requests at a time: each is answered once. */
static void test_no_request_in_flight_is_lost(void **state)
{
    (void)state;
    enum { DEPTH = 64, ROUNDS = 150 };
    struct wire *w = supervised(NULL);
    static struct fe_req req[DEPTH];
    uint64_t unique[DEPTH];
    struct fuse_getattr_in in = {0};
    pid_t killer = start_killer(w, KILL_US, SIGKILL);
    int err = 0;

    for (unsigned i = 0; i < DEPTH; i++)
        assert_ok(fe_req_init(w->fe, &req[i], 512, 512));
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < DEPTH; i++) {
            struct fc_part part = {&in, sizeof(in)};
            unique[i] = fc_build(&w->c, &req[i], FUSE_GETATTR, FC_ROOT, &part, 1, 512);
            assert_ok(fe_submit(w->fe, FE_REQUESTS, &req[i], i + 1 < DEPTH));
        }
        for (unsigned n = 0; n < DEPTH; n++)
            assert_non_null(fe_reap(w->fe, FE_REQUESTS, true, &err));
        for (unsigned i = 0; i < DEPTH; i++)
            assert_int_equal(fc_result(&req[i], unique[i]), sizeof(struct fuse_attr_out));
        nap_us(10000);
    }
    end_killer(killer);
    assert_null(fe_reap(w->fe, FE_REQUESTS, false, &err));
    wire_alive(w);
}

static void test_front_end_that_connects_is_answered_by_whoever_is_there(void **state)
{
    (void)state;
    struct wire *w = supervised("--keep-listening");
    pid_t killer = start_killer(w, KILL_US, SIGKILL);
    unsigned refused = 0;

    for (unsigned i = 0; i < 250; i++) {
        struct fe *fe;
        wire_disconnect(w);
        /* Between accept() and the moment when the supervisor has the connection it is lost. */
        int err = fe_open(&fe, NULL, w->d.socket);
        refused += err < 0;
        if (err < 0)
            continue;
        w->fe = fe;
        assert_ok(fc_open(&w->c, fe, FE_REQUESTS));
        assert_ok(fc_init(&w->c));
        wire_alive(w);
    }
    end_killer(killer);
    assert_true(refused <= 3);
}

static void test_waiting_for_a_lock_goes_on(void **state)
{
    (void)state;
    struct wire *w = supervised(NULL);
    struct fuse_entry_out e;
    uint64_t fh;
    static struct fe_req req;
    int err = 0;

    assert_ok(fc_create(&w->c, FC_ROOT, "f", O_RDWR, 0644, &e, &fh));
    assert_ok(fc_setlk(&w->c, e.nodeid, fh, 1, F_WRLCK, 0, 9, false));
    struct fuse_lk_in lk = {
        .fh = fh, .owner = 2, .lk = {.start = 0, .end = 9, .type = F_WRLCK, .pid = 1}};
    struct fc_part part = {&lk, sizeof(lk)};
    assert_ok(fe_req_init(w->fe, &req, 512, 512));
    uint64_t unique = fc_build(&w->c, &req, FUSE_SETLKW, e.nodeid, &part, 1, 512);
    assert_ok(fe_submit(w->fe, FE_REQUESTS, &req, false));
    wire_alive(w);
    pid_t before = daemon_worker_pid(&w->d);
    kill_worker(w);
    await_other(w, before);
    wire_alive(w);
    assert_false(req.done);
    assert_ok(fc_setlk(&w->c, e.nodeid, fh, 1, F_UNLCK, 0, 9, false));
    while (!req.done)
        assert_non_null(fe_reap(w->fe, FE_REQUESTS, true, &err));
    assert_int_equal(fc_result(&req, unique), 0);
}

static void test_client_that_listens_is_told_to_look_at_everything(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up("--supervise");
    struct wire *w = r->w;

    host_mkdir(w, "d");
    host_mkdir(w, "d/e");
    uint64_t d = feed_enter(r, FC_ROOT, "d", "d");
    assert_int_equal(feed_watch(r, d, 7, 0), VIOFS_WATCH_WHOLE);
    feed_changes(r);
    kill_worker(w);
    host_write(w, "d/e/missed", ""); /* nobody is there to see it */
    feed_until(r, "RESCAN *");
    uint64_t e = feed_lookup(r, d, "e").nodeid;
    r->name[r->n_names].node = e;
    r->name[r->n_names++].path = "d/e";
    /* What was watched for the client is again, without its asking. */
    assert_int_equal(feed_watch(r, d, 7, 0), -EEXIST);
    /* What happens before that is done is told as something, when it is done; what happens later as what it was. */
    bool told = false, rescan = false;
    unsigned n = 0;
    feed_lookup(r, FC_ROOT, "nothing"); /* looks into the root, where fences are made */
    for (; n < 200 && !told; n++) {
        char path[32];

        snprintf(path, sizeof(path), "d/e/seen%u", n);
        host_write(w, path, "");
        const char *all = feed_changes(r);
        told = strstr(all, "ADDED d/e/seen");
        /* (The first one may have been told as what it was, only late; and "everything" may be told twice.) */
        rescan = rescan || strstr(all, "RESCAN d\n") || strstr(all, "RESCAN *\n") ||
                 strstr(all, "ADDED d/e/seen0\n");
    }
    assert_true(told);
    assert_true(rescan);
    assert_ok(feed_unwatch(r, 7));
}

/* A configuration file; its directory goes with conf_gone(). */
static char conf[64];

static void conf_write(const char *text)
{
    if (!conf[0]) {
        char dir[] = "/tmp/viofs-conf.XXXXXX";
        assert_non_null(mkdtemp(dir));
        snprintf(conf, sizeof(conf), "%s/conf", dir);
    }
    FILE *f = fopen(conf, "we");
    assert_true(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static void conf_gone(void)
{
    unlink(conf);
    *strrchr(conf, '/') = '\0';
    rmdir(conf);
    conf[0] = '\0';
}

static struct wire *supervised_by_file(const char *text)
{
    char option[80];

    conf_write(text);
    snprintf(option, sizeof(option), "--config=%s", conf);
    return supervised(option);
}

static void test_worker_that_crashes_is_followed_by_one_with_the_same_configuration(void **state)
{
    (void)state;
    struct wire *w = supervised_by_file("cache = never\n");

    conf_write("cache = some"); /* somebody is about to change it */
    for (unsigned i = 0; i < 3; i++) {
        pid_t before = daemon_worker_pid(&w->d);
        kill_worker(w);
        wire_alive(w);
        await_other(w, before);
    }
    conf_write("cache = always\n");
    daemon_kill(&w->d, SIGUSR2);
    assert_true(daemon_log_has(&w->d, "the new worker (", PATIENCE_MS));
    conf_gone();
    kill_worker(w);
    wire_alive(w);
    daemon_kill(&w->d, SIGUSR2);
    assert_true(daemon_log_has(&w->d, "the worker goes on as it is", PATIENCE_MS));
    wire_alive(w);
}

static void test_reload_that_fails_leaves_the_old_worker(void **state)
{
    (void)state;
    struct wire *w = supervised_by_file("cache = never\n");
    uint64_t dir_fh = open_dir(w, FC_ROOT);
    pid_t before = daemon_worker_pid(&w->d);

    conf_write("cache = sometimes\n");
    daemon_kill(&w->d, SIGUSR2);
    assert_true(daemon_log_has(&w->d, "the old one goes on", PATIENCE_MS));
    assert_int_equal(daemon_worker_pid(&w->d), before);
    assert_ok(fc_releasedir(&w->c, FC_ROOT, dir_fh));
    wire_alive(w);

    conf_write("cache = always\n");
    daemon_kill(&w->d, SIGUSR2);
    assert_true(daemon_log_has(&w->d, "the new worker", PATIENCE_MS));
    wire_alive(w);
    conf_gone();
}

static void test_worker_that_lost_its_supervisor_serves_until_the_guest_leaves(void **state)
{
    (void)state;
    struct wire *w = supervised("--keep-listening");
    pid_t worker = daemon_worker_pid(&w->d);
    int status;

    wire_alive(w);
    assert_true(worker != w->d.pid);
    daemon_kill(&w->d, SIGKILL);
    assert_ok(daemon_wait(&w->d, PATIENCE_MS, &status));
    w->ended = true;
    assert_true(daemon_log_has(&w->d, "the supervisor has ended", PATIENCE_MS));
    wire_alive(w);
    wire_disconnect(w);
    for (unsigned i = 0; i < PATIENCE_MS && kill(worker, 0) == 0; i++)
        nap_us(1000);
    assert_true(kill(worker, 0) < 0 && errno == ESRCH);
}

static void test_workers_that_end_at_once_are_not_started_for_ever(void **state)
{
    (void)state;
    struct wire *w = supervised(NULL);
    int status = 0;

    /* (At its end a sanitizer starts a process as well, which must not be met.) */
    for (unsigned i = 0; i < PATIENCE_MS && !daemon_log_has(&w->d, "giving up", 0); i++) {
        pid_t pid = daemon_worker_pid(&w->d);
        if (pid > 0 && pid != w->d.pid)
            kill(pid, SIGKILL);
        nap_us(1000);
    }
    assert_ok(daemon_wait(&w->d, PATIENCE_MS, &status));
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    assert_true(daemon_log_has(&w->d, "giving up", 0));
    w->ended = true;
}

/* What a guest asks for may take longer than the time from one accident to the next. */
static void test_workers_that_have_worked_for_a_while_are_replaced_more_often(void **state)
{
    (void)state;
    struct wire *w = supervised(NULL);

    wire_alive(w);
    for (unsigned i = 0; i < 6; i++) {
        nap_us(2 * KILL_US);
        kill_worker(w);
        await_other(w, -1);
    }
    wire_alive(w);
    assert_false(daemon_log_has(&w->d, "giving up", 0));
}

static void test_daemon_that_is_told_to_end_takes_its_worker_along(void **state)
{
    (void)state;
    struct wire *w = supervised(NULL);
    pid_t worker = daemon_worker_pid(&w->d);
    int status = 0;

    daemon_kill(&w->d, SIGTERM);
    assert_ok(daemon_wait(&w->d, PATIENCE_MS, &status));
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(kill(worker, 0) < 0 && errno == ESRCH);
    w->ended = true;
}

/* The worker that comes after @before others is at its requests. */
static void wait_for_worker(const struct wire *w, unsigned before)
{
    static const char says[] = "the front end's device goes on";

    for (unsigned ms = 0; ms < PATIENCE_MS; ms += 10) {
        char *log = daemon_log(&w->d);
        unsigned n = 0;
        for (const char *at = log; at && (at = strstr(at, says)); at += sizeof(says) - 1)
            n++;
        free(log);
        if (n >= before)
            break;
        nap_us(10000);
    }
    nap_us(50000);
}

/* A copy of 64 GiB that no worker lives long enough to make stands for a request of which workers die. */
static void test_request_of_which_workers_die_is_given_up(void **state)
{
    (void)state;
    struct wire *w = supervised("--thread-pool-size=0");
    struct fuse_entry_out from, to;
    uint64_t in, out;
    static struct fe_req req;
    int err = 0;

    assert_ok(fc_create(&w->c, FC_ROOT, "from", O_RDWR, 0644, &from, &in));
    assert_ok(fc_create(&w->c, FC_ROOT, "to", O_RDWR, 0644, &to, &out));
    assert_ok(fc_truncate(&w->c, from.nodeid, UINT64_C(1) << 36));
    struct fuse_copy_file_range_in copy = {
        .fh_in = in, .nodeid_out = to.nodeid, .fh_out = out, .len = UINT32_C(1) << 31};
    struct fc_part part = {&copy, sizeof(copy)};
    assert_ok(fe_req_init(w->fe, &req, 512, 512));
    uint64_t unique = fc_build(&w->c, &req, FUSE_COPY_FILE_RANGE, from.nodeid, &part, 1, 512);
    assert_ok(fe_submit(w->fe, FE_REQUESTS, &req, false));
    for (unsigned kills = 0; kills < 58; kills++) { /* four, where the machine is not slow */
        wait_for_worker(w, kills);
        if (fe_reap(w->fe, FE_REQUESTS, false, &err))
            break;
        pid_t pid = daemon_worker_pid(&w->d);
        assert_true(pid > 0 && pid != w->d.pid);
        assert_return_code(kill(pid, SIGKILL), errno);
    }
    while (!req.done)
        assert_non_null(fe_reap(w->fe, FE_REQUESTS, true, &err));
    assert_int_equal(fc_result(&req, unique), -EIO);
    assert_true(daemon_log_has(&w->d, "workers ended while they served it", PATIENCE_MS));
    wire_alive(w);
}

static uint64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int by_time(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* The longest that a guest without a pause waits for an answer during one reload. */
static uint64_t longest_wait_us(struct wire *w)
{
    pid_t before = daemon_worker_pid(&w->d);
    uint64_t longest = 0, end = now_us() + PATIENCE_MS * UINT64_C(1000);

    daemon_kill(&w->d, SIGUSR2);
    for (bool other = false; !other || now_us() < end;) {
        uint64_t start = now_us();
        wire_alive(w);
        uint64_t took = now_us() - start;
        longest = took > longest ? took : longest;
        assert_true(other || now_us() < end);
        if (!other && kill(before, 0) < 0) {
            other = true;
            end = now_us() + 20000;
        }
    }
    return longest;
}

/* The pause of some reloads of what knows @n of @what. */
static void measure_reloads(struct wire *w, unsigned n, const char *what)
{
    bool soak = getenv("VIOFS_SOAK") != NULL;
    unsigned times = soak ? 100 : 5;
    uint64_t wait[100];

    for (unsigned i = 0; i < times; i++)
        wait[i] = longest_wait_us(w);
    qsort(wait, times, sizeof(wait[0]), by_time);
    print_message("pause of a reload with %u %s: median %u us, 99th percentile %u us\n", n, what,
                  (unsigned)wait[times / 2], (unsigned)wait[(times * 99 + 99) / 100 - 1]);
    assert_true(wait[times / 2] < (soak ? 50000u : 2000000u));
}

static void test_reload_is_a_short_pause(void **state)
{
    (void)state;
    unsigned inodes = getenv("VIOFS_SOAK") ? 100000 : 5000;
    struct wire *w = supervised(NULL);
    char name[32];

    for (unsigned i = 0; i < inodes; i++) {
        snprintf(name, sizeof(name), "f%u", i);
        int fd = open(host(w, name), O_CREAT | O_WRONLY, 0644);
        assert_true(fd >= 0);
        close(fd);
        node(w, FC_ROOT, name);
    }
    measure_reloads(w, inodes, "inodes");
}

static void test_reload_with_many_files_without_a_name_is_a_short_pause(void **state)
{
    enum { FILES = 1000 };

    (void)state;
    struct wire *w = supervised(NULL);
    struct fuse_entry_out e;
    uint64_t fh;
    for (unsigned i = 0; i < FILES; i++) {
        assert_ok(fc_create(&w->c, FC_ROOT, "gone", O_RDWR, 0644, &e, &fh));
        assert_ok(fc_release(&w->c, e.nodeid, fh));
        assert_ok(fc_unlink(&w->c, FC_ROOT, "gone"));
    }
    measure_reloads(w, FILES, "files without a name");
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(test_request_of_which_workers_die_is_given_up),
    WIRE_TEST(test_reload_is_a_short_pause),
    WIRE_TEST(test_reload_with_many_files_without_a_name_is_a_short_pause),
    WIRE_TEST(test_what_the_guest_has_open_survives_the_worker),
    WIRE_TEST(test_guest_at_work_does_not_notice_that_workers_are_killed),
    WIRE_TEST(test_guest_at_work_does_not_notice_reloads),
    WIRE_TEST(test_no_request_in_flight_is_lost),
    WIRE_TEST(test_front_end_that_connects_is_answered_by_whoever_is_there),
    WIRE_TEST(test_waiting_for_a_lock_goes_on),
    WIRE_TEST(test_client_that_listens_is_told_to_look_at_everything),
    WIRE_TEST(test_worker_that_crashes_is_followed_by_one_with_the_same_configuration),
    WIRE_TEST(test_reload_that_fails_leaves_the_old_worker),
    WIRE_TEST(test_worker_that_lost_its_supervisor_serves_until_the_guest_leaves),
    WIRE_TEST(test_workers_that_end_at_once_are_not_started_for_ever),
    WIRE_TEST(test_workers_that_have_worked_for_a_while_are_replaced_more_often),
    WIRE_TEST(test_daemon_that_is_told_to_end_takes_its_worker_along),
};

WIRE_MAIN("supervise", tests)
