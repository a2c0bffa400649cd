// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_idmap.c - started without root: a user namespace and its maps
 *
 * newuidmap and newgidmap are the system's own. What they grant is in /etc/subuid and /etc/subgid, which
 * the tests cover with files of their own in a private mount namespace.
 */
#include "cmocka_all.h"
#include "jail.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static struct stat owner_of(const struct sandbox *sb, const char *name)
{
    struct stat st = {.st_uid = (uid_t)-1, .st_gid = (gid_t)-1};

    (void)!fstatat(sb->root_fd, name, &st, AT_SYMLINK_NOFOLLOW);
    return st;
}

static int make_file(const struct sandbox *sb, const char *name)
{
    int fd = openat(sb->root_fd, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);

    if (fd >= 0)
        close(fd);
    return fd < 0 ? -errno : 0;
}

/* ---- without maps -------------------------------------------------------------------------- */

static int is_the_user_still(struct jail *jail, struct sandbox *sb)
{
    uid_t uid = jail->uid ? jail->uid : getuid();

    INSIDE(getpid() == 1);
    INSIDE(geteuid() == uid);
    INSIDE(access("/proc", F_OK) < 0);
    INSIDE(sb->nodev);
    INSIDE(make_file(sb, "mine") == 0);
    INSIDE(owner_of(sb, "mine").st_uid == uid);
    INSIDE(fchownat(sb->root_fd, "mine", 0, 0, 0) < 0); /* not mapped */
    INSIDE(setresuid((uid_t)-1, 0, (uid_t)-1) < 0);
    return 0;
}

static void test_a_user_serves_as_himself_and_nobody_else(void **state)
{
    struct jail jail;
    struct stat st;

    (void)state;
    jail_make(&jail, SANDBOX_NAMESPACE);
    if (geteuid() == 0) {
        jail.uid = NOBODY;
        assert_return_code(chown(jail.share, NOBODY, NOBODY), errno);
    }
    jail.inside = is_the_user_still;
    assert_int_equal(jail_run(&jail), 0);
    assert_return_code(stat(jail_path(&jail, "share/mine"), &st), errno);
    assert_int_equal(st.st_uid, jail.uid ? jail.uid : geteuid());
    jail_free(&jail);
}

/* ---- with maps ----------------------------------------------------------------------------- */

static const struct conf_idmap sub_map[] = {{0, NOBODY, 1}, {1, 200000, 1000}};

/* Cover /etc/subuid and /etc/subgid with @text. */
static void grant(struct jail *jail, const char *text)
{
    FILE *f = fopen(jail_path(jail, "sub"), "we");

    if (!f || fputs(text, f) < 0 || fclose(f) < 0 || unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) < 0 ||
        mount(jail_path(jail, "sub"), "/etc/subuid", NULL, MS_BIND, NULL) < 0 ||
        mount(jail_path(jail, "sub"), "/etc/subgid", NULL, MS_BIND, NULL) < 0)
        _exit(96);
}

static void grant_thousand(struct jail *jail)
{
    grant(jail, "nobody:200000:1000\n");
}

static void grant_little(struct jail *jail)
{
    grant(jail, "nobody:200000:10\n");
}

static void hide_newuidmap(struct jail *jail)
{
    grant_thousand(jail);
    setenv("PATH", "/nonexistent", 1);
}

static int many_ids_work(struct jail *jail, struct sandbox *sb)
{
    (void)jail;
    INSIDE(geteuid() == 0 && getegid() == 0);
    INSIDE(sb->can_setid);
    INSIDE(getgroups(0, NULL) == 0);
    INSIDE(make_file(sb, "as-0") == 0);
    INSIDE(setgroups(1, (gid_t[]){7}) == 0);
    INSIDE(setresgid((gid_t)-1, 5, (gid_t)-1) == 0);
    INSIDE(setresuid((uid_t)-1, 5, (uid_t)-1) == 0);
    INSIDE(make_file(sb, "as-5") == 0);
    INSIDE(setresuid((uid_t)-1, 0, (uid_t)-1) == 0);
    INSIDE(setresgid((gid_t)-1, 0, (gid_t)-1) == 0);
    INSIDE(fchownat(sb->root_fd, "as-0", 1000, 1000, 0) == 0);
    INSIDE(owner_of(sb, "as-5").st_uid == 5);
    INSIDE(setresuid((uid_t)-1, 1001, (uid_t)-1) < 0 && errno == EINVAL);
    return 0;
}

