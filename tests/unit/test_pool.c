// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_pool.c - a few threads for requests that block
 */
// clang-format off: cmocka.h needs these first
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "virtiofsd/host/pool.h"

/* What all jobs of a test share. */
struct shared {
    atomic_uint begun, ended, ran;
    sem_t go; /* blocked jobs wait for it */
    sem_t started;
    atomic_uint order[64];
};

struct job {
    struct pool_job job;
    struct shared *shared;
    struct pool *pool;
    struct job *next;
    unsigned number;
};

static void *thread_begin(void *ctx)
{
    struct shared *s = ctx;

    atomic_fetch_add(&s->begun, 1);
    return s;
}

static void thread_end(void *ctx, void *thread)
{
    struct shared *s = ctx;

    assert_ptr_equal(thread, s);
    atomic_fetch_add(&s->ended, 1);
}

static void run_count(struct pool_job *job, void *thread)
{
    struct job *j = (struct job *)job;

    assert_ptr_equal(thread, j->shared);
    j->shared->order[atomic_fetch_add(&j->shared->ran, 1) % 64] = j->number;
}

static void run_blocked(struct pool_job *job, void *thread)
{
    struct job *j = (struct job *)job;

    sem_post(&j->shared->started);
    sem_wait(&j->shared->go);
    run_count(job, thread);
}

static void run_chain(struct pool_job *job, void *thread)
{
    struct job *j = (struct job *)job;

    if (j->next)
        pool_submit(j->pool, &j->next->job);
    run_count(job, thread);
}

static struct pool *start(struct shared *s, unsigned n)
{
    struct pool *pool;

    *s = (struct shared){0};
    sem_init(&s->go, 0, 0);
    sem_init(&s->started, 0, 0);
    assert_int_equal(pool_new(&pool, n, thread_begin, thread_end, s), 0);
    return pool;
}

static void test_jobs_run_in_the_order_they_were_put(void **state)
{
    struct shared s;
    struct pool *pool = start(&s, 1);
    struct job j[64];
    (void)state;

    for (unsigned i = 0; i < 64; i++) {
        j[i] = (struct job){.job.run = run_count, .shared = &s, .number = i};
        pool_submit(pool, &j[i].job);
    }
    pool_free(pool);
    assert_int_equal(s.ran, 64);
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(s.order[i], i);
}

static void test_as_many_jobs_block_as_there_are_threads(void **state)
{
    struct shared s;
    struct pool *pool = start(&s, 4);
    struct job j[4];
    (void)state;

    for (unsigned i = 0; i < 4; i++) {
        j[i] = (struct job){.job.run = run_blocked, .shared = &s};
        pool_submit(pool, &j[i].job);
    }
    for (unsigned i = 0; i < 4; i++)
        sem_wait(&s.started);
    assert_int_equal(s.ran, 0);
    for (unsigned i = 0; i < 4; i++)
        sem_post(&s.go);
    pool_free(pool);
    assert_int_equal(s.ran, 4);
}

static void test_a_waiting_job_can_be_withdrawn_and_a_running_one_cannot(void **state)
{
    struct shared s;
    struct pool *pool = start(&s, 1);
    struct job j[3];
    (void)state;

    for (unsigned i = 0; i < 3; i++) {
        j[i] = (struct job){.job.run = run_blocked, .shared = &s, .number = i};
        pool_submit(pool, &j[i].job);
    }
    sem_wait(&s.started);
    assert_false(pool_withdraw(pool, &j[0].job));
    assert_true(pool_withdraw(pool, &j[1].job));
    assert_false(pool_withdraw(pool, &j[1].job));
    sem_post(&s.go);
    sem_post(&s.go);
    pool_free(pool);
    assert_int_equal(s.ran, 2);
    assert_int_equal(s.order[0], 0);
    assert_int_equal(s.order[1], 2);
}

