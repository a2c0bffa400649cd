// SPDX-License-Identifier: BSD-3-Clause
/*
 * viofs_ioctl.h - what virtiofs.exe and viofs.sys say to each other
 *
 * Theory of operation
 *
 *   Two sets of control codes on one device interface. The first three are virtio-win's, value for value
 *   and byte for byte, so that either half works with the other project's half. Ours are found by
 *   IOCTL_VIOFS_QUERY, which virtio-win's driver answers with STATUS_INVALID_DEVICE_REQUEST.
 *
 *   Ours carry payload without a copy and without a pointer inside a buffer: the small FUSE header and
 *   arguments travel in the system buffer, the caller's own buffer is the payload (METHOD_OUT_DIRECT for
 *   what the host returns, METHOD_IN_DIRECT for what it is sent), and the FUSE reply header stays in the
 *   driver. What the header would have said comes back as the status of the request: success with
 *   Information = payload bytes, or viofs_status() of the FUSE error.
 *
 *   All integers are little-endian. Both sides are x64; the layouts are the same for gcc and clang.
 *
 * Sources: virtio-win's interface as published; MS-ERREF 2.3 for the layout of an NTSTATUS; wdm.h for
 * CTL_CODE (device type << 16 | access << 14 | function << 2 | method).
 */
#ifndef VIOFS_IOCTL_H
#define VIOFS_IOCTL_H

#include <stddef.h>
#include <stdint.h>

/* {a1b0cbf2-f488-4b29-b89f-16c78e68c737}, without a reference string */
#define VIOFS_INTERFACE_GUID                                                                       \
    {                                                                                              \
        0xa1b0cbf2, 0xf488, 0x4b29,                                                                \
        {                                                                                          \
            0xb8, 0x9f, 0x16, 0xc7, 0x8e, 0x68, 0xc7, 0x37                                         \
        }                                                                                          \
    }

/* CTL_CODE with FILE_DEVICE_UNKNOWN (0x22); spelled out so that Linux tests need no Windows header. */
#define VIOFS_CTL(function, method, access)                                                        \
    (0x22u << 16 | (uint32_t)(access) << 14 | (uint32_t)(function) << 2 | (uint32_t)(method))
enum viofs_method { VIOFS_BUFFERED = 0, VIOFS_IN_DIRECT = 1, VIOFS_OUT_DIRECT = 2 };
enum viofs_access { VIOFS_ACCESS_READ = 1, VIOFS_ACCESS_READ_WRITE = 3 };

/* ---- virtio-win's ------------------------------------------------------------------------- */

/* Out: the tag in UTF-16LE with a terminating NUL, at most 74 bytes. */
#define IOCTL_VIRTFS_GET_VOLUME_NAME VIOFS_CTL(0x800, VIOFS_BUFFERED, VIOFS_ACCESS_READ)
/* In: a FUSE request of at least 40 bytes. Out: room for the reply, at least 16 bytes unless the opcode has
 * none. Success whatever the reply says; Information = used length. */
#define IOCTL_VIRTFS_FUSE_REQUEST VIOFS_CTL(0x801, VIOFS_OUT_DIRECT, VIOFS_ACCESS_READ_WRITE)
/* In: a FUSE_READ request. Out: struct viofs_read_by_pointer. Information = 16. */
#define IOCTL_VIRTFS_FUSE_REQUEST_READ VIOFS_CTL(0x802, VIOFS_OUT_DIRECT, VIOFS_ACCESS_READ_WRITE)

_Static_assert(IOCTL_VIRTFS_GET_VOLUME_NAME == 0x00226000, "virtio-win's value");
_Static_assert(IOCTL_VIRTFS_FUSE_REQUEST == 0x0022E006, "virtio-win's value");
_Static_assert(IOCTL_VIRTFS_FUSE_REQUEST_READ == 0x0022E00A, "virtio-win's value");

struct viofs_read_by_pointer {
    uint32_t len;     /* in: bytes at pointer; out: 16 + data bytes, as fuse_out_header.len */
    int32_t error;    /* out */
    uint64_t unique;  /* out */
    uint64_t pointer; /* in: address in the calling process */
};
_Static_assert(sizeof(struct viofs_read_by_pointer) == 24, "virtio-win's layout");
_Static_assert(offsetof(struct viofs_read_by_pointer, pointer) == 16, "virtio-win's layout");

