// SPDX-License-Identifier: BSD-3-Clause
/*
 * mount.c - where a volume appears
 *
 * Theory of operation
 *
 *   Windows lets a drive letter be defined twice, and the newer definition hides the older, so a letter
 *   that is in use is refused here before WinFsp is asked. "Any letter" means the first free one from Z:
 *   down to D:, as WinFsp's own choice would be; it is made here because two shares that start at the same
 *   time may want the same one, and the loser then takes the next.
 *
 * Locks: none; a volume is mounted and unmounted by one thread.
 */
#include "service/winfsp/mount.h"

static bool is_drive(const WCHAR *s)
{
    return ((s[0] >= L'A' && s[0] <= L'Z') || (s[0] >= L'a' && s[0] <= L'z')) && s[1] == L':' &&
           s[2] == 0;
}

/* Does anything have this letter, in this session or for all? */
static bool is_taken(WCHAR letter)
{
    WCHAR name[3] = {letter, L':', 0}, target[MAX_PATH];

    /* A target too long for the buffer is one, too. */
    return QueryDosDeviceW(name, target, MAX_PATH) > 0 ||
           GetLastError() == ERROR_INSUFFICIENT_BUFFER;
}

static NTSTATUS mount_at(const struct winfsp_api *api, struct winfsp_file_system *fs, WCHAR *where)
{
    NTSTATUS status = api->set_mount_point(fs, where, NULL);

    switch (status) {
    case STATUS_OBJECT_NAME_EXISTS:
    case STATUS_OBJECT_NAME_COLLISION:
    case STATUS_DIRECTORY_NOT_EMPTY:
        return STATUS_OBJECT_NAME_COLLISION;
    default:
        return status;
    }
}

static NTSTATUS mount_at_first_free(const struct winfsp_api *api, struct winfsp_file_system *fs)
{
    NTSTATUS status = STATUS_OBJECT_NAME_COLLISION;

    for (WCHAR letter = L'Z'; letter >= L'D' && status == STATUS_OBJECT_NAME_COLLISION; letter--) {
        WCHAR where[3] = {letter, L':', 0};

        if (!is_taken(letter))
            status = mount_at(api, fs, where);
    }
    return status;
}

/**
 * svc_mount() - make a volume appear
 * @where: as the user wrote it (see struct svc_volume_options), NULL or "*" for any letter
 *
 * Return: STATUS_OBJECT_NAME_COLLISION when it is taken, or all letters are; what WinFsp says otherwise.
 */
NTSTATUS svc_mount(const struct winfsp_api *api, struct winfsp_file_system *fs, const WCHAR *where)
{
    const WCHAR *letter = where;

    if (!where || where[0] == 0 || wcscmp(where, L"*") == 0)
        return mount_at_first_free(api, fs);
    if (wcsncmp(where, L"\\\\.\\", 4) == 0 || wcsncmp(where, L"\\\\?\\", 4) == 0)
        letter += 4;
    if (is_drive(letter) && is_taken(letter[0]))
        return STATUS_OBJECT_NAME_COLLISION;
    return mount_at(api, fs, (WCHAR *)where);
}
