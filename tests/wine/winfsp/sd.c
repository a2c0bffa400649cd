// SPDX-License-Identifier: BSD-3-Clause
/*
 * sd.c - self-relative security descriptors: valid?, who may what, parts of one, a new object's
 *
 * Layouts: MS-DTYP 2.4.2 (SID), 2.4.4 (ACE), 2.4.5 (ACL), 2.4.6 (descriptor). The access check is MS-DTYP
 * 2.5.3.2 with its discretionary part; inheritance is 2.5.3.4 with one parent. Generic rights inside an ACE
 * match nothing, as in Windows, where whoever stores a descriptor has mapped them before.
 *
 * Callers are one of a few fixed tokens (door.h). None has its backup, restore or take-ownership privilege
 * enabled, as in a program that did not ask for them.
 *
 * Ownership: sd_inherit() gives memory away.   Locks: none.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/wine/winfsp/standin.h"

struct descriptor {
    uint8_t revision, sbz1;
    uint16_t control;
    uint32_t owner, group, sacl, dacl;
};
struct acl {
    uint8_t revision, sbz1;
    uint16_t size, count, sbz2;
};
struct ace {
    uint8_t type, flags;
    uint16_t size;
    uint32_t mask;
    uint8_t sid[];
};

#define SE_DACL_PRESENT_   0x0004u
#define SE_SACL_PRESENT_   0x0010u
#define SE_DACL_PROTECTED_ 0x1000u
#define SE_SELF_RELATIVE_  0x8000u
#define SE_DACL_AUTO_      0x0400u

#define ACE_ALLOW          0
#define ACE_DENY           1
#define ACE_OBJECT_INHERIT 1
#define ACE_DIR_INHERIT    2
#define ACE_NO_PROPAGATE   4
#define ACE_INHERIT_ONLY   8
#define ACE_INHERITED      0x10

#define SID1(a, b)                                                                                 \
    {                                                                                              \
        1, 1, 0, 0, 0, 0, 0, a, b, 0, 0, 0                                                         \
    }
#define SID2(b, low, hi)                                                                           \
    {                                                                                              \
        1, 2, 0, 0, 0, 0, 0, 5, b, 0, 0, 0, low, hi, 0, 0                                          \
    }
#define SID_LOCAL(low, h)                                                                          \
    {                                                                                              \
        1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, low, h, 0, 0      \
    }

static const uint8_t sid_everyone[] = SID1(1, 0);
static const uint8_t sid_creator_owner[] = SID1(3, 0);
static const uint8_t sid_creator_group[] = SID1(3, 1);
static const uint8_t sid_authenticated[] = SID1(5, 11);
static const uint8_t sid_system[] = SID1(5, 18);
static const uint8_t sid_admins[] = SID2(32, 0x20, 2);
static const uint8_t sid_users[] = SID2(32, 0x21, 2);
static const uint8_t sid_the_admin[] = SID_LOCAL(0xF4, 1); /* S-1-5-21-1-2-3-500 */
static const uint8_t sid_the_user[] = SID_LOCAL(0xE9, 3);  /* S-1-5-21-1-2-3-1001 */

static const struct token tokens[] = {
    [DOOR_TOKEN_SYSTEM] = {DOOR_TOKEN_SYSTEM,
                           {sid_system, sid_admins, sid_everyone, sid_authenticated},
                           4,
                           true,
                           true},
    [DOOR_TOKEN_ADMIN] = {DOOR_TOKEN_ADMIN,
                          {sid_the_admin, sid_admins, sid_users, sid_everyone, sid_authenticated},
                          5,
                          true,
                          true},
    [DOOR_TOKEN_USER] = {DOOR_TOKEN_USER,
                         {sid_the_user, sid_users, sid_everyone, sid_authenticated},
                         4,
                         true,
                         false},
    [DOOR_TOKEN_NO_TRAVERSE] = {DOOR_TOKEN_NO_TRAVERSE,
                                {sid_the_user, sid_users, sid_everyone, sid_authenticated},
                                4,
                                false,
                                false},
};

_Static_assert(ARRAY_SIZE(tokens) == 4, "token_handle()");

const struct token *token_of(uint32_t kind)
{
    return &tokens[kind & 3];
}

