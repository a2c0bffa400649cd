// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_ntacl.c - user.NTACL in all of its versions, the hash of the host's side, descriptors, SHA-256
 *
 * The values and the POSIX ACLs beside them were written by Debian 12's smbd (Samba 4.17.12) through smbcacls. What it
 * does not write any more is built here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "lib/meta/ntacl.h"

/* A file of 1234:4321 with mode 0100674. */
static const uint8_t file_value[] = {
    4,    0,    4,    0,    0,    0,    2,    0,    4,    0,    2,    0,    1,    0,    0x6b, 0x70,
    0xbe, 0x44, 0x63, 0x6a, 0xa2, 0xc3, 0xf,  0x66, 0x78, 0x44, 0x84, 0xe,  0xbf, 0x12, 0xcc, 0xb3,
    0x86, 0x76, 0xe7, 0x75, 0x5f, 0x59, 5,    0x70, 0xf9, 0xe2, 0xac, 0xb9, 0x75, 0x5a, 0,    0,
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0x70, 0x6f,
    0x73, 0x69, 0x78, 0x5f, 0x61, 0x63, 0x6c, 0,    0xa8, 0x58, 0xe5, 0x3d, 0xb9, 0x7a, 0xdd, 1,
    9,    0x45, 0xe3, 0xd2, 0xe6, 0xc6, 0x3c, 0x14, 0x27, 0x85, 0x71, 8,    0xc1, 0x86, 0x89, 0x8e,
    0x7c, 0x54, 0x2c, 0x39, 0xf3, 0x65, 0x1e, 0x4f, 0xa4, 0x7d, 0xd3, 0x66, 0x67, 0xa,  0x42, 0xfa,
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    1,    0,    4,    0x80, 0xb4, 0,    0,    0,    0xc4, 0,    0,    0,    0,    0,    0,    0,
    0xd4, 0,    0,    0,    1,    2,    0,    0,    0,    0,    0,    0x16, 1,    0,    0,    0,
    0xd2, 4,    0,    0,    1,    2,    0,    0,    0,    0,    0,    0x16, 2,    0,    0,    0,
    0xe1, 0x10, 0,    0,    2,    0,    0x60, 0,    4,    0,    0,    0,    0,    0,    0x14, 0,
    0,    0,    0,    0,    1,    1,    0,    0,    0,    0,    0,    1,    0,    0,    0,    0,
    0,    0,    0x14, 0,    0x89, 0,    0x12, 0,    1,    1,    0,    0,    0,    0,    0,    1,
    0,    0,    0,    0,    0,    0,    0x18, 0,    0x9f, 1,    0x1f, 0,    1,    2,    0,    0,
    0,    0,    0,    0x16, 1,    0,    0,    0,    0xd2, 4,    0,    0,    0,    0,    0x18, 0,
    0,    0,    0,    0,    1,    2,    0,    0,    0,    0,    0,    0x16, 2,    0,    0,    0,
    0xe1, 0x10, 0,    0};
static const uint8_t file_access[] = {
    2,    0, 0, 0, 1,    0,    6,    0,    0xff, 0xff, 0xff, 0xff, 2,    0,    6,    0,    0xd2, 4,
    0,    0, 4, 0, 0,    0,    0xff, 0xff, 0xff, 0xff, 8,    0,    0,    0,    0xe1, 0x10, 0,    0,
    0x10, 0, 7, 0, 0xff, 0xff, 0xff, 0xff, 0x20, 0,    4,    0,    0xff, 0xff, 0xff, 0xff};
