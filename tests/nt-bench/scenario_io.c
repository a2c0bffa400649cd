// SPDX-License-Identifier: BSD-3-Clause
/*
 * scenario_io.c - requests through every control code, and where their data lies
 */
#include "tests/nt-bench/fuse.h"

#define MIB (1u << 20)

static uint8_t host_bytes[MIB];

static void fill(uint8_t *p, ULONG n, ULONG seed)
{
    for (ULONG i = 0; i < n; i++)
        p[i] = (uint8_t)(rig_random(&seed) >> 3);
}

/* One READ into a buffer that lies so, compared with the host's file. */
static void read_back(struct handle *h, uint64_t node, uint64_t fh, ULONG n,
                      const struct rig_buffer *b)
{
    struct fuse_msg m;
    struct rig_io *io;

    fuse_read_msg(&m, node, fh, 0, n);
    io = rig_io_new(h, IOCTL_VIOFS_REQUEST, &m, m.h.len, n, b);
    (void)rig_io_send(io);
    CHECK(NT_SUCCESS(rig_io_wait(io, 5000)) && io->information == n,
          "READ of %u at offset %u: %#x, %u bytes", n, b->offset, io->status, io->information);
    CHECK(memcmp(io->out, host_bytes, n) == 0, "READ of %u at offset %u: other bytes", n,
          b->offset);
    rig_io_free(io);
}

static void write_out(struct handle *h, uint64_t node, uint64_t fh, ULONG n,
                      const struct rig_buffer *b, ULONG seed)
{
    struct fuse_msg m;
    struct rig_io *io;
    ULONG len = fuse_write_msg(&m, node, fh, 0, n);

    io = rig_io_new(h, IOCTL_VIOFS_WRITE, &m, len, n, b);
    fill(io->out, n, seed);
    (void)rig_io_send(io);
    CHECK(NT_SUCCESS(rig_io_wait(io, 5000)) && io->information == n,
          "WRITE of %u at offset %u: %#x, %u bytes", n, b->offset, io->status, io->information);
    CHECK(share_read("file", host_bytes, MIB) >= n && memcmp(io->out, host_bytes, n) == 0,
          "WRITE of %u at offset %u: the host has other bytes", n, b->offset);
    rig_io_free(io);
}

static void read_and_write(const struct rig_options *o)
{
    static const struct rig_buffer places[] = {{0, FALSE},    {1, FALSE}, {4095, FALSE},
                                               {2048, FALSE}, {0, TRUE},  {1234, TRUE}};
    static const ULONG sizes[] = {1, 511, 4096, 65537, MIB};
    struct rig *r = rig_up(o);
    struct handle *h = rig_open(r);
    uint64_t fh, node;

    fuse_init(h);
    node = fuse_create(h, "file", &fh);
    for (size_t p = 0; p < RTL_NUMBER_OF(places); p++)
        for (size_t s = 0; s < RTL_NUMBER_OF(sizes); s++) {
            if (sizes[s] == MIB && (p == 1 || p == 3))
                continue;
            write_out(h, node, fh, sizes[s], &places[p], (ULONG)(p * 100 + s));
            read_back(h, node, fh, sizes[s], &places[p]);
        }
    fuse_release(h, node, fh);
    rig_close(h);
    rig_eject(r);
}

static void queue_of(ULONG size)
{
    struct rig_options o = {.device = {.queue_size = size}};

    read_and_write(&o);
}

static void a_mebibyte_goes_both_ways_with_a_queue_of_128(void)
{
    queue_of(128);
}

static void a_mebibyte_goes_both_ways_with_a_queue_of_256(void)
{
    queue_of(256);
}

static void a_mebibyte_goes_both_ways_with_a_queue_of_1024(void)
{
    queue_of(1024);
}

static void bus_addresses_need_not_be_physical_ones(void)
{
    struct rig_options o = {.device = {.iommu = true}};

    read_and_write(&o);
}

static void a_device_that_ignores_the_iommu_is_not_started(void)
{
    struct rig_options o = {.device = {.iommu = true, .no_daemon = true, .withhold = 1ull << 33}};
    struct rig *r = rig_plug(&o);

    nt_error_logs = 0;
    CHECK(!NT_SUCCESS(rig_start(r)), "started");
    CHECK(!vdev_running(r->device), "the device runs");
    CHECK(nt_error_logs > 0, "no entry in the log");
    rig_remove(r);
}

