"""What is in the memory of a process."""

PAGE = 4096
ZEROS = bytes(PAGE)


def memory(pid):
    """What a process could have written: everything but unchanged files."""
    found = []
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            span, mode, _, _, inode, *name = line.split(maxsplit=5)
            path = name[0].strip() if name else ""
            if mode[0] != "r" or path in ("[vvar]", "[vsyscall]", "[vvar_vclock]") or (inode != "0" and mode[1] != "w" and not path.startswith("/memfd")):
                continue
            start, end = (int(x, 16) for x in span.split("-"))
            mem.seek(start)
            try:
                while start < end:
                    part = mem.read(min(end - start, 1 << 26))
                    if not part:
                        break
                    pages = (part[i:i + PAGE] for i in range(0, len(part), PAGE))
                    found.append(b"".join(p for p in pages if p != ZEROS))  # most of it was never written
                    start += len(part)
            except OSError as e:
                assert path.startswith("/") or e.errno == 5, (line, e)
    return b"\n".join(found)
