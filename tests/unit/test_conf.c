// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_conf.c - what the daemon understands from a command line
 *
 * The command lines of libvirt are those that its qemu_virtiofs.c puts together.
 */
#include <errno.h>

#include "conf_rig.h"
#include "virtiofsd/host/notify.h"

#define BASE "--shared-dir|/srv|--socket-path|/run/x.sock|"

static void test_defaults_are_those_of_the_manual(void **state)
{
    struct parsed p;
    struct conf *c = accept_as(&p, &root, "--shared-dir|/srv|--socket-path|/run/x.sock");

    (void)state;
    assert_string_equal(c->source, "/srv");
    assert_string_equal(c->socket_path, "/run/x.sock");
    assert_null(c->socket_group);
    assert_null(c->tag);
    assert_null(c->stats_socket);
    assert_null(c->xattrmap);
    assert_null(c->modcaps);
    assert_int_equal(c->listen_fd, -1);
    assert_int_equal(c->thread_pool_size, -1);
    assert_int_equal(c->rlimit_nofile, -1);
    assert_int_equal(c->cache, CACHE_AUTO);
    assert_true(c->timeout < 0);
    assert_true(c->readdirplus && c->announce_submounts);
    assert_false(c->writeback || c->allow_direct_io || c->allow_mmap || c->preserve_noatime);
    assert_false(c->flock || c->posix_lock || c->readonly || c->xattr);
    assert_false(c->keep_listening || c->daemonize || c->syslog);
    assert_int_equal(c->posix_acl, WHEN_NEVER);
    assert_int_equal(c->security_label, WHEN_NEVER);
    assert_int_equal(c->killpriv_v2, WHEN_AUTO);
    assert_int_equal(c->inode_file_handles, HANDLES_PREFER);
    assert_int_equal(c->sandbox, SANDBOX_NAMESPACE);
    assert_int_equal(c->seccomp, SECCOMP_KILL);
    assert_int_equal(c->log_level, LOG_INFO_);
    conf_free(c);
}

static void test_the_quick_start_works_as_written(void **state)
{
    struct parsed p;
    struct conf *c =
        accept_as(&p, &root, "--socket-path=/tmp/virtiofs_socket|-o|source=/home/user/viofs");

    (void)state;
    assert_string_equal(c->socket_path, "/tmp/virtiofs_socket");
    assert_string_equal(c->source, "/home/user/viofs");
    conf_free(c);
}

/* ---- libvirt, without "separate-options" --------------------------------------------------- */

static void test_libvirt_old_style_shortest(void **state)
{
    struct parsed p;
    struct conf *c = accept_as(&p, &root, "--fd=31|-o|source=/Storage,cache=none");

    (void)state;
    assert_int_equal(c->listen_fd, 31);
    assert_null(c->socket_path);
    assert_string_equal(c->source, "/Storage");
    assert_int_equal(c->cache, CACHE_NEVER);
    assert_false(c->readdirplus);
    conf_free(c);
}

static void test_libvirt_old_style_with_everything_on(void **state)
{
    struct parsed p;
    struct conf *c = accept_as(&p, &root,
                               "--fd=31|-o|source=/path,cache=always,sandbox=chroot,xattr,flock,"
                               "posix_lock|--thread-pool-size=16|--rlimit-nofile=65536|-d");

    (void)state;
    assert_string_equal(c->source, "/path");
    assert_int_equal(c->cache, CACHE_ALWAYS);
    assert_int_equal(c->sandbox, SANDBOX_CHROOT);
    assert_true(c->xattr && c->flock && c->posix_lock);
    assert_int_equal(c->thread_pool_size, 16);
    assert_int_equal(c->rlimit_nofile, 65536);
    assert_int_equal(c->log_level, LOG_DEBUG_);
    conf_free(c);
}

static void test_libvirt_old_style_with_everything_off(void **state)
{
    struct parsed p;
    struct conf *c = accept_as(&p, &root,
                               "--fd=31|-o|source=/path,cache=none,sandbox=namespace,no_xattr,"
                               "no_flock,no_posix_lock|--thread-pool-size=0");

    (void)state;
    assert_int_equal(c->sandbox, SANDBOX_NAMESPACE);
    assert_false(c->xattr || c->flock || c->posix_lock);
    assert_int_equal(c->thread_pool_size, 0);
    conf_free(c);
}

