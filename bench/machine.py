"""What the benchmarks share: building, servers as processes, and the machine's accounts.

This file uses the standard library only.
"""

import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
WORK = TARGET / "bench"


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def cargo(arguments, target):
    command = ["cargo", "build", "--release", "--locked", "--quiet", *arguments]
    subprocess.run(command, check=True, env={**os.environ, "CARGO_TARGET_DIR": str(target)})


def environment():
    """Python with the pinned packages; made anew when the pins change."""
    folder = WORK / "venv"
    python = folder / "bin" / "python"
    pins = (BENCH / "requirements.txt").read_text()
    stamp = folder / "pins.txt"
    if not stamp.exists() or stamp.read_text() != pins:
        say("installing the peers (FastAPI, uvicorn, ONNX Runtime, scikit-learn, pandas, polars, XGBoost)")
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(BENCH / "requirements.txt")], check=True)
        stamp.write_text(pins)
    return python


def made(python, script, folder, *arguments):
    """What a script of ours makes in a folder; made anew when the script or the pins change."""
    stamp = folder / "made_by.txt"
    wanted = script.read_text() + (BENCH / "requirements.txt").read_text() + repr(arguments)
    if not stamp.exists() or stamp.read_text() != wanted:
        say(f"making {folder.name} by {script.name}")
        subprocess.run([str(part) for part in (python, script, folder, *arguments)], check=True)
        stamp.write_text(wanted)
    return folder


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


# --- the machine's accounts ---------------------------------------------------


def tree(root):
    """A process and all its descendants."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path("/proc", entry, "stat").read_text()
            except OSError:
                continue  # ended while we looked
            parents[int(entry)] = int(stat.rsplit(")", 1)[1].split()[1])
    found = [root]
    for pid in found:
        found.extend(child for child, parent in parents.items() if parent == pid)
    return found


def cpu_seconds(pids):
    """User and system time of processes, with their ended children.

    /proc/PID/stat counts in ticks of 10 ms; the process's own clock, which is
    the same account (all threads, ended ones too), counts in nanoseconds.
    """
    tick = os.sysconf("SC_CLK_TCK")
    total = 0.0
    for pid in pids:
        fields = Path("/proc", str(pid), "stat").read_text().rsplit(")", 1)[1].split()
        total += (int(fields[13]) + int(fields[14])) / tick  # cutime, cstime
        total += time.clock_gettime((~pid << 3) | 2)  # CPUCLOCK_SCHED of the process
    return total


def memory_mib(pids):
    """Proportional set size: shared pages are counted once among their users."""
    total = 0
    for pid in pids:
        for line in Path("/proc", str(pid), "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024


# --- servers ------------------------------------------------------------------


class Server:
    """A running server as a process: its address and its accounts."""

    def __init__(self, command, log, **more):
        self.log = log
        self.begun = time.monotonic()
        with open(log, "wb") as file:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                **more,
            )
        self.base = self.listening()

    def listening(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for line in self.log.read_text(errors="replace").splitlines():
                if "listening on http://" in line:
                    return "http://" + line.split("listening on http://", 1)[1].split()[0].strip("/\"',}")
            if self.process.poll() is not None:
                break
            time.sleep(0.005)
        self.stop()
        raise SystemExit(f"bench: {self.process.args[0]} did not start:\n{self.log.read_text()}")

    def pids(self):
        return tree(self.process.pid)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
