"""Requests that may arrive at the callback URL, and the expected answer to each, as families of cases.

The expected answers are written here, and the signatures are made here, not by the code under test. Many cases use
look-alike characters.
"""

# ruff: noqa: RUF001

import base64
import gzip
import hashlib
import hmac
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

KEY = "local-signing-key"
PREVIOUS_KEY = "previous-signing-key"
RETIRED_KEY = "retired-signing-key"
# Its signature has both characters in which the two alphabets of base64 differ.
REQUEST = "corpus-5"
CALL = "c3d4e5f6-a7b8-9012-cdef-345678901234"
OTHER_CALL = "0a0b0c0d-a7b8-9012-cdef-345678901234"
CONTACT = "d4e5f6a7-b8c9-0123-defa-456789012345"
MAX_BYTES = 262_144
DETAILS = {
    "startedAt": "2026-04-01T14:30:00Z",
    "endedAt": "2026-04-01T14:32:30Z",
    "duration": 150,
    "endedReason": "customer-ended-call",
}
OUTCOME: dict[str, Any] = {"outboundCallId": CALL, "contactId": CONTACT, "status": "completed", "callDetails": DETAILS}

FORBIDDEN = "not a callback URL of this stack"
NOT_JSON = "body: a JSON object"
TOO_LARGE = f"body: at most {MAX_BYTES} bytes"
ANOTHER_CALL = "outboundCallId: not the call of this attempt"
NO_STATUS = "status: one of completed, failed, busy, no-answer"
NOTED = "noted, not an outcome"

type Family = Iterator[WebhookCase]


def encoded(digest: bytes) -> str:
    """A digest as it stands in a URL."""
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def sign(request_id: str = REQUEST, attempt: str = "1", key: str = KEY) -> str:
    """The signature of an attempt."""
    return encoded(hmac.digest(key.encode(), f"v1\n{request_id}\n{attempt}".encode(errors="replace"), hashlib.sha256))


def outcome(**changes: Any) -> str:
    """A valid body with these fields changed."""
    return json.dumps(OUTCOME | changes, ensure_ascii=False)


SIGNATURE = sign()
PATH = f"/webhooks/allomia/{REQUEST}/1/{SIGNATURE}"


@dataclass(frozen=True)
class WebhookCase:
    """A request to the callback URL, and the expected answer.

    It has the parts of the path as the gateway passes them on, or (`target`) the path as it is sent.
    """

    name: str
    statuses: tuple[int, ...]
    message: str | None = None
    """In the answer; None if the gateway may answer instead."""
    body: str = outcome()
    stored: Mapping[str, Any] | None = None
    """Fields of the record afterwards; None if nothing may change."""
    request_id: str = REQUEST
    attempt: str = "1"
    signature: str = SIGNATURE
    method: str = "POST"
    target: str | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    is_base64: bool = False
    only_use_case: bool = False
    """It can't be sent over HTTP, or has another meaning there."""
    record: str = "calling"
    """The status of the attempt before."""


def webhook_cases() -> list[WebhookCase]:
    """All cases, always the same, family by family."""
    families: list[Callable[[], Family]] = [
        *(_outcomes, _replays, _signatures, _keys, _attempts, _request_ids, _bodies, _encodings, _sizes),
        *(_call_ids, _statuses, _details, _content_types, _headers, _methods, _paths),
    ]
    return [case for family in families for case in family()]


def _recorded(name: str, body: str, stored: Mapping[str, Any] | None = None, **request: Any) -> WebhookCase:
    expected = {"status": "completed", "outcomeSource": "webhook", "callDetails": DETAILS} | dict(stored or {})
    return WebhookCase(name, (200,), "outcome recorded", body, expected, **request)


def _noted(name: str, body: str, **stored: Any) -> WebhookCase:
    """No outcome, but a status word or an id that may be kept."""
    return WebhookCase(name, (200,), NOTED, body, {"status": "calling"} | stored)


def _invalid(family: str, message: str, bodies: Iterable[str], **request: Any) -> Family:
    for number, body in enumerate(bodies):
        yield WebhookCase(f"{family} {number}: {body[:60]!a}", (400,), message, body, **request)


