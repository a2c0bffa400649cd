// SPDX-License-Identifier: BSD-3-Clause
/*
 * fuse_door.c - the FUSE mount: Linux calls become calls of a Windows program
 *
 * Theory of operation
 *
 *   A volume can also be mounted on Linux, so that Linux tools use it, and Windows programs in another Wine prefix
 *   that has the mount as a drive. Each call does what a Windows program would do for it: opens the name, asks or
 *   changes, closes. Links are data here; the kernel follows them. Pages of mappings come back as paging
 *   writes, on whichever open the kernel picks. Nothing is cached but file pages, which an open drops when size or
 *   time have changed.
 *
 *   Requests are served by threads that Wine made, since callbacks of the file system run Windows code. libfuse
 *   starts none of its own.
 *
 *   The mount is at $VIOFS_FUSE_MOUNT.SUFFIX if that directory is there, else at $VIOFS_FUSE_MOUNT, if no other
 *   volume of this process has it; for a second volume the directory with the suffix is made.
 *
 * Ownership: fi->fh is the file that nt_create() gave.   Locks: mounts_lock guards whose the plain directory is.
 */
#define FUSE_USE_VERSION 314
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <fuse3/fuse_lowlevel.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/wine/winfsp/standin.h"

#define SERVERS        8
#define PATH_UNITS     4096
#define OUR_PID        900u
#define EPOCH_1601     116444736000000000ull
#define READ_ACCESS    (FILE_GENERIC_READ & ~FILE_READ_DATA)
#define SHARE_ALL      (FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE)
#define LIST_ROOM      65536u
#define DOS_ATTRIBUTES "user.DOSATTRIB" /* where Wine keeps what a mode cannot say */

enum {
    CLASS_ID_BOTH_DIR = 37,
    CLASS_BASIC = 4,
    CLASS_RENAME = 10,
    CLASS_DISPOSITION = 13,
    CLASS_END_OF_FILE = 20,
    CLASS_NETWORK_OPEN = 34,
    CLASS_ATTRIBUTE_TAG = 35,
    CLASS_INTERNAL = 6,
    CLASS_DISPOSITION_EX = 64,
    CLASS_RENAME_EX = 65,
    FS_FULL_SIZE = 7,
};

struct mount {
    struct volume *vol;
    struct fuse *fuse;
    HANDLE servers[SERVERS];
    char path[512];
};

static pthread_mutex_t mounts_lock = PTHREAD_MUTEX_INITIALIZER;
static bool plain_taken;

static int to_errno(NTSTATUS status)
{
    static const struct {
        NTSTATUS status;
        int error;
    } map[] = {
        {STATUS_OBJECT_NAME_NOT_FOUND, ENOENT},
        {STATUS_OBJECT_PATH_NOT_FOUND, ENOENT},
        {STATUS_NO_SUCH_FILE, ENOENT},
        {STATUS_OBJECT_NAME_COLLISION, EEXIST},
        {STATUS_ACCESS_DENIED, EACCES},
        {STATUS_SHARING_VIOLATION, EBUSY},
        {STATUS_DELETE_PENDING, EBUSY},
        {STATUS_DIRECTORY_NOT_EMPTY, ENOTEMPTY},
        {STATUS_NOT_A_DIRECTORY, ENOTDIR},
        {STATUS_FILE_IS_A_DIRECTORY, EISDIR},
        {STATUS_OBJECT_NAME_INVALID, EINVAL},
        {STATUS_NAME_TOO_LONG, ENAMETOOLONG},
        {STATUS_DISK_FULL, ENOSPC},
        {STATUS_MEDIA_WRITE_PROTECTED, EROFS},
        {STATUS_NOT_SAME_DEVICE, EXDEV},
        {STATUS_CANNOT_DELETE, EACCES},
        {STATUS_INVALID_PARAMETER, EINVAL},
        {STATUS_INVALID_HANDLE, EBADF},
        {STATUS_TOO_MANY_OPENED_FILES, EMFILE},
        {STATUS_NOT_SUPPORTED, EOPNOTSUPP},
        {STATUS_INVALID_DEVICE_REQUEST, ENOSYS},
        {STATUS_REPARSE_POINT_NOT_RESOLVED, ELOOP},
        {STATUS_FILE_LOCK_CONFLICT, EAGAIN},
        {STATUS_IO_TIMEOUT, ETIMEDOUT},
        {STATUS_CANCELLED, ENODEV},
        {STATUS_VOLUME_DISMOUNTED, ENODEV},
        {STATUS_DEVICE_NOT_CONNECTED, ENOTCONN},
        {STATUS_NOT_A_REPARSE_POINT, EINVAL},
        {STATUS_INSUFFICIENT_RESOURCES, ENOMEM},
        {STATUS_TOO_MANY_LINKS, EMLINK},
        {STATUS_PRIVILEGE_NOT_HELD, EPERM},
        {STATUS_FILE_TOO_LARGE, EFBIG},
        {STATUS_BUFFER_OVERFLOW, EOVERFLOW},
    };
    if (NT_SUCCESS(status) && status != STATUS_REPARSE)
        return 0;
    for (unsigned i = 0; i < ARRAY_SIZE(map); i++)
        if (map[i].status == status)
            return -map[i].error;
    return -EIO;
}

