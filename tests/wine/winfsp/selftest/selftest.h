// SPDX-License-Identifier: BSD-3-Clause
/*
 * selftest.h - a few lines of harness for the stand-in's own tests
 */
#ifndef VIOFS_TESTS_SELFTEST_H
#define VIOFS_TESTS_SELFTEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/wine/door_client.h"

/* The running test; a check that fails says so and leaves the test. */
extern struct door_client *door;
extern const char *door_path;
extern const char *control_dir; /* where memfs looks for files that tell it things */
extern unsigned failures;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("# %s:%d: %s\n", __FILE__, __LINE__, #condition);                               \
            failures++;                                                                            \
            return;                                                                                \
        }                                                                                          \
    } while (0)
#define CHECK_STATUS(call, expected)                                                               \
    do {                                                                                           \
        uint32_t status_ = (call);                                                                 \
        if (status_ != (expected)) {                                                               \
            printf("# %s:%d: %s is %#x, not %s\n", __FILE__, __LINE__, #call, status_, #expected); \
            failures++;                                                                            \
            return;                                                                                \
        }                                                                                          \
    } while (0)
#define OK(call) CHECK_STATUS(call, STATUS_SUCCESS)

/* Which volume a test is for: memfs folds case and is cached, or (exact) neither. */
enum when { ALWAYS, FOLDED, EXACT, WHEN_NAMED };
struct selftest {
    enum when when;
    const char *name;
    void (*run)(void);
};
#define TEST(when, name)                                                                           \
    {                                                                                              \
        when, #name, name                                                                          \
    }

extern const struct selftest open_tests[], file_tests[], crowd_tests[], contract_tests[];
extern const unsigned open_test_count, file_test_count, crowd_test_count, contract_test_count;

/** make_file() - a new file with these bytes, closed; ends the program when that fails */
void make_file(const char *path, const char *text);
void make_dir(const char *path);
void make_link(const char *path, const char *target);
/** stats() - what was called since the last time; violations are only expected where a test asks for them */
struct door_stats stats(void);

/* Slots of the interface (abi/winfsp.h) that tests count. */
enum slot {
    SLOT_GET_VOLUME_INFO = 0,
    SLOT_GET_SECURITY_BY_NAME = 2,
    SLOT_OPEN = 4,
    SLOT_OVERWRITE = 5,
    SLOT_CLEANUP = 6,
    SLOT_CLOSE = 7,
    SLOT_READ = 8,
    SLOT_WRITE = 9,
    SLOT_FLUSH = 10,
    SLOT_GET_FILE_INFO = 11,
    SLOT_GET_SECURITY = 16,
    SLOT_READ_DIRECTORY = 18,
    SLOT_GET_DIR_INFO_BY_NAME = 24,
    SLOT_SET_DELETE = 26,
    SLOT_CREATE_EX = 27,
    SLOT_GET_EA = 29,
};

#endif
