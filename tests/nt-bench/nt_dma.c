// SPDX-License-Identifier: BSD-3-Clause
/*
 * nt_dma.c - the DMA adapter
 *
 * Theory of operation
 *
 *   The only way for a driver to learn an address that the device may use. A scatter/gather list makes the
 *   pages of an MDL accessible to the device (dma.c) until it is put back, in the direction asked
 *   for; a common buffer until it is freed. Without an IOMMU elements are physical runs, never longer than
 *   contiguity allows; with one they are one run at an address that has nothing to do with physical
 *   memory.
 *
 *   The list routines must be called at DISPATCH_LEVEL; the execution routine is called at once, or later
 *   by another processor when nt_dma_defer says that map registers are short.
 *
 * Source: WDK documentation, "Using the Scatter/Gather Functions"; DMA_OPERATIONS of DMA_ADAPTER version 1.
 */
#include "tests/nt-bench/nt.h"

#define TAG_LIST 0x6c734753 /* "SGsl" */

BOOLEAN nt_dma_defer;

struct adapter {
    DMA_ADAPTER dma;
    struct vdev *device;
};

/* What a list has mapped; lists themselves are the driver's to scribble on. */
struct mapped {
    LIST_ENTRY link;
    PMDL mdl;
    ULONG n;
    BOOLEAN ours; /* the list's memory */
    struct run {
        uint64_t bus, size;
    } run[];
};

static DMA_OPERATIONS operations;
static LIST_ENTRY live_lists = {&live_lists,
                                &live_lists}; /* of struct mapped, under the big lock */

void nt_dma_check_unlock(PMDL mdl, const void *caller)
{
    k_lock();
    for (PLIST_ENTRY e = live_lists.Flink; e != &live_lists; e = e->Flink)
        if (CONTAINING_RECORD(e, struct mapped, link)->mdl == mdl)
            ver_complain("dma-in-flight", "pages unlocked at %s while the device may touch them",
                         ver_where(caller));
    k_unlock();
}

static struct adapter *adapter_of(PDMA_ADAPTER a, const void *caller)
{
    if (!ver_has(VER_ADAPTER, a, NULL))
        ver_stop("dma-adapter", "%p used at %s is none", (void *)a, ver_where(caller));
    return CONTAINING_RECORD(a, struct adapter, dma);
}

PDMA_ADAPTER NTAPI IoGetDmaAdapter(PDEVICE_OBJECT pdo, PDEVICE_DESCRIPTION d, PULONG registers)
{
    struct adapter *a;

    nt_irql("IoGetDmaAdapter", PASSIVE_LEVEL, PASSIVE_LEVEL, CALLER);
    if (d->Version > DEVICE_DESCRIPTION_VERSION2 || !d->Master || !d->ScatterGather ||
        !d->Dma64BitAddresses)
        ver_complain("dma-adapter", "described at %s as no 64-bit bus master", ver_where(CALLER));
    if (fail_now())
        return NULL;
    a = mem_alloc(MEM_BENCH, sizeof(*a), 0, 0, CALLER);
    RtlZeroMemory(a, sizeof(*a));
    a->dma.Version = 1;
    a->dma.Size = sizeof(*a);
    a->dma.DmaOperations = &operations;
    a->device = nt_pdo_of(pdo)->device;
    *registers = d->MaximumLength / PAGE_SIZE + 2;
    ver_take(VER_ADAPTER, a, 0, CALLER);
    return &a->dma;
}

static VOID NTAPI put_adapter(PDMA_ADAPTER dma)
{
    nt_irql("PutDmaAdapter", PASSIVE_LEVEL, PASSIVE_LEVEL, CALLER);
    if (!ver_give(VER_ADAPTER, dma, NULL))
        ver_stop("dma-adapter", "put twice, at %s", ver_where(CALLER));
    mem_free(MEM_BENCH, CONTAINING_RECORD(dma, struct adapter, dma));
}

/* ---- common buffers -------------------------------------------------------------------------- */

static PVOID NTAPI allocate_common_buffer(PDMA_ADAPTER dma, ULONG length, PPHYSICAL_ADDRESS logical,
                                          BOOLEAN cached)
{
    struct adapter *a = adapter_of(dma, CALLER);
    PVOID p;

    (void)cached;
    nt_irql("AllocateCommonBuffer", PASSIVE_LEVEL, PASSIVE_LEVEL, CALLER);
    if (fail_now())
        return NULL;
    p = mem_alloc(MEM_COMMON_BUFFER, length, 0, MEM_CONTIGUOUS | MEM_PAGE_START, CALLER);
    if (!p)
        return NULL;
    logical->QuadPart = (LONGLONG)dma_map(a->device, mem_phys(p), length, DMA_BOTH);
    ver_take(VER_COMMON_BUFFER, p, (uint64_t)logical->QuadPart, CALLER);
    return p;
}

