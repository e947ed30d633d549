"""Where a client connects: arguments first, then the environment."""

import traceback
from typing import Any

import pytest

from resonate_sdk import Amqp, LocalServer, Poller, RemoteStore, Resonate, UsageError
from resonate_sdk.client.broker_url import check_url
from resonate_sdk.client.configuration import configure, either

URL = "amqp://user:secret@broker:5672/"


def make_configuration(environment=None, **keywords):
    names = ("url", "namespace", "group", "pid", "prefix", "store", "task_source")
    credentials = {name: keywords.pop(name) for name in ("auth", "token") if name in keywords}
    given = {name: keywords.pop(name, None) for name in names}
    assert not keywords
    return configure(**given, **credentials, environment=environment or {})


def test_without_anything_there_is_no_broker():
    found = make_configuration()

    assert found.url is None
    assert (found.namespace, found.group, found.prefix) == ("resonate", "default", "")


def test_a_process_has_a_name_that_no_other_has():
    names = {make_configuration().pid for _ in range(50)}

    assert len(names) == 50


@pytest.mark.parametrize(
    ("variable", "field", "text"),
    [
        ("RESONATE_URL", "url", URL),
        ("RESONATE_NAMESPACE", "namespace", "shop"),
        ("RESONATE_GROUP", "group", "billing"),
        ("RESONATE_PID", "pid", "worker-1"),
        ("RESONATE_PREFIX", "prefix", "test"),
    ],
)
def test_the_environment_answers_what_arguments_leave_open(variable, field, text):
    assert getattr(make_configuration({variable: text}), field) == text


@pytest.mark.parametrize(
    ("field", "variable", "given"),
    [
        ("url", "RESONATE_URL", "amqps://other/"),
        ("namespace", "RESONATE_NAMESPACE", "other"),
        ("group", "RESONATE_GROUP", "other"),
        ("pid", "RESONATE_PID", "other"),
        ("prefix", "RESONATE_PREFIX", "other"),
        ("prefix", "RESONATE_PREFIX", ""),
    ],
)
def test_arguments_win_over_the_environment(field, variable, given):
    environment = {variable: "amqp://environment/" if field == "url" else "environment"}

    assert getattr(make_configuration(environment, **{field: given}), field) == given


def test_an_empty_variable_is_none():
    names = ("URL", "NAMESPACE", "GROUP", "PID", "PREFIX")
    found = make_configuration({f"RESONATE_{name}": "" for name in names})

    assert found.url is None
    assert (found.namespace, found.group, found.prefix) == ("resonate", "default", "")
    assert found.pid


def test_the_first_sdks_spelling_names_broker_and_group():
    found = make_configuration(
        store=RemoteStore(url=URL), task_source=Poller(url=URL, group="service-foo")
    )

    assert (found.url, found.group) == (URL, "service-foo")


@pytest.mark.parametrize(
    "keywords",
    [
        {"store": RemoteStore(url=URL)},
        {"task_source": Poller(url=URL, group="g")},
        {"store": RemoteStore(), "task_source": Poller(url=URL)},
        {"store": RemoteStore(url=URL), "task_source": Poller(url=URL)},
    ],
    ids=["store", "poller", "one of both", "the same twice"],
)
def test_the_broker_may_be_named_in_one_place_only(keywords):
    assert make_configuration(**keywords).url == URL


def test_store_and_poller_without_a_url_take_that_of_the_environment():
    found = make_configuration(
        {"RESONATE_URL": URL}, store=RemoteStore(), task_source=Poller(group="g")
    )

    assert (found.url, found.group) == (URL, "g")


# Contradictions

CONTRADICTIONS = pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"url": URL, "store": RemoteStore(url=URL)}, "url= and store= mean the same: give one"),
        ({"url": URL, "task_source": Poller(url="amqp://other/")}, "must name the same broker"),
        ({"pid": "a", "task_source": Poller(url=URL, id="b")}, "must name the same process"),
        ({"url": URL, "auth": ("a", "b"), "token": "c"}, "auth= and token= both say who you are"),
        (
            {"store": RemoteStore(url=URL), "task_source": Poller(url="amqp://other/")},
            "must name the same broker",
        ),
        ({"group": "a", "task_source": Poller(url=URL, group="b")}, "must name the same group"),
        ({"store": RemoteStore()}, "RemoteStore needs url='amqp://...', or RESONATE_URL"),
        ({"task_source": Poller(group="a")}, "Poller needs url='amqp://...', or RESONATE_URL"),
        ({"task_source": Amqp(group="a")}, "Amqp needs url='amqp://...', or RESONATE_URL"),
    ],
    ids=[
        "url and store",
        "url and poller",
        "pids",
        "auth and token",
        "store and poller",
        "groups",
        "store without url",
        "poller without url",
        "amqp without url",
    ],
)


