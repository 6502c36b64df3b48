"""A benchmark gives a function all the settings that it needs."""

from benchmarks.batch import environment_of
from local.emulator import BuiltFunction
from outbound_calls.runtime.settings.place_call import PlaceCallSettings


def test_place_call_starts_with_the_settings_of_the_benchmark() -> None:
    given = environment_of("http://127.0.0.1:1", "http://127.0.0.1:2")

    settings = PlaceCallSettings.from_environment(BuiltFunction.load("PlaceCallFunction").environment(given))

    assert settings.allomia_base_url == "http://127.0.0.1:2"
