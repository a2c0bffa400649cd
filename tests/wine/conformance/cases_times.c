// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_times.c - creation, access, write and change times
 */
#include <time.h>

#include "tests/wine/conformance/conf.h"

#define SECOND 10000000ll
#define Y2001  126227808000000000ll /* 1 January 2001 as FILETIME */

static int64_t now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return filetime(ts);
}

static struct basic_info set_times(struct t *t, handle h, struct basic_info b)
{
    OK(t, nt_set(t, h, FileBasicInformation, &b, sizeof(b)));
    return nt_basic(t, h);
}

static void times_are_the_hosts(struct t *t)
{
    host_puts(t, "f", "x");
    host_times(t, "f", 1000000000, 1100000000);
    struct basic_info b = nt_basic(t, OPEN(t, "f"));
    struct stat st = host_stat(t, "f");

    EQUAL(t, filetime(st.st_atim), b.accessed);
    EQUAL(t, filetime(st.st_mtim), b.written);
    EQUAL(t, filetime(st.st_ctim), b.changed);
}

static void a_new_file_is_of_now(struct t *t)
{
    int64_t before = now() - SECOND;
    struct basic_info b = nt_basic(t, MAKE(t, "f"));

    CHECK(t, b.created >= before && b.created <= now() + SECOND);
    CHECK(t, b.written >= before && b.written <= now() + SECOND);
}

/* Incumbent: the change time is shown as creation time, and moves with every chmod (B.6; #1024). */
static void the_creation_time_is_the_birth_time(struct t *t)
{
    host_puts(t, "f", "x");
    host_times(t, "f", 1000000000, 1100000000);
    EQUAL(t, host_birth(t, "f"), nt_basic(t, OPEN(t, "f")).created);
}

static void the_creation_time_stays_when_the_file_changes(struct t *t)
{
    handle h = MAKE(t, "f");
    int64_t created = nt_basic(t, h).created;

    nt_puts(t, h, 0, "text");
    OK(t, nt_set_attributes(t, h, FILE_ATTRIBUTE_READONLY));
    OK(t, nt_rename(t, h, "g", false));
    nt_control(t, DOOR_CONTROL_DROP_INFO_CACHE, 0);
    EQUAL(t, created, nt_basic(t, h).created);
}

static void the_creation_time_of_a_listing_is_the_same(struct t *t)
{
    host_puts(t, "f", "x");
    host_times(t, "f", 1000000000, 1100000000);
    handle d = OPEN(t, "", .access = FILE_LIST_DIRECTORY);

    EQUAL(t, host_birth(t, "f"), find(t, nt_list(t, d, NULL), "f")->created);
}

static void the_write_time_is_set(struct t *t)
{
    handle h = MAKE(t, "f");
    struct basic_info b = set_times(t, h, (struct basic_info){.written = Y2001 + 1234567});

    EQUAL(t, Y2001 + 1234567, b.written);
    EQUAL(t, Y2001 + 1234567, filetime(host_stat(t, "f").st_mtim));
}

static void the_access_time_is_set(struct t *t)
{
    handle h = MAKE(t, "f");
    struct basic_info b = set_times(t, h, (struct basic_info){.accessed = Y2001 + 5 * SECOND});

    EQUAL(t, Y2001 + 5 * SECOND, b.accessed);
    EQUAL(t, Y2001 + 5 * SECOND, filetime(host_stat(t, "f").st_atim));
}

static void one_time_is_set_and_the_others_stay(struct t *t)
{
    host_puts(t, "f", "x");
    host_times(t, "f", 1000000000, 1100000000);
    handle h = OPEN(t, "f");

    set_times(t, h, (struct basic_info){.written = Y2001});
    EQUAL(t, 1000000000, host_stat(t, "f").st_atim.tv_sec);
    EQUAL(t, Y2001, filetime(host_stat(t, "f").st_mtim));
}

static void setting_times_leaves_the_mode(struct t *t)
{
    host_puts(t, "f", "x");
    host_chmod(t, "f", 0754);
    set_times(t, OPEN(t, "f"), (struct basic_info){.written = Y2001});
    EQUAL(t, 0754, host_mode(t, "f"));
}

static void times_of_a_directory_are_set(struct t *t)
{
    host_mkdir(t, "d");
    handle h = OPEN(t, "d", .access = FILE_WRITE_ATTRIBUTES | FILE_READ_ATTRIBUTES);

    set_times(t, h, (struct basic_info){.written = Y2001});
    EQUAL(t, Y2001, filetime(host_stat(t, "d").st_mtim));
}

