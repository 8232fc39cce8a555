#!/bin/sh
# A disk that is full, a folder that nobody may write to, a run folder that another process uses: one clear message,
# exit status 1, and what was there before is still there.
. tests/faults/common.sh

# The checkpoint fits, a second one beside it does not.
disk=$work/disk
mkdir "$disk"
bytes=$(($(wc -c < "$work/half/last.safetensors") * 3 / 2 + 100000))
if [ "$(id -u)" = 0 ] && mount -t tmpfs -o "size=$bytes" strata-full "$disk" 2> /dev/null; then
    trap 'umount "$disk" 2> /dev/null; rm -rf "$work"' EXIT
    mkdir "$disk/run"
    cp "$work/half/last.safetensors" "$work"/half/*.txt "$work"/half/*.net "$disk/run/"
    resume '' "$disk/run" > "$work/out" 2> "$work/err"
    code=$?
    if [ $code = 1 ] && grep -qi 'no space' "$work/err"; then
        pass faults/full-disk-is-said
    else
        fail faults/full-disk-is-said "exit status $code: $(head -n 3 "$work/err")"
    fi
    if cmp -s "$work/half/last.safetensors" "$disk/run/last.safetensors"; then
        pass faults/full-disk-keeps-the-checkpoint
    else
        fail faults/full-disk-keeps-the-checkpoint 'it changed'
    fi
    left=$(find "$disk/run" -type f ! -name '*.safetensors' ! -name '*.txt' ! -name '*.net' ! -name '*.jsonl' ! -name .lock)
    if [ -z "$left" ]; then pass faults/full-disk-leaves-no-rest; else fail faults/full-disk-leaves-no-rest "$left"; fi
    mount -o remount,size=16m "$disk"
    resume '' "$disk/run" > "$work/out" 2> "$work/err"
    if [ "$(weights_of "$work/out")" = "$reference" ]; then
        pass faults/full-disk-resumes-to-the-same-weights
    else
        fail faults/full-disk-resumes-to-the-same-weights "$(head -n 3 "$work/err")"
    fi
    umount "$disk"
    trap 'rm -rf "$work"' EXIT
else
    echo 'skip faults/full-disk: mounting a small tmpfs needs root'
fi

# Root may write everywhere: the program runs as nobody then.
locked=$work/locked
mkdir "$locked"
chmod 555 "$locked"
chmod 755 "$work"
cp "$strata" "$work/strata"
as_nobody=
[ "$(id -u)" = 0 ] && as_nobody='setpriv --reuid=65534 --regid=65534 --clear-groups'
if [ -z "$as_nobody" ] || $as_nobody true 2> /dev/null; then
    $as_nobody "$work/strata" train lenet5 --data "$data" --epochs 1 --val none --out "$locked/run" > "$work/out" 2> "$work/err"
    code=$?
    if [ $code = 1 ] && grep -qi 'permission' "$work/err" && [ "$(wc -l < "$work/err")" -le 4 ]; then
        pass faults/unwritable-folder-is-said
    else
        fail faults/unwritable-folder-is-said "exit status $code: $(head -n 3 "$work/err")"
    fi
else
    echo 'skip faults/unwritable-folder: setpriv cannot become nobody here'
fi

# Two processes, one run folder.
"$strata" train lenet5 --data "$data" --epochs 100000 --val none --batch 16 --out "$work/busy" > "$work/busy.out" 2>&1 &
first=$!
tries=0
while [ ! -f "$work/busy/last.safetensors" ] && [ $tries -lt 100 ]; do
    sleep 0.1
    tries=$((tries + 1))
done
"$strata" train --resume "$work/busy" > "$work/out" 2> "$work/err"
code=$?
if [ $code = 1 ] && grep -qi 'another process' "$work/err" && [ "$(wc -l < "$work/err")" -le 4 ]; then
    pass faults/run-folder-in-use-is-said
else
    fail faults/run-folder-in-use-is-said "exit status $code: $(head -n 3 "$work/err")"
fi
kill -INT $first
wait $first
code=$?
if [ $code = 130 ]; then
    pass faults/ctrl-c-ends-with-130
else
    fail faults/ctrl-c-ends-with-130 "exit status $code"
fi
exit $status
