// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_modes.c - what is in sight inside the three sandboxes
 */
#include "cmocka_all.h"
#include "jail.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <seccomp.h>

/* ---- helpers ------------------------------------------------------------------------------- */

/* Names in the directory @fd, sorted, with a space after each. */
static const char *names_in(int fd)
{
    static char list[4096];
    struct dirent **entries;
    int n = scandirat(fd, ".", &entries, NULL, alphasort);

    list[0] = '\0';
    for (int i = 0; i < n; i++) {
        if (strcmp(entries[i]->d_name, ".") != 0 && strcmp(entries[i]->d_name, "..") != 0)
            strcat(strcat(list, entries[i]->d_name), " ");
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    return n < 0 ? "(unreadable)" : list;
}

/* mountinfo, whole. */
static const char *mountinfo(const struct sandbox *sb)
{
    static char text[1 << 16];
    ssize_t n, len = 0;

    while ((n = pread(sb->mountinfo_fd, text + len, sizeof text - 1 - (size_t)len, len)) > 0)
        len += n;
    text[len] = '\0';
    return n < 0 ? NULL : text;
}

static size_t lines(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += *text == '\n';
    return n;
}

/* Reopen a descriptor through proc_fd, as tree/ does. */
static int reopen(const struct sandbox *sb, int fd, int flags)
{
    char name[12];

    snprintf(name, sizeof name, "%d", fd);
    return openat(sb->proc_fd, name, flags | O_CLOEXEC);
}

/* The same inode? */
static bool same_file(int fd, const struct stat *st)
{
    struct stat other;

    return fstat(fd, &other) == 0 && other.st_dev == st->st_dev && other.st_ino == st->st_ino;
}

static struct stat share_stat, top_stat;

static void remember_host(struct jail *jail)
{
    if (stat(jail->share, &share_stat) < 0 || stat("/", &top_stat) < 0)
        _exit(96);
}

/* ---- namespace ----------------------------------------------------------------------------- */

static int only_share_is_visible(struct jail *jail, struct sandbox *sb)
{
    int root;

    (void)jail;
    INSIDE(same_file(sb->root_fd, &share_stat));
    root = open("/", O_RDONLY | O_DIRECTORY);
    INSIDE(root >= 0);
    INSIDE(same_file(root, &share_stat));
    INSIDE(strcmp(names_in(root), "file ") == 0);
    INSIDE(access("/proc", F_OK) < 0 && errno == ENOENT);
    INSIDE(chdir("..") == 0 && access("file", F_OK) == 0);
    return 0;
}

static void test_namespace_shows_only_the_share(void **state)
{
    struct jail jail;

    (void)state;
    ROOT_ONLY();
    jail_make(&jail, SANDBOX_NAMESPACE);
    jail_write(&jail, "share/file", "x");
    jail_write(&jail, "secret", "x");
    jail.before = remember_host;
    jail.inside = only_share_is_visible;
    assert_int_equal(jail_run(&jail), 0);
    jail_free(&jail);
}

static int nothing_is_mounted_but_the_share(struct jail *jail, struct sandbox *sb)
{
    const char *text = mountinfo(sb);

    (void)jail;
    INSIDE(text != NULL);
    INSIDE(lines(text) == 1);
    INSIDE(strstr(text, " / ") != NULL);
    INSIDE(strstr(text, "nosuid,nodev") != NULL);
    INSIDE(strcmp(sb->mount_prefix, "") == 0);
    INSIDE(sb->nodev);
    return 0;
}

static void test_namespace_has_one_mount_which_is_nodev(void **state)
{
    struct jail jail;

    (void)state;
    ROOT_ONLY();
    jail_make(&jail, SANDBOX_NAMESPACE);
    jail.inside = nothing_is_mounted_but_the_share;
    assert_int_equal(jail_run(&jail), 0);
    jail_free(&jail);
}

static int it_is_alone(struct jail *jail, struct sandbox *sb)
{
    struct if_nameindex *ifs = if_nameindex();

    (void)jail;
    (void)sb;
    INSIDE(getpid() == 1);
    INSIDE(getppid() == 0);
    INSIDE(ifs && ifs[0].if_index && strcmp(ifs[0].if_name, "lo") == 0 && !ifs[1].if_index);
    return 0;
}

static void test_namespace_has_no_other_process_and_no_network(void **state)
{
    struct jail jail;

    (void)state;
    ROOT_ONLY();
    jail_make(&jail, SANDBOX_NAMESPACE);
    jail.inside = it_is_alone;
    assert_int_equal(jail_run(&jail), 0);
    jail_free(&jail);
}

static int proc_leads_nowhere(struct jail *jail, struct sandbox *sb)
{
    int up, file, again;

    (void)jail;
    file = openat(sb->root_fd, "file", O_PATH);
    INSIDE(file >= 0);
    again = reopen(sb, file, O_RDONLY);
    INSIDE(again >= 0);
    /* above the descriptors there is nothing */
    up = openat(sb->proc_fd, "..", O_PATH | O_DIRECTORY);
    INSIDE(up >= 0);
    INSIDE(faccessat(up, "status", F_OK, 0) < 0 && errno == ENOENT);
    INSIDE(openat(sb->proc_fd, "../status", O_RDONLY) < 0 && errno == ENOENT);
    INSIDE(openat(sb->proc_fd, "../../self", O_PATH) < 0 && errno == ENOENT);
    return 0;
}

static void test_proc_fd_reopens_descriptors_and_has_nothing_above_it(void **state)
{
    struct jail jail;

    (void)state;
    ROOT_ONLY();
    jail_make(&jail, SANDBOX_NAMESPACE);
    jail_write(&jail, "share/file", "x");
    jail.inside = proc_leads_nowhere;
    assert_int_equal(jail_run(&jail), 0);
    jail_free(&jail);
}

static void mount_inside_share(struct jail *jail)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) < 0 ||
        mkdir(jail_path(jail, "share/sub"), 0755) < 0 ||
        mount("inner", jail_path(jail, "share/sub"), "tmpfs", 0, NULL) < 0 ||
        mknod(jail_path(jail, "share/sub/null"), S_IFCHR | 0666, makedev(1, 3)) < 0 ||
        mknod(jail_path(jail, "share/null"), S_IFCHR | 0666, makedev(1, 3)) < 0)
        _exit(96);
}

