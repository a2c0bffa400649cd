// SPDX-License-Identifier: BSD-3-Clause
/*
 * nt_rtl.c - memory and string routines
 *
 * Byte loops, kept from being turned into calls of themselves. The driver imports these from
 * ntoskrnl.exe; the NT half of the bench uses them too (nt_abi.h).
 */
#include "tests/nt-bench/nt.h"

#ifdef BENCH_MS_ABI
#define KEEP_LOOP __asm__ volatile("")

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    void *start = to;

    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
    return start;
}

void *memset(void *to, int byte, size_t n)
{
    void *start = to;

    __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(byte) : "memory");
    return start;
}

void *memmove(void *to, const void *from, size_t n)
{
    unsigned char *t = to;
    const unsigned char *f = from;

    if (t <= f || t >= f + n)
        return memcpy(to, from, n);
    while (n-- > 0) {
        t[n] = f[n];
        KEEP_LOOP;
    }
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *x = a, *y = b;

    for (; n > 0 && *x == *y; n--, x++, y++)
        KEEP_LOOP;
    return n == 0 ? 0 : *x - *y;
}
#endif

VOID NTAPI RtlInitUnicodeString(PUNICODE_STRING s, PCWSTR from)
{
    USHORT n = 0;

    while (from && from[n])
        n++;
    s->Length = (USHORT)(n * sizeof(WCHAR));
    s->MaximumLength = from ? (USHORT)(s->Length + sizeof(WCHAR)) : 0;
    s->Buffer = (PWSTR)(ULONG_PTR)from;
}

VOID NTAPI RtlFreeUnicodeString(PUNICODE_STRING s)
{
    nt_irql("RtlFreeUnicodeString", PASSIVE_LEVEL, PASSIVE_LEVEL, CALLER);
    if (s->Buffer)
        ExFreePoolWithTag(s->Buffer, 0);
    RtlZeroMemory(s, sizeof(*s));
}

/* One code point of UTF-8, U+FFFD for what is none. Return: bytes consumed. */
static ULONG utf8_next(const UCHAR *s, ULONG n, ULONG *code, BOOLEAN *bad)
{
    static const ULONG least[] = {0, 0, 0x80, 0x800, 0x10000};
    ULONG len = s[0] < 0x80   ? 1
                : s[0] < 0xc2 ? 0
                : s[0] < 0xe0 ? 2
                : s[0] < 0xf0 ? 3
                : s[0] < 0xf5 ? 4
                              : 0;
    ULONG c = len <= 1 ? s[0] : s[0] & (0x7fu >> len);

    for (ULONG i = 1; i < len; i++) {
        if (i >= n || (s[i] & 0xc0) != 0x80) {
            len = 0;
            break;
        }
        c = c << 6 | (s[i] & 0x3f);
    }
    if (len == 0 || c < least[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
        *bad = TRUE;
        *code = 0xfffd;
        return 1;
    }
    *code = c;
    return len;
}

NTSTATUS NTAPI RtlUTF8ToUnicodeN(PWSTR to, ULONG room, PULONG size, PCCH from, ULONG n)
{
    ULONG units = 0;
    BOOLEAN bad = FALSE;

    nt_irql("RtlUTF8ToUnicodeN", PASSIVE_LEVEL, PASSIVE_LEVEL, CALLER);
    for (ULONG at = 0; at < n;) {
        ULONG code, need;

        at += utf8_next((const UCHAR *)from + at, n - at, &code, &bad);
        need = code > 0xffff ? 2 : 1;
        if (to && (units + need) * sizeof(WCHAR) > room) {
            *size = units * (ULONG)sizeof(WCHAR);
            return STATUS_BUFFER_TOO_SMALL;
        }
        if (to && need == 1) {
            to[units] = (WCHAR)code;
        } else if (to) {
            to[units] = (WCHAR)(0xd800 + ((code - 0x10000) >> 10));
            to[units + 1] = (WCHAR)(0xdc00 + (code & 0x3ff));
        }
        units += need;
    }
    *size = units * (ULONG)sizeof(WCHAR);
    return bad ? STATUS_SOME_NOT_MAPPED : STATUS_SUCCESS;
}