/* A directory of 0:0 with mode 040775. */
static const uint8_t directory_value[] = {
    4,    0,    4,    0,    0,    0,    2,    0,    4,    0,    2,    0,    1,    0,    0x19, 0x47,
    0x6c, 0x88, 0x92, 0x40, 0x6c, 0x53, 0xb,  0x5b, 0x2e, 0x24, 0x6e, 0x9f, 0xcb, 0x88, 0x82, 0xb9,
    0x71, 0xd1, 0x78, 0x70, 0xe5, 0xaa, 0x38, 0x4e, 0x7d, 0xdf, 0x98, 0xe6, 0xf6, 0xe9, 0,    0,
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0x70, 0x6f,
    0x73, 0x69, 0x78, 0x5f, 0x61, 0x63, 0x6c, 0,    0x4c, 0x8a, 0xdb, 0x3f, 0xb9, 0x7a, 0xdd, 1,
    0x3f, 0x5a, 0x15, 0xa8, 0x8b, 0xc8, 0x8b, 0x32, 0xff, 0x24, 0x91, 0x4d, 0x9f, 0x19, 0x40, 0x29,
    0x25, 0x8f, 0xa3, 0x86, 0xcc, 0x87, 0xf8, 0x50, 0xb2, 0x24, 0x70, 0xc8, 0xfe, 0xb5, 0x99, 0xc2,
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    1,    0,    4,    0x80, 0xb4, 0,    0,    0,    0xd0, 0,    0,    0,    0,    0,    0,    0,
    0xe0, 0,    0,    0,    1,    5,    0,    0,    0,    0,    0,    5,    0x15, 0,    0,    0,
    0xdc, 0xa3, 0x17, 0xb6, 0xd6, 0x58, 0x22, 0x3f, 0x6b, 0x19, 0x82, 0x3e, 0xe8, 3,    0,    0,
    1,    2,    0,    0,    0,    0,    0,    0x16, 2,    0,    0,    0,    0,    0,    0,    0,
    2,    0,    0xac, 0,    7,    0,    0,    0,    0,    0,    0x14, 0,    0x89, 0,    0x12, 0,
    1,    1,    0,    0,    0,    0,    0,    1,    0,    0,    0,    0,    0,    3,    0x14, 0,
    0xa9, 0,    0x12, 0,    1,    1,    0,    0,    0,    0,    0,    1,    0,    0,    0,    0,
    0,    0xb,  0x14, 0,    0xff, 1,    0x1f, 0,    1,    1,    0,    0,    0,    0,    0,    3,
    0,    0,    0,    0,    0,    0xb,  0x14, 0,    0xa9, 0,    0x12, 0,    1,    1,    0,    0,
    0,    0,    0,    3,    1,    0,    0,    0,    0,    0,    0x18, 0,    0xa9, 0,    0x12, 0,
    1,    2,    0,    0,    0,    0,    0,    0x16, 2,    0,    0,    0,    0,    0,    0,    0,
    0,    0xb,  0x18, 0,    0xff, 1,    0x1f, 0,    1,    2,    0,    0,    0,    0,    0,    0x16,
    1,    0,    0,    0,    0x4d, 0,    0,    0,    0,    0,    0x24, 0,    0xff, 1,    0x1f, 0,
    1,    5,    0,    0,    0,    0,    0,    5,    0x15, 0,    0,    0,    0xdc, 0xa3, 0x17, 0xb6,
    0xd6, 0x58, 0x22, 0x3f, 0x6b, 0x19, 0x82, 0x3e, 0xe8, 3,    0,    0};
static const uint8_t directory_access[] = {
    2,    0, 0, 0, 1,    0,    7,    0,    0xff, 0xff, 0xff, 0xff, 2,    0,    7,    0,   0, 0,
    0,    0, 4, 0, 5,    0,    0xff, 0xff, 0xff, 0xff, 8,    0,    5,    0,    0,    0,   0, 0,
    0x10, 0, 7, 0, 0xff, 0xff, 0xff, 0xff, 0x20, 0,    5,    0,    0xff, 0xff, 0xff, 0xff};
static const uint8_t directory_default[] = {
    2, 0, 0,    0,    1,    0,    7,    0,    0xff, 0xff, 0xff, 0xff, 2,    0,    7,
    0, 0, 0,    0,    0,    2,    0,    7,    0,    0x4d, 0,    0,    0,    4,    0,
    5, 0, 0xff, 0xff, 0xff, 0xff, 8,    0,    5,    0,    0,    0,    0,    0,    0x10,
    0, 7, 0,    0xff, 0xff, 0xff, 0xff, 0x20, 0,    5,    0,    0xff, 0xff, 0xff, 0xff};

static const struct ntacl_host file_host = {.mode = 0100674,
                                            .uid = 1234,
                                            .gid = 4321,
                                            .access = file_access,
                                            .access_len = sizeof(file_access)};
static const struct ntacl_host directory_host = {.mode = 040775,
                                                 .access = directory_access,
                                                 .access_len = sizeof(directory_access),
                                                 .fallback = directory_default,
                                                 .fallback_len = sizeof(directory_default)};

