// SPDX-License-Identifier: BSD-3-Clause
/*
 * mount.c - mount points
 *
 * Theory of operation
 *
 *   WinFsp src/dll/mount.c. "*:" (or NULL) takes the first free letter from Z: down to D:. "X:" defines a DOS
 *   device. Windows would happily define a second one over a letter in use and shadow it; a file system
 *   that asks for that is reported, and refused. "\\.\X:" and "\\.\X:\dir" go through the Mount Manager, which
 *   refuses what is taken. Any other path is a directory that must not exist; it is made, and goes with
 *   the mount.
 *
 *   DOS devices are real ones (Wine has them), so that other programs in the prefix see the letter; they lead
 *   nowhere. Programs reach the volume through the doors, which open here.
 *
 * Ownership: the mount point string belongs to the volume.   Locks: none; one thread mounts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/wine/winfsp/standin.h"

static bool is_letter(WCHAR c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_drive(const WCHAR *at)
{
    return is_letter(at[0]) && at[1] == ':' && !at[2];
}

/* "\\.\X:" or "\\?\X:", maybe with a directory behind it */
static bool is_mount_manager(const WCHAR *at)
{
    return at[0] == '\\' && at[1] == '\\' && (at[2] == '.' || at[2] == '?') && at[3] == '\\' &&
           is_letter(at[4]) && at[5] == ':' && (!at[6] || at[6] == '\\');
}

static bool letter_taken(WCHAR letter)
{
    WCHAR device[] = {letter, ':', 0}, target[MAX_PATH];
    return QueryDosDeviceW(device, target, MAX_PATH) != 0;
}

static NTSTATUS define_letter(struct volume *v, WCHAR letter)
{
    WCHAR device[] = {letter, ':', 0};
    return DefineDosDeviceW(DDD_RAW_TARGET_PATH, device, v->fs.volume_name)
               ? STATUS_SUCCESS
               : STATUS_OBJECT_NAME_COLLISION;
}

static NTSTATUS first_free(struct volume *v, WCHAR *mount_point)
{
    DWORD drives = GetLogicalDrives();
    if (!drives)
        return STATUS_UNSUCCESSFUL;
    for (WCHAR letter = 'Z'; letter >= 'D'; letter--)
        if (!(drives >> (letter - 'A') & 1) && !define_letter(v, letter)) {
            mount_point[0] = letter;
            return STATUS_SUCCESS;
        }
    return STATUS_NO_SUCH_DEVICE;
}

static NTSTATUS make_directory(WCHAR *path)
{
    if (CreateDirectoryW(path, NULL))
        return STATUS_SUCCESS;
    switch (GetLastError()) {
    case ERROR_ALREADY_EXISTS:
    case ERROR_FILE_EXISTS:
        return STATUS_OBJECT_NAME_COLLISION;
    case ERROR_PATH_NOT_FOUND:
        return STATUS_OBJECT_PATH_NOT_FOUND;
    case ERROR_ACCESS_DENIED:
        return STATUS_ACCESS_DENIED;
    default:
        return STATUS_OBJECT_NAME_INVALID;
    }
}

static NTSTATUS set(struct volume *v, WCHAR *at)
{
    static const WCHAR any[] = {'*', ':', 0};
    if (name_equal(name_of(at), name_of(any), false))
        return first_free(v, at);
    if (is_mount_manager(at)) {
        if (at[6])
            return make_directory(at + 4);
        return letter_taken(at[4]) ? STATUS_OBJECT_NAME_COLLISION : define_letter(v, at[4]);
    }
    if (!is_drive(at))
        return make_directory(at);
    if (letter_taken(at[0])) {
        violation(v, "mounted on %c:, which is in use: WinFsp would shadow it", (char)at[0]);
        return STATUS_OBJECT_NAME_COLLISION;
    }
    return define_letter(v, at[0]);
}

static void invent_name(struct volume *v)
{
    char text[80];
    snprintf(text, sizeof text, "\\Device\\Volume{%08x-0000-0000-0000-%012llx}", getpid(),
             (unsigned long long)(uintptr_t)v & 0xFFFFFFFFFFFFull);
    v->fs.volume_name[name_from_utf8(text, v->fs.volume_name, 200)] = 0;
}

NTSTATUS WINAPI FspFileSystemSetMountPointEx(struct winfsp_file_system *fs, WCHAR *mount_point,
                                             void *security)
{
    static const WCHAR any[] = {'*', ':', 0};
    struct volume *v = volume_of(fs);
    (void)security;
    if (fs->mount_point)
        return STATUS_INVALID_PARAMETER;
    struct name given = name_of(mount_point ? mount_point : any);
    WCHAR *own = malloc((given.len + 1) * sizeof(WCHAR));
    memcpy(own, given.at, given.len * sizeof(WCHAR));
    own[given.len] = 0;
    if (!fs->volume_name[0])
        invent_name(v);
    NTSTATUS status = set(v, own);
    if (!NT_SUCCESS(status)) {
        free(own);
        return status;
    }
    fs->mount_point = own;
    v->mounted = true;
    door_open(v);
    fuse_open(v);
    return STATUS_SUCCESS;
}

NTSTATUS WINAPI FspFileSystemSetMountPoint(struct winfsp_file_system *fs, WCHAR *mount_point)
{
    return FspFileSystemSetMountPointEx(fs, mount_point, NULL);
}

VOID WINAPI FspFileSystemRemoveMountPoint(struct winfsp_file_system *fs)
{
    struct volume *v = volume_of(fs);
    WCHAR *at = fs->mount_point;
    if (!at)
        return;
    fuse_shut(v);
    door_shut(v);
    bool manager = is_mount_manager(at);
    if (is_drive(at) || (manager && !at[6])) {
        WCHAR device[] = {at[manager ? 4 : 0], ':', 0};
        DefineDosDeviceW(DDD_RAW_TARGET_PATH | DDD_REMOVE_DEFINITION | DDD_EXACT_MATCH_ON_REMOVE,
                         device, fs->volume_name);
    } else {
        RemoveDirectoryW(manager ? at + 4 : at);
    }
    free(at);
    fs->mount_point = NULL;
    v->mounted = false;
}

void door_suffix(const struct volume *v, char *buf, size_t cap)
{
    const WCHAR *at = v->fs.mount_point;
    if (is_mount_manager(at))
        at += 4;
    if (is_drive(at)) {
        snprintf(buf, cap, "%c", at[0] & ~0x20);
        return;
    }
    struct name parent, last;
    name_split(name_of(at), &parent, &last);
    name_to_utf8(last, buf, cap);
}
