// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_winfsp_sd.c - security descriptors from permission bits and back
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "service/winfsp/sd.h"

enum { ALLOW, DENY };

static const uint8_t everyone[] = {1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0};
static const uint8_t administrators[] = {1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0};
static const uint8_t users[] = {1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x21, 2, 0, 0};
static const uint8_t somebody[] = {1, 2, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 7, 0, 0, 0};
static const uint8_t unix_user_1000[] = {1, 2, 0, 0, 0, 0, 0, 22, 1, 0, 0, 0, 0xE8, 3, 0, 0};

#define FULL  0x001F01FFu
#define READ  0x00120089u
#define RX    0x001200A9u
#define WRITE 0x00120116u

/* A descriptor that a test puts together. */
struct builder {
    uint8_t bytes[256];
    uint32_t len;
};

static void builder_start(struct builder *b, const uint8_t *owner, uint32_t owner_len)
{
    memset(b, 0, sizeof(*b));
    b->bytes[0] = 1;
    b->bytes[2] = 4;
    b->bytes[3] = 0x80;
    b->bytes[4] = 20;
    memcpy(b->bytes + 20, owner, owner_len);
    b->bytes[16] = (uint8_t)(20 + owner_len);
    b->len = 20 + owner_len + 8;
    b->bytes[b->bytes[16]] = 2;
    b->bytes[b->bytes[16] + 2] = 8;
}

static void builder_add(struct builder *b, uint8_t type, uint32_t rights, const uint8_t *sid,
                        uint32_t sid_len)
{
    uint8_t *acl = b->bytes + b->bytes[16], *ace = b->bytes + b->len;

    ace[0] = type;
    ace[2] = (uint8_t)(8 + sid_len);
    memcpy(ace + 4, &rights, 4);
    memcpy(ace + 8, sid, sid_len);
    b->len += 8 + sid_len;
    acl[2] = (uint8_t)(acl[2] + 8 + sid_len);
    acl[4]++;
}

static uint32_t permissions(const struct builder *b)
{
    uint32_t bits;

    assert_int_equal(svc_sd_permissions(b->bytes, b->len, &bits), 0);
    return bits;
}

static uint32_t shown(uint32_t mode)
{
    uint8_t sd[SVC_SD_SIZE];
    uint32_t bits;

    svc_sd_make(mode, false, sd);
    assert_int_equal(svc_sd_permissions(sd, sizeof(sd), &bits), 0);
    return bits;
}

static uint32_t edited(uint32_t mode, const struct builder *b)
{
    return svc_sd_merge(mode, shown(mode), permissions(b));
}

static void test_a_shown_descriptor_grants_what_the_owner_may(void **state)
{
    (void)state;
    assert_int_equal(shown(0600), 0777); /* r carries x */
    assert_int_equal(shown(0400), 0555);
    assert_int_equal(shown(0200), 0222);
    assert_int_equal(shown(0000), 0000);
}

static void test_a_file_that_may_be_written_can_be_opened_for_all_access(void **state)
{
    uint8_t sd[SVC_SD_SIZE];
    uint32_t rights;

    (void)state;
    svc_sd_make(0644, false, sd);
    memcpy(&rights, sd + SVC_SD_SIZE - sizeof(everyone) - 4, 4);
    assert_int_equal(rights, FULL);
}

static void test_writing_back_what_was_read_changes_nothing(void **state)
{
    uint8_t sd[SVC_SD_SIZE];
    uint32_t bits;

    (void)state;
    for (uint32_t mode = 0; mode <= 07777; mode++) {
        svc_sd_make(mode, true, sd);
        assert_int_equal(svc_sd_permissions(sd, sizeof(sd), &bits), 0);
        assert_int_equal(svc_sd_merge(mode, bits, bits), mode);
    }
}

static void test_denying_write_takes_write_bits_only(void **state)
{
    struct builder b;

    (void)state;
    builder_start(&b, everyone, sizeof(everyone));
    builder_add(&b, DENY, WRITE, everyone, sizeof(everyone));
    builder_add(&b, ALLOW, FULL, everyone, sizeof(everyone));
    assert_int_equal(edited(04754, &b), 04554);
}

