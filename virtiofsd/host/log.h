// SPDX-License-Identifier: BSD-3-Clause
/*
 * log.h - one line a fact, never blocking
 *
 * Lines go to stderr or syslog. stderr may be a full, non-blocking pipe (libvirt's): the line is then
 * dropped, counted, and the loss reported later. Control characters in guest-supplied text are escaped.
 * Callable from any thread; not from a signal handler.
 */
#ifndef VIOFS_LOG_H
#define VIOFS_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_OFF_, LOG_ERROR_, LOG_WARN_, LOG_INFO_, LOG_DEBUG_, LOG_TRACE_ };

extern enum log_level log_threshold; /* set once, before threads start */

/**
 * log_init() - choose sink and threshold, before the sandbox closes
 * @use_syslog: to /dev/log as well as to stderr, until log_started(); then to /dev/log only
 *
 * Return: 0, or -errno when there is no syslog to talk to (lines go to stderr then).
 */
int log_init(enum log_level threshold, bool use_syslog);

/** log_to_fd() - write to @fd what would go to stderr; log_started() closes it */
void log_to_fd(int fd);

/**
 * log_started() - the daemon is up, and nobody watches the terminal any more
 *
 * Where there is syslog, or log_to_fd() was called, stderr gets no further lines.
 */
void log_started(void);

/**
 * log_share() - lines of this thread are about that share from now on
 * @name: at most 64 bytes; lives on; NULL: no share in particular, or the only one
 */
void log_share(const char *name);
/** log_of_share() - what log_share() said last on this thread */
const char *log_of_share(void);

__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *fmt, ...);

/** log_ratelimit() - true at most ten times a second per call site; @state: zeroed static of the site */
bool log_ratelimit(_Atomic uint64_t *state);

#define log_error(...) log_line(LOG_ERROR_, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN_, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO_, __VA_ARGS__)
/* The arguments of a suppressed debug line are not evaluated. */
#define log_debug(...)                                                                             \
    do {                                                                                           \
        if (__builtin_expect(log_threshold >= LOG_DEBUG_, 0))                                      \
            log_line(LOG_DEBUG_, __VA_ARGS__);                                                     \
    } while (0)
/* For complaints that a guest can cause at will. */
#define log_warn_limited(...)                                                                      \
    do {                                                                                           \
        static _Atomic uint64_t state_;                                                            \
        if (log_ratelimit(&state_))                                                                \
            log_line(LOG_WARN_, __VA_ARGS__);                                                      \
    } while (0)

#endif
