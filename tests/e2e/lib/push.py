"""API servers that stand for products which cannot run here: each checks every call strictly (method, path, query, headers, body) and
answers as the real one does; what it did not expect is in `wrong`, which a test wants empty."""
import base64
import http.server
import json
import socket
import ssl
import tempfile
import threading
import time
import urllib.parse
import uuid

from cryptography.hazmat.primitives import serialization
import cryptography.hazmat.primitives.serialization.pkcs12  # noqa: F401

from lib import pki, wait

ENDLESS = 64 << 20  # so that a client without a ceiling does not go on for ever


class Refused(Exception):
    """What the server says instead of doing it."""

    def __init__(self, status, body, headers=None):
        super().__init__(f"{status} {body}")
        self.status, self.body, self.headers = status, body, headers or {}


class Call:
    def __init__(self, handler, body):
        url = urllib.parse.urlsplit(handler.path)
        self.method, self.raw_path, self.path = handler.command, url.path, urllib.parse.unquote(url.path)
        self.query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query)))
        self.raw_query = url.query
        self.headers = {k.lower(): v for k, v in handler.headers.items()}
        self.body = body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.method} {self.path}"


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Clients that hang up are what some tests are about."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format, *args):
        pass

    def _any(self):
        self.server.api.take(self, self.rfile.read(int(self.headers.get("Content-Length", 0))))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _any


