# A new last layer learns, or it is said that it would not; weights bring along how their pictures are prepared, or it is
# said that they do not.
try() { "$@"; echo "exit $?"; }
XDG_CACHE_HOME=$PWD/cache
export XDG_CACHE_HOME
cat > tiny.net <<'NET'
let classes = 3
network tiny { input 8x8x3 mean=0.5, a: fc 6, relu, b: fc classes, output logits loss=cross_entropy }
NET
value=1
for class in ant bee cow; do
    mkdir -p three/train/$class three/test/$class
    for i in 1 2 3 4; do
        value=$((value + 1))
        { printf 'P6\n8 8\n255\n'; head -c 192 /dev/zero | tr '\0' "\\$((value * 10))"; } > three/train/$class/$i.ppm
        cp three/train/$class/$i.ppm three/test/$class
    done
done
cp -r three two
rm -r two/train/cow two/test/cow
strata train tiny.net --data three --val none --epochs 1 --batch 4 --quiet --out base > base.txt
try strata finetune tiny.net --weights base/best.safetensors --data two --val none --train a --epochs 2 --quiet
try strata finetune tiny.net --weights base/best.safetensors --data two --val none --train a b --epochs 2 -q --out ab | sed 's/test.*//'
try strata finetune tiny.net --weights base/best.safetensors --data two --val none --train a --thaw 1 --epochs 2 -q --out thaw |
    sed 's/test.*//'
# The tensors alone, as other programs write them.
python3 - <<'PY' || exit 77
import json, struct
data = open('base/best.safetensors', 'rb').read()
n, = struct.unpack('<Q', data[:8])
head = json.loads(data[8:8 + n])
del head['__metadata__']
text = json.dumps(head).encode()
open('found.safetensors', 'wb').write(struct.pack('<Q', len(text)) + text + data[8 + n:])
PY
explain() { strata finetune tiny.net --data two --val none --train head --explain "$@" | sed -n '/^pictures/,/^train/p' | grep -v ^train | tr -s ' \n' ' '; echo; }
explain --weights found.safetensors
explain --weights found.safetensors --preprocess unit
explain --weights base/best.safetensors
try strata finetune tiny.net --weights base/best.safetensors --data two --train head --preprocess caffe
# Another preparation, in any format; the answers that a checkpoint holds are then those of the new one.
strata convert base unit.safetensors --preprocess unit --quiet
strata predict unit.safetensors two/test/ant/1.ppm --json | grep -c probability
strata convert unit.safetensors quarter.onnx --preprocess "mean=0.25 std=0.5" --quiet
strata convert quarter.onnx quarter.net --quiet
grep -o 'input [^,]*' quarter.net
# A net with another line does not contradict what a run says of its pictures.
strata convert base/best.safetensors base.net --for tiny.net --quiet
grep -o 'input [^,]*' base.net
for words in "mean=banana" "std=[-1]" "order=gbr" "mean=[1 2]" "mean=classes"; do
    try strata convert found.safetensors said.safetensors --preprocess "$words"
done
ls said.safetensors
