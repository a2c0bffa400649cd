// SPDX-License-Identifier: BSD-3-Clause
/*
 * door_client.c - speaks door.h to the stand-in for WinFsp
 *
 * Ownership: a client owns its socket and the last reply's data.   Locks: none; one thread a client.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/wine/door_client.h"

#define LIST_ROOM 65536u

struct door_client {
    int fd;
    uint8_t *data;
    uint32_t len;
    char *text;
};

static _Noreturn void lost(const char *what)
{
    fprintf(stderr, "the NT door: %s (%s)\n", what, strerror(errno));
    exit(2);
}

static void move(int fd, void *buf, size_t len, bool out)
{
    uint8_t *at = buf;
    while (len) {
        ssize_t n = out ? send(fd, at, len, MSG_NOSIGNAL) : recv(fd, at, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            lost(out ? "cannot send" : "the connection ended");
        at += n;
        len -= (size_t)n;
    }
}

struct door_client *door_connect(const char *path, unsigned wait_ms)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof addr.sun_path)
        return NULL;
    strcpy(addr.sun_path, path);
    for (unsigned waited = 0;; waited += 20) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0) {
            struct door_client *d = calloc(1, sizeof *d);
            d->fd = fd;
            return d;
        }
        close(fd);
        if (waited >= wait_ms)
            return NULL;
        usleep(20000);
    }
}

void door_disconnect(struct door_client *d)
{
    close(d->fd);
    free(d->data);
    free(d->text);
    free(d);
}

/* ---- UTF-8 and UTF-16 ---------------------------------------------------------------------- */

static uint32_t to_utf16(const char *text, uint8_t *out)
{
    uint32_t len = 0;
    const uint8_t *s = (const uint8_t *)text;
    while (*s) {
        unsigned more = *s < 0x80 ? 0 : *s < 0xE0 ? 1 : *s < 0xF0 ? 2 : 3;
        uint32_t c = more ? *s & (0x3Fu >> more) : *s;
        for (s++; more && (*s & 0xC0) == 0x80; more--)
            c = c << 6 | (*s++ & 0x3F);
        uint16_t units[2] = {(uint16_t)c, 0};
        if (c > 0xFFFF) {
            units[0] = (uint16_t)(0xD800 + ((c - 0x10000) >> 10));
            units[1] = (uint16_t)(0xDC00 + (c & 0x3FF));
        }
        memcpy(out + len, units, c > 0xFFFF ? 4 : 2);
        len += c > 0xFFFF ? 4 : 2;
    }
    return len;
}

static void to_utf8(const uint8_t *from, uint32_t bytes, char *out, size_t cap)
{
    size_t len = 0;
    for (uint32_t i = 0; i + 2 <= bytes; i += 2) {
        uint32_t c = from[i] | (uint32_t)from[i + 1] << 8;
        if (c >= 0xD800 && c < 0xDC00 && i + 4 <= bytes && (from[i + 3] & 0xFC) == 0xDC) {
            uint32_t low = from[i + 2] | (uint32_t)(from[i + 3] & 3) << 8;
            c = 0x10000 + ((c & 0x3FF) << 10) + low;
            i += 2;
        }
        size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        if (len + n + 1 > cap)
            break;
        for (size_t k = n; k-- > 1; c >>= 6)
            out[len + k] = (char)(0x80 | (c & 0x3F));
        out[len] = (char)(n == 1 ? c : (0xF00u >> n & 0xFFu) | c);
        len += n;
    }
    out[len] = 0;
}

/* ---- calls --------------------------------------------------------------------------------- */

uint32_t door_call(struct door_client *d, const struct door_call *call, const char *name,
                   const void *data, struct door_reply *reply)
{
    struct door_call c = *call;
    struct door_reply local;
    uint8_t *utf16 = malloc(2 * strlen(name ? name : "") + 2);
    c.name_len = name ? to_utf16(name, utf16) : 0;
    move(d->fd, &c, sizeof c, true);
    move(d->fd, utf16, c.name_len, true);
    move(d->fd, (void *)(uintptr_t)data, c.data_len, true);
    free(utf16);
    reply = reply ? reply : &local;
    move(d->fd, reply, sizeof *reply, false);
    free(d->data);
    d->data = malloc(reply->data_len + 1u);
    d->len = reply->data_len;
    move(d->fd, d->data, d->len, false);
    return reply->status;
}

