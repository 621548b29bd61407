"""The comparison as one HTML file that needs nothing else: tables that sort, pictures inside, no requests."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avstream.comparison.scores import ranks_by_chance
from avstream.wording import clock

TEMPLATE = Path(__file__).with_name("page.html")
TITLE = "Sound in place of vision"
LARGE, SMALL, TINY = 320, 144, 56  # widths of a clip's picture, of one in a table, and of a neighbour
TOP = "top&#8209;1"
UNSELECTED = {"zero": "zeroed", "drop": "dropped"}
TALLEST = 0.65  # of a picture, as a share of its width
Size = tuple[int, int]  # width, height
Cell = tuple[str, str, str | None]  # HTML, class, what it is sorted by (None: its text)


def render(report: dict[str, Any], pictures: Sequence[NDArray[np.uint8]], page: Path) -> str:
    """The page of a report of `compare`. `pictures` (H, W, 3) belong to its clips; links are relative to `page`."""
    sizes = [(rgb.shape[1], rgb.shape[0]) for rgb in pictures]
    images = "".join(
        f'<image id="clip{i}" width="{w}" height="{h}" href="{jpeg(rgb)}"/>'
        for i, (rgb, (w, h)) in enumerate(zip(pictures, sizes, strict=True))
    )
    sections = [summary(report)]
    places = {one["name"]: i for i, one in enumerate(report["clips"])}
    sections += [clip(one, i, sizes, places, page) for i, one in enumerate(report["clips"])]
    sections += [problems(report["problems"])] if report["problems"] else []
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=TITLE, pictures=images, intro=intro(report), sections="\n".join(sections)
    )


def jpeg(rgb: NDArray[np.uint8]) -> str:
    """A small picture as a data URI."""
    picture = Image.fromarray(rgb)
    picture.thumbnail((2 * LARGE, 2 * LARGE))
    file = BytesIO()
    picture.save(file, "JPEG", quality=72)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def intro(report: dict[str, Any]) -> str:
    """What is compared, in words."""
    about = report["settings"]
    lines = [
        f"Each clip&rsquo;s sound ({about['window_s']:g} s) becomes one vector, which takes the place of the "
        "picture&rsquo;s CLS token; of the picture&rsquo;s patches only the <i>k</i> that resemble it most are kept. "
        "The language model then says what sounds, and gets nothing else.",
        f'<span class="soft">Language model: {escape(about["language"])} (preset {escape(about["preset"])}). '
        f"Prompt: &ldquo;{escape(about['prompt'])}&rdquo; "
        f"Patches that are not kept: {UNSELECTED[about['unselected']]}.</span>",
    ]
    lines += [f"<strong>{escape(text[:1].upper() + text[1:])}.</strong>" for text in about["notices"]]
    return "\n".join(f"<p>{line}</p>" for line in lines)


def summary(report: dict[str, Any]) -> str:
    """One row a combination."""
    clips = len(report["clips"])
    caption = (
        f"{clips} clip{'s' if clips != 1 else ''}. A sound finds its picture among them by cosine; by chance the mean "
        f"rank is {ranks_by_chance(clips):g}. &ldquo;Names the source&rdquo; counts the sentences in which a true "
        "source occurs, with its 95&nbsp;% interval."
    )
    heads = [
        ("Encoder", ""), ("Alignment", ""), ("k", "number"), ("Sound to picture, mean rank", "number"),
        (f"Sound to picture, {TOP}", "number"), ("Picture to sound, mean rank", "number"),
        (f"Picture to sound, {TOP}", "number"),
        ("Names the source", "number"), ("Different sentences", "number"),
    ]  # fmt: skip
    rows = []
    for one in report["summary"]:
        low, high = one["interval"]
        share = f"{one['right']} of {one['of']} <span class='soft'>({low:.0%}&ndash;{high:.0%})</span>"
        named = (share, "number", str(one["right"] / one["of"])) if one["of"] else ("", "number", "")
        cells: list[Cell] = [(str(one["tokens"]), "number", None)]
        for way in ("sound to picture", "picture to sound"):
            rank, top = one[f"{way}, mean rank"], one[f"{way}, top-1"]
            cells += [(f"{rank:.1f}", "number", str(rank)), (f"{top:.0%}", "number", str(top))]
        cells += [named, (f"{one['different']} of {one['clips']}", "number", str(one["different"]))]
        rows.append((one["encoder"], [(one["alignment"], "", None), *cells]))
    return f'<section aria-label="Summary">{table(caption, heads, rows, "Summary")}</section>'


def clip(one: dict[str, Any], index: int, sizes: Sequence[Size], places: dict[str, int], page: Path) -> str:
    """A clip: its picture, what is known of it, and a row a combination."""
    truth = ", ".join(one["sources"]) if one["sources"] else "not known"
    link = quote(os.path.relpath(os.path.abspath(one["path"]), page.resolve().parent).replace(os.sep, "/"))
    times = f"{clock(one['start_s'])} to {clock(one['end_s'])}"
    narration = escape(one.get("narration") or "") or "silence"
    head = (
        f'<h2 id="h{index}">{escape(one["name"])}</h2>'
        f'<div class="clip">{picture(index, sizes[index], LARGE, one["name"])}<div>'
        f"<p>What sounds: <strong>{escape(truth)}</strong></p><p>avstream&rsquo;s own narration: {narration}</p>"
        f'<p class="soft">{times} &middot; <a href="{link}">open the clip</a></p></div></div>'
    )
    heads = [
        ("Encoder", ""), ("Alignment", ""), ("k", "number"), ("Kept patches", ""), ("Sentence", ""),
        ("Nearest pictures", ""), ("Rank", "number"), ("Right or wrong", ""),
    ]  # fmt: skip
    rows = [(entry["encoder"], compared(entry, index, sizes, places, one)) for entry in one["entries"]]
    rows += [(f"published: {entry['encoder']}", published(entry)) for entry in one["published"]]
    caption = f"{escape(one['name'])}: what is said under each combination"
    return f'<section aria-labelledby="h{index}">{head}{table(caption, heads, rows, one["name"])}</section>'


def compared(
    entry: dict[str, Any], index: int, sizes: Sequence[Size], places: dict[str, int], one: dict[str, Any]
) -> list[Cell]:
    """The cells of a combination."""
    kept, grid = entry["kept"], one["grid"]
    words = f"{len(kept)} of {grid[0] * grid[1]} patches kept"
    shown = picture(index, sizes[index], SMALL, words, kept, grid)
    near = "".join(neighbour(places[name], sizes[places[name]], name, name == one["name"]) for name in entry["near"])
    said = escape(entry["sentence"]) or '<span class="soft">(nothing)</span>'
    rank = f"{entry['rank']:.1f}".removesuffix(".0")
    return [
        (entry["alignment"], "", None), (str(entry["tokens"]), "number", None), (shown, "", str(len(kept))),
        (said, "said", None), (near, "near", str(entry["rank"])), (rank, "number", None), verdict(entry["named"]),
    ]  # fmt: skip


def neighbour(index: int, size: Size, name: str, own: bool) -> str:
    """A picture that the sound is near to; its own has a frame."""
    words = f"{name}, its own picture" if own else name
    return picture(index, size, TINY, words, title=True, kind="own" if own else "")


def published(entry: dict[str, Any]) -> list[Cell]:
    """The cells of a sentence that others published."""
    empty: Cell = ("", "", "")
    said: Cell = (escape(entry["sentence"]), "said", None)
    return [(entry["alignment"], "", None), empty, empty, said, empty, empty, verdict(entry["named"])]


def verdict(named: list[str] | None) -> Cell:
    """Right or wrong, in words."""
    if named is None:
        return "the truth is not known", "verdict unknown", ""
    if named:
        return f"right: names {escape(', '.join(named))}", "verdict right", "0"
    return "wrong: names no true source", "verdict wrong", "1"


def picture(
    index: int, size: Size, width: int, words: str, kept: Iterable[int] | None = None, grid: Sequence[int] = (1, 1),
    *, title: bool = False, kind: str = "",
) -> str:  # fmt: skip
    """The clip's picture, which is in the page once, with a veil over the patches that were not kept."""
    w, h = size
    width = min(width, round(TALLEST * width * w / h))  # an upright picture is not let grow tall
    veil = "" if kept is None else f'<path class="cut" d="{veiled(set(kept), grid, w, h)}"/>'
    tip = f"<title>{escape(words)}</title>" if title else ""
    return (
        f'<svg role="img" class="{kind}" aria-label="{escape(words)}" viewBox="0 0 {w} {h}" width="{width}" '
        f'height="{round(width * h / w)}">{tip}<use href="#clip{index}"/>{veil}</svg>'
    )


