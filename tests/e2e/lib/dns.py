"""A DNS server for every name: 127.0.0.1 for A, nothing else.  So that Pebble finds the names of the tests on this host.  Where
`unknown` says so of a name there is none such.  It is a process of its own: Pebble waits two seconds for an answer, and the tests'
own process is sometimes busy for longer."""
import multiprocessing
import socket
import struct

from lib.process import end_with_parent

A, IN = 1, 1


class Dns:
    def __init__(self, address="127.0.0.1", unknown=lambda name: False):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
            bound.bind(("127.0.0.1", 0))
            self.port = bound.getsockname()[1]
            self.child = multiprocessing.get_context("fork").Process(target=_serve, args=(bound, address, unknown), daemon=True)
            self.child.start()

    def stop(self):
        self.child.terminate()
        self.child.join()


def _serve(bound, address, unknown):
    end_with_parent()
    while True:
        query, peer = bound.recvfrom(4096)
        reply = answer(query, address, unknown)
        if reply:
            bound.sendto(reply, peer)


def answer(query, address="127.0.0.1", unknown=lambda name: False):
    """RFC 1035 section 4: the question again and, for an A record, its answer."""
    if len(query) < 12:
        return None
    ident, flags, questions = struct.unpack(">HHH", query[:6])
    end, labels = 12, []
    while end < len(query) and query[end]:
        labels.append(query[end + 1:end + 1 + query[end]].decode("ascii", "replace").lower())
        end += query[end] + 1
    end += 5
    if questions != 1 or end > len(query):
        return None
    kind, class_ = struct.unpack(">HH", query[end - 4:end])
    missing = unknown(".".join(labels))
    found = kind == A and class_ == IN and not missing
    head = struct.pack(">HHHHHH", ident, 0x8400 | (flags & 0x0100) | 0x0080 | (3 if missing else 0), 1, int(found), 0, 0)
    record = b"\xc0\x0c" + struct.pack(">HHIH", A, IN, 1, 4) + socket.inet_aton(address) if found else b""
    return head + query[12:end] + record