static void test_a_job_may_put_another(void **state)
{
    struct shared s;
    struct pool *pool = start(&s, 3);
    struct job j[1000];
    (void)state;

    for (unsigned i = 0; i < 1000; i++)
        j[i] = (struct job){.job.run = run_chain,
                            .shared = &s,
                            .pool = pool,
                            .next = i + 1 < 1000 ? &j[i + 1] : NULL};
    pool_submit(pool, &j[0].job);
    pool_free(pool);
    assert_int_equal(s.ran, 1000);
}

static void test_freeing_runs_what_is_queued_and_ends_all_threads(void **state)
{
    struct shared s;
    struct pool *pool = start(&s, 8);
    struct job j[500];
    (void)state;

    for (unsigned i = 0; i < 500; i++) {
        j[i] = (struct job){.job.run = run_count, .shared = &s};
        pool_submit(pool, &j[i].job);
    }
    pool_free(pool);
    assert_int_equal(s.ran, 500);
    assert_int_equal(s.begun, 8);
    assert_int_equal(s.ended, 8);
}

static void test_a_pool_has_1_to_256_threads(void **state)
{
    struct shared s = {0};
    struct pool *pool;
    (void)state;

    assert_int_equal(pool_new(&pool, 0, thread_begin, thread_end, &s), -EINVAL);
    assert_int_equal(pool_new(&pool, 257, thread_begin, thread_end, &s), -EINVAL);
    pool = start(&s, 256);
    pool_free(pool);
    assert_int_equal(s.ended, 256);
}

static void *begin_fails_once(void *ctx)
{
    struct shared *s = ctx;

    return atomic_fetch_add(&s->begun, 1) == 1 ? NULL : s;
}

static void test_a_thread_that_cannot_begin_fails_the_pool(void **state)
{
    struct shared s = {0};
    struct pool *pool;
    (void)state;

    assert_int_equal(pool_new(&pool, 4, begin_fails_once, thread_end, &s), -ENOMEM);
    assert_int_equal(s.begun, 4);
    assert_int_equal(s.ended, 3);
}

static void test_lanes_take_turns_however_many_jobs_one_has(void **state)
{
    struct shared s;
    struct pool *pool = start(&s, 1);
    struct pool_lane lane[2];
    struct job first, j[40];
    (void)state;

    pool_lane_init(&lane[0], 0);
    pool_lane_init(&lane[1], 0);
    first = (struct job){.job.run = run_blocked, .shared = &s, .number = 99};
    pool_submit(pool, &first.job);
    sem_wait(&s.started); /* the only thread is busy meanwhile */
    for (unsigned i = 0; i < 40; i++) {
        j[i] = (struct job){
            .job.run = run_count, .job.lane = &lane[i >= 36], .shared = &s, .number = i};
        pool_submit(pool, &j[i].job);
    }
    sem_post(&s.go);
    pool_free(pool);
    assert_int_equal(s.ran, 41);
    for (unsigned i = 0; i < 4; i++) { /* the small lane's four are among the first eight */
        assert_int_equal(s.order[1 + 2 * i], i);
        assert_int_equal(s.order[2 + 2 * i], 36 + i);
    }
}

static void test_a_lane_has_no_more_threads_than_it_may(void **state)
{
    struct shared s;
    struct pool *pool = start(&s, 4);
    struct pool_lane lane[2];
    struct job j[8], other;
    (void)state;

    pool_lane_init(&lane[0], 2);
    pool_lane_init(&lane[1], 2);
    for (unsigned i = 0; i < 8; i++) {
        j[i] = (struct job){.job.run = run_blocked, .job.lane = &lane[0], .shared = &s};
        pool_submit(pool, &j[i].job);
    }
    sem_wait(&s.started);
    sem_wait(&s.started);
    other = (struct job){.job.run = run_count, .job.lane = &lane[1], .shared = &s};
    pool_submit(pool, &other.job);
    while (s.ran == 0)
        sched_yield(); /* it runs beside them */
    assert_int_equal(sem_trywait(&s.started), -1);
    for (unsigned i = 0; i < 8; i++)
        sem_post(&s.go);
    pool_free(pool);
    assert_int_equal(s.ran, 9);
}

