// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_resume_fs.c - a killed worker where files have no lasting identity: overlayfs and FUSE
 *
 * These file systems give no handles that lead to a file again, and no birth time that stays. The next worker goes by name, number
 * and type; what cannot be found that way is stale until the guest looks it up, and the log says so beforehand.
 */
#include "tests/wire/wire.h"

#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define LOCKS "-o", "posix_lock,flock"

struct ground {
    const char *base;
    char share[64];
    pid_t server; /* of FUSE; 0: none */
};

static void overlay(struct ground *g)
{
    char options[256], path[80];

    for (const char *const *dir = (const char *const[]){"lower", "upper", "work", NULL}; *dir;
         dir++) {
        snprintf(path, sizeof(path), "%s/%s", g->base, *dir);
        assert_ok(mkdir(path, 0755));
    }
    snprintf(path, sizeof(path), "%s/lower/low", g->base); /* copied up when it is written */
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    assert_true(fd >= 0 && write(fd, "lower text", 10) == 10);
    close(fd);
    snprintf(options, sizeof(options), "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work",
             g->base, g->base, g->base);
    if (mount("overlay", g->share, "overlay", 0, options) < 0)
        skip();
}

static void fuse(struct ground *g)
{
    struct stat under, over;
    char below[80], low[100];

    snprintf(below, sizeof(below), "%s/below", g->base);
    assert_ok(mkdir(below, 0755));
    snprintf(low, sizeof(low), "%s/low", below);
    int fd = open(low, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    assert_true(fd >= 0 && write(fd, "lower text", 10) == 10);
    close(fd);
    assert_ok(stat(g->share, &under));
    g->server = fork();
    assert_true(g->server >= 0);
    if (g->server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execlp("bindfs", "bindfs", "-f", "-o", "attr_timeout=0,entry_timeout=0", below, g->share,
               NULL);
        _exit(127);
    }
    for (unsigned i = 0; i < PATIENCE_MS; i++) {
        if (waitpid(g->server, NULL, WNOHANG) == g->server)
            skip(); /* there is no FUSE here */
        assert_ok(stat(g->share, &over));
        if (over.st_dev != under.st_dev)
            return;
        usleep(1000);
    }
    fail_msg("bindfs does not serve");
}

static struct wire *up_on(struct ground *g, void (*mount_it)(struct ground *))
{
    *g = (struct ground){.base = private_tmpfs("size=16m")};
    if (!g->base)
        skip();
    snprintf(g->share, sizeof(g->share), "%s/share", g->base);
    assert_ok(mkdir(g->share, 0755));
    mount_it(g);
    return wire_start(&(struct wire_options){
        .args = (const char *const[]){"--supervise", LOCKS, NULL}, .daemon = {.share = g->share}});
}

static void take_down(struct ground *g, struct wire *w)
{
    wire_disconnect(w);
    assert_int_equal(daemon_wait(&w->d, PATIENCE_MS, &(int){0}), 0);
    w->ended = true;
    assert_ok(umount2(g->share, MNT_DETACH));
    if (g->server > 0)
        waitpid(g->server, NULL, 0);
    umount2(g->base, MNT_DETACH);
    rmdir(g->base);
}

static void kill_worker(struct wire *w)
{
    assert_ok(kill(daemon_worker_pid(&w->d), SIGKILL));
}

/* ---- what goes on ------------------------------------------------------------------------------ */

static void goes_on(struct wire *w)
{
    char text[16] = "";
    struct fuse_attr a;

    host_write(w, "f", "0123456789");
    host_mkdir(w, "d");
    uint64_t f = node(w, FC_ROOT, "f"), fh = opened(w, f, O_RDWR), d = node(w, FC_ROOT, "d");
    uint64_t low = node(w, FC_ROOT, "low"), lh = opened(w, low, O_RDWR);
    assert_ok(fc_setlk(&w->c, f, fh, 7, F_WRLCK, 0, 4, false));

    kill_worker(w);
    assert_int_equal(fc_write(&w->c, f, fh, "ab", 2, 0), 2);
    assert_string_equal(host_read(w, "f"), "ab23456789");
    assert_ok(fc_getattr(&w->c, d, &a));
    assert_int_equal(node(w, FC_ROOT, "f"), f);
    assert_errno(fc_setlk(&w->c, f, fh, 8, F_WRLCK, 2, 2, false), EAGAIN);
    assert_int_equal(fc_write(&w->c, low, lh, "UPPER", 5, 0), 5);
    kill_worker(w);
    assert_int_equal(fc_read(&w->c, low, lh, text, 10, 0), 10);
    assert_memory_equal(text, "UPPER text", 10);
    assert_ok(fc_mkdir(&w->c, d, "new", 0755, &(struct fuse_entry_out){0}));
    assert_true(daemon_log_has(&w->d, "tells files apart by their numbers alone", PATIENCE_MS));
}

static void test_guest_on_overlayfs_goes_on_behind_a_killed_worker(void **state)
{
    (void)state;
    struct ground g;
    struct wire *w = up_on(&g, overlay);

    goes_on(w);
    take_down(&g, w);
}

static void test_guest_on_fuse_goes_on_behind_a_killed_worker(void **state)
{
    (void)state;
    struct ground g;
    struct wire *w = up_on(&g, fuse);

    goes_on(w);
    take_down(&g, w);
}

/* Return: what the guest reads of an open file that it has deleted, behind a killed worker. */
static ssize_t read_deleted(struct wire *w, char text[static 16])
{
    host_write(w, "gone", "no name");
    uint64_t gone = node(w, FC_ROOT, "gone"), gh = opened(w, gone, O_RDONLY);

    assert_ok(fc_unlink(&w->c, FC_ROOT, "gone"));
    kill_worker(w);
    ssize_t n = fc_read(&w->c, gone, gh, text, 7, 0);
    assert_ok(fc_release(&w->c, gone, gh));
    return n;
}

static void test_open_file_that_was_deleted_is_kept_on_overlayfs(void **state)
{
    (void)state;
    struct ground g;
    struct wire *w = up_on(&g, overlay);
    char text[16] = "";

    assert_int_equal(read_deleted(w, text), 7);
    assert_string_equal(text, "no name");
    take_down(&g, w);
}

/* Its server removes the file when nobody has it open any more; what the supervisor has is not open there. */
static void test_open_file_that_was_deleted_is_lost_on_fuse_and_the_log_says_so(void **state)
{
    (void)state;
    struct ground g;
    struct wire *w = up_on(&g, fuse);
    char text[16] = "";

    assert_errno(read_deleted(w, text), EBADF);
    assert_true(daemon_log_has(&w->d, "cannot be opened again", PATIENCE_MS));
    wire_alive(w);
    take_down(&g, w);
}

/* ---- what does not ------------------------------------------------------------------------------ */

static void moved_meanwhile(struct ground *g, struct wire *w)
{
    char text[16] = "";
    struct fuse_attr a;

    host_write(w, "f", "0123456789");
    host_write(w, "g", "other text");
    uint64_t f = node(w, FC_ROOT, "f"), fh = opened(w, f, O_RDONLY);
    uint64_t other = node(w, FC_ROOT, "g");
    assert_ok(rename(host(w, "f"), host(w, "h"))); /* the guest has not heard of it */
    assert_ok(rename(host(w, "g"), host(w, "f")));
    kill_worker(w);
    assert_errno(fc_getattr(&w->c, f, &a), ESTALE);
    assert_errno(fc_read(&w->c, f, fh, text, 10, 0), EBADF); /* and not the other file's bytes */
    assert_errno(fc_getattr(&w->c, other, &a), ESTALE);
    assert_int_equal(node(w, FC_ROOT, "h"), f); /* found by its number: it is known again */
    assert_ok(fc_getattr(&w->c, f, &a));
    assert_int_equal(fc_read(&w->c, f, fh, text, 10, 0), 10);
    assert_string_equal(text, "0123456789");
    assert_int_equal(node(w, FC_ROOT, "f"), other);
    take_down(g, w);
}

static void test_file_that_the_host_moves_on_overlayfs_is_stale_until_it_is_looked_up(void **state)
{
    (void)state;
    struct ground g;
    struct wire *w = up_on(&g, overlay);

    moved_meanwhile(&g, w);
}

static void test_file_that_the_host_moves_on_fuse_is_stale_until_it_is_looked_up(void **state)
{
    (void)state;
    struct ground g;
    struct wire *w = up_on(&g, fuse);

    moved_meanwhile(&g, w);
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(test_guest_on_overlayfs_goes_on_behind_a_killed_worker),
    WIRE_TEST(test_guest_on_fuse_goes_on_behind_a_killed_worker),
    WIRE_TEST(test_open_file_that_was_deleted_is_kept_on_overlayfs),
    WIRE_TEST(test_open_file_that_was_deleted_is_lost_on_fuse_and_the_log_says_so),
    WIRE_TEST(test_file_that_the_host_moves_on_overlayfs_is_stale_until_it_is_looked_up),
    WIRE_TEST(test_file_that_the_host_moves_on_fuse_is_stale_until_it_is_looked_up),
};

WIRE_MAIN("resume_fs", tests)