static HANDLE own_token;

static void duplicate_token(void)
{
    SECURITY_QUALITY_OF_SERVICE quality = {sizeof quality, SecurityImpersonation, FALSE, FALSE};
    OBJECT_ATTRIBUTES attributes = {.Length = sizeof attributes,
                                    .SecurityQualityOfService = &quality};
    HANDLE token;
    if (NtOpenProcessToken(NtCurrentProcess(), TOKEN_DUPLICATE, &token) ||
        NtDuplicateToken(token, TOKEN_QUERY, &attributes, SecurityImpersonation, TokenImpersonation,
                         &own_token))
        stop_loudly("this process has no token");
    NtClose(token);
}

uint64_t token_handle(uint32_t pid, const struct token *t)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, duplicate_token);
    return (uint64_t)pid << 32 | ((uint32_t)(uintptr_t)own_token & ~3u) | t->kind;
}

static size_t sid_len(const uint8_t *sid)
{
    return 8 + 4u * sid[1];
}

static bool sid_equal(const uint8_t *a, const uint8_t *b)
{
    return sid_len(a) == sid_len(b) && !memcmp(a, b, sid_len(a));
}

static bool sid_fits(const uint8_t *base, size_t len, uint32_t at)
{
    return at + 8u <= len && base[at] == 1 && base[at + 1] <= 15 && at + sid_len(base + at) <= len;
}

static bool acl_fits(const uint8_t *base, size_t len, uint32_t at)
{
    struct acl acl;
    if (at + sizeof acl > len)
        return false;
    memcpy(&acl, base + at, sizeof acl);
    if (acl.revision < 2 || acl.revision > 4 || acl.size < sizeof acl || at + acl.size > len)
        return false;
    size_t pos = at + sizeof acl, end = at + acl.size;
    for (unsigned i = 0; i < acl.count; i++) {
        struct ace ace;
        if (pos + sizeof ace > end)
            return false;
        memcpy(&ace, base + pos, sizeof ace);
        if (ace.size < sizeof ace + 8 || pos + ace.size > end || (ace.size & 3))
            return false;
        if (ace.type <= ACE_DENY && !sid_fits(base, pos + ace.size, (uint32_t)(pos + sizeof ace)))
            return false;
        pos += ace.size;
    }
    return true;
}

bool sd_valid(const void *sd, size_t len)
{
    const uint8_t *base = sd;
    struct descriptor d;
    if (len < sizeof d)
        return false;
    memcpy(&d, sd, sizeof d);
    if (d.revision != 1 || !(d.control & SE_SELF_RELATIVE_))
        return false;
    return (!d.owner || sid_fits(base, len, d.owner)) &&
           (!d.group || sid_fits(base, len, d.group)) &&
           (!(d.control & SE_SACL_PRESENT_) || !d.sacl || acl_fits(base, len, d.sacl)) &&
           (!(d.control & SE_DACL_PRESENT_) || !d.dacl || acl_fits(base, len, d.dacl));
}

static const uint8_t *owner_of(const void *sd)
{
    const struct descriptor *d = sd;
    return d->owner ? (const uint8_t *)sd + d->owner : NULL;
}
static const uint8_t *group_of(const void *sd)
{
    const struct descriptor *d = sd;
    return d->group ? (const uint8_t *)sd + d->group : NULL;
}
static const struct acl *dacl_of(const void *sd)
{
    const struct descriptor *d = sd;
    return (d->control & SE_DACL_PRESENT_) && d->dacl
               ? (const struct acl *)(const void *)((const uint8_t *)sd + d->dacl)
               : NULL;
}
static const struct acl *sacl_of(const void *sd)
{
    const struct descriptor *d = sd;
    return (d->control & SE_SACL_PRESENT_) && d->sacl
               ? (const struct acl *)(const void *)((const uint8_t *)sd + d->sacl)
               : NULL;
}

uint32_t sd_length(const void *sd)
{
    return sd_select(sd,
                     OWNER_SECURITY_INFORMATION | GROUP_SECURITY_INFORMATION |
                         DACL_SECURITY_INFORMATION | SACL_SECURITY_INFORMATION,
                     NULL, 0);
}

