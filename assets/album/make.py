#!/usr/bin/env python3
"""Renders "Harbour Lights", the album built into the simulator, and its two injected pieces.

One continuous piece of music in five tracks: plucked strings, soft bells, a warm pad, a bass, a room. Everything is
computed here, nothing is recorded or sampled; only the spoken words of the advertisement and the interlude come from
espeak-ng. The same run gives the same samples.

Needs: Python 3 with numpy; flac, lame, ffmpeg, oggenc, espeak-ng, sox.
Run:   python3 assets/album/make.py        (writes into the folder it lies in)
"""

import os
import subprocess
import tempfile
import wave

import numpy as np

RATE = 44100
HERE = os.path.dirname(os.path.abspath(__file__))
ALBUM, ARTIST = "Harbour Lights", "The Tonearm Ensemble"
BPM = 72.0
BEAT = 60.0 / BPM
BAR = 4 * BEAT
RNG = np.random.default_rng(1887)

# Tracks are cut at bar lines of the one piece; the last one also gets the final ringing out.
TRACKS = [
    ("01-first-light", "flac", "First Light", 8),
    ("02-slow-water", "flac", "Slow Water", 8),
    ("03-rope-and-bell", "mp3", "Rope and Bell", 8),
    ("04-far-shore", "m4a", "Far Shore", 8),
    ("05-lanterns", "ogg", "Lanterns", 8),
]
BARS = sum(bars for _, _, _, bars in TRACKS)
TAIL = 5.0


def hz(midi):
    return 440.0 * 2.0 ** ((midi - 69) / 12.0)


# Chords as (bass, voicing), in D major and its neighbours; one per bar.
CHORDS = {
    "D": (38, (62, 66, 69, 73)),      # D maj7
    "Bm": (35, (62, 66, 69, 71)),     # B m7
    "G": (31, (59, 62, 66, 67)),      # G maj7
    "A": (33, (61, 64, 69, 71)),      # A add9
    "Em": (40, (62, 64, 67, 71)),     # E m7
    "F#m": (42, (61, 64, 66, 69)),    # F# m7
    "Gm": (31, (58, 62, 65, 67)),     # G m7, a shadow
    "As": (33, (62, 64, 69, 71)),     # A sus4
}
FORM = {
    "First Light": "D D Bm Bm G A As A",
    "Slow Water": "Bm F#m G D Em A G A",
    "Rope and Bell": "D A Bm G D A G A",
    "Far Shore": "G D Gm D G Em As A",
    "Lanterns": "D Bm G A D Gm As D",
}


def envelope(count, attack, release):
    curve = np.ones(count)
    a, r = min(count, int(attack * RATE)), min(count, int(release * RATE))
    if a:
        curve[:a] = 0.5 - 0.5 * np.cos(np.pi * np.arange(a) / a)
    if r:
        curve[-r:] *= 0.5 + 0.5 * np.cos(np.pi * np.arange(r) / r)
    return curve


def pluck(midi, seconds, velocity):
    """A nylon string: partials that die the faster the higher they are, with a little stiffness."""
    count = int(seconds * RATE)
    t = np.arange(count) / RATE
    base = hz(midi)
    out = np.zeros(count)
    for k in range(1, 14):
        f = base * k * np.sqrt(1.0 + 0.00012 * k * k)
        if f > 7500:
            break
        strength = abs(np.sin(np.pi * k * 0.23)) / k ** (1.55 - 0.35 * velocity)
        out += strength * np.exp(-t * (0.9 + 0.55 * k + base / 420.0)) * np.sin(2 * np.pi * f * t + 0.3 * k)
    knock = np.exp(-t * 180) * np.sin(2 * np.pi * 190 * t) * 0.12
    return (out + knock) * velocity * envelope(count, 0.004, 0.25)


def bell(midi, seconds, velocity):
    """A small bell by frequency modulation, its brightness gone before its tone."""
    count = int(seconds * RATE)
    t = np.arange(count) / RATE
    base = hz(midi)
    index = 1.6 * velocity * np.exp(-t * 3.2)
    tone = np.sin(2 * np.pi * base * t + index * np.sin(2 * np.pi * base * 3.51 * t))
    hum = 0.35 * np.sin(2 * np.pi * base * 0.5 * t)
    return (tone * np.exp(-t * 1.5) + hum * np.exp(-t * 1.0)) * velocity * envelope(count, 0.006, 0.5)


