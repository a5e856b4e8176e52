"""Targets without an agent on their host: a Kubernetes Secret and a Vault secret, over API servers that check every call.  Neither of the
two is in Debian: docs/OPERATIONS.md says what was never run against the real one.  CERTWRIGHT_SOAK: killed at more places."""
import os
import re
import shutil
import tempfile
from pathlib import Path

import pytest
import test_secrets
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from lib import pki, push, wait

WWW = "www.example.org"
pytestmark = pytest.mark.one_engine  # what differs is the agent's: the hub keeps the same rows as for nginx and for files


class Site:
    """A hub whose agent may send to one API."""

    def __init__(self, hub, api, connector, parameters, ingress):
        self.hub, self.api, self.connector, self.parameters, self.ingress = hub, api, connector, parameters, ingress

    def target(self, *more, **changes):
        values = {"server": self.api.url, "token": "api-token", **self.parameters, **changes}
        sets = [x for k, v in values.items() if v is not None for x in ("--set", f"{k}={v}")]
        self.hub.ok("target", "add", "site", "--connector", self.connector, *sets, *more)
        return self

    def add(self, code=0):
        done = self.hub.cw("cert", "add", WWW, "--to", "site")
        assert done.code == code, done
        return done

    def current(self):
        return self.hub.show("cert", WWW)["current_version"]["fingerprint"]


SOAK = bool(os.environ.get("CERTWRIGHT_SOAK"))
LOOP = ["apply:apply.push_saved", "relay:relay.push_installed", "agent:agent.push_saved", "relay:relay.push_install", "agent:agent.install_after",
        "agent:agent.commit_before"]
UNDO = ["relay:relay.push_undo", "agent:agent.push_undo", "agent:agent.undo_after"]
KINDS = {"appliance": (push.Appliance, {"password": "api-token", "token": None}),
         "kubernetes": (push.Kubernetes, {"namespace": "web", "secret": "web-tls"}), "vault": (push.Vault, {"secret": "web/tls"})}


@pytest.fixture
def make_site(make_hub):
    made = []

    def make(connector, hosts=None, secret=None, **start):
        folder = Path(tempfile.mkdtemp(prefix="cw-e2e-", dir="/tmp"))
        folder.chmod(0o755) # the relay has a user of its own
        kind, parameters = KINDS[connector]
        api = kind(folder)
        ingress = push.Ingress(folder, lambda: None)
        made.extend([api, ingress])
        token = folder / "token"
        token.write_text((secret or api.token) + "\n")
        token.chmod(0o600)
        hub = make_hub(start=False)
        if connector == "appliance":
            (folder / "connectors").mkdir()
            (folder / "connectors" / "appliance.yaml").write_text(push.APPLIANCE)
            hub.agent_settings["connectors_dir"], hub.agent_settings["connectors"] = str(folder / "connectors"), []
        hub.agent_settings["prove_s"] = 1
        hub.agent_settings["connectors"].append(connector)
        hub.agent_settings["credentials"] = {"api-token": {"file": str(token), "hosts": hosts or [f"127.0.0.1:{api.port}"], "roots": str(api.roots)}}
        hub.write_agent()
        hub.start(**start)
        return Site(hub, api, connector, parameters, ingress)
    yield make
    for one in made:
        one.stop()
        shutil.rmtree(one.folder, ignore_errors=True)


@pytest.fixture(params=["kubernetes", "vault"])
def site(request, make_site):
    return make_site(request.param)


@pytest.mark.one_engine(False)
def test_it_is_made_then_renewed_and_nothing_else_is_touched(site):
    api = site.target().api
    site.add()
    assert api.fingerprint() == site.current()
    other = {"note": "ours" if site.connector == "vault" else "b3Vycw=="}
    if site.connector == "vault":
        api.put("web/tls", {**api.data(), **other})
    else:
        api.put("web", "web-tls", {**api.secrets["web", "web-tls"]["data"], **other}, labels={"app": "web"})
    first = site.current()
    site.hub.ok("cert", "renew", WWW)
    assert api.fingerprint() == site.current() != first
    assert "note" in api.data(), "what else the secret holds stays"
    assert site.connector == "vault" or api.secrets["web", "web-tls"]["metadata"]["labels"] == {"app": "web"}
    text = api.data()["private_key" if site.connector == "vault" else "tls.key"]
    assert "BEGIN PRIVATE KEY" in (text if isinstance(text, str) else text.decode())
    assert not api.wrong, api.wrong


def kubernetes_pair(api):
    data = api.data()
    return (data["tls.crt"], data["tls.key"]) if data else None


