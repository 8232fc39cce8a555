# Reads the names of logs, writes a line for each run: data, pictures a class, regime, seed, test top-1, median seconds
# of an epoch (the first, in which features are computed, left out), seconds in all, bytes at the peak, and the
# processor's seconds, which others on the machine change less (nothing where they were not written down), and how many
# pictures a class there were in truth.
function number(line, key) {
    return match(line, "\"" key "\": [-0-9.e+]+") ? substr(line, RSTART + length(key) + 4, RLENGTH - length(key) - 4) : ""
}

function median(values, n,    i, j, kept) {
    for (i = 2; i <= n; i++) {
        kept = values[i]
        for (j = i - 1; j > 0 && values[j] > kept; j--) values[j + 1] = values[j]
        values[j + 1] = kept
    }
    return n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2
}

{
    file = $0
    n = 0
    while ((getline line < file) > 0) {
        if (line ~ /^{"epoch": /) {
            if (number(line, "epoch") > 1) seconds[++n] = number(line, "seconds") + 0
        } else if (line ~ /"test_top1"/) {
            last = line
        }
    }
    close(file)
    cpu = 0
    times = file
    sub(/log\.jsonl$/, "cpu", times)
    while ((getline line < times) > 0) { # 1m23.456s 0m1.234s
        gsub(/[ms]/, " ", line)
        split(line, part, " ")
        cpu += 60 * part[1] + part[2] + 60 * part[3] + part[4]
    }
    close(times)
    run = file
    sub(/log\.jsonl$/, "run.txt", run)
    while ((getline line < run) > 0) {
        if (line ~ /^train_count = /) { sub(/.*= /, "", line); pictures = line }
        if (line ~ /^settings = .*classes=/) { sub(/.*classes=/, "", line); classes = line + 0 }
    }
    close(run)
    sub(/\/log\.jsonl$/, "", file)
    sub(/.*\//, "", file)
    seed = file; sub(/.*-/, "", seed); sub(/-[0-9]+$/, "", file)
    regime = file ~ /-second-half$/ ? "second-half" : substr(file, match(file, /[^-]*$/))
    file = substr(file, 1, length(file) - length(regime) - 1)
    size = file; sub(/.*-/, "", size); sub(/-[^-]*$/, "", file)
    printf "%s\t%s\t%s\t%s\t%s\t%.4g\t%s\t%s\t%s\t%g\n", file, size, regime, seed, number(last, "test_top1"), median(seconds, n),
        number(last, "seconds"), number(last, "peak_rss_bytes"), (cpu > 0 ? cpu : ""), pictures / classes
}
