/* The filter of system calls: tables by purpose, and libseccomp to make a filter of them. */
#include "os/sandbox_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* What a thread that computes, reads, writes and waits needs.  Names that this machine or libseccomp does not know are skipped:
 * they are then not allowed. */
static const char *const calls_base[] = {
    /* memory and threads */
    "brk", "mmap", "munmap", "mremap", "madvise", "mprotect", "msync", "mlock", "mlock2", "munlock", "membarrier", "futex",
    "futex_waitv", "set_robust_list", "get_robust_list", "set_tid_address", "rseq", "sched_yield", "sched_getaffinity",
    "sched_setaffinity", "sched_getparam", "sched_getscheduler", "gettid", "exit", "exit_group", "restart_syscall", "arch_prctl",
    "sigaltstack", "mincore", "memfd_create", "memfd_secret", "getcpu",
    /* descriptors */
    "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2", "close", "close_range",
    "dup", "dup2", "dup3", "fcntl", "fcntl64", "ioctl", "lseek", "_llseek", "poll", "ppoll", "select", "_newselect", "pselect6",
    "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd", "eventfd2",
    "timerfd_create", "timerfd_settime", "timerfd_gettime", "signalfd4", "pipe", "pipe2", "splice", "tee", "sendfile", "sendfile64",
    "copy_file_range", "flock",
    /* sockets that are open already */
    "recvmsg", "sendmsg", "recvfrom", "sendto", "recv", "send", "recvmmsg", "sendmmsg", "shutdown", "getsockopt", "setsockopt",
    "getsockname", "getpeername", "accept", "accept4", "listen",
    /* files: which ones is for Landlock or the mount namespace to say */
    "open", "openat", "openat2", "creat", "stat", "stat64", "lstat", "lstat64", "fstat", "fstat64", "newfstatat", "fstatat64",
    "statx", "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getdents", "getdents64", "getcwd", "chdir", "fchdir",
    "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir", "mkdir", "mkdirat", "link", "linkat", "symlink", "symlinkat",
    "ftruncate", "ftruncate64", "truncate", "truncate64", "fsync", "fdatasync", "sync_file_range", "fallocate", "fadvise64",
    "utimensat", "utimes", "statfs", "statfs64", "fstatfs", "fstatfs64", "umask", "inotify_init1", "inotify_add_watch",
    "inotify_rm_watch",
    /* who and when */
    "getpid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "getpgrp", "getpgid",
    "getsid", "capget", "uname", "sysinfo", "getrlimit", "ugetrlimit", "prlimit64", "getrusage", "times", "clock_gettime",
    "clock_gettime64", "clock_getres", "clock_nanosleep", "clock_nanosleep_time64", "nanosleep", "gettimeofday", "time",
    "getrandom", "prctl", "getpriority",
    /* signals of its own */
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigreturn", "rt_sigpending", "rt_sigtimedwait", "rt_sigsuspend", "tgkill",
    "kill", "pause", "alarm", "setitimer", "getitimer", "wait4", "waitid", "landlock_restrict_self"};

static const char *const calls_chown[] = {"chown",     "fchown",   "lchown",     "fchownat", "chown32",   "fchown32",
                                          "lchown32",  "chmod",    "fchmod",     "fchmodat", "fchmodat2", "fgetxattr",
                                          "fsetxattr", "getxattr", "flistxattr", "listxattr", "fremovexattr"};

/* Nobody here makes these but an attacker. */
static const char *const calls_deadly[] = {"ptrace",
                                           "process_vm_readv",
                                           "process_vm_writev",
                                           "kexec_load",
                                           "kexec_file_load",
                                           "init_module",
                                           "finit_module",
                                           "delete_module",
                                           "bpf",
                                           "perf_event_open",
                                           "userfaultfd",
                                           "mount",
                                           "umount",
                                           "umount2",
                                           "pivot_root",
                                           "move_mount",
                                           "open_tree",
                                           "fsopen",
                                           "fsmount",
                                           "mount_setattr",
                                           "chroot",
                                           "setns",
                                           "unshare",
                                           "reboot",
                                           "swapon",
                                           "swapoff",
                                           "iopl",
                                           "ioperm",
                                           "open_by_handle_at",
                                           "keyctl",
                                           "add_key",
                                           "request_key",
                                           "settimeofday",
                                           "clock_settime",
                                           "adjtimex",
                                           "acct",
                                           "quotactl",
                                           "pidfd_getfd",
                                           "kcmp",
                                           "sethostname",
                                           "setdomainname",
                                           "lookup_dcookie",
                                           "vhangup",
                                           "syslog"};
/* The same for those who start no programs. */
static const char *const calls_deadly_no_exec[] = {"execve", "execveat", "fork", "vfork"};

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static struct rc filter_fail(struct ctx *ctx, const char *name, int rc)
{
    return ctx_fail(ctx, E_SANDBOX, "seccomp does not take the rule for %s: %s", name, strerror(-rc));
}

static struct rc add_all(struct ctx *ctx, scmp_filter_ctx f, uint32_t action, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int call = seccomp_syscall_resolve_name(names[i]);
        if (call == __NR_SCMP_ERROR || call < 0)
            continue;
        int rc = seccomp_rule_add(f, action, call, 0);
        if (rc)
            return filter_fail(ctx, names[i], rc);
    }
    return RC_OK;
}

static struct rc allow_family(struct ctx *ctx, scmp_filter_ctx f, int family)
{
    int rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family, 0));
    return rc ? filter_fail(ctx, "socket", rc) : RC_OK;
}

