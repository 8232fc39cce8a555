# The same net and its larger sister on the exact pixels of 4,000 pictures that both have learned.
weights=$STRATA_TEST_DATA/weights
data=$STRATA_TEST_DATA/cifar10/lossless4000
if [ ! -r "$weights/resnet20-12fca82f.th" ] || [ ! -r "$data/labels.bin" ]; then
    echo "no lossless CIFAR-10 with ResNet-20's weights in \$STRATA_TEST_DATA"
    exit 77
fi
python=${PYTHON:-/usr/bin/python3}
"$python" -c 'import PIL, numpy' 2> none || { echo 'no python3 with PIL and numpy'; exit 77; }
mkdir cifar
"$python" - "$data" cifar/test_batch.bin <<'PYTHON'
import sys, numpy
from PIL import Image
rows = numpy.concatenate([numpy.asarray(Image.open("%s/cifar10_batch_%d.png" % (sys.argv[1], i))) for i in range(4)])
planes = rows.reshape(4000, 1024, 3).transpose(0, 2, 1).reshape(4000, 3072)
labels = numpy.fromfile(sys.argv[1] + "/labels.bin", dtype=numpy.uint8).reshape(4000, 1)
numpy.concatenate([labels, planes], axis=1).tofile(sys.argv[2])
PYTHON
for net in resnet20_cifar:20-12fca82f resnet56_cifar:56-4bfd9763; do
    strata eval "${net%:*}" --weights "$weights/resnet${net#*:}.th" --data cifar --json -q |
        sed -n 's/.*\("count": [0-9]*, "correct": [0-9]*\).*"crops".*/\1/p'
done
