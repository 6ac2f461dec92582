"""How long a skip takes, from the card's log and what it heard alone: no player is believed.

Every track has a number of its own in all samples of the left channel, and noise in the right one. So each frame that
was heard says which track it is of.
"""

import array
import os
import random
import struct
import subprocess
import time
from bisect import bisect_right

RATE, SECONDS, TRACKS = 44_100, 24, 8
# So many equal frames are a track; a ramp passes every value for a frame or two.
STEADY = 48
STEP = 1_009


def album(folder):
    """FLAC files of TRACKS tracks."""
    os.makedirs(folder, exist_ok=True)
    files = []
    for number in range(1, TRACKS + 1):
        path = os.path.join(folder, f"{number:02}.flac")
        if not os.path.exists(path):
            noise = random.Random(number)
            samples = array.array("h", bytes(4 * RATE * SECONDS))
            samples[0::2] = array.array("h", [number * STEP]) * (RATE * SECONDS)
            samples[1::2] = array.array("h", noise.randbytes(2 * RATE * SECONDS))
            data = samples.tobytes()
            wav = path + ".wav"
            with open(wav, "wb") as file:
                file.write(b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt "
                           + struct.pack("<IHHIIHH", 16, 1, 2, RATE, 4 * RATE, 4, 16) + b"data" + struct.pack("<I", len(data)) + data)
            subprocess.run(["flac", "--silent", "--force", "-o", path, wav], check=True)
            os.remove(wav)
        files.append(path)
    return files


def press(player, count, every_s):
    """Presses so often; the nanoseconds of each."""
    player.settle()
    pressed = []
    for number in range(count):
        pressed.append(time.monotonic_ns())
        player.skip(number)
        time.sleep(max(0, every_s - (time.monotonic_ns() - pressed[-1]) / 1e9))
    return pressed


class Story:
    """What was heard when, and when it was handed over."""

    def __init__(self, card):
        self.left, _ = card.left_right()
        self.rate = int(card.agreed()["rate"])
        # Per run of the card: first frame, when it sounded, and (when, frames handed over up to then).
        self.runs = []
        writes, handed = [], 0
        for at, what, values in card.log():
            if what == "WRITE":
                handed += int(values["frames"])
                writes.append((at, handed))
            elif what == "START":
                self.runs.append((int(values["at"]), at, writes))
            elif what in ("STOP", "XRUN", "HW", "CLOSE"):
                writes, handed = [], 0
        self.starts = [first for first, _, _ in self.runs]

    def run_of(self, frame):
        return self.runs[bisect_right(self.starts, frame) - 1]

    def heard_at(self, frame):
        first, at, _ = self.run_of(frame)
        return at + (frame - first) * 1e9 / self.rate

    def handed_at(self, frame):
        first, _, writes = self.run_of(frame)
        return next((at for at, handed in writes if handed > frame - first), None)

    def frame_at(self, ns):
        """The first frame that was heard after this moment."""
        low, high = 0, len(self.left)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.heard_at(middle) <= ns else (low, middle)
        return low

    def track(self, frame):
        """The number of the track from this frame on; None in a ramp, silence, or between."""
        value = self.left[frame] if frame < len(self.left) else 0
        number, rest = divmod(value >> 16, STEP)
        is_steady = rest == 0 and 1 <= number <= TRACKS and self.left[frame : frame + STEADY].count(value) == STEADY
        return number if is_steady else None

    def skip(self, pressed, next_press):
        """Milliseconds until the new sound is handed over, until the old one is gone; None where none came."""
        at = self.frame_at(pressed)
        back = at - 1
        while back > 0 and self.track(back - STEADY) is None:
            back -= 1
        old = self.track(back - STEADY)
        frame, last_old = at, at - 1
        end = self.frame_at(next_press)
        while frame < end:
            track = self.track(frame)
            if track is not None and track != old:
                handed = self.handed_at(frame)
                gone = max(pressed, self.heard_at(last_old) + 1e9 / self.rate)
                return (handed - pressed) / 1e6, (gone - pressed) / 1e6
            # The ramp down is old sound as well.
            last_old = frame if self.left[frame] else last_old
            frame += 1
        return None


def measure(card, pressed, every_s):
    """(handed, gone) of every press, in milliseconds; presses that nothing came of are None."""
    story = Story(card)
    following = [*pressed[1:], pressed[-1] + int(every_s * 1e9)]
    return [story.skip(now, later) for now, later in zip(pressed, following)]
