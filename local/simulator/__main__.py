"""`python -m local.simulator`: AlloMia on a port of localhost."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from local.simulator.app import Settings, create_app
from local.simulator.faults import Faults, settings_as_markdown
from local.simulator.magic_numbers import as_markdown
from local.simulator.orders import explain
from local.simulator.server import serve


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the simulator, or print its magic numbers."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.numbers:
        print(as_markdown())
        return
    if options.settings:
        print(settings_as_markdown())
        return
    try:
        faults = Faults.model_validate({name: getattr(options, name) for name in _given(options)})
    except ValidationError as invalid:
        parser.error(explain(invalid))
    app = create_app(Settings(faults=faults, gateway=options.gateway, memory_file=options.memory_file))
    serve(app, options.host, options.port, stop_at_end_of_input=options.stop_at_end_of_input)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.simulator", description=__doc__)
    parser.add_argument("--numbers", action="store_true", help="print the magic numbers as Markdown, and exit")
    parser.add_argument("--settings", action="store_true", help="print the settings as Markdown, and exit")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8070, help="0: any free port (default: %(default)s)")
    parser.add_argument(
        "--gateway",
        metavar="URL",
        help="the local cloud, which gets the webhooks for *.execute-api.*.amazonaws.com",
    )
    parser.add_argument("--memory-file", type=Path, metavar="FILE", help="keeps the calls while the process is down")
    parser.add_argument("--stop-at-end-of-input", action="store_true", help="stop when standard input is closed")
    faults = parser.add_argument_group("faults", "as in PATCH /_control")
    for name, field in Faults.model_fields.items():
        several = isinstance(field.default, tuple)
        faults.add_argument(
            f"--{name.replace('_', '-')}",
            nargs="*" if several else None,
            metavar="KEY" if several else name.rpartition("_")[2].upper(),
            help=f"{field.description} (default: {' '.join(field.default) if several else field.default})",
        )
    return parser


def _given(options: argparse.Namespace) -> list[str]:
    return [name for name in Faults.model_fields if getattr(options, name) is not None]


if __name__ == "__main__":
    main()
