// SPDX-License-Identifier: BSD-3-Clause
/*
 * jail.h - run a piece of a test inside the sandbox
 *
 * The test forks; the child enters the sandbox as the daemon does and calls a function there, whose
 * result comes back as exit status, through the waiting parent where there is one. What is wrong
 * inside is said on stderr.
 */
#ifndef VIOFS_TESTS_JAIL_H
#define VIOFS_TESTS_JAIL_H

#include <stdio.h>
#include <stdlib.h>

#include "sandbox/confine.h"

#define NOBODY 65534

/* Inside: leave with 1 if @condition does not hold. */
#define INSIDE(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: inside the sandbox: not true: %s (errno %m)\n", __FILE__,      \
                    __LINE__, #condition);                                                         \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

struct jail {
    struct conf conf;
    char dir[64]; /* scratch directory; dir/share is the source */
    char share[80];
    uid_t uid;                         /* become this user first (with no groups) */
    bool lock;                         /* sandbox_lock() too */
    struct sandbox_heir *heir;         /* or NULL */
    void (*before)(struct jail *jail); /* in the child, before anything else; may be NULL */
    int (*inside)(struct jail *jail, struct sandbox *sb); /* Return: exit status */
};

/** jail_make() - a scratch directory with an empty share, and default options. Fails the test on error. */
void jail_make(struct jail *jail, enum conf_sandbox mode);
/** jail_free() - remove the scratch directory */
void jail_free(struct jail *jail);

/** jail_start() - Return: the process that the test sees (its status is @inside's) */
pid_t jail_start(struct jail *jail);
/** jail_run() - start and wait. Return: exit status, or 1000 + signal. */
int jail_run(struct jail *jail);
/** jail_wait() - Return: exit status, or 1000 + signal; -1 when it has not ended after 10 s (it is killed) */
int jail_wait(pid_t pid);

/** jail_path() - "dir/rel", in a static buffer */
const char *jail_path(const struct jail *jail, const char *rel);
/** jail_write() - make a file with some text. Fails the test on error. */
void jail_write(const struct jail *jail, const char *rel, const char *text);

/** is_root() - may this run do what root does (not only its name)? */
bool is_root(void);
#define ROOT_ONLY()                                                                                \
    do {                                                                                           \
        if (!is_root())                                                                            \
            skip();                                                                                \
    } while (0)

#endif
