"""Plays planted searches with other tools: see README.md."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import namedtuple
from pathlib import Path

from oracle import Oracle

ORACLE = Path(__file__).resolve().with_name("oracle.py")

# What a tool said: `answer` is a list of sets ([] for "nothing fails"), or the index of a version,
# or None when it gave up.
Played = namedtuple("Played", "answer calls")

# A way to use a tool. `play(case, seed)` returns a Played.
Way = namedtuple("Way", "label play noisy_only")

# (words, failures needed, tries) of a test script that repeats its test.
REPEATS = [(", script: 1 failure in 5", 1, 5), (", script: 2 failures in 6", 2, 6)]


def noisy(case):
    return (case["fires"], case["spurious"]) != (1.0, 0.0)


def active(case, chosen):
    """Whether a run with the conditions `chosen` has a cause to fail."""
    for minimal in case["minimal"]:
        healed = any(h in chosen and set(m) == set(minimal) for h, m in case.get("heals", []))
        if set(minimal) <= chosen and not healed:
            return True
    return False


def with_repeats(label, make, *options):
    """The tool with a plain test script, and with scripts that repeat the test."""
    ways = [Way(label, make(*options, 1, 1), False)]
    ways += [Way(label + words, make(*options, need, tries), True) for words, need, tries in REPEATS]
    return ways


# envbisect: its whole diagnosis in process, with the part that starts the command replaced.


def envbisect_ways(folder):
    from envbisect.diagnose import Diagnoser, DiagnosisProblem
    from envbisect.models import RunResult, Status

    class Runner:
        def __init__(self, case, oracle):
            self.case, self.oracle = case, oracle

        def run(self, env):
            chosen = {int(name[1:]) for name, value in env.items() if value == "1"}
            failed = self.oracle.fails(active(self.case, chosen))
            return RunResult(Status.FAIL if failed else Status.PASS, int(failed), 0.0, "", "")

    def snapshots(count):
        # The tool goes through the variables by name: as many digits for all keep the order.
        paths = [folder / f"{count}-{value}.env" for value in (0, 1)]
        for value, path in enumerate(paths):
            if not path.exists():
                path.write_text("".join(f"C{i:04}={value}\n" for i in range(count)))
        return paths

    def make(repeats, need, tries):
        def play(case, seed):
            oracle = Oracle(seed, case["fires"], case["spurious"], need, tries)
            diagnoser = Diagnoser(["test"], repeats=repeats, host_environment={})
            diagnoser.runner = Runner(case, oracle)
            try:
                found = diagnoser.diagnose(*snapshots(case["conditions"])).minimal_changes
            except DiagnosisProblem as problem:
                # "Nothing fails" is what it says when every run of both sides passed.
                sides = [b and b.status for b in (problem.pass_batch, problem.fail_batch)]
                nothing = problem.stage == "baseline" and sides == [Status.PASS, Status.PASS]
                return Played([] if nothing else None, oracle.calls)
            return Played([{int(change.key[1:]) for change in found}], oracle.calls)

        return play

    return [Way("envbisect", make(3, 1, 1), False)] + with_repeats("envbisect --repeats 1", make, 1)


# picire: its single-process delta debugging over the numbers of the conditions.


def picire_ways(_folder):
    from picire import DD, Outcome

    def make(need, tries):
        def play(case, seed):
            oracle = Oracle(seed, case["fires"], case["spurious"], need, tries)
            tests = 0

            def test(config, _config_id):
                nonlocal tests
                tests += 1
                return Outcome.FAIL if oracle.fails(active(case, set(config))) else Outcome.PASS

            try:
                found = DD(test)(list(range(case["conditions"])))
            except AssertionError:
                # It asserts that what it holds fails, before every round. Before the first one
                # that says "nothing fails"; later it is the end of the search.
                return Played([] if tests == 1 else None, oracle.calls)
            return Played([set(found)], oracle.calls)

        return play

    return with_repeats("picire", make)


# git bisect run: real commits, a real script.


def git_environment():
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    person = {"NAME": "Comparison", "EMAIL": "comparison@example.invalid", "DATE": "1700000000 +0000"}
    for role in ("AUTHOR", "COMMITTER"):
        env.update({f"GIT_{role}_{key}": value for key, value in person.items()})
    return env | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}


def git_ways(folder):
    env = git_environment()
    state = folder / "state"
    repositories = {}

    def git(repository, *words, feed=None):
        done = subprocess.run(
            ["git", *words], cwd=repository, env=env, input=feed, text=True, capture_output=True,
            timeout=120, check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"git {words[0]} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def repository(count):
        """A repository with one commit a version, made once, and its commits in order."""
        if count not in repositories:
            path = folder / f"versions-{count}"
            path.mkdir()
            git(path, "init", "--quiet", "--initial-branch=main")
            stream = []
            for index in range(count):
                who = f"{env['GIT_COMMITTER_NAME']} <{env['GIT_COMMITTER_EMAIL']}> {1700000000 + index} +0000"
                message, content = f"version {index}\n", f"{index}\n"
                stream.append(
                    f"commit refs/heads/main\ncommitter {who}\ndata {len(message)}\n{message}"
                    f"M 100644 inline version\ndata {len(content)}\n{content}\n"
                )
            git(path, "fast-import", "--quiet", feed="".join(stream))
            git(path, "reset", "--hard", "--quiet")
            repositories[count] = path, git(path, "rev-list", "--reverse", "main").split()
        return repositories[count]

    def make(need, tries):
        def play(case, seed):
            path, commits = repository(case["count"])
            first_bad = case["count"] if case["first_bad"] is None else case["first_bad"]
            words = (seed, 0, first_bad, case["fires"], case["spurious"], need, tries)
            state.write_text(" ".join(map(repr, words)))
            git(path, "bisect", "start", commits[-1], commits[0])
            git(path, "bisect", "run", sys.executable, "-I", "-S", str(ORACLE), str(state))
            found = git(path, "rev-parse", "refs/bisect/bad").strip()
            git(path, "bisect", "reset")
            return Played(commits.index(found), int(state.read_text().split()[1]))

        return play

    return with_repeats("git bisect", make)


# git-bayesect: its `Bisector`, in the loop of its `git bayesect run`.


def bayesect_ways(_folder):
    import numpy
    from git_bayesect import Bisector

    most = 2000

    def make(confidence):
        def play(case, seed):
            count = case["count"]
            first_bad = count if case["first_bad"] is None else case["first_bad"]
            oracle = Oracle(seed, case["fires"], case["spurious"])
            bisector = Bisector(numpy.ones(count))
            with numpy.errstate(all="ignore"):
                while oracle.calls < most:
                    # Its index 0 is the newest version.
                    index = bisector.select()
                    bisector.record(index, oracle.fails(count - 1 - index >= first_bad))
                    if bisector.distribution.max() >= confidence:
                        return Played(count - 1 - int(bisector.distribution.argmax()), oracle.calls)
            return Played(None, oracle.calls)

        return play

    return [
        Way("git-bayesect", make(0.95), False),
        Way("git-bayesect --confidence 0.99", make(0.99), False),
    ]


# (name, which cases, its ways): the quick ones first, as time left over goes to those after.
TOOLS = [
    ("picire", "sets", picire_ways),
    ("envbisect", "sets", envbisect_ways),
    ("git-bayesect", "versions", bayesect_ways),
    ("git bisect", "versions", git_ways),
]


def right(case, answer):
    if "count" in case:
        return answer is not None and answer == case["first_bad"]
    if answer is None:
        return False
    return {frozenset(s) for s in answer} == {frozenset(s) for s in case["minimal"]}


def planned(ways, cases):
    """What a tool is to play, and the rows for what comes of it."""
    plans = [(way, case) for way in ways for case in cases if noisy(case) or not way.noisy_only]
    return plans, [
        {
            "tool": way.label, "case": case["name"], "kind": case.get("kind", "versions"),
            "fires": case["fires"], "spurious": case["spurious"], "searches": 0, "right": 0,
            "wrong": 0, "gave_up": 0, "mean_calls": None, "planned": len(case["seeds"]), "calls": 0,
        }
        for way, case in plans
    ]


def play(plans, rows, deadline):
    """Plays the first seed of everything, then the second, until the deadline."""
    for turn in range(max((len(case["seeds"]) for _, case in plans), default=0)):
        for (way, case), row in zip(plans, rows):
            if turn >= len(case["seeds"]):
                continue
            if time.monotonic() >= deadline:
                return
            played = way.play(case, case["seeds"][turn])
            row["searches"] += 1
            row["calls"] += played.calls
            row["mean_calls"] = round(row["calls"] / row["searches"], 2)
            if right(case, played.answer):
                row["right"] += 1
            elif played.answer is None:
                row["gave_up"] += 1
            else:
                row["wrong"] += 1


def aligned(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:])]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def share(rows):
    searches = sum(row["searches"] for row in rows)
    return f"{100 * sum(row['right'] for row in rows) / searches:.0f} %" if searches else "-"


def tables(rows):
    groups = {}
    for row in rows:
        groups.setdefault((row["tool"], row["fires"], row["spurious"]), []).append(row)
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    first = [("tool", "fires", "spurious", "searches", "planned", "right", "", "wrong", "gave up", "mean calls")]
    second = [("right, by kind", "fires", "spurious", *kinds)]
    for (tool, fires, spurious), group in groups.items():
        names = ("searches", "planned", "right", "wrong", "gave_up", "calls")
        total = {name: sum(row[name] for row in group) for name in names}
        searches = total["searches"]
        first.append((
            tool, str(fires), str(spurious), str(searches), str(total["planned"]), str(total["right"]),
            share(group), str(total["wrong"]), str(total["gave_up"]),
            f"{total['calls'] / searches:.1f}" if searches else "-",
        ))
        by_kind = [[row for row in group if row["kind"] == kind] for kind in kinds]
        second.append((tool, str(fires), str(spurious), *(share(part) for part in by_kind)))
    return aligned(first) + "\n\n" + aligned(second)


def main():
    parser = argparse.ArgumentParser(description="Plays planted searches with other tools.")
    parser.add_argument("cases", help="JSON file with the cases")
    parser.add_argument("--budget", type=float, default=300, metavar="SECONDS")
    options = parser.parse_args()
    with open(options.cases, encoding="utf-8") as file:
        cases = json.load(file)

    end = time.monotonic() + options.budget
    everything, notes = [], []
    with tempfile.TemporaryDirectory(prefix="others-") as folder:
        for at, (name, group, ways) in enumerate(TOOLS):
            begun = time.monotonic()
            deadline = begun + max(0.0, end - begun) / (len(TOOLS) - at)
            rows, trouble = [], ""
            try:
                plans, rows = planned(ways(Path(folder)), cases.get(group, []))
                play(plans, rows, deadline)
            except Exception as error:  # A tool that breaks must not end the others.
                trouble = f"{type(error).__name__}: {error}"
                print(json.dumps({"tool": name, "broke": trouble}), flush=True)
            for row in rows:
                print(json.dumps({k: v for k, v in row.items() if k != "calls"}), flush=True)
            everything += rows
            note = f"{name}: {time.monotonic() - begun:.1f} s"
            left = sum(row["planned"] - row["searches"] for row in rows)
            if left:
                most = max(row["planned"] for row in rows)
                seeds = min(row["searches"] for row in rows if row["planned"] == most)
                note += f", {left} searches not played, only the first {seeds} of up to {most} seeds"
            notes.append(f"{note}, broke: {trouble}" if trouble else note)
    if everything:
        print(tables(everything), file=sys.stderr)
    print("\n" + "\n".join(notes), file=sys.stderr)


if __name__ == "__main__":
    main()
