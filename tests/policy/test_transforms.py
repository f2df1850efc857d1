from __future__ import annotations

import json

import numpy as np
import pytest

from policy.transforms import METHODS, Affine
from whatwhere.errors import BadInput


@pytest.mark.parametrize("method", METHODS)
def test_unnormalise_is_the_inverse(method: str) -> None:
    data = np.random.default_rng(0).normal(3, 2, (50, 4)).astype(np.float32)
    data[:, 3] = 7.0  # never varies
    affine = Affine.of(data, method)
    again = Affine.from_dict(json.loads(json.dumps(affine.to_dict())))
    assert np.allclose(again.unnormalise(again.normalise(data)), data, atol=1e-5)
    assert affine.normalise(data).dtype == np.float32


def test_methods_do_what_they_say() -> None:
    data = np.random.default_rng(0).normal(3, 2, (50, 4))
    std, span = Affine.of(data, "std").normalise(data), Affine.of(data, "range").normalise(data)
    assert np.allclose(std.mean(axis=0), 0, atol=1e-5)
    assert np.allclose(std.std(axis=0), 1, atol=1e-5)
    assert np.allclose([span.min(axis=0), span.max(axis=0)], [[-1] * 4, [1] * 4], atol=1e-5)
    assert np.allclose(Affine.identity(4).normalise(data), data)


@pytest.mark.parametrize(
    "values",
    [{}, {"shift": [0.0]}, {"shift": [0.0], "scale": [0.0]}, {"shift": [0.0], "scale": [1.0, 1.0]}, {"shift": [float("nan")], "scale": [1.0]}],
)
def test_bad_statistics_are_refused(values: dict[str, list[float]]) -> None:
    with pytest.raises(BadInput, match="normalisation"):
        Affine.from_dict(values)
