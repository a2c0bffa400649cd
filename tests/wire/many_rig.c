// SPDX-License-Identifier: BSD-3-Clause
/*
 * many_rig.c - one daemon with many shares, and guests of them (see many_rig.h)
 */
#include "tests/wire/many_rig.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

struct many many;

const char *many_at(unsigned i, const char *what)
{
    static char path[4][128];
    static unsigned turn;

    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof(path[0]), "%s/%s%u", many.dir, what, i);
    return path[turn];
}

void many_configure(unsigned n, const char *first_lines)
{
    FILE *f = fopen(many.conf, "we");

    assert_non_null(f);
    fprintf(f, "%s", first_lines ? first_lines : "");
    for (unsigned i = 0; i < n; i++)
        fprintf(f, "[share s%u]\nshared-dir = %s\nsocket-path = %s\n", i, many_at(i, "d"),
                many_at(i, "s"));
    assert_int_equal(fclose(f), 0);
}

void many_start(unsigned n, const struct many_options *o)
{
    static const struct many_options plain;
    char mode[32];

    o = o ? o : &plain;
    many = (struct many){.n = n};
    snprintf(many.dir, sizeof(many.dir), "/dev/shm/viofs-many.XXXXXX");
    assert_non_null(mkdtemp(many.dir));
    snprintf(many.conf, sizeof(many.conf), "%s/conf", many.dir);
    for (unsigned i = 0; i < n; i++)
        assert_ok(mkdir(many_at(i, "d"), 0755));
    many_configure(n, o->first_lines);
    snprintf(mode, sizeof(mode), "--sandbox=%s", wire_sandbox());
    const char *argv[] = {getenv("VIOFS_DAEMON"), "--config", many.conf, mode, NULL};
    assert_ok(daemon_start(
        &many.d, argv,
        &(struct daemon_options){.no_wait = true, .cpu = o->cpu, .nofile = o->nofile}));
    for (int ms = 0; access(many_at(n - 1, "s"), F_OK) < 0 && ms < PATIENCE_MS; ms += 10)
        poll(NULL, 0, 10);
    many.fe = calloc(n, sizeof(struct fe *));
    many.c = calloc(n, sizeof(struct fc));
}

void many_join_as(unsigned i, const struct fe_options *o)
{
    assert_ok(fe_open(&many.fe[i], o, many_at(i, "s")));
    assert_ok(fc_open(&many.c[i], many.fe[i], FE_REQUESTS));
    assert_ok(fc_init(&many.c[i]));
}

void many_join(unsigned i)
{
    many_join_as(i, &(struct fe_options){.memory = 4u << 20});
}

void many_leave(unsigned i)
{
    if (many.fe[i])
        fc_close(&many.c[i]);
    fe_free(many.fe[i]);
    many.fe[i] = NULL;
}

void many_write(unsigned i, const char *name, const char *text)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", many_at(i, "d"), name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

int many_end(void **state)
{
    char command[128];
    int status = 0;
    bool good = true;

    (void)state;
    for (unsigned i = 0; i < many.n; i++)
        many_leave(i);
    daemon_kill(&many.d, SIGTERM);
    if (daemon_wait(&many.d, PATIENCE_MS, &status) < 0 || !WIFEXITED(status) ||
        WEXITSTATUS(status)) {
        char *log = daemon_log(&many.d);
        print_error("the daemon does not end well (0x%x); its log:\n%s\n", (unsigned)status,
                    log ? log : "");
        free(log);
        good = false;
    }
    good = !daemon_complained(&many.d) && good;
    daemon_end(&many.d);
    snprintf(command, sizeof(command), "rm -rf '%s'", many.dir);
    good = system(command) == 0 && good; // NOLINT(cert-env33-c): a path of our own
    free(many.fe);
    free(many.c);
    return good ? 0 : -1;
}
