# A run into every format and back; each file proves itself. Sizes of files with the version in them are left out.
cp -r "$SMALL" small
strata train lenet5 --data small --epochs 1 --batch 16 --threads 1 --quiet --out run > train.txt
plain() { sed 's/; [0-9.]* K*B$/; N/; s/"bytes": [0-9]*/"bytes": N/; s/"peak_rss_bytes": [0-9]*/"peak_rss_bytes": P/'; }
strata convert run a.safetensors | plain
strata convert run a.pth --check small | plain
strata convert a.pth b.net --limit 4 | plain
cat b.net
strata convert run c.safetensors --quiet --json | plain
strata diff c.safetensors b.safetensors --rtol 0 | tail -n 2
# Where the weights lie there already, the text alone; a network without weights.
strata convert a.safetensors a.net | plain
strata convert resnet18 resnet18.net --set classes=6 | plain
strata describe resnet18.net > described.txt
head -n 1 described.txt
# What is refused leaves nothing behind.
strata convert run x.pdf
echo "exit $?"
strata convert lenet5 x.onnx
echo "exit $?"
strata convert run x.onnx --for resnet20_cifar
echo "exit $?"
strata convert run run/best.safetensors
echo "exit $?"
strata convert a.safetensors a.safetensors
echo "exit $?"
strata convert run x.onnx --check small --no-check
echo "exit $?"
strata convert run none/x.onnx --no-check
echo "exit $?"
ls
