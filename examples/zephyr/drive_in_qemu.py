# SPDX-License-Identifier: Apache-2.0
"""Runs the sample in QEMU and has it enroll, adapt, predict, save, reboot and predict again."""

from __future__ import annotations

import argparse
import re
import socket
import subprocess
import tempfile
from pathlib import Path

from enroll_and_adapt import check_reboot

from tt_tflm import Board


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("elf", type=Path)
    parser.add_argument("--machine", default="mps3-an547", help="of QEMU")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        monitor = Path(folder) / "monitor"
        command = ["qemu-system-arm", "-machine", arguments.machine, "-display", "none", "-serial", "pty"]
        command += ["-monitor", f"unix:{monitor},server,nowait", "-kernel", str(arguments.elf)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as qemu:
            try:
                port = re.search(r"/dev/\S+", qemu.stdout.readline())[0]
                with Board(port, timeout_s=2.0) as board, socket.socket(socket.AF_UNIX) as orders:
                    orders.connect(str(monitor))

                    def reboot() -> Board:
                        # The machine's reset line: memory keeps what it holds.
                        orders.sendall(b"system_reset\n")
                        return board

                    check_reboot(board, reboot)
            finally:
                qemu.terminate()


if __name__ == "__main__":
    main()
