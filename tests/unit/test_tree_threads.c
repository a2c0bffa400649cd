// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_tree_threads.c - many threads on one tree with a small descriptor cache; meant for ThreadSanitizer
 */
#include <pthread.h>

#include "tests/unit/tree_rig.h"

enum { THREADS = 4, FILES = 64, ROUNDS = 3000 };

struct job {
    struct rig *rig;
    unsigned seed;
    int failures;
};

/* Any mix of lookups, uses and forgets; every lookup is forgotten again. */
static void *worker(void *arg)
{
    struct job *job = arg;
    struct tree *t = job->rig->tree;

    for (int i = 0; i < ROUNDS; i++) {
        char name[16];
        struct inode *inode;
        struct inode_fd fd;
        struct statx stx;
        int n = rand_r(&job->seed) % FILES;
        snprintf(name, sizeof(name), "f%d", n);
        if (tree_lookup(t, job->rig->root, name, &stx, &inode) < 0) {
            job->failures++;
            continue;
        }
        uint64_t id = inode_id(inode);
        switch (rand_r(&job->seed) % 4) {
        case 0:
            job->failures += inode_stat(t, inode, &stx) != 0;
            break;
        case 1:
            if (inode_fd_get(t, inode, &fd) == 0) {
                struct stat st;
                job->failures += fstat(fd.fd, &st) != 0 || st.st_size != n;
                inode_fd_put(t, &fd);
            } else {
                job->failures++;
            }
            break;
        case 2: {
            struct inode *again = inode_get(t, id);
            job->failures += again != inode;
            if (again)
                inode_put(t, again);
            break;
        }
        default: {
            struct inode *victim = tree_victim(t, job->rig->root, name, NULL);
            tree_victim_done(t, victim, false);
            break;
        }
        }
        inode_put(t, inode);
        job->failures += tree_forget(t, id, 1) != 0;
    }
    return NULL;
}

static void test_threads_share_a_tree(void **state)
{
    struct rig r;
    struct job job[THREADS];
    pthread_t id[THREADS];
    char name[16], text[FILES + 1];
    (void)state;

    rig_open(&r, 16, HANDLES_PREFER);
    memset(text, 'x', sizeof(text));
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        text[i] = '\0';
        host_file(&r, name, text);
        text[i] = 'x';
    }
    for (unsigned i = 0; i < THREADS; i++) {
        job[i] = (struct job){&r, i + 1, 0};
        assert_int_equal(pthread_create(&id[i], NULL, worker, &job[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(id[i], NULL);
        assert_int_equal(job[i].failures, 0);
    }
    assert_int_equal(tree_inodes(r.tree), 1);
    assert_true(tree_fds(r.tree) <= 16);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads_share_a_tree)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
