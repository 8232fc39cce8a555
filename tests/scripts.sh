#!/bin/sh
# Every script is POSIX sh that its shell can read, and shellcheck (where it is installed) has nothing to say.
set -u
status=0
scripts=$(grep -lE '^#!/bin/sh' demo check .ci/run scripts/* experiments/*/* tests/*.sh tests/*/*.sh tests/cli/run 2> /dev/null)
for script in $scripts; do
    if sh -n "$script"; then
        echo "ok scripts/$script"
    else
        echo "FAIL scripts/$script: sh cannot read it"
        status=1
    fi
done
if command -v shellcheck > /dev/null; then
    # shellcheck disable=SC2086
    if shellcheck -x -s sh -S warning $scripts; then
        echo 'ok scripts/shellcheck'
    else
        echo 'FAIL scripts/shellcheck: see above'
        status=1
    fi
else
    echo 'skip scripts/shellcheck: shellcheck is not installed'
fi
exit $status