static void prepare_maps(struct jail *jail, uid_t owner)
{
    jail_make(jail, SANDBOX_NAMESPACE);
    assert_return_code(chown(jail->share, owner, owner), errno);
    assert_return_code(chmod(jail->share, 0777), errno);
    jail->conf.uid_map = jail->conf.gid_map = (struct conf_idmap *)sub_map;
    jail->conf.n_uid_map = jail->conf.n_gid_map = 2;
    jail->lock = true;
}

static void check_owners(struct jail *jail)
{
    struct stat st;

    assert_return_code(stat(jail_path(jail, "share/as-5"), &st), errno);
    assert_int_equal(st.st_uid, 200004);
    assert_int_equal(st.st_gid, 200004);
    assert_return_code(stat(jail_path(jail, "share/as-0"), &st), errno);
    assert_int_equal(st.st_uid, 200999);
}

static void test_a_user_with_maps_serves_many_ids(void **state)
{
    struct jail jail;

    (void)state;
    ROOT_ONLY();
    prepare_maps(&jail, NOBODY);
    jail.uid = NOBODY;
    jail.before = grant_thousand;
    jail.inside = many_ids_work;
    assert_int_equal(jail_run(&jail), 0);
    check_owners(&jail);
    jail_free(&jail);
}

static void test_root_with_maps_serves_many_ids_without_any_grant(void **state)
{
    struct jail jail;

    (void)state;
    ROOT_ONLY();
    prepare_maps(&jail, NOBODY);
    jail.inside = many_ids_work;
    assert_int_equal(jail_run(&jail), 0);
    check_owners(&jail);
    jail_free(&jail);
}

static void test_ranges_that_are_not_granted_are_refused(void **state)
{
    struct jail jail;

    (void)state;
    ROOT_ONLY();
    prepare_maps(&jail, NOBODY);
    jail.uid = NOBODY;
    jail.before = grant_little;
    jail.inside = many_ids_work;
    assert_int_equal(jail_run(&jail), 99);
    jail_free(&jail);
}

static void test_maps_without_newuidmap_are_refused(void **state)
{
    struct jail jail;

    (void)state;
    ROOT_ONLY();
    prepare_maps(&jail, NOBODY);
    jail.uid = NOBODY;
    jail.before = hide_newuidmap;
    jail.inside = many_ids_work;
    assert_int_equal(jail_run(&jail), 99);
    jail_free(&jail);
}

static void test_overlapping_maps_are_refused(void **state)
{
    static const struct conf_idmap twice[] = {{0, 1000, 10}, {5, 2000, 10}};
    struct jail jail;

    (void)state;
    ROOT_ONLY();
    prepare_maps(&jail, 0);
    jail.conf.uid_map = (struct conf_idmap *)twice;
    jail.inside = many_ids_work;
    assert_int_equal(jail_run(&jail), 99);
    jail_free(&jail);
}

static void test_maps_without_namespaces_are_refused(void **state)
{
    struct jail jail;

    (void)state;
    ROOT_ONLY();
    prepare_maps(&jail, 0);
    jail.conf.sandbox = SANDBOX_NONE;
    jail.inside = many_ids_work;
    assert_int_equal(jail_run(&jail), 99);
    jail_free(&jail);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_user_serves_as_himself_and_nobody_else),
        cmocka_unit_test(test_a_user_with_maps_serves_many_ids),
        cmocka_unit_test(test_root_with_maps_serves_many_ids_without_any_grant),
        cmocka_unit_test(test_ranges_that_are_not_granted_are_refused),
        cmocka_unit_test(test_maps_without_newuidmap_are_refused),
        cmocka_unit_test(test_overlapping_maps_are_refused),
        cmocka_unit_test(test_maps_without_namespaces_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
