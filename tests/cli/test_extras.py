"""A command that needs what is not installed names the extra that brings it."""

import sys

import pytest

from cli import report_child
from cli.extras import extras_named
from cli.main import main
from cli.report import report
from pipeline.errors import ConfigError


@pytest.mark.parametrize("package", ["typst", "jinja2", "scipy.stats"])
def test_what_is_lacking_is_named_with_its_extra(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with (
        pytest.raises(
            ConfigError, match=rf"needs the extra 'report' \({package.split('.', maxsplit=1)[0]} is not installed\)"
        ),
        extras_named(),
    ):
        __import__(package)


def test_what_no_extra_brings_is_a_fault_of_ours() -> None:
    with pytest.raises(ModuleNotFoundError), extras_named():
        __import__("no_such_package")


def test_the_command_and_the_consoles_report_say_it_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lacking(*_arguments: object, **_options: object) -> bytes:
        raise ModuleNotFoundError("No module named 'typst'", name="typst")

    monkeypatch.setattr(sys, "argv", ["csf", "report", "latest"])
    monkeypatch.setattr(report, "invoke", lacking)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    monkeypatch.setattr(report_child, "_NICE", 0)  # the tests' own process
    monkeypatch.setitem(report_child._DOES, "built", lacking)
    assert report_child.main(["built", "latest", "org"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"csf: {second}"
    assert second.endswith("pip install 'csf-pulse[report]'")
