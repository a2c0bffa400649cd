// SPDX-License-Identifier: BSD-3-Clause
/*
 * trap.c - what the driver's own instructions may not do in user mode
 *
 * Theory of operation
 *
 *   Three kinds of instruction of a kernel driver fault in a Linux process, and are carried out here:
 *
 *     mov to and from cr8    the thread's IRQL
 *     register accesses      device registers are mapped inaccessible; mov, movzx, test and cmp with a
 *                            memory operand are decoded and given to the device model
 *     KUSER_SHARED_DATA      time, as inline routines read it at its fixed kernel address
 *
 *   Everything else is a fault of the driver: a stray access, a freed block, a program's address used
 *   directly. It is described and the scenario ends. An instruction on a register range that is
 *   not decoded ends it too: read-modify-write on device registers is an error in a driver.
 *
 * Source: Intel SDM vol. 2, chapters 2 (prefixes, ModRM) and 3 (MOV CR8, MOVZX, TEST, CMP).
 */
#include <signal.h>
#include <string.h>
#include <ucontext.h>

#include "tests/nt-bench/bench_host.h"

/* Windows x64: KUSER_SHARED_DATA; offsets of InterruptTime and SystemTime */
#define SHARED_DATA      0xFFFFF78000000000ull
#define SHARED_INTERRUPT 0x08u
#define SHARED_SYSTEM    0x14u
#define SHARED_TICKS     0x320u

struct insn {
    const uint8_t *next; /* after the bytes consumed so far */
    greg_t *regs;
    unsigned rex;
    bool narrow; /* 66 prefix */
    unsigned reg;
    unsigned bytes; /* of the operand */
};

