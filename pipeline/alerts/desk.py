"""Who is told of what: raises, reminders and clears, grouped by route; what holds a raise back.

A silence, planned maintenance, a rule that says more, flapping, an alert that stands for it, or values that are old hold
back the raise, never the clear of what was told. What is held back is told when the reason is gone, if it still fires then.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Sequence
from math import inf
from typing import Literal

import msgspec

from pipeline.alerts.book import AlertBook, Key
from pipeline.alerts.inhibition import Inhibition
from pipeline.alerts.inputs import Lift, Silence
from pipeline.alerts.journal import SILENCED
from pipeline.alerts.matching import matches, place_of
from pipeline.catalogue.alerts import SEVERITIES, Match, Route, duration_s
from pipeline.catalogue.model import Catalogue

#: What was judged by a data clock older than this is not raised: it is read again, or its sources lag behind.
MAX_AGE_S = 900.0
#: Why a raise is held back while its service is in planned maintenance.
MAINTENANCE = "planned maintenance"
_OVER_AT_ONCE = "it was over within a second"
_OLD = "its values were old"
#: Why a raise is held back while another alert is told in its place.
TOLD_WITH = "told with another"
#: What people must read first comes first.
_KINDS = ("raise", "remind", "clear")

Group = tuple[str, tuple[str, ...]]
"""Route and what its alerts agree in."""


class Held(msgspec.Struct, frozen=True, array_like=True):
    """Why a raise was held back.

    Attributes:
        window: of planned maintenance, [start, end) in epoch seconds.
        by: the alert that is told in its place.
    """

    why: str
    window: tuple[int, int] | None = None
    by: Key | None = None


class Open(msgspec.Struct, array_like=True):
    """What people know of an alert that is not over for them.

    Attributes:
        since: since when what they were told of has been firing; None: they were not told.
        told_at: when they were told last, epoch seconds.
        acked_by: who took it on, empty while nobody did.
        route: the route by which they were told.
        why_over: why it is over without having been judged so: its rule or scope is gone.
        held: what has held its raise back so far.
        free_at: what another alert stood for is told from then on, epoch seconds; infinite while it does.
    """

    since: int | None = None
    told_at: float = 0.0
    acked_by: str = ""
    route: str = ""
    why_over: str = ""
    held: tuple[Held, ...] = ()
    free_at: float = 0.0


class Item(msgspec.Struct, frozen=True, array_like=True):
    """One alert of a notification.

    ``why``: of a clear that no value was judged for, why it is over; ``held``: of a raise, what held it back until now.
    """

    rule: str
    scope: str
    kind: Literal["raise", "remind", "clear"]
    since: int
    why: str = ""
    held: tuple[Held, ...] = ()


class Notification(msgspec.Struct, frozen=True, array_like=True):
    """What one group of alerts is told by one route at one instant; ``id`` is the same if it is decided again."""

    id: str
    route: str
    labels: tuple[tuple[str, str], ...]
    at: float
    items: tuple[Item, ...]


class Desk:
    """Decides, for an instant, what is to be told.

    Args:
        catalogue: whose routes say to whom.
        book: what fires.
        untold: (channel, rule, scope) of raises that never got there; changes as deliveries end.
    """

    def __init__(self, catalogue: Catalogue, book: AlertBook, untold: Collection[tuple[str, str, str]] = ()) -> None:
        self._catalogue, self._book, self._untold = catalogue, book, untold
        #: whether people are told here, and not by Grafana; what was told before is cleared all the same
        self._tells = catalogue.organisation.told_by == "csf-pulse"
        self._routes = {route.id: route for route in catalogue.routes}
        #: routes found before: neither rules nor routes change while an engine lives
        self._route_of: dict[Key, Route | None] = {}
        self._groups: dict[tuple[Key, str], Group] = {}
        self.open: dict[Key, Open] = {}
        self.silences: dict[str, Silence] = {}
        self.maintenance: dict[str, list[tuple[int, int]]] = {}
        #: when a group was told of raises last
        self.told: dict[Group, float] = {}
        #: since when a group has had something to be told
        self._waits: dict[Group, float] = {}
        self.dirty_open: set[Key] = set()
        #: what is held back from now on, and by what; None: no longer. Taken by who keeps it.
        self.holds: list[tuple[Key, Held | None]] = []
        self._inhibition: Inhibition | None = None

    # --- what is heard ---

    def note(self, key: Key) -> None:
        """Note that an alert fires or is over."""
        known = self.open.get(key)
        if known is None or (known.since is None and known.held):  # what held back an earlier one is not of this one
            self.open[key] = Open(acked_by=known.acked_by) if known else Open()
            self.dirty_open.add(key)

    def retire(self, key: Key, why: str) -> None:
        """Note that an alert is over because it can no longer be judged."""
        if (known := self.open.get(key)) is not None:
            known.why_over = why
            self.dirty_open.add(key)

    def acknowledge(self, key: Key, by: str) -> bool:
        """Take an alert on; return whether there is one."""
        if (known := self.open.get(key)) is None:
            return False
        known.acked_by = by
        self.dirty_open.add(key)
        return True

    def lift(self, order: Lift) -> bool:
        """End a silence; return whether it ran."""
        known = self.silences.get(order.id)
        if known is None or known.end <= order.at:
            return False
        self.silences[order.id] = msgspec.structs.replace(known, end=order.at)
        return True

    # --- what holds back ---

    def held_by(self, key: Key, now: float) -> Held | None:
        """Return why an alert that fires is not raised, None where nothing holds it back."""
        rule, scope = self._book.rules[key[0]], key[1]
        clock = self._book.clock_of(key)
        if now - clock > MAX_AGE_S:
            return Held(_OLD)
        instance = self._book.instances[key]
        if instance.at == instance.since and self._book.judged(key).over:  # its state says so when the clock goes on
            return Held(_OVER_AT_ONCE)
        for other in rule.quiet_while:
            known = self._book.instances.get((other, scope))
            if known is not None and known.state == "firing":
                return Held(f'"{self._book.rules[other].name or other}" fired, which says more')
        if (ordered := self._held_by_people(key, now)) is not None:
            return ordered
        return Held("flapping") if instance.flaps(clock) else None

    def _held_by_people(self, key: Key, now: float) -> Held | None:
        """Return the planned maintenance or the silence that an alert is in, None for neither."""
        clock, after = self._book.clock_of(key), self._book.silent_after_s(self._book.rules[key[0]])
        for start, end in self.maintenance.get(key[1].removeprefix("service:"), ()):
            if start <= clock < end + after:
                return Held(MAINTENANCE, (start, end))
        for silence in self.silences.values():
            if silence.start <= now < silence.end and self._matches(silence.match, key):
                return Held(f"{SILENCED}{silence.by}")
        return None

    # --- what is told in the place of what ---

    def inhibition(self, now: float) -> Inhibition:
        """Return what stands for what at an instant."""
        return Inhibition(self._catalogue, self._book, lambda key: self._reached(key, now), self._channels_of)

    def _channels_of(self, key: Key) -> frozenset[str]:
        """Return the channels of the route of an alert; none where it is only shown."""
        known = self.open.get(key)
        route = (self._routes.get(known.route) if known else None) or self.route_of(key)
        return frozenset(route.channels if route is not None and self._tells else ())

    def _reached(self, key: Key, now: float) -> frozenset[str]:
        """Return the channels that were, or are about to be, told that an alert fires.

        None are for one that is held back, nor for one that is silenced or in maintenance since: nobody looks at it.
        """
        if key not in self.open:
            return frozenset()
        is_told = self._is_told(key)
        if (self._held_by_people(key, now) if is_told else self.held_by(key, now)) is not None:
            return frozenset()
        return frozenset(c for c in self._channels_of(key) if not is_told or (c, *key) not in self._untold)

    def _is_told(self, key: Key) -> bool:
        """Return whether people were told of an alert that fires."""
        known = self.open.get(key)
        return known is not None and known.since == self._book.instances[key].since

    def _stood_for(self, key: Key, known: Open, route: Route, now: float) -> Held | None:
        """Return which alert is told in the place of one that was not told, None where none is, or has been for a while."""
        if (other := self._standing(now).stands_for(key)) is not None:
            # a wait that began is not begun anew by what was not told either: each would wait for the other for good
            if known.free_at == 0.0 or self._is_told(other):
                self._free(key, known, inf)
            return Held(TOLD_WITH, by=other) if now < known.free_at else None
        if known.free_at == inf:
            self._free(key, known, now + (duration_s(route.group_interval) or 0))
        if now < known.free_at:
            return next((held for held in known.held if held.why == TOLD_WITH), Held(TOLD_WITH))
        return None

    def _free(self, key: Key, known: Open, at: float) -> None:
        if known.free_at != at:
            known.free_at = at
            self.dirty_open.add(key)

    def _standing(self, now: float) -> Inhibition:
        """Return what stands for what at the instant that is decided for; worked out once, and only where it is asked."""
        if self._inhibition is None:
            self._inhibition = self.inhibition(now)
        return self._inhibition

    def _matches(self, match: Match, key: Key) -> bool:
        rule = self._book.rule(key[0])
        return matches(match, rule, self._book.csf_of(rule), key[1], self._catalogue)

    def route_of(self, key: Key) -> Route | None:
        """Return the route of an alert: the first that matches; None where none does."""
        if key not in self._route_of:
            found = next((r for r in self._catalogue.routes if self._matches(r.match, key)), None)
            self._route_of[key] = found
        return self._route_of[key]

    def labels(self, key: Key) -> dict[str, str]:
        """Return what alerts are grouped by."""
        rule, scope = self._book.rule(key[0]), key[1]
        team, _ = place_of(scope, self._catalogue)
        return {
            "rule": rule.id, "kpi": getattr(rule, "kpi", ""), "csf": self._book.csf_of(rule), "scope": scope,
            "team": team or "", "severity": rule.severity,
        }  # fmt: skip

    # --- deciding ---

    def decide(self, now: float) -> list[Notification]:
        """Return what is to be told now, and note that it is told."""
        self._inhibition = None
        wanted: dict[Group, list[tuple[Key, Item]]] = defaultdict(list)
        #: how urgent what people know of a group is
        ranks: dict[Group, int] = {}
        for key, known in list(self.open.items()):
            # what was raised is cleared the way it was raised, whatever the routes say meanwhile
            route = self._routes.get(known.route) or self.route_of(key)
            if route is not None and known.since is not None:
                group = self._group_of(key, route)
                ranks[group] = min(self._rank(key), ranks.get(group, len(SEVERITIES)))
            item = self._item(key, known, route, now)
            if item is not None and route is not None:
                wanted[self._group_of(key, route)].append((key, item))
            elif item is not None:  # a clear that no route takes any more
                self.forget(key)
        for group in self._waits.keys() - wanted.keys():
            del self._waits[group]
        return [
            self._tell(group, found, now)
            for group, found in wanted.items()
            if self._is_due(group, found, ranks.get(group, len(SEVERITIES)), now)
        ]

    def next_due_s(self, now: float) -> float | None:
        """Return in how many seconds a group that waits for others is to be told, None where none waits."""
        left = [
            since + (duration_s(self._routes[route].group_wait) or 0) - now for (route, _), since in self._waits.items()
        ]
        return min((seconds for seconds in left if seconds > 0), default=None)

    def _item(self, key: Key, known: Open, route: Route | None, now: float) -> Item | None:
        instance = self._book.instances.get(key)
        firing = instance is not None and instance.state == "firing"
        if known.since is not None and (not firing or (instance is not None and instance.since != known.since)):
            return Item(*key, "clear", known.since, known.why_over)
        if not firing:
            self.forget(key)
            return None
        assert instance is not None
        if route is None or not self._tells:  # it is only shown
            return None
        if known.since is None:
            held = self.held_by(key, now) or self._stood_for(key, known, route, now)
            if held is None:
                return Item(*key, "raise", instance.since, held=known.held)
            self._remember(key, known, held)
            return None
        repeat = route.repeat_s(self._book.rules[key[0]].severity)
        due = repeat and now - known.told_at >= repeat and not known.acked_by
        if not due or self.held_by(key, now) or self._standing(now).stands_for(key) is not None:
            return None
        return Item(*key, "remind", known.since)

    def _remember(self, key: Key, known: Open, held: Held) -> None:
        """Keep what holds an alert back, once each, the last one last, for when it is told."""
        if known.held[-1:] == (held,) or held.why == _OVER_AT_ONCE:
            return
        known.held = (*(h for h in known.held if h.why != held.why), held)
        self.dirty_open.add(key)
        if held.why != _OLD:  # what is read again is no news
            self.holds.append((key, held))

    def _is_due(self, group: Group, found: Sequence[tuple[Key, Item]], known_rank: int, now: float) -> bool:
        """Return whether a group is told now; what is more urgent than all that it was told waits for no interval."""
        route = self._routes[group[0]]
        since = self._waits.setdefault(group, now)
        if now - since < (duration_s(route.group_wait) or 0):
            return False
        if any(item.kind == "clear" for _, item in found):
            return True
        if now - self.told.get(group, 0.0) >= (duration_s(route.group_interval) or 0):
            return True
        raised = [self._rank(key) for key, item in found if item.kind == "raise"]
        return bool(raised) and min(raised) < known_rank

    def _rank(self, key: Key) -> int:
        """Return how urgent an alert is, 0 for the most urgent."""
        return SEVERITIES.index(self._book.rule(key[0]).severity)

    def _group_of(self, key: Key, route: Route) -> Group:
        found = self._groups.get((key, route.id))
        if found is None:
            labels = self.labels(key)
            found = self._groups[key, route.id] = route.id, tuple(labels[name] for name in route.group_by)
        return found

    def _tell(self, group: Group, found: list[tuple[Key, Item]], now: float) -> Notification:
        route = self._routes[group[0]]
        for key, item in found:
            if item.kind == "clear":
                self.forget(key)
                instance = self._book.instances.get(key)
                if instance is not None and instance.state == "firing":  # it fires again since
                    self.note(key)
            else:
                known = self.open[key]
                if item.held:
                    self.holds.append((key, None))
                self.open[key] = Open(item.since, now, known.acked_by, route.id)
                self.dirty_open.add(key)
        self._waits.pop(group, None)
        if any(item.kind != "clear" for _, item in found):
            self.told[group] = now
        items = tuple(sorted((item for _, item in found), key=self._urgency))
        if not route.resolved:
            items = tuple(item for item in items if item.kind != "clear")
        said = msgspec.json.encode([group, items, now if any(i.kind == "remind" for i in items) else 0])
        name = hashlib.blake2b(said, digest_size=10).hexdigest()
        labels = tuple(zip(route.group_by, group[1], strict=True))
        return Notification(name, route.id, labels, now, items)

    def _urgency(self, item: Item) -> tuple[int, int, str, str]:
        """Return what orders the alerts of a notification: what is new first, then by severity; what is over last."""
        return _KINDS.index(item.kind), self._rank((item.rule, item.scope)), item.rule, item.scope

    def forget(self, key: Key) -> None:
        """Forget an alert: people know of nothing that is not over."""
        self.open.pop(key, None)
        self.dirty_open.add(key)
