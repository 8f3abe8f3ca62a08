"""Lengths of time as people say them: the one place that puts seconds into words (the console's is static/format.js)."""

from __future__ import annotations

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0
_MONTH, _YEAR = 30.44 * _DAY, 365.25 * _DAY
#: (from this many seconds on, length of the unit in seconds, one of it, several); a unit is used from about two of it on.
_STEPS = (
    (731 * _DAY, _YEAR, "year", "years"),
    (61 * _DAY, _MONTH, "month", "months"),
    (2 * _DAY, _DAY, "day", "days"),
    (90 * _MINUTE, _HOUR, "h", "h"),
    (90.0, _MINUTE, "min", "min"),
)


def in_words(seconds: float) -> str:
    """Return a length of time in its largest fitting unit: ``45 s``, ``12 min``, ``31 h``, ``6 months``.

    Args:
        seconds: the length; less than nothing counts as nothing.
    """
    length = max(seconds, 0.0)
    for least, unit, one, several in _STEPS:
        if length >= least:
            number = round(length / unit)
            return f"{number} {one if number == 1 else several}"
    return f"{length:.0f} s"


#: A measured length is said in seconds below this.
MEASURED_FROM_S = 600.0
_MEASURED = ((731 * _DAY, _YEAR, "years"), (2 * _DAY, _DAY, "days"), (90 * _MINUTE, _HOUR, "h"), (0.0, _MINUTE, "min"))


def measured(seconds: float) -> tuple[str, str]:
    """Return a measured length of time as a number of three digits and its unit: ``194`` ``days``, ``30.1`` ``min``.

    Args:
        seconds: ten minutes or more, of either sign; what is shorter is said in seconds.
    """
    size = abs(seconds)
    unit, name = next((unit, name) for least, unit, name in _MEASURED if size >= least)
    return f"{size / unit:.3g}", name
