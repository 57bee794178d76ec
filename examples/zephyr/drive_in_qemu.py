# SPDX-License-Identifier: Apache-2.0
"""Runs the sample in QEMU and has it enroll, adapt, predict, save, reboot and predict again."""

from __future__ import annotations

import argparse
import re
import socket
import subprocess
import tempfile
import tty
from pathlib import Path

from board_line import BoardLine
from enroll_and_adapt import check_reboot

_LOADED = "what was saved is loaded"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("elf", type=Path)
    parser.add_argument("--machine", default="mps3-an547", help="of QEMU")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        monitor = Path(folder) / "monitor"
        command = ["qemu-system-arm", "-machine", arguments.machine, "-display", "none", "-serial", "pty"]
        # Halted until the line is open: what is sent before is lost.
        command += ["-monitor", f"unix:{monitor},server,nowait", "-S", "-kernel", str(arguments.elf)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as qemu:
            try:
                path = re.search(r"/dev/\S+", qemu.stdout.readline())[0]
                with open(path, "r+b", buffering=0) as line, socket.socket(socket.AF_UNIX) as orders:
                    tty.setraw(line)
                    orders.connect(str(monitor))
                    with open(path, "rb") as reader:
                        board = BoardLine(reader, line)
                        orders.sendall(b"cont\n")
                        board.wait_until_ready()

                        def reboot() -> BoardLine:
                            orders.sendall(b"system_reset\n")
                            if not board.wait_until_ready().endswith(_LOADED):
                                raise RuntimeError("expected the board to load what was saved, received another start")
                            return board

                        check_reboot(board, reboot)
            finally:
                qemu.terminate()


if __name__ == "__main__":
    main()
