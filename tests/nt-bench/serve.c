// SPDX-License-Identifier: BSD-3-Clause
/*
 * serve.c - nt-bench --serve: one device with the shipped driver, for callers in other processes
 *
 * Theory of operation
 *
 *   The process is a machine that runs until its standard input ends. serve.h says how others find the device and
 *   open it. Each connection has a thread that receives calls and hands them to the driver, and one that
 *   sends results; both are processors of the machine like every thread here.
 *
 *   Standard input takes orders, one a line, each answered by one line on standard output, "ok ..." or "error ...":
 *
 *     plug               the device appears (it is there from the start unless --unplugged)
 *     remove             it is ejected in good order: programs lose sight of it, close it, then it goes
 *     yank               it is pulled out at once
 *     sleep              the machine goes to S3 and back
 *     needs-reset        the device asks to be reset
 *     hold / release     the device takes requests and does not serve them; goes on
 *     daemon SOCKET      another virtiofsd takes over: the device reconnects and asks to be reset
 *     unseen SOCKET      the same, and the driver is not told: as a front end does that reconnects by itself
 *     costs              what driver and device did since the last time
 *     held               requests that the device has
 *
 *   With --virtio-win the device takes what virtio-win's driver takes (virtio_win.h).
 *
 *   At the end the device is removed, the driver unloaded, and the ledger closed. The exit status is 0
 *   only if nobody complained in all that time, so a test that ignores it has proved nothing.
 *
 * Ownership: the main thread owns the device and the slot; a connection's receiving thread owns the connection.
 * Locks: conn.lock guards the sending side of a connection; serve.lock the number of connections.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/nt-bench/bench_host.h"
#include "tests/nt-bench/serve.h"
#include "tests/nt-bench/served.h"
#include "tests/nt-bench/virtio_win.h"
#include "tests/nt-bench/wire.h"

#define CLOSE_PATIENCE_MS 15000 /* for programs to close a device that has gone */

