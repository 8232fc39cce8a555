# The runs (runs.tsv) as a drawing: a panel for each data set, a line for each regime through the means of its seeds, and
# a bar from the least to the greatest. Pictures a class are a logarithmic scale.
function add(list, item,    i, n, have) {
    n = split(list, have, " ")
    for (i = 1; i <= n; i++) if (have[i] == item) return list
    return list == "" ? item : list " " item
}

function x(p, a) { return left + (p - 1) * step + width * log(a / 4) / log(1.12 * most[p] / 4) }
function y(share) { return bottom - height * share }

{
    key = $1 SUBSEP $2 SUBSEP $3
    n[key]++
    sum[key] += $5
    if (!(key in low) || $5 + 0 < low[key]) low[key] = $5 + 0
    if (!(key in high) || $5 + 0 > high[key]) high[key] = $5 + 0
    data = add(data, $1)
    pictures[$1, $2] = $10
}

END {
    left = 62; step = 560; width = 380; height = 330; bottom = 442
    panels = split(data, name, " ")
    sizes = split("5 20 all", size, " ")
    regimes = split("head second-half all scratch", regime, " ")
    split("the last layer;the second half;everything;from scratch", words, ";")
    total = left + panels * step - 10
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"500\" viewBox=\"0 0 %d 500\" role=\"img\">\n", total, total
    print "<title>How much data, how much to train: SqueezeNet from ImageNet's weights</title>"
    print "<style>"
    print "text { font: 12px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #59636e }"
    print ".title { font-size: 17px; font-weight: 600; fill: #1f2328 } .name { font-size: 13px; fill: #1f2328 }"
    print ".back { fill: #ffffff } .grid { stroke: #d8dee4 } .axis { stroke: #818b98; fill: none }"
    print ".line { fill: none; stroke-width: 2.4; stroke-linejoin: round } .bar { fill: none; stroke-width: 1.4 }"
    print ".c1 { stroke: #0072b2 } .c2 { stroke: #00795a } .c3 { stroke: #c04d00 } .c4 { stroke: #3d444d; stroke-dasharray: 5 3.5 }"
    print ".f1 { fill: #0072b2 } .f2 { fill: #00795a } .f3 { fill: #c04d00 } .f4 { fill: #3d444d }"
    print "@media (prefers-color-scheme: dark) {"
    print "text { fill: #9198a1 } .title, .name { fill: #e6edf3 } .back { fill: #0d1117 } .grid { stroke: #30363d }"
    print ".c1 { stroke: #56a8e8 } .c2 { stroke: #3fc79a } .c3 { stroke: #f08c4a } .c4 { stroke: #d1d7e0 }"
    print ".f1 { fill: #56a8e8 } .f2 { fill: #3fc79a } .f3 { fill: #f08c4a } .f4 { fill: #d1d7e0 } }"
    print "</style>"
    printf "<rect class=\"back\" width=\"%d\" height=\"500\" rx=\"8\"/>\n", total
    print "<text class=\"title\" x=\"24\" y=\"34\">How much data, how much to train: SqueezeNet from ImageNet's weights</text>"
    print "<text x=\"24\" y=\"56\">test accuracy; lines through the means of the seeds, bars from the least to the greatest</text>"
    for (p = 1; p <= panels; p++) {
        origin = left + (p - 1) * step
        most[p] = 5
        for (s = 1; s <= sizes; s++) if (pictures[name[p], size[s]] > most[p]) most[p] = pictures[name[p], size[s]]
        printf "<text class=\"name\" x=\"%.1f\" y=\"96\">%s, top-1 (%%)</text>\n", origin - 38, name[p]
        for (i = 0; i <= 100; i += 10) {
            printf "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>", origin, y(i / 100), origin + width
            printf "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%d</text>\n", origin - 8, y(i / 100) + 4, i
        }
        for (s = 1; s <= sizes; s++) {
            if (!((name[p], size[s]) in pictures) || pictures[name[p], size[s]] == 0) continue
            a = pictures[name[p], size[s]]
            printf "<path class=\"axis\" d=\"M%.1f %.1fv5\"/>", x(p, a), bottom
            printf "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n", x(p, a), bottom + 20,
                size[s] == "all" ? "all (" sprintf("%.0f", a) ")" : a
        }
        printf "<path class=\"axis\" d=\"M%.1f %.1fV%.1fH%.1f\"/>\n", origin, y(1), bottom, origin + width
        printf "<text x=\"%.1f\" y=\"482\" text-anchor=\"middle\">training pictures a class</text>\n", origin + width / 2
        ends = 0
        for (r = 1; r <= regimes; r++) {
            path = ""
            for (s = 1; s <= sizes; s++) {
                key = name[p] SUBSEP size[s] SUBSEP regime[r]
                if (!(key in n)) continue
                at = x(p, pictures[name[p], size[s]]) + (r - 2.5) * 3 # beside each other, so that bars do not hide bars
                mean = sum[key] / n[key]
                path = path sprintf("%s%.1f %.1f", path == "" ? "M" : "L", at, y(mean))
                printf "<path class=\"bar c%d\" style=\"stroke-dasharray:none\" d=\"M%.1f %.1fV%.1fM%.1f %.1fh5M%.1f %.1fh5\"/>",
                    r, at, y(low[key]), y(high[key]), at - 2.5, y(low[key]), at - 2.5, y(high[key])
                printf "<circle class=\"f%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.4\"/>\n", r, at, y(mean)
                last = at; height_of[r] = y(mean); where[r] = at
            }
            if (path == "") continue
            printf "<path class=\"line c%d\" d=\"%s\"/>\n", r, path
            order[++ends] = r
        }
        # Names at the ends of the lines, from the top, at least 15 apart.
        for (i = 2; i <= ends; i++) {
            kept = order[i]
            for (j = i - 1; j > 0 && height_of[order[j]] > height_of[kept]; j--) order[j + 1] = order[j]
            order[j + 1] = kept
        }
        for (i = 1; i <= ends; i++) {
            put = height_of[order[i]]
            if (i > 1 && put < before + 15) put = before + 15
            before = put
            printf "<text class=\"f%d\" x=\"%.1f\" y=\"%.1f\" style=\"font-weight:600\">%s</text>\n", order[i],
                x(p, most[p]) + 14, put + 4, words[order[i]]
        }
    }
    print "</svg>"
}
