"""What the types of fields cannot say: lengths in bytes, and characters that no store keeps."""

from collections.abc import Mapping

from resonate_sdk.protocol import addresses, limits, tags as tag
from resonate_sdk.protocol.records import Value


def check_id(name: str, text: str) -> None:
    """Refuse an id that no store could keep.

    Raises:
        ValueError: it is empty, longer than the limit in bytes, or holds NUL.
    """
    if not text:
        raise ValueError(f"{name} is empty")
    if _bytes_over(text, limits.ID_BYTES_MAX):
        raise ValueError(
            f"{name} {text[:40]!r}… has {len(text.encode(errors='replace'))} bytes, the limit is "
            f"{limits.ID_BYTES_MAX}"
        )
    check_text(name, text)


def check_value(name: str, value: Value) -> None:
    """Refuse a value above the limit.

    Raises:
        ValueError: it is larger than 1 MiB, or holds NUL.
    """
    if value.data is None and not value.headers:
        return
    size = value.size_bytes()
    if size > limits.VALUE_BYTES_MAX:
        raise ValueError(f"{name} has {size} bytes, the limit is {limits.VALUE_BYTES_MAX}")
    if value.data is not None:
        check_text(f"{name}.data", value.data)
    for key, text in (value.headers or {}).items():
        check_text(f"{name}.headers", key)
        check_text(f"{name}.headers", text)


def check_tags(tags: Mapping[str, str]) -> None:
    """Refuse tags above a limit.

    Raises:
        ValueError: there are too many, or one is too long or holds NUL.
    """
    count = len(tags) - (tag.EXTERNAL in tags)  # which a promise may get without asking for it
    if count > limits.TAGS_MAX:
        raise ValueError(f"{count} tags, the limit is {limits.TAGS_MAX}")
    if _are_harmless(tags):
        return
    for key, text in tags.items():
        if _bytes_over(key, limits.TAG_KEY_BYTES_MAX):
            raise ValueError(
                f"tag key {key[:40]!r}… has {len(key.encode())} bytes, "
                f"the limit is {limits.TAG_KEY_BYTES_MAX}"
            )
        if _bytes_over(text, limits.TAG_VALUE_BYTES_MAX):
            raise ValueError(
                f"tag {key!r} has {len(text.encode())} bytes, "
                f"the limit is {limits.TAG_VALUE_BYTES_MAX}"
            )
        check_text("tags", key)
        check_text(f"tag {key!r}", text)


def check_text(name: str, text: str) -> None:
    """Refuse text that PostgreSQL could not keep, or that cannot even travel.

    Raises:
        ValueError: it holds NUL, or half of a character.
    """
    if "\x00" in text:
        raise ValueError(f"{name} {text[:40]!r} holds a NUL character")
    if not _has_whole_characters(text):
        raise ValueError(f"{name} {text[:40]!r} holds half of a character: a lone surrogate")


def check_address(name: str, text: str) -> None:
    """Refuse an address that nothing here can reach.

    Raises:
        ValueError: it has no accepted form.
    """
    try:
        addresses.parse(text)
    except addresses.AddressError as error:
        raise ValueError(f"{name} {error}") from error


def priority_fault(priority: str) -> str | None:
    """Say why a text is no priority, in one sentence, or None."""
    if len(priority) == 1 and "0" <= priority <= str(limits.PRIORITY_MAX):
        return None
    return (
        f"a priority is a number from 0 to {limits.PRIORITY_MAX}, {limits.PRIORITY_MAX} goes first, "
        f"found {priority[:40]!r}"
    )


def tags_fault(tags: Mapping[str, str], timeout_at_ms: int, *, acquire: bool) -> str | None:
    """Say what makes a creation with these tags impossible, in one sentence, or None.

    Args:
        tags: of the promise.
        timeout_at_ms: its deadline.
        acquire: whether its task is to run at once.
    """
    fault = priority_fault(tags[tag.PRIORITY]) if tag.PRIORITY in tags else None
    if fault is not None:
        return f"tags: {tag.PRIORITY}: {fault}"
    target = tags.get(tag.TARGET)
    if target is None:
        if acquire:
            return "tags: task.create needs the tag resonate:target"
        if tag.DELAY in tags:
            return f"tags: resonate:delay {tags[tag.DELAY]!r} needs resonate:target"
        return None
    if tags.get(tag.TIMER) == tag.TRUE:
        return f"tags: a promise is a timer or has the resonate:target {target!r}, not both"
    try:
        addresses.parse_target(target)
    except addresses.AddressError as error:
        return f"tags: resonate:target: {error}"
    delay = tags.get(tag.DELAY)
    if delay is None:
        return None
    if acquire:
        return f"tags: task.create runs at once: resonate:delay {delay!r} is not allowed"
    if not (delay.isascii() and delay.isdigit()) or len(delay) > 19:
        return f"tags: resonate:delay is an instant in epoch ms, found {delay[:40]!r}"
    if int(delay) >= timeout_at_ms:
        return f"tags: resonate:delay {delay} is not before timeoutAt {timeout_at_ms}"
    return None


def _are_harmless(tags: Mapping[str, str]) -> bool:
    """Whether no tag can be above a limit, which for nearly all takes no look at each of them."""
    joined = "".join((*tags, *tags.values()))
    return (
        max(map(len, tags), default=0) * 4 <= limits.TAG_KEY_BYTES_MAX
        and max(map(len, tags.values()), default=0) * 4 <= limits.TAG_VALUE_BYTES_MAX
        and "\x00" not in joined
        and _has_whole_characters(joined)
    )


def _has_whole_characters(text: str) -> bool:
    """Whether it can be encoded: a decoder refuses what cannot, a program may still make it."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _bytes_over(text: str, limit: int) -> bool:
    return len(text) * 4 > limit and len(text.encode(errors="surrogatepass")) > limit
