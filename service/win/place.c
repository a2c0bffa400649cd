// SPDX-License-Identifier: BSD-3-Clause
/*
 * place.c - where a share goes
 *
 * Theory of operation
 *
 *   -t (or Tag) selects one share: the first device with that tag. A mount point that is given for the whole
 *   process, by -m or by the plain registry value, can hold one share only: the first that has no place of
 *   its own in Shares\<tag>. Others are mounted only if they have one. Without either, every share is
 *   mounted, and those without a place of their own get letters from Z: down, in the order of the devices.
 *
 *   A letter is chosen before it is used, under the lock, so that shares that start together do not fight
 *   for one; letters that Shares gives to anyone are left alone. If one that was chosen turns out to be
 *   taken, the next is tried. GetLogicalDrives() may say 0 early in a boot; then the mount finds out.
 *
 *   What a share was given it keeps until its device goes, or its settings change.
 *
 * Locks: svc_shares.lock for all that is shared among shares.
 */
#include "service/win/shares_int.h"

#include "service/win/shares_key.h"
#include "service/win/text.h"

#define LOCK_MS 2000u /* for a change that is under way; without it a share would not wait at all */

static void explain(struct share *s, const wchar_t *why)
{
    svc_format(s->status.message, ARRAYSIZE(s->status.message), L"%ls", why);
}

/* The first device that claims something keeps it. Under the lock. */
static bool claim(wchar_t *owner, size_t units, const struct share *s)
{
    if (owner[0] == 0)
        svc_format(owner, units, L"%ls", s->status.device);
    return wcscmp(owner, s->status.device) == 0;
}

static uint32_t bit_of(wchar_t letter)
{
    return letter ? 1u << (letter - L'A') : 0;
}

static void set_letter(struct share *s, wchar_t letter)
{
    s->all->letters_taken &= ~bit_of(s->letter);
    s->letter = letter;
    s->all->letters_taken |= bit_of(letter);
}

/* Under the lock. A letter that was chosen before stays, unless a setting has given it away meanwhile. */
static void choose_letter(struct share *s)
{
    if (!s->letter_chosen || (bit_of(s->letter) & svc_shares_letters()))
        set_letter(s, 0);
    if (!s->letter)
        set_letter(
            s, svc_free_letter(GetLogicalDrives() | s->all->letters_taken | svc_shares_letters()));
    if (s->letter)
        svc_format(s->settings.mount_point, ARRAYSIZE(s->settings.mount_point), L"%lc:", s->letter);
    else
        svc_format(s->settings.mount_point, ARRAYSIZE(s->settings.mount_point), L"*");
}

/* Under the lock. Return: NULL if the share is to be served, else why not. */
static const wchar_t *place_locked(struct share *s, bool own_mount_point)
{
    bool everywhere = !svc_has(&s->settings, SVC_MOUNT_POINT) ||
                      svc_mount_kind(s->settings.mount_point) == SVC_MOUNT_ANY;

    s->is_selected = false;
    if (svc_has(&s->settings, SVC_TAG)) {
        if (wcscmp(s->settings.tag, s->status.tag) != 0)
            return L"another tag is selected";
        if (!claim(s->all->tag_owner, ARRAYSIZE(s->all->tag_owner), s))
            return L"another device has the same tag, and it is the selected one";
        s->is_selected = true;
    } else if (!own_mount_point && !everywhere) {
        if (!claim(s->all->process_mount_owner, ARRAYSIZE(s->all->process_mount_owner), s))
            return L"the mount point is for one share; give this one its own, under Shares";
        s->is_selected = true;
    }
    if (everywhere)
        choose_letter(s);
    else
        set_letter(s, svc_mount_letter(s->settings.mount_point));
    s->letter_chosen = everywhere;
    return NULL;
}

