// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_log.c - log lines: whole, harmless, and never in the way
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "virtiofsd/host/log.h"

/* A pipe that the log writes to, as under libvirt. */
struct rig {
    int rd, wr;
    char text[256 * 1024];
};

static int setup(void **state)
{
    static struct rig rig;
    int fd[2];

    if (pipe2(fd, O_NONBLOCK | O_CLOEXEC) < 0)
        return -1;
    rig.rd = fd[0];
    rig.wr = fd[1];
    log_to_fd(rig.wr);
    *state = &rig;
    return log_init(LOG_INFO_, false);
}

static int teardown(void **state)
{
    struct rig *r = *state;

    log_started(); /* closes rig.wr */
    log_to_fd(STDERR_FILENO);
    return close(r->rd);
}

/* Everything that is in the pipe. */
static const char *drain(struct rig *r)
{
    size_t n = 0;
    ssize_t k;

    while ((k = read(r->rd, r->text + n, sizeof(r->text) - 1 - n)) > 0)
        n += (size_t)k;
    r->text[n] = '\0';
    return r->text;
}

/* The only line in the pipe, without the time at its start. */
static const char *drain_line(struct rig *r)
{
    char *text = (char *)drain(r), *end = strchr(text, '\n');

    assert_non_null(end);
    assert_int_equal(end[1], '\0');
    *end = '\0';
    assert_true(strlen(text) > 25 && text[10] == 'T' && text[23] == 'Z' && text[24] == ' ');
    return text + 25;
}

static void test_a_line_has_time_level_and_text(void **state)
{
    log_error("no %s at %d", "room", 7);
    assert_string_equal(drain_line(*state), "error: no room at 7");
    log_info("hello");
    assert_string_equal(drain_line(*state), "hello");
}

static void test_levels_above_the_threshold_say_nothing(void **state)
{
    log_debug("evaluated %d", (fail(), 1));
    log_line(LOG_TRACE_, "nothing");
    assert_string_equal(drain(*state), "");
    log_init(LOG_OFF_, false);
    log_error("nothing");
    assert_string_equal(drain(*state), "");
}

static void test_control_characters_are_escaped(void **state)
{
    log_info("a\nb\x1b[31m\x7f\tc\r");
    assert_string_equal(drain_line(*state), "a\\x0ab\\x1b[31m\\x7f\\x09c\\x0d");
}

static void test_letters_of_the_world_pass_and_their_controls_do_not(void **state)
{
    log_info("gr\xc3\xbc\xc3\x9f \xe6\x97\xa5 \xf0\x9f\x90\xa7");
    assert_string_equal(drain_line(*state), "gr\xc3\xbc\xc3\x9f \xe6\x97\xa5 \xf0\x9f\x90\xa7");
    /* C1 control, overlong '/', lone continuation, cut-off character, surrogate, right-to-left */
    log_info("\xc2\x9b \xc0\xaf \x80 \xe6\x97");
    assert_string_equal(drain_line(*state), "\\xc2\\x9b \\xc0\\xaf \\x80 \\xe6\\x97");
    log_info("\xed\xa0\x80 \xe2\x80\xae \xf4\x90\x80\x80");
    assert_string_equal(drain_line(*state), "\\xed\\xa0\\x80 \\xe2\\x80\\xae \\xf4\\x90\\x80\\x80");
}

static void test_a_long_line_is_cut_and_marked(void **state)
{
    char text[8000];

    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    log_info("%s", text);
    const char *line = drain_line(*state);
    assert_true(strlen(line) < 2048);
    assert_string_equal(line + strlen(line) - 5, "xx...");

    memset(text, '\n', sizeof(text) - 1);
    log_info("%s", text);
    line = drain_line(*state);
    assert_true(strlen(line) < 2048);
    assert_string_equal(line + strlen(line) - 7, "\\x0a...");
}

