// SPDX-License-Identifier: BSD-3-Clause
/*
 * modes.c - what is in force of what was set for a share, in words
 *
 * Theory of operation
 *
 *   Much of what a share can be set to depends on the host: on its file system, on how its daemon was started, on which
 *   daemon it is. What cannot be had is done without, and `virtiofs.exe list` says so: one line for each mode, with the
 *   reason where it is not as it was set. The process that serves a share makes the lines (volume.c has the facts),
 *   whoever lists shares reads them (service/win/running.c).
 *
 * Ownership: none.   Locks: none. Portable.
 */
#include "service/winfsp/modes.h"

#include <stdarg.h>

#include "service/client/linux_errno.h"

#define WHY_UNITS 160

struct lines {
    wchar_t *at;
    size_t room;
};

static void add(struct lines *l, const wchar_t *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vswprintf(l->at, l->room, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= l->room)
        n = 0; /* does not fit: without it */
    l->at += n;
    l->room -= (size_t)n;
    *l->at = 0;
}

/* Why the host keeps no extended attributes. */
static const wchar_t *why_no_eas(const struct svc_modes *m, wchar_t why[WHY_UNITS])
{
    if (m->eas_error == -LE_EOPNOTSUPP)
        return L"the host keeps no extended attributes (its daemon takes --xattr, its file system "
               L"user.*)";
    swprintf(why, WHY_UNITS, L"the host does not let its extended attributes be read (error %d)",
             -m->eas_error);
    return why;
}

/* What is kept in extended attributes, but was refused somewhere. */
static void add_kept(struct lines *l, const wchar_t *name, const wchar_t *kept, int error,
                     const wchar_t *without)
{
    add(l, L"%ls\t%ls", name, kept);
    if (error)
        add(l, L"; the host refused it (error %d, see the log): %ls there", -error, without);
    add(l, L"\n");
}

static void attributes(struct lines *l, const struct svc_modes *m)
{
    wchar_t why[WHY_UNITS];

    if (m->mode_attributes)
        add(l, L"attributes\tnot stored, as set\n");
    else if (m->eas_error)
        add(l, L"attributes\tnot stored: %ls\n", why_no_eas(m, why));
    else
        add_kept(l, L"attributes", L"stored in user.DOSATTRIB", m->dos_error, L"not stored");
}

static void read_only(struct lines *l, const struct svc_modes *m)
{
    bool stored = !m->mode_attributes && !m->eas_error;

    if (m->read_only == SVC_READ_ONLY_MODE)
        add(l, L"read-only\tby mode bits, as set\n");
    else if (!stored)
        add(l, L"read-only\tby mode bits: attributes are not stored\n");
    else
        add(l, L"read-only\t%ls\n",
            m->read_only == SVC_READ_ONLY_STORED ? L"by the stored attribute"
                                                 : L"by mode bits and the stored attribute");
}

static void streams(struct lines *l, const struct svc_modes *m)
{
    wchar_t why[WHY_UNITS];

    if (m->no_streams)
        add(l, L"streams\toff, as set\n");
    else if (m->eas_error)
        add(l, L"streams\toff: %ls\n", why_no_eas(m, why));
    else
        add_kept(l, L"streams", L"stored in user.DosStream.*", m->streams_error, L"none");
}

static void eas(struct lines *l, const struct svc_modes *m)
{
    wchar_t why[WHY_UNITS];

    if (m->eas_error)
        add(l, L"EAs\toff: %ls\n", why_no_eas(m, why));
    else
        add(l, L"EAs\tstored in user.*%ls\n",
            m->ea_sizes ? L"" : L"; their size is shown as 0: the host's daemon does not tell it");
}

static void acl(struct lines *l, const struct svc_modes *m)
{
    const wchar_t *where = m->acl_in_security ? L"security.NTACL" : L"user.NTACL";
    wchar_t why[WHY_UNITS], kept[WHY_UNITS];

    if (m->fixed_security)
        add(l, L"ACL\tthe same for all files, as set\n");
    else if (m->acl == SVC_ACL_NONE)
        add(l, L"ACL\toff, as set\n");
    else if (m->acl == SVC_ACL_MODE)
        add(l, L"ACL\tmade of mode bits\n");
    else if (m->eas_error)
        add(l, L"ACL\tmade of mode bits: %ls\n", why_no_eas(m, why));
    else if (m->acl_in_security && (m->acl_error == -LE_EPERM || m->acl_error == -LE_EOPNOTSUPP))
        add(l,
            L"ACL\tmade of mode bits: the host's daemon may not store %ls (it takes "
            L"--modcaps=+sys_admin)\n",
            where);
    else {
        swprintf(kept, WHY_UNITS, L"stored in %ls", where);
        add_kept(l, L"ACL", kept, m->acl_error, L"made of mode bits");
    }
}

static void caching(struct lines *l, const struct svc_modes *m)
{
    const wchar_t *until =
        m->told ? L"until a change is told" : L"as long as the host says, for changes are not told";

    if (m->cache == SVC_CACHE_STRICT)
        add(l, L"caching\tstrict: a second at most\n");
    else if (m->cache == SVC_CACHE_LONG)
        add(l, L"caching\tlong: contents as well; the rest %ls\n", until);
    else
        add(l, L"caching\tauto: %ls\n", until);
}

static const wchar_t *why_not_told(const struct svc_modes *m)
{
    if (m->no_notify)
        return L"off, as set";
    if (m->was_told)
        return L"the host has ended it, see the log";
    if (!m->side_by_side)
        return L"the driver is virtio-win's";
    return m->extension ? L"the host's daemon runs with --watch=never, or is an older one"
                        : L"the host's daemon does not tell them";
}

static void notification(struct lines *l, const struct svc_modes *m)
{
    if (!m->told && m->poll_seconds)
        add(l, L"changes\tlooked for every %u s: %ls\n", m->poll_seconds, why_not_told(m));
    else if (!m->told)
        add(l, L"changes\tnot told: %ls\n", why_not_told(m));
    else if (m->partial)
        add(l,
            L"changes\ttold by the host; of %u watched directories %u not with all that is below, "
            L"see "
            L"the daemon's log\n",
            m->watches, m->partial);
    else
        add(l, L"changes\ttold by the host\n");
}

/** svc_modes_text() - see modes.h */
void svc_modes_text(const struct svc_modes *m, wchar_t *text)
{
    struct lines l = {text, SVC_MODES_UNITS};

    *text = 0;
    attributes(&l, m);
    read_only(&l, m);
    streams(&l, m);
    eas(&l, m);
    acl(&l, m);
    caching(&l, m);
    notification(&l, m);
}
