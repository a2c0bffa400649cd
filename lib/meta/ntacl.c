// SPDX-License-Identifier: BSD-3-Clause
/*
 * ntacl.c - user.NTACL, security.NTACL: Windows' security descriptor of a file, as Samba keeps it
 *
 * Theory of operation
 *
 *   The value is a structure in NDR, little-endian, described by Samba's librpc/idl/xattr.idl and seen in values that
 *   Debian 12's smbd has written (tests/unit/test_ntacl.c):
 *
 *     0   version, 16 bits; then the same number again, as the tag of a union
 *     4   a mark that says that the union's pointer is not NULL
 *     8   of version 1 the descriptor; of others the mark of the descriptor, then
 *           2  hash(16)
 *           3  kind of hash (16 bits, 1: SHA-256), hash(64)
 *           4  kind of hash, hash(64), description with a NUL, time (100 ns since 1601), host's hash(64)
 *         and the descriptor at the next multiple of 4
 *
 *   The descriptor's offsets count from the beginning of the value, not from its header.
 *
 *   Hashes are SHA-256 with 32 zero bytes behind. The first is that of the descriptor that Samba would derive from
 *   mode and POSIX ACL, with names of accounts that only that Samba knows. The host's hash is that of the host's side
 *   itself, in NDR again (librpc/idl/smb_acl.idl; 64-bit numbers lie at multiples of 8):
 *
 *     mark of the ACL; mark of the default ACL, 0 for all but directories; owner(8), group(8), mode
 *     each ACL: number of entries; at a multiple of 8: that number again, 0, and the entries, each at a multiple of 8:
 *       kind (16 bits), kind again, id(8) if it is a user or a group, permissions(4)
 *
 *   A file without an ACL has the three entries that its mode says; a directory without a default one has an empty one.
 *   Samba believes a descriptor of version 4 if either hash is right, and one of version 1 or 2 always. We check the
 *   second one, and cannot check the first. We write the first as zeros, which never match: Samba goes by the second.
 *
 * Ownership: borrows everything.   Locks: none. Portable: both halves use it.
 */
#include <string.h>

#include "lib/meta/ntacl.h"

enum {
    VERSION = 4,
    MARK = 0x00020000, /* NDR's marks, in the order in which they are used: 4 apart */
    SHA256_KIND = 1,
    HASH_ROOM = 64,
    HASH_AT = 14,
    TEXT_AT = HASH_AT + HASH_ROOM,

    /* acl(5), linux/posix_acl_xattr.h */
    ACL_HEAD = 4,
    ACL_ENTRY = 8,
    ACL_VERSION = 2,
    ACL_ENTRIES = 128, /* more than any file system of Linux keeps beside a descriptor */
};
#define DESCRIPTION "posix_acl"

_Static_assert(TEXT_AT + sizeof(DESCRIPTION) + 8 + HASH_ROOM == NTACL_HEAD, "as Samba writes it");

static uint32_t get16(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8;
}

static uint32_t get32(const uint8_t *p)
{
    return get16(p) | get16(p + 2) << 16;
}

static void put(uint8_t *p, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        p[i] = (uint8_t)(value >> 8 * i);
}

/* Where the descriptor of version 4 begins, its hash copied. Return: 0 for what is none. */
static size_t decode_4(const uint8_t *p, size_t len, struct ntacl *out)
{
    const uint8_t *nul = len > TEXT_AT ? memchr(p + TEXT_AT, 0, len - TEXT_AT) : NULL;
    size_t at;

    if (!nul || get16(p + 12) != SHA256_KIND)
        return 0;
    at = (((size_t)(nul - p) + 1 + 3) & ~(size_t)3) + 8;
    if (at > len || len - at < HASH_ROOM)
        return 0;
    memcpy(out->hash, p + at, SHA256_SIZE);
    return at + HASH_ROOM;
}

/**
 * ntacl_decode() - what a value says, whoever wrote it
 * @len: 0..SIZE_MAX
 *
 * Return: false for what Samba would not have written in any version, what has no descriptor, and past NTACL_MAX bytes.
 */
bool ntacl_decode(const void *value, size_t len, struct ntacl *out)
{
    const uint8_t *p = value;
    size_t at = 0;

    memset(out, 0, sizeof(*out));
    if (len < 12 || len > NTACL_MAX || get16(p) != get16(p + 2) || get32(p + 4) == 0 ||
        (get16(p) > 1 && get32(p + 8) == 0))
        return false;
    switch (get16(p)) {
    case 1:
        out->bond = NTACL_UNBOUND;
        at = 8;
        break;
    case 2:
        out->bond = NTACL_UNBOUND;
        at = 12 + 16;
        break;
    case 3:
        out->bond = NTACL_UNKNOWN;
        at = TEXT_AT + 2;
        break;
    case VERSION:
        out->bond = NTACL_BOUND;
        at = decode_4(p, len, out);
        break;
    }
    return at != 0 && ntsd_parse(p, len, at, &out->sd);
}