static void callers_are_told_what_fits_a_chain_as_long_as_the_queue(void)
{
    static const ULONG sizes[] = {128, 256, 1024};

    for (size_t i = 0; i < RTL_NUMBER_OF(sizes); i++) {
        struct rig_options o = {.device = {.no_daemon = true, .queue_size = sizes[i]}};
        ULONG pages = (sizes[i] - 3) < MIB / PAGE_SIZE ? sizes[i] - 3 : MIB / PAGE_SIZE;
        struct rig *r = rig_up(&o);
        struct handle *h = rig_open(r);

        CHECK(rig_query(h).max_transfer == pages * PAGE_SIZE, "%u bytes with a queue of %u",
              rig_query(h).max_transfer, sizes[i]);
        rig_close(h);
        rig_eject(r);
    }
}

static void map_registers_may_be_short(void)
{
    nt_dma_defer = TRUE;
    queue_of(256);
}

static void without_event_index_it_works_too(void)
{
    struct rig_options o = {.device = {.withhold = 1ull << 29}};

    read_and_write(&o);
}

static void without_indirect_descriptors_it_works_too(void)
{
    struct rig_options o = {.device = {.withhold = 1ull << 28, .queue_size = 1024}};

    read_and_write(&o);
}

/* ---- control codes --------------------------------------------------------------------------- */

static void the_services_of_the_other_project_can_use_it(void)
{
    struct fuse_init_in init = {.major = 7, .minor = 31, .flags = FUSE_DO_READDIRPLUS};
    struct {
        struct fuse_out_header h;
        uint8_t body[256];
    } reply;
    struct rig *r = rig_up(NULL);
    struct handle *h = rig_open(r);
    struct fuse_getattr_in getattr = {0};
    struct fuse_msg m;
    ULONG got;

    fuse_msg(&m, FUSE_INIT, 0, &init, 16);
    CHECK(NT_SUCCESS(fuse_compat(h, &m, &reply, sizeof(reply), &got)) && reply.h.error == 0,
          "INIT: %d", reply.h.error);
    fuse_msg(&m, FUSE_GETATTR, FUSE_ROOT_ID, &getattr, sizeof(getattr));
    CHECK(NT_SUCCESS(fuse_compat(h, &m, &reply, sizeof(reply), &got)), "GETATTR");
    CHECK(got == 16 + sizeof(struct fuse_attr_out) && reply.h.len == got &&
              reply.h.unique == m.h.unique && reply.h.error == 0,
          "GETATTR: %u bytes, error %d", got, reply.h.error);
    fuse_msg_name(&m, FUSE_LOOKUP, FUSE_ROOT_ID, NULL, 0, "absent");
    CHECK(NT_SUCCESS(fuse_compat(h, &m, &reply, sizeof(reply), &got)) && got == 16 &&
              reply.h.error == -2,
          "an error is not delivered in the header: %u bytes, %d", got, reply.h.error);
    rig_close(h);
    rig_eject(r);
}

static void a_large_reply_lands_in_the_callers_buffer(void)
{
    struct rig *r = rig_up(NULL);
    struct handle *h = rig_open(r);
    struct fuse_read_in in = {.size = 100000};
    struct fuse_msg m;
    struct rig_io *io;
    uint64_t node;
    ULONG n;

    fill(host_bytes, 100000, 1);
    share_write("file", host_bytes, 100000);
    fuse_init(h);
    node = fuse_lookup(h, "file");
    in.fh = fuse_open(h, node, 0);
    n = fuse_msg(&m, FUSE_READ, node, &in, sizeof(in));
    io = rig_io_new(h, IOCTL_VIRTFS_FUSE_REQUEST, &m, n, 100016, NULL);
    (void)rig_io_send(io);
    CHECK(NT_SUCCESS(rig_io_wait(io, 3000)) && io->information == 100016, "READ: %#x, %u bytes",
          io->status, io->information);
    CHECK(memcmp(io->out + 16, host_bytes, 100000) == 0, "other bytes");
    rig_io_free(io);
    fuse_release(h, node, in.fh);
    rig_close(h);
    rig_eject(r);
}

/* The READ code: the data goes to a pointer inside the buffer. */
static NTSTATUS read_by_pointer(struct handle *h, uint64_t node, uint64_t fh, void *pointer,
                                ULONG n, struct viofs_read_by_pointer *result)
{
    struct viofs_read_by_pointer p = {.len = n, .pointer = (uint64_t)(ULONG_PTR)pointer};
    struct fuse_msg m;
    struct rig_io *io;
    NTSTATUS status;

    fuse_read_msg(&m, node, fh, 0, n);
    io = rig_io_new(h, IOCTL_VIRTFS_FUSE_REQUEST_READ, &m, m.h.len, sizeof(p), NULL);
    RtlCopyMemory(io->out, &p, sizeof(p));
    (void)rig_io_send(io);
    status = rig_io_wait(io, 3000);
    CHECK(!NT_SUCCESS(status) || io->information == 16, "Information is %u", io->information);
    RtlCopyMemory(result, io->out, sizeof(*result));
    rig_io_free(io);
    return status;
}

