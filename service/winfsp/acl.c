// SPDX-License-Identifier: BSD-3-Clause
/*
 * acl.c - stored security descriptors: found, changed, given to new files
 *
 * Theory of operation
 *
 *   With Acl=stored a descriptor that was set is kept in user.NTACL (AclName: in security.NTACL), as Samba keeps it
 *   (lib/meta/ntacl.c). It is bound to mode, owner and POSIX ACL of the file: when the host changes one of these, it does
 *   not hold any more, and the descriptor that the mode says is shown again (security.c). So is it for a value that is
 *   corrupt, too large, or bound to what only Samba can compute; the log tells of the first. A host that does not
 *   let us see its POSIX ACLs has none as far as we know; what Samba stored beside one does not hold then.
 *
 *   Our daemon tells with the attributes whether there is a value at all, so files without one cost nothing. What was
 *   found is kept in a table of fixed size and holds while the file's change time stays as it was: looking before
 *   each open costs no request.
 *
 *   Whoever changes mode or owner through this volume (read-only files, say) does not mean to drop the descriptor:
 *   it is bound anew (svc_acl_keep()).
 *
 *   What is stored maps to mode bits, for the host's own users: see svc_sd_stored_permissions(). A new file gets a
 *   descriptor if the program gave one or if its directory has one, namely what WinFsp inherited for it. Nobody owns
 *   what mode bits describe, and whoever owns a file may change its descriptor; so the first one that is stored gets
 *   the host's owner and group, as Samba names them, unless others were set.
 *
 * Ownership: the table belongs to the volume.   Locks: acls_lock for the table; never across a round trip.
 */
#include "service/winfsp/svc.h"

#include <stdlib.h>
#include <string.h>

#include "lib/meta/ntacl.h"

#define ACL_ACCESS  "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

enum { SLOTS = 1024, POSIX_ACL_MAX = 1024 };
enum { XATTR_CREATE = 1, XATTR_REPLACE = 2 }; /* setxattr(2) */

/* What binds a slot to a state of a file. */
struct key {
    uint64_t ino;
    int64_t btime, ctime; /* seconds and nanoseconds apart: no gap, it is compared whole */
    uint32_t btime_nsec, ctime_nsec, mode, uid, gid, zero;
};
_Static_assert(sizeof(struct key) == 48, "without a gap");

struct svc_acl_slot {
    bool used;
    struct key key;
    uint8_t *sd; /* NULL: none is stored that holds */
    uint32_t size;
};

/** svc_acl_init() - Return: 0 or -LE_ENOMEM */
int svc_acl_init(struct svc_volume *v)
{
    if (v->options.acl != SVC_ACL_STORED)
        return 0;
    v->acls = calloc(SLOTS, sizeof(*v->acls));
    return v->acls ? 0 : -LE_ENOMEM;
}

/** svc_acl_free() - after the dispatcher's threads are gone */
void svc_acl_free(struct svc_volume *v)
{
    for (unsigned i = 0; v->acls && i < SLOTS; i++)
        free(v->acls[i].sd);
    free(v->acls);
    v->acls = NULL;
}

static bool is_stored(const struct svc_volume *v, uint32_t mode)
{
    return v->acls && v->has_eas && !v->security &&
           ((mode & SVC_IFMT) == SVC_IFREG || (mode & SVC_IFMT) == SVC_IFDIR);
}

static const char *name_of(const struct svc_volume *v)
{
    return v->options.acl_in_security ? NTACL_SECURITY : NTACL_USER;
}

/* ---- the table -------------------------------------------------------------------------------------- */

static struct key key_of(const struct cli_attr *a)
{
    return (struct key){.ino = a->ino,
                        .btime = a->btime.sec,
                        .btime_nsec = a->btime.nsec,
                        .ctime = a->ctime.sec,
                        .ctime_nsec = a->ctime.nsec,
                        .mode = a->mode,
                        .uid = a->uid,
                        .gid = a->gid};
}

static struct svc_acl_slot *slot_of(struct svc_volume *v, const struct key *k)
{
    return &v->acls[(k->ino * 0x9E3779B97F4A7C15u) >> 54];
}

/* Return: false when nothing is known. */
static bool recall(struct svc_volume *v, const struct key *k, uint8_t sd[NTSD_MAX], uint32_t *size)
{
    const struct svc_acl_slot *s = slot_of(v, k);
    bool known;

    AcquireSRWLockShared(&v->acls_lock);
    known = s->used && memcmp(&s->key, k, sizeof(*k)) == 0;
    if (known) {
        *size = s->size;
        if (s->sd)
            memcpy(sd, s->sd, s->size);
    }
    ReleaseSRWLockShared(&v->acls_lock);
    return known;
}

