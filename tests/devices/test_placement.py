# SPDX-License-Identifier: Apache-2.0
"""Which memory goes where, and what is said when it does not fit."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tt_tflm.devices import Device, MemoryNeeds, RamRegion, get_device, place, place_build
from tt_tflm.errors import InputError

FAST = RamRegion("fast", 0x20000000, 1024)
WIDE = RamRegion("wide", 0x30000000, 4096)
OUTSIDE = RamRegion("outside", 0xC0000000, 1 << 20, external=True)


@pytest.mark.parametrize(
    ("sizes", "regions", "expected"),
    [
        ((512, 256, 100), (FAST, WIDE), ("fast", "fast", "fast")),
        ((512, 512, 1), (FAST, WIDE), ("wide", "wide", "wide")),
        ((4096, 1024, 0), (FAST, WIDE), ("wide", "fast", "fast")),
        ((4080, 1024, 16), (FAST, WIDE), ("wide", "fast", "wide")),
        ((4096, 1008, 17), (FAST, WIDE), None),
        ((4097, 1, 1), (FAST, WIDE), None),
        ((4097, 1, 1), (FAST, OUTSIDE), ("outside", "fast", "fast")),
        ((1024, 1, 1), (OUTSIDE, WIDE), ("wide", "wide", "wide")),
    ],
)
def test_place(sizes, regions, expected):
    placement = place(dict(zip("abc", sizes, strict=True)), regions)
    assert (placement and tuple(region.name for region in placement.values())) == expected


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=3, max_size=3), st.lists(st.integers(1, 60), min_size=1, max_size=4))
def test_what_can_be_placed_is_placed(sizes, lengths):
    regions = [RamRegion(f"r{i}", i << 28, 16 * length) for i, length in enumerate(lengths)]
    placement = place({str(i): 16 * size for i, size in enumerate(sizes)}, regions)
    fits = any(
        all(sum(s for s, r in zip(sizes, chosen, strict=True) if r == i) <= lengths[i] for i in range(len(lengths)))
        for chosen in itertools.product(range(len(lengths)), repeat=3)
    )
    assert (placement is not None) == fits
    if placement:
        for i, region in enumerate(regions):
            inside = [16 * size for size, where in zip(sizes, placement.values(), strict=True) if where is region]
            assert sum(inside) <= 16 * lengths[i]


def test_a_build_that_fits():
    needs = MemoryNeeds(arena=450_000, row_pool=100_000, session=321, forward_arena=1, weights=1 << 20)
    assert place_build(get_device("stm32h743zi"), needs, dynamic=True) == [
        {"name": "arena", "bytes": 450_000, "region": "axi"},
        {"name": "row pool", "bytes": 100_000, "region": "dtcm"},
        {"name": "session", "bytes": 321, "region": "axi"},
    ]
    assert place_build(get_device("cortex-m7"), needs, dynamic=True) is None


@pytest.mark.parametrize(
    ("needs", "dynamic", "parts"),
    [
        (
            MemoryNeeds(262_145, 10, 10, 1000, 10),
            True,
            [
                "expected an arena of at most 262,144 B, the largest contiguous RAM of nano33ble (sram), received "
                "262,145 B",
                "--ram 255KB",
                "or a device that fits: stm32f746g-disco, nrf5340dk, rp2350",
            ],
        ),
        (
            MemoryNeeds(200_000, 62_000, 500, 1000, 10),
            True,
            [
                "expected arena, row pool and session to fit the RAM of nano33ble (sram 262,144 B), received arena "
                "200,000 B, row pool 62,000 B, session 500 B",
                "with the arena in sram, sram has 62,144 B left",
                "Budget(ram='255KB')",
            ],
        ),
        (
            MemoryNeeds(200_000, 62_000, 500, 1000, 10),
            False,
            ["train fewer layers or channels (tt-tflm plan --ram 255KB)"],
        ),
        (
            MemoryNeeds(300_000, 10, 10, 263_000, 10),
            True,
            ["the forward pass alone takes 263,000 B: use a smaller model"],
        ),
        (
            MemoryNeeds(10, 10, 10, 10, 1_000_000),
            True,
            ["expected weights of at most 983,040 B, the flash of nano33ble, received 1,000,000 B", "or a device that"],
        ),
        (MemoryNeeds(10, 10, 10, 10, 1 << 30), True, ["received 1,073,741,824 B: use a smaller model"]),
    ],
)
def test_a_build_that_does_not_fit(needs, dynamic, parts):
    with pytest.raises(InputError) as error:
        place_build(get_device("nano33ble"), needs, dynamic=dynamic)
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 2000), st.integers(1, 4000), st.integers(1, 40))
def test_the_budget_that_is_named_fits(arena, pool, session):
    device = Device("d", "d", "cortex-m7", get_device("cortex-m7").features, 1 << 20, (FAST, WIDE))
    needs = MemoryNeeds(16 * arena, 16 * pool, 4 * session, 16, 16)
    try:
        place_build(device, needs, dynamic=True)
    except InputError as error:
        limit = int(str(error).split("--ram ")[1].split("KB")[0]) * 1024
        kept = needs.arena if needs.arena + needs.session < limit and needs.arena <= WIDE.bytes else 16
        assert place({"arena": kept, "row pool": limit - kept - needs.session, "session": needs.session}, device.ram)
