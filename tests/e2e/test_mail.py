"""Postfix, Dovecot and Exim, each the real one: found, deployed, reloaded, proved at each port (after STARTTLS and from the start),
put back when broken."""
import shutil
import tempfile
from pathlib import Path

import pytest

from lib import mail, pki

NAME = mail.NAME
pytestmark = pytest.mark.one_engine  # what differs is the agent's: the hub keeps the same rows as for nginx and for files


@pytest.fixture(scope="module", params=mail.ALL, ids=lambda s: s.connector)
def service(request):
    if request.param.needs_root and not mail.ROOT:
        pytest.skip(f"{request.param.connector} starts as root only")
    folder = Path(tempfile.mkdtemp(prefix="cw-e2e-", dir="/tmp"))
    folder.chmod(0o755)
    one = None
    try:
        one = request.param(folder)
        one.start()
        one.first = fingerprint(one)
        yield one
    finally:
        if one:
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
    hub.agent_settings["prove_s"] = 4
    hub.write_agent()
    hub.start()
    hub.ok("target", "add", "mail", "--connector", service.connector, *service.parameters,
           *(w for e in service.endpoints() for w in ("--endpoint", e)))
    hub.ok("cert", "add", NAME, "--to", "mail")
    yield hub
    hub.stop()


def fingerprint(service):
    return pki.fingerprint(service.served())


def current(hub):
    return hub.show("cert", NAME)["current_version"]["fingerprint"]


def files(service):
    return [pki.state_of(path) for path in service.files]


def test_the_certificate_is_served_and_renewed(hub, service):
    first, before = current(hub), files(service)
    assert fingerprint(service) == first != service.first
    accepted, words = service.trusted(hub.roots())
    assert accepted, words
    going_on = service.session()
    hub.ok("cert", "renew", NAME)
    assert fingerprint(service) == current(hub) != first
    assert going_on(), "a session of before has ended"
    assert [s[1:] for s in files(service)] == [s[1:] for s in before], "as their owner had them"
    assert all(s[3] == 0o600 for s in before)


def test_a_configuration_that_is_broken_before_changes_nothing(hub, service):
    first, before = current(hub), files(service)
    service.write(broken="\nno such directive {\n")
    done = hub.cw("cert", "renew", NAME)
    assert done.code == 6 and "was broken before" in done.err and service.complaint in done.err, done
    assert files(service) == before and fingerprint(service) == first
    service.write()
    hub.ok("cert", "retry", NAME)
    assert fingerprint(service) == current(hub) != first


def test_its_files_and_ports_are_found(hub, service):
    hub.ok("target", "discover")
    listed = hub.ok("target", "list", "-o", "json").json()
    listed = [t for t in listed if t["connector"] == service.connector and t["name"] != "mail"]
    found = {t["parameters"].get("certificate") or t["parameters"]["combined"]: t for t in listed}
    expected = service.places()
    assert set(found) == {str(cert) for cert, _, _, _ in expected} and len(listed) == len(expected), listed
    for cert, more, names, ends in expected:
        one = found[str(cert)]
        assert set(one["parameters"].values()) == {str(cert), *more} and one["names"] == names, one
        assert {(e.get("starttls") or "", e["port"]) for e in one["endpoints"]} == set(ends), one


def test_a_service_that_goes_on_with_the_old_certificate_gets_its_files_back(hub, service):
    first, before = current(hub), files(service)
    service.keep_old(hub.agent_settings)
    hub.agent_settings["prove_s"] = 1  # what follows waits for what does not come
    hub.write_agent()
    hub.restart()
    done = hub.cw("cert", "renew", NAME)
    assert done.code == 6 and "shows another certificate" in done.err, done
    assert files(service) == before and fingerprint(service) == first
