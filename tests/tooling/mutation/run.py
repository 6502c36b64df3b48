"""Mutation testing: every small mistake in what the promises rest on, and whether a test notices.

``python -m tests.tooling.mutation.run [ONLY…]`` runs the tests that reach a mistake, in a process of its own for each,
until one fails. ONLY names what to mutate, by the beginning: ``ledger``, ``allomia._words``. Ends with 1 when a mutant
survives that `survivors.toml` does not explain, or when an explanation is of no use any more.

Nothing is left to chance: the tests' random examples are always the same, and time is measured by what a mutant
computes, so that a busy machine makes no mutant look stuck. The processes are forked from one that has imported what
others wrote, which is what takes the time, and holds the local cloud for all of them.
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
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
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

from local.cloud import LocalCloud
from tests.tooling.mutation.mutants import Mutant, mutants_of

ROOT = Path(__file__).resolve().parents[3]
LAYER = ROOT / "layers/outbound_calls/outbound_calls"
MODULES = {"lifecycle": "tests/unit", "callbacks": "tests/unit", "allomia": "tests/unit", "ledger": "tests/cloud"}
"""What is mutated, and where the tests are that must notice it: at the lowest level, where a mistake is understood."""

ELSEWHERE = (
    "tests/unit/test_snapshots.py",
    "tests/cloud/test_handlers.py",
    "tests/cloud/test_doctor.py",
    "tests/cloud/test_operator.py",
    "tests/cloud/test_operator_lookups.py",
    "tests/cloud/test_redrive.py",
)
"""Tests that are not asked: of functions in processes of their own, in which there is no mutant, and of the operator's
tools, which stand on all this and look at everything on their cloud."""

SURVIVORS = Path(__file__).with_name("survivors.toml")
AT_ONCE = 2

CPU_SECONDS, CPU_TIMES_BASELINE = 20, 5
"""A mutant that computes for longer than this, and this many times what its tests take, runs in a circle."""

WALL_SECONDS, WALL_TIMES_BASELINE = 300, 20
"""One that waits for longer waits for what will never come."""


class Result(NamedTuple):
    """What became of a mutant: the test that failed, or the signal that ended one that was stuck; None: it survived."""

    mutant: Mutant
    by: str | None
    stuck: bool
    tests: int


@dataclass
class Baseline:
    """What the tests do when there is no mistake: how long each takes, and which lines of a module it reaches."""

    seconds: dict[str, float] = field(default_factory=dict)
    reached: dict[str, dict[str, set[int]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))

    def tests_for(self, mutant: Mutant) -> list[str]:
        """Those that reach its statement; for what runs at import, the whole files of tests that reach the module."""
        wanted = set(mutant.lines)
        reached = {test: lines for test, lines in self.reached[mutant.module].items() if is_in(test, mutant.module)}
        found = {test for test, lines in reached.items() if lines & wanted}
        if not found:
            files = set(map(file_of, reached))
            found = {test for test in self.seconds if file_of(test) in files}
        # The quickest first, but file by file.
        longest: dict[str, float] = defaultdict(float)
        for test in found:
            longest[file_of(test)] += self.seconds[test]
        return sorted(found, key=lambda test: (longest[file_of(test)], file_of(test), self.seconds[test]))


def function_of(nodeid: str) -> str:
    """A test without its parameters: their names may come from the code, so a mutant may change them."""
    return nodeid.partition("[")[0]


def file_of(test: str) -> str:
    return test.partition("::")[0]


def is_in(test: str, module: str) -> bool:
    return test.startswith(f"{MODULES[module]}/")


class Shared:
    """A pytest plugin that hands the runner's own cloud to the tests."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.cloud = cloud

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any], request: Any) -> Any:
        if fixturedef.argname != "cloud":
            return None
        fixturedef.cached_result = (self.cloud, fixturedef.cache_key(request), None)
        return self.cloud


