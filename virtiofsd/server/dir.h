// SPDX-License-Identifier: BSD-3-Clause
/*
 * dir.h - the reading position of an open directory
 */
#ifndef VIOFS_DIR_H
#define VIOFS_DIR_H

struct dir_stream;

/** dir_stream_new() - NULL when out of memory; its buffer comes with the first read */
struct dir_stream *dir_stream_new(void);
void dir_stream_free(struct dir_stream *dir);

#endif
