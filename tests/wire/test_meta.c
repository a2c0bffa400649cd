// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_meta.c - what Windows wants to know of a file with each entry (VIOFS_FEATURE_META)
 */
#include <sys/xattr.h>

#include "lib/fuse/fuse_proto.h"
#include "tests/wire/wire.h"

enum { HIDDEN = 0x2, ARCHIVE = 0x20 };
#define CREATED 0x01c07468aa5cc080u /* 2001-01-02 03:04:05 */

static const uint8_t hidden_since_2001[24] = {0,    0,    5,    0,    5,      0,    0,    0,
                                              0x11, 0,    0,    0,    HIDDEN, 0,    0,    0,
                                              0x80, 0xc0, 0x5c, 0xaa, 0x68,   0x74, 0xc0, 1};

static uint32_t probe(struct wire *w, uint32_t wanted)
{
    struct fuse_viofs_probe_in in = {.version = VIOFS_EXT_VERSION, .wanted = wanted};
    struct fuse_viofs_probe_out out;

    assert_int_equal(raw(w, VIOFS_PROBE, FC_ROOT, &in, sizeof(in), &out, sizeof(out)), sizeof(out));
    return out.features;
}

/* Directories of the tests are where user.* works. */
static struct wire *wire_wanting_in(const char *parent, uint32_t wanted, const char *option)
{
    struct wire *w = wire_start(&(struct wire_options){.args = (const char *const[]){option, NULL},
                                                       .daemon = {.parent = parent}});

    host_write(w, "f", "four");
    if (setxattr(host(w, "f"), "user.probe", "x", 1, 0) < 0)
        skip();
    assert_ok(removexattr(host(w, "f"), "user.probe"));
    probe(w, wanted);
    return w;
}

static struct wire *wire_wanting(uint32_t wanted, const char *option)
{
    return wire_wanting_in("/var/tmp", wanted, option);
}

static void host_set(struct wire *w, const char *rel, const char *name, const void *value, size_t n)
{
    assert_ok(lsetxattr(host(w, rel), name, value, n, 0));
}

static struct fuse_viofs_ext looked_up(struct wire *w, const char *name)
{
    struct {
        struct fuse_entry_out e;
        struct fuse_viofs_ext ext;
    } l;

    assert_int_equal(raw(w, VIOFS_LOOKUP, FC_ROOT, name, strlen(name) + 1, &l, sizeof(l)),
                     sizeof(l));
    return l.ext;
}

static struct fuse_viofs_ext attributes(struct wire *w, const char *name)
{
    struct {
        struct fuse_attr_out a;
        struct fuse_viofs_ext ext;
    } g;
    struct fuse_getattr_in in = {0};

    assert_int_equal(raw(w, VIOFS_GETATTR, node(w, FC_ROOT, name), &in, sizeof(in), &g, sizeof(g)),
                     sizeof(g));
    return g.ext;
}

/* The entry of a name in a listing of the root. */
static struct fuse_viofs_ext listed(struct wire *w, const char *name)
{
    static uint8_t buf[4096];
    struct fuse_read_in in = {.fh = open_dir(w, FC_ROOT), .size = sizeof(buf)};
    ssize_t n = raw(w, VIOFS_READDIRPLUS, FC_ROOT, &in, sizeof(in), buf, sizeof(buf));

    assert_true(n > 0);
    for (ssize_t at = 0; at < n;) {
        struct fuse_viofs_ext ext;
        struct fuse_dirent d;
        const size_t before = sizeof(struct fuse_entry_out) + sizeof(ext);

        memcpy(&ext, buf + at + sizeof(struct fuse_entry_out), sizeof(ext));
        memcpy(&d, buf + at + before, FUSE_NAME_OFFSET);
        if (d.namelen == strlen(name) &&
            memcmp(buf + at + before + FUSE_NAME_OFFSET, name, d.namelen) == 0)
            return ext;
        at += (ssize_t)((before + FUSE_NAME_OFFSET + d.namelen + 7) & ~(size_t)7);
    }
    fail_msg("%s is not listed", name);
    return (struct fuse_viofs_ext){0};
}

static struct fuse_viofs_ext created(struct wire *w, const char *name, uint32_t flags)
{
    struct {
        struct fuse_entry_out e;
        struct fuse_viofs_ext ext;
        struct fuse_open_out o;
    } r;
    struct {
        struct fuse_create_in in;
        char name[8];
    } c = {.in = {.flags = O_RDWR | O_CREAT | flags, .mode = S_IFREG | 0644}};

    strcpy(c.name, name);
    assert_int_equal(
        raw(w, VIOFS_CREATE, FC_ROOT, &c, sizeof(c.in) + strlen(name) + 1, &r, sizeof(r)),
        sizeof(r));
    return r.ext;
}

#define KIND(ext) ((ext).flags & ~VIOFS_EXT_BTIME)

/* ---- agreeing ------------------------------------------------------------------------------------------- */

