"""Medians and ratios as a table, and as a picture that a page can show."""

from collections.abc import Mapping, Sequence
from statistics import median

from benchmarks.actions import Action
from benchmarks.driving import Measured

__all__ = ("Results", "picture", "table")

Results = Mapping[tuple[str, str], Sequence[Measured]]
"""The rounds of each action and contender."""


def table(
    results: Results,
    trips: Mapping[tuple[str, str], float],
    titles: Mapping[str, str],
    actions: Sequence[Action],
) -> str:
    """Return the tables, one for each action, as Markdown."""
    return "\n".join(
        line
        for action in actions
        for line in _of_action(action, results, trips, titles)
    )


_HEAD = (
    "| | requests/s | of the tutorial | of the limit | p50 ms | p99 ms "
    "| server us | PostgreSQL us | round trips |"
)


def _of_action(
    action: Action,
    results: Results,
    trips: Mapping[tuple[str, str], float],
    titles: Mapping[str, str],
) -> list[str]:
    base = _ratios(results, action.name, "tutorial")
    limit = _ratios(results, action.name, "bare")
    lines = [
        f"### {action.name}",
        "",
        _HEAD,
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, title in titles.items():
        key = (action.name, name)
        rounds = results.get(key)
        if not rounds:
            continue
        cells = (
            title,
            f"{median(r.rate for r in rounds):,.0f}",
            f"{base[name]:.2f}x" if base else "",
            f"{limit[name]:.2f}" if limit else "",
            f"{median(r.p50 for r in rounds):.2f}",
            f"{median(r.p99 for r in rounds):.1f}",
            f"{median(r.server for r in rounds):.0f}",
            f"{median(r.postgres for r in rounds):.0f}",
            f"{trips.get(key, 1):.0f}",
        )
        bad = sum(r.bad for r in rounds)
        note = f" ({bad} bad)" if bad else ""
        lines.append(f"| {' | '.join(cells)}{note} |")
    return [*lines, ""]


def _ratios(results: Results, action: str, base: str) -> dict[str, float]:
    """Return each contender's rate in those of another: medians of single rounds."""
    bases = results.get((action, base))
    if not bases:
        return {}
    return {
        name: median(r.rate / b.rate for r, b in zip(rounds, bases, strict=True))
        for (of, name), rounds in results.items()
        if of == action
    }


_WIDTH, _BAR, _LABEL = 760, 18, 190


def picture(
    results: Results, titles: Mapping[str, str], actions: Sequence[Action]
) -> str:
    """Return bars of the rates of each action, relative to its fastest, as SVG."""
    parts: list[str] = []
    y = 10
    for action in actions:
        y = _bars(parts, action, results, titles, y)
    style = (
        "text{font:12px system-ui,sans-serif;fill:#555}.t{font-weight:600}"
        ".b{fill:#9aa7b1}.h{fill:#c2571a}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" '
        f'width="{_WIDTH}" role="img"><title>Requests a second</title>'
        f"<style>{style}</style>{''.join(parts)}</svg>\n"
    )


def _bars(
    parts: list[str],
    action: Action,
    results: Results,
    titles: Mapping[str, str],
    y: int,
) -> int:
    rates = {
        name: median(r.rate for r in results[action.name, name])
        for name in titles
        if results.get((action.name, name))
    }
    parts.append(f'<text class="t" x="0" y="{y + 12}">{action.name}</text>')
    y += _BAR
    for name, rate in rates.items():
        width = (_WIDTH - _LABEL - 80) * rate / max(rates.values())
        kind = "h" if name == "howdah" else "b"
        parts.append(
            f'<text x="10" y="{y + 12}">{titles[name]}</text>'
            f'<rect class="{kind}" x="{_LABEL}" y="{y + 2}" width="{width:.0f}" '
            f'height="{_BAR - 5}"/><text x="{_LABEL + width + 6:.0f}" y="{y + 12}">'
            f"{rate:,.0f}</text>"
        )
        y += _BAR
    return y + 8
