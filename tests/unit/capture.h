// SPDX-License-Identifier: BSD-3-Clause
/*
 * capture.h - read what a piece of code prints on stdout or stderr
 *
 *     struct capture c = capture_begin(STDERR_FILENO);
 *     complain();
 *     assert_string_equal(capture_end(&c), "oh\n");
 */
#ifndef VIOFS_TEST_CAPTURE_H
#define VIOFS_TEST_CAPTURE_H

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

struct capture {
    int fd, memory, before;
    char text[16384];
};

static inline struct capture capture_begin(int fd)
{
    struct capture c = {.fd = fd, .memory = memfd_create("capture", MFD_CLOEXEC)};

    fflush(stdout);
    fflush(stderr);
    c.before = dup(fd);
    dup2(c.memory, fd);
    return c;
}

/** capture_end() - give the descriptor back. Return: the text, valid as long as @c. */
static inline const char *capture_end(struct capture *c)
{
    fflush(stdout);
    fflush(stderr);
    dup2(c->before, c->fd);
    ssize_t n = pread(c->memory, c->text, sizeof(c->text) - 1, 0);
    c->text[n > 0 ? n : 0] = '\0';
    close(c->before);
    close(c->memory);
    return c->text;
}

#endif
