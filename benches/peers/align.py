"""Where a capture stands against its source: frames, gaps, bits. It knows neither players nor files."""

from dataclasses import dataclass
from operator import mul

# Frames that are compared at each end of a track, and how far they are looked for to both sides. A decoder that leaves
# the silence of encoder and padding in is off by up to 3,000 per track.
WINDOW, REACH = 1_024, 6_000
# Away from the boundary: what lossy codecs make of the first and last frames is not the source.
MARGIN = 1_500
# Below this share of what is possible, the window was not found at all.
LIKENESS = 0.6


@dataclass
class Finding:
    """What a capture of an album is."""

    # Frames, without digital silence at both ends, which drivers fill their last period with.
    frames: int
    # Frames too many (or, negative, too few) at each boundary; None where the music is not found.
    gaps: list
    # Frames heard before the source's first one (or, negative, lost of its beginning).
    lead: object
    # Every sample is the source's; None for lossy codecs.
    exact: object


def sound(left, right):
    """Where the sound begins and ends."""
    first, last = 0, len(left)
    while first < last and left[first] == 0 and right[first] == 0:
        first += 1
    while last > first and left[last - 1] == 0 and right[last - 1] == 0:
        last -= 1
    return first, last


def place(source, capture, at, guess):
    """By how much the capture is later than the source around frame `at`, looked for around `guess`."""
    wanted = source[at : at + WINDOW]
    energy = sum(map(mul, wanted, wanted))
    low = max(0, at + guess - REACH)
    best, found = 0.0, None
    squares = None
    for start in range(low, min(len(capture) - WINDOW, at + guess + REACH) + 1):
        if squares is None:
            squares = sum(value * value for value in capture[start : start + WINDOW])
        else:
            squares += capture[start + WINDOW - 1] ** 2 - capture[start - 1] ** 2
        if squares <= 0:
            continue
        product = sum(map(mul, wanted, capture[start : start + WINDOW]))
        likeness = product / (energy * squares) ** 0.5
        if likeness > best:
            best, found = likeness, start - at
    return found if best >= LIKENESS else None


def compare(source, capture, tracks, lossless):
    """`source` and `capture` are pairs of left and right; `tracks` the frames of each track."""
    # The source itself may begin and end with a frame of silence.
    begins, stops = sound(*source)
    first, last = sound(*capture)
    frames = last - first + len(source[0]) - (stops - begins)
    exact = None
    if lossless:
        exact = all(heard[first:last] == wanted[begins:stops] for heard, wanted in zip(capture, source))
    if exact:
        return Finding(frames, [0] * (len(tracks) - 1), 0, True)
    # Sums of 1,024 products of 16 bits stay exact and quick.
    wanted = [sample / 65536 for sample in source[0]]
    heard = [sample / 65536 for sample in capture[0]]
    ends, start, guess = [], 0, first - begins
    for length in tracks:
        begin = place(wanted, heard, start + MARGIN, guess)
        end = place(wanted, heard, start + length - MARGIN - WINDOW, guess if begin is None else begin)
        guess = end if end is not None else guess
        ends.append((begin, end))
        start += length
    gaps = []
    for (_, end), (begin, _) in zip(ends, ends[1:]):
        gaps.append(None if end is None or begin is None else begin - end)
    lead = None if ends[0][0] is None else ends[0][0] - (first - begins)
    return Finding(frames, gaps, lead, exact)
