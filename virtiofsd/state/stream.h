// SPDX-License-Identifier: BSD-3-Clause
/*
 * stream.h - records on their way to another daemon
 *
 * Theory of operation
 *
 *   A stream is a head (magic and version), records, and an end. A record is its kind (u16), its length (u32)
 *   and that many bytes; numbers are little-endian whatever the machine. The end says how many records there
 *   were and repeats a checksum of all bytes before it, so that a stream that was cut or garbled on its way is
 *   recognised. It is no protection against malice: whoever reads checks what each field says.
 *
 *   Writer and reader work through a buffer and a pipe that the front end holds the other end of. It may stop
 *   reading or writing at any time, so each wait also looks at a stop descriptor.
 *
 *   Errors stick: after the first one all calls do nothing, and the caller asks once at the end.
 *
 * Ownership: the descriptors are borrowed. Locks: none; one thread.
 */
#ifndef VIOFS_STATE_STREAM_H
#define VIOFS_STATE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STREAM_VERSION    1u
#define STREAM_RECORD_MAX (64u * 1024u) /* bytes of one record */
#define STREAM_ROOM       (128u * 1024u)

/* Kinds of record; what is in them is said where they are written (save.c, vhost/transfer.c). */
enum stream_kind {
    STREAM_END = 0,
    STREAM_QUEUE = 1,   /* where a queue stopped, and chains that it still has */
    STREAM_SESSION = 2, /* what INIT agreed; the share, by what can be compared */
    STREAM_INODE = 3,   /* parents come before children */
    STREAM_HANDLE = 4,
    STREAM_LOCKS = 5,
    STREAM_WATCH = 6,
};

struct stream_out {
    int fd, stop_fd;
    int err; /* the first error, sticky */
    uint64_t sum, records;
    size_t at, record; /* end of what is buffered; where the open record begins */
    uint8_t buf[STREAM_ROOM];
};

/** stream_out_begin() - @fd is set non-blocking */
void stream_out_begin(struct stream_out *o, int fd, int stop_fd);
/** stream_record() - begin a record; stream_record_end() is due before the next one */
void stream_record(struct stream_out *o, enum stream_kind kind);
void stream_record_end(struct stream_out *o);
void stream_put_u8(struct stream_out *o, uint8_t v);
void stream_put_u16(struct stream_out *o, uint16_t v);
void stream_put_u32(struct stream_out *o, uint32_t v);
void stream_put_u64(struct stream_out *o, uint64_t v);
/** stream_put_bytes() - a length (u16) and that many bytes */
void stream_put_bytes(struct stream_out *o, const void *p, uint16_t len);
/** stream_out_end() - write the end. Return: 0, or the first error (-ECANCELED: stopped; -EPIPE: nobody reads). */
int stream_out_end(struct stream_out *o);

struct stream_in {
    int fd, stop_fd;
    int err;
    uint64_t sum, records;
    size_t at, end;       /* unread part of buf */
    size_t record, r_end; /* unread part of the present record */
    uint8_t buf[STREAM_ROOM];
};

/** stream_in_begin() - read the head. @fd is set non-blocking. Return: 0 or -errno; the reason is logged. */
int stream_in_begin(struct stream_in *in, int fd, int stop_fd);
/**
 * stream_next() - go to the next record
 * Return: its kind; STREAM_END when the stream has ended as it should; -EPROTO or another -errno.
 */
int stream_next(struct stream_in *in);
/* Fields of the present record. Past its end they are zeros, and the error sticks. */
uint8_t stream_get_u8(struct stream_in *in);
uint16_t stream_get_u16(struct stream_in *in);
uint32_t stream_get_u32(struct stream_in *in);
uint64_t stream_get_u64(struct stream_in *in);
/** stream_get_bytes() - as they lie in the buffer, until the next stream_next(). @len: their number, 0 after an error */
const uint8_t *stream_get_bytes(struct stream_in *in, uint16_t *len);
/** stream_record_done() - all of the record has been read, and no more than that. Return: 0 or -EPROTO. */
int stream_record_done(struct stream_in *in);

#endif
