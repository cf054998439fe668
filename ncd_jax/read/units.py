"""Units beside numbers: money, measures, per cents."""

import re

__all__ = ["CURRENCY", "SIDES", "UNIT", "is_currency", "is_unit", "ratio", "unit_key"]

_SYMBOLS = "$€£¥₹₽₩₺₪₫฿₴₦₱¢"
_MONEY = """
USD EUR GBP CHF JPY CNY RMB INR RUB SEK NOK DKK PLN CZK HUF BRL CAD AUD NZD MXN ZAR TRY SGD HKD KRW
ILS THB AED SAR US$ A$ C$ R$ NZ$ HK$ S$ kr kr. zł Kč Ft Fr. SFr. Rs Rs. Euro
"""
_CODES = _MONEY.split()
CURRENCY = rf"[{_SYMBOLS}]|" + "|".join(re.escape(code) for code in sorted(_CODES, key=len)[::-1])
_LETTERS = r"[A-Za-zÀ-ɏµμΩ]"
UNIT = (
    rf"{CURRENCY}|%|‰|°\s?[CFKNSEW]?|[\"″']|"
    rf"(?:(?:mm|cm|dm|km|m|in|ft)[23]|{_LETTERS}+\.?[²³]?)"
    rf"(?:\s?/\s?(?:(?:mm|cm|dm|km|m|ft)[23]|{_LETTERS}+[²³]?|100\s?g))?"
)
_FAMILIES: tuple[dict[str, float], ...] = (
    {"mg": 1e-3, "g": 1.0, "kg": 1e3, "t": 1e6},
    {"mm": 1e-3, "cm": 1e-2, "m": 1.0, "km": 1e3},
    {"ml": 1e-3, "cl": 1e-2, "l": 1.0, "L": 1.0},
    {"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12},
    {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "mio": 1e6, "bn": 1e9, "B": 1e9},
    {"ms": 1e-3, "s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0, "h": 3600.0}
    | {"hr": 3600.0, "hour": 3600.0, "d": 86400.0, "day": 86400.0, "week": 604800.0},
    {"month": 1.0, "mo": 1.0, "year": 12.0, "yr": 12.0},
)
"""Units that people mix in one column, and what they are to each other."""
SIDES = {"°s": "°n", "°w": "°e"}
"""Degrees that count down, and those that count up."""
_OTHERS = """
% ‰ ° °C °F K degC degF deg rad grad Å nm μm µm um dm in inch ft foot feet yd mi mile nmi ha acre
lb lbs oz ug µg μg ng dl dL mL µl ul gal hl cc ms us µs ns hrs std stunde tag jahr monat years Hz
kHz MHz GHz rpm bpm V mV kV A mA W kW MW kWh MWh Wh J kJ MJ cal kcal eV N kN Nm Pa hPa kPa MPa bar
mbar psi atm mmHg mol mmol umol µmol nmol M mM ppm ppb dB Ohm Ω lm lx cd IU U mU pcs stk Stück byte
bit px pt kn mph kmh
"""
_KNOWN = {*_OTHERS.split(), *_MONEY.split(), *_SYMBOLS, *(u for f in _FAMILIES for u in f if u)}
_FOLDED = {word.casefold() for word in _KNOWN if len(word) > 1}


def unit_key(unit: str) -> str:
    """What spellings of one unit share: `KG` and `kg`, `years` and `year`."""
    unit = "".join(unit.split())
    if len(unit) == 1:
        return unit
    key = unit.casefold().rstrip(".")
    return key.removesuffix("s") if len(key) > 3 else key


def is_unit(word: str) -> bool:
    """Whether a word is a unit that people know, or some of them: `mm`, `mg/dL`, `kg m-2`."""
    parts = re.split(r"\s*[/*·]\s*|\s+|\bper\b", word)
    plain = [re.sub(r"(?<=\w)\^?-?[1-4²³]$", "", part) for part in parts if part not in ("", "1")]
    return bool(plain) and all(p in _KNOWN or p.casefold().rstrip("s") in _FOLDED for p in plain)


def is_currency(key: str) -> bool:
    """Whether a unit is one of money."""
    return key in {*_SYMBOLS, *map(unit_key, _CODES)}


def ratio(unit: str, other: str) -> float | None:
    """What a number with a unit counts for in a column that has another one, if that is known.

    Three dollars may be written without the sign, but 0.3 among per cents may be 30 of them.
    """
    if unit != other and SIDES.get(unit, unit) == SIDES.get(other, other):
        return -1.0
    for family in _FAMILIES:
        if unit in family and other in family:
            return family[unit] / family[other]
    return 1.0 if unit == other or (not unit and other not in ("%", "‰")) else None