static void test_libvirt_doubles_the_commas_of_a_path(void **state)
{
    struct parsed p;
    struct conf *c = accept_as(&p, &root, "--fd=31|-o|source=/a,,b,,,,c=d,,,cache=always,xattr");

    (void)state;
    assert_string_equal(c->source, "/a,b,,c=d,");
    assert_int_equal(c->cache, CACHE_ALWAYS);
    assert_true(c->xattr);
    conf_free(c);
}

/* ---- libvirt, with "separate-options" ------------------------------------------------------ */

static void test_libvirt_new_style_shortest(void **state)
{
    struct parsed p;
    struct conf *c = accept_as(&p, &root, "--fd=33|--shared-dir|/path/with,comma=and equals");

    (void)state;
    assert_int_equal(c->listen_fd, 33);
    assert_string_equal(c->source, "/path/with,comma=and equals");
    conf_free(c);
}

static void test_libvirt_new_style_with_everything(void **state)
{
    struct parsed p;
    struct conf *c = accept_as(
        &p, &somebody,
        "--fd=33|--shared-dir|/path|--cache|never|--sandbox|namespace|--xattr|"
        "--thread-pool-size=16|--rlimit-nofile=1024|--log-level|debug|--uid-map=:0:1000:1:|"
        "--uid-map=:1:100000:65535:|--gid-map=:0:1000:1:|--gid-map=:1:100000:65535:|--readonly");

    (void)state;
    assert_int_equal(c->cache, CACHE_NEVER);
    assert_int_equal(c->sandbox, SANDBOX_NAMESPACE);
    assert_true(c->xattr && c->readonly);
    assert_int_equal(c->thread_pool_size, 16);
    assert_int_equal(c->rlimit_nofile, 1024);
    assert_int_equal(c->log_level, LOG_DEBUG_);
    assert_int_equal(c->n_uid_map, 2);
    assert_int_equal(c->n_gid_map, 2);
    assert_int_equal(c->uid_map[1].inside, 1);
    assert_int_equal(c->uid_map[1].outside, 100000);
    assert_int_equal(c->uid_map[1].count, 65535);
    conf_free(c);
}

static void test_libvirt_new_style_joined_with_equals(void **state)
{
    struct parsed p;
    struct conf *c = accept_as(&p, &root,
                               "--fd=33|--shared-dir=/path|--cache=none|--sandbox=chroot|"
                               "--log-level=debug");

    (void)state;
    assert_string_equal(c->source, "/path");
    assert_int_equal(c->cache, CACHE_NEVER);
    assert_int_equal(c->sandbox, SANDBOX_CHROOT);
    conf_free(c);
}

/* ---- spellings ------------------------------------------------------------------------------ */

/* Both lines mean the same. */
struct pair {
    const char *one, *other;
};

static void assert_same(const struct conf *a, const struct conf *b)
{
    for (const struct conf_option *o = conf_options; o < conf_options + conf_n_options; o++) {
        const char *x = (const char *)a + o->at, *y = (const char *)b + o->at;
        if (o->set == conf_set_bool)
            assert_memory_equal(x, y, sizeof(bool));
        else if (o->set == conf_set_word || o->set == conf_set_int)
            assert_memory_equal(x, y, sizeof(int));
        else if (o->set == conf_set_string && *(char *const *)x)
            assert_string_equal(*(char *const *)x, *(char *const *)y);
        else if (o->set == conf_set_string)
            assert_null(*(char *const *)y);
    }
    assert_true(a->timeout == b->timeout);
    assert_int_equal(a->rlimit_nofile, b->rlimit_nofile);
}