static int devices_cannot_be_opened(struct jail *jail, struct sandbox *sb)
{
    const char *text = mountinfo(sb);

    (void)jail;
    INSIDE(text && lines(text) == 2 && strstr(text, " /sub "));
    INSIDE(openat(sb->root_fd, "null", O_RDWR) < 0 && errno == EACCES);
    INSIDE(openat(sb->root_fd, "sub/null", O_RDWR) < 0 && errno == EACCES);
    return 0;
}

static void test_mounts_inside_the_share_come_along_and_are_nodev(void **state)
{
    struct jail jail;

    (void)state;
    ROOT_ONLY();
    jail_make(&jail, SANDBOX_NAMESPACE);
    jail.before = mount_inside_share;
    jail.inside = devices_cannot_be_opened;
    assert_int_equal(jail_run(&jail), 0);
    jail_free(&jail);
}

static int symlinks_are_data(struct jail *jail, struct sandbox *sb)
{
    char target[32];

    (void)jail;
    INSIDE(readlinkat(sb->root_fd, "link", target, sizeof target) == 4);
    INSIDE(openat(sb->root_fd, "link", O_RDONLY) < 0 && errno == ELOOP);
    return 0;
}

static void test_symlinks_of_the_share_are_readable_and_never_followed(void **state)
{
    struct jail jail;

    (void)state;
    ROOT_ONLY();
    jail_make(&jail, SANDBOX_NAMESPACE);
    jail_write(&jail, "share/file", "x");
    assert_return_code(symlink("file", jail_path(&jail, "share/link")), errno);
    jail.inside = symlinks_are_data;
    assert_int_equal(jail_run(&jail), 0);
    jail_free(&jail);
}

