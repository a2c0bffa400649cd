// SPDX-License-Identifier: BSD-3-Clause
/*
 * socket.c - the listening socket and its lock file
 *
 * Theory of operation
 *
 *   PATH.pid is locked for as long as the daemon lives and holds its process id. Who has the lock owns
 *   PATH, so a socket found there is a dead daemon's and is replaced. The lock is an open file
 *   description lock: a child that a sandbox forks keeps it, and it conflicts with the record locks that
 *   other virtio-fs daemons put on a file of the same name. Its descriptor is left open on purpose.
 *
 *   The socket is made under a umask, so there is no moment at which anyone else could connect.
 *
 * Source: unix(7), fcntl(2).
 * Ownership: the caller owns the socket; the process owns the lock. Locks: none; before threads start,
 * because umask is the process'.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/cleanup.h"
#include "host/log.h"
#include "vhost/vhost.h"

/* Longest path of a socket: sun_path without its NUL, less what is appended for the lock file. */
#define SOCKET_PATH_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

static void complain_locked(int fd, const char *path)
{
    char pid[24] = "";
    ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

    pid[n > 0 ? strspn(pid, "0123456789") : 0] = '\0';
    log_error("%s is in use by another daemon (process %s): end it or choose another --socket-path",
              path, pid[0] ? pid : "unknown");
}

static int write_pid(int fd)
{
    char pid[24];
    int len = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());

    if (ftruncate(fd, 0) < 0)
        return -errno;
    ssize_t n = pwrite(fd, pid, (size_t)len, 0);
    if (n < 0)
        return -errno;
    return n == len ? 0 : -EIO;
}

/* Lock PATH.pid and write our process id into it. Return: its descriptor or -errno (printed). */
static int lock_path(const char *path)
{
    char name[SOCKET_PATH_MAX + sizeof(".pid")];
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    snprintf(name, sizeof(name), "%s.pid", path);
    cleanup_close int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0) {
        int err = -errno;
        log_error("cannot create %s: %s%s", name, strerror(-err),
                  err == -ENOENT ? ": its directory does not exist, create it first" : "");
        return err;
    }
    if (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
        int err = -errno;
        if (err == -EAGAIN || err == -EACCES) {
            complain_locked(fd, path);
            return -EADDRINUSE;
        }
        log_error("cannot lock %s: %s", name, strerror(-err));
        return err;
    }
    int err = write_pid(fd);
    if (err < 0) {
        log_error("cannot write %s: %s", name, strerror(-err));
        return err;
    }
    return steal_fd(&fd);
}

/* Remove a dead daemon's socket. Return: 0 or -errno (printed). */
static int remove_stale(const char *path)
{
    struct stat st;

    if (lstat(path, &st) < 0) {
        if (errno == ENOENT)
            return 0;
        int err = -errno;
        log_error("cannot look at %s: %s", path, strerror(-err));
        return err;
    }
    if (!S_ISSOCK(st.st_mode)) {
        log_error("%s exists and is not a socket: remove it or choose another --socket-path", path);
        return -EEXIST;
    }
    if (unlink(path) < 0) {
        int err = -errno;
        log_error("cannot remove the old socket %s: %s", path, strerror(-err));
        return err;
    }
    return 0;
}

/* Numeric group of a name or number. Return: 0 or -errno (printed). */
static int find_group(const char *name, gid_t *gid)
{
    char *end;

    errno = 0;
    const struct group *g = getgrnam(name);
    if (g) {
        *gid = g->gr_gid;
        return 0;
    }
    unsigned long n = strtoul(name, &end, 10);
    if (name[0] >= '0' && name[0] <= '9' && *end == '\0' && n < (gid_t)-1) {
        *gid = (gid_t)n;
        return 0;
    }
    log_error("--socket-group: there is no group \"%s\"", name);
    return -EINVAL;
}

static int bind_socket(int fd, const char *path, mode_t mask)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    memcpy(addr.sun_path, path, strlen(path) + 1);
    mode_t before = umask(mask);
    int err = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
    umask(before);
    if (err < 0)
        log_error("cannot create the socket %s: %s", path, strerror(-err));
    return err;
}

/* @gid: -1 for none */
static int open_to_group(int fd, const char *path, gid_t gid)
{
    if (gid != (gid_t)-1 && chown(path, (uid_t)-1, gid) < 0) {
        int err = -errno;
        log_error("cannot give %s to group %lu: %s", path, (unsigned long)gid, strerror(-err));
        return err;
    }
    if (listen(fd, 1) < 0) {
        int err = -errno;
        log_error("cannot listen on %s: %s", path, strerror(-err));
        return err;
    }
    return 0;
}

/**
 * vu_listen() - make the socket, with its .pid lock file
 * @path:  at most 107 bytes (sun_path)
 * @group: name or number of the group that may connect, NULL for the owner only
 *
 * Return: fd, or -errno (message printed): -EADDRINUSE when another daemon holds the path, -ENOENT
 * when its directory does not exist, -EEXIST when something else has the name, -ENAMETOOLONG,
 * -EINVAL for an unknown group.
 */
int vu_listen(const char *path, const char *group)
{
    gid_t gid = (gid_t)-1;

    if (strlen(path) > SOCKET_PATH_MAX) {
        log_error("the socket path is longer than %zu bytes: %s", SOCKET_PATH_MAX, path);
        return -ENAMETOOLONG;
    }
    int err = group ? find_group(group, &gid) : 0;
    if (err < 0)
        return err;
    cleanup_close int lock = lock_path(path);
    if (lock < 0)
        return lock;
    if ((err = remove_stale(path)) < 0)
        return err;
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        err = -errno;
        log_error("cannot make a socket: %s", strerror(-err));
        return err;
    }
    if ((err = bind_socket(fd, path, group ? 0007 : 0077)) < 0)
        return err;
    if ((err = open_to_group(fd, path, gid)) < 0) {
        unlink(path);
        return err;
    }
    steal_fd(&lock); /* held until the process ends */
    return steal_fd(&fd);
}
