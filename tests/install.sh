#!/bin/sh
# The installed library: staged into a folder, found by pkg-config, used from outside by examples/classify.c, shared and
# static, on a checkpoint of the installed program, and by examples/residual_identity.c.
set -u
build=$(cd "${BUILD:-build}" && pwd)
work=$build/install
status=0
rm -rf "$work"
mkdir -p "$work"

verdict() { # name, exit status
    if [ "$2" = 0 ]; then
        echo "ok $1"
    else
        echo "FAIL $1"
        status=1
    fi
}

"${MAKE:-make}" --no-print-directory -s BUILD="$build" DESTDIR="$work/stage" PREFIX=/opt/strata install > "$work/log" 2>&1
verdict install/make-install $?
at=$work/stage/opt/strata
[ -x "$at/bin/strata" ] && [ -f "$at/include/strata.h" ] && [ -f "$at/lib/libstrata.a" ] &&
    [ -e "$at/lib/libstrata.so" ] && [ -e "$at/lib/libstrata.so.0" ] && [ -f "$at/lib/pkgconfig/strata.pc" ]
verdict install/all-files-are-there $?

sh tests/make-idx "$work/data" 640 64
"$at/bin/strata" train lenet5 --data "$work/data" --epochs 1 --val none --out "$work/run" --quiet > "$work/train.log" 2>&1
verdict install/program-runs $?
checkpoint=$work/run/last.safetensors
picture=$work/data/t10k-images-idx3-ubyte:7

if command -v pkg-config > /dev/null; then
    PKG_CONFIG_PATH=$at/lib/pkgconfig
    PKG_CONFIG_SYSROOT_DIR=$work/stage
    export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR
    # The flags are words on purpose.
    # shellcheck disable=SC2046
    ${CC:-cc} -std=c11 -Wall -Wextra -Werror examples/classify.c $(pkg-config --cflags --libs strata) -o "$work/shared"
    verdict install/example-builds-shared $?
    # shellcheck disable=SC2046
    ${CC:-cc} -std=c11 examples/classify.c $(pkg-config --static --cflags --libs strata | sed 's/-lstrata/-l:libstrata.a/') \
        -o "$work/static"
    verdict install/example-builds-static $?
    LD_LIBRARY_PATH=$at/lib "$work/shared" "$checkpoint" "$picture" > "$work/shared.out" && [ -s "$work/shared.out" ]
    verdict install/example-runs-shared $?
    "$work/static" "$checkpoint" "$picture" > "$work/static.out" && cmp "$work/shared.out" "$work/static.out"
    verdict install/example-runs-static $?
    # shellcheck disable=SC2046
    ${CC:-cc} -std=c11 -Wall -Wextra -Werror examples/residual_identity.c $(pkg-config --cflags --libs strata) \
        -o "$work/residual" && LD_LIBRARY_PATH=$at/lib "$work/residual" > "$work/residual.out" &&
        [ "$(grep -c '10 residual blocks: the same bits$' "$work/residual.out")" = 1 ] &&
        ! grep -q 'plain blocks: the same' "$work/residual.out"
    verdict install/example-residual-identity $?
else
    echo 'skip install/example: pkg-config is not installed'
fi

"${MAKE:-make}" --no-print-directory -s BUILD="$build" DESTDIR="$work/stage" PREFIX=/opt/strata uninstall
left=$(find "$work/stage" ! -type d)
[ -z "$left" ]
verdict install/uninstall-leaves-nothing $?
exit $status
