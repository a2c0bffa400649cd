// SPDX-License-Identifier: BSD-3-Clause
/*
 * rig.h - a machine for scenarios: devices, the PnP and power managers, programs with handles
 *
 * Theory of operation
 *
 *   The rig plays the parts of Windows that talk to a driver: it plugs a device in and sends the requests
 *   that the PnP and power managers send, in their order; it opens handles and sends I/O as the I/O
 *   manager builds it, with system buffers, locked pages and the checks at the end.
 *
 *   A scenario asserts with CHECK (goes on) and REQUIRE (ends); everything else that goes wrong is the
 *   verifier's to say.
 */
#ifndef VIOFS_NT_BENCH_RIG_H
#define VIOFS_NT_BENCH_RIG_H

#include "abi/viofs_ioctl.h"
#include "tests/nt-bench/nt.h"

#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ver_complain("scenario", __VA_ARGS__);                                                 \
    } while (0)
#define REQUIRE(condition, ...)                                                                    \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ver_stop("scenario", __VA_ARGS__);                                                     \
    } while (0)

/* ---- devices --------------------------------------------------------------------------------- */

struct rig_options {
    struct vdev_options device;
    ULONG
    messages; /* MSI-X messages granted; 0 with few_messages unset: one per queue and one more */
    BOOLEAN no_messages;
    BOOLEAN slow_bus; /* requests to the bus driver pend */
};

struct rig {
    struct vdev *device;
    PDEVICE_OBJECT pdo, fdo; /* fdo NULL before AddDevice and after removal */
    PCM_RESOURCE_LIST resources;
    ULONG open_handles;
};

/* rig_plug() - a device appears: PDO, AddDevice. @o may be NULL. Stops when AddDevice fails. */
struct rig *rig_plug(const struct rig_options *o);
/* rig_plug_only() - the device and its PDO; rig_add() - AddDevice */
struct rig *rig_plug_only(const struct rig_options *o);
NTSTATUS rig_add(struct rig *r);
NTSTATUS rig_start(struct rig *r);
/* rig_up() - rig_plug() and a start that must succeed */
struct rig *rig_up(const struct rig_options *o);
NTSTATUS rig_pnp(struct rig *r, UCHAR minor);
/* rig_eject() - query, remove; then the device is unplugged and freed. All handles closed. */
void rig_eject(struct rig *r);
/* rig_remove() - REMOVE_DEVICE and what follows, without a query */
void rig_remove(struct rig *r);
/* rig_yank() - the device is pulled out: registers read as ones, SURPRISE_REMOVAL is sent */
void rig_yank(struct rig *r);

/* ---- power ----------------------------------------------------------------------------------- */

/* rig_power() - the power manager moves the system to @state. Return: status of SET_POWER. */
NTSTATUS rig_power(struct rig *r, SYSTEM_POWER_STATE state);
NTSTATUS rig_query_power(struct rig *r, SYSTEM_POWER_STATE state);

/* ---- programs -------------------------------------------------------------------------------- */

struct handle {
    struct rig *rig;
    PDEVICE_OBJECT top;
    PFILE_OBJECT file;
    PVOID process;
};
/* rig_open() - NULL when the driver refuses; @status may be NULL */
struct handle *rig_open_as(struct rig *r, PVOID process, NTSTATUS *status);
struct handle *rig_open(struct rig *r);
/* rig_cleanup() - the last handle of the file is closed; rig_close() - that, and the file object goes */
void rig_cleanup(struct handle *h);
void rig_close(struct handle *h);

#define RIG_USER1 ((PVOID)0x1001)
#define RIG_USER2 ((PVOID)0x1002)

/* How a program's output buffer lies. */
struct rig_buffer {
    ULONG offset;       /* in its first page */
    BOOLEAN contiguous; /* physically */
};

/* One DeviceIoControl under way. Made by rig_io_new(), ended by rig_io_free() once done. */
struct rig_io {
    struct nt_outcome o;
    struct handle *h;
    ULONG code;
    PVOID system_buffer;
    ULONG in_len, out_len;
    PVOID user;   /* output buffer as the driver may see it */
    uint8_t *out; /* the same, as the program sees it */
    PMDL mdl;
    NTSTATUS status; /* when done */
    ULONG information;
};
struct rig_io *rig_io_new(struct handle *h, ULONG code, const void *in, ULONG in_len, ULONG out_len,
                          const struct rig_buffer *b);
/* rig_io_send() - Return: what the driver's dispatch routine returned */
NTSTATUS rig_io_send(struct rig_io *io);
BOOLEAN rig_io_done(struct rig_io *io);
/* rig_io_wait() - stops the scenario when it is not done after @ms of real time */
NTSTATUS rig_io_wait(struct rig_io *io, ULONG ms);
void rig_io_cancel(struct rig_io *io);
void rig_io_free(struct rig_io *io);
/* rig_ioctl() - all of it. @out: copied from the program's buffer; may be NULL. Return: status */
NTSTATUS rig_ioctl(struct handle *h, ULONG code, const void *in, ULONG in_len, void *out,
                   ULONG out_len, ULONG *information);

/* rig_query() - IOCTL_VIOFS_QUERY, which must work */
struct viofs_query_out rig_query(struct handle *h);
uint64_t rig_epoch(struct handle *h);

/* ---- threads --------------------------------------------------------------------------------- */

/* rig_together() - run @fn on @n threads at once, each with its number, and wait for all */
void rig_together(unsigned n, void (*fn)(void *ctx, unsigned number), void *ctx);
/* rig_random() - the next of a reproducible sequence */
ULONG rig_random(ULONG *state);

/* ---- the driver ------------------------------------------------------------------------------ */

PDRIVER_OBJECT rig_driver(void);

/* Tables of scenarios, one a file. */
extern const struct scenario scenarios_pnp[], scenarios_io[], scenarios_cancel[], scenarios_power[],
    scenarios_fault[], scenarios_caller[], scenarios_memory[], scenarios_cost[];
extern const unsigned n_scenarios_pnp, n_scenarios_io, n_scenarios_cancel, n_scenarios_power,
    n_scenarios_fault, n_scenarios_caller, n_scenarios_memory, n_scenarios_cost;

#endif
