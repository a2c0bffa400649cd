// SPDX-License-Identifier: BSD-3-Clause
/*
 * nt_pdo.c - the PCI bus driver: the device object below the driver under test
 *
 * Theory of operation
 *
 *   Answers the requests that reach the bottom of the stack, switches the function on and off as Windows'
 *   PCI driver does, and sees that requests get here in an order that makes sense: a driver that forgets to
 *   pass a request down is found by what the bus driver did not see.
 *
 *   A slow PDO pends every request and completes it from another thread.
 */
#include "tests/nt-bench/nt.h"

/* wdmguid.h: GUID_BUS_INTERFACE_STANDARD */
static const GUID bus_interface = {
    0x496b8280, 0x6f25, 0x11d0, {0xbe, 0xaf, 0x08, 0x00, 0x2b, 0xe2, 0x09, 0x2f}};

static DRIVER_OBJECT bus_driver;

struct nt_pdo *nt_pdo_of(PDEVICE_OBJECT pdo)
{
    return pdo && pdo->DriverObject == &bus_driver ? pdo->DeviceExtension : NULL;
}

/* ---- configuration space --------------------------------------------------------------------- */

static VOID NTAPI reference(PVOID context)
{
    ver_take(VER_BUS_INTERFACE, context, 0, CALLER);
}

static VOID NTAPI dereference(PVOID context)
{
    if (!ver_give(VER_BUS_INTERFACE, context, NULL))
        ver_complain("bus-interface", "dereferenced too often, at %s", ver_where(CALLER));
}

static ULONG access_config(struct nt_pdo *p, ULONG space, PVOID buffer, ULONG offset, ULONG length,
                           bool write, const void *caller)
{
    nt_irql("bus interface", PASSIVE_LEVEL, DISPATCH_LEVEL, caller);
    if (!ver_has(VER_BUS_INTERFACE, p, NULL))
        ver_complain("bus-interface", "used at %s without a reference", ver_where(caller));
    if (space != PCI_WHICHSPACE_CONFIG)
        return 0;
    vdev_config(p->device, offset, buffer, length, write);
    return length;
}

static ULONG NTAPI get_bus_data(PVOID context, ULONG space, PVOID buffer, ULONG offset,
                                ULONG length)
{
    return access_config(context, space, buffer, offset, length, false, CALLER);
}

static ULONG NTAPI set_bus_data(PVOID context, ULONG space, PVOID buffer, ULONG offset,
                                ULONG length)
{
    return access_config(context, space, buffer, offset, length, true, CALLER);
}

static NTSTATUS query_interface(struct nt_pdo *p, PIO_STACK_LOCATION s, NTSTATUS status)
{
    PBUS_INTERFACE_STANDARD b = (PBUS_INTERFACE_STANDARD)s->Parameters.QueryInterface.Interface;

    if (memcmp(s->Parameters.QueryInterface.InterfaceType, &bus_interface, sizeof(GUID)) != 0 ||
        s->Parameters.QueryInterface.Size < sizeof(*b))
        return status;
    if (fail_now())
        return STATUS_INSUFFICIENT_RESOURCES;
    RtlZeroMemory(b, sizeof(*b));
    b->Size = sizeof(*b);
    b->Version = 1;
    b->Context = p;
    b->InterfaceReference = reference;
    b->InterfaceDereference = dereference;
    b->SetBusData = set_bus_data;
    b->GetBusData = get_bus_data;
    ver_take(VER_BUS_INTERFACE, p, 0, NULL);
    return STATUS_SUCCESS;
}

/* ---- plug and play --------------------------------------------------------------------------- */

static NTSTATUS start(struct nt_pdo *p)
{
    if (p->fail_start)
        return STATUS_UNSUCCESSFUL;
    p->started = TRUE;
    if (p->power != PowerDeviceD0)
        vdev_set_power(p->device, VDEV_D0);
    p->power = PowerDeviceD0;
    vdev_decode(p->device, true);
    return STATUS_SUCCESS;
}

static NTSTATUS stop(struct nt_pdo *p, const char *why)
{
    if (!p->surprise && vdev_running(p->device) && vdev_bus_master(p->device))
        ver_complain("pnp", "device is still running %s", why);
    p->started = FALSE;
    vdev_decode(p->device, false);
    return STATUS_SUCCESS;
}

