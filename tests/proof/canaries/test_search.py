"""The search finds planted values. Without that, an empty result would prove nothing."""

import base64
import gzip
import json
import unicodedata
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from tests.proof.canaries.search import hits, texts

SECRETS = {
    "phone number": "+15145550188",
    "name": "Zoë Quillfeather-Ōsaka",
    "variable": 'canary "variable" 9214 \\ ünïted\n😀',
    "key": "allomia_live_c4n4ryKeyThatNobodyMaySee0123456789",
    "signature": "_-_t0KEDMQK2SvHeLKfHRqiQ0g7QFWsDJFn5k8Cdd20",
}
ENCODINGS: dict[str, Callable[[str], str]] = {
    "bare": lambda value: value,
    "in a sentence": lambda value: f"the person ({value}), was called",
    "in capitals": lambda value: value.upper(),
    "decomposed": lambda value: unicodedata.normalize("NFD", value),
    "full-width": lambda value: "".join(chr(ord(each) + 0xFEE0) if "!" <= each <= "~" else each for each in value),
    "JSON": json.dumps,
    "JSON in JSON": lambda value: json.dumps(json.dumps({"a": value})),
    "JSON in JSON in JSON": lambda value: json.dumps(json.dumps(json.dumps({"a": value}))),
    "JSON that leaves Unicode": lambda value: json.dumps(value, ensure_ascii=False),
    "URL": quote,
    "URL, every character": lambda value: quote(value, safe=""),
    "form": quote_plus,
    "URL in URL": lambda value: quote(quote(value)),
    "JSON in URL": lambda value: quote(json.dumps({"a": value})),
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64 of the URL's alphabet": lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
    "base64 with one character before": lambda value: base64.b64encode(f"a{value}b".encode()).decode(),
    "base64 with two characters before": lambda value: base64.b64encode(f"ab{value}c".encode()).decode(),
    "base64 of basic authorization": lambda value: base64.b64encode(f"user:{value}".encode()).decode(),
    "hexadecimal": lambda value: value.encode().hex(),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("secret", SECRETS)
def test_a_planted_value_is_found(secret: str, encoding: str) -> None:
    line = f'{{"level":"INFO","message":"{ENCODINGS[encoding](SECRETS[secret])}"}}'

    found = hits({"the log": line}, SECRETS)

    assert found
    assert all(hit.startswith(secret) and hit.endswith("in the log") for hit in found)


@pytest.mark.parametrize(
    "piece",
    [
        "5550188",
        "514-555-0188",
        "15145550188",
        "Quillfeather-Ōsaka",
        "ünïted",
        "live_c4n4ryKeyThatNobodyMay",
        "t0KEDMQK2SvHeLKfHRqiQ0g7QFWs",
    ],
)
def test_an_identifying_piece_is_found(piece: str) -> None:
    assert hits({"the log": f"before {piece} after"}, SECRETS)


@pytest.mark.parametrize("place", ["log", "event", "attribute"])
def test_every_place_is_searched(place: str) -> None:
    places = texts(
        [("log", "nothing"), ("event", {"detail": {}}), ("attribute", ["a"]), (place, {"a": [SECRETS["name"]]})]
    )

    assert {hit.split(" in ")[1] for hit in hits(places, SECRETS)} == {f"{place} 3"}


def test_a_text_without_secrets_has_no_hits() -> None:
    lines = {
        "log": '{"level":"INFO","message":"call placed","requestId":"visit-2031","attempt":1,'
        '"_aws":{"Timestamp":1795395432708},"service":"local","CallsPlaced":[1.0]}',
        "event": json.dumps({"outboundCallId": "c3d4e5f6-a7b8-9012-cdef-345678901234", "metadata": {"clinic": "7"}}),
    }

    assert hits(lines, SECRETS) == []


def test_compressed_values_are_not_found() -> None:
    # Nor are encrypted ones. The functions write neither
    packed = gzip.compress(SECRETS["name"].encode()).hex()

    assert hits({"the log": packed}, SECRETS) == []
