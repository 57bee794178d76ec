# SPDX-License-Identifier: Apache-2.0
import re
from pathlib import Path

from tt_tflm.boards.simulated import protocol

HEADER = (Path(__file__).parents[3] / "ops/sim/tt_sim_protocol.h").read_text()


def members_of(struct: str) -> list[str]:
    body = re.search(r"typedef struct \{([^}]*)\} " + struct, HEADER).group(1)
    return re.findall(r"uint32_t (\w+);", body)


def test_commands_are_those_of_the_header():
    commands = {name: int(value) for name, value in re.findall(r"\bTT_SIM_(\w+) = (\d+)", HEADER)}
    assert commands == {command.name: int(command) for command in protocol.Command}


def test_version_and_structs_are_those_of_the_header():
    assert f"TT_SIM_PROTOCOL_VERSION {protocol.PROTOCOL_VERSION}u" in HEADER
    assert members_of("tt_sim_description_t") == list(protocol.Description.__dataclass_fields__)
    assert protocol.Description.FORMAT.size == 4 * len(members_of("tt_sim_description_t"))
    assert protocol.REQUEST.size == 4 * len(members_of("tt_sim_request_t"))
    assert protocol.REPLY.size == 4 * len(members_of("tt_sim_reply_t"))
