// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_conf_share.c - sections of a configuration file: several shares in one process
 */
#include <errno.h>

#include "conf_rig.h"
#include "virtiofsd/host/notify.h"

struct several {
    struct conf_shares shares;
    int result;
    char message[1024];
};

/* @more: further arguments, divided by '|'; NULL: none */
static struct several read_as(const struct conf_env *env, const char *text, const char *more)
{
    struct several s;
    char line[256], *argv[MAX_ARGS] = {"virtiofsd", "--config", conf_path()}, *rest = line;
    int argc = 3;
    FILE *f = fopen(conf_path(), "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    snprintf(line, sizeof(line), "%s", more ? more : "");
    while (*line && rest && argc < MAX_ARGS - 1)
        argv[argc++] = strsep(&rest, "|");
    struct capture err = capture_begin(STDERR_FILENO);
    s.result = conf_read_shares(&s.shares, env, argc, argv);
    snprintf(s.message, sizeof(s.message), "%.1000s", capture_end(&err));
    return s;
}

static struct several accept_file(const char *text, const char *more, size_t n)
{
    struct several s = read_as(&somebody, text, more);

    if (s.result != CONF_RUN)
        fail_msg("%s\nwas refused: %s", text, s.message);
    assert_string_equal(s.message, "");
    assert_int_equal(s.shares.n, n);
    return s;
}

/* It must be refused with one line that says both. */
static void refuse_file_with(const char *text, const char *more, const char *where,
                             const char *says)
{
    struct several s = read_as(&somebody, text, more);

    if (s.result != -EINVAL)
        fail_msg("%s\nwas accepted", text);
    if (!strstr(s.message, where) || !strstr(s.message, says) ||
        strchr(s.message, '\n') != s.message + strlen(s.message) - 1)
        fail_msg("%s\nwas refused with: %s\nwithout '%s' or '%s', or on more than one line", text,
                 s.message, where, says);
    assert_int_equal(s.shares.n, 0);
}

static void refuse_file(const char *text, const char *where, const char *says)
{
    refuse_file_with(text, NULL, where, says);
}

#define ONE "[share one]\nshared-dir = /srv/one\nsocket-path = /run/1\n"
#define TWO "[share two]\nshared-dir = /srv/two\nsocket-path = /run/2\n"

static void test_each_section_is_a_share(void **state)
{
    struct several s = accept_file(ONE TWO "tag = files\nreadonly\n", NULL, 2);
    const struct conf *one = &s.shares.at[0], *two = &s.shares.at[1];

    (void)state;
    assert_string_equal(one->name, "one");
    assert_string_equal(one->source, "/srv/one");
    assert_string_equal(one->socket_path, "/run/1");
    assert_null(one->tag);
    assert_false(one->readonly);
    assert_string_equal(two->name, "two");
    assert_string_equal(two->source, "/srv/two");
    assert_string_equal(two->tag, "files");
    assert_true(two->readonly);
    conf_free_shares(&s.shares);
}

static void test_what_stands_before_is_for_all(void **state)
{
    struct several s = accept_file("cache = always\nxattrmap = :map::user.virtiofs.:\n"
                                   "translate-uid = map:0:1000:1\nlog-level = warn\n" ONE TWO,
                                   NULL, 2);

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(s.shares.at[i].cache, CACHE_ALWAYS);
        assert_int_equal(s.shares.at[i].n_xlate_uid, 1);
        assert_true(s.shares.at[i].xattr);
        assert_int_equal(s.shares.at[i].log_level, LOG_WARN_);
    }
    assert_ptr_not_equal(s.shares.at[0].xattrmap, s.shares.at[1].xattrmap);
    assert_ptr_not_equal(s.shares.at[0].xlate_uid, s.shares.at[1].xlate_uid);
    conf_free_shares(&s.shares);
}