const void *door_data(struct door_client *d, uint32_t *len)
{
    if (len)
        *len = d->len;
    return d->data;
}

static const char *text_at(struct door_client *d, uint32_t at, uint32_t bytes)
{
    size_t cap = bytes * 2u + 1;
    free(d->text);
    d->text = malloc(cap);
    to_utf8(d->data + at, bytes, d->text, cap);
    return d->text;
}

const char *door_text(struct door_client *d)
{
    return text_at(d, 0, d->len);
}

uint32_t door_create(struct door_client *d, struct door_open *c, uint64_t *handle)
{
    uint32_t share = c->share == DOOR_SHARE_NONE ? 0 : c->share ? c->share : FILE_SHARE_ALL;
    struct door_call call = {.op = DOOR_CREATE,
                             .u32 = {c->access, c->disposition, c->options, c->attributes, share,
                                     c->sd_len, c->ea_len, c->flags},
                             .u64 = {c->allocation, c->directory},
                             .data_len = c->sd_len + c->ea_len};
    uint8_t *data = calloc(1, call.data_len + 1u);
    struct door_reply reply;
    if (c->sd_len)
        memcpy(data, c->sd, c->sd_len);
    if (c->ea_len)
        memcpy(data + c->sd_len, c->ea, c->ea_len);
    uint32_t status = door_call(d, &call, c->path, data, &reply);
    free(data);
    c->information = reply.information;
    *handle = reply.handle;
    return status;
}

uint32_t door_open_path(struct door_client *d, const char *path, uint32_t access, uint64_t *handle)
{
    struct door_open c = {.path = path, .access = access, .disposition = FILE_OPEN};
    return door_create(d, &c, handle);
}

uint32_t door_make(struct door_client *d, const char *path, uint32_t options, uint64_t *handle)
{
    struct door_open c = {.path = path,
                          .access = FILE_ALL_ACCESS,
                          .disposition = FILE_CREATE,
                          .options = options ? options : FILE_NON_DIRECTORY_FILE};
    return door_create(d, &c, handle);
}

static uint32_t on_handle(struct door_client *d, uint32_t op, uint64_t handle, uint32_t a,
                          uint32_t b)
{
    struct door_call c = {.op = op, .handle = handle, .u32 = {a, b}};
    return door_call(d, &c, NULL, NULL, NULL);
}

static uint32_t with_data(struct door_client *d, uint32_t op, uint64_t handle, uint32_t a,
                          const void *data, uint32_t len)
{
    struct door_call c = {.op = op, .handle = handle, .u32 = {a}, .data_len = len};
    return door_call(d, &c, NULL, data, NULL);
}

uint32_t door_cleanup(struct door_client *d, uint64_t handle)
{
    return on_handle(d, DOOR_CLEANUP, handle, 0, 0);
}

uint32_t door_close(struct door_client *d, uint64_t handle)
{
    return on_handle(d, DOOR_CLOSE, handle, 0, 0);
}

uint32_t door_exists(struct door_client *d, const char *path)
{
    struct door_open c = {.path = path,
                          .access = FILE_READ_ATTRIBUTES,
                          .disposition = FILE_OPEN,
                          .options = FILE_OPEN_REPARSE_POINT};
    uint64_t handle;
    uint32_t status = door_create(d, &c, &handle);
    if (!status)
        door_close(d, handle);
    return status;
}

uint32_t door_read(struct door_client *d, uint64_t handle, uint64_t offset, void *buf, uint32_t len,
                   uint32_t flags, uint32_t *got)
{
    struct door_call c = {.op = DOOR_READ, .handle = handle, .u32 = {len, flags}, .u64 = {offset}};
    uint32_t status = door_call(d, &c, NULL, NULL, NULL);
    memcpy(buf, d->data, d->len <= len ? d->len : len);
    if (got)
        *got = d->len;
    return status;
}

uint32_t door_write(struct door_client *d, uint64_t handle, uint64_t offset, const void *buf,
                    uint32_t len, uint32_t flags, uint32_t *put)
{
    struct door_call c = {
        .op = DOOR_WRITE, .handle = handle, .u32 = {0, flags}, .u64 = {offset}, .data_len = len};
    struct door_reply reply;
    uint32_t status = door_call(d, &c, NULL, buf, &reply);
    if (put)
        *put = (uint32_t)reply.information;
    return status;
}

