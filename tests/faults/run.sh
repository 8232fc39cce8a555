#!/bin/sh
# Lets one system call after another fail in the program (shim.c), once and for ever, over a training that continues an
# earlier one, a fresh training, an eval and a describe; then over augmented pictures of many sizes and a part of a net
# that learns on their features, begun and continued, and over the doctor. Each time: done or exit status 1 with a short
# message; no crash, no hang; and the earlier checkpoint continues to the weights of the undisturbed training.
. tests/faults/common.sh

limit=8 # calls of one kind that are let fail, spread evenly; all with STRATA_LONG
[ -n "${STRATA_LONG-}" ] && limit=100000

act() { # what, words before the command; in a fresh copy of the half-done run
    rm -rf "$work/copy" "$work/fresh" "$work/cache"
    cp -r "$work/half" "$work/copy"
    # shellcheck disable=SC2086
    case $1 in
    resume) resume "$2" "$work/copy" ;;
    train) train "$2" "$work/fresh" ;;
    eval) $2 "$strata" eval "$work/half" --data "$data" --threads 2 ;;
    describe) $2 "$strata" describe lenet5 --train --plan ;;
    data) $2 "$strata" data "$work/pictures" --sheet "$work/sheet.png" ;;
    esac > "$work/out" 2> "$work/err"
}

judge() { # name, exit status
    case $2 in
    0) return 0 ;;
    1) ;;
    124) fail "$1" 'it hangs'; return 1 ;;
    *) fail "$1" "exit status $2: $(head -n 3 "$work/err")"; return 1 ;;
    esac
    lines=$(wc -l < "$work/err")
    if [ "$lines" -lt 1 ] || [ "$lines" -gt 8 ]; then
        fail "$1" "$lines lines of message"
        return 1
    fi
}

# After the fault: either the training had come to its end, or it goes on to the same one.
continues() { # name
    resume '' "$work/copy" > "$work/again" 2>&1
    [ "$(weights_of "$work/again")" = "$reference" ] && return 0
    cmp -s "$work/copy/last.safetensors" "$work/whole/last.safetensors" && return 0
    fail "$1" "does not continue to the same weights: $(head -n 3 "$work/again")"
    return 1
}

walk() { # what
    what=$1
    for call in alloc open read pread write fsync rename close; do
        act $what "env LD_PRELOAD=$shim FAULT_CALL=$call FAULT_COUNT=$work/count" || {
            fail "faults/$story-$what/$call" "fails without a fault: $(head -n 3 "$work/err")"
            continue
        }
        total=$(cat "$work/count")
        step=$(((total + limit - 1) / limit))
        n=1
        good=0
        bad=0
        while [ "$n" -le "$total" ]; do
            for ever in 0 1; do
                name="faults/$story-$what/$call-$n-of-$total$([ $ever = 1 ] && echo -on)"
                act $what "env LD_PRELOAD=$shim FAULT_CALL=$call FAULT_N=$n FAULT_FOREVER=$ever timeout 60"
                if judge "$name" $? && { [ $what != resume ] || continues "$name"; }; then
                    good=$((good + 1))
                else
                    bad=$((bad + 1))
                fi
            done
            n=$((n + step))
        done
        [ $bad = 0 ] && [ $good -gt 0 ] && pass "faults/$story-$what/$call ($good faults in $total calls)"
    done
}

for what in describe eval train resume; do walk $what; done
[ -n "${STRATA_LONG-}" ] || limit=3
for trained in pictures finetune; do
    begin_story $trained
    walk train
    walk resume
done
story=pictures
walk data
exit $status
