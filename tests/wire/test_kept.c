// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_kept.c - what only an open descriptor leads to, over the end of the process that serves
 *
 * The process that serves has a parent that waits for it and shares its descriptors (virtiofsd/keep/hold.c). Either may
 * be killed, and a reload replaces both. With --sent the kernel refuses what that takes (pidfd_open), as old ones
 * do: descriptors are sent to the supervisor then, and all must come out the same.
 */
#include "tests/wire/wire.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static bool sent;

enum end { WORKER, PARENT, RELOAD, ENDS };

/* What /proc says of a process, or Z if there is none. */
static char state_of(pid_t pid, pid_t *parent)
{
    char path[64], state = 'Z';

    *parent = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    if (f && fscanf(f, "%*d (%*[^)]) %c %d", &state, parent) != 2)
        state = 'Z';
    if (f)
        fclose(f);
    return state;
}

/* Or is only its exit status? */
static bool is_there(pid_t pid)
{
    pid_t parent;

    return state_of(pid, &parent) != 'Z';
}

static pid_t parent_of(pid_t pid)
{
    pid_t parent;

    assert_true(state_of(pid, &parent) != 'Z');
    return parent;
}

/* It does not see anything any more. */
static void stop(pid_t pid)
{
    pid_t parent;

    assert_ok(kill(pid, SIGSTOP));
    for (int ms = 0; state_of(pid, &parent) != 'T' && ms < PATIENCE_MS; ms++)
        poll(NULL, 0, 1);
    assert_int_equal(state_of(pid, &parent), 'T');
}

/* Another process serves after this. */
static void replace(struct wire *w, enum end how)
{
    poll(NULL, 0, 50); /* five that have not said that they serve would be enough */
    pid_t before = daemon_worker_pid(&w->d), parent = parent_of(before);

    assert_true(before > 0 && before != w->d.pid);
    if (how == RELOAD)
        daemon_kill(&w->d, SIGUSR2);
    else /* where nothing is shared the supervisor itself may be the parent */
        assert_ok(kill(how == PARENT && parent != w->d.pid ? parent : before, SIGKILL));
    for (int ms = 0; ms < PATIENCE_MS; ms++) {
        pid_t now = daemon_worker_pid(&w->d);
        if (now != before && now != parent && now != w->d.pid && !is_there(before))
            return;
        poll(NULL, 0, 1);
    }
    fail_msg("no other process serves");
}

/* How many descriptors a process has of files that are gone. */
static unsigned count_gone(pid_t pid)
{
    char path[PATH_MAX], target[PATH_MAX];
    unsigned n = 0;

    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    if (!dir)
        return 0;
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        ssize_t len = readlinkat(dirfd(dir), e->d_name, target, sizeof(target) - 1);
        target[len > 0 ? len : 0] = '\0';
        n += strstr(target, "gone") && strstr(target, " (deleted)");
    }
    closedir(dir);
    return n;
}

static void await_none_gone(pid_t pid)
{
    for (int ms = 0; count_gone(pid) > 0 && ms < PATIENCE_MS; ms += 5)
        poll(NULL, 0, 5);
    assert_int_equal(count_gone(pid), 0);
}

/* A file without a name that is open. */
static uint64_t make_open(struct wire *w, uint64_t *fh)
{
    struct fuse_entry_out e;

    assert_ok(fc_create(&w->c, FC_ROOT, "gone", O_RDWR, 0644, &e, fh));
    assert_int_equal(fc_write(&w->c, e.nodeid, *fh, "before", 6, 0), 6);
    assert_ok(fc_unlink(&w->c, FC_ROOT, "gone"));
    return e.nodeid;
}

/* One that is only known. */
static uint64_t make_known(struct wire *w)
{
    struct fuse_entry_out e;
    uint64_t fh;

    assert_ok(fc_create(&w->c, FC_ROOT, "gone", O_RDWR, 0644, &e, &fh));
    assert_ok(fc_release(&w->c, e.nodeid, fh));
    assert_ok(fc_unlink(&w->c, FC_ROOT, "gone"));
    return e.nodeid;
}

static void must_say(struct wire *w, uint64_t node, uint64_t fh, const char *must)
{
    char text[32] = "";

    assert_int_equal(fc_read(&w->c, node, fh, text, sizeof(text), 0), strlen(must));
    assert_string_equal(text, must);
}