uint32_t door_flush(struct door_client *d, uint64_t handle)
{
    return on_handle(d, DOOR_FLUSH, handle, 0, 0);
}

/* ---- information --------------------------------------------------------------------------- */

uint32_t door_query(struct door_client *d, uint64_t handle, uint32_t class, uint32_t room)
{
    return on_handle(d, DOOR_QUERY_INFO, handle, class, room);
}

uint32_t door_set(struct door_client *d, uint64_t handle, uint32_t class, const void *data,
                  uint32_t len)
{
    return with_data(d, DOOR_SET_INFO, handle, class, data, len);
}

static uint64_t get64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

uint32_t door_info(struct door_client *d, uint64_t handle, struct door_info *info)
{
    memset(info, 0, sizeof *info);
    uint32_t status = door_query(d, handle, FileAttributeTagInformation, 8);
    if (status)
        return status;
    info->tag = get32(d->data + 4);
    status = door_query(d, handle, FileAllInformation, 104 + 4096);
    if (status && status != STATUS_BUFFER_OVERFLOW)
        return status;
    const uint8_t *p = d->data;
    info->creation = get64(p);
    info->access = get64(p + 8);
    info->write = get64(p + 16);
    info->change = get64(p + 24);
    info->attributes = get32(p + 32);
    info->allocation = get64(p + 40);
    info->size = get64(p + 48);
    info->delete_pending = p[60];
    info->directory = p[61];
    info->index = get64(p + 64);
    info->ea_size = get32(p + 72);
    return STATUS_SUCCESS;
}

uint32_t door_info_of(struct door_client *d, const char *path, struct door_info *info)
{
    struct door_open c = {.path = path,
                          .access = FILE_READ_ATTRIBUTES,
                          .disposition = FILE_OPEN,
                          .options = FILE_OPEN_REPARSE_POINT};
    uint64_t handle;
    uint32_t status = door_create(d, &c, &handle);
    if (status)
        return status;
    status = door_info(d, handle, info);
    door_close(d, handle);
    return status;
}

uint32_t door_set_basic(struct door_client *d, uint64_t handle, uint32_t attributes,
                        uint64_t creation, uint64_t access, uint64_t write, uint64_t change)
{
    uint64_t basic[5] = {creation, access, write, change, attributes};
    return door_set(d, handle, FileBasicInformation, basic, sizeof basic);
}

uint32_t door_set_size(struct door_client *d, uint64_t handle, uint64_t size)
{
    return door_set(d, handle, FileEndOfFileInformation, &size, sizeof size);
}

uint32_t door_set_allocation(struct door_client *d, uint64_t handle, uint64_t size)
{
    return door_set(d, handle, FileAllocationInformation, &size, sizeof size);
}

uint32_t door_set_delete(struct door_client *d, uint64_t handle, bool del)
{
    uint8_t flag = del;
    return door_set(d, handle, FileDispositionInformation, &flag, sizeof flag);
}

uint32_t door_delete_ex(struct door_client *d, uint64_t handle, uint32_t flags)
{
    return door_set(d, handle, FileDispositionInformationEx, &flags, sizeof flags);
}

static uint32_t rename_to(struct door_client *d, uint64_t handle, const char *to, uint32_t class,
                          uint32_t flags)
{
    uint8_t *data = calloc(1, 28 + 2 * strlen(to));
    uint32_t bytes = to_utf16(to, data + 20);
    memcpy(data, &flags, 4);
    memcpy(data + 16, &bytes, 4);
    uint32_t len = 20 + bytes < 24 ? 24 : 20 + bytes;
    uint32_t status = door_set(d, handle, class, data, len);
    free(data);
    return status;
}

uint32_t door_rename(struct door_client *d, uint64_t handle, const char *to, bool replace)
{
    return rename_to(d, handle, to, FileRenameInformation, replace);
}

uint32_t door_rename_ex(struct door_client *d, uint64_t handle, const char *to, uint32_t flags)
{
    return rename_to(d, handle, to, FileRenameInformationEx, flags);
}

