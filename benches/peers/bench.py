"""Plays the same music through Tonearm and its peers and writes down what a card hears and what it costs.

    bench.py [frames] [instructions] [skips] [table]      all of them, in this order, where none is named

Results are kept in target/bench-audio/PART.json, so that a part can be measured again; QUICK=1 measures less, PLAYERS="MPD mpv"
measures these again and keeps what is known of the others.
A player that is missing, or cannot play a format, is named in the tables.
"""

import datetime
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import album
import align
import skips
import table
from card import ROOT, Card, build, planes
from players import PLAYERS, Tonearm

WORK = os.path.join(ROOT, "target", "bench-audio")
QUICK = os.environ.get("QUICK") == "1"
ONLY = os.environ.get("PLAYERS", "").split()
# Formats of a short run: one lossless, one lossy with a tag that not everybody reads, one that has an edit list.
QUICK_FORMATS = ("FLAC 16/44.1", "MP3, Lavc tag", "AAC, M4A")
# Instructions do not depend on what else runs, so several are counted at a time.
AT_A_TIME = os.cpu_count() or 1
LATENCIES_MS = (0, 300, 3000)
TONEARM_EVERY_S, TONEARM_SKIPS, PEER_SKIPS = 0.5, 200, 30


def formats():
    return [form for form in album.FORMATS if not QUICK or form.name in QUICK_FORMATS]


def players():
    return [player for player in PLAYERS if player.version() and (not ONLY or player.name in ONLY)]


def folder_of(*names):
    """An empty folder for a run."""
    folder = os.path.join(WORK, "runs", "-".join(re.sub(r"\W+", "-", str(name)) for name in names))
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    return folder


def play(player, form, made, library, wrap=()):
    """Plays the files to their end; the card, and the most memory it took in KiB."""
    folder = folder_of(player.name, form.name, len(made.files), sum(made.frames), bool(wrap))
    card = Card(library, folder)
    running = player(folder, card, made.files, wrap=wrap, dash=form.dash)
    try:
        running.heard(sum(made.frames), form.rate)
    finally:
        running.end()
    return card, running.peak_kib


def frames(results, save, library):
    """What the card hears of an album."""
    found = results.setdefault("formats", {})
    results["album_s"] = sum(album.TRACKS) / 44_100
    for form in formats():
        made = album.make(form, os.path.join(WORK, "music"))
        expected = sum(made.frames)
        with open(made.source, "rb") as file:
            source = planes(file.read(), "S32_LE")
        cells = found.setdefault(form.name, {})
        for player in players():
            if not player.plays(form):
                continue
            try:
                card, peak_kib = play(player, form, made, library)
                if not card.frames():
                    raise RuntimeError("nothing was heard")
                rate = int(card.agreed()["rate"])
                if rate != form.rate:
                    raise RuntimeError(f"played at {rate} Hz")
                heard = align.compare(source, card.left_right(), made.frames, form.lossless)
                cells[player.name] = {"expected": expected, "heard": heard.frames, "gaps": heard.gaps, "lead": heard.lead,
                                      "exact": heard.exact, "xruns": card.xruns(), "peak_kib": peak_kib}
            except (RuntimeError, OSError) as error:
                cells[player.name] = {"expected": expected, "failed": str(error)}
            save()
            print(f"{form.name}, {player.name}: {cells[player.name]}", flush=True)


def instructions(results, save, library):
    """Instructions for a second of sound."""
    if not shutil.which("valgrind"):
        print("no instructions are counted: valgrind is missing (scripts/setup.sh bench installs it)")
        return
    results["short_s"], results["long_s"] = album.SHORT / 44_100, album.LONG / 44_100
    made = {(form.name, length): album.make(form, os.path.join(WORK, "music"), (length,))
            for form in formats() for length in (album.SHORT, album.LONG)}

    def count(player, form, length):
        log = os.path.join(WORK, f"valgrind-{os.getpid()}-{player.name}-{re.sub(r'[^A-Za-z0-9]+', '-', form.name)}-{length}.log")
        wrap = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", f"--log-file={log}")
        one = made[form.name, length]
        card, _ = play(player, form, one, library, wrap)
        with open(log, encoding="utf-8") as file:
            collected = re.findall(r"Collected : (\d+)", file.read())
        os.remove(log)
        if not collected or card.frames() < sum(one.frames) * 0.99:
            raise RuntimeError(f"heard {card.frames()} of {sum(one.frames)} frames under valgrind")
        return int(collected[-1])

    def cost(player, form):
        try:
            short, long = (count(player, form, length) for length in (album.SHORT, album.LONG))
            return (long - short) / ((album.LONG - album.SHORT) / 44_100)
        except (RuntimeError, OSError) as error:
            return str(error)

    found = results.setdefault("formats", {})
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        waiting = [(form.name, player.name, pool.submit(cost, player, form))
                   for form in formats() for player in players() if player.plays(form)]
        for form, player, one in waiting:
            found.setdefault(form, {})[player] = one.result()
            save()
            print(f"{form}, {player}: {one.result()} instructions a second", flush=True)


