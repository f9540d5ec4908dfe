"""The planted test: a run fails with one chance when its cause is there, with another when not.

As a program (`oracle.py STATE`) it is the test script for `git bisect run`: it reads the version
from the file `version` in the working folder, and its generator and its count of calls from STATE.
"""

import sys

MASK = (1 << 64) - 1


class Oracle:
    """Runs drawn from splitmix64, one draw a run.

    A test may be repeated: it then fails at its `need`-th failing run of at most `tries`, and
    stops as soon as its outcome is settled.
    """

    def __init__(self, seed, fires, spurious, need=1, tries=1, calls=0):
        self.state = seed & MASK
        self.fires, self.spurious = fires, spurious
        self.need, self.tries = need, tries
        self.calls = calls

    def _run(self, active):
        self.calls += 1
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        z ^= z >> 31
        return (z >> 11) * 2.0**-53 < (self.fires if active else self.spurious)

    def fails(self, active):
        failures = 0
        for left in range(self.tries, 0, -1):
            if failures + left < self.need:
                break
            failures += self._run(active)
            if failures == self.need:
                return True
        return False


def main():
    with open(sys.argv[1], encoding="ascii") as file:
        state, calls, first_bad, fires, spurious, need, tries = file.read().split()
    with open("version", encoding="ascii") as file:
        active = int(file.read()) >= int(first_bad)
    oracle = Oracle(int(state), float(fires), float(spurious), int(need), int(tries), int(calls))
    failed = oracle.fails(active)
    with open(sys.argv[1], "w", encoding="ascii") as file:
        print(oracle.state, oracle.calls, first_bad, fires, spurious, need, tries, file=file)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        code = main()
    except Exception as error:
        # Anything below 128 would be taken for the outcome of a test.
        print(f"oracle: {error!r}", file=sys.stderr)
        code = 255
    sys.exit(code)