uint32_t door_remove(struct door_client *d, const char *path)
{
    struct door_open c = {.path = path,
                          .access = DELETE,
                          .disposition = FILE_OPEN,
                          .options = FILE_OPEN_REPARSE_POINT};
    uint64_t handle;
    uint32_t status = door_create(d, &c, &handle);
    if (status)
        return status;
    status = door_set_delete(d, handle, true);
    door_close(d, handle);
    return status;
}

/* ---- listings ------------------------------------------------------------------------------ */

static uint32_t list_call(struct door_client *d, uint64_t handle, const char *pattern,
                          uint32_t flags, uint32_t room)
{
    struct door_call c = {.op = DOOR_QUERY_DIR,
                          .handle = handle,
                          .u32 = {FileIdBothDirectoryInformation, room, flags}};
    return door_call(d, &c, pattern, NULL, NULL);
}

static void entry_at(const uint8_t *p, struct door_entry *e)
{
    memset(&e->info, 0, sizeof e->info);
    e->info.creation = get64(p + 8);
    e->info.access = get64(p + 16);
    e->info.write = get64(p + 24);
    e->info.change = get64(p + 32);
    e->info.size = get64(p + 40);
    e->info.allocation = get64(p + 48);
    e->info.attributes = get32(p + 56);
    e->info.directory = e->info.attributes & FILE_ATTRIBUTE_DIRECTORY;
    e->info.ea_size = e->info.tag = get32(p + 64);
    e->info.index = get64(p + 96);
    to_utf8(p + 104, get32(p + 60), e->name, sizeof e->name);
}

uint32_t door_list(struct door_client *d, uint64_t handle, const char *pattern, uint32_t flags,
                   uint32_t room, struct door_entry *entries, unsigned most, unsigned *count)
{
    uint32_t status = list_call(d, handle, pattern, flags, room);
    *count = 0;
    for (uint32_t at = 0; d->len >= at + 104 && *count < most; (*count)++) {
        entry_at(d->data + at, &entries[*count]);
        uint32_t next = get32(d->data + at);
        at = next ? at + next : d->len;
    }
    return status;
}

struct door_entry *door_list_all(struct door_client *d, uint64_t handle, const char *pattern,
                                 unsigned *count, uint32_t *status)
{
    struct door_entry *all = NULL;
    unsigned cap = 0, got;
    uint32_t flags = DOOR_DIR_RESTART;
    *count = 0;
    do {
        if (cap < *count + 1024) {
            cap = cap * 2 + 2048;
            all = realloc(all, cap * sizeof *all);
        }
        *status = door_list(d, handle, pattern, flags, LIST_ROOM, all + *count, cap - *count, &got);
        *count += got;
        flags = 0;
    } while (!*status);
    if (*status == STATUS_NO_MORE_FILES || *status == STATUS_NO_SUCH_FILE) {
        *status = STATUS_SUCCESS;
        return all;
    }
    free(all);
    return NULL;
}

/* ---- the rest ------------------------------------------------------------------------------ */

uint32_t door_query_volume(struct door_client *d, uint32_t class, uint32_t room)
{
    return on_handle(d, DOOR_QUERY_VOLUME, 0, class, room);
}

uint32_t door_set_label(struct door_client *d, const char *label)
{
    uint8_t data[4 + 256] = {0};
    uint32_t bytes = strlen(label) > 120 ? 0 : to_utf16(label, data + 4);
    memcpy(data, &bytes, 4);
    return with_data(d, DOOR_SET_VOLUME, 0, FileFsLabelInformation, data, 8 + bytes);
}

uint32_t door_query_security(struct door_client *d, uint64_t handle, uint32_t what, uint32_t room)
{
    return on_handle(d, DOOR_QUERY_SECURITY, handle, what, room);
}

uint32_t door_set_security(struct door_client *d, uint64_t handle, uint32_t what, const void *sd,
                           uint32_t len)
{
    return with_data(d, DOOR_SET_SECURITY, handle, what, sd, len);
}

uint32_t door_query_ea(struct door_client *d, uint64_t handle, bool restart, uint32_t room)
{
    return on_handle(d, DOOR_QUERY_EA, handle, restart, room);
}

