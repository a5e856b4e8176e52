"""OpenLDAP, PostgreSQL, MariaDB and ProFTPD, each the real one: deployed, reloaded, proved after STARTTLS, put back when broken."""
import os
import pwd
import shutil
import tempfile
from pathlib import Path

import pytest

from lib import databases, pki

WWW = databases.NAME
pytestmark = pytest.mark.one_engine  # what differs is the agent's: the hub keeps the same rows as for nginx and for files


@pytest.fixture(scope="module", params=databases.ALL, ids=lambda s: s.connector)
def service(request):
    folder = Path(tempfile.mkdtemp(prefix="cw-e2e-", dir="/tmp"))
    folder.chmod(0o755)
    one = request.param(folder)
    try:
        one.start()
        one.first = fingerprint(one)
        yield one
    finally:
        one.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def hub(hub_maker, service):
    """One for the tests of a service: its certificate is issued and deployed, and nothing is under way."""
    hub = hub_maker(start=False)
    hub.agent_settings["connectors"].append(service.connector)
    hub.agent_settings["paths"].append(str(service.folder))
    hub.agent_settings["users"] += [service.user]
    hub.agent_settings["commands"].update(service.commands)
    hub.write_agent()
    hub.start()
    hub.ok("target", "add", "site", "--connector", service.connector, *service.parameters,
           *(w for e in service.endpoints() for w in ("--endpoint", e)))
    hub.ok("cert", "add", WWW, "--to", "site")
    yield hub
    hub.stop()


def fingerprint(service):
    return pki.fingerprint(service.served())


def current(hub):
    return hub.show("cert", WWW)["current_version"]


def files(service):
    return [pki.state_of(path) for path in (service.cert, service.key)]


def impatient(hub, seconds):
    """Takes its settings anew; what follows waits no longer for what does not come."""
    hub.agent_settings["prove_s"] = seconds
    hub.write_agent()
    hub.restart()


def test_the_certificate_is_served_and_renewed(hub, service):
    first = current(hub)["fingerprint"]
    assert fingerprint(service) == first != service.first
    conditions = {c["type"]: c["status"] for c in hub.show("cert", WWW)["conditions"]}
    assert conditions.get("untrusted") is not True, "the chain is not served"
    accepted, words = service.trusted(hub.roots())
    assert accepted, words
    hub.ok("cert", "renew", WWW)
    assert fingerprint(service) == current(hub)["fingerprint"] != first
    assert [(s[1], s[3]) for s in files(service)] == [(pwd.getpwnam(service.user).pw_uid, 0o600)] * 2, "as their owner had them"


def test_a_configuration_that_is_broken_before_changes_nothing(hub, service):
    if not service.check():
        return  # nothing says that it is broken before it is taken
    first, before = current(hub)["fingerprint"], files(service)
    service.write(broken="\nno such directive {\n")
    done = hub.cw("cert", "renew", WWW)
    assert done.code == 6 and "was broken before" in done.err, done
    assert files(service) == before and fingerprint(service) == first
    service.write()
    hub.ok("cert", "retry", WWW)
    assert fingerprint(service) == current(hub)["fingerprint"] != first


def test_a_service_that_cannot_read_its_files_serves_the_old_certificate_again(hub, service):
    """PostgreSQL goes on and MariaDB refuses FLUSH SSL; an slapd in that state has no TLS at all until its files are back."""
    if service.user == pwd.getpwuid(os.geteuid()).pw_name:
        return  # root reads everything
    first, before = current(hub)["fingerprint"], files(service)
    impatient(hub, 2)
    right = service.parameters
    wrong = ["owner=root" if w.startswith("owner=") else w for w in right]
    hub.ok("target", "edit", "site", *wrong)
    done = hub.cw("cert", "renew", WWW)
    assert done.code == 6, done
    assert files(service) == before and fingerprint(service) == first
    hub.ok("target", "edit", "site", *right)
    hub.ok("cert", "retry", WWW)
    assert fingerprint(service) == current(hub)["fingerprint"] != first


def test_a_service_that_goes_on_with_the_old_certificate_gets_its_files_back(hub, service):
    first, before = current(hub)["fingerprint"], files(service)
    service.keep_old(hub.agent_settings)
    impatient(hub, 1)
    done = hub.cw("cert", "renew", WWW)
    assert done.code == 6 and "shows another certificate" in done.err, done
    assert files(service) == before and fingerprint(service) == first
