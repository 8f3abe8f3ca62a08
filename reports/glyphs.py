"""Which characters the fonts of the PDF can draw; another is shown as a box, as PDF/UA forbids undefined glyphs."""

from __future__ import annotations

import re

#: a character that no font has; the web page and the data file show it
BOX = "\u25a1"
#: ranges that Libertinus Serif, New Computer Modern or DejaVu Sans Mono cover, as found by typesetting each character
#: below U+3000, ligatures and mathematical letters (tests/report/test_pdf.py tries them again)
COVERED = (
    "20-7e a0-ac ae-377 37a-37f 384-38a 38c 38e-3a1 3a3-4ff 510-513 51a-51d 531-556 559-58a 58d-58f 591-5c7 "
    "5d0-5ea 5ef-5f4 606-60c 615 61b 61f 621-63a 640-655 65a 660-66d 674 679-67b 67e-680 683-684 686-687 691 698 "
    "6a4 6a9 6af 6be 6cc 6f0-6f9 900-97f e3f e81-e82 e84 e87-e88 e8a e8d e94-e97 e99-e9f ea1-ea3 ea5 ea7 eaa-eab "
    "ead-eb9 ebb-ebc ec8-ecd 10d0-10ff 115f-1160 13a0-13f5 13f8-13fd 17b4-17b5 17c1-17c3 180b-180d 180f "
    "1ab0-1ace 1d00-1f15 1f18-1f1d 1f20-1f45 1f48-1f4d 1f50-1f57 1f59 1f5b 1f5d 1f5f-1f7d 1f80-1fb4 1fb6-1fc4 "
    "1fc6-1fd3 1fd6-1fdb 1fdd-1fef 1ff2-1ff4 1ff6-1ffe 2000-200a 2010-2027 202f-205f 2070-2071 2074-208e "
    "2090-209c 20a0-20c0 20d0-20f0 2100-2151 2153-2184 2189 2190-23ff 2422-2423 2460-262f 2638-268b 2690-269c "
    "26a0-26a7 26aa-26b2 2701-2704 2706-2709 270c-2727 2729-274b 274d 274f-2752 2756 2758-275e 2761-277f 2794 "
    "2798-27af 27b1-2b73 2b76-2b95 2b97-2bff 2c60-2cf3 2cf9-2cff 2e02-2e05 2e08-2e0a 2e17-2e18 2e1f 2e22-2e25 "
    "2e2e fb00-fb06 fffd 1d400-1d454 1d456-1d49c 1d49e-1d49f 1d4a2 1d4a5-1d4a6 1d4a9-1d4ac 1d4ae-1d4b9 1d4bb "
    "1d4bd-1d4c3 1d4c5-1d505 1d507-1d50a 1d50d-1d514 1d516-1d51c 1d51e-1d539 1d53b-1d53e 1d540-1d544 1d546 "
    "1d54a-1d550 1d552-1d6a5 1d6a8-1d7cb 1d7ce-1d7ff"
)
_INVISIBLE = re.compile("[\u00ad\u200b-\u200d\u2060\ufe00-\ufe0f]")


def ranges() -> list[tuple[int, int]]:
    """Return the covered ranges, both ends in them."""
    pairs = [part.partition("-") for part in COVERED.split()]
    return [(int(first, 16), int(last or first, 16)) for first, _, last in pairs]


_MISSING = re.compile("[^\n" + "".join(f"{re.escape(chr(a))}-{re.escape(chr(b))}" for a, b in ranges()) + "]")


def drawable(text: str) -> str:
    """Return a text that the fonts can draw: what they lack as a box, what has no shape left out."""
    return _MISSING.sub(BOX, _INVISIBLE.sub("", text))
