# SPDX-License-Identifier: MIT
"""Runs the command `poolalloc` and holds what it does against what its help says.

    run.py COMMAND LIBRARY PROGRAM CC CASE
"""
import fcntl
import glob
import html.parser
import json
import os
import pty
import re
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import termios
import xml.etree.ElementTree

COMMAND, LIBRARY, PROGRAM, CC = sys.argv[1:5]
PATIENCE_S = 60


class Fault(Exception):
    pass


def must(holds, what):
    if not holds:
        raise Fault(what)


def equal(found, expected, what):
    must(found == expected, f"{what}: {found!r}, not {expected!r}")


def holds(text, part):
    must(part in text, f"{part!r} is not in {text!r}")


def environment(**more):
    """Ours without what would change the outcome."""
    kept = {key: value for key, value in os.environ.items()
            if key not in ("LD_PRELOAD", "POOLALLOC_CONF", "TERM", "NO_COLOR", "LC_ALL")}
    return dict(kept, LC_ALL="C", **more)


def run(*arguments, status=0, env=None, command=COMMAND, given=None):
    done = subprocess.run([command, *arguments], env=env or environment(), timeout=PATIENCE_S,
                          capture_output=True, text=True, check=False, input=given)
    equal(done.returncode, status, f"status of {arguments}, after {done.stderr!r}")
    return done


def refused(*arguments, status=125, says, **more):
    done = run(*arguments, status=status, **more)
    holds(done.stderr, says)
    must(all(line.startswith("poolalloc: ") for line in done.stderr.splitlines()), done.stderr)
    return done


def show_environment(*arguments, env=None):
    """What a program that `run` starts has in its environment."""
    lines = run("run", *arguments, "--", "env", env=env).stdout.splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def compile_program(name, source, *options):
    with open(f"{name}.c", "w", encoding="utf-8") as file:
        file.write(source)
    done = subprocess.run([CC, f"{name}.c", "-o", name, *options], capture_output=True, check=False)
    return done.returncode == 0


def write(name, text, mode=0o755):
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(name, mode)


# ---- run ----


def case_usage():
    for arguments in ([], ["none"], ["run"], ["run", "--"], ["run", "a=b"], ["run", "--none"],
                      ["stat"], ["stat", "a", "b"], ["stat", "--watch=0", "a"],
                      ["stat", "--watch=x", "a"], ["stat", "-w", "-n", "x", "a"],
                      ["stat", "-w", "-n0", "a"], ["stat", "-n1", "a"], ["diff", "a"], ["report"]):
        done = run(*arguments, status=2)
        equal(done.stdout, "", f"stdout of {arguments}")
        must(done.stderr, f"{arguments} says nothing")
    for command in ("run", "stat", "diff", "report", "options"):
        done = run(command, "--help")
        holds(done.stdout, f"usage: poolalloc {command}")
        equal(done.stderr, "", "stderr of help")
        must(all(len(line) <= 80 for line in done.stdout.splitlines()), f"{command}: long lines")
        holds(run("--help").stdout, f"  {command} ")
    must(re.fullmatch(r"poolalloc \d+\.\d+\.\d+\n", run("--version").stdout), "version")
    for arguments in (["--help"], ["run", "--help"], ["--version"], ["options"]):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([COMMAND, *arguments], stdout=full, stderr=subprocess.PIPE,
                                  env=environment(), check=False)
        equal(done.returncode, 125, f"status of {arguments} that can't be written")


def case_runs():
    done = run("run", "--", PROGRAM, given="")
    equal(done.stdout, "ready\n", "the program's output")
    holds(done.stderr, "poolalloc: dump of process")
    must("class" not in done.stderr.split("totals")[1], "it is not short")
    for arguments in (["-q"], ["purge_ms=0"], ["dump=stderr", "dump_exit=off"]):
        equal(run("run", *arguments, "--", PROGRAM, given="").stderr, "", f"with {arguments}")
    equal(run("run", PROGRAM, given="", env=environment(POOLALLOC_CONF="purge_ms=0")).stderr, "",
          "with POOLALLOC_CONF")
    holds(run("run", "dump=d.json", "dump_format=json", PROGRAM, given="").stdout, "ready")
    with open("d.json", encoding="utf-8") as file:
        equal(json.load(file)["program"], "cli_program", "the program's name in its dump")
    # Of a program that starts others: one dump, its own.
    done = run("run", sys.executable, "-c", "import subprocess, sys\nfor _ in range(3):\n"
               "    subprocess.run(sys.argv[1], stdin=subprocess.DEVNULL)", PROGRAM)
    equal(done.stdout, "ready\n" * 3, "what the others print")
    equal(done.stderr.count("dump of process"), 1, "dumps")
    # Whoever asks why there is none is told.
    write("mine", "mine", 0o644)
    equal(run("run", "dump=mine", PROGRAM, given="").stderr, "", "no dump over a file")
    holds(run("run", "dump=mine", "verbose=on", PROGRAM, given="").stderr, "what is there stays")


