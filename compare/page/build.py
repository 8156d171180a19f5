"""One HTML file: each cell by hand and in torch, the equations between them, and the numbers of every step.

measurements.py computes the numbers, planting.py what each mistake changes, rows.py writes the lines; template.html,
style.css and the scripts in SCRIPTS, next to this module, become one file that needs no network.
"""

import json
import re
import webbrowser
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

import numpy as np
import torch

import scratch
from compare import files
from compare.agreement import tolerance
from compare.mistakes.detectors import WEAK
from compare.options import CELLS
from compare.page import measurements
from compare.page.cells import LOSS, SHOWN
from compare.page.equations import equations, parse, typeset
from compare.page.measurements import LOSSES, ByHand, H, Numbers, T, Window
from compare.page.planting import mistakes_in, plant
from compare.page.rows import article, named
from compare.page.source import blocks_of, equations_of

SCRIPTS = ("arithmetic", "state", "numbers", "highlight", "mistake", "change", "ask", "walk", "start")


def main(out: str, *, open_it: bool = False) -> int:
    """Write page.html into the folder `out`. Returns 0, or 1 when scratch and torch differ by more than rounding."""
    torch.set_num_threads(1)
    path = files.folder(out) / "page.html"
    window = measurements.window()
    found, articles = zip(*(measure(cell, window) for cell in measurements.CELLS), strict=True)
    cells = dict(zip(measurements.CELLS, found, strict=True))
    files.write_whole(path, document(window, cells, articles).encode())
    wrong = [
        f"{cell} {name}"
        for cell in cells
        for name, number in compared(cells[cell])
        if not off(number) <= tolerance(np.float64) * number["limit"]  # not >: a nan must count as wrong
    ]
    if wrong:
        print(f"{path}: scratch and torch differ in {', '.join(wrong)}; to see where, run: byhand gradients")
        return 1
    print(f"scratch and torch line by line, with the numbers of every step: {path}")
    if open_it:
        webbrowser.open(path.resolve().as_uri())
    return 0


def compared(cell: dict) -> Iterator[tuple[str, dict]]:
    """(name, number) of everything that both scratch and torch computed."""
    for part in ("numbers", *LOSSES):
        for name, number in cell[part].items():
            if number["difference"] is not None:
                yield name, number


def measure(cell: str, window: Window) -> tuple[dict, str]:
    """Everything that the page shows of one cell: what its scripts need, ready for JSON, and its lines as HTML.

    "numbers" are those that do not depend on which steps the loss reads, "each" and "last" the others; "mistakes" holds
    what planting.plant returns.
    """
    pair = measurements.build(cell)
    right = {reads: measurements.by_hand(cell, pair.scratch, window, reads) for reads in LOSSES}
    each, last = (
        side_by_side(right[reads], measurements.by_torch(cell, pair.torch, window, reads)) for reads in LOSSES
    )
    same = [name for name in each if each[name] == last[name]]
    weights = measurements.weights_of(pair.scratch)
    found = {
        "numbers": {name: each[name] for name in same},
        "each": {name: number for name, number in each.items() if name not in same},
        "last": {name: number for name, number in last.items() if name not in same},
        "executed": right["each"].executed,
        "weights": {name: array.tolist() for name, array in weights.items()},
        "blocks": blocks_of(cell),
        "gates": scratch.module_of(cell).GATES,
        "keeps": SHOWN[cell].keeps,
        "summed": measurements.summed(cell),
        "equations": program(cell, right["each"]),
        "presets": presets(cell, weights),
        "mistakes": {
            m.name: {"why": named(m.why), **plant(cell, m, pair.scratch, window, right)} for m in mistakes_in(cell)
        },
    }
    return found, article(cell, right["each"], measurements.operations(cell, pair.torch, window))


def side_by_side(hand: ByHand, by_torch: Numbers) -> dict[str, dict]:
    """name -> number: "hand", its rows; "difference", torch's minus these, None where torch has no such number;
    "limit", the size that gets the darkest colour."""
    theirs = by_torch.steps | by_torch.whole
    gradients = [name for name in hand.steps if name in theirs and name[0] == "d"]
    largest = max(np.abs(hand.steps[name]).max() for name in gradients)
    return {
        name: {
            "hand": ours.tolist(),
            "difference": (theirs[name] - ours).tolist() if name in theirs else None,
            "limit": float(largest if name in gradients else max(1, np.abs(ours).max())),
        }
        for name, ours in (hand.steps | hand.whole).items()
    }


def off(number: dict) -> float:
    """The largest difference between both models."""
    return float(np.abs(number["difference"]).max())