def time_skips(results, save, library):
    """How long a skip takes. The players run at the same time, so that the machine is the same for each; none of them is busy."""
    files = skips.album(os.path.join(WORK, "music", "skips"))
    results["tonearm_every_s"] = TONEARM_EVERY_S
    found = results.setdefault("cells", [])
    found[:] = [cell for cell in found if ONLY and cell["player"] not in ONLY]

    def pressed(player, latency_ms):
        is_ours = player is Tonearm
        every_s = TONEARM_EVERY_S if is_ours else 1.5 + 1.5 * latency_ms / 1000
        count = (TONEARM_SKIPS if is_ours else PEER_SKIPS) // (5 if QUICK else 1)
        listed = files if is_ours else files * (count // len(files) + 2)
        folder = folder_of("skips", player.name, latency_ms)
        card = Card(library, folder)
        running = player(folder, card, listed, latency_ms=latency_ms)
        try:
            return card, skips.press(running, count, every_s), every_s
        finally:
            running.end()

    # mpg123 has no order for it that a program could give while a list plays.
    asked = [player for player in players() if player.name != "mpg123"]
    for latency_ms in LATENCIES_MS:
        with ThreadPoolExecutor(len(PLAYERS)) as pool:
            runs = [(player.name, pool.submit(pressed, player, latency_ms)) for player in asked]
        for player, run in runs:
            found.append({"player": player, "latency_ms": latency_ms, "found": skips.measure(*run.result())})
            save()
            print("\n".join(table.skips_table(found[-1:])[2:]), flush=True)


def about(results):
    def version(*command):
        said = subprocess.run(command, capture_output=True, text=True)
        return (said.stdout + said.stderr).strip().splitlines()[0]

    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    results["date"] = datetime.date.today().isoformat()
    results["machine"] = f"{os.cpu_count()} × {model[1].strip() if model else platform.machine()}, Linux {platform.release()}"
    results["load"] = " ".join(f"{load:.1f}" for load in os.getloadavg())
    results["versions"] = {player.name: player.version() for player in PLAYERS}
    encoders = (version("flac", "--version"), version("lame", "--version"), version("oggenc", "--version"), version("ffmpeg", "-version"))
    results["encoders"] = "; ".join(re.sub(r"\s*(Copyright|\().*", "", encoder) for encoder in encoders)


def main():
    parts = sys.argv[1:] or ["frames", "instructions", "skips", "table"]
    os.makedirs(WORK, exist_ok=True)
    lacking = [tool for tool in ("ffmpeg", "flac", "lame", "oggenc", "cc") if not shutil.which(tool)]
    if lacking:
        raise SystemExit(f"missing: {', '.join(lacking)}; scripts/setup.sh bench installs them")
    if parts != ["table"] and not Tonearm.version():
        raise SystemExit(f"{Tonearm.program} is not built: cargo build --release")
    for player in PLAYERS:
        if not player.version():
            print(f"{player.name} is not installed and is left out; scripts/setup.sh bench installs it")
    library = build(WORK)
    known = {}
    for part, measure in (("frames", frames), ("instructions", instructions), ("skips", time_skips)):
        path = os.path.join(WORK, f"{part}.json")
        results = {}
        # A part that is not measured, or not for everybody, is as it was.
        if os.path.exists(path) and (part not in parts or ONLY):
            with open(path, encoding="utf-8") as file:
                results = json.load(file)
        if part in parts:
            about(results)
            # After each figure, so that a run that is broken off leaves what it has.
            measure(results, lambda: save_as(path, results), library)
        known[part] = results
    if "table" in parts:
        table.write(known)


def save_as(path, results):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