static void test_a_section_wins_over_what_stands_before(void **state)
{
    struct several s = accept_file("cache = always\nsocket-group = kvm\nshared-dir = /srv\n"
                                   "translate-uid = map:0:1000:1\n"
                                   "[share a]\nsocket-path = /run/a\ncache = never\n"
                                   "translate-uid = map:0:2000:5\ntranslate-uid = map:10:3000:5\n"
                                   "[share b]\nsocket-path = /run/b\nshared-dir = /home\n",
                                   NULL, 2);

    (void)state;
    assert_int_equal(s.shares.at[0].cache, CACHE_NEVER);
    assert_string_equal(s.shares.at[0].source, "/srv");
    assert_int_equal(s.shares.at[0].n_xlate_uid, 2);
    assert_int_equal(s.shares.at[0].xlate_uid[0].to, 2000);
    assert_int_equal(s.shares.at[1].cache, CACHE_ALWAYS);
    assert_string_equal(s.shares.at[1].source, "/home");
    assert_int_equal(s.shares.at[1].n_xlate_uid, 1);
    assert_string_equal(s.shares.at[1].socket_group, "kvm");
    conf_free_shares(&s.shares);
}

static void test_the_command_line_wins_for_all(void **state)
{
    struct several s =
        accept_file(ONE "cache = always\n" TWO, "--cache=never|--log-level=error", 2);

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(s.shares.at[i].cache, CACHE_NEVER);
        assert_int_equal(s.shares.at[i].log_level, LOG_ERROR_);
    }
    conf_free_shares(&s.shares);
    refuse_file_with(ONE TWO, "--shared-dir=/srv", "--shared-dir", "into the sections");
    refuse_file_with(ONE TWO, "-o|source=/srv", "-o source", "into the sections");
    refuse_file_with(ONE TWO, "--socket-path=/run/x", "--socket-path", "into the sections");
    refuse_file_with(ONE TWO, "--fd=7", "--fd", "into the sections");
}

static void test_shares_wait_for_the_next_guest(void **state)
{
    struct several s = accept_file(ONE, NULL, 1);

    (void)state;
    assert_true(s.shares.at[0].keep_listening);
    conf_free_shares(&s.shares);
    refuse_file(ONE "no-keep-listening\n", "share one: keep-listening", "leave it out");
}

static void test_what_a_process_has_once_is_refused_in_a_section_with_the_reason(void **state)
{
    static const struct {
        const char *line, *says;
    } once[] = {
        {"sandbox = none", "one sandbox"},         {"seccomp = none", "one filter"},
        {"modcaps = +sys_admin", "once"},          {"uid-map = :0:1000:1:", "translate-uid"},
        {"gid-map = :0:1000:1:", "translate-gid"}, {"thread-pool-size = 4", "all shares"},
        {"rlimit-nofile = 5000", "process"},       {"daemonize", "process"},
        {"log-level = debug", "one log"},          {"syslog", "one log"},
        {"stats-socket = /run/s", "one socket"},
    };
    char text[256];

    (void)state;
    for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++) {
        snprintf(text, sizeof(text), ONE "%s\n", once[i].line);
        refuse_file(text, ":4: ", once[i].says);
        snprintf(text, sizeof(text), "%s\n" ONE, once[i].line);
        struct several s = accept_file(text, NULL, 1);
        conf_free_shares(&s.shares);
    }
}

static void test_names_and_sockets_are_each_shares_own(void **state)
{
    (void)state;
    refuse_file(ONE TWO ONE, ":7: [share one]", "already");
    refuse_file(ONE "[share two]\nshared-dir = /b\nsocket-path = /run/1\n", "share two",
                "share one");
    refuse_file("fd = 5\nshared-dir = /a\n[share a]\n[share b]\n", "share b", "share a");
    refuse_file("stats-socket = /run/1\n" ONE, "share one", "--socket-path");
}