@CONTRADICTIONS
def test_contradictions_are_refused_with_what_to_write(keywords, message):
    with pytest.raises(UsageError, match=message) as caught:
        make_configuration(**keywords)
    if "needs url" not in message:
        assert isinstance(caught.value, ValueError)


def test_passwords_are_not_repeated_in_messages():
    with pytest.raises(UsageError) as caught:
        make_configuration(url=URL, task_source=Poller(url="amqp://user:hidden@other/"))

    assert "secret" not in str(caught.value)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"namespace": "Upper"}, "a namespace is 1 to 32 of a-z, 0-9, _ and -, found 'Upper'"),
        ({"namespace": "x" * 33}, "a namespace is"),
        ({"group": "no spaces"}, "groups and process ids are 1 to 64 letters.*'no spaces'"),
        ({"pid": "a/b"}, "groups and process ids are"),
        ({"group": "x" * 65}, "groups and process ids are"),
        ({"group": "newline\n"}, "groups and process ids are"),
    ],
)
def test_names_that_no_queue_could_have_are_refused(keywords, message):
    with pytest.raises(UsageError, match=message):
        make_configuration(**keywords)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"task_source": Amqp(URL, prefetch=0)}, r"Amqp\(prefetch=...\) is 1 or more, found 0"),
        ({"store": URL}, "store= takes RemoteStore, found str"),
        ({"task_source": "service-foo"}, "task_source= takes Poller or Amqp, found str"),
        ({"store": Poller()}, "store= takes RemoteStore, found Poller"),
    ],
)
def test_things_of_the_wrong_type_are_refused(keywords, message):
    with pytest.raises(UsageError, match=message):
        make_configuration(**keywords)


# URLs of other kinds


@pytest.mark.parametrize("url", ["http://localhost:8001", "https://localhost:8001"])
@pytest.mark.parametrize("place", ["url", "store", "task_source", "environment"])
def test_an_http_url_gets_one_sentence_that_says_what_to_write(url, place):
    scheme = url.split(":")[0]
    keywords = {
        "url": {"url": url},
        "store": {"store": RemoteStore(url=url)},
        "task_source": {"task_source": Poller(url=url)},
        "environment": {"environment": {"RESONATE_URL": url}},
    }[place]

    with pytest.raises(UsageError) as caught:
        make_configuration(**keywords)

    sentence = str(caught.value)
    assert f"speaks AMQP, not '{scheme}'" in sentence
    assert "amqp://user:password@host:5672/" in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize("url", ["localhost:5672", "redis://localhost", "AMQP//x", "amqp:/x"])
def test_any_other_url_is_refused_as_well(url):
    with pytest.raises(UsageError, match="speaks AMQP"):
        check_url(url)


@pytest.mark.parametrize("url", [URL, "amqps://broker/vhost"])
def test_amqp_urls_are_taken(url):
    check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "u:s3cret@host",
        "amqp://u:s3cret/x@host/",
        "amqp://u:s3cret@host:port/",
        "amqp://u:s3cret@host:99999/",
        "amqp://u:s3cret@[::1/",
        "http://u:s3cret@host/",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_its_password(url: str):
    with pytest.raises(UsageError) as caught:
        check_url(url)

    assert "s3cret" not in "".join(traceback.format_exception(caught.value, chain=True))


def test_contradicting_urls_are_refused_without_repeating_them():
    with pytest.raises(UsageError, match="url= and store= mean the same") as caught:
        make_configuration(url="amqp://u:s3cret@a/", store=RemoteStore(url="amqp://u:s3@cret@b/"))

    assert "cret" not in str(caught.value)


# Who the client is


