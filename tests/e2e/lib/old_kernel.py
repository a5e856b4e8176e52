"""Runs a program as an older kernel would: system calls from a number on are not there (ENOSYS), for it and all that it starts.

    python3 old_kernel.py FIRST_MISSING PROGRAM ARGUMENT...

From 424 on numbers are the same on every architecture: 424 is before Linux 5.1, 437 before 5.6 (openat2), 444 before 5.13 (Landlock).  What
else an old kernel lacks (flags, /proc files) is there all the same: this shows what asks for a call, and not more."""
import ctypes
import os
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, AT_LEAST, RETURN = 0x20, 0x35, 0x06  # BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JGE|BPF_K, BPF_RET|BPF_K
ALLOW, ERRNO, ENOSYS = 0x7fff0000, 0x00050000, 38


def limit(first_missing):
    rows = [(LOAD, 0, 0, 0), (AT_LEAST, 0, 1, first_missing), (RETURN, 0, 0, ERRNO | ENOSYS), (RETURN, 0, 0, ALLOW)]
    filters = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *row) for row in rows))
    program = ctypes.create_string_buffer(struct.pack("@HxxxxxxQ", len(rows), ctypes.addressof(filters)))
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0:
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot set the filter")


if __name__ == "__main__":
    limit(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