static void survives(enum end how)
{
    struct wire *w = wire_up("--supervise", "--posix-lock", "--flock");
    struct fuse_entry_out tmp;
    struct fuse_attr a;
    uint64_t fh, tmp_fh, node = make_open(w, &fh), known = make_known(w);

    assert_ok(fc_tmpfile(&w->c, FC_ROOT, O_RDWR, 0600, &tmp, &tmp_fh));
    assert_int_equal(fc_write(&w->c, tmp.nodeid, tmp_fh, "unnamed", 7, 0), 7);
    for (unsigned i = 0; i < 3; i++) {
        replace(w, how);
        must_say(w, node, fh, "before");
        must_say(w, tmp.nodeid, tmp_fh, "unnamed");
        assert_ok(fc_getattr(&w->c, known, &a));
        assert_int_equal(a.nlink, 0);
    }
    assert_int_equal(fc_write(&w->c, node, fh, "AFTER!", 6, 0), 6);
    replace(w, how);
    must_say(w, node, fh, "AFTER!");
    /* Closed, and still known. */
    assert_ok(fc_release(&w->c, node, fh));
    assert_ok(fc_release(&w->c, tmp.nodeid, tmp_fh));
    replace(w, how);
    assert_ok(fc_getattr(&w->c, node, &a));
    assert_ok(fc_getattr(&w->c, tmp.nodeid, &a));
    assert_int_equal(a.size, 7);
}

static void test_files_without_a_name_survive_the_process_that_serves(void **state)
{
    (void)state;
    survives(WORKER);
}

static void test_files_without_a_name_survive_its_parent(void **state)
{
    (void)state;
    survives(PARENT);
}

static void test_files_without_a_name_survive_a_reload(void **state)
{
    (void)state;
    survives(RELOAD);
}

static void test_locks_are_held_all_the_while(void **state)
{
    (void)state;
    struct wire *w = wire_up("--supervise", "--posix-lock", "--flock");
    struct fuse_entry_out e;
    uint64_t fh;
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 5};

    assert_ok(fc_create(&w->c, FC_ROOT, "f", O_RDWR, 0644, &e, &fh));
    assert_ok(fc_setlk(&w->c, e.nodeid, fh, 1, F_WRLCK, 0, 9, false));
    assert_ok(fc_flock(&w->c, e.nodeid, fh, 1, LOCK_EX | LOCK_NB));
    int fd = open(host(w, "f"), O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    for (enum end how = WORKER; how < ENDS; how++) {
        replace(w, how);
        assert_int_equal(flock(fd, LOCK_SH | LOCK_NB), -1);
        assert_int_equal(fcntl(fd, F_OFD_SETLK, &range), -1);
        wire_alive(w);
        assert_int_equal(flock(fd, LOCK_SH | LOCK_NB), -1);
    }
    /* It has no name either, so that its descriptor is kept as two things. */
    assert_ok(fc_unlink(&w->c, FC_ROOT, "f"));
    replace(w, WORKER);
    assert_int_equal(fc_write(&w->c, e.nodeid, fh, "x", 1, 0), 1);
    assert_int_equal(flock(fd, LOCK_SH | LOCK_NB), -1);
    assert_ok(fc_flock(&w->c, e.nodeid, fh, 1, LOCK_UN));
    assert_ok(fc_setlk(&w->c, e.nodeid, fh, 1, F_UNLCK, 0, 9, false));
    assert_ok(flock(fd, LOCK_SH | LOCK_NB));
    assert_ok(fcntl(fd, F_OFD_SETLK, &range));
    close(fd);
}

static void test_space_is_free_when_the_guest_lets_go(void **state)
{
    (void)state;
    struct wire *w = wire_up("--supervise");
    uint64_t fh, node = make_open(w, &fh), known = make_known(w);

    for (enum end how = WORKER; how < ENDS; how++) {
        replace(w, how);
        wire_alive(w);
        assert_true(count_gone(daemon_worker_pid(&w->d)) >= 2);
        if (!sent)
            await_none_gone(w->d.pid); /* the supervisor is not what keeps it */
    }
    must_say(w, node, fh, "before");
    assert_ok(fc_release(&w->c, node, fh));
    assert_ok(fc_forget(&w->c, node, 1));
    assert_ok(fc_forget(&w->c, known, 1));
    wire_alive(w);
    await_none_gone(daemon_worker_pid(&w->d));
    await_none_gone(w->d.pid);
}

