// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_acl.c - security descriptors that are stored with files (Acl=stored)
 *
 * Descriptors are put together byte by byte (MS-DTYP 2.4.6) in the order in which they come back: the header, owner,
 * group, the discretionary list.
 */
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/wine/conformance/conf.h"

#define STORED "user.NTACL"
#define ALL_OF_IT                                                                                  \
    (OWNER_SECURITY_INFORMATION | GROUP_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION)

enum { ALLOW = 0, DENY = 1 };
enum { OBJECTS = 1, CONTAINERS = 2, INHERITED = 0x10 }; /* of an entry */
enum { PROTECTED = 0x10 };                              /* of the control word's upper half */
enum { LIST_PRESENT = 4 };

struct sid {
    uint8_t n, bytes[28];
};
static const struct sid everyone = {12, {1, 1, 0, 0, 0, 0, 0, 1}};
static const struct sid administrators = {16, {1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2}};
static const struct sid users = {16, {1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x21, 2}};
/* the door's: S-1-5-21-1-2-3-500 and -1001 */
static const struct sid the_admin = {
    28, {1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0xF4, 1}};
static const struct sid the_user = {
    28, {1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0xE9, 3}};

struct descriptor {
    uint8_t bytes[512];
    uint32_t n, list; /* list: where it begins, 0: none yet */
};

static struct descriptor empty(void)
{
    return (struct descriptor){.bytes = {1, 0, 0, 0x80}, .n = 20};
}

static void put(struct descriptor *d, const void *bytes, uint32_t n)
{
    memcpy(d->bytes + d->n, bytes, n);
    d->n += n;
}

/* @field: 4 the owner, 8 the group */
static void add_sid(struct descriptor *d, unsigned field, const struct sid *s)
{
    memcpy(d->bytes + field, &d->n, 4);
    put(d, s->bytes, s->n);
}

/* One more entry of the list, which is begun if there is none. */
static void add(struct descriptor *d, uint8_t type, uint8_t flags, uint32_t mask,
                const struct sid *s)
{
    uint16_t size = (uint16_t)(8 + s->n), count;

    if (!d->list) {
        d->bytes[2] |= LIST_PRESENT;
        d->list = d->n;
        memcpy(d->bytes + 16, &d->n, 4);
        put(d, "\2\0\0\0\0\0\0\0", 8);
    }
    put(d, (uint8_t[]){type, flags, (uint8_t)size, 0}, 4);
    put(d, &mask, 4);
    put(d, s->bytes, s->n);
    memcpy(&count, d->bytes + d->list + 4, 2);
    count++;
    memcpy(d->bytes + d->list + 4, &count, 2);
    size = (uint16_t)(d->n - d->list);
    memcpy(d->bytes + d->list + 2, &size, 2);
}

/* Administrators may everything, the user may read. */
static struct descriptor for_two(uint8_t flags)
{
    struct descriptor d = empty();

    add(&d, ALLOW, flags, FILE_ALL_ACCESS, &administrators);
    add(&d, ALLOW, flags, FILE_GENERIC_READ, &the_user);
    return d;
}

static uint32_t set(struct t *t, const char *name, uint32_t what, const struct descriptor *d)
{
    handle h = OPEN(t, name, .access = READ_CONTROL | WRITE_DAC | WRITE_OWNER);
    uint32_t status = nt_set_security(t, h, what, d->bytes, d->n);

    nt_close(t, h);
    return status;
}

static void set_list(struct t *t, const char *name, const struct descriptor *d)
{
    OK(t, set(t, name, DACL_SECURITY_INFORMATION, d));
}

/* As the service has it now: WinFsp keeps descriptors for a second. */
static struct descriptor get(struct t *t, const char *name)
{
    struct descriptor d = {.n = 0};

    nt_control(t, DOOR_CONTROL_DROP_INFO_CACHE, 0);
    handle h = OPEN(t, name, .access = READ_CONTROL);
    OK(t, nt_security(t, h, ALL_OF_IT, sizeof(d.bytes)));
    CHECK(t, nt_data_len(t) >= 20 && nt_data_len(t) <= sizeof(d.bytes));
    d.n = nt_data_len(t);
    memcpy(d.bytes, nt_data(t), d.n);
    memcpy(&d.list, d.bytes + 16, 4);
    CHECK(t, d.list >= 20 && d.list + 8 <= d.n);
    nt_close(t, h);
    return d;
}