def case_preloads():
    found = show_environment("-q")
    equal(found["LD_PRELOAD"], os.path.dirname(LIBRARY) + "/libpoolalloc.so.0", "LD_PRELOAD")
    must("POOLALLOC_CONF" not in found, "there are options")
    if not compile_program("other.so", "int other;", "-shared", "-fPIC"):
        raise Fault(f"{CC} makes no library")
    other = os.path.abspath("other.so")
    found = show_environment("-q", env=environment(LD_PRELOAD=other))
    equal(found["LD_PRELOAD"].split(":")[0], other, "first of LD_PRELOAD")
    equal(len(found["LD_PRELOAD"].split(":")), 2, "libraries in LD_PRELOAD")
    found = show_environment("-q", env=environment(LD_PRELOAD=LIBRARY))
    equal(found["LD_PRELOAD"], LIBRARY, "LD_PRELOAD that names it already")
    shutil.copy(LIBRARY, "libpoolalloc.so.mine")
    mine = os.path.realpath("libpoolalloc.so.mine")
    found = show_environment("-q", "-l", mine, env=environment(LD_PRELOAD=f"{other} {LIBRARY}"))
    equal(found["LD_PRELOAD"], f"{other}:{mine}", "LD_PRELOAD, another library being told")
    os.mkdir("libpoolalloc.so")
    shutil.copy("other.so", "libpoolalloc.so/other.so")
    for name in (os.path.abspath("libpoolalloc.so/other.so"), "/gone/libpoolalloc.so.0"):
        found = show_environment("-q", env=environment(LD_PRELOAD=name))
        holds(found["LD_PRELOAD"], os.path.dirname(LIBRARY) + "/libpoolalloc.so.0")
        equal("gone" in found["LD_PRELOAD"], False, "a library that is not there is preloaded")
    found = show_environment("purge_ms=1", "dump=x,purge_ms=2",
                             env=environment(POOLALLOC_CONF="purge_ms=0"))
    equal(found["POOLALLOC_CONF"], "purge_ms=0,purge_ms=1,dump=x,purge_ms=2", "options")
    found = show_environment("--stat")
    holds(found["POOLALLOC_CONF"], "dump_signal=62")
    # Mistakes are refused here, and warned of in POOLALLOC_CONF, as everywhere.
    refused("run", "limt=2G", "true", status=2, says="poolalloc: unknown option: limt=2G\n")
    refused("run", "limit=2G,purge_ms=x", "--", "true", status=2, says="bad value: purge_ms=x\n")
    equal(run("run", "limit=2G", "dump=none/d", "dump_exit=off", "true").stderr, "", "what is right")
    holds(run("run", "purge_ms=1", "true", env=environment(POOLALLOC_CONF="limt=2G")).stderr,
          "poolalloc: POOLALLOC_CONF: unknown option, ignored: limt=2G\n")
    # What comes after -- is the program, whatever it looks like.
    write("a=b", "#!/bin/sh\necho ran\n")
    holds(run("run", "-q", "--", "./a=b").stdout, "ran")


def case_statuses():
    equal(run("run", "-q", "sh", "-c", "exit 7", status=7).stderr, "", "stderr")
    refused("run", "no-such-program", status=127, says="no-such-program: No such file")
    refused("run", "./none", status=127, says="./none: No such file")
    write("plain", "text\n", 0o644)
    refused("run", "./plain", status=126, says="./plain: Permission denied")
    refused("run", "./", status=126, says="./: Permission denied")
    refused("run", "", status=127, says="No such file")
    killed = subprocess.run([COMMAND, "run", "-q", "sh", "-c", "kill -9 $$"], check=False,
                            env=environment())
    equal(killed.returncode, -9, "status of what was killed")


def case_scripts():
    write("script", "#!/bin/sh\nprintf '%s' \"$1\"\n")
    equal(run("run", "-q", "./script", "a b").stdout, "a b", "what the script prints")
    write("by_env", "#! /usr/bin/env -S A=b sh\nprintf '%s' \"$A\"\n")
    equal(run("run", "-q", "./by_env").stdout, "b", "what the script prints")
    write("loop", f"#!{os.getcwd()}/loop\n")
    run("run", "--check", "./loop")
    write("empty", "#!\n")
    run("run", "--check", "./empty")
    if compile_program("static", "int main(void) { return 0; }", "-static"):
        write("of_static", f"#!{os.getcwd()}/static\n")
        refused("run", "./of_static", says="/static is statically linked")
        write("of_of_static", f"#!/usr/bin/env {os.getcwd()}/of_static\n")
        refused("run", "./of_of_static", says="/static is statically linked")


def patched(name, change):
    """A copy of a program with its bytes changed."""
    with open(PROGRAM, "rb") as file:
        data = bytearray(file.read())
    change(data)
    with open(name, "wb") as file:
        file.write(data)
    os.chmod(name, 0o755)


def put(data, at, new):
    data[at:at + len(new)] = new


def make_musl(data):
    at = data.index(b"/ld-linux")
    while data[at - 1] != 0:
        at -= 1
    put(data, at, b"/lib/ld-musl-x.so\0")


