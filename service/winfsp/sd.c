// SPDX-License-Identifier: BSD-3-Clause
/*
 * sd.c - security descriptors from permission bits and back
 *
 * Theory of operation
 *
 *   Everyone owns everything: what may really be done is decided on the host, where the daemon acts for the
 *   whole guest. So a file shows one entry, for Everyone, with what the owner's bits allow; r carries the
 *   right to execute, because files that Windows writes have no x bit and programs are to start. Reading
 *   attributes, changing them, deleting (the directory decides) and changing permissions are always
 *   allowed, or a read-only file could never become writable again. Directories pass their entry on, so
 *   that what Windows computes for new files is what they then show.
 *
 *   The way back works on differences. svc_sd_permissions() computes rwx for owner, group and others from
 *   any descriptor; the caller does so for the descriptor that was shown and for the new one, and only
 *   bits that differ between the two are changed in the mode (svc_sd_merge()). An edit that does not concern
 *   Everyone, or writes back what was read, changes nothing.
 *
 * A descriptor is a byte string in self-relative form (MS-DTYP 2.4.6), which is what WinFsp passes. Every
 * offset and length in it is checked.
 *
 * Ownership, locks: none. Portable: no call into any system.
 */
#include "service/winfsp/sd.h"

#include <string.h>

#include "service/client/linux_errno.h"

enum {
    HEADER = 20, /* of a descriptor */
    ACL_HEADER = 8,
    ACE_HEADER = 8, /* type, flags, size, mask */
    SID_EVERYONE_SIZE = 12,

    CONTROL_DACL_PRESENT = 0x0004,
    CONTROL_SELF_RELATIVE = 0x8000,

    ACE_ALLOWED = 0,
    ACE_DENIED = 1,
    ACE_OBJECT_INHERIT = 1,
    ACE_CONTAINER_INHERIT = 2,
    ACE_INHERIT_ONLY = 8
};

/* MS-DTYP 2.4.3; the low bits as for files (MS-SMB2 2.2.13.1.1) */
#define FILE_READ_DATA_BIT        0x00000001u
#define FILE_WRITE_DATA_BIT       0x00000002u
#define FILE_APPEND_DATA_BIT      0x00000004u
#define FILE_READ_EA_BIT          0x00000008u
#define FILE_WRITE_EA_BIT         0x00000010u
#define FILE_EXECUTE_BIT          0x00000020u
#define FILE_DELETE_CHILD_BIT     0x00000040u
#define FILE_READ_ATTRIBUTES_BIT  0x00000080u
#define FILE_WRITE_ATTRIBUTES_BIT 0x00000100u
#define STANDARD_RIGHTS           0x001F0000u
#define GENERIC_ALL_BIT           0x10000000u
#define GENERIC_EXECUTE_BIT       0x20000000u
#define GENERIC_WRITE_BIT         0x40000000u
#define GENERIC_READ_BIT          0x80000000u

static const uint8_t sid_everyone[SID_EVERYONE_SIZE] = {1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0};

static void put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static void put32(uint8_t *p, uint32_t v)
{
    put16(p, v);
    put16(p + 2, v >> 16);
}

static uint32_t get16(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8;
}

static uint32_t get32(const uint8_t *p)
{
    return get16(p) | get16(p + 2) << 16;
}

/* FILE_DELETE_CHILD for files, too: without it nobody could open one for FILE_ALL_ACCESS. */
static uint32_t rights_of_mode(uint32_t mode)
{
    uint32_t rights =
        STANDARD_RIGHTS | FILE_READ_ATTRIBUTES_BIT | FILE_WRITE_ATTRIBUTES_BIT | FILE_READ_EA_BIT;

    if (mode & 0400)
        rights |= FILE_READ_DATA_BIT | FILE_EXECUTE_BIT;
    if (mode & 0200)
        rights |=
            FILE_WRITE_DATA_BIT | FILE_APPEND_DATA_BIT | FILE_WRITE_EA_BIT | FILE_DELETE_CHILD_BIT;
    if (mode & 0100)
        rights |= FILE_EXECUTE_BIT;
    return rights;
}

/**
 * svc_sd_make() - the descriptor that a mode shows
 *
 * Return: SVC_SD_SIZE.
 */
uint32_t svc_sd_make(uint32_t mode, bool directory, uint8_t out[SVC_SD_SIZE])
{
    uint8_t *owner = out + HEADER, *group = owner + SID_EVERYONE_SIZE;
    uint8_t *acl = group + SID_EVERYONE_SIZE, *ace = acl + ACL_HEADER;

    memset(out, 0, SVC_SD_SIZE);
    out[0] = 1; /* revision */
    put16(out + 2, CONTROL_SELF_RELATIVE | CONTROL_DACL_PRESENT);
    put32(out + 4, HEADER);
    put32(out + 8, HEADER + SID_EVERYONE_SIZE);
    put32(out + 16, HEADER + 2 * SID_EVERYONE_SIZE);
    memcpy(owner, sid_everyone, SID_EVERYONE_SIZE);
    memcpy(group, sid_everyone, SID_EVERYONE_SIZE);
    acl[0] = 2; /* revision */
    put16(acl + 2, ACL_HEADER + ACE_HEADER + SID_EVERYONE_SIZE);
    put16(acl + 4, 1);
    ace[0] = ACE_ALLOWED;
    ace[1] = directory ? ACE_OBJECT_INHERIT | ACE_CONTAINER_INHERIT : 0;
    put16(ace + 2, ACE_HEADER + SID_EVERYONE_SIZE);
    put32(ace + 4, rights_of_mode(mode));
    memcpy(ace + ACE_HEADER, sid_everyone, SID_EVERYONE_SIZE);
    return SVC_SD_SIZE;
}

