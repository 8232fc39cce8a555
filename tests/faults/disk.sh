#!/bin/sh
# A disk that is full, a folder that nobody may write to, a run folder that another process uses: one clear message,
# exit status 1, and what was there before is still there.
. tests/faults/common.sh

# The checkpoint fits, a second one beside it does not.
disk=$work/disk
mkdir "$disk"
full_disk() { # idx, pictures or finetune
    [ "$1" = $story ] || begin_story "$1"
    bytes=$(($(wc -c < "$work/half/last.safetensors") * 3 / 2 + 20000))
    if ! { [ "$(id -u)" = 0 ] && mount -t tmpfs -o "size=$bytes" strata-full "$disk" 2> /dev/null; }; then
        echo "skip faults/full-disk-$1: mounting a small tmpfs needs root"
        return
    fi
    trap 'umount "$disk" 2> /dev/null; rm -rf "$work"' EXIT
    mkdir "$disk/run"
    cp "$work/half/last.safetensors" "$work"/half/*.txt "$work"/half/*.net "$disk/run/"
    # Nor is there room for the features and for what is decoded: both go without.
    rm -rf "$work/cache"
    mkdir "$disk/cache"
    export XDG_CACHE_HOME="$disk/cache"
    # What is left is taken.
    head -c 10000000 /dev/zero > "$disk/rest" 2> /dev/null
    resume '' "$disk/run" > "$work/out" 2> "$work/err"
    code=$?
    if [ $code = 1 ] && grep -qi 'no space' "$work/err"; then
        pass "faults/full-disk-$1-is-said"
    else
        fail "faults/full-disk-$1-is-said" "exit status $code: $(head -n 3 "$work/err")"
    fi
    if cmp -s "$work/half/last.safetensors" "$disk/run/last.safetensors"; then
        pass "faults/full-disk-$1-keeps-the-checkpoint"
    else
        fail "faults/full-disk-$1-keeps-the-checkpoint" 'it changed'
    fi
    left=$(find "$disk/run" "$disk/cache" -type f -size +0 ! -name '*.safetensors' ! -name '*.txt' ! -name '*.net' \
        ! -name '*.jsonl' ! -name .lock)
    if [ -z "$left" ]; then
        pass "faults/full-disk-$1-leaves-no-rest"
    else
        fail "faults/full-disk-$1-leaves-no-rest" "$left"
    fi
    rm "$disk/rest"
    mount -o remount,size=16m "$disk"
    resume '' "$disk/run" > "$work/out" 2> "$work/err"
    if [ "$(weights_of "$work/out")" = "$reference" ]; then
        pass "faults/full-disk-$1-resumes-to-the-same-weights"
    else
        fail "faults/full-disk-$1-resumes-to-the-same-weights" "$(head -n 3 "$work/err")"
    fi
    umount "$disk"
    trap 'rm -rf "$work"' EXIT
    export XDG_CACHE_HOME="$work/cache"
}
full_disk idx
full_disk pictures
full_disk finetune

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
