# SPDX-License-Identifier: MIT
"""Two pictures of a run:  python3 pictures.py eigenformer_bench.json <folder>

roofline.svg   every work as a dot, under the roofs of this machine
sizes.svg      time against size, with plain Eigen and the peers that were measured beside us
Needs matplotlib (Debian: python3-matplotlib) and says so where it is not there, with status 0: pictures are optional."""

import json
import re
import statistics
import sys
from collections import defaultdict
from pathlib import Path

SETS = ("avx512", "avx2", "neon", "portable")
COLOURS = {"ours": "#0b6e4f", "eigen": "#8a8a8a", "torch": "#d1495b", "onnx": "#2e5eaa"}
NAMES = {"ours": "eigenformer", "eigen": "plain Eigen", "torch": "PyTorch", "onnx": "ONNX Runtime"}
FAMILIES = {  # what the first word of a work makes of a dot
    "product": "s", "linear": "o", "attention": "^", "causal": "v", "decoder": "D",
}
# Of these works time is drawn against the number that comes first in the shape.
SIZES = ("product", "causal attention", "attention", "attention, decoding")


def measurements(run):
    """Medians: [{work, shape, type, by, threads, seconds, operations, bytes}]."""
    units = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1}
    seconds = defaultdict(list)
    counters = {}
    for each in run["benchmarks"]:
        if each.get("run_type") == "iteration" and not each.get("error_occurred"):
            name = tuple(each["name"].split("/")[:5])
            seconds[name].append(each["real_time"] * units[each["time_unit"]])
            counters[name] = each
    return [
        dict(zip(("work", "shape", "type", "by", "threads"), name), seconds=statistics.median(times),
             operations=counters[name]["operations"],
             bytes=counters[name]["bytes_read"] + counters[name]["bytes_written"])
        for name, times in seconds.items()
    ]


def limits(context, kind):
    """{(first word, threads): number per second} of the entries `limit <kind> <first word> <threads>`."""
    prefix = f"limit {kind} "
    return {tuple(key[len(prefix):].split(" ")): float(value) for key, value in context.items() if key.startswith(prefix)}


def best_set(context):
    known = {name for name, threads in limits(context, "arithmetic")}
    return next(name for name in SETS if name in known)


def draw_roofline(plot, run, path):
    context = run["context"]
    ours = best_set(context)
    peak = limits(context, "arithmetic")[ours, "1"]
    reads = sorted((float(footprint), speed) for (footprint, threads), speed in limits(context, "read").items() if threads == "1")
    figure, axes = plot.subplots(figsize=(8, 4.5))
    intensities = [2.0 ** (i / 4) for i in range(-16, 44)]
    for footprint, speed in (reads[-1], reads[len(reads) // 2], reads[0]):
        roof = [min(peak, speed * intensity) * 1e-9 for intensity in intensities]
        axes.plot(intensities, roof, color="#444444", linewidth=1)
        axes.annotate(f"{footprint / 1e6:.3g} MB", (intensities[0], roof[0]), fontsize=6, va="bottom")
    axes.annotate(f"{peak * 1e-9:.0f} GFLOP/s, {ours}", (intensities[-1], peak * 1e-9), fontsize=7, ha="right", va="bottom")
    labelled = set()
    for each in measurements(run):
        drawn = each["by"] == ours and each["threads"] == "1" and each["operations"] > 0 and each["bytes"] > 0
        if not drawn:
            continue
        word = re.split("[ ,]", each["work"])[0]
        family = word if word in FAMILIES else "other"
        axes.scatter(each["operations"] / each["bytes"], each["operations"] / each["seconds"] * 1e-9, s=18,
                     marker=FAMILIES.get(word, "."), color=f"C{sorted([*FAMILIES, 'other']).index(family)}",
                     label=None if family in labelled else family)
        labelled.add(family)
    axes.set(xscale="log", yscale="log", xlabel="operations for each byte that must move", ylabel="GFLOP/s")
    axes.set_title(f"One thread of {context['cpu']}, {context['compiler']}, {context['flags']}", fontsize=8)
    axes.legend(fontsize=7, loc="lower right")
    save(plot, figure, path)


def draw_sizes(plot, run, path):
    context = run["context"]
    ours = best_set(context)
    lines = defaultdict(lambda: defaultdict(dict))
    for each in measurements(run):
        if each["work"] not in SIZES or each["type"] != "float" or each["threads"] != "1" or "(" in each["shape"]:
            continue
        by = "ours" if each["by"] == ours else each["by"]
        if by not in COLOURS:
            continue
        size = int(re.match(r"\d+", each["shape"])[0])
        work = each["work"]
        if work == "attention, decoding":  # one context, several numbers of key/value heads
            heads = re.search(r"(\d+)(?::(\d+))? x", each["shape"])
            size = int(heads[2] or heads[1])
        lines[work][by][size] = each["seconds"]
    works = [work for work in SIZES if work in lines]
    figure, all_axes = plot.subplots(1, max(1, len(works)), figsize=(3 * max(1, len(works)), 3), squeeze=False)
    for axes, work in zip(all_axes[0], works):
        for by, points in lines[work].items():
            sizes = sorted(points)
            axes.plot(sizes, [points[size] * 1e3 for size in sizes], marker="o", markersize=3, color=COLOURS[by], label=NAMES[by])
        xlabel = "key/value heads" if work.endswith("decoding") else "rows" if work == "product" else "tokens"
        axes.set(xscale="log", yscale="log", xlabel=xlabel)
        axes.set_title(work, fontsize=8)
    if works:
        all_axes[0][0].set_ylabel("ms, one thread")
        all_axes[0][0].legend(fontsize=6)
    save(plot, figure, path)


def save(plot, figure, path):
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plot.close(figure)
    print(path)


def main(source, folder):
    try:
        import matplotlib
    except ImportError:
        print("No pictures: there is no matplotlib for this python3 (Debian: python3-matplotlib)")
        return
    matplotlib.use("svg")
    matplotlib.rcParams["svg.fonttype"] = "none"  # letters as letters, which keeps the files small
    matplotlib.rcParams["svg.hashsalt"] = "eigenformer"
    from matplotlib import pyplot

    run = json.loads(Path(source).read_text())
    draw_roofline(pyplot, run, Path(folder) / "roofline.svg")
    draw_sizes(pyplot, run, Path(folder) / "sizes.svg")


if __name__ == "__main__":
    main(*sys.argv[1:3])