static void a_read_may_name_its_buffer_by_pointer(void)
{
    struct rig *r = rig_up(NULL);
    struct handle *h = rig_open(r);
    struct viofs_read_by_pointer p;
    uint64_t node, fh;
    uint8_t *view;
    void *user = mem_user(70000, 77, 0, RIG_USER1, &view);
    void *others = mem_user(70000, 77, 0, RIG_USER2, NULL);
    NTSTATUS status;

    fill(host_bytes, 70000, 2);
    share_write("file", host_bytes, 70000);
    fuse_init(h);
    node = fuse_lookup(h, "file");
    fh = fuse_open(h, node, 0);
    status = read_by_pointer(h, node, fh, user, 70000, &p);
    CHECK(NT_SUCCESS(status) && p.len == 70016 && p.error == 0, "%#x, len %u, error %d", status,
          p.len, p.error);
    CHECK(memcmp(view, host_bytes, 70000) == 0, "other bytes");
    status = read_by_pointer(h, node, fh, (void *)0x10000, 70000, &p);
    CHECK(status == STATUS_ACCESS_VIOLATION, "a wild pointer gives %#x", status);
    status = read_by_pointer(h, node, fh, (uint8_t *)user + 60000, 70000, &p);
    CHECK(status == STATUS_ACCESS_VIOLATION, "a short buffer gives %#x", status);
    status = read_by_pointer(h, node, fh, others, 70000, &p);
    CHECK(status == STATUS_ACCESS_VIOLATION, "another program's buffer gives %#x", status);
    status = read_by_pointer(h, node, fh, h->file, 16, &p);
    CHECK(status == STATUS_ACCESS_VIOLATION, "a kernel address gives %#x", status);
    status = read_by_pointer(h, 99999, fh + 77, user, 70000, &p);
    CHECK(NT_SUCCESS(status) && p.error < 0, "%#x, error %d", status, p.error);
    mem_user_free(user);
    mem_user_free(others);
    rig_close(h);
    rig_eject(r);
}

static void forgets_need_no_room_for_a_reply(void)
{
    struct rig *r = rig_up(NULL);
    struct handle *h = rig_open(r);
    struct fuse_forget_in in = {.nlookup = 1};
    struct fuse_msg m;
    uint64_t node;
    uint32_t opcodes[2];
    ULONG got = 1;

    share_write("file", "x", 1);
    fuse_init(h);
    node = fuse_lookup(h, "file");
    CHECK(fuse_lookup(h, "file") == node, "another node");
    fuse_msg(&m, FUSE_FORGET, node, &in, sizeof(in));
    CHECK(NT_SUCCESS(rig_ioctl(h, IOCTL_VIOFS_NO_REPLY, &m, m.h.len, NULL, 0, &got)) && got == 0,
          "through our code");
    CHECK(NT_SUCCESS(rig_ioctl(h, IOCTL_VIRTFS_FUSE_REQUEST, &m, m.h.len, NULL, 0, &got)) &&
              got == 0,
          "through the other project's code");
    (void)vdev_opcodes(r->device, opcodes, 2);
    CHECK(opcodes[0] == FUSE_FORGET && opcodes[1] == FUSE_FORGET, "not sent");
    CHECK(vdev_queue_count(r->device, 0) == 2, "not on the high-priority queue");
    rig_close(h);
    rig_eject(r);
}

static void an_error_of_the_host_is_the_status(void)
{
    struct rig *r = rig_up(NULL);
    struct handle *h = rig_open(r);
    struct fuse_entry_out e;
    struct fuse_msg m;
    NTSTATUS status;
    ULONG got;

    fuse_init(h);
    fuse_msg_name(&m, FUSE_LOOKUP, FUSE_ROOT_ID, NULL, 0, "absent");
    status = fuse_call(h, &m, &e, sizeof(e), &got);
    CHECK((uint32_t)status == viofs_status(-2) && got == 0, "%#x, %u bytes", status, got);
    rig_close(h);
    rig_eject(r);
}

/* ---- tags ------------------------------------------------------------------------------------ */

