// SPDX-License-Identifier: BSD-3-Clause
/*
 * log.c - one line a fact, never blocking
 *
 * Theory of operation
 *
 *   A line is put together in a buffer on the caller's stack, at most LINE_MAX_ bytes, and leaves in
 *   one system call: a pipe takes it whole or not at all (pipe(7): writes up to PIPE_BUF), so lines of
 *   two threads never mix. libvirt gives us a non-blocking pipe as stderr; when it is full, the line is
 *   dropped and counted, and the next line that gets through is preceded by the count.
 *
 *   syslog is a datagram to /dev/log, through a socket that is connected before the sandbox hides the
 *   path. libc's syslog() is not used: it blocks, and opens its socket again when the other side
 *   restarts, which the system call filter would answer by ending the process.
 *
 *   On a terminal, and where the journal keeps the time, lines start with the program's name; in a file
 *   or pipe with the time in UTC.
 *
 *   Bytes that could drive a terminal or forge a line are written as \xNN: a guest chooses file names.
 *
 * Ownership: one sink for the process, below.   Locks: none; counters are atomic.
 *
 * syscalls: writev sendto clock_gettime close
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "host/cleanup.h"
#include "host/log.h"

#define TEXT_MAX   1024 /* of a message, before escaping */
#define LINE_MAX_  2048 /* with escapes and prefix; below PIPE_BUF */
#define PER_SECOND 10

enum log_level log_threshold = LOG_INFO_;

static _Thread_local const char *share; /* that this thread speaks for, or NULL */

/* Where lines go. Set by log_init() and log_started(), before threads. */
static struct {
    int syslog_fd;  /* -1: none */
    int err_fd;     /* stderr, or what log_to_fd() said; -1: no more */
    bool with_time; /* lines on it start with the time */
    int pid;        /* for syslog, as the host sees it */
} sink = {.syslog_fd = -1, .err_fd = STDERR_FILENO};

static _Atomic uint64_t lost, suppressed;

static const struct {
    const char *name;
    unsigned severity; /* RFC 5424, 6.2.1 */
} levels[] = {
    [LOG_OFF_] = {"", 6},  [LOG_ERROR_] = {"error: ", 3}, [LOG_WARN_] = {"warning: ", 4},
    [LOG_INFO_] = {"", 6}, [LOG_DEBUG_] = {"debug: ", 7}, [LOG_TRACE_] = {"trace: ", 7},
};
#define FACILITY_DAEMON 3u

static int open_syslog(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    cleanup_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
        return -errno;
    return steal_fd(&fd);
}

int log_init(enum log_level threshold, bool use_syslog)
{
    log_threshold = threshold;
    sink.with_time = !isatty(sink.err_fd) && !getenv("JOURNAL_STREAM");
    sink.pid = (int)getpid();
    sink.syslog_fd = -1;
    if (!use_syslog)
        return 0;
    tzset(); /* reads /etc/localtime, which the sandbox hides */
    int fd = open_syslog();
    if (fd < 0)
        return fd;
    sink.syslog_fd = fd;
    return 0;
}

void log_to_fd(int fd)
{
    sink.err_fd = fd;
}

void log_share(const char *name)
{
    share = name;
}

const char *log_of_share(void)
{
    return share;
}

void log_started(void)
{
    if (sink.err_fd > STDERR_FILENO)
        close(sink.err_fd);
    else if (sink.syslog_fd < 0)
        return;
    sink.err_fd = -1;
}

/* Length of a UTF-8 character that may be shown, 0 for anything else. */
static size_t printable(const unsigned char *s, size_t len)
{
    if (s[0] < 0x80)
        return s[0] >= 0x20 && s[0] != 0x7f;
    size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || n > len)
        return 0;
    uint32_t c = s[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3fu);
    }
    bool overlong = c < (n == 4 ? 0x10000u : n == 3 ? 0x800u : 0x80u);
    bool control = c < 0xa0 || (c >= 0xd800 && c <= 0xdfff) || (c >= 0x2028 && c <= 0x202e) ||
                   (c >= 0x2066 && c <= 0x2069) || c > 0x10ffff;
    return overlong || control ? 0 : n;
}

