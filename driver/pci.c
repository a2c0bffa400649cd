// SPDX-License-Identifier: BSD-3-Clause
/*
 * pci.c - where the registers are: BARs and virtio's capabilities
 *
 * Theory of operation
 *
 *   The PnP manager hands out memory ranges without saying which BAR each belongs to. The BAR registers
 *   in configuration space say it: a range starts where exactly one of them points. Ranges are compared
 *   as the bus sees them (raw resources) and mapped as the processor sees them (translated resources,
 *   same order).
 *
 *   The capability list is walked with a bound; a capability counts only if it lies wholly inside a
 *   mapped memory BAR, is long enough for its structure and aligned for it, and of several of one type
 *   the first that does is used (virtio 1.2, 4.1.4.1).
 *
 * Ownership: mappings and the reference on the bus interface are held from drv_pci_map() to
 * drv_pci_unmap().   Locks: the caller holds drv_device.state.
 */
#include "driver/drv.h"

/* GUID_BUS_INTERFACE_STANDARD of wdmguid.h */
static const GUID bus_interface_standard = {
    0x496b8280, 0x6f25, 0x11d0, {0xbe, 0xaf, 0x08, 0x00, 0x2b, 0xe2, 0x09, 0x2f}};

#define MOST_CAPABILITIES 48 /* 192 bytes of configuration space hold no more */

static bool config_read(struct drv_device *dev, uint32_t at, void *buffer, uint32_t len)
{
    BUS_INTERFACE_STANDARD *bus = &dev->pci.bus;

    return bus->GetBusData(bus->Context, PCI_WHICHSPACE_CONFIG, buffer, at, len) == len;
}

/* Ask the bus driver for access to configuration space. */
static NTSTATUS bus_open(struct drv_device *dev)
{
    BUS_INTERFACE_STANDARD *bus = &dev->pci.bus;
    IO_STATUS_BLOCK io = {0};
    IO_STACK_LOCATION *stack;
    NTSTATUS status;
    KEVENT done;
    IRP *irp;

    KeInitializeEvent(&done, NotificationEvent, FALSE);
    irp = IoBuildSynchronousFsdRequest(IRP_MJ_PNP, dev->lower, NULL, 0, NULL, &done, &io);
    if (!irp)
        return STATUS_INSUFFICIENT_RESOURCES;
    irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
    stack = IoGetNextIrpStackLocation(irp);
    stack->MinorFunction = IRP_MN_QUERY_INTERFACE;
    stack->Parameters.QueryInterface.InterfaceType = &bus_interface_standard;
    stack->Parameters.QueryInterface.Size = sizeof(*bus);
    stack->Parameters.QueryInterface.Version = 1;
    stack->Parameters.QueryInterface.Interface = (INTERFACE *)bus;
    status = IoCallDriver(dev->lower, irp);
    if (status == STATUS_PENDING) {
        KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
        status = io.Status;
    }
    return status;
}

/* Where BAR @i points and whether it takes the next register too. Return: false for none or I/O. */
static bool bar_read(struct drv_device *dev, uint32_t i, uint64_t *address, bool *wide)
{
    uint32_t low, high = 0;

    *wide = false;
    if (!config_read(dev, PCI_REG_BAR0 + 4 * i, &low, sizeof(low)) || (low & PCI_BAR_IS_IO))
        return false;
    if ((low & PCI_BAR_TYPE_MASK) == PCI_BAR_TYPE_64 && i + 1 < PCI_BARS) {
        *wide = true;
        if (!config_read(dev, PCI_REG_BAR0 + 4 * (i + 1), &high, sizeof(high)))
            return false;
    }
    *address = ((uint64_t)high << 32) | (low & ~PCI_BAR_FLAGS);
    return *address != 0;
}