class Chosen:
    """A pytest plugin that runs these tests of the collected ones, in this order."""

    def __init__(self, tests: Sequence[str]) -> None:
        self.place = {test: place for place, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        chosen = [item for item in items if function_of(item.nodeid) in self.place]
        items[:] = sorted(chosen, key=lambda item: self.place[function_of(item.nodeid)])


class Watch:
    """A pytest plugin that tells coverage which test runs, and notes how long each takes and which failed first."""

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
    options = ["-x", "-q", "--tb=short", "-p", "no:cacheprovider", "-p", "no:pytest_cov"]
    # The plugins were imported before pytest could rewrite their assertions.
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    return int(pytest.main([*options, *tests], plugins=plugins))


def measure(folders: Collection[str], cloud: LocalCloud, answer: int) -> None:
    """For a process of its own: run every test on the code as it is."""
    files = {module: str(LAYER / f"{module}.py") for module in MODULES}
    measured = coverage.Coverage(data_file=None, include=list(files.values()), config_file=False)
    watch = Watch(measured)
    measured.start()
    code = run_tests([*sorted(folders), *(f"--ignore={file}" for file in ELSEWHERE)], watch, Shared(cloud))
    measured.stop()
    if code != pytest.ExitCode.OK:
        raise SystemExit(f"The tests fail without any mistake: {watch.failed or code}")
    data = measured.get_data()
    lines = {module: data.contexts_by_lineno(file) for module, file in files.items()}
    with os.fdopen(answer, "w") as pipe:
        json.dump({"seconds": watch.seconds, "lines": lines}, pipe)


def control(test: str, cloud: LocalCloud, _answer: int) -> None:
    """For a process of its own: run one test on the code as it is."""
    sys.dont_write_bytecode = True
    if run_tests([file_of(test)], Chosen([test]), Shared(cloud)) != pytest.ExitCode.OK:
        raise SystemExit(1)


def try_out(mutant: Mutant, tests: Sequence[str], seconds: float, cloud: LocalCloud, folder: Path, answer: int) -> None:
    """For a process of its own: put the mutant in the place of its module, and run tests until one fails."""
    cpu = int(CPU_SECONDS + CPU_TIMES_BASELINE * seconds + time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 10))
    signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS + WALL_TIMES_BASELINE * seconds)
    watch = Watch()
    (folder / f"{mutant.module}.py").write_text(mutant.source)
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(LAYER.parent))
    import outbound_calls

    outbound_calls.__path__.insert(0, str(folder))
    try:
        for module in sorted(LAYER.glob("*.py")):
            importlib.import_module(f"outbound_calls.{module.stem}")
    except Exception as error:  # noqa: BLE001 - whatever it is, nobody would miss it
        watch.failed.append(f"import: {type(error).__name__}")
    else:
        assert Path(str(sys.modules[f"outbound_calls.{mutant.module}"].__file__)).parent == folder
        # File by file, as most mistakes are noticed by the first.
        for file in dict.fromkeys(map(file_of, tests)):
            code = run_tests([file], watch, Chosen(tests), Shared(cloud))
            if (code == pytest.ExitCode.OK) == bool(watch.failed):
                raise SystemExit(f"pytest ended with {code}")
            if watch.failed:
                break
    with os.fdopen(answer, "w") as pipe:
        json.dump(watch.failed[:1], pipe)


class Child(NamedTuple):
    """A process that is under way: what it says comes through `answer`."""

    answer: int
    log: Path
    mutant: Mutant
    tests: int


def fork(work: Any, *arguments: Any, log: Path) -> tuple[int, int]:
    """Do a piece of work in a process of its own: its id, and where its answer can be read."""
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
    except BaseException:  # noqa: BLE001 - told in the log
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        os._exit(code)


def baseline_of(folders: Collection[str], cloud: LocalCloud, log: Path) -> Baseline:
    """Run the tests in some folders once."""
    child, answer = fork(measure, folders, cloud, log=log)
    with os.fdopen(answer) as pipe:
        said = pipe.read()
    if os.waitpid(child, 0)[1] != 0:
        raise SystemExit(log.read_text()[-4000:])
    found = json.loads(said)
    baseline = Baseline(found["seconds"])
    for module, lines in found["lines"].items():
        for line, tests in lines.items():
            for test in tests:
                if test:
                    baseline.reached[module][test].add(int(line))
    return baseline


class Hunt:
    """Tries out mutants, a few at once."""

    def __init__(self, baseline: Baseline, cloud: LocalCloud, folder: Path) -> None:
        self.baseline = baseline
        self.cloud = cloud
        self.folder = folder
        self.near: dict[str, list[str]] = defaultdict(list)
        """What noticed mistakes in a function or module: it comes first, as it may notice the next one as well."""

        self.believed: set[str] = set()
        self.unfit: set[str] = set()
        """Tests that fail without a mistake too, as they are not alone on the cloud here."""

    def results(self, mutants: Sequence[Mutant]) -> Iterator[Result]:
        """What becomes of each mutant, as soon as it is known."""
        waiting = list(reversed(mutants))
        running: dict[int, Child] = {}
        while waiting or running:
            while waiting and len(running) < AT_ONCE:
                pid, child = self._begin(waiting.pop())
                running[pid] = child
            pid, status = os.wait()
            if pid not in running:
                raise SystemExit(f"The local cloud has ended:\n{self.cloud.log()[-4000:]}")
            result = _result(running.pop(pid), status)
            if result.by is None or result.stuck or "::" not in result.by:
                yield result
            elif self._is_believed(result.by):
                for place in (result.mutant.function, result.mutant.module):
                    self.near[place] = list(dict.fromkeys([result.by, *self.near[place]]))[:10]
                yield result
            else:
                waiting.append(result.mutant)

    def _begin(self, mutant: Mutant) -> tuple[int, Child]:
        tests = [test for test in self.baseline.tests_for(mutant) if test not in self.unfit]
        seconds = sum(self.baseline.seconds[test] for test in tests)
        near = [test for test in [*self.near[mutant.function], *self.near[mutant.module]] if test in set(tests)]
        ordered = list(dict.fromkeys([*near, *tests]))
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        log = folder / "log"
        pid, answer = fork(try_out, mutant, ordered, seconds, self.cloud, folder, log=log)
        return pid, Child(answer, log, mutant, len(ordered))

    def _is_believed(self, test: str) -> bool:
        """Whether a test that failed passes here when there is no mistake. It is asked once."""
        if test not in self.believed | self.unfit:
            log = self.folder / "control"
            child, answer = fork(control, test, self.cloud, log=log)
            os.close(answer)
            passes = os.waitpid(child, 0)[1] == 0
            (self.believed if passes else self.unfit).add(test)
        return test in self.believed