@pytest.mark.parametrize(
    ("url", "who", "found"),
    [
        ("amqp://broker/v", {"auth": ("ada", "p@ss/%")}, "amqp://ada:p%40ss%2F%25@broker/v"),
        ("amqp://bob:x@broker:1/", {"auth": ("a:b", "c")}, "amqp://a%3Ab:c@broker:1/"),
        ("amqps://bob:x@broker/", {"token": "a.b-c"}, "amqps://bob:a.b-c@broker/"),
        ("amqp://b%40b@broker", {"token": "t"}, "amqp://b%40b:t@broker"),
        ("amqp://broker", {"token": "t"}, "amqp://:t@broker"),
        ("amqp://bob:x@broker/", {"store": RemoteStore(token="t")}, "amqp://bob:t@broker/"),
        ("amqp://broker/", {"store": RemoteStore(auth=("a", "b"))}, "amqp://a:b@broker/"),
    ],
)
def test_credentials_take_the_place_of_those_in_the_url(url, who, found):
    assert make_configuration({"RESONATE_URL": url}, **who).url == found


@pytest.mark.parametrize("who", [{"auth": ("a", "b")}, {"token": "t"}])
def test_credentials_without_a_broker_are_refused(who):
    with pytest.raises(UsageError, match=r"auth= and token= are for a broker: give url='amqp://"):
        make_configuration(**who)


def test_the_url_may_be_in_a_file(tmp_path):
    (tmp_path / "url").write_text(f"{URL}\n")
    file = {"RESONATE_URL_FILE": str(tmp_path / "url")}

    assert make_configuration(file).url == URL
    assert make_configuration({**file, "RESONATE_URL": "amqp://direct/"}).url == "amqp://direct/"
    with pytest.raises(UsageError, match=r"RESONATE_URL_FILE names no readable file: .*missing"):
        make_configuration({"RESONATE_URL_FILE": str(tmp_path / "missing")})


@pytest.mark.parametrize(
    ("store", "url"),
    [
        (RemoteStore(host="broker"), "amqp://broker:5672/"),
        (RemoteStore(host="broker", port=7), "amqp://broker:7/"),
        (RemoteStore(host="amqp://broker", port=7), "amqp://broker:7/"),
    ],
)
def test_the_broker_may_be_named_by_its_machine(store, url):
    assert make_configuration(store=store).url == url
    assert make_configuration(task_source=Poller(host=store.host, port=store.port)).url == url


@pytest.mark.parametrize(
    ("store", "sentence"),
    [
        (RemoteStore(host="http://localhost", port=8001), "speaks AMQP, not 'http'"),
        (RemoteStore(port=8001), "port=8001 needs host=, or write url='amqp://host:8001/'"),
    ],
)
def test_a_machine_that_is_none_is_refused(store, sentence):
    with pytest.raises(UsageError, match=sentence):
        make_configuration(store=store)


def test_one_object_may_name_all_of_it():
    found = make_configuration(task_source=Amqp(URL, group="g", id="p1", prefetch=4))

    assert (found.url, found.group, found.pid, found.prefetch) == (URL, "g", "p1", 4)


@pytest.mark.parametrize("keyword", ["network", "task_source", "message_source"])
def test_it_is_the_network_of_a_client(keyword, monkeypatch):
    monkeypatch.delenv("RESONATE_URL", raising=False)
    keywords: Any = {keyword: Amqp(URL, group="g", id="p1")}
    client = Resonate(**keywords, autostart=False)

    assert (client.anycast, client.pid) == ("amqp://any@g", "p1")


def test_the_store_says_how_long_to_wait_for_an_answer():
    assert make_configuration().answer_timeout_s == 10
    assert make_configuration(store=RemoteStore(URL, timeout=3)).answer_timeout_s == 3


@pytest.mark.parametrize("elsewhere", [{"url": URL}, {"task_source": Poller(url=URL)}])
def test_a_server_inside_the_process_needs_no_broker(elsewhere):
    with pytest.raises(ValueError, match=r"url='amqp://broker:5672/' are two servers: give"):
        Resonate(**elsewhere, store=LocalServer())


def test_a_poller_may_name_the_process():
    assert make_configuration(task_source=Poller(url=URL, id="p1")).pid == "p1"


def test_two_spellings_of_one_argument_must_agree():
    assert (either(None, 1, "a and b"), either(1, None, "a and b"), either(1, 1, "")) == (1, 1, 1)
    with pytest.raises(ValueError, match="a and b mean the same: give one of them"):
        either(1, 2, "a and b")