static struct volume *here(void)
{
    return fuse_get_context()->private_data;
}

static struct file *file_of(const struct fuse_file_info *fi)
{
    return (struct file *)(uintptr_t)fi->fh;
}

/* ---- opening ------------------------------------------------------------------------------ */

static int open_at(const char *path, uint32_t access, uint32_t disposition, uint32_t options,
                   struct file **out)
{
    WCHAR buf[PATH_UNITS];
    struct create_result r;
    int n = strpbrk(path, "\\:") ? -1 : name_from_utf8(path, buf, PATH_UNITS);
    if (n < 0)
        return -EINVAL;
    for (int i = 0; i < n; i++)
        buf[i] = buf[i] == '/' ? '\\' : buf[i];
    struct create_args a = {.path = {buf, (unsigned)n},
                            .access = access,
                            .disposition = disposition,
                            .options = options | FILE_OPEN_REPARSE_POINT,
                            .share = SHARE_ALL,
                            .pid = OUR_PID,
                            .token = token_of(DOOR_TOKEN_ADMIN)};
    NTSTATUS status = nt_create(here(), &a, &r);
    if (status == STATUS_REPARSE)
        free(r.reparse_path);
    *out = r.file;
    return to_errno(status);
}

/* For calls that may come with an open file or with a path only. */
static int borrow(const char *path, struct fuse_file_info *fi, uint32_t access, struct file **f)
{
    if (fi && fi->fh && (file_of(fi)->access & access) == access) {
        *f = file_of(fi);
        return 0;
    }
    return open_at(path, access, FILE_OPEN, 0, f);
}

static void give_back(struct fuse_file_info *fi, struct file *f)
{
    if (!fi || file_of(fi) != f)
        nt_close(f);
}

static uint32_t access_for(int flags)
{
    uint32_t access = FILE_READ_ATTRIBUTES | FILE_READ_EA | READ_CONTROL;
    int mode = flags & O_ACCMODE;
    if (mode != O_WRONLY)
        access |= FILE_READ_DATA;
    if (mode != O_RDONLY)
        access |= FILE_WRITE_DATA | FILE_APPEND_DATA | FILE_WRITE_ATTRIBUTES;
    return access;
}

static int do_open(const char *path, struct fuse_file_info *fi)
{
    struct file *f;
    int error = open_at(path, access_for(fi->flags), FILE_OPEN, FILE_NON_DIRECTORY_FILE, &f);
    fi->fh = (uintptr_t)f;
    return error;
}

static int do_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
    struct file *f;
    (void)mode;
    int error =
        open_at(path, access_for(fi->flags), fi->flags & O_EXCL ? FILE_CREATE : FILE_OPEN_IF,
                FILE_NON_DIRECTORY_FILE, &f);
    fi->fh = (uintptr_t)f;
    return error;
}