def _result(child: Child, status: int) -> Result:
    with os.fdopen(child.answer) as pipe:
        said = pipe.read()
    if os.WIFSIGNALED(status):
        return Result(child.mutant, signal.Signals(os.WTERMSIG(status)).name, True, child.tests)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{child.mutant.name}\n{child.log.read_text()[-4000:]}")
    failed = json.loads(said)
    shutil.rmtree(child.log.parent)
    return Result(child.mutant, failed[0] if failed else None, False, child.tests)


def explained() -> dict[str, str]:
    """Why which survivors may live, by the mutant's name."""
    told = tomllib.loads(SURVIVORS.read_text()).get("survivors", [])
    return {mutant.strip(): reason["why"] for reason in told for mutant in reason["mutants"]}


def complaints(results: Sequence[Result], explanations: Collection[str]) -> list[str]:
    """The survivors that nothing explains, and the explanations of what does not survive or is no mutant any more."""
    survivors = [result.mutant.name for result in results if result.by is None]
    return [
        *(f"survives: {name}" for name in survivors if name not in explanations),
        *(f"explained, but does not survive: {name}" for name in explanations if name not in survivors),
    ]


def table(results: Sequence[Result]) -> str:
    """How many mutants of each module there are, and what became of them."""
    lines = [f"{'':12}{'mutants':>10}{'noticed':>10}{'stuck':>10}{'survive':>10}"]
    for module in (*MODULES, "all"):
        found = [result for result in results if module in {result.mutant.module, "all"}]
        stuck = sum(result.stuck for result in found)
        survive = sum(result.by is None for result in found)
        lines.append(f"{module:12}{len(found):10}{len(found) - stuck - survive:10}{stuck:10}{survive:10}")
    return "\n".join(lines)


def main(only: Sequence[str]) -> int:
    """Try out every mutant, and say what became of them."""
    began = time.monotonic()

    def chosen(name: str) -> bool:
        return not only or name.startswith(tuple(only))

    explanations = {name: why for name, why in explained().items() if chosen(name)}
    mutants = [mutant for module in MODULES for mutant in mutants_of(module, source_of(module)) if chosen(mutant.name)]
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as folder, LocalCloud() as cloud:
        warm_up(cloud)
        folders = {MODULES[mutant.module] for mutant in mutants}
        baseline = baseline_of(folders, cloud, Path(folder) / "log")
        print(f"{len(mutants)} mutants, {len(baseline.seconds)} tests that may notice them", flush=True)
        hunt = Hunt(baseline, cloud, Path(folder))
        for result in hunt.results(mutants):
            results.append(result)
            if result.by is None and result.mutant.name not in explanations:
                print(f"\nsurvives {result.tests} tests: {result.mutant.name}", flush=True)
    print(f"\n{table(results)}\n\n{(time.monotonic() - began) / 60:.0f} minutes")
    for test in sorted(hunt.unfit):
        print(f"\nnot asked, as it fails here without any mistake: {test}")
    for result in results:
        if result.stuck:
            print(f"\nstuck ({result.by}): {result.mutant.name}")
    found = complaints(results, explanations)
    print(f"\n{len(explanations)} survivors are explained in {SURVIVORS.relative_to(ROOT)}", *found, sep="\n\n")
    return 1 if found else 0


def source_of(module: str) -> str:
    """The module as it is."""
    return (LAYER / f"{module}.py").read_text()


def warm_up(cloud: LocalCloud) -> None:
    """Do what every process would have to, as far as it does not touch the layer."""
    for service in ("dynamodb", "sqs", "secretsmanager"):
        cloud.client(service)
    with contextlib.redirect_stdout(io.StringIO()):
        run_tests(["--collect-only", str(Path(__file__).parent)])
    assert "outbound_calls" not in sys.modules
    gc.freeze()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
