// SPDX-License-Identifier: BSD-3-Clause
/*
 * seh.c - structured exceptions out of MmProbeAndLockPages
 *
 * Theory of operation
 *
 *   The driver's import MmProbeAndLockPages leads to seh_probe_and_lock, a few instructions that save the
 *   registers a Windows callee preserves and then do the work in C. If the pages are good it returns. If
 *   not, the stack is unwound from the call, frame by frame, with the image's .pdata and .xdata, until a frame
 *   with a __try around the call accepts the exception; __finally blocks of the frames in between run,
 *   and execution goes on at the __except block with the frame's own registers.
 *
 *   Frames of the bench itself are never unwound: an exception that reaches one is a bug check.
 *
 * Source: "x64 exception handling", Microsoft: RUNTIME_FUNCTION, UNWIND_INFO, unwind codes, the scope
 * table of __C_specific_handler.
 */
#include <string.h>

#include "tests/nt-bench/bench_host.h"

/* As pushed by the entry below, and as a frame is restored from. */
struct seh_frame {
    uint8_t xmm[10][16]; /* xmm6 to xmm15 */
    uint64_t r15, r14, r13, r12, rsi, rdi, rbx, rbp;
    uint64_t rip, rsp;
};

struct exception_record {
    uint32_t code, flags;
    void *nested, *address;
    uint32_t n_parameters, pad;
    uint64_t parameter[15];
};

enum { UNW_EHANDLER = 1, UNW_UHANDLER = 2, UNW_CHAIN = 4 };
enum { /* unwind operations */
       UWOP_PUSH_NONVOL,
       UWOP_ALLOC_LARGE,
       UWOP_ALLOC_SMALL,
       UWOP_SET_FPREG,
       UWOP_SAVE_NONVOL,
       UWOP_SAVE_NONVOL_FAR,
       UWOP_SAVE_XMM128 = 8,
       UWOP_SAVE_XMM128_FAR,
};

uint64_t seh_lock_pages(struct seh_frame *f, void *mdl, uint64_t mode, uint64_t op);
void seh_resume(const struct seh_frame *f, uint64_t rax) __attribute__((noreturn));

/* Offsets in struct seh_frame are in the assembly. */
_Static_assert(offsetof(struct seh_frame, r15) == 160, "see below");
_Static_assert(offsetof(struct seh_frame, rip) == 224, "see below");

__asm__(".text\n"
        ".globl seh_probe_and_lock\n"
        "seh_probe_and_lock:\n"
        "  mov (%rsp), %rax\n"  /* return address */
        "  lea 8(%rsp), %r10\n" /* rsp after the return */
        "  sub $240, %rsp\n"
        "  movups %xmm6, 0(%rsp)\n  movups %xmm7, 16(%rsp)\n"
        "  movups %xmm8, 32(%rsp)\n  movups %xmm9, 48(%rsp)\n"
        "  movups %xmm10, 64(%rsp)\n  movups %xmm11, 80(%rsp)\n"
        "  movups %xmm12, 96(%rsp)\n  movups %xmm13, 112(%rsp)\n"
        "  movups %xmm14, 128(%rsp)\n  movups %xmm15, 144(%rsp)\n"
        "  mov %r15, 160(%rsp)\n  mov %r14, 168(%rsp)\n  mov %r13, 176(%rsp)\n"
        "  mov %r12, 184(%rsp)\n  mov %rsi, 192(%rsp)\n  mov %rdi, 200(%rsp)\n"
        "  mov %rbx, 208(%rsp)\n  mov %rbp, 216(%rsp)\n"
        "  mov %rax, 224(%rsp)\n  mov %r10, 232(%rsp)\n"
        "  mov %rsp, %rdi\n  mov %rcx, %rsi\n  mov %r8, %rcx\n" /* rdx stays: second, then third */
        "  mov %rsp, %rbp\n  and $-16, %rsp\n"
        "  call seh_lock_pages\n"
        "  mov %rbp, %rdi\n  mov %rax, %rsi\n  jmp seh_resume\n"
        ".globl seh_resume\n"
        "seh_resume:\n"
        "  mov %rdi, %r11\n  mov %rsi, %rax\n"
        "  movups 0(%r11), %xmm6\n  movups 16(%r11), %xmm7\n"
        "  movups 32(%r11), %xmm8\n  movups 48(%r11), %xmm9\n"
        "  movups 64(%r11), %xmm10\n  movups 80(%r11), %xmm11\n"
        "  movups 96(%r11), %xmm12\n  movups 112(%r11), %xmm13\n"
        "  movups 128(%r11), %xmm14\n  movups 144(%r11), %xmm15\n"
        "  mov 160(%r11), %r15\n  mov 168(%r11), %r14\n  mov 176(%r11), %r13\n"
        "  mov 184(%r11), %r12\n  mov 192(%r11), %rsi\n  mov 200(%r11), %rdi\n"
        "  mov 208(%r11), %rbx\n  mov 216(%r11), %rbp\n"
        "  mov 232(%r11), %rsp\n  mov 224(%r11), %r11\n"
        "  jmp *%r11\n"
        ".globl seh_handler\n"
        "seh_handler:\n"
        "  ud2\n");