/**
 * ntacl_encode() - the value that Samba 4.x writes
 * @sd:   at most NTSD_MAX bytes
 * @hash: ntacl_host_hash()
 * @now:  100 ns since 1601; nobody reads it
 * @out:  NTACL_HEAD + ntsd_size() bytes
 *
 * Return: bytes written.
 */
size_t ntacl_encode(const struct ntsd *sd, const uint8_t hash[SHA256_SIZE], uint64_t now,
                    uint8_t *out)
{
    memset(out, 0, NTACL_HEAD);
    put(out, VERSION, 2);
    put(out + 2, VERSION, 2);
    put(out + 4, MARK, 4);
    put(out + 8, MARK + 4, 4);
    put(out + 12, SHA256_KIND, 2);
    memcpy(out + TEXT_AT, DESCRIPTION, sizeof(DESCRIPTION));
    put(out + TEXT_AT + sizeof(DESCRIPTION), now, 8);
    memcpy(out + NTACL_HEAD - HASH_ROOM, hash, SHA256_SIZE);
    ntsd_put(sd, NTACL_HEAD, out + NTACL_HEAD);
    return NTACL_HEAD + ntsd_size(sd);
}

/* ---- the host's side --------------------------------------------------------------------------- */

struct entry {
    uint16_t kind, permissions; /* kind: Samba's */
    uint32_t id;
};

enum kind { USER = 1, OWNER, GROUP, OWNING_GROUP, OTHER, MASK };

struct acl {
    struct entry entry[ACL_ENTRIES];
    unsigned count;
};

/* Linux' kinds are bits: ACL_USER_OBJ 1, ACL_USER 2, ACL_GROUP_OBJ 4, ACL_GROUP 8, ACL_MASK 16, ACL_OTHER 32 */
static uint16_t kind_of(uint32_t tag)
{
    switch (tag) {
    case 1:
        return OWNER;
    case 2:
        return USER;
    case 4:
        return OWNING_GROUP;
    case 8:
        return GROUP;
    case 16:
        return MASK;
    case 32:
        return OTHER;
    default:
        return 0;
    }
}

static bool read_acl(const uint8_t *p, size_t len, struct acl *out)
{
    if (len < ACL_HEAD || (len - ACL_HEAD) % ACL_ENTRY || get32(p) != ACL_VERSION ||
        (len - ACL_HEAD) / ACL_ENTRY > ACL_ENTRIES)
        return false;
    out->count = (unsigned)((len - ACL_HEAD) / ACL_ENTRY);
    for (unsigned i = 0; i < out->count; i++) {
        const uint8_t *e = p + ACL_HEAD + (size_t)i * ACL_ENTRY;

        out->entry[i] = (struct entry){kind_of(get16(e)), (uint16_t)get16(e + 2), get32(e + 4)};
        if (out->entry[i].kind == 0)
            return false;
    }
    return true;
}

static void acl_of_mode(uint32_t mode, struct acl *out)
{
    out->count = 3;
    out->entry[0] = (struct entry){OWNER, mode >> 6 & 7, 0};
    out->entry[1] = (struct entry){OWNING_GROUP, mode >> 3 & 7, 0};
    out->entry[2] = (struct entry){OTHER, mode & 7, 0};
}

struct ndr {
    uint8_t bytes[32 + 2 * (16 + ACL_ENTRIES * 24)];
    size_t used;
};

static void push(struct ndr *n, uint64_t value, unsigned bytes)
{
    n->used = (n->used + bytes - 1) & ~((size_t)bytes - 1);
    put(n->bytes + n->used, value, bytes);
    n->used += bytes;
}

static void push_acl(struct ndr *n, const struct acl *a)
{
    push(n, a->count, 4);
    n->used = (n->used + 7) & ~(size_t)7;
    push(n, a->count, 4);
    push(n, 0, 4);
    for (unsigned i = 0; i < a->count; i++) {
        const struct entry *e = &a->entry[i];

        n->used = (n->used + 7) & ~(size_t)7;
        push(n, e->kind, 2);
        push(n, e->kind, 2);
        if (e->kind == USER || e->kind == GROUP)
            push(n, e->id, 8);
        push(n, e->permissions, 4);
    }
}

/**
 * ntacl_host_hash() - what binds a descriptor to the host's side
 *
 * Return: false for POSIX ACLs that are none, or very long.
 */
bool ntacl_host_hash(const struct ntacl_host *h, uint8_t out[SHA256_SIZE])
{
    bool directory = (h->mode & 0170000) == 0040000;
    struct ndr n = {.used = 0};
    struct acl a = {.count = 0};

    if (!h->access)
        acl_of_mode(h->mode, &a);
    else if (!read_acl(h->access, h->access_len, &a))
        return false;
    push(&n, MARK, 4);
    push(&n, directory ? MARK + 4 : 0, 4);
    push(&n, h->uid, 8);
    push(&n, h->gid, 8);
    push(&n, h->mode, 4);
    push_acl(&n, &a);
    if (directory) {
        a.count = 0;
        if (h->fallback && !read_acl(h->fallback, h->fallback_len, &a))
            return false;
        push_acl(&n, &a);
    }
    sha256(n.bytes, n.used, out);
    return true;
}