static VOID NTAPI free_common_buffer(PDMA_ADAPTER dma, ULONG length, PHYSICAL_ADDRESS logical,
                                     PVOID p, BOOLEAN cached)
{
    struct adapter *a = adapter_of(dma, CALLER);
    struct mem_info info;
    uint64_t bus = 0;

    (void)cached;
    nt_irql("FreeCommonBuffer", PASSIVE_LEVEL, PASSIVE_LEVEL, CALLER);
    if (!ver_give(VER_COMMON_BUFFER, p, &bus) || !mem_look(p, &info))
        ver_stop("common-buffer", "%p freed at %s is none", p, ver_where(CALLER));
    if (bus != (uint64_t)logical.QuadPart || info.size != length)
        ver_complain("common-buffer", "freed at %s with another address or size",
                     ver_where(CALLER));
    dma_unmap(a->device, bus, info.size, "common buffer");
    mem_free(MEM_COMMON_BUFFER, p);
}

/* ---- scatter/gather lists -------------------------------------------------------------------- */

/* The pages of [@va, @va + @length) of an MDL chain, in order. Return: how many. */
static ULONG collect_pages(PMDL m, PVOID va, ULONG length, uint64_t **pages)
{
    ULONG_PTR at = (ULONG_PTR)va;
    ULONG offset = BYTE_OFFSET(va);
    ULONG n = ADDRESS_AND_SIZE_TO_SPAN_PAGES(va, length);
    ULONG first;

    while (m && (at < (ULONG_PTR)m->StartVa + m->ByteOffset ||
                 at >= (ULONG_PTR)m->StartVa + m->ByteOffset + m->ByteCount))
        m = m->Next;
    if (!m)
        ver_stop("sg-list", "address %p is not in the MDL", va);
    if (at + length > (ULONG_PTR)m->StartVa + m->ByteOffset + m->ByteCount)
        ver_stop("sg-list", "%u bytes at %p go beyond the MDL", length, va);
    if (!(m->MdlFlags & (MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL)))
        ver_complain("sg-list", "the MDL's pages are not locked");
    *pages = bench_alloc((n + 1) * sizeof(**pages));
    first = (ULONG)((at - offset - (ULONG_PTR)m->StartVa) >> PAGE_SHIFT);
    for (ULONG i = 0; i < n; i++)
        (*pages)[i] = nt_mdl_page(m, first + i);
    return n;
}

/* Map pages for the device, as few runs as possible. Return: what was mapped. */
static struct mapped *map_runs(struct adapter *a, const uint64_t *pages, ULONG n, ULONG offset,
                               ULONG length, enum dma_direction dir)
{
    struct mapped *m = bench_alloc(sizeof(*m) + n * sizeof(m->run[0]));

    if (dma_iommu(a->device)) {
        m->n = 1;
        m->run[0].bus = dma_map_pages(a->device, pages, offset, length, dir);
        m->run[0].size = length;
        return m;
    }
    for (ULONG i = 0, run; i < n; i += run) {
        uint64_t size;

        for (run = 1; i + run < n && pages[i + run] == pages[i] + run; run++)
            ;
        size = (uint64_t)run * PAGE_SIZE - offset;
        size = size < length ? size : length;
        m->run[m->n].bus = dma_map(a->device, pages[i] * PAGE_SIZE + offset, size, dir);
        m->run[m->n++].size = size;
        length -= (ULONG)size;
        offset = 0;
    }
    return m;
}

static ULONG list_bytes(ULONG pages)
{
    return (ULONG)FIELD_OFFSET(SCATTER_GATHER_LIST, Elements) +
           pages * (ULONG)sizeof(SCATTER_GATHER_ELEMENT);
}

struct list_call {
    PDEVICE_OBJECT device;
    PSCATTER_GATHER_LIST list;
    PDRIVER_LIST_CONTROL routine;
    PVOID context;
};

static void call_routine(const struct list_call *c)
{
    struct nt_guard g = nt_enter(DISPATCH_LEVEL);

    c->routine(c->device, c->device->CurrentIrp, c->list, c->context);
    nt_leave(&g, DISPATCH_LEVEL, "list routine", (PVOID)c->routine);
}

static HOST void deferred_call(void *arg)
{
    clk_sleep_ms(1);
    call_routine(arg);
    bench_free(arg);
}

