// SPDX-License-Identifier: BSD-3-Clause
/*
 * modes.h - what is in force of what was set for a share, in words
 */
#ifndef VIOFS_SERVICE_MODES_H
#define VIOFS_SERVICE_MODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wchar.h>

#include "service/winfsp/attributes.h"

/* How long what the host said is believed. */
enum svc_cache {
    SVC_CACHE_AUTO,   /* as long as the host tells changes; a second otherwise */
    SVC_CACHE_STRICT, /* a second */
    SVC_CACHE_LONG,   /* WinFsp keeps data as well: for shares that only this guest writes to */
};

/* What Windows is told of who may do what. */
enum svc_acl {
    SVC_ACL_MODE, /* what mode bits say */
    SVC_ACL_STORED, /* what is stored with the file, as long as the host's side stays as it was; else as above */
    SVC_ACL_NONE /* nothing: everybody may everything that the host allows */
};

/* What was asked for, and what the host does with it. Two of them compare with memcmp(): clear them first. */
struct svc_modes {
    /* set */
    bool mode_attributes, no_streams, no_notify, acl_in_security, fixed_security;
    enum svc_read_only read_only;
    enum svc_cache cache;
    enum svc_acl acl;
    uint32_t poll_seconds;
    /* found; errors are negative Linux errno, 0: it works as far as is known */
    int eas_error;             /* extended attributes of the root cannot be read */
    int dos_error;             /* what the host said when attributes were to be stored */
    int streams_error;         /* likewise a stream */
    int acl_error;             /* likewise a descriptor */
    bool ea_sizes;             /* come with the attributes */
    bool extension;            /* the daemon is ours */
    bool side_by_side;         /* the driver can let a request wait with the host */
    bool told;                 /* changes are told, now */
    bool was_told;             /* they were, in this session */
    uint32_t watches, partial; /* of these, not covered with all that is below */
};

#define SVC_MODES_UNITS 1536

/**
 * svc_modes_text() - a line for each mode: its name, a tab, what is in force, and why it is not what was set
 * @text: SVC_MODES_UNITS, terminated; lines end with '\n'
 */
void svc_modes_text(const struct svc_modes *m, wchar_t *text);

#endif
