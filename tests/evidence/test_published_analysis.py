"""What the published budget experiment says, against plain loops and SciPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from evidence_support import at, plain
from scipy.stats import spearmanr, ttest_ind
from scipy.stats import t as student

from tis_utils.errors import InputError
from tis_utils.evidence import published
from tis_utils.evidence import published_analysis as analysis
from tis_utils.evidence.published import LESS
from tis_utils.evidence.published_analysis import published_cube
from tis_utils.evidence.tables import RANDOM, ZERO_SHOT


def test_every_number_of_the_cube_is_the_tables() -> None:
    rows = published.figures()
    data = published_cube("test_loss")
    assert data.mean.shape == (5, 5, 2, 9, 5)
    assert not np.isnan(data.mean).any()
    assert np.isnan(data.sd[..., -1, :]).all()  # zero-shot ran once
    rng = np.random.default_rng(0)
    for _ in range(60):
        m, t, p, k, s = (int(rng.integers(n)) for n in data.mean.shape)
        representation, selector = data.methods[k].split("/")
        found = rows[
            (rows["model"] == data.models[m]) & (rows["task"] == data.tasks[t]) & (rows["pool"] == data.pools[p])
            & (rows["representation"] == representation) & (rows["selector"] == selector)
            & rows["experiment"].isin(["budget", "zero_shot"]) & (rows["metric"] == "test_loss")
        ]  # fmt: skip
        if data.methods[k] != ZERO_SHOT:
            found = found[found["budget"] == data.budgets[s]]
        (line,) = found.itertuples()
        assert data.mean[m, t, p, k, s] == line.mean


def test_the_quantile_cube_has_every_bin_and_the_untuned_model_at_each() -> None:
    rows = published.figures()
    data = published_cube("downstream", "quantile")
    assert data.mean.shape == (5, 5, 2, 4, 10)
    assert data.methods == (published.EMBED, published.RDS, LESS, ZERO_SHOT)
    assert data.budgets == tuple(range(10))
    assert not np.isnan(data.mean).any()
    place = rows.query("pool == 'dolci' and model == 'qwen3-4b-base' and task == 'codex' and metric == 'downstream'")
    at = data.models.index("qwen3-4b-base"), data.tasks.index("codex"), data.pools.index("dolci")
    curve = place.query("experiment == 'quantile' and representation == 'less'").sort_values("bin")["mean"]
    np.testing.assert_array_equal(data.mean[at][2], curve)
    assert set(data.mean[at][3]) == set(place.query("experiment == 'zero_shot'")["mean"])


def test_unknown_metric() -> None:
    with pytest.raises(InputError, match="metric = 'accuracy', expected"):
        published_cube("accuracy")


def test_names() -> None:
    assert [analysis.method_name(m) for m in (RANDOM, LESS, "less/knn_kde", "rds/round_robin", ZERO_SHOT)] == [
        "Random", "LESS, RR", "LESS, KNN-KDE", "RDS+, RR", "Zero-shot",
    ]  # fmt: skip


def test_models_are_the_units_of_an_estimate() -> None:
    values = np.arange(5.0)[:, None, None] + np.arange(-1.0, 2)[:, None] + np.zeros((5, 3, 2))
    half = student.ppf(0.975, 4) * np.sqrt(2.5 / 5)
    assert analysis.over_models(values) == pytest.approx((2, 2 - half, 2 + half))


def test_below_zero_shot() -> None:
    mean = np.full((2, 1, 1, 9, 2), 10.0)
    mean[0, ..., at(LESS), :] = 9
    score, loss = (analysis.below_zero_shot(plain(mean=mean, metric=m)) for m in ("downstream", "query_loss"))
    assert score.shape == (2, 1, 1, 8, 2)
    assert score.sum() == score[0, ..., at(LESS), :].sum() == 2
    assert loss.sum() == 0  # a lower loss is better, an equal one is not below


def test_agreement_turns_the_sign_of_scores() -> None:
    loss, score = published_cube("query_loss"), published_cube("downstream")
    rho = analysis.agreement(loss, score)
    assert rho.shape == (5, 5, 2, 5)
    for m, t, p, s in [(0, 0, 0, 0), (3, 2, 1, 4)]:
        expected = -spearmanr(loss.mean[m, t, p, :8, s], score.mean[m, t, p, :8, s]).statistic
        assert rho[m, t, p, s] == pytest.approx(expected)
    assert (analysis.agreement(loss, loss) == pytest.approx(1)) and rho.mean() < 1  # noqa: PT018


def test_separable_is_welchs_test_on_the_raw_values() -> None:
    rng = np.random.default_rng(2)
    raw = rng.normal(size=(9, 3)) + np.arange(9)[:, None]
    shape = (1, 1, 1, 9, 1)
    data = plain(mean=raw.mean(1).reshape(shape), sd=raw.std(1, ddof=1).reshape(shape), n=np.full(shape, 3.0))
    pairs = itertools.combinations(range(8), 2)
    expected = np.mean([ttest_ind(raw[i], raw[j], equal_var=False).pvalue < 0.05 for i, j in pairs])
    assert 0 < expected < 1
    assert analysis.separable(data).item() == pytest.approx(expected)


def test_separable_without_spread() -> None:
    mean = np.full((2, 1, 1, 9, 2), 10.0)
    mean[..., 0, :] = 11
    data = plain(mean=mean, sd=np.zeros_like(mean))
    assert analysis.separable(data) == pytest.approx(7 / 28)  # one method differs from seven


def test_reliability_tells_noise_from_methods() -> None:
    rng = np.random.default_rng(0)
    shape = (200, 1, 1, 9, 1)
    noise = rng.normal(size=shape) / np.sqrt(3)
    sd, n = np.ones(shape), np.full(shape, 3.0)
    alone = analysis.reliability(plain(mean=noise, sd=sd, n=n), (0, 1, 2, 3))
    real = noise + np.arange(9)[:, None]
    both = analysis.reliability(plain(mean=real, sd=sd, n=n), (0, 1, 2, 3))
    assert alone < 0.1
    assert both == pytest.approx(1 - (1 / 3) / (6 + 1 / 3), abs=0.01)  # variance of 0…7 is 6