static NTSTATUS make_list(struct adapter *a, PDEVICE_OBJECT device, PMDL mdl, PVOID va,
                          ULONG length, PDRIVER_LIST_CONTROL routine, PVOID context,
                          BOOLEAN to_device, PSCATTER_GATHER_LIST list, ULONG room,
                          const void *caller)
{
    struct list_call call = {device, list, routine, context};
    uint64_t *pages;
    ULONG n = collect_pages(mdl, va, length, &pages);
    struct mapped *m;

    if (list && room < list_bytes(n)) {
        bench_free(pages);
        return STATUS_BUFFER_TOO_SMALL;
    }
    m = map_runs(a, pages, n, BYTE_OFFSET(va), length, to_device ? DMA_TO_DEVICE : DMA_FROM_DEVICE);
    bench_free(pages);
    if (!list) {
        m->ours = TRUE;
        call.list = mem_alloc(MEM_BENCH, list_bytes(n), TAG_LIST, 0, caller);
    }
    call.list->NumberOfElements = m->n;
    call.list->Reserved = 0;
    for (ULONG i = 0; i < m->n; i++) {
        call.list->Elements[i].Address.QuadPart = (LONGLONG)m->run[i].bus;
        call.list->Elements[i].Length = (ULONG)m->run[i].size;
        call.list->Elements[i].Reserved = 0;
    }
    m->mdl = mdl;
    k_lock();
    InsertTailList(&live_lists, &m->link);
    k_unlock();
    ver_take(VER_SG_LIST, call.list, (uint64_t)(ULONG_PTR)m, caller);
    if (nt_dma_defer) {
        struct list_call *later = bench_alloc(sizeof(*later));

        *later = call;
        thr_start("map registers", deferred_call, later);
    } else {
        call_routine(&call);
    }
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI get_list(PDMA_ADAPTER dma, PDEVICE_OBJECT device, PMDL mdl, PVOID va,
                               ULONG length, PDRIVER_LIST_CONTROL routine, PVOID context,
                               BOOLEAN to_device)
{
    nt_irql("GetScatterGatherList", DISPATCH_LEVEL, DISPATCH_LEVEL, CALLER);
    if (fail_now())
        return STATUS_INSUFFICIENT_RESOURCES;
    return make_list(adapter_of(dma, CALLER), device, mdl, va, length, routine, context, to_device,
                     NULL, 0, CALLER);
}

static NTSTATUS NTAPI build_list(PDMA_ADAPTER dma, PDEVICE_OBJECT device, PMDL mdl, PVOID va,
                                 ULONG length, PDRIVER_LIST_CONTROL routine, PVOID context,
                                 BOOLEAN to_device, PVOID buffer, ULONG room)
{
    nt_irql("BuildScatterGatherList", DISPATCH_LEVEL, DISPATCH_LEVEL, CALLER);
    if (fail_now())
        return STATUS_INSUFFICIENT_RESOURCES;
    return make_list(adapter_of(dma, CALLER), device, mdl, va, length, routine, context, to_device,
                     buffer, room, CALLER);
}

static VOID NTAPI put_list(PDMA_ADAPTER dma, PSCATTER_GATHER_LIST list, BOOLEAN to_device)
{
    struct adapter *a = adapter_of(dma, CALLER);
    uint64_t detail;
    struct mapped *m;

    (void)to_device;
    nt_irql("PutScatterGatherList", DISPATCH_LEVEL, DISPATCH_LEVEL, CALLER);
    if (!ver_give(VER_SG_LIST, list, &detail))
        ver_stop("sg-list", "%p put at %s is none", (void *)list, ver_where(CALLER));
    m = (struct mapped *)(ULONG_PTR)detail;
    k_lock();
    RemoveEntryList(&m->link);
    k_unlock();
    for (ULONG i = 0; i < m->n; i++)
        dma_unmap(a->device, m->run[i].bus, m->run[i].size, "scatter/gather list");
    if (m->ours)
        mem_free(MEM_BENCH, list);
    bench_free(m);
}

static NTSTATUS NTAPI calculate_list(PDMA_ADAPTER dma, PMDL mdl, PVOID va, ULONG length,
                                     PULONG size, PULONG registers)
{
    ULONG pages = ADDRESS_AND_SIZE_TO_SPAN_PAGES(mdl ? va : NULL, length) + (mdl ? 0 : 1);

    (void)adapter_of(dma, CALLER);
    nt_irql("CalculateScatterGatherList", PASSIVE_LEVEL, DISPATCH_LEVEL, CALLER);
    *size = list_bytes(pages);
    if (registers)
        *registers = pages;
    return STATUS_SUCCESS;
}

static ULONG NTAPI get_alignment(PDMA_ADAPTER dma)
{
    (void)dma;
    return 1;
}

static VOID NTAPI unused(VOID)
{
    ver_stop("import", "a DMA operation that the bench does not have");
}

static DMA_OPERATIONS operations = {
    .Size = sizeof(DMA_OPERATIONS),
    .PutDmaAdapter = put_adapter,
    .AllocateCommonBuffer = allocate_common_buffer,
    .FreeCommonBuffer = free_common_buffer,
    .AllocateAdapterChannel = (PVOID)unused,
    .FlushAdapterBuffers = (PVOID)unused,
    .FreeAdapterChannel = (PVOID)unused,
    .FreeMapRegisters = (PVOID)unused,
    .MapTransfer = (PVOID)unused,
    .GetDmaAlignment = get_alignment,
    .ReadDmaCounter = (PVOID)unused,
    .GetScatterGatherList = get_list,
    .PutScatterGatherList = put_list,
    .CalculateScatterGatherList = calculate_list,
    .BuildScatterGatherList = build_list,
    .BuildMdlFromScatterGatherList = (PVOID)unused,
};
