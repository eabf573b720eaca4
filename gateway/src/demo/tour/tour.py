"""The tour: what the demo promises, checked step by step by real clients.

usage: tour.py DATA_DIR DOMICILE

DATA_DIR is that of a running `domicile demo`, DOMICILE the program. Each step is a function whose name is the claim; it
prints what it saw, or what it expected and saw instead. The exit code is 0 only if every step held.
"""

import pathlib
import sys
import time
import traceback

import approvals
import copies
import dataset
import ends
import evidence
import faults
import law
import operators
import proof
import registers
import repairs
import reports
import versions
import walk
from clients import Demo, Mismatch


def steps():
    """Every step in its order: later ones use what earlier ones stored."""
    # The last step waits for time to pass: what others take of it need not be waited for.
    *evidences, stale = evidence.STEPS
    objects = [*dataset.STEPS, *law.STEPS, *copies.STEPS, *versions.STEPS, *walk.STEPS, *ends.STEPS, *operators.STEPS]
    return [*objects, *registers.STEPS, *approvals.STEPS, *evidences, *faults.STEPS, *repairs.STEPS, *proof.STEPS, *reports.STEPS, stale]


def main(data_dir, program):
    demo = Demo(pathlib.Path(data_dir), program)
    failed = []
    for number, step in enumerate(steps(), start=1):
        claim = step.__name__.replace("_", " ")
        print(f"{number:2}. {claim}")
        begun = time.monotonic()
        try:
            for line in step(demo):
                print(f"      {line}")
        except Mismatch as mismatch:
            print(f"      DOES NOT HOLD: {mismatch}")
            failed.append(claim)
        except Exception as error:
            # A client that breaks is a step that did not hold; the next steps still tell something.
            print(f"      BROKE: {type(error).__name__}: {error}")
            traceback.print_exc(limit=-4, file=sys.stdout)
            failed.append(claim)
        print(f"      ({time.monotonic() - begun:.1f} s)")
    held = len(steps()) - len(failed)
    print(f"\n{held} of {len(steps())} steps held")
    for claim in failed:
        print(f"  did not hold: {claim}")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2]))
