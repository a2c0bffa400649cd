// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_volume.c - the volume: space, label, what it says it can; flushing; a read-only one
 */
#include <string.h>
#include <sys/statvfs.h>

#include "tests/wine/conformance/conf.h"

#define READONLY(fn) CASE_ON(fn, VOLUME_READONLY)

static handle any(struct t *t)
{
    return OPEN(t, "", .access = FILE_READ_ATTRIBUTES);
}

/* Incumbent: counts blocks in bsize, not frsize: wrong where they differ (B.4, GetVolumeInfo). */
static void the_space_is_the_hosts(struct t *t)
{
    struct fs_full_size s;
    struct statvfs v;

    OK(t, nt_query_volume(t, any(t), FileFsFullSizeInformation, &s, sizeof(s)));
    CHECK(t, statvfs(host_path(t, ""), &v) == 0);
    int64_t unit = (int64_t)s.sectors_per_unit * s.bytes_per_sector;
    int64_t total = (int64_t)(v.f_blocks * v.f_frsize), off = s.total * unit - total;
    CHECK(t, off > -unit && off < unit);
    CHECK(t, s.available * unit <= total);
    CHECK(t, s.available * unit > 0);
}

static void size_and_full_size_agree(struct t *t)
{
    struct fs_full_size f;
    struct fs_size s;

    OK(t, nt_query_volume(t, any(t), FileFsFullSizeInformation, &f, sizeof(f)));
    OK(t, nt_query_volume(t, any(t), FileFsSizeInformation, &s, sizeof(s)));
    EQUAL(t, f.total, s.total);
    EQUAL(t, f.bytes_per_sector, s.bytes_per_sector);
}

static struct fs_attribute_head attributes_of(struct t *t, char *name, size_t room)
{
    struct {
        struct fs_attribute_head head;
        uint16_t name[64];
    } a;

    OK(t, nt_query_volume(t, any(t), FileFsAttributeInformation, &a, sizeof(a)));
    CHECK(t, a.head.name_len <= sizeof(a.name) && a.head.name_len / 2 < room);
    for (uint32_t i = 0; i < a.head.name_len / 2; i++)
        name[i] = (char)a.name[i];
    name[a.head.name_len / 2] = '\0';
    return a.head;
}

static void the_file_system_has_its_name(struct t *t)
{
    char name[64];

    attributes_of(t, name, sizeof(name));
    TEXT(t, "VirtIO-FS", name);
}

static void names_have_255_units(struct t *t)
{
    char name[64];

    EQUAL(t, 255, attributes_of(t, name, sizeof(name)).max_component);
}

static void case_is_told_apart_and_kept(struct t *t)
{
    char name[64];
    uint32_t flags = attributes_of(t, name, sizeof(name)).flags;

    CHECK(t, flags & FILE_CASE_SENSITIVE_SEARCH);
    CHECK(t, flags & FILE_CASE_PRESERVED_NAMES);
    CHECK(t, flags & FILE_UNICODE_ON_DISK);
    CHECK(t, flags & FILE_SUPPORTS_REPARSE_POINTS);
    EQUAL(t, 0, flags & FILE_READ_ONLY_VOLUME);
}

static struct fs_volume_head volume_of(struct t *t, char *label)
{
    uint8_t buf[256];
    struct fs_volume_head head;

    OK(t, nt_query_volume(t, any(t), FileFsVolumeInformation, buf, sizeof(buf)));
    memcpy(&head, buf, sizeof(head));
    CHECK(t, head.label_len <= 64);
    for (uint32_t i = 0; i < head.label_len / 2; i++)
        label[i] = (char)buf[sizeof(head) + 2 * i];
    label[head.label_len / 2] = '\0';
    return head;
}

static void the_label_is_the_tag(struct t *t)
{
    char label[40];

    volume_of(t, label);
    TEXT(t, "plain", label);
}

/* Incumbent: serial number 0, creation time of each start (B.4, VolumeParams). */
static void the_serial_number_is_not_zero(struct t *t)
{
    char label[40];

    CHECK(t, volume_of(t, label).serial != 0);
}

