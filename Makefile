# make run: the demonstration.  make test: everything that must hold.  See README.md.
BUILD = build/dev

.PHONY: all build release run test bench soak bundle install clean format
all: build

build: $(BUILD)/build.ninja
	@tools/build $(BUILD)

$(BUILD)/build.ninja: meson.build meson_options.txt
	@tools/bootstrap
	@tools/build $(BUILD)

release:
	@tools/bootstrap
	@tools/build build/release --buildtype=release -Doptimization=2 -Db_lto=true

run: build
	@exec tools/demo

test:
	@tools/bootstrap
	@exec tools/test

bench: release
	@exec tools/bench

soak: build
	@exec tools/soak

bundle: release
	@exec tools/bundle

install: release
	@exec tools/install $(DESTDIR)

format:
	@tools/bootstrap
	@find src tests -name '*.[ch]' | xargs clang-format -i

clean:
	rm -rf build
