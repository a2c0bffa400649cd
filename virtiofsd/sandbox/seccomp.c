// SPDX-License-Identifier: BSD-3-Clause
/*
 * seccomp.c - which system calls the daemon can make
 *
 * Theory of operation
 *
 *   The list of allowed calls comes from comments beside the code that makes them; seccomp_list.py
 *   collects them at build time and explains their format. Anything else ends the process (or is
 *   logged, or trapped: --seccomp). The filter is set once, on every thread, and threads made later
 *   inherit it.
 *
 *   Some calls are allowed only with certain arguments: see limits[]. Those are calls off the hot path,
 *   for the kernel (5.11 on) answers for calls that are allowed unconditionally from a bitmap, without
 *   running the filter.
 *
 *   One call fails instead of ending the process: clone3's flags are behind a pointer, where no filter can
 *   see them; with ENOSYS libc falls back to clone, whose flags are checked.
 *
 * What libc and the kernel do on their own account:
 *
 * memory, also the front end's:
 * syscalls: brk mmap mmap2 mprotect mremap munmap madvise
 * threads, their locks and their end:
 * syscalls: clone clone3 exit exit_group futex futex_time64 rseq sched_yield sched_getaffinity
 * syscalls: set_robust_list gettid getpid prctl membarrier
 * signals: masks are changed around thread creation, abort() raises one:
 * syscalls: rt_sigaction rt_sigprocmask rt_sigreturn sigreturn sigaltstack tgkill restart_syscall
 * clocks, where the vDSO cannot read them:
 * syscalls: clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 gettimeofday
 * malloc's secrets, and sizes of things:
 * syscalls: getrandom prlimit64 ugetrlimit
 * host/cleanup.h, and buffered files:
 * syscalls: close read write lseek _llseek fstat fstat64 newfstatat fstatat64
 *
 * The process that waits outside (parent.c), with log.c:
 * parent: rt_sigtimedwait rt_sigtimedwait_time64 rt_sigreturn restart_syscall wait4 waitid kill
 * parent: write writev sendto send close exit exit_group getpid gettid futex
 * parent: brk mmap mmap2 munmap mprotect madvise clock_gettime clock_gettime64 gettimeofday
 * parent: openat read lseek fstat newfstatat rt_sigprocmask rt_sigaction tgkill
 *
 * What would undo the sandbox, reach other processes or the kernel's own doors:
 * never: mount umount2 pivot_root chroot setns fsopen fsmount fsconfig fspick open_tree move_mount
 * never: mount_setattr execve execveat fork vfork ptrace process_vm_readv process_vm_writev
 * never: process_madvise kcmp pidfd_open pidfd_getfd pidfd_send_signal bpf perf_event_open
 * never: userfaultfd io_uring_setup io_uring_enter io_uring_register keyctl add_key request_key
 * never: init_module finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff
 * never: sethostname setdomainname iopl ioperm syslog acct settimeofday clock_settime adjtimex
 * never: clock_adjtime quotactl nfsservctl lookup_dcookie personality modify_ldt seccomp
 * never: socket socketpair connect bind listen fanotify_init
 *
 * Ownership: none.   Locks: none; one thread.
 */
#include "confine.h"

#include <errno.h>
#include <linux/fs.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "host/sanitize.h"

struct call {
    int nr;
    const char *name;
};

static const struct call daemon_calls[] = {
#define SECCOMP_CALL(name, nr) {nr, #name},
#include "seccomp_list.h"
#undef SECCOMP_CALL
};

static const struct call parent_calls[] = {
#define SECCOMP_PARENT(name, nr) {nr, #name},
#include "seccomp_list.h"
#undef SECCOMP_PARENT
};

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

/* clone(2), "C library/kernel differences": s390 has the stack first. */
#ifdef __s390__
#define CLONE_FLAGS_ARG 1
#else
#define CLONE_FLAGS_ARG 0
#endif
#define NEW_NAMESPACES                                                                             \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |  \
     CLONE_NEWNET)