static void test_metadata_is_offered_with_xattr_only(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);

    assert_false(probe(w, UINT32_MAX) & VIOFS_FEATURE_META);
    wire_teardown(NULL);
    w = wire_up("--xattr");
    assert_true(probe(w, UINT32_MAX) & VIOFS_FEATURE_META);
    assert_false(probe(w, VIOFS_FEATURE_BTIME) & VIOFS_FEATURE_META);
}

static void test_who_does_not_want_it_hears_nothing(void **state)
{
    (void)state;
    struct wire *w = wire_wanting(VIOFS_FEATURE_BTIME, "--xattr");

    host_set(w, "f", "user.DOSATTRIB", hidden_since_2001, sizeof(hidden_since_2001));
    assert_int_equal(KIND(looked_up(w, "f")), 0);
    assert_int_equal(KIND(attributes(w, "f")), 0);
    assert_int_equal(KIND(listed(w, "f")), 0);
    assert_int_equal(KIND(created(w, "new", O_EXCL)), 0);
}

static void test_a_new_session_has_to_ask_again(void **state)
{
    (void)state;
    struct wire *w = wire_wanting(VIOFS_FEATURE_META, "--xattr");

    assert_int_equal(KIND(looked_up(w, "f")), VIOFS_EXT_META);
    assert_ok(fc_init(&w->c));
    assert_int_equal(KIND(looked_up(w, "f")), 0);
}

/* ---- what is told ----------------------------------------------------------------------------------------- */

static void test_a_file_without_metadata_says_so(void **state)
{
    (void)state;
    struct wire *w = wire_wanting(VIOFS_FEATURE_META, "--xattr");

    assert_int_equal(KIND(looked_up(w, "f")), VIOFS_EXT_META);
    assert_int_equal(KIND(created(w, "new", O_EXCL)), VIOFS_EXT_META);
    assert_int_equal(looked_up(w, "f").ea_size, 0);
}

static void test_every_entry_tells_attributes_and_creation_time(void **state)
{
    (void)state;
    struct wire *w = wire_wanting(VIOFS_FEATURE_META, "--xattr");
    const uint32_t all = VIOFS_EXT_META | VIOFS_EXT_DOS | VIOFS_EXT_CREATED;

    host_set(w, "f", "user.DOSATTRIB", hidden_since_2001, sizeof(hidden_since_2001));
    const struct fuse_viofs_ext said[] = {looked_up(w, "f"), attributes(w, "f"), listed(w, "f"),
                                          created(w, "f", 0)};
    for (unsigned i = 0; i < ARRAY(said); i++) {
        assert_int_equal(KIND(said[i]), all);
        assert_int_equal(said[i].dos_attributes, HIDDEN);
        assert_int_equal(said[i].create_time, CREATED);
        assert_int_equal(said[i].ea_size, 0);
    }
}

static void test_directories_have_attributes_too(void **state)
{
    (void)state;
    struct wire *w = wire_wanting(VIOFS_FEATURE_META, "--xattr");

    host_mkdir(w, "d");
    host_set(w, "d", "user.DOSATTRIB", "0x12", 4);
    assert_int_equal(looked_up(w, "d").dos_attributes, 0x12);
    assert_int_equal(listed(w, "d").dos_attributes, 0x12);
    assert_int_equal(attributes(w, "d").dos_attributes, 0x12);
    assert_int_equal(KIND(attributes(w, "d")), VIOFS_EXT_META | VIOFS_EXT_DOS);
}

static void test_the_root_looked_up_as_dot_has_its_own(void **state)
{
    (void)state;
    struct wire *w = wire_wanting(VIOFS_FEATURE_META, "--xattr");

    host_set(w, ".", "user.DOSATTRIB", "0x14", 4);
    assert_int_equal(looked_up(w, ".").dos_attributes, 0x14);
    assert_int_equal(looked_up(w, "..").dos_attributes, 0x14);
}

static void test_eas_are_counted_as_ntfs_counts_them(void **state)
{
    (void)state;
    struct wire *w = wire_wanting(VIOFS_FEATURE_META, "--xattr");

    host_set(w, "f", "user.COLOUR", "blue", 4);
    host_set(w, "f", "user.n", "1", 1);
    host_set(w, "f", "user.empty", "", 0);
    host_set(w, "f", "user.DOSATTRIB", "0x20", 4);
    assert_int_equal(looked_up(w, "f").ea_size, 5 + 6 + 4 + 5 + 1 + 1);
    assert_int_equal(listed(w, "f").ea_size, 22);
    assert_int_equal(looked_up(w, "f").dos_attributes, ARCHIVE);
}

static void test_streams_and_acls_are_told_of(void **state)
{
    (void)state;
    struct wire *w = wire_wanting(VIOFS_FEATURE_META, "--xattr");

    host_set(w, "f", "user.DosStream.Zone.Identifier:$DATA", "x", 2);
    assert_int_equal(KIND(looked_up(w, "f")), VIOFS_EXT_META | VIOFS_EXT_STREAMS);
    host_set(w, "f", "user.NTACL", "x", 1);
    assert_int_equal(KIND(listed(w, "f")), VIOFS_EXT_META | VIOFS_EXT_STREAMS | VIOFS_EXT_ACL);
    assert_int_equal(listed(w, "f").ea_size, 0);
}

