# The runs (runs.tsv) as a table: the mean over the seeds and, for accuracy, the least and the greatest; of memory the
# most. Time is the processor's, which for one thread is about that of a quiet machine.
function add(list, item,    i, n, have) {
    n = split(list, have, " ")
    for (i = 1; i <= n; i++) if (have[i] == item) return list
    return list == "" ? item : list " " item
}

function time(seconds) {
    return seconds < 1 ? sprintf("%.2f s", seconds) : seconds < 10 ? sprintf("%.1f s", seconds) : sprintf("%.0f s", seconds)
}

{
    key = $1 SUBSEP $2 SUBSEP $3
    n[key]++
    sum[key] += $5
    if ($9 != "") { timed[key]++; cpu[key] += $9 }
    if (!(key in low) || $5 + 0 < low[key]) low[key] = $5 + 0
    if (!(key in high) || $5 + 0 > high[key]) high[key] = $5 + 0
    if ($8 + 0 > peak[key]) peak[key] = $8 + 0
    data = add(data, $1)
}

END {
    split("5 20 all", usual, " ")
    regimes = split("head second-half all scratch", regime, " ")
    names = split(data, name, " ")
    print "| pictures | a class | trained | test top-1 | from, to | time | memory |"
    print "| --- | ---: | --- | ---: | ---: | ---: | ---: |"
    for (d = 1; d <= names; d++) for (s = 1; s <= 3; s++) for (r = 1; r <= regimes; r++) {
        key = name[d] SUBSEP usual[s] SUBSEP regime[r]
        if (!(key in n)) continue
        seeds = n[key] == 3 ? "" : " (" n[key] (n[key] == 1 ? " seed)" : " seeds)")
        printf "| %s | %s | `%s`%s | %.1f%% | %.1f to %.1f | %s | %.0f MB |\n", name[d], usual[s], regime[r], seeds,
            100 * sum[key] / n[key], 100 * low[key], 100 * high[key], timed[key] ? time(cpu[key] / timed[key]) : "", peak[key] / 1e6
    }
}
