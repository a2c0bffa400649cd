// SPDX-License-Identifier: BSD-3-Clause
/*
 * selftest.c - does the stand-in behave as WinFsp does? Driven over the NT door, with memfs.c behind it
 *
 * selftest DOOR CONTROL-DIRECTORY folded|exact [TEST...]: TAP on standard output. Which of the two memfs is says
 * which tests run; named ones run in any case.
 */
#include <unistd.h>

#include "tests/wine/winfsp/selftest/selftest.h"

struct door_client *door;
const char *door_path, *control_dir;
unsigned failures;

void make_file(const char *path, const char *text)
{
    uint64_t h;
    uint32_t put = 0;
    uint32_t status = door_make(door, path, 0, &h);
    if (!status && *text)
        status = door_write(door, h, 0, text, (uint32_t)strlen(text), 0, &put);
    if (status || door_close(door, h)) {
        printf("Bail out! cannot make %s: %#x\n", path, status);
        exit(2);
    }
}

void make_dir(const char *path)
{
    uint64_t h;
    uint32_t status = door_make(door, path, FILE_DIRECTORY_FILE, &h);
    if (status || door_close(door, h)) {
        printf("Bail out! cannot make %s: %#x\n", path, status);
        exit(2);
    }
}

void make_link(const char *path, const char *target)
{
    uint64_t h;
    uint32_t status = door_make(door, path, 0, &h);
    if (!status)
        status = door_set_symlink(door, h, target);
    if (status || door_close(door, h)) {
        printf("Bail out! cannot make the link %s: %#x\n", path, status);
        exit(2);
    }
}

struct door_stats stats(void)
{
    struct door_stats s;
    door_stats(door, &s);
    return s;
}

static unsigned number;

static void run(const struct selftest *tests, unsigned count, enum when kind, char **wanted)
{
    for (unsigned i = 0; i < count; i++) {
        bool chosen = !*wanted && (tests[i].when == ALWAYS || tests[i].when == kind);
        for (char **w = wanted; *w; w++)
            chosen = chosen || !strcmp(*w, tests[i].name);
        if (!chosen)
            continue;
        unsigned before = failures;
        door = door_connect(door_path, 10000);
        if (!door) {
            printf("Bail out! no door at %s\n", door_path);
            exit(2);
        }
        stats();
        tests[i].run();
        if (stats().violations) {
            printf("# the file system was accused of breaking the contract\n");
            failures++;
        }
        door_disconnect(door);
        printf("%sok %u - %s\n", failures == before ? "" : "not ", ++number, tests[i].name);
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    enum when kind = strcmp(argv[3], "exact") ? FOLDED : EXACT;
    door_path = argv[1];
    control_dir = argv[2];
    run(open_tests, open_test_count, kind, argv + 4);
    run(file_tests, file_test_count, kind, argv + 4);
    run(crowd_tests, crowd_test_count, kind, argv + 4);
    run(contract_tests, contract_test_count, kind, argv + 4);
    printf("1..%u\n", number);
    return failures != 0;
}