static NTSTATUS query_capabilities(PIO_STACK_LOCATION s)
{
    PDEVICE_CAPABILITIES c = s->Parameters.DeviceCapabilities.Capabilities;

    c->DeviceState[PowerSystemWorking] = PowerDeviceD0;
    for (int i = PowerSystemSleeping1; i <= PowerSystemShutdown; i++)
        c->DeviceState[i] = PowerDeviceD3;
    c->SurpriseRemovalOK = FALSE;
    c->Removable = TRUE;
    return STATUS_SUCCESS;
}

static NTSTATUS pnp(PDEVICE_OBJECT pdo, PIO_STACK_LOCATION s, NTSTATUS status)
{
    struct nt_pdo *p = pdo->DeviceExtension;

    p->seen |= 1ull << (s->MinorFunction & 63);
    switch (s->MinorFunction) {
    case IRP_MN_START_DEVICE:
        return start(p);
    case IRP_MN_STOP_DEVICE:
        return stop(p, "when stopped");
    case IRP_MN_REMOVE_DEVICE:
        p->removed = TRUE;
        vdev_forbid(p->device, "after removal");
        return stop(p, "when removed");
    case IRP_MN_SURPRISE_REMOVAL:
        p->surprise = TRUE;
        return stop(p, "");
    case IRP_MN_QUERY_STOP_DEVICE:
    case IRP_MN_CANCEL_STOP_DEVICE:
    case IRP_MN_QUERY_REMOVE_DEVICE:
    case IRP_MN_CANCEL_REMOVE_DEVICE:
    case IRP_MN_DEVICE_USAGE_NOTIFICATION:
        return STATUS_SUCCESS;
    case IRP_MN_QUERY_CAPABILITIES:
        return query_capabilities(s);
    case IRP_MN_QUERY_INTERFACE:
        return query_interface(p, s, status);
    case IRP_MN_READ_CONFIG:
        vdev_config(p->device, s->Parameters.ReadWriteConfig.Offset,
                    s->Parameters.ReadWriteConfig.Buffer, s->Parameters.ReadWriteConfig.Length,
                    false);
        return STATUS_SUCCESS;
    case IRP_MN_WRITE_CONFIG:
        vdev_config(p->device, s->Parameters.ReadWriteConfig.Offset,
                    s->Parameters.ReadWriteConfig.Buffer, s->Parameters.ReadWriteConfig.Length,
                    true);
        return STATUS_SUCCESS;
    default:
        return status; /* an unknown request keeps the status it came with */
    }
}

/* ---- power ----------------------------------------------------------------------------------- */

static NTSTATUS power(PDEVICE_OBJECT pdo, PIO_STACK_LOCATION s, NTSTATUS status)
{
    struct nt_pdo *p = pdo->DeviceExtension;
    DEVICE_POWER_STATE to;

    if (s->MinorFunction == IRP_MN_QUERY_POWER)
        return STATUS_SUCCESS;
    if (s->MinorFunction != IRP_MN_SET_POWER)
        return status;
    if (s->Parameters.Power.Type == SystemPowerState)
        return STATUS_SUCCESS;
    to = s->Parameters.Power.State.DeviceState;
    if (to != PowerDeviceD0)
        vdev_set_power(p->device, VDEV_D3);
    else if (p->power != PowerDeviceD0)
        vdev_set_power(p->device, VDEV_D0);
    p->power = to;
    return STATUS_SUCCESS;
}

/* ---- dispatch -------------------------------------------------------------------------------- */

static NTSTATUS carry_out(PDEVICE_OBJECT pdo, PIRP irp)
{
    PIO_STACK_LOCATION s = IoGetCurrentIrpStackLocation(irp);

    if (s->MajorFunction == IRP_MJ_PNP)
        return pnp(pdo, s, irp->IoStatus.Status);
    if (s->MajorFunction == IRP_MJ_POWER)
        return power(pdo, s, irp->IoStatus.Status);
    return STATUS_INVALID_DEVICE_REQUEST;
}

struct late {
    PDEVICE_OBJECT pdo;
    PIRP irp;
};

static HOST void complete_late(void *arg)
{
    struct late l = *(struct late *)arg;

    bench_free(arg);
    clk_sleep_ms(1);
    l.irp->IoStatus.Status = carry_out(l.pdo, l.irp);
    IofCompleteRequest(l.irp, IO_NO_INCREMENT);
}

