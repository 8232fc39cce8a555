#!/bin/sh
# What is shipped: the shared library exports the public names and no others; the program is small and needs little.
set -u
build=${BUILD:-build}
work=$build/library
rm -rf "$work"
mkdir -p "$work"
status=0

verdict() { # name, exit status, what was found
    if [ "$2" = 0 ]; then
        echo "ok $1"
    else
        echo "FAIL $1: $3"
        status=1
    fi
}

# Names that code for another processor may share with nobody are hidden with the rest.
others=$(nm -D --defined-only "$build/libstrata.so" | awk '$3 !~ /^strata_/ && $2 != "A" { print $3 }' | head)
[ -z "$others" ]
verdict library/exports-only-strata $? "$others"

missing=$(LC_ALL=C tr '\n' ' ' < include/strata.h | grep -oE 'STRATA_API [^;{]*\(' | grep -oE 'strata_[a-z0-9_]+ ?\(' |
    tr -d '( ' | sort -u > "$work/public"
    nm -D --defined-only "$build/libstrata.so" | awk '{ print $3 }' | sort -u | comm -23 "$work/public" -)
[ -z "$missing" ]
verdict library/exports-all-of-the-header $? "$missing"

strip -o "$work/strata" "$build/strata"
bytes=$(wc -c < "$work/strata")
[ "$bytes" -lt 3000000 ]
verdict "library/program-is-under-3-MB" $? "$bytes bytes"

needed=$(ldd "$build/strata" | awk '{ print $1 }' |
    grep -vE '^(linux-vdso\.so\.1|libz\.so\.1|libjpeg\.so\.62|libspng\.so\.0|libwebp\.so\.7|libprotobuf-c\.so\.1|libm\.so\.6|libc\.so\.6|/lib.*/ld-linux.*)$')
[ -z "$needed" ]
verdict library/program-needs-only-what-dependencies.md-lists $? "$needed"
exit $status
