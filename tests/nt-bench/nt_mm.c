// SPDX-License-Identifier: BSD-3-Clause
/*
 * nt_mm.c - pool, memory descriptor lists, register mappings
 *
 * Theory of operation
 *
 *   Every pool block lies on pages of its own (memory.c). An MDL carries real page numbers of the bench's
 *   physical memory; locking and mapping are in the ledger, so what is not undone is a leak. Mapping locked
 *   pages makes a second address for them, which is the only way to a program's memory: its own
 *   address faults.
 *
 *   MmProbeAndLockPages raises an exception for bad addresses; seh.c is its entry and does the raising.
 */
#include "tests/nt-bench/nt.h"

/* ---- pool ------------------------------------------------------------------------------------ */

#undef ExAllocatePoolWithTag
#undef ExFreePool
#undef ExFreePoolWithTag

PVOID NTAPI ExAllocatePoolWithTag(POOL_TYPE type, SIZE_T size, ULONG tag)
{
    BOOLEAN paged = (type & 1) != 0;

    nt_irql("ExAllocatePoolWithTag", PASSIVE_LEVEL, paged ? APC_LEVEL : DISPATCH_LEVEL, CALLER);
    if (!paged && !(type & 512))
        ver_complain("pool", "executable pool allocated at %s", ver_where(CALLER));
    if (size == 0)
        ver_complain("pool", "no bytes allocated at %s", ver_where(CALLER));
    if (tag == 0)
        ver_complain("pool", "no tag at %s", ver_where(CALLER));
    __atomic_fetch_add(&ver_costs()->pool_allocations, 1, __ATOMIC_RELAXED);
    if (fail_now())
        return NULL;
    return mem_alloc(MEM_POOL, size, tag, size >= PAGE_SIZE ? MEM_PAGE_START : 0, CALLER);
}

static void free_pool(PVOID p, ULONG tag, const void *caller)
{
    struct mem_info info;

    nt_irql("ExFreePoolWithTag", PASSIVE_LEVEL, DISPATCH_LEVEL, caller);
    if (!mem_look(p, &info) || info.kind != MEM_POOL)
        ver_stop("bad-free", "%p freed at %s is not pool", p, ver_where(caller));
    if (tag && info.tag && tag != info.tag)
        ver_complain("pool", "freed at %s with another tag", ver_where(caller));
    nt_check_freed(p, info.size);
    mem_free(MEM_POOL, p);
}

VOID NTAPI ExFreePoolWithTag(PVOID p, ULONG tag)
{
    free_pool(p, tag, CALLER);
}

VOID NTAPI ExFreePool(PVOID p)
{
    free_pool(p, 0, CALLER);
}

/* ---- MDLs ------------------------------------------------------------------------------------ */

static ULONG mdl_pages(PMDL m)
{
    return ADDRESS_AND_SIZE_TO_SPAN_PAGES((ULONG_PTR)m->ByteOffset, m->ByteCount);
}

uint64_t nt_mdl_page(PMDL m, ULONG i)
{
    return (uint64_t)MmGetMdlPfnArray(m)[i];
}

PMDL NTAPI IoAllocateMdl(PVOID va, ULONG length, BOOLEAN secondary, BOOLEAN charge, PIRP irp)
{
    ULONG pages = ADDRESS_AND_SIZE_TO_SPAN_PAGES(va, length);
    size_t size = sizeof(MDL) + pages * sizeof(PFN_NUMBER);
    PMDL m;

    (void)charge;
    nt_irql("IoAllocateMdl", PASSIVE_LEVEL, DISPATCH_LEVEL, CALLER);
    if (fail_now())
        return NULL;
    m = mem_alloc(MEM_MDL, size, 0, 0, CALLER);
    if (!m)
        return NULL;
    RtlZeroMemory(m, size);
    m->Size = (CSHORT)size;
    m->StartVa = PAGE_ALIGN(va);
    m->ByteOffset = BYTE_OFFSET(va);
    m->ByteCount = length;
    ver_take(VER_MDL, m, length, CALLER);
    if (irp && secondary) {
        PMDL last = irp->MdlAddress;

        while (last->Next)
            last = last->Next;
        last->Next = m;
    } else if (irp) {
        irp->MdlAddress = m;
    }
    return m;
}

