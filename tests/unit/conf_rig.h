// SPDX-License-Identifier: BSD-3-Clause
/*
 * conf_rig.h - parse a command line in a test, as an ordinary user or as root
 */
#ifndef VIOFS_TEST_CONF_RIG_H
#define VIOFS_TEST_CONF_RIG_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "capture.h"
#include "virtiofsd/conf_table.h"

#define MAX_ARGS 32

struct parsed {
    struct conf conf;
    int result;
    struct capture err;
    const char *message; /* everything on stderr */
};

/* @line: arguments divided by '|', so that they may hold blanks */
static inline void parse_as(struct parsed *p, const struct conf_env *env, const char *line)
{
    char text[4096], *argv[MAX_ARGS] = {"virtiofsd"}, *rest = text;
    int argc = 1;

    snprintf(text, sizeof(text), "%s", line);
    while (*line && rest && argc < MAX_ARGS - 1)
        argv[argc++] = strsep(&rest, "|");
    p->err = capture_begin(STDERR_FILENO);
    p->result = conf_read(&p->conf, env, argc, argv);
    p->message = capture_end(&p->err);
}

static const struct conf_env somebody = {.euid = 1000, .activated_fd = -1};
static const struct conf_env root = {.euid = 0, .activated_fd = -1};

/* Parse a line that has to be good. */
static inline struct conf *accept_as(struct parsed *p, const struct conf_env *env, const char *line)
{
    parse_as(p, env, line);
    if (p->result != CONF_RUN)
        fail_msg("%s\nwas refused: %s", line, p->message);
    assert_string_equal(p->message, "");
    return &p->conf;
}

/* Parse a line that must be refused with one line that contains @option and @says. */
static inline void refuse_as(const struct conf_env *env, const char *line, const char *option,
                             const char *says)
{
    struct parsed p;

    parse_as(&p, env, line);
    if (p.result != -EINVAL)
        fail_msg("%s\nwas accepted", line);
    if (strncmp(p.message, "virtiofsd: ", 11) != 0 || !strstr(p.message, option) ||
        !strstr(p.message, says) || strchr(p.message, '\n') != p.message + strlen(p.message) - 1)
        fail_msg("%s\nwas refused with: %s\nwithout '%s' or '%s', or on more than one line", line,
                 p.message, option, says);
    conf_free(&p.conf);
}

/* The file for --config of a group's tests, between conf_make_file() and conf_remove_file(). */
static inline char *conf_path(void)
{
    static char path[] = "/tmp/viofs-conf-XXXXXX";

    return path;
}

/* Group set-up: an empty file. */
static inline int conf_make_file(void **state)
{
    int fd = mkstemp(conf_path());

    (void)state;
    return fd < 0 ? -1 : close(fd);
}

/* Group tear-down. */
static inline int conf_remove_file(void **state)
{
    (void)state;
    return unlink(conf_path());
}

#endif