static struct {
    const char *path, *slot;
    char daemon[108];
    struct vdev_options device;
    bool virtio_win; /* what the other driver would not take is refused */
    int listener;
    int plug;   /* connection to the slot, -1: the device is not plugged in */
    bool there; /* it has not been removed */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned handles;
    uint32_t plugged; /* so many times */
    uint32_t closed;  /* SERVE_CLOSE done since then */
} serve = {.plug = -1, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

struct conn {
    int fd;
    pthread_mutex_t lock; /* of senders */
    struct served *handle;
    uint32_t plugged; /* serve.plugged when it was opened */
    pthread_t sender;
};

/* ---- one handle ------------------------------------------------------------------------------ */

static void reply(struct conn *c, const struct serve_reply *r, const void *data)
{
    pthread_mutex_lock(&c->lock);
    if (wire_send(c->fd, r, sizeof(*r), data, r->data_len, NULL, 0) < 0)
        shutdown(c->fd, SHUT_RDWR); /* the receiver notices */
    pthread_mutex_unlock(&c->lock);
}

static void *send_results(void *arg)
{
    struct conn *c = arg;
    struct served_io *io;

    thr_self()->name = "results";
    while ((io = served_next(c->handle))) {
        struct served_result s = served_result(io);
        struct serve_reply r = {.op = SERVE_IOCTL,
                                .status = s.status,
                                .id = s.id,
                                .information = s.information,
                                .data_len = s.bytes};

        reply(c, &r, s.out);
        served_free(c->handle, io);
        if (serve.virtio_win)
            virtio_win_end();
    }
    return NULL;
}

static bool skip(struct conn *c, uint32_t n)
{
    char bytes[4096];

    for (; n > 0; n -= n < sizeof(bytes) ? n : (uint32_t)sizeof(bytes))
        if (wire_receive(c->fd, bytes, n < sizeof(bytes) ? n : sizeof(bytes)) < 0)
            return false;
    return true;
}

/* The other driver ends it at once. Return: as start_ioctl() */
static bool refuse_ioctl(struct conn *c, const struct serve_call *call, uint32_t status)
{
    struct serve_reply r = {.op = SERVE_IOCTL, .status = status, .id = call->id};

    if (!skip(c, call->data_len))
        return false;
    reply(c, &r, NULL);
    return true;
}

/* Return: false when the caller does not keep to serve.h */
static bool start_ioctl(struct conn *c, const struct serve_call *call)
{
    bool with_data = (call->code & 3) == 1; /* METHOD_IN_DIRECT */
    struct served_io *io;
    uint32_t refused;
    uint8_t *in, *out;
    bool ok;

    if (call->in_len > SERVE_MAX_DATA || call->out_len > SERVE_MAX_DATA ||
        call->data_len != call->in_len + (with_data ? call->out_len : 0))
        return false;
    refused = serve.virtio_win ? virtio_win_refuses(call->code, call->in_len, call->out_len) : 0;
    if (refused)
        return refuse_ioctl(c, call, refused);
    in = malloc(call->in_len + 1u);
    if (!in)
        ver_stop("bench", "out of memory");
    ok = wire_receive(c->fd, in, call->in_len) == 0;
    if (ok) {
        io = served_new(c->handle, call->id, call->code, in, call->in_len, call->out_len, &out);
        ok = !with_data || wire_receive(c->fd, out, call->out_len) == 0;
        if (serve.virtio_win)
            virtio_win_begin();
        served_send(c->handle, io); /* it must come back, even if nobody will want it */
    }
    free(in);
    return ok;
}

/* Calls until SERVE_CLOSE. Return: was there one? */
static bool receive_calls(struct conn *c)
{
    struct serve_call call;

    while (wire_receive(c->fd, &call, sizeof(call)) == 0) {
        switch (call.op) {
        case SERVE_IOCTL:
            if (c->handle ? !start_ioctl(c, &call) : !skip(c, call.data_len))
                return false;
            break;
        case SERVE_CANCEL:
            if (c->handle)
                served_cancel(c->handle, call.id);
            break;
        case SERVE_CLOSE:
            return true;
        default:
            return false;
        }
    }
    return false;
}

static void count_close(const struct conn *c)
{
    pthread_mutex_lock(&serve.lock);
    serve.closed += c->plugged == serve.plugged;
    pthread_cond_broadcast(&serve.changed);
    pthread_mutex_unlock(&serve.lock);
}

static void use_handle(struct conn *c)
{
    struct serve_reply closed = {.op = SERVE_CLOSE};
    bool in_order;

    if (pthread_create(&c->sender, NULL, send_results, c) != 0)
        ver_stop("bench", "no thread for a handle");
    in_order = receive_calls(c);
    if (!in_order)
        served_cancel_all(c->handle); /* as the I/O manager does for a process that dies */
    served_cleanup(c->handle);
    pthread_join(c->sender, NULL);
    served_close(c->handle);
    if (in_order)
        count_close(c);
    reply(c, &closed, NULL);
}

/* Windows' CloseHandle() returns after CLEANUP, so what was closed before is closed now. */
static void wait_for_earlier(struct conn *c, uint32_t closed)
{
    pthread_mutex_lock(&serve.lock);
    c->plugged = serve.plugged;
    while (serve.closed < closed && c->plugged == serve.plugged)
        pthread_cond_wait(&serve.changed, &serve.lock);
    pthread_mutex_unlock(&serve.lock);
}

static void count_handles(int delta)
{
    pthread_mutex_lock(&serve.lock);
    serve.handles += (unsigned)delta;
    pthread_cond_broadcast(&serve.changed);
    pthread_mutex_unlock(&serve.lock);
}

static void *conn_main(void *arg)
{
    struct conn *c = arg;
    struct serve_call call;
    struct serve_reply r = {.op = SERVE_OPEN};

    thr_self()->name = "program";
    if (wire_receive(c->fd, &call, sizeof(call)) == 0 && call.op == SERVE_OPEN) {
        wait_for_earlier(c, call.code);
        count_handles(1);
        c->handle = served_open(call.id, &r.status);
        reply(c, &r, NULL);
        if (c->handle)
            use_handle(c);
        else if (receive_calls(c)) /* refused: only CLOSE is of interest */
            count_close(c);
        count_handles(-1);
    }
    close(c->fd);
    pthread_mutex_destroy(&c->lock);
    free(c);
    return NULL;
}

static void *accept_main(void *arg)
{
    int fd;

    (void)arg;
    while ((fd = accept(serve.listener, NULL, NULL)) >= 0) {
        struct conn *c = calloc(1, sizeof(*c));
        pthread_t t;

        if (!c)
            ver_stop("bench", "out of memory");
        c->fd = fd;
        pthread_mutex_init(&c->lock, NULL);
        if (pthread_create(&t, NULL, conn_main, c) != 0)
            ver_stop("bench", "no thread for a handle");
        pthread_detach(t);
    }
    return NULL;
}

/* Return: false when programs keep the device open */
static bool wait_for_closes(void)
{
    struct timespec until;
    bool closed;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CLOSE_PATIENCE_MS / 1000;
    pthread_mutex_lock(&serve.lock);
    while (serve.handles > 0 &&
           pthread_cond_timedwait(&serve.changed, &serve.lock, &until) != ETIMEDOUT)
        ;
    closed = serve.handles == 0;
    pthread_mutex_unlock(&serve.lock);
    return closed;
}

/* ---- orders ---------------------------------------------------------------------------------- */

/* Be seen in the slot. Without one, whoever knows the path may open the device. */
static const char *show(void)
{
    struct serve_plug p = {.magic = SERVE_MAGIC};
    char byte;

    if (!serve.slot)
        return NULL;
    strncpy(p.device, serve.path, sizeof(p.device) - 1);
    serve.plug = wire_connect(serve.slot);
    if (serve.plug < 0)
        return "the slot cannot be reached";
    if (wire_send(serve.plug, &p, sizeof(p), NULL, 0, NULL, 0) < 0 ||
        wire_receive(serve.plug, &byte, 1) < 0)
        return "the slot does not take the device";
    return NULL;
}

static void hide(void)
{
    if (serve.plug >= 0)
        close(serve.plug);
    serve.plug = -1;
}

static const char *forget(void)
{
    if (!serve.there)
        return NULL;
    if (!wait_for_closes())
        return "programs keep the device open";
    served_remove();
    serve.there = false;
    return NULL;
}

static const char *order_remove(void)
{
    hide();
    return forget();
}

static const char *order_plug(void)
{
    const char *error = order_remove();

    if (error)
        return error;
    served_plug(&serve.device);
    serve.there = true;
    pthread_mutex_lock(&serve.lock);
    serve.plugged++;
    serve.closed = 0;
    pthread_cond_broadcast(&serve.changed);
    pthread_mutex_unlock(&serve.lock);
    return show();
}

static const char *order_yank(void)
{
    hide();
    if (serve.there)
        served_yank();
    return serve.there ? NULL : "no device";
}

static void print_costs(void)
{
    struct ver_costs c = ver_costs_take();

    printf("ok requests %llu kicks %llu interrupts %llu dpcs %llu registers %llu allocations %llu "
           "mappings %llu\n",
           (unsigned long long)c.requests, (unsigned long long)c.kicks,
           (unsigned long long)c.interrupts, (unsigned long long)c.dpcs,
           (unsigned long long)c.register_accesses, (unsigned long long)c.pool_allocations,
           (unsigned long long)c.payload_mappings);
}

/* Return: false when the path is too long */
static bool use_daemon(const char *path)
{
    if (strlen(path) >= sizeof(serve.daemon))
        return false;
    strcpy(serve.daemon, path);
    share_adopt(serve.daemon);
    return true;
}

static const char *order_device(const char *order)
{
    struct vdev *d = served_device();

    if (strcmp(order, "sleep") == 0)
        return served_sleep() ? NULL : "it does not sleep";
    if (strncmp(order, "daemon ", 7) == 0) {
        if (!use_daemon(order + 7))
            return "the path is too long";
        model_replace_daemon(d, true);
        return NULL;
    }
    if (strncmp(order, "unseen ", 7) == 0) {
        if (!use_daemon(order + 7))
            return "the path is too long";
        model_replace_daemon(d, false);
        return NULL;
    }
    if (strcmp(order, "needs-reset") == 0)
        vdev_needs_reset(d);
    else if (strcmp(order, "hold") == 0)
        vdev_fault(d, FAULT_HOLD);
    else if (strcmp(order, "release") == 0) {
        vdev_fault(d, FAULT_NONE);
        vdev_release(d, 0);
    } else {
        return "no such order";
    }
    return NULL;
}

/* Return: false at the end */
static bool obey(const char *order)
{
    const char *error;

    if (strcmp(order, "plug") == 0) {
        error = order_plug();
    } else if (strcmp(order, "remove") == 0) {
        error = order_remove();
    } else if (strcmp(order, "yank") == 0) {
        error = order_yank();
    } else if (strcmp(order, "costs") == 0) {
        print_costs();
        return true;
    } else if (!serve.there) {
        error = "no device";
    } else if (strcmp(order, "held") == 0) {
        printf("ok %u\n", vdev_held(served_device()));
        return true;
    } else {
        error = order_device(order);
    }
    printf("%s %s\n", error ? "error" : "ok", error ? error : "");
    return true;
}

static void obey_orders(void)
{
    char line[512];

    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (!obey(line))
            break;
        fflush(stdout);
    }
}