static void expect_tag(const struct rig_options *o, const WCHAR *want, ULONG chars)
{
    struct rig *r = rig_up(o);
    struct handle *h = rig_open(r);
    WCHAR name[64];
    ULONG got;

    CHECK(NT_SUCCESS(rig_ioctl(h, IOCTL_VIRTFS_GET_VOLUME_NAME, NULL, 0, name, sizeof(name), &got)),
          "no name");
    CHECK(got == 2 * (chars + 1) && memcmp(name, want, got) == 0, "%u bytes", got);
    CHECK(memcmp(rig_query(h).tag, want, 2 * (chars + 1)) == 0, "the query has another");
    CHECK(rig_ioctl(h, IOCTL_VIRTFS_GET_VOLUME_NAME, NULL, 0, name, 2 * chars, &got) ==
              STATUS_BUFFER_TOO_SMALL,
          "fits into a buffer that is too small");
    rig_close(h);
    rig_eject(r);
}

static void the_tag_is_told_in_utf_16(void)
{
    static const WCHAR umlaut[] = {'d', 0xe4, 't', 0x20ac, 0};
    struct rig_options plain = {.device = {.no_daemon = true, .tag = "myfs"}};
    struct rig_options wide = {.device = {.no_daemon = true, .tag = "d\xc3\xa4t\xe2\x82\xac"}};
    struct rig_options longest = {
        .device = {.no_daemon = true, .tag = "0123456789abcdefghijklmnopqrstuvwxyz"}};

    expect_tag(&plain, L"myfs", 4);
    expect_tag(&wide, umlaut, 4);
    expect_tag(&longest, L"0123456789abcdefghijklmnopqrstuvwxyz", 36);
}

static void a_tag_that_is_not_utf_8_does_no_harm(void)
{
    struct rig_options o = {.device = {.no_daemon = true, .bad_tag = true}};
    struct rig *r = rig_up(&o);
    struct handle *h = rig_open(r);
    WCHAR name[40];

    (void)rig_ioctl(h, IOCTL_VIRTFS_GET_VOLUME_NAME, NULL, 0, name, sizeof(name), NULL);
    rig_close(h);
    rig_eject(r);
}

/* ---- many at once ---------------------------------------------------------------------------- */

static void as_many_requests_are_in_flight_as_the_ring_has_entries(void)
{
    struct rig *r = rig_up(NULL);
    struct handle *h = rig_open(r);
    struct rig_io *io[300];

    fuse_init(h);
    CHECK(rig_query(h).max_in_flight == 128, "%u promised", rig_query(h).max_in_flight);
    vdev_fault(r->device, FAULT_HOLD);
    for (int i = 0; i < 300; i++)
        io[i] = fuse_send_getattr(h);
    CHECK(vdev_wait_held(r->device, 128), "only %u with the device", vdev_held(r->device));
    vdev_fault(r->device, FAULT_NONE);
    vdev_release(r->device, 0);
    for (int i = 0; i < 300; i++) {
        CHECK(NT_SUCCESS(rig_io_wait(io[i], 3000)), "request %d: %#x", i, io[i]->status);
        rig_io_free(io[i]);
    }
    rig_close(h);
    rig_eject(r);
}

static void program(void *ctx, unsigned number)
{
    (void)number;
    for (int i = 0; i < 100; i++) {
        struct rig_io *io = fuse_send_getattr(ctx);

        CHECK(NT_SUCCESS(rig_io_wait(io, 5000)), "request %d: %#x", i, io->status);
        rig_io_free(io);
    }
}

static void several_queues_are_used_by_several_processors(void)
{
    struct rig_options o = {.device = {.request_queues = 4}};
    struct rig *r = rig_up(&o);
    struct handle *h = rig_open(r);
    unsigned used = 0;

    fuse_init(h);
    CHECK(rig_query(h).num_queues == 4, "%u queues", rig_query(h).num_queues);
    rig_together(4, program, h);
    for (uint32_t q = 1; q <= 4; q++)
        used += vdev_queue_count(r->device, q) > 0;
    CHECK(used > 1, "only %u queue used", used);
    rig_close(h);
    rig_eject(r);
}

static void several_programs_share_one_queue(void)
{
    struct rig *r = rig_up(NULL);
    struct handle *h = rig_open(r);

    fuse_init(h);
    rig_together(4, program, h);
    rig_close(h);
    rig_eject(r);
}

/* ---- what it costs --------------------------------------------------------------------------- */

