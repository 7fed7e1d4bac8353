"""What a dry run assumes where a profile has no plan: counted from model and texts, timed with a clock of our own."""

from __future__ import annotations

from itertools import chain, count

import pytest

from tis_utils.examples.load import load_data
from tis_utils.experiments import cost_estimate, timed_sizes
from tis_utils.experiments.run_spec import RunSpec
from tis_utils.models.load import load_model
from tis_utils.profiles import Profile, load_profile

SECONDS = 0.5  # between two looks at the clock


@pytest.fixture
def clock(monkeypatch) -> None:
    ticks = count()
    monkeypatch.setattr(timed_sizes.time, "perf_counter", lambda: SECONDS * next(ticks))


@pytest.fixture(scope="module")
def profile() -> Profile:
    settings = load_profile("smoke").model_copy(update={"pool_size": 100})
    return settings.model_copy(update={"metrics": dict.fromkeys(settings.tasks, "none")})


@pytest.mark.usefixtures("clock")
def test_sizes_are_those_of_model_and_texts(profile: Profile) -> None:
    model, data = load_model("tiny"), load_data(profile)
    texts = [*data.pool, *chain(*data.queries.values(), *data.test.values())]
    lengths = sorted(len(text.ids) for text in model.encode(texts, profile.max_length))
    sizes, parameters = timed_sizes.timed_sizes(profile), sum(p.numel() for p in model.model.parameters())
    assert sizes.parameters == parameters
    assert sizes.proxy_parameters == load_model("mini").model.num_parameters()
    assert sizes.tokens_per_example == round(sum(lengths) / len(lengths))
    assert (sizes.evaluated, sizes.new_tokens) == (profile.n_test, 64)
    middle = lengths[len(lengths) // 2 :][: profile.training.batch_size]
    operations = 6 * parameters * len(middle) * max(middle)
    assert sizes.training_tflops == pytest.approx(operations / SECONDS / 1e12)
    assert sizes.writing_tflops == pytest.approx(sizes.training_tflops / 10)  # nothing is written: a guess


@pytest.mark.usefixtures("clock")
def test_writing_is_timed_where_a_run_writes(profile: Profile) -> None:
    profile = profile.model_copy(update={"metrics": {}})
    sizes = timed_sizes.timed_sizes(profile)
    answers = min(timed_sizes.WRITERS, len(profile.tasks) * profile.n_test)
    assert sizes.writing_tflops == pytest.approx(2 * sizes.parameters * answers * 64 / SECONDS / 1e12)


@pytest.mark.usefixtures("clock")
def test_the_report_says_what_was_timed(profile: Profile) -> None:
    text = cost_estimate.report(profile, [RunSpec(profile.tasks[0], "less", "uot", 10, 0)])
    assert "features less" in text
    assert "parameters = 748416" in text


def test_scored_choices_are_passes(profile: Profile) -> None:
    """Four choices of each held-out example cost four times its loss."""
    sizes = load_profile("paper").plan
    spec, hours = RunSpec("words", "none", "random", 10, 0), {}
    for metric in ("none", "answer_probability", "acc"):
        planned = profile.model_copy(update={"plan": sizes, "metrics": {"words": metric}})
        hours[metric] = cost_estimate.plan(planned, [spec])["device_hours"].item()
    once = 2 * sizes.parameters * sizes.evaluated * sizes.tokens_per_example / (sizes.training_tflops * 1e12) / 3600
    assert hours["answer_probability"] - hours["none"] == pytest.approx(once)
    assert hours["acc"] - hours["none"] == pytest.approx(4 * once)