def test_the_ingress_shows_it(make_site):
    site = make_site("kubernetes")
    site.ingress.pair = lambda: kubernetes_pair(site.api)
    site.target("--endpoint", f"127.0.0.1:{site.ingress.port}").add()
    assert site.ingress.fingerprint() == site.current() == site.api.fingerprint()


@pytest.mark.one_engine(False)
def test_what_was_there_is_back_when_the_handshake_does_not_show_it(site):
    api = site.target().api
    site.add()
    first, before = site.current(), api.data()
    deployed = site.ingress.fingerprint()
    site.hub.ok("target", "edit", "site", "--endpoint", f"127.0.0.1:{site.ingress.port}")
    done = site.hub.cw("cert", "renew", WWW)
    assert done.code in (1, 6) and "shows another certificate" in done.err, done
    assert api.data() == before and api.fingerprint() == first and site.ingress.fingerprint() == deployed
    assert not api.wrong, api.wrong


def test_what_was_not_there_is_gone_again(site):
    site.target("--endpoint", f"127.0.0.1:{site.ingress.port}")
    done = site.hub.cw("cert", "add", WWW, "--to", "site")
    assert done.code in (1, 6), done
    assert site.api.data() is None and not site.api.wrong, (site.api.data(), site.api.wrong)


def test_somebody_edits_it_meanwhile_and_it_is_looked_at_again(site):
    api = site.target().api
    site.add()
    edited = []

    def edit(call):
        if call.method == "PATCH" and not edited:
            edited.append(True)
            if site.connector == "vault":
                api.put("web/tls", {**api.data(), "note": "theirs"})
            else:
                api.put("web", "web-tls", {**api.secrets["web", "web-tls"]["data"], "note": "dGhlaXJz"})
    api.before.append(edit)
    site.hub.ok("cert", "renew", WWW)
    assert edited and api.fingerprint() == site.current() and "note" in api.data()
    assert not api.wrong, api.wrong


def test_somebody_elses_certificate_is_not_overwritten_by_the_undoing(make_site):
    site = make_site("kubernetes")
    api = site.target("--endpoint", f"127.0.0.1:{site.ingress.port}").api
    cert, key = pki.self_signed([WWW])
    theirs = {"tls.crt": push.base64.b64encode(pki.pem(cert)).decode(), "tls.key": push.base64.b64encode(pki.key_pem(key)).decode()}
    seen = []

    def replace(call): # between our change and our undoing
        if call.method == "GET" and api.asked("POST") and not seen:
            seen.append(True)
            api.put("web", "web-tls", theirs)
    api.before.append(replace)
    site.hub.cw("cert", "add", WWW, "--to", "site")
    assert api.fingerprint() == pki.fingerprint(cert)
    assert "somebody else" in site.hub.ok("cert", "steps", WWW).out


@pytest.mark.parametrize("how", ["wrong", "missing", "readable", "elsewhere"])
def test_a_credential_that_cannot_be_used_says_what_to_do(make_site, how):
    site = make_site("vault", secret="hvs.wrong" if how == "wrong" else None, hosts=["vault.example.org"] if how == "elsewhere" else None)
    path = site.hub.agent_settings["credentials"]["api-token"]["file"]
    if how in ("missing", "readable"):
        site.hub.stop()
        os.remove(path) if how == "missing" else os.chmod(path, 0o644)
        site.hub.start()
    site.target()
    done = site.hub.cw("cert", "add", WWW, "--to", "site")
    words = {"wrong": "permission denied", "missing": "is not there", "readable": "others may read it", "elsewhere": "may not be sent to"}[how]
    assert done.code in (3, 6) and words in done.err, done
    assert "hvs." not in done.err and "hvs." not in site.hub.text()
    assert how == "wrong" or not site.api.calls, "nothing was sent"


def test_a_credential_that_is_replaced_is_read_anew(make_site):
    site = make_site("vault", secret="hvs.old-token").target()
    assert "permission denied" in site.add(code=6).err
    path = Path(site.hub.agent_settings["credentials"]["api-token"]["file"])
    fresh = path.with_name("fresh")
    fresh.write_text(site.api.token + "\n")
    fresh.chmod(0o640)
    group = re.search(r"^Gid:\t(\d+)", Path(f"/proc/{site.hub.pids()['relay']}/status").read_text(), re.M).group(1)
    if os.geteuid() == 0:
        os.chown(fresh, 0, int(group))
    fresh.rename(path)
    site.hub.ok("cert", "retry", WWW)
    assert site.api.fingerprint() == site.current()


