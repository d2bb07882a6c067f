"""The page of the success rate: one file that refers to no other files."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from platform_health.success_rate import WINDOWS, Measured, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.typing import RcKeyType

GOOD, BAD, INK, PALE = "#2f7d6b", "#c8553d", "#26323a", "#d5dbdd"
_MAX_CAUSES = 8
_MIN_DURATION = 0.1
"""Seconds. A logarithmic scale has no zero, which is the duration of runs that never started."""
_DURATION_TICKS = (1, 10, 60, 600, 3600, 36000)
"""Seconds on the logarithmic scale."""
_STYLE: dict[RcKeyType, Any] = {
    "svg.fonttype": "none",  # text stays text: searchable, in the page's typeface
    "svg.hashsalt": "platform-health",
    "text.parse_math": False,  # an error may contain dollar signs
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": PALE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
}


def draw(measured: Measured) -> str:
    """Return the page as HTML."""
    environment = Environment(
        loader=PackageLoader("platform_health"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters |= {"percent": percent, "duration": duration}
    days = WINDOWS[-1]
    rates = measured.of_dags(days)
    recent = {each.dag_id: each for each in measured.of_dags(WINDOWS[0])}
    return environment.get_template("success_rate.html.jinja2").render(
        measured=measured,
        windows=WINDOWS,
        rates=[(each, recent.get(each.dag_id)) for each in rates],
        plots=dict(_plots(measured)),
    )


def _plots(measured: Measured) -> Iterator[tuple[str, Markup]]:
    if rates := measured.of_dags(WINDOWS[-1]):
        yield "days", _plot(_days, measured, height=2.2)
        yield "durations", _plot(_durations, measured, height=0.9 + 0.26 * len(rates))
    if causes := measured.causes[:_MAX_CAUSES]:
        yield "causes", _plot(_causes, measured, height=0.7 + 0.3 * len(causes))


def duration(seconds: float) -> str:
    """Return seconds in words: 8 s, 3 min, 2.5 h."""
    if seconds < 90:  # noqa: PLR2004 - a minute and a half
        return f"{seconds:.0f} s"
    if seconds < 5400:  # noqa: PLR2004 - an hour and a half
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _plot(paint: Callable[[Axes, Measured], None], measured: Measured, *, height: float) -> Markup:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(9, height), layout="constrained")
        paint(figure.subplots(), measured)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = file.getvalue()
    svg = re.sub(r"^.*?(?=<svg)", "", svg, flags=re.DOTALL)
    return Markup(re.sub(r'width="[^"]*pt" height="[^"]*pt"', 'width="100%"', svg, count=1))  # noqa: S704 - drawn here


def _days(axes: Axes, measured: Measured) -> None:
    last = measured.at.date()
    days = [last - timedelta(days=ago) for ago in range(WINDOWS[-1], -1, -1)]
    good, bad = zip(*(measured.days.get(day, (0, 0)) for day in days), strict=True)
    axes.bar(range(len(days)), good, color=GOOD, width=0.8)
    axes.bar(range(len(days)), bad, bottom=good, color=BAD, width=0.8)
    ticks = [index for index, day in enumerate(days) if day.weekday() == 0]
    axes.set_xticks(ticks, [f"{days[index]:%-d %b}" for index in ticks])
    axes.set_ylabel("runs")
    axes.locator_params("y", integer=True)


def _durations(axes: Axes, measured: Measured) -> None:
    rates = measured.of_dags(WINDOWS[-1])
    rates.sort(key=lambda each: each.p50_seconds)
    for row, each in enumerate(rates):
        p50, p95 = (max(seconds, _MIN_DURATION) for seconds in (each.p50_seconds, each.p95_seconds))
        axes.plot([p50, p95], [row, row], color=PALE, lw=4, zorder=1)
        axes.scatter([p50], [row], color=GOOD, zorder=2)
        axes.scatter([p95], [row], color=INK, marker="|", zorder=2)
    axes.set_yticks(range(len(rates)), [str(each.dag_id) for each in rates])
    axes.set_xscale("log")
    axes.set_xticks(_DURATION_TICKS, [duration(each) for each in _DURATION_TICKS])
    axes.xaxis.set_minor_locator(NullLocator())
    longest = max(each.p95_seconds for each in rates)
    axes.set_xlim(right=max(longest * 1.2, _DURATION_TICKS[1]))
    axes.spines.left.set_visible(False)
    axes.tick_params(left=False)


def _causes(axes: Axes, measured: Measured) -> None:
    causes = measured.causes[:_MAX_CAUSES][::-1]
    axes.barh([cause for cause, _ in causes], [count for _, count in causes], color=BAD, height=0.6)
    axes.locator_params("x", integer=True)
    axes.set_xlabel("failed attempts")
    axes.spines.left.set_visible(False)
    axes.tick_params(left=False)
