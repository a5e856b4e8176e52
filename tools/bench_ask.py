"""How long people wait for an answer of the inventory: bench_inventory makes a small and a large one, bench_ask asks both by turns.

CERTWRIGHT_BENCH_MILLIONS says how large the large one is: 1, or 10 as in docs/PERFORMANCE.md (about eight minutes and 10 GB)."""
import os
import subprocess
import tempfile


def figures(row, build):
    millions = os.environ.get("CERTWRIGHT_BENCH_MILLIONS", "1")
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/tmp")) as folder:
        files = []
        for size in ("0.1", millions):
            files.append(os.path.join(folder, f"{size}.db"))
            subprocess.run([build / "bench_inventory", size, "sqlite", files[-1]], check=True, stdout=subprocess.DEVNULL)
        out = subprocess.run([build / "bench_ask", *files], check=True, stdout=subprocess.PIPE, text=True).stdout
    lines = [dict(word.split("=") for word in line.split()[1:]) for line in out.splitlines()]
    for small, large in zip(lines[::2], lines[1::2]):
        row(f"asking {int(large['n']):,} certificates: {large['question']}", f"{large['p99_ms']} ms",
            f"99th percentile; median {large['p50_ms']} ms; of {int(small['n']):,}: {small['p99_ms']} and {small['p50_ms']} ms; "
            f"CPU, 99th percentile, {large['cpu_p99_ms']} and {small['cpu_p99_ms']} ms")
