#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the sample in a Zephyr tree and runs it in QEMU: enroll, adapt, predict, save, reboot, predict again.
#
#   ZEPHYR_BASE=~/zephyrproject/zephyr ./run_in_qemu.sh [folder to build in [option of CMake]...]
#
# ZEPHYR_BASE     the tree, 3.0 or later
# BOARD           mps3_an547 (the default) or mps2_an521, under these names or those of later versions
# MODULE          the module to run; default: that of the small model, which make_module.py makes here
# ZEPHYR_MODULES  the CMSIS module(s), and tflite-micro for a module that wants it; default: as west has put them, beside the tree
# PYTHON          an interpreter with tt-tflm; default: python3
#
# It wants cmake, ninja, dtc, qemu-system-arm, Zephyr's Python packages, and a toolchain as Zephyr finds it. Without
# ZEPHYR_TOOLCHAIN_VARIANT it takes arm-none-eabi-gcc from the PATH.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
: "${ZEPHYR_BASE:?expected the folder of a Zephyr tree in ZEPHYR_BASE, received none}"
build=${1:-$here/work}
[ $# -eq 0 ] || shift
board=${BOARD:-mps3_an547}
mkdir -p "$build"

# Zephyr 3.7 has renamed boards, and 4.1 this one once more.
if [ "$board" = mps3_an547 ] && [ -e "$ZEPHYR_BASE/boards/arm/mps3/mps3_corstone300_an547.dts" ]; then
    board=mps3/corstone300/an547
elif [ "$board" = mps3_an547 ] && [ -e "$ZEPHYR_BASE/boards/arm/mps3/board.yml" ]; then
    board=mps3/an547
elif [ "$board" = mps2_an521 ] && [ -e "$ZEPHYR_BASE/boards/arm/mps2/board.yml" ]; then
    board=mps2/an521/cpu0
fi
case $board in
*an547) machine=mps3-an547 ;;
*an521*) machine=mps2-an521 ;;
*) echo "expected BOARD mps3_an547 or mps2_an521, received $board" >&2; exit 2 ;;
esac

if [ -z "${MODULE:-}" ]; then
    MODULE=$here/module
    [ -d "$MODULE" ] || "${PYTHON:-python3}" "$here/make_module.py"
fi

if [ -z "${ZEPHYR_MODULES:-}" ]; then
    for module in hal/cmsis hal/cmsis_6 lib/tflite-micro; do
        folder=$ZEPHYR_BASE/../modules/$module
        [ ! -d "$folder" ] || ZEPHYR_MODULES=${ZEPHYR_MODULES:+$ZEPHYR_MODULES;}$folder
    done
fi

if [ -z "${ZEPHYR_TOOLCHAIN_VARIANT:-}" ]; then
    # Zephyr expects one folder that holds bin/ and arm-none-eabi/; distributions keep them apart.
    toolchain=$build/toolchain
    mkdir -p "$toolchain"
    ln -sfn "$(dirname "$(command -v arm-none-eabi-gcc)")" "$toolchain/bin"
    libc=$(arm-none-eabi-gcc -print-file-name=libc.a)
    ln -sfn "$(cd "$(dirname "$libc")/.." && pwd)" "$toolchain/arm-none-eabi"
    export ZEPHYR_TOOLCHAIN_VARIANT=gnuarmemb GNUARMEMB_TOOLCHAIN_PATH="$toolchain"
fi

cmake -GNinja -S "$MODULE/samples/enroll_and_adapt" -B "$build/$machine" -DBOARD="$board" -DEMU_PLATFORM=qemu \
    "-DZEPHYR_MODULES=${ZEPHYR_MODULES:-}" "$@"
ninja -C "$build/$machine"
exec "${PYTHON:-python3}" "$here/drive_in_qemu.py" "$build/$machine/zephyr/zephyr.elf" --machine "$machine"