def veiled(kept: set[int], grid: Sequence[int], width: int, height: int) -> str:
    """An SVG path over all patches but the kept ones, a run of each row at a time."""
    rows, columns = grid
    parts, at = [], [round(width * i / columns) for i in range(columns + 1)]
    for row in range(rows):
        top, bottom = round(height * row / rows), round(height * (row + 1) / rows)
        start = 0
        for column in range(columns + 1):
            if column == columns or row * columns + column in kept:
                if column > start:
                    parts.append(f"M{at[start]} {top}H{at[column]}V{bottom}H{at[start]}z")
                start = column + 1
    return "".join(parts)


def table(caption: str, heads: Sequence[tuple[str, str]], rows: Sequence[tuple[str, list[Cell]]], name: str) -> str:
    """A table whose headers are buttons that sort it; a row's first cell is its header."""
    head = "".join(
        f'<th scope="col" class="{kind}" aria-sort="none"><button type="button">{text}</button></th>'
        for text, kind in heads
    )
    body = "".join(
        f'<tr><th scope="row">{breakable(first)}</th>{"".join(cell(*one) for one in rest)}</tr>' for first, rest in rows
    )
    return (
        f'<div class="scroll" role="region" aria-label="{escape(name)}" tabindex="0">'
        f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def breakable(name: str) -> str:
    """A checkpoint's name, which may go on in the next line after a colon or a slash."""
    return escape(name).replace(":", ":<wbr>").replace("/", "/<wbr>")


def cell(html: str, kind: str, key: str | None) -> str:
    """One table cell."""
    sort = "" if key is None else f' data-sort="{escape(key)}"'
    styled = f' class="{kind}"' if kind else ""
    return f"<td{sort}{styled}>{html}</td>"


def problems(lines: Sequence[str]) -> str:
    """The clips that could not be read."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<section><h2>Left out</h2><ul>{items}</ul></section>"
