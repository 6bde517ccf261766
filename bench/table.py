"""Format the measurements as one Markdown table."""

import statistics
from collections.abc import Iterable, Mapping, Sequence

from bench.load import Figures

NOTHING = "-"

#: The figures of every round, by the title of the case and the name of the server.
Measured = Mapping[str, Mapping[str, Sequence[Figures]]]


def table(measured: Measured, columns: Mapping[str, str], baseline: str) -> str:
    """Medians, with their ratios to the baseline; `columns` maps servers to headings."""
    rows = [
        ["case", "figure", *columns.values()],
        ["---", "---", *("---:" for _ in columns)],
    ]
    for title, by_server in measured.items():
        rows.extend(rows_of_case(title, by_server, list(columns), baseline))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def rows_of_case(
    title: str, by_server: Mapping[str, Sequence[Figures]], servers: Sequence[str], baseline: str
) -> Iterable[list[str]]:
    """Yield a row for each figure; errors are summed, and get a row only if there are any."""
    for figure in figures_in(by_server):
        values = {server: summary(figure, by_server.get(server, ())) for server in servers}
        if figure != "errors":
            compared = [cell(values[server], values[baseline]) for server in servers]
            yield [title, figure, *compared]
        elif any(values.values()):
            yield [title, figure, *(number(values[server]) for server in servers)]


def figures_in(by_server: Mapping[str, Sequence[Figures]]) -> list[str]:
    """The names of the figures, with errors last."""
    names = {name: None for rounds in by_server.values() for figures in rounds for name in figures}
    return sorted(names, key=lambda name: name == "errors")


def summary(figure: str, rounds: Sequence[Figures]) -> float | None:
    """The median of the rounds, or the sum for errors; None without a measurement."""
    values = [figures[figure] for figures in rounds if figure in figures]
    if not values:
        return None
    return sum(values) if figure == "errors" else statistics.median(values)


def cell(value: float | None, base: float | None) -> str:
    """A figure with its ratio to the baseline."""
    ratio = f" ({value / base:.2f}x)" if value is not None and base else ""
    return number(value) + ratio


def number(value: float | None) -> str:
    """A number with three digits; from 100 on, a whole number."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
