/* include/strata.h, part 2: published files that strata knows. Weights do not hold how their pictures were prepared,
 * but who published them has said it; the file is known by the SHA-256 of its bytes, so another file under its name is
 * not taken for it. Publishers of PyTorch weights put the first eight digits into the file's name (torch.hub). */
#include <string.h>

#include "api/api.h"

/* Torchvision's second recipe (2021) was evaluated at 232 instead of 256. */
#define TORCHVISION_2 "mean=[0.485 0.456 0.406] std=[0.229 0.224 0.225] resize=232"
/* Of pictures in the size of the net. */
#define IMAGENET_COLOURS "mean=[0.485 0.456 0.406] std=[0.229 0.224 0.225]"
/* torchvision's GoogLeNet turns ImageNet's normalization into this one inside (transform_input). */
#define HALVES "mean=[0.5 0.5 0.5] std=[0.5 0.5 0.5]"

const st_publication st_publications[] = {
    {"7be5be79", {"alexnet-owt-7be5be79.pth", "torchvision", "torchvision"}},
    {"4df8aa71", {"alexnet-owt-4df8aa71.pth", "torchvision", "torchvision"}},
    {"8a719046", {"vgg11-8a719046.pth", "torchvision", "torchvision"}},
    {"bbd30ac9", {"vgg11-bbd30ac9.pth", "torchvision", "torchvision"}},
    {"19584684", {"vgg13-19584684.pth", "torchvision", "torchvision"}},
    {"c768596a", {"vgg13-c768596a.pth", "torchvision", "torchvision"}},
    {"397923af", {"vgg16-397923af.pth", "torchvision", "torchvision"}},
    {"dcbb9e9d", {"vgg19-dcbb9e9d.pth", "torchvision", "torchvision"}},
    {"6002323d", {"vgg11_bn-6002323d.pth", "torchvision", "torchvision"}},
    {"abd245e5", {"vgg13_bn-abd245e5.pth", "torchvision", "torchvision"}},
    {"6c64b313", {"vgg16_bn-6c64b313.pth", "torchvision", "torchvision"}},
    {"c79401a0", {"vgg19_bn-c79401a0.pth", "torchvision", "torchvision"}},
    {"1378be20", {"googlenet-1378be20.pth", "torchvision", HALVES}},
    {"b8a52dc0", {"squeezenet1_1-b8a52dc0.pth", "torchvision", "torchvision"}},
    {"f364aa15", {"squeezenet1_1-f364aa15.pth", "torchvision", "torchvision"}},
    {"f37072fd", {"resnet18-f37072fd.pth", "torchvision", "torchvision"}},
    {"5c106cde", {"resnet18-5c106cde.pth", "torchvision", "torchvision"}},
    {"b627a593", {"resnet34-b627a593.pth", "torchvision", "torchvision"}},
    {"333f7ec4", {"resnet34-333f7ec4.pth", "torchvision", "torchvision"}},
    {"0676ba61", {"resnet50-0676ba61.pth", "torchvision", "torchvision"}},
    {"19c8e357", {"resnet50-19c8e357.pth", "torchvision", "torchvision"}},
    {"11ad3fa6", {"resnet50-11ad3fa6.pth", "torchvision", TORCHVISION_2}},
    {"63fe2227", {"resnet101-63fe2227.pth", "torchvision", "torchvision"}},
    {"5d3b4d8f", {"resnet101-5d3b4d8f.pth", "torchvision", "torchvision"}},
    {"cd907fc2", {"resnet101-cd907fc2.pth", "torchvision", TORCHVISION_2}},
    {"394f9c45", {"resnet152-394f9c45.pth", "torchvision", "torchvision"}},
    {"b121ed2d", {"resnet152-b121ed2d.pth", "torchvision", "torchvision"}},
    {"f82ba261", {"resnet152-f82ba261.pth", "torchvision", TORCHVISION_2}},
    {"12fca82f0bebc413", {"resnet20-12fca82f.th", "pytorch_resnet_cifar10", IMAGENET_COLOURS}},
    {"d509ac18", {"resnet32-d509ac18.th", "pytorch_resnet_cifar10", IMAGENET_COLOURS}},
    {"014dd654", {"resnet44-014dd654.th", "pytorch_resnet_cifar10", IMAGENET_COLOURS}},
    {"4bfd97631478d6b6", {"resnet56-4bfd9763.th", "pytorch_resnet_cifar10", IMAGENET_COLOURS}},
    {"1d1ed7c2", {"resnet110-1d1ed7c2.th", "pytorch_resnet_cifar10", IMAGENET_COLOURS}},
    {"1b21d3db5b12f24e", {"squeezenet1_1.f16.safetensors", "SqueezeNet's authors", "caffe"}},
    {"27538bc5023e7928", {"lenet5-mnist.onnx", "ccoltong1215", "mean=0.1307 std=0.3081"}},
};
const size_t st_publication_count = ST_COUNT_OF(st_publications);

static strata_status hash_file(char out[65], const st_file *file, strata_error *err) {
    unsigned char piece[1 << 15];
    st_sha256 sha;
    st_sha256_begin(&sha);
    for (uint64_t done = 0; done < file->length;) {
        size_t now = file->length - done < sizeof piece ? (size_t)(file->length - done) : sizeof piece;
        ST_TRY(st_file_at(file, piece, now, done, err));
        st_sha256_add(&sha, piece, now);
        done += now;
    }
    st_sha256_end(&sha, out);
    return STRATA_OK;
}

strata_status strata_weights_publication_get(strata_weights_publication *out, const strata_weights *weights,
                                             strata_error *err) {
    char hash[65];
    *out = (strata_weights_publication){.name = "", .by = "", .preprocess = ""};
    ST_TRY(hash_file(hash, &st_api_weights(weights)->file, err));
    for (size_t i = 0; i < st_publication_count; i++) {
        const st_publication *known = &st_publications[i];
        if (strncmp(hash, known->sha256, strlen(known->sha256)) == 0) {
            *out = known->is;
        }
    }
    return STRATA_OK;
}
