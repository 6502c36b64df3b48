"""Mutation testing: makes every small mistake in the code that the guarantees rest on, and checks that a test fails.

``python -m tests.tooling.mutation.run [ONLY…]`` runs the tests that reach a mutant, in a process of its own for each
mutant, until one fails. ONLY selects mutants by the start of their name: ``domain``, ``adapters.allomia._words``. The
exit code is 1 when a mutant survives that `survivors.toml` doesn't explain, or when an explanation no longer applies.

Results are repeatable: the tests' random examples are always the same, and a mutant's time limit counts CPU time, so a
busy machine doesn't make one time out. Importing the packages of others takes most of a process's start, so the runner
imports them once and forks.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import tomllib
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import boto3  # noqa: F401 - see above
import coverage
import httpx  # noqa: F401 - see above
import hypothesis
import pydantic  # noqa: F401 - see above
import pytest
import yaml  # noqa: F401 - see above

from tests.tooling.mutation.mutants import Mutant, mutants_of

ROOT = Path(__file__).resolve().parents[3]
LAYER = ROOT / "layers/outbound_calls/outbound_calls"
UNIT, POLICY = "tests/unit", "tests/unit/policy"
DOMAIN = ("transitions", "timing", "attempts", "lines", "log_matches")
POLICIES = ("caps", "redial", "calendars", "number_zones", "evaluation", "rules", "refusals")
ADAPTERS = (
    "callback_urls",
    "fingerprints",
    "secrets",
    "circuit_breaker",
    "bounded_http",
    "attempt_items",
    "conditional_writes",
    "allomia",
    "organizations",
    "due_entries",
    "waiting_attempts",
    "batch_searches",
    "lines_table",
    "dial_marks",
    "calls_table",
)
USE_CASES = (
    *("place", "placement", "dial", "wait_for_line", "new_attempt", "limits", "hand_on", "keep", "sweep", "polls"),
    *("look_in_log", "log_reads", "count_calls", "cancel_batch", "not_found"),
)
MODULES = {
    **dict.fromkeys((f"domain.{name}" for name in DOMAIN), UNIT),
    **dict.fromkeys(("domain.recipients", *(f"policy.{name}" for name in POLICIES)), POLICY),
    **dict.fromkeys((f"adapters.{name}" for name in ADAPTERS), UNIT),
    **dict.fromkeys((f"use_cases.{name}" for name in USE_CASES), UNIT),
}
"""The modules to mutate, and the folder with the tests that must fail: the lowest level that can catch the mistake."""

EXCLUDED_TESTS = (
    "tests/unit/calls",
    "tests/unit/test_snapshots.py",
)
"""Tests that start functions as processes, which don't contain the mutant, and those of the operators' command."""

SURVIVORS = Path(__file__).with_name("survivors.toml")
MAX_PROCESSES = int(os.environ.get("MUTATION_PROCESSES", "2"))
SAMPLE = int(os.environ.get("MUTATION_SAMPLE", "1"))
"""Of how many mutants one is tried, always the same."""

TESTS = os.environ.get("MUTATION_TESTS", "").split()
"""Run only these files, which is quicker. A mutant that survives them may be killed by another test."""

CPU_SECONDS, CPU_TIMES_BASELINE = 5, 2
"""A test's limit of CPU time under a mutant: so many seconds, plus so many times what it takes while its lines are
recorded without a mutation."""

WALL_SECONDS, WALL_TIMES_BASELINE = 120, 20
"""The same for a mutant that waits and uses no CPU time."""


class Result(NamedTuple):
    """What happened to a mutant: the test that failed, or the signal that ended a timeout; None when it survived."""

    mutant: Mutant
    killed_by: str | None
    timed_out: bool
    tests: int


@dataclass
class Baseline:
    """A run of the tests without a mutation: the seconds of each test, and the lines of each module that it reaches."""

    seconds: dict[str, float] = field(default_factory=dict)
    reached: dict[str, dict[str, set[int]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))

    def tests_for(self, mutant: Mutant) -> list[str]:
        """The tests that reach the mutated statement; for one that runs at import, all files that reach the module.

        A module of constants alone is reached by none: then all the tests that are for it.
        """
        wanted = set(mutant.lines)
        reached = {test: lines for test, lines in self.reached[mutant.module].items() if is_for(test, mutant.module)}
        found = {test for test, lines in reached.items() if lines & wanted}
        if not found:
            files = set(map(file_of, reached or filter(lambda test: is_for(test, mutant.module), self.seconds)))
            found = {test for test in self.seconds if file_of(test) in files}
        # The fastest first, but file after file.
        longest: dict[str, float] = defaultdict(float)
        for test in found:
            longest[file_of(test)] += self.seconds[test]
        return sorted(found, key=lambda test: (longest[file_of(test)], file_of(test), self.seconds[test]))


def function_of(nodeid: str) -> str:
    """A test without its parameters: their names may come from the code, so a mutant may change them."""
    return nodeid.partition("[")[0]


def file_of(test: str) -> str:
    return test.partition("::")[0]


def is_for(test: str, module: str) -> bool:
    return test.startswith(f"{MODULES[module]}/")


def package_of(module: str) -> tuple[str, str]:
    """The package of a module of the layer, and the module's own name: ``outbound_calls.domain``, ``timing``."""
    package, _, name = f"{LAYER.name}.{module}".rpartition(".")
    return package, name


