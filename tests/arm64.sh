#!/bin/sh
# The portable build for 64-bit Arm, cross-compiled and run under qemu-user: the same unit tests, and a short training of
# LeNet-5 that must end in the same weights as here.
set -u
build=$(cd "${BUILD:-build}" && pwd)/arm64
qemu=
for name in qemu-aarch64-static qemu-aarch64; do
    command -v $name > /dev/null && qemu=$name && break
done
command -v aarch64-linux-gnu-gcc > /dev/null || { echo 'skip arm64: aarch64-linux-gnu-gcc is not installed'; exit 0; }
[ -n "$qemu" ] || { echo 'skip arm64: qemu-aarch64 is not installed'; exit 0; }
if [ ! -e "$build/root/usr/include/zlib.h" ]; then
    command -v apt-get > /dev/null && command -v dpkg-deb > /dev/null && sh scripts/arm64-root "$build/root" ||
        { echo 'skip arm64: zlib and cmocka for arm64 cannot be fetched'; exit 0; }
fi
status=0
unset ASAN_OPTIONS UBSAN_OPTIONS

"${MAKE:-make}" --no-print-directory -s VARIANT=arm64 BUILD="$build" all test-programs || { echo 'FAIL arm64/build'; exit 1; }
echo 'ok arm64/build'

# The pictures are pseudo-random and the same everywhere; 160 of them are ten steps of 16.
work=$build/work
rm -rf "$work"
mkdir -p "$work"
sh tests/make-idx "$work/data" 160 16
emulate() {
    timeout 600 "$qemu" -L /usr/aarch64-linux-gnu -E LD_LIBRARY_PATH="$build/root/usr/lib/aarch64-linux-gnu" "$@"
}
short_run() { # out folder; the program comes before it in "$@"
    out=$1
    shift
    "$@" train lenet5 --data "$work/data" --epochs 1 --batch 16 --val none --seed 3 --out "$out" --json |
        grep -o '"weights_sha256": *"[0-9a-f]*"'
}
here=$(short_run "$work/here" "${STRATA_RELEASE:-$build/../strata}")
there=$(short_run "$work/there" emulate "$build/strata")
if [ -n "$here" ] && [ "$here" = "$there" ]; then
    echo 'ok arm64/lenet5-has-the-same-weights'
else
    echo "FAIL arm64/lenet5-has-the-same-weights: here $here, there $there"
    status=1
fi

# Emulation costs a factor of twenty: what only repeats trainings many times is left to the machine itself.
for program in "$build"/tests/test_*; do
    [ -x "$program" ] || continue
    base=$(basename "$program")
    name=arm64/$base
    case $base in
    test_faults | test_features | test_finetune | test_train | test_train_options)
        [ -n "${STRATA_LONG-}" ] || {
            echo "skip $name: takes minutes under qemu; make check-long runs it"
            continue
        }
        ;;
    esac
    emulate "$program" > "$work/$base.log" 2>&1
    code=$?
    counted=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$work/$base.log")
    if [ $code = 0 ]; then
        echo "ok $name ($counted tests)"
    else
        echo "FAIL $name: exit status $code"
        tail -n 20 "$work/$base.log"
        status=1
    fi
done
exit $status