static void remember(struct svc_volume *v, const struct key *k, const uint8_t *sd, uint32_t size)
{
    struct svc_acl_slot *s = slot_of(v, k);
    uint8_t *copy = size ? malloc(size) : NULL, *before;

    if (size && !copy)
        return;
    if (size)
        memcpy(copy, sd, size);
    AcquireSRWLockExclusive(&v->acls_lock);
    before = s->sd;
    *s = (struct svc_acl_slot){.used = true, .key = *k, .sd = copy, .size = size};
    ReleaseSRWLockExclusive(&v->acls_lock);
    free(before);
}

/* ---- finding ---------------------------------------------------------------------------------------- */

static bool means_none(int error)
{
    return error == -LE_ENODATA || error == -LE_EOPNOTSUPP || error == -LE_ENOSYS ||
           error == -LE_EACCES || error == -LE_EPERM;
}

/* A POSIX ACL of the host. Return: 0 with *len 0 if there is none, or -errno. */
static int posix_acl(struct svc_volume *v, struct cli_node *n, const char *name,
                     uint8_t value[POSIX_ACL_MAX], size_t *len)
{
    int r = cli_getxattr(v->client, n, name, value, POSIX_ACL_MAX);

    *len = r > 0 ? (size_t)r : 0;
    return r < 0 && !means_none(r) ? r : 0;
}

/* What a descriptor of this file is bound to [1; of a directory 2]. */
static int host_hash(struct svc_volume *v, struct cli_node *n, const struct cli_attr *a,
                     uint8_t hash[SHA256_SIZE])
{
    uint8_t access[POSIX_ACL_MAX], fallback[POSIX_ACL_MAX];
    struct ntacl_host h = {.mode = a->mode, .uid = a->uid, .gid = a->gid};
    int error = posix_acl(v, n, ACL_ACCESS, access, &h.access_len);

    if (!error && (a->mode & SVC_IFMT) == SVC_IFDIR)
        error = posix_acl(v, n, ACL_DEFAULT, fallback, &h.fallback_len);
    if (error)
        return error;
    h.access = h.access_len ? access : NULL;
    h.fallback = h.fallback_len ? fallback : NULL;
    return ntacl_host_hash(&h, hash) ? 0 : -LE_EINVAL;
}

static void say_unreadable(struct svc_volume *v, uint64_t ino)
{
    if (InterlockedExchange(&v->said_unreadable, 1) == 0)
        svc_volume_log(v, 1,
                       L"the stored ACL (%hs) of the host's file with inode %llu is not one that "
                       L"can be used: permissions are shown as its mode says, here and for others "
                       L"like it",
                       name_of(v), (unsigned long long)ino);
}

/*
 * What is stored and holds [up to 3].
 *
 * Return: bytes, 0: nothing, or -errno when that is not sure.
 */
static int ask(struct svc_volume *v, struct cli_node *n, const struct cli_attr *a,
               uint8_t sd[NTSD_MAX])
{
    uint8_t value[NTACL_MAX], hash[SHA256_SIZE];
    struct ntacl stored;
    int len = cli_getxattr(v->client, n, name_of(v), value, sizeof(value)), error;

    if (len < 0 && len != -LE_ERANGE)
        return means_none(len) ? 0 : len;
    if (len < 0 || !ntacl_decode(value, (size_t)len, &stored) || stored.bond == NTACL_UNKNOWN) {
        say_unreadable(v, a->ino);
        return 0;
    }
    if (stored.bond == NTACL_BOUND) {
        error = host_hash(v, n, a, hash);
        if (error)
            return error == -LE_EINVAL || error == -LE_ERANGE ? 0 : error;
        if (memcmp(hash, stored.hash, sizeof(hash)) != 0)
            return 0;
    }
    ntsd_put(&stored.sd, 0, sd);
    return (int)ntsd_size(&stored.sd);
}

/**
 * svc_acl_find() - the stored descriptor of a file, if it holds [up to 3, or none]
 * @a:  as the file is
 * @sd: NTSD_MAX bytes
 *
 * Return: bytes, 0: none; -errno when the host did not say.
 */
int svc_acl_find(struct svc_volume *v, struct cli_node *n, const struct cli_attr *a, uint8_t *sd)
{
    struct key k = key_of(a);
    uint32_t size;
    int r;

    if (!is_stored(v, a->mode) || (a->eas_known && !a->has_acl))
        return 0;
    if (recall(v, &k, sd, &size))
        return (int)size;
    r = ask(v, n, a, sd);
    if (r >= 0)
        remember(v, &k, sd, (uint32_t)r);
    return r;
}

