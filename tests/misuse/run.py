# SPDX-License-Identifier: MIT
"""Runs the list of misuse under allocators, and says who stops what.

    run.py [OPTION]... PROGRAM

    --under 'NAME=LIBRARY [VARIABLE=VALUE]...'
                      an allocator: what to preload (nothing: the system's own), and its settings
    --peers           glibc, and the others that are installed beside it
    --only PATTERN    only such cases: double-free.*, *.small
    --jobs N          so many at a time
    --json            all verdicts, as JSON
    --cases           all verdicts, a line a case
    --stopped FILE    each case that FILE names must be stopped, and none may crash or hang
    --whole KIND      FILE must name all cases of this kind

Without --json and --cases: a table of how many cases are stopped, "at once + later", a row an
allocator. A case's verdict:

    at once    the program was ended by the wrong call or access itself, or before the next thing
    later      it was ended afterwards, with a word about it
    kept       of stale data: there was none to see
    crashed    it died by a signal with no word about it, and not by the wrong access itself
    told       it went on, but something was said on stderr
    harmed     it went on, and data had changed, a block had two owners, or old data was seen
    unnoticed  it went on as if nothing had been
"""
import argparse
import collections
import concurrent.futures
import fnmatch
import json
import os
import resource
import signal
import subprocess
import sys

PATIENCE_S = 20
STOPPED = ("at once", "later", "kept")
VERDICTS = STOPPED + ("crashed", "told", "harmed", "unnoticed", "hung", "failed")

Allocator = collections.namedtuple("Allocator", "name library settings")

# Name, library, settings. The first that is there of several names counts.
PEERS = (
    ("glibc", "", {}),
    ("glibc, checked", "libc_malloc_debug.so.0",
     {"MALLOC_CHECK_": "3", "GLIBC_TUNABLES": "glibc.malloc.check=3"}),
    ("glibc, checked, perturb", "libc_malloc_debug.so.0",
     {"MALLOC_CHECK_": "3", "MALLOC_PERTURB_": "165",
      "GLIBC_TUNABLES": "glibc.malloc.check=3:glibc.malloc.perturb=165"}),
    ("mimalloc", "libmimalloc.so.2", {}),
    ("mimalloc, secure", "libmimalloc-secure.so.2", {}),
    ("jemalloc", "libjemalloc.so.2", {}),
    ("jemalloc, junk", "libjemalloc.so.2", {"MALLOC_CONF": "junk:true"}),
    ("tcmalloc", "libtcmalloc_minimal.so.4", {}),
    ("tcmalloc, debug", "libtcmalloc_minimal_debug.so.4", {}),
    ("tbbmalloc", "libtbbmalloc_proxy.so.2", {}),
)


# ---- allocators ----


def library_folders():
    """Where libc lies, and the usual others: as bench does it."""
    folders = ["/usr/local/lib", "/usr/lib64", "/usr/lib"]
    with open("/proc/self/maps", encoding="utf-8") as maps:
        for line in maps:
            path = line.split(None, 5)[-1].strip()
            if os.path.basename(path).startswith("libc.so."):
                folder = os.path.dirname(path)
                return [folder, "/usr" + folder] + folders
    return folders


def installed(name):
    for folder in library_folders():
        path = os.path.join(folder, name)
        if os.path.exists(path):
            return os.path.realpath(path)
    return None


def peers():
    found = []
    for name, library, settings in PEERS:
        path = installed(library) if library else ""
        if path is not None:
            found.append(Allocator(name, path, settings))
        else:
            print(f"not installed, skipped: {name}", file=sys.stderr)
    return found


def allocator_of(text):
    name, _, rest = text.partition("=")
    library, *settings = rest.split(" ")
    return Allocator(name, library, dict(item.split("=", 1) for item in settings if item))


def environment(allocator):
    cleared = ("POOLALLOC_CONF", "LD_PRELOAD", "MALLOC_CONF", "MALLOC_CHECK_", "GLIBC_TUNABLES")
    variables = {name: value for name, value in os.environ.items() if name not in cleared}
    if allocator.library:
        variables["LD_PRELOAD"] = allocator.library
    variables.update(allocator.settings)
    return variables


# ---- running and judging ----


def no_core():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def verdict_of_death(number, said, last):
    is_once = last in ("wrong", "access")
    if said.strip() or (number == signal.SIGABRT and is_once):
        return "at once" if is_once else "later"
    if last == "access" and number in (signal.SIGSEGV, signal.SIGBUS):
        return "at once"
    return "crashed"


