"""A private sshd: its own configuration, port, host key and user key; what its commands find comes first in PATH, and is ours."""
import os
import shutil
import socket
import subprocess

from lib import process, wait


def make_key(path, kind="ed25519"):
    path.unlink(missing_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "test", "-f", path], check=True)
    path.chmod(0o600)
    return path


def fingerprint(path):
    done = subprocess.run(["ssh-keygen", "-l", "-f", path], check=True, capture_output=True, text=True)
    return done.stdout.split()[1]


class Sshd:
    def __init__(self, folder):
        self.folder, self.port, self.child = folder, wait.free_port(), None
        self.bin, self.log, self.small = folder / "bin", folder / "sshd.log", folder / "small"
        self.host_key, self.key = make_key(folder / "host_key"), make_key(folder / "user_key")
        for path in (self.bin, self.small):
            path.mkdir()
        shutil.copy(f"{self.key}.pub", folder / "authorized_keys")
        self.conf = folder / "sshd_config"
        self.conf.write_text(f"ListenAddress 127.0.0.1:{self.port}\nHostKey {self.host_key}\nPidFile none\nUsePAM no\nStrictModes no\n"
                             f"PermitRootLogin prohibit-password\nPasswordAuthentication no\nAuthorizedKeysFile {folder}/authorized_keys\n"
                             f"Subsystem sftp internal-sftp\nSetEnv PATH={self.bin}:/usr/sbin:/usr/bin:/sbin:/bin\nLogLevel VERBOSE\n")

    def command(self, name, text):
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def start(self):
        """In a mount namespace of its own, where `small` is a file system of 48 KiB."""
        os.makedirs("/run/sshd", exist_ok=True)
        self.child = process.start(["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=48k,mode=700 tmpfs "$1" && exec /usr/sbin/sshd -D -e -f "$2"',
                                    "sh", self.small, self.conf], self.log)
        wait.until(self._answers, "sshd answers", 10, 0.02)
        return self

    def _answers(self):
        assert self.child.poll() is None, self.log.read_text()
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as s:
                return s.recv(4) == b"SSH-"
        except OSError:
            return False

    def stop(self):
        if self.child and self.child.poll() is None:
            process.stop(self.child)
        self.child = None

    def new_host_key(self):
        self.stop()
        make_key(self.host_key)
        self.start()

    def logins(self):
        return self.log.read_text().count("Accepted publickey")
