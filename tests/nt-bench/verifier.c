// SPDX-License-Identifier: BSD-3-Clause
/*
 * verifier.c - complaints, the ledger of things taken, and allocation failures
 *
 * Theory of operation
 *
 *   Every check of the bench ends here. A complaint names its rule, so that the tests of the bench
 *   (mutants) can see that the right rule fired, and counts; a scenario with complaints has failed.
 *   What cannot be survived (a stray access, a bug check) ends the process of the scenario at once with
 *   a status of its own.
 *
 *   The ledger is a hash table from (kind, address) to where it was taken. A thing that is still in
 *   it when the driver is gone is a leak; a thing given back that is not in it was given back twice
 *   or never taken.
 *
 * Ownership: the process' single ledger.   Locks: one mutex, never held while calling out.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/nt-bench/bench.h"
#include "tests/nt-bench/bench_host.h"

#define BUCKETS 4096u

struct entry {
    struct entry *next;
    enum ver_thing kind;
    const void *key;
    uint64_t detail;
    const void *caller;
};

static const char *const thing_names[VER_THINGS] = {
    [VER_MDL] = "MDL",
    [VER_LOCKED_PAGES] = "locked pages",
    [VER_MAPPED_PAGES] = "mapping of locked pages",
    [VER_IRP] = "IRP",
    [VER_DEVICE] = "device object",
    [VER_ATTACHMENT] = "attachment to a device stack",
    [VER_INTERFACE] = "enabled device interface",
    [VER_BUS_INTERFACE] = "reference to the bus interface",
    [VER_WORK_ITEM] = "work item",
    [VER_REMOVE_LOCK] = "remove lock acquisition",
    [VER_ADAPTER] = "DMA adapter",
    [VER_COMMON_BUFFER] = "common buffer",
    [VER_SG_LIST] = "scatter/gather list",
    [VER_IO_SPACE] = "mapped I/O space",
    [VER_INTERRUPT] = "connected interrupt",
    [VER_REFERENCE] = "object reference",
    [VER_ERROR_LOG] = "error log entry",
};

static struct {
    pthread_mutex_t lock;
    struct entry *bucket[BUCKETS];
    unsigned count[VER_THINGS];
    struct ver_costs costs;
} ledger = {.lock = PTHREAD_MUTEX_INITIALIZER};

static atomic_uint complaints;
static atomic_bool hushed;
static atomic_uint fail_countdown;
static atomic_bool fail_was_reached;

/* ---- complaints ------------------------------------------------------------------------------ */

/*
 * One write a line: several threads complain, and the process may end right after. A line that says what
 * the last one said is left out.
 */
static void say(const char *what, const char *rule, const char *format, va_list args)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static char last[1024];
    char line[1024];
    bool again;
    int n = snprintf(line, sizeof(line), "# %s%s%s: ", what, rule ? " " : "", rule ? rule : "");

    n += vsnprintf(line + n, sizeof(line) - (size_t)n - 1, format, args);
    if (n > (int)sizeof(line) - 2)
        n = (int)sizeof(line) - 2;
    while (n > 0 && line[n - 1] == '\n')
        n--;
    line[n] = '\0';
    pthread_mutex_lock(&lock);
    again = strcmp(line, last) == 0;
    strcpy(last, line);
    pthread_mutex_unlock(&lock);
    if (again)
        return;
    line[n++] = '\n';
    if (write(STDERR_FILENO, line, (size_t)n) < 0)
        _exit(BENCH_EXIT_STOPPED);
}

void ver_complain(const char *rule, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (atomic_fetch_add(&complaints, 1) < 40)
        say("COMPLAINT", rule, format, args);
    va_end(args);
}

void ver_stop(const char *rule, const char *format, ...)
{
    static atomic_bool stopping;
    va_list args;

    while (atomic_exchange(&stopping, true))
        pause(); /* another thread is ending the process, and is not to be disturbed */
    va_start(args, format);
    say("STOPPED", rule, format, args);
    va_end(args);
    share_abandon();
    _exit(BENCH_EXIT_STOPPED);
}

void ver_note(const char *format, ...)
{
    va_list args;

    if (atomic_load(&hushed))
        return;
    va_start(args, format);
    say("note", NULL, format, args);
    va_end(args);
}

