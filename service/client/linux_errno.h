// SPDX-License-Identifier: BSD-3-Clause
/*
 * linux_errno.h - Linux' error numbers, on any compiler
 *
 * FUSE speaks Linux errno whatever the guest is. Windows compilers have an <errno.h> of their own whose
 * numbers agree up to 34 and then do not, so the client never uses it. (Linux asm-generic/errno-base.h, errno.h)
 */
#ifndef VIOFS_CLIENT_LINUX_ERRNO_H
#define VIOFS_CLIENT_LINUX_ERRNO_H

/* clang-format off */
#define LINUX_ERRNOS(X) \
    X(EPERM, 1) X(ENOENT, 2) X(EINTR, 4) X(EIO, 5) X(ENXIO, 6) \
    X(E2BIG, 7) X(EBADF, 9) X(EAGAIN, 11) X(ENOMEM, 12) X(EACCES, 13) \
    X(EBUSY, 16) X(EEXIST, 17) X(EXDEV, 18) X(ENODEV, 19) X(ENOTDIR, 20) \
    X(EISDIR, 21) X(EINVAL, 22) X(ENFILE, 23) X(EMFILE, 24) X(ETXTBSY, 26) \
    X(EFBIG, 27) X(ENOSPC, 28) X(ESPIPE, 29) X(EROFS, 30) X(EMLINK, 31) \
    X(EPIPE, 32) X(EDOM, 33) X(ERANGE, 34) X(EDEADLK, 35) X(ENAMETOOLONG, 36) \
    X(ENOLCK, 37) X(ENOSYS, 38) X(ENOTEMPTY, 39) X(ELOOP, 40) X(ENODATA, 61) \
    X(EOVERFLOW, 75) X(EILSEQ, 84) X(EOPNOTSUPP, 95) X(ENOTCONN, 107) X(ESHUTDOWN, 108) \
    X(ETIMEDOUT, 110) X(ESTALE, 116) X(EDQUOT, 122) X(ECANCELED, 125)
/* clang-format on */

#define X(name, number) LE_##name = number,
enum linux_errno { LINUX_ERRNOS(X) };
#undef X

#endif