/* Map the range that starts where BAR @i points, if there is one. */
static NTSTATUS bar_map(struct drv_device *dev, uint32_t i, uint64_t address, CM_RESOURCE_LIST *raw,
                        CM_RESOURCE_LIST *translated)
{
    /* Through pointers to the lists: gcc takes List[0]....PartialDescriptors[i] for an array of one. */
    CM_PARTIAL_RESOURCE_LIST *from = &raw->List[0].PartialResourceList;
    CM_PARTIAL_RESOURCE_LIST *to = &translated->List[0].PartialResourceList;
    CM_PARTIAL_RESOURCE_DESCRIPTOR *r = from->PartialDescriptors;
    CM_PARTIAL_RESOURCE_DESCRIPTOR *t = to->PartialDescriptors;
    struct drv_bar *bar = &dev->pci.bar[i];

    for (ULONG n = 0; n < from->Count && n < to->Count; n++, r++, t++) {
        if (r->Type != CmResourceTypeMemory || t->Type != CmResourceTypeMemory ||
            (uint64_t)r->u.Memory.Start.QuadPart != address || t->u.Memory.Length == 0)
            continue;
        bar->va = MmMapIoSpace(t->u.Memory.Start, t->u.Memory.Length, MmNonCached);
        if (!bar->va)
            return STATUS_INSUFFICIENT_RESOURCES;
        bar->bus = address;
        bar->len = t->u.Memory.Length;
        break;
    }
    return STATUS_SUCCESS;
}

static NTSTATUS bars_map(struct drv_device *dev, CM_RESOURCE_LIST *raw,
                         CM_RESOURCE_LIST *translated)
{
    uint64_t address;
    bool wide;

    for (uint32_t i = 0; i < PCI_BARS; i += wide ? 2 : 1) {
        if (!bar_read(dev, i, &address, &wide))
            continue;
        NTSTATUS status = bar_map(dev, i, address, raw, translated);
        if (!NT_SUCCESS(status))
            return status;
    }
    return STATUS_SUCCESS;
}

/* The mapped bytes that a capability names, or NULL when it names something else. */
static uint8_t *cap_target(struct drv_device *dev, const struct virtio_pci_cap *cap, uint32_t least,
                           uint32_t align)
{
    struct drv_bar *bar;

    if (cap->bar >= PCI_BARS)
        return NULL;
    bar = &dev->pci.bar[cap->bar];
    if (!bar->va || cap->length < least || (cap->offset & (align - 1)) != 0 ||
        cap->offset > bar->len || cap->length > bar->len - cap->offset)
        return NULL;
    return bar->va + cap->offset;
}

static void cap_take(struct drv_device *dev, const struct virtio_pci_cap *cap)
{
    struct drv_pci *pci = &dev->pci;
    uint8_t *at;

    switch (cap->cfg_type) {
    case VIRTIO_PCI_CAP_COMMON:
        at = cap_target(dev, cap, sizeof(struct virtio_pci_common), 4);
        if (at && !pci->common)
            pci->common = (volatile struct virtio_pci_common *)(void *)at;
        break;
    case VIRTIO_PCI_CAP_NOTIFY:
        at = cap_target(dev, cap, 2, 2);
        if (at && !pci->notify && cap->cap_len >= sizeof(*cap)) {
            pci->notify = at;
            pci->notify_len = cap->length;
            pci->notify_mult = cap->notify_off_multiplier;
        }
        break;
    case VIRTIO_PCI_CAP_ISR:
        at = cap_target(dev, cap, 1, 1);
        if (at && !pci->isr)
            pci->isr = at;
        break;
    case VIRTIO_PCI_CAP_DEVICE:
        at = cap_target(dev, cap, sizeof(struct virtio_fs_config), 4);
        if (at && !pci->config) {
            pci->config = at;
            pci->config_len = cap->length;
        }
        break;
    default:
        break;
    }
}

