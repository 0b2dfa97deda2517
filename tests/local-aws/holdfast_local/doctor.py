"""Says at once everything that this machine lacks, by the name of the package that brings it.

Runs with the plain `python3` of the system, also one that is too old for the rest: no dependency, no new syntax.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
PYTHON = (3, 10)
MEMORY_GIB = 8
DISK_GIB = 12
# Where Debian keeps what only administrators are thought to need.
SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])

# What is looked for, why, and what brings it on Debian (Ubuntu) and on Fedora.
TOOLS = [
    ("cc", "links Rust programs", "build-essential", "gcc"),
    ("strip", "makes functions smaller", "binutils", "binutils"),
    ("make", "runs every command of this repository", "make", "make"),
    ("git", "versions", "git", "git"),
    ("mkfs.ext4", "file systems to back up and restore in tests", "e2fsprogs", "e2fsprogs"),
    ("e2fsck", "checks restored file systems in tests", "e2fsprogs", "e2fsprogs"),
]


class Report:
    """What was found missing, and what to install."""

    def __init__(self):
        """Start with nothing missing."""
        self.debian, self.fedora, self.other, self.problems = [], [], [], 0

    def say(self, good, what, how=""):
        """Write one line."""
        print("  {}  {}{}".format("ok     " if good else "MISSING", what, " - " + how if how else ""))
        self.problems += not good

    def install(self, debian, fedora):
        """Remember the packages."""
        self.debian.append(debian)
        self.fedora.append(fedora)


def main():
    """Look at everything, then tell how to get what is missing. Gives the exit code."""
    report = Report()
    print("What Holdfast needs on this machine:")
    if platform.system() != "Linux":
        report.say(False, "Linux", f"the local stack reads /proc; this is {platform.system()}")
    check_python(report)
    check_rust(report)
    for tool, why, debian, fedora in TOOLS:
        found = shutil.which(tool, path=SEARCH_PATH)
        report.say(found, tool, found or why)
        if not found:
            report.install(debian, fedora)
    check_size(report)
    if not report.problems:
        print("Nothing is missing.")
        return 0
    print("\nTo get what is missing:")
    if report.debian:
        print("  Debian, Ubuntu:  sudo apt install {}".format(" ".join(sorted(set(report.debian)))))
        print("  Fedora:          sudo dnf install {}".format(" ".join(sorted(set(report.fedora)))))
    for step in report.other:
        print(f"  then:            {step}")
    return 1


def check_python(report):
    """Look for a Python that is new enough and can make virtual environments."""
    version = ".".join(map(str, sys.version_info[:3]))
    new_enough = sys.version_info[:2] >= PYTHON
    report.say(new_enough, "python3 {}.{} or newer".format(*PYTHON), f"this is {version}")
    if not new_enough:
        report.install("python3", "python3")
    try:
        import ensurepip
        import venv

        complete = bool(ensurepip.version() and venv)
    except ImportError:
        complete = False
    report.say(complete, "python3's venv module", "" if complete else "makes .venv")
    if not complete:
        report.install("python3-venv", "python3")


def check_rust(report):
    """Look for a Rust that is as new as the workspace asks for, and for the test runner."""
    wanted = rust_version()
    found = output_of("rustc", "--version")
    version = re.search(r"(\d+)\.(\d+)", found or "")
    new_enough = bool(version) and tuple(map(int, version.groups())) >= tuple(map(int, wanted.split(".")[:2]))
    report.say(new_enough, f"rustc {wanted} or newer", found or "compiles the functions")
    cargo = output_of("cargo", "--version")
    report.say(cargo, "cargo", cargo or "builds the functions")
    if not new_enough or not cargo:
        if not shutil.which("rustup"):
            report.install("rustup", "rustup")
        report.other.append(f"rustup toolchain install {wanted} && rustup default {wanted}")
    nextest = output_of("cargo-nextest", "--version")
    report.say(nextest, "cargo-nextest", (nextest or "runs the tests").splitlines()[0])
    if not nextest:
        report.other.append("cargo install --locked cargo-nextest")


def rust_version():
    """Give the Rust version that the repository asks for."""
    toolchain = REPOSITORY / "rust-toolchain.toml"
    for path, key in ((toolchain, "channel"), (REPOSITORY / "Cargo.toml", "rust-version")):
        if path.exists():
            found = re.search(rf'^{key} = "([\d.]+)"', path.read_text(), re.MULTILINE)
            if found:
                return found.group(1)
    raise SystemExit("Cargo.toml names no rust-version")


def check_size(report):
    """Look at memory and disk; the client of EC2 is big."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    free = shutil.disk_usage(str(REPOSITORY)).free / 2**30
    # A machine sold with 8 GB shows a little less.
    report.say(memory > MEMORY_GIB * 0.85, f"{MEMORY_GIB} GiB of memory", f"{memory:.1f} GiB")
    built = (REPOSITORY / "target").exists()
    report.say(built or free > DISK_GIB, f"{DISK_GIB} GiB of disk for a first build", f"{free:.0f} GiB free")


def output_of(*command):
    """Give what a command prints; nothing when it is not there or fails."""
    try:
        ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ended.stdout.decode(errors="replace").strip() if ended.returncode == 0 else ""


if __name__ == "__main__":
    sys.exit(main())
