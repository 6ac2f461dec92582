"""The players that are compared: how each is started on a list of files, told to play and to skip, and ended.

Every one plays through the card it is given, from HTTP on this machine, alone in its process. Nothing is judged here.
"""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
# A start under valgrind on a busy machine takes so long.
PATIENCE_S = 180
# The next tracks are loaded by then.
SETTLE_S = 6


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(what, look):
    """Waits until `look` gives something true, and gives it back."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            found = look()
        except OSError:
            found = None
        if found:
            return found
        time.sleep(0.02)
    raise RuntimeError(f"waited in vain for {what}")


def get(address):
    with urllib.request.urlopen(address, timeout=10) as answer:
        return json.load(answer)


def post(address, body=b""):
    urllib.request.urlopen(urllib.request.Request(address, data=body, method="POST"), timeout=10).close()


class Player:
    """One run of one player. `wrap` is a command that its process is started by, valgrind for one."""

    name = program = None

    def __init__(self, folder, card, files, latency_ms=0, wrap=(), dash=False):
        os.makedirs(folder, exist_ok=True)
        self.folder, self.card, self.wrap, self.dash = folder, card, list(wrap), dash
        self.latency_ms, self.others, self.process, self.peak_kib = latency_ms, [], None, 0
        try:
            self.started(files)
        except BaseException:
            self.end()
            raise

    @classmethod
    def version(cls):
        """None where it is not installed."""
        if not shutil.which(cls.program):
            return None
        said = subprocess.run([cls.program, "--version"], capture_output=True, text=True)
        found = re.search(r"\d+\.\d+[\d.]*", said.stdout + said.stderr)
        return found[0] if found else "?"

    @classmethod
    def plays(cls, form):
        return not form.dash

    def start(self, command, measured=True):
        with open(os.path.join(self.folder, f"{os.path.basename(command[0])}-{len(self.others)}.log"), "wb") as log:
            wrap = self.wrap if measured else []
            process = subprocess.Popen(wrap + command, cwd=self.folder, env=self.card.environment(), stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log)
        if measured:
            self.process = process
        else:
            self.others.append(process)

    def serve(self, files):
        """Starts the media server; the addresses of the files."""
        port = free_port()
        server = [sys.executable, os.path.join(HERE, "server.py"), os.path.dirname(files[0]), str(port), str(self.latency_ms)]
        self.start(server, measured=False)
        self.until("the media server", lambda: socket.create_connection(("127.0.0.1", port)).close() or True)
        return [f"http://127.0.0.1:{port}/{number}/{os.path.basename(file)}" for number, file in enumerate(files)]

    def until(self, what, look):
        """As `until`, but does not wait for a program that has ended."""
        def alive():
            for process in [self.process, *self.others]:
                if process and process.poll() is not None:
                    raise RuntimeError(f"{process.args[0]} ended ({process.returncode}) before {what}; see {self.folder}")
            return look()
        return until(what, alive)

    def look(self):
        """Notes the memory; false when the program has ended."""
        try:
            with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as status:
                peak = re.search(r"VmHWM:\s+(\d+)", status.read())
            self.peak_kib = int(peak[1]) if peak else self.peak_kib
        except (FileNotFoundError, ProcessLookupError):
            pass
        return self.process.poll() is None

    def heard(self, frames, rate):
        """Waits until so many frames were heard, and no more come."""
        end = time.monotonic() + 2 * frames / rate + PATIENCE_S
        before, since = 0, time.monotonic()
        while self.look() and time.monotonic() < end:
            now = self.card.frames()
            if now != before:
                before, since = now, time.monotonic()
            # Under valgrind a start takes long; then a second of nothing is the end.
            if now and time.monotonic() - since > (1 if now >= frames * 0.95 else 10):
                return
            time.sleep(0.05)

    def end(self):
        self.look()
        for process in [self.process, *self.others]:
            if process and process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in [self.process, *self.others]:
            try:
                process and process.wait(60 if self.wrap else 15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def settle(self):
        """Waits until what may be skipped to had time to be loaded."""
        self.until("the music", self.card.frames)
        time.sleep(SETTLE_S)

    def skip(self, number):
        """Presses "next", for the time of this number."""
        raise NotImplementedError


class Tonearm(Player):
    name = "Tonearm"
    program = os.path.join(os.path.dirname(os.path.dirname(HERE)), "target", "release", "tonearm")

    @classmethod
    def plays(cls, form):
        return True

    def started(self, files):
        music = os.path.join(self.folder, "music", "album")
        os.makedirs(music)
        for file in files:
            os.link(file, os.path.join(music, os.path.basename(file)))
        service, self.page = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        self.service = f"http://{service}"
        self.start([self.program, "simulator", "--listen", service, "--music", os.path.dirname(music), "--state", "simulator",
                    "--media", "dash" if self.dash else "file"], measured=False)
        album = self.until("the service", lambda: get(f"{self.service}/sim/music"))["entities"][0]["id"]
        state = os.path.join(self.folder, "state")
        os.makedirs(state)
        texts = {
            "tonearm.toml": f'[service]\nbase_url = "{self.service}"\n[state]\ndir = "state"\n[board]\nfile = "board.toml"\n'
                            f'[page]\nlisten = "{self.page}"\n[sound]\nchimes = false\n'
                            f'[[preset]]\nname = "album"\ncontainer_ids = ["{album}"]\n',
            # The card by its own name: then it is asked what it can do.
            "board.toml": 'name = "bench"\n[output]\npcm = "hw:CARD=sink"\n',
            "state/session.json": '{"volume": 100}',
        }
        for name, text in texts.items():
            with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
                file.write(text)
        self.start([self.program, "run", "--config", "tonearm.toml"])
        self.until("the speaker's page", lambda: get(f"http://{self.page}/api/status"))
        post(f"http://{self.page}/api/press/preset_1")

    def settle(self):
        super().settle()
        for scope in ("queue", "events", "media") if self.latency_ms else ():
            fault = {"scope": scope, "kind": "delay", "ms": self.latency_ms}
            post(f"{self.service}/sim/faults", json.dumps(fault).encode())
        host, port = self.page.split(":")
        self.listener = http.client.HTTPConnection(host, int(port), timeout=10)
        self.listener.connect()

    def skip(self, number):
        # To and fro, within what is loaded.
        self.listener.request("POST", f"/api/press/{'previous' if number % 2 else 'next'}")
        self.listener.getresponse().read()


class Mpd(Player):
    name, program = "MPD", "mpd"

    def started(self, files):
        port = free_port()
        path = os.path.join(self.folder, "mpd.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'bind_to_address "127.0.0.1"\nport "{port}"\nlog_file "{self.folder}/mpd.log"\n'
                       'audio_output {\n type "alsa"\n name "card"\n device "sink"\n mixer_type "none"\n'
                       ' auto_resample "no"\n auto_format "no"\n auto_channels "no"\n}\n')
        urls = self.serve(files)
        self.start(["mpd", "--no-daemon", path])
        self.socket = self.until("MPD", lambda: socket.create_connection(("127.0.0.1", port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.lines = self.socket.makefile("r", encoding="utf-8")
        self.lines.readline()
        for url in urls:
            self.ask(f'add "{url}"')
        self.ask("play")

    def ask(self, order):
        self.socket.sendall(f"{order}\n".encode())
        while not (line := self.lines.readline()).startswith("OK"):
            if line.startswith("ACK") or not line:
                raise RuntimeError(f"MPD refuses {order}: {line.strip()}")

    def skip(self, number):
        self.ask("next")


class Mpv(Player):
    name, program = "mpv", "mpv"

    def started(self, files):
        ipc = os.path.join(self.folder, "ipc")
        self.start(["mpv", "--no-config", "--no-video", "--no-terminal", "--ao=alsa", "--audio-device=alsa/sink", "--gapless-audio=yes",
                    "--prefetch-playlist=yes", f"--input-ipc-server={ipc}", *self.serve(files)])
        self.ipc = ipc
        self.socket = None

    def skip(self, number):
        if not self.socket:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(self.ipc)
        self.socket.sendall(b'{"command": ["playlist-next", "force"]}\n')


class Mpg123(Player):
    name, program = "mpg123", "mpg123"

    @classmethod
    def plays(cls, form):
        return form.extension == "mp3"

    def started(self, files):
        self.start(["mpg123", "--quiet", "-o", "alsa", "-a", "sink", *self.serve(files)])


PLAYERS = (Tonearm, Mpd, Mpv, Mpg123)