def case_refuses():
    patched("bits", lambda data: put(data, 4, b"\x01"))
    refused("run", "./bits", says="./bits is a 32-bit program")
    patched("machine", lambda data: put(data, 18, b"\x08\x00"))
    refused("run", "./machine", says="is for another kind of machine")
    patched("musl", make_musl)
    refused("run", "./musl", says="is for musl")
    if compile_program("static", "int main(void) { return 3; }", "-static"):
        refused("run", "./static", says="is statically linked: nothing can be preloaded")
        refused("run", "--check", "./static", says="would not run under the library")
        holds(run("run", "--force", "./static", status=3).stderr, "is statically linked")
    if compile_program("pie", "int main(void) { return 3; }", "-static-pie"):
        refused("run", "./pie", says="is statically linked")
    if compile_program("asan", "int main(void) { return 0; }", "-fsanitize=address",
                       "-shared-libasan") or \
            compile_program("asan", "int main(void) { return 0; }", "-fsanitize=address"):
        needs = subprocess.run(["ldd", "asan"], capture_output=True, text=True, check=False).stdout
        if "libasan" in needs or "libclang_rt.asan" in needs:
            refused("run", "./asan", says="has the address sanitizer")
            first = re.search(r"=> (/.*asan[^ ]*)", needs)
            if first:
                run("run", "-q", "./asan", env=environment(LD_PRELOAD=first[1]))
    refuse_rights()


def refuse_rights():
    """As root the file must be another's; elsewhere only root can make one."""
    may_gain = not os.statvfs(".").f_flag & os.ST_NOSUID and "NoNewPrivs:\t0" in open(
        "/proc/self/status", encoding="utf-8").read()
    if os.geteuid() != 0 or not may_gain:
        return
    shutil.copy(PROGRAM, "setuid")
    os.chown("setuid", 65534, -1)
    os.chmod("setuid", 0o755 | stat.S_ISUID)
    refused("run", "./setuid", says="runs with more rights than you")
    os.chown("setuid", 0, 0)
    os.chmod("setuid", 0o755 | stat.S_ISUID)
    run("run", "--check", "./setuid")


def case_remarks():
    """Such programs run, but not all is as it seems."""
    done = run("run", "--check", PROGRAM)
    equal(done.stderr, "", "about an ordinary program")
    equal(done.stdout, f"{PROGRAM}: can run under the library, as far as its file tells\n", "the same")
    if compile_program("lsan", "int main(void) { return 0; }", "-fsanitize=leak"):
        holds(run("run", "--check", "./lsan").stderr, "sanitizer")
    own = ("#include <stddef.h>\nstatic char room[65536]; static size_t used;\n"
           "void *malloc(size_t n) { void *p = room + used; used += (n + 15) & ~15ul; return p; }\n"
           "void free(void *p) { (void)p; }\nint main(void) { return malloc(1) == NULL; }\n")
    must(compile_program("own", own, "-fno-builtin", "-rdynamic"), "own does not compile")
    holds(run("run", "-q", "./own").stderr, "./own has a malloc of its own: the library stays out")
    equal(run("run", "--check", "/bin/sh").stderr, "", "about the shell")
    inside = "void __asan_init(void);\nvoid __asan_init(void) {}\nint main(void) { return 0; }\n"
    must(compile_program("inside", inside), "inside does not compile")
    holds(run("run", "--check", "./inside").stderr, "has a sanitizer with a malloc of its own")


def case_finds_library():
    """Beside the command, as installed, or where it is told."""
    lone = os.path.abspath("lone")
    os.mkdir("lone")
    shutil.copy(COMMAND, "lone/poolalloc")
    refused("run", "-q", "true", command=f"{lone}/poolalloc",
            says="is not where it was installed; say where by --library FILE")
    refused("options", command=f"{lone}/poolalloc", says="is not where it was installed")
    refused("run", "-l", "none.so", "true", says="none.so: No such file")
    run("run", "-q", "-l", LIBRARY, "true", command=f"{lone}/poolalloc")
    for other in (PROGRAM, __file__):
        refused("run", "-l", other, "true", says=f"{other}: is not the library poolalloc")
    os.mkdir("with blank")
    shutil.copy(LIBRARY, "with blank/libpoolalloc.so")
    refused("run", "-l", "with blank/libpoolalloc.so", "true",
            says="LD_PRELOAD can't name a file with a blank")
    shutil.copy(LIBRARY, "libpoolalloc.so")
    found = show_environment("-q", "-l", "libpoolalloc.so")
    equal(found["LD_PRELOAD"], f"{os.path.realpath('.')}/libpoolalloc.so", "LD_PRELOAD")


def case_options():
    helped = subprocess.run([PROGRAM], input="", capture_output=True, text=True, check=True,
                            env=environment(LD_PRELOAD=LIBRARY, POOLALLOC_CONF="help")).stderr
    names = re.findall(r"^poolalloc: (\w+) *=", helped, re.MULTILINE)
    must(len(names) > 20, f"the library has few options: {names}")
    equal(re.findall(r"^(\w+)=", run("options").stdout, re.MULTILINE), names, "options")
    equal(run("options", "purge_ms", env=environment(POOLALLOC_CONF="purge_ms=7")).stdout,
          "purge_ms=7\n    free memory older than this goes back to the kernel\n"
          "    0 to 3600000 milliseconds\n", "one option")
    run("options", env=environment(POOLALLOC_CONF="dump=left"))
    equal(os.listdir("."), [], "files that are left")
    done = refused("options", "none", "purge_ms", says="there is no option none")
    holds(done.stdout, "purge_ms=")
    done = refused("options", "-l", "/bin/true", "limit", says="/bin/true does not answer",
                   env=environment(LD_PRELOAD=LIBRARY))
    equal(done.stdout, "", "what another library is said to have")