static void test_an_entry_for_somebody_else_changes_nothing(void **state)
{
    struct builder b;

    (void)state;
    builder_start(&b, everyone, sizeof(everyone));
    builder_add(&b, ALLOW, FULL, everyone, sizeof(everyone));
    builder_add(&b, ALLOW, FULL, somebody, sizeof(somebody));
    assert_int_equal(edited(0640, &b), 0640);
}

static void test_read_for_users_and_all_for_administrators_keeps_the_owners_bits(void **state)
{
    struct builder b;

    (void)state;
    builder_start(&b, administrators, sizeof(administrators));
    builder_add(&b, ALLOW, FULL, administrators, sizeof(administrators));
    builder_add(&b, ALLOW, RX, users, sizeof(users));
    assert_int_equal(permissions(&b), 0755);
    assert_int_equal(edited(0666, &b), 0644);
}

static void test_taking_execute_away_clears_x(void **state)
{
    struct builder b;

    (void)state;
    builder_start(&b, everyone, sizeof(everyone));
    builder_add(&b, ALLOW, READ | WRITE, everyone, sizeof(everyone));
    assert_int_equal(edited(0755, &b), 0644);
}

static void test_no_list_of_entries_allows_everything(void **state)
{
    struct builder b;

    (void)state;
    builder_start(&b, everyone, sizeof(everyone));
    b.bytes[2] = 0;
    assert_int_equal(permissions(&b), 0777);
}

static void test_owners_of_the_host_are_recognised(void **state)
{
    struct svc_sd_owner o;
    struct builder b;

    (void)state;
    builder_start(&b, unix_user_1000, sizeof(unix_user_1000));
    assert_int_equal(svc_sd_owners(b.bytes, b.len, &o), 0);
    assert_int_equal(o.uid, 1000);
    assert_int_equal(o.gid, UINT32_MAX);
    builder_start(&b, somebody, sizeof(somebody));
    assert_int_equal(svc_sd_owners(b.bytes, b.len, &o), 0);
    assert_int_equal(o.uid, UINT32_MAX);
}

/* Each descriptor is copied to its exact size, so that a sanitizer sees a read past the end. */
static void parse_all_lengths(const uint8_t *sd, uint32_t len)
{
    struct svc_sd_owner o;
    uint32_t bits;

    for (uint32_t n = 0; n <= len; n++) {
        uint8_t *copy = malloc(n ? n : 1);

        assert_non_null(copy);
        memcpy(copy, sd, n);
        (void)svc_sd_permissions(copy, n, &bits);
        (void)svc_sd_owners(copy, n, &o);
        free(copy);
    }
}

static void test_malformed_descriptors_are_refused_or_read_within_bounds(void **state)
{
    struct builder b;
    uint32_t bits;

    (void)state;
    builder_start(&b, everyone, sizeof(everyone));
    builder_add(&b, ALLOW, FULL, everyone, sizeof(everyone));
    assert_true(svc_sd_permissions(b.bytes, b.len - 1, &bits) < 0);
    assert_true(svc_sd_permissions(b.bytes, 10, &bits) < 0);
    srand(3);
    for (int round = 0; round < 20000; round++) {
        struct builder broken = b;

        for (int i = 0; i < 3; i++)
            broken.bytes[(uint32_t)rand() % b.len] = (uint8_t)rand();
        parse_all_lengths(broken.bytes, round % 100 ? 0 : b.len);
        (void)svc_sd_permissions(broken.bytes, b.len, &bits);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_shown_descriptor_grants_what_the_owner_may),
        cmocka_unit_test(test_a_file_that_may_be_written_can_be_opened_for_all_access),
        cmocka_unit_test(test_writing_back_what_was_read_changes_nothing),
        cmocka_unit_test(test_denying_write_takes_write_bits_only),
        cmocka_unit_test(test_an_entry_for_somebody_else_changes_nothing),
        cmocka_unit_test(test_read_for_users_and_all_for_administrators_keeps_the_owners_bits),
        cmocka_unit_test(test_taking_execute_away_clears_x),
        cmocka_unit_test(test_no_list_of_entries_allows_everything),
        cmocka_unit_test(test_owners_of_the_host_are_recognised),
        cmocka_unit_test(test_malformed_descriptors_are_refused_or_read_within_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
