// SPDX-License-Identifier: BSD-3-Clause
/*
 * ntsd.c - self-relative security descriptors of Windows: checked, put together, changed in parts
 *
 * Theory of operation
 *
 *   A descriptor (MS-DTYP 2.4.6) is a header with offsets of up to four parts: owner and group (SIDs, 2.4.2.2), the
 *   system's and the discretionary list (ACLs, 2.4.5, of ACEs, 2.4.4). Where the offsets count from is a parameter:
 *   Windows counts from the header, Samba in what it stores from the beginning of the value.
 *
 *   Parsing checks everything: lengths, that SIDs and ACEs lie inside, that ACEs are of a kind whose SID is known
 *   to lie where it is looked for. What passes may be given to Windows or to Samba. A list may be longer than its
 *   entries; the rest is dropped, as Samba does.
 *
 *   Put together, the parts are in the order in which Samba has them: owner, group, system's list, discretionary list,
 *   without gaps (all lengths are multiples of four). So equal descriptors are equal bytes.
 *
 * Ownership: borrows everything.   Locks: none. Portable.
 */
#include <string.h>

#include "lib/meta/ntsd.h"

enum { ACL_HEADER = 8, ACE_HEADER = 8, SID_HEADER = 8, MAX_AUTHORITIES = 15, GUID = 16 };

static uint32_t get16(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8;
}

static uint32_t get32(const uint8_t *p)
{
    return get16(p) | get16(p + 2) << 16;
}

static void put(uint8_t *p, uint32_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        p[i] = (uint8_t)(value >> 8 * i);
}

static bool parse_sid(const uint8_t *p, size_t room, struct ntsd_part *out)
{
    if (room < SID_HEADER || p[0] != 1 || p[1] > MAX_AUTHORITIES || room - SID_HEADER < p[1] * 4u)
        return false;
    *out = (struct ntsd_part){p, SID_HEADER + p[1] * 4u};
    return true;
}

/* Where the SID of an ACE begins, 0 for kinds that nobody may use on a file. */
static uint32_t sid_in_ace(const uint8_t *ace, uint32_t size)
{
    uint32_t at = ACE_HEADER + 4;

    switch (ace[0]) {
    case 0: /* ALLOWED, DENIED, AUDIT */
    case 1:
    case 2:
    case 9: /* ALLOWED and DENIED with a condition, AUDIT with one */
    case 10:
    case 13:
    case 17: /* MANDATORY_LABEL, RESOURCE_ATTRIBUTE, SCOPED_POLICY_ID */
    case 18:
    case 19:
        return ACE_HEADER;
    case 5: /* the same with objects */
    case 6:
    case 7:
    case 11:
    case 12:
    case 15:
        if (size < at)
            return 0;
        if (ace[ACE_HEADER] & 1)
            at += GUID;
        if (ace[ACE_HEADER] & 2)
            at += GUID;
        return at;
    default:
        return 0;
    }
}

static bool parse_acl(const uint8_t *p, size_t room, struct ntsd_part *out)
{
    uint32_t size, at = ACL_HEADER;

    if (room < ACL_HEADER || p[0] < 2 || p[0] > 4)
        return false;
    size = get16(p + 2);
    if (size < ACL_HEADER || size > room)
        return false;
    for (uint32_t i = 0; i < get16(p + 4); i++) {
        struct ntsd_part sid;
        uint32_t length, sid_at;

        if (size - at < ACE_HEADER)
            return false;
        length = get16(p + at + 2);
        if (length < ACE_HEADER || length % 4 || length > size - at)
            return false;
        sid_at = sid_in_ace(p + at, length);
        if (sid_at == 0 || sid_at > length || !parse_sid(p + at + sid_at, length - sid_at, &sid))
            return false;
        at += length;
    }
    *out = (struct ntsd_part){p, at};
    return true;
}

/**
 * ntsd_parse() - the parts of a descriptor
 * @bytes, @len: where offsets count from, and what there is
 * @at: of the header in there
 * @out: its parts lie in @bytes
 *
 * Return: false for what is no descriptor, whoever made it.
 */
