// SPDX-License-Identifier: BSD-3-Clause
/*
 * watch_int.h - what the files of this room share
 */
#ifndef VIOFS_WATCH_INT_H
#define VIOFS_WATCH_INT_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "watch/expect.h"
#include "watch/records.h"
#include "watch/watch.h"

#define WATCH_KEY_MAX 64u
#define DIR_BUCKETS   16384u

/* How the kernel names a directory in its events: a watch descriptor, or a file handle. */
struct dir_key {
    uint8_t len; /* 0: none */
    uint8_t bytes[WATCH_KEY_MAX];
};

/* Why a directory is to be read when it is covered. */
enum arrival {
    ARRIVAL_KNOWN,   /* nothing in it is news */
    ARRIVAL_CREATED, /* everything in it is */
    ARRIVAL_MOVED,   /* it came from elsewhere: what has happened in it meanwhile is not known */
};

struct subtree;

/*
 * A directory that is covered, or soon will be. It has a place (parent and name) if its parent is covered too
 * and belongs to a subtree; others are known by the client's id alone.
 */
struct wdir {
    struct wdir *by_key, *by_node, *by_place; /* hash chains */
    struct wdir *next, *prev;                 /* all */
    struct wdir *line_next, *line_prev;       /* of those that the client has looked in */
    struct wdir *parent, *child, *sibling_next, *sibling_prev;
    char *name;      /* in parent; NULL without one */
    uint64_t node;   /* the client's id; 0: it has not looked in it */
    uint64_t mnt_id; /* of a directory that was crawled */
    /* Nanoseconds of CLOCK_REALTIME. Together: what happened in it unseen? */
    int64_t covered_at;
    int64_t changed_at; /* its change time when it was covered */
    struct subtree *job;
    struct wdir *crawl_next, *crawl_prev;
    uint32_t roots; /* subtrees that begin here */
    enum arrival arrival;
    bool queued; /* to be crawled */
    bool moved;  /* its parent may be another one than the tree believes */
    struct dir_key key;
};

/* A watch that the client asked for. */
struct subtree {
    struct subtree *next;
    uint64_t number;
    int64_t since;     /* changes from then on are wanted, CLOCK_REALTIME; INT64_MAX: from now on */
    uint32_t looks;    /* at how many files one may still look for that */
    struct wdir *root; /* NULL: it has gone */
    uint32_t outstanding; /* directories to be crawled */
    bool answered, partial;
    bool doubted; /* the client was told RESCAN of a directory in it */
    bool joined;  /* waits for directories that are crawled for another */
};

/* An event, whichever way the kernel told it. */
struct event {
    unsigned kinds; /* WATCH_* and those below */
    bool is_dir, ours;
    uint32_t cookie;
    const char *name;
    size_t len; /* 0: the directory itself */
};
#define WATCH_GONE       64u  /* no more events from this directory */
#define WATCH_UNMOUNTED  128u /* likewise, and it is still there */
#define WATCH_MOVED_SELF 256u

/* One half of a rename, until the other half is seen. */
struct half_move {
    struct wdir *from; /* NULL: none */
    struct wdir *child;
    uint32_t cookie;
    unsigned looks; /* for the other half, in vain */
    bool is_dir, ours;
    size_t len;
    char name[256];
};

struct backend {
    const char *name;
    bool whole; /* all of the file system is reported: subtrees need not be crawled */
    /** open() - Return: descriptor to be polled, or -errno */
    int (*open)(struct watch *w);
    void (*close)(struct watch *w);
    /** add() - @fd: the directory (O_PATH). Return: 0 with *@key, or -errno */
    int (*add)(struct watch *w, int fd, struct dir_key *key);
    void (*remove)(struct watch *w, const struct dir_key *key);
    /** read() - look at some events. Return: how many bytes; 0: there are none */
    size_t (*read)(struct watch *w);
    /** position() - of the stream; NULL: the events say whose they are */
    uint64_t (*position)(struct watch *w);
    /** refresh() - subtrees have changed; may be NULL */
    void (*refresh)(struct watch *w);
    /** mark() - put an event of its own kind behind all others */
    void (*mark)(struct watch *w);
};
extern const struct backend backend_inotify, backend_fanotify;
#define STRANGERS 4096u

