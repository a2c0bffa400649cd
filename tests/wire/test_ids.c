// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_ids.c - ids that must not slip past --translate-uid and --translate-gid
 */
#include "tests/wire/wire.h"

static void needs_root(void)
{
    if (geteuid() != 0) {
        print_message("needs root: acts as other users\n");
        skip();
    }
}

static void act_as(struct wire *w, uint32_t uid, uint32_t gid)
{
    w->c.uid = uid;
    w->c.gid = gid;
}

/* Every id that there is. */
#define SQUASH_ALL "squash-guest:0:1000:4294967294"

static void test_the_id_that_means_no_change_makes_nothing(void **state)
{
    (void)state;
    needs_root();
    struct wire *w = wire_up("--translate-uid=" SQUASH_ALL, "--translate-gid=" SQUASH_ALL);
    struct fuse_entry_out e;

    act_as(w, UINT32_MAX, 0);
    assert_errno(fc_mkdir(&w->c, FC_ROOT, "a", 0755, &e), EPERM);
    act_as(w, 0, UINT32_MAX);
    assert_errno(fc_mkdir(&w->c, FC_ROOT, "b", 0755, &e), EPERM);
    assert_false(host_exists(w, "a"));
    assert_false(host_exists(w, "b"));
}

/* MKDIR with a supplementary group, as Linux 6.3 sends it. */
static ssize_t mkdir_in_group(struct wire *w, uint64_t parent, const char *name, uint32_t group)
{
    struct fuse_mkdir_in in = {.mode = 0755};
    struct {
        struct fuse_ext_header head;
        uint32_t nr_groups, group; /* struct viofs_supp_groups */
    } ext = {{.size = 16, .type = VIOFS_FUSE_EXT_GROUPS}, 1, group};
    struct fc_part parts[] = {{&in, sizeof(in)}, {name, strlen(name) + 1}, {&ext, sizeof(ext)}};
    struct fuse_entry_out e;

    return fc_call(&w->c, FUSE_MKDIR, parent, parts, ARRAY(parts), &e, sizeof(e));
}

static void test_supplementary_groups_are_translated(void **state)
{
    (void)state;
    needs_root();
    struct wire *w = wire_start(&(struct wire_options){
        .args = (const char *const[]){"--translate-gid=map:100:5000:1", NULL}, .no_init = true});

    assert_ok(fc_init_as(&w->c, 38, FC_LINUX_FLAGS | FUSE_CREATE_SUPP_GROUP));
    host_mkdir(w, "team");
    assert_ok(chown(host(w, "team"), 0, 5000));
    assert_ok(chmod(host(w, "team"), 0770));
    uint64_t team = node(w, FC_ROOT, "team");
    act_as(w, 1000, 1000);
    assert_true(mkdir_in_group(w, team, "d", 100) > 0);
    assert_int_equal(host_stat(w, "team/d").st_uid, 1000);
    /* A host's group by its own number is nobody's in the guest. */
    assert_errno(mkdir_in_group(w, team, "other", 101), EACCES);
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(test_the_id_that_means_no_change_makes_nothing),
    WIRE_TEST(test_supplementary_groups_are_translated),
};
WIRE_MAIN("ids", tests)
