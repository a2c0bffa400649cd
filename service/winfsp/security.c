// SPDX-License-Identifier: BSD-3-Clause
/*
 * security.c - GetSecurity, SetSecurity
 *
 * Theory of operation
 *
 *   Descriptors are made from mode bits and understood as changes of them (sd.c), unless the administrator
 *   gave one for all files (the Security setting, SDDL): that one is then shown for every file and cannot be
 *   changed from inside. With Acl=stored a file's own descriptor is shown while it holds (acl.c); with Acl=off there are
 *   none, and Windows checks nothing.
 *
 *   Owner and group are changed on the host only if they are given as ids of the host (Samba's or
 *   Microsoft's NFS SIDs). Any other owner is accepted and not kept: Windows' accounts mean nothing there,
 *   and programs that copy descriptors along would fail for it.
 */
#include "service/winfsp/svc.h"

#include <string.h>

#include "lib/meta/ntsd.h"

_Static_assert(NTSD_MAX >= SVC_SD_SIZE, "room for either");

/* A file's own descriptor: the stored one, or the one of its mode. Return: bytes or -errno. */
static int own_descriptor(struct svc_volume *v, struct cli_node *n, const struct cli_attr *a,
                          uint8_t sd[NTSD_MAX])
{
    int stored = svc_acl_find(v, n, a, sd);

    if (stored)
        return stored;
    return (int)svc_sd_make(a->mode, (a->mode & SVC_IFMT) == SVC_IFDIR, sd);
}

/**
 * svc_security() - the descriptor of a file [up to 3 for a stored one, or none]
 * @a: as the file is
 * @size: room on entry, bytes on return, 0 without security. Return: STATUS_BUFFER_OVERFLOW with *size = need.
 */
NTSTATUS svc_security(struct svc_volume *v, struct cli_node *n, const struct cli_attr *a, void *sd,
                      SIZE_T *size)
{
    uint8_t own[NTSD_MAX];
    const void *from = v->security;
    SIZE_T room = *size;

    *size = v->security_size;
    if (!from && v->options.acl == SVC_ACL_NONE)
        return STATUS_SUCCESS;
    if (!from) {
        int len = own_descriptor(v, n, a, own);

        if (len < 0)
            return svc_status(len, SVC_ABOUT_HANDLE);
        *size = (SIZE_T)len;
        from = own;
    }
    if (!sd || room < *size)
        return STATUS_BUFFER_OVERFLOW;
    memcpy(sd, from, *size);
    return STATUS_SUCCESS;
}

static bool has_security(const struct svc_volume *v)
{
    return v->security || v->options.acl != SVC_ACL_NONE;
}

/** svc_cb_get_security() */
NTSTATUS WINAPI svc_cb_get_security(struct winfsp_file_system *fs, void *ctx, void *sd,
                                    SIZE_T *sd_size)
{
    struct svc_open *o = ctx;
    struct cli_attr a;
    int error = cli_getmode(o->v->client, o->node, &a);

    (void)fs;
    if (!has_security(o->v))
        return STATUS_INVALID_DEVICE_REQUEST; /* as FAT says */
    if (error)
        return svc_status(error, SVC_ABOUT_HANDLE);
    return svc_security(o->v, o->node, &a, sd, sd_size);
}

/* Permission bits after somebody edited the descriptor. Return: -LE_EINVAL for a malformed one. */
static int merged_mode(uint32_t mode, const void *sd, uint32_t *out)
{
    uint8_t made[SVC_SD_SIZE];
    uint32_t shown, wanted;

    svc_sd_make(mode, (mode & SVC_IFMT) == SVC_IFDIR, made);
    if (svc_sd_permissions(made, sizeof(made), &shown) < 0 ||
        svc_sd_permissions(sd, GetSecurityDescriptorLength((void *)sd), &wanted) < 0)
        return -LE_EINVAL;
    *out = svc_sd_merge(mode, shown, wanted);
    return 0;
}

/* Ids of the host that a descriptor names. Return: CLI_SET_UID and _GID, or -LE_EINVAL. */
static int owners_to_set(SECURITY_INFORMATION what, const void *sd, struct cli_attr *a)
{
    struct svc_sd_owner ids;
    int mask = 0;

    if (!(what & (OWNER_SECURITY_INFORMATION | GROUP_SECURITY_INFORMATION)))
        return 0;
    if (svc_sd_owners(sd, GetSecurityDescriptorLength((void *)sd), &ids) < 0)
        return -LE_EINVAL;
    if ((what & OWNER_SECURITY_INFORMATION) && ids.uid != UINT32_MAX) {
        a->uid = ids.uid;
        mask |= CLI_SET_UID;
    }
    if ((what & GROUP_SECURITY_INFORMATION) && ids.gid != UINT32_MAX) {
        a->gid = ids.gid;
        mask |= CLI_SET_GID;
    }
    return mask;
}