static bool same_list(const struct descriptor *a, const struct descriptor *b)
{
    uint16_t size;

    memcpy(&size, a->bytes + a->list + 2, 2);
    return size >= 8 && a->list + size <= a->n && b->list + size <= b->n &&
           memcmp(a->bytes + a->list, b->bytes + b->list, size) == 0;
}

static bool shows(struct t *t, const char *name, const struct descriptor *d)
{
    struct descriptor got = get(t, name);

    return same_list(&got, d);
}

static bool has_sid(const struct descriptor *d, unsigned field, const struct sid *s)
{
    uint32_t at;

    memcpy(&at, d->bytes + field, 4);
    return at >= 20 && at + s->n <= d->n && memcmp(d->bytes + at, s->bytes, s->n) == 0;
}

static unsigned flags_of_first(const struct descriptor *d)
{
    return d->bytes[d->list + 8 + 1];
}

static void make(struct t *t, const char *name)
{
    host_puts(t, name, "text");
    host_chmod(t, name, 0664);
}

/* ---- what is kept ---------------------------------------------------------------------------- */

static void a_file_without_one_shows_its_mode(struct t *t)
{
    struct descriptor d = empty();

    make(t, "f");
    add(&d, ALLOW, 0, FILE_ALL_ACCESS, &everyone);
    CHECK(t, shows(t, "f", &d));
    CHECK(t, !host_xattr(t, "f", STORED));
}

static void a_list_that_was_set_comes_back(struct t *t)
{
    struct descriptor d = for_two(0);

    make(t, "f");
    set_list(t, "f", &d);
    CHECK(t, shows(t, "f", &d));
}

static void it_is_kept_where_samba_keeps_it(struct t *t)
{
    struct descriptor d = for_two(0);
    uint8_t value[512];

    make(t, "f");
    set_list(t, "f", &d);
    ssize_t n = getxattr(host_path(t, "f"), STORED, value, sizeof(value));
    CHECK(t, n > 160);
    EQUAL(t, 4, value[0]);
    CHECK(t, memcmp(value + 78, "posix_acl", 10) == 0);
}

static void an_owner_is_kept(struct t *t)
{
    struct descriptor d = empty(), got;

    make(t, "f");
    add_sid(&d, 4, &the_user);
    OK(t, set(t, "f", OWNER_SECURITY_INFORMATION, &d));
    got = get(t, "f");
    CHECK(t, has_sid(&got, 4, &the_user));
    EQUAL(t, 0, host_stat(t, "f").st_uid);
}

static void a_group_is_kept(struct t *t)
{
    struct descriptor d = empty(), got;

    make(t, "f");
    add_sid(&d, 8, &users);
    OK(t, set(t, "f", GROUP_SECURITY_INFORMATION, &d));
    got = get(t, "f");
    CHECK(t, has_sid(&got, 8, &users));
}

static void parts_that_are_not_set_stay(struct t *t)
{
    struct descriptor owner = empty(), list = for_two(0), got;

    make(t, "f");
    add_sid(&owner, 4, &administrators);
    OK(t, set(t, "f", OWNER_SECURITY_INFORMATION, &owner));
    set_list(t, "f", &list);
    got = get(t, "f");
    CHECK(t, has_sid(&got, 4, &administrators) && same_list(&got, &list));
}

/* Everybody would own what Everyone owns, and might change its list. */
static void not_everybody_owns_a_file_with_a_list(struct t *t)
{
    struct descriptor d = for_two(0), got;

    make(t, "f");
    set_list(t, "f", &d);
    got = get(t, "f");
    CHECK(t, !has_sid(&got, 4, &everyone));
    nt_run_as(t, DOOR_TOKEN_USER);
    EXPECT(t, STATUS_ACCESS_DENIED, TRY(t, "f", .access = WRITE_DAC));
}

static void flags_of_inheritance_are_kept(struct t *t)
{
    struct descriptor d = for_two(OBJECTS | CONTAINERS);

    host_mkdir(t, "d");
    set_list(t, "d", &d);
    CHECK(t, shows(t, "d", &d));
}

static void a_protected_list_stays_protected(struct t *t)
{
    struct descriptor d = for_two(0), got;

    make(t, "f");
    d.bytes[3] |= PROTECTED;
    set_list(t, "f", &d);
    got = get(t, "f");
    EQUAL(t, PROTECTED, got.bytes[3] & PROTECTED);
}

