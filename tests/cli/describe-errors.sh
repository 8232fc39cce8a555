# Where, what was found, what was expected, the line with a caret, what to do.
cat > word.net <<'NET'
network word {
    input 32x32x1
    conv 5x5 6, tanhh
    output logits loss=cross_entropy
}
NET
cat > shape.net <<'NET'
network shape {
    input 28x28x3
    concat {
        | conv 1x1 64
        | conv 1x1 96, relu, conv 3x3 128, relu
    }
    fc 10
    output logits loss=cross_entropy
}
NET
cat > open.net <<'NET'
network open {
    input 8x8x1
NET
for net in word shape open; do
    strata describe $net.net
    echo "exit $?"
done
