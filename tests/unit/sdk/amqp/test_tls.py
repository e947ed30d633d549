import pytest

from resonate_sdk.amqp.session import describe
from resonate_sdk.amqp.tls import in_words


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("certificate verify failed: certificate has expired (_ssl.c:1)", "has expired"),
        ("certificate verify failed: certificate is not yet valid (_ssl.c:1)", "not valid yet"),
        (
            "Hostname mismatch, certificate is not valid for 'rabbit'. (_ssl.c:1)",
            "its certificate is not for rabbit: use the name",
        ),
        ("self-signed certificate in certificate chain", "authority that we trust"),
        ("self signed certificate", "authority that we trust"),
        ("unable to get local issuer certificate", "authority that we trust"),
        ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13", "it wants to see a certificate"),
        ("connection requires a valid client certificate (28000)", "it wants to see a certificate"),
        ("[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert", "it does not accept our certificate"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version", "does not speak TLS"),
        ("[X509: KEY_VALUES_MISMATCH] key values mismatch", "do not belong together"),
        ("[Errno 2] No such file or directory", "is not there"),
    ],
)
def test_a_failure_of_tls_is_told_in_words(reason: str, words: str):
    told = in_words(reason)

    assert told is not None
    assert words in told
    assert "_ssl.c" not in told
    assert describe(ConnectionError(reason)) == told


def test_other_failures_are_left_alone():
    assert in_words("ACCESS_REFUSED - Login was refused") is None