def pad(midi, seconds, velocity, wander):
    """Bowed glass: three detuned voices with few partials that swell and leave slowly."""
    count = int(seconds * RATE)
    t = np.arange(count) / RATE
    out = np.zeros(count)
    for cents, phase in ((-5, 0.0), (0, 2.1), (6, 4.2)):
        base = hz(midi + cents / 100.0)
        drift = 0.6 * np.sin(2 * np.pi * (0.11 + wander) * t + phase)
        for k, strength in ((1, 1.0), (2, 0.28), (3, 0.12), (4, 0.04)):
            out += strength * np.sin(2 * np.pi * base * k * t + k * drift + phase * k)
    return out / 3.0 * velocity * envelope(count, 1.3, 1.9)


def bass(midi, seconds, velocity):
    count = int(seconds * RATE)
    t = np.arange(count) / RATE
    base = hz(midi)
    out = np.sin(2 * np.pi * base * t) + 0.45 * np.exp(-t * 2.0) * np.sin(4 * np.pi * base * t)
    out += 0.16 * np.exp(-t * 4.0) * np.sin(6 * np.pi * base * t)
    return out * np.exp(-t * 0.55) * velocity * envelope(count, 0.012, 0.4)


class Mix:
    """Stereo, with a dry part and a part that goes into the room."""

    def __init__(self, seconds):
        self.dry = np.zeros((int(seconds * RATE) + RATE, 2))
        self.wet = np.zeros_like(self.dry)

    def add(self, sound, at, pan, gain, room):
        start = max(0, int(at * RATE))
        sound = sound[: len(self.dry) - start]
        angle = (pan + 1.0) * np.pi / 4.0
        stereo = np.stack([sound * np.cos(angle), sound * np.sin(angle)], axis=1) * gain
        self.dry[start : start + len(sound)] += stereo * (1.0 - 0.4 * room)
        self.wet[start : start + len(sound)] += stereo * room

    def master(self, seconds):
        out = self.dry + reverb(self.wet)
        return out[: int(seconds * RATE)]


def reverb(wet, seconds=2.6):
    """A room: decaying noise, darker as it decays, different left and right; convolved by Fourier transform."""
    count = int(seconds * RATE)
    t = np.arange(count) / RATE
    size = 1 << int(np.ceil(np.log2(len(wet) + count)))
    out = np.zeros_like(wet)
    for side in range(2):
        noise = RNG.standard_normal(count)
        spectrum = np.fft.rfft(noise)
        frequency = np.fft.rfftfreq(count, 1 / RATE)
        bright = np.fft.irfft(spectrum / np.sqrt(1 + (frequency / 3800) ** 4), count)
        dark = np.fft.irfft(spectrum / np.sqrt(1 + (frequency / 1100) ** 4), count)
        impulse = bright * np.exp(-t * 6.0) + dark * np.exp(-t * 2.4)
        impulse *= np.minimum(1.0, t / 0.012)
        impulse /= np.sqrt(np.sum(impulse**2))
        out[:, side] = np.fft.irfft(np.fft.rfft(wet[:, side], size) * np.fft.rfft(impulse, size), size)[: len(wet)]
    return out * 0.55


# Which string of the chord is plucked on each eighth, one pattern per mood.
PATTERNS = {
    "First Light": [0, None, 1, None, 2, None, 3, None],
    "Slow Water": [0, 2, 1, 3, 2, 1, 3, 2],
    "Rope and Bell": [0, 1, 2, 3, 2, 3, 1, 2],
    "Far Shore": [None, 3, None, 2, None, 1, 2, None],
    "Lanterns": [0, 2, 3, 2, 1, 2, 3, None],
}
# Melody per track: (bar, beat, midi, beats). Bells carry it, strings double it in "Rope and Bell".
MELODY = {
    "First Light": [(2, 0, 78, 2), (2, 2, 76, 2), (3, 0, 74, 4), (4, 0, 71, 1.5), (4, 1.5, 74, 2.5), (5, 2, 76, 2),
                    (6, 0, 76, 3), (6, 3, 74, 1), (7, 0, 73, 2), (7, 2, 76, 2)],
    "Slow Water": [(0, 0, 78, 3), (1, 0, 76, 1), (1, 1, 73, 3), (2, 0, 74, 2), (2, 2, 71, 2), (3, 0, 69, 4),
                   (4, 1, 76, 1), (4, 2, 79, 2), (5, 0, 81, 3), (6, 0, 79, 2), (6, 2, 78, 1), (6, 3, 76, 1),
                   (7, 0, 76, 2), (7, 2, 73, 2)],
    "Rope and Bell": [(0, 0, 74, 1), (0, 1, 78, 1), (0, 2, 81, 2), (1, 0, 79, 1), (1, 1, 76, 3), (2, 0, 78, 1),
                      (2, 1, 74, 1), (2, 2, 71, 2), (3, 0, 74, 1), (3, 1, 79, 1), (3, 2, 78, 2), (4, 0, 81, 2),
                      (4, 2, 86, 2), (5, 0, 85, 1), (5, 1, 81, 3), (6, 0, 79, 1), (6, 1, 78, 1), (6, 2, 74, 2),
                      (7, 0, 76, 2), (7, 2, 73, 2)],
    "Far Shore": [(0, 2, 83, 2), (1, 1, 81, 3), (2, 0, 82, 2), (2, 2, 79, 2), (3, 0, 78, 4), (4, 2, 79, 2),
                  (5, 0, 79, 2), (5, 2, 76, 2), (6, 0, 76, 4), (7, 0, 73, 4)],
    "Lanterns": [(0, 0, 81, 2), (0, 2, 78, 2), (1, 0, 74, 3), (2, 0, 79, 2), (2, 2, 78, 2), (3, 0, 76, 4),
                 (4, 0, 78, 2), (4, 2, 81, 2), (5, 0, 82, 2), (5, 2, 79, 2), (6, 0, 76, 2), (6, 2, 74, 2),
                 (7, 0, 74, 4)],
}