/* ---- storing ---------------------------------------------------------------------------------------- */

static bool cannot_store(int error)
{
    return error == -LE_EOPNOTSUPP || error == -LE_ENOSYS || error == -LE_EPERM ||
           error == -LE_EACCES || error == -LE_ENOSPC || error == -LE_E2BIG || error == -LE_ERANGE;
}

/* @a: as the file is now. Return: 0 or -errno. */
static int store(struct svc_open *o, const struct cli_attr *a, const struct ntsd *sd)
{
    uint8_t value[NTACL_MAX], hash[SHA256_SIZE];
    int error = host_hash(o->v, o->node, a, hash);

    if (error)
        return error;
    return cli_setxattr(o->v->client, o->node, name_of(o->v), value,
                        (uint32_t)ntacl_encode(sd, hash, svc_now(), value), 0);
}

static void say_not_stored(struct svc_volume *v, const WCHAR *path, int error)
{
    if (InterlockedCompareExchange(&v->said_no_acl, error, 0) == 0)
        svc_volume_log(v, 1,
                       L"%ls: the host does not store its ACL in %hs (error %d); of such changes "
                       L"only what mode bits can say is kept, here and elsewhere",
                       path, name_of(v), -error);
}

static NTSTATUS store_or_tell(struct svc_open *o, const struct cli_attr *a, const struct ntsd *sd)
{
    struct svc_volume *v = o->v;
    int error = store(o, a, sd);

    if (!cannot_store(error))
        return svc_status(error, SVC_ABOUT_HANDLE);
    say_not_stored(v, o->path, error);
    return STATUS_SUCCESS;
}

/* rwxrwxrwx of a descriptor in parts. Return: 0 or -LE_EINVAL. */
static int permissions_of(const struct ntsd *d, uint32_t *bits)
{
    uint8_t flat[NTSD_MAX];

    ntsd_put(d, 0, flat);
    return svc_sd_stored_permissions(flat, (uint32_t)ntsd_size(d), bits);
}

/* The mode after @before became @after. Return: 0 or -LE_EINVAL. */
static int mode_after(uint32_t mode, const struct ntsd *before, const struct ntsd *after,
                      uint32_t *out)
{
    uint32_t shown, wanted;

    if (permissions_of(before, &shown) < 0 || permissions_of(after, &wanted) < 0)
        return -LE_EINVAL;
    *out = svc_sd_merge(mode, shown, wanted);
    return 0;
}

static bool same(const struct ntsd *a, const struct ntsd *b)
{
    uint8_t x[NTSD_MAX], y[NTSD_MAX];
    size_t size = ntsd_size(a);

    if (ntsd_size(b) != size)
        return false;
    ntsd_put(a, 0, x);
    ntsd_put(b, 0, y);
    return memcmp(x, y, size) == 0;
}

/* Instead of Everyone, whom mode bits show and whom everybody would be. */
static void own(struct ntsd *d, const struct ntsd *shown, const struct cli_attr *a,
                uint8_t sids[2][SVC_SD_HOST_SID])
{
    svc_sd_host_owners(a->uid, a->gid, sids[0], sids[1]);
    if (d->owner.bytes == shown->owner.bytes)
        d->owner = (struct ntsd_part){sids[0], SVC_SD_HOST_SID};
    if (d->group.bytes == shown->group.bytes)
        d->group = (struct ntsd_part){sids[1], SVC_SD_HOST_SID};
}

/**
 * svc_acl_set() - change parts of a file's descriptor, and the mode with it [up to 7]
 * @before: as the file is
 * @what, @sd: valid, self-relative, of @size bytes
 * @a, @mask: what else is to be changed on the host (owner and group)
 */
NTSTATUS svc_acl_set(struct svc_open *o, const struct cli_attr *before, uint32_t what,
                     const void *sd, uint32_t size, struct cli_attr *a, uint32_t mask)
{
    uint8_t base[NTSD_MAX], sids[2][SVC_SD_HOST_SID];
    struct cli_attr after = *before;
    struct ntsd shown, changed, with;
    int error, len = svc_acl_find(o->v, o->node, before, base);
    bool stored = len > 0;

    if (len < 0)
        return svc_status(len, SVC_ABOUT_HANDLE);
    if (!stored)
        len = (int)svc_sd_make(before->mode, (before->mode & SVC_IFMT) == SVC_IFDIR, base);
    if (!ntsd_parse(base, (size_t)len, 0, &shown) || !ntsd_parse(sd, size, 0, &with))
        return STATUS_INVALID_SECURITY_DESCR;
    changed = shown;
    ntsd_change(&changed, &with, what);
    if (ntsd_size(&changed) > NTSD_MAX - 2 * SVC_SD_HOST_SID)
        return STATUS_INVALID_SECURITY_DESCR;
    if (mode_after(before->mode, &shown, &changed, &a->mode) < 0)
        return STATUS_INVALID_SECURITY_DESCR;
    if (a->mode != (before->mode & 07777))
        mask |= CLI_SET_MODE;
    if (!mask && same(&shown, &changed))
        return STATUS_SUCCESS;
    error = mask ? cli_setattr(o->v->client, o->node, mask, a, &after) : 0;
    if (error)
        return svc_status(error, SVC_ABOUT_HANDLE);
    if (!stored)
        own(&changed, &shown, &after, sids);
    return store_or_tell(o, &after, &changed);
}