static NTSTATUS caps_walk(struct drv_device *dev)
{
    uint16_t status = 0;
    uint8_t at = 0;

    if (!config_read(dev, PCI_REG_STATUS, &status, sizeof(status)) ||
        !(status & PCI_STATUS_CAPABILITIES) ||
        !config_read(dev, PCI_REG_CAPABILITIES, &at, sizeof(at)))
        return STATUS_DEVICE_CONFIGURATION_ERROR;

    for (int n = 0; n < MOST_CAPABILITIES && (at &= 0xFC) != 0; n++) {
        struct virtio_pci_cap cap = {0};
        uint32_t len = sizeof(cap);

        if (at + len > 256) /* the last ones of the space may be shorter than ours */
            len = 256u - at;
        if (!config_read(dev, at, &cap, len))
            return STATUS_DEVICE_CONFIGURATION_ERROR;
        if (cap.cap_vndr == PCI_CAP_VENDOR && cap.cap_len >= 16)
            cap_take(dev, &cap);
        at = cap.cap_next;
    }
    return dev->pci.common && dev->pci.notify && dev->pci.isr && dev->pci.config
               ? STATUS_SUCCESS
               : STATUS_DEVICE_CONFIGURATION_ERROR;
}

/**
 * drv_pci_map() - map the BARs and find virtio's structures in them
 * @raw, @translated: the resources of IRP_MN_START_DEVICE
 *
 * IRQL: PASSIVE_LEVEL, state mutex held. After an error nothing is held.
 */
NTSTATUS drv_pci_map(struct drv_device *dev, CM_RESOURCE_LIST *raw, CM_RESOURCE_LIST *translated)
{
    NTSTATUS status;

    if (!raw || !translated || raw->Count == 0 || translated->Count == 0)
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    RtlZeroMemory(&dev->pci, sizeof(dev->pci));
    status = bus_open(dev);
    if (!NT_SUCCESS(status))
        return status;
    status = bars_map(dev, raw, translated);
    if (NT_SUCCESS(status))
        status = caps_walk(dev);
    if (!NT_SUCCESS(status)) {
        drv_log(dev, IO_ERR_CONFIGURATION_ERROR, DRV_WHY_NO_REGISTERS, (uint32_t)status);
        drv_pci_unmap(dev);
    }
    return status;
}

/** drv_pci_unmap() - undo drv_pci_map(). IRQL: PASSIVE_LEVEL, state mutex held. */
void drv_pci_unmap(struct drv_device *dev)
{
    for (uint32_t i = 0; i < PCI_BARS; i++) {
        struct drv_bar *bar = &dev->pci.bar[i];
        if (bar->va)
            MmUnmapIoSpace(bar->va, (SIZE_T)bar->len);
    }
    if (dev->pci.bus.InterfaceDereference)
        dev->pci.bus.InterfaceDereference(dev->pci.bus.Context);
    RtlZeroMemory(&dev->pci, sizeof(dev->pci));
}

/**
 * drv_pci_gone() - does configuration space say that there is no function any more?
 *
 * Registers that read as ones are no proof: the device answers for those itself. IRQL: PASSIVE_LEVEL.
 */
bool drv_pci_gone(struct drv_device *dev)
{
    uint32_t id = 0;

    return !config_read(dev, 0, &id, sizeof(id)) || id == 0xFFFFFFFFu;
}

/**
 * drv_pci_bus_master() - let the device reach memory, or cut it off
 *
 * A function whose bus master bit is clear cannot read or write memory (PCI 3.0, 6.2.2): the last resort
 * against a device that does not obey a reset.
 *
 * Return: true if the bit now has that value. IRQL: PASSIVE_LEVEL, state mutex held.
 */
bool drv_pci_bus_master(struct drv_device *dev, bool on)
{
    BUS_INTERFACE_STANDARD *bus = &dev->pci.bus;
    uint16_t want, command = 0;

    if (!config_read(dev, PCI_REG_COMMAND, &command, sizeof(command)))
        return false;
    want = (uint16_t)(on ? command | PCI_COMMAND_MASTER : command & ~PCI_COMMAND_MASTER);
    if (want == command)
        return true;
    bus->SetBusData(bus->Context, PCI_WHICHSPACE_CONFIG, &want, PCI_REG_COMMAND, sizeof(want));
    return config_read(dev, PCI_REG_COMMAND, &command, sizeof(command)) && command == want;
}
