// SPDX-License-Identifier: BSD-3-Clause
/*
 * rig_serve.c - the device, handles and requests of callers in other processes
 *
 * Theory of operation
 *
 *   A scenario's thread sends and waits itself. Here one thread of a handle sends and another one
 *   collects, so a request is done with only when the driver has ended it, the sender has come back from the
 *   dispatch routine, and nobody is cancelling it.
 *
 * Locks: the big lock guards the list of each handle; `doors` makes opening and closing take turns, as the
 *   object manager does for a device.
 */
#include "tests/nt-bench/rig.h"
#include "tests/nt-bench/served.h"

#define MOST_BYTES                                                                                 \
    (48u << 20) /* of buffers under way, on all handles: the machine has little memory */

struct served_io {
    struct served_io *next;
    struct rig_io *io;
    uint64_t id;
    ULONG bytes;
    BOOLEAN sent;
    LONG cancelling;
};

struct served {
    struct handle *h;
    struct served_io *first; /* under way or not collected */
    BOOLEAN cleaned;
};

static struct {
    struct rig *rig;
    BOOLEAN yanked;
    BOOLEAN door_busy;
    ULONG64 bytes;
} machine;

static void enter_door(void)
{
    k_lock();
    while (machine.door_busy)
        k_wait(K_FOREVER);
    machine.door_busy = TRUE;
    k_unlock();
}

static void leave_door(void)
{
    k_lock();
    machine.door_busy = FALSE;
    k_wake();
    k_unlock();
}

/* ---- the device ------------------------------------------------------------------------------ */

HOST void served_plug(const struct vdev_options *o)
{
    struct rig_options options = {.device = *o};
    struct rig *r = rig_up(&options);

    k_lock();
    machine.rig = r;
    machine.yanked = FALSE;
    k_unlock();
}

HOST struct vdev *served_device(void)
{
    return machine.rig->device;
}

HOST void served_yank(void)
{
    enter_door();
    machine.yanked = TRUE;
    rig_yank(machine.rig);
    leave_door();
}

HOST void served_remove(void)
{
    struct rig *r = machine.rig;

    enter_door();
    machine.rig = NULL;
    if (machine.yanked)
        rig_remove(r);
    else
        rig_eject(r);
    leave_door();
}

HOST bool served_sleep(void)
{
    bool ok;

    enter_door();
    ok = NT_SUCCESS(rig_query_power(machine.rig, PowerSystemSleeping3)) &&
         NT_SUCCESS(rig_power(machine.rig, PowerSystemSleeping3)) &&
         NT_SUCCESS(rig_power(machine.rig, PowerSystemWorking));
    leave_door();
    return ok;
}

/* ---- handles --------------------------------------------------------------------------------- */

HOST struct served *served_open(uint64_t process, uint32_t *status)
{
    struct served *s = bench_alloc(sizeof(*s));
    NTSTATUS st = STATUS_DEVICE_NOT_CONNECTED;

    enter_door();
    if (machine.rig && !machine.yanked)
        s->h = rig_open_as(machine.rig, (PVOID)(ULONG_PTR)(process + 1), &st);
    leave_door();
    *status = (uint32_t)st;
    if (s->h)
        return s;
    bench_free(s);
    return NULL;
}

HOST void served_cleanup(struct served *s)
{
    enter_door();
    rig_cleanup(s->h);
    leave_door();
    k_lock();
    s->cleaned = TRUE;
    k_wake();
    k_unlock();
}

HOST void served_close(struct served *s)
{
    enter_door();
    rig_close(s->h);
    leave_door();
    bench_free(s);
}

/* ---- requests -------------------------------------------------------------------------------- */

HOST struct served_io *served_new(struct served *s, uint64_t id, uint32_t code, const void *in,
                                  uint32_t in_len, uint32_t out_len, uint8_t **out)
{
    struct served_io *i = bench_alloc(sizeof(*i));

    i->id = id;
    i->bytes = 2 * out_len + in_len;
    k_lock();
    while (machine.bytes > 0 && machine.bytes + i->bytes > MOST_BYTES)
        k_wait(K_FOREVER);
    machine.bytes += i->bytes;
    k_unlock();
    i->io = rig_io_new(s->h, code, in, in_len, out_len, NULL);
    *out = i->io->out;
    return i;
}

HOST void served_send(struct served *s, struct served_io *i)
{
    k_lock();
    i->next = s->first;
    s->first = i;
    k_unlock();
    (void)rig_io_send(i->io);
    k_lock();
    i->sent = TRUE;
    k_wake();
    k_unlock();
}

static void cancel_and_unlock(struct served_io *i)
{
    i->cancelling++;
    k_unlock();
    rig_io_cancel(i->io);
    k_lock();
    i->cancelling--;
    k_wake();
}

HOST void served_cancel(struct served *s, uint64_t id)
{
    struct served_io *i;

    k_lock();
    for (i = s->first; i && i->id != id; i = i->next)
        ;
    if (i)
        cancel_and_unlock(i);
    k_unlock();
}

HOST void served_cancel_all(struct served *s)
{
    struct served_io *i;

    k_lock();
    for (i = s->first; i; i = i->next)
        cancel_and_unlock(
            i); /* stays on the list until collected, and only later ones come before it */
    k_unlock();
}

/* One that is done with, taken off the list; with the big lock. */
static struct served_io *take_done(struct served *s)
{
    for (struct served_io **at = &s->first; *at; at = &(*at)->next) {
        struct served_io *i = *at;

        if (i->sent && i->io->o.done && i->cancelling == 0) {
            *at = i->next;
            return i;
        }
    }
    return NULL;
}

HOST struct served_io *served_next(struct served *s)
{
    struct served_io *i;

    k_lock();
    while (!(i = take_done(s)) && !(s->cleaned && !s->first))
        k_wait(K_FOREVER);
    k_unlock();
    return i;
}

HOST struct served_result served_result(const struct served_io *i)
{
    struct served_result r = {.id = i->id,
                              .code = i->io->code,
                              .status = (uint32_t)i->io->status,
                              .information = i->io->information,
                              .out = i->io->out};

    /* The I/O manager copies for success and warnings; of an input buffer nothing is to be copied. */
    if (!NT_ERROR(i->io->status) && (i->io->code & 3) != METHOD_IN_DIRECT)
        r.bytes = min(i->io->information, i->io->out_len);
    return r;
}

HOST void served_free(struct served *s, struct served_io *i)
{
    (void)s;
    rig_io_free(i->io);
    k_lock();
    machine.bytes -= i->bytes;
    k_wake();
    k_unlock();
    bench_free(i);
}