static void the_hot_path_allocates_and_copies_nothing(void)
{
    struct rig *r = rig_up(NULL);
    struct handle *h = rig_open(r);
    struct rig_buffer aligned = {0, FALSE};
    struct ver_costs costs;
    uint64_t fh, node;

    fuse_init(h);
    node = fuse_create(h, "file", &fh);
    program(h, 0);
    (void)ver_costs_take();
    program(h, 0);
    costs = ver_costs_take();
    CHECK(costs.pool_allocations == 0, "%llu pool allocations in 100 requests",
          (unsigned long long)costs.pool_allocations);
    ver_note("100 GETATTR: %llu kicks, %llu interrupts, %llu DPCs, %llu register accesses",
             (unsigned long long)costs.kicks, (unsigned long long)costs.interrupts,
             (unsigned long long)costs.dpcs, (unsigned long long)costs.register_accesses);
    CHECK(costs.kicks <= costs.requests && costs.interrupts <= costs.requests,
          "more kicks or interrupts than requests");
    (void)ver_costs_take();
    write_out(h, node, fh, 65536, &aligned, 1);
    read_back(h, node, fh, 65536, &aligned);
    costs = ver_costs_take();
    CHECK(costs.pool_allocations == 0 && costs.payload_mappings == 0,
          "data: %llu pool allocations, %llu mappings", (unsigned long long)costs.pool_allocations,
          (unsigned long long)costs.payload_mappings);
    rig_close(h);
    rig_eject(r);
}

static void a_batch_costs_few_kicks_and_interrupts(void)
{
    struct rig *r = rig_up(NULL);
    struct handle *h = rig_open(r);
    struct rig_io *io[100];
    struct ver_costs costs;

    fuse_init(h);
    vdev_fault(r->device, FAULT_HOLD);
    for (int i = 0; i < 100; i++)
        io[i] = fuse_send_getattr(h);
    CHECK(vdev_wait_held(r->device, 100), "not with the device");
    vdev_fault(r->device, FAULT_NONE);
    (void)ver_costs_take();
    vdev_release(r->device, 0);
    for (int i = 0; i < 100; i++) {
        CHECK(NT_SUCCESS(rig_io_wait(io[i], 3000)), "%#x", io[i]->status);
        rig_io_free(io[i]);
    }
    costs = ver_costs_take();
    CHECK(costs.interrupts <= 60, "%llu interrupts for 100 completions",
          (unsigned long long)costs.interrupts);
    rig_close(h);
    rig_eject(r);
}

const struct scenario scenarios_io[] = {
    {"a mebibyte goes both ways with a queue of 128", a_mebibyte_goes_both_ways_with_a_queue_of_128,
     ANYWHERE},
    {"a mebibyte goes both ways with a queue of 256", a_mebibyte_goes_both_ways_with_a_queue_of_256,
     ANYWHERE},
    {"a mebibyte goes both ways with a queue of 1024",
     a_mebibyte_goes_both_ways_with_a_queue_of_1024, ANYWHERE},
    {"bus addresses need not be physical ones", bus_addresses_need_not_be_physical_ones,
     MODEL_ONLY},
    {"a device that ignores the IOMMU is not started",
     a_device_that_ignores_the_iommu_is_not_started, MODEL_ONLY},
    {"callers are told what fits a chain as long as the queue",
     callers_are_told_what_fits_a_chain_as_long_as_the_queue, ANYWHERE},
    {"map registers may be short", map_registers_may_be_short, ANYWHERE},
    {"without EVENT_IDX it works too", without_event_index_it_works_too, ANYWHERE},
    {"without indirect descriptors it works too", without_indirect_descriptors_it_works_too,
     ANYWHERE},
    {"the other project's service can use it", the_services_of_the_other_project_can_use_it,
     ANYWHERE},
    {"a large reply lands in the caller's buffer", a_large_reply_lands_in_the_callers_buffer,
     ANYWHERE},
    {"a READ may name its buffer by pointer", a_read_may_name_its_buffer_by_pointer, ANYWHERE},
    {"forgets need no room for a reply", forgets_need_no_room_for_a_reply, ANYWHERE},
    {"an error of the host is the status", an_error_of_the_host_is_the_status, ANYWHERE},
    {"the tag is told in UTF-16", the_tag_is_told_in_utf_16, ANYWHERE},
    {"a tag that is not UTF-8 does no harm", a_tag_that_is_not_utf_8_does_no_harm, MODEL_ONLY},
    {"as many requests are in flight as the ring has entries",
     as_many_requests_are_in_flight_as_the_ring_has_entries, ANYWHERE},
    {"several queues are used by several processors", several_queues_are_used_by_several_processors,
     ANYWHERE},
    {"several programs share one queue", several_programs_share_one_queue, ANYWHERE},
    {"the hot path allocates and copies nothing", the_hot_path_allocates_and_copies_nothing,
     ANYWHERE},
    {"a batch costs few kicks and interrupts", a_batch_costs_few_kicks_and_interrupts, ANYWHERE},
};
const unsigned n_scenarios_io = RTL_NUMBER_OF(scenarios_io);
