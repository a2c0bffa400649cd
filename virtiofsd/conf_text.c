// SPDX-License-Identifier: BSD-3-Clause
/*
 * conf_text.c - configuration files as they were when they were read first (see conf_text.h)
 *
 * Theory of operation
 *
 *   A file is read whole, once, and known by its path from then on: the two passes over a file with sections see the
 *   same text, and a pipe can be read.
 *
 *   From supervisor to worker the texts go in one memfd that the worker inherits: for each file its path, the text's
 *   length in decimal, and the text; the first two end with a zero.
 *
 * Source: memfd_create(2). Ownership: struct conf_texts owns paths and texts. Locks: none; main thread, or a child
 * before exec.
 */
#include "conf_text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/cleanup.h"
#include "host/log.h"

/* The number of the descriptor; set by the supervisor between fork() and exec. */
#define TEXTS_ENV "VIRTIOFSD_CONFIG"
#define PIECE     65536u

/* Return: 0 with *@text (zero-terminated, to be freed) and *@len, or -errno. */
static int read_all(int fd, size_t most, char **text, size_t *len)
{
    cleanup_free char *all = NULL;
    size_t n = 0, room = 0;

    for (;;) {
        if (n + 1 >= room) {
            char *more = realloc(all, room + PIECE);
            if (!more)
                return -ENOMEM;
            all = more;
            room += PIECE;
        }
        ssize_t r = TEMP_FAILURE_RETRY(read(fd, all + n, room - n - 1));
        if (r < 0)
            return -errno;
        if (r == 0)
            break;
        n += (size_t)r;
        if (n > most)
            return -EFBIG;
    }
    all[n] = '\0';
    *text = steal_ptr(all);
    *len = n;
    return 0;
}

/* Takes over @text, also on error. Return: 0, -E2BIG, -ENOMEM. */
static int add(struct conf_texts *t, const char *path, char *text, size_t len)
{
    cleanup_free char *own = text;
    char *name = strdup(path);

    if (t->n == CONF_TEXTS_MAX || !name) {
        free(name);
        return name ? -E2BIG : -ENOMEM;
    }
    t->at[t->n++] = (struct conf_text){.path = name, .text = steal_ptr(own), .len = len};
    return 0;
}

static int read_file(struct conf_texts *t, int dir_fd, const char *path)
{
    cleanup_close int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
    size_t len;
    char *text;

    if (fd < 0)
        return -errno;
    int err = read_all(fd, CONF_TEXT_BYTES_MAX, &text, &len);
    return err < 0 ? err : add(t, path, text, len);
}

int conf_text_get(struct conf_texts *t, const char *path, const struct conf_text **out)
{
    for (size_t i = 0; i < t->n; i++) {
        if (strcmp(t->at[i].path, path) == 0) {
            *out = &t->at[i];
            return 0;
        }
    }
    int err = read_file(t, AT_FDCWD, path);
    if (err == 0)
        *out = &t->at[t->n - 1];
    return err;
}

int conf_texts_again(const struct conf_texts *old, int dir_fd, struct conf_texts *now)
{
    *now = (struct conf_texts){0};
    for (size_t i = 0; i < old->n; i++) {
        int err = read_file(now, dir_fd, old->at[i].path);
        if (err < 0) {
            log_error("reload: %s: %s; the worker goes on as it is", old->at[i].path,
                      strerror(-err));
            conf_texts_free(now);
            return err;
        }
    }
    return 0;
}

/* ---- from supervisor to worker --------------------------------------------------------------- */

static int write_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t r = TEMP_FAILURE_RETRY(write(fd, bytes, n));
        if (r < 0)
            return -errno;
        bytes += r;
        n -= (size_t)r;
    }
    return 0;
}

int conf_texts_pass(const struct conf_texts *t)
{
    char number[24];
    int fd = memfd_create("virtiofsd-config", 0), err = fd < 0 ? -errno : 0;

    for (size_t i = 0; i < t->n && err == 0; i++) {
        const struct conf_text *one = &t->at[i];
        int n = snprintf(number, sizeof(number), "%zu", one->len);
        if ((err = write_all(fd, one->path, strlen(one->path) + 1)) == 0 &&
            (err = write_all(fd, number, (size_t)n + 1)) == 0)
            err = write_all(fd, one->text, one->len);
    }
    snprintf(number, sizeof(number), "%d", fd);
    if (err == 0 && (lseek(fd, 0, SEEK_SET) < 0 || setenv(TEXTS_ENV, number, 1) < 0))
        err = -errno;
    return err;
}

/* Return: what stands in @all (@left bytes) up to the next zero, and *@left less that; NULL: there is none. */
static const char *take_word(const char **all, size_t *left)
{
    const char *word = *all, *end = memchr(word, '\0', *left);

    if (!end)
        return NULL;
    *left -= (size_t)(end + 1 - word);
    *all = end + 1;
    return word;
}

static int divide(struct conf_texts *t, const char *all, size_t left)
{
    while (left > 0) {
        const char *path = take_word(&all, &left), *number = path ? take_word(&all, &left) : NULL;
        size_t len = number ? strtoul(number, NULL, 10) : 0;
        if (!number || len > left)
            return -EPROTO;
        char *text = malloc(len + 1);
        if (!text)
            return -ENOMEM;
        memcpy(text, all, len);
        text[len] = '\0';
        int err = add(t, path, text, len);
        if (err < 0)
            return err;
        all += len;
        left -= len;
    }
    return 0;
}

int conf_texts_passed(struct conf_texts *t)
{
    const char *number = getenv(TEXTS_ENV);
    cleanup_free char *all = NULL;
    size_t n = 0;

    if (!number)
        return 0;
    const long given = strtol(number, NULL, 10);
    unsetenv(TEXTS_ENV);
    if (given <= STDERR_FILENO || given > INT_MAX)
        return -EPROTO;
    cleanup_close int fd = (int)given;
    int err = read_all(fd, CONF_TEXTS_MAX * (size_t)CONF_TEXT_BYTES_MAX, &all, &n);
    return err < 0 ? err : divide(t, all, n);
}

void conf_texts_free(struct conf_texts *t)
{
    for (size_t i = 0; i < t->n; i++) {
        free(t->at[i].path);
        free(t->at[i].text);
    }
    *t = (struct conf_texts){0};
}
