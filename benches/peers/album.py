"""The music of the comparison: one computed signal, cut into tracks of odd length, in every codec and container.

It knows encoders and nothing of players. Nothing is copied from a recording, so everybody gets the same files.
"""

import os
import subprocess
from dataclasses import dataclass

# Frames of the tracks at 44.1 kHz: odd, so that no codec's packet ends where a track ends.
TRACKS = (132_307, 154_351, 143_009)
# Frames of the two lengths between which instructions are counted.
SHORT, LONG = 4 * 44_100 + 11, 16 * 44_100 + 11
# A chord whose notes swell at speeds of their own, and noise: tonal enough for the codecs' predictors, and never the
# same twice, so that a capture can be aligned with it.
LEFT = "0.16*sin(2*PI*220*t)*(1+sin(0.7*t))+0.12*sin(2*PI*331*t)*(1+sin(1.3*t))+0.05*sin(2*PI*1760.5*t)*(1+sin(3.1*t))"
RIGHT = "0.16*sin(2*PI*277*t)*(1+sin(0.9*t))+0.12*sin(2*PI*440.3*t)*(1+sin(1.1*t))+0.05*sin(2*PI*2217*t)*(1+sin(2.7*t))"


@dataclass(frozen=True)
class Format:
    """A codec in a container, and the command that makes it of a WAV."""

    name: str
    extension: str
    encoder: tuple
    rate: int = 44_100
    bits: int = 16
    lossless: bool = False
    # How the local service hands it out: as the file, or packaged as MPEG-DASH.
    dash: bool = False


def ffmpeg(*codec):
    return ("ffmpeg", "-v", "error", "-y", "-i", "{wav}", "-map_metadata", "-1", *codec, "{out}")


FLAC = ("flac", "--silent", "--force", "-5", "-o", "{out}", "{wav}")
FORMATS = (
    Format("FLAC 16/44.1", "flac", FLAC, lossless=True),
    Format("FLAC 24/96", "flac", FLAC, rate=96_000, bits=24, lossless=True),
    Format("MP3, LAME tag", "mp3", ("lame", "--silent", "-b", "192", "{wav}", "{out}")),
    Format("MP3, Lavc tag", "mp3", ffmpeg("-c:a", "libmp3lame", "-b:a", "192k")),
    Format("AAC, M4A", "m4a", ffmpeg("-c:a", "aac", "-b:a", "192k")),
    Format("AAC, fragmented MP4", "m4a",
           ffmpeg("-c:a", "aac", "-b:a", "192k", "-movflags", "+frag_keyframe+empty_moov+delay_moov", "-frag_duration", "2000000")),
    Format("Opus, Ogg", "opus", ffmpeg("-c:a", "libopus", "-b:a", "128k"), rate=48_000),
    Format("Vorbis, Ogg", "ogg", ("oggenc", "--quiet", "-b", "160", "-o", "{out}", "{wav}")),
    Format("ALAC, M4A", "m4a", ffmpeg("-c:a", "alac"), lossless=True),
    Format("WAV", "wav", ("cp", "{wav}", "{out}"), lossless=True),
    Format("FLAC, DASH", "flac", FLAC, lossless=True, dash=True),
    Format("Opus, DASH", "opus", ffmpeg("-c:a", "libopus", "-b:a", "128k"), rate=48_000, dash=True),
)


@dataclass
class Album:
    """Encoded tracks and what they were made of."""

    files: list
    # Frames of each track.
    frames: list
    # The samples of all tracks one after the other: raw, 32 bits, stereo.
    source: str


def run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()[-500:]}")


def signal(folder, rate, bits, frames, start=0):
    """WAV of so many frames of the signal, from frame `start` on. The same on every call."""
    wav = os.path.join(folder, f"{rate}-{bits}-{start}-{frames}.wav")
    if not os.path.exists(wav):
        tone = f"aevalsrc=exprs='{LEFT}|{RIGHT}':s={rate}"
        noise = "".join(f"anoisesrc=color=pink:seed={seed}:r={rate}:a=0.25[n{seed}];" for seed in (1, 2))
        graph = (f"{tone}[t];{noise}[n1][n2]amerge=inputs=2[n];[t][n]amix=inputs=2:normalize=0,"
                 f"atrim=start_sample={start}:end_sample={start + frames},asetpts=N/SR/TB[out]")
        codec = "pcm_s16le" if bits == 16 else "pcm_s24le"
        run("ffmpeg", "-v", "error", "-y", "-filter_complex", graph, "-map", "[out]", "-ac", "2",
            "-fflags", "+bitexact", "-flags", "+bitexact", "-c:a", codec, wav)
    return wav


def encode(form, wav, out):
    run(*[word.format(wav=wav, out=out) for word in form.encoder])


def make(form, folder, lengths=TRACKS):
    """The tracks of an album in this format; `lengths` are frames at 44.1 kHz."""
    wavs = os.path.join(folder, "wav")
    out = os.path.join(folder, form.name.replace("/", "-").replace(",", "").replace(" ", "-") + f"-{sum(lengths)}")
    os.makedirs(wavs, exist_ok=True)
    os.makedirs(out, exist_ok=True)
    frames = [length * form.rate // 44_100 | 1 for length in lengths]
    files, start, source = [], 0, os.path.join(out, "..", os.path.basename(out) + ".raw")
    with open(source, "wb") as whole:
        for number, count in enumerate(frames, 1):
            wav = signal(wavs, form.rate, form.bits, count, start)
            path = os.path.join(out, f"{number:02}.{form.extension}")
            if not os.path.exists(path):
                encode(form, wav, path)
            files.append(path)
            decoded = subprocess.run(["ffmpeg", "-v", "error", "-i", wav, "-f", "s32le", "-"], capture_output=True, check=True)
            if len(decoded.stdout) != 8 * count:
                raise RuntimeError(f"{wav} has {len(decoded.stdout) // 8} frames in place of {count}")
            whole.write(decoded.stdout)
            start += count
    return Album(files, frames, source)