/* ---- the machine ----------------------------------------------------------------------------- */

static int usage(void)
{
    fprintf(
        stderr,
        "usage: nt-bench --serve SOCKET --driver FILE --daemon SOCKET [--slot SOCKET] [--tag TAG]\n"
        "                [--queues N] [--queue-size N] [--unplugged] [--virtio-win]\n");
    return 2;
}

static int parse(int argc, char **argv, bool *unplugged)
{
    static const struct option options[] = {
        {"serve", required_argument, NULL, 's'},      {"driver", required_argument, NULL, 'd'},
        {"daemon", required_argument, NULL, 'v'},     {"slot", required_argument, NULL, 'p'},
        {"tag", required_argument, NULL, 't'},        {"queues", required_argument, NULL, 'q'},
        {"queue-size", required_argument, NULL, 'n'}, {"unplugged", no_argument, NULL, 'u'},
        {"virtio-win", no_argument, NULL, 'w'},       {NULL, 0, NULL, 0}};
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 's':
            serve.path = optarg;
            break;
        case 'd':
            bench_set_driver(optarg);
            break;
        case 'v':
            if (!use_daemon(optarg))
                return usage();
            break;
        case 'p':
            serve.slot = optarg;
            break;
        case 't':
            serve.device.tag = optarg;
            break;
        case 'q':
            serve.device.request_queues = (uint32_t)atoi(optarg);
            break;
        case 'n':
            serve.device.queue_size = (uint32_t)atoi(optarg);
            break;
        case 'u':
            *unplugged = true;
            break;
        case 'w':
            serve.virtio_win = true;
            break;
        default:
            return usage();
        }
    }
    if (!serve.path || !serve.daemon[0] || optind != argc || strlen(serve.path) >= 100)
        return usage();
    return 0;
}

int serve_main(int argc, char **argv)
{
    bool unplugged = false;
    const char *error;
    pthread_t t;

    if (parse(argc, argv, &unplugged) != 0)
        return 2;
    mem_init();
    mem_recycle();
    thr_init();
    trap_init();
    nt_begin();
    serve.listener = wire_listen(serve.path);
    if (serve.listener < 0 || pthread_create(&t, NULL, accept_main, NULL) != 0)
        ver_stop("bench", "cannot listen at %s", serve.path);
    pthread_detach(t);
    error = unplugged ? NULL : order_plug();
    if (error)
        ver_stop("bench", "%s", error);
    obey_orders();
    error = order_remove();
    if (error)
        ver_stop("scenario", "at the end %s", error);
    unlink(serve.path);
    nt_end();
    ver_leaks();
    return ver_complaints() ? BENCH_EXIT_COMPLAINED : BENCH_EXIT_PASSED;
}
