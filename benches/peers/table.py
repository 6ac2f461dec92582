"""The results as the tables of docs/audio.md, between two markers. It measures nothing."""

import os
import statistics

from card import ROOT

DOCUMENT = os.path.join(ROOT, "docs", "audio.md")
BEGIN, END = "<!-- made by `make bench-audio`: begin -->", "<!-- made by `make bench-audio`: end -->"


def number(value):
    return f"{value:,}"


def row(cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def head(cells):
    return [row(cells), row(["---"] * len(cells))]


def gaps(found):
    return ", ".join("not found" if gap is None else f"{gap:+,}" if gap else "0" for gap in found)


def exactly(found):
    return {True: "yes", False: "**no**", None: ""}[found["exact"]]


def frames_table(results, players):
    lines = head(["format", "player", "frames of the source", "heard", "before the first", "gaps", "bit-exact", "xruns", "peak memory, MiB"])
    for form, cells in results["formats"].items():
        for player in players:
            cell = cells.get(player)
            if not cell:
                continue
            if "failed" in cell:
                lines.append(row([form, player, number(cell["expected"]), "– " + cell["failed"], "", "", "", "", ""]))
                continue
            heard = number(cell["heard"])
            lines.append(row([form, player, number(cell["expected"]), heard if cell["heard"] == cell["expected"] else f"**{heard}**",
                              "?" if cell["lead"] is None else cell["lead"], gaps(cell["gaps"]), exactly(cell), cell["xruns"],
                              f"{cell['peak_kib'] / 1024:.1f}"]))
    return lines


def instructions_table(results, players):
    lines = head(["format", *players])
    for form, cells in results["formats"].items():
        known = [cells[player] for player in players if isinstance(cells.get(player), (int, float))]

        def shown(player):
            value = cells.get(player)
            if not isinstance(value, (int, float)):
                return "–"
            text = f"{value / 1e6:.1f}"
            return f"**{text}**" if value == min(known) else text

        lines.append(row([form, *map(shown, players)]))
    return lines


def at(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def skips_table(cells):
    lines = head(["player", "latency of the service", "n", "new sound handed over: p50, ms", "p99, ms", "most, ms", "old sound gone: p50, ms", "p99, ms",
                  "no new sound before the next press"])
    for cell in cells:
        came = [pair for pair in cell["found"] if pair]
        handed, gone = [pair[0] for pair in came], [pair[1] for pair in came]
        figures = [f"{value:.1f}" for value in (statistics.median(handed), at(handed, 0.99), max(handed), statistics.median(gone), at(gone, 0.99))] \
            if came else ["–"] * 5
        lines.append(row([cell["player"], f"{cell['latency_ms']} ms", len(came), *figures, len(cell["found"]) - len(came)]))
    return lines


def made(results):
    """When, where and of what a part was measured."""
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items() if version)
    missing = [name for name, version in results["versions"].items() if not version]
    without = f"; not installed: {', '.join(missing)}" if missing else ""
    return f"Measured {results['date']} on {results['machine']}, load average {results['load']} at the beginning; {versions}{without}."


def text(parts):
    frames, instructions, skips = parts["frames"], parts["instructions"], parts["skips"]
    lines = []
    if frames:
        players = list(frames["versions"])
        lines += ["### Frames and memory", "",
                  f"An album of three tracks of odd length ({frames['album_s']:.1f} s). *Heard* leaves out digital silence at both ends; *before the "
                  "first* is what is heard before the source's first frame (negative: lost), *gaps* the frames too many at each boundary, *xruns* how "
                  "often the card ran dry before the end. " + made(frames) + f" Encoders: {frames['encoders']}.", "",
                  *frames_table(frames, players), ""]
    if instructions:
        players = list(instructions["versions"])
        lines += ["### Instructions", "",
                  f"Millions of instructions for a second of sound, of the player's whole process: callgrind's count for {instructions['long_s']:.0f} s less "
                  f"that for {instructions['short_s']:.0f} s of one track, divided by the difference. The fewest are bold; – where it cannot play it. "
                  + made(instructions), "", *instructions_table(instructions, players), ""]
    if skips:
        lines += ["### Skips", "",
                  "Tracks of FLAC. *Handed over* is when the first frame of the other track is written to ALSA, *gone* when the last frame of the old one "
                  "(its ramp included) has sounded, both counted from before the order is sent. Tonearm is pressed next and previous in turn, every "
                  f"{skips['tonearm_every_s']} s, while queue, events and media are answered late; the others next only, at a pace that leaves them time "
                  "to load the next track, their media served as late. All of them run at the same time. " + made(skips), "", *skips_table(skips["cells"]), ""]
    return "\n".join(lines)


def write(parts):
    with open(DOCUMENT, encoding="utf-8") as file:
        document = file.read()
    if BEGIN not in document or END not in document:
        raise SystemExit(f"{DOCUMENT} has no place for the tables: {BEGIN}")
    before, rest = document.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    with open(DOCUMENT, "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n\n{text(parts)}{END}{after}")
