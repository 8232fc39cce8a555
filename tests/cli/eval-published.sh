# Other people's weights give the answers that other programs get from them: ResNet-20 of CIFAR-10 (Yerlan Idelbayev), on
# pictures without loss and on the same data's JPEG pictures, of which it knows fewer.
weights=$STRATA_TEST_DATA/weights/resnet20-12fca82f.th
data=$STRATA_TEST_DATA/cifar10
if [ ! -r "$weights" ] || [ ! -r "$data/cifar10-jpeg.tar.zst" ] || ! command -v zstd > none; then
    echo "no CIFAR-10 with ResNet-20's weights in \$STRATA_TEST_DATA, or no zstd"
    exit 77
fi
strata --version | grep -q libjpeg || { echo 'built without libjpeg'; exit 77; }
zstd -q -d --long=27 -c "$data/cifar10-jpeg.tar.zst" | tar -x --wildcards '*test/*'
test=$(find . -type d -name test | head -n 1)
printf '%s\n' airplane automobile bird cat deer dog frog horse ship truck > names.txt
strata eval resnet20_cifar --weights "$weights" --data "${test%test}" --classes names.txt --json -q |
    sed -n 's/.*\("count": [0-9]*, "correct": [0-9]*\).*"crops".*/\1/p'