def _forbidden(family: str, part: str, values: Iterable[str], **request: Any) -> Family:
    """Requests with one part of the path replaced."""
    for number, value in enumerate(values):
        changes: dict[str, Any] = {part: value} | request
        yield WebhookCase(f"{family} {number}: {value[:60]!a}", (403,), FORBIDDEN, **changes)


def _as_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _outcomes() -> Family:
    yield _recorded("outcomes: as documented", outcome())
    for status in ("failed", "busy", "no-answer"):
        yield _recorded(f"outcomes: {status}", outcome(status=status), {"status": status})
    yield _recorded("outcomes: before AlloMia's answer", outcome(), record="dispatching")
    yield _recorded("outcomes: after the deadline", outcome(), record="unknown")
    yield _recorded("outcomes: with unknown fields", outcome(recording={"url": "https://example.test"}, cost=1))


def _replays() -> Family:
    again = {
        "the same": (outcome(), "outcome was recorded before"),
        "other details": (outcome(callDetails={"duration": 1}), "outcome was recorded before"),
    } | {
        status: (outcome(status=status), "another outcome was recorded before")
        for status in ("failed", "busy", "no-answer")
    }
    for name, (body, message) in again.items():
        yield WebhookCase(f"replays: {name}", (200,), message, body, record="completed")
    for status in ("calling", "transferred"):
        late = "an outcome was recorded before"
        yield WebhookCase(f"replays: {status}", (200,), late, outcome(status=status), record="completed")
    yield from _invalid("replays: another call", ANOTHER_CALL, [outcome(outboundCallId=OTHER_CALL)], record="completed")
    yield from _forbidden("replays: signature", "signature", [SIGNATURE[:-1]], record="completed")
    yield from _forbidden("replays: attempt", "attempt", ["2"], record="completed")


