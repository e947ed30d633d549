# What people run by hand; each line works without just as well.

# List the recipes.
default:
    @just --list

# A workflow is killed half-way and goes on where it was.
demo:
    ./scripts/demo

# All checks and tests; with arguments, pytest with these.
test *arguments:
    ./scripts/test {{arguments}}

# Durable invocations per second, end to end.
bench *arguments:
    ./scripts/bench {{arguments}}

# Random histories on simulated servers, checked step by step: just simulate --seeds 100
simulate *arguments:
    ./scripts/simulate {{arguments}}
