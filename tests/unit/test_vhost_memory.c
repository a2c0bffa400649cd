// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_vhost_memory.c - guest memory: regions, addresses, the dirty log, files that are truncated
 */
// clang-format off: cmocka.h needs these first
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/capture.h"
#include "virtiofsd/vhost/dirty.h"
#include "virtiofsd/vhost/guard.h"
#include "virtiofsd/vhost/memory.h"

#define MIB (1024u * 1024u)
#define UVA 0x7f0000000000u

static int memory_file(size_t size)
{
    int fd = memfd_create("guest", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    return fd;
}

static int add(struct mem *m, uint64_t gpa, uint64_t size, uint64_t offset)
{
    struct vu_mem_region r = {
        .guest_addr = gpa, .size = size, .user_addr = UVA + gpa, .mmap_offset = offset};
    int fd = memory_file(size + offset);
    int err = mem_add(m, &r, fd);

    close(fd);
    return err;
}

static void *at(const struct mem *m, uint64_t gpa, uint64_t want, uint64_t *got)
{
    unsigned hint = 12345;

    *got = want;
    return mem_from_gpa(m, &hint, gpa, got);
}

/* Low memory, a hole, high memory, and a module: as QEMU's pc machine. Added out of order. */
static struct mem *three_regions(void)
{
    struct mem *m = mem_new();

    assert_non_null(m);
    assert_int_equal(add(m, 0x100000000, 2 * MIB, 0), 0);
    assert_int_equal(add(m, 0, MIB, 0), 0);
    assert_int_equal(add(m, 0x100000000 + 2 * MIB, MIB, 0), 0);
    return m;
}

static void test_addresses_in_regions_are_found_and_others_are_not(void **state)
{
    struct mem *m = three_regions();
    uint64_t len;
    (void)state;

    assert_ptr_equal(at(m, 0, 1, &len), m->region[0].host);
    assert_ptr_equal(at(m, MIB - 1, 1, &len), m->region[0].host + MIB - 1);
    assert_null(at(m, MIB, 1, &len));
    assert_null(at(m, 0xffffffff, 1, &len));
    assert_ptr_equal(at(m, 0x100000000, 1, &len), m->region[1].host);
    assert_ptr_equal(at(m, 0x100000000 + 2 * MIB, 1, &len), m->region[2].host);
    assert_null(at(m, 0x100000000 + 3 * MIB, 1, &len));
    assert_null(at(m, UINT64_MAX, 1, &len));
    mem_free(m);
}

static void test_lengths_end_with_their_region(void **state)
{
    struct mem *m = three_regions();
    uint64_t len;
    (void)state;

    assert_non_null(at(m, MIB - 10, 100, &len));
    assert_int_equal(len, 10);
    assert_non_null(at(m, 0x100000000 + 2 * MIB - 4, UINT64_MAX, &len));
    assert_int_equal(len, 4);
    assert_non_null(at(m, 5, 100, &len));
    assert_int_equal(len, 100);
    mem_free(m);
}

static void test_a_hint_is_kept_and_may_be_wrong(void **state)
{
    struct mem *m = three_regions();
    unsigned hint = 0;
    uint64_t len = 1;
    (void)state;

    assert_ptr_equal(mem_from_gpa(m, &hint, 0x100000000, &len), m->region[1].host);
    assert_int_equal(hint, 1);
    assert_ptr_equal(mem_from_gpa(m, &hint, 7, &len), m->region[0].host + 7);
    assert_int_equal(hint, 0);
    mem_free(m);
}

static void test_the_front_ends_addresses_must_fit_whole(void **state)
{
    struct mem *m = three_regions();
    (void)state;

    assert_ptr_equal(mem_from_uva(m, UVA + 4096, 4096), m->region[0].host + 4096);
    assert_ptr_equal(mem_from_uva(m, UVA + MIB - 16, 16), m->region[0].host + MIB - 16);
    assert_null(mem_from_uva(m, UVA + MIB - 16, 17));
    assert_null(mem_from_uva(m, 0, 1));
    assert_null(mem_from_uva(m, UVA, UINT64_MAX));
    mem_free(m);
}

static void test_host_addresses_lead_back(void **state)
{
    struct mem *m = three_regions();
    uint64_t gpa, len = UINT64_MAX;
    (void)state;

    assert_true(mem_to_gpa(m, m->region[1].host + 5, &gpa, &len));
    assert_true(gpa == 0x100000005);
    assert_int_equal(len, 2 * MIB - 5);
    assert_false(mem_to_gpa(m, &gpa, &gpa, &len));
    mem_free(m);
}

static void test_a_file_offset_need_not_be_a_multiple_of_a_page(void **state)
{
    struct mem *m = mem_new();
    struct vu_mem_region r = {.guest_addr = 0x5000, .size = 8192, .mmap_offset = 100};
    int fd = memory_file(3 * 4096);
    uint64_t len;
    (void)state;

    assert_int_equal(pwrite(fd, "here", 4, 100), 4);
    assert_int_equal(mem_add(m, &r, fd), 0);
    close(fd);
    assert_memory_equal(at(m, 0x5000, 4, &len), "here", 4);
    mem_free(m);
}

static void test_impossible_regions_are_refused(void **state)
{
    struct mem *m = three_regions();
    (void)state;

    assert_int_equal(add(m, 0x200000000, 0, 0), -EINVAL);
    assert_int_equal(add(m, 0, 4096, 0), -EINVAL);              /* the same place */
    assert_int_equal(add(m, MIB - 4096, 8192, 0), -EINVAL);     /* overlaps an end */
    assert_int_equal(add(m, 0xfffff000, 2 * 4096, 0), -EINVAL); /* overlaps a beginning */
    assert_int_equal(add(m, 0xfffff000, 4 * MIB, 0), -EINVAL);  /* covers one */
    struct vu_mem_region wraps = {.guest_addr = UINT64_MAX - 4095, .size = 8192};
    assert_int_equal(mem_add(m, &wraps, 0), -EINVAL);
    struct vu_mem_region far = {.guest_addr = 0x200000000, .size = 4096, .mmap_offset = INT64_MAX};
    assert_int_equal(mem_add(m, &far, 0), -EINVAL);
    assert_int_equal(m->n, 3);
    mem_free(m);
}

static void test_as_many_regions_as_promised_and_not_one_more(void **state)
{
    struct mem *m = mem_new();
    uint64_t len;
    (void)state;

    for (uint64_t i = 0; i < MEM_MAX_REGIONS; i++)
        assert_int_equal(add(m, i * 2 * 4096, 4096, 0), 0);
    assert_int_equal(add(m, 0x100000000, 4096, 0), -ENOSPC);
    assert_ptr_equal(at(m, 300 * 2 * 4096, 1, &len), m->region[300].host);
    assert_null(at(m, 300 * 2 * 4096 + 4096, 1, &len));
    mem_free(m);
}

static void test_a_region_can_be_removed(void **state)
{
    struct mem *m = three_regions();
    struct vu_mem_region r = {
        .guest_addr = 0x100000000, .size = 2 * MIB, .user_addr = UVA + 0x100000000};
    uint64_t len;
    (void)state;

    assert_int_equal(mem_find(m, &r), 1);
    mem_remove(m, 1);
    assert_int_equal(mem_find(m, &r), -ENOENT);
    assert_null(at(m, 0x100000000, 1, &len));
    assert_non_null(at(m, 0x100000000 + 2 * MIB, 1, &len));
    mem_free(m);
}

static void test_only_the_very_same_region_is_found(void **state)
{
    struct mem *m = three_regions();
    struct vu_mem_region r = {.guest_addr = 0, .size = MIB, .user_addr = UVA};
    (void)state;

    assert_int_equal(mem_find(m, &r), 0);
    r.size--;
    assert_int_equal(mem_find(m, &r), -ENOENT);
    r.size++;
    r.user_addr++;
    assert_int_equal(mem_find(m, &r), -ENOENT);
    mem_free(m);
}

/* What a private mapping looks like from here: no descriptor, or one that cannot be written. */
static void test_memory_that_is_not_shared_gets_the_remedy(void **state)
{
    struct mem *m = mem_new();
    struct vu_mem_region r = {.guest_addr = 0, .size = 4096};
    (void)state;

    struct capture c = capture_begin(STDERR_FILENO);
    int err = mem_add(m, &r, -1);
    const char *said = capture_end(&c);
    assert_int_equal(err, -EINVAL);
    assert_non_null(strstr(said, "memory-backend-memfd"));
    assert_non_null(strstr(said, "share=on"));
    assert_non_null(strstr(said, "<access mode='shared'/>"));

    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    c = capture_begin(STDERR_FILENO);
    err = mem_add(m, &r, fd);
    said = capture_end(&c);
    assert_int_equal(err, -EACCES);
    assert_non_null(strstr(said, "share=on"));
    close(fd);
    mem_free(m);
}

/* ---- the dirty log --------------------------------------------------------------------------- */

static void open_log(struct dirty *d, uint64_t size)
{
    struct vu_log log = {.mmap_size = size};
    int fd = memory_file(size);

    *d = (struct dirty){0};
    assert_int_equal(dirty_open(d, &log, fd), 0);
    close(fd);
}

static void test_every_page_that_is_touched_is_marked(void **state)
{
    struct dirty d;
    (void)state;

    open_log(&d, 4096);
    dirty_mark(&d, 3 * 4096 + 4095, 2);   /* pages 3 and 4 */
    dirty_mark(&d, 15 * 4096, 18 * 4096); /* 15 to 32: across three bytes */
    dirty_mark(&d, 64 * 4096, 0);
    assert_int_equal(d.bits[0], 0x18);
    assert_int_equal(d.bits[1], 0x80);
    assert_int_equal(d.bits[2], 0xff);
    assert_int_equal(d.bits[3], 0xff);
    assert_int_equal(d.bits[4], 0x01);
    assert_int_equal(d.bits[8], 0);
    dirty_close(&d);
}

static void test_pages_beyond_the_log_are_ignored(void **state)
{
    struct dirty d;
    (void)state;

    open_log(&d, 8);
    dirty_mark(&d, 62 * 4096, 1000 * 4096);
    dirty_mark(&d, UINT64_MAX, 1);
    assert_int_equal(d.bits[7], 0xc0);
    assert_int_equal(d.bits[8], 0);
    dirty_close(&d);
}

static void test_host_addresses_are_marked_where_the_guest_has_them(void **state)
{
    struct mem *m = three_regions();
    struct dirty d;
    uint64_t page = 0x100000000 / 4096;
    (void)state;

    open_log(&d, 256 * 1024);
    dirty_mark_host(&d, m, m->region[1].host + 4096, 1);
    dirty_mark_host(&d, m, &d, 1);
    assert_int_equal(d.bits[page / 8], 0x02);
    dirty_close(&d);
    mem_free(m);
}

static void test_a_log_of_impossible_size_is_refused(void **state)
{
    struct dirty d = {0};
    struct vu_log none = {0}, huge = {.mmap_size = UINT64_MAX},
                  far = {.mmap_size = 1, .mmap_offset = UINT64_MAX};
    int fd = memory_file(4096);
    (void)state;

    assert_int_equal(dirty_open(&d, &none, fd), -EINVAL);
    assert_int_equal(dirty_open(&d, &huge, fd), -EINVAL);
    assert_int_equal(dirty_open(&d, &far, fd), -EINVAL);
    assert_null(d.bits);
    close(fd);
}

/* ---- files that are truncated ---------------------------------------------------------------- */

static void test_truncated_memory_reads_as_zeros_and_is_flagged(void **state)
{
    struct mem *m = mem_new();
    struct vu_mem_region r = {.guest_addr = 0, .size = 4 * 4096};
    int fd = memory_file(4 * 4096);
    (void)state;

    assert_int_equal(guard_install(), 0);
    assert_int_equal(mem_add(m, &r, fd), 0);
    memset(m->region[0].host, 'x', 4 * 4096);
    assert_int_equal(ftruncate(fd, 4096), 0);
    close(fd);
    assert_int_equal(*(volatile uint8_t *)(m->region[0].host + 2 * 4096 + 5), 0);
    assert_true(m->lost);
    assert_int_equal(*(volatile uint8_t *)m->region[0].host, 'x');
    *(volatile uint8_t *)(m->region[0].host + 3 * 4096) = 1; /* writes survive too */
    mem_free(m);
}

static void test_other_bus_errors_kill_as_before(void **state)
{
    int fd = memory_file(4096), status;
    char *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    (void)state;

    assert_int_equal(guard_install(), 0);
    assert_int_equal(ftruncate(fd, 0), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(STDOUT_FILENO); /* what the earlier handler, the test library's, has to say */
        close(STDERR_FILENO);
        _exit(*(volatile char *)map);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    /* Killed, or ended by the earlier handler; but not in good order. */
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
    munmap(map, 4096);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_in_regions_are_found_and_others_are_not),
        cmocka_unit_test(test_lengths_end_with_their_region),
        cmocka_unit_test(test_a_hint_is_kept_and_may_be_wrong),
        cmocka_unit_test(test_the_front_ends_addresses_must_fit_whole),
        cmocka_unit_test(test_host_addresses_lead_back),
        cmocka_unit_test(test_a_file_offset_need_not_be_a_multiple_of_a_page),
        cmocka_unit_test(test_impossible_regions_are_refused),
        cmocka_unit_test(test_as_many_regions_as_promised_and_not_one_more),
        cmocka_unit_test(test_a_region_can_be_removed),
        cmocka_unit_test(test_only_the_very_same_region_is_found),
        cmocka_unit_test(test_memory_that_is_not_shared_gets_the_remedy),
        cmocka_unit_test(test_every_page_that_is_touched_is_marked),
        cmocka_unit_test(test_pages_beyond_the_log_are_ignored),
        cmocka_unit_test(test_host_addresses_are_marked_where_the_guest_has_them),
        cmocka_unit_test(test_a_log_of_impossible_size_is_refused),
        cmocka_unit_test(test_truncated_memory_reads_as_zeros_and_is_flagged),
        cmocka_unit_test(test_other_bus_errors_kill_as_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
