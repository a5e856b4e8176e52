"""Waiting for something to become so, and nothing else: no test sleeps for a fixed time."""
import os
import random
import socket
import time


def until(condition, what, seconds=10.0, every=0.02):
    """Calls `condition` until what it returns is true, and returns that.  Fails with `what` and the last answer after `seconds`.  Most
    conditions start a program: they get a third of the time at most, and come less often the longer it takes."""
    began = time.monotonic()
    while True:
        asked = time.monotonic()
        got = condition()
        if got:
            return got
        now = time.monotonic()
        if now > began + seconds:
            raise AssertionError(f"after {seconds:g} s still not: {what} (last: {got!r})")
        time.sleep(max(every, min(max(2 * (now - asked), (now - began) / 10), 0.25)))


_given = set()
# Tests may run side by side, lane 0/4 to 3/4: each takes its ports from a range of its own.
_LANE, _LANES = (int(n) for n in os.environ.get("CERTWRIGHT_TEST_LANE", "0/1").split("/"))
_FIRST, _LAST = 10000 + _LANE * (22000 // _LANES), 10000 + (_LANE + 1) * (22000 // _LANES) - 1


def free_port(kind=socket.SOCK_STREAM):
    """A port of 127.0.0.1 that nobody listens on, below those that the kernel gives to outgoing connections."""
    for _ in range(1000):
        port = random.randint(_FIRST, _LAST)
        if port in _given:
            continue
        with socket.socket(socket.AF_INET, kind) as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise AssertionError("no free port")
