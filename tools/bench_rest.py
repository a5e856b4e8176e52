"""What a request of the API costs the hub, over one HTTPS connection that stays: beside /healthz, which is the same server and a handler
that answers two lines.  CPU of the hub, and of the database's server where that is another."""
import http.client
import json
import ssl
import statistics
import time
from pathlib import Path

from lib.postgres import Postgres

CERTIFICATES, REQUESTS = 200, 1000


def caller(hub, token):
    context = ssl.create_default_context(cafile=str(hub.fleet_roots))
    c = http.client.HTTPSConnection("127.0.0.1", hub.https_port, context=context, timeout=30)

    def ask(method, path, body=None):
        headers = {"Authorization": f"Bearer {token}"}
        if body is not None:
            body, headers["Content-Type"] = json.dumps(body), "application/json"
        c.request(method, path, body, headers)
        answer = c.getresponse()
        text = answer.read()
        assert answer.status < 300, (path, answer.status, text)
        return text
    return ask


def times(ask, n, path, method="GET", body=None):
    took = []
    for i in range(n):
        began = time.perf_counter()
        ask(method, path, body and body(i))
        took.append((time.perf_counter() - began) * 1e6)
    return statistics.median(took)


def backends(server):
    """The processes of a PostgreSQL: its own, and one a connection."""
    if not server:
        return []
    main = server.child.pid
    return [main, *(int(p) for p in Path(f"/proc/{main}/task/{main}/children").read_text().split())]


def figures(row, bench, folder, server=None):
    engine = "PostgreSQL" if server else "SQLite"
    hub = bench.hubs.Hub(folder(), server and server.conninfo(server.create()))
    hub.init()
    hub.start()
    try:
        token = hub.unix("POST", "/api/v1/tokens", {"name": "bench", "role": "administrator"}).json()["token"]
        ask = caller(hub, token)
        for i in range(CERTIFICATES):
            ask("POST", "/api/v1/collections", {"name": f"there{i}", "filter": "managed"})
        pid = hub.pids()["hub"]
        asked = [("healthz", "GET", "/healthz", None), ("get one", "GET", "/api/v1/collections/there7", None),
                 ("list 50", "GET", "/api/v1/collections?limit=50", None),
                 ("create one, with its audit entry", "POST", "/api/v1/collections", lambda i: {"name": f"new{i}", "filter": "managed"})]
        bare = None
        for what, method, path, body in asked:
            times(ask, 20, path) if method == "GET" else None
            beside = backends(server)
            began = bench.cpu([pid]), bench.cpu(beside)
            median = times(ask, REQUESTS, path, method, body)
            hub_us = (bench.cpu([pid]) - began[0]) / REQUESTS * 1e6
            server_us = (bench.cpu(beside) - began[1]) / REQUESTS * 1e6
            bare = bare or hub_us
            row(f"{engine}: {what}, over HTTPS that stays", f"{hub_us:.0f} µs of CPU",
                f"{hub_us / bare:.1f} × /healthz{f'; of PostgreSQL {server_us:.0f} µs' if beside else ''}; median {median:.0f} µs")
    finally:
        hub.stop()


def both(row, bench, folder):
    figures(row, bench, folder)
    server = Postgres(folder())
    try:
        figures(row, bench, folder, server)
    finally:
        server.stop()


