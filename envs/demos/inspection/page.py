"""One HTML page that needs nothing else: no script, no other file, no network. All texts of the demonstrations are escaped."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
from PIL import Image

from envs.demos.inspection.charts import bars, histogram, scatter
from envs.demos.inspection.coverage import Coverage
from envs.demos.inspection.summary import Summary
from whatwhere.counted import counted

SHOWN = 128  # pixels: larger pictures are made smaller
ABOUT = (
    "task",
    "task_version",
    "split",
    "env_name",
    "motion",
    "speed",
    "source",
    "noise",
    "rendering",
    "size",
    "cameras",
    "frame_gap",
    "control_hz",
    "control",
    "horizon",
    "seed",
)
STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --mark: #2a78d6; --other: #e07b1a; --bad: #d33; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin-top: 2.2rem; }
table { border-collapse: collapse; } td, th { text-align: left; padding: .15rem .9rem .15rem 0; vertical-align: top; overflow-wrap: anywhere; }
.figures { display: flex; flex-wrap: wrap; gap: .6rem 2.2rem; } .figures b { display: block; font-size: 1.5rem; font-weight: 600; }
.grid { display: flex; flex-wrap: wrap; gap: 1rem; } figure { margin: 0; } figcaption { font-size: .85rem; opacity: .8; }
.warnings li { margin: .2rem 0; } .warnings { border-left: 3px solid var(--other); padding-left: 1.5rem; margin-left: 0; }
.sheet { margin: .9rem 0; } .sheet img { max-width: 100%; display: block; margin-top: 2px; } .failed { color: var(--bad); }
svg text { font: 11px system-ui, sans-serif; fill: currentColor; }
"""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(title: str, summaries: Sequence[Summary], warned: Sequence[str], positions: Coverage | str) -> str:
    """The page's HTML."""
    parts = [
        f"<h1>{escape(title)}</h1>",
        _figures(summaries),
        _about(summaries),
        _warnings(warned),
        _lengths(summaries),
        _map(positions),
        _actions(summaries),
        _sheets(summaries),
    ]
    head = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}"><meta name="viewport" content="width=device-width">'
    return f'<!doctype html><html lang="en"><head>{head}<title>{escape(title)}</title><style>{STYLE}</style></head><body>{"".join(parts)}</body></html>\n'


def _figures(summaries: Sequence[Summary]) -> str:
    steps = [summary.steps for summary in summaries]
    won = sum(summary.success for summary in summaries)
    minutes = sum(summary.steps / summary.settings["control_hz"] for summary in summaries) / 60
    figures = {
        "demonstrations": len(summaries),
        "steps": sum(steps),
        "minutes": f"{minutes:.1f}",
        "steps each (least – median – most)": f"{min(steps)} – {np.median(steps):g} – {max(steps)}",
        "with success": f"{won} ({won / len(summaries):.0%})",
    }
    return '<div class="figures">' + "".join(f"<div><b>{value}</b>{name}</div>" for name, value in figures.items()) + "</div>"


def _about(summaries: Sequence[Summary]) -> str:
    rows = {}
    for key in ABOUT:
        found = (summary.settings.get(key) for summary in summaries)
        if values := list(dict.fromkeys(", ".join(map(str, value)) if isinstance(value, list) else str(value) for value in found if value is not None)):
            rows[key] = ", ".join(values[:4]) + (" …" if len(values) > 4 else "")
    if made_of := origins(summaries):
        rows["multiplied"] = made_of
    rows["instruction"] = " · ".join(list(dict.fromkeys(summary.instruction for summary in summaries))[:4])
    rows["versions"] = ", ".join(f"{name} {version}" for name, version in summaries[0].settings["versions"].items())
    return "<h2>Settings</h2><table>" + "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows.items()) + "</table>"


def origins(summaries: Sequence[Summary]) -> str:
    """What those were made of that `envs.demos.multiply` made; empty where none was."""
    made = [summary.settings["multiplied"] for summary in summaries if "multiplied" in summary.settings]
    if not made:
        return ""
    given = {one["sha256"]: one["file"] for said in made for one in said["originals"]}
    used = {one["sha256"] for said in made for number, one in enumerate(said["originals"]) if number in {segment["source"] for segment in said["segments"]}}
    names = ", ".join(list(given.values())[:10]) + (" …" if len(given) > 10 else "")
    return f"{counted(len(made), 'demonstration')} made of {counted(len(given), 'recorded one')}, of which segments of {len(used)} were used: {names}"


def _warnings(warned: Sequence[str]) -> str:
    lines = "".join(f"<li>{escape(line)}</li>" for line in warned[:100])
    more = f"<li>and {len(warned) - 100} more</li>" if len(warned) > 100 else ""
    return f"<h2>Warnings ({len(warned)})</h2>" + (f'<ul class="warnings">{lines}{more}</ul>' if warned else "<p>None.</p>")


def _lengths(summaries: Sequence[Summary]) -> str:
    chart = bars([(summary.name, summary.steps, not summary.success) for summary in summaries])
    return f"<h2>Lengths</h2><figure>{chart}<figcaption>Steps of each demonstration, in order; red: without success.</figcaption></figure>"


def _map(positions: Coverage | str) -> str:
    if isinstance(positions, str):
        return f"<h2>Starts</h2><p>{escape(positions)}.</p>"
    caption = (
        f"{escape(positions.frame)}, cm. Dots: demonstrations; rings: the first {len(positions.evaluation)} evaluation starts. {escape(positions.line())}."
    )
    return f"<h2>Starts</h2><figure>{scatter(positions.demos, positions.evaluation)}<figcaption>{caption}</figcaption></figure>"


def _actions(summaries: Sequence[Summary]) -> str:
    if len({summary.histogram.shape for summary in summaries}) > 1:
        return ""
    counts = np.sum([summary.histogram for summary in summaries], axis=0)
    charts = "".join(f"<figure>{histogram(row)}<figcaption>action {i}</figcaption></figure>" for i, row in enumerate(counts))
    return f'<h2>Actions</h2><p>How often each lies where in [−1, 1].</p><div class="grid">{charts}</div>'


def _sheets(summaries: Sequence[Summary]) -> str:
    parts = []
    for summary in summaries:
        outcome = "" if summary.success else ' · <span class="failed">no success</span>'
        strips = "".join(
            f'<img alt="{escape(name)}" src="data:image/jpeg;base64,{_strip(strip)}">'
            for name, strip in zip(summary.settings["cameras"], summary.sheet, strict=True)
        )
        parts.append(f'<div class="sheet">{escape(summary.name)} · {summary.steps} steps · {escape(summary.instruction)}{outcome}{strips}</div>')
    return "<h2>Pictures</h2><p>From the first step to the last, one row for each camera.</p>" + "".join(parts)


def _strip(pictures: np.ndarray) -> str:
    """(n, h, w, 3) side by side, as JPEG in base64."""
    image = Image.fromarray(np.concatenate(list(pictures), axis=1))
    if pictures.shape[1] > SHOWN:
        image = image.resize((image.width * SHOWN // image.height, SHOWN))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=82)
    return base64.b64encode(file.getvalue()).decode()
