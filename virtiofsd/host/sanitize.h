// SPDX-License-Identifier: BSD-3-Clause
/*
 * sanitize.h - is this a build with AddressSanitizer or ThreadSanitizer?
 *
 * Their runtimes need larger stacks and make system calls of their own. Never defined in what ships.
 */
#ifndef VIOFS_SANITIZE_H
#define VIOFS_SANITIZE_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#endif
