// SPDX-License-Identifier: BSD-3-Clause
/*
 * conf_text.h - configuration files as they were when they were read first
 *
 * A file that is edited while the daemon serves takes effect when that is asked for, at a reload, and not when a worker
 * happens to crash. So the supervisor keeps the text that its workers are started with, and hands it to them.
 */
#ifndef VIOFS_CONF_TEXT_H
#define VIOFS_CONF_TEXT_H

#include <stddef.h>

#define CONF_TEXTS_MAX      16          /* files on a command line */
#define CONF_TEXT_BYTES_MAX (16u << 20) /* of one file */

struct conf_text {
    char *path; /* as on the command line */
    char *text; /* ends with a zero that is not counted */
    size_t len;
};

/* All zeros is empty. Owns all that it points to. */
struct conf_texts {
    struct conf_text at[CONF_TEXTS_MAX];
    size_t n;
};

/**
 * conf_text_get() - the text of a file: that of the first time, or what is there now
 * Return: 0 with *@out, which lives as long as @t; -E2BIG: too many files; -EFBIG; -errno of reading.
 */
int conf_text_get(struct conf_texts *t, const char *path, const struct conf_text **out);

/** conf_texts_again() - read the same files as they are now; paths are relative to @dir_fd. Return: 0, or -errno (message printed). */
int conf_texts_again(const struct conf_texts *old, int dir_fd, struct conf_texts *now);

/**
 * conf_texts_pass() - what this process becomes by exec finds the texts with conf_texts_passed()
 * In a descriptor whose number is in the environment. Return: 0 or -errno.
 */
int conf_texts_pass(const struct conf_texts *t);
/** conf_texts_passed() - fill @t, which is empty, with what was passed, if anything was; before threads. Return: 0 or -errno. */
int conf_texts_passed(struct conf_texts *t);

void conf_texts_free(struct conf_texts *t);

#endif
