"""Processes that end when the tests do, however these end."""
import ctypes
import os
import signal
import subprocess

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def end_with_parent():
    """In a child: it ends when its parent does."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def start(argv, log, env=None, cwd=None):
    """Starts a program whose output goes to the file `log` (appended)."""
    with open(log, "ab") as out:
        return subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=cwd,
                                env={**os.environ, **(env or {})}, preexec_fn=end_with_parent)


def stop(child, seconds=15, by=signal.SIGTERM):
    """Ends a program and returns its exit code."""
    if child.poll() is None:
        child.send_signal(by)
    try:
        return child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        raise AssertionError(f"{child.args[0]} did not end within {seconds} s of signal {by}")


def state(pid):
    """As the kernel abbreviates it: R, S, T (stopped) …"""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        return f.read().rsplit(")", 1)[1].split()[0]