def _signatures() -> Family:
    digest = base64.urlsafe_b64decode(SIGNATURE + "=")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    same_bytes = SIGNATURE[:-1] + alphabet[alphabet.index(SIGNATURE[-1]) ^ 1]
    odd = [
        *(SIGNATURE[:-1], SIGNATURE[:21], "A", SIGNATURE + "A", SIGNATURE * 2, SIGNATURE + "=", SIGNATURE + "=="),
        *(SIGNATURE.replace("-", "+").replace("_", "/"), SIGNATURE.swapcase(), SIGNATURE.upper(), SIGNATURE.lower()),
        *(SIGNATURE[::-1], encoded(bytes([digest[0] ^ 1]) + digest[1:]), same_bytes, digest.hex()),
        *(base64.b32encode(digest).decode().rstrip("="), " " + SIGNATURE, SIGNATURE[:20] + "\u200b" + SIGNATURE[20:]),
        *(SIGNATURE + end for end in (" ", "\n", "\x00", ".", "?a=b", "#a")),
        *(
            "\uff21" + SIGNATURE[1:],
            "\u0410" + SIGNATURE[1:],
            "null",
            "undefined",
            "true",
            "*",
            "%",
            "😀",
            "' OR '1'='1",
        ),
        *("0" * 43, "A" * 43, "-" * 43, "A" * 8000, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."),
    ]
    yield from _forbidden("signatures", "signature", odd)
    yield from _forbidden("signatures not over HTTP", "signature", ["\ud800", ""], only_use_case=True)


def _keys() -> Family:
    yield _recorded("keys: the previous one", outcome(), signature=sign(key=PREVIOUS_KEY), only_use_case=True)
    keys = [RETIRED_KEY, "", " ", KEY + " ", KEY[:-1], KEY.upper(), "allomia", "secret", "test-key", "null", REQUEST]
    yield from _forbidden("keys", "signature", [sign(key=key) for key in keys])
    text = f"{REQUEST}\n1"
    signed = [
        *(text, f"v2\n{text}", f"V1\n{text}", f"v1:{REQUEST}:1", f"v1\r\n{REQUEST}\r\n1", f"v1\n{text}\n", ""),
        *(f"v1\n1\n{REQUEST}", f"/webhooks/allomia/{REQUEST}/1", outcome(), f"v1\nnorth~{text}", f"v1\n~{text}"),
    ]
    macs = [encoded(hmac.digest(KEY.encode(), each.encode(), hashlib.sha256)) for each in signed]
    yield from _forbidden("keys: another text", "signature", macs)
    content = f"v1\n{text}".encode()
    hashes = ("sha1", "sha384", "sha512", "md5", "sha3_256")
    macs = [encoded(hmac.digest(KEY.encode(), content, name)) for name in hashes]
    macs += [encoded(hashlib.sha256(each).digest()) for each in (content, KEY.encode() + content)]
    yield from _forbidden("keys: another hash", "signature", macs)
    yield from _forbidden("keys: another attempt's", "signature", [sign("corpus-6"), sign(attempt="2")])
    yield from _forbidden("keys: for another attempt", "attempt", ["2"])
    yield from _forbidden("keys: for another request", "request_id", ["corpus-6", f"north~{REQUEST}"])


def _attempts() -> Family:
    """With the signature of attempt 1, and with a signature for the very text."""
    odd = [
        *("0", "00", "01", "001", "+1", "-1", "1.0", "1e0", "1E0", "0x1", "1_0", " 1", "1 ", "1\n", "\t1", "1\x00"),
        *("٣", "١", "１", "¹", "½", "Ⅰ", "一", "1\u200b", "\u202e1", "one", "null", "NaN", "Infinity", "true", "1,2"),
        *("1;2", "1/2", "1/", "[1]", "{}", "'1'", "1'--", "$1", "*", "100", "199", "1000", "9" * 300, "1" * 20),
    ]
    yield from _forbidden("attempts", "attempt", odd)
    # Those that could exist are answered in the same way.
    for case in _forbidden("signed attempts", "attempt", [*odd, "2", "99"]):
        yield replace(case, signature=sign(attempt=case.attempt))
    yield from _forbidden("no attempt", "attempt", [""], only_use_case=True)


def _request_ids() -> Family:
    """Signed for the very text, so that only the id's own rule and the table decide."""
    odd = [
        *("no-record", "...", REQUEST.upper(), f"{REQUEST} ", f" {REQUEST}", f"{REQUEST}\n", f"{REQUEST}\x00"),
        *(f"{REQUEST}\r\nA: b", "c\u043erpus-5", "corpus\u20105", "corpus-\uff15", "corpus-٥", "córpus-5", "😀", "*"),
        *(f"\u202e{REQUEST}", f"{REQUEST}\u200b", f"{REQUEST}?a", f"{REQUEST}#a", f"{REQUEST};a=b", f"{REQUEST}%00"),
        *("%63orpus-5", f"{REQUEST},{REQUEST}", f"{REQUEST}+", f"a/../{REQUEST}", f"{REQUEST}/1", f"..\\{REQUEST}"),
        *("{requestId}", "a" * 129, "a" * 500, "' OR 1=1", "${a}", f"north~{REQUEST}", f"~{REQUEST}", f"{REQUEST}~"),
        *(f"north~north~{REQUEST}", f"North~{REQUEST}", f"{'n' * 33}~{REQUEST}", f"default~{REQUEST}"),
    ]
    for case in _forbidden("request ids", "request_id", odd):
        yield replace(case, signature=sign(case.request_id))
    # Over HTTP these have another meaning.
    for case in _forbidden("request ids not over HTTP", "request_id", ["", ".", "..", "\udc80"], only_use_case=True):
        yield replace(case, signature=sign(case.request_id))


def _bodies() -> Family:
    whole = outcome()

    def beside(value: str) -> str:
        return f'{whole[:-1]},"a":{value}}}'

    broken = [
        *("", " \n", "completed", "null", "true", "1", '"completed"', "[]", f"[{whole}]", json.dumps(whole), "{"),
        *(f"{whole}x", whole + whole, f"{whole}\n{whole}", whole[:-1], f"{whole[:-1]},}}"),
        *(whole.replace('"', "'"), f"{whole[:-1]}/**/}}", whole.replace(CALL, f"{CALL}\\")),
        *(f"outboundCallId={CALL}&status=completed", f"<call><id>{CALL}</id><status>completed</status></call>"),
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
        '--a\r\nContent-Disposition: form-data; name="status"\r\n\r\ncompleted\r\n--a--\r\n',
        *("<script>alert(1)</script>", "${jndi:ldap://example.test/a}", "%s%n", f"outboundCallId: {CALL}\n"),
        *("[" * 15_000, beside("[" * 5000), beside("[}")),
    ]
    yield from _invalid("bodies", NOT_JSON, broken)
    yield from _invalid("bodies not over HTTP", NOT_JSON, ["\ud800"], only_use_case=True)
    yield _recorded("bodies: spaces around", f" \r\n{whole}\t")
    yield _recorded("bodies: a byte order mark", f"\ufeff{whole}")
    odd = ['"\x01"', '"\\ud800"', '"\\x41"', "9" * 5000, "NaN", "undefined", *("[" * n + "]" * n for n in (250, 5000))]
    for number, value in enumerate(odd):
        yield _recorded(f"bodies: beside an odd value {number}: {value[:20]!a}", beside(value))


def _encodings() -> Family:
    """A body that isn't text arrives in base64, with a mark."""
    whole = outcome().encode()
    text = _as_base64(whole)
    yield _recorded("encodings: base64", text, is_base64=True)
    binary = [
        *(gzip.compress(whole, mtime=0), zlib.compress(whole), b"\x00" * 100, base64.b64encode(whole)),
        *(
            b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
            whole.decode().encode("utf-16")[:-1],
            whole.decode().encode("cp500"),
        ),
    ]
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        yield _recorded(f"encodings: {encoding}", _as_base64(whole.decode().encode(encoding)), is_base64=True)
    for number, each in enumerate((b"\xe9", b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xe8\xaa", b"\xf4\x90\x80\x80")):
        body = _as_base64(whole[:-1] + b',"a":"%s"}' % each)
        yield _recorded(f"encodings: a text in no encoding {number}", body, is_base64=True)
    yield from _invalid("encodings", NOT_JSON, map(_as_base64, binary), is_base64=True)
    marked = ["completed!", outcome(), "_-" * 40, f"{text[:40]} {text[40:]}", f"{text[:40]}\n{text[40:]}", "é" + text]
    marked.append(text.rstrip("=")[:-1] + "A")
    yield from _invalid("encodings: not base64", NOT_JSON, marked, is_base64=True, only_use_case=True)
    yield from _invalid("encodings: no mark", NOT_JSON, [text])


def _sizes() -> Family:
    whole = outcome()
    largest = whole.ljust(MAX_BYTES)
    yield _recorded("sizes: at the limit", largest)
    yield _recorded("sizes: at the limit in base64", _as_base64(largest.encode()), is_base64=True)
    large = [f"{largest} ", whole + "語" * (MAX_BYTES - len(whole)), "x" * 512 * 1024]
    yield from _invalid("sizes", TOO_LARGE, large)
    yield from _invalid("sizes in base64", TOO_LARGE, [_as_base64(each.encode()) for each in large], is_base64=True)


def _call_ids() -> Family:
    bad: list[Any] = [
        *(None, "", 1, True, [CALL], {"id": CALL}, "call", CALL.replace("-", ""), f"{{{CALL}}}", f"urn:uuid:{CALL}"),
        *(CALL[:-1], f"{CALL}4", f"{CALL}\n", f" {CALL}", f"{CALL}\x00", "ｃ" + CALL[1:], "с" + CALL[1:], "c" * 500),
        *(f"{CALL},{CALL}", f"../{CALL}", f"{CALL}' OR '1'='1"),
    ]
    missing = [json.dumps({name: CALL, "status": "completed"}) for name in ("id", "outbound_call_id", "OUTBOUNDCALLID")]
    last = outcome()[:-1]
    bodies = [*(outcome(outboundCallId=value) for value in bad), *missing, f'{last},"outboundCallId":null}}']
    for number, body in enumerate(bodies):
        # The signature names the attempt, so the outcome counts without the id.
        case = _recorded(f"call ids {number}: {body[:60]!a}", body)
        yield replace(case, stored={"status": "completed", "outboundCallId": CALL})
    others = (OTHER_CALL, CONTACT, "00000000-0000-0000-0000-000000000000")
    bodies = [*(outcome(outboundCallId=value) for value in others), f'{last},"outboundCallId":"{OTHER_CALL}"}}']
    yield from _invalid("call ids of another call", ANOTHER_CALL, bodies)
    yield _recorded("call ids: in capitals", outcome(outboundCallId=CALL.upper()))
    contacts: list[Any] = [None, "", 7, "someone", [CONTACT]]
    for value in contacts:
        yield _recorded(f"call ids: contact {json.dumps(value)}", outcome(contactId=value), {"contactId": CONTACT})


def _statuses() -> Family:
    bad: list[Any] = [
        *(None, "", 1, 0, True, [], ["completed"], {}, {"status": "completed"}, " completed", "completed "),
        *("completed\n", "completed\x00", "no answer", "no\u2010answer", "\u0441ompleted", "\uff43ompleted"),
        *("com\u200bpleted", "completed,failed", "x" * 33, "x" * 500),
    ]
    words = [
        *("Completed", "COMPLETED", "complete", "ended", "no_answer", "noAnswer", "hung-up", "voicemail", "canceled"),
        *("cancelled", "transferred", "rejected", "unknown", "scheduled", "dispatching", "x" * 32),
    ]
    for word in words:
        yield _noted(f"statuses: {word}", outcome(status=word), allomiaStatus=word)
        yield _noted(f"statuses: {word} without an id", json.dumps({"status": word}), allomiaStatus=word)
    missing = [json.dumps({"outboundCallId": CALL}), json.dumps({"outboundCallId": CALL, "Status": "completed"})]
    last = outcome()[:-1]
    bodies = [*(outcome(status=value) for value in bad), *missing, f'{last},"status":null}}']
    yield from _invalid("statuses", NO_STATUS, bodies)
    for number, body in enumerate((outcome(status="calling"), f'{last},"status":"calling"}}')):
        yield _noted(f"statuses: in progress {number}", body, allomiaStatus=None)
    yield _recorded("statuses: the last of two", f'{outcome(status="calling")[:-1]},"status":"completed"}}')


def _details() -> Family:
    """A detail in an undocumented form is dropped, and the outcome is recorded."""
    odd: list[Any] = [None, [], "", "text", 1, True]
    for value in odd:
        case = _recorded(f"details: {json.dumps(value)}", outcome(callDetails=value))
        yield replace(case, stored={"status": "completed", "outcomeSource": "webhook"})
    durations: dict[str, float | None] = dict.fromkeys(
        ("-1", "-0.5", "1e400", "NaN", "Infinity", "1000000001", "9" * 400, "null", "[]", "{}", '"long"', '""'), None
    )
    durations |= {"0": 0, "0.0": 0, "-0.0": 0, "150.5": 150.5, "1e2": 100, "1e9": 10**9, "1e-400": 0}
    durations |= {"0.1234567": 0.123457}
    for number, kept in durations.items():
        body = outcome(callDetails=0).replace('"callDetails": 0', f'"callDetails": {{"duration": {number}}}')
        stored = {"callDetails": {} if kept is None else {"duration": kept}}
        yield _recorded(f"details: duration {number[:12]}", body, stored)
    for field in ("startedAt", "endedAt", "endedReason"):
        without = {name: each for name, each in DETAILS.items() if name != field}
        wrong: list[Any] = [None, 1, True, [], {}, ["a"]]
        for value in wrong:
            body = outcome(callDetails=DETAILS | {field: value})
            yield _recorded(f"details: {field} {json.dumps(value)}", body, {"callDetails": without})
    for reason in ("", "\x00", "😀", "\u202ereason", "<script>", "{{7*7}}", "' OR 1=1", "${jndi:ldap://a}", "x" * 1000):
        details = DETAILS | {"endedReason": reason}
        yield _recorded(f"details: reason {reason[:20]!a}", outcome(callDetails=details), {"callDetails": details})
    for field, value in (("endedReason", "x" * 1001), ("startedAt", "2" * 65), ("endedReason", "\ud83d")):
        without = {name: each for name, each in DETAILS.items() if name != field}
        body = json.dumps(OUTCOME | {"callDetails": DETAILS | {field: value}})
        yield _recorded(f"details: {field} of {len(value)} characters", body, {"callDetails": without})
    for name in ("__proto__", "recordingUrl", "a b", ""):
        yield _recorded(f"details: with {name!a}", outcome(callDetails=DETAILS | {name: "x"}))


# What follows is sent over HTTP only, where the gateway may answer by itself.


def _sent(name: str, statuses: Iterable[int], target: str = PATH, **request: Any) -> WebhookCase:
    expected = tuple(statuses)
    stored = {"status": "completed"} if 200 in expected else None
    return WebhookCase(name, expected, target=target, stored=stored, **request)


def _content_types() -> Family:
    """The body counts, not its content type."""
    for label in (
        *("application/json; charset=utf-8", "application/json; charset=utf-16", "text/plain", "text/html", "*/*"),
        *("application/xml", "application/octet-stream", "multipart/form-data; boundary=a", "application/gzip", ""),
        *(
            "application/x-www-form-urlencoded",
            "application/vnd.allomia+json",
            "nonsense",
            "application/json, text/plain",
        ),
    ):
        yield _sent(f"content types: {label}", [200], headers={"Content-Type": label} if label else {})
    for encoding in ("gzip", "br", "deflate", "identity"):
        yield _sent(f"content types: marked as {encoding}", [200], headers={"Content-Encoding": encoding})
    form = f"outboundCallId={CALL}&status=completed"
    for label in ("application/x-www-form-urlencoded", "application/json", "text/plain"):
        yield _sent(f"content types: a form as {label}", [400], body=form, headers={"Content-Type": label})
    packed = _as_base64(gzip.compress(outcome().encode(), mtime=0))
    for label in ("application/json", "application/gzip", "application/octet-stream"):
        headers = {"Content-Type": label, "Content-Encoding": "gzip"}
        yield _sent(f"content types: gzip as {label}", [400], body=packed, is_base64=True, headers=headers)


def _headers() -> Family:
    """No header identifies a sender."""
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
    }.items():
        yield _sent(f"headers: {name}, signed", [200], headers={name: value})
        yield _sent(f"headers: {name}, not signed", [403], PATH[:-1] + "A", headers={name: value})


def _methods() -> Family:
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "POSTS", "X"):
        yield _sent(f"methods: {method}", [204, 400, 403, 404, 405, 501], method=method)
    yield _sent("methods: post", [200, 400, 403, 404, 405, 501], method="post")


def _paths() -> Family:
    """No other path leads to the function, and one that does names the one attempt."""
    base = "/webhooks/allomia"
    ids = [
        *(f"a%2F{REQUEST}", f"a%252F{REQUEST}", f"a%5C{REQUEST}", "%2e%2e", "%2e", "%252e%252e", f"..;/{REQUEST}"),
        *(f"{REQUEST}{end}" for end in (";a=b", "%00", "%0a", "%0d%0aX-A:%20b", "%20", "+", "%", "%zz", "%ff")),
        *(f"a%c0%af{REQUEST}", "corpus-%ef%bc%95", "a" * 4000, "", f"north~{REQUEST}", f"%7E{REQUEST}"),
    ]
    bad = [
        *(f"{base}/{request_id}/1/{SIGNATURE}" for request_id in ids),
        *(f"{base}/{REQUEST}/{attempt}/{SIGNATURE}" for attempt in ("", "%30%31", "%D9%A3", "1" * 4000)),
        *(f"{base}/{REQUEST}/1/{text}" for text in ("", f"{SIGNATURE[:-1]}%3F", f"{SIGNATURE}%2F", "A" * 4000)),
        *("/", base, f"{base}/{REQUEST}", f"{base}/{REQUEST}/1", f"{PATH}/a", PATH.upper(), "/ping", "/.env"),
        *(PATH.replace("allomia", "other"), f"/{REQUEST}/1/{SIGNATURE}", base + "/a" * 1000, f"/prod{PATH}"),
        *(f"{base}/{REQUEST}/2/{SIGNATURE}?attempt=1", f"{base}/{REQUEST}/1/x?signature={SIGNATURE}"),
    ]
    for number, target in enumerate(bad):
        yield _sent(f"paths {number}: {target[:80]}", [400, 403, 404, 405], target)
    yield _sent("paths: 9000 characters", [400, 403, 404, 405, 414, 431], f"{base}/{'a' * 9000}/1/{SIGNATURE}")
    for target in (f"/{PATH}", f"{base}%2F{REQUEST}%2F1%2F{SIGNATURE}"):
        yield _sent(f"paths: may be the same, {target[:30]}", [200, 400, 403, 404, 405], target)
    attack = f"{PATH}?requestId=corpus-6&attempt=2&signature=a"
    same = [f"{PATH}?a=b", attack, PATH.replace("corpus", "%63orpus"), PATH.replace("/1/", "/%31/")]
    for number, target in enumerate(same):
        yield _sent(f"paths: the same attempt {number}", [200], target)
