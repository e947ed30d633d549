"""An agent whose thoughts and deeds are steps: after a crash it remembers what it was told.

    python -m resonate_sdk.examples.agent [ID]

The model is pretended here. With a real one, answers cost money and differ each time: they are
asked for once and recorded, and a replay is given the recorded ones.
"""

import sys
from dataclasses import dataclass, field

from resonate_sdk import Context, Resonate

TURNS_MAX = 10


@dataclass
class Thought:
    """What the model says: an answer, or a tool to use."""

    answer: str = ""
    tool: str = ""
    arguments: list[int] = field(default_factory=list[int])


def think(ctx: Context, conversation: list[str]) -> Thought:
    """Ask the model."""
    if len(conversation) == 1:
        return Thought(tool="multiply", arguments=[6, 7])
    return Thought(answer=f"it is {conversation[-1]}")


def multiply(ctx: Context, a: int, b: int) -> int:
    """A tool."""
    return a * b


async def agent(ctx: Context, question: str) -> str:
    """Think and act until there is an answer."""
    conversation = [question]
    for _ in range(TURNS_MAX):
        thought = await ctx.run(think, conversation)
        if thought.answer:
            return thought.answer
        conversation.append(str(await ctx.run(multiply, *thought.arguments)))
    return "I do not know"


def main(id: str = "agent-1") -> None:
    """Ask one question."""
    with Resonate(group="agent") as resonate:
        print(resonate.register(agent).run(id, "what is six times seven?"))


if __name__ == "__main__":
    main(*sys.argv[1:])