static NTSTATUS NTAPI dispatch(PDEVICE_OBJECT pdo, PIRP irp)
{
    struct nt_pdo *p = pdo->DeviceExtension;
    NTSTATUS status;

    nt_irql("a PnP or power request", PASSIVE_LEVEL, PASSIVE_LEVEL, CALLER);
    if (p->slow) {
        struct late *l = bench_alloc(sizeof(*l));

        *l = (struct late){pdo, irp};
        IoMarkIrpPending(irp);
        thr_start("bus driver", complete_late, l);
        return STATUS_PENDING;
    }
    status = carry_out(pdo, irp);
    irp->IoStatus.Status = status;
    IofCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

/* ---- life ------------------------------------------------------------------------------------ */

PDEVICE_OBJECT nt_pdo_new(struct vdev *d, ULONG messages)
{
    PDEVICE_OBJECT pdo = mem_alloc(MEM_BENCH, sizeof(*pdo), 0, 0, NULL);
    struct nt_pdo *p = bench_alloc(sizeof(*p));

    for (int i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++)
        bus_driver.MajorFunction[i] = dispatch;
    RtlZeroMemory(pdo, sizeof(*pdo));
    pdo->Type = 3;
    pdo->StackSize = 1;
    pdo->DriverObject = &bus_driver;
    pdo->DeviceExtension = p;
    pdo->Flags = DO_POWER_PAGABLE;
    p->device = d;
    p->messages = messages;
    p->power = PowerDeviceD3;
    return pdo;
}

void nt_pdo_free(PDEVICE_OBJECT pdo)
{
    bench_free(pdo->DeviceExtension);
    mem_free(MEM_BENCH, pdo);
}

static PCM_PARTIAL_RESOURCE_DESCRIPTOR add_memory(PCM_PARTIAL_RESOURCE_DESCRIPTOR r, struct vdev *d)
{
    for (unsigned i = 0; i < 6; i++) {
        uint64_t phys, size;

        if (!vdev_bar(d, i, &phys, &size))
            continue;
        r->Type = CmResourceTypeMemory;
        r->ShareDisposition = CmResourceShareDeviceExclusive;
        r->u.Memory.Start.QuadPart = (LONGLONG)phys;
        r->u.Memory.Length = (ULONG)size;
        r++;
    }
    return r;
}

static PCM_PARTIAL_RESOURCE_DESCRIPTOR add_interrupts(PCM_PARTIAL_RESOURCE_DESCRIPTOR r,
                                                      ULONG messages)
{
    r->Type = CmResourceTypeInterrupt;
    r->ShareDisposition = messages ? CmResourceShareDeviceExclusive : CmResourceShareShared;
    if (messages == 0) {
        r->Flags = CM_RESOURCE_INTERRUPT_LEVEL_SENSITIVE;
        r->u.Interrupt.Level = 8;
        r->u.Interrupt.Vector = 0x60;
        r->u.Interrupt.Affinity = 1;
        return r + 1;
    }
    for (ULONG i = 0; i < messages; i++, r++) {
        r->Type = CmResourceTypeInterrupt;
        r->Flags = CM_RESOURCE_INTERRUPT_LATCHED | CM_RESOURCE_INTERRUPT_MESSAGE;
        r->u.MessageInterrupt.Translated.Level = 8;
        r->u.MessageInterrupt.Translated.Vector = 0x70 + i;
        r->u.MessageInterrupt.Translated.Affinity = 1;
    }
    return r;
}

/* What the PnP manager assigns: the memory ranges, then the interrupts. Free with bench_free(). */
PCM_RESOURCE_LIST nt_pdo_resources(PDEVICE_OBJECT pdo)
{
    struct nt_pdo *p = pdo->DeviceExtension;
    PCM_RESOURCE_LIST list =
        bench_alloc(sizeof(*list) + 64 * sizeof(CM_PARTIAL_RESOURCE_DESCRIPTOR));
    PCM_PARTIAL_RESOURCE_LIST partial = &list->List[0].PartialResourceList;
    PCM_PARTIAL_RESOURCE_DESCRIPTOR end;

    list->Count = 1;
    list->List[0].InterfaceType = PCIBus;
    partial->Version = partial->Revision = 1;
    end = add_interrupts(add_memory(partial->PartialDescriptors, p->device), p->messages);
    partial->Count = (ULONG)(end - partial->PartialDescriptors);
    return list;
}
