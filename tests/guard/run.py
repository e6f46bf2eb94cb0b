# SPDX-License-Identifier: MIT
"""Runs a case of guard_program and judges what it says and how it ends.

    run.py PROGRAM CASE
"""
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

PROGRAM = sys.argv[1]
CASE = sys.argv[2]

# How the faults end: the words of the first line, the signal, what the second line says of the place,
# and who freed the block, if anybody had.
FAULTS = {
    "behind": ("access behind a block", signal.SIGSEGV, "8 bytes behind", False),
    "before": ("access before a block", signal.SIGSEGV, "1 bytes before", False),
    "after_free": ("access after free", signal.SIGSEGV, "3 bytes into", True),
    "written_after_free": ("access after free", signal.SIGSEGV, "0 bytes into", True),
    "far_behind": ("access behind a block", signal.SIGSEGV, "108 bytes behind", False),
    "double_free": ("double free", signal.SIGABRT, "0 bytes into", True),
    "interior_free": ("free of a pointer that is no block", signal.SIGABRT, "16 bytes into", False),
    "stray_write": ("a block was written beyond its end or before its start", signal.SIGABRT,
                    "0 bytes behind", False),
    "stray_write_before": ("a block was written beyond its end or before its start",
                           signal.SIGABRT, "1 bytes before", False),
    "handler_once": ("access behind a block", signal.SIGSEGV, "8 bytes behind", False),
    "default_handler": ("access behind a block", signal.SIGSEGV, "8 bytes behind", False),
}


def must(holds, what):
    if not holds:
        print(f"does not hold: {what}")
        sys.exit(1)


def run(conf):
    return subprocess.run([PROGRAM, CASE], env=dict(os.environ, POOLALLOC_CONF=conf), text=True,
                          capture_output=True, check=False, timeout=250)


def check_report(lines, fault, address, place, freed):
    must(lines[0] == f"poolalloc: fatal: {fault}: {address}, class none", f"line: {lines[0]}")
    must(all(line.startswith("poolalloc: ") for line in lines), f"whose lines: {lines}")
    must(re.fullmatch(f"poolalloc:   {place} a block of 40 bytes at 0x[0-9a-f]+", lines[1]),
         f"line: {lines[1]}")
    text = "\n".join(line.removeprefix("poolalloc: ") for line in lines)
    allocated = re.search(r"^  allocated by thread \d+\n((?:    .*\n)+)", text, re.M)
    must(allocated and "take_guarded+" in allocated[1].splitlines()[0], f"allocated: {text}")
    by = re.search(r"^  freed by thread \d+\n((?:    .*\n)+)", text, re.M)
    must(bool(by) == freed, f"freed: {text}")
    must(not by or "give_guarded+" in by[1].splitlines()[0], f"freed: {text}")
    must(re.search(r"^  found here:\n    ", text, re.M), f"found here: {text}")


def check_log(done, folder):
    logs = list(pathlib.Path(folder).iterdir())
    must([log.name for log in logs] == ["program.log"], f"logs: {logs}")
    must(logs[0].read_text() == done.stderr, f"the log: {logs[0].read_text()}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        done = run(f"guard_every=1,log={folder}/program.log")
        if done.stderr:
            check_log(done, folder)
    if CASE in FAULTS:
        fault, ending, place, freed = FAULTS[CASE]
        must(done.returncode == -ending, f"ends by {ending}, not {done.returncode}: {done.stderr}")
        check_report(done.stderr.splitlines(), fault, done.stdout.split()[-1], place, freed)
        return
    if CASE in ("other_fault", "sent"):
        must(done.returncode == -signal.SIGSEGV, f"ends by {done.returncode}")
        must(done.stderr == "", f"nothing of ours: {done.stderr}")
        return
    must(done.returncode == 0, f"status {done.returncode}: {done.stderr}")
    reports = done.stderr.count("poolalloc: fatal: access behind a block")
    must(reports == (2 if CASE == "own_handler" else 0), f"reports: {done.stderr}")
    must(CASE == "own_handler" or done.stderr == "", f"stderr: {done.stderr}")
    if CASE == "many_threads":
        done = run("guard_every=100,profile_bytes=2000")
        must(done.returncode == 0 and done.stderr == "", f"with the profile: {done.stderr}")


main()