static void test_both_spellings_mean_the_same(void **state)
{
    static const struct pair pairs[] = {
        {"-o|xattr", "--xattr"},
        {"-o|no_readdirplus", "--no-readdirplus"},
        {"-o|no-readdirplus", "--readdirplus=no"},
        {"-o|announce_submounts", "--announce-submounts"},
        {"-oallow_direct_io", "--allow-direct-io"},
        {"-o|no_writeback", "-o|writeback|--no-writeback"},
        {"-o|killpriv_v2", "--killpriv-v2"},
        {"-o|no_killpriv_v2", "--killpriv-v2=never"},
        {"-o|posix_acl", "--posix-acl=always"},
        {"-o|no_posix_acl", "--posix-acl=never"},
        {"-o|security_label", "--security-label"},
        {"-o|log_level=warn", "--log-level|warn"},
        {"-o|loglevel=err", "--log-level=error"},
        {"-o|debug", "-d"},
        {"-d", "--log-level=debug"},
        {"-o|timeout=2.5", "--timeout|2.5"},
        {"-o|cache=metadata,modcaps=+sys_admin:-mknod",
         "--cache=metadata|--modcaps=+sys_admin:-mknod"},
        {"--inode-file-handles", "--inode-file-handles=prefer"},
        {"--inode-file-handles=fallback", "--inode-file-handles=prefer"},
        {"--daemonize|-f", "-f"},
        {"--daemonize|--foreground", ""},
        {"--xattrmap=:map::user.:", "-o|xattrmap=:map::user.:"},
        {"--tag=t|--tag=u", "--tag|u"},
        {"--posix-acl", "--posix-acl|--xattr"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        char one[512], other[512];
        struct parsed a, b;
        snprintf(one, sizeof(one), BASE "%s", pairs[i].one);
        snprintf(other, sizeof(other), BASE "%s", pairs[i].other);
        if (!*pairs[i].other)
            other[strlen(other) - 1] = '\0';
        assert_same(accept_as(&a, &root, one), accept_as(&b, &root, other));
        conf_free(&a.conf);
        conf_free(&b.conf);
    }
}

static void test_older_names_of_socket_and_directory_are_known(void **state)
{
    struct parsed p;
    struct conf *c = accept_as(&p, &root, "--socket=/s|--shared-dir=/x|-o|source=/x");

    (void)state;
    assert_string_equal(c->socket_path, "/s");
    assert_string_equal(c->source, "/x");
    conf_free(c);
}

static void test_switches_turn_off_again(void **state)
{
    struct parsed p;

    (void)state;
    for (const struct conf_option *o = conf_options; o < conf_options + conf_n_options; o++) {
        char line[256];
        if (o->set != conf_set_bool)
            continue;
        snprintf(line, sizeof(line), BASE "--%s|--no-%s", o->name, o->name);
        assert_false(*(bool *)((char *)accept_as(&p, &root, line) + o->at));
        conf_free(&p.conf);
        snprintf(line, sizeof(line), BASE "--no-%s|--%s", o->name, o->name);
        assert_true(*(bool *)((char *)accept_as(&p, &root, line) + o->at));
        conf_free(&p.conf);
    }
}

static void test_an_id_map_may_use_any_separator(void **state)
{
    static const char *const maps[] = {":5:100000:65536:", ",5,100000,65536,", "/5/100000/65536/",
                                       ":5:100000:65536", "5:100000:65536"};
    (void)state;
    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        struct parsed p;
        char line[256];
        snprintf(line, sizeof(line), BASE "--uid-map|%s", maps[i]);
        struct conf *c = accept_as(&p, &somebody, line);
        assert_int_equal(c->n_uid_map, 1);
        assert_int_equal(c->uid_map[0].inside, 5);
        assert_int_equal(c->uid_map[0].outside, 100000);
        assert_int_equal(c->uid_map[0].count, 65536);
        conf_free(c);
    }
}

static void test_every_kind_of_translation_is_read(void **state)
{
    struct parsed p;
    struct conf *c = accept_as(&p, &root,
                               BASE "--translate-uid=guest:0:1000:1|"
                                    "--translate-uid=squash-guest:1:99:10|"
                                    "--translate-uid=forbid-guest:20:5|"
                                    "--translate-uid=map:100:200:50|"
                                    "--translate-uid=host:1000:0:1|"
                                    "--translate-uid=squash-host:5:7:3|--translate-gid=map:1:2:3");

    (void)state;
    assert_int_equal(c->n_xlate_uid, 6);
    assert_int_equal(c->n_xlate_gid, 1);
    assert_int_equal(c->xlate_uid[0].kind, XLATE_GUEST);
    assert_int_equal(c->xlate_uid[0].to, 1000);
    assert_int_equal(c->xlate_uid[2].kind, XLATE_FORBID_GUEST);
    assert_int_equal(c->xlate_uid[2].from, 20);
    assert_int_equal(c->xlate_uid[2].count, 5);
    assert_int_equal(c->xlate_uid[5].kind, XLATE_SQUASH_HOST);
    conf_free(c);
}

