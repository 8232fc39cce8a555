#!/bin/sh
# The public header stands alone, in C11 and in C++17, and the program uses nothing else of the library.
set -u
build=${BUILD:-build}
work=$build/header
rm -rf "$work"
mkdir -p "$work"
status=0

verdict() { # name, exit status
    if [ "$2" = 0 ]; then
        echo "ok $1"
    else
        echo "FAIL $1"
        status=1
    fi
}

echo '#include "strata.h"' > "$work/alone.c"
cp "$work/alone.c" "$work/alone.cc"
${CC:-cc} -std=c11 -pedantic -Wall -Wextra -Werror -Wconversion -Wstrict-prototypes -Iinclude -fsyntax-only "$work/alone.c"
verdict header/alone-c11 $?
if command -v c++ > /dev/null; then
    c++ -std=c++17 -pedantic -Wall -Wextra -Werror -Iinclude -fsyntax-only "$work/alone.cc"
    verdict header/alone-c++17 $?
else
    echo 'skip header/alone-c++17: no C++ compiler'
fi

# A test that every function of the header is really there: take the address of each and link.
{
    echo '#include "strata.h"'
    echo 'typedef void (*any)(void);'
    echo 'int main(void) { any all[] = {'
    LC_ALL=C tr '\n' ' ' < include/strata.h | grep -oE 'STRATA_API [^;{]*\(' | grep -oE 'strata_[a-z0-9_]+ ?\(' |
        tr -d '( ' | sed 's/.*/(any)&,/'
    echo '}; return all[0] == 0; }'
} > "$work/all.c"
${CC:-cc} -std=c11 -Iinclude "$work/all.c" "$build/libstrata.so" -o "$work/all" &&
    ln -sf "$(cd "$build" && pwd)/libstrata.so" "$work/libstrata.so.0" && LD_LIBRARY_PATH=$work "$work/all"
verdict header/every-function-is-defined $?

# The program sees include/strata.h and its own headers, and uses strata_* alone.
own=$(cd programs && printf '|%s' *.h | sed 's/\./\\./g')
found=$(grep -nE '^#[[:space:]]*include[[:space:]]*"' programs/*.[ch] | grep -vE "\"(strata\\.h$own)\"")
[ -z "$found" ]
verdict header/program-includes-only-the-public-header $?
[ -z "$found" ] || printf '%s\n' "$found"
inner=$(nm -u "$build"/obj/programs/*.o | awk '$1 == "U" && $2 ~ /^_?st_/ { print $2 }' | sort -u)
[ -z "$inner" ]
verdict header/program-uses-only-strata-symbols $?
[ -z "$inner" ] || printf '%s\n' "$inner"
exit $status