class Api:
    """`before`: functions that see each call first and may raise Refused, or return a string: "endless", "drop".  `calls` has what was
    asked."""

    def __init__(self, folder, names=("127.0.0.1",)):
        self.folder, self.root = folder, pki.Root("API root")
        self.cert, self.key, self.roots = self.root.write(folder, list(names), "api")
        self.calls, self.wrong, self.before, self.lock = [], [], [], threading.RLock()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        self.server = _Server(("127.0.0.1", wait.free_port()), _Handler)
        self.server.api = self
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.url = f"https://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def expect(self, good, what):
        if not good:
            self.wrong.append(what)
            raise Refused(400, {"message": f"unexpected: {what}"})

    def asked(self, method=None):
        with self.lock:
            return [c for c in self.calls if method in (None, c.method)]

    def take(self, handler, body):
        call = Call(handler, body)
        try:
            for look in list(self.before):
                what = look(call)
                if what == "endless":
                    return self._endless(handler)
                if what == "drop":
                    handler.close_connection = True
                    return handler.connection.close()
            with self.lock:
                self.calls.append(call)
                status, answer = self.answer(call)
            self._send(handler, status, answer, {})
        except Refused as no:
            self._send(handler, no.status, no.body, no.headers)
        except (AssertionError, KeyError, ValueError, TypeError) as e:
            self.wrong.append(f"{call}: {e!r}")
            self._send(handler, 400, {"message": repr(e)}, {})

    def _send(self, handler, status, body, headers):
        text = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        handler.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            handler.send_header(name, str(value))
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    def _endless(self, handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Connection", "close")
        handler.end_headers()
        sent = 0
        while sent < ENDLESS:
            handler.wfile.write(b'{"a": "' + b"x" * 65536)
            sent += 65536

    def answer(self, call):
        raise NotImplementedError


def _merge(old, patch):
    """JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    new = dict(old) if isinstance(old, dict) else {}
    for k, v in patch.items():
        if v is None:
            new.pop(k, None)
        else:
            new[k] = _merge(new.get(k), v)
    return new


class Kubernetes(Api):
    """Secrets of an API server: resourceVersion, uid, preconditions, the checks of type kubernetes.io/tls."""

    def __init__(self, folder, token="eyJ.cluster.token"):
        super().__init__(folder)
        self.token, self.secrets, self.version = token, {}, 1000
        self.namespaces = {"default", "web"}

    def status(self, code, reason, message):
        return Refused(code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "code": code})

    def put(self, namespace, name, data, **more):
        """What somebody else does with kubectl."""
        with self.lock:
            self.version += 1
            old = self.secrets.get((namespace, name), {})
            meta = {"name": name, "namespace": namespace, "uid": old.get("metadata", {}).get("uid", str(uuid.uuid4())), "resourceVersion": str(self.version),
                    **{k: v for k, v in old.get("metadata", {}).items() if k in ("labels", "annotations")}, **more}
            self.secrets[namespace, name] = {"kind": "Secret", "apiVersion": "v1", "metadata": meta, "type": old.get("type", "kubernetes.io/tls"), "data": data}
            return self.secrets[namespace, name]

    def data(self, name="web-tls", namespace="web"):
        found = self.secrets.get((namespace, name))
        return None if found is None else {k: base64.b64decode(v, validate=True) for k, v in found["data"].items()}

    def fingerprint(self, name="web-tls", namespace="web"):
        data = self.data(name, namespace)
        return pki.fingerprint(pki.read_chain(data["tls.crt"])[0]) if data else None

    def _check_pair(self, data):
        if not {"tls.crt", "tls.key"} <= set(data):
            raise self.status(422, "Invalid", 'Secret "web-tls" is invalid: data[tls.key]: Required value')
        for v in data.values():
            base64.b64decode(v, validate=True)

    def answer(self, call):
        self.expect(call.headers.get("accept") == "application/json", f"accept of {call}")
        if call.headers.get("authorization") != f"Bearer {self.token}":
            raise self.status(401, "Unauthorized", "Unauthorized")
        parts = call.path.split("/")
        self.expect(parts[:4] == ["", "api", "v1", "namespaces"] and parts[5] == "secrets" and len(parts) in (6, 7), str(call))
        namespace, name = parts[4], parts[6] if len(parts) == 7 else None
        if namespace not in self.namespaces:
            raise self.status(404, "NotFound", f'namespaces "{namespace}" not found')
        return getattr(self, f"_{call.method}")(call, namespace, name)

    def _find(self, namespace, name):
        if (namespace, name) not in self.secrets:
            raise self.status(404, "NotFound", f'secrets "{name}" not found')
        return self.secrets[namespace, name]

    def _GET(self, call, namespace, name):
        self.expect(not call.body and not call.query, "a GET without body and query")
        return 200, self._find(namespace, name)

    def _POST(self, call, namespace, name):
        body = call.json()
        self.expect(name is None and call.query == {"fieldManager": "certwright"}, str(call))
        self.expect(call.headers["content-type"] == "application/json", "content type")
        self.expect(body["apiVersion"] == "v1" and body["kind"] == "Secret" and body["type"] == "kubernetes.io/tls", "a TLS Secret")
        self.expect(body["metadata"].get("namespace", namespace) == namespace and "resourceVersion" not in body["metadata"], "metadata")
        self._check_pair(body["data"])
        if (namespace, body["metadata"]["name"]) in self.secrets:
            raise self.status(409, "AlreadyExists", f'secrets "{body["metadata"]["name"]}" already exists')
        return 201, self.put(namespace, body["metadata"]["name"], body["data"], labels=body["metadata"].get("labels", {}))

    def _PATCH(self, call, namespace, name):
        body, old = call.json(), self._find(namespace, name)
        self.expect(call.query == {"fieldManager": "certwright"}, "field manager")
        if call.headers["content-type"] != "application/merge-patch+json":
            raise self.status(415, "UnsupportedMediaType", "the body of the request was in an unknown format")
        self.expect(set(body) == {"metadata", "data"} and set(body["metadata"]) == {"resourceVersion"}, "only what is changed")
        if body["metadata"]["resourceVersion"] != old["metadata"]["resourceVersion"]:
            raise self.status(409, "Conflict", f'Operation cannot be fulfilled on secrets "{name}": the object has been modified')
        new = _merge(old, body)
        self._check_pair(new["data"])
        return 200, self.put(namespace, name, new["data"])

    def _DELETE(self, call, namespace, name):
        body, old = call.json(), self._find(namespace, name)
        self.expect(body["kind"] == "DeleteOptions", "options")
        for key in ("uid", "resourceVersion"):
            if body["preconditions"][key] != old["metadata"][key]:
                raise self.status(409, "Conflict", f"Precondition failed: {key}")
        del self.secrets[namespace, name]
        return 200, {"kind": "Status", "status": "Success"}


class Vault(Api):
    """KV version 2: versions, check-and-set, merge patch, destroy."""

    def __init__(self, folder, token="hvs.token"):
        super().__init__(folder)
        self.token, self.secrets = token, {}

    def no(self, status, *errors):
        return Refused(status, {"errors": list(errors)})

    def put(self, path, data):
        """What somebody else writes."""
        with self.lock:
            self.secrets.setdefault(path, []).append(data)
            return len(self.secrets[path])

    def data(self, path="web/tls"):
        versions = self.secrets.get(path)
        return versions[-1] if versions else None

    def fingerprint(self, path="web/tls", field="certificate"):
        data = self.data(path)
        return pki.fingerprint(pki.read_chain(data[field])[0]) if data and field in data else None

    def answer(self, call):
        self.expect(call.headers.get("x-vault-request") == "true", "X-Vault-Request")
        if call.headers.get("x-vault-token") != self.token:
            raise self.no(403, "permission denied")
        parts = call.path.split("/", 4)
        self.expect(parts[1] == "v1" and parts[2] == "secret" and parts[3] in ("data", "destroy"), str(call))
        return getattr(self, f"_{parts[3]}")(call, parts[4])

    def _meta(self, path):
        gone = self.secrets[path][-1] is None
        return {"created_time": "2026-11-21T10:00:00.0Z", "custom_metadata": None, "deletion_time": "", "destroyed": gone, "version": len(self.secrets[path])}

    def _destroy(self, call, path):
        self.expect(call.method in ("POST", "PUT"), str(call))
        for n in call.json()["versions"]:
            self.expect(isinstance(n, int), "a number")
            self.secrets[path][n - 1] = None
        return 204, None

    def _data(self, call, path):
        versions = self.secrets.get(path)
        if call.method == "GET":
            if versions is None:
                raise Refused(404, {"errors": []})
            meta = self._meta(path)
            if meta["destroyed"]:
                raise Refused(404, {"data": {"data": None, "metadata": meta}})
            return 200, {"request_id": "1", "data": {"data": versions[-1], "metadata": meta}}
        body = call.json()
        self.expect(set(body) == {"options", "data"} and isinstance(body["options"]["cas"], int), "check-and-set")
        if call.method == "PATCH":
            self.expect(call.headers["content-type"] == "application/merge-patch+json", "content type")
            if not versions or versions[-1] is None:
                raise Refused(404, {"errors": []})
        else:
            self.expect(call.method == "POST" and call.headers["content-type"] == "application/json", str(call))
        if body["options"]["cas"] != len(versions or []):
            raise self.no(400, "check-and-set parameter did not match the current version")
        new = _merge(versions[-1], body["data"]) if call.method == "PATCH" else body["data"]
        self.put(path, new)
        return 200, {"data": self._meta(path)}


class Ingress:
    """Serves by TLS whatever key and certificate `pair()` returns at each handshake; None: what it began with."""

    def __init__(self, folder, pair):
        self.folder, self.pair = folder, pair
        cert, key = pki.self_signed(["www.example.org"])
        self.default = pki.pem(cert), pki.key_pem(key)
        self.listener = socket.create_server(("127.0.0.1", wait.free_port()))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(plain,), daemon=True).start()

    def _one(self, plain):
        plain.settimeout(5)
        try:
            cert, key = self.pair() or self.default
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            with tempfile.NamedTemporaryFile(dir=self.folder) as f:
                f.write(key + cert)
                f.flush()
                context.load_cert_chain(f.name)
            with context.wrap_socket(plain, server_side=True) as tls:
                tls.recv(1)
        except (OSError, ValueError):
            plain.close()

    def fingerprint(self):
        return pki.fingerprint(pki.served(self.port))

    def stop(self):
        self.listener.close()


def once(status, body, headers=None, method=None, times=1):
    """For Api.before: refuses that many calls."""
    left = [times]

    def look(call):
        if (method is None or call.method == method) and left[0] > 0:
            left[0] -= 1
            raise Refused(status, body, headers)
    return look


def slow(seconds):
    def look(call):
        time.sleep(seconds)
    return look


class Appliance(Api):
    """No product, but what many have in common: a session, an upload by multipart that takes a moment, and a binding by name."""

    def __init__(self, folder, token="pass word&more"):
        super().__init__(folder)
        self.token, self.certs, self.bound, self.sessions, self.logins, self.expire = token, {}, "factory", set(), 0, False
        self.certs["factory"] = {"fingerprint": "00" * 32, "looks": 0}

    def bound_fingerprint(self):
        return self.certs[self.bound]["fingerprint"]

    def answer(self, call):
        if (call.method, call.path) == ("POST", "/api/login"):
            self.expect(call.headers["content-type"] == "application/x-www-form-urlencoded", "a form")
            form = dict(urllib.parse.parse_qsl(call.body.decode(), strict_parsing=True))
            if form != {"user": "ops", "password": self.token}:
                return 200, {"ok": False, "why": "bad password"}
            self.logins += 1
            sid = uuid.uuid4().hex
            self.sessions.add(sid)
            return 200, {"ok": True, "session": {"id": sid}}
        if self.expire and call.method == "PUT":
            self.expire = False
            self.sessions.clear()
        sid = call.headers.get("x-session")
        if sid not in self.sessions:
            raise Refused(401, {"why": "no session"})
        self.expect(call.query.get("sid") == sid, "the session in the query too")
        return getattr(self, f"_{call.method.lower()}_{call.path.split('/')[2]}")(call, *call.path.split("/")[3:])

    def _post_logout(self, call):
        self.sessions.discard(call.headers["x-session"])
        return 204, None

    def _get_binding(self, call):
        digest = self.bound_fingerprint()
        return 200, {"list": [{"slot": "other", "cert": "x", "print": "?"},
                              {"slot": "web", "cert": self.bound, "print": "SHA256/" + ":".join(digest[i:i + 2].upper() for i in range(0, 64, 2))}]}

    def _put_binding(self, call):
        self.expect(call.json()["slot"] == "web" and call.json()["position"] == 1, "slot")
        name = call.json()["cert"]
        if name not in self.certs:
            raise Refused(404, {"why": f"no certificate {name}"})
        self.bound = name
        return 200, {}

    def _post_certs(self, call):
        kind, _, boundary = call.headers["content-type"].partition("; boundary=")
        self.expect(kind == "multipart/form-data", "multipart")
        parts = {}
        for part in call.body.split(b"--" + boundary.encode())[1:-1]:
            head, _, text = part.strip(b"\r\n").partition(b"\r\n\r\n")
            parts[head.decode().split('name="')[1].split('"')[0]] = text
        key, cert, more = serialization.pkcs12.load_key_and_certificates(parts["file"], parts["pass"])
        self.expect(key.public_key().public_numbers() == cert.public_key().public_numbers() and len(parts["pass"]) >= 20, "a key and its certificate under a passphrase")
        name = parts["name"].decode()
        if name in self.certs:
            raise Refused(409, {"why": "there already"})
        self.certs[name] = {"fingerprint": pki.fingerprint(cert), "looks": 0}
        return 202, {}

    def _get_certs(self, call, name):
        self.certs[name]["looks"] += 1
        return 200, {"state": "importing" if self.certs[name]["looks"] < 2 else "ready"}

    def _delete_certs(self, call, name):
        if name not in self.certs:
            raise Refused(404, {"why": "gone"})
        self.expect(name != self.bound, "not the one that is bound")
        del self.certs[name]
        return 204, None


APPLIANCE = """
connector: appliance
parameters:
  server: {type: url, required: true}
  password: {type: credential, required: true}
  user: {type: text, default: ops}
relay:
  base: "{server}/api"
  auth:
    family: session-login
    login:
      method: POST
      path: /login
      body: {form: {user: "{user}", password: "{password}"}}
      fail_if: {json: /ok, not: ["true"]}
      message: {json: /why}
      read: {sid: {json: /session/id}}
    sign: {headers: {X-Session: "{auth.sid}"}, query: {sid: "{auth.sid}"}}
    logout: {method: POST, path: /logout, headers: {X-Session: "{auth.sid}"}, query: {sid: "{auth.sid}"}}
  see:
    - method: GET
      path: /binding
      read:
        fingerprint: {find: /list, where: {/slot: web}, json: /print, as: [fingerprint]}
        cert: {find: /list, where: {/slot: web}, json: /cert}
  install:
    - method: POST
      path: /certs
      body:
        multipart:
          - {name: name, text: "cw-{id}"}
          - {name: pass, text: "{passphrase}"}
          - {name: file, filename: "cw-{id}.p12", type: application/x-pkcs12, text: "{pkcs12}"}
      done: [409]
    - {method: GET, path: "/certs/cw-{id}", poll: {json: /state, done: [ready], failed: [bad], every_s: 1, most_s: 10}}
    - {method: PUT, path: /binding, body: {json: {slot: web, cert: "cw-{id}", position: "{one|int}"}}, message: {json: /why}}
  undo:
    - {method: PUT, path: /binding, when: {now: new}, body: {json: {slot: web, cert: "{before.cert}", position: 1}}}
    - {method: DELETE, path: "/certs/cw-{id}", done: [404]}
""".replace('"{one|int}"', "1")