static struct rc allow_family_type(struct ctx *ctx, scmp_filter_ctx f, int family, int type)
{
    int rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family, 0),
                              SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, (scmp_datum_t)type));
    return rc ? filter_fail(ctx, "socket", rc) : RC_OK;
}

static struct rc add_sockets(struct ctx *ctx, scmp_filter_ctx f, unsigned may)
{
    static const char *const make[] = {"socketpair"}, *const join[] = {"connect", "bind"};
    bool inet = may & (SANDBOX_CONNECT_TCP | SANDBOX_BIND_TCP), net = inet || (may & SANDBOX_UDP);
    TRY(add_all(ctx, f, SCMP_ACT_ALLOW, make, COUNT(make)));
    if (net || (may & SANDBOX_UNIX))
        TRY(add_all(ctx, f, SCMP_ACT_ALLOW, join, COUNT(join)));
    if (net || (may & SANDBOX_UNIX)) /* name resolution asks its daemon over a Unix socket */
        TRY(allow_family(ctx, f, AF_UNIX));
    for (int i = 0; i < 2; i++) {
        int family = i ? AF_INET6 : AF_INET;
        if (inet)
            TRY(allow_family_type(ctx, f, family, SOCK_STREAM));
        if (may & SANDBOX_UDP) /* getaddrinfo sorts addresses with datagram sockets */
            TRY(allow_family_type(ctx, f, family, SOCK_DGRAM));
    }
    if (net)
        TRY(allow_family(ctx, f, AF_NETLINK)); /* getaddrinfo lists the host's addresses */
    return RC_OK;
}

/* Other actions than the default must be given for each call that is not listed: these say "forbidden" where ENOSYS would mislead.
 */
static struct rc add_refusals(struct ctx *ctx, scmp_filter_ctx f, unsigned may)
{
    static const char *const join[] = {"connect", "bind"};
    if (!(may & (SANDBOX_CONNECT_TCP | SANDBOX_BIND_TCP | SANDBOX_UDP | SANDBOX_UNIX)))
        TRY(add_all(ctx, f, SCMP_ACT_ERRNO(EACCES), join, COUNT(join)));
    if (!(may & SANDBOX_CHOWN)) {
        /* A file's mode may be set by its owner in every role; owners not. */
        static const char *const modes[] = {"chmod", "fchmod", "fchmodat", "fchmodat2"};
        static const char *const owners[] = {"chown", "fchown", "lchown", "fchownat", "chown32", "fchown32", "lchown32"};
        TRY(add_all(ctx, f, SCMP_ACT_ALLOW, modes, COUNT(modes)));
        TRY(add_all(ctx, f, SCMP_ACT_ERRNO(EPERM), owners, COUNT(owners)));
    }
    return RC_OK;
}

/* Threads, but no processes.  clone3 hides its flags behind a pointer: without it the C library takes clone. */
static struct rc add_threads(struct ctx *ctx, scmp_filter_ctx f)
{
    int rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    if (!rc)
        rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    return rc ? filter_fail(ctx, "clone", rc) : RC_OK;
}

static struct rc fill_allow_list(struct ctx *ctx, scmp_filter_ctx f, const struct sandbox *sb)
{
    TRY(add_all(ctx, f, SCMP_ACT_ALLOW, calls_base, COUNT(calls_base)));
    if (sb->may & SANDBOX_CHOWN)
        TRY(add_all(ctx, f, SCMP_ACT_ALLOW, calls_chown, COUNT(calls_chown)));
    TRY(add_sockets(ctx, f, sb->may));
    TRY(add_refusals(ctx, f, sb->may));
    if (SANDBOX_SANITIZED) { /* its tracer of leaks, and its symbolizer's process */
        static const char *const sanitizer[] = {"ptrace", "clone",  "clone3",      "fork",
                                                "vfork",  "execve", "personality", "process_vm_readv"};
        return add_all(ctx, f, SCMP_ACT_ALLOW, sanitizer, COUNT(sanitizer));
    }
    TRY(add_threads(ctx, f));
    TRY(add_all(ctx, f, SCMP_ACT_KILL_PROCESS, calls_deadly_no_exec, COUNT(calls_deadly_no_exec)));
    return add_all(ctx, f, SCMP_ACT_KILL_PROCESS, calls_deadly, COUNT(calls_deadly));
}

/* Programs that the role starts keep the filter and may do what programs do: the deadly calls fail, without killing, for some ask
 * only to see whether they could. */
static struct rc fill_deny_list(struct ctx *ctx, scmp_filter_ctx f)
{
    for (size_t i = 0; i < COUNT(calls_deadly); i++) {
        if (SANDBOX_SANITIZED && strcmp(calls_deadly[i], "ptrace") == 0)
            continue;
        TRY(add_all(ctx, f, SCMP_ACT_ERRNO(EPERM), &calls_deadly[i], 1));
    }
    return RC_OK;
}

struct rc sandbox_calls_enter(struct ctx *ctx, const struct sandbox *sb)
{
    bool exec = sb->may & SANDBOX_EXEC;
    scmp_filter_ctx f = seccomp_init(exec ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(ENOSYS));
    if (!f)
        return ctx_fail(ctx, E_SANDBOX, "seccomp is not available");
    struct rc rc = exec ? fill_deny_list(ctx, f) : fill_allow_list(ctx, f, sb);
    if (rc_ok(rc)) {
        seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a binary tree: the list is long */
        int e = seccomp_load(f);
        if (e)
            rc = ctx_fail(ctx, E_SANDBOX, "the kernel does not take the seccomp filter: %s", strerror(-e));
    }
    seccomp_release(f);
    return rc;
}