bool share_place_clear(const struct share *s)
{
    const wchar_t *path = svc_mount_path(s->settings.mount_point);
    HANDLE target;
    DWORD attributes;

    if (svc_mount_kind(s->settings.mount_point) != SVC_MOUNT_DIRECTORY)
        return false;
    attributes = GetFileAttributesW(path);
    if (attributes == INVALID_FILE_ATTRIBUTES || !(attributes & FILE_ATTRIBUTE_DIRECTORY))
        return false;
    if (attributes & FILE_ATTRIBUTE_REPARSE_POINT) {
        target = CreateFileW(path, 0, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                             OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, NULL);
        if (target != INVALID_HANDLE_VALUE) {
            CloseHandle(target);
            return false; /* somebody's volume is there */
        }
    }
    return RemoveDirectoryW(path); /* never of one with anything in it */
}

static void give_back(wchar_t *owner, const struct share *s)
{
    if (wcscmp(owner, s->status.device) == 0)
        owner[0] = 0;
}

/* What counts for the share now, and what its own key says. No change is under way meanwhile. */
static void read_settings(const struct share *s, struct svc_settings *out, struct svc_settings *own)
{
    struct svc_shares_lock lock;

    svc_shares_lock(&lock, LOCK_MS);
    svc_config_share(s->all->env.config, s->status.tag, out, own);
    svc_shares_unlock(&lock);
}

bool share_place(struct share *s)
{
    const wchar_t *why_not;
    struct svc_settings own;
    bool own_mount_point;

    read_settings(s, &s->settings, &own);
    s->wanted = s->settings;
    s->status.settings = svc_settings_mark(&own);
    own_mount_point = svc_config_own_place(s->all->env.config, &own);
    AcquireSRWLockExclusive(&s->all->lock);
    give_back(s->all->tag_owner, s);
    give_back(s->all->process_mount_owner, s);
    why_not = place_locked(s, own_mount_point);
    ReleaseSRWLockExclusive(&s->all->lock);
    if (why_not)
        explain(s, why_not);
    return why_not == NULL;
}

/* Mounted where @now says, though that was not said before? Then it belongs there from now on. */
static bool is_there_already(struct share *s, const struct svc_settings *now)
{
    struct svc_settings moved = s->wanted;

    if (!svc_has(now, SVC_MOUNT_POINT) || wcscmp(now->mount_point, s->status.mount_point) != 0)
        return false;
    moved.given |= 1u << SVC_MOUNT_POINT;
    wmemcpy(moved.mount_point, now->mount_point, ARRAYSIZE(moved.mount_point));
    return svc_settings_equal(&moved, now);
}

bool share_place_still_good(struct share *s)
{
    struct svc_settings now, own;
    bool good;

    read_settings(s, &now, &own);
    AcquireSRWLockExclusive(&s->all->lock);
    good = svc_settings_equal(&s->wanted, &now);
    if (good && s->letter_chosen)
        good = !(bit_of(s->letter) & svc_shares_letters());
    if (!good && is_there_already(s, &now)) {
        give_back(s->all->process_mount_owner, s);
        s->letter_chosen = false;
        s->wanted = now;
        good = true;
    }
    ReleaseSRWLockExclusive(&s->all->lock);
    if (good)
        s->status.settings = svc_settings_mark(&own);
    return good;
}

bool share_place_taken(struct share *s)
{
    wchar_t next = 0;

    AcquireSRWLockExclusive(&s->all->lock);
    if (s->letter_chosen && s->letter) {
        /* Letters from this one up were taken already: go on below. */
        next = svc_free_letter(~(bit_of(s->letter) - 1) | s->all->letters_taken |
                               svc_shares_letters() | GetLogicalDrives());
        set_letter(s, next);
    }
    if (next)
        svc_format(s->settings.mount_point, ARRAYSIZE(s->settings.mount_point), L"%lc:", next);
    ReleaseSRWLockExclusive(&s->all->lock);
    return next != 0;
}

void share_place_release(struct share *s)
{
    AcquireSRWLockExclusive(&s->all->lock);
    set_letter(s, 0);
    give_back(s->all->tag_owner, s);
    give_back(s->all->process_mount_owner, s);
    ReleaseSRWLockExclusive(&s->all->lock);
}
