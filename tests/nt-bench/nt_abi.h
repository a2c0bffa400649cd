// SPDX-License-Identifier: BSD-3-Clause
/*
 * nt_abi.h - included before everything else in code compiled from mingw's headers as ELF
 *
 * Two repairs. size_t has to be the compiler's own type, or its idea of memcpy() and the headers' differ.
 * And calls to memcpy() and its like, which the compiler also makes up for struct copies, have to
 * go to routines with Microsoft's calling convention (nt_rtl.c) and not to libc's.
 */
#ifndef VIOFS_NT_BENCH_NT_ABI_H
#define VIOFS_NT_BENCH_NT_ABI_H

typedef __SIZE_TYPE__ size_t;
#define _SIZE_T_DEFINED

#ifdef BENCH_MS_ABI
void *memcpy(void *restrict, const void *restrict, size_t) __asm__("nt_memcpy");
void *memmove(void *, const void *, size_t) __asm__("nt_memmove");
void *memset(void *, int, size_t) __asm__("nt_memset");
int memcmp(const void *, const void *, size_t) __asm__("nt_memcmp");
#endif

#endif
