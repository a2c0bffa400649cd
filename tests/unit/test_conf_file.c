// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_conf_file.c - options from files, and who wins
 */
#include <errno.h>

#include "conf_rig.h"

/* Make @text the content of the file, and put its name into a command line. */
static const char *with_file(const char *text, const char *before, const char *after)
{
    static char line[512];
    FILE *f = fopen(conf_path(), "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    snprintf(line, sizeof(line), "%s%s--config|%s%s%s", before, *before ? "|" : "", conf_path(),
             *after ? "|" : "", after);
    return line;
}

/* A file that must be refused at @place (line and option) with a message that @says something. */
static void refuse_file(const char *text, const char *place, const char *says)
{
    char where[128];

    snprintf(where, sizeof(where), "%s:%s: ", conf_path(), place);
    refuse_as(&somebody, with_file(text, "", ""), where, says);
}

static void test_a_file_can_hold_everything(void **state)
{
    struct parsed p;
    struct conf *c = accept_as(&p, &somebody,
                               with_file("# the share of guest one\n"
                                         "\n"
                                         "  shared-dir = /srv/a, b = c # d\t\r\n"
                                         "socket_path=/run/guest1.sock\n"
                                         "xattr\n"
                                         "readdirplus = off\n"
                                         "no-announce-submounts\n"
                                         "posix-acl\n"
                                         "security_label = auto\n"
                                         "cache = none\n"
                                         "uid-map = :0:1000:1:\n"
                                         "uid-map = :1:100000:5:\n"
                                         "log-level=debug",
                                         "", ""));

    (void)state;
    assert_string_equal(c->source, "/srv/a, b = c # d");
    assert_string_equal(c->socket_path, "/run/guest1.sock");
    assert_true(c->xattr);
    assert_false(c->readdirplus || c->announce_submounts);
    assert_int_equal(c->posix_acl, WHEN_ALWAYS);
    assert_int_equal(c->security_label, WHEN_AUTO);
    assert_int_equal(c->cache, CACHE_NEVER);
    assert_int_equal(c->n_uid_map, 2);
    assert_int_equal(c->log_level, LOG_DEBUG_);
    conf_free(c);
}

static void test_a_socket_from_systemd_takes_the_place_of_a_file_s(void **state)
{
    const struct conf_env env = {.euid = 0, .activated_fd = 3};
    struct parsed p;
    struct conf *c = accept_as(
        &p, &env, with_file("source=/x\nsocket-path=/file.sock\nsocket-group=kvm\n", "", ""));

    (void)state;
    assert_int_equal(c->listen_fd, 3);
    assert_null(c->socket_path);
    assert_null(c->socket_group);
    conf_free(c);
    c = accept_as(&p, &env, with_file("source=/x\nfd=9\n", "", ""));
    assert_int_equal(c->listen_fd, 3);
    conf_free(c);
}

static void test_the_command_line_wins_wherever_it_says_so(void **state)
{
    static const char file[] = "source=/file\nsocket-path=/file.sock\ncache=always\nxattr\n";
    static const char args[] = "--shared-dir=/line|--cache=never|--no-xattr";
    struct parsed p;

    (void)state;
    for (int after = 0; after < 2; after++) {
        struct conf *c =
            accept_as(&p, &somebody, with_file(file, after ? "" : args, after ? args : ""));
        assert_string_equal(c->source, "/line");
        assert_string_equal(c->socket_path, "/file.sock");
        assert_int_equal(c->cache, CACHE_NEVER);
        assert_false(c->xattr);
        conf_free(c);
    }
}

static void test_libvirts_descriptor_wins_over_a_files_socket(void **state)
{
    struct parsed p;
    struct conf *c = accept_as(&p, &somebody,
                               with_file("socket-path=/file.sock\nsocket-group=kvm\n",
                                         "--fd=31|-o|source=/Storage,cache=none", ""));

    (void)state;
    assert_null(c->socket_path);
    assert_null(c->socket_group);
    assert_int_equal(c->listen_fd, 31);
    conf_free(c);
}

static void test_a_socket_path_wins_over_a_files_descriptor(void **state)
{
    struct parsed p;
    struct conf *c =
        accept_as(&p, &somebody, with_file("fd=5\nsource=/x\n", "--socket-path=/line.sock", ""));

    (void)state;
    assert_string_equal(c->socket_path, "/line.sock");
    assert_int_equal(c->listen_fd, -1);
    conf_free(c);
}

static void test_a_list_of_the_command_line_replaces_that_of_a_file(void **state)
{
    struct parsed p;
    struct conf *c = accept_as(&p, &somebody,
                               with_file("source=/x\nfd=3\nuid-map=:0:1:1:\nuid-map=:1:2:1:\n",
                                         "--uid-map=:0:1000:1:", ""));

    (void)state;
    assert_int_equal(c->n_uid_map, 1);
    assert_int_equal(c->uid_map[0].outside, 1000);
    conf_free(c);
}

static void test_no_xattr_of_a_file_gives_way_to_an_option_that_needs_them(void **state)
{
    struct parsed p;

    (void)state;
    assert_true(
        accept_as(&p, &somebody, with_file("source=/x\nfd=3\nxattr=no\n", "--posix-acl", ""))
            ->xattr);
    conf_free(&p.conf);
}

static void test_errors_say_which_line(void **state)
{
    (void)state;
    refuse_file("\n\nfrobnicate = 1\n", "3: frobnicate", "no such option");
    refuse_file("# c\ncache = some\n", "2: cache", "auto, always, never, metadata");
    refuse_file("xattr = perhaps\n", "1: xattr", "neither yes nor no");
    refuse_file("shared-dir\n", "1: shared-dir", "needs a value");
    refuse_file("shared-dir =\n", "1: shared-dir", "empty");
    refuse_file("source=/a\nshared-dir=/b\n", "2: shared-dir", "one of them");
    refuse_file("no-xattr = yes\n", "1: no-xattr", "takes no value");
    refuse_file("[share]\n", "1: [share]", "[share NAME]");
    refuse_file("--xattr\n", "1: --xattr", "name = value");
    refuse_file("config = /etc/other\n", "1: config", "command line");
    refuse_file("help\n", "1: help", "command line");
    refuse_file("print-capabilities\n", "1: print-capabilities", "command line");
    refuse_file("migration-mode = by-name\n", "1: migration-mode", "find-paths");
}

static void test_a_mistake_is_found_though_the_command_line_overrides_it(void **state)
{
    (void)state;
    refuse_as(&somebody, with_file("cache = some\n", "--cache=never|--fd=3|--shared-dir=/", ""),
              ":1: cache", "auto, always");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_can_hold_everything),
        cmocka_unit_test(test_a_socket_from_systemd_takes_the_place_of_a_file_s),
        cmocka_unit_test(test_the_command_line_wins_wherever_it_says_so),
        cmocka_unit_test(test_libvirts_descriptor_wins_over_a_files_socket),
        cmocka_unit_test(test_a_socket_path_wins_over_a_files_descriptor),
        cmocka_unit_test(test_a_list_of_the_command_line_replaces_that_of_a_file),
        cmocka_unit_test(test_no_xattr_of_a_file_gives_way_to_an_option_that_needs_them),
        cmocka_unit_test(test_errors_say_which_line),
        cmocka_unit_test(test_a_mistake_is_found_though_the_command_line_overrides_it),
    };
    return cmocka_run_group_tests(tests, conf_make_file, conf_remove_file);
}