bool ntsd_parse(const uint8_t *bytes, size_t len, size_t at, struct ntsd *out)
{
    struct ntsd_part *part[] = {&out->owner, &out->group, &out->sacl, &out->dacl};

    *out = (struct ntsd){0};
    if (at > len || len - at < NTSD_HEADER || bytes[at] != 1)
        return false;
    out->control = (uint16_t)get16(bytes + at + 2);
    if (!(out->control & NTSD_SELF_RELATIVE))
        return false;
    for (unsigned i = 0; i < 4; i++) {
        uint32_t offset = get32(bytes + at + 4 + 4 * i);

        if (offset == 0 || (i == 2 && !(out->control & NTSD_SACL_PRESENT)) ||
            (i == 3 && !(out->control & NTSD_DACL_PRESENT)))
            continue;
        if (offset < at + NTSD_HEADER || offset > len)
            return false;
        if (!(i < 2 ? parse_sid : parse_acl)(bytes + offset, len - offset, part[i]))
            return false;
    }
    return ntsd_size(out) <= NTSD_MAX;
}

/** ntsd_size() - bytes that ntsd_put() writes */
size_t ntsd_size(const struct ntsd *d)
{
    return (size_t)NTSD_HEADER + d->owner.len + d->group.len + d->sacl.len + d->dacl.len;
}

/**
 * ntsd_put() - the header and its parts, one after the other
 * @base: what offsets count besides: 0 for Windows, the header's own offset for Samba
 * @out: ntsd_size() bytes, not where the parts are
 */
void ntsd_put(const struct ntsd *d, size_t base, uint8_t *out)
{
    const struct ntsd_part *part[] = {&d->owner, &d->group, &d->sacl, &d->dacl};
    uint32_t at = NTSD_HEADER;

    memset(out, 0, NTSD_HEADER);
    out[0] = 1;
    put(out + 2, d->control | NTSD_SELF_RELATIVE, 2);
    for (unsigned i = 0; i < 4; i++) {
        if (!part[i]->bytes)
            continue;
        put(out + 4 + 4 * i, (uint32_t)base + at, 4);
        memcpy(out + at, part[i]->bytes, part[i]->len);
        if (i >= 2)
            put(out + at + 2, part[i]->len, 2);
        at += part[i]->len;
    }
}

static uint16_t with_bit(uint16_t control, uint16_t bit, bool set)
{
    return (uint16_t)(set ? control | bit : control & ~bit);
}

/*
 * The bits of one list after it was replaced. AUTO_INHERITED is kept only for who asks for it, too: others do not know
 * what they say (MS-FSA 2.1.5.17).
 */
static uint16_t list_bits(uint16_t before, uint16_t with, uint16_t copied, uint16_t asked,
                          uint16_t inherited)
{
    uint16_t control = (uint16_t)((before & ~copied) | (with & copied));

    return with_bit(control, inherited, (with & asked) && (with & inherited));
}

/**
 * ntsd_change() - replace parts of a descriptor
 * @with: parts that are taken over; they must live as long as @d is used
 * @what: NTSD_OWNER ...; an owner or group that @with does not have stays as it is
 */
void ntsd_change(struct ntsd *d, const struct ntsd *with, uint32_t what)
{
    if ((what & NTSD_OWNER) && with->owner.bytes)
        d->owner = with->owner;
    if ((what & NTSD_GROUP) && with->group.bytes)
        d->group = with->group;
    if (what & NTSD_DACL) {
        d->dacl = with->dacl;
        d->control = list_bits(d->control, with->control,
                               NTSD_DACL_PRESENT | NTSD_DACL_DEFAULTED | NTSD_DACL_PROTECTED,
                               NTSD_DACL_INHERIT_REQ, NTSD_DACL_INHERITED);
    }
    if (what & NTSD_SACL) {
        d->sacl = with->sacl;
        d->control = list_bits(d->control, with->control,
                               NTSD_SACL_PRESENT | NTSD_SACL_DEFAULTED | NTSD_SACL_PROTECTED,
                               NTSD_SACL_INHERIT_REQ, NTSD_SACL_INHERITED);
    }
    if (what & (NTSD_PROTECTED_DACL | NTSD_UNPROTECTED_DACL))
        d->control = with_bit(d->control, NTSD_DACL_PROTECTED, what & NTSD_PROTECTED_DACL);
    if (what & (NTSD_PROTECTED_SACL | NTSD_UNPROTECTED_SACL))
        d->control = with_bit(d->control, NTSD_SACL_PROTECTED, what & NTSD_PROTECTED_SACL);
    d->control &= (uint16_t) ~(NTSD_DACL_INHERIT_REQ | NTSD_SACL_INHERIT_REQ);
}
