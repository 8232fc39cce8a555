# strata: the only door. `make help` lists what is behind it.

VERSION := 0.1.0
VARIANT ?= release
BUILD   ?= $(if $(filter release,$(VARIANT)),build,build/$(VARIANT))
AR      ?= ar
PREFIX  ?= /usr/local
DESTDIR ?=
WERROR  ?= -Werror
JOBS    ?= $(shell nproc 2>/dev/null || echo 2)
PYTHON  ?= /usr/bin/python3
FUZZ_SECONDS ?= 60
export STRATA_TEST_DATA ?= ../shared/data

ifeq ($(VARIANT),arm64)
CC := aarch64-linux-gnu-gcc
else ifeq ($(VARIANT),fuzz)
CC := clang
endif

# gcc and clang; warnings are errors. -ffp-contract=off: every fused multiply-add is written, so that no compiler changes
# a result. Only src/kernels/isa_*.c get flags for an instruction set.
WARNINGS := -Wall -Wextra $(WERROR) -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
            -Wcast-qual -Wwrite-strings -Wundef
BASE_CFLAGS := -std=c11 -D_GNU_SOURCE -ffp-contract=off -fvisibility=hidden -fPIC -pthread -DSTRATA_BUILDING \
               -Iinclude -Isrc $(WARNINGS) -MMD -MP
SANITIZE_asan := -fsanitize=address,undefined
SANITIZE_fuzz := -fsanitize=address,undefined
SANITIZE_tsan := -fsanitize=thread
# -g1: functions and lines, for stack traces. A debugger wants more: make CFLAGS=-g BUILD=build/debug.
OPT_release := -O2 -g1
OPT_double  := -O2 -g1 -DST_REAL_DOUBLE
OPT_asan    := -O1 -g1 $(SANITIZE_asan) -fno-sanitize-recover=undefined -fno-omit-frame-pointer
OPT_fuzz    := $(OPT_asan) -fsanitize=fuzzer-no-link
OPT_tsan    := -O1 -g1 $(SANITIZE_tsan)
# The cross compiler has no zlib and no cmocka of its own: scripts/arm64-root unpacks them here.
ARM64_ROOT  := $(BUILD)/root/usr
OPT_arm64   := -O2 -g1 -isystem $(ARM64_ROOT)/include -isystem $(ARM64_ROOT)/include/aarch64-linux-gnu
LINK_arm64  := -L$(ARM64_ROOT)/lib/aarch64-linux-gnu
CFLAGS  ?=
LDFLAGS ?=
# Libraries that are used where a program can be built with them; JPEG=no, PNG=no, WEBP=no leave them out.
can_use = $(shell printf '\043include <stdio.h>\n\043include <$(1).h>\nint main(void) { return 0; }\n' | \
          $(CC) $(OPT_$(VARIANT)) $(CFLAGS) -x c - -o /dev/null $(LINK_$(VARIANT)) $(LDFLAGS) $(2) 2> /dev/null && \
          echo yes || echo no)
ifndef JPEG
JPEG := $(call can_use,jpeglib,-ljpeg)
endif
ifndef PNG
PNG := $(call can_use,spng,-lspng)
endif
ifndef WEBP
WEBP := $(call can_use,webp/decode,-lwebp)
endif
# libhdf5 is not linked: the process that reads a stranger's file opens it, by the name that is found here. HDF5=no
# leaves it out.
ifndef HDF5
HDF5 := $(if $(filter yes,$(call can_use,hdf5,-isystem /usr/include/hdf5/serial -lhdf5_serial)),hdf5_serial,$(if \
        $(filter yes,$(call can_use,hdf5,-lhdf5)),hdf5,no))
endif
# ONNX and Caffe files are protobuf: messages are unpacked by code that protoc-c writes. PROTOBUF=no leaves them out.
ONNX_PROTO ?= /usr/include/onnx/onnx.proto
ifndef PROTOBUF
PROTOBUF := $(if $(and $(filter yes,$(call can_use,protobuf-c/protobuf-c,-lprotobuf-c)),$(shell command -v protoc-c),$(wildcard \
            $(ONNX_PROTO))),yes,no)
