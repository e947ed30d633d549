"""Three services call each other: `foo` asks `bar` and `baz` at the same time, and adds one.

In one process, with nothing installed:

    python -m resonate_sdk.examples.fan_out

As three processes in three groups, through RabbitMQ (RESONATE_URL names it; `resonate dev` starts
one and a server), each in a terminal of its own:

    python -m resonate_sdk.examples.fan_out service-foo
    python -m resonate_sdk.examples.fan_out service-bar
    python -m resonate_sdk.examples.fan_out service-baz
    python -m resonate_sdk.examples.fan_out call my-first-call

Kill any of them, at any time, and start it again: the call ends with 3. The same id again gives
the same result at once, and runs nothing.
"""
# The functions stand as in the documentation, without annotations.
# pyright: basic

import sys

from resonate_sdk import LocalServer, Resonate, poll


def foo(ctx):
    try:
        print("running function foo")
        promise_bar = yield ctx.rfi("bar").options(send_to=poll("service-bar"))
        promise_baz = yield ctx.rfi("baz").options(send_to=poll("service-baz"))
        result_bar = yield promise_bar
        result_baz = yield promise_baz
        return result_bar + result_baz + 1
    except Exception as e:
        print(e)
        raise


def bar(ctx):
    print("running function bar")
    return 1


def baz(ctx):
    print("running function baz")
    return 1


SERVICES = {"service-foo": foo, "service-bar": bar, "service-baz": baz}


def serve(group):
    resonate = Resonate.remote(group=group)
    resonate.register(SERVICES[group])
    print(f"{group} takes calls; Ctrl-C ends it")
    resonate.serve()


def call(id):
    with Resonate.remote(group="caller") as resonate:
        return resonate.options(target="service-foo").rpc(id, "foo")


def run_here(id):
    server = LocalServer()
    services = [Resonate.local(group=group, server=server) for group in SERVICES]
    for service in services:
        service.register(SERVICES[service.group])
    result = services[0].options(target="service-foo").rpc(id, "foo")
    for service in services:
        service.stop()
    server.close()
    return result


def main(arguments):
    match arguments:
        case []:
            print(run_here("fan-out"))
        case [group] if group in SERVICES:
            serve(group)
        case ["call", id]:
            print(call(id))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