struct function {
    uint32_t begin, end, info;
};
struct scope {
    uint32_t begin, end, filter, target; /* target 0: filter is a __finally */
};

static uint64_t *reg_of(struct seh_frame *f, unsigned n)
{
    static const uint8_t at[16] = {
        [3] = 6, [5] = 7, [6] = 4, [7] = 5, [12] = 3, [13] = 2, [14] = 1, [15] = 0,
    };

    if (n != 15 && at[n] == 0)
        ver_stop("seh", "register %u in an unwind code", n);
    return &f->r15 + at[n];
}

static const struct function *find_function(const struct pe_image *image, uint64_t rip)
{
    const struct function *t = (const struct function *)image->functions;
    uint64_t rva = rip - (uint64_t)image->base;

    for (uint32_t i = 0; i < image->n_functions; i++)
        if (rva >= t[i].begin && rva < t[i].end)
            return &t[i];
    return NULL;
}

static uint64_t load64(uint64_t at)
{
    uint64_t v;

    memcpy(&v, (const void *)at, sizeof(v));
    return v;
}

static uint32_t load_slots(const uint8_t *code, unsigned slots)
{
    uint32_t v = 0;

    memcpy(&v, code + 2, 2 * slots);
    return v;
}

/* Undo one unwind code. Return: slots that it takes. @base: the frame's fixed part */
static unsigned undo(struct seh_frame *f, const uint8_t *code, const uint8_t *info, uint64_t base)
{
    unsigned op = code[1] & 15, arg = code[1] >> 4;
    uint32_t offset;

    switch (op) {
    case UWOP_PUSH_NONVOL:
        *reg_of(f, arg) = load64(f->rsp);
        f->rsp += 8;
        return 1;
    case UWOP_ALLOC_LARGE:
        f->rsp += arg ? load_slots(code, 2) : 8 * load_slots(code, 1);
        return arg ? 3 : 2;
    case UWOP_ALLOC_SMALL:
        f->rsp += 8 * arg + 8;
        return 1;
    case UWOP_SET_FPREG:
        f->rsp = *reg_of(f, info[3] & 15) - 16u * (info[3] >> 4);
        return 1;
    case UWOP_SAVE_NONVOL:
    case UWOP_SAVE_NONVOL_FAR:
        offset = op == UWOP_SAVE_NONVOL ? 8 * load_slots(code, 1) : load_slots(code, 2);
        *reg_of(f, arg) = load64(base + offset);
        return op == UWOP_SAVE_NONVOL ? 2 : 3;
    case UWOP_SAVE_XMM128:
    case UWOP_SAVE_XMM128_FAR:
        offset = op == UWOP_SAVE_XMM128 ? 16 * load_slots(code, 1) : load_slots(code, 2);
        memcpy(f->xmm[arg - 6], (const void *)(base + offset), 16);
        return op == UWOP_SAVE_XMM128 ? 2 : 3;
    default:
        ver_stop("seh", "unwind operation %u", op);
    }
}

