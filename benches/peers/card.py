"""The card of tests/alsa: building it, naming it to ALSA, reading what it heard and when. It knows no player."""

import array
import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SOURCE = os.path.join(ROOT, "tests", "alsa", "pcm_tonearm_sink.c")


def build(folder):
    """The plugin, built into `folder`."""
    library = os.path.join(folder, "libasound_module_pcm_tonearm_sink.so")
    done = subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, SOURCE, "-lasound"], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"the card needs a C compiler and libasound2-dev (scripts/setup.sh bench):\n{done.stderr}")
    return library


class Card:
    """One card for one run of one player: its files are in `folder`."""

    def __init__(self, library, folder):
        self.out = os.path.join(folder, "card")
        self.configuration = os.path.join(folder, "asound.conf")
        card = f'type tonearm_sink out "{self.out}"'
        with open(self.configuration, "w", encoding="utf-8") as file:
            file.write(f'pcm_type.tonearm_sink {{ lib "{library}" }}\npcm.sink {{ {card} }}\n'
                       f"pcm.hw {{ @args [ CARD ] @args.CARD {{ type string }} {card} }}\n")

    def environment(self):
        return dict(os.environ, ALSA_CONFIG_PATH=self.configuration)

    def log(self):
        """Lines as (nanoseconds, what, {name: value})."""
        try:
            with open(self.out + ".log", encoding="utf-8") as file:
                text = file.read()
        except FileNotFoundError:
            return []
        lines = []
        for line in text[: text.rfind("\n") + 1].splitlines():
            at, what, *words = line.split(" ")
            lines.append((int(at), what, dict(word.split("=", 1) for word in words if "=" in word)))
        return lines

    def xruns(self):
        """How often it ran dry before the last frame; some let it run dry behind that one."""
        heard = self.frames()
        return sum(what == "XRUN" and int(values["at"]) < heard for _, what, values in self.log())

    def agreed(self):
        """What the last opening agreed on: rate, format, period, buffer."""
        return [values for _, what, values in self.log() if what == "HW"][-1]

    def frames(self):
        """Frames heard so far."""
        formats = [values["format"] for _, what, values in self.log() if what == "HW"]
        if not formats or not os.path.exists(self.out + ".raw"):
            return 0
        return os.path.getsize(self.out + ".raw") // (2 * WIDTH[formats[-1]])

    def left_right(self):
        """What was heard: left and right, in the upper bits of 32, as arrays."""
        with open(self.out + ".raw", "rb") as file:
            return planes(file.read(), self.agreed()["format"])


WIDTH = {"S16_LE": 2, "S24_3LE": 3, "S24_LE": 4, "S32_LE": 4}


def planes(data, form):
    """Interleaved samples of a format as left and right."""
    if form == "S24_3LE":
        wide = bytearray(len(data) // 3 * 4)
        for byte in range(3):
            wide[byte + 1 :: 4] = data[byte::3]
        data, form = bytes(wide), "S32_LE"
    samples = array.array("h" if form == "S16_LE" else "i")
    samples.frombytes(data[: len(data) // (2 * WIDTH[form]) * 2 * WIDTH[form]])
    shift = {"S16_LE": 16, "S24_LE": 8, "S32_LE": 0}[form]
    if shift:
        top = 1 << 31
        samples = array.array("i", [((sample << shift) + top & 0xFFFFFFFF) - top for sample in samples])
    return samples[0::2], samples[1::2]