static const struct ace *first_ace(const struct acl *acl)
{
    return (const struct ace *)(const void *)(acl + 1);
}
static const struct ace *next_ace(const struct ace *ace)
{
    return (const struct ace *)(const void *)((const uint8_t *)ace + ace->size);
}

static bool token_has(const struct token *t, const uint8_t *sid)
{
    for (unsigned i = 0; i < t->sid_count; i++)
        if (sid_equal(t->sids[i], sid))
            return true;
    return false;
}

static uint32_t map_generic(uint32_t access)
{
    uint32_t out = access & 0x0FFFFFFFu;
    out |= access & GENERIC_READ ? FILE_GENERIC_READ : 0;
    out |= access & GENERIC_WRITE ? FILE_GENERIC_WRITE : 0;
    out |= access & GENERIC_EXECUTE ? FILE_GENERIC_EXECUTE : 0;
    return out | (access & GENERIC_ALL ? FILE_ALL_ACCESS : 0);
}

NTSTATUS sd_check(const void *sd, const struct token *t, uint32_t desired, uint32_t *granted)
{
    bool maximum = desired & MAXIMUM_ALLOWED;
    uint32_t want = map_generic(desired & ~(uint32_t)MAXIMUM_ALLOWED);
    uint32_t allowed = 0, denied = 0;
    const struct acl *acl = dacl_of(sd);
    const uint8_t *owner = owner_of(sd);
    *granted = 0;
    if (owner && token_has(t, owner))
        allowed |= READ_CONTROL | WRITE_DAC;
    if (!acl) {
        allowed |= FILE_ALL_ACCESS;
    } else {
        const struct ace *ace = first_ace(acl);
        for (unsigned i = 0; i < acl->count; i++, ace = next_ace(ace)) {
            if ((ace->flags & ACE_INHERIT_ONLY) || ace->type > ACE_DENY || !token_has(t, ace->sid))
                continue;
            if (ace->type == ACE_ALLOW)
                allowed |= ace->mask & ~denied;
            else
                denied |= ace->mask & ~allowed;
        }
    }
    if (want & ~allowed)
        return STATUS_ACCESS_DENIED;
    *granted = maximum ? allowed & 0x001FFFFFu : want;
    return *granted || !desired ? STATUS_SUCCESS : STATUS_ACCESS_DENIED;
}

static uint32_t put(uint8_t *out, uint32_t cap, uint32_t *at, const void *part, size_t len)
{
    uint32_t here = *at;
    if (!part)
        return 0;
    if (out && here + len <= cap)
        memcpy(out + here, part, len);
    *at += (uint32_t)((len + 3) & ~(size_t)3);
    return here;
}

uint32_t sd_select(const void *sd, uint32_t what, void *out, uint32_t cap)
{
    const struct descriptor *from = sd;
    struct descriptor d = {.revision = 1, .control = SE_SELF_RELATIVE_};
    uint32_t at = sizeof d;
    const uint8_t *owner = what & OWNER_SECURITY_INFORMATION ? owner_of(sd) : NULL;
    const uint8_t *group = what & GROUP_SECURITY_INFORMATION ? group_of(sd) : NULL;
    const struct acl *dacl = what & DACL_SECURITY_INFORMATION ? dacl_of(sd) : NULL;
    const struct acl *sacl = what & SACL_SECURITY_INFORMATION ? sacl_of(sd) : NULL;
    if (what & DACL_SECURITY_INFORMATION)
        d.control |= from->control & (SE_DACL_PRESENT_ | SE_DACL_PROTECTED_ | SE_DACL_AUTO_);
    if (what & SACL_SECURITY_INFORMATION)
        d.control |= from->control & SE_SACL_PRESENT_;
    d.owner = put(out, cap, &at, owner, owner ? sid_len(owner) : 0);
    d.group = put(out, cap, &at, group, group ? sid_len(group) : 0);
    d.sacl = put(out, cap, &at, sacl, sacl ? sacl->size : 0);
    d.dacl = put(out, cap, &at, dacl, dacl ? dacl->size : 0);
    if (out && at <= cap)
        memcpy(out, &d, sizeof d);
    return at;
}

struct builder {
    uint8_t bytes[4096];
    uint32_t at;
    unsigned count;
};