/* ---- what options do to each other ---------------------------------------------------------- */

static void test_options_that_need_xattrs_turn_them_on(void **state)
{
    static const char *const lines[] = {"--xattrmap=:map::user.:", "--posix-acl",
                                        "--security-label=auto"};
    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct parsed p;
        char line[128];
        snprintf(line, sizeof(line), BASE "%s", lines[i]);
        assert_true(accept_as(&p, &root, line)->xattr);
        conf_free(&p.conf);
        strcat(line, "|--no-xattr");
        refuse_as(&root, line, "--no-xattr", "needs extended attributes");
    }
}

static void test_readdirplus_follows_the_cache_mode_unless_asked_for(void **state)
{
    struct parsed p;

    (void)state;
    assert_false(accept_as(&p, &root, BASE "--cache=never")->readdirplus);
    conf_free(&p.conf);
    assert_true(accept_as(&p, &root, BASE "--cache=never|--readdirplus")->readdirplus);
    conf_free(&p.conf);
    assert_true(accept_as(&p, &root, BASE "--cache=metadata")->readdirplus);
    conf_free(&p.conf);
}

static void test_a_socket_from_systemd_serves_when_none_is_named(void **state)
{
    const struct conf_env env = {.euid = 0, .activated_fd = 3};
    struct parsed p;

    (void)state;
    assert_int_equal(accept_as(&p, &env, "--shared-dir=/srv")->listen_fd, 3);
    assert_true(p.conf.activated);
    conf_free(&p.conf);
    assert_false(accept_as(&p, &root, "--shared-dir=/srv|--fd=7")->activated);
    conf_free(&p.conf);
}

static void test_a_socket_from_systemd_beside_another_is_refused(void **state)
{
    const struct conf_env env = {.euid = 0, .activated_fd = 3};

    (void)state;
    refuse_as(&env, "--shared-dir=/srv|--fd=7", "--fd", ".socket unit");
    refuse_as(&env, "--shared-dir=/srv|--socket-path=/s", "--socket-path", ".socket unit");
    refuse_as(&env, "--shared-dir=/srv|--socket-group=kvm", "--socket-group", "where it is made");
}

static void test_several_sockets_from_systemd_are_refused(void **state)
{
    const struct conf_env env = {.euid = 0, .activated_fd = NOTIFY_MANY_SOCKETS};

    (void)state;
    refuse_as(&env, "--shared-dir=/srv", "LISTEN_FDS", "one ListenStream=");
}

static bool is_supervised(const struct conf_env *env, const char *line)
{
    struct parsed p;
    bool is = accept_as(&p, env, line)->supervise;

    conf_free(&p.conf);
    return is;
}

static void test_who_is_looked_after_is_supervised_unless_told_otherwise(void **state)
{
    const struct conf_env activated = {.euid = 0, .activated_fd = 3};
    const struct conf_env notify = {.euid = 0, .activated_fd = NOTIFY_NO_SOCKET, .managed = true};

    (void)state;
    assert_false(is_supervised(&root, "--shared-dir=/srv|--socket-path=/s"));
    assert_true(is_supervised(&root, BASE "--supervise"));
    assert_true(is_supervised(&root, "--shared-dir=/srv|--fd=7"));
    assert_false(is_supervised(&root, "--shared-dir=/srv|--fd=7|--no-supervise"));
    assert_true(is_supervised(&activated, "--shared-dir=/srv"));
    assert_false(is_supervised(&activated, "--shared-dir=/srv|--no-supervise"));
    assert_true(is_supervised(&notify, "--shared-dir=/srv|--socket-path=/s"));
    assert_false(is_supervised(&notify, BASE "--no-supervise"));
}

/* ---- errors ------------------------------------------------------------------------------------ */

