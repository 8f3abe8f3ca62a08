"""docker-compose.yml keeps the compose specification's own schema (read from its Go module, as is)."""

import json
import re
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.paths import ROOT

#: the module that carries the specification's schema
MODULE = "github.com/compose-spec/compose-go/v2@v2.16.2"

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    where = tmp_path_factory.mktemp("compose")
    found = subprocess.run(
        ["go", "mod", "download", "-json", MODULE], cwd=where, capture_output=True, text=True, check=True
    )
    folder = Path(json.loads(found.stdout)["Dir"])
    return json.loads((folder / "schema" / "compose-spec.json").read_text())


def test_compose_file_is_valid(schema: dict[str, object]) -> None:
    document = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    jsonschema.validate(document, schema)


def test_every_variable_has_a_default_or_is_in_the_example() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    example = (ROOT / ".env.example").read_text()
    names = set(re.findall(r"environment: (CSF_\w+)\}", text)) | set(re.findall(r"\$\{(CSF_\w+)(?=[:}])", text))
    assert names
    assert all(f"{name}=" in example for name in names), names


def test_every_mounted_file_exists() -> None:
    document = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    for service in document["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).exists(), volume
