// SPDX-License-Identifier: BSD-3-Clause
/*
 * native_lock.c - for builds with the driver's sources linked in: what needs a Windows compiler or image
 *
 * Takes the place of driver/compat_seh.c, whose __try no Linux target has, and of pe.c and seh.c.
 */
#include "tests/nt-bench/nt.h"

NTSTATUS drv_compat_lock(MDL *mdl, KPROCESSOR_MODE mode);

NTSTATUS drv_compat_lock(MDL *mdl, KPROCESSOR_MODE mode)
{
    return nt_probe_and_lock(mdl, mode, IoWriteAccess, CALLER);
}

HOST const struct pe_image *pe_loaded(void)
{
    return NULL;
}

void seh_probe_and_lock(void)
{
}

void seh_handler(void)
{
}

/* The bench handles faults itself; memory that a scenario leaves behind ends with its process. */
#define SANITIZER_OPTIONS                                                                          \
    "handle_segv=0:handle_sigbus=0:handle_sigill=0:handle_sigfpe=0:use_sigaltstack=0:"             \
    "detect_leaks=0:exitcode=99:halt_on_error=1:report_signal_unsafe=0:malloc_context_size=2:"     \
    "quarantine_size_mb=16"

const char *__asan_default_options(void);
const char *__tsan_default_options(void);
const char *__tsan_default_suppressions(void);

const char *__asan_default_options(void)
{
    return SANITIZER_OPTIONS;
}

const char *__tsan_default_options(void)
{
    return SANITIZER_OPTIONS;
}

/* Registers are no memory: two processors may ring one doorbell at once. */
const char *__tsan_default_suppressions(void)
{
    return "race:WRITE_REGISTER_\nrace:READ_REGISTER_\n";
}