static void test_a_job_of_a_lane_can_be_withdrawn(void **state)
{
    struct shared s;
    struct pool *pool = start(&s, 1);
    struct pool_lane lane;
    struct job j[2];
    (void)state;

    pool_lane_init(&lane, 1);
    for (unsigned i = 0; i < 2; i++) {
        j[i] = (struct job){.job.run = run_blocked, .job.lane = &lane, .shared = &s};
        pool_submit(pool, &j[i].job);
    }
    sem_wait(&s.started);
    assert_true(pool_withdraw(pool, &j[1].job));
    sem_post(&s.go);
    pool_free(pool);
    assert_int_equal(s.ran, 1);
}

static void test_a_pool_grows_while_all_its_threads_block_and_up_to_its_bound(void **state)
{
    struct shared s = {0};
    struct pool *pool;
    struct job j[6];
    struct pool_params p = {.name = "grow",
                            .n_threads = 1,
                            .max_threads = 4,
                            .thread_begin = thread_begin,
                            .thread_end = thread_end,
                            .ctx = &s};
    (void)state;

    sem_init(&s.go, 0, 0);
    sem_init(&s.started, 0, 0);
    assert_int_equal(pool_start(&pool, &p), 0);
    assert_int_equal(s.begun, 1);
    for (unsigned i = 0; i < 6; i++) {
        j[i] = (struct job){.job.run = run_blocked, .shared = &s};
        pool_submit(pool, &j[i].job);
    }
    for (unsigned i = 0; i < 4; i++)
        sem_wait(&s.started);
    assert_int_equal(s.begun, 4);
    for (unsigned i = 0; i < 6; i++)
        sem_post(&s.go);
    pool_free(pool);
    assert_int_equal(s.ran, 6);
    assert_int_equal(s.ended, 4);
}

static void *submit_many(void *arg)
{
    struct job *j = arg;

    for (unsigned i = 0; i < 2000; i++)
        pool_submit(j[i].pool, &j[i].job);
    return NULL;
}

static void test_many_threads_may_submit_at_once(void **state)
{
    static struct job j[4][2000];
    struct shared s;
    struct pool *pool = start(&s, 3);
    pthread_t id[4];
    (void)state;

    for (unsigned t = 0; t < 4; t++) {
        for (unsigned i = 0; i < 2000; i++)
            j[t][i] = (struct job){.job.run = run_count, .shared = &s, .pool = pool};
        pthread_create(&id[t], NULL, submit_many, j[t]);
    }
    for (unsigned t = 0; t < 4; t++)
        pthread_join(id[t], NULL);
    pool_free(pool);
    assert_int_equal(s.ran, 8000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs_run_in_the_order_they_were_put),
        cmocka_unit_test(test_as_many_jobs_block_as_there_are_threads),
        cmocka_unit_test(test_a_waiting_job_can_be_withdrawn_and_a_running_one_cannot),
        cmocka_unit_test(test_a_job_may_put_another),
        cmocka_unit_test(test_freeing_runs_what_is_queued_and_ends_all_threads),
        cmocka_unit_test(test_a_pool_has_1_to_256_threads),
        cmocka_unit_test(test_a_thread_that_cannot_begin_fails_the_pool),
        cmocka_unit_test(test_lanes_take_turns_however_many_jobs_one_has),
        cmocka_unit_test(test_a_lane_has_no_more_threads_than_it_may),
        cmocka_unit_test(test_a_job_of_a_lane_can_be_withdrawn),
        cmocka_unit_test(test_a_pool_grows_while_all_its_threads_block_and_up_to_its_bound),
        cmocka_unit_test(test_many_threads_may_submit_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
