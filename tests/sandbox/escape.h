// SPDX-License-Identifier: BSD-3-Clause
/*
 * escape.h - a prize outside the share, and proof that nobody got it
 *
 * Theory of operation
 *
 *   Beside the share (in the daemon's work directory) lies a directory with a file, an empty directory
 *   and known modes, times and contents. A test does what it can over the wire to read or change it; in the
 *   end prize_untouched() looks at all of it from the host. SECRET must never appear in a reply.
 */
#ifndef VIOFS_TESTS_ESCAPE_H
#define VIOFS_TESTS_ESCAPE_H

#include "tests/wire/wire.h"

#define SECRET "the host's own words"

/** prize_make() - work directory/outside: file "secret", directory "room", nothing else */
void prize_make(struct wire *w);
/** prize() - absolute path of @rel in it ("" for itself); one of four static buffers */
const char *prize(const struct wire *w, const char *rel);
/** prize_untouched() - nothing was added, removed, written, or changed in mode, owner or mtime */
void prize_untouched(struct wire *w);

/** read_node() - open and read what @node is. Return: bytes or -errno; @text is terminated. */
ssize_t read_node(struct wire *w, uint64_t node, char *text, size_t size);

#endif
