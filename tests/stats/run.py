# SPDX-License-Identifier: MIT
"""Runs a case of stats_program and holds its dumps against what the program says it did.

    run.py PROGRAM CASE

Every figure is exact: nothing here depends on time, but for the patience with a program that hangs.
"""
import glob
import json
import math
import os
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

PROGRAM = ""
PATIENCE_S = 300


class Fault(Exception):
    pass


def must(holds, what):
    if not holds:
        raise Fault(what)


def equal(found, expected, what):
    must(found == expected, f"{what}: {found}, not {expected}")


# ---- running ----


def environment(conf):
    return dict(os.environ, POOLALLOC_CONF=conf)


def run(case, conf, *arguments, status=0, file_max=resource.RLIM_INFINITY):
    def set_limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_max, resource.RLIM_INFINITY))

    done = subprocess.run([PROGRAM, case, *arguments], env=environment(conf), timeout=PATIENCE_S,
                          capture_output=True, text=True, check=False, preexec_fn=set_limit)
    equal(done.returncode, status, f"status, after {done.stderr!r}")
    return done


def files():
    """All that is there; none is half a dump."""
    found = sorted(glob.glob("*"))
    must(not [name for name in found if name.endswith(".part")], f"a part is left of {found}")
    return found


def read(name):
    with open(name, encoding="utf-8") as file:
        return file.read()


# ---- formats ----


def json_of(text):
    """By three parsers, where there are so many."""
    subprocess.run([sys.executable, "-m", "json.tool"], input=text, text=True, check=True,
                   stdout=subprocess.DEVNULL)
    if shutil.which("jq"):
        subprocess.run(["jq", "-e", ".totals.live_bytes"], input=text, text=True, check=True,
                       stdout=subprocess.DEVNULL)
    return json_checked(text)


