# Weights that PyTorch wrote, in both of its forms, and its refusals as a person meets them.
cifar=$STRATA_TEST_DATA/weights/resnet20-12fca82f.th
[ -f "$cifar" ] || { echo "no $cifar"; exit 77; }
sh "$SOURCE/tests/make-batch" b.safetensors 2 3 32 32
strata trace resnet20_cifar --batch b.safetensors --weights "$cifar" --out legacy.safetensors --quiet
strata convert "$cifar" zip.pth --for resnet20_cifar --quiet
strata trace resnet20_cifar --batch b.safetensors --weights zip.pth --out zip.safetensors --quiet
cmp legacy.safetensors zip.safetensors && echo the same
refused() {
    cp "$SOURCE/tests/golden/pth/$1" file.pth
    strata trace resnet20_cifar --batch b.safetensors --weights file.pth --out t.safetensors --quiet 2>&1
    echo "exit $?"
}
refused model.zip
refused model.legacy
refused script.zip
refused sparse.zip
refused types.zip
head -c 3000 "$SOURCE/tests/golden/pth/types.zip" > cut.pth
strata trace resnet20_cifar --batch b.safetensors --weights cut.pth --out t.safetensors --quiet 2>&1
echo "exit $?"
# A legacy file whose value would run a command, if anything ran it.
{
    printf '\200\002\212\012\154\374\234\106\371\040\152\250\120\031.\200\002M\351\003.\200\002}.'
    printf 'cos\nsystem\n(X\012\000\000\000touch herett\205R.'
} > runs.pth
strata trace resnet20_cifar --batch b.safetensors --weights runs.pth --out t.safetensors --quiet 2>&1
echo "exit $?"
printf '\200\002}.' > bare.pth
strata trace resnet20_cifar --batch b.safetensors --weights bare.pth --out t.safetensors --quiet 2>&1
echo "exit $?"
ls