static int set_id_bits_are_stored(struct jail *jail, struct sandbox *sb)
{
    struct stat st;

    (void)jail;
    INSIDE(fstatat(sb->root_fd, "file", &st, 0) == 0 && (st.st_mode & 07777) == 06755);
    INSIDE(fchmodat(sb->root_fd, "file", 04711, 0) == 0);
    INSIDE(fstatat(sb->root_fd, "file", &st, 0) == 0 && (st.st_mode & 07777) == 04711);
    return 0;
}

static void test_nosuid_does_not_hide_set_id_bits(void **state)
{
    struct jail jail;

    (void)state;
    ROOT_ONLY();
    jail_make(&jail, SANDBOX_NAMESPACE);
    jail_write(&jail, "share/file", "x");
    assert_return_code(chmod(jail_path(&jail, "share/file"), 06755), errno);
    jail.inside = set_id_bits_are_stored;
    assert_int_equal(jail_run(&jail), 0);
    jail_free(&jail);
}

static int writing_is_refused(struct jail *jail, struct sandbox *sb)
{
    struct stat before, after;
    char byte;
    int fd;

    (void)jail;
    INSIDE(openat(sb->root_fd, "new", O_CREAT | O_WRONLY, 0644) < 0 && errno == EROFS);
    INSIDE(openat(sb->root_fd, "file", O_WRONLY) < 0 && errno == EROFS);
    INSIDE(fchmodat(sb->root_fd, "file", 0600, 0) < 0 && errno == EROFS);
    INSIDE(fstatat(sb->root_fd, "file", &before, 0) == 0);
    fd = openat(sb->root_fd, "file", O_RDONLY);
    INSIDE(fd >= 0 && read(fd, &byte, 1) == 1);
    INSIDE(fstatat(sb->root_fd, "file", &after, 0) == 0);
    INSIDE(before.st_atim.tv_sec == after.st_atim.tv_sec &&
           before.st_atim.tv_nsec == after.st_atim.tv_nsec);
    return 0;
}

static void test_readonly_is_enforced_by_the_mount(void **state)
{
    struct jail jail;
    struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 2}};

    (void)state;
    ROOT_ONLY();
    jail_make(&jail, SANDBOX_NAMESPACE);
    jail_write(&jail, "share/file", "x");
    assert_return_code(utimensat(AT_FDCWD, jail_path(&jail, "share/file"), old, 0), errno);
    jail.conf.readonly = true;
    jail.inside = writing_is_refused;
    assert_int_equal(jail_run(&jail), 0);
    jail_free(&jail);
}

static int one_file_is_all(struct jail *jail, struct sandbox *sb)
{
    int fd, dir;

    (void)jail;
    INSIDE(same_file(sb->root_fd, &share_stat));
    fd = reopen(sb, sb->root_fd, O_RDWR);
    INSIDE(fd >= 0 && write(fd, "inside", 6) == 6);
    dir = open("/", O_RDONLY | O_DIRECTORY);
    INSIDE(jail->conf.sandbox != SANDBOX_NAMESPACE || strcmp(names_in(dir), "share ") == 0);
    INSIDE(jail->conf.sandbox != SANDBOX_CHROOT || strcmp(names_in(dir), "") == 0);
    INSIDE(openat(dir, "new", O_CREAT | O_WRONLY, 0644) < 0);
    return 0;
}

static void share_one_file(enum conf_sandbox mode)
{
    struct jail jail;
    char text[16] = "";
    int fd;

    jail_make(&jail, mode);
    jail_write(&jail, "share/only", "before");
    jail_write(&jail, "share/other", "other");
    strcat(jail.share, "/only");
    jail.before = remember_host;
    jail.inside = one_file_is_all;
    assert_int_equal(jail_run(&jail), 0);
    fd = open(jail.share, O_RDONLY);
    assert_int_equal(read(fd, text, sizeof text), 6);
    assert_string_equal(text, "inside");
    close(fd);
    jail_free(&jail);
}