VOID NTAPI IoFreeMdl(PMDL m)
{
    nt_irql("IoFreeMdl", PASSIVE_LEVEL, DISPATCH_LEVEL, CALLER);
    if (!ver_give(VER_MDL, m, NULL))
        ver_stop("mdl", "%p freed at %s is no MDL", (void *)m, ver_where(CALLER));
    if (m->MdlFlags & MDL_PAGES_LOCKED)
        ver_complain("mdl", "freed at %s with its pages locked", ver_where(CALLER));
    if (m->MdlFlags & MDL_PARTIAL_HAS_BEEN_MAPPED)
        MmUnmapLockedPages(m->MappedSystemVa, m);
    else if (m->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA)
        ver_complain("mdl", "freed at %s while mapped", ver_where(CALLER));
    mem_free(MEM_MDL, m);
}

static PVOID mdl_va(PMDL m)
{
    return (PUCHAR)m->StartVa + m->ByteOffset;
}

static void fill_pages(PMDL m)
{
    PUCHAR va = m->StartVa;

    for (ULONG i = 0; i < mdl_pages(m); i++)
        MmGetMdlPfnArray(m)[i] = (PFN_NUMBER)(mem_phys(va + (size_t)i * PAGE_SIZE) >> PAGE_SHIFT);
}

VOID NTAPI MmBuildMdlForNonPagedPool(PMDL m)
{
    nt_irql("MmBuildMdlForNonPagedPool", PASSIVE_LEVEL, DISPATCH_LEVEL, CALLER);
    if (!mem_live(mdl_va(m), m->ByteCount))
        ver_stop("mdl", "MmBuildMdlForNonPagedPool at %s of memory that is none",
                 ver_where(CALLER));
    fill_pages(m);
    m->MdlFlags |= MDL_SOURCE_IS_NONPAGED_POOL;
    m->MappedSystemVa = mdl_va(m);
}

VOID NTAPI IoBuildPartialMdl(PMDL source, PMDL target, PVOID va, ULONG length)
{
    ULONG_PTR offset = (ULONG_PTR)va - (ULONG_PTR)mdl_va(source);
    ULONG first = (ULONG)(((ULONG_PTR)va - (ULONG_PTR)source->StartVa) >> PAGE_SHIFT);

    nt_irql("IoBuildPartialMdl", PASSIVE_LEVEL, DISPATCH_LEVEL, CALLER);
    if (length == 0)
        length = source->ByteCount - (ULONG)offset;
    if ((ULONG_PTR)va < (ULONG_PTR)mdl_va(source) || offset + length > source->ByteCount)
        ver_stop("mdl", "partial MDL beyond its source, at %s", ver_where(CALLER));
    if (!(source->MdlFlags & (MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL)))
        ver_complain("mdl", "partial MDL of pages that are not locked, at %s", ver_where(CALLER));
    if (ADDRESS_AND_SIZE_TO_SPAN_PAGES(va, length) * sizeof(PFN_NUMBER) + sizeof(MDL) >
        (size_t)target->Size)
        ver_stop("mdl", "partial MDL does not fit its target, at %s", ver_where(CALLER));
    target->StartVa = PAGE_ALIGN(va);
    target->ByteOffset = BYTE_OFFSET(va);
    target->ByteCount = length;
    target->MdlFlags |= MDL_PARTIAL;
    for (ULONG i = 0; i < mdl_pages(target); i++)
        MmGetMdlPfnArray(target)[i] = MmGetMdlPfnArray(source)[first + i];
}

/* ---- locking --------------------------------------------------------------------------------- */

NTSTATUS nt_probe_and_lock(PMDL m, KPROCESSOR_MODE mode, LOCK_OPERATION op, const void *caller)
{
    struct mem_info info;

    (void)op;
    nt_irql("MmProbeAndLockPages", PASSIVE_LEVEL, mode == UserMode ? APC_LEVEL : DISPATCH_LEVEL,
            caller);
    if (m->MdlFlags & MDL_PAGES_LOCKED)
        ver_stop("mdl", "locked twice, at %s", ver_where(caller));
    if (m->ByteCount == 0 || !mem_live(mdl_va(m), m->ByteCount) || !mem_look(mdl_va(m), &info))
        return STATUS_ACCESS_VIOLATION;
    if (mode == UserMode && (info.kind != MEM_USER || info.process != thr_self()->process))
        return STATUS_ACCESS_VIOLATION;
    if (fail_now())
        return STATUS_INSUFFICIENT_RESOURCES;
    fill_pages(m);
    m->MdlFlags |= MDL_PAGES_LOCKED;
    m->Process = info.process;
    ver_take(VER_LOCKED_PAGES, m, m->ByteCount, caller);
    return STATUS_SUCCESS;
}

HOST uint32_t nt_lock_for_seh(void *mdl, uint32_t mode, uint32_t op, const void *caller)
{
    return (uint32_t)nt_probe_and_lock(mdl, (KPROCESSOR_MODE)mode, (LOCK_OPERATION)op, caller);
}