static void writing_back_what_was_read_stores_nothing(struct t *t)
{
    struct descriptor d;

    make(t, "f");
    d = get(t, "f");
    OK(t, set(t, "f", ALL_OF_IT, &d));
    CHECK(t, !host_xattr(t, "f", STORED));
    EQUAL(t, 0664, host_mode(t, "f"));
}

static void the_list_for_auditing_takes_a_right(struct t *t)
{
    make(t, "f");
    handle h = OPEN(t, "f", .access = READ_CONTROL);
    EXPECT(t, STATUS_ACCESS_DENIED, nt_security(t, h, SACL_SECURITY_INFORMATION, 512));
}

static void a_renamed_file_keeps_its_list(struct t *t)
{
    struct descriptor d = for_two(0);

    make(t, "f");
    set_list(t, "f", &d);
    OK(t, nt_move(t, "f", "g", false));
    CHECK(t, shows(t, "g", &d));
}

static void read_only_leaves_the_list(struct t *t)
{
    struct descriptor d = for_two(0);

    make(t, "f");
    set_list(t, "f", &d);
    handle h = OPEN(t, "f", .access = FILE_WRITE_ATTRIBUTES);
    OK(t, nt_set_attributes(t, h, FILE_ATTRIBUTE_READONLY));
    EQUAL(t, 0400, host_mode(t, "f"));
    CHECK(t, shows(t, "f", &d));
    OK(t, nt_set_attributes(t, h, FILE_ATTRIBUTE_NORMAL));
    CHECK(t, shows(t, "f", &d));
}

static void overwriting_leaves_the_list(struct t *t)
{
    struct descriptor d = for_two(0);

    make(t, "f");
    set_list(t, "f", &d);
    OK(t, TRY(t, "f", .disposition = FILE_OVERWRITE, .attributes = FILE_ATTRIBUTE_READONLY));
    CHECK(t, shows(t, "f", &d));
}

static void writing_leaves_the_list(struct t *t)
{
    struct descriptor d = for_two(0);

    make(t, "f");
    set_list(t, "f", &d);
    nt_puts(t, OPEN(t, "f"), 0, "more");
    CHECK(t, shows(t, "f", &d));
}

/* ---- who may --------------------------------------------------------------------------------- */

static void who_is_not_named_may_nothing(struct t *t)
{
    struct descriptor d = empty();

    make(t, "f");
    add(&d, ALLOW, 0, FILE_ALL_ACCESS, &administrators);
    set_list(t, "f", &d);
    nt_run_as(t, DOOR_TOKEN_USER);
    EXPECT(t, STATUS_ACCESS_DENIED, TRY(t, "f", .access = FILE_READ_DATA));
    nt_run_as(t, DOOR_TOKEN_ADMIN);
    OK(t, TRY(t, "f"));
}

static void who_may_read_may_not_write(struct t *t)
{
    struct descriptor d = for_two(0);

    make(t, "f");
    set_list(t, "f", &d);
    nt_run_as(t, DOOR_TOKEN_USER);
    OK(t, TRY(t, "f", .access = FILE_GENERIC_READ));
    EXPECT(t, STATUS_ACCESS_DENIED, TRY(t, "f", .access = FILE_WRITE_DATA));
}

static void an_entry_that_denies_is_obeyed(struct t *t)
{
    struct descriptor d = empty();

    make(t, "f");
    add(&d, DENY, 0, FILE_WRITE_DATA, &the_user);
    add(&d, ALLOW, 0, FILE_ALL_ACCESS, &everyone);
    set_list(t, "f", &d);
    EQUAL(t, 0664, host_mode(t, "f"));
    OK(t, TRY(t, "f", .access = FILE_WRITE_DATA));
    nt_run_as(t, DOOR_TOKEN_USER);
    EXPECT(t, STATUS_ACCESS_DENIED, TRY(t, "f", .access = FILE_WRITE_DATA));
    OK(t, TRY(t, "f", .access = FILE_READ_DATA));
}

static void a_directory_denies_new_files(struct t *t)
{
    struct descriptor d = for_two(0);

    host_mkdir(t, "d");
    set_list(t, "d", &d);
    nt_run_as(t, DOOR_TOKEN_USER);
    EXPECT(t, STATUS_ACCESS_DENIED, TRY(t, "d\\f", .disposition = FILE_CREATE));
    nt_run_as(t, DOOR_TOKEN_ADMIN);
    OK(t, TRY(t, "d\\f", .disposition = FILE_CREATE));
}

