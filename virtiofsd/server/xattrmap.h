// SPDX-License-Identifier: BSD-3-Clause
/*
 * xattrmap.h - the same attribute under two names
 *
 * A map is made once from the text of --xattrmap and is constant afterwards.
 */
#ifndef VIOFS_XATTRMAP_H
#define VIOFS_XATTRMAP_H

#include <stdbool.h>
#include <stddef.h>

struct xattrmap;

#define XATTRMAP_NAME 256 /* room for an attribute's name: XATTR_NAME_MAX and the NUL */

/**
 * xattrmap_parse() - make a map
 * @rules: text in the language described in xattrmap.c
 * @why:   receives one line without newline when the text is refused, or one that warns, or ""
 *
 * Return: 0 with *@map the caller's, -EINVAL, -ENOMEM.
 */
int xattrmap_parse(struct xattrmap **map, const char *rules, char *why, size_t why_size);

/** xattrmap_new() - the same, with the line logged */
int xattrmap_new(struct xattrmap **map, const char *rules);
void xattrmap_free(struct xattrmap *map);

/**
 * xattrmap_to_host() - the host's name for a guest's
 * Return: 0 with @host filled; -EPERM (bad), -EOPNOTSUPP (unsupported), -ERANGE (too long when prefixed).
 */
int xattrmap_to_host(const struct xattrmap *map, const char *guest, char host[XATTRMAP_NAME]);

/** xattrmap_to_guest() - the guest's name for a host's: a tail of @host, or NULL when it is hidden */
const char *xattrmap_to_guest(const struct xattrmap *map, const char *host);

/**
 * xattrmap_capability() - where the guest's security.capability is kept, if under another name
 * Return: borrowed, or NULL when the host's kernel sees it under its own name or it cannot be set at all.
 */
const char *xattrmap_capability(const struct xattrmap *map);

#endif