/* Copy @text to @out, escaped, as far as it fits. Return: bytes. */
static size_t escape(char *out, size_t size, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t len = strlen(text), n = 0;

    while (len && n + 4 <= size) {
        size_t k = printable(s, len);
        if (k) {
            memcpy(out + n, s, k);
            n += k;
        } else {
            static const char hex[] = "0123456789abcdef";
            out[n++] = '\\';
            out[n++] = 'x';
            out[n++] = hex[*s >> 4];
            out[n++] = hex[*s & 15];
            k = 1;
        }
        s += k;
        len -= k;
    }
    return n;
}

/* Whatever is not taken whole and at once is lost. */
static bool put_stderr(enum log_level level, const char *text, size_t len)
{
    char head[48] = "virtiofsd: ";
    size_t n = strlen(head);

    if (sink.with_time) {
        struct timespec now;
        struct tm tm;
        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &tm);
        n = strftime(head, sizeof(head), "%Y-%m-%dT%H:%M:%S", &tm);
        n += (size_t)snprintf(head + n, sizeof(head) - n, ".%03ldZ ", now.tv_nsec / 1000000);
    }
    struct iovec iov[] = {{head, n},
                          {(char *)levels[level].name, strlen(levels[level].name)},
                          {(char *)text, len},
                          {"\n", 1}};
    size_t all = n + iov[1].iov_len + len + 1;
    return writev(sink.err_fd, iov, 4) == (ssize_t)all;
}

static bool put_syslog(enum log_level level, const char *text, size_t len)
{
    char line[LINE_MAX_ + 128], when[32];
    time_t now = time(NULL);
    struct tm tm;

    localtime_r(&now, &tm);
    strftime(when, sizeof(when), "%b %e %H:%M:%S", &tm); /* RFC 3164, 4.1.2 */
    int n = snprintf(line, sizeof(line), "<%u>%s virtiofsd[%d]: %s%.*s",
                     FACILITY_DAEMON << 3 | levels[level].severity, when, sink.pid,
                     levels[level].name, (int)len, text);
    return send(sink.syslog_fd, line, (size_t)n, MSG_NOSIGNAL) == n;
}

static bool put(enum log_level level, const char *text, size_t len)
{
    bool ok = true;

    if (sink.syslog_fd >= 0)
        ok = put_syslog(level, text, len);
    if (sink.err_fd >= 0)
        ok = put_stderr(level, text, len) && ok;
    return ok;
}

/* Say what went missing, once there is room again. */
static bool report_loss(void)
{
    char text[128];

    if (!atomic_load_explicit(&lost, memory_order_relaxed) &&
        !atomic_load_explicit(&suppressed, memory_order_relaxed))
        return true;
    uint64_t n = atomic_exchange(&lost, 0), m = atomic_exchange(&suppressed, 0);
    int len = snprintf(text, sizeof(text),
                       "messages missing here: %llu lost (log full), %llu left out (too many)",
                       (unsigned long long)n, (unsigned long long)m);
    if (put(LOG_WARN_, text, (size_t)len))
        return true;
    atomic_fetch_add(&lost, n);
    atomic_fetch_add(&suppressed, m);
    return false;
}

void log_line(enum log_level level, const char *fmt, ...)
{
    char text[TEXT_MAX], line[LINE_MAX_];
    int saved = errno;
    va_list ap;

    if (level > log_threshold)
        return;
    size_t head = 0;
    if (share)
        head = (size_t)snprintf(text, sizeof(text), "share %s: ", share);
    va_start(ap, fmt);
    int want = vsnprintf(text + head, sizeof(text) - head, fmt, ap);
    va_end(ap);
    size_t len = escape(line, sizeof(line) - 3, text);
    if (want >= (int)(sizeof(text) - head) || len + 7 > sizeof(line)) {
        memcpy(line + len, "...", 3); // NOLINT(bugprone-not-null-terminated-result): a counted line
        len += 3;
    }
    if (!report_loss() || !put(level, line, len))
        atomic_fetch_add(&lost, 1);
    errno = saved;
}

/* @state: second in the upper half, lines of that second in the lower. */
bool log_ratelimit(_Atomic uint64_t *state)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    uint64_t second = (uint64_t)now.tv_sec + 1; /* never the zero of a new call site */
    uint64_t seen = atomic_load_explicit(state, memory_order_relaxed), next;
    do {
        if (seen >> 32 != (second & UINT32_MAX))
            next = second << 32 | 1;
        else if ((seen & UINT32_MAX) < PER_SECOND)
            next = seen + 1;
        else {
            atomic_fetch_add_explicit(&suppressed, 1, memory_order_relaxed);
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(state, &seen, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}