static void test_many_survive_many_ends(void **state)
{
    enum { MANY = 1000, KILLS = 10 };
    static uint64_t node[MANY];

    (void)state;
    struct wire *w = wire_start(&(struct wire_options){
        .args = (const char *const[]){"--supervise", NULL}, .daemon = {.nofile = 8192}});
    struct fuse_attr a;
    for (unsigned i = 0; i < MANY; i++)
        node[i] = make_known(w);
    for (unsigned k = 0; k < KILLS; k++) {
        replace(w, k % ENDS);
        for (unsigned i = k; i < MANY; i += KILLS / 2)
            assert_ok(fc_getattr(&w->c, node[i], &a));
    }
    for (unsigned i = 0; i < MANY; i++)
        assert_ok(fc_getattr(&w->c, node[i], &a));
    for (unsigned i = 0; i < MANY; i++)
        assert_ok(fc_forget(&w->c, node[i], 1));
    wire_alive(w);
    await_none_gone(daemon_worker_pid(&w->d));
    await_none_gone(w->d.pid);
}

static void test_device_survives_both_at_once(void **state)
{
    (void)state;
    struct wire *w = wire_up("--supervise");
    struct fuse_entry_out e;
    uint64_t fh;

    assert_ok(fc_create(&w->c, FC_ROOT, "f", O_RDWR, 0644, &e, &fh));
    for (unsigned i = 0; i < 3; i++) {
        pid_t worker = daemon_worker_pid(&w->d), parent = parent_of(worker);
        stop(worker);
        if (parent != w->d.pid)
            kill(parent, SIGKILL);
        kill(worker, SIGKILL);
        assert_int_equal(fc_write(&w->c, e.nodeid, fh, "x", 1, i), 1);
    }
    assert_string_equal(host_read(w, "f"), "xxx");
}

static void test_process_that_does_not_see_its_parent_end_is_ended(void **state)
{
    (void)state;
    struct wire *w = wire_up("--supervise");
    pid_t worker = daemon_worker_pid(&w->d), parent = parent_of(worker);

    assert_true(parent != w->d.pid);
    stop(worker);
    assert_ok(kill(parent, SIGKILL));
    wire_alive(w); /* another one serves */
    for (int ms = 0; is_there(worker) && ms < PATIENCE_MS; ms++)
        poll(NULL, 0, 1); /* its files are closed before it is gone */
    assert_false(is_there(worker));
    assert_true(daemon_worker_pid(&w->d) != worker);
}

static long count_sleeps(pid_t pid)
{
    char path[64], line[128];
    long n = -1;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    while (n < 0 && fgets(line, sizeof(line), f))
        sscanf(line, "voluntary_ctxt_switches: %ld", &n);
    fclose(f);
    assert_true(n >= 0);
    return n;
}

static void test_unlink_wakes_neither_supervisor_nor_parent(void **state)
{
    (void)state;
    struct wire *w = wire_up("--supervise", "--posix-lock");
    struct fuse_entry_out e;
    uint64_t fh, node = make_open(w, &fh);

    poll(NULL, 0, 1000); /* the worker has said that it serves */
    pid_t parent = parent_of(daemon_worker_pid(&w->d));
    long before = count_sleeps(w->d.pid), parents = count_sleeps(parent);
    for (unsigned i = 0; i < 1000; i++) {
        assert_ok(fc_create(&w->c, FC_ROOT, "f", O_RDWR, 0644, &e, &fh));
        assert_ok(fc_setlk(&w->c, e.nodeid, fh, 1, F_WRLCK, 0, 9, false));
        assert_ok(fc_unlink(&w->c, FC_ROOT, "f"));
        assert_ok(fc_release(&w->c, e.nodeid, fh));
        assert_ok(fc_forget(&w->c, e.nodeid, 1));
    }
    assert_in_range(count_sleeps(w->d.pid), before, before + 1);
    assert_int_equal(count_sleeps(parent), parents);
    replace(w, WORKER);
    struct fuse_attr a;
    assert_ok(fc_getattr(&w->c, node, &a));
}

static void refuse_pidfd(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) {
        perror("seccomp");
        exit(1);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        WIRE_TEST(test_files_without_a_name_survive_the_process_that_serves),
        WIRE_TEST(test_files_without_a_name_survive_its_parent),
        WIRE_TEST(test_files_without_a_name_survive_a_reload),
        WIRE_TEST(test_locks_are_held_all_the_while),
        WIRE_TEST(test_space_is_free_when_the_guest_lets_go),
        WIRE_TEST(test_many_survive_many_ends),
        WIRE_TEST(test_device_survives_both_at_once),
        WIRE_TEST(test_process_that_does_not_see_its_parent_end_is_ended),
        WIRE_TEST(
            test_unlink_wakes_neither_supervisor_nor_parent), /* the last: not of what is sent */
    };
    size_t n = sizeof(tests) / sizeof(tests[0]);

    if (argc > 1 && strcmp(argv[argc - 1], "--sent") == 0) {
        sent = true;
        argc--;
        n--;
        refuse_pidfd();
    }
    return wire_main("kept", argc, argv, tests, n);
}