static void test_a_single_file_can_be_the_share(void **state)
{
    (void)state;
    ROOT_ONLY();
    share_one_file(SANDBOX_NAMESPACE);
}

static void test_a_single_file_can_be_the_share_under_chroot(void **state)
{
    (void)state;
    ROOT_ONLY();
    share_one_file(SANDBOX_CHROOT);
}

static int host_root_is_visible(struct jail *jail, struct sandbox *sb)
{
    (void)jail;
    INSIDE(same_file(sb->root_fd, &top_stat));
    INSIDE(faccessat(sb->root_fd, "etc/passwd", F_OK, 0) == 0);
    INSIDE(mountinfo(sb) && strcmp(sb->mount_prefix, "") == 0);
    return 0;
}

static void test_the_hosts_root_directory_can_be_the_share(void **state)
{
    (void)state;
    ROOT_ONLY();
    for (int mode = SANDBOX_NAMESPACE; mode <= SANDBOX_NONE; mode++) {
        struct jail jail;

        jail_make(&jail, (enum conf_sandbox)mode);
        jail.conf.source = "/";
        jail.before = remember_host;
        jail.inside = host_root_is_visible;
        assert_int_equal(jail_run(&jail), 0);
        jail_free(&jail);
    }
}

/* An old kernel, by a filter that answers for it. */
static void without_new_mount_calls(struct jail *jail)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);

    remember_host(jail);
    if (!ctx || seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(open_tree), 0) ||
        seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(mount_setattr), 0) ||
        seccomp_load(ctx))
        _exit(96);
    seccomp_release(ctx);
}

static int works_without_nodev(struct jail *jail, struct sandbox *sb)
{
    INSIDE(only_share_is_visible(jail, sb) == 0);
    INSIDE(!sb->nodev);
    INSIDE(sb->proc_fd >= 0 && mountinfo(sb) && lines(mountinfo(sb)) == 1);
    return 0;
}

static void test_namespace_works_on_a_kernel_without_open_tree(void **state)
{
    struct jail jail;

    (void)state;
    ROOT_ONLY();
    jail_make(&jail, SANDBOX_NAMESPACE);
    jail_write(&jail, "share/file", "x");
    jail.before = without_new_mount_calls;
    jail.inside = works_without_nodev;
    assert_int_equal(jail_run(&jail), 0);
    jail_free(&jail);
}

/* ---- chroot and none ----------------------------------------------------------------------- */

static int chroot_shows_only_the_share(struct jail *jail, struct sandbox *sb)
{
    int file;

    INSIDE(only_share_is_visible(jail, sb) == 0);
    INSIDE(!sb->nodev);
    file = openat(sb->root_fd, "file", O_PATH);
    INSIDE(file >= 0 && reopen(sb, file, O_RDONLY) >= 0);
    INSIDE(mountinfo(sb) != NULL);
    /* no second chroot once capabilities are gone */
    INSIDE(sandbox_lock(&jail->conf, sb) == 0);
    INSIDE(chroot(".") < 0 && errno == EPERM);
    return 0;
}

static void test_chroot_shows_only_the_share(void **state)
{
    struct jail jail;

    (void)state;
    ROOT_ONLY();
    jail_make(&jail, SANDBOX_CHROOT);
    jail_write(&jail, "share/file", "x");
    jail_write(&jail, "secret", "x");
    jail.before = remember_host;
    jail.inside = chroot_shows_only_the_share;
    assert_int_equal(jail_run(&jail), 0);
    jail_free(&jail);
}

static void test_chroot_is_refused_without_root(void **state)
{
    struct jail jail;

    (void)state;
    jail_make(&jail, SANDBOX_CHROOT);
    jail.uid = geteuid() == 0 ? NOBODY : 0;
    jail.inside = chroot_shows_only_the_share;
    assert_int_equal(jail_run(&jail), 99);
    jail_free(&jail);
}