/* Owner Everyone, a list with one entry for Everyone; offsets count from the header. */
static const uint8_t plain[] = {
    1, 0, 4,  0x80, 20,   0, 0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0, 0, /* header */
    1, 1, 0,  0,    0,    0, 0,    1, 0, 0, 0, 0,                          /* owner */
    2, 0, 28, 0,    1,    0, 0,    0,                                      /* list */
    0, 3, 20, 0,    0xff, 1, 0x1f, 0, 1, 1, 0, 0, 0, 0, 0, 1, 0,  0, 0, 0};

static struct ntacl decoded(const void *value, size_t len)
{
    struct ntacl a;

    assert_true(ntacl_decode(value, len, &a));
    return a;
}

static bool refused(const void *value, size_t len)
{
    struct ntacl a;

    return !ntacl_decode(value, len, &a);
}

static bool holds(const struct ntacl *a, const struct ntacl_host *h)
{
    uint8_t hash[SHA256_SIZE];

    return ntacl_host_hash(h, hash) && memcmp(hash, a->hash, sizeof(hash)) == 0;
}

/* ---- SHA-256: FIPS 180-4, and the examples that NIST published with it ------------------------------ */

static void expect_hash(const char *text, const char *want)
{
    uint8_t hash[SHA256_SIZE];
    char hex[2 * SHA256_SIZE + 1];

    sha256(text, strlen(text), hash);
    for (unsigned i = 0; i < SHA256_SIZE; i++)
        snprintf(hex + 2 * i, 3, "%02x", hash[i]);
    assert_string_equal(hex, want);
}