/* The argument of a limited call must, under @mask, be @value. Several entries: any of them. */
struct limit {
    int nr;
    unsigned arg;
    uint64_t mask, value;
};

#define WHOLE_INT UINT64_C(0xffffffff)

static const struct limit limits[] = {
    /* threads, no processes and no namespaces */
    {SCMP_SYS(clone), CLONE_FLAGS_ARG, NEW_NAMESPACES | CLONE_THREAD, CLONE_THREAD},
    /* a thread's own working directory and umask */
    {SCMP_SYS(unshare), 0, WHOLE_INT, CLONE_FS},
    /* nothing that was data becomes code */
    {SCMP_SYS(mmap), 2, PROT_EXEC, 0},
    {SCMP_SYS(mmap2), 2, PROT_EXEC, 0},
    {SCMP_SYS(mprotect), 2, PROT_EXEC, 0},
    {SCMP_SYS(prctl), 0, WHOLE_INT, PR_SET_NAME},
    {SCMP_SYS(prctl), 0, WHOLE_INT, PR_GET_NAME},
    /* what guests may ask of files (server/) */
    {SCMP_SYS(ioctl), 1, WHOLE_INT, FS_IOC_GETFLAGS},
    {SCMP_SYS(ioctl), 1, WHOLE_INT, FS_IOC_SETFLAGS},
    {SCMP_SYS(ioctl), 1, WHOLE_INT, FS_IOC_FSGETXATTR},
    {SCMP_SYS(ioctl), 1, WHOLE_INT, FS_IOC_FSSETXATTR},
    /* bytes in a pipe that serves as kick (vhost/worker.c) */
    {SCMP_SYS(ioctl), 1, WHOLE_INT, FIONREAD},
};

/* ---- --seccomp=trap ------------------------------------------------------------------------ */

#define N_NAMES 512          /* numbers of system calls that have a name here */
static char *names[N_NAMES]; /* filled once, before the filter; read by the signal handler */

static void collect_names(void)
{
    for (int nr = 0; nr < N_NAMES; nr++)
        names[nr] = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);
}

static void say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        return; /* nobody is left to tell */
}

/* A call that is not allowed: name it and stop here, so that a core file shows who made it. */
static void trapped(int sig, siginfo_t *info, void *context)
{
    unsigned nr = (unsigned)info->si_syscall;
    char digits[12], *p = digits + sizeof digits - 1;
    char thread[17] = "";

    (void)sig;
    (void)context;
    *p = '\0';
    for (unsigned n = nr; p == digits + sizeof digits - 1 || n; n /= 10)
        *--p = (char)('0' + n % 10);
    prctl(PR_GET_NAME, thread, 0, 0, 0);
    say("virtiofsd: seccomp: system call ");
    say(p);
    say(" (");
    say(nr < N_NAMES && names[nr] ? names[nr] : "unknown");
    say(") in thread \"");
    say(thread);
    say("\" is not in the list\n");
    __builtin_trap();
}

static int prepare_trap(void)
{
    struct sigaction action = {.sa_sigaction = trapped, .sa_flags = SA_SIGINFO};

    collect_names();
    return sigaction(SIGSYS, &action, NULL) < 0 ? -errno : 0;
}

/* ---- the filter ---------------------------------------------------------------------------- */

static uint32_t default_action(enum conf_seccomp mode)
{
    switch (mode) {
    case SECCOMP_LOG:
        return SCMP_ACT_LOG;
    case SECCOMP_TRAP:
        return SCMP_ACT_TRAP;
    default:
        return SCMP_ACT_KILL_PROCESS;
    }
}

/* A signal may go to our own threads only. */
static int allow_tgkill(scmp_filter_ctx ctx)
{
    struct scmp_arg_cmp cmp = {.arg = 0, .op = SCMP_CMP_EQ, .datum_a = (scmp_datum_t)getpid()};

    return seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, &cmp);
}