static void add_ace(struct builder *b, uint8_t type, uint8_t flags, uint32_t mask,
                    const uint8_t *sid)
{
    size_t size = sizeof(struct ace) + sid_len(sid);
    if (b->at + size > sizeof b->bytes)
        return;
    struct ace ace = {type, flags, (uint16_t)size, mask};
    memcpy(b->bytes + b->at, &ace, sizeof ace);
    memcpy(b->bytes + b->at + sizeof ace, sid, sid_len(sid));
    b->at += (uint32_t)size;
    b->count++;
}

/* What the parent passes on (MS-DTYP 2.5.3.4.4). */
static void inherit(struct builder *b, const struct acl *acl, bool directory, const uint8_t *owner,
                    const uint8_t *group)
{
    const struct ace *ace = first_ace(acl);
    for (unsigned i = 0; i < acl->count; i++, ace = next_ace(ace)) {
        bool applies = ace->flags & (directory ? ACE_DIR_INHERIT : ACE_OBJECT_INHERIT);
        bool onward = directory && (ace->flags & (ACE_DIR_INHERIT | ACE_OBJECT_INHERIT)) &&
                      !(ace->flags & ACE_NO_PROPAGATE);
        uint8_t down = ace->flags & (ACE_OBJECT_INHERIT | ACE_DIR_INHERIT);
        bool creator = sid_equal(ace->sid, sid_creator_owner);
        const uint8_t *who = creator                                  ? owner
                             : sid_equal(ace->sid, sid_creator_group) ? group
                                                                      : ace->sid;
        if (ace->type > ACE_DENY)
            continue;
        if (applies && (who != ace->sid || !onward))
            add_ace(b, ace->type, ACE_INHERITED, map_generic(ace->mask), who);
        if (onward && who != ace->sid)
            add_ace(b, ace->type, down | ACE_INHERIT_ONLY | ACE_INHERITED, ace->mask, ace->sid);
        else if (onward)
            add_ace(b, ace->type,
                    (uint8_t)(down | ACE_INHERITED | (applies ? 0 : ACE_INHERIT_ONLY)), ace->mask,
                    ace->sid);
    }
}

static void copy_acl(struct builder *b, const struct acl *acl)
{
    const struct ace *ace = first_ace(acl);
    for (unsigned i = 0; i < acl->count; i++, ace = next_ace(ace))
        if (ace->type <= ACE_DENY)
            add_ace(b, ace->type, ace->flags, map_generic(ace->mask), ace->sid);
}

uint8_t *sd_inherit(const void *parent, const void *given, bool directory, const struct token *t,
                    uint32_t *len)
{
    const uint8_t *owner = given && owner_of(given) ? owner_of(given) : t->sids[0];
    const uint8_t *group = given && group_of(given) ? group_of(given) : t->sids[1];
    struct builder b = {.at = sizeof(struct acl)};
    uint16_t control = SE_SELF_RELATIVE_ | SE_DACL_PRESENT_;
    if (given && dacl_of(given)) {
        copy_acl(&b, dacl_of(given));
        control |= ((const struct descriptor *)given)->control & SE_DACL_PROTECTED_;
    } else if (parent && dacl_of(parent)) {
        inherit(&b, dacl_of(parent), directory, owner, group);
        control |= b.count ? SE_DACL_AUTO_ : 0;
    }
    if (!b.count && !(given && dacl_of(given))) { /* the token's default */
        add_ace(&b, ACE_ALLOW, 0, FILE_ALL_ACCESS, owner);
        add_ace(&b, ACE_ALLOW, 0, FILE_ALL_ACCESS, sid_system);
    }
    struct acl acl = {2, 0, (uint16_t)b.at, (uint16_t)b.count, 0};
    memcpy(b.bytes, &acl, sizeof acl);

    struct descriptor d = {.revision = 1, .control = control};
    uint32_t at = sizeof d, cap = (uint32_t)(sizeof d + b.at + 2 * 68 + 12);
    uint8_t *out = calloc(1, cap);
    d.owner = put(out, cap, &at, owner, sid_len(owner));
    d.group = put(out, cap, &at, group, sid_len(group));
    d.dacl = put(out, cap, &at, b.bytes, b.at);
    memcpy(out, &d, sizeof d);
    *len = at;
    return out;
}
