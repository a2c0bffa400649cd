// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_caps.c - the capabilities that are left, bit by bit
 */
#include "cmocka_all.h"
#include "jail.h"

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cap-ng.h>

#define BIT(cap) (UINT64_C(1) << (cap))
#define SERVING                                                                                    \
    (BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) | BIT(CAP_FSETID) |                  \
     BIT(CAP_SETGID) | BIT(CAP_SETUID) | BIT(CAP_MKNOD) | BIT(CAP_SETFCAP))

struct sets {
    uint64_t effective, permitted, inheritable, bounding, ambient;
};

static bool read_sets(struct sets *s)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];

    memset(s, 0, sizeof *s);
    if (syscall(SYS_capget, &head, data) < 0)
        return false;
    s->effective = data[0].effective | (uint64_t)data[1].effective << 32;
    s->permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
    s->inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
    for (unsigned cap = 0; cap < 64; cap++) {
        if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1)
            s->bounding |= BIT(cap);
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) == 1)
            s->ambient |= BIT(cap);
    }
    return true;
}

static uint64_t expected;

static int caps_are_as_expected(struct jail *jail, struct sandbox *sb)
{
    struct sets s;

    (void)jail;
    (void)sb;
    INSIDE(read_sets(&s));
    INSIDE(s.effective == expected);
    INSIDE(s.permitted == expected);
    INSIDE(s.bounding == expected);
    INSIDE(s.inheritable == 0);
    INSIDE(s.ambient == 0);
    return 0;
}

static int run(enum conf_sandbox mode, enum conf_handles handles, const char *modcaps)
{
    struct jail jail;
    int status;

    jail_make(&jail, mode);
    jail.lock = true;
    jail.conf.inode_file_handles = handles;
    jail.conf.modcaps = modcaps;
    jail.inside = caps_are_as_expected;
    status = jail_run(&jail);
    jail_free(&jail);
    return status;
}

static void test_root_keeps_what_serving_files_takes(void **state)
{
    (void)state;
    ROOT_ONLY();
    for (int mode = SANDBOX_NAMESPACE; mode <= SANDBOX_NONE; mode++) {
        expected = SERVING | BIT(CAP_DAC_READ_SEARCH);
        assert_int_equal(run((enum conf_sandbox)mode, HANDLES_PREFER, NULL), 0);
        expected = SERVING;
        assert_int_equal(run((enum conf_sandbox)mode, HANDLES_NEVER, NULL), 0);
    }
}

static void test_modcaps_adds_and_removes(void **state)
{
    (void)state;
    ROOT_ONLY();
    expected = (SERVING | BIT(CAP_SYS_ADMIN) | BIT(CAP_LINUX_IMMUTABLE)) & ~BIT(CAP_MKNOD);
    assert_int_equal(
        run(SANDBOX_NAMESPACE, HANDLES_NEVER, "+sys_admin:-mknod:+CAP_LINUX_IMMUTABLE"), 0);
}

static void test_modcaps_that_mean_nothing_are_refused(void **state)
{
    (void)state;
    assert_int_equal(run(SANDBOX_NONE, HANDLES_NEVER, "+fly"), 97);
    assert_int_equal(run(SANDBOX_NONE, HANDLES_NEVER, "sys_admin"), 97);
    assert_int_equal(run(SANDBOX_NONE, HANDLES_NEVER,
                         "+chown:"
                         "+an_unreasonably_long_capability_name"),
                     97);
    assert_int_equal(run(SANDBOX_NONE, HANDLES_NEVER, "+"), 97);
}

static void without_sys_admin(struct jail *jail)
{
    (void)jail;
    capng_get_caps_process();
    capng_update(CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_SYS_ADMIN);
    capng_apply(CAPNG_SELECT_CAPS);
}

static void test_modcaps_cannot_add_what_is_not_held(void **state)
{
    struct jail jail;

    (void)state;
    ROOT_ONLY();
    jail_make(&jail, SANDBOX_CHROOT);
    jail.before = without_sys_admin;
    jail.lock = true;
    jail.conf.modcaps = "+sys_admin";
    jail.inside = caps_are_as_expected;
    assert_int_equal(jail_run(&jail), 97);
    jail_free(&jail);
}

