// SPDX-License-Identifier: BSD-3-Clause
/*
 * lock_table.h - who holds record locks, each through a descriptor of its own
 */
#ifndef VIOFS_LOCK_TABLE_H
#define VIOFS_LOCK_TABLE_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/lock_ranges.h"

struct lock_table;
struct lock_owner;

/* What a locked file is, for the table: its owner's business. Called without the table's lock. */
struct lock_files {
    /** open() - a descriptor with an open file description of its own, or -errno */
    int (*open)(void *ctx, void *file);
    void (*ref)(void *ctx, void *file);
    void (*unref)(void *ctx, void *file);
    /** number() - what names it over a restart, not 0 */
    uint32_t (*number)(void *ctx, const void *file);
    /** hold() - at resume: the file of that number, with a reference, or NULL */
    void *(*hold)(void *ctx, uint32_t number);
};

struct keep;

#define LOCK_OWNERS_MAX 4096u
/** lock_table_new() - @max: owners at the same time, up to LOCK_OWNERS_MAX, each of which costs a descriptor */
int lock_table_new(struct lock_table **table, const struct lock_files *files, void *ctx,
                   uint32_t max, struct keep *k);
/** lock_table_resume() - owners that another worker left, with the locks that their descriptors hold. 0 or -ENOMEM. */
int lock_table_resume(struct lock_table *t);
/* For whoever moves a session to another host. The guest is stopped meanwhile. */

/** lock_each_fn - @ranges: NULL when they are not known any more: another worker took more than are kept */
typedef int lock_each_fn(void *ctx, void *file, uint64_t owner, uint32_t pid,
                         const struct lock_ranges *ranges);
/** lock_table_each() - @fn for each owner; stops at what is not 0 */
int lock_table_each(struct lock_table *t, lock_each_fn *fn, void *ctx);
/**
 * lock_table_give_up() - the kernel's locks go and the table stays (@give_up), or are taken again
 * Return: owners of which not all could be taken again.
 */
int lock_table_give_up(struct lock_table *t, bool give_up);
/** lock_table_clear() - release every lock; references that are out stay good and end as usual */
void lock_table_clear(struct lock_table *t);
void lock_table_free(struct lock_table *t);

/** lock_owner_find() - a reference to @owner's entry for @file, or NULL when it has none */
struct lock_owner *lock_owner_find(struct lock_table *t, const void *file, uint64_t owner);
/** lock_owner_get() - the same, made when it is missing. Return: 0; -ENOLCK past the bound; -errno. */
int lock_owner_get(struct lock_table *t, void *file, uint64_t owner, struct lock_owner **out);
void lock_owner_put(struct lock_table *t, struct lock_owner *o);

/** lock_owner_drop() - all locks of @owner on @file go. Return: true if it had an entry. */
bool lock_owner_drop(struct lock_table *t, const void *file, uint64_t owner);

/**
 * lock_owner_set() - lock or unlock without waiting
 * @fl:  l_type and range; @pid: the guest's process, told to others that ask
 * Return: 0; -EAGAIN when somebody else holds it; -errno.
 */
int lock_owner_set(struct lock_owner *o, const struct flock *fl, uint32_t pid);

/** lock_owner_fd() - the entry's descriptor, good while the reference is held */
int lock_owner_fd(const struct lock_owner *o);

/**
 * lock_other_pid() - whose lock the kernel has told of
 * @fl: the lock, of another owner of @file or of another program
 * Return: process of the one other owner who holds its first byte that way; 0 when there is none or several.
 */
uint32_t lock_other_pid(struct lock_table *t, const void *file, uint64_t owner,
                        const struct flock *fl);

#endif
