# SqueezeNet 1.1 as a Caffe model gives the answers of the same weights in safetensors, bit for bit.
weights=$STRATA_TEST_DATA/weights/squeezenet1_1.f16.safetensors
names=$STRATA_TEST_DATA/weights/synset_words.txt
pictures=$STRATA_TEST_DATA/imagenet-50
if [ ! -r "$weights" ] || [ ! -d "$pictures" ]; then
    echo "no imagenet-50 and SqueezeNet in \$STRATA_TEST_DATA"
    exit 77
fi
strata --version | grep -q libjpeg || { echo 'built without libjpeg'; exit 77; }
strata --version | grep -q protobuf || { echo 'built without protobuf-c'; exit 77; }
/usr/bin/python3 -c 'import numpy' 2> /dev/null || { echo 'no python3-numpy, which writes the model'; exit 77; }
/usr/bin/python3 -B "$SOURCE/tests/golden/record-caffe" --squeezenet "$weights" squeezenet.caffemodel
strata predict squeezenet.caffemodel --classes "$names" "$pictures" --top 1 --json > caffe.json
strata predict squeezenet1_1 --weights "$weights" --classes "$names" "$pictures" --top 1 --json -q > zoo.json
cmp caffe.json zoo.json && echo 'the same answers'
/usr/bin/python3 -c '
import json, os, sys
synsets = [line.split()[0] for line in open(sys.argv[1])]
answers = json.load(open("caffe.json"))
right = sum(os.path.basename(a["file"]).startswith(synsets[a["top"][0]["index"]] + "_") for a in answers)
print(right, "of", len(answers))' "$names"
