"""`./scripts/simulate workers`: runs fleets of workers and says what they came to."""

import argparse
import logging
import sys
import time

from tests.fleet.fleet import BrokenError, simulate

STEPS = 10_000
DEATH = 1 / 1_000


def main() -> int:
    """Run what the command line asks for; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(
        prog="simulate workers", description="Simulates ten workers and faults; a seed says all."
    )
    parser.add_argument("--seeds", type=int, default=10, help="how many (10)")
    parser.add_argument("--first-seed", type=int, default=0, help="where to begin (0)")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of half a second ({STEPS})")
    parser.add_argument("--death", type=float, default=DEATH, help=f"of a worker, a step ({DEATH})")
    arguments = parser.parse_args()
    logging.getLogger("resonate_sdk").setLevel(logging.CRITICAL)  # trouble is what is wanted
    broken = 0
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        began_s = time.monotonic()
        try:
            outcome = simulate(seed, arguments.steps, arguments.death)
        except BrokenError as error:
            broken += 1
            _say(f"{error} (--first-seed {seed} --seeds 1 --steps {arguments.steps})")
        else:
            states = ", ".join(
                f"{count} {state}" for state, count in sorted(outcome.states.items())
            )
            passed_s = time.monotonic() - began_s
            _say(f"seed {seed}: {outcome.deaths} deaths, {states}, {passed_s:.1f} s")
    return 1 if broken else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