static int make(const char *path, uint32_t options)
{
    struct file *f;
    int error = open_at(path, FILE_READ_ATTRIBUTES, FILE_CREATE, options, &f);
    if (!error)
        nt_close(f);
    return error;
}

static int do_mknod(const char *path, mode_t mode, dev_t dev)
{
    (void)dev;
    return S_ISREG(mode) ? make(path, FILE_NON_DIRECTORY_FILE) : -EPERM;
}

static int do_mkdir(const char *path, mode_t mode)
{
    (void)mode;
    return make(path, FILE_DIRECTORY_FILE);
}

static int do_release(const char *path, struct fuse_file_info *fi)
{
    (void)path;
    nt_close(file_of(fi));
    return 0;
}

/* ---- attributes ---------------------------------------------------------------------------- */

static struct timespec unix_time(uint64_t t)
{
    t = t > EPOCH_1601 ? t - EPOCH_1601 : 0;
    return (struct timespec){.tv_sec = (time_t)(t / 10000000),
                             .tv_nsec = (long)(t % 10000000) * 100};
}

static uint64_t windows_time(struct timespec t)
{
    return EPOCH_1601 + (uint64_t)t.tv_sec * 10000000 + (uint64_t)t.tv_nsec / 100;
}

static mode_t mode_of(uint32_t attributes, uint32_t tag)
{
    mode_t mode = attributes & FILE_ATTRIBUTE_READONLY ? 0555 : 0777;
    if ((attributes & FILE_ATTRIBUTE_REPARSE_POINT) && tag == IO_REPARSE_TAG_SYMLINK)
        return S_IFLNK | 0777;
    return mode | (attributes & FILE_ATTRIBUTE_DIRECTORY ? S_IFDIR : S_IFREG);
}

static int do_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
    FILE_NETWORK_OPEN_INFORMATION info;
    uint32_t tag[2] = {0}, len;
    uint64_t index = 0;
    struct file *f;
    int error = borrow(path, fi, FILE_READ_ATTRIBUTES, &f);
    if (error)
        return error;
    NTSTATUS status = nt_query_info(f, CLASS_NETWORK_OPEN, &info, sizeof info, &len);
    if (!status)
        status = nt_query_info(f, CLASS_ATTRIBUTE_TAG, tag, sizeof tag, &len);
    if (!status)
        status = nt_query_info(f, CLASS_INTERNAL, &index, sizeof index, &len);
    give_back(fi, f);
    if (status)
        return to_errno(status);
    memset(st, 0, sizeof *st);
    st->st_ino = index;
    st->st_mode = mode_of(info.FileAttributes, tag[1]);
    st->st_nlink = 1;
    st->st_size = info.EndOfFile.QuadPart;
    st->st_blocks = info.AllocationSize.QuadPart / 512;
    st->st_blksize = 4096;
    st->st_atim = unix_time((uint64_t)info.LastAccessTime.QuadPart);
    st->st_mtim = unix_time((uint64_t)info.LastWriteTime.QuadPart);
    st->st_ctim = unix_time((uint64_t)info.ChangeTime.QuadPart);
    return 0;
}

static int set_basic(const char *path, struct fuse_file_info *fi, const FILE_BASIC_INFORMATION *b)
{
    struct file *f;
    int error = borrow(path, fi, FILE_WRITE_ATTRIBUTES, &f);
    if (error)
        return error;
    NTSTATUS status = nt_set_info(f, CLASS_BASIC, b, sizeof *b, NULL);
    give_back(fi, f);
    return to_errno(status);
}

static int do_utimens(const char *path, const struct timespec t[2], struct fuse_file_info *fi)
{
    FILE_BASIC_INFORMATION b = {0};
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (t[0].tv_nsec != UTIME_OMIT)
        b.LastAccessTime.QuadPart = (LONGLONG)windows_time(t[0].tv_nsec == UTIME_NOW ? now : t[0]);
    if (t[1].tv_nsec != UTIME_OMIT)
        b.LastWriteTime.QuadPart = (LONGLONG)windows_time(t[1].tv_nsec == UTIME_NOW ? now : t[1]);
    return set_basic(path, fi, &b);
}

