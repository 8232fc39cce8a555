# Drawings: what must be in them, not how they look. `lanes` are boxes that stand side by side between a fork and the
# bar that joins them.
check() { # FILE: well-formed where a parser is there, nothing from outside, white page
    grep -c '<svg xmlns="http://www.w3.org/2000/svg"' "$1" | sed "s|^|$1: drawings |"
    grep -cE 'href|<script|<image|@import|url\(' "$1" | sed "s|^|$1: things from outside |"
    grep -c '<rect class="page"' "$1" | sed "s|^|$1: pages |"
    if command -v xmllint > /dev/null; then
        xmllint --noout "$1" || echo "$1 is no XML"
    fi
}
count() { # FILE PATTERN
    grep -c "$2" "$1" | sed "s|^|$1: $2: |"
}

# The Inception module: four lanes with their shapes, joined.
strata describe inception_module --svg module.svg --json > /dev/null
check module.svg
for lane in 28x28x64 28x28x96 28x28x128 28x28x16 28x28x32 28x28x192 28x28x256; do
    count module.svg ">$lane<"
done
count module.svg 'class="merge"'
count module.svg '12.4 M multiply-adds'
sed -nE 's#.*class="bold" x="[0-9.-]+" y="([0-9.]+)">(conv|maxpool) .*#\1#p' module.svg | sort -n | uniq -c

# ResNet-152 is folded to what ResNet-50 takes; opened it has all of its 50 additions.
strata describe resnet152 --svg folded.svg --json > /dev/null
check folded.svg
count folded.svg 'bottleneck x 35'
count folded.svg 'class="merge"'
strata describe resnet152 --svg open.svg --unfold --json > /dev/null
count open.svg 'class="merge"'

# GoogLeNet: nine modules as boxes with four lanes each, two heads of the training.
strata describe googlenet --svg google.svg --json > /dev/null
check google.svg
count google.svg '>inception<'
grep -o 'class="lane"' google.svg | wc -l
count google.svg 'loss weight 0.3'
count google.svg 'class="[a-z]* train"'

# The same net, the same bytes. A place that is not there.
strata describe googlenet --svg again.svg --json > /dev/null
cmp google.svg again.svg && echo "the same bytes"
strata describe lenet5 --svg none/lenet5.svg > /dev/null
echo "exit $?"

# Connections that cross, layers that go nowhere, many branches, an output on the way, what is long.
long=a0123456789012345678901234567890123456789012345678
cat > odd.net << NET
network odd {
    input 8x8x4
    $long: { $long: conv 3x3 4 pad=1 }
    a: conv 3x3 4 pad=1
    b: add { | conv 3x3 4 pad=1 | take a }
    c: add { | conv 3x3 4 pad=1 | take a }
    d: add { | conv 3x3 4 pad=1 | take b }
    add { | identity | identity }
    side { fc 3, output early loss=cross_entropy }
    concat { | conv 1x1 1 | conv 1x1 1 | conv 1x1 1 | conv 1x1 1 | conv 1x1 1 | conv 1x1 1 | conv 1x1 1 | identity }
    repeat 2000 { conv 1x1 4 }
    fc 10
    output logits loss=cross_entropy
}
NET
strata describe odd.net --svg odd.svg --batch 1 --json > /dev/null
check odd.svg
count odd.svg 'layers more\|x 1999'
[ "$(wc -c < odd.svg)" -lt 100000 ] && echo "small"
