# What a person types. Each target does the set-up it needs, says what it installs, and does nothing twice.
BUILD = build/release

.PHONY: help build demo test bench install clean
help:
	@echo 'make build     install what building needs, and build $(BUILD)/likeness'
	@echo 'make demo      swap a face in a sample clip, in about a quarter of an hour'
	@echo 'make test      all tests, plain and under AddressSanitizer and UBSan'
	@echo 'make bench     speed and memory, side by side with PyTorch'
	@echo 'make install   install below PREFIX (default /usr/local)'

build:
	@tools/setup.sh build
	@cmake --preset release >/dev/null
	@cmake --build $(BUILD) --target likeness

demo: build
	@tools/demo.sh $(BUILD)/likeness

test:
	@tools/test.sh

bench: build
	@tools/setup.sh test
	@tools/setup.sh clips
	@cmake --build $(BUILD) --target bench_sampler bench_steps bench_peak
	@$(BUILD)/likeness models install --quiet
	@bench/bench.py $(BUILD)/likeness

install: build
	@cmake --install $(BUILD) $(if $(PREFIX),--prefix '$(PREFIX)')

clean:
	@rm -rf build
