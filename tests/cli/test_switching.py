"""A replay on a new broker: it knows of no group yet."""

from typing import Any

import pytest
from kafka.errors import CoordinatorNotAvailableError, GroupAuthorizationFailedError, KafkaError

from cli import switching
from cli.settings import Settings
from cli.switching import Switch


class Admin:
    """Fails a few times, then knows of one worker."""

    def __init__(self, fails: int, error: type[KafkaError]) -> None:
        self._fails, self._error = fails, error

    def describe_groups(self, groups: list[str]) -> dict[str, Any]:
        if self._fails:
            self._fails -= 1
            raise self._error
        return {group: {"members": [{"member_id": "worker-1"}]} for group in groups}


def switch(admin: Admin) -> Switch:
    return Switch(None, None, admin, Settings())


@pytest.fixture(autouse=True)
def no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switching, "_LOOK_S", 0)


def test_what_passes_is_waited_for() -> None:
    assert switch(Admin(3, CoordinatorNotAvailableError)).members() == {"worker-1"}


def test_what_does_not_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GroupAuthorizationFailedError):
        switch(Admin(1, GroupAuthorizationFailedError)).members()
    monkeypatch.setattr(switching, "_COORDINATOR_S", -1)
    with pytest.raises(CoordinatorNotAvailableError):
        switch(Admin(1, CoordinatorNotAvailableError)).members()
