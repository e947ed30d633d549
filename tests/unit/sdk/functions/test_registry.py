"""Functions by name and version, and what is said when they are not found."""

import pytest

from resonate_sdk import FunctionNotFoundError, RegistrationError, UsageError
from resonate_sdk.functions.registry import Registry


def foo(ctx):
    return 1


def other(ctx):
    return 2


class Callable:
    def __call__(self, ctx):
        return 3


@pytest.fixture
def registry():
    """A registry without functions."""
    return Registry()


def test_a_function_is_found_by_name_and_by_object(registry):
    registered = registry.add(foo)

    assert registry.by_name("foo") is registered
    assert registry.by_func(foo) is registered
    assert (registered.name, registered.version) == ("foo", 1)


def test_a_function_may_have_another_name(registry):
    registry.add(foo, name="bar", version=3)

    assert registry.by_name("bar", 3).callee.func is foo
    with pytest.raises(FunctionNotFoundError):
        registry.by_name("foo")


def test_versions_of_a_name_live_beside_each_other(registry):
    registry.add(foo, version=1)
    registry.add(other, name="foo", version=4)

    assert registry.by_name("foo", 1).callee.func is foo
    assert registry.by_name("foo", 4).callee.func is other
    assert registry.by_name("foo").version == registry.by_name("foo", 0).version == 4
    assert registry.version_for("foo", None) == 4
    assert registry.version_for("bar", None) == 1


@pytest.mark.parametrize("func", [Callable(), Callable().__call__, lambda ctx: 1])
def test_any_callable_may_be_registered_under_a_name(registry, func):
    assert registry.add(func, name="named").callee.func == func


def test_of_two_names_of_one_function_calls_by_the_object_mean_the_last():
    registry = Registry()
    registry.add(foo)
    registry.add(foo, name="other", version=2)

    found = registry.by_func(foo)
    assert found is not None
    assert (found.name, found.version) == ("other", 2)
    assert registry.by_name("foo").version == 1


def test_an_object_that_is_not_registered_is_not_found_by_its_name(registry):
    registry.add(foo)

    def foo_too(ctx):
        return None

    foo_too.__name__ = "foo"
    assert registry.by_func(foo_too) is None


# Messages


def test_a_taken_name_is_refused(registry):
    registry.add(foo)

    with pytest.raises(RegistrationError, match=r"^function foo version 1 is registered already$"):
        registry.add(other, name="foo")
    assert registry.by_name("foo").callee.func is foo


@pytest.mark.parametrize("version", [0, -1])
def test_versions_begin_at_one(registry, version):
    with pytest.raises(RegistrationError, match=f"^version {version} of foo: versions begin at 1$"):
        registry.add(foo, version=version)


def test_a_lambda_needs_a_name(registry):
    with pytest.raises(RegistrationError, match=r"a lambda has no name .*register it with name="):
        registry.add(lambda ctx: 1)


def test_an_object_needs_a_name(registry):
    with pytest.raises(RegistrationError, match="has no name: register it with name="):
        registry.add(Callable())


def test_an_empty_name_is_refused(registry):
    with pytest.raises(RegistrationError, match="no name"):
        registry.add(foo, name="")


def test_what_is_no_function_is_refused(registry):
    with pytest.raises((RegistrationError, UsageError)):
        registry.add(17, name="seventeen")


def test_a_refused_registration_leaves_nothing_behind(registry):
    with pytest.raises(UsageError):
        registry.add(lambda: 1, name="nullary")

    with pytest.raises(FunctionNotFoundError, match="no function is"):
        registry.by_name("nullary")
    assert not registry.versions("nullary")


def test_a_registration_error_is_a_value_error(registry):
    registry.add(foo)

    with pytest.raises(ValueError, match="foo"):
        registry.add(foo)


def test_an_unknown_name_names_what_is_known(registry):
    with pytest.raises(FunctionNotFoundError) as nothing:
        registry.by_name("bar")
    registry.add(foo)
    registry.add(other)
    with pytest.raises(FunctionNotFoundError) as something:
        registry.by_name("bar")

    assert str(nothing.value) == "function bar is not registered here: no function is"
    assert str(something.value) == "function bar is not registered here, these are: foo, other"
    assert isinstance(something.value, ValueError)
    assert isinstance(something.value, LookupError)


def test_an_unknown_version_names_what_is_known(registry):
    registry.add(foo, version=1)
    registry.add(other, name="foo", version=3)

    with pytest.raises(FunctionNotFoundError) as caught:
        registry.by_name("foo", 2)

    assert str(caught.value) == "function foo version 2 is not registered here, versions 1, 3 are"
