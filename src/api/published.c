/* include/strata.h, part 2: published files that strata knows. Weights do not hold how their pictures were prepared,
 * but who published them has said it; the file is known by the SHA-256 of its bytes, so another file under its name is
 * not taken for it. Publishers of PyTorch weights put the first eight digits into the file's name (torch.hub). */
#include <string.h>

#include "api/api.h"

/* Torchvision's second recipe (2021) was evaluated at 232 instead of 256. */
#define TORCHVISION_2 "mean=[0.485 0.456 0.406] std=[0.229 0.224 0.225] resize=232"
/* torchvision's GoogLeNet turns ImageNet's normalization into this one inside (transform_input). */
#define HALVES "mean=[0.5 0.5 0.5] std=[0.5 0.5 0.5]"
#define TORCHVISION(model, digits, preprocess)                                                                         \
    {                                                                                                                  \
        digits, {                                                                                                      \
            model "-" digits ".pth", "torchvision", preprocess                                                         \
        }                                                                                                              \
    }

const st_publication st_publications[] = {
    TORCHVISION("alexnet-owt", "7be5be79", "torchvision"),
    TORCHVISION("alexnet-owt", "4df8aa71", "torchvision"),
    TORCHVISION("vgg11", "8a719046", "torchvision"),
    TORCHVISION("vgg11", "bbd30ac9", "torchvision"),
    TORCHVISION("vgg13", "19584684", "torchvision"),
    TORCHVISION("vgg13", "c768596a", "torchvision"),
    TORCHVISION("vgg16", "397923af", "torchvision"),
    TORCHVISION("vgg19", "dcbb9e9d", "torchvision"),
    TORCHVISION("vgg11_bn", "6002323d", "torchvision"),
    TORCHVISION("vgg13_bn", "abd245e5", "torchvision"),
    TORCHVISION("vgg16_bn", "6c64b313", "torchvision"),
    TORCHVISION("vgg19_bn", "c79401a0", "torchvision"),
    TORCHVISION("googlenet", "1378be20", HALVES),
    TORCHVISION("squeezenet1_1", "b8a52dc0", "torchvision"),
    TORCHVISION("squeezenet1_1", "f364aa15", "torchvision"),
    TORCHVISION("resnet18", "f37072fd", "torchvision"),
    TORCHVISION("resnet18", "5c106cde", "torchvision"),
    TORCHVISION("resnet34", "b627a593", "torchvision"),
    TORCHVISION("resnet34", "333f7ec4", "torchvision"),
    TORCHVISION("resnet50", "0676ba61", "torchvision"),
    TORCHVISION("resnet50", "19c8e357", "torchvision"),
    TORCHVISION("resnet50", "11ad3fa6", TORCHVISION_2),
    TORCHVISION("resnet101", "63fe2227", "torchvision"),
    TORCHVISION("resnet101", "5d3b4d8f", "torchvision"),
    TORCHVISION("resnet101", "cd907fc2", TORCHVISION_2),
    TORCHVISION("resnet152", "394f9c45", "torchvision"),
    TORCHVISION("resnet152", "b121ed2d", "torchvision"),
    TORCHVISION("resnet152", "f82ba261", TORCHVISION_2),
    {"12fca82f0bebc413", {"resnet20-12fca82f.th", "pytorch_resnet_cifar10", "torchvision"}},
    {"d509ac18", {"resnet32-d509ac18.th", "pytorch_resnet_cifar10", "torchvision"}},
    {"014dd654", {"resnet44-014dd654.th", "pytorch_resnet_cifar10", "torchvision"}},
    {"4bfd97631478d6b6", {"resnet56-4bfd9763.th", "pytorch_resnet_cifar10", "torchvision"}},
    {"1d1ed7c2", {"resnet110-1d1ed7c2.th", "pytorch_resnet_cifar10", "torchvision"}},
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