/* One call: with the arguments that limits[] names, or with any. */
static int allow(scmp_filter_ctx ctx, int nr)
{
    bool limited = false;

    if (nr == SCMP_SYS(clone3))
        return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), nr, 0);
    if (nr == SCMP_SYS(tgkill))
        return allow_tgkill(ctx);
    for (size_t i = 0; i < N_OF(limits); i++) {
        struct scmp_arg_cmp cmp =
            SCMP_CMP(limits[i].arg, SCMP_CMP_MASKED_EQ, limits[i].mask, limits[i].value);
        int err;

        if (limits[i].nr != nr)
            continue;
        limited = true;
        err = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, nr, 1, &cmp);
        if (err)
            return err;
    }
    return limited ? 0 : seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 0);
}

static int allow_calls(scmp_filter_ctx ctx, const struct call *calls, size_t n, bool handles)
{
    for (size_t i = 0; i < n; i++) {
        int err;

        if (calls[i].nr < 0) /* not on this machine */
            continue;
        if (calls[i].nr == SCMP_SYS(open_by_handle_at) && !handles)
            continue;
        err = allow(ctx, calls[i].nr);
        if (err) {
            log_error("seccomp: no rule for %s: %s", calls[i].name, strerror(-err));
            return err;
        }
    }
    return 0;
}

/*
 * How the filter is made: a binary tree of comparisons; all threads; foreign call numbers (32-bit) get
 * the same end as unknown ones; speculation as before, because the daemon runs no code of a guest's.
 */
static int set_attributes(scmp_filter_ctx ctx, uint32_t action)
{
    static const struct {
        enum scmp_filter_attr attr;
        uint32_t value;
        bool optional;
    } attrs[] = {
        {SCMP_FLTATR_CTL_TSYNC, 1, false},
        {SCMP_FLTATR_CTL_OPTIMIZE, 2, true},
        {SCMP_FLTATR_CTL_SSB, 1, true},
    };
    int err = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, action);

    for (size_t i = 0; i < N_OF(attrs) && !err; i++) {
        err = seccomp_attr_set(ctx, attrs[i].attr, attrs[i].value);
        if (err && attrs[i].optional)
            err = 0;
    }
    return err;
}

static int load_filter(enum conf_seccomp mode, const struct call *calls, size_t n, bool handles)
{
    scmp_filter_ctx ctx;
    int err;

    if (mode == SECCOMP_NONE)
        return 0;
    if (SANITIZED) {
        log_info("seccomp: no filter in a build with sanitizers, which make calls of their own");
        return 0;
    }
    ctx = seccomp_init(default_action(mode));
    if (!ctx) {
        log_error("seccomp: this kernel or libseccomp does not have the action asked for; "
                  "--seccomp=none does without");
        return -EOPNOTSUPP;
    }
    err = set_attributes(ctx, default_action(mode));
    if (!err)
        err = allow_calls(ctx, calls, n, handles);
    if (!err)
        err = seccomp_load(ctx);
    seccomp_release(ctx);
    if (err)
        log_error("seccomp: the filter cannot be set: %s; --seccomp=none does without",
                  strerror(-err));
    return err;
}

/**
 * seccomp_lock() - the daemon's filter, on all threads
 * @sb: can_handles says whether open_by_handle_at is allowed
 *
 * Return: 0 or -errno (message printed).
 */
int seccomp_lock(const struct conf *conf, const struct sandbox *sb)
{
    int err = conf->seccomp == SECCOMP_TRAP ? prepare_trap() : 0;

    if (err)
        return confine_fail(err, "no handler for SIGSYS");
    return load_filter(conf->seccomp, daemon_calls, N_OF(daemon_calls), sb->can_handles);
}

/** seccomp_lock_parent() - the waiting parent's filter. Return: 0 or -errno (message printed). */
int seccomp_lock_parent(const struct conf *conf)
{
    /* A trap has no handler here, so it ends the parent and with it the daemon. */
    return load_filter(conf->seccomp, parent_calls, N_OF(parent_calls), false);
}
