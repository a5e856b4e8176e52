"""The bundle (tools/bundle) on a host that has nothing: no C library, no shell, no library, nothing but what a kernel gives."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lib import wait
from lib.hub import PROGRAM, ROOT
from lib.remote import token

WWW = "www.example.org"
PREFIX = "opt/certwright"
# The mounts end with the agent: they are in a namespace of its own.  The program's own path gives way to that of the bundle.
ENTER = """set -eu
root=$1 folder=$2; shift 3
mount --bind "$root" "$root"
mount --bind "$folder" "$root$folder"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
exec chroot "$root" /opt/certwright/bin/certwright "$@"
"""
# The first system call that is missing, and what must confine the roles then.
KERNELS = {"this kernel": (None, ""), "before Linux 5.1": (424, "seccomp + mount namespace")}
if os.environ.get("CERTWRIGHT_OLD_KERNEL"):  # another one by hand: 335 is that of Linux 4.19 on x86-64
    KERNELS["by hand"] = (int(os.environ["CERTWRIGHT_OLD_KERNEL"]), "")
SANITIZED = b"libasan" in subprocess.run(["ldd", PROGRAM], stdout=subprocess.PIPE, check=False).stdout
pytestmark = [pytest.mark.skipif(os.geteuid() != 0, reason="a root of its own needs root"), pytest.mark.skipif(SANITIZED, reason="is not shipped with sanitizers"),
              pytest.mark.one_engine]


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """The root of a host with the bundle; CERTWRIGHT_OLD_ROOT: that of a real distribution, to which the bundle is added."""
    root = tmp_path_factory.mktemp("bare")
    if os.environ.get("CERTWRIGHT_OLD_ROOT"):
        subprocess.run(["cp", "-a", os.environ["CERTWRIGHT_OLD_ROOT"] + "/.", root], check=True)
    for part in [root, *root.parents][:3]:
        part.chmod(0o755)
    subprocess.run([ROOT / "tools/bundle", "--into", root], check=True, env={**os.environ, "PROGRAM": PROGRAM})
    for folder in ("dev", "proc", "etc", "tmp"):
        (root / folder).mkdir(exist_ok=True)
    # Modules of name services that only the host would have, around those that matter: ours are built into the C library.
    for name, text in (("nsswitch.conf", "passwd: compat systemd\ngroup: compat sss\nhosts: files mymachines dns myhostname\n"),
                       ("passwd", "root:x:0:0::/:/bin/sh\n"), ("group", "root:x:0:\n"), ("hosts", "127.0.0.1 localhost\n")):
        if not (root / "etc" / name).exists() or name == "hosts":
            (root / "etc" / name).write_text(text)
    for name, text in (("passwd", "webserver:x:61999:61999::/:/bin/sh\n"), ("group", "webserver:x:61999:\n")):
        with open(root / "etc" / name, "a", encoding="utf-8") as f:
            f.write(text)
    return root


@pytest.mark.parametrize("kernel", KERNELS)
def test_an_agent_runs_from_the_bundle_where_nothing_else_is(bare, make_hub, make_remote, kernel):
    """It joins by name, keeps files for a user that only that host knows, starts a command of that host, and renews."""
    first_missing, sandbox = KERNELS[kernel]
    hub = make_hub()
    old = make_remote(hub, "old1", start=False, join=False, url=hub.agents_url.replace("127.0.0.1", "localhost"), users=["webserver"], groups=["webserver"],
                      connectors_dir=f"/{PREFIX}/share/certwright/connectors", commands={"reload": [f"/{PREFIX}/bin/certwright", "help"]})
    (bare / str(old.folder)[1:]).mkdir(parents=True)
    older = [sys.executable, str(Path(__file__).parent / "lib/old_kernel.py"), str(first_missing)] if first_missing else []
    old.via = [*older, "unshare", "--mount", "--propagation", "private", "sh", "-c", ENTER, "enter", str(bare), str(old.folder)]
    done = old.join(token(hub, "for-old1"))
    assert done.code == 0, done
    old.start()
    assert sandbox in wait.until(lambda: old.shown()["sandbox"], "the agent has said what confines it")
    maps = [line for pid in old.pids().values() for line in open(f"/proc/{pid}/maps") if ".so" in line]
    assert maps and all(f"/{PREFIX}/lib/" in line for line in maps), "no library but those of the bundle"
    hub.ok("target", "add", "files", "--agent", "old1", "--connector", "files", "--set", f"fullchain={old.files}/site.pem", "--set", f"key={old.files}/site.key",
           "--set", "owner=webserver", "--set", "reload=reload")
    hub.ok("cert", "add", WWW, "--to", "files")
    first = (old.files / "site.pem").read_text()
    assert "BEGIN CERTIFICATE" in first and (old.files / "site.key").stat().st_uid == 61999
    hub.ok("cert", "renew", WWW)
    assert (old.files / "site.pem").read_text() != first


def test_all_that_is_shipped_is_whole_and_has_its_licence(bare):
    home = bare / PREFIX
    packages = [line.split()[0].split(":")[0] for line in (home / "share/doc/PACKAGES").read_text().splitlines()]
    assert {"libc6", "libssl3", "libcurl4", "libpq5"} <= set(packages)
    assert all((home / "share/doc" / package / "copyright").stat().st_size for package in packages)
    # Also what this agent did not load: all that a library needs is beside it.
    loader = next((home / "lib").glob("ld-*"))
    for library in (home / "lib").iterdir():
        done = subprocess.run(["chroot", bare, f"/{PREFIX}/lib/{loader.name}", "--library-path", f"/{PREFIX}/lib", "--list", f"/{PREFIX}/lib/{library.name}"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        assert library == loader or (done.returncode == 0 and "not found" not in done.stdout), f"{library.name}: {done.stdout}"
    run_paths = subprocess.run(["readelf", "-d", *(home / "lib").iterdir()], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert "RPATH" not in run_paths and "RUNPATH" not in run_paths, "a library would look on the host"
