// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_conf_help.c - what the daemon says about its options, and what the manual does
 *
 * Run with the source of the manual page as argument.
 */
#include <ctype.h>
#include <errno.h>

#include "conf_rig.h"

static const char *manual; /* text of the page */

static const char *output_of(struct capture *out, char *argument)
{
    char *argv[] = {"virtiofsd", argument};
    struct conf_env env = {.euid = 65534, .activated_fd = -1};
    struct conf conf;

    *out = capture_begin(STDOUT_FILENO);
    int r = conf_read(&conf, &env, 2, argv);
    const char *text = capture_end(out);
    assert_int_equal(r, CONF_DONE);
    conf_free(&conf);
    return text;
}

static void test_help_fits_a_terminal(void **state)
{
    static struct capture out;
    const char *line = output_of(&out, "--help");
    unsigned lines = 0;

    (void)state;
    for (const char *end; (end = strchr(line, '\n')); line = end + 1, lines++) {
        if (end - line > 80)
            fail_msg("longer than 80: %.*s", (int)(end - line), line);
    }
    assert_true(lines > 40 && lines <= 80);
}

static void test_help_names_every_option_once(void **state)
{
    static struct capture out;
    const char *text = output_of(&out, "-h");

    (void)state;
    for (const struct conf_option *o = conf_options; o < conf_options + conf_n_options; o++) {
        char name[64];
        bool found = false;
        snprintf(name, sizeof(name), "--%s", o->name);
        for (const char *at = strstr(text, name); at; at = strstr(at + 1, name))
            found = found || strchr(" =[\n", at[strlen(name)]);
        if (found != (o->group != GROUP_HIDDEN))
            fail_msg("%s is %s in --help", name, found ? "" : "not");
    }
}

static void test_names_are_unique(void **state)
{
    bool negative;

    (void)state;
    for (const struct conf_option *o = conf_options; o < conf_options + conf_n_options; o++) {
        assert_ptr_equal(conf_find(o->name, strlen(o->name), &negative), o);
        assert_false(negative);
        if (o->also)
            assert_ptr_equal(conf_find(o->also, strlen(o->also), &negative), o);
        for (const struct conf_option *p = conf_options; p < o; p++)
            assert_true(!o->letter || p->letter != o->letter);
    }
}

static void test_version_names_the_program(void **state)
{
    static struct capture out;

    (void)state;
    assert_string_equal(output_of(&out, "--version"), "virtiofsd (viofs) " VIOFS_VERSION "\n");
    assert_string_equal(output_of(&out, "-V"), "virtiofsd (viofs) " VIOFS_VERSION "\n");
}

static void test_capabilities_are_one_json_object(void **state)
{
    static struct capture out;

    (void)state;
    assert_string_equal(output_of(&out, "--print-capabilities"),
                        "{\n  \"type\": \"fs\",\n  \"features\": [\n    \"migrate-precopy\",\n    "
                        "\"separate-options\"\n  ]\n}\n");
}

static void test_a_mistake_beside_print_capabilities_is_found(void **state)
{
    (void)state;
    refuse_as(&somebody, "--print-capabilities|--frobnicate", "--frobnicate", "no such option");
}

/* ---- the manual ----------------------------------------------------------------------------- */

/* Is "*--name*" (with or without a value) in the page? */
static bool in_manual(const char *prefix, const char *name)
{
    char text[80];
    size_t n = (size_t)snprintf(text, sizeof(text), "*%s%s", prefix, name);

    for (const char *at = strstr(manual, text); at; at = strstr(at + 1, text)) {
        if (at[n] == '*' || at[n] == '=' || at[n] == '[')
            return true;
    }
    return false;
}

static void test_every_option_is_in_the_manual(void **state)
{
    (void)state;
    for (const struct conf_option *o = conf_options; o < conf_options + conf_n_options; o++) {
        char letter[2] = {o->letter, '\0'};
        if (!in_manual("--", o->name))
            fail_msg("the manual lacks --%s", o->name);
        if (o->letter && !in_manual("-", letter))
            fail_msg("the manual lacks -%c", o->letter);
        for (const struct conf_word *w = o->words; w && w->word; w++) {
            if (!in_manual("", w->word))
                fail_msg("the manual lacks the word %s of --%s", w->word, o->name);
        }
    }
}

static void test_the_manual_names_no_other_option(void **state)
{
    (void)state;
    for (const char *at = strstr(manual, "*--"); at; at = strstr(at + 1, "*--")) {
        const char *name = at + 3;
        size_t n = 0;
        bool negative;
        while (isalnum((unsigned char)name[n]) || name[n] == '-')
            n++;
        if (n && !conf_find(name, n, &negative))
            fail_msg("the manual has --%.*s, which does not exist", (int)n, name);
    }
}

static bool read_manual(const char *path)
{
    static char text[256 * 1024];
    FILE *f = path ? fopen(path, "r") : NULL;

    if (!f)
        return false;
    text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
    fclose(f);
    manual = text;
    return true;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help_fits_a_terminal),
        cmocka_unit_test(test_help_names_every_option_once),
        cmocka_unit_test(test_names_are_unique),
        cmocka_unit_test(test_version_names_the_program),
        cmocka_unit_test(test_capabilities_are_one_json_object),
        cmocka_unit_test(test_a_mistake_beside_print_capabilities_is_found),
        cmocka_unit_test(test_every_option_is_in_the_manual),
        cmocka_unit_test(test_the_manual_names_no_other_option),
    };
    if (argc != 2 || !read_manual(argv[1])) {
        fprintf(stderr, "usage: test_conf_help MANUAL.scd\n");
        return 2;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
