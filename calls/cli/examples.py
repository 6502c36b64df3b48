"""The examples in each command's help."""

import typer

EXAMPLES: dict[str, tuple[str, ...]] = {
    "place": (
        "calls place reminders.csv --dry-run",
        "calls place reminders.csv --skip-invalid --wait",
        "calls place --phone-number +15005550100 --request-id reminder-A-1001 --wait",
        "calls place reminders.csv --again rejected",
    ),
    "show": ("calls show reminder-A-1001", "calls show boston~reminder-7 --json"),
    "list": ("calls list", "calls list --status unknown --since 3d", "calls list --status calling --limit 500"),
    "report": (
        "calls report",
        "calls report --day yesterday --trend",
        "calls report --batch december --html december.html --language fr",
        "calls report --file reminders.csv --csv",
    ),
    "console": ("calls console", "calls console --read-only --language fr"),
    "events": ("calls events --since 2h", "calls events --follow", "calls events --follow --json"),
    "watch": ("calls watch", "calls watch --every 10"),
    "resolve": (
        "calls resolve reminder-A-1001 --as no-answer",
        "calls resolve reminder-A-1001 --as unknown",
        "calls resolve --file found-out.csv",
        "calls resolve --as no-answer --since 3d --batch december",
        "calls resolve reminder-A-1001 --dial-again --file reminders.csv",
    ),
    "invalid": ("calls invalid", "calls invalid --export invalid.jsonl"),
    "redrive": (
        "calls redrive --dead-letters",
        "calls redrive --dead-letters --only reminder-A-1001",
        "calls redrive --file fixed.jsonl",
    ),
    "discard": (
        "calls discard --invalid --older-than 7d --export discarded.jsonl",
        "calls discard --dead-letters --only reminder-A-1001",
    ),
    "republish": ("calls republish --since 6h --dry-run",),
    "doctor": ("calls doctor",),
    "pause": ("calls pause", "calls pause --organization boston"),
    "resume": ("calls resume",),
    "lines": ("calls lines", "calls lines --organization boston --json"),
    "cancel": (
        "calls cancel reminder-A-1001 reminder-A-1002",
        "calls cancel --file reminders.csv",
        "calls cancel --batch december",
    ),
    "forget": ("calls forget +15145550199",),
    "explain": ("calls explain reminder-A-1001",),
    "audit": ("calls audit --from 7d", "calls audit --from 2026-11-01 --to 2026-12-01 --export dials.csv"),
    "record": ("calls record reminder-A-1001", "calls record reminder-A-1001 --language fr"),
    "recording": ("calls recording reminder-A-1001 call.wav",),
    "transcript": ("calls transcript reminder-A-1001 call.txt",),
    "policy check": ("calls policy check policy.json --preset canada",),
    "policy show": ("calls policy show", "calls policy show --preset canada"),
    "policy set": ("calls policy set policy.json --dry-run", "calls policy set --preset canada"),
    "policy history": ("calls policy history",),
    "do-not-call add": ("calls do-not-call add +15145550199", "calls do-not-call add +15145550199 --purpose marketing"),
    "do-not-call remove": ("calls do-not-call remove +15145550199",),
    "do-not-call check": ("calls do-not-call check +15145550199",),
    "do-not-call import": ("calls do-not-call import list.csv",),
    "do-not-call count": ("calls do-not-call count",),
}


def help_examples(app: typer.Typer, name: str) -> str:
    """The examples of a command of `app`, as its help shows them."""
    group = app.info.name if isinstance(app.info.name, str) else ""
    lines = EXAMPLES[f"{group} {name}".strip().removesuffix("_")]
    # \b keeps the lines as they are.
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])