def verdict_of(case, status, out, said):
    lines = out.split("\n")[:-1]
    last = [line for line in lines if not line.startswith("harm: ")][-1:] or [""]
    if status < 0:
        return verdict_of_death(-status, said, last[0])
    if last[0] != "survived":
        return "failed"
    if any(line.startswith("harm: ") for line in lines):
        return "harmed"
    if said.strip():
        return "told"
    return "kept" if case.startswith("stale-data.") else "unnoticed"


def run(program, allocator, case):
    try:
        done = subprocess.run([program, case], env=environment(allocator), timeout=PATIENCE_S,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="replace", check=False, preexec_fn=no_core)
    except subprocess.TimeoutExpired:
        return {"verdict": "hung", "status": None, "harm": [], "said": ""}
    return {
        "verdict": verdict_of(case, done.returncode, done.stdout, done.stderr),
        "status": done.returncode,
        "harm": [line[6:] for line in done.stdout.split("\n") if line.startswith("harm: ")],
        "said": done.stderr.strip().split("\n")[0],
    }


def cases_of(program, pattern):
    done = subprocess.run([program], capture_output=True, text=True, check=True)
    return [case for case in done.stdout.split() if fnmatch.fnmatch(case, pattern)]


def run_all(program, allocators, cases, jobs):
    """Allocator's name: case: what came of it."""
    pairs = [(allocator, case) for allocator in allocators for case in cases]
    results = {allocator.name: {} for allocator in allocators}
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        found = pool.map(lambda pair: run(program, *pair), pairs)
        for (allocator, case), result in zip(pairs, found):
            results[allocator.name][case] = result
    return results


# ---- showing ----


def count(results, verdicts):
    return sum(result["verdict"] in verdicts for result in results)


def cell(results):
    once, later = count(results, ("at once", "kept")), count(results, ("later",))
    return f"{once}" + (f" + {later}" if later else "")


def columns(results):
    """A column a kind of misuse, and after all of them what became of the rest."""
    names = list(results)
    cases = list(results[names[0]])
    yield ["", "of"] + names
    for kind in dict.fromkeys(case.split(".")[0] for case in cases):
        mine = [case for case in cases if case.split(".")[0] == kind]
        yield [kind, str(len(mine))] + [cell([results[name][case] for case in mine])
                                        for name in names]
    yield ["all", str(len(cases))] + [str(count(results[name].values(), STOPPED)) for name in names]
    for verdict in VERDICTS[len(STOPPED):]:
        counts = [count(results[name].values(), (verdict,)) for name in names]
        if any(counts):
            yield [verdict, ""] + [str(n) for n in counts]


def print_table(results):
    for i, row in enumerate(zip(*columns(results))):
        print("| " + " | ".join(row) + " |")
        if i == 0:
            print("|---|" + "---|" * (len(row) - 1))


def print_cases(results):
    for name, found in results.items():
        for case, result in found.items():
            print(f"{name}\t{case}\t{result['verdict']}\t{'; '.join(result['harm'])}\t"
                  f"{result['said']}")


# ---- the list of what must be stopped ----


def names_in(path):
    with open(path, encoding="utf-8") as file:
        return {line.strip() for line in file if line.strip() and not line.startswith("#")}


def hold_against(results, path, pattern, whole):
    """What is worse than the list says, a line each."""
    named = names_in(path)
    cases = {case for found in results.values() for case in found}
    worse = [f"{path} does not name {case}"
             for case in sorted(cases - named) if case.split(".")[0] in whole]
    for name, found in results.items():
        gone = [case for case in sorted(named - set(found)) if fnmatch.fnmatch(case, pattern)]
        worse += [f"{name}: {case}: there is no such case" for case in gone]
        for case, result in found.items():
            verdict = result["verdict"]
            if case in named and verdict not in STOPPED:
                worse.append(f"{name}: {case}: must be stopped, was: {result}")
            elif verdict in ("crashed", "hung", "failed"):
                worse.append(f"{name}: {case}: {result}")
            elif case not in named and verdict in STOPPED:
                print(f"{name}: {case}: {verdict}, and {path} does not ask for it")
    return worse


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("program")
    parser.add_argument("--under", action="append", default=[], type=allocator_of)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--only", default="*")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--cases", action="store_true")
    parser.add_argument("--stopped")
    parser.add_argument("--whole", action="append", default=[])
    order = parser.parse_args()

    allocators = (peers() if order.peers else []) + order.under
    cases = cases_of(order.program, order.only)
    if not allocators or not cases:
        parser.error("no allocator, or no such case")
    results = run_all(order.program, allocators, cases, order.jobs)
    if order.json:
        json.dump(results, sys.stdout, indent=1)
    elif order.cases:
        print_cases(results)
    elif not order.stopped:
        print_table(results)
    worse = []
    if order.stopped:
        worse = hold_against(results, order.stopped, order.only, order.whole)
    for line in worse:
        print(line)
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