static void test_names_of_an_xattrmap_count_as_the_guest_sees_them(void **state)
{
    (void)state;
    struct wire *w = wire_wanting(VIOFS_FEATURE_META, "--xattrmap=:map::user.virtiofs.:");

    host_set(w, "f", "user.DOSATTRIB", "0x2", 3);
    assert_int_equal(KIND(looked_up(w, "f")), VIOFS_EXT_META);
    host_set(w, "f", "user.virtiofs.user.DOSATTRIB", "0x4", 3);
    assert_int_equal(looked_up(w, "f").dos_attributes, 4);
}

/* ---- what may be in the way --------------------------------------------------------------------------------- */

static void test_corrupt_and_oversized_attributes_are_none(void **state)
{
    (void)state;
    struct wire *w = wire_wanting(VIOFS_FEATURE_META, "--xattr");
    char long_value[300] = {0};

    host_set(w, "f", "user.DOSATTRIB", "nonsense", 8);
    assert_int_equal(KIND(looked_up(w, "f")), VIOFS_EXT_META);
    host_set(w, "f", "user.DOSATTRIB", "", 0);
    assert_int_equal(KIND(looked_up(w, "f")), VIOFS_EXT_META);
    memcpy(long_value, hidden_since_2001, sizeof(hidden_since_2001));
    host_set(w, "f", "user.DOSATTRIB", long_value, sizeof(long_value));
    assert_int_equal(KIND(looked_up(w, "f")), VIOFS_EXT_META);
}

static void test_links_and_special_files_are_not_looked_at(void **state)
{
    (void)state;
    struct wire *w = wire_wanting(VIOFS_FEATURE_META, "--xattr");

    host_set(w, "f", "user.DOSATTRIB", hidden_since_2001, sizeof(hidden_since_2001));
    assert_ok(symlink("f", host(w, "link")));
    assert_ok(mkfifo(host(w, "fifo"), 0600));
    assert_int_equal(KIND(looked_up(w, "link")), 0);
    assert_int_equal(KIND(listed(w, "link")), 0);
    assert_int_equal(KIND(attributes(w, "link")), 0);
    assert_int_equal(KIND(looked_up(w, "fifo")), 0);
}

static void test_more_eas_than_can_be_counted_are_not_told_of(void **state)
{
    (void)state;
    /* ext4 has no room for so many; tmpfs has, since Linux 6.6 */
    struct wire *w = wire_wanting_in("/dev/shm", VIOFS_FEATURE_META, "--xattr");
    char name[32];

    for (unsigned i = 0; i < 257; i++) {
        snprintf(name, sizeof(name), "user.%u", i);
        if (setxattr(host(w, "f"), name, "", 0, 0) < 0)
            skip(); /* this file system keeps fewer */
    }
    assert_int_equal(KIND(looked_up(w, "f")), 0);
    assert_int_equal(looked_up(w, "f").ea_size, 0);
    wire_alive(w);
}

static void test_an_unlinked_file_that_is_open_still_tells(void **state)
{
    (void)state;
    struct wire *w = wire_wanting(VIOFS_FEATURE_META, "--xattr");
    struct fuse_getattr_in in = {0};
    struct {
        struct fuse_attr_out a;
        struct fuse_viofs_ext ext;
    } g;

    host_set(w, "f", "user.DOSATTRIB", "0x2", 3);
    uint64_t f = node(w, FC_ROOT, "f");
    opened(w, f, O_RDONLY);
    assert_ok(unlink(host(w, "f")));
    assert_int_equal(raw(w, VIOFS_GETATTR, f, &in, sizeof(in), &g, sizeof(g)), sizeof(g));
    assert_int_equal(g.ext.dos_attributes, HIDDEN);
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(test_metadata_is_offered_with_xattr_only),
    WIRE_TEST(test_who_does_not_want_it_hears_nothing),
    WIRE_TEST(test_a_new_session_has_to_ask_again),
    WIRE_TEST(test_a_file_without_metadata_says_so),
    WIRE_TEST(test_every_entry_tells_attributes_and_creation_time),
    WIRE_TEST(test_directories_have_attributes_too),
    WIRE_TEST(test_the_root_looked_up_as_dot_has_its_own),
    WIRE_TEST(test_eas_are_counted_as_ntfs_counts_them),
    WIRE_TEST(test_streams_and_acls_are_told_of),
    WIRE_TEST(test_names_of_an_xattrmap_count_as_the_guest_sees_them),
    WIRE_TEST(test_corrupt_and_oversized_attributes_are_none),
    WIRE_TEST(test_links_and_special_files_are_not_looked_at),
    WIRE_TEST(test_more_eas_than_can_be_counted_are_not_told_of),
    WIRE_TEST(test_an_unlinked_file_that_is_open_still_tells),
};
WIRE_MAIN("meta", tests)