/* The establisher frame of @fn: rsp, or where the frame pointer says. */
static uint64_t frame_base(struct seh_frame *f, const uint8_t *info)
{
    return info[3] & 15 ? *reg_of(f, info[3] & 15) - 16u * (info[3] >> 4) : f->rsp;
}

/* From inside a function to its caller. The call was in the body, so every code applies. */
static void step_out(struct seh_frame *f, const struct pe_image *image, const struct function *fn)
{
    const uint8_t *info = image->base + fn->info;
    uint64_t base = frame_base(f, info);

    for (;;) {
        for (unsigned i = 0; i < info[2];)
            i += undo(f, info + 4 + 2 * i, info, base);
        if (!(info[0] >> 3 & UNW_CHAIN))
            break;
        fn = (const struct function *)(info + 4 + 2 * ((info[2] + 1u) & ~1u));
        info = image->base + fn->info;
    }
    f->rip = load64(f->rsp);
    f->rsp += 8;
}

static const struct scope *scopes_of(const struct pe_image *image, const struct function *fn,
                                     uint32_t *n)
{
    const uint8_t *info = image->base + fn->info;
    const uint8_t *table = info + 4 + 2 * ((info[2] + 1u) & ~1u);

    *n = 0;
    if (!(info[0] >> 3 & (UNW_EHANDLER | UNW_UHANDLER)))
        return NULL;
    memcpy(n, table + 4, 4);
    return (const struct scope *)(table + 8);
}

typedef int __attribute__((ms_abi)) filter_fn(void *pointers, uint64_t frame);
typedef void __attribute__((ms_abi)) finally_fn(uint8_t abnormal, uint64_t frame);

#define FILTER_ALWAYS   1 /* EXCEPTION_EXECUTE_HANDLER stored instead of a function */
#define FILTER_CONTINUE (-1)

static bool accepts(const struct pe_image *image, const struct scope *s, uint64_t frame,
                    uint32_t code, uint64_t address)
{
    struct exception_record record = {.code = code, .address = (void *)address};
    void *pointers[2] = {&record, NULL};
    filter_fn *filter = (filter_fn *)(image->base + s->filter);
    int r = s->filter == FILTER_ALWAYS ? 1 : filter(pointers, frame);

    if (r == FILTER_CONTINUE)
        ver_stop("seh", "EXCEPTION_CONTINUE_EXECUTION of a raised status");
    return r > 0;
}

/* Find who handles it and go there; the frames in between run their __finally blocks on the way. */
static void __attribute__((noreturn)) dispatch(struct seh_frame *f, uint32_t code)
{
    const struct pe_image *image = pe_loaded();
    uint64_t address = f->rip;
    const struct function *fn;

    while (image && (fn = find_function(image, f->rip - 1)) != NULL) {
        uint64_t base = frame_base(f, image->base + fn->info);
        uint64_t rva = f->rip - 1 - (uint64_t)image->base;
        uint32_t n;
        const struct scope *s = scopes_of(image, fn, &n);

        for (; n > 0; n--, s++) {
            if (rva < s->begin || rva >= s->end)
                continue;
            if (s->target == 0) {
                ((finally_fn *)(image->base + s->filter))(1, base);
            } else if (accepts(image, s, base, code, address)) {
                f->rip = (uint64_t)image->base + s->target;
                seh_resume(f, code);
            }
        }
        step_out(f, image, fn);
    }
    ver_stop("bug-check", "exception %#x raised at %s is not handled", code,
             ver_where((const void *)address));
}

uint64_t seh_lock_pages(struct seh_frame *f, void *mdl, uint64_t mode, uint64_t op)
{
    uint32_t status = nt_lock_for_seh(mdl, (uint32_t)mode & 0xff, (uint32_t)op, (void *)f->rip);

    if ((int32_t)status < 0)
        dispatch(f, status);
    return 0;
}
