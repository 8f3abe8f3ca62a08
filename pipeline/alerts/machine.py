"""The state machine of one rule for one scope: inactive, pending, firing, resolved.

Pure, and in the time of the data: the same judgements at the same instants give the same states, whatever else happens
and whenever. What was judged at an instant before the last one changes nothing. Whether anything is known is kept apart
from the state: what fires goes on firing while nobody knows, until it has been unknown for long.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from pipeline.alerts.conditions import Judgement

State = Literal["inactive", "pending", "firing", "resolved"]
#: What fires and has been unknown for so long is over, seconds.
GIVE_UP_S = 86_400
#: Raises are remembered for so long, and so many make an alert that flaps, seconds and number.
FLAP_WINDOW_S, FLAP_RAISES = 3_600, 4
#: What flaps is told again once it has fired for so long without a break, seconds.
FLAP_STEADY_S = 900


class Instance(msgspec.Struct, frozen=True, array_like=True):
    """The state of one rule for one scope.

    Attributes:
        state: where it is.
        since: when (data clock, epoch seconds) it came there.
        at: the last instant judged.
        unknown_since: since when nothing has been known, None while something is.
        raised: when it was raised lately, for flapping.
        over_since: since when what fires has been over without a break, None while it is not.
    """

    state: State = "inactive"
    since: int = 0
    at: int = -1
    unknown_since: int | None = None
    raised: tuple[int, ...] = ()
    over_since: int | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing of it need be remembered."""
        return self.state == "inactive" and not self.raised

    def flaps(self, at: float) -> bool:
        """Return whether it was raised too often lately, and has not fired steadily since."""
        lately = [t for t in self.raised if t > at - FLAP_WINDOW_S]
        return len(lately) >= FLAP_RAISES and not (self.state == "firing" and at - self.since >= FLAP_STEADY_S)


IDLE = Instance()


def step(before: Instance, said: Judgement, at: int, hold_s: int, clear_s: int = 0) -> Instance:
    """Return the next state.

    Args:
        before: the state so far.
        said: the judgement at that instant.
        at: the instant, epoch seconds of the data clock.
        hold_s: for how long a condition must hold before it is raised.
        clear_s: for how long it must be over before what fires is.

    What was raised or over in a second stays so for its rest: changes are kept by the second, and shall have an order. It is
    judged again when the clock goes on.
    """
    if at < before.at or (at == before.since and before.state in {"firing", "resolved"}):
        return before
    unknown = None if said.holds is not None else before.unknown_since if before.unknown_since is not None else at
    raised = tuple(t for t in before.raised if t > at - FLAP_WINDOW_S)
    state, since, over_since = before.state, before.since, None
    if state == "firing":
        gave_up = unknown is not None and at - unknown >= GIVE_UP_S
        if said.holds is False and said.over:
            over_since = at if before.over_since is None else before.over_since
        if gave_up or (over_since is not None and at - over_since >= clear_s):
            state, since, over_since = "resolved", at, None
    elif said.holds:
        begun = since if state == "pending" else at
        if at - begun >= hold_s:
            state, since, raised = "firing", at, (*raised, at)
        else:
            state, since = "pending", begun
    elif state == "pending" or (state == "resolved" and not raised):
        state, since = "inactive", at
    return Instance(state, since, at, unknown, raised, over_since)