def piece():
    mix = Mix(BARS * BAR + TAIL)
    bar = 0
    for _, _, title, bars in TRACKS:
        chords = FORM[title].split()
        assert len(chords) == bars, title
        for n, name in enumerate(chords):
            at = (bar + n) * BAR
            root, voices = CHORDS[name]
            last = bar + n == BARS - 1
            accompany(mix, title, at, root, voices, n, last)
        for b, beat, midi, beats in MELODY[title]:
            at = (bar + b) * BAR + beat * BEAT + RNG.uniform(-0.008, 0.012)
            velocity = RNG.uniform(0.55, 0.75)
            mix.add(bell(midi, beats * BEAT + 2.2, velocity), at, 0.22, 0.105, 0.8)
            if title == "Rope and Bell":
                mix.add(pluck(midi, beats * BEAT + 1.2, velocity), at + 0.006, 0.05, 0.10, 0.35)
        bar += bars
    return mix.master(BARS * BAR + TAIL)


def accompany(mix, title, at, root, voices, n, last):
    length = BAR + (TAIL if last else 1.4)
    for k, midi in enumerate(voices):
        mix.add(pad(midi - (12 if k == 0 else 0), length, 0.55, 0.013 * k), at - 0.25, -0.6 + 0.4 * k, 0.050, 0.6)
    quiet = title == "First Light" and n < 2
    if not quiet:
        mix.add(bass(root + 12 if root < 33 else root, BAR * (1.6 if last else 0.98), 0.8), at, 0.0, 0.135, 0.12)
        if title in ("Rope and Bell", "Slow Water") and not last:
            mix.add(bass(root + 12, BEAT * 1.6, 0.5), at + 2.5 * BEAT, 0.0, 0.10, 0.12)
    for eighth, string in enumerate(PATTERNS[title]):
        if string is None or (last and eighth > 4):
            continue
        midi = voices[string] + (12 if title == "Far Shore" else 0)
        when = at + eighth * BEAT / 2 + RNG.uniform(-0.006, 0.009)
        accent = 0.72 if eighth % 4 == 0 else 0.5
        velocity = accent + RNG.uniform(-0.08, 0.08)
        mix.add(pluck(midi, 2.4, velocity), when, -0.35 + 0.2 * string, 0.135, 0.35)


def limit(samples, loudness_gain):
    """Gain, then a soft knee, so that nothing clips."""
    out = samples * loudness_gain
    return np.tanh(out * 1.05) / 1.05


def to16(samples):
    """16 bits with triangular dither, so that fades do not crumble."""
    dither = RNG.random(samples.shape) - RNG.random(samples.shape)
    return np.clip(np.round(samples * 32767.0 + 0.5 * dither), -32768, 32767).astype("<i2")


