# Weights that do not say how their pictures were prepared are refused until somebody says it.
cat > tiny.net <<'NET'
network tiny { input 8x8x3, fc 3, output logits loss=cross_entropy }
NET
for class in ant bee cow; do
    mkdir -p photos/train/$class photos/test/$class
    for i in 1 2 3 4; do
        { printf 'P6\n8 8\n255\n'; head -c 192 /dev/zero | tr '\0' "\\$((i + 1))0"; } > photos/train/$class/$i.ppm
        cp photos/train/$class/$i.ppm photos/test/$class
    done
done
strata train tiny.net --data photos --val none --epochs 1 --batch 4 --quiet --out run
strata train resnet20_cifar --set classes=3 --data photos --val none --epochs 1 --batch 4 --limit 4 --quiet --out known
strata convert run/best.safetensors whole.pth --quiet
strata trace tiny.net --weights whole.pth --batch none --out t 2>&1 | head -n 1
# The tensors alone, as other programs write them.
python3 - <<'PY' || exit 77
import json, struct
for run, found in (('run', 'found'), ('known', 'stranger')):
    data = open(run + '/best.safetensors', 'rb').read()
    n, = struct.unpack('<Q', data[:8])
    head = json.loads(data[8:8 + n])
    del head['__metadata__']
    text = json.dumps(head).encode()
    open(found + '.safetensors', 'wb').write(struct.pack('<Q', len(text)) + text + data[8 + n:])
PY
strata predict tiny.net --weights found.safetensors photos/test/ant/1.ppm
echo "exit $?"
strata predict tiny.net --weights found.safetensors photos/test/ant/1.ppm --preprocess unit --json |
    sed 's/"probability": [0-9.e-]*/"probability": P/g'
strata eval tiny.net --weights found.safetensors --data photos --preprocess caffe --quiet | sed 's/top-1.*//'
strata eval tiny.net --weights found.safetensors --data photos --preprocess caffee --quiet
echo "exit $?"
strata eval run --preprocess unit
echo "exit $?"
# What a net of the zoo says holds for the weights that were published for it: these are others.
strata predict resnet20_cifar --set classes=3 --weights stranger.safetensors photos/test/ant/1.ppm -q
echo "exit $?"
strata eval resnet20_cifar --set classes=3 --weights stranger.safetensors --data photos -q
echo "exit $?"
strata predict resnet20_cifar --set classes=3 --weights stranger.safetensors photos/test/ant/1.ppm --preprocess unit --json | grep -c probability
# And what the file says goes before the net.
strata convert stranger.safetensors caffe.safetensors --preprocess caffe --quiet
strata convert caffe.safetensors caffe.onnx --for resnet20_cifar --set classes=3 --quiet
strata convert caffe.onnx text.net --quiet
grep "input " text.net
# Said once, in the file.
strata convert found.safetensors said.safetensors --preprocess unit --quiet
strata predict tiny.net --weights said.safetensors photos/test/ant/1.ppm --json |
    sed 's/"probability": [0-9.e-]*/"probability": P/g'
strata convert found.safetensors whole.safetensors --for tiny.net --preprocess "mean=[0.4 0.5 0.6] std=0.2" --quiet
strata predict whole.safetensors photos/test/ant/1.ppm --json | sed 's/"probability": [0-9.e-]*/"probability": P/g'
strata describe whole.safetensors | head -n 1
