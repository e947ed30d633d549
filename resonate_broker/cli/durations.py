"""Durations as people read them."""

from resonate_broker.durations import UNITS_MS


def format_duration(duration_ms: int) -> str:
    """Write a duration with its two largest units, or `1.2s` below a minute."""
    if duration_ms < UNITS_MS["s"]:
        return f"{max(0, duration_ms)}ms"
    if duration_ms < UNITS_MS["m"]:
        tenths = duration_ms // 100
        return f"{tenths // 10}s" if tenths % 10 == 0 else f"{tenths / 10:.1f}s"
    parts: list[str] = []
    rest_ms = duration_ms
    for unit, unit_ms in UNITS_MS.items():
        count, rest_ms = divmod(rest_ms, unit_ms)
        if count or parts:
            parts.append(f"{count}{unit}" if count else "")
        if len(parts) == 2:
            break
    return "".join(parts)
