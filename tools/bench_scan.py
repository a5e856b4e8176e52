#!/usr/bin/python3
"""The network scanner beside what its system calls cost alone, a full OpenSSL handshake, nmap, sslscan and openssl s_client; and addresses
that keep silent.  The clients have one core, the server (nginx, an ECDSA and an RSA certificate) the other.

    tools/bench_scan.py [BUILD]      build/release; also part of tools/bench"""
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/e2e"))
from lib import wait  # noqa: E402

CLIENT, SERVER = ("taskset", "1"), ("taskset", "2")
ROUNDS = 3


def program(build, name, *arguments):
    done = subprocess.run([*CLIENT, build / name, *map(str, arguments)], check=True, capture_output=True, text=True)
    return {k: float(v) for k, v in re.findall(r"(\w+) ([\d.]+)", done.stdout.splitlines()[-1])}


def spawned(commands):
    """Seconds and CPU seconds of commands, one after another."""
    began, used = time.monotonic(), 0.0
    for command in commands:
        child = subprocess.Popen([*CLIENT, *map(str, command)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        used += usage.ru_utime + usage.ru_stime
    return time.monotonic() - began, used


class Server:
    def __init__(self, folder):
        self.port = wait.free_port()
        for kind, how in (("ec", ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]), ("rsa", ["rsa:2048"])):
            subprocess.run(["openssl", "req", "-x509", "-newkey", *how, "-nodes", "-keyout", folder / f"{kind}.key", "-out", folder / f"{kind}.pem",
                            "-subj", f"/CN={kind}.example.org", "-days", "9"], check=True, capture_output=True)
        pairs = "".join(f"ssl_certificate {folder}/{k}.pem; ssl_certificate_key {folder}/{k}.key; " for k in ("ec", "rsa"))
        (folder / "nginx.conf").write_text(
            f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error; events {{ worker_connections 8192; }}\n"
            f"http {{ access_log off; ssl_session_cache off; {pairs}\n"
            + "".join(f"{kind}_temp_path {folder}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
            + f"server {{ listen 0.0.0.0:{self.port} ssl backlog=8192; ssl_protocols TLSv1.2 TLSv1.3; return 204; }} }}\n")
        self.child = subprocess.Popen([*SERVER, "/usr/sbin/nginx", "-c", folder / "nginx.conf", "-p", folder], stderr=subprocess.DEVNULL)
        wait.until(lambda: subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}"], stdin=subprocess.DEVNULL,
                                          capture_output=True).returncode == 0, "nginx answers", 10)

    def stop(self):
        self.child.terminate()
        self.child.wait()


def beside(row, build, port):
    floors, scans, both, fulls = [], [], [], []
    for _ in range(ROUNDS):  # in turns: the machine has its moods
        floors.append(program(build, "scan_floor", "bare", port, 16384))
        scans.append(program(build, "scan_once", "-q", "-n", 64, port, "127.1.0.0/18"))
        both.append(program(build, "scan_once", "-q", "-n", 64, "-b", port, "127.1.0.0/19"))
        fulls.append(program(build, "scan_floor", "openssl", port, 2000))
    assert all(s["found"] == s["probed"] for s in scans + both)
    floor, scan, two, full = (statistics.median(r["cpu_us"] for r in rs) for rs in (floors, scans, both, fulls))
    row("scan: CPU an endpoint", f"{scan:.0f} µs", f"connect, send, receive, close alone {floor:.0f} µs: {scan / floor:.2f} ×; goal ≤ 1.3 ×")
    row("scan: CPU an endpoint with both certificates of it", f"{two:.0f} µs", "two connections")
    row("a full handshake by OpenSSL", f"{full:.0f} µs", f"{full / scan:.1f} × a scan's; goal ≥ 10 ×")
    rate = statistics.median(s["probed"] / s["seconds"] for s in scans)
    row("scan: endpoints a second", f"{rate:,.0f}", "the server's core is the limit")
    address = [f"127.1.0.{i}" for i in range(1, 255)]
    others = {
        "nmap ssl-cert": (254, [["nmap", "-n", "-Pn", "-sT", "-T5", "-p", port, "--script", "ssl-cert", "127.1.0.1-254"]]),
        "sslscan": (10, [["sslscan", "--no-colour", f"{a}:{port}"] for a in address[:10]]),
        "openssl s_client": (50, [["openssl", "s_client", "-connect", f"{a}:{port}"] for a in address[:50]])}
    for name, (n, commands) in others.items():
        if not shutil.which(commands[0][0]):
            row(f"beside it: {name}", "not installed")
            continue
        seconds, used = spawned(commands)
        row(f"beside it: {name}", f"{n / seconds:,.0f} a second", f"{used / n * 1e6:,.0f} µs of CPU an endpoint")


def silent(row, build):
    """A network whose link leads nowhere."""
    script = ("ulimit -n $(ulimit -Hn); ip link add vt0 type veth peer name vt1; ip link set lo up; ip link set vt0 up; "
              "ip addr add 10.9.0.1/16 dev vt0; exec \"$@\"")
    done = subprocess.run(["unshare", "-n", "sh", "-c", script, "sh", *CLIENT, build / "scan_once", "-q", "-n", "60000", "-c", "3000", "443",
                           "10.9.0.0/17", "10.9.128.0/18", "10.9.192.0/22"], capture_output=True, text=True)
    if done.returncode != 0:
        row("50,176 silent addresses", "not measured", done.stderr.strip()[:80])
        return
    r = {k: float(v) for k, v in re.findall(r"(\w+) ([\d.]+)", done.stdout)}
    row("50,176 silent addresses, 3 s each", f"{r['seconds']:.1f} s", f"{r['rss_kib'] / 1024:.1f} MiB, goal ≤ 64; {r['cpu_us']:.0f} µs of CPU an address")


def figures(row, build):
    folder = Path(tempfile.mkdtemp(prefix="cw-bench-", dir="/tmp"))
    folder.chmod(0o755)
    server = None
    try:
        server = Server(folder)
        beside(row, build, server.port)
        silent(row, build)
    finally:
        if server:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    figures(lambda what, figure, beside_="": print(f"{what:<58} {figure:>16}   {beside_}", flush=True), Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/release").resolve())
