"""The description of the API is a closed subset: what the generator does not understand is an error that names file and line."""
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GENERATOR = ROOT / "tools" / "gen-openapi.py"

GOOD = """openapi: 3.1.0
info: {title: t, version: "1"}
paths:
  /api/v1/things/{ref}:
    parameters: [{name: ref, in: path, required: true, schema: {type: string, maxLength: 64}}]
    get:
      operationId: thing_get
      summary: One.
      x-permission: thing.read
      responses:
        "200": {description: Done, content: {application/json: {schema: {$ref: '#/components/schemas/Thing'}}}}
components:
  schemas:
    Thing:
      type: object
      required: [id]
      properties:
        id: {type: string, maxLength: 64}
        list: {type: array, maxItems: 3, items: {type: integer}}
"""


def generate(tmp_path, text):
    source = tmp_path / "api.yaml"
    source.write_text(text)
    return subprocess.run([sys.executable, str(GENERATOR), "--out", str(tmp_path / "out"), str(source)],
                          capture_output=True, text=True, check=False)


def test_a_description_within_the_subset_becomes_code(tmp_path):
    done = generate(tmp_path, GOOD)
    assert done.returncode == 0, done.stderr
    header = (tmp_path / "out/api/types.h").read_text()
    assert "const char *id;" in header and "struct api_ints list;" in header
    assert "RC api_thing_get(struct api_call *call, struct api_thing *out);" in (tmp_path / "out/hub/routes.h").read_text()


@pytest.mark.parametrize("old,new,line,words", [
    ("id: {type: string, maxLength: 64}", "id: {type: string}", 18, "maxLength"),
    ("maxItems: 3, ", "", 19, "maxItems"),
    ("items: {type: integer}", "items: {oneOf: []}", 19, "type must be"),
    ("id: {type: string, maxLength: 64}", "id: {type: string, maxLength: 64, pattern: x}", 18, "pattern"),
    ("id: {type: string, maxLength: 64}", "id: {type: object, properties: {}}", 18, "component"),
    ("required: [id]", "required: [no]", 16, "not a property"),
    ("schemas/Thing'}}}}", "schemas/Other'}}}}", 11, "names no component"),
    ("      x-permission: thing.read\n", "", 7, "x-permission"),
    ("{name: ref, in: path", "{name: other, in: path", 7, "the path names"),
    ("id: {type: string, maxLength: 64}", "id: {type: string, maxLength: 64}\n        id: {type: boolean}", 19, "twice"),
])
def test_anything_else_is_refused_with_file_and_line(tmp_path, old, new, line, words):
    text = GOOD.replace(old, new, 1)
    assert text != GOOD
    done = generate(tmp_path, text)
    assert done.returncode != 0
    assert f"api.yaml:{line}: " in done.stderr, done.stderr
    assert words in done.stderr
