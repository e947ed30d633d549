"""What the errors of TLS mean, in words: OpenSSL's are for those who know it."""

import re

_WORDS = (
    (r"certificate has expired", "its certificate has expired"),
    (r"certificate is not yet valid", "its certificate is not valid yet"),
    (
        r"(?:Hostname|IP address) mismatch, certificate is not valid for '([^']*)'",
        r"its certificate is not for \1: use the name that the certificate has",
    ),
    (
        r"self.signed certificate|unable to get (?:local )?issuer certificate",
        "its certificate is not signed by an authority that we trust: name the file of that "
        "authority in the URL (cafile for RabbitMQ, sslrootcert for PostgreSQL)",
    ),
    (
        r"CERTIFICATE_REQUIRED|requires a valid client certificate",
        "it wants to see a certificate: name one and its key in the URL (certfile and keyfile for "
        "RabbitMQ, sslcert and sslkey for PostgreSQL)",
    ),
    (r"ALERT_(?:UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_)", "it does not accept our certificate"),
    (r"WRONG_VERSION_NUMBER", "it does not speak TLS on this port"),
    (
        r"rejected SSL upgrade",  # said of what is no PostgreSQL, too
        "it does not speak TLS on this port: is it PostgreSQL, and set up for TLS?",
    ),
    (
        r"NO_CERTIFICATE_OR_CRL_FOUND|KEY_VALUES_MISMATCH|PEM lib|NO_START_LINE",
        "a file that the URL names has no certificate or no key, or they do not belong together",
    ),
    (r"Errno 2\]", "a file that the URL names, of a certificate or a key, is not there"),
    (
        r"Errno 104|ConnectionResetError|closed in the middle of operation",
        "it has closed the connection: its log says why",
    ),
)


def in_words(reason: str) -> str | None:
    """Say what a failure of TLS means; None if it is something else."""
    for pattern, words in _WORDS:
        found = re.search(pattern, reason)
        if found:
            return found.expand(words)
    return None
