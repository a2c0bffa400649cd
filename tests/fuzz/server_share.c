// SPDX-License-Identifier: BSD-3-Clause
/*
 * server_share.c - the directory that fuzz_server shares, and what must stay out of reach
 *
 * Theory of operation
 *
 *   Where it may, the process mounts a small tmpfs over /dev/shm, in a mount namespace of its own; elsewhere a
 *   directory under /tmp does, and RLIMIT_FSIZE alone bounds what it holds. The share is one directory in it,
 *   the other ("outside") holds a file that nobody has business with. Access times are strict: not even
 *   reading it goes unnoticed.
 *
 *   Every input begins with the same share, so that a finding needs its own input only: what has changed is
 *   made anew. Change times tell; before Linux 6.13 they are coarse, and a change of content that keeps
 *   the size may stay for an input or two.
 *
 * Locks: none; one thread.
 */
#include "tests/fuzz/server_share.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/fuzz/fuzz_must.h"

#define FILE_LIMIT (128u * 1024u) /* bytes a file: no request may take long */

static const char *const paths[] = {
    "a",       "b",     "c",       "dir",   "sub",       "dir/a",
    "dir/sub", "dir/b", "sub/dir", "sub/a", "dir/sub/a", "link",
};
#define N_PATHS (sizeof(paths) / sizeof(paths[0]))

/* What is there at the start; parents come first. */
static const struct furniture {
    const char *path;
    mode_t mode;
    uint8_t top; /* what it stands in, at the top: they go and come together */
} furniture[] = {
    {"a", S_IFREG | 0644, 0},
    {"dir", S_IFDIR | 0777, 1},
    {"dir/a", S_IFREG | 0644, 1},
    {"link", S_IFLNK, 3},
};
#define PIECES (sizeof(furniture) / sizeof(furniture[0]))

enum { WATCHED = 3 };
static const char *const watched[WATCHED] = {".", "outside", "outside/secret"};

static struct {
    char base[64], path[80];
    int base_fd, fd; /* of the share: for the host's own business */
    int home;        /* cwd that libFuzzer knows */
    mode_t umask;
    struct rlimit limit;
    int lock_fd; /* HOST_LOCK, or -1 */
    int watched_fd[WATCHED];
    struct stat watched[WATCHED], piece[PIECES], root;
    bool good[PIECES]; /* at the index of a top */
} share;

static void on_limit(int sig)
{
    (void)sig; /* the call that hit it returns EFBIG */
}

static void write_file(int dir, const char *path, size_t size)
{
    static const char text[10000] = "data";
    int fd =
        openat(dir, path, O_CREAT | O_WRONLY | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);

    if (fd < 0)
        return;
    MUST(write(fd, text, size) >= 0 || errno == ENOSPC || errno == EINVAL);
    close(fd);
}

static void furnish(void);

static bool mount_tmpfs(const char *at)
{
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", at, "tmpfs", MS_NODEV | MS_NOSUID | MS_STRICTATIME,
                 "size=16m,nr_inodes=4000,mode=755") == 0;
}

static void remove_at(int dir, const char *name);

static void remove_base(void)
{
    remove_at(AT_FDCWD, share.base);
}

