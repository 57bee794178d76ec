# SPDX-License-Identifier: Apache-2.0
import ctypes

import numpy as np
import pytest

MASK = 2**64 - 1
GOLDEN_RATIO = 0x9E3779B97F4A7C15
MULTIPLIER = 6364136223846793005
# Printed by the demonstration of PCG32 by its author, for initstate 42 and initseq 54.
PUBLISHED = [0xA15C02B7, 0x7B47F409, 0xBA1D3330, 0x83D2F293, 0xBFA4784B, 0xCBED606E]


class RandomStruct(ctypes.Structure):
    _fields_ = [("state", ctypes.c_uint64), ("increment", ctypes.c_uint64)]


class Generator:
    """tt_random_t and its functions."""

    def __init__(self, runtime, state: int = 0, increment: int = 1) -> None:
        self.library = runtime.library
        self.library.tt_random_next.restype = ctypes.c_uint32
        self.library.tt_random_below.restype = ctypes.c_uint32
        self.library.tt_random_uniform.restype = ctypes.c_float
        self.struct = RandomStruct(state, increment)
        self.reference = ctypes.byref(self.struct)

    def seed(self, *numbers: int) -> "Generator":
        self.library.tt_random_seed(self.reference, *map(ctypes.c_uint32, numbers))
        return self

    def next(self) -> int:
        return self.library.tt_random_next(self.reference)

    def uniform(self) -> float:
        return self.library.tt_random_uniform(self.reference)

    def below(self, bound: int) -> int:
        return self.library.tt_random_below(self.reference, ctypes.c_uint32(bound))

    def numbers(self, count: int) -> list[int]:
        return [self.next() for _ in range(count)]


@pytest.fixture
def generator(runtime):
    return Generator(runtime)


def mixed(value: int) -> int:
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def oracle(seed: int, iteration: int, index: int, count: int) -> list[int]:
    """The header's sentence in Python's integers: PCG32 begun from SplitMix64's finaliser."""
    state = mixed(mixed(seed + GOLDEN_RATIO) ^ (iteration << 32 | index))
    increment = mixed((state + GOLDEN_RATIO) & MASK) | 1
    numbers = []
    for _ in range(count):
        bits, rotation = (((state >> 18) ^ state) >> 27) & 0xFFFFFFFF, state >> 59
        numbers.append((bits >> rotation | bits << (32 - rotation)) & 0xFFFFFFFF)
        state = (state * MULTIPLIER + increment) & MASK
    return numbers


def test_numbers_are_those_of_pcg32(runtime):
    increment = 54 << 1 | 1
    generator = Generator(runtime, ((42 + increment) * MULTIPLIER + increment) & MASK, increment)
    assert generator.numbers(len(PUBLISHED)) == PUBLISHED


@pytest.mark.parametrize("numbers", [(0, 0, 0), (1, 2, 3), (2**32 - 1,) * 3, (7, 39, 24)])
def test_seeded_sequences_are_the_same_bits_everywhere(generator, numbers):
    expected = oracle(*numbers, count=100)
    assert generator.seed(*numbers).numbers(100) == expected
    assert generator.seed(*numbers).numbers(100) == expected


def test_every_sample_of_every_iteration_has_a_sequence_of_its_own(generator):
    begins = [tuple(generator.seed(s, t, i).numbers(2)) for s in range(3) for t in range(40) for i in range(50)]
    assert len(set(begins)) == len(begins)


def test_neighbouring_sequences_do_not_resemble_each_other(generator):
    first = np.array([generator.seed(0, 0, index).uniform() for index in range(4000)])
    np.testing.assert_allclose(first.mean(), 0.5, atol=0.02)
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.05
    changed = [
        (generator.seed(0, 0, i).next() ^ generator.seed(0, 0, i ^ 1 << bit).next()).bit_count()
        for i in range(100)
        for bit in range(32)
    ]
    np.testing.assert_allclose(np.mean(changed), 16, atol=0.3)


def test_uniform_is_the_upper_bits_of_the_next_number(generator):
    expected = [number >> 8 for number in generator.seed(5, 6, 7).numbers(1000)]
    generator.seed(5, 6, 7)
    assert [generator.uniform() * 2**24 for _ in expected] == expected


def test_uniform_covers_zero_to_one(generator):
    values = np.array([generator.seed(1, 1, 1).uniform()] + [generator.uniform() for _ in range(20_000)])
    assert values.min() >= 0.0
    assert values.max() < 1.0
    shares = np.histogram(values, bins=10, range=(0, 1))[0] / len(values)
    np.testing.assert_allclose(shares, 0.1, atol=0.01)


def test_the_largest_uniform_number_is_below_one(runtime):
    # A state whose output is all ones: what the shifts and the rotation see is 0xffffffff.
    state = 0xFFFFFFFF << 27
    state ^= state >> 18
    largest = Generator(runtime, state & ((1 << 59) - 1))
    assert largest.next() == 2**32 - 1
    assert Generator(runtime, state & ((1 << 59) - 1)).uniform() == 1 - 2.0**-24


@pytest.mark.parametrize("bound", [1, 2, 3, 10, 1000, 2**31, 2**31 + 1, 2**32 - 1])
def test_bounded_numbers_are_the_remainders_of_what_is_not_surplus(generator, bound):
    kept = [number for number in oracle(3, 1, 4, 400) if number >= 2**32 % bound]
    generator.seed(3, 1, 4)
    assert [generator.below(bound) for _ in range(100)] == [number % bound for number in kept[:100]]


def test_bounded_numbers_are_spread_evenly(generator):
    generator.seed(2, 0, 0)
    shares = np.bincount([generator.below(7) for _ in range(20_000)], minlength=7) / 20_000
    np.testing.assert_allclose(shares, 1 / 7, atol=0.01)
