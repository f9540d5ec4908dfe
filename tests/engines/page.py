"""The page docs/engines-measured.md, from the rows that matrix.py kept."""

import json
import re

HEAD = """\
# What each engine showed

You want to know how exitone works on an engine that you do not have: look it up here. On your own engine, run
`exitone doctor`. `tests/engines/matrix.py` ran each engine, made of Debian packages and without internet access, in one
of two places: in namespaces of a machine with two CPUs (cgroup v1), or in a small virtual machine (3 GB, cgroup v2, no
AppArmor). arm64 is emulated, about twenty times slower. On Docker 20.10 with cgroup v1 all tests run every day.

- **proved**: how many of the conditions `exitone doctor` proved with its test programs.
- **slice**: the cases of `scenarios/history.yaml` (v19 to v24 of the bundled incident) that came out as expected.
- **why**: the minimal sets that `exitone why` found for two of its images.
- **kill**: the seconds until nothing was left (containers, volumes, ssh processes), after `kill -9` at three moments.
- **case**: one case in a session ÷ that engine's own `run --rm` of the same program.
"""


def kernel(doctor):
    """`6.18.44, cgroup v1`, without what a distribution adds to the version."""
    version, _, groups = doctor.get("kernel", "–").partition(", ")
    return ", ".join(filter(None, [version.split("-")[0], groups]))


def row_of(seen):
    doctor = seen.get("doctor", {})
    slice_ = seen.get("slice", {})
    summary = slice_.get("summary", {})
    proved = f"{doctor['proved']} of {doctor['all']} ({doctor['seconds']:.0f} s)" if "proved" in doctor else "no"
    judged = f"{summary['expected']} of {summary['cases']} ({slice_['seconds']:.0f} s)" if summary else "no" if slice_ else "–"
    if summary.get("skipped"):
        judged += f", {summary['skipped']} skipped"
    whys = [f"{answer['sets']} {'set' if answer['sets'] == 1 else 'sets'}, {answer['seconds']:.0f} s" if "runs" in answer else "no"
            for answer in seen.get("why", {}).values()]
    gone = [f"{kill['gone']:.0f}" if kill["gone"] is not None else "never" for kill in seen.get("kill", [])]
    overhead = seen.get("overhead")
    case = overhead[0].rsplit(" ", 1)[-1] if isinstance(overhead, list) and overhead else "–"
    cleaned = seen.get("clean", {})
    left = (cleaned["left"] + cleaned["images"] or "nothing") if cleaned else "–"
    cells = [seen["title"], seen.get("version", "–"), kernel(doctor), seen["date"], proved, judged, " · ".join(whys) or "–",
             " · ".join(gone) + " s" if gone else "–", case, str(left)]
    return "| " + " | ".join(cells) + " |"


def reasons(seen):
    lines = []
    for one in seen.get("doctor", {}).get("not", []):
        how = "skipped" if one["skipped"] else "not proved"
        what = re.sub(r"\b[0-9a-f]{64}\b", "…", one["what"])
        lines.append(f"- `{one['condition']}` {how}: {what}")
    for reason in seen.get("slice", {}).get("skipped", []):
        lines.append(f"- in the slice: {reason}")
    for step in ("doctor", "slice"):
        if seen.get(step, {}).get("error"):
            lines.append(f"- {step}: {seen[step]['error'].splitlines()[-1]}")
    lines += [f"- {note}" for note in seen.get("notes", [])]
    if "broke" in seen:
        lines.append(f"- the rest was not run: {seen['broke'].splitlines()[0]}")
    return lines


def page(names, folder):
    rows = [json.loads((folder / f"{name}.json").read_text()) for name in names if (folder / f"{name}.json").exists()]
    table = ["| engine | version | kernel | tried | proved | slice | why | kill | case | left by `clean` |", "|---|---|---|---|---|---|---|---|---|---|"]
    table += [row_of(seen) for seen in rows]
    text = HEAD + "\n" + "\n".join(table) + "\n"
    notes = [(seen["title"], reasons(seen)) for seen in rows]
    if any(lines for _, lines in notes):
        text += "\n## Every no, with its reason\n"
    for title, lines in notes:
        if lines:
            text += f"\n**{title}**\n\n" + "\n".join(lines) + "\n"
    return text