static int get_attributes(const char *path, struct fuse_file_info *fi, uint32_t *attributes)
{
    FILE_BASIC_INFORMATION b;
    uint32_t len;
    struct file *f;
    int error = borrow(path, fi, FILE_READ_ATTRIBUTES, &f);
    if (error)
        return error;
    NTSTATUS status = nt_query_info(f, CLASS_BASIC, &b, sizeof b, &len);
    give_back(fi, f);
    *attributes = b.FileAttributes;
    return to_errno(status);
}

static int change_attributes(const char *path, struct fuse_file_info *fi, uint32_t clear,
                             uint32_t set)
{
    uint32_t attributes;
    int error = get_attributes(path, fi, &attributes);
    FILE_BASIC_INFORMATION b = {0};
    if (error || ((attributes & ~clear) | set) == attributes)
        return error;
    attributes = (attributes & ~clear) | set;
    b.FileAttributes = attributes ? attributes : FILE_ATTRIBUTE_NORMAL;
    return set_basic(path, fi, &b);
}

static int do_chmod(const char *path, mode_t mode, struct fuse_file_info *fi)
{
    return change_attributes(path, fi, FILE_ATTRIBUTE_READONLY,
                             mode & 0222 ? 0 : FILE_ATTRIBUTE_READONLY);
}

static int do_chown(const char *path, uid_t uid, gid_t gid, struct fuse_file_info *fi)
{
    (void)path;
    (void)uid;
    (void)gid;
    (void)fi;
    return -EPERM; /* Windows programs have no numbers to give */
}

static int do_getxattr(const char *path, const char *name, char *value, size_t size)
{
    uint32_t attributes;
    char text[16];
    if (strcmp(name, DOS_ATTRIBUTES))
        return -ENODATA;
    int error = get_attributes(path, NULL, &attributes);
    if (error)
        return error;
    int len = snprintf(text, sizeof text, "0x%x", attributes & 0x27);
    if (size && size < (size_t)len)
        return -ERANGE;
    if (size)
        memcpy(value, text, (size_t)len);
    return len;
}

static int do_setxattr(const char *path, const char *name, const char *value, size_t size,
                       int flags)
{
    char text[16] = {0};
    (void)flags;
    if (strcmp(name, DOS_ATTRIBUTES) || size >= sizeof text)
        return -EOPNOTSUPP;
    memcpy(text, value, size);
    uint32_t wanted = (uint32_t)strtoul(text, NULL, 0);
    return change_attributes(path, NULL, FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM,
                             wanted & (FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM));
}

static int do_removexattr(const char *path, const char *name)
{
    return do_setxattr(path, name, "0", 1, 0);
}

/* ---- data ---------------------------------------------------------------------------------- */

static int do_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
    struct file *f;
    int error = borrow(path, fi, FILE_WRITE_DATA, &f);
    if (error)
        return error;
    NTSTATUS status = nt_set_info(f, CLASS_END_OF_FILE, &size, sizeof size, NULL);
    give_back(fi, f);
    return to_errno(status);
}

/* The kernel reads pages through whichever file it has: paging I/O. */
static int do_read(const char *path, char *buf, size_t size, off_t offset,
                   struct fuse_file_info *fi)
{
    uint32_t got;
    (void)path;
    NTSTATUS status =
        nt_read(file_of(fi), (uint64_t)offset, (uint32_t)size, DOOR_IO_PAGING, buf, &got);
    return status == STATUS_END_OF_FILE ? 0 : status ? to_errno(status) : (int)got;
}

static int do_write(const char *path, const char *buf, size_t size, off_t offset,
                    struct fuse_file_info *fi)
{
    uint32_t put;
    (void)path;
    NTSTATUS status = nt_write(file_of(fi), (uint64_t)offset, buf, (uint32_t)size,
                               fi->writepage ? DOOR_IO_PAGING : 0, &put);
    return status ? to_errno(status) : fi->writepage ? (int)size : (int)put;
}