static int none_changes_nothing_but_rights(struct jail *jail, struct sandbox *sb)
{
    int file;

    INSIDE(same_file(sb->root_fd, &share_stat));
    INSIDE(access("/proc/self/status", F_OK) == 0);
    INSIDE(!sb->nodev);
    INSIDE(strcmp(sb->mount_prefix, jail->share) == 0);
    file = openat(sb->root_fd, "file", O_PATH);
    INSIDE(file >= 0 && reopen(sb, file, O_RDONLY) >= 0);
    return 0;
}

static void test_none_only_opens_descriptors(void **state)
{
    struct jail jail;

    (void)state;
    jail_make(&jail, SANDBOX_NONE);
    jail_write(&jail, "share/file", "x");
    jail.before = remember_host;
    jail.inside = none_changes_nothing_but_rights;
    assert_int_equal(jail_run(&jail), 0);
    jail_free(&jail);
}

/* ---- in every mode ------------------------------------------------------------------------- */

static void take_groups(struct jail *jail)
{
    const gid_t groups[] = {0, 4, 27, 1000};

    (void)jail;
    if (setgroups(4, groups) < 0)
        _exit(96);
    umask(077);
}

static int rights_are_gone(struct jail *jail, struct sandbox *sb)
{
    (void)jail;
    (void)sb;
    INSIDE(getgroups(0, NULL) == 0);
    INSIDE(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    INSIDE(umask(0) == 0);
    return 0;
}

static void test_every_mode_drops_groups_umask_and_new_privileges(void **state)
{
    (void)state;
    ROOT_ONLY();
    for (int mode = SANDBOX_NAMESPACE; mode <= SANDBOX_NONE; mode++) {
        struct jail jail;

        jail_make(&jail, (enum conf_sandbox)mode);
        jail.before = take_groups;
        jail.inside = rights_are_gone;
        assert_int_equal(jail_run(&jail), 0);
        jail_free(&jail);
    }
}

static int never_reached(struct jail *jail, struct sandbox *sb)
{
    (void)jail;
    (void)sb;
    return 0;
}

static void test_a_source_that_is_missing_or_special_is_refused(void **state)
{
    struct jail jail;

    (void)state;
    jail_make(&jail, SANDBOX_NONE);
    jail.inside = never_reached;
    strcat(jail.share, "/missing");
    assert_int_equal(jail_run(&jail), 99);
    assert_return_code(mkfifo(jail.share, 0600), errno);
    assert_int_equal(jail_run(&jail), 99);
    jail_free(&jail);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_namespace_shows_only_the_share),
        cmocka_unit_test(test_namespace_has_one_mount_which_is_nodev),
        cmocka_unit_test(test_namespace_has_no_other_process_and_no_network),
        cmocka_unit_test(test_proc_fd_reopens_descriptors_and_has_nothing_above_it),
        cmocka_unit_test(test_mounts_inside_the_share_come_along_and_are_nodev),
        cmocka_unit_test(test_symlinks_of_the_share_are_readable_and_never_followed),
        cmocka_unit_test(test_nosuid_does_not_hide_set_id_bits),
        cmocka_unit_test(test_readonly_is_enforced_by_the_mount),
        cmocka_unit_test(test_a_single_file_can_be_the_share),
        cmocka_unit_test(test_a_single_file_can_be_the_share_under_chroot),
        cmocka_unit_test(test_the_hosts_root_directory_can_be_the_share),
        cmocka_unit_test(test_namespace_works_on_a_kernel_without_open_tree),
        cmocka_unit_test(test_chroot_shows_only_the_share),
        cmocka_unit_test(test_chroot_is_refused_without_root),
        cmocka_unit_test(test_none_only_opens_descriptors),
        cmocka_unit_test(test_every_mode_drops_groups_umask_and_new_privileges),
        cmocka_unit_test(test_a_source_that_is_missing_or_special_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
