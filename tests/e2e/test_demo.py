"""The demonstration, which is what README's first command starts: it tells its story, ends with Ctrl-C, and goes on the next time."""
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from lib import wait
from lib.hub import PROGRAM, ROOT


@pytest.fixture
def folder():
    path = Path(tempfile.mkdtemp(prefix="cw-demo-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def begin(folder, said, *words):
    with open(said, "w", encoding="utf-8") as out:
        return subprocess.Popen([ROOT / "tools/demo", *words], stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                                env={**os.environ, "CERTWRIGHT": str(PROGRAM), "CERTWRIGHT_DEMO": str(folder / "var")})


@pytest.mark.one_engine
def test_the_demonstration_tells_its_story_and_goes_on(folder):
    first, second = folder / "first", folder / "second"
    assert begin(folder, first, "--once").wait(90) == 0, first.read_text()
    assert "All is well: 2 managed certificates, 1 agent." in first.read_text(), first.read_text()
    child = begin(folder, second)
    try:
        wait.until(lambda: child.poll() is not None or "until Ctrl-C" in second.read_text(), "it has told how everything is", 60)
        os.killpg(child.pid, signal.SIGINT)
        assert child.wait(30) == 0, second.read_text()
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
    said = second.read_text()
    assert "As the last run left it" in said and said.count("verification: ok") == 2 and "goes on from here" in said, said