def test_sessions_uploads_and_bindings_are_data_too(make_site):
    site = make_site("appliance")
    api = site.target().api
    api.expire = True # in the middle of the installation: it logs in once more
    site.add()
    first = site.current()
    assert api.bound_fingerprint() == first and not api.sessions and api.logins > 2, "logged in, and out again"
    site.hub.ok("target", "edit", "site", "--endpoint", f"127.0.0.1:{site.ingress.port}")
    site.hub.cw("cert", "renew", WWW)
    assert api.bound_fingerprint() == first and len(api.certs) == 2, "what was uploaded is gone again"
    assert not api.wrong and not api.sessions, api.wrong


def test_a_redirect_is_not_followed(make_site):
    site = make_site("vault").target()
    site.api.before.append(push.once(307, None, {"Location": "https://169.254.169.254/latest/meta-data/"}, times=99))
    done = site.add(code=6)
    assert "redirect" in done.err and "169.254.169.254" in done.err, done


def test_an_api_that_says_yes_and_does_nothing_is_found_out(make_site):
    site = make_site("kubernetes").target()
    site.api.before.append(push.once(201, {"kind": "Secret"}, method="POST", times=99))
    done = site.add(code=6)
    assert "there is no certificate, not the one that was sent" in done.err and site.api.data() is None, done


def test_a_private_address_that_is_not_granted_is_refused(make_site):
    site = make_site("vault")
    site.hub.agent_settings["networks"]["relay"] = []
    site.hub.write_agent()
    site.hub.restart()
    site.target()
    done = site.hub.cw("cert", "add", WWW, "--to", "site")
    assert done.code in (3, 6) and "not granted" in done.err and not site.api.calls, done


def test_a_dry_run_looks_and_changes_nothing(make_site):
    site = make_site("vault").target()
    done = site.hub.ok("cert", "add", WWW, "--to", "site", "--dry-run")
    assert f"over https to {site.api.url}, as connector vault says" in done.out and "is asked what it holds" in done.out, done
    assert not site.api.calls


def test_a_key_sent_from_here_is_in_no_memory_but_where_it_is_made_and_sent(make_site):
    site = make_site("kubernetes").target()
    site.add()
    key = load_pem_private_key(site.api.data()["tls.key"], None).private_numbers().private_value.to_bytes(32, "big")
    for role in ("hub", "agent", "run", "probe"):
        text = test_secrets.memory(site.hub.pids()[role])
        assert not any(f in text for f in test_secrets.of_bytes(key)), role
        assert site.api.token.encode() not in text, role


def test_it_waits_as_long_as_it_is_asked_to(make_site):
    site = make_site("kubernetes").target()
    site.api.before.append(push.once(429, {"message": "too many"}, {"Retry-After": "1"}, times=1))
    site.add()
    assert site.api.fingerprint() == site.current()


@pytest.mark.parametrize("answer", ["endless", "drop", "page"])
def test_an_answer_that_is_none_ends_the_attempt(make_site, answer):
    site = make_site("vault").target()

    def look(call):
        if answer == "page":
            raise push.Refused(200, b"<html>Please log in</html>", {"Content-Type": "text/html"})
        return answer
    site.api.before.append(look)
    done = site.hub.cw("cert", "add", WWW, "--to", "site")
    assert done.code in (1, 6, 7), done
    assert site.hub.ok("status").out


@pytest.mark.parametrize("point", LOOP if SOAK else LOOP[:2])
def test_the_deployment_completes_after_kill_9(make_site, point):
    site = make_site("kubernetes", failpoint=f"{point}=kill").target()
    site.hub.cw("cert", "add", WWW, "--to", "site", timeout=60)
    wait.until(lambda: (site.hub.show("cert", WWW).get("current_version") or {}).get("fingerprint") == site.api.fingerprint() is not None,
               "the new certificate is there", 30)
    site.hub.settled(WWW)
    assert f" failpoint name={point.split(':')[1]} " in site.hub.text()
    assert not site.api.wrong, site.api.wrong


@pytest.mark.parametrize("point", UNDO if SOAK else UNDO[:1])
def test_the_undoing_completes_after_kill_9(make_site, point):
    site = make_site("vault", failpoint=f"{point}=kill")
    site.target("--endpoint", f"127.0.0.1:{site.ingress.port}")
    site.hub.cw("cert", "add", WWW, "--to", "site", timeout=60)
    wait.until(lambda: f" failpoint name={point.split(':')[1]} " in site.hub.text(), "it was killed", 30)
    wait.until(lambda: site.api.data() is None, "what was sent is gone", 30)
    site.hub.settled(WWW)
    assert not site.api.wrong, site.api.wrong