static void administrators_take_ownership(struct t *t)
{
    struct descriptor d = empty(), owner = empty(), got;

    make(t, "f");
    add_sid(&d, 4, &the_user);
    add(&d, ALLOW, 0, FILE_ALL_ACCESS, &the_user);
    add(&d, ALLOW, 0, WRITE_OWNER | READ_CONTROL, &administrators);
    OK(t, set(t, "f", OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION, &d));
    EXPECT(t, STATUS_ACCESS_DENIED, TRY(t, "f", .access = WRITE_DAC));
    add_sid(&owner, 4, &administrators);
    handle h = OPEN(t, "f", .access = WRITE_OWNER);
    OK(t, nt_set_security(t, h, OWNER_SECURITY_INFORMATION, owner.bytes, owner.n));
    got = get(t, "f");
    CHECK(t, has_sid(&got, 4, &administrators) && same_list(&got, &d));
    OK(t, TRY(t, "f", .access = WRITE_DAC));
}

/* ---- new files ------------------------------------------------------------------------------- */

static void a_new_file_inherits(struct t *t)
{
    struct descriptor d = for_two(OBJECTS | CONTAINERS), want = for_two(INHERITED), got;

    host_mkdir(t, "d");
    set_list(t, "d", &d);
    MAKE_FILE(t, "d\\f");
    got = get(t, "d\\f");
    CHECK(t, same_list(&got, &want));
    CHECK(t, has_sid(&got, 4, &the_admin));
    CHECK(t, host_xattr(t, "d\\f", STORED) != NULL);
}

static void a_tree_inherits_to_its_leaves(struct t *t)
{
    struct descriptor d = for_two(OBJECTS | CONTAINERS), got;

    host_mkdir(t, "d");
    set_list(t, "d", &d);
    MKDIR(t, "d\\e");
    MKDIR(t, "d\\e\\f");
    MAKE_FILE(t, "d\\e\\f\\g");
    got = get(t, "d\\e\\f");
    EQUAL(t, OBJECTS | CONTAINERS | INHERITED, flags_of_first(&got));
    got = get(t, "d\\e\\f\\g");
    EQUAL(t, INHERITED, flags_of_first(&got));
    nt_run_as(t, DOOR_TOKEN_USER);
    OK(t, TRY(t, "d\\e\\f\\g", .access = FILE_GENERIC_READ));
    EXPECT(t, STATUS_ACCESS_DENIED, TRY(t, "d\\e\\f\\g", .access = FILE_WRITE_DATA));
}

static void a_new_file_elsewhere_stores_nothing(struct t *t)
{
    MKDIR(t, "d");
    MAKE_FILE(t, "d\\f");
    CHECK(t, !host_xattr(t, "d", STORED) && !host_xattr(t, "d\\f", STORED));
    EQUAL(t, 0664, host_mode(t, "d\\f"));
}

static void a_new_file_keeps_what_it_was_given(struct t *t)
{
    struct descriptor d = for_two(0);

    MAKE(t, "f", .sd = d.bytes, .sd_len = d.n);
    CHECK(t, shows(t, "f", &d));
    nt_run_as(t, DOOR_TOKEN_USER);
    EXPECT(t, STATUS_ACCESS_DENIED, TRY(t, "f", .access = FILE_WRITE_DATA));
}

/* ---- the host's side ------------------------------------------------------------------------- */

static bool shows_its_mode(struct t *t, const char *name)
{
    struct descriptor got = get(t, name);

    return has_sid(&got, 4, &everyone);
}

static void a_mode_set_by_the_host_makes_it_void(struct t *t)
{
    struct descriptor d = for_two(0);

    make(t, "f");
    set_list(t, "f", &d);
    CHECK(t, !shows_its_mode(t, "f"));
    host_chmod(t, "f", 0644);
    EVENTUALLY(t, shows_its_mode(t, "f"));
}

static void an_owner_set_by_the_host_makes_it_void(struct t *t)
{
    struct descriptor d = for_two(0);

    make(t, "f");
    set_list(t, "f", &d);
    CHECK(t, !shows_its_mode(t, "f"));
    EQUAL(t, 0, chown(host_path(t, "f"), 1234, 4321));
    EVENTUALLY(t, shows_its_mode(t, "f"));
}

