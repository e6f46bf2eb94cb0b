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


# With on_fault=report: the same, told as an error, and the program goes on.
REPORTED = {f"{case}_reported": FAULTS[case] for case in ("double_free", "stray_write")}


def ignore():
    signal.signal(signal.SIGSEGV, signal.SIG_IGN)


def run(conf):
    return subprocess.run([PROGRAM, CASE], env=dict(os.environ, POOLALLOC_CONF=conf), text=True,
                          capture_output=True, check=False, timeout=250,
                          preexec_fn=ignore if CASE == "ignored" else None)


def check_report(lines, word, fault, address, place, freed):
    must(lines[0] == f"poolalloc: {word}: {fault}: {address}, class none", f"line: {lines[0]}")
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
        on_fault = "report" if CASE in REPORTED else "abort"
        done = run(f"guard_every=1,on_fault={on_fault},log={folder}/program.log")
        if done.stderr:
            check_log(done, folder)
    if CASE in FAULTS:
        fault, ending, place, freed = FAULTS[CASE]
        must(done.returncode == -ending, f"ends by {ending}, not {done.returncode}: {done.stderr}")
        check_report(done.stderr.splitlines(), "fatal", fault, done.stdout.split()[-1], place,
                     freed)
        return
    if CASE in REPORTED:
        fault, _, place, freed = REPORTED[CASE]
        must(done.returncode == 0, f"status {done.returncode}: {done.stderr}")
        check_report(done.stderr.splitlines(), "error", fault, done.stdout.split()[-1], place,
                     freed)
        must(done.stderr.count("poolalloc: error: ") == 1, f"one report: {done.stderr}")
        return
    if CASE in ("other_fault", "sent"):
        must(done.returncode == -signal.SIGSEGV, f"ends by {done.returncode}")
        must(done.stderr == "", f"nothing of ours: {done.stderr}")
        return
    must(done.returncode == 0, f"status {done.returncode}: {done.stderr}")
    reports = done.stderr.count("poolalloc: error: access behind a block")
    handled = {"own_handler": 2, "handled_often": 10}
    must(reports == handled.get(CASE, 0), f"reports: {done.stderr}")
    if CASE == "ignored":
        must(done.stderr == "poolalloc: guard_every: SIGSEGV is ignored, no blocks are guarded\n",
             f"stderr: {done.stderr}")
        return
    must(CASE in handled or done.stderr == "", f"stderr: {done.stderr}")
    if CASE == "many_threads":
        done = run("guard_every=100,profile_bytes=2000")
        must(done.returncode == 0 and done.stderr == "", f"with the profile: {done.stderr}")


main()
