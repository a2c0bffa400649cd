// SPDX-License-Identifier: BSD-3-Clause
/*
 * watch.h - changes in the share that others make
 *
 * Theory of operation
 *
 *   A directory is *covered* while the kernel reports what happens in it. Two things cover one: a client that
 *   looks up or lists in it (watch_cover(), before anything is read, so that nothing falls between), and a
 *   watch of a subtree (watch_subtree()), which covers all directories in it, breadth first, and those that appear
 *   later. The budget bounds both together; when it is used up, the directory that has not been looked at for
 *   longest is given up, and the client is told.
 *
 *   One thread reads the kernel's events and makes records of them (records.h): the nearest directory above that
 *   the client has looked into, and the path from there. The daemon's own changes make none.
 *
 *   watch.c is the thread and the door; dirs.c knows which directories are covered, where they are, and what an
 *   event means; crawl.c covers subtrees; inotify.c and fanotify.c speak with the kernel.
 *
 * Locks: one mutex for everything. It may be held when an inode shard's lock is taken, never the other way
 * round, and never when a reference on an inode is put.
 */
#ifndef VIOFS_WATCH_H
#define VIOFS_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf.h"
#include "tree/tree.h"

struct watch;
struct expected;

#define WATCH_SUBTREES_MAX 1024u /* docs/protocol.md */

struct watch_params {
    struct tree *tree;
    int proc_fd; /* borrowed; /proc/self/fd */
    enum conf_watch how;
    uint32_t limit; /* directories that may be covered */
    /* WATCH_FANOTIFY */
    int fanotify_fd;          /* borrowed; watch_mark()'s */
    int root_fd;              /* borrowed; O_PATH of the share */
    int mountinfo_fd;         /* borrowed */
    const char *mount_prefix; /* of paths in the share, as the kernel tells them; "" or absolute */
    /** ready() - records wait; called on the watch thread, with no lock held */
    void (*ready)(void *ctx);
    /** covered() - the subtree of that number is; likewise. @whole: all of it */
    void (*covered)(void *ctx, uint64_t number, bool whole);
    void *ctx;
};

/**
 * watch_mark() - before the sandbox closes: WATCH_FANOTIFY's mark on the file system of @share
 * Return: descriptor; -errno (message printed).
 */
int watch_mark(const char *share);

/** watch_new() - starts nothing. Return: 0, -ENOMEM, -EOPNOTSUPP with WATCH_NEVER. */
int watch_new(struct watch **w, const struct watch_params *p);
void watch_free(struct watch *w);

/**
 * watch_start() - a client wants to hear of changes
 *
 * Opens the kernel's side and starts the thread, if that has not been done yet. The calling thread's cwd is
 * /proc/self/fd, as with all functions here that cover something.
 * Return: 0; -errno when the kernel has nothing to offer (logged once).
 */
int watch_start(struct watch *w);
/** watch_lost() - changes have been missed: the client is told to look at everything again */
void watch_lost(struct watch *w);
/** watch_reset() - the session is over: nothing is covered any more, nothing waits. No request may be running. */
void watch_reset(struct watch *w);

/**
 * watch_cover() - report what happens in @dir from now on
 * Return: true if it is covered, and inode_covered() says so until it is not any more.
 */
bool watch_cover(struct watch *w, struct inode *dir);
/** watch_made() - the client has made @dir as @name in @parent: cover it too, if that is in a subtree */
void watch_made(struct watch *w, struct inode *parent, const char *name, struct inode *dir);
/** watch_forgotten() - the client forgets that directory (tree_params.uncover) */
void watch_forgotten(void *w, uint64_t id);

/**
 * watch_subtree() - cover all below @dir
 * @number: the client's; covered() will be called with it
 * @age_ms: changes up to so long ago are wanted
 * Return: 0; -EEXIST, -ENOSPC (WATCH_SUBTREES_MAX), -ENOMEM.
 */
int watch_subtree(struct watch *w, struct inode *dir, uint64_t number, uint32_t age_ms);
/** watch_end_subtree() - covered() will not be called for it after this. Return: 0 or -ENOENT. */
int watch_end_subtree(struct watch *w, uint64_t number);

/** watch_take() - records, as records_take(). @room: at least RECORDS_ROOM_MIN. */
size_t watch_take(struct watch *w, void *buf, size_t room);

/* ---- changes of our own ---------------------------------------------------------------------- */

enum watch_kind { /* what an event says, as bits */
                  WATCH_CREATE = 1,
                  WATCH_DELETE = 2,
                  WATCH_MODIFY = 4,
                  WATCH_ATTRIB = 8,
                  WATCH_FROM = 16, /* a name moves away */
                  WATCH_TO = 32,
};

/* Events that a request will raise: one of each kind. */
struct watch_change {
    struct inode *dir;
    const char *name; /* in @dir; "": @dir itself */
    unsigned kinds;
};
#define WATCH_CHANGES_MAX 4

struct watch_own {
    unsigned n;
    struct expected *expected[WATCH_CHANGES_MAX];
};

/** watch_needs_own() - does the kernel leave open whose an event is? Else the two below need not be called. */
bool watch_needs_own(struct watch *w);
/** watch_own_begin() - around a change, where the kernel does not say whose an event is; else it does nothing */
void watch_own_begin(struct watch *w, const struct watch_change *c, unsigned n,
                     struct watch_own *own);
/** watch_own_end() - @c, @n: as before; @done: kinds of each change that did happen; 0: none */
void watch_own_end(struct watch *w, const struct watch_change *c, unsigned n, struct watch_own *own,
                   unsigned done);

/* Numbers for statistics. */
uint64_t watch_count(void *w);
uint64_t watch_subtrees(void *w);
uint64_t watch_records(void *w);
uint64_t watch_overflows(void *w);
uint64_t watch_rescans(void *w);

#endif
