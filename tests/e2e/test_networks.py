"""Agents that reach nothing but the hub, in network namespaces of their own, and what a cut cable does to them."""
import os
import re
import signal

import pytest

from lib import pki, process, wait
from lib.network import Network

WWW = "www.example.org"

@pytest.fixture
def network():
    made = Network()
    yield made
    made.remove()


@pytest.fixture
def far(network, make_hub, make_remote):
    """A hub, and two hosts that reach it and nobody else."""
    hosts = [network.host("web1"), network.host("web2")]
    hub = make_hub(*[w for h in hosts for w in ("--hostname", h.hub_address)], start=False)
    config = hub.etc / "hub.yaml"
    config.write_text(re.sub(r'(agents:\n  address: )"[^"]*"', r'\1"0.0.0.0"', config.read_text()))
    hub.via = network.hub.via
    hub.start()

    def agent(i, **more):
        host = hosts[i]
        one = make_remote(hub, f"web{i + 1}", "--network", f"{host.address}/32", url=f"https://{host.hub_address}:{hub.agents_port}", via=host.via, **more)
        one.host = host
        hub.ok("target", "add", one.name, "--agent", one.name, "--connector", "files", "--set", f"combined={one.files}/site.pem")
        return one
    return hub, network, agent


def fingerprint(agent):
    path = agent.files / "site.pem"
    return pki.fingerprint(pki.read_chain(path.read_text())[0]) if path.exists() else None


def newest(hub, name):
    return hub.show("cert", name)["current_version"]["fingerprint"]


def test_agents_that_reach_only_the_hub_and_that_nobody_reaches(far):
    hub, _, agent = far
    one, two = agent(0), agent(1)
    assert one.host.listening() == [] and two.host.listening() == []
    assert one.shown()["address"] == one.host.address
    for web in (one, two):
        hub.ok("cert", "add", f"{web.name}.example.org", "--to", web.name)
        assert fingerprint(web) == newest(hub, f"{web.name}.example.org")


# Where a cut may come: before and after each thing that a host does for a renewal.
STEPS = ["agent:agent.job_begin", "apply:apply.key_made", "apply:apply.key_answer", "agent:agent.result_before", "apply:apply.staged",
         "agent:agent.install_before", "agent:agent.install_after", "agent:agent.prove_before", "agent:agent.commit_before", "agent:agent.commit_after"]


@pytest.mark.parametrize("step", STEPS if os.environ.get("CERTWRIGHT_SOAK") else STEPS[1::4])
def test_a_cable_that_is_cut_in_the_middle_of_a_step(far, step):
    hub, network, agent = far
    web = agent(0)
    hub.ok("cert", "add", WWW, "--to", web.name)
    first = fingerprint(web)
    web.stop()
    web.start(failpoint=f"{step}=stop")
    hub.ok("cert", "renew", WWW, "--no-wait")
    role = web.pids()[step.split(":")[0]]
    wait.until(lambda: process.state(role) == "T", f"{step} is reached", 15)
    network.cut(web.host)
    os.kill(role, signal.SIGCONT)
    before_hub = step.split(".")[1] in ("job_begin", "key_made", "key_answer", "result_before")
    if not before_hub:
        # What was begun is finished by the agent alone.
        wait.until(lambda: fingerprint(web) not in (None, first), "the host has finished alone", 15)
    network.heal(web.host)
    wait.until(lambda: fingerprint(web) == newest(hub, WWW) != first, "the new certificate is there, and the hub knows", 60)
    hub.settled(WWW, 60)
    assert len(hub.ok("cert", "versions", WWW, "-o", "json").json()) == 2, "one certificate for one renewal"
