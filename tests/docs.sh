#!/bin/sh
# What the documents point at exists: files behind relative links, and every `make` target that they name.
set -u
status=0
for document in *.md docs/*.md bench/*.md zoo/*.md; do
    [ -f "$document" ] || continue
    bad=$(
        grep -oE '\]\([^)#]+' "$document" | sed 's/^](//' | grep -vE '^(https?|mailto):' | while read -r link; do
            [ -e "$(dirname "$document")/$link" ] || echo "no file $link"
        done
        grep -oE '`make [a-z-]+' "$document" | sed 's/^`make //' | sort -u | while read -r target; do
            grep -qE "^([a-z -]* )?$target( [a-z -]*)?:" Makefile || echo "no target $target"
        done
    )
    if [ -z "$bad" ]; then
        echo "ok docs/$document"
    else
        printf '%s\n' "$bad" | sed "s|^|FAIL docs/$document: |"
        status=1
    fi
done
exit $status