static int do_fsync(const char *path, int data_only, struct fuse_file_info *fi)
{
    (void)path;
    (void)data_only;
    NTSTATUS status = nt_flush(file_of(fi));
    return status == STATUS_ACCESS_DENIED ? 0 : to_errno(status);
}

static int do_statfs(const char *path, struct statvfs *st)
{
    struct {
        uint64_t total, caller, free;
        uint32_t sectors, bytes;
    } size;
    uint32_t len;
    (void)path;
    NTSTATUS status = fsd_query_volume(here(), FS_FULL_SIZE, &size, sizeof size, &len);
    if (status)
        return to_errno(status);
    memset(st, 0, sizeof *st);
    st->f_bsize = st->f_frsize = size.sectors * size.bytes;
    st->f_blocks = size.total;
    st->f_bfree = size.free;
    st->f_bavail = size.caller;
    st->f_namemax = 255;
    return 0;
}

/* ---- names --------------------------------------------------------------------------------- */

static int remove_at(const char *path, uint32_t options)
{
    bool posix = volume_flag(here(), WINFSP_SUPPORTS_POSIX_UNLINK_RENAME);
    uint32_t flags = 1 | 2 | 0x10; /* delete, POSIX, even if read-only */
    uint8_t plain = 1;
    struct file *f;
    int error = open_at(path, DELETE, FILE_OPEN, options, &f);
    if (error)
        return error;
    NTSTATUS status = posix ? nt_set_info(f, CLASS_DISPOSITION_EX, &flags, sizeof flags, NULL)
                            : nt_set_info(f, CLASS_DISPOSITION, &plain, sizeof plain, NULL);
    nt_close(f);
    return to_errno(status);
}

static int do_unlink(const char *path)
{
    return remove_at(path, 0);
}

static int do_rmdir(const char *path)
{
    return remove_at(path, FILE_DIRECTORY_FILE);
}

static int do_rename(const char *from, const char *to, unsigned int how)
{
    _Alignas(8) uint8_t buf[24 + PATH_UNITS * sizeof(WCHAR)] = {0};
    WCHAR *name = (WCHAR *)(void *)(buf + 20);
    bool posix = volume_flag(here(), WINFSP_SUPPORTS_POSIX_UNLINK_RENAME);
    uint32_t flags = posix ? 2 | 0x40 : 0;
    struct file *f;
    if (how & ~(unsigned)RENAME_NOREPLACE)
        return -EINVAL;
    int n = strpbrk(to, "\\:") ? -1 : name_from_utf8(to, name, PATH_UNITS);
    if (n < 0)
        return -EINVAL;
    for (int i = 0; i < n; i++)
        name[i] = name[i] == '/' ? '\\' : name[i];
    flags |= how & RENAME_NOREPLACE ? 0 : 1;
    uint32_t bytes = (uint32_t)n * (uint32_t)sizeof(WCHAR);
    memcpy(buf, &flags, 4);
    memcpy(buf + 16, &bytes, 4);
    int error = open_at(from, DELETE, FILE_OPEN, 0, &f);
    if (error)
        return error;
    NTSTATUS status = nt_set_info(f, posix ? CLASS_RENAME_EX : CLASS_RENAME, buf,
                                  bytes < 4 ? 24 : 20 + bytes, NULL);
    nt_close(f);
    return to_errno(status);
}

static int do_readlink(const char *path, char *buf, size_t size)
{
    _Alignas(8) uint8_t data[WINFSP_MESSAGE_MAX];
    const struct winfsp_reparse_data *r = (const void *)data;
    uint32_t len;
    struct file *f;
    int error = open_at(path, FILE_READ_ATTRIBUTES, FILE_OPEN, 0, &f);
    if (error)
        return error;
    NTSTATUS status = nt_fsctl(f, FSCTL_GET_REPARSE_POINT, NULL, 0, data, sizeof data, &len);
    nt_close(f);
    if (status)
        return to_errno(status);
    if (r->tag != IO_REPARSE_TAG_SYMLINK)
        return -EINVAL;
    struct name target = {r->symlink.path + r->symlink.substitute_name_offset / 2,
                          UNITS(r->symlink.substitute_name_length)};
    name_to_utf8(target, buf, size);
    for (char *c = buf; *c; c++)
        *c = *c == '\\' ? '/' : *c;
    return 0;
}