uint32_t door_set_ea(struct door_client *d, uint64_t handle, const void *ea, uint32_t len)
{
    return with_data(d, DOOR_SET_EA, handle, 0, ea, len);
}

uint32_t door_ea(void *buf, const char *name, const void *value, uint16_t len)
{
    uint8_t *out = buf;
    size_t name_len = strlen(name);
    memset(out, 0, 8);
    out[5] = (uint8_t)name_len;
    memcpy(out + 6, &len, 2);
    memcpy(out + 8, name, name_len + 1);
    memcpy(out + 9 + name_len, value, len);
    return (uint32_t)(9 + name_len + len);
}

uint32_t door_fsctl(struct door_client *d, uint64_t handle, uint32_t code, const void *in,
                    uint32_t len, uint32_t room)
{
    struct door_call c = {.op = DOOR_FSCTL, .handle = handle, .u32 = {code, room}, .data_len = len};
    return door_call(d, &c, NULL, in, NULL);
}

uint32_t door_symlink_data(void *buf, const char *target, bool relative)
{
    uint8_t *out = buf;
    uint16_t bytes = (uint16_t)to_utf16(target, out + 20);
    memcpy(out + 20 + bytes, out + 20, bytes);
    uint32_t tag = IO_REPARSE_TAG_SYMLINK, flags = relative ? SYMLINK_FLAG_RELATIVE : 0;
    uint16_t words[6] = {(uint16_t)(12 + 2 * bytes), 0, 0, bytes, bytes, bytes};
    memcpy(out, &tag, 4);
    memcpy(out + 4, words, 12);
    memcpy(out + 16, &flags, 4);
    return 20u + 2u * bytes;
}

uint32_t door_set_symlink(struct door_client *d, uint64_t handle, const char *target)
{
    uint8_t *data = malloc(20 + 4 * strlen(target) + 8);
    uint32_t len = door_symlink_data(data, target, target[0] != '\\');
    uint32_t status = door_fsctl(d, handle, FSCTL_SET_REPARSE_POINT, data, len, 0);
    free(data);
    return status;
}

uint32_t door_get_symlink(struct door_client *d, uint64_t handle, const char **target,
                          uint32_t *flags)
{
    uint16_t at, bytes;
    uint32_t status = door_fsctl(d, handle, FSCTL_GET_REPARSE_POINT, NULL, 0, 16384);
    *target = "";
    if (status || d->len < 20)
        return status;
    memcpy(&at, d->data + 8, 2);
    memcpy(&bytes, d->data + 10, 2);
    if (flags)
        *flags = get32(d->data + 16);
    *target = text_at(d, 20u + at, bytes);
    return status;
}

uint32_t door_notify(struct door_client *d, uint64_t handle, uint32_t filter, bool tree,
                     uint32_t wait_ms)
{
    struct door_call c = {.op = DOOR_NOTIFY, .handle = handle, .u32 = {filter, tree, wait_ms}};
    return door_call(d, &c, NULL, NULL, NULL);
}

uint32_t door_lock(struct door_client *d, uint64_t handle, uint64_t offset, uint64_t length,
                   bool exclusive)
{
    struct door_call c = {
        .op = DOOR_LOCK, .handle = handle, .u32 = {exclusive}, .u64 = {offset, length}};
    return door_call(d, &c, NULL, NULL, NULL);
}

uint32_t door_unlock(struct door_client *d, uint64_t handle, uint64_t offset, uint64_t length)
{
    struct door_call c = {.op = DOOR_UNLOCK, .handle = handle, .u64 = {offset, length}};
    return door_call(d, &c, NULL, NULL, NULL);
}

void door_token(struct door_client *d, enum door_token token)
{
    on_handle(d, DOOR_TOKEN, 0, token, 0);
}

void door_stats(struct door_client *d, struct door_stats *stats)
{
    on_handle(d, DOOR_STATS, 0, 0, 0);
    if (d->len != sizeof *stats)
        lost("statistics of another size");
    memcpy(stats, d->data, sizeof *stats);
}

void door_barrier(struct door_client *d, uint32_t id, uint32_t count)
{
    on_handle(d, DOOR_BARRIER, 0, id, count);
}

void door_control(struct door_client *d, enum door_control control)
{
    on_handle(d, DOOR_CONTROL, 0, control, 0);
}
