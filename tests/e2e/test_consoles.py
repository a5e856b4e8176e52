"""Caddy, Cockpit, Tomcat and strongSwan, each the real one: deployed, reloaded, proved, put back when broken."""
import shutil
import tempfile
from pathlib import Path

import pytest

from lib import consoles, formats, pki

WWW = consoles.NAME
pytestmark = pytest.mark.one_engine  # what differs is the agent's: the hub keeps the same rows as for nginx and for files


def running(kind):
    folder = Path(tempfile.mkdtemp(prefix="cw-e2e-", dir="/tmp"))
    folder.chmod(0o755)
    one = kind(folder)
    try:
        one.start()
        yield one
    finally:
        one.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="module", params=[consoles.Caddy, consoles.Cockpit], ids=lambda s: s.connector)
def service(request):
    yield from running(request.param)


@pytest.fixture(scope="module")
def tomcat():
    yield from running(consoles.Tomcat)


@pytest.fixture(scope="module")
def strongswan():
    yield from running(consoles.Strongswan)


def granted(make_hub, service):
    hub = make_hub(start=False)
    hub.agent_settings["connectors"].append(service.connector)
    hub.agent_settings["paths"].append(str(service.folder))
    hub.agent_settings["commands"].update(service.commands)
    hub.write_agent()
    return hub.start()


def current(hub, name=WWW):
    return hub.show("cert", name)["current_version"]["fingerprint"]


def ineffective(hub, service):
    """From now on its reload does nothing."""
    hub.agent_settings["commands"][f"{service.connector}-reload"] = ["/bin/true"]
    hub.agent_settings["prove_s"] = 1
    hub.write_agent()
    hub.restart()


def test_a_web_service_is_renewed_checked_before_and_put_back(make_hub, service):
    hub = granted(make_hub, service)
    hub.ok("target", "add", "site", "--connector", service.connector, *service.parameters, "--endpoint", f"127.0.0.1:{service.port}/{WWW}")
    before = pki.fingerprint(service.served())
    hub.ok("cert", "add", WWW, "--to", "site")
    first = current(hub)
    assert pki.fingerprint(service.served()) == first != before
    # Not how the connection ends: behind cockpit-tls there is nothing here.
    assert "Verify return code: 0 (ok)" in pki.trusted(service.port, hub.roots())[1]
    assert service.key.stat().st_mode & 0o777 == 0o600, "as its owner had it"
    service.write(broken="\nno such directive {\n")
    done = hub.cw("cert", "renew", WWW)
    assert done.code == 6 and "was broken before" in done.err, done
    service.write()
    hub.ok("cert", "retry", WWW)
    second = current(hub)
    assert pki.fingerprint(service.served()) == second != first
    files = service.cert.read_bytes(), service.key.read_bytes()
    ineffective(hub, service)
    done = hub.cw("cert", "renew", WWW)
    assert done.code == 6 and "shows another certificate" in done.err, done
    assert (service.cert.read_bytes(), service.key.read_bytes()) == files and pki.fingerprint(service.served()) == second


@pytest.mark.parametrize("kind", ["pkcs12", "jks"])
def test_tomcat_takes_a_new_key_store_without_a_restart_and_gets_the_old_one_back(make_hub, tomcat, kind):
    hub = granted(make_hub, tomcat)
    path, port = (tomcat.p12, tomcat.port) if kind == "pkcs12" else (tomcat.jks, tomcat.jks_port)
    old, pid = path.read_bytes(), tomcat.child.pid
    first = pki.fingerprint(pki.served(port))
    hub.ok("target", "add", "site", "--connector", "tomcat", *tomcat.parameters_of(kind), "--endpoint", f"127.0.0.1:{port}")
    # Tomcat's own password is another: it says so, goes on with what it has, and gets its file back, made by a tool of others.
    formats.password_file(tomcat.password, "wrong\n")
    done = hub.cw("cert", "add", WWW, "--to", "site")
    assert done.code == 6 and "tomcat-reload says" in done.err, done
    assert path.read_bytes() == old and pki.fingerprint(pki.served(port)) == first
    formats.password_file(tomcat.password)
    hub.ok("cert", "retry", WWW)
    assert pki.fingerprint(pki.served(port)) == current(hub) != first
    assert pki.trusted(port, hub.roots())[0]
    assert tomcat.child.pid == pid and tomcat.child.poll() is None


def test_charon_has_the_new_certificate_and_the_old_one_after_a_reload_that_failed(make_hub, strongswan):
    hub = granted(make_hub, strongswan)
    hub.ok("target", "add", "gateway", "--connector", "strongswan", *strongswan.parameters)
    hub.ok("cert", "add", WWW, "--to", "gateway", "--key-kind", "rsa-2048")
    first = current(hub)
    assert first in [pki.fingerprint(c) for c in strongswan.listed()]
    files = strongswan.cert.read_bytes(), strongswan.key.read_bytes()
    # A script of the host's own that does not find the new one in charon's list.
    script = strongswan.folder / "reload"
    script.write_text(f"#!/bin/sh\n{' '.join(strongswan.reload())}\ntest ! -e {strongswan.folder}/refuse\n")
    script.chmod(0o755)
    (strongswan.folder / "refuse").touch()
    hub.agent_settings["commands"]["strongswan-reload"] = [str(script)]
    hub.write_agent()
    hub.restart()
    assert hub.cw("cert", "renew", WWW).code in (1, 6)
    assert (strongswan.cert.read_bytes(), strongswan.key.read_bytes()) == files
    assert [pki.fingerprint(c) for c in strongswan.listed() if pki.dns_names(c) == [WWW]] == [first]