struct sid {
    const uint8_t *bytes;
    uint32_t len; /* 0: none */
};

/* The SID at an offset of `base` of `len` bytes (MS-DTYP 2.4.2.2). Return: 0 or -LE_EINVAL. */
static int sid_at(const uint8_t *base, uint32_t len, uint32_t offset, struct sid *out)
{
    if (offset > len || len - offset < 8 || base[offset] != 1 || base[offset + 1] > 15 ||
        len - offset - 8 < base[offset + 1] * 4u)
        return -LE_EINVAL;
    out->bytes = base + offset;
    out->len = 8 + base[offset + 1] * 4u;
    return 0;
}

static bool sid_equal(struct sid a, struct sid b)
{
    return a.len == b.len && a.len > 0 && memcmp(a.bytes, b.bytes, a.len) == 0;
}

/* Is it S-1-<authority>-<first>[-<second>]? */
static bool sid_is(struct sid s, uint8_t authority, uint32_t count, uint32_t first, uint32_t second)
{
    return s.len == 8 + count * 4 && s.bytes[7] == authority &&
           memcmp(s.bytes + 2, "\0\0\0\0", 5) == 0 && get32(s.bytes + 8) == first &&
           (count < 2 || get32(s.bytes + 12) == second);
}

struct descriptor {
    struct sid owner, group;
    const uint8_t *dacl; /* NULL: no entries, everything allowed */
    uint32_t dacl_len;
};

static int descriptor_parse(const uint8_t *sd, uint32_t len, struct descriptor *out)
{
    uint32_t dacl;

    memset(out, 0, sizeof(*out));
    if (len < HEADER || sd[0] != 1 || !(get16(sd + 2) & CONTROL_SELF_RELATIVE))
        return -LE_EINVAL;
    if (get32(sd + 4) != 0 && sid_at(sd, len, get32(sd + 4), &out->owner) < 0)
        return -LE_EINVAL;
    if (get32(sd + 8) != 0 && sid_at(sd, len, get32(sd + 8), &out->group) < 0)
        return -LE_EINVAL;
    dacl = get32(sd + 16);
    if (!(get16(sd + 2) & CONTROL_DACL_PRESENT) || dacl == 0)
        return 0;
    if (dacl > len || len - dacl < ACL_HEADER || get16(sd + dacl + 2) < ACL_HEADER ||
        get16(sd + dacl + 2) > len - dacl)
        return -LE_EINVAL;
    out->dacl = sd + dacl;
    out->dacl_len = get16(sd + dacl + 2);
    return 0;
}

enum party { PARTY_OWNER, PARTY_GROUP, PARTY_OTHER, PARTY_ANYONE, PARTY_MEMBER, PARTY_STRANGER };

/*
 * Whom an entry speaks of. Everyone, Authenticated Users and Users are everybody; SYSTEM and
 * Administrators stand for the owner, which on the host is who the daemon is. The last three are of stored descriptors,
 * where only Everyone is everybody: what somebody may, what the group may, what strangers may.
 */
static bool sid_covers(const struct descriptor *d, struct sid s, enum party party, uint8_t type)
{
    if (party == PARTY_ANYONE && type == ACE_ALLOWED)
        return true;
    if (party >= PARTY_ANYONE)
        return sid_is(s, 1, 1, 0, 0) || (party == PARTY_MEMBER && sid_equal(s, d->group));
    if (sid_is(s, 1, 1, 0, 0) || sid_is(s, 5, 1, 11, 0) || sid_is(s, 5, 2, 32, 545))
        return true;
    if (party == PARTY_OWNER)
        return sid_equal(s, d->owner) || sid_is(s, 3, 1, 0, 0) || sid_is(s, 5, 1, 18, 0) ||
               sid_is(s, 5, 2, 32, 544);
    return party == PARTY_GROUP && (sid_equal(s, d->group) || sid_is(s, 3, 1, 1, 0));
}

static uint32_t rwx_of_rights(uint32_t rights)
{
    uint32_t rwx = 0;

    if (rights & (FILE_READ_DATA_BIT | GENERIC_READ_BIT | GENERIC_ALL_BIT))
        rwx |= 4;
    if (rights & (FILE_WRITE_DATA_BIT | GENERIC_WRITE_BIT | GENERIC_ALL_BIT))
        rwx |= 2;
    if (rights & (FILE_EXECUTE_BIT | GENERIC_EXECUTE_BIT | GENERIC_ALL_BIT))
        rwx |= 1;
    return rwx;
}

