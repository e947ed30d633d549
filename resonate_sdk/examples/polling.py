"""Wait for a job elsewhere that can only be asked: a bounded loop with growing pauses.

python -m resonate_sdk.examples.polling [ID]
"""

import sys

from resonate_sdk import Context, Resonate, Workflow

LOOKS_MAX = 50
PAUSE_S_MAX = 60.0


def start_job(ctx: Context) -> str:
    """Start a job; its name follows from the id, so that starting it twice starts one."""
    return f"job-of-{ctx.id}"


def is_finished(ctx: Context, job: str, look: int) -> bool:
    """Ask the job; this one is finished at the third look."""
    return look >= 3


def wait_for_job(ctx: Context, pause: float = 0.05) -> Workflow[str]:
    """Look, sleep, look again; every look and every sleep is remembered."""
    job = yield from ctx.run(start_job)
    for look in range(1, LOOKS_MAX + 1):
        if (yield from ctx.run(is_finished, job, look)):
            return f"finished at look {look}"
        yield from ctx.sleep(pause)
        pause = min(pause * 2, PAUSE_S_MAX)
    raise TimeoutError(f"{job} was not finished after {LOOKS_MAX} looks")


def main(id: str = "polling-1") -> None:
    """Start a job and wait for it."""
    with Resonate(group="polling") as resonate:
        print(resonate.register(wait_for_job).run(id))


if __name__ == "__main__":
    main(*sys.argv[1:])
