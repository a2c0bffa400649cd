// SPDX-License-Identifier: BSD-3-Clause
/*
 * contract.h - what the DLL and the driver take for granted of a file system's answers, checked
 */
#ifndef VIOFS_TESTS_CONTRACT_H
#define VIOFS_TESTS_CONTRACT_H

#include "tests/wine/winfsp/standin.h"

/** contract_status() - may this callback answer so? `may_pend`: also STATUS_PENDING */
void contract_status(struct volume *v, const char *callback, NTSTATUS status, bool may_pend);
/** contract_info() - STATUS_SUCCESS came with a file info: was it filled? */
void contract_info(struct volume *v, const char *callback, const struct winfsp_file_info *info);
/** contract_garbage() - what is in a file info that WinFsp does not clear */
void contract_garbage(struct winfsp_file_info *info);
/** contract_sd() - a security descriptor of `size` bytes in `room`; false when WinFsp would refuse it */
bool contract_sd(struct volume *v, const char *callback, const void *sd, size_t size, size_t room);
/** contract_dir() - the bytes that a directory read returned */
void contract_dir(struct volume *v, const uint8_t *buf, uint32_t got, uint32_t room);

/** contract_streams() - the bytes that get_stream_info returned */
void contract_streams(struct volume *v, const uint8_t *buf, uint32_t got, uint32_t room);

/*
 * A buffer with a guard behind it, page-aligned as WinFsp's are, in memory that Wine knows: it refuses to have
 * a device write elsewhere. Small ones are kept for the next, as WinFsp keeps its process buffers.
 */
struct guarded {
    uint8_t *at;
    size_t len, room;
};
struct guarded guarded_new(size_t len);
/** guarded_check() - has somebody written past the end? */
void guarded_check(struct volume *v, const char *callback, struct guarded g);
void guarded_free(struct guarded g);

#endif