VOID NTAPI MmUnlockPages(PMDL m)
{
    nt_irql("MmUnlockPages", PASSIVE_LEVEL, DISPATCH_LEVEL, CALLER);
    if (!(m->MdlFlags & MDL_PAGES_LOCKED) || !ver_give(VER_LOCKED_PAGES, m, NULL))
        ver_stop("mdl", "unlocked at %s but not locked", ver_where(CALLER));
    nt_dma_check_unlock(m, CALLER);
    if (m->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA)
        MmUnmapLockedPages(m->MappedSystemVa, m);
    m->MdlFlags &= (CSHORT)~MDL_PAGES_LOCKED;
}

PVOID NTAPI MmMapLockedPagesSpecifyCache(PMDL m, KPROCESSOR_MODE mode, MEMORY_CACHING_TYPE cache,
                                         PVOID base, ULONG bug_check, MM_PAGE_PRIORITY priority)
{
    ULONG n = mdl_pages(m);
    uint64_t *pages;
    PUCHAR at;

    (void)cache;
    (void)base;
    (void)priority;
    nt_irql("MmMapLockedPagesSpecifyCache", PASSIVE_LEVEL, DISPATCH_LEVEL, CALLER);
    if (bug_check)
        ver_complain("mdl", "mapping that bug checks on failure, at %s", ver_where(CALLER));
    if (mode != KernelMode || !(m->MdlFlags & (MDL_PAGES_LOCKED | MDL_PARTIAL)))
        ver_stop("mdl", "mapped at %s but not locked", ver_where(CALLER));
    if (m->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA)
        ver_complain("mdl", "mapped twice, at %s", ver_where(CALLER));
    if (fail_now())
        return NULL;
    pages = bench_alloc((n + 1) * sizeof(*pages));
    for (ULONG i = 0; i < n; i++)
        pages[i] = nt_mdl_page(m, i);
    at = mem_alias(pages, n, true, CALLER);
    bench_free(pages);
    m->MappedSystemVa = at + m->ByteOffset;
    m->MdlFlags |= MDL_MAPPED_TO_SYSTEM_VA;
    if (m->MdlFlags & MDL_PARTIAL)
        m->MdlFlags |= MDL_PARTIAL_HAS_BEEN_MAPPED;
    ver_take(VER_MAPPED_PAGES, m, m->ByteCount, CALLER);
    __atomic_fetch_add(&ver_costs()->payload_mappings, 1, __ATOMIC_RELAXED);
    return m->MappedSystemVa;
}

VOID NTAPI MmUnmapLockedPages(PVOID base, PMDL m)
{
    nt_irql("MmUnmapLockedPages", PASSIVE_LEVEL, DISPATCH_LEVEL, CALLER);
    if (!ver_give(VER_MAPPED_PAGES, m, NULL) || base != m->MappedSystemVa)
        ver_stop("mdl", "unmapped at %s but not mapped", ver_where(CALLER));
    mem_free(MEM_MAPPING, PAGE_ALIGN(base));
    m->MdlFlags &= (CSHORT) ~(MDL_MAPPED_TO_SYSTEM_VA | MDL_PARTIAL_HAS_BEEN_MAPPED);
}

/* ---- registers ------------------------------------------------------------------------------- */

PVOID NTAPI MmMapIoSpace(PHYSICAL_ADDRESS phys, SIZE_T size, MEMORY_CACHING_TYPE cache)
{
    PVOID at;

    nt_irql("MmMapIoSpace", PASSIVE_LEVEL, DISPATCH_LEVEL, CALLER);
    if (cache != MmNonCached)
        ver_complain("io-space", "registers mapped cached at %s", ver_where(CALLER));
    if (fail_now())
        return NULL;
    at = vdev_map((uint64_t)phys.QuadPart, size);
    if (at)
        ver_take(VER_IO_SPACE, at, size, CALLER);
    return at;
}

PHYSICAL_ADDRESS NTAPI MmGetPhysicalAddress(PVOID va)
{
    PHYSICAL_ADDRESS phys = {.QuadPart = (LONGLONG)mem_phys(va)};

    return phys;
}

VOID NTAPI MmUnmapIoSpace(PVOID at, SIZE_T size)
{
    nt_irql("MmUnmapIoSpace", PASSIVE_LEVEL, DISPATCH_LEVEL, CALLER);
    if (!vdev_unmap(at, size) || !ver_give(VER_IO_SPACE, at, NULL))
        ver_complain("io-space", "%p, %llu bytes unmapped at %s but not mapped", at,
                     (unsigned long long)size, ver_where(CALLER));
}
