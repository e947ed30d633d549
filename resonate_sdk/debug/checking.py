"""Whether new code still replays what old code has begun: for continuous integration."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from resonate_sdk.debug.histories import History
from resonate_sdk.debug.replaying import Report, replay
from resonate_sdk.encoding.codec import Codec
from resonate_sdk.functions.function import Function
from resonate_sdk.functions.registry import Registry


def check(
    paths: Iterable[Path | str],
    functions: Iterable[Function[..., Any]] | ModuleType,
    *,
    dependencies: Mapping[str | type, Any] | None = None,
    codec: Codec | None = None,
) -> list[Report]:
    """Replay histories with the present code.

    Args:
        paths: files that `History.save` has written, or folders of such (`*.json`).
        functions: registered functions, or a module that has them.
        dependencies: what `ctx.get_dependency` finds.
        codec: reads what is stored.

    Returns:
        A report for each history.

    Raises:
        AssertionError: the code does something else than what is recorded; all cases are named.
    """
    registry = Registry()
    for function in _functions(functions):
        registry.add(function.func, name=function.name, version=function.version)
    reports = [
        replay(History.load(path), registry=registry, dependencies=dependencies, codec=codec)
        for path in _files(paths)
    ]
    different = [
        f"{report.id}: {report.reason}" for report in reports if report.verdict == "differs"
    ]
    if different:
        raise AssertionError("\n".join(different))
    return reports


def _functions(found: Iterable[Function[..., Any]] | ModuleType) -> Iterator[Function[..., Any]]:
    if not isinstance(found, ModuleType):
        yield from found
        return
    for value in vars(found).values():
        if isinstance(value, Function):
            yield value


def _files(paths: Iterable[Path | str]) -> Iterator[Path]:
    for path in map(Path, paths):
        if path.is_dir():
            yield from sorted(path.glob("*.json"))
        else:
            yield path
