// SPDX-License-Identifier: BSD-3-Clause
/*
 * util.c - locks that any thread may release, time, messages
 *
 * Ownership: none.   Locks: a gate is one.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/wine/winfsp/standin.h"

void gate_init(struct gate *g)
{
    *g = (struct gate){.readers = 0};
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->changed, NULL);
}

void gate_shared(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    while (g->writer || g->writers_waiting)
        pthread_cond_wait(&g->changed, &g->lock);
    g->readers++;
    pthread_mutex_unlock(&g->lock);
}

bool gate_try_shared(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    bool free_now = !g->writer && !g->writers_waiting;
    if (free_now)
        g->readers++;
    pthread_mutex_unlock(&g->lock);
    return free_now;
}

void gate_exclusive(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    g->writers_waiting++;
    while (g->writer || g->readers)
        pthread_cond_wait(&g->changed, &g->lock);
    g->writers_waiting--;
    g->writer = true;
    pthread_mutex_unlock(&g->lock);
}

void gate_release(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    if (g->writer)
        g->writer = false;
    else
        g->readers--;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void say(const char *kind, const char *text, va_list args)
{
    char line[1024];
    int n = snprintf(line, sizeof line, "winfsp stand-in: %s", kind);
    vsnprintf(line + n, sizeof line - (size_t)n, text, args);
    fprintf(stderr, "%s\n", line);
    fflush(stderr);
}

void note(const char *text, ...)
{
    va_list args;
    va_start(args, text);
    say("", text, args);
    va_end(args);
}

void violation(struct volume *v, const char *text, ...)
{
    va_list args;
    va_start(args, text);
    say("CONTRACT VIOLATION: ", text, args);
    va_end(args);
    atomic_fetch_add(&v->violations, 1);
}

void stop_loudly(const char *what, ...)
{
    va_list args;
    va_start(args, what);
    say("NOT MODELLED: ", what, args);
    va_end(args);
    TerminateProcess(GetCurrentProcess(), 70); /* no debugger: the line says it all */
    abort();
}

void counted(struct volume *v, size_t offset_in_interface)
{
    atomic_fetch_add(&v->calls[offset_in_interface / sizeof(void *)], 1);
}
