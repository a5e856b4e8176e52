"""A private PostgreSQL: its own cluster below a temporary folder, on a Unix socket alone, without fsync."""
import os
import pwd
import subprocess
from pathlib import Path

from lib import process, wait

PASSWORD = "planted-database-password"  # the server asks for none; test_secrets looks where it is


def programs():
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[-3]))
    assert found, "PostgreSQL is not installed; run tools/bootstrap"
    return found[-1].parent


class Postgres:
    def __init__(self, folder):
        self.bin, self.folder, self.made = programs(), folder, 0
        self.data, self.sockets, self.log = folder / "data", folder / "sockets", folder / "log"
        self.user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        folder.chmod(0o755)
        for path in (self.data, self.sockets):
            path.mkdir()
            if os.geteuid() == 0:
                os.chown(path, pwd.getpwnam("postgres").pw_uid, pwd.getpwnam("postgres").pw_gid)
        self.data.chmod(0o700)
        subprocess.run(self._as([self.bin / "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C",
                                 "--no-sync", "--no-instructions"]), check=True, stdout=subprocess.DEVNULL, cwd="/")
        settings = {"listen_addresses": "", "unix_socket_directories": self.sockets, "unix_socket_permissions": "0777", "fsync": "off",
                    "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200", "shared_buffers": "32MB",
                    "wal_level": "minimal", "max_wal_senders": "0", "max_wal_size": "128MB", "min_wal_size": "32MB", "autovacuum": "off"}
        self.child = process.start(self._as([self.bin / "postgres", "-D", self.data,
                                             *(w for k, v in settings.items() for w in ("-c", f"{k}={v}"))]), self.log, cwd="/")
        wait.until(self._answers, "PostgreSQL answers", 30)

    def _as(self, argv):
        argv = [str(a) for a in argv]
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *argv] if os.geteuid() == 0 else argv

    def _answers(self):
        assert self.child.poll() is None, self.log.read_text()
        return subprocess.run([str(self.bin / "pg_isready"), "-q", "-h", str(self.sockets)], check=False).returncode == 0

    def sql(self, text, database="postgres"):
        done = subprocess.run([str(self.bin / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", str(self.sockets), "-U", "postgres", "-d", database,
                               "-c", text], check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def create(self):
        self.made += 1
        self.sql(f"CREATE DATABASE t{self.made}")
        return f"t{self.made}"

    def drop(self, database):
        self.sql(f"DROP DATABASE {database} WITH (FORCE)")

    def dump(self, database):
        """Everything in a database, as text; binary columns are in hexadecimal."""
        return subprocess.run([str(self.bin / "pg_dump"), "-h", str(self.sockets), "-U", "postgres", "-a", database], check=True,
                              stdout=subprocess.PIPE).stdout

    def conninfo(self, database):
        return f"host={self.sockets} dbname={database} user=postgres password={PASSWORD}"

    def stop(self):
        process.stop(self.child, 20, by=2)