endif
PROTOS := $(if $(filter yes,$(PROTOBUF)),$(ONNX_PROTO) $(wildcard src/formats/*.proto))
HDF5_NAME := $(if $(filter-out no,$(HDF5)),$(shell LC_ALL=C readelf -d "$$($(CC) -print-file-name=lib$(HDF5).so)" \
             2> /dev/null | sed -n 's/.*SONAME.*\[\(.*\)\].*/\1/p'))
WITH := $(if $(filter yes,$(JPEG)),-DST_WITH_JPEG) $(if $(filter yes,$(PNG)),-DST_WITH_PNG) \
        $(if $(filter yes,$(WEBP)),-DST_WITH_WEBP) \
        $(if $(PROTOS),-DST_WITH_PROTOBUF -isystem $(BUILD)/proto) \
        $(if $(HDF5_NAME),-DST_WITH_HDF5=\"$(HDF5_NAME)\" -isystem /usr/include/hdf5/serial)
WITH_LIBS := $(if $(filter yes,$(JPEG)),-ljpeg) $(if $(filter yes,$(PNG)),-lspng) $(if $(filter yes,$(WEBP)),-lwebp) \
             $(if $(PROTOS),-lprotobuf-c)
ALL_CFLAGS  := $(BASE_CFLAGS) $(OPT_$(VARIANT)) $(WITH) $(CFLAGS)
ALL_LDFLAGS := -pthread $(SANITIZE_$(VARIANT)) $(LINK_$(VARIANT)) $(LDFLAGS)
LIBS := $(WITH_LIBS) -lz -lm

# What a checker of the sources needs to see all of them.
LINT_WITH = $(subst \",",$(WITH))

# The sets of kernels that this compiler can build.
MACHINE := $(shell $(CC) -dumpmachine 2>/dev/null)
ISAS := portable
ifneq ($(filter x86_64-%,$(MACHINE)),)
ifeq ($(filter double fuzz,$(VARIANT)),)
ISAS += avx2 avx512
endif
endif
FLAGS_avx2   := -mavx2 -mfma
FLAGS_avx512 := -mavx512f -mavx512vl -mavx512dq -mavx512bw -mfma -mavx2 -mprefer-vector-width=512
# Sweeps of every kernel on hundreds of shapes stay quick under the sanitizers; a fuzzer learns nothing from arithmetic.
# Heap and globals are watched; arrays on the stack and undefined behaviour are not, in these files only: with them the
# compiler takes minutes for one file.
FLAGS_ISA_asan := -O1 -fno-sanitize=undefined --param asan-stack=0 -fno-sanitize-address-use-after-scope
FLAGS_ISA_fuzz := -O1 -fno-sanitize=all

FOLDERS  := $(shell sed '/^\#/d' src/ORDER)
# The longest compilations begin first.
SOURCES  := $(foreach i,$(ISAS),$(wildcard src/kernels/isa_$(i).c)) \
            $(foreach f,$(FOLDERS),$(filter-out src/kernels/isa_%,$(sort $(wildcard src/$(f)/*.c))))
PROGRAM  := $(sort $(wildcard programs/*.c))
ZOO      := $(sort $(wildcard zoo/*.net zoo/*/*.net))
OBJ      := $(BUILD)/obj
PROTO_OBJECTS   := $(foreach p,$(PROTOS),$(OBJ)/proto/$(notdir $(p:.proto=.pb-c.o)))
LIB_OBJECTS     := $(SOURCES:%.c=$(OBJ)/%.o) $(OBJ)/zoo.o $(PROTO_OBJECTS)
PROGRAM_OBJECTS := $(PROGRAM:%.c=$(OBJ)/%.o)

.DEFAULT_GOAL := all
.PHONY: all
all: $(BUILD)/strata $(BUILD)/libstrata.a $(BUILD)/libstrata.so ## build the program and the library

.SECONDARY:
.DELETE_ON_ERROR:

# Two files that change only when what they hold does: the compiler and its flags, for objects; the list of sources, for
# what is linked from them.
$(OBJ)/flags: TEXT = $(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(FLAGS_ISA_$(VARIANT)) $(FLAGS_avx2) $(FLAGS_avx512)
$(OBJ)/sources: TEXT = $(SOURCES) $(PROGRAM) $(ZOO)
$(OBJ)/flags $(OBJ)/sources: force
	@mkdir -p $(@D)
	@echo '$(TEXT)' | cmp -s - $@ || echo '$(TEXT)' > $@
.PHONY: force
force:

$(OBJ)/%.o: %.c $(OBJ)/flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(EXTRA_CFLAGS) -c $< -o $@

$(OBJ)/src/kernels/select.o: EXTRA_CFLAGS := $(ISAS:%=-DST_ISA_%)
$(foreach i,$(ISAS),$(eval $(OBJ)/src/kernels/isa_$(i).o: EXTRA_CFLAGS := $(FLAGS_ISA_$(VARIANT)) $(FLAGS_$(i))))
# The program is the library's first client: it cannot even see the inner headers.
$(PROGRAM_OBJECTS): private ALL_CFLAGS := $(filter-out -Isrc -DSTRATA_BUILDING,$(ALL_CFLAGS))

# Unpackers of messages; others' code, so without our warnings.
$(BUILD)/proto/%.pb-c.c: $(PROTOS) $(OBJ)/flags
	@mkdir -p $(@D)
	protoc-c --c_out=$(@D) $(addprefix -I,$(sort $(dir $(PROTOS)))) $(filter %/$*.proto,$(PROTOS))
$(OBJ)/proto/%.o: $(BUILD)/proto/%.c
	@mkdir -p $(@D)
	$(CC) $(filter-out $(WARNINGS),$(ALL_CFLAGS)) -w -c $< -o $@
$(filter $(OBJ)/src/formats/%,$(LIB_OBJECTS)): | $(PROTO_OBJECTS)

$(BUILD)/zoo.c: scripts/embed $(ZOO) $(OBJ)/sources
	@mkdir -p $(@D)
	sh scripts/embed $(ZOO) > $@.part && mv $@.part $@
$(OBJ)/zoo.o: $(BUILD)/zoo.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c $< -o $@

$(BUILD)/libstrata.a: $(LIB_OBJECTS) $(OBJ)/sources
	@rm -f $@
	$(AR) rcs $@ $(LIB_OBJECTS)
$(BUILD)/libstrata.so: $(LIB_OBJECTS) $(OBJ)/sources
	$(CC) -shared -Wl,-soname,libstrata.so.0 $(if $(SANITIZE_$(VARIANT)),,-Wl,-z,defs) $(ALL_LDFLAGS) \
	    -o $@ $(LIB_OBJECTS) $(LIBS)
$(BUILD)/strata: $(PROGRAM_OBJECTS) $(BUILD)/libstrata.a
	$(CC) $(ALL_LDFLAGS) -o $@ $(PROGRAM_OBJECTS) $(BUILD)/libstrata.a $(LIBS)

# ---- tests and benches: one program a file ----

# Sweeps without a main of their own join sweep_kernels: the list of kernels in kernels.h names a function for each.
SWEEPS      := $(sort $(wildcard tests/sweep_*.c))
SWEEP_MAINS := $(if $(SWEEPS),$(shell grep -l '^int main' $(SWEEPS)))
SWEEP_PARTS := $(filter-out $(SWEEP_MAINS),$(SWEEPS))
FUZZ        := $(sort $(wildcard tests/fuzz/fuzz_*.c))
# Whole networks: run as released, since the sanitizers make minutes of them; check-long runs both.
HEAVY           := test_parity test_residual test_zoo_train
PROGRAMS_asan   := $(patsubst tests/%.c,%,$(sort $(wildcard tests/test_*.c)) $(SWEEP_MAINS)) \
                   $(FUZZ:tests/fuzz/fuzz_%.c=replay_%)
THREADED        := test_threads test_data test_data_folder test_balance test_doctor test_augment test_evaluate \
                   test_features test_finetune test_train test_train_options
PROGRAMS_tsan   := $(THREADED)
PROGRAMS_arm64  := $(filter-out $(HEAVY),$(filter test_%,$(PROGRAMS_asan)))
PROGRAMS_double := $(patsubst tests/%.c,%,$(sort $(wildcard tests/gradient_*.c)))
PROGRAMS_fuzz   := $(FUZZ:tests/fuzz/%.c=%)
TEST_PROGRAMS   := $(PROGRAMS_$(VARIANT):%=$(BUILD)/tests/%)
BENCHES         := $(patsubst bench/%.c,$(BUILD)/bench/%,$(sort $(wildcard bench/bench_*.c)))

.PHONY: test-programs benches
test-programs: $(TEST_PROGRAMS)
benches: $(BENCHES)

$(BUILD)/tests/%: $(OBJ)/tests/%.o $(BUILD)/libstrata.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(BUILD)/libstrata.a -lcmocka $(LIBS)
$(BUILD)/tests/test_data_hdf5 $(BUILD)/tests/test_keras: LIBS += $(if $(HDF5_NAME),-l$(HDF5)) # they write what they read
$(BUILD)/tests/sweep_kernels: $(SWEEP_PARTS:%.c=$(OBJ)/%.o)
$(BUILD)/tests/replay_%: $(OBJ)/tests/fuzz/fuzz_%.o $(OBJ)/tests/fuzz/replay.o $(BUILD)/libstrata.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(BUILD)/libstrata.a $(LIBS)
$(BUILD)/tests/fuzz_%: $(OBJ)/tests/fuzz/fuzz_%.o $(BUILD)/libstrata.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $(filter %.o,$^) $(BUILD)/libstrata.a $(LIBS)
$(BUILD)/tests/shim.so: tests/faults/shim.c $(OBJ)/flags
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE -O2 -g -fPIC $(WARNINGS) -shared -o $@ $<
$(BUILD)/bench/%: $(OBJ)/bench/%.o $(BUILD)/libstrata.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(BUILD)/libstrata.a $(LIBS)

# ---- what people call ----

# Inside a make that already has -j, its jobs are shared.
SUBMAKE := $(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(JOBS))

.PHONY: check check-long check-build
check: check-build ## build with sanitizers, run every test, end in one line that counts them
	@BUILD='$(BUILD)' CC='$(CC)' MAKE='$(MAKE)' LINT_WITH='$(LINT_WITH)' sh scripts/run-tests
check-long: check-build ## check, with every fault, the thread sanitizer and a minute of fuzzing for each reader
	@echo 'building: thread sanitizer'
	@$(SUBMAKE) -s VARIANT=tsan BUILD=$(BUILD)/tsan $(THREADED:%=$(BUILD)/tsan/tests/%)
	@BUILD='$(BUILD)' CC='$(CC)' MAKE='$(MAKE)' LINT_WITH='$(LINT_WITH)' sh scripts/run-tests --long
	@$(MAKE) --no-print-directory fuzz
check-build:
	@echo 'building: release'
	@$(SUBMAKE) -s VARIANT=release BUILD=$(BUILD) all $(BUILD)/tests/shim.so $(HEAVY:%=$(BUILD)/tests/%)
	@echo 'building: address and undefined-behaviour sanitizers'
	@$(SUBMAKE) -s VARIANT=asan BUILD=$(BUILD)/asan $(BUILD)/asan/strata test-programs
	@echo 'building: double precision'
	@$(SUBMAKE) -s VARIANT=double BUILD=$(BUILD)/double test-programs

.PHONY: demo
demo: ## build, train LeNet-5 on Fashion-MNIST, test it, say what to try next
	@echo 'building $(BUILD)/strata'
	@$(SUBMAKE) -s BUILD=$(BUILD) all
	@BUILD='$(BUILD)' sh scripts/demo

.PHONY: bench
bench: ## the kernels beside this machine's peak; LeNet-5 and whole networks beside PyTorch and ONNX Runtime (PEERS="--only vgg16")
	@$(SUBMAKE) -s BUILD=$(BUILD) all benches
	@BUILD='$(BUILD)' PYTHON='$(PYTHON)' PEERS='$(PEERS)' sh scripts/bench

# Debian's PyTorch, and ONNX Runtime from npm without its installer: that one would fetch what only a GPU needs.
.PHONY: peers
peers: ## install what make bench compares with: PyTorch, torchvision, ONNX Runtime
	@sh scripts/install-missing 'make peers' '/usr/lib/python3/dist-packages/torch=python3-torch:PyTorch' \
	    '/usr/lib/python3/dist-packages/torchvision=python3-torchvision:its networks' \
	    '/usr/lib/python3/dist-packages/onnx=python3-onnx:writes the files that ONNX Runtime reads' \
	    'npm=npm:installs ONNX Runtime'
	@mkdir -p '$(BUILD)/peers' && npm install --ignore-scripts --no-fund --no-audit --silent --prefix '$(BUILD)/peers' onnxruntime-node

.PHONY: parity
parity: ## nets at full size beside PyTorch's, and files that it and ONNX Runtime exchange; installs python3-torch and -torchvision
	@$(SUBMAKE) -s BUILD=$(BUILD) all $(BUILD)/tests/test_onnx_write
	@BUILD='$(BUILD)' PYTHON='$(PYTHON)' sh scripts/parity
	@BUILD='$(BUILD)' sh scripts/parity-onnx
	@BUILD='$(BUILD)' PYTHON='$(PYTHON)' sh scripts/parity-published

.PHONY: drawings
drawings: ## draw the networks of docs/networks.md and fill in its tables anew
	@$(SUBMAKE) -s BUILD=$(BUILD) all
	@STRATA='$(BUILD)/strata' sh scripts/draw-networks

.PHONY: fuzz
fuzz: ## every reader of foreign bytes under libFuzzer, FUZZ_SECONDS each (60)
	@$(SUBMAKE) -s VARIANT=fuzz BUILD=$(BUILD)/fuzz test-programs
	@BUILD='$(BUILD)/fuzz' SECONDS_EACH='$(FUZZ_SECONDS)' sh scripts/fuzz $(PROGRAMS_fuzz)

OURS = $(sort $(wildcard include/*.h src/*/*.[ch] src/*/*.inc programs/*.[ch] tests/*.[ch] tests/*/*.[ch] bench/*.[ch] \
       examples/*.c))
.PHONY: order format format-check lint
order: all ## does every folder use only what stands above it in src/ORDER?
	@sh scripts/check-order $(BUILD)
format: ## lay out every C file as .clang-format says
	clang-format -i $(OURS)
format-check: ## name the files that `make format` would change
	@sh scripts/check-format
lint: $(PROTO_OBJECTS) ## static analysis with cppcheck, and with clang-tidy where it is installed
	@BUILD='$(BUILD)' LINT_WITH='$(LINT_WITH)' sh scripts/check-lint

.PHONY: install uninstall
LIBDIR := $(DESTDIR)$(PREFIX)/lib
install: all ## install below PREFIX (/usr/local), staged into DESTDIR
	mkdir -p '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/include' '$(LIBDIR)/pkgconfig'
	install -m 755 $(BUILD)/strata '$(DESTDIR)$(PREFIX)/bin/strata'
	install -m 644 include/strata.h '$(DESTDIR)$(PREFIX)/include/strata.h'
	install -m 644 $(BUILD)/libstrata.a '$(LIBDIR)/libstrata.a'
	install -m 755 $(BUILD)/libstrata.so '$(LIBDIR)/libstrata.so.$(VERSION)'
	ln -sf libstrata.so.$(VERSION) '$(LIBDIR)/libstrata.so.0'
	ln -sf libstrata.so.0 '$(LIBDIR)/libstrata.so'
	printf '%s\n' 'prefix=$(PREFIX)' 'Name: strata' 'Description: classic convolutional networks in C' \
	    'Version: $(VERSION)' 'Cflags: -I$${prefix}/include' 'Libs: -L$${prefix}/lib -lstrata' \
	    'Libs.private: $(LIBS) -pthread' > '$(LIBDIR)/pkgconfig/strata.pc'
uninstall: ## remove what install put there
	rm -f '$(DESTDIR)$(PREFIX)/bin/strata' '$(DESTDIR)$(PREFIX)/include/strata.h' '$(LIBDIR)/pkgconfig/strata.pc' \
	    '$(LIBDIR)/libstrata.a' '$(LIBDIR)/libstrata.so' '$(LIBDIR)/libstrata.so.0' '$(LIBDIR)/libstrata.so.$(VERSION)'

.PHONY: clean help
clean: ## remove everything that was built
	rm -rf $(BUILD)
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

-include $(wildcard $(LIB_OBJECTS:.o=.d) $(PROGRAM_OBJECTS:.o=.d) $(OBJ)/tests/*.d $(OBJ)/tests/*/*.d $(OBJ)/bench/*.d)