static void test_every_error_names_its_option_and_the_next_step(void **state)
{
    static const struct {
        const char *line, *option, *says;
    } bad[] = {
        {"", "--shared-dir", "-o source="},
        {"--shared-dir=/srv", "--socket-path", "add --socket-path PATH"},
        {"--shared-dir", "--shared-dir", "needs a value"},
        {"--shared-dir=", "--shared-dir", "empty"},
        {"-o", "-o", "needs a list"},
        {BASE "--frobnicate", "--frobnicate", "--help"},
        {BASE "-x", "-x", "--help"},
        {BASE "-df", "-df", "--help"},
        {BASE "-", "-", "--shared-dir DIR"},
        {BASE "--", "--", "--shared-dir DIR"},
        {BASE "prefer", "prefer", "--option=value"},
        {BASE "--inode-file-handles|prefer", "prefer", "--option=value"},
        {BASE "-o|frob", "-o frob", "written twice"},
        {BASE "-o|xattr,frob=1", "-o frob", "--help"},
        {BASE "--no-cache", "--no-cache", "--help"},
        {BASE "--no-no-xattr", "--no-no-xattr", "--help"},
        {BASE "--no-xattr=yes", "--no-xattr", "takes no value"},
        {BASE "--xattr=maybe", "--xattr", "neither yes nor no"},
        {BASE "--debug=2", "--debug", "takes no value"},
        {BASE "--cache=some", "--cache", "auto, always, never, metadata"},
        {BASE "-o|cache=some", "-o cache", "auto, always, never, metadata"},
        {BASE "--cache", "--cache", "needs a value"},
        {BASE "--seccomp=off", "--seccomp", "kill, log, trap, none"},
        {BASE "--log-level=loud", "--log-level", "off, error, warn, info, debug, trace"},
        {BASE "--timeout=-1", "--timeout", "seconds"},
        {BASE "--timeout=nan", "--timeout", "seconds"},
        {BASE "--timeout=1s", "--timeout", "seconds"},
        {BASE "--thread-pool-size=257", "--thread-pool-size", "from -1 to 256"},
        {BASE "--thread-pool-size= 1", "--thread-pool-size", "from -1 to 256"},
        {BASE "--rlimit-nofile=-1", "--rlimit-nofile", "from 0 to"},
        {BASE "--limit-bytes=1K", "--limit-bytes", "from 1048576 to"},
        {BASE "--limit-bytes=5 ", "--limit-bytes", "is not a size"},
        {BASE "--limit-inodes=3", "--limit-inodes", "from 16 to"},
        {BASE "--project-id=0|--limit-bytes=1G", "--project-id", "from 1 to"},
        {BASE "--project-id=5", "--project-id", "is for --limit-bytes and --limit-inodes"},
        {BASE "--limit-inodes=100|--modcaps=+sys_resource", "--limit-inodes", "knows no limit"},
        {BASE "--limit-ops=-1", "--limit-ops", "from 1 to"},
        {BASE "--limit-files=10", "--limit-files", "from 128 to"},
        {BASE "--limit-bandwidth=10X", "--limit-bandwidth", "is not a size, such as 500M"},
        {BASE "--limit-bandwidth=10MB", "--limit-bandwidth", "is not a size"},
        {BASE "--limit-bandwidth=M", "--limit-bandwidth", "is not a size"},
        {BASE "--limit-bandwidth=-1M", "--limit-bandwidth", "is not a size"},
        {BASE "--limit-bandwidth=9223372036854775807K", "--limit-bandwidth", "is not a size"},
        {BASE "--limit-bandwidth=1000", "--limit-bandwidth", "from 65536 to"},
        {BASE "--limit-bandwidth=2T", "--limit-bandwidth", "to 1099511627776 bytes"},
        {BASE "--rlimit-nofile=99999999999999999999", "--rlimit-nofile", "from 0 to"},
        {BASE "--tag=", "--tag", "1 to 36 bytes"},
        {BASE "--tag=0123456789012345678901234567890123456", "--tag", "at most 36"},
        {BASE "--modcaps=sys_admin", "--modcaps", "'+' (keep)"},
        {BASE "--modcaps=+sys_admin:-fly", "--modcaps", "capabilities(7)"},
        {BASE "--fd=3", "--fd", "--socket-path"},
        {"--shared-dir=/srv|--fd=-3", "--fd", "from 0"},
        {"--shared-dir=/srv|--fd=3|--socket-group=kvm", "--socket-group", "--socket-path"},
        {BASE "-o|source=/home", "-o source", "one of them"},
        {BASE "--stats-socket=/run/x.sock", "--stats-socket", "use another"},
        {BASE "--posix-acl|--translate-uid=map:0:1:1", "--posix-acl", "--uid-map"},
        {BASE "--uid-map=0:1000:1|--sandbox=none", "--uid-map", "--sandbox namespace"},
        {BASE "--uid-map=0:1000", "--uid-map", ":ID-IN-NAMESPACE:ID-ON-HOST:COUNT:"},
        {BASE "--uid-map=", "--uid-map", ":ID-IN-NAMESPACE:ID-ON-HOST:COUNT:"},
        {BASE "--uid-map=:", "--uid-map", ":ID-IN-NAMESPACE:ID-ON-HOST:COUNT:"},
        {BASE "--uid-map=:0:1:0:", "--uid-map", "COUNT"},
        {BASE "--uid-map=:0:4294967290:10:", "--uid-map", "COUNT"},
        {BASE "--uid-map=:0:1000:2:|--uid-map=:1:5000:2:", "--uid-map", "overlap"},
        {BASE "--gid-map=:0:1000:2:|--gid-map=:5:1001:2:", "--gid-map", "overlap"},
        {BASE "--translate-uid=swap:0:1:1", "--translate-uid", "squash-guest"},
        {BASE "--translate-uid=map:0:1", "--translate-uid", "KIND:FROM:TO:COUNT"},
        {BASE "--translate-uid=map:0:1:0", "--translate-uid", "KIND:FROM:TO:COUNT"},
        {BASE "--translate-gid=forbid-guest:0:1:1", "--translate-gid", "forbid-guest:FROM:COUNT"},
        {BASE "--translate-uid=map:0:10:5|--translate-uid=guest:4:99:1", "--translate-uid",
         "disjoint"},
        {BASE "--translate-gid=map:0:10:5|--translate-gid=host:14:99:1", "--translate-gid",
         "disjoint"},
        {BASE "--migration-mode=find-names", "--migration-mode", "find-paths"},
        {BASE "--migration-on-error=ignore", "--migration-on-error", "guest-error"},
        {BASE "-o|max_idle_threads=10", "-o max_idle_threads", "--thread-pool-size"},
        {BASE "-o|fsname=x", "-o fsname", "remove the option"},
        {BASE "-o|subtype=x", "-o subtype", "remove the option"},
        {BASE "--config=/nonexistent/file", "--config", "No such file"},
        {BASE "--config=/", "--config", "Is a directory"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refuse_as(&somebody, bad[i].line, bad[i].option, bad[i].says);
}

static void test_root_gets_no_user_namespace(void **state)
{
    (void)state;
    refuse_as(&root, BASE "--uid-map=:0:1000:1:", "--uid-map", "--translate-uid");
    refuse_as(&root, BASE "--gid-map=:0:1000:1:", "--gid-map", "--translate-uid");
}

static void test_a_list_of_ranges_has_an_end(void **state)
{
    static char text[CONF_MAX_RANGES + 2][48];
    static char *argv[CONF_MAX_RANGES + 5] = {"virtiofsd", "--shared-dir=/", "--socket-path=/s"};
    struct capture err;
    struct conf conf;

    (void)state;
    for (int i = 0; i <= CONF_MAX_RANGES; i++) {
        snprintf(text[i], sizeof(text[i]), "--translate-uid=map:%d:%d:1", i, i + 5000);
        argv[3 + i] = text[i];
    }
    assert_int_equal(conf_read(&conf, &root, 3 + CONF_MAX_RANGES, argv), CONF_RUN);
    assert_int_equal(conf.n_xlate_uid, CONF_MAX_RANGES);
    conf_free(&conf);
    err = capture_begin(STDERR_FILENO);
    assert_int_equal(conf_read(&conf, &root, 4 + CONF_MAX_RANGES, argv), -EINVAL);
    assert_non_null(strstr(capture_end(&err), "--translate-uid: more than 340"));
    conf_free(&conf);
}

/* ---- the shared directory ------------------------------------------------------------------ */

static int parse_source(const char *path, const char **message, struct conf *conf)
{
    static struct capture err;
    char *argv[] = {"virtiofsd", "--socket-path=/s", "--shared-dir", (char *)path};

    err = capture_begin(STDERR_FILENO);
    int r = conf_parse(conf, 4, argv);
    *message = capture_end(&err);
    return r;
}

static void test_the_share_must_be_a_directory_or_a_file(void **state)
{
    const char *message;
    struct conf conf;

    (void)state;
    assert_int_equal(parse_source("/nonexistent/dir", &message, &conf), -EINVAL);
    assert_non_null(strstr(message, "--shared-dir: /nonexistent/dir: No such file"));
    conf_free(&conf);
    assert_int_equal(parse_source("/dev/null", &message, &conf), -EINVAL);
    assert_non_null(strstr(message, "neither a directory nor a regular file"));
    conf_free(&conf);
    assert_int_equal(parse_source("/etc/passwd", &message, &conf), CONF_RUN);
    conf_free(&conf);
}

static void test_a_relative_share_is_made_absolute(void **state)
{
    char dir[] = "/tmp/conf-XXXXXX", here[4096];
    const char *message;
    struct conf conf;

    (void)state;
    assert_non_null(getcwd(here, sizeof(here)));
    assert_non_null(mkdtemp(dir));
    assert_int_equal(chdir("/tmp"), 0);
    assert_int_equal(parse_source(dir + strlen("/tmp/"), &message, &conf), CONF_RUN);
    assert_string_equal(conf.source, dir);
    conf_free(&conf);
    assert_int_equal(chdir(here), 0);
    rmdir(dir);
}

static void test_sizes_are_powers_of_1024_and_0_is_no_limit(void **state)
{
    static const struct {
        const char *text;
        int64_t bytes;
    } sizes[] = {{"65536", 65536},         {"64K", 65536},           {"20m", 20 << 20},
                 {"3G", INT64_C(3) << 30}, {"1T", INT64_C(1) << 40}, {"0", 0}};
    struct parsed p;
    char line[128];

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        snprintf(line, sizeof(line), BASE "-o|limit_bandwidth=%s", sizes[i].text);
        struct conf *c = accept_as(&p, &root, line);
        assert_int_equal(c->limit_bandwidth, sizes[i].bytes);
        conf_free(c);
    }
}

static void test_limits_are_as_asked_for_and_none_by_default(void **state)
{
    struct parsed p;
    struct conf *c = accept_as(&p, &root, BASE "--limit-ops=0|--limit-files=0");

    (void)state;
    assert_true(!c->limit_ops && !c->limit_bandwidth && !c->limit_in_flight && !c->limit_files);
    conf_free(c);
    c = accept_as(&p, &root, BASE "--limit-ops|1000|-o|limit_in_flight=8,limit-files=500");
    assert_int_equal(c->limit_ops, 1000);
    assert_int_equal(c->limit_in_flight, 8);
    assert_int_equal(c->limit_files, 500);
    conf_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_are_powers_of_1024_and_0_is_no_limit),
        cmocka_unit_test(test_limits_are_as_asked_for_and_none_by_default),
        cmocka_unit_test(test_defaults_are_those_of_the_manual),
        cmocka_unit_test(test_the_quick_start_works_as_written),
        cmocka_unit_test(test_libvirt_old_style_shortest),
        cmocka_unit_test(test_libvirt_old_style_with_everything_on),
        cmocka_unit_test(test_libvirt_old_style_with_everything_off),
        cmocka_unit_test(test_libvirt_doubles_the_commas_of_a_path),
        cmocka_unit_test(test_libvirt_new_style_shortest),
        cmocka_unit_test(test_libvirt_new_style_with_everything),
        cmocka_unit_test(test_libvirt_new_style_joined_with_equals),
        cmocka_unit_test(test_both_spellings_mean_the_same),
        cmocka_unit_test(test_older_names_of_socket_and_directory_are_known),
        cmocka_unit_test(test_switches_turn_off_again),
        cmocka_unit_test(test_an_id_map_may_use_any_separator),
        cmocka_unit_test(test_every_kind_of_translation_is_read),
        cmocka_unit_test(test_options_that_need_xattrs_turn_them_on),
        cmocka_unit_test(test_readdirplus_follows_the_cache_mode_unless_asked_for),
        cmocka_unit_test(test_a_socket_from_systemd_serves_when_none_is_named),
        cmocka_unit_test(test_a_socket_from_systemd_beside_another_is_refused),
        cmocka_unit_test(test_several_sockets_from_systemd_are_refused),
        cmocka_unit_test(test_who_is_looked_after_is_supervised_unless_told_otherwise),
        cmocka_unit_test(test_every_error_names_its_option_and_the_next_step),
        cmocka_unit_test(test_root_gets_no_user_namespace),
        cmocka_unit_test(test_a_list_of_ranges_has_an_end),
        cmocka_unit_test(test_the_share_must_be_a_directory_or_a_file),
        cmocka_unit_test(test_a_relative_share_is_made_absolute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
