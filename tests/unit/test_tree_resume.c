// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_tree_resume.c - a worker ends, wherever it is, and the next one finds the tree
 *
 * The worker is a forked child whose tables lie in memory that the test shares (keep_rig.h). What its guest has been
 * told is written down beside them, so that what must still be true is known.
 */
#include "tests/unit/keep_rig.h"
#include "tests/unit/tree_rig.h"

#include <pthread.h>
#include <signal.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>

enum { WORKERS = 2, ENTRIES = 256, ROUNDS = 40, ROUNDS_MAX = 2000, LEVELS = 4 };

/* What the guest has been told of one file. */
enum told { NOTHING, KNOWN, IN_FLIGHT, UNLINKED };
struct told_of {
    _Atomic int state;
    uint64_t id, ino;
    char name[NAME_MAX + 1];
    unsigned level;
};

struct told_all {
    struct told_of of[WORKERS][ENTRIES];
    _Atomic uint64_t steps;
};

struct world {
    char dir[64];
    int root_fd, proc_fd;
    struct keep *keep;
    struct told_all *told;
};

static void world_open(struct world *w)
{
    strcpy(w->dir, "/tmp/viofs-resume-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    w->root_fd = open(w->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    w->proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_true(w->root_fd >= 0 && w->proc_fd >= 0);
    w->keep = keep_rig_open();
    w->told =
        mmap(NULL, sizeof(*w->told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(w->told != MAP_FAILED);
}

static void world_close(struct world *w)
{
    char cmd[128];

    keep_rig_close(w->keep);
    munmap(w->told, sizeof(*w->told));
    close(w->root_fd);
    close(w->proc_fd);
    snprintf(cmd, sizeof(cmd), "rm -rf '%s'", w->dir);
    assert_int_equal(system(cmd), 0);
}

/* The tree as this process finds it. */
static struct tree *tree_here(struct world *w)
{
    struct tree *t;

    close(w->proc_fd); /* which is of the process that opened it */
    w->proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct tree_params p = {.keep = w->keep,
                            .root_fd = w->root_fd,
                            .proc_fd = w->proc_fd,
                            .can_handles = geteuid() == 0,
                            .handles = HANDLES_PREFER,
                            .max_fds = 128};
    assert_int_equal(tree_new(&t, &p), 0);
    if (keep_resumes(w->keep)) {
        assert_int_equal(tree_resume(t), 0);
        assert_int_equal(tree_settle(t), 0);
    }
    return t;
}

/* ---- what must hold of any table that is at rest ------------------------------------------- */

static void each_reference_is_counted_once(struct tree *t)
{
    uint32_t n = t->head->n_slots, *refs = calloc(n, sizeof(*refs));
    uint64_t alive = 0;

    assert_non_null(refs);
    refs[TREE_ROOT_ID] = 1;
    for (uint32_t slot = TREE_ROOT_ID; slot < n; slot++) {
        struct inode *inode = slot_inode(t, slot);
        assert_int_equal(inode->slot, slot);
        if (inode->refs == 0)
            continue;
        alive++;
        refs[slot] += slot != TREE_ROOT_ID && inode->nlookup > 0;
        uint32_t parent = place_of(inode).parent;
        assert_in_range(parent, 0, n - 1);
        refs[parent] += parent != 0;
    }
    for (uint32_t slot = TREE_ROOT_ID; slot < n; slot++)
        assert_int_equal(slot_inode(t, slot)->refs, refs[slot]);
    assert_int_equal(tree_inodes(t), alive);
    free(refs);
}

static void each_slot_is_in_one_chain_or_free(struct tree *t)
{
    uint32_t n = t->head->n_slots;
    uint8_t *seen = calloc(n, 1);

    assert_non_null(seen);
    for (uint32_t i = 0; i < SHARDS; i++) {
        uint32_t count = 0;
        for (uint32_t b = 0; b <= t->shard[i].mask; b++) {
            for (uint32_t slot = t->shard[i].bucket[b]; slot; slot = slot_inode(t, slot)->next) {
                assert_int_equal(seen[slot]++, 0);
                assert_ptr_equal(inode_shard(t, slot_inode(t, slot)), &t->shard[i]);
                count++;
            }
        }
        assert_int_equal(count, t->shard[i].count);
    }
    for (uint32_t slot = t->free_head; slot; slot = slot_inode(t, slot)->next) {
        assert_int_equal(seen[slot]++, 0);
        assert_int_equal(slot_inode(t, slot)->refs, 0);
        assert_int_equal(slot_inode(t, slot)->nlookup, 0);
        assert_int_equal(place_of(slot_inode(t, slot)).name, 0);
    }
    for (uint32_t slot = TREE_ROOT_ID; slot < n; slot++)
        assert_int_equal(seen[slot], 1);
    free(seen);
}

static void is_sound(struct tree *t)
{
    each_reference_is_counted_once(t);
    each_slot_is_in_one_chain_or_free(t);
}

/* ---- a worker with a busy guest ------------------------------------------------------------ */

struct guest {
    struct world *w;
    struct tree *t;
    unsigned me;
    uint32_t random;
};

static uint32_t next(struct guest *g)
{
    g->random = g->random * 1664525u + 1013904223u;
    return g->random >> 8;
}

static void dir_path(const struct guest *g, unsigned level, char *path)
{
    int n = sprintf(path, "w%u", g->me);

    for (unsigned i = 1; i <= level; i++)
        n += sprintf(path + n, "/d%u", i);
}

/* The directory at @level of this guest's own, looked up from the root; only what is returned stays known. */
static struct inode *dir_at(struct guest *g, unsigned level)
{
    struct inode *at = inode_get(g->t, TREE_ROOT_ID), *down;
    struct statx stx;
    char name[16];

    for (unsigned i = 0; i <= level; i++) {
        sprintf(name, i ? "d%u" : "w%u", i ? i : g->me);
        assert_int_equal(tree_lookup(g->t, at, name, &stx, &down), 0);
        if (i > 0)
            tree_forget(g->t, inode_id(at), 1);
        inode_put(g->t, at);
        at = down;
    }
    return at;
}

static void leave_dir(struct guest *g, struct inode *dir)
{
    tree_forget(g->t, inode_id(dir), 1);
    inode_put(g->t, dir);
}

static void random_name(struct guest *g, char *name)
{
    unsigned len = 1 + next(g) % (next(g) % 4 ? 20 : 200);

    int n = sprintf(name, "%u-", next(g));
    while ((unsigned)n < len)
        name[n++] = (char)('a' + next(g) % 26);
    name[n] = '\0';
}

static int host_dir_fd(struct guest *g, unsigned level)
{
    char path[64];

    dir_path(g, level, path);
    int fd = openat(g->w->root_fd, path, O_PATH | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void create(struct guest *g, struct told_of *e)
{
    struct inode *inode;
    struct statx stx;

    e->level = next(g) % LEVELS;
    int dirfd = host_dir_fd(g, e->level);
    random_name(g, e->name);
    int fd = openat(dirfd, e->name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    close(dirfd);
    struct inode *dir = dir_at(g, e->level);
    assert_int_equal(tree_lookup(g->t, dir, e->name, &stx, &inode), 0);
    e->id = inode_id(inode);
    e->ino = stx.stx_ino;
    inode_put(g->t, inode);
    atomic_store(&e->state, KNOWN);
    leave_dir(g, dir);
}

static void move(struct guest *g, struct told_of *e)
{
    char to[NAME_MAX + 1];
    unsigned level = next(g) % LEVELS;
    int from_fd = host_dir_fd(g, e->level), to_fd = host_dir_fd(g, level);

    random_name(g, to);
    struct inode *dir = dir_at(g, level);
    atomic_store(&e->state, IN_FLIGHT);
    assert_int_equal(renameat(from_fd, e->name, to_fd, to), 0);
    tree_renamed(g->t, dir, to);
    strcpy(e->name, to);
    e->level = level;
    atomic_store(&e->state, KNOWN);
    leave_dir(g, dir);
    close(from_fd);
    close(to_fd);
}

static void take_name(struct guest *g, struct told_of *e)
{
    struct inode *dir = dir_at(g, e->level);
    int fd = host_dir_fd(g, e->level);

    atomic_store(&e->state, UNLINKED); /* at whatever moment: it can be reached */
    struct inode *victim = tree_victim(g->t, dir, e->name, NULL);
    assert_non_null(victim);
    assert_int_equal(unlinkat(fd, e->name, 0), 0);
    tree_victim_done(g->t, victim, true);
    leave_dir(g, dir);
    close(fd);
}

static void forget(struct guest *g, struct told_of *e)
{
    bool named = e->state == KNOWN;

    atomic_store(&e->state, IN_FLIGHT);
    assert_int_equal(tree_forget(g->t, e->id, 1), 0);
    if (named) {
        int fd = host_dir_fd(g, e->level);
        unlinkat(fd, e->name, 0);
        close(fd);
    }
    atomic_store(&e->state, NOTHING);
}

static void *busy(void *arg)
{
    struct guest *g = arg;

    for (;;) {
        struct told_of *e = &g->w->told->of[g->me][next(g) % ENTRIES];
        unsigned what = next(g) % 8;
        if (e->state == NOTHING || e->state == IN_FLIGHT)
            create(g, e);
        else if (what < 4)
            forget(g, e);
        else if (what < 6 && e->state == KNOWN)
            move(g, e);
        else if (e->state == KNOWN)
            take_name(g, e);
        atomic_fetch_add(&g->w->told->steps, 1);
    }
    return NULL;
}

static void work(struct world *w, uint32_t seed)
{
    static struct guest g[WORKERS];
    pthread_t thread;
    struct tree *t = tree_here(w);

    for (unsigned i = 0; i < WORKERS; i++) {
        g[i] = (struct guest){w, t, i, seed + i * 77777u};
        if (i > 0)
            pthread_create(&thread, NULL, busy, &g[i]);
    }
    busy(&g[0]);
}

static void what_was_told_is_true(struct world *w, struct tree *t, unsigned *n)
{
    for (unsigned g = 0; g < WORKERS; g++) {
        for (unsigned i = 0; i < ENTRIES; i++) {
            struct told_of *e = &w->told->of[g][i];
            struct inode_fd f;
            struct stat st;
            if (e->state != KNOWN && e->state != UNLINKED)
                continue;
            struct inode *inode = inode_get(t, e->id);
            assert_non_null(inode);
            assert_int_equal(inode_fd_get(t, inode, &f), 0);
            assert_int_equal(fstat(f.fd, &st), 0);
            assert_int_equal(st.st_ino, e->ino);
            inode_fd_put(t, &f);
            inode_put(t, inode);
            ++*n;
        }
    }
}

static void make_dirs(struct world *w)
{
    char path[64];

    for (unsigned i = 0; i < WORKERS; i++) {
        struct guest g = {.me = i};
        for (unsigned level = 0; level < LEVELS; level++) {
            dir_path(&g, level, path);
            assert_int_equal(mkdirat(w->root_fd, path, 0700), 0);
        }
    }
}

static void test_a_worker_may_be_killed_at_any_moment(void **ctx)
{
    (void)ctx;
    struct world w = {.proc_fd = -1};

    world_open(&w);
    make_dirs(&w);
    /* On a machine that is busy, or with a sanitizer, workers do not come far. */
    for (unsigned round = 0; round < ROUNDS || (w.told->steps < 1000 && round < ROUNDS_MAX);
         round++) {
        unsigned n = 0;
        pid_t worker = keep_rig_fork(w.keep);
        if (worker == 0) {
            alarm(60);
            work(&w, round * 1013u);
            _exit(1);
        }
        usleep(2000 + round * 7919 % 30000);
        assert_true(WIFSIGNALED(keep_rig_kill(w.keep, worker)));
        keep_rig_resumes(w.keep, true);
        struct tree *t = tree_here(&w);
        is_sound(t);
        what_was_told_is_true(&w, t, &n);
        is_sound(t);
        /* A kill leaks what was in flight: a file, its name's directory, and their parents. */
        assert_in_range(tree_inodes(t), n, n + 1 + WORKERS * LEVELS + (round + 1) * WORKERS);
        tree_free(t);
    }
    assert_true(w.told->steps >= 1000);
    world_close(&w);
}

/* ---- one thing at a time -------------------------------------------------------------------- */

/* Do @what in a worker that then is killed, and find the tree. */
static struct tree *after(struct world *w, void (*what)(struct world *, struct tree *))
{
    pid_t worker = keep_rig_fork(w->keep);

    if (worker == 0) {
        what(w, tree_here(w));
        raise(SIGKILL);
    }
    int status = keep_rig_wait(w->keep, worker);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    keep_rig_resumes(w->keep, true);
    return tree_here(w);
}

static struct inode *meet(struct world *w, struct tree *t, const char *name)
{
    struct inode *root = inode_get(t, TREE_ROOT_ID), *inode = NULL;
    struct statx stx;

    int fd = openat(w->root_fd, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(fd);
    assert_int_equal(tree_lookup(t, root, name, &stx, &inode), 0);
    inode_put(t, root);
    return inode;
}

static void test_a_worker_may_end_before_there_is_anything(void **ctx)
{
    (void)ctx;
    struct world w = {.proc_fd = -1};

    world_open(&w);
    keep_rig_resumes(w.keep, true);
    struct tree *t = tree_here(&w);
    is_sound(t);
    struct inode *one = meet(&w, t, "one");
    inode_put(t, one);
    is_sound(t);
    tree_free(t);
    world_close(&w);
}

static void meet_one(struct world *w, struct tree *t)
{
    w->told->of[0][0].id = inode_id(meet(w, t, "one"));
}

static void test_a_known_file_keeps_its_id_and_is_found_by_identity(void **ctx)
{
    (void)ctx;
    struct world w = {.proc_fd = -1};

    world_open(&w);
    struct tree *t = after(&w, meet_one);
    struct inode *again = meet(&w, t, "one");
    assert_int_equal(inode_id(again), w.told->of[0][0].id);
    assert_int_equal(again->nlookup, 2);
    inode_put(t, again);
    is_sound(t);
    tree_free(t);
    world_close(&w);
}

static void meet_and_forget(struct world *w, struct tree *t)
{
    struct inode *inode = meet(w, t, "one");

    w->told->of[0][0].id = inode_id(inode);
    inode->nlookup = 0; /* and killed before the slot is free */
}

static void test_an_id_that_was_about_to_go_is_never_used_again(void **ctx)
{
    (void)ctx;
    struct world w = {.proc_fd = -1};

    world_open(&w);
    struct tree *t = after(&w, meet_and_forget);
    assert_null(inode_get(t, w.told->of[0][0].id));
    struct inode *other = meet(&w, t, "other");
    assert_int_not_equal(inode_id(other), w.told->of[0][0].id);
    assert_int_equal((uint32_t)inode_id(other), (uint32_t)w.told->of[0][0].id); /* the slot is */
    inode_put(t, other);
    tree_free(t);
    world_close(&w);
}

static void unlink_one(struct world *w, struct tree *t)
{
    struct inode *inode = meet(w, t, "one"), *root = inode_get(t, TREE_ROOT_ID);
    struct stat st;

    assert_int_equal(fstatat(w->root_fd, "one", &st, 0), 0);
    w->told->of[0][0].id = inode_id(inode);
    w->told->of[0][0].ino = st.st_ino;
    struct inode *victim = tree_victim(t, root, "one", NULL);
    assert_ptr_equal(victim, inode);
    assert_int_equal(unlinkat(w->root_fd, "one", 0), 0);
    tree_victim_done(t, victim, true);
}

static void test_a_file_without_a_name_is_reached_until_it_is_forgotten(void **ctx)
{
    (void)ctx;
    struct world w = {.proc_fd = -1};
    struct inode_fd f;
    struct stat st;

    world_open(&w);
    struct tree *t = after(&w, unlink_one);
    assert_int_equal(keep_rig_count(w.keep), 1);
    struct inode *inode = inode_get(t, w.told->of[0][0].id);
    assert_non_null(inode);
    assert_int_equal(inode_fd_get(t, inode, &f), 0);
    assert_int_equal(fstat(f.fd, &st), 0);
    assert_int_equal(st.st_ino, w.told->of[0][0].ino);
    assert_int_equal(st.st_nlink, 0);
    inode_fd_put(t, &f);
    inode_put(t, inode);
    tree_forget(t, w.told->of[0][0].id, 1);
    assert_int_equal(keep_rig_count(w.keep), 0);
    tree_free(t);
    world_close(&w);
}

/* ---- mounts in the share ------------------------------------------------------------------- */

/* What the guest knows of @dir's file "f", looked up once more. */
static uint64_t id_of_file_in(struct tree *t, const char *dir)
{
    struct inode *root = inode_get(t, TREE_ROOT_ID), *in, *file;
    struct statx stx;

    assert_int_equal(tree_lookup(t, root, dir, &stx, &in), 0);
    assert_int_equal(tree_lookup(t, in, "f", &stx, &file), 0);
    uint64_t id = inode_id(file);
    inode_put(t, file);
    inode_put(t, in);
    inode_put(t, root);
    return id;
}

static void meet_mounts(struct world *w, struct tree *t)
{
    w->told->of[0][0].id = id_of_file_in(t, "a");
    w->told->of[0][1].id = id_of_file_in(t, "b");
}

/* One file system in two places: the device alone does not tell them apart. */
static void mount_twice(const struct world *w)
{
    char a[80], b[80];

    snprintf(a, sizeof(a), "%s/a", w->dir);
    snprintf(b, sizeof(b), "%s/b", w->dir);
    assert_int_equal(mkdir(a, 0700), 0);
    assert_int_equal(mkdir(b, 0700), 0);
    assert_int_equal(mount("none", a, "tmpfs", 0, NULL), 0);
    assert_int_equal(mount(a, b, NULL, MS_BIND, NULL), 0);
    int fd = openat(w->root_fd, "a/f", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
}

/* Mounts have other ids there; descriptors of before still show the old ones. */
static void go_to_another_namespace(struct world *w)
{
    assert_int_equal(unshare(CLONE_NEWNS), 0);
    assert_int_equal(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    close(w->root_fd);
    w->root_fd = open(w->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_true(w->root_fd >= 0);
}

static void test_mounts_are_met_again_where_they_have_other_ids(void **ctx)
{
    (void)ctx;
    struct world w = {.root_fd = -1, .proc_fd = -1};

    if (geteuid() != 0)
        skip(); /* only root may mount */
    world_open(&w);
    go_to_another_namespace(&w);
    mount_twice(&w);
    tree_free(after(&w, meet_mounts));
    go_to_another_namespace(&w);
    struct tree *t = tree_here(&w);
    assert_int_not_equal(w.told->of[0][0].id, w.told->of[0][1].id);
    assert_int_equal(id_of_file_in(t, "b"), w.told->of[0][1].id);
    assert_int_equal(id_of_file_in(t, "a"), w.told->of[0][0].id);
    is_sound(t);
    tree_free(t);
    const char *places[] = {"b", "a"};
    for (unsigned i = 0; i < 2; i++) {
        char path[80];
        snprintf(path, sizeof(path), "%s/%s", w.dir, places[i]);
        assert_int_equal(umount2(path, MNT_DETACH), 0);
    }
    world_close(&w);
}

static void nothing(struct world *w, struct tree *t)
{
    (void)t;
    (void)w;
}

static void test_another_directory_is_not_taken_for_the_root(void **ctx)
{
    (void)ctx;
    struct world w = {.proc_fd = -1};

    world_open(&w);
    tree_free(after(&w, nothing));
    assert_int_equal(mkdirat(w.root_fd, "below", 0700), 0);
    int below = openat(w.root_fd, "below", O_PATH | O_CLOEXEC), was = w.root_fd;
    struct tree_params p = {.keep = w.keep, .root_fd = below, .proc_fd = w.proc_fd, .max_fds = 16};
    struct tree *t;
    assert_int_equal(tree_new(&t, &p), 0);
    assert_int_equal(tree_resume(t), -ESTALE);
    tree_free(t);
    close(below);
    w.root_fd = was;
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_worker_may_end_before_there_is_anything),
        cmocka_unit_test(test_a_known_file_keeps_its_id_and_is_found_by_identity),
        cmocka_unit_test(test_an_id_that_was_about_to_go_is_never_used_again),
        cmocka_unit_test(test_a_file_without_a_name_is_reached_until_it_is_forgotten),
        cmocka_unit_test(test_mounts_are_met_again_where_they_have_other_ids),
        cmocka_unit_test(test_another_directory_is_not_taken_for_the_root),
        cmocka_unit_test(test_a_worker_may_be_killed_at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