static void test_sha256_of_known_messages(void **state)
{
    (void)state;
    expect_hash("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect_hash("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect_hash("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    expect_hash("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqkl"
                "mnopqrlmno"
                "pqrsmnopqrstnopqrstu",
                "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
}

/* ---- values ----------------------------------------------------------------------------------------- */

static void test_what_samba_wrote_for_a_file_is_read(void **state)
{
    struct ntacl a = decoded(file_value, sizeof(file_value));

    (void)state;
    assert_int_equal(a.bond, NTACL_BOUND);
    assert_int_equal(a.sd.control, 0x8004);
    assert_int_equal(a.sd.owner.len, 16);
    assert_memory_equal(a.sd.owner.bytes, "\1\2\0\0\0\0\0\x16\1\0\0\0\xd2\4\0\0", 16);
    assert_int_equal(a.sd.dacl.len, 0x60);
    assert_null(a.sd.sacl.bytes);
}

static void test_sambas_hash_of_a_file_is_ours(void **state)
{
    struct ntacl a = decoded(file_value, sizeof(file_value));

    (void)state;
    assert_true(holds(&a, &file_host));
}

static void test_sambas_hash_of_a_directory_is_ours(void **state)
{
    struct ntacl a = decoded(directory_value, sizeof(directory_value));

    (void)state;
    assert_true(holds(&a, &directory_host));
}

static void test_mode_owner_and_acl_change_the_hash(void **state)
{
    struct ntacl a = decoded(directory_value, sizeof(directory_value));
    struct ntacl_host mode = directory_host, uid = directory_host, gid = directory_host,
                      access = directory_host, fallback = directory_host;

    (void)state;
    mode.mode ^= 010;
    uid.uid = 1;
    gid.gid = 1;
    access.access = NULL;
    fallback.fallback = NULL;
    assert_false(holds(&a, &mode) || holds(&a, &uid) || holds(&a, &gid) || holds(&a, &access) ||
                 holds(&a, &fallback));
}

static void test_a_posix_acl_that_is_none_has_no_hash(void **state)
{
    struct ntacl_host h = file_host;
    uint8_t bad[sizeof(file_access)], hash[SHA256_SIZE];

    (void)state;
    h.access = bad;
    memcpy(bad, file_access, sizeof(bad));
    bad[0] = 3;
    assert_false(ntacl_host_hash(&h, hash));
    memcpy(bad, file_access, sizeof(bad));
    bad[4] = 3;
    assert_false(ntacl_host_hash(&h, hash));
    h.access = file_access;
    h.access_len--;
    assert_false(ntacl_host_hash(&h, hash));
}

/* But for the first hash, of accounts that only Samba knows, and the time. */
static void test_what_is_written_is_sambas_to_the_byte(void **state)
{
    struct ntacl a = decoded(file_value, sizeof(file_value));
    uint8_t out[NTACL_MAX], want[sizeof(file_value)];
    uint64_t now;

    (void)state;
    memcpy(&now, file_value + 88, sizeof(now));
    memcpy(want, file_value, sizeof(want));
    memset(want + 14, 0, 64);
    assert_int_equal(ntacl_encode(&a.sd, a.hash, now, out), sizeof(want));
    assert_memory_equal(out, want, sizeof(want));
}

static void test_a_descriptor_of_windows_is_moved(void **state)
{
    const uint8_t hash[SHA256_SIZE] = {7};
    uint8_t out[NTACL_MAX], back[NTSD_MAX];
    struct ntsd sd;
    struct ntacl a;
    size_t len;

    (void)state;
    assert_true(ntsd_parse(plain, sizeof(plain), 0, &sd));
    len = ntacl_encode(&sd, hash, 0, out);
    a = decoded(out, len);
    assert_memory_equal(a.hash, hash, sizeof(hash));
    assert_int_equal(ntsd_size(&a.sd), sizeof(plain));
    ntsd_put(&a.sd, 0, back);
    assert_memory_equal(back, plain, sizeof(plain));
}

/* The older ones: what is before the descriptor, whose offsets are moved by as much. */
static size_t older(uint8_t version, size_t head, uint8_t out[256])
{
    struct ntsd sd;

    assert_true(ntsd_parse(plain, sizeof(plain), 0, &sd));
    memset(out, 0, 256);
    out[0] = out[2] = version;
    out[6] = 2;
    out[8] = out[10] = 2;
    ntsd_put(&sd, head, out + head);
    return head + sizeof(plain);
}

static void test_versions_1_and_2_hold_whatever_the_host_does(void **state)
{
    uint8_t value[256];

    (void)state;
    size_t n = older(1, 8, value);
    assert_int_equal(decoded(value, n).bond, NTACL_UNBOUND);
    assert_int_equal(decoded(value, n).sd.dacl.len, 28);
    n = older(2, 28, value);
    assert_int_equal(decoded(value, n).bond, NTACL_UNBOUND);
}

static void test_version_3_is_read_but_not_to_be_checked(void **state)
{
    uint8_t value[256];
    size_t n = older(3, 80, value);

    (void)state;
    assert_int_equal(decoded(value, n).bond, NTACL_UNKNOWN);
}

static void test_every_shorter_value_is_refused(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof(file_value); n++)
        assert_true(refused(file_value, n));
}

static void test_foreign_values_are_refused(void **state)
{
    uint8_t v[sizeof(file_value)];

    (void)state;
    memcpy(v, file_value, sizeof(v));
    v[0] = v[2] = 5;
    assert_true(refused(v, sizeof(v)));
    memcpy(v, file_value, sizeof(v));
    v[2] = 3;
    assert_true(refused(v, sizeof(v)));
    memcpy(v, file_value, sizeof(v));
    memset(v + 8, 0, 4);
    assert_true(refused(v, sizeof(v)));
    memcpy(v, file_value, sizeof(v));
    v[12] = 0; /* another kind of hash */
    assert_true(refused(v, sizeof(v)));
    memset(v + 78, 'x', sizeof(v) - 78);
    v[12] = 1;
    assert_true(refused(v, sizeof(v)));
}

static void test_oversized_values_are_refused(void **state)
{
    static uint8_t v[NTACL_MAX + 1];

    (void)state;
    memcpy(v, file_value, sizeof(file_value));
    assert_false(refused(v, NTACL_MAX));
    assert_true(refused(v, NTACL_MAX + 1));
}

/* ---- descriptors ------------------------------------------------------------------------------------ */

static bool descriptor_refused(unsigned at, uint8_t byte)
{
    uint8_t d[sizeof(plain)];
    struct ntsd sd;

    memcpy(d, plain, sizeof(d));
    d[at] = byte;
    return !ntsd_parse(d, sizeof(d), 0, &sd);
}

static void test_malformed_descriptors_are_refused(void **state)
{
    (void)state;
    assert_true(descriptor_refused(0, 2));    /* revision */
    assert_true(descriptor_refused(3, 0));    /* not self-relative */
    assert_true(descriptor_refused(4, 1));    /* owner inside the header */
    assert_true(descriptor_refused(4, 0xf0)); /* behind the end */
    assert_true(descriptor_refused(20, 2));   /* a SID's revision */
    assert_true(descriptor_refused(21, 15));  /* longer than all */
    assert_true(descriptor_refused(32, 1));   /* a list's revision */
    assert_true(descriptor_refused(34, 29));  /* its length */
    assert_true(descriptor_refused(36, 2));   /* more entries than there are */
    assert_true(descriptor_refused(40, 99));  /* an entry's kind */
    assert_true(descriptor_refused(42, 4));   /* its length */
    assert_true(descriptor_refused(42, 24));
    assert_true(descriptor_refused(49, 2)); /* its SID */
    assert_false(descriptor_refused(41, 0));
}

static void test_a_list_that_is_absent_or_null_is_kept_so(void **state)
{
    uint8_t d[sizeof(plain)];
    struct ntsd sd;

    (void)state;
    memcpy(d, plain, sizeof(d));
    d[16] = 0;
    assert_true(ntsd_parse(d, sizeof(d), 0, &sd));
    assert_true(sd.control & NTSD_DACL_PRESENT);
    assert_null(sd.dacl.bytes);
    memcpy(d, plain, sizeof(d));
    d[2] = 0;
    assert_true(ntsd_parse(d, sizeof(d), 0, &sd));
    assert_null(sd.dacl.bytes);
}

static void test_parts_are_replaced_one_by_one(void **state)
{
    struct ntacl a = decoded(file_value, sizeof(file_value));
    struct ntsd p, d = a.sd;

    (void)state;
    assert_true(ntsd_parse(plain, sizeof(plain), 0, &p));
    ntsd_change(&d, &p, NTSD_OWNER);
    assert_ptr_equal(d.owner.bytes, p.owner.bytes);
    assert_ptr_equal(d.dacl.bytes, a.sd.dacl.bytes);
    ntsd_change(&d, &p, NTSD_GROUP); /* it has none */
    assert_ptr_equal(d.group.bytes, a.sd.group.bytes);
    ntsd_change(&d, &p, NTSD_DACL);
    assert_ptr_equal(d.dacl.bytes, p.dacl.bytes);
}

static void test_control_bits_go_with_their_list(void **state)
{
    struct ntacl a = decoded(file_value, sizeof(file_value));
    struct ntsd p, d = a.sd;

    (void)state;
    assert_true(ntsd_parse(plain, sizeof(plain), 0, &p));
    p.control |= NTSD_DACL_PROTECTED | NTSD_DACL_INHERITED | NTSD_SACL_PROTECTED;
    ntsd_change(&d, &p, NTSD_DACL);
    assert_int_equal(d.control, 0x8004 | NTSD_DACL_PROTECTED);
    p.control |= NTSD_DACL_INHERIT_REQ;
    ntsd_change(&d, &p, NTSD_DACL | NTSD_UNPROTECTED_DACL);
    assert_int_equal(d.control, 0x8004 | NTSD_DACL_INHERITED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256_of_known_messages),
        cmocka_unit_test(test_what_samba_wrote_for_a_file_is_read),
        cmocka_unit_test(test_sambas_hash_of_a_file_is_ours),
        cmocka_unit_test(test_sambas_hash_of_a_directory_is_ours),
        cmocka_unit_test(test_mode_owner_and_acl_change_the_hash),
        cmocka_unit_test(test_a_posix_acl_that_is_none_has_no_hash),
        cmocka_unit_test(test_what_is_written_is_sambas_to_the_byte),
        cmocka_unit_test(test_a_descriptor_of_windows_is_moved),
        cmocka_unit_test(test_versions_1_and_2_hold_whatever_the_host_does),
        cmocka_unit_test(test_version_3_is_read_but_not_to_be_checked),
        cmocka_unit_test(test_every_shorter_value_is_refused),
        cmocka_unit_test(test_foreign_values_are_refused),
        cmocka_unit_test(test_oversized_values_are_refused),
        cmocka_unit_test(test_malformed_descriptors_are_refused),
        cmocka_unit_test(test_a_list_that_is_absent_or_null_is_kept_so),
        cmocka_unit_test(test_parts_are_replaced_one_by_one),
        cmocka_unit_test(test_control_bits_go_with_their_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