/* user::rw-, user:77:rwx, group::---, mask::---, other::---, as acl(5) has it on disk */
static void a_posix_acl_set_by_the_host_makes_it_void(struct t *t)
{
    static const uint8_t acl[] = {2,    0,    0,    0,    1,    0,    6,  0,    0xff, 0xff, 0xff,
                                  0xff, 2,    0,    7,    0,    77,   0,  0,    0,    4,    0,
                                  0,    0,    0xff, 0xff, 0xff, 0xff, 16, 0,    0,    0,    0xff,
                                  0xff, 0xff, 0xff, 32,   0,    0,    0,  0xff, 0xff, 0xff, 0xff};
    struct descriptor d = for_two(0);

    make(t, "f");
    set_list(t, "f", &d);
    EQUAL(t, 0600, host_mode(t, "f"));
    CHECK(t, !shows_its_mode(t, "f"));
    EQUAL(t, 0, setxattr(host_path(t, "f"), "system.posix_acl_access", acl, sizeof(acl), 0));
    EQUAL(t, 0600, host_mode(t, "f")); /* the mode does not tell */
    EVENTUALLY(t, shows_its_mode(t, "f"));
}

static void users_of_the_host_lose_what_everyone_loses(struct t *t)
{
    struct descriptor d = for_two(0);

    make(t, "f");
    set_list(t, "f", &d);
    EQUAL(t, 0600, host_mode(t, "f"));
}

static void users_of_windows_are_nobody_on_the_host(struct t *t)
{
    struct descriptor d = empty();

    make(t, "f");
    host_chmod(t, "f", 0600);
    add(&d, ALLOW, 0, FILE_ALL_ACCESS, &users);
    set_list(t, "f", &d);
    EQUAL(t, 0, host_mode(t, "f") & 077);
}

static void a_corrupt_value_shows_the_mode(struct t *t)
{
    make(t, "f");
    host_setxattr(t, "f", STORED, "nonsense, and long enough to be something");
    CHECK(t, shows_its_mode(t, "f"));
}

static void a_value_of_another_file_does_not_hold(struct t *t)
{
    struct descriptor d = for_two(0);
    uint8_t value[512];

    make(t, "f");
    make(t, "g");
    set_list(t, "f", &d);
    ssize_t n = getxattr(host_path(t, "f"), STORED, value, sizeof(value));
    CHECK(t, n > 0 && setxattr(host_path(t, "g"), STORED, value, (size_t)n, 0) == 0);
    EVENTUALLY(t, shows_its_mode(t, "g")); /* its mode is another one */
}

#define ON_ACL(fn) CASE_ON(fn, VOLUME_ACL)
static const struct test_case cases[] = {
    ON_ACL(a_file_without_one_shows_its_mode),
    ON_ACL(a_list_that_was_set_comes_back),
    ON_ACL(it_is_kept_where_samba_keeps_it),
    ON_ACL(an_owner_is_kept),
    ON_ACL(a_group_is_kept),
    ON_ACL(parts_that_are_not_set_stay),
    ON_ACL(not_everybody_owns_a_file_with_a_list),
    ON_ACL(flags_of_inheritance_are_kept),
    ON_ACL(a_protected_list_stays_protected),
    ON_ACL(writing_back_what_was_read_stores_nothing),
    ON_ACL(the_list_for_auditing_takes_a_right),
    ON_ACL(a_renamed_file_keeps_its_list),
    ON_ACL(read_only_leaves_the_list),
    ON_ACL(overwriting_leaves_the_list),
    ON_ACL(writing_leaves_the_list),
    ON_ACL(who_is_not_named_may_nothing),
    ON_ACL(who_may_read_may_not_write),
    ON_ACL(an_entry_that_denies_is_obeyed),
    ON_ACL(a_directory_denies_new_files),
    ON_ACL(administrators_take_ownership),
    ON_ACL(a_new_file_inherits),
    ON_ACL(a_tree_inherits_to_its_leaves),
    ON_ACL(a_new_file_elsewhere_stores_nothing),
    ON_ACL(a_new_file_keeps_what_it_was_given),
    ON_ACL(a_mode_set_by_the_host_makes_it_void),
    ON_ACL(an_owner_set_by_the_host_makes_it_void),
    ON_ACL(a_posix_acl_set_by_the_host_makes_it_void),
    ON_ACL(users_of_the_host_lose_what_everyone_loses),
    ON_ACL(users_of_windows_are_nobody_on_the_host),
    ON_ACL(a_corrupt_value_shows_the_mode),
    ON_ACL(a_value_of_another_file_does_not_hold),
};
GROUP(acl, cases);
