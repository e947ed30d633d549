"""The snippets of the two documents that show the API, as they are printed.

Changed is the name of the package in imports, and, where a snippet says so, what the documents
themselves say is a slip. Indentation that was lost in print is restored.
"""

INITIALIZE = """
from resonate_sdk import Resonate

# Initialize a Resonate Client in local mode
resonate = Resonate.local()
"""

REGISTER = """
@resonate.register
def foo(context: Context, arg: str) -> str:
    # ...
    return result
"""

RUN = """
# process x
# foo() and main() are in the same process
@resonate.register
def foo(ctx: Context, arg: str) -> str:
    # ...
    return

def main():
    # synchronous call with Run API
    result = foo.run("invocation-id", "Hello World!")

    # asynchronous call with Begin Run API
    handle = foo.begin_run("invocation-id", "Hello World!")
    # ...
    result = handle.result()
"""

RPC_CALLEE = """
# foo is in process x
@resonate.register
def foo(context: Context, arg: str):
    # ...
    return result
"""

RPC_CALLER = """
# main is in process y
def main():
    # synchronously invoke foo
    result = resonate.options(target="process-group-x").rpc(
        "invocation_id", func="foo", arg="Hello World!"
    )

    # asynchronously invoke foo
    handle = resonate.options(target="process-group-x").begin_rpc(
        "invocation_id", func="foo", arg="Hello World!"
    )
    # do more stuff
    result = handle.result()
"""

PROMISES = """
# create a promise
resonate.promises.create(
    id="promise-id",
    timeout=int(time.time() * 1000) + 30000, # 30s in the future
)

# get a promise
resonate.promises.get("promise-id")

# resolve a promise
resonate.promises.resolve("promise-id")

# reject a promise
resonate.promises.reject("promise-id")
"""

SET_DEPENDENCY = """
resonate.set_dependency("db", db_connection)
"""

# The slip: the second call is `ctx.run` in print, but "Run is synchronous and Begin Run is
# asynchronous", as the sentence above it says.
CONTEXT_RUN = """
@resonate.register
def foo(ctx: Context, arg: string):

    # synchronously call bar
    result = yield ctx.run(bar, arg)

    # asynchronously call bar
    promise = yield ctx.begin_run(bar, arg)
    # do more stuff
    result = promise.result()

def bar(ctx: Context, arg: string):
    # ...
    return result
"""

CONTEXT_RPC_CALLER = """
# process x
@resonate.register
def foo(ctx: Context, arg: str) -> str:
    # synchronous invocation of bar
    result = yield ctx.rpc("bar", arg)

    # asynchronous invocation of bar
    promise = yield ctx.begin_rpc("bar", arg)
    # do more stuff
    result = yield promise
"""

CONTEXT_RPC_CALLEE = """
# process y
@resonate.register
def bar(ctx: Context, arg: str) -> str:
    # ...
    return
"""

GET_DEPENDENCY = """
@resonate.register
def foo(ctx, arg):
    # ...
    db_conn = ctx.get_dependency("database-connection") # get database connection
    # use database connection
    # ...
"""

CONTEXT_PROMISE = """
@resonate.register
def foo(ctx, arg):
    # ...
    promise = yield ctx.promise(id="promise-id") # optionally supply an id
    # do something
    yield promise # block on the promise's resolution
    # do more stuff
    # ...
"""

SLEEP = """
@resonate.register
def foo(ctx, arg):
    # ...
    yield ctx.sleep(5.0) # sleep for 5 seconds
    # ...
"""

RANDOM = """
@resonate.register
def foo(ctx, arg):
    # ...
    rand = yield ctx.random.random() # ensures the result is the same across replays
    # do something with rand
    # ...
"""

TIME = """
@resonate.register
def foo(ctx, arg):
    # ...
    time = yield ctx.time.time() # ensures the result is the same across replays
    # do something with time
    # ...
"""

ASYNC_RPC = """
@resonate.register
def foo(ctx, args):
    # highlight-next-line
    promise_bar = yield ctx.rfi(
        "bar", args
    ).options(send_to=poll("service-bar"))
    # ... Do some stuff
    # Await on the result of your_customer_function
    result = yield promise_bar
    # ...
"""

ASYNC_RPC_AGAIN = """
@resonate.register
def foo(ctx, args):
    promise = yield ctx.rfi(
        "bar", args
    ).options(send_to=poll("service-bar"))
    # ... Do some stuff
    # Await on the result of bar()
    result = yield promise
    # ...
"""

FAN_OUT_CLIENT = """
# service foo fan-out example
from resonate_sdk.task_sources.poller import Poller
from resonate_sdk.stores.remote import RemoteStore
from resonate_sdk.resonate import Resonate

resonate = Resonate(
    store=RemoteStore(url="http://localhost:8001"),
    # highlight-next-line
    task_source=Poller(url="http://localhost:8002", group="service-foo"),
)
"""

FAN_OUT_FUNCTION = """
@resonate.register
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
"""

FAN_OUT = FAN_OUT_CLIENT + FAN_OUT_FUNCTION

IDS = (
    "news_feed_2026-01-01",
    "staging/analytics/monthly-report/2023-05",
    "k8s/staging/namespace/analytics/gpu/h100/monthly-report-2023-05",
    "executions/a7b89c3d-f012-4e78-9a7d-89a3f6b2e1c7",
)