/**
 * svc_cb_set_security() - change what a descriptor changes [1, or 2]
 * @sd: self-relative, as WinFsp passes it
 */
NTSTATUS WINAPI svc_cb_set_security(struct winfsp_file_system *fs, void *ctx,
                                    SECURITY_INFORMATION what, void *sd)
{
    struct svc_open *o = ctx;
    struct svc_volume *v = svc_volume_of(fs);
    struct cli_attr before, a = {0};
    int mask, error;

    if (!has_security(v))
        return STATUS_INVALID_DEVICE_REQUEST;
    if (v->security)
        return STATUS_ACCESS_DENIED;
    if (!IsValidSecurityDescriptor(sd))
        return STATUS_INVALID_SECURITY_DESCR;
    error = cli_getattr(v->client, o->node, false, &before);
    if (error)
        return svc_status(error, SVC_ABOUT_HANDLE);
    mask = owners_to_set(what, sd, &a);
    if (mask >= 0 && v->acls && v->has_eas && svc_reparse_tag(before.mode) != SVC_TAG_SYMLINK)
        return svc_acl_set(o, &before, what, sd, GetSecurityDescriptorLength(sd), &a,
                           (uint32_t)mask);
    if (mask >= 0 && (what & DACL_SECURITY_INFORMATION) &&
        svc_reparse_tag(before.mode) != SVC_TAG_SYMLINK) {
        if (merged_mode(before.mode, sd, &a.mode) < 0)
            mask = -LE_EINVAL;
        else if (a.mode != (before.mode & 07777))
            mask |= CLI_SET_MODE;
    }
    if (mask < 0)
        return STATUS_INVALID_SECURITY_DESCR;
    return mask == 0 ? STATUS_SUCCESS
                     : svc_status(cli_setattr(v->client, o->node, (uint32_t)mask, &a, NULL),
                                  SVC_ABOUT_HANDLE);
}

/**
 * svc_mode_of_new() - the mode of a new file, changed by a descriptor that the program gave [none; up to 3 when stored]
 * @sd: what WinFsp computed for the new file, inherited entries included; it says nothing unless the program
 *      itself gave a descriptor, or the directory has a stored one
 * @mode: with type bits
 *
 * Return: true if the descriptor is to be stored (svc_acl_new()).
 */
bool svc_mode_of_new(struct svc_volume *v, struct cli_node *parent, const void *sd, uint32_t *mode)
{
    const struct winfsp_operation_context *op = v->api->operation_context();
    bool given = op && op->request->kind == WINFSP_KIND_CREATE &&
                 op->request->create.security_descriptor.size > 0;
    uint32_t merged;

    if (!sd || !has_security(v) || v->security || !IsValidSecurityDescriptor((void *)sd))
        return false;
    if (svc_acl_mode_of_new(v, parent, given, sd, mode))
        return true;
    if (given && merged_mode(*mode, sd, &merged) == 0)
        *mode = (*mode & SVC_IFMT) | merged;
    return false;
}

/* ---- access checks that WinFsp could not make ------------------------------------------------------- */

static bool check(void *sd, HANDLE token, UINT32 *granted)
{
    GENERIC_MAPPING mapping = {FILE_GENERIC_READ, FILE_GENERIC_WRITE, FILE_GENERIC_EXECUTE,
                               FILE_ALL_ACCESS};
    PRIVILEGE_SET privileges;
    DWORD privileges_size = sizeof(privileges), access = 0;
    BOOL allowed = FALSE;

    return AccessCheck(sd, token, *granted, &mapping, &privileges, &privileges_size, &access,
                       &allowed) &&
           allowed;
}

/**
 * svc_access_allowed() - may the caller of this operation, a create, have these rights?
 * @wanted: rights, already mapped
 */
bool svc_access_allowed(struct svc_volume *v, struct cli_node *n, const struct cli_attr *a,
                        UINT32 *wanted)
{
    const struct winfsp_operation_context *op = v->api->operation_context();
    uint8_t own[NTSD_MAX];
    HANDLE token;

    if (!op || op->request->kind != WINFSP_KIND_CREATE)
        return false;
    if (!(op->request->create.flags & WINFSP_CREATE_USER_MODE) || !has_security(v))
        return true;
    token = (HANDLE)(UINT_PTR)(op->request->create.access_token & UINT32_MAX);
    if (v->security)
        return check(v->security, token, wanted);
    return own_descriptor(v, n, a, own) > 0 && check(own, token, wanted);
}
