// SPDX-License-Identifier: BSD-3-Clause
/*
 * pe.c - load a Windows driver image
 *
 * Theory of operation
 *
 *   What Windows' loader does with a driver, on a file that is then checked as strictly as Windows
 *   checks it: PE32+ for x64, native subsystem, a correct checksum, sections mapped with their own
 *   protections (none both writable and executable), base relocations applied, imports bound by name.
 *   An import that the bench does not have is reported by name, all of them at once.
 *
 *   The image is mapped at an address that is not its preferred one, so missing relocations show.
 *
 * Source: "PE Format", Microsoft; offsets are in the structures below.
 * Ownership: one image per process, for its whole life.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/nt-bench/bench_host.h"

#define SECTION_EXECUTE  0x20000000u
#define SECTION_WRITE    0x80000000u
#define SUBSYSTEM_NATIVE 1
#define RELOC_NONE       0
#define RELOC_DIR64      10

enum { DIR_EXPORT, DIR_IMPORT, DIR_RESOURCE, DIR_EXCEPTION, DIR_CERTIFICATE, DIR_RELOC };

struct coff_header {
    uint32_t signature;
    uint16_t machine, n_sections;
    uint32_t time, symbols, n_symbols;
    uint16_t optional_size, characteristics;
};
struct directory {
    uint32_t rva, size;
};
struct optional_header {
    uint16_t magic;
    uint8_t linker[2];
    uint32_t code, data, bss, entry, code_base;
    uint64_t image_base;
    uint32_t section_alignment, file_alignment;
    uint16_t versions[6];
    uint32_t reserved, image_size, header_size, checksum;
    uint16_t subsystem, dll_characteristics;
    uint64_t stack_and_heap[4];
    uint32_t loader_flags, n_directories;
    struct directory dir[16];
};
struct section {
    char name[8];
    uint32_t virtual_size, rva, raw_size, raw;
    uint32_t unused[3];
    uint32_t flags;
};
struct import {
    uint32_t names, time, forwarder, dll, addresses;
};
_Static_assert(sizeof(struct coff_header) == 24, "PE format");
_Static_assert(sizeof(struct optional_header) == 240, "PE format");
_Static_assert(offsetof(struct optional_header, checksum) == 64, "PE format");
_Static_assert(sizeof(struct section) == 40, "PE format");

struct file {
    const uint8_t *bytes;
    size_t size;
    const struct coff_header *coff;
    const struct optional_header *opt;
    const struct section *section;
};

static struct pe_image image;

static void read_file(const char *path, struct file *f)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    uint32_t at;

    if (fd < 0 || fstat(fd, &st) < 0)
        ver_stop("pe", "cannot open %s", path);
    f->size = (size_t)st.st_size;
    f->bytes = mmap(NULL, f->size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (f->bytes == MAP_FAILED || f->size < 1024 || memcmp(f->bytes, "MZ", 2) != 0)
        ver_stop("pe", "%s is not a PE file", path);
    memcpy(&at, f->bytes + 0x3c, sizeof(at));
    if (at > f->size - sizeof(*f->coff) - sizeof(*f->opt))
        ver_stop("pe", "%s is cut short", path);
    f->coff = (const struct coff_header *)(f->bytes + at);
    f->opt = (const struct optional_header *)(f->coff + 1);
    f->section = (const struct section *)((const uint8_t *)f->opt + f->coff->optional_size);
}

/* The sum that Windows checks of every driver: 16-bit one's complement, plus the length. */
static uint32_t checksum(const struct file *f)
{
    size_t hole = (size_t)((const uint8_t *)&f->opt->checksum - f->bytes);
    uint32_t sum = 0;

    for (size_t i = 0; i < f->size; i += 2) {
        uint32_t word = f->bytes[i] | (i + 1 < f->size ? (uint32_t)f->bytes[i + 1] << 8 : 0);

        if (i == hole || i == hole + 2)
            continue;
        sum += word;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum + (uint32_t)f->size;
}

static void check_file(const struct file *f)
{
    if (f->coff->signature != 0x4550 || f->coff->machine != 0x8664 || f->opt->magic != 0x20b)
        ver_stop("pe", "not a PE32+ file for x64");
    if (f->opt->subsystem != SUBSYSTEM_NATIVE)
        ver_stop("pe", "subsystem %u is not native", f->opt->subsystem);
    if (f->opt->checksum != checksum(f))
        ver_complain("pe", "checksum is %#x, should be %#x", f->opt->checksum, checksum(f));
    if (f->opt->section_alignment != BENCH_PAGE)
        ver_stop("pe", "section alignment %u", f->opt->section_alignment);
}

static void map_sections(const struct file *f)
{
    image.size = f->opt->image_size;
    image.base = mmap(NULL, image.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (image.base == MAP_FAILED)
        ver_stop("bench", "cannot map the image");
    memcpy(image.base, f->bytes, f->opt->header_size);
    for (unsigned i = 0; i < f->coff->n_sections; i++) {
        const struct section *s = &f->section[i];
        uint32_t n = s->raw_size < s->virtual_size ? s->raw_size : s->virtual_size;

        if (s->rva > image.size || n > image.size - s->rva || s->raw > f->size ||
            n > f->size - s->raw)
            ver_stop("pe", "section %.8s lies outside", s->name);
        memcpy(image.base + s->rva, f->bytes + s->raw, n);
    }
}

static void relocate(const struct file *f)
{
    const struct directory *d = &f->opt->dir[DIR_RELOC];
    uint64_t delta = (uint64_t)image.base - f->opt->image_base;
    uint8_t *at = image.base + d->rva, *end = at + d->size;

    if (d->size == 0)
        ver_stop("pe", "no relocations: Windows could not load it anywhere else");
    while (at < end) {
        uint32_t page, size;

        memcpy(&page, at, 4);
        memcpy(&size, at + 4, 4);
        if (size < 8)
            break;
        for (uint8_t *e = at + 8; e < at + size; e += 2) {
            uint16_t entry;
            uint64_t v;
            uint8_t *to;

            memcpy(&entry, e, 2);
            if (entry >> 12 == RELOC_NONE)
                continue;
            if (entry >> 12 != RELOC_DIR64)
                ver_stop("pe", "relocation of type %u", entry >> 12);
            to = image.base + page + (entry & 0xfff);
            memcpy(&v, to, 8);
            v += delta;
            memcpy(to, &v, 8);
        }
        at += size;
    }
}

static void bind_imports(const struct file *f, void *(*resolve)(const char *))
{
    const struct import *d = (const struct import *)(image.base + f->opt->dir[DIR_IMPORT].rva);
    unsigned unknown = 0;

    if (f->opt->dir[DIR_IMPORT].size == 0)
        return;
    for (; d->addresses; d++) {
        const uint64_t *name = (const uint64_t *)(image.base + d->names);
        uint64_t *address = (uint64_t *)(image.base + d->addresses);

        for (; *name; name++, address++) {
            const char *text = (const char *)image.base + (uint32_t)*name + 2;

            *address = (uint64_t)resolve(text);
            if (*address == 0) {
                ver_complain("import", "%s!%s is not known to the bench",
                             (const char *)image.base + d->dll, text);
                unknown++;
            }
        }
    }
    if (unknown)
        ver_stop("import", "%u unknown imports", unknown);
}

static void protect_sections(const struct file *f)
{
    for (unsigned i = 0; i < f->coff->n_sections; i++) {
        const struct section *s = &f->section[i];
        int p = PROT_READ | (s->flags & SECTION_EXECUTE ? PROT_EXEC : 0) |
                (s->flags & SECTION_WRITE ? PROT_WRITE : 0);

        if ((p & PROT_EXEC) && (p & PROT_WRITE))
            ver_complain("pe", "section %.8s is writable and executable", s->name);
        mprotect(image.base + s->rva, (s->virtual_size + BENCH_PAGE - 1) & ~(BENCH_PAGE - 1), p);
    }
}

const struct pe_image *pe_loaded(void)
{
    return image.base ? &image : NULL;
}

const struct pe_image *pe_load(const char *path, void *(*resolve)(const char *))
{
    struct file f = {0};

    read_file(path, &f);
    check_file(&f);
    map_sections(&f);
    relocate(&f);
    bind_imports(&f, resolve);
    protect_sections(&f);
    image.entry = image.base + f.opt->entry;
    image.functions = image.base + f.opt->dir[DIR_EXCEPTION].rva;
    image.n_functions = f.opt->dir[DIR_EXCEPTION].size / 12;
    munmap((void *)(uintptr_t)f.bytes, f.size);
    return &image;
}
