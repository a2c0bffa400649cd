// SPDX-License-Identifier: BSD-3-Clause
/*
 * info.c - what is known of files and volumes, and changing it: information classes, security, EAs, links
 */
#include <stdlib.h>
#include <string.h>

#include "tests/wine/conformance/conf_int.h"

uint32_t nt_query(struct t *t, handle h, uint32_t class, void *out, uint32_t room)
{
    struct door_call c = {.op = DOOR_QUERY_INFO, .handle = h, .u32 = {class, room}};
    uint32_t status = nt_call(t, &c, NULL, NULL);

    if (t->data_len > room)
        t_fail(t, __FILE__, __LINE__, "class %u: %u bytes in %u", class, t->data_len, room);
    memcpy(out, t->data, t->data_len);
    return status;
}

uint32_t nt_set(struct t *t, handle h, uint32_t class, const void *in, uint32_t n)
{
    struct door_call c = {.op = DOOR_SET_INFO, .handle = h, .data_len = n, .u32 = {class}};

    return nt_call(t, &c, NULL, in);
}

#define GETTER(name, class, type)                                                                  \
    type name(struct t *t, handle h)                                                               \
    {                                                                                              \
        type info;                                                                                 \
                                                                                                   \
        OK(t, nt_query(t, h, class, &info, sizeof(info)));                                         \
        EQUAL(t, sizeof(info), t->data_len);                                                       \
        return info;                                                                               \
    }
GETTER(nt_basic, FileBasicInformation, struct basic_info)
GETTER(nt_standard, FileStandardInformation, struct standard_info)
GETTER(nt_network, FileNetworkOpenInformation, struct network_info)
GETTER(nt_tag, FileAttributeTagInformation, struct tag_info)
GETTER(nt_index, FileInternalInformation, uint64_t)

const char *nt_name(struct t *t, handle h)
{
    char *name = keep(t, 8192);
    uint8_t *buf = keep(t, 8192);
    uint32_t n;

    OK(t, nt_query(t, h, FileNameInformation, buf, 8192));
    memcpy(&n, buf, 4);
    CHECK(t, n <= t->data_len - 4);
    to_utf8(buf + 4, n, name, 8192);
    return name;
}

uint32_t nt_attributes(struct t *t, const char *name)
{
    handle h = OPEN(t, name, .access = FILE_READ_ATTRIBUTES, .options = FILE_OPEN_REPARSE_POINT);
    uint32_t attributes = nt_basic(t, h).attributes;

    nt_close(t, h);
    return attributes;
}

uint32_t nt_set_attributes(struct t *t, handle h, uint32_t attributes)
{
    struct basic_info b = {.attributes = attributes};

    return nt_set(t, h, FileBasicInformation, &b, sizeof(b));
}

uint32_t nt_set_size(struct t *t, handle h, int64_t size)
{
    return nt_set(t, h, FileEndOfFileInformation, &size, sizeof(size));
}

uint32_t nt_set_allocation(struct t *t, handle h, int64_t size)
{
    return nt_set(t, h, FileAllocationInformation, &size, sizeof(size));
}

static uint32_t rename_as(struct t *t, handle h, const char *name, uint32_t class, uint32_t flags)
{
    struct {
        struct rename_head head;
        uint16_t name[4096];
    } *r = keep(t, sizeof(*r));
    /* the name follows name_len directly */
    uint16_t *at = (uint16_t *)(void *)((uint8_t *)&r->head.name_len + 4);

    r->head.replace_or_flags = flags;
    r->head.name_len = full_name(t, name, at, sizeof(r->name));
    return nt_set(t, h, class, r, 20 + r->head.name_len);
}

uint32_t nt_rename(struct t *t, handle h, const char *name, bool replace)
{
    return rename_as(t, h, name, FileRenameInformation, replace);
}

uint32_t nt_rename_ex(struct t *t, handle h, const char *name, uint32_t flags)
{
    return rename_as(t, h, name, FileRenameInformationEx, flags);
}

uint32_t nt_delete(struct t *t, handle h, bool on)
{
    uint8_t d = on;

    return nt_set(t, h, FileDispositionInformation, &d, sizeof(d));
}

uint32_t nt_delete_ex(struct t *t, handle h, uint32_t flags)
{
    return nt_set(t, h, FileDispositionInformationEx, &flags, sizeof(flags));
}

uint32_t nt_remove(struct t *t, const char *name)
{
    handle h;
    uint32_t status = nt_create(
        t, name, HOW(.access = DELETE | FILE_READ_ATTRIBUTES, .options = FILE_OPEN_REPARSE_POINT),
        &h);

    if (status != STATUS_SUCCESS)
        return status;
    status = nt_delete(t, h, true);
    nt_close(t, h);
    return status;
}

uint32_t nt_move(struct t *t, const char *name, const char *to, bool replace)
{
    handle h;
    uint32_t status = nt_create(
        t, name, HOW(.access = DELETE | FILE_READ_ATTRIBUTES, .options = FILE_OPEN_REPARSE_POINT),
        &h);

    if (status != STATUS_SUCCESS)
        return status;
    status = nt_rename(t, h, to, replace);
    nt_close(t, h);
    return status;
}

uint32_t nt_query_volume(struct t *t, handle h, uint32_t class, void *out, uint32_t room)
{
    struct door_call c = {.op = DOOR_QUERY_VOLUME, .handle = h, .u32 = {class, room}};
    uint32_t status = nt_call(t, &c, NULL, NULL);

    if (t->data_len > room)
        t_fail(t, __FILE__, __LINE__, "class %u: %u bytes in %u", class, t->data_len, room);
    memcpy(out, t->data, t->data_len);
    return status;
}