def write(path, data):
    with wave.open(path, "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(data.tobytes())


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def encode(wav, name, extension, title, number, album=ALBUM, artist=ARTIST):
    path = os.path.join(HERE, f"{name}.{extension}")
    tags = {"TITLE": title, "ARTIST": artist, "ALBUM": album, "TRACKNUMBER": str(number), "DATE": "2026",
            "GENRE": "Ambient"}
    if extension == "flac":
        pairs = [word for key, value in tags.items() for word in ("-T", f"{key}={value}")]
        run("flac", "-f", "-8", "-e", "-p", "--no-padding", "-o", path, *pairs, wav)
    elif extension == "ogg":
        pairs = [word for key, value in tags.items() for word in ("-c", f"{key}={value}")]
        run("oggenc", "-q", "4", "-s", "1", "-o", path, *pairs, wav)
    elif extension == "mp3":
        run("lame", "-V", "5", "--id3v2-only", "--tt", title, "--ta", artist, "--tl", album, "--tn", str(number),
            "--ty", "2026", wav, path)
    else:
        pairs = [word for key, value in (("title", title), ("artist", artist), ("album", album),
                 ("track", str(number)), ("date", "2026")) for word in ("-metadata", f"{key}={value}")]
        run("ffmpeg", "-y", "-i", wav, "-c:a", "aac", "-b:a", "96k", "-fflags", "+bitexact", "-movflags", "+faststart",
            *pairs, path)
    return path


def album(folder):
    music = limit(piece(), GAIN)
    fade_in = int(1.5 * RATE)
    music[:fade_in] *= (0.5 - 0.5 * np.cos(np.pi * np.arange(fade_in) / fade_in))[:, None]
    fade_out = int(4.0 * RATE)
    music[-fade_out:] *= (0.5 + 0.5 * np.cos(np.pi * np.arange(fade_out) / fade_out))[:, None]
    data = to16(music)
    start, bar = 0, 0
    for number, (name, extension, title, bars) in enumerate(TRACKS, 1):
        bar += bars
        end = len(data) if number == len(TRACKS) else int(round(bar * BAR * RATE))
        wav = os.path.join(folder, f"{name}.wav")
        write(wav, data[start:end])
        encode(wav, name, extension, title, number)
        start = end


def speech(folder, words, speed):
    raw, smooth = os.path.join(folder, "raw.wav"), os.path.join(folder, "speech.wav")
    run("espeak-ng", "-v", "en-gb+f3", "-s", str(speed), "-p", "42", "-g", "4", "-w", raw, words)
    run("sox", raw, "-r", str(RATE), "-c", "1", "-b", "16", smooth, "treble", "-5", "4500", "highpass", "110", "gain",
        "-n", "-9")
    with wave.open(smooth, "rb") as source:
        return np.frombuffer(source.readframes(source.getnframes()), "<i2").astype(float) / 32768.0


def jingle(folder, name, title, words, motif, speed):
    """A short motif, words over a soft chord, the motif again."""
    voice = speech(folder, words, speed)
    lead = 1.9
    seconds = lead + len(voice) / RATE + 2.6
    mix = Mix(seconds)
    for at, midi in motif:
        mix.add(bell(midi, 2.5, 0.7), at, 0.2, 0.16, 0.7)
        mix.add(pluck(midi - 12, 1.6, 0.6), at, -0.2, 0.16, 0.4)
        mix.add(bell(midi, 2.5, 0.5), seconds - 2.6 + at * 0.7, -0.2, 0.12, 0.8)
    for k, midi in enumerate((50, 57, 62, 66)):
        mix.add(pad(midi, seconds - 0.3, 0.5, 0.01 * k), 0.2, -0.5 + 0.33 * k, 0.042, 0.6)
    mix.add(voice, lead, 0.0, 0.62, 0.10)
    out = limit(mix.master(seconds), 2.0)
    edge = int(0.5 * RATE)
    out[-edge:] *= (0.5 + 0.5 * np.cos(np.pi * np.arange(edge) / edge))[:, None]
    wav = os.path.join(folder, f"{name}.wav")
    write(wav, to16(out))
    encode(wav, name, "mp3", title, 0, "Tonearm", "Tonearm")


# Brings the album to about -20 LUFS; found with `ffmpeg -af ebur128`.
GAIN = 1.74

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        album(scratch)
        jingle(scratch, "ad", "A word from the harbour",
               "This is a pretend advertisement, from a pretend service. It cannot be skipped, but it is short. "
               "Fresh bread, every morning, at the harbour bakery.",
               [(0.0, 74), (0.28, 78), (0.56, 81), (0.98, 86)], 150)
        jingle(scratch, "interlude", "Before the music",
               "Good evening. You are listening to Harbour Lights: five small pieces that flow into one another, "
               "without a gap.",
               [(0.0, 69), (0.5, 74), (1.0, 78)], 142)