static int do_symlink(const char *target, const char *path)
{
    _Alignas(8) uint8_t data[20 + PATH_UNITS * sizeof(WCHAR)] = {0};
    struct winfsp_reparse_data *r = (void *)data;
    struct file *f;
    uint32_t len = 0;
    int n = name_from_utf8(target, r->symlink.path, PATH_UNITS);
    if (n <= 0)
        return -EINVAL;
    for (int i = 0; i < n; i++)
        r->symlink.path[i] = r->symlink.path[i] == '/' ? '\\' : r->symlink.path[i];
    uint16_t bytes = (uint16_t)(n * (int)sizeof(WCHAR));
    r->tag = IO_REPARSE_TAG_SYMLINK;
    r->data_length = (uint16_t)(12 + bytes);
    r->symlink.substitute_name_length = r->symlink.print_name_length = bytes;
    r->symlink.flags = SYMLINK_FLAG_RELATIVE;
    int error =
        open_at(path, FILE_WRITE_ATTRIBUTES | DELETE, FILE_CREATE, FILE_NON_DIRECTORY_FILE, &f);
    if (error)
        return error;
    uint8_t gone = 1;
    NTSTATUS status = nt_fsctl(f, FSCTL_SET_REPARSE_POINT, data, 20u + bytes, NULL, 0, &len);
    if (status)
        nt_set_info(f, CLASS_DISPOSITION, &gone, 1, NULL);
    nt_close(f);
    return to_errno(status);
}

/* ---- listings ------------------------------------------------------------------------------ */

static int do_opendir(const char *path, struct fuse_file_info *fi)
{
    struct file *f;
    int error = open_at(path, FILE_LIST_DIRECTORY | FILE_READ_ATTRIBUTES, FILE_OPEN,
                        FILE_DIRECTORY_FILE, &f);
    fi->fh = (uintptr_t)f;
    return error;
}

static int fill_some(const uint8_t *buf, uint32_t len, void *out, fuse_fill_dir_t fill)
{
    for (uint32_t at = 0; at < len;) {
        const FILE_ID_BOTH_DIRECTORY_INFORMATION *e = (const void *)(buf + at);
        struct name n = {e->FileName, UNITS(e->FileNameLength)};
        struct stat st = {.st_mode = mode_of(e->FileAttributes, e->EaSize),
                          .st_ino = (ino_t)e->FileId.QuadPart};
        char name[1024];
        name_to_utf8(n, name, sizeof name);
        if (fill(out, name, &st, 0, 0))
            return -ENOMEM;
        if (!e->NextEntryOffset)
            break;
        at += e->NextEntryOffset;
    }
    return 0;
}

static int do_readdir(const char *path, void *out, fuse_fill_dir_t fill, off_t offset,
                      struct fuse_file_info *fi, enum fuse_readdir_flags how)
{
    uint8_t *buf = malloc(LIST_ROOM);
    uint32_t len, flags = DOOR_DIR_RESTART;
    NTSTATUS status;
    int error = 0;
    (void)path;
    (void)offset;
    (void)how;
    do {
        status = nt_query_dir(file_of(fi), CLASS_ID_BOTH_DIR, (struct name){NULL, 0}, flags, buf,
                              LIST_ROOM, &len);
        flags = 0;
        if (!status)
            error = fill_some(buf, len, out, fill);
    } while (!status && !error);
    free(buf);
    if (error || status == STATUS_NO_MORE_FILES || status == STATUS_NO_SUCH_FILE)
        return error;
    return to_errno(status);
}

static void *do_init(struct fuse_conn_info *conn, struct fuse_config *cfg)
{
    conn->want &= ~(unsigned)FUSE_CAP_ATOMIC_O_TRUNC;
    cfg->hard_remove = 1;
    cfg->use_ino = 1;
    cfg->entry_timeout = cfg->attr_timeout = cfg->negative_timeout = 0;
    cfg->auto_cache = 1;
    cfg->nullpath_ok = 0;
    return here();
}