uint32_t nt_set_volume(struct t *t, handle h, uint32_t class, const void *in, uint32_t n)
{
    struct door_call c = {.op = DOOR_SET_VOLUME, .handle = h, .data_len = n, .u32 = {class}};

    return nt_call(t, &c, NULL, in);
}

/* ---- security, EAs --------------------------------------------------------------------------- */

uint32_t nt_security(struct t *t, handle h, uint32_t what, uint32_t room)
{
    return nt_call(t,
                   &(struct door_call){.op = DOOR_QUERY_SECURITY, .handle = h, .u32 = {what, room}},
                   NULL, NULL);
}

uint32_t nt_set_security(struct t *t, handle h, uint32_t what, const void *sd, uint32_t n)
{
    struct door_call c = {.op = DOOR_SET_SECURITY, .handle = h, .data_len = n, .u32 = {what}};

    return nt_call(t, &c, NULL, sd);
}

uint32_t nt_ea(struct t *t, handle h, uint32_t room)
{
    return nt_call(t, &(struct door_call){.op = DOOR_QUERY_EA, .handle = h, .u32 = {0, room}}, NULL,
                   NULL);
}

uint32_t nt_set_ea(struct t *t, handle h, const void *ea, uint32_t n)
{
    return nt_call(t, &(struct door_call){.op = DOOR_SET_EA, .handle = h, .data_len = n}, NULL, ea);
}

uint32_t ea_entry(void *to, const char *name, const void *value, uint16_t n, bool last)
{
    /* MS-FSCC 2.4.16: next offset, flags, length of name, length of value, name with NUL, value */
    uint8_t *p = to;
    uint8_t name_len = (uint8_t)strlen(name);
    uint32_t len = 8u + name_len + 1u + n, next = last ? 0 : (len + 3) & ~3u;

    memcpy(p, &next, 4);
    p[4] = 0;
    p[5] = name_len;
    memcpy(p + 6, &n, 2);
    memcpy(p + 8, name, name_len + 1u);
    if (n)
        memcpy(p + 8 + name_len + 1, value, n);
    return last ? len : next;
}

/* ---- reparse points -------------------------------------------------------------------------- */

uint32_t nt_fsctl(struct t *t, handle h, uint32_t code, const void *in, uint32_t n, uint32_t room)
{
    struct door_call c = {.op = DOOR_FSCTL, .handle = h, .data_len = n, .u32 = {code, room}};

    return nt_call(t, &c, NULL, in);
}

/* MS-FSCC 2.1.2.4 */
struct symlink_data {
    uint32_t tag;
    uint16_t len, reserved;
    uint16_t substitute_at, substitute_len, print_at, print_len;
    uint32_t flags;
    uint16_t path[4096];
};

uint32_t nt_symlink(struct t *t, const char *name, const char *target, bool directory,
                    bool relative)
{
    struct symlink_data *d = keep(t, sizeof(*d));
    uint16_t n = (uint16_t)to_utf16(t, target, d->path, sizeof(d->path) / 2);
    uint32_t status;
    handle h = MAKE(t, name, .options = (directory ? FILE_DIRECTORY_FILE : 0));

    memcpy(d->path + n / 2, d->path, n);
    d->tag = IO_REPARSE_TAG_SYMLINK;
    d->len = (uint16_t)(12 + 2 * n);
    d->substitute_len = d->print_len = d->print_at = n;
    d->flags = relative ? SYMLINK_FLAG_RELATIVE : 0;
    status = nt_fsctl(t, h, FSCTL_SET_REPARSE_POINT, d, 20 + 2u * n, 0);
    nt_close(t, h);
    return status;
}

const char *nt_readlink(struct t *t, const char *name, bool *relative)
{
    handle h = OPEN(t, name, .access = FILE_READ_ATTRIBUTES, .options = FILE_OPEN_REPARSE_POINT);
    const struct symlink_data *d;
    char *target = keep(t, 8192);

    OK(t, nt_fsctl(t, h, FSCTL_GET_REPARSE_POINT, NULL, 0, 16384));
    d = nt_data(t);
    CHECK(t, t->data_len >= 20 && d->tag == IO_REPARSE_TAG_SYMLINK);
    CHECK(t, d->len + 8u == t->data_len);
    CHECK(t, d->substitute_at + d->substitute_len + 12 <= d->len);
    CHECK(t, d->print_at + d->print_len + 12 <= d->len);
    to_utf8((const uint8_t *)d->path + d->substitute_at, d->substitute_len, target, 8192);
    if (relative)
        *relative = d->flags & SYMLINK_FLAG_RELATIVE;
    nt_close(t, h);
    return target;
}

uint32_t nt_notify(struct t *t, handle dir, uint32_t filter, bool tree, uint32_t ms)
{
    return nt_call(t,
                   &(struct door_call){.op = DOOR_NOTIFY, .handle = dir, .u32 = {filter, tree, ms}},
                   NULL, NULL);
}

const char *nt_told(struct t *t)
{
    static const char mark[] = "?+-*<>";
    const uint8_t *p = nt_data(t);
    uint32_t left = nt_data_len(t), head[3] = {0};
    char *all = keep(t, 65536), *to = all;

    while (left >= sizeof(head)) {
        memcpy(head, p, sizeof(head));
        CHECK(t, head[1] < 6 && head[2] <= left - 12 && to - all < 60000);
        if (to != all)
            *to++ = ' ';
        *to++ = mark[head[1]];
        for (uint32_t i = 0; i < head[2]; i += 2) /* names are ASCII */
            *to++ = (char)p[12 + i];
        if (!head[0])
            break;
        CHECK(t, head[0] <= left);
        p += head[0];
        left -= head[0];
    }
    return all;
}
