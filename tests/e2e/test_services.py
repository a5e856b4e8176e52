"""Web servers and proxies besides nginx, each the real one: deployed, reloaded, proved by a handshake, put back when broken."""
import pytest

from lib import pki, services

WWW = services.NAME
pytestmark = pytest.mark.one_engine  # what differs is the agent's: the hub keeps the same rows as for nginx and for files


@pytest.fixture(params=services.ALL, ids=lambda s: s.connector)
def service(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param.connector)
    for path in (folder, folder.parent):
        path.chmod(0o755)
    one = request.param(folder)
    one.start()
    yield one
    one.stop()


@pytest.fixture
def hub(make_hub, service):
    hub = make_hub(start=False)
    hub.agent_settings["connectors"].append(service.connector)
    hub.agent_settings["paths"].append(str(service.folder))
    hub.agent_settings["commands"].update(service.commands)
    hub.write_agent()
    hub.start()
    hub.ok("target", "add", "site", "--connector", service.connector, *service.parameters, "--endpoint", f"127.0.0.1:{service.port}")
    return hub


def fingerprint(service):
    return pki.fingerprint(service.served())


def current(hub):
    return hub.show("cert", WWW)["current_version"]


@pytest.mark.one_engine(False)
def test_the_certificate_is_served_and_renewed(hub, service):
    before = fingerprint(service)
    hub.ok("cert", "add", WWW, "--to", "site")
    first = current(hub)["fingerprint"]
    assert fingerprint(service) == first != before
    assert pki.trusted(service.port, hub.roots())[0]
    hub.ok("cert", "renew", WWW)
    assert fingerprint(service) == current(hub)["fingerprint"] != first
    assert service.cert.stat().st_mode & 0o777 == 0o600, "as its owner had it"


def test_a_configuration_that_is_broken_before_changes_nothing(hub, service):
    if not service.check():
        return # nothing says that it is broken before it is taken
    hub.ok("cert", "add", WWW, "--to", "site")
    first, files = current(hub)["fingerprint"], service.cert.read_bytes()
    service.write(broken="\nno such directive {\n")
    done = hub.cw("cert", "renew", WWW)
    assert done.code == 6 and "was broken before" in done.err, done
    assert service.cert.read_bytes() == files and fingerprint(service) == first
    service.write()
    hub.ok("cert", "retry", WWW)
    assert fingerprint(service) == current(hub)["fingerprint"] != first


def test_a_service_that_goes_on_with_the_old_certificate_gets_its_files_back(hub, service):
    hub.ok("cert", "add", WWW, "--to", "site")
    first, files = current(hub)["fingerprint"], service.cert.read_bytes()
    hub.agent_settings["commands"][f"{service.connector}-reload"] = ["/bin/true"]
    hub.write_agent()
    hub.restart()
    done = hub.cw("cert", "renew", WWW)
    assert done.code == 6 and "shows another certificate" in done.err, done
    assert service.cert.read_bytes() == files and fingerprint(service) == first
