// SPDX-License-Identifier: BSD-3-Clause
/*
 * posix.h - what the families of checks share
 *
 * A check prints one TAP line with what it saw, so that the lines of two file systems can be compared
 * even where both are within the rules. A family works in an empty directory of its own, which is the
 * working directory; what it leaves there is removed by the caller.
 */
#ifndef VIOFS_TESTS_POSIX_H
#define VIOFS_TESTS_POSIX_H

#include <stdbool.h>
#include <sys/stat.h>

/* Two users that are nobody else's. */
#define ALICE 60001
#define BOB   60002

/** expect() - the call returned @status; @want is 0 for success, else the errno it must fail with */
void expect(const char *what, long status, int want);

/** expect_that() - a statement about the file system holds */
void expect_that(const char *what, bool holds);

/** expect_number() - a value is the wanted one; both are printed in octal if @octal */
void expect_number(const char *what, long seen, long want);
void expect_octal(const char *what, unsigned seen, unsigned want);

/** skip() - something cannot be checked here */
void skip(const char *what, const char *reason);

/** become() - act as a user with one group and one supplementary group (become(0, 0, 0): root again) */
void become(unsigned uid, unsigned gid, unsigned supplementary);

/** make_file() - a file with text, 0 or more bytes; the helpers end the program when they fail */
void make_file(const char *path, const char *text, unsigned mode);
void make_dir(const char *path, unsigned mode);
void make_owned(const char *path, unsigned uid, unsigned gid, unsigned mode);

/** status_of() - lstat that must succeed */
struct stat status_of(const char *path);
/** exists() - does lstat find it? */
bool exists(const char *path);
/** holds() - does the file contain exactly @text? */
bool holds(const char *path, const char *text);

void check_open(void);
void check_unnamed(void);
void check_names(void);
void check_rename(void);
void check_attributes(void);
void check_permissions(void);
void check_times(void);
void check_data(void);
void check_unlinked(void);
void check_directories(void);
void check_xattr(void);
void check_locks(void);

#endif
