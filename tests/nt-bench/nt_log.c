// SPDX-License-Identifier: BSD-3-Clause
/*
 * nt_log.c - DbgPrintEx
 */
#include "tests/nt-bench/nt.h"

#define LINE_MAX_CHARS 400

struct line {
    char text[LINE_MAX_CHARS];
    ULONG n;
};

static void put(struct line *l, char c)
{
    if (l->n < LINE_MAX_CHARS - 1)
        l->text[l->n++] = c;
}

static void put_text(struct line *l, const char *s)
{
    for (s = s ? s : "(null)"; *s; s++)
        put(l, *s);
}

static void put_wide(struct line *l, const WCHAR *s, ULONG n)
{
    for (ULONG i = 0; s && i < n && s[i]; i++)
        put(l, s[i] < 0x7f ? (char)s[i] : '?');
}

static void put_number(struct line *l, ULONG64 v, unsigned base, ULONG width, char fill)
{
    char digits[24];
    ULONG n = 0;

    do
        digits[n++] = "0123456789abcdef"[v % base];
    while ((v /= base) != 0);
    while (width > n) {
        put(l, fill);
        width--;
    }
    while (n > 0)
        put(l, digits[--n]);
}

/* One conversion of a Windows format; @f points after the '%'. Return: after the conversion. */
static const char *convert(struct line *l, const char *f, va_list *args)
{
    ULONG width = 0, longs = 0;
    char fill = *f == '0' ? '0' : ' ';
    BOOLEAN wide = FALSE;

    while (*f == '0' || *f == '#' || *f == '-' || *f == '.')
        f++;
    for (; *f >= '0' && *f <= '9'; f++)
        width = width * 10 + (ULONG)(*f - '0');
    for (;; f++) {
        if (*f == 'l' || *f == 'h')
            longs += *f == 'l';
        else if (*f == 'w')
            wide = TRUE;
        else if (f[0] == 'I' && f[1] == '6' && f[2] == '4')
            f += 2, longs = 2;
        else
            break;
    }
    if (*f == 's' && !wide) {
        put_text(l, va_arg(*args, const char *));
    } else if (*f == 's' || *f == 'S') {
        put_wide(l, va_arg(*args, const WCHAR *), LINE_MAX_CHARS);
    } else if (*f == 'Z') {
        PUNICODE_STRING u = va_arg(*args, PUNICODE_STRING);

        put_wide(l, u->Buffer, u->Length / 2);
    } else if (*f == 'd' || *f == 'i') {
        LONG64 v = longs >= 2 ? va_arg(*args, LONG64) : va_arg(*args, LONG);

        if (v < 0)
            put(l, '-');
        put_number(l, (ULONG64)(v < 0 ? -v : v), 10, width, fill);
    } else if (*f == 'p' || longs >= 2) {
        put_number(l, va_arg(*args, ULONG64), *f == 'u' ? 10 : 16, width, fill);
    } else if (*f == 'c') {
        put(l, (char)va_arg(*args, int));
    } else if (*f == '%') {
        put(l, '%');
    } else {
        put_number(l, va_arg(*args, ULONG), *f == 'u' ? 10 : 16, width, fill);
    }
    return *f ? f + 1 : f;
}

static void print(const char *format, va_list *args)
{
    struct line l = {.n = 0};

    while (*format) {
        if (*format == '%')
            format = convert(&l, format + 1, args);
        else
            put(&l, *format++);
    }
    l.text[l.n] = 0;
    ver_note("driver: %s", l.text);
}

ULONG __cdecl DbgPrintEx(ULONG component, ULONG level, PCSTR format, ...)
{
    va_list args;

    (void)component;
    (void)level;
    va_start(args, format);
    print(format, &args);
    va_end(args);
    return STATUS_SUCCESS;
}

ULONG __cdecl DbgPrint(PCSTR format, ...)
{
    va_list args;

    va_start(args, format);
    print(format, &args);
    va_end(args);
    return STATUS_SUCCESS;
}
