// SPDX-License-Identifier: BSD-3-Clause
/*
 * crowd_tests.c - many threads at once: nothing hangs, nothing is lost, nothing breaks the contract
 */
#include <pthread.h>

#include "tests/wine/winfsp/selftest/selftest.h"

#define THREADS 8
#define STEPS   250

struct worker {
    pthread_t thread;
    unsigned id, seed, odd;
};

static unsigned next(struct worker *w)
{
    w->seed = w->seed * 1103515245u + 12345u;
    return w->seed >> 16;
}

/* What may happen to a file that others rename, delete and hold open. */
static bool usual(uint32_t status)
{
    switch (status) {
    case STATUS_SUCCESS:
    case STATUS_OBJECT_NAME_NOT_FOUND:
    case STATUS_OBJECT_NAME_COLLISION:
    case STATUS_SHARING_VIOLATION:
    case STATUS_DELETE_PENDING:
    case STATUS_FILE_DELETED:
    case STATUS_ACCESS_DENIED:
    case STATUS_END_OF_FILE:
        return true;
    default:
        printf("# unusual: %#x\n", status);
        return false;
    }
}

static uint32_t step(struct worker *w, struct door_client *d)
{
    struct door_open o = {.access = FILE_READ_DATA | FILE_WRITE_DATA | DELETE};
    char path[40], to[40], buf[100];
    uint64_t h;
    unsigned count;
    uint32_t status;
    snprintf(path, sizeof path, "\\crowd\\%u", next(w) % 12);
    snprintf(to, sizeof to, "\\crowd\\%u", next(w) % 12);
    o.path = path;
    o.disposition = next(w) % 2 ? FILE_OPEN_IF : FILE_OVERWRITE_IF;
    if (next(w) % 8 == 0) {
        status = door_open_path(d, "\\crowd", FILE_LIST_DIRECTORY, &h);
        if (!status) {
            free(door_list_all(d, h, NULL, &count, &status));
            door_close(d, h);
        }
        return status;
    }
    status = door_create(d, &o, &h);
    if (status)
        return status;
    switch (next(w) % 5) {
    case 0:
        status = door_write(d, h, next(w) % 1000, buf, sizeof buf, 0, NULL);
        break;
    case 1:
        status = door_read(d, h, next(w) % 1000, buf, sizeof buf, 0, NULL);
        break;
    case 2:
        status =
            door_rename_ex(d, h, to, FILE_RENAME_REPLACE_IF_EXISTS | FILE_RENAME_POSIX_SEMANTICS);
        break;
    case 3:
        status = door_delete_ex(d, h, FILE_DISPOSITION_DELETE | FILE_DISPOSITION_POSIX_SEMANTICS);
        break;
    default:
        status = door_set_delete(d, h, true);
    }
    uint32_t closed = door_close(d, h);
    return status ? status : closed;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct door_client *d = door_connect(door_path, 5000);
    door_barrier(d, 9, THREADS);
    for (unsigned i = 0; i < STEPS; i++)
        w->odd += !usual(step(w, d));
    door_disconnect(d);
    return NULL;
}

static void test_many_threads_do_as_they_like(void)
{
    struct worker workers[THREADS];
    struct door_entry *left;
    uint64_t dir;
    unsigned odd = 0, count;
    uint32_t status;
    make_dir("\\crowd");
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.id = i, .seed = 77 + i * 1000};
        pthread_create(&workers[i].thread, NULL, work, &workers[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        odd += workers[i].odd;
    }
    CHECK(odd == 0);
    OK(door_open_path(door, "\\crowd", FILE_LIST_DIRECTORY, &dir));
    left = door_list_all(door, dir, NULL, &count, &status);
    CHECK(left && count <= 12);
    for (unsigned i = 0; i < count; i++) {
        char path[1100];
        snprintf(path, sizeof path, "\\crowd\\%s", left[i].name);
        OK(door_remove(door, path));
    }
    free(left);
    OK(door_close(door, dir));
    OK(door_remove(door, "\\crowd"));
}

const struct selftest crowd_tests[] = {
    TEST(ALWAYS, test_many_threads_do_as_they_like),
};
const unsigned crowd_test_count = sizeof crowd_tests / sizeof crowd_tests[0];