void ver_hush(void)
{
    atomic_store(&hushed, true);
}

unsigned ver_complaints(void)
{
    return atomic_load(&complaints);
}

const char *ver_where(const void *address)
{
    static _Thread_local char text[2][48];
    static _Thread_local unsigned turn;
    const struct pe_image *image = pe_loaded();
    const uint8_t *a = address;
    char *to = text[turn++ & 1];

    if (image && a >= image->base && a < image->base + image->size)
        snprintf(to, sizeof(text[0]), "viofs.sys+0x%zx", (size_t)(a - image->base));
    else
        snprintf(to, sizeof(text[0]), "%p", address);
    return to;
}

/* ---- the ledger ------------------------------------------------------------------------------ */

static struct entry **find(enum ver_thing kind, const void *key)
{
    uintptr_t k = (uintptr_t)key;
    struct entry **e = &ledger.bucket[(k ^ (k >> 12) ^ (k >> 5) ^ (unsigned)kind * 977u) % BUCKETS];

    while (*e && ((*e)->kind != kind || (*e)->key != key))
        e = &(*e)->next;
    return e;
}

void ver_take(enum ver_thing kind, const void *key, uint64_t detail, const void *caller)
{
    struct entry *e = malloc(sizeof(*e));
    struct entry **at;

    if (!e)
        ver_stop("bench", "out of memory");
    pthread_mutex_lock(&ledger.lock);
    at = find(kind, key);
    *e = (struct entry){*at, kind, key, detail, caller};
    *at = e;
    ledger.count[kind]++;
    pthread_mutex_unlock(&ledger.lock);
}

bool ver_give(enum ver_thing kind, const void *key, uint64_t *detail)
{
    struct entry **at, *e;

    pthread_mutex_lock(&ledger.lock);
    at = find(kind, key);
    e = *at;
    if (e) {
        *at = e->next;
        ledger.count[kind]--;
    }
    pthread_mutex_unlock(&ledger.lock);
    if (e && detail)
        *detail = e->detail;
    free(e);
    return e != NULL;
}

bool ver_has(enum ver_thing kind, const void *key, uint64_t *detail)
{
    struct entry *e;

    pthread_mutex_lock(&ledger.lock);
    e = *find(kind, key);
    if (e && detail)
        *detail = e->detail;
    pthread_mutex_unlock(&ledger.lock);
    return e != NULL;
}

unsigned ver_count(enum ver_thing kind)
{
    unsigned n;

    pthread_mutex_lock(&ledger.lock);
    n = ledger.count[kind];
    pthread_mutex_unlock(&ledger.lock);
    return n;
}

void ver_leaks(void)
{
    for (unsigned b = 0; b < BUCKETS; b++)
        for (const struct entry *e = ledger.bucket[b]; e; e = e->next)
            ver_complain("leak", "%s %p (%#llx), taken at %s", thing_names[e->kind], e->key,
                         (unsigned long long)e->detail, ver_where(e->caller));
    mem_leaks();
}

struct ver_costs *ver_costs(void)
{
    return &ledger.costs;
}

struct ver_costs ver_costs_take(void)
{
    struct ver_costs taken = {0};
    uint64_t *from = (uint64_t *)&ledger.costs, *to = (uint64_t *)&taken;

    for (size_t i = 0; i < sizeof(taken) / sizeof(*from); i++)
        to[i] = __atomic_exchange_n(&from[i], 0, __ATOMIC_RELAXED);
    return taken;
}

void *bench_alloc(size_t size)
{
    void *p = calloc(1, size);

    if (!p)
        ver_stop("bench", "out of memory");
    return p;
}

void bench_free(void *p)
{
    free(p);
}

/* ---- allocation failures --------------------------------------------------------------------- */

void fail_after(unsigned n)
{
    atomic_store(&fail_was_reached, false);
    atomic_store(&fail_countdown, n);
}

bool fail_now(void)
{
    unsigned n = thr_self()->exempt ? 0 : atomic_load(&fail_countdown);

    while (n > 0)
        if (atomic_compare_exchange_weak(&fail_countdown, &n, n - 1)) {
            if (n == 1)
                atomic_store(&fail_was_reached, true);
            return n == 1;
        }
    return false;
}

bool fail_happened(void)
{
    return atomic_load(&fail_was_reached);
}
