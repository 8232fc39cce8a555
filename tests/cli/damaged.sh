# Weights that are not what was written, and weights that cannot work: said by whoever meets them.
cat > tiny.net <<'NET'
network tiny { input 8x8x1, fc 3, output logits loss=cross_entropy }
NET
for class in ant bee cow; do
    mkdir -p photos/train/$class
    for i in 1 2 3 4; do
        { printf 'P5\n8 8\n255\n'; head -c 64 /dev/zero | tr '\0' "\\$((i + 1))0"; } > photos/train/$class/$i.pgm
    done
done
strata train tiny.net --data photos --val none --epochs 1 --batch 4 --quiet --out run > /dev/null
cp run/best.safetensors good.safetensors
strata convert good.safetensors good.pth --quiet
# The last four bytes of the file are a weight.
last() { # FILE BYTES
    printf "$2" | dd of="$1" bs=1 seek=$(($(wc -c < "$1") - 4)) conv=notrunc 2> /dev/null
}
said() {
    "$@" 2>&1 | sed 's/hash to [0-9a-f]*/hash to H/; s/says [0-9a-f]*/says H/'
}
cp good.safetensors bad.safetensors
last bad.safetensors '\001\002\003\004'
for command in describe weights 'eval --data photos' 'predict photos/train/ant/1.pgm'; do
    case $command in
    eval*) said strata eval bad.safetensors --data photos ;;
    predict*) said strata predict bad.safetensors photos/train/ant/1.pgm ;;
    *) said strata "$command" bad.safetensors ;;
    esac
done
strata describe bad.safetensors > /dev/null 2>&1 || echo "exit $?"
strata weights bad.safetensors > /dev/null 2>&1 || echo "exit $?"
# A file without a hash, as another program writes it, whose last weight is NaN.
sed 's/strata.sha256/strata.sha25x/' good.safetensors > nan.safetensors
last nan.safetensors '\000\000\300\177'
strata weights nan.safetensors | grep 'not finite'
strata weights nan.safetensors --values --json | grep -o '"not_finite": [0-9]*' | tr '\n' ' '
echo
strata eval nan.safetensors --data photos
echo "exit $?"
strata predict nan.safetensors photos/train/ant/1.pgm
echo "exit $?"
strata finetune tiny.net --weights nan.safetensors --data photos --val none --epochs 1 --out tuned
echo "exit $?"
strata convert nan.safetensors nan.onnx
echo "exit $?"
