# Weights of other people: the net says how pictures are prepared, a file how its classes are called.
weights=$STRATA_TEST_DATA/weights/squeezenet1_1.f16.safetensors
names=$STRATA_TEST_DATA/weights/synset_words.txt
pictures=$STRATA_TEST_DATA/imagenet-50
if [ ! -r "$weights" ] || [ ! -d "$pictures" ]; then
    echo "no imagenet-50 and SqueezeNet in \$STRATA_TEST_DATA"
    exit 77
fi
strata --version | grep -q libjpeg || { echo 'built without libjpeg'; exit 77; }
cp "$pictures/n02391049_zebra.JPEG" zebra.jpg
ln -s "$weights" squeezenet.safetensors
strata predict squeezenet1_1 --weights squeezenet.safetensors zebra.jpg --top 1
strata predict squeezenet1_1 --weights squeezenet.safetensors --preprocess caffe --classes "$names" zebra.jpg --top 1
strata predict squeezenet1_1 --weights squeezenet.safetensors --classes "$names" "$pictures" --top 1 --json -q > all.json
echo "$(grep -o '"file"' all.json | wc -l) pictures"
strata convert squeezenet.safetensors copy.pth
strata predict squeezenet1_1 --weights copy.pth zebra.jpg --top 1
strata predict squeezenet1_1 zebra.jpg
echo "exit $?"
head -n 9 "$names" > nine.txt
strata predict squeezenet1_1 --weights squeezenet.safetensors --classes nine.txt zebra.jpg -q
echo "exit $?"
{ head -n 5 "$names"; echo; } | cat - "$names" > hole.txt
strata predict squeezenet1_1 --weights squeezenet.safetensors --classes hole.txt zebra.jpg -q
echo "exit $?"
strata predict squeezenet1_1 --weights squeezenet.safetensors --classes squeezenet.safetensors zebra.jpg -q