static const int reg_index[16] = {
    REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
    REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

/* Without REX, byte registers 4 to 7 are AH, CH, DH, BH. */
static bool high_byte(const struct insn *i)
{
    return i->bytes == 1 && !i->rex && i->reg >= 4;
}

static uint64_t reg_get(const struct insn *i)
{
    uint64_t v;

    if (high_byte(i))
        return ((uint64_t)i->regs[reg_index[i->reg - 4]] >> 8) & 0xff;
    v = (uint64_t)i->regs[reg_index[i->reg]];
    return i->bytes == 8 ? v : v & ((1ull << (8 * i->bytes)) - 1);
}

/* Writing 32 bits clears the upper half; 8 and 16 keep the rest. */
static void reg_set(const struct insn *i, uint64_t v)
{
    greg_t *r = &i->regs[reg_index[high_byte(i) ? i->reg - 4 : i->reg]];

    if (high_byte(i))
        *r = (greg_t)(((uint64_t)*r & ~0xff00ull) | (v & 0xff) << 8);
    else if (i->bytes >= 4)
        *r = (greg_t)(i->bytes == 4 ? (uint32_t)v : v);
    else
        memcpy(r, &v, i->bytes);
}

/* Skip ModRM, SIB and displacement; note the register operand. */
static void take_modrm(struct insn *i)
{
    unsigned modrm = *i->next++;
    unsigned mod = modrm >> 6, rm = modrm & 7;

    i->reg = ((modrm >> 3) & 7) | (i->rex & 4 ? 8 : 0);
    if (rm == 4 && mod != 3) {
        unsigned sib = *i->next++;

        if ((sib & 7) == 5 && mod == 0)
            i->next += 4;
    } else if (rm == 5 && mod == 0) {
        i->next += 4;
    }
    i->next += mod == 1 ? 1 : mod == 2 ? 4 : 0;
}

static uint64_t take_immediate(struct insn *i)
{
    unsigned n = i->bytes == 8 ? 4 : i->bytes;
    int64_t v = 0;
    int32_t v32;

    memcpy(&v, i->next, n);
    memcpy(&v32, i->next, n < 4 ? 0 : 4);
    i->next += n;
    return (uint64_t)(i->bytes == 8 ? v32 : v);
}

/* Flags of a logical or subtracting operation on @bytes. */
static void set_flags(struct insn *i, uint64_t result, bool carry)
{
    uint64_t mask = i->bytes == 8 ? ~0ull : (1ull << (8 * i->bytes)) - 1;
    uint64_t f = (uint64_t)i->regs[REG_EFL] & ~0x8d5ull; /* OF SF ZF AF PF CF */

    result &= mask;
    f |= carry ? 1 : 0;
    f |= result == 0 ? 0x40 : 0;
    f |= result >> (8 * i->bytes - 1) & 1 ? 0x80 : 0;
    f |= __builtin_parity((unsigned)(result & 0xff)) ? 0 : 4;
    i->regs[REG_EFL] = (greg_t)f;
}

static bool read_at(uint64_t address, unsigned bytes, uint64_t *v)
{
    uint64_t offset = address - SHARED_DATA;
    uint64_t now = (uint64_t)clk_now();

    if (vdev_access(address, bytes, false, v))
        return true;
    if (address < SHARED_DATA || offset > 0xfff)
        return false;
    /* KSYSTEM_TIME: low, high, high again */
    if (offset >= SHARED_INTERRUPT && offset < SHARED_INTERRUPT + 12)
        *v = offset == SHARED_INTERRUPT ? now : now >> 32;
    else if (offset >= SHARED_SYSTEM && offset < SHARED_SYSTEM + 12)
        *v = offset == SHARED_SYSTEM ? now : now >> 32;
    else if (offset >= SHARED_TICKS && offset < SHARED_TICKS + 12)
        *v = offset == SHARED_TICKS ? now / 156250 : (now / 156250) >> 32;
    else
        return false;
    return true;
}

static bool do_mov(struct insn *i, unsigned op, uint64_t address)
{
    bool byte = op == 0x88 || op == 0x8a || op == 0xc6;
    uint64_t v;

    if (byte)
        i->bytes = 1;
    take_modrm(i);
    if (op == 0x8a || op == 0x8b) {
        if (!read_at(address, i->bytes, &v))
            return false;
        reg_set(i, v);
        return true;
    }
    v = op == 0x88 || op == 0x89 ? reg_get(i) : take_immediate(i);
    return vdev_access(address, i->bytes, true, &v);
}

static bool do_movzx(struct insn *i, unsigned op, uint64_t address)
{
    uint64_t v;

    take_modrm(i);
    if (!read_at(address, op == 0xb6 ? 1 : 2, &v))
        return false;
    reg_set(i, v);
    return true;
}

/* test m,r / test m,imm / cmp m,imm / cmp m,r / cmp r,m */
static bool do_compare(struct insn *i, unsigned op, uint64_t address)
{
    bool byte = op == 0x84 || op == 0xf6 || op == 0x80 || op == 0x38 || op == 0x3a;
    uint64_t v, other;

    if (byte)
        i->bytes = 1;
    take_modrm(i);
    if (!read_at(address, i->bytes, &v))
        return false;
    if (op == 0x84 || op == 0x85) {
        set_flags(i, v & reg_get(i), false);
        return true;
    }
    if ((op == 0xf6 || op == 0xf7) && (i->reg & 7) == 0) {
        set_flags(i, v & take_immediate(i), false);
        return true;
    }
    if ((op == 0x80 || op == 0x81) && (i->reg & 7) == 7) {
        other = take_immediate(i);
    } else if (op == 0x83 && (i->reg & 7) == 7) {
        other = (uint64_t)(int64_t)(int8_t)*i->next++;
        other &= i->bytes == 8 ? ~0ull : (1ull << (8 * i->bytes)) - 1;
    } else if (op == 0x38 || op == 0x39) {
        other = reg_get(i);
    } else if (op == 0x3a || op == 0x3b) {
        other = v;
        v = reg_get(i);
    } else {
        return false;
    }
    set_flags(i, v - other, v < other);
    return true;
}

static bool do_memory(struct insn *i, uint64_t address)
{
    unsigned op = *i->next++;

    i->bytes = i->rex & 8 ? 8 : i->narrow ? 2 : 4;
    if (op == 0x0f) {
        op = *i->next++;
        return (op == 0xb6 || op == 0xb7) && do_movzx(i, op, address);
    }
    switch (op) {
    case 0x88:
    case 0x89:
    case 0x8a:
    case 0x8b:
    case 0xc6:
    case 0xc7:
        return do_mov(i, op, address);
    default:
        return do_compare(i, op, address);
    }
}

/* 0f 20 /0: mov r64, cr8; 0f 22 /0: mov cr8, r64; both with REX.R */
static bool do_cr8(struct insn *i)
{
    const uint8_t *p = i->next;
    unsigned r;

    if (p[0] != 0x0f || (p[1] != 0x20 && p[1] != 0x22) || !(i->rex & 4) || (p[2] & 0xf8) != 0xc0)
        return false;
    r = (p[2] & 7) | (i->rex & 1 ? 8 : 0);
    if (p[1] == 0x20) {
        i->regs[reg_index[r]] = (greg_t)thr_self()->irql;
    } else {
        uint64_t irql = (uint64_t)i->regs[reg_index[r]];

        if (irql > 15)
            ver_stop("irql", "%llu written to cr8", (unsigned long long)irql);
        thr_self()->irql = irql;
    }
    i->next += 3;
    return true;
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
    const uint8_t *start = (const uint8_t *)regs[REG_RIP];
    struct insn i = {.next = start, .regs = regs};
    uint64_t address = (uint64_t)info->si_addr;
    bool lock = false;
    char what[256];

    if (start == info->si_addr)
        ver_stop("fault", "jump to %p", info->si_addr);
    for (; *i.next == 0x66 || *i.next == 0xf0; i.next++) {
        i.narrow |= *i.next == 0x66;
        lock |= *i.next == 0xf0;
    }
    if ((*i.next & 0xf0) == 0x40)
        i.rex = *i.next++;
    if (sig == SIGSEGV && !lock && (do_cr8(&i) || do_memory(&i, address))) {
        regs[REG_RIP] = (greg_t)i.next;
        return;
    }
    mem_describe(info->si_addr, what, sizeof(what));
    ver_stop("fault",
             "signal %d at %s (%02x %02x %02x %02x), address %p, %s, on thread %s, IRQL %u", sig,
             ver_where(start), start[0], start[1], start[2], start[3], info->si_addr, what,
             thr_self()->name, (unsigned)thr_self()->irql);
}

void trap_init(void)
{
    struct sigaction a = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};

    sigaction(SIGSEGV, &a, NULL);
    sigaction(SIGBUS, &a, NULL);
    sigaction(SIGILL, &a, NULL);
    sigaction(SIGFPE, &a, NULL);
}