static const struct fuse_operations operations = {
    .getattr = do_getattr,
    .readlink = do_readlink,
    .mknod = do_mknod,
    .mkdir = do_mkdir,
    .unlink = do_unlink,
    .rmdir = do_rmdir,
    .symlink = do_symlink,
    .rename = do_rename,
    .chmod = do_chmod,
    .chown = do_chown,
    .truncate = do_truncate,
    .open = do_open,
    .read = do_read,
    .write = do_write,
    .statfs = do_statfs,
    .release = do_release,
    .fsync = do_fsync,
    .setxattr = do_setxattr,
    .getxattr = do_getxattr,
    .removexattr = do_removexattr,
    .opendir = do_opendir,
    .readdir = do_readdir,
    .releasedir = do_release,
    .init = do_init,
    .create = do_create,
    .utimens = do_utimens,
};

/* ---- mounting ------------------------------------------------------------------------------ */

static DWORD WINAPI serve(void *arg)
{
    struct mount *m = arg;
    struct fuse_session *session = fuse_get_session(m->fuse);
    struct fuse_buf buf = {0};
    while (!fuse_session_exited(session)) {
        struct pollfd p = {.fd = fuse_session_fd(session), .events = POLLIN};
        poll(&p, 1, 200);
        if (p.revents & (POLLERR | POLLHUP | POLLNVAL))
            break;
        if (!(p.revents & POLLIN))
            continue;
        int got = fuse_session_receive_buf(session, &buf);
        if (got == -EINTR || got == -EAGAIN)
            continue;
        if (got <= 0)
            break;
        fuse_session_process_buf(session, &buf);
    }
    free(buf.mem);
    return 0;
}

static bool choose_path(struct mount *m, const char *base)
{
    struct stat st;
    char suffix[64];
    door_suffix(m->vol, suffix, sizeof suffix);
    snprintf(m->path, sizeof m->path, "%s.%s", base, suffix);
    if (stat(m->path, &st) == 0)
        return true;
    pthread_mutex_lock(&mounts_lock);
    bool plain = !plain_taken && stat(base, &st) == 0;
    plain_taken = plain_taken || plain;
    pthread_mutex_unlock(&mounts_lock);
    if (plain)
        snprintf(m->path, sizeof m->path, "%s", base);
    return plain || mkdir(m->path, 0755) == 0;
}

void fuse_open(struct volume *v)
{
    const char *base = getenv("VIOFS_FUSE_MOUNT");
    char *args_text[] = {"winfsp-stand-in", "-ofsname=viofs,subtype=winfsp,allow_other", NULL};
    struct fuse_args args = FUSE_ARGS_INIT(2, args_text);
    if (!base)
        return;
    struct mount *m = calloc(1, sizeof *m);
    m->vol = v;
    if (!choose_path(m, base))
        stop_loudly("a FUSE mount at %s: %s", m->path, strerror(errno));
    m->fuse = fuse_new(&args, &operations, sizeof operations, v);
    if (!m->fuse || fuse_mount(m->fuse, m->path))
        stop_loudly("a FUSE mount at %s that libfuse refuses", m->path);
    for (unsigned i = 0; i < SERVERS; i++)
        m->servers[i] = CreateThread(NULL, 0, serve, m, 0, NULL);
    v->fuse = m;
}

void fuse_shut(struct volume *v)
{
    struct mount *m = v->fuse;
    const char *base = getenv("VIOFS_FUSE_MOUNT");
    if (!m)
        return;
    fuse_session_exit(fuse_get_session(m->fuse));
    fuse_unmount(m->fuse);
    WaitForMultipleObjects(SERVERS, m->servers, TRUE, INFINITE);
    for (unsigned i = 0; i < SERVERS; i++)
        CloseHandle(m->servers[i]);
    fuse_destroy(m->fuse);
    pthread_mutex_lock(&mounts_lock);
    if (base && !strcmp(base, m->path))
        plain_taken = false;
    pthread_mutex_unlock(&mounts_lock);
    free(m);
    v->fuse = NULL;
}