# ---- stat ----


def make_dump(name, **changes):
    """A small dump; changes are of parts of it."""
    dump = {
        "schema": "poolalloc", "version": 1, "pid": 12, "program": "prog", "why": "at exit",
        "number": 3,
        "totals": {"live_bytes": 1048576, "active_bytes": 2097152, "resident_bytes": 4194304,
                   "mapped_bytes": 8388608, "live_peak_bytes": 3145728, "live_blocks": 1234,
                   "allocs": 5000, "frees": 3766, "dirty_bytes": 1048576, "at_hand_bytes": 524288,
                   "large_allocs": 7, "large_frees": 5, "large_live_bytes": 131072,
                   "system_calls": 9, "system_call_ns": 1500},
        "classes": [
            {"bytes": 16, "allocs": 10, "frees": 4, "live": 6, "at_hand": 2, "slab_free": 1,
             "slabs": 1, "slabs_to_25": 1},
            {"bytes": 1024, "allocs": 900, "frees": 100, "live": 800, "at_hand": 10,
             "slab_free": 20, "slabs": 14, "slabs_full": 14}],
        "system_calls": {"mmap": {"calls": 9, "ns": 1500}},
        "process": {"huge_bytes": 6291456},
        "free_spans_by_size": [{"from_bytes": 4096, "spans": 3}],
        "objects": [{"number": 1, "kind": "pool", "name": "nodes", "memory_bytes": 65536,
                     "piece_bytes": 64, "pieces": 1000, "in_use": 250, "in_use_peak": 300,
                     "failures": 0, "waits": 0}],
        "objects_are_all": True,
        "advice": ["use less"],
    }
    dump.update(changes)
    with open(name, "w", encoding="utf-8") as file:
        json.dump(dump, file)
    return dump


def case_shows():
    make_dump("d.json")
    text = run("stat", "d.json").stdout
    for part in ("prog, process 12: dump 3, at exit", "live              1.0 MiB", "peak    3.0 MiB",
                 "in huge pages     6.0 MiB  of the whole process", "held back         1.0 MiB   25 %", "taken               5,000", "9 in 1.5 us",
                 "   1,024            800  800.0 KiB   10.0 KiB   20.0 KiB     14",
                 "   large              2  128.0 KiB", "pool nodes", "  use less"):
        holds(text, part)
    holds(text, "\n\nclasses, most memory first\n   class    live blocks ")
    must(text.index("1,024 ") < text.index("\n      16 "), "not the largest first")
    must("\033" not in text, "colours in a file")
    must(not re.search(r" $", text, re.MULTILINE), "blanks at the ends of lines")
    must(all(len(line) <= 80 for line in text.splitlines()), "lines longer than 80")
    with open("d.json", encoding="utf-8") as file:
        equal(run("stat", "-", given=file.read()).stdout, text, "the same from stdin")
    make_dump("many.json", classes=[{"bytes": 16 * i, "live": i} for i in range(1, 40)])
    holds(run("stat", "many.json").stdout, "and 27 classes with less")
    must("with less" not in run("stat", "--all", "many.json").stdout, "not all")
    make_dump("summary.json", classes=None, objects=None, process=None)
    must("huge" not in run("stat", "summary.json").stdout, "a figure that is not there")
    must("class" not in run("stat", "summary.json").stdout, "classes that are not there")
    refused("stat", "none.json", says="none.json: No such file")
    write("empty.json", "", 0o644)
    refused("stat", "empty.json", says="empty.json: is empty")
    make_dump("less.json", totals={"large_allocs": 1, "large_frees": 2})
    holds(run("stat", "less.json").stdout, "   large              0 ")
    shows_names()
    shows_shares()
    shows_sites()
    write("broken.json", '{"schema": "poolalloc",\n "totals": {"live_bytes": 1,}}', 0o644)
    refused("stat", "broken.json", says="broken.json:2:29: is no dump: a string was expected")
    run("run", "dump=text", PROGRAM, given="")
    refused("stat", "text", says="text: is not in JSON: start the program with dump_format=json")


def shows_names():
    """Columns stand one below the other, whatever the letters."""
    dump = make_dump("plain.json")
    long = "\u00e4" * 40
    make_dump("names.json", objects=[dict(dump["objects"][0], name=name) for name in
                                     ("nodes", "\u00e4\u00f6\u00fc", "\u4e2d\u6587", long)])
    env = environment()
    env["LC_ALL"] = "C.UTF-8"
    rows = [line for line in run("stat", "names.json", env=env).stdout.splitlines()
            if line.startswith("  pool ")]
    equal(len(rows), 4, "objects")
    wide = [sum(2 if letter > "\u4dff" else 1 for letter in row.split(" 250 ")[0]) for row in rows]
    equal(len(set(wide)), 1, f"where the figures begin in {rows}")
    holds(rows[3], "pool " + "\u00e4" * 23 + " ")


