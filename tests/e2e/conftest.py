"""What the end-to-end tests stand on: a hub with its own agent, a private nginx, PostgreSQL and Pebble; see lib/.

    CERTWRIGHT          the program (build/dev/certwright)
    CERTWRIGHT_TEST_DB  sqlite or postgres
    CERTWRIGHT_TEST_LANE, CERTWRIGHT_TEST_CLAIMS  see lib/wait.py, and below"""
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from lib import wait  # noqa: E402
from lib.hub import Hub  # noqa: E402
from lib.nginx import Nginx  # noqa: E402
from lib.pebble import Pebble  # noqa: E402
from lib.postgres import Postgres  # noqa: E402
from lib.remote import Remote  # noqa: E402
from lib.remote import token as remote_token  # noqa: E402

ENGINE = os.environ.get("CERTWRIGHT_TEST_DB", "sqlite")
assert ENGINE in ("sqlite", "postgres"), "CERTWRIGHT_TEST_DB is sqlite or postgres"
LOG_TAIL = 60

_running = []


def _folder():
    """A folder that other users may enter: the roles have users of their own."""
    path = Path(tempfile.mkdtemp(prefix="cw-e2e-", dir="/tmp"))
    path.chmod(0o755)
    return path


def pytest_configure(config):
    config.addinivalue_line("markers", "soak: takes long; only where CERTWRIGHT_SOAK is set")
    config.addinivalue_line("markers", "one_engine: knows nothing of a database; on PostgreSQL only where CERTWRIGHT_SOAK is set; "
                                       "one_engine(False): does, in a file of such")


def one_engine(item):
    marker = item.get_closest_marker("one_engine")
    return bool(marker) and marker.args != (False,)


def pytest_collection_modifyitems(config, items):
    """What is not for this run is left out, not skipped: a skip is a failure."""
    if not os.environ.get("CERTWRIGHT_SOAK"):
        items[:] = [i for i in items if not i.get_closest_marker("soak") and not (ENGINE == "postgres" and one_engine(i))]


def claimed(items, folder):
    """The tests of the files that nobody who runs beside has claimed, the longest files first: each is claimed when the one before is
    about to end.  `all` is what there was to claim."""
    files = {}
    for item in items:
        files.setdefault(item.path.name, []).append(item)
    (folder / "all").write_text("\n".join(files))
    for name, tests in sorted(files.items(), key=lambda f: (-len(f[1]), f[0])):
        try:
            (folder / f"{name}.claim").touch(exist_ok=False)
        except FileExistsError:
            continue
        yield from tests


def pytest_runtestloop(session):
    """Several side by side share the files of an engine: CERTWRIGHT_TEST_CLAIMS is the folder in which they agree who takes which."""
    folder = os.environ.get("CERTWRIGHT_TEST_CLAIMS")
    if not folder or session.testsfailed or session.config.option.collectonly:
        return None
    mine = claimed(session.items, Path(folder))
    item = next(mine, None)
    while item:
        following = next(mine, None)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        item = following
    return True


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure shows what the hub and the others logged."""
    report = (yield).get_result()
    if not report.failed:
        return
    for what, path in [(f"log of {h.folder.name}", h.log) for h in _running]:
        if path.exists():
            report.sections.append((what, "\n".join(path.read_text(errors="replace").splitlines()[-LOG_TAIL:])))


@pytest.fixture(scope="session")
def engine():
    """None, or the PostgreSQL that all tests share."""
    if ENGINE == "sqlite":
        yield None
        return
    folder = _folder()
    server = Postgres(folder)
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def http_port():
    """What is port 80 elsewhere: where Pebble looks for tokens, and where nginx or the agent's listener answers."""
    return wait.free_port()


def _hubs(engine, http_port):
    """A maker of hubs, and what ends them all; a hub that did not end well is a failure of its test."""
    made = []

    def make(*init, nginx=None, start=True, **settings):
        folder = _folder()
        database = engine.create() if engine else None
        hub = Hub(folder, engine.conninfo(database) if engine else None, nginx, http_port)
        hub.database = database
        made.append(hub)
        _running.append(hub)
        hub.agent_settings.update(settings)
        hub.init(*init)
        return hub.start() if start else hub

    def end():
        problem = None
        for hub in made:
            try:
                hub.stop()
            except AssertionError as e:
                problem = problem or e
            _running.remove(hub)
            if engine:
                engine.drop(hub.database)
            shutil.rmtree(hub.folder)
        if problem:
            raise problem
    return make, end


@pytest.fixture
def make_hub(engine, http_port):
    make, end = _hubs(engine, http_port)
    yield make
    end()


@pytest.fixture
def make_remote():
    """A maker of agents on other hosts: `make_remote(hub, "web1")` has joined and runs; they end before their hub."""
    made = []

    def make(hub, name, *grants, start=True, join=True, copy_of=None, **settings):
        folder = _folder()
        one = copy_of.copy(folder) if copy_of else Remote(hub, folder, name, **settings)
        made.append(one)
        _running.append(one)
        if join and not copy_of:
            done = one.join(remote_token(hub, f"for-{name}", *grants))
            assert done.code == 0, done
        return one.start() if start else one
    yield make
    problem = None
    for one in made:
        try:
            one.stop()
        except AssertionError as e:
            problem = problem or e
        _running.remove(one)
        shutil.rmtree(one.folder)
    if problem:
        raise problem


@pytest.fixture
def hub(make_hub):
    """A hub with nothing but itself."""
    return make_hub()


@pytest.fixture(scope="module")
def shared_hub(hub_maker):
    """A hub for the tests of a file that do not disturb each other."""
    return hub_maker()


@pytest.fixture(scope="module")
def nginx_maker(http_port):
    """For files that share one nginx among their tests; it ends with the file."""
    made = []

    def make():
        made.append(Nginx(_folder(), http_port).start())
        return made[-1]
    yield make
    for server in made:
        server.stop()
        shutil.rmtree(server.folder)


@pytest.fixture(scope="module")
def hub_maker(nginx_maker, engine, http_port):
    """For files that share one hub among their tests, set up their own way."""
    make, end = _hubs(engine, http_port)
    yield make
    end()


@pytest.fixture
def nginx(http_port):
    """An nginx that serves a self-signed certificate for www.example.org and redirects all that is plain."""
    server = Nginx(_folder(), http_port).start()
    yield server
    server.stop()
    shutil.rmtree(server.folder)


@pytest.fixture
def site(nginx, make_hub):
    """A hub on the host of that nginx, which has found it."""
    hub = make_hub(nginx=nginx)
    hub.ok("target", "discover")
    return hub


@pytest.fixture(scope="session")
def _pebble(http_port):
    folder = _folder()
    server = Pebble(folder, http_port).start()
    yield server
    server.close()
    shutil.rmtree(folder)


@pytest.fixture
def pebble(_pebble):
    """Pebble, which refuses one nonce in seven."""
    if _pebble.child is None:
        _pebble.start()
    return _pebble


@pytest.fixture
def own_pebble(http_port):
    """A Pebble for this test alone, which may be stopped: `own_pebble(sleep=1)`."""
    made = []

    def make(**settings):
        folder = _folder()
        made.append(Pebble(folder, http_port, **settings).start())
        return made[-1]
    yield make
    for server in made:
        server.close()
        shutil.rmtree(server.folder)
