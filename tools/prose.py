"""Checks the language of pages, comments, strings and test names against docs/contribute/prose.toml."""

import re
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RULES = ROOT / "docs/contribute/prose.toml"
_CODE_IN_MARKDOWN = re.compile(
    r"^ *```.*?^ *```$|<!-- (\w+) -->.*?<!-- /\1 -->|`[^`\n]*`|\]\([^)]*\)", re.MULTILINE | re.DOTALL
)
_TEXT = {tokenize.COMMENT, tokenize.STRING, tokenize.FSTRING_MIDDLE}


@cache
def _config() -> tuple[dict[str, Any], list[tuple[re.Pattern[str], str]]]:
    """The file of the rules, and each rule's pattern with what to write instead."""
    config = tomllib.loads(RULES.read_text())
    return config, [(re.compile(rf"\b(?:{rule['words']})\b", re.IGNORECASE), rule["use"]) for rule in config["rules"]]


def main(arguments: list[str]) -> int:
    """Check the files that are named, or all of them; returns the exit code."""
    config, rules = _config()
    found = {path for pattern in config["files"] for path in ROOT.glob(pattern)}
    faults = [
        f"{path.relative_to(ROOT)}:{first + text.count('\n', 0, match.start())}: {match[0]!r}: write {use}"
        for path in [Path(name).resolve() for name in arguments] or sorted(found)
        if not any(path.is_relative_to(ROOT / name) for name in config["skip"])
        for first, text in prose(path)
        for pattern, use in rules
        for match in pattern.finditer(text)
    ]
    print(*faults, sep="\n", end="\n" if faults else "", file=sys.stderr)
    return 1 if faults else 0


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """The pieces of prose in a file, each with the number of its first line."""
    match path.suffix:
        case ".md":
            yield 1, _CODE_IN_MARKDOWN.sub(lambda code: re.sub(r"[^\n]", " ", code[0]), path.read_text())
        case ".py":
            with path.open("rb") as file:
                for token in tokenize.tokenize(file.readline):
                    if token.type in _TEXT or token.string.startswith("test_"):
                        yield token.start[0], token.string.replace("_", " ")
        case _:
            yield 1, path.read_text()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
