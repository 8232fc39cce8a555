# What is no file: one line each, at once.
command -v timeout > /dev/null || { echo 'timeout is not here'; exit 77; }
mkfifo pipe pipe.net pipe.jpg
mkdir folder
long=$(printf '%0300d' 0)
deep=$(printf '%05000d' 0)
try() {
    timeout 60 strata "$@" > said.txt 2>&1 < /dev/null
    status=$?
    sed "s/$deep/DEEP/g; s/$long/LONG/g; s/0000000000*/0.../g" said.txt | cut -c 1-110 | head -n 1
    echo "exit $status"
}
for what in pipe.net folder /dev/zero /dev/null "$long" "$deep"; do
    try describe "$what"
    try weights "$what"
done
for class in ant bee; do
    mkdir -p photos/train/$class
    for i in 1 2 3 4; do
        { printf 'P5\n8 8\n255\n'; head -c 64 /dev/zero | tr '\0' "\\$((i + 1))0"; } > photos/train/$class/$i.pgm
    done
done
echo 'network n { input 8x8x1, fc 2, output logits loss=cross_entropy }' > real.net
strata train real.net --data photos --val none --epochs 1 --batch 4 --quiet --out run > said.txt
for what in pipe.jpg folder /dev/zero /dev/null "$long" "$deep"; do
    try predict run "$what"
    try eval run --data "$what"
    try data "$what"
done
try eval real.net --weights pipe --data photos
try eval lenet5 --weights /dev/zero --data pipe
try train lenet5 --data pipe --out none
try train pipe.net --data folder --out none
try convert pipe.net out.onnx
try convert folder out.net
try fmt pipe.net
# A pipe that somebody writes into is as good as a file.
{ sleep 1; cat real.net; } | strata describe /dev/stdin --json > piped.json && cut -c 1-40 piped.json
ls