static void test_a_full_pipe_loses_lines_and_says_so_later(void **state)
{
    struct rig *r = *state;
    unsigned sent = 5000, arrived = 0, lost = 0;

    for (unsigned i = 0; i < sent; i++)
        log_info("line %u of a guest that has much to say", i);
    for (const char *s = drain(r); (s = strstr(s, "of a guest")); s++)
        arrived++;
    assert_true(arrived > 100 && arrived < sent);

    log_info("and on it goes");
    char *report = strstr(drain(r), "messages missing here: ");
    assert_non_null(report);
    assert_int_equal(sscanf(report, "messages missing here: %u lost", &lost), 1);
    assert_int_equal(arrived + lost, sent);
    assert_non_null(strstr(report, "and on it goes\n"));

    log_info("again");
    assert_string_equal(drain_line(r), "again");
}

static void test_errno_survives(void **state)
{
    (void)state;
    for (int i = 0; i < 3000; i++) {
        errno = ENOTTY;
        log_info("x");
        assert_int_equal(errno, ENOTTY);
    }
    drain(*state);
    log_info("x");
    drain(*state);
}

static void *chatter(void *arg)
{
    for (int i = 0; i < 200; i++)
        log_info("<%s>", (const char *)arg);
    return NULL;
}

static void test_lines_of_many_threads_do_not_mix(void **state)
{
    struct rig *r = *state;
    static char *words[] = {"aaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbb"};
    pthread_t t[2];
    unsigned n = 0;

    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&t[i], NULL, chatter, words[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    for (char *line = strtok((char *)drain(r), "\n"); line; line = strtok(NULL, "\n"), n++) {
        char *word = strchr(line, '<');
        assert_non_null(word);
        assert_true(strncmp(word + 1, words[0], 20) == 0 || strncmp(word + 1, words[1], 20) == 0);
        assert_string_equal(word + 21, ">");
    }
    assert_int_equal(n, 400);
}

static void test_a_limited_site_speaks_ten_times_a_second_and_counts_the_rest(void **state)
{
    struct rig *r = *state;
    unsigned lines = 0, left_out = 0;

    for (int i = 0; i < 1000; i++)
        log_warn_limited("the guest is at it again");
    for (const char *s = drain(r); (s = strstr(s, "at it again")); s++)
        lines++;
    assert_true(lines == 10 || lines == 20); /* 20: a second began in between */
    log_info("end");
    const char *report = strstr(drain(r), "lost (log full), ");
    assert_non_null(report);
    assert_int_equal(sscanf(report, "lost (log full), %u left out", &left_out), 1);
    assert_int_equal(lines + left_out, 1000);
}

static void test_a_limited_site_speaks_again_in_the_next_second(void **state)
{
    _Atomic uint64_t site = 0;

    (void)state;
    while (log_ratelimit(&site))
        ;
    nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 20000000}, NULL);
    assert_true(log_ratelimit(&site));
}

static void test_nothing_is_written_after_the_reader_has_gone(void **state)
{
    struct rig *r = *state;

    close(r->rd);
    for (int i = 0; i < 10; i++)
        log_info("nobody is there");
    r->rd = open("/dev/null", O_RDONLY);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_line_has_time_level_and_text),
        T(test_levels_above_the_threshold_say_nothing),
        T(test_control_characters_are_escaped),
        T(test_letters_of_the_world_pass_and_their_controls_do_not),
        T(test_a_long_line_is_cut_and_marked),
        T(test_a_full_pipe_loses_lines_and_says_so_later),
        T(test_errno_survives),
        T(test_lines_of_many_threads_do_not_mix),
        T(test_a_limited_site_speaks_ten_times_a_second_and_counts_the_rest),
        T(test_a_limited_site_speaks_again_in_the_next_second),
        T(test_nothing_is_written_after_the_reader_has_gone),
    };
    signal(SIGPIPE, SIG_IGN); /* as main() does */
    unsetenv("JOURNAL_STREAM");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
