"""The hub's numbers, scraped by a real Prometheus: what the examples in docs/ ask for is there, and tells what happened."""
import json
import subprocess

import pytest
import requests

from lib import pki, process, wait
from lib.hub import ROOT

EXAMPLES = ROOT / "docs/examples"
WWW = "www.example.org"


@pytest.fixture
def prometheus(site, tmp_path):
    """A Prometheus that scrapes the hub as docs/MONITORING.md says, with a token and the fleet's root."""
    (tmp_path / "token").write_text(site.token)
    config, port = tmp_path / "prometheus.yml", wait.free_port()
    config.write_text(f"""
global: {{scrape_interval: 300ms, evaluation_interval: 300ms}}
rule_files: [{EXAMPLES}/prometheus-rules.yml]
scrape_configs:
  - job_name: certwright
    scheme: https
    authorization: {{credentials_file: {tmp_path}/token}}
    tls_config: {{ca_file: {site.fleet_roots}}}
    static_configs: [{{targets: ["{site.base.removeprefix('https://')}"]}}]
""")
    subprocess.run(["promtool", "check", "config", config], check=True, capture_output=True)
    running = process.start(["prometheus", f"--config.file={config}", f"--storage.tsdb.path={tmp_path}/data",
                             f"--web.listen-address=127.0.0.1:{port}"], tmp_path / "log")
    yield lambda expr: ask(port, expr)
    process.stop(running)


def ask(port, expr):
    """The samples of an expression, as (labels, value)."""
    try:
        answer = requests.get(f"http://127.0.0.1:{port}/api/v1/query", params={"query": expr}, timeout=5).json()
    except requests.ConnectionError:
        return []
    assert answer["status"] == "success", (expr, answer)
    return [(s["metric"], float(s["value"][1])) for s in answer["data"]["result"]]


def number(samples):
    return samples[0][1] if samples else None


def test_prometheus_scrapes_what_the_dashboard_and_the_alerts_ask_for(site, nginx, prometheus):
    site.ok("cert", "add", WWW, "--to", "nginx")
    wait.until(lambda: number(prometheus('certwright_deployments_total{outcome="served"}')) == 1, "it is counted and scraped", 20)
    assert number(prometheus('certwright_attempts_total{outcome="issued"}')) == 1
    assert number(prometheus("certwright_managed_certificates")) == 1 and number(prometheus("certwright_problems")) == 0
    nginx.command("reload", "exit 1")
    assert site.cw("cert", "renew", WWW).code != 0
    wait.until(lambda: number(prometheus("certwright_managed_certificates_failing")) == 1, "that it fails is scraped", 20)
    wait.until(lambda: number(prometheus("certwright_problems")) >= 1, "status has a line for it, which is scraped", 10)
    for panel in json.loads((EXAMPLES / "grafana.json").read_text())["panels"]:
        for target in panel["targets"]:
            expr = target["expr"].replace("certwright_findings", "certwright_certificates_by_key")  # there is none
            wait.until(lambda expr=expr: prometheus(expr), f"{panel['title']} tells something: {expr}", 10)
    alerts = wait.until(lambda: prometheus("ALERTS"), "the rules have been looked at", 10)
    assert [(s[0]["alertname"], s[0]["alertstate"]) for s in alerts] == [("CertwrightRenewalFailing", "pending")]


def test_the_text_is_as_prometheus_has_it_and_nobody_else_reads_it(site, tmp_path):
    (tmp_path / "odd.pem").write_bytes(pki.pem(pki.Root('a "b" \\c').cert))
    site.ok("import", tmp_path / "odd.pem")
    odd = r'{issuer="CN=a \\\"b\\\" \\5cc"} 1'  # RFC 4514, and escaped once more
    text = wait.until(lambda: odd in (t := site.https("GET", "/metrics")).text and t, "its issuer is counted", 10)
    assert text.status_code == 200 and text.headers["content-type"].startswith("text/plain; version=0.0.4"), text
    told = subprocess.run(["promtool", "check", "metrics"], input=text.text, text=True, capture_output=True, check=False)
    assert told.returncode == 0 and not told.stdout and not told.stderr, told
    assert site.https("GET", "/metrics", token=False).status_code == 401
    assert site.unix("GET", "/metrics").status_code == 200
    assert site.status("/metrics").status_code == 404, "not over plain HTTP"
