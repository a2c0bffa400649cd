// SPDX-License-Identifier: BSD-3-Clause
/*
 * list.c - directories
 */
#include <stdlib.h>
#include <string.h>

#include "tests/wine/conformance/conf_int.h"

/* Where the name begins in an entry of each class, MS-FSCC 2.4.10 to 2.4.20; and the file's index, 0: none. */
static uint32_t name_offset(uint32_t class)
{
    switch (class) {
    case FileDirectoryInformation:
        return 64;
    case FileFullDirectoryInformation:
        return 68;
    case FileBothDirectoryInformation:
        return 94;
    case FileNamesInformation:
        return 12;
    case FileIdFullDirectoryInformation:
        return 80;
    case FileIdBothDirectoryInformation:
        return 104;
    default:
        return 0;
    }
}

static uint32_t index_offset(uint32_t class)
{
    return class == FileIdFullDirectoryInformation   ? 72
           : class == FileIdBothDirectoryInformation ? 96
                                                     : 0;
}

static struct entry *grow(struct t *t, struct listing *l)
{
    if (l->n == l->room) {
        struct entry *bigger = keep(t, sizeof(*bigger) * (2 * l->room + 64));

        memcpy(bigger, l->entry, sizeof(*bigger) * l->n);
        l->entry = bigger;
        l->room = 2 * l->room + 64;
    }
    return &l->entry[l->n++];
}

/* Return: offset of the next entry, 0 after the last. */
static uint32_t parse(struct t *t, struct listing *l, uint32_t class, const uint8_t *at,
                      uint32_t left)
{
    struct entry *e = grow(t, l);
    struct dir_entry_head head = {0};
    uint32_t name_at = name_offset(class), name_len;

    CHECK(t, left > name_at && left >= 12);
    if (class == FileNamesInformation) {
        memcpy(&head, at, 8);
        memcpy(&name_len, at + 8, 4);
    } else {
        memcpy(&head, at, sizeof(head));
        name_len = head.name_len;
    }
    CHECK(t, name_len > 0 && name_len <= left - name_at);
    CHECK(t, head.next == 0 || (head.next >= name_at + name_len && head.next < left));
    CHECK(t, head.next % 8 == 0);
    to_utf8(at + name_at, name_len, e->name, sizeof(e->name));
    e->attributes = head.attributes;
    e->size = head.size;
    e->allocation = head.allocation;
    e->created = head.created;
    e->written = head.written;
    if (index_offset(class))
        memcpy(&e->index, at + index_offset(class), 8);
    return head.next;
}

uint32_t nt_query_dir(struct t *t, handle dir, const char *pattern_text, uint32_t class,
                      uint32_t room, uint32_t flags, struct listing *l)
{
    uint16_t units[1024];
    struct door_call c = {.op = DOOR_QUERY_DIR, .handle = dir, .u32 = {class, room, flags}};
    uint32_t status, at = 0, next;

    c.name_len = pattern_text ? to_utf16(t, pattern_text, units, sizeof(units)) : 0;
    status = nt_call(t, &c, units, NULL);
    CHECK(t, t->data_len <= room);
    l->calls++;
    l->status = status;
    if (status != STATUS_SUCCESS)
        return status;
    do {
        next = parse(t, l, class, t->data + at, t->data_len - at);
        at += next;
    } while (next);
    return status;
}

const struct listing *nt_list_by(struct t *t, handle dir, const char *pattern_text, uint32_t class,
                                 uint32_t room, uint32_t flags)
{
    struct listing *l = keep(t, sizeof(*l));
    uint32_t status = nt_query_dir(t, dir, pattern_text, class, room, flags | DOOR_DIR_RESTART, l);

    while (status == STATUS_SUCCESS)
        status = nt_query_dir(t, dir, NULL, class, room, flags, l);
    return l;
}

const struct listing *nt_list(struct t *t, handle dir, const char *pattern_text)
{
    const struct listing *l =
        nt_list_by(t, dir, pattern_text, FileIdBothDirectoryInformation, 16384, 0);

    if (l->n || l->status != STATUS_NO_SUCH_FILE)
        EXPECT(t, STATUS_NO_MORE_FILES, l->status);
    return l;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static const char *join(struct t *t, const char **names, unsigned n)
{
    size_t len = 1;
    char *all, *to;

    qsort(names, n, sizeof(*names), by_name);
    for (unsigned i = 0; i < n; i++)
        len += strlen(names[i]) + 1;
    all = to = keep(t, len);
    for (unsigned i = 0; i < n; i++) {
        if (i)
            *to++ = ' ';
        to = stpcpy(to, names[i]);
    }
    return all;
}

const char *nt_names(struct t *t, const char *dir, const char *pattern_text)
{
    handle h =
        OPEN(t, dir, .access = FILE_LIST_DIRECTORY | SYNCHRONIZE, .options = FILE_DIRECTORY_FILE);
    const struct listing *l = nt_list(t, h, pattern_text);
    const char **names = keep(t, (l->n + 1) * sizeof(*names));
    unsigned n = 0;

    for (unsigned i = 0; i < l->n; i++)
        if (strcmp(l->entry[i].name, ".") != 0 && strcmp(l->entry[i].name, "..") != 0)
            names[n++] = l->entry[i].name;
    nt_close(t, h);
    return join(t, names, n);
}

static const struct entry *look(const struct listing *l, const char *name)
{
    for (unsigned i = 0; i < l->n; i++)
        if (strcmp(l->entry[i].name, name) == 0)
            return &l->entry[i];
    return NULL;
}

const struct entry *find(struct t *t, const struct listing *l, const char *name)
{
    const struct entry *e = look(l, name);

    if (!e)
        t_fail(t, __FILE__, __LINE__, "%s is not listed", name);
    return e;
}

bool has(const struct listing *l, const char *name)
{
    return look(l, name) != NULL;
}