def json_checked(text):
    dump = json.loads(text)
    equal((dump["schema"], dump["version"]), ("poolalloc", 1), "schema")
    totals = dump["totals"]
    must(totals["live_bytes"] <= totals["active_bytes"] <= totals["resident_bytes"] <=
         totals["mapped_bytes"], "live <= active <= resident <= mapped")
    for row in dump.get("classes", []):
        must(row["frees"] <= row["allocs"], f"frees and allocs of {row}")
        must(row["live"] <= row["slabs"] * max(65536 // row["bytes"], 1), f"live and slabs of {row}")
        by_use = sum(row[key] for key in row if key.startswith("slabs_"))
        equal(by_use, row["slabs"], "slabs by use")
    return dump


METRIC = re.compile(r'([a-z0-9_]+)(?:\{([a-z]+)="([a-z0-9_]+)"(,.*)?\})? ([0-9.]+)$')


def prom_of(text):
    """{(name, label value or None): value}; every name has its HELP and TYPE right before it."""
    must(text.endswith("\n"), "ends with a newline")
    values, name, kind = {}, None, None
    for line in text.splitlines():
        words = line.split(" ", 3)
        if line.startswith("# HELP "):
            name, kind = words[2], None
            must(len(words) == 4 and name not in [key[0] for key in values], f"help: {line}")
        elif line.startswith("# TYPE "):
            equal(words[2], name, "type of the name before")
            kind = words[3]
            equal(kind, "counter" if name.endswith("_total") else "gauge", f"type of {name}")
        else:
            match = METRIC.match(line)
            must(match and match[1] == name and kind, f"sample: {line}")
            must((name, match[3]) not in values, f"twice: {line}")
            values[(name, match[3])] = float(match[5])
    return values


def same_in_prom(dump, values):
    """All figures of a JSON dump are in the metrics, and nothing else is."""
    seen = set()

    def check(name, label, expected):
        key = next((full, label) for full in (f"poolalloc_{name}", f"poolalloc_{name}_total")
                   if (full, label) in values)
        equal(values[key], expected, key)
        seen.add(key)

    for name, value in dump["totals"].items():
        check(name, None, value)
    for row in dump["classes"]:
        for name, value in row.items():
            if name != "bytes":
                check("class_" + name, str(row["bytes"]), value)
    for name, row in dump["system_calls"].items():
        check("calls_by_kind", name, row["calls"])
        check("calls_by_kind_seconds", name, row["ns"] / 1e9)
    for name, value in dump.get("process", {}).items():
        check("process_" + name, None, value)
    for row in dump["free_spans_by_size"]:
        check("free_spans_by_size", str(row["from_bytes"]), row["spans"])
    for row in dump["objects"]:
        for name, value in row.items():
            if name not in ("number", "kind", "name"):
                check("object_" + name, str(row["number"]), value)
    equal(set(values) - seen, set(), "figures that are not in JSON")


def text_of(text):
    """The rows of the classes: {bytes or "large": (allocs, frees, live)}."""
    must(text.startswith("poolalloc: dump of process "), "its first line")
    must(max(len(line) for line in text.splitlines()) <= 100, "100 columns")
    must("\x1b" not in text, "no colour in a file")
    for fact in ("peak", "live", "biggest classes", "waste", "system calls"):
        must(f"\n  {fact} " in text, f"the fact {fact}")
    rows = re.findall(r"^ +(\d+|large) +(\d+) +(\d+) +(\d+) +[\d.]+ [KMG]?i?B", text, re.M)
    return {row[0]: tuple(map(int, row[1:])) for row in rows}


# ---- what the program says ----


def class_of(bytes_):
    """By the definition: steps of 16 up to 128, then eighths of each doubling."""
    step = 16
    while bytes_ > step * 16 or (bytes_ > 128 and step * 16 < bytes_):
        step *= 2
    step = max(16, 1 << max(0, (bytes_ - 1).bit_length() - 4))
    return -(-bytes_ // step) * step


def told(done):
    """[(bytes, allocs, frees)]"""
    return [tuple(map(int, line.split())) for line in done.stdout.splitlines()
            if re.match(r"\d+ \d+ \d+$", line)]


def check_counts(dump, lines):
    must(lines, "the program has said something")
    rows = {row["bytes"]: row for row in dump["classes"]}
    for bytes_, allocs, frees in lines:
        if bytes_ > 262144:
            totals = dump["totals"]
            equal((totals["large_allocs"], totals["large_frees"]), (allocs, frees), "large blocks")
            equal(totals["large_live_bytes"], (allocs - frees) * (-(-bytes_ // 4096) * 4096),
                  "bytes in large blocks")
            continue
        row = rows[class_of(bytes_)]
        equal((row["allocs"], row["frees"], row["live"]), (allocs, frees, allocs - frees),
              f"allocs, frees, live of {bytes_}")
        must(row["refills"] * bytes_ == row["asked_bytes"], f"asked for {bytes_}")


# ---- cases ----


def known():
    before = int(time.time() * 1000)
    done = run("known", "dump=heap,dump_format=json")
    equal(files(), ["heap"], "files")
    dump = json_of(read("heap"))
    check_counts(dump, told(done))
    equal(dump["why"], "at exit", "why")
    equal(dump["program"], os.path.basename(PROGRAM), "program")
    equal(list(dump)[:7], ["schema", "version", "pid", "program", "why", "number", "time_ms"], "head")
    must(before <= dump["time_ms"] <= time.time() * 1000, "the time is that of the dump")
    rows = {row["bytes"]: row for row in dump["classes"]}
    for bytes_, allocs, _ in told(done)[:5]:
        must(0 < rows[class_of(bytes_)]["remote_frees"] <= allocs, f"remote frees of {bytes_}")
    totals = dump["totals"]
    equal(totals["allocs"], totals["large_allocs"] + sum(row["allocs"] for row in dump["classes"]),
          "allocs in all")
    equal(totals["live_blocks"], totals["allocs"] - totals["frees"], "live blocks in all")
    equal(totals["live_bytes"], totals["large_live_bytes"] +
          sum(row["live"] * row["bytes"] for row in dump["classes"]), "live bytes in all")
    equal(totals["at_hand_bytes"], sum(row["at_hand"] * row["bytes"] for row in dump["classes"]),
          "at hand in all")
    equal(totals["system_calls"], sum(row["calls"] for row in dump["system_calls"].values()),
          "system calls in all")
    equal(totals["free_spans"], sum(row["spans"] for row in dump["free_spans_by_size"]), "gaps")
    equal(totals["heaps_busy"], 0, "heaps left out")


def prometheus():
    done = run("known", "dump=%n,dump_format=prom")
    equal(files(), ["1"], "files")
    values = prom_of(read("1"))
    for bytes_, allocs, frees in told(done)[:5]:
        label = str(class_of(bytes_))
        equal(values[("poolalloc_class_allocs_total", label)], allocs, f"allocs of {bytes_}")
        equal(values[("poolalloc_class_live", label)], allocs - frees, f"live of {bytes_}")


def text():
    done = run("known", "dump=stderr")
    rows = text_of(done.stderr)
    for bytes_, allocs, frees in told(done):
        label = str(class_of(bytes_)) if bytes_ <= 262144 else "large"
        equal(rows[label], (allocs, frees, allocs - frees), f"row of {label}")
    must("objects" not in done.stderr, "a heading of nothing")
    must(not os.path.exists("/proc/self/smaps_rollup") or "\n  huge_bytes " in done.stderr,
         "what huge pages hold")
    for what, sections in (("summary", 1), ("classes", 2), ("all", 4)):
        shown = run("known", f"dump=stderr,dump_what={what}").stderr
        text_of(shown)
        equal(len(re.findall(r"^(totals|   class .*|system calls +calls.*|fragmentation.*)$", shown,
                             re.M)), sections, f"sections of {what}")
    equal(run("known", "dump=stderr,dump_exit=off").stderr, "", "no dump")
    equal(run("quick", "dump=stderr").stderr, "", "no dump at quick_exit")


def names():
    run("known", "dump=%e-%p-%n%%-%z%,dump_what=summary,dump_format=json")
    dump = json_of(read(files()[0]))
    equal(files(), [f"{os.path.basename(PROGRAM)}-{dump['pid']}-1%%-%z%"], "its name")
    must("classes" not in dump and "advice" not in dump, "no more than was asked for")


def replace():
    with open("heap", "w", encoding="utf-8") as file:
        file.write("mine\n")
    done = run("known", "dump=heap")
    equal(done.stderr, "", "what is said of it")
    equal((files(), read("heap")), (["heap"], "mine\n"), "a file that was there")
    done = run("known", "dump=heap,verbose=on")
    must(done.stderr.endswith("\npoolalloc: no dump: what is there stays (see dump_replace): "
                              "heap\n"), "what is said of it")
    run("live", "dump=heap,dump_live_bytes=50M")
    equal((files(), read("heap")), (["heap"], "mine\n"), "a file that was there, after two dumps")
    run("known", "dump=heap,dump_replace=on")
    equal(files(), ["heap"], "files")
    first = text_of(read("heap"))
    run("live", "dump=heap,dump_live_bytes=50M,dump_replace=off")
    equal(text_of(read("heap")), first, "an earlier dump that is to be kept")
    # Dumps take the place of earlier ones in all formats, and of an empty file.
    for form in ("json", "prom", "text", "json"):
        run("live", f"dump=heap,dump_live_bytes=50M,dump_format={form},profile=stacks")
        equal(files(), ["heap", "stacks"], "files")
    equal(json_of(read("heap"))["number"], 2, "number of the last")
    must(read("stacks").startswith("heap profile: "), "a profile in another's place")
    with open("heap", "w", encoding="utf-8"):
        pass
    run("known", "dump=heap,dump_format=json")
    json_of(read("heap"))
    # What is no plain file is left alone, and not even opened: a writer waits for a reader.
    os.remove("heap")
    os.remove("stacks")
    os.mkfifo("heap")
    with subprocess.Popen(["sh", "-c", ": > heap"]) as writer:
        for way in ("on", "dumps"):
            run("known", f"dump=heap,dump_replace={way}")
        equal(writer.poll(), None, "a pipe was opened")
        writer.kill()
    must(stat.S_ISFIFO(os.stat("heap").st_mode), "a pipe")
    os.remove("heap")
    with open("target", "w", encoding="utf-8"):
        pass
    os.symlink("target", "heap")
    for way in ("on", "dumps"):
        run("known", f"dump=heap,dump_replace={way}")
        must(os.path.islink("heap") and read("target") == "", "a link")
    equal(files(), ["heap", "target"], "files")
    # As another library's profiles begin.
    with open("stacks", "w", encoding="utf-8") as file:
        file.write("heap profile: 1: 64 [1: 64] @ heapprofile\n")
    run("known", "dump=heap,profile=stacks")
    must(read("stacks").endswith("@ heapprofile\n"), "another's profile")


def limited():
    # A file may have a page: that ends the dump, not the program.
    done = run("known", "dump=heap,dump_format=json", file_max=4096)
    equal(done.stderr, "", "what is said of it")
    equal(files(), [], "files")


def quick():
    done = run("quick", "dump=heap,dump_exit=quick,dump_format=json")
    check_counts(json_of(read("heap")), told(done))


def fork():
    done = run("fork", "dump=%p-%n,dump_format=json")
    lines = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    equal(len(lines), 4, "children")
    equal(len(files()), 5, "files")
    run("fork", "dump=of-%p,dump_pid=1")
    equal(len(files()), 5, "files, where another process was to dump")
    for pid, *line in lines:
        dump = json_of(read(f"{pid}-1"))
        equal(dump["pid"], pid, "whose it is")
        check_counts(dump, [tuple(line)])


def vfork():
    run("vfork", "dump=%n,dump_signal=USR2,dump_format=json")
    equal(files(), ["1", "2", "3", "4"], "files")
    equal([json_of(read(name))["why"] for name in files()], ["on a signal"] * 3 + ["at exit"], "why")


def thread_exit():
    for _ in range(20):
        run("thread_exit", "dump=%p,dump_format=json")
    equal(len(files()), 20, "files")
    for name in files():
        equal(json_checked(read(name))["why"], "at exit", "why")


def signals():
    run("signals", "dump=heap.%n,dump_signal=USR2,dump_format=json,dump_exit=off", "heap")
    equal(len(files()), 1000, "files")
    for i in range(1000):
        dump = json_checked(read(f"heap.{i + 1}"))
        equal((dump["number"], dump["why"]), (i + 1, "on a signal"), "number and why")
    json_of(read("heap.1000"))


def wait_for(name, child):
    until = time.monotonic() + PATIENCE_S
    while not os.path.exists(name):
        must(child.poll() is None and time.monotonic() < until, f"waited for {name}")
        time.sleep(0.01)


def idle():
    with subprocess.Popen([PROGRAM, "idle"], stdout=subprocess.PIPE, text=True,
                          env=environment("dump=heap.%n,dump_signal=10,dump_format=json")) as child:
        line = child.stdout.readline()
        for name in ("heap.1", "heap.2"):
            child.send_signal(signal.SIGUSR1)
            wait_for(name, child)
        child.terminate()
        equal(child.wait(PATIENCE_S), -signal.SIGTERM, "it goes on until it is ended")
    for name in ("heap.1", "heap.2"):
        check_counts(json_of(read(name)), [tuple(map(int, line.split()))])


def interval():
    run("interval", "dump=heap.%n,dump_every_ms=1,dump_format=json,dump_exit=off", "heap")
    for name in files():
        equal(json_checked(read(name))["why"], "at an interval", "why")


def live():
    run("live", "dump=heap.%n,dump_live_bytes=50M,dump_format=json")
    equal(files(), ["heap.1", "heap.2"], "one, and that at exit")
    dump = json_of(read("heap.1"))
    must(50 << 20 <= dump["totals"]["live_bytes"] < 51 << 20, f"live {dump['totals']}")
    # The peaks of the readings: within 1/32, and a slab for each of the few classes.
    totals = json_of(read("heap.2"))["totals"]
    most = 5000 * 20480
    must(most * 31 // 32 - (1 << 20) <= totals["live_peak_bytes"] <= most + (1 << 20),
         f"live peak {totals['live_peak_bytes']}")
    must(totals["live_peak_bytes"] <= totals["used_peak_bytes"], "used has been more than live")


def fatal():
    fault = r"poolalloc: fatal: free of a pointer that is no block: 0x[0-9a-f]+, class \d+\n"
    done = run("fatal", "dump=heap", status=-signal.SIGABRT)
    must(re.fullmatch(fault, done.stderr) and files() == [], "no dump where none is asked for")
    done = run("fatal", "dump=heap,dump_fatal=on,dump_format=json", status=-signal.SIGABRT)
    must(re.fullmatch(fault, done.stderr), f"the line: {done.stderr}")
    dump = json_of(read("heap"))
    check_counts(dump, told(done))
    equal(dump["why"], "after a fault", "why")


def closed():
    """Where nothing can be written, nothing is left, nor said, or one line by verbose=on."""
    os.mkdir("directory")
    for name, says in (("no/such/directory", "cannot write a dump to no/such/directory"),
                       ("directory", "no dump: what is there stays"),
                       ("/proc/heap", "cannot write a dump to /proc/heap"),
                       ("%p" * 119, "cannot write a dump to "), ("directory/" + "y" * 200, "")):
        equal(run("known", f"dump={name}").stderr, "", f"said of {name}")
        if not says:
            os.remove(name)
        said = run("known", f"verbose=on,dump={name}").stderr.splitlines()
        said = [line for line in said if " dump to " in line or "no dump: " in line]
        equal(len(said), int(says != ""), f"lines about {name}")
        must(not says or said[0].startswith(f"poolalloc: {says}"), f"of {name}: {said!r}")
    equal(files(), ["directory"], "files")
    equal(os.listdir("directory"), ["y" * 200], "the only name that can be")


def doors():
    done = run("doors", "", "heap")
    dump = json_of(read("heap.json"))
    totals = dump["totals"]
    check_counts(dump, told(done)[:4])
    same_in_prom(dump, prom_of(read("heap.prom")))
    rows = text_of(read("heap.text"))
    equal(text_of(done.stderr), rows, "malloc_stats and the dump")
    for row in dump["classes"]:
        equal(rows[str(row["bytes"])], (row["allocs"], row["frees"], row["live"]), "text and JSON")
    must(dump["objects_are_all"], "all objects are shown")
    check_objects(dump["objects"])
    must('kind="pool",name="n\\"o\xf6?"} 2\n' in read("heap.prom"), "labels of an object")
    must(re.search(r'^  pool +n"o\xf6\? +48 +2 +2 +\d+ +[0-9.]+ [KM]iB\n +calls that got nothing: 1,',
                   read("heap.text"), re.M), "objects as text")
    regions = totals["mapped_bytes"] - totals["direct_bytes"] - totals["record_bytes"]
    info = re.search(r"^mallinfo2 (.*)$", done.stdout, re.M)[1].split()
    in_regions = totals["live_bytes"] - totals["direct_bytes"]
    equal(list(map(int, info)), [regions, totals["free_spans"], 1, 64 << 20, in_regions,
                                 regions - in_regions, totals["dirty_bytes"]], "mallinfo2")
    stats = re.search(r"^stats (.*)$", done.stdout, re.M)[1].split()
    shown = [totals[name] for name in ("live_bytes", "mapped_bytes", "allocs")]
    equal(list(map(int, stats)), shown, "poolalloc_stats_get")
    check_xml(xml.etree.ElementTree.parse("heap.xml").getroot(), dump, regions)


def check_objects(rows):
    shown = [(row["number"], row["kind"], row["name"], row["piece_bytes"], row["in_use"],
              row["in_use_peak"], row["failures"], row["waits"]) for row in rows]
    equal(shown, [(1, "pool", 'n"o\xf6?', 48, 2, 2, 1, 0), (2, "arena", "text", 1, 0, 600, 0, 0),
                  (3, "buffers", "-", 100, 1, 1, 0, 0)], "objects")
    must(rows[0]["pieces"] >= 2 and rows[1]["pieces"] >= 1000, "pieces there is memory for")
    equal(rows[2]["pieces"], 3, "buffers")
    must(all(row["memory_bytes"] >= row["pieces"] * row["piece_bytes"] for row in rows), "memory")


def check_xml(root, dump, regions):
    equal((root.tag, root.get("version")), ("malloc", "1"), "root")
    free = {row["bytes"]: row["at_hand"] + row["slab_free"] for row in dump["classes"]}
    found = {int(size.get("to")): int(size.get("count")) for size in root.iter("size")}
    equal(found, {bytes_: n for bytes_, n in free.items() if n > 0}, "free blocks by size")
    for size in root.iter("size"):
        equal(int(size.get("total")), int(size.get("to")) * int(size.get("count")), "bytes of them")
    mmap = root.find("total[@type='mmap']")
    equal((mmap.get("count"), mmap.get("size")), ("1", str(64 << 20)), "direct blocks")
    equal(int(root.find("system[@type='current']").get("size")), regions, "regions")
    rest = root.find("heap/total[@type='rest']")
    equal(int(rest.get("size")), dump["totals"]["free_bytes"], "free spans")


# ---- the profile ----


ENTRY = re.compile(r"(\d+): (\d+) \[(\d+): (\d+)\] @((?: 0x[0-9a-f]+)+)$")


def profile_of(text):
    """[(live blocks, live bytes, blocks, bytes, [addresses])], as pprof would scale them."""
    head, _, rest = text.partition("\n")
    match = re.match(r"heap profile: *(\d+): *(\d+) *\[ *(\d+): *(\d+) *\] *@ *heap_v2/(\d+)$", head)
    must(match, f"head: {head}")
    interval = int(match[5])
    entries, separator, maps = rest.partition("\nMAPPED_LIBRARIES:\n")
    must(separator and re.search(r"r-xp .*/stats_program(_static)?$", maps, re.M), "maps")
    sums, found = [0, 0, 0, 0], []
    for line in entries.splitlines():
        entry = ENTRY.match(line)
        must(entry, f"entry: {line}")
        counts = [int(entry[i]) for i in range(1, 5)]
        sums = [a + b for a, b in zip(sums, counts)]
        found.append(scaled(counts[:2], interval) + scaled(counts[2:], interval) +
                     [[int(pc, 16) for pc in entry[5].split()]])
    equal(sums, [int(match[i]) for i in range(1, 5)], "sums in the head")
    return interval, found


def scaled(counts, interval):
    n, size = counts
    if n == 0:
        equal(size, 0, "bytes of no blocks")
        return [0, 0]
    scale = 1 / (1 - math.exp(-size / n / interval))
    return [n * scale, size * scale]


def profile():
    conf = "profile=heap.%n,profile_bytes=64K"
    done = run("profile", conf, "by-call")
    equal(files(), ["by-call", "heap.1"], "files")
    sites = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("site ")]
    for name in files():
        check_sites(sites, *profile_of(read(name)))
    os.environ["EXPECT_NONE"] = "1"
    run("profile", "dump=none", "nothing")
    equal(read("nothing"), "", "no profile where nothing is sampled")


def jumped():
    """Stacks are known again once the unwinder has been left by a jump: of all blocks but one."""
    done = run("jumped", "profile=heap,profile_bytes=1")
    _, start, _, every = done.stdout.split()[1:5]
    _, entries = profile_of(read("heap"))
    got = sum(entry[3] for entry in entries if 0 < entry[4][0] - int(start) < 64)
    must(got >= int(every) - 1000, f"{got:.0f} bytes of {every}")


def check_sites(sites, interval, entries):
    """Six standard deviations, of a sum of independent samples."""
    must(len(sites) == 9, "the program has said where")
    starts = [int(site[1]) for site in sites]
    for name, address, live, every in sites:
        mine = [entry for entry in entries
                if max((s for s in starts if s < entry[4][0]), default=0) == int(address) and
                entry[4][0] < int(address) + 64]
        for expected, column in ((int(live), 1), (int(every), 3)):
            got = sum(entry[column] for entry in mine)
            error = 6 * math.sqrt(max(interval, 100000) * expected)
            must(abs(got - expected) <= error, f"{name}: {got:.0f} of {expected}, not +-{error:.0f}")


def identities():
    run("identities", "")


CASES = [known, prometheus, text, names, replace, limited, quick, fork, vfork, thread_exit,
         signals, idle, interval, live, fatal, closed, doors, identities, profile, jumped]


def main():
    global PROGRAM
    PROGRAM = os.path.abspath(sys.argv[1])
    case = next(case for case in CASES if case.__name__ == sys.argv[2])
    home = os.getcwd()
    with tempfile.TemporaryDirectory(prefix="stats-", dir=home) as scratch:
        os.chdir(scratch)
        try:
            case()
        except Fault as fault:
            print(f"does not hold: {fault}")
            return 1
        finally:
            os.chdir(home)
    return 0


sys.exit(main())