static void a_time_before_1970_is_kept(struct t *t)
{
    const int64_t y1960 = 113288544000000000ll; /* 29 December 1959 */
    handle h = MAKE(t, "f");

    EQUAL(t, y1960, set_times(t, h, (struct basic_info){.written = y1960}).written);
    CHECK(t, host_stat(t, "f").st_mtim.tv_sec < 0);
}

static void a_time_before_1970_of_the_host_is_shown(struct t *t)
{
    host_puts(t, "f", "x");
    host_times(t, "f", -86400, -86400 * 365);
    EQUAL(t, filetime(host_stat(t, "f").st_mtim), nt_basic(t, OPEN(t, "f")).written);
}

static void a_time_after_2038_is_kept(struct t *t)
{
    const int64_t y2100 = 157469184000000000ll;
    handle h = MAKE(t, "f");

    EQUAL(t, y2100, set_times(t, h, (struct basic_info){.written = y2100}).written);
    EQUAL(t, y2100, filetime(host_stat(t, "f").st_mtim));
}

static void a_write_moves_the_write_time(struct t *t)
{
    host_puts(t, "f", "x");
    host_times(t, "f", 1000000000, 1000000000);
    handle h = OPEN(t, "f");

    nt_puts(t, h, 0, "y");
    nt_close(t, h);
    CHECK(t, host_stat(t, "f").st_mtim.tv_sec > 1600000000);
}

static void a_read_leaves_the_write_time(struct t *t)
{
    host_puts(t, "f", "x");
    host_times(t, "f", 1000000000, 1000000000);
    handle h = OPEN(t, "f");

    nt_gets(t, h, 0);
    nt_close(t, h);
    EQUAL(t, 1000000000, host_stat(t, "f").st_mtim.tv_sec);
}

/* A program that copies a file sets times last, while it has unwritten data of its own. */
static void a_write_time_that_was_set_survives_the_close(struct t *t)
{
    handle h = MAKE(t, "f");

    nt_puts(t, h, 0, "text");
    set_times(t, h, (struct basic_info){.written = Y2001});
    nt_close(t, h);
    EQUAL(t, Y2001, filetime(host_stat(t, "f").st_mtim));
}

static void setting_times_needs_the_right_to(struct t *t)
{
    struct basic_info b = {.written = Y2001};

    host_puts(t, "f", "x");
    EXPECT(
        t, STATUS_ACCESS_DENIED,
        nt_set(t, OPEN(t, "f", .access = FILE_GENERIC_READ), FileBasicInformation, &b, sizeof(b)));
}

static void a_rename_keeps_the_write_time(struct t *t)
{
    host_puts(t, "f", "x");
    host_times(t, "f", 1000000000, 1000000000);
    OK(t, nt_move(t, "f", "g", false));
    EQUAL(t, 1000000000, host_stat(t, "g").st_mtim.tv_sec);
}

static void network_information_has_the_same_times(struct t *t)
{
    host_puts(t, "f", "x");
    handle h = OPEN(t, "f");
    struct basic_info b = nt_basic(t, h);
    struct network_info n = nt_network(t, h);

    EQUAL(t, b.created, n.created);
    EQUAL(t, b.written, n.written);
    EQUAL(t, b.accessed, n.accessed);
    EQUAL(t, b.changed, n.changed);
}

static const struct test_case cases[] = {
    CASE(times_are_the_hosts),
    CASE(a_new_file_is_of_now),
    CASE(the_creation_time_is_the_birth_time),
    CASE(the_creation_time_stays_when_the_file_changes),
    CASE(the_creation_time_of_a_listing_is_the_same),
    CASE(the_write_time_is_set),
    CASE(the_access_time_is_set),
    CASE(one_time_is_set_and_the_others_stay),
    CASE(setting_times_leaves_the_mode),
    CASE(times_of_a_directory_are_set),
    CASE(a_time_before_1970_is_kept),
    CASE(a_time_before_1970_of_the_host_is_shown),
    CASE(a_time_after_2038_is_kept),
    CASE(a_write_moves_the_write_time),
    CASE(a_read_leaves_the_write_time),
    CASE(a_write_time_that_was_set_survives_the_close),
    CASE(setting_times_needs_the_right_to),
    CASE(a_rename_keeps_the_write_time),
    CASE(network_information_has_the_same_times),
};
GROUP(times, cases);