class Selection:
    """A pytest plugin that runs these of the collected tests, in this order."""

    def __init__(self, tests: Sequence[str]) -> None:
        self.position = {test: position for position, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        selected = [item for item in items if function_of(item.nodeid) in self.position]
        items[:] = sorted(selected, key=lambda item: self.position[function_of(item.nodeid)])


class Recorder:
    """A pytest plugin that names the running test to coverage, and records each test's time and the failures."""

    def __init__(self, measured: coverage.Coverage | None = None) -> None:
        self.measured = measured
        self.seconds: dict[str, float] = defaultdict(float)
        self.failed: list[str] = []

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        if self.measured:
            self.measured.switch_context(function_of(nodeid))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[function_of(report.nodeid)] += report.duration
        if report.failed:
            self.failed.append(function_of(report.nodeid))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.failed.append(function_of(report.nodeid))


class Limits:
    """A pytest plugin that ends the process when a test takes far longer than without a mutation."""

    def __init__(self, seconds: Mapping[str, float]) -> None:
        self.seconds = seconds
        self._limit(0.0)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._limit(self.seconds.get(function_of(nodeid), 0.0))

    def _limit(self, seconds: float) -> None:
        cpu = int(time.process_time() + CPU_SECONDS + CPU_TIMES_BASELINE * seconds) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (cpu, resource.getrlimit(resource.RLIMIT_CPU)[1]))
        signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS + WALL_TIMES_BASELINE * seconds)