static void test_mistakes_in_sections_are_named(void **state)
{
    (void)state;
    refuse_file("[shares a]\n", ":1: [shares a]", "[share NAME]");
    refuse_file("[share]\n", ":1: [share]", "[share NAME]");
    refuse_file("[share a b]\n", ":1: ", "[share NAME]");
    refuse_file("[share a/b]\n", ":1: ", "[share NAME]");
    refuse_file("[share a\n", ":1: ", "[share NAME]");
    refuse_file(ONE TWO "xatr\n", ":7: xatr", "no such option");
    refuse_file(ONE TWO "cache = sometimes\n", ":7: cache", "not known");
    refuse_file(ONE "[share two]\nsocket-path = /run/2\n", "share two: shared-dir",
                "nothing to share");
    refuse_file(ONE "[share two]\nshared-dir = /b\n", "share two: socket-path",
                "nothing to listen on");
    refuse_file(ONE "watch = fanotify\n", "share one: watch", "inotify");
    refuse_file(ONE "writeback\ncache = never\n", "share one: writeback", "cache");
}

static void test_a_longest_name_and_one_more(void **state)
{
    char text[256], name[66];

    (void)state;
    memset(name, 'n', 65);
    name[65] = '\0';
    snprintf(text, sizeof(text), "[share %s]\nshared-dir = /a\nsocket-path = /b\n", name + 1);
    struct several s = accept_file(text, NULL, 1);
    assert_string_equal(s.shares.at[0].name, name + 1);
    conf_free_shares(&s.shares);
    snprintf(text, sizeof(text), "[share %s]\n", name);
    refuse_file(text, ":1: ", "64");
}

static void test_sockets_from_systemd_go_to_the_shares_of_their_names(void **state)
{
    char names[] = "two\0one";
    const struct notify_fds fds = {.first = 3, .n = 2, .names = names};
    const struct conf_env env = {.euid = 0, .activated_fd = NOTIFY_MANY_SOCKETS, .activated = &fds};
    struct several s = read_as(&env, ONE "[share two]\nshared-dir = /srv/two\n", NULL);

    (void)state;
    assert_int_equal(s.result, CONF_RUN);
    assert_int_equal(s.shares.at[0].listen_fd, 4);
    assert_null(s.shares.at[0].socket_path);
    assert_int_equal(s.shares.at[1].listen_fd, 3);
    assert_true(s.shares.at[1].activated);
    assert_true(s.shares.at[0].supervise && s.shares.at[1].supervise);
    conf_free_shares(&s.shares);

    s = read_as(&env, "supervise = no\n" ONE "[share two]\nshared-dir = /srv/two\n", NULL);
    assert_int_equal(s.result, CONF_RUN);
    assert_false(s.shares.at[0].supervise || s.shares.at[1].supervise);
    conf_free_shares(&s.shares);

    s = read_as(&env, ONE, NULL);
    assert_int_equal(s.result, -EINVAL);
    assert_non_null(strstr(s.message, "\"two\" is no share's"));
}

static void test_a_file_without_sections_is_one_share_without_a_name(void **state)
{
    struct several s = accept_file("shared-dir = /a\nsocket-path = /b\n", NULL, 1);

    (void)state;
    assert_null(s.shares.at[0].name);
    assert_false(s.shares.at[0].keep_listening);
    conf_free_shares(&s.shares);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_section_is_a_share),
        cmocka_unit_test(test_what_stands_before_is_for_all),
        cmocka_unit_test(test_a_section_wins_over_what_stands_before),
        cmocka_unit_test(test_the_command_line_wins_for_all),
        cmocka_unit_test(test_shares_wait_for_the_next_guest),
        cmocka_unit_test(test_what_a_process_has_once_is_refused_in_a_section_with_the_reason),
        cmocka_unit_test(test_names_and_sockets_are_each_shares_own),
        cmocka_unit_test(test_mistakes_in_sections_are_named),
        cmocka_unit_test(test_a_longest_name_and_one_more),
        cmocka_unit_test(test_sockets_from_systemd_go_to_the_shares_of_their_names),
        cmocka_unit_test(test_a_file_without_sections_is_one_share_without_a_name),
    };
    return cmocka_run_group_tests(tests, conf_make_file, conf_remove_file);
}
