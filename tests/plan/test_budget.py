# SPDX-License-Identifier: Apache-2.0
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from tt_tflm.errors import InputError
from tt_tflm.plan.budget import Budget, ResolvedBudget


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        (1, 1),
        (262144, 262144),
        (np.int32(7), 7),
        ("262144", 262144),
        ("10B", 10),
        ("256KB", 262144),
        ("256kb", 262144),
        ("256 KiB", 262144),
        ("256K", 262144),
        ("1MB", 1048576),
        ("1MiB", 1048576),
        (" 0.5 MB ", 524288),
        ("0.89MB", 933232),
        ("0.3KB", 307),
        ("2GB", 2**31),
    ],
)
@pytest.mark.parametrize("name", ["training_memory", "ram"])
def test_sizes(name, given, expected):
    assert getattr(Budget(**{name: given}), name) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        (1, 1),
        (6_500_000, 6_500_000),
        ("6500000", 6_500_000),
        ("6.5M", 6_500_000),
        ("6.51 m", 6_510_000),
        ("120K", 120_000),
        ("1G", 10**9),
        (0.15, 0.15),
        (np.float32(0.25), 0.25),
        (1.0, 1.0),
        ("0.15", 0.15),
        ("1.0", 1.0),
        ("15%", 0.15),
        ("0.5 %", 0.005),
        ("100%", 1.0),
    ],
)
def test_macs(given, expected):
    macs = Budget(backward_macs=given).backward_macs
    assert macs == expected
    assert type(macs) is type(expected)


def kind(value: object) -> str:
    return type(value).__name__


NOT_TEXT = [0, -1, True, np.bool_(True), [], b"5", float("nan"), float("inf"), 2**63, 10**5000]
NOT_A_NUMBER = ["", "KB", "-5", "1e3", "five", "nan", "1,5", "1_000", "1 2", "²", "1TB"]
NOT_IN_RANGE = ["0", "0KB", "9" * 30]
BAD_EVERYWHERE = [*NOT_TEXT, *NOT_A_NUMBER, *NOT_IN_RANGE]
BAD_SIZES = [*BAD_EVERYWHERE, 1.0, 0.5, "1.5", "0.1B", "15%", "0.0000001KB"]
BAD_MACS = [*BAD_EVERYWHERE, 0.0, -0.1, 1.5, 15.0, "1.5", "0.0", "0%", "101%", "5MB", "0.0001K"]


@pytest.mark.parametrize("given", BAD_SIZES, ids=kind)
@pytest.mark.parametrize("name", ["training_memory", "ram"])
def test_bad_sizes_are_refused_in_one_line(name, given):
    with pytest.raises(InputError, match=f"^{name}: expected .*received") as caught:
        Budget(**{name: given})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("given", BAD_MACS, ids=kind)
def test_bad_macs_are_refused_in_one_line(given):
    with pytest.raises(InputError, match=r"^backward_macs: expected .*received") as caught:
        Budget(backward_macs=given)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_a_budget_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Budget(ram=5).ram = 6


def test_equal_budgets_are_equal_however_they_are_written():
    assert Budget(ram="1KB", backward_macs="15%") == Budget(ram=1024, backward_macs=0.15)


@pytest.mark.parametrize(
    ("share", "full", "expected"),
    [(0.15, 1000, 150), (0.1, 30, 3), ("15%", 43_100_000, 6_465_000), (1.0, 7, 7), (0.999, 7, 6), (1e-9, 10**10, 10)],
)
def test_shares_are_of_full_backward_and_exact(share, full, expected):
    assert Budget(backward_macs=share).resolve(full) == ResolvedBudget(None, None, expected)


def test_absolute_limits_stay_as_they_are():
    assert Budget("1KB", 5, 6).resolve(100) == ResolvedBudget(1024, 5, 6)
    assert Budget().resolve(100) == ResolvedBudget()


def test_a_share_of_less_than_one_mac_is_refused():
    with pytest.raises(InputError, match=r"0.001.*") as caught:
        Budget(backward_macs=0.001).resolve(999)
    assert "999" in str(caught.value)


def test_json_has_the_keys_of_plan_json():
    budget = Budget(training_memory="2KB", backward_macs=0.5)
    assert budget.to_json() == {"training_memory_bytes": 2048, "ram_bytes": None, "backward_macs": 0.5}
    assert budget.resolve(10).to_json() == {"training_memory_bytes": 2048, "ram_bytes": None, "backward_macs": 5}