def program(cell: str, numbers: ByHand) -> list[dict]:
    """The equations that the page computes with, in order.

    "name": what it defines; "when": in which loop over t ("forward", "backward", or "whole" after both); "size": how
    many numbers; "tree": see equations.parse; "html": the equation to read.
    """
    widths = {name: value.shape[1] for name, value in numbers.steps.items()}
    widths |= {name: value.size for name, value in numbers.whole.items()}
    blocks = blocks_of(cell)
    forward = [part for parts in equations_of(scratch.module_of(cell)).values() for part in parts if " = " in part]
    loss = [text for text, _, _ in LOSS.values()]
    backward = [text for text, _ in SHOWN[cell].backward.values() if text] + SHOWN[cell].terms
    found = {}
    for when, texts in (("forward", forward), ("loss", loss), ("backward", backward)):
        for name, right in (pair for text in texts for pair in equations(text)):
            if name not in found:  # an equation with an alternative: the first
                found[name] = {
                    "name": name,
                    "when": "whole" if measurements.is_whole(name) or name == "loss" else when,
                    "size": 1 if name == "loss" else H * len(blocks[name]) if name in blocks else widths.get(name, H),
                    "tree": parse(right),
                    "html": typeset(right),
                }
    return list(found.values())


def presets(cell: str, weights: dict[str, np.ndarray]) -> dict[str, dict]:
    """Settings worth a look: label -> the weights that differ from the page's."""
    keeps, none = SHOWN[cell].keeps, np.zeros_like(weights["b_ih"])
    found = {}
    if keeps:
        found[f"gate {keeps} open"] = {"b_ih": with_bias(cell, weights["b_ih"], {keeps: 5.0})}
        found[f"gate {keeps} closed"] = {"b_ih": with_bias(cell, weights["b_ih"], {keeps: -5.0})}
    found["saturated"] = {"W_ih": 20 * weights["W_ih"]}
    if SHOWN[cell].exploding is not None:
        found["exploding"] = {  # near 0, where the slopes of tanh are near 1
            "W_hh": 4 * weights["W_hh"],
            "W_ih": weights["W_ih"] / 100,
            "b_ih": with_bias(cell, none, SHOWN[cell].exploding),
            "b_hh": none,
        }
    return {label: {name: array.tolist() for name, array in changed.items()} for label, changed in found.items()}


def with_bias(cell, bias, shifts):
    """A bias with something added to the block of some gates."""
    gates, result = scratch.module_of(cell).GATES, bias.copy()
    for gate, shift in shifts.items():
        result.reshape(len(gates), H)[gates.index(gate)] += shift
    return result


def document(window: Window, cells: dict[str, dict], articles: Iterable[str]) -> str:
    """The whole page, from the results of `measure`."""
    here = Path(__file__).parent
    values = {
        "steps": window.months,
        "x": window.x[:, 0].tolist(),
        "targets": window.targets[:, 0].tolist(),
        "mean": window.mean,
        "std": window.std,
        "checks": list(WEAK),
        "cells": cells,
    }
    everything = [number for found in cells.values() for _, number in compared(found)]
    parts = {
        "css": (here / "style.css").read_text(encoding="utf-8"),
        "js": "\n".join((here / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS),
        "largest": f"{max(map(off, everything)):.1e}",
        "first": f"{window.months[0]['month']} {window.months[0]['year']}",
        "last": f"{window.months[-1]['month']} {window.months[-1]['year']}",
        "mean": f"{window.mean:.1f}",
        "std": f"{window.std:.1f}",
        "choices": "\n".join(map(choice, cells)),
        "chain": chain(window.months),
        "cells": "\n".join(articles),
        # a script element has no escapes, and "</" would end it
        "values": json.dumps(values, separators=(",", ":")).replace("</", "<\\/"),
    }
    template = (here / "template.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)


def choice(cell: str) -> str:
    name = escape(CELLS.get(cell, cell))
    return f'<label><input type="radio" name="cell" value="{cell}"><span>{name}</span></label>'


def chain(months: list[dict]) -> str:
    """The unrolled cell: a node per step, |dh_t| above it, the month below. The script sets what depends on t.

    Horizontal positions are percentages of the width, so that letters keep their size on a phone.
    """

    def at(t):
        return f"{100 * (t + 0.5) / T:g}%"

    def arrow(kind, t, to, y, head):
        return (
            f'<g class="{kind}" data-t="{t}"><line x1="{at(t)}" x2="{at(to)}" y1="{y}" y2="{y}"/>'
            f'<svg x="{at(to)}" y="{y}" overflow="visible"><path d="{head}"/></svg></g>'
        )

    parts = [arrow("ahead", t, t + 1, 88, "M-19 -3.5l6 3.5l-6 3.5") for t in range(T - 1)]
    parts += [arrow("back", t, t - 1, 98, "M19 -3.5l-6 3.5l6 3.5") for t in range(1, T)]
    for t, month in enumerate(months):
        parts.append(
            f'<svg x="{at(t)}" overflow="visible" class="step" data-t="{t}">'
            '<rect class="hit" x="-22" width="44" height="140"/><rect class="bar" x="-11" width="22"/>'
            '<text class="size" y="12"></text><path class="read" d="M0 64v12m-3.5 -5l3.5 5l3.5 -5"/>'
            f'<circle cy="93" r="13"/><text y="97">{t}</text><text class="month" y="122">{month["month"]}</text>'
            f'<text class="month" y="135">{month["spots"]}</text></svg>'
        )
    return "\n".join(parts)