def run_tests(tests: Sequence[str], *plugins: object) -> int:
    """Run pytest in this process, always in the same way."""
    hypothesis.settings.register_profile(
        "mutation",
        derandomize=True,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    hypothesis.settings.load_profile("mutation")
    options = [
        "-x",
        "-q",
        "--tb=short",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:pytest_cov",
        "-p",
        "no:unraisableexception",
    ]
    # The plugins were imported before pytest could rewrite their assertions.
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    return int(pytest.main([*options, *tests], plugins=plugins))


def measure(folders: Collection[str], answer: int) -> None:
    """Run every test on the unchanged code. Runs in a process of its own."""
    # What this process imports is compiled once, and not again for each mutant.
    sys.dont_write_bytecode = False
    files = {module: str(path_of(module)) for module in MODULES}
    measured = coverage.Coverage(data_file=None, include=list(files.values()), config_file=False)
    recorder = Recorder(measured)
    measured.start()
    excluded = [f"--ignore={path}" for path in EXCLUDED_TESTS]
    code = run_tests([*(TESTS or sorted(folders)), *excluded], recorder)
    measured.stop()
    if code != pytest.ExitCode.OK:
        raise SystemExit(f"The tests fail without a mutation: {recorder.failed or code}")
    data = measured.get_data()
    lines = {module: data.contexts_by_lineno(file) for module, file in files.items()}
    with os.fdopen(answer, "w") as pipe:
        json.dump({"seconds": recorder.seconds, "lines": lines}, pipe)


def run_unchanged(test: str, module: str, folder: Path, _answer: int) -> None:
    """Run one test on the unchanged code, in the place where a mutant is. Runs in a process of its own."""
    replace(Mutant(module, module, "", range(0), source_of(module)), folder)
    if run_tests([file_of(test)], Selection([test])) != pytest.ExitCode.OK:
        raise SystemExit(1)


def run_mutant(
    mutant: Mutant,
    tests: Sequence[str],
    seconds: Mapping[str, float],
    folder: Path,
    answer: int,
) -> None:
    """Replace a module with the mutant and run tests until one fails. Runs in a process of its own."""
    recorder, limits = Recorder(), Limits(seconds)
    try:
        replace(mutant, folder)
        for module in sorted(LAYER.rglob("*.py")):
            importlib.import_module(".".join(module.relative_to(LAYER.parent).with_suffix("").parts))
    except Exception as error:  # noqa: BLE001 - any exception means that no function starts with this mutant
        recorder.failed.append(f"import: {type(error).__name__}")
    else:
        package, name = package_of(mutant.module)
        assert Path(str(sys.modules[f"{package}.{name}"].__file__)).parent == folder
        # File after file, as most mutants are killed by the first.
        for file in dict.fromkeys(map(file_of, tests)):
            code = run_tests([file], recorder, limits, Selection(tests))
            if (code == pytest.ExitCode.OK) == bool(recorder.failed):
                raise SystemExit(f"pytest ended with {code}")
            if recorder.failed:
                break
    with os.fdopen(answer, "w") as pipe:
        json.dump(recorder.failed[:1], pipe)


def replace(mutant: Mutant, folder: Path) -> None:
    """Let Python find the mutant, written into `folder`, before the module itself. Nothing may have imported it yet."""
    sys.dont_write_bytecode = True
    if str(LAYER.parent) not in sys.path:
        sys.path.insert(0, str(LAYER.parent))
    package, name = package_of(mutant.module)
    assert f"{package}.{name}" not in sys.modules
    (folder / f"{name}.py").write_text(mutant.source)
    # What a module reads from beside itself, such as the policy's presets.
    for data in path_of(mutant.module).parent.iterdir():
        if data.suffix != ".py" and data.name != "__pycache__":
            (folder / data.name).symlink_to(data)
    importlib.import_module(package).__path__.insert(0, str(folder))


class Child(NamedTuple):
    """A running process. Its answer comes through the file descriptor `answer`."""

    answer: int
    log: Path
    mutant: Mutant
    tests: int


def fork(work: Any, *arguments: Any, log: Path) -> tuple[int, int]:
    """Do some work in a new process. Returns its id, and the file descriptor that its answer can be read from."""
    reading, writing = os.pipe()
    if child := os.fork():
        os.close(writing)
        return child, reading
    code = 1
    try:
        os.close(reading)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        work(*arguments, writing)
        code = 0
    except SystemExit as error:
        print(error)
    except BaseException:  # noqa: BLE001 - goes into the log
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        os._exit(code)


def baseline_of(folders: Collection[str], log: Path) -> Baseline:
    """Run the tests of some folders once."""
    child, answer = fork(measure, folders, log=log)
    with os.fdopen(answer) as pipe:
        text = pipe.read()
    if os.waitpid(child, 0)[1] != 0:
        raise SystemExit(log.read_text()[-4000:])
    found = json.loads(text)
    baseline = Baseline(found["seconds"])
    for module, lines in found["lines"].items():
        for line, tests in lines.items():
            for test in tests:
                if test:
                    baseline.reached[module][test].add(int(line))
    return baseline


class Runner:
    """Runs the tests against mutants, a few processes at a time."""

    def __init__(self, baseline: Baseline, folder: Path) -> None:
        self.baseline = baseline
        self.folder = folder
        self.killers: dict[str, list[str]] = defaultdict(list)
        """The tests that last killed mutants of a function or module. They run first, as they may kill the next one."""

        self.reliable: set[tuple[str, str]] = set()
        self.unreliable: set[tuple[str, str]] = set()
        """Modules and tests that also fail without a mutation, such as where the module misses something that it reads
        from beside itself."""

    def results(self, mutants: Sequence[Mutant]) -> Iterator[Result]:
        """The result of each mutant, as soon as it is known."""
        waiting = list(reversed(mutants))
        running: dict[int, Child] = {}
        while waiting or running:
            while waiting and len(running) < MAX_PROCESSES:
                pid, child = self._start(waiting.pop())
                running[pid] = child
            pid, status = os.wait()
            result = _result(running.pop(pid), status)
            if result.killed_by is None or result.timed_out or "::" not in result.killed_by:
                yield result
            elif self._is_reliable(result.mutant.module, result.killed_by):
                for place in (result.mutant.function, result.mutant.module):
                    self.killers[place] = list(dict.fromkeys([result.killed_by, *self.killers[place]]))[:10]
                yield result
            else:
                waiting.append(result.mutant)

    def _start(self, mutant: Mutant) -> tuple[int, Child]:
        tests = [test for test in self.baseline.tests_for(mutant) if (mutant.module, test) not in self.unreliable]
        killers = [test for test in [*self.killers[mutant.function], *self.killers[mutant.module]] if test in tests]
        ordered = list(dict.fromkeys([*killers, *tests]))
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        log = folder / "log"
        pid, answer = fork(run_mutant, mutant, ordered, self.baseline.seconds, folder, log=log)
        return pid, Child(answer, log, mutant, len(ordered))

    def _is_reliable(self, module: str, test: str) -> bool:
        """Whether a test that failed passes without a mutation. Each is checked once for a module."""
        if (module, test) not in self.reliable | self.unreliable:
            folder = Path(tempfile.mkdtemp(dir=self.folder))
            child, answer = fork(run_unchanged, test, module, folder, log=folder / "log")
            os.close(answer)
            passes = os.waitpid(child, 0)[1] == 0
            (self.reliable if passes else self.unreliable).add((module, test))
        return (module, test) in self.reliable


def _result(child: Child, status: int) -> Result:
    with os.fdopen(child.answer) as pipe:
        text = pipe.read()
    if os.WIFSIGNALED(status):
        return Result(child.mutant, signal.Signals(os.WTERMSIG(status)).name, True, child.tests)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{child.mutant.name}\n{child.log.read_text()[-4000:]}")
    failed = json.loads(text)
    shutil.rmtree(child.log.parent)
    return Result(child.mutant, failed[0] if failed else None, False, child.tests)


def explained() -> dict[str, str]:
    """Why each known survivor may survive, by the mutant's name."""
    entries = tomllib.loads(SURVIVORS.read_text()).get("survivors", [])
    return {mutant.strip(): entry["why"] for entry in entries for mutant in entry["mutants"]}


def complaints(results: Sequence[Result], explanations: Collection[str]) -> list[str]:
    """The survivors without an explanation, and the explanations of mutants that were killed or no longer exist."""
    survivors = [result.mutant.name for result in results if result.killed_by is None]
    return [
        *(f"survives: {name}" for name in survivors if name not in explanations),
        *(f"explained, but does not survive: {name}" for name in explanations if name not in survivors),
    ]


def table(results: Sequence[Result]) -> str:
    """The number of mutants of each module, by result."""
    lines = [f"{'':24}{'mutants':>10}{'killed':>10}{'timeout':>10}{'survived':>10}"]
    for module in (*MODULES, "all"):
        found = [result for result in results if module in {result.mutant.module, "all"}]
        timed_out = sum(result.timed_out for result in found)
        survived = sum(result.killed_by is None for result in found)
        killed = len(found) - timed_out - survived
        lines.append(f"{module:24}{len(found):10}{killed:10}{timed_out:10}{survived:10}")
    return "\n".join(lines)


def main(only: Sequence[str]) -> int:
    """Run every selected mutant and report."""
    began = time.monotonic()

    def is_selected(name: str) -> bool:
        return (not only or name.startswith(tuple(only))) and zlib.crc32(name.encode()) % SAMPLE == 0

    # Making the mutants of a large module takes a minute.
    modules = [
        module for module in MODULES if not only or any(module.startswith(o) or o.startswith(module) for o in only)
    ]
    explanations = {name: why for name, why in explained().items() if is_selected(name)}
    mutants = [
        mutant for module in modules for mutant in mutants_of(module, source_of(module)) if is_selected(mutant.name)
    ]
    if not mutants:
        raise SystemExit(f"No mutant's name starts with {' or '.join(only)}. The modules: {', '.join(MODULES)}")
    folders = {MODULES[mutant.module] for mutant in mutants}
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as folder:
        # The forks end without cleaning up after themselves.
        tempfile.tempdir = os.environ["TMPDIR"] = folder
        warm_up()
        baseline = baseline_of(folders, Path(folder) / "log")
        print(f"{len(mutants)} mutants, {len(baseline.seconds)} tests that may kill them", flush=True)
        runner = Runner(baseline, Path(folder))
        for result in runner.results(mutants):
            results.append(result)
            if result.killed_by is None and result.mutant.name not in explanations:
                print(f"\nsurvives {result.tests} tests: {result.mutant.name}", flush=True)
            if len(results) % 100 == 0:
                print(f"{len(results)} of {len(mutants)} done", flush=True)
    print(f"\n{table(results)}\n\n{(time.monotonic() - began) / 60:.0f} minutes")
    for module, test in sorted(runner.unreliable):
        print(f"\nnot used for {module}, because it fails here without a mutation: {test}")
    for result in results:
        if result.timed_out:
            print(f"\ntimeout ({result.killed_by}): {result.mutant.name}")
    found = complaints(results, explanations)
    print(f"\n{len(explanations)} survivors are explained in {SURVIVORS.relative_to(ROOT)}", *found, sep="\n\n")
    return 1 if found else 0


def path_of(module: str) -> Path:
    return LAYER / f"{module.replace('.', '/')}.py"


def source_of(module: str) -> str:
    """The unchanged source of a module."""
    return path_of(module).read_text()


def warm_up() -> None:
    """Do once what every process would have to do, except importing the layer."""
    with contextlib.redirect_stdout(io.StringIO()):
        run_tests(["--collect-only", str(Path(__file__).parent)])
    assert LAYER.name not in sys.modules
    gc.freeze()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