static void with_two_capabilities(struct jail *jail)
{
    /* what file capabilities or a systemd unit may give to a user: kept over the change of user */
    (void)jail;
    capng_clear(CAPNG_SELECT_BOTH);
    capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_CHOWN, CAP_LEASE, -1);
    if (capng_change_id(NOBODY, NOBODY, CAPNG_DROP_SUPP_GRP) < 0)
        _exit(96);
}

static int two_are_kept(struct jail *jail, struct sandbox *sb)
{
    struct sets s;

    (void)jail;
    INSIDE(read_sets(&s));
    INSIDE(s.permitted == (BIT(CAP_CHOWN) | BIT(CAP_LEASE)));
    INSIDE(s.effective == s.permitted);
    INSIDE(!sb->can_setid);
    INSIDE(!sb->can_handles);
    return 0;
}

static void test_a_user_without_sandbox_keeps_what_he_was_given(void **state)
{
    struct jail jail;

    (void)state;
    ROOT_ONLY();
    jail_make(&jail, SANDBOX_NONE);
    jail.before = with_two_capabilities;
    jail.lock = true;
    jail.inside = two_are_kept;
    assert_int_equal(jail_run(&jail), 0);
    jail_free(&jail);
}

/* ---- what is found out --------------------------------------------------------------------- */

static bool want_handles, want_setid;

static int findings_are_as_expected(struct jail *jail, struct sandbox *sb)
{
    (void)jail;
    INSIDE(sb->can_handles == want_handles);
    INSIDE(sb->can_setid == want_setid);
    return 0;
}

static int find_out(struct jail *jail, bool handles, bool setid)
{
    want_handles = handles;
    want_setid = setid;
    jail->lock = true;
    jail->inside = findings_are_as_expected;
    return jail_run(jail);
}

static void test_root_can_open_handles_and_act_for_others(void **state)
{
    struct jail jail;

    (void)state;
    ROOT_ONLY();
    jail_make(&jail, SANDBOX_NAMESPACE);
    assert_int_equal(find_out(&jail, true, true), 0);
    jail.conf.inode_file_handles = HANDLES_MANDATORY;
    assert_int_equal(find_out(&jail, true, true), 0);
    jail.conf.inode_file_handles = HANDLES_NEVER;
    assert_int_equal(find_out(&jail, false, true), 0);
    jail.conf.inode_file_handles = HANDLES_PREFER;
    jail.conf.modcaps = "-setuid:-dac_read_search";
    assert_int_equal(find_out(&jail, false, false), 0);
    jail_free(&jail);
}

static void test_a_user_namespace_can_do_neither(void **state)
{
    struct jail jail;

    (void)state;
    jail_make(&jail, SANDBOX_NAMESPACE);
    jail.uid = geteuid() == 0 ? NOBODY : 0;
    assert_int_equal(find_out(&jail, false, false), 0);
    jail.conf.inode_file_handles = HANDLES_MANDATORY;
    assert_int_equal(find_out(&jail, false, false), 97);
    jail_free(&jail);
}

static void on_a_file_system_without_handles(struct jail *jail)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) < 0 ||
        mount("proc", jail->share, "proc", 0, NULL) < 0)
        _exit(96);
}

static void test_permission_is_known_even_where_the_root_has_no_handles(void **state)
{
    struct jail jail;

    (void)state;
    ROOT_ONLY();
    jail_make(&jail, SANDBOX_NAMESPACE);
    jail.before = on_a_file_system_without_handles;
    assert_int_equal(find_out(&jail, true, true), 0);
    jail.conf.inode_file_handles = HANDLES_MANDATORY;
    assert_int_equal(find_out(&jail, true, true), 97);
    jail_free(&jail);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_root_keeps_what_serving_files_takes),
        cmocka_unit_test(test_modcaps_adds_and_removes),
        cmocka_unit_test(test_modcaps_that_mean_nothing_are_refused),
        cmocka_unit_test(test_modcaps_cannot_add_what_is_not_held),
        cmocka_unit_test(test_a_user_without_sandbox_keeps_what_he_was_given),
        cmocka_unit_test(test_root_can_open_handles_and_act_for_others),
        cmocka_unit_test(test_a_user_namespace_can_do_neither),
        cmocka_unit_test(test_permission_is_known_even_where_the_root_has_no_handles),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