def shows_shares():
    """Free blocks whose pages have gone back take nothing from what is known exactly."""
    make_dump("shares.json", totals={
        "live_bytes": 1 << 20, "resident_bytes": 4 << 20, "slab_free_bytes": 9 << 20,
        "at_hand_bytes": 1 << 19, "dirty_bytes": 1 << 19, "record_used_bytes": 1 << 19})
    text = run("stat", "shares.json").stdout
    order = [text.index(row) for row in (
        "  live              1.0 MiB   25 %", "  at hand         512.0 KiB   12 %",
        "  free in slabs     1.5 MiB   38 %", "  held back       512.0 KiB   12 %",
        "  records         512.0 KiB   12 %", "  rest                  0 B    0 %")]
    equal(order, sorted(order), "order of the shares")


FRAME = {"address": 4198916, "object": "/usr/bin/prog", "symbol": "parse", "offset": 52}


def shows_sites():
    sites = [{"bytes": 4096 * n, "blocks": n, "frames": [FRAME] * 6} for n in range(9, 0, -1)]
    make_dump("sites.json", sites=sites)
    text = run("stat", "sites.json").stdout
    holds(text, "  36.0 KiB in 9 blocks, allocated by\n      parse+0x34 /usr/bin/prog\n")
    equal((text.count("allocated by"), text.count("parse")), (5, 20), "stacks and frames")
    holds(text, "and 4 stacks with less")
    equal(run("stat", "-a", "sites.json").stdout.count("parse"), 54, "all frames")
    make_dump("sites.json", sites=[{"bytes": 16, "blocks": 1, "frames": []}])
    holds(run("stat", "sites.json").stdout, "  16 B in 1 block, from where is not known\n")
    run("report", "sites.json", "-o", "sites.html")
    holds(read_page("sites.html")[1], "from where is not known")
    # As the library writes them.
    run("run", "track=on", "dump=t.json", "dump_format=json", PROGRAM, given="m" * 3)
    holds(run("stat", "t.json").stdout, PROGRAM)