static void the_label_can_be_set(struct t *t)
{
    struct {
        uint32_t len;
        uint16_t name[8];
    } l = {10, {'h', 'e', 'l', 'l', 'o'}}, back = {10, {'p', 'l', 'a', 'i', 'n'}};
    char label[40];

    OK(t, nt_set_volume(t, any(t), FileFsLabelInformation, &l, 14));
    EVENTUALLY(t, (volume_of(t, label), strcmp(label, "hello") == 0));
    OK(t, nt_set_volume(t, any(t), FileFsLabelInformation, &back, 14));
    EVENTUALLY(t, (volume_of(t, label), strcmp(label, "plain") == 0));
}

/* ---- flushing -------------------------------------------------------------------------------- */

static void a_file_is_flushed(struct t *t)
{
    handle h = MAKE(t, "f");

    nt_puts(t, h, 0, "text");
    OK(t, nt_flush(t, h));
    TEXT(t, "text", host_gets(t, "f"));
}

/* Incumbent: the context is NULL then, and the service crashes (0.8). */
static void the_volume_is_flushed_and_nobody_dies(struct t *t)
{
    handle h = MAKE(t, "f");

    nt_puts(t, h, 0, "text");
    OK(t, nt_flush(t, 0));
    TEXT(t, "text", nt_gets(t, h, 0));
}

static void a_directory_is_flushed(struct t *t)
{
    host_mkdir(t, "d");
    handle h =
        OPEN(t, "d", .access = FILE_LIST_DIRECTORY | FILE_ADD_FILE, .options = FILE_DIRECTORY_FILE);
    OK(t, nt_flush(t, h));
}

static void the_root_is_flushed(struct t *t)
{
    handle h = OPEN(t, "\\", .access = FILE_LIST_DIRECTORY | FILE_ADD_FILE,
                    .options = FILE_DIRECTORY_FILE);
    OK(t, nt_flush(t, h));
}

/* ---- read-only ------------------------------------------------------------------------------- */

static void a_read_only_volume_says_so(struct t *t)
{
    char name[64];

    CHECK(t, attributes_of(t, name, sizeof(name)).flags & FILE_READ_ONLY_VOLUME);
}

static void a_read_only_volume_is_read(struct t *t)
{
    host_puts(t, "f", "text");
    TEXT(t, "text", nt_gets(t, OPEN(t, "f", .access = FILE_GENERIC_READ), 0));
    TEXT(t, "f", nt_names(t, "", NULL));
}

/* Incumbent: EROFS is STATUS_UNSUCCESSFUL (B.7). */
static void nothing_is_created_on_a_read_only_volume(struct t *t)
{
    EXPECT(t, STATUS_MEDIA_WRITE_PROTECTED, TRY(t, "f", .disposition = FILE_CREATE));
    TEXT(t, "", host_names(t, ""));
}

static void nothing_is_written_on_a_read_only_volume(struct t *t)
{
    host_puts(t, "f", "text");
    EXPECT(t, STATUS_MEDIA_WRITE_PROTECTED, TRY(t, "f", .access = FILE_GENERIC_WRITE));
    TEXT(t, "text", host_gets(t, "f"));
}

static void nothing_is_deleted_on_a_read_only_volume(struct t *t)
{
    host_puts(t, "f", "text");
    EXPECT(t, STATUS_MEDIA_WRITE_PROTECTED, nt_remove(t, "f"));
    CHECK(t, host_exists(t, "f"));
}

static void nothing_is_overwritten_on_a_read_only_volume(struct t *t)
{
    host_puts(t, "f", "text");
    CHECK(t, TRY(t, "f", .disposition = FILE_OVERWRITE_IF) != STATUS_SUCCESS);
    TEXT(t, "text", host_gets(t, "f"));
}

static const struct test_case cases[] = {
    CASE(the_space_is_the_hosts),
    CASE(size_and_full_size_agree),
    CASE(the_file_system_has_its_name),
    CASE(names_have_255_units),
    CASE(case_is_told_apart_and_kept),
    CASE(the_label_is_the_tag),
    CASE(the_serial_number_is_not_zero),
    CASE(the_label_can_be_set),
    CASE(a_file_is_flushed),
    CASE(the_volume_is_flushed_and_nobody_dies),
    CASE(a_directory_is_flushed),
    CASE(the_root_is_flushed),
    READONLY(a_read_only_volume_says_so),
    READONLY(a_read_only_volume_is_read),
    READONLY(nothing_is_created_on_a_read_only_volume),
    READONLY(nothing_is_written_on_a_read_only_volume),
    READONLY(nothing_is_deleted_on_a_read_only_volume),
    READONLY(nothing_is_overwritten_on_a_read_only_volume),
};
GROUP(volume, cases);
