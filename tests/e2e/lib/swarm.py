"""Many agents that only wait: each with its own key, certificate and connection, as `certwright run agent` has when nothing is to do."""
import asyncio
import base64
import json
import ssl
import tempfile

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

WAIT_S = 25  # as the agent polls


def _request(method, path, body):
    text = json.dumps(body).encode()
    return b"%s %s HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (method, path, len(text)) + text


async def _answer(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0)
    return int(head.split()[1]), await reader.readexactly(length) if length else b""


class Swarm:
    def __init__(self, hub, count, prefix="idle"):
        self.hub, self.count, self.prefix, self.polls, self.failed = hub, count, prefix, 0, 0
        self.tasks, self.waiting = [], 0

    def _context(self):
        ctx = ssl.create_default_context(cafile=str(self.hub.fleet_roots))
        ctx.check_hostname = False
        return ctx

    async def _connect(self, ctx):
        return await asyncio.open_connection("127.0.0.1", self.hub.agents_port, ssl=ctx, server_hostname="localhost")

    async def _join(self, token, i):
        key = ec.generate_private_key(ec.SECP256R1())
        csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(
            x509.SubjectAlternativeName([x509.DNSName("agent.invalid")]), False).sign(key, hashes.SHA256())
        reader, writer = await self._connect(self._context())
        writer.write(_request(b"POST", b"/agent/v1/join", {
            "token": token, "name": f"{self.prefix}{i}", "csr": base64.b64encode(csr.public_bytes(serialization.Encoding.DER)).decode(), "version": "0", "platform": "bench"}))
        status, body = await _answer(reader)
        writer.close()
        assert status == 200, body
        ctx = self._context()
        with tempfile.NamedTemporaryFile() as pair:
            pair.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
            pair.write(json.loads(body)["certificate_pem"].encode())
            pair.flush()
            ctx.load_cert_chain(pair.name)
        return ctx

    async def _live(self, ctx, i):
        while True:
            reader, writer = await self._connect(ctx)
            try:
                while True:
                    writer.write(_request(b"POST", b"/agent/v1/exchange", {
                        "agent": {"name": f"{self.prefix}{i}", "version": "0", "platform": "bench", "boot_id": f"boot{i}", "sandbox": "none", "capabilities": ["key", "deploy"]},
                        "results": [], "progress": [], "holding": [], "capacity": 8, "wait_s": WAIT_S}))
                    self.waiting += 1
                    status, _ = await _answer(reader)
                    self.waiting -= 1
                    self.polls += 1
                    self.failed += status != 200
            finally:
                writer.close()

    async def join(self, token):
        """All of them, sixteen at a time."""
        gate, contexts = asyncio.Semaphore(16), [None] * self.count

        async def one(i):
            async with gate:
                contexts[i] = await self._join(token, i)
        await asyncio.gather(*(one(i) for i in range(self.count)))
        self.contexts = contexts

    async def wait(self):
        """Begins to wait, spread over a second; returns when all do."""
        for i, ctx in enumerate(self.contexts):
            self.tasks.append(asyncio.create_task(self._live(ctx, i)))
            if i % 50 == 49:
                await asyncio.sleep(0.05)
        while self.waiting < self.count:
            await asyncio.sleep(0.05)

    async def end(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
