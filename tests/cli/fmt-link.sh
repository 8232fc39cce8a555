# -i writes the file that a link names, and the file keeps its mode.
mkdir folder
printf 'network mine {\n input 8x8x1\n fc 10\n output logits loss=cross_entropy\n}\n' > folder/mine.net
chmod 640 folder/mine.net
ln -s folder/mine.net link.net
strata fmt -i link.net
readlink link.net
find folder -name mine.net -perm 640
cat link.net
strata fmt link.net --json