/* rwx of one party: the first entry that speaks of a right decides (MS-DTYP 2.5.3.2). */
static int party_permissions(const struct descriptor *d, enum party party, uint32_t *rwx)
{
    uint32_t at = ACL_HEADER, decided = 0;

    *rwx = 0;
    if (!d->dacl) {
        *rwx = 7;
        return 0;
    }
    for (uint32_t i = 0; i < get16(d->dacl + 4); i++) {
        const uint8_t *ace = d->dacl + at;
        struct sid s;
        uint32_t size, bits;

        if (d->dacl_len - at < ACE_HEADER)
            return -LE_EINVAL;
        size = get16(ace + 2);
        if (size < ACE_HEADER || size > d->dacl_len - at)
            return -LE_EINVAL;
        at += size;
        if ((ace[0] != ACE_ALLOWED && ace[0] != ACE_DENIED) || (ace[1] & ACE_INHERIT_ONLY))
            continue;
        if (sid_at(ace, size, ACE_HEADER, &s) < 0)
            return -LE_EINVAL;
        if (!sid_covers(d, s, party, ace[0]))
            continue;
        bits = rwx_of_rights(get32(ace + 4)) & ~decided;
        decided |= bits;
        if (ace[0] == ACE_ALLOWED)
            *rwx |= bits;
    }
    return 0;
}

/* rwx of three parties, from @first on */
static int permissions(const uint8_t *sd, uint32_t len, enum party first, uint32_t *bits)
{
    struct descriptor d;
    uint32_t rwx;

    *bits = 0;
    if (descriptor_parse(sd, len, &d) < 0)
        return -LE_EINVAL;
    for (int party = (int)first; party < (int)first + 3; party++) {
        if (party_permissions(&d, (enum party)party, &rwx) < 0)
            return -LE_EINVAL;
        *bits = *bits << 3 | rwx;
    }
    return 0;
}

/**
 * svc_sd_permissions() - rwxrwxrwx that a descriptor amounts to
 * @sd:  self-relative, of @len bytes
 *
 * Return: 0, or -LE_EINVAL for a malformed descriptor.
 */
int svc_sd_permissions(const uint8_t *sd, uint32_t len, uint32_t *bits)
{
    return permissions(sd, len, PARTY_OWNER, bits);
}

/**
 * svc_sd_stored_permissions() - the same for one that is stored, and that Windows goes by
 *
 * The host's owner is who the daemon is for the guest: he gets what anybody in the guest may. Group and others
 * are accounts of the host, which get what the group and Everyone may, and nothing that Windows gives to its own users.
 */
int svc_sd_stored_permissions(const uint8_t *sd, uint32_t len, uint32_t *bits)
{
    return permissions(sd, len, PARTY_ANYONE, bits);
}

/**
 * svc_sd_host_owners() - S-1-22-1-uid and S-1-22-2-gid, as Samba names those that it has no account for
 */
void svc_sd_host_owners(uint32_t uid, uint32_t gid, uint8_t owner[SVC_SD_HOST_SID],
                        uint8_t group[SVC_SD_HOST_SID])
{
    static const uint8_t unix_sid[] = {1, 2, 0, 0, 0, 0, 0, 22, 0, 0, 0, 0};

    memcpy(owner, unix_sid, sizeof(unix_sid));
    memcpy(group, unix_sid, sizeof(unix_sid));
    owner[8] = 1;
    group[8] = 2;
    put32(owner + 12, uid);
    put32(group + 12, gid);
}

/* S-1-22-1-uid and S-1-22-2-gid (Samba), S-1-5-88-1-uid and S-1-5-88-2-gid (Microsoft's NFS). */
static uint32_t id_of_sid(struct sid s, uint32_t kind)
{
    if (s.len == 16 && sid_is(s, 22, 2, kind, get32(s.bytes + 12)))
        return get32(s.bytes + 12);
    if (s.len == 20 && s.bytes[7] == 5 && memcmp(s.bytes + 2, "\0\0\0\0", 5) == 0 &&
        get32(s.bytes + 8) == 88 && get32(s.bytes + 12) == kind)
        return get32(s.bytes + 16);
    return UINT32_MAX;
}

/** svc_sd_owners() - the owner and group of a descriptor that are ids of the host. Return: 0 or -LE_EINVAL. */
int svc_sd_owners(const uint8_t *sd, uint32_t len, struct svc_sd_owner *out)
{
    struct descriptor d;

    if (descriptor_parse(sd, len, &d) < 0)
        return -LE_EINVAL;
    out->uid = id_of_sid(d.owner, 1);
    out->gid = id_of_sid(d.group, 2);
    return 0;
}

/**
 * svc_sd_merge() - a mode after somebody edited the descriptor that it showed
 * @shown:  svc_sd_permissions() of what svc_sd_make() gave for this mode
 * @wanted: svc_sd_permissions() of the edited one
 *
 * Return: permission bits (07777): as they were, but for those where shown and wanted differ.
 */
uint32_t svc_sd_merge(uint32_t mode, uint32_t shown, uint32_t wanted)
{
    uint32_t changed = (shown ^ wanted) & 0777;

    return (mode & 07777 & ~changed) | (wanted & changed);
}