/**
 * svc_acl_keep() - bind a descriptor anew after we changed mode or owner [up to 4, none if there was none]
 * @sd, @size: svc_acl_find() before the change; nothing for 0 or less
 */
NTSTATUS svc_acl_keep(struct svc_open *o, const uint8_t *sd, int size)
{
    struct cli_attr now_is;
    struct ntsd d;
    int error;

    if (size <= 0 || !ntsd_parse(sd, (size_t)size, 0, &d))
        return STATUS_SUCCESS;
    error = cli_getattr(o->v->client, o->node, true, &now_is);
    return error ? svc_status(error, SVC_ABOUT_HANDLE) : store_or_tell(o, &now_is, &d);
}

/**
 * svc_acl_try() - does the host let us store descriptors? Else say so [2, none unless Acl=stored, AclName=security]
 *
 * The right to security.* is the daemon's, and all or nothing. To both create and replace a value changes nothing, and is
 * refused with -ENODATA by who might have done one of them.
 */
void svc_acl_try(struct svc_volume *v, struct cli_node *root)
{
    uint8_t value[NTACL_MAX];
    int r;

    value[0] = 0;
    if (!v->acls || !v->has_eas || v->security || !v->options.acl_in_security)
        return;
    r = cli_getxattr(v->client, root, NTACL_SECURITY, value, sizeof(value));
    if (r == -LE_ENODATA)
        r = cli_setxattr(v->client, root, NTACL_SECURITY, value, 1, XATTR_CREATE | XATTR_REPLACE);
    if (r == -LE_EPERM || r == -LE_EACCES || r == -LE_EOPNOTSUPP)
        say_not_stored(v, L"\\", r);
}

/* ---- new files -------------------------------------------------------------------------------------- */

/* Is a new file to get the descriptor that WinFsp computed for it? @given: by the program */
static bool is_for_new(struct svc_volume *v, struct cli_node *parent, bool given)
{
    uint8_t sd[NTSD_MAX];
    struct cli_attr a;

    if (!v->acls || !v->has_eas || v->security)
        return false;
    return given ||
           (parent && svc_getmode(v, parent, &a) == 0 && svc_acl_find(v, parent, &a, sd) > 0);
}

/**
 * svc_acl_mode_of_new() - the mode of a new file in a volume with stored descriptors [up to 3, usually none]
 * @given: the program gave a descriptor, and @sd is what came of it; else @sd is inherited
 *
 * Return: true with *mode changed if svc_acl_new() is to be called for it.
 */
bool svc_acl_mode_of_new(struct svc_volume *v, struct cli_node *parent, bool given, const void *sd,
                         uint32_t *mode)
{
    uint8_t made[SVC_SD_SIZE];
    struct ntsd shown, with;
    uint32_t changed;

    if (!sd || !is_for_new(v, parent, given) ||
        !ntsd_parse(sd, GetSecurityDescriptorLength((void *)sd), 0, &with))
        return false;
    svc_sd_make(*mode, (*mode & SVC_IFMT) == SVC_IFDIR, made);
    if (!ntsd_parse(made, sizeof(made), 0, &shown) ||
        mode_after(*mode, &shown, &with, &changed) < 0)
        return false;
    *mode = (*mode & SVC_IFMT) | changed;
    return true;
}

/** svc_acl_new() - store the descriptor of a file that was made just now [2, of a directory 3] */
NTSTATUS svc_acl_new(struct svc_open *o, const void *sd)
{
    struct cli_attr a;
    struct ntsd d;
    int error;

    if (!ntsd_parse(sd, GetSecurityDescriptorLength((void *)sd), 0, &d))
        return STATUS_SUCCESS;
    error = svc_getattr(o->v, o->node, &a);
    return error ? svc_status(error, SVC_ABOUT_HANDLE) : store_or_tell(o, &a, &d);
}