#define VIOFS_TAG_CHARS 36 /* virtio 1.2, 5.11.4: UTF-8 bytes, so at most as many UTF-16 units */

/* ---- ours --------------------------------------------------------------------------------- */

#define VIOFS_IOCTL_VERSION 1

/* In: struct viofs_query_in. Out: struct viofs_query_out. Open to every handle. */
#define IOCTL_VIOFS_QUERY VIOFS_CTL(0x810, VIOFS_BUFFERED, VIOFS_ACCESS_READ)

/*
 * In: FUSE header and arguments (any opcode with a reply, no data after the arguments). Out: the payload of
 * the reply goes there, without its header. Information = payload bytes.
 */
#define IOCTL_VIOFS_REQUEST VIOFS_CTL(0x811, VIOFS_OUT_DIRECT, VIOFS_ACCESS_READ_WRITE)

/*
 * In: FUSE header and fuse_write_in (80 bytes; header.len counts the data too). "Out": the data to be
 * written. Information = fuse_write_out.size.
 */
#define IOCTL_VIOFS_WRITE VIOFS_CTL(0x812, VIOFS_IN_DIRECT, VIOFS_ACCESS_READ_WRITE)

/* In: a FORGET, BATCH_FORGET or INTERRUPT. Completes when the device has taken it. */
#define IOCTL_VIOFS_NO_REPLY VIOFS_CTL(0x813, VIOFS_BUFFERED, VIOFS_ACCESS_READ_WRITE)

struct viofs_query_in {
    uint32_t version; /* highest that the caller speaks, at least 1 */
    uint32_t reserved;
};

struct viofs_query_out {
    uint32_t size;    /* of this struct as the driver knows it */
    uint32_t version; /* smaller of both */
    /*
     * Grows whenever the FUSE session is gone although nobody sent DESTROY: device reset, resume from
     * suspend, replaced device. A caller that sees it change starts over with INIT.
     */
    uint64_t epoch;
    uint32_t num_queues;               /* request queues in use */
    uint32_t queue_size;               /* entries of the smallest of them */
    uint32_t max_in_flight;            /* requests that the driver can have with the device */
    uint32_t max_request;              /* bytes of header and arguments in the system buffer */
    uint32_t max_transfer;             /* bytes of payload in one request that any device takes */
    uint32_t flags;                    /* VIOFS_QUERY_* */
    uint16_t tag[VIOFS_TAG_CHARS + 2]; /* UTF-16LE, terminated */
};
#define VIOFS_QUERY_OWNED 1u /* some handle owns the FUSE session */
#define VIOFS_QUERY_MINE  2u /* this one does */
#define VIOFS_QUERY_STALLED                                                                        \
    4u /* nothing has completed for 30 seconds while requests are with the device */
_Static_assert(sizeof(struct viofs_query_in) == 8, "ABI");
_Static_assert(sizeof(struct viofs_query_out) == 116 + 4, "ABI");
_Static_assert(offsetof(struct viofs_query_out, epoch) == 8, "ABI");
_Static_assert(offsetof(struct viofs_query_out, tag) == 40, "ABI");

/*
 * A FUSE error as NTSTATUS: severity error, customer bit (29), facility 0x66 ("f"), code = Linux errno.
 * Severity must be error, or the I/O manager would copy output buffers.
 */
#define VIOFS_STATUS_BASE 0xE0660000u
static inline uint32_t viofs_status(int32_t fuse_error)
{
    uint32_t code = (uint32_t)-fuse_error;

    return VIOFS_STATUS_BASE | (code > 0 && code < 4096 ? code : 5 /* EIO */);
}
/** viofs_status_errno() - positive Linux errno of such a status, 0 for any other */
static inline int32_t viofs_status_errno(uint32_t status)
{
    return (status & 0xFFFF0000u) == VIOFS_STATUS_BASE ? (int32_t)(status & 0xFFFFu) : 0;
}

#endif
