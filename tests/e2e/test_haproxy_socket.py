"""HAProxy over its stats socket: the certificate is taken without a reload, put back the same way, and what a killed agent left open
is no obstacle."""
import socket
import ssl

import pytest

from lib import pki, services, wait

WWW = services.NAME
pytestmark = pytest.mark.one_engine  # what differs is the agent's: the hub keeps the same rows as for nginx and for files


@pytest.fixture
def haproxy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("haproxy")
    for path in (folder, folder.parent):
        path.chmod(0o755)
    one = services.HaproxySocket(folder)
    yield one
    one.stop()


@pytest.fixture
def site(make_hub, haproxy):
    def start(*more, failpoint=None):
        haproxy.write()
        haproxy.start()
        hub = make_hub(start=False)
        hub.agent_settings["connectors"].append("haproxy-socket")
        hub.agent_settings["paths"].append(str(haproxy.folder))
        hub.agent_settings["commands"].update(haproxy.commands)
        hub.agent_settings["prove_s"] = 1
        hub.write_agent()
        hub.start(failpoint=failpoint)
        hub.ok("target", "add", "site", "--connector", "haproxy-socket", *haproxy.parameters, "--endpoint", f"127.0.0.1:{haproxy.port}",
               *more)
        return hub
    return start


def shown(haproxy):
    return pki.fingerprint(haproxy.served())


def current(hub):
    return hub.show("cert", WWW)["current_version"]["fingerprint"]


def open_connection(port):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), 5), server_hostname=WWW)


def test_the_certificate_is_taken_without_a_reload(site, haproxy):
    hub = site()
    said = hub.ok("cert", "add", WWW, "--to", "site", "--dry-run").out
    assert f"over {haproxy.socket}: set ssl cert {haproxy.cert} <<" in said and f"commit ssl cert {haproxy.cert}" in said, said
    worker = haproxy.say("show info\n").split("\nPid: ")[1].split("\n")[0]
    with open_connection(haproxy.port) as before:
        hub.ok("cert", "add", WWW, "--to", "site")
        first = current(hub)
        assert shown(haproxy) == first
        # An administrator's transaction that was left open is given up.
        assert "Transaction" in haproxy.say(f"set ssl cert {haproxy.cert} <<\n{haproxy.cert.read_text().strip()}\n\n")
        hub.ok("cert", "renew", WWW)
        assert shown(haproxy) == current(hub) != first
        before.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert before.recv(100).startswith(b"HTTP/1.1 200"), "a connection from before goes on"
    assert haproxy.say("show info\n").split("\nPid: ")[1].split("\n")[0] == worker, "the same process"
    assert pki.fingerprint(pki.read_chain(haproxy.cert.read_bytes())[0]) == current(hub), "and the file has it, for the next start"
    assert haproxy.say("show ssl cert\n").count("*") == 0, "no transaction is open"


def test_what_is_not_proved_is_put_back_over_the_socket(site, haproxy):
    hub = site()
    hub.ok("cert", "add", WWW, "--to", "site")
    first, file = current(hub), haproxy.cert.read_bytes()
    hub.ok("target", "edit", "site", "--endpoint", f"127.0.0.1:{haproxy.port}", "--endpoint", f"127.0.0.1:{haproxy.other}")
    done = hub.cw("cert", "renew", WWW)
    assert done.code != 0 and "the previous files are back" in done.err, done
    assert shown(haproxy) == first and haproxy.cert.read_bytes() == file


@pytest.mark.one_engine(False)
def test_an_agent_killed_within_a_transaction_finishes_it(site, haproxy):
    hub = site(failpoint="apply:apply.send_step@3=kill") # with "set" done and "commit" not
    hub.ok("cert", "add", WWW, "--to", "site")
    assert " failpoint name=apply.send_step " in hub.text()
    assert shown(haproxy) == current(hub)
    assert haproxy.say("show ssl cert\n").count("*") == 0, "no transaction is open"


def test_a_socket_that_may_not_changes_nothing_and_says_why(site, haproxy):
    haproxy.level = "user"
    hub = site()
    before, file = shown(haproxy), haproxy.cert.read_bytes()
    done = hub.cw("cert", "add", WWW, "--to", "site")
    assert done.code == 6 and "Permission denied" in done.err and str(haproxy.socket) in done.err, done
    assert shown(haproxy) == before and haproxy.cert.read_bytes() == file