struct watch {
    struct watch_params p;
    pthread_mutex_t lock; /* guards everything below but what is atomic or the thread's */
    pthread_t thread;
    const char *share; /* for the thread's lines in the log */
    bool started, stop;
    bool crawls; /* the thread is at a directory, holds its descriptor and perhaps an inode */
    pthread_cond_t idle; /* crawls has become false */
    int epoll_fd, wake_fd;
    atomic_bool needs_own;
    const struct backend *backend; /* NULL: not open */
    int fd;                        /* the backend's, or -1 */
    int mark_fd, mark_wd;          /* inotify.c */
    uint64_t read_bytes;           /* inotify.c: of the stream */
    int fs_fd;                     /* fanotify.c: the share's root, or -1 */
    pid_t own_pid;
    uint32_t cookie;
    struct dir_key *strangers; /* directories of no interest */
    int64_t missed_at;         /* when something was last dropped for that; CLOCK_REALTIME */

    struct records *records;
    struct expects *expects;
    struct half_move moving;

    struct wdir *first;                  /* of all */
    struct wdir *line_first, *line_last; /* covered, and the client has looked in; oldest first */
    uint32_t n_dirs, n_covered, n_line;
    struct wdir *by_key[DIR_BUCKETS], *by_node[DIR_BUCKETS], *by_place[DIR_BUCKETS];
    struct wdir *crawl_first, *crawl_last;
    struct wdir *crawling; /* by the thread, without the lock; NULL when it has gone meanwhile */
    struct subtree *crawling_for; /* likewise */
    struct wdir *sweep;           /* to be looked at next */
    struct subtree *subtrees;
    uint32_t n_subtrees;
    bool has_mounts; /* other file systems are mounted in the share */
    uint64_t overflows;
    bool told_limit, told_kernel_limit, told_failure;
};

/* Nanoseconds. */
static inline int64_t watch_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The latest moment that a file system may mean with this: some keep whole seconds, FAT every second one. */
static inline int64_t watch_stamp(const struct statx_timestamp *t)
{
    return t->tv_sec * 1000000000 + (t->tv_nsec ? t->tv_nsec : 1999999999);
}

/** key_number() - a directory, as expect.c calls it */
static inline uint64_t key_number(const struct dir_key *key)
{
    uint32_t n;

    memcpy(&n, key->bytes, sizeof(n));
    return n;
}

/* ---- dirs.c; the lock is held ---------------------------------------------------------------- */

struct wdir *dir_by_key(struct watch *w, const struct dir_key *key);
struct wdir *dir_by_node(struct watch *w, uint64_t node);
struct wdir *dir_by_place(struct watch *w, const struct wdir *parent, const char *name, size_t len);
/** dir_new() - neither covered nor placed. NULL without memory. */
struct wdir *dir_new(struct watch *w);
/** dir_free() - not covered any more, forgotten; its children lose their place */
void dir_free(struct watch *w, struct wdir *d) __attribute__((nonnull));
void dir_set_node(struct watch *w, struct wdir *d, uint64_t node);
/** dir_place() - Return: 0, -ENOMEM, -ELOOP */
int dir_place(struct watch *w, struct wdir *d, struct wdir *parent, const char *name, size_t len);
void dir_displace(struct watch *w, struct wdir *d);
/** dir_wanted() - in a subtree that is watched */
bool dir_wanted(const struct wdir *d);
/**
 * dir_watch() - have the kernel report what happens in @d
 * @fd: it. Return: 0; the same directory may be known already: *@d is the one that goes on; -errno.
 */
int dir_watch(struct watch *w, struct wdir **d, int fd);
/** dir_event() - what an event means */
void dir_event(struct watch *w, struct wdir *d, const struct event *ev);
/** dirs_settle() - nothing more to read for now: half a rename is all that there is */
void dirs_settle(struct watch *w);
/** dirs_overflow() - events were lost */
void dirs_overflow(struct watch *w);
/** dir_tell() - a record of what happened to @name in @d; without name: to @d itself */
void dir_tell(struct watch *w, const struct wdir *d, uint32_t action, bool is_dir, const char *name,
              size_t len);
/** dirs_sweep() - give some of those up that nobody needs. Return: true if there may be more. */
bool dirs_sweep(struct watch *w);
void dirs_clear(struct watch *w);

/* ---- crawl.c --------------------------------------------------------------------------------- */

/** crawl_add() - lock held: cover @d and what is below, if that needs to be done. @job: for whom; NULL */
void crawl_add(struct watch *w, struct wdir *d, struct subtree *job, enum arrival arrival);
/** crawl_cancel() - lock held: @d is not to be crawled any more */
void crawl_cancel(struct watch *w, struct wdir *d);
/** crawl_one() - the thread, lock not held: one directory. Return: false when there is none. */
bool crawl_one(struct watch *w);
/** crawl_is_empty() - lock not held: is there nothing in @dir? */
bool crawl_is_empty(struct watch *w, struct inode *dir);
/** crawl_answer() - the thread, lock not held: say of subtrees that they are covered */
void crawl_answer(struct watch *w);

#endif
