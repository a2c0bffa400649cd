// SPDX-License-Identifier: BSD-3-Clause
/*
 * host.c - the shared directory, looked at and changed through ordinary system calls
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/wine/conformance/conf_int.h"

#define FILETIME_1970 116444736000000000ll /* MS-DTYP 2.3.3 */

#define TRUST(t, ok, name)                                                                         \
    do {                                                                                           \
        if (!(ok))                                                                                 \
            t_fail(t, __FILE__, __LINE__, "the host, %s: %s", name, strerror(errno));              \
    } while (0)

static const char *path_of(struct t *t, const char *name)
{
    char *path = name[0] == '\\' ? keep_printf(t, "%s%s", t->share, name)
                                 : keep_printf(t, "%s/%s/%s", t->share, t->dir, name);

    for (char *p = path + strlen(t->share); *p; p++)
        if (*p == '\\')
            *p = '/';
    return path;
}

const char *host_path(struct t *t, const char *name)
{
    if (t->cached) {
        uint64_t information = t->information;

        nt_control(t, DOOR_CONTROL_WRITE_BACK, 0);
        t->information = information;
    }
    return path_of(t, name);
}

void host_write(struct t *t, const char *name, const void *bytes, size_t n)
{
    int fd = open(host_path(t, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    TRUST(t, fd >= 0, name);
    for (size_t done = 0; done < n;) {
        ssize_t w = write(fd, (const char *)bytes + done, n - done);

        TRUST(t, w > 0, name);
        done += (size_t)w;
    }
    close(fd);
}

void host_puts(struct t *t, const char *name, const char *text)
{
    host_write(t, name, text, strlen(text));
}

static size_t read_path(struct t *t, const char *path, void *buf, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t n = 0;
    ssize_t got;

    TRUST(t, fd >= 0, path);
    while (n < room && (got = read(fd, (char *)buf + n, room - n)) > 0)
        n += (size_t)got;
    close(fd);
    return n;
}

size_t host_read(struct t *t, const char *name, void *buf, size_t room)
{
    return read_path(t, host_path(t, name), buf, room);
}

const char *host_gets_now(struct t *t, const char *name)
{
    char *text = keep(t, 4096);

    text[read_path(t, path_of(t, name), text, 4095)] = '\0';
    return text;
}

const char *host_gets(struct t *t, const char *name)
{
    char *text = keep(t, 4096);

    text[host_read(t, name, text, 4095)] = '\0';
    return text;
}

void host_mkdir(struct t *t, const char *name)
{
    TRUST(t, mkdir(host_path(t, name), 0755) == 0, name);
}

void host_symlink(struct t *t, const char *name, const char *target)
{
    TRUST(t, symlink(target, host_path(t, name)) == 0, name);
}

const char *host_readlink(struct t *t, const char *name)
{
    char *target = keep(t, 4097);

    TRUST(t, readlink(host_path(t, name), target, 4096) >= 0, name);
    return target;
}

void host_link(struct t *t, const char *name, const char *old)
{
    TRUST(t, link(host_path(t, old), host_path(t, name)) == 0, name);
}

void host_mknod(struct t *t, const char *name, mode_t mode)
{
    TRUST(t, mknod(host_path(t, name), mode, 0) == 0, name);
}

void host_chmod(struct t *t, const char *name, mode_t mode)
{
    TRUST(t, chmod(host_path(t, name), mode) == 0, name);
}

void host_rename(struct t *t, const char *name, const char *to)
{
    TRUST(t, rename(host_path(t, name), host_path(t, to)) == 0, name);
}

void host_remove(struct t *t, const char *name)
{
    TRUST(t, remove(host_path(t, name)) == 0, name);
}

void host_append(struct t *t, const char *name, const char *text)
{
    int fd = open(host_path(t, name), O_WRONLY | O_APPEND | O_CLOEXEC);

    TRUST(t, fd >= 0, name);
    TRUST(t, write(fd, text, strlen(text)) == (ssize_t)strlen(text), name);
    close(fd);
}

void host_truncate(struct t *t, const char *name, off_t size)
{
    TRUST(t, truncate(host_path(t, name), size) == 0, name);
}

/* The daemon sees it too: it runs in the same mount namespace (--sandbox=none). */
void host_tmpfs(struct t *t, const char *name, const char *options)
{
    const char *path = host_path(t, name);
    unsigned i = 0;

    host_mkdir(t, name);
    while (i < sizeof(t->mounted) / sizeof(t->mounted[0]) && t->mounted[i])
        i++;
    CHECK(t, i < sizeof(t->mounted) / sizeof(t->mounted[0]));
    TRUST(t, mount("tmpfs", path, "tmpfs", 0, options) == 0, name);
    t->mounted[i] = keep_printf(t, "%s", path);
}

void host_freeze(struct t *t, const char *name)
{
    TRUST(t, mount(NULL, host_path(t, name), NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0, name);
}

/* The daemon may still hold files of it: lazily. */
void host_unmount(struct t *t)
{
    for (unsigned i = 0; i < sizeof(t->mounted) / sizeof(t->mounted[0]); i++) {
        if (t->mounted[i])
            umount2(t->mounted[i], MNT_DETACH);
        t->mounted[i] = NULL;
    }
}

void nap(struct t *t)
{
    nt_control(t, DOOR_CONTROL_DROP_INFO_CACHE, 0);
    usleep(1200000);
}

void host_times(struct t *t, const char *name, int64_t accessed_s, int64_t written_s)
{
    struct timespec ts[2] = {{.tv_sec = accessed_s}, {.tv_sec = written_s}};

    TRUST(t, utimensat(AT_FDCWD, host_path(t, name), ts, AT_SYMLINK_NOFOLLOW) == 0, name);
}

struct stat host_stat(struct t *t, const char *name)
{
    struct stat st;

    TRUST(t, lstat(host_path(t, name), &st) == 0, name);
    return st;
}

bool host_exists(struct t *t, const char *name)
{
    struct stat st;

    return lstat(host_path(t, name), &st) == 0;
}

mode_t host_mode(struct t *t, const char *name)
{
    return host_stat(t, name).st_mode & 07777;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

const char *host_names(struct t *t, const char *name)
{
    DIR *d = opendir(host_path(t, name));
    const char *names[256];
    unsigned n = 0;
    char *all = keep(t, 256 * 258), *to = all;
    struct dirent *e;

    TRUST(t, d, name);
    while ((e = readdir(d)) && n < 256)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            names[n++] = keep_printf(t, "%s", e->d_name);
    closedir(d);
    qsort(names, n, sizeof(*names), by_name);
    for (unsigned i = 0; i < n; i++) {
        if (i)
            *to++ = ' ';
        to = stpcpy(to, names[i]);
    }
    return all;
}

int64_t filetime(struct timespec ts)
{
    return (int64_t)ts.tv_sec * 10000000 + ts.tv_nsec / 100 + FILETIME_1970;
}

int64_t host_birth(struct t *t, const char *name)
{
    struct statx x;

    TRUST(t, statx(AT_FDCWD, host_path(t, name), AT_SYMLINK_NOFOLLOW, STATX_BTIME, &x) == 0, name);
    if (!(x.stx_mask & STATX_BTIME))
        return 0;
    return filetime((struct timespec){x.stx_btime.tv_sec, x.stx_btime.tv_nsec});
}

const char *host_xattr(struct t *t, const char *name, const char *attribute)
{
    char *value = keep(t, 4097);
    ssize_t n = lgetxattr(host_path(t, name), attribute, value, 4096);

    return n < 0 ? NULL : value;
}

void host_setxattr(struct t *t, const char *name, const char *attribute, const char *value)
{
    TRUST(t, lsetxattr(host_path(t, name), attribute, value, strlen(value), 0) == 0, name);
}

/* Does this descriptor name the file, and may it do I/O? */
static bool uses(const char *process, const char *fd, const char *path)
{
    char at[NAME_MAX * 2 + 32], to[4096], line[128];
    unsigned flags = O_PATH;

    snprintf(at, sizeof(at), "/proc/%s/fd/%s", process, fd);
    ssize_t n = readlink(at, to, sizeof(to) - 1);
    if (n < 0 || (size_t)n != strlen(path) || memcmp(to, path, (size_t)n) != 0)
        return false;
    snprintf(at, sizeof(at), "/proc/%s/fdinfo/%s", process, fd);
    FILE *f = fopen(at, "re");
    while (f && fgets(line, sizeof(line), f))
        sscanf(line, "flags: %o", &flags);
    if (f)
        fclose(f);
    return !(flags & O_PATH);
}

unsigned host_users(struct t *t, const char *name)
{
    const char *path = host_path(t, name);
    DIR *processes = opendir("/proc");
    unsigned n = 0;

    TRUST(t, processes, "/proc");
    for (struct dirent *p; (p = readdir(processes));) {
        char fds[NAME_MAX + 16];
        snprintf(fds, sizeof(fds), "/proc/%s/fd", p->d_name);
        DIR *d = p->d_name[0] >= '1' && p->d_name[0] <= '9' ? opendir(fds) : NULL;
        for (struct dirent *fd; d && (fd = readdir(d));)
            n += uses(p->d_name, fd->d_name, path);
        if (d)
            closedir(d);
    }
    closedir(processes);
    return n;
}