class Running:
    """A program under the library that waits for input."""

    def __init__(self, conf, *arguments, preload=LIBRARY):
        env = environment(POOLALLOC_CONF=conf)
        if preload:
            env["LD_PRELOAD"] = preload
        self.process = subprocess.Popen([PROGRAM, *arguments], stdin=subprocess.PIPE, env=env,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        equal(self.process.stdout.readline(), b"ready\n", "what the program says")

    def __enter__(self):
        return self.process

    def __exit__(self, *_):
        self.process.stdin.close()
        equal(self.process.wait(PATIENCE_S), 0, "the program's status")
        self.process.stdout.close()


ASKABLE = "dump_format=json,dump_signal=USR2,dump_exit=off"


def case_asks():
    for dump in ("d.%p.json,dump_replace=on", f"{os.getcwd()}/%e.%n.json", "[a]*?\\.json",
                 "plain.json"):
        with Running(f"dump={dump},{ASKABLE}") as process:
            for _ in range(3):
                holds(run("stat", str(process.pid)).stdout,
                      f"cli_program, process {process.pid}: dump")
    equal(sorted(glob.glob("*.json")), sorted(
        ["[a]*?\\.json", "plain.json", *glob.glob("d.*.json"), *glob.glob("cli_program.?.json")]),
        "files")
    equal(len(glob.glob("cli_program.?.json")), 3, "dumps with a number")
    # A file of another user's is no dump of the process, however new it is.
    make_dump("other.99.json", program="other")
    if os.geteuid() == 0:
        os.chown("other.99.json", 65534, -1)
        os.utime("other.99.json", (2**31, 2**31))
        with Running(f"dump=other.%n.json,{ASKABLE}") as process:
            holds(run("stat", str(process.pid)).stdout, f"process {process.pid}: dump 1")
    # On each signal that the library knows.
    names = re.search(r"signal number, (.*)", run("options", "dump_signal").stdout)[1].split(", ")
    must(len(names) > 5, f"few names of signals: {names}")
    for name in names + ["10", "64"]:
        with Running(f"dump=s.%p.json,dump_format=json,dump_exit=off,dump_signal={name}") as process:
            holds(run("stat", str(process.pid)).stdout, f"process {process.pid}: dump 1")
        os.unlink(f"s.{process.pid}.json")
    asks_handlers()
    asks_with_care()
    # As `run --stat` starts it.
    process = subprocess.Popen([COMMAND, "run", "--stat", PROGRAM], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, env=environment())
    equal(process.stdout.readline(), b"ready\n", "what the program says")
    holds(run("stat", str(process.pid)).stdout, f"process {process.pid}")
    process.stdin.close()
    equal(process.wait(PATIENCE_S), 0, "status")
    process.stdout.close()
    os.unlink(f"/tmp/poolalloc.cli_program.{process.pid}.json")


def asks_handlers():
    """The program's own handler does not run; but it does for others."""
    process = Running(f"dump=h.json,{ASKABLE}", "handle").process
    for number in (1, 2):
        holds(run("stat", str(process.pid)).stdout, f"process {process.pid}: dump {number}")
    process.send_signal(signal.SIGUSR2)
    equal(process.wait(PATIENCE_S), 9, "status by its handler")
    process.stdin.close()
    process.stdout.close()


def asks_with_care():
    """Files that the process's owner may have put in the way."""
    os.mkfifo("f.99.json")
    make_dump("target", program="other")
    os.symlink("target", "f.98.json")
    with Running(f"dump=f.%n.json,{ASKABLE}") as process:
        holds(run("stat", str(process.pid)).stdout, f"process {process.pid}: dump 1")
    os.unlink("f.1.json")
    # Another process's, newer than any that comes.
    make_dump("g.99.json", pid=1, program="other")
    os.utime("g.99.json", (2**31, 2**31))
    with Running(f"dump=g.%n.json,{ASKABLE}") as process:
        refused("stat", str(process.pid), says="no dump came")
    for name in glob.glob("[fg].*.json"):
        os.unlink(name)


def case_asks_in_vain():
    """Nothing is sent to a process that would not bear it: it still ends with status 0."""
    tips = "poolalloc run --stat"
    with Running("", preload=None) as process:
        refused("stat", str(process.pid), says="does not run under the library")
    for conf, says in (("", "has no dump=FILE"), ("dump=stderr," + ASKABLE, "writes its dumps to"),
                       ("dump=a,dump_signal=USR2", "does not have dump_format=json"),
                       ("dump=a,dump_format=json", "has no dump_signal=")):
        with Running(conf) as process:
            done = refused("stat", str(process.pid), says=says)
            holds(done.stderr, tips)
    with Running("dump=a," + ASKABLE, "ignore") as process:
        refused("stat", str(process.pid), says="does not catch its dump_signal")
    with Running("dump=a," + ASKABLE, "block") as process:
        refused("stat", str(process.pid), says="blocks its dump_signal")
    process = Running("dump=z," + ASKABLE).process
    process.stdin.close()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    refused("stat", str(process.pid), says=f"process {process.pid} has ended")
    equal(process.wait(PATIENCE_S), 0, "status")
    process.stdout.close()
    refused("stat", "2147483646", says="there is no process 2147483646")
    refused("stat", "99999999999999999999", says="there is no process")
    write("old.json", "{}", 0o644)
    with Running("dump=old.json," + ASKABLE) as process:
        refused("stat", str(process.pid), says="or what is there stays")


def case_watches():
    make_dump("d.json")
    text = run("stat", "--watch=0.1", "--count=3", "d.json").stdout
    equal(text.count("prog, process 12"), 3, "dumps that were shown")
    equal(text.count("a second"), 6, "rates, of all but the first")
    with Running(f"dump=w.json,{ASKABLE}") as process:
        watching = subprocess.Popen([COMMAND, "stat", "-w0.1", str(process.pid)],
                                    stdout=subprocess.PIPE, text=True, env=environment())
        while "taken" not in watching.stdout.readline():
            pass
        process.stdin.write(b"x" * 500)
        process.stdin.flush()
        while not re.search(r"taken +5\d\d ", watching.stdout.readline()):
            pass
        watching.send_signal(signal.SIGINT)
        watching.stdout.read()
        equal(watching.wait(PATIENCE_S), 0, "status after SIGINT")
    watches_stopped()
    watches_small()
    # The process ends while it is watched.
    with Running(f"dump=v.json,{ASKABLE}") as process:
        watching = subprocess.Popen([COMMAND, "stat", "-w0.1", str(process.pid)], text=True,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                    env=environment())
        watching.stdout.readline()
    _, says = watching.communicate(timeout=PATIENCE_S)
    equal(watching.returncode, 125, "status when the process has ended")
    must("has ended" in says or "no dump came" in says, f"it says {says!r}")


def state_of(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return file.read().rsplit(")", 1)[1].split()[0]


def watches_stopped():
    """Who waits for a dump can be told not to, and has no fault to report."""
    with Running(f"dump=s.json,{ASKABLE}") as process:
        process.send_signal(signal.SIGSTOP)
        while state_of(process.pid) != "T":
            pass
        refused("stat", str(process.pid), says="within 5 s: it is stopped")
        watching = subprocess.Popen([COMMAND, "stat", "-w", str(process.pid)], text=True,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                    env=environment())
        while not caught(watching.pid, signal.SIGINT):
            pass
        watching.send_signal(signal.SIGINT)
        out, says = watching.communicate(timeout=PATIENCE_S)
        equal((watching.returncode, out, says), (0, "", ""), "status, and what is said")
        process.send_signal(signal.SIGCONT)


def caught(pid, number):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        mask = int(re.search(r"^SigCgt:\t([0-9a-f]+)$", file.read(), re.MULTILINE)[1], 16)
    return mask >> (number - 1) & 1


def on_terminal(rows, columns, *arguments):
    """What the command writes to a terminal of this size."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    env = environment(TERM="xterm")
    env["LC_ALL"] = "C.UTF-8"
    with subprocess.Popen([COMMAND, *arguments], stdout=its, env=env) as process:
        os.close(its)
        text = b""
        try:
            while part := os.read(ours, 65536):
                text += part
        except OSError:
            pass
        equal(process.wait(PATIENCE_S), 0, "status on a terminal")
    os.close(ours)
    return re.sub(r"\033\[[0-9;]*[A-Za-z]", "", text.decode()).replace("\r", "")


def watches_small():
    """On a small screen there is something of each part."""
    dump = make_dump("d.json")
    make_dump("many.json", classes=[{"bytes": 16 * i, "live": i, "slabs": 1} for i in range(1, 40)],
              objects=[dict(dump["objects"][0], name=f"p{i}", number=i) for i in range(20)])
    for rows, columns in ((24, 80), (24, 40), (50, 120), (12, 80)):
        text = on_terminal(rows, columns, "stat", "-w0.1", "-n1", "many.json")
        lines = text.splitlines()
        must(len(lines) < rows, f"{len(lines)} lines on {rows} rows")
        must(all(len(line) <= columns for line in lines), f"lines longer than {columns}")
        holds(lines[0], "prog, process 12")
        if rows >= 24:
            for part in ("  live ", "  mapped ", "   class ", "    624 ", "classes with less",
                         "   large ", "  object ", "  pool p", "objects with less", "  use less"):
                holds(text, part)


# ---- diff ----


def case_differs():
    before = make_dump("a.json")
    totals = dict(before["totals"], live_bytes=3145728, frees=3000)
    classes = [dict(before["classes"][1], live=100),
               {"bytes": 64, "live": 1000, "slabs": 1}]
    objects = [dict(before["objects"][0], in_use=400, memory_bytes=131072)]
    make_dump("b.json", totals=totals, classes=classes, objects=objects, number=4)
    text = run("diff", "a.json", "b.json").stdout
    for part in ("before: prog, process 12: dump 3", "after:  prog, process 12: dump 4",
                 "  blocks of 64                   +1,000    +62.5 KiB          0 B     62.5 KiB",
                 "  blocks of 1,024                  -700   -700.0 KiB    800.0 KiB    100.0 KiB",
                 "  blocks of 16                       -6        -96 B         96 B          0 B",
                 "  pool nodes                       +150    +64.0 KiB     64.0 KiB    128.0 KiB",
                 "  live_bytes                          +2.0 MiB      1.0 MiB      3.0 MiB",
                 "  frees                                   -766        3,766        3,000"):
        holds(text, part)
    order = [text.index(f"blocks of {size} ") for size in ("64", "1,024", "16")]
    equal(order, sorted(order), "growth first, then what shrank most")
    must("large blocks" not in text and "  allocs" not in text, "what is the same is shown")
    make_dump("c.json", pid=13)
    holds(run("diff", "a.json", "c.json").stdout, "These are of different processes.")
    holds(run("diff", "a.json", "a.json").stdout, "dump 3, at exit\nNothing has changed.\n")
    refused("diff", "a.json", "none", says="none: No such file")


# ---- report ----


class Page(html.parser.HTMLParser):
    """Every element that is opened is closed, in order; nothing comes from elsewhere."""

    EMPTY = ("meta", "br")

    def __init__(self):
        super().__init__()
        self.open = []
        self.headings = []
        self.pictures = 0

    def handle_starttag(self, tag, attrs):
        must(tag != "script", "there is a script")
        must(not [key for key, _ in attrs if key in ("href", "src", "onload")], f"{tag} {attrs}")
        self.pictures += tag == "svg"
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        equal(self.open.pop(), tag, "element that ends")

    def handle_data(self, data):
        if self.open and self.open[-1] in ("h1", "h2", "summary"):
            self.headings.append(data)


def read_page(name):
    with open(name, encoding="utf-8") as file:
        text = file.read()
    page = Page()
    page.feed(text)
    equal(page.open, [], "elements left open")
    for picture in re.findall(r"<svg .*?</svg>", text, re.DOTALL):
        numbers = xml.etree.ElementTree.fromstring(picture).iter()
        must(not [each for each in numbers if "nan" in str(each.attrib)], "a figure is none")
    must("://" not in text, "it refers to another place")
    return page, text


def case_reports():
    for number, live in ((9, 3), (10, 5), (2, 1)):
        dump = make_dump(f"d.{number}.json", number=number)
        make_dump(f"d.{number}.json", number=number,
                  totals=dict(dump["totals"], live_bytes=live << 20))
        os.utime(f"d.{number}.json", (1000 + number, 1000 + number))
    run("report", *sorted(glob.glob("d.*.json")), "-o", "page.html")
    page, text = read_page("page.html")
    equal(page.headings, ["prog", "Advice", "Memory over time", "What the resident memory was",
                          "Where the resident memory is", "Memory by block size",
                          "Fragmentation: how full slabs are", "Fragmentation: free runs of pages",
                          "Pools, arenas and buffers", "All figures"], "headings")
    holds(text, "3 dumps. Figures and pictures of one moment are of that when most was live: dump 10")
    # 1, 3 and 5 MiB in the order of their numbers, whatever that of the files: up, in SVG less.
    line = re.findall(r'class="line c0" points="([^"]*)"', text)[0].split()
    x, y = zip(*[map(float, point.split(",")) for point in line])
    equal(len(line), 3, "points")
    must(y[0] > y[1] > y[2], f"live memory does not rise: {y}")
    must(x[1] - x[0] > 6 * (x[2] - x[1]), f"7 seconds and 1: {x}")
    holds(text, ">4 s<")
    for number, unit in ((2000, " min<"), (20000, " h<")):
        os.utime("d.10.json", (1002 + number, 1002 + number))
        run("report", *glob.glob("d.*.json"), "-o", "page.html")
        holds(read_page("page.html")[1], unit)
    reports_time()
    reports_fullest()
    reports_processes()
    equal(run("report", "d.9.json").stdout, "the page is poolalloc.html\n", "where the page is")
    page, _ = read_page("poolalloc.html")
    must("Memory over time" not in page.headings, "one dump has no time")
    equal(read_page("poolalloc.html")[1], run("report", "d.9.json", "-o", "-").stdout, "stdout")
    make_dump("small.json", totals={}, classes=None, objects=None, advice=None,
              free_spans_by_size=None)
    run("report", "small.json", "small.json", "-o", "small.html")
    read_page("small.html")
    refused("report", "d.9.json", "none", says="none: No such file")
    refused("report", "d.9.json", "-o", "none/page", says="none/page: No such file")
    os.link("d.9.json", "same.json")
    refused("report", "d.9.json", "-o", "same.json", status=2, says="same.json: is one of the dumps")
    must(os.path.getsize("d.9.json") > 0, "a dump is written over")


def reports_time():
    """What a dump says of its time counts, not when it was copied."""
    for number, second in ((1, 1000), (2, 1004)):
        make_dump(f"t.{number}.json", number=number, time_ms=second * 1000)
    run("report", "t.1.json", "t.2.json", "-o", "page.html")
    holds(read_page("page.html")[1], ">4 s<")


def reports_fullest():
    """The dump of the exit, when all is freed, is not what one wants to see."""
    dump = make_dump("f.1.json", number=1, why="at an interval",
                     sites=[{"bytes": 4096, "blocks": 1, "frames": [dict(FRAME, symbol="<a>")]}])
    make_dump("f.2.json", number=2, totals=dict(dump["totals"], live_bytes=1, live_blocks=1,
                                                live_peak_bytes=7 << 20))
    run("report", "f.1.json", "f.2.json", "-o", "page.html")
    page, text = read_page("page.html")
    holds(text, "when most was live: dump 1, written at an interval")
    holds(text, "<b>1,234</b>")
    holds(text, "<i>peak 7.0 MiB</i>")
    must("Live blocks by who allocated them" in page.headings, "no word of who allocated them")
    holds(text, "&lt;a&gt;+0x34 /usr/bin/prog<br>")


def reports_processes():
    """The last process of more than one dump, however many were there before and with it."""
    for pid, number, second in ((7, 1, 10), (7, 2, 11), (7, 3, 12), (9, 1, 20), (9, 2, 21),
                                (8, 1, 22)):
        make_dump(f"p.{pid}.{number}.json", pid=pid, number=number, time_ms=second * 1000)
    done = run("report", *glob.glob("p.*.json"), "-o", "page.html")
    holds(done.stderr, "these are of 3 processes; the page is of prog, process 9, 2 dumps;")
    holds(read_page("page.html")[1], "Process 9, 2 dumps.")
    equal(run("report", *glob.glob("p.7.*.json"), "-o", "page.html").stderr, "", "about one process")


def case_recipes():
    """What README.md tells to do works, also the second time, and if there are children."""
    write("app", f'#!/bin/sh\n"{PROGRAM}" </dev/null\nexec "{PROGRAM}"\n')
    for _ in range(2):
        run("run", "dump=app.%p.%n.json", "dump_format=json", "dump_every_ms=1000", "--", "./app",
            given="x" * 100)
        run("report", *glob.glob("app.*.json"), "-o", "app.html")
        read_page("app.html")
    equal(len(glob.glob("app.*.1.json")), 4, "processes that have left dumps")
    holds(run("run", "track=on", "--", PROGRAM, given="x").stderr, "in 1 block, allocated by")
    holds(run("run", "limit=2G", "--", PROGRAM, given="x").stdout, "ready")


def case_hostile():
    """Names are a program's to choose."""
    bad = "\033[2J\u009b31m\u202e\u2066<script>alert(1)</script>&\"'\n"
    dump = make_dump("d.json")
    make_dump("d.json", program=bad, why=bad, advice=[bad],
              objects=[dict(dump["objects"][0], name=bad, kind=bad)],
              totals=dict(dump["totals"], **{bad: 5}))
    make_dump("e.json", program=bad, totals=dict(dump["totals"], **{bad: 6}))
    for arguments in (["stat", "d.json"], ["diff", "d.json", "e.json"]):
        text = run(*arguments).stdout
        must(not re.search("[\033\u009b\u202e\u2066]", text), f"{arguments} passes commands on")
    name = "a\033]0;x\a.json"
    for arguments in (["stat", name], ["diff", name, name], ["report", name], ["run", name],
                      ["run", "-l", name, "true"], ["options", name], [name]):
        done = subprocess.run([COMMAND, *arguments], capture_output=True, env=environment(),
                              check=False)
        must(done.stderr and b"\033" not in done.stderr, f"{arguments} passes commands on")
    run("report", "d.json", "-o", "page.html")
    _, text = read_page("page.html")
    must("<script" not in text and not re.search("[\033\u202e]", text), "the page passes it on")
    holds(text, "&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;")
    # A reader that has gone is no reason to complain.
    done = subprocess.run(["sh", "-c", '"$1" stat d.json | true', "sh", COMMAND],
                          capture_output=True, check=False, env=environment())
    equal(done.stderr, b"", "what is said of a closed pipe")


def main():
    case = sys.argv[5]
    scratch = tempfile.mkdtemp(prefix="poolalloc-cli.")
    start = os.getcwd()
    os.chdir(scratch)
    try:
        globals()[f"case_{case}"]()
    except Fault as fault:
        print(f"{case}: {fault}")
        return 1
    finally:
        os.chdir(start)
        shutil.rmtree(scratch, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