static void make_base(void)
{
    strcpy(share.base, "/dev/shm");
    if (!mount_tmpfs(share.base)) {
        fprintf(stderr, "fuzz_server: no tmpfs of its own (%s): under /tmp\n", strerror(errno));
        strcpy(share.base, "/tmp/viofs-fuzz.XXXXXX");
        MUST(mkdtemp(share.base));
        atexit(remove_base);
    }
    snprintf(share.path, sizeof(share.path), "%s/share", share.base);
    share.base_fd = open(share.base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    MUST(share.base_fd >= 0);
}

const char *share_open(void)
{
    struct sigaction sa = {.sa_handler = on_limit, .sa_flags = SA_RESTART};

    /* A handler of ours keeps libFuzzer's away. */
    MUST(sigaction(SIGXFSZ, &sa, NULL) == 0);
    MUST(getrlimit(RLIMIT_FSIZE, &share.limit) == 0);
    make_base();
    share.home = open(".", O_PATH | O_CLOEXEC);
    MUST(share.home >= 0);
    MUST(mkdirat(share.base_fd, "share", 0755) == 0 &&
         mkdirat(share.base_fd, "outside", 0755) == 0);
    share.fd = open(share.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    MUST(share.fd >= 0);
    write_file(share.base_fd, "outside/secret", 100);
    for (int i = 0; i < WATCHED; i++) {
        share.watched_fd[i] = openat(share.base_fd, watched[i], O_PATH | O_NOFOLLOW | O_CLOEXEC);
        MUST(share.watched_fd[i] >= 0 && fstat(share.watched_fd[i], &share.watched[i]) == 0);
    }
    share.lock_fd = -1;
    share.umask = umask(0);
    furnish();
    return share.path;
}

int share_fd(void)
{
    return share.fd;
}

void share_enter(void)
{
    struct rlimit limit = share.limit;

    umask(0);
    limit.rlim_cur = FILE_LIMIT;
    MUST(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    MUST(fstat(share.fd, &share.root) == 0);
}

void share_leave(void)
{
    MUST(setrlimit(RLIMIT_FSIZE, &share.limit) == 0);
    umask(share.umask);
    MUST(fchdir(share.home) == 0);
    /* Acting as other users took it away, and the leak detector attaches to its own threads. */
    prctl(PR_SET_DUMPABLE, 1);
}

/* ---- the host's own doings ----------------------------------------------------------------- */

/* A path without symlinks on the way: the host's programs must not leave the share either. */
struct place {
    int dir; /* -1: there is no such place */
    const char *name;
};

static struct place place_of(unsigned path)
{
    struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    const char *p = paths[path % N_PATHS], *slash = strrchr(p, '/');
    char dir[16] = ".";

    if (slash) {
        memcpy(dir, p, (size_t)(slash - p));
        dir[slash - p] = '\0';
    }
    long fd = syscall(SYS_openat2, share.fd, dir, &how, sizeof(how));
    return (struct place){(int)fd, slash ? slash + 1 : p};
}

static void lock_or_unlock(const struct place *p)
{
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (share.lock_fd >= 0) {
        close(share.lock_fd);
        share.lock_fd = -1;
        return;
    }
    share.lock_fd = openat(p->dir, p->name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (share.lock_fd < 0)
        return;
    flock(share.lock_fd, LOCK_EX | LOCK_NB);
    fcntl(share.lock_fd, F_OFD_SETLK, &all);
}

static void host_step(enum host_op op, const struct place *p, const struct place *q)
{
    /* As a careless program does it: whatever does not work does not happen. */
    switch (op) {
    case HOST_RENAME:
        renameat(p->dir, p->name, q->dir, q->name);
        break;
    case HOST_REMOVE:
        remove_at(p->dir, p->name);
        break;
    case HOST_SYMLINK:
        remove_at(p->dir, p->name);
        symlinkat("../outside", p->dir, p->name);
        break;
    case HOST_MKDIR:
        mkdirat(p->dir, p->name, 0755);
        break;
    case HOST_WRITE:
        write_file(p->dir, p->name, 1000);
        break;
    case HOST_LINK:
        linkat(p->dir, p->name, q->dir, q->name, 0);
        break;
    case HOST_LOCK:
        lock_or_unlock(p);
        break;
    default:
        break;
    }
}

void share_host_step(enum host_op op, uint8_t from, uint8_t to)
{
    struct place p = place_of(from), q = place_of(to);

    if (p.dir >= 0 && q.dir >= 0)
        host_step(op, &p, &q);
    if (p.dir >= 0)
        close(p.dir);
    if (q.dir >= 0)
        close(q.dir);
}

/* ---- looking after ------------------------------------------------------------------------- */

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* But for being read. */
static bool is_unchanged(const struct stat *was, const struct stat *is)
{
    return is->st_ino == was->st_ino && is->st_mode == was->st_mode && is->st_uid == was->st_uid &&
           is->st_size == was->st_size && is->st_nlink == was->st_nlink &&
           same_time(is->st_mtim, was->st_mtim) && same_time(is->st_ctim, was->st_ctim);
}

void share_must_be_alone(void)
{
    for (int i = 0; i < WATCHED; i++) {
        struct stat is;
        MUST(fstat(share.watched_fd[i], &is) == 0 && is_unchanged(&share.watched[i], &is));
        MUST(same_time(is.st_atim, share.watched[i].st_atim));
    }
}

bool share_is_outside(uint64_t ino)
{
    for (int i = 0; i < WATCHED; i++)
        if (share.watched[i].st_ino == ino)
            return true;
    return false;
}

/* ---- making it new -------------------------------------------------------------------------------- */

struct entry { /* getdents(2): struct linux_dirent64 */
    uint64_t ino;
    int64_t off;
    uint16_t reclen;
    uint8_t type;
    char name[];
};

static bool is_dot(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

static void look_at_pieces(void)
{
    struct stat is;

    for (size_t i = 0; i < PIECES; i++)
        share.good[i] = true;
    for (size_t i = 0; i < PIECES; i++)
        if (fstatat(share.fd, furniture[i].path, &is, AT_SYMLINK_NOFOLLOW) < 0 ||
            !is_unchanged(&share.piece[i], &is))
            share.good[furniture[i].top] = false;
}

void share_must_be_unchanged(void)
{
    struct stat is;

    look_at_pieces();
    for (size_t i = 0; i < PIECES; i++)
        MUST(share.good[furniture[i].top]);
    MUST(fstat(share.fd, &is) == 0 && is_unchanged(&share.root, &is));
}

/* Is it to stay, with everything below it? */
static bool is_good(const char *name)
{
    for (size_t i = 0; i < PIECES; i++)
        if (strcmp(furniture[i].path, name) == 0)
            return share.good[i];
    return false;
}

/* Everything in @fd, less the good at the @top. Depth is bounded by the steps of a script. */
static void empty(int fd, bool top)
{
    uint8_t buf[4096] __attribute__((aligned(8)));
    bool full = true;

    while (full) {
        MUST(lseek(fd, 0, SEEK_SET) == 0);
        long n = syscall(SYS_getdents64, fd, buf, sizeof(buf));
        MUST(n >= 0);
        full = (size_t)n > sizeof(buf) / 2;
        for (long at = 0; at < n;) {
            const struct entry *e = (const struct entry *)(const void *)(buf + at);
            at += e->reclen;
            if (!is_dot(e->name) && !(top && is_good(e->name)))
                remove_at(fd, e->name);
        }
    }
}

/* A name, with everything below it. */
static void remove_at(int dir, const char *name)
{
    if (unlinkat(dir, name, 0) == 0 || errno != EISDIR)
        return;
    /* For a process without privileges it takes a mode to get in. */
    fchmodat(dir, name, 0700, 0);
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    MUST(fd >= 0);
    empty(fd, false);
    close(fd);
    MUST(unlinkat(dir, name, AT_REMOVEDIR) == 0);
}

static void make_piece(const struct furniture *f)
{
    switch (f->mode & S_IFMT) {
    case S_IFDIR:
        MUST(mkdirat(share.fd, f->path, f->mode & 07777) == 0);
        break;
    case S_IFLNK:
        MUST(symlinkat("../outside", share.fd, f->path) == 0);
        break;
    default:
        write_file(share.fd, f->path, 5000);
    }
}

/* Make what was not good. */
static void furnish(void)
{
    for (size_t i = 0; i < PIECES; i++)
        if (!share.good[furniture[i].top])
            make_piece(&furniture[i]);
    for (size_t i = 0; i < PIECES; i++)
        if (!share.good[furniture[i].top]) /* only now: what is made in a directory changes it */
            MUST(fstatat(share.fd, furniture[i].path, &share.piece[i], AT_SYMLINK_NOFOLLOW) == 0);
}

/* What a guest may have done to the root directory itself. */
static void reset_root(void)
{
    char list[4096];
    struct stat st;

    ssize_t n = flistxattr(share.fd, list, sizeof(list));
    for (ssize_t at = 0; at < n; at += (ssize_t)strlen(list + at) + 1)
        fremovexattr(share.fd, list + at);
    MUST(fstat(share.fd, &st) == 0);
    if (st.st_uid != geteuid() || st.st_gid != getegid())
        MUST(fchown(share.fd, geteuid(), getegid()) == 0);
    if ((st.st_mode & 07777) != 0755)
        MUST(fchmod(share.fd, 0755) == 0);
}

void share_renew(void)
{
    if (share.lock_fd >= 0)
        close(share.lock_fd);
    share.lock_fd = -1;
    reset_root();
    look_at_pieces();
    empty(share.fd, true);
    furnish();
}
